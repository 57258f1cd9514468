//! Sessions, links and credit.

use super::*;
use crate::amqp::condition;
use crate::amqp::performative::{Detach, End, Error};
use crate::amqp::terminus::{MessageTarget, Source, Target};

fn detach(handle: u32) -> Performative {
    Performative::Detach(Detach { handle, closed: Some(true), error: None })
}

fn end() -> Performative {
    Performative::End(End { error: None })
}

fn flows(items: &[Item]) -> Vec<&Flow> {
    let flow = |item| match item {
        &Item::Frame(_, Performative::Flow(ref flow), _) => Some(flow),
        _ => None,
    };
    items.iter().filter_map(flow).collect()
}

#[test]
fn attaches_and_detaches() {
    let mut pair = Pair::open(client(), server());
    let (session, theirs) = pair.session();
    let source = Source { address: Some("here".to_owned()), ..Source::default() };
    let target = Target::Message(MessageTarget {
        address: Some("there".to_owned()),
        ..MessageTarget::default()
    });
    let asked = AttachRequest {
        source: Some(source.clone()),
        target: Some(target.clone()),
        ..request("link", Role::Sender)
    };
    let link = pair.client.engine.attach(session, asked).unwrap();
    pair.drive();
    let [Event::Attached { link: at_server, ours: false, attach }] = &pair.server.events()[..]
    else {
        panic!("attached")
    };
    assert_eq!((attach.name.as_str(), attach.role), ("link", Role::Sender));
    assert_eq!((attach.source.as_ref(), attach.target.as_ref()), (Some(&source), Some(&target)));
    assert_eq!(attach.initial_delivery_count, Some(0));
    assert_eq!(pair.server.engine.session_of(*at_server), Some(theirs));
    pair.server
        .engine
        .accept(*at_server, AttachRequest { source: Some(source), ..AttachRequest::default() });
    pair.drive();
    let [Event::Attached { link: answered, ours: true, attach }] = &pair.client.events()[..] else {
        panic!("attached")
    };
    assert_eq!(*answered, link);
    assert_eq!((attach.name.as_str(), attach.role), ("link", Role::Receiver));

    pair.server.engine.detach(*at_server, Some(Error::new(condition::NOT_FOUND, "gone")));
    pair.drive();
    assert_eq!(pair.server.events(), [], "who detaches is told nothing");
    let error = Some(Error::new(condition::NOT_FOUND, "gone"));
    assert_eq!(pair.client.events(), [Event::Detached { link, error }]);
    assert_eq!((pair.client.engine.link_count(), pair.server.engine.link_count()), (0, 0));
    let sent = pair.client.sent();
    assert_eq!(sent.last(), Some(&Item::Frame(0, detach(0), Bytes::new())), "always closed");
}

#[test]
fn refuses() {
    let mut pair = Pair::open(client(), server());
    let (session, _) = pair.session();
    let link = pair.client.engine.attach(session, request("link", Role::Receiver)).unwrap();
    pair.client.engine.keep_credit(link, 10);
    pair.drive();
    let [Event::Attached { link: theirs, .. }] = pair.server.events()[..] else {
        panic!("attached")
    };
    pair.server.sent();
    pair.server.engine.refuse(theirs, Error::new(condition::NO_ROUTE_TO_DESTINATION, "no"));
    pair.drive();
    let [
        Item::Frame(_, Performative::Attach(answer), _),
        Item::Frame(_, Performative::Detach(detach), _),
    ] = &pair.server.sent()[..2]
    else {
        panic!("attach and detach")
    };
    assert_eq!((answer.source.as_ref(), answer.target.as_ref()), (None, None));
    assert_eq!(detach.closed, Some(true));
    let [Event::Attached { ours: true, .. }, Event::Detached { error: Some(error), .. }] =
        &pair.client.events()[..]
    else {
        panic!("attached and detached")
    };
    assert_eq!(error.condition, *condition::NO_ROUTE_TO_DESTINATION);
    assert_eq!(pair.server.events(), []);
    assert_eq!((pair.client.engine.link_count(), pair.server.engine.link_count()), (0, 0));
}

