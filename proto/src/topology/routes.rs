//! The routes at one moment: which routers are reachable, by which neighbor, and whose trees pass
//! through this router.
//!
//! A [`Routes`] never changes. The machine makes a new one for every change, which shares the
//! unchanged parts with the former. So many threads read it without a lock.
//!
//! Every router computes paths alike, ties included, or messages would loop. The graph's edges are
//! those that each router announces of itself. Of equally cheap paths a router takes the one whose
//! last router but one is cheaper, and then lower in id.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::LinkId;
use crate::annotations::Trace;

/// How many trees of other routers are kept over a change whether or not they were used since the
/// change before. Each takes 13 bytes a router.
const TREES_KEPT: usize = 256;

/// A router's number in the tables of this router. It is stable while the router is known. A freed
/// number is used again as late as possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouterIndex(pub(super) u32);

impl RouterIndex {
    /// This router itself.
    pub const OWN: Self = Self(0);

    /// Makes the number of a router, for tests that only compare it.
    #[cfg(test)]
    pub(crate) const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Returns the number, for use as an index.
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

/// One direction of a connection between two routers, as the router at its start announces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) to: RouterIndex,
    pub(super) cost: u32,
}

/// A known router in the graph.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) id: Arc<str>,
    pub(super) edges: Arc<[Edge]>,
}

/// The path to a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The neighbor that is the first router on the path; the router itself when it is a neighbor
    /// and reached directly.
    pub next_hop: RouterIndex,
    /// The control link to that neighbor.
    pub link: LinkId,
    /// The sum of the costs on the path.
    pub cost: u64,
    /// How many connections the path has.
    pub hops: u32,
}

/// The routes at one moment.
#[derive(Debug)]
pub struct Routes {
    version: u64,
    nodes: Vec<Option<Node>>,
    index: Arc<HashMap<Arc<str>, RouterIndex>>,
    neighbors: Vec<(RouterIndex, LinkId)>,
    own: Arc<Tree>,
    routes: Vec<Option<Route>>,
    radius: u32,
    reachable: usize,
    trees: Vec<OnceLock<CachedTree>>,
}

#[derive(Debug)]
struct CachedTree {
    tree: Arc<Tree>,
    used: AtomicBool,
}

/// The graph that the machine makes routes of.
pub(super) struct Graph {
    pub(super) nodes: Vec<Option<Node>>,
    pub(super) index: Arc<HashMap<Arc<str>, RouterIndex>>,
    /// The neighbors, ascending.
    pub(super) neighbors: Vec<(RouterIndex, LinkId)>,
}

impl Routes {
    /// Makes the routes of a router that knows no other.
    pub(super) fn alone(id: Arc<str>) -> Self {
        let node = Node { id: id.clone(), edges: Arc::from([]) };
        let index = Arc::new(HashMap::from([(id, RouterIndex::OWN)]));
        let nodes = vec![Some(node)];
        let own = Arc::new(Tree::compute(&nodes, RouterIndex::OWN));
        Self {
            version: 0,
            nodes,
            index,
            neighbors: Vec::new(),
            own,
            routes: Vec::new(),
            radius: 0,
            reachable: 0,
            trees: vec![OnceLock::new()],
        }
    }

    /// Makes the routes of `graph`, which differs from the present one in the edges or existence of
    /// `changed` routers.
    pub(super) fn next(&self, graph: Graph, changed: &[RouterIndex]) -> Self {
        let Graph { nodes, index, neighbors } = graph;
        let changes = changed
            .iter()
            .flat_map(|at| changes_of(*at, self.edges(*at), edges_of(&nodes, *at)))
            .collect::<Vec<_>>();
        let own = if self.own.is_affected(&changes) {
            Arc::new(Tree::compute(&nodes, RouterIndex::OWN))
        } else {
            Arc::clone(&self.own)
        };
        let (routes, radius) = own.routes(&neighbors);
        let reachable = routes.iter().flatten().count();
        let mut kept = 0_usize;
        let mut keep = |at: usize, node: &Option<Node>| {
            let cached = self.trees.get(at)?.get()?;
            let same = node.as_ref()?.id == self.nodes.get(at)?.as_ref()?.id;
            let wanted = cached.used.load(Ordering::Relaxed) || kept < TREES_KEPT;
            if !same || !wanted || cached.tree.is_affected(&changes) {
                return None;
            }
            kept = kept.saturating_add(1);
            Some(CachedTree { tree: Arc::clone(&cached.tree), used: AtomicBool::new(false) })
        };
        let trees = nodes
            .iter()
            .enumerate()
            .map(|(at, node)| keep(at, node).map_or_else(OnceLock::new, OnceLock::from))
            .collect();
        Self {
            version: self.version.wrapping_add(1),
            nodes,
            index,
            neighbors,
            own,
            routes,
            radius,
            reachable,
            trees,
        }
    }

