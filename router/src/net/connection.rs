//! The task that owns one AMQP connection. It moves bytes between wire and engine, tells the parts
//! of the connection what happens, and ends it.
//!
//! ```text
//!     Wire <--------> engine (in LinkLayer's Context)
//!                        |  events                 mailbox
//!                        v                            |  commands, wakes
//!                  ConnectionTask <-------------------+
//!                   /    |     \
//!              Incoming  Role  Outgoing
//! ```

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};

use skupper_proto::amqp::performative::Error;
use skupper_proto::amqp::{condition, show};
use skupper_proto::engine::{self, Closed, Event, Initiator};
use skupper_proto::keys::KeyMap;
use tokio::sync::watch;

use super::context::Context;
use super::ending::Legacy;
use super::finished::{Finished, Why, io_text};
use super::incoming::Part;
use super::life::Life;
use super::link_layer::LinkLayer;
use super::peer::Peer;
use super::pressure::Burden;
use super::role::{Client, Role};
use super::settings::Settings;
use super::standing::Standing;
use super::turn::Turn;
use super::wake::Wake;
use super::wire::Wire;
use crate::core::{Class, Command, Holder, Mailbox};
use crate::log;
use crate::node::{Node, Registered, SHUTTING_DOWN, Stage, Trace};
use crate::tls::{Flushed, SessionError};

/// The bytes of output above which the task reads nothing more: a peer asks and asks and reads no
/// answer. Far more than the dispositions and flows of one write's time.
const MAX_OWED: usize = 1024 * 1024;

/// The same for a connection that holds as much memory as it may: one write.
const LITTLE_OWED: usize = 64 * 1024;

/// The result of a turn.
enum Step {
    End(Why),
    Move(usize),
}

/// The requests of others that the task has not served.
#[derive(Default)]
struct Mail {
    ready: Vec<u32>,
    commands: VecDeque<Command>,
}

/// The task of one AMQP connection.
pub(super) struct ConnectionTask {
    pub(super) node: Arc<Node>,
    /// The way to the peer.
    pub(super) wire: Wire,
    /// The engine, the links and the deliveries.
    pub(super) links: LinkLayer,
    /// The role of the connection.
    pub(super) role: Role,
    /// The memory that the connection takes.
    pub(super) burden: Burden,
    turn: Turn,
    mail: Mail,
    /// The engine has more events.
    untold: bool,
    /// The shard where the connection belongs, if that is another.
    belongs: Option<usize>,
    /// Completes when the router closes its connections.
    closing: Pin<Box<dyn Future<Output = Stage> + Send>>,
    /// Its entry in the record of connections.
    pub(super) registered: Option<Registered>,
    pub(super) trace: Arc<Trace>,
    /// The last reason for which the peer detached a link.
    detach_error: Option<Error>,
    /// The estate of the connection, once it has ended.
    legacy: Legacy,
}

