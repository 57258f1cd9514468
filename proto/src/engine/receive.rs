//! What the frames of the peer do.

use core::time::Duration;

use bytes::Bytes;

use super::chain::Place;
use super::connection::{Connection, MIN_HEARTBEAT, Phase, not_allowed};
use super::delivery::{Incoming, IncomingKey, OutgoingKey};
use super::event::{Ending, Event};
use super::link::{Link, LinkKey, MAX_CREDIT, ahead};
use super::session::SessionKey;
use super::{MAX_INCOMING, MAX_LINKS, MAX_SESSIONS};
use crate::amqp::performative::{
    Attach, Begin, DeliveryState, Detach, Disposition, End, Error, Flow, MAX_STATE, Open,
    Performative, Role, Transfer,
};
use crate::amqp::{condition, frame};

impl Connection {
    pub(super) fn handle_open(&mut self, open: Box<Open>) -> Result<(), Error> {
        let max_frame = open.max_frame_size.unwrap_or(u32::MAX);
        if max_frame < frame::MIN_MAX_FRAME_SIZE {
            return Err(Error::new(
                condition::INVALID_FIELD,
                format!("max-frame-size {max_frame} is below {}", frame::MIN_MAX_FRAME_SIZE),
            ));
        }
        self.remote_max_frame = max_frame;
        let idle = open
            .idle_time_out
            .filter(|idle| *idle > 0)
            .map(|idle| Duration::from_millis(idle.into()));
        self.heartbeat = idle.map(|idle| (idle / 2).max(MIN_HEARTBEAT));
        self.remote_channel_max = open.channel_max.unwrap_or(u16::MAX);
        self.remote = Some(open);
        self.phase = Phase::Opened;
        self.deadline = None;
        if !self.holds_open {
            self.send_open();
        }
        self.events.push_back(Event::Opened);
        Ok(())
    }

    pub(super) fn handle_begin(&mut self, channel: u16, begin: &Begin) -> Result<(), Error> {
        if self.channels.contains_key(&channel) {
            return Err(not_allowed(format!("begin on channel {channel}, which is in use")));
        }
        let key = match begin.remote_channel {
            Some(ours) => {
                let key = self.local_channels.get(ours.into()).copied();
                let asked = |key: &SessionKey| {
                    self.sessions.get(key.0.into()).is_some_and(|it| it.remote_channel.is_none())
                };
                key.filter(asked).ok_or_else(|| {
                    not_allowed(format!("begin answers channel {ours}, where none was asked for"))
                })?
            }
            None => {
                if channel > self.config.channel_max || !self.has_channel() {
                    self.events.push_back(Event::SessionRefused);
                    return Err(Error::new(
                        condition::RESOURCE_LIMIT_EXCEEDED,
                        format!("no session left for channel {channel}"),
                    ));
                }
                let key = self.new_session();
                self.send_begin(key, Some(channel));
                key
            }
        };
        self.channels.insert(channel, key);
        if let Some(session) = self.sessions.get_mut(key.0.into()) {
            session.remote_channel = Some(channel);
            session.next_incoming_id = begin.next_outgoing_id;
            session.remote_incoming_window = begin.incoming_window;
            session.remote_window = begin.incoming_window;
            session.remote_handle_max = begin.handle_max.unwrap_or(u32::MAX);
            // The application may have ended it before the peer answered.
            if !session.end_sent {
                self.events.push_back(Event::Begun { session: key });
            }
        }
        Ok(())
    }

    /// Whether another session can have a channel.
    pub(super) fn has_channel(&self) -> bool {
        let limit = self.remote_channel_max.min(self.config.channel_max);
        self.local_channels.vacant_key() <= usize::from(limit)
            && self.sessions.len() < MAX_SESSIONS
            && u16::try_from(self.sessions.vacant_key()).is_ok()
    }

