//! The data model of the admin socket: the answer of each route, and the trait that supplies them.
//!
//! The daemon writes every type here and `skup` reads it, possibly in another release. So every
//! field has a default, a reader ignores unknown fields, and a field never changes its meaning.
//!
//! Instants are RFC 3339 texts in UTC, durations are whole seconds. Fields named `octets` count
//! bytes on the wire of the connection. No type holds a secret.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::reason::{self, Reason};

/// The source of the answers, which the running router implements.
///
/// Call it on a thread for blocking work, never on one that carries traffic or keeps time. An
/// implementation may hold a table's lock for as long as it copies the table. It must not wait
/// otherwise.
pub trait Source: Send + Sync {
    /// Returns the state of the router as a whole.
    fn status(&self) -> Status;
    /// Returns the site links: first those configured here, then those that other sites made to us.
    fn links(&self) -> Vec<Link>;
    /// Returns every address that a listener or connector here, or a router elsewhere, names.
    fn services(&self) -> Vec<Service>;
    /// Returns every open connection, of AMQP and of services.
    fn connections(&self) -> Vec<Connection>;
    /// Returns every router known, this one included.
    fn routers(&self) -> Vec<Router>;
    /// Returns the address table.
    fn addresses(&self) -> Vec<Address>;
    /// Returns the name and versions of the running program.
    fn version(&self) -> Version;
}

/// The answer of `/status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The router's id, unique in its network.
    pub router_id: String,
    /// `interior`, `edge` or `standalone`.
    pub mode: String,
    /// Release of the running router.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// Name of the site, if the configuration has a `site`.
    pub site: Option<String>,
    /// When the router started.
    pub started: Timestamp,
    /// Seconds since then, by the monotonic clock.
    pub uptime_seconds: u64,
    /// Routers with an active site link, in either direction. A router with two links counts once.
    pub sites_linked: u64,
    /// Site links configured here.
    pub links_configured: u64,
    /// Configured site links that are active.
    pub links_active: u64,
    /// Routers reachable, this one not counted.
    pub routers_reachable: u64,
    /// Services for which a connector exists here or at a reachable router.
    pub services_seen: u64,
    /// Open connections that speak AMQP.
    pub amqp_connections: u64,
    /// Open service connections.
    pub service_connections: u64,
    /// True from the signal to stop until the exit.
    pub draining: bool,
    /// Warnings for the operator: settings without effect, ports that other processes hold.
    pub warnings: Vec<Notice>,
    /// The last errors in the log, newest first. The daemon keeps a bounded number.
    pub errors: Vec<Notice>,
}

/// A warning or an error, with a count of its repeats.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Notice {
    /// The last time it was seen.
    pub at: Timestamp,
    /// Times it was seen since start. Repeats of one text are one notice.
    pub count: u64,
    /// The text, one line.
    pub text: String,
}

/// The side that made a connection or link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// We connected.
    #[default]
    Out,
    /// The other end connected to us.
    In,
}

/// The state of a site link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkState {
    /// Both control links are attached, and HELLO has passed both ways.
    Active,
    /// Connected or about to connect, but not active yet. This may be the first try or a later one.
    Connecting,
    /// Not connected. The router tries again at `next_try`.
    #[default]
    NotConnected,
    /// Taken out of service by the operator. The router does not try it.
    Stopped,
}

/// The other end of a site link, as it named itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Peer {
    /// The peer's router id from its first HELLO; before that its container id.
    pub router_id: String,
    /// The peer's release, if the peer gave it.
    pub version: Option<String>,
}

/// The parameters of a TLS session, and the peer's certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tls {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: String,
    /// Name of the cipher suite.
    pub cipher: String,
    /// Subject of the peer's certificate; `None` without a certificate.
    pub peer_subject: Option<String>,
    /// End of that certificate.
    pub peer_not_after: Option<Timestamp>,
}

/// One site link, in the answer of `/links`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Link {
    /// Name of the connector; for a link that another site made to us, the listener's name.
    pub name: String,
    /// `Out` for a link configured here.
    pub direction: Direction,
    /// `inter-router` or `edge`.
    pub role: String,
    /// Host as configured; for a link to us, the address of the other site.
    pub host: String,
    /// Port as configured, a number or a service name.
    pub port: String,
    /// Cost of the link in the routing protocol.
    pub cost: u32,
    /// The link's state.
    pub state: LinkState,
    /// The reason why it is not active, or the limit of an active link.
    #[serde(serialize_with = "reason::with_text", deserialize_with = "reason::from_text")]
    pub reason: Option<Reason>,
    /// The time of the last change of `state`.
    pub since: Timestamp,
    /// Seconds since then, by the monotonic clock.
    pub since_seconds: u64,
    /// Failed attempts since the link was last active.
    pub failures: u64,
    /// Time of the next attempt.
    pub next_try: Option<Timestamp>,
    /// The other end, once known. It stays after the link is lost.
    pub peer: Option<Peer>,
    /// Open data connections, beside the control connection.
    pub data_connections: u32,
    /// Data connections that the link should have.
    pub data_connections_wanted: u32,
    /// Attached control links, at most two.
    pub control_links: u8,
    /// True if HELLO passed both ways.
    pub hello: bool,
    /// TLS of the control connection; `None` without TLS.
    pub tls: Option<Tls>,
    /// Bytes received over the control and data connections since the link was created.
    pub octets_in: u64,
    /// Bytes sent over them.
    pub octets_out: u64,
}

