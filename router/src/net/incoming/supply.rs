//! The credit of links on which the peer sends to an address.
//!
//! A client that sends has credit while its address has consumers, and gets it back as its
//! deliveries end. The engine keeps the link of a router in credit: the router is told about
//! consumers in another way.
//!
//! ```text
//!                    the address has no consumer
//!            Open ------------------------------> Held
//!             ^  ^                                 |
//!             |  +---- it has one again -----------+
//!             |                                    | a delivery had no destination
//!             +------- it has one again ------- Draining
//! ```

use std::sync::Arc;

use skupper_proto::address::{AddressClass, AddressRef};
use skupper_proto::engine::LinkKey;

use super::Incoming;
use super::producer::{Producer, Supply, Wishes};
use crate::core::{Notify, Replies};
use crate::net::context::Context;
use crate::net::wake::Wake;

/// Returns whether credit for an address depends on its consumers. The consumers of a router's own
/// address are that router's business.
fn is_watched(key: AddressRef<'_>) -> bool {
    matches!(key.class, AddressClass::Mobile | AddressClass::Edge)
        || key.class == AddressClass::Local && !Replies::owns(key.text)
}

impl Incoming {
    /// Takes a link on which the peer sends, to one address or to those that its messages name, and
    /// gives credit on it. Returns whether a router must be told if the address has consumers.
    pub(in crate::net) fn produce(
        &mut self,
        cx: &mut Context,
        link: LinkKey,
        to: Option<Arc<str>>,
        wishes: Wishes,
    ) -> bool {
        let Wishes { streaming, resend, router } = wishes;
        let supply = if router { Supply::Engine } else { Supply::Open };
        let capacity = cx.link_capacity();
        let mut producer =
            Producer { to, streaming, resend, watch: None, capacity, open: 0, supply };
        if let Some(text) = &producer.to {
            let key = cx.core.read(text).key();
            if is_watched(key) {
                let (address, watch) = cx.core.watch_key(&key.to_key(), cx.edge.as_ref());
                let wake = Wake::Producer(link).into();
                let reachable = watch.follow(Notify::Slot(Arc::clone(&cx.mailbox), wake));
                if !reachable && !router {
                    producer.supply = Supply::Held;
                }
                producer.watch = Some((address, watch));
            }
        }
        match producer.supply {
            Supply::Engine => cx.engine.keep_credit(link, capacity),
            Supply::Open => cx.engine.set_credit(link, capacity, false),
            Supply::Held | Supply::Draining => {}
        }
        cx.note_credit(link);
        let tracked = router && producer.watch.is_some();
        self.producers.insert(link, producer);
        tracked
    }

    /// Returns how many links to addresses the peer sends on.
    pub(in crate::net) fn producers(&self) -> usize {
        self.producers.len()
    }

    /// Returns a link on which the peer sends to an address.
    pub(in crate::net) fn producer(&self, link: LinkKey) -> Option<&Producer> {
        self.producers.get(&link)
    }

    /// Takes a link on which a router will send messages for an address.
    pub(in crate::net) fn expect_producer(&mut self, link: LinkKey, producer: Producer) {
        self.producers.insert(link, producer);
    }

    /// Counts a delivery that has begun on a link.
    pub(super) fn on_begun(&mut self, link: LinkKey) {
        if let Some(producer) = self.producers.get_mut(&link) {
            producer.open = producer.open.saturating_add(1);
        }
    }

    /// Gives back the credit of a delivery that is over: in portions of half the capacity, or all
    /// of it once nothing is open.
    pub(super) fn on_over(&mut self, cx: &mut Context, link: LinkKey) {
        let Some(producer) = self.producers.get_mut(&link) else { return };
        producer.open = producer.open.saturating_sub(1);
        if producer.supply != Supply::Open {
            return;
        }
        let wanted = producer.capacity.saturating_sub(producer.open);
        let given = cx.engine.credit(link);
        if wanted > given
            && (wanted - given >= producer.capacity.div_ceil(2) || given == 0 || producer.open == 0)
        {
            cx.engine.set_credit(link, wanted, false);
            cx.note_credit(link);
        }
    }

    /// Asks for the link's credit back, for a delivery had no destination.
    pub(super) fn on_no_destination(&mut self, cx: &mut Context, link: LinkKey) {
        let Some(producer) = self.producers.get_mut(&link) else { return };
        if matches!(producer.supply, Supply::Engine | Supply::Draining)
            || producer.reach().is_none_or(|(_, reachable)| reachable)
        {
            return;
        }
        producer.supply = Supply::Draining;
        let left = cx.engine.credit(link);
        if left > 0 {
            cx.engine.set_credit(link, left, true);
        }
    }

    /// Adapts a link's credit to the consumers of its address. Returns whether a router must be
    /// told instead.
    pub(in crate::net) fn on_reach(&mut self, cx: &mut Context, link: LinkKey) -> bool {
        let Some(producer) = self.producers.get_mut(&link) else { return false };
        let Some((_, reachable)) = producer.reach() else { return false };
        match producer.supply {
            Supply::Engine => return true,
            Supply::Open if !reachable => producer.supply = Supply::Held,
            Supply::Held | Supply::Draining if reachable => {
                producer.supply = Supply::Open;
                let credit = producer.capacity.saturating_sub(producer.open);
                cx.engine.set_credit(link, credit, false);
                cx.note_credit(link);
            }
            Supply::Open | Supply::Held | Supply::Draining => {}
        }
        false
    }
}
