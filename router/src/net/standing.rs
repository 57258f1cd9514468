//! The standing of one connection, which its task writes and status reads.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use crate::core::{EdgeConnection, Trunk};
use crate::lock::{Mutex, MutexGuard};
use crate::tls::SessionInfo;

/// The facts about one connection.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The peer's open has arrived.
    pub opened: bool,
    /// The peer's container-id.
    pub container: Option<Arc<str>>,
    /// The peer's release.
    pub version: Option<String>,
    /// Its TLS.
    pub tls: Option<Arc<SessionInfo>>,
    /// Attached control links, of two.
    pub control_links: u8,
    /// The trunk, while both are attached.
    pub trunk: Option<Arc<Trunk>>,
    /// The edge connection, while it is open.
    pub edge: Option<Arc<EdgeConnection>>,
    /// The peer has this router's id.
    pub own_id: bool,
}

/// A cell with the facts about one connection.
#[derive(Debug, Default)]
pub struct Standing {
    known: Mutex<Known>,
    _entry: Option<Entry>,
}

/// The connections of one listener that have not ended, by number.
#[derive(Debug, Default)]
pub(super) struct Roster(Mutex<BTreeMap<u64, Weak<Standing>>>);

/// A connection's place in a roster. Dropping it removes the connection.
#[derive(Debug)]
struct Entry {
    roster: Arc<Roster>,
    id: u64,
}

impl Roster {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Weak<Standing>>> {
        self.0.lock()
    }

    /// Enters a connection. It leaves the roster with the last handle of the returned cell.
    pub(super) fn enter(self: &Arc<Self>, id: u64) -> Arc<Standing> {
        let entry = Some(Entry { roster: Arc::clone(self), id });
        let standing = Arc::new(Standing { known: Mutex::default(), _entry: entry });
        self.lock().insert(id, Arc::downgrade(&standing));
        standing
    }

    /// Returns the connections.
    pub(super) fn connections(&self) -> Vec<(u64, Arc<Standing>)> {
        self.lock().iter().filter_map(|(id, standing)| Some((*id, standing.upgrade()?))).collect()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.roster.lock().remove(&self.id);
    }
}

impl Standing {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock()
    }

    /// Returns the facts.
    pub fn get(&self) -> Known {
        self.lock().clone()
    }

    pub(super) fn set_opened(
        &self,
        container: &Arc<str>,
        version: Option<&str>,
        tls: Option<&Arc<SessionInfo>>,
    ) {
        let mut known = self.lock();
        known.opened = true;
        known.container = Some(Arc::clone(container));
        known.version = version.map(str::to_owned);
        known.tls = tls.map(Arc::clone);
    }

    pub(super) fn set_control_links(&self, attached: u8) {
        self.lock().control_links = attached;
    }

    pub(super) fn set_trunk(&self, trunk: Option<Arc<Trunk>>) {
        self.lock().trunk = trunk;
    }

    pub(super) fn set_edge(&self, edge: Option<Arc<EdgeConnection>>) {
        self.lock().edge = edge;
    }

    pub(super) fn set_own_id(&self) {
        self.lock().own_id = true;
    }

    /// Forgets the facts about a connection that is gone, except for the peer's identity.
    pub(super) fn reset(&self) {
        let mut known = self.lock();
        *known = Known {
            container: known.container.take(),
            version: known.version.take(),
            ..Known::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_roster_keeps_nothing_of_connections_that_have_ended() {
        let roster = Arc::<Roster>::default();
        let first = roster.enter(0);
        for id in 1..10_000 {
            drop(roster.enter(id));
        }
        assert_eq!(roster.lock().len(), 1);
        assert_eq!(roster.connections().iter().map(|(id, _)| *id).collect::<Vec<_>>(), [0]);
        drop(first);
        assert!(roster.lock().is_empty());
    }
}
