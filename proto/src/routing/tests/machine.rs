//! The rules of the machine one by one, with neighbors played by hand.

use core::time::Duration;
use std::sync::Arc;

use crate::address::{AddressKey, Treatment};
use crate::annotations::{Flags, OutgoingAnnotations, Parsed, node_text, parse};
use crate::mobile::message::*;
use crate::mobile::{Attributes, Rank};
use crate::routing::*;
use crate::time::Instant;
use crate::topology::message::*;
use crate::topology::*;

pub(super) const A: LinkId = LinkId(1);
pub(super) const B: LinkId = LinkId(2);

/// A router `me`, whose neighbors the test plays.
pub(super) struct Me {
    pub(super) routing: RoutingProtocol,
    pub(super) now: Instant,
    pub(super) sent: Vec<Envelope>,
    notices: Vec<Notice>,
    pub(super) relayed: Vec<LinkId>,
}

impl Me {
    pub(super) fn new() -> Self {
        Self::with(Config::new("me", 7))
    }

    pub(super) fn with(config: Config) -> Self {
        let now = Instant::from_millis(100_000);
        let routing = RoutingProtocol::new(config, now);
        Self { routing, now, sent: Vec::new(), notices: Vec::new(), relayed: Vec::new() }
    }

    pub(super) fn drain(&mut self) {
        while let Some(action) = self.routing.poll_action() {
            match action {
                Action::Send(envelope) => self.sent.push(envelope),
                Action::Notice(notice) => self.notices.push(notice),
                _ => {}
            }
        }
    }

    pub(super) fn up(&mut self, link: LinkId, cost: u32) {
        self.routing.link_up(link, cost, self.now);
        self.drain();
    }

    pub(super) fn down(&mut self, link: LinkId) {
        self.routing.link_down(link, self.now);
        self.drain();
    }

    /// Takes a message from the neighbor on a link, which came through `trace`.
    pub(super) fn take(&mut self, link: LinkId, trace: &[&str], flooded: bool, message: Message) {
        let mut section = Vec::new();
        OutgoingAnnotations::of_edge(Flags::default(), None).encode(&mut section);
        for id in trace {
            let own = node_text(id);
            let mut next = Vec::new();
            match parse(&section) {
                Ok(Parsed::Present(annotations)) => annotations.forwarded(&own).encode(&mut next),
                other => panic!("{other:?}"),
            }
            section = next;
        }
        let Ok(Parsed::Present(annotations)) = parse(&section) else { panic!() };
        let arrival = Arrival { link, trace: annotations.trace, flooded };
        self.relayed = self.routing.handle_message(&arrival, &message, self.now);
        self.drain();
    }

    pub(super) fn hello(&mut self, link: LinkId, id: &str, instance: i64, seen: &[&str]) {
        let seen = seen.iter().map(|id| Arc::from(*id)).collect();
        self.take(
            link,
            &[id],
            false,
            Message::Hello(Hello { id: id.into(), instance: Some(instance), seen }),
        );
    }

    pub(super) fn ra(
        &mut self,
        link: LinkId,
        trace: &[&str],
        instance: i64,
        ls_seq: u64,
        mobile_seq: u64,
    ) {
        let ra =
            Ra { id: trace[0].into(), instance: Some(instance), ls_seq, mobile_seq, digests: None };
        self.take(link, trace, true, Message::Ra(ra));
    }

    pub(super) fn lsu(
        &mut self,
        link: LinkId,
        trace: &[&str],
        instance: i64,
        ls_seq: u64,
        peers: &[(&str, u32)],
    ) {
        let peers = peers.iter().map(|(id, cost)| (Arc::from(*id), *cost)).collect();
        let lsu = Lsu { id: trace[0].into(), instance: Some(instance), ls_seq, peers };
        self.take(link, trace, false, Message::Lsu(lsu));
    }