    pub(super) fn handle_attach(
        &mut self,
        key: SessionKey,
        attach: Box<Attach>,
    ) -> Result<(), Error> {
        let links = self.links.len();
        let Some(session) = self.sessions.get_mut(key.0.into()) else { return Ok(()) };
        if session.remote_handles.contains_key(&attach.handle) {
            return self.end_session(
                key,
                Error::new(condition::HANDLE_IN_USE, format!("handle {} is in use", attach.handle)),
            );
        }
        let role = attach.role.other();
        let ours = session.attaching.remove(&(attach.name.clone(), role));
        let link = match ours {
            Some(link) => link,
            None => {
                if links >= MAX_LINKS {
                    let error = Error::new(
                        condition::RESOURCE_LIMIT_EXCEEDED,
                        format!("{MAX_LINKS} links are attached"),
                    );
                    return self.end_session(key, error);
                }
                let local_handle = u32::try_from(session.handles.vacant_key()).unwrap_or(u32::MAX);
                if local_handle > session.remote_handle_max {
                    let text =
                        format!("an attach beyond the handle-max of {}", session.remote_handle_max);
                    return self
                        .end_session(key, Error::new(condition::RESOURCE_LIMIT_EXCEEDED, text));
                }
                self.names += attach.name.len();
                let link = LinkKey(self.links.insert(Link::new(
                    key,
                    attach.name.clone(),
                    role,
                    local_handle,
                )));
                session.handles.insert(link);
                link
            }
        };
        session.remote_handles.insert(attach.handle, link);
        let Some(entry) = self.links.get_mut(link.0) else { return Ok(()) };
        entry.remote_handle = Some(attach.handle);
        if role == Role::Receiver {
            entry.start_at(attach.initial_delivery_count.unwrap_or(0));
        }
        if entry.detach_sent {
            // The application detached before the peer answered; what remains is the peer's detach.
            return Ok(());
        }
        if ours.is_some() && entry.credit() > 0 {
            // Credit could be announced only against the sender's delivery-count.
            self.send_flow(key, Some(link), false);
        }
        self.events.push_back(Event::Attached { link, ours: ours.is_some(), attach });
        Ok(())
    }

    pub(super) fn handle_flow(&mut self, key: SessionKey, flow: &Flow) -> Result<(), Error> {
        let Some(session) = self.sessions.get_mut(key.0.into()) else { return Ok(()) };
        // What we sent that the peer had not seen yet takes its place in the window.
        let unseen = ahead(session.next_outgoing_id, flow.next_incoming_id.unwrap_or(0));
        session.remote_incoming_window = flow.incoming_window.saturating_sub(unseen);
        if session.blocked && session.remote_incoming_window > 0 {
            session.blocked = false;
            self.events.push_back(Event::Window { session: key });
        }
        let seen =
            |asked: &mut u32| flow.next_incoming_id.is_some_and(|next| ahead(*asked, next) == 0);
        if session.asked.take_if(seen).is_some() {
            let transfers = session.remote_window.saturating_sub(flow.incoming_window);
            let octets = u64::from(transfers) * u64::from(self.remote_max_frame);
            self.events.push_back(Event::Held { session: key, octets });
        }
        let Some(handle) = flow.handle else {
            if flow.echo == Some(true) {
                self.send_flow(key, None, false);
            }
            return Ok(());
        };
        let Some(&link) = session.remote_handles.get(&handle) else {
            let error = Error::new(
                condition::UNATTACHED_HANDLE,
                format!("flow for handle {handle}, which is not attached"),
            );
            return self.end_session(key, error);
        };
        let Some(entry) = self.links.get_mut(link.0).filter(|entry| !entry.detach_sent) else {
            return Ok(());
        };
        match entry.role {
            Role::Sender => {
                if let Some(credit) = flow.link_credit {
                    // A receiver that does not know our delivery-count yet counts from where we
                    // began.
                    entry.limit =
                        flow.delivery_count.unwrap_or(0).wrapping_add(credit.min(MAX_CREDIT));
                    self.events.push_back(Event::Credit { link, drain: flow.drain == Some(true) });
                }
            }
            Role::Receiver => {
                if let Some(count) = flow.delivery_count {
                    // The sender moves its count on without sending when it gives credit back.
                    if ahead(count, entry.delivery_count)
                        <= ahead(entry.promised, entry.delivery_count)
                    {
                        entry.delivery_count =
                            entry.delivery_count.wrapping_add(ahead(count, entry.delivery_count));
                    }
                    if entry.credit() == 0 {
                        entry.drain = false;
                    }
                }
            }
        }
        if flow.echo == Some(true) {
            self.send_flow(key, Some(link), false);
        }
        Ok(())
    }

