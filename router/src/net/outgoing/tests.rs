//! Deliveries that leave, in virtual time and without a socket.

use std::time::Duration;

use skupper_proto::amqp::performative::{DeliveryState, Error};
use skupper_proto::engine::{Ending, Event};
use skupper_proto::unread::BULK;

use super::*;
use crate::core::{Ended, Message, ProducerEnd};
use crate::net::tests::pair::{Pair, attached};
use crate::schema::Role;

/// Gives the router a stream of a service to send.
fn stream(pair: &mut Pair) -> ProducerEnd {
    let sections = skupper_proto::stream::encode_head("service", Some("reply"), None, None);
    let message = Message {
        sections: Bytes::from(sections),
        streaming: true,
        priority: 4,
        internal: true,
        windowed: true,
        ..Message::default()
    };
    let cx = &mut pair.near.cx;
    let (producer, delivery) = ProducerEnd::begin(message, cx.core.own());
    pair.near.outgoing.on_deliver(cx, delivery, Via::Stream);
    producer
}

/// Tells the router that its deliveries have something to be sent.
fn wake(pair: &mut Pair) {
    let slots: Vec<_> = pair.near.outgoing.slots.iter().map(|(slot, _)| slot as u32).collect();
    for slot in slots {
        pair.near.outgoing.on_wake(&mut pair.near.cx, slot);
    }
}

/// Begins a stream with more bytes than the peer may hold unread.
fn bulky_stream() -> (Pair, ProducerEnd) {
    let mut pair = Pair::open(Role::InterRouter, 8192);
    let delivery = stream(&mut pair);
    let link = attached(&pair.run())[0];
    pair.accept(link, 10);
    for _ in 0..=BULK / (16 * 1024) {
        delivery.push(Bytes::from(vec![0; 16 * 1024]));
    }
    wake(&mut pair);
    (pair, delivery)
}

/// The octets of the bodies that the peer has heard, with the heads.
fn octets(events: &[Event]) -> usize {
    let octets = |event: &Event| match event {
        Event::Transfer { payload, .. } => payload.len(),
        _ => 0,
    };
    events.iter().map(octets).sum()
}

fn ends(events: &[Event], wanted: Ending) -> bool {
    events.iter().any(|event| matches!(event, Event::Transfer { ending, .. } if *ending == wanted))
}

#[test]
fn a_stream_is_sent_and_is_over_when_it_is_accepted() {
    let mut pair = Pair::open(Role::InterRouter, 1000);
    let delivery = stream(&mut pair);
    let link = attached(&pair.run())[0];
    pair.accept(link, 10);
    delivery.push(Bytes::from_static(b"hello"));
    let heard = pair.run();
    assert!(octets(&heard) > 5 && !ends(&heard, Ending::Complete));
    delivery.end(Ended::Complete);
    wake(&mut pair);
    let heard = pair.run();
    let key = heard
        .iter()
        .find_map(|event| match event {
            Event::Transfer { delivery, ending: Ending::Complete, .. } => Some(*delivery),
            _ => None,
        })
        .expect("the end of the stream");
    assert_eq!(pair.near.outgoing.slots.len(), 1, "its receiver has said nothing");
    pair.far.disposition(key, Some(DeliveryState::Accepted), true);
    pair.run();
    assert_eq!(delivery.progress().outcome, Some(DeliveryState::Accepted));
    assert!(pair.near.outgoing.slots.is_empty() && pair.near.outgoing.by_key.is_empty());
    // The link is there for the next stream.
    let _next = stream(&mut pair);
    let heard = pair.run();
    assert!(attached(&heard).is_empty() && octets(&heard) > 0);
}

#[test]
fn a_refused_link_releases_one_stream() {
    let mut pair = Pair::open(Role::InterRouter, 1000);
    let streams = [stream(&mut pair), stream(&mut pair)];
    let links = attached(&pair.run());
    assert_eq!(links.len(), 2);
    pair.far.refuse(links[0], Error::new("qd:forbidden", "no streams here"));
    pair.run();
    assert_eq!(streams[0].progress().outcome, Some(DeliveryState::Released));
    assert_eq!(streams[1].progress().outcome, None);
    pair.accept(links[1], 1);
    assert!(octets(&pair.run()) > 0);
}