    /// Lets time pass, waking the machine when it asks to be.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.routing.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.routing.handle_timeout(self.now);
            self.drain();
            assert!(
                self.routing.poll_timeout().is_none_or(|due| due > self.now),
                "the machine is never at rest"
            );
        }
        self.now = end;
    }

    /// Stands still for a while, and hears nothing.
    pub(super) fn pause(&mut self, time: Duration) {
        self.now += time;
        self.routing.handle_timeout(self.now);
        self.drain();
    }

    /// Lets time pass while the routers on these links go on with HELLO.
    pub(super) fn pass_with(&mut self, time: Duration, links: &[(LinkId, &str)]) {
        let end = self.now + time;
        while self.now < end {
            self.pass(Duration::from_millis(500));
            for (link, id) in links {
                self.hello(*link, id, 1, &["me"]);
            }
        }
    }

    /// Returns the opcodes sent since the last question, each with its links and address.
    pub(super) fn sent(&mut self) -> Vec<(&'static str, Vec<LinkId>, String)> {
        self.sent
            .drain(..)
            .map(|sent| (sent.message.opcode(), sent.links, sent.to.into_owned()))
            .collect()
    }

    pub(super) fn opcodes(&mut self) -> Vec<&'static str> {
        self.sent().into_iter().map(|(opcode, ..)| opcode).collect()
    }

    pub(super) fn notices(&mut self) -> Vec<Notice> {
        core::mem::take(&mut self.notices)
    }

    pub(super) fn neighbors(&self) -> Vec<String> {
        self.routing.neighbors().map(|neighbor| neighbor.id.to_string()).collect()
    }

    pub(super) fn route(&self, id: &str) -> Option<Route> {
        let routes = self.routing.routes();
        routes.route(routes.router(id)?)
    }

    /// Lets `steps` pass, in which neighbor `a` goes on saying HELLO. Returns the whole seconds
    /// from here to each RA.
    fn advertising_times(&mut self, steps: usize, step: Duration) -> Vec<u64> {
        let start = self.now;
        let mut times = Vec::new();
        for _ in 0..steps {
            self.pass_with(step, &[(A, "a")]);
            if self.opcodes().contains(&"RA") {
                times.push((self.now - start).as_secs());
            }
        }
        times
    }

    /// Makes a router with neighbor `a` on link A, whose link state is known.
    pub(super) fn with_neighbor() -> Self {
        let mut me = Self::new();
        me.up(A, 1);
        me.hello(A, "a", 1, &["me"]);
        me.lsu(A, &["a"], 1, 1, &[("me", 1)]);
        me.sent();
        me.notices();
        me
    }
}

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MS: Duration = Duration::from_millis(1);

#[test]
fn hello_goes_at_once_then_every_second_and_early_only_when_somebody_new_is_heard() {
    let mut me = Me::new();
    me.pass(SECOND * 5);
    assert!(me.sent().is_empty(), "nobody to say it to");
    me.up(A, 1);
    assert_eq!(me.sent(), [("HELLO", vec![A], HELLO_ADDRESS.to_owned())]);
    me.pass(MS * 100);
    me.hello(A, "a", 1, &[]);
    assert_eq!(me.opcodes(), ["HELLO"], "now it is heard");
    for _ in 0..5 {
        me.hello(A, "a", 1, &[]);
    }
    assert!(me.sent().is_empty(), "a HELLO is no question");
    me.pass(MS * 899);
    assert!(me.sent().is_empty());
    me.pass(MS);
    assert_eq!(me.opcodes(), ["HELLO"]);
    assert!(me.neighbors().is_empty(), "it does not hear this router");
}

#[test]
fn a_neighbor_is_who_hears_this_router() {
    let mut me = Me::new();
    me.up(A, 3);
    me.hello(A, "a", 1, &["x", "me"]);
    let sent = me.sent();
    let opcodes: Vec<_> = sent.iter().map(|(opcode, ..)| *opcode).collect();
    assert_eq!(opcodes, ["HELLO", "HELLO", "RA", "LSR"]);
    assert_eq!(sent[3].2, "amqp:/_topo/0/a/qdrouter");
    assert_eq!(me.notices(), [Notice::NeighborUp { id: "a".into(), link: A, cost: 3 }]);
    assert_eq!(
        (me.route("a").map(|route| (route.link, route.cost, route.hops)), me.routing.ls_seq()),
        (Some((A, 3, 1)), 1)
    );
    // RA is repeated 1, 2, 4 and 8 s after a change, then every 30 s.
    let times = me.advertising_times(100, MS * 500);
    assert_eq!(times, [1, 2, 4, 8, 38]);
}

