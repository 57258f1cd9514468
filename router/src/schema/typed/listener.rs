//! `listener`: a port for AMQP or HTTP.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::amqp::{
    COST, FAMILY, IDLE_TIMEOUT, LINK_CAPACITY, Limits, MAX_FRAME_SIZE, MAX_SESSION_FRAMES,
    MAX_SESSIONS, MESSAGE_LOGGING, OPEN_PROPERTIES, POLICY_VHOST, PORT, ROLE, SASL_MECHANISMS,
    STRIP_ANNOTATIONS, open_properties,
};
use super::{name, text_of};
use crate::schema::attribute::Fixed::*;
use crate::schema::attribute::{choice, flag, number, path, text};
use crate::schema::entity_type::{CREATED_AND_DELETED, EntityType, configuration};
use crate::schema::{
    AddressFamily, AttributeError, Entity, EntityKind, FailoverUrl, ManagementAccess,
    MessageComponents, Port, Problem, Role, SaslMechanism, SaslMechanisms, StripAnnotations, Use,
    failover_urls, quote,
};

/// The rows of the table.
pub(in crate::schema) static ROW: EntityType = EntityType {
    own_operations: CREATED_AND_DELETED,
    own_attributes: &[
        text("host", "The address or host name to listen on; empty is every address of the host.")
            .default(Text(""))
            .example("localhost")
            .create()
            .works(),
        PORT,
        FAMILY,
        ROLE,
        COST,
        text(
            "sslProfile",
            "The sslProfile for TLS. Without one the listener speaks plain text only.",
        )
        .refers_to(EntityKind::SslProfile)
        .example("site-link")
        .create()
        .works(),
        SASL_MECHANISMS,
        flag(
            "authenticatePeer",
            "Refuse whoever does not show an identity: a verified client certificate. Set it on \
             every listener for routers.",
        )
        .default(Flag(false))
        .create()
        .guards(),
        flag("requireEncryption", "Refuse plain text.").default(Flag(false)).create().works(),
        flag("requireSsl", "Refuse connections that do not begin with TLS.")
            .default(Flag(false))
            .create()
            .guards(),
        MAX_FRAME_SIZE,
        MAX_SESSIONS,
        MAX_SESSION_FRAMES,
        IDLE_TIMEOUT,
        number(
            "initialHandshakeTimeoutSeconds",
            "How long a connection may take until its AMQP open; 0 is the router's own limit of \
             10 seconds.",
        )
        .seconds()
        .range(0, 3600)
        .default(Number(0))
        .create()
        .works(),
        STRIP_ANNOTATIONS,
        LINK_CAPACITY,
        text(
            "failoverUrls",
            "Other addresses of this router that clients are told, separated by commas.",
        )
        .example("amqp://other.example.com:5672")
        .create()
        .works(),
        flag("healthz", "With http: answer /healthz.").default(Flag(true)).create().works(),
        flag("metrics", "With http: answer /metrics, in the text form of Prometheus.")
            .default(Flag(true))
            .create()
            .works(),
        flag("websockets", "With http: carry AMQP over WebSocket, subprotocol amqp.")
            .default(Flag(true))
            .create()
            .works(),
        flag("http", "Speak HTTP on this port and not AMQP.").default(Flag(false)).create().works(),
        path(
            "httpRootDir",
            "With http: a folder of files to serve; setting it implies http. One that is not \
             there serves none.",
        )
        .example("disabled")
        .names_file(Use::Web)
        .create()
        .works(),
        MESSAGE_LOGGING,
        POLICY_VHOST,
        OPEN_PROPERTIES,
    ],
    further_attributes: &[
        choice(
            "management",
            ManagementAccess::WORDS,
            "What clients and routers that connect here may ask of management nodes: full is \
             everything, read is all that changes nothing, none is nothing. With read and none, \
             no request of theirs goes on to another router's management node. Set it on \
             listeners for those who are to use services and not to manage the router.",
        )
        .implied(Text("full"))
        .create()
        .guards(),
        text(
            "websocketOrigins",
            "With http: from whose pages browsers may open WebSockets beside those of this host \
             and port, as origins separated by commas. * is any page, which is safe only where \
             clients show a password.",
        )
        .example("https://console.example.com")
        .create()
        .works(),
    ],
    ..configuration(
        "A port on which clients and other routers connect, or on which /healthz and /metrics \
         are asked for.",
    )
};

/// The service of a listener that speaks HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct HttpListener {
    pub healthz: bool,
    pub metrics: bool,
    pub websockets: bool,
    /// Origins whose pages may open WebSockets, beside those of the listener itself. `None`: no
    /// page may.
    pub origins: Option<Vec<String>>,
    /// The folder whose files are served.
    pub root: Option<PathBuf>,
}

