//! Who the peer of a connection is, by SASL.

use std::sync::Arc;
use std::task::{Context, Poll};

use skupper_proto::amqp::sasl;
use skupper_proto::engine::{self, Verdict};

use super::connection::Connection;
use crate::socket::Source;
use crate::{log, log_limited};

impl Connection {
    /// A mechanism has had its way.
    pub(super) fn authenticated(&mut self, mechanism: &'static str) {
        self.cx.peer.mechanism = Some(mechanism);
        self.cx.peer.user = match mechanism {
            sasl::ANONYMOUS => Some("anonymous".to_owned()),
            sasl::PLAIN if self.cx.settings.outgoing => self.cx.settings.user.clone(),
            sasl::PLAIN => self.cx.peer.user.take(),
            _ => self.wire.info().and_then(|info| info.user.clone()),
        };
    }

    /// Has a password checked when its turn comes. Nothing is read meanwhile.
    pub(super) fn judge(&mut self, credentials: engine::Credentials) {
        let access = &self.node.access;
        let (Some(passwords), Some(remote)) = (access.passwords.clone(), self.cx.peer.remote)
        else {
            return self.cx.engine.authenticate(Verdict::Wrong);
        };
        let (checks, id, source) = (Arc::clone(&access.checks), self.cx.id, Source::of(remote));
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let user = credentials.user().to_owned();
        self.cx.peer.user = Some(user.clone());
        self.cx.peer.check = Some(Box::pin(async move {
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

    /// Whether word has come of a password. What the peer has sent behind it is read now.
    pub(super) fn judged(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(Poll::Ready(verdict)) =
            self.cx.peer.check.as_mut().map(|verdict| verdict.as_mut().poll(cx))
        else {
            return false;
        };
        self.cx.peer.check = None;
        self.cx.engine.authenticate(verdict);
        self.wire.more = true;
        true
    }
}
