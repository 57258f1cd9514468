//! The running router, as the admin socket, the metrics and the log see it.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use skupper_proto::address::{AddressClass, Treatment};
use skupper_proto::amqp::performative::Error;
use skupper_proto::topology::{self, LinkProblem};

use super::http_port::HttpPort;
use super::running::Running;
use crate::admin::model::{
    Address, Connection, Direction, Link, LinkState, Notice, Peer, Router, Service,
    ServiceConnector, ServiceListener, Source, Status, Tls, Version,
};
use crate::admin::reason::Reason;
use crate::http::metrics::{
    Certificate, HandshakeFailures, LinkMetrics, Memory, Metrics, ServiceMetrics, Side,
};
use crate::http::server::HttpSource;
use crate::log;
use crate::net::{AmqpListener, Known, LinkTrouble, SiteLink};
use crate::node::{ConnectionRecord, ConnectionRole, Protocol, Stage};
use crate::schema::Role;
use crate::socket::{AttemptError, DialError};
use crate::tcp::{TcpConnector, TcpListener};
use crate::tls::SessionInfo;

/// A peer's release before this one carries services in another way.
const OLDEST_RELEASE: u64 = 3;

impl Running {
    /// How a control connection stands with the routing protocol: state and reason.
    fn standing(&self, known: &Known) -> (LinkState, Option<Reason>, bool) {
        if known.own_id {
            return (
                LinkState::NotConnected,
                Some(Reason::OwnRouterId { id: self.node.core.id().to_string() }),
                false,
            );
        }
        let Some(trunk) = &known.trunk else {
            return (LinkState::Connecting, Some(Reason::AwaitingControlLinks), false);
        };
        let status = self.node.core.link_status(trunk.id());
        match status.as_ref().and_then(|status| status.problem.as_ref()) {
            Some(LinkProblem::DuplicateId | LinkProblem::Loop) => {
                return (
                    LinkState::NotConnected,
                    Some(Reason::OwnRouterId { id: self.node.core.id().to_string() }),
                    false,
                );
            }
            Some(LinkProblem::NewerVersion(theirs)) => {
                let theirs = u32::try_from(*theirs).unwrap_or(u32::MAX);
                return (
                    LinkState::NotConnected,
                    Some(Reason::NewerProtocol { theirs, ours: 1 }),
                    false,
                );
            }
            _ => {}
        }
        let heard = status.as_ref().is_some_and(|status| status.heard.is_some());
        let confirmed = status.is_some_and(|status| status.confirmed.is_some());
        if heard && confirmed {
            return (LinkState::Active, too_old(known), true);
        }
        (LinkState::Connecting, Some(Reason::AwaitingHello { heard }), false)
    }

    fn outgoing_link(&self, link: &SiteLink, records: &[Arc<ConnectionRecord>]) -> Link {
        let report = link.report();
        let config = link.config();
        let router = config.role == Role::InterRouter;
        let (state, reason, hello) = match (&report.trouble, report.known.opened) {
            (_, true) if router => self.standing(&report.known),
            (_, true) => (LinkState::Active, stands_by(&report.known), false),
            (None, false) if report.connecting => {
                (LinkState::Connecting, Some(Reason::Connecting), false)
            }
            (None, false) => (LinkState::NotConnected, Some(Reason::NeverTried), false),
            (Some(trouble), false) => {
                (LinkState::NotConnected, Some(reason(trouble, self.node.core.id())), false)
            }
        };
        let octets = octets_of(records, config.name.as_str());
        Link {
            name: config.name.clone(),
            direction: Direction::Out,
            role: config.role.as_str().to_owned(),
            host: config.host.clone(),
            port: config.port.text.clone(),
            cost: config.cost,
            state,
            reason,
            since: timestamp(report.since.0),
            since_seconds: self.node.clock.now().since(report.since.1).as_secs(),
            failures: report.failures,
            next_try: report.next_try.filter(|_| !report.known.opened).map(timestamp),
            peer: peer(&report.known),
            data_connections: u32::try_from(report.data_connections).unwrap_or(u32::MAX),
            data_connections_wanted: if router {
                u32::try_from(self.node.data_connections).unwrap_or(u32::MAX)
            } else {
                0
            },
            control_links: report.known.control_links,
            hello,
            tls: report.known.tls.as_deref().map(tls),
            octets_in: octets.0,
            octets_out: octets.1,
        }
    }

