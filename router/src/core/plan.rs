//! Decides where a message goes, by its address.

use std::sync::Arc;

use skupper_proto::address::{
    AddressClass, AddressKey, AddressParts, AddressRef, Canonical, EDGE_UPLINK, RouterMode,
    Treatment,
};
use skupper_proto::annotations::{self, Annotations, Parsed};
use skupper_proto::topology;

use super::address::Address;
use super::choose::{self, Choice, Tried};
use super::counters::Destination;
use super::delivery::{ConsumerEnd, Message};
use super::edge_connection::Leads;
use super::endpoint::LocalConsumer;
use super::mailbox::Mailbox;
use super::next_hops::{NextHop, NextHops};
use super::origin::Origin;
use super::replies::Replies;
use super::tables::Core;
use super::trunk::Trunk;

impl Core {
    /// Chooses a destination for a delivery that begins here.
    pub fn choose(&self, address: &Address) -> Option<Choice> {
        let choice = choose::choose(
            address,
            &self.next_hops.load(),
            true,
            &Tried::default(),
            &Origin::default(),
        )?;
        self.count(address, true, &choice);
        Some(choice)
    }

    /// Counts a delivery that goes to a destination of an address.
    fn count(&self, address: &Address, began_here: bool, choice: &Choice) {
        if let Some(destination) = choice.destination() {
            address.counts().routed(began_here, destination);
            self.counters().routed(destination);
        }
    }

    /// Chooses a destination for a delivery that begins here, by the text of its address.
    pub fn choose_by_text(&self, to: &str) -> Option<Choice> {
        self.choose_way(to, None)
    }

    /// Chooses a destination for the delivery that answers `question`, by the text of its address.
    /// The answer to a stream goes back by the data connection that the stream came by.
    pub fn choose_answer(&self, to: &str, question: &ConsumerEnd) -> Option<Choice> {
        self.choose_way(to, question.came_by().as_ref())
    }

    fn choose_way(&self, to: &str, came_by: Option<&Arc<Mailbox>>) -> Option<Choice> {
        let key = self.read(to).key();
        match key.class {
            AddressClass::Local if Replies::owns(key.text) => self.answer(key.text),
            AddressClass::Router => self.toward(&self.next_hops.load(), key.text, true, came_by),
            _ => {
                let address = self.addresses.load().get(&key as &dyn AddressParts).map(Arc::clone);
                address
                    .and_then(|address| self.choose(&address))
                    .or_else(|| self.upward(&Tried::default()))
            }
        }
    }

    /// Chooses the endpoint that waits for an answer at an address of this router.
    fn answer(&self, local: &str) -> Option<Choice> {
        let endpoint = self.replies().find(local)?;
        self.counters().routed(Destination::Consumer);
        Some(Choice::answer(endpoint))
    }

    /// Chooses the next hop toward a router.
    fn toward(
        &self,
        next_hops: &NextHops,
        router: &str,
        streaming: bool,
        came_by: Option<&Arc<Mailbox>>,
    ) -> Option<Choice> {
        let choice = choose::toward(next_hops, router, streaming, came_by)?;
        self.counters().routed(Destination::Router);
        Some(choice)
    }

    /// Chooses an edge router's uplink, for deliveries to addresses that it does not know.
    fn upward(&self, tried: &Tried) -> Option<Choice> {
        let addresses = self.addresses.load();
        let uplink = addresses.get(&EDGE_UPLINK as &dyn AddressParts)?;
        let choice = Some(choose::to_local(uplink.destinations.load().locals.get(0)?))
            .filter(|choice| !tried.has(choice))?;
        self.count(uplink, true, &choice);
        Some(choice)
    }

    /// Reads an address. To be called before an address is judged, stored or routed by.
    pub fn read<'a>(&'a self, text: &'a str) -> Canonical<'a> {
        let address = self.space().read(text);
        let key = address.key();
        let beyond = self.mode() == RouterMode::Edge && key.class == AddressClass::Edge;
        // An edge router knows the edge routers that it is linked with. All others are behind its
        // uplink.
        if beyond && !self.addresses.load().contains_key(&key as &dyn AddressParts) {
            address.by_uplink()
        } else {
            address
        }
    }

