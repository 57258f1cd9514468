//! An operator's view of a router: refusals, ports in use, reloads, and figures.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;

use Kind::Ours;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::backend::Serve;
use crate::support::pki::{Contents, Identity};
use crate::support::{
    Backend, Kind, Lab, Spec, Watched, amqp, client, hear, http, peers, ports, tls, wait,
};

placed!(a_port_that_is_held_is_told_and_tried_again, held_port, [Ours]);
placed!(each_client_and_reason_has_its_line_and_count, refusals, [Ours]);
placed!(a_port_probe_leaves_no_trace, probe, [Ours]);
placed!(silence_ends_after_the_configured_time, silence, [Ours]);
placed!(reload_is_for_new_connections, reload, [Ours]);
placed!(counters_move_with_traffic, counters, [Ours]);
placed!(a_bad_configuration_opens_nothing, bad_configurations, [Ours]);

/// Returns one figure of the page. Labels are part of the name.
fn metric(page: &str, name: &str) -> u64 {
    let figure = page
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse::<f64>().ok());
    #[allow(clippy::allow_attributes, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    figure.map_or(0, |figure| figure as u64)
}

fn metrics(port: u16) -> String {
    let page = http::get(port, "/metrics");
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    page
}

/// Another process holds a port. The log reports it once, and the status for as long as it lasts.
/// The router opens the port once it is free, a service's port too, and nothing else waits for it.
fn held_port(lab: &Lab, _: [Kind; 1]) {
    let hello = Backend::start(Serve::Hello);
    let holder = TcpListener::bind("127.0.0.1:0").expect("a port");
    let service = holder.local_addr().expect("an address").port();
    let free = ports::free();
    let spec =
        Spec::new("held", Ours).tcp_listener("hello", service).tcp_connector("hello", hello.port);
    let elsewhere =
        json!({ "name": "free", "address": "hello", "host": "127.0.0.1", "port": free });
    let site = Watched::start(lab, &spec.entity("tcpListener", elsewhere));
    client::await_hello(free);
    let warned = |name: &str| {
        let status = site.json(&["status"]);
        let warnings = status["warnings"].as_array().cloned().unwrap_or_default();
        warnings.iter().any(|warning| {
            let text = warning["text"].as_str().unwrap_or_default();
            text.contains(name) && text.contains("held by another process")
        })
    };
    let name = "tcpListener hello-listener";
    wait::until("it is in the status", wait::patience(), || warned(name).then_some(()));
    drop(holder);
    client::await_hello(service);
    wait::until("it is out of the status", wait::patience(), || (!warned(name)).then_some(()));
    let lines = site
        .router
        .log()
        .lines()
        .filter(|line| line.contains(name) && line.contains("held by another"))
        .count();
    assert_eq!(lines, 1, "{}", site.router.log());
    // The port for AMQP is the router's purpose: without it the router does not start.
    let held = TcpListener::bind("127.0.0.1:0").expect("a port");
    let without = Spec::new("without", Ours)
        .clients(held.local_addr().expect("an address").port())
        .start(lab);
    wait::until("the router gives up", wait::patience(), || (!without.is_running()).then_some(()));
    assert!(without.log().contains("required listener failed"), "{}", without.log());
}

