//! The end of a delivery that takes the body and gives the answer.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use skupper_proto::amqp::performative::DeliveryState;
use skupper_proto::stream;

use super::super::account::{Charge, Holder};
use super::super::mailbox::Mailbox;
use super::message::Message;
use super::notify::{Notify, Side};
use super::shared::{AHEAD, Ended, Exchange, Outstanding, Recall, Shared};

/// The consumer's end of a delivery.
///
/// Dropping it while it owes an answer gives one: MODIFIED if any of the body was taken, else
/// RELEASED, so that the delivery may go elsewhere.
#[derive(Debug)]
pub struct ConsumerEnd(Arc<Shared>);

/// Tells how many bytes of a delivery wait for the consumer, for as long as one of its ends lives.
#[derive(Debug)]
pub struct Backlog(Weak<Shared>);

impl Backlog {
    /// Returns how many bytes wait; none once the delivery is gone.
    pub fn waiting(&self) -> usize {
        self.0.upgrade().map_or(0, |shared| shared.lock().queued)
    }
}

impl ConsumerEnd {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    pub(super) const fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    /// Returns the message without its body.
    pub fn message(&self) -> &Message {
        &self.0.message
    }

    /// Names the owner of this end, who is woken for bytes, their end and each word of the sender.
    /// Wakes it at once if bytes or the end wait already.
    pub fn set_notify(&self, notify: Notify) {
        let (former, notify) = {
            let mut state = self.0.lock();
            let next = Side { notify, pending: false };
            let former = std::mem::replace(&mut state.consumer, next);
            if state.chunks.is_empty() && state.end.is_none() {
                (former, Notify::Nobody)
            } else {
                (former, state.consumer.wake())
            }
        };
        // The former owner may go with its name, and then drops ends of its own.
        drop(former);
        notify.wake();
    }

    /// Charges `holder` for the delivery from here on: who the body is for has been found.
    pub fn charge_to(&self, holder: &Arc<Holder>) {
        self.0.charge_to(holder);
    }

    /// Charges the delivery's holder for bytes that were taken and are kept elsewhere.
    pub fn charge(&self, octets: usize) -> Charge {
        self.0.lock().holder.charge(octets)
    }

    /// Returns a view of the bytes that wait, which outlives this end.
    pub fn backlog(&self) -> Backlog {
        Backlog(Arc::downgrade(&self.0))
    }

    /// Returns how many bytes wait to be taken.
    pub fn waiting(&self) -> usize {
        self.0.lock().queued
    }

    /// Counts the delivery at its destination until both ends are gone.
    pub(in super::super) fn count_at(&self, outstanding: Outstanding) {
        self.0.count_at(outstanding);
    }

    /// Returns the mailbox of the connection that the delivery came by, if it came by one.
    pub(in super::super) fn came_by(&self) -> Option<Arc<Mailbox>> {
        match &self.0.lock().producer.notify {
            Notify::Slot(mailbox, _) => Some(Arc::clone(mailbox)),
            Notify::Nobody | Notify::Task(_) | Notify::Call(_) => None,
        }
    }

