//! The connection: its state, and its outputs.
//!
//! Other files of this folder add the calls of the application and the handlers of frames.

use std::collections::VecDeque;

use slab::Slab;

use super::STEPS;
use super::config::Config;
use super::delivery::{Incoming, Outgoing, RangeDisposition};
use super::event::Event;
use super::key::{LinkKey, SessionKey};
use super::link::Link;
use super::output::Output;
use super::phase::Phase;
use super::remote::Remote;
use super::session::Session;
use super::slots::Slots;
use super::timers::Timers;
use crate::amqp::performative::{MAX_STATE, Open};
use crate::keys::KeyMap;
use crate::time::Instant;

/// How much a connection holds: for tests, metrics and limits of the owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Sessions that have not ended at both ends.
    pub sessions: usize,
    /// Links, see [`Connection::link_count`].
    pub links: usize,
    /// Deliveries of the peer that this end has not settled.
    pub incoming: usize,
    /// Deliveries of ours that are incomplete or unsettled.
    pub outgoing: usize,
    /// Bytes of memory that sessions, links with their names, and the peer's deliveries take,
    /// without their payloads.
    pub octets: usize,
}

/// One AMQP connection. The [module](super) says how to drive it.
#[derive(Debug)]
pub struct Connection {
    pub(super) config: Config,
    pub(super) phase: Phase,
    /// Our open waits until the owner has seen the peer's.
    pub(super) holds_open: bool,
    /// The windows of sessions follow the peer's rate.
    pub(super) adapts_windows: bool,
    pub(super) events: VecDeque<Event>,
    pub(super) output: Output,
    pub(super) remote: Remote,
    pub(super) timers: Timers,
    pub(super) sessions: Slots<Session>,
    /// Sessions by the channels that the peer sends on. A channel has 16 bits, so few can share a
    /// bucket whatever the peer chooses.
    pub(super) channels: KeyMap<u16, SessionKey>,
    /// Sessions by the channels that this end sends on.
    pub(super) local_channels: Slab<SessionKey>,
    pub(super) links: Slots<Link>,
    /// Bytes in the names of all links.
    pub(super) names: usize,
    pub(super) incoming: Slots<Incoming>,
    pub(super) outgoing: Slots<Outgoing>,
    pub(super) next_tag: u64,
    /// A disposition that was not carried out whole.
    pub(super) pending: Option<Box<RangeDisposition>>,
    /// The steps that are left of this call, see [`STEPS`].
    pub(super) steps: u32,
}

impl Connection {
    /// Makes a connection over a transport that was just established. A client's first bytes are in
    /// the output at once.
    pub fn new(config: Config, now: Instant) -> Self {
        let timers = Timers::new(config.handshake_timeout, now);
        let mut connection = Self {
            config,
            phase: Phase::SaslHeader,
            holds_open: false,
            adapts_windows: false,
            events: VecDeque::new(),
            output: Output::default(),
            remote: Remote::new(),
            timers,
            sessions: Slots::new(),
            channels: KeyMap::default(),
            local_channels: Slab::new(),
            links: Slots::new(),
            names: 0,
            incoming: Slots::new(),
            outgoing: Slots::new(),
            next_tag: 0,
            pending: None,
            steps: STEPS,
        };
        connection.start();
        connection
    }

    // ----- outputs -----

    /// Returns the next event. Call it until it returns `None`: only then can keys that were given
    /// back be used again.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front();
        if event.is_none() {
            self.sessions.release();
            self.links.release();
            self.incoming.release();
            self.outgoing.release();
        }
        event
    }

    /// Returns the bytes that are to be written. After writing, [`Output::clear`] them.
    pub fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    /// Notes that bytes of the output were handed to the transport. Call it then, and only then:
    /// the idle timeout that the peer set counts from it.
    pub fn sent(&mut self, now: Instant) {
        self.timers.sent(now);
    }

    /// Returns when [`Connection::handle_timeout`] must be called at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next(self.phase, self.config.idle_timeout)
    }

    // ----- getters -----

    /// Returns the peer's open, once it has arrived, until it is taken.
    pub fn remote(&self) -> Option<&Open> {
        self.remote.open.as_deref()
    }

    /// Gives the peer's open away. The connection does not need it, and it may take much memory.
    pub fn take_remote(&mut self) -> Option<Box<Open>> {
        self.remote.open.take()
    }

    /// Whether both ends are open.
    pub fn is_open(&self) -> bool {
        self.phase.is_opened()
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.phase.is_closed()
    }

    /// Returns how many links exist: attached, about to be, or detached here and not yet by the
    /// peer.
    pub fn link_count(&self) -> usize {
        self.links.len()
    }

    /// Returns what the connection holds.
    pub fn usage(&self) -> Usage {
        Usage {
            sessions: self.sessions.len(),
            links: self.links.len(),
            incoming: self.incoming.len(),
            outgoing: self.outgoing.len(),
            octets: self.sessions.len() * Session::TAKES
                + self.links.len() * Link::TAKES
                + self.names
                + self.incoming.len() * Incoming::TAKES,
        }
    }

    /// Returns the session of a link.
    pub fn session_of(&self, link: LinkKey) -> Option<SessionKey> {
        self.link(link).map(|link| link.session)
    }

    /// Returns how many deliveries the peer lets this end send on a link.
    pub fn credit(&self, link: LinkKey) -> u32 {
        self.link(link).map_or(0, Link::credit)
    }

    /// Returns how many transfers a link's session may send before the peer opens its window again.
    pub fn window(&self, link: LinkKey) -> u32 {
        self.link(link)
            .and_then(|link| self.session(link.session))
            .map_or(0, |session| session.outgoing_window.left())
    }

    /// Whether a link has deliveries that are incomplete or unsettled.
    pub fn has_deliveries(&self, link: LinkKey) -> bool {
        self.link(link).is_some_and(|link| !link.deliveries.is_empty())
    }

    /// Returns how many bytes of payload one transfer can hold.
    pub fn max_payload(&self) -> usize {
        self.remote.max_payload()
    }

    /// Returns how many bytes of a delivery's state one frame can hold beside the rest of a
    /// disposition, or of a transfer and some payload.
    pub(super) fn max_state(&self) -> usize {
        MAX_STATE.min(self.max_payload() - 32)
    }

    pub(super) fn link(&self, key: LinkKey) -> Option<&Link> {
        self.links.get(key.0)
    }

    pub(super) fn session(&self, key: SessionKey) -> Option<&Session> {
        self.sessions.get(key.0.into())
    }

    pub(super) fn session_mut(&mut self, key: SessionKey) -> Option<&mut Session> {
        self.sessions.get_mut(key.0.into())
    }
}
