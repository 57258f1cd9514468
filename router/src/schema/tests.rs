use serde_json::{Value as Json, json};

use super::typed::{
    AddressConfig, AddressMatch, Connector, Listener, LogConfig, LogOutput, RouterEntity,
    SslProfile, TcpConnector, TcpListener,
};
use super::*;
use crate::log::Levels;

/// The answers of a C router to GET-TYPES, GET-OPERATIONS and GET-ATTRIBUTES, and for each
/// attribute its type, default and flags.
const VECTORS: &str = include_str!("vectors.txt");

fn described() -> String {
    let mut text = String::new();
    for kind in EntityKind::all() {
        let singleton = if kind.is_singleton() { "!" } else { "" };
        let bases: Vec<_> = kind.bases().map(|base| base.name()).collect();
        let operations: Vec<_> = kind.operations().map(Operation::name).collect();
        let line =
            format!("{}{singleton} < {} : {}", kind.name(), bases.join(" "), operations.join(" "));
        text += line.trim_end();
        text.push('\n');
        for attribute in kind.own_attributes().iter().filter(|_| kind != EntityKind::Entity) {
            let named = match attribute.kind {
                ValueType::Enum(words) => words.join("|"),
                other => other.name().to_owned(),
            };
            let default = attribute
                .default
                .map(|default| format!(" ={}", default.value().to_json()))
                .unwrap_or_default();
            let flags: String = [
                ('C', attribute.create),
                ('U', attribute.update),
                ('R', attribute.required),
                ('G', attribute.graph),
                ('H', attribute.hidden),
            ]
            .into_iter()
            .filter_map(|(letter, set)| set.then_some(letter))
            .collect();
            let line = format!("  {} {named}{default} {flags}", attribute.name);
            text += line.trim_end();
            text.push('\n');
        }
    }
    text
}

#[test]
fn agrees_with_a_c_router() {
    for (ours, theirs) in described().lines().zip(VECTORS.lines()) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(described().lines().count(), VECTORS.lines().count());
}

#[test]
fn inherited_attributes_come_last() {
    for kind in EntityKind::all() {
        let names: Vec<_> = kind.attributes().map(|attribute| attribute.name).collect();
        assert!(names.ends_with(&["name", "identity", "type"]), "{}: {names:?}", kind.name());
        let mut unique = names.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), names.len(), "{} has an attribute twice", kind.name());
    }
}

#[test]
fn is_found_by_any_of_its_names() {
    for name in ["listener", "io.skupper.router.listener"] {
        assert_eq!(EntityKind::named(name).map(|kind| kind.name()), Some("listener"), "{name}");
    }
    for name in ["address", "router.config.address", "io.skupper.router.router.config.address"] {
        assert_eq!(
            EntityKind::named(name).map(|kind| kind.name()),
            Some("router.config.address"),
            "{name}"
        );
    }
    assert_eq!(EntityKind::named("router.address").map(|kind| kind.name()), Some("router.address"));
    assert!(EntityKind::named("linkRoute").is_none());
    assert_eq!(
        EntityKind::named("listener").map(EntityKind::long_name).as_deref(),
        Some("io.skupper.router.listener")
    );
}

#[test]
fn rows_make_sense() {
    for kind in EntityKind::all() {
        assert!(!kind.description().is_empty());
        for attribute in kind.own_attributes() {
            let row = format!("{} {}", kind.name(), attribute.name);
            assert!(attribute.description.ends_with('.'), "{row}: a description is a sentence");
            for value in [attribute.default, attribute.implied].into_iter().flatten() {
                let checked = attribute.coerce(&value.value().to_json());
                assert_eq!(checked, Ok(value.value()), "{row}: default");
            }
            if let ValueType::Enum(words) = attribute.kind {
                assert!(
                    attribute.pending.iter().all(|word| words.contains(word)),
                    "{row}: pending"
                );
            }
            if let Some(other) = attribute.refers_to {
                assert!(other.is_configuration(), "{row}: refers to");
            }
            if kind.is_configuration() && attribute.configurable() {
                let shown = attribute.default.is_some_and(|default| default != Fixed::Text(""))
                    || attribute.implied.is_some();
                assert!(
                    shown || attribute.example.is_some(),
                    "{row}: neither default nor example for the reference"
                );
            }
        }
    }
}

