//! The state machine of HELLO, RA, LSU and LSR.

mod judge;
mod lives;

use core::time::Duration;
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashSet, VecDeque};
use std::sync::Arc;

use lives::Life;

use super::belief::Word;
use super::message::{
    Digests, Envelope, FLOOD_ADDRESS, HELLO_ADDRESS, Hello, Lsr, Lsu, Message, Ra, router_address,
};
use super::neighbors::{Link, LinkProblem, LinkStatus, Links};
use super::pace::{Gate, SPACING};
use super::routes::{Edge, RouterIndex, Routes};
use super::status::{Arrival, NeighborStatus, RouterStatus};
use super::table::{Flooded, Router, Table};
use super::{Config, LinkId, Notice, digest};
use crate::silence::Pause;
use crate::time::Instant;

/// When, after a change, an RA is sent again: C routers drop what comes from further than they know
/// of, and they compute that once a second.
const REPEATS: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];

/// Up to so many routers that become reachable at once each get RAs of their own; for more, a flood
/// is cheaper.
const INTRODUCED_SINGLY: usize = 8;

/// How long a router is kept that nothing connects to the network: it may be known before those
/// that name it.
const ORPHAN_AGE: Duration = Duration::from_secs(3);

/// The own link state goes out at once, then ever more rarely while it goes on changing.
const ANNOUNCE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Paths are computed at once, then ever more rarely while link states go on coming in.
const COMPUTE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));

/// About what an LSU takes on the wire, and each neighbor in it beyond the length of its id.
const LSU_OCTETS: usize = 256;
const PEER_OCTETS: usize = 8;

/// How many routers of a newer version, and lives of routers with our id, are remembered as
/// reported.
const REPORTED: usize = 1024;

/// What the machine has to say to the one that composes it with the addresses' machine.
#[derive(Debug)]
pub(super) enum Event {
    Send(Envelope),
    /// The routes are others.
    Routes,
    /// A router advertised the sequence of its addresses.
    Advertised {
        router: RouterIndex,
        mobile_seq: u64,
        digest: Option<u64>,
    },
    /// A router told its link state for the first time.
    Discovered(RouterIndex),
    /// A router can be reached, or not any more.
    Reachable(RouterIndex, bool),
    /// The addresses of a router are void, because it restarted or for its long absence.
    Flush {
        router: RouterIndex,
        restarted: bool,
    },
    /// A router is forgotten.
    Lost(RouterIndex, Arc<str>),
    Notice(Notice),
}

#[derive(Clone, Copy, Debug)]
struct Neighbor {
    link: LinkId,
    cost: u32,
    since: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Link(LinkId),
    Router(RouterIndex),
}

/// The machine.
///
/// After each input, [`Self::update_routes`] and [`Self::advertise`] are called, in this order,
/// then its events are taken.
#[derive(Debug)]
pub(super) struct Topology {
    config: Config,
    links: Links,
    table: Table,
    neighbors: BTreeMap<RouterIndex, Neighbor>,
    routes: Arc<Routes>,
    /// Whether the neighbors, or the links to them, are others than the routes say.
    own_changed: bool,
    compute: Gate,
    /// The link state that goes with the own sequence.
    announced: Vec<Edge>,
    announce: Gate,
    mobile_seq: u64,
    /// What goes with the own sequences.
    digests: Digests,
    /// Whether an RA is to be flooded now.
    advertise: bool,
    last_ra: Instant,
    /// Since when RAs are repeated and how many were.
    repeats: Option<(Instant, usize)>,
    last_hello: Instant,
    last_change: Instant,
    timers: BinaryHeap<Reverse<(Instant, Timer)>>,
    /// Routers whose LSR may be due.
    ready: BTreeSet<RouterIndex>,
    events: VecDeque<Event>,
    duplicates: BTreeSet<Option<i64>>,
    newer: HashSet<Arc<str>>,
    full: bool,
}

