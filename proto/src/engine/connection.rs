//! The connection: frames in, timers, and the life of sessions and links.

use core::time::Duration;
use std::collections::{HashMap, VecDeque};

use bytes::{Buf, Bytes, BytesMut};
use slab::Slab;

use super::STEPS;
use super::config::Config;
use super::delivery::{Incoming, IncomingKey, Outgoing, OutgoingKey};
use super::event::{Closed, Event, Initiator};
use super::link::{Link, LinkKey};
use super::output::Output;
use super::receive::Told;
use super::session::{Session, SessionKey};
use super::slots::Slots;
use crate::amqp::frame::{self, FrameHeader};
use crate::amqp::performative::{Close, Error, MAX_STATE, Open, Performative, Role};
use crate::amqp::{Reader, condition};
use crate::keys::KeyMap;
use crate::silence::Pause;
use crate::time::Instant;

/// Where the conversation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The SASL protocol header is expected (as server: or a bare AMQP header).
    SaslHeader,
    /// SASL frames.
    Sasl,
    /// The AMQP protocol header is expected.
    AmqpHeader,
    /// The peer's open is expected.
    Open,
    /// Both ends are open.
    Opened,
    /// We have sent close and wait for the peer's.
    Closing,
    /// Over.
    Closed,
}

/// How much a connection holds: for tests, metrics and limits of the owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Sessions that have not ended at both ends.
    pub sessions: usize,
    /// Links, see [`Connection::link_count`].
    pub links: usize,
    /// Deliveries of the peer that we have not settled.
    pub incoming: usize,
    /// Deliveries of ours that are incomplete or unsettled.
    pub outgoing: usize,
    /// Octets of memory that sessions, links with their names, and the peer's deliveries take
    /// here, without their payloads.
    pub octets: usize,
}

/// How long the peer's close is awaited after ours.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The shortest time between two empty frames, however short the idle-time-out that the peer
/// announces: a peer is not to make us work by a number in its open.
pub(super) const MIN_HEARTBEAT: Duration = Duration::from_millis(50);

/// The most octets of a transfer's frame header with its performative: 8 of the frame, 40 of the
/// tag, 36 of all else.
const TRANSFER_OVERHEAD: u32 = 96;

/// Octets of the least window that follows what the peer sends: a second's worth of a way of 8
/// Mbit/s.
const LEAST_WINDOW: u32 = 1024 * 1024;

/// One AMQP connection. See the [module](super) for how it is driven.
#[derive(Debug)]
pub struct Connection {
    pub(super) config: Config,
    pub(super) phase: Phase,
    pub(super) mechanism: Option<&'static str>,
    /// The owner looks at the client's credentials.
    pub(super) verifying: bool,
    /// Our open waits until the owner has seen the peer's.
    pub(super) holds_open: bool,
    /// Sessions' windows follow what the peer sends.
    pub(super) adapts_windows: bool,
    pub(super) events: VecDeque<Event>,
    pub(super) output: Output,
    pub(super) remote: Option<Box<Open>>,
    /// The highest channel that the peer takes.
    pub(super) remote_channel_max: u16,
    pub(super) open_sent: bool,
    pub(super) sessions: Slots<Session>,
    /// Sessions by the channels that the peer sends on: of 16 bits, so that few can share a place
    /// whatever it chooses.
    pub(super) channels: KeyMap<u16, SessionKey>,
    /// Sessions by the channels that we send on.
    pub(super) local_channels: Slab<SessionKey>,
    pub(super) links: Slots<Link>,
    /// Octets in the names of all links.
    pub(super) names: usize,
    pub(super) incoming: Slots<Incoming>,
    pub(super) outgoing: Slots<Outgoing>,
    pub(super) next_tag: u64,
    pub(super) remote_max_frame: u32,
    /// How long we may be silent before the peer is sent an empty frame.
    pub(super) heartbeat: Option<Duration>,
    /// When the peer was heard last; time in which this end did not run is left out.
    pub(super) last_received: Instant,
    pub(super) last_sent: Instant,
    pub(super) deadline: Option<Instant>,
    /// A disposition that has not been carried out whole.
    pub(super) told: Option<Box<Told>>,
    /// What is left of the steps of this call, see [`STEPS`].
    pub(super) steps: u32,
}

