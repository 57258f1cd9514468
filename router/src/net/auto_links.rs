//! The links that this router attaches by itself to a container: attached, attached anew when lost,
//! detached when not wanted any more.

use std::sync::Arc;
use std::time::Duration;

use skupper_proto::amqp::Symbol;
use skupper_proto::amqp::performative::{Attach, Error, Role};
use skupper_proto::amqp::terminus::{MessageTarget, Source, Target};
use skupper_proto::engine::{AttachRequest, LinkKey, SessionKey};
use skupper_proto::time::Instant;

use super::connection::Connection;
use crate::log;
use crate::node::{AutoLink, AutoLinkPhase, LinkKind, Membership, Node};

/// The pause before a link is attached again, and the pauses thereafter (as C routers have them).
const FIRST_RETRY: Duration = Duration::from_secs(2);
const RETRY: Duration = Duration::from_secs(5);

/// One link that is to be, on this connection.
struct Attempt {
    auto_link: Arc<AutoLink>,
    link: Option<LinkKey>,
    /// It failed, and was not attached since.
    failed: bool,
    /// When it is attached next.
    due: Option<Instant>,
}

/// Those of one connection.
#[derive(Default)]
pub(super) struct AutoLinks {
    /// While the peer is a container's connection.
    membership: Option<Membership>,
    session: Option<SessionKey>,
    attempts: Vec<Attempt>,
}

impl AutoLinks {
    /// When the next one is to be attached.
    pub(super) fn due(&self) -> Option<Instant> {
        self.attempts.iter().filter_map(|attempt| attempt.due).min()
    }

    fn of(&mut self, link: LinkKey) -> Option<&mut Attempt> {
        self.attempts.iter_mut().find(|attempt| attempt.link == Some(link))
    }
}

/// Our side of the link: the address is that of the container's side.
fn request(auto_link: &AutoLink) -> AttachRequest {
    let expiry_policy = Some(Symbol::from_static("session-end"));
    let address = auto_link.external.clone().or_else(|| auto_link.address.clone());
    let (from, to) = if auto_link.incoming { (address, None) } else { (None, address) };
    AttachRequest {
        name: format!("qdlink.{}", Node::discriminator()),
        role: if auto_link.incoming { Role::Receiver } else { Role::Sender },
        source: Some(Source {
            address: from,
            durable: Some(0),
            expiry_policy: expiry_policy.clone(),
            timeout: Some(0),
            dynamic: Some(false),
            ..Source::default()
        }),
        target: Some(Target::Message(MessageTarget {
            address: to,
            durable: Some(0),
            expiry_policy,
            timeout: Some(0),
            dynamic: Some(false),
            ..MessageTarget::default()
        })),
        snd_settle_mode: 2,
        ..AttachRequest::default()
    }
}

impl Connection {
    /// The peer is a container that may have links to get.
    pub(super) fn join_container(&mut self, container: &Arc<str>) {
        let entity = &self.cx.settings.entity;
        self.auto_links.membership =
            Some(self.node.auto_links.join(self.cx.id, entity, container, &self.cx.mailbox));
        self.renew_auto_links();
    }

    /// Attaches what is wanted and missing, and detaches what is not wanted any more.
    pub(super) fn renew_auto_links(&mut self) {
        let Some(membership) = &self.auto_links.membership else { return };
        let wanted = membership.wanted();
        let is_wanted =
            |attempt: &Attempt| wanted.iter().any(|link| Arc::ptr_eq(link, &attempt.auto_link));
        let attempts = std::mem::take(&mut self.auto_links.attempts);
        let (kept, given_up): (Vec<_>, Vec<_>) = attempts.into_iter().partition(is_wanted);
        self.auto_links.attempts = kept;
        for attempt in given_up {
            attempt.auto_link.forget(self.cx.id);
            if let Some(link) = attempt.link {
                self.cx.engine.detach(link, None);
                self.link_gone(link);
            }
        }
        for auto_link in wanted {
            if !self
                .auto_links
                .attempts
                .iter()
                .any(|attempt| Arc::ptr_eq(&attempt.auto_link, &auto_link))
            {
                let due = Some(self.cx.now);
                self.auto_links.attempts.push(Attempt {
                    auto_link,
                    link: None,
                    failed: false,
                    due,
                });
            }
        }
        self.attach_auto_links();
    }

