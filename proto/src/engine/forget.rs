//! Forgets links and deliveries: alone, with their link, or with their session.

use std::collections::{HashMap, VecDeque};

use super::connection::Connection;
use super::delivery::{Incoming, Outgoing};
use super::event::Event;
use super::key::{IncomingKey, LinkKey, OutgoingKey, SessionKey};
use super::link::{Link, LinkEnd, Sending};
use crate::amqp::performative::Role;

impl Connection {
    /// Forgets the links of a session that has ended, and their deliveries. Calls `tell` for those
    /// whose key the application has.
    pub(super) fn forget_links(
        &mut self,
        session: SessionKey,
        tell: impl Fn(&mut VecDeque<Event>, LinkKey),
    ) {
        let Some(entry) = self.session_mut(session) else { return };
        let links = core::mem::take(&mut entry.handles);
        entry.remote_handles = HashMap::new();
        entry.attaching = HashMap::new();
        for (_, link) in links {
            self.lose_deliveries(link);
            if self.take_link(link).is_some_and(|entry| !entry.attachment.is_detached()) {
                tell(&mut self.events, link);
            }
            self.steps = self.steps.saturating_sub(1);
        }
    }

    /// Forgets the links of a session that the peer ended, and tells the application of each.
    pub(super) fn lose_links(&mut self, session: SessionKey) {
        self.forget_links(session, |events, link| events.push_back(Event::LinkLost { link }));
    }

    /// Forgets a link that both ends have detached.
    pub(super) fn forget_link(&mut self, link: LinkKey) {
        if let Some(entry) = self.take_link(link)
            && let Some(session) = self.session_mut(entry.session)
        {
            session.handles.try_remove(entry.local_handle as usize);
            // A new link may have taken the name meanwhile.
            let name = (
                entry.name,
                match entry.end {
                    LinkEnd::Receiver(_) => Role::Receiver,
                    LinkEnd::Sender(_) => Role::Sender,
                },
            );
            if session.attaching.get(&name) == Some(&link) {
                session.attaching.remove(&name);
            }
        }
    }

    fn take_link(&mut self, link: LinkKey) -> Option<Link> {
        let entry = self.links.remove(link.0)?;
        self.names -= entry.name.len();
        Some(entry)
    }

    /// Forgets a delivery of the peer's.
    pub(super) fn take_incoming(&mut self, delivery: IncomingKey) -> Option<Incoming> {
        let link = self.incoming.get(delivery.0)?.link;
        match self.links.get_mut(link.0) {
            Some(link) => link.deliveries.remove(&mut self.incoming, delivery.0),
            None => self.incoming.remove(delivery.0),
        }
    }

    /// Forgets a delivery of ours.
    pub(super) fn take_outgoing(&mut self, delivery: OutgoingKey) -> Option<Outgoing> {
        let link = self.outgoing.get(delivery.0)?.link;
        match self.links.get_mut(link.0) {
            Some(link) => link.deliveries.remove(&mut self.outgoing, delivery.0),
            None => self.outgoing.remove(delivery.0),
        }
    }

    /// Forgets the deliveries of a link, and tells the application of each.
    pub(super) fn lose_deliveries(&mut self, link: LinkKey) {
        let Some(entry) = self.links.get_mut(link.0) else { return };
        let session = entry.session;
        let mut deliveries = core::mem::take(&mut entry.deliveries);
        let role = entry.role();
        match &mut entry.end {
            LinkEnd::Receiver(end) => end.arriving = None,
            LinkEnd::Sender(sending) => *sending = Sending::Idle,
        }
        while let Some(key) = deliveries.first() {
            let session = self.sessions.get_mut(session.0.into());
            let event = match role {
                Role::Receiver => {
                    let Some(state) = deliveries.remove(&mut self.incoming, key) else { return };
                    session.map(|session| session.incoming.remove(state.id));
                    Event::IncomingLost { delivery: IncomingKey(key) }
                }
                Role::Sender => {
                    let Some(state) = deliveries.remove(&mut self.outgoing, key) else { return };
                    let id = state.id();
                    if let (Some(id), Some(session)) = (id, session) {
                        session.outgoing.remove(id);
                    }
                    Event::OutgoingLost { delivery: OutgoingKey(key), sent: id.is_some() }
                }
            };
            self.events.push_back(event);
            self.steps = self.steps.saturating_sub(1);
        }
    }
}
