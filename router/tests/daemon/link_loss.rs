//! Links that break under streams, stand still, and come back.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use Kind::{Ours, Peer};
use rustix::process::Signal;
use serde_json::json;

use crate::support::backend::Serve;
use crate::support::network::Side;
use crate::support::pattern::Check;
use crate::support::{
    Backend, End, Kind, Lab, Line, Pair, PairOptions, Router, Spec, Triangle, client, ports, wait,
};

const OURS: [Kind; 2] = [Ours, Ours];

placed!(reset_under_an_upload, under_an_upload, OURS, 0);
placed!(reset_under_an_upload_with_data, under_an_upload, OURS, 2);
placed!(reset_under_a_download, under_a_download, OURS, 0);
placed!(reset_under_a_download_with_data, under_a_download, OURS, 2);
placed!(reset_under_an_upload_over_three_sites, under_an_upload_in_line, [Ours; 3]);
placed!(reset_under_both_ways_over_three_sites, under_both_ways, [Ours; 3], 0);
placed!(reset_under_both_ways_over_three_sites_with_data, under_both_ways, [Ours; 3], 2);
placed!(servers_site_killed_under_an_upload, servers_site_killed, OURS);
placed!(clients_router_killed_under_a_download, killed_under_a_download, OURS, Side::North);
placed!(servers_router_killed_under_a_download, killed_under_a_download, OURS, Side::South);
placed!(clients_router_killed_under_an_upload, killed_under_an_upload, OURS, Side::North);
placed!(servers_router_killed_under_an_upload, killed_under_an_upload, OURS, Side::South);
placed!(reset_again_and_again, again_and_again, OURS);
placed!(path_that_stands_still, stands_still, OURS);
placed!(both_sites_stopped_for_a_while, stopped_for_a_while, OURS);
placed!(triangle_without_the_site_that_issued_the_links, without_issuer, [Ours; 3]);
placed!(triangle_with_a_broken_link, with_a_broken_link, [Ours; 3]);

mod mixed {
    use super::*;

    mixed_pairs!(reset_under_an_upload, under_an_upload, 0);
    mixed_pairs!(reset_under_an_upload_with_data, under_an_upload, 2);
    mixed_pairs!(reset_under_a_download, under_a_download, 0);
    mixed_pairs!(reset_again_and_again, again_and_again);
    mixed_pairs!(path_that_stands_still, stands_still);
    placed!(triangle_without_a_peer_that_issued_the_links, without_issuer, [Peer, Ours, Ours]);
    placed!(triangle_of_a_peer_with_the_clients, without_issuer, [Ours, Peer, Ours]);
    placed!(triangle_of_a_peer_with_the_servers, without_issuer, [Ours, Ours, Peer]);
}

const SOME: u64 = 4_000_000;

/// The link is reset during an upload. Neither end may take it for complete: both routers close
/// with an error. The other kind gives its server a clean end.
fn under_an_upload(lab: &Lab, kinds: [Kind; 2], data: u8) {
    let backend = Backend::start(Serve::Sink);
    let pair = Pair::start(
        lab,
        kinds,
        PairOptions { data, ..PairOptions::relayed() },
        &[("sink", backend.port)],
    );
    upload_until(pair.port("sink"), &backend, pair.north.kind.is_ours(), pair.is_ours(), || {
        pair.relay().cut()
    });
    client::await_hello(pair.port("hello"));
}

fn under_an_upload_in_line(lab: &Lab, kinds: [Kind; 3]) {
    let backend = Backend::start(Serve::Sink);
    let line = Line::start(lab, kinds, 0, &[("sink", backend.port)]);
    upload_until(line.port("sink"), &backend, line.is_ours(), line.is_ours(), || line.relay.cut());
    client::await_hello(line.port("hello"));
}

/// The link is reset during endless streams both ways. Both ends see an error.
fn under_both_ways(lab: &Lab, kinds: [Kind; 3], data: u8) {
    let backend = Backend::start(Serve::Exchange(u64::MAX));
    let line = Line::start(lab, kinds, data, &[("exchange", backend.port)]);
    let stream = client::connect(line.port("exchange"));
    std::thread::scope(|scope| {
        let _end = client::HangUp(&stream);
        let exchange = scope.spawn(|| client::exchange(&stream, u64::MAX));
        backend.await_received(super::streams::size());
        line.relay.cut();
        let client = exchange.join().expect("the client does not panic");
        for account in [client, backend.next_account()] {
            assert_eq!(account.wrong_at, None, "{account:?}");
            // The socket reports the error to the first call only.
            assert!(account.saw_an_error(), "an end takes a part for the whole: {account:?}");
        }
    });
    client::await_hello(line.port("hello"));
}

