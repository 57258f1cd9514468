//! `routerMetrics`: the router's numbers.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use skupper_proto::amqp::Value;

use crate::agent::Record;
use crate::app::running::Running;
use crate::http::metrics::Memory;
use crate::node::{Protocol, STUCK};
use crate::schema::{EntityKind, Mode};

const KIND: EntityKind = EntityKind::RouterMetrics;

/// Returns the router's numbers.
pub(super) fn one(running: &Running) -> Record {
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
    let mut record = Record::new(KIND)
        .with("identity", "1")
        // The core of C routers still gives the type this name.
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
        // A link without credit for ten seconds is blocked.
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
