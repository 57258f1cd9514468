//! Entities that the router makes itself: they tell what it does. One file for each type.

mod address;
mod allocator;
pub(super) mod connection;
mod link;
mod log_stats;
mod node;
mod router_metrics;
mod vhost_stats;

pub(super) use allocator::pools;

use super::running::Running;
use crate::agent::{By, Entities, Page, Record};
use crate::schema::EntityKind;

/// Returns the entities of a type; `None` for types that others create.
pub(super) fn entities(running: &Running, kind: EntityKind, page: Page) -> Option<Entities<'_>> {
    Some(match kind {
        EntityKind::Connection => Box::new(connection::all(running, page)),
        EntityKind::Link => Box::new(link::all(running, page)),
        EntityKind::Address => Box::new(address::all(running, page)),
        EntityKind::Node => Box::new(page.of(node::all(running))),
        EntityKind::RouterMetrics => Box::new(page.of([router_metrics::one(running)])),
        EntityKind::LogStats => Box::new(page.of(log_stats::all())),
        EntityKind::Allocator => Box::new(page.of(allocator::all(running))),
        EntityKind::VhostStats => Box::new(page.of(vhost_stats::all(running))),
        _ => return None,
    })
}

/// Finds the entities of a type that have this name or identity; `None` for types that others
/// create. Where there may be many, it does not look at all of them.
pub(super) fn find(
    running: &Running,
    kind: EntityKind,
    by: By,
    value: &str,
) -> Option<Vec<Record>> {
    let found: Vec<Record> = match (kind, by) {
        (EntityKind::Connection, By::Identity) => {
            connection::find(running, value).into_iter().collect()
        }
        (EntityKind::Link, by) => link::find(running, by, value),
        (EntityKind::Address, _) => address::find(running, value).into_iter().collect(),
        _ => entities(running, kind, Page::ALL)?.collect(),
    };
    Some(found.into_iter().filter(|record| record.text(by.attribute()) == Some(value)).collect())
}
