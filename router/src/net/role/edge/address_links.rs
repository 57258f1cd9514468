//! Links that are each for one address, found by the one and by the other.

use std::collections::HashMap;

use skupper_proto::address::AddressKey;
use skupper_proto::engine::LinkKey;

/// The form in which the user of a link keeps it.
pub(super) trait Keyed: Copy {
    /// The link.
    fn link(self) -> LinkKey;
}

impl Keyed for LinkKey {
    fn link(self) -> LinkKey {
        self
    }
}

/// Links by address, one for each.
pub(super) struct AddressLinks<T> {
    links: HashMap<AddressKey, T>,
    addresses: HashMap<LinkKey, AddressKey>,
}

impl<T> Default for AddressLinks<T> {
    fn default() -> Self {
        Self { links: HashMap::new(), addresses: HashMap::new() }
    }
}

impl<T: Keyed> AddressLinks<T> {
    /// The link for an address.
    pub(super) fn get(&self, address: &AddressKey) -> Option<T> {
        self.links.get(address).copied()
    }

    /// The address that a link is for.
    pub(super) fn address_of(&self, link: LinkKey) -> Option<&AddressKey> {
        self.addresses.get(&link)
    }

    /// There is a link for an address, where there was none.
    pub(super) fn insert(&mut self, address: AddressKey, known: T) {
        self.addresses.insert(known.link(), address.clone());
        self.links.insert(address, known);
    }

    /// The link for an address is needed no more.
    pub(super) fn remove(&mut self, address: &AddressKey) -> Option<T> {
        let known = self.links.remove(address)?;
        self.addresses.remove(&known.link());
        Some(known)
    }

    /// A link is gone.
    pub(super) fn forget(&mut self, link: LinkKey) {
        if let Some(address) = self.addresses.remove(&link) {
            self.links.remove(&address);
        }
    }

    /// All of them.
    pub(super) fn into_links(self) -> impl Iterator<Item = LinkKey> {
        self.addresses.into_keys()
    }
}
