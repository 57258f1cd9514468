//! The connections that are open, and what was refused.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::SystemTime;

use tokio::sync::Notify;

use super::links::Links;
use super::record::{Closer, ConnectionRecord, Protocol};
use super::walk::Walk;
use crate::lock::Mutex;

/// Flows that have ended and wait to be told.
const MAX_ENDED: usize = 5000;

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
        self.open(Protocol::Amqp)
    }

    /// How many service connections are open or being made.
    pub fn services(&self) -> usize {
        // In this order: one that is entered between the two is counted twice, not never.
        let coming = self.coming.load(Ordering::Acquire);
        coming + self.open(Protocol::Tcp)
    }

    fn open(&self, protocol: Protocol) -> usize {
        self.connections.lock().values().filter(|record| record.protocol() == protocol).count()
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
