//! What is known of connections, for status and metrics.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, SystemTime};

use skupper_proto::amqp::Value;
use skupper_proto::amqp::performative::Error;
use skupper_proto::time::Instant;
use tokio::sync::Notify;

use super::Dismissal;
use super::links::Links;
use super::walk::Walk;
use crate::core::{Command, Delivery, EdgeConnection, Mailbox};
use crate::lock::Mutex;
use crate::log::{self, Level, Module};
use crate::schema::ManagementAccess;

/// Octets over a connection, and when its last delivery began.
#[derive(Debug, Default)]
pub struct Octets {
    received: AtomicU64,
    sent: AtomicU64,
    /// Of a service connection: where what is sent comes from, and what was taken from there and
    /// is not sent.
    feed: OnceLock<Weak<Delivery>>,
    unwritten: AtomicUsize,
    /// In microseconds of the router's clock; 0: there was none.
    last_delivery: AtomicU64,
    /// When the first octet was received, and sent, in the same terms.
    first_received: AtomicU64,
    first_sent: AtomicU64,
}

impl Octets {
    /// Counts octets received.
    pub fn receive(&self, octets: usize) {
        self.received.fetch_add(octets as u64, Ordering::Relaxed);
    }

    /// Counts octets sent.
    pub fn send(&self, octets: usize) {
        self.sent.fetch_add(octets as u64, Ordering::Relaxed);
    }

    /// Octets have been received: notes when the first of them were.
    pub fn note_received(&self, now: impl FnOnce() -> Instant) {
        note(&self.first_received, now);
    }

    /// Octets have been sent: notes when the first of them were.
    pub fn note_sent(&self, now: impl FnOnce() -> Instant) {
        note(&self.first_sent, now);
    }

    /// Microseconds from the first octet received to the first sent; negative if that was before.
    pub fn latency(&self) -> Option<i64> {
        let [received, sent] =
            [&self.first_received, &self.first_sent].map(|first| first.load(Ordering::Relaxed));
        (received > 0 && sent > 0).then(|| {
            i64::try_from(sent).unwrap_or(i64::MAX) - i64::try_from(received).unwrap_or(i64::MAX)
        })
    }

    /// Names the stream that a service connection's socket is fed with.
    pub fn set_feed(&self, feed: &Arc<Delivery>) {
        let _ = self.feed.set(Arc::downgrade(feed));
    }

    /// So many octets were taken from that stream and are not sent.
    pub fn set_unwritten(&self, octets: usize) {
        self.unwritten.store(octets, Ordering::Relaxed);
    }

    /// Octets that wait for the reader of a service connection.
    pub fn waiting(&self) -> usize {
        let feed = self.feed.get().and_then(Weak::upgrade);
        self.unwritten.load(Ordering::Relaxed) + feed.map_or(0, |feed| feed.window().0)
    }

    /// A delivery began, in either direction.
    pub fn delivery(&self, now: Instant) {
        self.last_delivery.store(now.as_micros().max(1), Ordering::Relaxed);
    }

    /// How long ago the last delivery began.
    pub fn since_delivery(&self, now: Instant) -> Option<Duration> {
        match self.last_delivery.load(Ordering::Relaxed) {
            0 => None,
            at => Some(Duration::from_micros(now.as_micros().saturating_sub(at))),
        }
    }

    /// Octets received and sent.
    pub fn get(&self) -> (u64, u64) {
        (self.received.load(Ordering::Relaxed), self.sent.load(Ordering::Relaxed))
    }
}

fn note(first: &AtomicU64, now: impl FnOnce() -> Instant) {
    if first.load(Ordering::Relaxed) == 0 {
        first.store(now().as_micros().max(1), Ordering::Relaxed);
    }
}

/// Flows that have ended and wait to be told.
const MAX_ENDED: usize = 5000;

/// How a connection is closed from outside of its task.
#[derive(Clone, Debug)]
pub enum Closer {
    /// An AMQP connection, which sends close.
    Amqp(Arc<Mailbox>),
    /// A service connection, which resets its socket.
    Service(Arc<Dismissal>),
}

impl Closer {
    /// Closes it, an AMQP connection with `error`.
    pub fn close(&self, error: Option<Error>) {
        match self {
            // One that is gone needs no closing.
            Self::Amqp(mailbox) => drop(mailbox.send(Command::Close(error))),
            Self::Service(word) => word.say("closed by management"),
        }
    }
}

