//! One delivery that arrives by a connection.
//!
//! ```text
//!                      its head is whole
//!   Head --------------------------------------> Routed
//!     |                                             |
//!     | it cannot be routed, is for this            | its stream's window was overrun,
//!     | router itself, or is too large              | or it is too large
//!     +----------------> Refused <------------------+
//! ```
//!
//! It is over once it has ended and its consumer has settled it, its sender has settled it, or its
//! link is gone. Of a refused delivery the rest is dropped as it comes.

use bytes::Bytes;
use skupper_proto::amqp::performative::DeliveryState;
use skupper_proto::engine::{Ending, LinkKey, SessionKey};
use skupper_proto::stream;

use super::head::Gathering;
use crate::core::{Ended, ProducerEnd};
use crate::net::tally::Tally;

/// The bytes of one message in transit that may wait for its receiver before the session's window
/// is left to close.
pub(super) const FULL: usize = 1024 * 1024;

/// A payload of fewer bytes is copied rather than kept as a slice: a slice pins the whole block it
/// was read into (64 KiB), and may pin four times its size at most. A full frame of 16 KiB is just
/// over it.
const COPY_BELOW: usize = 15 * 1024;

/// How a delivery takes more of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Appended {
    /// It has room for it.
    Fits,
    /// It holds enough: its session's window is to be left to close.
    Full,
    /// The stream's window was overrun: it is refused.
    Overrun,
}

/// One delivery that arrives.
pub(super) struct Inbound {
    pub(super) link: LinkKey,
    pub(super) tally: Tally,
    /// Its sender has settled it.
    pub(super) presettled: bool,
    /// Nothing more of it comes.
    pub(super) ended: bool,
    /// It has a window of its own, as the two streams of a service connection have.
    pub(super) windowed: bool,
    /// Bytes of the message that have arrived.
    pub(super) octets: u64,
    /// Bytes whose receipt was passed on.
    pub(super) received: Option<u64>,
    /// The outcome that its sender was told.
    pub(super) outcome: Option<DeliveryState>,
    pub(super) stage: Stage,
}

/// How far a delivery has come.
pub(super) enum Stage {
    /// Its head has not arrived whole.
    Head {
        /// What has arrived of it, if anything.
        gathered: Option<Box<Gathering>>,
        /// What its sender has said of it in the terms of an extension.
        said: Option<Box<DeliveryState>>,
    },
    /// It is on its way.
    Routed {
        delivery: ProducerEnd,
        /// It holds more than it should: this session's window is left to close.
        full: Option<SessionKey>,
    },
    /// The rest of it is dropped.
    Refused,
}

impl Inbound {
    /// Makes a delivery of which nothing has arrived.
    pub(super) const fn new(link: LinkKey, presettled: bool, tally: Tally) -> Self {
        Self {
            link,
            tally,
            presettled,
            ended: false,
            windowed: false,
            octets: 0,
            received: None,
            outcome: None,
            stage: Stage::Head { gathered: None, said: None },
        }
    }

    /// The sender has said how the delivery stands there. Only the terms of an extension are passed
    /// on: AMQP's own are between the sender and this router.
    pub(super) fn on_sender_state(&mut self, state: DeliveryState) {
        if !matches!(state, DeliveryState::Other(_)) {
            return;
        }
        match &mut self.stage {
            Stage::Head { said, .. } => *said = Some(Box::new(state)),
            Stage::Routed { delivery, .. } => delivery.set_sender_state(state),
            Stage::Refused => {}
        }
    }

    /// The body of a delivery that is on its way goes on.
    pub(super) fn append(&mut self, payload: Bytes, ending: Ending) -> Appended {
        let Stage::Routed { delivery, full } = &mut self.stage else { return Appended::Fits };
        if ending == Ending::Complete && !self.windowed {
            delivery.push_last(payload, Ended::Complete);
            return Appended::Fits;
        }
        let held = delivery.push(payload);
        if self.windowed {
            if held > stream::MAX_HELD && held > stream::MAX_HELD + delivery.lent() {
                delivery.end(Ended::Aborted);
                self.stage = Stage::Refused;
                return Appended::Overrun;
            }
        } else if held > FULL && full.is_none() && ending == Ending::More {
            return Appended::Full;
        }
        Appended::Fits
    }
}

/// Returns a payload as a delivery may keep it; an `exact` one pins no more than its own bytes.
pub(super) fn kept(payload: Bytes, exact: bool) -> Bytes {
    if exact || payload.len() < COPY_BELOW { Bytes::copy_from_slice(&payload) } else { payload }
}
