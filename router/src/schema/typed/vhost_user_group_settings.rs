//! `vhostUserGroupSettings`: the rules of a vhost for a group of users.

use super::policy::MESSAGE_SIZE;
use super::vhost::{PER_HOST, PER_USER};
use crate::schema::Effect;
use crate::schema::attribute::Fixed::*;
use crate::schema::attribute::{flag, number, text};
use crate::schema::entity_type::{EntityType, configuration};

const ALL_LINKS: i64 = i32::MAX as i64;

/// The rows of the table.
pub(in crate::schema) static ROW: EntityType = EntityType {
    // It stands within a vhost, and by itself it has no effect.
    effect: Effect::Accepted,
    own_attributes: &[
        text("users", "The users of the group, separated by commas; `*` is all.")
            .example("alice,bob")
            .required()
            .works(),
        text(
            "remoteHosts",
            "The hosts the users may come from: names, addresses, ranges of addresses, or `*` \
             for all.",
        )
        .example("*")
        .required()
        .works(),
        PER_USER,
        PER_HOST,
        MESSAGE_SIZE,
        number("maxFrameSize", "The largest frame a client may send.")
            .octets()
            .example("16384")
            .create()
            .works(),
        number("maxSessionWindow", "How much a client may send on a session before it must wait.")
            .octets()
            .example("1048576")
            .create()
            .works(),
        number("maxSessions", "How many sessions a client may open.")
            .example("10")
            .create()
            .works(),
        number("maxSenders", "How many links a client may open for sending.")
            .default(Number(ALL_LINKS))
            .create()
            .works(),
        number("maxReceivers", "How many links a client may open for receiving.")
            .default(Number(ALL_LINKS))
            .create()
            .works(),
        flag("allowDynamicSource", "May ask for an address of its own.")
            .default(Flag(false))
            .create()
            .works(),
        flag("allowAnonymousSender", "May open a sending link without an address.")
            .default(Flag(false))
            .create()
            .works(),
        flag("allowUserIdProxy", "May send messages in another user's name.")
            .default(Flag(false))
            .create()
            .works(),
        flag("allowAdminStatusUpdate", "May close other clients' connections.")
            .default(Flag(true))
            .create()
            .works(),
        text("sources", "The addresses that may be received from, separated by commas.")
            .example("news")
            .create()
            .works(),
        text("targets", "The addresses that may be sent to, separated by commas.")
            .example("orders")
            .create()
            .works(),
        text("sourcePattern", "Patterns of the addresses that may be received from.")
            .example("news/*")
            .create()
            .works(),
        text("targetPattern", "Patterns of the addresses that may be sent to.")
            .example("orders/*")
            .create()
            .works(),
    ],
    ..configuration("The rules for a group of users; it stands within a vhost's groups.")
};
