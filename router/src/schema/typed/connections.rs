//! Listeners and connectors.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::{name, text};
use crate::schema::{
    AddressFamily, AttributeError, Entity, FailoverUrl, ManagementAccess, MessageComponents,
    Password, Port, Problem, Role, SaslMechanism, SaslMechanisms, StripAnnotations, Value,
    failover_urls, quote,
};

/// What a connection may use of AMQP and of us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest frame this side accepts, in octets.
    pub max_frame_size: u32,
    /// Sessions the other side may open.
    pub max_sessions: u32,
    /// Frames the other side may send on a session before it must wait; made from frame size and
    /// role when `None`.
    pub max_session_frames: Option<u32>,
    /// Silence after which the connection is ended; zero is never.
    pub idle_timeout: Duration,
    /// Credit of a link.
    pub link_capacity: u32,
}

impl TryFrom<&Entity> for Limits {
    type Error = AttributeError;

    fn try_from(entity: &Entity) -> Result<Self, AttributeError> {
        Ok(Self {
            max_frame_size: entity.get("maxFrameSize")?,
            max_sessions: entity.get("maxSessions")?,
            max_session_frames: entity.find("maxSessionFrames")?,
            idle_timeout: entity.get("idleTimeoutSeconds")?,
            link_capacity: entity.get("linkCapacity")?,
        })
    }
}

/// What a listener that speaks HTTP answers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct HttpListener {
    pub healthz: bool,
    pub metrics: bool,
    pub websockets: bool,
    /// Whose pages a browser may open WebSockets from, beside those of the listener itself.
    /// `None`: from no page.
    pub origins: Option<Vec<String>>,
    /// The folder whose files are served.
    pub root: Option<PathBuf>,
}

/// A port on which others connect.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Listener {
    pub name: String,
    /// Empty is every address of the host.
    pub host: String,
    pub port: Port,
    pub family: Option<AddressFamily>,
    pub role: Role,
    pub cost: u32,
    pub ssl_profile: Option<String>,
    /// `None` offers what fits.
    pub sasl_mechanisms: Option<SaslMechanisms>,
    pub authenticate_peer: bool,
    /// Plain text is refused; also when only `requireSsl` says so.
    pub require_encryption: bool,
    pub require_ssl: bool,
    pub limits: Limits,
    /// Until the AMQP open; zero is the router's own limit.
    pub handshake_timeout: Duration,
    pub strip_annotations: StripAnnotations,
    /// What of messages the module MESSAGE logs.
    pub message_logging: MessageComponents,
    /// HTTP in place of AMQP.
    pub http: Option<HttpListener>,
    /// Other addresses of this router that clients are told.
    pub failover_urls: Vec<FailoverUrl>,
    /// The vhost whose policy applies, whatever clients ask for.
    pub policy_vhost: Option<String>,
    pub open_properties: Option<Map<String, Json>>,
    /// What those who connect may ask of management nodes.
    pub management: ManagementAccess,
}

impl Listener {
    /// Host and port as configured.
    pub fn host_port(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Whether `saslMechanisms` names this one.
    pub fn offers(&self, mechanism: SaslMechanism) -> bool {
        self.sasl_mechanisms.as_ref().is_some_and(|names| names.contains(mechanism))
    }

    /// Whether clear text is refused: TLS is demanded, or an identity where there is TLS to show
    /// one by.
    pub const fn refuses_clear_text(&self) -> bool {
        self.require_encryption || self.ssl_profile.is_some() && self.authenticate_peer
    }

    /// Whether TLS clients are asked for a certificate: where the identity may come from it, or
    /// must, for want of a password.
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
        let ssl_profile = text(entity, "sslProfile");
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
            policy_vhost: text(entity, "policyVhost"),
            failover_urls: failover_urls(entity.text("failoverUrls").unwrap_or_default())
                .map_err(|problem| problem.of("failoverUrls"))?,
            open_properties: open_properties(entity, role)?,
            management: entity.get("management")?,
        })
    }
}

