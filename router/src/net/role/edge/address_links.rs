//! A table of links for addresses, with one link for each address.

use std::collections::HashMap;

use skupper_proto::address::AddressKey;
use skupper_proto::engine::LinkKey;

/// The form in which the user of a link keeps it.
pub(super) trait Keyed: Copy {
    /// Returns the link.
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
    /// Returns the link for an address.
    pub(super) fn get(&self, address: &AddressKey) -> Option<T> {
        self.links.get(address).copied()
    }

    /// Returns the address that a link is for.
    pub(super) fn address_of(&self, link: LinkKey) -> Option<&AddressKey> {
        self.addresses.get(&link)
    }

    /// Enters the link for an address that has none.
    pub(super) fn insert(&mut self, address: AddressKey, known: T) {
        self.addresses.insert(known.link(), address.clone());
        self.links.insert(address, known);
    }

    /// Removes the link for an address.
    pub(super) fn remove(&mut self, address: &AddressKey) -> Option<T> {
        let known = self.links.remove(address)?;
        self.addresses.remove(&known.link());
        Some(known)
    }

    /// Forgets a link that is gone.
    pub(super) fn forget(&mut self, link: LinkKey) {
        if let Some(address) = self.addresses.remove(&link) {
            self.links.remove(&address);
        }
    }

    /// Returns all links.
    pub(super) fn into_links(self) -> impl Iterator<Item = LinkKey> {
        self.addresses.into_keys()
    }
}
