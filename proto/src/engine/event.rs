//! The events that a connection reports to its owner.

use bytes::Bytes;

use super::config::Credentials;
use super::key::{IncomingKey, LinkKey, OutgoingKey, SessionKey};
use crate::amqp::performative::{Attach, DeliveryState, Error};

/// Which end caused something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initiator {
    /// This end: by an application call, or because the peer broke the protocol.
    Local,
    /// The peer.
    Remote,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Closed {
    /// The end that closed it.
    pub initiator: Initiator,
    /// The reason; `None` for an orderly close.
    pub error: Option<Error>,
}

/// Whether a transfer ends its delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// More transfers follow.
    More,
    /// It was the last. The delivery is complete.
    Complete,
    /// The sender aborted the delivery.
    Aborted,
}

/// An event of a connection.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// SASL has succeeded.
    Authenticated {
        /// The mechanism's name.
        mechanism: &'static str,
    },
    /// A client has sent credentials by PLAIN. The connection waits for
    /// [`Connection::authenticate`](super::Connection::authenticate).
    Credentials(Credentials),
    /// The peer's open has arrived, see [`Connection::remote`](super::Connection::remote).
    Opened,
    /// The peer began a session beyond its limit, which ends the connection.
    SessionRefused,
    /// A session is open at both ends.
    Begun {
        /// The session.
        session: SessionKey,
    },
    /// The peer ended a session or broke its rules. Events for its links and deliveries came
    /// before.
    Ended {
        /// The session.
        session: SessionKey,
        /// The reason.
        error: Option<Error>,
    },
    /// The peer attached a link. Unless it is `ours`, the application answers: it accepts or
    /// refuses.
    Attached {
        /// The link.
        link: LinkKey,
        /// Whether this answers an attach of ours.
        ours: bool,
        /// The peer's attach.
        attach: Box<Attach>,
    },
    /// The peer detached a link. The key is void.
    Detached {
        /// The link.
        link: LinkKey,
        /// The reason.
        error: Option<Error>,
    },
    /// A link ended with its session. The key is void. [`Event::Ended`] follows.
    LinkLost {
        /// The link.
        link: LinkKey,
    },
    /// The peer changed the credit of a link that we send on.
    Credit {
        /// The link.
        link: LinkKey,
        /// Whether credit that is not used at once is to be given back, with
        /// [`Connection::drained`](super::Connection::drained).
        drain: bool,
    },
    /// The peer opened a session's window that had been closed.
    Window {
        /// The session.
        session: SessionKey,
    },
    /// The peer answered [`Connection::ask`](super::Connection::ask).
    Held {
        /// The session.
        session: SessionKey,
        /// The most bytes of the session's transfers that it held when it answered: as many as
        /// the transfers that its window lacked could have.
        octets: u64,
    },
    /// A part of a delivery arrived.
    Transfer {
        /// The delivery.
        delivery: IncomingKey,
        /// Its link.
        link: LinkKey,
        /// Whether this is its first part.
        first: bool,
        /// Whether the sender has settled it.
        settled: bool,
        /// Bytes of the message.
        payload: Bytes,
        /// Whether more transfers follow.
        ending: Ending,
        /// The delivery's state at its sender, if the sender states it.
        state: Option<Box<DeliveryState>>,
    },
    /// The receiver of a delivery of ours stated how it stands there.
    ReceiverState {
        /// The delivery.
        delivery: OutgoingKey,
        /// Its state there.
        state: Option<DeliveryState>,
        /// Whether it is settled there.
        settled: bool,
    },
    /// The sender of a delivery stated how it stands there.
    SenderState {
        /// The delivery.
        delivery: IncomingKey,
        /// Its state there.
        state: DeliveryState,
    },
    /// The sender of a delivery settled it. A disposition sends nothing from here on.
    SenderSettled {
        /// The delivery.
        delivery: IncomingKey,
    },
    /// A delivery of the peer's ended with its link or session. The key is void.
    IncomingLost {
        /// The delivery.
        delivery: IncomingKey,
    },
    /// A delivery of ours ended with its link or session. The key is void.
    OutgoingLost {
        /// The delivery.
        delivery: OutgoingKey,
        /// Whether any of it had been sent.
        sent: bool,
    },
    /// The connection has ended. The owner should still write the rest of the output.
    Closed(Closed),
}
