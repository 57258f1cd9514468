//! Deliveries to clients: links on which they consume an address, each with a queue of its own.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use skupper_proto::amqp::performative::DeliveryState;
use skupper_proto::engine::LinkKey;

use super::{MAX_WAITING, OutLink, Purpose};
use crate::core::{Consumption, Delivery, Via};
use crate::net::clients::Consumer;
use crate::net::connection::Connection;
use crate::schema::Role;

impl Connection {
    /// A delivery for a client that consumes its address.
    pub(in crate::net) fn deliver_to_client(&mut self, delivery: Arc<Delivery>, number: u32) {
        let presettled = delivery.message().presettled;
        let link = self.consumer_link(number).filter(|_| self.cx.life.is_open());
        let Some(state) = link.and_then(|link| self.outgoing.links.get(&link)) else {
            return self.refuse_delivery(&delivery);
        };
        let (full, overdue) = (
            state.waiting.len() >= MAX_WAITING,
            presettled && state.waiting.len() >= state.capacity,
        );
        let settles = state.settles;
        if full {
            return self.refuse_delivery(&delivery);
        }
        if self.cx.settings.role == Role::RouteContainer {
            self.cx.core.counters().goes_to_container();
        }
        let slot = self.new_slot(delivery, Via::Link(number));
        let Some(link) = link else { return };
        if let Some(entry) = self.outgoing.slots.get_mut(slot as usize) {
            entry.presettled |= settles;
            entry.record = self.cx.records.get(&link).map(|known| Arc::clone(known.record()));
        }
        if !presettled {
            self.expect_settlement();
        }
        let Some(state) = self.outgoing.links.get_mut(&link) else { return };
        state.waiting.push_back(slot);
        // Of what nobody waits for, the oldest goes first.
        if overdue {
            let oldest = state.waiting.pop_front();
            if let Some(known) = self.cx.records.get(&link) {
                let counts = &known.record().counts;
                counts.presettled.fetch_add(1, Ordering::Relaxed);
                counts.dropped.fetch_add(1, Ordering::Relaxed);
            }
            self.release(oldest);
        }
        self.serve_consumer(link);
        self.note_link(link);
    }

    fn refuse_delivery(&self, delivery: &Delivery) {
        if delivery.message().presettled {
            self.cx.core.counters().dropped();
        }
        delivery.outcome(Some(DeliveryState::Released), true);
    }

    pub(super) fn serve_consumer(&mut self, link: LinkKey) {
        while let Some(state) = self.outgoing.links.get(&link).filter(|state| !state.busy) {
            let Some(&slot) = state.waiting.front() else { return };
            if self.outgoing.slots.contains(slot as usize) && !self.start(slot, link) {
                return;
            }
            if let Some(state) = self.outgoing.links.get_mut(&link) {
                state.waiting.pop_front();
            }
        }
    }

    /// A client's link on which it consumes is attached.
    pub(in crate::net) fn consumer_attached(
        &mut self,
        link: LinkKey,
        consumer: Consumer,
        settles: bool,
        capacity: u32,
    ) {
        let state = OutLink {
            consumer: Some(consumer),
            settles,
            capacity: usize::try_from(capacity).unwrap_or(usize::MAX),
            attached: true,
            ..OutLink::new(Purpose::Consumer)
        };
        self.outgoing.links.insert(link, state);
        // One that has no credit yet is blocked.
        self.note_link(link);
        self.link_free(link);
    }

    /// A link of ours is to be attached that deliveries come for by its number.
    pub(in crate::net) fn consumer_expected(
        &mut self,
        link: LinkKey,
        consumer: Consumer,
        capacity: u32,
    ) {
        let state = OutLink {
            consumer: Some(consumer),
            capacity: usize::try_from(capacity).unwrap_or(usize::MAX),
            ..OutLink::new(Purpose::Consumer)
        };
        self.outgoing.links.insert(link, state);
    }

    /// Such a link is attached at both ends.
    pub(in crate::net) fn consumer_answered(&mut self, link: LinkKey) {
        if let Some(state) = self.outgoing.links.get_mut(&link) {
            state.attached = true;
        }
        self.link_free(link);
    }

    /// Begins or ends to consume by a link.
    pub(in crate::net) fn set_consumption(
        &mut self,
        link: LinkKey,
        consumption: Option<Consumption>,
    ) {
        if let Some(consumer) =
            self.outgoing.links.get_mut(&link).and_then(|state| state.consumer.as_mut())
        {
            consumer.set(consumption);
        }
    }

    /// Whether a link consumes an address.
    pub(in crate::net) fn consumes(&self, link: LinkKey) -> bool {
        self.outgoing
            .links
            .get(&link)
            .and_then(|state| state.consumer.as_ref())
            .is_some_and(Consumer::consumes)
    }
}
