//! Ready deliveries are made into frames, in turn, up to one write.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use skupper_proto::address::RouterMode;
use skupper_proto::amqp::performative::DeliveryState;
use skupper_proto::annotations::{self, Flags, Outgoing as OutgoingAnnotations, Parsed};
use skupper_proto::engine::LinkKey;

use super::{GATHER, QUANTUM};
use crate::core::{Core, Ended, Leads, Message, Notify, Via};
use crate::net::connection::Connection;
use crate::net::message_log;
use crate::net::settings::Kind;
use crate::net::wake::Wake;

/// Writes the router annotations of a message as it leaves this router, by the uplink of an edge
/// router or elsewhere.
fn annotate(core: &Core, message: &Message, uplink: bool, head: &mut Vec<u8>) {
    let own = core.node();
    let annotations = match annotations::parse(&message.annotations) {
        Ok(Parsed::Present(annotations)) => annotations.forwarded(own),
        _ => {
            // A service's stream has a window of its own, and no router on its way is to hold it
            // back.
            let flags = match (message.streaming, message.windowed) {
                (true, true) => Flags::STREAMING.with(Flags::DISABLE_Q2),
                (true, false) => Flags::STREAMING,
                _ => Flags::default(),
            };
            OutgoingAnnotations::originated(
                if message.resend { flags.with(Flags::RESEND_RELEASED) } else { flags },
                own,
            )
        }
    };
    let to = message.to_override.as_deref().or(annotations.to_override);
    let annotations = annotations.with_to_override(to);
    match core.mode() {
        RouterMode::Interior => annotations.encode(head),
        RouterMode::Edge if uplink => {
            let mesh = core.mesh();
            annotations
                .stripped()
                .with_ingress_mesh(mesh.as_ref().map(|mesh| &***mesh))
                .encode(head);
        }
        RouterMode::Edge => annotations.stripped().encode(head),
    }
}

impl Connection {
    /// Begins a delivery on a link. It cannot when the link is out of credit.
    pub(super) fn start(&mut self, slot: u32, link: LinkKey) -> bool {
        let Some(entry) = self.outgoing.slots.get_mut(slot as usize) else { return false };
        let Some(key) = self.cx.engine.deliver(link, entry.presettled) else { return false };
        if let Some(state) = &entry.delivery.message().state {
            self.cx.engine.set_state(key, (**state).clone());
        }
        if let Some(state) = self.outgoing.links.get_mut(&link) {
            state.busy = true;
        }
        entry.sending = Some((link, key));
        let strips = self.cx.kind == Kind::Normal && self.cx.settings.strip_out;
        let message = entry.delivery.message();
        message_log::note(&self.cx.settings.message_logging, self.cx.id, "Sent", &message.sections);
        let mut head = Vec::with_capacity(128);
        if !strips {
            let uplink = self.cx.edge.as_ref().is_some_and(|edge| edge.leads() == Leads::Up);
            annotate(&self.cx.core, message, uplink, &mut head);
        }
        // The head is sent with the next turn, mostly, and its room goes to the next delivery.
        entry.chunks = std::mem::take(&mut self.outgoing.spare);
        entry.chunks.push_back(Bytes::from(head));
        entry.chunks.push_back(message.sections.clone());
        self.outgoing.by_key.insert(key, slot);
        if entry.record.is_none() {
            entry.record = self.cx.records.get(&link).map(|known| Arc::clone(known.record()));
        }
        if let Some(record) = &entry.record {
            record.counts.begin(entry.presettled, self.cx.now);
            entry.counted = !entry.presettled;
            if self.cx.kind == Kind::Normal {
                record.counts.by_ingress.count(self.cx.core.ingress_number(message));
            }
        }
        self.cx.octets.delivery(self.cx.now);
        entry
            .delivery
            .set_consumer(Notify::Slot(Arc::clone(&self.cx.mailbox), Wake::Outgoing(slot).into()));
        self.make_ready(slot);
        true
    }

