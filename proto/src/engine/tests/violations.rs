//! Peers that break the rules, and links cut anywhere.

use super::*;
use crate::amqp::condition;
use crate::amqp::performative::{DeliveryState, Detach, End};

/// Returns the engine's error when a peer with a receiving link (handle 0, two credits) sends
/// something.
fn refused(octets: &[u8]) -> String {
    let (mut raw, _, _) = Raw::receiving(Config { incoming_window: 3, ..server() }, 2);
    raw.octets(octets);
    raw.refusal()
}

fn transfer(transfer: Transfer) -> Vec<u8> {
    octets_of(0, &Performative::Transfer(transfer), b"x")
}

fn all(frames: &[Vec<u8>]) -> Vec<u8> {
    frames.concat()
}

#[test]
fn broken_rules_are_named() {
    let cases: &[(&str, Vec<u8>, &str)] = &[
        (
            "sequence",
            all(&[transfer(whole(0, 0)), transfer(whole(0, 2))]),
            condition::SESSION_INVALID_FIELD,
        ),
        (
            "twice the same",
            all(&[transfer(whole(0, 0)), transfer(whole(0, 0))]),
            condition::SESSION_INVALID_FIELD,
        ),
        ("no delivery-id", transfer(Transfer::default()), condition::INVALID_FIELD),
        (
            "interleaved",
            all(&[transfer(part(0, 0)), transfer(whole(0, 1))]),
            condition::NOT_ALLOWED,
        ),
        ("unknown handle", transfer(whole(9, 0)), condition::UNATTACHED_HANDLE),
        (
            "flow, unknown handle",
            octets_of(0, &credit_flow(9, 0, 1), b""),
            condition::UNATTACHED_HANDLE,
        ),
        (
            "detach, unknown handle",
            octets_of(
                0,
                &Performative::Detach(Detach { handle: 9, closed: Some(true), error: None }),
                b"",
            ),
            condition::UNATTACHED_HANDLE,
        ),
        (
            "handle in use",
            octets_of(0, &attach("other", 0, Role::Sender), b""),
            condition::HANDLE_IN_USE,
        ),
        (
            "credit",
            all(&[transfer(whole(0, 0)), transfer(whole(0, 1)), transfer(whole(0, 2))]),
            condition::TRANSFER_LIMIT_EXCEEDED,
        ),
        ("unknown channel", octets_of(7, &credit_flow(0, 0, 1), b""), condition::NOT_ALLOWED),
        (
            "end on an unknown channel",
            octets_of(7, &Performative::End(End { error: None }), b""),
            condition::NOT_ALLOWED,
        ),
        ("channel in use", octets_of(0, &begin(), b""), condition::NOT_ALLOWED),
        (
            "an answer to no begin",
            octets_of(
                1,
                &Performative::Begin(Box::new(Begin {
                    remote_channel: Some(5),
                    incoming_window: 1,
                    ..Begin::default()
                })),
                b"",
            ),
            condition::NOT_ALLOWED,
        ),
        (
            "an answer to a begun session",
            octets_of(
                1,
                &Performative::Begin(Box::new(Begin {
                    remote_channel: Some(0),
                    incoming_window: 1,
                    ..Begin::default()
                })),
                b"",
            ),
            condition::NOT_ALLOWED,
        ),
        (
            "a range that ends before it begins",
            octets_of(0, &Performative::Disposition(disposition(Role::Receiver, 5, 4)), b""),
            condition::INVALID_FIELD,
        ),
        ("oversized", vec![0, 0, 0x40, 0x01, 2, 0, 0, 0], condition::FRAMING_ERROR),
        ("undersized", vec![0, 0, 0, 7, 2, 0, 0, 0], condition::FRAMING_ERROR),
        ("data offset within the header", vec![0, 0, 0, 16, 1, 0, 0, 0], condition::FRAMING_ERROR),
        ("data offset beyond the frame", vec![0, 0, 0, 8, 3, 0, 0, 0], condition::FRAMING_ERROR),
        (
            "a SASL frame",
            vec![0, 0, 0, 12, 2, 1, 0, 0, 0, 0x53, 0x40, 0x45],
            condition::FRAMING_ERROR,
        ),
        (
            "an unknown performative",
            vec![0, 0, 0, 12, 2, 0, 0, 0, 0, 0x53, 0x19, 0x45],
            condition::DECODE_ERROR,
        ),
        ("no performative", vec![0, 0, 0, 9, 2, 0, 0, 0, 0x40], condition::DECODE_ERROR),
    ];
    for (name, octets, expected) in cases {
        assert_eq!(refused(octets), *expected, "{name}");
    }
}