#[test]
fn an_attach_that_is_never_answered_is_answered_by_detach() {
    let (mut raw, _) = Raw::begun(server());
    raw.feed(0, attach("link", 0, Role::Receiver));
    raw.feed(0, detach(0));
    let [Event::Attached { link, .. }, Event::Detached { link: gone, .. }] = raw.events()[..]
    else {
        panic!("both")
    };
    assert_eq!(link, gone);
    let [
        Item::Frame(_, Performative::Attach(answer), _),
        Item::Frame(_, Performative::Detach(_), _),
    ] = &raw.sent()[..]
    else {
        panic!("attach and detach")
    };
    assert_eq!(
        (answer.name.as_str(), answer.role, answer.initial_delivery_count),
        ("link", Role::Sender, Some(0))
    );
    // The application may not have heard that it is gone.
    raw.engine.accept(link, AttachRequest::default());
    assert_eq!(raw.sent(), []);
    assert_eq!(raw.engine.link_count(), 0);
}

#[test]
fn a_link_that_was_not_accepted_can_be_detached() {
    let (mut raw, _) = Raw::begun(server());
    raw.feed(0, attach("link", 0, Role::Sender));
    let [Event::Attached { link, .. }] = raw.events()[..] else { panic!("attached") };
    raw.engine.detach(link, None);
    let [Item::Frame(_, Performative::Attach(_), _), Item::Frame(_, Performative::Detach(_), _)] =
        &raw.sent()[..]
    else {
        panic!("attach and detach")
    };
}

#[test]
fn keys_are_not_used_again_while_events_speak_of_them() {
    let (mut raw, _) = Raw::begun(server());
    let attached = |name: &str| octets_of(0, &attach(name, 0, Role::Sender), b"");
    let mut octets = attached("first");
    octets.extend(octets_of(0, &detach(0), b""));
    octets.extend(attached("second"));
    raw.octets(&octets);
    let [
        Event::Attached { link: first, .. },
        Event::Detached { .. },
        Event::Attached { link: second, .. },
    ] = raw.events()[..]
    else {
        panic!("three")
    };
    assert_ne!(first, second);
    raw.sent();
    // After all events have been polled they are.
    raw.feed(0, attach("third", 1, Role::Sender));
    let [Event::Attached { link: third, .. }] = raw.events()[..] else { panic!("attached") };
    assert_eq!(first, third);
}

#[test]
fn names_and_handles_are_used_again() {
    let mut pair = Pair::open(client(), server());
    let (session, _) = pair.session();
    let (old, theirs) = pair.link(session, "name", 5);
    // Detached here; attached again before the peer has seen it.
    pair.client.engine.detach(old, None);
    let new = pair.client.engine.attach(session, request("name", Role::Sender)).unwrap();
    assert_eq!(
        pair.client.engine.attach(session, request("name", Role::Sender)),
        None,
        "not answered yet"
    );
    pair.drive();
    let [Event::Detached { link, .. }, Event::Attached { link: at_server, ours: false, .. }] =
        pair.server.events()[..]
    else {
        panic!("both")
    };
    assert_eq!(link, theirs);
    pair.server.engine.accept(at_server, AttachRequest::default());
    pair.server.engine.set_credit(at_server, 1, false);
    pair.drive();
    let [Event::Attached { link, ours: true, .. }, Event::Credit { .. }] = pair.client.events()[..]
    else {
        panic!("answer")
    };
    assert_eq!(link, new);
    send(&mut pair.client.engine, new, b"x", true);
    pair.drive();
    assert!(
        matches!(pair.server.events()[..], [Event::Transfer { link, .. }] if link == at_server)
    );
    // The old handle is free again.
    pair.client.sent();
    pair.client.engine.attach(session, request("third", Role::Sender)).unwrap();
    pair.drive();
    let [Item::Frame(_, Performative::Attach(attach), _)] = &pair.client.sent()[..] else {
        panic!("attach")
    };
    assert_eq!(attach.handle, 0);
}

#[test]
fn detaches_cross() {
    let mut pair = Pair::open(client(), server());
    let (session, _) = pair.session();
    let (link, theirs) = pair.link(session, "link", 5);
    pair.client.engine.detach(link, None);
    pair.server.engine.detach(theirs, None);
    pair.drive();
    assert_eq!(pair.client.events(), []);
    assert_eq!(pair.server.events(), []);
    assert_eq!((pair.client.engine.link_count(), pair.server.engine.link_count()), (0, 0));
}

