//! Tests of admission and of the rules for links.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use serde_json::{Value, json};
use skupper_proto::address::{AddressClass, AddressSpace, Canonical, RouterMode};

use super::addresses::Addresses;
use super::hosts::Hosts;
use super::{Denial, Policy, PolicyConfig, PolicyError, Rules, Verdict, Vhost, Visitor};

static SPACE: LazyLock<AddressSpace> =
    LazyLock::new(|| AddressSpace::new(RouterMode::Interior, "me", None));

fn read(text: &str) -> Canonical<'_> {
    SPACE.read(text)
}

fn list(items: &str) -> Vec<String> {
    items.split(',').map(|item| item.trim().to_owned()).collect()
}

fn vhost(name: &str, rules: Rules, groups: &Value) -> Result<Vhost, PolicyError> {
    Vhost::new(name, rules, groups.as_object().expect("a map"))
}

fn policy(vhosts: Vec<Vhost>) -> Arc<Policy> {
    let policy = Arc::new(Policy::new(PolicyConfig { enabled: true, ..PolicyConfig::default() }));
    for vhost in vhosts {
        policy.put(vhost).expect("sound");
    }
    policy
}

fn visitor<'a>(connection: u64, user: &'a str, host: &str, vhost: &'a str) -> Visitor<'a> {
    Visitor { connection, user, host: host.parse().expect("an address"), vhost }
}

#[test]
fn users_have_the_rules_of_their_group() {
    let groups = json!({
        "staff": {"users": "alice, bob", "remoteHosts": "10.0.0.0-10.0.255.255, ::1",
            "maxFrameSize": 1000, "sources": "*"},
        "$default": {"remoteHosts": "*", "maxFrameSize": "2000", "allowDynamicSource": "true"},
    });
    let rules = Rules { allow_unknown_user: true, aliases: "b, c".to_owned(), ..Rules::default() };
    let policy = policy(vec![vhost("a", rules, &groups).unwrap()]);
    let frame =
        |visitor| policy.admit(visitor).map(|admission| admission.settings().max_frame_size);
    assert_eq!(frame(visitor(1, "alice", "10.0.3.4", "a")), Ok(1000));
    assert_eq!(frame(visitor(1, "bob", "::1", "b")), Ok(1000));
    assert_eq!(frame(visitor(1, "alice", "10.1.0.0", "a")), Err(Denial::Host));
    assert_eq!(frame(visitor(1, "carol", "10.1.0.0", "c")), Ok(2000));
    assert_eq!(frame(visitor(1, "carol", "10.1.0.0", "d")), Err(Denial::NoVhost));
    assert_eq!(policy.counts().connections(), (0, 2));
    let [(name, counts)] = &policy.vhost_counts()[..] else { panic!("one vhost") };
    assert_eq!((name.as_str(), counts.connections(), counts.current()), ("a", (3, 1), 0));
}

#[test]
fn unknown_users_stay_out_unless_they_may_come() {
    let staff = json!({"staff": {"users": "alice", "remoteHosts": "*"}});
    let policy = policy(vec![vhost("$default", Rules::default(), &staff).unwrap()]);
    // A client that asks for an unknown vhost belongs to the default one.
    assert!(policy.admit(visitor(1, "alice", "1.2.3.4", "any")).is_ok());
    assert_eq!(
        policy.admit(visitor(1, "mallory", "1.2.3.4", "any")).map(drop),
        Err(Denial::UnknownUser)
    );
    let unknown = Rules { allow_unknown_user: true, ..Rules::default() };
    assert!(
        vhost("a", unknown, &staff)
            .unwrap_err()
            .to_string()
            .contains("default settings are not defined")
    );
}

#[test]
fn limits_count_open_connections() {
    let rules = Rules {
        max_connections: 3,
        max_connections_per_user: 2,
        max_connections_per_host: 2,
        ..Rules::default()
    };
    let groups = json!({"all": {"users": "*", "remoteHosts": "*"}, "many": {"users": "m",
        "remoteHosts": "*", "maxConnectionsPerUser": 3}});
    let policy = policy(vec![vhost("a", rules, &groups).unwrap()]);
    let admit = |connection, user, host| policy.admit(visitor(connection, user, host, "a"));
    let first = admit(1, "u", "1.0.0.1").unwrap();
    let second = admit(2, "u", "1.0.0.2").unwrap();
    assert_eq!(admit(3, "u", "1.0.0.3").map(drop), Err(Denial::PerUser));
    let third = admit(4, "v", "1.0.0.1").unwrap();
    assert_eq!(admit(5, "w", "1.0.0.4").map(drop), Err(Denial::Total));
    drop(second);
    assert_eq!(admit(6, "w", "1.0.0.1").map(drop), Err(Denial::PerHost));
    drop((first, third));
    let held = [
        admit(7, "m", "1.0.0.1").unwrap(),
        admit(8, "m", "1.0.0.2").unwrap(),
        admit(9, "m", "1.0.0.3").unwrap(),
    ];
    let counts = &policy.vhost_counts()[0].1;
    assert_eq!(counts.state()[0].get("m").map(Vec::as_slice), Some(&[7, 8, 9][..]));
    drop(held);
    assert_eq!((counts.current(), counts.connections()), (0, (6, 3)));
    assert!(counts.state()[1].is_empty());
}

