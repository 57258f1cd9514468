//! Requests and their responses, on a directory in memory.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use skupper_proto::amqp::Value;
use skupper_proto::amqp::performative::DeliveryState;
use skupper_proto::management::{Request, Response, Status, Table, property};

use super::{
    By, ConnectionChange, Directory, Entities, LogLine, Page, Record, Refusal, Requester, Service,
    columns, handle,
};
use crate::core::{Account, Class, Delivery, Endpoint, Holder, Message};
use crate::schema::{Entity, EntityKind, ManagementAccess};

mod rights;
mod slices;

const LISTENER: &str = "io.skupper.router.listener";
const DUMMY: &str = "io.skupper.router.dummy";

/// Keeps entities, and does nothing with them.
#[derive(Default)]
struct Memory {
    entities: Mutex<Vec<Entity>>,
    connections: usize,
    changes: Mutex<Vec<(String, ConnectionChange)>>,
    access: Option<ManagementAccess>,
}

fn told(entity: &Entity) -> Record {
    Record::of(&Arc::new(entity.clone()))
}

impl Memory {
    fn with(entities: &[(&str, &[(&str, &str)])]) -> Self {
        let memory = Self::default();
        for (kind, attributes) in entities {
            let attributes: Vec<_> = attributes
                .iter()
                .map(|(name, value)| (*name, serde_json::Value::from(*value)))
                .collect();
            let given = attributes.iter().map(|(name, value)| (*name, value));
            memory.create(Entity::new(EntityKind::named(kind).unwrap(), given).unwrap()).unwrap();
        }
        memory
    }
}

impl Directory for Memory {
    fn entities(&self, kind: EntityKind, page: Page) -> Entities<'_> {
        if kind == EntityKind::Connection {
            let connection = move |id: usize| {
                Record::new(kind).with("identity", id.to_string()).with("host", format!("h{id}"))
            };
            return Box::new(page.of((0..self.connections).map(connection)));
        }
        let entities = self.entities.lock().unwrap();
        let found: Vec<_> =
            entities.iter().filter(|entity| entity.kind() == kind).map(told).collect();
        Box::new(page.of(found))
    }

    fn create(&self, mut entity: Entity) -> Result<Record, Refusal> {
        let mut entities = self.entities.lock().unwrap();
        entity.identify(entities.len());
        entities.push(entity);
        Ok(told(entities.last().unwrap()))
    }

    fn update(&self, record: &Record, mut entity: Entity) -> Result<Record, Refusal> {
        let mut entities = self.entities.lock().unwrap();
        let place = entities
            .iter()
            .position(|known| known.text("identity") == record.text("identity"))
            .unwrap();
        entity.set("identity", entities[place].value("identity").unwrap().clone());
        entities[place] = entity;
        Ok(told(&entities[place]))
    }

    fn delete(&self, record: &Record) -> Result<(), Refusal> {
        self.entities
            .lock()
            .unwrap()
            .retain(|known| known.text("identity") != record.text("identity"));
        Ok(())
    }

    fn change_connection(
        &self,
        identity: &str,
        change: ConnectionChange,
        _: Option<u64>,
    ) -> Result<Record, Refusal> {
        self.changes.lock().unwrap().push((identity.to_owned(), change));
        let found = self.find(EntityKind::named("connection").unwrap(), By::Identity, identity);
        found.into_iter().next().ok_or_else(|| Refusal::plain(Status::BAD_REQUEST))
    }

    fn access(&self, _: u64) -> Option<ManagementAccess> {
        self.access
    }

    fn log(&self, limit: Option<usize>) -> Vec<LogLine> {
        let line = |n: i64| LogLine {
            module: "AGENT",
            level: "debug",
            text: format!("line {n}"),
            source: (n == 1).then_some(("a.rs", 7)),
            seconds: n,
        };
        (0..3).skip(3 - limit.unwrap_or(3).min(3)).map(line).collect()
    }
}

