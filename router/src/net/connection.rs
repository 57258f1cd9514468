//! The task that owns one AMQP connection: its wire, its engine, and the deliveries that pass.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use skupper_proto::amqp::performative::Error;
use skupper_proto::amqp::{condition, show};
use skupper_proto::engine::{self, Closed, Event, Initiator, LinkKey};
use skupper_proto::keys::KeyMap;
use skupper_proto::time::Instant;
use tokio::sync::watch;
use tokio::time::Sleep;

use super::auto_links::AutoLinks;
use super::clients::Clients;
use super::edge::EdgeLinks;
use super::ending::Remains;
use super::finished::{Finished, Why, io_text};
use super::incoming::Incoming;
use super::links::Links;
use super::outgoing::Outgoing;
use super::peer_open::PeerOpen;
use super::pressure::Pressure;
use super::settings::{Kind, Settings};
use super::standing::Standing;
use super::turn::Turn;
use super::wire::Wire;
use crate::core::{Charge, Class, Command, Holder, Mailbox};
use crate::log;
use crate::node::{KnownLink, Node, Octets, Registered, SHUTTING_DOWN, Stage, Trace};
use crate::policy::{Admission, Arrival};
use crate::socket::{Descriptor, Place};
use crate::tls::{Flushed, SessionError};

/// Octets read from a socket at once. Half of it costs a tenth more CPU time a gigabyte, twice of
/// it gains nothing that can be seen.
const READ: usize = 64 * 1024;

/// The peer must have opened within this.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(10);

/// Octets of output above which nothing more is read: what is owed to a peer that asks and asks and
/// reads no answer. Far more than the dispositions and flows of one write's time.
const MAX_OWED: usize = 1024 * 1024;

/// The same for a connection that holds what it may: one write.
const LITTLE_OWED: usize = 64 * 1024;

/// Octets of output and ciphertext that a connection's end waits for at most, in time.
const LAST_WORDS: Duration = Duration::from_secs(2);

thread_local! {
    /// What a shard reads into; it holds nothing between two reads.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into());
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
    /// What is kept of the peer's open, once that has arrived.
    pub(super) open: Option<PeerOpen>,
    /// The last reason for which the peer detached a link.
    pub(super) detach_error: Option<Error>,
    /// The peer is a C router: its engine must not be left with too much unread.
    pub(super) bounds_unread: bool,
    pub(super) now: Instant,
    /// Where the peer is, as it is told.
    pub(super) peer: String,
    pub(super) wire: Wire,
    pub(super) input: BytesMut,
    /// What is held in memory for the peer; of that, what the structures of the connection take,
    /// and its part that never changes.
    pub(super) holder: Arc<Holder>,
    pub(super) charge: Charge,
    pub(super) opening: usize,
    pub(super) pressure: Option<Pressure>,
    pub(super) octets: Arc<Octets>,
    pub(super) registered: Option<Registered>,
    pub(super) trace: Arc<Trace>,
    pub(super) mechanism: Option<&'static str>,
    /// Who the peer is; as connector: who we are to it.
    pub(super) user: Option<String>,
    /// What policy allows, where it has a say.
    pub(super) admission: Option<Admission>,
    /// Counts it among the clients that are connected.
    pub(super) arrival: Option<Arrival>,
    /// As listener: the place that it holds until the peer's open has come.
    pub(super) place: Option<Place>,
    /// Counts its socket.
    pub(super) descriptor: Option<Descriptor>,
    /// The address of the other end.
    pub(super) remote: Option<IpAddr>,
    /// Whether the peer's password is right, once that is known.
    pub(super) verdict: Option<Pin<Box<dyn Future<Output = engine::Verdict> + Send>>>,
    stage: Pin<Box<dyn Future<Output = Stage> + Send>>,
    timer: Pin<Box<Sleep>>,
    armed: Option<Instant>,
    ready: Vec<u32>,
    commands: VecDeque<Command>,
    pub(super) turn: Turn,
    /// The engine has more to do with what was read.
    pub(super) more: bool,
    /// The engine has more to tell.
    pub(super) untold: bool,
    /// Nothing more comes from the peer.
    ended: bool,
    /// The shard where it belongs, if that is another.
    belongs: Option<usize>,
    pub(super) opened: bool,
    pub(super) served: bool,
    closed: Option<Why>,
    /// Of one that has ended: what is left of what it had.
    pub(super) remains: Option<Remains>,
    last_words: Option<Instant>,
    /// When to look for deliveries of clients that have waited for too long.
    pub(super) scan_due: Option<Instant>,
}

