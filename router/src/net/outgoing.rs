//! Deliveries that leave by a connection.

use super::clients::Consumer;
use super::connection::{Connection, Kind};
use super::lanes::Lanes;
use super::pool::Pool;
use crate::core::{Consumption, Core, Delivery, Ended, Leads, Message, Notify, Via};
use crate::node::{LinkRecord, STUCK};
use crate::schema::Role;
use bytes::Bytes;
use skupper_proto::address::RouterMode;
use skupper_proto::amqp::performative::DeliveryState;
use skupper_proto::annotations::{self, Flags, Outgoing as OutgoingAnnotations, Parsed};
use skupper_proto::engine::{KeyMap, LinkKey, OutgoingKey, SessionKey};
use skupper_proto::stream::ALLOWANCE_UNIT;
use skupper_proto::time::Instant;
use skupper_proto::unread::{Total, Unread};
use slab::Slab;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Octets that are gathered for one write. Pieces of 64 KiB cost a third of the CPU time of pieces of 4 KiB.
const GATHER: usize = 64 * 1024;

/// Octets that one delivery may take of a write before the next ready one has its turn.
const QUANTUM: usize = 32 * 1024;

/// Streaming links that may be attached without an answer yet. Enough that a burst of clients waits for one round trip, no more.
const MAX_ATTACHING: usize = 256;

/// Deliveries that may wait for a queue's link; a neighbor that gives no credit on its control link for so long is lost anyway.
const MAX_QUEUED: usize = 4096;

/// Deliveries that may wait for one client's credit. Their senders have 250 credits each, mostly.
const MAX_WAITING: usize = 65_536;

/// Queues of a control connection: its control link, and its message links by priority.
pub(super) const QUEUES: usize = 11;

/// One delivery.
struct Slot {
    delivery: Arc<Delivery>,
    begun: Instant,
    /// Its link, once it has one; and whether the delivery counts as unsettled there.
    record: Option<Arc<LinkRecord>>,
    counted: bool,
    stuck: bool,
    /// What its receiver has said at last.
    state: Option<DeliveryState>,
    via: Via,
    sending: Option<(LinkKey, OutgoingKey)>,
    /// Taken from the delivery and not sent yet.
    chunks: VecDeque<Bytes>,
    ended: Option<Ended>,
    /// It is in the ready queue.
    ready: bool,
    /// It is among those that wait for the session's window: nothing more is taken of the delivery until that opens.
    parked: bool,
    /// It is among those that wait for the peer to hold less unread.
    held: bool,
    /// All of it, or its abort, has been sent.
    sent: bool,
    /// It goes out settled: its sender settled it, or its receiver wants it so.
    presettled: bool,
    /// The receiver gave its outcome.
    outcome: bool,
    settled: bool,
    /// Octets of the body that were sent.
    octets: u64,
    /// A C router may hold so much of it unread.
    unread: Unread,
    /// It keeps its link though all has been sent: what came next there would wait behind what is unread.
    keeps_link: bool,
}

