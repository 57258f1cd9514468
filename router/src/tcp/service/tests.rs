//! The task of a service connection, with sockets of this machine.

use std::io;
use std::time::Duration;

use skupper_proto::address::RouterMode;
use skupper_proto::stream::encode_head;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::reply::{Answer, Reply};
use super::*;
use crate::core::{Ended, Endpoint};
use crate::node::{Access, Shards, unguessable};
use crate::socket::SocketUse;

/// A client, its connection, and the stream that its socket is read into.
struct Scene {
    node: Arc<Node>,
    client: TcpStream,
    service: Option<Service>,
    stream: ConsumerEnd,
    reply: Arc<Reply>,
    memory: Arc<ServiceAccount>,
    stats: Arc<Stats>,
}

impl Scene {
    async fn new(early: usize) -> Self {
        let shards = Shards::start(1).expect("a thread");
        let node = Node::bare("north", RouterMode::Interior, shards, Access::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let client = TcpStream::connect(listener.local_addr().expect("it is bound")).await;
        let (socket, peer) = listener.accept().await.expect("the client");
        socket::configure(&socket, SocketUse::Service);
        let reply = Arc::new(Reply::default());
        let endpoint = Arc::clone(&reply) as Arc<dyn Endpoint>;
        let address = node.core.replies().add(0, unguessable(), endpoint);
        let [entity, name]: [Arc<str>; 2] = ["listener", "service"].map(Arc::from);
        let (memory, stats) = (node.core.service(&name), Arc::<Stats>::default());
        let beginning = Beginning {
            socket,
            descriptor: Descriptor::held(),
            session: Session::plain(),
            entity: &entity,
            service: &name,
            stats: &stats,
            memory: &memory,
            outgoing: false,
            host: Host::Address(peer),
            local: None,
            flow: None,
            head: encode_head("service", Some("reply"), None, None),
        };
        let answer = Answer::new(Arc::clone(&reply), address);
        let (service, stream) =
            Service::begin(&node, 1, beginning, Source::Awaited { answer, early });
        let client = client.expect("the listener");
        Self { node, client, service: Some(service), stream, reply, memory, stats }
    }

    /// The server stream comes.
    fn answer(&self) -> ProducerEnd {
        let sections = Bytes::from(encode_head("reply", None, None, None));
        let message = Message { sections, streaming: true, windowed: true, ..Message::default() };
        let (producer, delivery) = ProducerEnd::begin(message, &self.memory.read);
        self.reply.deliver(delivery);
        producer
    }

    /// Starts the connection's task.
    fn run(&mut self) -> tokio::task::JoinHandle<()> {
        tokio::spawn(self.service.take().expect("one task"))
    }

    /// Reads until the client hears an end, or a reset.
    async fn heard(&mut self) -> io::Result<Vec<u8>> {
        let mut heard = Vec::new();
        self.client.read_to_end(&mut heard).await.map(|_| heard)
    }
}

#[track_caller]
fn assert_reset(heard: io::Result<Vec<u8>>) {
    assert_eq!(heard.map_err(|error| error.kind()), Err(io::ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn a_task_that_is_dropped_on_its_way_resets_its_client() {
    for polled in [false, true] {
        let mut scene = Scene::new(0).await;
        if polled {
            let task = scene.run();
            tokio::task::yield_now().await;
            task.abort();
            assert!(task.await.is_err_and(|error| error.is_cancelled()));
        } else {
            drop(scene.service.take());
        }
        assert_reset(scene.heard().await);
        assert_eq!(scene.stream.ended(), Some(Ended::Aborted));
        assert!(scene.node.registry.connections().is_empty());
    }
}

#[tokio::test]
async fn a_dismissal_ends_a_connection_at_rest() {
    let mut scene = Scene::new(0).await;
    let task = scene.run();
    let _answer = scene.answer();
    tokio::task::yield_now().await;
    scene.node.registry.end_services(OUT_OF_MEMORY);
    assert_reset(scene.heard().await);
    task.await.expect("it ends by itself");
    assert_eq!(scene.stats.resets_for_memory(), 1);
}

#[tokio::test]
async fn a_connection_waits_for_memory_and_goes_on_to_its_clean_end() {
    let mut scene = Scene::new(16).await;
    let others = scene.node.core.own().charge(scene.node.core.account().ceiling() * 2);
    let task = scene.run();
    scene.client.write_all(b"question").await.expect("room in the socket");
    scene.client.shutdown().await.expect("an open socket");
    let answer = scene.answer();
    // Many pauses long. The timer begins anew with each.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut asked = std::collections::VecDeque::new();
    assert_eq!(scene.stream.take(100, &mut asked), (0, None));
    drop(others);
    while scene.stream.take(100, &mut asked).1 != Some(Ended::Complete) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(asked.make_contiguous().concat(), b"question");
    answer.push_last(Bytes::from_static(b"answer"), Ended::Complete);
    assert_eq!(scene.heard().await.expect("a clean end"), b"answer");
    task.await.expect("it ends by itself");
    assert_eq!(scene.stats.octets(), (8, 6));
}

/// A router may have ten thousand of them.
#[test]
fn a_connection_at_rest_is_small() {
    assert!(size_of::<Service>() <= 456, "{} bytes", size_of::<Service>());
    assert!(size_of::<Machine>() <= 208, "{} bytes", size_of::<Machine>());
}
