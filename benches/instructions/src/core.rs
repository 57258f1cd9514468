//! Streams through the tables of one router: chosen, carried, acknowledged, ended.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::Waker;

use bytes::Bytes;
use skrouterd::core::{
    ConsumerEnd, Core, Ended, Endpoint, LocalConsumer, Mailbox, Message, Notify, ProducerEnd,
    Settings, TrunkUp,
};
use skupper_proto::address::patterns::Patterns;
use skupper_proto::address::{RouterMode, Treatment};
use skupper_proto::amqp::performative::DeliveryState;
use skupper_proto::annotations::{Flags, OutgoingAnnotations, node_text};
use skupper_proto::stream;
use skupper_proto::time::Instant;
use skupper_proto::topology::Config;

use super::{Scenario, measured};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "core/stream", run: |times| streams(1, times), times: 2000 },
    // The same with ten thousand services: it must cost the same.
    Scenario { name: "core/stream-of-10000", run: |times| streams(10_000, times), times: 2000 },
    Scenario { name: "core/chunk", run: chunks, times: 20_000 },
    Scenario { name: "core/address", run: addresses, times: 2000 },
];

/// Takes one stream at a time.
#[derive(Debug, Default)]
struct Sink(Mutex<Option<ConsumerEnd>>);

impl Endpoint for Sink {
    fn deliver(&self, delivery: ConsumerEnd) {
        *self.0.lock().expect("no panic holds it") = Some(delivery);
    }
}

impl Sink {
    fn take(&self) -> ConsumerEnd {
        self.0.lock().expect("no panic holds it").take().expect("a delivery")
    }
}

fn core() -> Arc<Core> {
    let settings = Settings {
        mode: RouterMode::Interior,
        bid: None,
        routing: Config::new("here", 1),
        treatments: Patterns::default(),
        default_treatment: Treatment::Balanced,
        shards: 1,
        ceiling: 1 << 30,
    };
    Core::new(settings, Instant::ZERO)
}

/// Makes a client stream as it comes from another router.
fn message() -> Message {
    let mut annotations = Vec::new();
    OutgoingAnnotations::originated(Flags::STREAMING.with(Flags::DISABLE_Q2), &node_text("there"))
        .encode(&mut annotations);
    let head =
        stream::encode_head("service-0", Some("amqp:/_topo/0/there/reply.0.0.0"), None, None);
    Message {
        annotations: Bytes::from(annotations),
        sections: Bytes::from(head),
        streaming: true,
        priority: 4,
        windowed: true,
        ..Message::default()
    }
}

/// Carries streams of one request each, to the first of a number of services.
fn streams(services: usize, times: usize) {
    let (core, sink) = (core(), Arc::new(Sink::default()));
    let consume = |n| {
        core.consume(
            &format!("service-{n}"),
            LocalConsumer::new(Arc::clone(&sink) as Arc<_>),
            Instant::ZERO,
        )
    };
    let _services: Vec<_> = (0..services).map(consume).collect();
    let (producer, consumer) = (Mailbox::new(0), Mailbox::new(0));
    let (message, request) = (message(), Bytes::from_static(&[7; 64]));
    let (mut ready, mut commands, mut taken) = (Vec::new(), VecDeque::new(), VecDeque::new());
    measured(times, &mut |_| {
        let (upload, delivery) = ProducerEnd::begin(message.clone(), core.own());
        upload.set_notify(Notify::Slot(Arc::clone(&producer), 1));
        upload.push(request.clone());
        assert!(core.route(delivery, core.read("service-0")));
        let out = sink.take();
        out.set_notify(Notify::Slot(Arc::clone(&consumer), 1));
        assert!(consumer.take(&mut ready, &mut commands, Waker::noop()));
        out.take(usize::MAX, &mut taken);
        upload.end(Ended::Complete);
        assert_eq!(out.take(usize::MAX, &mut taken).1, Some(Ended::Complete));
        out.set_outcome(Some(DeliveryState::Accepted), true);
        producer.take(&mut ready, &mut commands, Waker::noop());
        assert!(upload.progress().settled);
        consumer.take(&mut ready, &mut commands, Waker::noop());
        ready.clear();
        taken.clear();
    });
}

/// Carries chunks of one stream from one connection's task to another's, with their wake-ups.
fn chunks(times: usize) {
    let core = core();
    let (upload, out) = ProducerEnd::begin(message(), core.own());
    let (producer, consumer) = (Mailbox::new(0), Mailbox::new(0));
    upload.set_notify(Notify::Slot(Arc::clone(&producer), 1));
    out.set_notify(Notify::Slot(Arc::clone(&consumer), 1));
    let octets = Bytes::from(vec![7; 16 * 1024]);
    let (mut ready, mut commands, mut taken) = (Vec::new(), VecDeque::new(), VecDeque::new());
    let mut received = 0;
    measured(times, &mut |_| {
        upload.push(octets.clone());
        assert!(consumer.take(&mut ready, &mut commands, Waker::noop()));
        received += out.take(usize::MAX, &mut taken).0 as u64;
        out.acknowledge(received, 0);
        assert!(producer.take(&mut ready, &mut commands, Waker::noop()));
        assert_eq!(upload.progress().received, received);
        ready.clear();
        taken.clear();
    });
}

/// Adds and removes an address beside a thousand, with a neighbor that is told.
fn addresses(times: usize) {
    let core = core();
    let sink = Arc::new(Sink::default());
    let up = TrunkUp {
        group: None,
        neighbor: Arc::from("there"),
        cost: 1,
        ordinal: 0,
        control: Mailbox::new(0),
        trunking: true,
    };
    let _trunk = core.trunk_up(up, Instant::ZERO);
    let consume = |name: &str| {
        core.consume(name, LocalConsumer::new(Arc::clone(&sink) as Arc<_>), Instant::ZERO)
    };
    let _services: Vec<_> = (0..1000).map(|n| consume(&format!("service-{n}"))).collect();
    measured(times, &mut |n| drop(consume(&format!("new-{n}"))));
}
