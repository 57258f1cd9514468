//! Adds consumers to addresses and removes them.

use std::sync::Arc;

use skupper_proto::address::{AddressKey, Treatment};
use skupper_proto::time::Instant;

use super::control::Control;
use super::endpoint::LocalConsumer;
use super::tables::Core;

/// A consumer's subscription to an address. Dropping it ends the subscription.
#[derive(Debug)]
pub struct Consumption {
    core: Arc<Core>,
    key: AddressKey,
    consumer: Arc<LocalConsumer>,
}

impl Consumption {
    /// Returns the address.
    pub const fn key(&self) -> &AddressKey {
        &self.key
    }
}

impl Drop for Consumption {
    fn drop(&mut self) {
        self.core.unconsume(&self.key, &self.consumer);
    }
}

impl Core {
    /// Makes `consumer` a consumer of the mobile address `text`, and announces it to the network.
    pub fn consume(
        self: &Arc<Self>,
        text: &str,
        consumer: Arc<LocalConsumer>,
        now: Instant,
    ) -> Consumption {
        self.serve(AddressKey::mobile(text), consumer, now)
    }

    /// Makes `consumer` a consumer of an address, and announces it to the network if the address is
    /// of a class that is announced.
    pub fn serve(
        self: &Arc<Self>,
        key: AddressKey,
        consumer: Arc<LocalConsumer>,
        now: Instant,
    ) -> Consumption {
        self.enter(&mut self.lock(), key, consumer, now)
    }

    /// Does the same as [`Core::serve`] for a client. Returns `None` if this would be one address
    /// more than the clients of this router may have.
    pub fn serve_client(
        self: &Arc<Self>,
        key: AddressKey,
        consumer: Arc<LocalConsumer>,
        now: Instant,
    ) -> Option<Consumption> {
        let mut control = self.lock();
        let is_known =
            || self.addresses.load().get(&key).is_some_and(|address| address.has_client());
        let takes_place = consumer.client && key.class().is_advertised() && !is_known();
        if takes_place && !control.clients.take(key.wire_len()) {
            return None;
        }
        Some(self.enter(&mut control, key, consumer, now))
    }

    fn enter(
        self: &Arc<Self>,
        control: &mut Control,
        key: AddressKey,
        consumer: Arc<LocalConsumer>,
        now: Instant,
    ) -> Consumption {
        let address = self.record(&key, consumer.own.then_some(Treatment::Closest));
        address.change(|destinations| destinations.locals.push(&consumer));
        self.advertise(control, &address, now);
        Consumption { core: Arc::clone(self), key, consumer }
    }

    fn unconsume(&self, key: &AddressKey, consumer: &Arc<LocalConsumer>) {
        let mut control = self.lock();
        let Some(address) = self.addresses.load().get(key).map(Arc::clone) else { return };
        address.change(|destinations| destinations.locals.remove(consumer));
        if consumer.client && key.class().is_advertised() && !address.has_client() {
            control.clients.give_back(key.wire_len());
        }
        let now = control.now();
        self.advertise(&mut control, &address, now);
        self.sweep(key, &address);
    }
}
