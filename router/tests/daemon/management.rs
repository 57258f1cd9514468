//! The management node for qpid-proton clients: its responses, and changes of the running router.
//! Without qpid-proton the tests are skipped and named.

use std::io::Write;
use std::time::Duration;

use Kind::Ours;
use serde_json::{Value, json};

use crate::support::backend::Serve;
use crate::support::wait::{patience, until};
use crate::support::{Backend, Kind, Lab, Python, Router, Spec, amqp, client, ports, tls};

/// Defines a test that needs qpid-proton for Python.
macro_rules! managed {
    ($name:ident, $scenario:expr) => {
        with_python!($name, |lab: &Lab, python| ($scenario)(Client { lab, python }));
    };
}

managed!(listeners_come_and_go, listeners);
managed!(services_come_and_go_over_the_network, services);
managed!(deleted_connectors_stay_away, connectors);
managed!(profiles_are_updated_and_outlived, profiles);
managed!(connections_are_told_and_closed, connections);
managed!(who_may_not_close_others_does_not, force);
managed!(logs_change_while_they_are_written, logs);
managed!(addresses_are_treated_as_they_are_created, addresses);
managed!(a_query_for_all_tells_all, everything);
managed!(routers_tell_of_their_network, line);

const LOCAL: &str = "$management";

struct Client<'a> {
    lab: &'a Lab,
    python: Python,
}

impl Client<'_> {
    /// Sends requests, pairs of application properties and body. Returns status, description and
    /// body of each response.
    fn ask(&self, port: u16, address: &str, requests: Value) -> Vec<(i64, String, Value)> {
        let url = format!("amqp://127.0.0.1:{port}");
        let answers = self.python.run("peer.py", &["manage", &url, address, &requests.to_string()]);
        let answers = answers.as_array().expect("a list");
        let part = |answer: &Value| {
            let description = answer[1].as_str().unwrap_or_default().to_owned();
            (answer[0].as_i64().unwrap_or_default(), description, answer[2].clone())
        };
        let answers: Vec<_> = answers.iter().map(part).collect();
        assert_eq!(answers.len(), requests.as_array().map_or(0, Vec::len), "{answers:?}");
        answers
    }

    fn one(
        &self,
        port: u16,
        address: &str,
        properties: Value,
        body: Value,
    ) -> (i64, String, Value) {
        self.ask(port, address, json!([[properties, body]])).remove(0)
    }

    /// Returns the entities of a type, each as a map.
    fn query(&self, port: u16, address: &str, kind: &str) -> Vec<Value> {
        let (status, description, body) = self.one(
            port,
            address,
            json!({ "operation": "QUERY", "type": "org.amqp.management", "entityType": kind }),
            json!({}),
        );
        assert_eq!(status, 200, "{description}");
        let names: Vec<_> = body["attributeNames"]
            .as_array()
            .expect("names")
            .iter()
            .map(|name| name.as_str().unwrap())
            .collect();
        let entity = |row: &Value| {
            let values = row.as_array().expect("a row");
            assert_eq!(values.len(), names.len());
            Value::Object(
                names
                    .iter()
                    .zip(values)
                    .map(|(name, value)| ((*name).to_owned(), value.clone()))
                    .collect(),
            )
        };
        body["results"].as_array().expect("results").iter().map(entity).collect()
    }
}

fn create(kind: &str, name: &str, body: Value) -> Value {
    json!([{ "operation": "CREATE", "type": kind, "name": name }, body])
}

fn update(kind: &str, name: &str, body: Value) -> Value {
    json!([{ "operation": "UPDATE", "type": kind, "name": name }, body])
}

/// Returns a request to close a connection.
fn close(identity: &Value) -> Value {
    let kind = "io.skupper.router.connection";
    let connection = json!({ "operation": "UPDATE", "type": kind, "identity": identity });
    json!([connection, { "adminStatus": "deleted" }])
}

fn delete(kind: &str, name: &str) -> Value {
    json!([{ "operation": "DELETE", "type": kind, "name": name }, null])
}

fn start(spec: &Spec, lab: &Lab, clients: u16) -> Router {
    let router = spec.start(lab);
    router.await_port(clients);
    router
}

