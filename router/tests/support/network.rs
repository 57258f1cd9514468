//! The networks of many scenarios: two sites, three in a line, three in a triangle.

use std::collections::HashMap;

use super::backend::Serve;
use super::relay::Path;
use super::{Backend, Kind, Lab, Relay, Router, Spec, client, ports, wait};

/// The site of a pair that opens the link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    /// The site of the clients.
    North,
    /// The site of the servers.
    #[default]
    South,
}

/// The way in which two sites are joined.
#[derive(Clone, Copy, Debug, Default)]
pub struct PairOptions {
    /// Data connections beside the control connection.
    pub data: u8,
    /// The site that connects.
    pub connector: Side,
    /// True if that site is an edge router.
    pub edge: bool,
    /// True for a link without TLS.
    pub plain: bool,
    /// Through a relay over this kind of path.
    pub relay: Option<Path>,
}

impl PairOptions {
    /// Returns options with a relay that can cut and freeze the link.
    pub fn relayed() -> Self {
        Self { relay: Some(Path::default()), ..Self::default() }
    }

    /// Returns options with data connections.
    pub fn with_data(data: u8) -> Self {
        Self { data, ..Self::default() }
    }

    /// Returns options for a link that the clients' site opens.
    pub fn opened_by_north() -> Self {
        Self { connector: Side::North, ..Self::default() }
    }
}

/// Site north with the clients, and site south with the servers. Service `hello` is always there.
pub struct Pair {
    /// The clients' site.
    pub north: Router,
    /// The servers' site.
    pub south: Router,
    /// The relay between them, if the options have one.
    pub relay: Option<Relay>,
    hello: Backend,
    ports: HashMap<String, u16>,
}

impl Pair {
    /// Starts both sites and waits until clients reach every service. `services` holds names and
    /// the servers' ports.
    #[track_caller]
    pub fn start(
        lab: &Lab,
        kinds: [Kind; 2],
        options: PairOptions,
        services: &[(&str, u16)],
    ) -> Self {
        let pair = Self::start_unready(lab, kinds, options, services);
        pair.await_ready();
        pair
    }

    /// Starts both sites without waiting. A service may have several servers.
    pub fn start_unready(
        lab: &Lab,
        kinds: [Kind; 2],
        options: PairOptions,
        services: &[(&str, u16)],
    ) -> Self {
        let hello = Backend::start(Serve::Hello);
        let link = ports::free();
        let relay = options.relay.map(|path| Relay::with(link, path));
        let dialed = relay.as_ref().map_or(link, |relay| relay.port);
        let mut sites = [Spec::new("north", kinds[0]), Spec::new("south", kinds[1])];
        let connector = usize::from(options.connector == Side::South);
        for (index, site) in sites.iter_mut().enumerate() {
            let mut spec = site.clone().data_connections(options.data);
            if options.edge && index == connector {
                spec = spec.attribute("mode", serde_json::json!("edge"));
            }
            if !options.plain {
                let identity = lab.identity(&spec.id);
                spec = spec.profile(&identity);
            }
            *site = match (index == connector, options.plain) {
                (true, false) => spec.link_tls("link1", dialed),
                (true, true) => spec.link_plain("link1", dialed, 1),
                (false, false) => spec.links_tls(link),
                (false, true) => spec.links_plain(link),
            };
            if options.edge {
                *site = site.clone().with_edge_links();
            }
        }
        let [mut north, mut south] = sites;
        let mut ports = HashMap::new();
        for (name, server) in services.iter().copied().chain([("hello", hello.port)]) {
            if !ports.contains_key(name) {
                let port = ports::free();
                ports.insert(name.to_owned(), port);
                north = north.tcp_listener(name, port);
            }
            south = south.tcp_connector(name, server);
        }
        Self { north: north.start(lab), south: south.start(lab), relay, hello, ports }
    }

    /// Waits until clients reach every service.
    #[track_caller]
    pub fn await_ready(&self) {
        for &port in self.ports.values() {
            self.north.await_port(port);
        }
        client::await_hello(self.port("hello"));
    }

    /// Returns the port of a service for clients.
    pub fn port(&self, service: &str) -> u16 {
        self.ports[service]
    }

    pub fn relay(&self) -> &Relay {
        self.relay.as_ref().expect("asked for by the options")
    }

    pub fn hello(&self) -> &Backend {
        &self.hello
    }

    /// Asserts that `hello` answers.
    #[track_caller]
    pub fn assert_hello(&self) {
        let answer = client::get(self.port("hello"));
        assert_eq!(answer.as_deref().ok(), Some(client::HELLO), "hello said {answer:?}");
    }

    /// Returns true if both sites must do the things that only our router does.
    pub fn is_ours(&self) -> bool {
        self.north.kind.is_ours() && self.south.kind.is_ours()
    }
}

