//! The core's side of edge connections: they come and go, and ask for what their links are to be.

use std::sync::Arc;

use skupper_proto::address::{AddressKey, RouterMode};
use skupper_proto::edge::Bid;

use super::address::Address;
use super::delivery::Notify;
use super::edge_connection::{EdgeConnection, Leads};
use super::edge_groups::{Bidding, EdgeGroups};
use super::tables::Core;

/// The links that an edge connection is to have for an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The address.
    pub address: AddressKey,
    /// It has a consumer here.
    pub consumed: bool,
    /// Somebody here wants to send to it.
    pub produced: bool,
}

impl Demand {
    fn of(key: AddressKey, address: Option<&Arc<Address>>, stopped: bool) -> Self {
        let address = address.filter(|_| !stopped);
        // What every router has for itself is found here, whoever asks.
        let own = address.is_some_and(|address| address.own_handlers() > 0);
        Self {
            address: key,
            consumed: address.is_some_and(|address| address.consumers_behind() > 0),
            produced: !own && address.is_some_and(|address| address.is_watched()),
        }
    }
}

impl Core {
    /// Enters an edge connection that has opened. `beside` says that both routers are edge routers.
    /// `ordinal` is that of its TLS profile. `notify` is woken for each change that concerns the
    /// connection; its owner then calls [`Core::edge_demands`].
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
        let edge = EdgeConnection::new(peer, leads, ordinal.unwrap_or_default());
        let mut control = self.lock();
        control.edges.on_open(&edge, notify, self.addresses.load().keys().cloned());
        edge
    }

    /// Removes an edge connection that is gone. If it was in use, another takes its place.
    pub fn edge_down(&self, edge: &Arc<EdgeConnection>) {
        let mut control = self.lock();
        if control.edges.on_close(edge, self.addresses.load().keys().cloned()) {
            self.bid_anew(&mut control.edges, None);
        }
    }

    /// Returns the addresses that came, went or changed since the last call; all of them at first.
    /// Returns `None` while the connection stands by. For the task of an edge router's connection.
    pub fn edge_demands(&self, edge: &Arc<EdgeConnection>) -> Option<Vec<Demand>> {
        let mut control = self.lock();
        let stopped = control.is_stopped();
        let changed = control.edges.take_changed(edge)?;
        let addresses = self.addresses.load();
        let demand = |key| {
            let address = addresses.get(&key);
            Demand::of(key, address, stopped)
        };
        Some(changed.into_iter().map(demand).collect())
    }

    /// Returns an edge router's bid for the id of the mesh that it forms with others, and the
    /// number of the bidding. Each bid goes once to each of them.
    pub fn bid(&self) -> Option<(u64, Bid)> {
        self.lock().edges.bid()
    }

    /// Takes another edge router's bid. `fresh` makes a new bid of this router, for the case that
    /// both have the same ordinal.
    pub fn on_bid(&self, edge: &EdgeConnection, bid: &Bid, fresh: impl FnOnce() -> Bid) {
        let mut control = self.lock();
        match control.edges.on_bid(edge, bid) {
            Bidding::Unchanged => {}
            Bidding::Tied => self.bid_anew(&mut control.edges, Some(fresh())),
            Bidding::Lost => {
                self.set_own_mesh(&bid.id);
                control.edges.wake_all();
            }
        }
    }

    fn bid_anew(&self, edges: &mut EdgeGroups, fresh: Option<Bid>) {
        if let Some(mesh) = edges.bid_anew(fresh) {
            self.set_own_mesh(mesh);
            edges.wake_all();
        }
    }

    /// Notes which mesh of edge routers the router at the other end of a connection belongs to.
    pub fn set_mesh(&self, edge: &EdgeConnection, id: &str) {
        let mut control = self.lock();
        if edge.is_of(id) {
            return;
        }
        edge.set_mesh(id);
        let now = control.now();
        for address in self.addresses.load().values() {
            address.tell_watches();
            if address.is_behind(edge) {
                self.advertise(&mut control, address, now);
            }
        }
    }

    /// Returns whether an edge router has an uplink in use.
    pub fn has_uplink(&self) -> bool {
        self.lock().edges.has_uplink()
    }
}