fn listeners(client: Client<'_>) {
    let [clients, other] = [ports::free(), ports::free()];
    let router = start(&Spec::new("north", Ours).clients(clients), client.lab, clients);
    let made = create(
        "listener",
        "other",
        json!({ "host": "127.0.0.1", "port": other, "saslMechanisms": "ANONYMOUS" }),
    );
    let again = create("listener", "other", json!({ "port": "1" }));
    let unknown = create("listener", "odd", json!({ "port": "1", "colour": "red" }));
    let expensive = create("listener", "dear", json!({ "port": "1", "cost": -1 }));
    let answers = client.ask(clients, LOCAL, json!([made, again, unknown, expensive]));
    assert_eq!(answers[0].0, 201, "{answers:?}");
    assert_eq!(
        answers[0].2["identity"],
        format!("listener/127.0.0.1:{other}:other"),
        "{answers:?}"
    );
    assert_eq!(
        (answers[1].0, answers[1].1.contains("duplicates unique attribute 'name'")),
        (400, true),
        "{answers:?}"
    );
    assert_eq!((answers[2].0, answers[3].0), (400, 500), "{answers:?}");
    assert!(answers[3].1.contains("Invalid cost (-1) specified"), "{answers:?}");
    // Through the new port, at once.
    let names: Vec<_> = client
        .query(other, LOCAL, "listener")
        .iter()
        .map(|entity| entity["name"].clone())
        .collect();
    assert_eq!(names, ["clients", "other"]);
    // The port is closed when the response arrives, and free for the next listener.
    let answers = client.ask(
        clients,
        LOCAL,
        json!([delete("listener", "other"), delete("listener", "other")]),
    );
    assert_eq!(
        answers.iter().map(|answer| answer.0).collect::<Vec<_>>(),
        [204, 404],
        "{answers:?}"
    );
    assert!(client::try_connect(other).is_err(), "the port is still open");
    let again = create("listener", "third", json!({ "host": "127.0.0.1", "port": other }));
    assert_eq!(client.ask(clients, LOCAL, json!([again]))[0].0, 201);
    client::connect(other);
    assert!(router.is_running());
}

fn services(client: Client<'_>) {
    let [north_clients, south_clients, links, service] =
        [ports::free(), ports::free(), ports::free(), ports::free()];
    let north = start(
        &Spec::new("north", Ours).clients(north_clients).links_plain(links),
        client.lab,
        north_clients,
    );
    let south = start(
        &Spec::new("south", Ours).clients(south_clients).link_plain("link", links, 1),
        client.lab,
        south_clients,
    );
    let backend = Backend::start(Serve::Echo);
    let remote = "_topo/0/south/$management";
    until("the routers know each other", patience(), || {
        let nodes = client.query(north_clients, LOCAL, "router.node");
        (nodes.len() == 2).then_some(())
    });
    let server = create(
        "tcpConnector",
        "server",
        json!({ "address": "echo", "host": "127.0.0.1", "port": backend.port }),
    );
    let answers = client.ask(north_clients, remote, json!([server]));
    assert_eq!((answers[0].0, &answers[0].2["address"]), (201, &json!("echo")), "{answers:?}");
    let listener = create(
        "tcpListener",
        "door",
        json!({ "address": "echo", "host": "127.0.0.1", "port": service }),
    );
    assert_eq!(client.ask(north_clients, LOCAL, json!([listener]))[0].0, 201);
    north.await_port(service);
    let mut open = client::connect(service);
    let account = client::exchange(&client::connect(service), 100_000);
    account.assert_complete(100_000, 100_000);
    client::send(&mut open, 1000, |_| {});
    backend.await_received(101_000);
    let told = client.query(north_clients, LOCAL, "tcpListener").remove(0);
    assert_eq!(
        (&told["operStatus"], &told["connectionsOpened"]),
        (&json!("up"), &json!(2)),
        "{told}"
    );
    assert_eq!(client.query(north_clients, remote, "tcpConnector")[0]["connectionsOpened"], 2);
    // Its connections end with it.
    assert_eq!(client.ask(north_clients, LOCAL, json!([delete("tcpListener", "door")]))[0].0, 204);
    assert_eq!(client::drain(&mut open, &mut Default::default()), crate::support::End::Reset);
    assert!(client::try_connect(service).is_err(), "the port is still open");
    assert_eq!(
        client.ask(north_clients, remote, json!([delete("tcpConnector", "server")]))[0].0,
        204
    );
    assert!(client.query(south_clients, LOCAL, "tcpConnector").is_empty());
    assert!(north.is_running() && south.is_running());
}