    /// Links that other sites hold to a listener of ours.
    fn incoming_links(
        &self,
        listener: &AmqpListener,
        records: &[Arc<ConnectionRecord>],
    ) -> Vec<Link> {
        let role = listener.config().role;
        if !matches!(role, Role::InterRouter | Role::Edge | Role::InterEdge) {
            return Vec::new();
        }
        let link = |(id, standing): (u64, Arc<crate::net::Standing>)| {
            let known = standing.get();
            // Connections come by number.
            let record = &records[records.binary_search_by_key(&id, |record| record.id).ok()?];
            let record =
                Some(record).filter(|record| record.role == ConnectionRole::Configured(role))?;
            let (state, reason, hello) = if role == Role::InterRouter {
                self.standing(&known)
            } else {
                (LinkState::Active, None, false)
            };
            let group = |other: &&Arc<ConnectionRecord>| {
                other.role == ConnectionRole::InterRouterData
                    && !other.outgoing
                    && other.container == record.container
            };
            let data: Vec<_> = records.iter().filter(group).collect();
            let octets = data
                .iter()
                .map(|record| record.octets.get())
                .fold(record.octets.get(), |sum, one| (sum.0 + one.0, sum.1 + one.1));
            let host = record.host.to_string();
            let (host, port) = host.rsplit_once(':').unwrap_or((&host, ""));
            Some(Link {
                name: listener.config().name.clone(),
                direction: Direction::In,
                role: role.as_str().to_owned(),
                host: host.to_owned(),
                port: port.to_owned(),
                cost: known
                    .trunk
                    .as_ref()
                    .map_or_else(|| listener.config().cost, |trunk| trunk.cost()),
                state,
                reason,
                since: timestamp(record.opened.0),
                since_seconds: self.node.clock.now().since(record.opened.1).as_secs(),
                peer: peer(&known),
                data_connections: u32::try_from(data.len()).unwrap_or(u32::MAX),
                data_connections_wanted: u32::try_from(data.len()).unwrap_or(u32::MAX),
                control_links: known.control_links,
                hello,
                tls: known.tls.as_deref().map(tls),
                octets_in: octets.0,
                octets_out: octets.1,
                ..Link::default()
            })
        };
        listener.connections().into_iter().filter_map(link).collect()
    }

    /// Links that are attached: the control links of trunks, and the two ends of every service
    /// connection. The links that carry streams between routers come and go with the streams,
    /// and are known to their connections alone.
    pub(super) fn links_attached(&self, records: &[Arc<ConnectionRecord>]) -> u64 {
        let outgoing = self.all_of::<SiteLink>().into_iter().map(|link| link.report().known);
        let incoming = self
            .all_of::<AmqpListener>()
            .into_iter()
            .flat_map(|listener| listener.connections())
            .map(|(_, standing)| standing.get());
        let control: u64 =
            outgoing.chain(incoming).map(|known| u64::from(known.control_links)).sum();
        control
            + 2 * records.iter().filter(|record| record.protocol() == Protocol::Tcp).count() as u64
    }

