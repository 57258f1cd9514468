//! Routers that start, stop and start again: their services meanwhile, and the order of their stop.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use Kind::{Ours, Peer};
use rustix::process::Signal;
use serde_json::json;

use crate::support::backend::Serve;
use crate::support::{
    Backend, End, Kind, Lab, Pair, PairOptions, Router, Spec, client, ports, wait,
};

const OURS: [Kind; 2] = [Ours, Ours];
/// Time limit of a stop.
const STOP: Duration = Duration::from_secs(8);

placed!(listens_only_while_a_server_is_there, listens_only_while_served, OURS);
placed!(restarted_ten_times, restarted, OURS);
placed!(neighbor_restarted, neighbor_restarted_behind, OURS);
placed!(servers_site_stops_under_streams, stops_under_streams, OURS, false);
placed!(clients_site_stops_under_streams, stops_under_streams, OURS, true);
placed!(stops_at_once_when_idle, stops_when_idle, OURS);
placed!(stop_lets_a_stream_finish, stop_drains, OURS);
placed!(stop_lets_a_dial_finish, stop_waits_for_a_dial, OURS);
placed!(second_signal_ends_at_once, second_signal, OURS);
placed!(shares_connections_between_sites, shares_between_sites, [Ours; 3]);

mod mixed {
    use super::*;

    mixed_pairs!(listens_only_while_a_server_is_there, listens_only_while_served);
    placed!(restarted_ten_times_beside_a_peer, restarted, [Peer, Ours]);
    placed!(peer_restarted_ten_times, restarted, [Ours, Peer]);
    placed!(peer_restarted_as_the_listening_side, neighbor_restarted_behind, [Peer, Ours]);
    placed!(restarted_as_the_listening_side_of_a_peer, neighbor_restarted_behind, [Ours, Peer]);
    placed!(stops_under_streams_of_a_peer, stops_under_streams, [Peer, Ours], false);
    placed!(shares_with_a_peer_at_the_clients, shares_between_sites, [Peer, Ours, Ours]);
    placed!(shares_with_a_peer_at_a_server, shares_between_sites, [Ours, Ours, Peer]);
}

/// The router refuses clients before the address has its first server and after the last has gone.
fn listens_only_while_served(lab: &Lab, kinds: [Kind; 2]) {
    let mut pair = Pair::start_unready(lab, kinds, PairOptions::default(), &[]);
    let port = pair.port("hello");
    pair.south.kill();
    pair.north.await_log(&["Operational"]);
    assert_refused(port);
    for gone_by in [Signal::TERM, Signal::KILL] {
        pair.south.start_again();
        pair.north.await_port(port);
        client::await_hello(port);
        pair.south.signal(gone_by);
        pair.south.await_exit(STOP);
        wait::until("the service is withdrawn", wait::patience(), || {
            (!ports::listening(port)).then_some(())
        });
        assert_refused(port);
    }
}

fn assert_refused(port: u16) {
    let refused = client::try_connect(port).map_err(|error| error.kind());
    assert!(matches!(refused, Err(ErrorKind::ConnectionRefused)), "{refused:?}");
}

/// The servers' site is killed and started ten times. Every other time this happens again within
/// the second in which its link is up. Its neighbor accepts each life, and calls work.
fn restarted(lab: &Lab, kinds: [Kind; 2]) {
    let mut pair = Pair::start(lab, kinds, PairOptions::relayed(), &[]);
    for round in 0..10 {
        let served = pair.hello().accepted();
        pair.south.kill();
        pair.south.start_again();
        // The other kind cannot be distinguished from its former life in the same second.
        if round % 2 == 1 && kinds[1].is_ours() {
            // Past the handshake, so that the neighbor has met this life too.
            let [from_south, to_south] = pair.relay().carried();
            pair.relay().await_carried([from_south + 4000, to_south + 4000]);
            pair.south.kill();
            pair.south.start_again();
        }
        let start = Instant::now();
        client::await_hello(pair.port("hello"));
        assert!(pair.hello().accepted() > served);
        eprintln!("round {round}: an answer after {:?}", start.elapsed());
    }
}

