//! The running router as the admin socket tells it.

mod links;
mod network;
mod reasons;
mod services;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
pub(super) use links::all as links;

use super::http_port::HttpPort;
use super::running::Running;
use crate::admin::model::{
    Address, Connection, Direction, Link, LinkState, Notice, Router, Service, Source, Status, Tls,
    Version,
};
use crate::log;
use crate::net::AmqpListener;
use crate::node::{ConnectionRecord, Protocol, Stage};
use crate::tcp::TcpListener;
use crate::tls::SessionInfo;

impl Source for Running {
    fn status(&self) -> Status {
        let links = self.links();
        let records = self.node.registry.connections();
        let of = |protocol: Protocol| {
            records.iter().filter(|record| record.protocol() == protocol).count() as u64
        };
        let linked: BTreeSet<_> = links
            .iter()
            .filter(|link| link.state == LinkState::Active)
            .filter_map(|link| link.peer.as_ref().map(|peer| peer.router_id.clone()))
            .collect();
        let configured = links.iter().filter(|link| link.direction == Direction::Out);
        let mut warnings: Vec<_> =
            self.warnings.iter().map(|text| notice(self.started, text.clone())).collect();
        let (listeners, http) = (self.all_of::<AmqpListener>(), self.all_of::<HttpPort>());
        let ports = listeners
            .iter()
            .map(|listener| (listener.config().name.as_str(), listener.status().error()));
        let http = http.iter().map(|port| (port.config().name.as_str(), port.status().error()));
        for (name, error) in ports.chain(http) {
            warnings.extend(
                error.map(|(since, error)| notice(since, format!("listener {name}: {error}"))),
            );
        }
        for listener in self.all_of::<TcpListener>() {
            let name = &listener.config().name;
            warnings.extend(
                listener
                    .status()
                    .error()
                    .map(|(since, error)| notice(since, format!("tcpListener {name}: {error}"))),
            );
        }
        Status {
            router_id: self.node.core.id().to_string(),
            mode: self.mode.as_str().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            site: self.site.as_ref().map(|site| site.name.clone()),
            started: timestamp(self.started),
            uptime_seconds: self.node.clock.uptime().as_secs(),
            sites_linked: linked.len() as u64,
            links_configured: configured.clone().count() as u64,
            links_active: configured.filter(|link| link.state == LinkState::Active).count() as u64,
            routers_reachable: network::reachable(self).len() as u64,
            services_seen: self
                .services()
                .iter()
                .filter(|service| !service.routers.is_empty())
                .count() as u64,
            amqp_connections: of(Protocol::Amqp),
            service_connections: of(Protocol::Tcp),
            draining: *self.node.stage.borrow() >= Stage::Draining,
            warnings,
            errors: log::recent_errors()
                .into_iter()
                .map(|recent| Notice { at: recent.at, count: recent.count, text: recent.text })
                .collect(),
        }
    }

    fn links(&self) -> Vec<Link> {
        links::all(self)
    }

    fn services(&self) -> Vec<Service> {
        services::all(self)
    }

    fn connections(&self) -> Vec<Connection> {
        let now = self.node.clock.now();
        let connection = |record: Arc<ConnectionRecord>| {
            let (octets_in, octets_out) = record.octets.get();
            Connection {
                id: record.id,
                protocol: record.protocol().as_str().to_owned(),
                role: record.role.as_str().to_owned(),
                direction: if record.outgoing { Direction::Out } else { Direction::In },
                host: record.host.to_string(),
                entity: record.entity.to_string(),
                container: record.container.as_deref().map(str::to_owned),
                address: record.address.as_deref().map(str::to_owned),
                tls: record.tls.as_deref().map(tls),
                opened: timestamp(record.opened.0),
                uptime_seconds: now.since(record.opened.1).as_secs(),
                octets_in,
                octets_out,
            }
        };
        self.node.registry.connections().into_iter().map(connection).collect()
    }

    fn routers(&self) -> Vec<Router> {
        network::routers(self)
    }

    fn addresses(&self) -> Vec<Address> {
        network::addresses(self)
    }

    fn version(&self) -> Version {
        Version {
            name: "skrouterd".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: 1,
            router_id: self.node.core.id().to_string(),
        }
    }
}

fn timestamp(at: SystemTime) -> Timestamp {
    Timestamp::try_from(at).unwrap_or_default()
}

fn notice(at: SystemTime, text: String) -> Notice {
    Notice { at: timestamp(at), count: 1, text }
}

fn tls(info: &SessionInfo) -> Tls {
    Tls {
        version: info.protocol.to_owned(),
        cipher: info.cipher.to_owned(),
        peer_subject: info.peer.as_ref().map(|peer| peer.subject.clone()),
        peer_not_after: info.peer.as_ref().map(|peer| peer.not_after),
    }
}
