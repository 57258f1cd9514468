//! One AMQP 1.0 connection as a state machine: protocol headers, SASL, open, sessions, links,
//! deliveries, credit, windows.
//!
//! # Driving it
//!
//! * inputs: [`Connection::handle_input`] with the octets that arrived,
//!   [`Connection::handle_timeout`] when the deadline of [`Connection::poll_timeout`] has come;
//! * application calls: begin, attach, accept, deliver, send, disposition, detach, end, close;
//! * outputs: [`Connection::poll_event`] until it gives nothing, then [`Connection::output`], whose
//!   octets go to the transport in order; then [`Connection::poll_timeout`].
//!
//! After every input and every application call both outputs are drained. Time never goes back.
//! What the application does not take back stays valid: a [`LinkKey`] until [`Event::Detached`] or
//! [`Event::LinkLost`] (or until the application ends its session), an [`IncomingKey`] until it is
//! settled or [`Event::IncomingLost`], an [`OutgoingKey`] until the delivery is complete and
//! settled or [`Event::OutgoingLost`]; and all of them until [`Event::Closed`]. A key that was
//! given back names nothing until all events have been polled, so an event never speaks of
//! another than it seems to. Every delivery that arrives is to be settled here, also when its
//! sender has settled or aborted it: it is what gives its key back.
//!
//! ```text
//!            client                                   server
//!   SASL header ->                           <- first eight octets
//!   <- SASL header, mechanisms, -> init       mechanisms ->, <- init
//!   <- outcome                                outcome ->
//!   AMQP header, open ->                      <- AMQP header, open
//!   <- AMQP header, open                      AMQP header, open ->
//!              ------------- opened -------------
//!   begin, attach, flow, transfer, disposition, detach, end
//!   close -> <- close          or the transport ends
//! ```

mod calls;
mod chain;
#[cfg(any(test, fuzzing))]
mod check;
mod config;
mod connection;
mod delivery;
mod event;
mod handshake;
mod link;
#[cfg(any(test, fuzzing))]
pub mod model;
mod output;
mod receive;
mod room;
mod send;
mod session;
mod slots;
#[cfg(test)]
mod tests;
mod transfers;
mod unsettled;

pub use config::{Config, Credentials, Layer, Verdict};
pub use connection::{Connection, Usage};
pub use delivery::{IncomingKey, OutgoingKey};
pub use event::{Closed, Ending, Event, Initiator};
pub use link::{AttachRequest, LinkKey};
pub use output::Output;
pub use session::SessionKey;

/// Links on one connection, all sessions together. Ten thousand streams at once need as many links
/// each way; beyond this a peer is refused with `amqp:resource-limit-exceeded`.
pub const MAX_LINKS: usize = 65_536;

/// Unsettled or incomplete deliveries that a peer may have on one connection.
pub const MAX_INCOMING: usize = 262_144;

/// Sessions on one connection, whatever channel-max says: a C router opens twelve.
pub const MAX_SESSIONS: usize = 4_096;

/// Steps of one [`Connection::handle_input`]: frames, and deliveries and links that a frame
/// touches. A step costs some microseconds with what the application does in answer, so that an
/// owner who watches the time can look at it in between.
pub const STEPS: u32 = 64;
