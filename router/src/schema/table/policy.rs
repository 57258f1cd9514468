//! What clients may do.

use super::management::configuration;
use crate::schema::attribute::Fixed::*;
use crate::schema::attribute::{Attribute, counter, flag, map, number, path, text};
use crate::schema::entity_type::EntityType;
use crate::schema::{Effect, Operation};

/// A limit that is no limit.
const ALL_CONNECTIONS: i64 = 65535;
const ALL_LINKS: i64 = i32::MAX as i64;

const PER_USER: Attribute =
    number("maxConnectionsPerUser", "How many connections a user may have.");
const PER_HOST: Attribute =
    number("maxConnectionsPerHost", "How many connections may come from one host.");
const MESSAGE_SIZE: Attribute =
    number("maxMessageSize", "The largest message a client may send; 0 is no limit.").octets();

pub(super) static POLICY: EntityType = EntityType {
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

pub(super) static VHOST: EntityType = EntityType {
    own_operations: &[Operation::Create, Operation::Update, Operation::Delete],
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
        flag("allowUnknownUser", "Let users of no group in, under the rules of the group `$default`.")
            .default(Flag(false))
            .create()
            .works()
            .update(),
        map("groups", "The groups of users: a map from a group's name to its rules, which are those of vhostUserGroupSettings.")
            .example("\"$default\": {\n\"users\": \"*\",\n\"remoteHosts\": \"*\",\n\"sources\": \"news\"\n}")
            .create()
            .works()
            .update(),
    ],
    ..configuration("The rules for clients that ask for one host.")
};

pub(super) static VHOST_USER_GROUP_SETTINGS: EntityType = EntityType {
    // It stands within a vhost; by itself it says nothing.
    effect: Effect::Accepted,
    own_attributes: &[
        text("users", "The users of the group, separated by commas; `*` is all.").example("alice,bob").required().works(),
        text("remoteHosts", "The hosts the users may come from: names, addresses, ranges of addresses, or `*` for all.")
            .example("*")
            .required()
            .works(),
        PER_USER,
        PER_HOST,
        MESSAGE_SIZE,
        number("maxFrameSize", "The largest frame a client may send.").octets().example("16384").create().works(),
        number("maxSessionWindow", "How much a client may send on a session before it must wait.")
            .octets()
            .example("1048576")
            .create()
            .works(),
        number("maxSessions", "How many sessions a client may open.").example("10").create().works(),
        number("maxSenders", "How many links a client may open for sending.").default(Number(ALL_LINKS)).create().works(),
        number("maxReceivers", "How many links a client may open for receiving.").default(Number(ALL_LINKS)).create().works(),
        flag("allowDynamicSource", "May ask for an address of its own.").default(Flag(false)).create().works(),
        flag("allowAnonymousSender", "May open a sending link without an address.").default(Flag(false)).create().works(),
        flag("allowUserIdProxy", "May send messages in another user's name.").default(Flag(false)).create().works(),
        flag("allowAdminStatusUpdate", "May close other clients' connections.").default(Flag(true)).create().works(),
        text("sources", "The addresses that may be received from, separated by commas.").example("news").create().works(),
        text("targets", "The addresses that may be sent to, separated by commas.").example("orders").create().works(),
        text("sourcePattern", "Patterns of the addresses that may be received from.").example("news/*").create().works(),
        text("targetPattern", "Patterns of the addresses that may be sent to.").example("orders/*").create().works(),
    ],
    ..configuration("The rules for a group of users; it stands within a vhost's groups.")
};
