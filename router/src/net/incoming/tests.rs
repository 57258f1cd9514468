//! Deliveries that arrive, in virtual time and without a socket.

use std::collections::VecDeque;
use std::sync::Arc;

use skupper_proto::address::AddressKey;
use skupper_proto::amqp::message::{Properties, section};
use skupper_proto::amqp::{Encode, encode};
use skupper_proto::engine::{Event, OutgoingKey};
use skupper_proto::stream::MAX_HELD;

use super::*;
use crate::core::{ConsumerEnd, Consumption, Endpoint, LocalConsumer};
use crate::lock::Mutex;
use crate::net::tests::pair::Pair;
use crate::schema::Role;

/// A consumer that keeps what it is given.
#[derive(Debug, Default)]
struct Keeper(Mutex<Vec<ConsumerEnd>>);

impl Endpoint for Keeper {
    fn deliver(&self, delivery: ConsumerEnd) {
        self.0.lock().push(delivery);
    }
}

impl Keeper {
    fn last(&self) -> ConsumerEnd {
        self.0.lock().pop().expect("a delivery")
    }

    fn consume(self: &Arc<Self>, pair: &Pair, address: &str) -> Consumption {
        let consumer = LocalConsumer::own(Arc::clone(self) as Arc<_>);
        let cx = &pair.near.cx;
        cx.core.serve(AddressKey::mobile(address), consumer, cx.now)
    }
}

/// A message with this body.
fn message(to: &str, body: usize) -> Bytes {
    let mut octets = Vec::new();
    Properties { to: Some(to.to_owned()), ..Properties::default() }.encode(&mut octets);
    encode::descriptor(&mut octets, section::DATA);
    octets.extend_from_slice(&[0xb0]);
    octets.extend_from_slice(&u32::try_from(body).unwrap().to_be_bytes());
    octets.resize(octets.len() + body, b'x');
    Bytes::from(octets)
}

fn send(pair: &mut Pair, key: OutgoingKey, octets: Bytes, last: bool) {
    let mut chunks = VecDeque::from([octets]);
    while !chunks.is_empty() && pair.far.send_part(key, &mut chunks, last) {}
}

fn outcome(events: &[Event]) -> Option<&DeliveryState> {
    events.iter().rev().find_map(|event| match event {
        Event::ReceiverState { state, .. } => state.as_ref(),
        _ => None,
    })
}

/// Tells the router that all its deliveries have news of their consumers.
fn wake(pair: &mut Pair) {
    let keys: Vec<_> = pair.near.incoming.slots.keys().copied().collect();
    for key in keys {
        pair.near.incoming.on_wake(&mut pair.near.cx, key);
    }
}

#[test]
fn a_message_is_routed_and_its_outcome_goes_back_with_the_credit() {
    let mut pair = Pair::open(Role::Normal, 1000);
    let keeper = Arc::<Keeper>::default();
    let _consumption = keeper.consume(&pair, "queue");
    let link = pair.attach_sender("queue");
    let credit = pair.far.credit(link);
    assert_eq!(credit, 250, "somebody consumes the address");
    let key = pair.far.deliver(link, false).unwrap();
    send(&mut pair, key, message("queue", 10), true);
    pair.run();
    assert_eq!(pair.far.credit(link), credit - 1);
    keeper.last().conclude(DeliveryState::Accepted);
    wake(&mut pair);
    assert_eq!(outcome(&pair.run()), Some(&DeliveryState::Accepted));
    assert!(pair.near.incoming.slots.is_empty());
    assert_eq!(pair.far.credit(link), credit, "nothing is open");
}

#[test]
fn a_client_has_no_credit_while_nobody_consumes_its_address() {
    let mut pair = Pair::open(Role::Normal, 1000);
    let link = pair.attach_sender("queue");
    assert_eq!(pair.far.credit(link), 0);
    let keeper = Arc::<Keeper>::default();
    let consumption = keeper.consume(&pair, "queue");
    let near = *pair.near.incoming.producers.keys().next().expect("the client's link");
    assert!(!pair.near.incoming.on_reach(&mut pair.near.cx, near), "it is no router");
    pair.run();
    assert_eq!(pair.far.credit(link), 250);
    // It may keep what it has until it sends.
    drop(consumption);
    pair.near.incoming.on_reach(&mut pair.near.cx, near);
    pair.run();
    assert_eq!(pair.far.credit(link), 250);
    let key = pair.far.deliver(link, false).unwrap();
    send(&mut pair, key, message("queue", 10), true);
    let heard = pair.run();
    assert!(outcome(&heard).is_some_and(|state| *state != DeliveryState::Accepted));
    let drains = heard.iter().any(|event| matches!(event, Event::Credit { drain: true, .. }));
    assert!(drains, "the rest is to be given back");
}

