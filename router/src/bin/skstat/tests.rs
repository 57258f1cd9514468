//! Tests of tables. `tests/answers.json` holds responses of C routers with some odd entities, and
//! `tests/tables.txt` the tables that the C router's own tool prints of them.

use std::collections::BTreeMap;

use skupper_proto::management::Table;

use super::answers::Entities;
use super::{cell, *};
use crate::bin::tools::json::from_json;

fn answers() -> Answers {
    answers_with("")
}

/// Returns the responses with `behind` appended to each text that may come from a peer.
fn answers_with(behind: &str) -> Answers {
    fn extend(json: &mut Json, behind: &str) {
        match json {
            Json::String(text) => text.push_str(behind),
            Json::Array(items) => items.iter_mut().for_each(|item| extend(item, behind)),
            Json::Object(members) => members.values_mut().for_each(|member| extend(member, behind)),
            _ => {}
        }
    }
    let Json::Object(mut all) = serde_json::from_str(include_str!("tests/answers.json")).unwrap()
    else {
        panic!("no object")
    };
    for (key, answer) in all.iter_mut().filter(|(key, _)| *key != "schema") {
        extend(if key == "log" { answer } else { &mut answer["results"] }, behind);
    }
    let mut answers = Answers::default();
    for key in [
        "router",
        "routerMetrics",
        "network",
        "connections",
        "links",
        "nodes",
        "addresses",
        "memory",
        "policy",
    ]
    .into_iter()
    .chain(["autoLinks", "vhosts", "vhostStats"])
    {
        answers.add(key, Entities::from(Table::from_body(from_json(&all[key])).unwrap()));
    }
    answers.add("log", Entities::from_log(from_json(&all["log"])));
    answers.add("schema", Entities::from_schema(from_json(&all["schema"])));
    answers
}

fn show(line: &str) -> Show {
    match arguments::read(line.split(' ').filter(|word| !word.is_empty()).map(OsString::from))
        .unwrap()
    {
        arguments::Wish::Show(arguments) => arguments.show,
        arguments::Wish::Print(text) => panic!("{text}"),
    }
}

#[test]
fn tables_are_those_of_the_c_router() {
    let mut expected: Vec<(&str, String)> = Vec::new();
    for line in include_str!("tests/tables.txt").lines() {
        match line.strip_prefix("=== ") {
            Some(options) => expected.push((options, String::new())),
            None => expected.last_mut().unwrap().1.extend([line, "\n"]),
        }
    }
    assert_eq!(expected.len(), 31);
    let answers = answers();
    for (options, table) in expected {
        assert_eq!(text(&show(options), &answers, &TimeZone::UTC), table, "skstat {options}");
    }
}

#[test]
fn what_peers_say_is_shown_and_not_obeyed() {
    let (hostile, harmless) =
        (answers_with("\u{1b}[2J\r\n\u{9b}31m\u{202e}\u{7f}\u{feff}"), answers_with("x"));
    for options in
        include_str!("tests/tables.txt").lines().filter_map(|line| line.strip_prefix("=== "))
    {
        let shown = text(&show(options), &hostile, &TimeZone::UTC);
        assert!(
            !shown.contains(|c| c != '\n' && crate::text::is_obeyed(c)),
            "skstat {options}: {shown:?}"
        );
        let lines = text(&show(options), &harmless, &TimeZone::UTC).lines().count();
        assert_eq!(shown.lines().count(), lines, "skstat {options}: a line was forged: {shown}");
    }
    let document =
        json::for_terminal(&json::text(&of_router(Some("\u{9b}".to_owned()), &hostile), Some(2)));
    assert!(!document.contains(|c| c != '\n' && crate::text::is_obeyed(c)), "{document:?}");
    let other =
        json::for_terminal(&format!("{:#}", json!({ "a\u{9b}": "b\u{202e}\u{1b}\n\u{e0041}é" })));
    assert_eq!(other, "{\n  \"a\\u009b\": \"b\\u202e\\u001b\\n\\udb40\\udc41é\"\n}");
}

#[test]
fn what_there_is_none_of_is_said() {
    let mut none = Answers::default();
    for key in [
        "connections",
        "nodes",
        "autoLinks",
        "memory",
        "policy",
        "vhosts",
        "vhostStats",
        "links",
        "addresses",
        "router",
    ] {
        none.add(key, Entities::default());
    }
    for (options, line) in [
        ("-e", "No Edge Router Connections"),
        ("-n", "Router is Standalone - No Router List"),
        ("--autolinks", "AutoLinks\nNo AutoLinks found"),
        ("-m", "No memory statistics available"),
        ("--vhosts", "No Vhosts"),
        ("--vhostgroups", "No Vhosts"),
        ("--vhoststats", "No Vhost Stats"),
        ("-c", "Connections"),
        ("-l", "Router Links"),
        ("-a", "Router Addresses"),
        ("-p", "No policy"),
        ("-g", "No router statistics available"),
    ] {
        assert_eq!(text(&show(options), &none, &TimeZone::UTC), format!("{line}\n"), "{options}");
    }
}

