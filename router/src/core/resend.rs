//! One delivery to one destination after the other, until one does not release it: for senders that
//! ask for this (`qd.resend-released`).
//!
//! The party owns the original's consumer end and the producer end of one copy at a time:
//!
//! ```text
//!              released, all kept, and the sender still there
//!            ┌───────────────────────────────────────────────┐
//!            ▼                                               │
//!   start ─► a copy at a destination ─┬─ acknowledged, or more than KEPT ─► the last destination
//!                                     │                                        │
//!                                     └────────── any other outcome ───────────┴─► over
//! ```

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use skupper_proto::address::{AddressKey, Canonical};
use skupper_proto::amqp::performative::DeliveryState;

use super::account::Charge;
use super::choose::Tried;
use super::delivery::{ConsumerEnd, Ended, Notify, Party, ProducerEnd};
use super::serial::Serial;
use super::tables::Core;

/// The most bytes of a message that are kept to be sent again. The first destination that has taken
/// more is the last one.
const KEPT: usize = 1024 * 1024;

/// The bytes that a copy may hold before no more is taken from the original.
const AHEAD: usize = 256 * 1024;

/// The party of a delivery that is sent again when it is released.
#[derive(Debug)]
pub(super) struct Resend {
    core: Weak<Core>,
    to: AddressKey,
    attempts: Serial<Attempts>,
}

/// The original and the attempts to deliver it.
#[derive(Debug)]
struct Attempts {
    original: Option<ConsumerEnd>,
    /// The copy at the present destination.
    copy: Option<ProducerEnd>,
    tried: Tried,
    /// The body so far, as long as it may be sent again.
    kept: Option<Vec<Bytes>>,
    /// The charge for the kept body.
    charge: Charge,
    octets: usize,
    ended: Option<Ended>,
    received: u64,
    settled: bool,
}

impl Resend {
    /// Tries the first destination.
    ///
    /// # Errors
    /// Returns the delivery if there is no destination.
    pub(super) fn start(
        core: &Arc<Core>,
        original: ConsumerEnd,
        to: Canonical<'_>,
    ) -> Result<(), ConsumerEnd> {
        let resend = Arc::new(Self {
            core: Arc::downgrade(core),
            to: to.key().to_key(),
            attempts: Serial::new(Attempts {
                charge: original.charge(0),
                original: Some(original),
                copy: None,
                tried: Tried::default(),
                kept: Some(Vec::new()),
                octets: 0,
                ended: None,
                received: 0,
                settled: false,
            }),
        });
        let (mut begun, mut refused) = (false, None);
        resend.attempts.notice(|state| {
            if std::mem::replace(&mut begun, true) {
                resend.look(state);
            } else if !resend.attempt(core, state) {
                refused = state.original.take();
            } else if let Some(original) = &state.original {
                original.set_notify(Notify::Call(Arc::clone(&resend) as Arc<dyn Party>));
            }
        });
        if let Some(original) = refused {
            return Err(original);
        }
        resend.on_notice();
        Ok(())
    }

    /// Gives a copy with the body so far to the next destination. Returns false if none is left.
    fn attempt(self: &Arc<Self>, core: &Core, state: &mut Attempts) -> bool {
        let Some(original) = &state.original else { return false };
        let Some(choice) = core.choose_again(original.message(), &self.to, &mut state.tried) else {
            return false;
        };
        let (copy, consumer) = original.copy();
        for chunk in state.kept.iter().flatten() {
            copy.push(chunk.clone());
        }
        if let Some(ended) = state.ended {
            copy.end(ended);
        }
        if state.settled {
            copy.settle();
        }
        state.copy = Some(copy);
        // A body that has arrived goes on whole, not as one that is arriving.
        state.carry();
        if let Some(copy) = &state.copy {
            copy.set_notify(Notify::Call(Arc::clone(self) as Arc<dyn Party>));
        }
        choice.deliver(consumer);
        true
    }

    fn look(self: &Arc<Self>, state: &mut Attempts) {
        state.carry();
        let core = self.core.upgrade().filter(|_| state.ended != Some(Ended::Aborted));
        let (Some(core), Some(copy), Some(original)) = (core, &state.copy, &state.original) else {
            return state.stop(None);
        };
        let progress = copy.progress();
        if progress.acknowledged && (state.kept.is_some() || progress.received > state.received) {
            // A receiver that acknowledges has taken the message.
            (state.kept, state.received) = (None, progress.received);
            state.charge.set(0);
            original.acknowledge(progress.received, progress.allowance);
        }
        if progress.extended
            && let Some(state) = copy.take_receiver_state()
        {
            original.set_receiver_state(state);
        }
        let unheard = copy.message().presettled || state.settled;
        let sent = unheard && state.ended.is_some() && progress.queued == 0;
        let again = progress.outcome == Some(DeliveryState::Released)
            && state.kept.is_some()
            && !original.is_orphaned();
        if again {
            state.drop_copy();
            if self.attempt(&core, state) {
                return Arc::clone(self).on_notice();
            }
        }
        if again || progress.settled {
            state.stop(Some(progress.outcome));
        } else if sent {
            state.stop(None);
        } else if progress.outcome.is_some()
            && let Some(original) = &state.original
        {
            original.set_outcome(progress.outcome, false);
        }
    }
}

impl Party for Resend {
    fn on_notice(self: Arc<Self>) {
        self.attempts.notice(|state| self.look(state));
    }
}

impl Attempts {
    /// Ends the party, and cuts the circle of references. `answer` is the last answer for the
    /// original, if there is one.
    fn stop(&mut self, answer: Option<Option<DeliveryState>>) {
        self.drop_copy();
        if let Some(original) = self.original.take() {
            original.set_notify(Notify::Nobody);
            if let Some(outcome) = answer {
                original.conclude(outcome);
            }
        }
    }

    fn drop_copy(&mut self) {
        if let Some(copy) = self.copy.take() {
            copy.set_notify(Notify::Nobody);
        }
    }

    /// Moves bytes, their end and the sender's word from the original into the copy, as far as it
    /// does not hold too much.
    fn carry(&mut self) {
        let (Some(original), Some(copy)) = (&self.original, &self.copy) else { return };
        if original.is_sender_settled() && !std::mem::replace(&mut self.settled, true) {
            copy.settle();
        }
        if let Some(state) = original.take_sender_state() {
            copy.set_sender_state(state);
        }
        while self.ended.is_none() {
            let mut chunks = VecDeque::new();
            let (octets, ended) = original.take(AHEAD.saturating_sub(copy.waiting()), &mut chunks);
            // An aborted body waits for no room: the rest of it is of no use to a receiver.
            let ended =
                ended.or_else(|| (octets == 0 && original.give_up()).then_some(Ended::Aborted));
            self.octets = self.octets.saturating_add(octets);
            if self.octets > KEPT {
                self.kept = None;
                self.charge.set(0);
            } else if self.kept.is_some() {
                self.charge.set(self.octets);
            }
            for chunk in chunks {
                if let Some(kept) = &mut self.kept {
                    kept.push(chunk.clone());
                }
                copy.push(chunk);
            }
            self.ended = ended;
            if let Some(ended) = ended {
                copy.end(ended);
            } else if octets == 0 {
                return;
            }
        }
    }
}