impl Topology {
    pub(super) fn new(config: Config, now: Instant) -> Self {
        let id = Arc::clone(&config.id);
        Self {
            links: Links::default(),
            table: Table::new(Arc::clone(&id)),
            neighbors: BTreeMap::new(),
            routes: Arc::new(Routes::alone(id)),
            own_changed: false,
            compute: Gate::new(COMPUTE.0, COMPUTE.1),
            announced: Vec::new(),
            announce: Gate::new(ANNOUNCE.0, ANNOUNCE.1),
            mobile_seq: 0,
            digests: Digests { link_state: 0, addresses: 0 },
            advertise: false,
            last_ra: now,
            repeats: None,
            last_hello: now,
            last_change: now,
            timers: BinaryHeap::new(),
            ready: BTreeSet::new(),
            events: VecDeque::new(),
            duplicates: BTreeSet::new(),
            newer: HashSet::new(),
            full: false,
            config,
        }
    }

    // Inputs.

    pub(super) fn link_up(&mut self, link: LinkId, cost: u32, now: Instant) {
        if self.links.is_empty() {
            self.last_hello = now;
        }
        self.links.up(link, cost.max(1), now);
        self.send_hello(Some(link), now);
    }

    pub(super) fn link_down(&mut self, link: LinkId, now: Instant) {
        let gone = self.links.down(link);
        let peer = gone.and_then(|gone| gone.status.peer);
        if let Some(router) = peer.and_then(|peer| self.table.find(&peer)) {
            self.settle_neighbor(router, now);
        }
    }

    pub(super) fn handle_hello(&mut self, arrival: &Arrival<'_>, hello: &Hello, now: Instant) {
        // It travels one link.
        if arrival.flooded || arrival.trace.len() > 1 {
            return;
        }
        let Some(link) = self.links.get_mut(arrival.link) else { return };
        if hello.id == self.config.id {
            let own = hello.instance == Some(self.config.instance);
            self.report_own_id(arrival.link, own, hello.instance);
            return;
        }
        let peer = link.status.peer.get_or_insert_with(|| Arc::clone(&hello.id));
        if *peer != hello.id {
            self.report(arrival.link, LinkProblem::SecondRouter(Arc::clone(&hello.id)));
            return;
        }
        link.status.heard = Some(now);
        let confirmed = hello.seen.contains(&self.config.id);
        if confirmed {
            link.status.confirmed = Some(now);
        }
        let listed = link.listed;
        self.arm_link(arrival.link, now);
        if !listed {
            self.send_hello(Some(arrival.link), now);
        }
        if confirmed {
            self.refresh_neighbor(arrival.link, hello, now);
        }
    }

    /// Takes an RA when it is one of the many copies of a flood that bring nothing: it says what
    /// the one that was passed on lately said, or less, and came no shorter way. Two of three
    /// RAs that reach a router of a network of hundreds do.
    pub(super) fn take_copy(&mut self, arrival: &Arrival<'_>, ra: &Ra, now: Instant) -> bool {
        let Some(router) = self.table.find(&ra.id) else { return false };
        let Some(slot) = self.table.get_mut(router) else { return false };
        let is_copy = slot.flooded.is_some_and(|last| last.is_copy(ra, arrival.trace.len(), now));
        let is_known = is_copy
            && slot.instance == ra.instance
            && slot.said.is_some_and(|said| ra.ls_seq <= said);
        if is_known {
            slot.arrival = Some(arrival.link);
        }
        is_known
    }

    /// The control links on which a copy goes on.
    pub(super) fn handle_ra(
        &mut self,
        arrival: &Arrival<'_>,
        word: Word,
        ra: &Ra,
        now: Instant,
    ) -> Vec<LinkId> {
        if ra.id == self.config.id {
            return Vec::new();
        }
        let Some(router) = self.learn(&ra.id, arrival.link, now) else { return Vec::new() };
        let life = match word {
            Word::Own => self.note_instance(router, ra.instance, None, now),
            _ => self.hear_of_instance(router, ra.instance, now),
        };
        if let Some(slot) = self.table.get_mut(router) {
            match life {
                Life::Former => return Vec::new(),
                Life::Rumored => {}
                Life::Present | Life::New => {
                    slot.note_news(now);
                    slot.rumor = None;
                    slot.advertised(ra, now);
                    let digest = ra.digests.map(|digests| digests.addresses);
                    self.events.push_back(Event::Advertised {
                        router,
                        mobile_seq: ra.mobile_seq,
                        digest,
                    });
                }
            }
            slot.arrival = Some(arrival.link);
        }
        self.ready.insert(router);
        self.touch(router, now);
        if self.is_news(router, ra, arrival, now) && self.is_traced(arrival) {
            self.flood_links(arrival)
        } else {
            Vec::new()
        }
    }

