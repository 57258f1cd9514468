//! Deliveries that arrive by a connection.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use skupper_proto::amqp::message::{self, Head, Header, MAX_HEAD, Properties, Scan};
use skupper_proto::amqp::performative::{DeliveryState, Error, Modified, Rejected};
use skupper_proto::amqp::{DecodeError, Value, condition};
use skupper_proto::annotations::{self, AnnotationError, Flags, Parsed};
use skupper_proto::engine::{Ending, IncomingKey, LinkKey, SessionKey};
use skupper_proto::keys::KeyMap;
use skupper_proto::mobile::MAX_ADDRESS_OCTETS;
use skupper_proto::stream;
use skupper_proto::time::Instant;

use super::connection::Connection;
use super::settings::Kind;
use super::stuck::Stuck;
use super::wake::Wake;
use crate::core::{Charge, Counters, Delivery, Ended, Holder, Message, Notify};
use crate::node::LinkRecord;
use crate::schema::Role;

/// The most octets of a message of the routing protocol: what a router tells of its addresses at
/// once, and as much again for what goes with each.
const MAX_ROUTING: usize = 2 * MAX_ADDRESS_OCTETS;

/// Octets below which a payload is copied rather than kept as a slice: a slice pins the whole block
/// it was read into (64 KiB), and may pin four times its size at most. A full frame of 16 KiB is
/// just over it.
const COPY_BELOW: usize = 15 * 1024;

/// Octets beyond twice its own that a head may keep room for while it arrives.
const SLACK: usize = 1024;

/// Octets of one message in transit that may wait for its receiver before the session's window is
/// left to close.
const FULL: usize = 1024 * 1024;

/// The priority of a message without header (part 3.2.1).
const DEFAULT_PRIORITY: u8 = 4;

/// Where an incoming delivery stands.
enum State {
    /// Its head has not arrived whole; what has, if anything.
    Head(Option<Box<Gathering>>),
    /// It is on its way.
    Routed(Arc<Delivery>),
    /// Nobody wants it; the rest is dropped.
    Refused,
}

struct Slot {
    link: LinkKey,
    begun: Instant,
    /// Its link, while the delivery counts as unsettled there.
    counted: Option<Arc<LinkRecord>>,
    outcome: Option<DeliveryState>,
    stuck: bool,
    presettled: bool,
    state: State,
    ended: bool,
    /// It has a window of its own, as the two streams of a service connection have.
    windowed: bool,
    /// It holds more than it should: its session's window is left to close.
    full: Option<SessionKey>,
    /// Octets whose receipt was passed on.
    told: Option<u64>,
    outcome_told: bool,
    /// Octets of the message that have arrived.
    octets: u64,
    /// What its sender has said of it in the terms of an extension, until it is routed.
    sender_state: Option<Box<DeliveryState>>,
}

/// All deliveries that arrive by one connection.
#[derive(Default)]
pub(super) struct Incoming {
    slots: KeyMap<IncomingKey, Slot>,
    /// Deliveries of each session that hold more than they should.
    full: HashMap<SessionKey, usize>,
}

impl Incoming {
    /// Gives back the room that a burst of deliveries has left.
    pub(super) fn shrink(&mut self) {
        self.slots.shrink_to_fit();
        self.full.shrink_to_fit();
    }
}

/// Why a message cannot be routed.
#[derive(Debug, thiserror::Error)]
enum HeadError {
    #[error("router annotations: {0}")]
    Annotations(#[from] AnnotationError),
    #[error("invalid message format: {0}")]
    Message(#[from] DecodeError),
    #[error("the sections before the body take more than {MAX_HEAD} octets")]
    TooLarge,
    #[error("Routing failure: no address present")]
    NoAddress,
    #[error("user_id proxy violation")]
    OtherUser,
    #[error("the address is not allowed by local policy")]
    Forbidden,
    #[error(
        "the listener's management attribute lets no request go on to another router's management node"
    )]
    Management,
}

