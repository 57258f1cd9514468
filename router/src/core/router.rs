//! The core itself: one router's tables, and the way of a delivery through them.

use super::address::{Address, LocalConsumer, Remote, Watch};
use super::budget::Budget;
use super::choose::{self, Choice, Tried};
use super::counters::Counters;
use super::delivery::{Delivery, Message};
use super::fanout::Fanout;
use super::mailbox::{Mailbox, Via};
use super::replies::Replies;
use super::resend::Resend;
use super::routing::State;
use super::trunk::{Trunk, TrunkId};
use arc_swap::ArcSwap;
use bytes::Bytes;
use skupper_proto::address::patterns::Patterns;
use skupper_proto::address::{AddressClass, AddressKey, AddressParts, AddressRef, AddressSpace, RouterMode, Treatment};
use skupper_proto::amqp::performative::DeliveryState;
use skupper_proto::annotations::{self, Annotations, Parsed};
use skupper_proto::time::Instant;
use skupper_proto::topology;
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What takes deliveries within the process: a tcpConnector, a listener's connection that waits for its answer, a handler.
pub trait Endpoint: Debug + Send + Sync {
    /// Takes a delivery, on whatever thread: it must not wait. A delivery that is not wanted is given an outcome.
    fn deliver(&self, delivery: Arc<Delivery>);
}

/// What a core is made with.
#[derive(Debug)]
pub struct Settings {
    /// How the router takes part in the routing protocol; holds its id.
    pub routing: topology::Config,
    /// Treatments of configured addresses.
    pub treatments: Patterns<Treatment>,
    /// The treatment of all others.
    pub default_treatment: Treatment,
    /// Threads that own connections.
    pub shards: usize,
    /// Octets of bodies that the router may hold.
    pub ceiling: usize,
}

/// The way to every router, as a snapshot.
#[derive(Debug)]
pub(super) struct Routes {
    pub(super) table: Arc<topology::Routes>,
    pub(super) trunks: HashMap<TrunkId, Arc<Trunk>>,
}

/// The next hop toward a router.
pub(super) struct Way<'a> {
    pub(super) cost: u64,
    pub(super) trunk: &'a Arc<Trunk>,
}

impl Routes {
    pub(super) fn get(&self, router: &str) -> Option<Way<'_>> {
        let route = self.table.route(self.table.router(router)?)?;
        Some(Way { cost: route.cost, trunk: self.trunks.get(&route.link)? })
    }
}

/// One router's tables.
#[derive(Debug)]
pub struct Core {
    id: Arc<str>,
    node: Box<str>,
    space: AddressSpace,
    treatments: ArcSwap<Patterns<Treatment>>,
    default_treatment: Treatment,
    budget: Arc<Budget>,
    replies: Arc<Replies>,
    counters: Counters,
    pub(super) addresses: ArcSwap<imbl::HashMap<AddressKey, Arc<Address>>>,
    pub(super) routes: ArcSwap<Routes>,
    state: Mutex<State>,
}

/// A consumer's subscription to an address; it ends when this is dropped.
#[derive(Debug)]
pub struct Consumption {
    core: Arc<Core>,
    key: AddressKey,
    consumer: Arc<LocalConsumer>,
}

impl Drop for Consumption {
    fn drop(&mut self) {
        self.core.unconsume(&self.key, &self.consumer);
    }
}

impl Core {
    /// The tables of a router that just started.
    pub fn new(settings: Settings, now: Instant) -> Arc<Self> {
        let id = Arc::clone(&settings.routing.id);
        let state = State::new(settings.routing, now);
        let routes = Routes { table: Arc::clone(state.table()), trunks: HashMap::new() };
        Arc::new(Self {
            node: annotations::node_text(&id),
            space: AddressSpace::new(RouterMode::Interior, &id, None),
            id,
            treatments: ArcSwap::from_pointee(settings.treatments),
            default_treatment: settings.default_treatment,
            budget: Arc::new(Budget::new(settings.ceiling)),
            replies: Replies::new(settings.shards),
            counters: Counters::default(),
            addresses: ArcSwap::default(),
            routes: ArcSwap::from_pointee(routes),
            state: Mutex::new(state),
        })
    }