#[test]
fn what_guards_is_marked_so() {
    for name in [
        "ciphers",
        "protocols",
        "password",
        "authenticatePeer",
        "requireSsl",
        "verifyHostname",
        "saslMechanisms",
    ] {
        let mut rows = EntityKind::all()
            .flat_map(|kind| kind.own_attributes())
            .filter(|attribute| attribute.name == name)
            .peekable();
        assert!(rows.peek().is_some(), "{name}");
        assert!(rows.all(|attribute| attribute.effect == Effect::Guards), "{name}");
    }
}

fn entity(kind: &str, attributes: Json) -> Result<Entity, AttributeError> {
    let Json::Object(attributes) = attributes else { panic!("attributes are a map") };
    let kind = EntityKind::named(kind).expect("a type of the schema");
    let mut entity =
        Entity::new(kind, attributes.iter().map(|(name, value)| (name.as_str(), value)))?;
    entity.identify(0);
    Ok(entity)
}

fn typed<T: for<'a> TryFrom<&'a Entity, Error = AttributeError>>(
    kind: &str,
    attributes: Json,
) -> Result<T, String> {
    entity(kind, attributes)
        .and_then(|entity| T::try_from(&entity))
        .map_err(|error| error.to_string())
}

#[test]
fn values_are_taken_leniently() {
    let listener = EntityKind::named("listener").expect("a type");
    let taken = |name: &str, given: Json| {
        listener.attribute(name).expect("an attribute").coerce(&given).ok()
    };
    let text = |text: &str| Some(Value::String(text.to_owned()));
    assert_eq!(taken("port", json!(5672)), text("5672"));
    assert_eq!(taken("port", json!("amqp")), text("amqp"));
    assert_eq!(taken("port", json!(true)), None);
    assert_eq!(taken("cost", json!("7")), Some(Value::Integer(7)));
    assert_eq!(taken("cost", json!(7)), Some(Value::Integer(7)));
    assert_eq!(taken("cost", json!(7.5)), None);
    assert_eq!(taken("cost", json!(true)), None);
    assert_eq!(taken("cost", json!("seven")), None);
    for yes in [json!(true), json!("YES"), json!("true"), json!("On"), json!(1)] {
        assert_eq!(taken("http", yes.clone()), Some(Value::Boolean(true)), "{yes}");
    }
    for no in [json!(false), json!("no"), json!("False"), json!("off"), json!(0)] {
        assert_eq!(taken("http", no.clone()), Some(Value::Boolean(false)), "{no}");
    }
    assert_eq!(taken("http", json!("y")), None);
    assert_eq!(taken("http", json!(2)), None);
    assert_eq!(taken("role", json!("inter-router")), text("inter-router"));
    assert_eq!(taken("role", json!(1)), text("inter-router"));
    assert_eq!(taken("role", json!("1")), text("inter-router"));
    assert_eq!(taken("role", json!("Inter-Router")), None);
    assert_eq!(taken("role", json!(-1)), None);
    assert_eq!(
        taken("openProperties", json!({"a": 1})),
        json!({"a": 1}).as_object().cloned().map(Value::Map)
    );
    assert_eq!(taken("openProperties", json!({"\u{e9}": 1})), None);
    assert_eq!(taken("openProperties", json!("a")), None);
}

#[test]
fn mistakes_are_told_in_one_line() {
    let told =
        |kind: &str, attributes| entity(kind, attributes).expect_err("a mistake").to_string();
    assert_eq!(
        told("listener", json!({"cots": 1})),
        "attribute 'cots': no such attribute (did you mean 'cost'?)"
    );
    assert_eq!(told("listener", json!({"colour": 1})), "attribute 'colour': no such attribute");
    assert_eq!(
        told("listener", json!({"cost": 0})),
        "attribute 'cost': 0 is out of range, allowed is 1 to 2147483647"
    );
    assert_eq!(
        told("listener", json!({"cost": "a\nb"})),
        "attribute 'cost': 'a\\nb' is not an integer"
    );
    assert_eq!(
        told("listener", json!({"maxSessions": 32769})),
        "attribute 'maxSessions': 32769 is out of range, allowed is 1 to 32768"
    );
    assert_eq!(told("listener", json!({"http": {}})), "attribute 'http': a map is not yes or no");
    assert_eq!(
        told("log", json!({"enable": "info"})),
        "attribute 'module': required, and not given"
    );
    assert_eq!(
        told("listener", json!({"type": "connector"})),
        "attribute 'type': 'connector' is not the type io.skupper.router.listener"
    );
    assert_eq!(
        told("router", json!({"mode": "central"})),
        "attribute 'mode': 'central' is not one of standalone, interior, edge"
    );
}