fn ask(directory: &Memory, request: Request) -> Response {
    let request = Request {
        reply_to: Some("reply".to_owned()),
        correlation_id: Some(Value::Ulong(7)),
        ..request
    };
    let response = handle(
        directory,
        &request,
        Requester { connection: None, access: directory.access.unwrap_or(ManagementAccess::Full) },
    );
    assert_eq!(
        (response.to.as_deref(), &response.correlation_id),
        (Some("reply"), &Some(Value::Ulong(7)))
    );
    // Whatever it is, it can be written and read.
    assert_eq!(Response::decode(&response.encode()).as_ref(), Ok(&response));
    response
}

fn refused(directory: &Memory, request: Request) -> (i32, String) {
    let before = directory.entities.lock().unwrap().len();
    let response = ask(directory, request);
    assert!(!response.status.is_success(), "{response:?}");
    assert_eq!(directory.entities.lock().unwrap().len(), before, "half done");
    (response.status.0, response.description)
}

fn map(pairs: &[(&str, Value)]) -> Value {
    Value::Map(pairs.iter().map(|(name, value)| (Value::string(*name), value.clone())).collect())
}

fn text(text: &str) -> Value {
    Value::string(text)
}

fn request(operation: &str, properties: &[(&str, &str)], body: &[(&str, Value)]) -> Request {
    let request = Request::new(operation).with_body(map(body));
    properties.iter().fold(request, |request, (name, value)| request.with(*name, *value))
}

fn table(response: Response) -> Table {
    assert_eq!(response.status, Status::OK, "{}", response.description);
    Table::from_body(response.body).unwrap()
}

// ----- query -----

#[test]
fn a_query_gives_the_columns_it_asks_for() {
    let memory = Memory::with(&[
        ("listener", &[("name", "l0"), ("port", "5672")]),
        ("listener", &[("port", "5673")]),
    ]);
    let answer = table(ask(
        &memory,
        Request::query(Some(LISTENER), &["type", "name", "port", "sslProfile"]),
    ));
    assert_eq!(answer.attribute_names, ["type", "name", "port", "sslProfile"]);
    let row = |name: &str, port: &str| vec![text(LISTENER), text(name), text(port), Value::Null];
    assert_eq!(answer.results, [row("l0", "5672"), row("listener/:5673", "5673")]);
}

#[test]
fn a_query_without_names_gives_all_attributes_of_the_type() {
    let memory = Memory::with(&[("listener", &[("name", "l0")])]);
    for body in [Value::Null, map(&[]), map(&[(Table::NAMES, Value::List(vec![]))])] {
        let query = Request::query(Some("listener"), &[]).with_body(body);
        let answer = table(ask(&memory, query));
        let all: Vec<_> = EntityKind::named("listener")
            .unwrap()
            .common_attributes()
            .map(|attribute| attribute.name)
            .collect();
        assert_eq!(answer.attribute_names, all);
        assert_eq!(answer.results.len(), 1);
    }
}

/// Go's AMQP libraries write a list of strings as an array.
#[test]
fn names_may_come_as_an_array() {
    let memory = Memory::with(&[("listener", &[("name", "l0"), ("port", "5672")])]);
    let query = |names: Vec<Value>| {
        Request::query(Some(LISTENER), &[]).with_body(map(&[(Table::NAMES, Value::Array(names))]))
    };
    let some = table(ask(&memory, query(vec![text("name"), text("port")])));
    assert_eq!(some.attribute_names, ["name", "port"]);
    assert_eq!(some.results, [[text("l0"), text("5672")]]);
    let all: Vec<_> = EntityKind::named("listener")
        .unwrap()
        .common_attributes()
        .map(|attribute| attribute.name)
        .collect();
    assert_eq!(table(ask(&memory, query(vec![]))).attribute_names, all);
    let no_list =
        Request::query(Some(LISTENER), &[]).with_body(map(&[(Table::NAMES, text("name"))]));
    assert_eq!(refused(&memory, no_list).0, 400);
}

