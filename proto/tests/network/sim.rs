//! A network of routers in virtual time. Links have latency, keep the order, and lose what is under
//! way when they go down.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use skupper_proto::address::{AddressClass, AddressKey, AddressSpace, RouterMode, Treatment};
use skupper_proto::annotations::{
    Annotations, Flags, OutgoingAnnotations, Parsed, node_text, parse,
};
use skupper_proto::mobile::{Attributes, Rank};
use skupper_proto::routing::{Action, Message, RoutingProtocol};
use skupper_proto::time::Instant;
use skupper_proto::topology::message::HELLO_ADDRESS;
use skupper_proto::topology::{Arrival, Config, LinkId, Notice, RouterIndex};

use crate::c_like::CRouter;

/// A message under way, and the routers it passed, as encoded annotations, which the routers read
/// and write.
#[derive(Clone)]
pub(crate) struct Packet {
    pub(crate) annotations: Vec<u8>,
    pub(crate) to: Arc<str>,
    pub(crate) message: Arc<Message>,
}

impl Packet {
    pub(crate) fn new(own: &str, to: &str, message: Message) -> Self {
        let mut annotations = Vec::new();
        OutgoingAnnotations::originated(Flags::default(), own).encode(&mut annotations);
        Self { annotations, to: to.into(), message: Arc::new(message) }
    }

    pub(crate) fn read(&self) -> Annotations<'_> {
        match parse(&self.annotations) {
            Ok(Parsed::Present(annotations)) => annotations,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn forwarded(&self, own: &str) -> Self {
        let mut annotations = Vec::new();
        self.read().forwarded(own).encode(&mut annotations);
        Self { annotations, ..self.clone() }
    }
}

/// A router and as much of a core as routing messages need.
pub(crate) struct OurRouter {
    pub(crate) routing: RoutingProtocol,
    space: AddressSpace,
    own: Box<str>,
    /// Other routers' addresses, as the actions told.
    pub(crate) addresses: BTreeMap<RouterIndex, BTreeMap<AddressKey, Attributes>>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) wakeups: u64,
}

impl OurRouter {
    fn new(id: &str, instance: i64, now: Instant) -> Self {
        Self {
            routing: RoutingProtocol::new(Config::new(id, instance), now),
            space: AddressSpace::new(RouterMode::Interior, id, None),
            own: node_text(id),
            addresses: BTreeMap::new(),
            notices: Vec::new(),
            wakeups: 0,
        }
    }

    fn receive(
        &mut self,
        link: LinkId,
        packet: &Packet,
        now: Instant,
        out: &mut Vec<(LinkId, Packet)>,
    ) {
        let annotations = packet.read();
        let address = self.space.classify(&packet.to);
        let links = match address.class {
            AddressClass::Local | AddressClass::Topological => {
                let flooded = address.class == AddressClass::Topological;
                let arrival = Arrival { link, trace: annotations.trace, flooded };
                let hello = matches!(&*packet.message, Message::Hello(_));
                if hello != (&*packet.to == HELLO_ADDRESS) {
                    return;
                }
                self.routing.handle_message(&arrival, &packet.message, now)
            }
            AddressClass::Router => {
                let routes = self.routing.routes();
                let route = routes.router(address.text).and_then(|router| routes.route(router));
                let within = annotations.trace.len() <= routes.hop_limit()
                    && self.routing.may_pass(&Arrival {
                        link,
                        trace: annotations.trace,
                        flooded: false,
                    });
                route.filter(|_| within).map(|route| route.link).into_iter().collect()
            }
            other => panic!("{other:?}"),
        };
        out.extend(links.into_iter().map(|link| (link, packet.forwarded(&self.own))));
    }

