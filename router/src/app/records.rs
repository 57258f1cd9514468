//! What the management node tells of each entity of the running router.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use skupper_proto::address::{AddressRef, Treatment};
use skupper_proto::amqp::Value;
use skupper_proto::time::Instant;
use skupper_proto::topology::RouterStatus;

use super::figures::number;
use super::running::Running;
use crate::agent::{By, Page, Record};
use crate::core::Address;
use crate::http::metrics::{Memory, Pool};
use crate::log::{self, Module};
use crate::node::{ConnectionRecord, LinkRecord, Protocol, STUCK};
use crate::policy::VhostCounts;
use crate::schema::{EntityKind, Mode};
use crate::tcp::TcpListener;

/// What was counted for each vhost.
pub(super) fn vhost_stats(running: &Running, kind: EntityKind) -> Vec<Record> {
    let stats = |(index, (hostname, counts)): (usize, (String, Arc<VhostCounts>))| {
        let identity = format!("vhostStats/{index}");
        let (approved, denied) = counts.connections();
        let mut record = Record::new(kind)
            .with("name", identity.as_str())
            .with("identity", identity.as_str())
            .with("type", kind.long_name())
            .with("hostname", hostname);
        for (name, state) in ["perUserState", "perHostState"].into_iter().zip(counts.state()) {
            let held = |connections: Vec<u64>| {
                Value::List(
                    connections.into_iter().map(|id| Value::string(id.to_string())).collect(),
                )
            };
            let pairs =
                state.into_iter().map(|(key, connections)| (Value::string(key), held(connections)));
            record.put(name, Value::Map(pairs.collect()));
        }
        let names = ["sessionDenied", "senderDenied", "receiverDenied", "maxMessageSizeDenied"];
        let counted = names.into_iter().zip(counts.refused());
        let of_connections = [
            ("connectionsApproved", approved),
            ("connectionsDenied", denied),
            ("connectionsCurrent", counts.current()),
        ];
        for (name, count) in counted.chain(of_connections) {
            record.put(name, number(count));
        }
        record
    };
    running.node.access.policy.vhost_counts().into_iter().enumerate().map(stats).collect()
}

// ----- connections -----

/// Open connections, by number.
pub(super) fn connections(
    running: &Running,
    kind: EntityKind,
    page: Page,
) -> impl Iterator<Item = Record> + Send {
    page.of(running.node.registry.all()).map(move |record| connection(running, kind, &record))
}

/// An open connection.
pub(super) fn connection(running: &Running, kind: EntityKind, record: &ConnectionRecord) -> Record {
    let host = record.host.to_string();
    let now = running.node.clock.now();
    let amqp = record.protocol() == Protocol::Amqp;
    let tls = record.tls.as_deref();
    let since = record.octets.since_delivery(now).filter(|_| amqp);
    let listened = (!amqp && !record.outgoing).then(|| {
        let listeners = running.all_of::<TcpListener>();
        listeners
            .iter()
            .find(|listener| *listener.config().name == *record.entity)
            .map(|listener| listener.config().host_port())
    });
    let properties = match amqp {
        true => record
            .peer
            .properties
            .iter()
            .map(|(key, value)| (Value::string(key.as_str()), value.clone()))
            .collect(),
        false => vec![(Value::string("qd.adaptor"), Value::string("tcp"))],
    };
    Record::new(kind)
        .with("name", format!("connection/{host}"))
        .with("identity", record.id.to_string())
        .with("host", host)
        .with("localSocket", listened.flatten())
        .with("role", if amqp { record.role.as_str() } else { "normal" })
        .with("protocol", record.protocol().as_str())
        .with("dir", if record.outgoing { "out" } else { "in" })
        .with(
            "container",
            if amqp { record.container.as_deref().unwrap_or_default() } else { "TcpAdaptor" },
        )
        .with("sasl", if amqp { record.peer.sasl } else { Some("") })
        .with("isAuthenticated", record.peer.sasl.is_some())
        .with("user", if amqp { record.peer.user.as_deref() } else { Some("") })
        .with("isEncrypted", tls.is_some())
        .with("sslProto", tls.map(|tls| tls.protocol))
        .with("sslCipher", tls.map(|tls| tls.cipher))
        .with("properties", Value::Map(properties))
        .with("sslSsf", Value::Long(tls.map_or(0, |tls| tls.cipher_bits.into())))
        .with("type", kind.long_name())
        .with("ssl", tls.is_some())
        .with("opened", true)
        .with("active", record.edge.as_ref().is_none_or(|edge| edge.is_active()))
        .with(
            "meshId",
            record.edge.as_ref().and_then(|edge| edge.mesh()).map(|mesh| Value::string(&**mesh)),
        )
        .with("adminStatus", "enabled")
        .with("operStatus", "up")
        .with(
            "uptimeSeconds",
            u32::try_from(now.since(record.opened.1).as_secs()).unwrap_or(u32::MAX),
        )
        .with(
            "lastDlvSeconds",
            since.map(|since| Value::Uint(u32::try_from(since.as_secs()).unwrap_or(u32::MAX))),
        )
        .with("enableProtocolTrace", record.trace.as_ref().is_some_and(|trace| trace.is_on()))
        .with("tlsOrdinal", tls.map(|tls| tls.ordinal).filter(|_| amqp))
        .with("groupCorrelationId", record.peer.correlator.as_deref())
        .with(
            "groupOrdinal",
            record.peer.correlator.as_ref().map(|_| record.peer.ordinal.unwrap_or(0)),
        )
}

