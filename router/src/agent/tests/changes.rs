//! CREATE, UPDATE and DELETE.

use super::*;

#[test]
fn a_dummy_lives_and_dies() {
    let memory = Memory::default();
    let made = ask(
        &memory,
        request("CREATE", &[("type", DUMMY), ("name", "d")], &[("arg1", text("START"))]),
    );
    assert_eq!((made.status, made.description.as_str()), (Status::CREATED, "Created"));
    let body = |arg1: &str| {
        [
            ("arg1", text(arg1)),
            ("name", text("d")),
            ("identity", text("dummy/0")),
            ("type", text(DUMMY)),
        ]
        .map(|(n, v)| (text(n), v))
    };
    assert_eq!(made.body, Value::Map(body("START").to_vec()));
    let named = [("type", DUMMY), ("name", "d")];
    let changed = ask(
        &memory,
        request(
            "UPDATE",
            &named,
            &[("arg1", text("one")), ("num1", Value::Int(42)), ("name", text("d"))],
        ),
    );
    assert_eq!((changed.status, changed.body.get("num1")), (Status::OK, Some(&Value::Int(42))));
    let cleared = ask(&memory, request("UPDATE", &named, &[("num1", Value::Null)]));
    assert_eq!((cleared.body.get("num1"), cleared.body.get("arg1")), (None, Some(&text("one"))));
    let data = Value::Binary(Box::from(*b"\xff\0"));
    let echo = ask(&memory, request("callme", &named, &[]).with("data", data.clone()));
    assert_eq!(
        (echo.body.get("data"), echo.body.get("operation")),
        (Some(&data), Some(&text("callme")))
    );
    let gone = ask(&memory, request("DELETE", &named, &[]));
    assert_eq!((gone.status, gone.body), (Status::NO_CONTENT, Value::Map(vec![])));
    assert_eq!(refused(&memory, request("DELETE", &named, &[])).0, 404);
}

#[test]
fn mistakes_in_a_create_are_told_and_nothing_is_made() {
    let memory = Memory::with(&[("listener", &[("name", "taken"), ("port", "1")])]);
    let long = "io.skupper.router.connector";
    let connector = |attributes: &[(&str, Value)]| {
        refused(&memory, request("CREATE", &[("type", long), ("name", "y")], attributes))
    };
    let expect = |attribute: &str, value: Value, status: i32, text: &str| {
        assert_eq!(connector(&[(attribute, value)]), (status, text.to_owned()));
    };
    expect(
        "colour",
        text("red"),
        400,
        "Unknown attribute 'colour' for 'io.skupper.router.connector'",
    );
    expect(
        "connectionStatus",
        text("good"),
        400,
        "Cannot set attribute 'connectionStatus' in CREATE",
    );
    expect("identity", text("x"), 400, "Cannot set attribute 'identity' in CREATE");
    expect("name", text("z"), 400, "Conflicting values for 'name'");
    let roles =
        "['normal', 'inter-router', 'route-container', 'edge', 'inter-edge', 'inter-network']";
    expect("role", text("boss"), 400, &format!("{long}: Invalid value for enum{roles}: 'boss'"));
    expect(
        "verifyHostname",
        text("perhaps"),
        400,
        &format!("{long}: Invalid Boolean value 'perhaps' for 'verifyHostname'"),
    );
    expect("openProperties", Value::Int(3), 400, &format!("{long}: Properties must be a map"));
    expect(
        "openProperties",
        map(&[("qd.x", Value::Int(1))]),
        400,
        "Reserved key 'qd.x' not allowed in openProperties",
    );
    let cost = "CError: Configuration: Invalid cost (-1) specified. Minimum value for cost is 1 \
                and maximum value is 2147483647";
    expect("cost", Value::Int(-1), 500, cost);
    let size = "CError: Configuration: Invalid maxFrameSize specified (3). Minimum value is 512 \
                and maximum value is 2147483647";
    expect("maxFrameSize", text("3"), 500, size);
    let (status, description) = connector(&[("cost", text("dear"))]);
    assert_eq!(status, 400);
    assert!(
        description.starts_with(&format!("{long}: "))
            && description.contains("'dear' is not an integer"),
        "{description}"
    );
    assert_eq!(connector(&[("host", Value::Decimal32([0; 4]))]).0, 400);
    let create = |properties: &[(&str, &str)], body: &[(&str, Value)]| {
        refused(&memory, request("CREATE", properties, body))
    };
    assert_eq!(create(&[("name", "y")], &[]).0, 400);
    assert_eq!(
        create(&[("type", "nosuch"), ("name", "y")], &[]),
        (400, "No such entity type 'nosuch'".to_owned())
    );
    let missing = "io.skupper.router.listenerAddress: Missing required attribute 'value'";
    assert_eq!(
        create(&[("type", "listenerAddress")], &[("address", text("a"))]),
        (400, missing.to_owned())
    );
}

