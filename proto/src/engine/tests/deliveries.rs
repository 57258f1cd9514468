//! Transfers, the session's window, dispositions and who settles when.

use super::*;
use crate::amqp::performative::{DeliveryState, Detach, Error, MAX_STATE, Modified, Rejected};
use crate::amqp::{Fields, Value, condition};

/// The transfers among frames.
fn transfers(items: &[Item]) -> Vec<(&Transfer, &Bytes)> {
    let transfer = |item| match item {
        &Item::Frame(_, Performative::Transfer(ref transfer), ref payload) => {
            Some((transfer, payload))
        }
        _ => None,
    };
    items.iter().filter_map(transfer).collect()
}

fn dispositions(items: &[Item]) -> Vec<&Disposition> {
    let disposition = |item| match item {
        &Item::Frame(_, Performative::Disposition(ref disposition), _) => Some(disposition),
        _ => None,
    };
    items.iter().filter_map(disposition).collect()
}

/// The incoming delivery of the one transfer among events.
fn incoming(events: &[Event]) -> IncomingKey {
    match events {
        [Event::Transfer { delivery, .. }] => *delivery,
        other => panic!("{other:?}"),
    }
}

/// A pair with a link from client to server.
fn linked() -> (Pair, LinkKey, LinkKey) {
    let mut pair = Pair::open(client(), server());
    let (session, _) = pair.session();
    let (link, theirs) = pair.link(session, "link", 10);
    pair.client.sent();
    pair.server.sent();
    (pair, link, theirs)
}

