//! One delivery to several destinations: what arrives is given to a copy for each, and what their
//! receivers say is made one answer.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use skupper_proto::amqp::performative::DeliveryState;

use super::delivery::{ConsumerEnd, Ended, Notify, Party, ProducerEnd};
use super::serial::Serial;

/// Octets that a copy may hold before the original is left where it is, and its sender with it.
const AHEAD: usize = 256 * 1024;

/// A multicast delivery under way.
#[derive(Debug)]
pub(super) struct Fanout {
    state: Serial<State>,
}

#[derive(Debug)]
struct State {
    /// Until there is no more to take of it, and nobody to answer.
    original: Option<ConsumerEnd>,
    copies: Vec<Copy>,
    ended: Option<Ended>,
    /// The original's sender has settled, and the copies' senders with it.
    settled: bool,
}

#[derive(Debug)]
struct Copy {
    delivery: ProducerEnd,
    /// What its receiver made of it.
    outcome: Option<DeliveryState>,
    /// Its receiver has said its last.
    done: bool,
}

/// Of several outcomes the one with the highest rank is told: rejected, accepted, modified,
/// released.
const fn rank(outcome: &DeliveryState) -> u8 {
    match outcome {
        DeliveryState::Rejected(_) => 4,
        DeliveryState::Accepted => 3,
        DeliveryState::Modified(_) => 2,
        DeliveryState::Released => 1,
        DeliveryState::Received(_) | DeliveryState::Other(_) => 0,
    }
}

impl Fanout {
    /// Makes `copies` copies of a delivery and begins to feed them. The caller hands each to its
    /// destination.
    pub(super) fn start(original: ConsumerEnd, copies: usize) -> Vec<ConsumerEnd> {
        let (producers, consumers): (Vec<_>, Vec<_>) = (0..copies).map(|_| original.copy()).unzip();
        let copies = producers
            .into_iter()
            .map(|delivery| Copy { delivery, outcome: None, done: false })
            .collect();
        let state = State { original: Some(original), copies, ended: None, settled: false };
        let fanout = Arc::new(Self { state: Serial::new(state) });
        let party = || Notify::Call(Arc::clone(&fanout) as Arc<dyn Party>);
        let mut begun = false;
        fanout.state.notice(|state| {
            // Naming the party of an original that waits is a notice by itself.
            if !std::mem::replace(&mut begun, true) {
                state.copies.iter().for_each(|copy| copy.delivery.set_notify(party()));
                state.original.iter().for_each(|original| original.set_notify(party()));
            }
            state.look();
        });
        consumers
    }
}

impl Party for Fanout {
    fn on_notice(self: Arc<Self>) {
        self.state.notice(State::look);
    }
}

impl State {
    fn look(&mut self) {
        if self.copies.is_empty() {
            return;
        }
        self.carry();
        let (done, said) = self.look_after();
        // Of what was given up nobody is told anything.
        let aborted = self.ended == Some(Ended::Aborted);
        if let Some(original) = self.original.as_ref().filter(|_| !aborted) {
            if let Some(said) = said {
                original.set_receiver_state(said);
            }
            if !done && self.copies.iter().all(|copy| copy.done || copy.outcome.is_some()) {
                original.set_outcome(self.outcome(), false);
            }
        }
        if done || aborted {
            let outcome = self.outcome();
            for copy in std::mem::take(&mut self.copies) {
                copy.delivery.set_notify(Notify::Nobody);
            }
            if let Some(original) = self.release().filter(|_| !aborted) {
                original.conclude(outcome);
            }
        } else if self.ended.is_some() && self.is_unheard() {
            // Nobody waits for the answer of the copies.
            self.release();
        }
    }

    fn is_unheard(&self) -> bool {
        let presettled = |copy: &Copy| copy.delivery.message().presettled;
        self.settled || self.copies.first().is_some_and(presettled)
    }

    /// Lets go of the original, and so cuts the circle of references.
    fn release(&mut self) -> Option<ConsumerEnd> {
        let original = self.original.take()?;
        original.set_notify(Notify::Nobody);
        Some(original)
    }

    /// From the original into the copies, as far as none of them holds too much.
    fn carry(&mut self) {
        let Some(original) = &self.original else { return };
        if original.is_sender_settled() && !std::mem::replace(&mut self.settled, true) {
            for copy in &self.copies {
                copy.delivery.settle();
            }
        }
        if let Some(state) = original.take_sender_state() {
            for copy in &self.copies {
                copy.delivery.set_sender_state(state.clone());
            }
        }
        while self.ended.is_none() {
            let most = self
                .copies
                .iter()
                .filter(|copy| !copy.done)
                .map(|copy| copy.delivery.waiting())
                .max()
                .unwrap_or(0);
            let mut chunks: VecDeque<Bytes> = VecDeque::new();
            let (octets, ended) = original.take(AHEAD.saturating_sub(most), &mut chunks);
            for chunk in chunks {
                for copy in &self.copies {
                    copy.delivery.push(chunk.clone());
                }
            }
            if let Some(ended) = ended {
                self.ended = Some(ended);
                for copy in &self.copies {
                    copy.delivery.end(ended);
                }
            } else if octets == 0 {
                return;
            }
        }
    }

    /// Notes what the receivers have said. Returns whether nothing more is to be expected of them,
    /// and what one of them has said in the terms of an extension.
    fn look_after(&mut self) -> (bool, Option<DeliveryState>) {
        let mut said = None;
        for copy in self.copies.iter_mut().filter(|copy| !copy.done) {
            let progress = copy.delivery.progress();
            let unheard = copy.delivery.message().presettled || self.settled;
            if progress.extended
                && let Some(state) = copy.delivery.take_receiver_state()
            {
                said = Some(state);
            }
            copy.done = progress.settled || unheard && progress.queued == 0 && self.ended.is_some();
            copy.outcome = progress.outcome.filter(DeliveryState::is_outcome);
        }
        (self.copies.iter().all(|copy| copy.done), said)
    }

    /// The outcome that goes before all others: see [`rank`].
    fn outcome(&self) -> Option<DeliveryState> {
        self.copies
            .iter()
            .filter_map(|copy| copy.outcome.as_ref())
            .max_by_key(|outcome| rank(outcome))
            .cloned()
    }
}