    /// The router's id.
    pub const fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// The router as annotations name it: `0/<id>`.
    pub const fn node(&self) -> &str {
        &self.node
    }

    pub(super) const fn space(&self) -> &AddressSpace {
        &self.space
    }

    /// What deliveries may hold together.
    pub const fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Where answers go.
    pub const fn replies(&self) -> &Arc<Replies> {
        &self.replies
    }

    /// Deliveries counted by what became of them.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // ----- addresses -----

    fn treatment_of(&self, key: AddressRef<'_>, hint: Option<Treatment>) -> Treatment {
        match self.configured(key).or(hint).unwrap_or(self.default_treatment) {
            Treatment::Unavailable => Treatment::Balanced,
            treatment => treatment,
        }
    }

    /// Changes the treatments of configured addresses. Addresses that are in use keep theirs until nobody uses them.
    pub fn set_treatments(&self, treatments: Patterns<Treatment>) {
        self.treatments.store(Arc::new(treatments));
    }

    /// The record of an address, made if there was none. The caller holds the lock.
    fn record(&self, key: &AddressKey, hint: Option<Treatment>) -> Arc<Address> {
        let addresses = self.addresses.load();
        if let Some(address) = addresses.get(key) {
            return Arc::clone(address);
        }
        let address = Address::new(key.clone(), self.treatment_of(key.as_ref(), hint));
        self.addresses.store(Arc::new(addresses.update(key.clone(), Arc::clone(&address))));
        address
    }

    /// Drops the record of an address that nobody has anything to do with. The caller holds the lock.
    fn sweep(&self, key: &AddressKey, address: &Address) {
        if address.is_idle() {
            let addresses = self.addresses.load();
            self.addresses.store(Arc::new(addresses.without(key)));
        }
    }

    /// Makes `consumer` a consumer of the mobile address `text`, and says so to the network.
    pub fn consume(self: &Arc<Self>, text: &str, consumer: Arc<LocalConsumer>, now: Instant) -> Consumption {
        self.serve(AddressKey::mobile(text), consumer, now)
    }

    /// Makes `consumer` a consumer of an address, and says so to the network if the address is of a class that is told.
    pub fn serve(self: &Arc<Self>, key: AddressKey, consumer: Arc<LocalConsumer>, now: Instant) -> Consumption {
        let mut state = self.lock();
        let address = self.record(&key, consumer.own.then_some(Treatment::Closest));
        address.change(|destinations| destinations.locals.push(Arc::clone(&consumer)));
        state.advertise(self, &address, now);
        Consumption { core: Arc::clone(self), key, consumer }
    }

    fn unconsume(&self, key: &AddressKey, consumer: &Arc<LocalConsumer>) {
        let mut state = self.lock();
        let Some(address) = self.addresses.load().get(key).map(Arc::clone) else { return };
        address.change(|destinations| destinations.locals.retain(|known| !Arc::ptr_eq(known, consumer)));
        let now = state.now();
        state.advertise(self, &address, now);
        self.sweep(key, &address);
    }

    /// The record of the mobile address `text`, and a watch that tells whether anybody consumes it.
    pub fn watch(&self, text: &str) -> (Arc<Address>, Arc<Watch>) {
        self.watch_key(&AddressKey::mobile(text))
    }

    /// As [`Core::watch`], of any address that has a record.
    pub fn watch_key(&self, key: &AddressKey) -> (Arc<Address>, Arc<Watch>) {
        let _state = self.lock();
        let address = self.record(key, None);
        let watch = address.watch();
        (address, watch)
    }

    /// Whether an address may be used: its distribution is not `unavailable`.
    pub fn is_available(&self, key: AddressRef<'_>) -> bool {
        self.configured(key).unwrap_or(self.default_treatment) != Treatment::Unavailable
    }

    fn configured(&self, key: AddressRef<'_>) -> Option<Treatment> {
        match key.class {
            // The router's own: the management node, and what is made for clients that ask for an address.
            AddressClass::Mobile if key.text.starts_with('$') || key.text.starts_with("_$") => Some(Treatment::Closest),
            AddressClass::Mobile => self.treatments.load().find(key.text).copied(),
            _ => Some(Treatment::Closest),
        }
    }

