//! The task that owns one AMQP connection: its wire, its engine, and the deliveries that pass.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

use skupper_proto::amqp::performative::Error;
use skupper_proto::amqp::{condition, show};
use skupper_proto::engine::{self, Closed, Event, Initiator, LinkKey};
use skupper_proto::keys::KeyMap;
use tokio::sync::watch;

use super::auto_links::AutoLinks;
use super::clients::Clients;
use super::context::Context;
use super::edge::EdgeLinks;
use super::ending::Remains;
use super::finished::{Finished, Why, io_text};
use super::incoming::Incoming;
use super::life::Life;
use super::links::Links;
use super::outgoing::Outgoing;
use super::peer::Peer;
use super::pressure::Pressure;
use super::settings::{Kind, Settings};
use super::standing::Standing;
use super::turn::Turn;
use super::wire::Wire;
use crate::core::{Charge, Class, Command, Holder, Mailbox};
use crate::log;
use crate::node::{Node, Registered, SHUTTING_DOWN, Stage, Trace};
use crate::tls::{Flushed, SessionError};

/// The peer must have opened within this.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(10);

/// Octets of output above which nothing more is read: what is owed to a peer that asks and asks and
/// reads no answer. Far more than the dispositions and flows of one write's time.
const MAX_OWED: usize = 1024 * 1024;

/// The same for a connection that holds what it may: one write.
const LITTLE_OWED: usize = 64 * 1024;

/// What a turn of the task came to.
enum Step {
    End(Why),
    Move(usize),
}

/// One AMQP connection.
pub(super) struct Connection {
    pub(super) node: Arc<Node>,
    /// What its machines act through.
    pub(super) cx: Context,
    /// The way to the peer.
    pub(super) wire: Wire,
    pub(super) cost: u32,
    /// The correlator of its group: ours as connector, the peer's as listener.
    pub(super) correlator: Option<String>,
    pub(super) links: Links,
    /// Links of ours for whole messages, with their queues.
    pub(super) queue_links: Vec<(LinkKey, usize)>,
    pub(super) clients: Clients,
    pub(super) auto_links: AutoLinks,
    pub(super) edge: EdgeLinks,
    pub(super) incoming: Incoming,
    pub(super) outgoing: Outgoing,
    /// The last reason for which the peer detached a link.
    pub(super) detach_error: Option<Error>,
    /// What the structures of the connection take, and its part that never changes.
    pub(super) charge: Charge,
    pub(super) opening: usize,
    pub(super) pressure: Option<Pressure>,
    pub(super) registered: Option<Registered>,
    pub(super) trace: Arc<Trace>,
    stage: Pin<Box<dyn Future<Output = Stage> + Send>>,
    ready: Vec<u32>,
    commands: VecDeque<Command>,
    pub(super) turn: Turn,
    /// The engine has more to tell.
    pub(super) untold: bool,
    /// The shard where it belongs, if that is another.
    belongs: Option<usize>,
    /// Of one that has ended: what is left of what it had.
    pub(super) remains: Option<Remains>,
}

impl Connection {
    pub(super) fn new(
        node: &Arc<Node>,
        id: u64,
        settings: Settings,
        wire: Wire,
        shard: usize,
        standing: Arc<Standing>,
    ) -> Self {
        let now = node.clock.now();
        let class = if settings.role.is_router() { Class::Neighbor } else { Class::Client };
        let holder = Holder::new(node.core.account(), class);
        let charge = holder.charge(0);
        let (cost, correlator) = (settings.cost, settings.correlator.clone());
        let cx = Context {
            id,
            kind: Kind::Normal,
            core: Arc::clone(&node.core),
            engine: engine::Connection::new(super::open::config(node, id, &settings), now),
            now,
            mailbox: Mailbox::new(shard),
            holder,
            octets: Arc::default(),
            records: KeyMap::default(),
            peer: Peer::new(&settings, &wire),
            edge: None,
            life: Life::default(),
            standing,
            scan_due: None,
            settings,
        };
        let mut connection = Self {
            cx,
            wire,
            cost,
            correlator,
            links: Links::default(),
            queue_links: Vec::new(),
            clients: Clients::default(),
            auto_links: AutoLinks::default(),
            edge: EdgeLinks::default(),
            incoming: Incoming::default(),
            outgoing: Outgoing::default(),
            detach_error: None,
            charge,
            opening: 0,
            pressure: None,
            registered: None,
            trace: Arc::default(),
            stage: follow(node.follow_stage(), Stage::Closing),
            ready: Vec::new(),
            commands: VecDeque::new(),
            turn: Turn::default(),
            untold: false,
            belongs: None,
            remains: None,
            node: Arc::clone(node),
        };
        if connection.is_governed() && !connection.cx.settings.outgoing {
            connection.cx.engine.hold_open();
        }
        // C routers send HELLO behind all that they have for their streams.
        let settings = &connection.cx.settings;
        if settings.role.is_router() && settings.session_frames.is_none() {
            connection.cx.engine.adapt_windows();
        }
        connection
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
        log!(Server, Error, "[C{}] {text}", self.cx.id);
        drop(self.finish(Why::Transport(text)));
    }

