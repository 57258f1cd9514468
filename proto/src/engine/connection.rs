//! The connection: frames in, frames out, timers, and the life of sessions and links.

use super::chain::Place;
use super::delivery::{Incoming, IncomingKey, Outgoing, OutgoingKey};
use super::event::{Closed, Ending, Event, Initiator};
use super::link::{AttachRequest, Link, LinkKey, MAX_CREDIT, ahead};
use super::output::Output;
use super::session::{Session, SessionKey, in_range};
use super::slots::Slots;
use super::{MAX_INCOMING, MAX_LINKS, MAX_SESSIONS};
use crate::amqp::frame::{self, FrameHeader};
use crate::amqp::performative::{
    Attach, Begin, Close, DeliveryState, DeliveryTag, Detach, Disposition, End, Error, Flow, Open, Performative, Role, Transfer,
};
use crate::amqp::{Encode, Fields, Multiple, Reader, Symbol, condition};
use crate::time::Instant;
use bytes::{Buf, Bytes, BytesMut};
use core::time::Duration;
use slab::Slab;
use std::collections::{HashMap, VecDeque};

/// Which end of the transport we are, and what comes before open.
#[derive(Clone, Debug)]
pub enum Layer {
    /// We connected.
    Client {
        /// SASL mechanisms we would use, best first; empty: no SASL layer at all.
        mechanisms: Vec<&'static str>,
        /// What ANONYMOUS says of us.
        identity: String,
        /// What PLAIN says of us; without it PLAIN is not used.
        credentials: Option<Credentials>,
    },
    /// We were connected to.
    Server {
        /// SASL mechanisms we offer.
        mechanisms: Vec<&'static str>,
        /// Whether the peer may leave SASL out.
        allow_bare: bool,
    },
}

/// A user name and a password, for PLAIN. Its `Debug` form leaves the password out.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    user: String,
    password: String,
}

impl Credentials {
    /// Credentials; `None` when either holds a NUL, which is what PLAIN puts between them (RFC 4616).
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Option<Self> {
        let (user, password) = (user.into(), password.into());
        (!user.contains('\0') && !password.contains('\0')).then_some(Self { user, password })
    }

    /// Reads the message of PLAIN. Nobody may act for another: an authorization identity must be the user's own.
    pub(super) fn parse(message: &[u8]) -> Option<Self> {
        let mut parts = core::str::from_utf8(message).ok()?.split('\0');
        let (authority, user, password) = (parts.next()?, parts.next()?, parts.next()?);
        let sound = parts.next().is_none() && !user.is_empty() && !password.is_empty();
        let own = authority.is_empty() || authority == user;
        (sound && own).then(|| Self { user: user.to_owned(), password: password.to_owned() })
    }

    /// Who it is said to be.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The password, which belongs in no log.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The message of PLAIN. Nobody is asked to act for another: the authorization identity stays empty.
    pub(super) fn plain(&self) -> String {
        format!("\0{}\0{}", self.user, self.password)
    }
}

impl core::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What a connection is made with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Our container-id: the router's id.
    pub container_id: String,
    /// The host we mean to reach, as client.
    pub hostname: Option<String>,
    /// The largest frame we take, in octets.
    pub max_frame_size: u32,
    /// The highest channel we take.
    pub channel_max: u16,
    /// The connection ends when nothing is heard for this long; the peer is told half of it. Zero: never.
    pub idle_timeout: Duration,
    /// The peer's open must arrive within this. Zero: no limit.
    pub handshake_timeout: Duration,
    /// Transfers that each session takes before it must be told that it takes more.
    pub incoming_window: u32,
    /// Capabilities offered and desired in open.
    pub capabilities: Multiple<Symbol>,
    /// Properties of our open.
    pub properties: Fields,
    /// Which end we are.
    pub layer: Layer,
}

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
}

/// How long the peer's close is awaited after ours.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The shortest time between two empty frames, however short the idle-time-out that the peer announces: a peer is not to make us
/// work by a number in its open.
const MIN_HEARTBEAT: Duration = Duration::from_millis(50);

/// The most octets of a transfer's frame header with its performative: 8 of the frame, 40 of the tag, 36 of all else.
const TRANSFER_OVERHEAD: u32 = 96;

/// One AMQP connection. See the [module](super) for how it is driven.
#[derive(Debug)]
pub struct Connection {
    pub(super) config: Config,
    pub(super) phase: Phase,
    pub(super) mechanism: Option<&'static str>,
    /// The owner looks at the client's credentials.
    pub(super) verifying: bool,
    /// Our open waits until the owner has seen the peer's.
    holds_open: bool,
    pub(super) events: VecDeque<Event>,
    pub(super) output: Output,
    remote: Option<Box<Open>>,
    open_sent: bool,
    sessions: Slots<Session>,
    /// Sessions by the channels that the peer sends on.
    channels: HashMap<u16, SessionKey>,
    /// Sessions by the channels that we send on.
    local_channels: Slab<SessionKey>,
    links: Slots<Link>,
    incoming: Slots<Incoming>,
    outgoing: Slots<Outgoing>,
    next_tag: u64,
    remote_max_frame: u32,
    /// How long we may be silent before the peer is sent an empty frame.
    heartbeat: Option<Duration>,
    last_received: Instant,
    last_sent: Instant,
    deadline: Option<Instant>,
}

impl Connection {
    /// A connection over a transport that was just established.
    pub fn new(config: Config, now: Instant) -> Self {
        let deadline = (!config.handshake_timeout.is_zero()).then(|| now + config.handshake_timeout);
        let mut connection = Self {
            config,
            phase: Phase::SaslHeader,
            mechanism: None,
            verifying: false,
            holds_open: false,
            events: VecDeque::new(),
            output: Output::default(),
            remote: None,
            open_sent: false,
            sessions: Slots::new(),
            channels: HashMap::new(),
            local_channels: Slab::new(),
            links: Slots::new(),
            incoming: Slots::new(),
            outgoing: Slots::new(),
            next_tag: 0,
            remote_max_frame: frame::MIN_MAX_FRAME_SIZE,
            heartbeat: None,
            last_received: now,
            last_sent: now,
            deadline,
        };
        connection.start();
        connection
    }

    // ----- getters -----

    /// The peer's open, once it has arrived.
    pub fn remote(&self) -> Option<&Open> {
        self.remote.as_deref()
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
        self.remote_max_frame.saturating_sub(TRANSFER_OVERHEAD).max(frame::MIN_MAX_FRAME_SIZE - TRANSFER_OVERHEAD) as usize
    }

    /// Transfers that a link's session may send before the peer opens its window again.
    pub fn window(&self, link: LinkKey) -> u32 {
        self.link(link)
            .and_then(|link| self.sessions.get(link.session.0.into()))
            .map_or(0, |session| session.remote_incoming_window)
    }

