//! The data model of the admin socket: what each route answers, and the trait that supplies it.
//!
//! Every type is written by the daemon and read by `skup`, which may be of another release: all
//! fields have defaults, unknown ones are ignored, and a field never changes its meaning. Instants
//! are RFC 3339 texts in UTC, durations whole seconds, octets are counted on the wire of the
//! connection they belong to. No secret has a place here.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::reason::{self, Reason};

/// Where the answers come from. Implemented over the running router; called from a thread for
/// blocking work, never from one that carries traffic or keeps time. An implementation may take the
/// locks of the tables for as long as copying takes, and must not wait.
pub trait Source: Send + Sync {
    /// The router as a whole.
    fn status(&self) -> Status;
    /// Site links: those configured here, then those that other sites hold to us.
    fn links(&self) -> Vec<Link>;
    /// Services: every address that a listener or connector here or a router elsewhere names.
    fn services(&self) -> Vec<Service>;
    /// Every open connection, of AMQP and of services.
    fn connections(&self) -> Vec<Connection>;
    /// Every router known, this one included.
    fn routers(&self) -> Vec<Router>;
    /// The address table.
    fn addresses(&self) -> Vec<Address>;
    /// What is running.
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
    /// Routers to which a site link is active, in either direction; one with two links counts
    /// once.
    pub sites_linked: u64,
    /// Site links configured here.
    pub links_configured: u64,
    /// How many of them are active.
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
    /// What an operator should look at: settings without effect, ports held by others,
    /// certificates soon to expire.
    pub warnings: Vec<Notice>,
    /// The last errors logged, newest first; the daemon keeps a bounded number.
    pub errors: Vec<Notice>,
}

/// A warning or an error, with how often it was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Notice {
    /// When it was seen last.
    pub at: Timestamp,
    /// How often it was seen since start; repeats of one text are one notice.
    pub count: u64,
    /// One line.
    pub text: String,
}

/// Who made a connection or link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// We connected.
    #[default]
    Out,
    /// The other end connected to us.
    In,
}

/// How a site link stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkState {
    /// Both control links attached and HELLO heard both ways.
    Active,
    /// Connected, or connecting now, but not active yet: the first time, or again after a failure.
    Connecting,
    /// Not connected; tried again at `next_try`.
    #[default]
    NotConnected,
    /// Taken out of service by the operator; not tried.
    Stopped,
}

/// The other end of a site link, as it named itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Peer {
    /// Its router id, from its first HELLO or, before, its container id.
    pub router_id: String,
    /// Its release, if it told.
    pub version: Option<String>,
}

/// What TLS settled on, and whom it proved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tls {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: String,
    /// Name of the cipher suite.
    pub cipher: String,
    /// Subject of the peer's certificate; none if it showed none.
    pub peer_subject: Option<String>,
    /// Until when that certificate is valid.
    pub peer_not_after: Option<Timestamp>,
}

/// One site link, in the answer of `/links`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Link {
    /// Name of the connector, or for a link that another site holds to us that of the listener.
    pub name: String,
    /// `Out` for a link configured here.
    pub direction: Direction,
    /// `inter-router` or `edge`.
    pub role: String,
    /// Host as configured; for a link to us the address the other site came from.
    pub host: String,
    /// Port as configured, a number or a service name.
    pub port: String,
    /// Cost of the link to the routing.
    pub cost: u32,
    /// How it stands.
    pub state: LinkState,
    /// Why it is not active; with an active link what limits it.
    #[serde(serialize_with = "reason::with_text", deserialize_with = "reason::from_text")]
    pub reason: Option<Reason>,
    /// When it came into this state.
    pub since: Timestamp,
    /// Seconds since then, by the monotonic clock.
    pub since_seconds: u64,
    /// Attempts that failed since it was last active.
    pub failures: u64,
    /// When it is tried next.
    pub next_try: Option<Timestamp>,
    /// Who is at the other end, once that is known; kept after the link is lost.
    pub peer: Option<Peer>,
    /// Open data connections beside the control connection.
    pub data_connections: u32,
    /// How many there are to be.
    pub data_connections_wanted: u32,
    /// Control links attached, of the two there are.
    pub control_links: u8,
    /// HELLO was heard from the peer and the peer heard ours.
    pub hello: bool,
    /// TLS of the control connection; none when it runs without.
    pub tls: Option<Tls>,
    /// Octets received over the control and data connections since the link was created.
    pub octets_in: u64,
    /// Octets sent.
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
    /// Where clients reach it at this router.
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
    /// The port is open to clients: somebody serves the address.
    pub listening: bool,
    /// Why not, where it is more than that nobody serves the address: the port is held by another
    /// process, say.
    pub error: Option<Notice>,
    /// Clients' connections open.
    pub connections_open: u64,
    /// Clients' connections accepted since start.
    pub connections_total: u64,
    /// Octets from clients.
    pub octets_in: u64,
    /// Octets to clients.
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
    /// Connections to the backend open.
    pub connections_open: u64,
    /// Connections to the backend made since start.
    pub connections_total: u64,
    /// Dials that failed.
    pub failed_dials: u64,
    /// The last of those failures.
    pub error: Option<Notice>,
    /// Octets from the backend.
    pub octets_in: u64,
    /// Octets to the backend.
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
    /// Who connected.
    pub direction: Direction,
    /// Address and port of the other end.
    pub host: String,
    /// Name of the listener or connector it belongs to.
    pub entity: String,
    /// The peer's container id, for AMQP.
    pub container: Option<String>,
    /// Address of the service, for a service connection.
    pub address: Option<String>,
    /// The TLS it runs in.
    pub tls: Option<Tls>,
    /// When it was opened.
    pub opened: Timestamp,
    /// Seconds since then.
    pub uptime_seconds: u64,
    /// Octets received.
    pub octets_in: u64,
    /// Octets sent.
    pub octets_out: u64,
}

/// One router, in the answer of `/routers`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Router {
    /// Its id.
    pub id: String,
    /// It is this one.
    pub local: bool,
    /// The neighbor through which it is reached: itself for a neighbor; none for this router or
    /// while it is unreachable.
    pub next_hop: Option<String>,
    /// Cost of the way; none while it is unreachable.
    pub cost: Option<u64>,
    /// Its neighbors, as it tells.
    pub neighbors: Vec<String>,
    /// When something of its routing protocol was heard last; none for this router.
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
    /// Routers that have consumers of it.
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
