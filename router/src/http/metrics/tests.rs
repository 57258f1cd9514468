use super::*;

fn page(metrics: &Metrics) -> String {
    String::from_utf8(render(metrics).unwrap()).unwrap()
}

/// Returns metrics with a distinct figure in each field.
fn moved() -> Metrics {
    Metrics {
        connections: 1,
        links: 2,
        addresses: 3,
        routers: 4,
        deliveries: Deliveries {
            presettled: 5,
            dropped_presettled: 6,
            accepted: 7,
            released: 8,
            rejected: 9,
            modified: 10,
            ingress: 11,
            egress: 12,
            transit: 13,
            delayed_1sec: 14,
            delayed_10sec: 15,
            stuck: 16,
        },
        links_blocked: 17,
        last_topology_change: 1_800_000_018,
        buffer_bytes: 19,
        memory: Memory { virtual_size: 20 << 40, resident: 21 },
        tcp_service_connections: 22,
        amqp_service_connections: 23,
        http1_service_connections: 24,
        http2_service_connections: 25,
        ..Metrics::default()
    }
}

#[test]
fn the_metrics_of_the_c_router_each_have_their_name_type_and_figure() {
    let expected = "\
# TYPE qdr_connections_total gauge
qdr_connections_total 1
# TYPE qdr_links_total gauge
qdr_links_total 2
# TYPE qdr_addresses_total gauge
qdr_addresses_total 3
# TYPE qdr_routers_total gauge
qdr_routers_total 4
# TYPE qdr_presettled_deliveries_total counter
qdr_presettled_deliveries_total 5
# TYPE qdr_dropped_presettled_deliveries_total counter
qdr_dropped_presettled_deliveries_total 6
# TYPE qdr_accepted_deliveries_total counter
qdr_accepted_deliveries_total 7
# TYPE qdr_released_deliveries_total counter
qdr_released_deliveries_total 8
# TYPE qdr_rejected_deliveries_total counter
qdr_rejected_deliveries_total 9
# TYPE qdr_modified_deliveries_total counter
qdr_modified_deliveries_total 10
# TYPE qdr_deliveries_ingress_total counter
qdr_deliveries_ingress_total 11
# TYPE qdr_deliveries_egress_total counter
qdr_deliveries_egress_total 12
# TYPE qdr_deliveries_transit_total counter
qdr_deliveries_transit_total 13
# TYPE qdr_deliveries_delayed_1sec_total counter
qdr_deliveries_delayed_1sec_total 14
# TYPE qdr_deliveries_delayed_10sec_total counter
qdr_deliveries_delayed_10sec_total 15
# TYPE qdr_deliveries_stuck_total gauge
qdr_deliveries_stuck_total 16
# TYPE qdr_links_blocked_total gauge
qdr_links_blocked_total 17
# TYPE qdr_last_topology_change_timestamp gauge
qdr_last_topology_change_timestamp 1800000018
# TYPE qdr_alloc_pool_bytes gauge
qdr_alloc_pool_bytes 19
# TYPE qdr_router_vmsize_bytes gauge
qdr_router_vmsize_bytes 21990232555520
# TYPE qdr_router_rss_bytes gauge
qdr_router_rss_bytes 21
# TYPE qdr_tcp_service_connections gauge
qdr_tcp_service_connections 22
# TYPE qdr_amqp_service_connections gauge
qdr_amqp_service_connections 23
# TYPE qdr_http1_service_connections gauge
qdr_http1_service_connections 24
# TYPE qdr_http2_service_connections gauge
qdr_http2_service_connections 25
";
    assert_eq!(page(&moved()), expected);
    for line in page(&Metrics::default()).lines().filter(|line| !line.starts_with('#')) {
        assert!(line.ends_with(" 0"), "{line}");
    }
}

fn service(address: &str, side: Side) -> ServiceMetrics {
    let dial_failures = if side == Side::Connector { 6 } else { 0 };
    ServiceMetrics {
        address: address.to_owned(),
        protocol: "tcp",
        side,
        opened: 5,
        open: 2,
        octets_in: 100,
        octets_out: 3000,
        dial_failures,
        stalled_resets: 7,
    }
}

