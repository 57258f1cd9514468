//! Entities of policy as the policy in force.

use std::sync::Arc;

use crate::log;
use crate::policy::{Policy, PolicyConfig, PolicyError, Rules, Vhost};
use crate::schema::typed::{PolicyEntity, VhostEntity};

/// Makes the rules of a vhost entity.
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

/// Makes the policy of a router, without vhosts.
pub(super) fn policy(entity: Option<&PolicyEntity>) -> Arc<Policy> {
    let config = entity.map_or_else(PolicyConfig::default, |entity| PolicyConfig {
        max_connections: entity.max_connections,
        max_message_size: entity.max_message_size,
        enabled: entity.enable_vhost_policy,
        patterns: entity.enable_vhost_name_patterns,
        default_vhost: entity.default_vhost.clone(),
    });
    Arc::new(Policy::new(config))
}
