//! Connectors: site links, and the connections they keep.

mod offer;
mod pause;
#[cfg(test)]
mod tests;
mod trouble;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use pause::{least_pause, pause};
use skupper_proto::time::Instant;
use tokio::net::TcpStream;
pub use trouble::LinkTrouble;
use trouble::trouble_of;

use super::connection::ConnectionTask;
use super::failover::{Target, Targets};
use super::finished::{Finished, Why};
use super::standing::{Known, Standing};
use super::wire::Wire;
use crate::core::{Command, Mailbox};
use crate::lock::{Mutex, MutexGuard, Rank};
use crate::log_limited;
use crate::node::{HANDSHAKE, Node, Stage, Stop, Stopping, reached};
use crate::schema::Role;
use crate::schema::typed::Connector;
use crate::socket::{self, Descriptor, DialOptions, Purpose, SocketUse};
use crate::tls::{self, Session};

/// A connection that was of use and ended sooner did not come up: a peer may take links and drop
/// them at once, time and again.
const STEADY: Duration = Duration::from_secs(1);

/// A connection that lived this long was a success. Its end is a new trouble.
const LASTING: Duration = Duration::from_secs(10);

/// The state of a site link, for status.
#[derive(Clone, Debug)]
pub struct LinkReport {
    /// The facts that the control connection's task knows.
    pub known: Known,
    /// The connector makes an attempt.
    pub connecting: bool,
    /// The reason for which it is not active.
    pub trouble: Option<LinkTrouble>,
    /// Since when it is connected, or not.
    pub since: (SystemTime, Instant),
    /// Attempts that failed since it was last connected.
    pub failures: u64,
    /// When the connector tries next.
    pub next_try: Option<SystemTime>,
    /// Open data connections.
    pub data_connections: usize,
}

#[derive(Debug)]
struct LinkState {
    connecting: bool,
    trouble: Option<LinkTrouble>,
    since: (SystemTime, Instant),
    failures: u64,
    next_try: Option<SystemTime>,
    correlator: String,
    /// A connection with this correlator was of use: the peer may still count it.
    used: bool,
    /// The ordinal of the TLS profile. Connections that were made with a lower one stay as they
    /// are. The connector does not make them again.
    ordinal: Option<u64>,
    /// The standings of the control connections. The last one has the present ordinal.
    standings: Vec<Arc<Standing>>,
    /// The connections.
    connections: Vec<Made>,
}

/// A connection that was made.
#[derive(Debug)]
struct Made {
    data: bool,
    ordinal: Option<u64>,
    mailbox: Arc<Mailbox>,
}

impl LinkState {
    /// Returns the open data connections of the present ordinal.
    fn data(&self) -> impl Iterator<Item = &Made> {
        self.connections
            .iter()
            .filter(|made| made.data && made.ordinal == self.ordinal && !made.mailbox.is_closed())
    }

    fn close_data(&self) {
        for made in self.data() {
            // One that is gone needs no closing.
            let _ = made.mailbox.send(Command::Close(None));
        }
    }
}

/// The connections that a link makes with one revision of its certificates.
#[derive(Clone, Debug)]
struct Set {
    ordinal: Option<u64>,
    /// The standing of its control connection.
    standing: Arc<Standing>,
}

/// A connector of role inter-router (or normal), and the connections that it keeps.
#[derive(Debug)]
pub struct SiteLink {
    config: Connector,
    tls: Option<tls::Connector>,
    certified: bool,
    name: Arc<str>,
    state: Mutex<LinkState>,
    stop: Stop,
    attempts: AtomicU64,
    targets: Arc<Targets>,
}

impl SiteLink {
    /// Starts a link and the tasks that keep its connections. `ordinal` is that of its TLS profile;
    /// `certified` says that the profile has a certificate of this router.
    pub fn start(
        node: &Arc<Node>,
        config: Connector,
        tls: Option<tls::Connector>,
        ordinal: Option<u64>,
        certified: bool,
    ) -> Arc<Self> {
        let link = Arc::new(Self::new(node, config, tls, ordinal, certified));
        link.make(node, ordinal);
        link
    }

    fn new(
        node: &Node,
        config: Connector,
        tls: Option<tls::Connector>,
        ordinal: Option<u64>,
        certified: bool,
    ) -> Self {
        let since = (SystemTime::now(), node.clock.now());
        Self {
            name: Arc::from(config.name.as_str()),
            state: Mutex::ranked(
                Rank::SiteLink,
                LinkState {
                    connecting: true,
                    trouble: None,
                    since,
                    failures: 0,
                    next_try: None,
                    correlator: Node::discriminator(),
                    used: false,
                    ordinal,
                    standings: Vec::new(),
                    connections: Vec::new(),
                },
            ),
            stop: Stop::default(),
            attempts: AtomicU64::new(0),
            targets: Arc::new(Targets::new(&config.host, &config.port)),
            config,
            tls,
            certified,
        }
    }