    pub(super) fn handle_transfer(
        &mut self,
        key: SessionKey,
        transfer: &Transfer,
        payload: Bytes,
    ) -> Result<(), Error> {
        let Some(session) = self.sessions.get_mut(key.0.into()) else { return Ok(()) };
        if session.incoming_window == 0 {
            return self.end_session(
                key,
                Error::new(condition::WINDOW_VIOLATION, "the session's incoming window is used up"),
            );
        }
        session.incoming_window -= 1;
        session.next_incoming_id = session.next_incoming_id.wrapping_add(1);
        let Some(&link) = session.remote_handles.get(&transfer.handle) else {
            let error = Error::new(
                condition::UNATTACHED_HANDLE,
                format!("transfer on handle {}, which is not attached", transfer.handle),
            );
            return self.end_session(key, error);
        };
        let granted = self.receive(key, link, transfer, payload)?;
        let (limits, now) = (self.window_limits(), self.last_received);
        // Whatever became of the transfer, it took its place in the window.
        let Some(session) = self.sessions.get_mut(key.0.into()).filter(|session| !session.end_sent)
        else {
            return Ok(());
        };
        let reopen = !session.held && session.incoming_window <= session.window / 2;
        if reopen {
            session.bring_back(limits, now);
        }
        if granted || reopen {
            self.send_flow(key, self.flow_carrier(key, link), false);
        }
        Ok(())
    }

    /// Which link a flow about the session's window names: a C router that waits for the window
    /// wakes on flows of links only.
    pub(super) fn flow_carrier(&self, session: SessionKey, preferred: LinkKey) -> Option<LinkKey> {
        let usable = |key: &LinkKey| {
            self.link(*key).is_some_and(|link| link.role == Role::Receiver && link.is_attached())
        };
        let others = || {
            self.sessions.get(session.0.into())?.handles.iter().map(|(_, link)| *link).find(usable)
        };
        Some(preferred).filter(usable).or_else(others)
    }

    /// Takes a transfer that is within the session's window. Returns whether it made the link's
    /// credit be topped up, which is still to be announced.
    pub(super) fn receive(
        &mut self,
        key: SessionKey,
        link: LinkKey,
        transfer: &Transfer,
        payload: Bytes,
    ) -> Result<bool, Error> {
        let deliveries = self.incoming.len();
        let Some(session) = self.sessions.get_mut(key.0.into()) else { return Ok(false) };
        let Some(entry) = self.links.get_mut(link.0) else { return Ok(false) };
        if entry.role != Role::Receiver {
            return self
                .end_session(
                    key,
                    not_allowed("a transfer on a link whose sender is here".to_owned()),
                )
                .map(|()| false);
        }
        if entry.detach_sent {
            // What the peer sent before it saw our detach. A delivery that begins so has its number
            // all the same.
            if let Some(id) = transfer
                .delivery_id
                .filter(|id| session.expected_delivery_id.is_none_or(|next| next == *id))
            {
                session.expected_delivery_id = Some(id.wrapping_add(1));
            }
            return Ok(false);
        }
        let settled = transfer.settled == Some(true);
        let aborted = transfer.aborted == Some(true);
        let ending = if aborted {
            Ending::Aborted
        } else if transfer.more == Some(true) {
            Ending::More
        } else {
            Ending::Complete
        };
        let mut granted = false;
        let (delivery, first) = match entry.arriving {
            Some(delivery) => {
                let state = self.incoming.get_mut(delivery.0);
                if let (Some(id), Some(state)) = (transfer.delivery_id, &state)
                    && id != state.id
                {
                    let text = format!(
                        "delivery {id} begins while delivery {} is incomplete on its link",
                        state.id
                    );
                    return self.end_session(key, not_allowed(text)).map(|()| false);
                }
                if let Some(state) = state
                    && settled
                    && !state.sender_settled
                {
                    state.sender_settled = true;
                    session.incoming.remove(state.id);
                }
                (delivery, false)
            }
            None => {
                let Some(id) = transfer.delivery_id else {
                    let error = Error::new(
                        condition::INVALID_FIELD,
                        "a delivery begins without delivery-id",
                    );
                    return self.end_session(key, error).map(|()| false);
                };
                if let Some(expected) =
                    session.expected_delivery_id.filter(|expected| *expected != id)
                {
                    let text =
                        format!("sequencing error, delivery-id {id} where {expected} is next");
                    return self
                        .end_session(key, Error::new(condition::SESSION_INVALID_FIELD, text))
                        .map(|()| false);
                }
                session.expected_delivery_id = Some(id.wrapping_add(1));
                if ahead(entry.promised, entry.delivery_count) == 0 {
                    let error = Error::new(
                        condition::TRANSFER_LIMIT_EXCEEDED,
                        "the link's credit is used up",
                    );
                    return self.detach_with(link, Some(error)).map(|()| false);
                }
                if deliveries >= MAX_INCOMING {
                    let error = Error::new(
                        condition::RESOURCE_LIMIT_EXCEEDED,
                        format!("{MAX_INCOMING} deliveries are unsettled"),
                    );
                    return self.end_session(key, error).map(|()| false);
                }
                entry.delivery_count = entry.delivery_count.wrapping_add(1);
                if entry.capacity > 0 && entry.credit() <= entry.capacity / 2 {
                    entry.grant(entry.capacity);
                    granted = true;
                }
                let delivery = entry.deliveries.insert(
                    &mut self.incoming,
                    Incoming {
                        link,
                        id,
                        sender_settled: settled,
                        ended: false,
                        place: Place::default(),
                    },
                );
                let delivery = IncomingKey(delivery);
                if !settled {
                    session.incoming.insert(id, delivery);
                }
                (delivery, true)
            }
        };
        entry.arriving = (ending == Ending::More).then_some(delivery);
        if ending != Ending::More
            && let Some(state) = self.incoming.get_mut(delivery.0)
        {
            state.ended = true;
            if aborted && !state.sender_settled {
                state.sender_settled = true;
                session.incoming.remove(state.id);
            }
        }
        let (settled, state) = (settled || aborted, kept(transfer.state.as_ref()).map(Box::new));
        self.events.push_back(Event::Transfer {
            delivery,
            link,
            first,
            settled,
            payload,
            ending,
            state,
        });
        Ok(granted)
    }

