//! The deliveries that leave by a connection.
//!
//! [`Outgoing`] is a machine: it takes a [`Context`] and acts on the engine and the core in it. Its
//! owner calls the `on_` methods as events come, [`Outgoing::gather`] before each write, and
//! [`Outgoing::on_timeout`] once [`Outgoing::due`] has come.
//!
//! Each delivery has a slot until it is over (`outbound` has its states). `serve` gives it a link
//! (`link` has the states of links), `send` begins it and sends it in turns, and `acknowledge`
//! takes its receiver's word. `consumers` has the numbers of consumers, and `consume` their
//! deliveries. `pool` keeps the links for streams, `lanes` their sessions, and `ask` asks for
//! unread bytes there.
#![expect(clippy::indexing_slicing, reason = "each queue number has its queue")]

mod acknowledge;
mod ask;
mod consume;
mod consumers;
mod lanes;
mod link;
mod outbound;
mod pool;
mod send;
mod serve;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use bytes::Bytes;
pub(super) use consume::capacity;
pub(super) use consumers::{Consumer, Consumers, endpoint};
use lanes::Lanes;
use link::OutLink;
use outbound::{Outbound, Stage};
use pool::Pool;
use skupper_proto::amqp::performative::DeliveryState;
use skupper_proto::engine::{LinkKey, OutgoingKey, SessionKey};
use skupper_proto::keys::KeyMap;
use skupper_proto::time::Instant;
use skupper_proto::unread::Total;
use slab::Slab;

use super::context::Context;
use super::tally::{Scan, Tally};
use crate::core::{ConsumerEnd, Notify, Via};

/// Queues of a control connection: its control link, and its message links by priority.
pub(super) const QUEUES: usize = 11;

/// The most deliveries that wait for a queue's link. A neighbor that gives no credit on its control
/// link for so long is lost anyway.
const MAX_QUEUED: usize = 4096;

/// Whole messages that go by one link, one after the other.
#[derive(Default)]
struct Queue {
    link: Option<LinkKey>,
    waiting: VecDeque<u32>,
}

/// The deliveries that leave by one connection.
#[derive(Default)]
pub(super) struct Outgoing {
    slots: Slab<Outbound>,
    by_key: KeyMap<OutgoingKey, u32>,
    /// Slots with something to send, in turn.
    ready: VecDeque<u32>,
    /// Slots that found a session's window closed, by session.
    parked: KeyMap<SessionKey, Vec<u32>>,
    links: KeyMap<LinkKey, OutLink>,
    queues: [Queue; QUEUES],
    /// Streams without a link.
    waiting: VecDeque<u32>,
    /// Links for streams that carry nothing.
    idle: Pool,
    /// The number of links for streams without credit so far.
    attaching: usize,
    /// The number of all links for streams.
    streaming_links: usize,
    /// The bytes that the peer may hold unread of all streams.
    unread: Total,
    /// Streams that wait until it holds less.
    held: Vec<u32>,
    lanes: Lanes,
    /// The links of consumers by number, and the addresses that they consume.
    pub(super) consumers: Consumers,
    /// Room for the chunks of the delivery that is being sent. A delivery at rest keeps none.
    spare: VecDeque<Bytes>,
    /// A consumer's link has become free, see [`Outgoing::take_freed`].
    freed: bool,
}

impl Outgoing {
    /// Returns when [`Outgoing::on_timeout`] is to be called.
    pub(super) fn due(&self) -> Option<Instant> {
        self.idle.due().into_iter().chain(self.lanes.due()).min()
    }

    /// Does what is due. Returns whether a burst of streams is over: then all tables may give their
    /// room back.
    pub(super) fn on_timeout(&mut self, cx: &mut Context) -> bool {
        let over = self.idle.due().is_some_and(|due| due <= cx.now) && self.shed_idle_links(cx);
        if self.lanes.due().is_some_and(|due| due <= cx.now) {
            self.ask_unread(cx);
        }
        over
    }

