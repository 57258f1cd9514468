//! Neighbors that lie: what they can make this router believe, do and keep.

use core::time::Duration;
use std::sync::Arc;

use super::machine::{A, B, MS, Me, SECOND};
use crate::address::{AddressKey, Treatment};
use crate::mobile::message::*;
use crate::mobile::{Attributes, Rank};
use crate::routing::*;
use crate::topology::ANSWERS;
use crate::topology::message::*;
use crate::topology::*;

/// A router with neighbors `a` and `b`, each with a link to this router and no other, and `x`
/// behind `a`; at rest.
fn neighbors() -> Me {
    let mut me = Me::with_neighbor();
    me.lsu(A, &["a"], 1, 2, &[("me", 1), ("x", 1)]);
    me.up(B, 1);
    me.hello(B, "b", 1, &["me"]);
    me.lsu(B, &["b"], 1, 1, &[("me", 1)]);
    me.ra(A, &["x", "a"], 1, 1, 0);
    me.lsu(A, &["x", "a"], 1, 1, &[("a", 1)]);
    me.pass_with(SECOND * 10, &[(A, "a"), (B, "b")]);
    me.opcodes();
    me.notices();
    me
}

fn ls_seq(me: &Me, id: &str) -> u64 {
    me.routing.routers().find(|router| &*router.id == id).map_or(0, |router| router.ls_seq)
}

#[test]
fn a_message_says_truly_from_which_neighbor_it_came() {
    let mut me = neighbors();
    let traces: [&[&str]; 5] = [&["x"], &["x", "a"], &["x", "b", "a"], &["x", "y"], &[]];
    for trace in traces {
        let ra = Ra { id: "x".into(), instance: Some(1), ls_seq: 9, mobile_seq: 9, digests: None };
        me.take(B, trace, true, Message::Ra(ra));
        assert!(me.relayed.is_empty() && me.opcodes().is_empty(), "{trace:?}");
    }
    me.ra(B, &["x", "b"], 1, 9, 9);
    assert_eq!((me.relayed.clone(), me.opcodes()), (vec![A], vec!["MAR", "LSR"]));
    // A router that leaves the trace out can speak for itself, and for no other.
    let ra = Ra { id: "b".into(), instance: Some(1), ls_seq: 2, mobile_seq: 0, digests: None };
    me.take(B, &[], true, Message::Ra(ra));
    assert_eq!((me.relayed.clone(), me.opcodes()), (vec![], vec!["LSR"]));
}

#[test]
fn what_names_a_neighbor_is_believed_only_from_it() {
    let mut me = neighbors();
    for trace in [["a", "b"].as_slice(), &["a", "x", "b"]] {
        me.ra(B, trace, 1, 99, 99);
        me.ra(B, trace, 5, 1, 1);
        me.lsu(B, trace, 1, 99, &[]);
        me.lsu(B, trace, 1, 2, &[]);
        me.take(B, trace, false, Message::Mar(Mar { id: "a".into(), have_seq: 0 }));
        me.take(
            B,
            trace,
            false,
            Message::Mau(Mau { id: "a".into(), mobile_seq: 0, content: MauContent::Whole(vec![]) }),
        );
        assert!(me.relayed.is_empty());
    }
    // It may mean that its own link is no longer its shortest path: so this router asks it.
    let asked = me.sent();
    assert_eq!(asked, [("LSR", vec![A], router_address("a"))]);
    me.lsu(B, &["a", "b"], 1, 99, &[]);
    me.lsu(B, &["a", "b"], 1, 99, &[("me", 1), ("x", 1)]);
    me.pass(MS * 10);
    assert!(me.notices().is_empty() && me.route("x").is_some());
    assert_eq!(ls_seq(&me, "a"), 2);
}

#[test]
fn a_neighbor_with_a_shorter_way_than_its_own_link_is_heard_by_that() {
    let mut me = Me::new();
    me.up(A, 9);
    me.hello(A, "a", 1, &["me"]);
    me.up(B, 1);
    me.hello(B, "b", 1, &["me"]);
    me.ra(B, &["b"], 1, 1, 0);
    me.lsu(B, &["b"], 1, 1, &[("me", 1), ("a", 1)]);
    me.ra(A, &["a"], 1, 1, 0);
    me.lsu(A, &["a"], 1, 1, &[("me", 9)]);
    me.pass_with(SECOND * 10, &[(A, "a"), (B, "b")]);
    me.sent();
    // A C router sends its RA by the shortest paths, and its answers too.
    me.ra(B, &["a", "b"], 1, 2, 0);
    me.pass(MS * 10);
    assert_eq!(me.opcodes(), ["LSR"]);
    me.lsu(B, &["a", "b"], 1, 2, &[("me", 9), ("b", 1)]);
    me.pass(MS * 200);
    assert_eq!(ls_seq(&me, "a"), 2);
    me.ra(B, &["a", "b"], 1, 3, 1);
    assert_eq!(me.opcodes().len(), 2, "it is believed there from now on");
}

