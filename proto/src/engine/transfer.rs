//! The peer's transfers (parts 2.6.12, 2.6.14 and 2.7.5).

use bytes::Bytes;

use super::MAX_INCOMING;
use super::chain::Place;
use super::connection::Connection;
use super::delivery::{Arrival, Incoming};
use super::event::{Ending, Event};
use super::input::not_allowed;
use super::key::{IncomingKey, LinkKey, SessionKey};
use super::link::{Link, LinkEnd};
use super::session::Session;
use super::slots::Slots;
use crate::amqp::condition;
use crate::amqp::performative::{DeliveryState, Error, MAX_STATE, Transfer};

/// A transfer that breaks a rule. It ends the session or the link.
enum Violation {
    Session(Error),
    Link(Error),
}

/// A transfer that was taken.
struct Taken {
    delivery: IncomingKey,
    first: bool,
    /// The link's credit was renewed, and the peer is still to be told.
    renewed: bool,
}

impl Connection {
    /// Part 2.7.5. Takes a transfer, and renews the link's credit and the session's window.
    pub(super) fn handle_transfer(
        &mut self,
        key: SessionKey,
        transfer: &Transfer,
        payload: Bytes,
    ) -> Result<(), Error> {
        let Some(session) = self.session_mut(key) else { return Ok(()) };
        if !session.incoming_window.take() {
            return self.end_session(
                key,
                Error::new(condition::WINDOW_VIOLATION, "the session's incoming window is used up"),
            );
        }
        let Some(&link) = session.remote_handles.get(&transfer.handle) else {
            let error = Error::new(
                condition::UNATTACHED_HANDLE,
                format!("transfer on handle {}, which is not attached", transfer.handle),
            );
            return self.end_session(key, error);
        };
        let credit_renewed = self.take_transfer(key, link, transfer, payload)?;
        let (limits, now) = (self.window_limits(), self.timers.last_received());
        // The transfer took its place in the window, whatever became of it.
        let Some(session) = self.session_mut(key).filter(|session| !session.is_ended()) else {
            return Ok(());
        };
        if session.incoming_window.renew(limits, now) || credit_renewed {
            self.send_flow(key, self.flow_carrier_near(key, link), false);
        }
        Ok(())
    }

    /// Takes a transfer that is within the session's window. Returns whether the link's credit was
    /// renewed, and the peer is still to be told.
    fn take_transfer(
        &mut self,
        key: SessionKey,
        link: LinkKey,
        transfer: &Transfer,
        payload: Bytes,
    ) -> Result<bool, Error> {
        let Some(session) = self.sessions.get_mut(key.0.into()) else { return Ok(false) };
        let Some(entry) = self.links.get_mut(link.0) else { return Ok(false) };
        let LinkEnd::Receiver(end) = &entry.end else {
            let error = not_allowed("a transfer on a link whose sender is here".to_owned());
            return self.end_session(key, error).map(|()| false);
        };
        if entry.attachment.is_detached() {
            // The peer sent it before it saw our detach. A delivery that begins so has its number.
            if let Some(id) = transfer.delivery_id {
                let _ = session.begin_delivery(id);
            }
            return Ok(false);
        }
        let settled = transfer.settled == Some(true);
        let taken = match end.arriving {
            Some(delivery) => proceed(session, &mut self.incoming, delivery, transfer)
                .map(|()| Taken { delivery, first: false, renewed: false }),
            None => start(session, entry, &mut self.incoming, link, transfer),
        };
        let Taken { delivery, first, renewed } = match taken {
            Ok(taken) => taken,
            Err(Violation::Session(error)) => {
                return self.end_session(key, error).map(|()| false);
            }
            Err(Violation::Link(error)) => {
                return self.detach_with(link, Some(error)).map(|()| false);
            }
        };
        let ending = ending_of(transfer);
        if let Some(end) = entry.receiver_mut() {
            end.arriving = (ending == Ending::More).then_some(delivery);
        }
        let aborted = ending == Ending::Aborted;
        if ending != Ending::More
            && let Some(state) = self.incoming.get_mut(delivery.0)
        {
            state.arrival = Arrival::Ended;
            if aborted && !state.sender_settled {
                // Part 2.7.5: an aborted delivery is settled.
                state.sender_settled = true;
                session.incoming.remove(state.id);
            }
        }
        let state = kept(transfer.state.as_ref()).map(Box::new);
        let settled = settled || aborted;
        self.events.push_back(Event::Transfer {
            delivery,
            link,
            first,
            settled,
            payload,
            ending,
            state,
        });
        Ok(renewed)
    }
}

/// Takes a transfer that goes on with a delivery (part 2.6.14).
fn proceed(
    session: &mut Session,
    incoming: &mut Slots<Incoming>,
    delivery: IncomingKey,
    transfer: &Transfer,
) -> Result<(), Violation> {
    let Some(state) = incoming.get_mut(delivery.0) else { return Ok(()) };
    if let Some(id) = transfer.delivery_id.filter(|id| *id != state.id) {
        let text =
            format!("delivery {id} begins while delivery {} is incomplete on its link", state.id);
        return Err(Violation::Session(not_allowed(text)));
    }
    if transfer.settled == Some(true) && !state.sender_settled {
        state.sender_settled = true;
        session.incoming.remove(state.id);
    }
    Ok(())
}

/// Takes the first transfer of a delivery. It uses one credit (part 2.6.7).
fn start(
    session: &mut Session,
    entry: &mut Link,
    incoming: &mut Slots<Incoming>,
    link: LinkKey,
    transfer: &Transfer,
) -> Result<Taken, Violation> {
    let Some(id) = transfer.delivery_id else {
        let error = Error::new(condition::INVALID_FIELD, "a delivery begins without delivery-id");
        return Err(Violation::Session(error));
    };
    if let Err(expected) = session.begin_delivery(id) {
        let text = format!("sequencing error, delivery-id {id} where {expected} is next");
        return Err(Violation::Session(Error::new(condition::SESSION_INVALID_FIELD, text)));
    }
    let Some(renewed) = entry.use_credit() else {
        let error = Error::new(condition::TRANSFER_LIMIT_EXCEEDED, "the link's credit is used up");
        return Err(Violation::Link(error));
    };
    if incoming.len() >= MAX_INCOMING {
        let error = Error::new(
            condition::RESOURCE_LIMIT_EXCEEDED,
            format!("{MAX_INCOMING} deliveries are unsettled"),
        );
        return Err(Violation::Session(error));
    }
    let sender_settled = transfer.settled == Some(true);
    let (arrival, place) = (Arrival::Arriving, Place::new());
    let state = Incoming { link, id, sender_settled, arrival, place };
    let delivery = IncomingKey(entry.deliveries.insert(incoming, state));
    if !sender_settled {
        session.incoming.insert(id, delivery);
    }
    Ok(Taken { delivery, first: true, renewed })
}

/// Returns whether a transfer ends its delivery (part 2.7.5).
fn ending_of(transfer: &Transfer) -> Ending {
    if transfer.aborted == Some(true) {
        Ending::Aborted
    } else if transfer.more == Some(true) {
        Ending::More
    } else {
        Ending::Complete
    }
}

/// Returns as much of a state of the peer's as is kept.
pub(super) fn kept(state: Option<&DeliveryState>) -> Option<DeliveryState> {
    state?.clone().bounded(MAX_STATE)
}
