//! The schema, the log and the network, as management tells them.

use super::*;

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
        assert_eq!(super::super::value::from_json(&parsed), schema);
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