#[test]
fn a_peer_that_ignores_the_window() {
    // A session whose window is not opened again: it never is below half of one.
    let (mut raw, _) = Raw::begun(Config { incoming_window: 0, ..server() });
    let link = raw.attach(0, Role::Sender);
    raw.engine.set_credit(link, 10, false);
    raw.sent();
    raw.octets(&transfer(whole(0, 0)));
    assert_eq!(raw.refusal(), condition::WINDOW_VIOLATION);
}

#[test]
fn a_transfer_against_the_stream() {
    let (mut raw, _, _) = Raw::sending(server(), 5);
    raw.octets(&transfer(whole(0, 0)));
    assert_eq!(raw.refusal(), condition::NOT_ALLOWED);
}

#[test]
fn a_transfer_before_the_link_is_accepted() {
    let (mut raw, _) = Raw::begun(server());
    raw.feed(0, attach("link", 0, Role::Sender));
    raw.octets(&transfer(whole(0, 0)));
    let [Event::Attached { .. }, Event::Detached { error: Some(_), .. }] = raw.events()[..] else {
        panic!("detached")
    };
    // Attached, then detached.
    assert!(matches!(
        raw.sent()[..],
        [Item::Frame(_, Performative::Attach(_), _), Item::Frame(_, Performative::Detach(_), _)]
    ));
}

#[test]
fn after_a_refusal_the_rest_is_passed_over() {
    // This end has ended the session: its frames on their way are no error, and its end frees the
    // channel.
    let (mut raw, session, link) = Raw::receiving(server(), 5);
    raw.octets(&transfer(whole(9, 0)));
    let events = raw.events();
    assert!(matches!(events[..], [Event::LinkLost { link: lost }, Event::Ended { session: ended,
            .. }] if lost == link && ended == session));
    raw.octets(&transfer(whole(0, 1)));
    raw.feed(0, attach("late", 3, Role::Sender));
    raw.feed(0, credit_flow(3, 0, 1));
    raw.feed(0, Performative::End(End { error: None }));
    assert_eq!(raw.events(), []);
    assert_eq!(raw.engine.usage(), Usage::default());
    raw.feed(0, begin());
    assert!(matches!(raw.events()[..], [Event::Begun { .. }]));
}

#[test]
fn what_follows_a_fatal_frame_is_dropped() {
    let (mut raw, _, _) = Raw::receiving(server(), 5);
    let mut octets = vec![0, 0, 0, 9, 2, 0, 0, 0, 0x40];
    octets.extend(transfer(whole(0, 0)));
    raw.octets(&octets);
    raw.octets(&transfer(whole(0, 0)));
    assert!(matches!(
        raw.events()[..],
        [Event::Closed(Closed { initiator: Initiator::Local, error: Some(_) })]
    ));
    assert!(raw.input.is_empty());
}

#[test]
fn extended_headers_are_skipped() {
    let (mut raw, _, _) = Raw::receiving(server(), 5);
    let frame = transfer(whole(0, 0));
    let mut octets = vec![0, 0, 0, 0, 4, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9];
    octets.extend_from_slice(&frame[8..]);
    octets[3] = u8::try_from(octets.len()).unwrap();
    raw.octets(&octets);
    assert!(matches!(&raw.events()[..], [Event::Transfer { payload, .. }] if payload == "x"));
}

#[test]
fn links_have_a_limit() {
    let (mut raw, _) = Raw::begun(Config { max_frame_size: 1 << 20, ..server() });
    let mut octets = Vec::new();
    for handle in 0..=u32::try_from(MAX_LINKS).unwrap() {
        octets.extend(octets_of(0, &attach("", handle, Role::Sender), b""));
    }
    raw.input.extend_from_slice(&octets);
    while raw.engine.handle_input(&mut raw.input, raw.now) {}
    let last = core::iter::from_fn(|| raw.engine.poll_event()).last();
    let Some(Event::Ended { error: Some(error), .. }) = last else { panic!("{last:?}") };
    assert_eq!(error.condition, *condition::RESOURCE_LIMIT_EXCEEDED);
    assert_eq!(raw.engine.usage().links, 0);
}