    /// Returns a number that counts the changes of the routes.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Returns the largest number of hops to any reachable router.
    pub const fn radius(&self) -> u32 {
        self.radius
    }

    /// Returns the most entries that the trace of an arriving message may have. A message with more
    /// goes in circles and is released.
    ///
    /// A path passes each router once. C routers take [`Self::radius`] and one for it. That is too
    /// few where paths of equal cost differ in length: the radius is that of the paths *they*
    /// choose.
    pub const fn hop_limit(&self) -> usize {
        self.reachable.saturating_add(1)
    }

    /// Returns how many other routers are reachable.
    pub const fn reachable(&self) -> usize {
        self.reachable
    }

    /// Returns the router with this id, when it is known.
    pub fn router(&self, id: &str) -> Option<RouterIndex> {
        self.index.get(id).copied()
    }

    /// Returns the id of a router.
    pub fn id(&self, router: RouterIndex) -> Option<&Arc<str>> {
        self.nodes.get(router.get())?.as_ref().map(|node| &node.id)
    }

    /// Returns the path to a router; `None` when it is unreachable, or this router itself.
    pub fn route(&self, router: RouterIndex) -> Option<Route> {
        *self.routes.get(router.get())?
    }

    /// Returns the reachable routers and the paths to them.
    pub fn iter(&self) -> impl Iterator<Item = (RouterIndex, Route)> {
        (0..)
            .map(RouterIndex)
            .zip(&self.routes)
            .filter_map(|(router, route)| route.map(|route| (router, route)))
    }

    /// Returns the neighbors and the control link to each.
    pub fn neighbors(&self) -> &[(RouterIndex, LinkId)] {
        &self.neighbors
    }

    /// Whether a message that entered the network at `origin` passes through this router on its
    /// path to `destination`.
    ///
    /// Only then may this router forward it: so all routers follow the tree of the router where it
    /// entered. A message that enters here may go anywhere. The first question about an origin
    /// after a change that moved its paths computes its tree.
    pub fn is_valid_origin(&self, origin: RouterIndex, destination: RouterIndex) -> bool {
        if origin == RouterIndex::OWN {
            return true;
        }
        if self.route(origin).is_none() {
            return false;
        }
        self.tree(origin).is_some_and(|tree| tree.passes_here(destination))
    }

    /// Returns the tree of another router.
    fn tree(&self, origin: RouterIndex) -> Option<&Tree> {
        let cell = self.trees.get(origin.get())?;
        let cached = cell.get_or_init(|| CachedTree {
            tree: Arc::new(Tree::compute(&self.nodes, origin)),
            used: AtomicBool::new(true),
        });
        // Read first, so that many readers do not write to one place in memory.
        if !cached.used.load(Ordering::Relaxed) {
            cached.used.store(true, Ordering::Relaxed);
        }
        Some(&cached.tree)
    }

    /// Returns the neighbor before this router on the path from `origin`: floods along the tree of
    /// `origin` come from it. `None` when no path from there is known.
    pub(super) fn before(&self, origin: RouterIndex) -> Option<RouterIndex> {
        let before = self.tree(origin)?.before.get(RouterIndex::OWN.get()).copied()?;
        (before != NOWHERE).then_some(RouterIndex(before))
    }