    pub(super) fn handle_lsu(
        &mut self,
        arrival: &Arrival<'_>,
        word: Word,
        lsu: &Lsu,
        now: Instant,
    ) {
        if lsu.id == self.config.id {
            return;
        }
        let Some(router) = self.learn(&lsu.id, arrival.link, now) else { return };
        let shows_detour = word == Word::Astray && self.shows_detour(lsu);
        let Some(slot) = self.table.get_mut(router) else { return };
        let word = match word {
            Word::Astray
                if slot.instance == lsu.instance && slot.take_astray(lsu, shows_detour) =>
            {
                Word::PassedOn
            }
            Word::Astray => return,
            word => word,
        };
        if let Some(instance) = lsu.instance {
            match *slot.instance.get_or_insert(instance) {
                known if known == instance => slot.rumor = None,
                known if slot.rumor == Some(instance) => {
                    self.begin_life(router, known, instance, now)
                }
                // An answer of another life: if it is the present one, its RA will say so.
                _ => return,
            }
        }
        let Some(slot) = self.table.get_mut(router) else { return };
        slot.arrival = Some(arrival.link);
        let first = !slot.told;
        if slot.take_link_state(lsu, word, now) {
            let room = self.table.room_for_edges(router);
            let mut edges = Vec::with_capacity(lsu.peers.len().min(room));
            for (id, cost) in lsu.peers.iter().take(room) {
                let to = self.learn(id, arrival.link, now).filter(|to| *to != router);
                edges.extend(to.map(|to| Edge { to, cost: *cost }));
            }
            let partial = edges.len() < lsu.peers.len();
            edges.sort_unstable_by_key(|edge| edge.to);
            edges.dedup_by_key(|edge| edge.to);
            self.set_edges(router, edges, now);
            if let Some(slot) = self.table.get_mut(router) {
                slot.partial = partial;
            }
        }
        if first && self.table.get(router).is_some_and(|slot| slot.told) {
            self.events.push_back(Event::Discovered(router));
        }
        self.ready.insert(router);
        self.touch(router, now);
    }

    pub(super) fn handle_lsr(&mut self, arrival: &Arrival<'_>, lsr: &Lsr, now: Instant) {
        if lsr.id == self.config.id {
            return;
        }
        let Some(router) = self.learn(&lsr.id, arrival.link, now) else { return };
        let ls_seq = self.own_ls_seq();
        let Some(slot) = self.table.get_mut(router) else { return };
        slot.arrival = Some(arrival.link);
        if slot.replied.is_some_and(|(at, seq)| seq == ls_seq && now < at + SPACING) {
            return;
        }
        let peers = self.table.edges_named(&self.announced);
        let octets = peers.iter().fold(LSU_OCTETS, |sum, (id, _)| {
            sum.saturating_add(id.len()).saturating_add(PEER_OCTETS)
        });
        if !self.allow_answer(arrival.link, octets, now) {
            return;
        }
        if let Some(slot) = self.table.get_mut(router) {
            slot.replied = Some((now, ls_seq));
        }
        let Config { id, instance, .. } = &self.config;
        let lsu = Lsu { id: Arc::clone(id), instance: Some(*instance), ls_seq, peers };
        self.send_to(router, Message::Lsu(lsu));
        self.touch(router, now);
    }

