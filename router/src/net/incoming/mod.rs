//! The deliveries that arrive by a connection.
//!
//! [`Incoming`] is a machine: it takes a [`Context`] and acts on the engine and the core in it. Its
//! owner calls the `on_` methods as events come. The machine returns a message for this router
//! itself to the owner, who answers it with [`Incoming::on_own_taken`].
//!
//! `inbound` has the states of one delivery. `head` reads the message's head, and `route` judges
//! and routes it. `producer` has the links on which peers send, `supply` their credit, and `window`
//! the session windows that are left to close.

mod head;
mod inbound;
mod producer;
mod route;
mod supply;
#[cfg(test)]
mod tests;
mod window;

use bytes::Bytes;
use head::{Front, Gathering};
use inbound::{Appended, FULL, Inbound, Stage, kept};
pub(super) use producer::{Producer, Wishes};
use skupper_proto::amqp::condition;
use skupper_proto::amqp::message::MAX_HEAD;
use skupper_proto::amqp::performative::{DeliveryState, Error, Modified, Rejected};
use skupper_proto::engine::{Ending, IncomingKey, LinkKey, SessionKey};
use skupper_proto::keys::KeyMap;
use skupper_proto::mobile::MAX_ADDRESS_OCTETS;
use skupper_proto::stream;

use super::context::Context;
use super::tally::{Scan, Tally};
use crate::core::Ended;

/// The most bytes of a message of the routing protocol: one announcement of addresses, and as much
/// again for the parts beside each.
const MAX_ROUTING: usize = 2 * MAX_ADDRESS_OCTETS;

/// The reason for which messages of a link are for this router itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OwnUse {
    /// They are those of the routing protocol.
    Routing,
    /// They are about the edge connection.
    Edge,
}

impl OwnUse {
    /// Returns the most bytes that such a message may have.
    const fn most(self) -> usize {
        match self {
            Self::Routing => MAX_ROUTING,
            Self::Edge => MAX_HEAD,
        }
    }
}

/// A message for this router itself.
pub(super) struct OwnMessage {
    pub(super) key: IncomingKey,
    pub(super) link: LinkKey,
    pub(super) octets: Bytes,
}

/// Part of a delivery, as the engine tells it.
pub(super) struct Part {
    pub(super) key: IncomingKey,
    pub(super) link: LinkKey,
    pub(super) presettled: bool,
    pub(super) payload: Bytes,
    pub(super) ending: Ending,
    pub(super) state: Option<Box<DeliveryState>>,
}

/// The deliveries that arrive by one connection.
#[derive(Default)]
pub(super) struct Incoming {
    slots: KeyMap<IncomingKey, Inbound>,
    /// Links on which the peer sends to addresses.
    producers: KeyMap<LinkKey, Producer>,
    /// Links whose messages are for this router itself. There are two at most.
    own: Vec<(LinkKey, OwnUse)>,
    /// The number of reasons to leave a session's window to close.
    holds: KeyMap<SessionKey, usize>,
}

impl Incoming {
    /// Takes the messages of a link for this router itself.
    pub(super) fn take_own(&mut self, link: LinkKey, purpose: OwnUse) {
        self.own.push((link, purpose));
    }

    /// Returns the reason for which the messages of a link are for this router itself, if they are.
    pub(super) fn own_use(&self, link: LinkKey) -> Option<OwnUse> {
        own_use(&self.own, link)
    }

    /// Returns the link of the routing protocol.
    pub(super) fn routing_link(&self) -> Option<LinkKey> {
        self.own.iter().find(|(_, purpose)| *purpose == OwnUse::Routing).map(|(link, _)| *link)
    }

    /// Forgets a link that is gone.
    pub(super) fn on_detached(&mut self, link: LinkKey) {
        self.own.retain(|(own, _)| *own != link);
        self.producers.remove(&link);
    }

