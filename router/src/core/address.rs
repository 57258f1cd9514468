//! Addresses, and their consumers here and elsewhere.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use skupper_proto::address::{AddressKey, Treatment};
use skupper_proto::mobile::Rank;
use slab::Slab;

use super::consumers::Consumers;
use super::counters::Destination;
use super::edge_connection::EdgeConnection;
use super::endpoint::LocalConsumer;
use super::trunk::TrunkId;
use super::watch::{Watch, Watches};
use crate::lock::{self, Mutex, MutexGuard};

/// The configuration of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRule {
    /// How their deliveries are distributed.
    pub treatment: Treatment,
    /// The priority of their messages, 0 to 9, which goes before the messages' own.
    pub priority: Option<u8>,
}

/// An address that has consumers or watches.
#[derive(Debug)]
pub struct Address {
    key: AddressKey,
    rule: AddressRule,
    pub(super) destinations: ArcSwap<Destinations>,
    pub(super) turn: AtomicUsize,
    /// The counts of deliveries that are open at neighbors. Neighbors choose among the routers
    /// behind them.
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
    /// Counts a delivery that found a destination. `began_here` says whether it entered the network
    /// here.
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

/// The consumers of an address, as a snapshot.
#[derive(Clone, Debug, Default)]
pub(super) struct Destinations {
    /// The router's own handler, if it has one, stands first.
    pub(super) locals: Consumers,
    pub(super) remotes: Vec<Remote>,
}

/// Another router with consumers.
#[derive(Clone, Debug)]
pub(super) struct Remote {
    pub(super) router: Arc<str>,
    /// All its consumers belong to this mesh of edge routers.
    pub(super) sole_mesh: Option<Arc<str>>,
    /// All its consumers take bytes of a client before they have answered.
    pub(super) early: bool,
}

impl Destinations {
    /// Returns whether the address has a consumer. If an edge connection is given, only consumers
    /// count to which a delivery of that connection may go.
    fn can_be_reached(&self, from: Option<&EdgeConnection>) -> bool {
        match from {
            None => !self.locals.is_empty() || !self.remotes.is_empty(),
            // An edge router has handlers of its own.
            Some(edge) => {
                self.locals
                    .iter()
                    .any(|consumer| !consumer.own && edge.may_reach(consumer.edge.as_deref()))
                    || self
                        .remotes
                        .iter()
                        .any(|remote| edge.may_leave_for(remote.sole_mesh.as_deref()))
            }
        }
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
            watches: Mutex::ranked(lock::Rank::Watches, Watches::default()),
            counts: AddressCounts::default(),
        })
    }

    /// Returns class and text.
    pub const fn key(&self) -> &AddressKey {
        &self.key
    }

    /// Returns the counts of its deliveries.
    pub const fn counts(&self) -> &AddressCounts {
        &self.counts
    }

    /// Returns how its deliveries are distributed.
    pub const fn treatment(&self) -> Treatment {
        self.rule.treatment
    }

    /// Returns the priority of its messages, which goes before the messages' own.
    pub const fn priority(&self) -> Option<u8> {
        self.rule.priority
    }

    /// Returns how many deliveries are open at a neighbor.
    pub(super) fn open_at(&self, neighbor: TrunkId) -> usize {
        self.hops
            .load()
            .iter()
            .find(|(known, _)| *known == neighbor)
            .map_or(0, |(_, open)| open.load(Ordering::Relaxed))
    }

    /// Returns the count of deliveries that are open at a neighbor.
    pub(super) fn count_at(&self, neighbor: TrunkId) -> Arc<AtomicUsize> {
        // Publishing costs 600 instructions, and other threads wait for it.
        if let Some((_, open)) = self.hops.load().iter().find(|(known, _)| *known == neighbor) {
            return Arc::clone(open);
        }
        let mut counter = None;
        self.hops.rcu(|hops| {
            if let Some((_, open)) = hops.iter().find(|(known, _)| *known == neighbor) {
                counter = Some(Arc::clone(open));
                return Arc::clone(hops);
            }
            // A new neighbor removes those without open deliveries.
            let open = hops.iter().filter(|(_, open)| open.load(Ordering::Relaxed) > 0);
            let fresh = Arc::<AtomicUsize>::default();
            counter = Some(Arc::clone(&fresh));
            Arc::new(open.cloned().chain([(neighbor, fresh)]).collect())
        });
        counter.unwrap_or_default()
    }

    /// Returns how many consumers this router has, without its own handlers.
    pub fn local_consumers(&self) -> usize {
        let destinations = self.destinations.load();
        destinations.locals.len() - destinations.locals.own()
    }

    /// Returns whether it has a consumer here, without the router's own handlers and consumers
    /// behind edge connections.
    pub fn is_served_here(&self) -> bool {
        self.destinations
            .load()
            .locals
            .iter()
            .any(|consumer| !consumer.own && consumer.edge.is_none())
    }

    /// Returns the ids of the routers behind whose edge connections it has consumers: an interior
    /// router's edge routers, an edge router's uplink.
    pub fn edge_peers(&self) -> BTreeSet<Arc<str>> {
        let destinations = self.destinations.load();
        destinations
            .locals
            .iter()
            .filter_map(|consumer| Some(Arc::clone(consumer.edge.as_ref()?.peer())))
            .collect()
    }

    /// Returns how many handlers it has that every router has for itself.
    pub fn own_handlers(&self) -> usize {
        self.destinations.load().locals.own()
    }

    /// Returns the ids of the routers with consumers.
    pub fn remote_routers(&self) -> Vec<Arc<str>> {
        self.destinations.load().remotes.iter().map(|remote| Arc::clone(&remote.router)).collect()
    }

    /// Returns whether it has a consumer.
    pub fn is_reachable(&self) -> bool {
        self.destinations.load().can_be_reached(None)
    }

    /// Returns how many consumers it has here and, at an interior router, behind edge routers.
    pub(super) fn consumers_behind(&self) -> usize {
        let here = |consumer: &&Arc<LocalConsumer>| {
            !consumer.own && consumer.edge.as_ref().is_none_or(|edge| !edge.leads_away())
        };
        self.destinations.load().locals.iter().filter(here).count()
    }

    /// Returns whether a client here consumes it.
    pub(super) fn has_client(&self) -> bool {
        self.destinations.load().locals.has_client()
    }

    /// Returns whether it has a consumer behind this edge connection.
    pub(super) fn is_behind(&self, edge: &EdgeConnection) -> bool {
        let of = |consumer: &Arc<LocalConsumer>| {
            consumer.edge.as_ref().is_some_and(|known| std::ptr::eq(&raw const **known, edge))
        };
        self.destinations.load().locals.iter().any(of)
    }

    /// Returns the mesh of edge routers to which all its consumers here belong, if it is one.
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

    /// Returns whether all its consumers here take bytes of a client before they have answered.
    pub(super) fn is_early(&self) -> bool {
        self.destinations.load().locals.are_early()
    }

    /// Returns its rank, by which routers choose if they cannot announce all addresses.
    pub(super) fn rank(&self) -> Rank {
        self.destinations.load().locals.rank()
    }

    fn watches(&self) -> MutexGuard<'_, Watches> {
        self.watches.lock()
    }

    /// Returns whether somebody wants to send to it.
    pub fn is_watched(&self) -> bool {
        !self.watches().all.is_empty()
    }

    /// Begins a watch, and returns it with its place. The caller holds the core's lock.
    pub(super) fn watch(&self, edge: Option<&Arc<EdgeConnection>>) -> (usize, Arc<Watch>) {
        let edge = edge.map(Arc::clone);
        let reachable = self.destinations.load().can_be_reached(edge.as_deref());
        let watch = Watch::new(edge, reachable);
        let mut watches = self.watches();
        watches.particular += usize::from(watch.edge.is_some());
        (watches.all.insert(Arc::clone(&watch)), watch)
    }

    /// Ends the watch at a place. The caller holds the core's lock.
    pub(super) fn unwatch(&self, place: usize) {
        let mut watches = self.watches();
        if let Some(watch) = watches.all.try_remove(place) {
            watches.particular -= usize::from(watch.edge.is_some());
        }
        if watches.all.is_empty() {
            watches.all = Slab::new();
        }
    }

    /// Replaces the destinations, and notifies watches. The caller holds the core's lock, so that
    /// changes do not overtake each other.
    pub(super) fn change(&self, change: impl FnOnce(&mut Destinations)) {
        let mut destinations = Destinations::clone(&self.destinations.load());
        let before = destinations.can_be_reached(None);
        change(&mut destinations);
        let changed = destinations.can_be_reached(None) != before;
        self.destinations.store(Arc::new(destinations));
        // Thousands may watch, and thousands consume. One consumer more changes nothing for a watch
        // of all consumers.
        if changed || self.watches().particular > 0 {
            self.tell_watches();
        }
    }

    /// Notifies the watches for which it has changed. The caller holds the core's lock.
    pub(super) fn tell_watches(&self) {
        let destinations = self.destinations.load();
        for (_, watch) in &self.watches().all {
            watch.on_change(destinations.can_be_reached(watch.edge.as_deref()));
        }
    }

    /// Returns whether it has neither consumers nor watches.
    pub(super) fn is_idle(&self) -> bool {
        !self.is_reachable() && !self.is_watched()
    }
}
