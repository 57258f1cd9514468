//! The links: `serve` gives free ones to the deliveries that wait, and attaches and gives up those
//! for streams.
#![expect(clippy::indexing_slicing, reason = "each queue number has its queue")]

use std::sync::atomic::Ordering;

use skupper_proto::amqp::performative::DeliveryState;
use skupper_proto::engine::{LinkKey, SessionKey};

use super::Outgoing;
use super::link::{OutLink, Purpose, Stage};
use crate::net::context::Context;

/// The most links for streams that are attached without an answer. A burst of clients waits for one
/// round trip, no more.
const MAX_ATTACHING: usize = 256;

impl Outgoing {
    /// Returns whether this end sends on a link.
    pub(in crate::net) fn sends_on(&self, link: LinkKey) -> bool {
        self.links.contains_key(&link)
    }

    /// Takes a link for a queue that is attached at both ends.
    pub(in crate::net) fn on_queue_attached(
        &mut self,
        cx: &mut Context,
        link: LinkKey,
        queue: usize,
    ) {
        self.queues[queue].link = Some(link);
        self.links.insert(link, OutLink::attached(Purpose::Queue(queue)));
        self.link_free(cx, link);
    }

    /// Acts on the peer's answer to the attach of a link for streams, or of a gauge.
    pub(in crate::net) fn on_stream_attached(&mut self, cx: &mut Context, link: LinkKey) {
        self.links
            .entry(link)
            .or_insert_with(|| OutLink::attaching(Purpose::Stream { session: None }))
            .on_answered();
        self.link_free(cx, link);
    }

    /// Acts on the credit of a link. With `drain` the peer wants back the credit that is not used
    /// at once.
    pub(in crate::net) fn on_credit(&mut self, cx: &mut Context, link: LinkKey, drain: bool) {
        let Some(state) = self.links.get_mut(&link) else { return };
        state.drain = drain;
        if state.consumer().is_some() {
            self.serve_consumer(cx, link);
            self.answer_drain(cx, link);
            self.note_link(cx, link);
            self.freed = true;
        } else {
            self.link_free(cx, link);
            self.answer_drain(cx, link);
        }
    }

    /// Forgets a link that is gone. The deliveries that waited for it go elsewhere.
    pub(in crate::net) fn on_detached(&mut self, cx: &mut Context, link: LinkKey) {
        let Some(state) = self.links.remove(&link) else { return };
        if state.stage == Stage::Pooled {
            self.idle.remove(link);
        }
        let proven = state.is_proven();
        match state.purpose {
            Purpose::Queue(queue) => {
                self.queues[queue].link = None;
                let waiting = std::mem::take(&mut self.queues[queue].waiting);
                self.release(cx, waiting);
            }
            Purpose::Consumer(consumer) => {
                self.consumers.leave(&consumer.consumer);
                // A delivery may go elsewhere only after its consumer is gone.
                drop(consumer.consumer);
                self.release(cx, consumer.waiting);
            }
            Purpose::Gauge(session) => self.lanes.on_gauge_gone(session),
            Purpose::Stream { session } => {
                if let Some(session) = session {
                    self.leave_lane(cx, session);
                }
                self.streaming_links = self.streaming_links.saturating_sub(1);
                if !proven {
                    self.attaching = self.attaching.saturating_sub(1);
                    // The peer has refused the link. Asking again at once would go on for as long
                    // as a stream waits.
                    let refused = self.waiting.pop_front();
                    self.release(cx, refused);
                }
            }
        }
        self.serve_streams(cx);
    }

    /// Forgets a session that is over.
    pub(in crate::net) fn on_session_ended(&mut self, session: SessionKey) {
        self.parked.remove(&session);
    }

    /// Frees a link that has carried a delivery.
    pub(super) fn link_done(&mut self, cx: &mut Context, link: LinkKey) {
        if let Some(state) = self.links.get_mut(&link)
            && state.is_busy()
        {
            state.stage = Stage::Free;
        }
        self.link_free(cx, link);
    }

