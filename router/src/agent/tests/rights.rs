//! What is never told, what a listener lets its clients ask, and attributes that C routers do not
//! have.

use super::*;

const PROFILE: &str = "io.skupper.router.sslProfile";

/// All that management says to a few requests, as one text.
fn everything(memory: &Memory) -> String {
    let requests = [
        request("READ", &[("name", "p")], &[]),
        Request::query(Some(PROFILE), &[]),
        Request::query(Some(PROFILE), &["name", "password"]),
        Request::query(None, &[]),
        request("CREATE", &[("type", PROFILE), ("name", "p")], &[("password", text("hunter2"))]),
        request(
            "UPDATE",
            &[("type", PROFILE), ("name", "p")],
            &[("password", Value::List(vec![text("hunter2")]))],
        ),
    ];
    requests.into_iter().map(|request| format!("{:?}\n", ask(memory, request))).collect()
}

#[test]
fn a_secret_is_kept_and_never_told() {
    for secret in ["hunter2", "pass:hunter2", "literal:hunter2"] {
        let memory = Memory::default();
        let created = ask(
            &memory,
            request("CREATE", &[("type", PROFILE), ("name", "p")], &[("password", text(secret))]),
        );
        assert_eq!(created.status, Status::CREATED);
        let update = |body: &[(&str, Value)]| {
            ask(&memory, request("UPDATE", &[("type", PROFILE), ("name", "p")], body))
        };
        let changed = update(&[("certFile", text("/c")), ("password", Value::Null)]);
        assert_eq!(changed.body.get("certFile"), Some(&text("/c")));
        for told in [format!("{created:?}"), format!("{changed:?}"), everything(&memory)] {
            assert!(!told.contains("hunter2"), "{told}");
        }
        let kept = || memory.entities.lock().unwrap()[0].value("password").cloned();
        let as_given = |given: &str| Some(crate::schema::Value::String(given.to_owned()));
        assert_eq!(kept(), as_given(secret), "an update of something else took it away");
        update(&[("password", text("other"))]);
        assert_eq!(kept(), as_given("other"));
    }
}

#[test]
fn where_a_secret_is_kept_is_told_as_it_was_given() {
    let memory = Memory::default();
    for (name, place) in [("p", "file:/run/password"), ("q", "env:PASSWORD")] {
        let made = ask(
            &memory,
            request(
                "CREATE",
                &[("type", "proxyProfile"), ("name", name)],
                &[("password", text(place))],
            ),
        );
        assert_eq!(made.body.get("password"), Some(&text(place)));
        let read = ask(&memory, request("READ", &[("type", "proxyProfile"), ("name", name)], &[]));
        assert_eq!(read.body.get("password"), Some(&text(place)), "controllers compare it");
    }
}

#[test]
fn a_listener_may_let_clients_only_read_or_ask_nothing() {
    let reads = [
        request("READ", &[("name", "l0")], &[]),
        Request::query(Some(LISTENER), &[]),
        request("GET-SCHEMA", &[], &[]),
        request("GET-LOG", &[], &[]),
        request("query", &[("type", "router.config.address")], &[]),
    ];
    let changes = [
        request("CREATE", &[("type", DUMMY), ("name", "d")], &[]),
        request("UPDATE", &[("type", "dummy"), ("name", "d0")], &[("arg1", text("x"))]),
        request("delete", &[("type", "dummy"), ("name", "d0")], &[]),
        request(
            "UPDATE",
            &[("type", "connection"), ("identity", "0")],
            &[("adminStatus", text("deleted"))],
        ),
        request("PROFILE", &[], &[]),
        request("EXPLODE", &[], &[]),
    ];
    for (access, said) in
        [(ManagementAccess::Read, "management: read"), (ManagementAccess::None, "management: none")]
    {
        let memory = Memory {
            connections: 1,
            ..Memory::with(&[("listener", &[("name", "l0")]), ("dummy", &[("name", "d0")])])
        };
        let memory = Memory { access: Some(access), ..memory };
        for change in &changes {
            let (status, description) = refused(&memory, change.clone());
            assert!(
                status == 403 && description.contains(said),
                "{change:?}: {status} {description}"
            );
        }
        for read in &reads {
            let expected =
                if access == ManagementAccess::Read { Status::OK } else { Status::FORBIDDEN };
            assert_eq!(ask(&memory, read.clone()).status, expected, "{read:?}");
        }
        assert!(memory.changes.lock().unwrap().is_empty(), "a connection was changed");
    }
}

#[test]
fn attributes_of_ours_are_told_by_name_alone() {
    let memory = Memory::default();
    let listener = [("management", text("read")), ("port", text("1"))];
    let made = ask(&memory, request("CREATE", &[("type", LISTENER), ("name", "l")], &listener));
    assert_eq!(made.body.get("management"), Some(&text("read")));
    let asked = table(ask(&memory, Request::query(Some(LISTENER), &["name", "management"])));
    assert_eq!(asked.results, [[text("l"), text("read")]]);
    let all = table(ask(&memory, Request::query(Some(LISTENER), &[])));
    assert!(all.column("management").is_none());
    for operation in ["GET-SCHEMA", "GET-ATTRIBUTES", "GET-JSON-SCHEMA"] {
        let told = format!("{:?}", ask(&memory, request(operation, &[], &[])).body);
        assert!(
            told.contains("policyVhost") && !told.contains("\"management\": {\"type\": [\"full\""),
            "{operation}"
        );
        assert!(!told.contains("no request of theirs goes on"), "{operation} has its description");
    }
}