#[test]
fn a_link_detached_before_its_answer_stays_quiet() {
    let mut pair = Pair::open(client(), server());
    let (session, _) = pair.session();
    let link = pair.client.engine.attach(session, request("link", Role::Receiver)).unwrap();
    pair.client.engine.keep_credit(link, 10);
    pair.client.engine.detach(link, None);
    pair.drive();
    assert_eq!(pair.client.events(), []);
    assert!(matches!(pair.server.events()[..], [Event::Attached { .. }, Event::Detached { .. }]));
    assert_eq!((pair.client.engine.link_count(), pair.server.engine.link_count()), (0, 0));
}

#[test]
fn sessions_end_with_all_they_hold() {
    let mut pair = Pair::open(client(), server());
    let (session, theirs) = pair.session();
    let (link, _) = pair.link(session, "a", 5);
    let (unused, _) = pair.link(session, "b", 5);
    let delivery = send(&mut pair.client.engine, link, b"x", false);
    let unsent = pair.client.engine.deliver(unused, false).unwrap();
    pair.drive();
    let [Event::Transfer { delivery: incoming, .. }] = pair.server.events()[..] else {
        panic!("transfer")
    };
    let error = Error::new(condition::INTERNAL_ERROR, "why");
    pair.server.engine.end(theirs, Some(error.clone()));
    pair.drive();
    assert_eq!(pair.server.events(), [Event::IncomingLost { delivery: incoming }]);
    assert_eq!(
        pair.client.events(),
        [
            Event::OutgoingLost { delivery, sent: true },
            Event::LinkLost { link },
            Event::OutgoingLost { delivery: unsent, sent: false },
            Event::LinkLost { link: unused },
            Event::Ended { session, error: Some(error) },
        ]
    );
    for side in [&pair.client, &pair.server] {
        assert_eq!(side.engine.usage(), Usage::default());
    }
    // Void keys do nothing.
    let engine = &mut pair.client.engine;
    let mut octets = chunks(b"lost");
    assert!(engine.send_part(unsent, &mut octets, true));
    assert!(octets.is_empty(), "nobody takes them, so nobody may wait for them to go");
    assert!(engine.abort(unsent));
    engine.settle(delivery);
    engine.detach(link, None);
    engine.end(session, None);
    assert_eq!(engine.deliver(link, false), None);
    assert_eq!(engine.attach(session, request("c", Role::Sender)), None);
    assert!(engine.output().is_empty());
}

#[test]
fn ends_cross_and_channels_are_used_again() {
    let mut pair = Pair::open(client(), server());
    for _ in 0..3 {
        let (session, theirs) = pair.session();
        pair.client.engine.end(session, None);
        pair.server.engine.end(theirs, None);
        pair.drive();
        assert_eq!((pair.client.events(), pair.server.events()), (vec![], vec![]));
        assert_eq!(pair.client.engine.usage(), Usage::default());
    }
    assert!(pair.client.sent().iter().all(|item| matches!(item, Item::Frame(0, ..))));
}

#[test]
fn a_session_ended_before_its_answer_stays_quiet() {
    let mut pair = Pair::open(client(), server());
    let session = pair.client.engine.begin().unwrap();
    pair.client.engine.end(session, None);
    pair.drive();
    assert_eq!(pair.client.events(), []);
    assert!(matches!(
        pair.server.events()[..],
        [Event::Begun { .. }, Event::Ended { error: None, .. }]
    ));
    assert_eq!(pair.client.engine.usage(), Usage::default());
    assert_eq!(pair.server.engine.usage(), Usage::default());
}

#[test]
fn a_peer_may_begin_again_on_the_channel_it_ended() {
    let (mut raw, session) = Raw::begun(Config { channel_max: 0, ..server() });
    let mut octets = octets_of(0, &end(), b"");
    octets.extend(octets_of(0, &begin(), b""));
    raw.octets(&octets);
    let [Event::Ended { session: old, .. }, Event::Begun { session: new }] = raw.events()[..]
    else {
        panic!("both")
    };
    assert_eq!(old, session);
    assert_ne!(old, new);
    assert!(
        raw.sent().iter().all(|item| matches!(item, Item::Frame(0, ..))),
        "on the same channel"
    );
}

