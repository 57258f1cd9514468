//! The plainest computation of the paths that routers must agree on.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::sim::{Net, Router};

/// Routers, their neighbors and the costs, all by their numbers; `None` for a router that does not
/// run.
pub(crate) type Graph = Vec<Option<BTreeMap<usize, u64>>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) cost: u64,
    pub(crate) hops: usize,
    /// The router after the root; of the root itself, the root.
    pub(crate) next_hop: usize,
}

/// Computes paths by Dijkstra's algorithm with a sorted set: of equally cheap routers the one with
/// the lower id is settled first, and only a cheaper path replaces another.
pub(crate) fn shortest_paths(net: &Net, graph: &Graph, root: usize) -> Vec<Option<Path>> {
    let mut paths = vec![None; graph.len()];
    paths[root] = Some(Path { cost: 0, hops: 0, next_hop: root });
    let mut settled = vec![false; graph.len()];
    let mut next = BTreeSet::from([(0, net.nodes[root].id.as_str(), root)]);
    while let Some((_, _, at)) = next.pop_first() {
        let Some(path) = paths[at] else { continue };
        settled[at] = true;
        for (&peer, cost) in graph[at].iter().flatten() {
            let next_hop = if at == root { peer } else { path.next_hop };
            let candidate = Path { cost: path.cost + cost, hops: path.hops + 1, next_hop };
            let known: Option<Path> = paths[peer];
            if !settled[peer] && known.is_none_or(|known| candidate.cost < known.cost) {
                let id = net.nodes[peer].id.as_str();
                if let Some(known) = known {
                    next.remove(&(known.cost, id, peer));
                }
                next.insert((candidate.cost, id, peer));
                paths[peer] = Some(candidate);
            }
        }
    }
    paths
}

/// Returns the network as it is.
pub(crate) fn graph_of(net: &Net) -> Graph {
    let mut graph: Graph =
        net.nodes.iter().map(|node| node.router.is_some().then(BTreeMap::new)).collect();
    for connection in net.connections.iter().filter(|connection| connection.up.is_some()) {
        let [a, b] = connection.ends;
        for (from, to) in [(a, b), (b, a)] {
            let cost = u64::from(connection.cost);
            let edge = graph[from].get_or_insert_default().entry(to).or_insert(cost);
            *edge = (*edge).min(cost);
        }
    }
    graph
}

/// Returns the numbers of routers by their ids.
pub(crate) fn numbers_of(net: &Net) -> HashMap<&str, usize> {
    net.nodes.iter().enumerate().map(|(at, node)| (node.id.as_str(), at)).collect()
}

/// Returns how a node differs from the network as it is; empty when it agrees.
pub(crate) fn disagreement(net: &Net, node: usize, graph: &Graph) -> Vec<String> {
    let own = &net.nodes[node];
    let mut found = Vec::new();
    let paths = shortest_paths(net, graph, node);
    let reachable = || {
        paths
            .iter()
            .enumerate()
            .filter_map(|(at, path)| Some((at, path.as_ref()?)))
            .filter(|(at, _)| *at != node)
    };
    match own.router.as_ref() {
        None => {}
        Some(Router::Ours(router)) => {
            let routes = router.routing.routes();
            let known = routes.iter().count();
            if known != reachable().count() {
                found.push(format!(
                    "{} reaches {known} routers, not {}",
                    own.id,
                    reachable().count()
                ));
            }
            for (number, path) in reachable() {
                let id = &net.nodes[number].id;
                let Some((at, route)) =
                    routes.router(id).and_then(|at| Some((at, routes.route(at)?)))
                else {
                    found.push(format!("{} does not reach {id}", own.id));
                    continue;
                };
                let hop = routes.id(route.next_hop).map(|id| &**id).unwrap_or_default();
                if (route.cost, route.hops as usize, hop)
                    != (path.cost, path.hops, net.nodes[path.next_hop].id.as_str())
                {
                    found.push(format!("{} to {id}: {route:?} by {hop}, not {path:?}", own.id));
                }
                let (served, none) = (&net.nodes[number].served, BTreeMap::new());
                let learned = router.addresses.get(&at).unwrap_or(&none);
                if served != learned {
                    found.push(format!("{} knows of {id} {learned:?}, not {served:?}", own.id));
                }
            }
            let hops = reachable().map(|(_, path)| path.hops).max().unwrap_or(0);
            if routes.radius() as usize != hops {
                found.push(format!("{} has radius {}, not {hops}", own.id, routes.radius()));
            }
        }
        Some(Router::C(router)) => {
            let hops = router.next_hops();
            for (number, path) in reachable() {
                let id = &net.nodes[number].id;
                if hops.get(id) != Some(&net.nodes[path.next_hop].id) {
                    found.push(format!("{} to {id}: {:?}, not {path:?}", own.id, hops.get(id)));
                }
                let served: BTreeSet<_> = net.nodes[number].served.keys().cloned().collect();
                let learned = router.addresses(id);
                if served != learned {
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

/// Panics with the difference when a router disagrees.
pub(crate) fn assert_settled(net: &Net) {
    let graph = graph_of(net);
    for node in 0..net.nodes.len() {
        let found = disagreement(net, node, &graph);
        assert!(found.is_empty(), "{} findings, first: {:#?}", found.len(), found.first());
    }
    assert_ways_end(net);
    assert_trees_reach_all(net);
}

/// Checks that next hops from any router to any reachable router end there: no loops, no black
/// holes. A C router remembers a stopped one until it has been silent for long, and may name a path
/// to it.
fn assert_ways_end(net: &Net) {
    let graph = graph_of(net);
    let numbers = numbers_of(net);
    let hops: Vec<HashMap<usize, usize>> = net
        .nodes
        .iter()
        .map(|node| match node.router.as_ref() {
            Some(Router::Ours(router)) => {
                let routes = router.routing.routes();
                let number = |at| routes.id(at).map_or(usize::MAX, |id| numbers[&**id]);
                routes.iter().map(|(at, route)| (number(at), number(route.next_hop))).collect()
            }
            Some(Router::C(router)) => router
                .next_hops()
                .iter()
                .map(|(to, hop)| (numbers[to.as_str()], numbers[hop.as_str()]))
                .collect(),
            None => HashMap::new(),
        })
        .collect();
    for (from, table) in hops.iter().enumerate() {
        let reachable = shortest_paths(net, &graph, from);
        for &to in table.keys().filter(|to| reachable[**to].is_some()) {
            let mut at = from;
            for _ in 0..=net.nodes.len() {
                if at == to {
                    break;
                }
                at = hops[at][&to];
            }
            assert_eq!(at, to, "from {} to {}", net.nodes[from].id, net.nodes[to].id);
        }
    }
}

/// Checks that a message for every router, forwarded along the tree of the router where it entered,
/// reaches each router once.
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
                let connection =
                    net.connections.iter().find(|connection| connection.up == Some(link));
                let ends = connection.expect("the link is up").ends;
                let to = if ends[0] == at { ends[1] } else { ends[0] };
                assert_ne!(Some(to), from, "the message goes back");
                under_way.push((to, Some(at)));
            }
        }
        assert_eq!(
            arrived.len(),
            shortest_paths(net, &graph, origin).iter().flatten().count(),
            "of {}",
            node.id
        );
    }
}