impl Connection {
    /// A connection over a transport that was just established.
    pub fn new(config: Config, now: Instant) -> Self {
        let deadline =
            (!config.handshake_timeout.is_zero()).then(|| now + config.handshake_timeout);
        let mut connection = Self {
            config,
            phase: Phase::SaslHeader,
            mechanism: None,
            verifying: false,
            holds_open: false,
            adapts_windows: false,
            events: VecDeque::new(),
            output: Output::default(),
            remote: None,
            remote_channel_max: 0,
            open_sent: false,
            sessions: Slots::new(),
            channels: KeyMap::default(),
            local_channels: Slab::new(),
            links: Slots::new(),
            names: 0,
            incoming: Slots::new(),
            outgoing: Slots::new(),
            next_tag: 0,
            remote_max_frame: frame::MIN_MAX_FRAME_SIZE,
            heartbeat: None,
            last_received: now,
            last_sent: now,
            deadline,
            told: None,
            steps: STEPS,
        };
        connection.start();
        connection
    }

    // ----- getters -----

    /// The peer's open, once it has arrived, until it is taken.
    pub fn remote(&self) -> Option<&Open> {
        self.remote.as_deref()
    }

    /// Gives the peer's open away. The connection does without; what is in it may take much memory.
    pub fn take_remote(&mut self) -> Option<Box<Open>> {
        self.remote.take()
    }

    /// Whether both ends are open.
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Opened
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Links that exist: attached, about to be, or detached here and not yet by the peer.
    pub fn link_count(&self) -> usize {
        self.links.len()
    }

    /// What the connection holds.
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

    /// The session of a link.
    pub fn session_of(&self, link: LinkKey) -> Option<SessionKey> {
        self.link(link).map(|link| link.session)
    }

    /// Deliveries that the peer lets us send on a link now.
    pub fn credit(&self, link: LinkKey) -> u32 {
        self.link(link).map_or(0, Link::credit)
    }

    /// Octets of payload that one transfer can hold.
    pub fn max_payload(&self) -> usize {
        self.remote_max_frame
            .saturating_sub(TRANSFER_OVERHEAD)
            .max(frame::MIN_MAX_FRAME_SIZE - TRANSFER_OVERHEAD) as usize
    }

    /// Octets of a delivery's state that one frame can hold beside the rest of a disposition, or of
    /// a transfer and some payload.
    pub(super) fn max_state(&self) -> usize {
        MAX_STATE.min(self.max_payload() - 32)
    }

    /// Transfers that a link's session may send before the peer opens its window again.
    pub fn window(&self, link: LinkKey) -> u32 {
        self.link(link)
            .and_then(|link| self.sessions.get(link.session.0.into()))
            .map_or(0, |session| session.remote_incoming_window)
    }

    pub(super) fn link(&self, key: LinkKey) -> Option<&Link> {
        self.links.get(key.0)
    }

    /// As server, to be called at once: our open waits for [`Connection::admit`], which is due when
    /// [`Event::Opened`] tells of the peer's.
    pub fn hold_open(&mut self) {
        self.holds_open = true;
    }

    /// Sends our open, with other limits than those of the configuration where some are given:
    /// octets of a frame, the highest channel, transfers that a session takes. Thereafter
    /// [`Connection::handle_input`] takes what has come behind the peer's open.
    pub fn admit(
        &mut self,
        max_frame_size: Option<u32>,
        channel_max: Option<u16>,
        incoming_window: Option<u32>,
    ) {
        if core::mem::take(&mut self.holds_open) && self.phase == Phase::Opened {
            self.config.max_frame_size =
                max_frame_size.unwrap_or(self.config.max_frame_size).max(frame::MIN_MAX_FRAME_SIZE);
            self.config.channel_max = channel_max.unwrap_or(self.config.channel_max);
            self.config.incoming_window = incoming_window.unwrap_or(self.config.incoming_window);
            self.send_open();
        }
    }

    /// From now on a session's window is what the peer sends in about a second, between 1 MiB and
    /// what is configured. Of a peer that puts all it has for one session before what it has
    /// for the next, no more than that is on its way: on a slow path its other sessions would
    /// wait for many seconds.
    pub fn adapt_windows(&mut self) {
        self.adapts_windows = true;
    }

