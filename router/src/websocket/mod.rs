//! AMQP over WebSocket (RFC 6455, and the OASIS binding of AMQP to it), on the server's side.
//!
//! [`handshake`] answers the HTTP request that opens a WebSocket. [`Origins`] says which pages may
//! open one. [`WebSocket`] then carries bytes in binary messages over a session of `tls`. The
//! limits of messages have no meaning.
//!
//! No other room names the WebSocket library. This room owns no socket and speaks no HTTP.

pub mod handshake;
mod origin;
mod session;

pub use origin::Origins;
pub use session::WebSocket;

#[cfg(test)]
mod tests;
