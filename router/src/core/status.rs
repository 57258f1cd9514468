//! What status and metrics read of the core.

use std::sync::Arc;

use skupper_proto::time::Instant;
use skupper_proto::topology::{LinkStatus, RouterIndex, RouterStatus};

use super::tables::Core;
use super::trunk::{Trunk, TrunkId};

impl Core {
    /// How the routing protocol stands on a trunk's control link.
    pub fn link_status(&self, trunk: TrunkId) -> Option<LinkStatus> {
        self.lock().routing.links().find(|status| status.link == trunk).cloned()
    }

    /// The trunks there are.
    pub fn trunks(&self) -> Vec<Arc<Trunk>> {
        self.lock().trunks.values().map(|(trunk, _)| Arc::clone(trunk)).collect()
    }

    /// The other routers, reachable or not.
    pub fn routers(&self) -> Vec<RouterStatus> {
        self.lock().routing.routers().collect()
    }

    /// Of these routers, the ids of those whose messages for `destination` pass through here.
    pub fn valid_origins<'a>(
        &self,
        destination: RouterIndex,
        routers: &'a [RouterStatus],
    ) -> Vec<&'a str> {
        let routes = self.next_hops.load();
        let passes = |origin: &&RouterStatus| {
            origin.router != destination && routes.table.is_valid_origin(origin.router, destination)
        };
        routers.iter().filter(passes).map(|router| &*router.id).collect()
    }

    /// The neighbors' ids.
    pub fn neighbors(&self) -> Vec<Arc<str>> {
        self.lock().routing.neighbors().map(|neighbor| Arc::clone(&neighbor.id)).collect()
    }

    /// When the topology changed last.
    pub fn last_topology_change(&self) -> Instant {
        self.lock().routing.last_change()
    }
}
