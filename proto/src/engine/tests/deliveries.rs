//! Deliveries in one or many transfers, aborted, interleaved, lost.

use super::*;
use crate::amqp::performative::{DeliveryState, Detach};

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
        [Event::ReceiverState { delivery, state: Some(DeliveryState::Accepted), settled: true }]
    );
    assert_eq!((pair.client.engine.usage().outgoing, pair.server.engine.usage().incoming), (0, 0));
    // A disposition sends nothing from here on.
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
    // An end without payload takes a frame.
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
    // It is settled: the disposition sends nothing, and gives the key back.
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
    // The server states something about it in the meantime.
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
    assert!(matches!(raw.events()[..], [Event::IncomingLost { delivery },
            Event::Detached { .. }] if delivery == lost));
    raw.transfer(whole(1, 1), b"y");
    assert!(matches!(raw.events()[..], [Event::Transfer { delivery, first: false,
            .. }] if delivery == kept));
}
