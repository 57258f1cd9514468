//! What becomes of a delivery that was sent: what its receiver says, holds unread, or leaves to
//! wait.

use skupper_proto::amqp::performative::DeliveryState;
use skupper_proto::engine::{OutgoingKey, SessionKey};
use skupper_proto::stream::ALLOWANCE_UNIT;

use super::Slot;
use crate::net::connection::Connection;
use crate::net::stuck::Stuck;

impl Connection {
    /// The receiver of a delivery said something.
    pub(in crate::net) fn outcome(
        &mut self,
        key: OutgoingKey,
        state: Option<DeliveryState>,
        settled: bool,
    ) {
        let Some(&slot) = self.outgoing.by_key.get(&key) else { return };
        let Some(entry) = self.outgoing.slots.get_mut(slot as usize) else { return };
        let mut less = false;
        match state {
            Some(DeliveryState::Received(received)) => {
                less =
                    entry.unread.acknowledged(received.section_offset, &mut self.outgoing.unread);
                let units = if self.cx.peer.bounds_unread { 0 } else { received.section_number };
                entry
                    .delivery
                    .acknowledge(received.section_offset, u64::from(units) * ALLOWANCE_UNIT);
            }
            Some(state @ DeliveryState::Other(_)) => {
                entry.delivery.set_receiver_state(state);
                if settled {
                    entry.delivery.outcome(None, true);
                }
            }
            Some(state) => {
                // What began elsewhere is counted when its sender is told.
                if !entry.outcome && entry.delivery.message().internal {
                    self.cx.core.counters().outcome(&state);
                }
                if state.is_outcome() {
                    entry.outcome = true;
                    less = entry.unread.gone(&mut self.outgoing.unread) || entry.held;
                }
                entry.state = Some(state.clone());
                entry.delivery.outcome(Some(state), settled);
            }
            None => entry.delivery.outcome(None, settled),
        }
        entry.settled |= settled;
        let left = entry.outcome && entry.delivery.message().internal
            || entry.delivery.is_sender_settled();
        let (settled, done) = (entry.settled, entry.sent && (entry.settled || left));
        let link = entry
            .sending
            .filter(|_| entry.keeps_link && !entry.unread.is_some())
            .map(|(link, _)| link);
        entry.keeps_link &= link.is_none();
        if less {
            self.release_held();
        }
        if done {
            if !settled {
                self.cx.engine.settle(key);
            }
            self.remove_slot(slot);
        }
        if let Some(link) = link {
            self.link_done(link);
        }
    }

    /// The peer held so many octets of a session when it was asked about some streams there.
    pub(super) fn told(&mut self, session: SessionKey, slots: &[u32], octets: u64) {
        let mut less = false;
        for slot in slots {
            let Some(entry) = self.outgoing.slots.get_mut(*slot as usize) else { continue };
            // A slot may have gone to another stream meanwhile.
            let Some((link, _)) =
                entry.sending.filter(|(link, _)| self.cx.engine.session_of(*link) == Some(session))
            else {
                continue;
            };
            less |= entry.unread.told(octets, self.cx.now, &mut self.outgoing.unread);
            if entry.keeps_link && !entry.unread.is_some() {
                entry.keeps_link = false;
                self.link_done(link);
            }
        }
        if less {
            self.release_held();
        }
    }

    /// The peer holds less unread: streams that waited for it go on.
    pub(super) fn release_held(&mut self) {
        for slot in std::mem::take(&mut self.outgoing.held) {
            if let Some(entry) = self.outgoing.slots.get_mut(slot as usize) {
                entry.held = false;
            }
            self.make_ready(slot);
        }
    }

    /// A delivery's link went away under it.
    pub(in crate::net) fn outgoing_lost(&mut self, key: OutgoingKey) {
        if let Some(slot) = self.outgoing.by_key.get(&key).copied() {
            if let Some(entry) = self.outgoing.slots.get(slot as usize) {
                entry.delivery.consumer_lost();
            }
            self.remove_slot(slot);
        }
    }

    /// Marks what has waited for too long.
    pub(in crate::net) fn stuck_outgoing(&mut self, found: &mut Stuck) {
        let unsettled = |entry: &Slot| !entry.presettled && !entry.delivery.message().windowed;
        for (_, entry) in self.outgoing.slots.iter_mut().filter(|(_, entry)| unsettled(entry)) {
            found.look(entry.record.as_ref(), entry.begun, &mut entry.stuck);
        }
    }
}
