//! The edge connections of an edge router, and which of them are in use.
//!
//! An edge router has connections to interior routers, one of which is its uplink, and connections
//! to other edge routers, of which one per router is in use. The others stand by:
//!
//! ```text
//!            on_open            elected: the highest ordinal, of equals the first
//!   (closed) ───────► standby ────────────────────────────────► active
//!       ▲                │  ◄──────────────────────────────────   │
//!       │                │        one of a higher ordinal opened  │
//!       └────────────────┴────────────────────────────────────────┘
//!                                on_close
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use skupper_proto::address::{AddressClass, AddressKey};
use skupper_proto::edge::Bid;

use super::delivery::Notify;
use super::edge_connection::{EdgeConnection, Leads};

/// All edge connections of an edge router.
#[derive(Debug, Default)]
pub(super) struct EdgeGroups {
    uplinks: EdgeGroup,
    /// By the id of the other edge router.
    beside: BTreeMap<Arc<str>, EdgeGroup>,
    /// This router's bid for the mesh's id.
    bid: Option<Bid>,
    /// How often this router has bid anew.
    round: u64,
    /// The lowest ordinal of all bids.
    lowest: i64,
}

/// An edge router's connections to interior routers, or to one other edge router.
#[derive(Debug, Default)]
struct EdgeGroup {
    /// In the order in which they opened.
    open: Vec<OpenEdge>,
    active: Option<Arc<EdgeConnection>>,
    /// Addresses that have changed since the task of the active one last asked.
    changed: BTreeSet<AddressKey>,
}

#[derive(Debug)]
struct OpenEdge {
    edge: Arc<EdgeConnection>,
    /// Wakes the connection's task.
    notify: Notify,
}

impl EdgeGroups {
    pub(super) fn new(bid: Option<Bid>) -> Self {
        Self { lowest: bid.as_ref().map_or(0, |bid| bid.ordinal), bid, ..Self::default() }
    }

    fn group_of(&mut self, edge: &EdgeConnection) -> Option<&mut EdgeGroup> {
        match edge.leads() {
            Leads::Down => None,
            Leads::Up => Some(&mut self.uplinks),
            Leads::Beside => Some(self.beside.entry(Arc::clone(edge.peer())).or_default()),
        }
    }

    /// Notes that a connection is open. `addresses` are all that the router knows.
    pub(super) fn on_open(
        &mut self,
        edge: &Arc<EdgeConnection>,
        notify: Notify,
        addresses: impl Iterator<Item = AddressKey>,
    ) {
        if let Some(group) = self.group_of(edge) {
            group.open.push(OpenEdge { edge: Arc::clone(edge), notify });
            group.elect(addresses);
        }
    }

    /// Notes that a connection is gone. `addresses` are all that the router knows. Returns whether
    /// its router had the lowest bid, so that the mesh loses its id.
    pub(super) fn on_close(
        &mut self,
        edge: &Arc<EdgeConnection>,
        addresses: impl Iterator<Item = AddressKey>,
    ) -> bool {
        let Some(group) = self.group_of(edge) else { return false };
        group.open.retain(|open| !Arc::ptr_eq(&open.edge, edge));
        group.elect(addresses);
        self.beside.retain(|_, group| !group.open.is_empty());
        edge.bid() == self.lowest
    }

    /// Notes that an address has come, gone, or changed, for the connections in use.
    pub(super) fn on_change(&mut self, key: &AddressKey) {
        self.uplinks.on_change(key);
        self.beside.values_mut().for_each(|group| group.on_change(key));
    }

    /// Takes the addresses that have changed since the last call. Returns `None` while the
    /// connection stands by.
    pub(super) fn take_changed(
        &mut self,
        edge: &Arc<EdgeConnection>,
    ) -> Option<BTreeSet<AddressKey>> {
        let group = self.group_of(edge)?;
        group.active.as_ref().filter(|active| Arc::ptr_eq(active, edge))?;
        Some(std::mem::take(&mut group.changed))
    }

    pub(super) const fn has_uplink(&self) -> bool {
        self.uplinks.active.is_some()
    }

    /// Wakes the tasks of all connections in use.
    pub(super) fn wake_all(&self) {
        self.uplinks.wake_active();
        self.beside.values().for_each(EdgeGroup::wake_active);
    }

    // ----- bids for the id of the mesh -----

    /// Returns this router's bid, and the number of the bidding.
    pub(super) fn bid(&self) -> Option<(u64, Bid)> {
        Some((self.round, self.bid.clone()?))
    }

    /// Notes another edge router's bid. Returns what that makes of the mesh's id.
    pub(super) fn on_bid(&mut self, edge: &EdgeConnection, bid: &Bid) -> Bidding {
        let Some(own) = &mut self.bid else { return Bidding::Unchanged };
        if own.ordinal == bid.ordinal {
            return Bidding::Tied;
        }
        edge.set_bid(bid.ordinal);
        if bid.ordinal >= self.lowest {
            return Bidding::Unchanged;
        }
        own.id.clone_from(&bid.id);
        self.lowest = bid.ordinal;
        Bidding::Lost
    }

    /// Bids anew, with a fresh bid or the former one. Returns the mesh's id that this begins with.
    pub(super) fn bid_anew(&mut self, fresh: Option<Bid>) -> Option<&str> {
        let bid = fresh.or_else(|| self.bid.take())?;
        self.round += 1;
        self.lowest = bid.ordinal;
        Some(&self.bid.insert(bid).id)
    }
}

/// The effect of another edge router's bid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bidding {
    /// The mesh's id stays.
    Unchanged,
    /// Both bids have the same ordinal: this router bids anew.
    Tied,
    /// The other bid is the lowest: its id is the mesh's.
    Lost,
}

impl EdgeGroup {
    /// Wakes the task of the connection in use.
    fn wake_active(&self) {
        if let Some(active) = &self.active {
            self.wake(active);
        }
    }

    fn wake(&self, edge: &Arc<EdgeConnection>) {
        if let Some(open) = self.open.iter().find(|open| Arc::ptr_eq(&open.edge, edge)) {
            open.notify.clone().wake();
        }
    }

    fn on_change(&mut self, key: &AddressKey) {
        if self.active.is_none() || key.class() != AddressClass::Mobile {
            return;
        }
        let first = self.changed.is_empty();
        if self.changed.insert(key.clone()) && first {
            self.wake_active();
        }
    }

    /// Puts the best connection in use: the present one, unless another has a higher ordinal.
    fn elect(&mut self, addresses: impl Iterator<Item = AddressKey>) {
        let is_open =
            |active: &&Arc<EdgeConnection>| self.open.iter().any(|o| Arc::ptr_eq(&o.edge, active));
        let current = self.active.as_ref().filter(is_open);
        // The first of equals.
        let best = self.open.iter().map(|open| &open.edge).rev().max_by_key(|edge| edge.ordinal());
        let chosen = match (current, best) {
            (Some(current), Some(best)) if best.ordinal() <= current.ordinal() => Some(current),
            (_, best) => best,
        };
        let unchanged = match (&self.active, chosen) {
            (Some(active), Some(chosen)) => Arc::ptr_eq(active, chosen),
            (None, None) => true,
            _ => false,
        };
        if unchanged {
            return;
        }
        let chosen = chosen.map(Arc::clone);
        self.changed = addresses.filter(|key| key.class() == AddressClass::Mobile).collect();
        if let Some(former) = std::mem::replace(&mut self.active, chosen) {
            former.set_active(false);
            self.wake(&former);
        }
        if let Some(active) = &self.active {
            active.set_active(true);
            self.wake(active);
        }
    }
}
