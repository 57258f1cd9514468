//! What the application asks for: sessions and links.

use super::MAX_LINKS;
use super::connection::{CLOSE_TIMEOUT, Connection, Phase};
use super::delivery::OutgoingKey;
use super::event::{Closed, Initiator};
use super::link::{AttachRequest, Link, LinkKey};
use super::session::SessionKey;
use crate::amqp::performative::{Close, Detach, Error, Performative, Role};
use crate::time::Instant;

impl Connection {
    /// Begins a session; its links can be attached at once.
    ///
    /// Returns `None` when the peer's channel-max leaves none.
    pub fn begin(&mut self) -> Option<SessionKey> {
        if self.phase != Phase::Opened || !self.has_channel() {
            return None;
        }
        let key = self.new_session();
        self.send_begin(key, None);
        Some(key)
    }

    /// Attaches a link. A receiver that is to be kept in credit says so with
    /// [`Connection::keep_credit`].
    ///
    /// Returns `None` when the session is gone, the peer's handle-max or [`MAX_LINKS`] is reached,
    /// or an attach of the same name and role is not answered yet.
    pub fn attach(&mut self, session: SessionKey, request: AttachRequest) -> Option<LinkKey> {
        if self.links.len() >= MAX_LINKS || self.phase != Phase::Opened {
            return None;
        }
        let entry = self.sessions.get_mut(session.0.into()).filter(|entry| !entry.end_sent)?;
        let name = (request.name.clone(), request.role);
        if entry.attaching.contains_key(&name) {
            return None;
        }
        let handle = u32::try_from(entry.handles.vacant_key())
            .ok()
            .filter(|handle| *handle <= entry.remote_handle_max)?;
        let link = Link {
            attach_sent: true,
            ..Link::new(session, request.name.clone(), request.role, handle)
        };
        self.names += request.name.len();
        let link = LinkKey(self.links.insert(link));
        entry.handles.insert(link);
        entry.attaching.insert(name, link);
        self.send_attach(session, handle, request);
        Some(link)
    }

    /// Answers the peer's attach. The request's name and role are taken from the link.
    pub fn accept(&mut self, link: LinkKey, answer: AttachRequest) {
        let Some(entry) = self.links.get_mut(link.0).filter(|entry| !entry.attach_sent) else {
            return;
        };
        entry.attach_sent = true;
        let (session, handle, name, role) =
            (entry.session, entry.local_handle, entry.name.clone(), entry.role);
        let announce = role == Role::Receiver && entry.credit() > 0;
        self.send_attach(session, handle, AttachRequest { name, role, ..answer });
        if announce {
            self.send_flow(session, Some(link), false);
        }
    }

    /// Refuses the peer's attach: an attach whose far terminus is null, then a detach with the
    /// reason.
    pub fn refuse(&mut self, link: LinkKey, error: Error) {
        self.accept(link, AttachRequest { snd_settle_mode: 2, ..AttachRequest::default() });
        self.detach(link, Some(error));
    }

    /// Keeps a link that we receive on in credit: `capacity` deliveries now, and topped up whenever
    /// half is used.
    pub fn keep_credit(&mut self, link: LinkKey, capacity: u32) {
        let Some(entry) = self.links.get_mut(link.0).filter(|entry| entry.role == Role::Receiver)
        else {
            return;
        };
        entry.capacity = capacity;
        self.set_credit(link, capacity, false);
    }

    /// Tops a link that is kept in credit up now, if some of it is used.
    pub fn renew_credit(&mut self, link: LinkKey) {
        let used = |entry: &&Link| {
            entry.role == Role::Receiver && !entry.drain && entry.credit() < entry.capacity
        };
        if let Some(capacity) = self.link(link).filter(used).map(|entry| entry.capacity) {
            self.set_credit(link, capacity, false);
        }
    }

    /// Gives credit for `credit` deliveries on a link that we receive on, counted from now; with
    /// `drain` the peer is to use it or give it back.
    pub fn set_credit(&mut self, link: LinkKey, credit: u32, drain: bool) {
        if let Some(entry) = self.links.get_mut(link.0).filter(|entry| entry.role == Role::Receiver)
        {
            entry.grant(credit);
            entry.drain = drain;
            // Before both ends have attached there is nothing that a flow could name; it goes when
            // they have.
            if entry.is_attached() {
                let session = entry.session;
                self.send_flow(session, Some(link), false);
            }
        }
    }

    /// With `hold`, lets a session's incoming window close as the peer uses it up; without, opens
    /// it again.
    pub fn hold_window(&mut self, session: SessionKey, hold: bool) {
        let Some(entry) = self.sessions.get_mut(session.0.into()).filter(|entry| !entry.end_sent)
        else {
            return;
        };
        entry.held = hold;
        if !hold && entry.incoming_window <= entry.window / 2 {
            entry.incoming_window = entry.window;
            let receiver = |link: &&LinkKey| {
                self.link(**link)
                    .is_some_and(|link| link.role == Role::Receiver && link.is_attached())
            };
            let carrier = self.sessions.get(session.0.into()).and_then(|entry| {
                entry.handles.iter().map(|(_, link)| link).find(receiver).copied()
            });
            self.send_flow(session, carrier, false);
        }
    }

    /// Gives back all credit of a link that we send on, as an answer to drain. A delivery that has
    /// begun keeps its own: the answer goes behind its first transfer.
    pub fn drained(&mut self, link: LinkKey) {
        let sender = |entry: &&mut Link| entry.role == Role::Sender && entry.is_attached();
        if let Some(entry) = self.links.get_mut(link.0).filter(sender) {
            let unsent = |key: OutgoingKey| {
                self.outgoing.get(key.0).is_some_and(|delivery| delivery.id.is_none())
            };
            entry.gives_back = entry.sending.is_some_and(unsent);
            if entry.gives_back {
                return;
            }
            entry.delivery_count = entry.delivery_count.wrapping_add(entry.credit());
            let session = entry.session;
            self.send_flow(session, Some(link), true);
        }
    }

    /// Detaches a link for good. The key is void from here on.
    pub fn detach(&mut self, link: LinkKey, error: Option<Error>) {
        let Some(entry) = self.links.get_mut(link.0).filter(|entry| !entry.detach_sent) else {
            return;
        };
        let (session, handle) = (entry.session, entry.local_handle);
        entry.detach_sent = true;
        if !entry.attach_sent {
            // AMQP has no detach without an attach. One without termini creates nothing.
            entry.attach_sent = true;
            let request = AttachRequest {
                name: entry.name.clone(),
                role: entry.role,
                ..AttachRequest::default()
            };
            self.send_attach(session, handle, request);
        }
        self.send_on(session, &Performative::Detach(Detach { handle, closed: Some(true), error }));
        self.lose_deliveries(link);
    }

    /// Ends a session with all its links.
    pub fn end(&mut self, session: SessionKey, error: Option<Error>) {
        if self.send_end(session, error) {
            self.drop_links(session, |_, _| {});
        }
    }

    /// Closes the connection; [`Event::Closed`] comes when the peer has answered or 2 s have
    /// passed.
    pub fn close(&mut self, error: Option<Error>, now: Instant) {
        match self.phase {
            Phase::Opened => {
                self.send(0, &Performative::Close(Close { error }));
                self.phase = Phase::Closing;
                self.deadline = Some(now + CLOSE_TIMEOUT);
            }
            Phase::Closing | Phase::Closed => {}
            _ => self.closed(Closed { initiator: Initiator::Local, error }),
        }
    }
}
