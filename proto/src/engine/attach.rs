//! Attach and detach (parts 2.6.1 to 2.6.6, 2.7.3 and 2.7.7).

use super::MAX_LINKS;
use super::connection::Connection;
use super::event::Event;
use super::key::{LinkKey, SessionKey};
use super::link::{AttachRequest, Attachment, Link};
use crate::amqp::condition;
use crate::amqp::performative::{Attach, Detach, Error, Performative, Role};

impl Connection {
    /// Attaches a link (part 2.6.3). To keep a receiver in credit, call
    /// [`Connection::keep_credit`].
    ///
    /// Returns `None` when the session is gone, when the peer's handle-max or [`MAX_LINKS`] is
    /// reached, or while an attach of the same name and role is not answered.
    pub fn attach(&mut self, session: SessionKey, request: AttachRequest) -> Option<LinkKey> {
        if self.links.len() >= MAX_LINKS || !self.phase.is_opened() {
            return None;
        }
        let entry = self.sessions.get_mut(session.0.into()).filter(|entry| !entry.is_ended())?;
        let name = (request.name.clone(), request.role);
        if entry.attaching.contains_key(&name) {
            return None;
        }
        let handle = u32::try_from(entry.handles.vacant_key())
            .ok()
            .filter(|handle| *handle <= entry.remote_handle_max)?;
        let link =
            Link::new(session, request.name.clone(), request.role, handle, Attachment::Invited);
        self.names += request.name.len();
        let link = LinkKey(self.links.insert(link));
        entry.handles.insert(link);
        entry.attaching.insert(name, link);
        self.send_attach(session, handle, request);
        Some(link)
    }

    /// Answers the peer's attach. The request's name and role are taken from the link.
    pub fn accept(&mut self, link: LinkKey, answer: AttachRequest) {
        let Some(entry) = self.links.get_mut(link.0) else { return };
        let Attachment::Received(remote_handle) = entry.attachment else { return };
        entry.attachment = Attachment::Attached(remote_handle);
        let (session, handle, name, role) =
            (entry.session, entry.local_handle, entry.name.clone(), entry.role());
        let announce = role == Role::Receiver && entry.credit() > 0;
        self.send_attach(session, handle, AttachRequest { name, role, ..answer });
        if announce {
            self.send_flow(session, Some(link), false);
        }
    }

    /// Refuses the peer's attach: sends an attach whose far terminus is null, then a detach with
    /// the reason (part 2.6.3).
    pub fn refuse(&mut self, link: LinkKey, error: Error) {
        self.accept(link, AttachRequest { snd_settle_mode: 2, ..AttachRequest::default() });
        self.detach(link, Some(error));
    }

    /// Closes a link (part 2.6.6). The key is void from here on.
    pub fn detach(&mut self, link: LinkKey, error: Option<Error>) {
        let Some(entry) = self.links.get_mut(link.0) else { return };
        let before = entry.attachment;
        if before.is_detached() {
            return;
        }
        entry.attachment = before.left();
        let (session, handle) = (entry.session, entry.local_handle);
        if matches!(before, Attachment::Received(_)) {
            // AMQP has no detach without an attach. One without termini creates nothing.
            let request = AttachRequest {
                name: entry.name.clone(),
                role: entry.role(),
                ..AttachRequest::default()
            };
            self.send_attach(session, handle, request);
        }
        self.send_on(session, &Performative::Detach(Detach { handle, closed: Some(true), error }));
        self.lose_deliveries(link);
    }

    /// Detaches a link because the peer broke its rules (part 2.6.5).
    pub(super) fn detach_with(&mut self, link: LinkKey, error: Option<Error>) -> Result<(), Error> {
        self.detach(link, error.clone());
        self.events.push_back(Event::Detached { link, error });
        Ok(())
    }

