//! The place where a client's connection waits for its server stream.
//!
//! ```text
//!   +---------+  a delivery   +---------+  taken, or   +--------+
//!   | Waiting |-------------->| Arrived |------------->| Closed |
//!   +---------+  comes        +---------+  closed      +--------+
//!        |                                                  ^
//!        |  closed                                          |
//!        +--------------------------------------------------+
//! ```

use std::sync::Arc;
use std::task::Waker;

use skupper_proto::amqp::performative::DeliveryState;

use crate::core::{ConsumerEnd, Endpoint, ReplyHandle};
use crate::lock::Mutex;

#[derive(Debug)]
enum State {
    /// No delivery has come. The first one wakes the task.
    Waiting(Option<Waker>),
    /// A delivery has come, and has not been taken.
    Arrived(ConsumerEnd),
    /// The place takes no delivery.
    Closed,
}

/// Takes one delivery, and releases all others.
#[derive(Debug)]
pub(super) struct Reply(Mutex<State>);

impl Default for Reply {
    fn default() -> Self {
        Self(Mutex::new(State::Waiting(None)))
    }
}

impl Reply {
    /// Returns the delivery once, if it has come. One that comes later wakes `waker`.
    pub(super) fn poll(&self, waker: &Waker) -> Option<ConsumerEnd> {
        let mut state = self.0.lock();
        if let State::Waiting(known) = &mut *state {
            if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
                *known = Some(waker.clone());
            }
            return None;
        }
        match std::mem::replace(&mut *state, State::Closed) {
            State::Arrived(delivery) => Some(delivery),
            State::Waiting(_) | State::Closed => None,
        }
    }

    /// Closes the place, and releases a delivery that has come and was not taken.
    pub(super) fn close(&self) {
        let former = std::mem::replace(&mut *self.0.lock(), State::Closed);
        if let State::Arrived(delivery) = former {
            delivery.conclude(DeliveryState::Released);
        }
    }
}

/// The claim of a connection on its server stream: the place where that comes, and the address by
/// which it finds its way there.
#[derive(Debug)]
pub(super) struct Answer {
    reply: Arc<Reply>,
    _address: ReplyHandle,
}

impl Answer {
    /// Claims the delivery that comes to `reply` by `address`.
    pub(super) const fn new(reply: Arc<Reply>, address: ReplyHandle) -> Self {
        Self { reply, _address: address }
    }

    /// Returns the delivery once, if it has come. One that comes later wakes `waker`.
    pub(super) fn poll(&self, waker: &Waker) -> Option<ConsumerEnd> {
        self.reply.poll(waker)
    }

    /// Gives the claim up. A delivery that has come, or comes, is released.
    pub(super) fn close(&self) {
        self.reply.close();
    }
}

impl Endpoint for Reply {
    fn deliver(&self, delivery: ConsumerEnd) {
        let mut state = self.0.lock();
        if !matches!(*state, State::Waiting(_)) {
            drop(state);
            return delivery.conclude(DeliveryState::Released);
        }
        let former = std::mem::replace(&mut *state, State::Arrived(delivery));
        drop(state);
        if let State::Waiting(Some(waker)) = former {
            waker.wake();
        }
    }
}
