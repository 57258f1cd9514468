//! Replays conversations of C routers: the engine plays either side. It must take every frame of
//! the other side and tell what those frames say. When its application does what the C router did,
//! it must say what the C router said.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use skupper_proto::amqp::decode::Decode;
use skupper_proto::amqp::frame::{self, FrameHeader, ProtocolHeader};
use skupper_proto::amqp::performative::{
    Attach, DeliveryState, Disposition, Flow, Open, Performative, Role, Transfer,
};
use skupper_proto::amqp::sasl::{self, SaslFrame};
use skupper_proto::amqp::{Multiple, Reader};
use skupper_proto::engine::{
    AttachRequest, Config, Connection, Ending, Event, IncomingKey, Layer, LinkKey, OutgoingKey,
    SessionKey,
};
use skupper_proto::time::Instant;

const CONTROL: &[u8] = include_bytes!("captures/control.bin");
const DATA_STREAMS: &[u8] = include_bytes!("captures/data-streams.bin");
const EDGE_LISTENER: &[u8] = include_bytes!("captures/edge-listener.bin");
const LINE: &[u8] = include_bytes!("captures/line.bin");

#[derive(Clone, Debug, PartialEq)]
enum Item {
    Header(ProtocolHeader),
    Sasl(SaslFrame),
    Empty,
    Frame(u16, Performative, Bytes),
}

fn parse(mut octets: &[u8]) -> Vec<Item> {
    let mut items = Vec::new();
    while !octets.is_empty() {
        if let Some(header) = octets.first_chunk().and_then(|head| ProtocolHeader::parse(*head)) {
            items.push(Item::Header(header));
            octets = &octets[8..];
            continue;
        }
        let header = FrameHeader::parse(octets).unwrap();
        let (frame, rest) = octets.split_at(header.size as usize);
        octets = rest;
        let mut reader = Reader::new(&frame[header.body_offset().unwrap()..]);
        items.push(match header.kind {
            frame::TYPE_SASL => Item::Sasl(SaslFrame::decode(&mut reader).unwrap()),
            _ if reader.is_empty() => Item::Empty,
            _ => {
                let performative = Performative::decode(&mut reader).unwrap();
                Item::Frame(header.channel, performative, Bytes::copy_from_slice(reader.rest()))
            }
        });
    }
    items
}

/// Returns the turns of a capture: which side spoke (0: the one that connected), and the bytes.
fn turns(mut capture: &[u8]) -> Vec<(usize, &[u8])> {
    let mut turns = Vec::new();
    while let [side, l0, l1, l2, l3, rest @ ..] = capture {
        let (octets, rest) = rest.split_at(u32::from_be_bytes([*l0, *l1, *l2, *l3]) as usize);
        turns.push((usize::from(*side), octets));
        capture = rest;
    }
    turns
}

/// Returns how many frames of each kind a side sent.
fn census(capture: &[u8], side: usize) -> HashMap<&'static str, usize> {
    let mut counts = HashMap::new();
    for item in
        turns(capture).into_iter().filter(|turn| turn.0 == side).flat_map(|turn| parse(turn.1))
    {
        if let Item::Frame(_, performative, _) = item {
            *counts.entry(performative.name()).or_default() += 1;
        }
    }
    counts
}

/// A delivery as its sender's session knows it: its channel and its id.
type Id = (u16, u32);

/// An engine in the place of one of the routers, and the application that does what that router
/// did.
struct Puppet {
    engine: Connection,
    input: BytesMut,
    now: Instant,
    /// Sessions by the channel that the replaced router sent on.
    sessions: HashMap<u16, SessionKey>,
    /// Channels of the other side, by those of ours.
    channels: HashMap<u16, u16>,
    /// Links by our side's channel and handle.
    links: HashMap<(u16, u32), LinkKey>,
    /// Links that the other side attached, by name, until they are answered.
    asked: HashMap<String, LinkKey>,
    roles: HashMap<LinkKey, Role>,
    sent: HashMap<Id, OutgoingKey>,
    /// Deliveries begun on a link of ours.
    begun: HashMap<LinkKey, u32>,
    /// Credit that the turn gave.
    credit: HashMap<LinkKey, u32>,
    received: HashMap<Id, IncomingKey>,
    /// The engine's output.
    output: Vec<u8>,
    events: HashMap<&'static str, usize>,
}

