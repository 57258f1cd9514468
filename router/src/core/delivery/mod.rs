//! A delivery: a message head, a body that may still be arriving, and the receiver's answer.
//!
//! A delivery has two ends. The [`ProducerEnd`] appends the body and hears the answer; the
//! [`ConsumerEnd`] takes the body and gives the answer. Each end has one owner, and the two may
//! live on two threads. They share one allocation and one lock, which is held for a few
//! instructions: an end wakes the other ([`Notify`]) once it has let go of the lock.
//!
//! ```text
//!   ProducerEnd                    shared state                    ConsumerEnd
//!   push, push_last, end  ──────►  bytes, end of the body   ────►  take, take_within, ended
//!   settle, set_sender_state ───►  word of the sender  ─────────►  take_sender_state
//!   progress,             ◄──────  acknowledgement, outcome,  ◄──  acknowledge, set_outcome,
//!   take_receiver_state            word of the receiver            conclude, set_receiver_state
//! ```
//!
//! Dropping an end tells the other what it must know:
//!
//! ```text
//!   ProducerEnd:  open ──end(Complete)──► complete ──drop──► (nothing)
//!                   ├────end(Aborted)───► aborted  ──drop──► (nothing)
//!                   └────drop───────────► aborted, and the sender has settled
//!
//!   ConsumerEnd:  owes an answer ──set_outcome(.., true), conclude──► settled ──drop──► (nothing)
//!                   └─drop─► RELEASED before the first take, MODIFIED after it
//! ```
//!
//! The consumer owes no answer once it has all of a body that ended, if the sender has settled;
//! nor for a body that was aborted.

mod consumer;
mod message;
mod notify;
mod producer;
mod shared;

use std::sync::Arc;

use bytes::Bytes;

pub use consumer::{Backlog, ConsumerEnd};
pub use message::Message;
pub use notify::{Notify, Party};
pub use producer::ProducerEnd;
pub(super) use shared::Outstanding;
use shared::Shared;
pub use shared::{AHEAD, Ended, Progress};

use super::account::Holder;

impl ProducerEnd {
    /// Begins a delivery without bytes of a body, and charges `holder` for it.
    pub fn begin(message: Message, holder: &Arc<Holder>) -> (Self, ConsumerEnd) {
        ends(Shared::new(message, holder))
    }
}

impl ConsumerEnd {
    /// Makes a delivery whose body is `body`, and charges `holder` for it. Nobody hears the answer.
    pub fn whole(message: Message, body: Bytes, holder: &Arc<Holder>) -> Self {
        let shared = Shared::new(message, holder);
        shared.append(body, Some(Ended::Complete));
        Self::new(Arc::new(shared))
    }

    /// Begins another delivery of the same message, without bytes of the body.
    pub(super) fn copy(&self) -> (ProducerEnd, Self) {
        ends(self.shared().copy())
    }
}

fn ends(shared: Shared) -> (ProducerEnd, ConsumerEnd) {
    let shared = Arc::new(shared);
    (ProducerEnd::new(Arc::clone(&shared)), ConsumerEnd::new(shared))
}