    fn link(&self, key: LinkKey) -> Option<&Link> {
        self.links.get(key.0)
    }

    /// As server, to be called at once: our open waits for [`Connection::admit`], which is due when [`Event::Opened`] tells of the
    /// peer's.
    pub fn hold_open(&mut self) {
        self.holds_open = true;
    }

    /// Sends our open, with other limits than those of the configuration where some are given: octets of a frame, the highest channel,
    /// transfers that a session takes. Thereafter [`Connection::handle_input`] takes what has come behind the peer's open.
    pub fn admit(&mut self, max_frame_size: Option<u32>, channel_max: Option<u16>, incoming_window: Option<u32>) {
        if core::mem::take(&mut self.holds_open) && self.phase == Phase::Opened {
            self.config.max_frame_size = max_frame_size.unwrap_or(self.config.max_frame_size).max(frame::MIN_MAX_FRAME_SIZE);
            self.config.channel_max = channel_max.unwrap_or(self.config.channel_max);
            self.config.incoming_window = incoming_window.unwrap_or(self.config.incoming_window);
            self.send_open();
        }
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

    /// To be told when octets of the output were handed to the transport, and only then: the peer hears from us.
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
        let heartbeat = self.heartbeat.filter(|_| self.phase == Phase::Opened).map(|interval| self.last_sent + interval);
        [self.deadline, silence, heartbeat].into_iter().flatten().min()
    }

    // ----- inputs -----

