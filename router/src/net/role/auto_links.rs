//! The links that this router attaches to a container by itself. It attaches a lost one again and
//! detaches one that is no longer configured.

use std::sync::Arc;
use std::time::Duration;

use skupper_proto::amqp::Symbol;
use skupper_proto::amqp::performative::{Attach, Error, Role};
use skupper_proto::amqp::terminus::{MessageTarget, Source, Target};
use skupper_proto::engine::{AttachRequest, LinkKey, SessionKey};
use skupper_proto::time::Instant;

use crate::log;
use crate::net::incoming::Wishes;
use crate::net::link_layer::LinkLayer;
use crate::node::{AutoLink, AutoLinkPhase, LinkKind, Membership, Node};

/// The pause before a link is attached again, and the pauses thereafter (as C routers have them).
const FIRST_RETRY: Duration = Duration::from_secs(2);
const RETRY: Duration = Duration::from_secs(5);

/// One configured link on this connection.
struct Attempt {
    auto_link: Arc<AutoLink>,
    link: Option<LinkKey>,
    /// It failed, and has not been attached since.
    failed: bool,
    /// When to attach it.
    due: Option<Instant>,
}

/// The configured links of one connection.
pub(super) struct AutoLinks {
    membership: Membership,
    session: Option<SessionKey>,
    attempts: Vec<Attempt>,
}

/// Returns the attach of a link. The address is at the container's terminus.
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

impl AutoLinks {
    /// Makes the links of a container's connection. None is attached.
    pub(super) const fn new(membership: Membership) -> Self {
        Self { membership, session: None, attempts: Vec::new() }
    }

    /// Returns when to attach the next link.
    pub(super) fn due(&self) -> Option<Instant> {
        self.attempts.iter().filter_map(|attempt| attempt.due).min()
    }

    fn of(&mut self, link: LinkKey) -> Option<&mut Attempt> {
        self.attempts.iter_mut().find(|attempt| attempt.link == Some(link))
    }

    /// Attaches missing links, and detaches those that are no longer configured.
    pub(super) fn renew(&mut self, links: &mut LinkLayer) {
        let wanted = self.membership.wanted();
        let is_wanted =
            |attempt: &Attempt| wanted.iter().any(|link| Arc::ptr_eq(link, &attempt.auto_link));
        let attempts = std::mem::take(&mut self.attempts);
        let (kept, given_up): (Vec<_>, Vec<_>) = attempts.into_iter().partition(is_wanted);
        self.attempts = kept;
        for attempt in given_up {
            attempt.auto_link.forget(links.cx.id);
            if let Some(link) = attempt.link {
                links.detach(link);
            }
        }
        for auto_link in wanted {
            if !self.attempts.iter().any(|attempt| Arc::ptr_eq(&attempt.auto_link, &auto_link)) {
                let due = Some(links.cx.now);
                self.attempts.push(Attempt { auto_link, link: None, failed: false, due });
            }
        }
        self.attach(links);
    }

    /// Attaches the links whose time has come.
    pub(super) fn attach(&mut self, links: &mut LinkLayer) {
        let cx = &mut links.cx;
        let now = cx.now;
        let is_due = |attempt: &&mut Attempt| attempt.due.is_some_and(|due| due <= now);
        for attempt in self.attempts.iter_mut().filter(is_due) {
            if self.session.is_none() {
                self.session = cx.engine.begin();
            }
            attempt.link = self
                .session
                .and_then(|session| cx.engine.attach(session, request(&attempt.auto_link)));
            if attempt.link.is_some() {
                attempt.due = None;
                attempt.auto_link.set(cx.id, AutoLinkPhase::Attaching);
            } else {
                attempt.due = Some(now + RETRY);
                let why = "the container's limits leave no session or link";
                attempt.auto_link.failed(cx.id, Some(why.to_owned()));
            }
        }
    }

    /// Acts on the container's answer to an attach. Returns false if the link is none of these.
    pub(super) fn on_answered(
        &mut self,
        links: &mut LinkLayer,
        link: LinkKey,
        attach: &Attach,
    ) -> bool {
        let Some(attempt) = self.of(link) else { return false };
        let named = match attach.role {
            Role::Sender => attach.source.as_ref().and_then(|source| source.address.as_ref()),
            Role::Receiver => attach
                .target
                .as_ref()
                .and_then(Target::message)
                .and_then(|target| target.address.as_ref()),
        };
        if named.is_none_or(String::is_empty) {
            // The container has no such node. Its detach with the reason follows.
            return true;
        }
        attempt.failed = false;
        let LinkLayer { cx, incoming, outgoing } = links;
        let auto_link = &attempt.auto_link;
        let address = auto_link.address.as_deref();
        let bound = address.map(|text| cx.core.read(text).key().to_string());
        cx.know(link, (&attach.name, attach.role), LinkKind::Endpoint, None, bound);
        match (attach.role, address) {
            (Role::Sender, to) => {
                incoming.produce(cx, link, to.map(Arc::from), Wishes::default());
            }
            (Role::Receiver, Some(from)) => {
                let key = cx.core.read(from).key().to_key();
                outgoing.consume(cx, link, key, attach.snd_settle_mode == Some(1));
            }
            (Role::Receiver, None) => {}
        }
        if let Some(known) = cx.records.get(&link) {
            auto_link.set(cx.id, AutoLinkPhase::Active(known.record().id));
        }
        log!(
            RouterCore,
            Info,
            "[C{}] autoLink '{}' is attached as {:?}",
            cx.id,
            auto_link.name,
            attach.name
        );
        true
    }

    /// Plans to attach a link again that the container refused or detached.
    pub(super) fn on_lost(&mut self, links: &LinkLayer, link: LinkKey, error: Option<&Error>) {
        let (now, id) = (links.cx.now, links.cx.id);
        let Some(attempt) = self.of(link) else { return };
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

    /// Plans to attach the links of a session again that the container ended.
    pub(super) fn on_session_ended(
        &mut self,
        links: &LinkLayer,
        session: SessionKey,
        error: Option<&Error>,
    ) {
        if self.session == Some(session) {
            self.session = None;
            let lost: Vec<_> = self.attempts.iter().filter_map(|attempt| attempt.link).collect();
            for link in lost {
                self.on_lost(links, link, error);
            }
        }
    }

    /// Leaves the links to other connections, for this one has ended.
    pub(super) fn leave(self, links: &LinkLayer) {
        for attempt in self.attempts {
            attempt.auto_link.forget(links.cx.id);
        }
    }
}
