//! Edge connections: between an interior router and one that takes no part in the routing protocol.
//!
//! To an interior router what lies behind an edge connection is its own: a consumer there is a
//! consumer here, that happens to be reached by a connection. To an edge router one of its
//! connections, the uplink, leads to everything that is not its own: an address that can be reached
//! beyond has the uplink among its consumers, and what is for nobody known goes there too. Either
//! way nothing goes back to where it came from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use arc_swap::ArcSwapOption;
use skupper_proto::address::{AddressClass, AddressKey, RouterMode};
use skupper_proto::annotations::{self, Annotations, Parsed};
use skupper_proto::edge::Bid;
use skupper_proto::topology::Routes;

use super::address::{Address, LocalConsumer};
use super::delivery::{Message, Notify};
use super::router::Core;

/// Where an edge connection leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leads {
    /// From an interior router to an edge router.
    Down,
    /// From an edge router to the rest of the network.
    Up,
    /// From an edge router to another.
    Beside,
}

/// An edge connection, at either end.
#[derive(Debug)]
pub struct EdgeConnection {
    /// The router at the other end.
    peer: Arc<str>,
    /// Where it leads.
    leads: Leads,
    /// The ordinal of its TLS profile.
    ordinal: u64,
    /// It carries what it is for. One of an edge router's connections does, the others stand by.
    active: AtomicBool,
    /// The mesh of edge routers at the other end.
    mesh: ArcSwapOption<Box<str>>,
    /// The ordinal of the other edge router's bid.
    bid: AtomicI64,
    /// Who hears of what changes for the connection.
    notify: Notify,
}

impl EdgeConnection {
    /// The id of the router at the other end.
    pub const fn peer(&self) -> &Arc<str> {
        &self.peer
    }

    /// Whether it carries what it is for, or stands by.
    pub fn is_active(&self) -> bool {
        self.active.load(Ordering::Acquire)
    }

    /// The mesh of edge routers at the other end, once that has said so.
    pub fn mesh(&self) -> Option<Arc<Box<str>>> {
        self.mesh.load_full()
    }

    /// Where it leads.
    pub const fn leads(&self) -> Leads {
        self.leads
    }

    /// Whether its consumers are those of another router that is no less a part of the network than
    /// this one.
    pub(super) fn leads_away(&self) -> bool {
        self.leads != Leads::Down
    }

    fn is_of(&self, mesh: &str) -> bool {
        self.mesh.load().as_ref().is_some_and(|own| ***own == *mesh)
    }

    fn set_active(&self, active: bool) {
        self.active.store(active, Ordering::Release);
        self.notify.clone().wake();
    }

    /// Whether what comes by this connection may go to a consumer.
    pub(super) fn may_reach(&self, consumer: &LocalConsumer) -> bool {
        let Some(other) = &consumer.edge else { return true };
        // What came from the network, or from an edge router's peer, is for consumers here.
        let back =
            std::ptr::eq(self, &raw const **other) || self.leads_away() && other.leads_away();
        !back && self.mesh.load().as_ref().is_none_or(|mesh| !other.is_of(mesh))
    }

    /// Whether what comes by this connection may go to a router whose consumers all belong to one
    /// mesh of edge routers.
    pub(super) fn may_leave_for(&self, sole_mesh: Option<&str>) -> bool {
        sole_mesh.is_none_or(|mesh| !self.is_of(mesh))
    }
}

/// Where a delivery comes from, as far as it bears on where it may go.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Origin<'a> {
    annotations: Option<Annotations<'a>>,
    edge: Option<&'a Arc<EdgeConnection>>,
}

impl<'a> Origin<'a> {
    pub(super) fn of(message: &'a Message) -> Self {
        let annotations = match annotations::parse(&message.annotations) {
            Ok(Parsed::Present(annotations)) => Some(annotations),
            _ => None,
        };
        Self { annotations, edge: message.edge.as_ref() }
    }

    /// Whether the network hears of it here first.
    pub(super) const fn is_here(&self) -> bool {
        self.annotations.is_none() || self.edge.is_some()
    }

    /// Whether it came by an edge connection.
    pub(super) const fn is_edge(&self) -> bool {
        self.edge.is_some()
    }

