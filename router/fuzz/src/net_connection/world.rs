//! A router, its peers, and the commands that drive them.

use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use skrouterd::config::{Config, Document, Format};
use skrouterd::core::{
    ConsumerEnd, Consumption, Ended, Endpoint, LocalConsumer, Message, ProducerEnd,
};
use skrouterd::net::{AmqpListener, Dialed, Hangup};
use skrouterd::node::{Access, AutoLink, Holder, Node, Shards, Stage};
use skrouterd::schema::typed::Listener;
use skupper_proto::address::RouterMode;

use super::peer::Peer;
use super::script::Script;
use super::{AMPLIFICATION, FREE_ROUNDS, MEMORY, ROUNDS, frames};
use crate::memory;

const PEERS: usize = 3;

/// Most bytes for a delivery of the core at once.
const PUSHED: usize = 32 << 10;

/// Turns after a command in which the peers' engines answer.
const PATIENCE: usize = 300;

/// Bytes that a peer which reads nothing leaves in the kernel.
const ROOM: usize = 64 << 10;

/// A handler in the router's process. It keeps deliveries until a command answers them.
#[derive(Debug, Default)]
struct Handler(Mutex<Vec<ConsumerEnd>>);

impl Endpoint for Handler {
    fn deliver(&self, delivery: ConsumerEnd) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(delivery);
    }
}

pub(super) struct World<'a> {
    script: Script<'a>,
    node: Arc<Node>,
    listeners: Vec<Arc<AmqpListener>>,
    peers: Vec<Peer>,
    handler: Arc<Handler>,
    consumptions: Vec<Consumption>,
    streams: Vec<ProducerEnd>,
    auto_link: Arc<AutoLink>,
    /// Bytes that were allocated before the world.
    before: usize,
    /// Bytes of the input, and of the deliveries that it began.
    octets: usize,
    peers_made: usize,
    keeper: tokio::task::JoinHandle<()>,
}

/// Returns one listener for each role.
fn listeners(node: &Node, mode: RouterMode) -> Vec<Arc<AmqpListener>> {
    let text = match mode {
        RouterMode::Edge => {
            "router { mode: edge, id: here }\nlistener \
             { name: a, port: 1, role: normal }\nlistener { name: b, port: 2, role: inter-edge }\n"
        }
        _ => {
            "router { mode: interior, id: here }\nlistener \
             { name: a, port: 1, role: normal }\nlistener \
             { name: b, port: 2, role: inter-router }\n\
             listener { name: c, port: 3, role: edge }\nlistener \
             { name: d, port: 4, role: route-container, saslMechanisms: ANONYMOUS }\n"
        }
    };
    let text = text.replace("{ ", "{\n").replace(", ", "\n").replace(" }", "\n}");
    let document = Document { name: "fuzz.conf".to_owned(), text, format: Format::Conf };
    let config = Config::read(&[document], 7).expect("a sound configuration");
    config
        .all::<Listener>()
        .into_iter()
        .map(|listener| AmqpListener::without_port(node, listener.clone(), None))
        .collect()
}

impl<'a> World<'a> {
    pub(super) fn new(octets: &'a [u8]) -> Self {
        let before = memory::live();
        let mut script = Script::new(octets);
        let mode = if script.octet() & 1 == 0 { RouterMode::Interior } else { RouterMode::Edge };
        let node = Node::bare("here", mode, Shards::here(2), Access::default());
        let listeners = listeners(&node, mode);
        let auto_link = AutoLink::new(
            "auto".to_owned(),
            Holder::Container("there".to_owned()),
            true,
            Some("a".to_owned()),
            None,
        );
        Self {
            script,
            listeners,
            peers: Vec::new(),
            handler: Arc::default(),
            consumptions: Vec::new(),
            streams: Vec::new(),
            auto_link,
            before,
            octets: octets.len(),
            peers_made: 0,
            keeper: tokio::spawn(keep_time(Arc::clone(&node))),
            node,
        }
    }

