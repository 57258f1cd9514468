//! Services carried over TCP, and how addresses are treated.

use super::management::configuration;
use crate::schema::attribute::Fixed::*;
use crate::schema::attribute::{Attribute, choice, counter, flag, number, text};
use crate::schema::entity_type::EntityType;
use crate::schema::{Distribution, EntityKind, MultiAddressStrategy, Observer, Operation};

const CREATED_AND_DELETED: &[Operation] = &[Operation::Create, Operation::Delete];

const SITE_ID: Attribute = text("siteId", "The site this belongs to, for flow records.")
    .example("site-1")
    .create()
    .works();
const OPENED: Attribute = counter("connectionsOpened", "How many service connections began.");
const CLOSED: Attribute = counter("connectionsClosed", "How many service connections ended.");
const BYTES_IN: Attribute = counter("bytesIn", "How many octets came in.");
const BYTES_OUT: Attribute = counter("bytesOut", "How many octets went out.");

pub(super) static TCP_LISTENER: EntityType = EntityType {
    own_operations: &[Operation::Create, Operation::Update, Operation::Delete],
    own_attributes: &[
        text("address", "The service whose servers clients reach here. Needed unless multiAddressStrategy is set.")
            .example("hello")
            .create()
            .works(),
        text("host", "The address or host name to listen on; empty is every address of the host.")
            .default(Text(""))
            .example("127.0.0.1")
            .create()
            .works(),
        number("backlog", "How many connections may wait to be accepted; 0 is what the system thinks best.")
            .range(0, i32::MAX as i64)
            .default(Number(0))
            .create()
            .works(),
        text("port", "The TCP port: a number or the name of a service. Must be given.").example("8080").create().works(),
        choice(
            "multiAddressStrategy",
            MultiAddressStrategy::WORDS,
            "How one of several addresses is picked for a connection; the addresses are listenerAddress entities that name this \
             listener.",
        )
        .default(Text("none"))
        .create()
        .works(),
        SITE_ID,
        OPENED,
        CLOSED,
        BYTES_IN,
        BYTES_OUT,
        text("sslProfile", "The sslProfile for TLS with clients. Without one clients speak plain TCP.")
            .refers_to(EntityKind::SslProfile)
            .example("service")
            .create()
            .works(),
        flag("authenticatePeer", "Refuse clients without a certificate that the sslProfile's authorities vouch for.")
            .default(Flag(false))
            .create()
            .guards(),
        choice("operStatus", &["up", "down"], "Whether the port is open: it is while somebody serves the address."),
        text("connectionMsg", "Why the port is not open when it should be."),
        choice("observer", Observer::WORDS, "Which application protocol to look for, so that requests show in flow records.")
            .default(Text("auto"))
            .create()
            .update(),
    ],
    ..configuration("A TCP port on which clients reach a service, wherever in the network its servers are.")
};

pub(super) static TCP_CONNECTOR: EntityType = EntityType {
    own_operations: CREATED_AND_DELETED,
    own_attributes: &[
        text("address", "The service that this server serves. Must be given.")
            .example("hello")
            .create()
            .works(),
        text("host", "The server's address or host name; a name is resolved anew as it ages.")
            .default(Text("127.0.0.1"))
            .create()
            .works(),
        text("port", "The server's TCP port: a number or the name of a service. Must be given.")
            .example("80")
            .create()
            .works(),
        SITE_ID,
        text("processId", "The process that serves, for flow records.")
            .example("hello-1")
            .create()
            .works(),
        OPENED,
        CLOSED,
        BYTES_IN,
        BYTES_OUT,
        text("sslProfile", "The sslProfile for TLS with the server. Without one it is plain TCP.")
            .refers_to(EntityKind::SslProfile)
            .example("service")
            .create()
            .works(),
        flag("verifyHostname", "Refuse a server whose certificate does not name the host.")
            .default(Flag(true))
            .create()
            .guards(),
    ],
    ..configuration(
        "A server: the router connects to it for each service connection to its address.",
    )
};

pub(super) static LISTENER_ADDRESS: EntityType = EntityType {
    own_operations: CREATED_AND_DELETED,
    own_attributes: &[
        text("address", "The service.").example("hello").required().create().works(),
        number("value", "Its priority or its weight, as the listener's multiAddressStrategy has it; more is preferred.")
            .example("1")
            .required()
            .create()
            .works(),
        text("listener", "The name of the tcpListener.").refers_to(EntityKind::TcpListener).example("hello").required().create().works(),
        number("connectionsOpened", "How many service connections went to this address."),
    ],
    ..configuration("One of the addresses of a tcpListener that has a multiAddressStrategy.")
};

pub(super) static ADDRESS: EntityType = EntityType {
    alias: Some("address"),
    own_operations: CREATED_AND_DELETED,
    own_attributes: &[
        text("prefix", "The first parts of the addresses meant, parts being separated by `/` or `.`. Either this or pattern.")
            .example("mc")
            .create()
            .works(),
        text("pattern", "The addresses meant, with `*` for one part and `#` for any number of parts. Either this or prefix.")
            .example("orders/*/urgent")
            .create()
            .works(),
        choice("distribution", Distribution::WORDS, "How the messages of these addresses are spread over those who serve them.")
            .default(Text("balanced"))
            .create()
            .works(),
        number("priority", "The priority of messages to these addresses between routers, whatever theirs is; 9 is the highest.")
            .range(0, 9)
            .example("4")
            .create()
            .works(),
    ],
    ..configuration("How messages to some addresses are spread.")
};

pub(super) static AUTO_LINK: EntityType = EntityType {
    alias: Some("autoLink"),
    own_operations: CREATED_AND_DELETED,
    own_attributes: &[
        text("address", "The address of the link. May be left out for direction in.")
            .example("queue-1")
            .create()
            .works(),
        choice(
            "direction",
            &["in", "out"],
            "Whether messages come in to the router by the link or go out.",
        )
        .example("in")
        .required()
        .create()
        .works(),
        text(
            "containerId",
            "The container whose connection gets the link. Either this or connection.",
        )
        .example("broker")
        .create()
        .works(),
        text(
            "connection",
            "The connector or listener whose connections get the link. Either this or containerId.",
        )
        .example("broker-1")
        .create()
        .works(),
        text("externalAddress", "The address as the other side knows it.")
            .unset("address")
            .example("queue.1")
            .create()
            .works(),
        text("linkRef", "The link, while there is one."),
        choice(
            "operStatus",
            &["inactive", "attaching", "failed", "active", "quiescing", "idle"],
            "How the link is doing: inactive is that the container is not connected.",
        ),
        text("lastError", "Why the last attempt failed."),
    ],
    ..configuration("A link that the router makes by itself when a container connects.")
};
