//! The plainest computation of what the routers must agree on.

use std::collections::{BTreeMap, BTreeSet};

use crate::sim::{Net, Router};

/// Who announces which neighbors at which cost.
pub(crate) type Graph = BTreeMap<String, BTreeMap<String, u64>>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) cost: u64,
    pub(crate) hops: usize,
    /// The routers on the way before its end, the root first.
    pub(crate) through: Vec<String>,
}

/// Dijkstra's algorithm by a sorted list: of equally cheap routers the one with the lower id is settled first, and a path is
/// replaced only by a cheaper one.
pub(crate) fn shortest_paths(graph: &Graph, root: &str) -> BTreeMap<String, Path> {
    let mut paths = BTreeMap::from([(root.to_owned(), Path { cost: 0, hops: 0, through: Vec::new() })]);
    let mut settled = BTreeSet::new();
    while let Some((id, path)) =
        paths.iter().filter(|(id, _)| !settled.contains(*id)).min_by(|a, b| (a.1.cost, a.0).cmp(&(b.1.cost, b.0)))
    {
        let (id, path) = (id.clone(), path.clone());
        for (peer, cost) in graph.get(&id).into_iter().flatten() {
            let through = path.through.iter().chain([&id]).cloned().collect();
            let candidate = Path { cost: path.cost + cost, hops: path.hops + 1, through };
            if !settled.contains(peer) && paths.get(peer).is_none_or(|known| candidate.cost < known.cost) {
                paths.insert(peer.clone(), candidate);
            }
        }
        settled.insert(id);
    }
    paths
}

/// The network as it is.
pub(crate) fn graph_of(net: &Net) -> Graph {
    let alive = net.nodes.iter().filter(|node| node.router.is_some());
    let mut graph: Graph = alive.map(|node| (node.id.clone(), BTreeMap::new())).collect();
    for connection in net.connections.iter().filter(|connection| connection.up.is_some()) {
        let [a, b] = connection.ends;
        for (from, to) in [(a, b), (b, a)] {
            let cost = u64::from(connection.cost);
            let edge = graph.entry(net.nodes[from].id.clone()).or_default().entry(net.nodes[to].id.clone()).or_insert(cost);
            *edge = (*edge).min(cost);
        }
    }
    graph
}

/// What a node says that differs from the network as it is; empty when it agrees.
pub(crate) fn disagreement(net: &Net, node: usize, graph: &Graph) -> Vec<String> {
    let own = &net.nodes[node];
    let mut found = Vec::new();
    let paths = shortest_paths(graph, &own.id);
    let reachable: BTreeSet<&String> = paths.keys().filter(|id| **id != own.id).collect();
    match own.router.as_ref() {
        None => {}
        Some(Router::Ours(router)) => {
            let routes = router.routing.routes();
            let known: BTreeSet<&str> = routes.iter().filter_map(|(at, _)| routes.id(at)).map(|id| &**id).collect();
            if !known.iter().copied().eq(reachable.iter().map(|id| id.as_str())) {
                found.push(format!("{} reaches {known:?}, not {reachable:?}", own.id));
            }
            for id in &reachable {
                let Some((at, route)) = routes.router(id).and_then(|at| Some((at, routes.route(at)?))) else { continue };
                let hop = routes.id(route.next_hop).map(|id| id.to_string()).unwrap_or_default();
                let path = &paths[*id];
                let expected = path.through.get(1).unwrap_or(id);
                if (route.cost, route.hops as usize, &hop) != (path.cost, path.hops, expected) {
                    found.push(format!("{} to {id}: {route:?} by {hop}, not {path:?}", own.id));
                }
                let served = net.nodes.iter().find(|node| node.id == **id).map(|node| &node.served);
                let learned = router.addresses.get(&at).cloned().unwrap_or_default();
                if served != Some(&learned) {
                    found.push(format!("{} knows of {id} {learned:?}, not {served:?}", own.id));
                }
            }
            let hops = paths.values().map(|path| path.hops).max().unwrap_or(0);
            if routes.radius() as usize != hops {
                found.push(format!("{} has radius {}, not {hops}", own.id, routes.radius()));
            }
        }
        Some(Router::C(router)) => {
            let hops = router.next_hops();
            for id in &reachable {
                let path = &paths[*id];
                if hops.get(*id) != Some(path.through.get(1).unwrap_or(id)) {
                    found.push(format!("{} to {id}: {:?}, not {path:?}", own.id, hops.get(*id)));
                }
                let served = net.nodes.iter().find(|node| node.id == **id).map(|node| node.served.keys().cloned().collect());
                let learned = router.addresses(id);
                if served.as_ref() != Some(&learned) {
                    found.push(format!("{} knows of {id} {learned:?}, not {served:?}", own.id));
                }
            }
        }
    }
    found
}

