//! Edge routers: services that begin or end at one, and the loss of an uplink.

use std::io::{Read, Write};
use std::net::TcpStream;

use Kind::{Ours, Peer};

use crate::service;
use crate::support::amqp::Transfer;
use crate::support::backend::Serve;
use crate::support::network::Side;
use crate::support::{
    Backend, Kind, Lab, Line, Manager, PairOptions, Relay, Router, Spec, amqp, client, hear, ports,
    wait,
};

const OURS: [Kind; 2] = [Ours, Ours];

/// The servers are at an edge router.
const SERVERS: PairOptions =
    PairOptions { data: 0, connector: Side::South, edge: true, plain: false, relay: None };

/// The clients are at an edge router.
const CLIENTS: PairOptions = PairOptions { connector: Side::North, ..SERVERS };

placed!(hello_from_an_edge, service::hello, OURS, SERVERS);
placed!(hello_to_an_edge, service::hello, OURS, CLIENTS);
placed!(hello_in_clear, service::hello, OURS, PairOptions { plain: true, ..SERVERS });
placed!(hello_between_edges, hello_between_edges_of, [Ours; 3]);
placed!(hello_over_two_interiors, hello_over_interiors, [Ours; 4]);
placed!(hello_between_linked_edges, hello_beside, OURS);
placed!(echo_from_an_edge, service::echo, OURS, SERVERS);
placed!(upload_to_an_edge, service::upload, OURS, SERVERS);
placed!(upload_from_an_edge, service::upload, OURS, CLIENTS);
placed!(server_that_ends_first, service::server_ends_first, OURS, CLIENTS);
placed!(refused_by_a_server_at_an_edge, service::refused, OURS, SERVERS);
placed!(reset_by_a_server_at_an_edge, service::server_reset_sending, OURS, SERVERS);
placed!(reset_by_a_client_at_an_edge, service::client_reset, OURS, CLIENTS);
placed!(clients_at_an_edge_gone_at_once, service::clients_gone_at_once, OURS, CLIENTS);
placed!(service_goes_and_comes, service_goes_and_comes_at, OURS);
placed!(standby_takes_the_place_of_a_lost_uplink, standby, [Ours; 3]);
placed!(first_word_waits_for_no_answer, first_word, [Ours]);

mod mixed {
    use super::*;

    mixed_pairs!(hello_from_an_edge, service::hello, SERVERS);
    mixed_pairs!(hello_to_an_edge, service::hello, CLIENTS);
    mixed_pairs!(echo_from_an_edge, service::echo, SERVERS);
    mixed_pairs!(upload_to_an_edge, service::upload, SERVERS);
    mixed_pairs!(upload_from_an_edge, service::upload, CLIENTS);
    mixed_pairs!(refused_by_a_server_at_an_edge, service::refused, SERVERS);
    mixed_pairs!(reset_by_a_client_at_an_edge, service::client_reset, CLIENTS);
    mixed_pairs!(clients_at_an_edge_gone_at_once, service::clients_gone_at_once, CLIENTS);
    mixed_pairs!(service_goes_and_comes, service_goes_and_comes_at);
    placed!(hello_between_edges_of_a_peer, hello_between_edges_of, [Ours, Peer, Ours]);
    placed!(hello_from_an_edge_to_a_peers, hello_between_edges_of, [Ours, Ours, Peer]);
    placed!(hello_from_a_peers_edge, hello_between_edges_of, [Peer, Ours, Ours]);
    placed!(hello_over_an_interior_peer, hello_over_interiors, [Ours, Peer, Ours, Ours]);
    placed!(hello_over_two_interior_peers, hello_over_interiors, [Ours, Peer, Peer, Peer]);
    placed!(standby_between_peers, standby, [Ours, Peer, Peer]);
    placed!(standby_of_a_peer, standby, [Peer, Ours, Ours]);
}

/// Clients are at one edge router, servers at another, and both connect to one interior router.
fn hello_between_edges_of(lab: &Lab, kinds: [Kind; 3]) {
    let backend = Backend::start(Serve::Echo);
    let line = Line::start_edges(lab, kinds, &[("echo", backend.port)]);
    for size in [0, 100, 2_000_000] {
        client::exchange(&client::connect(line.port("echo")), size).assert_complete(size, size);
    }
}