/// Breaks the path under an upload. The client sees an error, and the server never takes a part for
/// the whole. `server_is_told` is false for a path that gives the server a clean end.
fn upload_until(
    port: u16,
    backend: &Backend,
    client_is_told: bool,
    server_is_told: bool,
    break_link: impl FnOnce(),
) {
    let mut stream = client::connect(port);
    let handle = stream.try_clone().expect("a second handle of the socket");
    std::thread::scope(|scope| {
        let _end = client::HangUp(&handle);
        let mut outgoing = stream.try_clone().expect("a second handle of the socket");
        let upload = scope.spawn(move || client::send(&mut outgoing, u64::MAX, |_| {}));
        backend.await_received(SOME);
        break_link();
        let server = backend.next_account();
        assert_eq!(server.wrong_at, None);
        if server_is_told {
            assert_eq!(
                server.end,
                End::Reset,
                "the server takes {} bytes for the whole upload",
                server.received
            );
        }
        let (_, refused) = upload.join().expect("the writer does not panic");
        assert!(refused.is_some(), "the client saw no error");
        let (text, end) = client::read_text(&mut stream);
        assert_eq!(text, "", "the server's answer to a part of the upload reached the client");
        if client_is_told {
            assert!(end != End::Open, "the client's connection is still open");
        }
    });
}

/// Reads some of a download that goes on.
fn some_of(stream: &mut TcpStream) -> Check {
    let mut check = Check::default();
    let mut buffer = vec![0; 64 * 1024];
    while check.received() < SOME {
        let count = stream.read(&mut buffer).expect("the download goes on");
        assert_ne!(count, 0, "the download ended by itself");
        check.take(&buffer[..count]);
    }
    check
}

/// The link is reset during a download, and the client must not take it for complete. Two routers
/// of the other kind with data connections sometimes stall it after 200 kB, before the reset.
fn under_a_download(lab: &Lab, kinds: [Kind; 2], data: u8) {
    let backend = Backend::start(Serve::Exchange(u64::MAX));
    let pair = Pair::start(
        lab,
        kinds,
        PairOptions { data, ..PairOptions::relayed() },
        &[("source", backend.port)],
    );
    let mut stream = client::connect(pair.port("source"));
    let mut check = some_of(&mut stream);
    pair.relay().cut();
    let end = client::drain(&mut stream, &mut check);
    assert_eq!(check.wrong_at(), None);
    if pair.north.kind.is_ours() {
        assert_eq!(
            end,
            End::Reset,
            "the client takes {} bytes for the whole download",
            check.received()
        );
    } else {
        assert_ne!(end, End::Open);
    }
    let server = backend.next_account();
    assert!(
        server.refused.is_some() || server.end == End::Reset,
        "the server saw no error: {server:?}"
    );
    client::await_hello(pair.port("hello"));
}

/// The servers' site vanishes during an upload, and comes back.
fn servers_site_killed(lab: &Lab, kinds: [Kind; 2]) {
    let backend = Backend::start(Serve::Sink);
    let mut pair = Pair::start(lab, kinds, PairOptions::default(), &[("sink", backend.port)]);
    upload_until(pair.port("sink"), &backend, true, true, || pair.south.kill());
    pair.south.start_again();
    client::await_hello(pair.port("hello"));
}

fn kill(pair: &mut Pair, side: Side) {
    match side {
        Side::North => pair.north.kill(),
        Side::South => pair.south.kill(),
    }
}

/// The kernel kills either router during a download, with SIGKILL as for a lack of memory. The
/// client must not take the download for complete. The server has sent no end, and sees the kill at
/// its next write.
fn killed_under_a_download(lab: &Lab, kinds: [Kind; 2], side: Side) {
    let backend = Backend::start(Serve::Exchange(u64::MAX));
    let mut pair = Pair::start(lab, kinds, PairOptions::default(), &[("source", backend.port)]);
    let mut stream = client::connect(pair.port("source"));
    let mut check = some_of(&mut stream);
    kill(&mut pair, side);
    let end = client::drain(&mut stream, &mut check);
    assert_eq!(
        (check.wrong_at(), end),
        (None, End::Reset),
        "the client takes {} octets for all",
        check.received()
    );
    let server = backend.next_account();
    assert!(server.saw_an_error(), "the server saw no error: {server:?}");
}

/// The same during an upload: the server must not take it for complete.
fn killed_under_an_upload(lab: &Lab, kinds: [Kind; 2], side: Side) {
    let backend = Backend::start(Serve::Sink);
    let mut pair = Pair::start(lab, kinds, PairOptions::default(), &[("sink", backend.port)]);
    upload_until(pair.port("sink"), &backend, true, true, || kill(&mut pair, side));
}