    pub(super) const fn annotations(&self) -> Option<&Annotations<'a>> {
        self.annotations.as_ref()
    }

    /// The router where it entered the network; none when that is this one.
    fn ingress(&self) -> Option<&'a str> {
        self.annotations.as_ref()?.ingress.and_then(skupper_proto::address::router_of_node)
    }

    /// Whether it may go to a consumer here.
    pub(super) fn may_reach(&self, consumer: &LocalConsumer) -> bool {
        let Some(edge) = &consumer.edge else { return true };
        let of_mesh = self
            .annotations
            .as_ref()
            .and_then(|annotations| annotations.ingress_mesh)
            .is_some_and(|mesh| edge.is_of(mesh));
        !of_mesh && self.edge.is_none_or(|from| from.may_reach(consumer))
    }

    /// Whether it may go to a consumer at another router. `strict` says that a router where it
    /// entered must be known.
    pub(super) fn may_go_to(&self, routes: &Routes, router: &str, strict: bool) -> bool {
        let Some(ingress) = self.ingress() else { return true };
        match (routes.router(ingress), routes.router(router)) {
            (Some(origin), Some(destination)) => routes.is_valid_origin(origin, destination),
            _ => !strict,
        }
    }
}

/// Whether an edge router's uplink is to have links for an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The address.
    pub address: AddressKey,
    /// Somebody here consumes it.
    pub consumed: bool,
    /// Somebody here wants to send to it.
    pub produced: bool,
}

impl Demand {
    fn of(key: &AddressKey, address: Option<&Arc<Address>>, stopped: bool) -> Self {
        let address = address.filter(|_| !stopped);
        // What every router has for itself is found here, whoever asks.
        let own = address.is_some_and(|address| address.own_handlers() > 0);
        Self {
            address: key.clone(),
            consumed: address.is_some_and(|address| address.consumers_behind() > 0),
            produced: !own && address.is_some_and(|address| address.is_watched()),
        }
    }
}

/// An edge router's connections to interior routers, or to one other edge router. One of them is in
/// use.
#[derive(Debug, Default)]
pub(super) struct Ways {
    /// In the order in which they opened.
    open: Vec<Arc<EdgeConnection>>,
    active: Option<Arc<EdgeConnection>>,
    /// Addresses for which the active one may not have the links that it is to have.
    changed: BTreeSet<AddressKey>,
}

/// All edge connections of an edge router.
#[derive(Debug, Default)]
pub(super) struct Edges {
    uplinks: Ways,
    /// By the id of the other edge router.
    beside: BTreeMap<Arc<str>, Ways>,
    /// What this router bids for the mesh's id, and how often it has begun to.
    bid: Option<Bid>,
    round: u64,
    /// The lowest ordinal of all bids.
    lowest: i64,
}

impl Edges {
    pub(super) fn new(bid: Option<Bid>) -> Self {
        Self { lowest: bid.as_ref().map_or(0, |bid| bid.ordinal), bid, ..Self::default() }
    }

    /// An address has come, gone, or changed.
    pub(super) fn change(&mut self, key: &AddressKey) {
        self.uplinks.change(key);
        self.beside.values_mut().for_each(|ways| ways.change(key));
    }

    fn of(&mut self, edge: &EdgeConnection) -> Option<&mut Ways> {
        match edge.leads {
            Leads::Down => None,
            Leads::Up => Some(&mut self.uplinks),
            Leads::Beside => Some(self.beside.entry(Arc::clone(&edge.peer)).or_default()),
        }
    }

    /// Every connection in use hears that something has changed.
    fn wake_all(&self) {
        for active in
            self.beside.values().chain([&self.uplinks]).filter_map(|ways| ways.active.as_ref())
        {
            active.notify.clone().wake();
        }
    }
}

impl Ways {
    /// An address has come, gone, or changed.
    fn change(&mut self, key: &AddressKey) {
        let Some(active) = self.active.as_ref().filter(|_| key.class() == AddressClass::Mobile)
        else {
            return;
        };
        let first = self.changed.is_empty();
        if self.changed.insert(key.clone()) && first {
            active.notify.clone().wake();
        }
    }

    /// Puts the connection in use that is the best: the one that is, unless another has a higher
    /// ordinal.
    fn elect(&mut self, all: impl Iterator<Item = AddressKey>) {
        let gone =
            |active: &&Arc<EdgeConnection>| self.open.iter().any(|open| Arc::ptr_eq(open, active));
        let current = self.active.as_ref().filter(gone);
        // The first of equals.
        let best = self.open.iter().rev().max_by_key(|open| open.ordinal);
        let chosen = match (current, best) {
            (Some(current), Some(best)) if best.ordinal <= current.ordinal => {
                Some(Arc::clone(current))
            }
            (_, best) => best.map(Arc::clone),
        };
        let unchanged = match (&self.active, &chosen) {
            (Some(active), Some(chosen)) => Arc::ptr_eq(active, chosen),
            (None, None) => true,
            _ => false,
        };
        if unchanged {
            return;
        }
        self.changed = all.filter(|key| key.class() == AddressClass::Mobile).collect();
        if let Some(former) = std::mem::replace(&mut self.active, chosen) {
            former.set_active(false);
        }
        if let Some(active) = &self.active {
            active.set_active(true);
        }
    }
}

