//! The word of receivers: outcomes, and the bytes that they hold unread.

use skupper_proto::amqp::performative::DeliveryState;
use skupper_proto::engine::{OutgoingKey, SessionKey};
use skupper_proto::stream::ALLOWANCE_UNIT;

use super::Outgoing;
use super::outbound::{Place, Sending, Stage};
use crate::net::context::Context;

impl Outgoing {
    /// Acts on the word of a delivery's receiver.
    pub(in crate::net) fn on_outcome(
        &mut self,
        cx: &mut Context,
        key: OutgoingKey,
        state: Option<DeliveryState>,
        settled: bool,
    ) {
        let Some(&slot) = self.by_key.get(&key) else { return };
        let Some(entry) = self.slots.get_mut(slot as usize) else { return };
        let mut less = false;
        match state {
            Some(DeliveryState::Received(received)) => {
                less = entry.unread.acknowledged(received.section_offset, &mut self.unread);
                let units = if cx.peer.bounds_unread { 0 } else { received.section_number };
                entry
                    .delivery
                    .acknowledge(received.section_offset, u64::from(units) * ALLOWANCE_UNIT);
            }
            Some(state @ DeliveryState::Other(_)) => {
                entry.delivery.set_receiver_state(state);
                if settled {
                    entry.delivery.set_outcome(None, true);
                }
            }
            Some(outcome) => {
                // The outcome of a delivery that began elsewhere is counted when its sender is
                // told.
                if entry.outcome.is_none() && entry.delivery.message().internal {
                    cx.core.counters().count_outcome(&outcome);
                }
                less = entry.unread.gone(&mut self.unread) || entry.is_held();
                entry.outcome = Some(outcome.clone());
                entry.delivery.set_outcome(Some(outcome), settled);
            }
            None => entry.delivery.set_outcome(None, settled),
        }
        entry.settled |= settled;
        let settled = entry.settled;
        let over = matches!(entry.stage, Stage::Sent { .. }) && (settled || entry.is_left_to_us());
        let left = entry.leave_link();
        if less {
            self.release_held(cx);
        }
        if over {
            if !settled {
                cx.engine.settle(key);
            }
            self.remove_slot(cx, slot);
        }
        if let Some(link) = left {
            self.link_done(cx, link);
        }
    }

    /// Acts on the peer's answer to [`Outgoing::ask_unread`]: it held so many bytes of a session.
    pub(in crate::net) fn on_held(&mut self, cx: &mut Context, session: SessionKey, octets: u64) {
        let slots = self.lanes.answered(session, cx.now);
        let mut less = false;
        for slot in slots {
            let Some(entry) = self.slots.get_mut(slot as usize) else { continue };
            // A slot may belong to another stream by now.
            if entry.begun().and_then(|(link, _)| cx.engine.session_of(link)) != Some(session) {
                continue;
            }
            less |= entry.unread.told(octets, cx.now, &mut self.unread);
            if let Some(link) = entry.leave_link() {
                self.link_done(cx, link);
            }
        }
        if less {
            self.release_held(cx);
        }
    }

    /// Makes the streams ready that waited for the peer to hold less unread.
    pub(super) fn release_held(&mut self, cx: &mut Context) {
        for slot in std::mem::take(&mut self.held) {
            if let Some(entry) = self.slots.get_mut(slot as usize)
                && let Stage::Sending(Sending { place: place @ Place::Held { .. }, .. }) =
                    &mut entry.stage
            {
                let ready = matches!(place, Place::Held { ready: true });
                *place = if ready { Place::Ready } else { Place::Resting };
                self.on_wake(cx, slot);
            }
        }
    }

    /// Ends a delivery whose link is gone.
    pub(in crate::net) fn on_lost(&mut self, cx: &mut Context, key: OutgoingKey) {
        if let Some(slot) = self.by_key.get(&key).copied() {
            self.remove_slot(cx, slot);
        }
    }
}
