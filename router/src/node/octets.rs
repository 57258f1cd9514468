//! The bytes that pass on a connection, and their times.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use skupper_proto::time::Instant;

use crate::core::Backlog;

/// Counts the bytes of a connection, and notes when its last delivery began.
#[derive(Debug, Default)]
pub struct Octets {
    received: AtomicU64,
    sent: AtomicU64,
    /// On a service connection: the stream that is written to the socket, and how many bytes of it
    /// were taken and not sent.
    feed: OnceLock<Backlog>,
    unwritten: AtomicUsize,
    /// In microseconds of the router's clock; 0 if there was none.
    last_delivery: AtomicU64,
    /// The times of the first byte received and of the first byte sent, in the same terms.
    first_received: AtomicU64,
    first_sent: AtomicU64,
}

impl Octets {
    /// Counts bytes received.
    pub fn receive(&self, octets: usize) {
        self.received.fetch_add(octets as u64, Ordering::Relaxed);
    }

    /// Counts bytes sent.
    pub fn send(&self, octets: usize) {
        self.sent.fetch_add(octets as u64, Ordering::Relaxed);
    }

    /// Notes the time of the first bytes received. Call it for all bytes received.
    pub fn note_received(&self, now: impl FnOnce() -> Instant) {
        note(&self.first_received, now);
    }

    /// Notes the time of the first bytes sent. Call it for all bytes sent.
    pub fn note_sent(&self, now: impl FnOnce() -> Instant) {
        note(&self.first_sent, now);
    }

    /// Returns the microseconds from the first byte received to the first byte sent. They are
    /// negative if the first byte was sent before.
    pub fn latency(&self) -> Option<i64> {
        let [received, sent] =
            [&self.first_received, &self.first_sent].map(|first| first.load(Ordering::Relaxed));
        (received > 0 && sent > 0).then(|| {
            i64::try_from(sent).unwrap_or(i64::MAX) - i64::try_from(received).unwrap_or(i64::MAX)
        })
    }

    /// Names the stream that is written to the socket of a service connection.
    pub fn set_feed(&self, feed: Backlog) {
        let _ = self.feed.set(feed);
    }

    /// Notes how many bytes were taken from that stream and not sent.
    pub fn set_unwritten(&self, octets: usize) {
        self.unwritten.store(octets, Ordering::Relaxed);
    }

    /// Returns how many bytes wait for the reader of a service connection.
    pub fn waiting(&self) -> usize {
        self.unwritten.load(Ordering::Relaxed) + self.feed.get().map_or(0, Backlog::waiting)
    }

    /// Notes that a delivery begins, in either direction.
    pub fn delivery(&self, now: Instant) {
        self.last_delivery.store(now.as_micros().max(1), Ordering::Relaxed);
    }

    /// Returns how long ago the last delivery began.
    pub fn since_delivery(&self, now: Instant) -> Option<Duration> {
        match self.last_delivery.load(Ordering::Relaxed) {
            0 => None,
            at => Some(Duration::from_micros(now.as_micros().saturating_sub(at))),
        }
    }

    /// Returns the bytes received and sent.
    pub fn get(&self) -> (u64, u64) {
        (self.received.load(Ordering::Relaxed), self.sent.load(Ordering::Relaxed))
    }
}

fn note(first: &AtomicU64, now: impl FnOnce() -> Instant) {
    if first.load(Ordering::Relaxed) == 0 {
        first.store(now().as_micros().max(1), Ordering::Relaxed);
    }
}
