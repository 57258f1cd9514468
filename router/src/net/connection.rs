//! The task that owns one AMQP connection: its socket, its transport, its engine, and the deliveries that pass.

use super::auto_links::AutoLinks;
use super::clients::Clients;
use super::edge::EdgeLinks;
use super::failover::Targets;
use super::incoming::Incoming;
use super::links::Links;
use super::open::group_ordinal;
use super::outgoing::Outgoing;
use super::standing::Standing;
use super::transport::Transport;
use crate::core::{Command, GroupKey, Mailbox};
use crate::log;
use crate::node::{Closer, ConnectionRecord, Host, KnownLink, Node, Octets, PeerInfo, Registered, STUCK, Stage, Trace};
use crate::policy::{Admission, Arrival};
use crate::schema::{MessageComponents, Role};
use crate::tls::{Flushed, SessionError};
use bytes::BytesMut;
use skupper_proto::amqp::performative::{Error, Open};
use skupper_proto::amqp::{Fields, Value, condition, sasl, show};
use skupper_proto::engine::{self, Closed, Event, Initiator, KeyMap, LinkKey};
use skupper_proto::time::Instant;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Sleep;

/// Octets read from a socket at once. Half of it costs a tenth more CPU time a gigabyte, twice of it gains nothing that can be seen.
const READ: usize = 64 * 1024;

/// Turns of the loop after which the shard's other tasks have theirs.
const TURNS: usize = 8;

/// The peer must have opened within this.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(10);

/// Octets of output above which nothing more is read: what is owed to a peer that asks and asks and reads no answer. Far more than the
/// dispositions and flows of one write's time.
const MAX_OWED: usize = 1024 * 1024;

/// Octets of output and ciphertext that a connection's end waits for at most, in time.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How often a connection looks for deliveries of clients that have waited for too long.
const SCAN: Duration = Duration::from_secs(5);

thread_local! {
    /// What a shard reads into; it holds nothing between two reads.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into());
}

/// What a connection turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An AMQP client's, or not known yet.
    Normal,
    /// Between routers: routing messages, and streams where there are no data connections.
    Control,
    /// Between routers: streams only.
    Data,
    /// Between an interior router and an edge router, or between two edge routers.
    Edge,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Control => "inter-router",
            Self::Data => "inter-router-data",
            Self::Edge => "edge",
        }
    }
}

/// What a connection is made with.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) role: Role,
    /// The listener's or connector's name.
    pub(super) entity: Arc<str>,
    /// We connected.
    pub(super) outgoing: bool,
    /// We connected, and it is to be a data connection.
    pub(super) data: bool,
    pub(super) cost: u32,
    pub(super) link_capacity: u32,
    /// What of messages is logged.
    pub(super) message_logging: MessageComponents,
    /// Router annotations that come from a client are passed over, and none are sent to it.
    pub(super) strip_in: bool,
    pub(super) strip_out: bool,
    /// As connector: what its connections have in common.
    pub(super) correlator: Option<String>,
    /// As connector with TLS: the profile's ordinal.
    pub(super) ordinal: Option<u64>,
    pub(super) layer: engine::Layer,
    pub(super) hostname: Option<String>,
    pub(super) max_frame_size: u32,
    pub(super) channel_max: u16,
    pub(super) session_frames: Option<u32>,
    pub(super) idle_timeout: Duration,
    pub(super) handshake_timeout: Duration,
    /// As listener between routers: what names it in flow records.
    pub(super) access_id: Option<String>,
    /// Properties of our open that are configured, and other addresses at which a listener's clients may find us.
    pub(super) properties: Fields,
    /// As connector: where it connects, which the peer may add to.
    pub(super) targets: Option<Arc<Targets>>,
    /// As connector: who we are, by SASL PLAIN.
    pub(super) user: Option<String>,
    /// The vhost whose policy applies, whatever the peer asks for.
    pub(super) policy_vhost: Option<String>,
}

