//! The core itself: one router's tables, and the way of a delivery through them.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use skupper_proto::address::patterns::Patterns;
use skupper_proto::address::{
    AddressClass, AddressKey, AddressParts, AddressRef, AddressSpace, Canonical, EDGE_UPLINK,
    RouterMode, Treatment,
};
use skupper_proto::amqp::performative::DeliveryState;
use skupper_proto::annotations::{self, Annotations, Parsed};
use skupper_proto::edge::Bid;
use skupper_proto::keys::KeyMap;
use skupper_proto::mobile::Attributes;
use skupper_proto::time::Instant;
use skupper_proto::topology;

use super::account::{Account, Class, Holder, ServiceAccount, Services};
use super::address::{Address, AddressRule, LocalConsumer, Remote, Watching};
use super::choose::{self, Choice, Destination, Tried};
use super::counters::Counters;
use super::delivery::{ConsumerEnd, Message};
use super::edge::{EdgeConnection, Leads, Origin};
use super::fanout::Fanout;
use super::mailbox::{Mailbox, Via};
use super::replies::Replies;
use super::resend::Resend;
use super::routing::State;
use super::trunk::{Trunk, TrunkId};

/// What takes deliveries within the process: a tcpConnector, a listener's connection that waits for
/// its answer, a handler.
pub trait Endpoint: Debug + Send + Sync {
    /// Takes a delivery, on whatever thread: it must not wait. A delivery that is not wanted is
    /// given an outcome.
    fn deliver(&self, delivery: ConsumerEnd);

    /// The shard where what is delivered goes on, if that is one.
    fn shard(&self) -> Option<usize> {
        None
    }
}

/// What a core is made with.
#[derive(Debug)]
pub struct Settings {
    /// Whether it takes part in the routing protocol, or has an uplink.
    pub mode: RouterMode,
    /// Of an edge router: what it bids for the id of the mesh of edge routers that it belongs to.
    pub bid: Option<Bid>,
    /// How the router takes part in the routing protocol; holds its id.
    pub routing: topology::Config,
    /// Treatments of configured addresses.
    pub treatments: Patterns<AddressRule>,
    /// The treatment of all others.
    pub default_treatment: Treatment,
    /// Threads that own connections.
    pub shards: usize,
    /// Octets of memory that the router may hold for its peers.
    pub ceiling: usize,
}