    /// Starts the tasks that make the connections and keep them.
    fn make(self: &Arc<Self>, node: &Arc<Node>, ordinal: Option<u64>) {
        let set = Set { ordinal, standing: Arc::default() };
        self.lock().standings.push(Arc::clone(&set.standing));
        let last = node.shards.count() - 1;
        node.shards.spawn(
            last,
            Arc::clone(self).keep_control(Arc::clone(node), last, set.clone(), self.stop.follow()),
        );
        if self.config.role == Role::InterRouter {
            for index in 0..node.data_connections {
                let shard = index % node.shards.count();
                node.shards.spawn(
                    shard,
                    Arc::clone(self).keep_data(
                        Arc::clone(node),
                        shard,
                        set.clone(),
                        self.stop.follow(),
                    ),
                );
            }
        }
    }

    /// Makes the connections of a link between routers anew: the TLS profile has new certificates,
    /// with a higher ordinal. The present connections stay for their streams.
    pub fn renew(self: &Arc<Self>, node: &Arc<Node>, ordinal: u64) {
        {
            let mut state = self.lock();
            let higher = state.ordinal.is_some_and(|known| known < ordinal);
            if !higher || !self.config.role.is_router() || self.stop.is_asked() {
                return;
            }
            state.ordinal = Some(ordinal);
            // The peer takes the higher ordinal before the lower.
            state.used = false;
            state.failures = 0;
            state.connecting = true;
        }
        self.make(node, Some(ordinal));
    }

    /// Returns whether the certificates of an ordinal are the present ones.
    fn is_present(&self, ordinal: Option<u64>) -> bool {
        self.lock().ordinal == ordinal
    }

    /// Closes its connections and makes no new ones.
    pub fn stop(&self) {
        self.stop.ask();
        for made in self.lock().connections.drain(..) {
            // One that is gone needs no closing.
            let _ = made.mailbox.send(Command::Close(None));
        }
    }

    /// Waits until its connections are gone after [`Self::stop`].
    pub async fn stopped(&self) {
        self.stop.finished().await;
    }

    /// Returns the entity.
    pub const fn config(&self) -> &Connector {
        &self.config
    }

    /// Returns the addresses that it tries, the current one first: URLs with a comma and a blank
    /// between them.
    pub fn failover_urls(&self) -> String {
        self.targets.urls()
    }

