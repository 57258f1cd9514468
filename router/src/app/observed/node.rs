//! `router.node`: a router of the network.

use std::collections::HashMap;
use std::time::SystemTime;

use skupper_proto::amqp::Value;
use skupper_proto::topology::RouterStatus;

use crate::agent::Record;
use crate::app::figures::number;
use crate::app::running::Running;
use crate::schema::{EntityKind, Mode};

const KIND: EntityKind = EntityKind::Node;

/// The largest network, in routers, in which a node tells its valid origins. C routers can have as
/// many.
const MAX_ORIGINS: usize = 128;

/// Returns the routers that can be reached, this one first. Without a network there are none.
pub(super) fn all(running: &Running) -> Vec<Record> {
    if running.mode == Mode::Standalone {
        return Vec::new();
    }
    let core = &running.node.core;
    let changed = running.node.clock.now().since(core.last_topology_change());
    let changed =
        (SystemTime::now() - changed).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let own =
        node(core.id(), Some(running.instance), 0, core.neighbors().iter().map(AsRef::as_ref))
            .with("nextHop", "(self)")
            .with("validOrigins", Vec::new())
            .with("lastTopoChange", number(changed.as_secs()));
    let others = core.routers();
    let ids: HashMap<_, _> = others.iter().map(|router| (router.router, &*router.id)).collect();
    // Each router asks for a computation over all others. A large network has no time for that, and
    // only tools read the result.
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
        let mut record = node(&router.id, router.instance, router.router.get(), peers)
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
    id: &str,
    instance: Option<i64>,
    index: usize,
    peers: impl Iterator<Item = &'a str>,
) -> Record {
    Record::new(KIND)
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
        .with("type", KIND.long_name())
}
