//! What the application asks for: deliveries, ours and the peer's.

use std::collections::VecDeque;

use bytes::Bytes;

use super::chain::Place;
use super::connection::{Connection, Phase};
use super::delivery::{IncomingKey, Outgoing, OutgoingKey};
use super::link::LinkKey;
use crate::amqp::performative::{
    DeliveryState, DeliveryTag, Disposition, Performative, Role, Transfer,
};
use crate::amqp::{Encode, frame};

impl Connection {
    /// Begins a delivery, using one credit. Its first [`Connection::send`] gives it its number.
    ///
    /// Returns `None` when the link is not there, has no credit, or a delivery is incomplete on it.
    pub fn deliver(&mut self, link: LinkKey, presettled: bool) -> Option<OutgoingKey> {
        let entry = self.links.get_mut(link.0).filter(|_| self.phase == Phase::Opened)?;
        if entry.role != Role::Sender
            || entry.credit() == 0
            || entry.sending.is_some()
            || !entry.is_attached()
        {
            return None;
        }
        let settled = presettled;
        let (state, place) = (None, Place::default());
        let delivery = Outgoing {
            link,
            id: None,
            presettled,
            ended: false,
            settled,
            outcome_told: false,
            state,
            place,
        };
        let key = OutgoingKey(entry.deliveries.insert(&mut self.outgoing, delivery));
        entry.delivery_count = entry.delivery_count.wrapping_add(1);
        entry.sending = Some(key);
        Some(key)
    }

