//! One delivery to several destinations: what arrives is given to a copy for each, and what their
//! receivers say is made one answer.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use skupper_proto::amqp::performative::DeliveryState;

use super::delivery::{Delivery, Ended, Notify, Party};
use super::serial::Serial;

/// Octets that a copy may hold before the original is left where it is, and its sender with it.
const AHEAD: usize = 256 * 1024;

/// A multicast delivery under way.
#[derive(Debug)]
pub(super) struct Fanout {
    /// Its producer holds it.
    original: Weak<Delivery>,
    state: Serial<State>,
}

#[derive(Debug)]
struct State {
    copies: Vec<Copy>,
    ended: Option<Ended>,
    /// The original's sender has settled, and the copies' senders with it.
    settled: bool,
}

#[derive(Debug)]
struct Copy {
    delivery: Arc<Delivery>,
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
    pub(super) fn start(original: &Arc<Delivery>, copies: usize) -> Vec<Arc<Delivery>> {
        let copies: Vec<_> = (0..copies).map(|_| original.copy()).collect();
        let fanout = Arc::new(Self {
            original: Arc::downgrade(original),
            state: Serial::new(State {
                copies: copies
                    .iter()
                    .map(|delivery| Copy {
                        delivery: Arc::clone(delivery),
                        outcome: None,
                        done: false,
                    })
                    .collect(),
                ended: None,
                settled: false,
            }),
        });
        for copy in &copies {
            copy.set_producer(Notify::Call(Arc::clone(&fanout) as Arc<dyn Party>));
        }
        original.set_consumer(Notify::Call(Arc::clone(&fanout) as Arc<dyn Party>));
        fanout.notice();
        copies
    }
}

impl Party for Fanout {
    fn notice(self: Arc<Self>) {
        self.state.notice(|state| self.look(state));
    }
}

impl Fanout {
    fn look(&self, state: &mut State) {
        if state.copies.is_empty() {
            return;
        }
        let original = self.original.upgrade();
        if let Some(original) = &original {
            state.carry(original);
        } else if state.ended.is_none() {
            state.end(Ended::Aborted);
        }
        // Of what was given up nobody is told anything.
        let aborted = state.ended == Some(Ended::Aborted);
        let (done, said) = state.look_after();
        if let (Some(original), Some(said)) = (original.as_ref().filter(|_| !aborted), said) {
            original.set_receiver_state(said);
        }
        if let Some(original) = original.as_ref().filter(|_| !aborted)
            && (done || state.copies.iter().all(|copy| copy.done || copy.outcome.is_some()))
        {
            original.outcome(state.outcome(), done);
        }
        if !done && !aborted {
            return;
        }
        // Nobody is told anything any more: the circle of references is cut.
        for copy in std::mem::take(&mut state.copies) {
            copy.delivery.set_producer(Notify::Nobody);
        }
        if let Some(original) = original {
            original.set_consumer(Notify::Nobody);
        }
    }
}

impl State {
    /// From the original into the copies, as far as none of them holds too much.
    fn carry(&mut self, original: &Delivery) {
        if original.is_sender_settled() && !std::mem::replace(&mut self.settled, true) {
            for copy in &self.copies {
                copy.delivery.settle();
            }
        }
        if let Some(state) = original.sender_state() {
            for copy in &self.copies {
                copy.delivery.set_sender_state(state.clone());
            }
        }
        while self.ended.is_none() {
            let most = self
                .copies
                .iter()
                .filter(|copy| !copy.done)
                .map(|copy| copy.delivery.window().0)
                .max()
                .unwrap_or(0);
            let mut chunks: VecDeque<Bytes> = VecDeque::new();
            let (octets, ended) = original.take(AHEAD.saturating_sub(most), &mut chunks);
            for chunk in chunks {
                for copy in &self.copies {
                    copy.delivery.push(chunk.clone());
                }
            }
            match ended {
                Some(ended) => self.end(ended),
                None if octets == 0 => return,
                None => {}
            }
        }
    }

    fn end(&mut self, ended: Ended) {
        self.ended = Some(ended);
        for copy in &self.copies {
            copy.delivery.end(ended);
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
                && let Some(state) = copy.delivery.receiver_state()
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