/// After each of many resets the link comes back, and the service with it.
fn again_and_again(lab: &Lab, kinds: [Kind; 2]) {
    let pair = Pair::start(lab, kinds, PairOptions { data: 1, ..PairOptions::relayed() }, &[]);
    for _ in 0..4 {
        let connections = pair.relay().accepted();
        pair.relay().cut();
        pair.relay().await_accepted(connections + 2);
        client::await_hello(pair.port("hello"));
    }
}

/// The path carries nothing, and neither end gets an error. The service goes after the neighbor's
/// time, and returns with the path. A waiting stream survives.
fn stands_still(lab: &Lab, kinds: [Kind; 2]) {
    let backend = Backend::start(Serve::Echo);
    let pair = Pair::start(lab, kinds, PairOptions::relayed(), &[("echo", backend.port)]);
    let mut stream = client::connect(pair.port("echo"));
    let mut octet = [0];
    stream.write_all(b"a").expect("the router reads");
    stream.read_exact(&mut octet).expect("the echo");
    pair.relay().freeze(true);
    wait::until("the service is withdrawn", Duration::from_secs(12), || {
        (!ports::listening(pair.port("hello"))).then_some(())
    });
    pair.relay().freeze(false);
    pair.north.await_port(pair.port("hello"));
    client::await_hello(pair.port("hello"));
    if pair.is_ours() {
        stream.write_all(b"b").expect("the stream survives");
        stream.read_exact(&mut octet).expect("the echo, after the path moves again");
        assert_eq!(octet, *b"b");
    }
}

/// Both routers stop for longer than a neighbor and a connection may be silent, as virtual machines
/// do during a move or a snapshot. Afterwards nothing is lost, for neither has heard the other's
/// silence.
fn stopped_for_a_while(lab: &Lab, kinds: [Kind; 2]) {
    /// The allowed seconds of silence.
    const AGE: u64 = 8;
    let backend = Backend::start(Serve::Echo);
    let [links, port] = [ports::free(), ports::free()];
    let link = || {
        json!({
            "name": "link", "host": "127.0.0.1", "port": links.to_string(), "role": "inter-router",
            "saslMechanisms": "ANONYMOUS", "idleTimeoutSeconds": AGE,
        })
    };
    let spec = |id, kind| Spec::new(id, kind).attribute("helloMaxAgeSeconds", json!(AGE));
    let north = spec("north", kinds[0]).entity("listener", link()).tcp_listener("echo", port);
    let south =
        spec("south", kinds[1]).entity("connector", link()).tcp_connector("echo", backend.port);
    wait::until("both are stopped and run again at the same time", wait::patience() * 4, || {
        let sites = [north.start(lab), south.start(lab)];
        sites[0].await_port(port);
        let mut stream = client::connect(port);
        let mut octet = [0];
        stream.write_all(b"a").expect("the router reads");
        stream.read_exact(&mut octet).expect("the echo");
        // If this thread is delayed, one router listens alone and rightly loses the other.
        let together = signal(&sites, Signal::STOP);
        wait::pause(Duration::from_secs(AGE + 2));
        if !(signal(&sites, Signal::CONT) && together) {
            return None;
        }
        stream.write_all(b"b").expect("the stream goes on");
        stream.read_exact(&mut octet).expect("the echo, by the same stream");
        assert_eq!(octet, *b"b");
        wait::throughout("both are neighbors", Duration::from_secs(1), || {
            sites.iter().all(|site| site.log_line(&["HELLO neighbor", "is lost"]).is_none())
        });
        Some(())
    });
}

/// Sends a signal to both, and returns true if both got it at the same time.
fn signal(sites: &[Router; 2], signal: Signal) -> bool {
    let start = Instant::now();
    for site in sites {
        site.signal(signal);
    }
    start.elapsed() < Duration::from_millis(500)
}

/// Three sites are all linked, and the one that the others link to goes for good. The other two go
/// on.
fn without_issuer(lab: &Lab, kinds: [Kind; 3]) {
    let mut triangle = Triangle::start(lab, kinds);
    triangle.issuer.kill();
    client::await_hello(triangle.port);
    for _ in 0..10 {
        assert_eq!(
            client::get(triangle.port).expect("an answer, without the third site"),
            client::HELLO
        );
    }
    assert!(ports::listening(triangle.port));
}

/// The cheap path breaks while all routers live. Calls take the other path, and the service stays
/// known.
fn with_a_broken_link(lab: &Lab, kinds: [Kind; 3]) {
    let triangle = Triangle::start(lab, kinds);
    triangle.relay.refuse(true);
    triangle.relay.cut();
    client::await_hello(triangle.port);
    for _ in 0..10 {
        assert_eq!(client::get(triangle.port).expect("an answer, the other way"), client::HELLO);
    }
}
