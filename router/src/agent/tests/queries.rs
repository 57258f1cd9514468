//! QUERY.

use super::*;

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