/// How the messages of a link are read.
#[derive(Default)]
struct LinkRules<'a> {
    /// Where they all go, whatever they say.
    to: Option<&'a Arc<str>>,
    /// They are forwarded as they arrive.
    streaming: bool,
    /// They go elsewhere when released.
    resend: bool,
    /// Router annotations are none of the sender's business.
    strips: bool,
    /// The user that they must name if they name one.
    user: Option<&'a str>,
    /// The number of the connection that they come by.
    connection: u64,
    /// No more than where they go is waited for: the connection holds much already.
    hurries: bool,
}

/// A head that was read.
struct Read<'a> {
    message: Message,
    to: Cow<'a, str>,
    /// Where the body's octets begin.
    body: usize,
}

/// What has arrived of a head, for which the peer is charged, and what was read of it: it may come
/// octet by octet.
struct Gathering {
    octets: BytesMut,
    front: Front,
    _charge: Charge,
}

/// The router annotations at the front of a message, as far as they have been read. They may be
/// long, and are read once.
#[derive(Debug, PartialEq)]
enum Front {
    /// To be read when so many octets have arrived.
    Unread { needed: usize },
    /// Their length, the flags, and where an address stands that goes before the message's own.
    Read { length: usize, flags: Flags, to_override: Option<Range<usize>> },
}

impl Default for Front {
    fn default() -> Self {
        Self::Unread { needed: 0 }
    }
}

impl Front {
    /// Reads them once they are whole. Returns whether they are.
    fn read(&mut self, octets: &[u8], strips: bool) -> Result<bool, AnnotationError> {
        if !matches!(self, Self::Unread { needed } if *needed <= octets.len()) {
            return Ok(matches!(self, Self::Read { .. }));
        }
        *self = match annotations::parse(octets)? {
            Parsed::Incomplete { needed } => Self::Unread { needed },
            Parsed::Absent => Self::Read { length: 0, flags: Flags::default(), to_override: None },
            Parsed::Present(found) if strips => {
                Self::Read { length: found.length, flags: Flags::default(), to_override: None }
            }
            Parsed::Present(found) => {
                let at = |text: &str| {
                    let start = text.as_ptr().addr() - octets.as_ptr().addr();
                    start..start + text.len()
                };
                Self::Read {
                    length: found.length,
                    flags: found.flags,
                    to_override: found.to_override.map(at),
                }
            }
        };
        Ok(matches!(self, Self::Read { .. }))
    }
}

impl State {
    /// Keeps what has arrived of a head, for which `holder` is charged.
    fn hold(octets: Bytes, front: Front, holder: &Arc<Holder>) -> Self {
        let mut octets =
            octets.try_into_mut().unwrap_or_else(|shared| BytesMut::from(shared.as_ref()));
        if octets.capacity() > 2 * octets.len() + SLACK {
            // It is a small part of the block that it was read into.
            octets = BytesMut::from(&octets[..]);
        }
        let charge = holder.charge(octets.capacity());
        Self::Head(Some(Box::new(Gathering { octets, front, _charge: charge })))
    }
}