/// What an AMQP peer said of itself.
#[derive(Clone, Debug, Default)]
pub struct PeerInfo {
    /// The SASL mechanism, if there was SASL.
    pub sasl: Option<&'static str>,
    /// Who it is, if it said so.
    pub user: Option<String>,
    /// The properties of its open that are text or integers; a bounded number.
    pub properties: Vec<(String, Value)>,
    /// What the connections of one connector have in common.
    pub correlator: Option<String>,
    /// The TLS ordinal of that group.
    pub ordinal: Option<u64>,
}

/// Whether a connection's frames are logged.
#[derive(Debug, Default)]
pub struct Trace(AtomicU8);

impl Trace {
    /// Says whether, whatever the log's levels are.
    pub fn set(&self, on: bool) {
        self.0.store(if on { 1 } else { 2 }, Ordering::Relaxed);
    }

    /// Whether they are: as was said, or else as the module PROTOCOL has it.
    pub fn is_on(&self) -> bool {
        match self.0.load(Ordering::Relaxed) {
            0 => log::enabled(Module::Protocol, Level::Debug),
            said => said == 1,
        }
    }
}

/// The other end of a connection, as it is known. Its text is made when somebody asks for it.
#[derive(Clone, Debug)]
pub enum Host {
    /// The address that a client came from.
    Address(SocketAddr),
    /// What is configured, or what else there is to say.
    Text(Arc<str>),
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// An open connection.
#[derive(Debug)]
pub struct ConnectionRecord {
    /// The number by which the log names it.
    pub id: u64,
    /// `amqp` or `tcp`.
    pub protocol: &'static str,
    /// `normal`, `inter-router`, `inter-router-data`, `edge` or `service`.
    pub role: &'static str,
    /// Whether we connected.
    pub outgoing: bool,
    /// The other end.
    pub host: Host,
    /// Name of its listener or connector.
    pub entity: Arc<str>,
    /// The peer's container-id.
    pub container: Option<Arc<str>>,
    /// The service, of a service connection.
    pub address: Option<Arc<str>>,
    /// Its TLS.
    pub tls: Option<Arc<crate::tls::SessionInfo>>,
    /// What the peer said of itself, of an AMQP connection.
    pub peer: PeerInfo,
    /// How it is closed.
    pub closer: Closer,
    /// An edge connection as the core knows it.
    pub edge: Option<Arc<EdgeConnection>>,
    /// Its peer may have others' connections closed, as far as policy has a say.
    pub may_close_others: bool,
    /// What its peer may ask of management nodes.
    pub management: ManagementAccess,
    /// Whether its frames are logged, of an AMQP connection.
    pub trace: Option<Arc<Trace>>,
    /// When it was opened.
    pub opened: (SystemTime, Instant),
    /// Octets of its payload.
    pub octets: Arc<Octets>,
    /// The identity of its flow record, of a service connection.
    pub flow: Option<Arc<str>>,
    /// Our end's address, where flow records tell it.
    pub local: Option<SocketAddr>,
}

/// All open connections, and what was refused.
#[derive(Debug, Default)]
pub struct Registry {
    next: AtomicU64,
    records: AtomicU64,
    connections: Mutex<BTreeMap<u64, Arc<ConnectionRecord>>>,
    /// The most connections there were since this was asked for.
    most: AtomicUsize,
    /// Service connections that are being made: dialed, or in their handshake.
    coming: AtomicUsize,
    refused: Mutex<BTreeMap<(String, &'static str), u64>>,
    links: Arc<Links>,
    left: Notify,
    /// Whether flows that end are kept until they are told.
    keeps_flows: AtomicBool,
    flows: Mutex<Vec<(Arc<ConnectionRecord>, SystemTime)>>,
    failed_flows: Mutex<Vec<FailedFlow>>,
}

/// A client's connection whose server could not be reached.
#[derive(Clone, Debug)]
pub struct FailedFlow {
    /// The identity of its flow record.
    pub flow: String,
    /// The tcpConnector.
    pub entity: Arc<str>,
    /// Why.
    pub error: String,
}

/// A connection's entry, gone when dropped.
#[derive(Debug)]
pub struct Registered {
    registry: Arc<Registry>,
    id: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        let record = self.registry.connections.lock().remove(&self.id);
        if let Some(record) = record.filter(|record| {
            record.flow.is_some() && self.registry.keeps_flows.load(Ordering::Relaxed)
        }) {
            let mut flows = self.registry.flows.lock();
            if flows.len() < MAX_ENDED {
                flows.push((record, SystemTime::now()));
            }
        }
        self.registry.left.notify_waiters();
    }
}

/// A service connection that is being made, until this is dropped.
#[derive(Debug)]
pub struct Coming(Arc<Registry>);

impl Drop for Coming {
    fn drop(&mut self) {
        self.0.coming.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Registry {
    /// A number for a connection that begins.
    pub fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A number for a flow record. Two are taken: 0 is the router's record, 1 that of its site.
    pub fn record_number(&self) -> u64 {
        self.records.fetch_add(1, Ordering::Relaxed) + 2
    }

    /// Numbers given so far: connections that came about, opened or not.
    pub fn numbers_given(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// Enters a connection, or enters it anew under its number.
    pub fn enter(self: &Arc<Self>, record: ConnectionRecord) -> Registered {
        let id = record.id;
        let mut connections = self.connections.lock();
        connections.insert(id, Arc::new(record));
        self.most.fetch_max(connections.len(), Ordering::Relaxed);
        drop(connections);
        Registered { registry: Arc::clone(self), id }
    }

    /// How many connections there are, and the most there were since the last call.
    pub fn count(&self) -> (usize, usize) {
        let connections = self.connections.lock();
        (connections.len(), self.most.swap(connections.len(), Ordering::Relaxed))
    }

    /// The flows that have ended since the last call, if they are kept; and whether they are from
    /// now on.
    pub fn take_flows(&self, keep: bool) -> Vec<(Arc<ConnectionRecord>, SystemTime)> {
        self.keeps_flows.store(keep, Ordering::Relaxed);
        std::mem::take(&mut *self.flows.lock())
    }

    /// A client's connection cannot be carried on to its server.
    pub fn flow_failed(&self, failed: FailedFlow) {
        let mut flows = self.failed_flows.lock();
        if self.keeps_flows.load(Ordering::Relaxed) && flows.len() < MAX_ENDED {
            flows.push(failed);
        }
    }

    /// Those that could not be carried on since the last call, if they are kept.
    pub fn take_failed_flows(&self) -> Vec<FailedFlow> {
        std::mem::take(&mut *self.failed_flows.lock())
    }

    /// The links of AMQP connections.
    pub const fn links(&self) -> &Arc<Links> {
        &self.links
    }

    /// Every open connection, by number.
    pub fn connections(&self) -> Vec<Arc<ConnectionRecord>> {
        self.all().collect()
    }

    /// The same, one by one. Connections may come and go meanwhile.
    pub fn all(&self) -> impl Iterator<Item = Arc<ConnectionRecord>> + Send + '_ {
        Walk::new(&self.connections)
    }

    /// A service connection is being made. What is returned must live until it has been entered, or
    /// has failed.
    pub fn coming(self: &Arc<Self>) -> Coming {
        self.coming.fetch_add(1, Ordering::AcqRel);
        Coming(Arc::clone(self))
    }

    /// How many connections are open with AMQP peers.
    pub fn amqp(&self) -> usize {
        self.open("amqp")
    }

    /// How many service connections are open or being made.
    pub fn services(&self) -> usize {
        // In this order: one that is entered between the two is counted twice, not never.
        let coming = self.coming.load(Ordering::Acquire);
        coming + self.open("tcp")
    }

    fn open(&self, protocol: &str) -> usize {
        self.connections.lock().values().filter(|record| record.protocol == protocol).count()
    }

    /// Ends all service connections.
    pub fn end_services(&self, why: &'static str) {
        for record in self.connections() {
            if let Closer::Service(word) = &record.closer {
                word.say(why);
            }
        }
    }

    /// The open connection of this number.
    pub fn connection(&self, id: u64) -> Option<Arc<ConnectionRecord>> {
        self.connections.lock().get(&id).map(Arc::clone)
    }

    /// Waits until the connection of this number is gone.
    pub async fn gone(&self, id: u64) {
        loop {
            let left = self.left.notified();
            tokio::pin!(left);
            // From here on no leaving is missed.
            left.as_mut().enable();
            if self.connection(id).is_none() {
                return;
            }
            left.await;
        }
    }

    /// Counts a connection that was refused at a listener, by the kind of reason.
    pub fn refuse(&self, listener: &str, reason: &'static str) {
        *self.refused.lock().entry((listener.to_owned(), reason)).or_default() += 1;
    }

    /// Refused connections by listener and reason.
    pub fn refused(&self) -> Vec<((String, &'static str), u64)> {
        self.refused.lock().iter().map(|(key, count)| (key.clone(), *count)).collect()
    }
}