impl Slot {
    /// It is no delivery of its link any more.
    fn uncount(&self, now: Instant) {
        let Some(record) = &self.record else { return };
        if self.counted {
            record.counts.end(self.state.as_ref(), now.since(self.begun), self.stuck, now);
        } else if self.stuck {
            record.counts.stuck.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// What a link that we send on is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Whole messages, one after the other.
    Queue(usize),
    /// One stream at a time.
    Stream,
    /// Messages for a client that consumes an address.
    Consumer,
    /// Questions about a session.
    Gauge(SessionKey),
}

pub(super) struct OutLink {
    purpose: Purpose,
    /// Of a streaming link that we attached.
    session: Option<SessionKey>,
    /// Of a consumer: what keeps it one.
    consumer: Option<Consumer>,
    /// Of a consumer: deliveries that wait for their turn or for credit.
    waiting: VecDeque<u32>,
    /// Of a consumer: it takes settled deliveries only.
    settles: bool,
    /// Of a consumer: presettled deliveries that may wait.
    capacity: usize,
    /// Credit that is not used now is to be given back.
    drain: bool,
    attached: bool,
    /// The peer has given credit: before that it may still refuse the link.
    usable: bool,
    /// The delivery whose transfers are being sent.
    busy: bool,
    idle: bool,
}

impl OutLink {
    pub(super) const fn new(purpose: Purpose) -> Self {
        Self {
            purpose,
            session: None,
            consumer: None,
            waiting: VecDeque::new(),
            settles: false,
            capacity: 0,
            drain: false,
            attached: false,
            usable: false,
            busy: false,
            idle: false,
        }
    }
}

/// Writes the router annotations of a message as it leaves this router, by the uplink of an edge router or elsewhere.
fn annotate(core: &Core, message: &Message, uplink: bool, head: &mut Vec<u8>) {
    let own = core.node();
    let annotations = match annotations::parse(&message.annotations) {
        Ok(Parsed::Present(annotations)) => annotations.forwarded(own),
        _ => {
            // A service's stream has a window of its own, and no router on its way is to hold it back.
            let flags = match (message.streaming, message.windowed) {
                (true, true) => Flags::STREAMING.with(Flags::DISABLE_Q2),
                (true, false) => Flags::STREAMING,
                _ => Flags::default(),
            };
            OutgoingAnnotations::originated(if message.resend { flags.with(Flags::RESEND_RELEASED) } else { flags }, own)
        }
    };
    let to = message.to_override.as_deref().or(annotations.to_override);
    let annotations = annotations.with_to_override(to);
    match core.mode() {
        RouterMode::Interior => annotations.encode(head),
        RouterMode::Edge if uplink => {
            let mesh = core.mesh();
            annotations.stripped().with_ingress_mesh(mesh.as_ref().map(|mesh| &***mesh)).encode(head);
        }
        RouterMode::Edge => annotations.stripped().encode(head),
    }
}

#[derive(Default)]
struct Queue {
    link: Option<LinkKey>,
    waiting: VecDeque<u32>,
}

/// All deliveries that leave by one connection.
#[derive(Default)]
pub(super) struct Outgoing {
    slots: Slab<Slot>,
    by_key: KeyMap<OutgoingKey, u32>,
    /// Slots with something to send, in turn.
    ready: VecDeque<u32>,
    /// Slots that found the session's window closed.
    parked: Vec<u32>,
    links: KeyMap<LinkKey, OutLink>,
    queues: [Queue; QUEUES],
    /// Streams without a link.
    waiting: VecDeque<u32>,
    /// Streaming links without a stream.
    pub(super) idle: Pool,
    /// Streaming links that the peer has not given credit on yet.
    attaching: usize,
    streaming_links: usize,
    /// What the peer may hold unread of all streams.
    unread: Total,
    /// Streams that wait for it to become less.
    held: Vec<u32>,
    pub(super) lanes: Lanes,
    /// Room for the chunks of the delivery that is being sent: one at rest keeps none.
    spare: VecDeque<Bytes>,
}

impl Outgoing {
    /// Whether streams wait for the peer to hold less unread.
    pub(super) const fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// A link is to be attached.
    pub(super) fn expect_link(&mut self, link: LinkKey, state: OutLink) {
        self.links.insert(link, state);
    }

    /// The streams that the peer is to be asked about now, with their links, and when there will be more.
    pub(super) fn to_ask(&self, now: Instant, most: usize) -> (Vec<(u32, LinkKey)>, Option<Instant>) {
        // What waits for the session's window is counted, and not sent.
        let asked = |(slot, entry): (usize, &Slot)| {
            let (link, _) = entry.sending.filter(|_| entry.chunks.is_empty() && entry.unread.wants_to_know(now))?;
            Some((u32::try_from(slot).ok()?, link))
        };
        let later = |(_, entry): (usize, &Slot)| entry.unread.due().filter(|due| *due > now);
        (self.slots.iter().filter_map(asked).take(most).collect(), self.slots.iter().filter_map(later).min())
    }

    /// The peer was asked about streams.
    pub(super) fn asked(&mut self, slots: &[u32]) {
        for slot in slots {
            if let Some(entry) = self.slots.get_mut(*slot as usize) {
                entry.unread.asked();
            }
        }
    }
}

impl Connection {
    /// Takes a delivery to be sent.
    pub(super) fn deliver(&mut self, delivery: Arc<Delivery>, via: Via) {
        let queue = match via {
            Via::Link(number) => return self.deliver_to_client(delivery, number),
            Via::Stream => None,
            Via::Control => Some(0),
            Via::Message(priority) => Some(1 + usize::from(priority.min(9))),
        };
        // A message whose priority has no link takes the next lower one that exists.
        let queue = queue.map(|wanted| match wanted {
            0 => 0,
            _ => (1..=wanted).rev().chain(wanted..QUEUES).find(|queue| self.outgoing.queues[*queue].link.is_some()).unwrap_or(1),
        });
        let full = queue.is_some_and(|queue| self.outgoing.queues[queue].waiting.len() >= MAX_QUEUED);
        if full || !self.is_open() {
            if delivery.message().presettled {
                self.node.core.counters().dropped();
            }
            return delivery.outcome(Some(DeliveryState::Released), true);
        }
        if !delivery.message().presettled && !delivery.message().windowed {
            self.expect_settlement();
        }
        let slot = self.new_slot(delivery, via);
        match queue {
            Some(queue) => {
                self.outgoing.queues[queue].waiting.push_back(slot);
                self.serve_queue(queue);
            }
            None => {
                self.outgoing.waiting.push_back(slot);
                self.serve_streams();
            }
        }
    }

    fn new_slot(&mut self, delivery: Arc<Delivery>, via: Via) -> u32 {
        let slot = self.outgoing.slots.insert(Slot {
            presettled: delivery.message().presettled,
            begun: self.now,
            record: None,
            counted: false,
            stuck: false,
            state: None,
            delivery,
            via,
            sending: None,
            chunks: VecDeque::new(),
            ended: None,
            ready: false,
            parked: false,
            held: false,
            sent: false,
            outcome: false,
            settled: false,
            octets: 0,
            unread: Unread::default(),
            keeps_link: false,
        });
        u32::try_from(slot).unwrap_or(u32::MAX)
    }

    /// A delivery for a client that consumes its address.
    pub(super) fn deliver_to_client(&mut self, delivery: Arc<Delivery>, number: u32) {
        let presettled = delivery.message().presettled;
        let link = self.consumer_link(number).filter(|_| self.is_open());
        let Some(state) = link.and_then(|link| self.outgoing.links.get(&link)) else {
            return self.refuse_delivery(&delivery);
        };
        let (full, overdue) = (state.waiting.len() >= MAX_WAITING, presettled && state.waiting.len() >= state.capacity);
        let settles = state.settles;
        if full {
            return self.refuse_delivery(&delivery);
        }
        if self.settings.role == Role::RouteContainer {
            self.node.core.counters().goes_to_container();
        }
        let slot = self.new_slot(delivery, Via::Link(number));
        let Some(link) = link else { return };
        if let Some(entry) = self.outgoing.slots.get_mut(slot as usize) {
            entry.presettled |= settles;
            entry.record = self.known.get(&link).map(|known| Arc::clone(known.record()));
        }
        if !presettled {
            self.expect_settlement();
        }
        let Some(state) = self.outgoing.links.get_mut(&link) else { return };
        state.waiting.push_back(slot);
        // Of what nobody waits for, the oldest goes first.
        if overdue {
            let oldest = state.waiting.pop_front();
            if let Some(known) = self.known.get(&link) {
                let counts = &known.record().counts;
                counts.presettled.fetch_add(1, Ordering::Relaxed);
                counts.dropped.fetch_add(1, Ordering::Relaxed);
            }
            self.release(oldest);
        }
        self.serve_consumer(link);
        self.note_link(link);
    }

    /// Writes down how a consumer's link stands.
    fn note_link(&self, link: LinkKey) {
        let (Some(known), Some(state)) = (self.known.get(&link), self.outgoing.links.get(&link)) else { return };
        known.record().counts.undelivered.store(state.waiting.len() as u64, Ordering::Relaxed);
        self.note_credit(link);
    }

    /// Writes down a link's credit.
    pub(super) fn note_credit(&self, link: LinkKey) {
        if let Some(known) = self.known.get(&link) {
            known.record().counts.set_credit(self.engine.credit(link), self.now);
        }
    }

    fn refuse_delivery(&self, delivery: &Delivery) {
        if delivery.message().presettled {
            self.node.core.counters().dropped();
        }
        delivery.outcome(Some(DeliveryState::Released), true);
    }

    fn serve_consumer(&mut self, link: LinkKey) {
        while let Some(state) = self.outgoing.links.get(&link).filter(|state| !state.busy) {
            let Some(&slot) = state.waiting.front() else { return };
            if self.outgoing.slots.contains(slot as usize) && !self.start(slot, link) {
                return;
            }
            if let Some(state) = self.outgoing.links.get_mut(&link) {
                state.waiting.pop_front();
            }
        }
    }

    /// A client's link on which it consumes is attached.
    pub(super) fn consumer_attached(&mut self, link: LinkKey, consumer: Consumer, settles: bool, capacity: u32) {
        let state = OutLink {
            consumer: Some(consumer),
            settles,
            capacity: usize::try_from(capacity).unwrap_or(usize::MAX),
            attached: true,
            ..OutLink::new(Purpose::Consumer)
        };
        self.outgoing.links.insert(link, state);
        // One that has no credit yet is blocked.
        self.note_link(link);
        self.link_free(link);
    }

    /// A link of ours is to be attached that deliveries come for by its number.
    pub(super) fn consumer_expected(&mut self, link: LinkKey, consumer: Consumer, capacity: u32) {
        let state = OutLink {
            consumer: Some(consumer),
            capacity: usize::try_from(capacity).unwrap_or(usize::MAX),
            ..OutLink::new(Purpose::Consumer)
        };
        self.outgoing.links.insert(link, state);
    }

    /// Such a link is attached at both ends.
    pub(super) fn consumer_answered(&mut self, link: LinkKey) {
        if let Some(state) = self.outgoing.links.get_mut(&link) {
            state.attached = true;
        }
        self.link_free(link);
    }

    /// Begins or ends to consume by a link.
    pub(super) fn set_consumption(&mut self, link: LinkKey, consumption: Option<Consumption>) {
        if let Some(consumer) = self.outgoing.links.get_mut(&link).and_then(|state| state.consumer.as_mut()) {
            consumer.set(consumption);
        }
    }

    /// Whether a link consumes an address.
    pub(super) fn consumes(&self, link: LinkKey) -> bool {
        self.outgoing.links.get(&link).and_then(|state| state.consumer.as_ref()).is_some_and(Consumer::consumes)
    }

    /// Whether nothing is being sent on a link, nor waits for it.
    pub(super) fn is_idle(&self, link: LinkKey) -> bool {
        self.outgoing.links.get(&link).is_some_and(|state| !state.busy && state.waiting.is_empty())
    }

    /// Whether this end sends on a link.
    pub(super) fn sends_on(&self, link: LinkKey) -> bool {
        self.outgoing.links.contains_key(&link)
    }

    /// Links of clients that consume, of one session.
    pub(super) fn consumers_of(&self, session: SessionKey) -> Vec<LinkKey> {
        let of = |state: &OutLink| state.consumer.as_ref().is_some_and(|consumer| consumer.is_of(session));
        self.outgoing.links.iter().filter(|(_, state)| of(state)).map(|(link, _)| *link).collect()
    }

    /// Gives waiting streams to idle links, and attaches more links when there are too few.
    fn serve_streams(&mut self) {
        while let Some(&slot) = self.outgoing.waiting.front() {
            let Some(link) = self.outgoing.idle.take() else { break };
            if let Some(state) = self.outgoing.links.get_mut(&link) {
                state.idle = false;
            }
            if !self.outgoing.slots.contains(slot as usize) {
                self.outgoing.waiting.pop_front();
                self.link_free(link);
            } else if self.start(slot, link) {
                self.outgoing.waiting.pop_front();
            }
        }
        while self.outgoing.attaching < self.outgoing.waiting.len().min(MAX_ATTACHING) {
            let Some((link, session)) = self.attach_streaming() else {
                // Without any link nothing will ever take them.
                if self.outgoing.streaming_links == 0 {
                    let waiting = std::mem::take(&mut self.outgoing.waiting);
                    self.release(waiting);
                }
                break;
            };
            self.outgoing.expect_link(link, OutLink { session: Some(session), ..OutLink::new(Purpose::Stream) });
            self.outgoing.attaching += 1;
            self.outgoing.streaming_links += 1;
        }
    }

    /// Releases deliveries that were not begun, so that they may go elsewhere.
    fn release(&mut self, slots: impl IntoIterator<Item = u32>) {
        for slot in slots {
            if let Some(entry) = self.outgoing.slots.try_remove(slot as usize) {
                entry.uncount(self.now);
                if entry.delivery.message().presettled {
                    self.node.core.counters().dropped();
                }
                entry.delivery.outcome(Some(DeliveryState::Released), true);
            }
        }
    }

    fn serve_queue(&mut self, queue: usize) {
        while let Some(&slot) = self.outgoing.queues[queue].waiting.front() {
            let Some(link) = self.outgoing.queues[queue].link else { return };
            if self.outgoing.links.get(&link).is_none_or(|state| state.busy) {
                return;
            }
            if self.outgoing.slots.contains(slot as usize) && !self.start(slot, link) {
                return;
            }
            self.outgoing.queues[queue].waiting.pop_front();
        }
    }

    /// Begins a delivery on a link. It cannot when the link is out of credit.
    fn start(&mut self, slot: u32, link: LinkKey) -> bool {
        let Some(entry) = self.outgoing.slots.get_mut(slot as usize) else { return false };
        let Some(key) = self.engine.deliver(link, entry.presettled) else { return false };
        if let Some(state) = &entry.delivery.message().state {
            self.engine.set_state(key, (**state).clone());
        }
        if let Some(state) = self.outgoing.links.get_mut(&link) {
            state.busy = true;
        }
        entry.sending = Some((link, key));
        let strips = self.kind == Kind::Normal && self.settings.strip_out;
        let message = entry.delivery.message();
        super::message_log::note(&self.settings.message_logging, self.id, "Sent", &message.sections);
        let mut head = Vec::with_capacity(128);
        if !strips {
            let uplink = self.edge.connection.as_ref().is_some_and(|edge| edge.leads() == Leads::Up);
            annotate(&self.node.core, message, uplink, &mut head);
        }
        // The head is sent with the next turn, mostly, and its room goes to the next delivery.
        entry.chunks = std::mem::take(&mut self.outgoing.spare);
        entry.chunks.push_back(Bytes::from(head));
        entry.chunks.push_back(message.sections.clone());
        self.outgoing.by_key.insert(key, slot);
        if entry.record.is_none() {
            entry.record = self.known.get(&link).map(|known| Arc::clone(known.record()));
        }
        if let Some(record) = &entry.record {
            record.counts.begin(entry.presettled, self.now);
            entry.counted = !entry.presettled;
            if self.kind == Kind::Normal {
                record.counts.by_ingress.count(self.node.core.ingress_number(message));
            }
        }
        self.octets.delivery(self.now);
        entry.delivery.set_consumer(Notify::Slot(Arc::clone(&self.mailbox), slot));
        self.make_ready(slot);
        true
    }

    /// Puts a slot into the ready queue.
    pub(super) fn make_ready(&mut self, slot: u32) {
        if let Some(entry) = self.outgoing.slots.get(slot as usize).filter(|entry| entry.sent) {
            let Some((_, key)) = entry.sending else { return };
            if let Some(state) = entry.delivery.sender_state() {
                self.engine.set_state(key, state);
            }
            // What its receiver left to be settled, its sender has settled now.
            if entry.delivery.is_sender_settled() {
                self.engine.settle(key);
                self.remove_slot(slot);
            }
            return;
        }
        if let Some(entry) =
            self.outgoing.slots.get_mut(slot as usize).filter(|entry| !entry.ready && !entry.sent && !entry.parked)
        {
            entry.ready = true;
            // A HELLO that waits for a turn of each of a thousand streams comes too late on a slow way.
            match entry.via {
                Via::Control => self.outgoing.ready.push_front(slot),
                Via::Message(_) | Via::Stream | Via::Link(_) => self.outgoing.ready.push_back(slot),
            }
        }
    }

    /// Makes frames of what is ready, up to one write.
    pub(super) fn gather(&mut self) {
        while self.engine.output().len() < GATHER
            && let Some(slot) = self.outgoing.ready.pop_front()
        {
            self.send_slot(slot);
            if let Some(entry) = self.outgoing.slots.get_mut(slot as usize) {
                let chunks = &mut entry.chunks;
                self.outgoing.spare = reuse(chunks, std::mem::take(&mut self.outgoing.spare));
            }
        }
    }

    fn send_slot(&mut self, slot: u32) {
        let Some(entry) = self.outgoing.slots.get_mut(slot as usize) else { return };
        entry.ready = false;
        if entry.chunks.capacity() == 0 {
            entry.chunks = std::mem::take(&mut self.outgoing.spare);
        }
        let Some((link, key)) = entry.sending.filter(|_| !entry.sent) else { return };
        let (mut taken, mut starved) = (0, false);
        if entry.ended.is_none() {
            // What other messages leave unread is not told by anybody.
            if self.bounds_unread && entry.delivery.message().windowed && !entry.outcome {
                let room = usize::try_from(entry.unread.room(self.outgoing.unread)).unwrap_or(usize::MAX);
                // Without room nothing is taken, but that the stream has ended is heard.
                (taken, entry.ended) = entry.delivery.take_within(room.min(QUANTUM), &mut entry.chunks);
                entry.unread.sent(taken as u64, &mut self.outgoing.unread);
                starved = room == 0 && entry.ended.is_none();
            } else {
                (taken, entry.ended) = entry.delivery.take(QUANTUM, &mut entry.chunks);
            }
            entry.octets += taken as u64;
            if starved && entry.delivery.give_up() {
                (starved, entry.ended) = (false, Some(Ended::Aborted));
            }
            if starved && entry.chunks.is_empty() {
                if !entry.held {
                    entry.held = true;
                    self.outgoing.held.push(slot);
                    self.outgoing.lanes.ask_at(self.now);
                }
                return;
            }
        }
        let aborted = entry.ended == Some(Ended::Aborted);
        if aborted && entry.octets == 0 {
            // If not even its head is on its way, the peer need not hear of it.
            entry.chunks.clear();
        }
        let last = entry.ended == Some(Ended::Complete);
        while !entry.chunks.is_empty() || last {
            if !self.engine.send_part(key, &mut entry.chunks, last) {
                entry.parked = true;
                return self.outgoing.parked.push(slot);
            }
            if last && entry.chunks.is_empty() {
                return self.sent(slot, link);
            }
        }
        if aborted {
            if !self.engine.abort(key) {
                entry.parked = true;
                return self.outgoing.parked.push(slot);
            }
            entry.settled = true;
            return self.sent(slot, link);
        }
        if taken > 0 || starved {
            self.make_ready(slot);
        }
    }

    /// All of a delivery has been sent: its link is free, and what remains is to hear of it.
    fn sent(&mut self, slot: u32, link: LinkKey) {
        if let Some(entry) = self.outgoing.slots.get_mut(slot as usize) {
            entry.sent = true;
            if let (Some((_, key)), Some(state)) = (entry.sending, entry.delivery.sender_state()) {
                self.engine.set_state(key, state);
            }
            if entry.presettled && !entry.delivery.message().presettled {
                entry.delivery.outcome(Some(DeliveryState::Accepted), true);
            }
            let settles = entry.outcome && entry.delivery.message().internal || entry.delivery.is_sender_settled();
            if entry.presettled || entry.settled || settles {
                // The receiver left the settling to us.
                if let Some((_, key)) = entry.sending.filter(|_| !entry.presettled && !entry.settled) {
                    self.engine.settle(key);
                }
                self.remove_slot(slot);
            } else if entry.unread.is_some() {
                entry.keeps_link = true;
                return;
            }
        }
        self.link_done(link);
    }

    /// What was sent on a link has been sent.
    fn link_done(&mut self, link: LinkKey) {
        if let Some(state) = self.outgoing.links.get_mut(&link) {
            state.busy = false;
        }
        self.link_free(link);
    }

    fn remove_slot(&mut self, slot: u32) {
        let Some(mut entry) = self.outgoing.slots.try_remove(slot as usize) else { return };
        entry.chunks.clear();
        self.outgoing.spare = reuse(&mut entry.chunks, std::mem::take(&mut self.outgoing.spare));
        entry.uncount(self.now);
        if let Some((_, key)) = entry.sending {
            self.outgoing.by_key.remove(&key);
        }
        if entry.unread.gone(&mut self.outgoing.unread) {
            self.release_held();
        }
        if let Some((link, _)) = entry.sending.filter(|_| entry.keeps_link) {
            self.link_done(link);
        }
    }

    /// The peer holds less unread: streams that waited for it go on.
    fn release_held(&mut self) {
        for slot in std::mem::take(&mut self.outgoing.held) {
            if let Some(entry) = self.outgoing.slots.get_mut(slot as usize) {
                entry.held = false;
            }
            self.make_ready(slot);
        }
    }

    /// The peer held so many octets of a session when it was asked about some streams there.
    pub(super) fn told(&mut self, session: SessionKey, slots: &[u32], octets: u64) {
        let mut less = false;
        for slot in slots {
            let Some(entry) = self.outgoing.slots.get_mut(*slot as usize) else { continue };
            // A slot may have gone to another stream meanwhile.
            let Some((link, _)) = entry.sending.filter(|(link, _)| self.engine.session_of(*link) == Some(session)) else {
                continue;
            };
            less |= entry.unread.told(octets, self.now, &mut self.outgoing.unread);
            if entry.keeps_link && !entry.unread.is_some() {
                entry.keeps_link = false;
                self.link_done(link);
            }
        }
        if less {
            self.release_held();
        }
    }

    /// A link has credit and nothing to send.
    fn link_free(&mut self, link: LinkKey) {
        let credit = self.engine.credit(link) > 0;
        let Some(state) = self.outgoing.links.get_mut(&link).filter(|state| state.attached && !state.busy && credit) else {
            return;
        };
        let first = !std::mem::replace(&mut state.usable, true);
        match state.purpose {
            Purpose::Queue(queue) => {
                self.serve_queue(queue);
                self.answer_drain(link);
            }
            Purpose::Consumer => {
                self.serve_consumer(link);
                self.answer_drain(link);
                self.note_link(link);
                self.tell_edge();
            }
            Purpose::Gauge(_) => self.outgoing.lanes.ask_at(self.now),
            Purpose::Stream => {
                if first {
                    self.outgoing.attaching = self.outgoing.attaching.saturating_sub(1);
                }
                if !state.idle {
                    state.idle = true;
                    self.outgoing.idle.put(link, self.now);
                }
                self.serve_streams();
            }
        }
    }

    /// A link on which we send is attached at both ends.
    pub(super) fn outgoing_attached(&mut self, link: LinkKey, purpose: Purpose) {
        if let Purpose::Queue(queue) = purpose {
            self.outgoing.queues[queue].link = Some(link);
        }
        self.outgoing.links.entry(link).or_insert_with(|| OutLink::new(purpose)).attached = true;
        self.link_free(link);
    }

    /// A link's credit changed.
    pub(super) fn outgoing_credit(&mut self, link: LinkKey, drain: bool) {
        if let Some(state) = self.outgoing.links.get_mut(&link).filter(|state| state.purpose == Purpose::Consumer) {
            state.drain = drain;
            self.serve_consumer(link);
            self.answer_drain(link);
            self.note_link(link);
            return self.tell_edge();
        }
        if let Some(state) = self.outgoing.links.get_mut(&link) {
            state.drain = drain;
        }
        self.link_free(link);
        self.answer_drain(link);
    }

    /// Gives back what credit of a link is not needed now, if its receiver asks for that. What is being sent has had its credit.
    fn answer_drain(&mut self, link: LinkKey) {
        let Some(state) = self.outgoing.links.get_mut(&link).filter(|state| state.drain) else { return };
        let waits = match state.purpose {
            Purpose::Queue(queue) => !self.outgoing.queues[queue].waiting.is_empty(),
            Purpose::Consumer => !state.waiting.is_empty(),
            Purpose::Stream | Purpose::Gauge(_) => false,
        };
        if waits && self.engine.credit(link) > 0 {
            return;
        }
        state.drain = false;
        if std::mem::take(&mut state.idle) {
            self.outgoing.idle.remove(link);
        }
        self.engine.drained(link);
    }

    /// Gives up streaming links that a burst has left behind.
    pub(super) fn shed_idle_links(&mut self) {
        for link in self.outgoing.idle.shed(self.now, |link| self.engine.has_deliveries(link)) {
            self.engine.detach(link, None);
            self.link_gone(link);
        }
    }

    /// A link is gone.
    pub(super) fn outgoing_detached(&mut self, link: LinkKey) -> Option<Purpose> {
        let state = self.outgoing.links.remove(&link)?;
        self.outgoing.idle.remove(link);
        match state.purpose {
            Purpose::Queue(queue) => {
                self.outgoing.queues[queue].link = None;
                let waiting = std::mem::take(&mut self.outgoing.queues[queue].waiting);
                self.release(waiting);
            }
            Purpose::Consumer => {
                if let Some(consumer) = &state.consumer {
                    self.consumer_gone(consumer);
                }
                // First it is no consumer any more, then what it had is free to go elsewhere.
                drop(state.consumer);
                self.release(state.waiting);
            }
            Purpose::Gauge(session) => self.gauge_gone(session),
            Purpose::Stream => {
                if let Some(session) = state.session {
                    self.lane_left(session);
                }
                self.outgoing.streaming_links = self.outgoing.streaming_links.saturating_sub(1);
                if !state.usable {
                    self.outgoing.attaching = self.outgoing.attaching.saturating_sub(1);
                    // Refused. Asking again at once would go on for as long as a stream waits.
                    let refused = self.outgoing.waiting.pop_front();
                    self.release(refused);
                }
            }
        }
        self.serve_streams();
        Some(state.purpose)
    }

    /// A session's window is open again.
    pub(super) fn window_opened(&mut self) {
        for slot in std::mem::take(&mut self.outgoing.parked) {
            if let Some(entry) = self.outgoing.slots.get_mut(slot as usize) {
                entry.parked = false;
            }
            self.make_ready(slot);
        }
        self.outgoing.lanes.ask_at(self.now);
    }

    /// The receiver of a delivery said something.
    pub(super) fn outcome(&mut self, key: OutgoingKey, state: Option<DeliveryState>, settled: bool) {
        let Some(&slot) = self.outgoing.by_key.get(&key) else { return };
        let Some(entry) = self.outgoing.slots.get_mut(slot as usize) else { return };
        let mut less = false;
        match state {
            Some(DeliveryState::Received(received)) => {
                less = entry.unread.acknowledged(received.section_offset, &mut self.outgoing.unread);
                let units = if self.bounds_unread { 0 } else { received.section_number };
                entry.delivery.acknowledge(received.section_offset, u64::from(units) * ALLOWANCE_UNIT);
            }
            Some(state @ DeliveryState::Other(_)) => {
                entry.delivery.set_receiver_state(state);
                if settled {
                    entry.delivery.outcome(None, true);
                }
            }
            Some(state) => {
                // What began elsewhere is counted when its sender is told.
                if !entry.outcome && entry.delivery.message().internal {
                    self.node.core.counters().outcome(&state);
                }
                if state.is_outcome() {
                    entry.outcome = true;
                    less = entry.unread.gone(&mut self.outgoing.unread) || entry.held;
                }
                entry.state = Some(state.clone());
                entry.delivery.outcome(Some(state), settled);
            }
            None => entry.delivery.outcome(None, settled),
        }
        entry.settled |= settled;
        let left = entry.outcome && entry.delivery.message().internal || entry.delivery.is_sender_settled();
        let (settled, done) = (entry.settled, entry.sent && (entry.settled || left));
        let link = entry.sending.filter(|_| entry.keeps_link && !entry.unread.is_some()).map(|(link, _)| link);
        entry.keeps_link &= link.is_none();
        if less {
            self.release_held();
        }
        if done {
            if !settled {
                self.engine.settle(key);
            }
            self.remove_slot(slot);
        }
        if let Some(link) = link {
            self.link_done(link);
        }
    }

    /// A delivery's link went away under it.
    pub(super) fn outgoing_lost(&mut self, key: OutgoingKey) {
        if let Some(slot) = self.outgoing.by_key.get(&key).copied() {
            if let Some(entry) = self.outgoing.slots.get(slot as usize) {
                entry.delivery.consumer_lost();
            }
            self.remove_slot(slot);
        }
    }

    /// Marks what has waited for too long; returns the links that have more of it now, and whether anything may become so.
    pub(super) fn stuck_outgoing(&mut self) -> (Vec<Arc<LinkRecord>>, bool) {
        let (now, mut links, mut waiting) = (self.now, Vec::new(), false);
        let unsettled = |entry: &Slot| !entry.presettled && !entry.delivery.message().windowed;
        for (_, entry) in self.outgoing.slots.iter_mut().filter(|(_, entry)| unsettled(entry)) {
            waiting |= !entry.stuck;
            if let Some(record) = entry.record.as_ref().filter(|_| !entry.stuck && now.since(entry.begun) >= STUCK) {
                entry.stuck = true;
                record.counts.stuck.fetch_add(1, Ordering::Relaxed);
                links.push(Arc::clone(record));
            }
        }
        (links, waiting)
    }

    /// The connection has ended: every delivery it had is lost or released.
    pub(super) fn lose_outgoing(&mut self) {
        for slot in std::mem::take(&mut self.outgoing).slots {
            slot.1.delivery.set_consumer(Notify::Nobody);
            slot.1.delivery.consumer_lost();
        }
    }
}

/// The room to use next: that of chunks which have been sent, unless there is some already.
fn reuse(chunks: &mut VecDeque<Bytes>, spare: VecDeque<Bytes>) -> VecDeque<Bytes> {
    if !chunks.is_empty() {
        return spare;
    }
    let emptied = std::mem::take(chunks);
    if spare.capacity() == 0 { emptied } else { spare }
}
