//! Reachability: computes routes, and chooses the link toward a router.

use std::sync::Arc;

use super::{Topology, TopologyEvent};
use crate::time::Instant;
use crate::topology::LinkId;
use crate::topology::message::{TopologyMessage, router_address};
use crate::topology::routes::{Edge, RouterIndex, Routes};

/// Up to so many routers that become reachable at once each get RAs of their own. For more, a flood
/// is cheaper.
const INTRODUCED_SINGLY: usize = 8;

impl Topology {
    pub(crate) fn update_routes(&mut self, now: Instant) {
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
        self.events.push_back(TopologyEvent::Routes);
        self.note_reachability(&former, now);
    }

    pub(super) fn note_reachability(&mut self, former: &Routes, now: Instant) {
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
            self.events.push_back(TopologyEvent::Reachable(router, true));
            self.touch(router, now);
        }
        for router in lost {
            if let Some(slot) = self.table.get_mut(router) {
                slot.unreachable = Some(now);
            }
            self.events.push_back(TopologyEvent::Reachable(router, false));
            self.touch(router, now);
        }
    }

    /// Returns the control link on which a message to a router begins its path: by the route, to
    /// the neighbor itself, or back where the router's last message came from. A message may come
    /// before a path to its sender is known.
    pub(crate) fn link_toward(&self, router: RouterIndex) -> Option<LinkId> {
        let route = self.routes.route(router).map(|route| route.link);
        let neighbor = self.neighbors.get(&router).map(|neighbor| neighbor.link);
        let arrival = self.table.get(router).and_then(|slot| slot.arrival);
        [route, neighbor, arrival]
            .into_iter()
            .flatten()
            .find(|link| self.links.get(*link).is_some())
    }

    pub(crate) fn send_to(&mut self, router: RouterIndex, message: TopologyMessage) {
        if let (Some(link), Some(id)) = (self.link_toward(router), self.id(router)) {
            let to = router_address(id);
            self.send(vec![link], to, message);
        }
    }

    /// Notes by which link a message of the router came.
    pub(crate) fn note_arrival(&mut self, router: RouterIndex, link: LinkId) {
        if let Some(slot) = self.table.get_mut(router) {
            slot.arrival = Some(link);
        }
    }
}
