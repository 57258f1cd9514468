//! Renders the answer of `/metrics`, in the text form of Prometheus.
//!
//! There are two groups:
//!
//! * Metrics without labels have the names, types and two-line form (`# TYPE`, value, no help) of
//!   the C router, so that its dashboards work unchanged. So do its four metrics for each pool of
//!   memory (`<type>:allocated` and so on), for the pools that this router has too.
//! * Metrics named `skrouterd_...` carry labels and a help text. The C router lacks them.
//!
//! Label values come from the configuration or from another router, so their number is bounded.
//! Services beyond the first [`SERIES_LIMIT`] are added up under the address `other`. Other series
//! are cut off there.

use std::collections::HashMap;

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};
use thiserror::Error;

/// Most addresses, links, listeners or certificates with series of their own.
pub const SERIES_LIMIT: usize = 1000;

/// The address under which services beyond [`SERIES_LIMIT`] are added up.
const OTHER: &str = "other";

/// The figures of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Open AMQP connections.
    pub connections: u64,
    /// Attached AMQP links.
    pub links: u64,
    /// Entries of the address table.
    pub addresses: u64,
    /// Routers known, this one included.
    pub routers: u64,
    /// Deliveries since start.
    pub deliveries: Deliveries,
    /// Links without credit for more than ten seconds at this moment.
    pub links_blocked: u64,
    /// Seconds since the epoch.
    pub last_topology_change: u64,
    /// Bytes in the router's buffers.
    pub buffer_bytes: u64,
    /// Memory of the process.
    pub memory: Memory,
    /// Open service connections that are not known to carry HTTP.
    pub tcp_service_connections: u64,
    /// Open AMQP connections of clients.
    pub amqp_service_connections: u64,
    /// Open service connections that carry HTTP/1.
    pub http1_service_connections: u64,
    /// Open service connections that carry HTTP/2.
    pub http2_service_connections: u64,
    /// The router's objects, by kind.
    pub pools: Vec<Pool>,

    /// Services, oldest first. The first ones keep their own series.
    pub services: Vec<ServiceMetrics>,
    /// Site links configured here.
    pub site_links: Vec<LinkMetrics>,
    /// Refused handshakes.
    pub handshake_failures: Vec<HandshakeFailures>,
    /// Certificates in use.
    pub certificates: Vec<Certificate>,
}

/// Counts of deliveries. For a field without a doc, see the metric of the same name in [`PLAIN`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the metrics")]
pub struct Deliveries {
    pub presettled: u64,
    pub dropped_presettled: u64,
    pub accepted: u64,
    pub released: u64,
    pub rejected: u64,
    pub modified: u64,
    pub ingress: u64,
    pub egress: u64,
    pub transit: u64,
    pub delayed_1sec: u64,
    pub delayed_10sec: u64,
    /// Deliveries that are undelivered or unsettled for more than ten seconds at this moment.
    pub stuck: u64,
}

/// The router's objects of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// Their name.
    pub name: &'static str,
    /// Bytes of one object.
    pub size: u64,
    /// Number of objects.
    pub held: u64,
}

/// The side of the service connections that a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Clients at a `tcpListener`.
    Listener,
    /// Backends of a `tcpConnector`.
    Connector,
}

/// The listeners, or the connectors, of one address together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceMetrics {
    /// Address of the service.
    pub address: String,
    /// `tcp`, `http1` or `http2`.
    pub protocol: &'static str,
    /// The side of the counted connections.
    pub side: Side,
    /// Connections opened since start.
    pub opened: u64,
    /// Connections open at this moment.
    pub open: u64,
    /// Bytes received from clients or backends.
    pub octets_in: u64,
    /// Bytes sent to them.
    pub octets_out: u64,
    /// Failed dials to backends; unused for listeners.
    pub dial_failures: u64,
    /// Connections that were reset because others needed the memory that waited for their readers.
    pub stalled_resets: u64,
}

/// One site link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkMetrics {
    /// Its name.
    pub name: String,
    /// True if it is active.
    pub up: bool,
}

/// Handshakes that a listener refused for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandshakeFailures {
    /// Name of the listener.
    pub listener: String,
    /// The reason, a word of a fixed set: `no_certificate`, `unknown_ca`, `expired`, `plain_text`,
    /// `timeout`, `refused_by_client`, `busy`. Other failures of TLS are `tls`, and of AMQP `amqp`.
    pub reason: &'static str,
    /// Refusals since start.
    pub count: u64,
}

/// A certificate in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Name of the `sslProfile`.
    pub profile: String,
    /// `own` or `ca`. Of several in one file it is the one that ends first.
    pub kind: &'static str,
    /// Its end, in seconds since the epoch.
    pub not_after: u64,
}

/// Memory of this process, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Address space.
    pub virtual_size: u64,
    /// Resident memory.
    pub resident: u64,
}

impl Memory {
    /// Reads it from the system. Returns zeros where `/proc` is not mounted.
    pub fn now() -> Self {
        std::fs::read_to_string("/proc/self/status")
            .map(|text| Self::from_status(&text))
            .unwrap_or_default()
    }

