//! A peer of the router. Commands drive its sound engine, and other commands spoil its bytes.

use std::collections::VecDeque;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use skrouterd::clock::Clock;
use skrouterd::net::{FarEnd, Hangup};
use skupper_proto::amqp::performative::{DeliveryState, Role};
use skupper_proto::amqp::terminus::{MessageTarget, Source, Target};
use skupper_proto::amqp::{Multiple, Symbol, show};
use skupper_proto::engine::{
    AttachRequest, Config, Connection, Ending, Event, IncomingKey, Layer, LinkKey, OutgoingKey,
    SessionKey,
};

use super::frames;
use super::script::Script;

/// Most bytes that a peer reads at once.
const TAKEN: usize = 1 << 20;

pub(super) struct Peer {
    pub(super) far: FarEnd,
    /// The peer's engine; `None` once the peer sends raw bytes only.
    engine: Option<Connection>,
    input: BytesMut,
    sessions: Vec<SessionKey>,
    links: Vec<LinkKey>,
    sending: Vec<OutgoingKey>,
    received: Vec<IncomingKey>,
    /// True if it reads the router's bytes.
    pub(super) reads: bool,
    /// True if it answers attaches, gives credit and accepts deliveries.
    pub(super) answers: bool,
    /// The size of the pieces in which the router gets its bytes.
    pub(super) piece: usize,
    /// Bytes that it has sent.
    pub(super) sent: usize,
}

/// Prints frames if the environment has `SKROUTERD_FUZZ_TRACE`, for the study of an input.
fn trace(arrow: &str, octets: &[u8]) {
    static ON: LazyLock<bool> =
        LazyLock::new(|| std::env::var_os("SKROUTERD_FUZZ_TRACE").is_some());
    if *ON {
        show::frames(octets, arrow, |line| eprintln!("{line}"));
    }
}

/// Picks a value of a list by a byte.
fn pick<T: Copy>(list: &[T], choice: u8) -> Option<T> {
    (!list.is_empty()).then(|| list[usize::from(choice) % list.len()])
}

impl Peer {
    /// Creates a peer that connects, or that listens if the router dialed. `choice` decides the
    /// contents of its open.
    pub(super) fn new(far: FarEnd, dialed: bool, choice: u8, clock: Clock) -> Self {
        let layer = match (dialed, choice & 128) {
            (true, _) => Layer::Server { mechanisms: vec!["ANONYMOUS"], allow_bare: true },
            (false, 0) => Layer::Client {
                mechanisms: vec!["ANONYMOUS"],
                identity: "fuzz".to_owned(),
                credentials: None,
            },
            (false, _) => {
                Layer::Client { mechanisms: vec![], identity: String::new(), credentials: None }
            }
        };
        let config = Config {
            container_id: if choice & 64 == 0 {
                "there".to_owned()
            } else {
                "elsewhere".to_owned()
            },
            hostname: None,
            max_frame_size: 16_384,
            channel_max: 100,
            idle_timeout: Duration::from_secs(if choice & 32 == 0 { 0 } else { 16 }),
            handshake_timeout: Duration::from_secs(10),
            incoming_window: if choice & 16 == 0 { 1000 } else { 2 },
            capabilities: Multiple::of(&["qd.streaming-links", "qd.connection_trunking"]),
            properties: frames::properties(choice),
            layer,
        };
        Self {
            far,
            engine: Some(Connection::new(config, clock.now())),
            input: BytesMut::new(),
            sessions: Vec::new(),
            links: Vec::new(),
            sending: Vec::new(),
            received: Vec::new(),
            reads: true,
            answers: true,
            piece: usize::MAX,
            sent: 0,
        }
    }

    /// Sends bytes as they are.
    pub(super) fn send(&mut self, octets: &[u8]) {
        trace("->", octets);
        self.sent += octets.len();
        self.far.send(octets, self.piece);
    }

    /// Drops the engine. From here on the peer sends raw bytes only and ignores its input.
    pub(super) fn silence(&mut self) {
        self.engine = None;
    }

    pub(super) fn hang_up(&mut self, hangup: Hangup) {
        self.silence();
        self.far.hang_up(hangup);
    }

    /// Reads and answers. Returns true if anything moved.
    pub(super) fn turn(&mut self, clock: Clock) -> bool {
        let taken = if self.reads { self.far.take(TAKEN) } else { BytesMut::new() };
        let mut moved = !taken.is_empty();
        trace("<-", &taken);
        let now = clock.now();
        if self.engine.is_some() {
            self.input.extend_from_slice(&taken);
        }
        let mut more = true;
        while more {
            let Some(engine) = &mut self.engine else { return moved };
            more = engine.handle_input(&mut self.input, now);
            if engine.poll_timeout().is_some_and(|deadline| deadline <= now) {
                engine.handle_timeout(now);
            }
            while let Some(event) = self.engine.as_mut().and_then(Connection::poll_event) {
                self.event(event);
            }
        }
        let Some(engine) = &mut self.engine else { return moved };
        let octets = engine.output().to_vec();
        engine.output().clear();
        engine.sent(now);
        if !octets.is_empty() {
            moved = true;
            self.send(&octets);
        }
        moved
    }

