//! `router.address`: an address in use.

use std::sync::atomic::Ordering;

use skupper_proto::address::{AddressRef, Treatment};
use skupper_proto::amqp::Value;

use crate::agent::{Page, Record};
use crate::app::running::Running;
use crate::core::Address;
use crate::schema::EntityKind;

const KIND: EntityKind = EntityKind::Address;

/// Returns the addresses in use, by class and text.
pub(super) fn all(running: &Running, page: Page) -> impl Iterator<Item = Record> + Send {
    page.of(running.node.core.addresses()).map(move |known| record_of(&known))
}

/// Finds the address that has this name, which is its identity too.
pub(super) fn find(running: &Running, value: &str) -> Option<Record> {
    let key = AddressRef::parse(value).ok()?;
    running.node.core.address(key).map(|known| record_of(&known))
}

fn record_of(address: &Address) -> Record {
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
    let mut record = Record::new(KIND)
        .with("name", key.as_str())
        .with("identity", key.as_str())
        .with("type", KIND.long_name())
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
