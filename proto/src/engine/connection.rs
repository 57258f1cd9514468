//! The connection: frames in, frames out, timers, and the life of sessions and links.

use super::delivery::{Incoming, IncomingKey, Outgoing, OutgoingKey};
use super::event::{Closed, Ending, Event, Initiator};
use super::link::{AttachRequest, Link, LinkKey};
use super::output::Output;
use super::session::{Session, SessionKey, in_range};
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
    },
    /// We were connected to.
    Server {
        /// SASL mechanisms we offer.
        mechanisms: Vec<&'static str>,
        /// Whether the peer may leave SASL out.
        allow_bare: bool,
    },
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

/// How long the peer's close is awaited after ours.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The most octets of a transfer's frame header with its performative: 8 of the frame, 40 of the tag, 36 of all else.
const TRANSFER_OVERHEAD: u32 = 96;

/// One AMQP connection. See the [module](super) for how it is driven.
#[derive(Debug)]
pub struct Connection {
    pub(super) config: Config,
    pub(super) phase: Phase,
    pub(super) mechanism: Option<&'static str>,
    pub(super) events: VecDeque<Event>,
    pub(super) output: Output,
    remote: Option<Box<Open>>,
    open_sent: bool,
    sessions: Slab<Session>,
    channels: HashMap<u16, SessionKey>,
    links: Slab<Link>,
    incoming: Slab<Incoming>,
    outgoing: Slab<Outgoing>,
    next_tag: u64,
    remote_max_frame: u32,
    remote_idle: Option<Duration>,
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
            events: VecDeque::new(),
            output: Output::default(),
            remote: None,
            open_sent: false,
            sessions: Slab::new(),
            channels: HashMap::new(),
            links: Slab::new(),
            incoming: Slab::new(),
            outgoing: Slab::new(),
            next_tag: 0,
            remote_max_frame: frame::MIN_MAX_FRAME_SIZE,
            remote_idle: None,
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

    /// Links that exist, attached or about to be.
    pub fn link_count(&self) -> usize {
        self.links.len()
    }

    /// The session of a link.
    pub fn session_of(&self, link: LinkKey) -> Option<SessionKey> {
        self.link(link).map(|link| link.session)
    }

    /// Deliveries that the peer lets us send on a link now.
    pub fn credit(&self, link: LinkKey) -> u32 {
        self.link(link).map_or(0, |link| link.credit)
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
        self.links.get(key.0 as usize)
    }

