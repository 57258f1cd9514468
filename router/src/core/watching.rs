//! Adds watches to addresses and removes them.

use std::sync::Arc;

use skupper_proto::address::AddressKey;

use super::address::Address;
use super::edge_connection::EdgeConnection;
use super::tables::Core;
use super::watch::Watch;

/// A task's wish to send to an address, and its watch. Dropping it ends both.
#[derive(Debug)]
pub struct Watching {
    core: Arc<Core>,
    address: Arc<Address>,
    watch: Arc<Watch>,
    /// Its place among the watches of the address.
    place: usize,
}

impl std::ops::Deref for Watching {
    type Target = Watch;

    fn deref(&self) -> &Watch {
        &self.watch
    }
}

impl Watching {
    fn new(core: &Arc<Core>, address: &Arc<Address>, edge: Option<&Arc<EdgeConnection>>) -> Self {
        let (place, watch) = address.watch(edge);
        Self { core: Arc::clone(core), address: Arc::clone(address), watch, place }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.core.unwatch(&self.address, self.place);
    }
}

impl Core {
    /// Begins a watch of the mobile address `text`. Returns its record and the watch.
    pub fn watch(self: &Arc<Self>, text: &str) -> (Arc<Address>, Watching) {
        self.watch_key(&AddressKey::mobile(text), None)
    }

    /// Does the same as [`Core::watch`] for any address. If an edge connection is given, only
    /// consumers count to which a delivery of that connection may go.
    pub fn watch_key(
        self: &Arc<Self>,
        key: &AddressKey,
        edge: Option<&Arc<EdgeConnection>>,
    ) -> (Arc<Address>, Watching) {
        let mut control = self.lock();
        let address = self.record(key, None);
        let watching = Watching::new(self, &address, edge);
        control.edges.on_change(key);
        (address, watching)
    }

    /// Ends a watch.
    fn unwatch(&self, address: &Address, place: usize) {
        let mut control = self.lock();
        address.unwatch(place);
        control.edges.on_change(address.key());
        self.sweep(address.key(), address);
    }
}
