//! The machine of addresses: announces this router's, and asks other routers for theirs.
//!
//! One router's addresses, as this router holds them. `remote` keeps the state:
//!
//! ```text
//!       discovered
//!           |
//!           v
//!     +-----------+   MAR, repeated    +-----------+
//!     |  Unknown  |------------------->|   Asked   |<--------+
//!     +-----------+   until answered   +-----------+         |
//!           ^                                | absolute      |  an RA with another number
//!           |                                | MAU           |  or digest, while no change
//!           |  unreachable for too long,     v               |  is under way: MAR
//!           |  or restarted            +-----------+         |
//!           +--------------------------|  Current  |---------+
//!                                      +-----------+
//!                                        |       ^   differential MAU
//!                                        +-------+   with the next number
//! ```

use core::time::Duration;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::sync::Arc;

use super::announcement::{Announcement, Rank};
use super::event::{MobileEvent, Source};
use super::message::{Attributes, Mar, Mau, MauContent};
use super::remote::{Places, Remote};
use crate::address::AddressKey;
use crate::time::Instant;
use crate::topology::{Gate, RouterIndex, SPACING};

/// A change goes out at once, then ever more rarely while changes go on.
const CHANGES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// The machine. After each input its owner calls [`Self::advance`], then takes the events.
#[derive(Debug)]
pub(crate) struct Mobile {
    id: Arc<str>,
    own: Announcement,
    seq: u64,
    gate: Gate,
    pub(super) remotes: BTreeMap<RouterIndex, Remote>,
    pub(super) places: Places,
    timers: BinaryHeap<Reverse<(Instant, RouterIndex)>>,
    /// Routers whose MAR may be due.
    ready: BTreeSet<RouterIndex>,
    events: VecDeque<MobileEvent>,
}

impl Mobile {
    pub(crate) const fn new(id: Arc<str>) -> Self {
        Self {
            id,
            own: Announcement::new(),
            seq: 0,
            gate: Gate::new(CHANGES.0, CHANGES.1),
            remotes: BTreeMap::new(),
            places: Places::new(),
            timers: BinaryHeap::new(),
            ready: BTreeSet::new(),
            events: VecDeque::new(),
        }
    }

    // This router's addresses.

    pub(crate) fn set(&mut self, key: AddressKey, attributes: Attributes, rank: Rank) {
        self.own.set(key, attributes, rank);
    }

    pub(crate) fn remove(&mut self, key: &AddressKey) {
        self.own.remove(key);
    }

    pub(crate) fn remove_all(&mut self, now: Instant) {
        self.own.remove_all();
        self.announce(now);
    }

    pub(crate) const fn seq(&self) -> u64 {
        self.seq
    }

    /// Returns the digest of what was announced with the present number.
    pub(crate) const fn digest(&self) -> u64 {
        self.own.digest()
    }

    // Other routers' messages.

    /// Takes a router's advertisement: the number of its last change, and the digest of its
    /// addresses unless it is a C router.
    pub(crate) fn advertised(
        &mut self,
        router: RouterIndex,
        seq: u64,
        digest: Option<u64>,
        now: Instant,
    ) {
        let remote = self.remotes.entry(router).or_default();
        remote.advertised(router, seq, digest, now, &mut self.places, &mut self.events);
        self.ready.insert(router);
    }

    /// Asks a router that became known, before it advertises.
    pub(crate) fn discovered(&mut self, router: RouterIndex, now: Instant) {
        if self.remotes.entry(router).or_default().is_unknown(now) {
            self.request(router, now);
        }
    }

    pub(crate) fn reachable(&mut self, router: RouterIndex, reachable: bool) {
        if self.remotes.entry(router).or_default().reachable(reachable) {
            self.ready.insert(router);
        }
    }

    /// Voids all addresses of a router: it was unreachable for long enough, or `restarted`. If it
    /// did not restart, this router asks for them once a path leads to it. It may not have missed
    /// this router, and then does not introduce itself.
    pub(crate) fn flush(&mut self, router: RouterIndex, restarted: bool) {
        let Some(remote) = self.remotes.get_mut(&router) else { return };
        remote.flush(router, restarted, &mut self.places, &mut self.events);
    }

    /// Forgets a router, whose addresses were flushed before.
    pub(crate) fn forget(&mut self, router: RouterIndex) {
        self.remotes.remove(&router);
    }

    /// Takes a MAU. Returns whether it may be passed on to others, who judge it themselves.
    pub(crate) fn handle_mau(
        &mut self,
        router: RouterIndex,
        mau: &Mau,
        source: Source,
        now: Instant,
    ) -> bool {
        let remote = self.remotes.entry(router).or_default();
        let goes_on = remote.take_mau(router, mau, source, now, &mut self.places, &mut self.events);
        self.ready.insert(router);
        goes_on
    }

    /// Answers a request if there is anything to answer and `allow` permits that many bytes.
    pub(crate) fn handle_mar(
        &mut self,
        router: RouterIndex,
        mar: &Mar,
        now: Instant,
        allow: impl FnOnce(usize) -> bool,
    ) {
        let remote = self.remotes.entry(router).or_default();
        let copy = remote.replied.is_some_and(|(at, seq)| seq == self.seq && now < at + SPACING);
        if mar.have_seq == self.seq || copy || !allow(self.own.octets()) {
            return;
        }
        remote.replied = Some((now, self.seq));
        let mau = Mau {
            id: Arc::clone(&self.id),
            mobile_seq: self.seq,
            content: MauContent::Whole(self.own.entries()),
        };
        self.events.push_back(MobileEvent::Whole(router, mau));
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
        if self.own.has_changed() && self.gate.is_open(now) {
            self.announce(now);
        }
        for router in core::mem::take(&mut self.ready) {
            let Some(remote) = self.remotes.get(&router).filter(|remote| remote.is_wanted()) else {
                continue;
            };
            if remote.due() <= now {
                self.request(router, now);
            } else {
                self.arm(router);
            }
        }
    }

    // Outputs.

    pub(crate) fn poll_event(&mut self) -> Option<MobileEvent> {
        self.events.pop_front()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let timer = self.timers.peek().map(|Reverse((at, _))| *at);
        let change = self.own.has_changed().then(|| self.gate.open_at());
        [timer, change].into_iter().flatten().min()
    }

    // Getters.

    /// Returns the number of the last change of a router that was applied.
    pub(crate) fn known(&self, router: RouterIndex) -> u64 {
        self.remotes.get(&router).map_or(0, |remote| remote.known)
    }

    /// Returns the addresses that a router serves.
    pub(crate) fn addresses(
        &self,
        router: RouterIndex,
    ) -> impl Iterator<Item = (&AddressKey, &Attributes)> {
        self.remotes.get(&router).into_iter().flat_map(Remote::addresses)
    }

    /// Announces what changed since the last announcement, if anything did in the end.
    fn announce(&mut self, now: Instant) {
        let (change, full) = self.own.announce();
        if full {
            self.events.push_back(MobileEvent::TooMany(RouterIndex::OWN));
        }
        let Some(content) = change else { return };
        self.gate.pass(now);
        self.seq = self.seq.saturating_add(1);
        self.events.push_back(MobileEvent::Changed(Mau {
            id: Arc::clone(&self.id),
            mobile_seq: self.seq,
            content,
        }));
    }

    fn request(&mut self, router: RouterIndex, now: Instant) {
        if let Some(remote) = self.remotes.get_mut(&router) {
            let have_seq = remote.ask(now);
            self.events.push_back(MobileEvent::Request(
                router,
                Mar { id: Arc::clone(&self.id), have_seq },
            ));
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
