//! Who serves which address: MAU and MAR.
//!
//! Each router numbers the changes of the addresses that it serves. It floods each change (a differential MAU) under the next
//! number, then an RA with that number. Who finds a number missing asks (MAR) for all of them (an absolute MAU).
//!
//! This machine knows nothing of links and ways; [`Routing`](crate::topology::Routing) composes it with the topology's.

#[cfg(test)]
mod tests;

use core::time::Duration;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::address::{AddressKey, Treatment};
use crate::time::Instant;
use crate::topology::message::{AddressEntry, Mar, Mau, MauContent};
use crate::topology::{Gate, Request, RouterIndex, SPACING};

/// Most addresses that are kept of one router, and taken in one message: ten times the services of the largest sites in sight.
pub const MAX_ADDRESSES: usize = 65_536;

/// Most octets of address keys that are kept of one router: an address is seldom over 64 octets.
pub const MAX_ADDRESS_OCTETS: usize = 4 * 1024 * 1024;

/// How long a change that an RA speaks of is awaited before it is asked for. It went before the RA, but the RA takes every way
/// there is and the change only one.
const UNDER_WAY: Duration = Duration::from_millis(250);

/// A change goes out at once, then ever more rarely while changes go on.
const CHANGES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// What a router says of an address that it serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// How it treats the address; `None` for no hint or one that is not defined.
    pub treatment: Option<Treatment>,
    /// How many senders are attached to it there.
    pub in_links: u32,
    /// The mesh of edge routers to which all its consumers there belong, if they do.
    pub sole_mesh: Option<Arc<str>>,
    /// All its consumers there take what a client sends before they have answered.
    pub early: bool,
}

impl Attributes {
    /// Of an address of which there is no more to say.
    pub const fn new(treatment: Treatment) -> Self {
        Self { treatment: Some(treatment), in_links: 0, sole_mesh: None, early: false }
    }
}

/// What the machine has to say.
#[derive(Debug)]
pub(crate) enum Event {
    /// A change of this router's addresses, for every router; then its number for the RA.
    Changed(Mau),
    /// A message for one router.
    Whole(RouterIndex, Mau),
    Request(RouterIndex, Mar),
    Added(RouterIndex, AddressKey, Attributes),
    Updated(RouterIndex, AddressKey, Attributes),
    Removed(RouterIndex, AddressKey),
    TooMany(RouterIndex),
}

/// What is known of another router's addresses.
#[derive(Debug, Default)]
struct Remote {
    /// The number of the last change that was applied.
    known: u64,
    /// The highest number that was heard of.
    advertised: u64,
    addresses: HashMap<AddressKey, Attributes>,
    octets: usize,
    overfull: bool,
    request: Request,
    /// What is missing may be under way until then.
    awaited: Instant,
    reachable: bool,
    replied: Option<(Instant, u64)>,
    /// The deadline that is in the machine's heap.
    armed: Option<Instant>,
}

/// The machine. After each input [`Self::advance`] is called, then its events are taken.
#[derive(Debug)]
pub(crate) struct Mobile {
    id: Arc<str>,
    /// What is served here.
    served: BTreeMap<AddressKey, Attributes>,
    /// What the other routers were told, with `seq`.
    announced: BTreeMap<AddressKey, Attributes>,
    /// Addresses that may differ in the two.
    changed: BTreeSet<AddressKey>,
    seq: u64,
    gate: Gate,
    remotes: BTreeMap<RouterIndex, Remote>,
    timers: BinaryHeap<Reverse<(Instant, RouterIndex)>>,
    /// Routers whose MAR may be due.
    ready: BTreeSet<RouterIndex>,
    events: VecDeque<Event>,
}

impl Mobile {
    pub(crate) const fn new(id: Arc<str>) -> Self {
        Self {
            id,
            served: BTreeMap::new(),
            announced: BTreeMap::new(),
            changed: BTreeSet::new(),
            seq: 0,
            gate: Gate::new(CHANGES.0, CHANGES.1),
            remotes: BTreeMap::new(),
            timers: BinaryHeap::new(),
            ready: BTreeSet::new(),
            events: VecDeque::new(),
        }
    }

    // This router's addresses.

    pub(crate) fn set(&mut self, key: AddressKey, attributes: Attributes) {
        if !key.class().is_advertised() {
            return;
        }
        if self.served.get(&key) != Some(&attributes) {
            self.served.insert(key.clone(), attributes);
            self.changed.insert(key);
        }
    }

