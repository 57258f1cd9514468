//! The entities that tell what the router does.

use crate::schema::attribute::Fixed::*;
use crate::schema::attribute::{
    Attribute, choice, counter, entity_id, flag, list, map, number, text,
};
use crate::schema::entity_type::{EntityType, operational};

const INGRESS: Attribute =
    counter("deliveriesIngress", "Deliveries that entered the network here.");
const EGRESS: Attribute = counter("deliveriesEgress", "Deliveries that left the network here.");
const TRANSIT: Attribute =
    counter("deliveriesTransit", "Deliveries that passed through to another router.");
const INGRESS_ROUTE_CONTAINER: Attribute =
    counter("deliveriesIngressRouteContainer", "Deliveries that came from route containers.");
const EGRESS_ROUTE_CONTAINER: Attribute =
    counter("deliveriesEgressRouteContainer", "Deliveries that went to route containers.");
const INGRESS_INTER_NETWORK: Attribute =
    counter("deliveriesIngressInterNetwork", "Deliveries that came from other networks.");
const EGRESS_INTER_NETWORK: Attribute =
    counter("deliveriesEgressInterNetwork", "Deliveries that went to other networks.");
const STUCK: Attribute =
    counter("deliveriesStuck", "Deliveries that have not moved for more than 10 seconds.");
const DELAYED_10: Attribute =
    counter("deliveriesDelayed10Sec", "Deliveries that took longer than 10 seconds.");
const DELAYED_1: Attribute =
    counter("deliveriesDelayed1Sec", "Deliveries that took from 1 to 10 seconds.");
const UPTIME: Attribute = counter("uptimeSeconds", "How long it has been up.").seconds();

pub(super) static ROUTER_METRICS: EntityType = EntityType {
    own_attributes: &[
        text("id", "The router's id.").create(),
        text("version", "The router's version."),
        counter("addrCount", "Addresses known."),
        counter("linkCount", "Links attached."),
        counter("nodeCount", "Routers known."),
        counter("autoLinkCount", "AutoLinks configured."),
        counter("connectionCount", "Connections open."),
        counter("presettledDeliveries", "Deliveries that came settled."),
        counter(
            "droppedPresettledDeliveries",
            "Settled deliveries that were dropped for want of room.",
        ),
        counter("acceptedDeliveries", "Deliveries accepted."),
        counter("rejectedDeliveries", "Deliveries rejected."),
        counter("releasedDeliveries", "Deliveries released."),
        counter("modifiedDeliveries", "Deliveries modified."),
        INGRESS,
        EGRESS,
        TRANSIT,
        INGRESS_ROUTE_CONTAINER,
        EGRESS_ROUTE_CONTAINER,
        INGRESS_INTER_NETWORK,
        EGRESS_INTER_NETWORK,
        counter("residentMemoryUsage", "Memory that is in RAM.").octets(),
        counter("memoryUsage", "Memory in all.").octets(),
        UPTIME,
        STUCK,
        DELAYED_10,
        DELAYED_1,
        map("connectionCounters", "Connections open, by protocol."),
    ],
    ..operational("The router's numbers.")
};

pub(super) static LOG_STATS: EntityType = EntityType {
    own_attributes: &[
        counter("debugCount", "Events at level debug."),
        counter("infoCount", "Events at level info."),
        counter("noticeCount", "Always 0: there is no such level."),
        counter("warningCount", "Events at level warning."),
        counter("errorCount", "Events at level error."),
        counter("criticalCount", "Events at level critical."),
    ],
    ..operational("How much a module logged or would have logged.")
};

pub(super) static LINK: EntityType = EntityType {
    own_attributes: &[
        choice("operStatus", &["up", "down", "quiescing", "idle"], "How the link is doing."),
        text("linkName", "The link's name in AMQP."),
        choice(
            "linkType",
            &["endpoint", "router-control", "inter-router", "inter-edge"],
            "What it carries.",
        ),
        choice("linkDir", &["in", "out"], "Whether deliveries come in by it or go out."),
        text("owningAddr", "The address it is attached to."),
        number("capacity", "How many unsettled deliveries it may have."),
        counter("undeliveredCount", "Deliveries that wait to be sent."),
        counter("unsettledCount", "Deliveries that wait for an outcome."),
        counter("deliveryCount", "Deliveries in all."),
        number("connectionId", "The connection it belongs to."),
        counter("presettledCount", "Deliveries that came settled."),
        counter("droppedPresettledCount", "Settled deliveries that were dropped for want of room."),
        counter("acceptedCount", "Deliveries accepted."),
        counter("rejectedCount", "Deliveries rejected."),
        counter("releasedCount", "Deliveries released."),
        counter("modifiedCount", "Deliveries modified."),
        DELAYED_1,
        DELAYED_10,
        STUCK,
        counter(
            "openMovedStreams",
            "Streams that left this link for one of their own and are still open.",
        ),
        counter("creditAvailable", "Credit that is left."),
        number("zeroCreditSeconds", "How long it has had no credit.").seconds(),
        counter("settleRate", "Deliveries settled a second."),
        list("ingressHistogram", "Deliveries sent, by the router at which they entered."),
        number("priority", "The priority of the deliveries it carries."),
    ],
    ..operational("A link.")
};