/// Clients and servers are at edge routers of two interior routers.
fn hello_over_interiors(lab: &Lab, kinds: [Kind; 4]) {
    let backend = Backend::start(Serve::Echo);
    let [link, first, last, port] = [ports::free(), ports::free(), ports::free(), ports::free()];
    let interiors = [
        Spec::new("north", kinds[1]).edges_plain(first).links_plain(link).start(lab),
        Spec::new("south", kinds[2]).edges_plain(last).link_plain("link1", link, 1).start(lab),
    ];
    let clients = Spec::edge("clients", kinds[0])
        .link_plain("up", first, 1)
        .with_edge_links()
        .tcp_listener("echo", port)
        .start(lab);
    let servers = Spec::edge("servers", kinds[3]).link_plain("up", last, 1).with_edge_links();
    let servers = servers.tcp_connector("echo", backend.port).start(lab);
    clients.await_port(port);
    // The servers' interior router hears of the clients' edge router in its own time.
    wait::until("an answer finds the edge router", wait::patience(), || {
        let account = client::exchange(&client::connect(port), 1);
        (account.received == 1).then_some(())
    });
    for size in [0, 100, 2_000_000] {
        client::exchange(&client::connect(port), size).assert_complete(size, size);
    }
    assert!(interiors.iter().chain([&servers]).all(Router::is_running));
}

/// Clients and servers are at two edge routers that are linked with each other only.
fn hello_beside(lab: &Lab, kinds: [Kind; 2]) {
    let backend = Backend::start(Serve::Echo);
    let [link, port] = [ports::free(), ports::free()];
    let clients = Spec::edge("clients", kinds[0]).links_plain(link).tcp_listener("echo", port);
    let servers = Spec::edge("servers", kinds[1])
        .link_plain("beside", link, 1)
        .tcp_connector("echo", backend.port);
    let [clients, servers] =
        [clients, servers].map(|spec| spec.with_links_of("inter-edge").start(lab));
    clients.await_port(port);
    for size in [0, 100, 2_000_000] {
        client::exchange(&client::connect(port), size).assert_complete(size, size);
    }
    assert!(clients.is_running() && servers.is_running());
}

/// The port at an edge router opens and closes with the servers at its interior router.
fn service_goes_and_comes_at(lab: &Lab, kinds: [Kind; 2]) {
    let backend = Backend::start(Serve::Hello);
    let [uplinks, links, port] = [ports::free(), ports::free(), ports::free()];
    let interior =
        Spec::new("interior", kinds[0]).edges_plain(uplinks).links_plain(links).start(lab);
    let clients = Spec::edge("edge", kinds[1])
        .link_plain("up", uplinks, 1)
        .with_edge_links()
        .tcp_listener("hello", port);
    let clients = clients.start(lab);
    let mut servers = Spec::new("servers", Ours)
        .link_plain("link1", links, 1)
        .tcp_connector("hello", backend.port)
        .start(lab);
    for _ in 0..2 {
        clients.await_port(port);
        client::await_hello(port);
        servers.kill();
        wait::until("the port is closed", wait::patience(), || {
            client::try_connect(port).is_err().then_some(())
        });
        servers.start_again();
    }
    clients.await_port(port);
    client::await_hello(port);
    assert!(interior.is_running());
}