#[test]
fn a_sender_says_how_its_delivery_stands() {
    let state = |number: u64| {
        DeliveryState::Other(Value::Described(Box::new((
            Value::Ulong(number),
            Value::List(vec![]),
        ))))
    };
    let (mut pair, link, _) = linked();
    let engine = &mut pair.client.engine;
    let delivery = engine.deliver(link, false).expect("credit");
    engine.set_state(delivery, state(1));
    assert!(engine.send_part(delivery, &mut VecDeque::from([Bytes::from_static(b"one")]), false));
    assert!(engine.send_part(delivery, &mut VecDeque::from([Bytes::from_static(b"two")]), true));
    pair.drive();
    let events = pair.server.events();
    let [
        Event::Transfer { delivery: arrived, state: with, .. },
        Event::Transfer { state: None, .. },
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(with.as_deref(), Some(&state(1)));
    pair.client.engine.set_state(delivery, state(2));
    pair.drive();
    assert_eq!(pair.server.events(), [Event::SenderState { delivery: *arrived, state: state(2) }]);
    // The receiver's answer is as little an outcome.
    pair.server.engine.disposition(*arrived, Some(state(3)), false);
    pair.drive();
    assert_eq!(
        pair.client.events(),
        [Event::Outcome { delivery, state: Some(state(3)), settled: false }]
    );
    pair.client.engine.settle(delivery);
    pair.drive();
    let settled = Event::SenderSettled { delivery: *arrived };
    assert_eq!(
        pair.server.events(),
        [Event::SenderState { delivery: *arrived, state: state(2) }, settled]
    );
    pair.server.engine.disposition(*arrived, None, true);
    assert_eq!((pair.client.engine.usage().outgoing, pair.server.engine.usage().incoming), (0, 0));
}

/// States that are as large as a peer's frames, and what is kept of them where there is room for so
/// many octets: `None` for nothing.
fn large_states(room: usize) -> Vec<(DeliveryState, Option<DeliveryState>)> {
    let large = Value::List(vec![Value::string("x".repeat(12_000))]);
    let rejected = |condition: &str, description: &str, info: Option<Fields>| {
        let error = Error {
            condition: condition.to_owned().into(),
            description: Some(description.to_owned()),
            info,
        };
        DeliveryState::Rejected(Rejected { error: Some(error) })
    };
    let bare = |condition: &str, description: &str| Some(rejected(condition, description, None));
    let info = Fields(vec![("trace".into(), large.clone())]);
    let modified = |message_annotations| {
        DeliveryState::Modified(Modified {
            delivery_failed: Some(true),
            undeliverable_here: None,
            message_annotations,
        })
    };
    vec![
        (
            rejected("amqp:decode-error", "no message", Some(info)),
            bare("amqp:decode-error", "no message"),
        ),
        (
            rejected("amqp:x", &"ä".repeat(6_000), Some(Fields::default())),
            bare("amqp:x", &"ä".repeat((room - 32) / 4)),
        ),
        (
            rejected(&"c".repeat(9_000), "", Some(Fields::default())),
            bare(&"c".repeat((room - 32) / 2), ""),
        ),
        (modified(Some(large.clone())), Some(modified(None))),
        (
            DeliveryState::Other(Value::Described(Box::new((Value::Ulong(0x34), large.clone())))),
            None,
        ),
    ]
}

/// Of a state no more is kept than some lines.
#[test]
fn large_states_are_cut() {
    for (large, kept) in large_states(MAX_STATE) {
        let (mut raw, _, link) = Raw::sending(server(), 5);
        let deliveries = [(); 3].map(|()| send(&mut raw.engine, link, b"x", false));
        let settled =
            Disposition { settled: Some(true), last: Some(2), ..disposition(Role::Receiver, 0, 0) };
        raw.feed(
            0,
            Performative::Disposition(Disposition { state: Some(large.clone()), ..settled }),
        );
        let outcome = |delivery| Event::Outcome { delivery, state: kept.clone(), settled: true };
        assert_eq!(raw.events(), deliveries.map(outcome));

        let (mut raw, _, _) = Raw::receiving(server(), 5);
        raw.transfer(Transfer { state: Some(large.clone()), ..part(0, 0) }, b"x");
        let events = raw.events();
        let [Event::Transfer { delivery, ref state, .. }] = events[..] else {
            panic!("{events:?}")
        };
        assert_eq!(state.as_deref(), kept.as_ref());
        let told = Disposition { state: Some(large), ..disposition(Role::Sender, 0, 0) };
        raw.feed(0, Performative::Disposition(told));
        assert_eq!(
            raw.events(),
            Vec::from_iter(kept.map(|state| Event::SenderState { delivery, state }))
        );
    }
}

#[test]
fn states_go_with_the_smallest_frames() {
    let small = |config| Config { max_frame_size: frame::MIN_MAX_FRAME_SIZE, ..config };
    let mut pair = Pair::open(small(client()), small(server()));
    let (session, _) = pair.session();
    let (link, _) = pair.link(session, "link", 10);
    for (large, kept) in large_states(384) {
        let delivery = pair.client.engine.deliver(link, false).expect("credit");
        pair.client.engine.set_state(delivery, large.clone());
        let mut chunks = VecDeque::from([Bytes::from(vec![0; 1000])]);
        while !chunks.is_empty() {
            assert!(pair.client.engine.send_part(delivery, &mut chunks, true));
        }
        pair.drive();
        let events = pair.server.events();
        let [Event::Transfer { delivery: arrived, ref state, .. }, ..] = events[..] else {
            panic!("{events:?}")
        };
        assert_eq!(state.as_deref(), kept.as_ref());
        pair.client.engine.set_state(delivery, large.clone());
        pair.server.engine.disposition(arrived, Some(large), true);
        pair.drive();
        pair.server.events();
        let events = pair.client.events();
        assert_eq!(events.last(), Some(&Event::Outcome { delivery, state: kept, settled: true }));
    }
}

#[test]
fn a_delivery_in_one_transfer() {
    let (mut pair, link, theirs) = linked();
    let delivery = send(&mut pair.client.engine, link, b"message", false);
    pair.drive();
    let events = pair.server.events();
    let arrived = incoming(&events);
    let (payload, ending) = (Bytes::from_static(b"message"), Ending::Complete);
    let state = None;
    assert_eq!(
        events,
        [Event::Transfer {
            delivery: arrived,
            link: theirs,
            first: true,
            settled: false,
            payload,
            ending,
            state
        }]
    );
    pair.server.engine.disposition(arrived, Some(DeliveryState::Accepted), true);
    pair.drive();
    assert_eq!(
        pair.client.events(),
        [Event::Outcome { delivery, state: Some(DeliveryState::Accepted), settled: true }]
    );
    assert_eq!((pair.client.engine.usage().outgoing, pair.server.engine.usage().incoming), (0, 0));
    // Nothing more is said of it.
    pair.server.engine.disposition(arrived, Some(DeliveryState::Accepted), true);
    pair.client.engine.settle(delivery);
    pair.client.sent();
    pair.server.sent();
    pair.drive();
    assert_eq!((pair.client.sent(), pair.server.sent()), (vec![], vec![]));
}

#[test]
fn a_delivery_in_many_transfers() {
    let (mut pair, link, _) = linked();
    let octets: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
    let delivery = pair.client.engine.deliver(link, false).unwrap();
    let mut waiting = VecDeque::from_iter(octets.chunks(1000).map(Bytes::copy_from_slice));
    waiting.insert(3, Bytes::new());
    waiting.push_back(Bytes::new());
    while !waiting.is_empty() {
        assert!(pair.client.engine.send_part(delivery, &mut waiting, true));
    }
    pair.drive();
    let sent = pair.client.sent();
    let max = pair.client.engine.max_payload();
    let (last, others) =
        transfers(&sent).split_last().map(|(last, others)| (*last, others.to_vec())).unwrap();
    assert!(
        others
            .iter()
            .all(|(transfer, payload)| transfer.more == Some(true) && payload.len() == max)
    );
    assert_eq!(last.0.more, None);
    assert!(
        others.iter().all(|(transfer, _)| transfer.delivery_id == Some(0)),
        "on continuations too"
    );
    assert!(others[0].0.delivery_tag.is_some() && last.0.delivery_tag.is_none());
    let mut found = Vec::new();
    for (n, event) in pair.server.events().into_iter().enumerate() {
        let Event::Transfer { first, payload, ending, .. } = event else { panic!("{event:?}") };
        assert_eq!(first, n == 0);
        found.extend_from_slice(&payload);
        assert_eq!(
            ending,
            if found.len() == octets.len() { Ending::Complete } else { Ending::More }
        );
    }
    assert_eq!(found, octets);
    // No frame is larger than the peer takes.
    let largest = others.iter().map(|(transfer, payload)| {
        octets_of(0, &Performative::Transfer((*transfer).clone()), payload).len()
    });
    assert!(largest.max().unwrap() <= 16384);
}

#[test]
fn streams_of_two_links_interleave() {
    let (mut pair, a, at_a) = linked();
    let session = pair.client.engine.session_of(a).unwrap();
    let (b, at_b) = pair.link(session, "other", 10);
    let one = pair.client.engine.deliver(a, false).unwrap();
    let two = pair.client.engine.deliver(b, false).unwrap();
    for _ in 0..3 {
        pair.client.engine.send_part(two, &mut chunks(b"2"), false);
        pair.client.engine.send_part(one, &mut chunks(b"1"), false);
    }
    pair.client.engine.send_part(one, &mut VecDeque::new(), true);
    // The next on the first link begins while the second's goes on.
    send(&mut pair.client.engine, a, b"3", false);
    pair.client.engine.send_part(two, &mut VecDeque::new(), true);
    pair.drive();
    let mut found = (Vec::new(), Vec::new());
    for event in pair.server.events() {
        let Event::Transfer { link, payload, ending, .. } = event else { panic!("{event:?}") };
        let to = if link == at_a { &mut found.0 } else { &mut found.1 };
        assert!(link == at_a || link == at_b);
        to.extend_from_slice(&payload);
        if ending == Ending::Complete {
            to.push(b'.');
        }
    }
    assert_eq!((found.0.as_slice(), found.1.as_slice()), (&b"111.3."[..], &b"222."[..]));
}

#[test]
fn a_link_carries_one_delivery_at_a_time() {
    let (mut pair, link, _) = linked();
    let delivery = pair.client.engine.deliver(link, false).unwrap();
    assert_eq!(pair.client.engine.deliver(link, false), None);
    pair.client.engine.send_part(delivery, &mut chunks(b"x"), true);
    assert!(pair.client.engine.deliver(link, false).is_some());
}

#[test]
fn nothing_to_say_is_not_said() {
    let (mut pair, link, _) = linked();
    let delivery = pair.client.engine.deliver(link, false).unwrap();
    let mut empty = VecDeque::from([Bytes::new()]);
    assert!(pair.client.engine.send_part(delivery, &mut empty, false));
    assert!(empty.is_empty());
    pair.drive();
    assert_eq!(pair.client.sent(), []);
    // The end is worth a frame.
    assert!(pair.client.engine.send_part(delivery, &mut VecDeque::new(), true));
    pair.drive();
    assert_eq!(transfers(&pair.client.sent()).len(), 1);
}

#[test]
fn aborted_before_it_began() {
    let (mut pair, link, _) = linked();
    let delivery = pair.client.engine.deliver(link, false).unwrap();
    assert!(pair.client.engine.abort(delivery));
    pair.drive();
    assert_eq!(pair.client.sent(), []);
    assert_eq!(pair.client.engine.credit(link), 10);
    // Its number was not used either.
    send(&mut pair.client.engine, link, b"x", true);
    pair.drive();
    assert_eq!(transfers(&pair.client.sent())[0].0.delivery_id, Some(0));
    assert_eq!(pair.client.engine.usage().outgoing, 0);
}

#[test]
fn aborted_on_its_way() {
    let (mut pair, link, _) = linked();
    let delivery = pair.client.engine.deliver(link, false).unwrap();
    pair.client.engine.send_part(delivery, &mut chunks(b"begun"), false);
    assert!(pair.client.engine.abort(delivery));
    assert!(pair.client.engine.abort(delivery), "again");
    pair.drive();
    let sent = pair.client.sent();
    let (last, payload) = *transfers(&sent).last().unwrap();
    assert_eq!(
        (last.aborted, last.settled, last.more, payload.len()),
        (Some(true), Some(true), None, 0)
    );
    assert_eq!(pair.client.engine.usage().outgoing, 0);
    let events = pair.server.events();
    let [
        Event::Transfer { ending: Ending::More, .. },
        Event::Transfer { delivery, settled: true, ending: Ending::Aborted, .. },
    ] = events[..]
    else {
        panic!("{events:?}")
    };
    // It is settled; nothing is said, and the key is given back.
    pair.server.sent();
    pair.server.engine.disposition(delivery, Some(DeliveryState::Released), true);
    pair.drive();
    assert_eq!(pair.server.sent(), []);
    assert_eq!(pair.server.engine.usage().incoming, 0);
}

#[test]
fn an_abort_settles_whether_it_says_so_or_not() {
    let (mut raw, _, _) = Raw::receiving(server(), 5);
    raw.transfer(part(0, 0), b"begun");
    raw.transfer(Transfer { aborted: Some(true), ..whole(0, 0) }, b"");
    let events = raw.events();
    let [_, Event::Transfer { delivery, settled: true, ending: Ending::Aborted, .. }] = events[..]
    else {
        panic!("{events:?}")
    };
    raw.engine.disposition(delivery, Some(DeliveryState::Released), true);
    assert_eq!(raw.sent(), []);
    assert_eq!(raw.engine.usage().incoming, 0);
}

#[test]
fn the_window_closes_and_opens() {
    let mut pair = Pair::open(client(), Config { incoming_window: 4, ..server() });
    let (session, _) = pair.session();
    let (link, _) = pair.link(session, "link", 10);
    assert_eq!(pair.client.engine.window(link), 4);
    let delivery = pair.client.engine.deliver(link, false).unwrap();
    for left in [3, 2, 1, 0] {
        assert!(pair.client.engine.send_part(delivery, &mut chunks(b"x"), false));
        assert_eq!(pair.client.engine.window(link), left);
    }
    let mut waiting = chunks(b"waits");
    assert!(!pair.client.engine.send_part(delivery, &mut waiting, false));
    assert!(!pair.client.engine.abort(delivery));
    assert_eq!(waiting, chunks(b"waits"), "nothing is lost");
    pair.server.sent();
    pair.drive();
    let windows = |events: Vec<Event>| {
        events.into_iter().filter(|event| matches!(event, Event::Window { .. })).collect::<Vec<_>>()
    };
    assert_eq!(windows(pair.client.events()), [Event::Window { session }]);
    assert_eq!(pair.server.events().len(), 4);
    // Half is used: the flow names a link, or a C router would sleep on.
    let sent = pair.server.sent();
    let [
        Item::Frame(_, Performative::Flow(first), _),
        Item::Frame(_, Performative::Flow(second), _),
    ] = &sent[..]
    else {
        panic!("{sent:?}")
    };
    assert_eq!(
        (first.handle, first.incoming_window, first.next_incoming_id),
        (Some(0), 4, Some(2))
    );
    assert_eq!(
        (second.handle, second.incoming_window, second.next_incoming_id),
        (Some(0), 4, Some(4))
    );
    assert!(pair.client.engine.send_part(delivery, &mut waiting, true));
    pair.drive();
    assert_eq!(windows(pair.client.events()), [], "told only when it was closed");
    assert_eq!(pair.server.engine.usage().incoming, 1);
}

#[test]
fn the_window_counts_what_the_peer_has_not_seen() {
    let (mut raw, session, link) = Raw::sending(server(), 100);
    for _ in 0..10 {
        send(&mut raw.engine, link, b"x", true);
    }
    let flow = |next_incoming_id, incoming_window| {
        Performative::Flow(Flow { next_incoming_id, incoming_window, ..Flow::default() })
    };
    for (next, window, left) in [
        (Some(4), 10, 4),
        (Some(10), 10, 10),
        (Some(4), 5, 0),
        (None, 12, 2),
        // As much as can be said.
        (Some(10), u32::MAX, u32::MAX),
        (Some(9), u32::MAX, u32::MAX - 1),
        (Some(10), i32::MAX as u32 + 1, i32::MAX as u32 + 1),
        // From the future: as if it had seen all.
        (Some(11), 5, 5),
    ] {
        raw.feed(0, flow(next, window));
        assert_eq!(raw.engine.window(link), left, "{next:?} {window}");
    }
    // A window of nothing, and sending on it.
    raw.feed(0, flow(Some(10), 0));
    let delivery = raw.engine.deliver(link, true).unwrap();
    assert!(!raw.engine.send_part(delivery, &mut chunks(b"x"), true));
    raw.feed(0, flow(Some(10), 1));
    assert_eq!(raw.events(), [Event::Window { session }]);
    assert!(raw.engine.send_part(delivery, &mut chunks(b"x"), true));
}

#[test]
fn a_window_follows_what_the_peer_sends() {
    let (mut raw, _, _) = Raw::receiving(Config { incoming_window: 512, ..server() }, 100);
    raw.engine.adapt_windows();
    let mut next = 0;
    // Sends so many transfers, one after each pause; returns the window that is told last.
    let mut carry = |raw: &mut Raw, transfers: usize, pause: u64| {
        for _ in 0..transfers {
            raw.now += Duration::from_millis(pause);
            raw.transfer(part(0, 0), b"x");
            next += 1;
        }
        raw.events();
        let window = |item| match item {
            Item::Frame(0, Performative::Flow(flow), _) => {
                Some((flow.incoming_window, flow.next_incoming_id))
            }
            _ => None,
        };
        raw.sent().into_iter().filter_map(window).last()
    };
    // 62 transfers a second: a second's worth are 64, the least there is.
    let slow = carry(&mut raw, 1000, 16);
    assert_eq!(slow.map(|(window, _)| window), Some(64));
    assert!(carry(&mut raw, 64, 16).is_some_and(|(window, _)| window == 64));
    // 1000 a second: half of a window lasts a quarter of a second at most, and the whole less than
    // one.
    let quick = carry(&mut raw, 2000, 1);
    assert!(quick.is_some_and(|(window, _)| window == 512), "{quick:?}");
    // 200 a second.
    let between = carry(&mut raw, 1000, 5);
    assert!(between.is_some_and(|(window, _)| (100..=256).contains(&window)), "{between:?}");
    // A session that begins now begins with the least, and all have what is configured when windows
    // are restored.
    raw.feed(1, begin());
    assert!(
        matches!(&raw.sent()[..], [Item::Frame(_, Performative::Begin(begin), _)] if begin.incoming_window == 64)
    );
    raw.events();
    raw.engine.restore_windows();
    let sent = raw.sent();
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|item| matches!(item, Item::Frame(_, Performative::Flow(flow), _) if flow.incoming_window == 512)));
}

