use std::borrow::Cow;
use std::collections::HashMap;

use proptest::prelude::*;

use super::patterns::{PatternError, Patterns, pattern_of_prefix};
use super::*;

fn interior() -> AddressSpace {
    AddressSpace::new(RouterMode::Interior, "me", None)
}

fn classified(space: &AddressSpace, text: &str) -> String {
    space.classify(text).to_string()
}

#[test]
fn interior_classes() {
    let space = interior();
    for (text, key) in [
        ("hello", "Mhello"),
        ("hello/", "Mhello"),
        ("hello.", "Mhello"),
        ("hello//", "Mhello/"),
        ("", "M"),
        ("/", "M"),
        ("_local/qdhello", "Lqdhello"),
        ("amqp:/_local/qdhello", "Lqdhello"),
        ("_topo/all/all/qdrouter", "Tqdrouter"),
        ("_topo/0/all/qdrouter.ma", "Tqdrouter.ma"),
        ("amqp:/_topo/0/me/temp.x", "Ltemp.x"),
        ("_topo/0/me/$management", "L$management"),
        ("_topo/0/me", "Rme"),
        ("_topo/0/me/", "Rme"),
        ("_topo/0/mee/x", "Rmee"),
        ("_topo/0/other/qdrouter", "Rother"),
        ("_topo/0/other", "Rother"),
        ("_topo/all/other/x", "Rother"),
        ("_topo/1/other/x", "A1"),
        ("_edge/me/x", "Lx"),
        ("_edge/e1/temp.y", "He1"),
        ("_edge/e1", "He1"),
        ("_xtopo/net/0/other/x", "Rother"),
        ("_xtopo/net/0/me/x", "Lx"),
        ("_xedge/net/e1/x", "He1"),
        ("_xlocal/x", "M_xlocal/x"),
        ("_other/x", "M_other/x"),
        ("_", "M_"),
    ] {
        assert_eq!(classified(&space, text), key, "{text}");
    }
}

#[test]
fn networks() {
    let space = AddressSpace::new(RouterMode::Interior, "me", Some("n1"));
    assert_eq!(classified(&space, "_xtopo/n1/0/other/x"), "Rother");
    assert_eq!(classified(&space, "_xtopo/0/0/other/x"), "Rother");
    assert_eq!(classified(&space, "_xtopo/n2/0/other/x"), "Nn2");
    assert_eq!(classified(&space, "_xedge/n2/e/x"), "Nn2");
    assert_eq!(classified(&space, "_xedge/n1/me/x"), "Lx");
    assert_eq!(classified(&space, "_topo/0/other/x"), "Rother");
    for none in ["", "0"] {
        let space = AddressSpace::new(RouterMode::Interior, "me", Some(none));
        assert_eq!(classified(&space, "_xtopo/n2/0/other/x"), "Rother");
    }
}

#[test]
fn edge_sends_what_is_not_its_own_to_the_uplink() {
    let space = AddressSpace::new(RouterMode::Edge, "me", Some("n1"));
    assert_eq!(classified(&space, "hello"), "Mhello");
    assert_eq!(classified(&space, "_topo/0/me/x"), "Lx");
    assert_eq!(classified(&space, "_edge/me/x"), "Lx");
    assert_eq!(classified(&space, "_topo/0/all/x"), "Tx");
    // It may be linked with another edge router.
    assert_eq!(classified(&space, "_edge/other/x"), "Hother");
    for beyond in ["_topo/0/other/x", "_topo/9/x/y", "_xtopo/n2/0/me/x", "_xedge/n2/me/x"] {
        assert_eq!(space.classify(beyond), EDGE_UPLINK, "{beyond}");
    }
}

#[test]
fn origins_are_stripped() {
    for (text, rest) in [
        ("amqp://host:5672/queue/a", "queue/a"),
        ("amqp:/queue", "queue"),
        ("//host/queue", "queue"),
        ("/queue", "queue"),
        ("queue", "queue"),
        ("a/b:/c", "c"),
        ("a::/b", "a::/b"),
        ("a:::/b", "b"),
        (":/b", ":/b"),
        (":x:/b", "b"),
        ("amqp:/", "amqp:/"),
        ("amqp://host", "amqp://host"),
        ("amqp://host/", ""),
        ("/", "/"),
        ("//", "//"),
        ("//h", "//h"),
        ("sfe.abcde:0", "sfe.abcde:0"),
        ("ü:/ß", "ß"),
    ] {
        assert_eq!(strip_origin(text), rest, "{text}");
    }
}

