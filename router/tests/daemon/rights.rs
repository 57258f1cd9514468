//! The rights to manage a router, by listener and by operation.

use serde_json::json;
use skupper_proto::management::{Request, Status};

use crate::support::manager::{create, read, update};
use crate::support::{Kind, Lab, Manager, Spec, peers, ports, wait};

fn open(name: &str, port: u16, management: &str) -> serde_json::Value {
    json!({
        "name": name, "host": "127.0.0.1", "port": port, "saslMechanisms": "ANONYMOUS",
        "management": management,
    })
}

#[test]
fn a_listener_decides_what_its_clients_may_manage() {
    let lab = Lab::new("rights::a_listener_decides_what_its_clients_may_manage");
    let [full, reading, nothing, links] =
        [ports::free(), ports::free(), ports::free(), ports::free()];
    let north = Spec::new("north", Kind::Ours).clients(full).links_plain(links);
    let north = north
        .entity("listener", open("reading", reading, "read"))
        .entity("listener", open("nothing", nothing, "none"));
    let north = north.start(&lab);
    let _south = Spec::new("south", Kind::Ours).link_plain("link", links, 1).start(&lab);
    [full, reading, nothing].iter().for_each(|port| north.await_port(*port));
    let there = "_topo/0/south/$management";
    let dummy = || create("io.skupper.router.dummy", "d", &[]);

    let mut operator = Manager::connect(full, there);
    wait::until("the other router answers", wait::patience(), || {
        operator.ask(read("self"), Status::OK).ok()
    });
    operator.ask(dummy(), Status::CREATED).expect("a request that goes on to the other router");

    for (port, reads) in [(reading, true), (nothing, false)] {
        let mut client = Manager::connect(port, "$management");
        let (status, text) = client.refusal(dummy());
        assert_eq!(status, 403, "{text}");
        let query = Request::query(Some("io.skupper.router.listener"), &["name"]);
        assert_eq!(client.ask(query, Status::OK).is_ok(), reads);
        // In every spelling the request stops here, for the other router could not tell which
        // client to refuse.
        for address in [
            there,
            "amqp:/_topo/0/south/$management",
            "x:/_topo/0/south/$management/",
            "_topo/0/south/$_management_internal",
        ] {
            client.turn_to(address);
            let error = client.ask(read("self"), Status::OK).expect_err(address).to_string();
            assert!(error.contains("management attribute"), "{address}: {error}");
        }
    }
}

#[test]
fn a_neighbor_is_held_to_its_listener() {
    let lab = Lab::new("rights::a_neighbor_is_held_to_its_listener");
    let [clients, links] = [ports::free(), ports::free()];
    let guarded = json!({
        "name": "links", "host": "127.0.0.1", "port": links, "role": "inter-router",
        "saslMechanisms": "ANONYMOUS", "management": "read",
    });
    let _north = Spec::new("north", Kind::Ours).entity("listener", guarded).start(&lab);
    let south =
        Spec::new("south", Kind::Ours).clients(clients).link_plain("link", links, 1).start(&lab);
    south.await_port(clients);
    let mut client = Manager::connect(clients, "_topo/0/north/$management");
    wait::until("the other router answers", wait::patience(), || {
        client.ask(read("self"), Status::OK).ok()
    });
    let (status, text) = client.refusal(create("io.skupper.router.dummy", "d", &[]));
    assert!(status == 403 && text.contains("management: read"), "{status} {text}");
}

#[test]
fn secrets_stay_in_the_router() {
    const SECRET: &str = "a-secret-of-the-operator";
    let lab = Lab::new("rights::secrets_stay_in_the_router");
    let clients = ports::free();
    let connector = json!({
        "name": "c", "host": "127.0.0.1", "port": ports::free(), "saslUsername": "u",
        "saslPassword": SECRET,
    });
    let proxy = json!({
        "name": "x", "host": "127.0.0.1", "port": "3128", "username": "u",
        "password": format!("pass:{SECRET}"),
    });
    let log = json!({ "module": "DEFAULT", "enable": "debug+" });
    let router = Spec::new("north", Kind::Ours)
        .clients(clients)
        .entity("connector", connector)
        .entity("proxyProfile", proxy);
    let router = router.entity("log", log).start(&lab);
    router.await_port(clients);
    let mut client = Manager::connect(clients, "$management");
    let profile = create("sslProfile", "p", &[("password", SECRET)]);
    let update = Request {
        operation: Some("UPDATE".to_owned()),
        ..create("proxyProfile", "x", &[("port", "3129")])
    };
    let requests = [
        (profile.clone(), Status::CREATED),
        (update, Status::OK),
        (read("c"), Status::OK),
        (read("x"), Status::OK),
        (Request::query(None, &[]), Status::OK),
        (
            Request::query(Some("io.skupper.router.connector"), &["name", "saslPassword"]),
            Status::OK,
        ),
        (Request::new("GET-LOG"), Status::OK),
    ];
    for (request, expected) in requests {
        let told = format!("{:?}", client.ask(request.clone(), expected).expect("answered"));
        assert!(!told.contains(SECRET), "{request:?}: {told}");
    }
    let (_, text) = client.refusal(profile);
    assert!(text.contains("duplicates") && !text.contains(SECRET), "{text}");
    assert!(!router.log().contains(SECRET), "the log has it");
}

