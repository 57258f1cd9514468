//! Edge routers: services that begin or end at one, and what becomes of them when an uplink is lost.

use crate::service;
use crate::support::backend::Serve;
use crate::support::network::Side;
use crate::support::{Backend, Kind, Lab, Line, PairOptions, Relay, Router, Spec, client, ports, wait};

use Kind::{Ours, Peer};

const OURS: [Kind; 2] = [Ours, Ours];

/// The servers are at an edge router.
const SERVERS: PairOptions = PairOptions { data: 0, connector: Side::South, edge: true, plain: false, relay: None };

/// The clients are at an edge router.
const CLIENTS: PairOptions = PairOptions { connector: Side::North, ..SERVERS };

placed!(hello_from_an_edge, |lab: &Lab, kinds| service::hello(lab, kinds, SERVERS), OURS);
placed!(hello_to_an_edge, |lab: &Lab, kinds| service::hello(lab, kinds, CLIENTS), OURS);
placed!(hello_in_clear, |lab: &Lab, kinds| service::hello(lab, kinds, PairOptions { plain: true, ..SERVERS }), OURS);
placed!(hello_between_edges, hello_between_edges_of, [Ours; 3]);
placed!(hello_over_two_interiors, hello_over_interiors, [Ours; 4]);
placed!(echo_from_an_edge, |lab: &Lab, kinds| service::echo(lab, kinds, SERVERS), OURS);
placed!(upload_to_an_edge, |lab: &Lab, kinds| service::upload(lab, kinds, SERVERS), OURS);
placed!(upload_from_an_edge, |lab: &Lab, kinds| service::upload(lab, kinds, CLIENTS), OURS);
placed!(server_that_ends_first, |lab: &Lab, kinds| service::server_ends_first(lab, kinds, CLIENTS), OURS);
placed!(refused_by_a_server_at_an_edge, |lab: &Lab, kinds| service::refused(lab, kinds, SERVERS), OURS);
placed!(reset_by_a_server_at_an_edge, |lab: &Lab, kinds| service::server_reset_sending(lab, kinds, SERVERS), OURS);
placed!(reset_by_a_client_at_an_edge, |lab: &Lab, kinds| service::client_reset(lab, kinds, CLIENTS), OURS);
placed!(clients_at_an_edge_gone_at_once, |lab: &Lab, kinds| service::clients_gone_at_once(lab, kinds, CLIENTS), OURS);
placed!(service_goes_and_comes, service_goes_and_comes_at, OURS);
placed!(standby_takes_the_place_of_a_lost_uplink, standby, [Ours; 3]);

mod mixed {
    use super::*;

    mixed_pairs!(hello_from_an_edge, |lab: &Lab, kinds| service::hello(lab, kinds, SERVERS));
    mixed_pairs!(hello_to_an_edge, |lab: &Lab, kinds| service::hello(lab, kinds, CLIENTS));
    mixed_pairs!(echo_from_an_edge, |lab: &Lab, kinds| service::echo(lab, kinds, SERVERS));
    mixed_pairs!(upload_to_an_edge, |lab: &Lab, kinds| service::upload(lab, kinds, SERVERS));
    mixed_pairs!(upload_from_an_edge, |lab: &Lab, kinds| service::upload(lab, kinds, CLIENTS));
    mixed_pairs!(refused_by_a_server_at_an_edge, |lab: &Lab, kinds| service::refused(lab, kinds, SERVERS));
    mixed_pairs!(reset_by_a_client_at_an_edge, |lab: &Lab, kinds| service::client_reset(lab, kinds, CLIENTS));
    mixed_pairs!(clients_at_an_edge_gone_at_once, |lab: &Lab, kinds| service::clients_gone_at_once(lab, kinds, CLIENTS));
    mixed_pairs!(service_goes_and_comes, service_goes_and_comes_at);
    placed!(hello_between_edges_of_a_peer, hello_between_edges_of, [Ours, Peer, Ours]);
    placed!(hello_from_an_edge_to_a_peers, hello_between_edges_of, [Ours, Ours, Peer]);
    placed!(hello_from_a_peers_edge, hello_between_edges_of, [Peer, Ours, Ours]);
    placed!(hello_over_an_interior_peer, hello_over_interiors, [Ours, Peer, Ours, Ours]);
    placed!(hello_over_two_interior_peers, hello_over_interiors, [Ours, Peer, Peer, Peer]);
    placed!(standby_between_peers, standby, [Ours, Peer, Peer]);
    placed!(standby_of_a_peer, standby, [Peer, Ours, Ours]);
}

