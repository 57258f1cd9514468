//! The sessions in which streams are sent, and how a C router is asked what it holds unread of
//! each.
//!
//! Its answer is about a whole session, so toward a C router each streaming link has a session of
//! its own. A second link there, the gauge, is attached when there is something to ask: on the
//! first one the stream itself is being sent.

use std::collections::HashMap;
use std::time::Duration;

use skupper_proto::engine::{LinkKey, SessionKey};
use skupper_proto::time::Instant;

use super::{OutLink, Purpose};
use crate::net::connection::Connection;
use crate::net::links::streaming_request;

/// Sessions that are begun for streams; beyond that they share them, and what is held of one counts
/// for all. Far below what C routers take, and enough is left for those that the peer begins.
const SESSIONS: usize = 1024;

/// Streams that are asked about in one go, and how soon the next go follows: thousands may have
/// something unread.
const AT_ONCE: usize = 256;
const NEXT: Duration = Duration::from_millis(1);

/// A session in which streams are sent.
#[derive(Debug, Default)]
struct Lane {
    /// It was begun here, and has so many streaming links.
    links: usize,
    gauge: Option<LinkKey>,
    /// The peer wants no such link: then its acknowledgements have to do.
    refused: bool,
    /// The streams that the next answer is about.
    asked: Vec<u32>,
}

/// The sessions in which streams are sent.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: HashMap<SessionKey, Lane>,
    due: Option<Instant>,
}

impl Lanes {
    /// When [`Connection::ask_unread`] is to be called.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// A stream waits for the peer to hold less, or what hindered a question does so no longer.
    pub(super) const fn ask_at(&mut self, now: Instant) {
        self.due = Some(now);
    }
}

impl Connection {
    /// The session for one more streaming link.
    pub(in crate::net) fn streaming_session(&mut self) -> Option<SessionKey> {
        if self.cx.peer.bounds_unread {
            let lanes = &mut self.outgoing.lanes.lanes;
            let begun = if lanes.len() < SESSIONS { self.cx.engine.begin() } else { None };
            let shared = || {
                lanes.iter().filter(|(_, lane)| lane.links > 0).min_by_key(|(_, lane)| lane.links)
            };
            let session = begun.or_else(|| shared().map(|(session, _)| *session))?;
            lanes.entry(session).or_default().links += 1;
            return Some(session);
        }
        match self.links.streaming {
            Some(session) => Some(session),
            None => Some(*self.links.streaming.insert(self.cx.engine.begin()?)),
        }
    }

    /// A streaming link of a session is gone.
    pub(in crate::net) fn lane_left(&mut self, session: SessionKey) {
        let lanes = &mut self.outgoing.lanes.lanes;
        let Some(lane) = lanes.get_mut(&session).filter(|lane| lane.links > 0) else { return };
        lane.links -= 1;
        if lane.links == 0
            && let Some(lane) = lanes.remove(&session)
        {
            if let Some(gauge) = lane.gauge {
                self.link_gone(gauge);
            }
            self.cx.engine.end(session, None);
        }
    }

    /// A gauge is gone: if the peer detached it, it wants none.
    pub(super) fn gauge_gone(&mut self, session: SessionKey) {
        if let Some(lane) = self.outgoing.lanes.lanes.get_mut(&session) {
            lane.gauge = None;
            lane.refused = true;
        }
    }

    /// Asks what the peer holds of the streams that may have something unread there, if others wait
    /// for that.
    pub(super) fn ask_unread(&mut self) {
        self.outgoing.lanes.due = None;
        if !self.outgoing.is_holding() || !self.cx.settings.role.is_router() {
            return;
        }
        let mut sessions: HashMap<SessionKey, Vec<u32>> = HashMap::new();
        let (asking, mut next) = self.outgoing.to_ask(self.cx.now, AT_ONCE);
        if asking.len() == AT_ONCE {
            next = Some(self.cx.now + NEXT);
        }
        for (slot, link) in asking {
            if let Some(session) = self.cx.engine.session_of(link) {
                sessions.entry(session).or_default().push(slot);
            }
        }
        for (session, slots) in sessions {
            let lane = self.outgoing.lanes.lanes.entry(session).or_default();
            match lane.gauge {
                Some(gauge) => {
                    if self.cx.engine.ask(gauge) {
                        lane.asked.clone_from(&slots);
                        self.outgoing.asked(&slots);
                    }
                }
                None if lane.refused => {}
                None => {
                    lane.gauge = self.cx.engine.attach(session, streaming_request(self.cx.kind));
                    if let Some(gauge) = lane.gauge {
                        self.outgoing.links.insert(gauge, OutLink::new(Purpose::Gauge(session)));
                    }
                }
            }
        }
        self.outgoing.lanes.due = next;
    }

    /// The peer's answer: octets of a session that it held.
    pub(in crate::net) fn held(&mut self, session: SessionKey, octets: u64) {
        let Some(lane) = self.outgoing.lanes.lanes.get_mut(&session) else { return };
        let slots = std::mem::take(&mut lane.asked);
        self.outgoing.lanes.ask_at(self.cx.now);
        self.told(session, &slots, octets);
    }
}
