//! The views of the router as a whole, its network, its memory and its log.

use jiff::tz::TimeZone;
use skupper_proto::amqp::Value;

use super::{line, number};
use crate::bin::skstat::answers::{Answers, Entities, Row};
use crate::bin::skstat::cell;
use crate::bin::skstat::table::{Block, Form, Table, column};
use crate::bin::skstat::view::{ALLOCATORS, METRICS, NETWORK, NODES, ROUTER};

/// The router's settings: title, attribute, and whether it is a number.
const SETTINGS: &[(&str, &str, bool)] = &[
    ("Host Name", "hostName", false),
    ("Hello Interval Seconds", "helloIntervalSeconds", true),
    ("Hello Max Age Seconds", "helloMaxAgeSeconds", true),
    ("RA Interval Seconds", "raIntervalSeconds", true),
    ("RA Interval Flux Seconds", "raIntervalFluxSeconds", true),
    ("Remote Ls Max Age Seconds", "remoteLsMaxAgeSeconds", true),
    ("Debug Dump File", "debugDumpFile", false),
    ("Sasl Config Dir", "saslConfigDir", false),
    ("Sasl Config Name", "saslConfigName", false),
];

/// The router's counts: title and attribute.
const COUNTS: &[(&str, &str)] = &[
    ("Auto Links", "autoLinkCount"),
    ("Links", "linkCount"),
    ("Nodes", "nodeCount"),
    ("Addresses", "addrCount"),
    ("Total Connections", "connectionCount"),
    ("Presettled Count", "presettledDeliveries"),
    ("Dropped Presettled Count", "droppedPresettledDeliveries"),
    ("Accepted Count", "acceptedDeliveries"),
    ("Rejected Count", "rejectedDeliveries"),
    ("Released Count", "releasedDeliveries"),
    ("Modified Count", "modifiedDeliveries"),
    ("Deliveries Delayed > 1sec", "deliveriesDelayed1Sec"),
    ("Deliveries Delayed > 10sec", "deliveriesDelayed10Sec"),
    ("Deliveries Stuck > 10sec", "deliveriesStuck"),
    ("Ingress Count", "deliveriesIngress"),
    ("Egress Count", "deliveriesEgress"),
    ("Transit Count", "deliveriesTransit"),
    ("Deliveries from Route Container", "deliveriesIngressRouteContainer"),
    ("Deliveries to Route Container", "deliveriesEgressRouteContainer"),
    ("Deliveries from Remote Network", "deliveriesIngressInterNetwork"),
    ("Deliveries to Remote Network", "deliveriesEgressInterNetwork"),
];

pub(super) fn general(answers: &Answers) -> Vec<Block> {
    let first = |key: &str| answers.get(key).and_then(Entities::first);
    let (Some(router), Some(metrics)) = (first(ROUTER), first(METRICS)) else {
        return line("No router statistics available");
    };
    let mut table = Table::new("Router Statistics", vec![column("attr"), column("value")]);
    let mut row = |title: &str, value: Value| table.push(vec![Value::string(title), value]);
    row("Version", metrics.get("version").clone());
    row("Mode", router.get("mode").clone());
    row("Router Id", metrics.get("id").clone());
    if let Some(network) = first(NETWORK) {
        for (title, name) in [("Network Id", "networkId"), ("Tenant Id", "tenantId")] {
            if *network.get(name) != Value::Null {
                row(title, network.get(name).clone());
            }
        }
    }
    for (title, name, is_number) in SETTINGS {
        let value = router.get(name);
        row(title, if *is_number { number(value) } else { value.clone() });
    }
    row(
        "Timestamps In UTC",
        Value::string(if cell::is_true(router.get("timestampsInUTC")) { "yes" } else { "no" }),
    );
    row("Timestamp Format", router.get("timestampFormat").clone());
    row("Default Distribution", router.get("defaultDistribution").clone());
    row("Metadata", router.get("metadata").clone());
    row("Data Connection Count", router.get("dataConnectionCount").clone());
    row("Worker Threads", number(router.get("workerThreads")));
    row("Uptime", Value::String(cell::long_time(metrics.get("uptimeSeconds"))));
    for (title, name) in [("VmSize", "memoryUsage"), ("RSS", "residentMemoryUsage")] {
        if *metrics.get(name) != Value::Null {
            row(title, Value::String(cell::size(metrics.get(name))));
        }
    }
    row("Area", router.get("area").clone());
    for (title, name) in COUNTS {
        row(title, number(metrics.get(name)));
    }
    for (protocol, count) in metrics.get("connectionCounters").as_map().unwrap_or_default() {
        row(&format!("{} Service Connections", cell::text(protocol).to_uppercase()), number(count));
    }
    vec![Block::Table(table)]
}