#[test]
fn a_router_takes_so_many_clients() {
    let policy =
        Arc::new(Policy::new(PolicyConfig { max_connections: 1, ..PolicyConfig::default() }));
    let first = policy.arrive().unwrap();
    assert!(policy.arrive().is_none());
    drop(first);
    assert!(policy.arrive().is_some());
    assert_eq!(
        (policy.counts().connections(), policy.counts().current(), policy.counts().total()),
        ((3, 1), 0, 1)
    );
}

#[test]
fn links_are_judged_by_number_and_address() {
    let groups = json!({
        "one": {"users": "u", "remoteHosts": "*", "maxSenders": 2, "maxReceivers": 1,
            "targets": "q", "sources": ["q", "r*"]},
        "$connector": {"targets": "*", "allowAnonymousSender": true, "maxSenders": 0},
    });
    let policy = policy(vec![vhost("a", Rules::default(), &groups).unwrap()]);
    let admission = policy.admit(visitor(1, "u", "::1", "a")).unwrap();
    assert_eq!(admission.may_send(0, Some(read("q"))), Verdict::Allowed);
    assert_eq!(admission.may_send(1, Some(read("x"))), Verdict::Forbidden);
    assert_eq!(admission.may_send(1, None), Verdict::Forbidden);
    assert_eq!(admission.may_send(2, Some(read("q"))), Verdict::TooMany);
    assert_eq!(admission.may_receive(0, Some(read("rest"))), Verdict::Allowed);
    assert_eq!(admission.may_receive(0, None), Verdict::Forbidden);
    assert_eq!(admission.may_receive(1, Some(read("q"))), Verdict::TooMany);
    assert!(admission.may_send_message(read("q")) && !admission.may_send_message(read("x")));
    assert_eq!(admission.counts().refused(), [0, 3, 2, 0]);
    assert_eq!((policy.counts().links_denied(), policy.counts().total()), (5, 5));
    let connector = policy.admit_connector("a", "me").unwrap();
    assert_eq!(connector.may_send(1000, None), Verdict::Allowed);
    assert_eq!(policy.admit_connector("b", "me").map(drop), Err(Denial::NoVhost));
}

#[test]
fn addresses_hold_the_users_name() {
    let names = Addresses::names(&list("addr/*, simple, queue.${user}, ${user}.own, a-${user}-b*"))
        .unwrap();
    for (address, allowed) in [
        ("addr/x/y", true),
        ("addr", false),
        ("simple", true),
        ("simple1", false),
        ("queue.u", true),
        ("queue.v", false),
        ("u.own", true),
        ("a-u-bc", true),
        ("a-v-bc", false),
        ("", false),
    ] {
        assert_eq!(names.allow(read(address), "u"), allowed, "{address}");
    }
    let patterns =
        Addresses::patterns(&list("addr/*/queue/*, simple, queue.${user}, ${user}/#")).unwrap();
    for (address, allowed) in [
        ("addr/x/queue/y", true),
        ("addr/queue/one", false),
        ("simple", true),
        ("queue.u", true),
        ("queue.xu", false),
        ("queue.v", false),
        ("u", true),
        ("u/a/b", true),
        ("ux/a", false),
        ("${user}/a", false),
        ("queue.${user}", false),
    ] {
        assert_eq!(patterns.allow(read(address), "u"), allowed, "{address}");
    }
    assert!(!patterns.allow(read("/a"), ""), "nobody has no addresses of their own");
    assert!(Addresses::patterns(&list("abc/${user}.xyz")).is_err());
    assert!(Addresses::names(&list("${user}${user}")).is_err());
}

