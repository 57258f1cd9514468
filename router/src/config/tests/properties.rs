//! Rules that hold of any text.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A value that an attribute takes, as text.
fn taken(kind: ValueType) -> BoxedStrategy<String> {
    match kind {
        ValueType::Boolean => {
            prop::sample::select(vec!["yes", "no", "TRUE", "off"]).prop_map(str::to_owned).boxed()
        }
        ValueType::Integer => (1..10i64).prop_map(|number| number.to_string()).boxed(),
        ValueType::Enum(words) => prop::sample::select(words).prop_map(str::to_owned).boxed(),
        _ => "[ -~\u{e9}]{0,12}[!-~]"
            .prop_filter("begins with something", |text| !text.starts_with([' ', '{']))
            .boxed(),
    }
}

/// A section of any configuration type with some of its attributes.
fn section() -> impl Strategy<Value = (String, BTreeMap<String, String>)> {
    let kinds: Vec<_> = EntityKind::all().filter(|kind| kind.is_configuration()).collect();
    prop::sample::select(kinds).prop_flat_map(|kind| {
        let scalar = |attribute: &&Attribute| {
            !matches!(attribute.kind, ValueType::Map | ValueType::Properties | ValueType::List)
        };
        let attributes: Vec<_> = kind.own_attributes().iter().filter(scalar).collect();
        let most = attributes.len().min(4);
        let some = prop::sample::subsequence(attributes, 0..=most).prop_flat_map(|attributes| {
            attributes
                .into_iter()
                .map(|attribute| (Just(attribute.name.to_owned()), taken(attribute.kind)))
                .collect::<Vec<_>>()
        });
        (Just(kind.section().to_owned()), some.prop_map(BTreeMap::from_iter))
    })
}

fn sections() -> impl Strategy<Value = Vec<(String, BTreeMap<String, String>)>> {
    prop::collection::vec(section(), 0..6)
}

/// Writes what the `.conf` reader must read back: quotes, backslashes and hashes escaped as JSON
/// does.
fn written(sections: &[(String, BTreeMap<String, String>)]) -> String {
    let mut text = String::new();
    for (kind, attributes) in sections {
        text += &format!("{kind} {{\n");
        for (name, value) in attributes {
            let mut value = value.replace('\\', r"\\").replace('"', "\\\"").replace('#', r"\u0023");
            if name == "pattern" || name == "hostname" {
                value = value.replace(' ', r"\u0020");
            }
            text += &format!("  {name}: {value}  # comment\n");
        }
        text += "}\n";
    }
    text
}

proptest! {
    #[test]
    fn no_text_makes_a_reader_panic(text in any::<String>()) {
        _ = conf(&text);
        _ = json_text(&text);
    }

    #[test]
    fn no_text_near_a_configuration_makes_a_reader_panic(
        lines in prop::collection::vec(
            prop_oneof![
                Just("router {"), Just("listener {"), Just("}"), Just("},"),
                    Just("openProperties: {"), Just("groups: {"),
                Just("\"a\": {"), Just("\"a\": \"}\","), Just("id: a\\"), Just("port: 5672 # x"),
                    Just("pattern: #"), Just("$x: {"),
                Just("a: {"), Just("\""), Just("\\"), Just("{"), Just(":"), Just("name: \"\u{e9}"),
                    Just("host:\u{a0}x"),
            ],
            0..20,
        ),
    ) {
        let text = lines.join("\n");
        if let Err(error) = conf(&text) {
            prop_assert!(!error.to_string().contains('\n'));
        }
    }

    #[test]
    fn json_of_any_shape_makes_no_panic(
        kind in prop::sample::select(vec!["router", "listener", "sslProfile", "tcpListener",
            "log"]),
        name in prop::sample::select(vec!["id", "name", "port", "cost", "openProperties",
            "password", "idleTimeoutSeconds", "module"]),
        value in prop_oneof![any::<i64>().prop_map(|number| json!(number)),
            any::<String>().prop_map(|text| json!(text)),
            any::<String>().prop_map(|text| json!({ text: [null, 1.5] })),
                any::<bool>().prop_map(|flag| json!(flag))],
    ) {
        if let Err(error) = entities(json!([[kind, {name: value}]])) {
            prop_assert!(!error.to_string().contains('\n'), "{}", error);
        }
    }

    #[test]
    fn what_is_written_is_read(sections in sections()) {
        let read = conf::sections("a.conf", &written(&sections)).expect("sound");
        prop_assert_eq!(read.len(), sections.len());
        for (read, (kind, attributes)) in read.iter().zip(&sections) {
            prop_assert_eq!(&read.kind, kind);
            let read: BTreeMap<_, _> = read.attributes.iter().map(|(name, value)| (name.clone(),
                value.as_str().unwrap_or_default().to_owned())).collect();
            prop_assert_eq!(&read, attributes);
        }
    }

    #[test]
    fn both_forms_mean_the_same(sections in sections()) {
        let as_json: Vec<_> = sections.iter().map(|(kind, attributes)| json!([kind,
            attributes])).collect();
        let from_conf = match &sections[..] {
            [] => entities(json!([])),
            sections => conf(&written(sections)),
        };
        let from_json = entities(Json::Array(as_json));
        match (from_conf, from_json) {
            (Ok(conf), Ok(json)) => prop_assert_eq!(format!("{:?}", conf.entities), format!("{:?}",
                json.entities)),
            (Err(conf), Err(json)) => {
                let tail = |error: ConfigError| error.to_string().split_once(": ").map(|(_,
                    tail)| tail.to_owned());
                prop_assert_eq!(tail(conf), tail(json));
            }
            (conf, json) => prop_assert!(false, "{:?} and {:?}", conf.err(), json.err()),
        }
    }

    #[test]
    fn expansion_without_variables_changes_nothing(text in any::<String>()) {
        prop_assert_eq!(launch::expand(&text, |_| None), text);
    }
}