/// Returns the configuration of the router whose open this is.
fn config(open: &Open, layer: Layer) -> Config {
    Config {
        container_id: open.container_id.clone(),
        hostname: open.hostname.clone(),
        max_frame_size: open.max_frame_size.unwrap(),
        channel_max: open.channel_max.unwrap(),
        idle_timeout: Duration::from_millis(u64::from(open.idle_time_out.unwrap()) * 2),
        handshake_timeout: Duration::ZERO,
        incoming_window: 8192,
        capabilities: open.offered_capabilities.clone().unwrap_or_else(|| Multiple(vec![])),
        properties: open.properties.clone().unwrap_or_default(),
        layer,
    }
}

impl Puppet {
    fn new(capture: &[u8], side: usize) -> Self {
        let items: Vec<_> = turns(capture)
            .into_iter()
            .filter(|turn| turn.0 == side)
            .flat_map(|turn| parse(turn.1))
            .collect();
        let open = items.iter().find_map(|item| match item {
            Item::Frame(0, Performative::Open(open), _) => Some(open),
            _ => None,
        });
        let identity = items.iter().find_map(|item| match item {
            Item::Sasl(SaslFrame::Init(init)) => {
                Some(String::from_utf8(init.initial_response.clone()?.to_vec()).unwrap())
            }
            _ => None,
        });
        let layer = match side {
            0 => Layer::Client {
                mechanisms: vec!["ANONYMOUS"],
                identity: identity.unwrap(),
                credentials: None,
            },
            _ => Layer::Server { mechanisms: vec!["ANONYMOUS"], allow_bare: false },
        };
        let now = Instant::from_millis(1);
        Self {
            engine: Connection::new(config(open.unwrap(), layer), now),
            input: BytesMut::new(),
            now,
            sessions: HashMap::new(),
            channels: HashMap::new(),
            links: HashMap::new(),
            asked: HashMap::new(),
            roles: HashMap::new(),
            sent: HashMap::new(),
            begun: HashMap::new(),
            credit: HashMap::new(),
            received: HashMap::new(),
            output: Vec::new(),
            events: HashMap::new(),
        }
    }

    fn collect(&mut self) -> Vec<Event> {
        let events: Vec<_> = core::iter::from_fn(|| self.engine.poll_event()).collect();
        self.output.extend(self.engine.output().to_vec());
        self.engine.output().clear();
        assert!(
            !events.iter().any(|event| matches!(event, Event::Ended { .. } | Event::Closed(_))),
            "{events:?}"
        );
        for event in &events {
            *self.events.entry(name(event)).or_default() += 1;
        }
        events
    }

    /// Takes the other side's turn: the engine must tell what the frames say.
    fn hear(&mut self, octets: &[u8]) {
        self.input.extend_from_slice(octets);
        while self.engine.handle_input(&mut self.input, self.now) {}
        assert!(self.input.is_empty());
        let mut events = VecDeque::from(self.collect());
        for item in parse(octets) {
            match item {
                Item::Header(_) | Item::Empty => {}
                Item::Sasl(SaslFrame::Outcome(_) | SaslFrame::Init(_)) => {
                    assert_eq!(
                        events.pop_front(),
                        Some(Event::Authenticated { mechanism: "ANONYMOUS" })
                    );
                }
                Item::Sasl(_) => {}
                Item::Frame(channel, performative, payload) => {
                    self.expect(channel, performative, payload, &mut events)
                }
            }
        }
        assert_eq!(events, [], "events that no frame speaks of");
        // The last flow of the turn counts.
        for (link, credit) in self.credit.drain() {
            assert_eq!(self.engine.credit(link), credit);
        }
    }

