//! The addresses that a client consumes by one connection: counted and bounded.

use std::collections::HashMap;

use skupper_proto::address::{AddressClass, AddressKey, AddressParts, AddressRef};

use crate::core::{Allowance, CLIENT_ADDRESS_OCTETS, CLIENT_ADDRESSES};

/// The most addresses that one connection may consume: half of the part of all clients, so that one
/// of them leaves room for others.
const ADDRESSES: usize = CLIENT_ADDRESSES / 2;

/// The most bytes of these addresses.
const ADDRESS_OCTETS: usize = CLIENT_ADDRESS_OCTETS / 2;

/// The beginning of the names of addresses that are made for one client. Its connection alone
/// receives from them.
pub(super) const TEMPORARY: &str = "temp.";

/// The addresses that a client consumes by one connection.
#[derive(Debug)]
pub(super) struct Consumed {
    /// The number of links for each address.
    links: HashMap<AddressKey, usize>,
    left: Allowance,
}

impl Default for Consumed {
    fn default() -> Self {
        Self { links: HashMap::new(), left: Allowance::new(ADDRESSES, ADDRESS_OCTETS) }
    }
}

impl Consumed {
    /// Returns whether the connection consumes an address.
    pub(super) fn has(&self, key: AddressRef<'_>) -> bool {
        self.links.contains_key(&key as &dyn AddressParts)
    }

    /// Returns whether the connection may consume an address by one more link.
    pub(super) fn has_room(&self, key: AddressRef<'_>) -> bool {
        self.has(key) || self.left.has_room(key.wire_len())
    }

    /// Counts one more link for an address. Call it only if there is room.
    pub(super) fn enter(&mut self, key: &AddressKey) {
        let links = self.links.entry(key.clone()).or_default();
        *links += 1;
        if *links == 1 {
            self.left.take(key.wire_len());
        }
    }

    /// Counts one link less for an address.
    pub(super) fn leave(&mut self, key: &AddressKey) {
        if let Some(links) = self.links.get_mut(key) {
            *links -= 1;
            if *links == 0 {
                self.links.remove(key);
                self.left.give_back(key.wire_len());
            }
        }
    }

    /// Returns whether an address belongs to one connection alone: it was made for a client, or for
    /// an answer.
    pub(super) fn is_reserved(key: AddressRef<'_>) -> bool {
        key.class == AddressClass::Local
            && (key.text.starts_with(TEMPORARY) || crate::core::Replies::owns(key.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_connection_leaves_room_for_others() {
        let mut consumed = Consumed::default();
        let key = |number: usize| AddressKey::mobile(format!("a/{number}"));
        for number in 0..ADDRESSES {
            assert!(consumed.has_room(key(number).as_ref()));
            consumed.enter(&key(number));
        }
        assert!(!consumed.has_room(key(ADDRESSES).as_ref()));
        assert!(consumed.has_room(key(0).as_ref()), "another link for an address takes no place");
        consumed.enter(&key(0));
        consumed.leave(&key(0));
        assert!(!consumed.has_room(key(ADDRESSES).as_ref()));
        consumed.leave(&key(0));
        assert!(consumed.has_room(key(ADDRESSES).as_ref()) && !consumed.has(key(0).as_ref()));

        let mut consumed = Consumed::default();
        let long = |number: usize| AddressKey::mobile(format!("{number:04000}"));
        let mut octets = 0;
        while consumed.has_room(long(octets).as_ref()) {
            consumed.enter(&long(octets));
            octets += long(octets).wire_len();
        }
        assert!(octets <= ADDRESS_OCTETS && octets + 4001 > ADDRESS_OCTETS, "{octets}");
    }
}