#[test]
fn a_window_that_opens_wakes_the_streams_of_its_session_alone() {
    let mut pair = Pair::open(Role::InterRouter, 4);
    let streams = [stream(&mut pair), stream(&mut pair)];
    let links = attached(&pair.run());
    let sessions: Vec<_> = links.iter().map(|link| pair.far.session_of(*link).unwrap()).collect();
    assert_ne!(sessions[0], sessions[1], "toward a C router each has its own");
    for (link, session) in links.iter().zip(&sessions) {
        pair.accept(*link, 10);
        pair.far.hold_window(*session, true);
    }
    pair.run();
    for delivery in &streams {
        delivery.push(Bytes::from(vec![0; 128 * 1024]));
    }
    wake(&mut pair);
    pair.run();
    let parked = |pair: &Pair| pair.near.outgoing.parked.values().map(Vec::len).sum::<usize>();
    assert_eq!((parked(&pair), pair.near.outgoing.parked.len()), (2, 2));
    pair.far.hold_window(sessions[0], false);
    let heard = pair.run();
    assert!(octets(&heard) > 0);
    let others = heard
        .iter()
        .filter(|event| matches!(event, Event::Transfer { link, .. } if *link == links[1]));
    assert_eq!(others.count(), 0, "that session's window is closed");
    assert_eq!(parked(&pair), 1);
}

#[test]
fn a_stream_that_the_peer_leaves_unread_is_held_and_goes_on_when_it_is_acknowledged() {
    let (mut pair, _delivery) = bulky_stream();
    let heard = pair.run();
    let sent = octets(&heard) as u64;
    assert!(sent > BULK / 3 && sent < BULK, "{sent}");
    assert_eq!(pair.near.outgoing.held.len(), 1);
    let key = heard
        .iter()
        .find_map(|event| match event {
            Event::Transfer { delivery, .. } => Some(*delivery),
            _ => None,
        })
        .expect("part of the stream");
    // Its producer's word changes nothing, and an answer of the peer is asked for.
    wake(&mut pair);
    assert_eq!(octets(&pair.run()), 0);
    assert!(pair.near.outgoing.due().is_some());
    pair.far.disposition(key, Some(DeliveryState::received_in(0, sent)), false);
    assert!(octets(&pair.run()) > 0);
}

#[test]
fn an_abort_is_told_of_a_stream_that_is_held() {
    let (mut pair, delivery) = bulky_stream();
    pair.run();
    delivery.end(Ended::Aborted);
    wake(&mut pair);
    assert!(ends(&pair.run(), Ending::Aborted));
}

#[test]
fn links_that_a_burst_left_behind_are_given_up_after_a_while() {
    let mut pair = Pair::open(Role::InterRouter, 1000);
    pair.near.cx.peer.bounds_unread = false;
    let streams: Vec<_> = (0..200).map(|_| stream(&mut pair)).collect();
    for link in attached(&pair.run()) {
        pair.accept(link, 10);
    }
    for delivery in &streams {
        delivery.end(Ended::Complete);
    }
    wake(&mut pair);
    let heard = pair.run();
    for event in &heard {
        if let Event::Transfer { delivery, ending: Ending::Complete, .. } = event {
            pair.far.disposition(*delivery, Some(DeliveryState::Accepted), true);
        }
    }
    pair.run();
    assert!(pair.near.outgoing.slots.is_empty());
    let links = pair.near.outgoing.links.len();
    assert_eq!(links, 200);
    let mut over = false;
    while let Some(due) = pair.near.outgoing.due() {
        assert!(due.since(pair.near.cx.now) <= Duration::from_secs(30));
        pair.wait(due.since(pair.near.cx.now));
        over |= pair.near.outgoing.on_timeout(&mut pair.near.cx);
        pair.run();
    }
    assert!(over && pair.near.outgoing.links.len() < links);
}
