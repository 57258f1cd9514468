//! What it costs to write and read frames.

#[path = "../instructions/src/frames.rs"]
mod frames;

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use skupper_proto::amqp::performative::{DeliveryState, Disposition, Performative, Role};
use skupper_proto::amqp::{Encode, Reader, message};
use skupper_proto::stream;

fn performatives() -> [(&'static str, Performative); 5] {
    let accepted = Disposition {
        role: Role::Receiver,
        first: 1000,
        settled: Some(true),
        state: Some(DeliveryState::Accepted),
        ..Disposition::default()
    };
    [
        ("transfer", frames::transfer()),
        ("received", frames::received()),
        ("accepted", Performative::Disposition(accepted)),
        ("flow", frames::flow()),
        ("attach", frames::attach()),
    ]
}

fn written_and_read(c: &mut Criterion) {
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
        decode.bench_function(name, |b| {
            b.iter(|| Performative::decode(&mut Reader::new(black_box(&octets))))
        });
    }
    decode.finish();
}

fn heads(c: &mut Criterion) {
    let octets = stream::encode_head(
        "hello:80",
        Some("amqp:/_topo/0/north/temp.9mgGPUBRVsJyxaJ"),
        Some("a5f3b:17"),
        None,
    );
    let octets = Bytes::from(octets);
    let mut group = c.benchmark_group("head of a stream");
    group.throughput(Throughput::Elements(1));
    group.bench_function("scan", |b| b.iter(|| message::scan(black_box(&octets), false, true)));
    let Ok(message::Scan::Complete(head)) = message::scan(&octets, false, true) else { return };
    group.bench_function("decode", |b| b.iter(|| stream::decode_head(black_box(&octets), &head)));
    group.finish();
}

criterion_group!(benches, written_and_read, heads);
criterion_main!(benches);