#[test]
fn a_message_that_is_given_up_in_its_head_goes_nowhere() {
    let mut pair = Pair::open(Role::Normal, 1000);
    let keeper = Arc::<Keeper>::default();
    let _consumption = keeper.consume(&pair, "queue");
    let link = pair.attach_sender("queue");
    let key = pair.far.deliver(link, false).unwrap();
    send(&mut pair, key, message("queue", 100).slice(..20), false);
    pair.run();
    assert_eq!(pair.near.incoming.slots.len(), 1);
    pair.far.abort(key);
    pair.run();
    assert!(pair.near.incoming.slots.is_empty() && keeper.0.lock().is_empty());
}

#[test]
fn a_message_that_nobody_reads_closes_its_session_until_it_is_read() {
    let mut pair = Pair::open(Role::Normal, 1000);
    let keeper = Arc::<Keeper>::default();
    let _consumption = keeper.consume(&pair, "queue");
    let link = pair.attach_sender("queue");
    let key = pair.far.deliver(link, false).unwrap();
    let octets = message("queue", 4 * FULL);
    // It is larger than a head may be, so it goes on as it arrives.
    send(&mut pair, key, octets.slice(..FULL), false);
    pair.run();
    assert!(pair.near.incoming.holds.is_empty());
    send(&mut pair, key, octets.slice(FULL..2 * FULL), false);
    pair.run();
    assert_eq!(pair.near.incoming.holds.len(), 1);
    let delivery = keeper.last();
    let mut taken = Vec::new();
    while delivery.take(FULL, &mut taken).0 > 0 {}
    wake(&mut pair);
    assert!(pair.near.incoming.holds.is_empty());
}

#[test]
fn a_stream_that_overruns_its_window_is_refused() {
    let mut pair = Pair::open(Role::InterRouter, 1000);
    let keeper = Arc::<Keeper>::default();
    let _consumption = keeper.consume(&pair, "service");
    let session = pair.far.begin().unwrap();
    let request = skupper_proto::engine::AttachRequest {
        name: "stream".to_owned(),
        source: Some(Default::default()),
        target: Some(skupper_proto::amqp::terminus::Target::Message(Default::default())),
        snd_settle_mode: 2,
        ..Default::default()
    };
    let link = pair.far.attach(session, request).unwrap();
    pair.run();
    let key = pair.far.deliver(link, false).unwrap();
    let head = stream::encode_head("service", Some("reply"), None, None);
    let annotations = {
        use skupper_proto::annotations::{Flags, OutgoingAnnotations};
        let mut octets = Vec::new();
        let flags = Flags::STREAMING.with(Flags::DISABLE_Q2);
        OutgoingAnnotations::originated(flags, "0/peer").encode(&mut octets);
        octets
    };
    send(&mut pair, key, Bytes::from([annotations, head].concat()), false);
    pair.run();
    let delivery = keeper.last();
    let chunk = Bytes::from(vec![0; MAX_HELD]);
    send(&mut pair, key, chunk.clone(), false);
    pair.run();
    assert_eq!(delivery.ended(), None);
    send(&mut pair, key, chunk, false);
    let heard = pair.run();
    assert_eq!(delivery.ended(), Some(Ended::Aborted));
    assert!(matches!(outcome(&heard), Some(DeliveryState::Rejected(_))));
    // The rest is dropped.
    send(&mut pair, key, Bytes::from_static(b"more"), true);
    pair.run();
    assert!(pair.near.incoming.slots.is_empty());
}

#[test]
fn a_message_for_the_router_itself_is_given_to_its_owner() {
    let mut pair = Pair::open(Role::InterRouter, 1000);
    let link = LinkKey(7);
    pair.near.incoming.take_own(link, OwnUse::Routing);
    let part = |payload: &'static [u8], ending| Part {
        key: IncomingKey(1),
        link,
        presettled: true,
        payload: Bytes::from_static(payload),
        ending,
        state: None,
    };
    let cx = &mut pair.near.cx;
    assert!(pair.near.incoming.on_transfer(cx, part(b"one ", Ending::More)).is_none());
    let own = pair.near.incoming.on_transfer(cx, part(b"two", Ending::Complete)).expect("whole");
    assert_eq!(&own.octets[..], b"one two");
    pair.near.incoming.on_own_taken(cx, own.key, Ok(()));
    assert!(pair.near.incoming.slots.is_empty());
    // A link that is gone is for nobody.
    pair.near.incoming.on_detached(link);
    assert_eq!(pair.near.incoming.own_use(link), None);
}