impl Connection {
    pub(super) fn new(
        node: &Arc<Node>,
        id: u64,
        settings: Settings,
        wire: Wire,
        shard: usize,
        status: Arc<Standing>,
    ) -> Self {
        let now = node.clock.now();
        let engine = engine::Connection::new(super::open::config(node, id, &settings), now);
        let remote = wire.remote();
        let peer = match &settings.targets {
            // As it was configured: that is how it is known.
            Some(targets) => targets.current().host_port(),
            None => remote.map_or_else(|| "unknown".to_owned(), |peer| peer.to_string()),
        };
        let class = if settings.role.is_router() { Class::Neighbor } else { Class::Client };
        let holder = Holder::new(node.core.account(), class);
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
            open: None,
            detach_error: None,
            bounds_unread: true,
            now,
            peer,
            wire,
            input: BytesMut::new(),
            charge: holder.charge(0),
            holder,
            opening: 0,
            pressure: None,
            octets: Arc::new(Octets::default()),
            registered: None,
            trace: Arc::default(),
            mechanism: None,
            user: None,
            admission: None,
            arrival: None,
            place: None,
            descriptor: None,
            remote: remote.map(|peer| peer.ip()),
            verdict: None,
            stage: follow(node.follow_stage(), Stage::Closing),
            timer: Box::pin(tokio::time::sleep(Duration::from_secs(3600))),
            armed: None,
            ready: Vec::new(),
            commands: VecDeque::new(),
            turn: Turn::default(),
            more: false,
            untold: false,
            ended: false,
            belongs: None,
            opened: false,
            served: false,
            closed: None,
            remains: None,
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
        let socket = match self.wire.depart() {
            Ok(socket) => socket,
            Err(error) => return self.not_moved(&error),
        };
        node.shards.handle(shard).clone().spawn(async move {
            match self.wire.arrive(socket) {
                Ok(()) => {
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

    /// The system has no memory left, say. The core knows a data connection by now, and would go on
    /// giving it streams.
    fn not_moved(self, error: &io::Error) {
        let text = format!("cannot be moved to its shard: {error}");
        log!(Server, Error, "[C{}] {text}", self.id);
        drop(self.finish(Why::Transport(text)));
    }

    fn finish(mut self, why: Why) -> Finished {
        self.trunk_down();
        self.leave_container();
        self.edge_down();
        self.give_up_all();
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
        self.wire.send_close_notify();
        let _ = self.wire.flush();
        Finished {
            opened: self.opened,
            served: self.served,
            why,
            refused_link: self.detach_error.filter(|_| !self.served),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        if !self.begin_turn(cx) {
            return Poll::Pending;
        }
        let step = self.take_turn(cx);
        self.end_turn(cx, step.is_some());
        step.map_or(Poll::Pending, Poll::Ready)
    }

    fn take_turn(&mut self, cx: &mut Context<'_>) -> Option<Step> {
        while self.goes_on() {
            let mut progress = self.judged(cx);
            if self.may_read() {
                match self.read() {
                    Ok(true) => progress = true,
                    Ok(false) => {}
                    Err(why) => self.end(why),
                }
            }
            self.handle_events();
            if let Some(shard) = self.belongs.take() {
                return Some(Step::Move(shard));
            }
            // What the engine has told may be about the same deliveries.
            if !self.untold {
                progress |= self.take_mail(cx);
                progress |= self.handle_timeouts();
                self.handle_events();
                if let Some(shard) = self.belongs.take() {
                    return Some(Step::Move(shard));
                }
            }
            self.charge_structures();
            match self.write() {
                Ok(true) => progress = true,
                Ok(false) => {}
                Err(why) => self.end(why),
            }
            if let Some(why) = &self.closed {
                let spent = self.last_words.is_none_or(|limit| limit <= self.now);
                if spent || !self.wire.wants_write() {
                    let why = why.clone();
                    if self.kind != Kind::Normal || self.give_up() {
                        return Some(Step::End(why));
                    }
                    progress = true;
                }
            }
            if !progress && self.park(cx) {
                self.turn.rest();
                return None;
            }
        }
        // A connection that never rests must hear of the end too; its close goes out with the next
        // turn.
        let _ = self.closes(cx);
        None
    }

    /// Does what others ask for, as far as the turn goes. Returns whether there was anything.
    fn take_mail(&mut self, cx: &Context<'_>) -> bool {
        let left = !self.commands.is_empty() || !self.ready.is_empty();
        if !self.mailbox.take(&mut self.ready, &mut self.commands, cx.waker()) && !left {
            return false;
        }
        while let Some(command) = self.commands.pop_front() {
            match command {
                Command::Deliver(delivery, via) => self.deliver(delivery, via),
                Command::Close(error) => self.close(error),
                Command::Retire => self.retire(),
                Command::AutoLinks => self.renew_auto_links(),
            }
            if self.is_spent() {
                return true;
            }
        }
        let mut ready = std::mem::take(&mut self.ready);
        let mut taken = 0;
        for slot in &ready {
            self.slot_ready(*slot);
            taken += 1;
            if self.is_spent() {
                break;
            }
        }
        ready.drain(..taken);
        self.ready = ready;
        true
    }

    /// Does what is due. Returns whether the engine was told of it.
    fn handle_timeouts(&mut self) -> bool {
        if self.scan_due.is_some_and(|due| due <= self.now) {
            self.scan();
        }
        if self.auto_links.due().is_some_and(|due| due <= self.now) {
            self.attach_auto_links();
        }
        if self.outgoing.due().is_some_and(|due| due <= self.now) {
            self.handle_outgoing_timeout();
        }
        let due = self.engine.poll_timeout().is_some_and(|deadline| deadline <= self.now);
        if due {
            self.engine.handle_timeout(self.now);
        }
        due
    }

    /// Closes the connection once the router has come so far. Returns whether it did so now.
    fn closes(&mut self, cx: &mut Context<'_>) -> bool {
        let now = self.stage.as_mut().poll(cx).is_ready();
        if now {
            self.stage = Box::pin(std::future::pending());
            // Clients look at the condition to know that they may come again; a neighbor waits for
            // longer where there is an error.
            let client = !self.settings.role.is_router();
            let error = client.then(|| Error::new(condition::CONNECTION_FORCED, SHUTTING_DOWN));
            self.engine.close(error, self.now);
        }
        now
    }

    /// Registers for whatever comes next. Returns false when something has come meanwhile.
    fn park(&mut self, cx: &mut Context<'_>) -> bool {
        // Nobody wakes the connection for what the engine has yet to tell.
        if self.untold || self.may_read() && (self.more || self.ended || self.wire.is_readable(cx))
        {
            return false;
        }
        if self.wire.wants_write() && self.wire.is_writable(cx) {
            return false;
        }
        if self.closes(cx) {
            return false;
        }
        if self.closed.is_none() && self.place.as_ref().is_some_and(|place| place.poll_ended(cx)) {
            self.end(Why::GaveWay);
            return false;
        }
        let of_links =
            [self.auto_links.due(), self.outgoing.due(), self.pressure.as_ref().map(Pressure::due)];
        let deadline = [self.engine.poll_timeout(), self.last_words, self.scan_due]
            .into_iter()
            .chain(of_links)
            .flatten()
            .min();
        // The timer is set anew only when it would fire too late: deadlines move on with every
        // frame.
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
        self.closed.is_none()
            && !self.untold
            && self.verdict.is_none()
            && self.engine.output().len()
                < if self.holder.has_room() { MAX_OWED } else { LITTLE_OWED }
            && !self.pressure.as_ref().is_some_and(Pressure::is_stopped)
    }

    /// Reads once, when all that was read before is done with, and lets the engine act on it, as
    /// far as the turn goes. Returns whether there may be more.
    fn read(&mut self) -> Result<bool, Why> {
        let mut blocked = false;
        if !self.more && !self.ended {
            let received =
                SCRATCH.with_borrow_mut(|scratch| self.wire.receive(scratch, &mut self.input));
            let received = received.map_err(|error| match error {
                SessionError::Io(error) => Why::Transport(io_text(&error)),
                other => Why::Tls(Arc::new(other)),
            })?;
            if received.octets > 0 {
                self.octets.receive(received.octets);
                if self.trace.is_on() {
                    trace(self.id, "<-", &self.input);
                }
                self.more = true;
            }
            (blocked, self.ended) = (received.blocked, received.end.is_some());
        }
        while self.more {
            self.more = self.engine.handle_input(&mut self.input, self.now);
            self.handle_events();
            if self.untold || !self.may_read() || self.more && self.is_spent_by_input() {
                break;
            }
        }
        if self.input.is_empty() && self.input.capacity() < READ / 4 {
            // What is left of the block is too small for the next read.
            self.input = BytesMut::new();
        }
        if self.ended && !self.more && !self.untold && !self.engine.is_closed() {
            return Err(Why::Eof);
        }
        Ok(!blocked)
    }

    fn write(&mut self) -> Result<bool, Why> {
        let failed = |error: SessionError| match error {
            SessionError::Io(error) => Why::Transport(io_text(&error)),
            other => Why::Tls(Arc::new(other)),
        };
        if self.wire.wants_write() {
            match self.wire.flush() {
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
            self.wire.send(&slices)
        };
        self.engine.output().clear();
        self.engine.sent(self.now);
        self.octets.send(octets);
        result.map(|flushed| flushed == Flushed::All).map_err(failed)
    }

    /// Closes the connection as somebody else wishes. A client is told and need not agree; a
    /// router's answer is waited for.
    pub(super) fn close(&mut self, error: Option<Error>) {
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

    /// Acts on what the engine tells, as far as the turn goes.
    fn handle_events(&mut self) {
        self.untold = false;
        while let Some(event) = self.engine.poll_event() {
            match event {
                Event::Transfer { delivery, link, settled, payload, ending, state, .. } => {
                    self.transfer(delivery, link, settled, payload, ending, state);
                    if self.pressure.is_some() {
                        self.press(delivery, link);
                    }
                }
                Event::Outcome { delivery, state, settled } => {
                    self.outcome(delivery, state, settled)
                }
                Event::Credit { link, drain } => self.outgoing_credit(link, drain),
                Event::Window { .. } => self.window_opened(),
                Event::Held { session, octets } => self.held(session, octets),
                Event::SenderState { delivery, state } => self.sender_state(delivery, state),
                Event::SenderSettled { delivery } => self.sender_settled(delivery),
                Event::Attached { link, ours, attach } => self.attached(link, ours, *attach),
                Event::Detached { link, error } => self.detached(link, error.as_ref()),
                Event::IncomingLost { delivery } => self.incoming_lost(delivery),
                Event::OutgoingLost { delivery, .. } => self.outgoing_lost(delivery),
                // Elsewhere all sessions are the router's own business: the connection ends with
                // any of them.
                Event::LinkLost { link } if self.kind == Kind::Normal => self.link_gone(link),
                Event::LinkLost { .. } | Event::Begun { .. } => {}
                Event::SessionRefused => self.session_refused(),
                Event::Ended { session, error } if self.kind == Kind::Normal => {
                    self.auto_links_ended(session, error.as_ref());
                    self.forget_pressed(session);
                }
                Event::Ended { error, .. } => {
                    // A lost one leaves nothing that works.
                    let error = error
                        .unwrap_or_else(|| Error::new(condition::NOT_ALLOWED, "a session ended"));
                    log!(Server, Warning, "[C{}] session ended: {error}", self.id);
                    self.engine.close(Some(error), self.now);
                }
                Event::Authenticated { mechanism } => self.authenticated(mechanism),
                Event::Credentials(credentials) => self.judge(credentials),
                Event::Opened => self.belongs = self.peer_opened(),
                Event::Closed(closed) => self.end(Why::Closed(closed)),
            }
            if self.is_spent() {
                self.untold = true;
                return;
            }
        }
    }

    /// Remembers that the connection was of use.
    pub(super) const fn mark_served(&mut self) {
        self.served = true;
    }
}

/// Logs the frames at the start of `octets`: those that stand there whole, for the engine leaves
/// the rest where it is.
fn trace(id: u64, arrow: &str, octets: &[u8]) {
    let (module, level) = (log::Module::Protocol, log::Level::Debug);
    show::frames(octets, arrow, |line| {
        // Counted, and written even if the module's levels say otherwise: it may have been asked
        // for of this connection alone.
        let _ = log::event(module, level);
        log::write_at(module, level, file!(), line!(), format_args!("[C{id}]: {line}"));
    });
}

fn follow(
    mut stage: watch::Receiver<Stage>,
    wanted: Stage,
) -> Pin<Box<dyn Future<Output = Stage> + Send>> {
    Box::pin(async move {
        match stage.wait_for(|stage| *stage >= wanted).await.map(|stage| *stage) {
            Ok(stage) => stage,
            Err(_) => Stage::Closing,
        }
    })
}
