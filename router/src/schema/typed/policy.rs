//! `policy`: limits for clients.

use std::path::PathBuf;

use super::text_of;
use crate::schema::attribute::Fixed::*;
use crate::schema::attribute::{Attribute, counter, flag, number, path, text};
use crate::schema::entity_type::{EntityType, configuration};
use crate::schema::{AttributeError, Entity};

/// A number so large that it is no limit.
pub(super) const ALL_CONNECTIONS: i64 = 65535;

pub(super) const MESSAGE_SIZE: Attribute =
    number("maxMessageSize", "The largest message a client may send; 0 is no limit.").octets();

/// The rows of the table.
pub(in crate::schema) static ROW: EntityType = EntityType {
    singleton: true,
    own_attributes: &[
        number("maxConnections", "How many clients may be connected.")
            .default(Number(ALL_CONNECTIONS))
            .create()
            .works(),
        MESSAGE_SIZE.default(Number(0)).create().works(),
        flag("enableVhostPolicy", "Apply the vhosts' rules to clients.")
            .default(Flag(false))
            .create()
            .works(),
        flag("enableVhostNamePatterns", "Take the vhosts' host names for patterns.")
            .default(Flag(false))
            .create()
            .works(),
        path("policyDir", "A folder of JSON files with more vhosts.")
            .default(Text(""))
            .example("/etc/skrouterd/policy")
            .create()
            .works(),
        text("defaultVhost", "The vhost of clients that belong to no other.")
            .default(Text("$default"))
            .create()
            .works(),
        counter("connectionsProcessed", "How many clients connected."),
        counter("connectionsDenied", "How many clients were refused."),
        counter("connectionsCurrent", "How many clients are connected."),
        counter("linksDenied", "How many links were refused."),
        counter("maxMessageSizeDenied", "How many messages were too large."),
        counter("totalDenials", "How often anything was refused."),
    ],
    ..configuration("Limits for clients.")
};

/// Limits for clients.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
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
            policy_dir: text_of(entity, "policyDir").map(PathBuf::from),
            default_vhost: text_of(entity, "defaultVhost").unwrap_or_default(),
        })
    }
}
