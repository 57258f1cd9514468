//! The parts of the core that status and metrics read.

use std::sync::Arc;

use skupper_proto::time::Instant;
use skupper_proto::topology::{LinkStatus, RouterIndex, RouterStatus};

use super::tables::Core;
use super::trunk::{Trunk, TrunkId};

impl Core {
    /// Returns the state of the routing protocol on a trunk's control link.
    pub fn link_status(&self, trunk: TrunkId) -> Option<LinkStatus> {
        self.lock().routing.links().find(|status| status.link == trunk).cloned()
    }

    /// Returns all trunks.
    pub fn trunks(&self) -> Vec<Arc<Trunk>> {
        self.lock().trunks.values().map(|(trunk, _)| Arc::clone(trunk)).collect()
    }

    /// Returns the other routers, reachable or not.
    pub fn routers(&self) -> Vec<RouterStatus> {
        self.lock().routing.routers().collect()
    }

    /// Returns the ids of those of `routers` whose messages for `destination` pass through here.
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

    /// Returns the neighbors' ids.
    pub fn neighbors(&self) -> Vec<Arc<str>> {
        self.lock().routing.neighbors().map(|neighbor| Arc::clone(&neighbor.id)).collect()
    }

    /// Returns when the topology last changed.
    pub fn last_topology_change(&self) -> Instant {
        self.lock().routing.last_change()
    }
}
