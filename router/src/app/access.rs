//! Passwords and policy, as the configuration wants them.

use std::sync::Arc;

use crate::config::{Config, ConfigError};
use crate::node::Access;
use crate::sasl::Passwords;
use crate::schema::SaslMechanism;
use crate::schema::typed::{Listener, PolicyEntity};

/// Finds the passwords of users.
///
/// # Errors
/// There are none, and a listener offers PLAIN. Listeners to come may do without them.
pub(super) fn of(config: &Config) -> Result<Access, ConfigError> {
    let router = &config.router;
    let plain = |listener: &&Listener| listener.offers(SaslMechanism::Plain);
    let wanted = config.all::<Listener>().into_iter().find(plain);
    let found = Passwords::find(router.sasl_config_dir.as_deref(), &router.sasl_config_name);
    let found = found.and_then(|passwords| passwords.check().map(|()| passwords));
    let passwords = match (found, wanted) {
        (Ok(passwords), _) => Some(Arc::new(passwords)),
        (Err(_), None) => None,
        (Err(error), Some(entity)) => {
            return Err(config.error(
                "listener",
                &entity.name,
                "saslMechanisms",
                format!("PLAIN needs passwords: {error}"),
            ));
        }
    };
    Ok(Access {
        passwords,
        policy: super::policy::policy(config.all::<PolicyEntity>().first().copied()),
        ..Access::default()
    })
}
