//! The sessions in which streams are sent.
//!
//! A C router is asked how much it holds unread (see `ask`), and its answer is about a whole
//! session. So toward a C router each link for streams has a session of its own. When there is a
//! question, this end attaches a second link there, the gauge: the first one carries the stream
//! itself.

use std::collections::HashMap;

use skupper_proto::engine::{LinkKey, SessionKey};
use skupper_proto::time::Instant;

/// A session in which streams are sent.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// The links for streams here, if this end began the session.
    pub(super) links: usize,
    pub(super) gauge: Option<LinkKey>,
    /// The peer refuses a gauge: its acknowledgements have to do.
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
    /// Returns when [`Outgoing::ask_unread`](super::Outgoing::ask_unread) is to be called.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Sets the time of the next question: a stream waits for the peer to hold less, or the peer
    /// can be asked again.
    pub(super) const fn ask_at(&mut self, now: Instant) {
        self.due = Some(now);
    }

    /// Forgets a gauge that is gone. A peer that detached it wants none.
    pub(super) fn on_gauge_gone(&mut self, session: SessionKey) {
        if let Some(lane) = self.lanes.get_mut(&session) {
            lane.gauge = None;
            lane.refused = true;
        }
    }

    /// Takes the streams that the peer was asked about, now that it has answered.
    pub(super) fn answered(&mut self, session: SessionKey, now: Instant) -> Vec<u32> {
        let Some(lane) = self.lanes.get_mut(&session) else { return Vec::new() };
        let asked = std::mem::take(&mut lane.asked);
        self.ask_at(now);
        asked
    }
}