    /// Whether the tree of another router is at hand.
    pub(super) fn has_tree(&self, origin: RouterIndex) -> bool {
        self.trees.get(origin.get()).is_some_and(|cell| cell.get().is_some())
    }

    /// Returns the control links on which a flooded message goes on: to all neighbors but those it
    /// passed.
    pub fn flood_links(&self, trace: &Trace<'_>) -> Vec<LinkId> {
        let passed = self.passed(trace);
        self.neighbors
            .iter()
            .filter(|(router, _)| !passed.contains(router))
            .map(|(_, link)| *link)
            .collect()
    }

    /// Returns the control links on which a message for every router goes on along the tree of
    /// `origin`, where it entered.
    pub fn tree_links(&self, origin: RouterIndex, trace: &Trace<'_>) -> Vec<LinkId> {
        let passed = self.passed(trace);
        let mut next_hops: Vec<RouterIndex> = self
            .iter()
            .filter(|(router, route)| {
                !passed.contains(&route.next_hop) && self.is_valid_origin(origin, *router)
            })
            .map(|(_, route)| route.next_hop)
            .collect();
        next_hops.sort_unstable();
        next_hops.dedup();
        next_hops.into_iter().filter_map(|router| self.link(router)).collect()
    }

    /// Returns the control link to a neighbor.
    pub fn link(&self, neighbor: RouterIndex) -> Option<LinkId> {
        let at = self.neighbors.binary_search_by_key(&neighbor, |(router, _)| *router).ok()?;
        self.neighbors.get(at).map(|(_, link)| *link)
    }

    /// Returns how many trees of other routers are at hand.
    #[cfg(test)]
    pub(super) fn computed(&self) -> usize {
        self.trees.iter().filter(|cell| cell.get().is_some()).count()
    }

    fn passed(&self, trace: &Trace<'_>) -> Vec<RouterIndex> {
        trace.routers().filter_map(|id| self.router(id)).collect()
    }

    fn edges(&self, router: RouterIndex) -> &[Edge] {
        edges_of(&self.nodes, router)
    }
}

fn edges_of(nodes: &[Option<Node>], router: RouterIndex) -> &[Edge] {
    nodes.get(router.get()).and_then(Option::as_ref).map_or(&[], |node| &node.edges)
}

/// An edge that appeared, disappeared, or has another cost.
struct Change {
    from: RouterIndex,
    to: RouterIndex,
    former: Option<u32>,
    cost: Option<u32>,
}

fn changes_of(from: RouterIndex, former: &[Edge], edges: &[Edge]) -> Vec<Change> {
    let costs =
        |edges: &[Edge]| edges.iter().map(|edge| (edge.to, edge.cost)).collect::<HashMap<_, _>>();
    let (former_costs, costs) = (costs(former), costs(edges));
    let gone = former_costs.iter().filter(|(to, _)| !costs.contains_key(to));
    let gone = gone.map(|(to, former)| Change { from, to: *to, former: Some(*former), cost: None });
    let other = costs.iter().filter(|(to, cost)| former_costs.get(to) != Some(cost));
    let other = other.map(|(to, cost)| Change {
        from,
        to: *to,
        former: former_costs.get(to).copied(),
        cost: Some(*cost),
    });
    gone.chain(other).collect()
}

const NOWHERE: u32 = u32::MAX;
const UNREACHABLE: u64 = u64::MAX;

/// The shortest paths from one router.
#[derive(Debug)]
struct Tree {
    root: RouterIndex,
    cost: Vec<u64>,
    /// The router before each on its path, [`NOWHERE`] for the root and what is unreachable.
    before: Vec<u32>,
    /// The reachable routers but the root, each after the one before it on its path; only in this
    /// router's own tree.
    order: Vec<u32>,
    /// A bit for each router whose path passes through this router as neither end.
    here: Vec<u64>,
}

