//! The fuzz targets: what each does with its bytes, and what must hold. The crate's tests also run
//! them over the corpora.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use skupper_proto::amqp::decode::{self, Decode};
use skupper_proto::amqp::frame::{self, FrameHeader, ProtocolHeader};
use skupper_proto::amqp::message::{self, Scan};
use skupper_proto::amqp::performative::{DeliveryState, Performative, Role};
use skupper_proto::amqp::sasl::SaslFrame;
use skupper_proto::amqp::{DecodeError, Encode, Fields, Multiple, Reader};
use skupper_proto::annotations::{self, Parsed};
use skupper_proto::edge::{self, Tracking};
use skupper_proto::engine::{AttachRequest, Config, Connection, Ending, Event, Layer, OutgoingKey};
use skupper_proto::management::{MAX_REQUEST, Request, Response, Table, property};
use skupper_proto::routing::{Message, RoutingProtocol};
use skupper_proto::stream::{
    self, ALLOWANCE_UNIT, MAX_ALLOWANCE, MAX_HELD, Receipt, SendWindow, StreamHead,
};
use skupper_proto::time::Instant;
use skupper_proto::topology::{self, Arrival, LinkId};
use skupper_proto::vanflow::{self, Fact};

fn encoded(value: &impl Encode) -> Vec<u8> {
    let mut out = Vec::new();
    value.encode(&mut out);
    out
}

/// Returns the memory that values of `octets` bytes may take. The constant part is a few messages'
/// worth. The growing part costs a peer as much as it sends.
const fn allowed(octets: usize) -> usize {
    octets * 16 + decode::ALLOWANCE
}

/// Values and message sections: a value that was read can be written and read again, takes bounded
/// memory, and is passed over alike. The sections of a message are found alike wherever it is cut.
pub fn codec(octets: &[u8]) {
    let mut reader = Reader::new(octets);
    if let Ok(value) = reader.value() {
        let read = octets.len() - reader.rest().len();
        assert!(value.memory() <= allowed(read), "{} octets for {read}", value.memory());
        let again = encoded(&value);
        // It may have fewer bytes than before.
        let read = Reader::new(&again).trusted_value().expect("what was written can be read");
        assert_eq!(encoded(&read), again);
        let mut skipped = Reader::new(octets);
        skipped.skip().expect("what can be read can be skipped");
        assert_eq!(skipped.rest(), reader.rest());
    }
    if let Ok(tracking) = Tracking::decode(octets) {
        assert_eq!(Tracking::decode(&tracking.encode()), Ok(tracking));
    }
    let _ = edge::decode_mesh(octets);
    for whole_body in [false, true] {
        let whole = message::scan(octets, true, whole_body);
        if let Ok(Scan::Complete(head)) = &whole {
            for cut in 0..octets.len().min(300) {
                match message::scan(&octets[..cut], false, whole_body) {
                    Ok(Scan::Incomplete) => drop(message::arrived(&octets[..cut])),
                    Ok(Scan::Complete(part)) => assert_eq!(part, *head),
                    Err(error) => panic!("{error} when cut at {cut}"),
                }
            }
            if let Some(properties) = &head.application_properties {
                let _ = message::application_property(properties, octets, "opcode");
            }
            let _ = stream::decode_head(octets, head);
        }
    }
}

/// Frames one after the other: a frame that was read can be written and read again to the same.
pub fn frames(mut octets: &[u8]) {
    while let Some(header) = FrameHeader::parse(octets) {
        let Some(frame) = octets.get(..header.size as usize) else { return };
        let Ok(offset) = header.body_offset() else { return };
        let mut reader = Reader::new(&frame[offset..]);
        if header.kind == frame::TYPE_SASL {
            if let Ok(frame) = SaslFrame::decode(&mut reader) {
                let again = encoded(&frame);
                let read = SaslFrame::decode(&mut Reader::new(&again))
                    .expect("what was written can be read");
                assert_eq!(encoded(&read), again);
            }
        } else if let Ok(performative) = Performative::decode(&mut reader) {
            let again = encoded(&performative);
            // Values of many members may have too few bytes then to be read.
            match Performative::decode(&mut Reader::new(&again)) {
                Ok(read) => assert_eq!(encoded(&read), again),
                Err(error) => assert_eq!(error, DecodeError::Memory),
            }
        }
        octets = &octets[header.size as usize..];
    }
}