/// An edge router has two uplinks. After the loss of the one in use, the services that it offers
/// and uses go on.
fn standby(lab: &Lab, kinds: [Kind; 3]) {
    let (hello, other) = (Backend::start(Serve::Hello), Backend::start(Serve::Hello));
    let [first, second, link, at_north, at_edge] = [(); 5].map(|()| ports::free());
    let relay = Relay::start(first);
    let south = Spec::new("south", kinds[1]).edges_plain(first).links_plain(link).start(lab);
    let north = Spec::new("north", kinds[2]).edges_plain(second).link_plain("link1", link, 1);
    let north =
        north.tcp_listener("at-edge", at_north).tcp_connector("at-north", other.port).start(lab);
    let edge = Spec::edge("edge", kinds[0])
        .link_plain("first", relay.port, 1)
        .link_plain("second", second, 1)
        .with_edge_links();
    let edge =
        edge.tcp_connector("at-edge", hello.port).tcp_listener("at-north", at_edge).start(lab);
    let both = || {
        north.await_port(at_north);
        edge.await_port(at_edge);
        client::await_hello(at_north);
        client::await_hello(at_edge);
    };
    both();
    // The uplink that opened first is in use. Without it the second is, and stays when both are
    // back.
    relay.refuse(true);
    relay.cut();
    both();
    relay.refuse(false);
    relay.await_accepted(relay.accepted() + 1);
    both();
    assert!(south.is_running());
}

placed!(what_edge_routers_may_not_attach, may_not_attach, [Ours]);
placed!(thousands_of_links_for_addresses, thousands_of_links, [Ours]);

/// Encodes an attach of a receiver at `address`, with a capability of its source.
fn attach_with_capability(name: &str, handle: u32, address: &str, capability: &str) -> Vec<u8> {
    let source =
        [&[amqp::string(address)][..], &vec![amqp::null(); 9], &[amqp::symbol(capability)]]
            .concat();
    let target = amqp::performative(amqp::code::TARGET, &[]);
    let source = amqp::performative(amqp::code::SOURCE, &source);
    let fields = [
        amqp::string(name),
        amqp::uint(handle),
        amqp::boolean(true),
        amqp::ubyte(2),
        amqp::ubyte(0),
        source,
        target,
    ];
    amqp::performative(amqp::code::ATTACH, &fields)
}

/// Plays a peer that sends frames to a port, and waits for bytes of the router.
fn hear(port: u16, container: &str, frames: &[Vec<u8>], awaited: &str) -> TcpStream {
    converse(port, container, &[(frames, awaited)])
}

/// Plays a peer that sends frames to a port, waits for bytes of the router, and so on.
fn converse(port: u16, container: &str, steps: &[(&[Vec<u8>], &str)]) -> TcpStream {
    let mut stream = client::connect(port);
    let begin = amqp::frame(0, &amqp::wide_begin());
    stream.write_all(&[amqp::opening(container), begin].concat()).expect("the router reads");
    let mut heard = Vec::new();
    for (frames, awaited) in steps {
        stream.write_all(&frames.concat()).expect("the router reads");
        hear::until(&mut stream, &mut heard, awaited);
    }
    stream
}

/// Returns an interior router with its port for clients and its port for edge routers.
fn interior(lab: &Lab) -> (Router, [u16; 2]) {
    let ports = [ports::free(), ports::free()];
    let router = Spec::new("interior", Ours).clients(ports[0]).edges_plain(ports[1]).start(lab);
    ports.iter().for_each(|port| router.await_port(*port));
    (router, ports)
}

/// A client's first bytes reach its stream's consumer before that has answered. Behind an edge
/// connection they do not, since that router may forget such streams.
fn first_word(lab: &Lab, _: [Kind; 1]) {
    const WORD: &[u8] = b"first word";
    let [clients, edges, here, beyond] = [(); 4].map(|()| ports::free());
    let router = Spec::new("interior", Ours).clients(clients).edges_plain(edges);
    let router = router.tcp_listener("here", here).tcp_listener("beyond", beyond).start(lab);
    let call = |port: u16, container: &str, address: &str, service: u16, awaited: &[u8]| {
        router.await_port(port);
        let mut consumer = client::connect(port);
        let attached = [amqp::begin(), amqp::attach("c", 0, true, address), amqp::flow(10)]
            .map(|body| amqp::frame(0, &body));
        consumer
            .write_all(&[amqp::opening(container), attached.concat()].concat())
            .expect("the router reads");
        router.await_port(service);
        let mut caller = client::connect(service);
        caller.write_all(WORD).expect("the router reads");
        let mut heard = Vec::new();
        hear::until(&mut consumer, &mut heard, awaited);
        (consumer, caller, heard)
    };
    call(clients, "client", "here", here, WORD);
    let (mut consumer, _caller, mut heard) = call(edges, "edge", "beyond", beyond, b"/reply.");
    consumer
        .set_read_timeout(Some(std::time::Duration::from_millis(300)))
        .expect("a time-out is set");
    let _ = consumer.read_to_end(&mut heard);
    assert!(!hear::contains(&heard, WORD), "{}", String::from_utf8_lossy(&heard));
}