#[test]
fn the_peer_is_asked_what_it_holds() {
    let (mut raw, session, link) = Raw::sending(server(), 2);
    // The peer's begin said 2048, and its open that a frame may be as large as can be said: it
    // holds what it may.
    let flow = |next: u32, window: u32| {
        let Performative::Flow(flow) = credit_flow(0, 1, 10) else { unreachable!() };
        Performative::Flow(Flow { next_incoming_id: Some(next), incoming_window: window, ..flow })
    };
    for octets in [&b"one"[..], b"two"] {
        let delivery = raw.engine.deliver(link, false).unwrap_or_else(|| panic!("credit"));
        assert!(raw.engine.send_part(delivery, &mut chunks(octets), true));
        raw.sent();
    }
    assert!(!raw.engine.ask(link), "no credit is left to ask with");
    raw.feed(0, flow(1, 2047));
    raw.events();
    assert!(raw.engine.ask(link));
    let sent = raw.sent();
    let [(question, payload)] = transfers(&sent)[..] else { panic!("{sent:?}") };
    assert_eq!(
        (question.delivery_id, question.settled, question.aborted),
        (Some(2), Some(true), Some(true))
    );
    assert!(question.more.is_none() && payload.is_empty());
    assert!(!raw.engine.ask(link), "one question at a time");
    // A flow that crossed it is no answer.
    raw.feed(0, flow(2, 2046));
    assert!(raw.events().iter().all(|event| matches!(event, Event::Credit { .. })));
    raw.feed(0, flow(3, 2046));
    let told: Vec<_> =
        raw.events().into_iter().filter(|event| !matches!(event, Event::Credit { .. })).collect();
    assert_eq!(told, [Event::Held { session, octets: 2 * u64::from(u32::MAX) }]);
    raw.feed(0, flow(3, 2048));
    assert!(raw.events().iter().all(|event| matches!(event, Event::Credit { .. })), "told once");
    // While a delivery is on its way its link cannot ask, nor while the window is closed.
    let delivery = raw.engine.deliver(link, false).unwrap();
    assert!(raw.engine.send_part(delivery, &mut chunks(b"x"), false) && !raw.engine.ask(link));
    assert!(raw.engine.send_part(delivery, &mut chunks(b"x"), true));
    raw.feed(0, flow(5, 0));
    let credit = raw.engine.credit(link);
    assert!(!raw.engine.ask(link));
    assert_eq!(raw.engine.credit(link), credit);
    raw.feed(0, flow(5, 2048));
    assert!(raw.engine.ask(link));
}