/// A connection to a peer that sends anything. The first byte chooses the set-up and how the rest
/// is cut.
fn engine(octets: &[u8], client: bool) {
    let Some((&choice, octets)) = octets.split_first() else { return };
    let bare = choice & 1 == 0;
    let layer = match client {
        true if bare => {
            Layer::Client { mechanisms: vec![], identity: String::new(), credentials: None }
        }
        true => Layer::Client {
            mechanisms: vec!["EXTERNAL", "ANONYMOUS"],
            identity: "fuzz".to_owned(),
            credentials: None,
        },
        false => Layer::Server { mechanisms: vec!["EXTERNAL", "ANONYMOUS"], allow_bare: bare },
    };
    let config = Config {
        container_id: "fuzz".to_owned(),
        hostname: None,
        max_frame_size: 16384,
        channel_max: 100,
        idle_timeout: Duration::from_secs(16),
        handshake_timeout: Duration::from_secs(5),
        incoming_window: if choice & 2 == 0 { 8192 } else { 4 },
        capabilities: Multiple::default(),
        properties: Fields::default(),
        layer,
    };
    let mut now = Instant::from_millis(1);
    let mut connection = Connection::new(config, now);
    let mut input = BytesMut::new();
    let piece = match choice >> 2 & 3 {
        0 => octets.len(),
        1 => 1,
        2 => 7,
        _ => 100,
    };
    let mut sending: Vec<OutgoingKey> = Vec::new();
    for piece in octets.chunks(piece.max(1)) {
        input.extend_from_slice(piece);
        let mut events = 0;
        loop {
            let more = connection.handle_input(&mut input, now);
            while let Some(event) = connection.poll_event() {
                events += 1;
                react(&mut connection, event, choice, &mut sending);
            }
            if !more {
                break;
            }
        }
        // A peer cannot make this end queue more than it sends and was sent.
        assert!(events <= input.len() + piece.len() + octets.len() + 64, "{events} events");
        if events > 0 {
            check(&connection);
        }
        let written = connection.output().len();
        assert!(written <= 4096 + octets.len() * 64, "{written} octets for {}", octets.len());
        connection.output().clear();
        connection.sent(now);
        now += Duration::from_millis(1);
    }
    // Heartbeats for a peer that wants them often come first.
    let patience = now + Duration::from_secs(60);
    while let Some(deadline) = connection.poll_timeout().filter(|_| now < patience) {
        now = now.max(deadline);
        connection.handle_timeout(now);
        check(&connection);
        connection.output().clear();
        connection.sent(now);
    }
    assert!(connection.is_closed(), "a silent peer is given up");
}

#[cfg(fuzzing)]
fn check(connection: &Connection) {
    connection.check();
}

#[cfg(not(fuzzing))]
const fn check(_: &Connection) {}

/// An application that takes part in everything.
fn react(connection: &mut Connection, event: Event, choice: u8, sending: &mut Vec<OutgoingKey>) {
    match event {
        Event::Opened => {
            if let Some(session) = connection.begin() {
                for role in [Role::Sender, Role::Receiver] {
                    let request =
                        AttachRequest { name: "fuzz".to_owned(), role, ..AttachRequest::default() };
                    if let Some(link) = connection.attach(session, request) {
                        connection.keep_credit(link, 10);
                    }
                }
            }
        }
        Event::Attached { link, ours: false, .. } => {
            connection.accept(link, AttachRequest::default());
            connection.keep_credit(link, 10);
        }
        Event::Credit { link, drain } => {
            if let Some(delivery) = connection.deliver(link, choice & 64 != 0) {
                let mut chunks = VecDeque::from([Bytes::from_static(b"some octets")]);
                if connection.send_part(delivery, &mut chunks, choice & 32 == 0)
                    && sending.len() < 100
                {
                    sending.push(delivery);
                }
            }
            if drain {
                connection.drained(link);
            }
        }
        Event::Transfer { delivery, ending, .. } => {
            let state = if ending == Ending::More {
                DeliveryState::received(1)
            } else {
                DeliveryState::Accepted
            };
            connection.disposition(delivery, Some(state), choice & 16 == 0);
        }
        Event::ReceiverState { delivery, settled: false, state: Some(state) }
            if state.is_outcome() =>
        {
            connection.settle(delivery);
            connection.send_part(delivery, &mut VecDeque::new(), true);
        }
        Event::SenderState { delivery, state } => {
            connection.disposition(delivery, Some(state), false)
        }
        Event::SenderSettled { delivery } => connection.disposition(delivery, None, true),
        Event::Window { .. } => {
            for delivery in sending.drain(..) {
                connection.abort(delivery);
            }
        }
        _ => {}
    }
}