impl Core {
    /// An edge connection with a router is open: `beside` says that both are edge routers.
    /// `ordinal` is that of its TLS profile. `notify` hears of whatever changes for it, and
    /// then asks for [`Core::edge_demands`].
    pub fn edge_up(
        &self,
        peer: Arc<str>,
        beside: bool,
        ordinal: Option<u64>,
        notify: Notify,
    ) -> Arc<EdgeConnection> {
        let leads = match self.mode() {
            RouterMode::Interior => Leads::Down,
            RouterMode::Edge if beside => Leads::Beside,
            RouterMode::Edge => Leads::Up,
        };
        let edge = Arc::new(EdgeConnection {
            peer,
            leads,
            ordinal: ordinal.unwrap_or_default(),
            active: AtomicBool::new(leads == Leads::Down),
            mesh: ArcSwapOption::empty(),
            bid: AtomicI64::new(i64::MAX),
            notify,
        });
        let mut state = self.lock();
        if let Some(ways) = state.edges.of(&edge) {
            ways.open.push(Arc::clone(&edge));
            ways.elect(self.addresses.load().keys().cloned());
        }
        edge
    }

    /// An edge connection is gone. If it was in use, another takes its place.
    pub fn edge_down(&self, edge: &Arc<EdgeConnection>) {
        let mut state = self.lock();
        let Some(ways) = state.edges.of(edge) else { return };
        ways.open.retain(|open| !Arc::ptr_eq(open, edge));
        ways.elect(self.addresses.load().keys().cloned());
        state.edges.beside.retain(|_, ways| !ways.open.is_empty());
        if edge.bid.load(Ordering::Relaxed) == state.edges.lowest {
            // The mesh loses the router whose id it has.
            self.bid_anew(&mut state.edges, None);
        }
    }

    /// For the task of an edge router's connection: the addresses that came, went or changed since
    /// it asked last; all of them at first. `None` while the connection stands by.
    pub fn edge_demands(&self, edge: &Arc<EdgeConnection>) -> Option<Vec<Demand>> {
        let mut state = self.lock();
        let stopped = state.is_stopped();
        let ways = state.edges.of(edge)?;
        ways.active.as_ref().filter(|active| Arc::ptr_eq(active, edge))?;
        let addresses = self.addresses.load();
        let changed = std::mem::take(&mut ways.changed);
        Some(changed.iter().map(|key| Demand::of(key, addresses.get(key), stopped)).collect())
    }

    /// What an edge router bids for the id of the mesh that it forms with others, and the number of
    /// the bidding: each is told once to each of them.
    pub fn bid(&self) -> Option<(u64, Bid)> {
        let state = self.lock();
        Some((state.edges.round, state.edges.bid.clone()?))
    }

    /// Another edge router's bid. `fresh` is what this router bids if both have the same ordinal.
    pub fn take_bid(&self, edge: &EdgeConnection, bid: &Bid, fresh: impl FnOnce() -> Bid) {
        let mut state = self.lock();
        let Some(own) = &mut state.edges.bid else { return };
        if own.ordinal == bid.ordinal {
            return self.bid_anew(&mut state.edges, Some(fresh()));
        }
        edge.bid.store(bid.ordinal, Ordering::Relaxed);
        if bid.ordinal < state.edges.lowest {
            if let Some(own) = &mut state.edges.bid {
                own.id.clone_from(&bid.id);
            }
            state.edges.lowest = bid.ordinal;
            self.set_own_mesh(Some(&bid.id));
            state.edges.wake_all();
        }
    }

    fn bid_anew(&self, edges: &mut Edges, fresh: Option<Bid>) {
        let Some(bid) = fresh.or_else(|| edges.bid.take()) else { return };
        edges.round += 1;
        edges.lowest = bid.ordinal;
        self.set_own_mesh(Some(&bid.id));
        edges.bid = Some(bid);
        edges.wake_all();
    }

    /// The edge router at the other end of a connection says which mesh of edge routers it belongs
    /// to.
    pub fn set_mesh(&self, edge: &EdgeConnection, id: &str) {
        let mut state = self.lock();
        if edge.is_of(id) {
            return;
        }
        edge.mesh.store(Some(Arc::new(Box::from(id))));
        let now = state.now();
        for address in self.addresses.load().values() {
            address.tell_watches();
            if address.is_behind(edge) {
                state.advertise(self, address, now);
            }
        }
    }

    /// Whether an edge router has an uplink in use.
    pub fn has_uplink(&self) -> bool {
        self.lock().edges.uplinks.active.is_some()
    }
}
