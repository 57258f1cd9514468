//! The settings of a connector's connections: its identity toward a target, and its password.

use std::sync::Arc;

use skupper_proto::amqp::sasl;
use skupper_proto::engine::{Credentials, Layer};

use super::SiteLink;
use crate::log_limited;
use crate::net::failover::Target;
use crate::net::settings::Settings;
use crate::node::HANDSHAKE;
use crate::schema::{ManagementAccess, Password, PasswordError, Role, SaslMechanism};

impl SiteLink {
    /// Returns the password for SASL. It is read anew for each connection, so that an operator may
    /// change it. A missing one is as good as a wrong one.
    fn password(&self, password: &Password) -> String {
        match password.resolve(|name| std::env::var(name).ok()) {
            Ok(secret) => secret.expose().to_owned(),
            Err(error) => {
                let text = match &error {
                    PasswordError::Unreadable { path, cause } => {
                        format!(
                            "Unable to open password file {}, error: {}",
                            path.display(),
                            plainly(cause)
                        )
                    }
                    other => other.to_string(),
                };
                log_limited!(
                    (&*self.name, text.as_str()),
                    ConnMgr,
                    Error,
                    "connector {}: {text}",
                    self.name
                );
                String::new()
            }
        }
    }

    /// Returns the settings of a connection to a target.
    pub(super) fn settings(
        &self,
        target: &Target,
        data: bool,
        ordinal: Option<u64>,
        correlator: String,
    ) -> Settings {
        let config = &self.config;
        let router = config.role == Role::InterRouter;
        let wanted = |mechanism| {
            config.sasl_mechanisms.as_ref().is_none_or(|wanted| wanted.contains(mechanism))
        };
        let mut mechanisms = Vec::new();
        if self.tls.is_some() && self.certified && wanted(SaslMechanism::External) {
            mechanisms.push(sasl::EXTERNAL);
        }
        let named = config.sasl_mechanisms.is_some() || self.tls.is_some();
        let plain = named && wanted(SaslMechanism::Plain) && self.trusts(target);
        let credentials = config.credentials.as_ref().filter(|_| plain);
        let credentials = credentials
            .and_then(|(user, password)| Credentials::new(user.as_str(), self.password(password)));
        if credentials.is_some() {
            mechanisms.push(sasl::PLAIN);
        }
        if wanted(SaslMechanism::Anonymous) {
            mechanisms.push(sasl::ANONYMOUS);
        }
        Settings {
            role: config.role,
            entity: Arc::clone(&self.name),
            outgoing: true,
            data,
            cost: config.cost,
            link_capacity: config.limits.link_capacity,
            message_logging: config.message_logging.clone(),
            strip_in: config.strip_annotations.strips_in(),
            strip_out: config.strip_annotations.strips_out(),
            correlator: router.then_some(correlator),
            ordinal: ordinal.filter(|_| config.role.is_router()),
            layer: Layer::Client { mechanisms, identity: "anonymous".to_owned(), credentials },
            hostname: Some(target.host.clone()),
            max_frame_size: config.limits.max_frame_size,
            channel_max: u16::try_from(config.limits.max_sessions.saturating_sub(1))
                .unwrap_or(u16::MAX),
            session_frames: config.limits.max_session_frames,
            idle_timeout: config.limits.idle_timeout,
            handshake_timeout: HANDSHAKE,
            access_id: None,
            properties: crate::net::open::configured(config.open_properties.as_ref(), &[]),
            targets: Some(Arc::clone(&self.targets)),
            policy_vhost: config.policy_vhost.clone(),
            user: config.credentials.as_ref().map(|(user, _)| user.clone()),
            management: ManagementAccess::Full,
        }
    }
}

/// Returns the text of a file's failure without the number.
fn plainly(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
