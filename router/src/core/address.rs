//! Addresses and who consumes them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use arc_swap::ArcSwap;
use skupper_proto::address::{AddressKey, Treatment};
use skupper_proto::mobile::Rank;
use slab::Slab;

use super::choose::Destination;
use super::consumers::Consumers;
use super::delivery::Notify;
use super::edge::EdgeConnection;
use super::router::{Core, Endpoint};
use super::trunk::TrunkId;

/// How many deliveries of one address may be open at a destination before others are preferred
/// whatever they cost: the capacity of a link (250, as C routers count it).
pub(super) const DEFAULT_CAPACITY: usize = 250;

/// What is configured for addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRule {
    /// How their deliveries are distributed.
    pub treatment: Treatment,
    /// The priority of their messages, 0 to 9, whatever theirs is.
    pub priority: Option<u8>,
}

/// An address that somebody consumes, produces for or watches.
#[derive(Debug)]
pub struct Address {
    key: AddressKey,
    rule: AddressRule,
    pub(super) destinations: ArcSwap<Destinations>,
    pub(super) turn: AtomicUsize,
    /// Deliveries that are open at neighbors. It is they who choose among the routers behind them.
    hops: ArcSwap<Vec<(TrunkId, Arc<AtomicUsize>)>>,
    watches: Mutex<Watches>,
    counts: AddressCounts,
}

/// Deliveries to one address since its record was made.
#[derive(Debug, Default)]
pub struct AddressCounts {
    /// That began at this router.
    pub ingress: AtomicU64,
    /// That ended at this router.
    pub egress: AtomicU64,
    /// That went on to another router.
    pub transit: AtomicU64,
    /// That this router's own handlers took.
    pub to_handlers: AtomicU64,
}

impl AddressCounts {
    /// A delivery that began here, or not, found a destination.
    pub(super) fn routed(&self, began_here: bool, destination: Destination) {
        if began_here {
            self.ingress.fetch_add(1, Ordering::Relaxed);
        }
        match destination {
            Destination::Handler => &self.to_handlers,
            Destination::Consumer => &self.egress,
            Destination::Router => &self.transit,
        }
        .fetch_add(1, Ordering::Relaxed);
    }
}

/// Who watches an address.
#[derive(Debug, Default)]
struct Watches {
    all: Slab<Arc<Watch>>,
    /// How many of them are told of some consumers only.
    particular: usize,
}

/// Who consumes an address, as a snapshot.
#[derive(Clone, Debug, Default)]
pub(super) struct Destinations {
    /// The router's own handler, if it has one, stands first.
    pub(super) locals: Consumers,
    pub(super) remotes: Vec<Remote>,
}

/// A consumer at this router.
#[derive(Debug)]
pub struct LocalConsumer {
    pub(super) endpoint: Arc<dyn Endpoint>,
    /// Its open deliveries.
    pub(super) outstanding: Arc<AtomicUsize>,
    /// How many may be open before others are preferred.
    pub(super) capacity: usize,
    /// Every router has one of its own: the network is not told.
    pub(super) own: bool,
    /// It is a client's, and clients have a budget of addresses.
    pub(super) client: bool,
    /// It is reached by this edge connection.
    pub(super) edge: Option<Arc<EdgeConnection>>,
    /// Its place among the consumers of its address.
    pub(super) number: AtomicU64,
}

impl LocalConsumer {
    fn plain(endpoint: Arc<dyn Endpoint>, capacity: usize) -> Self {
        Self {
            endpoint,
            outstanding: Arc::default(),
            capacity,
            own: false,
            client: false,
            edge: None,
            number: AtomicU64::new(0),
        }
    }

    /// A consumer that takes deliveries through `endpoint`.
    pub fn new(endpoint: Arc<dyn Endpoint>) -> Arc<Self> {
        Self::with_capacity(endpoint, DEFAULT_CAPACITY)
    }

