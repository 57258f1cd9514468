//! Policy and its vhosts.

use std::path::PathBuf;

use serde_json::{Map, Value as Json};

use super::text;
use crate::schema::{AttributeError, Entity, Value};

/// Limits for clients.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct PolicyEntity {
    pub max_connections: u64,
    pub max_message_size: u64,
    pub enable_vhost_policy: bool,
    pub enable_vhost_name_patterns: bool,
    /// A folder with more vhosts.
    pub policy_dir: Option<PathBuf>,
    pub default_vhost: String,
}

impl TryFrom<&Entity> for PolicyEntity {
    type Error = AttributeError;

    fn try_from(entity: &Entity) -> Result<Self, AttributeError> {
        Ok(Self {
            max_connections: entity.get("maxConnections")?,
            max_message_size: entity.get("maxMessageSize")?,
            enable_vhost_policy: entity.get("enableVhostPolicy")?,
            enable_vhost_name_patterns: entity.get("enableVhostNamePatterns")?,
            policy_dir: text(entity, "policyDir").map(PathBuf::from),
            default_vhost: text(entity, "defaultVhost").unwrap_or_default(),
        })
    }
}

/// The rules for clients that ask for one host, as they were given.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct VhostEntity {
    pub hostname: String,
    pub aliases: String,
    pub max_connections: u64,
    pub max_connections_per_user: u64,
    pub max_connections_per_host: u64,
    pub max_message_size: Option<u64>,
    pub allow_unknown_user: bool,
    pub groups: Map<String, Json>,
}

impl TryFrom<&Entity> for VhostEntity {
    type Error = AttributeError;

    fn try_from(entity: &Entity) -> Result<Self, AttributeError> {
        Ok(Self {
            hostname: entity.get("hostname")?,
            aliases: text(entity, "aliases").unwrap_or_default(),
            max_connections: entity.get("maxConnections")?,
            max_connections_per_user: entity.get("maxConnectionsPerUser")?,
            max_connections_per_host: entity.get("maxConnectionsPerHost")?,
            max_message_size: entity.find("maxMessageSize")?,
            allow_unknown_user: entity.get("allowUnknownUser")?,
            groups: match entity.value("groups") {
                Some(Value::Map(groups)) => groups.clone(),
                _ => Map::new(),
            },
        })
    }
}
