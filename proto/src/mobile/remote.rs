//! Another router's addresses, as this router holds them.

#[cfg(test)]
mod tests;

use core::time::Duration;
use std::collections::{HashMap, HashSet, VecDeque};

use super::digest::digest_of;
use super::event::{MobileEvent, Source};
use super::message::{AddressEntry, Attributes, MAX_ADDRESSES, Mau, MauContent};
use super::{MAX_ADDRESS_OCTETS, MAX_TOTAL_ADDRESS_OCTETS, MAX_TOTAL_ADDRESSES};
use crate::address::AddressKey;
use crate::time::Instant;
use crate::topology::{Digest, LinkId, Request, RouterIndex, Shares, VERIFY, Word};

/// How long a change that an RA names is awaited before it is asked for. It went before the RA. But
/// the RA takes every path there is, and the change only one.
const UNDER_WAY: Duration = Duration::from_millis(250);

/// The most addresses in the MAUs of all routers that wait for the RA with their number, which is a
/// few milliseconds behind. A MAU that does not fit is asked for when the RA is here. They take 1
/// MiB if their keys have ordinary lengths, and 16 MiB at most.
const MAX_HELD: usize = 4096;

/// The places that all routers share.
#[derive(Debug)]
pub(super) struct Places {
    addresses: Shares,
    octets: Shares,
    /// Addresses in MAUs that wait.
    held: usize,
}

impl Places {
    pub(super) const fn new() -> Self {
        Self {
            addresses: Shares::new(MAX_TOTAL_ADDRESSES),
            octets: Shares::new(MAX_TOTAL_ADDRESS_OCTETS),
            held: 0,
        }
    }

    fn has_room(&self, via: LinkId, octets: usize) -> bool {
        self.addresses.room(via) > 0 && self.octets.room(via) >= octets
    }

    fn take(&mut self, via: LinkId, addresses: usize, octets: usize) {
        self.addresses.take(via, addresses);
        self.octets.take(via, octets);
    }

    fn give_back(&mut self, via: LinkId, addresses: usize, octets: usize) {
        self.addresses.give_back(via, addresses);
        self.octets.give_back(via, octets);
    }

    #[cfg(test)]
    pub(super) const fn taken(&self) -> (usize, usize, usize) {
        (self.addresses.taken(), self.octets.taken(), self.held)
    }
}

/// The reason why not all addresses of a router are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Full {
    #[default]
    No,
    /// It serves more than are kept of one router.
    Router,
    /// All routers together serve too many.
    Total,
}

/// Another router's addresses.
#[derive(Debug)]
pub(super) struct Remote {
    /// The number of the last change that was applied.
    pub(super) known: u64,
    /// The number that its last RA named.
    said: Option<u64>,
    /// The router is to confirm what is known, though the number is right.
    check: bool,
    /// When it confirmed that last.
    verified: Instant,
    /// A MAU whose number it has not advertised yet.
    held: Option<(Mau, Source)>,
    addresses: HashMap<AddressKey, Attributes>,
    pub(super) octets: usize,
    digest: Digest,
    /// The control link to which its places are charged.
    via: LinkId,
    full: Full,
    request: Request,
    /// A missing change may be under way until then.
    awaited: Instant,
    reachable: bool,
    pub(super) replied: Option<(Instant, u64)>,
    /// The deadline that is in the machine's heap.
    pub(super) armed: Option<Instant>,
}

impl Default for Remote {
    fn default() -> Self {
        Self {
            known: 0,
            said: None,
            check: false,
            verified: Instant::ZERO,
            held: None,
            addresses: HashMap::new(),
            octets: 0,
            digest: Digest::ZERO,
            via: LinkId(0),
            full: Full::No,
            request: Request::default(),
            awaited: Instant::ZERO,
            reachable: false,
            replied: None,
            armed: None,
        }
    }
}

impl Remote {
    pub(super) fn addresses(&self) -> impl Iterator<Item = (&AddressKey, &Attributes)> {
        self.addresses.iter()
    }

    /// Whether nothing is known of it, and it was not asked just now.
    pub(super) fn is_unknown(&self, now: Instant) -> bool {
        self.known == 0 && self.said.is_none_or(|said| said == 0) && self.request.due() <= now
    }

    /// Whether it is to be asked, and can be.
    pub(super) fn is_wanted(&self) -> bool {
        self.reachable && self.said.is_some_and(|said| said != self.known || self.check)
    }

