//! A connection's task against a peer that misbehaves as real ones do, over loopback.

mod clients;
pub(super) mod pair;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use skupper_proto::address::RouterMode;
use skupper_proto::amqp::performative::{DeliveryState, Error};
use skupper_proto::amqp::terminus::{MessageTarget, Source, Target};
use skupper_proto::amqp::{Fields, Multiple, Value};
use skupper_proto::engine::{self, AttachRequest, Ending, Event, Layer, LinkKey};
use skupper_proto::unread::BULK;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::connection::ConnectionTask;
use super::settings::Settings as ConnectionSettings;
use super::wire::Wire;
use crate::clock::Clock;
use crate::core::{Command, Ended, Mailbox, Message, Notify, ProducerEnd, Via};
use crate::node::{HANDSHAKE, Node, Shards};
use crate::schema::Role;
use crate::tls::Session;

/// A test that hangs fails.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn node() -> Arc<Node> {
    node_with(crate::node::Access::default())
}

fn node_with(access: crate::node::Access) -> Arc<Node> {
    Node::bare("here", RouterMode::Interior, Shards::start(1).unwrap(), access)
}

/// A data connection's other end.
struct Peer {
    engine: engine::Connection,
    socket: TcpStream,
    input: BytesMut,
    clock: Clock,
}

impl Peer {
    fn new(socket: TcpStream, clock: Clock, config: engine::Config) -> Self {
        Self {
            engine: engine::Connection::new(config, clock.now()),
            socket,
            input: BytesMut::new(),
            clock,
        }
    }

    /// Returns the open of a data connection's other end.
    fn config(incoming_window: u32) -> engine::Config {
        let mut properties = Fields::default();
        properties.push("qd.inter-router-role", Value::Int(4));
        properties.push("qd.group-correlator", Value::string("group"));
        engine::Config {
            container_id: "peer".to_owned(),
            hostname: None,
            max_frame_size: 16_384,
            channel_max: 100,
            idle_timeout: Duration::ZERO,
            handshake_timeout: HANDSHAKE,
            incoming_window,
            capabilities: Multiple::of(&["qd.streaming-links", "qd.connection_trunking"]),
            properties,
            layer: Layer::Client {
                mechanisms: vec!["ANONYMOUS"],
                identity: "peer".to_owned(),
                credentials: None,
            },
        }
    }

    async fn flush(&mut self) {
        let octets = self.engine.output().to_vec();
        self.engine.output().clear();
        self.socket.write_all(&octets).await.expect("a connection");
    }

    /// Returns the next event.
    async fn event(&mut self) -> Event {
        loop {
            self.flush().await;
            if let Some(event) = self.engine.poll_event() {
                return event;
            }
            let octets = self.socket.read_buf(&mut self.input).await.expect("a connection");
            assert!(octets > 0, "the connection ended");
            while self.engine.handle_input(&mut self.input, self.clock.now()) {}
        }
    }

    /// Returns the next link that the router attaches.
    async fn attached(&mut self) -> LinkKey {
        loop {
            if let Event::Attached { link, .. } = self.event().await {
                return link;
            }
        }
    }

    async fn accept(&mut self, link: LinkKey) {
        let (source, target) =
            (Some(Source::default()), Some(Target::Message(MessageTarget::default())));
        self.engine.accept(link, AttachRequest { source, target, ..AttachRequest::default() });
        self.engine.keep_credit(link, 10);
        self.flush().await;
    }
}

/// Connects a peer, which has opened, to a router's end that runs. Returns the router's mailbox and
/// the peer.
async fn connect(node: &Arc<Node>, incoming_window: u32) -> (Arc<Mailbox>, Peer) {
    connect_with(node, Peer::config(incoming_window), |_| {}).await
}