    /// A message of a newer protocol version: reported and, when it is flooded, passed on for
    /// others.
    pub(super) fn handle_newer(
        &mut self,
        arrival: &Arrival<'_>,
        id: &Arc<str>,
        version: i64,
    ) -> Vec<LinkId> {
        let direct = arrival.trace.len() <= 1;
        if direct && !arrival.flooded {
            self.report(arrival.link, LinkProblem::NewerVersion(version));
        }
        if self.newer.len() < REPORTED && self.newer.insert(Arc::clone(id)) {
            self.notice(Notice::NewerVersion { id: Arc::clone(id), version });
        }
        // It may be the neighbor itself whose HELLO is not understood.
        let is_traced = self.peer(arrival.link).is_none() || self.is_traced(arrival);
        let goes_on =
            arrival.flooded && is_traced && arrival.trace.len() <= self.routes.hop_limit();
        if goes_on { self.flood_links(arrival) } else { Vec::new() }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Some(pause) = Pause::between(self.poll_timeout(), now) {
            self.links.leave_out(pause, self.config.hello_max_age);
            self.table.leave_out(pause, self.config.remote_ls_max_age);
        }
        while let Some(Reverse((at, timer))) = self.timers.peek().copied()
            && at <= now
        {
            self.timers.pop();
            match timer {
                Timer::Link(link) => self.link_timeout(link, at, now),
                Timer::Router(router) => self.router_timeout(router, at, now),
            }
        }
        if !self.links.is_empty() && now >= self.last_hello + self.config.hello_interval {
            self.send_hello(None, now);
        }
    }

    /// The own addresses have a new sequence, and this digest; the MAU that says so has been sent.
    pub(super) const fn set_mobile_seq(&mut self, mobile_seq: u64, digest: u64) {
        self.mobile_seq = mobile_seq;
        self.digests.addresses = digest;
        self.advertise = true;
    }

    // Steps after each input.

    pub(super) fn update_routes(&mut self, now: Instant) {
        if self.own_changed {
            let edges = self
                .neighbors
                .iter()
                .map(|(to, neighbor)| Edge { to: *to, cost: neighbor.cost })
                .collect();
            self.set_edges(RouterIndex::OWN, edges, now);
        } else if !self.table.has_changed() || !self.compute.is_open(now) {
            return;
        }
        self.own_changed = false;
        self.compute.pass(now);
        self.last_change = now;
        let neighbors =
            self.neighbors.iter().map(|(router, neighbor)| (*router, neighbor.link)).collect();
        let (graph, changed) = self.table.graph(neighbors);
        let routes = Arc::new(self.routes.next(graph, &changed));
        let former = core::mem::replace(&mut self.routes, routes);
        self.events.push_back(Event::Routes);
        self.note_reachability(&former, now);
    }

    pub(super) fn advertise(&mut self, now: Instant) {
        let own =
            self.table.get(RouterIndex::OWN).map(|own| Arc::clone(&own.edges)).unwrap_or_default();
        if *own != *self.announced && self.announce.is_open(now) {
            self.announce.pass(now);
            self.announced = own.to_vec();
            let named = self.table.edges_named(&own);
            self.digests.link_state =
                digest::of_link_state(named.iter().map(|(id, cost)| (&**id, *cost)));
            if let Some(own) = self.table.get_mut(RouterIndex::OWN) {
                own.ls_seq = own.ls_seq.saturating_add(1);
            }
            self.advertise_repeatedly(now);
        }
        while self.next_repeat().is_some_and(|at| at <= now) {
            self.advertise = true;
            self.repeats = self.repeats.map(|(since, done)| (since, done.saturating_add(1)));
        }
        if core::mem::take(&mut self.advertise) || now >= self.next_ra() {
            self.last_ra = now;
            let links: Vec<LinkId> =
                self.neighbors.values().map(|neighbor| neighbor.link).collect();
            let message = self.own_ra();
            self.send(links, FLOOD_ADDRESS, message);
        }
        for router in core::mem::take(&mut self.ready) {
            self.request_link_state(router, now);
        }
    }

    /// When the next RA is due whatever happens. A change elsewhere is no reason for one at once:
    /// all routers see it.
    fn next_ra(&self) -> Instant {
        let Config { ra_interval, ra_interval_flux, .. } = self.config;
        let (quiet, soon) =
            (self.last_ra + ra_interval, self.last_ra.max(self.last_change) + ra_interval_flux);
        if soon <= self.last_change + ra_interval_flux * 2 { quiet.min(soon) } else { quiet }
    }