    /// Returns when a MAR may be sent.
    pub(super) fn due(&self) -> Instant {
        self.request.due().max(self.awaited)
    }

    /// Notes that it is asked. Returns the number that the MAR names. A router answers a MAR with
    /// another number than its own, a C router one with a lower number.
    pub(super) fn ask(&mut self, now: Instant) -> u64 {
        self.request.sent(now);
        match self.said {
            Some(said) if said > 0 && (said < self.known || self.check) => 0,
            _ => self.known,
        }
    }

    /// Notes whether a path leads to it. Returns whether there is something to ask for anew.
    pub(super) fn reachable(&mut self, reachable: bool) -> bool {
        self.reachable = reachable;
        if reachable {
            // A request without a path went nowhere.
            self.request.reset();
        }
        reachable
    }

    /// Takes the number in its RA.
    pub(super) fn advertised(
        &mut self,
        router: RouterIndex,
        seq: u64,
        digest: Option<u64>,
        now: Instant,
        places: &mut Places,
        events: &mut VecDeque<MobileEvent>,
    ) {
        let before = self.said.replace(seq);
        if let Some((mau, source)) = self.release(places, |held| held <= seq) {
            self.take_mau(router, &mau, source, now, places, events);
        }
        if self.known > 0
            && seq == self.known.saturating_add(1)
            && before.is_none_or(|before| before < seq)
        {
            self.awaited = now + UNDER_WAY;
        }
        if seq == 0 && before == Some(0) && !self.addresses.is_empty() {
            // It said so again. A C router does not answer a MAR with number 0.
            self.void(router, places, events);
        } else if seq == self.known {
            let differs = |digest| match self.full {
                Full::No => digest != self.digest.get(),
                Full::Router => false,
                Full::Total => places.has_room(self.via, 1),
            };
            self.check = match digest {
                Some(digest) => differs(digest),
                None => seq > 0 && (self.check || now >= self.verified + VERIFY),
            };
        }
    }

    /// Takes a MAU. Returns whether it may be passed on.
    pub(super) fn take_mau(
        &mut self,
        router: RouterIndex,
        mau: &Mau,
        source: Source,
        now: Instant,
        places: &mut Places,
        events: &mut VecDeque<MobileEvent>,
    ) -> bool {
        if source.word == Word::Own {
            self.said = self.said.max(Some(mau.mobile_seq));
        }
        match &mau.content {
            MauContent::Change { .. } if source.word == Word::PassedOn && !source.on_tree => false,
            MauContent::Change { add, del } => {
                let is_next = mau.mobile_seq == self.known.saturating_add(1);
                if is_next && self.may_believe(mau, source, places) {
                    self.charge(source.via, places);
                    for entry in add {
                        self.put(router, entry, places, events);
                    }
                    for key in del {
                        self.take(router, key, places, events);
                    }
                    self.applied(mau.mobile_seq, now);
                } else if mau.mobile_seq > self.known && !is_next {
                    // A gap: it is asked for as soon as the router names the number.
                    self.awaited = Instant::ZERO;
                }
                mau.mobile_seq >= self.known
            }
            MauContent::Whole(entries) => {
                if self.is_answer(mau, source) && self.may_believe(mau, source, places) {
                    self.charge(source.via, places);
                    let kept: HashSet<&AddressKey> =
                        entries.iter().map(|entry| &entry.key).collect();
                    let gone: Vec<AddressKey> =
                        self.addresses.keys().filter(|key| !kept.contains(key)).cloned().collect();
                    for key in &gone {
                        self.take(router, key, places, events);
                    }
                    self.full = Full::No;
                    for entry in entries {
                        self.put(router, entry, places, events);
                    }
                    self.applied(mau.mobile_seq, now);
                    self.check = false;
                    self.verified = now;
                }
                false
            }
        }
    }

    /// Whether a whole MAU answers a request, and still holds.
    fn is_answer(&self, mau: &Mau, source: Source) -> bool {
        let (seq, said) = (mau.mobile_seq, self.said.unwrap_or(0));
        // A change overtook it.
        let is_old = seq < self.known && seq < said;
        let is_lower = seq < self.known && seq != said;
        match source.word {
            Word::Refused | Word::Astray => false,
            Word::Own => !is_old,
            Word::PassedOn => self.request.is_outstanding() && !is_lower,
        }
    }

