//! The judgment of policy on a connection: whether it opens, its links, its messages.

use std::sync::Arc;

use skupper_proto::address::Canonical;
use skupper_proto::amqp::condition;
use skupper_proto::amqp::performative::{Attach, Error, Role};
use skupper_proto::amqp::terminus::Target;

use super::context::Context;
use crate::log;
use crate::policy::{Admission, Denial, Policy, Verdict, Visitor};
use crate::schema::Role as ConnectionRole;

/// The texts that a client is told. They tell it nothing more.
const CONNECTION_DISALLOWED: &str = "connection disallowed by local policy";
const LINK_DISALLOWED: &str = "link disallowed by local policy";

impl Context {
    /// Returns whether policy judges this connection: a client's, or that of a connector that names
    /// a vhost.
    pub(super) fn is_governed(&self, policy: &Policy) -> bool {
        let settings = &self.settings;
        let client = !matches!(settings.role, ConnectionRole::InterRouter);
        client && policy.config().enabled && (!settings.outgoing || settings.policy_vhost.is_some())
    }

    /// Judges the open of a peer that policy judges, and sends ours. Returns whether the connection
    /// may stay.
    pub(super) fn admit(&mut self, policy: &Arc<Policy>) -> bool {
        let asked = self.engine.remote().and_then(|open| open.hostname.clone()).unwrap_or_default();
        let vhost = self.settings.policy_vhost.as_deref().unwrap_or(&asked).to_owned();
        let user = self.peer.user().unwrap_or_default().to_owned();
        let admitted = if self.settings.outgoing {
            policy.admit_connector(&vhost, &user)
        } else {
            match self.peer.remote {
                Some(host) => {
                    policy.admit(Visitor { connection: self.id, user: &user, host, vhost: &vhost })
                }
                None => Err(Denial::Host),
            }
        };
        match admitted {
            Ok(admission) => {
                self.apply(&admission);
                self.peer.admission = Some(admission);
                true
            }
            Err(denial) => {
                let (id, host) = (self.id, self.peer.address());
                if self.settings.outgoing {
                    log!(
                        Policy,
                        Error,
                        "[C{id}] Failed to find policyVhost settings for connection '{id}', \
                         policyVhost: '{vhost}'"
                    );
                } else {
                    log!(
                        Policy,
                        Info,
                        "[C{id}] DENY AMQP Open for user '{}', rhost '{host}', vhost '{}': \
                         {denial}",
                        user.escape_debug(),
                        vhost.escape_debug()
                    );
                }
                self.engine.admit(None, None, None);
                self.engine.close(
                    Some(Error::new(condition::RESOURCE_LIMIT_EXCEEDED, CONNECTION_DISALLOWED)),
                    self.now,
                );
                false
            }
        }
    }

    /// Sends our open with the limits of a client's group.
    fn apply(&mut self, admission: &Admission) {
        let settings = admission.settings();
        let given = |limit: u64| u32::try_from(limit).unwrap_or(u32::MAX);
        let frame = Some(given(settings.max_frame_size)).filter(|size| *size > 0);
        let channels = settings
            .max_sessions
            .checked_sub(1)
            .map(|most| u16::try_from(most).unwrap_or(u16::MAX));
        let octets = u64::from(frame.unwrap_or(self.settings.max_frame_size)).max(1);
        let window = Some(settings.max_session_window)
            .filter(|window| *window > 0)
            .map(|window| given(window / octets).max(2));
        self.engine.admit(frame, channels, window);
    }

    /// Counts and logs a session beyond those that policy allows.
    pub(super) fn on_session_refused(&self) {
        let Some(admission) = &self.peer.admission else { return };
        admission.count_session();
        log!(
            Policy,
            Info,
            "[C{}] DENY AMQP Begin Session for user '{}', rhost '{}', based on the limit of \
             sessions",
            self.id,
            admission.user().escape_debug(),
            self.peer.address()
        );
    }

    /// Returns why policy refuses a link of the peer, if it does. `links` counts the peer's links
    /// of the same direction.
    pub(super) fn link_refusal(&self, attach: &Attach, links: usize) -> Option<Error> {
        let admission = self.peer.admission.as_ref()?;
        let (verdict, direction, address) = match attach.role {
            Role::Sender => {
                let target = attach.target.as_ref().and_then(Target::message);
                let address =
                    target.and_then(|target| target.address.as_deref()).unwrap_or_default();
                // A dynamic target gets an address of its own, whatever it names.
                let dynamic = target.is_some_and(|target| target.dynamic == Some(true));
                let wanted = (!dynamic && !address.is_empty()).then(|| self.core.read(address));
                (admission.may_send(links, wanted), "sender", address)
            }
            Role::Receiver => {
                let source = attach.source.as_ref();
                let dynamic = source.is_some_and(|source| source.dynamic == Some(true));
                let address =
                    source.and_then(|source| source.address.as_deref()).unwrap_or_default();
                let wanted = (!dynamic).then(|| self.core.read(address));
                (
                    admission.may_receive(links, wanted),
                    "receiver",
                    if dynamic { "(dynamic)" } else { address },
                )
            }
        };
        let (condition, reason) = match verdict {
            Verdict::Allowed => return None,
            Verdict::TooMany => (condition::RESOURCE_LIMIT_EXCEEDED, "the limit of such links"),
            Verdict::Forbidden => (condition::UNAUTHORIZED_ACCESS, "its address"),
        };
        let (id, host) = (self.id, self.peer.address());
        crate::log_limited!(
            (id, direction, address),
            Policy,
            Info,
            "[C{id}] DENY AMQP Attach {direction} link '{}' for user '{}', rhost '{host}', based \
             on {reason}",
            address.escape_debug(),
            admission.user().escape_debug()
        );
        Some(Error::new(condition, LINK_DISALLOWED))
    }

    /// Returns whether a message that names its own address may go there. Logs it if not.
    pub(super) fn may_send_to(&self, address: Canonical<'_>) -> bool {
        let Some(admission) = self.peer.admission.as_ref().filter(|_| self.is_client) else {
            return true;
        };
        let allowed = admission.may_send_message(address);
        if !allowed {
            let (id, user, host) = (self.id, admission.user().escape_debug(), self.peer.address());
            crate::log_limited!(
                (id, address.text()),
                Policy,
                Info,
                "[C{id}] DENY AMQP message to '{}' for user '{user}', rhost '{host}' based on \
                 target address",
                address.text().escape_debug()
            );
        }
        allowed
    }

    /// Returns the user that messages must name if they name one.
    pub(super) fn sole_user(&self) -> Option<&str> {
        self.peer
            .admission
            .as_ref()
            .filter(|admission| !admission.settings().allow_user_id_proxy)
            .map(Admission::user)
    }

    /// Returns the most bytes that a message may have; 0 stands for any.
    pub(super) fn max_message_size(&self) -> u64 {
        self.peer.admission.as_ref().map_or(0, Admission::max_message_size)
    }

    /// Logs at the end of a connection what policy refused to it.
    pub(super) fn log_resources(&self, producers: usize, consumers: usize) {
        let Some(admission) = &self.peer.admission else { return };
        let [sessions, senders, receivers, oversize] = admission.counts().refused();
        log!(
            Policy,
            Debug,
            "[C{}] Connection '{}' closed with resources n_sessions={}, n_senders={}, \
             n_receivers={}, sessions_denied={sessions}, senders_denied={senders}, \
             receivers_denied={receivers}, max_message_size_denied:{oversize}, nConnections= {}.",
            self.id,
            self.peer.host,
            self.engine.usage().sessions,
            producers,
            consumers,
            admission.counts().current()
        );
    }
}
