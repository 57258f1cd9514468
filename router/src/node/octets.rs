//! What went over a connection, and when.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use skupper_proto::time::Instant;

use crate::core::Backlog;

/// Octets over a connection, and when its last delivery began.
#[derive(Debug, Default)]
pub struct Octets {
    received: AtomicU64,
    sent: AtomicU64,
    /// Of a service connection: where what is sent comes from, and what was taken from there and
    /// is not sent.
    feed: OnceLock<Backlog>,
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
    pub fn set_feed(&self, feed: Backlog) {
        let _ = self.feed.set(feed);
    }

    /// So many octets were taken from that stream and are not sent.
    pub fn set_unwritten(&self, octets: usize) {
        self.unwritten.store(octets, Ordering::Relaxed);
    }

    /// Octets that wait for the reader of a service connection.
    pub fn waiting(&self) -> usize {
        self.unwritten.load(Ordering::Relaxed) + self.feed.get().map_or(0, Backlog::waiting)
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