    fn finish(mut self, why: Why) -> Finished {
        self.trunk_down();
        self.leave_container();
        self.edge_down();
        self.give_up_all();
        for command in self.cx.mailbox.close().into_iter().chain(std::mem::take(&mut self.commands))
        {
            if let Command::Deliver(delivery, _) = command {
                delivery.consumer_lost();
            }
        }
        let level_info = self.cx.kind != Kind::Normal;
        let opened = self.cx.life.has_opened();
        if opened {
            if level_info {
                log!(RouterCore, Info, "[C{}] Connection Closed: {why}", self.cx.id);
            } else {
                log!(RouterCore, Debug, "[C{}] Connection Closed: {why}", self.cx.id);
            }
        }
        // So that the peer reads a TLS alert or an AMQP error rather than a reset.
        self.wire.send_close_notify();
        let _ = self.wire.flush();
        Finished {
            opened,
            served: self.cx.life.has_served(),
            why,
            refused_link: self.detach_error.filter(|_| !self.cx.life.has_served()),
        }
    }

    fn poll(&mut self, cx: &mut task::Context<'_>) -> Poll<Step> {
        if !self.begin_turn(cx) {
            return Poll::Pending;
        }
        let step = self.take_turn(cx);
        self.end_turn(cx, step.is_some());
        step.map_or(Poll::Pending, Poll::Ready)
    }