// ----- links and addresses -----

/// Attached links, by number.
pub(super) fn links(
    running: &Running,
    kind: EntityKind,
    page: Page,
) -> impl Iterator<Item = Record> + Send {
    let now = running.node.clock.now();
    page.of(running.node.registry.links().all()).map(move |known| link(kind, &known, now))
}

/// The attached links that have this name or identity.
pub(super) fn links_named(running: &Running, kind: EntityKind, by: By, value: &str) -> Vec<Record> {
    let now = running.node.clock.now();
    let links = running.node.registry.links();
    match by {
        By::Identity => value
            .parse()
            .ok()
            .and_then(|id| links.get(id))
            .map(|known| link(kind, &known, now))
            .into_iter()
            .collect(),
        By::Name => links
            .all()
            .filter(|known| known.name == value)
            .map(|known| link(kind, &known, now))
            .collect(),
    }
}

fn link(kind: EntityKind, link: &LinkRecord, now: Instant) -> Record {
    let counts = &link.counts;
    let histogram = link
        .outgoing
        .then(|| Value::List(counts.by_ingress.get().into_iter().map(Value::Ulong).collect()));
    let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let mut record = Record::new(kind)
        .with("name", link.name.as_str())
        .with("identity", link.id.to_string())
        .with("type", kind.long_name())
        .with("linkName", link.name.as_str())
        .with("linkType", link.kind.name())
        .with("linkDir", if link.outgoing { "out" } else { "in" })
        .with("owningAddr", link.address.as_deref())
        .with("capacity", link.capacity)
        .with("connectionId", link.connection.to_string())
        .with("operStatus", "up")
        .with("priority", u32::from(link.priority))
        .with("settleRate", u32::try_from(counts.settled.mean(now)).unwrap_or(u32::MAX))
        .with("ingressHistogram", histogram)
        .with("creditAvailable", counts.credit.load(Ordering::Relaxed))
        .with(
            "zeroCreditSeconds",
            u32::try_from(counts.without_credit(now).as_secs()).unwrap_or(u32::MAX),
        );
    for (name, count) in [
        ("undeliveredCount", get(&counts.undelivered)),
        ("unsettledCount", get(&counts.unsettled)),
        ("deliveryCount", get(&counts.deliveries)),
        ("presettledCount", get(&counts.presettled)),
        ("droppedPresettledCount", get(&counts.dropped)),
        ("acceptedCount", get(&counts.accepted)),
        ("rejectedCount", get(&counts.rejected)),
        ("releasedCount", get(&counts.released)),
        ("modifiedCount", get(&counts.modified)),
        ("deliveriesDelayed1Sec", get(&counts.delayed_1_second)),
        ("deliveriesDelayed10Sec", get(&counts.delayed_10_seconds)),
        ("deliveriesStuck", get(&counts.stuck)),
        ("openMovedStreams", 0),
    ] {
        record.put(name, count);
    }
    record
}

/// Addresses that somebody has to do with, by class and text.
pub(super) fn addresses(
    running: &Running,
    kind: EntityKind,
    page: Page,
) -> impl Iterator<Item = Record> + Send {
    page.of(running.node.core.addresses()).map(move |known| address(kind, &known))
}

/// The address that has this name, which is its identity too.
pub(super) fn address_named(running: &Running, kind: EntityKind, value: &str) -> Option<Record> {
    let key = AddressRef::parse(value).ok()?;
    running.node.core.address(key).map(|known| address(kind, &known))
}