    pub(super) fn handle_disposition(
        &mut self,
        key: SessionKey,
        disposition: &Disposition,
    ) -> Result<(), Error> {
        let Some(session) = self.sessions.get(key.0.into()) else { return Ok(()) };
        let (first, last) = (disposition.first, disposition.last.unwrap_or(disposition.first));
        if first != last && ahead(last, first) == 0 {
            let error = Error::new(
                condition::INVALID_FIELD,
                format!("a disposition from {first} to {last}, which is before"),
            );
            return self.end_session(key, error);
        }
        let settled = disposition.settled == Some(true);
        let state = kept(disposition.state.as_ref());
        match disposition.role {
            _ if first != last => {
                let known = match disposition.role {
                    Role::Receiver => session.next_delivery_id,
                    Role::Sender => session.expected_delivery_id.unwrap_or(first),
                };
                // Those that begin while the application hears of the others are not meant.
                if ahead(known, first) == 0 {
                    return Ok(());
                }
                let span = last.wrapping_sub(first).min(known.wrapping_sub(1).wrapping_sub(first));
                let last = first.wrapping_add(span);
                let told =
                    Told { session: key, role: disposition.role, first, last, settled, state };
                self.told = Some(Box::new(told));
                self.tell();
            }
            Role::Receiver => {
                if let Some(delivery) = session.outgoing.get(first) {
                    self.outcome(key, first, delivery, state, settled);
                }
            }
            Role::Sender => {
                if let Some(delivery) = session.incoming.get(first) {
                    self.sender_told(key, first, delivery, state, settled);
                }
            }
        }
        Ok(())
    }