    pub(crate) fn remove(&mut self, key: &AddressKey) {
        if self.served.remove(key).is_some() {
            self.changed.insert(key.clone());
        }
    }

    pub(crate) fn remove_all(&mut self, now: Instant) {
        self.changed.extend(core::mem::take(&mut self.served).into_keys());
        self.announce(now);
    }

    pub(crate) const fn seq(&self) -> u64 {
        self.seq
    }

    // What other routers say.

    /// A router advertised the number of its last change.
    pub(crate) fn advertised(&mut self, router: RouterIndex, seq: u64, now: Instant) {
        let remote = self.remotes.entry(router).or_default();
        if seq > remote.advertised && remote.known > 0 && seq == remote.known.saturating_add(1) {
            remote.awaited = now + UNDER_WAY;
        }
        remote.advertised = remote.advertised.max(seq);
        self.ready.insert(router);
    }

    /// A router is known anew: it is asked without waiting until it advertises.
    pub(crate) fn discovered(&mut self, router: RouterIndex, now: Instant) {
        let remote = self.remotes.entry(router).or_default();
        if remote.known == 0 && remote.advertised == 0 && remote.request.due() <= now {
            self.request(router, now);
        }
    }

    pub(crate) fn reachable(&mut self, router: RouterIndex, reachable: bool) {
        let remote = self.remotes.entry(router).or_default();
        remote.reachable = reachable;
        if reachable {
            // What was asked while there was no way went nowhere.
            remote.request.reset();
            self.ready.insert(router);
        }
    }

    /// All addresses of a router are void: it has been unreachable long enough, or `restarted`. If not, they are asked for as soon
    /// as there is a way again; it need not have missed this router, and so need not introduce itself.
    pub(crate) fn flush(&mut self, router: RouterIndex, restarted: bool) {
        let Some(remote) = self.remotes.get_mut(&router) else { return };
        remote.known = 0;
        if restarted {
            remote.advertised = 0;
        }
        remote.awaited = Instant::ZERO;
        remote.octets = 0;
        remote.overfull = false;
        remote.replied = None;
        remote.request.reset();
        let keys = core::mem::take(&mut remote.addresses).into_keys();
        self.events.extend(keys.map(|key| Event::Removed(router, key)));
    }

    /// A router is forgotten; its addresses are flushed before.
    pub(crate) fn forget(&mut self, router: RouterIndex) {
        self.remotes.remove(&router);
    }

    pub(crate) fn handle_mau(&mut self, router: RouterIndex, mau: &Mau) {
        let remote = self.remotes.entry(router).or_default();
        match &mau.content {
            MauContent::Change { add, del } => {
                if mau.mobile_seq == remote.known.saturating_add(1) {
                    for entry in add {
                        remote.put(router, entry, &mut self.events);
                    }
                    for key in del {
                        remote.take(router, key, &mut self.events);
                    }
                } else {
                    // A gap, which is asked for, or an old copy.
                    if mau.mobile_seq > remote.known {
                        remote.awaited = Instant::ZERO;
                    }
                    remote.advertised = remote.advertised.max(mau.mobile_seq);
                    self.ready.insert(router);
                    return;
                }
            }
            // An answer that was overtaken by a change, which the router still stands by.
            MauContent::Whole(_) if mau.mobile_seq < remote.known && mau.mobile_seq < remote.advertised => return,
            MauContent::Whole(entries) => {
                let kept: HashSet<&AddressKey> = entries.iter().map(|entry| &entry.key).collect();
                let gone: Vec<AddressKey> = remote.addresses.keys().filter(|key| !kept.contains(key)).cloned().collect();
                for key in &gone {
                    remote.take(router, key, &mut self.events);
                }
                remote.overfull = false;
                for entry in entries {
                    remote.put(router, entry, &mut self.events);
                }
            }
        }
        remote.known = mau.mobile_seq;
        remote.advertised = remote.advertised.max(mau.mobile_seq);
        remote.request.answered(true);
        self.ready.insert(router);
    }

    pub(crate) fn handle_mar(&mut self, router: RouterIndex, mar: &Mar, now: Instant) {
        let remote = self.remotes.entry(router).or_default();
        let copy = remote.replied.is_some_and(|(at, seq)| seq == self.seq && now < at + SPACING);
        if mar.have_seq >= self.seq || copy {
            return;
        }
        remote.replied = Some((now, self.seq));
        let entries = self.announced.iter().map(|(key, attributes)| entry(key, attributes)).collect();
        let mau = Mau { id: Arc::clone(&self.id), mobile_seq: self.seq, content: MauContent::Whole(entries) };
        self.events.push_back(Event::Whole(router, mau));
    }

