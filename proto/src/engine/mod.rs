//! One AMQP 1.0 connection as a state machine (OASIS AMQP 1.0, parts 2, 3.4 and 5.3).
//!
//! # The drive contract
//!
//! * Inputs: [`Connection::handle_input`] with the bytes that arrived;
//!   [`Connection::handle_timeout`] when the deadline of [`Connection::poll_timeout`] has come.
//! * Application calls: begin, attach, accept, deliver, send, disposition, detach, end, close.
//! * Outputs: [`Connection::poll_event`] until it returns `None`; then [`Connection::output`],
//!   whose bytes go to the transport in order; then [`Connection::poll_timeout`].
//!
//! After every input and every application call the owner drains both outputs. Time never goes
//! back.
//!
//! # Keys
//!
//! A key stays valid until the application gives it back or an event takes it:
//!
//! | key | valid until |
//! | --- | --- |
//! | [`SessionKey`] | `end`, or [`Event::Ended`] |
//! | [`LinkKey`] | `detach`, `end` of its session, [`Event::Detached`] or [`Event::LinkLost`] |
//! | [`IncomingKey`] | the disposition that settles it, or [`Event::IncomingLost`] |
//! | [`OutgoingKey`] | it is complete and settled, or [`Event::OutgoingLost`] |
//!
//! [`Event::Closed`] ends all of them. A key that was given back names nothing until all events
//! have been polled, so an event never means another owner of the key. The application settles
//! every delivery that arrives, also one that its sender has settled or aborted: only that gives
//! the key back.
//!
//! # Files
//!
//! States stand apart from the calls and frames that change them. A file with a machine begins with
//! its diagram.
//!
//! | file | subject |
//! | --- | --- |
//! | `phase` | states of the connection |
//! | `session`, `windows` | states of a session, and its two windows |
//! | `link` | states of a link: attachment, credit, what it sends |
//! | `delivery`, `unsettled`, `chain` | states of a delivery, and where deliveries are found |
//! | `timers` | idle timeouts and deadlines |
//! | `connection` | the state of a connection, and its outputs |
//! | `input`, `send` | frames in, frames out |
//! | `handshake`, `open`, `begin`, `attach`, `flow`, `disposition` | handlers and calls by frames |
//! | `transfer`, `deliver` | the peer's deliveries, our deliveries |
//! | `forget`, `shrink` | the end of links and deliveries, and of the memory they took |
//! | `check`, `model` | invariants, and a pair under random load: for tests and fuzzing |
//!
//! Each handler names the section of the specification that it follows.

mod attach;
mod begin;
mod chain;
#[cfg(any(test, fuzzing))]
mod check;
mod config;
mod connection;
mod deliver;
mod delivery;
mod disposition;
mod event;
mod flow;
mod forget;
mod handshake;
mod input;
mod key;
mod link;
#[cfg(any(test, fuzzing))]
pub mod model;
mod open;
mod output;
mod phase;
mod remote;
mod send;
mod serial;
mod session;
mod shrink;
mod slots;
#[cfg(test)]
mod tests;
mod timers;
mod transfer;
mod unsettled;
mod windows;

pub use config::{Config, Credentials, Layer, Verdict};
pub use connection::{Connection, Usage};
pub use event::{Closed, Ending, Event, Initiator};
pub use key::{IncomingKey, LinkKey, OutgoingKey, SessionKey};
pub use link::AttachRequest;
pub use output::Output;

/// The most links on one connection, all sessions together. Ten thousand streams at once need as
/// many links each way. Beyond this a peer is refused with `amqp:resource-limit-exceeded`.
pub const MAX_LINKS: usize = 65_536;

/// The most unsettled or incomplete deliveries that a peer may have on one connection.
pub const MAX_INCOMING: usize = 262_144;

/// The most sessions on one connection, whatever channel-max says. A C router opens twelve.
pub const MAX_SESSIONS: usize = 4_096;

/// The steps of one [`Connection::handle_input`]: frames, and deliveries and links that a frame
/// touches. With the application's answer a step costs some microseconds, so an owner that watches
/// the time can look at it between two calls.
pub const STEPS: u32 = 64;