    /// Adds or removes another router as a destination. The caller holds the lock.
    pub(super) fn set_remote(&self, key: &AddressKey, router: &Arc<str>, hint: Option<Treatment>, present: bool) {
        if !present && !self.addresses.load().contains_key(key) {
            return;
        }
        let address = self.record(key, hint);
        address.change(|destinations| {
            let known = destinations.remotes.iter().position(|remote| remote.router == *router);
            match (known, present) {
                (None, true) => destinations.remotes.push(Remote { router: Arc::clone(router) }),
                (Some(index), false) => drop(destinations.remotes.remove(index)),
                _ => {}
            }
        });
        self.sweep(key, &address);
    }

    /// Every address known.
    pub fn addresses(&self) -> Vec<Arc<Address>> {
        let mut all: Vec<_> = self.addresses.load().values().map(Arc::clone).collect();
        all.sort_by(|a, b| (a.key().class().as_char(), a.key().text()).cmp(&(b.key().class().as_char(), b.key().text())));
        all
    }

    // ----- the way of a delivery -----

    /// Chooses where a delivery that begins here goes.
    pub fn choose(&self, address: &Address) -> Option<Choice> {
        let choice = choose::choose(address, &self.routes.load(), true, &Tried::default(), |_| true)?;
        address.counts().routed(true, choice.is_local());
        Some(choice)
    }

    /// Chooses where a delivery that begins here goes, by its address: an answer to a router's client, above all.
    pub fn choose_by_text(&self, to: &str) -> Option<Choice> {
        let key = self.space.classify(to);
        match key.class {
            AddressClass::Local if Replies::owns(key.text) => {
                self.replies.find(key.text).map(|endpoint| Choice::local(LocalConsumer::new(endpoint)))
            }
            AddressClass::Router => choose::toward(&self.routes.load(), key.text, true),
            _ => {
                let address = self.addresses.load().get(&key as &dyn AddressParts).map(Arc::clone)?;
                self.choose(&address)
            }
        }
    }

