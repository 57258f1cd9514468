//! The protocol between routers as one machine: topology and addresses together.
//!
//! | file | subject |
//! | --- | --- |
//! | `protocol` | [`RoutingProtocol`], which the core drives |
//! | `message` | all routing messages, and their common form |
//!
//! The machine of [`topology`](crate::topology) finds routers and paths, that of
//! [`mobile`](crate::mobile) the addresses that they serve. Neither knows the other: this module
//! carries the events of each to the other, and both machines' messages to the caller.

mod message;
mod protocol;
#[cfg(test)]
mod tests;

pub use message::{Envelope, Message};
pub use protocol::{Action, RoutingProtocol};

pub use crate::topology::MessageError;
