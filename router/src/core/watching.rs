//! Those who want to send to addresses come and go.

use std::sync::Arc;

use skupper_proto::address::AddressKey;

use super::address::Address;
use super::edge_connection::EdgeConnection;
use super::tables::Core;
use super::watch::Watch;

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
