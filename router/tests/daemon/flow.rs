//! Flow records, as a collector with qpid-proton sees them.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

use Kind::{Ours, Peer};
use serde_json::{Map, Value, json};

use crate::support::backend::Serve;
use crate::support::{Backend, Kind, Lab, Python, Spec, Tool, client, ports, wait};

placed!(flows_to_a_server_at_an_edge, over_an_edge, [Ours, Ours], true);
placed!(flows_of_a_client_at_an_edge, over_an_edge, [Ours, Ours], false);

mod mixed {
    use super::*;

    // A C router at the edge tells its interior router nothing of connections to its servers,
    // whether that router is ours or another C router.
    placed!(flows_to_a_server_at_an_edge_of_a_peer, over_an_edge, [Peer, Ours], true);
    mixed_pairs!(flows_of_a_client_at_an_edge, over_an_edge, false);
}

/// Attributes by number.
mod attribute {
    pub(super) const KIND: &str = "0";
    pub(super) const PARENT: &str = "2";
    pub(super) const START: &str = "3";
    pub(super) const PEER: &str = "6";
    pub(super) const ADDRESS: &str = "19";
    pub(super) const NAME: &str = "30";
    pub(super) const SEVERITY: &str = "48";
    pub(super) const TEXT: &str = "49";
    pub(super) const STATUS: &str = "53";
    pub(super) const END: &str = "4";
    pub(super) const OCTETS: &str = "23";
    pub(super) const FLOW_COUNT: &str = "40";
    pub(super) const CONNECTOR: &str = "60";
    pub(super) const PROCESS_LATENCY: &str = "61";
}

/// A collector is at an interior router, `north`. It hears of an edge router, `south`, and both
/// routers report the connections between them.
fn over_an_edge(lab: &Lab, kinds: [Kind; 2], server_at_edge: bool) {
    let Some(python) = Python::needed_by("flows over an edge") else { return };
    let hello = Backend::start(Serve::Hello);
    let [clients, links, service] = [ports::free(), ports::free(), ports::free()];
    let north = Spec::new("north", kinds[0]).clients(clients).edges_plain(links);
    let south = Spec::edge("south", kinds[1]).link_plain("link", links, 1).with_edge_links();
    let (north, south) = match server_at_edge {
        true => (north.tcp_listener("hello", service), south.tcp_connector("hello", hello.port)),
        false => (north.tcp_connector("hello", hello.port), south.tcp_listener("hello", service)),
    };
    let (north, _south) = (north.start(lab), south.start(lab));
    north.await_port(clients);
    client::await_hello(service);
    let records =
        collect(&python, clients, 2, &["1", "2", "4", "5", "16"], || client::hello_once(service));
    let of = |kind: u64| records.iter().filter(move |(_, record)| record[attribute::KIND] == kind);
    let names: Vec<_> = of(1).filter_map(|(_, record)| record[attribute::NAME].as_str()).collect();
    assert!(names.contains(&"0/north") && names.contains(&"0/south"), "{names:?}");
    let flow = of(16)
        .map(|(_, record)| record)
        .find(|record| is_whole(record))
        .unwrap_or_else(|| panic!("no connection that both routers reported: {records:?}"));
    let [listener, connector] =
        [4, 5].map(|kind| of(kind).map(|(identity, _)| json!(identity)).collect::<Vec<_>>());
    assert!(listener.contains(&flow[attribute::PARENT]), "{flow}: {listener:?}");
    assert!(connector.contains(&flow[attribute::CONNECTOR]), "{flow}: {connector:?}");
    assert!(flow[attribute::OCTETS].as_u64().is_some_and(|octets| octets > 20), "{flow}");
}

/// Returns true if both ends have reported a connection, and it has ended.
fn is_whole(record: &Value) -> bool {
    record[attribute::END].is_u64() && record[attribute::PROCESS_LATENCY].is_u64()
}

/// Starts a collector at a router's port for clients. It ends once it has heard of so many routers
/// and of a record of each kind.
fn collector(python: &Python, port: u16, routers: usize, kinds: &[&str]) -> Child {
    let mut command = python.command("flow.py");
    command.args([&format!("amqp://127.0.0.1:{port}"), &routers.to_string()]).args(kinds);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("Python starts")
}