#[test]
fn answers_of_another_form_are_shown_as_far_as_they_go() {
    // Columns are missing, values have other types, and rows are short.
    let body = from_json(
        &json!({ "attributeNames": ["identity", "host", "uptimeSeconds"], "results": [["1"], [2,
            null, "x", 4]] }),
    );
    let mut odd = Answers::default();
    for key in [
        "connections",
        "links",
        "nodes",
        "addresses",
        "memory",
        "policy",
        "autoLinks",
        "vhosts",
        "vhostStats",
        "router",
    ] {
        odd.add(key, Entities::from(Table::from_body(body.clone()).unwrap()));
    }
    odd.add("routerMetrics", Entities::from(Table::from_body(body).unwrap()));
    odd.add(
        "log",
        Entities::from_log(from_json(&json!([
            [],
            "x",
            ["M", "info", "t", null, null, "now"],
            ["M", "info", "t", 1, 2, 1e300]
        ]))),
    );
    odd.add("schema", Entities::from_schema(Value::Null));
    for options in [
        "-g",
        "-c",
        "-l -v",
        "-n -v",
        "-e",
        "-a -v",
        "-m",
        "-p",
        "--autolinks",
        "--vhosts",
        "--vhostgroups",
        "--vhoststats",
    ] {
        assert!(
            !text(&show(options), &odd, &TimeZone::UTC).is_empty() || options == "-e",
            "{options}"
        );
    }
    assert_eq!(text(&show("--log"), &odd, &TimeZone::UTC).lines().nth(2), Some(" M (info) t"));
}

#[test]
fn cells() {
    for (number, expected) in [
        (0, "0"),
        (1023, "1023"),
        (1024, "1.00 KiB"),
        (10_239, "10.00 KiB"),
        (10_240, "10.0 KiB"),
        (102_400, "100 KiB"),
    ]
    .into_iter()
    .chain([(1 << 20, "1.00 MiB"), (u64::MAX, "16384 PiB"), (30_500_000, "29.1 MiB")])
    {
        assert_eq!(cell::size(&Value::Ulong(number)), expected);
    }
    for (number, expected) in
        [("", ""), ("1", "1"), ("999", "999"), ("1000", "1,000"), ("1234567", "1,234,567")]
    {
        assert_eq!(cell::commas(number), expected);
    }
    assert_eq!(cell::long_time(&Value::Ulong(u64::MAX)), "213503982334601:07:00:15");
    assert_eq!(cell::short_time(&Value::Uint(360_000)), "100:00:00");
    let value = Value::List(vec![
        Value::Null,
        Value::Bool(true),
        "it's".into(),
        "\"'\n\u{7}".into(),
        Value::Double(1.0),
        7_i64.into(),
    ]);
    assert_eq!(cell::text(&value), r#"[None, True, "it's", '"\'\n\x07', 1.0, 7]"#);
    assert_eq!(cell::text(&Value::Map(vec![("a".into(), Value::Uint(1))])), "{'a': 1}");
    assert_eq!(cell::plain(&Value::Null), "None");
}

#[test]
fn json_has_every_attribute_that_is_set() {
    let document = of_router(Some("north".to_owned()), &answers());
    assert_eq!(document["id"], "north");
    assert_eq!(document["connections"][0]["container"], "south");
    assert!(document["connections"][2].get("lastDlvSeconds").is_none());
    assert_eq!(document["log"][1]["line"], 712);
    assert!(document.get("schema").is_none());
}

#[test]
fn questions_have_keys_of_their_own() {
    let mut seen = BTreeMap::new();
    for view in [
        View::General,
        View::Connections,
        View::Links,
        View::Nodes,
        View::Edges,
        View::Addresses,
        View::Memory,
    ]
    .into_iter()
    .chain([
        View::Policy,
        View::AutoLinks,
        View::Vhosts,
        View::VhostGroups,
        View::VhostStats,
        View::Log,
    ]) {
        for question in view.questions() {
            // Views share responses by their keys.
            let text = format!("{question:?}");
            assert_eq!(*seen.entry(question.key()).or_insert_with(|| text.clone()), text);
        }
    }
    assert!(View::AllEntities.parts().iter().all(|view| !view.questions().is_empty()));
}

#[test]
fn options_are_read() {
    assert_eq!(show("").view, View::General);
    assert_eq!(show("--conn --limit=0 --csv").view, View::Connections);
    assert_eq!(show("-l --limit 7").limit, Some(7));
    assert_eq!(show("-l --limit -7").limit, None);
    assert!(show("-vvl --json").json && show("-vvl").verbose);
    let refused = |line: &str| {
        let read = arguments::read(line.split(' ').map(OsString::from));
        read.unwrap_err().to_string().lines().last().unwrap_or_default().to_owned()
    };
    for (line, problem) in [
        ("-l -c", "argument -c/--connections: not allowed with argument -l/--links"),
        ("-r A --all-routers", "argument --all-routers: not allowed with argument -r/--router"),
        ("-r A -d B", "argument -d/--edge-router: not allowed with argument -r/--router"),
        ("--limit x", "argument --limit: invalid int value: 'x'"),
        ("--limit", "argument --limit: expected one argument"),
        ("--bus --csv", "argument -b/--bus: expected one argument"),
        ("-t soon", "argument -t/--timeout: invalid float value: 'soon'"),
        ("-t -1", "argument -t/--timeout: invalid float value: '-1'"),
        ("-t nan", "argument -t/--timeout: invalid float value: 'nan'"),
        ("foo", "unrecognized arguments: foo"),
        ("--foo", "unrecognized arguments: --foo"),
        ("-x", "unrecognized arguments: -x"),
        ("--vhost", "ambiguous option: --vhost could match --vhosts, --vhostgroups, --vhoststats"),
        ("--csv --json", "argument --json: not allowed with argument --csv"),
    ] {
        assert_eq!(refused(line), format!("skstat: error: {problem}"), "{line}");
    }
    let help = arguments::read(["--he".into()]).unwrap();
    assert!(matches!(help, arguments::Wish::Print(text) if text.starts_with("usage: skstat")
            && text.contains("--all-entities")));
}