    fn take_turn(&mut self, cx: &mut task::Context<'_>) -> Option<Step> {
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
            if let Some(why) = self.cx.life.ended(self.wire.wants_write(), self.cx.now) {
                let why = why.clone();
                if self.cx.kind != Kind::Normal || self.give_up() {
                    return Some(Step::End(why));
                }
                progress = true;
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
    fn take_mail(&mut self, cx: &task::Context<'_>) -> bool {
        let left = !self.commands.is_empty() || !self.ready.is_empty();
        if !self.cx.mailbox.take(&mut self.ready, &mut self.commands, cx.waker()) && !left {
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
            self.on_wake((*slot).into());
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
        if self.cx.scan_due.is_some_and(|due| due <= self.cx.now) {
            self.scan();
        }
        if self.auto_links.due().is_some_and(|due| due <= self.cx.now) {
            self.attach_auto_links();
        }
        if self.outgoing.due().is_some_and(|due| due <= self.cx.now) {
            self.handle_outgoing_timeout();
        }
        let due = self.cx.engine.poll_timeout().is_some_and(|deadline| deadline <= self.cx.now);
        if due {
            self.cx.engine.handle_timeout(self.cx.now);
        }
        due
    }

    /// Closes the connection once the router has come so far. Returns whether it did so now.
    fn closes(&mut self, cx: &mut task::Context<'_>) -> bool {
        let now = self.stage.as_mut().poll(cx).is_ready();
        if now {
            self.stage = Box::pin(std::future::pending());
            // Clients look at the condition to know that they may come again; a neighbor waits for
            // longer where there is an error.
            let client = !self.cx.settings.role.is_router();
            let error = client.then(|| Error::new(condition::CONNECTION_FORCED, SHUTTING_DOWN));
            self.cx.engine.close(error, self.cx.now);
        }
        now
    }

    /// Registers for whatever comes next. Returns false when something has come meanwhile.
    fn park(&mut self, cx: &mut task::Context<'_>) -> bool {
        // Nobody wakes the connection for what the engine has yet to tell.
        if self.untold || self.may_read() && self.wire.has_input(cx) {
            return false;
        }
        if self.wire.wants_write() && self.wire.is_writable(cx) {
            return false;
        }
        if self.closes(cx) {
            return false;
        }
        if !self.cx.life.is_over()
            && self.cx.peer.place.as_ref().is_some_and(|place| place.poll_ended(cx))
        {
            self.end(Why::GaveWay);
            return false;
        }
        let of_links =
            [self.auto_links.due(), self.outgoing.due(), self.pressure.as_ref().map(Pressure::due)];
        let deadline = [self.cx.engine.poll_timeout(), self.cx.life.last_words(), self.cx.scan_due]
            .into_iter()
            .chain(of_links)
            .flatten()
            .min();
        !self.wire.is_due(deadline, &self.node, cx)
    }

    fn may_read(&mut self) -> bool {
        !self.cx.life.is_over()
            && !self.untold
            && self.cx.peer.check.is_none()
            && self.cx.engine.output().len()
                < if self.cx.holder.has_room() { MAX_OWED } else { LITTLE_OWED }
            && !self.pressure.as_ref().is_some_and(Pressure::is_stopped)
    }

    /// Reads once, when all that was read before is done with, and lets the engine act on it, as
    /// far as the turn goes. Returns whether there may be more.
    fn read(&mut self) -> Result<bool, Why> {
        let (octets, blocked) = self.wire.receive().map_err(|error| match error {
            SessionError::Io(error) => Why::Transport(io_text(&error)),
            other => Why::Tls(Arc::new(other)),
        })?;
        if octets > 0 {
            self.cx.octets.receive(octets);
            if self.trace.is_on() {
                trace(self.cx.id, "<-", &self.wire.input);
            }
        }
        while self.wire.more {
            self.wire.more = self.cx.engine.handle_input(&mut self.wire.input, self.cx.now);
            self.handle_events();
            if self.untold || !self.may_read() || self.wire.more && self.is_spent_by_input() {
                break;
            }
        }
        self.wire.trim_input();
        if self.wire.is_exhausted() && !self.untold && !self.cx.engine.is_closed() {
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
        if !self.cx.life.is_over() {
            self.gather();
        }
        if self.cx.engine.output().is_empty() {
            return Ok(false);
        }
        if self.trace.is_on() {
            trace(self.cx.id, "->", &self.cx.engine.output().to_vec());
        }
        let octets = self.cx.engine.output().len();
        let result = {
            let slices: Vec<IoSlice<'_>> = self.cx.engine.output().slices().collect();
            self.wire.send(&slices)
        };
        self.cx.engine.output().clear();
        self.cx.engine.sent(self.cx.now);
        self.cx.octets.send(octets);
        result.map(|flushed| flushed == Flushed::All).map_err(failed)
    }

    /// Closes the connection as somebody else wishes. A client is told and need not agree; a
    /// router's answer is waited for.
    pub(super) fn close(&mut self, error: Option<Error>) {
        self.cx.engine.close(error.clone(), self.cx.now);
        // To whoever asked for it, it is gone.
        self.registered = None;
        if self.cx.kind == Kind::Normal {
            self.end(Why::Closed(Closed { initiator: Initiator::Local, error }));
        }
    }

    /// The connection is over; what is left to be written gets a moment.
    fn end(&mut self, why: Why) {
        self.cx.life.on_end(why, self.cx.now);
    }

    /// Acts on what the engine tells, as far as the turn goes.
    fn handle_events(&mut self) {
        self.untold = false;
        while let Some(event) = self.cx.engine.poll_event() {
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
                Event::LinkLost { link } if self.cx.kind == Kind::Normal => self.link_gone(link),
                Event::LinkLost { .. } | Event::Begun { .. } => {}
                Event::SessionRefused => self.session_refused(),
                Event::Ended { session, error } if self.cx.kind == Kind::Normal => {
                    self.auto_links_ended(session, error.as_ref());
                    self.forget_pressed(session);
                }
                Event::Ended { error, .. } => {
                    // A lost one leaves nothing that works.
                    let error = error
                        .unwrap_or_else(|| Error::new(condition::NOT_ALLOWED, "a session ended"));
                    log!(Server, Warning, "[C{}] session ended: {error}", self.cx.id);
                    self.cx.engine.close(Some(error), self.cx.now);
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
