//! READ, and how an entity is found.

use super::*;

#[test]
fn reads_by_name_and_identity() {
    let memory = Memory::with(&[
        ("listener", &[("name", "l0"), ("port", "1")]),
        ("connector", &[("name", "c0")]),
    ]);
    let read = |properties: &[(&str, &str)]| ask(&memory, request("READ", properties, &[]));
    let found = read(&[("type", LISTENER), ("name", "l0")]);
    assert_eq!(found.body.get("identity"), Some(&text("listener/:1:l0")));
    assert_eq!(found.body.get("sslProfile"), None, "what is not set is not told");
    assert_eq!(read(&[("identity", "listener/:1:l0")]).body, found.body);
    assert_eq!(read(&[("name", "l0"), ("identity", "listener/:1:l0")]).body, found.body);
    let refused = |properties: &[(&str, &str)]| refused(&memory, request("READ", properties, &[]));
    let expect = |properties: &[(&str, &str)], status: i32, text: &str| {
        assert_eq!(refused(properties), (status, text.to_owned()));
    };
    expect(&[("type", LISTENER), ("name", "nosuch")], 404, "No entity with name=nosuch");
    expect(&[("name", "l0"), ("identity", "zz")], 400, "Conflicting name=l0 identity=zz");
    expect(&[("type", LISTENER)], 400, "io.skupper.router.listener: No name or identity provided");
    expect(
        &[("type", "io.skupper.router.nosuch"), ("name", "l0")],
        400,
        "No such entity type 'io.skupper.router.nosuch'",
    );
    expect(
        &[("type", "io.skupper.router.connector"), ("name", "l0")],
        400,
        "Entity type 'io.skupper.router.listener' does not extend requested type \
         'io.skupper.router.connector'",
    );
}

#[test]
fn a_name_that_two_types_have_needs_a_type() {
    let memory = Memory::with(&[("listener", &[("name", "x")]), ("connector", &[("name", "x")])]);
    let refusal = refused(&memory, request("READ", &[("name", "x")], &[]));
    assert_eq!(refusal, (500, "Duplicate (2) entities with name=x".to_owned()));
    let found = ask(&memory, request("READ", &[("name", "x"), ("type", "connector")], &[]));
    assert_eq!(found.body.get("host"), Some(&text("127.0.0.1")));
}

#[test]
fn the_management_node_is_an_entity() {
    let memory = Memory::default();
    let itself = map(&[
        ("identity", text("self")),
        ("name", text("self")),
        ("type", text("io.skupper.router.management")),
    ]);
    assert_eq!(ask(&memory, request("READ", &[], &[])).body, itself);
    assert_eq!(
        ask(&memory, request("read", &[("type", "org.amqp.management"), ("name", "self")], &[]))
            .body,
        itself
    );
    assert_eq!(
        refused(&memory, request("READ", &[("name", "self"), ("identity", "me")], &[])).0,
        400
    );
}

#[test]
fn connections_are_read_by_identity() {
    let memory = Memory { connections: 3, ..Memory::default() };
    let kind = ("type", "io.skupper.router.connection");
    let found = ask(&memory, request("READ", &[kind, ("identity", "2")], &[]));
    assert_eq!(
        (found.body.get("host"), found.body.get("container")),
        (Some(&text("h2")), Some(&Value::Null))
    );
    assert_eq!(
        refused(&memory, request("READ", &[kind, ("identity", "3")], &[])),
        (404, "Not Found".to_owned())
    );
    let unnamed = (400, "Name not supported. Identity required".to_owned());
    assert_eq!(refused(&memory, request("READ", &[kind, ("name", "x")], &[])), unnamed);
}

#[test]
fn what_nobody_may_do_is_forbidden() {
    let memory = Memory { connections: 1, ..Memory::default() };
    for (operation, kind) in [
        ("DELETE", "connection"),
        ("CREATE", "connection"),
        ("UPDATE", "router.link"),
        ("CREATE", "router.link"),
        ("DELETE", "router.address"),
        ("UPDATE", "router.address"),
        ("CREATE", "router.address"),
        ("READ", "routerMetrics"),
    ] {
        let refusal =
            refused(&memory, request(operation, &[("type", kind), ("identity", "0")], &[]));
        assert_eq!(refusal, (403, "Forbidden".to_owned()), "{operation} {kind}");
    }
}

#[test]
fn operations_that_are_none() {
    let memory = Memory::with(&[("listener", &[("name", "l0")])]);
    assert_eq!(ask(&memory, Request::default()).status, Status::BAD_REQUEST);
    let expect = |operation: &str, properties: &[(&str, &str)], text: &str| {
        assert_eq!(refused(&memory, request(operation, properties, &[])), (501, text.to_owned()));
    };
    let listener = "not implemented for 'io.skupper.router.listener' ['CREATE', 'DELETE', 'READ']";
    expect("nosuch", &[("name", "l0")], &format!("Operation 'NOSUCH' {listener}"));
    expect("UPDATE", &[("name", "l0")], &format!("Operation 'UPDATE' {listener}"));
    expect(
        "CREATE",
        &[("type", "log"), ("name", "x")],
        "Operation 'CREATE' not implemented for 'io.skupper.router.log' ['UPDATE', 'READ']",
    );
    assert_eq!(refused(&memory, request("nosuch", &[("type", "org.amqp.management")], &[])).0, 501);
    assert_eq!(refused(&memory, request("PROFILE", &[("start", "")], &[])).0, 501);
    assert_eq!(
        refused(
            &memory,
            request("UPDATE", &[("type", "router.config.address"), ("name", "x")], &[])
        )
        .0,
        501
    );
}