#[test]
fn what_goes_beyond_has_labels_and_words() {
    let metrics = Metrics {
        services: vec![service("hello", Side::Listener), service("hello", Side::Connector)],
        site_links: vec![
            LinkMetrics { name: "link1".to_owned(), up: true },
            LinkMetrics { name: "li\"nk\n2".to_owned(), up: false },
        ],
        handshake_failures: vec![HandshakeFailures {
            listener: "site".to_owned(),
            reason: "expired",
            count: 3,
        }],
        certificates: vec![Certificate {
            profile: "tls".to_owned(),
            kind: "own",
            not_after: 1_900_000_000,
        }],
        ..Metrics::default()
    };
    let page = page(&metrics);
    for line in [
        "# HELP skrouterd_service_connections_opened_total Service connections opened since start.",
        "# TYPE skrouterd_service_connections_opened_total counter",
        "skrouterd_service_connections_opened_total{address=\"hello\",protocol=\"tcp\",\
         direction=\"listener\"} 5",
        "skrouterd_service_connections_opened_total{address=\"hello\",protocol=\"tcp\",\
         direction=\"connector\"} 5",
        "# TYPE skrouterd_service_connections_open gauge",
        "skrouterd_service_connections_open{address=\"hello\",protocol=\"tcp\",\
         direction=\"listener\"} 2",
        "skrouterd_service_octets_total{address=\"hello\",protocol=\"tcp\",\
         direction=\"listener\",way=\"in\"} 100",
        "skrouterd_service_octets_total{address=\"hello\",protocol=\"tcp\",\
         direction=\"connector\",way=\"out\"} 3000",
        "skrouterd_service_dial_failures_total{address=\"hello\"} 6",
        "skrouterd_link_up{name=\"link1\"} 1",
        "skrouterd_link_up{name=\"li\\\"nk\\n2\"} 0",
        "skrouterd_handshake_failures_total{listener=\"site\",reason=\"expired\"} 3",
        "skrouterd_certificate_expiry_timestamp_seconds{profile=\"tls\",kind=\"own\"} 1900000000",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
}

#[test]
fn the_number_of_series_is_bounded_and_nothing_is_lost_or_told_twice() {
    let mut services = vec![service("other", Side::Listener)];
    services.extend((0..2500).map(|number| service(&format!("s{number}"), Side::Listener)));
    services.push(service("s7", Side::Listener));
    let site_links =
        (0..3000).map(|number| LinkMetrics { name: number.to_string(), up: true }).collect();
    let page = page(&Metrics { services, site_links, ..Metrics::default() });
    let opened: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with("skrouterd_service_connections_opened_total{"))
        .collect();
    assert_eq!(opened.len(), SERIES_LIMIT);
    let sum: u64 =
        opened.iter().map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!(sum, 2502 * 5);
    assert!(
        page.contains("opened_total{address=\"s7\",protocol=\"tcp\",direction=\"listener\"} 10\n")
    );
    // Beside the service that is really called `other`, 999 of the 2500 fit.
    assert!(page.contains(&format!(
        "opened_total{{address=\"other\",protocol=\"tcp\",direction=\"listener\"}} {}\n",
        1502 * 5
    )));
    assert_eq!(page.matches("skrouterd_link_up{").count(), SERIES_LIMIT);
    let series: Vec<_> = page
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.rsplit_once(' ').unwrap().0)
        .collect();
    assert_eq!(series.iter().collect::<std::collections::HashSet<_>>().len(), series.len());
}

#[test]
fn memory_is_read_from_the_system() {
    let text = "Name:\tx\nVmPeak:\t 999 kB\nVmSize:\t    100 kB\nVmRSS:\t  40 kB\n";
    assert_eq!(Memory::from_status(text), Memory { virtual_size: 102_400, resident: 40_960 });
    assert_eq!(Memory::from_status("nonsense"), Memory::default());
    assert!(Memory::now().virtual_size > Memory::now().resident && Memory::now().resident > 0);
}

#[test]
fn what_is_kept_is_told_as_pools() {
    let pools = vec![Pool { name: "qdr_link_t", size: 100, held: 3 }];
    let page =
        String::from_utf8(render(&Metrics { pools, ..Metrics::default() }).unwrap()).unwrap();
    let lines: Vec<_> = page.lines().filter(|line| line.starts_with("qdr_link_t:")).collect();
    assert_eq!(
        lines,
        [
            "qdr_link_t:allocated 3",
            "qdr_link_t:in_use 3",
            "qdr_link_t:cached 0",
            "qdr_link_t:bytes 300"
        ]
    );
}
