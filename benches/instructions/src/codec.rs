//! Writes and reads frames, and the head of a stream.

use std::hint::black_box;

use bytes::Bytes;
use skupper_proto::amqp::performative::Performative;
use skupper_proto::amqp::{Encode, Reader, message};
use skupper_proto::stream;

use super::frames::{attach, flow, received, transfer};
use super::{Scenario, measured};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario { name: "codec/transfer", run: |times| both_ways(&transfer(), times), times: 4000 },
    Scenario { name: "codec/received", run: |times| both_ways(&received(), times), times: 4000 },
    Scenario { name: "codec/flow", run: |times| both_ways(&flow(), times), times: 4000 },
    Scenario { name: "codec/attach", run: |times| both_ways(&attach(), times), times: 4000 },
    Scenario { name: "codec/stream-head", run: stream_head, times: 4000 },
];

/// Writes a performative and reads it again.
fn both_ways(performative: &Performative, times: usize) {
    let mut out = Vec::with_capacity(4096);
    measured(times, &mut |_| {
        out.clear();
        black_box(performative).encode(&mut out);
        let read = Performative::decode(&mut Reader::new(black_box(&out)));
        assert!(black_box(read).is_ok());
    });
}

/// Finds the sections of a stream's head, and reads it.
fn stream_head(times: usize) {
    let octets = stream::encode_head(
        "hello:80",
        Some("amqp:/_topo/0/north/temp.9mgGPUBRVsJyxaJ"),
        Some("a5f3b:17"),
        None,
    );
    let octets = Bytes::from(octets);
    measured(times, &mut |_| {
        let Ok(message::Scan::Complete(head)) = message::scan(black_box(&octets), false, true)
        else {
            panic!("the head is whole");
        };
        assert!(black_box(stream::decode_head(&octets, &head)).is_ok());
    });
}