    /// Attaches those whose time has come.
    pub(super) fn attach_auto_links(&mut self) {
        for index in 0..self.auto_links.attempts.len() {
            let Some(attempt) = self
                .auto_links
                .attempts
                .get(index)
                .filter(|it| it.due.is_some_and(|due| due <= self.cx.now))
            else {
                continue;
            };
            let auto_link = Arc::clone(&attempt.auto_link);
            let session = match self.auto_links.session {
                Some(session) => Some(session),
                None => self.cx.engine.begin(),
            };
            self.auto_links.session = session;
            let link =
                session.and_then(|session| self.cx.engine.attach(session, request(&auto_link)));
            let now = self.cx.now;
            let Some(attempt) = self.auto_links.attempts.get_mut(index) else { continue };
            attempt.link = link;
            if link.is_some() {
                attempt.due = None;
                auto_link.set(self.cx.id, AutoLinkPhase::Attaching);
            } else {
                attempt.due = Some(now + RETRY);
                auto_link.failed(
                    self.cx.id,
                    Some("the container's limits leave no session or link".to_owned()),
                );
            }
        }
    }

    /// The container answered the attach of a link, if it is one of these. Returns whether it is.
    pub(super) fn auto_link_answered(&mut self, link: LinkKey, attach: &Attach) -> bool {
        let Some(attempt) = self.auto_links.of(link) else { return false };
        let named = match attach.role {
            Role::Sender => attach.source.as_ref().and_then(|source| source.address.as_ref()),
            Role::Receiver => attach
                .target
                .as_ref()
                .and_then(Target::message)
                .and_then(|target| target.address.as_ref()),
        };
        if named.is_none_or(String::is_empty) {
            // It has no such node, and will say so.
            return true;
        }
        attempt.failed = false;
        let auto_link = Arc::clone(&attempt.auto_link);
        let address = auto_link.address.as_deref();
        let bound = address.map(|text| self.cx.core.read(text).key().to_string());
        self.know(link, (&attach.name, attach.role), LinkKind::Endpoint, None, bound);
        match (attach.role, address) {
            (Role::Sender, to) => self.produce(link, to.map(Arc::from), false, false),
            (Role::Receiver, Some(from)) => {
                let key = self.cx.core.read(from).key().to_key();
                self.consume(link, key, attach.snd_settle_mode == Some(1));
            }
            (Role::Receiver, None) => {}
        }
        if let Some(known) = self.cx.records.get(&link) {
            auto_link.set(self.cx.id, AutoLinkPhase::Active(known.record().id));
        }
        log!(
            RouterCore,
            Info,
            "[C{}] autoLink '{}' is attached as {:?}",
            self.cx.id,
            auto_link.name,
            attach.name
        );
        true
    }

    /// The container refused or detached a link: if it is one of these, it is attached again later.
    pub(super) fn auto_link_lost(&mut self, link: LinkKey, error: Option<&Error>) {
        let (now, id) = (self.cx.now, self.cx.id);
        let Some(attempt) = self.auto_links.of(link) else { return };
        let pause = if std::mem::replace(&mut attempt.failed, true) { RETRY } else { FIRST_RETRY };
        attempt.link = None;
        attempt.due = Some(now + pause);
        let why = error
            .map(|error| error.description.clone().unwrap_or_else(|| error.condition.to_string()));
        let said = why.as_deref().unwrap_or("the container detached it");
        let (name, pause) = (attempt.auto_link.name.as_str(), pause.as_secs());
        crate::log_limited!(
            (id, name, said),
            RouterCore,
            Info,
            "[C{id}] autoLink '{name}' failed: {said}; again in {pause} s"
        );
        attempt.auto_link.failed(id, why);
    }

    /// The container ended a session.
    pub(super) fn auto_links_ended(&mut self, session: SessionKey, error: Option<&Error>) {
        if self.auto_links.session == Some(session) {
            self.auto_links.session = None;
            let links: Vec<_> =
                self.auto_links.attempts.iter().filter_map(|attempt| attempt.link).collect();
            for link in links {
                self.auto_link_lost(link, error);
            }
        }
    }

    /// The connection has ended.
    pub(super) fn leave_container(&mut self) {
        for attempt in std::mem::take(&mut self.auto_links).attempts {
            attempt.auto_link.forget(self.cx.id);
        }
    }
}