#[test]
fn a_begin_with_a_huge_window() {
    let mut raw =
        Raw::new(config("server", Layer::Server { mechanisms: vec![], allow_bare: true }));
    raw.octets(&ProtocolHeader::Amqp.octets());
    raw.feed(0, open());
    raw.feed(
        0,
        Performative::Begin(Box::new(Begin { incoming_window: u32::MAX, ..Begin::default() })),
    );
    raw.events();
    let link = raw.attach(0, Role::Receiver);
    raw.feed(0, credit_flow(0, 0, 10));
    raw.feed(0, Performative::Flow(Flow { incoming_window: u32::MAX, ..Flow::default() }));
    assert_eq!(raw.engine.window(link), u32::MAX);
    send(&mut raw.engine, link, b"x", true);
}

#[test]
fn transfers_on_a_detached_link_open_the_window_too() {
    let (mut raw, _, link) = Raw::receiving(Config { incoming_window: 4, ..server() }, 10);
    let other = raw.attach(1, Role::Sender);
    raw.engine.set_credit(other, 10, false);
    raw.transfer(part(0, 0), b"x");
    raw.engine.detach(link, None);
    raw.sent();
    for _ in 0..20 {
        raw.transfer(part(0, 0), b"x");
    }
    let sent = raw.sent();
    assert_eq!(sent.len(), 10);
    let named = |item: &Item| {
        matches!(item, Item::Frame(_, Performative::Flow(Flow { handle: Some(1), .. }), _))
    };
    assert!(sent.iter().all(named), "by a link that is still there");
    // The numbers go on where they were: that was a continuation, this is a new delivery.
    raw.transfer(whole(1, 1), b"x");
    raw.transfer(part(0, 0), b"x");
    raw.transfer(whole(0, 2), b"begins on the detached link");
    raw.transfer(whole(1, 3), b"x");
    raw.transfer(part(0, 0), b"x");
    raw.transfer(whole(1, 4), b"x");
    let arrived = raw.events();
    assert!(matches!(arrived[..2], [Event::Transfer { .. }, Event::IncomingLost { .. }]));
    assert_eq!(arrived[2..].len(), 3);
    assert!(
        arrived[2..]
            .iter()
            .all(|event| matches!(event, Event::Transfer { link, .. } if *link == other))
    );
}

