//! Tests of `skmanage`: command lines and their requests.

use std::ffi::OsString;

use serde_json::{Value as Json, json};
use skupper_proto::amqp::Value;
use skupper_proto::management::Request;

use super::arguments::{self, Wish};
use super::{Prepared, prepare};
use crate::bin::tools::json;

fn read(words: &[&str]) -> Result<Wish, String> {
    arguments::read(words.iter().map(OsString::from)).map_err(|error| error.to_string())
}

fn request(line: &str) -> Request {
    match read(&line.split(' ').collect::<Vec<_>>()).unwrap() {
        Wish::Work(work) => match prepare(work.operation).unwrap() {
            Prepared::One(request, ..) => request,
            Prepared::Query(..) | Prepared::List(..) => panic!("{line}"),
        },
        Wish::Print(text) => panic!("{text}"),
    }
}

/// Returns a request as JSON.
fn said(request: &Request) -> Json {
    let mut properties = serde_json::Map::new();
    for (name, value) in &request.properties {
        properties.insert(name.clone(), json::to_json(value));
    }
    json!([request.operation, properties, json::to_json(&request.body)])
}

#[test]
fn requests_are_made() {
    for (line, expected) in [
        (
            "create --type tcpListener --name x address=svc port=8080 backlog=5 \
             authenticatePeer=false host",
            json!(["CREATE", {"type": "io.skupper.router.tcpListener", "name": "x"},
                   {"address": "svc", "port": "8080", "backlog": 5, "authenticatePeer": false,
                       "host": null}]),
        ),
        // Without a known type no attribute is known to be an integer.
        (
            "CREATE type=dummy name=d num1=5 arg1=a=b",
            json!(["CREATE", {"type": "io.skupper.router.dummy", "name": "d"},
                   {"type": "io.skupper.router.dummy", "name": "d", "num1": "5", "arg1": "a=b"}]),
        ),
        (
            "update --type log --name log/DEFAULT enable=debug+ includeSource=yes",
            json!(["UPDATE", {"type": "io.skupper.router.log", "name": "log/DEFAULT"},
                {"enable": "debug+", "includeSource": true}]),
        ),
        (
            "update identity=dummy/1 name=d arg1=x",
            json!(["UPDATE", {"identity": "dummy/1"}, {"identity": "dummy/1", "name": "d",
                "arg1": "x"}]),
        ),
        ("read --name x --identity y", json!(["READ", {"identity": "y"}, null])),
        (
            "read --id=y --type link",
            json!(["READ", {"type": "io.skupper.router.router.link", "identity": "y"}, null]),
        ),
        (
            "delete --type=autoLink --name n",
            json!(["DELETE", {"type": "io.skupper.router.router.config.autoLink", "name": "n"},
                null]),
        ),
        (
            "get-types listener",
            json!(["GET-TYPES", {"type": "org.amqp.management", "name": "self",
                "entityType": "listener"}, null]),
        ),
        (
            "get-attributes --type listener",
            json!(["GET-ATTRIBUTES",
                   {"type": "org.amqp.management", "name": "self",
                       "entityType": "io.skupper.router.listener"}, null]),
        ),
        (
            "get-mgmt-nodes",
            json!(["GET-MGMT-NODES", {"type": "org.amqp.management", "name": "self"}, null]),
        ),
        ("get-log limit=5", json!(["get-log", {"limit": "5"}, null])),
        (
            concat!(
                r#"callme --type dummy --name d --properties {"x":1,"name":"no","y":null} "#,
                r#"--body {"a":[1,2.5]}"#
            ),
            json!(["callme", {"type": "io.skupper.router.dummy", "name": "d", "x": 1},
                {"a": [1, 2.5]}]),
        ),
        ("callme --body plain", json!(["callme", {}, "plain"])),
        ("callme --body {}", json!(["callme", {}, null])),
    ] {
        assert_eq!(said(&request(line)), expected, "{line}");
    }
}

#[test]
fn a_query_names_its_type_and_attributes() {
    let Wish::Work(work) =
        read(&["--indent", "-1", "QUERY", "name", "--type=address", "prefix"]).unwrap()
    else {
        panic!("no work")
    };
    assert_eq!(work.arguments.indent, None);
    match prepare(work.operation).unwrap() {
        Prepared::Query(entity_type, attributes) => {
            assert_eq!(entity_type.as_deref(), Some("io.skupper.router.router.config.address"));
            assert_eq!(attributes, ["name", "prefix"]);
        }
        _ => panic!("no query"),
    }
}

#[test]
fn what_means_nothing_is_refused() {
    for (line, problem) in [
        ("", "skmanage: error: No operation specified"),
        ("read foo", "skmanage: error: Unexpected arguments: foo"),
        ("get-types a b", "skmanage: error: Unexpected arguments: b"),
        ("get-mgmt-nodes a", "skmanage: error: Unexpected arguments: a"),
        ("query --node south", "skmanage: error: unrecognized arguments: --node"),
        ("query --indent x", "skmanage: error: argument --indent: invalid int value: 'x'"),
        (
            "create --type nosuch a=b",
            "ValidationError: No such entity type 'io.skupper.router.nosuch'",
        ),
        (
            "create --type connector colour=red",
            "ValidationError: Unknown attribute 'colour' for 'io.skupper.router.connector'",
        ),
        (
            "create --type connector cost=dear",
            "ValueError: invalid literal for int() with base 10: 'dear'",
        ),
        (
            "create --type connector cost=9223372036854775808",
            "ValueError: invalid literal for int() with base 10: '9223372036854775808'",
        ),
        ("x --body [", "ValueError: Invalid JSON '[': EOF while parsing a list at line 1 column 1"),
        ("x --properties 5", "ValueError: --properties is not a JSON map"),
    ] {
        let words: Vec<_> = line.split(' ').filter(|word| !word.is_empty()).collect();
        assert_eq!(read(&words).unwrap_err().lines().last(), Some(problem), "{line}");
    }
}

#[test]
fn json_is_written_as_the_c_routers_tool_writes_it() {
    let value = json!({"a": [], "b": {}, "ü\u{1f600}": [1, [2], {"c": null}],
        "d": "\"\\\n\u{1}\u{7f}", "e": 1.5, "f": true});
    assert_eq!(
        json::text(&value, None),
        "{\"a\": [], \"b\": {}, \"\\u00fc\\ud83d\\ude00\": [1, [2], {\"c\": null}], \
         \"d\": \"\\\"\\\\\\n\\u0001\u{7f}\", \"e\": 1.5, \"f\": true}"
    );
    assert_eq!(
        json::text(&json!({"a": [1, {}], "b": {"c": 2}}), Some(2)),
        "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": {\n    \"c\": 2\n  }\n}"
    );
    assert_eq!(json::text(&json!([[1], 2]), Some(0)), "[\n[\n1\n],\n2\n]");
    assert_eq!(json::text(&json!([]), Some(2)), "[]");
}

#[test]
fn values_go_both_ways() {
    let value = json!({"n": 5, "big": u64::MAX, "f": 0.5, "t": "x", "l": [null, true]});
    assert_eq!(json::to_json(&json::from_json(&value)), value);
    let pairs = vec![
        ("k".into(), 1_i64.into()),
        (Value::symbol("k"), 2_i64.into()),
        (Value::Uint(3), Value::Double(f64::NAN)),
    ];
    assert_eq!(json::to_json(&Value::Map(pairs)), json!({"k": 2, "3": null}));
    assert_eq!(json::to_json(&Value::Uuid([0x11; 16])), "11111111-1111-1111-1111-111111111111");
}
