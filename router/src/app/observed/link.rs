//! `router.link`: an attached link.

use std::sync::atomic::{AtomicU64, Ordering};

use skupper_proto::amqp::Value;
use skupper_proto::time::Instant;

use crate::agent::{By, Page, Record};
use crate::app::running::Running;
use crate::node::LinkRecord;
use crate::schema::EntityKind;

const KIND: EntityKind = EntityKind::Link;

/// Returns attached links, by number.
pub(super) fn all(running: &Running, page: Page) -> impl Iterator<Item = Record> + Send {
    let now = running.node.clock.now();
    page.of(running.node.registry.links().all()).map(move |known| record_of(&known, now))
}

/// Finds the attached links that have this name or identity.
pub(super) fn find(running: &Running, by: By, value: &str) -> Vec<Record> {
    let now = running.node.clock.now();
    let links = running.node.registry.links();
    match by {
        By::Identity => value
            .parse()
            .ok()
            .and_then(|id| links.get(id))
            .map(|known| record_of(&known, now))
            .into_iter()
            .collect(),
        By::Name => links
            .all()
            .filter(|known| known.name == value)
            .map(|known| record_of(&known, now))
            .collect(),
    }
}

fn record_of(link: &LinkRecord, now: Instant) -> Record {
    let counts = &link.counts;
    let histogram = link
        .outgoing
        .then(|| Value::List(counts.by_ingress.get().into_iter().map(Value::Ulong).collect()));
    let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let mut record = Record::new(KIND)
        .with("name", link.name.as_str())
        .with("identity", link.id.to_string())
        .with("type", KIND.long_name())
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
