//! What a connection tells its owner.

use bytes::Bytes;

use super::config::Credentials;
use super::delivery::{IncomingKey, OutgoingKey};
use super::link::LinkKey;
use super::session::SessionKey;
use crate::amqp::performative::{Attach, DeliveryState, Error};

/// Who brought something about.
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
    /// Who ended it.
    pub initiator: Initiator,
    /// Why; `None` for an orderly close.
    pub error: Option<Error>,
}

/// Whether a transfer ends its delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// More will follow.
    More,
    /// It was the last; the delivery is whole.
    Complete,
    /// The sender gave the delivery up.
    Aborted,
}

/// An event of a connection.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// SASL has ended well, with this mechanism.
    Authenticated {
        /// The mechanism's name.
        mechanism: &'static str,
    },
    /// A client says who it is, by PLAIN. Nothing goes on until
    /// [`Connection::authenticate`](super::Connection::authenticate).
    Credentials(Credentials),
    /// The peer's open has arrived, see [`Connection::remote`](super::Connection::remote).
    Opened,
    /// The peer began a session beyond those it may have, which ends the connection.
    SessionRefused,
    /// A session is open at both ends.
    Begun {
        /// The session.
        session: SessionKey,
    },
    /// The peer ended a session, or broke its rules; its links and deliveries are gone, which was
    /// told before.
    Ended {
        /// The session.
        session: SessionKey,
        /// Why.
        error: Option<Error>,
    },
    /// The peer attached a link. When `ours` is unset it wants an answer: accept or refuse.
    Attached {
        /// The link.
        link: LinkKey,
        /// Whether this answers an attach of ours.
        ours: bool,
        /// What the peer sent.
        attach: Box<Attach>,
    },
    /// A link was detached by the peer; the key is void.
    Detached {
        /// The link.
        link: LinkKey,
        /// Why.
        error: Option<Error>,
    },
    /// A link went away with its session; the key is void. [`Event::Ended`] follows.
    LinkLost {
        /// The link.
        link: LinkKey,
    },
    /// The peer changed the credit of a link that we send on.
    Credit {
        /// The link.
        link: LinkKey,
        /// Credit that is not to be used at once is to be given back with
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
        /// The most octets of the session's transfers that it held when it answered: as many as
        /// the transfers that its window lacked could have.
        octets: u64,
    },
    /// Part of a delivery arrived.
    Transfer {
        /// The delivery.
        delivery: IncomingKey,
        /// Its link.
        link: LinkKey,
        /// Whether this is its first part.
        first: bool,
        /// Whether the sender has settled it.
        settled: bool,
        /// Octets of the message.
        payload: Bytes,
        /// Whether more follows.
        ending: Ending,
        /// How the delivery stands at its sender, if that says so.
        state: Option<Box<DeliveryState>>,
    },
    /// The receiver of a delivery of ours said how it stands.
    Outcome {
        /// The delivery.
        delivery: OutgoingKey,
        /// Its state there.
        state: Option<DeliveryState>,
        /// Whether it is settled there.
        settled: bool,
    },
    /// The sender of a delivery said how it stands there.
    SenderState {
        /// The delivery.
        delivery: IncomingKey,
        /// Its state there.
        state: DeliveryState,
    },
    /// The sender of a delivery settled it; nothing about it needs to be said any more.
    SenderSettled {
        /// The delivery.
        delivery: IncomingKey,
    },
    /// A delivery's link or session went away; the key is void.
    IncomingLost {
        /// The delivery.
        delivery: IncomingKey,
    },
    /// A delivery's link or session went away; the key is void.
    OutgoingLost {
        /// The delivery.
        delivery: OutgoingKey,
        /// Whether any of it had been sent.
        sent: bool,
    },
    /// The connection has ended. What is left in the output should still be written.
    Closed(Closed),
}
