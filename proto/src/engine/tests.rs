//! Scripted conversations in virtual time: two engines ([`Pair`]), or one whose peer is made of
//! frames ([`Raw`]).

mod deliveries;
mod links;
mod opening;
mod settlement;
mod violations;
mod windows;

use core::time::Duration;
use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::amqp::decode::Decode;
use crate::amqp::frame::{self, FrameHeader, ProtocolHeader};
use crate::amqp::performative::{
    Attach, Begin, Disposition, Flow, Open, Performative, Role, Transfer,
};
use crate::amqp::sasl::SaslFrame;
use crate::amqp::{Encode, Fields, Multiple, Reader};
use crate::time::Instant;

/// A frame, or a header between frames.
#[derive(Clone, Debug, PartialEq)]
enum Item {
    Header(ProtocolHeader),
    Sasl(SaslFrame),
    Empty,
    Frame(u16, Performative, Bytes),
}

/// Cuts bytes into frames; they must be whole.
fn parse(mut octets: &[u8]) -> Vec<Item> {
    let mut items = Vec::new();
    while !octets.is_empty() {
        if let Some(header) =
            octets.first_chunk::<8>().and_then(|head| ProtocolHeader::parse(*head))
        {
            items.push(Item::Header(header));
            octets = &octets[8..];
            continue;
        }
        let header = FrameHeader::parse(octets).expect("a whole frame");
        let frame = &octets[..header.size as usize];
        octets = &octets[header.size as usize..];
        let body = &frame[header.body_offset().expect("a sound header")..];
        let mut reader = Reader::new(body);
        items.push(if header.kind == frame::TYPE_SASL {
            Item::Sasl(SaslFrame::decode(&mut reader).expect("a SASL frame"))
        } else if body.is_empty() {
            Item::Empty
        } else {
            let performative = Performative::decode(&mut reader).expect("a performative");
            Item::Frame(header.channel, performative, Bytes::copy_from_slice(reader.rest()))
        });
    }
    items
}

/// Returns the bytes of a frame.
fn octets_of(channel: u16, performative: &Performative, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let start = frame::begin(&mut out, frame::TYPE_AMQP, channel);
    performative.encode(&mut out);
    frame::end(&mut out, start, payload.len());
    out.extend_from_slice(payload);
    out
}

fn config(container_id: &str, layer: Layer) -> Config {
    Config {
        container_id: container_id.to_owned(),
        hostname: None,
        max_frame_size: 16384,
        channel_max: 32767,
        idle_timeout: Duration::from_secs(16),
        handshake_timeout: Duration::from_secs(10),
        incoming_window: 8192,
        capabilities: Multiple::of(&["qd.streaming-links"]),
        properties: Fields::default(),
        layer,
    }
}

fn client() -> Config {
    config(
        "client",
        Layer::Client {
            mechanisms: vec!["ANONYMOUS"],
            identity: "me".to_owned(),
            credentials: None,
        },
    )
}

fn server() -> Config {
    config("server", Layer::Server { mechanisms: vec!["ANONYMOUS"], allow_bare: false })
}

/// One end of a [`Pair`].
struct Side {
    engine: Connection,
    /// Bytes on their way here, and when they arrive.
    wire: VecDeque<(Instant, Vec<u8>)>,
    input: BytesMut,
    events: Vec<Event>,
    /// Bytes that were sent, turn by turn.
    turns: Vec<Vec<u8>>,
}

impl Side {
    fn new(config: Config, now: Instant) -> Self {
        Self {
            engine: Connection::new(config, now),
            wire: VecDeque::new(),
            input: BytesMut::new(),
            events: Vec::new(),
            turns: Vec::new(),
        }
    }

    fn collect(&mut self) {
        while let Some(event) = self.engine.poll_event() {
            self.events.push(event);
        }
        self.engine.check();
    }

