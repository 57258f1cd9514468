//! LSU and LSR: takes, asks for and answers with link states.

use std::sync::Arc;

use super::{Topology, TopologyEvent};
use crate::time::Instant;
use crate::topology::belief::Word;
use crate::topology::message::{Lsr, Lsu, TopologyMessage};
use crate::topology::pace::SPACING;
use crate::topology::routes::{Edge, RouterIndex};
use crate::topology::status::Arrival;
use crate::topology::{Config, LinkId, Notice};

/// About how many bytes an LSU takes on the wire.
const LSU_OCTETS: usize = 256;

/// About how many bytes a neighbor takes in an LSU beyond its id.
const PEER_OCTETS: usize = 8;

impl Topology {
    pub(crate) fn handle_lsu(
        &mut self,
        arrival: &Arrival<'_>,
        word: Word,
        lsu: &Lsu,
        now: Instant,
    ) {
        if lsu.id == self.config.id {
            return;
        }
        let Some(router) = self.learn(&lsu.id, arrival.link, now) else { return };
        let shows_detour = word == Word::Astray && self.shows_detour(lsu);
        let Some(slot) = self.table.get_mut(router) else { return };
        let word = match word {
            Word::Astray
                if slot.lives.instance == lsu.instance && slot.take_astray(lsu, shows_detour) =>
            {
                Word::PassedOn
            }
            Word::Astray => return,
            word => word,
        };
        if let Some(instance) = lsu.instance {
            match *slot.lives.instance.get_or_insert(instance) {
                known if known == instance => slot.lives.rumor = None,
                known if slot.lives.rumor == Some(instance) => {
                    self.begin_life(router, known, instance, now)
                }
                // An answer of another life. If that is the present one, its RA will say so.
                _ => return,
            }
        }
        let Some(slot) = self.table.get_mut(router) else { return };
        slot.arrival = Some(arrival.link);
        let first = !slot.told;
        if slot.take_link_state(lsu, word, now) {
            let room = self.table.room_for_edges(router);
            let mut edges = Vec::with_capacity(lsu.peers.len().min(room));
            for (id, cost) in lsu.peers.iter().take(room) {
                let to = self.learn(id, arrival.link, now).filter(|to| *to != router);
                edges.extend(to.map(|to| Edge { to, cost: *cost }));
            }
            let partial = edges.len() < lsu.peers.len();
            edges.sort_unstable_by_key(|edge| edge.to);
            edges.dedup_by_key(|edge| edge.to);
            self.set_edges(router, edges, now);
            if let Some(slot) = self.table.get_mut(router) {
                slot.partial = partial;
            }
        }
        if first && self.table.get(router).is_some_and(|slot| slot.told) {
            self.events.push_back(TopologyEvent::Discovered(router));
        }
        self.ready.insert(router);
        self.touch(router, now);
    }

    pub(crate) fn handle_lsr(&mut self, arrival: &Arrival<'_>, lsr: &Lsr, now: Instant) {
        if lsr.id == self.config.id {
            return;
        }
        let Some(router) = self.learn(&lsr.id, arrival.link, now) else { return };
        let ls_seq = self.own_ls_seq();
        let Some(slot) = self.table.get_mut(router) else { return };
        slot.arrival = Some(arrival.link);
        if slot.replied.is_some_and(|(at, seq)| seq == ls_seq && now < at + SPACING) {
            return;
        }
        let peers = self.table.edges_named(&self.announced);
        let octets = peers.iter().fold(LSU_OCTETS, |sum, (id, _)| {
            sum.saturating_add(id.len()).saturating_add(PEER_OCTETS)
        });
        if !self.allow_answer(arrival.link, octets, now) {
            return;
        }
        if let Some(slot) = self.table.get_mut(router) {
            slot.replied = Some((now, ls_seq));
        }
        let Config { id, instance, .. } = &self.config;
        let lsu = Lsu { id: Arc::clone(id), instance: Some(*instance), ls_seq, peers };
        self.send_to(router, TopologyMessage::Lsu(lsu));
        self.touch(router, now);
    }

    pub(super) fn request_link_state(&mut self, router: RouterIndex, now: Instant) {
        let Some(slot) = self.table.get(router) else { return };
        if slot.is_wanted() && slot.request.due() <= now && self.link_toward(router).is_some() {
            let routed = self.routes.route(router).is_some();
            if let Some(slot) = self.table.get_mut(router) {
                slot.request.sent(now);
                slot.routed = routed;
            }
            let lsr = Lsr { id: Arc::clone(&self.config.id) };
            self.send_to(router, TopologyMessage::Lsr(lsr));
        }
        self.touch(router, now);
    }

    pub(super) fn learn(
        &mut self,
        id: &Arc<str>,
        via: LinkId,
        now: Instant,
    ) -> Option<RouterIndex> {
        let router = self.table.learn(id, via, now);
        match router {
            Some(router) => self.touch(router, now),
            None if !core::mem::replace(&mut self.full, true) => {
                self.notice(Notice::TooManyRouters { id: Arc::clone(id) })
            }
            None => {}
        }
        router
    }

    pub(super) fn set_edges(&mut self, router: RouterIndex, edges: Vec<Edge>, now: Instant) {
        for left in self.table.set_edges(router, edges) {
            self.table.check_orphan(left, self.neighbors.contains_key(&left), now);
            self.touch(left, now);
        }
    }
}