fn may_not_attach(lab: &Lab, _: [Kind; 1]) {
    let (router, [clients, edges]) = interior(lab);
    let attach = |name: &str, receiver: bool, address: &str| {
        amqp::frame(0, &amqp::attach(name, 0, receiver, address))
    };
    let downlink = |address: &str| {
        amqp::frame(0, &attach_with_capability("down", 0, address, "qd.router-edge-downlink"))
    };
    hear(
        edges,
        "stranger",
        &[downlink("edge")],
        "the downlink is for an edge router other than the peer",
    );
    hear(edges, "interior", &[], "the peer at");
    hear(
        clients,
        "client",
        &[attach("t", true, "_$qd.edge_addr_tracking")],
        "Connection does not support address tracking",
    );
    hear(
        edges,
        "edge",
        &[attach("t", false, "_$qd.edge_addr_tracking")],
        "Incoming messages not allowed",
    );
    hear(
        edges,
        "edge",
        &[attach("m", true, "_$qd.mesh_discovery")],
        "the mesh is told to interior routers",
    );
    let control = amqp::frame(0, &attach_with_capability("c", 0, "", "qd.router"));
    hear(edges, "edge", &[control], "qd:forbidden");
    let mesh = attach("m", false, "_$qd.mesh_discovery");
    let transfer = |payload: &[u8]| amqp::frame(0, &Transfer::new(0, 0).with(payload));
    for payload in [
        &b""[..],
        b"nonsense",
        b"\x00Sw\x40",
        b"\x00St\xc1\x01\x00",
        b"\x00St\xc1\x0d\x02\xa3\x06meshid\xa1\x01x",
    ] {
        // The credit comes with the answer to the attach.
        converse(
            edges,
            "edge",
            &[
                (std::slice::from_ref(&mesh), "_$qd.mesh_discovery"),
                (&[transfer(payload)], "amqp:decode-error"),
            ],
        );
    }
    // The router serves a peer that behaves, whatever that peer is.
    hear(
        edges,
        "edge",
        &[downlink("edge"), amqp::frame(0, &amqp::attach("u", 1, true, "any"))],
        "any",
    );
    assert!(router.is_running() && !router.log().contains("panicked at"));
}

/// One edge router consumes and produces for thousands of addresses, three times in a row. Memory
/// stays bounded: an idle link costs little, and ends with the edge router.
fn thousands_of_links(lab: &Lab, _: [Kind; 1]) {
    const LINKS: u32 = 5000;
    const GROWTH: u64 = 64 * 1024 * 1024;
    let (router, [clients, edges]) = interior(lab);
    let mut operator = Manager::connect(clients, "$management");
    let others = operator.link_count();
    let before = router.resident();
    for round in 0..3 {
        let mut frames = vec![amqp::frame(
            0,
            &attach_with_capability("down", 0, "edge", "qd.router-edge-downlink"),
        )];
        frames.push(amqp::frame(0, &amqp::attach("tracking", 1, true, "_$qd.edge_addr_tracking")));
        for link in 2..LINKS {
            let name = format!("{round}.{link}");
            frames.push(amqp::frame(
                0,
                &amqp::attach(&name, link, link % 2 == 0, &format!("address.{}", link / 2)),
            ));
        }
        let edge = hear(edges, "edge", &frames, &format!("{round}.{}", LINKS - 1));
        wait::until("all links are there", wait::patience(), || {
            (operator.link_count() == others + u64::from(LINKS)).then_some(())
        });
        drop(edge);
        wait::until("the links end with the edge router", wait::patience(), || {
            (operator.link_count() == others).then_some(())
        });
    }
    let growth = router.peak_resident().saturating_sub(before);
    assert!(growth < GROWTH, "the router grew by {} KiB", growth / 1024);
    assert!(router.is_running());
}