    /// Returns the events since the last call.
    fn events(&mut self) -> Vec<Event> {
        self.collect();
        core::mem::take(&mut self.events)
    }

    /// Returns the frames sent since the last call.
    fn sent(&mut self) -> Vec<Item> {
        parse(&core::mem::take(&mut self.turns).concat())
    }
}

/// Two engines and the wire between them.
struct Pair {
    client: Side,
    server: Side,
    now: Instant,
    latency: Duration,
}

impl Pair {
    fn new(client: Config, server: Config) -> Self {
        let now = Instant::from_millis(1000);
        Self {
            client: Side::new(client, now),
            server: Side::new(server, now),
            now,
            latency: Duration::from_millis(10),
        }
    }

    /// Makes a pair that is open at both ends.
    fn open(client: Config, server: Config) -> Self {
        let mut pair = Self::new(client, server);
        pair.drive();
        assert!(pair.client.engine.is_open() && pair.server.engine.is_open());
        for side in [&mut pair.client, &mut pair.server] {
            side.events();
            side.sent();
        }
        pair
    }

    fn flush(&mut self) {
        let arrival = self.now + self.latency;
        Self::carry(&mut self.client, &mut self.server, self.now, arrival);
        Self::carry(&mut self.server, &mut self.client, self.now, arrival);
    }

    fn carry(from: &mut Side, to: &mut Side, now: Instant, arrival: Instant) {
        from.collect();
        let octets = from.engine.output().to_vec();
        from.engine.output().clear();
        if !octets.is_empty() {
            from.engine.sent(now);
            from.turns.push(octets.clone());
            to.wire.push_back((arrival, octets));
        }
    }

    fn arrive(&mut self) {
        for side in [&mut self.client, &mut self.server] {
            while side.wire.front().is_some_and(|(at, _)| *at <= self.now)
                && let Some((_, octets)) = side.wire.pop_front()
            {
                side.input.extend_from_slice(&octets);
                while side.engine.handle_input(&mut side.input, self.now) {
                    side.collect();
                }
                side.collect();
            }
        }
    }

    fn next_arrival(&self) -> Option<Instant> {
        [&self.client, &self.server]
            .iter()
            .filter_map(|side| side.wire.front())
            .map(|(at, _)| *at)
            .min()
    }

    /// Carries bytes until none are on the way.
    fn drive(&mut self) {
        loop {
            self.flush();
            let Some(next) = self.next_arrival() else { return };
            self.now = next;
            self.arrive();
        }
    }

    /// Lets time pass, with arrivals and deadlines in their order.
    fn advance(&mut self, by: Duration) {
        let until = self.now + by;
        loop {
            self.flush();
            let deadlines = [&self.client, &self.server].map(|side| side.engine.poll_timeout());
            let Some(next) = deadlines
                .into_iter()
                .flatten()
                .chain(self.next_arrival())
                .min()
                .filter(|next| *next <= until)
            else {
                self.now = until;
                return;
            };
            self.now = self.now.max(next);
            self.arrive();
            for side in [&mut self.client, &mut self.server] {
                if side.engine.poll_timeout().is_some_and(|deadline| deadline <= self.now) {
                    side.engine.handle_timeout(self.now);
                    side.collect();
                }
            }
        }
    }

    /// Begins a session at the client. Returns its keys at the client and at the server.
    fn session(&mut self) -> (SessionKey, SessionKey) {
        let session = self.client.engine.begin().expect("a channel");
        self.drive();
        assert_eq!(self.client.events(), [Event::Begun { session }]);
        let [Event::Begun { session: theirs }] = self.server.events()[..] else { panic!("begun") };
        (session, theirs)
    }