fn connectors(client: Client<'_>) {
    let [north_clients, south_clients, links] = [ports::free(), ports::free(), ports::free()];
    let _north = start(
        &Spec::new("north", Ours).clients(north_clients).links_plain(links),
        client.lab,
        north_clients,
    );
    let _south = start(
        &Spec::new("south", Ours).clients(south_clients).data_connections(1),
        client.lab,
        south_clients,
    );
    let link = json!({
        "host": "127.0.0.1", "port": links, "role": "inter-router", "saslMechanisms": "ANONYMOUS",
    });
    assert_eq!(
        client.ask(south_clients, LOCAL, json!([create("connector", "link", link)]))[0].0,
        201
    );
    let between = || {
        let connections = client.query(north_clients, LOCAL, "connection");
        connections.iter().filter(|connection| connection["container"] == "south").count()
    };
    until("both connections are there", patience(), || (between() == 2).then_some(()));
    let told = until("the connector has connected", patience(), || {
        let told = client.query(south_clients, LOCAL, "connector").remove(0);
        (told["connectionStatus"] == "SUCCESS").then_some(told)
    });
    let message = told["connectionMsg"].as_str().unwrap_or_default();
    assert!(
        message.contains("Connection Opened: dir=out") && message.contains("container_id=north"),
        "{told}"
    );
    assert_eq!(client.ask(south_clients, LOCAL, json!([delete("connector", "link")]))[0].0, 204);
    until("both connections are gone", patience(), || (between() == 0).then_some(()));
    crate::support::wait::throughout("they do not come back", Duration::from_secs(1), || {
        between() == 0
    });
}

fn profiles(client: Client<'_>) {
    let [clients, secure] = [ports::free(), ports::free()];
    let identity = client.lab.identity("north");
    let _router = start(&Spec::new("north", Ours).clients(clients), client.lab, clients);
    let (certificate, key) = identity.own.expect("a certificate");
    let profile =
        json!({ "caCertFile": identity.trusted, "certFile": certificate, "privateKeyFile": key });
    let listener =
        json!({ "host": "127.0.0.1", "port": secure, "sslProfile": "p", "requireSsl": true });
    let answers = client.ask(
        clients,
        LOCAL,
        json!([
            create("listener", "secure", listener.clone()),
            create("sslProfile", "p", profile),
            create("listener", "secure", listener.clone()),
            update("sslProfile", "p", json!({})),
            update("sslProfile", "p", json!({ "certFile": "/nowhere" })),
            [{ "operation": "READ", "type": "sslProfile", "name": "p" }, null],
            delete("sslProfile", "p"),
            create("listener", "another", listener),
        ]),
    );
    let statuses: Vec<_> = answers.iter().map(|answer| answer.0).collect();
    assert_eq!(statuses, [500, 201, 201, 200, 400, 200, 204, 500], "{answers:?}");
    assert_eq!(answers[0].1, "CError: Not found: sslProfile 'p' not found");
    assert_eq!(answers[5].2["certFile"], json!(certificate), "half done: {answers:?}");
    // The listener keeps the certificates that it was created with.
    tls::connect(secure, &client.lab.identity("client"))
        .expect("TLS with a profile that was deleted");
}

fn connections(client: Client<'_>) {
    let [clients, service] = [ports::free(), ports::free()];
    let backend = Backend::start(Serve::Echo);
    let spec = Spec::new("north", Ours)
        .clients(clients)
        .tcp_connector("echo", backend.port)
        .tcp_listener("echo", service);
    let router = start(&spec, client.lab, clients);
    router.await_port(service);
    let mut open = client::connect(service);
    client::send(&mut open, 1000, |_| {});
    backend.await_received(1000);
    let of_tcp = || {
        let mut connections = client.query(clients, LOCAL, "io.skupper.router.connection");
        connections.retain(|connection| connection["protocol"] == "tcp");
        connections
    };
    let told = of_tcp();
    let [incoming, outgoing] = ["in", "out"]
        .map(|dir| told.iter().find(|connection| connection["dir"] == dir).expect(dir));
    assert_eq!(incoming["container"], "TcpAdaptor");
    assert_eq!(outgoing["host"], format!("127.0.0.1:{}", backend.port));
    let close = close(&incoming["identity"]);
    let bad = self::close(&json!("G1"));
    let answers = client.ask(clients, LOCAL, json!([close, bad]));
    assert_eq!((answers[0].0, answers[1].0), (200, 400), "{answers:?}");
    assert_eq!(client::drain(&mut open, &mut Default::default()), crate::support::End::Reset);
    until("both halves are gone", patience(), || of_tcp().is_empty().then_some(()));
}

