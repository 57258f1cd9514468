//! AMQP connections: the task that owns one, the listeners that accept them, and the connectors
//! that keep them.
//!
//! A connection's task owns its wire (a socket, and a TLS session or a WebSocket upon it) and its
//! engine, and runs on one shard. It is a poll loop; nothing of its state lives in a future that
//! may be dropped. Elsewhere it is known by its [`Mailbox`](crate::core::Mailbox) alone.

mod admission;
mod attach;
mod client_links;
mod connection;
mod connector;
mod consumed;
mod context;
mod credentials;
mod ending;
mod failover;
mod finished;
mod incoming;
mod life;
mod link_layer;
mod listener;
mod management;
mod message_log;
mod open;
mod opening;
mod outgoing;
#[cfg(fuzzing)]
mod over_memory;
mod peer;
mod peer_open;
#[cfg(fuzzing)]
mod pipe;
mod pressure;
mod role;
mod settings;
mod standing;
mod tally;
mod transport;
mod turn;
mod wake;
mod wire;

pub use connector::{LinkReport, LinkTrouble, SiteLink};
pub use listener::AmqpListener;
#[cfg(fuzzing)]
pub use over_memory::Dialed;
#[cfg(fuzzing)]
pub use pipe::{FarEnd, Hangup};
pub use standing::{Known, Standing};

use crate::schema::AddressFamily;
use crate::socket::Family;

/// The resolver's word for a configured address family.
const fn family(configured: Option<AddressFamily>) -> Family {
    match configured {
        None => Family::Any,
        Some(AddressFamily::V4) => Family::V4,
        Some(AddressFamily::V6) => Family::V6,
    }
}

#[cfg(test)]
mod tests;