    /// Decides where a message goes. Returns `None` if it has no destination.
    pub(super) fn plan(&self, message: &Message, to: AddressRef<'_>) -> Option<Plan> {
        let next_hops = self.next_hops.load();
        let origin = Origin::of(message);
        let streaming = message.streaming;
        if origin.annotations().is_some_and(|annotations| self.went_round(annotations, &next_hops))
        {
            return None;
        }
        match to.class {
            AddressClass::Local if Replies::owns(to.text) => {
                return self.answer(to.text).map(Plan::One);
            }
            AddressClass::Router => {
                return self.toward(&next_hops, to.text, streaming, None).map(Plan::One);
            }
            AddressClass::Topological => return None,
            _ => {}
        }
        let address = self.addresses.load().get(&to as &dyn AddressParts).map(Arc::clone);
        let known = address.as_ref().and_then(|address| {
            if address.treatment() == Treatment::Multicast {
                let mut choices = self.multicast(address, &next_hops, message, &origin);
                return match choices.len() {
                    0 | 1 => choices.pop().map(Plan::One),
                    _ => Some(Plan::Each(choices)),
                };
            }
            if message.resend {
                return Some(Plan::InTurn);
            }
            let choice =
                choose::choose(address, &next_hops, streaming, &Tried::default(), &origin)?;
            self.count(address, origin.is_here(), &choice);
            Some(Plan::One(choice))
        });
        let upward = || may_go_upward(message, &origin).then(|| self.upward(&Tried::default()));
        known.or_else(|| upward().flatten().map(Plan::One))
    }

    /// Chooses a destination that has not been tried, and adds it to `tried`.
    pub(super) fn choose_again(
        &self,
        message: &Message,
        to: &AddressKey,
        tried: &mut Tried,
    ) -> Option<Choice> {
        let next_hops = self.next_hops.load();
        let origin = Origin::of(message);
        let addresses = self.addresses.load();
        let known = addresses.get(to).and_then(|address| {
            let choice = choose::choose(address, &next_hops, message.streaming, tried, &origin)?;
            self.count(address, origin.is_here(), &choice);
            Some(choice)
        });
        let upward = || may_go_upward(message, &origin).then(|| self.upward(tried)).flatten();
        let choice = known.or_else(upward)?;
        tried.add(&choice);
        Some(choice)
    }

    /// Returns the number of the router where a message entered the network; 0 is this one.
    pub fn ingress_number(&self, message: &Message) -> usize {
        let Ok(Parsed::Present(annotations)) = annotations::parse(&message.annotations) else {
            return 0;
        };
        let router = annotations.ingress.and_then(skupper_proto::address::router_of_node);
        router
            .and_then(|id| self.next_hops.load().table.router(id))
            .map_or(0, topology::RouterIndex::get)
    }

    /// Returns whether a message has passed here before, or has passed more routers than the
    /// network is wide.
    fn went_round(&self, annotations: &Annotations<'_>, next_hops: &NextHops) -> bool {
        // An edge router passes nothing on: all that comes to it is for it.
        self.mode() == RouterMode::Interior
            && (annotations.trace.len() > next_hops.table.hop_limit()
                || annotations.trace.routers().any(|id| *id == **self.id()))
    }

    /// Chooses each consumer here, and each neighbor that leads to a consumer.
    fn multicast(
        &self,
        address: &Address,
        next_hops: &NextHops,
        message: &Message,
        origin: &Origin<'_>,
    ) -> Vec<Choice> {
        let mut trunks: Vec<&Arc<Trunk>> = Vec::new();
        for router in address.remote_routers() {
            let valid = |_: &NextHop<'_>| origin.may_go_to(&next_hops.table, &router, true);
            let Some(way) = next_hops.get(&router).filter(valid) else { continue };
            let passed = |annotations: &Annotations<'_>| {
                annotations.trace.routers().any(|id| *id == **way.trunk.neighbor())
            };
            if !origin.annotations().is_some_and(passed)
                && !trunks.iter().any(|known| known.id() == way.trunk.id())
            {
                trunks.push(way.trunk);
            }
        }
        let destinations = address.destinations.load();
        let streaming = message.streaming;
        let locals: Vec<_> =
            destinations.locals.iter().filter(|consumer| origin.may_reach(consumer)).collect();
        // All other consumers are behind an edge router's uplink, even if the address does not name
        // it.
        let upward =
            may_go_upward(message, origin) && !locals.iter().any(|consumer| leads_up(consumer));
        let mut choices: Vec<Choice> = locals.into_iter().map(choose::to_local).collect();
        choices.extend(trunks.into_iter().map(|trunk| {
            choose::to_trunk(trunk, streaming, None).with_priority(address.priority())
        }));
        for choice in &choices {
            self.count(address, origin.is_here(), choice);
        }
        choices.extend(upward.then(|| self.upward(&Tried::default())).flatten());
        choices
    }
}

/// The destinations of a message.
pub(super) enum Plan {
    /// One destination.
    One(Choice),
    /// A copy for each.
    Each(Vec<Choice>),
    /// One after the other, until one does not release it.
    InTurn,
}

/// Returns whether a consumer is an edge router's uplink.
fn leads_up(consumer: &LocalConsumer) -> bool {
    consumer.edge.as_ref().is_some_and(|edge| edge.leads() == Leads::Up)
}

/// Returns whether an edge router may send a message of an unknown address to its uplink. A message
/// from the uplink may not go back. An address that a link names has the uplink among its
/// consumers, if it has any there.
const fn may_go_upward(message: &Message, origin: &Origin<'_>) -> bool {
    !origin.is_edge() && message.to_override.is_none()
}
