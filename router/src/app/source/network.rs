//! Routers and addresses of the network.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use skupper_proto::address::{AddressClass, Treatment};
use skupper_proto::topology;

use super::timestamp;
use crate::admin::model::{Address, Router};
use crate::app::running::Running;

/// Returns the ids of routers that can be reached.
pub(super) fn reachable(running: &Running) -> BTreeSet<Arc<str>> {
    running
        .node
        .core
        .routers()
        .into_iter()
        .filter(|router| router.route.is_some())
        .map(|router| router.id)
        .collect()
}

/// Returns this router and all others that are known.
pub(super) fn routers(running: &Running) -> Vec<Router> {
    let others = running.node.core.routers();
    let id_of = |index: topology::RouterIndex| {
        others.iter().find(|router| router.router == index).map(|router| router.id.to_string())
    };
    let own = Router {
        id: running.node.core.id().to_string(),
        local: true,
        neighbors: running.node.core.neighbors().iter().map(ToString::to_string).collect(),
        ..Router::default()
    };
    let now = (SystemTime::now(), running.node.clock.now());
    let other = |router: &topology::RouterStatus| Router {
        id: router.id.to_string(),
        local: false,
        next_hop: router.route.and_then(|route| id_of(route.next_hop)),
        cost: router.route.map(|route| route.cost),
        neighbors: router.peers.iter().map(|(id, _)| id.to_string()).collect(),
        last_heard: Some(timestamp(now.0 - now.1.since(router.news))),
    };
    std::iter::once(own).chain(others.iter().map(other)).collect()
}

/// Returns the addresses that are in use.
pub(super) fn addresses(running: &Running) -> Vec<Address> {
    let address = |address: Arc<crate::core::Address>| Address {
        key: format!("{}{}", address.key().class().as_char(), address.key().text()),
        class: match address.key().class() {
            AddressClass::Mobile => "mobile",
            AddressClass::Router => "router",
            AddressClass::Topological => "topological",
            AddressClass::Local => "local",
            AddressClass::Edge => "edge",
            _ => "network",
        }
        .to_owned(),
        treatment: match address.treatment() {
            Treatment::Flood | Treatment::Multicast => "multicast",
            Treatment::Closest => "closest",
            Treatment::Balanced | Treatment::Unavailable => "balanced",
        }
        .to_owned(),
        local_consumers: address.local_consumers() as u64,
        in_process: address.own_handlers() as u64,
        remote_routers: address.remote_routers().iter().map(ToString::to_string).collect(),
    };
    running.node.core.addresses().into_iter().map(address).collect()
}