fn address(kind: EntityKind, address: &Address) -> Record {
    let key = format!("{}{}", address.key().class().as_char(), address.key().text());
    let treatment = match address.treatment() {
        Treatment::Flood => "flood",
        Treatment::Multicast => "multicast",
        Treatment::Closest => "closest",
        Treatment::Balanced => "balanced",
        Treatment::Unavailable => "unavailable",
    };
    let remotes = address.remote_routers();
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let mut record = Record::new(kind)
        .with("name", key.as_str())
        .with("identity", key.as_str())
        .with("type", kind.long_name())
        .with("key", key.as_str())
        .with("distribution", treatment)
        .with("inProcess", count(address.own_handlers()))
        .with("subscriberCount", count(address.local_consumers()))
        .with("remoteCount", count(remotes.len()))
        .with(
            "remoteHostRouters",
            remotes.iter().map(|router| Value::string(&**router)).collect::<Vec<_>>(),
        )
        .with("trackedDeliveries", Value::Long(0))
        .with("priority", -1)
        .with("watch", false);
    let counts = address.counts();
    for (name, count) in [
        ("deliveriesIngress", &counts.ingress),
        ("deliveriesEgress", &counts.egress),
        ("deliveriesTransit", &counts.transit),
        ("deliveriesToContainer", &counts.to_handlers),
    ] {
        record.put(name, count.load(Ordering::Relaxed));
    }
    for name in [
        "deliveriesFromContainer",
        "deliveriesEgressRouteContainer",
        "deliveriesIngressRouteContainer",
        "deliveriesEgressInterNetwork",
        "deliveriesIngressInterNetwork",
        "deliveriesRedirectedToFallback",
    ] {
        record.put(name, 0_u64);
    }
    record
}

// ----- the router and its network -----

/// Routers of a network, at most, of which it is told whose messages pass through here: as many as
/// C routers can have.
const MAX_ORIGINS: usize = 128;

/// The routers that can be reached, this one first; none where there is no network.
pub(super) fn nodes(running: &Running, kind: EntityKind) -> Vec<Record> {
    if running.mode == Mode::Standalone {
        return Vec::new();
    }
    let core = &running.node.core;
    let changed = running.node.clock.now().since(core.last_topology_change());
    let changed =
        (SystemTime::now() - changed).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let own = node(
        kind,
        core.id(),
        Some(running.instance),
        0,
        core.neighbors().iter().map(AsRef::as_ref),
    )
    .with("nextHop", "(self)")
    .with("validOrigins", Vec::new())
    .with("lastTopoChange", number(changed.as_secs()));
    let others = core.routers();
    let ids: HashMap<_, _> = others.iter().map(|router| (router.router, &*router.id)).collect();
    // For each router one asks about all others: a large network has no time for that, and only
    // tools look.
    let small = others.len() <= MAX_ORIGINS;
    let origins = |destination| match small {
        true => core
            .valid_origins(destination, &others)
            .into_iter()
            .map(Value::string)
            .collect::<Vec<_>>(),
        false => Vec::new(),
    };
    let other = |router: &RouterStatus| {
        let route = router.route?;
        let direct = route.next_hop == router.router;
        let peers = router.peers.iter().map(|(id, _)| id.as_ref());
        let mut record = node(kind, &router.id, router.instance, router.router.get(), peers)
            .with("nextHop", ids.get(&route.next_hop).copied().filter(|_| !direct))
            .with("validOrigins", origins(router.router))
            .with("cost", number(route.cost));
        if direct {
            record.put("routerLink", number(route.link.0));
        }
        Some(record)
    };
    std::iter::once(own).chain(others.iter().filter_map(other)).collect()
}

fn node<'a>(
    kind: EntityKind,
    id: &str,
    instance: Option<i64>,
    index: usize,
    peers: impl Iterator<Item = &'a str>,
) -> Record {
    Record::new(kind)
        .with("id", id)
        .with("protocolVersion", 1)
        .with(
            "instance",
            instance
                .map(|instance| i32::try_from(instance).map_or(Value::Long(instance), Value::Int)),
        )
        .with("linkState", peers.map(Value::string).collect::<Vec<_>>())
        .with("address", format!("amqp:/_topo/0/{id}"))
        .with("index", number(index as u64))
        .with("name", format!("router.node/{id}"))
        .with("identity", format!("router.node/{id}"))
        .with("type", kind.long_name())
}