/// How a connection ended.
#[derive(Clone, Debug)]
pub(super) struct Finished {
    /// The peer's open had arrived.
    pub(super) opened: bool,
    /// It had been a trunk, or part of one.
    pub(super) served: bool,
    /// Why it ended.
    pub(super) why: Why,
    /// The peer refused a link without which it is of no use.
    pub(super) refused_link: Option<Error>,
}

/// Why a connection ended.
#[derive(Clone, Debug)]
pub(super) enum Why {
    /// AMQP close, by either end.
    Closed(Closed),
    /// The transport ended without one.
    Eof,
    /// The transport failed.
    Transport(String),
    /// The peer's TLS alert, which with TLS 1.3 comes after the handshake.
    Tls(Arc<SessionError>),
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed(Closed { initiator: Initiator::Remote, error: Some(error) }) => write!(f, "closed by the peer: {error}"),
            Self::Closed(Closed { initiator: Initiator::Local, error: Some(error) }) => error.fmt(f),
            Self::Closed(_) => f.write_str("closed"),
            Self::Eof => f.write_str("connection aborted: the peer closed the transport without AMQP close"),
            Self::Transport(error) => f.write_str(error),
            Self::Tls(error) => error.fmt(f),
        }
    }
}

/// What a turn of the task came to.
enum Step {
    End(Why),
    Move(usize),
}

/// One AMQP connection.
pub(super) struct Connection {
    pub(super) node: Arc<Node>,
    pub(super) id: u64,
    pub(super) settings: Settings,
    pub(super) kind: Kind,
    pub(super) cost: u32,
    /// The correlator of its group: ours as connector, the peer's as listener.
    pub(super) correlator: Option<String>,
    pub(super) engine: engine::Connection,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) links: Links,
    /// Links of ours for whole messages, with their queues.
    pub(super) queue_links: Vec<(LinkKey, usize)>,
    pub(super) clients: Clients,
    pub(super) auto_links: AutoLinks,
    pub(super) edge: EdgeLinks,
    /// The links as management knows them.
    pub(super) known: KeyMap<LinkKey, KnownLink>,
    pub(super) incoming: Incoming,
    pub(super) outgoing: Outgoing,
    pub(super) status: Arc<Standing>,
    /// The last reason for which the peer detached a link.
    pub(super) detach_error: Option<Error>,
    /// The peer is a C router: its engine must not be left with too much unread.
    pub(super) bounds_unread: bool,
    pub(super) now: Instant,
    socket: TcpStream,
    peer: String,
    transport: Transport,
    pub(super) input: BytesMut,
    pub(super) octets: Arc<Octets>,
    registered: Option<Registered>,
    trace: Arc<Trace>,
    mechanism: Option<&'static str>,
    /// Who the peer is; as connector: who we are to it.
    user: Option<String>,
    /// Whether the peer's password is right, once that is known.
    /// What policy allows, where it has a say.
    pub(super) admission: Option<Admission>,
    /// Counts it among the clients that are connected.
    pub(super) arrival: Option<Arrival>,
    /// The address of the other end.
    pub(super) remote: Option<IpAddr>,
    verdict: Option<Pin<Box<dyn Future<Output = bool> + Send>>>,
    stage: Pin<Box<dyn Future<Output = Stage> + Send>>,
    timer: Pin<Box<Sleep>>,
    armed: Option<Instant>,
    ready: Vec<u32>,
    commands: VecDeque<Command>,
    opened: bool,
    served: bool,
    closed: Option<Why>,
    last_words: Option<Instant>,
    /// When to look for deliveries of clients that have waited for too long.
    scan_due: Option<Instant>,
}

