//! The known routers and what each announced of itself.

use core::time::Duration;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use crate::silence::Pause;
use crate::time::Instant;

use super::message::Ra;
use super::pace::Request;
use super::routes::{Edge, Graph, Node, RouterIndex};
use super::{LinkId, MAX_ROUTERS};

/// An RA that says what the last one of its router said is a copy that came another way when it comes this soon; routers repeat
/// themselves after a second at the earliest.
const COPIES: Duration = Duration::from_millis(500);

/// A known router.
#[derive(Debug)]
pub(super) struct Router {
    pub(super) id: Arc<str>,
    pub(super) instance: Option<i64>,
    /// The life before this one and when it ended: copies of its messages may still be under way.
    pub(super) former: Option<(i64, Instant)>,
    /// Sequence of the link state that is known.
    pub(super) ls_seq: u64,
    /// The highest sequence that it advertised.
    pub(super) wanted: u64,
    /// Whether it ever told its link state, in this life and since it became a neighbor.
    pub(super) told: bool,
    pub(super) edges: Arc<[Edge]>,
    /// When it was last heard of: by RA or LSU.
    pub(super) news: Instant,
    /// Since when it is silent; time in which this router did not run is left out.
    pub(super) silent: Instant,
    /// The LSR to it.
    pub(super) request: Request,
    /// Whether that went where a route leads, and not just back where a message of the router came from.
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
    /// Since when it is reachable and how many RAs were sent to it on that account.
    pub(super) introduced: Option<(Instant, usize)>,
    /// The last RA of it that was passed on.
    pub(super) flooded: Option<Flooded>,
    /// The deadline that is in the machine's heap.
    pub(super) armed: Option<Instant>,
}

/// An RA that was passed on to the neighbors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flooded {
    pub(super) ls_seq: u64,
    pub(super) mobile_seq: u64,
    pub(super) at: Instant,
    /// How many routers it had passed.
    pub(super) hops: usize,
}

impl Flooded {
    /// Whether another RA of the router is a copy of this one that came no shorter way, or is older.
    pub(super) fn is_copy(&self, ra: &Ra, hops: usize, now: Instant) -> bool {
        let more = ra.ls_seq > self.ls_seq || ra.mobile_seq > self.mobile_seq;
        let same = ra.ls_seq == self.ls_seq && ra.mobile_seq == self.mobile_seq;
        !more && now < self.at + COPIES && !(same && hops < self.hops)
    }
}

impl Router {
    fn new(id: Arc<str>, now: Instant) -> Self {
        Self {
            id,
            instance: None,
            former: None,
            ls_seq: 0,
            wanted: 0,
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

    /// It is heard of.
    pub(super) const fn note_news(&mut self, now: Instant) {
        self.news = now;
        self.silent = now;
    }

    /// Whether its link state is to be asked for.
    pub(super) const fn is_wanted(&self) -> bool {
        !self.told || self.ls_seq < self.wanted
    }
}

/// The known routers; this router is the first of them.
#[derive(Debug)]
pub(super) struct Table {
    slots: Vec<Option<Router>>,
    index: Arc<HashMap<Arc<str>, RouterIndex>>,
    /// Slots to use again, the longest free first.
    free: VecDeque<RouterIndex>,
    /// The routers whose edges or existence changed since the last graph.
    changed: BTreeSet<RouterIndex>,
}

impl Table {
    pub(super) fn new(own: Arc<str>) -> Self {
        Self {
            slots: vec![Some(Router::new(own.clone(), Instant::ZERO))],
            index: Arc::new(HashMap::from([(own, RouterIndex::OWN)])),
            free: VecDeque::new(),
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

    /// The router `id`, made known if it is not; `None` when too many are.
    pub(super) fn learn(&mut self, id: &Arc<str>, now: Instant) -> Option<RouterIndex> {
        if let Some(router) = self.find(id) {
            return Some(router);
        }
        if self.index.len() >= MAX_ROUTERS {
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
        *self.slots.get_mut(router.get())? = Some(Router::new(id.clone(), now));
        Arc::make_mut(&mut self.index).insert(id.clone(), router);
        self.changed.insert(router);
        self.check_orphan(router, false, now);
        Some(router)
    }

    /// Forgets a router and gives back its id.
    pub(super) fn forget(&mut self, router: RouterIndex) -> Option<Arc<str>> {
        self.set_edges(router, Vec::new());
        let gone = self.slots.get_mut(router.get())?.take()?;
        Arc::make_mut(&mut self.index).remove(&gone.id);
        self.free.push_back(router);
        self.changed.insert(router);
        Some(gone.id)
    }

    /// Replaces what a router announced; says which routers may have become orphans by that.
    pub(super) fn set_edges(&mut self, router: RouterIndex, edges: Vec<Edge>) -> Vec<RouterIndex> {
        let Some(slot) = self.get_mut(router) else { return Vec::new() };
        if *slot.edges == *edges {
            return Vec::new();
        }
        let named: Vec<RouterIndex> = edges.iter().map(|edge| edge.to).collect();
        let former = core::mem::replace(&mut slot.edges, edges.into());
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

    /// This router did not run, and could hear of nobody.
    pub(super) fn leave_out(&mut self, pause: Pause, max_age: Duration) {
        for slot in self.slots.iter_mut().flatten() {
            slot.silent = pause.leave_out(slot.silent, max_age);
        }
    }

    /// What changed since the last call, and the graph as it is.
    pub(super) fn graph(&mut self, neighbors: Vec<(RouterIndex, LinkId)>) -> (Graph, Vec<RouterIndex>) {
        let node = |router: &Router| Node { id: Arc::clone(&router.id), edges: Arc::clone(&router.edges) };
        let nodes = self.slots.iter().map(|slot| slot.as_ref().map(node)).collect();
        let changed = core::mem::take(&mut self.changed).into_iter().collect();
        (Graph { nodes, index: Arc::clone(&self.index), neighbors }, changed)
    }

    /// Every router but this one.
    pub(super) fn others(&self) -> impl Iterator<Item = (RouterIndex, &Router)> {
        (0..).map(RouterIndex).zip(&self.slots).skip(1).filter_map(|(at, slot)| slot.as_ref().map(|slot| (at, slot)))
    }

    pub(super) fn edges_named(&self, edges: &[Edge]) -> Vec<(Arc<str>, u32)> {
        edges.iter().filter_map(|edge| self.get(edge.to).map(|router| (Arc::clone(&router.id), edge.cost))).collect()
    }
}
