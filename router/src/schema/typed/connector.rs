//! `connector`: connections that the router makes and keeps.

use serde_json::{Map, Value as Json};

use super::amqp::{
    COST, FAMILY, IDLE_TIMEOUT, LINK_CAPACITY, Limits, MAX_FRAME_SIZE, MAX_SESSION_FRAMES,
    MAX_SESSIONS, MESSAGE_LOGGING, OPEN_PROPERTIES, POLICY_VHOST, PORT, ROLE, SASL_MECHANISMS,
    STRIP_ANNOTATIONS, open_properties,
};
use super::{name, text_of};
use crate::schema::attribute::Fixed::*;
use crate::schema::attribute::{flag, text};
use crate::schema::entity_type::{CREATED_AND_DELETED, EntityType, configuration};
use crate::schema::{
    AddressFamily, AttributeError, Entity, EntityKind, MessageComponents, Password, Port, Problem,
    Role, SaslMechanism, SaslMechanisms, StripAnnotations,
};

/// The rows of the table.
pub(in crate::schema) static ROW: EntityType = EntityType {
    own_operations: CREATED_AND_DELETED,
    own_attributes: &[
        text("host", "The address or host name to connect to.")
            .default(Text("127.0.0.1"))
            .create()
            .works(),
        PORT,
        FAMILY,
        ROLE,
        COST,
        text("sslProfile", "The sslProfile for TLS. Without one the connection is plain text.")
            .refers_to(EntityKind::SslProfile)
            .example("site-link")
            .create()
            .works(),
        text("proxyProfile", "The proxyProfile of a proxy to go through.")
            .refers_to(EntityKind::ProxyProfile)
            .example("web-proxy")
            .create(),
        SASL_MECHANISMS,
        flag("allowRedirect", "Follow the other side when it sends the connection elsewhere.")
            .default(Flag(true))
            .create(),
        MAX_FRAME_SIZE,
        MAX_SESSIONS,
        MAX_SESSION_FRAMES,
        IDLE_TIMEOUT,
        STRIP_ANNOTATIONS,
        LINK_CAPACITY,
        flag(
            "verifyHostname",
            "Refuse a server whose certificate does not name the host that is connected to. Turn \
             it off only for certificates whose authority serves nobody else.",
        )
        .default(Flag(true))
        .create()
        .guards(),
        text("saslUsername", "Who to be for SASL mechanisms with a password.")
            .example("skrouterd")
            .create()
            .works(),
        text(
            "saslPassword",
            "The password for SASL: env:NAME, file:PATH, pass:TEXT, or the password itself.",
        )
        .example("file:/etc/skrouterd/sasl-password")
        .create()
        .works()
        .hidden(),
        MESSAGE_LOGGING,
        text(
            "failoverUrls",
            "The addresses that are tried in turn: the configured one and those the other side \
             told.",
        ),
        text("connectionStatus", "How the connection is doing."),
        text("connectionMsg", "What the last attempt or the present connection has to say."),
        POLICY_VHOST,
        OPEN_PROPERTIES,
    ],
    further_attributes: &[flag(
        "trustFailover",
        "Treat addresses that the other side tells as if they were configured: a server there \
         shows a certificate for its own address, and gets the password. With no, it must show \
         one for the configured host, and gets none.",
    )
    .implied(Flag(false))
    .create()
    .guards()],
    ..configuration(
        "A connection that the router makes and keeps: a link to another router, or to an AMQP \
         server.",
    )
};

/// Connections that the router makes and keeps.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Connector {
    pub name: String,
    pub host: String,
    pub port: Port,
    pub family: Option<AddressFamily>,
    pub role: Role,
    pub cost: u32,
    pub ssl_profile: Option<String>,
    pub proxy_profile: Option<String>,
    /// `None` takes any offer of the other side that the router speaks.
    pub sasl_mechanisms: Option<SaslMechanisms>,
    pub verify_hostname: bool,
    pub limits: Limits,
    pub strip_annotations: StripAnnotations,
    /// The parts of messages that the module MESSAGE logs.
    pub message_logging: MessageComponents,
    pub open_properties: Option<Map<String, Json>>,
    /// The vhost whose policy applies, if one does.
    pub policy_vhost: Option<String>,
    /// The user and the password for SASL PLAIN.
    pub credentials: Option<(String, Password)>,
    /// Addresses that the other side tells are as good as the configured one.
    pub trust_failover: bool,
}

impl Connector {
    /// Returns host and port as configured.
    pub fn host_port(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl TryFrom<&Entity> for Connector {
    type Error = AttributeError;

    fn try_from(entity: &Entity) -> Result<Self, AttributeError> {
        let role = entity.get("role")?;
        let sasl_mechanisms: Option<SaslMechanisms> = entity.find("saslMechanisms")?;
        let credentials = match (text_of(entity, "saslUsername"), text_of(entity, "saslPassword")) {
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
            policy_vhost: text_of(entity, "policyVhost"),
            ssl_profile: text_of(entity, "sslProfile"),
            proxy_profile: text_of(entity, "proxyProfile"),
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
