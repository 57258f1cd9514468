//! Attributes that listeners and connectors for AMQP have in common.

use std::time::Duration;

use serde_json::{Map, Value as Json};

use crate::schema::attribute::Fixed::*;
use crate::schema::attribute::{Attribute, choice, number, properties, text};
use crate::schema::{
    AddressFamily, AttributeError, Entity, Problem, Role, StripAnnotations, Value, quote,
};

pub(super) const PORT: Attribute = text(
    "port",
    "The TCP port: a number, or the name of a service such as amqp (5672) or amqps (5671).",
)
.default(Text("amqp"))
.create()
.works();

pub(super) const FAMILY: Attribute =
    choice("socketAddressFamily", AddressFamily::WORDS, "Use addresses of this family only.")
        .unset("both families")
        .example("IPv4")
        .create()
        .works();

pub(super) const ROLE: Attribute = choice(
    "role",
    Role::WORDS,
    "What is at the other end: normal is a client, inter-router an interior router, edge an edge \
     router or, for an edge router, its uplink; inter-edge, inter-network and route-container \
     are for other edge routers, other networks and brokers.",
)
.default(Text("normal"))
.pending(&["inter-network"])
.create()
.works();

pub(super) const COST: Attribute = number(
    "cost",
    "What it costs to go this way; routes of the least total are used. Both ends of a link may \
     set it, and the larger counts.",
)
.range(1, i32::MAX as i64)
.default(Number(1))
.create()
.works();

pub(super) const MAX_FRAME_SIZE: Attribute =
    number("maxFrameSize", "The largest AMQP frame that this side accepts.")
        .octets()
        .range(512, i32::MAX as i64)
        .zero_is_unset()
        .default(Number(16384))
        .create()
        .works();

pub(super) const MAX_SESSIONS: Attribute =
    number("maxSessions", "How many sessions the other side may open on a connection.")
        .range(1, 32768)
        .zero_is_unset()
        .default(Number(32768))
        .create()
        .works();

pub(super) const MAX_SESSION_FRAMES: Attribute = number(
    "maxSessionFrames",
    "How many frames the other side may send on a session before it must wait. Raise it for \
     long, fast paths.",
)
.range(2, i32::MAX as i64)
.zero_is_unset()
.unset("made from the frame size and the window of the role")
.example("640")
.create()
.works();

pub(super) const IDLE_TIMEOUT: Attribute = number(
    "idleTimeoutSeconds",
    "A connection on which nothing at all arrives for this long is ended; the other side is \
     told, and keeps quiet connections alive with empty frames. 0 never ends one.",
)
.seconds()
.range(0, 2_147_483)
.default(Number(16))
.create()
.works();

pub(super) const STRIP_ANNOTATIONS: Attribute = choice(
    "stripAnnotations",
    StripAnnotations::WORDS,
    "From which messages router annotations are removed: those that come in, those that go out, \
     both, or no.",
)
.default(Text("both"))
.create();

pub(super) const LINK_CAPACITY: Attribute =
    number("linkCapacity", "How many unsettled deliveries a link may have under way: its credit.")
        .range(1, i32::MAX as i64)
        .zero_is_unset()
        .implied(Number(250))
        .create()
        .works();

pub(super) const SASL_MECHANISMS: Attribute = text(
    "saslMechanisms",
    "The SASL mechanisms that may be used, separated by blanks: EXTERNAL takes the identity from \
     the TLS certificate, PLAIN is a user name and a password, ANONYMOUS has none. Without TLS a \
     password can be read on its way. The router does not start when it does not speak one of \
     them.",
)
.unset(
    "EXTERNAL where the certificate allows it, PLAIN over TLS where there are passwords, and \
     ANONYMOUS",
)
.example("EXTERNAL")
.create()
.guards();

pub(super) const MESSAGE_LOGGING: Attribute = text(
    "messageLoggingComponents",
    "Which parts of messages the module MESSAGE logs at level debug: none, all, or names of \
     properties separated by commas.",
)
.default(Text("none"))
.create()
.works();

pub(super) const POLICY_VHOST: Attribute =
    text("policyVhost", "The vhost whose policy applies, whatever host the client asks for.")
        .example("tenant-1")
        .create()
        .works();

pub(super) const OPEN_PROPERTIES: Attribute = properties(
    "openProperties",
    "Properties to send in the AMQP open, as JSON. Not for connections to routers; names that \
     the router uses itself are refused.",
)
.example("\"team\": \"blue\"")
.create()
.works();

/// Limits of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest frame that this side accepts, in bytes.
    pub max_frame_size: u32,
    /// Sessions that the other side may open.
    pub max_sessions: u32,
    /// Frames that the other side may send on a session before it must wait. `None` leaves it to
    /// the frame size and the role.
    pub max_session_frames: Option<u32>,
    /// Silence after which the connection ends. Zero is never.
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

/// Reads `openProperties`. The errors have the words of C routers, because operators look for them.
pub(super) fn open_properties(
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
            "ValidationError: Reserved key {} not allowed in openProperties: the router uses it \
             itself",
            quote(key)
        )),
        None => Ok(Some(properties.clone())),
    }
}
