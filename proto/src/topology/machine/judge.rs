//! The source of a message, and whether it came by the right path.

use super::Topology;
use crate::time::Instant;
use crate::topology::LinkId;
use crate::topology::belief::Word;
use crate::topology::message::{Lsu, Ra};
use crate::topology::routes::RouterIndex;
use crate::topology::status::Arrival;

/// The cost of another router's tree in a neighbor's allowance. In a network of thousands a tree
/// takes a millisecond, as does an answer of as many bytes: 256 a second, a quarter of a processor.
const TREE_COST: usize = 16 * 1024;

impl Topology {
    /// Returns the source of a message that names the router `id` as its sender. HELLO has rules of
    /// its own.
    pub(crate) fn word_of(&self, arrival: &Arrival<'_>, id: &str) -> Word {
        let Some(peer) = self.peer(arrival.link) else { return Word::Refused };
        match arrival.trace.routers().last() {
            Some(last) if last != peer => return Word::Refused,
            Some(_) => {}
            // A router that leaves the trace out can speak for itself only.
            None if id != peer => return Word::Refused,
            None => {}
        }
        if id == peer && arrival.trace.len() <= 1 {
            return Word::Own;
        }
        let neighbor = self.find(id).filter(|router| self.neighbors.contains_key(router));
        let is_straight =
            neighbor.is_some_and(|neighbor| self.routes.before(neighbor) == Some(neighbor));
        if is_straight { Word::Astray } else { Word::PassedOn }
    }

    /// Whether a message for another router may be passed on: its trace ends with the neighbor that
    /// sent it.
    pub(crate) fn is_traced(&self, arrival: &Arrival<'_>) -> bool {
        let peer = self.peer(arrival.link);
        peer.is_some() && arrival.trace.routers().last() == peer
    }

    /// Whether a change of addresses came by the path that its sender's changes take. If that is
    /// not known, and the neighbor's allowance does not let it be computed, it counts as not: this
    /// router will ask.
    pub(crate) fn is_on_tree(
        &mut self,
        arrival: &Arrival<'_>,
        sender: RouterIndex,
        now: Instant,
    ) -> bool {
        if self.routes.route(sender).is_none() {
            return true;
        }
        if !self.routes.has_tree(sender) && !self.allow_answer(arrival.link, TREE_COST, now) {
            return false;
        }
        let before = self.routes.before(sender).and_then(|before| self.id(before));
        before.is_none_or(|before| self.peer(arrival.link) == Some(before))
    }

    /// Whether a request that came by a link may cost an answer of `octets` bytes.
    pub(crate) fn allow_answer(&mut self, link: LinkId, octets: usize, now: Instant) -> bool {
        self.links.get_mut(link).is_some_and(|link| link.answers.take(octets, now))
    }

    pub(super) fn peer(&self, link: LinkId) -> Option<&str> {
        self.links.get(link)?.status.peer.as_deref()
    }

    /// Takes an RA that came by another path than its router's own link. C routers send an RA by
    /// their shortest paths only. So the link may no longer be the shortest, and the router is
    /// asked.
    pub(crate) fn handle_astray_ra(&mut self, ra: &Ra, now: Instant) {
        let Some(router) = self.table.find(&ra.id) else { return };
        let Some(slot) = self.table.get_mut(router) else { return };
        if slot.said_digest.is_none()
            && slot.lives.instance == ra.instance
            && slot.ls_seq != ra.ls_seq
        {
            slot.check = true;
            self.ready.insert(router);
            self.touch(router, now);
        }
    }

    /// Whether a neighbor with this link state has a shorter path to this router than its own link.
    pub(super) fn shows_detour(&self, lsu: &Lsu) -> bool {
        let Some((_, direct)) = lsu.peers.iter().find(|(id, _)| *id == self.config.id) else {
            return false;
        };
        // Both ends of a connection give it the same cost.
        let by = |id: &str| self.routes.route(self.find(id)?).map(|route| route.cost);
        let costs = lsu
            .peers
            .iter()
            .filter_map(|(id, cost)| Some(by(id)?.saturating_add(u64::from(*cost))));
        costs.min().is_some_and(|cost| cost < u64::from(*direct))
    }
}
