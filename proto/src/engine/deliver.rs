//! Our deliveries: begin, send in parts, abort (parts 2.6.12, 2.6.14 and 2.7.5).

use std::collections::VecDeque;

use bytes::Bytes;

use super::connection::Connection;
use super::delivery::{Outgoing, Progress, Settlement};
use super::key::{LinkKey, OutgoingKey};
use super::link::{LinkEnd, Sending};
use super::session::Session;
use crate::amqp::performative::{DeliveryTag, Transfer};
use crate::amqp::{Encode, frame};

/// Whether a transfer is the last of its delivery.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    No,
    Yes,
    Abort,
}

impl Connection {
    /// Begins a delivery, using one credit (part 2.6.7). Its first [`Connection::send_part`] gives
    /// it its number.
    ///
    /// Returns `None` when the link is not attached at both ends or has no credit, or while a
    /// delivery is incomplete on it.
    pub fn deliver(&mut self, link: LinkKey, presettled: bool) -> Option<OutgoingKey> {
        let entry = self.links.get_mut(link.0).filter(|_| self.phase.is_opened())?;
        if !matches!(entry.end, LinkEnd::Sender(Sending::Idle))
            || entry.credit() == 0
            || !entry.is_attached()
        {
            return None;
        }
        let delivery = Outgoing::new(link, presettled);
        let key = OutgoingKey(entry.deliveries.insert(&mut self.outgoing, delivery));
        entry.delivery_count = entry.delivery_count.wrapping_add(1);
        entry.end = LinkEnd::Sender(Sending::Begun { drained: false });
        Some(key)
    }

    /// Sends the next part of a delivery in one transfer: up to [`Connection::max_payload`] bytes
    /// from the front of `chunks`. The transfer is the delivery's last when `last` is set and
    /// nothing is left in `chunks`.
    ///
    /// Returns false while the session's window is closed: [`Event::Window`](super::Event::Window)
    /// tells when to try again. Drops the content of `chunks` once the delivery has ended or is
    /// lost, or the connection closes.
    pub fn send_part(
        &mut self,
        delivery: OutgoingKey,
        chunks: &mut VecDeque<Bytes>,
        last: bool,
    ) -> bool {
        self.transfer(delivery, chunks, if last { Last::Yes } else { Last::No })
    }

    /// Gives up a delivery. When nothing of it was sent, nothing is.
    ///
    /// Returns false while the session's window is closed: try again on
    /// [`Event::Window`](super::Event::Window).
    pub fn abort(&mut self, delivery: OutgoingKey) -> bool {
        match self.outgoing.get(delivery.0).map(|state| state.progress) {
            Some(Progress::Begun) => {
                self.take_back(delivery);
                true
            }
            Some(Progress::Started(_)) => {
                self.transfer(delivery, &mut VecDeque::new(), Last::Abort)
            }
            Some(Progress::Ended(_)) | None => true,
        }
    }

    /// Forgets a delivery of which nothing was sent. The receiver never saw it, so its credit is
    /// still there.
    fn take_back(&mut self, delivery: OutgoingKey) {
        let Some(state) = self.take_outgoing(delivery) else { return };
        let Some(entry) = self.links.get_mut(state.link.0) else { return };
        let drained = entry.is_drained();
        entry.end = LinkEnd::Sender(Sending::Idle);
        entry.delivery_count = entry.delivery_count.wrapping_sub(1);
        if drained {
            self.drained(state.link);
        }
    }

    /// Asks the peer how much it holds of a link's session, behind all that was sent.
    /// [`Event::Held`](super::Event::Held) tells.
    ///
    /// AMQP has a flow with echo for that, and C routers do not answer it. They do answer a
    /// delivery that is aborted with its first transfer: it means nothing, and its credit comes
    /// back at once in a flow that states the session's window. So this uses one credit of a link
    /// that sends nothing.
    ///
    /// Returns false while it cannot ask: the link is not ready, the session's window is closed
    /// ([`Event::Window`](super::Event::Window) tells when it opens), or an answer of the session
    /// is still to come.
    pub fn ask(&mut self, link: LinkKey) -> bool {
        let Some(session) = self.session_of(link) else { return false };
        if self.session(session).is_none_or(|entry| entry.outgoing_window.is_asked()) {
            return false;
        }
        let Some(question) = self.deliver(link, true) else { return false };
        if !self.transfer(question, &mut VecDeque::new(), Last::Abort) {
            self.take_back(question);
            return false;
        }
        if let Some(entry) = self.session_mut(session) {
            entry.outgoing_window.ask();
        }
        true
    }