#[test]
fn names_are_taken_once() {
    let memory = Memory::with(&[(
        "connector",
        &[("name", "taken"), ("port", "1"), ("saslPassword", "geheim")],
    )]);
    let again = request(
        "CREATE",
        &[("type", "connector"), ("name", "taken")],
        &[("saslPassword", text("secret"))],
    );
    let (status, description) = refused(&memory, again);
    assert_eq!(status, 400);
    assert!(
        description.starts_with("adding ConnectorEntity(")
            && description.contains("saslPassword=*******"),
        "{description}"
    );
    assert!(
        description.contains("duplicates unique attribute 'name' from existing ConnectorEntity("),
        "{description}"
    );
    assert!(!description.contains("geheim") && !description.contains("secret"), "{description}");
}

#[test]
fn addresses_are_created_as_a_core_creates_them() {
    let memory = Memory::default();
    let kind = ("type", "io.skupper.router.router.config.address");
    let refusal = |body: &[(&str, Value)]| {
        let response = ask(&memory, request("CREATE", &[kind, ("name", "y")], body));
        assert_eq!((response.status, &response.body), (Status::BAD_REQUEST, &Value::Null));
        response.description
    };
    assert_eq!(refusal(&[]), "Either a 'prefix' or 'pattern' attribute must be provided");
    assert_eq!(
        refusal(&[("prefix", text("a")), ("pattern", text("b"))]),
        "Cannot specify both a 'prefix' and a 'pattern' attribute"
    );
    assert_eq!(refusal(&[("prefix", text(""))]), "Prefix must be a non-empty string type");
    assert_eq!(refusal(&[("pattern", Value::Int(3))]), "Pattern must be a non-empty string type");
    assert_eq!(refusal(&[("prefix", text("/"))]), "Prefix invalid - no tokens");
    let priority = "Priority value, if present, must be between 0 and QDR_MAX_PRIORITY";
    assert_eq!(refusal(&[("prefix", text("a")), ("priority", Value::Int(11))]), priority);
    let bodiless = Request { body: Value::Null, ..request("CREATE", &[kind, ("name", "y")], &[]) };
    assert_eq!(refused(&memory, bodiless), (400, "Body of request must be a map".to_owned()));
    let made = ask(&memory, request("CREATE", &[kind, ("name", "y")], &[("prefix", text("a"))]));
    assert_eq!((made.status, made.body.get("pattern")), (Status::CREATED, Some(&Value::Null)));
    assert_eq!(refusal(&[("prefix", text("b"))]), "Name conflicts with an existing entity");
    assert_eq!(
        ask(&memory, request("DELETE", &[kind, ("name", "y")], &[])).status,
        Status::NO_CONTENT
    );
    assert_eq!(
        refused(&memory, request("DELETE", &[kind, ("name", "y")], &[])),
        (404, "Not Found".to_owned())
    );
}

#[test]
fn updates_leave_what_may_not_change() {
    let memory =
        Memory::with(&[("tcpListener", &[("name", "x"), ("address", "a"), ("port", "1")])]);
    let update = |body: &[(&str, Value)]| {
        ask(&memory, request("UPDATE", &[("type", "tcpListener"), ("name", "x")], body))
    };
    let refusal = update(&[("port", text("2"))]);
    assert_eq!(
        (refusal.status, refusal.description.as_str()),
        (Status::BAD_REQUEST, "Cannot update attribute 'port' in UPDATE")
    );
    let changed = update(&[
        ("observer", text("none")),
        ("port", Value::Int(1)),
        ("type", text("tcpListener")),
    ]);
    assert_eq!((changed.status, changed.body.get("observer")), (Status::OK, Some(&text("none"))));
    let (refusal, kept) = (update(&[("observer", text("loud"))]), update(&[]));
    assert_eq!(
        (refusal.status, kept.body.get("observer")),
        (Status::BAD_REQUEST, Some(&text("none")))
    );
}

#[test]
fn connections_are_closed_and_traced() {
    let memory = Memory { connections: 1, ..Memory::default() };
    let kind = ("type", "io.skupper.router.connection");
    let update = |identity: &str, body: &[(&str, Value)]| {
        ask(&memory, request("UPDATE", &[kind, ("identity", identity)], body)).status
    };
    assert_eq!(update("0", &[]), Status::BAD_REQUEST);
    assert_eq!(update("0", &[("adminStatus", text("odd"))]), Status::BAD_REQUEST);
    assert_eq!(update("0", &[("enableProtocolTrace", text("maybe"))]), Status::BAD_REQUEST);
    assert!(memory.changes.lock().unwrap().is_empty(), "half done");
    assert_eq!(update("9", &[("adminStatus", text("deleted"))]), Status::BAD_REQUEST);
    assert_eq!(update("0", &[("adminStatus", text("deleted"))]), Status::OK);
    assert_eq!(update("0", &[("enableProtocolTrace", text("yes"))]), Status::OK);
    let changes: Vec<_> = memory
        .changes
        .lock()
        .unwrap()
        .iter()
        .map(|(_, change)| (change.close, change.trace))
        .collect();
    assert_eq!(changes, [(true, None), (true, None), (false, Some(true))]);
}