    /// A consumer that may have `capacity` deliveries open before others of a balanced address are
    /// preferred.
    pub fn with_capacity(endpoint: Arc<dyn Endpoint>, capacity: usize) -> Arc<Self> {
        Arc::new(Self::plain(endpoint, capacity))
    }

    /// A client, for [`Core::serve_client`].
    pub fn client(endpoint: Arc<dyn Endpoint>, capacity: usize) -> Arc<Self> {
        Arc::new(Self { client: true, ..Self::plain(endpoint, capacity) })
    }

    /// A consumer that is reached by an edge connection.
    pub fn behind(
        edge: &Arc<EdgeConnection>,
        endpoint: Arc<dyn Endpoint>,
        capacity: usize,
    ) -> Arc<Self> {
        Arc::new(Self { edge: Some(Arc::clone(edge)), ..Self::plain(endpoint, capacity) })
    }

    /// Whether it takes what a client sends before it has answered: what is behind an edge
    /// connection may be a C router's.
    pub(super) fn is_early(&self) -> bool {
        self.edge.is_none()
    }

    /// A handler that every router has for itself, such as its management node: the network is not
    /// told of it.
    pub fn own(endpoint: Arc<dyn Endpoint>) -> Arc<Self> {
        Arc::new(Self { own: true, ..Self::plain(endpoint, DEFAULT_CAPACITY) })
    }
}

/// Another router with consumers.
#[derive(Clone, Debug)]
pub(super) struct Remote {
    pub(super) router: Arc<str>,
    /// All its consumers belong to this mesh of edge routers.
    pub(super) sole_mesh: Option<Arc<str>>,
    /// All its consumers take what a client sends before they have answered.
    pub(super) early: bool,
}

impl Destinations {
    /// Whether anybody consumes it: of those to whom what comes by an edge connection may go, if
    /// one is given.
    fn can_be_reached(&self, from: Option<&EdgeConnection>) -> bool {
        match from {
            None => !self.locals.is_empty() || !self.remotes.is_empty(),
            // An edge router has what every router has for itself.
            Some(edge) => {
                self.locals.iter().any(|consumer| !consumer.own && edge.may_reach(consumer))
                    || self
                        .remotes
                        .iter()
                        .any(|remote| edge.may_leave_for(remote.sole_mesh.as_deref()))
            }
        }
    }
}

/// Tells one interested task whether an address has consumers.
#[derive(Debug)]
pub struct Watch {
    /// Those are meant to whom what comes by this edge connection may go.
    edge: Option<Arc<EdgeConnection>>,
    reachable: AtomicBool,
    notify: Mutex<Notify>,
}

/// A task's interest in an address: it wants to send there. It ends when this is dropped.
#[derive(Debug)]
pub struct Watching {
    core: Arc<Core>,
    address: Arc<Address>,
    watch: Arc<Watch>,
    /// Where it stands among those of the address.
    place: usize,
}

impl std::ops::Deref for Watching {
    type Target = Watch;

    fn deref(&self) -> &Watch {
        &self.watch
    }
}

impl Watching {
    pub(super) fn new(
        core: &Arc<Core>,
        address: &Arc<Address>,
        edge: Option<&Arc<EdgeConnection>>,
    ) -> Self {
        let (place, watch) = address.watch(edge);
        Self { core: Arc::clone(core), address: Arc::clone(address), watch, place }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.core.unwatch(&self.address, self.place);
    }
}

impl Watch {
    /// Whether anybody consumes the address. `waker` will be woken when that changes.
    pub fn poll(&self, waker: &Waker) -> bool {
        let mut known = self.notify.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(&*known, Notify::Task(known) if known.will_wake(waker)) {
            *known = Notify::Task(waker.clone());
        }
        drop(known);
        self.reachable.load(Ordering::Acquire)
    }

    /// Whether anybody consumes the address. `notify` will hear of every change.
    pub fn follow(&self, notify: Notify) -> bool {
        *self.notify.lock().unwrap_or_else(PoisonError::into_inner) = notify;
        self.reachable.load(Ordering::Acquire)
    }