#[test]
fn a_null_is_not_given_and_the_type_may_be() {
    let listener = entity("listener", json!({"cost": null, "type": "listener"})).expect("sound");
    assert_eq!(listener.value("cost"), Some(&Value::Integer(1)));
    assert_eq!(listener.text("type"), Some("io.skupper.router.listener"));
}

#[test]
fn secrets_are_not_shown() {
    let profile =
        entity("sslProfile", json!({"name": "p", "password": "literal:hunter2"})).expect("sound");
    let typed = SslProfile::try_from(&profile).expect("sound");
    for shown in [format!("{profile:?}"), format!("{typed:?}")] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let wrong = entity("sslProfile", json!({"password": ["hunter2"]}))
        .expect_err("a list is no password")
        .to_string();
    assert!(!wrong.contains("hunter2"), "{wrong}");
    let password = typed.password.expect("given");
    assert_eq!(password.resolve(|_| None).expect("literal").expose(), "hunter2");
}

#[test]
fn passwords_have_five_forms() {
    let secret = |text: &str| Secret::new(text);
    assert_eq!(Password::parse("env: NAME"), Password::Environment("NAME".to_owned()));
    assert_eq!(Password::parse("file:/x"), Password::File("/x".into()));
    assert_eq!(Password::parse("literal:env:x"), Password::Literal(secret("env:x")));
    assert_eq!(Password::parse("pass:x"), Password::Plain(secret("x")));
    assert_eq!(Password::parse("x"), Password::Plain(secret("x")));

    let environment = |name: &str| (name == "THERE").then(|| "value".to_owned());
    assert_eq!(Password::parse("env:THERE").resolve(environment).expect("set").expose(), "value");
    let error = Password::parse("env:GONE").resolve(environment).expect_err("not set").to_string();
    assert_eq!(error, "environment variable 'GONE' for the password is not set");

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    std::fs::write(&file, "first\r\nsecond\n").expect("written");
    assert_eq!(Password::File(file.clone()).resolve(environment).expect("there").expose(), "first");
    std::fs::write(&file, "x".repeat(5000)).expect("written");
    assert!(matches!(
        Password::File(file).resolve(environment),
        Err(PasswordError::TooLong { .. })
    ));
    let gone = Password::File(folder.path().join("gone")).resolve(environment);
    assert!(matches!(gone, Err(PasswordError::Unreadable { .. })));
}

#[test]
fn ports_are_numbers_or_services() {
    let number = |text: &str| text.parse::<Port>().ok().map(|port| port.number);
    for (text, expected) in [
        ("0", Some(0)),
        ("5672", Some(5672)),
        ("65535", Some(65535)),
        ("amqp", Some(5672)),
        ("amqps", Some(5671)),
    ] {
        assert_eq!(number(text), expected, "{text}");
    }
    for text in ["65536", "-1", "+1", "", "amqp2", "99999999999999999999", "80 81"] {
        assert_eq!(number(text), None, "{text}");
    }
    assert_eq!("amqp".parse::<Port>().expect("known").to_string(), "amqp");
}

#[test]
fn log_levels_are_checked() {
    let log =
        |enable: &str| typed::<LogConfig>("log", json!({"module": "AGENT", "enable": enable}));
    assert_eq!(log("debug,warning+").expect("sound").enable, Levels::parse("warning+; d").ok());
    assert_eq!(log("").expect("sound").enable, Some(Levels::NONE), "said, and none");
    let problem = log("info,notice").expect_err("no such level");
    assert!(problem.contains("'notice'") && problem.contains("critical"), "{problem}");
}

#[test]
fn zero_means_not_set_where_the_table_says_so() {
    let listener: Listener = typed(
        "listener",
        json!({"maxFrameSize": 0, "maxSessions": 0, "maxSessionFrames": 0, "linkCapacity": 0,
            "idleTimeoutSeconds": 0}),
    )
    .expect("sound");
    assert_eq!(listener.limits.max_frame_size, 16384);
    assert_eq!(listener.limits.max_sessions, 32768);
    assert_eq!(listener.limits.max_session_frames, None);
    assert_eq!(listener.limits.link_capacity, 250);
    assert!(listener.limits.idle_timeout.is_zero());
}