    /// Sends one transfer (part 2.7.5). Returns false while the session's window is closed.
    fn transfer(
        &mut self,
        delivery: OutgoingKey,
        chunks: &mut VecDeque<Bytes>,
        last: Last,
    ) -> bool {
        let (max_payload, max_state) = (self.max_payload(), self.max_state());
        let Some((outgoing, link, session)) = self
            .outgoing
            .get_mut(delivery.0)
            .filter(|outgoing| !outgoing.is_ended() && self.phase.is_opened())
            .and_then(|outgoing| {
                let link = self.links.get_mut(outgoing.link.0)?;
                let session = self.sessions.get_mut(link.session.0.into())?;
                Some((outgoing, link, session))
            })
        else {
            chunks.clear();
            return true;
        };
        let first = outgoing.progress == Progress::Begun;
        // A state goes with the first transfer, in the same frame.
        let large = first && outgoing.state.as_ref().is_some_and(|state| !state.is_small());
        let max_payload = max_payload - if large { max_state } else { 0 };
        let (payload, whole) = measure(chunks, max_payload);
        let more = last == Last::No || !whole;
        if payload == 0 && more {
            // The transfer would say nothing.
            chunks.clear();
            return true;
        }
        if !session.outgoing_window.take() {
            return false;
        }
        let id = outgoing.id().unwrap_or_else(|| number(session, outgoing, delivery));
        let aborted = last == Last::Abort;
        let settles = aborted
            || match outgoing.settlement {
                Settlement::Presettled => true,
                // Settled since it began: the last transfer says so.
                Settlement::Settled => !more,
                Settlement::Open | Settlement::Decided => false,
            };
        let head = Transfer {
            handle: link.local_handle,
            // Some peers want the delivery-id on continuations too.
            delivery_id: Some(id),
            delivery_tag: first.then(|| DeliveryTag::from(self.next_tag)),
            message_format: first.then_some(0),
            state: outgoing.state.as_deref().filter(|_| first).cloned(),
            settled: settles.then_some(true),
            more: more.then_some(true),
            aborted: aborted.then_some(true),
            ..Transfer::default()
        };
        if first {
            self.next_tag = self.next_tag.wrapping_add(1);
        }
        let channel = session.channel;
        let drained = link.is_drained().then_some(outgoing.link);
        link.end = LinkEnd::Sender(if more { Sending::Started } else { Sending::Idle });
        if !more {
            outgoing.progress = Progress::Ended(id);
            if aborted && outgoing.settle() {
                session.outgoing.remove(id);
            }
            if outgoing.is_settled() {
                link.deliveries.remove(&mut self.outgoing, delivery.0);
            }
        }
        self.write_transfer(channel, &head, chunks, payload);
        if whole {
            // Chunks without bytes may be left.
            chunks.clear();
        }
        if let Some(link) = drained {
            self.drained(link);
        }
        true
    }

    /// Writes a transfer with `payload` bytes from the front of `chunks`.
    fn write_transfer(
        &mut self,
        channel: u16,
        head: &Transfer,
        chunks: &mut VecDeque<Bytes>,
        payload: usize,
    ) {
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
    }
}

/// Gives a delivery of which nothing was sent its delivery-id (part 2.6.12).
fn number(session: &mut Session, outgoing: &mut Outgoing, key: OutgoingKey) -> u32 {
    let id = session.next_delivery_id;
    session.next_delivery_id = id.wrapping_add(1);
    if !outgoing.is_settled() {
        session.outgoing.insert(id, key);
    }
    outgoing.progress = Progress::Started(id);
    id
}

/// Returns how many bytes of `chunks` go into a transfer of at most `most`, and whether that is all
/// of them.
fn measure(chunks: &VecDeque<Bytes>, most: usize) -> (usize, bool) {
    let mut payload = 0;
    for chunk in chunks {
        payload += chunk.len();
        if payload > most {
            return (most, false);
        }
    }
    (payload, true)
}
