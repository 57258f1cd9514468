//! The enumerations of the schema. The table takes its words from here.

use std::fmt;
use std::str::FromStr;

use super::entity::FromValue;
use super::{Problem, Value};

macro_rules! words {
    (
        $(#[$meta:meta])*
        $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal),+ $(,)? }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])* $variant),+ }

        impl $name {
            /// The words, in the schema's order.
            pub const WORDS: &'static [&'static str] = &[$($word),+];
            /// The values, in the schema's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the word of the schema for it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = Problem;

            fn from_str(text: &str) -> Result<Self, Problem> {
                let found = Self::ALL.iter().copied().find(|value| value.as_str() == text);
                found.ok_or_else(|| Problem::WrongType {
                    given: super::quote(text),
                    wanted: format!("one of {}", Self::WORDS.join(", ")),
                })
            }
        }

        impl FromValue for $name {
            fn from_value(value: &Value) -> Result<Self, Problem> {
                String::from_value(value)?.parse()
            }
        }
    };
}

words! {
    /// How a router takes part in a network.
    Mode {
        /// On its own: only clients connect.
        Standalone = "standalone",
        /// A full member: routes, and computes routes.
        Interior = "interior",
        /// A leaf with one uplink to an interior router.
        Edge = "edge",
    }
}

words! {
    /// The peer of a connection.
    Role {
        /// A client.
        Normal = "normal",
        /// An interior router of this network.
        InterRouter = "inter-router",
        /// A broker or other container whose links are routed to.
        RouteContainer = "route-container",
        /// An edge router, or for an edge router its uplink.
        Edge = "edge",
        /// Another edge router.
        InterEdge = "inter-edge",
        /// A router of another network.
        InterNetwork = "inter-network",
    }
}

impl Role {
    /// Returns whether the peer is a router.
    pub fn is_router(self) -> bool {
        matches!(self, Self::InterRouter | Self::Edge | Self::InterEdge | Self::InterNetwork)
    }

    /// Returns whether the router serves connections of this role.
    pub const fn is_served(self) -> bool {
        !matches!(self, Self::InterNetwork)
    }

    /// Returns whether the AMQP open of such a connection may have properties of the operator's
    /// choice.
    pub const fn takes_open_properties(self) -> bool {
        !matches!(self, Self::InterRouter | Self::Edge)
    }
}

words! {
    /// The way in which messages of an address are spread over its consumers.
    Distribution {
        /// Each message to all consumers.
        Multicast = "multicast",
        /// Each message to one of the nearest.
        Closest = "closest",
        /// Each message to one, by distance and load.
        Balanced = "balanced",
        /// Refused.
        Unavailable = "unavailable",
    }
}

words! {
    /// The operations that peers of a listener may ask of management nodes.
    ManagementAccess {
        /// Everything.
        Full = "full",
        /// Operations that change nothing, of this router alone.
        Read = "read",
        /// Nothing.
        None = "none",
    }
}

words! {
    /// The family of addresses a socket may use.
    AddressFamily {
        /// IPv4 only.
        V4 = "IPv4",
        /// IPv6 only.
        V6 = "IPv6",
    }
}

words! {
    /// On which side of a connection router annotations are removed from messages.
    StripAnnotations {
        /// From messages that arrive.
        In = "in",
        /// From messages that leave.
        Out = "out",
        /// Both ways.
        Both = "both",
        /// Neither.
        No = "no",
    }
}

words! {
    /// The way in which a tcpListener with several addresses picks one for a connection.
    MultiAddressStrategy {
        /// There is only one address.
        None = "none",
        /// The reachable address of the highest value.
        Priority = "priority",
        /// At random among the reachable, in proportion to their values.
        Weighted = "weighted",
    }
}

words! {
    /// The application protocol that the router looks for in a service connection.
    Observer {
        /// None.
        None = "none",
        /// The one that the first bytes tell.
        Auto = "auto",
        /// HTTP/1.
        Http1 = "http1",
        /// HTTP/2.
        Http2 = "http2",
    }
}