/// Does the same with a peer and a listener that are configured otherwise.
async fn connect_with(
    node: &Arc<Node>,
    peer: engine::Config,
    configure: impl FnOnce(&mut ConnectionSettings),
) -> (Arc<Mailbox>, Peer) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (near, _) = listener.accept().await.unwrap();
    let mut settings = pair::settings(Role::InterRouter);
    configure(&mut settings);
    let wire = Wire::new(near, Session::plain());
    let connection =
        ConnectionTask::new(node, node.registry.number(), settings, wire, 0, Arc::default());
    let mailbox = Arc::clone(&connection.links.cx.mailbox);
    drop(tokio::spawn(connection.run()));
    let mut peer = Peer::new(far, node.clock, peer);
    while peer.event().await != Event::Opened {}
    (mailbox, peer)
}

fn stream(node: &Node, mailbox: &Mailbox) -> ProducerEnd {
    let sections =
        Bytes::from(skupper_proto::stream::encode_head("service", Some("reply"), None, None));
    let message = Message {
        sections,
        streaming: true,
        priority: 4,
        internal: true,
        windowed: true,
        ..Message::default()
    };
    let (producer, delivery) = ProducerEnd::begin(message, node.core.own());
    mailbox.send(Command::Deliver(delivery, Via::Stream)).unwrap();
    producer
}

async fn outcome(delivery: &ProducerEnd) -> DeliveryState {
    poll_fn(|cx| {
        delivery.set_notify(Notify::Task(cx.waker().clone()));
        delivery.progress().outcome.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, test).await.expect("in time") });
}

#[test]
fn refused_streaming_link_releases_the_stream_and_is_not_asked_for_again() {
    run(async {
        let node = node();
        let (mailbox, mut peer) = connect(&node, 1000).await;
        let streams = [stream(&node, &mailbox), stream(&node, &mailbox)];
        let mut refused = 0;
        let refuse = async {
            loop {
                let link = peer.attached().await;
                refused += 1;
                assert!(refused <= streams.len(), "attached again and again");
                peer.engine.refuse(link, Error::new("qd:forbidden", "no streams here"));
            }
        };
        tokio::select! {
            () = refuse => {}
            outcomes = async { [outcome(&streams[0]).await, outcome(&streams[1]).await] } => {
                assert_eq!(outcomes, [DeliveryState::Released, DeliveryState::Released]);
            }
        }
        // The next stream has its own chance.
        let next = stream(&node, &mailbox);
        let link = peer.attached().await;
        peer.accept(link).await;
        next.end(Ended::Complete);
        while !matches!(peer.event().await, Event::Transfer { ending: Ending::Complete, .. }) {}
    });
}

#[test]
fn abort_of_a_stream_that_the_peer_leaves_unread_is_told() {
    run(async {
        let node = node();
        let (mailbox, mut peer) = connect(&node, 8192).await;
        let delivery = stream(&node, &mailbox);
        let chunk = Bytes::from(vec![0; 16 * 1024]);
        for _ in 0..=BULK / chunk.len() as u64 {
            delivery.push(chunk.clone());
        }
        let link = peer.attached().await;
        peer.accept(link).await;
        let mut octets = 0;
        while octets < BULK / 3 {
            if let Event::Transfer { payload, .. } = peer.event().await {
                octets += payload.len() as u64;
            }
        }
        // The push wakes the connection while it can do nothing.
        delivery.push(chunk);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        delivery.end(Ended::Aborted);
        loop {
            match peer.event().await {
                Event::Transfer { ending: Ending::Aborted, .. } => break,
                Event::Transfer { ending, .. } => assert_eq!(ending, Ending::More),
                _ => {}
            }
        }
    });
}

