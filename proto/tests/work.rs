//! Processor time for each byte received, of the conversations that could cost the most beside much
//! that a connection holds. The test compares it with that of ordinary transfers, so the speed of
//! the machine and its other work do not matter.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::BytesMut;
use skupper_proto::amqp::performative::{
    Attach, Begin, DeliveryState, Detach, Disposition, End, Flow, Open, Performative, Role,
    Transfer,
};
use skupper_proto::amqp::terminus::{MessageTarget, Source, Target};
use skupper_proto::amqp::{Encode, Fields, Multiple, Symbol, Value, frame};
use skupper_proto::engine::{AttachRequest, Config, Connection, Event, Layer, LinkKey};
use skupper_proto::time::Instant;

/// How many times as much as a byte of an ordinary transfer any byte may cost. Work in proportion
/// to all that a connection holds costs hundreds of times as much.
const MOST: f64 = 10.0;

/// Links that a connection has: nearly all that it may.
const LINKS: u32 = 60_000;

/// Deliveries that it has sent and that its peer does not settle.
const DELIVERIES: u32 = 96_000;

/// Bytes of each conversation.
const OCTETS: usize = 300_000;

/// Returns the processor time of this thread in nanoseconds, where the system tells it.
fn used() -> Option<f64> {
    std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
}

fn octets_of(channel: u16, performative: &Performative, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let start = frame::begin(&mut out, frame::TYPE_AMQP, channel);
    performative.encode(&mut out);
    frame::end(&mut out, start, payload.len());
    out.extend_from_slice(payload);
    out
}

fn open(properties: Option<Fields>) -> Vec<u8> {
    let open = Open { container_id: "peer".to_owned(), properties, ..Open::default() };
    [b"AMQP\x00\x01\x00\x00".to_vec(), octets_of(0, &Performative::Open(Box::new(open)), b"")]
        .concat()
}

fn begin(channel: u16) -> Vec<u8> {
    let begin = Begin { incoming_window: u32::MAX, outgoing_window: u32::MAX, ..Begin::default() };
    octets_of(channel, &Performative::Begin(Box::new(begin)), b"")
}

fn attach(handle: u32, role: Role) -> Vec<u8> {
    let attach = Attach {
        name: format!("link {handle}"),
        handle,
        role,
        source: Some(Source { address: Some("a".to_owned()), ..Source::default() }),
        target: Some(Target::Message(MessageTarget {
            address: Some("a".to_owned()),
            ..MessageTarget::default()
        })),
        initial_delivery_count: (role == Role::Sender).then_some(0),
        ..Attach::default()
    };
    octets_of(0, &Performative::Attach(Box::new(attach)), b"")
}

fn disposition(first: u32, last: u32, state: Option<DeliveryState>, settled: bool) -> Vec<u8> {
    let disposition = Disposition {
        role: Role::Receiver,
        first,
        last: Some(last),
        state,
        settled: Some(settled),
        ..Disposition::default()
    };
    octets_of(0, &Performative::Disposition(disposition), b"")
}

/// A server and its application, which accepts every link and settles every delivery.
struct Server {
    connection: Connection,
    input: BytesMut,
    links: Vec<LinkKey>,
}

impl Server {
    fn new() -> Self {
        let config = Config {
            container_id: "server".to_owned(),
            hostname: None,
            max_frame_size: 16_384,
            channel_max: 100,
            idle_timeout: Duration::ZERO,
            handshake_timeout: Duration::ZERO,
            incoming_window: 8192,
            capabilities: Multiple::default(),
            properties: Fields::default(),
            layer: Layer::Server { mechanisms: vec!["ANONYMOUS"], allow_bare: true },
        };
        Self {
            connection: Connection::new(config, Instant::ZERO),
            input: BytesMut::new(),
            links: Vec::new(),
        }
    }

    /// Makes one whose peer has opened and begun a session.
    fn begun() -> Self {
        let mut server = Self::new();
        server.hear(&[open(None), begin(0)].concat());
        server
    }

    fn hear(&mut self, octets: &[u8]) {
        for piece in octets.chunks(64 * 1024) {
            self.input.extend_from_slice(piece);
            loop {
                let more = self.connection.handle_input(&mut self.input, Instant::ZERO);
                while let Some(event) = self.connection.poll_event() {
                    self.react(event);
                }
                self.connection.output().clear();
                if !more {
                    break;
                }
            }
        }
        assert!(!self.connection.is_closed(), "the peer broke no rule");
    }

    fn react(&mut self, event: Event) {
        match event {
            Event::Attached { link, attach, .. } => {
                self.connection.accept(link, AttachRequest::default());
                if attach.role == Role::Sender {
                    self.connection.keep_credit(link, 1000);
                }
                self.links.push(link);
            }
            Event::Transfer { delivery, .. } => self.connection.disposition(delivery, None, true),
            _ => {}
        }
    }

