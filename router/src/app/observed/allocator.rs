//! `allocator`: what the router keeps, in number and size.

use crate::agent::Record;
use crate::app::figures::number;
use crate::app::running::Running;
use crate::core::Address;
use crate::http::metrics::Pool;
use crate::node::{ConnectionRecord, LinkRecord};
use crate::schema::EntityKind;

const KIND: EntityKind = EntityKind::Allocator;

/// Returns what the router keeps. It has no pools, so nothing is free or moves between threads.
pub(super) fn all(running: &Running) -> Vec<Record> {
    let record = |Pool { name, size, held }: Pool| {
        Record::new(KIND)
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
            .with("type", KIND.long_name())
    };
    pools(running).into_iter().map(record).collect()
}

/// Returns what the router keeps, under the names that C routers' tools look for.
pub(in crate::app) fn pools(running: &Running) -> Vec<Pool> {
    let node = &running.node;
    let pool = |name, size: usize, held: usize| Pool { name, size: size as u64, held: held as u64 };
    vec![
        pool("qdr_connection_t", size_of::<ConnectionRecord>(), node.registry.all().count()),
        pool("qdr_link_t", size_of::<LinkRecord>(), node.registry.links().count()),
        pool("qdr_address_t", size_of::<Address>(), node.core.address_count()),
    ]
}