    fn drain(&mut self, out: &mut Vec<(LinkId, Packet)>) {
        while let Some(action) = self.routing.poll_action() {
            match action {
                Action::Send(envelope) => {
                    assert!(!envelope.links.is_empty());
                    let packet = Packet::new(&self.own, &envelope.to, envelope.message);
                    out.extend(envelope.links.iter().map(|link| (*link, packet.clone())));
                }
                Action::RoutesChanged => {}
                Action::AddressAdded { router, address, attributes } => {
                    let known =
                        self.addresses.entry(router).or_default().insert(address, attributes);
                    assert!(known.is_none(), "an address was added twice");
                }
                Action::AddressUpdated { router, address, attributes } => {
                    let known =
                        self.addresses.entry(router).or_default().insert(address, attributes);
                    assert!(known.is_some(), "an unknown address was updated");
                }
                Action::AddressRemoved { router, address } => {
                    let known = self.addresses.entry(router).or_default().remove(&address);
                    assert!(known.is_some(), "an unknown address was removed");
                }
                Action::RouterLost { router, .. } => {
                    let left = self.addresses.remove(&router).unwrap_or_default();
                    assert!(left.is_empty(), "a router was lost with its addresses");
                }
                Action::Notice(notice) => self.notices.push(notice),
            }
        }
    }
}

#[expect(clippy::large_enum_variant, reason = "a few in a vector")]
pub(crate) enum Router {
    Ours(OurRouter),
    C(CRouter),
}

pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) router: Option<Router>,
    /// Whether the next life is a C router's.
    pub(crate) is_c: bool,
    pub(crate) served: BTreeMap<AddressKey, Attributes>,
    pub(crate) instance: i64,
    life: u64,
}

pub(crate) struct Connection {
    pub(crate) ends: [usize; 2],
    pub(crate) cost: u32,
    pub(crate) latency: Duration,
    /// The name of the connection while it is up.
    pub(crate) up: Option<LinkId>,
    /// When the last message sent from each end arrives.
    busy: [Instant; 2],
    /// The messages under way from each end, in the order of their arrival. Only the first is in
    /// the queue of events. So the queue has no more entries than there are connections and
    /// routers.
    under_way: [VecDeque<UnderWay>; 2],
}

struct UnderWay {
    at: Instant,
    sequence: u64,
    link: LinkId,
    packet: Packet,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrive { connection: usize, side: usize },
    Wake { node: usize, life: u64 },
}

/// When, the ordinal, and what.
type Queued = (Instant, u64, Event);

pub(crate) struct Net {
    pub(crate) now: Instant,
    pub(crate) nodes: Vec<Node>,
    pub(crate) connections: Vec<Connection>,
    queue: BinaryHeap<Reverse<Queued>>,
    sequence: u64,
    /// The connection of each link there ever was.
    by_link: HashMap<LinkId, usize>,
    next_link: u64,
    next_instance: i64,
    /// Messages sent, by opcode, a copy on each connection counted.
    pub(crate) sent: BTreeMap<&'static str, u64>,
    /// The wake-up that each node has in the queue.
    armed: Vec<Option<Instant>>,
    /// The processor time that [`Self::run`] has taken.
    pub(crate) spent: Duration,
}

/// Returns the processor time of this thread; zero where the system does not tell it.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

impl Net {
    pub(crate) fn new() -> Self {
        Self {
            now: Instant::from_millis(1000),
            nodes: Vec::new(),
            connections: Vec::new(),
            queue: BinaryHeap::new(),
            sequence: 0,
            by_link: HashMap::new(),
            next_link: 1,
            next_instance: 1_790_000_000,
            sent: BTreeMap::new(),
            armed: Vec::new(),
            spent: Duration::ZERO,
        }
    }

    pub(crate) fn add(&mut self, id: &str, is_c: bool) -> usize {
        self.nodes.push(Node {
            id: id.to_owned(),
            router: None,
            is_c,
            served: BTreeMap::new(),
            instance: 0,
            life: 0,
        });
        self.armed.push(None);
        let node = self.nodes.len() - 1;
        self.start(node);
        node
    }

