//! The sessions in which streams are sent, and how a C router is asked what it holds unread of
//! each.
//!
//! Its answer is about a whole session, so toward a C router each streaming link has a session of
//! its own. A second link there, the gauge, is attached when there is something to ask: on the
//! first one the stream itself is being sent.

use std::collections::HashMap;

use skupper_proto::engine::{LinkKey, SessionKey};
use skupper_proto::time::Instant;

/// A session in which streams are sent.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// It was begun here, and has so many streaming links.
    pub(super) links: usize,
    pub(super) gauge: Option<LinkKey>,
    /// The peer wants no such link: then its acknowledgements have to do.
    pub(super) refused: bool,
    /// The streams that the next answer is about.
    pub(super) asked: Vec<u32>,
}

/// The sessions in which streams are sent.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    /// The session of all streams to a router of ours.
    pub(super) shared: Option<SessionKey>,
    pub(super) lanes: HashMap<SessionKey, Lane>,
    pub(super) due: Option<Instant>,
}

impl Lanes {
    /// Returns when [`Outgoing::ask_unread`] is to be called.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// A stream waits for the peer to hold less, or what hindered a question does so no longer.
    pub(super) const fn ask_at(&mut self, now: Instant) {
        self.due = Some(now);
    }

    /// A gauge is gone: if the peer detached it, it wants none.
    pub(super) fn on_gauge_gone(&mut self, session: SessionKey) {
        if let Some(lane) = self.lanes.get_mut(&session) {
            lane.gauge = None;
            lane.refused = true;
        }
    }

    /// The peer has answered the question about a session. Returns the streams that were asked
    /// about.
    pub(super) fn answered(&mut self, session: SessionKey, now: Instant) -> Vec<u32> {
        let Some(lane) = self.lanes.get_mut(&session) else { return Vec::new() };
        let asked = std::mem::take(&mut lane.asked);
        self.ask_at(now);
        asked
    }
}