    /// Takes the same bytes as often as needed. Returns the nanoseconds for each byte.
    fn cost(&mut self, said: &[u8]) -> Option<f64> {
        let octets = said.repeat(OCTETS.div_ceil(said.len()));
        let before = used()?;
        self.hear(&octets);
        Some((used()? - before) / octets.len() as f64)
    }
}

/// Returns the cost of a byte of ordinary transfers.
fn ordinary() -> Option<f64> {
    let mut server = Server::begun();
    server.hear(&attach(0, Role::Sender));
    let transfers: Vec<u8> = (0..20_000)
        .flat_map(|id| {
            let transfer =
                Transfer { delivery_id: Some(id), settled: Some(true), ..Transfer::default() };
            octets_of(0, &Performative::Transfer(transfer), b"0123456789")
        })
        .collect();
    server.cost(&transfers)
}

/// Returns the cost of a byte of each other conversation, by name.
fn others() -> Option<Vec<(&'static str, f64)>> {
    let mut costs = Vec::new();
    let mut server = Server::begun();
    (0..LINKS).for_each(|handle| server.hear(&attach(handle, Role::Sender)));
    let end = octets_of(1, &Performative::End(End::default()), b"");
    costs.push((
        "sessions that begin and end beside many links",
        server.cost(&[begin(1), end].concat())?,
    ));
    let detach = Detach { handle: LINKS, closed: Some(true), error: None };
    let detach = octets_of(0, &Performative::Detach(detach), b"");
    costs.push((
        "links that come and go beside many",
        server.cost(&[attach(LINKS, Role::Sender), detach].concat())?,
    ));

    let mut server = Server::begun();
    server.hear(&attach(0, Role::Receiver));
    let flow = Flow {
        next_incoming_id: Some(0),
        incoming_window: u32::MAX,
        outgoing_window: u32::MAX,
        handle: Some(0),
        delivery_count: Some(0),
        link_credit: Some(2 * DELIVERIES),
        ..Flow::default()
    };
    server.hear(&octets_of(0, &Performative::Flow(flow), b""));
    let link = server.links[0];
    for _ in 0..DELIVERIES {
        let delivery = server.connection.deliver(link, false).expect("credit");
        assert!(server.connection.send_part(
            delivery,
            &mut VecDeque::from([b"x"[..].into()]),
            true
        ));
        server.connection.output().clear();
    }
    let all = |state, settled| disposition(0, i32::MAX as u32, state, settled);
    // The first time it is news, once for each.
    server.hear(&all(Some(DeliveryState::Accepted), false));
    costs.push((
        "outcomes of all that was sent",
        server.cost(&all(Some(DeliveryState::Accepted), false))?,
    ));
    costs.push((
        "word of all that was sent",
        server.cost(&all(Some(DeliveryState::received(1)), false))?,
    ));
    costs.push(("nothing of all that was sent", server.cost(&all(None, false))?));
    server.hear(&disposition(10, DELIVERIES - 10, None, true));
    let many =
        server.cost(&disposition(10, DELIVERIES - 10, Some(DeliveryState::Released), true))?;
    costs.push(("outcomes of what is settled", many));

    let nulls =
        |count| Fields(vec![(Symbol::from_static("x"), Value::List(vec![Value::Null; count]))]);
    for (name, count) in [("opens with many members", 450), ("opens with too many members", 15_000)]
    {
        let said = open(Some(nulls(count)));
        let (rounds, before) = (OCTETS.div_ceil(said.len()), used()?);
        for _ in 0..rounds {
            let mut server = Server::new();
            server.input.extend_from_slice(&said);
            while server.connection.handle_input(&mut server.input, Instant::ZERO) {}
        }
        costs.push((name, (used()? - before) / (rounds * said.len()) as f64));
    }
    Some(costs)
}

#[test]
fn no_octet_costs_much_more_than_that_of_an_ordinary_transfer() {
    let (Some(ordinary), Some(costs)) = (ordinary(), others()) else {
        return eprintln!(
            "skipped: no_octet_costs_much_more_than_that_of_an_ordinary_transfer: no \
             /proc/thread-self/schedstat"
        );
    };
    eprintln!("an octet of a transfer: {ordinary:.1} ns");
    for (name, cost) in &costs {
        eprintln!("{name}: {cost:.1} ns an octet");
    }
    for (name, cost) in costs {
        assert!(
            cost < MOST * ordinary,
            "{name}: {cost:.1} ns an octet, where an ordinary one costs {ordinary:.1}"
        );
    }
}
