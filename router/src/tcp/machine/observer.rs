//! Observers of what a service connection carries.

/// Sees every byte of a service connection once, in its order, as the slice that it came in.
///
/// A protocol parser (HTTP/1, HTTP/2) implements this and keeps what it has learned. It copies no
/// byte that it need not keep, and changes none.
///
/// To attach one, give [`Machine`](super::Machine) an observer of its type in place of `()`. For
/// observers that a configuration chooses, write one enum of them with a variant for none: it
/// costs a comparison for each read and write. The implementation for `()` costs nothing, for the
/// compiler removes the calls.
///
/// Whether the upload carries requests or answers is known where the connection begins: a
/// tcpListener reads requests from its clients, a tcpConnector answers from its servers.
pub(in crate::tcp) trait Observer {
    /// Sees bytes that the socket gave, before they go into the stream. A part of them may be all
    /// that is left of a message, or the beginning of the next.
    fn on_upload(&mut self, bytes: &[u8]);

    /// Sees bytes that the socket took, or the TLS session for it.
    fn on_download(&mut self, bytes: &[u8]);
}

impl Observer for () {
    #[inline]
    fn on_upload(&mut self, _bytes: &[u8]) {}

    #[inline]
    fn on_download(&mut self, _bytes: &[u8]) {}
}
