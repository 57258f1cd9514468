use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::launch::{self, LaunchError};
use super::*;
use crate::schema::reference::render;
use crate::schema::typed::AddressMatch;
use crate::schema::{Attribute, Distribution, Effect, Kind, Role};

fn conf(text: &str) -> Result<Config, ConfigError> {
    Config::read(
        &[Document { name: "a.conf".to_owned(), text: text.to_owned(), format: Format::Conf }],
        1,
    )
}

fn json_text(text: &str) -> Result<Config, ConfigError> {
    Config::read(
        &[Document { name: "a.json".to_owned(), text: text.to_owned(), format: Format::Json }],
        1,
    )
}

fn entities(value: Json) -> Result<Config, ConfigError> {
    json_text(&value.to_string())
}

fn told<T>(result: Result<T, ConfigError>) -> String {
    let Err(error) = result else { panic!("a mistake was expected") };
    let told = error.to_string();
    assert!(!told.contains('\n'), "more than one line: {told}");
    told
}

fn committed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config").join(name)
}

#[test]
fn a_controller_s_file_is_read() {
    let config = json_text(
        r##"[
            # the router
            ["router", {"id": "east-1", "mode": "interior", "helloMaxAgeSeconds": "3", "metadata": "{\"id\":\"x\"}"}],
            ["connector", {"name": "link-1", "role": "inter-router", "host": "a.example.com", "port": "55671", "cost": 1,
                           "sslProfile": "link-1-profile"}],
            ["sslProfile", {"name": "link-1-profile", "certFile": "/c/tls.crt", "privateKeyFile": "/c/tls.key",
                            "caCertFile": "/c/ca.crt", "ordinal": 1}],
            ["listener", {"name": "@9090", "role": "normal", "port": 9090, "http": true, "httpRootDir": "disabled",
                          "healthz": true, "metrics": true}],
            ["listener", {"name": "amqp", "host": "localhost", "port": 5672}],
            ["address", {"prefix": "mc", "distribution": "multicast"}],
            ["tcpListener", {"name": "listener/backend", "port": "1024", "address": "backend", "siteId": "x", "observer": "auto"}],
            ["tcpConnector", {"name": "connector/backend@10.1.2.3", "host": "10.1.2.3", "port": "8080", "address": "backend"}],
            ["log", {"module": "ROUTER_CORE", "enable": "error+"}],
            ["site", {"name": "x", "platform": "kubernetes"}]
        ]"##,
    )
    .expect("sound");
    assert_eq!(config.router.metadata.as_deref(), Some(r#"{"id":"x"}"#));
    assert_eq!(config.connectors[0].role, Role::InterRouter);
    assert_eq!(config.ssl_profile("link-1-profile").expect("there").ordinal, 1);
    assert!(config.listeners[0].http.is_some() && config.listeners[1].http.is_none());
    assert_eq!(config.addresses[0].matches, AddressMatch::Prefix("mc".to_owned()));
    assert_eq!(config.tcp_listeners[0].name, "listener/backend");
    assert_eq!(config.tcp_connectors[0].host_port(), "10.1.2.3:8080");
    assert_eq!(config.logs.len(), 1);
    assert_eq!(config.site.expect("there").platform.as_deref(), Some("kubernetes"));
    // Observers and folders are named with what is in force anyway; only the ordinal waits for its
    // time.
    assert_eq!(
        config.warnings,
        ["a.json: sslProfile 'link-1-profile': attribute 'ordinal' has no effect yet"]
    );
}

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
    assert_eq!(config.listeners[0].ssl_profile.as_deref(), Some("p"));
    let properties = config.listeners[0].open_properties.clone().map(Json::Object);
    assert_eq!(properties, Some(json!({"a": "x # y }", "b": {"c": [1, 2]}})));
    assert_eq!(config.addresses[0].matches, AddressMatch::Pattern("a/#/b".to_owned()));
    assert_eq!(config.addresses[0].distribution, Distribution::Closest);
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
    let vhost =
        config.entities.iter().find(|entity| entity.kind() == EntityKind::Vhost).expect("there");
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
            "a.conf: line 1: expected the beginning of a section, such as `listener {`, and found 'router'",
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
            "a.json: line 1: column 11: not a configuration: invalid length 1, expected an array of the type of an entity and its attributes",
        ),
        (
            "[[\"router\", []]]",
            "a.json: line 1: column 12: not a configuration: invalid type: sequence, expected a map of attributes",
        ),
        (
            "[[\"router\", {}, 1]]",
            "a.json: line 1: column 18: not a configuration: invalid length 3, expected an array of the type of an entity and its attributes",
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

#[test]
fn mistakes_name_file_entity_and_attribute() {
    for (given, expected) in [
        (
            json!([["listener", {"name": "site", "cost": 0}]]),
            "a.json: listener 'site': attribute 'cost': 0 is out of range, allowed is 1 to 2147483647",
        ),
        (
            json!([["listener", {}], ["listener", {"port": 1, "colour": 1}]]),
            "a.json: listener #2: attribute 'colour': no such attribute",
        ),
        (
            json!([["router", {"id": "a|b"}]]),
            "a.json: router 'a|b': attribute 'id': AttributeError: Router id attribute containing character '|' in id 'a|b' is disallowed: a router id has no '|', no '$', no blanks and no control characters",
        ),
        (
            json!([["router", {}], ["router", {}]]),
            "a.json: router: there is more than one router, and only one may be",
        ),
        (
            json!([["site", {"name": "a"}], ["site", {"name": "b"}]]),
            "a.json: site 'b': there is more than one site, and only one may be",
        ),
        (
            json!([["sslProfile", {"name": "a"}], ["sslProfile", {"name": "a"}]]),
            "a.json: sslProfile 'a': attribute 'name': duplicate: another sslProfile has the name 'a'",
        ),
        (
            json!([["log", {"module": "HTTP"}], ["log", {"module": "HTTP"}]]),
            "a.json: log 'HTTP': attribute 'module': a second log entity has module 'HTTP'",
        ),
        (
            json!([["connector", {"name": "c", "sslProfile": "p"}]]),
            "a.json: connector 'c': attribute 'sslProfile': no sslProfile is named 'p'",
        ),
        (
            json!([["tcpConnector", {"name": "c", "port": 80}]]),
            "a.json: tcpConnector 'c': attribute 'address': required, and not given",
        ),
        (
            json!([["tcpListener", {"name": "l", "port": 80}]]),
            "a.json: tcpListener 'l': attribute 'address': Exactly one of the 'address' or 'multiAddressStrategy' field must be set",
        ),
        (
            json!([["listenerAddress", {"name": "l", "value": 1, "address": "a"}]]),
            "a.json: listenerAddress 'l': attribute 'listener': required, and not given",
        ),
        (
            json!([["listener", {"name": "l", "role": "inter-router"}]]),
            "a.json: listener 'l': attribute 'role': 'standalone' not allowed to connect to or accept connections from other routers.",
        ),
        (
            json!([["router", {"mode": "edge"}], ["connector", {"name": "c", "role": "inter-router"}]]),
            "a.json: connector 'c': attribute 'role': 'inter-router' only allowed with router mode='interior'",
        ),
        (
            json!([["router", {"mode": "edge"}], ["listener", {"name": "l", "role": "edge"}]]),
            "a.json: listener 'l': attribute 'role': 'edge' only allowed with router mode='interior'",
        ),
    ] {
        assert_eq!(told(entities(given.clone())), expected, "{given}");
    }
}

#[test]
fn one_name_may_stand_for_entities_of_different_types() {
    let both = json!([["listener", {"name": "a"}], ["connector", {"name": "a"}]]);
    assert!(entities(both).is_ok());
}

#[test]
fn a_port_is_listened_on_once() {
    let pair =
        |first: Json, second: Json| entities(json!([["listener", first], ["tcpListener", second]]));
    let tcp =
        |host: &str, port: Json| json!({"name": "b", "address": "x", "host": host, "port": port});
    let listener = |host: &str, port: Json| json!({"name": "a", "host": host, "port": port});
    for (first, second) in [
        ("", ""),
        ("", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("localhost", "127.0.0.1"),
        ("::1", "LOCALHOST"),
        ("a.example", ""),
        ("::", "a.example"),
    ] {
        assert_eq!(
            told(pair(listener(first, json!(5672)), tcp(second, json!("amqp")))),
            "a.json: tcpListener 'b': attribute 'port': listener 'a' already listens on port 5672",
            "{first} and {second}"
        );
    }
    for (first, second) in [
        ("127.0.0.1", "127.0.0.2"),
        ("127.0.0.1", "::1"),
        ("0.0.0.0", "::1"),
        ("a.example", "b.example"),
    ] {
        assert!(
            pair(listener(first, json!(5672)), tcp(second, json!(5672))).is_ok(),
            "{first} and {second}"
        );
    }
    assert!(
        pair(listener("", json!(0)), tcp("", json!(0))).is_ok(),
        "the system chooses two ports"
    );
    assert!(pair(listener("", json!(1)), tcp("", json!(2))).is_ok());
    let family = |family: &str| json!({"name": family, "port": 1, "socketAddressFamily": family});
    assert!(entities(json!([["listener", family("IPv4")], ["listener", family("IPv6")]])).is_ok());
}

#[test]
fn what_has_no_effect_is_told_once() {
    let config = entities(json!([
        ["router", {"mode": "interior", "vanId": "x", "area": "0", "saslConfigName": "skrouterd"}],
        ["connector", {"name": "a", "allowRedirect": false, "stripAnnotations": "both"}],
        ["connector", {"name": "c", "allowRedirect": false}],
        ["connector", {"name": "d", "allowRedirect": false}],
        ["listener", {"name": "b", "port": 2, "role": "inter-network"}],
        ["sslProfile", {"name": "p", "password": "x"}],
        ["tcpListener", {"name": "t", "port": 4, "address": "x", "bytesIn": 7}],
        ["policy", {}]
    ]))
    .expect("sound");
    assert_eq!(
        config.warnings,
        [
            "a.json: router: attribute 'vanId' has no effect yet",
            "a.json: connector 'a': attribute 'allowRedirect' has no effect yet (nor in 2 other places)",
            "a.json: listener 'b': attribute 'role': 'inter-network' has no effect yet",
            "a.json: tcpListener 't': attribute 'bytesIn' is for the router to set; it is ignored",
            "a.json: sslProfile 'p': attribute 'password' is a password in the open; keep it in a file (file:PATH) or in the environment (env:NAME)",
        ]
    );
    let twice = conf("router {\n id: a\n id: b\n}").expect("sound");
    assert_eq!(twice.router.id, "b");
    assert_eq!(
        twice.warnings,
        ["a.conf: router 'a': attribute 'id' is given twice; the last one counts"]
    );
}

#[test]
fn every_configuration_type_has_its_turn() {
    for kind in EntityKind::all().filter(|kind| kind.is_configuration()) {
        assert_eq!(LOAD_ORDER.iter().filter(|other| **other == kind).count(), 1, "{}", kind.name());
    }
    let config = entities(json!([
        ["listener", {"name": "l"}],
        ["tcpConnector", {"address": "x", "port": 1}],
        ["connector", {"name": "c2", "port": 1}],
        ["sslProfile", {"name": "p"}],
        ["connector", {"name": "c1"}],
        ["log", {"module": "HTTP"}]
    ]))
    .expect("sound");
    let order: Vec<_> =
        config.entities.iter().map(|entity| entity.text("name").unwrap_or_default()).collect();
    let id = config.router.id.clone();
    assert_eq!(
        order,
        [
            "log/HTTP",
            &format!("router/{id}"),
            "network/0",
            "policy/0",
            "p",
            "c2",
            "c1",
            "l",
            "tcpConnector/127.0.0.1:1"
        ]
    );
}

#[test]
fn a_router_without_id_gets_one() {
    let id = |mode: &str, seed| {
        let text = json!([["router", {"mode": mode}]]).to_string();
        Config::read(&[Document { name: "a.json".to_owned(), text, format: Format::Json }], seed)
            .expect("sound")
            .router
            .id
    };
    for (mode, prefix) in
        [("standalone", "Standalone_"), ("interior", "Interior_"), ("edge", "Edge_")]
    {
        assert!(
            id(mode, 1).starts_with(prefix) && id(mode, 1).len() == prefix.len() + 15,
            "{}",
            id(mode, 1)
        );
    }
    assert_eq!(id("interior", 1), id("interior", 1));
    assert_ne!(id("interior", 1), id("interior", 2));
}

#[test]
fn later_mistakes_are_told_alike() {
    let config = entities(json!([])).expect("sound");
    let error = config.error("sslProfile", "p", "certFile", "cannot be read");
    assert_eq!(error.to_string(), "a.json: sslProfile 'p': attribute 'certFile': cannot be read");
}

#[test]
fn the_sites_of_the_demo_are_sound() {
    let north = Config::load(&committed("north.json")).expect("sound");
    assert_eq!(north.warnings, [""; 0]);
    let link =
        north.listeners.iter().find(|listener| listener.role == Role::InterRouter).expect("there");
    assert!(
        link.port.number == 55671
            && link.authenticate_peer
            && link.require_ssl
            && link.asks_for_certificate()
    );
    assert_eq!(
        (north.tcp_listeners[0].host_port(), north.tcp_listeners[0].address.as_deref()),
        ("127.0.0.1:8080".to_owned(), Some("hello"))
    );
    assert!(
        north
            .listeners
            .iter()
            .any(|listener| listener.port.number == 9090 && listener.http.is_some())
    );

    let south = Config::load(&committed("south.json")).expect("sound");
    assert_eq!(south.warnings, [""; 0]);
    assert_eq!(
        (south.connectors[0].name.as_str(), south.connectors[0].role),
        ("link1", Role::InterRouter)
    );
    assert!(south.connectors[0].verify_hostname && south.connectors[0].ssl_profile.is_some());
    assert_eq!(
        (south.tcp_connectors[0].host_port(), south.tcp_connectors[0].address.as_str()),
        ("localhost:80".to_owned(), "hello")
    );

    let edge = Config::load(&committed("edge.json")).expect("sound");
    assert_eq!(
        (edge.warnings.len(), edge.router.mode, edge.connectors[0].role),
        (0, Mode::Edge, Role::Edge)
    );
    let uplinks =
        north.listeners.iter().find(|listener| listener.role == Role::Edge).expect("there");
    assert!(
        uplinks.port.number == edge.connectors[0].port.number
            && uplinks.authenticate_peer
            && uplinks.require_ssl
    );
}

#[test]
fn the_reference_configuration_is_as_committed() {
    let path = committed("reference.conf");
    // To make the file anew: SKROUTERD_WRITE_REFERENCE=1 cargo test -p skrouterd
    // reference_configuration
    if std::env::var_os("SKROUTERD_WRITE_REFERENCE").is_some() {
        std::fs::write(&path, render()).expect("written");
    }
    let committed = std::fs::read_to_string(&path).expect("committed");
    assert!(
        committed == render(),
        "config/reference.conf is not what the schema says; make it anew"
    );
    let config = Config::load(&path).expect("sound");
    assert_eq!(config.warnings, [""; 0]);
    assert_eq!((config.listeners.len(), config.addresses.len(), config.logs.len()), (1, 1, 1));
}

/// Every setting that the reference shows is one that the router takes.
#[test]
fn the_reference_configuration_shows_what_is_taken() {
    let in_force: Vec<_> = render()
        .lines()
        .map(|line| {
            let trimmed = line.trim_start();
            match trimmed.strip_prefix('#') {
                Some(setting) if !setting.starts_with(' ') && !setting.is_empty() => {
                    setting.to_owned()
                }
                _ => line.to_owned(),
            }
        })
        .collect();
    let sections = conf::sections("reference.conf", &in_force.join("\n")).expect("sound");
    for kind in EntityKind::all().filter(|kind| kind.is_configuration()) {
        let section = sections
            .iter()
            .find(|section| section.kind == kind.section())
            .unwrap_or_else(|| panic!("no {}", kind.name()));
        let shown: Vec<_> = section.attributes.iter().map(|(name, _)| name.as_str()).collect();
        for attribute in kind.own_attributes().iter().filter(|attribute| attribute.configurable()) {
            assert!(
                shown.contains(&attribute.name),
                "{} {} is missing",
                kind.name(),
                attribute.name
            );
        }
        Entity::new(kind, section.attributes.iter().map(|(name, value)| (name.as_str(), value)))
            .expect("sound");
    }
}

fn environment<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
    |name| pairs.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
}

#[test]
fn variables_are_replaced_as_the_image_does() {
    let variables = [("HOSTNAME", "pod-1"), ("EMPTY", ""), ("A_1", "x"), ("NEST", "$HOSTNAME")];
    for (text, expected) in [
        ("id: east-${HOSTNAME}", "id: east-pod-1"),
        ("$HOSTNAME/$HOSTNAME.", "pod-1/pod-1."),
        ("$A_1x ${A_1}x", "$A_1x xx"),
        ("# $HOSTNAME", "# $HOSTNAME"),
        (" # $HOSTNAME", " # pod-1"),
        ("$GONE ${GONE} $", "$GONE ${GONE} $"),
        ("[${EMPTY}]", "[]"),
        ("$$HOSTNAME", "$pod-1"),
        ("${HOSTNAME", "${HOSTNAME"),
        ("${} ${a b}", "${} ${a b}"),
        ("$NEST", "$HOSTNAME"),
        ("a\r\n$A_1\n\n", "a\r\nx\n\n"),
        ("\u{e9}$A_1\u{e9}", "\u{e9}x\u{e9}"),
    ] {
        assert_eq!(launch::expand(text, environment(&variables)), expected, "{text}");
    }
}

#[test]
fn the_environment_may_hold_the_configuration() {
    assert_eq!(launch::documents(environment(&[])).expect("sound"), None);
    assert_eq!(launch::documents(environment(&[("QDROUTERD_CONF", "")])).expect("sound"), None);
    let text = "[[\"router\", {\"id\": \"r-${HOSTNAME}-$POD_ID\"}]]";
    let found = launch::documents(environment(&[
        ("QDROUTERD_CONF", text),
        ("QDROUTERD_CONF_TYPE", "json"),
        ("HOSTNAME", "east-7"),
    ]))
    .expect("sound")
    .expect("there");
    assert_eq!(Config::read(&found.documents, 1).expect("sound").router.id, "r-east-7-7");
    assert!(found.warnings.is_empty());
    let conf = launch::documents(environment(&[
        ("QDROUTERD_CONF", "router {\n id: a\n}"),
        ("QDROUTERD_AUTO_MESH_DISCOVERY", "QUERY"),
    ]))
    .expect("sound")
    .expect("there");
    assert_eq!(Config::read(&conf.documents, 1).expect("sound").router.id, "a");
    assert_eq!(
        conf.warnings,
        ["QDROUTERD_AUTO_MESH_DISCOVERY is set, which this router does not act on"]
    );
    let unknown = launch::documents(environment(&[
        ("QDROUTERD_CONF", "{}"),
        ("QDROUTERD_CONF_TYPE", "yaml"),
    ]));
    assert!(matches!(unknown, Err(LaunchError::UnknownType { .. })));
}

#[test]
fn the_environment_may_name_files_and_folders() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let write =
        |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("1.json", r#"[["router", {"id": "${ID}"}]]"#);
    write("2.json", r#"[["connector", {"name": "c", "cost": 0}]]"#);
    let list = format!("{}:{},/gone/away", path("1.json"), path("2.json"));
    let variables =
        [("QDROUTERD_CONF", list.as_str()), ("QDROUTERD_CONF_TYPE", "json"), ("ID", "a")];
    let found = launch::documents(environment(&variables)).expect("sound").expect("there");
    assert_eq!(found.warnings, ["QDROUTERD_CONF: no such file or folder: /gone/away"]);
    let error = told(Config::read(&found.documents, 1));
    assert!(
        error.starts_with(&format!("{}: connector 'c': attribute 'cost'", path("2.json"))),
        "{error}"
    );

    // A section may begin in one file of the folder and end in the next.
    std::fs::create_dir(folder.path().join("d")).expect("made");
    write("d/1.conf", "router {\n");
    write("d/2.conf", "id: b\n}\n");
    write("d/3.txt", "no configuration");
    let list = path("d");
    let found = launch::documents(environment(&[("QDROUTERD_CONF", &list)]))
        .expect("sound")
        .expect("there");
    assert_eq!(Config::read(&found.documents, 1).expect("sound").router.id, "b");

    let gone = launch::documents(environment(&[("QDROUTERD_CONF", "/gone:/away")]))
        .expect_err("nothing there")
        .to_string();
    assert_eq!(gone, "QDROUTERD_CONF names nothing that exists: /gone:/away");
}

/// A value that an attribute takes, as text.
fn taken(kind: Kind) -> BoxedStrategy<String> {
    match kind {
        Kind::Boolean => {
            prop::sample::select(vec!["yes", "no", "TRUE", "off"]).prop_map(str::to_owned).boxed()
        }
        Kind::Integer => (1..10i64).prop_map(|number| number.to_string()).boxed(),
        Kind::Enum(words) => prop::sample::select(words).prop_map(str::to_owned).boxed(),
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
            !matches!(attribute.kind, Kind::Map | Kind::Properties | Kind::List)
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
                Just("router {"), Just("listener {"), Just("}"), Just("},"), Just("openProperties: {"), Just("groups: {"),
                Just("\"a\": {"), Just("\"a\": \"}\","), Just("id: a\\"), Just("port: 5672 # x"), Just("pattern: #"), Just("$x: {"),
                Just("a: {"), Just("\""), Just("\\"), Just("{"), Just(":"), Just("name: \"\u{e9}"), Just("host:\u{a0}x"),
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
        kind in prop::sample::select(vec!["router", "listener", "sslProfile", "tcpListener", "log"]),
        name in prop::sample::select(vec!["id", "name", "port", "cost", "openProperties", "password", "idleTimeoutSeconds", "module"]),
        value in prop_oneof![any::<i64>().prop_map(|number| json!(number)), any::<String>().prop_map(|text| json!(text)),
            any::<String>().prop_map(|text| json!({ text: [null, 1.5] })), any::<bool>().prop_map(|flag| json!(flag))],
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
            let read: BTreeMap<_, _> = read.attributes.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
            prop_assert_eq!(&read, attributes);
        }
    }

    #[test]
    fn both_forms_mean_the_same(sections in sections()) {
        let as_json: Vec<_> = sections.iter().map(|(kind, attributes)| json!([kind, attributes])).collect();
        let from_conf = if sections.is_empty() { entities(json!([])) } else { conf(&written(&sections)) };
        let from_json = entities(Json::Array(as_json));
        match (from_conf, from_json) {
            (Ok(conf), Ok(json)) => prop_assert_eq!(format!("{:?}", conf.entities), format!("{:?}", json.entities)),
            (Err(conf), Err(json)) => {
                let tail = |error: ConfigError| error.to_string().split_once(": ").map(|(_, tail)| tail.to_owned());
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

#[test]
fn effects_are_those_of_today() {
    let works = |kind: &str| {
        let kind = EntityKind::named(kind).expect("a type");
        kind.own_attributes()
            .iter()
            .filter(|attribute| attribute.effect != Effect::Accepted)
            .map(|attribute| attribute.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(works("site").len(), 5);
    assert_eq!(works("address"), ["prefix", "pattern", "distribution", "priority"]);
    assert_eq!(
        works("tcpConnector"),
        ["address", "host", "port", "siteId", "processId", "sslProfile", "verifyHostname"]
    );
}
