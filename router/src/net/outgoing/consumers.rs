//! The links of consumers: each has a number, by which its deliveries come.

use std::collections::HashMap;
use std::sync::Arc;

use skupper_proto::address::AddressRef;
use skupper_proto::amqp::performative::DeliveryState;
use skupper_proto::engine::LinkKey;

use crate::core::{Command, ConsumerEnd, Consumption, Endpoint, Mailbox, Via};
use crate::net::consumed::Consumed;
use crate::net::context::Context;

/// The links of consumers by number, and the addresses that they consume.
#[derive(Default)]
pub(in crate::net) struct Consumers {
    pub(super) by_number: HashMap<u32, LinkKey>,
    next: u32,
    pub(super) consumed: Consumed,
}

/// A link with a number. It is a consumer while it has a consumption.
pub(in crate::net) struct Consumer {
    pub(super) number: u32,
    /// Its part in an address. It ends with the link.
    pub(super) consumption: Option<Consumption>,
    /// Its address is among those that the connection consumes.
    pub(super) counted: bool,
}

/// The endpoint of a consumer's link in the core.
#[derive(Debug)]
struct LinkEndpoint {
    mailbox: Arc<Mailbox>,
    number: u32,
    /// A message that is still arriving goes by a link of its own.
    streams: bool,
}

impl Endpoint for LinkEndpoint {
    fn deliver(&self, delivery: ConsumerEnd) {
        let arriving = delivery.message().streaming && delivery.ended().is_none();
        let via = if self.streams && arriving { Via::Stream } else { Via::Link(self.number) };
        if let Err(Command::Deliver(delivery, _)) =
            self.mailbox.send(Command::Deliver(delivery, via))
        {
            delivery.conclude(DeliveryState::Released);
        }
    }

    fn shard(&self) -> Option<usize> {
        Some(self.mailbox.shard())
    }
}

impl Consumer {
    /// Makes a link that consumes nothing yet.
    pub(in crate::net) const fn new(number: u32) -> Self {
        Self { number, consumption: None, counted: false }
    }

    /// Makes a consumer.
    pub(in crate::net) const fn of(number: u32, consumption: Consumption) -> Self {
        Self { number, consumption: Some(consumption), counted: false }
    }
}

impl Consumers {
    /// Gives a link a number, by which its deliveries come.
    pub(in crate::net) fn number(&mut self, link: LinkKey) -> u32 {
        let number = self.next;
        self.next = number.wrapping_add(1);
        self.by_number.insert(number, link);
        number
    }

    /// Returns how many links have a number.
    pub(in crate::net) fn count(&self) -> usize {
        self.by_number.len()
    }

    /// Returns whether the connection consumes an address.
    pub(in crate::net) fn has(&self, key: AddressRef<'_>) -> bool {
        self.consumed.has(key)
    }

    /// Forgets a link that is gone.
    pub(super) fn leave(&mut self, consumer: &Consumer) {
        self.by_number.remove(&consumer.number);
        if let Some(consumption) = consumer.consumption.as_ref().filter(|_| consumer.counted) {
            self.consumed.leave(consumption.key());
        }
    }
}

/// Returns the endpoint of the link with this number.
pub(in crate::net) fn endpoint(cx: &Context, number: u32) -> Arc<dyn Endpoint> {
    let streams = cx.peer.takes_streams();
    Arc::new(LinkEndpoint { mailbox: Arc::clone(&cx.mailbox), number, streams })
}