/// Whether every router agrees with the network as it is.
pub(crate) fn is_settled(net: &Net) -> bool {
    let graph = graph_of(net);
    (0..net.nodes.len()).all(|node| disagreement(net, node, &graph).is_empty())
}

/// Panics with what is wrong when a router disagrees.
pub(crate) fn assert_settled(net: &Net) {
    let graph = graph_of(net);
    for node in 0..net.nodes.len() {
        let found = disagreement(net, node, &graph);
        assert!(found.is_empty(), "{} findings, first: {:#?}", found.len(), found.first());
    }
    assert_ways_end(net);
    assert_trees_reach_all(net);
}

/// Following next hops from anywhere to anywhere that can be reached ends there: no loops, no black holes. A C router remembers one
/// that is gone until it has been silent for long, and may name a way to it.
fn assert_ways_end(net: &Net) {
    let graph = graph_of(net);
    let index: BTreeMap<&str, usize> = net.nodes.iter().enumerate().map(|(at, node)| (node.id.as_str(), at)).collect();
    let hops: Vec<BTreeMap<String, String>> = net
        .nodes
        .iter()
        .map(|node| match node.router.as_ref() {
            Some(Router::Ours(router)) => {
                let routes = router.routing.routes();
                let named = |at| routes.id(at).map(|id| id.to_string()).unwrap_or_default();
                routes.iter().map(|(at, route)| (named(at), named(route.next_hop))).collect()
            }
            Some(Router::C(router)) => router.next_hops(),
            None => BTreeMap::new(),
        })
        .collect();
    for (from, table) in hops.iter().enumerate() {
        let reachable = shortest_paths(&graph, &net.nodes[from].id);
        for to in table.keys().filter(|to| reachable.contains_key(*to)) {
            let mut at = from;
            for _ in 0..=net.nodes.len() {
                if net.nodes[at].id == *to {
                    break;
                }
                at = index[hops[at][to].as_str()];
            }
            assert_eq!(net.nodes[at].id, *to, "from {} to {to}", net.nodes[from].id);
        }
    }
}

/// A message for everybody, forwarded along the tree of the router where it entered, reaches each router once.
fn assert_trees_reach_all(net: &Net) {
    let all_ours = net.nodes.iter().all(|node| matches!(node.router, None | Some(Router::Ours(_))));
    if !all_ours || net.nodes.len() > 60 {
        return;
    }
    let graph = graph_of(net);
    for (origin, node) in net.nodes.iter().enumerate().filter(|(_, node)| node.router.is_some()) {
        let mut arrived: BTreeMap<usize, usize> = BTreeMap::new();
        let mut under_way = vec![(origin, None)];
        while let Some((at, from)) = under_way.pop() {
            *arrived.entry(at).or_default() += 1;
            assert!(arrived[&at] == 1, "{} got the message of {} twice", net.nodes[at].id, node.id);
            let routes = net.ours(at).routing.routes();
            let ingress = routes.router(&node.id).expect("the origin is known");
            for link in routes.tree_links(ingress, &Default::default()) {
                let connection = net.connections.iter().find(|connection| connection.up == Some(link));
                let ends = connection.expect("the link is up").ends;
                let to = if ends[0] == at { ends[1] } else { ends[0] };
                assert_ne!(Some(to), from, "the message goes back");
                under_way.push((to, Some(at)));
            }
        }
        assert_eq!(arrived.len(), shortest_paths(&graph, &node.id).len(), "of {}", node.id);
    }
}
