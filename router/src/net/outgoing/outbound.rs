//! One delivery that leaves by a connection.
//!
//! ```text
//!                 a link begins it                      its last transfer, or its abort
//!   Waiting ----------------------------> Sending ---------------------------------------> Sent
//!      |                                     |                                              |
//!      |  its link is gone, before it began  |  its link is gone    settled, or nobody hears |
//!      +-----------> released                +-----> lost                   over <----------+
//!
//!   Sending:
//!                  the producer wakes it             there is nothing to send
//!         Resting ------------------------> Ready -----------------------------> Resting
//!                                           ^   |
//!       the session's window opens          |   |  the session's window is closed
//!         Parked ---------------------------+   +------------------------------> Parked
//!                                           |   |
//!       the peer holds less unread          |   |  the peer holds too much unread
//!         Held -----------------------------+   +------------------------------> Held
//! ```
//!
//! A delivery that was sent keeps its link while the peer may hold some of it unread: the next
//! delivery there would wait behind those bytes.

use std::collections::VecDeque;

use bytes::Bytes;
use skupper_proto::amqp::performative::DeliveryState;
use skupper_proto::engine::{LinkKey, OutgoingKey};
use skupper_proto::unread::Unread;

use crate::core::{Charge, ConsumerEnd, Ended};
use crate::net::tally::Tally;

/// One delivery that leaves.
pub(super) struct Outbound {
    pub(super) delivery: ConsumerEnd,
    pub(super) tally: Tally,
    /// It goes before other deliveries of the connection.
    pub(super) urgent: bool,
    /// It goes out settled: its sender has settled it, or its receiver wants that.
    pub(super) presettled: bool,
    /// The outcome that its receiver gave it.
    pub(super) outcome: Option<DeliveryState>,
    /// Its receiver has settled it, or it was aborted.
    pub(super) settled: bool,
    /// The bytes of it that a C router may hold unread.
    pub(super) unread: Unread,
    pub(super) stage: Stage,
}

/// The progress of a delivery.
pub(super) enum Stage {
    /// It waits for a link.
    Waiting,
    /// A link carries it.
    Sending(Sending),
    /// All of it was sent, or its abort.
    Sent {
        link: LinkKey,
        key: OutgoingKey,
        /// Its link carries no other delivery yet.
        keeps_link: bool,
    },
}

/// A delivery that a link carries.
pub(super) struct Sending {
    pub(super) link: LinkKey,
    pub(super) key: OutgoingKey,
    pub(super) place: Place,
    /// The chunks that were taken from the delivery and are not sent.
    pub(super) chunks: VecDeque<Bytes>,
    /// The end of the body behind `chunks`, once that is known.
    pub(super) ended: Option<Ended>,
    /// Bytes of the body that were taken.
    pub(super) taken: u64,
}

/// The event that a delivery waits for while a link carries it.
pub(super) enum Place {
    /// Its producer.
    Resting,
    /// Its turn: it is in the ready queue.
    Ready,
    /// The session's window. Nothing more is taken from the delivery meanwhile. The taken chunks
    /// are charged as if they had not been taken.
    Parked { _charge: Charge },
    /// The peer, to hold less unread: the delivery is in the list of those that are held.
    Held {
        /// It is in the ready queue too: its producer has done something.
        ready: bool,
    },
}

impl Outbound {
    /// Makes a delivery that waits for a link.
    pub(super) fn new(delivery: ConsumerEnd, urgent: bool, tally: Tally) -> Self {
        Self {
            tally,
            urgent,
            presettled: delivery.message().presettled,
            outcome: None,
            settled: false,
            unread: Unread::default(),
            stage: Stage::Waiting,
            delivery,
        }
    }

    /// Returns the link and the key of a delivery that was begun.
    pub(super) const fn begun(&self) -> Option<(LinkKey, OutgoingKey)> {
        match &self.stage {
            Stage::Waiting => None,
            Stage::Sending(sending) => Some((sending.link, sending.key)),
            Stage::Sent { link, key, .. } => Some((*link, *key)),
        }
    }

    /// Returns whether nothing waits here to be sent.
    pub(super) fn is_flushed(&self) -> bool {
        match &self.stage {
            Stage::Waiting => false,
            Stage::Sending(sending) => sending.chunks.is_empty(),
            Stage::Sent { .. } => true,
        }
    }

    /// Returns whether its receiver has left the settling to this end.
    pub(super) fn is_left_to_us(&self) -> bool {
        self.outcome.is_some() && self.delivery.message().internal
            || self.delivery.is_sender_settled()
    }

    /// Returns whether it waits for the peer to hold less unread.
    pub(super) const fn is_held(&self) -> bool {
        matches!(self.stage, Stage::Sending(Sending { place: Place::Held { .. }, .. }))
    }

    /// Gives up the link that it keeps, if the peer holds nothing of it unread. Returns the link if
    /// it did so.
    pub(super) fn leave_link(&mut self) -> Option<LinkKey> {
        match &mut self.stage {
            Stage::Sent { link, keeps_link, .. } if *keeps_link && !self.unread.is_some() => {
                *keeps_link = false;
                Some(*link)
            }
            _ => None,
        }
    }
}