#[test]
fn listeners_become_types() {
    let listener: Listener = typed("listener", json!({})).expect("sound");
    assert_eq!(
        (listener.host.as_str(), listener.port.number, listener.role),
        ("", 5672, Role::Normal)
    );
    assert_eq!(listener.name, "listener/:amqp");
    assert!(listener.http.is_none() && !listener.asks_for_certificate());
    let external = json!({"sslProfile": "p", "saslMechanisms": "EXTERNAL"});
    assert!(typed::<Listener>("listener", external).expect("sound").asks_for_certificate());
    // A folder to serve files from makes it an HTTP listener.
    let http = typed::<Listener>("listener", json!({"httpRootDir": "disabled", "metrics": "no"}))
        .expect("sound")
        .http
        .expect("http");
    assert!(http.healthz && !http.metrics);

    let origins = |attributes| {
        typed::<Listener>("listener", attributes)
            .map(|listener| listener.http.expect("http").origins)
    };
    let listed =
        |origins: &[&str]| Ok(Some(origins.iter().map(|origin| (*origin).to_owned()).collect()));
    assert_eq!(origins(json!({"http": true})), listed(&[]));
    assert_eq!(origins(json!({"http": true, "healthz": true, "metrics": "no"})), Ok(None));
    assert_eq!(origins(json!({"http": true, "healthz": "no"})), listed(&[]));
    assert_eq!(origins(json!({"http": true, "metrics": true, "websockets": true})), listed(&[]));
    for text in
        ["*", "null", "https://a", "http://a:8080", "http://[::1]:80", "chrome-extension://abc"]
    {
        assert_eq!(
            origins(json!({"http": true, "healthz": true, "websocketOrigins": text})),
            listed(&[text])
        );
    }
    assert_eq!(
        origins(json!({"http": true, "websocketOrigins": " https://a, https://b:1,"})),
        listed(&["https://a", "https://b:1"])
    );
    for text in [
        "a",
        "a.example",
        "https://",
        "://a",
        "https://a/",
        "https://a/b",
        "https://u@a",
        "https://a b",
    ] {
        assert!(
            origins(json!({"http": true, "websocketOrigins": text}))
                .is_err_and(|error| error.contains("is no origin")),
            "{text}"
        );
    }

    let told = |attributes| typed::<Listener>("listener", attributes).expect_err("a mistake");
    assert!(
        told(json!({"requireSsl": true})).starts_with("attribute 'requireSsl': TLS is demanded")
    );
    assert!(
        told(json!({"requireEncryption": true}))
            .starts_with("attribute 'requireEncryption': TLS is demanded")
    );
    assert_eq!(
        told(json!({"saslMechanisms": "EXTERNAL GSSAPI"})),
        "attribute 'saslMechanisms': SASL mechanism 'GSSAPI' is not supported (supported: \
         EXTERNAL, ANONYMOUS, PLAIN)"
    );
    assert!(
        told(json!({"role": "inter-router", "openProperties": {"a": 1}}))
            .contains("not allowed for role inter-router")
    );
    assert!(told(json!({"openProperties": {"qd.x": 1}})).contains("'qd.x'"));
    assert!(told(json!({"openProperties": {"product": "x"}})).contains("'product'"));
}

#[test]
fn connectors_become_types() {
    let connector: Connector =
        typed("connector", json!({"port": "amqps", "role": "inter-router"})).expect("sound");
    assert_eq!(connector.host_port(), "127.0.0.1:amqps");
    assert!(connector.verify_hostname);
    assert_eq!(connector.sasl_mechanisms, None);
    let both: Connector =
        typed("connector", json!({"saslMechanisms": "external, ANONYMOUS EXTERNAL"}))
            .expect("sound");
    let mechanisms: Vec<_> = both.sasl_mechanisms.expect("given").iter().collect();
    assert_eq!(mechanisms, [SaslMechanism::External, SaslMechanism::Anonymous]);
}

#[test]
fn routers_become_types() {
    let router = |attributes| typed::<RouterEntity>("router", attributes);
    let plain = router(json!({"id": "a"})).expect("sound");
    assert_eq!(
        (plain.mode, plain.data_connections, plain.hello_max_age.as_secs()),
        (Mode::Standalone, 2, 3)
    );
    assert_eq!(router(json!({"id": "a", "workerThreads": 5})).expect("sound").data_connections, 3);
    assert_eq!(
        router(json!({"id": "a", "dataConnectionCount": 0})).expect("sound").data_connections,
        0
    );
    assert_eq!(
        router(json!({"id": "a", "helloMaxAgeSeconds": "7"}))
            .expect("sound")
            .hello_max_age
            .as_secs(),
        7
    );
    assert!(router(json!({"id": "a", "dataConnectionCount": "some"})).is_err());
    assert!(router(json!({"id": "a", "dataConnectionCount": "100000"})).is_err());
    for id in ["a|b", "a$b", "a b", "a\u{8}b"] {
        let told = router(json!({ "id": id })).expect_err("a mistake");
        assert!(told.starts_with("attribute 'id': ") && !told.contains('\u{8}'), "{told}");
    }
}

