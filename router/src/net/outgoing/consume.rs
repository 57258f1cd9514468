//! The deliveries to consumers. Each consumer's link has a number, by which its deliveries come,
//! and a queue.

use std::sync::atomic::Ordering;

use skupper_proto::address::AddressKey;
use skupper_proto::engine::LinkKey;

use super::Outgoing;
use super::consumers::{Consumer, endpoint};
use super::link::{ConsumerLink, OutLink, Purpose};
use crate::core::{ConsumerEnd, Consumption, LocalConsumer};
use crate::net::consumed::Consumed;
use crate::net::context::Context;
use crate::schema::Role;

/// The most deliveries that wait for one consumer's credit. Their senders have 250 credits each,
/// mostly.
const MAX_WAITING: usize = 65_536;

/// Returns the most deliveries that may be open on a link, for the core.
pub(in crate::net) fn capacity(cx: &Context) -> usize {
    usize::try_from(cx.link_capacity()).unwrap_or(usize::MAX)
}

impl Outgoing {
    /// Takes a delivery for a consumer. Releases it if the consumer is gone or has too many.
    pub(super) fn deliver_to_consumer(
        &mut self,
        cx: &mut Context,
        delivery: ConsumerEnd,
        number: u32,
    ) {
        let presettled = delivery.message().presettled;
        let link = self.consumers.by_number.get(&number).copied().filter(|_| cx.life.is_open());
        let consumer = link.and_then(|link| Some((link, self.links.get(&link)?.consumer()?)));
        let Some((link, consumer)) =
            consumer.filter(|(_, consumer)| consumer.waiting.len() < MAX_WAITING)
        else {
            return super::released(cx, delivery);
        };
        let overdue = presettled && consumer.waiting.len() >= consumer.capacity;
        let settles = consumer.settles;
        if cx.settings.role == Role::RouteContainer {
            cx.core.counters().goes_to_container();
        }
        let slot = self.new_slot(cx, delivery, false);
        if let Some(entry) = self.slots.get_mut(slot as usize) {
            entry.presettled |= settles;
            entry.tally.name(cx.records.get(&link));
        }
        if !presettled {
            cx.expect_settlement();
        }
        let Some(consumer) = self.links.get_mut(&link).and_then(OutLink::consumer_mut) else {
            return;
        };
        consumer.waiting.push_back(slot);
        // The oldest presettled delivery goes first: its sender waits for no word.
        if overdue {
            let oldest = consumer.waiting.pop_front();
            if let Some(known) = cx.records.get(&link) {
                let counts = &known.record().counts;
                counts.presettled.fetch_add(1, Ordering::Relaxed);
                counts.dropped.fetch_add(1, Ordering::Relaxed);
            }
            self.release(cx, oldest);
        }
        self.serve_consumer(cx, link);
        self.note_link(cx, link);
    }

    /// Gives the deliveries of a consumer to its link, as far as that goes.
    pub(super) fn serve_consumer(&mut self, cx: &mut Context, link: LinkKey) {
        while let Some(state) = self.links.get(&link).filter(|state| !state.is_busy()) {
            let Some(&slot) = state.consumer().and_then(|consumer| consumer.waiting.front()) else {
                return;
            };
            if self.slots.contains(slot as usize) && !self.start(cx, slot, link) {
                return;
            }
            if let Some(consumer) = self.links.get_mut(&link).and_then(OutLink::consumer_mut) {
                consumer.waiting.pop_front();
            }
        }
    }

    /// Makes the peer of a link a consumer of an address that the operator configured. With
    /// `settles` it takes settled deliveries only.
    pub(in crate::net) fn consume(
        &mut self,
        cx: &mut Context,
        link: LinkKey,
        key: AddressKey,
        settles: bool,
    ) {
        let number = self.consumers.number(link);
        let consumer = LocalConsumer::with_capacity(endpoint(cx, number), capacity(cx));
        let consumption = cx.core.serve(key, consumer, cx.now);
        self.on_consumer_attached(cx, link, Consumer::of(number, consumption), settles);
    }

    /// Makes the peer of a link a consumer of an address that the peer named. Returns none beyond
    /// the part of clients.
    pub(in crate::net) fn subscribe(
        &mut self,
        cx: &Context,
        link: LinkKey,
        key: AddressKey,
    ) -> Option<Consumer> {
        // An edge router consumes for its clients and services.
        let counted = cx.edge.is_none() || Consumed::is_reserved(key.as_ref());
        if counted && !self.consumers.consumed.has_room(key.as_ref()) {
            return None;
        }
        let number = self.consumers.number(link);
        let endpoint = endpoint(cx, number);
        let consumer = match &cx.edge {
            Some(edge) => LocalConsumer::behind(edge, endpoint, capacity(cx)),
            None => LocalConsumer::client(endpoint, capacity(cx)),
        };
        let Some(consumption) = cx.core.serve_client(key, consumer, cx.now) else {
            self.consumers.by_number.remove(&number);
            return None;
        };
        if counted {
            self.consumers.consumed.enter(consumption.key());
        }
        Some(Consumer { number, consumption: Some(consumption), counted })
    }

    /// Takes the link of a consumer that is attached at both ends. With `settles` it takes settled
    /// deliveries only.
    pub(in crate::net) fn on_consumer_attached(
        &mut self,
        cx: &mut Context,
        link: LinkKey,
        consumer: Consumer,
        settles: bool,
    ) {
        let consumer = ConsumerLink::new(consumer, settles, capacity(cx));
        self.links.insert(link, OutLink::attached(Purpose::Consumer(consumer)));
        // A link without credit shows as blocked.
        self.note_link(cx, link);
        self.link_free(cx, link);
    }

    /// Takes a link that this end attaches and that deliveries come for by number. Returns the
    /// number.
    pub(in crate::net) fn expect_consumer(&mut self, cx: &Context, link: LinkKey) -> u32 {
        let number = self.consumers.number(link);
        let consumer = ConsumerLink::new(Consumer::new(number), false, capacity(cx));
        self.links.insert(link, OutLink::attaching(Purpose::Consumer(consumer)));
        number
    }

    /// Acts on the peer's answer to the attach of such a link.
    pub(in crate::net) fn on_consumer_answered(&mut self, cx: &mut Context, link: LinkKey) {
        if let Some(state) = self.links.get_mut(&link) {
            state.on_answered();
        }
        self.link_free(cx, link);
    }

    /// Begins or ends to consume by a link.
    pub(in crate::net) fn set_consumption(
        &mut self,
        link: LinkKey,
        consumption: Option<Consumption>,
    ) {
        if let Some(link) = self.links.get_mut(&link).and_then(OutLink::consumer_mut) {
            link.consumer.consumption = consumption;
        }
    }

    /// Returns whether a link consumes an address.
    pub(in crate::net) fn consumes(&self, link: LinkKey) -> bool {
        let consumer = self.links.get(&link).and_then(OutLink::consumer);
        consumer.is_some_and(|link| link.consumer.consumption.is_some())
    }

    /// Returns whether a consumer's link takes one more message at once.
    pub(in crate::net) fn takes_at_once(&self, cx: &Context, link: LinkKey) -> bool {
        let idle = |state: &OutLink| {
            !state.is_busy() && state.consumer().is_some_and(|link| link.waiting.is_empty())
        };
        cx.engine.credit(link) > 0 && self.links.get(&link).is_some_and(idle)
    }
}
