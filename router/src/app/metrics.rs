//! The running router as the HTTP listener tells it: whether it is healthy, and its metrics.

use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use super::running::Running;
use super::{observed, source};
use crate::admin::model::{Direction, LinkState};
use crate::http::metrics::{
    Certificate, Deliveries, HandshakeFailures, LinkMetrics, Memory, Metrics, ServiceMetrics, Side,
};
use crate::http::server::HttpSource;
use crate::net::{AmqpListener, SiteLink};
use crate::node::{ConnectionRecord, Protocol};
use crate::tcp::{Stats, TcpConnector, TcpListener};

impl HttpSource for Running {
    fn healthy(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            for shard in 0..self.node.shards.count() {
                let (answer, answered) = tokio::sync::oneshot::channel();
                self.node.shards.spawn(shard, async move {
                    // An error means that the caller of the probe has gone.
                    let _ = answer.send(());
                });
                if answered.await.is_err() {
                    // A stopped shard never answers.
                    std::future::pending::<()>().await;
                }
            }
            // This takes the lock of the tables, which shows that it is free.
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
            // A tcpListener with several addresses counts by its own name.
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
            links: links_attached(self, &records),
            addresses: self.node.core.address_count() as u64,
            routers: 1 + self.node.core.routers().len() as u64,
            deliveries: Deliveries {
                presettled: counters.presettled(),
                dropped_presettled: counters.dropped_presettled(),
                accepted: counters.accepted(),
                released: counters.released(),
                rejected: counters.rejected(),
                modified: counters.modified(),
                ingress: counters.ingress(),
                egress: counters.egress(),
                transit: counters.transit(),
                ..Deliveries::default()
            },
            last_topology_change: changed.as_secs(),
            buffer_bytes: self.node.core.account().held() as u64,
            memory: Memory::now(),
            pools: observed::pools(self),
            tcp_service_connections: of(Protocol::Tcp),
            amqp_service_connections: of(Protocol::Amqp),
            services,
            site_links: source::links(self)
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

/// Counts the links that are attached: the control links of trunks, and the two ends of every
/// service connection. Links that carry streams between routers come and go with the streams, so
/// only their connections count them.
fn links_attached(running: &Running, records: &[Arc<ConnectionRecord>]) -> u64 {
    let outgoing = running.all_of::<SiteLink>().into_iter().map(|link| link.report().known);
    let incoming = running
        .all_of::<AmqpListener>()
        .into_iter()
        .flat_map(|listener| listener.connections())
        .map(|(_, standing)| standing.get());
    let control: u64 = outgoing.chain(incoming).map(|known| u64::from(known.control_links)).sum();
    control + 2 * records.iter().filter(|record| record.protocol() == Protocol::Tcp).count() as u64
}

fn service_metrics(address: String, side: Side, stats: &Stats) -> ServiceMetrics {
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
