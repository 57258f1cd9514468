//! The known routers and their statements about themselves.

use core::time::Duration;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::belief::{Claim, VERIFY};
use super::message::{Lsu, Ra};
use super::pace::{Gate, Request};
use super::routes::{Edge, Graph, Node, RouterIndex};
use super::shares::Shares;
use super::{LinkId, MAX_EDGES, MAX_ROUTERS, digest};
use crate::silence::Pause;
use crate::time::Instant;

/// An RA that repeats the last one of its router is a copy that came by another path when it comes
/// this soon. Routers repeat themselves after a second at the earliest.
const COPIES: Duration = Duration::from_millis(500);

/// New lives of a neighbor are believed at once, then ever more rarely, down to one a second. Each
/// makes every router of the network speak to it, and this one flood its RA.
const LIVES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// A known router.
#[derive(Debug)]
pub(super) struct Router {
    pub(super) id: Arc<str>,
    /// Which of its lives speaks.
    pub(super) lives: Lives,
    /// The control link that made it known, to which its places are charged.
    pub(super) via: LinkId,
    /// The sequence of the link state that is known.
    pub(super) ls_seq: u64,
    /// The digest of that link state, as the router told it.
    pub(super) digest: u64,
    /// Not all of that link state could be kept.
    pub(super) partial: bool,
    /// The sequence that it advertised last.
    pub(super) said: Option<u64>,
    /// The digest of its link state that it advertised last; C routers give none.
    pub(super) said_digest: Option<u64>,
    /// The router is to confirm what is known, though the sequence is right.
    pub(super) check: bool,
    /// When it confirmed that last.
    pub(super) verified: Instant,
    /// Whether it ever told its link state, in this life and since it became a neighbor.
    pub(super) told: bool,
    pub(super) edges: Arc<[Edge]>,
    /// When it was last heard of, by RA or LSU.
    pub(super) news: Instant,
    /// When its silence began; time in which this router did not run is left out.
    pub(super) silent: Instant,
    /// The LSR to it.
    pub(super) request: Request,
    /// Whether that request went where a route leads, and not just back where a message of the
    /// router came from.
    pub(super) routed: bool,
    /// The control link on which a message of it came last.
    pub(super) arrival: Option<LinkId>,
    /// When its LSR was last answered, and with which sequence.
    pub(super) replied: Option<(Instant, u64)>,
    /// How many link states name it.
    pub(super) named: u32,
    /// Since when nothing connects it to the network.
    pub(super) orphan: Option<Instant>,
    /// Since when it is unreachable, while its addresses are kept.
    pub(super) unreachable: Option<Instant>,
    /// Since when it is reachable, and how many RAs were sent to it for that reason.
    pub(super) introduced: Option<(Instant, usize)>,
    /// The last RA of it that was passed on.
    pub(super) flooded: Option<Flooded>,
    /// The deadline that is in the machine's heap.
    pub(super) armed: Option<Instant>,
}

/// The lives of a router: each start is one, and has an instance number of its own.
#[derive(Debug)]
pub(super) struct Lives {
    /// The present life.
    pub(super) instance: Option<i64>,
    /// The life before, and when it ended: copies of its messages may still be under way.
    pub(super) former: Option<(i64, Instant)>,
    /// Another life that an RA names. The router's LSU is to confirm it.
    pub(super) rumor: Option<i64>,
    /// When a new life is believed again.
    pub(super) gate: Gate,
    /// A life that another had replaced went on speaking: another router uses its id.
    pub(super) contested: bool,
}

impl Lives {
    const fn new() -> Self {
        Self {
            instance: None,
            former: None,
            rumor: None,
            gate: Gate::new(LIVES.0, LIVES.1),
            contested: false,
        }
    }
}

/// An RA that was passed on to the neighbors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flooded {
    pub(super) instance: Option<i64>,
    pub(super) ls_seq: u64,
    pub(super) mobile_seq: u64,
    pub(super) at: Instant,
    /// How many routers it had passed.
    pub(super) hops: usize,
}

impl Flooded {
    /// Whether another RA of the router is a copy of this one that came by no shorter path, or is
    /// older.
    pub(super) fn is_copy(&self, ra: &Ra, hops: usize, now: Instant) -> bool {
        let more = ra.ls_seq > self.ls_seq
            || ra.mobile_seq > self.mobile_seq
            || ra.instance != self.instance;
        let same = ra.ls_seq == self.ls_seq && ra.mobile_seq == self.mobile_seq;
        !more && now < self.at + COPIES && !(same && hops < self.hops)
    }
}

