//! The counts of a server.

use std::sync::atomic::AtomicU64;

/// The counts of a server since its start.
#[derive(Debug, Default)]
pub struct Totals {
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Connections that ended with an error, a reset by the client included.
    pub failed: AtomicU64,
    /// Bytes received.
    pub received: AtomicU64,
    /// Bytes sent.
    pub sent: AtomicU64,
}