#[test]
fn rules_are_for_what_the_core_reads() {
    let names = |items: &str| Addresses::names(&list(items)).unwrap();
    let patterns = |items: &str| Addresses::patterns(&list(items)).unwrap();
    for (rules, address, allowed) in [
        // The part that looks like a scheme or a host does not belong to the address.
        (names("foo*"), "foo:/secret", false),
        (names("foo*"), "foo:/$management", false),
        (names("foo*"), "foo://h/_local/$management", false),
        (names("foo*"), "amqp:/foo.bar", true),
        (names("foo*"), "//host/foo", true),
        (names("foo*"), "/foo/", true),
        (names("foo*"), "_local/foo", false),
        (patterns("foo/#"), "foo/x:/secret", false),
        (patterns("foo/#"), "amqp:/foo/x", true),
        // Rules are read as addresses are.
        (names("amqp:/foo, /bar., foo:/x*"), "foo", true),
        (names("amqp:/foo, /bar., foo:/x*"), "bar", true),
        (names("amqp:/foo, /bar., foo:/x*"), "x1", true),
        (patterns("amqp:/foo/*"), "/foo/a", true),
        // A name at this router is one address in every spelling.
        (names("_topo/0/me/temp.*"), "_local/temp.x", true),
        (names("_local/temp.*"), "amqp:/_topo/0/me/temp.x", true),
        (names("_topo/*"), "_edge/me/$management", true),
        (names("_topo/0/other/*"), "_local/$management", false),
        (patterns("_topo/0/me/#"), "_xtopo/n/all/me/$management", true),
        (names("$management"), "_local/$management", false),
        (names("_topo/0/other/*"), "_topo/all/other/$management", true),
        // Another router would read `secret`.
        (names("foo*"), "a:/foo:/secret", false),
        (names("*"), "a:/foo:/secret", true),
        (names("*"), "/", false),
        (patterns("x, #"), "hello//", true),
    ] {
        assert_eq!(rules.allow(read(address), "u"), allowed, "{rules:?} {address}");
    }
    // A user's name is never read as part of a rule.
    let own = names("q.${user}, ${user}*");
    for (address, user, allowed) in [
        ("q.x", "*", false),
        ("q.*", "*", true),
        ("q.", "", false),
        ("x", "", false),
        ("ux", "u", true),
    ] {
        assert_eq!(own.allow(read(address), user), allowed, "{address} {user}");
    }
}

/// The reference. A rule allows an address if it allows a text that the core reads as this address.
fn allowed_texts(rules: &[&str], key: &str, texts: &[String]) -> bool {
    let by = |rule: &str, text: &str| match rule.strip_suffix('*') {
        Some(prefix) => text.starts_with(prefix),
        None => text == rule,
    };
    texts.iter().any(|text| {
        let plain = SPACE.read(text).text() == *text && SPACE.read(text).key().to_string() == key;
        plain && rules.iter().any(|rule| by(rule, text))
    })
}

proptest! {
    /// Compares policy with the core: a verdict holds for the address that the core reads, in every
    /// spelling.
    #[test]
    fn policy_judges_what_the_core_routes(
        rules in prop::collection::vec(
            prop::sample::select(vec![
                "foo*", "foo", "q.*", "$management", "_*", "_local/*", "_local/foo", "_topo/0/*",
                    "_topo/0/me/*", "_topo/0/o/*",
                "_topo/0/o/foo", "_edge/*", "_edge/me/foo", "_edge/o/*", "f*",
            ]),
            1..4,
        ),
        origin in prop::sample::select(vec!["", "/", "//h/", "foo:/", "amqp://foo/", "foo.x:/",
            "_local/:/", "q.:/"]),
        place in prop::sample::select(vec![
            "", "_local/", "_topo/0/me/", "_topo/all/me/", "_xtopo/n/0/me/", "_edge/me/",
                "_xedge/n/me/", "_topo/0/o/",
            "_topo/all/o/", "_topo/0/all/", "_edge/o/", "_topo/7/o/", "_local", "foo:/",
        ]),
        name in prop::sample::select(vec!["foo", "foo.bar", "$management", "q.x", "secret",
            "foo:/secret", "", "_local/foo", "temp.x"]),
        end in prop::sample::select(vec!["", "/", "."]),
    ) {
        let list: Vec<String> = rules.iter().map(|rule| (*rule).to_owned()).collect();
        let judge = Addresses::names(&list).unwrap();
        let text = format!("{origin}{place}{name}{end}");
        let address = SPACE.read(&text);
        let allowed = judge.allow(address, "u");
        let key = address.key().to_string();
        // All texts of the same meaning have the same verdict, and the core reads the same address
        // in them.
        let texts: Vec<String> = address.spellings().map(std::borrow::Cow::into_owned).collect();
        for spelling in &texts {
            for same in [spelling.clone(), format!("/{spelling}"), format!("foo://h/{spelling}"),
                format!("x:/{spelling}/")] {
                prop_assert_eq!(SPACE.read(&same).key().to_string(), &*key, "{}", same);
                prop_assert_eq!(judge.allow(SPACE.read(&same), "u"), allowed, "{}", same);
            }
        }
        prop_assert_eq!(allowed, allowed_texts(&rules, &key, &texts), "{} {:?}", text, rules);
        // A rule for application addresses allows no other address.
        if allowed && rules.iter().all(|rule| !rule.starts_with('_')) {
            prop_assert_eq!(address.key().class, AddressClass::Mobile);
            let text = &address.key().text;
            prop_assert!(rules.iter().any(|rule| text.starts_with(rule.trim_end_matches('*'))));
        }
    }
}

