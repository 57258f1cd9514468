//! What it costs to write and read frames.
#![allow(missing_docs)]

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use skupper_proto::amqp::message;
use skupper_proto::amqp::performative::{Attach, DeliveryState, DeliveryTag, Disposition, Flow, Performative, Role, Transfer};
use skupper_proto::amqp::terminus::{MessageTarget, Source, Target};
use skupper_proto::amqp::{Encode, Multiple, Reader, Symbol};
use skupper_proto::stream;
use std::hint::black_box;

fn performatives() -> [(&'static str, Performative); 5] {
    let transfer = Transfer {
        handle: 7,
        delivery_id: Some(1000),
        delivery_tag: Some(DeliveryTag::from(1000)),
        message_format: Some(0),
        more: Some(true),
        ..Transfer::default()
    };
    let received = Disposition {
        role: Role::Receiver,
        first: 1000,
        state: Some(DeliveryState::received(521_216)),
        ..Disposition::default()
    };
    let accepted = Disposition {
        role: Role::Receiver,
        first: 1000,
        settled: Some(true),
        state: Some(DeliveryState::Accepted),
        ..Disposition::default()
    };
    let flow = Flow {
        next_incoming_id: Some(1000),
        incoming_window: 8192,
        next_outgoing_id: 1000,
        outgoing_window: i32::MAX as u32,
        handle: Some(7),
        delivery_count: Some(100),
        link_credit: Some(250),
        ..Flow::default()
    };
    let expiry = || Some(Symbol::from_static("link-detach"));
    let capabilities = || Some(Multiple::of(&["qd.router-data"]));
    let attach = Attach {
        name: "qdlink.hrPMnARVEhprcR7".to_owned(),
        snd_settle_mode: Some(2),
        rcv_settle_mode: Some(0),
        source: Some(Source { expiry_policy: expiry(), capabilities: capabilities(), ..Source::default() }),
        target: Some(Target::Message(MessageTarget {
            expiry_policy: expiry(),
            capabilities: capabilities(),
            ..MessageTarget::default()
        })),
        initial_delivery_count: Some(0),
        max_message_size: Some(0),
        ..Attach::default()
    };
    [
        ("transfer", Performative::Transfer(transfer)),
        ("received", Performative::Disposition(received)),
        ("accepted", Performative::Disposition(accepted)),
        ("flow", Performative::Flow(flow)),
        ("attach", Performative::Attach(Box::new(attach))),
    ]
}

fn frames(c: &mut Criterion) {
    let mut encode = c.benchmark_group("encode");
    for (name, performative) in performatives() {
        let mut out = Vec::with_capacity(4096);
        encode.bench_function(name, |b| {
            b.iter(|| {
                out.clear();
                black_box(&performative).encode(&mut out);
                out.len()
            });
        });
    }
    encode.finish();
    let mut decode = c.benchmark_group("decode");
    for (name, performative) in performatives() {
        let mut octets = Vec::new();
        performative.encode(&mut octets);
        decode.bench_function(name, |b| b.iter(|| Performative::decode(&mut Reader::new(black_box(&octets)))));
    }
    decode.finish();
}

fn heads(c: &mut Criterion) {
    let octets = stream::encode_head("hello:80", Some("amqp:/_topo/0/north/temp.9mgGPUBRVsJyxaJ"), Some("a5f3b:17"), None);
    let octets = Bytes::from(octets);
    let mut group = c.benchmark_group("head of a stream");
    group.throughput(Throughput::Elements(1));
    group.bench_function("scan", |b| b.iter(|| message::scan(black_box(&octets), false, true)));
    let Ok(message::Scan::Complete(head)) = message::scan(&octets, false, true) else { return };
    group.bench_function("decode", |b| b.iter(|| stream::decode_head(black_box(&octets), &head)));
    group.finish();
}

criterion_group!(benches, frames, heads);
criterion_main!(benches);