    /// Gives up one link after the other, then the deliveries. Those that had not arrived whole are
    /// aborted. To be called once the connection has ended.
    pub(super) fn give_up(&mut self) -> impl Iterator<Item = ()> + use<> {
        let Self { slots, producers, .. } = std::mem::take(self);
        let slots = slots.into_values().map(|entry| {
            if let Stage::Routed { delivery, .. } = entry.stage {
                delivery.abandon();
            }
        });
        slots.chain(producers.into_values().map(drop))
    }

    /// Gives back the room that a burst of deliveries has left.
    pub(super) fn shrink(&mut self) {
        self.slots.shrink_to_fit();
        self.holds.shrink_to_fit();
    }

    /// Counts deliveries that have waited for too long. The streams of services take as long as
    /// they take.
    pub(super) fn scan(&mut self, scan: &mut Scan) {
        let waits = |entry: &&mut Inbound| entry.tally.is_unsettled() && !entry.windowed;
        for entry in self.slots.values_mut().filter(waits) {
            scan.look(&mut entry.tally);
        }
    }

    /// Returns whether a delivery is the stream of a service connection.
    pub(super) fn is_stream(&self, key: IncomingKey) -> bool {
        self.slots.get(&key).is_some_and(|entry| entry.windowed)
    }

    /// Takes part of a delivery. Returns a message for this router itself that is whole with it:
    /// its owner must call [`Incoming::on_own_taken`].
    pub(super) fn on_transfer(&mut self, cx: &mut Context, part: Part) -> Option<OwnMessage> {
        let Part { key, link, presettled, payload, ending, state } = part;
        let limit = cx.max_message_size();
        if !self.slots.contains_key(&key) {
            self.admit(cx, key, link, presettled, ending);
        }
        let entry = self.slots.get_mut(&key)?;
        if let Some(state) = state {
            entry.on_sender_state(*state);
        }
        entry.presettled |= presettled;
        entry.octets = entry.octets.saturating_add(payload.len() as u64);
        if limit > 0 && entry.octets > limit {
            self.on_oversize(cx, key, link);
            return None;
        }
        let complete = ending == Ending::Complete;
        match &mut entry.stage {
            Stage::Routed { .. } => {
                let exact = cx.holder.account().is_exact();
                match entry.append(kept(payload, exact), ending) {
                    Appended::Fits => {}
                    Appended::Full => self.on_full(cx, key, link),
                    Appended::Overrun => {
                        let error = Error::new(
                            condition::RESOURCE_LIMIT_EXCEEDED,
                            "the stream's window was overrun",
                        );
                        self.reject(cx, key, error);
                    }
                }
            }
            Stage::Refused => {}
            Stage::Head { .. } if ending == Ending::Aborted => {}
            Stage::Head { gathered, .. } => {
                // Most heads come in one transfer and need no gathering.
                let (octets, front) = match gathered.take() {
                    None => (payload, Front::default()),
                    Some(gathered) => gathered.append(&payload),
                };
                match own_use(&self.own, link) {
                    Some(_) if complete => {
                        entry.stage = Stage::Refused;
                        return Some(OwnMessage { key, link, octets });
                    }
                    Some(purpose) => self.gather_own(cx, key, purpose, octets),
                    None => self.begin(cx, key, octets, front, complete),
                }
            }
        }
        if ending != Ending::More {
            self.end(cx, key, complete);
        }
        None
    }

    /// Begins a delivery.
    fn admit(
        &mut self,
        cx: &mut Context,
        key: IncomingKey,
        link: LinkKey,
        presettled: bool,
        ending: Ending,
    ) {
        self.on_begun(link);
        cx.octets.delivery(cx.now);
        let mut tally = Tally::new(cx.now);
        tally.name(cx.records.get(&link));
        tally.begin(presettled, cx.now);
        if !presettled {
            cx.expect_settlement();
        }
        // A C router may go to sleep between its first send of a service's stream and the bytes
        // that came during that. More credit makes it send once more. From then on it wakes.
        if ending == Ending::More && cx.peer.bounds_unread && !cx.is_client {
            cx.engine.renew_credit(link);
        }
        self.slots.insert(key, Inbound::new(link, presettled, tally));
    }

