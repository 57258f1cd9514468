//! Deliveries of both directions, as far as the connection must know them.

use super::chain::{Chained, Place};
use super::link::LinkKey;
use crate::amqp::performative::DeliveryState;

/// A delivery that the peer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IncomingKey(pub u32);

/// A delivery that we send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutgoingKey(pub u32);

/// State of a delivery that the peer sends.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) link: LinkKey,
    pub(super) id: u32,
    /// The sender has settled it: no disposition is owed.
    pub(super) sender_settled: bool,
    /// Its last transfer, or its abort, has arrived.
    pub(super) ended: bool,
    /// Its place among those of its link.
    pub(super) place: Place,
}

impl Incoming {
    /// Octets of memory that one takes: itself, with the room that a slab keeps for growth, and its
    /// place in its session's table.
    pub(super) const TAKES: usize =
        2 * (size_of::<Option<Self>>() + size_of::<(u32, IncomingKey)>());
}

impl Chained for Incoming {
    fn place(&mut self) -> &mut Place {
        &mut self.place
    }
}

/// State of a delivery that we send.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) link: LinkKey,
    /// Given when its first transfer is sent.
    pub(super) id: Option<u32>,
    pub(super) presettled: bool,
    /// Its last transfer, or its abort, has been sent.
    pub(super) ended: bool,
    /// Settled at either end.
    pub(super) settled: bool,
    /// The application has been told an outcome, which cannot change any more.
    pub(super) outcome_told: bool,
    /// How it stands here, if the receiver is to know.
    pub(super) state: Option<Box<DeliveryState>>,
    /// Its place among those of its link.
    pub(super) place: Place,
}

impl Chained for Outgoing {
    fn place(&mut self) -> &mut Place {
        &mut self.place
    }
}
