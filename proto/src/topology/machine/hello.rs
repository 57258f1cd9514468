//! HELLO: which router is heard on a control link, and by which link a router is a neighbor.

use std::sync::Arc;

use super::lives::Life;
use super::{Neighbor, REPORTED, Topology};
use crate::time::Instant;
use crate::topology::message::{HELLO_ADDRESS, Hello, TopologyMessage};
use crate::topology::neighbors::LinkProblem;
use crate::topology::routes::RouterIndex;
use crate::topology::status::Arrival;
use crate::topology::{LinkId, Notice};

impl Topology {
    pub(crate) fn handle_hello(&mut self, arrival: &Arrival<'_>, hello: &Hello, now: Instant) {
        // A HELLO travels one link.
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

    pub(super) fn send_hello(&mut self, only: Option<LinkId>, now: Instant) {
        let seen = self.links.seen(now, self.config.hello_max_age);
        self.links.note_listed(only, &seen);
        let links = only.map_or_else(|| self.links.ids(), |link| vec![link]);
        if only.is_none() {
            self.last_hello = now;
        }
        let hello =
            Hello { id: Arc::clone(&self.config.id), instance: Some(self.config.instance), seen };
        self.send(links, HELLO_ADDRESS, TopologyMessage::Hello(hello));
    }

    pub(super) fn refresh_neighbor(&mut self, link: LinkId, hello: &Hello, now: Instant) {
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
    pub(super) fn settle_neighbor(&mut self, router: RouterIndex, now: Instant) {
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

    pub(super) fn report_own_id(&mut self, link: LinkId, own: bool, instance: Option<i64>) {
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

    /// Notes the problem of a link, and reports it once.
    pub(super) fn report(&mut self, link: LinkId, problem: LinkProblem) {
        if let Some(entry) = self.links.get_mut(link)
            && entry.status.problem.as_ref() != Some(&problem)
        {
            entry.status.problem = Some(problem.clone());
            self.notice(Notice::Problem { link, problem });
        }
    }
}
