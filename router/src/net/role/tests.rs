//! The roles, in virtual time and without a socket.

use skupper_proto::amqp::performative::Role as LinkRole;
use skupper_proto::amqp::terminus::{MessageTarget, Source, Target};
use skupper_proto::amqp::{Multiple, Symbol};
use skupper_proto::engine::{AttachRequest, Event};

use super::*;
use crate::net::attach::request;
use crate::net::tests::pair::{Pair, attached};
use crate::schema::Role as ConfiguredRole;

fn control(outgoing: bool) -> Pair {
    let mut pair = Pair::open(ConfiguredRole::InterRouter, 1000);
    pair.near.cx.settings.outgoing = outgoing;
    pair.role = Role::Control(Control::new(Some("group".to_owned()), 1));
    pair
}

/// Returns whether status shows a trunk, and the number of control links.
fn standing(pair: &Pair) -> (bool, u8) {
    let known = pair.near.cx.standing.get();
    (known.trunk.is_some(), known.control_links)
}

/// Returns the last reason for which the router refused a link.
fn refusal(events: &[Event]) -> Option<String> {
    events.iter().rev().find_map(|event| match event {
        Event::Detached { error: Some(error), .. } => Some(error.to_string()),
        _ => None,
    })
}

#[test]
fn a_connector_attaches_its_links_and_the_trunk_stands_while_both_control_links_do() {
    let mut pair = control(true);
    let Role::Control(role) = &mut pair.role else { unreachable!() };
    role.on_opened(&mut pair.near);
    let links = attached(&pair.run());
    assert_eq!(links.len(), 22, "two of the routing protocol, and ten of each direction");
    assert_eq!(standing(&pair), (false, 0));
    pair.accept(links[0], 10);
    pair.run();
    assert_eq!(standing(&pair), (false, 1));
    pair.accept(links[1], 10);
    pair.run();
    assert_eq!(standing(&pair), (true, 2));
    assert!(pair.near.cx.life.has_served());
    pair.far.detach(links[0], None);
    let heard = pair.run();
    assert_eq!(standing(&pair), (false, 1));
    let closed = heard.iter().any(|event| matches!(event, Event::Closed(_)));
    assert!(closed, "a connector begins anew");
}

#[test]
fn a_retired_connector_keeps_its_connection_without_a_trunk() {
    let mut pair = control(true);
    let Role::Control(role) = &mut pair.role else { unreachable!() };
    role.on_opened(&mut pair.near);
    let links = attached(&pair.run());
    pair.accept(links[0], 10);
    pair.accept(links[1], 10);
    pair.run();
    assert_eq!(standing(&pair), (true, 2));
    pair.role.on_retire(&mut pair.near);
    let heard = pair.run();
    assert_eq!(standing(&pair), (false, 0));
    let gone = heard.iter().filter(|event| matches!(event, Event::Detached { .. })).count();
    assert!(gone == 2 && pair.far.is_open());
}

#[test]
fn a_listener_takes_each_control_link_once() {
    let mut pair = control(false);
    let session = pair.far.begin().unwrap();
    let attach = |pair: &mut Pair, role| {
        pair.far.attach(session, request(role, Some(CONTROL))).expect("a link");
        pair.run()
    };
    assert_eq!(refusal(&attach(&mut pair, LinkRole::Sender)), None);
    assert_eq!(standing(&pair), (false, 1));
    let again = refusal(&attach(&mut pair, LinkRole::Sender)).expect("a refusal");
    assert!(again.contains("the control link is attached already"), "{again}");
    assert_eq!(refusal(&attach(&mut pair, LinkRole::Receiver)), None);
    assert_eq!(standing(&pair), (true, 2));
}

#[test]
fn links_between_routers_are_for_control_connections() {
    let mut pair = Pair::open(ConfiguredRole::Normal, 1000);
    let session = pair.far.begin().unwrap();
    for capability in [CONTROL, DATA] {
        pair.far.attach(session, request(LinkRole::Sender, Some(capability))).expect("a link");
        let refused = refusal(&pair.run()).expect("a refusal");
        assert!(refused.contains("Connectivity to the node is forbidden"), "{refused}");
    }
}

#[test]
fn an_edge_router_receives_what_is_for_itself_alone() {
    let mut pair = Pair::open(ConfiguredRole::Edge, 1000);
    pair.role = Role::Edge(Box::new(Edge::new(&mut pair.near.cx, &Arc::from("peer"))));
    pair.near.cx.is_client = false;
    let session = pair.far.begin().unwrap();
    let attach = |pair: &mut Pair, id: &str| {
        let capability = Symbol::from_static(skupper_proto::edge::DOWNLINK);
        let source = Source {
            address: Some(id.to_owned()),
            capabilities: Some(Multiple(vec![capability])),
            ..Source::default()
        };
        let request = AttachRequest {
            name: id.to_owned(),
            role: LinkRole::Receiver,
            source: Some(source),
            target: Some(Target::Message(MessageTarget::default())),
            ..AttachRequest::default()
        };
        pair.far.attach(session, request).expect("a link");
        refusal(&pair.run())
    };
    let other = attach(&mut pair, "other").expect("a refusal");
    assert!(other.contains("other than the peer"), "{other}");
    assert_eq!(attach(&mut pair, "peer"), None);
    pair.role.on_end(&mut pair.near);
    assert!(pair.near.cx.edge.is_none() && pair.near.cx.standing.get().edge.is_none());
}