/// The way to every router, as a snapshot.
#[derive(Debug)]
pub(super) struct Routes {
    pub(super) table: Arc<topology::Routes>,
    pub(super) trunks: KeyMap<TrunkId, Arc<Trunk>>,
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
    mode: RouterMode,
    mesh: ArcSwapOption<Box<str>>,
    space: AddressSpace,
    treatments: ArcSwap<Patterns<AddressRule>>,
    default_treatment: Treatment,
    own: Arc<Holder>,
    services: Services,
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

impl Consumption {
    /// The address.
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
    /// The tables of a router that just started.
    pub fn new(settings: Settings, now: Instant) -> Arc<Self> {
        let id = Arc::clone(&settings.routing.id);
        let mesh = settings.bid.as_ref().map(|bid| Box::from(bid.id.as_str()));
        let state = State::new(settings.routing, settings.bid, now);
        let routes = Routes { table: Arc::clone(state.table()), trunks: KeyMap::default() };
        Arc::new(Self {
            node: annotations::node_text(&id),
            mode: settings.mode,
            mesh: ArcSwapOption::from_pointee(mesh),
            space: AddressSpace::new(settings.mode, &id, None),
            id,
            treatments: ArcSwap::from_pointee(settings.treatments),
            default_treatment: settings.default_treatment,
            own: Holder::new(&Account::new(settings.ceiling), Class::Router),
            services: Services::default(),
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

    /// Whether the router takes part in the routing protocol, or has an uplink.
    pub const fn mode(&self) -> RouterMode {
        self.mode
    }

    /// Of an edge router: the mesh of edge routers that it belongs to.
    pub fn mesh(&self) -> Option<Arc<Box<str>>> {
        self.mesh.load_full()
    }

    pub(super) fn set_own_mesh(&self, id: Option<&str>) {
        self.mesh.store(id.map(|id| Arc::new(Box::from(id))));
    }

    /// The address by which other routers reach what is `local` to this one, in parts.
    pub fn address_of(&self, local: &[&str]) -> String {
        let network = match self.mode {
            RouterMode::Interior => "amqp:/_topo/0/",
            RouterMode::Edge => "amqp:/_edge/",
        };
        let octets =
            network.len() + self.id.len() + 1 + local.iter().map(|part| part.len()).sum::<usize>();
        let mut address = String::with_capacity(octets);
        [network, &*self.id, "/"].iter().chain(local).for_each(|part| address.push_str(part));
        address
    }

    pub(super) const fn space(&self) -> &AddressSpace {
        &self.space
    }

    /// What is held in memory for all peers together.
    pub fn account(&self) -> &Arc<Account> {
        self.own.account()
    }

    /// What is held for the connections of a service here.
    pub fn service(&self, service: &str) -> Arc<ServiceAccount> {
        self.services.of(self.account(), service)
    }

    /// The same of all services.
    pub const fn services(&self) -> &Services {
        &self.services
    }

    /// What is charged to the router itself.
    pub const fn own(&self) -> &Arc<Holder> {
        &self.own
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

    fn rule_of(&self, key: AddressRef<'_>, hint: Option<Treatment>) -> AddressRule {
        let configured = self.configured(key);
        let treatment = match configured
            .map(|rule| rule.treatment)
            .or(hint)
            .unwrap_or(self.default_treatment)
        {
            Treatment::Unavailable => Treatment::Balanced,
            treatment => treatment,
        };
        AddressRule { treatment, priority: configured.and_then(|rule| rule.priority) }
    }

    /// Changes the treatments of configured addresses. Addresses that are in use keep theirs until
    /// nobody uses them.
    pub fn set_treatments(&self, treatments: Patterns<AddressRule>) {
        self.treatments.store(Arc::new(treatments));
    }

    /// The record of an address, made if there was none. The caller holds the lock.
    fn record(&self, key: &AddressKey, hint: Option<Treatment>) -> Arc<Address> {
        let addresses = self.addresses.load();
        if let Some(address) = addresses.get(key) {
            return Arc::clone(address);
        }
        let address = Address::new(key.clone(), self.rule_of(key.as_ref(), hint));
        self.addresses.store(Arc::new(addresses.update(key.clone(), Arc::clone(&address))));
        address
    }

    /// Drops the record of an address that nobody has anything to do with. The caller holds the
    /// lock.
    fn sweep(&self, key: &AddressKey, address: &Address) {
        if address.is_idle() {
            let addresses = self.addresses.load();
            self.addresses.store(Arc::new(addresses.without(key)));
        }
    }

    /// Makes `consumer` a consumer of the mobile address `text`, and says so to the network.
    pub fn consume(
        self: &Arc<Self>,
        text: &str,
        consumer: Arc<LocalConsumer>,
        now: Instant,
    ) -> Consumption {
        self.serve(AddressKey::mobile(text), consumer, now)
    }

    /// Makes `consumer` a consumer of an address, and says so to the network if the address is of a
    /// class that is told.
    pub fn serve(
        self: &Arc<Self>,
        key: AddressKey,
        consumer: Arc<LocalConsumer>,
        now: Instant,
    ) -> Consumption {
        self.enter(&mut self.lock(), key, consumer, now)
    }

    /// As [`Core::serve`], for a client. `None` when the clients of this router have as many
    /// addresses as they may, and this would be one more.
    pub fn serve_client(
        self: &Arc<Self>,
        key: AddressKey,
        consumer: Arc<LocalConsumer>,
        now: Instant,
    ) -> Option<Consumption> {
        let mut state = self.lock();
        let is_known =
            || self.addresses.load().get(&key).is_some_and(|address| address.has_client());
        let takes_place = consumer.client && key.class().is_advertised() && !is_known();
        if takes_place && !state.clients.take(key.wire_len()) {
            return None;
        }
        Some(self.enter(&mut state, key, consumer, now))
    }

    fn enter(
        self: &Arc<Self>,
        state: &mut State,
        key: AddressKey,
        consumer: Arc<LocalConsumer>,
        now: Instant,
    ) -> Consumption {
        let address = self.record(&key, consumer.own.then_some(Treatment::Closest));
        address.change(|destinations| destinations.locals.push(&consumer));
        state.advertise(self, &address, now);
        Consumption { core: Arc::clone(self), key, consumer }
    }

    fn unconsume(&self, key: &AddressKey, consumer: &Arc<LocalConsumer>) {
        let mut state = self.lock();
        let Some(address) = self.addresses.load().get(key).map(Arc::clone) else { return };
        address.change(|destinations| destinations.locals.remove(consumer));
        if consumer.client && key.class().is_advertised() && !address.has_client() {
            state.clients.give_back(key.wire_len());
        }
        let now = state.now();
        state.advertise(self, &address, now);
        self.sweep(key, &address);
    }

    /// The record of the mobile address `text`, and a watch that tells whether anybody consumes it.
    pub fn watch(self: &Arc<Self>, text: &str) -> (Arc<Address>, Watching) {
        self.watch_key(&AddressKey::mobile(text), None)
    }

    /// As [`Core::watch`], of any address that has a record, for who is behind an edge connection,
    /// if one is given.
    pub fn watch_key(
        self: &Arc<Self>,
        key: &AddressKey,
        edge: Option<&Arc<EdgeConnection>>,
    ) -> (Arc<Address>, Watching) {
        let mut state = self.lock();
        let address = self.record(key, None);
        let watching = Watching::new(self, &address, edge);
        state.edges.change(key);
        (address, watching)
    }

    /// Ends a watch.
    pub(super) fn unwatch(&self, address: &Address, place: usize) {
        let mut state = self.lock();
        address.unwatch(place);
        state.edges.change(address.key());
        self.sweep(address.key(), address);
    }

    /// Whether an address may be used: its distribution is not `unavailable`.
    pub fn is_available(&self, key: AddressRef<'_>) -> bool {
        self.configured(key).map_or(self.default_treatment, |rule| rule.treatment)
            != Treatment::Unavailable
    }

    fn configured(&self, key: AddressRef<'_>) -> Option<AddressRule> {
        let closest = AddressRule { treatment: Treatment::Closest, priority: None };
        match key.class {
            // The router's own: the management node, and what is made for clients that ask for an
            // address.
            AddressClass::Mobile if key.text.starts_with('$') || key.text.starts_with("_$") => {
                Some(closest)
            }
            AddressClass::Mobile => match self.treatments.load().find(key.text).copied() {
                // Flow records are for all collectors, whatever is configured for others.
                None if key.text.starts_with("mc/sfe.") => {
                    Some(AddressRule { treatment: Treatment::Multicast, priority: None })
                }
                found => found,
            },
            _ => Some(closest),
        }
    }

    /// Adds or changes another router as a destination, or removes it: then it has no attributes.
    /// The caller holds the lock.
    pub(super) fn set_remote(
        &self,
        key: &AddressKey,
        router: &Arc<str>,
        attributes: Option<&Attributes>,
    ) {
        if attributes.is_none() && !self.addresses.load().contains_key(key) {
            return;
        }
        let address = self.record(key, attributes.and_then(|attributes| attributes.treatment));
        address.change(|destinations| {
            let known = destinations.remotes.iter().position(|remote| remote.router == *router);
            let remote = attributes.map(|attributes| Remote {
                router: Arc::clone(router),
                sole_mesh: attributes.sole_mesh.clone(),
                early: attributes.early,
            });
            match (known, remote) {
                (None, Some(remote)) => destinations.remotes.push(remote),
                (Some(index), Some(remote)) => destinations.remotes[index] = remote,
                (Some(index), None) => drop(destinations.remotes.remove(index)),
                (None, None) => {}
            }
        });
        self.sweep(key, &address);
    }

    /// Every address known.
    pub fn addresses(&self) -> Vec<Arc<Address>> {
        let mut all: Vec<_> = self.addresses.load().values().map(Arc::clone).collect();
        all.sort_by(|a, b| {
            (a.key().class().as_char(), a.key().text())
                .cmp(&(b.key().class().as_char(), b.key().text()))
        });
        all
    }

    /// How many addresses somebody has to do with.
    pub fn address_count(&self) -> usize {
        self.addresses.load().len()
    }

    /// The address of this key, if somebody has to do with it.
    pub fn address(&self, key: AddressRef<'_>) -> Option<Arc<Address>> {
        self.addresses.load().get(&key as &dyn AddressParts).map(Arc::clone)
    }

    // ----- the way of a delivery -----

    /// Chooses where a delivery that begins here goes.
    pub fn choose(&self, address: &Address) -> Option<Choice> {
        let choice = choose::choose(
            address,
            &self.routes.load(),
            true,
            &Tried::default(),
            &Origin::default(),
        )?;
        self.count(address, true, &choice);
        Some(choice)
    }

    /// A delivery goes to a destination of an address.
    fn count(&self, address: &Address, began_here: bool, choice: &Choice) {
        if let Some(destination) = choice.destination() {
            address.counts().routed(began_here, destination);
            self.counters.routed(destination);
        }
    }

    /// Chooses where a delivery that begins here goes, by its address.
    pub fn choose_by_text(&self, to: &str) -> Option<Choice> {
        self.choose_way(to, None)
    }

    /// Chooses where what answers a delivery goes, by its address.
    pub fn choose_answer(&self, to: &str, question: &ConsumerEnd) -> Option<Choice> {
        self.choose_way(to, question.came_by().as_ref())
    }

    fn choose_way(&self, to: &str, came_by: Option<&Arc<Mailbox>>) -> Option<Choice> {
        let key = self.read(to).key();
        match key.class {
            AddressClass::Local if Replies::owns(key.text) => self.answer(key.text),
            AddressClass::Router => self.toward(&self.routes.load(), key.text, true, came_by),
            _ => {
                let address = self.addresses.load().get(&key as &dyn AddressParts).map(Arc::clone);
                address
                    .and_then(|address| self.choose(&address))
                    .or_else(|| self.upward(&Tried::default()))
            }
        }
    }

    /// Who waits for an answer at an address of this router's.
    fn answer(&self, local: &str) -> Option<Choice> {
        let endpoint = self.replies.find(local)?;
        self.counters.routed(Destination::Consumer);
        Some(Choice::answer(endpoint))
    }

    /// The way to a router.
    fn toward(
        &self,
        routes: &Routes,
        router: &str,
        streaming: bool,
        came_by: Option<&Arc<Mailbox>>,
    ) -> Option<Choice> {
        let choice = choose::toward(routes, router, streaming, came_by)?;
        self.counters.routed(Destination::Router);
        Some(choice)
    }

    /// The way of what is for nobody known to an edge router: its uplink.
    fn upward(&self, tried: &Tried) -> Option<Choice> {
        let addresses = self.addresses.load();
        let uplink = addresses.get(&EDGE_UPLINK as &dyn AddressParts)?;
        let choice = Some(choose::to_local(uplink.destinations.load().locals.get(0)?))
            .filter(|choice| !tried.has(choice))?;
        self.count(uplink, true, &choice);
        Some(choice)
    }

    /// Reads an address as this router does: whoever judges an address, keeps it or routes by it
    /// begins here.
    pub fn read<'a>(&'a self, text: &'a str) -> Canonical<'a> {
        let address = self.space.read(text);
        let key = address.key();
        let beyond = self.mode == RouterMode::Edge && key.class == AddressClass::Edge;
        // Of other edge routers this one knows those that it is linked with; all others are behind
        // its uplink.
        if beyond && !self.addresses.load().contains_key(&key as &dyn AddressParts) {
            address.by_uplink()
        } else {
            address
        }
    }

    /// Sends a delivery on its way, whether it begins here or came from another router. Returns
    /// whether there was one: without a destination it is released.
    ///
    /// It goes to this address and nowhere else: whoever calls has taken it from the link, the
    /// annotations or the properties, in this order, and policy has judged it where policy has
    /// a say.
    pub fn route(self: &Arc<Self>, delivery: ConsumerEnd, to: Canonical<'_>) -> bool {
        match self.ways(delivery.message(), to.key()) {
            Some(Ways::One(choice)) => choice.deliver(delivery),
            Some(Ways::Each(choices)) => {
                let copies = Fanout::start(delivery, choices.len());
                choices.into_iter().zip(copies).for_each(|(choice, copy)| choice.deliver(copy));
            }
            Some(Ways::InTurn) => {
                if let Err(delivery) = Resend::start(self, delivery, to) {
                    delivery.conclude(DeliveryState::Released);
                    return false;
                }
            }
            None => {
                delivery.conclude(DeliveryState::Released);
                return false;
            }
        }
        true
    }

    /// Chooses where a message goes, if there is anywhere.
    fn ways(&self, message: &Message, to: AddressRef<'_>) -> Option<Ways> {
        let routes = self.routes.load();
        let origin = Origin::of(message);
        let streaming = message.streaming;
        if origin.annotations().is_some_and(|annotations| self.went_round(annotations, &routes)) {
            return None;
        }
        match to.class {
            AddressClass::Local if Replies::owns(to.text) => {
                return self.answer(to.text).map(Ways::One);
            }
            AddressClass::Router => {
                return self.toward(&routes, to.text, streaming, None).map(Ways::One);
            }
            AddressClass::Topological => return None,
            _ => {}
        }
        let address = self.addresses.load().get(&to as &dyn AddressParts).map(Arc::clone);
        let known = address.as_ref().and_then(|address| {
            if address.treatment() == Treatment::Multicast {
                let mut choices = self.multicast(address, &routes, message, &origin);
                return match choices.len() {
                    0 | 1 => choices.pop().map(Ways::One),
                    _ => Some(Ways::Each(choices)),
                };
            }
            if message.resend {
                return Some(Ways::InTurn);
            }
            let choice = choose::choose(address, &routes, streaming, &Tried::default(), &origin)?;
            self.count(address, origin.is_here(), &choice);
            Some(Ways::One(choice))
        });
        let upward = || may_go_upward(message, &origin).then(|| self.upward(&Tried::default()));
        known.or_else(|| upward().flatten().map(Ways::One))
    }

    /// The next destination of a delivery that was released by all that have been tried.
    pub(super) fn choose_again(
        &self,
        message: &Message,
        to: &AddressKey,
        tried: &mut Tried,
    ) -> Option<Choice> {
        let routes = self.routes.load();
        let origin = Origin::of(message);
        let addresses = self.addresses.load();
        let known = addresses.get(to).and_then(|address| {
            let choice = choose::choose(address, &routes, message.streaming, tried, &origin)?;
            self.count(address, origin.is_here(), &choice);
            Some(choice)
        });
        let upward = || may_go_upward(message, &origin).then(|| self.upward(tried)).flatten();
        let choice = known.or_else(upward)?;
        tried.add(&choice);
        Some(choice)
    }

    /// The number of the router at which a message entered the network: 0 is this one.
    pub fn ingress_number(&self, message: &Message) -> usize {
        let Ok(Parsed::Present(annotations)) = annotations::parse(&message.annotations) else {
            return 0;
        };
        let router = annotations.ingress.and_then(skupper_proto::address::router_of_node);
        router
            .and_then(|id| self.routes.load().table.router(id))
            .map_or(0, topology::RouterIndex::get)
    }

    /// Sends a message that is all there, as an answer to somebody: it is dropped when nobody is
    /// there to take it.
    pub fn send_to(self: &Arc<Self>, to: &str, message: Message, body: Bytes) -> bool {
        self.route(ConsumerEnd::whole(message, body, &self.own), self.read(to))
    }

    /// Whether a message has passed here before, or more routers than the network is wide.
    fn went_round(&self, annotations: &Annotations<'_>, routes: &Routes) -> bool {
        // An edge router knows of no network: what comes to it is for it.
        self.mode == RouterMode::Interior
            && (annotations.trace.len() > routes.table.hop_limit()
                || annotations.trace.routers().any(|id| *id == *self.id))
    }

    /// Chooses each consumer here and each neighbor on the way to one.
    fn multicast(
        &self,
        address: &Address,
        routes: &Routes,
        message: &Message,
        origin: &Origin<'_>,
    ) -> Vec<Choice> {
        let mut trunks: Vec<&Arc<Trunk>> = Vec::new();
        for router in address.remote_routers() {
            let valid = |_: &Way<'_>| origin.may_go_to(&routes.table, &router, true);
            let Some(way) = routes.get(&router).filter(valid) else { continue };
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
        // Consumers elsewhere are behind an edge router's uplink, whether the address has it among
        // its own or not.
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

    /// Sends a message that is all in its head.
    pub(super) fn send(&self, mailbox: &Mailbox, message: Message, via: Via) {
        choose::send(mailbox, ConsumerEnd::whole(message, Bytes::new(), &self.own), via);
    }
}

/// Where a message goes.
enum Ways {
    /// To one destination.
    One(Choice),
    /// A copy to each.
    Each(Vec<Choice>),
    /// To one after the other, until one does not release it.
    InTurn,
}

/// Whether a consumer is an edge router's uplink.
fn leads_up(consumer: &LocalConsumer) -> bool {
    consumer.edge.as_ref().is_some_and(|edge| edge.leads() == Leads::Up)
}

/// Whether an edge router may send a message to its uplink when it knows of nobody else: one that
/// did not come from there, and came by no link for an address, which has the uplink among its
/// consumers if anybody is there.
const fn may_go_upward(message: &Message, origin: &Origin<'_>) -> bool {
    !origin.is_edge() && message.to_override.is_none()
}
