//! Writing and reading frames, and the head of a stream.

use super::{Scenario, measured};
use bytes::Bytes;
use skupper_proto::amqp::performative::{Attach, DeliveryState, DeliveryTag, Disposition, Flow, Performative, Role, Transfer};
use skupper_proto::amqp::terminus::{MessageTarget, Source, Target};
use skupper_proto::amqp::{Encode, Multiple, Reader, Symbol, message};
use skupper_proto::stream;
use std::hint::black_box;

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

fn transfer() -> Performative {
    Performative::Transfer(Transfer {
        handle: 7,
        delivery_id: Some(1000),
        delivery_tag: Some(DeliveryTag::from(1000)),
        message_format: Some(0),
        more: Some(true),
        ..Transfer::default()
    })
}

fn received() -> Performative {
    Performative::Disposition(Disposition {
        role: Role::Receiver,
        first: 1000,
        state: Some(DeliveryState::received(521_216)),
        ..Disposition::default()
    })
}

fn flow() -> Performative {
    Performative::Flow(Flow {
        next_incoming_id: Some(1000),
        incoming_window: 8192,
        next_outgoing_id: 1000,
        outgoing_window: i32::MAX as u32,
        handle: Some(7),
        delivery_count: Some(100),
        link_credit: Some(250),
        ..Flow::default()
    })
}

fn attach() -> Performative {
    let expiry = || Some(Symbol::from_static("link-detach"));
    let capabilities = || Some(Multiple::of(&["qd.router-data"]));
    Performative::Attach(Box::new(Attach {
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
    }))
}

/// Finds the sections of a stream's head, and reads it.
fn stream_head(times: usize) {
    let octets = stream::encode_head("hello:80", Some("amqp:/_topo/0/north/temp.9mgGPUBRVsJyxaJ"), Some("a5f3b:17"), None);
    let octets = Bytes::from(octets);
    measured(times, &mut |_| {
        let Ok(message::Scan::Complete(head)) = message::scan(black_box(&octets), false, true) else {
            panic!("the head is whole");
        };
        assert!(black_box(stream::decode_head(&octets, &head)).is_ok());
    });
}
