//! The record of open connections, and of those that were refused.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::SystemTime;

use tokio::sync::Notify;

use super::links::Links;
use super::record::{Closer, ConnectionRecord, Protocol};
use super::walk::Walk;
use crate::lock::Mutex;

/// Ended flows that may wait to be told.
const MAX_ENDED: usize = 5000;

/// The record of open connections, and of those that were refused.
#[derive(Debug, Default)]
pub struct Registry {
    next: AtomicU64,
    records: AtomicU64,
    connections: Mutex<BTreeMap<u64, Arc<ConnectionRecord>>>,
    /// The most connections since the last call of `count`.
    most: AtomicUsize,
    /// Service connections that are being dialed, or are in their handshake.
    coming: AtomicUsize,
    refused: Mutex<BTreeMap<(String, &'static str), u64>>,
    links: Arc<Links>,
    left: Notify,
    /// Whether ended flows are kept until they are told.
    keeps_flows: AtomicBool,
    flows: Mutex<Vec<(Arc<ConnectionRecord>, SystemTime)>>,
    failed_flows: Mutex<Vec<FailedFlow>>,
}

/// A client's connection whose server was not reached.
#[derive(Clone, Debug)]
pub struct FailedFlow {
    /// The identity of its flow record.
    pub flow: String,
    /// The tcpConnector.
    pub entity: Arc<str>,
    /// The failure of the dial.
    pub error: String,
}

/// A connection's entry, removed when this is dropped.
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

/// Counts a service connection that is being made, until it is dropped.
#[derive(Debug)]
pub struct Coming(Arc<Registry>);

impl Drop for Coming {
    fn drop(&mut self) {
        self.0.coming.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Registry {
    /// Returns a number for a connection that begins.
    pub fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Returns a number for a flow record. It never returns 0, the router's record, nor 1, that of
    /// its site.
    pub fn record_number(&self) -> u64 {
        self.records.fetch_add(1, Ordering::Relaxed) + 2
    }

    /// Enters a connection, or replaces its entry under the same number.
    pub fn enter(self: &Arc<Self>, record: ConnectionRecord) -> Registered {
        let id = record.id;
        let mut connections = self.connections.lock();
        connections.insert(id, Arc::new(record));
        self.most.fetch_max(connections.len(), Ordering::Relaxed);
        drop(connections);
        Registered { registry: Arc::clone(self), id }
    }

    /// Returns the number of connections, and the most since the last call.
    pub fn count(&self) -> (usize, usize) {
        let connections = self.connections.lock();
        (connections.len(), self.most.swap(connections.len(), Ordering::Relaxed))
    }

    /// Returns the flows that have ended since the last call, if they were kept. `keep` says
    /// whether to keep them from here on.
    pub fn take_flows(&self, keep: bool) -> Vec<(Arc<ConnectionRecord>, SystemTime)> {
        self.keeps_flows.store(keep, Ordering::Relaxed);
        std::mem::take(&mut *self.flows.lock())
    }

    /// Notes that the server of a client's connection was not reached.
    pub fn flow_failed(&self, failed: FailedFlow) {
        let mut flows = self.failed_flows.lock();
        if self.keeps_flows.load(Ordering::Relaxed) && flows.len() < MAX_ENDED {
            flows.push(failed);
        }
    }

    /// Returns the connections whose server was not reached since the last call, if they were kept.
    pub fn take_failed_flows(&self) -> Vec<FailedFlow> {
        std::mem::take(&mut *self.failed_flows.lock())
    }

    /// Returns the record of the links of AMQP connections.
    pub const fn links(&self) -> &Arc<Links> {
        &self.links
    }

    /// Returns every open connection, by number.
    pub fn connections(&self) -> Vec<Arc<ConnectionRecord>> {
        self.all().collect()
    }

    /// Returns every open connection, one by one. Connections may come and go during the iteration.
    pub fn all(&self) -> impl Iterator<Item = Arc<ConnectionRecord>> + Send + '_ {
        Walk::new(&self.connections)
    }

    /// Counts a service connection that is being made. Keep the result until it has been entered,
    /// or has failed.
    pub fn coming(self: &Arc<Self>) -> Coming {
        self.coming.fetch_add(1, Ordering::AcqRel);
        Coming(Arc::clone(self))
    }

    /// Returns how many connections with AMQP peers are open.
    pub fn amqp(&self) -> usize {
        self.open(Protocol::Amqp)
    }

    /// Returns how many service connections are open or being made.
    pub fn services(&self) -> usize {
        // In this order, a connection that is entered between the two reads counts twice, and never
        // not at all.
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

    /// Returns the open connection of this number.
    pub fn connection(&self, id: u64) -> Option<Arc<ConnectionRecord>> {
        self.connections.lock().get(&id).map(Arc::clone)
    }

    /// Waits until the connection of this number is gone.
    pub async fn gone(&self, id: u64) {
        loop {
            let left = self.left.notified();
            tokio::pin!(left);
            // Enabled before the look, so that no leaving is missed.
            left.as_mut().enable();
            if self.connection(id).is_none() {
                return;
            }
            left.await;
        }
    }

    /// Counts a connection that a listener refused, by the kind of reason.
    pub fn refuse(&self, listener: &str, reason: &'static str) {
        *self.refused.lock().entry((listener.to_owned(), reason)).or_default() += 1;
    }

    /// Returns the refused connections by listener and reason.
    pub fn refused(&self) -> Vec<((String, &'static str), u64)> {
        self.refused.lock().iter().map(|(key, count)| (key.clone(), *count)).collect()
    }
}
