//! This router's addresses, as it announces them to the others.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::MAX_ADDRESS_OCTETS;
use super::digest::digest_of;
use super::message::{AddressEntry, Attributes, MAX_ADDRESSES, MauContent};
use crate::address::{AddressKey, MAX_KEY_LENGTH};
use crate::topology::{Digest, MAX_ID_LENGTH};

/// The most bytes of the addresses in one MAU. Routers take 8 MiB in one message on a control link,
/// and the rest of a MAU is small.
pub(super) const MAX_OCTETS: usize = 7 * 1024 * 1024;

/// The bytes that an entry takes beside its key and mesh: the list's header, two headers of texts,
/// treatment, senders, null and a flag.
const ENTRY_OCTETS: usize = 9 + 5 + 5 + 5 + 5 + 1 + 1;

/// The order in which addresses are announced when not all fit: the lower first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// A service of this router consumes it, as configured.
    Service,
    /// A consumer behind an edge router consumes it.
    Edge,
    /// Clients consume it. They choose its name, and how many there are.
    Client,
}

/// The addresses that this router serves, and those that it has announced.
///
/// Not all may fit: receivers keep so many addresses of one router and so many bytes of them, and
/// take no larger message. Services go first; addresses of a lower rank give way to them.
#[derive(Debug)]
pub(super) struct Announcement {
    served: BTreeMap<AddressKey, (Attributes, Rank)>,
    announced: BTreeMap<AddressKey, (Attributes, Rank)>,
    /// The announced addresses, those last that give way first.
    ranked: BTreeSet<(Rank, AddressKey)>,
    /// Served, and not announced for lack of space.
    left_out: BTreeSet<(Rank, AddressKey)>,
    /// Addresses that may be served and announced differently.
    changed: BTreeSet<AddressKey>,
    key_octets: usize,
    octets: usize,
    digest: Digest,
    /// The owner knows that some are left out.
    full: bool,
}

impl Announcement {
    pub(super) const fn new() -> Self {
        Self {
            served: BTreeMap::new(),
            announced: BTreeMap::new(),
            ranked: BTreeSet::new(),
            left_out: BTreeSet::new(),
            changed: BTreeSet::new(),
            key_octets: 0,
            octets: 0,
            digest: Digest::ZERO,
            full: false,
        }
    }

    /// Sets the attributes of an address that is served. Ignores one that other routers would not
    /// take.
    pub(super) fn set(&mut self, key: AddressKey, mut attributes: Attributes, rank: Rank) {
        if !key.class().is_advertised() || key.wire_len() > MAX_KEY_LENGTH {
            return;
        }
        attributes.sole_mesh =
            attributes.sole_mesh.filter(|mesh| !mesh.is_empty() && mesh.len() <= MAX_ID_LENGTH);
        let served = (attributes, rank);
        if self.served.get(&key) != Some(&served) {
            self.served.insert(key.clone(), served);
            self.changed.insert(key);
        }
    }

    pub(super) fn remove(&mut self, key: &AddressKey) {
        if self.served.remove(key).is_some() {
            self.changed.insert(key.clone());
        }
    }

    pub(super) fn remove_all(&mut self) {
        self.changed.extend(core::mem::take(&mut self.served).into_keys());
    }

    pub(super) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    pub(super) const fn digest(&self) -> u64 {
        self.digest.get()
    }

    /// Returns about how many bytes a MAU with everything announced takes on the wire.
    pub(super) const fn octets(&self) -> usize {
        self.octets.saturating_add(256)
    }

    /// Returns everything that is announced.
    pub(super) fn entries(&self) -> Vec<AddressEntry> {
        self.announced
            .iter()
            .map(|(key, (attributes, _))| AddressEntry::new(key, attributes))
            .collect()
    }

    /// Announces what changed, as far as it fits. Returns the change if there is one, and whether
    /// addresses are left out for the first time since all fitted.
    pub(super) fn announce(&mut self) -> (Option<MauContent>, bool) {
        // The attributes of each address that may change by this, as the others know them.
        let mut told: BTreeMap<AddressKey, Option<Attributes>> = BTreeMap::new();
        for key in core::mem::take(&mut self.changed) {
            told.insert(key.clone(), self.withdraw(&key));
            for rank in [Rank::Service, Rank::Edge, Rank::Client] {
                self.left_out.remove(&(rank, key.clone()));
            }
            if let Some((_, rank)) = self.served.get(&key) {
                self.left_out.insert((*rank, key));
            }
        }
        self.fit(&mut told);
        let was_full = core::mem::replace(&mut self.full, !self.left_out.is_empty());
        let mut add = Vec::new();
        let mut del = Vec::new();
        for (key, told) in told {
            match (told, self.announced.get(&key)) {
                (told, Some((attributes, _))) if told.as_ref() != Some(attributes) => {
                    add.push(AddressEntry::new(&key, attributes))
                }
                (Some(_), None) => del.push(key),
                _ => {}
            }
        }
        let is_change = !add.is_empty() || !del.is_empty();
        (is_change.then_some(MauContent::Change { add, del }), self.full && !was_full)
    }

    /// Announces addresses that are left out as far as they fit, in order of rank.
    fn fit(&mut self, told: &mut BTreeMap<AddressKey, Option<Attributes>>) {
        while let Some((rank, key)) = self.left_out.pop_first() {
            let Some((attributes, _)) = self.served.get(&key).cloned() else { continue };
            if self.has_room(&key, &attributes) {
                told.entry(key.clone()).or_insert(None);
                self.put(key, attributes, rank);
                continue;
            }
            self.left_out.insert((rank, key));
            let Some(last) = self.ranked.last().filter(|(last, _)| rank < *last).cloned() else {
                break;
            };
            let former = self.withdraw(&last.1);
            told.entry(last.1.clone()).or_insert(former);
            self.left_out.insert(last);
        }
    }

    fn has_room(&self, key: &AddressKey, attributes: &Attributes) -> bool {
        self.announced.len() < MAX_ADDRESSES
            && self.key_octets.saturating_add(key.wire_len()) <= MAX_ADDRESS_OCTETS
            && self.octets.saturating_add(octets_of(key, attributes)) <= MAX_OCTETS
    }

    fn put(&mut self, key: AddressKey, attributes: Attributes, rank: Rank) {
        self.key_octets = self.key_octets.saturating_add(key.wire_len());
        self.octets = self.octets.saturating_add(octets_of(&key, &attributes));
        self.digest.add(digest_of(&key, &attributes));
        self.ranked.insert((rank, key.clone()));
        self.announced.insert(key, (attributes, rank));
    }

    fn withdraw(&mut self, key: &AddressKey) -> Option<Attributes> {
        let (attributes, rank) = self.announced.remove(key)?;
        self.ranked.remove(&(rank, key.clone()));
        self.key_octets = self.key_octets.saturating_sub(key.wire_len());
        self.octets = self.octets.saturating_sub(octets_of(key, &attributes));
        self.digest.remove(digest_of(key, &attributes));
        Some(attributes)
    }
}

/// Returns the most bytes that an address takes in a MAU: its entry's list, and its key and mesh
/// with their lengths.
fn octets_of(key: &AddressKey, attributes: &Attributes) -> usize {
    let mesh = attributes.sole_mesh.as_ref().map_or(0, |mesh| mesh.len());
    key.wire_len().saturating_add(mesh).saturating_add(ENTRY_OCTETS)
}