#[test]
fn a_change_may_be_advertised_more_often_for_a_while() {
    let mut me =
        Me::with(Config { ra_interval_flux: Duration::from_secs(3), ..Config::new("me", 7) });
    me.up(A, 1);
    me.hello(A, "a", 1, &["me"]);
    me.opcodes();
    let times = me.advertising_times(50, SECOND);
    // The last pause of three seconds would end behind six.
    assert_eq!(times, [1, 2, 4, 8, 38]);
    let mut me =
        Me::with(Config { ra_interval_flux: Duration::from_secs(10), ..Config::new("me", 7) });
    me.up(A, 1);
    me.hello(A, "a", 1, &["me"]);
    me.opcodes();
    let times = me.advertising_times(50, SECOND);
    assert_eq!(times, [1, 2, 4, 8, 18, 48]);
}

#[test]
fn a_silent_neighbor_is_lost_after_three_seconds_and_a_cut_off_one_at_once() {
    let mut me = Me::with_neighbor();
    me.pass(MS * 2999);
    assert_eq!(me.neighbors(), ["a"]);
    me.pass(MS);
    assert!(me.neighbors().is_empty());
    assert_eq!(me.notices(), [Notice::NeighborLost { id: "a".into() }]);
    assert_eq!((me.route("a"), me.routing.ls_seq()), (None, 2));
    me.hello(A, "a", 1, &["me"]);
    assert_eq!(me.neighbors(), ["a"]);
    me.pass(SECOND);
    me.down(A);
    assert!(me.neighbors().is_empty());
    // A router that does not hear this one is no neighbor, though it is heard.
    me.up(A, 1);
    me.hello(A, "a", 1, &["me"]);
    for _ in 0..7 {
        me.pass(MS * 500);
        me.hello(A, "a", 1, &[]);
    }
    assert!(me.neighbors().is_empty());
}

#[test]
fn a_neighbor_is_not_lost_while_this_router_did_not_run() {
    let mut me = Me::with_neighbor();
    me.ra(A, &["x", "a"], 1, 1, 0);
    me.lsu(A, &["a"], 1, 2, &[("me", 1), ("x", 1)]);
    me.lsu(A, &["x", "a"], 1, 1, &[("a", 1)]);
    me.pass_with(SECOND * 10, &[(A, "a")]);
    me.pass(MS * 300);
    me.notices();
    me.sent();
    me.pause(SECOND * 300);
    assert_eq!((me.neighbors(), me.notices()), (vec!["a".to_owned()], vec![]));
    assert_eq!(
        me.sent().iter().filter(|(opcode, ..)| *opcode == "HELLO").count(),
        1,
        "it says at once that it is there"
    );
    let Some(Route { hops: 2, .. }) = me.route("x") else { panic!("x is lost") };
    let news = me.routing.routers().find(|router| &*router.id == "x").map(|router| router.news);
    assert!(me.now.since(news.unwrap()) > SECOND * 300, "when it was heard of is told as it was");
    // It may have been stopped as well, and speaks again; so does x.
    me.pass(SECOND);
    me.hello(A, "a", 1, &["me"]);
    me.pass_with(SECOND * 40, &[(A, "a")]);
    me.ra(A, &["x", "a"], 1, 1, 0);
    me.ra(A, &["a"], 1, 2, 0);
    me.pass_with(SECOND * 59, &[(A, "a")]);
    assert!(me.notices().is_empty() && me.route("x").is_some());
    // A router that stays silent is lost in the end.
    me.pass_with(SECOND, &[(A, "a")]);
    assert!(me.route("x").is_none());
    me.pause(SECOND * 300);
    me.pass(SECOND * 2 - MS);
    assert_eq!(me.notices(), []);
    me.pass(SECOND);
    assert_eq!(me.notices(), [Notice::NeighborLost { id: "a".into() }]);
}

#[test]
fn a_silence_of_which_this_router_heard_a_part_counts_by_that_part() {
    // The next deadline is that of the neighbor's silence.
    let silent = || {
        let mut me = Me::with_neighbor();
        me.pass_with(SECOND * 10, &[(A, "a")]);
        me.pass(MS * 2500);
        me.notices();
        me
    };
    // Tasks of a loaded machine are late now and then: that prolongs nothing.
    let mut me = silent();
    me.pause(MS * 900);
    assert_eq!(me.notices(), [Notice::NeighborLost { id: "a".into() }]);
    // Messages that came during a pause lie unread: they are read before the neighbor is lost.
    let mut me = silent();
    me.pause(SECOND * 5);
    me.pass(MS * 400);
    assert_eq!(me.notices(), []);
    me.hello(A, "a", 1, &["me"]);
    me.pass(MS * 2999);
    assert_eq!(me.notices(), []);
    let mut me = silent();
    me.pause(SECOND * 5);
    me.pass(MS * 500);
    assert_eq!(me.notices(), [Notice::NeighborLost { id: "a".into() }]);
    // A silence that was too long before stays so.
    let mut me = silent();
    me.pass(SECOND);
    assert_eq!(me.notices(), [Notice::NeighborLost { id: "a".into() }]);
    me.sent();
    me.pause(SECOND * 5);
    assert!(me.neighbors().is_empty());
    let Some(Message::Hello(hello)) = me.sent.pop().map(|sent| sent.message) else {
        panic!("no HELLO")
    };
    assert!(hello.seen.is_empty());
}