    /// Gives a free link to the deliveries that wait, if it has credit.
    pub(super) fn link_free(&mut self, cx: &mut Context, link: LinkKey) {
        let credit = cx.engine.credit(link) > 0;
        let Some(state) = self.links.get_mut(&link).filter(|_| credit) else { return };
        let first = match state.stage {
            Stage::Attaching | Stage::Busy => return,
            Stage::Attached => true,
            Stage::Free | Stage::Pooled => false,
        };
        match state.purpose {
            Purpose::Queue(queue) => {
                state.stage = Stage::Free;
                self.serve_queue(cx, queue);
                self.answer_drain(cx, link);
            }
            Purpose::Consumer(_) => {
                state.stage = Stage::Free;
                self.serve_consumer(cx, link);
                self.answer_drain(cx, link);
                self.note_link(cx, link);
                self.freed = true;
            }
            Purpose::Gauge(_) => {
                state.stage = Stage::Free;
                self.lanes.ask_at(cx.now);
            }
            Purpose::Stream { .. } => {
                if first {
                    self.attaching = self.attaching.saturating_sub(1);
                }
                if state.stage != Stage::Pooled {
                    state.stage = Stage::Pooled;
                    self.idle.put(link, cx.now);
                }
                self.serve_streams(cx);
            }
        }
    }

    /// Gives back the credit that a link does not need, if its receiver asks for that. A delivery
    /// that is being sent has had its credit.
    fn answer_drain(&mut self, cx: &mut Context, link: LinkKey) {
        let Some(state) = self.links.get_mut(&link).filter(|state| state.drain) else { return };
        let waits = match &state.purpose {
            Purpose::Queue(queue) => !self.queues[*queue].waiting.is_empty(),
            Purpose::Consumer(consumer) => !consumer.waiting.is_empty(),
            Purpose::Stream { .. } | Purpose::Gauge(_) => false,
        };
        if waits && cx.engine.credit(link) > 0 {
            return;
        }
        state.drain = false;
        if state.stage == Stage::Pooled {
            state.stage = Stage::Free;
            self.idle.remove(link);
        }
        cx.engine.drained(link);
    }

    /// Gives waiting streams to idle links, and attaches more links when there are too few.
    pub(super) fn serve_streams(&mut self, cx: &mut Context) {
        while let Some(&slot) = self.waiting.front() {
            let Some(link) = self.idle.take() else { break };
            if let Some(state) = self.links.get_mut(&link) {
                state.stage = Stage::Free;
            }
            if !self.slots.contains(slot as usize) {
                self.waiting.pop_front();
                self.link_free(cx, link);
            } else if self.start(cx, slot, link) {
                self.waiting.pop_front();
            }
        }
        while self.attaching < self.waiting.len().min(MAX_ATTACHING) {
            let Some((link, session)) = self.attach_stream(cx) else {
                // Without any link the streams would wait for ever.
                if self.streaming_links == 0 {
                    let waiting = std::mem::take(&mut self.waiting);
                    self.release(cx, waiting);
                }
                break;
            };
            let purpose = Purpose::Stream { session: Some(session) };
            self.links.insert(link, OutLink::attaching(purpose));
            self.attaching += 1;
            self.streaming_links += 1;
        }
    }

    /// Gives the deliveries of a queue to its link, as far as that goes.
    pub(super) fn serve_queue(&mut self, cx: &mut Context, queue: usize) {
        while let Some(&slot) = self.queues[queue].waiting.front() {
            let Some(link) = self.queues[queue].link else { return };
            if self.links.get(&link).is_none_or(OutLink::is_busy) {
                return;
            }
            if self.slots.contains(slot as usize) && !self.start(cx, slot, link) {
                return;
            }
            self.queues[queue].waiting.pop_front();
        }
    }

    /// Releases deliveries that were not begun, so that they may go elsewhere.
    pub(super) fn release(&mut self, cx: &Context, slots: impl IntoIterator<Item = u32>) {
        for slot in slots {
            if let Some(entry) = self.slots.try_remove(slot as usize) {
                let _ = entry.tally.end(entry.outcome.as_ref(), cx.now);
                if entry.delivery.message().presettled {
                    cx.core.counters().dropped();
                }
                entry.delivery.conclude(DeliveryState::Released);
            }
        }
    }

    /// Gives up links for streams that a burst has left behind. Returns whether the burst is over.
    pub(super) fn shed_idle_links(&mut self, cx: &mut Context) -> bool {
        for link in self.idle.shed(cx.now, |link| cx.engine.has_deliveries(link)) {
            if let Some(state) = self.links.get_mut(&link) {
                state.stage = Stage::Free;
            }
            cx.engine.detach(link, None);
            self.on_detached(cx, link);
            cx.records.remove(&link);
        }
        self.idle.settled()
    }

    /// Writes down the state of a consumer's link, for management.
    pub(super) fn note_link(&self, cx: &Context, link: LinkKey) {
        let consumer = self.links.get(&link).and_then(OutLink::consumer);
        let (Some(known), Some(consumer)) = (cx.records.get(&link), consumer) else { return };
        known.record().counts.undelivered.store(consumer.waiting.len() as u64, Ordering::Relaxed);
        cx.note_credit(link);
    }
}