/// Clients at one edge router, servers at another, both at one interior router.
fn hello_between_edges_of(lab: &Lab, kinds: [Kind; 3]) {
    let backend = Backend::start(Serve::Echo);
    let line = Line::start_edges(lab, kinds, &[("echo", backend.port)]);
    for size in [0, 100, 2_000_000] {
        client::exchange(&client::connect(line.port("echo")), size).assert_complete(size, size);
    }
}

/// Clients and servers at edge routers of two interior routers.
fn hello_over_interiors(lab: &Lab, kinds: [Kind; 4]) {
    let backend = Backend::start(Serve::Echo);
    let [link, first, last, port] = [ports::free(), ports::free(), ports::free(), ports::free()];
    let interiors = [
        Spec::new("north", kinds[1]).edges_plain(first).links_plain(link).start(lab),
        Spec::new("south", kinds[2]).edges_plain(last).link_plain("link1", link, 1).start(lab),
    ];
    let clients =
        Spec::edge("clients", kinds[0]).link_plain("up", first, 1).with_edge_links().tcp_listener("echo", port).start(lab);
    let servers = Spec::edge("servers", kinds[3]).link_plain("up", last, 1).with_edge_links();
    let servers = servers.tcp_connector("echo", backend.port).start(lab);
    clients.await_port(port);
    for size in [0, 100, 2_000_000] {
        client::exchange(&client::connect(port), size).assert_complete(size, size);
    }
    assert!(interiors.iter().chain([&servers]).all(Router::is_running));
}

/// The port at an edge router opens and closes with the servers at its interior router.
fn service_goes_and_comes_at(lab: &Lab, kinds: [Kind; 2]) {
    let backend = Backend::start(Serve::Hello);
    let [uplinks, links, port] = [ports::free(), ports::free(), ports::free()];
    let interior = Spec::new("interior", kinds[0]).edges_plain(uplinks).links_plain(links).start(lab);
    let clients = Spec::edge("edge", kinds[1]).link_plain("up", uplinks, 1).with_edge_links().tcp_listener("hello", port);
    let clients = clients.start(lab);
    let mut servers = Spec::new("servers", Ours).link_plain("link1", links, 1).tcp_connector("hello", backend.port).start(lab);
    for _ in 0..2 {
        clients.await_port(port);
        client::await_hello(port);
        servers.kill();
        wait::until("the port is closed", wait::patience(), || client::try_connect(port).is_err().then_some(()));
        servers.start_again();
    }
    clients.await_port(port);
    client::await_hello(port);
    assert!(interior.is_running());
}

/// An edge router with two uplinks: what it serves goes on when the one in use is lost, and what it uses.
fn standby(lab: &Lab, kinds: [Kind; 3]) {
    let (hello, other) = (Backend::start(Serve::Hello), Backend::start(Serve::Hello));
    let [first, second, link, at_north, at_edge] = [(); 5].map(|()| ports::free());
    let relay = Relay::start(first);
    let south = Spec::new("south", kinds[1]).edges_plain(first).links_plain(link).start(lab);
    let north = Spec::new("north", kinds[2]).edges_plain(second).link_plain("link1", link, 1);
    let north = north.tcp_listener("at-edge", at_north).tcp_connector("at-north", other.port).start(lab);
    let edge = Spec::edge("edge", kinds[0]).link_plain("first", relay.port, 1).link_plain("second", second, 1).with_edge_links();
    let edge = edge.tcp_connector("at-edge", hello.port).tcp_listener("at-north", at_edge).start(lab);
    let both = || {
        north.await_port(at_north);
        edge.await_port(at_edge);
        client::await_hello(at_north);
        client::await_hello(at_edge);
    };
    both();
    // Whichever opened first is in use: without the first the second is, and with both again it stays.
    relay.refuse(true);
    relay.cut();
    both();
    relay.refuse(false);
    relay.await_accepted(relay.accepted() + 1);
    both();
    assert!(south.is_running());
}