    /// Attaches a link on which the client sends, with credit that is kept. Returns its keys at the
    /// client and at the server.
    fn link(&mut self, session: SessionKey, name: &str, credit: u32) -> (LinkKey, LinkKey) {
        let link =
            self.client.engine.attach(session, request(name, Role::Sender)).expect("a handle");
        self.drive();
        let [Event::Attached { link: theirs, ours: false, .. }] = self.server.events()[..] else {
            panic!("attached")
        };
        self.server.engine.accept(theirs, AttachRequest::default());
        self.server.engine.keep_credit(theirs, credit);
        self.drive();
        assert_eq!(self.client.engine.credit(link), credit);
        self.client.events();
        (link, theirs)
    }
}

fn request(name: &str, role: Role) -> AttachRequest {
    AttachRequest { name: name.to_owned(), role, ..AttachRequest::default() }
}

fn chunks(octets: &'static [u8]) -> VecDeque<Bytes> {
    VecDeque::from([Bytes::from_static(octets)])
}

/// Sends a delivery in one transfer.
fn send(
    engine: &mut Connection,
    link: LinkKey,
    octets: &'static [u8],
    presettled: bool,
) -> OutgoingKey {
    let delivery = engine.deliver(link, presettled).expect("credit");
    assert!(engine.send_part(delivery, &mut chunks(octets), true));
    delivery
}

/// An engine whose peer is made of frames.
struct Raw {
    engine: Connection,
    input: BytesMut,
    now: Instant,
}

impl Raw {
    fn new(config: Config) -> Self {
        let now = Instant::from_millis(1000);
        Self { engine: Connection::new(config, now), input: BytesMut::new(), now }
    }

    /// Makes a server whose client opens without SASL, with one session on channel 0.
    fn begun(config: Config) -> (Self, SessionKey) {
        let layer = Layer::Server { mechanisms: vec![], allow_bare: true };
        let mut raw = Self::new(Config { layer, ..config });
        raw.octets(&ProtocolHeader::Amqp.octets());
        raw.feed(0, open());
        raw.feed(0, begin());
        let [Event::Opened, Event::Begun { session }] = raw.events()[..] else { panic!("begun") };
        raw.sent();
        (raw, session)
    }

    /// Makes the same with a link on which the peer sends, attached as handle 0 with credit that
    /// the application counts.
    fn receiving(config: Config, credit: u32) -> (Self, SessionKey, LinkKey) {
        let (mut raw, session) = Self::begun(config);
        let link = raw.attach(0, Role::Sender);
        raw.engine.set_credit(link, credit, false);
        raw.sent();
        (raw, session, link)
    }

    /// Makes the same with a link on which the peer receives.
    fn sending(config: Config, credit: u32) -> (Self, SessionKey, LinkKey) {
        let (mut raw, session) = Self::begun(config);
        let link = raw.attach(0, Role::Receiver);
        raw.feed(0, credit_flow(0, 0, credit));
        assert_eq!(raw.events(), [Event::Credit { link, drain: false }]);
        raw.sent();
        (raw, session, link)
    }

    /// Attaches a link as the peer, in a role and as a handle, and accepts it.
    fn attach(&mut self, handle: u32, role: Role) -> LinkKey {
        self.feed(0, attach(&format!("link {handle}"), handle, role));
        let [Event::Attached { link, ours: false, .. }] = self.events()[..] else {
            panic!("attached")
        };
        self.engine.accept(link, AttachRequest::default());
        link
    }

    fn octets(&mut self, octets: &[u8]) {
        self.input.extend_from_slice(octets);
        while self.engine.handle_input(&mut self.input, self.now) {}
        self.engine.check();
    }

    fn feed(&mut self, channel: u16, performative: Performative) {
        self.octets(&octets_of(channel, &performative, b""));
    }

    fn transfer(&mut self, transfer: Transfer, payload: &[u8]) {
        self.octets(&octets_of(0, &Performative::Transfer(transfer), payload));
    }

    fn events(&mut self) -> Vec<Event> {
        let events = core::iter::from_fn(|| self.engine.poll_event()).collect();
        self.engine.check();
        events
    }