#[test]
fn a_routers_own_word_beats_a_forged_sequence() {
    let mut me = neighbors();
    me.ra(B, &["x", "b"], 1, u64::MAX >> 1, 0);
    me.lsu(B, &["x", "b"], 1, u64::MAX >> 1, &[]);
    me.pass(MS * 600);
    assert_eq!(ls_seq(&me, "x"), u64::MAX >> 1);
    me.opcodes();
    me.ra(A, &["x", "a"], 1, 1, 0);
    assert_eq!(me.opcodes(), ["LSR"]);
    me.lsu(A, &["x", "a"], 1, 1, &[("a", 1), ("y", 1)]);
    me.pass(MS * 200);
    assert_eq!(ls_seq(&me, "x"), 1);
    assert!(me.route("y").is_some());
    // A link state above that is not believed.
    me.lsu(B, &["x", "b"], 1, 2, &[]);
    me.pass(MS * 200);
    assert!(me.route("y").is_some());
}

#[test]
fn an_answer_bears_out_what_is_known_when_an_old_ra_comes_late() {
    let mut me = neighbors();
    me.ra(A, &["x", "a"], 1, 2, 0);
    me.lsu(A, &["x", "a"], 1, 2, &[("a", 1)]);
    me.pass(SECOND * 2);
    me.opcodes();
    me.ra(A, &["x", "a"], 1, 1, 0);
    assert_eq!(me.opcodes(), ["LSR"]);
    me.lsu(A, &["x", "a"], 1, 2, &[("a", 1)]);
    me.pass_with(SECOND * 10, &[(A, "a"), (B, "b")]);
    assert!(!me.opcodes().contains(&"LSR"));
}

#[test]
fn a_restart_that_others_tell_of_is_believed_when_the_router_confirms_it() {
    let mut me = neighbors();
    me.ra(B, &["x", "b"], 7, 1, 0);
    assert_eq!((me.opcodes(), me.notices(), me.relayed.clone()), (vec!["LSR"], vec![], vec![A]));
    assert!(me.route("x").is_some());
    me.lsu(A, &["x", "a"], 1, 1, &[("a", 1)]);
    me.pass_with(SECOND * 5, &[(A, "a"), (B, "b")]);
    assert_eq!((me.notices(), me.opcodes().contains(&"LSR")), (vec![], false), "it is not so");
    me.lsu(B, &["x", "b"], 7, 1, &[]);
    assert_eq!(me.notices(), []);
    me.ra(A, &["x", "a"], 8, 1, 0);
    me.lsu(A, &["x", "a"], 8, 1, &[("a", 1)]);
    assert_eq!(me.notices(), [Notice::Restarted { id: "x".into() }]);
    me.pass(MS * 200);
    assert!(me.route("x").is_some());
}

#[test]
fn a_hello_that_came_from_afar_is_none() {
    let mut me = neighbors();
    for trace in [["b", "a"].as_slice(), &["a", "a"]] {
        me.take(
            A,
            trace,
            false,
            Message::Hello(Hello { id: "a".into(), instance: Some(9), seen: vec!["me".into()] }),
        );
    }
    me.take(
        A,
        &["a"],
        true,
        Message::Hello(Hello { id: "a".into(), instance: Some(9), seen: vec!["me".into()] }),
    );
    assert_eq!((me.notices(), me.opcodes()), (vec![], vec![]));
}

#[test]
fn who_uses_a_neighbors_id_is_ignored_when_that_goes_on_speaking() {
    let mut me = Me::with_neighbor();
    me.pass(SECOND);
    me.hello(A, "a", 1, &["me"]);
    me.up(B, 1);
    me.hello(B, "a", 2, &["me"]);
    assert_eq!(me.route("a").map(|route| route.link), Some(B), "it may have been killed");
    let mut away = Duration::ZERO;
    for _ in 0..60 {
        me.pass(MS * 500);
        me.hello(B, "a", 2, &["me"]);
        me.hello(A, "a", 1, &["me"]);
        if me.route("a").map(|route| route.link) != Some(A) {
            away += MS * 500;
        }
    }
    assert!(away <= SECOND * 4, "{away:?}");
    let problem = me.routing.links().nth(1).and_then(|link| link.problem.clone());
    assert_eq!(problem, Some(LinkProblem::SecondLife("a".into())));
    let restarts =
        me.notices().into_iter().filter(|notice| matches!(notice, Notice::Restarted { .. }));
    assert_eq!(restarts.count(), 2);
    // The one that is left when the other is silent is the neighbor.
    for _ in 0..8 {
        me.pass(MS * 500);
        me.hello(B, "a", 2, &["me"]);
    }
    assert_eq!(me.route("a").map(|route| route.link), Some(B));
}

