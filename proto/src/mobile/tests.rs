use super::message::{AddressEntry, Mar, Mau, MauContent};
use super::*;
use crate::address::{AddressKey, Treatment};
use crate::time::Instant;
use crate::topology::{LinkId, RouterIndex, Word};

pub(super) const A: RouterIndex = RouterIndex::OWN;

/// A statement of the router itself, on its own link.
const OWN: Source = Source { via: LinkId(1), word: Word::Own, on_tree: true };

pub(super) fn mobile() -> Mobile {
    Mobile::new("me".into())
}

pub(super) fn at(ms: u64) -> Instant {
    Instant::from_millis(100_000 + ms)
}

pub(super) fn key(text: &str) -> AddressKey {
    AddressKey::mobile(text)
}

pub(super) fn attributes() -> Attributes {
    Attributes::new(Treatment::Balanced)
}

fn entries(texts: &[&str]) -> Vec<AddressEntry> {
    texts.iter().map(|text| AddressEntry::new(&key(text), &attributes())).collect()
}

pub(super) fn change(seq: u64, add: &[&str], del: &[&str]) -> Mau {
    let content =
        MauContent::Change { add: entries(add), del: del.iter().map(|text| key(text)).collect() };
    Mau { id: "a".into(), mobile_seq: seq, content }
}

pub(super) fn whole(seq: u64, all: &[&str]) -> Mau {
    Mau { id: "a".into(), mobile_seq: seq, content: MauContent::Whole(entries(all)) }
}

/// Returns the machine's events, in short.
pub(super) fn said(mobile: &mut Mobile, now: Instant) -> Vec<String> {
    mobile.advance(now);
    let mut said = Vec::new();
    while let Some(event) = mobile.poll_event() {
        said.push(match event {
            MobileEvent::Changed(Mau {
                mobile_seq,
                content: MauContent::Change { add, del },
                ..
            }) => {
                let add: Vec<_> = add.iter().map(|entry| entry.key.to_string()).collect();
                format!("{mobile_seq} +{add:?} -{del:?}")
            }
            MobileEvent::Whole(_, Mau { mobile_seq, content: MauContent::Whole(all), .. }) => {
                format!(
                    "{mobile_seq} ={:?}",
                    all.iter().map(|entry| &entry.key).collect::<Vec<_>>()
                )
            }
            MobileEvent::Request(_, mar) => format!("MAR {}", mar.have_seq),
            MobileEvent::Added(_, key, _) => format!("+{key}"),
            MobileEvent::Updated(_, key, _) => format!("*{key}"),
            MobileEvent::Removed(_, key) => format!("-{key}"),
            other => format!("{other:?}"),
        });
    }
    said
}

