//! A router that exists only in tests: a link in each state, and one of everything else.

use jiff::Timestamp;

use super::model::*;
use super::reason::Reason;

/// Noon of the day on which all samples play.
pub(crate) const NOON: i64 = 1_800_000_000 - 1_800_000_000 % 86_400 + 43_200;

pub(crate) fn at(offset: i64) -> Timestamp {
    Timestamp::from_second(NOON + offset).unwrap()
}

pub(crate) fn link(name: &str) -> Link {
    Link {
        name: name.to_owned(),
        role: "inter-router".to_owned(),
        host: "north.example.com".to_owned(),
        port: "55671".to_owned(),
        cost: 1,
        since: at(-125),
        since_seconds: 125,
        data_connections_wanted: 2,
        ..Link::default()
    }
}

pub(crate) fn active(name: &str) -> Link {
    Link {
        state: LinkState::Active,
        peer: Some(Peer { router_id: "north".to_owned(), version: Some("3.4.1".to_owned()) }),
        data_connections: 2,
        control_links: 2,
        hello: true,
        tls: Some(Tls {
            version: "TLSv1.3".to_owned(),
            cipher: "TLS_AES_256_GCM_SHA384".to_owned(),
            peer_subject: Some("CN=north".to_owned()),
            peer_not_after: Some(at(86_400 * 365)),
        }),
        octets_in: 1024,
        octets_out: 5 * 1024 * 1024,
        ..link(name)
    }
}

pub(crate) fn failing(name: &str, reason: Reason) -> Link {
    Link {
        state: LinkState::NotConnected,
        reason: Some(reason),
        failures: 17,
        next_try: Some(at(3)),
        ..link(name)
    }
}

/// Returns one of every reason, each with a name for its link.
pub(crate) fn reasons() -> Vec<(&'static str, Reason)> {
    let text = str::to_owned;
    let address = || text("192.0.2.7:55671");
    vec![
        ("never-tried", Reason::NeverTried),
        ("stopped", Reason::Stopped),
        ("connecting", Reason::Connecting),
        ("awaiting-control-links", Reason::AwaitingControlLinks),
        ("awaiting-hello", Reason::AwaitingHello { heard: false }),
        ("awaiting-confirmation", Reason::AwaitingHello { heard: true }),
        ("stands-by", Reason::StandsBy),
        (
            "no-name",
            Reason::NameNotResolved {
                host: text("north.example.com"),
                error: text("no such domain"),
            },
        ),
        ("refused", Reason::Refused { address: address() }),
        (
            "unreachable",
            Reason::Unreachable { address: address(), error: text("no route to host") },
        ),
        ("timed-out", Reason::TimedOut { stage: text("TLS"), seconds: 10 }),
        ("expired", Reason::CertificateExpired { subject: text("CN=north"), on: at(-86_400) }),
        ("not-yet", Reason::CertificateNotYetValid { subject: text("CN=north"), from: at(86_400) }),
        (
            "wrong-ca",
            Reason::UnknownAuthority { subject: text("CN=north"), issuer: text("CN=other-ca") },
        ),
        (
            "wrong-host",
            Reason::HostNotInCertificate {
                host: text("north.example.com"),
                names: vec![text("north"), text("localhost")],
            },
        ),
        (
            "no-host",
            Reason::HostNotInCertificate { host: text("north.example.com"), names: vec![] },
        ),
        ("we-are-refused", Reason::OurCertificateRefused { alert: text("unknown_ca") }),
        ("tls", Reason::TlsFailed { error: text("received fatal alert: ProtocolVersion") }),
        ("sasl", Reason::NotAuthenticated { error: text("it offers PLAIN") }),
        (
            "not-amqp",
            Reason::NotAmqp { got: text("no AMQP protocol header: the first octets are HTTP/1.1") },
        ),
        (
            "role",
            Reason::RoleMismatch {
                ours: text("inter-router"),
                theirs: text("it answered qd:forbidden"),
            },
        ),
        ("former", Reason::PeerHoldsFormer),
        ("old", Reason::PeerTooOld { version: text("2.7.3") }),
        ("newer", Reason::NewerProtocol { theirs: 3, ours: 1 }),
        ("own-id", Reason::OwnRouterId { id: text("south") }),
        (
            "closed",
            Reason::ClosedByPeer {
                condition: text("amqp:not-allowed"),
                description: text("go\u{1b}[31m away\n"),
            },
        ),
        (
            "closed-silently",
            Reason::ClosedByPeer {
                condition: text("amqp:internal-error"),
                description: String::new(),
            },
        ),
        ("lost", Reason::Lost { error: text("connection reset by peer") }),
        ("hello-lost", Reason::HelloLost),
        ("other", Reason::Other { error: text("something new") }),
    ]
}