    fn lock(&self) -> MutexGuard<'_, LinkState> {
        self.state.lock()
    }

    /// Returns the state of the link.
    pub fn report(&self) -> LinkReport {
        let state = self.lock();
        let mut known = state.standings.iter().rev().map(|standing| standing.get());
        let newest = known.next().unwrap_or_default();
        let carries = |known: &Known| known.trunk.is_some() || known.edge.is_some();
        // While the newest certificates are of no use, older ones may be.
        let known = if carries(&newest) { newest } else { known.find(carries).unwrap_or(newest) };
        LinkReport {
            known,
            connecting: state.connecting,
            trouble: state.trouble.clone(),
            since: state.since,
            failures: state.failures,
            next_try: state.next_try,
            data_connections: state.data().count(),
        }
    }

    /// Keeps the control connection.
    async fn keep_control(
        self: Arc<Self>,
        node: Arc<Node>,
        shard: usize,
        set: Set,
        mut stopping: Stopping,
    ) {
        let mut stage = node.follow_stage();
        loop {
            let began = node.clock.now();
            self.lock().connecting = true;
            let result = self.attempt(&node, shard, false, &set, &mut stopping).await;
            let lasted = node.clock.now().since(began);
            if !self.is_present(set.ordinal) {
                return self
                    .lock()
                    .standings
                    .retain(|standing| !Arc::ptr_eq(standing, &set.standing));
            }
            if *stage.borrow() >= Stage::Draining || self.stop.is_asked() {
                return set.standing.reset();
            }
            let pause = self.ended(&node, &set, result, lasted);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = reached(&mut stage, Stage::Draining) => return,
                () = stopping.asked() => return,
            }
        }
    }

    /// Notes the end of an attempt, or of the connection that it made. Returns the pause before the
    /// next.
    fn ended(
        &self,
        node: &Node,
        set: &Set,
        result: Result<Finished, LinkTrouble>,
        lasted: Duration,
    ) -> Duration {
        let own_id = set.standing.get().own_id;
        set.standing.reset();
        let least = least_pause(&result);
        let (served, trouble, fresh) = match result {
            Err(trouble) => (false, trouble, false),
            Ok(finished) => {
                let former = finished.opened
                    && !finished.served
                    && matches!(finished.why, Why::Eof | Why::Transport(_));
                let former = former && self.lock().used;
                let trouble = if own_id {
                    LinkTrouble::OwnId
                } else if former {
                    LinkTrouble::PeerHoldsFormer
                } else {
                    trouble_of(&finished)
                };
                (finished.served, trouble, former)
            }
        };
        let text = trouble.to_string();
        let target = self.targets.current().host_port();
        log_limited!(
            (&*self.name, text.as_str()),
            Server,
            Error,
            "Connection to {target} failed: {text}"
        );
        let mut state = self.lock();
        state.connecting = false;
        state.used |= served;
        if served && lasted >= STEADY {
            state.since = (SystemTime::now(), node.clock.now());
            state.failures = 0;
        } else {
            state.failures += 1;
        }
        if fresh {
            // The peer still holds the former connection of this correlator.
            state.correlator = Node::discriminator();
            state.used = false;
            state.close_data();
        }
        // Each address has its turn before there is a pause.
        let rounds = state.failures / u64::try_from(self.targets.count()).unwrap_or(1).max(1);
        let mut pause = pause(if lasted >= LASTING { 0 } else { rounds });
        if state.failures > 0 && self.targets.advance() {
            // They lead to the former target of the control connection.
            state.close_data();
        } else {
            pause = pause.max(least);
        }
        state.next_try = Some(SystemTime::now() + pause);
        state.trouble = Some(trouble);
        pause
    }

    /// Keeps one data connection.
    async fn keep_data(
        self: Arc<Self>,
        node: Arc<Node>,
        shard: usize,
        set: Set,
        mut stopping: Stopping,
    ) {
        let mut stage = node.follow_stage();
        let mut failures = 0;
        loop {
            let began = node.clock.now();
            let result = self.attempt(&node, shard, true, &set, &mut stopping).await;
            if *stage.borrow() >= Stage::Draining
                || self.stop.is_asked()
                || !self.is_present(set.ordinal)
            {
                return;
            }
            let lasted = node.clock.now().since(began);
            let least = least_pause(&result);
            let steady = lasted >= STEADY && result.is_ok_and(|finished| finished.served);
            failures = if steady || lasted >= LASTING { 0 } else { failures + 1 };
            tokio::select! {
                () = tokio::time::sleep(pause(failures).max(least)) => {}
                () = reached(&mut stage, Stage::Draining) => return,
                () = stopping.asked() => return,
            }
        }
    }

    /// Makes the TCP connection and its TLS session.
    async fn connect(
        &self,
        node: &Node,
        target: &Target,
    ) -> Result<(TcpStream, Session, Descriptor), LinkTrouble> {
        let config = &self.config;
        let descriptor = Descriptor::claim(Purpose::Router)
            .ok_or_else(|| LinkTrouble::Lost(socket::NO_DESCRIPTOR.to_owned()))?;
        let family = super::family(config.family);
        let options = DialOptions { family, ..DialOptions::new(SocketUse::Amqp) };
        let socket = socket::dial(&node.resolver, &target.host, target.port, &options)
            .await
            .map_err(|error| LinkTrouble::Dial(Arc::new(error)))?;
        let (socket, session) = match &self.tls {
            Some(tls) => {
                let host = if self.trusts(target) { &target.host } else { &config.host };
                tls.connect(socket, host, HANDSHAKE).await.map_err(LinkTrouble::Tls)?
            }
            None => (socket, Session::plain()),
        };
        Ok((socket, session, descriptor))
    }

    /// Returns whether an address is as good as the configured one.
    const fn trusts(&self, target: &Target) -> bool {
        !target.told || self.config.trust_failover
    }

    /// Makes one connection and runs it to its end.
    async fn attempt(
        &self,
        node: &Arc<Node>,
        shard: usize,
        data: bool,
        set: &Set,
        stopping: &mut Stopping,
    ) -> Result<Finished, LinkTrouble> {
        let outdated = || LinkTrouble::Lost("there are newer certificates".to_owned());
        if !self.is_present(set.ordinal) {
            return Err(outdated());
        }
        self.attempts.fetch_add(1, Ordering::Relaxed);
        let target = self.targets.current();
        let (socket, session, descriptor) = tokio::select! {
            connected = self.connect(node, &target) => connected?,
            () = stopping.asked() => {
                return Err(LinkTrouble::Lost("the connector was deleted".to_owned()));
            }
        };
        if !self.is_present(set.ordinal) {
            return Err(outdated());
        }
        let id = node.registry.number();
        let standing = if data { Arc::default() } else { Arc::clone(&set.standing) };
        let correlator = self.lock().correlator.clone();
        let settings = self.settings(&target, data, set.ordinal, correlator);
        let mut connection =
            ConnectionTask::new(node, id, settings, Wire::new(socket, session), shard, standing);
        connection.links.cx.peer.descriptor = Some(descriptor);
        let mailbox = Arc::clone(&connection.links.cx.mailbox);
        {
            let mut state = self.lock();
            if self.stop.is_asked() {
                // A mailbox takes commands before its connection runs.
                let _ = mailbox.send(Command::Close(None));
            } else {
                state.connections.retain(|made| !made.mailbox.is_closed());
                state.connections.push(Made { data, ordinal: set.ordinal, mailbox });
            }
        }
        let finished = connection.run().await;
        // A connection that this router made stays on its shard.
        finished.ok_or_else(|| {
            LinkTrouble::Lost("the connection was moved to another thread".to_owned())
        })
    }
}
