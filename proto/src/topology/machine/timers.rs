//! Timers of control links and routers.

use core::time::Duration;
use std::cmp::Reverse;

use super::{REPEATS, Timer, Topology, TopologyEvent};
use crate::silence::Pause;
use crate::time::Instant;
use crate::topology::LinkId;
use crate::topology::neighbors::ControlLink;
use crate::topology::routes::RouterIndex;

/// How long a router is kept that nothing connects to the network: a message may name it before
/// its neighbors do.
const ORPHAN_AGE: Duration = Duration::from_secs(3);

impl Topology {
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if let Some(pause) = Pause::between(self.poll_timeout(), now) {
            self.links.leave_out(pause, self.config.hello_max_age);
            self.table.leave_out(pause, self.config.remote_ls_max_age);
        }
        while let Some(Reverse((at, timer))) = self.timers.peek().copied()
            && at <= now
        {
            self.timers.pop();
            match timer {
                Timer::Link(link) => self.handle_link_timeout(link, at, now),
                Timer::Router(router) => self.handle_router_timeout(router, at, now),
            }
        }
        if !self.links.is_empty() && now >= self.last_hello + self.config.hello_interval {
            self.send_hello(None, now);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let timer = self.timers.peek().map(|Reverse((at, _))| *at);
        let hello = (!self.links.is_empty()).then(|| self.last_hello + self.config.hello_interval);
        let ra = (!self.neighbors.is_empty()).then(|| self.next_ra());
        let compute = self.table.has_changed().then(|| self.compute.open_at());
        let own = self.table.get(RouterIndex::OWN);
        let announce =
            own.filter(|own| *own.edges != *self.announced).map(|_| self.announce.open_at());
        [timer, hello, ra, compute, announce, self.next_repeat()].into_iter().flatten().min()
    }

    pub(super) fn arm_link(&mut self, link: LinkId, now: Instant) {
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

    pub(super) fn handle_link_timeout(&mut self, link: LinkId, at: Instant, now: Instant) {
        let Some(ControlLink { status, armed, .. }) = self.links.get_mut(link) else { return };
        if *armed == Some(at) {
            *armed = None;
        }
        let peer = status.peer.clone();
        if let Some(router) = peer.and_then(|peer| self.table.find(&peer)) {
            self.settle_neighbor(router, now);
        }
        self.arm_link(link, now);
    }

    /// Returns when the next timer of a router is due. A request that may go at once has none: its
    /// router is among the `ready`.
    pub(super) fn due(&self, router: RouterIndex, now: Instant) -> Option<Instant> {
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

    pub(super) fn touch(&mut self, router: RouterIndex, now: Instant) {
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

    pub(super) fn handle_router_timeout(&mut self, router: RouterIndex, at: Instant, now: Instant) {
        let Some(slot) = self.table.get_mut(router) else { return };
        if slot.armed == Some(at) {
            slot.armed = None;
        }
        if !slot.edges.is_empty() && now >= slot.silent + self.config.remote_ls_max_age {
            // Any life may be the present one when the router is back.
            slot.lives.instance = None;
            slot.forget_link_state();
            self.set_edges(router, Vec::new(), now);
        }
        let Some(slot) = self.table.get_mut(router) else { return };
        if slot.unreachable.is_some_and(|since| now >= since + self.config.unreachable_hold_off) {
            slot.unreachable = None;
            self.events.push_back(TopologyEvent::Flush { router, restarted: false });
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

    pub(super) fn forget(&mut self, router: RouterIndex) {
        if let Some(id) = self.table.forget(router) {
            self.full = false;
            self.events.push_back(TopologyEvent::Flush { router, restarted: false });
            self.events.push_back(TopologyEvent::Lost(router, id));
        }
    }
}