    fn expect(
        &mut self,
        channel: u16,
        performative: Performative,
        payload: Bytes,
        events: &mut VecDeque<Event>,
    ) {
        match performative {
            Performative::Open(open) => {
                assert_eq!(events.pop_front(), Some(Event::Opened));
                assert_eq!(self.engine.remote(), Some(&*open));
            }
            Performative::Begin(begin) => {
                let Some(Event::Begun { session }) = events.pop_front() else {
                    panic!("{begin:?}")
                };
                match begin.remote_channel {
                    Some(ours) => assert_eq!(self.sessions.get(&ours), Some(&session)),
                    // The replaced router answers on the same channel in all captures.
                    None => assert!(self.sessions.insert(channel, session).is_none()),
                }
                self.channels.insert(begin.remote_channel.unwrap_or(channel), channel);
            }
            Performative::Attach(attach) => {
                let Some(Event::Attached { link, ours, attach: told }) = events.pop_front() else {
                    panic!("{attach:?}")
                };
                assert_eq!(*told, *attach);
                if !ours {
                    self.asked.insert(attach.name.clone(), link);
                    self.roles.insert(link, attach.role.other());
                }
                assert_eq!(
                    self.roles.get(&link),
                    Some(&attach.role.other()),
                    "an answer to what was asked"
                );
                assert_eq!(self.engine.session_of(link), self.sessions.get(&channel).copied());
            }
            Performative::Flow(flow) => {
                // A flow of the other sender's is no news.
                let Some(Event::Credit { link, drain }) = events.pop_front() else {
                    panic!("{flow:?}")
                };
                assert_eq!(drain, flow.drain == Some(true));
                let on_its_way =
                    self.begun.get(&link).copied().unwrap_or(0) - flow.delivery_count.unwrap();
                self.credit.insert(link, flow.link_credit.unwrap() - on_its_way);
            }
            Performative::Transfer(transfer) => {
                let Some(Event::Transfer {
                    delivery, first, settled, payload: told, ending, ..
                }) = events.pop_front()
                else {
                    panic!("{transfer:?}")
                };
                let id = (channel, transfer.delivery_id.unwrap());
                assert_eq!(first, self.received.get(&id).is_none_or(|known| *known != delivery));
                self.received.insert(id, delivery);
                assert_eq!(told, payload);
                assert_eq!(settled, transfer.settled == Some(true));
                let expected = match (transfer.aborted, transfer.more) {
                    (Some(true), _) => Ending::Aborted,
                    (_, Some(true)) => Ending::More,
                    _ => Ending::Complete,
                };
                assert_eq!(ending, expected);
            }
            Performative::Disposition(said) => self.expect_disposition(channel, &said, events),
            other => panic!("{other:?} is in no capture"),
        }
    }

    fn expect_disposition(&self, channel: u16, said: &Disposition, events: &mut VecDeque<Event>) {
        if said.role == Role::Receiver {
            for id in said.first..=said.last.unwrap_or(said.first) {
                let Some(Event::ReceiverState { delivery, state, settled }) = events.pop_front()
                else {
                    panic!("{said:?}")
                };
                let ours = self.channels.iter().find(|(_, theirs)| **theirs == channel).unwrap().0;
                assert_eq!(self.sent.get(&(*ours, id)), Some(&delivery));
                assert_eq!((state, settled), (said.state.clone(), said.settled == Some(true)));
            }
            return;
        }
        if let Some(wanted) = said.state.clone() {
            let Some(Event::SenderState { state, .. }) = events.pop_front() else {
                panic!("{said:?}")
            };
            assert_eq!(state, wanted);
        }
        let Some(Event::SenderSettled { delivery }) = events.pop_front() else {
            panic!("{said:?}")
        };
        assert_eq!(self.received.get(&(channel, said.first)), Some(&delivery));
    }

