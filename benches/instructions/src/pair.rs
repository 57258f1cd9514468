//! Two connections in memory, for programs that count or time what they do.

use std::time::Duration;

use bytes::BytesMut;
use skupper_proto::amqp::performative::Role;
use skupper_proto::amqp::{Fields, Multiple};
use skupper_proto::engine::{AttachRequest, Config, Connection, Event, Layer, LinkKey};
use skupper_proto::time::Instant;

fn connection(layer: Layer) -> Connection {
    let config = Config {
        container_id: "pair".to_owned(),
        hostname: None,
        max_frame_size: 16384,
        channel_max: 10,
        idle_timeout: Duration::ZERO,
        handshake_timeout: Duration::ZERO,
        incoming_window: 8192,
        capabilities: Multiple::default(),
        properties: Fields::default(),
        layer,
    };
    Connection::new(config, Instant::ZERO)
}

/// Takes the output as one block.
pub(crate) fn block(from: &mut Connection) -> BytesMut {
    let mut block = BytesMut::with_capacity(from.output().len());
    for slice in from.output().slices() {
        block.extend_from_slice(&slice);
    }
    from.output().clear();
    block
}

/// Carries the output in one block, as TLS does.
pub(crate) fn carry(from: &mut Connection, to: &mut Connection) {
    let mut block = block(from);
    while to.handle_input(&mut block, Instant::ZERO) {}
}

/// Makes two connections with links from the first to the second.
pub(crate) fn pair(links: usize) -> (Connection, Connection, Vec<LinkKey>) {
    let mut client = connection(Layer::Client {
        mechanisms: vec![],
        identity: String::new(),
        credentials: None,
    });
    let mut server = connection(Layer::Server { mechanisms: vec![], allow_bare: true });
    for _ in 0..4 {
        carry(&mut client, &mut server);
        carry(&mut server, &mut client);
    }
    let session = client.begin().expect("a channel");
    let attach = |n: usize| {
        let request = AttachRequest {
            name: format!("link {n}"),
            role: Role::Sender,
            ..AttachRequest::default()
        };
        client.attach(session, request).expect("a handle")
    };
    let links = (0..links).map(attach).collect();
    carry(&mut client, &mut server);
    while let Some(event) = server.poll_event() {
        if let Event::Attached { link, .. } = event {
            server.accept(link, AttachRequest::default());
            server.keep_credit(link, 250);
        }
    }
    carry(&mut server, &mut client);
    while client.poll_event().is_some() {}
    (client, server, links)
}