#[test]
fn a_type_that_stands_apart_may_be_asked_itself() {
    let memory = Memory::with(&[
        ("listener", &[("name", "l0")]),
        ("router.config.address", &[("prefix", "a")]),
    ]);
    let answer = table(ask(&memory, request("QUERY", &[("type", "router.config.address")], &[])));
    assert_eq!((answer.attribute_names.len(), answer.results.len()), (7, 1));
    let (status, _) =
        refused(&memory, request("QUERY", &[("type", "listener"), ("name", "l0")], &[]));
    assert_eq!(status, 501, "others are no management nodes");
}

#[test]
fn a_query_for_a_base_type_gives_those_that_extend_it() {
    let memory = Memory::with(&[
        ("listener", &[("name", "l0")]),
        ("log", &[("module", "AGENT")]),
        ("router.config.address", &[("prefix", "a")]),
    ]);
    let names = |answer: Table| -> Vec<String> {
        answer.results.iter().map(|row| row[0].as_text().unwrap_or_default().to_owned()).collect()
    };
    let all = names(table(ask(&memory, Request::query(None, &["name"]))));
    assert_eq!(all, ["self", "l0", "log/AGENT", "address/2"]);
    let configured =
        names(table(ask(&memory, Request::query(Some("configurationEntity"), &["name"]))));
    assert_eq!(configured, ["l0", "log/AGENT", "address/2"]);
    let part = Request::query(None, &["name"]).with(property::OFFSET, 1).with(property::COUNT, 2);
    assert_eq!(names(table(ask(&memory, part))), ["l0", "log/AGENT"]);
    // A row of nulls says nothing.
    let modules = table(ask(&memory, Request::query(None, &["module"])));
    assert_eq!(modules.results, [vec![text("AGENT")]]);
}

#[test]
fn unknown_attributes_are_refused_or_null() {
    let memory = Memory { connections: 1, ..Memory::with(&[("listener", &[])]) };
    let (status, description) =
        refused(&memory, Request::query(Some(LISTENER), &["name", "odd", "odd"]));
    assert_eq!(
        (status, description.as_str()),
        (404, "Unknown attributes ['odd'] for type io.skupper.router.listener.")
    );
    let answer = table(ask(&memory, Request::query(Some("connection"), &["odd", "identity"])));
    assert_eq!(
        (answer.attribute_names, answer.results),
        (vec!["odd".into(), "identity".into()], vec![vec![Value::Null, text("0")]])
    );
}

#[test]
fn pages_of_connections() {
    let memory = Memory { connections: 10_000, ..Memory::default() };
    let page = |offset: i32, count: i32| {
        let query = Request::query(Some("io.skupper.router.connection"), &["identity"]);
        table(ask(&memory, query.with(property::OFFSET, offset).with(property::COUNT, count)))
            .results
    };
    assert_eq!(page(9_998, 500), [vec![text("9998")], vec![text("9999")]]);
    assert_eq!(page(10_000, 500).len(), 0);
    assert_eq!(page(0, -1).len(), 10_000);
    assert_eq!(page(0, 0).len(), 0);
    let all = table(ask(&memory, Request::query(Some("connection"), &[]).with(property::COUNT, 1)));
    assert_eq!(all.attribute_names, columns(EntityKind::named("connection").unwrap()).unwrap());
}

#[test]
fn an_answer_beyond_all_bounds_is_refused() {
    let memory = Memory { connections: 100_000, ..Memory::default() };
    let names = vec!["identity"; 100];
    let (status, description) = refused(&memory, Request::query(Some("connection"), &names));
    assert_eq!(status, 400);
    assert!(description.contains("offset and count"), "{description}");
    let many = vec!["identity"; 513];
    assert_eq!(refused(&memory, Request::query(Some("connection"), &many)).0, 400);
}

