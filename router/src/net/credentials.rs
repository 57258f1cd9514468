//! Who the peer of a connection is, by SASL.

use super::connection::Connection;
use crate::log;
use skupper_proto::amqp::sasl;
use skupper_proto::engine;
use std::sync::Arc;
use std::task::{Context, Poll};

impl Connection {
    /// Who the peer is; as connector: who we are to it.
    pub(super) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// A mechanism has had its way.
    pub(super) fn authenticated(&mut self, mechanism: &'static str) {
        self.mechanism = Some(mechanism);
        self.user = match mechanism {
            sasl::ANONYMOUS => Some("anonymous".to_owned()),
            sasl::PLAIN if self.settings.outgoing => self.settings.user.clone(),
            sasl::PLAIN => self.user.take(),
            _ => self.wire.info().and_then(|info| info.user.clone()),
        };
    }

    /// Has a password checked, on a thread where that may take its time. Nothing is read meanwhile.
    pub(super) fn judge(&mut self, credentials: engine::Credentials) {
        let access = &self.node.access;
        let Some(passwords) = access.passwords.clone() else { return self.engine.authenticate(false) };
        let (checks, id) = (Arc::clone(&access.checks), self.id);
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        self.user = Some(credentials.user().to_owned());
        self.verdict = Some(Box::pin(async move {
            let Ok(permit) = checks.acquire_owned().await else { return false };
            let check = move || {
                let _permit = permit;
                passwords.verify(credentials.user(), credentials.password(), &host)
            };
            match tokio::task::spawn_blocking(check).await {
                Ok(Ok(right)) => right,
                Ok(Err(error)) => {
                    log!(Server, Error, "[C{id}] no password can be checked: {error}");
                    false
                }
                Err(_) => false,
            }
        }));
    }

    /// Whether word has come of a password. What the peer has sent behind it is read now.
    pub(super) fn judged(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(Poll::Ready(right)) = self.verdict.as_mut().map(|verdict| verdict.as_mut().poll(cx)) else { return false };
        self.verdict = None;
        self.engine.authenticate(right);
        self.more = true;
        true
    }
}