    /// Whether anybody consumes the address now.
    pub fn is_reachable(&self) -> bool {
        self.reachable.load(Ordering::Acquire)
    }
}

impl Address {
    pub(super) fn new(key: AddressKey, rule: AddressRule) -> Arc<Self> {
        Arc::new(Self {
            key,
            rule,
            destinations: ArcSwap::default(),
            turn: AtomicUsize::new(0),
            hops: ArcSwap::default(),
            watches: Mutex::default(),
            counts: AddressCounts::default(),
        })
    }

    /// Class and text.
    pub const fn key(&self) -> &AddressKey {
        &self.key
    }

    /// Its deliveries so far.
    pub const fn counts(&self) -> &AddressCounts {
        &self.counts
    }

    /// How its deliveries are distributed.
    pub const fn treatment(&self) -> Treatment {
        self.rule.treatment
    }

    /// The priority of its messages, whatever theirs is.
    pub const fn priority(&self) -> Option<u8> {
        self.rule.priority
    }

    /// Deliveries that are open at a neighbor.
    pub(super) fn open_at(&self, neighbor: TrunkId) -> usize {
        self.hops
            .load()
            .iter()
            .find(|(known, _)| *known == neighbor)
            .map_or(0, |(_, open)| open.load(Ordering::Relaxed))
    }

    /// The count of deliveries that are open at a neighbor.
    pub(super) fn count_at(&self, neighbor: TrunkId) -> Arc<AtomicUsize> {
        // A look is enough, once it is there: to publish what does not change costs 600
        // instructions, and others wait for it.
        if let Some((_, open)) = self.hops.load().iter().find(|(known, _)| *known == neighbor) {
            return Arc::clone(open);
        }
        let mut counter = None;
        self.hops.rcu(|hops| {
            if let Some((_, open)) = hops.iter().find(|(known, _)| *known == neighbor) {
                counter = Some(Arc::clone(open));
                return Arc::clone(hops);
            }
            // Neighbors that are gone are forgotten as others come.
            let open = hops.iter().filter(|(_, open)| open.load(Ordering::Relaxed) > 0);
            let fresh = Arc::<AtomicUsize>::default();
            counter = Some(Arc::clone(&fresh));
            Arc::new(open.cloned().chain([(neighbor, fresh)]).collect())
        });
        counter.unwrap_or_default()
    }

    /// Consumers at this router, without its own handlers.
    pub fn local_consumers(&self) -> usize {
        let destinations = self.destinations.load();
        destinations.locals.len() - destinations.locals.own()
    }

    /// Whether anybody consumes it at this router, without its own handlers and what is behind edge
    /// connections.
    pub fn is_served_here(&self) -> bool {
        self.destinations
            .load()
            .locals
            .iter()
            .any(|consumer| !consumer.own && consumer.edge.is_none())
    }

    /// Routers behind whose edge connections it is consumed, by id: an interior router's edge
    /// routers, an edge router's uplink.
    pub fn edge_peers(&self) -> BTreeSet<Arc<str>> {
        let destinations = self.destinations.load();
        destinations
            .locals
            .iter()
            .filter_map(|consumer| Some(Arc::clone(consumer.edge.as_ref()?.peer())))
            .collect()
    }

    /// Handlers that every router has for itself.
    pub fn own_handlers(&self) -> usize {
        self.destinations.load().locals.own()
    }

    /// Routers with consumers, by id.
    pub fn remote_routers(&self) -> Vec<Arc<str>> {
        self.destinations.load().remotes.iter().map(|remote| Arc::clone(&remote.router)).collect()
    }

    /// Whether anybody consumes it.
    pub fn is_reachable(&self) -> bool {
        self.destinations.load().can_be_reached(None)
    }