#[test]
fn own_changes_are_announced_ever_more_rarely() {
    let mut me = Me::new();
    let mut seqs = Vec::new();
    for n in 0..100_u64 {
        let link = LinkId(10 + n);
        me.up(link, 1);
        me.hello(link, &format!("n{n}"), 1, &["me"]);
        me.pass(MS * 10);
        seqs.push(me.routing.ls_seq());
    }
    assert!((3..=8).contains(&seqs[99]), "{seqs:?}");
    assert_eq!(seqs[0], 1, "the first at once");
    assert_eq!(me.neighbors().len(), 100, "the routes follow at once");
    assert!(me.route("n99").is_some());
    me.pass(SECOND);
    me.sent();
    // The content of an LSU goes with the sequence that was announced.
    me.take(LinkId(10), &["n0"], false, Message::Lsr(Lsr { id: "n0".into() }));
    let Some(Message::Lsu(lsu)) = me.sent.pop().map(|sent| sent.message) else { panic!() };
    assert_eq!((lsu.ls_seq, lsu.peers.len()), (me.routing.ls_seq(), 100));
}

#[test]
fn a_link_state_is_asked_for_until_it_comes() {
    let mut me = Me::with_neighbor();
    me.pass_with(SECOND * 10, &[(A, "a")]);
    me.sent();
    me.ra(A, &["a"], 1, 2, 0);
    assert_eq!(me.opcodes(), ["LSR"]);
    me.ra(A, &["a"], 1, 3, 0);
    assert!(me.opcodes().is_empty(), "one is outstanding");
    me.pass_with(SECOND, &[(A, "a")]);
    assert_eq!(me.opcodes().iter().filter(|opcode| **opcode == "LSR").count(), 1);
    me.pass_with(SECOND * 2, &[(A, "a")]);
    assert_eq!(me.opcodes().iter().filter(|opcode| **opcode == "LSR").count(), 1);
    // An old answer is asked again, but not at once: two routers could keep each other busy.
    me.lsu(A, &["a"], 1, 2, &[("me", 1)]);
    me.pass(MS * 60);
    assert_eq!(me.opcodes(), ["LSR"]);
    me.lsu(A, &["a"], 1, 2, &[("me", 1)]);
    me.pass(MS * 500);
    assert!(!me.opcodes().contains(&"LSR"));
    me.lsu(A, &["a"], 1, 3, &[("me", 1)]);
    me.pass_with(SECOND * 20, &[(A, "a")]);
    assert!(!me.opcodes().contains(&"LSR"));
}

#[test]
fn routers_named_by_others_are_asked_as_soon_as_there_is_a_way() {
    let mut me = Me::with_neighbor();
    me.pass_with(SECOND * 10, &[(A, "a")]);
    me.sent();
    me.lsu(A, &["a"], 1, 2, &[("me", 1), ("x", 2)]);
    me.pass(MS * 10);
    assert_eq!(me.sent(), [("LSR", vec![A], "amqp:/_topo/0/x/qdrouter".to_owned())]);
    me.lsu(A, &["x", "a"], 5, 1, &[("a", 2)]);
    assert_eq!(
        me.sent(),
        [("MAR", vec![A], "amqp:/_topo/0/x/qdrouter.ma".to_owned())],
        "its addresses too"
    );
    assert_eq!(me.route("x").map(|route| (route.cost, route.hops)), Some((3, 2)));
    // It may be a C router that drops messages from further than it knows of: it gets RAs of its
    // own.
    me.pass_with(SECOND * 10, &[(A, "a")]);
    let ras = me
        .sent()
        .into_iter()
        .filter(|(opcode, _, to)| *opcode == "RA" && to == "amqp:/_topo/0/x/qdrouter");
    assert_eq!(ras.count(), 4);
    // A near router can be answered before its path is known.
    me.take(A, &["y", "a"], false, Message::Lsr(Lsr { id: "y".into() }));
    assert_eq!(
        me.sent(),
        [
            ("LSU", vec![A], "amqp:/_topo/0/y/qdrouter".to_owned()),
            // A known router is asked in turn.
        ]
    );
}

