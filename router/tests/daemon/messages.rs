//! Messages of qpid-proton clients: through one router, through two of ours, and through one of
//! ours and one of another kind.

use Kind::{Ours, Peer};
use serde_json::{Value, json};

use crate::support::{Kind, Lab, Python, Router, Spec, peers, ports, wait};

/// Two routers, joined in clear text, each with a listener for clients. Both may be the same
/// router.
struct Routers {
    python: Python,
    running: Vec<Router>,
    urls: [String; 2],
}

/// The way in which two routers are joined.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Joined {
    /// Both are interior routers.
    Interior,
    /// The second is an edge router with the receivers.
    ToEdge,
    /// The second is an edge router with the senders.
    FromEdge,
    /// Both are edge routers.
    Beside,
}

impl Routers {
    fn start(lab: &Lab, python: Python, kinds: &[Kind], joined: Joined) -> Self {
        let link = ports::free();
        let mut running = Vec::new();
        let mut urls = Vec::new();
        for (index, kind) in kinds.iter().enumerate() {
            let clients = ports::free();
            let spec = Spec::new(["north", "south"][index], *kind).clients(clients);
            let spec =
                if index == 0 { spec.links_plain(link) } else { spec.link_plain("link", link, 1) };
            let spec = match (joined, index) {
                (Joined::Interior, _) => spec,
                (Joined::Beside, _) => {
                    spec.attribute("mode", json!("edge")).with_links_of("inter-edge")
                }
                (_, 0) => spec.with_edge_links(),
                (_, _) => spec.attribute("mode", json!("edge")).with_edge_links(),
            };
            let spec = ["multicast", "closest", "unavailable"].iter().fold(spec, |spec, name| {
                spec.entity(
                    "address",
                    json!({ "name": name, "prefix": name, "distribution": name }),
                )
            });
            let router = spec.start(lab);
            router.await_port(clients);
            running.push(router);
            urls.push(format!("amqp://127.0.0.1:{clients}"));
        }
        let mut urls = [urls[0].clone(), urls.last().expect("a router").clone()];
        if joined == Joined::FromEdge {
            urls.reverse();
        }
        let routers = Self { python, running, urls };
        if kinds.len() > 1 {
            // The route exists once a message finds it.
            wait::until("the routers know each other", wait::patience(), || {
                (routers.run(&["unknown-to", "ready"])["found"] == true).then_some(())
            });
        }
        routers
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Value {
        run(&self.python, &self.urls, arguments)
    }

    #[track_caller]
    fn carry(&self, address: &str, count: usize, size: usize, receivers: usize) -> Vec<u64> {
        let numbers = [count, size, receivers].map(|number| number.to_string());
        let result = self.run(&["carry", address, &numbers[0], &numbers[1], &numbers[2]]);
        assert_eq!(result["intact"], true, "{result}");
        let outcomes = result["outcomes"].as_array().expect("a list");
        assert!(
            outcomes.len() == count && outcomes.iter().all(|outcome| outcome == "accepted"),
            "{result}"
        );
        result["received"]
            .as_object()
            .expect("an object")
            .values()
            .filter_map(Value::as_u64)
            .collect()
    }
}

/// Plays a scenario between two routers.
#[track_caller]
pub(crate) fn run(python: &Python, urls: &[String; 2], arguments: &[&str]) -> Value {
    let urls = urls.each_ref().map(String::as_str);
    let result = python.run("messages.py", &[&arguments[..1], &urls, &arguments[1..]].concat());
    assert_eq!(result["timed_out"], false, "{arguments:?}: {result}");
    result
}

/// Between edge routers, the other kind does not forward large messages.
fn small_messages_between_edge_routers(lab: &Lab, kinds: [Kind; 2]) {
    let test = "messages::small_messages_between_edge_routers";
    let Some(python) = Python::needed_by(test) else { return };
    let routers = Routers::start(lab, python, &kinds, Joined::Beside);
    assert_eq!(routers.carry("closest.one", 200, 100, 1), [200]);
    assert_eq!(routers.carry("multicast.small", 50, 100, 3), [50; 3]);
    assert_eq!(routers.run(&["request", "server"])["received"], json!([["7", "answer"]]));
}

mixed_pairs!(between_edge_routers_of_both_kinds, small_messages_between_edge_routers);

/// Defines a test of each scenario for each way in which routers are joined.
macro_rules! scenarios {
    ($($name:ident,)+) => {
        mod one_router {
            use super::*;
            $(scenarios!(@test $name, &[Ours], Joined::Interior);)+
        }
        mod two_routers {
            use super::*;
            $(scenarios!(@test $name, &[Ours, Ours], Joined::Interior);)+
        }
        mod to_an_edge_router {
            use super::*;
            $(scenarios!(@test $name, &[Ours, Ours], Joined::ToEdge);)+
        }
        mod from_an_edge_router {
            use super::*;
            $(scenarios!(@test $name, &[Ours, Ours], Joined::FromEdge);)+
        }
        mod between_edge_routers {
            use super::*;
            $(scenarios!(@test $name, &[Ours, Ours], Joined::Beside);)+
        }
        mod mixed {
            use super::*;
            mod to_peer {
                use super::*;
                $(scenarios!(@test $name, &[Ours, Peer], Joined::Interior);)+
            }
            mod to_a_peers_edge_router {
                use super::*;
                $(scenarios!(@test $name, &[Ours, Peer], Joined::ToEdge);)+
            }
            mod from_a_peers_edge_router {
                use super::*;
                $(scenarios!(@test $name, &[Ours, Peer], Joined::FromEdge);)+
            }
            mod to_an_edge_router_of_a_peer {
                use super::*;
                $(scenarios!(@test $name, &[Peer, Ours], Joined::ToEdge);)+
            }
            mod from_an_edge_router_of_a_peer {
                use super::*;
                $(scenarios!(@test $name, &[Peer, Ours], Joined::FromEdge);)+
            }
            mod from_peer {
                use super::*;
                $(scenarios!(@test $name, &[Peer, Ours], Joined::Interior);)+
            }
        }
    };
    (@test $name:ident, $kinds:expr, $joined:expr) => {
        #[test]
        fn $name() {
            let test = concat!(module_path!(), "::", stringify!($name));
            let Some(python) = Python::needed_by(test) else { return };
            if $kinds.contains(&Peer) && peers::needs(test, "SKROUTERD_PEER").is_none() {
                return;
            }
            let lab = Lab::new(test);
            let routers = Routers::start(&lab, python, $kinds, $joined);
            crate::messages::$name(&routers);
            assert!(routers.running.iter().all(Router::is_running));
        }
    };
}

scenarios!(
    every_message_arrives,
    balanced_messages_are_shared,
    everybody_gets_multicast,
    outcomes_reach_the_sender,
    a_request_is_answered,
    credit_follows_the_consumers,
    what_nobody_consumes_is_released,
    settlement_waits_for_the_sender,
    a_stalled_receiver_holds_nobody,
    released_goes_to_another,
    states_of_their_own_reach_the_other,
    unavailable_is_refused,
);

fn every_message_arrives(routers: &Routers) {
    assert_eq!(routers.carry("closest.one", 500, 100, 1), [500]);
    // A C router ends a connection with more than 4 MiB unread, a sender's connection included.
    let size = if routers.running[0].kind.is_ours() { 3_000_000 } else { 1_300_000 };
    assert_eq!(routers.carry("any", 3, size, 1), [3]);
}

fn balanced_messages_are_shared(routers: &Routers) {
    let received = routers.carry("shared", 300, 100, 3);
    assert!(
        received.iter().sum::<u64>() == 300 && received.iter().all(|count| *count > 30),
        "{received:?}"
    );
}

fn everybody_gets_multicast(routers: &Routers) {
    assert_eq!(routers.carry("multicast.small", 100, 100, 3), [100; 3]);
    assert_eq!(routers.carry("multicast.large", 2, 1_000_000, 3), [2; 3]);
}

fn outcomes_reach_the_sender(routers: &Routers) {
    let mut outcomes =
        routers.run(&["outcomes", "outcomes"])["outcomes"].as_array().expect("a list").clone();
    outcomes.sort_by_key(Value::to_string);
    assert_eq!(outcomes, ["accepted", "modified", "rejected", "released"]);
}

fn a_request_is_answered(routers: &Routers) {
    assert_eq!(routers.run(&["request", "server"])["received"], json!([["7", "answer"]]));
}

fn credit_follows_the_consumers(routers: &Routers) {
    let result = routers.run(&["credit", "credit"]);
    assert_eq!(result["credit"], json!([false, true, "drain"]), "{result}");
}

fn what_nobody_consumes_is_released(routers: &Routers) {
    assert_eq!(routers.run(&["unknown", "nobody"])["outcomes"], json!(["released"]));
}

fn settlement_waits_for_the_sender(routers: &Routers) {
    assert_eq!(
        routers.run(&["three-ack", "three"])["steps"],
        json!(["sent", "received", "accepted", "settled"])
    );
}

fn a_stalled_receiver_holds_nobody(routers: &Routers) {
    assert_eq!(
        routers.run(&["stalled", "stalled", "2000000"])["received"],
        json!([["other", 5], ["stalled", 2_000_000]])
    );
}

fn released_goes_to_another(routers: &Routers) {
    let result = routers.run(&["resend", "resent"]);
    assert_eq!(
        (result["outcomes"].clone(), result["received"].as_array().map(Vec::len)),
        (json!(["accepted"]), Some(2))
    );
}

fn states_of_their_own_reach_the_other(routers: &Routers) {
    let steps = routers.run(&["extended", "extended"])["received"].clone();
    assert_eq!(steps, json!([[4711, [1, 2]], [4712, [3]], "settled"]));
}

fn unavailable_is_refused(routers: &Routers) {
    assert_eq!(
        routers.run(&["refused", "unavailable.x"])["received"],
        json!(["amqp:not-found", "amqp:not-found"])
    );
}