    // Steps after each input.

    pub(crate) fn advance(&mut self, now: Instant) {
        while self.timers.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            let Some(Reverse((at, router))) = self.timers.pop() else { break };
            if let Some(remote) = self.remotes.get_mut(&router) {
                remote.armed = remote.armed.filter(|armed| *armed != at);
                self.ready.insert(router);
            }
        }
        if !self.changed.is_empty() && self.gate.is_open(now) {
            self.announce(now);
        }
        for router in core::mem::take(&mut self.ready) {
            let Some(remote) = self.remotes.get(&router) else { continue };
            if remote.advertised <= remote.known || !remote.reachable {
                continue;
            }
            if remote.due() <= now {
                self.request(router, now);
            } else {
                self.arm(router);
            }
        }
    }

    // Outputs.

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let timer = self.timers.peek().map(|Reverse((at, _))| *at);
        let change = (!self.changed.is_empty()).then(|| self.gate.open_at());
        [timer, change].into_iter().flatten().min()
    }

    // Getters.

    /// The number of the last change of a router that was applied.
    pub(crate) fn known(&self, router: RouterIndex) -> u64 {
        self.remotes.get(&router).map_or(0, |remote| remote.known)
    }

    /// The addresses that a router serves.
    pub(crate) fn addresses(&self, router: RouterIndex) -> impl Iterator<Item = (&AddressKey, &Attributes)> {
        self.remotes.get(&router).into_iter().flat_map(|remote| &remote.addresses)
    }

    /// Tells the other routers what changed since they were told last, if anything did in the end.
    fn announce(&mut self, now: Instant) {
        let mut add = Vec::new();
        let mut del = Vec::new();
        for key in core::mem::take(&mut self.changed) {
            match (self.announced.get(&key), self.served.get(&key)) {
                (told, Some(attributes)) if told != Some(attributes) => {
                    add.push(entry(&key, attributes));
                    self.announced.insert(key, attributes.clone());
                }
                (Some(_), None) => {
                    self.announced.remove(&key);
                    del.push(key);
                }
                _ => {}
            }
        }
        if add.is_empty() && del.is_empty() {
            return;
        }
        self.gate.pass(now);
        self.seq = self.seq.saturating_add(1);
        let mau = Mau { id: Arc::clone(&self.id), mobile_seq: self.seq, content: MauContent::Change { add, del } };
        self.events.push_back(Event::Changed(mau));
    }

    fn request(&mut self, router: RouterIndex, now: Instant) {
        if let Some(remote) = self.remotes.get_mut(&router) {
            remote.request.sent(now);
            self.events.push_back(Event::Request(router, Mar { id: Arc::clone(&self.id), have_seq: remote.known }));
            self.arm(router);
        }
    }

    fn arm(&mut self, router: RouterIndex) {
        let Some(remote) = self.remotes.get_mut(&router) else { return };
        let due = remote.due();
        if remote.armed.is_none_or(|armed| due < armed) {
            remote.armed = Some(due);
            self.timers.push(Reverse((due, router)));
        }
    }
}

impl Remote {
    /// When a MAR may be sent.
    fn due(&self) -> Instant {
        self.request.due().max(self.awaited)
    }

    fn put(&mut self, router: RouterIndex, entry: &AddressEntry, events: &mut VecDeque<Event>) {
        let AddressEntry { key, attributes } = entry;
        if let Some(present) = self.addresses.get_mut(key) {
            if present != attributes {
                present.clone_from(attributes);
                events.push_back(Event::Updated(router, key.clone(), attributes.clone()));
            }
            return;
        }
        let octets = self.octets.saturating_add(key.wire_len());
        if self.addresses.len() >= MAX_ADDRESSES || octets > MAX_ADDRESS_OCTETS {
            if !core::mem::replace(&mut self.overfull, true) {
                events.push_back(Event::TooMany(router));
            }
            return;
        }
        self.octets = octets;
        self.addresses.insert(key.clone(), attributes.clone());
        events.push_back(Event::Added(router, key.clone(), attributes.clone()));
    }

    fn take(&mut self, router: RouterIndex, key: &AddressKey, events: &mut VecDeque<Event>) {
        if self.addresses.remove(key).is_some() {
            self.octets = self.octets.saturating_sub(key.wire_len());
            events.push_back(Event::Removed(router, key.clone()));
        }
    }
}

fn entry(key: &AddressKey, attributes: &Attributes) -> AddressEntry {
    AddressEntry { key: key.clone(), attributes: attributes.clone() }
}