/// Several wrong clients, one after the other. Each has its own log line, and its reason is
/// counted.
fn refusals(lab: &Lab, _: [Kind; 1]) {
    let [links, page] = [ports::free(), ports::free()];
    let spec = Spec::new("north", Ours).profile(&lab.identity("north")).links_tls(links).web(page);
    let site = Watched::start(lab, &spec);
    site.router.await_port(links);
    site.router.await_port(page);
    let refuse = |identity: &Identity| {
        if let Ok(mut stream) = tls::connect(links, identity) {
            let (answer, ended) = tls::ask(&mut stream, amqp::SASL_HEADER);
            assert!(ended && answer.is_empty(), "answered {answer:02x?}");
        }
    };
    refuse(&lab.identity("nobody").anonymous());
    site.router.await_log(&["failed", "no certificate", "127.0.0.1:"]);
    refuse(&lab.expired());
    site.router.await_log(&["failed", "expired on 2021-01-01", "127.0.0.1:"]);
    refuse(&lab.stranger());
    site.router.await_log(&["failed", "issued by CN=other-ca", "127.0.0.1:"]);
    let mut clear = client::connect(links);
    let (answer, ended) = tls::ask(&mut clear, amqp::HEADER);
    assert!(ended, "the connection is still open");
    // A client that speaks AMQP in clear text can read the reason.
    assert!(hear::contains(&answer, "amqp:connec"), "{answer:02x?}");
    site.router.await_log(&["failed", "Client connection unencrypted", "127.0.0.1:"]);
    for reason in ["no_certificate", "expired", "unknown_ca", "plain_text"] {
        let name =
            format!("skrouterd_handshake_failures_total{{listener=\"links\",reason=\"{reason}\"}}");
        wait::until(&name, wait::patience(), || (metric(&metrics(page), &name) == 1).then_some(()));
    }
    assert_eq!(site.json(&["connection", "list"]), json!([]), "a refused client is in the list");
}

/// A check whether a port is open is no event.
fn probe(lab: &Lab, _: [Kind; 1]) {
    let [clients, links, page] = [ports::free(), ports::free(), ports::free()];
    let spec = Spec::new("probed", Ours)
        .profile(&lab.identity("probed"))
        .clients(clients)
        .links_tls(links);
    let site = Watched::start(lab, &spec.web(page));
    for port in [clients, links, page] {
        site.router.await_port(port);
        drop(client::connect(port));
    }
    // A refusal follows the probes on the same ports. Once its line is there, theirs would be too.
    for port in [clients, links] {
        let mut stream = client::connect(port);
        let (_, ended) = tls::ask(&mut stream, b"GET / HTTP/1.1\r\n\r\n");
        assert!(ended);
        site.router.await_log(&["failed", &stream.local_addr().expect("an address").to_string()]);
    }
    let failures = site.router.log().lines().filter(|line| line.contains("failed")).count();
    assert_eq!(failures, 2, "{}", site.router.log());
}

/// The router refuses a silent client after `initialHandshakeTimeoutSeconds`, and reports it.
fn silence(lab: &Lab, _: [Kind; 1]) {
    let [clients, page] = [ports::free(), ports::free()];
    let listener = json!({
        "name": "clients", "host": "127.0.0.1", "port": clients, "role": "normal",
        "saslMechanisms": "ANONYMOUS", "authenticatePeer": false,
        "initialHandshakeTimeoutSeconds": 1,
    });
    let site =
        Watched::start(lab, &Spec::new("patient", Ours).entity("listener", listener).web(page));
    site.router.await_port(clients);
    let mut silent = client::connect(clients);
    assert_eq!(silent.read(&mut [0]).expect("the router ends it"), 0);
    site.router.await_log(&[
        "failed",
        &silent.local_addr().expect("an address").to_string(),
        "nothing was received",
    ]);
    assert_eq!(
        metric(
            &metrics(page),
            "skrouterd_handshake_failures_total{listener=\"clients\",reason=\"timeout\"}"
        ),
        1
    );
}