    /// Gives a node a new life.
    pub(crate) fn start(&mut self, node: usize) {
        self.next_instance += 1;
        let instance = self.next_instance;
        let now = self.now;
        let entry = &mut self.nodes[node];
        assert!(entry.router.is_none());
        entry.life += 1;
        entry.instance = instance;
        entry.router = Some(if entry.is_c {
            // Ticks of C routers are not in step.
            let phase = Duration::from_millis(instance as u64 * 137 % 1000);
            Router::C(CRouter::new(&entry.id, instance, now + phase))
        } else {
            Router::Ours(OurRouter::new(&entry.id, instance, now))
        });
        self.armed[node] = None;
        let served = entry.served.clone();
        for (key, attributes) in served {
            self.serve(node, key, attributes);
        }
        self.rest(node, Vec::new());
    }

    /// Ends a node's life; its connections go down.
    pub(crate) fn stop(&mut self, node: usize) {
        for connection in 0..self.connections.len() {
            if self.connections[connection].ends.contains(&node) {
                self.down(connection);
            }
        }
        self.nodes[node].router = None;
    }

    pub(crate) fn connect(&mut self, a: usize, b: usize, cost: u32, latency: Duration) -> usize {
        self.connections.push(Connection {
            ends: [a, b],
            cost,
            latency,
            up: None,
            busy: [Instant::ZERO; 2],
            under_way: Default::default(),
        });
        let connection = self.connections.len() - 1;
        self.up(connection);
        connection
    }

    pub(crate) fn up(&mut self, connection: usize) {
        let Connection { ends, cost, up, .. } = self.connections[connection];
        if up.is_some() || ends.iter().any(|end| self.nodes[*end].router.is_none()) {
            return;
        }
        let link = LinkId(self.next_link);
        self.next_link += 1;
        self.connections[connection].up = Some(link);
        self.by_link.insert(link, connection);
        let now = self.now;
        for end in ends {
            match self.nodes[end].router.as_mut() {
                Some(Router::Ours(router)) => router.routing.link_up(link, cost, now),
                Some(Router::C(router)) => router.link_up(link, cost),
                None => {}
            }
            self.rest(end, Vec::new());
        }
    }

    pub(crate) fn down(&mut self, connection: usize) {
        let Some(link) = self.connections[connection].up.take() else { return };
        let now = self.now;
        for end in self.connections[connection].ends {
            match self.nodes[end].router.as_mut() {
                Some(Router::Ours(router)) => router.routing.link_down(link, now),
                Some(Router::C(router)) => router.link_down(link),
                None => {}
            }
            self.rest(end, Vec::new());
        }
    }

    pub(crate) fn serve(&mut self, node: usize, key: AddressKey, attributes: Attributes) {
        let now = self.now;
        self.nodes[node].served.insert(key.clone(), attributes.clone());
        match self.nodes[node].router.as_mut() {
            Some(Router::Ours(router)) => {
                router.routing.set_address(key, attributes, Rank::Service, now)
            }
            Some(Router::C(router)) => router.serve(key, attributes),
            None => {}
        }
        self.rest(node, Vec::new());
    }

    pub(crate) fn serve_name(&mut self, node: usize, name: &str) {
        self.serve(node, AddressKey::mobile(name), Attributes::new(Treatment::Balanced));
    }

    pub(crate) fn unserve(&mut self, node: usize, key: &AddressKey) {
        let now = self.now;
        self.nodes[node].served.remove(key);
        match self.nodes[node].router.as_mut() {
            Some(Router::Ours(router)) => router.routing.remove_address(key, now),
            Some(Router::C(router)) => router.unserve(key),
            None => {}
        }
        self.rest(node, Vec::new());
    }

    pub(crate) fn ours(&self, node: usize) -> &OurRouter {
        match self.nodes[node].router.as_ref() {
            Some(Router::Ours(router)) => router,
            _ => panic!("{} is not running as ours", self.nodes[node].id),
        }
    }

    pub(crate) fn total_sent(&self) -> u64 {
        self.sent.values().sum()
    }

    /// Returns the sequences of a node's link state and of its addresses.
    pub(crate) fn sequences(&self, node: usize) -> (u64, u64) {
        match self.nodes[node].router.as_ref() {
            Some(Router::Ours(router)) => {
                (router.routing.ls_seq(), router.routing.mobile_seq(RouterIndex::OWN))
            }
            Some(Router::C(router)) => router.sequences(),
            None => (0, 0),
        }
    }