#[test]
fn hosts_are_addresses_ranges_and_names() {
    let hosts = Hosts::parse(["10.0.0.1", "192.168.0.0-192.168.0.255", "fe80::-fe80::ff"]).unwrap();
    let contains = |host: &str| hosts.contains(host.parse::<IpAddr>().unwrap());
    assert!(contains("10.0.0.1") && contains("192.168.0.7") && contains("fe80::1"));
    assert!(!contains("10.0.0.2") && !contains("192.168.1.0") && !contains("::1"));
    assert!(Hosts::parse(["*"]).unwrap().contains("1.2.3.4".parse().unwrap()));
    for wrong in ["10.0.0.2-10.0.0.1", "10.0.0.1-::1", "no such host", ""] {
        assert!(Hosts::parse([wrong]).is_err(), "{wrong}");
    }
}

#[test]
fn vhosts_that_contradict_are_refused_and_leave_no_trace() {
    let groups = json!({"all": {"users": "*", "remoteHosts": "*"}});
    let named = |name, aliases: &str| {
        vhost(name, Rules { aliases: aliases.to_owned(), ..Rules::default() }, &groups)
    };
    let policy = policy(vec![named("a", "b").unwrap()]);
    for (name, aliases) in [("b", ""), ("c", "b"), ("c", "a")] {
        assert!(
            matches!(policy.put(named(name, aliases).unwrap()), Err(PolicyError::Taken { .. })),
            "{name}"
        );
    }
    assert!(named("d", "d").is_err() && named("d", "e, e").is_err());
    policy.put(named("a", "c").unwrap()).unwrap();
    assert!(policy.admit(visitor(1, "u", "::1", "c")).is_ok());
    assert_eq!(policy.admit(visitor(1, "u", "::1", "b")).map(drop), Err(Denial::NoVhost));
    policy.remove("a").unwrap();
    assert_eq!(policy.remove("a"), Err(PolicyError::Unknown { vhost: "a".to_owned() }));
    assert_eq!(policy.admit(visitor(1, "u", "::1", "c")).map(drop), Err(Denial::NoVhost));

    for (wrong, told) in [
        (
            json!({"g": {"sources": "a", "sourcePattern": "a"}}),
            "conflicting 'sources' and 'sourcePattern'",
        ),
        (json!({"g": {"users": "u"}, "h": {"users": "u"}}), "is in multiple user groups"),
        (json!({"g": {"maxSenders": -1}}), "'maxSenders': -1 is no number"),
        (json!({"g": {"allowDynamicSource": "perhaps"}}), "illegal boolean"),
        (json!({"g": []}), "is no map"),
    ] {
        let error = vhost("v", Rules::default(), &wrong).unwrap_err().to_string();
        assert!(
            error.starts_with("Policy 'v' is invalid: Policy vhost 'v' ") && error.contains(told),
            "{error}"
        );
    }
    let odd = vhost("v", Rules::default(), &json!({"g": {"maxConnections": 1}})).unwrap();
    assert_eq!(
        odd.warnings(),
        ["Policy vhost 'v' user group 'g' option 'maxConnections' is ignored."]
    );
}

#[test]
fn names_may_be_patterns() {
    let groups = json!({"all": {"users": "*", "remoteHosts": "*"}});
    let policy = Arc::new(Policy::new(PolicyConfig {
        enabled: true,
        patterns: true,
        ..PolicyConfig::default()
    }));
    policy.put(vhost("#.example.com", Rules::default(), &groups).unwrap()).unwrap();
    assert!(policy.admit(visitor(1, "u", "::1", "a.b.example.com")).is_ok());
    assert_eq!(policy.admit(visitor(1, "u", "::1", "example.org")).map(drop), Err(Denial::NoVhost));
    let same = vhost("#.#.example.com", Rules::default(), &groups).unwrap();
    assert!(policy.put(same).unwrap_err().to_string().contains("pattern conflicts"));
    policy.remove("#.example.com").unwrap();
    assert!(policy.admit(visitor(1, "u", "::1", "example.com")).is_err());
}