/// SIGHUP: later clients see the new certificate, and an open link stays. A pair of files that does
/// not fit changes nothing.
fn reload(lab: &Lab, _: [Kind; 1]) {
    let identity = lab.identity("north");
    let (certificate, key) = identity.own.clone().expect("a certificate");
    let links = ports::free();
    let north = Spec::new("north", Ours).profile(&identity).links_tls(links);
    let north = Watched::start(lab, &north);
    let south = Watched::start(
        lab,
        &Spec::new("south", Ours).profile(&lab.identity("south")).link_tls("link1", links),
    );
    let since = south.await_active()["since"].clone();
    let client = lab.identity("client");
    let shown = || {
        let stream = tls::connect(links, &client).expect("a handshake");
        stream
            .conn
            .peer_certificates()
            .and_then(|chain| chain.first().map(|leaf| leaf.to_vec()))
            .expect("a certificate")
    };
    let before = shown();
    let contents = Contents { common_name: "renewed", names: &["localhost"], expired: false };
    let (new_certificate, new_key) =
        lab.authority().issue("renewed", &contents).own.expect("a certificate");
    std::fs::copy(&new_certificate, &certificate).expect("the certificate is replaced");
    north.router.signal(Signal::HUP);
    north.router.await_log(&["sslProfile tls stays as it was", "privateKeyFile", "do"]);
    assert_eq!(shown(), before, "half of a pair was taken");
    std::fs::copy(&new_key, &key).expect("the key is replaced");
    north.router.signal(Signal::HUP);
    north.router.await_log(&["Updated sslProfile tls"]);
    assert_ne!(shown(), before, "new connections are shown the former certificate");
    assert_eq!(south.await_active()["since"], since, "the link was lost");
}

/// A service moves these metrics at each router on its path.
fn counters(lab: &Lab, _: [Kind; 1]) {
    let echo = Backend::start(Serve::Echo);
    let nobody = ports::free();
    let [links, echo_port, dead_port] = [ports::free(), ports::free(), ports::free()];
    let pages = [(); 3].map(|()| ports::free());
    let middle = Spec::new("middle", Ours).links_plain(links).web(pages[1]).start(lab);
    let first =
        Spec::new("first", Ours).link_plain("link1", links, 1).tcp_listener("echo", echo_port);
    let first = first.tcp_listener("dead", dead_port).web(pages[0]).start(lab);
    let last =
        Spec::new("last", Ours).link_plain("link1", links, 1).tcp_connector("echo", echo.port);
    let last = last.tcp_connector("dead", nobody).web(pages[2]).start(lab);
    for (router, page) in [(&first, pages[0]), (&middle, pages[1]), (&last, pages[2])] {
        router.await_port(page);
    }
    first.await_port(dead_port);
    let mut stream = wait::until("an echo", wait::patience(), || {
        let mut stream = client::try_connect(echo_port).ok()?;
        stream.write_all(b"hello").ok()?;
        stream.read_exact(&mut [0; 5]).ok()?;
        Some(stream)
    });
    let await_metric = |page: usize, name: &str, at_least: u64| {
        wait::until(&format!("{name} of router {page}"), wait::patience(), || {
            (metric(&metrics(pages[page]), name) >= at_least).then_some(())
        });
    };
    let service = |name: &str, direction: &str, more: &str| {
        format!(
            "skrouterd_service_{name}{{address=\"echo\",protocol=\"tcp\",\
             direction=\"{direction}\"{more}}}"
        )
    };
    for (page, side) in [(0, "listener"), (2, "connector")] {
        await_metric(page, "qdr_tcp_service_connections", 1);
        await_metric(page, "qdr_deliveries_ingress_total", 1);
        await_metric(page, "qdr_deliveries_egress_total", 1);
        await_metric(page, &service("connections_open", side, ""), 1);
        await_metric(page, &service("octets_total", side, ",way=\"in\""), 5);
        await_metric(page, &service("octets_total", side, ",way=\"out\""), 5);
        // The control links, and the two links of the service connection.
        await_metric(page, "qdr_links_total", 4);
    }
    await_metric(1, "qdr_amqp_service_connections", 2);
    await_metric(1, "qdr_links_total", 4);
    await_metric(1, "qdr_routers_total", 3);
    await_metric(1, "qdr_deliveries_transit_total", 2);
    stream.shutdown(std::net::Shutdown::Write).expect("half of the connection ends");
    assert_eq!(client::read_text(&mut stream).1, client::End::Clean);
    await_metric(1, "qdr_accepted_deliveries_total", 2);
    let mut dead = client::connect(dead_port);
    assert_eq!(client::read_text(&mut dead).1, client::End::Reset);
    await_metric(1, "qdr_modified_deliveries_total", 1);
    await_metric(2, "skrouterd_service_dial_failures_total{address=\"dead\"}", 1);
    drop(stream);
    wait::until("no service connection", wait::patience(), || {
        (metric(&metrics(pages[0]), "qdr_tcp_service_connections") == 0).then_some(())
    });
}

