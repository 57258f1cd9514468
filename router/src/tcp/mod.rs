//! Services over TCP: listeners that accept clients, connectors that dial servers, and the
//! connections between.
//!
//! A service connection is one task ([`service`]) with one socket ([`socket_wire`]) and two
//! deliveries, see [`skupper_proto::stream`]. It reads the socket into one and writes the other to
//! the socket. The [`machine`] decides what happens when.

mod addresses;
mod connector;
mod listener;
mod machine;
mod reader;
mod reply;
mod service;
mod socket_wire;
mod stats;

pub use addresses::ListenerAddress;
pub use connector::TcpConnector;
pub use listener::TcpListener;
pub use stats::Stats;
