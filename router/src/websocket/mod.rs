//! AMQP over WebSocket (RFC 6455, and the OASIS binding of AMQP to it): the server's side.
//!
//! [`handshake`] answers the HTTP request that opens one; [`WebSocket`] is what follows: octets in
//! and out over a session of `tls`, as binary messages whose limits mean nothing. This is the one
//! place that knows the WebSocket library; sockets and HTTP belong to others.

pub mod handshake;
mod origin;
mod session;

pub use origin::Origins;
pub use session::WebSocket;

#[cfg(test)]
mod tests;