#[test]
fn channels_have_limits() {
    let mut pair = Pair::open(Config { channel_max: 1, ..client() }, server());
    assert!(pair.client.engine.begin().is_some());
    assert!(pair.server.engine.begin().is_some(), "the limit is announced, not only kept");
    assert!(pair.client.engine.begin().is_some());
    assert!(pair.client.engine.begin().is_none());
    pair.drive();
    // The server's session needed the client's second channel, which it used itself meanwhile.
    assert!(matches!(pair.client.events().last(), Some(Event::Closed(_))));
    let (mut raw, _) = Raw::begun(Config { channel_max: 3, ..server() });
    raw.feed(4, begin());
    assert_eq!(raw.refusal(), condition::RESOURCE_LIMIT_EXCEEDED);
}

#[test]
fn handles_have_limits() {
    let mut raw =
        Raw::new(config("server", Layer::Server { mechanisms: vec![], allow_bare: true }));
    raw.octets(&ProtocolHeader::Amqp.octets());
    raw.feed(0, open());
    let begin = Begin { incoming_window: 10, handle_max: Some(1), ..Begin::default() };
    raw.feed(0, Performative::Begin(Box::new(begin)));
    let [Event::Opened, Event::Begun { session }] = raw.events()[..] else { panic!("begun") };
    assert!(raw.engine.attach(session, request("a", Role::Sender)).is_some());
    assert!(raw.engine.attach(session, request("b", Role::Sender)).is_some());
    assert!(raw.engine.attach(session, request("c", Role::Sender)).is_none());
    raw.feed(0, attach("d", 0, Role::Sender));
    assert_eq!(raw.refusal(), condition::RESOURCE_LIMIT_EXCEEDED);
}

#[test]
fn credit_is_counted_and_topped_up() {
    let mut pair = Pair::open(client(), server());
    let (session, _) = pair.session();
    let (link, theirs) = pair.link(session, "link", 4);
    for _ in 0..10 {
        pair.server.sent();
        for left in [3, 2] {
            send(&mut pair.client.engine, link, b"x", true);
            assert_eq!(pair.client.engine.credit(link), left);
            pair.drive();
        }
        // Half is used: one flow tops it up.
        assert_eq!(flows(&pair.server.sent()).len(), 1);
        assert_eq!(pair.client.engine.credit(link), 4);
    }
    for _ in 0..4 {
        send(&mut pair.client.engine, link, b"x", true);
    }
    assert_eq!(pair.client.engine.deliver(link, true), None, "no credit");
    pair.drive();
    assert_eq!(pair.client.engine.credit(link), 4);
    // Counted by the application.
    pair.server.engine.keep_credit(theirs, 0);
    pair.server.engine.set_credit(theirs, 1, false);
    pair.drive();
    send(&mut pair.client.engine, link, b"x", true);
    pair.drive();
    assert_eq!(pair.client.engine.credit(link), 0);
}

#[test]
fn credit_is_renewed_while_a_delivery_arrives() {
    let mut pair = Pair::open(client(), server());
    let (session, _) = pair.session();
    let (link, theirs) = pair.link(session, "link", 4);
    let delivery = pair.client.engine.deliver(link, false).unwrap();
    assert!(pair.client.engine.send_part(delivery, &mut chunks(b"x"), false));
    pair.drive();
    pair.server.sent();
    assert_eq!(pair.client.engine.credit(link), 3);
    for flows_sent in [1, 0] {
        pair.server.engine.renew_credit(theirs);
        pair.drive();
        assert_eq!(
            flows(&pair.server.sent()).len(),
            flows_sent,
            "one, and none when nothing is used"
        );
        assert_eq!(pair.client.engine.credit(link), 4);
    }
    // A link that is not kept in credit.
    pair.server.engine.keep_credit(theirs, 0);
    pair.server.engine.renew_credit(theirs);
    pair.drive();
    assert_eq!(pair.client.engine.credit(link), 0);
}

