//! Counts of one tcpListener or tcpConnector.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use crate::lock::Mutex;

/// Counts of one tcpListener or tcpConnector since start.
#[derive(Debug, Default)]
pub struct Stats {
    opened: AtomicU64,
    closed: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    failed_dials: AtomicU64,
    reset_for_memory: AtomicU64,
    last_failure: Mutex<Option<(SystemTime, String)>>,
}

/// A connection counted as open for as long as this lives.
#[derive(Debug)]
pub(super) struct Open(std::sync::Arc<Stats>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.closed.fetch_add(1, Ordering::Relaxed);
    }
}

impl Stats {
    pub(super) fn open(self: &std::sync::Arc<Self>) -> Open {
        self.opened.fetch_add(1, Ordering::Relaxed);
        Open(std::sync::Arc::clone(self))
    }

    pub(super) fn receive(&self, octets: usize) {
        self.received.fetch_add(octets as u64, Ordering::Relaxed);
    }

    pub(super) fn send(&self, octets: usize) {
        self.sent.fetch_add(octets as u64, Ordering::Relaxed);
    }

    pub(super) fn dial_failed(&self, error: String) {
        self.failed_dials.fetch_add(1, Ordering::Relaxed);
        *self.last_failure.lock() = Some((SystemTime::now(), error));
    }

    pub(super) fn reset_for_memory(&self) {
        self.reset_for_memory.fetch_add(1, Ordering::Relaxed);
    }

    /// Connections that were reset because what waited for their readers was needed for others.
    pub fn resets_for_memory(&self) -> u64 {
        self.reset_for_memory.load(Ordering::Relaxed)
    }

    /// Connections opened, and how many of them are open now.
    pub fn connections(&self) -> (u64, u64) {
        // In this order, so that one that opens and closes between the two reads is not counted
        // below zero.
        let closed = self.closed.load(Ordering::Acquire);
        let opened = self.opened.load(Ordering::Acquire);
        (opened, opened.saturating_sub(closed))
    }

    /// Octets received from and sent to the client or server.
    pub fn octets(&self) -> (u64, u64) {
        (self.received.load(Ordering::Relaxed), self.sent.load(Ordering::Relaxed))
    }

    /// Dials that failed.
    pub fn failed_dials(&self) -> u64 {
        self.failed_dials.load(Ordering::Relaxed)
    }

    /// The last of them.
    pub fn last_failure(&self) -> Option<(SystemTime, String)> {
        self.last_failure.lock().clone()
    }
}