#[test]
fn detached_while_a_transfer_is_on_its_way() {
    let (mut pair, link, theirs) = linked();
    let delivery = pair.client.engine.deliver(link, false).unwrap();
    pair.client.engine.send_part(delivery, &mut chunks(b"x"), false);
    pair.drive();
    pair.server.events();
    pair.server.engine.detach(theirs, None);
    pair.client.engine.send_part(delivery, &mut chunks(b"y"), false);
    let other = {
        let session = pair.client.engine.session_of(link).unwrap();
        pair.client.engine.attach(session, request("other", Role::Sender)).unwrap()
    };
    pair.drive();
    assert!(matches!(
        pair.server.events()[..],
        [Event::IncomingLost { .. }, Event::Attached { .. }]
    ));
    let events = pair.client.events();
    assert_eq!(
        events,
        [Event::OutgoingLost { delivery, sent: true }, Event::Detached { link, error: None }]
    );
    assert_eq!(pair.client.engine.credit(other), 0);
    let (client, server) = (pair.client.engine.usage(), pair.server.engine.usage());
    assert_eq!((client.links, client.outgoing, server.links, server.incoming), (1, 0, 1, 0));
}

#[test]
fn ended_while_a_transfer_is_on_its_way() {
    let (mut pair, link, theirs) = linked();
    let session = pair.client.engine.session_of(link).unwrap();
    let theirs_session = pair.server.engine.session_of(theirs).unwrap();
    let delivery = pair.client.engine.deliver(link, false).unwrap();
    pair.client.engine.send_part(delivery, &mut chunks(b"x"), false);
    pair.drive();
    let arrived = incoming(&pair.server.events());
    pair.client.engine.end(session, None);
    // The server says something about it in the meantime.
    pair.server.engine.disposition(arrived, Some(DeliveryState::received(1)), false);
    pair.drive();
    assert_eq!(pair.client.events(), [Event::OutgoingLost { delivery, sent: true }]);
    let lost = [
        Event::IncomingLost { delivery: arrived },
        Event::LinkLost { link: theirs },
        Event::Ended { session: theirs_session, error: None },
    ];
    assert_eq!(pair.server.events(), lost);
    assert_eq!(
        (pair.client.engine.usage(), pair.server.engine.usage()),
        (Usage::default(), Usage::default())
    );
}

