//! Listeners and connectors for AMQP, and the HTTP listener.

use super::management::configuration;
use crate::schema::attribute::Fixed::*;
use crate::schema::attribute::{Attribute, choice, flag, number, path, properties, text};
use crate::schema::entity_type::EntityType;
use crate::schema::{
    AddressFamily, EntityKind, ManagementAccess, Operation, Role, StripAnnotations, Use,
};

const CREATED_AND_DELETED: &[Operation] = &[Operation::Create, Operation::Delete];

const PORT: Attribute = text(
    "port",
    "The TCP port: a number, or the name of a service such as amqp (5672) or amqps (5671).",
)
.default(Text("amqp"))
.create()
.works();

const FAMILY: Attribute =
    choice("socketAddressFamily", AddressFamily::WORDS, "Use addresses of this family only.")
        .unset("both families")
        .example("IPv4")
        .create()
        .works();

const ROLE: Attribute = choice(
    "role",
    Role::WORDS,
    "What is at the other end: normal is a client, inter-router an interior router, edge an edge router or, for an edge router, \
     its uplink; inter-edge, inter-network and route-container are for other edge routers, other networks and brokers.",
)
.default(Text("normal"))
.pending(&["inter-network"])
.create()
.works();

const COST: Attribute = number(
    "cost",
    "What it costs to go this way; routes of the least total are used. Both ends of a link may set it, and the larger counts.",
)
.range(1, i32::MAX as i64)
.default(Number(1))
.create()
.works();

const MAX_FRAME_SIZE: Attribute =
    number("maxFrameSize", "The largest AMQP frame that this side accepts.")
        .octets()
        .range(512, i32::MAX as i64)
        .zero_is_unset()
        .default(Number(16384))
        .create()
        .works();

const MAX_SESSIONS: Attribute =
    number("maxSessions", "How many sessions the other side may open on a connection.")
        .range(1, 32768)
        .zero_is_unset()
        .default(Number(32768))
        .create()
        .works();

const MAX_SESSION_FRAMES: Attribute = number(
    "maxSessionFrames",
    "How many frames the other side may send on a session before it must wait. Raise it for long, fast paths.",
)
.range(2, i32::MAX as i64)
.zero_is_unset()
.unset("made from the frame size and the window of the role")
.example("640")
.create()
.works();

const IDLE_TIMEOUT: Attribute = number(
    "idleTimeoutSeconds",
    "A connection on which nothing at all arrives for this long is ended; the other side is told, and keeps quiet connections \
     alive with empty frames. 0 never ends one.",
)
.seconds()
.range(0, 2_147_483)
.default(Number(16))
.create()
.works();

const STRIP_ANNOTATIONS: Attribute = choice(
    "stripAnnotations",
    StripAnnotations::WORDS,
    "From which messages router annotations are removed: those that come in, those that go out, both, or no.",
)
.default(Text("both"))
.create();

const LINK_CAPACITY: Attribute =
    number("linkCapacity", "How many unsettled deliveries a link may have under way: its credit.")
        .range(1, i32::MAX as i64)
        .zero_is_unset()
        .implied(Number(250))
        .create()
        .works();

const SASL_MECHANISMS: Attribute = text(
    "saslMechanisms",
    "The SASL mechanisms that may be used, separated by blanks: EXTERNAL takes the identity from the TLS certificate, PLAIN is a \
     user name and a password, ANONYMOUS has none. Without TLS a password can be read on its way. The router does not start when it does not speak one of them.",
)
.unset("EXTERNAL where the certificate allows it, PLAIN over TLS where there are passwords, and ANONYMOUS")
.example("EXTERNAL")
.create()
.guards();

const MESSAGE_LOGGING: Attribute = text(
    "messageLoggingComponents",
    "Which parts of messages the module MESSAGE logs at level debug: none, all, or names of properties separated by commas.",
)
.default(Text("none"))
.create()
.works();

const POLICY_VHOST: Attribute =
    text("policyVhost", "The vhost whose policy applies, whatever host the client asks for.")
        .example("tenant-1")
        .create()
        .works();

const OPEN_PROPERTIES: Attribute = properties(
    "openProperties",
    "Properties to send in the AMQP open, as JSON. Not for connections to routers; names that the router uses itself are refused.",
)
.example("\"team\": \"blue\"")
.create()
.works();