#[test]
fn the_first_change_goes_at_once_and_the_next_together() {
    let mut mobile = mobile();
    mobile.set(key("a"), attributes(), Rank::Service);
    assert_eq!(said(&mut mobile, at(0)), [r#"1 +["Ma"] -[]"#]);
    mobile.set(key("b"), attributes(), Rank::Service);
    mobile.set(key("c"), attributes(), Rank::Service);
    mobile.remove(&key("a"));
    assert!(said(&mut mobile, at(1)).is_empty());
    assert_eq!(mobile.poll_timeout(), Some(at(50)));
    assert_eq!(said(&mut mobile, at(50)), [r#"2 +["Mb", "Mc"] -[Ma]"#]);
    assert_eq!(mobile.poll_timeout(), None);
}

#[test]
fn what_cancels_out_is_not_said() {
    let mut mobile = mobile();
    mobile.set(key("a"), attributes(), Rank::Service);
    said(&mut mobile, at(0));
    mobile.remove(&key("a"));
    mobile.set(key("a"), attributes(), Rank::Service);
    mobile.set(key("b"), attributes(), Rank::Service);
    mobile.remove(&key("b"));
    assert!(said(&mut mobile, at(1000)).is_empty());
    assert_eq!(mobile.seq(), 1);
    mobile.set(key("a"), Attributes { in_links: 1, ..attributes() }, Rank::Service);
    assert_eq!(
        said(&mut mobile, at(2000)),
        [r#"2 +["Ma"] -[]"#],
        "another number of senders is said"
    );
    mobile.set(
        AddressKey::new(crate::address::AddressClass::Local, "x"),
        attributes(),
        Rank::Service,
    );
    mobile.remove(&key("never there"));
    assert!(said(&mut mobile, at(3000)).is_empty());
}

#[test]
fn who_asks_is_told_what_goes_with_the_number() {
    let mut mobile = mobile();
    let mar = |have_seq| Mar { id: "a".into(), have_seq };
    mobile.handle_mar(A, &mar(0), at(0), |_| true);
    assert!(said(&mut mobile, at(0)).is_empty(), "nothing to tell");
    mobile.set(key("a"), attributes(), Rank::Service);
    said(&mut mobile, at(0));
    mobile.set(key("b"), attributes(), Rank::Service);
    mobile.remove(&key("a"));
    mobile.handle_mar(A, &mar(0), at(1), |_| true);
    assert_eq!(said(&mut mobile, at(1)), ["1 =[Ma]"], "what is not announced yet is left out");
    mobile.handle_mar(A, &mar(0), at(2), |_| true);
    assert!(said(&mut mobile, at(2)).is_empty(), "just told");
    mobile.handle_mar(A, &mar(1), at(2), |_| true);
    said(&mut mobile, at(60));
    mobile.handle_mar(A, &mar(1), at(61), |_| true);
    assert_eq!(said(&mut mobile, at(61)), ["2 =[Mb]"]);
    mobile.handle_mar(A, &mar(2), at(200), |_| true);
    assert!(said(&mut mobile, at(200)).is_empty(), "it has all");
}

#[test]
fn changes_are_applied_in_sequence() {
    let mut mobile = mobile();
    mobile.reachable(A, true);
    mobile.handle_mau(A, &change(1, &["x", "y"], &[]), OWN, at(0));
    assert_eq!(said(&mut mobile, at(0)), ["+Mx", "+My"]);
    mobile.handle_mau(A, &change(2, &["z"], &["x", "unknown"]), OWN, at(0));
    assert_eq!(said(&mut mobile, at(10)), ["+Mz", "-Mx"]);
    mobile.handle_mau(A, &change(2, &["q"], &[]), OWN, at(0));
    mobile.handle_mau(A, &change(1, &["q"], &[]), OWN, at(0));
    assert!(said(&mut mobile, at(20)).is_empty(), "copies");
    mobile.handle_mau(A, &change(4, &["q"], &[]), OWN, at(0));
    assert_eq!(said(&mut mobile, at(30)), ["MAR 2"], "a gap");
    mobile.handle_mau(A, &change(5, &["q"], &[]), OWN, at(0));
    assert!(said(&mut mobile, at(40)).is_empty(), "one is outstanding");
    assert_eq!(said(&mut mobile, at(1030)), ["MAR 2"]);
    mobile.handle_mau(A, &whole(5, &["y", "q"]), OWN, at(0));
    assert_eq!(said(&mut mobile, at(1040)), ["-Mz", "+Mq"]);
    assert_eq!(mobile.known(A), 5);
    assert!(said(&mut mobile, at(9000)).is_empty());
}

#[test]
fn an_answer_that_was_overtaken_is_not_applied() {
    let mut mobile = mobile();
    mobile.reachable(A, true);
    mobile.handle_mau(A, &whole(3, &["x"]), OWN, at(0));
    mobile.handle_mau(A, &change(4, &["y"], &[]), OWN, at(0));
    said(&mut mobile, at(0));
    mobile.handle_mau(A, &whole(3, &["x"]), OWN, at(0));
    assert!(said(&mut mobile, at(1)).is_empty());
    mobile.handle_mau(A, &whole(4, &["x"]), OWN, at(0));
    assert_eq!(said(&mut mobile, at(2)), ["-My"], "the router's word");
}

#[test]
fn an_advertised_number_is_asked_for_when_there_is_a_way() {
    let mut mobile = mobile();
    mobile.advertised(A, 3, None, at(0));
    assert!(said(&mut mobile, at(0)).is_empty());
    mobile.reachable(A, true);
    assert_eq!(said(&mut mobile, at(5)), ["MAR 0"]);
    mobile.handle_mau(A, &whole(3, &["x"]), OWN, at(0));
    said(&mut mobile, at(10));
    // The next number alone is probably under way.
    mobile.advertised(A, 4, None, at(500));
    assert!(said(&mut mobile, at(500)).is_empty());
    mobile.handle_mau(A, &change(4, &[], &["x"]), OWN, at(0));
    assert_eq!(said(&mut mobile, at(520)), ["-Mx"]);
    mobile.advertised(A, 5, None, at(1000));
    assert!(said(&mut mobile, at(1249)).is_empty());
    assert_eq!(mobile.poll_timeout(), Some(at(1250)));
    assert_eq!(said(&mut mobile, at(1250)), ["MAR 4"]);
    mobile.advertised(A, 7, None, at(1300));
    mobile.handle_mau(A, &whole(5, &[]), OWN, at(0));
    assert!(said(&mut mobile, at(1299)).is_empty());
    assert_eq!(said(&mut mobile, at(1300)), ["MAR 5"], "the rest, after a distance");
}

#[test]
fn a_flushed_router_begins_anew() {
    let mut mobile = mobile();
    mobile.reachable(A, true);
    mobile.handle_mau(A, &whole(9, &["x", "y"]), OWN, at(0));
    said(&mut mobile, at(0));
    mobile.flush(A, true);
    let mut removed = said(&mut mobile, at(0));
    removed.sort();
    assert_eq!(removed, ["-Mx", "-My"]);
    mobile.handle_mau(A, &change(1, &["x"], &[]), OWN, at(0));
    assert_eq!(said(&mut mobile, at(0)), ["+Mx"]);
    mobile.discovered(A, at(2000));
    assert!(said(&mut mobile, at(2000)).is_empty(), "it has spoken");
    mobile.flush(A, true);
    said(&mut mobile, at(3000));
    mobile.discovered(A, at(3000));
    mobile.discovered(A, at(3000));
    assert_eq!(said(&mut mobile, at(3000)), ["MAR 0"]);
}

#[test]
fn attributes_that_change_are_told() {
    let mut mobile = mobile();
    mobile.handle_mau(A, &change(1, &["x"], &[]), OWN, at(0));
    said(&mut mobile, at(0));
    let mut again = change(2, &["x"], &[]);
    mobile.handle_mau(A, &again, OWN, at(0));
    assert!(said(&mut mobile, at(0)).is_empty());
    if let MauContent::Change { add, .. } = &mut again.content {
        add[0].attributes.sole_mesh = Some("mesh".into());
    }
    again.mobile_seq = 3;
    mobile.handle_mau(A, &again, OWN, at(0));
    assert_eq!(said(&mut mobile, at(0)), ["*Mx"]);
}

#[test]
fn too_many_addresses_are_not_kept() {
    let mut mobile = mobile();
    let texts: Vec<String> = (0..2000).map(|n| format!("{n:04}{}", "x".repeat(4000))).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    mobile.handle_mau(A, &change(1, &texts, &[]), OWN, at(0));
    let said = said(&mut mobile, at(0));
    assert_eq!(said.iter().filter(|line| line.starts_with("TooMany")).count(), 1);
    let octets: usize = mobile.addresses(A).map(|(key, _)| key.wire_len()).sum();
    assert!(octets <= MAX_ADDRESS_OCTETS && octets > MAX_ADDRESS_OCTETS - 5000);
    mobile.handle_mau(A, &change(2, &[], &texts), OWN, at(0));
    assert_eq!(mobile.addresses(A).count(), 0);
    assert_eq!(mobile.remotes[&A].octets, 0);
}

#[test]
fn who_was_away_is_asked_when_it_is_back() {
    let mut mobile = mobile();
    mobile.reachable(A, true);
    mobile.handle_mau(A, &whole(9, &["x"]), OWN, at(0));
    mobile.reachable(A, false);
    mobile.flush(A, false);
    assert_eq!(said(&mut mobile, at(0)), ["+Mx", "-Mx"]);
    mobile.reachable(A, true);
    assert_eq!(said(&mut mobile, at(10)), ["MAR 0"]);
}