/// Reads a message's head from what has arrived of it; `None` when more is needed.
fn read_head<'a>(
    octets: &'a [u8],
    front: &mut Front,
    complete: bool,
    presettled: bool,
    link: &LinkRules<'_>,
) -> Result<Option<Read<'a>>, HeadError> {
    let too_large = octets.len() > MAX_HEAD;
    front.read(octets, link.strips)?;
    let (annotations, flags, overridden) = match front {
        Front::Read { length, flags, to_override } => {
            let text = |range: &Range<usize>| {
                core::str::from_utf8(octets.get(range.clone()).unwrap_or_default()).ok()
            };
            (*length, *flags, to_override.as_ref().and_then(text))
        }
        Front::Unread { .. } if complete => return Err(HeadError::Message(DecodeError::Truncated)),
        Front::Unread { .. } => return Ok(None),
    };
    let streaming = flags.contains(Flags::STREAMING) || link.streaming;
    // What is larger than a head may be is forwarded as it arrives, whatever its sender wished.
    let streaming = streaming || !complete && !too_large && link.hurries;
    if !streaming && !complete && !too_large {
        return Ok(None);
    }
    let sections = octets.get(annotations..).unwrap_or_default();
    let windowed = flags.contains(Flags::STREAMING.with(Flags::DISABLE_Q2));
    let head = match message::scan(sections, complete, windowed) {
        Ok(Scan::Complete(head)) => head,
        // Where it goes is enough to send a message on its way that is forwarded as it arrives.
        Ok(Scan::Incomplete) if streaming && !windowed => match message::arrived(sections)? {
            head if head.properties.is_some() || link.to.is_some() && link.user.is_none() => head,
            _ if too_large => return Err(HeadError::TooLarge),
            _ => return Ok(None),
        },
        Ok(Scan::Incomplete) if too_large => return Err(HeadError::TooLarge),
        Ok(Scan::Incomplete) => return Ok(None),
        // Where it goes is known by its link: what is in it is its receiver's business.
        Err(_) if link.to.is_some() && link.user.is_none() => Head::default(),
        Err(error) => return Err(error.into()),
    };
    let to = match (link.to, overridden) {
        (Some(to), _) => Cow::Owned(to.to_string()),
        (None, Some(to)) => Cow::Borrowed(to),
        (None, None) => Cow::Borrowed(
            message::destination(head.properties.as_ref(), sections)?
                .ok_or(HeadError::NoAddress)?,
        ),
    };
    if let Some(user) = link.user
        && user_id(sections, &head)?.is_some_and(|named| names_another(&named, user))
    {
        return Err(HeadError::OtherUser);
    }
    let priority = match &head.header {
        Some(span) => {
            Header::decode_fields(&mut span.of(sections))?.priority.unwrap_or(DEFAULT_PRIORITY)
        }
        None => DEFAULT_PRIORITY,
    };
    let streaming = streaming || !complete;
    // Of a stream, the octets behind the head flow on their own; any other message is one piece.
    let end = match head.body.filter(|_| windowed) {
        Some(body) => annotations + body.end,
        None => octets.len(),
    };
    let message = Message {
        // Copied: they live as long as the stream does, and would pin the block they were read
        // into.
        annotations: Bytes::copy_from_slice(
            octets.get(..annotations).filter(|_| !link.strips).unwrap_or_default(),
        ),
        sections: Bytes::copy_from_slice(octets.get(annotations..end).unwrap_or_default()),
        streaming,
        presettled,
        priority,
        internal: false,
        windowed,
        extensible: false,
        resend: link.resend || flags.contains(Flags::RESEND_RELEASED),
        to_override: link.to.cloned(),
        edge: None,
        state: None,
        connection: Some(link.connection),
    };
    Ok(Some(Read { message, to, body: end }))
}

/// Whether a message names a user other than this one.
fn names_another(named: &Value, user: &str) -> bool {
    match named {
        Value::Null => false,
        Value::Binary(octets) => !octets.is_empty() && octets[..] != *user.as_bytes(),
        other => other.as_text().is_none_or(|named| !named.is_empty() && named != user),
    }
}

fn user_id(sections: &[u8], head: &Head) -> Result<Option<Value>, DecodeError> {
    let Some(span) = &head.properties else { return Ok(None) };
    Properties::decode_fields(&mut span.of(sections)).map(|properties| properties.user_id)
}

impl Incoming {
    /// The connection has ended: gives up one delivery after the other. What had not arrived whole
    /// never will.
    pub(super) fn give_up(&mut self) -> impl Iterator<Item = ()> + use<> {
        std::mem::take(self).slots.into_values().map(|slot| {
            if let State::Routed(delivery) = slot.state {
                delivery.set_producer(Notify::Nobody);
                sender_lost(&delivery);
            }
        })
    }
}

impl Slot {
    /// It is no unsettled delivery of its link any more.
    fn uncount(&self, now: Instant, counters: &Counters) {
        if let Some(record) = &self.counted {
            let age = now.since(self.begun);
            record.counts.end(self.outcome.as_ref(), age, self.stuck, now);
            counters.took(age);
        }
    }
}