fn spelled(space: &AddressSpace, text: &str) -> Vec<String> {
    space.read(text).spellings().map(Cow::into_owned).collect()
}

#[test]
fn every_spelling_of_an_address_is_known() {
    let own = ["_local/$management", "_topo/0/me/$management", "_edge/me/$management"];
    for text in own.into_iter().chain([
        "amqp:/_topo/all/me/$management",
        "//h/_xedge/net/me/$management",
        "x:/_local/$management.",
    ]) {
        assert_eq!(spelled(&interior(), text), own, "{text}");
    }
    for (text, only) in [
        ("foo:/secret", "secret"),
        ("amqp://host/queue/a/", "queue/a"),
        ("_topo/all/other/x", "_topo/0/other/x"),
        ("_topo/all/all/x", "_topo/0/all/x"),
        ("_xedge/net/e1/x", "_edge/e1/x"),
        ("_topo/1/other/x", "_topo/1/other/x"),
        ("_other/x", "_other/x"),
    ] {
        assert_eq!(spelled(&interior(), text), [only], "{text}");
    }
    // The next router reads `c`.
    for text in ["a:/b:/c", "hello//", "//h//x"] {
        assert!(spelled(&interior(), text).is_empty(), "{text}");
    }
    let edge = AddressSpace::new(RouterMode::Edge, "me", None);
    assert_eq!(spelled(&edge, "x:/_topo/all/other/x"), ["_topo/0/other/x"]);
    assert_eq!(edge.read("_topo/0/other/x").key(), EDGE_UPLINK);
}

#[test]
fn a_borrowed_address_finds_the_owned_key() {
    let mut map = HashMap::new();
    map.insert(AddressKey::mobile("hello"), 1);
    map.insert(AddressKey::new(AddressClass::Edge, "hello"), 2);
    let found = |address: AddressRef| map.get(&address as &dyn AddressParts).copied();
    assert_eq!(found(interior().classify("amqp:/hello")), Some(1));
    assert_eq!(found(interior().classify("_edge/hello/x")), Some(2));
    assert_eq!(found(interior().classify("hell")), None);
}

#[test]
fn keys_of_the_wire() {
    assert_eq!(AddressRef::parse("Mhello"), Ok(AddressRef::mobile("hello")));
    assert_eq!(AddressRef::parse("M"), Ok(AddressRef::mobile("")));
    assert_eq!(AddressRef::parse(""), Err(KeyError::Empty));
    assert_eq!(AddressRef::parse("éa"), Err(KeyError::Class('é')));
    assert_eq!(AddressRef::parse("xa"), Err(KeyError::Class('x')));
    let long = format!("M{}", "a".repeat(MAX_KEY_LENGTH));
    assert_eq!(AddressRef::parse(&long), Err(KeyError::TooLong { length: MAX_KEY_LENGTH + 1 }));
}

#[test]
fn treatments() {
    for number in 0..5 {
        let treatment = Treatment::from_wire(number).unwrap();
        assert_eq!(i64::from(treatment.wire()), number);
        if number > 0 {
            assert_eq!(Treatment::from_distribution(treatment.distribution()), Some(treatment));
        }
    }
    assert_eq!(Treatment::from_wire(5), None);
    assert_eq!(Treatment::from_wire(-1), None);
    assert_eq!(Treatment::from_distribution("flood"), None);
}

fn patterns(list: &[&str]) -> Patterns<String> {
    let mut patterns = Patterns::new();
    for pattern in list {
        patterns.insert(pattern, (*pattern).to_owned()).unwrap();
    }
    patterns
}

#[test]
fn exact_goes_before_one_before_many() {
    let patterns = patterns(&["a/b/c", "a/*/c", "a/#", "a", "#", "*/x", "m/#/z"]);
    for (address, pattern) in [
        ("a/b/c", "a/b/c"),
        ("a.b.c", "a/b/c"),
        ("a/q/c", "a/*/c"),
        ("a/q/d", "a/#"),
        ("a/b", "a/#"),
        ("a", "a"),
        ("a/", "a"),
        ("/a", "a"),
        ("//host/a", "a"),
        ("b", "#"),
        ("", "#"),
        ("q/x", "*/x"),
        ("a/x", "a/#"),
        ("m/z", "m/#/z"),
        ("m/1/2/z", "m/#/z"),
        ("m/1/2/z/y", "#"),
    ] {
        assert_eq!(patterns.find(address).map(String::as_str), Some(pattern), "{address}");
    }
}