    /// Whether the router has advertised the number. If not, keeps the MAU until it does.
    fn may_believe(&mut self, mau: &Mau, source: Source, places: &mut Places) -> bool {
        let first = self.said.is_none() && matches!(mau.content, MauContent::Whole(_));
        if first || self.said.is_some_and(|said| mau.mobile_seq <= said) {
            return true;
        }
        self.release(places, |_| true);
        let members = members(mau);
        if places.held.saturating_add(members) <= MAX_HELD {
            places.held = places.held.saturating_add(members);
            self.held = Some((mau.clone(), source));
        }
        false
    }

    /// Takes out the MAU that waits, if its number is meant.
    fn release(
        &mut self,
        places: &mut Places,
        is_meant: impl FnOnce(u64) -> bool,
    ) -> Option<(Mau, Source)> {
        let held = self.held.take_if(|(mau, _)| is_meant(mau.mobile_seq))?;
        places.held = places.held.saturating_sub(members(&held.0));
        Some(held)
    }

    fn applied(&mut self, seq: u64, now: Instant) {
        if self.known == 0 {
            self.verified = now;
        }
        self.known = seq;
        self.request.answered(true);
    }

    /// Voids all its addresses.
    pub(super) fn flush(
        &mut self,
        router: RouterIndex,
        restarted: bool,
        places: &mut Places,
        events: &mut VecDeque<MobileEvent>,
    ) {
        if restarted {
            self.said = None;
        }
        self.release(places, |_| true);
        self.awaited = Instant::ZERO;
        self.replied = None;
        self.request.reset();
        self.void(router, places, events);
    }

    fn void(
        &mut self,
        router: RouterIndex,
        places: &mut Places,
        events: &mut VecDeque<MobileEvent>,
    ) {
        self.known = 0;
        self.check = false;
        self.full = Full::No;
        places.give_back(self.via, self.addresses.len(), self.octets);
        self.octets = 0;
        self.digest = Digest::ZERO;
        let keys = core::mem::take(&mut self.addresses).into_keys();
        events.extend(keys.map(|key| MobileEvent::Removed(router, key)));
    }

    /// Charges its places to the link by which it is heard.
    fn charge(&mut self, via: LinkId, places: &mut Places) {
        let former = core::mem::replace(&mut self.via, via);
        places.give_back(former, self.addresses.len(), self.octets);
        places.take(via, self.addresses.len(), self.octets);
    }

    fn put(
        &mut self,
        router: RouterIndex,
        entry: &AddressEntry,
        places: &mut Places,
        events: &mut VecDeque<MobileEvent>,
    ) {
        let AddressEntry { key, attributes } = entry;
        if let Some(present) = self.addresses.get_mut(key) {
            if present != attributes {
                self.digest.remove(digest_of(key, present));
                self.digest.add(digest_of(key, attributes));
                present.clone_from(attributes);
                events.push_back(MobileEvent::Updated(router, key.clone(), attributes.clone()));
            }
            return;
        }
        let octets = self.octets.saturating_add(key.wire_len());
        let full = if self.addresses.len() >= MAX_ADDRESSES || octets > MAX_ADDRESS_OCTETS {
            Full::Router
        } else if places.has_room(self.via, key.wire_len()) {
            Full::No
        } else {
            Full::Total
        };
        if full != Full::No {
            if core::mem::replace(&mut self.full, full) == Full::No {
                events.push_back(MobileEvent::TooMany(router));
            }
            return;
        }
        places.take(self.via, 1, key.wire_len());
        self.octets = octets;
        self.digest.add(digest_of(key, attributes));
        self.addresses.insert(key.clone(), attributes.clone());
        events.push_back(MobileEvent::Added(router, key.clone(), attributes.clone()));
    }

    fn take(
        &mut self,
        router: RouterIndex,
        key: &AddressKey,
        places: &mut Places,
        events: &mut VecDeque<MobileEvent>,
    ) {
        if let Some((key, attributes)) = self.addresses.remove_entry(key) {
            places.give_back(self.via, 1, key.wire_len());
            self.octets = self.octets.saturating_sub(key.wire_len());
            self.digest.remove(digest_of(&key, &attributes));
            events.push_back(MobileEvent::Removed(router, key));
        }
    }
}

const fn members(mau: &Mau) -> usize {
    let members = match &mau.content {
        MauContent::Change { add, del } => add.len().saturating_add(del.len()),
        MauContent::Whole(entries) => entries.len(),
    };
    members.saturating_add(1)
}
