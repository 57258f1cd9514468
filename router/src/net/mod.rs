//! AMQP connections: the task that owns one, the listeners that accept them, and the connectors
//! that keep them.
//!
//! A connection's task runs on one shard. It is a poll loop: no state of it lives in a future that
//! may be dropped. Other rooms reach it by its [`Mailbox`](crate::core::Mailbox) alone.
//!
//! ```text
//!   listener, connector          make a connection
//!           |
//!   connection, opening          the task: moves bytes, tells its parts what happens
//!      |        |      \
//!    wire     role    link_layer
//!      |        |       |       \
//!  transport    |   incoming   outgoing      deliveries: machines without I/O
//!               |       |       |
//!             client   context: engine, core, time, peer
//!             control
//!             data
//!             edge
//! ```
//!
//! Imports point downward in this picture. A stream passes these files:
//!
//! 1. `wire` reads its bytes, and `connection` gives them to the engine.
//! 2. `incoming` takes its first transfer, `incoming/head` reads the address, `incoming/route`
//!    gives it to the core.
//! 3. The core chooses a connection and puts the stream into that one's mailbox.
//! 4. `connection` there takes it from the mailbox, and `outgoing` gives it a slot.
//! 5. `outgoing/serve` gives it a link, which `outgoing/ask` attaches in a session of `lanes`.
//! 6. `outgoing/send` makes transfers of its chunks, up to one write, which `wire` sends.
//! 7. `outgoing/acknowledge` takes the receiver's word, and `incoming` passes it on to the sender.

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

/// Returns the resolver's form of a configured address family.
const fn family(configured: Option<AddressFamily>) -> Family {
    match configured {
        None => Family::Any,
        Some(AddressFamily::V4) => Family::V4,
        Some(AddressFamily::V6) => Family::V6,
    }
}

#[cfg(test)]
mod tests;
