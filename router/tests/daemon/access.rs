//! Access of qpid-proton clients: passwords, vhosts, and the properties of our open.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::tool::password_line;
use crate::support::{Kind, Lab, Python, Router, Spec, peers, ports};

/// A router and one port of it.
struct Door {
    router: Router,
    python: Python,
    port: u16,
}

impl Door {
    fn open(lab: &Lab, python: Python, spec: Spec, listener: Value) -> Self {
        let port = ports::free();
        let mut listener = listener;
        listener["name"] = "door".into();
        listener["host"] = "127.0.0.1".into();
        listener["port"] = port.into();
        let router = spec.entity("listener", listener).start(lab);
        router.await_port(port);
        Self { router, python, port }
    }

    #[track_caller]
    fn visit(&self, arguments: &[&str]) -> Value {
        let url = format!("amqp://127.0.0.1:{}", self.port);
        self.python.run("access.py", &[&[url.as_str()], arguments].concat())
    }
}

fn spec() -> Spec {
    Spec::new("north", Kind::Ours)
}

with_python!(users_come_in_by_password, |lab: &Lab, python: Python| {
    let spec = spec().passwords(lab, &password_line("alice", "wonder"));
    let door = Door::open(
        lab,
        python,
        spec,
        json!({ "saslMechanisms": "PLAIN", "authenticatePeer": true }),
    );
    assert_eq!(door.visit(&["--user", "alice", "wonder", "send:q"])["steps"], json!(["ok"]));
    for (user, password) in [("alice", "land"), ("bob", "wonder")] {
        let refused = door.visit(&["--user", user, password]);
        assert_eq!(refused["opened"], false, "{refused}");
    }
    assert_eq!(door.visit(&[])["opened"], false, "an anonymous client was admitted");
    door.router.await_log(&["Authentication failed [mech=PLAIN]"]);
    assert!(!door.router.log().contains("wonder"), "a password in the log");
    // A change of the file takes effect at once.
    std::fs::write(lab.path().join("users"), password_line("bob", "builder")).expect("written");
    assert_eq!(door.visit(&["--user", "bob", "builder"])["opened"], true);
    assert_eq!(door.visit(&["--user", "alice", "wonder"])["opened"], false);
});

with_python!(users_of_cyrus_sasl_come_in_and_change_their_password, |lab: &Lab, python: Python| {
    let Some(saslpasswd2) = peers::needs_command(
        "users_of_cyrus_sasl_come_in_and_change_their_password",
        "saslpasswd2",
    ) else {
        return;
    };
    let users = lab.path().join("users.sasldb");
    let set = |user: &str, password: Option<&str>| {
        let mut command = Command::new(&saslpasswd2);
        command.args(["-p", "-f"]).arg(&users).args([
            "-u",
            "example.com",
            if password.is_some() { "-c" } else { "-d" },
            user,
        ]);
        let mut child = command.stdin(Stdio::piped()).spawn().expect("saslpasswd2 starts");
        child
            .stdin
            .take()
            .expect("a pipe")
            .write_all(password.unwrap_or_default().as_bytes())
            .expect("written");
        assert!(child.wait().expect("ends").success());
    };
    set("alice", Some("wonder"));
    for number in 0..200 {
        set(&format!("user-{number}"), Some("filler"));
    }
    let method = format!(
        "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {}\nmech_list: PLAIN\n",
        users.display()
    );
    std::fs::write(lab.path().join("tests-mech.conf"), method).expect("written");
    let spec = spec()
        .attribute("saslConfigDir", lab.path().to_string_lossy().into())
        .attribute("saslConfigName", "tests-mech".into());
    let door = Door::open(
        lab,
        python,
        spec,
        json!({ "saslMechanisms": "PLAIN", "authenticatePeer": true }),
    );
    let opened =
        |user: &str, password: &str| door.visit(&["--user", user, password])["opened"] == true;
    assert!(opened("alice@example.com", "wonder") && opened("user-77@example.com", "filler"));
    assert!(
        !opened("alice@example.com", "land")
            && !opened("alice@elsewhere.com", "wonder")
            && !opened("bob@example.com", "wonder")
    );
    set("alice", Some("land"));
    assert!(opened("alice@example.com", "land") && !opened("alice@example.com", "wonder"));
    set("alice", None);
    assert!(!opened("alice@example.com", "land") && opened("user-0@example.com", "filler"));
});