    /// Carries out a disposition over several deliveries, as far as the steps of this call go. What
    /// is left is carried out before the next frame.
    pub(super) fn tell(&mut self) {
        let Some(mut told) = self.told.take() else { return };
        loop {
            let Told { session: key, first, last, settled, .. } = *told;
            // The application may have ended the session meanwhile.
            let Some(session) = self.sessions.get(key.0.into()).filter(|session| !session.end_sent)
            else {
                return;
            };
            let id = match told.role {
                Role::Receiver => {
                    let Some((id, delivery)) =
                        session.outgoing.first_of(first, last, told.state.as_ref(), settled)
                    else {
                        return;
                    };
                    self.outcome(key, id, delivery, told.state.clone(), settled);
                    id
                }
                // How a delivery stands at its sender is said of one delivery.
                Role::Sender if !settled => return,
                Role::Sender => {
                    let Some((id, delivery)) = session.incoming.first_of(first, last) else {
                        return;
                    };
                    self.sender_told(key, id, delivery, told.state.clone(), true);
                    id
                }
            };
            if id == last {
                return;
            }
            told.first = id.wrapping_add(1);
            self.steps = self.steps.saturating_sub(1);
            if self.steps == 0 {
                self.told = Some(told);
                return;
            }
        }
    }

    /// Tells the application what the sender of a delivery says of it, which it has not settled so
    /// far.
    fn sender_told(
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
            if let Some(session) = self.sessions.get_mut(key.0.into()) {
                session.incoming.remove(id);
            }
            self.events.push_back(Event::SenderSettled { delivery });
        }
    }

    /// Tells the application what became of a delivery. A peer may repeat itself over many
    /// deliveries in few octets, so an outcome is told once, and so is its settling.
    pub(super) fn outcome(
        &mut self,
        key: SessionKey,
        id: u32,
        delivery: OutgoingKey,
        state: Option<DeliveryState>,
        settled: bool,
    ) {
        let Some(outgoing) = self.outgoing.get_mut(delivery.0).filter(|outgoing| !outgoing.settled)
        else {
            return;
        };
        let is_outcome = state.as_ref().is_some_and(DeliveryState::is_outcome);
        if !settled && (state.is_none() || (is_outcome && outgoing.outcome_told)) {
            return;
        }
        outgoing.outcome_told |= is_outcome;
        outgoing.settled = settled;
        let done = settled && outgoing.ended;
        if let Some(session) = self.sessions.get_mut(key.0.into()) {
            if settled {
                session.outgoing.remove(id);
            } else if is_outcome {
                session.outgoing.decide(id);
            }
        }
        if done {
            self.take_outgoing(delivery);
        }
        self.events.push_back(Event::Outcome { delivery, state, settled });
    }

    pub(super) fn handle_detach(&mut self, key: SessionKey, detach: Detach) -> Result<(), Error> {
        let Some(session) = self.sessions.get_mut(key.0.into()) else { return Ok(()) };
        let Some(link) = session.remote_handles.remove(&detach.handle) else {
            let error = Error::new(
                condition::UNATTACHED_HANDLE,
                format!("detach of handle {}, which is not attached", detach.handle),
            );
            return self.end_session(key, error);
        };
        let Some(entry) = self.links.get_mut(link.0) else { return Ok(()) };
        if detach.closed != Some(true) && !entry.detach_sent {
            // Nothing of a link is kept here that it could be attached to again.
            return Err(Error::new(
                condition::NOT_IMPLEMENTED,
                "Link detach/reattach not supported",
            ));
        }
        entry.remote_handle = None;
        if !entry.detach_sent {
            self.detach(link, None);
            self.events.push_back(Event::Detached { link, error: detach.error });
        }
        self.remove_link(link);
        Ok(())
    }

    pub(super) fn handle_end(&mut self, key: SessionKey, channel: u16, end: End) {
        self.channels.remove(&channel);
        let ended = self.sessions.get(key.0.into()).is_some_and(|session| session.end_sent);
        if !ended {
            self.send_on(key, &Performative::End(End::default()));
            self.lose_links(key);
            self.events.push_back(Event::Ended { session: key, error: end.error });
        }
        if let Some(session) = self.sessions.remove(key.0.into()) {
            self.local_channels.try_remove(session.channel.into());
        }
    }
}

/// A disposition over several deliveries, as far as it has not been carried out.
#[derive(Debug)]
pub(super) struct Told {
    session: SessionKey,
    role: Role,
    /// The next delivery-id to look at.
    first: u32,
    last: u32,
    settled: bool,
    state: Option<DeliveryState>,
}

/// What is kept of a state that the peer told.
fn kept(state: Option<&DeliveryState>) -> Option<DeliveryState> {
    state?.clone().bounded(MAX_STATE)
}