/// Returns the records of a collector, and calls `done` repeatedly until the collector ends.
fn collect(
    python: &Python,
    port: u16,
    routers: usize,
    kinds: &[&str],
    done: impl Fn() -> bool,
) -> Map<String, Value> {
    let collector = collector(python, port, routers, kinds);
    // The output may exceed the capacity of a pipe.
    let output = std::thread::spawn(|| collector.wait_with_output().expect("ended"));
    while !output.is_finished() {
        let _ = done();
        wait::pause(Duration::from_millis(100));
    }
    let output = output.join().expect("the reader does not panic");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

const KINDS: [&str; 8] = ["0", "1", "2", "4", "5", "14", "15", "16"];

#[test]
fn collectors_are_told_of_routers_links_and_services() {
    let test = "collectors_are_told_of_routers_links_and_services";
    let Some(python) = Python::needed_by(test) else { return };
    let lab = Lab::new(test);
    let hello = Backend::start(Serve::Hello);
    let [clients, links, service] = [ports::free(), ports::free(), ports::free()];
    let north =
        Spec::new("north", Ours).clients(clients).links_plain(links).tcp_listener("hello", service);
    let north =
        north.entity("site", json!({ "name": "up-north", "platform": "linux" })).start(&lab);
    let south = Spec::new("south", Ours).link_plain("link", links, 1).link_plain(
        "nowhere",
        ports::free(),
        1,
    );
    let _south = south.tcp_connector("hello", hello.port).start(&lab);
    north.await_port(clients);
    client::await_hello(service);

    // A client uses the service all the while.
    let records = collect(&python, clients, 2, &KINDS, || client::hello_once(service));
    let all: Vec<_> = records.values().collect();
    let of = |kind: u64| {
        all.iter().filter(|record| record[attribute::KIND] == kind).copied().collect::<Vec<_>>()
    };
    let with = |kind: u64, name: &str, value: &str| {
        let found = of(kind).into_iter().find(|record| record[name] == value);
        found
            .unwrap_or_else(|| panic!("no record of kind {kind} with {name}={value}: {all:?}"))
            .clone()
    };

    let identity = |wanted: &Value| {
        records.iter().find(|(_, record)| *record == wanted).map(|(identity, _)| identity.clone())
    };
    let site = with(0, attribute::NAME, "up-north");
    assert_eq!(with(1, attribute::NAME, "0/north")[attribute::PARENT], json!(identity(&site)));
    let south = identity(&with(1, attribute::NAME, "0/south")).expect("an identity");
    assert!(south.ends_with(":0"), "{south}");
    let link = with(2, attribute::NAME, "link");
    assert_eq!((&link[attribute::STATUS], &link[attribute::PARENT]), (&json!("up"), &json!(south)));
    assert!(link[attribute::START].is_u64());
    assert_eq!(
        link[attribute::PEER],
        json!(identity(of(15)[0])),
        "who is connected to is not told"
    );
    assert_eq!(with(2, attribute::NAME, "nowhere")[attribute::STATUS], "down");
    assert_eq!(
        (of(4)[0][attribute::ADDRESS].as_str(), of(5)[0][attribute::ADDRESS].as_str()),
        (Some("hello"), Some("hello"))
    );
    // The client's router makes a connection's record, and the server's router adds to it.
    let whole = of(16).into_iter().find(|record| is_whole(record));
    let flow = whole.expect("a connection that both routers reported");
    assert_eq!(flow[attribute::PARENT], json!(identity(of(4)[0])));
    assert_eq!(flow[attribute::CONNECTOR], json!(identity(of(5)[0])));
    assert!(flow[attribute::OCTETS].as_u64().is_some_and(|octets| octets > 20), "{flow}");
    let line = of(14)[0];
    assert!(
        line[attribute::TEXT].as_str().is_some_and(|text| text.starts_with("LOG_"))
            && line[attribute::SEVERITY].is_u64(),
        "{line}"
    );
}

/// The last record of a deleted entity has its final counts.
#[test]
fn what_is_deleted_is_told_to_the_end() {
    let test = "what_is_deleted_is_told_to_the_end";
    let Some(python) = Python::needed_by(test) else { return };
    let lab = Lab::new(test);
    let hello = Backend::start(Serve::Hello);
    let [clients, service] = [ports::free(), ports::free()];
    let north = Spec::new("north", Ours).clients(clients).tcp_listener("hello", service);
    let _north = north.tcp_connector("hello", hello.port).start(&lab);
    client::await_hello(service);
    let manage = Tool::at("skmanage", clients);
    let listener = "--type tcpListener --name hello-listener";
    let connector = format!("--type tcpConnector --name hello-{}", hello.port);

    let mut collector = collector(&python, clients, 1, &["4:end", "5:end"]);
    let mut seen = String::new();
    BufReader::new(collector.stderr.as_mut().expect("a pipe")).read_line(&mut seen).expect("text");
    assert_eq!(seen.trim(), "seen");
    let opened = [listener, &connector].map(|entity| {
        manage.json(&format!("read {entity}"))["connectionsOpened"].as_u64().expect("a count")
    });
    client::hello_once(service);
    manage.text(&format!("delete {listener}"));
    manage.text(&format!("delete {connector}"));
    // A new entity of the same name.
    manage.text(&format!("create {listener} address=hello port=0"));
    let output = collector.wait_with_output().expect("ended");
    let records: Map<String, Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    for (kind, opened) in [4, 5].into_iter().zip(opened) {
        let ended = records
            .values()
            .find(|record| record[attribute::KIND] == kind && record[attribute::END].is_u64());
        assert_eq!(ended.expect("an end")[attribute::FLOW_COUNT], opened + 1, "{records:?}");
    }
}
