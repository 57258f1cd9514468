//! States, outcomes and settlement of deliveries.

use super::*;
use crate::amqp::performative::{DeliveryState, Error, MAX_STATE, Modified, Rejected};
use crate::amqp::{Fields, Value, condition};

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
    // The receiver's answer is no outcome either.
    pair.server.engine.disposition(*arrived, Some(state(3)), false);
    pair.drive();
    assert_eq!(
        pair.client.events(),
        [Event::ReceiverState { delivery, state: Some(state(3)), settled: false }]
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

/// Returns states as large as a peer's frames, and what is kept of them within `room` bytes: `None`
/// for nothing.
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

/// Only some lines of a state are kept.
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
        let outcome =
            |delivery| Event::ReceiverState { delivery, state: kept.clone(), settled: true };
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
        assert_eq!(
            events.last(),
            Some(&Event::ReceiverState { delivery, state: kept, settled: true })
        );
    }
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
    assert_eq!(pair.client.events(), [Event::ReceiverState { delivery, state, settled: false }]);
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
    assert_eq!(raw.events(), [Event::ReceiverState { delivery, state, settled: true }], "once");
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
        assert_eq!(
            pair.client.events(),
            [Event::ReceiverState { delivery, state, settled: false }]
        );
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
            Event::ReceiverState { delivery, settled: true, .. } => delivery,
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
    // The same of a sender, about deliveries that this end receives.
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
            let Event::ReceiverState { delivery, settled, .. } = event else { panic!("{event:?}") };
            heard.push((delivery, settled));
        }
        if !more {
            break;
        }
        turns += 1;
        // The application acts meanwhile: it aborts one, and begins one that was not meant.
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
        let Event::ReceiverState { delivery, .. } = event else { panic!("{event:?}") };
        assert!(deliveries.contains(&delivery) && !next.contains(&delivery));
        next.push(send(&mut raw.engine, link, b"x", false));
    }
    assert_eq!(raw.engine.usage().outgoing, 4);
}