    fn from_status(text: &str) -> Self {
        let octets = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            let kib: u64 =
                line.strip_prefix(':')?.trim().strip_suffix(" kB")?.trim().parse().ok()?;
            kib.checked_mul(1024)
        };
        Self { virtual_size: octets("VmSize").unwrap_or(0), resident: octets("VmRSS").unwrap_or(0) }
    }
}

/// A metric without labels: its name, its type, and its figure.
type Plain = (&'static str, MetricType, fn(&Metrics) -> u64);

/// The metrics of the C router, in its order.
pub const PLAIN: &[Plain] = &[
    ("qdr_connections_total", MetricType::GAUGE, |m| m.connections),
    ("qdr_links_total", MetricType::GAUGE, |m| m.links),
    ("qdr_addresses_total", MetricType::GAUGE, |m| m.addresses),
    ("qdr_routers_total", MetricType::GAUGE, |m| m.routers),
    ("qdr_presettled_deliveries_total", MetricType::COUNTER, |m| m.deliveries.presettled),
    ("qdr_dropped_presettled_deliveries_total", MetricType::COUNTER, |m| {
        m.deliveries.dropped_presettled
    }),
    ("qdr_accepted_deliveries_total", MetricType::COUNTER, |m| m.deliveries.accepted),
    ("qdr_released_deliveries_total", MetricType::COUNTER, |m| m.deliveries.released),
    ("qdr_rejected_deliveries_total", MetricType::COUNTER, |m| m.deliveries.rejected),
    ("qdr_modified_deliveries_total", MetricType::COUNTER, |m| m.deliveries.modified),
    ("qdr_deliveries_ingress_total", MetricType::COUNTER, |m| m.deliveries.ingress),
    ("qdr_deliveries_egress_total", MetricType::COUNTER, |m| m.deliveries.egress),
    ("qdr_deliveries_transit_total", MetricType::COUNTER, |m| m.deliveries.transit),
    ("qdr_deliveries_delayed_1sec_total", MetricType::COUNTER, |m| m.deliveries.delayed_1sec),
    ("qdr_deliveries_delayed_10sec_total", MetricType::COUNTER, |m| m.deliveries.delayed_10sec),
    ("qdr_deliveries_stuck_total", MetricType::GAUGE, |m| m.deliveries.stuck),
    ("qdr_links_blocked_total", MetricType::GAUGE, |m| m.links_blocked),
    ("qdr_last_topology_change_timestamp", MetricType::GAUGE, |m| m.last_topology_change),
    ("qdr_alloc_pool_bytes", MetricType::GAUGE, |m| m.buffer_bytes),
    ("qdr_router_vmsize_bytes", MetricType::GAUGE, |m| m.memory.virtual_size),
    ("qdr_router_rss_bytes", MetricType::GAUGE, |m| m.memory.resident),
    ("qdr_tcp_service_connections", MetricType::GAUGE, |m| m.tcp_service_connections),
    ("qdr_amqp_service_connections", MetricType::GAUGE, |m| m.amqp_service_connections),
    ("qdr_http1_service_connections", MetricType::GAUGE, |m| m.http1_service_connections),
    ("qdr_http2_service_connections", MetricType::GAUGE, |m| m.http2_service_connections),
];

/// The page could not be rendered.
#[derive(Debug, Error)]
#[error("the metrics cannot be written: {0}")]
pub struct RenderError(#[from] prometheus::Error);

/// Renders the page. Values are doubles, so counts above 2^53 are rounded.
///
/// # Errors
/// A bug in the tables of this file: names and types are fixed, and no value can cause an
/// error.
pub fn render(metrics: &Metrics) -> Result<Vec<u8>, RenderError> {
    let mut families: Vec<_> = PLAIN
        .iter()
        .map(|(name, kind, figure)| family(name, "", *kind, [(Vec::new(), figure(metrics))]))
        .collect();
    families.extend(metrics.pools.iter().flat_map(pool));
    families.extend(labeled(metrics).into_iter().filter(|family| !family.get_metric().is_empty()));
    let mut page = Vec::with_capacity(64 * families.len());
    TextEncoder::new().encode(&families, &mut page)?;
    Ok(page)
}

/// Returns the four figures of a pool. This router caches no unused objects.
fn pool(pool: &Pool) -> impl Iterator<Item = MetricFamily> {
    let figures = [
        ("allocated", pool.held),
        ("in_use", pool.held),
        ("cached", 0),
        ("bytes", pool.held.saturating_mul(pool.size)),
    ];
    let name = pool.name;
    figures.into_iter().map(move |(figure, value)| {
        family(&format!("{name}:{figure}"), "", MetricType::GAUGE, [(Vec::new(), value)])
    })
}

type Labels = Vec<(&'static str, String)>;

fn labeled(metrics: &Metrics) -> Vec<MetricFamily> {
    let services = add_up(&metrics.services);
    let side = |service: &ServiceMetrics| match service.side {
        Side::Listener => "listener",
        Side::Connector => "connector",
    };
    let of_service = |service: &ServiceMetrics| -> Labels {
        vec![
            ("address", service.address.clone()),
            ("protocol", service.protocol.to_owned()),
            ("direction", side(service).to_owned()),
        ]
    };
    let with = |mut labels: Labels, name, value: &str| {
        labels.push((name, value.to_owned()));
        labels
    };
    let counter = MetricType::COUNTER;
    let gauge = MetricType::GAUGE;
    vec![
        family(
            "skrouterd_service_connections_opened_total",
            "Service connections opened since start.",
            counter,
            services.iter().map(|s| (of_service(s), s.opened)),
        ),
        family(
            "skrouterd_service_connections_open",
            "Service connections open now.",
            gauge,
            services.iter().map(|s| (of_service(s), s.open)),
        ),
        family(
            "skrouterd_service_octets_total",
            "Octets received from (in) and sent to (out) clients and backends.",
            counter,
            services.iter().flat_map(|s| {
                [
                    (with(of_service(s), "way", "in"), s.octets_in),
                    (with(of_service(s), "way", "out"), s.octets_out),
                ]
            }),
        ),
        family(
            "skrouterd_service_dial_failures_total",
            "Connections to backends that could not be made.",
            counter,
            dial_failures(&services)
                .into_iter()
                .map(|(address, count)| (vec![("address", address)], count)),
        ),
        family(
            "skrouterd_stalled_resets_total",
            "Connections reset because their readers took nothing while memory was short.",
            counter,
            services.iter().map(|s| (of_service(s), s.stalled_resets)),
        ),
        family(
            "skrouterd_link_up",
            "Whether a site link configured here is active.",
            gauge,
            metrics
                .site_links
                .iter()
                .take(SERIES_LIMIT)
                .map(|link| (vec![("name", link.name.clone())], u64::from(link.up))),
        ),
        family(
            "skrouterd_handshake_failures_total",
            "Connections refused while TLS, SASL or AMQP were being opened.",
            counter,
            metrics.handshake_failures.iter().take(SERIES_LIMIT).map(|f| {
                (vec![("listener", f.listener.clone()), ("reason", f.reason.to_owned())], f.count)
            }),
        ),
        family(
            "skrouterd_certificate_expiry_timestamp_seconds",
            "When a certificate in use ends, in seconds since the epoch.",
            gauge,
            metrics.certificates.iter().take(SERIES_LIMIT).map(|c| {
                (vec![("profile", c.profile.clone()), ("kind", c.kind.to_owned())], c.not_after)
            }),
        ),
    ]
}

/// Adds up the services of one address, protocol and side. The first [`SERIES_LIMIT`] addresses in
/// the given order stay, and the rest become [`OTHER`].
fn add_up(services: &[ServiceMetrics]) -> Vec<ServiceMetrics> {
    let mut sums: Vec<ServiceMetrics> = Vec::new();
    let mut known: HashMap<(&str, &str, Side), usize> = HashMap::new();
    let mut addresses: HashMap<&str, ()> = HashMap::new();
    for service in services {
        let address =
            if addresses.contains_key(service.address.as_str()) || addresses.len() < SERIES_LIMIT {
                addresses.insert(&service.address, ());
                service.address.as_str()
            } else {
                OTHER
            };
        match known.get(&(address, service.protocol, service.side)).and_then(|at| sums.get_mut(*at))
        {
            Some(sum) => {
                sum.opened = sum.opened.saturating_add(service.opened);
                sum.open = sum.open.saturating_add(service.open);
                sum.octets_in = sum.octets_in.saturating_add(service.octets_in);
                sum.octets_out = sum.octets_out.saturating_add(service.octets_out);
                sum.dial_failures = sum.dial_failures.saturating_add(service.dial_failures);
                sum.stalled_resets = sum.stalled_resets.saturating_add(service.stalled_resets);
            }
            None => {
                known.insert((address, service.protocol, service.side), sums.len());
                sums.push(ServiceMetrics { address: address.to_owned(), ..service.clone() });
            }
        }
    }
    sums
}

/// Returns the failed dials of each address with connectors.
fn dial_failures(services: &[ServiceMetrics]) -> Vec<(String, u64)> {
    let mut sums: Vec<(String, u64)> = Vec::new();
    let mut known: HashMap<&str, usize> = HashMap::new();
    for service in services.iter().filter(|service| service.side == Side::Connector) {
        match known.get(service.address.as_str()).and_then(|at| sums.get_mut(*at)) {
            Some((_, sum)) => *sum = sum.saturating_add(service.dial_failures),
            None => {
                known.insert(&service.address, sums.len());
                sums.push((service.address.clone(), service.dial_failures));
            }
        }
    }
    sums
}

fn family(
    name: &str,
    help: &str,
    kind: MetricType,
    series: impl IntoIterator<Item = (Labels, u64)>,
) -> MetricFamily {
    let metrics = series
        .into_iter()
        .map(|(labels, value)| {
            let mut metric = Metric::from_label(labels.into_iter().map(label).collect());
            // The text form knows doubles only.
            let value = value as f64;
            if kind == MetricType::COUNTER {
                let mut counter = Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
            } else {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
            metric
        })
        .collect::<Vec<_>>();
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn label((name, value): (&'static str, String)) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value);
    pair
}

#[cfg(test)]
mod tests;