/// The site that others link to is started again, and the others link to it again by themselves.
fn neighbor_restarted_behind(lab: &Lab, kinds: [Kind; 2]) {
    let mut pair = Pair::start(lab, kinds, PairOptions::with_data(1), &[]);
    for _ in 0..3 {
        pair.north.kill();
        pair.north.start_again();
        client::await_hello(pair.port("hello"));
    }
}

/// A router under streams stops in time and with success. No end takes an incomplete stream for
/// complete.
fn stops_under_streams(lab: &Lab, kinds: [Kind; 2], stop_north: bool) {
    let [sink, source] = [Backend::start(Serve::Sink), Backend::start(Serve::Exchange(u64::MAX))];
    let mut pair = Pair::start(
        lab,
        kinds,
        PairOptions::default(),
        &[("sink", sink.port), ("source", source.port)],
    );
    let is_ours = pair.is_ours();
    let uploading = client::connect(pair.port("sink"));
    let mut downloading = client::connect(pair.port("source"));
    let handles = [&uploading, &downloading]
        .map(|stream| stream.try_clone().expect("a second handle of the socket"));
    std::thread::scope(|scope| {
        let _end = handles.each_ref().map(client::HangUp);
        let mut outgoing = uploading.try_clone().expect("a second handle of the socket");
        let upload = scope.spawn(move || client::send(&mut outgoing, u64::MAX, |_| {}));
        let download = scope.spawn(move || {
            let mut check = crate::support::pattern::Check::default();
            (client::drain(&mut downloading, &mut check), check)
        });
        sink.await_received(1_000_000);
        let stopping = if stop_north { &mut pair.north } else { &mut pair.south };
        assert_stops(stopping, STOP);
        assert!(
            upload.join().expect("the writer does not panic").1.is_some(),
            "the uploading client was not told"
        );
        let (end, check) = download.join().expect("the reader does not panic");
        assert_eq!(check.wrong_at(), None);
        let server = sink.next_account();
        assert_eq!(server.wrong_at, None);
        if is_ours {
            assert_eq!(
                end,
                End::Reset,
                "the downloading client takes {} octets for everything",
                check.received()
            );
            assert_eq!(
                server.end,
                End::Reset,
                "the server takes {} bytes for the whole upload",
                server.received
            );
        } else {
            assert_ne!(end, End::Open);
        }
    });
}

/// An idle router stops at once.
fn stops_when_idle(lab: &Lab, kinds: [Kind; 2]) {
    let mut pair = Pair::start(lab, kinds, PairOptions::default(), &[]);
    let at_once = Duration::from_secs(3);
    assert_stops(&mut pair.north, at_once);
    assert_stops(&mut pair.south, at_once);
}

/// Asserts that a router stops in time and with success. The other kind stops in time, but may
/// crash at the end.
fn assert_stops(router: &mut Router, limit: Duration) {
    let status = router.terminate(limit);
    assert!(
        status.code() == Some(0) || !router.kind.is_ours(),
        "{} ended with {status}",
        router.id
    );
}

/// A stopping router carries a stream that ends soon to its end. The other kind drops it.
fn stop_drains(lab: &Lab, kinds: [Kind; 2]) {
    let backend = Backend::start(Serve::Echo);
    let pair = Pair::start(lab, kinds, PairOptions::default(), &[("echo", backend.port)]);
    if !pair.is_ours() {
        return;
    }
    let mut stream = client::connect(pair.port("echo"));
    stream.write_all(b"before ").expect("the router reads");
    stream.read_exact(&mut [0; 7]).expect("the echo");
    pair.south.signal(Signal::TERM);
    wait::until("no new client is accepted", STOP, || {
        (!ports::listening(pair.port("echo"))).then_some(())
    });
    stream.write_all(b"after").expect("the router reads");
    stream.shutdown(Shutdown::Write).expect("half of the connection ends");
    assert_eq!(client::read_text(&mut stream), ("after".to_owned(), End::Clean));
    assert_eq!(pair.south.await_exit(STOP).code(), Some(0));
}

