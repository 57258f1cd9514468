//! What a Skupper router can decide without a socket, a clock or a thread.
//!
//! Everything here takes octets, events and the time as arguments and gives back octets, events and
//! deadlines. Time is an [`time::Instant`] that the caller measures; names and random ids come from
//! a generator that the caller seeds. So every scenario, however slow or rare in the world, is a
//! test that runs in virtual time.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod address;
pub mod amqp;
pub mod annotations;
pub mod edge;
pub mod engine;
pub mod keys;
pub mod management;
pub mod mobile;
mod silence;
pub mod stream;
pub mod time;
pub mod topology;
pub mod unread;
pub mod vanflow;
