//! The next hop toward each router, as a snapshot.

use std::sync::Arc;

use skupper_proto::keys::KeyMap;
use skupper_proto::topology;

use super::trunk::{Trunk, TrunkId};

/// The next hops toward all routers.
#[derive(Debug)]
pub(super) struct NextHops {
    pub(super) table: Arc<topology::Routes>,
    pub(super) trunks: KeyMap<TrunkId, Arc<Trunk>>,
}

/// The next hop toward a router, and the cost of the whole way.
pub(super) struct NextHop<'a> {
    pub(super) cost: u64,
    pub(super) trunk: &'a Arc<Trunk>,
}

impl NextHops {
    pub(super) fn get(&self, router: &str) -> Option<NextHop<'_>> {
        let route = self.table.route(self.table.router(router)?)?;
        Some(NextHop { cost: route.cost, trunk: self.trunks.get(&route.link)? })
    }
}
