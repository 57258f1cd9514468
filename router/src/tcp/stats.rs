//! The counts of a tcpListener or tcpConnector.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use crate::lock::Mutex;

/// The counts of a tcpListener or tcpConnector since its start.
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

/// Counts a connection as open for as long as it lives.
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

    /// Returns how many connections were reset to free the memory that waited for their readers.
    pub fn resets_for_memory(&self) -> u64 {
        self.reset_for_memory.load(Ordering::Relaxed)
    }

    /// Returns how many connections were opened, and how many of them are open.
    pub fn connections(&self) -> (u64, u64) {
        // In this order: a connection that opens and closes between the two reads would make the
        // number of open ones negative.
        let closed = self.closed.load(Ordering::Acquire);
        let opened = self.opened.load(Ordering::Acquire);
        (opened, opened.saturating_sub(closed))
    }

    /// Returns the bytes received from the client or server, and those sent to it.
    pub fn octets(&self) -> (u64, u64) {
        (self.received.load(Ordering::Relaxed), self.sent.load(Ordering::Relaxed))
    }

    /// Returns how many dials failed.
    pub fn failed_dials(&self) -> u64 {
        self.failed_dials.load(Ordering::Relaxed)
    }

    /// Returns the last failure of a dial: its time and its text.
    pub fn last_failure(&self) -> Option<(SystemTime, String)> {
        self.last_failure.lock().clone()
    }
}
