//! Services over TCP: listeners that accept clients, connectors that dial servers, and the
//! connections between.
//!
//! A service connection is one task with one socket and two deliveries: what it reads leaves as
//! one, what it writes arrives as the other ([`skupper_proto::stream`]).

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
