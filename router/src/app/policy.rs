//! From the entities of policy to the policy in force.

use crate::config::{Config, ConfigError};
use crate::log;
use crate::policy::{Policy, PolicyConfig, PolicyError, Rules, Vhost};
use crate::schema::typed::VhostEntity;
use std::sync::Arc;

/// The rules of a vhost entity.
pub(super) fn vhost(entity: &VhostEntity) -> Result<Vhost, PolicyError> {
    let rules = Rules {
        aliases: entity.aliases.clone(),
        max_connections: entity.max_connections,
        max_connections_per_user: entity.max_connections_per_user,
        max_connections_per_host: entity.max_connections_per_host,
        max_message_size: entity.max_message_size,
        allow_unknown_user: entity.allow_unknown_user,
    };
    let vhost = Vhost::new(&entity.hostname, rules, &entity.groups)?;
    for warning in vhost.warnings() {
        log!(Policy, Warning, "{warning}");
    }
    Ok(vhost)
}

/// The policy of a configuration.
pub(super) fn policy(config: &Config) -> Result<Arc<Policy>, ConfigError> {
    let configured = config.policy.as_ref().map_or_else(PolicyConfig::default, |entity| PolicyConfig {
        max_connections: entity.max_connections,
        max_message_size: entity.max_message_size,
        enabled: entity.enable_vhost_policy,
        patterns: entity.enable_vhost_name_patterns,
        default_vhost: entity.default_vhost.clone(),
    });
    let policy = Policy::new(configured);
    for entity in &config.vhosts {
        let put = vhost(entity).and_then(|vhost| policy.put(vhost));
        put.map_err(|error| config.error("vhost", &entity.hostname, "groups", error.to_string()))?;
    }
    Ok(Arc::new(policy))
}