pub(super) fn nodes(answers: &Answers, verbose: bool) -> Vec<Block> {
    let Some(nodes) = answers.get(NODES).filter(|nodes| nodes.first().is_some()) else {
        return line("Router is Standalone - No Router List");
    };
    let mut columns = vec![column("router-id"), column("next-hop"), column("link")];
    if verbose {
        columns.extend(["ver", "cost", "neighbors", "valid-origins"].map(column));
    }
    // In UTC, so that distant routers can be compared.
    let changed = nodes
        .rows()
        .filter_map(|node| node.get("lastTopoChange").as_i64())
        .max()
        .filter(|changed| *changed > 1);
    let changed = changed
        .map(|changed| cell::date(&Value::Long(changed), "%A %b %d %H:%M:%S %Y", TimeZone::UTC));
    let changed =
        changed.map(|changed| format!("\nLast Topology Change: {changed} GMT")).unwrap_or_default();
    let mut table = Table::new(format!("Routers in the Network{changed}"), columns);
    for node in nodes.rows() {
        let dash = || Value::string("-");
        let (hop, link) = match node.get("nextHop") {
            Value::Null => (dash(), number(node.get("routerLink"))),
            hop => (hop.clone(), dash()),
        };
        let mut row = vec![node.get("id").clone(), hop, link];
        if verbose {
            let cost = node.get("cost");
            row.push(number(node.get("protocolVersion")));
            row.push(if cell::is_true(cost) { number(cost) } else { Value::string("") });
            row.push(Value::String(cell::names(node.get("linkState"))));
            row.push(Value::String(cell::names(node.get("validOrigins"))));
        }
        table.push(row);
    }
    table.sort("router-id");
    vec![Block::Table(table)]
}

pub(super) fn memory(answers: &Answers) -> Vec<Block> {
    let pools = answers.get(ALLOCATORS);
    let commas = |title| column(title).of(Form::Commas);
    let mut table = Table::new(
        "Memory Pools",
        vec![
            column("type"),
            commas("size"),
            column("batch"),
            commas("thread-max"),
            commas("total"),
            commas("in-threads"),
            commas("rebal-in"),
            commas("rebal-out"),
        ],
    );
    let mut pooled = 0_u64;
    let mut used = 0_usize;
    for pool in pools.iter().flat_map(|pools| pools.rows()) {
        // A router without memory statistics reports no numbers at all.
        let Some(made) = pool.get("totalAllocFromHeap").as_u64() else {
            used = 0;
            break;
        };
        if made == 0 {
            continue;
        }
        let count = made.saturating_sub(pool.get("totalFreeToHeap").as_u64().unwrap_or(0));
        let identity = pool.text("identity");
        let name = match identity.split_once('/') {
            Some((_, name)) => name,
            None if identity.is_empty() => "-",
            None => identity,
        };
        table.push(vec![
            Value::string(name),
            number(pool.get("typeSize")),
            number(pool.get("transferBatchSize")),
            number(pool.get("localFreeListMax")),
            number(&Value::Ulong(count)),
            number(pool.get("heldByThreads")),
            number(pool.get("batchesRebalancedToThreads")),
            number(pool.get("batchesRebalancedToGlobal")),
        ]);
        pooled =
            pooled.saturating_add(pool.get("typeSize").as_u64().unwrap_or(0).saturating_mul(count));
        used += 1;
    }
    if used == 0 {
        return line("No memory statistics available");
    }
    table.sort("type");
    let metrics = answers.get(METRICS).and_then(Entities::first);
    let known = |name| {
        metrics
            .map(|metrics: Row<'_>| metrics.get(name).clone())
            .filter(|value| *value != Value::Null)
    };
    let sizes = [
        ("VmSize", known("memoryUsage")),
        ("RSS", known("residentMemoryUsage")),
        ("Pooled", Some(Value::Ulong(pooled))),
    ];
    let (columns, row): (Vec<_>, Vec<_>) = sizes
        .into_iter()
        .filter_map(|(title, value)| Some((column(title).of(Form::Size), value?)))
        .unzip();
    let mut summary = Table::new("\nMemory Summary", columns);
    summary.push(row);
    vec![Block::Table(table), Block::Table(summary)]
}

pub(super) fn log(answers: &Answers, zone: &TimeZone) -> Vec<Block> {
    let lines = answers.get("log");
    let lines = lines.iter().flat_map(|lines| lines.rows()).map(|said| {
        let time = cell::date(said.get("time"), "%a %b %e %H:%M:%S %Y", zone.clone());
        let [module, level, text] =
            ["module", "level", "text"].map(|name| cell::text(said.get(name)));
        Block::Line(format!("{time} {module} ({level}) {text}"))
    });
    lines.collect()
}