/// A conversation with a bit of everything: for each side, its configuration and what arrived
/// there, turn by turn.
fn conversation() -> [(Config, Vec<Vec<u8>>); 2] {
    let mut pair = Pair::new(client(), server());
    pair.drive();
    let session = pair.client.engine.begin().unwrap();
    let link = pair.client.engine.attach(session, request("link", Role::Sender)).unwrap();
    pair.drive();
    let Some(Event::Attached { link: theirs, .. }) = pair.server.events().pop() else {
        panic!("attached")
    };
    pair.server.engine.accept(theirs, AttachRequest::default());
    pair.server.engine.keep_credit(theirs, 2);
    pair.drive();
    for text in [&b"first"[..], b"second", b"third"] {
        let delivery = pair.client.engine.deliver(link, false).unwrap();
        pair.client.engine.send_part(delivery, &mut chunks(text), false);
        pair.client.engine.send_part(delivery, &mut chunks(b" and more"), true);
        pair.drive();
        let Some(Event::Transfer { delivery, .. }) = pair.server.events().pop() else {
            panic!("transfer")
        };
        pair.server.engine.disposition(delivery, Some(DeliveryState::Accepted), true);
        pair.drive();
    }
    let delivery = pair.client.engine.deliver(link, false).unwrap();
    pair.client.engine.send_part(delivery, &mut chunks(b"not this one"), false);
    pair.client.engine.abort(delivery);
    pair.drive();
    pair.server.engine.detach(theirs, None);
    pair.drive();
    pair.client.engine.end(session, None);
    pair.client.engine.close(None, pair.now);
    pair.drive();
    [(client(), pair.server.turns), (server(), pair.client.turns)]
}

/// Returns an engine's events for bytes that arrive in these pieces, as the other side does nothing
/// of its own.
fn told(config: &Config, pieces: &[&[u8]]) -> (Vec<Event>, Vec<u8>) {
    let mut raw = Raw::new(config.clone());
    let mut events = Vec::new();
    for piece in pieces {
        raw.input.extend_from_slice(piece);
        while raw.engine.handle_input(&mut raw.input, raw.now) {}
        while let Some(event) = raw.engine.poll_event() {
            // The answers that the other side waits for.
            match &event {
                Event::Attached { link, ours: false, .. } => {
                    raw.engine.accept(*link, AttachRequest::default());
                    raw.engine.keep_credit(*link, 2);
                }
                Event::Transfer { delivery, ending, .. } if *ending != Ending::More => {
                    raw.engine.disposition(*delivery, Some(DeliveryState::Accepted), true);
                }
                _ => {}
            }
            events.push(event);
        }
        raw.engine.check();
    }
    (events, raw.engine.output().to_vec())
}

#[test]
fn it_does_not_matter_where_the_octets_are_cut() {
    let [_, (config, turns)] = conversation();
    let pieces: Vec<&[u8]> = turns.iter().map(Vec::as_slice).collect();
    let expected = told(&config, &pieces);
    assert!(matches!(expected.0.last(), Some(Event::Closed(_))), "{:?}", expected.0.last());
    assert!(expected.0.len() > 10);
    for turn in 0..pieces.len() {
        for at in 0..pieces[turn].len() {
            let (head, tail) = pieces[turn].split_at(at);
            let cut = [&pieces[..turn], &[head, tail], &pieces[turn + 1..]].concat();
            assert_eq!(told(&config, &cut), expected, "turn {turn} cut at {at}");
        }
    }
    let octets = turns.concat();
    assert_eq!(told(&config, &octets.chunks(1).collect::<Vec<_>>()), expected);
}

#[test]
fn a_link_may_be_lost_at_any_octet() {
    for (config, turns) in conversation() {
        let octets = turns.concat();
        for at in 0..octets.len() {
            let mut raw = Raw::new(config.clone());
            raw.octets(&octets[..at]);
            raw.events();
            // Whatever there was, the connection ends, and in time.
            raw.engine.close(None, raw.now);
            while let Some(deadline) = raw.engine.poll_timeout() {
                raw.engine.handle_timeout(deadline);
            }
            assert!(raw.engine.is_closed());
            let events = raw.events();
            assert!(events.len() <= 1, "{events:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Bytes of a conversation with some of them changed: no panic, and the engine's state stays
    /// sound.
    #[test]
    fn changed_octets(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        for (config, turns) in conversation() {
            let mut octets = turns.concat();
            for (index, octet) in &changes {
                let at = index.index(octets.len());
                octets[at] = *octet;
            }
            let _ = told(&config, &[&octets]);
        }
    }
}