/// A connection the router makes and keeps.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Connector {
    pub name: String,
    pub host: String,
    pub port: Port,
    pub family: Option<AddressFamily>,
    pub role: Role,
    pub cost: u32,
    pub ssl_profile: Option<String>,
    pub proxy_profile: Option<String>,
    /// `None` takes what the other side offers and we speak.
    pub sasl_mechanisms: Option<SaslMechanisms>,
    pub verify_hostname: bool,
    pub limits: Limits,
    pub strip_annotations: StripAnnotations,
    /// What of messages the module MESSAGE logs.
    pub message_logging: MessageComponents,
    pub open_properties: Option<Map<String, Json>>,
    /// The vhost whose policy applies; `None`: none does.
    pub policy_vhost: Option<String>,
    /// The user and the password for SASL PLAIN.
    pub credentials: Option<(String, Password)>,
    /// Addresses that the other side told are as good as the configured one.
    pub trust_failover: bool,
}

impl Connector {
    /// Host and port as configured.
    pub fn host_port(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl TryFrom<&Entity> for Connector {
    type Error = AttributeError;

    fn try_from(entity: &Entity) -> Result<Self, AttributeError> {
        let role = entity.get("role")?;
        let sasl_mechanisms: Option<SaslMechanisms> = entity.find("saslMechanisms")?;
        let credentials = match (text(entity, "saslUsername"), text(entity, "saslPassword")) {
            (Some(user), Some(password)) => Some((user, Password::parse_sasl(&password))),
            (None, None) => None,
            (None, Some(_)) => {
                return Err(Problem::Invalid(
                    "saslPassword is given, and needs its user".to_owned(),
                )
                .of("saslUsername"));
            }
            (Some(_), None) => {
                return Err(Problem::Invalid(
                    "saslUsername is given, and needs its password".to_owned(),
                )
                .of("saslPassword"));
            }
        };
        if credentials.is_none()
            && sasl_mechanisms.as_ref().is_some_and(|names| names.iter().eq([SaslMechanism::Plain]))
        {
            return Err(Problem::Invalid("PLAIN needs saslUsername and saslPassword".to_owned())
                .of("saslMechanisms"));
        }
        Ok(Self {
            name: name(entity)?,
            host: entity.get("host")?,
            port: entity.get("port")?,
            family: entity.find("socketAddressFamily")?,
            role,
            cost: entity.get("cost")?,
            credentials,
            policy_vhost: text(entity, "policyVhost"),
            ssl_profile: text(entity, "sslProfile"),
            proxy_profile: text(entity, "proxyProfile"),
            sasl_mechanisms,
            verify_hostname: entity.get("verifyHostname")?,
            limits: Limits::try_from(entity)?,
            strip_annotations: entity.get("stripAnnotations")?,
            message_logging: entity.get("messageLoggingComponents")?,
            open_properties: open_properties(entity, role)?,
            trust_failover: entity.find("trustFailover")?.unwrap_or(false),
        })
    }
}

/// Whose pages may open WebSockets. A port that is there for health or metrics carries them only
/// because the attribute's default says so, which no page needs.
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

/// Whether a text can be an origin as browsers send them, or is `*`.
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

/// Properties of the AMQP open that only the router itself may set.
const RESERVED: &[&str] =
    &["product", "version", "failover-server-list", "network-host", "port", "scheme", "hostname"];
const RESERVED_PREFIXES: &[&str] = &["qd.", "x-opt-qd."];

/// Returns the first property that only the router itself may set.
pub fn reserved_property(properties: &Map<String, Json>) -> Option<&str> {
    let reserved = |key: &str| {
        RESERVED.contains(&key) || RESERVED_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
    };
    properties.keys().map(String::as_str).find(|key| reserved(key))
}

/// The errors have the words of C routers, for those who look for them.
fn open_properties(
    entity: &Entity,
    role: Role,
) -> Result<Option<Map<String, Json>>, AttributeError> {
    let Some(Value::Map(properties)) = entity.value("openProperties") else { return Ok(None) };
    let refuse = |problem| Err(Problem::Invalid(problem).of("openProperties"));
    if !role.takes_open_properties() {
        return refuse(format!("ValidationError: openProperties not allowed for role {role}"));
    }
    match reserved_property(properties) {
        Some(key) => refuse(format!(
            "ValidationError: Reserved key {} not allowed in openProperties: the router uses it itself",
            quote(key)
        )),
        None => Ok(Some(properties.clone())),
    }
}
