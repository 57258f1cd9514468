//! One delivery to one destination after the other, until one does not release it: for senders that
//! ask for this (`qd.resend-released`).

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use skupper_proto::address::{AddressKey, Canonical};
use skupper_proto::amqp::performative::DeliveryState;

use super::account::Charge;
use super::choose::Tried;
use super::delivery::{Delivery, Ended, Notify, Party};
use super::router::Core;
use super::serial::Serial;

/// Octets of a message that are kept to be sent again. Of a longer one, the first destination that
/// has got so much is the last.
const KEPT: usize = 1024 * 1024;

/// Octets that a copy may hold before the original is left where it is, and its sender with it.
const AHEAD: usize = 256 * 1024;

/// A delivery that is sent again when it is released.
#[derive(Debug)]
pub(super) struct Resend {
    core: Weak<Core>,
    /// Its producer holds it.
    original: Weak<Delivery>,
    to: AddressKey,
    state: Serial<State>,
}

#[derive(Debug)]
struct State {
    /// Where it is tried now.
    copy: Option<Arc<Delivery>>,
    tried: Tried,
    /// What has come of the body, as long as it may be sent again.
    kept: Option<Vec<Bytes>>,
    /// For what is kept.
    charge: Charge,
    octets: usize,
    ended: Option<Ended>,
    received: u64,
    settled: bool,
}

impl Resend {
    /// Tries the first destination. Returns false when there is none.
    pub(super) fn start(core: &Arc<Core>, original: &Arc<Delivery>, to: Canonical<'_>) -> bool {
        let resend = Arc::new(Self {
            core: Arc::downgrade(core),
            original: Arc::downgrade(original),
            to: to.key().to_key(),
            state: Serial::new(State {
                copy: None,
                tried: Tried::default(),
                kept: Some(Vec::new()),
                charge: original.charge(0),
                octets: 0,
                ended: None,
                received: 0,
                settled: false,
            }),
        });
        let mut found = false;
        resend.state.notice(|state| found = found || resend.attempt(core, original, state));
        if found {
            original.set_consumer(Notify::Call(Arc::clone(&resend) as Arc<dyn Party>));
            resend.notice();
        }
        found
    }

    /// Gives a fresh copy to the next destination, with what has come of the body so far.
    fn attempt(self: &Arc<Self>, core: &Core, original: &Delivery, state: &mut State) -> bool {
        let Some(choice) = core.choose_again(original, &self.to, &mut state.tried) else {
            return false;
        };
        let copy = original.copy();
        for chunk in state.kept.iter().flatten() {
            copy.push(chunk.clone());
        }
        if let Some(ended) = state.ended {
            copy.end(ended);
        }
        if state.settled {
            copy.settle();
        }
        // What is there goes on whole, not as something that is arriving.
        state.carry(original, &copy);
        copy.set_producer(Notify::Call(Arc::clone(self) as Arc<dyn Party>));
        state.copy = Some(Arc::clone(&copy));
        choice.deliver(copy);
        true
    }

    fn look(self: &Arc<Self>, state: &mut State) {
        let Some(copy) = state.copy.clone() else { return };
        let (Some(original), Some(core)) = (self.original.upgrade(), self.core.upgrade()) else {
            // Who sent it is gone, and with it what had not come.
            state.copy = None;
            copy.set_producer(Notify::Nobody);
            return copy.end(Ended::Aborted);
        };
        state.carry(&original, &copy);
        if state.ended == Some(Ended::Aborted) {
            state.copy = None;
            original.set_consumer(Notify::Nobody);
            return copy.set_producer(Notify::Nobody);
        }
        let progress = copy.progress();
        if progress.acknowledged && (state.kept.is_some() || progress.received > state.received) {
            // Who says how far it has come has taken it.
            state.keep_no_more();
            state.received = progress.received;
            original.acknowledge(progress.received, progress.allowance);
        }
        if progress.extended
            && let Some(state) = copy.receiver_state()
        {
            original.set_receiver_state(state);
        }
        let presettled = copy.message().presettled && state.ended.is_some() && progress.queued == 0;
        let again = progress.outcome == Some(DeliveryState::Released) && state.kept.is_some();
        if again {
            copy.set_producer(Notify::Nobody);
            state.copy = None;
            if self.attempt(&core, &original, state) {
                return Arc::clone(self).notice();
            }
        }
        if progress.settled || presettled {
            state.copy = None;
            copy.set_producer(Notify::Nobody);
            original.set_consumer(Notify::Nobody);
        }
        if progress.outcome.is_some() || progress.settled {
            original.outcome(progress.outcome, progress.settled);
        }
    }
}

impl Party for Resend {
    fn notice(self: Arc<Self>) {
        self.state.notice(|state| self.look(state));
    }
}

impl State {
    fn keep_no_more(&mut self) {
        self.kept = None;
        self.charge.set(0);
    }

    /// From the original into the copy, as far as it does not hold too much.
    fn carry(&mut self, original: &Delivery, copy: &Delivery) {
        if original.is_sender_settled() && !std::mem::replace(&mut self.settled, true) {
            copy.settle();
        }
        if let Some(state) = original.sender_state() {
            copy.set_sender_state(state);
        }
        while self.ended.is_none() {
            let mut chunks = VecDeque::new();
            let (octets, ended) = original.take(AHEAD.saturating_sub(copy.window().0), &mut chunks);
            self.octets = self.octets.saturating_add(octets);
            if self.octets > KEPT {
                self.keep_no_more();
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
