//! The end of a delivery that brings the body and hears the answer.

use std::sync::Arc;

use bytes::Bytes;
use skupper_proto::amqp::performative::DeliveryState;

use super::message::Message;
use super::notify::{Notify, Side};
use super::shared::{Ended, Progress, Shared};

/// The producer's end of a delivery.
///
/// Dropping it before the body has ended aborts the body and settles the delivery.
#[derive(Debug)]
pub struct ProducerEnd(Arc<Shared>);

impl ProducerEnd {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Returns the message without its body.
    pub fn message(&self) -> &Message {
        &self.0.message
    }

    /// Names the owner of this end, who is woken for each answer, and when the consumer takes bytes
    /// while [`AHEAD`](super::AHEAD) or more wait. A party is woken whenever the consumer takes
    /// bytes.
    pub fn set_notify(&self, notify: Notify) {
        let next = Side { notify, pending: false };
        // The former owner may go with its name, and then drops ends of its own.
        let former = std::mem::replace(&mut self.0.lock().producer, next);
        drop(former);
    }

    /// Appends bytes to the body, and returns how many wait for the consumer. Once an outcome other
    /// than ACCEPTED has come they are dropped, and after the end they are ignored.
    pub fn push(&self, octets: Bytes) -> usize {
        self.0.append(octets, None)
    }

    /// Appends the last bytes of the body and ends it. The consumer is woken once for both.
    pub fn push_last(&self, octets: Bytes, ended: Ended) {
        self.0.append(octets, Some(ended));
    }

    /// Ends the body. The first end stays.
    pub fn end(&self, ended: Ended) {
        self.0.append(Bytes::new(), Some(ended));
    }

    /// Settles for the sender, which hears no further answer.
    pub fn settle(&self) {
        let notify = {
            let mut state = self.0.lock();
            if std::mem::replace(&mut state.sender_settled, true) {
                return;
            }
            state.consumer.wake()
        };
        notify.wake();
    }

    /// Aborts the body if it has not ended, and settles: the sender is gone.
    pub fn abandon(self) {
        self.set_notify(Notify::Nobody);
        self.end(Ended::Aborted);
        self.settle();
    }

    /// Tells the consumer the sender's state in the terms of an extension. It replaces a state that
    /// the consumer has not taken.
    pub fn set_sender_state(&self, delivery_state: DeliveryState) {
        let notify = {
            let mut state = self.0.lock();
            state.sender_state = Some(Box::new(delivery_state));
            state.consumer.wake()
        };
        notify.wake();
    }

    /// Takes the receiver's state in the terms of an extension, if there is a new one.
    pub fn take_receiver_state(&self) -> Option<DeliveryState> {
        self.0.lock().receiver_state.take().map(|state| *state)
    }

    /// Returns the consumer's answer so far. The owner will be woken for later answers.
    pub fn progress(&self) -> Progress {
        let mut state = self.0.lock();
        state.producer.pending = false;
        Progress {
            queued: state.queued,
            received: state.received,
            acknowledged: state.acknowledged,
            extended: state.receiver_state.is_some(),
            allowance: state.allowance,
            outcome: state.outcome.clone(),
            settled: state.settled,
        }
    }

    /// Returns how many bytes wait for the consumer. Costs less than [`ProducerEnd::progress`].
    pub fn waiting(&self) -> usize {
        self.0.lock().queued
    }

    /// Returns how many bytes beyond the window may come, for the receiver allowed them once.
    pub fn lent(&self) -> usize {
        self.0.lock().lent
    }

    /// Returns how many bytes the receiver has acknowledged, and leaves the owner as it was: woken
    /// or not.
    #[cfg(test)]
    pub(in super::super) fn received(&self) -> u64 {
        self.0.lock().received
    }
}

impl Drop for ProducerEnd {
    fn drop(&mut self) {
        // Without a consumer there is nobody to tell.
        if Arc::strong_count(&self.0) == 1 {
            return;
        }
        let notify = {
            let mut state = self.0.lock();
            if state.end.is_some() {
                return;
            }
            state.end = Some(Ended::Aborted);
            state.sender_settled = true;
            state.consumer.wake()
        };
        notify.wake();
    }
}