    // ----- outputs -----

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What is to be written. After writing, [`Output::clear`] it.
    pub fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    /// To be told when output was handed to the transport: the peer hears from us.
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
        let heartbeat = self.remote_idle.filter(|_| self.phase == Phase::Opened).map(|idle| self.last_sent + idle / 2);
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
        } else if self.remote_idle.is_some_and(|idle| self.last_sent + idle / 2 <= now) {
            let out = self.output.buffer();
            let start = frame::begin(out, frame::TYPE_AMQP, 0);
            frame::end(out, start, 0);
            self.last_sent = now;
        }
    }

    /// Takes octets from the transport. What is left in `input` is the start of a frame that has not arrived whole.
    pub fn handle_input(&mut self, input: &mut BytesMut, now: Instant) {
        if !input.is_empty() {
            self.last_received = now;
        }
        loop {
            match self.phase {
                Phase::Closed => return input.clear(),
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
                    Performative::Disposition(disposition) => {
                        self.handle_disposition(session, &disposition);
                        Ok(())
                    }
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
        self.remote_idle = open.idle_time_out.filter(|idle| *idle > 0).map(|idle| Duration::from_millis(idle.into()));
        self.remote = Some(open);
        self.phase = Phase::Opened;
        self.deadline = None;
        self.send_open();
        self.events.push_back(Event::Opened);
        Ok(())
    }

    fn handle_begin(&mut self, channel: u16, begin: &Begin) -> Result<(), Error> {
        if self.channels.contains_key(&channel) {
            return Err(not_allowed(format!("begin on channel {channel}, which is in use")));
        }
        let key = match begin.remote_channel {
            Some(ours) => {
                let session = self.sessions.get(ours.into());
                if session.is_none_or(|session| session.remote_channel.is_some()) {
                    return Err(not_allowed(format!("begin answers channel {ours}, where none was asked for")));
                }
                SessionKey(ours)
            }
            None => {
                if channel > self.config.channel_max || self.sessions.len() >= MAX_SESSIONS {
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
        }
        self.events.push_back(Event::Begun { session: key });
        Ok(())
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
                let entry = session.handles.vacant_entry();
                let local_handle = u32::try_from(entry.key()).unwrap_or(u32::MAX);
                let link = LinkKey(u32::try_from(self.links.vacant_key()).unwrap_or(u32::MAX));
                entry.insert(link);
                self.links.insert(Link {
                    session: key,
                    name: attach.name.clone(),
                    role,
                    local_handle,
                    remote_handle: None,
                    attach_sent: false,
                    detach_sent: false,
                    delivery_count: 0,
                    credit: 0,
                    capacity: 0,
                    arriving: None,
                    sending: None,
                    drain: false,
                });
                link
            }
        };
        session.remote_handles.insert(attach.handle, link);
        if let Some(entry) = self.links.get_mut(link.0 as usize) {
            entry.remote_handle = Some(attach.handle);
            if role == Role::Receiver {
                entry.delivery_count = attach.initial_delivery_count.unwrap_or(0);
            }
            if ours.is_some() && role == Role::Receiver && entry.capacity > 0 {
                // Credit could be announced only against the sender's delivery-count.
                let capacity = entry.capacity;
                self.replenish(link, capacity);
            }
        }
        self.events.push_back(Event::Attached { link, ours: ours.is_some(), attach });
        Ok(())
    }

    fn handle_flow(&mut self, key: SessionKey, flow: &Flow) -> Result<(), Error> {
        let Some(session) = self.sessions.get_mut(key.0.into()) else { return Ok(()) };
        let base = flow.next_incoming_id.unwrap_or(0);
        session.remote_incoming_window = base.wrapping_add(flow.incoming_window).wrapping_sub(session.next_outgoing_id);
        if session.remote_incoming_window > i32::MAX as u32 {
            // The peer has not seen yet what we sent beyond its window.
            session.remote_incoming_window = 0;
        }
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
        let Some(entry) = self.links.get_mut(link.0 as usize) else { return Ok(()) };
        match entry.role {
            Role::Sender => {
                if let Some(credit) = flow.link_credit {
                    let base = flow.delivery_count.unwrap_or(entry.delivery_count);
                    let limit = base.wrapping_add(credit);
                    let credit = limit.wrapping_sub(entry.delivery_count);
                    entry.credit = if credit > i32::MAX as u32 { 0 } else { credit };
                    self.events.push_back(Event::Credit { link, drain: flow.drain == Some(true) });
                }
            }
            Role::Receiver => {
                if let Some(count) = flow.delivery_count {
                    // The sender moves its count on without sending when it gives credit back.
                    let given_back = count.wrapping_sub(entry.delivery_count);
                    if given_back <= entry.credit {
                        entry.credit -= given_back;
                        entry.delivery_count = count;
                    }
                    if entry.credit == 0 {
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
        let deliveries = self.incoming.len();
        let Some(session) = self.sessions.get_mut(key.0.into()) else { return Ok(()) };
        if session.incoming_window == 0 {
            return self.end_session(key, Error::new(condition::WINDOW_VIOLATION, "the session's incoming window is used up"));
        }
        session.incoming_window -= 1;
        session.next_incoming_id = session.next_incoming_id.wrapping_add(1);
        let reopen = session.incoming_window <= session.window / 2;
        let Some(&link) = session.remote_handles.get(&transfer.handle) else {
            let error = Error::new(
                condition::UNATTACHED_HANDLE,
                format!("transfer on handle {}, which is not attached", transfer.handle),
            );
            return self.end_session(key, error);
        };
        let Some(entry) = self.links.get_mut(link.0 as usize) else { return Ok(()) };
        if entry.role != Role::Receiver {
            return self.end_session(key, not_allowed("a transfer on a link whose sender is here".to_owned()));
        }
        if entry.detach_sent {
            // What the peer sent before it saw our detach. Its numbering goes on all the same.
            session.expected_delivery_id = transfer.delivery_id.map(|id| id.wrapping_add(1)).or(session.expected_delivery_id);
            return Ok(());
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
        let mut replenish = None;
        let (delivery, first) = match entry.arriving {
            Some(delivery) => {
                let state = self.incoming.get_mut(delivery.0 as usize);
                if let (Some(id), Some(state)) = (transfer.delivery_id, &state)
                    && id != state.id
                {
                    let error = Error::new(
                        condition::NOT_ALLOWED,
                        format!("delivery {id} begins while delivery {} is incomplete on its link", state.id),
                    );
                    return self.end_session(key, error);
                }
                if let Some(state) = state {
                    state.sender_settled |= settled;
                }
                (delivery, false)
            }
            None => {
                let Some(id) = transfer.delivery_id else {
                    return self.end_session(key, Error::new(condition::INVALID_FIELD, "a delivery begins without delivery-id"));
                };
                if session.expected_delivery_id.is_some_and(|expected| expected != id) {
                    return self.end_session(
                        key,
                        Error::new("amqp:session:invalid-field", format!("sequencing error, delivery-id {id} out of order")),
                    );
                }
                session.expected_delivery_id = Some(id.wrapping_add(1));
                if entry.credit == 0 {
                    let error = Error::new(condition::TRANSFER_LIMIT_EXCEEDED, "the link's credit is used up");
                    return self.detach_with(link, Some(error));
                }
                if deliveries >= MAX_INCOMING {
                    let error =
                        Error::new(condition::RESOURCE_LIMIT_EXCEEDED, format!("{MAX_INCOMING} deliveries are unsettled"));
                    return self.end_session(key, error);
                }
                entry.credit -= 1;
                entry.delivery_count = entry.delivery_count.wrapping_add(1);
                if entry.capacity > 0 && entry.credit <= entry.capacity / 2 {
                    replenish = Some(entry.capacity);
                }
                let delivery = IncomingKey(u32::try_from(self.incoming.vacant_key()).unwrap_or(u32::MAX));
                self.incoming.insert(Incoming { link, id, sender_settled: settled, ended: false });
                session.incoming.insert(id, delivery);
                (delivery, true)
            }
        };
        entry.arriving = (ending == Ending::More).then_some(delivery);
        if ending != Ending::More
            && let Some(state) = self.incoming.get_mut(delivery.0 as usize)
        {
            state.ended = true;
            state.sender_settled |= aborted;
        }
        self.events.push_back(Event::Transfer { delivery, link, first, settled: settled || aborted, payload, ending });
        if reopen {
            if let Some(session) = self.sessions.get_mut(key.0.into()) {
                session.incoming_window = session.window;
            }
            // With a handle: a C router that waits for the window wakes on link flow only.
            match replenish {
                Some(capacity) => self.replenish(link, capacity),
                None => self.send_flow(key, Some(link), false),
            }
        } else if let Some(capacity) = replenish {
            self.replenish(link, capacity);
        }
        Ok(())
    }

    fn handle_disposition(&mut self, key: SessionKey, disposition: &Disposition) {
        let Some(session) = self.sessions.get_mut(key.0.into()) else { return };
        let last = disposition.last.unwrap_or(disposition.first);
        let settled = disposition.settled == Some(true);
        match disposition.role {
            Role::Receiver => {
                for (id, delivery) in in_range(&session.outgoing, disposition.first, last) {
                    let Some(state) = self.outgoing.get_mut(delivery.0 as usize) else { continue };
                    self.events.push_back(Event::Outcome { delivery, state: disposition.state.clone(), settled });
                    if settled {
                        state.settled = true;
                        if state.ended {
                            session.outgoing.remove(&id);
                            self.outgoing.remove(delivery.0 as usize);
                        }
                    }
                }
            }
            Role::Sender if settled => {
                for (_, delivery) in in_range(&session.incoming, disposition.first, last) {
                    if let Some(state) = self.incoming.get_mut(delivery.0 as usize) {
                        state.sender_settled = true;
                        self.events.push_back(Event::SenderSettled { delivery });
                    }
                }
            }
            Role::Sender => {}
        }
    }

    fn handle_detach(&mut self, key: SessionKey, detach: Detach) -> Result<(), Error> {
        let Some(session) = self.sessions.get_mut(key.0.into()) else { return Ok(()) };
        let Some(link) = session.remote_handles.remove(&detach.handle) else {
            let error =
                Error::new(condition::UNATTACHED_HANDLE, format!("detach of handle {}, which is not attached", detach.handle));
            return self.end_session(key, error);
        };
        let Some(entry) = self.links.get_mut(link.0 as usize) else { return Ok(()) };
        entry.remote_handle = None;
        if !entry.attach_sent {
            // Refused by nobody yet, and gone: AMQP has no detach without an attach.
            entry.attach_sent = true;
            let attach = Attach { name: entry.name.clone(), handle: entry.local_handle, role: entry.role, ..Attach::default() };
            self.send(key.0, &Performative::Attach(Box::new(attach)));
        }
        let Some(entry) = self.links.get_mut(link.0 as usize) else { return Ok(()) };
        if !entry.detach_sent {
            entry.detach_sent = true;
            let answer = Detach { handle: entry.local_handle, closed: Some(true), error: None };
            self.send(key.0, &Performative::Detach(answer));
            self.lose_deliveries(|of| of == link);
            self.events.push_back(Event::Detached { link, error: detach.error });
        }
        self.remove_link(link);
        Ok(())
    }

    fn handle_end(&mut self, key: SessionKey, channel: u16, end: End) {
        self.channels.remove(&channel);
        let ended = self.sessions.get(key.0.into()).is_some_and(|session| session.end_sent);
        if !ended {
            self.send(key.0, &Performative::End(End::default()));
            self.drop_links(key);
            self.events.push_back(Event::Ended { session: key, error: end.error });
        }
        self.sessions.try_remove(key.0.into());
    }

    // ----- application calls -----

    /// Begins a session; its links can be attached at once.
    ///
    /// Returns `None` when the peer's channel-max leaves none.
    pub fn begin(&mut self) -> Option<SessionKey> {
        let limit = self.remote.as_ref().and_then(|open| open.channel_max).unwrap_or(u16::MAX).min(self.config.channel_max);
        if self.phase != Phase::Opened || self.sessions.vacant_key() > usize::from(limit) || self.sessions.len() >= MAX_SESSIONS {
            return None;
        }
        let key = self.new_session();
        self.send_begin(key, None);
        Some(key)
    }

    /// Attaches a link. A receiver that is to be kept in credit says so with [`Connection::keep_credit`].
    ///
    /// Returns `None` when the session is gone or the connection holds [`MAX_LINKS`].
    pub fn attach(&mut self, session: SessionKey, request: AttachRequest) -> Option<LinkKey> {
        if self.links.len() >= MAX_LINKS || self.phase != Phase::Opened {
            return None;
        }
        let entry = self.sessions.get_mut(session.0.into()).filter(|entry| !entry.end_sent)?;
        let handle = u32::try_from(entry.handles.vacant_key()).ok().filter(|handle| *handle <= entry.remote_handle_max)?;
        let link = LinkKey(u32::try_from(self.links.vacant_key()).ok()?);
        entry.handles.insert(link);
        entry.attaching.insert((request.name.clone(), request.role), link);
        self.links.insert(Link {
            session,
            name: request.name.clone(),
            role: request.role,
            local_handle: handle,
            remote_handle: None,
            attach_sent: true,
            detach_sent: false,
            delivery_count: 0,
            credit: 0,
            capacity: 0,
            arriving: None,
            sending: None,
            drain: false,
        });
        self.send_attach(session, handle, request);
        Some(link)
    }

    /// Answers the peer's attach. The request's name and role are taken from the link.
    pub fn accept(&mut self, link: LinkKey, answer: AttachRequest) {
        let Some(entry) = self.links.get_mut(link.0 as usize).filter(|entry| !entry.attach_sent) else { return };
        entry.attach_sent = true;
        let (session, handle, name, role) = (entry.session, entry.local_handle, entry.name.clone(), entry.role);
        self.send_attach(session, handle, AttachRequest { name, role, ..answer });
    }

    /// Refuses the peer's attach: an attach whose far terminus is null, then a detach with the reason.
    pub fn refuse(&mut self, link: LinkKey, error: Error) {
        self.accept(link, AttachRequest { snd_settle_mode: 2, ..AttachRequest::default() });
        self.detach(link, Some(error));
    }

    /// Keeps a link that we receive on in credit: `capacity` deliveries now, and topped up whenever half is used.
    pub fn keep_credit(&mut self, link: LinkKey, capacity: u32) {
        let Some(entry) = self.links.get_mut(link.0 as usize).filter(|entry| entry.role == Role::Receiver) else { return };
        entry.capacity = capacity;
        if entry.remote_handle.is_some() {
            self.replenish(link, capacity);
        }
    }

    /// Gives credit for `credit` deliveries on a link that we receive on, counted from now; with `drain` the peer is to use it
    /// or give it back.
    pub fn set_credit(&mut self, link: LinkKey, credit: u32, drain: bool) {
        if let Some(entry) = self.links.get_mut(link.0 as usize).filter(|entry| entry.role == Role::Receiver) {
            entry.credit = credit;
            entry.drain = drain;
            let session = entry.session;
            self.send_flow(session, Some(link), false);
        }
    }

    /// Gives back all credit of a link that we send on, as an answer to drain.
    pub fn drained(&mut self, link: LinkKey) {
        if let Some(entry) = self.links.get_mut(link.0 as usize).filter(|entry| entry.role == Role::Sender) {
            entry.delivery_count = entry.delivery_count.wrapping_add(entry.credit);
            entry.credit = 0;
            let session = entry.session;
            self.send_flow(session, Some(link), true);
        }
    }

    /// Begins a delivery, using one credit. Its first [`Connection::send`] gives it its number.
    ///
    /// Returns `None` when the link is not there, has no credit, or a delivery is incomplete on it.
    pub fn deliver(&mut self, link: LinkKey, presettled: bool) -> Option<OutgoingKey> {
        let entry = self.links.get_mut(link.0 as usize)?;
        if entry.role != Role::Sender || entry.credit == 0 || entry.sending.is_some() || entry.detach_sent {
            return None;
        }
        let key = OutgoingKey(u32::try_from(self.outgoing.vacant_key()).ok()?);
        entry.credit -= 1;
        entry.delivery_count = entry.delivery_count.wrapping_add(1);
        entry.sending = Some(key);
        self.outgoing.insert(Outgoing { link, id: None, presettled, ended: false, settled: presettled });
        Some(key)
    }

    /// Sends the next part of a delivery in one transfer: up to [`Connection::max_payload`] octets from the front of `chunks`. The
    /// transfer is the delivery's last when `last` is set and nothing is left in `chunks`.
    ///
    /// Returns whether it went. It does not while the session's window is closed: [`Event::Window`] tells when to try again.
    pub fn send_part(&mut self, delivery: OutgoingKey, chunks: &mut VecDeque<Bytes>, last: bool) -> bool {
        self.transfer(delivery, chunks, last, false)
    }

    /// Gives up a delivery. When nothing of it was sent, nothing is.
    ///
    /// Returns false while the session's window is closed: try again on [`Event::Window`].
    pub fn abort(&mut self, delivery: OutgoingKey) -> bool {
        match self.outgoing.get(delivery.0 as usize) {
            Some(state) if !state.ended && state.id.is_none() => {
                let link = state.link;
                self.outgoing.remove(delivery.0 as usize);
                if let Some(entry) = self.links.get_mut(link.0 as usize) {
                    entry.sending = None;
                    // The receiver never saw it: its credit is still there.
                    entry.credit = entry.credit.saturating_add(1);
                    entry.delivery_count = entry.delivery_count.wrapping_sub(1);
                }
                true
            }
            Some(state) if !state.ended => self.transfer(delivery, &mut VecDeque::new(), true, true),
            _ => true,
        }
    }

    fn transfer(&mut self, delivery: OutgoingKey, chunks: &mut VecDeque<Bytes>, last: bool, aborted: bool) -> bool {
        let max_payload = self.max_payload();
        let Some(state) = self.outgoing.get_mut(delivery.0 as usize).filter(|state| !state.ended) else { return true };
        let Some(link) = self.links.get_mut(state.link.0 as usize) else { return true };
        let Some(session) = self.sessions.get_mut(link.session.0.into()) else { return true };
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
        let settle = state.presettled || aborted;
        let waiting: usize = chunks.iter().map(Bytes::len).sum();
        let payload = waiting.min(max_payload);
        let more = !last || waiting > payload;
        let head = Transfer {
            handle: link.local_handle,
            // Some peers want the delivery-id on continuations too.
            delivery_id: Some(id),
            delivery_tag: tag,
            message_format: first.then_some(0),
            settled: settle.then_some(true),
            more: more.then_some(true),
            aborted: aborted.then_some(true),
            ..Transfer::default()
        };
        let channel = link.session.0;
        if !more {
            link.sending = None;
            state.ended = true;
            state.settled |= aborted;
            if state.settled {
                session.outgoing.remove(&id);
                self.outgoing.remove(delivery.0 as usize);
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
        true
    }

    /// Settles a delivery of ours whose receiver gave it an outcome but left the settling to us.
    pub fn settle(&mut self, delivery: OutgoingKey) {
        let Some(state) = self.outgoing.get_mut(delivery.0 as usize) else { return };
        state.settled = true;
        if !state.ended {
            return;
        }
        let (link, id) = (state.link, state.id);
        self.outgoing.remove(delivery.0 as usize);
        let Some(session) = self.link(link).map(|link| link.session) else { return };
        if let (Some(id), Some(entry)) = (id, self.sessions.get_mut(session.0.into())) {
            entry.outgoing.remove(&id);
            let disposition = Disposition { role: Role::Sender, first: id, settled: Some(true), ..Disposition::default() };
            self.send(session.0, &Performative::Disposition(disposition));
        }
    }

    /// Says how a delivery of the peer's stands here, and with `settle` ends all interest in it.
    ///
    /// Settling an incomplete delivery would leave the peer's further transfers of it without a home: settle once it has ended.
    pub fn disposition(&mut self, delivery: IncomingKey, state: Option<DeliveryState>, settle: bool) {
        let Some(incoming) = self.incoming.get(delivery.0 as usize) else { return };
        let (link, id, owed, ended) = (incoming.link, incoming.id, !incoming.sender_settled, incoming.ended);
        let settle = settle && ended;
        let Some(session) = self.link(link).map(|link| link.session) else { return };
        if settle {
            self.incoming.remove(delivery.0 as usize);
            if let Some(entry) = self.sessions.get_mut(session.0.into()) {
                entry.incoming.remove(&id);
            }
        }
        if owed {
            let disposition =
                Disposition { role: Role::Receiver, first: id, settled: settle.then_some(true), state, ..Disposition::default() };
            self.send(session.0, &Performative::Disposition(disposition));
        }
    }

    /// Detaches a link for good. The key is void from here on.
    pub fn detach(&mut self, link: LinkKey, error: Option<Error>) {
        let Some(entry) = self.links.get_mut(link.0 as usize).filter(|entry| !entry.detach_sent) else { return };
        entry.detach_sent = true;
        let (session, handle) = (entry.session, entry.local_handle);
        self.send(session.0, &Performative::Detach(Detach { handle, closed: Some(true), error }));
        self.lose_deliveries(|of| of == link);
    }

    /// Ends a session with all its links.
    pub fn end(&mut self, session: SessionKey, error: Option<Error>) {
        let Some(entry) = self.sessions.get_mut(session.0.into()).filter(|entry| !entry.end_sent) else { return };
        entry.end_sent = true;
        self.send(session.0, &Performative::End(End { error }));
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
        let key = self.sessions.insert(Session::new(self.config.incoming_window));
        SessionKey(u16::try_from(key).unwrap_or(u16::MAX))
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
        let gone: Vec<_> = self
            .links
            .iter()
            .filter(|(_, link)| link.session == session)
            .filter_map(|(key, _)| u32::try_from(key).ok())
            .collect();
        let links: std::collections::HashSet<_> = gone.iter().copied().map(LinkKey).collect();
        self.lose_deliveries(|link| links.contains(&link));
        for link in gone {
            self.links.try_remove(link as usize);
        }
        if let Some(entry) = self.sessions.get_mut(session.0.into()) {
            entry.handles.clear();
            entry.remote_handles.clear();
            entry.attaching.clear();
        }
    }

    fn remove_link(&mut self, link: LinkKey) {
        if let Some(entry) = self.links.try_remove(link.0 as usize)
            && let Some(session) = self.sessions.get_mut(entry.session.0.into())
        {
            session.handles.try_remove(entry.local_handle as usize);
            session.attaching.remove(&(entry.name, entry.role));
        }
    }

    fn lose_deliveries(&mut self, lost: impl Fn(LinkKey) -> bool) {
        let gone: Vec<_> = self.incoming.iter().filter(|(_, state)| lost(state.link)).map(|(key, _)| key).collect();
        for key in gone {
            let state = self.incoming.remove(key);
            if let Some(session) = self.link(state.link).map(|link| link.session)
                && let Some(session) = self.sessions.get_mut(session.0.into())
            {
                session.incoming.remove(&state.id);
            }
            self.events.push_back(Event::IncomingLost { delivery: IncomingKey(u32::try_from(key).unwrap_or(u32::MAX)) });
        }
        let gone: Vec<_> = self.outgoing.iter().filter(|(_, state)| lost(state.link)).map(|(key, _)| key).collect();
        for key in gone {
            let state = self.outgoing.remove(key);
            if let (Some(id), Some(session)) = (state.id, self.link(state.link).map(|link| link.session))
                && let Some(session) = self.sessions.get_mut(session.0.into())
            {
                session.outgoing.remove(&id);
            }
            let delivery = OutgoingKey(u32::try_from(key).unwrap_or(u32::MAX));
            self.events.push_back(Event::OutgoingLost { delivery, sent: state.id.is_some() });
        }
    }

    fn replenish(&mut self, link: LinkKey, capacity: u32) {
        if let Some(entry) = self.links.get_mut(link.0 as usize) {
            entry.credit = capacity;
            let session = entry.session;
            self.send_flow(session, Some(link), false);
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
        self.send(key.0, &Performative::Begin(Box::new(begin)));
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
        self.send(session.0, &Performative::Attach(Box::new(attach)));
    }

    fn send_flow(&mut self, key: SessionKey, link: Option<LinkKey>, drained: bool) {
        let Some(session) = self.sessions.get(key.0.into()) else { return };
        let link = link.and_then(|link| self.link(link)).filter(|link| !link.detach_sent);
        let flow = Flow {
            next_incoming_id: session.remote_channel.map(|_| session.next_incoming_id),
            incoming_window: session.incoming_window,
            next_outgoing_id: session.next_outgoing_id,
            outgoing_window: i32::MAX as u32,
            handle: link.map(|link| link.local_handle),
            delivery_count: link.map(|link| link.delivery_count),
            link_credit: link.map(|link| link.credit),
            drain: link.filter(|link| drained || link.drain).map(|_| true),
            ..Flow::default()
        };
        self.send(key.0, &Performative::Flow(flow));
    }

    fn send(&mut self, channel: u16, performative: &Performative) {
        let out = self.output.buffer();
        let start = frame::begin(out, frame::TYPE_AMQP, channel);
        performative.encode(out);
        frame::end(out, start, 0);
    }
}

fn not_allowed(text: String) -> Error {
    Error::new(condition::NOT_ALLOWED, text)
}