    /// Acts on deadlines that have come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.phase == Phase::Closed {
            return;
        }
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.deadline = None;
            match self.phase {
                Phase::Closing => self.closed(Closed { initiator: Initiator::Local, error: None }),
                _ => self.fail(Error::new(condition::NOT_ALLOWED, "Timeout waiting for initial handshake")),
            }
            return;
        }
        if self.phase != Phase::Opened {
            return;
        }
        if !self.config.idle_timeout.is_zero() && self.last_received + self.config.idle_timeout <= now {
            self.fail(Error::new(condition::RESOURCE_LIMIT_EXCEEDED, "local-idle-timeout expired"));
        } else if self.heartbeat.is_some_and(|interval| self.last_sent + interval <= now) {
            let out = self.output.buffer();
            let start = frame::begin(out, frame::TYPE_AMQP, 0);
            frame::end(out, start, 0);
            self.last_sent = now;
        }
    }

    /// Takes octets from the transport. What is left in `input` is the start of a frame that has not arrived whole, or what came
    /// behind credentials, or an open, that are looked at.
    pub fn handle_input(&mut self, input: &mut BytesMut, now: Instant) {
        if !input.is_empty() {
            self.last_received = now;
        }
        loop {
            match self.phase {
                Phase::Closed => return input.clear(),
                Phase::Sasl if self.verifying => return,
                Phase::Opened if self.holds_open => return,
                Phase::SaslHeader | Phase::AmqpHeader => {
                    let Some(octets) = input.first_chunk::<8>().copied() else { return };
                    input.advance(8);
                    self.handle_header(octets);
                }
                Phase::Sasl | Phase::Open | Phase::Opened | Phase::Closing => {
                    let Some(header) = FrameHeader::parse(input) else { return };
                    let offset = match header.body_offset() {
                        Ok(offset) if header.size <= self.config.max_frame_size => offset,
                        _ => {
                            let text = format!(
                                "frame of {} octets (limit {}) with data offset {}",
                                header.size, self.config.max_frame_size, header.data_offset
                            );
                            return self.fail(Error::new(condition::FRAMING_ERROR, text));
                        }
                    };
                    let size = header.size as usize;
                    if input.len() < size {
                        return;
                    }
                    let body = input.split_to(size).freeze().slice(offset..);
                    let wanted = if self.phase == Phase::Sasl { frame::TYPE_SASL } else { frame::TYPE_AMQP };
                    if header.kind != wanted {
                        return self
                            .fail(Error::new(condition::FRAMING_ERROR, format!("frame of type {} out of order", header.kind)));
                    }
                    if self.phase == Phase::Sasl {
                        self.handle_sasl(&body);
                    } else if !body.is_empty() {
                        self.handle_frame(header.channel, &body);
                    }
                }
            }
        }
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
            _ if self.phase != Phase::Opened => Err(not_allowed(format!("{} before open", performative.name()))),
            Performative::Open(_) => Err(not_allowed("a second open".to_owned())),
            Performative::Begin(begin) => self.handle_begin(channel, &begin),
            Performative::Close(close) => {
                self.send(0, &Performative::Close(Close::default()));
                self.closed(Closed { initiator: Initiator::Remote, error: close.error });
                Ok(())
            }
            performative => match self.channels.get(&channel).copied() {
                None => Err(not_allowed(format!("{} on channel {channel}, where no session has begun", performative.name()))),
                // What the peer sent before it saw our end.
                Some(session) if self.has_ended(session) && !matches!(performative, Performative::End(_)) => Ok(()),
                Some(session) => match performative {
                    Performative::Transfer(transfer) => {
                        let payload = body.slice(body.len() - reader.rest().len()..);
                        self.handle_transfer(session, &transfer, payload)
                    }
                    Performative::Attach(attach) => self.handle_attach(session, attach),
                    Performative::Flow(flow) => self.handle_flow(session, &flow),
                    Performative::Disposition(disposition) => self.handle_disposition(session, &disposition),
                    Performative::Detach(detach) => self.handle_detach(session, detach),
                    Performative::End(end) => {
                        self.handle_end(session, channel, end);
                        Ok(())
                    }
                    Performative::Open(_) | Performative::Begin(_) | Performative::Close(_) => Ok(()),
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

    fn handle_open(&mut self, open: Box<Open>) -> Result<(), Error> {
        let max_frame = open.max_frame_size.unwrap_or(u32::MAX);
        if max_frame < frame::MIN_MAX_FRAME_SIZE {
            return Err(Error::new(
                condition::INVALID_FIELD,
                format!("max-frame-size {max_frame} is below {}", frame::MIN_MAX_FRAME_SIZE),
            ));
        }
        self.remote_max_frame = max_frame;
        let idle = open.idle_time_out.filter(|idle| *idle > 0).map(|idle| Duration::from_millis(idle.into()));
        self.heartbeat = idle.map(|idle| (idle / 2).max(MIN_HEARTBEAT));
        self.remote = Some(open);
        self.phase = Phase::Opened;
        self.deadline = None;
        if !self.holds_open {
            self.send_open();
        }
        self.events.push_back(Event::Opened);
        Ok(())
    }

    fn handle_begin(&mut self, channel: u16, begin: &Begin) -> Result<(), Error> {
        if self.channels.contains_key(&channel) {
            return Err(not_allowed(format!("begin on channel {channel}, which is in use")));
        }
        let key = match begin.remote_channel {
            Some(ours) => {
                let key = self.local_channels.get(ours.into()).copied();
                let asked = |key: &SessionKey| self.sessions.get(key.0.into()).is_some_and(|it| it.remote_channel.is_none());
                key.filter(asked).ok_or_else(|| not_allowed(format!("begin answers channel {ours}, where none was asked for")))?
            }
            None => {
                if channel > self.config.channel_max || !self.has_channel() {
                    return Err(Error::new(condition::RESOURCE_LIMIT_EXCEEDED, format!("no session left for channel {channel}")));
                }
                let key = self.new_session();
                self.send_begin(key, Some(channel));
                key
            }
        };
        self.channels.insert(channel, key);
        if let Some(session) = self.sessions.get_mut(key.0.into()) {
            session.remote_channel = Some(channel);
            session.next_incoming_id = begin.next_outgoing_id;
            session.remote_incoming_window = begin.incoming_window;
            session.remote_handle_max = begin.handle_max.unwrap_or(u32::MAX);
            // The application may have ended it before the peer answered.
            if !session.end_sent {
                self.events.push_back(Event::Begun { session: key });
            }
        }
        Ok(())
    }

    /// Whether another session can have a channel.
    fn has_channel(&self) -> bool {
        let limit = self.remote.as_ref().and_then(|open| open.channel_max).unwrap_or(u16::MAX).min(self.config.channel_max);
        self.local_channels.vacant_key() <= usize::from(limit)
            && self.sessions.len() < MAX_SESSIONS
            && u16::try_from(self.sessions.vacant_key()).is_ok()
    }

    fn handle_attach(&mut self, key: SessionKey, attach: Box<Attach>) -> Result<(), Error> {
        let links = self.links.len();
        let Some(session) = self.sessions.get_mut(key.0.into()) else { return Ok(()) };
        if session.remote_handles.contains_key(&attach.handle) {
            return self.end_session(key, Error::new(condition::HANDLE_IN_USE, format!("handle {} is in use", attach.handle)));
        }
        let role = attach.role.other();
        let ours = session.attaching.remove(&(attach.name.clone(), role));
        let link = match ours {
            Some(link) => link,
            None => {
                if links >= MAX_LINKS {
                    let error = Error::new(condition::RESOURCE_LIMIT_EXCEEDED, format!("{MAX_LINKS} links are attached"));
                    return self.end_session(key, error);
                }
                let local_handle = u32::try_from(session.handles.vacant_key()).unwrap_or(u32::MAX);
                if local_handle > session.remote_handle_max {
                    let text = format!("an attach beyond the handle-max of {}", session.remote_handle_max);
                    return self.end_session(key, Error::new(condition::RESOURCE_LIMIT_EXCEEDED, text));
                }
                let link = LinkKey(self.links.insert(Link::new(key, attach.name.clone(), role, local_handle)));
                session.handles.insert(link);
                link
            }
        };
        session.remote_handles.insert(attach.handle, link);
        let Some(entry) = self.links.get_mut(link.0) else { return Ok(()) };
        entry.remote_handle = Some(attach.handle);
        if role == Role::Receiver {
            entry.start_at(attach.initial_delivery_count.unwrap_or(0));
        }
        if entry.detach_sent {
            // The application detached before the peer answered; what remains is the peer's detach.
            return Ok(());
        }
        if ours.is_some() && entry.credit() > 0 {
            // Credit could be announced only against the sender's delivery-count.
            self.send_flow(key, Some(link), false);
        }
        self.events.push_back(Event::Attached { link, ours: ours.is_some(), attach });
        Ok(())
    }

    fn handle_flow(&mut self, key: SessionKey, flow: &Flow) -> Result<(), Error> {
        let Some(session) = self.sessions.get_mut(key.0.into()) else { return Ok(()) };
        // What we sent that the peer had not seen yet takes its place in the window.
        let unseen = ahead(session.next_outgoing_id, flow.next_incoming_id.unwrap_or(0));
        session.remote_incoming_window = flow.incoming_window.saturating_sub(unseen);
        if session.blocked && session.remote_incoming_window > 0 {
            session.blocked = false;
            self.events.push_back(Event::Window { session: key });
        }
        let Some(handle) = flow.handle else {
            if flow.echo == Some(true) {
                self.send_flow(key, None, false);
            }
            return Ok(());
        };
        let Some(&link) = session.remote_handles.get(&handle) else {
            let error = Error::new(condition::UNATTACHED_HANDLE, format!("flow for handle {handle}, which is not attached"));
            return self.end_session(key, error);
        };
        let Some(entry) = self.links.get_mut(link.0).filter(|entry| !entry.detach_sent) else { return Ok(()) };
        match entry.role {
            Role::Sender => {
                if let Some(credit) = flow.link_credit {
                    // A receiver that does not know our delivery-count yet counts from where we began.
                    entry.limit = flow.delivery_count.unwrap_or(0).wrapping_add(credit.min(MAX_CREDIT));
                    self.events.push_back(Event::Credit { link, drain: flow.drain == Some(true) });
                }
            }
            Role::Receiver => {
                if let Some(count) = flow.delivery_count {
                    // The sender moves its count on without sending when it gives credit back.
                    if ahead(count, entry.delivery_count) <= ahead(entry.promised, entry.delivery_count) {
                        entry.delivery_count = entry.delivery_count.wrapping_add(ahead(count, entry.delivery_count));
                    }
                    if entry.credit() == 0 {
                        entry.drain = false;
                    }
                }
            }
        }
        if flow.echo == Some(true) {
            self.send_flow(key, Some(link), false);
        }
        Ok(())
    }

    fn handle_transfer(&mut self, key: SessionKey, transfer: &Transfer, payload: Bytes) -> Result<(), Error> {
        let Some(session) = self.sessions.get_mut(key.0.into()) else { return Ok(()) };
        if session.incoming_window == 0 {
            return self.end_session(key, Error::new(condition::WINDOW_VIOLATION, "the session's incoming window is used up"));
        }
        session.incoming_window -= 1;
        session.next_incoming_id = session.next_incoming_id.wrapping_add(1);
        let Some(&link) = session.remote_handles.get(&transfer.handle) else {
            let error = Error::new(
                condition::UNATTACHED_HANDLE,
                format!("transfer on handle {}, which is not attached", transfer.handle),
            );
            return self.end_session(key, error);
        };
        let granted = self.receive(key, link, transfer, payload)?;
        // Whatever became of the transfer, it took its place in the window.
        let Some(session) = self.sessions.get_mut(key.0.into()).filter(|session| !session.end_sent) else { return Ok(()) };
        let reopen = !session.held && session.incoming_window <= session.window / 2;
        if reopen {
            session.incoming_window = session.window;
        }
        if granted || reopen {
            self.send_flow(key, self.flow_carrier(key, link), false);
        }
        Ok(())
    }

    /// Which link a flow about the session's window names: a C router that waits for the window wakes on flows of links only.
    fn flow_carrier(&self, session: SessionKey, preferred: LinkKey) -> Option<LinkKey> {
        let usable = |key: &LinkKey| self.link(*key).is_some_and(|link| link.role == Role::Receiver && link.is_attached());
        let others = || self.sessions.get(session.0.into())?.handles.iter().map(|(_, link)| *link).find(usable);
        Some(preferred).filter(usable).or_else(others)
    }

    /// Takes a transfer that is within the session's window. Returns whether it made the link's credit be topped up, which is still
    /// to be announced.
    fn receive(&mut self, key: SessionKey, link: LinkKey, transfer: &Transfer, payload: Bytes) -> Result<bool, Error> {
        let deliveries = self.incoming.len();
        let Some(session) = self.sessions.get_mut(key.0.into()) else { return Ok(false) };
        let Some(entry) = self.links.get_mut(link.0) else { return Ok(false) };
        if entry.role != Role::Receiver {
            return self.end_session(key, not_allowed("a transfer on a link whose sender is here".to_owned())).map(|()| false);
        }
        if entry.detach_sent {
            // What the peer sent before it saw our detach. A delivery that begins so has its number all the same.
            if let Some(id) = transfer.delivery_id.filter(|id| session.expected_delivery_id.is_none_or(|next| next == *id)) {
                session.expected_delivery_id = Some(id.wrapping_add(1));
            }
            return Ok(false);
        }
        let settled = transfer.settled == Some(true);
        let aborted = transfer.aborted == Some(true);
        let ending = if aborted {
            Ending::Aborted
        } else if transfer.more == Some(true) {
            Ending::More
        } else {
            Ending::Complete
        };
        let mut granted = false;
        let (delivery, first) = match entry.arriving {
            Some(delivery) => {
                let state = self.incoming.get_mut(delivery.0);
                if let (Some(id), Some(state)) = (transfer.delivery_id, &state)
                    && id != state.id
                {
                    let text = format!("delivery {id} begins while delivery {} is incomplete on its link", state.id);
                    return self.end_session(key, not_allowed(text)).map(|()| false);
                }
                if let Some(state) = state {
                    state.sender_settled |= settled;
                }
                (delivery, false)
            }
            None => {
                let Some(id) = transfer.delivery_id else {
                    let error = Error::new(condition::INVALID_FIELD, "a delivery begins without delivery-id");
                    return self.end_session(key, error).map(|()| false);
                };
                if let Some(expected) = session.expected_delivery_id.filter(|expected| *expected != id) {
                    let text = format!("sequencing error, delivery-id {id} where {expected} is next");
                    return self.end_session(key, Error::new(condition::SESSION_INVALID_FIELD, text)).map(|()| false);
                }
                session.expected_delivery_id = Some(id.wrapping_add(1));
                if ahead(entry.promised, entry.delivery_count) == 0 {
                    let error = Error::new(condition::TRANSFER_LIMIT_EXCEEDED, "the link's credit is used up");
                    return self.detach_with(link, Some(error)).map(|()| false);
                }
                if deliveries >= MAX_INCOMING {
                    let error =
                        Error::new(condition::RESOURCE_LIMIT_EXCEEDED, format!("{MAX_INCOMING} deliveries are unsettled"));
                    return self.end_session(key, error).map(|()| false);
                }
                entry.delivery_count = entry.delivery_count.wrapping_add(1);
                if entry.capacity > 0 && entry.credit() <= entry.capacity / 2 {
                    entry.grant(entry.capacity);
                    granted = true;
                }
                let delivery = entry.deliveries.insert(
                    &mut self.incoming,
                    Incoming { link, id, sender_settled: settled, ended: false, place: Place::default() },
                );
                let delivery = IncomingKey(delivery);
                session.incoming.insert(id, delivery);
                (delivery, true)
            }
        };
        entry.arriving = (ending == Ending::More).then_some(delivery);
        if ending != Ending::More
            && let Some(state) = self.incoming.get_mut(delivery.0)
        {
            state.ended = true;
            state.sender_settled |= aborted;
        }
        let (settled, state) = (settled || aborted, transfer.state.clone().map(Box::new));
        self.events.push_back(Event::Transfer { delivery, link, first, settled, payload, ending, state });
        Ok(granted)
    }

    fn handle_disposition(&mut self, key: SessionKey, disposition: &Disposition) -> Result<(), Error> {
        let Some(session) = self.sessions.get(key.0.into()) else { return Ok(()) };
        let (first, last) = (disposition.first, disposition.last.unwrap_or(disposition.first));
        if first != last && ahead(last, first) == 0 {
            let error = Error::new(condition::INVALID_FIELD, format!("a disposition from {first} to {last}, which is before"));
            return self.end_session(key, error);
        }
        let settled = disposition.settled == Some(true);
        match disposition.role {
            Role::Receiver if first == last => {
                if let Some(&delivery) = session.outgoing.get(&first) {
                    self.outcome(key, first, delivery, disposition.state.clone(), settled);
                }
            }
            Role::Receiver => {
                // How far a receiver has come is said of one delivery; of several at once it tells nothing.
                let told = settled || disposition.state.as_ref().is_some_and(DeliveryState::is_outcome);
                for (id, delivery) in in_range(&session.outgoing, first, last) {
                    if told {
                        self.outcome(key, id, delivery, disposition.state.clone(), settled);
                    }
                }
            }
            Role::Sender if settled => {
                for (_, delivery) in in_range(&session.incoming, first, last) {
                    if let Some(incoming) = self.incoming.get_mut(delivery.0).filter(|incoming| !incoming.sender_settled) {
                        incoming.sender_settled = true;
                        if let Some(state) = disposition.state.clone() {
                            self.events.push_back(Event::SenderState { delivery, state });
                        }
                        self.events.push_back(Event::SenderSettled { delivery });
                    }
                }
            }
            // As above, of one delivery only.
            Role::Sender if first == last => {
                let known = session.incoming.get(&first).copied();
                let owed = |key: &IncomingKey| self.incoming.get(key.0).is_some_and(|incoming| !incoming.sender_settled);
                if let (Some(delivery), Some(state)) = (known.filter(owed), disposition.state.clone()) {
                    self.events.push_back(Event::SenderState { delivery, state });
                }
            }
            Role::Sender => {}
        }
        Ok(())
    }

    /// Tells the application what became of a delivery. A peer may repeat itself over many deliveries in few octets, so an outcome is
    /// told once, and so is its settling.
    fn outcome(&mut self, key: SessionKey, id: u32, delivery: OutgoingKey, state: Option<DeliveryState>, settled: bool) {
        let Some(outgoing) = self.outgoing.get_mut(delivery.0).filter(|outgoing| !outgoing.settled) else { return };
        let is_outcome = state.as_ref().is_some_and(DeliveryState::is_outcome);
        if !settled && (state.is_none() || (is_outcome && outgoing.outcome_told)) {
            return;
        }
        outgoing.outcome_told |= is_outcome;
        outgoing.settled = settled;
        if settled && outgoing.ended {
            self.take_outgoing(delivery);
            if let Some(session) = self.sessions.get_mut(key.0.into()) {
                session.outgoing.remove(&id);
            }
        }
        self.events.push_back(Event::Outcome { delivery, state, settled });
    }

    fn handle_detach(&mut self, key: SessionKey, detach: Detach) -> Result<(), Error> {
        let Some(session) = self.sessions.get_mut(key.0.into()) else { return Ok(()) };
        let Some(link) = session.remote_handles.remove(&detach.handle) else {
            let error =
                Error::new(condition::UNATTACHED_HANDLE, format!("detach of handle {}, which is not attached", detach.handle));
            return self.end_session(key, error);
        };
        let Some(entry) = self.links.get_mut(link.0) else { return Ok(()) };
        if detach.closed != Some(true) && !entry.detach_sent {
            // Nothing of a link is kept here that it could be attached to again.
            return Err(Error::new(condition::NOT_IMPLEMENTED, "Link detach/reattach not supported"));
        }
        entry.remote_handle = None;
        if !entry.detach_sent {
            self.detach(link, None);
            self.events.push_back(Event::Detached { link, error: detach.error });
        }
        self.remove_link(link);
        Ok(())
    }

    fn handle_end(&mut self, key: SessionKey, channel: u16, end: End) {
        self.channels.remove(&channel);
        let ended = self.sessions.get(key.0.into()).is_some_and(|session| session.end_sent);
        if !ended {
            self.send_on(key, &Performative::End(End::default()));
            self.drop_links(key);
            self.events.push_back(Event::Ended { session: key, error: end.error });
        }
        if let Some(session) = self.sessions.remove(key.0.into()) {
            self.local_channels.try_remove(session.channel.into());
        }
    }

    // ----- application calls -----

    /// Begins a session; its links can be attached at once.
    ///
    /// Returns `None` when the peer's channel-max leaves none.
    pub fn begin(&mut self) -> Option<SessionKey> {
        if self.phase != Phase::Opened || !self.has_channel() {
            return None;
        }
        let key = self.new_session();
        self.send_begin(key, None);
        Some(key)
    }

    /// Attaches a link. A receiver that is to be kept in credit says so with [`Connection::keep_credit`].
    ///
    /// Returns `None` when the session is gone, the peer's handle-max or [`MAX_LINKS`] is reached, or an attach of the same name and
    /// role is not answered yet.
    pub fn attach(&mut self, session: SessionKey, request: AttachRequest) -> Option<LinkKey> {
        if self.links.len() >= MAX_LINKS || self.phase != Phase::Opened {
            return None;
        }
        let entry = self.sessions.get_mut(session.0.into()).filter(|entry| !entry.end_sent)?;
        let name = (request.name.clone(), request.role);
        if entry.attaching.contains_key(&name) {
            return None;
        }
        let handle = u32::try_from(entry.handles.vacant_key()).ok().filter(|handle| *handle <= entry.remote_handle_max)?;
        let link = Link { attach_sent: true, ..Link::new(session, request.name.clone(), request.role, handle) };
        let link = LinkKey(self.links.insert(link));
        entry.handles.insert(link);
        entry.attaching.insert(name, link);
        self.send_attach(session, handle, request);
        Some(link)
    }

    /// Answers the peer's attach. The request's name and role are taken from the link.
    pub fn accept(&mut self, link: LinkKey, answer: AttachRequest) {
        let Some(entry) = self.links.get_mut(link.0).filter(|entry| !entry.attach_sent) else { return };
        entry.attach_sent = true;
        let (session, handle, name, role) = (entry.session, entry.local_handle, entry.name.clone(), entry.role);
        let announce = role == Role::Receiver && entry.credit() > 0;
        self.send_attach(session, handle, AttachRequest { name, role, ..answer });
        if announce {
            self.send_flow(session, Some(link), false);
        }
    }

    /// Refuses the peer's attach: an attach whose far terminus is null, then a detach with the reason.
    pub fn refuse(&mut self, link: LinkKey, error: Error) {
        self.accept(link, AttachRequest { snd_settle_mode: 2, ..AttachRequest::default() });
        self.detach(link, Some(error));
    }

    /// Keeps a link that we receive on in credit: `capacity` deliveries now, and topped up whenever half is used.
    pub fn keep_credit(&mut self, link: LinkKey, capacity: u32) {
        let Some(entry) = self.links.get_mut(link.0).filter(|entry| entry.role == Role::Receiver) else { return };
        entry.capacity = capacity;
        self.set_credit(link, capacity, false);
    }

    /// Gives credit for `credit` deliveries on a link that we receive on, counted from now; with `drain` the peer is to use it
    /// or give it back.
    pub fn set_credit(&mut self, link: LinkKey, credit: u32, drain: bool) {
        if let Some(entry) = self.links.get_mut(link.0).filter(|entry| entry.role == Role::Receiver) {
            entry.grant(credit);
            entry.drain = drain;
            // Before both ends have attached there is nothing that a flow could name; it goes when they have.
            if entry.is_attached() {
                let session = entry.session;
                self.send_flow(session, Some(link), false);
            }
        }
    }

    /// With `hold`, lets a session's incoming window close as the peer uses it up; without, opens it again.
    pub fn hold_window(&mut self, session: SessionKey, hold: bool) {
        let Some(entry) = self.sessions.get_mut(session.0.into()).filter(|entry| !entry.end_sent) else { return };
        entry.held = hold;
        if !hold && entry.incoming_window <= entry.window / 2 {
            entry.incoming_window = entry.window;
            let receiver =
                |link: &&LinkKey| self.link(**link).is_some_and(|link| link.role == Role::Receiver && link.is_attached());
            let carrier = self
                .sessions
                .get(session.0.into())
                .and_then(|entry| entry.handles.iter().map(|(_, link)| link).find(receiver).copied());
            self.send_flow(session, carrier, false);
        }
    }

    /// Gives back all credit of a link that we send on, as an answer to drain. A delivery that has begun keeps its own: the answer goes
    /// behind its first transfer.
    pub fn drained(&mut self, link: LinkKey) {
        let sender = |entry: &&mut Link| entry.role == Role::Sender && entry.is_attached();
        if let Some(entry) = self.links.get_mut(link.0).filter(sender) {
            let unsent = |key: OutgoingKey| self.outgoing.get(key.0).is_some_and(|delivery| delivery.id.is_none());
            entry.gives_back = entry.sending.is_some_and(unsent);
            if entry.gives_back {
                return;
            }
            entry.delivery_count = entry.delivery_count.wrapping_add(entry.credit());
            let session = entry.session;
            self.send_flow(session, Some(link), true);
        }
    }

    /// Begins a delivery, using one credit. Its first [`Connection::send`] gives it its number.
    ///
    /// Returns `None` when the link is not there, has no credit, or a delivery is incomplete on it.
    pub fn deliver(&mut self, link: LinkKey, presettled: bool) -> Option<OutgoingKey> {
        let entry = self.links.get_mut(link.0).filter(|_| self.phase == Phase::Opened)?;
        if entry.role != Role::Sender || entry.credit() == 0 || entry.sending.is_some() || !entry.is_attached() {
            return None;
        }
        let settled = presettled;
        let (state, place) = (None, Place::default());
        let delivery = Outgoing { link, id: None, presettled, ended: false, settled, outcome_told: false, state, place };
        let key = OutgoingKey(entry.deliveries.insert(&mut self.outgoing, delivery));
        entry.delivery_count = entry.delivery_count.wrapping_add(1);
        entry.sending = Some(key);
        Some(key)
    }

    /// Sends the next part of a delivery in one transfer: up to [`Connection::max_payload`] octets from the front of `chunks`. The
    /// transfer is the delivery's last when `last` is set and nothing is left in `chunks`.
    ///
    /// Returns false while the session's window is closed: [`Event::Window`] tells when to try again. Once there is nobody to send it
    /// to (the delivery has ended or is lost, the connection is closing), what `chunks` holds is dropped.
    pub fn send_part(&mut self, delivery: OutgoingKey, chunks: &mut VecDeque<Bytes>, last: bool) -> bool {
        self.transfer(delivery, chunks, last, false)
    }

    /// Gives up a delivery. When nothing of it was sent, nothing is.
    ///
    /// Returns false while the session's window is closed: try again on [`Event::Window`].
    pub fn abort(&mut self, delivery: OutgoingKey) -> bool {
        match self.outgoing.get(delivery.0) {
            Some(state) if !state.ended && state.id.is_none() => {
                let link = state.link;
                self.take_outgoing(delivery);
                if let Some(entry) = self.links.get_mut(link.0) {
                    entry.sending = None;
                    // The receiver never saw it: its credit is still there.
                    entry.delivery_count = entry.delivery_count.wrapping_sub(1);
                    if entry.gives_back {
                        self.drained(link);
                    }
                }
                true
            }
            Some(state) if !state.ended => self.transfer(delivery, &mut VecDeque::new(), true, true),
            _ => true,
        }
    }

    fn transfer(&mut self, delivery: OutgoingKey, chunks: &mut VecDeque<Bytes>, last: bool, aborted: bool) -> bool {
        let max_payload = self.max_payload();
        let Some((state, link, session)) = self
            .outgoing
            .get_mut(delivery.0)
            .filter(|state| !state.ended && self.phase == Phase::Opened)
            .and_then(|state| Some((self.links.get_mut(state.link.0)?, state)))
            .and_then(|(link, state)| Some((self.sessions.get_mut(link.session.0.into())?, link, state)))
            .map(|(session, link, state)| (state, link, session))
        else {
            chunks.clear();
            return true;
        };
        let mut payload = 0;
        let mut whole = true;
        for chunk in chunks.iter() {
            payload += chunk.len();
            if payload > max_payload {
                (payload, whole) = (max_payload, false);
                break;
            }
        }
        let more = !(last && whole);
        if payload == 0 && more {
            // Nothing to say yet.
            chunks.clear();
            return true;
        }
        if session.remote_incoming_window == 0 {
            session.blocked = true;
            return false;
        }
        session.remote_incoming_window -= 1;
        session.next_outgoing_id = session.next_outgoing_id.wrapping_add(1);
        let first = state.id.is_none();
        let id = *state.id.get_or_insert(session.next_delivery_id);
        let mut tag = None;
        if first {
            session.next_delivery_id = session.next_delivery_id.wrapping_add(1);
            session.outgoing.insert(id, delivery);
            tag = Some(DeliveryTag::from(self.next_tag));
            self.next_tag = self.next_tag.wrapping_add(1);
        }
        // Settled since it began: the last transfer says so.
        let settle = state.presettled || aborted || (state.settled && !more);
        let head = Transfer {
            handle: link.local_handle,
            // Some peers want the delivery-id on continuations too.
            delivery_id: Some(id),
            delivery_tag: tag,
            message_format: first.then_some(0),
            state: state.state.as_deref().filter(|_| first).cloned(),
            settled: settle.then_some(true),
            more: more.then_some(true),
            aborted: aborted.then_some(true),
            ..Transfer::default()
        };
        let channel = session.channel;
        let gives_back = (first && link.gives_back).then_some(state.link);
        if !more {
            link.sending = None;
            state.ended = true;
            state.settled |= aborted;
            if state.settled {
                session.outgoing.remove(&id);
                link.deliveries.remove(&mut self.outgoing, delivery.0);
            }
        }
        let out = self.output.buffer();
        let start = frame::begin(out, frame::TYPE_AMQP, channel);
        head.encode(out);
        frame::end(out, start, payload);
        let mut left = payload;
        while left > 0
            && let Some(front) = chunks.front_mut()
        {
            let part = front.split_to(left.min(front.len()));
            if front.is_empty() {
                chunks.pop_front();
            }
            left -= part.len();
            self.output.payload(part);
        }
        if whole {
            // Chunks without octets may be left.
            chunks.clear();
        }
        if let Some(link) = gives_back {
            self.drained(link);
        }
        true
    }

    /// Says to the receiver how a delivery of ours stands here: with its first transfer, or by itself once that has gone.
    pub fn set_state(&mut self, delivery: OutgoingKey, state: DeliveryState) {
        let Some(outgoing) = self.outgoing.get_mut(delivery.0).filter(|outgoing| !outgoing.settled || outgoing.id.is_none())
        else {
            return;
        };
        let (link, id) = (outgoing.link, outgoing.id);
        outgoing.state = Some(Box::new(state.clone()));
        if let (Some(id), Some(session)) = (id, self.session_of(link)) {
            let disposition = Disposition { role: Role::Sender, first: id, state: Some(state), ..Disposition::default() };
            self.send_on(session, &Performative::Disposition(disposition));
        }
    }

    /// Whether a link has deliveries that are incomplete or unsettled.
    pub fn has_deliveries(&self, link: LinkKey) -> bool {
        self.link(link).is_some_and(|link| !link.deliveries.is_empty())
    }

    /// Settles a delivery of ours whose receiver gave it an outcome but left the settling to us; an incomplete one is settled by its
    /// last transfer.
    pub fn settle(&mut self, delivery: OutgoingKey) {
        let Some(state) = self.outgoing.get_mut(delivery.0) else { return };
        state.settled = true;
        if !state.ended {
            return;
        }
        let (link, id, state) = (state.link, state.id, state.state.take());
        self.take_outgoing(delivery);
        let Some(session) = self.link(link).map(|link| link.session) else { return };
        if let (Some(id), Some(entry)) = (id, self.sessions.get_mut(session.0.into())) {
            entry.outgoing.remove(&id);
            let state = state.map(|state| *state);
            let disposition = Disposition { role: Role::Sender, first: id, settled: Some(true), state, ..Disposition::default() };
            self.send_on(session, &Performative::Disposition(disposition));
        }
    }

    /// Says how a delivery of the peer's stands here, and with `settle` ends all interest in it.
    ///
    /// Settling an incomplete delivery would leave the peer's further transfers of it without a home: settle once it has ended.
    pub fn disposition(&mut self, delivery: IncomingKey, state: Option<DeliveryState>, settle: bool) {
        let Some(incoming) = self.incoming.get(delivery.0) else { return };
        let (link, id, owed, ended) = (incoming.link, incoming.id, !incoming.sender_settled, incoming.ended);
        let settle = settle && ended;
        let Some(session) = self.link(link).map(|link| link.session) else { return };
        if settle {
            self.take_incoming(delivery);
            if let Some(entry) = self.sessions.get_mut(session.0.into()) {
                entry.incoming.remove(&id);
            }
        }
        if owed {
            let disposition =
                Disposition { role: Role::Receiver, first: id, settled: settle.then_some(true), state, ..Disposition::default() };
            self.send_on(session, &Performative::Disposition(disposition));
        }
    }

    /// Detaches a link for good. The key is void from here on.
    pub fn detach(&mut self, link: LinkKey, error: Option<Error>) {
        let Some(entry) = self.links.get_mut(link.0).filter(|entry| !entry.detach_sent) else { return };
        let (session, handle) = (entry.session, entry.local_handle);
        entry.detach_sent = true;
        if !entry.attach_sent {
            // AMQP has no detach without an attach. One without termini creates nothing.
            entry.attach_sent = true;
            let request = AttachRequest { name: entry.name.clone(), role: entry.role, ..AttachRequest::default() };
            self.send_attach(session, handle, request);
        }
        self.send_on(session, &Performative::Detach(Detach { handle, closed: Some(true), error }));
        self.lose_deliveries(link);
    }

    /// Ends a session with all its links.
    pub fn end(&mut self, session: SessionKey, error: Option<Error>) {
        let Some(entry) = self.sessions.get_mut(session.0.into()).filter(|entry| !entry.end_sent) else { return };
        entry.end_sent = true;
        self.send_on(session, &Performative::End(End { error }));
        self.drop_links(session);
    }

    /// Closes the connection; [`Event::Closed`] comes when the peer has answered or 2 s have passed.
    pub fn close(&mut self, error: Option<Error>, now: Instant) {
        match self.phase {
            Phase::Opened => {
                self.send(0, &Performative::Close(Close { error }));
                self.phase = Phase::Closing;
                self.deadline = Some(now + CLOSE_TIMEOUT);
            }
            Phase::Closing | Phase::Closed => {}
            _ => self.closed(Closed { initiator: Initiator::Local, error }),
        }
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

    fn closed(&mut self, closed: Closed) {
        self.phase = Phase::Closed;
        self.deadline = None;
        self.events.push_back(Event::Closed(closed));
    }

    fn new_session(&mut self) -> SessionKey {
        let channel = u16::try_from(self.local_channels.vacant_key()).unwrap_or(u16::MAX);
        let key = self.sessions.insert(Session::new(channel, self.config.incoming_window));
        let key = SessionKey(u16::try_from(key).unwrap_or(u16::MAX));
        self.local_channels.insert(key);
        key
    }

    /// Ends a session because the peer broke its rules.
    fn end_session(&mut self, session: SessionKey, error: Error) -> Result<(), Error> {
        self.end(session, Some(error.clone()));
        self.events.push_back(Event::Ended { session, error: Some(error) });
        Ok(())
    }

    /// Detaches a link because the peer broke its rules.
    fn detach_with(&mut self, link: LinkKey, error: Option<Error>) -> Result<(), Error> {
        self.detach(link, error.clone());
        self.events.push_back(Event::Detached { link, error });
        Ok(())
    }

    fn drop_links(&mut self, session: SessionKey) {
        let gone: Vec<_> = self.links.iter().filter(|(_, link)| link.session == session).map(|(key, _)| LinkKey(key)).collect();
        for link in gone {
            self.lose_deliveries(link);
            self.links.remove(link.0);
        }
        if let Some(entry) = self.sessions.get_mut(session.0.into()) {
            entry.handles.clear();
            entry.remote_handles.clear();
            entry.attaching.clear();
        }
    }

    fn remove_link(&mut self, link: LinkKey) {
        if let Some(entry) = self.links.remove(link.0)
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
    fn take_incoming(&mut self, delivery: IncomingKey) -> Option<Incoming> {
        let link = self.incoming.get(delivery.0)?.link;
        match self.links.get_mut(link.0) {
            Some(link) => link.deliveries.remove(&mut self.incoming, delivery.0),
            None => self.incoming.remove(delivery.0),
        }
    }

    /// Forgets a delivery of ours.
    fn take_outgoing(&mut self, delivery: OutgoingKey) -> Option<Outgoing> {
        let link = self.outgoing.get(delivery.0)?.link;
        match self.links.get_mut(link.0) {
            Some(link) => link.deliveries.remove(&mut self.outgoing, delivery.0),
            None => self.outgoing.remove(delivery.0),
        }
    }

    /// Forgets the deliveries of a link.
    fn lose_deliveries(&mut self, link: LinkKey) {
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
                    (state.id, Event::OutgoingLost { delivery: OutgoingKey(key), sent: state.id.is_some() })
                }
            };
            if let (Some(id), Some(session)) = (id, self.sessions.get_mut(session.0.into())) {
                match role {
                    Role::Receiver => drop(session.incoming.remove(&id)),
                    Role::Sender => drop(session.outgoing.remove(&id)),
                }
            }
            self.events.push_back(event);
        }
    }

    // ----- frames out -----

    pub(super) fn send_open(&mut self) {
        if self.open_sent {
            return;
        }
        self.open_sent = true;
        let config = &self.config;
        let half = u32::try_from((config.idle_timeout / 2).as_millis()).unwrap_or(u32::MAX);
        let open = Open {
            container_id: config.container_id.clone(),
            hostname: config.hostname.clone(),
            max_frame_size: Some(config.max_frame_size),
            channel_max: Some(config.channel_max),
            idle_time_out: (half > 0).then_some(half),
            outgoing_locales: None,
            incoming_locales: None,
            offered_capabilities: (!config.capabilities.0.is_empty()).then(|| config.capabilities.clone()),
            desired_capabilities: (!config.capabilities.0.is_empty()).then(|| config.capabilities.clone()),
            properties: (!config.properties.0.is_empty()).then(|| config.properties.clone()),
        };
        self.send(0, &Performative::Open(Box::new(open)));
    }

    fn send_begin(&mut self, key: SessionKey, remote_channel: Option<u16>) {
        let begin = Begin {
            remote_channel,
            next_outgoing_id: 0,
            incoming_window: self.config.incoming_window,
            outgoing_window: i32::MAX as u32,
            handle_max: Some(i32::MAX as u32),
            ..Begin::default()
        };
        self.send_on(key, &Performative::Begin(Box::new(begin)));
    }

    fn send_attach(&mut self, session: SessionKey, handle: u32, request: AttachRequest) {
        let attach = Attach {
            name: request.name,
            handle,
            role: request.role,
            snd_settle_mode: Some(request.snd_settle_mode),
            rcv_settle_mode: Some(0),
            source: request.source,
            target: request.target,
            initial_delivery_count: Some(0),
            max_message_size: Some(request.max_message_size),
            offered_capabilities: request.offered_capabilities,
            properties: request.properties,
            ..Attach::default()
        };
        self.send_on(session, &Performative::Attach(Box::new(attach)));
    }

    fn send_flow(&mut self, key: SessionKey, link: Option<LinkKey>, drained: bool) {
        let Some(session) = self.sessions.get(key.0.into()) else { return };
        let link = link.and_then(|link| self.link(link)).filter(|link| link.is_attached());
        // A delivery that has begun and of which nothing was sent may yet be taken back: the peer is not told of it.
        let unsent = |key: OutgoingKey| self.outgoing.get(key.0).is_some_and(|state| state.id.is_none());
        let count = |link: &Link| link.delivery_count.wrapping_sub(link.sending.is_some_and(unsent).into());
        let flow = Flow {
            next_incoming_id: session.remote_channel.map(|_| session.next_incoming_id),
            incoming_window: session.incoming_window,
            next_outgoing_id: session.next_outgoing_id,
            outgoing_window: i32::MAX as u32,
            handle: link.map(|link| link.local_handle),
            delivery_count: link.map(count),
            link_credit: link.map(|link| ahead(link.limit, count(link))),
            drain: link.filter(|link| drained || link.drain).map(|_| true),
            ..Flow::default()
        };
        self.send_on(key, &Performative::Flow(flow));
    }

    fn send_on(&mut self, session: SessionKey, performative: &Performative) {
        if let Some(channel) = self.sessions.get(session.0.into()).map(|session| session.channel) {
            self.send(channel, performative);
        }
    }

    fn send(&mut self, channel: u16, performative: &Performative) {
        if matches!(self.phase, Phase::Closing | Phase::Closed) {
            // Nothing follows a close.
            return;
        }
        let out = self.output.buffer();
        let start = frame::begin(out, frame::TYPE_AMQP, channel);
        performative.encode(out);
        frame::end(out, start, 0);
    }
}

#[cfg(any(test, fuzzing))]
impl Connection {
    /// Checks that what the connection knows of itself agrees.
    ///
    /// # Panics
    /// When it does not.
    pub fn check(&self) {
        let session_of = |key: SessionKey| self.sessions.get(key.0.into());
        for (channel, key) in &self.channels {
            assert_eq!(session_of(*key).expect("channel without session").remote_channel, Some(*channel));
        }
        let mut chained = 0;
        for (at, link) in self.links.iter() {
            let key = LinkKey(at);
            let session = session_of(link.session).expect("link without session");
            assert_eq!(session.handles.get(link.local_handle as usize), Some(&key), "handle of {link:?}");
            if let Some(handle) = link.remote_handle {
                assert_eq!(session.remote_handles.get(&handle), Some(&key), "remote handle of {link:?}");
            }
            let mut of_link = 0;
            let mut next = link.deliveries.first();
            while let Some(delivery) = next {
                let (of, place) = match link.role {
                    Role::Receiver => self.incoming.get(delivery).map(|state| (state.link, state.place)),
                    Role::Sender => self.outgoing.get(delivery).map(|state| (state.link, state.place)),
                }
                .expect("a delivery of the link");
                assert_eq!(of, key);
                of_link += 1;
                next = place.behind();
            }
            chained += of_link;
            if let Some(delivery) = link.arriving.filter(|_| !link.detach_sent) {
                let state = self.incoming.get(delivery.0).expect("arriving delivery");
                assert!(state.link == key && !state.ended, "{state:?} arriving on {link:?}");
            }
            if let Some(delivery) = link.sending.filter(|_| !link.detach_sent) {
                let state = self.outgoing.get(delivery.0).expect("delivery being sent");
                assert!(state.link == key && !state.ended, "{state:?} being sent on {link:?}");
            }
        }
        assert_eq!(chained, self.incoming.len() + self.outgoing.len(), "deliveries by link and altogether");
        assert_eq!(self.local_channels.len(), self.sessions.len());
        let mut counts = (0, 0, 0);
        for (key, session) in self.sessions.iter() {
            assert_eq!(self.local_channels.get(session.channel.into()).map(|key| u32::from(key.0)), Some(key));
            assert!(session.handles.iter().all(|(_, link)| self.link(*link).is_some()));
            assert!(session.remote_handles.values().all(|link| self.link(*link).is_some()));
            assert!(session.attaching.values().all(|link| self.link(*link).is_some_and(|link| link.remote_handle.is_none())));
            assert!(session.incoming_window <= session.window);
            counts.0 += session.handles.len();
            counts.1 += session.incoming.len();
            counts.2 += session.outgoing.len();
        }
        let unsent = self.outgoing.iter().filter(|(_, state)| state.id.is_none()).count();
        let held = (self.links.len(), self.incoming.len(), self.outgoing.len() - unsent);
        assert_eq!(counts, held, "links, incoming and outgoing deliveries by session and altogether");
        for (at, state) in self.incoming.iter() {
            let session = self.link(state.link).and_then(|link| session_of(link.session)).expect("session of a delivery");
            assert_eq!(session.incoming.get(&state.id).map(|key| key.0), Some(at), "{state:?}");
        }
        for (at, state) in self.outgoing.iter().filter(|(_, state)| state.id.is_some()) {
            let session = self.link(state.link).and_then(|link| session_of(link.session)).expect("session of a delivery");
            assert_eq!(state.id.and_then(|id| session.outgoing.get(&id)).map(|key| key.0), Some(at), "{state:?}");
        }
    }
}

fn not_allowed(text: String) -> Error {
    Error::new(condition::NOT_ALLOWED, text)
}