    /// Puts a slot into the ready queue.
    pub(in crate::net) fn make_ready(&mut self, slot: u32) {
        if let Some(entry) = self.outgoing.slots.get(slot as usize).filter(|entry| entry.sent) {
            let Some((_, key)) = entry.sending else { return };
            if let Some(state) = entry.delivery.sender_state() {
                self.cx.engine.set_state(key, state);
            }
            // What its receiver left to be settled, its sender has settled now.
            if entry.delivery.is_sender_settled() {
                self.cx.engine.settle(key);
                self.remove_slot(slot);
            }
            return;
        }
        if let Some(entry) = self
            .outgoing
            .slots
            .get_mut(slot as usize)
            .filter(|entry| !entry.ready && !entry.sent && entry.parked.is_none())
        {
            entry.ready = true;
            // A HELLO that waits for a turn of each of a thousand streams comes too late on a slow
            // way.
            match entry.via {
                Via::Control => self.outgoing.ready.push_front(slot),
                Via::Message(_) | Via::Stream | Via::Link(_) => self.outgoing.ready.push_back(slot),
            }
        }
    }

    /// Makes frames of what is ready, up to one write.
    pub(in crate::net) fn gather(&mut self) {
        while self.cx.engine.output().len() < GATHER
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
            if self.cx.peer.bounds_unread && entry.delivery.message().windowed && !entry.outcome {
                let room =
                    usize::try_from(entry.unread.room(self.outgoing.unread)).unwrap_or(usize::MAX);
                // Without room nothing is taken, but that the stream has ended is heard.
                (taken, entry.ended) =
                    entry.delivery.take_within(room.min(QUANTUM), &mut entry.chunks);
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
                    self.outgoing.lanes.ask_at(self.cx.now);
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
            if !self.cx.engine.send_part(key, &mut entry.chunks, last) {
                entry.park();
                return self.outgoing.parked.push(slot);
            }
            if last && entry.chunks.is_empty() {
                return self.sent(slot, link);
            }
        }
        if aborted {
            if !self.cx.engine.abort(key) {
                entry.park();
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
    pub(in crate::net) fn sent(&mut self, slot: u32, link: LinkKey) {
        if let Some(entry) = self.outgoing.slots.get_mut(slot as usize) {
            entry.sent = true;
            if let (Some((_, key)), Some(state)) = (entry.sending, entry.delivery.sender_state()) {
                self.cx.engine.set_state(key, state);
            }
            if entry.presettled && !entry.delivery.message().presettled {
                entry.delivery.outcome(Some(DeliveryState::Accepted), true);
            }
            let settles = entry.outcome && entry.delivery.message().internal
                || entry.delivery.is_sender_settled();
            if entry.presettled || entry.settled || settles {
                // The receiver left the settling to us.
                if let Some((_, key)) =
                    entry.sending.filter(|_| !entry.presettled && !entry.settled)
                {
                    self.cx.engine.settle(key);
                }
                self.remove_slot(slot);
            } else if entry.unread.is_some() {
                entry.keeps_link = true;
                return;
            }
        }
        self.link_done(link);
    }

    pub(super) fn remove_slot(&mut self, slot: u32) {
        let Some(mut entry) = self.outgoing.slots.try_remove(slot as usize) else { return };
        entry.chunks.clear();
        self.outgoing.spare = reuse(&mut entry.chunks, std::mem::take(&mut self.outgoing.spare));
        entry.uncount(self.cx.now);
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

    /// A session's window is open again.
    pub(in crate::net) fn window_opened(&mut self) {
        for slot in std::mem::take(&mut self.outgoing.parked) {
            if let Some(entry) = self.outgoing.slots.get_mut(slot as usize) {
                entry.parked = None;
            }
            self.make_ready(slot);
        }
        self.outgoing.lanes.ask_at(self.cx.now);
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