    /// Runs the next command. Returns false at the end of the input.
    pub(super) async fn step(&mut self) -> bool {
        if self.script.is_empty() {
            return false;
        }
        let command = self.script.octet();
        let (clock, script) = (self.node.clock, &mut self.script);
        // The upper bits choose the peer.
        let count = self.peers.len().max(1);
        let peer = self.peers.get_mut(usize::from(command >> 6) % count);
        match (command & 63, peer) {
            (0, _) => self.connect(),
            (1, Some(peer)) => {
                let octets = script.octets();
                peer.send(octets);
            }
            // Captured frames are larger.
            (2, Some(peer)) => {
                peer.silence();
                let count = usize::from(script.word());
                let octets = script.take(count);
                peer.send(octets);
            }
            (3, Some(peer)) => {
                let octets = frames::frame(script);
                peer.send(&octets);
            }
            (4, Some(peer)) => peer.begin(),
            (5, Some(peer)) => peer.attach(script),
            (6, Some(peer)) => peer.attach_control(),
            (7, Some(peer)) => peer.credit(script),
            (8, Some(peer)) => peer.deliver(script),
            (9, Some(peer)) => peer.go_on(script),
            (10, Some(peer)) => peer.dispose(script),
            (11, Some(peer)) => peer.detach(script),
            (12, Some(peer)) => peer.end(script),
            (13, Some(peer)) => peer.close(clock),
            (14, Some(peer)) => peer.reads = !peer.reads,
            (15, Some(peer)) => peer.answers = !peer.answers,
            (16, Some(peer)) => peer.piece = usize::from(script.octet()).max(1) * 8 - 7,
            (17, Some(peer)) => {
                peer.hang_up(if script.octet() & 1 == 0 { Hangup::Eof } else { Hangup::Reset })
            }
            (18, _) => {
                let wait = Duration::from_millis(u64::from(script.word()));
                self.wait(wait).await;
            }
            (19, _) => {
                // Past every time-out, one after the other.
                for _ in 0..script.octet() % 8 {
                    self.wait(Duration::from_secs(10)).await;
                }
            }
            (20, _) => {
                let to = frames::address(script);
                let message = frames::message(script);
                self.octets += message.len();
                let message =
                    Message { sections: message.into(), internal: true, ..Message::default() };
                self.node.core.send_to(&to, message, Bytes::copy_from_slice(self.script.octets()));
            }
            (21, _) => self.stream(),
            (22, _) => self.push(),
            (23, _) => self.serve(),
            (24, _) => self.answer(),
            (25, _) => {
                let connections = self.node.registry.connections();
                let choice = usize::from(script.octet());
                if let Some(connection) = connections.get(choice % connections.len().max(1)) {
                    connection.closer.close(Some(frames::error()));
                }
            }
            (26, _) => {
                if script.octet() & 1 == 0 {
                    self.node.auto_links.add(&self.auto_link);
                } else {
                    self.node.auto_links.remove(&self.auto_link);
                }
            }
            (27, _) if script.octet() == 27 => drop(self.node.stage.send_replace(Stage::Draining)),
            (28, _) if script.octet() == 28 => drop(self.node.stage.send_replace(Stage::Closing)),
            (29, _) => self.node.core.withdraw(clock.now()),
            _ => {}
        }
        self.settle().await;
        true
    }

    fn connect(&mut self) {
        if self.peers.len() >= PEERS {
            return;
        }
        let (listener, choice) = (self.script.octet(), self.script.octet());
        let listener = &self.listeners[usize::from(listener) % self.listeners.len()];
        let dialed = match self.script.octet() % 8 {
            0 => Some(Dialed::Main),
            1 => Some(Dialed::Data),
            _ => None,
        };
        let far = listener.over_memory(&self.node, dialed, ROOM);
        self.peers.push(Peer::new(far, dialed.is_some(), choice, self.node.clock));
        self.peers_made += 1;
    }

    /// Begins a stream in the router's process.
    fn stream(&mut self) {
        let to = frames::address(&mut self.script);
        let sections =
            Bytes::from(skupper_proto::stream::encode_head(&to, Some("reply"), None, None));
        let message = Message {
            sections,
            streaming: true,
            internal: true,
            windowed: true,
            priority: 4,
            ..Message::default()
        };
        let (producer, delivery) = ProducerEnd::begin(message, self.node.core.own());
        self.node.core.route(delivery, self.node.core.read(&to));
        self.streams.push(producer);
    }

    /// Pushes bytes into a stream, and may end it.
    fn push(&mut self) {
        if self.streams.is_empty() {
            return;
        }
        let choice = usize::from(self.script.octet()) % self.streams.len();
        let how = self.script.octet();
        let octets = usize::from(how >> 2) * PUSHED / 64;
        let stream = &self.streams[choice];
        stream.push(vec![0; octets].into());
        self.octets += octets;
        if how & 3 < 2 {
            stream.end(if how & 3 == 0 { Ended::Complete } else { Ended::Aborted });
            self.streams.remove(choice);
        }
    }

