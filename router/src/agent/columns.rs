//! The types for which the core of a C router answers, and their columns.

use crate::schema::EntityKind;

const CONNECTION: &[&str] = &[
    "name",
    "identity",
    "host",
    "localSocket",
    "role",
    "protocol",
    "dir",
    "container",
    "sasl",
    "isAuthenticated",
    "user",
    "isEncrypted",
    "sslProto",
    "sslCipher",
    "properties",
    "sslSsf",
    "type",
    "ssl",
    "opened",
    "active",
    "adminStatus",
    "operStatus",
    "uptimeSeconds",
    "lastDlvSeconds",
    "enableProtocolTrace",
    "meshId",
    "tlsOrdinal",
    "groupCorrelationId",
    "groupOrdinal",
];

const LINK: &[&str] = &[
    "name",
    "identity",
    "type",
    "linkName",
    "linkType",
    "linkDir",
    "owningAddr",
    "capacity",
    "undeliveredCount",
    "unsettledCount",
    "deliveryCount",
    "connectionId",
    "operStatus",
    "presettledCount",
    "droppedPresettledCount",
    "acceptedCount",
    "rejectedCount",
    "releasedCount",
    "modifiedCount",
    "deliveriesDelayed1Sec",
    "deliveriesDelayed10Sec",
    "deliveriesStuck",
    "openMovedStreams",
    "ingressHistogram",
    "priority",
    "settleRate",
    "creditAvailable",
    "zeroCreditSeconds",
];

const ADDRESS: &[&str] = &[
    "name",
    "identity",
    "type",
    "key",
    "distribution",
    "inProcess",
    "subscriberCount",
    "remoteCount",
    "remoteHostRouters",
    "deliveriesIngress",
    "deliveriesEgress",
    "deliveriesTransit",
    "deliveriesToContainer",
    "deliveriesFromContainer",
    "deliveriesEgressRouteContainer",
    "deliveriesIngressRouteContainer",
    "deliveriesEgressInterNetwork",
    "deliveriesIngressInterNetwork",
    "transitOutstanding",
    "trackedDeliveries",
    "priority",
    "deliveriesRedirectedToFallback",
    "watch",
];

const METRICS: &[&str] = &[
    "identity",
    "type",
    "id",
    "addrCount",
    "linkCount",
    "nodeCount",
    "autoLinkCount",
    "connectionCount",
    "presettledDeliveries",
    "droppedPresettledDeliveries",
    "acceptedDeliveries",
    "rejectedDeliveries",
    "releasedDeliveries",
    "modifiedDeliveries",
    "deliveriesDelayed1Sec",
    "deliveriesDelayed10Sec",
    "deliveriesStuck",
    "deliveriesIngress",
    "deliveriesEgress",
    "deliveriesTransit",
    "deliveriesIngressRouteContainer",
    "deliveriesEgressRouteContainer",
    "deliveriesIngressInterNetwork",
    "deliveriesEgressInterNetwork",
    "deliveriesRedirectedToFallback",
    "linksBlocked",
    "uptimeSeconds",
    "memoryUsage",
    "residentMemoryUsage",
    "connectionCounters",
    "version",
];

const CONFIG_ADDRESS: &[&str] =
    &["name", "identity", "type", "prefix", "distribution", "pattern", "priority"];

const AUTO_LINK: &[&str] = &[
    "name",
    "identity",
    "type",
    "address",
    "direction",
    "connection",
    "containerId",
    "externalAddress",
    "linkRef",
    "operStatus",
    "lastError",
];

/// Returns the columns of a type for which a C router's core answers; `None` for all other types.
pub fn columns(kind: EntityKind) -> Option<&'static [&'static str]> {
    match kind {
        EntityKind::Connection => Some(CONNECTION),
        EntityKind::Link => Some(LINK),
        EntityKind::Address => Some(ADDRESS),
        EntityKind::RouterMetrics => Some(METRICS),
        EntityKind::ConfigAddress => Some(CONFIG_ADDRESS),
        EntityKind::AutoLink => Some(AUTO_LINK),
        _ => None,
    }
}

/// Returns whether only a request with this type reaches its entities. They come and go with the
/// traffic, so queries for all types, or by a name without a type, leave them out.
pub(super) fn stands_apart(kind: EntityKind) -> bool {
    columns(kind).is_some() && !kind.is_configuration()
}
