//! Where a client's connection waits for its server stream.

use std::sync::Arc;
use std::task::Waker;

use skupper_proto::amqp::performative::DeliveryState;

use crate::core::{ConsumerEnd, Endpoint, ReplyHandle};
use crate::lock::{Mutex, MutexGuard};

#[derive(Debug, Default)]
struct State {
    delivery: Option<ConsumerEnd>,
    waker: Option<Waker>,
    /// One has come, or the client is gone: no other is taken.
    closed: bool,
}

/// Takes the one delivery that answers.
#[derive(Debug, Default)]
pub(super) struct Reply(Mutex<State>);

impl Reply {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }

    /// The delivery, once it has come. Until then `waker` will be woken by it.
    pub(super) fn poll(&self, waker: &Waker) -> Option<ConsumerEnd> {
        let mut state = self.lock();
        if state.delivery.is_none()
            && !state.waker.as_ref().is_some_and(|known| known.will_wake(waker))
        {
            state.waker = Some(waker.clone());
        }
        state.delivery.take()
    }

    /// Takes no delivery any more.
    pub(super) fn close(&self) {
        let delivery = {
            let mut state = self.lock();
            state.closed = true;
            state.delivery.take()
        };
        if let Some(delivery) = delivery {
            delivery.conclude(DeliveryState::Released);
        }
    }
}

/// What a connection holds while it waits for its server stream: the place where it comes, and the
/// address by which it finds its way there.
#[derive(Debug)]
pub(super) struct Answer {
    reply: Arc<Reply>,
    _address: ReplyHandle,
}

impl Answer {
    /// The answer that comes to `reply` by `address`.
    pub(super) const fn new(reply: Arc<Reply>, address: ReplyHandle) -> Self {
        Self { reply, _address: address }
    }

    /// Returns the delivery, once it has come. Until then it will wake `waker`.
    pub(super) fn poll(&self, waker: &Waker) -> Option<ConsumerEnd> {
        self.reply.poll(waker)
    }

    /// Takes no delivery any more.
    pub(super) fn close(&self) {
        self.reply.close();
    }
}

impl Endpoint for Reply {
    fn deliver(&self, delivery: ConsumerEnd) {
        let waker = {
            let mut state = self.lock();
            if state.closed {
                drop(state);
                return delivery.conclude(DeliveryState::Released);
            }
            state.closed = true;
            state.delivery = Some(delivery);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