#[test]
fn files_of_requests_stay_where_the_operators_are() {
    let lab = Lab::new("rights::files_of_requests_stay_where_the_operators_are");
    let [clients, web] = [ports::free(), ports::free()];
    let identity = lab.identity("north");
    let router = Spec::new("north", Kind::Ours).clients(clients).start(&lab);
    router.await_port(clients);
    let mut client = Manager::connect(clients, "$management");
    let listener = "io.skupper.router.listener";
    let port = web.to_string();
    let etc = [("host", "127.0.0.1"), ("port", port.as_str()), ("httpRootDir", "/etc")];
    let (_, text) = client.refusal(create(listener, "web", &etc));
    assert!(text.contains("httpRootDir '/etc'"), "{text}");
    let connector = [("saslUsername", "u"), ("saslPassword", "file:/etc/shadow")];
    let (_, text) = client.refusal(create("io.skupper.router.connector", "c", &connector));
    assert!(text.contains("saslPassword '/etc/shadow'"), "{text}");
    let aside = lab.path().join("cron");
    let (_, text) = client.refusal(update(
        "io.skupper.router.log",
        "log/AGENT",
        &[("outputFile", aside.to_str().unwrap())],
    ));
    assert!(text.contains("outputFile") && !aside.exists(), "{text}");
    let (_, text) = client.refusal(create("sslProfile", "p", &[("certFile", "/etc/shadow")]));
    assert!(text.contains("certFile '/etc/shadow'"), "{text}");
    // Beside the configuration, where controllers put them.
    let (certificate, key) = identity.own.expect("a certificate");
    let [trusted, certificate, key] =
        [identity.trusted, certificate, key].map(|file| file.display().to_string());
    let files =
        [("caCertFile", trusted.as_str()), ("certFile", &certificate), ("privateKeyFile", &key)];
    client.ask(create("sslProfile", "p", &files), Status::CREATED).expect("a profile");
    client.ask(update("sslProfile", "p", &files), Status::OK).expect("its update");
}

#[test]
fn logs_and_pid_files_do_not_follow_links() {
    let lab = Lab::new("rights::logs_and_pid_files_do_not_follow_links");
    let [config, log, pid, precious] =
        ["c.json", "log", "pid", "precious"].map(|name| lab.path().join(name));
    std::fs::write(&precious, "kept").expect("written");
    let spec = Spec::new("north", Kind::Ours)
        .entity("log", json!({ "module": "DEFAULT", "outputFile": log }));
    std::fs::write(&config, spec.text()).expect("written");
    let socket = lab.path().join("s");
    let start = |more: &[&std::ffi::OsStr]| {
        let mut command = std::process::Command::new(peers::ours());
        command
            .arg("-c")
            .arg(&config)
            .arg("--admin-socket")
            .arg(&socket)
            .args(more)
            .current_dir(lab.path());
        command.output().expect("the router starts")
    };
    std::os::unix::fs::symlink(&precious, &log).expect("a link");
    let ended = start(&[]);
    let text = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!ended.status.success() && text.contains("symbolic link"), "{text}");
    std::fs::remove_file(&log).expect("removed");
    std::os::unix::fs::symlink(&precious, &pid).expect("a link");
    let ended = start(&["-d".as_ref(), "-P".as_ref(), pid.as_os_str()]);
    let text = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(
        !ended.status.success() && text.contains("pid file") && text.contains("symbolic link"),
        "{text}"
    );
    assert_eq!(std::fs::read_to_string(&precious).expect("read"), "kept");
}