    /// Routers that can be reached, by id.
    fn reachable(&self) -> BTreeSet<Arc<str>> {
        self.node
            .core
            .routers()
            .into_iter()
            .filter(|router| router.route.is_some())
            .map(|router| router.id)
            .collect()
    }
}

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
            routers_reachable: self.reachable().len() as u64,
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
        let records = self.node.registry.connections();
        let mut links: Vec<_> = self
            .all_of::<SiteLink>()
            .iter()
            .map(|link| self.outgoing_link(link, &records))
            .collect();
        links.extend(
            self.all_of::<AmqpListener>()
                .iter()
                .flat_map(|listener| self.incoming_links(listener, &records)),
        );
        links
    }

    fn services(&self) -> Vec<Service> {
        let mut services: BTreeMap<String, Service> = BTreeMap::new();
        let reachable = self.reachable();
        for address in self.node.core.addresses() {
            let text = address.key().text();
            // Routers' flow records are no services, nor is what every router has for itself.
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
                routers.insert(0, self.node.core.id().to_string());
            }
            let service = services.entry(text.to_owned()).or_default();
            service.address = text.to_owned();
            service.protocol = "tcp".to_owned();
            service.routers = routers;
        }
        for listener in self.all_of::<TcpListener>() {
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
        for connector in self.all_of::<TcpConnector>() {
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
        let others = self.node.core.routers();
        let id_of = |index: topology::RouterIndex| {
            others.iter().find(|router| router.router == index).map(|router| router.id.to_string())
        };
        let own = Router {
            id: self.node.core.id().to_string(),
            local: true,
            neighbors: self.node.core.neighbors().iter().map(ToString::to_string).collect(),
            ..Router::default()
        };
        let now = (SystemTime::now(), self.node.clock.now());
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

    fn addresses(&self) -> Vec<Address> {
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
            in_process: 0,
            remote_routers: address.remote_routers().iter().map(ToString::to_string).collect(),
        };
        self.node.core.addresses().into_iter().map(address).collect()
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

impl HttpSource for Running {
    fn healthy(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            for shard in 0..self.node.shards.count() {
                let (answer, answered) = tokio::sync::oneshot::channel();
                self.node.shards.spawn(shard, async move {
                    // Nobody waits any more: then nobody minds.
                    let _ = answer.send(());
                });
                if answered.await.is_err() {
                    // A shard that has stopped never answers.
                    std::future::pending::<()>().await;
                }
            }
            // The tables' lock is free.
            let _ = self.node.core.last_topology_change();
        })
    }

    fn metrics(&self) -> Metrics {
        let counters = self.node.core.counters();
        let records = self.node.registry.connections();
        let of = |protocol: Protocol| {
            records.iter().filter(|record| record.protocol() == protocol).count() as u64
        };
        let changed = self.node.clock.now().since(self.node.core.last_topology_change());
        let changed = (SystemTime::now() - changed)
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let mut services = Vec::new();
        for listener in self.all_of::<TcpListener>() {
            // One that has several addresses counts by its own name.
            let config = listener.config();
            let address = config.address.clone().unwrap_or_else(|| config.name.clone());
            services.push(service_metrics(address, Side::Listener, listener.stats()));
        }
        for connector in self.all_of::<TcpConnector>() {
            services.push(service_metrics(
                connector.config().address.clone(),
                Side::Connector,
                connector.stats(),
            ));
        }
        let certificates = self.profiles().into_iter().filter_map(|(profile, in_force)| {
            let not_after = in_force.loaded()?.certificate()?.not_after.as_second();
            Some(Certificate {
                profile,
                kind: "own",
                not_after: u64::try_from(not_after).unwrap_or_default(),
            })
        });
        Metrics {
            connections: records.len() as u64,
            links: self.links_attached(&records),
            addresses: self.node.core.address_count() as u64,
            routers: 1 + self.node.core.routers().len() as u64,
            presettled_deliveries: counters.presettled(),
            dropped_presettled_deliveries: counters.dropped_presettled(),
            accepted_deliveries: counters.accepted(),
            released_deliveries: counters.released(),
            rejected_deliveries: counters.rejected(),
            modified_deliveries: counters.modified(),
            deliveries_ingress: counters.ingress(),
            deliveries_egress: counters.egress(),
            deliveries_transit: counters.transit(),
            last_topology_change: changed.as_secs(),
            buffer_bytes: self.node.core.account().held() as u64,
            memory: Memory::now(),
            pools: super::records::pools(self),
            tcp_service_connections: of(Protocol::Tcp),
            amqp_service_connections: of(Protocol::Amqp),
            services,
            site_links: self
                .links()
                .into_iter()
                .filter(|link| link.direction == Direction::Out)
                .map(|link| LinkMetrics { up: link.state == LinkState::Active, name: link.name })
                .collect(),
            handshake_failures: self
                .node
                .registry
                .refused()
                .into_iter()
                .map(|((listener, reason), count)| HandshakeFailures { listener, reason, count })
                .collect(),
            certificates: certificates.collect(),
            ..Metrics::default()
        }
    }
}