// ----- who settles when -----

#[test]
fn presettled_deliveries_get_no_answer() {
    let (mut pair, link, _) = linked();
    send(&mut pair.client.engine, link, b"x", true);
    assert_eq!(pair.client.engine.usage().outgoing, 0);
    pair.drive();
    let events = pair.server.events();
    assert!(matches!(events[..], [Event::Transfer { settled: true, .. }]));
    pair.server.sent();
    pair.server.engine.disposition(incoming(&events), Some(DeliveryState::Accepted), true);
    pair.drive();
    assert_eq!(pair.server.sent(), []);
    assert_eq!(pair.server.engine.usage().incoming, 0);
}

/// MODIFIED unsettled while the delivery is incomplete; the sender ends it settled. C routers do so
/// when a dial fails.
#[test]
fn modified_unsettled_then_a_settled_last_transfer() {
    let (mut pair, link, _) = linked();
    let delivery = pair.client.engine.deliver(link, false).unwrap();
    pair.client.engine.send_part(delivery, &mut chunks(b"head"), false);
    pair.drive();
    let arrived = incoming(&pair.server.events());
    pair.server.engine.disposition(arrived, Some(DeliveryState::failed()), true);
    pair.drive();
    let sent = pair.server.sent();
    assert_eq!(dispositions(&sent)[0].settled, None, "not settled before it has ended");
    let state = Some(DeliveryState::failed());
    assert_eq!(pair.client.events(), [Event::Outcome { delivery, state, settled: false }]);
    pair.client.engine.settle(delivery);
    pair.client.sent();
    pair.client.engine.send_part(delivery, &mut VecDeque::new(), true);
    pair.drive();
    let sent = pair.client.sent();
    let [(last, _)] = transfers(&sent)[..] else { panic!("{sent:?}") };
    assert_eq!((last.settled, last.more), (Some(true), None));
    assert_eq!(pair.client.engine.usage().outgoing, 0);
    assert!(matches!(
        pair.server.events()[..],
        [Event::Transfer { settled: true, ending: Ending::Complete, .. }]
    ));
    pair.server.engine.disposition(arrived, None, true);
    pair.drive();
    assert_eq!(pair.server.sent(), []);
    assert_eq!(pair.server.engine.usage().incoming, 0);
}

/// MODIFIED unsettled for a delivery that is complete; the sender settles by a disposition of its
/// own.
#[test]
fn modified_unsettled_then_the_sender_settles() {
    let (mut pair, link, _) = linked();
    let delivery = send(&mut pair.client.engine, link, b"x", false);
    pair.drive();
    let arrived = incoming(&pair.server.events());
    pair.server.engine.disposition(arrived, Some(DeliveryState::failed()), false);
    pair.drive();
    pair.client.events();
    pair.client.sent();
    pair.client.engine.settle(delivery);
    assert_eq!(pair.client.engine.usage().outgoing, 0);
    pair.drive();
    let sent = pair.client.sent();
    let [settled] = dispositions(&sent)[..] else { panic!("{sent:?}") };
    assert_eq!((settled.role, settled.first, settled.settled), (Role::Sender, 0, Some(true)));
    assert_eq!(pair.server.events(), [Event::SenderSettled { delivery: arrived }]);
    pair.server.sent();
    pair.server.engine.disposition(arrived, Some(DeliveryState::failed()), true);
    pair.drive();
    assert_eq!(pair.server.sent(), [], "nobody wants to know");
    assert_eq!(pair.server.engine.usage().incoming, 0);
}

/// A settled last transfer is no outcome.
#[test]
fn a_settled_last_transfer() {
    let (mut raw, _, _) = Raw::receiving(server(), 5);
    raw.transfer(part(0, 0), b"x");
    raw.transfer(Transfer { settled: Some(true), ..whole(0, 0) }, b"");
    let events = raw.events();
    let [
        Event::Transfer { delivery, settled: false, .. },
        Event::Transfer { settled: true, ending: Ending::Complete, .. },
    ] = events[..]
    else {
        panic!("{events:?}")
    };
    raw.engine.disposition(delivery, Some(DeliveryState::Accepted), true);
    assert_eq!(raw.sent(), []);
    assert_eq!(raw.engine.usage().incoming, 0);
}