impl Connection {
    /// A transfer arrived.
    pub(super) fn transfer(
        &mut self,
        key: IncomingKey,
        link: LinkKey,
        presettled: bool,
        payload: Bytes,
        ending: Ending,
        sender_state: Option<Box<DeliveryState>>,
    ) {
        let mut counted = None;
        let limit = self.max_message_size();
        if !self.incoming.slots.contains_key(&key) {
            self.producer_began(link);
            self.cx.octets.delivery(self.cx.now);
            counted = self.cx.records.get(&link).map(|known| Arc::clone(known.record()));
            if let Some(record) = &counted {
                record.counts.begin(presettled, self.cx.now);
            }
            if presettled {
                counted = None;
            } else {
                self.expect_settlement();
            }
            // A C router may go to sleep between what it had of a service's stream at the first
            // send and what came during that. More credit makes it send once more, and
            // from then on it wakes.
            if ending == Ending::More && self.cx.peer.bounds_unread && self.cx.kind != Kind::Normal
            {
                self.cx.engine.renew_credit(link);
            }
        }
        let begun = self.cx.now;
        let slot = self.incoming.slots.entry(key).or_insert_with(|| Slot {
            link,
            begun,
            counted,
            outcome: None,
            stuck: false,
            presettled,
            state: State::Head(None),
            ended: false,
            windowed: false,
            full: None,
            told: None,
            outcome_told: false,
            octets: 0,
            sender_state: None,
        });
        if let Some(said) = sender_state.filter(|said| is_extended(said)) {
            match &slot.state {
                State::Routed(delivery) => delivery.set_sender_state(*said),
                _ => slot.sender_state = Some(said),
            }
        }
        slot.presettled |= presettled;
        slot.octets = slot.octets.saturating_add(payload.len() as u64);
        if limit > 0 && slot.octets > limit {
            return self.oversize(key, link);
        }
        let complete = ending == Ending::Complete;
        let exact = self.cx.holder.account().is_exact();
        match &mut slot.state {
            State::Routed(delivery) if complete && !slot.windowed => {
                delivery.push_last(kept(payload, exact), Ended::Complete)
            }
            State::Routed(delivery) => {
                let held = delivery.push(kept(payload, exact));
                if slot.windowed
                    && held > stream::MAX_HELD
                    && held > stream::MAX_HELD + delivery.lent()
                {
                    delivery.end(Ended::Aborted);
                    slot.state = State::Refused;
                    let error = Error::new(
                        condition::RESOURCE_LIMIT_EXCEEDED,
                        "the stream's window was overrun",
                    );
                    self.reject(key, error);
                } else if !slot.windowed
                    && held > FULL
                    && slot.full.is_none()
                    && ending == Ending::More
                {
                    self.fill(key, link);
                }
            }
            State::Refused => {}
            State::Head(_) if ending == Ending::Aborted => {}
            State::Head(held) => {
                // Most heads come in one transfer and need no gathering.
                let (octets, front) = match held.take() {
                    None => (payload, Front::default()),
                    Some(held) => {
                        let Gathering { mut octets, front, .. } = *held;
                        octets.extend_from_slice(&payload);
                        (octets.freeze(), front)
                    }
                };
                if Some(link) == self.links.control_in {
                    self.control(key, octets, complete);
                } else if self.edge.takes(link) {
                    self.own_message(key, link, octets, complete);
                } else {
                    self.begin(key, octets, front, complete);
                }
            }
        }
        if ending == Ending::More {
            return;
        }
        let Some(slot) = self.incoming.slots.get_mut(&key) else { return };
        slot.ended = true;
        if let State::Routed(delivery) = &slot.state {
            delivery.end(if complete { Ended::Complete } else { Ended::Aborted });
        }
        if slot.presettled || !complete {
            // Nobody waits for word of it.
            self.forget(key);
        } else {
            self.look_after(key);
        }
    }

    /// A client's message is larger than it may be: it goes no further, and the client is told and
    /// let go.
    fn oversize(&mut self, key: IncomingKey, link: LinkKey) {
        const TEXT: &str = "Message size exceeded";
        if let Some(admission) = &self.cx.peer.admission {
            admission.count_oversize();
        }
        if let Some(slot) = self.incoming.slots.get_mut(&key)
            && let State::Routed(delivery) = std::mem::replace(&mut slot.state, State::Refused)
        {
            delivery.end(Ended::Aborted);
        }
        crate::log!(
            Policy,
            Info,
            "[C{}] DENY a message that is larger than {} octets",
            self.cx.id,
            self.max_message_size()
        );
        self.reject(key, Error::new(condition::MESSAGE_SIZE_EXCEEDED, TEXT));
        // The reason stands with the delivery and with the connection, where clients look for it; a
        // link that fails ends some of them early.
        self.cx.engine.detach(link, None);
        self.cx.engine.close(Some(Error::new(condition::CONNECTION_FORCED, TEXT)), self.cx.now);
    }