/// A stopping router also waits for a stream whose server it still dials. The other kind waits for
/// no stream.
fn stop_waits_for_a_dial(lab: &Lab, kinds: [Kind; 2]) {
    // This server accepts connections and never answers, so TLS never comes about.
    let backend = Backend::start(Serve::Stall);
    let [link, port] = [ports::free(), ports::free()];
    let north =
        Spec::new("north", kinds[0]).links_plain(link).tcp_listener("slow", port).start(lab);
    let server = json!({
        "name": "slow", "address": "slow", "host": "localhost", "port": backend.port.to_string(),
        "sslProfile": "tls",
    });
    let south = Spec::new("south", kinds[1])
        .link_plain("link", link, 1)
        .profile(&lab.identity("south"))
        .entity("tcpConnector", server);
    let south = south.start(lab);
    north.await_port(port);
    let mut stream = client::connect(port);
    backend.await_accepted(1);
    south.signal(Signal::TERM);
    wait::until("the service is withdrawn", STOP, || (!ports::listening(port)).then_some(()));
    assert!(south.is_running(), "it does not wait for the dial");
    assert_eq!(south.await_exit(STOP).code(), Some(0));
    assert_ne!(client::read_text(&mut stream).1, End::Open);
}

/// A second signal ends the wait for streams. The other kind waits for no stream.
fn second_signal(lab: &Lab, kinds: [Kind; 2]) {
    let backend = Backend::start(Serve::Sink);
    let pair = Pair::start(lab, kinds, PairOptions::default(), &[("sink", backend.port)]);
    if !pair.is_ours() {
        return;
    }
    let mut stream = client::connect(pair.port("sink"));
    stream.write_all(b"question").expect("the router reads");
    backend.await_received(8);
    pair.south.signal(Signal::TERM);
    wait::until("the service is withdrawn", STOP, || {
        (!ports::listening(pair.port("hello"))).then_some(())
    });
    assert!(pair.south.is_running(), "it does not wait for streams");
    pair.south.signal(Signal::TERM);
    pair.south.await_log(&["SIGTERM again: ending at once"]);
    pair.south.await_exit(STOP);
    assert_eq!(client::read_text(&mut stream).1, End::Reset);
    assert_eq!(backend.next_account().end, End::Reset, "the server takes a part for the whole");
}

/// Two sites serve one address, and the third, with the clients, shares its connections between
/// them. After one of the two has gone, the other serves all.
fn shares_between_sites(lab: &Lab, kinds: [Kind; 3]) {
    const CLIENTS: usize = 20;
    let servers = [Backend::start(Serve::Echo), Backend::start(Serve::Echo)];
    let [link, port] = [ports::free(), ports::free()];
    let clients =
        Spec::new("clients", kinds[0]).links_plain(link).tcp_listener("shared", port).start(lab);
    let site = |name: &str, kind, server: &Backend| {
        Spec::new(name, kind)
            .link_plain("link", link, 1)
            .tcp_connector("shared", server.port)
            .start(lab)
    };
    let mut sites = [site("one", kinds[1], &servers[0]), site("two", kinds[2], &servers[1])];
    clients.await_port(port);
    let open = || -> std::io::Result<_> {
        let mut stream = client::try_connect(port)?;
        stream.write_all(b"x")?;
        stream.read_exact(&mut [0])?;
        Ok(stream)
    };
    let mut first = Vec::new();
    wait::until("both sites serve", wait::patience(), || {
        first.extend(open());
        servers.iter().all(|server| server.accepted() > 0).then_some(())
    });
    drop(first);
    wait::until("these connections have ended", wait::patience(), || {
        servers.iter().all(|server| server.open() == 0).then_some(())
    });
    let streams: Vec<_> = (0..CLIENTS).map(|_| open().expect("an echo")).collect();
    let shares = servers.each_ref().map(Backend::open);
    assert!(
        shares.iter().all(|&share| share >= CLIENTS / 4),
        "{CLIENTS} connections were shared {shares:?}"
    );
    drop(streams);
    sites[0].kill();
    wait::until("ten connections in a row work", wait::patience(), || {
        (0..10).all(|_| open().is_ok()).then_some(())
    });
}
