//! Paths and valid origins against the plainest computation, over changes of any kind.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use fastrand::Rng;

use crate::topology::LinkId;
use crate::topology::routes::{Edge, Graph, Node, RouterIndex, Routes};

type Edges = BTreeMap<usize, BTreeMap<usize, u32>>;

/// For each reachable router its cost and the router before it: the unsettled router with the least
/// (cost, id) is settled next, and only a cheaper path replaces another.
fn plain(ids: &[String], edges: &Edges, root: usize) -> BTreeMap<usize, (u64, usize)> {
    let mut found = BTreeMap::from([(root, (0, root))]);
    let mut settled = BTreeSet::new();
    while let Some(at) = found
        .keys()
        .copied()
        .filter(|at| !settled.contains(at))
        .min_by_key(|at| (found[at].0, &ids[*at]))
    {
        settled.insert(at);
        for (to, cost) in edges.get(&at).into_iter().flatten() {
            let through = found[&at].0 + u64::from(*cost);
            if !settled.contains(to) && found.get(to).is_none_or(|known| through < known.0) {
                found.insert(*to, (through, at));
            }
        }
    }
    found
}

fn way(tree: &BTreeMap<usize, (u64, usize)>, root: usize, to: usize) -> Vec<usize> {
    let mut way = vec![to];
    while let Some(before) = tree.get(&way[way.len() - 1]).map(|(_, before)| *before)
        && way[way.len() - 1] != root
    {
        way.push(before);
    }
    way.reverse();
    way
}

fn graph(ids: &[String], edges: &Edges) -> Graph {
    let index = |at: usize| RouterIndex(at as u32);
    let node = |(at, id): (usize, &String)| {
        let out = edges
            .get(&at)
            .into_iter()
            .flatten()
            .map(|(to, cost)| Edge { to: index(*to), cost: *cost });
        Some(Node { id: Arc::from(id.as_str()), edges: out.collect() })
    };
    let neighbors = edges
        .get(&0)
        .into_iter()
        .flatten()
        .map(|(to, _)| (index(*to), LinkId(*to as u64)))
        .collect();
    let by_id: HashMap<Arc<str>, RouterIndex> =
        ids.iter().enumerate().map(|(at, id)| (Arc::from(id.as_str()), index(at))).collect();
    Graph { nodes: ids.iter().enumerate().map(node).collect(), index: Arc::new(by_id), neighbors }
}

fn check(routes: &Routes, ids: &[String], edges: &Edges) {
    let own = plain(ids, edges, 0);
    let reachable: Vec<usize> = own.keys().copied().filter(|at| *at != 0).collect();
    assert_eq!(routes.iter().map(|(at, _)| at.get()).collect::<Vec<_>>(), reachable);
    for to in &reachable {
        let route = routes.route(RouterIndex(*to as u32)).unwrap();
        let way = way(&own, 0, *to);
        let expected = (own[to].0, way.len() - 1, way[1], LinkId(way[1] as u64));
        assert_eq!((route.cost, route.hops as usize, route.next_hop.get(), route.link), expected);
    }
    let hops = reachable.iter().map(|to| way(&own, 0, *to).len() - 1).max().unwrap_or(0);
    assert_eq!(routes.radius() as usize, hops);
    for origin in 1..ids.len() {
        let tree = plain(ids, edges, origin);
        for destination in 1..ids.len() {
            let here =
                tree.contains_key(&destination) && way(&tree, origin, destination).contains(&0);
            let valid = here && own.contains_key(&origin);
            let told =
                routes.is_valid_origin(RouterIndex(origin as u32), RouterIndex(destination as u32));
            assert_eq!(told, valid, "from {origin} to {destination} of {edges:?}");
        }
        assert!(routes.is_valid_origin(RouterIndex::OWN, RouterIndex(origin as u32)));
    }
}

