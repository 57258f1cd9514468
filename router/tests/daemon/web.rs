//! HTTP listeners: files of a folder, and AMQP over WebSocket, with TLS and without.

use std::fs;
use std::io::{Read, Write};
use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::Message;

use crate::support::{Kind, Lab, Python, Router, Spec, amqp, client, http, ports, tls, websocket};

fn start(lab: &Lab, spec: Spec, listener: Value) -> (Router, u16) {
    let port = ports::free();
    let mut listener = listener;
    for (name, value) in [
        ("name", json!("web")),
        ("host", json!("localhost")),
        ("port", json!(port)),
        ("http", json!(true)),
    ] {
        listener[name] = value;
    }
    let router = spec.entity("listener", listener).start(lab);
    router.await_port(port);
    (router, port)
}

fn spec() -> Spec {
    Spec::new("north", Kind::Ours)
}

/// Returns a request to open a WebSocket. `more` holds further headers, as lines.
fn upgrade(host: &str, version: &str, protocol: &str, more: &str) -> String {
    format!(
        "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: {version}\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: {protocol}\r\n{more}\r\n"
    )
}

/// Sends and receives messages of a Python client over `port`.
#[track_caller]
fn carry(python: &Python, port: u16) {
    let url = format!("amqp://127.0.0.1:{port}");
    for (count, size) in [("20", "100"), ("2", "3000000")] {
        let arguments = ["carry", &url, &url, "closest/q", count, size, "1"];
        let result = python.run("messages.py", &arguments);
        assert!(result["intact"] == true && result["timed_out"] == false, "{result}");
    }
}

#[test]
fn files_of_a_folder_are_served_and_no_others() {
    let lab = Lab::new("files_of_a_folder_are_served_and_no_others");
    let root = lab.path().join("root");
    fs::create_dir_all(root.join("sub")).expect("a folder");
    fs::write(root.join("index.html"), "top").expect("written");
    fs::write(root.join("sub/index.html"), "below").expect("written");
    let long = "0123456789abcdef".repeat(200_000);
    fs::write(root.join("long.txt"), &long).expect("written");
    fs::write(lab.path().join("secret"), "secret").expect("written");
    let (router, port) = start(&lab, spec(), json!({ "httpRootDir": root, "metrics": false }));
    for (path, content) in [
        ("/", "top"),
        ("/index.html?x=1", "top"),
        ("/sub/", "below"),
        ("/long.txt", &*long),
        ("/healthz", "OK\n"),
    ] {
        let answer = http::get(port, path);
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with(&format!("\r\n\r\n{content}")),
            "{path}: {:.300}",
            answer
        );
    }
    assert!(
        http::get(port, "/sub").contains("location: ./sub/\r\n"),
        "{}",
        http::get(port, "/sub")
    );
    for path in ["/../secret", "/%2e%2e/secret", "/sub/../../secret", "/nothing", "/metrics"] {
        let answer = http::get(port, path);
        assert!(
            answer.starts_with("HTTP/1.1 4") && !answer.ends_with("secret"),
            "{path}: {answer}"
        );
    }
    let answer =
        http::exchange(client::connect(port), "HEAD /long.txt HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(
        answer.contains("content-length: 3200000\r\n") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
    assert!(router.is_running());
}

#[test]
fn amqp_over_websocket_is_amqp() {
    let test = "amqp_over_websocket_is_amqp";
    let Some(python) = Python::needed_by(test) else { return };
    let lab = Lab::new(test);
    let spec = spec().entity(
        "address",
        json!({ "name": "closest", "prefix": "closest", "distribution": "closest" }),
    );
    let (mut router, port) = start(&lab, spec, json!({}));
    carry(&python, websocket::bridge(port, None));
    // A WebSocket that is open when the router stops gets a close.
    let mut open = websocket::open(port, None).expect("a WebSocket");
    open.send(Message::binary(amqp::opening("late"))).expect("sent");
    assert!(websocket::hears(&mut open, amqp::code::OPEN));
    assert!(router.terminate(Duration::from_secs(10)).success());
    assert!(websocket::hears(&mut open, amqp::code::CLOSE));
}

#[test]
fn websockets_over_tls_know_who_comes() {
    let test = "websockets_over_tls_know_who_comes";
    let Some(python) = Python::needed_by(test) else { return };
    let lab = Lab::new(test);
    let closest = json!({ "name": "closest", "prefix": "closest", "distribution": "closest" });
    let spec = spec().profile(&lab.identity("north")).entity("address", closest);
    let anonymous = ports::free();
    let listener = json!({
        "name": "anonymous", "host": "localhost", "port": anonymous, "http": true,
        "sslProfile": "tls", "requireSsl": true,
    });
    let certified = json!({
        "sslProfile": "tls", "requireSsl": true, "authenticatePeer": true,
        "saslMechanisms": "EXTERNAL",
    });
    let (router, port) = start(&lab, spec.entity("listener", listener), certified);
    router.await_port(anonymous);
    let identity = lab.identity("client");
    carry(&python, websocket::bridge(anonymous, Some(identity.clone())));

    assert!(websocket::open(port, None).is_err(), "in clear");
    assert!(
        websocket::open(port, Some(&identity.clone().anonymous())).is_err(),
        "without a certificate"
    );
    // The certificate, not the anonymous user, identifies this client.
    let external = [amqp::symbol("EXTERNAL"), amqp::binary(b""), amqp::null()];
    let external = amqp::opening_with(&external, &amqp::open("known"));
    for (opening, let_in) in [(external, true), (amqp::opening("nobody"), false)] {
        let mut open = websocket::open(port, Some(&identity)).expect("a WebSocket");
        open.send(Message::binary(opening)).expect("sent");
        assert_eq!(websocket::hears(&mut open, amqp::code::OPEN), let_in);
    }
}

