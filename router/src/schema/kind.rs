//! The entity types by name.

use std::fmt;

/// The beginning of every long type name.
pub const PREFIX: &str = "io.skupper.router.";

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),+ $(,)?) => {
        /// An entity type of the management schema. The methods tell what the table says of it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EntityKind { $($(#[$doc])* $variant),+ }

        impl EntityKind {
            /// Every type, in the order in which management tells them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the name without [`PREFIX`].
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

kinds! {
    /// The base of all.
    Entity = "entity",
    /// The management node of the AMQP draft.
    AmqpManagement = "org.amqp.management",
    /// The management node of this router.
    Management = "management",
    /// The base of all that configure the router.
    ConfigurationEntity = "configurationEntity",
    /// The base of all that tell what the router does.
    OperationalEntity = "operationalEntity",
    /// The router's numbers.
    RouterMetrics = "routerMetrics",
    /// The router itself.
    Router = "router",
    /// The network of routers.
    Network = "network",
    /// The site.
    Site = "site",
    /// A TLS profile.
    SslProfile = "sslProfile",
    /// A proxy.
    ProxyProfile = "proxyProfile",
    /// A port for AMQP or HTTP.
    Listener = "listener",
    /// Connections that the router keeps.
    Connector = "connector",
    /// A port of a service.
    TcpListener = "tcpListener",
    /// A server of a service.
    TcpConnector = "tcpConnector",
    /// One address of a tcpListener that has several.
    ListenerAddress = "listenerAddress",
    /// The log settings of a module.
    Log = "log",
    /// How much a module logged.
    LogStats = "logStats",
    /// How messages to some addresses are spread.
    ConfigAddress = "router.config.address",
    /// A link that the router attaches by itself.
    AutoLink = "router.config.autoLink",
    /// An attached link.
    Link = "router.link",
    /// An address in use.
    Address = "router.address",
    /// A router of the network.
    Node = "router.node",
    /// An open connection.
    Connection = "connection",
    /// An open service connection.
    TcpConnection = "tcpConnection",
    /// A pool of memory.
    Allocator = "allocator",
    /// Limits for clients.
    Policy = "policy",
    /// The rules for clients of one host.
    Vhost = "vhost",
    /// The rules of a vhost for a group of users.
    VhostUserGroupSettings = "vhostUserGroupSettings",
    /// A vhost's numbers.
    VhostStats = "vhostStats",
    /// An entity without effect, for tests of management clients.
    Dummy = "dummy",
}

impl EntityKind {
    /// Returns the name with [`PREFIX`], as it stands in the `type` attribute.
    pub fn long_name(self) -> String {
        format!("{PREFIX}{}", self.name())
    }
}

impl fmt::Display for EntityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