#[test]
fn paths_follow_every_change() {
    for seed in 0..150 {
        let mut rng = Rng::with_seed(seed);
        let n = rng.usize(2..14);
        // Ids in an order of their own, for ties.
        let mut ids: Vec<String> = (0..n).map(|at| format!("r{at:02}")).collect();
        rng.shuffle(&mut ids);
        let least = u32::from(seed % 3 != 0);
        let mut edges = Edges::new();
        let mut routes = Routes::alone(Arc::from(ids[0].as_str()));
        let everybody: Vec<RouterIndex> = (0..n).map(|at| RouterIndex(at as u32)).collect();
        routes = routes.next(graph(&ids, &edges), &everybody);
        for _ in 0..40 {
            let mut changed = BTreeSet::new();
            for _ in 0..rng.usize(1..4) {
                let (a, b) = (rng.usize(0..n), rng.usize(0..n));
                if a == b {
                    continue;
                }
                let cost = (rng.u8(0..3) > 0).then(|| rng.u32(least..4));
                // Mostly both ways, as when two routers agree.
                for (from, to) in
                    [(a, b), (b, a)].into_iter().take(if rng.u8(0..4) == 0 { 1 } else { 2 })
                {
                    let out = edges.entry(from).or_default();
                    match cost {
                        Some(cost) => drop(out.insert(to, cost)),
                        None => drop(out.remove(&to)),
                    }
                    changed.insert(from);
                }
            }
            let changed: Vec<RouterIndex> =
                changed.into_iter().map(|at| RouterIndex(at as u32)).collect();
            routes = routes.next(graph(&ids, &edges), &changed);
            check(&routes, &ids, &edges);
        }
    }
}

#[test]
fn of_equal_ways_the_one_by_the_lower_id_is_taken() {
    let ids: Vec<String> = ["me", "b", "a", "end"].iter().map(|id| (*id).to_owned()).collect();
    let both = |pairs: &[(usize, usize)]| {
        let mut edges = Edges::new();
        for (a, b) in pairs {
            edges.entry(*a).or_default().insert(*b, 1);
            edges.entry(*b).or_default().insert(*a, 1);
        }
        edges
    };
    let edges = both(&[(0, 1), (0, 2), (1, 3), (2, 3)]);
    let routes =
        Routes::alone(Arc::from("me")).next(graph(&ids, &edges), &[0, 1, 2, 3].map(RouterIndex));
    let route = routes.route(RouterIndex(3)).unwrap();
    assert_eq!(
        (routes.id(route.next_hop).map(|id| &**id), route.cost, route.hops),
        (Some("a"), 2, 2)
    );
    assert_eq!((routes.radius(), routes.hop_limit()), (2, 4));
}

#[test]
fn what_a_change_leaves_alone_is_not_computed_again() {
    let ids: Vec<String> = (0..6).map(|at| format!("r{at}")).collect();
    let mut edges = Edges::new();
    for (a, b, cost) in [(0, 1, 1), (1, 2, 1), (0, 3, 1), (3, 4, 1), (4, 5, 9), (1, 3, 9)] {
        edges.entry(a).or_default().insert(b, cost);
        edges.entry(b).or_default().insert(a, cost);
    }
    let routes = Routes::alone(Arc::from("r0"))
        .next(graph(&ids, &edges), &[0, 1, 2, 3, 4, 5].map(RouterIndex));
    check(&routes, &ids, &edges);
    assert_eq!(routes.computed(), 5);
    edges.entry(1).or_default().insert(3, 8);
    let routes = routes.next(graph(&ids, &edges), &[RouterIndex(1)]);
    assert_eq!(routes.computed(), 5, "a costly connection on nobody's way");
    edges.entry(4).or_default().insert(5, 8);
    let routes = routes.next(graph(&ids, &edges), &[RouterIndex(4)]);
    assert_eq!(routes.computed(), 1, "all trees but that of r5 use it this way");
    check(&routes, &ids, &edges);
}

#[test]
fn a_thousand_routers_take_changes_quickly() {
    let n = 1000;
    let mut rng = Rng::with_seed(3);
    let ids: Vec<String> = (0..n).map(|at| format!("router-{at}")).collect();
    let mut edges = Edges::new();
    let mut join = |a: usize, b: usize, cost: u32| {
        edges.entry(a).or_default().insert(b, cost);
        edges.entry(b).or_default().insert(a, cost);
    };
    for at in 1..n {
        join(at, rng.usize(0..at), 1);
        join(at, rng.usize(0..at), 5);
    }
    let everybody: Vec<RouterIndex> = (0..n).map(|at| RouterIndex(at as u32)).collect();
    let mut routes =
        Routes::alone(Arc::from(ids[0].as_str())).next(graph(&ids, &edges), &everybody);
    for origin in 1..50 {
        routes.is_valid_origin(RouterIndex(origin), RouterIndex(origin + 1));
    }
    for _ in 0..50 {
        let at = rng.usize(1..n);
        let to = *edges[&at].keys().next().unwrap();
        *edges.get_mut(&at).unwrap().get_mut(&to).unwrap() += 1;
        routes = routes.next(graph(&ids, &edges), &[RouterIndex(at as u32)]);
    }
    let own = plain(&ids, &edges, 0);
    assert!(routes.iter().all(|(at, route)| own[&at.get()].0 == route.cost));
}