fn force(client: Client<'_>) {
    let [clients, guarded] = [ports::free(), ports::free()];
    let group = json!({
        "users": "*", "remoteHosts": "*", "allowDynamicSource": true, "allowAnonymousSender": true,
        "sources": "*", "targets": "*", "allowAdminStatusUpdate": false,
    });
    let spec = Spec::new("north", Ours)
        .clients(clients)
        .entity("policy", json!({ "enableVhostPolicy": true }));
    let spec =
        spec.entity("vhost", json!({ "hostname": "guarded", "groups": { "$default": group } }));
    let group = json!({
        "users": "*", "remoteHosts": "*", "allowDynamicSource": true, "allowAnonymousSender": true,
        "sources": "*", "targets": "*",
    });
    let spec =
        spec.entity("vhost", json!({ "hostname": "127.0.0.1", "groups": { "$default": group } }));
    let listener = json!({
        "name": "guarded", "host": "127.0.0.1", "port": guarded, "policyVhost": "guarded",
    });
    let router = start(&spec.entity("listener", listener), client.lab, clients);
    router.await_port(guarded);
    // A client that answers nothing, not even a close.
    let mut silent = client::connect(clients);
    let open =
        amqp::performative(amqp::code::OPEN, &[amqp::string("silent"), amqp::string("127.0.0.1")]);
    silent.write_all(&[amqp::HEADER, &amqp::frame(0, &open)].concat()).expect("sent");
    let find = || {
        let connections = client.query(clients, LOCAL, "io.skupper.router.connection");
        connections
            .into_iter()
            .find(|connection| connection["container"] == "silent")
            .map(|connection| connection["identity"].clone())
    };
    let identity = until("the client is known", patience(), find);
    let close = close(&identity);
    let refused = client.ask(guarded, LOCAL, json!([close])).remove(0);
    assert_eq!(
        (refused.0, refused.1.as_str()),
        (403, "You are not allowed to perform this operation.")
    );
    assert_eq!(find(), Some(identity), "closed all the same");
    assert_eq!(client.ask(clients, LOCAL, json!([close]))[0].0, 200);
    assert_eq!(find(), None, "still there after the answer");
    let (said, end) = client::read_text(&mut silent);
    assert!(
        said.contains("forced-closed by management request") && end == crate::support::End::Clean,
        "{said:?} {end:?}"
    );
}

fn logs(client: Client<'_>) {
    let clients = ports::free();
    // A log of the start-up configuration decides which folder logs may be in.
    let log = json!({
        "module": "POLICY", "enable": "info+", "outputFile": client.lab.path().join("policy.log"),
    });
    let router =
        start(&Spec::new("north", Ours).clients(clients).entity("log", log), client.lab, clients);
    let file = client.lab.path().join("agent.log");
    let update = |body: Value| update("log", "log/AGENT", body);
    let read = |name: &str| json!([{ "operation": "READ", "name": name }, null]);
    let answers = client.ask(
        clients,
        LOCAL,
        json!([
            update(json!({ "enable": "debug+", "outputFile": file })),
            read("nobody"),
            update(json!({ "enable": "loud" })),
            update(json!({ "outputFile": "/nowhere/at/all" })),
            read("log/AGENT"),
            [{ "operation": "GET-LOG", "limit": 5 }, null],
        ]),
    );
    let statuses: Vec<_> = answers.iter().map(|answer| answer.0).collect();
    assert_eq!(statuses, [200, 404, 500, 500, 200, 200], "{answers:?}");
    assert_eq!(answers[4].2["enable"], "debug+", "half done: {answers:?}");
    assert_eq!(answers[4].2["outputFile"], json!(file), "half done: {answers:?}");
    let lines = answers[5].2.as_array().expect("lines");
    assert_eq!(
        (lines.len(), &lines[4][0], &lines[4][1]),
        (5, &json!("AGENT"), &json!("debug")),
        "{lines:?}"
    );
    until("the file has the error", patience(), || {
        let text = std::fs::read_to_string(&file).ok()?;
        text.contains("AGENT (error) Error performing READ: No entity with name=nobody")
            .then_some(())
    });
    assert!(!router.log().contains("No entity with name=nobody"), "the old output has it too");
}