#[test]
fn credit_for_a_link_of_ours_goes_when_the_answer_has_come() {
    let mut pair = Pair::open(client(), server());
    let (session, _) = pair.session();
    let link = pair.client.engine.attach(session, request("link", Role::Receiver)).unwrap();
    pair.client.engine.keep_credit(link, 250);
    pair.drive();
    let [Event::Attached { link: theirs, .. }] = pair.server.events()[..] else {
        panic!("attached")
    };
    assert_eq!(pair.server.engine.credit(theirs), 0);
    pair.server.engine.accept(theirs, AttachRequest::default());
    pair.drive();
    assert_eq!(pair.server.engine.credit(theirs), 250);
    // And for one of the peer's, when we have answered.
    let (mut raw, _) = Raw::begun(server());
    raw.feed(0, attach("link", 0, Role::Sender));
    let [Event::Attached { link, .. }] = raw.events()[..] else { panic!("attached") };
    raw.engine.keep_credit(link, 250);
    assert_eq!(raw.sent(), []);
    raw.engine.accept(link, AttachRequest::default());
    let [Item::Frame(_, Performative::Attach(_), _), Item::Frame(_, Performative::Flow(flow), _)] =
        &raw.sent()[..]
    else {
        panic!("attach and flow")
    };
    assert_eq!((flow.handle, flow.link_credit), (Some(0), Some(250)));
}

#[test]
fn credit_counts_from_where_the_sender_began() {
    let (mut raw, _) = Raw::begun(server());
    let start = u32::MAX - 1;
    let mut attach = attach("link", 0, Role::Sender);
    let Performative::Attach(fields) = &mut attach else { unreachable!() };
    fields.initial_delivery_count = Some(start);
    raw.feed(0, attach);
    let [Event::Attached { link, .. }] = raw.events()[..] else { panic!("attached") };
    raw.engine.accept(link, AttachRequest::default());
    raw.engine.keep_credit(link, 3);
    for id in 0..50 {
        raw.transfer(Transfer { settled: Some(true), ..whole(0, id) }, b"x");
        let [Event::Transfer { delivery, .. }] = raw.events()[..] else { panic!("transfer") };
        raw.engine.disposition(delivery, None, true);
    }
    let sent = raw.sent();
    let flows = flows(&sent);
    assert_eq!((flows[0].delivery_count, flows[0].link_credit), (Some(start), Some(3)));
    assert_eq!(flows[1].delivery_count, Some(start.wrapping_add(2)), "past the end of the numbers");
    assert_eq!(raw.engine.usage().incoming, 0);
}

#[test]
fn nothing_is_promised_by_where_the_sender_began() {
    let (mut raw, _) = Raw::begun(server());
    let mut attach = attach("link", 0, Role::Sender);
    let Performative::Attach(fields) = &mut attach else { unreachable!() };
    fields.initial_delivery_count = Some(u32::MAX - 1);
    raw.feed(0, attach);
    let [Event::Attached { link, .. }] = raw.events()[..] else { panic!("attached") };
    raw.engine.accept(link, AttachRequest::default());
    raw.transfer(whole(0, 0), b"x");
    assert_eq!(raw.refusal(), condition::TRANSFER_LIMIT_EXCEEDED);
}

#[test]
fn credit_wraps_around_at_the_sender() {
    let (mut raw, _, link) = Raw::sending(server(), 1);
    // Its count is moved near the end of the numbers by credit that is given back.
    raw.feed(0, credit_flow(0, 0, u32::MAX));
    assert_eq!(raw.engine.credit(link), i32::MAX as u32, "more is as good as this");
    raw.engine.drained(link);
    raw.feed(0, credit_flow(0, i32::MAX as u32, i32::MAX as u32));
    raw.engine.drained(link);
    raw.feed(0, credit_flow(0, u32::MAX - 1, 3));
    assert_eq!(raw.engine.credit(link), 3);
    for _ in 0..3 {
        send(&mut raw.engine, link, b"x", true);
    }
    assert_eq!(raw.engine.credit(link), 0);
    raw.sent();
    // The peer has not seen the last two yet.
    raw.feed(0, credit_flow(0, u32::MAX, 4));
    assert_eq!(raw.engine.credit(link), 2);
}

#[test]
fn less_credit_does_not_punish_what_is_on_its_way() {
    let (mut raw, _, link) = Raw::receiving(server(), 5);
    raw.transfer(whole(0, 0), b"x");
    raw.engine.set_credit(link, 0, false);
    for id in 1..5 {
        raw.transfer(whole(0, id), b"x");
    }
    assert_eq!(raw.events().len(), 5);
    // Five were promised.
    raw.transfer(whole(0, 5), b"x");
    assert_eq!(raw.refusal(), condition::TRANSFER_LIMIT_EXCEEDED);
}