impl Router {
    fn new(id: Arc<str>, via: LinkId, now: Instant) -> Self {
        Self {
            id,
            lives: Lives::new(),
            via,
            ls_seq: 0,
            digest: 0,
            partial: false,
            said: None,
            said_digest: None,
            check: false,
            verified: now,
            told: false,
            edges: Arc::from([]),
            news: now,
            silent: now,
            request: Request::default(),
            routed: false,
            arrival: None,
            replied: None,
            named: 0,
            orphan: None,
            unreachable: None,
            introduced: None,
            flooded: None,
            armed: None,
        }
    }

    /// Notes that the router was heard of.
    pub(super) const fn note_news(&mut self, now: Instant) {
        self.news = now;
        self.silent = now;
    }

    /// Whether its link state is to be asked for.
    pub(super) fn is_wanted(&self) -> bool {
        !self.told
            || self.said.is_some_and(|said| said != self.ls_seq)
            || self.check
            || self.lives.rumor.is_some()
    }

    /// Takes the router's statement about itself in an RA.
    pub(super) fn advertised(&mut self, ra: &Ra, now: Instant) {
        self.said = Some(ra.ls_seq);
        self.said_digest = ra.digests.map(|digests| digests.link_state);
        if self.told && ra.ls_seq == self.ls_seq {
            self.check = self.partial
                || match ra.digests {
                    Some(digests) => digests.link_state != self.digest,
                    None => self.check || now >= self.verified + VERIFY,
                };
        }
    }

    /// Whether a link state that came by another path than its own link can be its own.
    /// `shows_detour` tells whether that link is no longer its shortest path, if the link state is
    /// true.
    pub(super) fn take_astray(&mut self, lsu: &Lsu, shows_detour: bool) -> bool {
        match self.said_digest {
            Some(said) => self.said == Some(lsu.ls_seq) && said == digest_of(lsu),
            None => {
                let believed = shows_detour && self.check && self.request.is_outstanding();
                if believed {
                    // The RA of a C router comes by that path, too.
                    self.said = self.said.max(Some(lsu.ls_seq));
                }
                believed
            }
        }
    }

    /// Takes a link state, if it replaces what is known. Returns whether it does.
    pub(super) fn take_link_state(&mut self, lsu: &Lsu, word: super::Word, now: Instant) -> bool {
        let Self { ls_seq: held, said, .. } = *self;
        let digest = digest_of(lsu);
        let claim = Claim {
            held,
            said: said.unwrap_or(held),
            asked: self.check && self.request.is_outstanding(),
        };
        let first = !self.told;
        let accepted = claim.accepts(word, lsu.ls_seq) || (first && said.is_none());
        self.told |= accepted || said.is_some_and(|said| lsu.ls_seq <= said);
        if accepted {
            self.ls_seq = lsu.ls_seq;
            self.digest = digest;
            self.check = false;
            self.verified = now;
        } else if lsu.ls_seq == held
            && digest == self.digest
            && said.is_some_and(|said| said < held)
        {
            // An RA that was long under way said less: the answer confirms what is known.
            self.said = Some(held);
        }
        if accepted || said == Some(lsu.ls_seq) {
            self.note_news(now);
        }
        self.request.answered(accepted || first);
        accepted
    }

    /// Forgets everything that the router told in this life.
    pub(super) fn forget_link_state(&mut self) {
        self.ls_seq = 0;
        self.digest = 0;
        self.partial = false;
        self.said = None;
        self.said_digest = None;
        self.check = false;
        self.told = false;
        self.lives.rumor = None;
    }
}

fn digest_of(lsu: &Lsu) -> u64 {
    digest::of_link_state(lsu.peers.iter().map(|(id, cost)| (&**id, *cost)))
}

/// The known routers; this router is the first of them.
#[derive(Debug)]
pub(super) struct Table {
    slots: Vec<Option<Router>>,
    index: Arc<HashMap<Arc<str>, RouterIndex>>,
    /// Slots to use again, the longest free first.
    free: VecDeque<RouterIndex>,
    /// The places that control links took: for routers that they made known, and for edges.
    routers: Shares,
    edges: Shares,
    /// The routers whose edges or existence changed since the last graph.
    changed: BTreeSet<RouterIndex>,
}

impl Table {
    pub(super) fn new(own: Arc<str>) -> Self {
        Self {
            slots: vec![Some(Router::new(own.clone(), LinkId(0), Instant::ZERO))],
            index: Arc::new(HashMap::from([(own, RouterIndex::OWN)])),
            free: VecDeque::new(),
            routers: Shares::new(MAX_ROUTERS),
            edges: Shares::new(MAX_EDGES),
            changed: BTreeSet::new(),
        }
    }

    pub(super) fn find(&self, id: &str) -> Option<RouterIndex> {
        self.index.get(id).copied()
    }

    pub(super) fn get(&self, router: RouterIndex) -> Option<&Router> {
        self.slots.get(router.get())?.as_ref()
    }

    pub(super) fn get_mut(&mut self, router: RouterIndex) -> Option<&mut Router> {
        self.slots.get_mut(router.get())?.as_mut()
    }