impl Connection {
    pub(super) fn new(
        node: &Arc<Node>,
        id: u64,
        settings: Settings,
        socket: TcpStream,
        transport: impl Into<Transport>,
        shard: usize,
        status: Arc<Standing>,
    ) -> Self {
        let now = node.clock.now();
        let engine = engine::Connection::new(super::open::config(node, id, &settings), now);
        let remote = socket.peer_addr().ok().map(|peer| crate::socket::canonical(peer).ip());
        let peer = match &settings.targets {
            // As it was configured: that is how it is known.
            Some(targets) => targets.current().host_port(),
            None => socket.peer_addr().map_or_else(|_| "unknown".to_owned(), |peer| crate::socket::canonical(peer).to_string()),
        };
        let mut connection = Self {
            id,
            kind: Kind::Normal,
            cost: settings.cost,
            correlator: settings.correlator.clone(),
            engine,
            mailbox: Mailbox::new(shard),
            links: Links::default(),
            queue_links: Vec::new(),
            clients: Clients::default(),
            auto_links: AutoLinks::default(),
            edge: EdgeLinks::default(),
            known: KeyMap::default(),
            scan_due: None,
            incoming: Incoming::default(),
            outgoing: Outgoing::default(),
            status,
            detach_error: None,
            bounds_unread: true,
            now,
            socket,
            peer,
            transport: transport.into(),
            input: BytesMut::new(),
            octets: Arc::new(Octets::default()),
            registered: None,
            trace: Arc::default(),
            mechanism: None,
            user: None,
            admission: None,
            arrival: None,
            remote,
            verdict: None,
            stage: follow(node.follow_stage(), Stage::Closing),
            timer: Box::pin(tokio::time::sleep(Duration::from_secs(3600))),
            armed: None,
            ready: Vec::new(),
            commands: VecDeque::new(),
            opened: false,
            served: false,
            closed: None,
            last_words: None,
            settings,
            node: Arc::clone(node),
        };
        if connection.is_governed() && !connection.settings.outgoing {
            connection.engine.hold_open();
        }
        // C routers send HELLO behind all that they have for their streams.
        if connection.settings.role.is_router() && connection.settings.session_frames.is_none() {
            connection.engine.adapt_windows();
        }
        connection
    }

    pub(super) const fn is_open(&self) -> bool {
        self.opened && self.closed.is_none()
    }

    /// Runs the connection to its end, moving to the shard where it belongs once that is known.
    pub(super) async fn run(mut self) -> Option<Finished> {
        match poll_fn(|cx| self.poll(cx)).await {
            Step::End(why) => Some(self.finish(why)),
            Step::Move(shard) => {
                self.hand_over(shard);
                None
            }
        }
    }

    /// Goes on on another shard.
    fn hand_over(mut self, shard: usize) {
        let node = Arc::clone(&self.node);
        // A second handle on the socket: the first goes with the runtime that it belongs to.
        let socket = match std::os::fd::AsFd::as_fd(&self.socket).try_clone_to_owned() {
            Ok(socket) => std::net::TcpStream::from(socket),
            Err(error) => return self.not_moved(&error),
        };
        node.shards.handle(shard).clone().spawn(async move {
            match TcpStream::from_std(socket) {
                Ok(socket) => {
                    self.socket = socket;
                    self.timer = Box::pin(tokio::time::sleep(Duration::from_secs(3600)));
                    self.armed = None;
                    let why = poll_fn(|cx| {
                        loop {
                            match self.poll(cx) {
                                Poll::Ready(Step::End(why)) => return Poll::Ready(why),
                                // It is where it belongs.
                                Poll::Ready(Step::Move(_)) => {}
                                Poll::Pending => return Poll::Pending,
                            }
                        }
                    })
                    .await;
                    drop(self.finish(why));
                }
                Err(error) => self.not_moved(&error),
            }
        });
    }

    /// The process has no descriptor left, say. The core knows a data connection by now, and would go on giving it streams.
    fn not_moved(self, error: &io::Error) {
        let text = format!("cannot be moved to its shard: {error}");
        log!(Server, Error, "[C{}] {text}", self.id);
        drop(self.finish(Why::Transport(text)));
    }