/// A client whose server sends anything.
pub fn engine_client(octets: &[u8]) {
    engine(octets, true);
}

/// A server whose client sends anything.
pub fn engine_server(octets: &[u8]) {
    // Inputs that begin with a header begin right.
    if octets.len() > 9 && octets[1..9] == ProtocolHeader::Tls.octets() {
        return;
    }
    engine(octets, false);
}

/// Router annotations: a section that was read can be forwarded and read again. More bytes never
/// make an error of a section that was incomplete but sound.
pub fn annotations(octets: &[u8]) {
    let Ok(parsed) = annotations::parse(octets) else { return };
    match parsed {
        Parsed::Incomplete { needed } => assert!(needed > octets.len()),
        Parsed::Absent => {}
        Parsed::Present(present) => {
            assert!(present.length <= octets.len());
            for cut in 0..present.length.min(300) {
                assert!(matches!(annotations::parse(&octets[..cut]),
                        Ok(Parsed::Incomplete { needed }) if needed > cut));
            }
            let passed: Vec<&str> = present.trace.routers().collect();
            let outgoing = present.forwarded("0/fuzz");
            let mut out = Vec::new();
            outgoing.encode(&mut out);
            assert_eq!(out.len(), outgoing.encoded_len());
            let Ok(Parsed::Present(again)) = annotations::parse(&out) else {
                // The longest that may come cannot be forwarded any further.
                return;
            };
            assert_eq!(
                (again.length, again.flags, again.to_override),
                (out.len(), present.flags, present.to_override)
            );
            assert!(again.trace.routers().count() >= passed.len());
        }
    }
}

/// Requests to a management node, its responses and their tables: a message that was read takes
/// bounded memory, and is written alike each time.
pub fn management(octets: &[u8]) {
    match Request::decode(octets) {
        Ok(request) => {
            let values = request
                .properties
                .iter()
                .map(|(name, value)| name.len() + value.memory())
                .sum::<usize>();
            assert!(values + request.body.memory() <= allowed(octets.len()) + decode::ALLOWANCE);
            let _ = (request.integer(property::COUNT), request.text(property::NAME));
            // A repeated name is written first, so only the second round is the same again.
            let again = |octets: &[u8]| Request::decode(octets).map(|request| request.encode());
            let written = request.encode();
            if written.len() <= MAX_REQUEST {
                match again(&written) {
                    Ok(first) => assert_eq!(again(&first).as_ref(), Ok(&first)),
                    // Values of many members may have too few bytes then.
                    Err(error) => {
                        assert!(error.to_string().contains("too many members"), "{error}")
                    }
                }
            }
        }
        // An answer goes where the message said, if it got so far.
        Err(malformed) => assert!(!malformed.to_string().is_empty()),
    }
    if let Ok(response) = Response::decode(octets) {
        let written = response.encode();
        let read = Response::decode(&written).expect("what was written can be read");
        assert_eq!(read.encode(), written);
        if let Some(table) = Table::from_body(response.body) {
            let written = table.clone().into_body();
            let read = Table::from_body(written.clone()).expect("a table that was written");
            assert_eq!(encoded(&read.into_body()), encoded(&written));
            assert!(table.attribute_names.iter().all(|name| table.column(name).is_some()));
        }
    }
}