/// The octets received and sent by all connections of a connector.
fn octets_of(records: &[Arc<ConnectionRecord>], entity: &str) -> (u64, u64) {
    let of = |record: &&Arc<ConnectionRecord>| {
        &*record.entity == entity && record.outgoing && record.protocol() == Protocol::Amqp
    };
    records
        .iter()
        .filter(of)
        .map(|record| record.octets.get())
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

fn service_metrics(address: String, side: Side, stats: &crate::tcp::Stats) -> ServiceMetrics {
    let (opened, open) = stats.connections();
    let (octets_in, octets_out) = stats.octets();
    let (dial_failures, stalled_resets) = (stats.failed_dials(), stats.resets_for_memory());
    ServiceMetrics {
        address,
        protocol: "tcp",
        side,
        opened,
        open,
        octets_in,
        octets_out,
        dial_failures,
        stalled_resets,
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

fn peer(known: &Known) -> Option<Peer> {
    let container = known.container.as_ref()?;
    Some(Peer { router_id: container.to_string(), version: known.version.clone() })
}

/// Of an edge router's links one is in use.
fn stands_by(known: &Known) -> Option<Reason> {
    known.edge.as_ref().is_some_and(|edge| !edge.is_active()).then_some(Reason::StandsBy)
}

/// A peer of release 2.x passes messages, and carries services in a way of its own.
fn too_old(known: &Known) -> Option<Reason> {
    let version = known.version.as_ref()?;
    let major: u64 = version.split('.').next()?.parse().ok()?;
    // Builds outside of a release call themselves 0.0.0, and this router 0.x.
    (major > 0 && major < OLDEST_RELEASE).then(|| Reason::PeerTooOld { version: version.clone() })
}

fn reason(trouble: &LinkTrouble, own: &str) -> Reason {
    match trouble {
        LinkTrouble::Dial(error) => dial_reason(error),
        LinkTrouble::Tls(error) => Reason::from(error),
        LinkTrouble::NoAmqp(text) => Reason::NotAmqp { got: text.clone() },
        LinkTrouble::Sasl(text) => Reason::NotAuthenticated { error: text.clone() },
        LinkTrouble::Role(text) => {
            Reason::RoleMismatch { ours: "inter-router".to_owned(), theirs: text.clone() }
        }
        LinkTrouble::OwnId => Reason::OwnRouterId { id: own.to_owned() },
        LinkTrouble::PeerHoldsFormer => Reason::PeerHoldsFormer,
        LinkTrouble::ClosedByPeer(Error { condition, description, .. }) => Reason::ClosedByPeer {
            condition: condition.to_string(),
            description: description.clone().unwrap_or_default(),
        },
        LinkTrouble::Lost(text) => Reason::Lost { error: text.clone() },
        LinkTrouble::TimedOut(what) => Reason::TimedOut { stage: (*what).to_owned(), seconds: 10 },
    }
}

fn dial_reason(error: &DialError) -> Reason {
    match error {
        DialError::Name(error) => {
            Reason::NameNotResolved { host: error.host.clone(), error: error.failure.to_string() }
        }
        DialError::Connect { attempts, .. } => {
            let last = attempts.last();
            let address = attempts
                .iter()
                .map(|(address, _)| address.to_string())
                .collect::<Vec<_>>()
                .join(", ");
            match last.map(|(_, error)| error) {
                _ if error.is_refused() => Reason::Refused { address },
                Some(AttemptError::TimedOut(after)) => Reason::TimedOut {
                    stage: format!("TCP to {address}"),
                    seconds: after.as_secs(),
                },
                _ => Reason::Unreachable { address, error: error.to_string() },
            }
        }
    }
}

/// Writes a notice of the routing protocol to the log.
pub(super) fn log_notice(notice: &topology::Notice) {
    use topology::Notice as N;
    match notice {
        N::NeighborUp { id, cost, .. } => {
            log!(RouterHello, Info, "HELLO neighbor {id} is up, cost {cost}")
        }
        N::NeighborMoved { id, .. } => {
            log!(RouterHello, Info, "neighbor {id} is reached by another connection now")
        }
        N::NeighborLost { id } => log!(RouterHello, Info, "HELLO neighbor {id} is lost"),
        N::Restarted { id } => log!(RouterLs, Info, "router {id} started anew"),
        N::Problem { problem: LinkProblem::DuplicateId, .. } => {
            log!(
                RouterHello,
                Critical,
                "Detected a duplicate of this router's own id at a neighbor, which is ignored"
            );
        }
        N::Problem { problem: LinkProblem::Loop, .. } => {
            log!(RouterHello, Error, "a link leads back to this router itself, and is ignored");
        }
        // Told once for the router, below.
        N::Problem { problem: LinkProblem::NewerVersion(_), .. } => {}
        N::Problem { problem: LinkProblem::TooManyRouters, .. } => {
            log!(RouterHello, Error, "a neighbor is ignored: too many routers are known");
        }
        N::Problem { problem: LinkProblem::SecondRouter(id), .. } => {
            log!(
                RouterHello,
                Error,
                "router {id} is heard on the link of another router, and is ignored there"
            );
        }
        N::Problem { problem: LinkProblem::SecondLife(id), .. } => {
            log!(
                RouterHello,
                Error,
                "a neighbor uses the id of the neighbor {id}, which is connected, and is ignored"
            );
        }
        N::NewerVersion { id, version } => {
            log!(
                RouterLs,
                Warning,
                "router {id} speaks version {version} of the routing protocol, which is newer; it is ignored"
            );
        }
        N::TooManyRouters { id } => {
            log!(RouterLs, Error, "router {id} is ignored: too many routers are known")
        }
        N::TooManyAddresses { id } => log!(
            RouterMa,
            Error,
            "router {id} serves more addresses than routers keep: clients' addresses at that router are the first to be left out"
        ),
    }
}