    fn finish(mut self, why: Why) -> Finished {
        self.log_resources();
        self.trunk_down();
        self.leave_container();
        self.edge_down();
        self.lose_incoming();
        self.lose_outgoing();
        for command in self.mailbox.close().into_iter().chain(std::mem::take(&mut self.commands)) {
            if let Command::Deliver(delivery, _) = command {
                delivery.consumer_lost();
            }
        }
        let level_info = self.kind != Kind::Normal;
        if self.opened {
            if level_info {
                log!(RouterCore, Info, "[C{}] Connection Closed: {why}", self.id);
            } else {
                log!(RouterCore, Debug, "[C{}] Connection Closed: {why}", self.id);
            }
        }
        // So that the peer reads a TLS alert or an AMQP error rather than a reset.
        self.transport.send_close_notify();
        let _ = self.transport.flush(&self.socket);
        Finished { opened: self.opened, served: self.served, why, refused_link: self.detach_error.filter(|_| !self.served) }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        for _ in 0..TURNS {
            self.now = self.node.clock.now();
            let mut progress = self.judged(cx);
            if self.may_read() {
                match self.read() {
                    Ok(true) => progress = true,
                    Ok(false) => {}
                    Err(why) => self.end(why),
                }
            }
            if let Some(shard) = self.handle_events() {
                return Poll::Ready(Step::Move(shard));
            }
            if self.mailbox.take(&mut self.ready, &mut self.commands, cx.waker()) {
                progress = true;
                while let Some(command) = self.commands.pop_front() {
                    match command {
                        Command::Deliver(delivery, via) => self.deliver(delivery, via),
                        Command::Close(error) => self.close(error),
                        Command::Retire => self.retire(),
                        Command::AutoLinks => self.renew_auto_links(),
                    }
                }
                let mut ready = std::mem::take(&mut self.ready);
                for slot in ready.drain(..) {
                    self.slot_ready(slot);
                }
                self.ready = ready;
            }
            if self.scan_due.is_some_and(|due| due <= self.now) {
                self.scan();
            }
            if self.auto_links.due().is_some_and(|due| due <= self.now) {
                self.attach_auto_links();
            }
            if self.outgoing.idle.due().is_some_and(|due| due <= self.now) {
                self.shed_idle_links();
            }
            if self.outgoing.lanes.due().is_some_and(|due| due <= self.now) {
                self.ask_unread();
            }
            if self.engine.poll_timeout().is_some_and(|deadline| deadline <= self.now) {
                self.engine.handle_timeout(self.now);
                progress = true;
            }
            if let Some(shard) = self.handle_events() {
                return Poll::Ready(Step::Move(shard));
            }
            match self.write() {
                Ok(true) => progress = true,
                Ok(false) => {}
                Err(why) => self.end(why),
            }
            if let Some(why) = &self.closed {
                let spent = self.last_words.is_none_or(|limit| limit <= self.now);
                if spent || !self.transport.wants_write() {
                    return Poll::Ready(Step::End(why.clone()));
                }
            }
            if !progress && self.park(cx) {
                return Poll::Pending;
            }
        }
        // A connection that never rests must hear of the end too; its close goes out with the next turn.
        let _ = self.closes(cx);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Closes the connection once the router has come so far. Returns whether it did so now.
    fn closes(&mut self, cx: &mut Context<'_>) -> bool {
        let now = self.stage.as_mut().poll(cx).is_ready();
        if now {
            self.stage = Box::pin(std::future::pending());
            let error = Error::new(condition::CONNECTION_FORCED, "the router is shutting down");
            self.engine.close(Some(error), self.now);
        }
        now
    }

    /// Registers for whatever comes next. Returns false when something has come meanwhile.
    fn park(&mut self, cx: &mut Context<'_>) -> bool {
        if self.may_read() && self.socket.poll_read_ready(cx).is_ready() {
            return false;
        }
        if self.transport.wants_write() && self.socket.poll_write_ready(cx).is_ready() {
            return false;
        }
        if self.closes(cx) {
            return false;
        }
        let of_links = [self.auto_links.due(), self.outgoing.idle.due(), self.outgoing.lanes.due()];
        let deadline = [self.engine.poll_timeout(), self.last_words, self.scan_due].into_iter().chain(of_links).flatten().min();
        // The timer is set anew only when it would fire too late: deadlines move on with every frame.
        if let Some(deadline) = deadline
            && self.armed.is_none_or(|armed| deadline < armed)
        {
            self.armed = Some(deadline);
            self.timer.as_mut().reset(self.node.clock.at(deadline));
        }
        if self.armed.is_some() && self.timer.as_mut().poll(cx).is_ready() {
            self.armed = None;
            return false;
        }
        true
    }

    fn may_read(&mut self) -> bool {
        self.closed.is_none() && self.verdict.is_none() && self.engine.output().len() < MAX_OWED
    }

    fn read(&mut self) -> Result<bool, Why> {
        let received = SCRATCH.with_borrow_mut(|scratch| self.transport.receive(&self.socket, scratch, &mut self.input));
        let received = received.map_err(|error| match error {
            SessionError::Io(error) => Why::Transport(io_text(&error)),
            other => Why::Tls(Arc::new(other)),
        })?;
        if received.octets > 0 {
            self.octets.receive(received.octets);
            if self.trace.is_on() {
                trace(self.id, "<-", &self.input);
            }
            self.engine.handle_input(&mut self.input, self.now);
            if self.input.is_empty() && self.input.capacity() < READ / 4 {
                // What is left of the block is too small for the next read.
                self.input = BytesMut::new();
            }
        }
        if received.end.is_some() && !self.engine.is_closed() {
            self.handle_events();
            return Err(Why::Eof);
        }
        Ok(!received.blocked)
    }

    fn write(&mut self) -> Result<bool, Why> {
        let failed = |error: SessionError| match error {
            SessionError::Io(error) => Why::Transport(io_text(&error)),
            other => Why::Tls(Arc::new(other)),
        };
        if self.transport.wants_write() {
            match self.transport.flush(&self.socket) {
                Ok(Flushed::All) => {}
                Ok(Flushed::Blocked) => return Ok(false),
                Err(error) => return Err(Why::Transport(io_text(&error))),
            }
        }
        if self.closed.is_none() {
            self.gather();
        }
        if self.engine.output().is_empty() {
            return Ok(false);
        }
        if self.trace.is_on() {
            trace(self.id, "->", &self.engine.output().to_vec());
        }
        let octets = self.engine.output().len();
        let result = {
            let slices: Vec<IoSlice<'_>> = self.engine.output().slices().collect();
            self.transport.send(&self.socket, &slices)
        };
        self.engine.output().clear();
        self.engine.sent(self.now);
        self.octets.send(octets);
        result.map(|flushed| flushed == Flushed::All).map_err(failed)
    }

    /// Closes the connection as somebody else wishes. A client is told and need not agree; a router's answer is waited for.
    fn close(&mut self, error: Option<Error>) {
        self.engine.close(error.clone(), self.now);
        // To whoever asked for it, it is gone.
        self.registered = None;
        if self.kind == Kind::Normal {
            self.end(Why::Closed(Closed { initiator: Initiator::Local, error }));
        }
    }

    /// The connection is over; what is left to be written gets a moment.
    fn end(&mut self, why: Why) {
        if self.closed.is_none() {
            let writable = matches!(why, Why::Closed(_));
            self.last_words = writable.then(|| self.now + LAST_WORDS);
            self.closed = Some(why);
        }
    }

    /// Acts on what the engine tells. Returns the shard where the connection belongs when that is another.
    fn handle_events(&mut self) -> Option<usize> {
        let mut shard = None;
        while let Some(event) = self.engine.poll_event() {
            match event {
                Event::Transfer { delivery, link, settled, payload, ending, state, .. } => {
                    self.transfer(delivery, link, settled, payload, ending, state);
                }
                Event::Outcome { delivery, state, settled } => self.outcome(delivery, state, settled),
                Event::Credit { link, drain } => self.outgoing_credit(link, drain),
                Event::Window { .. } => self.window_opened(),
                Event::Held { session, octets } => self.held(session, octets),
                Event::SenderState { delivery, state } => self.sender_state(delivery, state),
                Event::SenderSettled { delivery } => self.sender_settled(delivery),
                Event::Attached { link, ours, attach } => self.attached(link, ours, *attach),
                Event::Detached { link, error } => self.detached(link, error.as_ref()),
                Event::IncomingLost { delivery } => self.incoming_lost(delivery),
                Event::OutgoingLost { delivery, .. } => self.outgoing_lost(delivery),
                Event::Begun { .. } => {}
                Event::Ended { session, error } if self.kind == Kind::Normal => {
                    self.client_session_ended(session, error.as_ref())
                }
                Event::Ended { error, .. } => {
                    // All sessions are the router's own business; a lost one leaves nothing that works.
                    let error = error.unwrap_or_else(|| Error::new(condition::NOT_ALLOWED, "a session ended"));
                    log!(Server, Warning, "[C{}] session ended: {error}", self.id);
                    self.engine.close(Some(error), self.now);
                }
                Event::Authenticated { mechanism } => self.authenticated(mechanism),
                Event::Credentials(credentials) => self.judge(credentials),
                Event::Opened => shard = self.peer_opened(),
                Event::Closed(closed) => self.end(Why::Closed(closed)),
            }
        }
        shard
    }

    /// Who the peer is; as connector: who we are to it.
    pub(super) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Where the peer is, as it is told.
    pub(super) fn peer(&self) -> &str {
        &self.peer
    }

    fn authenticated(&mut self, mechanism: &'static str) {
        self.mechanism = Some(mechanism);
        self.user = match mechanism {
            sasl::ANONYMOUS => Some("anonymous".to_owned()),
            sasl::PLAIN if self.settings.outgoing => self.settings.user.clone(),
            sasl::PLAIN => self.user.take(),
            _ => self.transport.info().and_then(|info| info.user.clone()),
        };
    }

    /// Has a password checked, on a thread where that may take its time. Nothing is read meanwhile.
    fn judge(&mut self, credentials: engine::Credentials) {
        let access = &self.node.access;
        let Some(passwords) = access.passwords.clone() else { return self.engine.authenticate(false) };
        let (checks, id) = (Arc::clone(&access.checks), self.id);
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        self.user = Some(credentials.user().to_owned());
        self.verdict = Some(Box::pin(async move {
            let Ok(permit) = checks.acquire_owned().await else { return false };
            let check = move || {
                let _permit = permit;
                passwords.verify(credentials.user(), credentials.password(), &host)
            };
            match tokio::task::spawn_blocking(check).await {
                Ok(Ok(right)) => right,
                Ok(Err(error)) => {
                    log!(Server, Error, "[C{id}] no password can be checked: {error}");
                    false
                }
                Err(_) => false,
            }
        }));
    }

    /// Whether word has come of a password. What the peer has sent behind it is read now.
    fn judged(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(Poll::Ready(right)) = self.verdict.as_mut().map(|verdict| verdict.as_mut().poll(cx)) else { return false };
        self.verdict = None;
        self.engine.authenticate(right);
        self.engine.handle_input(&mut self.input, self.now);
        true
    }

    /// The peer's open has arrived: what it is decides what becomes of the connection.
    fn peer_opened(&mut self) -> Option<usize> {
        self.opened = true;
        if self.mechanism.is_none() && !self.settings.outgoing {
            // As the C router names those who leave SASL out.
            self.user = Some("anonymous".to_owned());
        }
        if !self.admit() {
            return None;
        }
        let open = self.engine.remote()?;
        let container: Arc<str> = Arc::from(open.container_id.as_str());
        let (host, encrypted) = (&self.peer, self.transport.info().map_or("no", |info| info.protocol));
        let (direction, mechanism) = (if self.settings.outgoing { "out" } else { "in" }, self.mechanism.unwrap_or("no"));
        let user = self.user.as_deref().unwrap_or_default();
        let properties = properties_text(open);
        let line = format!(
            "[C{}] Connection Opened: dir={direction} host={host} encrypted={encrypted} auth={mechanism} user={user} container_id={container} props={properties}",
            self.id
        );
        if matches!(self.settings.role, Role::InterRouter | Role::Edge | Role::InterEdge) {
            log!(RouterCore, Info, "{line}");
        } else {
            log!(RouterCore, Debug, "{line}");
        }
        let property = |name| open.properties.as_ref().and_then(|properties| properties.get(name));
        if let Some(version) = property("qd.annotations-version").and_then(Value::as_i64) {
            log!(Router, Debug, "Remote router annotations version: {version}");
        }
        self.bounds_unread = property(super::open::OURS).is_none();
        if let (true, Some(Value::Int(version))) = (self.settings.role.is_router(), property("qd.annotations-version")) {
            log!(Router, Debug, "Remote router annotations version: {version}");
        }
        if self.settings.role == Role::InterRouter {
            let announced = matches!(property("qd.inter-router-role"), Some(Value::Int(4)));
            self.kind = if self.settings.data || !self.settings.outgoing && announced { Kind::Data } else { Kind::Control };
            if let Some(Value::Int(cost)) = property("qd.inter-router-cost") {
                self.cost = self.cost.max(u32::try_from(*cost).unwrap_or(1));
            }
            if !self.settings.outgoing {
                self.correlator = match property("qd.group-correlator") {
                    Some(Value::String(text)) => Some(text.chars().take(15).collect()),
                    _ => None,
                };
            }
        }
        if matches!(self.settings.role, Role::Edge | Role::InterEdge) {
            self.kind = Kind::Edge;
        }
        if let Some(targets) = &self.settings.targets {
            targets.learn(property("failover-server-list"));
        }
        self.status.set_opened(&container, property("version").and_then(Value::as_text), self.transport.info());
        let own = *container == **self.node.core.id();
        let shard = self.shard();
        if shard != self.mailbox.shard() {
            self.mailbox = Mailbox::new(shard);
        }
        let mut peer = peer_info(open, self.mechanism, self.user.clone());
        if !self.bounds_unread {
            self.engine.restore_windows();
        }
        if self.settings.outgoing {
            (peer.correlator, peer.ordinal) = (self.settings.correlator.clone(), self.settings.ordinal);
        }
        if self.kind == Kind::Edge && !own {
            self.edge_up(&container);
        }
        self.registered = Some(self.node.registry.enter(ConnectionRecord {
            id: self.id,
            protocol: "amqp",
            role: match self.kind {
                Kind::Normal | Kind::Edge => self.settings.role.as_str(),
                Kind::Control | Kind::Data => self.kind.name(),
            },
            outgoing: self.settings.outgoing,
            host: Host::Text(Arc::from(self.peer.as_str())),
            entity: Arc::clone(&self.settings.entity),
            container: Some(Arc::clone(&container)),
            address: None,
            tls: self.transport.info().map(Arc::clone),
            peer,
            closer: Closer::Amqp(Arc::clone(&self.mailbox)),
            edge: self.edge.connection.clone(),
            may_close_others: self.admission.as_ref().is_none_or(|admission| admission.settings().allow_admin_status_update),
            trace: Some(Arc::clone(&self.trace)),
            opened: (SystemTime::now(), self.now),
            octets: Arc::clone(&self.octets),
            flow: None,
            local: None,
        }));
        if own && self.kind != Kind::Normal {
            self.status.set_own_id();
            let text = format!("the peer at {} has this router's own id {container}", self.peer);
            // Without the port, which is another with each attempt.
            let host = self.peer.rsplit_once(':').map_or(self.peer.as_str(), |(host, _)| host);
            crate::log_limited!(host, Router, Critical, "{text}");
            self.engine.close(Some(Error::new(condition::NOT_ALLOWED, text)), self.now);
            return None;
        }
        match self.kind {
            Kind::Control if self.settings.outgoing => self.attach_router_links(),
            Kind::Data => {
                if let Some(correlator) = &self.correlator {
                    let group = GroupKey::new(&container, correlator);
                    self.node.core.data_up(&group, self.ordinal(), &self.mailbox);
                    self.links.member_of = Some(group);
                }
                self.served = true;
            }
            // Of a client nothing more is needed, and an edge connection may stand by.
            Kind::Normal | Kind::Edge => {
                self.served = true;
                if self.settings.role == Role::RouteContainer {
                    self.join_container(&container);
                }
            }
            Kind::Control => {}
        }
        (!self.settings.outgoing && shard != 0).then_some(shard)
    }

    /// The shard where the connection belongs. Data connections are spread from the first shard on, where listeners accept; control
    /// connections from the last.
    fn shard(&self) -> usize {
        let shards = self.node.shards.count();
        let number = usize::try_from(self.id).unwrap_or_default();
        match self.kind {
            _ if self.settings.outgoing => self.mailbox.shard(),
            Kind::Data if self.node.data_connections <= 1 => 0,
            Kind::Data => number % shards,
            Kind::Control | Kind::Normal | Kind::Edge => shards - 1,
        }
    }

    /// A delivery waits for its settlement: it may wait for too long.
    pub(super) fn expect_settlement(&mut self) {
        if self.scan_due.is_none() {
            self.scan_due = Some(self.now + SCAN);
        }
    }

    /// Counts deliveries that have waited for too long, and says so once for each link.
    fn scan(&mut self) {
        let ((mut links, incoming), (more, outgoing)) = (self.stuck_incoming(), self.stuck_outgoing());
        links.extend(more);
        self.scan_due = (incoming || outgoing).then(|| self.now + SCAN);
        links.sort_by_key(|record| record.id);
        links.dedup_by_key(|record| record.id);
        for record in links {
            crate::log_limited!(
                record.id,
                RouterCore,
                Info,
                "[C{}][L{}] Stuck delivery: At least one delivery on this link has been undelivered/unsettled for more than {} seconds",
                self.id,
                record.id,
                STUCK.as_secs()
            );
        }
    }

    /// Remembers that the connection was of use.
    pub(super) const fn mark_served(&mut self) {
        self.served = true;
    }
}

/// Most properties of a peer's open that are kept for status.
const MAX_PROPERTIES: usize = 64;

/// What is kept of a peer's open for status.
fn peer_info(open: &Open, sasl: Option<&'static str>, user: Option<String>) -> PeerInfo {
    let told = |value: &Value| matches!(value, Value::String(_) | Value::Symbol(_)) || value.as_i64().is_some();
    let properties: Vec<_> = open
        .properties
        .iter()
        .flat_map(|properties| &properties.0)
        // As C routers do: what comes behind a value of another kind is not looked at.
        .take_while(|(_, value)| told(value))
        .take(MAX_PROPERTIES)
        .map(|(key, value)| (key.as_str().to_owned(), value.clone()))
        .collect();
    let property = |name: &str| open.properties.as_ref().and_then(|properties| properties.get(name));
    PeerInfo {
        sasl,
        user,
        correlator: property("qd.group-correlator").and_then(Value::as_text).map(str::to_owned),
        ordinal: group_ordinal(open),
        properties,
    }
}

/// Logs the frames at the start of `octets`: those that stand there whole, for the engine leaves the rest where it is.
fn trace(id: u64, arrow: &str, octets: &[u8]) {
    let (module, level) = (log::Module::Protocol, log::Level::Debug);
    show::frames(octets, arrow, |line| {
        // Counted, and written even if the module's levels say otherwise: it may have been asked for of this connection alone.
        let _ = log::event(module, level);
        log::write_at(module, level, file!(), line!(), format_args!("[C{id}]: {line}"));
    });
}

fn follow(mut stage: watch::Receiver<Stage>, wanted: Stage) -> Pin<Box<dyn Future<Output = Stage> + Send>> {
    Box::pin(async move {
        match stage.wait_for(|stage| *stage >= wanted).await.map(|stage| *stage) {
            Ok(stage) => stage,
            Err(_) => Stage::Closing,
        }
    })
}

fn io_text(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionReset => "connection reset by the peer".to_owned(),
        io::ErrorKind::TimedOut => "connection timed out: the peer acknowledges nothing any more".to_owned(),
        _ => error.to_string(),
    }
}

fn properties_text(open: &Open) -> String {
    let pairs: Vec<_> = open
        .properties
        .iter()
        .flat_map(|properties| &properties.0)
        .take(16)
        .map(|(key, value)| format!("{key:?}={value:?}").escape_debug().to_string())
        .collect();
    format!("{{{}}}", pairs.join(", "))
}
