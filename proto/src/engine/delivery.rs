//! The states of deliveries of both directions (parts 2.6.12 and 3.4).
//!
//! # A delivery of the peer's
//!
//! ```text
//!   first transfer                                      the only transfer, or an abort
//!         |                                                          |
//!         v                   last transfer, or abort                v
//!    +----------+                                                +-------+
//!    | Arriving |----------------------------------------------->| Ended |
//!    +----------+                                                +-------+
//!                                                                    | disposition() that settles
//!                                                                    v
//!                                                                forgotten
//! ```
//!
//! Beside this stands whether the sender has settled it. The sender may do so at any time: with a
//! transfer, by a disposition, or by an abort. Then no disposition is owed.
//!
//! # A delivery of ours
//!
//! ```text
//!     deliver()
//!         |
//!         v    first transfer         last transfer, or abort
//!    +-------+             +---------+                  +-------+
//!    | Begun |------------>| Started |----------------->| Ended |
//!    +-------+             +---------+                  +-------+
//!         | abort()
//!         v
//!     forgotten
//!
//!   deliver()       outcome told      settled at either end
//!     |     +------+        +---------+       +---------+
//!     +---->| Open |------->| Decided |------>| Settled |
//!     |     +------+        +---------+       +---------+
//!     |         |                                  ^
//!     |         +----------------------------------+
//!     |     +------------+
//!     +---->| Presettled |
//!           +------------+
//! ```
//!
//! A delivery that is both ended and settled is forgotten.

use super::chain::{Chained, Place};
use super::key::{IncomingKey, LinkKey, SessionKey};
use crate::amqp::performative::{DeliveryState, Role};

/// A delivery that the peer sends.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) link: LinkKey,
    pub(super) id: u32,
    /// The sender has settled it: no disposition is owed.
    pub(super) sender_settled: bool,
    pub(super) arrival: Arrival,
    /// Its place among those of its link.
    pub(super) place: Place,
}

/// How far a delivery of the peer's has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// More transfers are awaited.
    Arriving,
    /// The last transfer, or an abort, has arrived.
    Ended,
}

impl Incoming {
    /// Bytes of memory that one takes: itself, with the space that a slab keeps for growth, and its
    /// entry in its session's table.
    pub(super) const TAKES: usize =
        2 * (size_of::<Option<Self>>() + size_of::<(u32, IncomingKey)>());

    /// Whether the last transfer, or an abort, has arrived.
    pub(super) const fn is_ended(&self) -> bool {
        matches!(self.arrival, Arrival::Ended)
    }
}

impl Chained for Incoming {
    fn place(&mut self) -> &mut Place {
        &mut self.place
    }
}

/// A delivery that this end sends.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) link: LinkKey,
    pub(super) progress: Progress,
    pub(super) settlement: Settlement,
    /// How it stands at this end, if the receiver is to know.
    pub(super) state: Option<Box<DeliveryState>>,
    /// Its place among those of its link.
    pub(super) place: Place,
}

/// How far a delivery of ours was sent. A number is its delivery-id, which it has from its first
/// transfer on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing was sent.
    Begun,
    /// The first transfer was sent.
    Started(u32),
    /// The last transfer, or an abort, was sent.
    Ended(u32),
}

/// Whether a delivery of ours is settled, and whether its outcome is known (part 3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settlement {
    /// Neither end has settled it, and no outcome was told.
    Open,
    /// The application was told an outcome, which cannot change. Neither end has settled it.
    Decided,
    /// Settled at either end after it began.
    Settled,
    /// Settled from its beginning: each transfer says so.
    Presettled,
}

impl Outgoing {
    /// Makes a delivery of which nothing was sent.
    pub(super) const fn new(link: LinkKey, presettled: bool) -> Self {
        let settlement = if presettled { Settlement::Presettled } else { Settlement::Open };
        Self { link, progress: Progress::Begun, settlement, state: None, place: Place::new() }
    }

    /// Returns the delivery-id, once the first transfer was sent.
    pub(super) const fn id(&self) -> Option<u32> {
        match self.progress {
            Progress::Begun => None,
            Progress::Started(id) | Progress::Ended(id) => Some(id),
        }
    }

    /// Whether the last transfer, or an abort, was sent.
    pub(super) const fn is_ended(&self) -> bool {
        matches!(self.progress, Progress::Ended(_))
    }

    /// Whether either end has settled it.
    pub(super) const fn is_settled(&self) -> bool {
        matches!(self.settlement, Settlement::Settled | Settlement::Presettled)
    }

    /// Settles it. Returns whether it was not settled before.
    pub(super) const fn settle(&mut self) -> bool {
        let open = !self.is_settled();
        if open {
            self.settlement = Settlement::Settled;
        }
        open
    }
}

impl Chained for Outgoing {
    fn place(&mut self) -> &mut Place {
        &mut self.place
    }
}

/// A disposition over several deliveries that was not carried out whole (part 2.7.6).
#[derive(Debug)]
pub(super) struct RangeDisposition {
    pub(super) session: SessionKey,
    /// The role of the peer.
    pub(super) role: Role,
    /// The next delivery-id to look at.
    pub(super) first: u32,
    pub(super) last: u32,
    pub(super) settled: bool,
    pub(super) state: Option<DeliveryState>,
}