    /// Sends a message that a node's machine does not know of, by one of its connections.
    pub(crate) fn forge(&mut self, node: usize, connection: usize, packet: Packet) {
        if let Some(link) = self.connections[connection].up {
            self.send(node, link, packet);
        }
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, time: Duration) {
        let (end, before) = (self.now + time, processor_time());
        while self.step(end) {}
        self.now = end;
        self.spent += processor_time().saturating_sub(before);
    }

    /// Lets time pass until the condition holds. Returns the time it took, `None` when it is over
    /// the limit.
    pub(crate) fn run_until(
        &mut self,
        limit: Duration,
        condition: impl Fn(&Self) -> bool,
    ) -> Option<Duration> {
        let start = self.now;
        while !condition(self) {
            if !self.step(start + limit) {
                return None;
            }
        }
        Some(self.now - start)
    }

    fn step(&mut self, end: Instant) -> bool {
        let Some(Reverse((at, ..))) = self.queue.peek() else { return false };
        if *at > end {
            return false;
        }
        let Some(Reverse((at, _, event))) = self.queue.pop() else { return false };
        self.now = at;
        match event {
            Event::Arrive { connection, side } => {
                let entry = &mut self.connections[connection];
                let to = entry.ends[1 - side];
                let up = entry.up;
                let Some(UnderWay { link, packet, .. }) = entry.under_way[side].pop_front() else {
                    return true;
                };
                if let Some(UnderWay { at, sequence, .. }) = entry.under_way[side].front() {
                    self.queue.push(Reverse((*at, *sequence, event)));
                }
                if up == Some(link) {
                    let mut out = Vec::new();
                    match self.nodes[to].router.as_mut() {
                        Some(Router::Ours(router)) => router.receive(link, &packet, at, &mut out),
                        Some(Router::C(router)) => router.receive(link, &packet, at, &mut out),
                        None => {}
                    }
                    self.rest(to, out);
                }
            }
            Event::Wake { node, life } => {
                if self.nodes[node].life == life && self.armed[node] == Some(at) {
                    self.armed[node] = None;
                    match self.nodes[node].router.as_mut() {
                        Some(Router::Ours(router)) => {
                            router.wakeups += 1;
                            router.routing.handle_timeout(at);
                        }
                        Some(Router::C(router)) => router.tick(at),
                        None => {}
                    }
                    self.rest(node, Vec::new());
                }
            }
        }
        true
    }

    /// Sends the messages of a router and arms its timer.
    fn rest(&mut self, node: usize, mut out: Vec<(LinkId, Packet)>) {
        let due = match self.nodes[node].router.as_mut() {
            Some(Router::Ours(router)) => {
                router.drain(&mut out);
                router.routing.poll_timeout()
            }
            Some(Router::C(router)) => {
                router.drain(&mut out);
                Some(router.next_tick())
            }
            None => return,
        };
        for (link, packet) in out {
            self.send(node, link, packet);
        }
        if let Some(due) = due.map(|due| due.max(self.now))
            && self.armed[node].is_none_or(|armed| due < armed)
        {
            self.armed[node] = Some(due);
            let life = self.nodes[node].life;
            self.sequence += 1;
            self.queue.push(Reverse((due, self.sequence, Event::Wake { node, life })));
        }
    }

    fn send(&mut self, node: usize, link: LinkId, packet: Packet) {
        let Some(connection) = self.by_link.get(&link).copied() else { return };
        if self.connections[connection].up != Some(link) {
            return;
        }
        *self.sent.entry(packet.message.opcode()).or_default() += 1;
        let entry = &mut self.connections[connection];
        let side = usize::from(entry.ends[0] != node);
        let at = (self.now + entry.latency).max(entry.busy[side]);
        entry.busy[side] = at;
        self.sequence += 1;
        let sequence = self.sequence;
        if entry.under_way[side].is_empty() {
            self.queue.push(Reverse((at, sequence, Event::Arrive { connection, side })));
        }
        entry.under_way[side].push_back(UnderWay { at, sequence, link, packet });
    }
}
