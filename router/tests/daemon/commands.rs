//! `skstat` and `skmanage` as operators call them, against running routers. With `SKROUTERD_PEER`
//! they also run against a C router.

use std::io::Write;
use std::process::Stdio;

use Kind::{Ours, Peer};
use serde_json::json;

use crate::support::wait::{patience, until};
use crate::support::{Kind, Lab, Router, Spec, Tool, client, peers, ports};

fn start(spec: &Spec, lab: &Lab, port: u16) -> Router {
    let router = spec.start(lab);
    router.await_port(port);
    router
}

fn entities_are_created_changed_and_deleted(test: &str, kind: Kind) {
    let lab = &Lab::new(test);
    let [clients, service] = [ports::free(), ports::free()];
    let _router = start(&Spec::new("north", kind).clients(clients), lab, clients);
    let tool = Tool::at("skmanage", clients);
    let made = tool.json(&format!(
        "create --type tcpListener --name door address=echo host=127.0.0.1 port={service} \
             authenticatePeer=no"
    ));
    assert_eq!(
        (&made["name"], &made["port"], &made["authenticatePeer"]),
        (&json!("door"), &json!(service.to_string()), &json!(false))
    );
    assert_eq!(made["type"], "io.skupper.router.tcpListener");
    let again = tool.failure(&format!(
        "create --type tcpListener --name door address=echo host=127.0.0.1 port={service}"
    ));
    assert!(
        again.starts_with("BadRequestStatus: ")
            && again.contains("duplicates unique attribute 'name'"),
        "{again}"
    );
    assert_eq!(
        tool.json("update --type tcpListener --name door observer=http1")["observer"],
        "http1"
    );
    assert_eq!(
        tool.failure("update --type tcpListener --name door port=1"),
        "BadRequestStatus: Cannot update attribute 'port' in UPDATE"
    );
    assert_eq!(
        tool.json("query --type tcpListener name observer --indent=-1"),
        json!([{ "name": "door", "observer": "http1" }])
    );
    assert_eq!(
        tool.json("read --name door")["identity"],
        format!("tcpListener/127.0.0.1:{service}:door")
    );
    assert_eq!(tool.text("delete --type tcpListener --name door"), "");
    assert_eq!(
        tool.failure("delete --type tcpListener --name door"),
        "NotFoundStatus: No entity with name=door"
    );
    assert_eq!(tool.failure("read --name door"), "NotFoundStatus: No entity with name=door");

    let list = json!([
        { "type": "address", "name": "a", "prefix": "a", "distribution": "multicast" },
        { "type": "address", "name": "b", "prefix": "b", "distribution": "closest" },
    ]);
    let mut command = tool
        .command("create --stdin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    command.stdin.take().expect("a pipe").write_all(list.to_string().as_bytes()).expect("it reads");
    let output = command.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(
        tool.json("query --type address name distribution"),
        json!([
            { "name": "a", "distribution": "multicast" },
            { "name": "b", "distribution": "closest" },
        ])
    );
    assert!(
        tool.json("get-types")
            .as_object()
            .expect("a map")
            .contains_key("io.skupper.router.listener")
    );
    assert_eq!(
        tool.json("get-operations sslProfile")["io.skupper.router.sslProfile"],
        json!(["CREATE", "UPDATE", "DELETE", "READ"])
    );
    assert_eq!(tool.json("get-log limit=1").as_array().expect("a list").len(), 1);
    assert!(tool.json("get-schema")["entityTypes"]["vhost"].is_object());
    assert!(tool.failure("frobnicate").starts_with("NotImplementedStatus: "));
    assert_eq!(tool.run("read x").status.code(), Some(2));
}

/// The router refuses each bad request with a status and a text, and changes nothing.
#[test]
fn bad_requests_are_refused_and_change_nothing() {
    let lab = &Lab::new("bad_requests_are_refused_and_change_nothing");
    let clients = ports::free();
    let router = start(&Spec::new("north", Ours).clients(clients), lab, clients);
    let tool = Tool::at("skmanage", clients);
    tool.json(
        "create --type tcpListener --name several host=127.0.0.1 port=0 \
         multiAddressStrategy=priority",
    );
    tool.json("create --type listenerAddress --name one address=x listener=several value=1");
    let all = || {
        let of = |kind: &str| tool.json(&format!("query --type {kind} name"));
        [
            "listener",
            "connector",
            "tcpListener",
            "tcpConnector",
            "listenerAddress",
            "address",
            "autoLink",
            "sslProfile",
        ]
        .map(of)
    };
    let before = all();
    let listener = |attribute: &str| {
        format!("create --type listener --name new host=127.0.0.1 port=0 {attribute}")
    };
    let range = |name: &str, value: i64, least: u64, most: u64| {
        let text = format!(
            "Invalid {name} specified ({value}). Minimum value is {least} and maximum value is \
             {most}"
        );
        format!("InternalServerErrorStatus: CError: Configuration: {text}")
    };
    let most = i32::MAX as u64;
    let case = |line: &str, text: &str| (line.to_owned(), text.to_owned());
    let bad = |line: &str, text: &str| case(line, &format!("BadRequestStatus: {text}"));
    let failed =
        |line: &str, text: &str| case(line, &format!("InternalServerErrorStatus: CError: {text}"));
    let roles =
        "enum['normal', 'inter-router', 'route-container', 'edge', 'inter-edge', 'inter-network']";
    let one_of =
        "Configuration: Exactly one of the 'address' or 'multiAddressStrategy' field must be set";
    let addressed = "Listener cannot be deleted: listenerAddress entities exist for multi-address \
                     listener several";
    let only = |operation: &str, kind: &str| {
        format!(
            "NotImplementedStatus: Operation '{operation}' not implemented for \
             'io.skupper.router.{kind}'"
        )
    };
    let cases = [
        bad("create --type nosuch --name new", "No such entity type 'io.skupper.router.nosuch'"),
        case(
            &listener("colour=red"),
            "ValidationError: Unknown attribute 'colour' for 'io.skupper.router.listener'",
        ),
        (listener("maxSessions=40000"), range("maxSessions", 40_000, 1, 32_768)),
        (listener("maxFrameSize=3"), range("maxFrameSize", 3, 512, most)),
        (listener("maxSessionFrames=1"), range("maxSessionFrames", 1, 2, most)),
        (listener("linkCapacity=-1"), range("linkCapacity", -1, 1, most)),
        failed(
            "create --type listener --name new host=127.0.0.1 port=99999",
            "Configuration: '99999' is no port",
        ),
        bad(
            &listener("role=boss"),
            &format!("io.skupper.router.listener: Invalid value for {roles}: 'boss'"),
        ),
        failed("create --type tcpListener --name new host=127.0.0.1 port=0", one_of),
        failed(
            "create --type tcpConnector --name new host=127.0.0.1 port=1",
            "Configuration: Address must be set",
        ),
        failed(
            "create --type listenerAddress --name new address=x listener=nobody value=1",
            "Value: Listener for new address does not exist nobody",
        ),
        bad(
            "create --type listener --name clients host=127.0.0.1 port=0",
            "adding ListenerEntity(",
        ),
        bad("delete --type tcpListener --name several", addressed),
        case("delete --type connector --name nobody", "NotFoundStatus: No entity with name=nobody"),
        ("delete --type router --name router/north".to_owned(), only("DELETE", "router")),
        ("update --type listener --name clients cost=2".to_owned(), only("UPDATE", "listener")),
    ];
    for (line, text) in cases {
        let told = tool.failure(&line);
        assert!(told.starts_with(&text), "{line}: {told}");
    }
    assert_eq!(all(), before);
    tool.text("delete --type listenerAddress --name one");
    tool.text("delete --type tcpListener --name several");
    assert!(router.is_running());
}

fn every_view_shows_a_network(test: &str, kinds: [Kind; 2]) {
    let lab = &Lab::new(test);
    let [north_clients, south_clients, links] = [ports::free(), ports::free(), ports::free()];
    let _north = start(
        &Spec::new("north", kinds[0]).clients(north_clients).links_plain(links),
        lab,
        north_clients,
    );
    let _south = start(
        &Spec::new("south", kinds[1]).clients(south_clients).link_plain("link", links, 1),
        lab,
        south_clients,
    );
    let tool = Tool::at("skstat", north_clients);
    // A C router lists a router before it has a route to it.
    until("the routers reach each other", patience(), || {
        let known =
            Tool::at("skmanage", north_clients).json("get-mgmt-nodes").as_array().map(Vec::len)
                == Some(2);
        (known && tool.run("-g --router south").status.success()).then_some(())
    });
    for (view, words) in [
        ("", "Router Statistics"),
        ("-c", "inter-router"),
        ("-l -v", "router-control"),
        ("-n -v", "valid-origins"),
        ("-e", "north"),
        ("-a -v", "$management"),
        ("-m", "north"),
        ("-p", "Policy Status"),
        ("--autolinks", "No AutoLinks found"),
        ("--vhosts", "No Vhosts"),
        ("--vhostgroups", "No Vhosts"),
        ("--vhoststats", "No Vhost Stats"),
        ("--log --limit 2", "("),
        ("--all-entities --csv", "\"Router Id\",\"north\""),
        ("-g -r south", "Router Id                        south"),
    ] {
        let text = tool.text(view);
        assert!(text.contains(words), "skstat {view}: {text}");
    }
    let text = tool.text("-c --limit 1 --all-routers");
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].ends_with("+00:00 UTC"), "{text}");
    assert_eq!(
        (lines[1], lines[2], lines[3], lines[7]),
        ("Router  north", "", "Connections", ""),
        "{text}"
    );
    assert!(text.contains("\nRouter  south\n"), "{text}");

    let document = tool.json("-l --all-routers --json");
    let routers = document["routers"].as_array().expect("a list");
    let mut ids: Vec<_> =
        routers.iter().map(|router| router["id"].as_str().expect("an id")).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["north", "south"]);
    assert!(
        routers.iter().all(|router| !router["links"].as_array().expect("links").is_empty()),
        "{document}"
    );
}

