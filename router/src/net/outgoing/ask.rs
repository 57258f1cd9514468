//! The choice of a session for each link for streams, and the questions about unread bytes.

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

/// The most sessions that are begun for streams. Beyond that links share them, and an answer about
/// one counts for all of its streams. C routers take far more, and enough are left for those that
/// the peer begins.
const SESSIONS: usize = 1024;

/// The most streams that one question covers, and how soon the next one follows: thousands of
/// streams may have unread bytes.
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

    /// Takes a link for streams out of a session, which ends with its last.
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

    /// Asks what the peer holds of the streams that may have unread bytes, if other streams wait
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

    /// Returns the streams to ask about, with their links, and when there will be more.
    fn to_ask(&self, now: Instant, most: usize) -> (Vec<(u32, LinkKey)>, Option<Instant>) {
        // Bytes that wait for the session's window are counted, and not sent.
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

    /// Notes that the peer was asked about streams.
    fn on_asked(&mut self, slots: &[u32]) {
        for slot in slots {
            if let Some(entry) = self.slots.get_mut(*slot as usize) {
                entry.unread.asked();
            }
        }
    }
}