    /// Part 2.7.3. The peer attaches a link, or answers an attach of ours: link names are unique
    /// for each pair of roles (part 2.6.1).
    pub(super) fn handle_attach(
        &mut self,
        key: SessionKey,
        attach: Box<Attach>,
    ) -> Result<(), Error> {
        let Some(session) = self.session_mut(key) else { return Ok(()) };
        if session.remote_handles.contains_key(&attach.handle) {
            let text = format!("handle {} is in use", attach.handle);
            return self.end_session(key, Error::new(condition::HANDLE_IN_USE, text));
        }
        let role = attach.role.other();
        let ours = session.attaching.remove(&(attach.name.clone(), role));
        let link = match ours {
            Some(link) => link,
            None => match self.new_peer_link(key, &attach, role) {
                Ok(link) => link,
                Err(error) => return self.end_session(key, error),
            },
        };
        if let Some(session) = self.session_mut(key) {
            session.remote_handles.insert(attach.handle, link);
        }
        let Some(entry) = self.links.get_mut(link.0) else { return Ok(()) };
        entry.attachment = entry.attachment.answered(attach.handle);
        if role == Role::Receiver {
            entry.start_at(attach.initial_delivery_count.unwrap_or(0));
        }
        if entry.attachment.is_detached() {
            // The application detached before the peer answered. The peer's detach follows.
            return Ok(());
        }
        if ours.is_some() && entry.credit() > 0 {
            // Credit could be announced only against the sender's delivery-count.
            self.send_flow(key, Some(link), false);
        }
        self.events.push_back(Event::Attached { link, ours: ours.is_some(), attach });
        Ok(())
    }

    /// Makes a link that the peer attaches. Fails where that is one too many.
    fn new_peer_link(
        &mut self,
        key: SessionKey,
        attach: &Attach,
        role: Role,
    ) -> Result<LinkKey, Error> {
        let exceeded = |text: String| Error::new(condition::RESOURCE_LIMIT_EXCEEDED, text);
        if self.links.len() >= MAX_LINKS {
            return Err(exceeded(format!("{MAX_LINKS} links are attached")));
        }
        let Some(session) = self.sessions.get_mut(key.0.into()) else {
            return Err(exceeded("the session is gone".to_owned()));
        };
        let local_handle = u32::try_from(session.handles.vacant_key()).unwrap_or(u32::MAX);
        if local_handle > session.remote_handle_max {
            let most = session.remote_handle_max;
            return Err(exceeded(format!("an attach beyond the handle-max of {most}")));
        }
        let attachment = Attachment::Received(attach.handle);
        let link = Link::new(key, attach.name.clone(), role, local_handle, attachment);
        self.names += attach.name.len();
        let link = LinkKey(self.links.insert(link));
        session.handles.insert(link);
        Ok(link)
    }

    /// Part 2.7.7. The peer detaches a link, or answers a detach of ours. A link is always closed
    /// (part 2.6.6): this end keeps nothing to resume it from.
    pub(super) fn handle_detach(&mut self, key: SessionKey, detach: Detach) -> Result<(), Error> {
        let Some(session) = self.session_mut(key) else { return Ok(()) };
        let Some(link) = session.remote_handles.remove(&detach.handle) else {
            let error = Error::new(
                condition::UNATTACHED_HANDLE,
                format!("detach of handle {}, which is not attached", detach.handle),
            );
            return self.end_session(key, error);
        };
        let Some(entry) = self.links.get(link.0) else { return Ok(()) };
        if !entry.attachment.is_detached() {
            if detach.closed != Some(true) {
                return Err(Error::new(
                    condition::NOT_IMPLEMENTED,
                    "Link detach/reattach not supported",
                ));
            }
            self.detach(link, None);
            self.events.push_back(Event::Detached { link, error: detach.error });
        }
        self.forget_link(link);
        Ok(())
    }

    fn send_attach(&mut self, session: SessionKey, handle: u32, request: AttachRequest) {
        let attach = Attach {
            name: request.name,
            handle,
            role: request.role,
            snd_settle_mode: Some(request.snd_settle_mode),
            rcv_settle_mode: Some(0),
            source: request.source,
            target: request.target,
            initial_delivery_count: Some(0),
            max_message_size: Some(request.max_message_size),
            offered_capabilities: request.offered_capabilities,
            properties: request.properties,
            ..Attach::default()
        };
        self.send_on(session, &Performative::Attach(Box::new(attach)));
    }
}