/// The head of a stream, the records of another router about streams, and the two sides of a
/// stream's window.
///
/// A head that was read can be written and read again to the same. A message of records takes
/// memory in proportion to its bytes.
pub fn streams(octets: &[u8]) {
    if let Ok(Scan::Complete(head)) = message::scan(octets, false, true)
        && let Ok(read) = stream::decode_head(octets, &head)
    {
        let StreamHead { reply_to, correlation_id, alpn } = &read;
        let again = stream::encode_head("to", *reply_to, *correlation_id, alpn.as_deref());
        let Ok(Scan::Complete(head)) = message::scan(&again, false, true) else {
            panic!("a head that was written is whole")
        };
        assert_eq!(stream::decode_head(&again, &head), Ok(read));
    }
    for cut in [octets.len(), octets.len() / 2] {
        let records = vanflow::read_co_records(&octets[..cut]);
        assert!(records.len() <= vanflow::MAX_RECORDS);
        let text = |fact: &Fact| if let Fact::Text(text) = fact { text.len() } else { 1 };
        let weight =
            |facts: &[(u32, Fact)]| facts.iter().map(|(_, fact)| 1 + text(fact)).sum::<usize>();
        assert!(
            records.iter().map(|(identity, facts)| identity.len() + weight(facts)).sum::<usize>()
                <= cut
        );
    }
    window(octets);
}

/// A stream over a path whose delays, and whose reader, follow the bytes. The sender never has more
/// under way than may be held. It is never stuck once all is read and told.
fn window(octets: &[u8]) {
    let (mut sender, mut receipt) = (SendWindow::default(), Receipt::default());
    let (mut waiting, mut now) = (0, Instant::from_millis(1));
    let mut told = VecDeque::new();
    let mut read = |octets: u64, now, told: &mut VecDeque<(u64, u64)>, waiting: &mut u64| {
        let octets = octets.min(*waiting);
        *waiting -= octets;
        if octets > 0
            && let Some(total) = receipt.written(octets, || *waiting, || now)
        {
            assert_eq!(total, receipt.total());
            assert!(
                receipt.allowance() <= MAX_ALLOWANCE
                    && receipt.allowance().is_multiple_of(ALLOWANCE_UNIT)
            );
            told.push_back((total, receipt.allowance()));
        }
        if *waiting == 0 {
            receipt.starve(|| now);
        }
    };
    for &octet in octets {
        let much = u64::from(octet >> 2) << 14;
        match octet & 3 {
            0 => {
                let octets = sender.room().min(much);
                sender.sent(octets);
                waiting += octets;
                assert!(waiting <= MAX_HELD as u64 + MAX_ALLOWANCE, "{waiting}");
            }
            1 => read(much, now, &mut told, &mut waiting),
            2 => now += Duration::from_micros(much),
            _ => {
                if let Some((total, allowance)) = told.pop_front() {
                    sender.acknowledge(total, allowance);
                }
            }
        }
    }
    read(u64::MAX, now, &mut told, &mut waiting);
    for (total, allowance) in told {
        sender.acknowledge(total, allowance);
    }
    assert!(sender.room() > 0);
}

/// Routing messages, one after the other behind two bytes of length: a message that was read can be
/// written and read again to the same, and a router that takes them stays sound.
pub fn routing_messages(mut octets: &[u8]) {
    let mut now = Instant::from_millis(1);
    let mut routing = RoutingProtocol::new(topology::Config::new("fuzz", 7), now);
    let links = [LinkId(1), LinkId(2)];
    routing.link_up(links[0], 1, now);
    routing.link_up(links[1], 3, now);
    let mut turn = 0;
    while let [high, low, rest @ ..] = octets {
        let (message, rest) =
            rest.split_at(rest.len().min(usize::from(u16::from_be_bytes([*high, *low]))));
        octets = rest;
        turn += 1;
        if let Ok(message) = Message::decode(message) {
            let again = message.encode("to", "0/fuzz");
            let Ok(Parsed::Present(annotations)) = annotations::parse(&again) else {
                panic!("annotations")
            };
            let read = Message::decode(&again[annotations.length..]);
            if !matches!(message, Message::Newer { .. }) {
                // An instance that is missing is written as 0, so compare what is written.
                assert_eq!(read.map(|read| read.encode("to", "0/fuzz")), Ok(again.clone()));
            }
            let arrival =
                Arrival { link: links[turn % 2], trace: annotations.trace, flooded: turn % 3 == 0 };
            let _ = routing.handle_message(&arrival, &message, now);
        }
        let mut actions = 0;
        while routing.poll_action().is_some() {
            actions += 1;
            assert!(actions < 10_000, "actions without end");
        }
        if let Some(deadline) = routing.poll_timeout() {
            now = now.max(deadline);
            routing.handle_timeout(now);
        }
    }
}