#[test]
fn what_is_no_websocket_for_amqp_is_refused() {
    let lab = Lab::new("what_is_no_websocket_for_amqp_is_refused");
    let (router, port) = start(&lab, spec(), json!({}));
    for (version, protocol, status) in [("13", "mqtt", "400"), ("8", "amqp", "426")] {
        let answer = http::exchange(client::connect(port), &upgrade("x", version, protocol, ""));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
    // AMQP must come in binary messages, and begin with its header.
    let mut open = websocket::open(port, None).expect("a WebSocket");
    open.send(Message::text("hello")).expect("sent");
    assert!(
        matches!(open.read(), Ok(Message::Close(Some(close))) if u16::from(close.code) == 1003)
    );
    let mut open = websocket::open(port, None).expect("a WebSocket");
    open.send(Message::binary(b"HTTP/1.1".to_vec())).expect("sent");
    // The router sends its own header, and ends the connection.
    assert!(!websocket::hears(&mut open, amqp::code::OPEN));
    assert!(http::get(port, "/healthz").ends_with("OK\n") && router.is_running());
    let (_router, port) =
        start(&lab, Spec::new("south", Kind::Ours), json!({ "websockets": false }));
    let answer = http::exchange(client::connect(port), &upgrade("x", "13", "amqp", ""));
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
}

#[test]
fn who_must_show_an_identity_gets_nothing_in_clear() {
    let lab = Lab::new("who_must_show_an_identity_gets_nothing_in_clear");
    let root = lab.path().join("root");
    fs::create_dir_all(&root).expect("a folder");
    fs::write(root.join("secret.txt"), "secret").expect("written");
    let profile = |name: &str| Spec::new(name, Kind::Ours).profile(&lab.identity(name));
    let external = json!({
        "sslProfile": "tls", "authenticatePeer": true, "saslMechanisms": "EXTERNAL",
        "httpRootDir": root,
    });
    let plain = json!({
        "sslProfile": "tls", "authenticatePeer": true, "saslMechanisms": "PLAIN",
        "httpRootDir": root,
    });
    let (router, port) = start(&lab, profile("north"), external);
    for path in ["/healthz", "/metrics", "/secret.txt"] {
        assert_eq!(http::get(port, path), "", "{path} in clear");
    }
    assert!(websocket::open(port, None).is_err(), "in clear");
    router.await_log(&["Connection from 127.0.0.1", "clear text where TLS is required"]);
    let ask = |port: u16, identity| {
        let stream = tls::connect(port, identity).expect("TLS");
        http::exchange(stream, "GET /secret.txt HTTP/1.1\r\nHost: localhost\r\n\r\n")
    };
    let identity = lab.identity("client");
    assert!(ask(port, &identity).ends_with("secret"));
    // Without TLS a client can show no certificate, and a password works in AMQP only.
    let (_router, port) = start(
        &lab,
        Spec::new("south", Kind::Ours),
        json!({ "authenticatePeer": true, "httpRootDir": root }),
    );
    assert!(
        http::get(port, "/secret.txt").starts_with("HTTP/1.1 403"),
        "{}",
        http::get(port, "/secret.txt")
    );
    let spec = profile("east").passwords(&lab, "");
    let (_router, port) = start(&lab, spec, plain);
    let answer = ask(port, &lab.identity("client").anonymous());
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
}

#[test]
fn browsers_open_websockets_from_pages_of_the_listener_alone() {
    let lab = Lab::new("browsers_open_websockets_from_pages_of_the_listener_alone");
    let status = |port: u16, origin: Option<&str>| {
        let origin = origin.map_or_else(String::new, |origin| format!("Origin: {origin}\r\n"));
        let request = upgrade(&format!("localhost:{port}"), "13", "amqp", &origin);
        let mut stream = client::connect(port);
        stream.write_all(request.as_bytes()).expect("sent");
        let mut status = [0; 12];
        stream.read_exact(&mut status).expect("an answer");
        String::from_utf8_lossy(&status[9..]).into_owned()
    };
    let statuses = |listener: Value| {
        let (_router, port) = start(&lab, spec(), listener);
        let own = format!("http://localhost:{port}");
        [None, Some(&*own), Some("https://evil.example"), Some("null")]
            .map(|origin| status(port, origin))
    };
    assert_eq!(statuses(json!({})), ["101", "101", "403", "403"]);
    // A port for health and metrics admits no page, unless it is also for WebSockets.
    assert_eq!(statuses(json!({ "healthz": true, "metrics": true })), ["101", "403", "403", "403"]);
    assert_eq!(
        statuses(json!({ "healthz": true, "websockets": true })),
        ["101", "101", "403", "403"]
    );
    let listed = json!({
        "healthz": true, "websocketOrigins": "https://console.example, https://evil.example:443",
    });
    assert_eq!(statuses(listed), ["101", "101", "101", "403"]);
}