words! {
    /// A part of the router that logs, or `DEFAULT` for all without an entity of their own.
    LogModule {
        /// Start and stop.
        Router = "ROUTER",
        /// Connections, links and addresses.
        RouterCore = "ROUTER_CORE",
        /// HELLO messages.
        RouterHello = "ROUTER_HELLO",
        /// Link states and routes.
        RouterLs = "ROUTER_LS",
        /// Mobile addresses.
        RouterMa = "ROUTER_MA",
        /// Single messages.
        Message = "MESSAGE",
        /// Sockets.
        Server = "SERVER",
        /// Management.
        Agent = "AGENT",
        /// AMQP containers.
        Container = "CONTAINER",
        /// Errors.
        Error = "ERROR",
        /// Policy.
        Policy = "POLICY",
        /// The HTTP listener.
        Http = "HTTP",
        /// Listeners, connectors, TLS profiles.
        ConnMgr = "CONN_MGR",
        /// Nothing. Old files name it.
        Python = "PYTHON",
        /// AMQP frames.
        Protocol = "PROTOCOL",
        /// Service connections.
        TcpAdaptor = "TCP_ADAPTOR",
        /// Nothing. Old files name it.
        HttpAdaptor = "HTTP_ADAPTOR",
        /// Flow records.
        FlowLog = "FLOW_LOG",
        /// Watched addresses.
        AddressWatch = "ADDRESS_WATCH",
        /// The HTTP/1 observer.
        Http1Observer = "HTTP1_OBSERVER",
        /// The HTTP/2 observer.
        Http2Observer = "HTTP2_OBSERVER",
        /// The HTTP/2 decoder.
        Http2Decoder = "HTTP2_DECODER",
        /// Every module without an entity of its own.
        Default = "DEFAULT",
    }
}

words! {
    /// A SASL mechanism that this router speaks.
    SaslMechanism {
        /// The identity is that of the TLS certificate.
        External = "EXTERNAL",
        /// No identity.
        Anonymous = "ANONYMOUS",
        /// A user name and a password.
        Plain = "PLAIN",
    }
}

/// The SASL mechanisms that a listener offers or a connector may choose, in order of preference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaslMechanisms(Vec<SaslMechanism>);

impl SaslMechanisms {
    /// In order of preference.
    pub fn iter(&self) -> impl Iterator<Item = SaslMechanism> + '_ {
        self.0.iter().copied()
    }

    /// Returns whether `mechanism` is among them.
    pub fn contains(&self, mechanism: SaslMechanism) -> bool {
        self.0.contains(&mechanism)
    }
}

impl FromStr for SaslMechanisms {
    type Err = Problem;

    /// Reads names separated by blanks or commas.
    ///
    /// # Errors
    /// The router does not speak a mechanism. Leaving it out in silence would change who gets in.
    fn from_str(text: &str) -> Result<Self, Problem> {
        let mut mechanisms = Vec::new();
        for name in text.split([' ', ',', '\t']).filter(|name| !name.is_empty()) {
            let mechanism =
                name.to_ascii_uppercase().parse().map_err(|_| Problem::Unsupported {
                    what: format!("SASL mechanism {}", super::quote(name)),
                    supported: SaslMechanism::WORDS.join(", "),
                })?;
            if !mechanisms.contains(&mechanism) {
                mechanisms.push(mechanism);
            }
        }
        Ok(Self(mechanisms))
    }
}

impl FromValue for SaslMechanisms {
    fn from_value(value: &Value) -> Result<Self, Problem> {
        String::from_value(value)?.parse()
    }
}

/// The parts of messages that are logged: `messageLoggingComponents`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MessageComponents {
    /// Nothing.
    #[default]
    None,
    /// Everything but the body.
    All,
    /// These.
    Some(Vec<String>),
}

impl MessageComponents {
    /// Returns whether nothing is logged.
    pub const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Returns whether a part is logged.
    pub fn has(&self, part: &str) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Some(parts) => parts.iter().any(|known| known == part),
        }
    }
}

impl FromStr for MessageComponents {
    type Err = Problem;

    /// Reads `none`, `all`, or names of parts separated by commas. A name that no part has matches
    /// nothing.
    fn from_str(text: &str) -> Result<Self, Problem> {
        let parts: Vec<_> =
            text.split([',', ' ']).filter(|part| !part.is_empty()).map(str::to_owned).collect();
        Ok(match parts.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] | ["none"] => Self::None,
            ["all"] => Self::All,
            _ => Self::Some(parts),
        })
    }
}

impl FromValue for MessageComponents {
    const EMPTY_IS_ABSENT: bool = false;

    fn from_value(value: &Value) -> Result<Self, Problem> {
        String::from_value(value)?.parse()
    }
}

impl StripAnnotations {
    /// Returns whether messages that come in lose their router annotations.
    pub const fn strips_in(self) -> bool {
        matches!(self, Self::In | Self::Both)
    }

    /// Returns whether messages that go out lose their router annotations.
    pub const fn strips_out(self) -> bool {
        matches!(self, Self::Out | Self::Both)
    }
}