    /// Consumers at this router and, of an interior router, behind its edge routers.
    pub(super) fn consumers_behind(&self) -> usize {
        let here = |consumer: &&Arc<LocalConsumer>| {
            !consumer.own && consumer.edge.as_ref().is_none_or(|edge| !edge.leads_away())
        };
        self.destinations.load().locals.iter().filter(here).count()
    }

    /// Whether a client consumes it here.
    pub(super) fn has_client(&self) -> bool {
        self.destinations.load().locals.has_client()
    }

    /// Whether a consumer is behind an edge connection.
    pub(super) fn is_behind(&self, edge: &EdgeConnection) -> bool {
        let of = |consumer: &Arc<LocalConsumer>| {
            consumer.edge.as_ref().is_some_and(|known| std::ptr::eq(&raw const **known, edge))
        };
        self.destinations.load().locals.iter().any(of)
    }

    /// The mesh of edge routers to which all its consumers here belong.
    pub(super) fn sole_mesh(&self) -> Option<Arc<str>> {
        let destinations = self.destinations.load();
        let mut meshes = destinations
            .locals
            .iter()
            .filter(|consumer| !consumer.own)
            .map(|consumer| consumer.edge.as_ref()?.mesh());
        let first = meshes.next()??;
        meshes.all(|mesh| mesh.as_ref() == Some(&first)).then(|| Arc::from(&**first))
    }

    /// Whether all its consumers here take what a client sends before they have answered.
    pub(super) fn is_early(&self) -> bool {
        self.destinations.load().locals.are_early()
    }

    /// Before which others it is announced, where not all can be.
    pub(super) fn rank(&self) -> Rank {
        self.destinations.load().locals.rank()
    }

    fn watches(&self) -> MutexGuard<'_, Watches> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody wants to send to it.
    pub fn is_watched(&self) -> bool {
        !self.watches().all.is_empty()
    }

    fn watch(&self, edge: Option<&Arc<EdgeConnection>>) -> (usize, Arc<Watch>) {
        let edge = edge.map(Arc::clone);
        let reachable = AtomicBool::new(self.destinations.load().can_be_reached(edge.as_deref()));
        let watch = Arc::new(Watch { edge, reachable, notify: Mutex::default() });
        let mut watches = self.watches();
        watches.particular += usize::from(watch.edge.is_some());
        (watches.all.insert(Arc::clone(&watch)), watch)
    }

    /// Ends a watch. Called under the core's lock.
    pub(super) fn unwatch(&self, place: usize) {
        let mut watches = self.watches();
        if let Some(watch) = watches.all.try_remove(place) {
            watches.particular -= usize::from(watch.edge.is_some());
        }
        if watches.all.is_empty() {
            watches.all = Slab::new();
        }
    }

    /// Replaces the destinations. Called under the core's lock, so that changes do not overtake
    /// each other.
    pub(super) fn change(&self, change: impl FnOnce(&mut Destinations)) {
        let mut destinations = Destinations::clone(&self.destinations.load());
        let before = destinations.can_be_reached(None);
        change(&mut destinations);
        let changed = destinations.can_be_reached(None) != before;
        self.destinations.store(Arc::new(destinations));
        // Thousands may watch, and thousands consume: one more consumer is no news to those who are
        // told of any.
        if changed || self.watches().particular > 0 {
            self.tell_watches();
        }
    }

    /// Tells those who watch it what is not as it was. Called under the core's lock.
    pub(super) fn tell_watches(&self) {
        let destinations = self.destinations.load();
        for (_, watch) in &self.watches().all {
            let reachable = destinations.can_be_reached(watch.edge.as_deref());
            if watch.reachable.swap(reachable, Ordering::AcqRel) != reachable {
                let notify = watch.notify.lock().unwrap_or_else(PoisonError::into_inner).clone();
                notify.wake();
            }
        }
    }

    /// Whether nobody has anything to do with it any more.
    pub(super) fn is_idle(&self) -> bool {
        !self.is_reachable() && !self.is_watched()
    }
}