#[test]
fn closed_session_window_holds_the_stream_back() {
    run(async {
        let node = node();
        let (mailbox, mut peer) = connect(&node, 2).await;
        let delivery = stream(&node, &mailbox);
        let link = peer.attached().await;
        peer.accept(link).await;
        let chunk = Bytes::from(vec![0; 16 * 1024]);
        const CHUNKS: usize = 64;
        // The peer reads nothing meanwhile.
        for _ in 0..CHUNKS {
            delivery.push(chunk.clone());
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }
        let queued = delivery.waiting();
        assert!(
            queued >= (CHUNKS - 8) * chunk.len(),
            "{queued} octets wait where the producer sees them"
        );
        delivery.end(Ended::Complete);
        let mut octets = 0;
        loop {
            if let Event::Transfer { payload, ending, .. } = peer.event().await {
                octets += payload.len();
                if ending == Ending::Complete {
                    break;
                }
            }
        }
        assert!(octets > CHUNKS * chunk.len(), "{octets}");
    });
}

#[test]
fn credit_is_given_back_while_a_stream_is_on_its_way() {
    run(async {
        let node = node();
        let (mailbox, mut peer) = connect(&node, 1000).await;
        let delivery = stream(&node, &mailbox);
        let link = peer.attached().await;
        peer.accept(link).await;
        while !matches!(peer.event().await, Event::Transfer { .. }) {}
        peer.engine.set_credit(link, 9, true);
        // The bytes that the stream still sends come behind the answer, sooner or later.
        while peer.engine.credit(link) > 0 {
            delivery.push(Bytes::from_static(b"more"));
            while !matches!(peer.event().await, Event::Transfer { .. }) {}
        }
        delivery.end(Ended::Complete);
        while !matches!(peer.event().await, Event::Transfer { ending: Ending::Complete, .. }) {}
        // A link without credit is of no use to the next stream.
        let _next = stream(&node, &mailbox);
        assert_ne!(peer.attached().await, link);
    });
}

#[test]
fn stream_of_another_kind_of_router_gives_its_credit_back_as_it_begins() {
    run(async {
        let node = node();
        let (_, mut peer) = connect(&node, 1000).await;
        let session = peer.engine.begin().unwrap();
        let target = Some(Target::Message(MessageTarget::default()));
        let request = AttachRequest {
            name: "stream".to_owned(),
            source: Some(Source::default()),
            target,
            ..AttachRequest::default()
        };
        let link = peer.engine.attach(session, request).unwrap();
        while !matches!(peer.event().await, Event::Credit { link: given, .. } if given == link) {}
        let credit = peer.engine.credit(link);
        let delivery = peer.engine.deliver(link, false).unwrap();
        let mut head = VecDeque::from([Bytes::from(skupper_proto::stream::encode_head(
            "service", None, None, None,
        ))]);
        assert!(peer.engine.send_part(delivery, &mut head, false));
        while !matches!(peer.event().await, Event::Credit { link: given, .. } if given == link) {}
        assert_eq!(peer.engine.credit(link), credit);
    });
}

#[test]
fn peer_that_asks_and_reads_no_answer_is_not_heard_for_ever() {
    run(async {
        let node = node();
        let (_, mut peer) = connect(&node, 1000).await;
        peer.engine.begin().unwrap();
        while !matches!(peer.event().await, Event::Begun { .. }) {}
        // A flow of the session that wants an answer, on channel 0.
        let flow: &[u8] = &[
            0, 0, 0, 26, 2, 0, 0, 0, 0, 0x53, 0x13, 0xc0, 13, 10, 0x43, 0x52, 100, 0x43, 0x52, 100,
            0x40, 0x40, 0x40, 0x40, 0x40, 0x41,
        ];
        let flood = Bytes::from(flow.repeat(1000));
        let mut written = 0_usize;
        // The sockets of both ends hold some megabytes at most. A router holds the rest.
        while written < 256 << 20 {
            match tokio::time::timeout(
                Duration::from_secs(1),
                peer.socket.write(&flood[written % flood.len()..]),
            )
            .await
            {
                Ok(octets) => written += octets.expect("a connection"),
                Err(_) => return,
            }
        }
        panic!("{written} octets were taken without one answer being read");
    });
}