    /// A delivery holds enough: its session's window is left to close. What the peer may still send
    /// is that window.
    fn fill(&mut self, key: IncomingKey, link: LinkKey) {
        let (Some(slot), Some(session)) =
            (self.incoming.slots.get_mut(&key), self.cx.engine.session_of(link))
        else {
            return;
        };
        slot.full = Some(session);
        self.fill_session(session);
    }

    /// There is one reason more to leave a session's window to close.
    pub(super) fn fill_session(&mut self, session: SessionKey) {
        let full = self.incoming.full.entry(session).or_default();
        *full += 1;
        if *full == 1 {
            self.cx.engine.hold_window(session, true);
        }
    }

    /// Whether what arrives is the stream of a service connection.
    pub(super) fn is_stream(&self, key: IncomingKey) -> bool {
        self.incoming.slots.get(&key).is_some_and(|slot| slot.windowed)
    }

    /// A delivery holds little again, or is over.
    pub(super) fn drained(&mut self, session: SessionKey) {
        let Some(full) = self.incoming.full.get_mut(&session) else { return };
        *full = full.saturating_sub(1);
        if *full == 0 {
            self.incoming.full.remove(&session);
            self.cx.engine.hold_window(session, false);
        }
    }

    /// A message of the routing protocol, or one for another router's.
    fn control(&mut self, key: IncomingKey, octets: Bytes, complete: bool) {
        let Some(slot) = self.incoming.slots.get_mut(&key) else { return };
        if !complete {
            if octets.len() <= MAX_ROUTING {
                slot.state = State::hold(octets, Front::default(), &self.cx.holder);
            } else {
                slot.state = State::Refused;
                crate::log_limited!(
                    self.cx.id,
                    Router,
                    Error,
                    "[C{}] a routing message of more than {MAX_ROUTING} octets is passed over",
                    self.cx.id
                );
            }
            return;
        }
        slot.state = State::Refused;
        if let Some(trunk) = &self.links.trunk {
            self.cx.core.control_message(trunk.id(), &octets, self.cx.now);
        }
        if !slot.presettled {
            self.cx.engine.disposition(key, Some(DeliveryState::Accepted), false);
        }
    }

    /// A message between an edge router and its interior router, for this one's own use.
    fn own_message(&mut self, key: IncomingKey, link: LinkKey, octets: Bytes, complete: bool) {
        let Some(slot) = self.incoming.slots.get_mut(&key) else { return };
        if complete {
            slot.state = State::Refused;
            self.edge_message(key, link, &octets);
        } else {
            slot.state = if octets.len() > MAX_HEAD {
                State::Refused
            } else {
                State::hold(octets, Front::default(), &self.cx.holder)
            };
        }
    }