// ----- finding -----

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
        "Entity type 'io.skupper.router.listener' does not extend requested type 'io.skupper.router.connector'",
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

// ----- create, update, delete -----

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
    let cost = "CError: Configuration: Invalid cost (-1) specified. Minimum value for cost is 1 and maximum value is 2147483647";
    expect("cost", Value::Int(-1), 500, cost);
    let size = "CError: Configuration: Invalid maxFrameSize specified (3). Minimum value is 512 and maximum value is 2147483647";
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

// ----- the schema -----

#[test]
fn types_attributes_and_operations() {
    let memory = Memory::default();
    let types = ask(&memory, request("GET-TYPES", &[], &[])).body;
    assert_eq!(types.as_map().unwrap().len(), EntityKind::all().count());
    let bases =
        ["io.skupper.router.configurationEntity", "io.skupper.router.entity"].map(text).to_vec();
    assert_eq!(types.get(LISTENER), Some(&Value::List(bases)));
    let about = |operation: &str| {
        ask(&memory, request(operation, &[("entityType", "sslProfile")], &[])).body
    };
    let profile = "io.skupper.router.sslProfile";
    assert_eq!(about("get-attributes").get(profile).unwrap().as_list().unwrap().len(), 13);
    let operations = ["CREATE", "UPDATE", "DELETE", "READ"].map(text).to_vec();
    assert_eq!(about("GET-OPERATIONS"), map(&[(profile, Value::List(operations))]));
    assert_eq!(about("GET-ANNOTATIONS"), Value::Map(vec![]));
    assert_eq!(
        refused(&memory, request("GET-TYPES", &[("entityType", "odd")], &[])),
        (400, "No such entity type 'odd'".to_owned())
    );
}

#[test]
fn the_schema_as_a_map_and_as_text() {
    let memory = Memory::default();
    let schema = ask(&memory, request("GET-SCHEMA", &[("identity", "self")], &[])).body;
    let types = schema.get("entityTypes").unwrap();
    assert_eq!(types.as_map().unwrap().len(), 31);
    let cost = types.get("listener").unwrap().get("attributes").unwrap().get("cost").unwrap();
    assert_eq!(
        (cost.get("type"), cost.get("default")),
        (Some(&text("integer")), Some(&Value::Int(1)))
    );
    assert_eq!(
        (cost.get("required"), schema.get("prefix")),
        (None, Some(&text("io.skupper.router")))
    );
    for indent in ["", "4"] {
        let text = ask(&memory, request("GET-JSON-SCHEMA", &[("indent", indent)], &[])).body;
        let parsed: serde_json::Value = serde_json::from_str(text.as_text().unwrap()).unwrap();
        assert_eq!(super::value::from_json(&parsed), schema);
        assert_eq!(text.as_text().unwrap().contains("\n    \"prefix\""), indent == "4");
    }
}

#[test]
fn the_log_and_the_nodes() {
    let memory = Memory::default();
    let log = |limit: &str| ask(&memory, request("GET-LOG", &[("limit", limit)], &[])).body;
    let lines = log("2");
    let first =
        [text("AGENT"), text("debug"), text("line 1"), text("a.rs"), Value::Int(7), Value::Int(1)];
    assert_eq!(lines.as_list().unwrap()[0], Value::List(first.to_vec()));
    assert_eq!(lines.as_list().unwrap()[1].as_list().unwrap()[3..5], [Value::Null, Value::Null]);
    assert_eq!(log("0").as_list().unwrap().len(), 3);
    assert_eq!(refused(&memory, request("GET-LOG", &[("limit", "x")], &[])).0, 400);
    assert_eq!(ask(&memory, request("GET-MGMT-NODES", &[], &[])).body, Value::List(vec![]));
}

// ----- the service -----

type Sent = Arc<Mutex<Vec<(String, Response)>>>;

fn service() -> (Arc<Service<Memory>>, Sent) {
    service_of(Memory::default())
}