    /// Does what the replaced router did.
    fn speak(&mut self, octets: &[u8]) {
        for item in parse(octets) {
            let Item::Frame(channel, performative, payload) = item else { continue };
            match performative {
                Performative::Begin(begin) if begin.remote_channel.is_none() => {
                    let session = self.engine.begin().unwrap();
                    assert!(self.sessions.insert(channel, session).is_none());
                }
                Performative::Open(_) | Performative::Begin(_) => {}
                Performative::Attach(attach) => self.attach(channel, *attach),
                Performative::Flow(flow) => {
                    let link = self.links[&(channel, flow.handle.unwrap())];
                    self.engine.set_credit(
                        link,
                        flow.link_credit.unwrap(),
                        flow.drain == Some(true),
                    );
                }
                Performative::Transfer(transfer) => {
                    let id = (channel, transfer.delivery_id.unwrap());
                    let link = self.links[&(channel, transfer.handle)];
                    let settled = transfer.settled == Some(true);
                    let more = transfer.more == Some(true);
                    let delivery = *self.sent.entry(id).or_insert_with(|| {
                        *self.begun.entry(link).or_default() += 1;
                        self.engine
                            .deliver(link, settled && transfer.aborted != Some(true))
                            .expect("credit")
                    });
                    if transfer.aborted == Some(true) {
                        assert!(self.engine.abort(delivery));
                        continue;
                    }
                    if settled {
                        self.engine.settle(delivery);
                    }
                    let mut chunks = VecDeque::from([payload]);
                    while self.engine.send_part(delivery, &mut chunks, !more) && !chunks.is_empty()
                    {
                    }
                    assert!(chunks.is_empty());
                }
                Performative::Disposition(said) => {
                    for id in said.first..=said.last.unwrap_or(said.first) {
                        match said.role {
                            Role::Receiver => {
                                let theirs = self.channels[&channel];
                                let delivery = self.received[&(theirs, id)];
                                self.engine.disposition(
                                    delivery,
                                    said.state.clone(),
                                    said.settled == Some(true),
                                );
                            }
                            Role::Sender => self.engine.settle(self.sent[&(channel, id)]),
                        }
                    }
                }
                other => panic!("{other:?} is in no capture"),
            }
            let events = self.collect();
            assert_eq!(events, [], "what we do is no news");
        }
        self.collect();
    }

    fn attach(&mut self, channel: u16, attach: Attach) {
        let request = AttachRequest {
            name: attach.name.clone(),
            role: attach.role,
            source: attach.source,
            target: attach.target,
            snd_settle_mode: attach.snd_settle_mode.unwrap(),
            max_message_size: attach.max_message_size.unwrap(),
            offered_capabilities: attach.offered_capabilities,
            properties: attach.properties,
        };
        let link = match self.asked.remove(&attach.name) {
            Some(link) => {
                self.engine.accept(link, request);
                link
            }
            None => self.engine.attach(self.sessions[&channel], request).unwrap(),
        };
        self.roles.insert(link, attach.role);
        assert!(self.links.insert((channel, attach.handle), link).is_none());
    }
}

fn name(event: &Event) -> &'static str {
    match event {
        Event::Authenticated { .. } => "authenticated",
        Event::Opened => "open",
        Event::Begun { .. } => "begin",
        Event::Attached { .. } => "attach",
        Event::Credit { .. } => "flow",
        Event::Transfer { .. } => "transfer",
        Event::ReceiverState { .. } => "outcome",
        Event::SenderSettled { .. } => "sender settled",
        Event::SenderState { .. } => "sender state",
        other => panic!("{other:?}"),
    }
}