#[test]
fn a_sender_settles_what_is_incomplete() {
    let (mut raw, _, _) = Raw::receiving(server(), 5);
    raw.transfer(part(0, 0), b"x");
    let delivery = incoming(&raw.events());
    let settled = Disposition {
        settled: Some(true),
        state: Some(DeliveryState::failed()),
        ..disposition(Role::Sender, 0, 0)
    };
    raw.feed(0, Performative::Disposition(settled.clone()));
    raw.feed(0, Performative::Disposition(settled));
    let state = DeliveryState::failed();
    assert_eq!(
        raw.events(),
        [Event::SenderState { delivery, state }, Event::SenderSettled { delivery }],
        "once"
    );
    raw.transfer(whole(0, 0), b"y");
    assert!(matches!(raw.events()[..], [Event::Transfer { ending: Ending::Complete, .. }]));
    raw.engine.disposition(delivery, None, true);
    assert_eq!(raw.engine.usage().incoming, 0);
    assert_eq!(raw.sent(), []);
}

#[test]
fn settled_by_the_receiver_before_it_is_complete() {
    let (mut raw, _, link) = Raw::sending(server(), 5);
    let delivery = raw.engine.deliver(link, false).unwrap();
    raw.engine.send_part(delivery, &mut chunks(b"x"), false);
    let state = Some(DeliveryState::Released);
    let released = Disposition {
        settled: Some(true),
        state: state.clone(),
        ..disposition(Role::Receiver, 0, 0)
    };
    raw.feed(0, Performative::Disposition(released.clone()));
    raw.feed(0, Performative::Disposition(released));
    assert_eq!(raw.events(), [Event::Outcome { delivery, state, settled: true }], "once");
    assert_eq!(raw.engine.usage().outgoing, 1);
    raw.engine.send_part(delivery, &mut chunks(b"y"), true);
    assert_eq!(raw.engine.usage().outgoing, 0);
}

#[test]
fn received_comes_as_often_as_it_is_said() {
    let (mut pair, link, _) = linked();
    let delivery = pair.client.engine.deliver(link, false).unwrap();
    pair.client.engine.send_part(delivery, &mut chunks(b"xyz"), false);
    pair.drive();
    let arrived = incoming(&pair.server.events());
    for octets in 1..=3 {
        pair.server.engine.disposition(arrived, Some(DeliveryState::received(octets)), false);
        pair.drive();
        let state = Some(DeliveryState::received(octets));
        assert_eq!(pair.client.events(), [Event::Outcome { delivery, state, settled: false }]);
    }
}

// ----- ranges -----

#[test]
fn dispositions_of_ranges() {
    let (mut raw, _, link) = Raw::sending(server(), 100);
    let deliveries: Vec<_> = (0..20).map(|_| send(&mut raw.engine, link, b"x", false)).collect();
    let accepted = |first, last| {
        let disposition = disposition(Role::Receiver, first, last);
        Performative::Disposition(Disposition {
            settled: Some(true),
            state: Some(DeliveryState::Accepted),
            ..disposition
        })
    };
    let settled = |raw: &mut Raw| -> Vec<_> {
        let key = |event| match event {
            Event::Outcome { delivery, settled: true, .. } => delivery,
            other => panic!("{other:?}"),
        };
        raw.events().into_iter().map(key).collect()
    };
    raw.feed(0, accepted(3, 5));
    assert_eq!(settled(&mut raw), deliveries[3..=5]);
    raw.feed(0, accepted(3, 5));
    assert_eq!(settled(&mut raw), [], "they are gone");
    raw.feed(0, accepted(4, 7));
    assert_eq!(settled(&mut raw), deliveries[6..=7]);
    raw.feed(0, accepted(1000, 2000));
    assert_eq!(settled(&mut raw), []);
    raw.feed(0, accepted(10, i32::MAX as u32));
    assert_eq!(settled(&mut raw), deliveries[10..]);
    // From before the first, as serial numbers.
    raw.feed(0, accepted(u32::MAX - 10, 1));
    assert_eq!(settled(&mut raw), deliveries[..=1]);
    assert_eq!(raw.engine.usage().outgoing, 3);
    // All numbers there are: the last is before the first.
    raw.feed(0, accepted(0, u32::MAX));
    let Event::Ended { error: Some(error), .. } = raw.events().pop().unwrap() else {
        panic!("ended")
    };
    assert_eq!(error.condition, *condition::INVALID_FIELD);
    assert_eq!(raw.engine.usage().outgoing, 0);
}

#[test]
fn repeated_dispositions_queue_nothing() {
    let (mut raw, _, link) = Raw::sending(server(), 1000);
    for _ in 0..1000 {
        send(&mut raw.engine, link, b"x", false);
    }
    let said = |state| {
        Performative::Disposition(Disposition { state, ..disposition(Role::Receiver, 0, 2000) })
    };
    for _ in 0..100 {
        raw.feed(0, said(Some(DeliveryState::Accepted)));
        raw.feed(0, said(Some(DeliveryState::failed())));
        raw.feed(0, said(Some(DeliveryState::received(7))));
        raw.feed(0, said(None));
    }
    assert_eq!(raw.events().len(), 1000, "one outcome each");
    // The same of a sender, about what we receive.
    let (mut raw, _, _) = Raw::receiving(server(), 100);
    for id in 0..100 {
        raw.transfer(whole(0, id), b"x");
    }
    raw.events();
    for _ in 0..100 {
        let settled = Disposition { settled: Some(true), ..disposition(Role::Sender, 0, 2000) };
        raw.feed(0, Performative::Disposition(settled));
    }
    assert_eq!(raw.events().len(), 100);
}