    /// Windows are as configured again, those of the sessions that there are included.
    pub fn restore_windows(&mut self) {
        if core::mem::take(&mut self.adapts_windows) {
            let window = self.config.incoming_window;
            let sessions: Vec<_> = self.channels.values().copied().collect();
            for key in sessions {
                if let Some(session) =
                    self.sessions.get_mut(key.0.into()).filter(|session| !session.end_sent)
                {
                    session.window = window;
                    session.bring_back(None, self.last_received);
                    self.send_flow(key, None, false);
                }
            }
        }
    }

    /// The least and the most transfers of a window that follows what the peer sends.
    pub(super) fn window_limits(&self) -> Option<(u32, u32)> {
        let most = self.config.incoming_window;
        self.adapts_windows
            .then(|| ((LEAST_WINDOW / self.config.max_frame_size).clamp(2.min(most), most), most))
    }

    // ----- outputs -----

    /// The next event.
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

    /// What is to be written. After writing, [`Output::clear`] it.
    pub fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    /// To be told when octets of the output were handed to the transport, and only then: the peer
    /// hears from us.
    pub fn sent(&mut self, now: Instant) {
        self.last_sent = now;
    }

    /// When [`Connection::handle_timeout`] must be called at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.phase == Phase::Closed {
            return None;
        }
        let silence = (!self.config.idle_timeout.is_zero() && self.phase == Phase::Opened)
            .then(|| self.last_received + self.config.idle_timeout);
        let heartbeat = self
            .heartbeat
            .filter(|_| self.phase == Phase::Opened)
            .map(|interval| self.last_sent + interval);
        [self.deadline, silence, heartbeat].into_iter().flatten().min()
    }

    // ----- inputs -----

    /// Acts on deadlines that have come. If that is long ago the process did not run, and what the
    /// peer said meanwhile may come yet.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.phase == Phase::Closed {
            return;
        }
        if let Some(pause) = Pause::between(self.poll_timeout(), now) {
            self.deadline = self.deadline.map(|deadline| pause.postpone(deadline));
            self.last_received = pause.leave_out(self.last_received, self.config.idle_timeout);
        }
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.deadline = None;
            match self.phase {
                Phase::Closing => self.closed(Closed { initiator: Initiator::Local, error: None }),
                _ => self.fail(Error::new(
                    condition::NOT_ALLOWED,
                    "Timeout waiting for initial handshake",
                )),
            }
            return;
        }
        if self.phase != Phase::Opened {
            return;
        }
        if !self.config.idle_timeout.is_zero()
            && self.last_received + self.config.idle_timeout <= now
        {
            self.fail(Error::new(condition::RESOURCE_LIMIT_EXCEEDED, "local-idle-timeout expired"));
        } else if self.heartbeat.is_some_and(|interval| self.last_sent + interval <= now) {
            let out = self.output.buffer();
            let start = frame::begin(out, frame::TYPE_AMQP, 0);
            frame::end(out, start, 0);
            self.last_sent = now;
        }
    }

    /// Takes octets from the transport. One call takes [`STEPS`] steps at most.
    ///
    /// Returns whether there is more to do at once: poll the events, then call it again, with or
    /// without more octets. Otherwise what is left in `input` is the start of a frame that has
    /// not arrived whole, or what came behind credentials, or an open, that are looked at.
    #[must_use = "there may be more to do at once"]
    pub fn handle_input(&mut self, input: &mut BytesMut, now: Instant) -> bool {
        if !input.is_empty() {
            self.last_received = now;
        }
        self.steps = STEPS;
        if self.told.is_some() && self.phase == Phase::Opened {
            self.tell();
        }
        while self.steps > 0 {
            if !self.take_frame(input) {
                return false;
            }
            self.steps = self.steps.saturating_sub(1);
        }
        true
    }

    /// Takes one frame or protocol header. Returns whether there may be another.
    fn take_frame(&mut self, input: &mut BytesMut) -> bool {
        match self.phase {
            Phase::Closed => {
                input.clear();
                self.told = None;
                return false;
            }
            Phase::Sasl if self.verifying => return false,
            Phase::Opened if self.holds_open => return false,
            Phase::SaslHeader | Phase::AmqpHeader => {
                let Some(octets) = input.first_chunk::<8>().copied() else { return false };
                input.advance(8);
                self.handle_header(octets);
            }
            Phase::Sasl | Phase::Open | Phase::Opened | Phase::Closing => {
                let Some(header) = FrameHeader::parse(input) else { return false };
                let offset = match header.body_offset() {
                    Ok(offset) if header.size <= self.config.max_frame_size => offset,
                    _ => {
                        let text = format!(
                            "frame of {} octets (limit {}) with data offset {}",
                            header.size, self.config.max_frame_size, header.data_offset
                        );
                        self.fail(Error::new(condition::FRAMING_ERROR, text));
                        return false;
                    }
                };
                let size = header.size as usize;
                if input.len() < size {
                    return false;
                }
                let body = input.split_to(size).freeze().slice(offset..);
                let wanted =
                    if self.phase == Phase::Sasl { frame::TYPE_SASL } else { frame::TYPE_AMQP };
                if header.kind != wanted {
                    self.fail(Error::new(
                        condition::FRAMING_ERROR,
                        format!("frame of type {} out of order", header.kind),
                    ));
                    return false;
                }
                if self.phase == Phase::Sasl {
                    self.handle_sasl(&body);
                } else if !body.is_empty() {
                    self.handle_frame(header.channel, &body);
                }
            }
        }
        true
    }

    fn handle_frame(&mut self, channel: u16, body: &Bytes) {
        let mut reader = Reader::new(body);
        let performative = match Performative::decode(&mut reader) {
            Ok(performative) => performative,
            Err(error) => return self.fail(Error::new(condition::DECODE_ERROR, error.to_string())),
        };
        if self.phase == Phase::Closing {
            if matches!(performative, Performative::Close(_)) {
                self.closed(Closed { initiator: Initiator::Local, error: None });
            }
            return;
        }
        let result = match performative {
            Performative::Open(open) if self.phase == Phase::Open => self.handle_open(open),
            _ if self.phase != Phase::Opened => {
                Err(not_allowed(format!("{} before open", performative.name())))
            }
            Performative::Open(_) => Err(not_allowed("a second open".to_owned())),
            Performative::Begin(begin) => self.handle_begin(channel, &begin),
            Performative::Close(close) => {
                self.send(0, &Performative::Close(Close::default()));
                self.closed(Closed { initiator: Initiator::Remote, error: close.error });
                Ok(())
            }
            performative => match self.channels.get(&channel).copied() {
                None => Err(not_allowed(format!(
                    "{} on channel {channel}, where no session has begun",
                    performative.name()
                ))),
                // What the peer sent before it saw our end.
                Some(session)
                    if self.has_ended(session) && !matches!(performative, Performative::End(_)) =>
                {
                    Ok(())
                }
                Some(session) => match performative {
                    Performative::Transfer(transfer) => {
                        let payload = body.slice(body.len() - reader.rest().len()..);
                        self.handle_transfer(session, &transfer, payload)
                    }
                    Performative::Attach(attach) => self.handle_attach(session, attach),
                    Performative::Flow(flow) => self.handle_flow(session, &flow),
                    Performative::Disposition(disposition) => {
                        self.handle_disposition(session, &disposition)
                    }
                    Performative::Detach(detach) => self.handle_detach(session, detach),
                    Performative::End(end) => {
                        self.handle_end(session, channel, end);
                        Ok(())
                    }
                    Performative::Open(_) | Performative::Begin(_) | Performative::Close(_) => {
                        Ok(())
                    }
                },
            },
        };
        if let Err(error) = result {
            self.fail(error);
        }
    }

    fn has_ended(&self, session: SessionKey) -> bool {
        self.sessions.get(session.0.into()).is_none_or(|session| session.end_sent)
    }

    // ----- within -----

    /// Ends the connection because the peer broke the protocol or a limit.
    pub(super) fn fail(&mut self, error: Error) {
        match self.phase {
            Phase::Closed => return,
            Phase::Opened | Phase::Open => {
                self.send_open();
                self.send(0, &Performative::Close(Close { error: Some(error.clone()) }));
            }
            _ => {}
        }
        self.closed(Closed { initiator: Initiator::Local, error: Some(error) });
    }

    pub(super) fn closed(&mut self, closed: Closed) {
        self.phase = Phase::Closed;
        self.deadline = None;
        self.events.push_back(Event::Closed(closed));
    }

    pub(super) fn new_session(&mut self) -> SessionKey {
        let channel = u16::try_from(self.local_channels.vacant_key()).unwrap_or(u16::MAX);
        let window = self.window_limits().map_or(self.config.incoming_window, |(least, _)| least);
        let key = self.sessions.insert(Session::new(channel, window));
        let key = SessionKey(u16::try_from(key).unwrap_or(u16::MAX));
        self.local_channels.insert(key);
        key
    }

    /// Ends a session because the peer broke its rules.
    pub(super) fn end_session(&mut self, session: SessionKey, error: Error) -> Result<(), Error> {
        if self.send_end(session, Some(error.clone())) {
            self.lose_links(session);
        }
        self.events.push_back(Event::Ended { session, error: Some(error) });
        Ok(())
    }

    /// Detaches a link because the peer broke its rules.
    pub(super) fn detach_with(&mut self, link: LinkKey, error: Option<Error>) -> Result<(), Error> {
        self.detach(link, error.clone());
        self.events.push_back(Event::Detached { link, error });
        Ok(())
    }

    /// Forgets the links of a session that has ended, and their deliveries. `told` is called with
    /// those that the application has.
    pub(super) fn drop_links(
        &mut self,
        session: SessionKey,
        told: impl Fn(&mut VecDeque<Event>, LinkKey),
    ) {
        let Some(entry) = self.sessions.get_mut(session.0.into()) else { return };
        let links = core::mem::take(&mut entry.handles);
        entry.remote_handles = HashMap::new();
        entry.attaching = HashMap::new();
        for (_, link) in links {
            self.lose_deliveries(link);
            if self.take_link(link).is_some_and(|entry| !entry.detach_sent) {
                told(&mut self.events, link);
            }
            self.steps = self.steps.saturating_sub(1);
        }
    }

    /// Forgets the links of a session that the peer ended, and tells the application of each.
    pub(super) fn lose_links(&mut self, session: SessionKey) {
        self.drop_links(session, |events, link| events.push_back(Event::LinkLost { link }));
    }

    fn take_link(&mut self, link: LinkKey) -> Option<Link> {
        let entry = self.links.remove(link.0)?;
        self.names -= entry.name.len();
        Some(entry)
    }

    pub(super) fn remove_link(&mut self, link: LinkKey) {
        if let Some(entry) = self.take_link(link)
            && let Some(session) = self.sessions.get_mut(entry.session.0.into())
        {
            session.handles.try_remove(entry.local_handle as usize);
            // A new link may have taken the name meanwhile.
            let name = (entry.name, entry.role);
            if session.attaching.get(&name) == Some(&link) {
                session.attaching.remove(&name);
            }
        }
    }

    /// Forgets a delivery of the peer's.
    pub(super) fn take_incoming(&mut self, delivery: IncomingKey) -> Option<Incoming> {
        let link = self.incoming.get(delivery.0)?.link;
        match self.links.get_mut(link.0) {
            Some(link) => link.deliveries.remove(&mut self.incoming, delivery.0),
            None => self.incoming.remove(delivery.0),
        }
    }

    /// Forgets a delivery of ours.
    pub(super) fn take_outgoing(&mut self, delivery: OutgoingKey) -> Option<Outgoing> {
        let link = self.outgoing.get(delivery.0)?.link;
        match self.links.get_mut(link.0) {
            Some(link) => link.deliveries.remove(&mut self.outgoing, delivery.0),
            None => self.outgoing.remove(delivery.0),
        }
    }

    /// Forgets the deliveries of a link.
    pub(super) fn lose_deliveries(&mut self, link: LinkKey) {
        let Some(entry) = self.links.get_mut(link.0) else { return };
        let (role, session) = (entry.role, entry.session);
        let mut deliveries = core::mem::take(&mut entry.deliveries);
        while let Some(key) = deliveries.first() {
            let (id, event) = match role {
                Role::Receiver => {
                    let Some(state) = deliveries.remove(&mut self.incoming, key) else { return };
                    (Some(state.id), Event::IncomingLost { delivery: IncomingKey(key) })
                }
                Role::Sender => {
                    let Some(state) = deliveries.remove(&mut self.outgoing, key) else { return };
                    (
                        state.id,
                        Event::OutgoingLost {
                            delivery: OutgoingKey(key),
                            sent: state.id.is_some(),
                        },
                    )
                }
            };
            if let (Some(id), Some(session)) = (id, self.sessions.get_mut(session.0.into())) {
                match role {
                    Role::Receiver => drop(session.incoming.remove(id)),
                    Role::Sender => session.outgoing.remove(id),
                }
            }
            self.events.push_back(event);
            self.steps = self.steps.saturating_sub(1);
        }
    }
}

pub(super) fn not_allowed(text: String) -> Error {
    Error::new(condition::NOT_ALLOWED, text)
}