/// Returns the part of frames on which two implementations must agree.
fn essence(items: Vec<Item>, whole: bool) -> Vec<Item> {
    let mut found: Vec<Item> = Vec::new();
    for item in items {
        let item = match item {
            Item::Frame(channel, performative, payload) => match performative {
                Performative::Flow(flow) => {
                    // C opens the session's window with every flow. How much either side had seen
                    // is a matter of time, and numbers of frames that were taken out do not agree.
                    let next_outgoing_id = if whole { flow.next_outgoing_id } else { 0 };
                    let flow = Flow {
                        next_incoming_id: None,
                        delivery_count: None,
                        next_outgoing_id,
                        incoming_window: 0,
                        drain: Some(flow.drain == Some(true)),
                        ..flow
                    };
                    Item::Frame(channel, Performative::Flow(flow), payload)
                }
                Performative::Transfer(transfer) => {
                    // Tags differ, and so do the cuts of a message into frames: join its transfers.
                    let transfer =
                        Transfer { delivery_tag: None, message_format: None, ..transfer };
                    if let Some(Item::Frame(before, Performative::Transfer(last), octets)) =
                        found.last_mut()
                        && (*before, last.handle, last.delivery_id)
                            == (channel, transfer.handle, transfer.delivery_id)
                    {
                        *octets = [&octets[..], &payload[..]].concat().into();
                        *last = transfer;
                        continue;
                    }
                    Item::Frame(channel, Performative::Transfer(transfer), payload)
                }
                Performative::Disposition(said) => {
                    // A sender that settles need not say why.
                    let state = said.state.filter(|_| said.role == Role::Receiver);
                    let said =
                        Disposition { last: Some(said.last.unwrap_or(said.first)), state, ..said };
                    Item::Frame(channel, Performative::Disposition(said), payload)
                }
                other => Item::Frame(channel, other, payload),
            },
            Item::Empty => continue,
            // A router's mechanisms are its configuration.
            Item::Sasl(SaslFrame::Mechanisms(_)) => continue,
            // The host stands in open; C leaves it out here.
            Item::Sasl(SaslFrame::Init(init)) => {
                Item::Sasl(SaslFrame::Init(sasl::Init { hostname: None, ..init }))
            }
            other => other,
        };
        found.push(item);
    }
    found
}

/// Replays a capture with the engine in the place of a side. Returns the events by kind.
fn replay(capture: &[u8], side: usize, whole: bool) -> HashMap<&'static str, usize> {
    let mut puppet = Puppet::new(capture, side);
    puppet.collect();
    let mut recorded = Vec::new();
    for (speaker, octets) in turns(capture) {
        if speaker == side {
            recorded.extend_from_slice(octets);
            puppet.speak(octets);
        } else {
            puppet.hear(octets);
        }
    }
    assert!(puppet.engine.is_open());
    let said = essence(parse(&puppet.output), whole);
    let recorded = essence(parse(&recorded), whole);
    for (n, (ours, theirs)) in said.iter().zip(&recorded).enumerate() {
        assert_eq!(ours, theirs, "frame {n} of {}", recorded.len());
    }
    assert_eq!(said.len(), recorded.len());
    puppet.events
}