    fn sent(&mut self) -> Vec<Item> {
        let octets = self.engine.output().to_vec();
        self.engine.output().clear();
        parse(&octets)
    }

    /// Returns the condition of the error by which the engine closed, ended or detached, from its
    /// last frame.
    fn refusal(&mut self) -> String {
        let error = match self.sent().pop() {
            Some(Item::Frame(_, Performative::Close(close), _)) => close.error,
            Some(Item::Frame(_, Performative::End(end), _)) => end.error,
            Some(Item::Frame(_, Performative::Detach(detach), _)) => detach.error,
            other => panic!("{other:?}"),
        };
        error.expect("a reason").condition.as_str().to_owned()
    }
}

fn open() -> Performative {
    Performative::Open(Box::new(Open { container_id: "raw".to_owned(), ..Open::default() }))
}

fn begin() -> Performative {
    Performative::Begin(Box::new(Begin {
        incoming_window: 2048,
        outgoing_window: 2048,
        ..Begin::default()
    }))
}

fn attach(name: &str, handle: u32, role: Role) -> Performative {
    Performative::Attach(Box::new(Attach {
        name: name.to_owned(),
        handle,
        role,
        ..Attach::default()
    }))
}

/// Makes a flow that gives credit on a handle, of a peer that has seen nothing.
fn credit_flow(handle: u32, delivery_count: u32, link_credit: u32) -> Performative {
    Performative::Flow(Flow {
        incoming_window: 2048,
        handle: Some(handle),
        delivery_count: Some(delivery_count),
        link_credit: Some(link_credit),
        ..Flow::default()
    })
}

/// Makes the one transfer of a delivery.
fn whole(handle: u32, id: u32) -> Transfer {
    Transfer { handle, delivery_id: Some(id), ..Transfer::default() }
}

/// Makes a transfer of a delivery that goes on.
fn part(handle: u32, id: u32) -> Transfer {
    Transfer { more: Some(true), ..whole(handle, id) }
}

fn disposition(role: Role, first: u32, last: u32) -> Disposition {
    Disposition { role, first, last: Some(last), ..Disposition::default() }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        max_shrink_iters: 5000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn whatever_the_applications_do(
        choice in any::<u8>(),
        steps in proptest::collection::vec(any::<[u8; 3]>(), 0..500),
    ) {
        let octets = core::iter::once(choice).chain(steps.into_iter().flatten());
        model::run(&octets.collect::<Vec<_>>());
    }
}

#[test]
fn what_a_fuzzer_found() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/engine_pair");
    let mut inputs = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        model::run(&std::fs::read(&path).unwrap());
        inputs += 1;
    }
    assert!(inputs > 0, "nothing in {}", folder.display());
}

/// Returns the transfers among frames.
fn transfers(items: &[Item]) -> Vec<(&Transfer, &Bytes)> {
    let transfer = |item| match item {
        &Item::Frame(_, Performative::Transfer(ref transfer), ref payload) => {
            Some((transfer, payload))
        }
        _ => None,
    };
    items.iter().filter_map(transfer).collect()
}

fn dispositions(items: &[Item]) -> Vec<&Disposition> {
    let disposition = |item| match item {
        &Item::Frame(_, Performative::Disposition(ref disposition), _) => Some(disposition),
        _ => None,
    };
    items.iter().filter_map(disposition).collect()
}

/// Returns the incoming delivery of the one transfer among events.
fn incoming(events: &[Event]) -> IncomingKey {
    match events {
        [Event::Transfer { delivery, .. }] => *delivery,
        other => panic!("{other:?}"),
    }
}

/// Makes a pair with a link from client to server.
fn linked() -> (Pair, LinkKey, LinkKey) {
    let mut pair = Pair::open(client(), server());
    let (session, _) = pair.session();
    let (link, theirs) = pair.link(session, "link", 10);
    pair.client.sent();
    pair.server.sent();
    (pair, link, theirs)
}