#[test]
fn answers_to_one_router_keep_a_distance() {
    let mut me = Me::with_neighbor();
    for _ in 0..20 {
        me.take(A, &["a"], false, Message::Lsr(Lsr { id: "a".into() }));
    }
    assert_eq!(me.opcodes(), ["LSU"]);
    me.pass(MS * 50);
    me.take(A, &["a"], false, Message::Lsr(Lsr { id: "a".into() }));
    assert_eq!(me.opcodes(), ["LSU"]);
}

#[test]
fn a_restart_voids_what_was_known() {
    let mut me = Me::with_neighbor();
    let key = AddressKey::mobile("x");
    let entry = AddressEntry { key: key.clone(), attributes: Attributes::new(Treatment::Closest) };
    let mau = |seq, add| {
        Message::Mau(Mau {
            id: "a".into(),
            mobile_seq: seq,
            content: MauContent::Change { add, del: vec![] },
        })
    };
    me.take(A, &["a"], true, mau(1, vec![entry]));
    let a = me.routing.routes().router("a").unwrap();
    assert_eq!(me.routing.addresses(a).count(), 1);
    me.hello(A, "a", 2, &["me"]);
    assert_eq!(me.notices(), [Notice::Restarted { id: "a".into() }]);
    assert_eq!(me.routing.addresses(a).count(), 0);
    assert_eq!(me.neighbors(), ["a"]);
    assert_eq!(me.opcodes(), ["RA", "LSR"]);
    // Late copies of the former life's messages are nothing.
    me.ra(A, &["a"], 1, 9, 9);
    assert!(me.notices().is_empty() && me.opcodes().is_empty() && me.relayed.is_empty());
    me.lsu(A, &["a"], 1, 9, &[("me", 1), ("x", 1)]);
    me.pass(MS * 10);
    assert!(me.route("x").is_none());
    me.lsu(A, &["a"], 2, 1, &[("me", 1)]);
    assert_eq!(
        me.routing.routers().next().map(|router| (router.ls_seq, router.instance)),
        Some((1, Some(2)))
    );
    // A lower number is new as well.
    me.pass(SECOND);
    me.hello(A, "a", 0, &["me"]);
    assert_eq!(me.notices(), [Notice::Restarted { id: "a".into() }]);
}

#[test]
fn a_restarted_neighbor_is_reached_by_its_new_connection() {
    let mut me = Me::with_neighbor();
    me.pass(SECOND);
    me.up(B, 9);
    me.hello(B, "a", 2, &["me"]);
    assert_eq!(
        me.route("a").map(|route| route.link),
        Some(B),
        "the older connection is of the former life"
    );
    me.hello(A, "a", 1, &["me"]);
    assert_eq!(me.routing.links().next().and_then(|link| link.confirmed), None);
    assert_eq!(me.route("a").map(|route| route.link), Some(B), "what waited in it counts no more");
    assert_eq!(me.routing.neighbors().next().and_then(|neighbor| neighbor.instance), Some(2));
}

#[test]
fn floods_go_on_once() {
    let mut me = Me::with_neighbor();
    let c = LinkId(3);
    for (link, id) in [(B, "b"), (c, "c")] {
        me.up(link, 1);
        me.hello(link, id, 1, &["me"]);
    }
    me.ra(A, &["x", "a"], 1, 1, 0);
    assert_eq!(me.relayed, [B, c]);
    me.ra(B, &["x", "y", "z", "b"], 1, 1, 0);
    assert!(me.relayed.is_empty(), "a copy");
    me.ra(B, &["x", "b"], 1, 2, 0);
    assert_eq!(me.relayed, [A, c], "news");
    me.ra(A, &["x", "a"], 1, 1, 0);
    assert!(me.relayed.is_empty(), "old news");
    me.ra(c, &["x", "me", "c"], 1, 3, 0);
    assert!(me.relayed.is_empty(), "it was here");
    me.ra(A, &["x", "q", "q", "a"], 1, 4, 0);
    assert_eq!(me.relayed, [B, c]);
    me.ra(B, &["x", "b"], 1, 4, 0);
    assert_eq!(me.relayed, [A, c], "by a shorter way");
    me.pass(MS * 500);
    me.ra(B, &["x", "b"], 1, 4, 0);
    assert_eq!(me.relayed, [A, c], "said again");
    let ra = Ra { id: "x".into(), instance: Some(1), ls_seq: 5, mobile_seq: 0, digests: None };
    me.take(A, &["x", "a"], false, Message::Ra(ra));
    assert!(me.relayed.is_empty(), "meant for this router alone");
}