/// A port on which others connect.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Listener {
    pub name: String,
    /// Empty means every address of the host.
    pub host: String,
    pub port: Port,
    pub family: Option<AddressFamily>,
    pub role: Role,
    pub cost: u32,
    pub ssl_profile: Option<String>,
    /// `None` offers every mechanism that fits.
    pub sasl_mechanisms: Option<SaslMechanisms>,
    pub authenticate_peer: bool,
    /// Clear text is refused. `requireSsl` sets it too.
    pub require_encryption: bool,
    pub require_ssl: bool,
    pub limits: Limits,
    /// Time until the AMQP open. Zero is the router's own limit.
    pub handshake_timeout: Duration,
    pub strip_annotations: StripAnnotations,
    /// The parts of messages that the module MESSAGE logs.
    pub message_logging: MessageComponents,
    /// HTTP in place of AMQP.
    pub http: Option<HttpListener>,
    /// Other addresses of this router, for clients.
    pub failover_urls: Vec<FailoverUrl>,
    /// The vhost whose policy applies, whatever host clients ask for.
    pub policy_vhost: Option<String>,
    pub open_properties: Option<Map<String, Json>>,
    /// The requests that peers may send to management nodes.
    pub management: ManagementAccess,
}

impl Listener {
    /// Returns host and port as configured.
    pub fn host_port(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Returns whether `saslMechanisms` names this one.
    pub fn offers(&self, mechanism: SaslMechanism) -> bool {
        self.sasl_mechanisms.as_ref().is_some_and(|names| names.contains(mechanism))
    }

    /// Returns whether clear text is refused: TLS is demanded, or an identity that TLS can show.
    pub const fn refuses_clear_text(&self) -> bool {
        self.require_encryption || self.ssl_profile.is_some() && self.authenticate_peer
    }

    /// Returns whether TLS clients are asked for a certificate, because it may or must show their
    /// identity.
    pub fn asks_for_certificate(&self) -> bool {
        let demanded = self.authenticate_peer && !self.offers(SaslMechanism::Plain);
        self.ssl_profile.is_some() && (demanded || self.offers(SaslMechanism::External))
    }
}

impl TryFrom<&Entity> for Listener {
    type Error = AttributeError;

    fn try_from(entity: &Entity) -> Result<Self, AttributeError> {
        let role = entity.get("role")?;
        let require_ssl = entity.get("requireSsl")?;
        let ssl_profile = text_of(entity, "sslProfile");
        let require_encryption = entity.get::<bool>("requireEncryption")? || require_ssl;
        if require_encryption && ssl_profile.is_none() {
            let attribute = if require_ssl { "requireSsl" } else { "requireEncryption" };
            return Err(Problem::Invalid(
                "TLS is demanded, but there is no sslProfile to do it with".to_owned(),
            )
            .of(attribute));
        }
        // Setting a folder to serve files from makes it an HTTP listener.
        let http = entity.get::<bool>("http")? || entity.text("httpRootDir").is_some();
        Ok(Self {
            name: name(entity)?,
            host: entity.get("host")?,
            port: entity.get("port")?,
            family: entity.find("socketAddressFamily")?,
            role,
            cost: entity.get("cost")?,
            ssl_profile,
            sasl_mechanisms: entity.find("saslMechanisms")?,
            authenticate_peer: entity.get("authenticatePeer")?,
            require_encryption,
            require_ssl,
            limits: Limits::try_from(entity)?,
            handshake_timeout: entity.get("initialHandshakeTimeoutSeconds")?,
            strip_annotations: entity.get("stripAnnotations")?,
            message_logging: entity.get("messageLoggingComponents")?,
            http: match http {
                true => Some(HttpListener {
                    healthz: entity.get("healthz")?,
                    metrics: entity.get("metrics")?,
                    websockets: entity.get("websockets")?,
                    origins: origins(entity)?,
                    root: entity.text("httpRootDir").map(PathBuf::from),
                }),
                false => None,
            },
            policy_vhost: text_of(entity, "policyVhost"),
            failover_urls: failover_urls(entity.text("failoverUrls").unwrap_or_default())
                .map_err(|problem| problem.of("failoverUrls"))?,
            open_properties: open_properties(entity, role)?,
            management: entity.get("management")?,
        })
    }
}

/// Reads the origins whose pages may open WebSockets. A port for health or metrics carries
/// WebSockets only by default, and no page needs them there.
fn origins(entity: &Entity) -> Result<Option<Vec<String>>, AttributeError> {
    const LISTED: &str = "websocketOrigins";
    let listed = entity
        .text(LISTED)
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|origin| !origin.is_empty());
    let listed: Vec<_> = listed.map(str::to_owned).collect();
    if let Some(wrong) = listed.iter().find(|origin| !is_origin(origin)) {
        let problem = format!(
            "{} is no origin: expected SCHEME://HOST or SCHEME://HOST:PORT, or *",
            quote(wrong)
        );
        return Err(Problem::Invalid(problem).of(LISTED));
    }
    let chosen = |name| Ok(entity.is_given(name) && entity.get::<bool>(name)?);
    let observed = chosen("healthz")? || chosen("metrics")?;
    let meant = entity.is_given("websockets") || !listed.is_empty() || !observed;
    Ok(meant.then_some(listed))
}

/// Returns whether a text is `*` or an origin as browsers send them.
fn is_origin(text: &str) -> bool {
    let named = |(scheme, host): (&str, &str)| {
        let plain =
            |octet: u8| octet.is_ascii_graphic() && !matches!(octet, b'/' | b'?' | b'#' | b'@');
        let of_scheme = |octet: u8| octet.is_ascii_alphanumeric() || b"+-.".contains(&octet);
        !scheme.is_empty()
            && scheme.bytes().all(of_scheme)
            && !host.is_empty()
            && host.bytes().all(plain)
    };
    text == "*" || text == "null" || text.split_once("://").is_some_and(named)
}