impl Tree {
    fn compute(nodes: &[Option<Node>], root: RouterIndex) -> Self {
        let mut cost = vec![UNREACHABLE; nodes.len()];
        let mut before = vec![NOWHERE; nodes.len()];
        let mut settled = vec![false; nodes.len()];
        let mut order = Vec::new();
        let mut heap = BinaryHeap::new();
        if let (Some(first), Some(Some(node))) = (cost.get_mut(root.get()), nodes.get(root.get())) {
            *first = 0;
            heap.push(Reverse((0_u64, &*node.id, root)));
        }
        while let Some(Reverse((reached, _, at))) = heap.pop() {
            match settled.get_mut(at.get()) {
                Some(done) if !*done => *done = true,
                _ => continue,
            }
            if at != root {
                order.push(at.0);
            }
            for edge in edges_of(nodes, at) {
                let to = edge.to.get();
                let (Some(known), Some(prior), Some(Some(node)), Some(false)) =
                    (cost.get_mut(to), before.get_mut(to), nodes.get(to), settled.get(to))
                else {
                    continue;
                };
                let through = reached.saturating_add(edge.cost.into());
                if through < *known {
                    *known = through;
                    *prior = at.0;
                    heap.push(Reverse((through, &*node.id, edge.to)));
                }
            }
        }
        let mut tree = Self { root, cost, before, order, here: Vec::new() };
        if root != RouterIndex::OWN {
            tree.mark_here(nodes.len());
            tree.order = Vec::new();
        }
        tree
    }

    fn mark_here(&mut self, routers: usize) {
        self.here = vec![0; routers.div_ceil(64)];
        for at in &self.order {
            let before = RouterIndex(self.before.get(*at as usize).copied().unwrap_or(NOWHERE));
            if before == RouterIndex::OWN || bit(&self.here, before) {
                let at = *at as usize;
                if let Some(word) = self.here.get_mut(at / 64) {
                    *word |= 1 << (at % 64);
                }
            }
        }
    }

    fn passes_here(&self, destination: RouterIndex) -> bool {
        bit(&self.here, destination)
    }

    fn cost(&self, router: RouterIndex) -> u64 {
        self.cost.get(router.get()).copied().unwrap_or(UNREACHABLE)
    }

    /// Whether any of the changes may move a path of this tree. A `false` is exact: the edges are
    /// on no path and went or became dearer, or they came and lead nowhere cheaper, or equally
    /// cheap.
    fn is_affected(&self, changes: &[Change]) -> bool {
        changes.iter().any(|change| {
            let reached = self.cost(change.from);
            if reached == UNREACHABLE || change.to == self.root {
                return false;
            }
            match (change.former, change.cost) {
                (former, Some(cost)) if former.is_none_or(|former| cost < former) => {
                    reached.saturating_add(cost.into()) <= self.cost(change.to)
                }
                _ => self.before.get(change.to.get()) == Some(&change.from.0),
            }
        })
    }

    /// Returns the routes along this tree, when it is this router's own, and its radius.
    fn routes(&self, neighbors: &[(RouterIndex, LinkId)]) -> (Vec<Option<Route>>, u32) {
        let mut routes: Vec<Option<Route>> = vec![None; self.cost.len()];
        let mut radius = 0;
        for at in &self.order {
            let router = RouterIndex(*at);
            let before = self.before.get(router.get()).copied().unwrap_or(NOWHERE);
            let cost = self.cost(router);
            let route = if before == RouterIndex::OWN.0 {
                let link = neighbors
                    .binary_search_by_key(&router, |(neighbor, _)| *neighbor)
                    .ok()
                    .and_then(|n| neighbors.get(n));
                link.map(|(_, link)| Route { next_hop: router, link: *link, cost, hops: 1 })
            } else {
                let way = routes.get(before as usize).copied().flatten();
                way.map(|way| Route { cost, hops: way.hops.saturating_add(1), ..way })
            };
            radius = radius.max(route.map_or(0, |route| route.hops));
            if let Some(slot) = routes.get_mut(router.get()) {
                *slot = route;
            }
        }
        (routes, radius)
    }
}

fn bit(words: &[u64], router: RouterIndex) -> bool {
    words.get(router.get() / 64).is_some_and(|word| word >> (router.get() % 64) & 1 == 1)
}