fn service_of(memory: Memory) -> (Arc<Service<Memory>>, Sent) {
    let sent = Sent::default();
    let outlet = Arc::clone(&sent);
    let service = Service::new(
        Arc::new(memory),
        tokio::runtime::Handle::current(),
        Arc::new(move |to: &str, octets: Bytes| {
            outlet.lock().unwrap().push((to.to_owned(), Response::decode(&octets).unwrap()));
        }),
    );
    (service, sent)
}

fn delivery(octets: &[u8], holder: &Arc<Holder>) -> Arc<Delivery> {
    let message = Message { sections: Bytes::copy_from_slice(octets), ..Message::default() };
    Delivery::whole(message, Bytes::new(), holder)
}

/// Lets what was spawned run until nothing more happens.
async fn settle() {
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
    }
}

fn addressed(to: &str) -> Request {
    Request { reply_to: Some(to.to_owned()), ..request("GET-MGMT-NODES", &[], &[]) }
}

#[tokio::test]
async fn a_delivery_is_accepted_and_answered() {
    let (service, sent) = service();
    let holder = Holder::new(&Account::new(1 << 30), Class::Router);
    let octets = addressed("me").encode();
    let whole = delivery(&octets, &holder);
    // In pieces, as a large message comes.
    let pieces = Delivery::new(
        Message { sections: Bytes::copy_from_slice(&octets[..20]), ..Message::default() },
        &holder,
    );
    service.deliver(Arc::clone(&whole));
    service.deliver(Arc::clone(&pieces));
    settle().await;
    assert_eq!(sent.lock().unwrap().len(), 1);
    pieces.push(Bytes::copy_from_slice(&octets[20..]));
    pieces.end(crate::core::Ended::Complete);
    settle().await;
    let sent = sent.lock().unwrap();
    assert_eq!(
        sent.iter().map(|(to, response)| (to.as_str(), response.status)).collect::<Vec<_>>(),
        [("me", Status::OK); 2]
    );
    assert_eq!(whole.progress().outcome, Some(DeliveryState::Accepted));
    assert_eq!(pieces.progress().outcome, Some(DeliveryState::Accepted));
}

#[tokio::test]
async fn what_is_no_request_is_rejected() {
    let (service, sent) = service();
    let holder = Holder::new(&Account::new(1 << 30), Class::Router);
    let nameless = delivery(&request("GET-TYPES", &[], &[]).encode(), &holder);
    let noise = delivery(b"noise", &holder);
    let large = delivery(
        &addressed("me").with_body(Value::String("x".repeat(300 * 1024))).encode(),
        &holder,
    );
    for delivery in [&nameless, &noise, &large] {
        service.deliver(Arc::clone(delivery));
    }
    settle().await;
    for delivery in [&nameless, &noise, &large] {
        assert!(
            matches!(delivery.progress().outcome, Some(DeliveryState::Rejected(_))),
            "{:?}",
            delivery.progress()
        );
    }
    let sent = sent.lock().unwrap();
    assert_eq!(
        sent.iter().map(|(_, response)| response.status).collect::<Vec<_>>(),
        [Status::BAD_REQUEST]
    );
}

#[tokio::test]
async fn a_flood_is_refused_with_a_status() {
    let (service, sent) = service();
    let holder = Holder::new(&Account::new(1 << 30), Class::Router);
    let octets = addressed("me").encode();
    // None is carried out before all are there.
    let deliveries: Vec<_> = (0..600).map(|_| delivery(&octets, &holder)).collect();
    for delivery in &deliveries {
        service.deliver(Arc::clone(delivery));
    }
    settle().await;
    let count = |status| {
        sent.lock().unwrap().iter().filter(|(_, response)| response.status == status).count()
    };
    assert_eq!((count(Status::OK), count(Status::UNAVAILABLE)), (512, 88));
    service.deliver(delivery(&octets, &holder));
    settle().await;
    assert_eq!(count(Status::OK), 513);
}