/// Three sites in a line: clients at the first, servers at the last. Both connect to the middle
/// one.
pub struct Line {
    /// First, middle and last site.
    pub sites: [Router; 3],
    /// The relay between the last site and the middle.
    pub relay: Relay,
    hello: Backend,
    ports: HashMap<String, u16>,
}

impl Line {
    /// Starts all three sites and waits until clients reach every service.
    #[track_caller]
    pub fn start(lab: &Lab, kinds: [Kind; 3], data: u8, services: &[(&str, u16)]) -> Self {
        let spec = |name: &str, kind| {
            Spec::new(name, kind).profile(&lab.identity(name)).data_connections(data)
        };
        let sites = [spec("first", kinds[0]), spec("middle", kinds[1]), spec("last", kinds[2])];
        Self::of(lab, sites, Spec::clone, services)
    }

    /// Starts a line like [`Line::start`], with edge routers at both ends.
    #[track_caller]
    pub fn start_edges(lab: &Lab, kinds: [Kind; 3], services: &[(&str, u16)]) -> Self {
        let sites = [
            Spec::edge("first", kinds[0]),
            Spec::new("middle", kinds[1]),
            Spec::edge("last", kinds[2]),
        ];
        let sites = sites.map(|spec| spec.clone().profile(&lab.identity(&spec.id)));
        Self::of(lab, sites, |spec| spec.clone().with_edge_links(), services)
    }

    #[track_caller]
    fn of(
        lab: &Lab,
        sites: [Spec; 3],
        linked: impl Fn(&Spec) -> Spec,
        services: &[(&str, u16)],
    ) -> Self {
        let hello = Backend::start(Serve::Hello);
        let link = ports::free();
        let relay = Relay::start(link);
        let [first, middle, last] = sites;
        let mut first = linked(&first.link_tls("to-middle", link));
        let middle = linked(&middle.links_tls(link));
        let mut last = linked(&last.link_tls("to-middle", relay.port));
        let mut ports = HashMap::new();
        for (name, server) in services.iter().copied().chain([("hello", hello.port)]) {
            let port = ports::free();
            ports.insert(name.to_owned(), port);
            first = first.tcp_listener(name, port);
            last = last.tcp_connector(name, server);
        }
        let line = Self {
            sites: [middle.start(lab), first.start(lab), last.start(lab)],
            relay,
            hello,
            ports,
        };
        for &port in line.ports.values() {
            line.sites[1].await_port(port);
        }
        client::await_hello(line.port("hello"));
        line
    }

    /// Returns the port of a service for clients.
    pub fn port(&self, service: &str) -> u16 {
        self.ports[service]
    }

    /// Returns true if all sites must do the things that only our router does.
    pub fn is_ours(&self) -> bool {
        self.sites.iter().all(|site| site.kind.is_ours())
    }

    pub fn hello(&self) -> &Backend {
        &self.hello
    }
}

/// Three sites, each linked with both others. The `client` and the `server` link to the `issuer`.
/// The client's direct link to the server costs more, so calls pass the issuer while it lives.
pub struct Triangle {
    /// The site that both others connect to.
    pub issuer: Router,
    /// The site of the clients.
    pub client: Router,
    /// The site of the servers.
    pub server: Router,
    /// The relay between `client` and `issuer`.
    pub relay: Relay,
    hello: Backend,
    /// The port of `hello` for clients.
    pub port: u16,
}

impl Triangle {
    /// Starts all three sites, and waits until calls of `hello` pass the issuer both ways. Before
    /// that, routes change and a call may be lost.
    #[track_caller]
    pub fn start(lab: &Lab, kinds: [Kind; 3]) -> Self {
        const DIRECT: u32 = 10;
        const CALLS: u64 = 20;
        /// Bytes that a call takes each way at least. Routing messages take far less than all calls
        /// together.
        const CALL: u64 = 200;
        let hello = Backend::start(Serve::Hello);
        let [issuer_links, server_links, port] = [ports::free(), ports::free(), ports::free()];
        let relay = Relay::start(issuer_links);
        let issuer = Spec::new("issuer", kinds[0]).links_plain(issuer_links).start(lab);
        let client = Spec::new("client", kinds[1])
            .link_plain("to-issuer", relay.port, 1)
            .link_plain("to-server", server_links, DIRECT)
            .tcp_listener("hello", port)
            .start(lab);
        let server = Spec::new("server", kinds[2])
            .links_plain(server_links)
            .link_plain("to-issuer", issuer_links, 1)
            .tcp_connector("hello", hello.port)
            .start(lab);
        client.await_port(port);
        client::await_hello(port);
        wait::until("calls go over the issuer, both ways", wait::patience(), || {
            let before = relay.carried();
            let all = (0..CALLS).all(|_| client::hello_once(port));
            let after = relay.carried();
            (all && (0..2).all(|way| after[way] - before[way] >= CALLS * CALL)).then_some(())
        });
        Self { issuer, client, server, relay, hello, port }
    }

    pub fn hello(&self) -> &Backend {
        &self.hello
    }
}