#[test]
fn new_lives_of_a_neighbor_make_this_router_speak_once_a_second() {
    let mut me = neighbors();
    let mut said = 0;
    for n in 0..1000 {
        me.hello(A, "a", 100 + n, &["me"]);
        me.hello(B, "b", 1, &["me"]);
        said += me.opcodes().iter().filter(|opcode| **opcode == "RA").count();
        me.pass(MS * 10);
        said += me.opcodes().iter().filter(|opcode| **opcode == "RA").count();
    }
    assert!(said <= 50, "{said} RAs in ten seconds");
}

/// Returns the bytes of answers to a second of requests in the names of a thousand routers.
#[test]
fn answers_to_requests_that_come_by_one_neighbor_are_limited() {
    let mut me = neighbors();
    for n in 0..20_000 {
        let address = AddressKey::mobile(format!("address-{n:05}-{}", "x".repeat(40)));
        me.routing.set_address(
            address,
            Attributes::new(Treatment::Balanced),
            Rank::Service,
            me.now + MS,
        );
    }
    let names: Vec<String> = (0..1000).map(|n| format!("x{n}")).collect();
    let peers: Vec<(&str, u32)> =
        names.iter().map(|id| (id.as_str(), 1)).chain([("me", 1), ("x", 1)]).collect();
    me.ra(A, &["a"], 1, 3, 0);
    me.lsu(A, &["a"], 1, 3, &peers);
    me.pass_with(SECOND * 3, &[(A, "a"), (B, "b")]);
    me.sent.clear();
    let mut octets = 0;
    for _ in 0..100 {
        for id in &names {
            me.take(
                A,
                &[id, "a"],
                false,
                Message::Mar(Mar { id: Arc::from(id.as_str()), have_seq: 0 }),
            );
            me.take(A, &[id, "a"], false, Message::Lsr(Lsr { id: Arc::from(id.as_str()) }));
            let answers = me
                .sent
                .drain(..)
                .filter(|sent| matches!(sent.message, Message::Mau(_) | Message::Lsu(_)));
            octets += answers.map(|answer| answer.encode("0/me").len()).sum::<usize>();
        }
        me.pass(MS * 10);
    }
    let limit = usize::try_from(ANSWERS).unwrap();
    assert!(octets > limit / 2 && octets < 3 * limit, "{octets}");
    // Another neighbor has an allowance of its own.
    me.take(B, &["b"], false, Message::Mar(Mar { id: "b".into(), have_seq: 0 }));
    assert_eq!(me.opcodes().last(), Some(&"MAU"));
}

#[test]
fn link_states_share_the_places() {
    let mut me = Me::with_neighbor();
    let names: Vec<String> = (0..1000).map(|n| format!("x{n:03}")).collect();
    let peers: Vec<(&str, u32)> = names.iter().map(|id| (id.as_str(), 1)).collect();
    me.lsu(A, &["a"], 1, 2, &peers);
    for id in &names {
        me.lsu(A, &[id, "a"], 1, 1, &peers);
    }
    let edges = |me: &Me| me.routing.routers().map(|router| router.peers.len()).sum::<usize>();
    assert!(edges(&me) <= MAX_EDGES / 2 && edges(&me) > MAX_EDGES / 2 - 1000, "{}", edges(&me));
    me.up(B, 1);
    me.hello(B, "b", 1, &["me"]);
    me.lsu(B, &["b"], 1, 1, &peers);
    let known =
        me.routing.routers().find(|router| &*router.id == "b").map(|router| router.peers.len());
    assert_eq!(known, Some(1000), "another neighbor has places");
}

#[test]
fn a_change_is_believed_and_passed_on_along_the_tree_of_its_router_only() {
    let mut me = neighbors();
    let entry = AddressEntry {
        key: AddressKey::mobile("s"),
        attributes: Attributes::new(Treatment::Balanced),
    };
    let content = MauContent::Change { add: vec![entry], del: vec![] };
    let change = || Message::Mau(Mau { id: "x".into(), mobile_seq: 1, content: content.clone() });
    me.ra(A, &["x", "a"], 1, 1, 1);
    let x = me.routing.routes().router("x").unwrap();
    me.take(B, &["x", "b"], true, change());
    assert_eq!((me.relayed.clone(), me.routing.addresses(x).count()), (vec![], 0));
    me.take(A, &["x", "a"], true, change());
    assert_eq!((me.relayed.clone(), me.routing.addresses(x).count()), (vec![B], 1));
}
