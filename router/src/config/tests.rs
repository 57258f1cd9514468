use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use super::launch::{self, LaunchError};
use super::*;
use crate::schema::reference::render;
use crate::schema::typed::{
    AddressConfig, AddressMatch, Connector, Listener, LogConfig, Site, SslProfile, TcpConnector,
    TcpListener,
};
use crate::schema::{Attribute, Distribution, Effect, Role, START_ORDER, ValueType};

mod environment;
mod forms;
mod properties;
mod reference;

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
            ["router", {"id": "east-1", "mode": "interior", "helloMaxAgeSeconds": "3",
                        "metadata": "{\"id\":\"x\"}"}],
            ["connector", {"name": "link-1", "role": "inter-router", "host": "a.example.com",
                           "port": "55671", "cost": 1, "sslProfile": "link-1-profile"}],
            ["sslProfile", {"name": "link-1-profile", "certFile": "/c/tls.crt",
                            "privateKeyFile": "/c/tls.key", "caCertFile": "/c/ca.crt",
                            "ordinal": 1}],
            ["listener", {"name": "@9090", "role": "normal", "port": 9090, "http": true,
                          "httpRootDir": "disabled", "healthz": true, "metrics": true}],
            ["listener", {"name": "amqp", "host": "localhost", "port": 5672}],
            ["address", {"prefix": "mc", "distribution": "multicast"}],
            ["tcpListener", {"name": "listener/backend", "port": "1024", "address": "backend",
                             "siteId": "x", "observer": "auto"}],
            ["tcpConnector", {"name": "connector/backend@10.1.2.3", "host": "10.1.2.3",
                              "port": "8080", "address": "backend"}],
            ["log", {"module": "ROUTER_CORE", "enable": "error+"}],
            ["site", {"name": "x", "platform": "kubernetes"}]
        ]"##,
    )
    .expect("sound");
    assert_eq!(config.router.metadata.as_deref(), Some(r#"{"id":"x"}"#));
    assert_eq!(config.all::<Connector>()[0].role, Role::InterRouter);
    assert_eq!(config.all::<SslProfile>()[0].ordinal, 1);
    assert!(
        config.all::<Listener>()[0].http.is_some() && config.all::<Listener>()[1].http.is_none()
    );
    assert_eq!(config.all::<AddressConfig>()[0].matches, AddressMatch::Prefix("mc".to_owned()));
    assert_eq!(config.all::<TcpListener>()[0].name, "listener/backend");
    assert_eq!(config.all::<TcpConnector>()[0].host_port(), "10.1.2.3:8080");
    assert_eq!(config.all::<LogConfig>().len(), 1);
    assert_eq!(config.all::<Site>()[0].platform.as_deref(), Some("kubernetes"));
    // Observers and folders are named with what is in force anyway; only the ordinal waits for its
    // time.
    assert_eq!(
        config.warnings,
        ["a.json: sslProfile 'link-1-profile': attribute 'ordinal' has no effect yet"]
    );
}

#[test]
fn mistakes_name_file_entity_and_attribute() {
    for (given, expected) in [
        (
            json!([["listener", {"name": "site", "cost": 0}]]),
            "a.json: listener 'site': attribute 'cost': 0 is out of range, allowed is 1 to \
             2147483647",
        ),
        (
            json!([["listener", {}], ["listener", {"port": 1, "colour": 1}]]),
            "a.json: listener #2: attribute 'colour': no such attribute",
        ),
        (
            json!([["router", {"id": "a|b"}]]),
            "a.json: router 'a|b': attribute 'id': AttributeError: Router id attribute \
             containing character '|' in id 'a|b' is disallowed: a router id has no '|', no '$', \
             no blanks and no control characters",
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
            "a.json: sslProfile 'a': attribute 'name': duplicate: another sslProfile has the \
             name 'a'",
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
            "a.json: tcpListener 'l': attribute 'address': Exactly one of the 'address' or \
             'multiAddressStrategy' field must be set",
        ),
        (
            json!([["listenerAddress", {"name": "l", "value": 1, "address": "a"}]]),
            "a.json: listenerAddress 'l': attribute 'listener': required, and not given",
        ),
        (
            json!([["listener", {"name": "l", "role": "inter-router"}]]),
            "a.json: listener 'l': attribute 'role': 'standalone' not allowed to connect to or \
             accept connections from other routers.",
        ),
        (
            json!([
                ["router", {"mode": "edge"}],
                ["connector", {"name": "c", "role": "inter-router"}]
            ]),
            "a.json: connector 'c': attribute 'role': 'inter-router' only allowed with router \
             mode='interior'",
        ),
        (
            json!([["router", {"mode": "edge"}], ["listener", {"name": "l", "role": "edge"}]]),
            "a.json: listener 'l': attribute 'role': 'edge' only allowed with router \
             mode='interior'",
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
            "a.json: listener 'b': attribute 'role': 'inter-network' has no effect yet",
            "a.json: connector 'a': attribute 'allowRedirect' has no effect yet (nor in 2 other \
             places)",
            "a.json: tcpListener 't': attribute 'bytesIn' is for the router to set; it is ignored",
            "a.json: sslProfile 'p': attribute 'password' is a password in the open; keep it in \
             a file (file:PATH) or in the environment (env:NAME)",
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
        assert_eq!(
            START_ORDER.iter().filter(|other| **other == kind).count(),
            1,
            "{}",
            kind.name()
        );
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
    let order: Vec<_> = config
        .entities
        .iter()
        .map(|configured| configured.entity.text("name").unwrap_or_default())
        .collect();
    let id = config.router.id.clone();
    assert_eq!(
        order,
        [
            "log/HTTP",
            &format!("router/{id}"),
            "network/0",
            "policy/0",
            "p",
            "tcpConnector/127.0.0.1:1",
            "l",
            "c2",
            "c1"
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
