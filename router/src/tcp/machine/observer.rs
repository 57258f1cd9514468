//! Observers of the bytes that a service connection carries.

/// Sees every byte of a service connection once, in its order, as the slice that it came in.
///
/// A protocol parser (HTTP/1, HTTP/2) implements this trait. It reads the slices where they are,
/// copies only what it has to keep, and cannot change them.
///
/// To attach one, give [`Machine`](super::Machine) an observer of that type in place of `()`. To
/// let a configuration choose, write an enum of the observers with a variant for none: it costs one
/// comparison for each read and each piece written. The implementation for `()` costs nothing: the
/// compiler removes the calls.
///
/// The task that begins a connection knows its roles: a tcpListener reads requests from its
/// clients, and a tcpConnector reads answers from its servers.
pub(in crate::tcp) trait Observer {
    /// Sees bytes that were read from the socket, before they go into the stream. Messages of the
    /// protocol may begin and end anywhere in them.
    fn on_upload(&mut self, bytes: &[u8]);

    /// Sees bytes that the socket has taken, or the TLS session upon it. Messages of the protocol
    /// may begin and end anywhere in them.
    fn on_download(&mut self, bytes: &[u8]);
}

impl Observer for () {
    #[inline]
    fn on_upload(&mut self, _bytes: &[u8]) {}

    #[inline]
    fn on_download(&mut self, _bytes: &[u8]) {}
}