#[test]
fn a_mau_goes_on_along_the_tree_of_its_router() {
    let mut me = Me::with_neighbor();
    me.up(B, 1);
    me.hello(B, "b", 1, &["me"]);
    me.lsu(B, &["b"], 1, 1, &[("me", 1)]);
    let mau = |seq| {
        Message::Mau(Mau {
            id: "a".into(),
            mobile_seq: seq,
            content: MauContent::Change { add: vec![], del: vec![] },
        })
    };
    me.take(A, &["a"], true, mau(1));
    assert_eq!(me.relayed, [B]);
    // Once a reaches b itself, this router is not on the path.
    me.lsu(A, &["a"], 1, 2, &[("me", 1), ("b", 1)]);
    me.lsu(B, &["b"], 1, 2, &[("me", 1), ("a", 1)]);
    me.pass(MS * 200);
    me.take(A, &["a"], true, mau(2));
    assert!(me.relayed.is_empty());
    let unknown = Mau { id: "nobody".into(), mobile_seq: 1, content: MauContent::Whole(vec![]) };
    me.take(A, &["nobody", "a"], true, Message::Mau(unknown));
    assert!(me.relayed.is_empty());
}

#[test]
fn a_mau_goes_before_the_ra_with_its_number() {
    let mut me = Me::with_neighbor();
    me.pass_with(SECOND * 10, &[(A, "a")]);
    me.sent();
    me.routing.set_address(
        AddressKey::mobile("x"),
        Attributes::new(Treatment::Balanced),
        Rank::Service,
        me.now,
    );
    me.drain();
    assert_eq!(
        me.sent(),
        [
            ("MAU", vec![A], MOBILE_FLOOD_ADDRESS.to_owned()),
            ("RA", vec![A], FLOOD_ADDRESS.to_owned()),
        ]
    );
    me.routing.withdraw(me.now);
    me.drain();
    assert_eq!(me.opcodes(), ["MAU", "RA"], "who stops does not wait");
}

#[test]
fn a_router_with_our_id_is_reported_once_a_life_and_ignored() {
    let mut me = Me::new();
    me.up(A, 1);
    me.hello(A, "me", 99, &["me"]);
    me.hello(A, "me", 99, &["me"]);
    let problem = Notice::Problem { link: A, problem: LinkProblem::DuplicateId };
    assert_eq!(me.notices(), [problem]);
    me.down(A);
    me.up(B, 1);
    me.hello(B, "me", 99, &["me"]);
    assert!(me.notices().is_empty(), "the same router by another connection");
    assert_eq!(
        me.routing.links().next().and_then(|link| link.problem.clone()),
        Some(LinkProblem::DuplicateId)
    );
    me.hello(B, "me", 7, &["me"]);
    assert_eq!(me.notices(), [Notice::Problem { link: B, problem: LinkProblem::Loop }]);
    me.ra(B, &["me"], 99, 5, 5);
    me.lsu(B, &["me"], 99, 5, &[("x", 1)]);
    assert!(
        me.neighbors().is_empty() && me.routing.routers().next().is_none() && me.relayed.is_empty()
    );
}

#[test]
fn a_newer_version_is_reported_once_a_router() {
    let mut me = Me::with_neighbor();
    let newer = || Message::Newer { id: "n".into(), version: 3 };
    me.up(B, 1);
    me.take(B, &["n"], false, newer());
    me.take(B, &["n"], false, newer());
    let problem = LinkProblem::NewerVersion(3);
    assert_eq!(
        me.notices(),
        [
            Notice::Problem { link: B, problem: problem.clone() },
            Notice::NewerVersion { id: "n".into(), version: 3 },
        ]
    );
    assert_eq!(me.routing.links().nth(1).and_then(|link| link.problem.clone()), Some(problem));
    me.take(B, &["n"], true, newer());
    assert_eq!(me.relayed, [A], "others may understand it");
}

