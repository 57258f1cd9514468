//! `vhost`: the rules for clients of one host.

use serde_json::{Map, Value as Json};

use super::policy::{ALL_CONNECTIONS, MESSAGE_SIZE};
use super::text_of;
use crate::schema::attribute::Fixed::*;
use crate::schema::attribute::{Attribute, flag, map, number, text};
use crate::schema::entity_type::{CHANGED, EntityType, configuration};
use crate::schema::{AttributeError, Entity, Value};

pub(super) const PER_USER: Attribute =
    number("maxConnectionsPerUser", "How many connections a user may have.");

pub(super) const PER_HOST: Attribute =
    number("maxConnectionsPerHost", "How many connections may come from one host.");

/// The rows of the table.
pub(in crate::schema) static ROW: EntityType = EntityType {
    own_operations: CHANGED,
    own_attributes: &[
        text("hostname", "The host that clients ask for in their AMQP open.")
            .example("tenant-1.example.com")
            .required()
            .create()
            .works(),
        text("aliases", "Other hosts that mean the same, separated by commas or blanks.")
            .example("t1.example.com")
            .create()
            .works()
            .update(),
        number("maxConnections", "How many clients may be connected to this vhost.")
            .default(Number(ALL_CONNECTIONS))
            .create()
            .works()
            .update(),
        MESSAGE_SIZE,
        PER_USER.default(Number(ALL_CONNECTIONS)).create().works().update(),
        PER_HOST.default(Number(ALL_CONNECTIONS)).create().works().update(),
        flag(
            "allowUnknownUser",
            "Let users of no group in, under the rules of the group `$default`.",
        )
        .default(Flag(false))
        .create()
        .works()
        .update(),
        map(
            "groups",
            "The groups of users: a map from a group's name to its rules, which are those of \
             vhostUserGroupSettings.",
        )
        .example(
            "\"$default\": {\n\"users\": \"*\",\n\"remoteHosts\": \"*\",\n\"sources\": \
             \"news\"\n}",
        )
        .create()
        .works()
        .update(),
    ],
    ..configuration("The rules for clients that ask for one host.")
};

/// The rules for clients that ask for one host, as they were given.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
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
            aliases: text_of(entity, "aliases").unwrap_or_default(),
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