pub(super) static ADDRESS: EntityType = EntityType {
    own_attributes: &[
        choice(
            "distribution",
            &["flood", "multicast", "closest", "balanced", "linkBalanced", "unavailable"],
            "How its messages are spread.",
        ),
        number("inProcess", "Handlers within the router."),
        counter("subscriberCount", "Links of this router that receive from it."),
        counter("remoteCount", "Routers on which somebody receives from it."),
        counter("containerCount", "Route containers that receive from it."),
        INGRESS,
        EGRESS,
        TRANSIT,
        counter("deliveriesToContainer", "Deliveries to handlers within the router."),
        counter("deliveriesFromContainer", "Deliveries from handlers within the router."),
        INGRESS_ROUTE_CONTAINER,
        EGRESS_ROUTE_CONTAINER,
        INGRESS_INTER_NETWORK,
        EGRESS_INTER_NETWORK,
        text("key", "Its class letter and its text."),
        list("remoteHostRouters", "The routers on which somebody receives from it."),
        list(
            "transitOutstanding",
            "For balanced addresses, the deliveries under way by each neighbor.",
        ),
        number("trackedDeliveries", "Deliveries whose outcome is awaited."),
        number("priority", "The priority of messages that have none of their own; -1 is none."),
        flag("watch", "Whether somebody in the router watches it."),
    ],
    ..operational("An address that somebody uses.")
};

pub(super) static NODE: EntityType = EntityType {
    own_attributes: &[
        text("id", "The router's id."),
        number("protocolVersion", "The version of the routing protocol it speaks."),
        number("instance", "Differs at each of its starts."),
        list("linkState", "Its neighbors."),
        text("nextHop", "The neighbor by which it is reached."),
        list("validOrigins", "The routers whose multicasts go to it from here."),
        text("address", "Its management address."),
        entity_id("routerLink", "The link to it, when it is a neighbor."),
        number("cost", "The cost of the way to it."),
        number("lastTopoChange", "When the topology last changed, in seconds of Unix time."),
        number("index", "Its number in this router's tables."),
    ],
    ..operational("A router of the network.")
};

pub(super) static CONNECTION: EntityType = EntityType {
    own_attributes: &[
        choice("adminStatus", &["enabled", "deleted"], "Set to deleted to close the connection.")
            .default(Text("enabled"))
            .update(),
        choice("operStatus", &["up", "closing"], "How the connection is doing."),
        text("protocol", "What it speaks: amqp or tcp."),
        text("container", "The other side's AMQP container."),
        flag("opened", "Whether it is open both ways."),
        text("host", "The other side's address and port."),
        text("localSocket", "This side's address and port."),
        choice("dir", &["in", "out"], "Who made it: in is the other side."),
        text("role", "What is at the other end."),
        text("meshId", "The mesh of edge routers that the other side belongs to."),
        flag("isAuthenticated", "Whether the other side showed an identity."),
        flag("isEncrypted", "Whether it is encrypted."),
        flag("enableProtocolTrace", "Log its AMQP frames.").default(Flag(false)).update(),
        text("sasl", "The SASL mechanism used."),
        text("user", "The identity of the other side."),
        flag("ssl", "Whether it is TLS."),
        text("sslProto", "The version of TLS."),
        text("sslCipher", "The cipher suite."),
        number("sslSsf", "The strength of the cipher in bits."),
        UPTIME,
        map("properties", "What the other side told of itself in its AMQP open."),
        counter("lastDlvSeconds", "How long ago the last delivery was.").seconds(),
        number("tlsOrdinal", "The sslProfile's ordinal when the connection began."),
        text("groupCorrelationId", "What the connections of one trunk share."),
        number("groupOrdinal", "The ordinal of its trunk; the highest is in use."),
    ],
    ..operational("A connection.")
};

pub(super) static TCP_CONNECTION: EntityType = EntityType {
    own_attributes: &[
        text("address", "The service."),
        text("host", "The other side's address and port."),
        choice("direction", &["in", "out"], "Who made it: in is the client."),
        counter("bytesIn", "Octets that came in."),
        counter("bytesOut", "Octets that went out."),
        UPTIME,
        counter("lastInSeconds", "How long ago octets last came in.").seconds(),
        counter("lastOutSeconds", "How long ago octets last went out.").seconds(),
    ],
    ..operational("A service connection.")
};

pub(super) static ALLOCATOR: EntityType = EntityType {
    own_attributes: &[
        text("typeName", "What is pooled."),
        number("typeSize", "The size of one.").octets(),
        number("transferBatchSize", "How many move between a thread and the pool at a time."),
        counter("localFreeListMax", "How many a thread may keep."),
        counter("globalFreeListMax", "How many the pool may keep."),
        counter("totalAllocFromHeap", "How many were ever taken from the heap."),
        counter("totalFreeToHeap", "How many were given back to the heap."),
        counter("heldByThreads", "How many threads hold."),
        counter("batchesRebalancedToThreads", "Moves from the pool to threads."),
        counter("batchesRebalancedToGlobal", "Moves from threads to the pool."),
    ],
    ..operational("A pool of memory.")
};

pub(super) static VHOST_STATS: EntityType = EntityType {
    own_attributes: &[
        text("hostname", "The vhost."),
        counter("connectionsApproved", "Clients let in."),
        counter("connectionsDenied", "Clients refused."),
        counter("connectionsCurrent", "Clients connected."),
        map("perUserState", "The hosts from which each user is connected."),
        map("perHostState", "The users connected from each host."),
        counter("sessionDenied", "Sessions refused."),
        counter("senderDenied", "Sending links refused."),
        counter("receiverDenied", "Receiving links refused."),
        counter("maxMessageSizeDenied", "Messages that were too large."),
    ],
    ..operational("A vhost's numbers.")
};