#[test]
fn drains() {
    let mut pair = Pair::open(client(), server());
    let (session, _) = pair.session();
    let (link, theirs) = pair.link(session, "link", 0);
    pair.server.engine.set_credit(theirs, 10, true);
    pair.drive();
    assert_eq!(pair.client.events(), [Event::Credit { link, drain: true }]);
    assert_eq!(pair.client.engine.credit(link), 10);
    send(&mut pair.client.engine, link, b"x", true);
    pair.client.engine.drained(link);
    assert_eq!(pair.client.engine.credit(link), 0);
    pair.client.sent();
    pair.drive();
    let sent = pair.client.sent();
    let flow = flows(&sent)[0];
    assert_eq!(
        (flow.delivery_count, flow.link_credit, flow.drain),
        (Some(10), Some(0), Some(true))
    );
    // Credit starts anew from there.
    pair.server.engine.set_credit(theirs, 3, false);
    pair.drive();
    assert_eq!(pair.client.engine.credit(link), 3);
    for _ in 0..3 {
        send(&mut pair.client.engine, link, b"x", true);
    }
    pair.drive();
    assert_eq!(pair.server.events().len(), 4);
}

#[test]
fn drains_behind_the_first_transfer_of_what_has_begun() {
    let mut pair = Pair::open(client(), server());
    let (session, _) = pair.session();
    let (link, theirs) = pair.link(session, "link", 0);
    pair.server.engine.set_credit(theirs, 10, true);
    pair.drive();
    pair.client.sent();
    let delivery = pair.client.engine.deliver(link, false).unwrap();
    pair.client.engine.drained(link);
    pair.drive();
    assert_eq!(pair.client.sent(), [], "the receiver has not seen the delivery that uses a credit");
    assert!(pair.client.engine.send_part(
        delivery,
        &mut VecDeque::from([Bytes::from_static(b"x")]),
        false
    ));
    pair.drive();
    let sent = pair.client.sent();
    assert!(matches!(
        &sent[..],
        [Item::Frame(_, Performative::Transfer(_), _), Item::Frame(_, Performative::Flow(_), _)]
    ));
    assert_eq!((pair.client.engine.credit(link), pair.server.engine.credit(theirs)), (0, 0));
}

#[test]
fn a_delivery_taken_back_gives_its_credit_back() {
    let (mut raw, _, link) = Raw::sending(server(), 2);
    let delivery = raw.engine.deliver(link, false).unwrap();
    assert_eq!(raw.engine.credit(link), 1);
    // Drained meanwhile: the peer is told once the delivery's first transfer or its abort decides.
    raw.engine.drained(link);
    assert_eq!(raw.sent(), []);
    assert!(raw.engine.abort(delivery));
    let sent = raw.sent();
    assert_eq!(
        (flows(&sent)[0].delivery_count, flows(&sent)[0].link_credit),
        (Some(2), Some(0)),
        "it never saw it"
    );
    assert_eq!(raw.engine.credit(link), 0);
    assert_eq!(raw.engine.usage().outgoing, 0);
    // The peer takes the credit away while another has begun.
    raw.feed(0, credit_flow(0, 2, 1));
    let delivery = raw.engine.deliver(link, false).unwrap();
    raw.feed(0, credit_flow(0, 2, 0));
    assert_eq!(raw.engine.credit(link), 0);
    assert!(raw.engine.abort(delivery));
    assert_eq!(raw.engine.credit(link), 0);
}

#[test]
fn echo_is_answered() {
    let (mut raw, _, _) = Raw::sending(server(), 2);
    let echo = |handle| {
        Performative::Flow(Flow {
            incoming_window: 2048,
            handle,
            echo: Some(true),
            ..Flow::default()
        })
    };
    raw.feed(0, echo(Some(0)));
    raw.feed(0, echo(None));
    let sent = raw.sent();
    let answers = flows(&sent);
    assert_eq!(answers.iter().map(|flow| flow.handle).collect::<Vec<_>>(), [Some(0), None]);
    assert!(answers.iter().all(|flow| flow.echo.is_none()), "or it would never end");
}

#[test]
fn a_flow_before_the_delivery_count_is_known_counts_from_the_start() {
    let (mut raw, _, link) = Raw::sending(server(), 2);
    send(&mut raw.engine, link, b"x", true);
    let flow =
        Flow { incoming_window: 2048, handle: Some(0), link_credit: Some(4), ..Flow::default() };
    raw.feed(0, Performative::Flow(flow));
    assert_eq!(raw.engine.credit(link), 3);
}
