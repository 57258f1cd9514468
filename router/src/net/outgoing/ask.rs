//! The sessions of streams are chosen, and the peer is asked what it holds unread of each.

use std::collections::HashMap;
use std::time::Duration;

use skupper_proto::amqp::performative::Role;
use skupper_proto::engine::{AttachRequest, LinkKey, SessionKey};
use skupper_proto::time::Instant;

use super::Outgoing;
use super::link::{OutLink, Purpose};
use super::outbound::Outbound;
use crate::net::attach::request;
use crate::net::context::Context;

/// Sessions that are begun for streams; beyond that they share them, and what is held of one counts
/// for all. Far below what C routers take, and enough is left for those that the peer begins.
const SESSIONS: usize = 1024;

/// Streams that are asked about in one go, and how soon the next go follows: thousands may have
/// something unread.
const AT_ONCE: usize = 256;
const NEXT: Duration = Duration::from_millis(1);

/// Returns the attach of a link for streams.
fn streaming_request(cx: &Context) -> AttachRequest {
    request(Role::Sender, cx.stream_capability)
}

impl Outgoing {
    /// Attaches one more link for streams. Returns none if the peer's limits leave no room.
    pub(super) fn attach_stream(&mut self, cx: &mut Context) -> Option<(LinkKey, SessionKey)> {
        let session = self.streaming_session(cx)?;
        match cx.engine.attach(session, streaming_request(cx)) {
            Some(link) => Some((link, session)),
            None => {
                self.leave_lane(cx, session);
                None
            }
        }
    }

    /// Returns the session for one more link for streams.
    fn streaming_session(&mut self, cx: &mut Context) -> Option<SessionKey> {
        if cx.peer.bounds_unread {
            let lanes = &mut self.lanes.lanes;
            let begun = if lanes.len() < SESSIONS { cx.engine.begin() } else { None };
            let shared = || {
                lanes.iter().filter(|(_, lane)| lane.links > 0).min_by_key(|(_, lane)| lane.links)
            };
            let session = begun.or_else(|| shared().map(|(session, _)| *session))?;
            lanes.entry(session).or_default().links += 1;
            return Some(session);
        }
        match self.lanes.shared {
            Some(session) => Some(session),
            None => Some(*self.lanes.shared.insert(cx.engine.begin()?)),
        }
    }

    /// A link for streams is gone from a session, which ends with the last.
    pub(super) fn leave_lane(&mut self, cx: &mut Context, session: SessionKey) {
        let lanes = &mut self.lanes.lanes;
        let Some(lane) = lanes.get_mut(&session).filter(|lane| lane.links > 0) else { return };
        lane.links -= 1;
        if lane.links == 0
            && let Some(lane) = lanes.remove(&session)
        {
            if let Some(gauge) = lane.gauge {
                self.on_detached(cx, gauge);
                cx.records.remove(&gauge);
            }
            cx.engine.end(session, None);
            self.on_session_ended(session);
        }
    }

    /// Asks what the peer holds of the streams that may have something unread there, if others wait
    /// for that.
    pub(super) fn ask_unread(&mut self, cx: &mut Context) {
        self.lanes.due = None;
        if self.held.is_empty() || !cx.settings.role.is_router() {
            return;
        }
        let mut sessions: HashMap<SessionKey, Vec<u32>> = HashMap::new();
        let (asking, mut next) = self.to_ask(cx.now, AT_ONCE);
        if asking.len() == AT_ONCE {
            next = Some(cx.now + NEXT);
        }
        for (slot, link) in asking {
            if let Some(session) = cx.engine.session_of(link) {
                sessions.entry(session).or_default().push(slot);
            }
        }
        for (session, slots) in sessions {
            let lane = self.lanes.lanes.entry(session).or_default();
            match lane.gauge {
                Some(gauge) => {
                    if cx.engine.ask(gauge) {
                        lane.asked.clone_from(&slots);
                        self.on_asked(&slots);
                    }
                }
                None if lane.refused => {}
                None => {
                    lane.gauge = cx.engine.attach(session, streaming_request(cx));
                    if let Some(gauge) = lane.gauge {
                        self.links.insert(gauge, OutLink::attaching(Purpose::Gauge(session)));
                    }
                }
            }
        }
        self.lanes.due = next;
    }

    /// Returns the streams that the peer is to be asked about, with their links, and when there
    /// will be more.
    fn to_ask(&self, now: Instant, most: usize) -> (Vec<(u32, LinkKey)>, Option<Instant>) {
        // What waits for the session's window is counted, and not sent.
        let asked = |(slot, entry): (usize, &Outbound)| {
            let (link, _) =
                entry.begun().filter(|_| entry.is_flushed() && entry.unread.wants_to_know(now))?;
            Some((u32::try_from(slot).ok()?, link))
        };
        let later = |(_, entry): (usize, &Outbound)| entry.unread.due().filter(|due| *due > now);
        (
            self.slots.iter().filter_map(asked).take(most).collect(),
            self.slots.iter().filter_map(later).min(),
        )
    }

    /// The peer was asked about streams.
    fn on_asked(&mut self, slots: &[u32]) {
        for slot in slots {
            if let Some(entry) = self.slots.get_mut(*slot as usize) {
                entry.unread.asked();
            }
        }
    }
}
