//! Crowds that hold places. Their share is bounded, and clients with work still get in.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use Kind::Ours;
use serde_json::json;

use crate::support::amqp::{self, binary, code, symbol};
use crate::support::backend::Serve;
use crate::support::tool::password_line;
use crate::support::{Backend, Kind, Lab, Spec, Watched, client, hear, http, ports, wait};

placed!(silent_connections_keep_no_probe_out, silent_probes, [Ours]);
placed!(silent_sockets_keep_neither_clients_nor_neighbors_out, silent_sockets, [Ours]);
placed!(clients_leave_descriptors_to_probes_and_operators, few_descriptors, [Ours]);
placed!(wrong_passwords_do_not_delay_a_right_one, wrong_passwords, [Ours]);

/// A probe gives up after one second.
const PROBE: Duration = Duration::from_secs(1);

const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const THIRD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// Asks for `/healthz` as a kubelet does. Panics where the kubelet would restart the router.
#[track_caller]
fn probe(port: u16) {
    let answer = http::get_within(port, "/healthz", PROBE);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("OK\n"), "{answer}");
}

/// Returns true if the router answers an opening with an open, within the stream's read time limit.
fn opens(stream: &mut TcpStream) -> bool {
    hear::attempt(stream, &mut Vec::new(), &hear::begin_of(code::OPEN)).is_ok()
}

fn client_of(port: u16) -> TcpStream {
    let mut stream = client::connect(port);
    stream.write_all(&amqp::opening("client")).expect("sent");
    stream
}

fn silent_probes(lab: &Lab, _: [Kind; 1]) {
    let port = ports::free();
    let router = Spec::new("north", Ours).web(port).start(lab);
    router.await_port(port);
    // Some send nothing, and some begin a request and never end it.
    let mut crowd = Vec::new();
    for number in 0..100 {
        let source = if number % 2 == 0 { Ipv4Addr::LOCALHOST } else { OTHER };
        let mut stream = client::connect_from(source, port).expect("connected");
        if number % 3 == 0 {
            let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: ");
        }
        crowd.push(stream);
    }
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1500) {
        probe(port);
    }
    // Silent connections do not stay for long.
    for mut stream in crowd {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}

fn silent_sockets(lab: &Lab, _: [Kind; 1]) {
    let hello = Backend::start(Serve::Hello);
    let [clients, links, service] = [(); 3].map(|()| ports::free());
    let spec =
        Spec::new("north", Ours).clients(clients).links_plain(links).tcp_listener("hello", service);
    let router = spec.start(lab);
    router.await_port(clients);
    router.await_port(links);
    let mut crowd = Vec::new();
    for port in [clients, links] {
        // The first begin to speak, the others stay silent.
        for number in 0..1300 {
            let mut stream = client::connect_from(OTHER, port).expect("connected");
            if number < 200 {
                let _ = stream.write_all(b"A");
            }
            crowd.push(stream);
        }
    }
    let mut stream = client_of(clients);
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
    assert!(opens(&mut stream), "a client got no place");
    let begun = Instant::now();
    let neighbor = Spec::new("south", Ours)
        .link_plain("link1", links, 1)
        .tcp_connector("hello", hello.port)
        .start(lab);
    client::await_hello(service);
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert!(router.is_running() && neighbor.is_running());
}

fn few_descriptors(lab: &Lab, _: [Kind; 1]) {
    let [clients, port] = [(); 2].map(|()| ports::free());
    let mut spec = Spec::new("north", Ours).clients(clients).web(port);
    spec.descriptors = Some(64);
    let site = Watched::start(lab, &spec);
    let mut crowd: Vec<_> = (0..150).map(|_| client_of(clients)).collect();
    assert!(opens(&mut crowd[0]), "a client got no place");
    let silent: Vec<_> = (0..20).map(|_| client::connect(port)).collect();
    for _ in 0..5 {
        probe(port);
        let answer = site.skup(&["status"]);
        assert!(answer.status.success(), "{answer:?}");
    }
    drop(silent);
    // No client was lost: each waiting one is served as others leave, on any shard.
    for mut stream in crowd.into_iter().skip(1) {
        assert!(opens(&mut stream), "a client that was accepted got no answer");
    }
    let log = site.router.log();
    assert!(
        !log.contains("cannot be moved")
            && !log.contains("cannot accept")
            && !log.contains("os error 24"),
        "{log}"
    );
    assert!(site.router.is_running());
}

/// Encodes the beginning of a client with a password.
fn login(user: &str, password: &str) -> Vec<u8> {
    let response = format!("\0{user}\0{password}");
    let init = [symbol("PLAIN"), binary(response.as_bytes())];
    amqp::opening_with(&init, &amqp::open("client"))
}

fn wrong_passwords(lab: &Lab, _: [Kind; 1]) {
    let port = ports::free();
    let spec = Spec::new("north", Ours).passwords(lab, &password_line("alice", "wonder"));
    let listener = json!({
        "name": "door", "host": "127.0.0.1", "port": port, "saslMechanisms": "PLAIN",
        "authenticatePeer": true,
    });
    let router = spec.entity("listener", listener).start(lab);
    router.await_port(port);
    let right = || {
        let begun = Instant::now();
        let mut stream = client::connect_from(THIRD, port).expect("connected");
        stream.write_all(&login("alice", "wonder")).expect("sent");
        assert!(opens(&mut stream), "a right password is refused");
        begun.elapsed()
    };
    let alone = right();
    let crowd: Vec<_> = (0..600)
        .map(|number| {
            let mut stream = client::connect_from(OTHER, port).expect("connected");
            stream.write_all(&login(&format!("user-{number}"), "wrong")).expect("sent");
            stream
        })
        .collect();
    let took = right();
    // It waits for the check in progress at most. Behind the queue of the crowd it would wait for
    // 64 checks. A busy machine stretches each check, so the bound stands between the two.
    assert!(
        took < 8 * alone + Duration::from_secs(2),
        "a right password took {took:?}, and {alone:?} alone"
    );
    // Beside the guesser it needs a few tries.
    let opened = wait::attempt(wait::patience(), || {
        let mut stream = client::connect_from(OTHER, port).ok()?;
        stream.write_all(&login("alice", "wonder")).ok()?;
        opens(&mut stream).then_some(())
    });
    assert!(opened.is_some(), "a right password beside wrong ones");
    drop(crowd);
    assert!(router.log_line(&["put off: too many logins"]).is_some());
}