    /// The class and the text of an address, as this router reads it.
    pub fn classify<'a>(&self, text: &'a str) -> AddressRef<'a> {
        self.space.classify(text)
    }

    /// Sends a delivery on its way, whether it begins here or came from another router. Returns whether there was one: without a
    /// destination it is released.
    pub fn route(self: &Arc<Self>, delivery: Arc<Delivery>, to: &str) -> bool {
        let routes = self.routes.load();
        let front = delivery.message().annotations.clone();
        let annotations = match annotations::parse(&front) {
            Ok(Parsed::Present(annotations)) => Some(annotations),
            _ => None,
        };
        let streaming = delivery.message().streaming;
        let went_round = annotations.as_ref().is_some_and(|annotations| self.went_round(annotations, &routes));
        let key = self.space.classify(key_text(&annotations, to));
        let local = |text| self.replies.find(text).map(|endpoint| Choice::local(LocalConsumer::new(endpoint)));
        let choice = match key.class {
            _ if went_round => None,
            AddressClass::Local if Replies::owns(key.text) => local(key.text),
            AddressClass::Router => choose::toward(&routes, key.text, streaming),
            AddressClass::Topological => None,
            _ => self.addresses.load().get(&key as &dyn AddressParts).and_then(|address| {
                if address.treatment() == Treatment::Multicast {
                    return self.multicast(address, &routes, &delivery, annotations.as_ref()).then_some(Choice::nowhere());
                }
                if delivery.message().resend {
                    return Resend::start(self, &delivery, key_text(&annotations, to)).then_some(Choice::nowhere());
                }
                let choice = choose_one(address, &routes, streaming, &Tried::default(), annotations.as_ref())?;
                address.counts().routed(annotations.is_none(), choice.is_local());
                Some(choice)
            }),
        };
        let Some(choice) = choice else {
            delivery.outcome(Some(DeliveryState::Released), true);
            return false;
        };
        self.counters.routed(choice.is_local());
        choice.deliver(delivery);
        true
    }

    /// The next destination of a delivery that was released by all that have been tried.
    pub(super) fn choose_again(&self, delivery: &Delivery, to: &str, tried: &mut Tried) -> Option<Choice> {
        let routes = self.routes.load();
        let annotations = match annotations::parse(&delivery.message().annotations) {
            Ok(Parsed::Present(annotations)) => Some(annotations),
            _ => None,
        };
        let key = self.space.classify(to);
        let addresses = self.addresses.load();
        let address = addresses.get(&key as &dyn AddressParts)?;
        let choice = choose_one(address, &routes, delivery.message().streaming, tried, annotations.as_ref())?;
        address.counts().routed(annotations.is_none(), choice.is_local());
        tried.add(&choice);
        Some(choice)
    }

    /// Sends a message that is all there, as an answer to somebody: it is dropped when nobody is there to take it.
    pub fn send_to(self: &Arc<Self>, to: &str, message: Message, body: Bytes) -> bool {
        self.route(Delivery::whole(message, body, &self.budget), to)
    }

    /// Whether a message has passed here before, or more routers than the network is wide.
    fn went_round(&self, annotations: &Annotations<'_>, routes: &Routes) -> bool {
        annotations.trace.len() > routes.table.hop_limit() || annotations.trace.routers().any(|id| *id == *self.id)
    }

    /// Sends a copy to each consumer here and to each neighbor on the way to one. What they say becomes the original's outcome.
    fn multicast(&self, address: &Address, routes: &Routes, delivery: &Arc<Delivery>, from: Option<&Annotations<'_>>) -> bool {
        let ingress = from.and_then(|annotations| annotations.ingress).and_then(skupper_proto::address::router_of_node);
        let origin = ingress.and_then(|id| routes.table.router(id));
        let mut trunks: Vec<&Arc<Trunk>> = Vec::new();
        for router in address.remote_routers() {
            let valid = match (origin, routes.table.router(&router)) {
                (Some(origin), Some(destination)) => routes.table.is_valid_origin(origin, destination),
                _ => from.is_none(),
            };
            let Some(way) = routes.get(&router).filter(|_| valid) else { continue };
            let passed = from.is_some_and(|annotations| annotations.trace.routers().any(|id| *id == **way.trunk.neighbor()));
            if !passed && !trunks.iter().any(|known| known.id() == way.trunk.id()) {
                trunks.push(way.trunk);
            }
        }
        let destinations = address.destinations.load();
        let streaming = delivery.message().streaming;
        let mut choices: Vec<Choice> = destinations.locals.iter().map(choose::to_local).collect();
        choices.extend(trunks.into_iter().map(|trunk| choose::to_trunk(trunk, streaming)));
        for choice in &choices {
            address.counts().routed(from.is_none(), choice.is_local());
        }
        match choices.len() {
            0 => return false,
            1 => choices.into_iter().for_each(|choice| choice.deliver(Arc::clone(delivery))),
            count => {
                let copies = Fanout::start(delivery, count);
                choices.into_iter().zip(copies).for_each(|(choice, copy)| choice.deliver(copy));
            }
        }
        true
    }

    /// Sends a message that is all in its head.
    pub(super) fn send(&self, mailbox: &Mailbox, message: Message, via: Via) {
        choose::send(mailbox, Delivery::whole(message, Bytes::new(), &self.budget), via);
    }
}

/// Where a message goes: where its annotations say, before its own address.
fn key_text<'a>(annotations: &Option<Annotations<'a>>, to: &'a str) -> &'a str {
    annotations.as_ref().and_then(|annotations| annotations.to_override).unwrap_or(to)
}

/// Chooses a destination for one delivery, with respect to where it entered the network.
fn choose_one(
    address: &Address,
    routes: &Routes,
    streaming: bool,
    tried: &Tried,
    from: Option<&Annotations<'_>>,
) -> Option<Choice> {
    let ingress = from.and_then(|annotations| annotations.ingress).and_then(skupper_proto::address::router_of_node);
    let origin = ingress.and_then(|id| routes.table.router(id));
    choose::choose(address, routes, streaming, tried, |router| match (origin, routes.table.router(router)) {
        (Some(origin), Some(destination)) => routes.table.is_valid_origin(origin, destination),
        _ => true,
    })
}
