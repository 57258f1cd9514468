//! One delivery to several destinations: a party feeds a copy for each, and makes their answers
//! one.
//!
//! The party owns the original's consumer end and the copies' producer ends. It holds the sender
//! back while a copy is full. It ends when all receivers have given their last answer, or when the
//! original is aborted.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use skupper_proto::amqp::performative::DeliveryState;

use super::delivery::{ConsumerEnd, Ended, Notify, Party, ProducerEnd};
use super::serial::Serial;

/// The bytes that a copy may hold before no more is taken from the original.
const AHEAD: usize = 256 * 1024;

/// A multicast delivery under way.
#[derive(Debug)]
pub(super) struct Fanout {
    copies: Serial<Copies>,
}

/// The original and its copies.
#[derive(Debug)]
struct Copies {
    /// Held until it has no more bytes and its sender expects no answer.
    original: Option<ConsumerEnd>,
    copies: Vec<Copy>,
    ended: Option<Ended>,
    /// The original's sender has settled, and so have the copies' producers.
    settled: bool,
}

#[derive(Debug)]
struct Copy {
    delivery: ProducerEnd,
    /// Its receiver's outcome.
    outcome: Option<DeliveryState>,
    /// Its receiver gives no further answer.
    done: bool,
}

/// Returns an outcome's rank. The highest of several is the original's: rejected, accepted,
/// modified, released.
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
        let copies = Copies { original: Some(original), copies, ended: None, settled: false };
        let fanout = Arc::new(Self { copies: Serial::new(copies) });
        let party = || Notify::Call(Arc::clone(&fanout) as Arc<dyn Party>);
        let mut begun = false;
        fanout.copies.notice(|all| {
            // An original that waits notifies its party as soon as it is named.
            if !std::mem::replace(&mut begun, true) {
                all.copies.iter().for_each(|copy| copy.delivery.set_notify(party()));
                all.original.iter().for_each(|original| original.set_notify(party()));
            }
            all.look();
        });
        consumers
    }
}

impl Party for Fanout {
    fn on_notice(self: Arc<Self>) {
        self.copies.notice(Copies::look);
    }
}

impl Copies {
    fn look(&mut self) {
        if self.copies.is_empty() {
            return;
        }
        self.carry();
        let (done, said) = self.look_after();
        // A producer that has aborted hears no answer.
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
            // The sender expects no answer of the copies.
            self.release();
        }
    }

    fn is_unheard(&self) -> bool {
        let presettled = |copy: &Copy| copy.delivery.message().presettled;
        self.settled || self.copies.first().is_some_and(presettled)
    }

    /// Takes the original out, and so cuts the circle of references between it and its party.
    fn release(&mut self) -> Option<ConsumerEnd> {
        let original = self.original.take()?;
        original.set_notify(Notify::Nobody);
        Some(original)
    }

    /// Moves bytes, their end and the sender's word from the original into the copies, as far as no
    /// copy holds too much.
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
            // An aborted body waits for no room: the rest of it is of no use to a receiver.
            let ended =
                ended.or_else(|| (octets == 0 && original.give_up()).then_some(Ended::Aborted));
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

    /// Notes the receivers' answers. Returns whether all have given their last one, and a
    /// receiver's new state in the terms of an extension.
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

    /// Returns the outcome that goes before all others: see [`rank`].
    fn outcome(&self) -> Option<DeliveryState> {
        self.copies
            .iter()
            .filter_map(|copy| copy.outcome.as_ref())
            .max_by_key(|outcome| rank(outcome))
            .cloned()
    }
}
