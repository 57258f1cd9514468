//! Links that are not there, as an operator sees them: their reasons, and when they come back.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use Kind::Ours;
use rustix::process::Signal;
use serde_json::json;

use crate::support::backend::Serve;
use crate::support::pki::{Authority, Identity};
use crate::support::{Backend, Kind, Lab, Spec, Watched, amqp, ports, wait};

placed!(a_link_tells_why_it_is_not_there, reasons, [Ours]);
placed!(a_link_that_changes_its_trouble_says_so, changed_trouble, [Ours]);
placed!(a_link_that_is_closed_with_an_error_waits, closed_with_error, [Ours]);
placed!(a_neighbor_that_stops_gives_no_error, stopped_neighbor, [Ours]);
placed!(an_edge_router_tells_which_uplink_is_in_use, uplinks, [Ours]);

/// Opens a port that sends the same bytes to each client and closes.
fn answering(words: &[u8]) -> u16 {
    answering_and_telling(words).0
}

/// Opens such a port, and reports the time of each client.
fn answering_and_telling(words: &[u8]) -> (u16, mpsc::Receiver<Instant>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (tell, told) = mpsc::channel();
    let words = words.to_vec();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = tell.send(Instant::now());
            let _ = stream.write_all(&words);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    (port, told)
}

/// Every wrong counterpart has its reason, in words that name the thing to change.
fn reasons(lab: &Lab, _: [Kind; 1]) {
    let good = lab.identity("good");
    let [links, clients, plain] = [ports::free(), ports::free(), ports::free()];
    let listener = json!({
        "name": "plain", "host": "127.0.0.1", "port": plain, "role": "inter-router",
        "saslMechanisms": "ANONYMOUS", "authenticatePeer": false,
    });
    let north =
        Spec::new("north", Ours).profile(&lab.identity("north")).links_tls(links).clients(clients);
    let north = Watched::start(lab, &north.entity("listener", listener));
    for port in [links, clients, plain] {
        north.router.await_port(port);
    }
    let nobody = ports::free();
    let web = answering(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    let by_tls = |name: &str, identity: &Identity, port| {
        Spec::new(name, Ours).profile(identity).link_tls("link1", port)
    };
    let in_clear = |name: &str, port| Spec::new(name, Ours).link_plain("link1", port, 1);
    let unresolved = json!({
        "name": "link1", "host": "no-such-host.invalid", "port": links, "role": "inter-router",
    });
    let cases = [
        (
            Spec::new("a", Ours).entity("connector", unresolved),
            "name-not-resolved",
            "no-such-host.invalid",
        ),
        (in_clear("b", nobody), "refused", "nothing listens there"),
        (
            by_tls("c", &good.clone().trusting(&Authority::new(lab.path(), "else")), links),
            "unknown-authority",
            "CN=test-ca",
        ),
        (by_tls("d", &lab.expired(), links), "our-certificate-refused", "certificate_expired"),
        (by_tls("e", &lab.stranger(), links), "our-certificate-refused", "unknown_ca"),
        (
            by_tls("f", &good.clone().anonymous(), links),
            "our-certificate-refused",
            "certificate_required",
        ),
        (by_tls("g", &good, plain), "tls-failed", "speaks no TLS"),
        (in_clear("h", links), "not-authenticated", "whether it demands TLS"),
        (in_clear("i", clients), "role-mismatch", "qd:forbidden"),
        (in_clear("north", plain), "own-router-id", "our own router id, north"),
        (in_clear("j", web), "not-amqp", "the first octets are HTTP/1.1"),
    ];
    for (spec, kind, words) in cases {
        let site = Watched::start(lab, &spec);
        let text = site.await_reason(kind);
        assert!(text.contains(words), "{kind}: {text}");
        let output = site.skup(&["link", "status"]);
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            printed.starts_with("Link link1 not connected\n") && printed.contains("next try:"),
            "{printed}"
        );
        assert_eq!(output.status.code(), Some(1));
    }
    assert!(north.router.is_running());
}

/// A new failure of a link is a new log line, even right after another.
fn changed_trouble(lab: &Lab, _: [Kind; 1]) {
    let port = ports::free();
    let site = Watched::start(lab, &Spec::new("south", Ours).link_plain("link1", port, 1));
    site.router.await_log(&["Connection to", "refused"]);
    let north = Spec::new("north", Ours).clients(port).start(lab);
    north.await_port(port);
    site.router.await_log(&["Connection to", "qd:forbidden"]);
    let lines =
        site.router.log().lines().filter(|line| line.contains("connection refused")).count();
    assert_eq!(lines, 1, "{}", site.router.log());
}

