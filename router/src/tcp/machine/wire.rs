//! The socket as a machine sees it.

use std::io;

use bytes::Bytes;
use skupper_proto::time::Instant;

use crate::core::Chunks;
use crate::tls::{Flushed, Received, SessionError};

/// A socket and the TLS session upon it, if there is one. No method waits.
///
/// The router implements it for sockets, the tests for pipes in memory.
pub(in crate::tcp) trait Wire {
    /// Returns whether the bytes on the socket are encrypted.
    fn is_tls(&self) -> bool;

    /// Returns whether the TLS session has bytes that the socket has not taken.
    fn wants_write(&self) -> bool;

    /// Writes the bytes of the TLS session, as far as the socket takes them.
    ///
    /// # Errors
    /// Returns the failure of the socket, which takes no more.
    fn flush(&mut self) -> io::Result<Flushed>;

    /// Writes `bytes`, and returns how many of them were taken; `None` if the socket takes none for
    /// now. `last` says that only the end follows.
    ///
    /// # Errors
    /// Returns why the socket or the session takes no more.
    fn send(
        &mut self,
        bytes: &Chunks,
        last: bool,
        now: impl FnOnce() -> Instant,
    ) -> Result<Option<usize>, SessionError>;

    /// Tells the TLS session that nothing follows. Flush afterwards.
    fn send_close_notify(&mut self);

    /// Ends the sending direction of the socket.
    ///
    /// # Errors
    /// Returns the failure of the socket.
    fn finish(&mut self) -> io::Result<()>;

    /// Reads once, at most `limit` bytes. The bytes are empty if the socket had none, or the TLS
    /// session no whole record.
    ///
    /// # Errors
    /// Returns why nothing more can be read.
    fn receive(
        &mut self,
        limit: usize,
        now: impl FnOnce() -> Instant,
    ) -> Result<(Bytes, Received), SessionError>;
}
