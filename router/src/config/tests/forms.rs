//! The two forms of a configuration text.

use super::*;

#[test]
fn the_conf_form_is_read() {
    let config = conf(
        "\
# comment
router {
    mode: interior   # more comment
    id: north
}
ssl-profile {
    name: p
    ca_cert_file: /x/ca.crt
}

listener {
    host: 0.0.0.0
    port: 5672
    sasl_mechanisms: ANONYMOUS
    ssl-profile: p
    authenticatePeer: no
    openProperties: {
        # a comment line
        \"a\": \"x # y }\",
        \"b\": {\"c\": [1, 2,]},
    }
}
address {
    pattern: a/#/b   c
    distribution: closest
}
autoLink {
    direction: in
    address: q
}",
    )
    .expect("sound");
    assert_eq!(config.router.id, "north");
    assert_eq!(config.all::<Listener>()[0].ssl_profile.as_deref(), Some("p"));
    let properties = config.all::<Listener>()[0].open_properties.clone().map(Json::Object);
    assert_eq!(properties, Some(json!({"a": "x # y }", "b": {"c": [1, 2]}})));
    assert_eq!(config.all::<AddressConfig>()[0].matches, AddressMatch::Pattern("a/#/b".to_owned()));
    assert_eq!(config.all::<AddressConfig>()[0].distribution, Distribution::Closest);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn values_of_the_conf_form_are_json_strings_inside() {
    let metadata = |value: &str| {
        conf(&format!("router {{\n id: a\n metadata: {value}\n}}"))
            .map(|config| config.router.metadata)
    };
    assert_eq!(metadata(r"a\tb\u00e9").expect("sound").as_deref(), Some("a\tb\u{e9}"));
    assert_eq!(metadata(r#"\"a\" \\"#).expect("sound").as_deref(), Some(r#""a" \"#));
    assert_eq!(metadata("a: b:c").expect("sound").as_deref(), Some("a: b:c"));
    for wrong in [r#"a"b"#, r"a\q", r"a\"] {
        assert!(
            told(metadata(wrong))
                .starts_with("a.conf: line 3: the value of 'metadata' has a bare `\""),
            "{wrong}"
        );
    }
}

#[test]
fn nested_maps_are_read() {
    let config = conf(
        "\
vhost {
    hostname: h#1
    groups: {
        \"$default\": {
            \"users\": \"*\",
            \"remoteHosts\": \"*\",
        },
    }
}",
    )
    .expect("sound");
    let vhost = config.entities.iter().map(|configured| &configured.entity);
    let vhost = vhost.into_iter().find(|entity| entity.kind() == EntityKind::Vhost).expect("there");
    assert_eq!(vhost.text("hostname"), Some("h#1"));
    assert_eq!(
        vhost.value("groups").map(|groups| groups.to_json()),
        Some(json!({"$default": {"users": "*", "remoteHosts": "*"}}))
    );
}

#[test]
fn syntax_errors_name_the_line() {
    for (text, expected) in [
        ("", "a.conf: the file is empty"),
        ("# only\n# comments\n", ""),
        ("router {\n  id: a\n", "a.conf: line 1: 'router' is opened here and never closed"),
        (
            "router {\n  id a\n}",
            "a.conf: line 2: expected `name: value` or `}` in 'router', and found 'id a'",
        ),
        ("router {\n  id:\n}", "a.conf: line 2: attribute 'id' has no value"),
        ("router {\n  id: # a\n}", "a.conf: line 2: attribute 'id' has no value"),
        (
            "router\n{\n}",
            "a.conf: line 1: expected the beginning of a section, such as `listener \
             {`, and found 'router'",
        ),
        (
            "router {\n} }",
            "a.conf: line 2: expected `name: value` or `}` in 'router', and found '} }'",
        ),
        (
            "listener {\n openProperties: {\n \"a\": b\n }\n}",
            "a.conf: line 3: attribute 'openProperties' is not JSON: expected value",
        ),
        (
            "listener {\n openProperties: {\n \"a\": 1\n",
            "a.conf: line 2: 'openProperties' is opened here and never closed",
        ),
        ("listener {\n i/d: a\n}", "a.conf: line 2: 'i/d' is no name of an attribute"),
        ("\n\nlistner {\n}", "a.conf: line 3: unknown entity 'listner' (did you mean 'listener'?)"),
        (
            "connection {\n}",
            "a.conf: line 1: entity 'connection' cannot be configured: the router makes it",
        ),
    ] {
        match expected {
            "" => assert!(conf(text).is_ok(), "{text}"),
            expected => assert_eq!(told(conf(text)), expected, "{text}"),
        }
    }
    for (text, expected) in [
        ("[", "a.json: line 1: column 1: not JSON: EOF while parsing a list"),
        ("[\n[\"router\" {}]]", "a.json: line 2: column 11: not JSON: expected `,` or `]`"),
        (
            "{}",
            "a.json: line 1: column 0: not a configuration: invalid type: map, expected a sequence",
        ),
        (
            "[[\"router\"]]",
            "a.json: line 1: column 11: not a configuration: invalid length 1, expected an array \
             of the type of an entity and its attributes",
        ),
        (
            "[[\"router\", []]]",
            "a.json: line 1: column 12: not a configuration: invalid type: sequence, expected a \
             map of attributes",
        ),
        (
            "[[\"router\", {}, 1]]",
            "a.json: line 1: column 18: not a configuration: invalid length 3, expected an array \
             of the type of an entity and its attributes",
        ),
        ("router {\n}", "a.json: line 1: column 1: not JSON: expected value"),
        ("[[\"rooter\", {}]]", "a.json: unknown entity 'rooter' (did you mean 'router'?)"),
    ] {
        assert_eq!(told(json_text(text)), expected, "{text}");
    }
}

#[test]
fn nesting_is_bounded() {
    let deep = format!("router {{\n{}", "a: {\n".repeat(100_000));
    assert!(told(conf(&deep)).contains("nest more than"));
    assert!(
        told(json_text(&format!("[[\"router\", {{\"id\": {}", "[".repeat(100_000))))
            .contains("recursion limit")
    );
    let deep = format!("listener {{\n openProperties: {{\n\"a\": {}\n }}\n}}", "[".repeat(100_000));
    assert!(conf(&deep).is_err());
}

#[test]
fn size_is_bounded() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("large.conf");
    std::fs::write(&path, vec![b'#'; 17 << 20]).expect("written");
    assert!(told(Config::load(&path)).ends_with("cannot be read: larger than 16 MiB"));
    assert!(told(Config::load(folder.path())).contains("cannot be read: "));
    assert!(told(Config::load(&folder.path().join("gone"))).contains("cannot be read: "));
    std::fs::write(&path, [0xff, 0xfe]).expect("written");
    assert!(told(Config::load(&path)).contains("cannot be read: "));
}