    /// Makes the handler consume an address, or ends its oldest consumption.
    fn serve(&mut self) {
        if self.script.octet() & 3 == 0 {
            if !self.consumptions.is_empty() {
                self.consumptions.remove(0);
            }
            return;
        }
        let address = frames::address(&mut self.script);
        let consumer = LocalConsumer::new(Arc::clone(&self.handler) as Arc<dyn Endpoint>);
        self.consumptions.push(self.node.core.consume(&address, consumer, self.node.clock.now()));
    }

    /// Takes the handler's deliveries, and answers them.
    fn answer(&mut self) {
        let mut kept = Vec::new();
        let taken =
            std::mem::take(&mut *self.handler.0.lock().unwrap_or_else(PoisonError::into_inner));
        for delivery in taken {
            let choice = self.script.octet();
            let mut octets = Vec::new();
            let (_, ended) = delivery.take(usize::from(choice) << 8, &mut octets);
            if ended.is_some() || choice & 1 == 0 {
                delivery.set_outcome(Some(frames::state(&mut self.script)), choice & 2 == 0);
            } else {
                kept.push(delivery);
            }
        }
        self.handler.0.lock().unwrap_or_else(PoisonError::into_inner).extend(kept);
    }

    /// Runs all tasks until no task has work, and checks the invariants.
    async fn settle(&mut self) {
        let rounds = |peers: &[Peer]| peers.iter().map(|peer| peer.far.calls()).sum::<u64>();
        let first = rounds(&self.peers);
        let mut turns = 0;
        loop {
            let before = rounds(&self.peers);
            tokio::task::yield_now().await;
            let mut moved = false;
            for peer in &mut self.peers {
                moved |= peer.turn(self.node.clock);
            }
            if !moved && rounds(&self.peers) == before {
                break;
            }
            turns += 1;
            if turns == PATIENCE {
                // A peer with a forged link and the router may refuse each other's answers without
                // end. That is the peer's fault.
                self.peers.iter_mut().for_each(Peer::silence);
            }
            let (taken, allowed) = (before - first, FREE_ROUNDS + ROUNDS * self.octets as u64);
            assert!(
                taken <= allowed,
                "{taken} rounds without rest, for {} octets of the input",
                self.octets
            );
        }
        let (taken, allowed) = (memory::peak().saturating_sub(self.before), self.allowed());
        assert!(
            taken <= allowed,
            "{taken} octets of memory, for {} that came from {} peers",
            self.total(),
            self.peers_made
        );
        // Flow records wait for a collector, and there is none.
        self.node.registry.take_flows(false);
    }

    fn total(&self) -> usize {
        self.octets + self.peers.iter().map(|peer| peer.sent).sum::<usize>()
    }

    fn allowed(&self) -> usize {
        MEMORY + AMPLIFICATION * self.total()
    }

    async fn wait(&mut self, time: Duration) {
        tokio::time::sleep(time).await;
        self.settle().await;
    }

    /// Ends all peers, and checks that everything ends.
    pub(super) async fn end(mut self, patience: Duration) {
        for peer in &mut self.peers {
            peer.reads = true;
            peer.hang_up(Hangup::Eof);
        }
        self.consumptions.clear();
        self.handler.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
        for stream in self.streams.drain(..) {
            stream.end(Ended::Aborted);
        }
        self.settle().await;
        for _ in 0..60 {
            if self.peers.iter().all(|peer| peer.far.is_over()) {
                break;
            }
            self.wait(patience / 60).await;
        }
        for (number, peer) in self.peers.iter().enumerate() {
            assert!(
                peer.far.is_over(),
                "the connection of peer {number} goes on, {} octets unread",
                peer.far.unread()
            );
        }
        assert!(
            self.node.registry.connections().is_empty(),
            "a connection that has ended is known"
        );
        assert_eq!(self.node.registry.links().count(), 0, "a link that has ended is known");
        self.keeper.abort();
        let _ = self.keeper.await;
        let node = Arc::downgrade(&self.node);
        drop((self.node, self.peers, self.listeners));
        // Lets the tasks end that have been stopped.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(node.upgrade().is_none(), "something holds the router");
    }
}

/// Keeps the routing protocol's time, as the daemon does.
async fn keep_time(node: Arc<Node>) {
    loop {
        let mut deadline = None;
        let mut sleep = std::pin::pin!(tokio::time::sleep(Duration::from_secs(60)));
        poll_fn(|cx| {
            let next = node.core.poll_timer(node.clock.now(), cx.waker());
            drop(node.core.take_notices());
            if next != deadline
                && let Some(next) = next
            {
                sleep.as_mut().reset(node.clock.at(next));
            }
            deadline = next;
            sleep.as_mut().poll(cx).map(drop)
        })
        .await;
    }
}
