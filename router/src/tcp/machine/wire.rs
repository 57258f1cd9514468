//! What a machine asks of its socket.

use std::io;

use bytes::Bytes;
use skupper_proto::time::Instant;

use crate::core::Chunks;
use crate::tls::{Flushed, Received, SessionError};

/// A socket and the TLS session upon it, if there is one. No method waits.
///
/// The router implements it for its sockets, the tests for pipes in memory.
pub(in crate::tcp) trait Wire {
    /// Whether the bytes on the socket are encrypted.
    fn is_tls(&self) -> bool;

    /// Whether the TLS session has bytes that the socket has not taken.
    fn wants_write(&self) -> bool;

    /// Writes what the TLS session has, as far as the socket takes it.
    ///
    /// # Errors
    /// Returns the failure of the socket: it takes no more.
    fn flush(&mut self) -> io::Result<Flushed>;

    /// Writes `bytes`, and returns how many of them were taken; `None` when the socket takes none
    /// for now. `last` says that nothing follows but the end.
    ///
    /// # Errors
    /// Returns why the socket or the session takes no more.
    fn send(
        &mut self,
        bytes: &Chunks,
        last: bool,
        now: impl FnOnce() -> Instant,
    ) -> Result<Option<usize>, SessionError>;

    /// Tells the TLS session that nothing follows. To be flushed.
    fn send_close_notify(&mut self);

    /// Ends the sending direction of the socket.
    ///
    /// # Errors
    /// Returns the failure of the socket.
    fn finish(&mut self) -> io::Result<()>;

    /// Reads once, at most `limit` bytes. The bytes are empty when there were none, or nothing
    /// whole.
    ///
    /// # Errors
    /// Returns why nothing more can be read.
    fn receive(
        &mut self,
        limit: usize,
        now: impl FnOnce() -> Instant,
    ) -> Result<(Bytes, Received), SessionError>;
}