    /// Returns the router `id`, which a control link makes known if it is not. `None` when too many
    /// are known.
    pub(super) fn learn(
        &mut self,
        id: &Arc<str>,
        via: LinkId,
        now: Instant,
    ) -> Option<RouterIndex> {
        if let Some(router) = self.find(id) {
            return Some(router);
        }
        if self.index.len() >= MAX_ROUTERS || self.routers.room(via) == 0 {
            return None;
        }
        let router = match self.free.pop_front() {
            Some(router) => router,
            None => {
                let next = u32::try_from(self.slots.len()).ok()?;
                self.slots.push(None);
                RouterIndex(next)
            }
        };
        *self.slots.get_mut(router.get())? = Some(Router::new(id.clone(), via, now));
        self.routers.take(via, 1);
        Arc::make_mut(&mut self.index).insert(id.clone(), router);
        self.changed.insert(router);
        self.check_orphan(router, false, now);
        Some(router)
    }

    /// Forgets a router. Returns its id.
    pub(super) fn forget(&mut self, router: RouterIndex) -> Option<Arc<str>> {
        self.set_edges(router, Vec::new());
        let gone = self.slots.get_mut(router.get())?.take()?;
        self.routers.give_back(gone.via, 1);
        Arc::make_mut(&mut self.index).remove(&gone.id);
        self.free.push_back(router);
        self.changed.insert(router);
        Some(gone.id)
    }

    /// Returns how many edges may be kept of a router.
    pub(super) fn room_for_edges(&self, router: RouterIndex) -> usize {
        self.get(router)
            .map_or(0, |slot| self.edges.room(slot.via).saturating_add(slot.edges.len()))
    }

    /// Replaces the edges that a router announced. Returns the routers that may have become orphans
    /// by that.
    pub(super) fn set_edges(&mut self, router: RouterIndex, edges: Vec<Edge>) -> Vec<RouterIndex> {
        let Some(slot) = self.get_mut(router) else { return Vec::new() };
        if *slot.edges == *edges {
            return Vec::new();
        }
        let named: Vec<RouterIndex> = edges.iter().map(|edge| edge.to).collect();
        let former = core::mem::replace(&mut slot.edges, edges.into());
        let (via, more) = (slot.via, slot.edges.len());
        if router != RouterIndex::OWN {
            self.edges.give_back(via, former.len());
            self.edges.take(via, more);
        }
        self.changed.insert(router);
        for to in named {
            if let Some(slot) = self.get_mut(to) {
                slot.named = slot.named.saturating_add(1);
                slot.orphan = None;
            }
        }
        let mut left = vec![router];
        for edge in former.iter() {
            if let Some(slot) = self.get_mut(edge.to) {
                slot.named = slot.named.saturating_sub(1);
                left.push(edge.to);
            }
        }
        left
    }

    /// Notes since when nothing connects a router to the network.
    pub(super) fn check_orphan(&mut self, router: RouterIndex, neighbor: bool, now: Instant) {
        if let Some(slot) = self.get_mut(router).filter(|_| router != RouterIndex::OWN) {
            let orphan = slot.named == 0 && slot.edges.is_empty() && !neighbor;
            slot.orphan = orphan.then(|| slot.orphan.unwrap_or(now));
        }
    }

    pub(super) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Leaves out a pause in which this router did not run and could hear of no one.
    pub(super) fn leave_out(&mut self, pause: Pause, max_age: Duration) {
        for slot in self.slots.iter_mut().flatten() {
            slot.silent = pause.leave_out(slot.silent, max_age);
        }
    }

    /// Returns the graph, and what changed since the last call.
    pub(super) fn graph(
        &mut self,
        neighbors: Vec<(RouterIndex, LinkId)>,
    ) -> (Graph, Vec<RouterIndex>) {
        let node =
            |router: &Router| Node { id: Arc::clone(&router.id), edges: Arc::clone(&router.edges) };
        let nodes = self.slots.iter().map(|slot| slot.as_ref().map(node)).collect();
        let changed = core::mem::take(&mut self.changed).into_iter().collect();
        (Graph { nodes, index: Arc::clone(&self.index), neighbors }, changed)
    }

    /// Returns every router but this one.
    pub(super) fn others(&self) -> impl Iterator<Item = (RouterIndex, &Router)> {
        (0..)
            .map(RouterIndex)
            .zip(&self.slots)
            .skip(1)
            .filter_map(|(at, slot)| slot.as_ref().map(|slot| (at, slot)))
    }

    pub(super) fn edges_named(&self, edges: &[Edge]) -> Vec<(Arc<str>, u32)> {
        edges
            .iter()
            .filter_map(|edge| self.get(edge.to).map(|router| (Arc::clone(&router.id), edge.cost)))
            .collect()
    }
}