#[test]
fn a_prefix_matches_itself_and_below() {
    let patterns = patterns(&[&pattern_of_prefix("mc/")]);
    assert!(patterns.find("mc").is_some());
    assert!(patterns.find("mc/sfe.all").is_some());
    assert!(patterns.find("mc.x").is_some());
    assert!(patterns.find("mcx").is_none());
}

#[test]
fn equal_patterns_are_refused_and_removed() {
    let mut patterns = patterns(&["#.*"]);
    assert_eq!(patterns.insert("*/#/#", "".into()), Err(PatternError::Duplicate("*/#/#".into())));
    assert_eq!(patterns.remove("#.#.*").as_deref(), Some("#.*"));
    assert_eq!(patterns.remove("#.*"), None);
    assert!(patterns.find("a").is_none());
    assert_eq!(patterns.insert("/./", "".into()), Err(PatternError::Empty("/./".into())));
    let long = "a/".repeat(patterns::MAX_PATTERN_TOKENS + 1);
    assert_eq!(patterns.insert(&long, "".into()), Err(PatternError::TooLong(long)));
}

#[test]
fn many_wildcards_end_soon() {
    let pattern = "#.a.".repeat(30) + "b";
    let patterns = patterns(&[&pattern]);
    assert!(patterns.find(&"a.".repeat(2000)).is_none());
    assert!(patterns.find(&("a.".repeat(2000) + "b")).is_some());
}

/// Whether the pattern takes the tokens, in the plainest way.
fn plain_match(pattern: &[&str], tokens: &[&str]) -> bool {
    match pattern.split_first() {
        None => tokens.is_empty(),
        Some((&"#", rest)) => (0..=tokens.len()).any(|n| plain_match(rest, &tokens[n..])),
        Some((&first, rest)) => tokens
            .split_first()
            .is_some_and(|(t, others)| (first == "*" || first == *t) && plain_match(rest, others)),
    }
}

proptest! {
    #[test]
    fn classifying_never_fails(text in ".{0,60}", tail in "[a-z/.:_0]{0,30}") {
        for space in [interior(), AddressSpace::new(RouterMode::Edge, "me", Some("n"))] {
            let _ = space.classify(&text);
            let _ = space.classify(&format!("_xtopo/{tail}"));
            let _ = space.classify(&format!("_edge/{tail}"));
            let _ = space.classify(&tail);
        }
    }

    /// A text and each spelling of it are one address, here and at every router on its path.
    #[test]
    fn a_spelling_is_the_address(
        text in prop_oneof![
            ".{0,20}",
            "([a-z]{1,2}:/{1,2}|/{0,2})(h/)?(_(local|x?topo|x?edge)/(all|0|1|n|me)/(all|me|o)?/?)?[\
             a-z.:/_$]{0,6}",
        ],
    ) {
        let other = AddressSpace::new(RouterMode::Interior, "o", None);
        for space in [interior(), AddressSpace::new(RouterMode::Edge, "me", Some("n"))] {
            let address = space.read(&text);
            prop_assert_eq!(address.key(), space.classify(&text));
            for spelling in address.spellings() {
                let again = space.read(&spelling);
                prop_assert_eq!(again.key(), address.key(), "{}", spelling);
                prop_assert_eq!(again.text(), &*spelling);
                prop_assert_eq!(spelled(&space, &spelling), spelled(&space, &text));
                if address.key().class == AddressClass::Mobile {
                    prop_assert_eq!(other.read(&spelling).key(), address.key());
                }
            }
        }
    }

    #[test]
    fn finds_something_exactly_when_a_pattern_matches(
        list in prop::collection::vec(prop::collection::vec(prop::sample::select(vec!["a", "b", "*",
            "#"]), 1..5), 1..6),
        tokens in prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..6),
    ) {
        let mut patterns = Patterns::new();
        for (at, pattern) in list.iter().enumerate() {
            let _ = patterns.insert(&pattern.join("."), at);
        }
        let found = patterns.find(&tokens.join("/"));
        let any = list.iter().any(|pattern| plain_match(pattern, &tokens));
        prop_assert_eq!(found.is_some(), any);
        if let Some(at) = found {
            prop_assert!(plain_match(&list[*at], &tokens));
        }
    }
}
