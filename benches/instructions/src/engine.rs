//! Two connections in memory, both ends counted together.

use std::collections::VecDeque;

use bytes::Bytes;
use skupper_proto::amqp::performative::{DeliveryState, Role};
use skupper_proto::engine::{AttachRequest, Event};

use super::pair::{carry, pair};
use super::{Scenario, measured};

pub(crate) const SCENARIOS: &[Scenario] = &[
    // Four frames in one block.
    Scenario { name: "engine/64-KiB", run: |times| streams(1, 16 * 1024, 4, times), times: 400 },
    // A hundred requests of as many streams in one block.
    Scenario { name: "engine/100-x-64", run: |times| streams(100, 64, 100, times), times: 400 },
    Scenario { name: "engine/message", run: messages, times: 4000 },
    Scenario { name: "engine/attach-detach", run: attach_and_detach, times: 1000 },
];

/// Sends parts of streams that never end, served in turn.
fn streams(links: usize, size: usize, parts: usize, times: usize) {
    let (mut client, mut server, links) = pair(links);
    let deliveries: Vec<_> =
        links.iter().map(|link| client.deliver(*link, false).expect("credit")).collect();
    let octets = Bytes::from(vec![7; size]);
    let mut chunks = VecDeque::new();
    let mut turn = deliveries.iter().cycle();
    measured(times, &mut |_| {
        for delivery in turn.by_ref().take(parts) {
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
}

/// Sends messages that are accepted and settled.
fn messages(times: usize) {
    let (mut client, mut server, links) = pair(1);
    let link = *links.first().expect("a link");
    let octets = Bytes::from(vec![7; 200]);
    let mut chunks = VecDeque::new();
    measured(times, &mut |_| {
        let delivery = client.deliver(link, false).expect("credit");
        chunks.push_back(octets.clone());
        assert!(client.send_part(delivery, &mut chunks, true));
        carry(&mut client, &mut server);
        while let Some(event) = server.poll_event() {
            if let Event::Transfer { delivery, .. } = event {
                server.disposition(delivery, Some(DeliveryState::Accepted), true);
            }
        }
        carry(&mut server, &mut client);
        let outcomes = std::iter::from_fn(|| client.poll_event())
            .filter(|event| matches!(event, Event::ReceiverState { .. }));
        assert_eq!(outcomes.count(), 1);
    });
}

/// Attaches and detaches a link beside a thousand with a stream each.
fn attach_and_detach(times: usize) {
    let (mut client, mut server, links) = pair(1000);
    for link in &links {
        client.deliver(*link, false).expect("credit");
    }
    let session = links.first().and_then(|link| client.session_of(*link)).expect("a session");
    measured(times, &mut |_| {
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
}