/// One service, in the answer of `/services`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    /// The address by which listeners and connectors find each other.
    pub address: String,
    /// `tcp`.
    pub protocol: String,
    /// Listeners of this router, at which clients reach it.
    pub listeners: Vec<ServiceListener>,
    /// Backends that this router dials for it.
    pub connectors: Vec<ServiceConnector>,
    /// Reachable routers that have connectors for it, this one included.
    pub routers: Vec<String>,
}

/// One `tcpListener`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceListener {
    /// Name of the entity.
    pub name: String,
    /// Host as configured.
    pub host: String,
    /// Port as configured.
    pub port: String,
    /// True if the port is open to clients, because the address has a consumer.
    pub listening: bool,
    /// Why the port is closed although the address has a consumer: another process holds the port,
    /// for example.
    pub error: Option<Notice>,
    /// Open connections of clients.
    pub connections_open: u64,
    /// Connections of clients accepted since start.
    pub connections_total: u64,
    /// Bytes from clients.
    pub octets_in: u64,
    /// Bytes to clients.
    pub octets_out: u64,
}

/// One `tcpConnector`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceConnector {
    /// Name of the entity.
    pub name: String,
    /// Host as configured.
    pub host: String,
    /// Port as configured.
    pub port: String,
    /// Open connections to the backend.
    pub connections_open: u64,
    /// Connections to the backend made since start.
    pub connections_total: u64,
    /// Failed dials.
    pub failed_dials: u64,
    /// The last of those failures.
    pub error: Option<Notice>,
    /// Bytes from the backend.
    pub octets_in: u64,
    /// Bytes to the backend.
    pub octets_out: u64,
}

/// One connection, in the answer of `/connections`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Connection {
    /// Number by which the log names it: `[C7]` is 7.
    pub id: u64,
    /// `amqp` or `tcp`.
    pub protocol: String,
    /// `normal`, `inter-router`, `inter-router-data`, `edge`, or `service`.
    pub role: String,
    /// The side that connected.
    pub direction: Direction,
    /// Address and port of the other end.
    pub host: String,
    /// Name of the listener or connector it belongs to.
    pub entity: String,
    /// The peer's container id, for AMQP.
    pub container: Option<String>,
    /// Address of the service, for a service connection.
    pub address: Option<String>,
    /// Its TLS session; `None` without TLS.
    pub tls: Option<Tls>,
    /// When it opened.
    pub opened: Timestamp,
    /// Seconds since then.
    pub uptime_seconds: u64,
    /// Bytes received.
    pub octets_in: u64,
    /// Bytes sent.
    pub octets_out: u64,
}

/// One router, in the answer of `/routers`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Router {
    /// Its id.
    pub id: String,
    /// True for the router that answers.
    pub local: bool,
    /// Neighbor on the way to it: the router itself if it is a neighbor; `None` for this router and
    /// for an unreachable one.
    pub next_hop: Option<String>,
    /// Cost of the way; `None` while the router is unreachable.
    pub cost: Option<u64>,
    /// Its neighbors, by its own account.
    pub neighbors: Vec<String>,
    /// When its last routing message arrived; `None` for this router.
    pub last_heard: Option<Timestamp>,
}

/// One entry of the address table, in the answer of `/addresses`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Address {
    /// Key in the table, class letter first: `Mhello`.
    pub key: String,
    /// The class in a word: `mobile`, `topological`, `local`, `router`, `edge`, `link-route`.
    pub class: String,
    /// `balanced`, `closest` or `multicast`.
    pub treatment: String,
    /// Consumers attached to this router, connectors of services included.
    pub local_consumers: u64,
    /// Handlers in this router's process.
    pub in_process: u64,
    /// Other routers with consumers of it.
    pub remote_routers: Vec<String>,
}

/// The answer of `/version`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Version {
    /// `skrouterd`.
    pub name: String,
    /// Release.
    pub version: String,
    /// Version of the inter-router protocol it speaks.
    pub protocol: u32,
    /// Id of the router that answers.
    pub router_id: String,
}