/// A source whose links the test gives. It has one of everything else.
pub(crate) struct Sample(pub(crate) Vec<Link>);

impl Source for Sample {
    fn status(&self) -> Status {
        Status {
            router_id: "south".to_owned(),
            mode: "interior".to_owned(),
            version: "0.1.0".to_owned(),
            pid: 4711,
            site: Some("factory".to_owned()),
            started: at(-7200),
            uptime_seconds: 7200,
            sites_linked: 1,
            links_configured: self.0.len() as u64,
            links_active: self.0.iter().filter(|link| link.state == LinkState::Active).count()
                as u64,
            routers_reachable: 2,
            services_seen: 3,
            amqp_connections: 4,
            service_connections: 5,
            draining: false,
            warnings: vec![Notice {
                at: at(-60),
                count: 1,
                text: "listener a: attribute cost has no effect yet".to_owned(),
            }],
            errors: vec![Notice {
                at: at(-30),
                count: 12,
                text: "port 80 is held by another process".to_owned(),
            }],
        }
    }

    fn links(&self) -> Vec<Link> {
        self.0.clone()
    }

    fn services(&self) -> Vec<Service> {
        vec![
            Service {
                address: "hello".to_owned(),
                protocol: "tcp".to_owned(),
                listeners: vec![
                    ServiceListener {
                        name: "hello".to_owned(),
                        host: "0.0.0.0".to_owned(),
                        port: "8080".to_owned(),
                        listening: true,
                        connections_open: 2,
                        connections_total: 40,
                        octets_in: 4000,
                        octets_out: 123_456,
                        ..ServiceListener::default()
                    },
                    ServiceListener {
                        name: "hello2".to_owned(),
                        host: "0.0.0.0".to_owned(),
                        port: "80".to_owned(),
                        error: Some(Notice {
                            at: at(-30),
                            count: 12,
                            text: "address in use".to_owned(),
                        }),
                        ..ServiceListener::default()
                    },
                ],
                connectors: vec![ServiceConnector {
                    name: "hello".to_owned(),
                    host: "backend".to_owned(),
                    port: "80".to_owned(),
                    connections_total: 3,
                    failed_dials: 7,
                    error: Some(Notice {
                        at: at(-10),
                        count: 7,
                        text: "connection refused".to_owned(),
                    }),
                    ..ServiceConnector::default()
                }],
                routers: vec!["north".to_owned(), "south".to_owned()],
            },
            Service { address: "db".to_owned(), protocol: "tcp".to_owned(), ..Service::default() },
        ]
    }

    fn connections(&self) -> Vec<Connection> {
        vec![Connection {
            id: 7,
            protocol: "amqp".to_owned(),
            role: "inter-router".to_owned(),
            direction: Direction::In,
            host: "192.0.2.9:40000".to_owned(),
            entity: "site".to_owned(),
            container: Some("north".to_owned()),
            tls: active("x").tls,
            opened: at(-3600),
            uptime_seconds: 3600,
            octets_in: 10,
            octets_out: 20,
            ..Connection::default()
        }]
    }

    fn routers(&self) -> Vec<Router> {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        vec![
            Router {
                id: "south".to_owned(),
                local: true,
                cost: Some(0),
                neighbors: names(&["north"]),
                ..Router::default()
            },
            Router {
                id: "north".to_owned(),
                next_hop: Some("north".to_owned()),
                cost: Some(1),
                neighbors: names(&["south", "west"]),
                last_heard: Some(at(-2)),
                ..Router::default()
            },
            Router { id: "west".to_owned(), last_heard: Some(at(-400)), ..Router::default() },
        ]
    }

    fn addresses(&self) -> Vec<Address> {
        vec![Address {
            key: "Mhello".to_owned(),
            class: "mobile".to_owned(),
            treatment: "balanced".to_owned(),
            local_consumers: 1,
            remote_routers: vec!["north".to_owned()],
            ..Address::default()
        }]
    }

    fn version(&self) -> Version {
        Version {
            name: "skrouterd".to_owned(),
            version: "0.1.0".to_owned(),
            protocol: 1,
            router_id: "south".to_owned(),
        }
    }
}
