//! The identity of the peer, by SASL.

use std::sync::Arc;
use std::task::{self, Poll};

use skupper_proto::amqp::sasl;
use skupper_proto::engine::{self, Verdict};

use super::context::Context;
use crate::node::Access;
use crate::socket::Source;
use crate::tls::SessionInfo;
use crate::{log, log_limited};

impl Context {
    /// Takes the peer's user from the mechanism that succeeded.
    pub(super) fn on_authenticated(
        &mut self,
        mechanism: &'static str,
        tls: Option<&Arc<SessionInfo>>,
    ) {
        self.peer.mechanism = Some(mechanism);
        self.peer.user = match mechanism {
            sasl::ANONYMOUS => Some("anonymous".to_owned()),
            sasl::PLAIN if self.settings.outgoing => self.settings.user.clone(),
            sasl::PLAIN => self.peer.user.take(),
            _ => tls.and_then(|info| info.user.clone()),
        };
    }

    /// Begins the check of a password. The connection reads nothing until [`Context::poll_check`]
    /// returns true.
    pub(super) fn on_credentials(&mut self, credentials: engine::Credentials, access: &Access) {
        let (Some(passwords), Some(remote)) = (access.passwords.clone(), self.peer.remote) else {
            return self.engine.authenticate(Verdict::Wrong);
        };
        let (checks, id, source) = (Arc::clone(&access.checks), self.id, Source::of(remote));
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let user = credentials.user().to_owned();
        self.peer.user = Some(user.clone());
        self.peer.check = Some(Box::pin(async move {
            let check =
                move || match passwords.verify(credentials.user(), credentials.password(), &host) {
                    Ok(right) => right,
                    Err(error) => {
                        log!(Server, Error, "[C{id}] no password can be checked: {error}");
                        false
                    }
                };
            match checks.run(source, &user, check).await {
                Ok(true) => Verdict::Right,
                Ok(false) => Verdict::Wrong,
                Err(too_many) => {
                    log_limited!(
                        source,
                        Server,
                        Warning,
                        "[C{id}] login from {source} put off: {too_many}"
                    );
                    Verdict::Unknown
                }
            }
        }));
    }

    /// Tells the engine the result of the check, and returns true, once there is one. The peer may
    /// have sent more behind its password.
    pub(super) fn poll_check(&mut self, task: &mut task::Context<'_>) -> bool {
        let Some(Poll::Ready(verdict)) =
            self.peer.check.as_mut().map(|verdict| verdict.as_mut().poll(task))
        else {
            return false;
        };
        self.peer.check = None;
        self.engine.authenticate(verdict);
        true
    }
}