fn replay_both(capture: &[u8], whole: bool, kinds: &[(&'static str, [usize; 2])]) {
    for side in [0, 1] {
        let events = replay(capture, side, whole);
        let sent = census(capture, 1 - side);
        for kind in ["open", "begin", "attach", "flow", "transfer"] {
            assert_eq!(events.get(kind), sent.get(kind), "{kind} by side {}", 1 - side);
        }
        for (kind, counts) in kinds {
            assert_eq!(
                events.get(kind).copied().unwrap_or(0),
                counts[1 - side],
                "{kind} by side {}",
                1 - side
            );
        }
    }
}

#[test]
fn a_control_connection() {
    let kinds = [
        ("authenticated", [1, 1]),
        ("open", [1, 1]),
        ("begin", [13, 13]),
        ("attach", [24, 24]),
        ("flow", [33, 38]),
        ("transfer", [39, 36]),
        ("outcome", [9, 1]),
        ("sender settled", [1, 0]),
    ];
    replay_both(CONTROL, false, &kinds);
}

#[test]
fn a_data_connection() {
    let kinds = [
        ("begin", [2, 2]),
        ("attach", [2, 2]),
        ("flow", [7, 6]),
        ("transfer", [13, 16]),
        ("outcome", [9, 1]),
    ];
    replay_both(DATA_STREAMS, false, &kinds);
}

#[test]
fn an_edge_connection() {
    let kinds = [
        ("begin", [4, 4]),
        ("attach", [13, 13]),
        ("flow", [9, 6]),
        ("transfer", [4, 6]),
        ("outcome", [2, 2]),
    ];
    replay_both(EDGE_LISTENER, true, &kinds);
}

#[test]
fn a_line_with_a_released_message_and_an_abort() {
    let kinds = [
        ("begin", [13, 13]),
        ("attach", [24, 24]),
        ("flow", [66, 53]),
        ("transfer", [61, 66]),
        ("outcome", [3, 2]),
    ];
    replay_both(LINE, true, &kinds);
}

/// The eleven sessions and 22 links of an inter-router connection come up. Frame by frame, the
/// engine says what the C router said; begins and attaches byte for byte.
#[test]
fn the_link_comes_up_octet_for_octet() {
    for side in [0, 1] {
        let mut puppet = Puppet::new(CONTROL, side);
        puppet.collect();
        let mut recorded = Vec::new();
        for (speaker, octets) in turns(CONTROL) {
            if speaker == side {
                recorded.extend_from_slice(octets);
                puppet.speak(octets);
            } else {
                puppet.hear(octets);
            }
            if parse(octets)
                .iter()
                .any(|item| matches!(item, Item::Frame(_, Performative::Transfer(_), _)))
            {
                break;
            }
        }
        let setup = |octets: &[u8]| -> Vec<Item> {
            let wanted = |item: &Item| {
                !matches!(
                    item,
                    Item::Frame(_, Performative::Transfer(_) | Performative::Flow(_), _)
                )
            };
            essence(parse(octets).into_iter().filter(wanted).collect(), true)
        };
        let (ours, theirs) = (setup(&puppet.output), setup(&recorded));
        assert_eq!(ours, theirs);
        assert!(
            ours.iter()
                .filter(|item| matches!(item, Item::Frame(_, Performative::Begin(_), _)))
                .count()
                == 11
        );
        assert!(
            ours.iter()
                .filter(|item| matches!(item, Item::Frame(_, Performative::Attach(_), _)))
                .count()
                == 22
        );
        // And in bytes, begins and attaches.
        let octets = |octets: &[u8]| -> Vec<u8> {
            let mut frames = Vec::new();
            let mut rest = octets;
            while !rest.is_empty() {
                if rest.starts_with(b"AMQP") {
                    rest = &rest[8..];
                    continue;
                }
                let header = FrameHeader::parse(rest).unwrap();
                let (frame, tail) = rest.split_at(header.size as usize);
                if header.kind == frame::TYPE_AMQP && matches!(frame.get(10), Some(0x11 | 0x12)) {
                    frames.extend_from_slice(frame);
                }
                rest = tail;
            }
            frames
        };
        assert_eq!(octets(&puppet.output), octets(&recorded));
    }
}

#[test]
fn states_seen_in_captures() {
    let states = |capture, side| -> Vec<DeliveryState> {
        let state = |item| match item {
            Item::Frame(_, Performative::Disposition(said), _) => said.state,
            _ => None,
        };
        turns(capture)
            .into_iter()
            .filter(|turn| turn.0 == side)
            .flat_map(|turn| parse(turn.1))
            .filter_map(state)
            .collect()
    };
    let south = states(CONTROL, 0);
    assert_eq!(south.iter().filter(|state| matches!(state, DeliveryState::Received(_))).count(), 4);
    assert_eq!(south.iter().filter(|state| matches!(state, DeliveryState::Modified(_))).count(), 2);
    assert_eq!(states(LINE, 1), [DeliveryState::Accepted, DeliveryState::Released]);
}