#[test]
fn a_wide_disposition_is_carried_out_in_portions_and_before_what_follows() {
    let (mut raw, _, link) = Raw::sending(server(), 1000);
    let deliveries: Vec<_> = (0..300).map(|_| send(&mut raw.engine, link, b"x", false)).collect();
    let accepted = Disposition {
        state: Some(DeliveryState::Accepted),
        ..disposition(Role::Receiver, 0, i32::MAX as u32)
    };
    let settled = Disposition { settled: Some(true), ..disposition(Role::Receiver, 10, 10) };
    for said in [accepted, settled] {
        raw.input.extend_from_slice(&octets_of(0, &Performative::Disposition(said), b""));
    }
    let (mut heard, mut turns) = (Vec::new(), 0);
    loop {
        let more = raw.engine.handle_input(&mut raw.input, raw.now);
        let events = raw.events();
        assert!(events.len() <= STEPS as usize, "{} events at once", events.len());
        for event in events {
            let Event::Outcome { delivery, settled, .. } = event else { panic!("{event:?}") };
            heard.push((delivery, settled));
        }
        if !more {
            break;
        }
        turns += 1;
        // What the application does meanwhile is its own: one is given up, and one begins that was
        // not meant.
        if turns == 1 {
            raw.engine.settle(deliveries[200]);
            send(&mut raw.engine, link, b"x", false);
        }
    }
    let mut wanted: Vec<_> = deliveries
        .iter()
        .enumerate()
        .filter(|(n, _)| *n != 200)
        .map(|(_, key)| (*key, false))
        .collect();
    wanted.push((deliveries[10], true));
    assert_eq!(heard, wanted);
    // The session ends under the next.
    let accepted = Disposition { settled: Some(true), ..disposition(Role::Receiver, 0, 299) };
    raw.input.extend_from_slice(&octets_of(0, &Performative::Disposition(accepted), b""));
    assert!(raw.engine.handle_input(&mut raw.input, raw.now));
    let session = raw.engine.session_of(link).expect("a session");
    raw.engine.end(session, None);
    raw.events();
    assert!(!raw.engine.handle_input(&mut raw.input, raw.now));
    assert_eq!((raw.events(), raw.engine.usage().outgoing), (vec![], 0));
}

#[test]
fn an_outcome_is_never_taken_for_another_deliverys() {
    let (mut raw, _, link) = Raw::sending(server(), 100);
    let deliveries: Vec<_> = (0..4).map(|_| send(&mut raw.engine, link, b"x", false)).collect();
    let accepted = disposition(Role::Receiver, 0, 3);
    let accepted =
        Disposition { settled: Some(true), state: Some(DeliveryState::Accepted), ..accepted };
    raw.feed(0, Performative::Disposition(accepted));
    // The application sends the next as soon as it hears of the first.
    let mut next = Vec::new();
    while let Some(event) = raw.engine.poll_event() {
        let Event::Outcome { delivery, .. } = event else { panic!("{event:?}") };
        assert!(deliveries.contains(&delivery) && !next.contains(&delivery));
        next.push(send(&mut raw.engine, link, b"x", false));
    }
    assert_eq!(raw.engine.usage().outgoing, 4);
}

#[test]
fn delivery_ids_wrap_around() {
    let (mut raw, _, _) = Raw::receiving(server(), 10);
    let mut keys = Vec::new();
    for id in [u32::MAX - 1, u32::MAX, 0, 1] {
        raw.transfer(whole(0, id), b"x");
        keys.push(incoming(&raw.events()));
    }
    let settled = Disposition { settled: Some(true), ..disposition(Role::Sender, u32::MAX, 0) };
    raw.feed(0, Performative::Disposition(settled));
    assert_eq!(
        raw.events(),
        [Event::SenderSettled { delivery: keys[1] }, Event::SenderSettled { delivery: keys[2] }],
        "in their order"
    );
    for key in keys {
        raw.engine.disposition(key, Some(DeliveryState::Accepted), true);
    }
    let sent = raw.sent();
    assert_eq!(
        dispositions(&sent).iter().map(|disposition| disposition.first).collect::<Vec<_>>(),
        [u32::MAX - 1, 1]
    );
}

#[test]
fn detach_loses_only_its_own_deliveries() {
    let (mut raw, _, _) = Raw::receiving(server(), 10);
    let other = raw.attach(1, Role::Sender);
    raw.engine.set_credit(other, 10, false);
    raw.transfer(whole(0, 0), b"x");
    raw.transfer(part(1, 1), b"x");
    let events = raw.events();
    let [Event::Transfer { delivery: lost, .. }, Event::Transfer { delivery: kept, .. }] =
        events[..]
    else {
        panic!("two")
    };
    raw.feed(0, Performative::Detach(Detach { handle: 0, closed: Some(true), error: None }));
    assert!(
        matches!(raw.events()[..], [Event::IncomingLost { delivery }, Event::Detached { .. }] if delivery == lost)
    );
    raw.transfer(whole(1, 1), b"y");
    assert!(
        matches!(raw.events()[..], [Event::Transfer { delivery, first: false, .. }] if delivery == kept)
    );
}
