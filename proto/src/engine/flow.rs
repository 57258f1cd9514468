//! Flow: the credit of links (part 2.6.7) and the windows of sessions (parts 2.5.6 and 2.7.4).

use super::connection::Connection;
use super::event::Event;
use super::key::{LinkKey, SessionKey};
use super::link::{Link, LinkEnd, MAX_CREDIT, ReceiverEnd, Sending};
use super::windows::WindowLimits;
use crate::amqp::condition;
use crate::amqp::performative::{Error, Flow, Performative, Role};

/// The bytes of the least window that follows the peer's rate: what a path of 8 Mbit/s carries in a
/// second.
const LEAST_WINDOW: u32 = 1024 * 1024;

impl Connection {
    // ----- credit -----

    /// As receiver: keeps a link in credit. The peer gets `capacity` credits at once, and again
    /// whenever half of them is used.
    pub fn keep_credit(&mut self, link: LinkKey, capacity: u32) {
        if let Some(end) = self.links.get_mut(link.0).and_then(Link::receiver_mut) {
            end.capacity = capacity;
            self.set_credit(link, capacity, false);
        }
    }

    /// As receiver: renews the credit of a link that is kept in credit, if some of it is used.
    pub fn renew_credit(&mut self, link: LinkKey) {
        let Some(entry) = self.links.get(link.0) else { return };
        if let LinkEnd::Receiver(ReceiverEnd { capacity, drain: false, .. }) = entry.end
            && entry.credit() < capacity
        {
            self.set_credit(link, capacity, false);
        }
    }

    /// As receiver: gives credit for `credit` deliveries, counted from the current delivery-count.
    /// With `drain` the peer is to use the credit or give it back.
    pub fn set_credit(&mut self, link: LinkKey, credit: u32, drain: bool) {
        let Some(entry) = self.links.get_mut(link.0) else { return };
        let Some(end) = entry.receiver_mut() else { return };
        end.drain = drain;
        entry.grant(credit);
        // Until both ends have attached a flow has nothing to name. It goes when they have.
        if entry.is_attached() {
            let session = entry.session;
            self.send_flow(session, Some(link), false);
        }
    }

    /// As sender: gives back all credit of a link, as an answer to drain (part 2.6.7). A delivery
    /// that has begun keeps its credit: the answer goes behind its first transfer.
    pub fn drained(&mut self, link: LinkKey) {
        let Some(entry) = self.links.get_mut(link.0).filter(|entry| entry.is_attached()) else {
            return;
        };
        match &mut entry.end {
            LinkEnd::Receiver(_) => {}
            LinkEnd::Sender(Sending::Begun { drained }) => *drained = true,
            LinkEnd::Sender(Sending::Idle | Sending::Started) => {
                entry.delivery_count = entry.delivery_count.wrapping_add(entry.credit());
                let session = entry.session;
                self.send_flow(session, Some(link), true);
            }
        }
    }

    // ----- windows -----

    /// With `hold`, lets a session's incoming window close as the peer uses it up. Without, opens
    /// it again.
    pub fn hold_window(&mut self, session: SessionKey, hold: bool) {
        let Some(entry) = self.session_mut(session).filter(|entry| !entry.is_ended()) else {
            return;
        };
        if entry.incoming_window.hold(hold) {
            self.send_flow(session, self.flow_carrier(session), false);
        }
    }

    /// Makes a session's window what the peer sends in about a second, from 1 MiB up to what is
    /// configured. On a slow path this bounds what is on its way: a peer that sends all it has for
    /// one session first would delay its other sessions by many seconds.
    pub fn adapt_windows(&mut self) {
        self.adapts_windows = true;
    }

    /// Ends [`Connection::adapt_windows`]: all sessions get the configured window.
    pub fn restore_windows(&mut self) {
        if core::mem::take(&mut self.adapts_windows) {
            let window = self.config.incoming_window;
            let sessions: Vec<_> = self.channels.values().copied().collect();
            for key in sessions {
                if let Some(session) = self.session_mut(key).filter(|session| !session.is_ended()) {
                    session.incoming_window.resize(window);
                    self.send_flow(key, None, false);
                }
            }
        }
    }

    /// Returns the limits of a window that follows the peer's rate; `None` if windows do not.
    pub(super) fn window_limits(&self) -> Option<WindowLimits> {
        let most = self.config.incoming_window;
        self.adapts_windows
            .then(|| ((LEAST_WINDOW / self.config.max_frame_size).clamp(2.min(most), most), most))
    }

    /// Returns the link that a flow about a session's window names. A C router that waits for the
    /// window wakes on flows of links only.
    fn flow_carrier(&self, session: SessionKey) -> Option<LinkKey> {
        let handles = &self.session(session)?.handles;
        handles.iter().map(|(_, link)| *link).find(|link| self.carries_flow(*link))
    }

    /// Does the same, for a session on whose link a transfer arrived.
    pub(super) fn flow_carrier_near(&self, session: SessionKey, link: LinkKey) -> Option<LinkKey> {
        if self.carries_flow(link) { Some(link) } else { self.flow_carrier(session) }
    }

    fn carries_flow(&self, link: LinkKey) -> bool {
        self.link(link).is_some_and(|link| link.role() == Role::Receiver && link.is_attached())
    }

    // ----- the peer's flow -----

    /// Part 2.7.4. The peer states its window of a session, and perhaps the credit of a link.
    pub(super) fn handle_flow(&mut self, key: SessionKey, flow: &Flow) -> Result<(), Error> {
        let Some(session) = self.sessions.get_mut(key.0.into()) else { return Ok(()) };
        let window = &mut session.outgoing_window;
        if window.update(flow.next_incoming_id, flow.incoming_window) {
            self.events.push_back(Event::Window { session: key });
        }
        if let Some(transfers) = window.answer(flow.next_incoming_id, flow.incoming_window) {
            let octets = u64::from(transfers) * u64::from(self.remote.max_frame_size);
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
        let Some(entry) =
            self.links.get_mut(link.0).filter(|entry| !entry.attachment.is_detached())
        else {
            return Ok(());
        };
        match entry.role() {
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
                    entry.follow(count);
                }
            }
        }
        if flow.echo == Some(true) {
            self.send_flow(key, Some(link), false);
        }
        Ok(())
    }

    /// Sends a flow about a session, and about a link if both its ends have attached (part 2.7.4).
    pub(super) fn send_flow(&mut self, key: SessionKey, link: Option<LinkKey>, drained: bool) {
        let Some(session) = self.session(key) else { return };
        let link = link.and_then(|link| self.link(link)).filter(|link| link.is_attached());
        let next_id = session.incoming_window.next_id;
        let flow = Flow {
            next_incoming_id: session.mapping.remote_channel().map(|_| next_id),
            incoming_window: session.incoming_window.left(),
            next_outgoing_id: session.outgoing_window.next_id(),
            outgoing_window: i32::MAX as u32,
            handle: link.map(|link| link.local_handle),
            delivery_count: link.map(|link| link.told_count().0),
            link_credit: link.map(|link| link.told_count().1),
            drain: link.filter(|link| drained || link.is_draining()).map(|_| true),
            ..Flow::default()
        };
        self.send_on(key, &Performative::Flow(flow));
    }
}