    fn event(&mut self, event: Event) {
        let Some(engine) = &mut self.engine else { return };
        match event {
            Event::Attached { link, ours, attach } => {
                self.links.push(link);
                if !ours && self.answers {
                    let source = attach.source.unwrap_or_default();
                    let target =
                        attach.target.unwrap_or_else(|| Target::Message(MessageTarget::default()));
                    engine.accept(
                        link,
                        AttachRequest {
                            source: Some(source),
                            target: Some(target),
                            ..AttachRequest::default()
                        },
                    );
                    engine.keep_credit(link, 10);
                }
            }
            Event::Detached { link, .. } => self.links.retain(|known| *known != link),
            Event::Ended { session, .. } => self.sessions.retain(|known| *known != session),
            Event::Transfer { delivery, first, ending, .. } => {
                if first {
                    self.received.push(delivery);
                }
                if self.answers && ending != Ending::More {
                    engine.disposition(delivery, Some(DeliveryState::Accepted), true);
                    self.received.retain(|known| *known != delivery);
                }
            }
            Event::SenderSettled { delivery } | Event::IncomingLost { delivery } => {
                self.received.retain(|known| *known != delivery);
            }
            Event::OutgoingLost { delivery, .. } => self.sending.retain(|known| *known != delivery),
            Event::ReceiverState { delivery, settled, .. } => {
                if !settled {
                    engine.settle(delivery);
                }
            }
            Event::Closed(_) => self.engine = None,
            _ => {}
        }
    }

    pub(super) fn begin(&mut self) {
        if let Some(session) = self.engine.as_mut().and_then(Connection::begin) {
            self.sessions.push(session);
        }
    }

    pub(super) fn attach(&mut self, script: &mut Script<'_>) {
        let Some(session) = pick(&self.sessions, script.octet()) else { return };
        let role = frames::role(script);
        let request = AttachRequest {
            name: script.octet().to_string(),
            role,
            source: Some(frames::source(script)),
            target: Some(frames::target(script)),
            snd_settle_mode: script.octet() % 3,
            ..AttachRequest::default()
        };
        self.attach_with(session, request);
    }

    fn attach_with(&mut self, session: SessionKey, request: AttachRequest) {
        let Some(engine) = &mut self.engine else { return };
        if let Some(link) = engine.attach(session, request) {
            engine.keep_credit(link, 10);
        }
    }

    /// Attaches the control links, which make a connection one between routers.
    pub(super) fn attach_control(&mut self) {
        self.begin();
        let Some(session) = self.sessions.last().copied() else { return };
        for role in [Role::Receiver, Role::Sender] {
            let capabilities = Some(Multiple(vec![Symbol::from_static("qd.router")]));
            let source = Some(Source { capabilities: capabilities.clone(), ..Source::default() });
            let target =
                Some(Target::Message(MessageTarget { capabilities, ..MessageTarget::default() }));
            self.attach_with(
                session,
                AttachRequest {
                    name: format!("{role:?}"),
                    role,
                    source,
                    target,
                    ..AttachRequest::default()
                },
            );
        }
    }

    pub(super) fn credit(&mut self, script: &mut Script<'_>) {
        let Some(link) = pick(&self.links, script.octet()) else { return };
        let (credit, drain) = (script.octet(), script.octet() & 1 == 0);
        if let Some(engine) = &mut self.engine {
            engine.set_credit(link, credit.into(), drain);
        }
    }

    /// Begins to send a message, or sends all of it.
    pub(super) fn deliver(&mut self, script: &mut Script<'_>) {
        let Some(link) = pick(&self.links, script.octet()) else { return };
        let flags = script.octet();
        let message = Bytes::from(frames::message(script));
        let Some(engine) = &mut self.engine else { return };
        let Some(delivery) = engine.deliver(link, flags & 1 == 0) else { return };
        let last = flags & 2 == 0;
        if engine.send_part(delivery, &mut VecDeque::from([message]), last) && !last {
            self.sending.push(delivery);
        }
    }

    /// Sends more of a message, ends it or aborts it.
    pub(super) fn go_on(&mut self, script: &mut Script<'_>) {
        let Some(delivery) = pick(&self.sending, script.octet()) else { return };
        let how = script.octet();
        let octets = Bytes::copy_from_slice(script.octets());
        let Some(engine) = &mut self.engine else { return };
        if how & 3 == 0 {
            engine.abort(delivery);
        } else {
            engine.send_part(delivery, &mut VecDeque::from([octets]), how & 1 == 0);
        }
        if how & 1 == 0 {
            self.sending.retain(|known| *known != delivery);
        }
    }

    pub(super) fn dispose(&mut self, script: &mut Script<'_>) {
        let Some(delivery) = pick(&self.received, script.octet()) else { return };
        let settled = script.octet() & 1 == 0;
        let state = frames::state(script);
        if let Some(engine) = &mut self.engine {
            engine.disposition(delivery, Some(state), settled);
        }
        if settled {
            self.received.retain(|known| *known != delivery);
        }
    }

    pub(super) fn detach(&mut self, script: &mut Script<'_>) {
        let Some(link) = pick(&self.links, script.octet()) else { return };
        let error = (script.octet() & 1 == 0).then(frames::error);
        if let Some(engine) = &mut self.engine {
            engine.detach(link, error);
        }
        self.links.retain(|known| *known != link);
    }

    pub(super) fn end(&mut self, script: &mut Script<'_>) {
        let Some(session) = pick(&self.sessions, script.octet()) else { return };
        if let Some(engine) = &mut self.engine {
            engine.end(session, None);
        }
        self.sessions.retain(|known| *known != session);
    }

    pub(super) fn close(&mut self, clock: Clock) {
        if let Some(engine) = &mut self.engine {
            engine.close(None, clock.now());
        }
    }
}
