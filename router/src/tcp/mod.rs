//! Services over TCP: listeners that accept clients, connectors that dial servers, and the
//! connections between.
//!
//! A service connection is one task (`service`) with one socket (`socket_wire`) and two deliveries,
//! see [`skupper_proto::stream`]. The task reads the socket into one delivery, and writes the other
//! to the socket. A machine without I/O (`machine`) makes all decisions.

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