/// The router's figures.
pub(super) fn metrics(running: &Running, kind: EntityKind) -> Record {
    let core = &running.node.core;
    let counters = core.counters();
    let mut connections = BTreeMap::<Protocol, u64>::new();
    running
        .node
        .registry
        .all()
        .for_each(|record| *connections.entry(record.protocol()).or_default() += 1);
    let of = |protocol| connections.get(&protocol).copied().unwrap_or_default();
    let memory = Memory::now();
    let mut record = Record::new(kind)
        .with("identity", "1")
        // The name that C routers' core still gives the type.
        .with("type", "org.apache.qpid.dispatch.routerMetrics")
        .with("id", &**core.id());
    let nodes = match running.mode {
        Mode::Standalone => 0,
        _ => core.routers().iter().filter(|router| router.route.is_some()).count() as u64,
    };
    let now = running.node.clock.now();
    let (mut links, mut blocked, mut stuck) = (0_u64, 0_u32, 0);
    for link in running.node.registry.links().all() {
        links += 1;
        // Who has had no credit for ten seconds is blocked.
        blocked += u32::from(link.counts.without_credit(now) >= STUCK);
        stuck += link.counts.stuck.load(Ordering::Relaxed);
    }
    let auto_links =
        running.all().iter().filter(|live| live.entity.kind() == EntityKind::AutoLink).count();
    for (name, count) in [
        ("addrCount", core.address_count() as u64),
        ("linkCount", links),
        ("nodeCount", nodes),
        ("autoLinkCount", auto_links as u64),
        ("connectionCount", connections.values().sum()),
        ("presettledDeliveries", counters.presettled()),
        ("droppedPresettledDeliveries", counters.dropped_presettled()),
        ("acceptedDeliveries", counters.accepted()),
        ("rejectedDeliveries", counters.rejected()),
        ("releasedDeliveries", counters.released()),
        ("modifiedDeliveries", counters.modified()),
        ("deliveriesDelayed1Sec", counters.delayed_1_second()),
        ("deliveriesDelayed10Sec", counters.delayed_10_seconds()),
        ("deliveriesStuck", stuck),
        ("deliveriesIngress", counters.ingress()),
        ("deliveriesEgress", counters.egress()),
        ("deliveriesTransit", counters.transit()),
        ("deliveriesIngressRouteContainer", counters.ingress_route_container()),
        ("deliveriesEgressRouteContainer", counters.egress_route_container()),
        ("deliveriesIngressInterNetwork", 0),
        ("deliveriesEgressInterNetwork", 0),
        ("deliveriesRedirectedToFallback", 0),
    ] {
        record.put(name, count);
    }
    let services =
        [("tcp", of(Protocol::Tcp)), ("amqp", of(Protocol::Amqp)), ("http1", 0), ("http2", 0)];
    record
        .with("linksBlocked", blocked)
        .with(
            "uptimeSeconds",
            u32::try_from(running.node.clock.uptime().as_secs()).unwrap_or(u32::MAX),
        )
        .with("memoryUsage", memory.virtual_size)
        .with("residentMemoryUsage", memory.resident)
        .with(
            "connectionCounters",
            Value::Map(
                services.map(|(name, count)| (Value::string(name), Value::Ulong(count))).to_vec(),
            ),
        )
        .with("version", env!("CARGO_PKG_VERSION"))
}

/// How often each module of the log spoke.
pub(super) fn log_stats(kind: EntityKind) -> Vec<Record> {
    let record = |name: &'static str, stats: log::Stats| {
        Record::new(kind)
            .with("debugCount", number(stats.debug))
            .with("infoCount", number(stats.info))
            .with("noticeCount", 0)
            .with("warningCount", number(stats.warning))
            .with("errorCount", number(stats.error))
            .with("criticalCount", number(stats.critical))
            .with("name", name)
            .with("identity", format!("logStats/{name}"))
            .with("type", kind.long_name())
    };
    let modules = Module::ALL.into_iter().map(|module| record(module.name(), log::stats(module)));
    std::iter::once(record("DEFAULT", log::Stats::default())).chain(modules).collect()
}

/// What the router keeps for as long as it is there, in number and size. There are no pools, so
/// nothing is free or moved between threads.
pub(super) fn allocators(running: &Running, kind: EntityKind) -> Vec<Record> {
    let record = |Pool { name, size, held }: Pool| {
        Record::new(kind)
            .with("typeName", name)
            .with("typeSize", number(size))
            .with("transferBatchSize", 0)
            .with("localFreeListMax", 0)
            .with("globalFreeListMax", 0)
            .with("totalAllocFromHeap", number(held))
            .with("totalFreeToHeap", 0)
            .with("heldByThreads", number(held))
            .with("batchesRebalancedToThreads", 0)
            .with("batchesRebalancedToGlobal", 0)
            .with("name", format!("allocator/{name}"))
            .with("identity", format!("allocator/{name}"))
            .with("type", kind.long_name())
    };
    pools(running).into_iter().map(record).collect()
}

/// What the router keeps, under the names that C routers' tools look for.
pub(super) fn pools(running: &Running) -> Vec<Pool> {
    let node = &running.node;
    let pool = |name, size: usize, held: usize| Pool { name, size: size as u64, held: held as u64 };
    vec![
        pool("qdr_connection_t", size_of::<ConnectionRecord>(), node.registry.all().count()),
        pool("qdr_link_t", size_of::<LinkRecord>(), node.registry.links().count()),
        pool("qdr_address_t", size_of::<Address>(), node.core.address_count()),
    ]
}