/// The router does not reconnect at once to a peer that closed with an error, for the peer has
/// refused it.
fn closed_with_error(lab: &Lab, _: [Kind; 1]) {
    let mechanisms = amqp::performative(amqp::code::SASL_MECHANISMS, &[amqp::symbol("ANONYMOUS")]);
    let outcome = amqp::performative(amqp::code::SASL_OUTCOME, &[amqp::ubyte(0)]);
    let error = amqp::performative(
        amqp::code::ERROR,
        &[amqp::symbol("amqp:connection:forced"), amqp::string("too much")],
    );
    let close = amqp::performative(amqp::code::CLOSE, &[error]);
    let sasl =
        [amqp::SASL_HEADER, &amqp::sasl_frame(&mechanisms), &amqp::sasl_frame(&outcome)].concat();
    let words =
        [&sasl[..], amqp::HEADER, &amqp::frame(0, &amqp::open("north")), &amqp::frame(0, &close)]
            .concat();
    let (port, comings) = answering_and_telling(&words);
    let site = Watched::start(lab, &Spec::new("south", Ours).link_plain("link1", port, 1));
    let came = |what: &str| {
        comings.recv_timeout(wait::patience()).unwrap_or_else(|_| panic!("no {what} connection"))
    };
    let first = came("first");
    let pause = came("second") - first;
    let text = site.await_reason("closed-by-peer");
    assert!(text.contains("too much"), "{text}");
    assert!(pause >= Duration::from_secs(2), "again after {pause:?}");
}

/// A stopping router closes its links without an error, so they are back as soon as it is.
fn stopped_neighbor(lab: &Lab, _: [Kind; 1]) {
    let port = ports::free();
    let mut north = Spec::new("north", Ours).links_plain(port).start(lab);
    north.await_port(port);
    let south = Watched::start(lab, &Spec::new("south", Ours).link_plain("link1", port, 1));
    south.await_active();
    north.signal(Signal::TERM);
    north.await_exit(wait::patience());
    south.router.await_log(&["Connection to", "closed by the peer, without an error"]);
    assert_eq!(south.router.log_line(&["amqp:connection:forced"]), None);
    north.start_again();
    south.await_active();
}

/// Of two uplinks one is in use and the other stands by, which also counts as good. The status
/// shows a service beyond where its path begins.
fn uplinks(lab: &Lab, _: [Kind; 1]) {
    let hello = Backend::start(Serve::Hello);
    let [first, second, port] = [ports::free(), ports::free(), ports::free()];
    let interiors = [("first", first), ("second", second)].map(|(name, port)| {
        let interior = Spec::new(name, Ours).edges_plain(port).tcp_connector("hello", hello.port);
        Watched::start(lab, &interior)
    });
    let edge = Spec::edge("edge", Ours)
        .link_plain("first", first, 1)
        .link_plain("second", second, 1)
        .with_edge_links();
    let edge = Watched::start(lab, &edge.tcp_listener("hello", port));
    edge.router.await_port(port);
    let in_use =
        wait::until("one uplink is in use and the other stands by", wait::patience(), || {
            let links = edge.json(&["link", "status"]);
            let links = links.as_array()?;
            let standing =
                links.iter().filter(|link| link["reason"]["kind"] == "stands-by").count();
            let used =
                links.iter().find(|link| link["state"] == "active" && link["reason"].is_null())?;
            (standing == 1).then(|| used["name"].as_str().map(str::to_owned))?
        });
    assert!(edge.skup(&["link", "status"]).status.success());
    let services = edge.json(&["service", "list"]);
    let services: Vec<_> = services
        .as_array()
        .into_iter()
        .flatten()
        .map(|it| (&it["address"], &it["routers"]))
        .collect();
    assert_eq!(services, [(&json!("hello"), &json!([in_use]))]);
    for interior in &interiors {
        let links = interior.json(&["link", "status"]);
        assert_eq!(
            (links[0]["role"].as_str(), links[0]["peer"]["router_id"].as_str()),
            (Some("edge"), Some("edge")),
            "{links}"
        );
    }
}