    /// Leaves the window of a session to close whose delivery holds enough. The peer may still send
    /// what is left of the window.
    fn on_full(&mut self, cx: &mut Context, key: IncomingKey, link: LinkKey) {
        if let Some(session) = cx.engine.session_of(link)
            && let Some(Inbound { stage: Stage::Routed { full, .. }, .. }) =
                self.slots.get_mut(&key)
        {
            *full = Some(session);
            self.hold_session(cx, session);
        }
    }

    /// Ends the body of a delivery.
    fn end(&mut self, cx: &mut Context, key: IncomingKey, complete: bool) {
        let Some(entry) = self.slots.get_mut(&key) else { return };
        entry.ended = true;
        if let Stage::Routed { delivery, .. } = &entry.stage {
            delivery.end(if complete { Ended::Complete } else { Ended::Aborted });
        }
        if entry.presettled || !complete {
            // Its sender waits for no word.
            self.forget(cx, key);
        } else {
            self.on_wake(cx, key);
        }
    }

    /// Refuses a client's message that is larger than it may be, and closes the connection.
    fn on_oversize(&mut self, cx: &mut Context, key: IncomingKey, link: LinkKey) {
        const TEXT: &str = "Message size exceeded";
        if let Some(admission) = &cx.peer.admission {
            admission.count_oversize();
        }
        if let Some(entry) = self.slots.get_mut(&key)
            && let Stage::Routed { delivery, full, .. } =
                std::mem::replace(&mut entry.stage, Stage::Refused)
        {
            delivery.end(Ended::Aborted);
            if let Some(session) = full {
                self.release_session(cx, session);
            }
        }
        crate::log!(
            Policy,
            Info,
            "[C{}] DENY a message that is larger than {} octets",
            cx.id,
            cx.max_message_size()
        );
        self.reject(cx, key, Error::new(condition::MESSAGE_SIZE_EXCEEDED, TEXT));
        // Clients look for the reason at the delivery and at the connection. A link that fails ends
        // some of them early.
        cx.engine.detach(link, None);
        cx.engine.close(Some(Error::new(condition::CONNECTION_FORCED, TEXT)), cx.now);
    }

    /// Keeps part of a message for this router itself.
    fn gather_own(&mut self, cx: &Context, key: IncomingKey, purpose: OwnUse, octets: Bytes) {
        let Some(entry) = self.slots.get_mut(&key) else { return };
        if octets.len() <= purpose.most() {
            let gathered = Some(Gathering::of(octets, Front::default(), &cx.holder));
            entry.stage = Stage::Head { gathered, said: None };
            return;
        }
        entry.stage = Stage::Refused;
        if purpose == OwnUse::Routing {
            crate::log_limited!(
                cx.id,
                Router,
                Error,
                "[C{}] a routing message of more than {MAX_ROUTING} octets is passed over",
                cx.id
            );
        }
    }

    /// Answers a message for this router itself, which the owner has taken or could not read.
    pub(super) fn on_own_taken(
        &mut self,
        cx: &mut Context,
        key: IncomingKey,
        taken: Result<(), Error>,
    ) {
        match taken {
            Ok(()) => cx.engine.disposition(key, Some(DeliveryState::Accepted), false),
            Err(error) => self.reject(cx, key, error),
        }
        self.end(cx, key, true);
    }

