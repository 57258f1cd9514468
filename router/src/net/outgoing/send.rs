//! The sending of deliveries: frames of those that are ready, in turn, up to one write.

use std::sync::Arc;

use bytes::Bytes;
use skupper_proto::address::RouterMode;
use skupper_proto::amqp::performative::DeliveryState;
use skupper_proto::annotations::{self, Flags, OutgoingAnnotations, Parsed};
use skupper_proto::engine::{LinkKey, SessionKey};

use super::Outgoing;
use super::link::Stage as LinkStage;
use super::outbound::{Place, Sending, Stage};
use crate::core::{Core, Ended, Leads, Message, Notify};
use crate::net::context::Context;
use crate::net::message_log;
use crate::net::wake::Wake;

/// The bytes that are gathered for one write. Pieces of 64 KiB cost a third of the CPU time of
/// pieces of 4 KiB.
const GATHER: usize = 64 * 1024;

/// The bytes that one delivery may take of a write before the next ready one has its turn.
const QUANTUM: usize = 32 * 1024;

/// Writes the router annotations of a message as it leaves this router. `uplink` says that it
/// leaves by the uplink of an edge router.
fn annotate(core: &Core, message: &Message, uplink: bool, head: &mut Vec<u8>) {
    let own = core.node();
    let annotations = match annotations::parse(&message.annotations) {
        Ok(Parsed::Present(annotations)) => annotations.forwarded(own),
        _ => {
            // The stream of a service has a window of its own, and no router on its way is to hold
            // it back.
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

impl Outgoing {
    /// Begins a delivery on a link. Returns false if the link is out of credit.
    pub(super) fn start(&mut self, cx: &mut Context, slot: u32, link: LinkKey) -> bool {
        let Some(entry) = self.slots.get_mut(slot as usize) else { return false };
        let Some(key) = cx.engine.deliver(link, entry.presettled) else { return false };
        if let Some(state) = &entry.delivery.message().state {
            cx.engine.set_state(key, (**state).clone());
        }
        if let Some(state) = self.links.get_mut(&link) {
            state.stage = LinkStage::Busy;
        }
        let message = entry.delivery.message();
        message_log::note(&cx.settings.message_logging, cx.id, "Sent", &message.sections);
        let mut head = Vec::with_capacity(128);
        if !(cx.is_client && cx.settings.strip_out) {
            let uplink = cx.edge.as_ref().is_some_and(|edge| edge.leads() == Leads::Up);
            annotate(&cx.core, message, uplink, &mut head);
        }
        // The head is sent with the next turn, mostly. Its room goes to the next delivery.
        let mut chunks = std::mem::take(&mut self.spare);
        chunks.push_back(Bytes::from(head));
        chunks.push_back(message.sections.clone());
        entry.tally.name(cx.records.get(&link));
        entry.tally.begin(entry.presettled, cx.now);
        if let Some(record) = entry.tally.record()
            && cx.is_client
        {
            record.counts.by_ingress.count(cx.core.ingress_number(message));
        }
        entry.stage = Stage::Sending(Sending {
            link,
            key,
            place: Place::Resting,
            chunks,
            ended: None,
            taken: 0,
        });
        self.by_key.insert(key, slot);
        cx.octets.delivery(cx.now);
        entry
            .delivery
            .set_notify(Notify::Slot(Arc::clone(&cx.mailbox), Wake::Outgoing(slot).into()));
        self.on_wake(cx, slot);
        true
    }

    /// Makes a delivery ready: its producer has done something for it.
    pub(in crate::net) fn on_wake(&mut self, cx: &mut Context, slot: u32) {
        let Some(entry) = self.slots.get_mut(slot as usize) else { return };
        match &mut entry.stage {
            Stage::Waiting => {}
            Stage::Sending(sending) => {
                match &mut sending.place {
                    place @ Place::Resting => *place = Place::Ready,
                    Place::Held { ready: ready @ false } => *ready = true,
                    Place::Ready | Place::Parked { .. } | Place::Held { ready: true } => return,
                }
                // A HELLO comes too late on a slow way if it waits for a turn of each of a thousand
                // streams.
                if entry.urgent {
                    self.ready.push_front(slot);
                } else {
                    self.ready.push_back(slot);
                }
            }
            Stage::Sent { key, .. } => {
                let key = *key;
                if let Some(state) = entry.delivery.take_sender_state() {
                    cx.engine.set_state(key, state);
                }
                // The receiver has left the settling to the sender.
                if entry.delivery.is_sender_settled() {
                    cx.engine.settle(key);
                    self.remove_slot(cx, slot);
                }
            }
        }
    }

    /// Makes frames of what is ready, up to one write.
    pub(in crate::net) fn gather(&mut self, cx: &mut Context) {
        while cx.engine.output().len() < GATHER
            && let Some(slot) = self.ready.pop_front()
        {
            self.send_slot(cx, slot);
        }
    }

    /// Sends what a delivery has, up to its quantum.
    fn send_slot(&mut self, cx: &mut Context, slot: u32) {
        let Some(entry) = self.slots.get_mut(slot as usize) else { return };
        let Stage::Sending(sending) = &mut entry.stage else { return };
        let held = match sending.place {
            Place::Ready => false,
            Place::Held { ready: true } => true,
            Place::Resting | Place::Parked { .. } | Place::Held { ready: false } => return,
        };
        sending.place = Place::Resting;
        if sending.chunks.capacity() == 0 {
            sending.chunks = std::mem::take(&mut self.spare);
        }
        let (mut taken, mut starved) = (0, false);
        if sending.ended.is_none() {
            // A peer says nothing of the unread bytes of other messages.
            let bounded = cx.peer.bounds_unread && entry.outcome.is_none();
            if bounded && entry.delivery.message().windowed {
                let room = usize::try_from(entry.unread.room(self.unread)).unwrap_or(usize::MAX);
                // Without room this takes nothing, but hears of the end of the stream.
                (taken, sending.ended) =
                    entry.delivery.take_within(room.min(QUANTUM), &mut sending.chunks);
                entry.unread.sent(taken as u64, &mut self.unread);
                starved = room == 0 && sending.ended.is_none();
            } else {
                (taken, sending.ended) = entry.delivery.take(QUANTUM, &mut sending.chunks);
            }
            sending.taken += taken as u64;
            if starved && entry.delivery.give_up() {
                (starved, sending.ended) = (false, Some(Ended::Aborted));
            }
            if starved && sending.chunks.is_empty() {
                sending.place = Place::Held { ready: false };
                let chunks = std::mem::take(&mut sending.chunks);
                self.reuse(chunks);
                if !held {
                    self.held.push(slot);
                    self.lanes.ask_at(cx.now);
                }
                return;
            }
        }
        let aborted = sending.ended == Some(Ended::Aborted);
        if aborted && sending.taken == 0 {
            // If no byte is on its way, the peer need not hear of the delivery.
            sending.chunks.clear();
        }
        let last = sending.ended == Some(Ended::Complete);
        while !sending.chunks.is_empty() || last {
            if !cx.engine.send_part(sending.key, &mut sending.chunks, last) {
                return self.park(cx, slot);
            }
            if last && sending.chunks.is_empty() {
                return self.on_sent(cx, slot);
            }
        }
        if aborted {
            if !cx.engine.abort(sending.key) {
                return self.park(cx, slot);
            }
            entry.settled = true;
            return self.on_sent(cx, slot);
        }
        let chunks = std::mem::take(&mut sending.chunks);
        self.reuse(chunks);
        if taken > 0 || starved {
            self.on_wake(cx, slot);
        }
    }

    /// Parks a delivery until its session's window opens.
    fn park(&mut self, cx: &Context, slot: u32) {
        let Some(entry) = self.slots.get_mut(slot as usize) else { return };
        let Stage::Sending(sending) = &mut entry.stage else { return };
        let Some(session) = cx.engine.session_of(sending.link) else { return };
        let octets = sending.chunks.iter().map(Bytes::len).sum();
        sending.place = Place::Parked { _charge: entry.delivery.charge(octets) };
        self.parked.entry(session).or_default().push(slot);
        if sending.chunks.is_empty() {
            let chunks = std::mem::take(&mut sending.chunks);
            self.reuse(chunks);
        }
    }

    /// Acts on a delivery that was sent whole: its link is free, and its receiver's word is to
    /// come.
    fn on_sent(&mut self, cx: &mut Context, slot: u32) {
        let Some(entry) = self.slots.get_mut(slot as usize) else { return };
        let Stage::Sending(sending) = &mut entry.stage else { return };
        let (link, key, chunks) = (sending.link, sending.key, std::mem::take(&mut sending.chunks));
        if let Some(state) = entry.delivery.take_sender_state() {
            cx.engine.set_state(key, state);
        }
        if entry.presettled && !entry.delivery.message().presettled {
            entry.delivery.set_outcome(Some(DeliveryState::Accepted), true);
        }
        let told = entry.presettled || entry.settled;
        let over = told || entry.is_left_to_us();
        let keeps_link = !over && entry.unread.is_some();
        entry.stage = Stage::Sent { link, key, keeps_link };
        self.reuse(chunks);
        if over {
            if !told {
                cx.engine.settle(key);
            }
            self.remove_slot(cx, slot);
        }
        if !keeps_link {
            self.link_done(cx, link);
        }
    }

    /// Makes the deliveries of a session ready whose window has opened.
    pub(in crate::net) fn on_window(&mut self, cx: &mut Context, session: SessionKey) {
        for slot in self.parked.remove(&session).unwrap_or_default() {
            if let Some(entry) = self.slots.get_mut(slot as usize)
                && let Stage::Sending(Sending { place: place @ Place::Parked { .. }, .. }) =
                    &mut entry.stage
            {
                *place = Place::Resting;
                self.on_wake(cx, slot);
            }
        }
        self.lanes.ask_at(cx.now);
    }
}