impl ConnectionTask {
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
        let burden = Burden::new(&holder);
        let mut cx = Context {
            id,
            is_client: true,
            stream_capability: None,
            core: Arc::clone(&node.core),
            engine: engine::Connection::new(super::open::config(node, id, &settings), now),
            now,
            mailbox: Mailbox::new(shard),
            holder,
            octets: Arc::default(),
            links: Arc::clone(node.registry.links()),
            records: KeyMap::default(),
            peer: Peer::new(&settings, wire.remote()),
            edge: None,
            life: Life::default(),
            standing,
            scan_due: None,
            settings,
        };
        if cx.is_governed(&node.access.policy) && !cx.settings.outgoing {
            cx.engine.hold_open();
        }
        // C routers send HELLO behind all bytes of their streams.
        if cx.settings.role.is_router() && cx.settings.session_frames.is_none() {
            cx.engine.adapt_windows();
        }
        Self {
            node: Arc::clone(node),
            wire,
            links: LinkLayer::new(cx),
            role: Role::Client(Client::default()),
            burden,
            turn: Turn::default(),
            mail: Mail::default(),
            untold: false,
            belongs: None,
            closing: follow(node.follow_stage(), Stage::Closing),
            registered: None,
            trace: Arc::default(),
            detach_error: None,
            legacy: Legacy::default(),
        }
    }

    /// Runs the connection to its end. Returns `None` if it has moved to the shard where it
    /// belongs.
    pub(super) async fn run(mut self) -> Option<Finished> {
        match poll_fn(|task| self.poll(task)).await {
            Step::End(why) => Some(self.finish(why)),
            Step::Move(shard) => {
                self.hand_over(shard);
                None
            }
        }
    }

    /// Moves the connection to another shard.
    fn hand_over(mut self, shard: usize) {
        let node = Arc::clone(&self.node);
        let socket = match self.wire.depart() {
            Ok(socket) => socket,
            Err(error) => return self.on_not_moved(&error),
        };
        node.shards.handle(shard).clone().spawn(async move {
            match self.wire.arrive(socket) {
                Ok(()) => {
                    let why = poll_fn(|task| {
                        loop {
                            match self.poll(task) {
                                Poll::Ready(Step::End(why)) => return Poll::Ready(why),
                                // It has moved once, and is where it belongs.
                                Poll::Ready(Step::Move(_)) => {}
                                Poll::Pending => return Poll::Pending,
                            }
                        }
                    })
                    .await;
                    drop(self.finish(why));
                }
                Err(error) => self.on_not_moved(&error),
            }
        });
    }

    /// Ends the connection, for it cannot move: the system has no memory left, say. The core knows
    /// a data connection by now and would go on giving it streams.
    fn on_not_moved(self, error: &io::Error) {
        let text = format!("cannot be moved to its shard: {error}");
        log!(Server, Error, "[C{}] {text}", self.links.cx.id);
        drop(self.finish(Why::Transport(text)));
    }

    fn finish(mut self, why: Why) -> Finished {
        self.role.on_end(&mut self.links);
        self.legacy.give_up_all(&mut self.links);
        let cx = &self.links.cx;
        for command in cx.mailbox.close().into_iter().chain(self.mail.commands) {
            drop(command);
        }
        let opened = cx.life.has_opened();
        if opened {
            if self.role.is_client() {
                log!(RouterCore, Debug, "[C{}] Connection Closed: {why}", cx.id);
            } else {
                log!(RouterCore, Info, "[C{}] Connection Closed: {why}", cx.id);
            }
        }
        // The peer shall read a TLS alert or an AMQP error rather than a reset.
        self.wire.send_close_notify();
        let _ = self.wire.flush();
        let served = cx.life.has_served();
        Finished { opened, served, why, refused_link: self.detach_error.filter(|_| !served) }
    }

    fn poll(&mut self, task: &mut task::Context<'_>) -> Poll<Step> {
        if !self.turn.begin(self.role.is_client(), task) {
            return Poll::Pending;
        }
        let step = self.take_turn(task);
        self.turn.end(self.role.is_client(), step.is_some(), self.links.cx.now, task);
        step.map_or(Poll::Pending, Poll::Ready)
    }

    fn is_spent(&mut self) -> bool {
        self.turn.is_spent(&mut self.links.cx.now, &self.node)
    }

    fn take_turn(&mut self, task: &mut task::Context<'_>) -> Option<Step> {
        while self.turn.goes_on(&mut self.links.cx.now, &self.node) {
            let mut progress = self.links.cx.poll_check(task);
            // The engine has held back the bytes behind a password.
            self.wire.more |= progress;
            if self.may_read() {
                match self.read() {
                    Ok(true) => progress = true,
                    Ok(false) => {}
                    Err(why) => self.on_end(why),
                }
            }
            self.take_events();
            if let Some(shard) = self.belongs.take() {
                return Some(Step::Move(shard));
            }
            // Events that wait may be about the same deliveries.
            if !self.untold {
                progress |= self.take_mail(task);
                progress |= self.on_timeout();
                self.take_events();
                if let Some(shard) = self.belongs.take() {
                    return Some(Step::Move(shard));
                }
            }
            let beside = self.wire.input.len() + self.wire.unflushed();
            if let Some(error) = self.burden.weigh(&mut self.links, beside) {
                self.close(Some(error));
            }
            match self.write() {
                Ok(true) => progress = true,
                Ok(false) => {}
                Err(why) => self.on_end(why),
            }
            let cx = &self.links.cx;
            if let Some(why) = cx.life.ended(self.wire.wants_write(), cx.now) {
                let why = why.clone();
                if !self.role.is_client() || self.give_up() {
                    return Some(Step::End(why));
                }
                progress = true;
            }
            if !progress && self.park(task) {
                self.turn.rest();
                return None;
            }
        }
        // A connection that never rests must hear of the router's end too. Its close goes out with
        // the next turn.
        let _ = self.closes(task);
        None
    }

    /// Gives up the estate of the connection, as far as the turn goes. Returns whether nothing is
    /// left.
    fn give_up(&mut self) -> bool {
        let Self { legacy, links, turn, node, .. } = self;
        legacy.give_up(links, |links| turn.is_spent(&mut links.cx.now, node))
    }

    /// Serves the requests of others, as far as the turn goes. Returns whether there were any.
    fn take_mail(&mut self, task: &task::Context<'_>) -> bool {
        let Mail { ready, commands } = &mut self.mail;
        let left = !commands.is_empty() || !ready.is_empty();
        if !self.links.cx.mailbox.take(ready, commands, task.waker()) && !left {
            return false;
        }
        while let Some(command) = self.mail.commands.pop_front() {
            self.on_command(command);
            if self.is_spent() {
                return true;
            }
        }
        let mut ready = std::mem::take(&mut self.mail.ready);
        let mut taken = 0;
        for wake in &ready {
            self.on_wake((*wake).into());
            taken += 1;
            if self.is_spent() {
                break;
            }
        }
        ready.drain(..taken);
        self.mail.ready = ready;
        true
    }

    fn on_command(&mut self, command: Command) {
        let Self { links, role, .. } = self;
        match command {
            Command::Deliver(delivery, via) => {
                links.outgoing.on_deliver(&mut links.cx, delivery, via);
            }
            Command::Close(error) => self.close(error),
            Command::Retire => role.on_retire(links),
            Command::AutoLinks => role.on_auto_links(links),
        }
    }

    fn on_wake(&mut self, wake: Wake) {
        let Self { links, role, .. } = self;
        match wake {
            Wake::Incoming(key) => links.incoming.on_wake(&mut links.cx, key),
            Wake::Outgoing(slot) => links.outgoing.on_wake(&mut links.cx, slot),
            Wake::Producer(link) => role.on_reach(links, link),
            Wake::Edge => role.on_edge_changed(links),
        }
    }

    /// Does what is due. Returns whether the engine had something to do.
    fn on_timeout(&mut self) -> bool {
        let Self { links, role, .. } = self;
        let now = links.cx.now;
        if links.cx.scan_due.is_some_and(|due| due <= now) {
            links.scan();
        }
        role.on_timeout(links);
        if links.outgoing.due().is_some_and(|due| due <= now)
            && links.outgoing.on_timeout(&mut links.cx)
        {
            links.shrink();
        }
        let due = links.cx.engine.poll_timeout().is_some_and(|deadline| deadline <= now);
        if due {
            links.cx.engine.handle_timeout(now);
        }
        due
    }

    /// Closes the connection once the router closes all. Returns whether it did so in this call.
    fn closes(&mut self, task: &mut task::Context<'_>) -> bool {
        let now = self.closing.as_mut().poll(task).is_ready();
        if now {
            self.closing = Box::pin(std::future::pending());
            // Clients see by the condition that they may come again. A neighbor waits for longer
            // after an error.
            let cx = &mut self.links.cx;
            let client = !cx.settings.role.is_router();
            let error = client.then(|| Error::new(condition::CONNECTION_FORCED, SHUTTING_DOWN));
            cx.engine.close(error, cx.now);
        }
        now
    }

    /// Registers for the next event. Returns false if one has come meanwhile.
    fn park(&mut self, task: &mut task::Context<'_>) -> bool {
        // No event wakes the task for what the engine has yet to tell.
        if self.untold || self.may_read() && self.wire.has_input(task) {
            return false;
        }
        if self.wire.wants_write() && self.wire.is_writable(task) {
            return false;
        }
        if self.closes(task) {
            return false;
        }
        let cx = &self.links.cx;
        if !cx.life.is_over() && cx.peer.place.as_ref().is_some_and(|place| place.poll_ended(task))
        {
            self.on_end(Why::GaveWay);
            return false;
        }
        let of_parts = [self.role.due(), self.links.outgoing.due(), self.burden.due()];
        let deadline = [cx.engine.poll_timeout(), cx.life.last_words(), cx.scan_due]
            .into_iter()
            .chain(of_parts)
            .flatten()
            .min();
        !self.wire.is_due(deadline, &self.node, task)
    }

    fn may_read(&mut self) -> bool {
        let cx = &mut self.links.cx;
        !cx.life.is_over()
            && !self.untold
            && cx.peer.check.is_none()
            && cx.engine.output().len() < if cx.holder.has_room() { MAX_OWED } else { LITTLE_OWED }
            && !self.burden.stops_reading()
    }

    /// Reads once, if the engine has taken all input, and lets it act on the input as far as the
    /// turn goes. Returns whether there may be more.
    fn read(&mut self) -> Result<bool, Why> {
        let (octets, blocked) = self.wire.receive().map_err(why)?;
        if octets > 0 {
            self.links.cx.octets.receive(octets);
            if self.trace.is_on() {
                trace(self.links.cx.id, "<-", &self.wire.input);
            }
        }
        while self.wire.more {
            let cx = &mut self.links.cx;
            self.wire.more = cx.engine.handle_input(&mut self.wire.input, cx.now);
            self.take_events();
            if self.untold || !self.may_read() {
                break;
            }
            if self.wire.more && self.turn.is_spent_by_input(&mut self.links.cx.now, &self.node) {
                break;
            }
        }
        self.wire.trim_input();
        if self.wire.is_exhausted() && !self.untold && !self.links.cx.engine.is_closed() {
            return Err(Why::Eof);
        }
        Ok(!blocked)
    }

    fn write(&mut self) -> Result<bool, Why> {
        if self.wire.wants_write() {
            match self.wire.flush() {
                Ok(Flushed::All) => {}
                Ok(Flushed::Blocked) => return Ok(false),
                Err(error) => return Err(Why::Transport(io_text(&error))),
            }
        }
        if !self.links.cx.life.is_over() {
            self.links.outgoing.gather(&mut self.links.cx);
            // A role may send by the links of consumers that have become free.
            while self.links.outgoing.take_freed() && self.role.on_link_free(&mut self.links) {
                self.links.outgoing.gather(&mut self.links.cx);
            }
        }
        let cx = &mut self.links.cx;
        if cx.engine.output().is_empty() {
            return Ok(false);
        }
        if self.trace.is_on() {
            trace(cx.id, "->", &cx.engine.output().to_vec());
        }
        let octets = cx.engine.output().len();
        let result = {
            let slices: Vec<IoSlice<'_>> = cx.engine.output().slices().collect();
            self.wire.send(&slices)
        };
        cx.engine.output().clear();
        cx.engine.sent(cx.now);
        cx.octets.send(octets);
        result.map(|flushed| flushed == Flushed::All).map_err(why)
    }

    /// Closes the connection on somebody's request. A client is told and need not agree. A router's
    /// answer is awaited.
    fn close(&mut self, error: Option<Error>) {
        let cx = &mut self.links.cx;
        cx.engine.close(error.clone(), cx.now);
        // The record of connections shows it no more.
        self.registered = None;
        if self.role.is_client() {
            self.on_end(Why::Closed(Closed { initiator: Initiator::Local, error }));
        }
    }

    /// Ends the connection. The bytes that wait get a moment.
    fn on_end(&mut self, why: Why) {
        self.links.cx.life.on_end(why, self.links.cx.now);
    }

    /// Acts on the events of the engine, as far as the turn goes.
    fn take_events(&mut self) {
        self.untold = false;
        while let Some(event) = self.links.cx.engine.poll_event() {
            self.on_event(event);
            if self.is_spent() {
                self.untold = true;
                return;
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        let Self { links, role, .. } = self;
        let LinkLayer { cx, incoming, outgoing } = links;
        match event {
            Event::Transfer { delivery: key, link, settled, payload, ending, state, .. } => {
                let part = Part { key, link, presettled: settled, payload, ending, state };
                if let Some(own) = incoming.on_transfer(cx, part) {
                    role.on_own_message(links, own);
                }
                self.burden.on_transfer(links, key, link);
            }
            Event::ReceiverState { delivery, state, settled } => {
                outgoing.on_outcome(cx, delivery, state, settled)
            }
            Event::Credit { link, drain } => outgoing.on_credit(cx, link, drain),
            Event::Window { session } => outgoing.on_window(cx, session),
            Event::Held { session, octets } => outgoing.on_held(cx, session, octets),
            Event::SenderState { delivery, state } => incoming.on_sender_state(delivery, state),
            Event::SenderSettled { delivery } => incoming.on_sender_settled(cx, delivery),
            Event::Attached { link, ours: true, attach } => role.on_answered(links, link, &attach),
            Event::Attached { link, ours: false, attach } => role.on_attached(links, link, *attach),
            Event::Detached { link, error } => self.on_detached(link, error),
            Event::IncomingLost { delivery } => incoming.on_lost(cx, delivery),
            Event::OutgoingLost { delivery, .. } => outgoing.on_lost(cx, delivery),
            // A connection of any other role ends with any of its sessions.
            Event::LinkLost { link } if role.is_client() => links.on_link_gone(link),
            Event::LinkLost { .. } | Event::Begun { .. } => {}
            Event::SessionRefused => cx.on_session_refused(),
            Event::Ended { session, error } => {
                outgoing.on_session_ended(session);
                if let Some(error) = role.on_session_ended(links, session, error) {
                    links.cx.engine.close(Some(error), links.cx.now);
                } else {
                    self.burden.on_session_ended(links, session);
                }
            }
            Event::Authenticated { mechanism } => cx.on_authenticated(mechanism, self.wire.info()),
            Event::Credentials(credentials) => cx.on_credentials(credentials, &self.node.access),
            Event::Opened => self.belongs = self.on_opened(),
            Event::Closed(closed) => self.on_end(Why::Closed(closed)),
        }
    }

    fn on_detached(&mut self, link: engine::LinkKey, error: Option<Error>) {
        if let Some(error) = &error {
            let id = self.links.cx.id;
            crate::log_limited!(
                (id, error.condition.as_str()),
                Server,
                Info,
                "[C{id}] the peer detached a link: {error}"
            );
        }
        self.role.on_detached(&mut self.links, link, error.as_ref());
        if error.is_some() {
            self.detach_error = error;
        }
    }
}

/// Returns the reason for the end of a connection whose transport has failed.
fn why(error: SessionError) -> Why {
    match error {
        SessionError::Io(error) => Why::Transport(io_text(&error)),
        other => Why::Tls(Arc::new(other)),
    }
}

/// Logs the whole frames at the start of `octets`: the engine leaves the rest where it is.
fn trace(id: u64, arrow: &str, octets: &[u8]) {
    let (module, level) = (log::Module::Protocol, log::Level::Debug);
    show::frames(octets, arrow, |line| {
        // The line is counted, and written even if the levels of the module say otherwise: an
        // operator may trace this connection alone.
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
