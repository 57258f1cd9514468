//! Deliveries that leave by a connection.
//!
//! A delivery has a slot here from when it comes until nothing more is to be heard of it. It waits
//! for a link (in `mod`: those of routers, which serve anybody's deliveries; in `consumer`: a
//! client's own), is begun and sent in turns (`send`), and ends with what its receiver says
//! (`outcome`). `link` gives free links to what waits, `pool` keeps those of streams, `lanes` their
//! sessions.

mod consumer;
mod lanes;
mod link;
mod outcome;
mod pool;
mod send;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use lanes::Lanes;
use pool::Pool;
use skupper_proto::amqp::performative::DeliveryState;
use skupper_proto::engine::{LinkKey, OutgoingKey, SessionKey};
use skupper_proto::keys::KeyMap;
use skupper_proto::time::Instant;
use skupper_proto::unread::{Total, Unread};
use slab::Slab;

use super::clients::Consumer;
use super::connection::Connection;
use crate::core::{Charge, Delivery, Ended, Notify, Via};
use crate::node::LinkRecord;

/// Octets that are gathered for one write. Pieces of 64 KiB cost a third of the CPU time of pieces
/// of 4 KiB.
const GATHER: usize = 64 * 1024;

/// Octets that one delivery may take of a write before the next ready one has its turn.
const QUANTUM: usize = 32 * 1024;

/// Streaming links that may be attached without an answer yet. Enough that a burst of clients waits
/// for one round trip, no more.
const MAX_ATTACHING: usize = 256;

/// Deliveries that may wait for a queue's link; a neighbor that gives no credit on its control link
/// for so long is lost anyway.
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
    /// It is among those that wait for the session's window: nothing more is taken of the delivery
    /// until that opens, and what was taken is charged as if it had not been.
    parked: Option<Charge>,
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
    /// It keeps its link though all has been sent: what came next there would wait behind what is
    /// unread.
    keeps_link: bool,
}

impl Slot {
    /// It waits for the session's window.
    fn park(&mut self) {
        self.parked = Some(self.delivery.charge(self.chunks.iter().map(Bytes::len).sum()));
    }

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
    idle: Pool,
    /// Streaming links that the peer has not given credit on yet.
    attaching: usize,
    streaming_links: usize,
    /// What the peer may hold unread of all streams.
    unread: Total,
    /// Streams that wait for it to become less.
    held: Vec<u32>,
    lanes: Lanes,
    /// Room for the chunks of the delivery that is being sent: one at rest keeps none.
    spare: VecDeque<Bytes>,
}

impl Outgoing {
    /// When [`Connection::handle_outgoing_timeout`] is to be called.
    pub(super) fn due(&self) -> Option<Instant> {
        self.idle.due().into_iter().chain(self.lanes.due()).min()
    }

    /// The connection has ended: gives up one link after the other, then the deliveries, which are
    /// lost or released.
    pub(super) fn give_up(&mut self) -> impl Iterator<Item = ()> + use<> {
        let Self { slots, links, .. } = std::mem::take(self);
        let slots = slots.into_iter().map(|(_, slot)| {
            slot.delivery.set_consumer(Notify::Nobody);
            slot.delivery.consumer_lost();
        });
        links.into_values().map(drop).chain(slots)
    }

    /// Gives back the room that a burst of deliveries has left.
    fn shrink(&mut self) {
        self.slots.shrink_to_fit();
        self.by_key.shrink_to_fit();
        self.links.shrink_to_fit();
        for queue in [&mut self.ready, &mut self.waiting] {
            queue.shrink_to_fit();
        }
        for list in [&mut self.parked, &mut self.held] {
            list.shrink_to_fit();
        }
        self.idle.shrink();
    }

    /// Whether streams wait for the peer to hold less unread.
    const fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// The streams that the peer is to be asked about now, with their links, and when there will be
    /// more.
    fn to_ask(&self, now: Instant, most: usize) -> (Vec<(u32, LinkKey)>, Option<Instant>) {
        // What waits for the session's window is counted, and not sent.
        let asked = |(slot, entry): (usize, &Slot)| {
            let (link, _) = entry
                .sending
                .filter(|_| entry.chunks.is_empty() && entry.unread.wants_to_know(now))?;
            Some((u32::try_from(slot).ok()?, link))
        };
        let later = |(_, entry): (usize, &Slot)| entry.unread.due().filter(|due| *due > now);
        (
            self.slots.iter().filter_map(asked).take(most).collect(),
            self.slots.iter().filter_map(later).min(),
        )
    }

    /// The peer was asked about streams.
    fn asked(&mut self, slots: &[u32]) {
        for slot in slots {
            if let Some(entry) = self.slots.get_mut(*slot as usize) {
                entry.unread.asked();
            }
        }
    }
}
impl Connection {
    /// Gives back the room that a burst of links and deliveries has left in this connection.
    fn shrink(&mut self) {
        self.cx.engine.shrink();
        self.incoming.shrink();
        self.outgoing.shrink();
        self.cx.records.shrink_to_fit();
    }

    /// Does what is due by now.
    pub(super) fn handle_outgoing_timeout(&mut self) {
        if self.outgoing.idle.due().is_some_and(|due| due <= self.cx.now) {
            self.shed_idle_links();
        }
        if self.outgoing.lanes.due().is_some_and(|due| due <= self.cx.now) {
            self.ask_unread();
        }
    }

    /// Takes a delivery to be sent.
    pub(in crate::net) fn deliver(&mut self, delivery: Arc<Delivery>, via: Via) {
        let queue = match via {
            Via::Link(number) => return self.deliver_to_client(delivery, number),
            Via::Stream => None,
            Via::Control => Some(0),
            Via::Message(priority) => Some(1 + usize::from(priority.min(9))),
        };
        // A message whose priority has no link takes the next lower one that exists.
        let queue = queue.map(|wanted| match wanted {
            0 => 0,
            _ => (1..=wanted)
                .rev()
                .chain(wanted..QUEUES)
                .find(|queue| self.outgoing.queues[*queue].link.is_some())
                .unwrap_or(1),
        });
        let full =
            queue.is_some_and(|queue| self.outgoing.queues[queue].waiting.len() >= MAX_QUEUED);
        if full || !self.cx.life.is_open() {
            if delivery.message().presettled {
                self.cx.core.counters().dropped();
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
            begun: self.cx.now,
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
            parked: None,
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
            self.outgoing
                .links
                .insert(link, OutLink { session: Some(session), ..OutLink::new(Purpose::Stream) });
            self.outgoing.attaching += 1;
            self.outgoing.streaming_links += 1;
        }
    }

    /// Releases deliveries that were not begun, so that they may go elsewhere.
    fn release(&mut self, slots: impl IntoIterator<Item = u32>) {
        for slot in slots {
            if let Some(entry) = self.outgoing.slots.try_remove(slot as usize) {
                entry.uncount(self.cx.now);
                if entry.delivery.message().presettled {
                    self.cx.core.counters().dropped();
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
}