macro_rules! of_both {
    ($($name:ident: $scenario:ident, $ours:expr, $peer:expr;)+) => {
        $(mod $name {
            use super::*;

            #[test]
            fn of_ours() {
                $scenario(concat!(module_path!(), "::of_ours"), $ours);
            }

            #[test]
            fn of_a_peer() {
                let test = concat!(module_path!(), "::of_a_peer");
                if peers::available(test, &[Peer]) {
                    $scenario(test, $peer);
                }
            }
        })+
    };
}

of_both! {
    entities: entities_are_created_changed_and_deleted, Ours, Peer;
    views: every_view_shows_a_network, [Ours, Ours], [Peer, Ours];
}

#[test]
fn certificates_and_names_are_verified() {
    let lab = &Lab::new(concat!(module_path!(), "::certificates_and_names_are_verified"));
    let port = ports::free();
    let spec = Spec::new("north", Ours).profile(&lab.identity("north")).entity(
        "listener",
        json!({
            "name": "tls", "host": "127.0.0.1", "port": port.to_string(), "sslProfile": "tls",
            "saslMechanisms": "EXTERNAL", "authenticatePeer": true, "requireSsl": true,
        }),
    );
    let _router = start(&spec, lab, port);
    let operator = lab.identity("operator");
    let (certificate, key) = operator.own.expect("a certificate");
    let trust = format!("--ssl-trustfile {}", operator.trusted.display());
    let own =
        format!("{trust} --ssl-certificate {} --ssl-key {}", certificate.display(), key.display());
    let tool =
        Tool { name: "skstat", bus: vec!["--bus".to_owned(), format!("amqps://localhost:{port}")] };
    assert!(tool.text(&format!("-c {own}")).contains("(x.509)"));
    let error = tool.failure(&format!("-c {trust}"));
    assert!(error.starts_with("ConnectionException: ") && error.contains("SSL Failure"), "{error}");
    let stranger = crate::support::pki::Authority::new(lab.path(), "stranger");
    let error = tool.failure(&format!("-c --ssl-trustfile {}", stranger.file().display()));
    assert!(error.contains("SSL Failure: certificate verify failed"), "{error}");
    let plain = Tool::at("skstat", port).failure("-c");
    assert!(plain.starts_with("ConnectionException: "), "{plain}");
    client::try_connect(port).expect("the router still listens");
}

#[test]
fn who_cannot_be_reached_is_named() {
    let port = ports::free();
    let error = Tool::at("skstat", port).failure("-g");
    assert!(
        error.starts_with(&format!(
            "ConnectionException: Connection amqp://127.0.0.1:{port} disconnected: "
        )),
        "{error}"
    );
    let error =
        Tool { name: "skmanage", bus: vec!["-b".to_owned(), "no.such.host.invalid".to_owned()] }
            .failure("query");
    assert!(error.starts_with("gaierror: "), "{error}");
}