/// A bad configuration ends the router with exit status 1 and one line with file, entity and
/// attribute. It has opened no port and no admin socket, and a log file only for that line.
fn bad_configurations(lab: &Lab, _: [Kind; 1]) {
    let good = lab.identity("good");
    let (certificate, key) = good.own.clone().expect("a certificate");
    let (_, other_key) = lab.identity("other").own.expect("a certificate");
    let port = ports::free();
    let profile = |more: Value| {
        let mut attributes =
            json!({ "name": "tls", "certFile": certificate, "privateKeyFile": key });
        for (name, value) in more.as_object().expect("attributes") {
            attributes[name] = value.clone();
        }
        ("sslProfile", attributes)
    };
    let cases = [
        (profile(json!({ "certFile": "/no/such/file" })), "sslProfile 'tls': attribute 'certFile'"),
        (
            profile(json!({ "privateKeyFile": other_key })),
            "sslProfile 'tls': attribute 'privateKeyFile'",
        ),
        (
            profile(json!({ "password": "env:NO_SUCH_VARIABLE" })),
            "sslProfile 'tls': attribute 'password'",
        ),
        (profile(json!({ "ciphers": "AES128-SHA" })), "sslProfile 'tls': attribute 'ciphers'"),
        (profile(json!({ "protocols": "TLSv1" })), "sslProfile 'tls': attribute 'protocols'"),
        (
            ("listener", json!({ "name": "twin", "host": "127.0.0.1", "port": port })),
            "listener 'twin': attribute 'port'",
        ),
        (
            ("listener", json!({ "name": "clients", "port": 1 })),
            "listener 'clients': attribute 'name'",
        ),
        (
            ("listener", json!({ "name": "x", "port": 1, "requireSsl": true })),
            "listener 'x': attribute 'requireSsl'",
        ),
        (
            ("listener", json!({ "name": "x", "port": 1, "saslMechanisms": "PLAIN" })),
            "listener 'x': attribute 'saslMechanisms'",
        ),
        (
            ("tcpConnector", json!({ "name": "x", "address": "a", "host": "h" })),
            "tcpConnector 'x': attribute 'port'",
        ),
        (
            ("tcpConnector", json!({ "name": "x", "adress": "a" })),
            "tcpConnector 'x': attribute 'adress'",
        ),
        (("listner", json!({})), "'listner'"),
    ];
    let [config, socket, log] =
        ["bad.json", "bad.sock", "bad.log"].map(|name| lab.path().join(name));
    let mut logs = 0;
    for ((entity, attributes), place) in cases {
        let spec = Spec::new("bad", Ours)
            .clients(port)
            .entity("log", json!({ "module": "DEFAULT", "outputFile": log }));
        std::fs::write(&config, spec.entity(entity, attributes).text())
            .expect("the configuration is written");
        let mut command = Command::new(peers::ours());
        let output = command
            .arg("-c")
            .arg(&config)
            .arg("--admin-socket")
            .arg(&socket)
            .output()
            .expect("the router starts");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{place}: {text}");
        assert!(
            text.lines().count() == 1 && text.contains("bad.json: ") && text.contains(place),
            "{place}: {text}"
        );
        assert!(!ports::listening(port) && !socket.exists(), "{place}: something was opened");
        if let Ok(logged) = std::fs::read_to_string(&log) {
            logs += 1;
            assert!(
                logged.lines().count() == 1 && logged.contains(place),
                "{place}: the log file says {logged}"
            );
            std::fs::remove_file(&log).expect("the log file is removed");
        }
    }
    assert!(logs > 0, "no error reached the log file");
}