    /// Routes a delivery if its head has arrived.
    fn begin(&mut self, key: IncomingKey, octets: Bytes, mut front: Front, complete: bool) {
        let Some((link, presettled)) =
            self.incoming.slots.get(&key).map(|slot| (slot.link, slot.presettled))
        else {
            return;
        };
        let producer = self.clients.producers.get(&link);
        let rules = LinkRules {
            to: producer.and_then(|producer| producer.to.as_ref()),
            streaming: producer.is_some_and(|producer| producer.streaming),
            resend: producer.is_some_and(|producer| producer.resend),
            strips: self.cx.kind == Kind::Normal && self.cx.settings.strip_in,
            user: self.sole_user(),
            connection: self.cx.id,
            hurries: !complete && !self.cx.holder.is_light(),
        };
        let judged = read_head(&octets, &mut front, complete, presettled, &rules).and_then(
            |read| match read {
                Some(read)
                    if rules.to.is_none() && !self.may_send_to(self.cx.core.read(&read.to)) =>
                {
                    Err(HeadError::Forbidden)
                }
                Some(read) if !self.may_manage_at(&read.to) => Err(HeadError::Management),
                read => Ok(read),
            },
        );
        let Some(slot) = self.incoming.slots.get_mut(&key) else { return };
        let mut read = match judged {
            Ok(Some(read)) => read,
            Ok(None) => {
                slot.state = State::hold(octets, front, &self.cx.holder);
                return;
            }
            Err(error) => {
                let condition = match error {
                    HeadError::Annotations(AnnotationError::NotAList) => condition::DECODE_ERROR,
                    HeadError::Annotations(_) => condition::INVALID_FIELD,
                    HeadError::Message(_) | HeadError::TooLarge => condition::DECODE_ERROR,
                    HeadError::NoAddress => condition::PRECONDITION_FAILED,
                    HeadError::OtherUser | HeadError::Forbidden | HeadError::Management => {
                        condition::UNAUTHORIZED_ACCESS
                    }
                };
                slot.state = State::Refused;
                return self.reject(key, Error::new(condition, error.to_string()));
            }
        };
        super::message_log::note(
            &self.cx.settings.message_logging,
            self.cx.id,
            "Received",
            &read.message.sections,
        );
        slot.windowed = read.message.windowed;
        read.message.state = slot.sender_state.take();
        // A link for an unavailable address was refused; what an anonymous one names is known only
        // now.
        let to = self.cx.core.read(&read.to);
        if self.cx.kind == Kind::Normal && !self.cx.core.is_available(to.key()) {
            slot.state = State::Refused;
            let text = "Deliveries cannot be sent to an unavailable address";
            return self.reject(key, Error::new(condition::NOT_FOUND, text));
        }
        if slot.presettled {
            self.cx.core.counters().arrived_presettled();
        }
        read.message.edge.clone_from(&self.cx.edge);
        if read.message.annotations.is_empty() || read.message.edge.is_some() {
            self.cx.core.counters().began();
            if self.cx.settings.role == Role::RouteContainer {
                self.cx.core.counters().came_from_container();
            }
        }
        let message = Message {
            extensible: read.message.windowed && !self.cx.peer.bounds_unread,
            ..read.message
        };
        let exact = self.cx.holder.account().is_exact();
        let delivery = Delivery::new(message, &self.cx.holder);
        delivery
            .set_producer(Notify::Slot(Arc::clone(&self.cx.mailbox), Wake::Incoming(key).into()));
        delivery.push(kept(octets.slice(read.body..), exact));
        slot.state = State::Routed(Arc::clone(&delivery));
        if complete {
            delivery.end(Ended::Complete);
        }
        let link = slot.link;
        let presettled = slot.presettled;
        if !self.cx.core.route(delivery, to) {
            if presettled {
                self.cx.core.counters().dropped();
                if let Some(known) = self.cx.records.get(&link) {
                    known.record().counts.dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
            self.producer_without_destination(link);
        }
    }

    /// The mailbox says what has something to be done.
    pub(super) fn on_wake(&mut self, wake: Wake) {
        match wake {
            Wake::Incoming(key) => self.look_after(key),
            Wake::Outgoing(slot) => self.make_ready(slot),
            Wake::Producer(link) => self.producer_noticed(link),
            Wake::Edge => self.edge_noticed(),
        }
    }

    /// Passes on what a delivery's consumer has said.
    fn look_after(&mut self, key: IncomingKey) {
        let Some(slot) = self.incoming.slots.get_mut(&key) else { return };
        let delivery = match &slot.state {
            State::Routed(delivery) => delivery,
            State::Refused if slot.ended => return self.forget(key),
            _ => return,
        };
        let progress = delivery.progress();
        if progress.extended
            && let Some(state) = delivery.receiver_state()
        {
            self.cx.engine.disposition(key, Some(state), false);
        }
        if progress.queued <= FULL / 2
            && let Some(session) = slot.full.take()
        {
            self.drained(session);
        }
        let Some(slot) = self.incoming.slots.get_mut(&key) else { return };
        match progress.outcome {
            Some(outcome) => {
                // On its way the delivery has failed, whatever its receiver says of that (as C
                // routers tell it).
                let outcome = match outcome {
                    DeliveryState::Modified(modified) => DeliveryState::Modified(Modified {
                        delivery_failed: Some(true),
                        ..modified
                    }),
                    other => other,
                };
                let settle = slot.ended && progress.settled;
                if !slot.outcome_told {
                    slot.outcome_told = true;
                    slot.outcome = Some(outcome.clone());
                    self.cx.core.counters().outcome(&outcome);
                } else if !settle {
                    return;
                }
                self.cx.engine.disposition(key, Some(outcome), settle);
                if settle {
                    self.drop_incoming(key);
                }
            }
            None if progress.settled && slot.ended => self.forget(key),
            None => {
                if progress.acknowledged && slot.told.is_none_or(|told| progress.received > told) {
                    slot.told = Some(progress.received);
                    // It is 0 toward all but routers of ours: others' deliveries are granted none.
                    let units = u32::try_from(progress.allowance / stream::ALLOWANCE_UNIT)
                        .unwrap_or_default();
                    self.cx.engine.disposition(
                        key,
                        Some(DeliveryState::received_in(units, progress.received)),
                        false,
                    );
                }
            }
        }
    }

    /// Tells the sender that its message cannot be taken.
    pub(super) fn reject(&mut self, key: IncomingKey, error: Error) {
        let outcome = DeliveryState::Rejected(Rejected { error: Some(error) });
        if let Some(slot) = self.incoming.slots.get_mut(&key) {
            slot.outcome_told = true;
            slot.outcome = Some(outcome.clone());
        }
        self.cx.core.counters().outcome(&outcome);
        self.cx.engine.disposition(key, Some(outcome), false);
    }

    /// Ends all interest in a delivery.
    fn forget(&mut self, key: IncomingKey) {
        self.cx.engine.disposition(key, None, true);
        self.drop_incoming(key);
    }

    fn drop_incoming(&mut self, key: IncomingKey) {
        if let Some(slot) = self.incoming.slots.remove(&key) {
            slot.uncount(self.cx.now, self.cx.core.counters());
            if let Some(session) = slot.full {
                self.drained(session);
            }
            self.producer_finished(slot.link);
        }
    }

    /// A delivery's sender said how it stands there. What AMQP itself has for that is between the
    /// two of us.
    pub(super) fn sender_state(&mut self, key: IncomingKey, said: DeliveryState) {
        if let Some(slot) = self.incoming.slots.get_mut(&key).filter(|_| is_extended(&said)) {
            match &slot.state {
                State::Routed(delivery) => delivery.set_sender_state(said),
                _ => slot.sender_state = Some(Box::new(said)),
            }
        }
    }

    /// A delivery's sender settled it: no word of it is owed.
    pub(super) fn sender_settled(&mut self, key: IncomingKey) {
        if let Some(slot) = self.incoming.slots.get_mut(&key) {
            slot.presettled = true;
            if let State::Routed(delivery) = &slot.state {
                delivery.settle();
            }
            if slot.ended {
                self.forget(key);
            }
        }
    }

    /// A delivery's link went away under it.
    pub(super) fn incoming_lost(&mut self, key: IncomingKey) {
        if let Some(slot) = self.incoming.slots.remove(&key) {
            slot.uncount(self.cx.now, self.cx.core.counters());
            if let Some(session) = slot.full {
                self.drained(session);
            }
            if let State::Routed(delivery) = slot.state {
                sender_lost(&delivery);
            }
        }
    }

    /// Marks what has waited for too long.
    pub(super) fn stuck_incoming(&mut self, found: &mut Stuck) {
        // The streams of services take as long as they take.
        for slot in
            self.incoming.slots.values_mut().filter(|slot| slot.counted.is_some() && !slot.windowed)
        {
            found.look(slot.counted.as_ref(), slot.begun, &mut slot.stuck);
        }
    }
}

/// Who sent a delivery is gone: what is missing of it never comes, and nobody hears what its
/// receiver says.
fn sender_lost(delivery: &Delivery) {
    delivery.end(Ended::Aborted);
    delivery.settle();
}

const fn is_extended(state: &DeliveryState) -> bool {
    matches!(state, DeliveryState::Other(_))
}

/// A payload as a delivery may keep it; an `exact` one pins no more than its own octets.
fn kept(payload: Bytes, exact: bool) -> Bytes {
    if exact || payload.len() < COPY_BELOW { Bytes::copy_from_slice(&payload) } else { payload }
}