    /// Passes on the word of a delivery's consumer.
    pub(super) fn on_wake(&mut self, cx: &mut Context, key: IncomingKey) {
        let Some(entry) = self.slots.get_mut(&key) else { return };
        let (delivery, full) = match &mut entry.stage {
            Stage::Routed { delivery, full } => (delivery, full),
            Stage::Refused if entry.ended => return self.forget(cx, key),
            Stage::Refused | Stage::Head { .. } => return,
        };
        let progress = delivery.progress();
        if progress.extended
            && let Some(state) = delivery.take_receiver_state()
        {
            cx.engine.disposition(key, Some(state), false);
        }
        if progress.queued <= FULL / 2
            && let Some(session) = full.take()
        {
            self.release_session(cx, session);
        }
        let Some(entry) = self.slots.get_mut(&key) else { return };
        match progress.outcome {
            Some(outcome) => {
                // C routers say of each modified delivery that it has failed on its way.
                let outcome = match outcome {
                    DeliveryState::Modified(modified) => DeliveryState::Modified(Modified {
                        delivery_failed: Some(true),
                        ..modified
                    }),
                    other => other,
                };
                let settle = entry.ended && progress.settled;
                if entry.outcome.is_none() {
                    entry.outcome = Some(outcome.clone());
                    cx.core.counters().count_outcome(&outcome);
                } else if !settle {
                    return;
                }
                cx.engine.disposition(key, Some(outcome), settle);
                if settle {
                    self.remove_slot(cx, key);
                }
            }
            None if progress.settled && entry.ended => self.forget(cx, key),
            None => {
                if progress.acknowledged
                    && entry.received.is_none_or(|told| progress.received > told)
                {
                    entry.received = Some(progress.received);
                    // It is 0 toward all but routers of ours: deliveries of others get no
                    // allowance.
                    let units = u32::try_from(progress.allowance / stream::ALLOWANCE_UNIT)
                        .unwrap_or_default();
                    let state = DeliveryState::received_in(units, progress.received);
                    cx.engine.disposition(key, Some(state), false);
                }
            }
        }
    }

    /// Rejects a delivery.
    pub(super) fn reject(&mut self, cx: &mut Context, key: IncomingKey, error: Error) {
        let outcome = DeliveryState::Rejected(Rejected { error: Some(error) });
        if let Some(entry) = self.slots.get_mut(&key) {
            entry.outcome = Some(outcome.clone());
        }
        cx.core.counters().count_outcome(&outcome);
        cx.engine.disposition(key, Some(outcome), false);
    }

    /// Ends all interest in a delivery.
    fn forget(&mut self, cx: &mut Context, key: IncomingKey) {
        cx.engine.disposition(key, None, true);
        self.remove_slot(cx, key);
    }

    fn remove_slot(&mut self, cx: &mut Context, key: IncomingKey) {
        if let Some(entry) = self.take_slot(cx, key) {
            self.on_over(cx, entry.link);
        }
    }

    /// Takes a delivery out of the tables and counts.
    fn take_slot(&mut self, cx: &mut Context, key: IncomingKey) -> Option<Inbound> {
        let entry = self.slots.remove(&key)?;
        if let Some(age) = entry.tally.end(entry.outcome.as_ref(), cx.now) {
            cx.core.counters().took(age);
        }
        if let Stage::Routed { full: Some(session), .. } = &entry.stage {
            self.release_session(cx, *session);
        }
        Some(entry)
    }

    /// Passes on the word of a delivery's sender.
    pub(super) fn on_sender_state(&mut self, key: IncomingKey, state: DeliveryState) {
        if let Some(entry) = self.slots.get_mut(&key) {
            entry.on_sender_state(state);
        }
    }

    /// Settles a delivery that its sender has settled: the sender waits for no word.
    pub(super) fn on_sender_settled(&mut self, cx: &mut Context, key: IncomingKey) {
        if let Some(entry) = self.slots.get_mut(&key) {
            entry.presettled = true;
            if let Stage::Routed { delivery, .. } = &entry.stage {
                delivery.settle();
            }
            if entry.ended {
                self.forget(cx, key);
            }
        }
    }

    /// Ends a delivery whose link is gone.
    pub(super) fn on_lost(&mut self, cx: &mut Context, key: IncomingKey) {
        if let Some(entry) = self.take_slot(cx, key)
            && let Stage::Routed { delivery, .. } = entry.stage
        {
            delivery.abandon();
        }
    }
}

fn own_use(own: &[(LinkKey, OwnUse)], link: LinkKey) -> Option<OwnUse> {
    own.iter().find(|(own, _)| *own == link).map(|(_, purpose)| *purpose)
}