#[test]
fn services_become_types() {
    let told = |attributes| typed::<TcpListener>("tcpListener", attributes).expect_err("a mistake");
    assert!(told(json!({"port": 1})).starts_with("attribute 'address': Exactly one of"));
    assert!(
        told(json!({"port": 1, "address": "a", "multiAddressStrategy": "priority"}))
            .starts_with("attribute 'multiAddressStrategy'")
    );
    assert!(told(json!({"address": "a"})).starts_with("attribute 'port': required"));
    assert!(
        told(json!({"port": 1, "address": "a", "authenticatePeer": true}))
            .starts_with("attribute 'authenticatePeer'")
    );
    let several: TcpListener =
        typed("tcpListener", json!({"port": 1, "multiAddressStrategy": "weighted"}))
            .expect("sound");
    assert_eq!((several.address, several.strategy), (None, MultiAddressStrategy::Weighted));

    assert!(
        typed::<TcpConnector>("tcpConnector", json!({"port": 1}))
            .expect_err("a mistake")
            .starts_with("attribute 'address'")
    );
    let server: TcpConnector =
        typed("tcpConnector", json!({"address": "a", "port": "http"})).expect("sound");
    assert_eq!((server.host_port(), server.port.number), ("127.0.0.1:http".to_owned(), 80));
}

#[test]
fn addresses_have_a_prefix_or_a_pattern() {
    let address = |attributes| typed::<AddressConfig>("address", attributes);
    let mc = address(json!({"prefix": "mc", "distribution": "multicast"})).expect("sound");
    assert_eq!(
        (mc.matches, mc.distribution),
        (AddressMatch::Prefix("mc".to_owned()), Distribution::Multicast)
    );
    assert_eq!(address(json!({"pattern": "a/#", "priority": 9})).expect("sound").priority, Some(9));
    for wrong in [
        json!({}),
        json!({"prefix": "a", "pattern": "b"}),
        json!({"prefix": "//"}),
        json!({"prefix": "a", "priority": 10}),
    ] {
        assert!(address(wrong.clone()).is_err(), "{wrong}");
    }
}

#[test]
fn log_entities_become_types() {
    let log: LogConfig =
        typed("log", json!({"module": "ROUTER_CORE", "outputFile": "stdout"})).expect("sound");
    assert_eq!(
        log,
        LogConfig {
            module: LogModule::RouterCore,
            enable: None,
            include_timestamp: None,
            include_source: None,
            output: Some(LogOutput::Stdout)
        }
    );
    assert!(
        typed::<LogConfig>("log", json!({"module": "DEFAULT", "enable": "notice+"}))
            .expect_err("a mistake")
            .starts_with("attribute 'enable'")
    );
}

#[test]
fn ordinals_are_in_order() {
    assert!(
        typed::<SslProfile>("sslProfile", json!({"ordinal": 2, "oldestValidOrdinal": 3})).is_err()
    );
    assert!(typed::<SslProfile>("sslProfile", json!({"ordinal": -1})).is_err());
    assert_eq!(
        typed::<SslProfile>("sslProfile", json!({"ordinal": 3, "oldestValidOrdinal": 3}))
            .expect("sound")
            .ordinal,
        3
    );
}

#[test]
fn identities_are_those_of_a_c_router() {
    let identified = |kind: &str, attributes| {
        let entity = entity(kind, attributes).expect("sound");
        (
            entity.text("identity").unwrap_or_default().to_owned(),
            entity.name().unwrap_or_default().to_owned(),
        )
    };
    let pair = |identity: &str, name: &str| (identity.to_owned(), name.to_owned());
    assert_eq!(
        identified("listener", json!({"port": 9090})),
        pair("listener/:9090", "listener/:9090")
    );
    assert_eq!(
        identified("connector", json!({"port": 1, "name": "link1"})),
        pair("connector/127.0.0.1:1:link1", "link1")
    );
    assert_eq!(identified("router", json!({"id": "north"})), pair("router/north", "router/north"));
    assert_eq!(identified("log", json!({"module": "AGENT"})), pair("log/AGENT", "log/AGENT"));
    assert_eq!(identified("sslProfile", json!({"name": "p"})), pair("sslProfile/p", "p"));
    assert_eq!(identified("site", json!({})), pair("site/0", "site/0"));
}
