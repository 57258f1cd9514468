//! Two connections in memory: how many bytes and messages they carry on one core, both ends
//! together.

#[path = "../instructions/src/pair.rs"]
mod pair;

use std::collections::VecDeque;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pair::{carry, pair};
use skupper_proto::amqp::performative::{DeliveryState, Role};
use skupper_proto::engine::{AttachRequest, Event, IncomingKey};

/// Streams that never end, served in turn, a block of about 64 KiB at a time.
fn streams(c: &mut Criterion) {
    let mut group = c.benchmark_group("streams");
    for (name, links, size, parts) in [
        ("1 x 16 KiB", 1, 16 * 1024, 4),
        ("1000 x 16 KiB", 1000, 16 * 1024, 4),
        ("1000 x 64", 1000, 64, 500),
    ] {
        let (mut client, mut server, links) = pair(links);
        let deliveries: Vec<_> =
            links.iter().map(|link| client.deliver(*link, false).expect("credit")).collect();
        let octets = Bytes::from(vec![7; size]);
        let mut chunks = VecDeque::new();
        let mut turn = deliveries.iter().cycle();
        group.throughput(Throughput::Bytes((size * parts) as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                for _ in 0..parts {
                    let Some(delivery) = turn.next() else { return };
                    chunks.push_back(octets.clone());
                    while !chunks.is_empty() {
                        assert!(client.send_part(*delivery, &mut chunks, false));
                    }
                }
                carry(&mut client, &mut server);
                let mut received = 0;
                while let Some(event) = server.poll_event() {
                    if let Event::Transfer { payload, .. } = event {
                        received += payload.len();
                    }
                }
                assert_eq!(received, size * parts);
                carry(&mut server, &mut client);
                while client.poll_event().is_some() {}
            });
        });
    }
    group.finish();
}

/// Messages that are accepted and settled.
fn messages(c: &mut Criterion) {
    const BATCH: usize = 100;
    let mut group = c.benchmark_group("messages");
    let (mut client, mut server, links) = pair(1);
    let Some(&link) = links.first() else { return };
    let octets = Bytes::from(vec![7; 200]);
    let mut chunks = VecDeque::new();
    let mut keys: Vec<IncomingKey> = Vec::new();
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("200 octets, accepted", |b| {
        b.iter(|| {
            for _ in 0..BATCH {
                let delivery = client.deliver(link, false).expect("credit");
                chunks.push_back(octets.clone());
                assert!(client.send_part(delivery, &mut chunks, true));
            }
            carry(&mut client, &mut server);
            while let Some(event) = server.poll_event() {
                if let Event::Transfer { delivery, .. } = event {
                    keys.push(delivery);
                }
            }
            for key in keys.drain(..) {
                server.disposition(key, Some(DeliveryState::Accepted), true);
            }
            carry(&mut server, &mut client);
            let outcomes = std::iter::from_fn(|| client.poll_event())
                .filter(|event| matches!(event, Event::ReceiverState { .. }));
            assert_eq!(outcomes.count(), BATCH);
        });
    });
    group.finish();
}

/// A link that comes and goes, beside many that stay.
fn links(c: &mut Criterion) {
    let (mut client, mut server, links) = pair(1000);
    for link in &links {
        client.deliver(*link, false).expect("credit");
    }
    let Some(session) = links.first().and_then(|link| client.session_of(*link)) else { return };
    c.bench_function("attach and detach beside 1000 streams", |b| {
        b.iter(|| {
            let request = AttachRequest {
                name: "link".to_owned(),
                role: Role::Sender,
                ..AttachRequest::default()
            };
            let link = client.attach(session, request).expect("a handle");
            carry(&mut client, &mut server);
            while let Some(event) = server.poll_event() {
                if let Event::Attached { link, .. } = event {
                    server.accept(link, AttachRequest::default());
                }
            }
            carry(&mut server, &mut client);
            client.detach(link, None);
            carry(&mut client, &mut server);
            while server.poll_event().is_some() {}
            carry(&mut server, &mut client);
            while client.poll_event().is_some() {}
        });
    });
}

criterion_group!(benches, streams, messages, links);
criterion_main!(benches);
