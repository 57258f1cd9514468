//! RA: takes other routers' and passes them on, sends this router's. Messages of newer versions.

use std::sync::Arc;

use super::lives::Life;
use super::{REPEATS, REPORTED, Topology, TopologyEvent};
use crate::time::Instant;
use crate::topology::belief::Word;
use crate::topology::message::{FLOOD_ADDRESS, Ra, TopologyMessage};
use crate::topology::neighbors::LinkProblem;
use crate::topology::routes::RouterIndex;
use crate::topology::status::Arrival;
use crate::topology::table::Flooded;
use crate::topology::{Config, LinkId, Notice, digest};

impl Topology {
    /// Takes an RA. Returns the control links on which a copy goes on.
    pub(crate) fn handle_ra(
        &mut self,
        arrival: &Arrival<'_>,
        word: Word,
        ra: &Ra,
        now: Instant,
    ) -> Vec<LinkId> {
        if ra.id == self.config.id {
            return Vec::new();
        }
        let Some(router) = self.learn(&ra.id, arrival.link, now) else { return Vec::new() };
        let life = match word {
            Word::Own => self.note_instance(router, ra.instance, None, now),
            _ => self.hear_of_instance(router, ra.instance, now),
        };
        if let Some(slot) = self.table.get_mut(router) {
            match life {
                Life::Former => return Vec::new(),
                Life::Rumored => {}
                Life::Present | Life::New => {
                    slot.note_news(now);
                    slot.lives.rumor = None;
                    slot.advertised(ra, now);
                    let digest = ra.digests.map(|digests| digests.addresses);
                    self.events.push_back(TopologyEvent::Advertised {
                        router,
                        mobile_seq: ra.mobile_seq,
                        digest,
                    });
                }
            }
            slot.arrival = Some(arrival.link);
        }
        self.ready.insert(router);
        self.touch(router, now);
        if self.is_news(router, ra, arrival, now) && self.is_traced(arrival) {
            self.flood_links(arrival)
        } else {
            Vec::new()
        }
    }

    /// Takes an RA that is one of the many useless copies of a flood. Such a copy says no more than
    /// the RA that was passed on lately, and came by no shorter path. In a network of hundreds, two
    /// of three RAs are such copies.
    pub(crate) fn take_copy(&mut self, arrival: &Arrival<'_>, ra: &Ra, now: Instant) -> bool {
        let Some(router) = self.table.find(&ra.id) else { return false };
        let Some(slot) = self.table.get_mut(router) else { return false };
        let is_copy = slot.flooded.is_some_and(|last| last.is_copy(ra, arrival.trace.len(), now));
        let is_known = is_copy
            && slot.lives.instance == ra.instance
            && slot.said.is_some_and(|said| ra.ls_seq <= said);
        if is_known {
            slot.arrival = Some(arrival.link);
        }
        is_known
    }

    /// Whether an RA is to be passed on: it says something new, came by a shorter path than the
    /// last copy (C routers drop messages from afar), or is no copy. This keeps a flood to about
    /// one message a connection. Otherwise an RA would travel every path there is.
    pub(super) fn is_news(
        &mut self,
        router: RouterIndex,
        ra: &Ra,
        arrival: &Arrival<'_>,
        now: Instant,
    ) -> bool {
        let Some(slot) = self.table.get_mut(router).filter(|_| arrival.flooded) else {
            return false;
        };
        let hops = arrival.trace.len();
        let news = slot.flooded.is_none_or(|last| !last.is_copy(ra, hops, now));
        if news {
            let Ra { instance, ls_seq, mobile_seq, .. } = *ra;
            slot.flooded = Some(Flooded { instance, ls_seq, mobile_seq, at: now, hops });
        }
        news
    }

    pub(crate) fn flood_links(&self, arrival: &Arrival<'_>) -> Vec<LinkId> {
        if !arrival.flooded || arrival.trace.routers().any(|id| id == &*self.config.id) {
            return Vec::new();
        }
        let mut links = self.routes.flood_links(&arrival.trace);
        links.retain(|link| *link != arrival.link);
        links
    }

    pub(crate) fn advertise(&mut self, now: Instant) {
        let own =
            self.table.get(RouterIndex::OWN).map(|own| Arc::clone(&own.edges)).unwrap_or_default();
        if *own != *self.announced && self.announce.is_open(now) {
            self.announce.pass(now);
            self.announced = own.to_vec();
            let named = self.table.edges_named(&own);
            self.digests.link_state =
                digest::of_link_state(named.iter().map(|(id, cost)| (&**id, *cost)));
            if let Some(own) = self.table.get_mut(RouterIndex::OWN) {
                own.ls_seq = own.ls_seq.saturating_add(1);
            }
            self.advertise_repeatedly(now);
        }
        while self.next_repeat().is_some_and(|at| at <= now) {
            self.advertise = true;
            self.repeats = self.repeats.map(|(since, done)| (since, done.saturating_add(1)));
        }
        if core::mem::take(&mut self.advertise) || now >= self.next_ra() {
            self.last_ra = now;
            let links: Vec<LinkId> =
                self.neighbors.values().map(|neighbor| neighbor.link).collect();
            let message = self.own_ra();
            self.send(links, FLOOD_ADDRESS, message);
        }
        for router in core::mem::take(&mut self.ready) {
            self.request_link_state(router, now);
        }
    }

    pub(super) fn own_ra(&self) -> TopologyMessage {
        let Config { id, instance, .. } = &self.config;
        let ls_seq = self.own_ls_seq();
        let digests = Some(self.digests);
        TopologyMessage::Ra(Ra {
            id: Arc::clone(id),
            instance: Some(*instance),
            ls_seq,
            mobile_seq: self.mobile_seq,
            digests,
        })
    }

    pub(super) const fn advertise_repeatedly(&mut self, now: Instant) {
        self.advertise = true;
        self.repeats = Some((now, 0));
    }

    pub(super) fn next_repeat(&self) -> Option<Instant> {
        let (since, done) = self.repeats?;
        REPEATS.get(done).map(|after| since + *after)
    }

    /// Returns when the next RA is due whatever happens. A change elsewhere does not cause one at
    /// once: all routers see it.
    pub(super) fn next_ra(&self) -> Instant {
        let Config { ra_interval, ra_interval_flux, .. } = self.config;
        let (quiet, soon) =
            (self.last_ra + ra_interval, self.last_ra.max(self.last_change) + ra_interval_flux);
        if soon <= self.last_change + ra_interval_flux * 2 { quiet.min(soon) } else { quiet }
    }

    /// Takes a message of a newer protocol version: reports it, and passes it on for others when it
    /// is flooded.
    pub(crate) fn handle_newer(
        &mut self,
        arrival: &Arrival<'_>,
        id: &Arc<str>,
        version: i64,
    ) -> Vec<LinkId> {
        let direct = arrival.trace.len() <= 1;
        if direct && !arrival.flooded {
            self.report(arrival.link, LinkProblem::NewerVersion(version));
        }
        if self.newer.len() < REPORTED && self.newer.insert(Arc::clone(id)) {
            self.notice(Notice::NewerVersion { id: Arc::clone(id), version });
        }
        // It may come from the neighbor itself, whose HELLO has a newer version too.
        let is_traced = self.peer(arrival.link).is_none() || self.is_traced(arrival);
        let goes_on =
            arrival.flooded && is_traced && arrival.trace.len() <= self.routes.hop_limit();
        if goes_on { self.flood_links(arrival) } else { Vec::new() }
    }
}