fn addresses(client: Client<'_>) {
    let clients = ports::free();
    let _router = start(&Spec::new("north", Ours).clients(clients), client.lab, clients);
    let url = format!("amqp://127.0.0.1:{clients}");
    let kind = "io.skupper.router.router.config.address";
    let answers = client.ask(
        clients,
        LOCAL,
        json!([
            create(kind, "few", json!({ "prefix": "few", "distribution": "closest" })),
            create(kind, "same", json!({ "pattern": "few/#" })),
            create(kind, "none", json!({ "prefix": "none", "distribution": "unavailable" })),
        ]),
    );
    assert_eq!(
        answers.iter().map(|answer| answer.0).collect::<Vec<_>>(),
        [201, 400, 201],
        "{answers:?}"
    );
    assert_eq!(answers[1].1, "Already exists");
    let exchanged = client.python.run("peer.py", &["exchange", &url, "20", "100", "few/1"]);
    assert_eq!(
        (&exchanged["received"], &exchanged["intact"]),
        (&json!(20), &json!(20)),
        "{exchanged}"
    );
    assert_eq!(client.ask(clients, LOCAL, json!([delete(kind, "none")]))[0].0, 204);
    let exchanged = client.python.run("peer.py", &["exchange", &url, "1", "10", "none"]);
    assert_eq!(exchanged["received"], 1, "{exchanged}");
}

fn everything(client: Client<'_>) {
    let clients = ports::free();
    let router = start(&Spec::new("north", Ours).clients(clients), client.lab, clients);
    let query = json!([{ "operation": "QUERY", "type": "org.amqp.management" },
        { "attributeNames": ["type", "name", "identity"] }]);
    let (status, _, body) = client.ask(clients, LOCAL, json!([query])).remove(0);
    assert_eq!(status, 200);
    let rows = body["results"].as_array().expect("rows");
    let names: Vec<_> = rows.iter().map(|row| row[1].as_str().unwrap_or_default()).collect();
    for name in [
        "self",
        "router/north",
        "clients",
        "log/DEFAULT",
        "log/AGENT",
        "router.node/north",
        "network/0",
        "policy/0",
    ] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    for kind in
        ["router.link", "router.address", "connection", "routerMetrics", "logStats", "router"]
    {
        assert!(!client.query(clients, LOCAL, kind).is_empty(), "{kind}");
    }
    // The node has these names in C routers too.
    for address in ["_local/$_management_internal", "_topo/0/north/$management"] {
        assert!(!client.query(clients, address, "router").is_empty(), "{address}");
    }
    assert!(router.is_running());
}

fn line(client: Client<'_>) {
    let [clients, links, more] = [ports::free(), ports::free(), ports::free()];
    let _first = Spec::new("first", Ours)
        .profile(&client.lab.identity("first"))
        .links_tls(links)
        .start(client.lab);
    let middle = Spec::new("middle", Ours)
        .profile(&client.lab.identity("middle"))
        .clients(clients)
        .links_plain(more);
    let _middle = start(&middle.link_tls("link", links), client.lab, clients);
    let _last = Spec::new("last", Ours).link_plain("link", more, 1).start(client.lab);
    let node = |id: &str| {
        client
            .query(clients, LOCAL, "io.skupper.router.router.node")
            .into_iter()
            .find(|node| node["id"] == id)
    };
    let ends = until("all know each other", patience(), || Some([node("first")?, node("last")?]));
    assert_eq!(ends.map(|node| node["validOrigins"].clone()), [json!(["last"]), json!(["first"])]);
    let connections = client.query(clients, LOCAL, "io.skupper.router.connection");
    let found = |dir: &str| {
        let found = connections
            .iter()
            .find(|connection| connection["dir"] == dir && connection["role"] == "inter-router");
        found.expect(dir).clone()
    };
    let (out, incoming) = (found("out"), found("in"));
    assert_eq!((&out["tlsOrdinal"], &out["groupOrdinal"]), (&json!(0), &json!(0)), "{out}");
    assert_eq!(
        (&incoming["tlsOrdinal"], &incoming["groupOrdinal"]),
        (&Value::Null, &json!(0)),
        "{incoming}"
    );
    assert!(out["groupCorrelationId"].is_string() && incoming["groupCorrelationId"].is_string());
    assert!(out["lastDlvSeconds"].is_u64(), "{out}");
}