    // Outputs.

    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let timer = self.timers.peek().map(|Reverse((at, _))| *at);
        let hello = (!self.links.is_empty()).then(|| self.last_hello + self.config.hello_interval);
        let ra = (!self.neighbors.is_empty()).then(|| self.next_ra());
        let compute = self.table.has_changed().then(|| self.compute.open_at());
        let own = self.table.get(RouterIndex::OWN);
        let announce =
            own.filter(|own| *own.edges != *self.announced).map(|_| self.announce.open_at());
        [timer, hello, ra, compute, announce, self.next_repeat()].into_iter().flatten().min()
    }

    // Getters.

    pub(super) const fn config(&self) -> &Config {
        &self.config
    }

    pub(super) const fn routes(&self) -> &Arc<Routes> {
        &self.routes
    }

    pub(super) fn find(&self, id: &str) -> Option<RouterIndex> {
        self.table.find(id)
    }

    pub(super) fn id(&self, router: RouterIndex) -> Option<&Arc<str>> {
        self.table.get(router).map(|slot| &slot.id)
    }

    pub(super) const fn last_change(&self) -> Instant {
        self.last_change
    }

    pub(super) fn own_ls_seq(&self) -> u64 {
        self.table.get(RouterIndex::OWN).map_or(0, |own| own.ls_seq)
    }

    pub(super) fn link_states(&self) -> impl Iterator<Item = &LinkStatus> {
        self.links.iter()
    }

    pub(super) fn neighbor_states(&self) -> impl Iterator<Item = NeighborStatus> {
        self.neighbors.iter().filter_map(|(router, neighbor)| {
            let Router { id, instance, .. } = self.table.get(*router)?;
            let Neighbor { link, cost, since } = *neighbor;
            let heard = self.links.get(link).and_then(|link| link.status.heard);
            Some(NeighborStatus {
                router: *router,
                id: Arc::clone(id),
                instance: *instance,
                link,
                cost,
                since,
                heard,
            })
        })
    }

    pub(super) fn router_states(&self) -> impl Iterator<Item = RouterStatus> {
        self.table.others().map(|(router, slot)| RouterStatus {
            router,
            id: Arc::clone(&slot.id),
            instance: slot.instance,
            ls_seq: slot.ls_seq,
            peers: self.table.edges_named(&slot.edges),
            news: slot.news,
            route: self.routes.route(router),
        })
    }

    /// The control link on which a message to a router begins its way: by the route, to the
    /// neighbor itself, or back where the router's last message came from, for a message may
    /// come before the way of its sender is known.
    pub(super) fn link_toward(&self, router: RouterIndex) -> Option<LinkId> {
        let route = self.routes.route(router).map(|route| route.link);
        let neighbor = self.neighbors.get(&router).map(|neighbor| neighbor.link);
        let arrival = self.table.get(router).and_then(|slot| slot.arrival);
        [route, neighbor, arrival]
            .into_iter()
            .flatten()
            .find(|link| self.links.get(*link).is_some())
    }

    pub(super) fn send_to(&mut self, router: RouterIndex, message: Message) {
        if let (Some(link), Some(id)) = (self.link_toward(router), self.id(router)) {
            let to = router_address(id);
            self.send(vec![link], to, message);
        }
    }

    /// Notes by which link a message of the router came.
    pub(super) fn note_arrival(&mut self, router: RouterIndex, link: LinkId) {
        if let Some(slot) = self.table.get_mut(router) {
            slot.arrival = Some(link);
        }
    }

    pub(super) fn flood_links(&self, arrival: &Arrival<'_>) -> Vec<LinkId> {
        if !arrival.flooded || arrival.trace.routers().any(|id| id == &*self.config.id) {
            return Vec::new();
        }
        let mut links = self.routes.flood_links(&arrival.trace);
        links.retain(|link| *link != arrival.link);
        links
    }

    // HELLO and neighbors.

    fn send_hello(&mut self, only: Option<LinkId>, now: Instant) {
        let seen = self.links.seen(now, self.config.hello_max_age);
        self.links.note_listed(only, &seen);
        let links = only.map_or_else(|| self.links.ids(), |link| vec![link]);
        if only.is_none() {
            self.last_hello = now;
        }
        let hello =
            Hello { id: Arc::clone(&self.config.id), instance: Some(self.config.instance), seen };
        self.send(links, HELLO_ADDRESS, Message::Hello(hello));
    }

    fn refresh_neighbor(&mut self, link: LinkId, hello: &Hello, now: Instant) {
        let Some(router) = self.learn(&hello.id, link, now) else {
            self.report(link, LinkProblem::TooManyRouters);
            return;
        };
        let since = self.links.get_mut(link).map(|entry| {
            entry.status.problem = None;
            entry.status.since
        });
        if self.is_second_life(router, link, hello, now) {
            self.report(link, LinkProblem::SecondLife(Arc::clone(&hello.id)));
            if let Some(entry) = self.links.get_mut(link) {
                entry.status.confirmed = None;
            }
            return;
        }
        match self.note_instance(router, hello.instance, since, now) {
            Life::Present => {}
            Life::New => self.links.forget_others(&hello.id, link),
            Life::Former | Life::Rumored => {
                if let Some(entry) = self.links.get_mut(link) {
                    entry.status.confirmed = None;
                }
                return;
            }
        }
        self.note_arrival(router, link);
        self.settle_neighbor(router, now);
    }

    /// Decides by which link, if any, a router is a neighbor.
    fn settle_neighbor(&mut self, router: RouterIndex, now: Instant) {
        let Some(id) = self.id(router).cloned() else { return };
        let former = self.neighbors.get(&router).copied();
        let max_age = self.config.hello_max_age;
        let best = self.links.leading_to(&id, former.map(|former| former.link), now, max_age);
        let best = best.map(|status| (status.link, status.cost));
        match (former, best) {
            (Some(former), Some((link, _))) if former.link == link => return,
            (None, None) => return,
            (None, Some((link, cost))) => {
                self.neighbors.insert(router, Neighbor { link, cost, since: now });
                self.notice(Notice::NeighborUp { id, link, cost });
                if let Some(slot) = self.table.get_mut(router) {
                    slot.told = false;
                    slot.request.reset();
                }
                self.ready.insert(router);
                self.advertise_repeatedly(now);
            }
            (Some(former), Some((link, cost))) => {
                self.neighbors.insert(router, Neighbor { link, cost, ..former });
                self.notice(Notice::NeighborMoved { id, link });
            }
            (Some(_), None) => {
                self.neighbors.remove(&router);
                self.notice(Notice::NeighborLost { id });
            }
        }
        self.own_changed = true;
        self.table.check_orphan(router, self.neighbors.contains_key(&router), now);
        self.touch(router, now);
    }

    fn report_own_id(&mut self, link: LinkId, own: bool, instance: Option<i64>) {
        if own {
            self.report(link, LinkProblem::Loop);
            return;
        }
        let told = self.duplicates.len() >= REPORTED || !self.duplicates.insert(instance);
        let problem = LinkProblem::DuplicateId;
        if told {
            if let Some(link) = self.links.get_mut(link) {
                link.status.problem = Some(problem);
            }
        } else {
            self.report(link, problem);
        }
    }

    /// Notes what is wrong with a link, and says so once.
    fn report(&mut self, link: LinkId, problem: LinkProblem) {
        if let Some(entry) = self.links.get_mut(link)
            && entry.status.problem.as_ref() != Some(&problem)
        {
            entry.status.problem = Some(problem.clone());
            self.notice(Notice::Problem { link, problem });
        }
    }

    // Routers.

    fn learn(&mut self, id: &Arc<str>, via: LinkId, now: Instant) -> Option<RouterIndex> {
        let router = self.table.learn(id, via, now);
        match router {
            Some(router) => self.touch(router, now),
            None if !core::mem::replace(&mut self.full, true) => {
                self.notice(Notice::TooManyRouters { id: Arc::clone(id) })
            }
            None => {}
        }
        router
    }

    fn set_edges(&mut self, router: RouterIndex, edges: Vec<Edge>, now: Instant) {
        for left in self.table.set_edges(router, edges) {
            self.table.check_orphan(left, self.neighbors.contains_key(&left), now);
            self.touch(left, now);
        }
    }

    /// Whether an RA is to be passed on: one that says something new, that came a shorter way than
    /// the last copy (C routers drop what has come far), or that is no copy. This keeps a flood
    /// to about one message a connection; passed on whenever it comes, an RA would travel every
    /// path there is.
    fn is_news(
        &mut self,
        router: RouterIndex,
        ra: &Ra,
        arrival: &Arrival<'_>,
        now: Instant,
    ) -> bool {
        let Some(slot) = self.table.get_mut(router).filter(|_| arrival.flooded) else {
            return false;
        };
        let hops = arrival.trace.len();
        let news = slot.flooded.is_none_or(|last| !last.is_copy(ra, hops, now));
        if news {
            let Ra { instance, ls_seq, mobile_seq, .. } = *ra;
            slot.flooded = Some(Flooded { instance, ls_seq, mobile_seq, at: now, hops });
        }
        news
    }

    fn note_reachability(&mut self, former: &Routes, now: Instant) {
        let mut gained = Vec::new();
        let mut lost = Vec::new();
        for (router, _) in self.table.others() {
            match (former.route(router).is_some(), self.routes.route(router).is_some()) {
                (false, true) => gained.push(router),
                (true, false) => lost.push(router),
                _ => {}
            }
        }
        let just_repeated = self.repeats.is_some_and(|(since, done)| since == now && done == 0);
        if gained.len() > INTRODUCED_SINGLY && !just_repeated {
            self.repeats = Some((now, 0));
        }
        let singly = gained.len() <= INTRODUCED_SINGLY && !just_repeated;
        for router in gained {
            if let Some(slot) = self.table.get_mut(router) {
                slot.unreachable = None;
                if !slot.routed {
                    slot.request.reset();
                }
                if singly {
                    slot.introduced = Some((now, 0));
                }
            }
            self.ready.insert(router);
            self.events.push_back(Event::Reachable(router, true));
            self.touch(router, now);
        }
        for router in lost {
            if let Some(slot) = self.table.get_mut(router) {
                slot.unreachable = Some(now);
            }
            self.events.push_back(Event::Reachable(router, false));
            self.touch(router, now);
        }
    }

    fn request_link_state(&mut self, router: RouterIndex, now: Instant) {
        let Some(slot) = self.table.get(router) else { return };
        if slot.is_wanted() && slot.request.due() <= now && self.link_toward(router).is_some() {
            let routed = self.routes.route(router).is_some();
            if let Some(slot) = self.table.get_mut(router) {
                slot.request.sent(now);
                slot.routed = routed;
            }
            let lsr = Lsr { id: Arc::clone(&self.config.id) };
            self.send_to(router, Message::Lsr(lsr));
        }
        self.touch(router, now);
    }

    // RA.

    fn own_ra(&self) -> Message {
        let Config { id, instance, .. } = &self.config;
        let ls_seq = self.own_ls_seq();
        let digests = Some(self.digests);
        Message::Ra(Ra {
            id: Arc::clone(id),
            instance: Some(*instance),
            ls_seq,
            mobile_seq: self.mobile_seq,
            digests,
        })
    }

    const fn advertise_repeatedly(&mut self, now: Instant) {
        self.advertise = true;
        self.repeats = Some((now, 0));
    }

    fn next_repeat(&self) -> Option<Instant> {
        let (since, done) = self.repeats?;
        REPEATS.get(done).map(|after| since + *after)
    }

    // Timers.

    fn arm_link(&mut self, link: LinkId, now: Instant) {
        let max_age = self.config.hello_max_age;
        let Some(entry) = self.links.get_mut(link) else { return };
        let ends = [entry.status.confirmed, entry.status.heard]
            .into_iter()
            .flatten()
            .map(|heard| heard + max_age);
        let Some(due) = ends.filter(|end| *end > now).min() else { return };
        if entry.armed.is_none_or(|armed| due < armed) {
            entry.armed = Some(due);
            self.timers.push(Reverse((due, Timer::Link(link))));
        }
    }

    fn link_timeout(&mut self, link: LinkId, at: Instant, now: Instant) {
        let Some(Link { status, armed, .. }) = self.links.get_mut(link) else { return };
        if *armed == Some(at) {
            *armed = None;
        }
        let peer = status.peer.clone();
        if let Some(router) = peer.and_then(|peer| self.table.find(&peer)) {
            self.settle_neighbor(router, now);
        }
        self.arm_link(link, now);
    }

    /// When something of a router is due next.
    /// An LSR that may be sent already is not waited for: its router is among the `ready`.
    fn due(&self, router: RouterIndex, now: Instant) -> Option<Instant> {
        let slot = self.table.get(router)?;
        let expiry = (!slot.edges.is_empty()).then(|| slot.silent + self.config.remote_ls_max_age);
        let flush = slot.unreachable.map(|since| since + self.config.unreachable_hold_off);
        let orphan = slot.orphan.map(|since| since + ORPHAN_AGE);
        let introduction =
            slot.introduced.and_then(|(since, done)| Some(since + *REPEATS.get(done)?));
        let request = Some(slot.request.due())
            .filter(|due| *due > now && slot.is_wanted() && self.link_toward(router).is_some());
        [expiry, flush, orphan, introduction, request].into_iter().flatten().min()
    }

    fn touch(&mut self, router: RouterIndex, now: Instant) {
        if router == RouterIndex::OWN {
            return;
        }
        let Some(due) = self.due(router, now) else { return };
        let due = due.max(now);
        let Some(slot) = self.table.get_mut(router) else { return };
        if slot.armed.is_none_or(|armed| due < armed) {
            slot.armed = Some(due);
            self.timers.push(Reverse((due, Timer::Router(router))));
        }
    }

    fn router_timeout(&mut self, router: RouterIndex, at: Instant, now: Instant) {
        let Some(slot) = self.table.get_mut(router) else { return };
        if slot.armed == Some(at) {
            slot.armed = None;
        }
        if !slot.edges.is_empty() && now >= slot.silent + self.config.remote_ls_max_age {
            // Whoever it is when it is back.
            slot.instance = None;
            slot.forget_link_state();
            self.set_edges(router, Vec::new(), now);
        }
        let Some(slot) = self.table.get_mut(router) else { return };
        if slot.unreachable.is_some_and(|since| now >= since + self.config.unreachable_hold_off) {
            slot.unreachable = None;
            self.events.push_back(Event::Flush { router, restarted: false });
        }
        if let Some((since, done)) = slot.introduced {
            match REPEATS.get(done) {
                Some(after) if now >= since + *after => {
                    slot.introduced = Some((since, done.saturating_add(1)));
                    let ra = self.own_ra();
                    self.send_to(router, ra);
                }
                Some(_) => {}
                None => slot.introduced = None,
            }
        }
        let orphan = self.table.get(router).and_then(|slot| slot.orphan);
        if orphan.is_some_and(|since| now >= since + ORPHAN_AGE) {
            self.forget(router);
            return;
        }
        self.ready.insert(router);
        self.touch(router, now);
    }

    fn forget(&mut self, router: RouterIndex) {
        if let Some(id) = self.table.forget(router) {
            self.full = false;
            self.events.push_back(Event::Flush { router, restarted: false });
            self.events.push_back(Event::Lost(router, id));
        }
    }

    fn send(&mut self, links: Vec<LinkId>, to: impl Into<Cow<'static, str>>, message: Message) {
        if !links.is_empty() {
            self.events.push_back(Event::Send(Envelope { links, to: to.into(), message }));
        }
    }

    fn notice(&mut self, notice: Notice) {
        self.events.push_back(Event::Notice(notice));
    }
}