#[test]
fn one_link_leads_to_one_router() {
    let mut me = Me::with_neighbor();
    me.hello(A, "other", 1, &["me"]);
    me.hello(A, "other", 1, &["me"]);
    let problem = LinkProblem::SecondRouter("other".into());
    assert_eq!(me.notices(), [Notice::Problem { link: A, problem }]);
    assert_eq!(me.neighbors(), ["a"]);
}

#[test]
fn link_states_and_routers_are_forgotten() {
    let mut me = Me::with_neighbor();
    me.lsu(A, &["a"], 1, 2, &[("me", 1), ("x", 1)]);
    me.pass(MS * 10);
    me.lsu(A, &["x", "a"], 1, 1, &[("a", 1), ("y", 1)]);
    me.pass(MS * 10);
    let known =
        |me: &Me| me.routing.routers().map(|router| router.id.to_string()).collect::<Vec<_>>();
    assert_eq!(known(&me), ["a", "x", "y"]);
    for _ in 0..58 {
        me.pass_with(SECOND, &[(A, "a")]);
        me.ra(A, &["a"], 1, 2, 0);
    }
    assert!(me.route("y").is_some());
    for _ in 0..3 {
        me.pass_with(SECOND, &[(A, "a")]);
        me.ra(A, &["a"], 1, 2, 0);
    }
    // After a minute without news of x its link state is gone, and nothing names y; x is a neighbor
    // of a still.
    assert_eq!(me.route("y"), None);
    assert!(me.route("x").is_some());
    for _ in 0..4 {
        me.pass_with(SECOND, &[(A, "a")]);
        me.ra(A, &["a"], 1, 2, 0);
    }
    assert_eq!(known(&me), ["a", "x"]);
}

#[test]
fn addresses_of_an_unreachable_router_are_held_for_a_second() {
    let mut me = Me::with_neighbor();
    let entry = AddressEntry {
        key: AddressKey::mobile("x"),
        attributes: Attributes::new(Treatment::Closest),
    };
    let mau = Mau {
        id: "a".into(),
        mobile_seq: 1,
        content: MauContent::Change { add: vec![entry], del: vec![] },
    };
    me.take(A, &["a"], true, Message::Mau(mau));
    let a = me.routing.routes().router("a").unwrap();
    me.down(A);
    me.pass(MS * 999);
    assert_eq!(me.routing.addresses(a).count(), 1);
    me.up(B, 1);
    me.hello(B, "a", 1, &["me"]);
    me.pass_with(SECOND * 2, &[(B, "a")]);
    assert_eq!(me.routing.addresses(a).count(), 1, "it was back in time");
    me.down(B);
    me.pass(SECOND);
    assert_eq!(me.routing.addresses(a).count(), 0);
}

#[test]
fn too_many_routers_are_refused_and_leave_room_for_neighbors() {
    let mut me = Me::with_neighbor();
    let invent = |me: &mut Me, chunk: u64| {
        let ids: Vec<String> = (0..3000).map(|n| format!("x{chunk}-{n}")).collect();
        let peers: Vec<(&str, u32)> = ids.iter().map(|id| (id.as_str(), 1)).collect();
        me.lsu(A, &["a"], 1, 2 + chunk, &peers);
    };
    invent(&mut me, 0);
    invent(&mut me, 1);
    assert_eq!(me.routing.routers().count(), MAX_ROUTERS / 2);
    let refused =
        me.notices().into_iter().filter(|notice| matches!(notice, Notice::TooManyRouters { .. }));
    assert_eq!(refused.count(), 1);
    me.up(B, 1);
    me.hello(B, "b", 1, &["me"]);
    assert_eq!(me.neighbors(), ["a", "b"], "what one neighbor tells leaves half of the places");
    // No router names the first 3000 any more. There is space for the others once they are
    // forgotten, and the next RA causes a question.
    me.pass_with(SECOND * 4, &[(A, "a"), (B, "b")]);
    assert_eq!(me.routing.routers().count(), 2);
    me.opcodes();
    me.ra(A, &["a"], 1, 3, 0);
    assert!(me.opcodes().contains(&"LSR"));
    invent(&mut me, 1);
    assert_eq!(me.routing.routers().count(), MAX_ROUTERS / 2, "a, b, and what fits");
}
