//! What one connection holds of the router's memory, and what happens when that is too much.
//!
//! The connection's structures are charged once a turn; heads, deliveries and link records charge
//! for themselves. A client that holds what it may finds the windows of its sessions closed, and
//! further links refused. One that goes on sending is not read, and closed if that does not help.
//! Of a neighbor only messages are held back: control links and the streams of services have their
//! own bounds.

use std::collections::HashSet;
use std::time::Duration;

use skupper_proto::amqp::performative::{Error, Open, Performative};
use skupper_proto::amqp::{Encode, condition};
use skupper_proto::engine::{IncomingKey, LinkKey, SessionKey};
use skupper_proto::time::Instant;

use super::connection::Connection;
use super::settings::Kind;

/// How often a connection that holds too much looks whether others have given back what it waits
/// for.
const LOOK: Duration = Duration::from_millis(50);

/// The same of a neighbor that is read slowly, once a look: 6 MB/s, with which its HELLO comes in
/// time.
const SLOWLY: Duration = Duration::from_millis(10);

/// How long a client that holds far too much is not read before it is closed. What it waits for may
/// be its own words, unread.
const PATIENCE: Duration = Duration::from_secs(10);

/// Octets of memory that a connection in clear takes with one session and nothing attached
/// (measured: 11 KiB), and the factor from the peer's open on the wire to what is kept of it.
const CONNECTION: usize = 11 * 1024;
const OPEN_FACTOR: usize = 4;

/// A connection that holds too much.
pub(super) struct Pressure {
    /// Sessions whose windows are left to close.
    sessions: HashSet<SessionKey>,
    due: Instant,
    /// Octets that it held when it was told to send no more.
    then: usize,
    /// Since when nothing is read.
    stopped: Option<Instant>,
}

impl Pressure {
    /// When the connection looks again.
    pub(super) const fn due(&self) -> Instant {
        self.due
    }

    /// Whether nothing is to be read.
    pub(super) const fn is_stopped(&self) -> bool {
        self.stopped.is_some()
    }
}

/// Octets of memory that a connection takes with what is kept of its peer's open.
pub(super) fn opening(open: &Open) -> usize {
    let mut octets = Vec::new();
    Performative::Open(Box::new(open.clone())).encode(&mut octets);
    CONNECTION + OPEN_FACTOR * octets.len()
}

impl Connection {
    /// Charges what the connection's structures take. To be called once a turn.
    pub(super) fn charge_structures(&mut self) {
        let owed = self.cx.engine.output().len() + self.wire.unflushed();
        self.charge
            .set(self.opening + self.cx.engine.usage().octets + self.wire.input.len() + owed);
        if self.pressure.is_some() || !self.cx.holder.has_room() {
            self.hold_back();
        }
    }

    fn hold_back(&mut self) {
        let held = self.cx.holder.held();
        let far_beyond = self
            .cx
            .holder
            .is_far_beyond(self.pressure.as_ref().map_or(held, |pressure| pressure.then));
        let client = self.cx.kind == Kind::Normal;
        let due = self.cx.now + if far_beyond && !client { SLOWLY } else { LOOK };
        let pressure = self.pressure.get_or_insert_with(|| Pressure {
            sessions: HashSet::new(),
            due,
            then: held,
            stopped: None,
        });
        let looks = pressure.due <= self.cx.now;
        if looks {
            pressure.due = due;
        }
        if self.cx.holder.is_light() || looks && self.cx.holder.has_room() {
            let sessions = std::mem::take(&mut pressure.sessions);
            self.pressure = None;
            for session in sessions {
                self.drained(session);
            }
            return;
        }
        // A neighbor is read once a look.
        let stopped =
            (far_beyond && (client || !looks)).then(|| pressure.stopped.unwrap_or(self.cx.now));
        pressure.stopped = stopped;
        let waited = stopped.is_some_and(|since| self.cx.now.since(since) >= PATIENCE);
        let allowance = self.cx.holder.account().allowance();
        if client && self.cx.life.is_open() && (waited || self.charge.octets() > allowance) {
            let text = format!(
                "the connection holds {} octets of memory, and may hold {}",
                self.cx.holder.held(),
                self.cx.holder.limit()
            );
            crate::log!(Server, Warning, "[C{}] closed: {text}", self.cx.id);
            self.close(Some(Error::new(condition::RESOURCE_LIMIT_EXCEEDED, text)));
        }
    }

    /// A transfer came while the connection holds too much: its session's window is left to close.
    pub(super) fn press(&mut self, delivery: IncomingKey, link: LinkKey) {
        let control = self.links.control_in.and_then(|link| self.cx.engine.session_of(link));
        let Some(session) =
            self.cx.engine.session_of(link).filter(|session| Some(*session) != control)
        else {
            return;
        };
        let goes_on =
            self.cx.kind != Kind::Normal && (self.is_stream(delivery) || self.edge.takes(link));
        if !goes_on
            && let Some(pressure) = &mut self.pressure
            && pressure.sessions.insert(session)
        {
            self.fill_session(session);
        }
    }

    /// A session has ended.
    pub(super) fn forget_pressed(&mut self, session: SessionKey) {
        if self.pressure.as_mut().is_some_and(|pressure| pressure.sessions.remove(&session)) {
            self.drained(session);
        }
    }

    /// Why another link is refused, if the connection holds what it may.
    pub(super) fn allowance_refusal(&self) -> Option<Error> {
        (!self.cx.holder.has_room()).then(|| {
            let text = format!(
                "no memory for another link: {} octets are held, {} may be",
                self.cx.holder.held(),
                self.cx.holder.limit()
            );
            crate::log_limited!(
                self.cx.id,
                Server,
                Warning,
                "[C{}] refused a link: {text}",
                self.cx.id
            );
            Error::new(condition::RESOURCE_LIMIT_EXCEEDED, text)
        })
    }
}
