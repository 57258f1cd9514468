//! Dispositions: the state and the settlement of deliveries of both directions (parts 2.6.12, 2.7.6
//! and 3.4).

use super::connection::Connection;
use super::delivery::{RangeDisposition, Settlement};
use super::event::Event;
use super::key::{IncomingKey, LinkKey, OutgoingKey, SessionKey};
use super::serial::ahead;
use super::transfer::kept;
use crate::amqp::condition;
use crate::amqp::performative::{DeliveryState, Disposition, Error, Performative, Role};

impl Connection {
    // ----- from this end -----

    /// Says to the receiver how a delivery of ours stands here: with its first transfer, or by
    /// itself once that has gone.
    pub fn set_state(&mut self, delivery: OutgoingKey, state: DeliveryState) {
        let most = self.max_state();
        let Some(outgoing) = self
            .outgoing
            .get_mut(delivery.0)
            .filter(|outgoing| !outgoing.is_settled() || outgoing.id().is_none())
        else {
            return;
        };
        let (link, id) = (outgoing.link, outgoing.id());
        let Some(state) = state.bounded(most) else { return };
        outgoing.state = Some(Box::new(state.clone()));
        if let Some(first) = id {
            let role = Role::Sender;
            let disposition =
                Disposition { role, first, state: Some(state), ..Disposition::default() };
            self.send_disposition(link, disposition);
        }
    }

    /// Settles a delivery of ours whose receiver gave it an outcome but left the settling to this
    /// end. An incomplete one is settled by its last transfer.
    pub fn settle(&mut self, delivery: OutgoingKey) {
        let Some(outgoing) = self.outgoing.get_mut(delivery.0) else { return };
        let newly = outgoing.settle();
        let (link, id, ended) = (outgoing.link, outgoing.id(), outgoing.is_ended());
        let Some(session) = self.session_of(link) else { return };
        if let (Some(id), Some(entry)) = (id.filter(|_| newly), self.session_mut(session)) {
            entry.outgoing.remove(id);
        }
        if !ended {
            return;
        }
        let state = self.take_outgoing(delivery).and_then(|outgoing| outgoing.state);
        if let Some(first) = id {
            let disposition = Disposition {
                role: Role::Sender,
                first,
                settled: Some(true),
                state: state.map(|state| *state),
                ..Disposition::default()
            };
            self.send_disposition(link, disposition);
        }
    }

    /// Says how a delivery of the peer's stands here. With `settle` this ends all interest in it,
    /// and its key is void; an incomplete delivery is not settled, for its transfers still come.
    pub fn disposition(
        &mut self,
        delivery: IncomingKey,
        state: Option<DeliveryState>,
        settle: bool,
    ) {
        let Some(incoming) = self.incoming.get(delivery.0) else { return };
        let (link, id, owed) = (incoming.link, incoming.id, !incoming.sender_settled);
        let settle = settle && incoming.is_ended();
        let Some(session) = self.session_of(link) else { return };
        if settle {
            self.take_incoming(delivery);
            if let Some(entry) = self.session_mut(session) {
                entry.incoming.remove(id);
            }
        }
        if owed {
            let disposition = Disposition {
                role: Role::Receiver,
                first: id,
                settled: settle.then_some(true),
                state: state.and_then(|state| state.bounded(self.max_state())),
                ..Disposition::default()
            };
            self.send_on(session, &Performative::Disposition(disposition));
        }
    }

    fn send_disposition(&mut self, link: LinkKey, disposition: Disposition) {
        if let Some(session) = self.session_of(link) {
            self.send_on(session, &Performative::Disposition(disposition));
        }
    }

    // ----- from the peer -----