    /// Sends the next part of a delivery in one transfer: up to [`Connection::max_payload`] octets
    /// from the front of `chunks`. The transfer is the delivery's last when `last` is set and
    /// nothing is left in `chunks`.
    ///
    /// Returns false while the session's window is closed: [`Event::Window`] tells when to try
    /// again. Once there is nobody to send it to (the delivery has ended or is lost, the
    /// connection is closing), what `chunks` holds is dropped.
    pub fn send_part(
        &mut self,
        delivery: OutgoingKey,
        chunks: &mut VecDeque<Bytes>,
        last: bool,
    ) -> bool {
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
            Some(state) if !state.ended => {
                self.transfer(delivery, &mut VecDeque::new(), true, true)
            }
            _ => true,
        }
    }

    /// Asks the peer how much it holds of a link's session, behind all that was sent:
    /// [`Event::Held`] tells.
    ///
    /// A flow with echo is what AMQP has for that, and C routers do not answer it. What they answer
    /// at once is a delivery that ends before it has begun: one that is aborted with its first
    /// transfer means nothing, and its credit comes back, in a flow that tells the session's
    /// window. So this uses one credit of a link that nothing is being sent on.
    ///
    /// Returns false while it cannot be asked: the link is not ready, the session's window is
    /// closed ([`Event::Window`] tells when it opens), or an answer of the session is still to
    /// come.
    pub fn ask(&mut self, link: LinkKey) -> bool {
        let Some(session) = self.session_of(link) else { return false };
        if self.sessions.get(session.0.into()).is_none_or(|entry| entry.asked.is_some()) {
            return false;
        }
        let Some(question) = self.deliver(link, true) else { return false };
        if !self.transfer(question, &mut VecDeque::new(), true, true) {
            // Nothing of it was sent.
            self.abort(question);
            return false;
        }
        if let Some(entry) = self.sessions.get_mut(session.0.into()) {
            entry.asked = Some(entry.next_outgoing_id);
        }
        true
    }

    pub(super) fn transfer(
        &mut self,
        delivery: OutgoingKey,
        chunks: &mut VecDeque<Bytes>,
        last: bool,
        aborted: bool,
    ) -> bool {
        let (max_payload, max_state) = (self.max_payload(), self.max_state());
        let Some((state, link, session)) = self
            .outgoing
            .get_mut(delivery.0)
            .filter(|state| !state.ended && self.phase == Phase::Opened)
            .and_then(|state| Some((self.links.get_mut(state.link.0)?, state)))
            .and_then(|(link, state)| {
                Some((self.sessions.get_mut(link.session.0.into())?, link, state))
            })
            .map(|(session, link, state)| (state, link, session))
        else {
            chunks.clear();
            return true;
        };
        let first = state.id.is_none();
        // A state goes with the first transfer, in the same frame.
        let large = first && state.state.as_ref().is_some_and(|state| !state.is_small());
        let max_payload = max_payload - if large { max_state } else { 0 };
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
        let id = *state.id.get_or_insert(session.next_delivery_id);
        let mut tag = None;
        if first {
            session.next_delivery_id = session.next_delivery_id.wrapping_add(1);
            if !state.settled {
                session.outgoing.insert(id, delivery);
            }
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
            if aborted && !state.settled {
                state.settled = true;
                session.outgoing.remove(id);
            }
            if state.settled {
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

    /// Says to the receiver how a delivery of ours stands here: with its first transfer, or by
    /// itself once that has gone.
    pub fn set_state(&mut self, delivery: OutgoingKey, state: DeliveryState) {
        let most = self.max_state();
        let Some(outgoing) = self
            .outgoing
            .get_mut(delivery.0)
            .filter(|outgoing| !outgoing.settled || outgoing.id.is_none())
        else {
            return;
        };
        let (link, id) = (outgoing.link, outgoing.id);
        let Some(state) = state.bounded(most) else { return };
        outgoing.state = Some(Box::new(state.clone()));
        if let (Some(id), Some(session)) = (id, self.session_of(link)) {
            let disposition = Disposition {
                role: Role::Sender,
                first: id,
                state: Some(state),
                ..Disposition::default()
            };
            self.send_on(session, &Performative::Disposition(disposition));
        }
    }

    /// Whether a link has deliveries that are incomplete or unsettled.
    pub fn has_deliveries(&self, link: LinkKey) -> bool {
        self.link(link).is_some_and(|link| !link.deliveries.is_empty())
    }

    /// Settles a delivery of ours whose receiver gave it an outcome but left the settling to us; an
    /// incomplete one is settled by its last transfer.
    pub fn settle(&mut self, delivery: OutgoingKey) {
        let Some(state) = self.outgoing.get_mut(delivery.0) else { return };
        let already = core::mem::replace(&mut state.settled, true);
        let (link, id, ended) = (state.link, state.id, state.ended);
        let Some(session) = self.links.get(link.0).map(|link| link.session) else { return };
        if let (Some(id), Some(entry)) =
            (id.filter(|_| !already), self.sessions.get_mut(session.0.into()))
        {
            entry.outgoing.remove(id);
        }
        if !ended {
            return;
        }
        let state = self.take_outgoing(delivery).and_then(|state| state.state);
        if let Some(id) = id {
            let state = state.map(|state| *state);
            let disposition = Disposition {
                role: Role::Sender,
                first: id,
                settled: Some(true),
                state,
                ..Disposition::default()
            };
            self.send_on(session, &Performative::Disposition(disposition));
        }
    }

    /// Says how a delivery of the peer's stands here, and with `settle` ends all interest in it.
    ///
    /// Settling an incomplete delivery would leave the peer's further transfers of it without a
    /// home: settle once it has ended.
    pub fn disposition(
        &mut self,
        delivery: IncomingKey,
        state: Option<DeliveryState>,
        settle: bool,
    ) {
        let Some(incoming) = self.incoming.get(delivery.0) else { return };
        let (link, id, owed, ended) =
            (incoming.link, incoming.id, !incoming.sender_settled, incoming.ended);
        let settle = settle && ended;
        let Some(session) = self.link(link).map(|link| link.session) else { return };
        if settle {
            self.take_incoming(delivery);
            if let Some(entry) = self.sessions.get_mut(session.0.into()) {
                entry.incoming.remove(id);
            }
        }
        if owed {
            let state = state.and_then(|state| state.bounded(self.max_state()));
            let disposition = Disposition {
                role: Role::Receiver,
                first: id,
                settled: settle.then_some(true),
                state,
                ..Disposition::default()
            };
            self.send_on(session, &Performative::Disposition(disposition));
        }
    }
}