with_python!(clients_are_told_what_is_configured, |lab: &Lab, python: Python| {
    let listener = json!({
        "maxFrameSize": 2048, "maxSessions": 10, "failoverUrls": "amqps://other:5671",
        "openProperties": { "team": "blue", "list": [1, null] },
    });
    let opened = Door::open(lab, python, spec(), listener).visit(&[]);
    assert_eq!(
        (&opened["max_frame_size"], &opened["channel_max"]),
        (&json!(2048), &json!(9)),
        "{opened}"
    );
    let expected = json!([{ "network-host": "other", "port": "5671", "scheme": "amqps" }]);
    assert_eq!(opened["properties"]["failover-server-list"], expected, "{opened}");
    assert_eq!(
        (&opened["properties"]["team"], &opened["properties"]["list"]),
        (&json!("blue"), &json!([1, null]))
    );
    assert_eq!(opened["properties"].as_object().map(serde_json::Map::len), Some(6), "{opened}");
});

with_python!(clients_do_what_policy_allows, |lab: &Lab, python: Python| {
    let group = json!({
        "users": "anonymous", "remoteHosts": "127.0.0.1", "maxFrameSize": 4096, "maxSessions": 3,
        "maxReceivers": 2, "maxMessageSize": 1000, "allowAnonymousSender": true,
        "sources": "q, r, own.${user}", "targetPattern": "q/*",
    });
    let vhost = json!({ "hostname": "tenant", "aliases": "t1, t2", "groups": { "all": group } });
    let spec = spec().entity("policy", json!({ "enableVhostPolicy": true })).entity("vhost", vhost);
    let door = Door::open(lab, python, spec, json!({}));
    let refused = door.visit(&["--vhost", "elsewhere"]);
    assert!(refused.to_string().contains("connection disallowed by local policy"), "{refused}");
    let steps = [
        "--vhost",
        "t2",
        "receive:q",
        "receive:x",
        "receive:",
        "receive:own.anonymous",
        "receive:r",
        "send:q/1",
        "send:q",
    ];
    let visit = door.visit(&steps);
    assert_eq!(
        (&visit["max_frame_size"], &visit["channel_max"]),
        (&json!(4096), &json!(2)),
        "{visit}"
    );
    let told: Vec<_> =
        visit["steps"].as_array().expect("a list").iter().map(|step| step == "ok").collect();
    assert_eq!(told, [true, false, false, true, false, true, false], "{visit}");
    assert!(visit["steps"][1].to_string().contains("link disallowed by local policy"), "{visit}");
    let visit = door.visit(&[
        "--vhost",
        "tenant",
        "message:x:anonymous:10",
        "message:q/1:mallory:10",
        "message:q/1:anonymous:2000",
    ]);
    assert_eq!(
        &visit["steps"].as_array().expect("a list")[..2],
        ["rejected", "rejected"],
        "{visit}"
    );
    assert!(visit["steps"][2] != "accepted", "{visit}");
    door.router.await_log(&["DENY a message that is larger than 1000 octets"]);
    assert!(door.router.is_running());
});

with_python!(policy_judges_addresses_as_the_router_reads_them, |lab: &Lab, python: Python| {
    let group = json!({
        "users": "*", "remoteHosts": "*", "allowAnonymousSender": true, "sources": "foo*",
        "targets": "foo*",
    });
    let vhost = json!({ "hostname": "$default", "groups": { "all": group } });
    let spec = spec().entity("policy", json!({ "enableVhostPolicy": true })).entity("vhost", vhost);
    let door = Door::open(lab, python, spec, json!({}));
    let hidden =
        ["foo:/secret", "foo:/$management", "_local/$management", "foo:/_topo/0/north/$management"];
    let steps = hidden.iter().flat_map(|address| {
        [format!("receive:{address}"), format!("send:{address}"), format!("message:{address}::10")]
    });
    let steps: Vec<String> = steps
        .chain(["receive:/foo", "send:amqp://h/foo.a", "message:foo:/foo.b::10"].map(str::to_owned))
        .collect();
    let visit = door.visit(&steps.iter().map(String::as_str).collect::<Vec<_>>());
    let told = visit["steps"].as_array().expect("a list");
    for (step, told) in steps.iter().zip(told).take(3 * hidden.len()) {
        let refused =
            told == "rejected" || told.to_string().contains("link disallowed by local policy");
        assert!(refused, "{step}: {told}");
    }
    assert_eq!(told[3 * hidden.len()..], ["ok", "ok", "released"], "{visit}");
});

with_python!(a_router_takes_so_many_clients, |lab: &Lab, python: Python| {
    let spec = spec().entity("policy", json!({ "maxConnections": 0 }));
    let door = Door::open(lab, python, spec, json!({}));
    assert_eq!(door.visit(&[])["opened"], false);
    door.router.await_log(&["DENY Connection", "based on global connection count"]);
});
