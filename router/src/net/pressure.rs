//! The memory that one connection takes, and the measures against one that takes too much.
//!
//! The task charges the connection's structures once a turn. Heads, deliveries and link records
//! charge for themselves. A client beyond its part finds its session windows closed and further
//! links refused. If it goes on sending, the task stops reading, and closes the connection if that
//! does not help. Of a neighbor only messages are held back: control links and streams have their
//! own bounds.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use skupper_proto::amqp::performative::{Error, Open, Performative};
use skupper_proto::amqp::{Encode, condition};
use skupper_proto::engine::{IncomingKey, LinkKey, SessionKey};
use skupper_proto::time::Instant;

use super::context::Context;
use super::link_layer::LinkLayer;
use crate::core::{Charge, Holder};

/// How often a connection that holds too much looks whether others have given back memory.
const LOOK: Duration = Duration::from_millis(50);

/// The same for a neighbor, which is read once a look: at 6 MB/s its HELLO comes in time.
const SLOWLY: Duration = Duration::from_millis(10);

/// How long the task does not read a client that holds far too much before it closes the
/// connection. The client may wait for its own messages, which it does not read.
const PATIENCE: Duration = Duration::from_secs(10);

/// The bytes of memory that a connection in clear takes with one session and nothing attached
/// (measured: 11 KiB), and the factor from the peer's open on the wire to its kept parts.
const CONNECTION: usize = 11 * 1024;
const OPEN_FACTOR: usize = 4;

/// A connection that holds too much.
struct Pressure {
    /// Sessions whose windows are left to close.
    sessions: HashSet<SessionKey>,
    due: Instant,
    /// The bytes that it held when its windows were closed.
    then: usize,
    /// The instant at which the task stopped reading.
    stopped: Option<Instant>,
}

/// The memory that a connection takes.
pub(super) struct Burden {
    /// The charge for its structures.
    charge: Charge,
    /// The part of the charge that never changes.
    opening: usize,
    pressure: Option<Pressure>,
}

/// Returns the bytes of memory that a connection takes with the kept parts of its peer's open.
fn opening(open: &Open) -> usize {
    let mut octets = Vec::new();
    Performative::Open(Box::new(open.clone())).encode(&mut octets);
    CONNECTION + OPEN_FACTOR * octets.len()
}

impl Burden {
    /// Makes the burden of a connection that holds nothing.
    pub(super) fn new(holder: &Arc<Holder>) -> Self {
        Self { charge: holder.charge(0), opening: 0, pressure: None }
    }

    /// Adds the peer's open, which has arrived.
    pub(super) fn on_opened(&mut self, open: &Open) {
        self.opening = opening(open);
    }

    /// Returns when [`Burden::weigh`] is to be called again.
    pub(super) fn due(&self) -> Option<Instant> {
        self.pressure.as_ref().map(|pressure| pressure.due)
    }

    /// Returns whether the task must not read.
    pub(super) fn stops_reading(&self) -> bool {
        self.pressure.as_ref().is_some_and(|pressure| pressure.stopped.is_some())
    }

    /// Charges the connection's structures; `beside` counts the bytes that wait outside of the link
    /// layer. To be called once a turn. Returns the error with which to close the connection if it
    /// holds far too much.
    pub(super) fn weigh(&mut self, links: &mut LinkLayer, beside: usize) -> Option<Error> {
        let engine = &mut links.cx.engine;
        let owed = engine.output().len() + beside;
        self.charge.set(self.opening + engine.usage().octets + owed);
        if self.pressure.is_some() || !links.cx.holder.has_room() {
            return self.hold_back(links);
        }
        None
    }

    fn hold_back(&mut self, links: &mut LinkLayer) -> Option<Error> {
        let cx = &mut links.cx;
        let (held, now, client) = (cx.holder.held(), cx.now, cx.is_client);
        let far_beyond =
            cx.holder.is_far_beyond(self.pressure.as_ref().map_or(held, |pressure| pressure.then));
        let due = now + if far_beyond && !client { SLOWLY } else { LOOK };
        let pressure = self.pressure.get_or_insert_with(|| Pressure {
            sessions: HashSet::new(),
            due,
            then: held,
            stopped: None,
        });
        let looks = pressure.due <= now;
        if looks {
            pressure.due = due;
        }
        if cx.holder.is_light() || looks && cx.holder.has_room() {
            let sessions = std::mem::take(&mut pressure.sessions);
            self.pressure = None;
            for session in sessions {
                links.incoming.release_session(cx, session);
            }
            return None;
        }
        // A neighbor is read once a look.
        let stopped = (far_beyond && (client || !looks)).then(|| pressure.stopped.unwrap_or(now));
        pressure.stopped = stopped;
        let waited = stopped.is_some_and(|since| now.since(since) >= PATIENCE);
        let allowance = cx.holder.account().allowance();
        let closes = client && cx.life.is_open() && (waited || self.charge.octets() > allowance);
        closes.then(|| {
            let text = format!(
                "the connection holds {} octets of memory, and may hold {}",
                cx.holder.held(),
                cx.holder.limit()
            );
            crate::log!(Server, Warning, "[C{}] closed: {text}", cx.id);
            Error::new(condition::RESOURCE_LIMIT_EXCEEDED, text)
        })
    }

    /// Leaves the window of a transfer's session to close while the connection holds too much.
    pub(super) fn on_transfer(
        &mut self,
        links: &mut LinkLayer,
        delivery: IncomingKey,
        link: LinkKey,
    ) {
        let Some(pressure) = &mut self.pressure else { return };
        let LinkLayer { cx, incoming, .. } = links;
        let control = incoming.routing_link().and_then(|link| cx.engine.session_of(link));
        let Some(session) = cx.engine.session_of(link).filter(|session| Some(*session) != control)
        else {
            return;
        };
        let goes_on =
            !cx.is_client && (incoming.is_stream(delivery) || incoming.own_use(link).is_some());
        if !goes_on && pressure.sessions.insert(session) {
            incoming.hold_session(cx, session);
        }
    }

    /// Forgets a session that has ended.
    pub(super) fn on_session_ended(&mut self, links: &mut LinkLayer, session: SessionKey) {
        if self.pressure.as_mut().is_some_and(|pressure| pressure.sessions.remove(&session)) {
            links.incoming.release_session(&mut links.cx, session);
        }
    }
}

impl Context {
    /// Returns why another link is refused, if the connection holds what it may.
    pub(super) fn allowance_refusal(&self) -> Option<Error> {
        (!self.holder.has_room()).then(|| {
            let text = format!(
                "no memory for another link: {} octets are held, {} may be",
                self.holder.held(),
                self.holder.limit()
            );
            crate::log_limited!(self.id, Server, Warning, "[C{}] refused a link: {text}", self.id);
            Error::new(condition::RESOURCE_LIMIT_EXCEEDED, text)
        })
    }
}
