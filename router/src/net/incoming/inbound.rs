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
//! A delivery is over once it has ended and either end has settled it, or once its link is gone.
//! The rest of a refused delivery is dropped as it comes.

use bytes::Bytes;
use skupper_proto::amqp::performative::DeliveryState;
use skupper_proto::engine::{Ending, LinkKey, SessionKey};
use skupper_proto::stream;

use super::head::Gathering;
use crate::core::{Ended, ProducerEnd};
use crate::net::tally::Tally;

/// The bytes of one message in transit that may wait for its receiver. Above that its session's
/// window is left to close.
pub(super) const FULL: usize = 1024 * 1024;

/// A payload of fewer bytes is copied rather than kept as a slice. A slice pins the whole block
/// that it was read into (64 KiB), and may pin four times its size at most. A full frame of 16 KiB
/// is just over it.
const COPY_BELOW: usize = 15 * 1024;

/// The effect of more bytes on a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Appended {
    /// It has room for them.
    Fits,
    /// It holds enough: its session's window must be left to close.
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
    /// The bytes whose receipt the sender was told.
    pub(super) received: Option<u64>,
    /// The outcome that its sender was told.
    pub(super) outcome: Option<DeliveryState>,
    pub(super) stage: Stage,
}

/// The progress of a delivery.
pub(super) enum Stage {
    /// Its head has not arrived whole.
    Head {
        /// The part that has arrived, if any.
        gathered: Option<Box<Gathering>>,
        /// The word of its sender in the terms of an extension.
        said: Option<Box<DeliveryState>>,
    },
    /// It is on its way.
    Routed {
        delivery: ProducerEnd,
        /// The session whose window is left to close, for the delivery holds more than it should.
        full: Option<SessionKey>,
    },
    /// The rest of it is dropped.
    Refused,
}

impl Inbound {
    /// Makes a delivery without bytes.
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

    /// Passes on the sender's word if it is in the terms of an extension. AMQP's own terms are
    /// between the sender and this router.
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

    /// Appends to the body of a delivery that is on its way.
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

/// Returns a payload in the form that a delivery may keep. An `exact` one pins no more than its own
/// bytes.
pub(super) fn kept(payload: Bytes, exact: bool) -> Bytes {
    if exact || payload.len() < COPY_BELOW { Bytes::copy_from_slice(&payload) } else { payload }
}
