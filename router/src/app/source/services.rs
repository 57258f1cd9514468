//! Services: who offers them, and who uses them here.

use std::collections::BTreeMap;

use skupper_proto::address::AddressClass;

use super::network::reachable;
use super::notice;
use crate::admin::model::{Service, ServiceConnector, ServiceListener};
use crate::app::running::Running;
use crate::tcp::{TcpConnector, TcpListener};

/// Returns the services that are offered somewhere, or that a port or a server here names.
pub(super) fn all(running: &Running) -> Vec<Service> {
    let mut services: BTreeMap<String, Service> = BTreeMap::new();
    let reachable = reachable(running);
    for address in running.node.core.addresses() {
        let text = address.key().text();
        // Addresses of flow records and the router's own handlers are no services.
        if address.key().class() != AddressClass::Mobile
            || address.own_handlers() > 0
            || text.starts_with("mc/")
            || text.starts_with("sfe.")
            || text.starts_with("vfcr.")
        {
            continue;
        }
        let mut routers: Vec<_> = address
            .remote_routers()
            .into_iter()
            .filter(|id| reachable.contains(id))
            .map(|id| id.to_string())
            .collect();
        routers.extend(address.edge_peers().iter().map(ToString::to_string));
        if address.is_served_here() {
            routers.insert(0, running.node.core.id().to_string());
        }
        let service = services.entry(text.to_owned()).or_default();
        service.address = text.to_owned();
        service.protocol = "tcp".to_owned();
        service.routers = routers;
    }
    for listener in running.all_of::<TcpListener>() {
        let config = listener.config();
        let (total, open) = listener.stats().connections();
        let (octets_in, octets_out) = listener.stats().octets();
        for (address, _) in listener.services() {
            let service = services.entry(address.to_string()).or_insert_with(|| Service {
                address: address.to_string(),
                protocol: "tcp".to_owned(),
                ..Service::default()
            });
            service.listeners.push(ServiceListener {
                name: config.name.clone(),
                host: config.host.clone(),
                port: config.port.text.clone(),
                listening: listener.is_listening(),
                error: listener.status().error().map(|(since, text)| notice(since, text)),
                connections_open: open,
                connections_total: total,
                octets_in,
                octets_out,
            });
        }
    }
    for connector in running.all_of::<TcpConnector>() {
        let config = connector.config();
        let service = services.entry(config.address.clone()).or_default();
        service.address = config.address.clone();
        let (total, open) = connector.stats().connections();
        let (octets_in, octets_out) = connector.stats().octets();
        service.connectors.push(ServiceConnector {
            name: config.name.clone(),
            host: config.host.clone(),
            port: config.port.text.clone(),
            connections_open: open,
            connections_total: total,
            failed_dials: connector.stats().failed_dials(),
            error: connector.stats().last_failure().map(|(at, text)| notice(at, text)),
            octets_in,
            octets_out,
        });
    }
    services.into_values().collect()
}