    /// Returns whether the producer's end has been dropped.
    pub(in super::super) fn is_orphaned(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// Moves up to `limit` bytes to `into` (the last chunk may go over it). Returns their number,
    /// and how the body ended if it ends behind them.
    pub fn take(&self, limit: usize, into: &mut impl Extend<Bytes>) -> (usize, Option<Ended>) {
        self.take_some(limit, usize::MAX, into)
    }

    /// Does the same as [`ConsumerEnd::take`], and never moves more than `limit` bytes.
    pub fn take_within(
        &self,
        limit: usize,
        into: &mut impl Extend<Bytes>,
    ) -> (usize, Option<Ended>) {
        self.take_some(limit, limit, into)
    }

    fn take_some(
        &self,
        enough: usize,
        most: usize,
        into: &mut impl Extend<Bytes>,
    ) -> (usize, Option<Ended>) {
        let mut state = self.0.lock();
        state.consumer.pending = false;
        state.started = true;
        let mut octets = 0;
        while octets < enough {
            let chunk = match state.chunks.front_mut() {
                Some(chunk) if chunk.len() > most - octets => Some(chunk.split_to(most - octets)),
                _ => state.chunks.pop_front(),
            };
            let Some(chunk) = chunk else { break };
            octets += chunk.len();
            into.extend([chunk]);
        }
        let held_back = state.queued >= AHEAD || matches!(state.producer.notify, Notify::Call(_));
        state.queued -= octets;
        let end = state.end.filter(|_| state.chunks.is_empty());
        let notify = if octets > 0 && held_back { state.producer.wake() } else { Notify::Nobody };
        state.holder.give_back(octets);
        drop(state);
        notify.wake();
        (octets, end)
    }

    /// Drops the bytes that wait if the body was aborted: the consumer cannot go on with them.
    /// Returns whether the body was aborted.
    pub fn give_up(&self) -> bool {
        let mut state = self.0.lock();
        if state.end != Some(Ended::Aborted) {
            return false;
        }
        state.void();
        true
    }

    /// Acknowledges `octets` of the body, all in all, and allows `allowance` beyond the window. The
    /// allowance is granted as far as the router has memory for it.
    pub fn acknowledge(&self, octets: u64, allowance: u64) {
        let notify = {
            let mut state = self.0.lock();
            if octets <= state.received && state.acknowledged {
                return;
            }
            state.received = state.received.max(octets);
            state.acknowledged = true;
            state.allowance = self.grant(&mut state, allowance);
            state.producer.wake()
        };
        notify.wake();
    }

    /// Returns how much of an allowance the router can bear, and lends it.
    fn grant(&self, state: &mut Exchange, wanted: u64) -> u64 {
        if self.message().internal {
            // Its producer reads no further ahead than it always does.
            return wanted;
        }
        let extensible = self.message().extensible;
        let wanted = if extensible { usize::try_from(wanted).unwrap_or(usize::MAX) } else { 0 };
        let account = state.holder.account();
        // While memory is short, loans are called back.
        let wanted = if account.is_short() { 0 } else { wanted };
        if wanted > state.lent && account.lend(wanted - state.lent) {
            state.lent = wanted;
        }
        let granted = wanted.min(state.lent);
        state.recall = match state.recall {
            _ if granted == state.lent => None,
            None => {
                let under_way = (stream::MAX_HELD + state.lent) as u64;
                Some(Recall { at: state.received + under_way, most: granted })
            }
            Some(Recall { at, most }) if state.received >= at => {
                let most = most.max(granted);
                account.end_loan(state.lent - most);
                state.lent = most;
                None
            }
            Some(Recall { at, most }) => Some(Recall { at, most: most.max(granted) }),
        };
        granted as u64
    }

    /// Gives the delivery its outcome; the first one stays. `settled` says that the receiver has
    /// settled.
    pub fn set_outcome(&self, outcome: Option<DeliveryState>, settled: bool) {
        self.0.answer(outcome, settled, false);
    }

    /// Gives the delivery its outcome, if any, and settles it.
    pub fn conclude(self, outcome: impl Into<Option<DeliveryState>>) {
        self.0.answer(outcome.into(), true, true);
    }

    /// Tells the producer the receiver's state in the terms of an extension, which is no outcome.
    /// It replaces a state that the producer has not taken.
    pub fn set_receiver_state(&self, delivery_state: DeliveryState) {
        let notify = {
            let mut state = self.0.lock();
            state.receiver_state = Some(Box::new(delivery_state));
            state.producer.wake()
        };
        notify.wake();
    }

    /// Takes the sender's state in the terms of an extension, if it has changed since the message
    /// came. The owner will be woken for later ones.
    pub fn take_sender_state(&self) -> Option<DeliveryState> {
        let mut state = self.0.lock();
        state.consumer.pending = false;
        state.sender_state.take().map(|state| *state)
    }

    /// Returns whether the sender has settled.
    pub fn is_sender_settled(&self) -> bool {
        self.0.lock().sender_settled
    }

    /// Returns how the body ended, if it has. Bytes before the end may still wait.
    pub fn ended(&self) -> Option<Ended> {
        self.0.lock().end
    }
}

impl ConsumerEnd {
    /// Gives the answer that is owed, for a consumer that is gone.
    fn lose(&self) {
        // Without a producer there is nobody to tell.
        if self.is_orphaned() {
            return;
        }
        let outcome = {
            let mut state = self.0.lock();
            if !owes_answer(&state, self.message()) {
                return;
            }
            if is_missing(&state) && state.outcome == Some(DeliveryState::Accepted) {
                (state.outcome, state.settled) = (None, false);
            }
            if state.started { DeliveryState::failed() } else { DeliveryState::Released }
        };
        self.0.answer(Some(outcome), true, true);
    }
}

impl Drop for ConsumerEnd {
    fn drop(&mut self) {
        self.lose();
    }
}

/// Returns whether the producer waits for an answer that the consumer has not given.
fn owes_answer(state: &Exchange, message: &Message) -> bool {
    if state.concluded || state.end == Some(Ended::Aborted) {
        return false;
    }
    if is_missing(state) {
        // A receiver may accept a stream before its end. The bytes that it has not taken are lost
        // all the same, and the producer, which keeps no window any more, would wait for ever for
        // somebody to take them.
        return !state.settled || state.outcome == Some(DeliveryState::Accepted);
    }
    !state.settled && !message.presettled && !state.sender_settled
}

/// Returns whether the consumer has not taken all of a whole body.
fn is_missing(state: &Exchange) -> bool {
    !state.chunks.is_empty() || state.end != Some(Ended::Complete)
}