    /// Takes a delivery to be sent. Releases it if there is no room.
    pub(super) fn on_deliver(&mut self, cx: &mut Context, delivery: ConsumerEnd, via: Via) {
        let wanted = match via {
            Via::Link(number) => return self.deliver_to_consumer(cx, delivery, number),
            Via::Stream => None,
            Via::Control => Some(0),
            Via::Message(priority) => Some(1 + usize::from(priority.min(9))),
        };
        // A message whose priority has no link takes the next lower one that exists.
        let queue = wanted.map(|wanted| match wanted {
            0 => 0,
            _ => (1..=wanted)
                .rev()
                .chain(wanted..QUEUES)
                .find(|queue| self.queues[*queue].link.is_some())
                .unwrap_or(1),
        });
        let full = queue.is_some_and(|queue| self.queues[queue].waiting.len() >= MAX_QUEUED);
        if full || !cx.life.is_open() {
            return released(cx, delivery);
        }
        if !delivery.message().presettled && !delivery.message().windowed {
            cx.expect_settlement();
        }
        let slot = self.new_slot(cx, delivery, via == Via::Control);
        match queue {
            Some(queue) => {
                self.queues[queue].waiting.push_back(slot);
                self.serve_queue(cx, queue);
            }
            None => {
                self.waiting.push_back(slot);
                self.serve_streams(cx);
            }
        }
    }

    fn new_slot(&mut self, cx: &Context, delivery: ConsumerEnd, urgent: bool) -> u32 {
        let slot = self.slots.insert(Outbound::new(delivery, urgent, Tally::new(cx.now)));
        u32::try_from(slot).unwrap_or(u32::MAX)
    }

    /// Returns whether a consumer's link has become free since the last call.
    pub(super) const fn take_freed(&mut self) -> bool {
        std::mem::replace(&mut self.freed, false)
    }

    /// Gives up one link after the other, then the deliveries: their consumer is lost. To be called
    /// once the connection has ended.
    pub(super) fn give_up(&mut self) -> impl Iterator<Item = ()> + use<> {
        let Self { slots, links, .. } = std::mem::take(self);
        let slots = slots.into_iter().map(|(_, entry)| {
            entry.delivery.set_notify(Notify::Nobody);
        });
        links.into_values().map(drop).chain(slots)
    }

    /// Gives back the room that a burst of deliveries has left.
    pub(super) fn shrink(&mut self) {
        self.slots.shrink_to_fit();
        self.by_key.shrink_to_fit();
        self.links.shrink_to_fit();
        self.ready.shrink_to_fit();
        self.waiting.shrink_to_fit();
        self.parked.shrink_to_fit();
        self.held.shrink_to_fit();
        self.idle.shrink();
    }

    /// Counts deliveries that have waited for too long. The streams of services take as long as
    /// they take.
    pub(super) fn scan(&mut self, scan: &mut Scan) {
        let waits = |entry: &Outbound| !entry.presettled && !entry.delivery.message().windowed;
        for (_, entry) in self.slots.iter_mut().filter(|(_, entry)| waits(entry)) {
            scan.look(&mut entry.tally);
        }
    }

    /// Ends all interest in a delivery.
    fn remove_slot(&mut self, cx: &mut Context, slot: u32) {
        let Some(mut entry) = self.slots.try_remove(slot as usize) else { return };
        let _ = entry.tally.end(entry.outcome.as_ref(), cx.now);
        let mut kept = None;
        match entry.stage {
            Stage::Waiting => {}
            Stage::Sending(mut sending) => {
                sending.chunks.clear();
                self.reuse(sending.chunks);
                self.by_key.remove(&sending.key);
            }
            Stage::Sent { link, key, keeps_link } => {
                self.by_key.remove(&key);
                kept = keeps_link.then_some(link);
            }
        }
        if entry.unread.gone(&mut self.unread) {
            self.release_held(cx);
        }
        if let Some(link) = kept {
            self.link_done(cx, link);
        }
    }

    /// Keeps the room of sent chunks for the next delivery, unless there is some.
    fn reuse(&mut self, chunks: VecDeque<Bytes>) {
        if self.spare.capacity() == 0 {
            self.spare = chunks;
        }
    }
}

/// Releases a delivery for which there is no room.
fn released(cx: &Context, delivery: ConsumerEnd) {
    if delivery.message().presettled {
        cx.core.counters().dropped();
    }
    delivery.conclude(DeliveryState::Released);
}