    /// Part 2.7.6. The peer says how one or more deliveries stand at its end.
    pub(super) fn handle_disposition(
        &mut self,
        key: SessionKey,
        disposition: &Disposition,
    ) -> Result<(), Error> {
        let Some(session) = self.session(key) else { return Ok(()) };
        let (first, last) = (disposition.first, disposition.last.unwrap_or(disposition.first));
        if first != last && ahead(last, first) == 0 {
            let error = Error::new(
                condition::INVALID_FIELD,
                format!("a disposition from {first} to {last}, which is before"),
            );
            return self.end_session(key, error);
        }
        let role = disposition.role;
        let settled = disposition.settled == Some(true);
        let state = kept(disposition.state.as_ref());
        if first != last {
            let known = match role {
                Role::Receiver => session.next_delivery_id,
                Role::Sender => session.expected_delivery_id.unwrap_or(first),
            };
            // Those that begin while the application hears of the others are not meant.
            if ahead(known, first) == 0 {
                return Ok(());
            }
            let span = last.wrapping_sub(first).min(known.wrapping_sub(1).wrapping_sub(first));
            let last = first.wrapping_add(span);
            let range = RangeDisposition { session: key, role, first, last, settled, state };
            self.pending = Some(Box::new(range));
            self.resume_disposition();
            return Ok(());
        }
        match role {
            Role::Receiver => {
                if let Some(delivery) = session.outgoing.get(first) {
                    self.handle_receiver_state(key, first, delivery, state, settled);
                }
            }
            Role::Sender => {
                if let Some(delivery) = session.incoming.get(first) {
                    self.handle_sender_state(key, first, delivery, state, settled);
                }
            }
        }
        Ok(())
    }

    /// Carries out a disposition over several deliveries, as far as the steps of this call go. The
    /// rest follows before the next frame.
    pub(super) fn resume_disposition(&mut self) {
        let Some(mut range) = self.pending.take() else { return };
        loop {
            let RangeDisposition { session: key, first, last, settled, .. } = *range;
            // The application may have ended the session meanwhile.
            let Some(session) = self.session(key).filter(|session| !session.is_ended()) else {
                return;
            };
            let id = match range.role {
                Role::Receiver => {
                    let Some((id, delivery)) =
                        session.outgoing.first_of(first, last, range.state.as_ref(), settled)
                    else {
                        return;
                    };
                    self.handle_receiver_state(key, id, delivery, range.state.clone(), settled);
                    id
                }
                // A sender states how a delivery stands for one delivery only.
                Role::Sender if !settled => return,
                Role::Sender => {
                    let Some((id, delivery)) = session.incoming.first_of(first, last) else {
                        return;
                    };
                    self.handle_sender_state(key, id, delivery, range.state.clone(), true);
                    id
                }
            };
            if id == last {
                return;
            }
            range.first = id.wrapping_add(1);
            self.steps = self.steps.saturating_sub(1);
            if self.steps == 0 {
                self.pending = Some(range);
                return;
            }
        }
    }

    /// Tells the application the sender's word of a delivery that the sender had not settled.
    fn handle_sender_state(
        &mut self,
        key: SessionKey,
        id: u32,
        delivery: IncomingKey,
        state: Option<DeliveryState>,
        settled: bool,
    ) {
        if let Some(state) = state {
            self.events.push_back(Event::SenderState { delivery, state });
        }
        if settled {
            if let Some(incoming) = self.incoming.get_mut(delivery.0) {
                incoming.sender_settled = true;
            }
            if let Some(session) = self.session_mut(key) {
                session.incoming.remove(id);
            }
            self.events.push_back(Event::SenderSettled { delivery });
        }
    }

    /// Tells the application the receiver's statement of a delivery. A peer may repeat itself over
    /// many deliveries in few bytes, so an outcome is told once, and so is its settling.
    fn handle_receiver_state(
        &mut self,
        key: SessionKey,
        id: u32,
        delivery: OutgoingKey,
        state: Option<DeliveryState>,
        settled: bool,
    ) {
        let Some(outgoing) =
            self.outgoing.get_mut(delivery.0).filter(|outgoing| !outgoing.is_settled())
        else {
            return;
        };
        let is_outcome = state.as_ref().is_some_and(DeliveryState::is_outcome);
        let decided = outgoing.settlement == Settlement::Decided;
        if !settled && (state.is_none() || (is_outcome && decided)) {
            return;
        }
        if settled {
            outgoing.settlement = Settlement::Settled;
        } else if is_outcome {
            outgoing.settlement = Settlement::Decided;
        }
        let done = settled && outgoing.is_ended();
        if let Some(session) = self.session_mut(key) {
            if settled {
                session.outgoing.remove(id);
            } else if is_outcome {
                session.outgoing.decide(id);
            }
        }
        if done {
            self.take_outgoing(delivery);
        }
        self.events.push_back(Event::ReceiverState { delivery, state, settled });
    }
}