pub(super) static LISTENER: EntityType = EntityType {
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
        text("sslProfile", "The sslProfile for TLS. Without one the listener speaks plain text only.")
            .refers_to(EntityKind::SslProfile)
            .example("site-link")
            .create()
            .works(),
        SASL_MECHANISMS,
        flag(
            "authenticatePeer",
            "Refuse whoever does not show an identity: a verified client certificate. Set it on every listener for routers.",
        )
        .default(Flag(false))
        .create()
        .guards(),
        flag("requireEncryption", "Refuse plain text.").default(Flag(false)).create().works(),
        flag("requireSsl", "Refuse connections that do not begin with TLS.").default(Flag(false)).create().guards(),
        MAX_FRAME_SIZE,
        MAX_SESSIONS,
        MAX_SESSION_FRAMES,
        IDLE_TIMEOUT,
        number(
            "initialHandshakeTimeoutSeconds",
            "How long a connection may take until its AMQP open; 0 is the router's own limit of 10 seconds.",
        )
        .seconds()
        .range(0, 3600)
        .default(Number(0))
        .create()
        .works(),
        STRIP_ANNOTATIONS,
        LINK_CAPACITY,
        text("failoverUrls", "Other addresses of this router that clients are told, separated by commas.")
            .example("amqp://other.example.com:5672")
            .create()
            .works(),
        flag("healthz", "With http: answer /healthz.").default(Flag(true)).create().works(),
        flag("metrics", "With http: answer /metrics, in the text form of Prometheus.").default(Flag(true)).create().works(),
        flag("websockets", "With http: carry AMQP over WebSocket, subprotocol amqp.").default(Flag(true)).create().works(),
        flag("http", "Speak HTTP on this port and not AMQP.").default(Flag(false)).create().works(),
        path("httpRootDir", "With http: a folder of files to serve; setting it implies http. One that is not there serves none.")
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
            "What clients and routers that connect here may ask of management nodes: full is everything, read is all that changes \
             nothing, none is nothing. With read and none, no request of theirs goes on to another router's management node. Set it \
             on listeners for those who are to use services and not to manage the router.",
        )
        .implied(Text("full"))
        .create()
        .guards(),
        text(
            "websocketOrigins",
            "With http: from whose pages browsers may open WebSockets beside those of this host and port, as origins separated \
             by commas. * is any page, which is safe only where clients show a password.",
        )
        .example("https://console.example.com")
        .create()
        .works(),
    ],
    ..configuration("A port on which clients and other routers connect, or on which /healthz and /metrics are asked for.",
    )
};

pub(super) static CONNECTOR: EntityType = EntityType {
    own_operations: CREATED_AND_DELETED,
    own_attributes: &[
        text("host", "The address or host name to connect to.").default(Text("127.0.0.1")).create().works(),
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
        flag("allowRedirect", "Follow the other side when it sends the connection elsewhere.").default(Flag(true)).create(),
        MAX_FRAME_SIZE,
        MAX_SESSIONS,
        MAX_SESSION_FRAMES,
        IDLE_TIMEOUT,
        STRIP_ANNOTATIONS,
        LINK_CAPACITY,
        flag(
            "verifyHostname",
            "Refuse a server whose certificate does not name the host that is connected to. Turn it off only for certificates \
             whose authority serves nobody else.",
        )
        .default(Flag(true))
        .create()
        .guards(),
        text("saslUsername", "Who to be for SASL mechanisms with a password.").example("skrouterd").create().works(),
        text("saslPassword", "The password for SASL: env:NAME, file:PATH, pass:TEXT, or the password itself.")
            .example("file:/etc/skrouterd/sasl-password")
            .create()
            .works()
            .hidden(),
        MESSAGE_LOGGING,
        text("failoverUrls", "The addresses that are tried in turn: the configured one and those the other side told."),
        text("connectionStatus", "How the connection is doing."),
        text("connectionMsg", "What the last attempt or the present connection has to say."),
        POLICY_VHOST,
        OPEN_PROPERTIES,
    ],
    further_attributes: &[flag(
        "trustFailover",
        "Treat addresses that the other side tells as if they were configured: a server there shows a certificate for its own \
             address, and gets the password. With no, it must show one for the configured host, and gets none.",
    )
    .implied(Flag(false))
    .create()
    .guards()],
    ..configuration("A connection that the router makes and keeps: a link to another router, or to an AMQP server.")
};
