//! tcpListeners.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use skupper_proto::stream;
use tokio::net::TcpStream;

use super::addresses::{Addresses, ListenerAddress};
use super::machine::Source;
use super::reply::{Answer, Reply};
use super::service::{Beginning, Service};
use super::stats::Stats;
use crate::core::Choice;
use crate::node::{
    HANDSHAKE, Host, Node, Port, PortStatus, Stage, Stop, Stopping, in_turn, reached, unguessable,
};
use crate::schema::typed as schema;
use crate::socket::{
    self, Descriptor, Family, Phase, Places, Purpose, SocketUse, Source as Origin,
};
use crate::tls::{Acceptor, Session};
use crate::{log, log_limited};

/// Octets that a client may send on their way to the server before there is an answer from there.
/// It saves a client that speaks first one of two round trips. What is sent waits in memory while
/// the server is dialed, and is lost if that fails.
const EARLY: usize = 16 * 1024;

/// Clients of one listener whose TLS handshake is under way.
const MAX_HANDSHAKES: usize = 4096;

/// How many of these places are kept for this machine and for neighbors.
const KEPT: usize = 64;

/// The backlog where none is configured: the system's limit applies.
const BACKLOG: u32 = 4096;

/// A listener for a service.
#[derive(Debug)]
pub struct TcpListener {
    config: schema::TcpListener,
    acceptor: Option<Acceptor>,
    name: Arc<str>,
    addresses: Addresses,
    status: PortStatus,
    listening: AtomicBool,
    /// Places of clients whose TLS handshake is under way.
    handshakes: Places,
    stats: Arc<Stats>,
    stop: Stop,
}

impl TcpListener {
    /// A listener, and the task that opens its port while somebody serves its address, or one of
    /// its addresses.
    pub fn start(
        node: &Arc<Node>,
        config: schema::TcpListener,
        acceptor: Option<Acceptor>,
    ) -> Arc<Self> {
        let listener = Arc::new(Self {
            name: Arc::from(config.name.as_str()),
            addresses: Addresses::new(config.strategy),
            config,
            acceptor,
            status: PortStatus::default(),
            listening: AtomicBool::new(false),
            handshakes: Places::new(MAX_HANDSHAKES, KEPT, Arc::clone(&node.access.neighbors)),
            stats: Arc::default(),
            stop: Stop::default(),
        });
        let service = listener.config.address.as_deref();
        if let Some(service) = service {
            listener.addresses.add(ListenerAddress::new(&node.core, service, 0));
        }
        let served = service.unwrap_or("several addresses");
        log!(
            TcpAdaptor,
            Info,
            "Configured TcpListener for {served}, {}",
            listener.config.host_port()
        );
        let stopping = listener.stop.follow();
        node.shards.spawn(0, Arc::clone(&listener).serve(Arc::clone(node), stopping));
        listener
    }

    /// Closes the port for good. Connections that were accepted go on.
    pub fn stop(&self) {
        self.stop.ask();
    }

    /// Waits until the port is closed after [`Self::stop`].
    pub async fn stopped(&self) {
        self.stop.finished().await;
    }

    /// The entity.
    pub const fn config(&self) -> &schema::TcpListener {
        &self.config
    }

    /// How its port stands.
    pub const fn status(&self) -> &PortStatus {
        &self.status
    }

    /// Whether clients can connect.
    pub fn is_listening(&self) -> bool {
        self.listening.load(Ordering::Relaxed)
    }

    /// The services that clients reach here, in the order in which they were configured, and the
    /// clients that were brought to each.
    pub fn services(&self) -> Vec<(Arc<str>, u64)> {
        self.addresses.services()
    }

    /// Adds one of several addresses.
    pub fn add(&self, address: Arc<ListenerAddress>) {
        self.addresses.add(address);
    }

    /// Takes one of several addresses away. Clients that were brought there stay.
    pub fn remove(&self, address: &Arc<ListenerAddress>) {
        self.addresses.remove(address);
    }

    /// Its counts.
    pub const fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    /// Opens the port while an address has consumers, and closes it when none has.
    async fn serve(self: Arc<Self>, node: Arc<Node>, mut stopping: Stopping) {
        let mut stage = node.follow_stage();
        let port = Port {
            entity: Arc::from(format!("tcpListener {}", self.name)),
            host: self.config.host.clone(),
            port: self.config.port.number,
            family: Family::Any,
            backlog: self.config.backlog.unwrap_or(BACKLOG),
            used_for: SocketUse::Service,
        };
        loop {
            tokio::select! {
                () = self.addresses.reachable(true) => {}
                () = reached(&mut stage, Stage::Draining) => return,
                () = stopping.asked() => return,
            }
            let opened = tokio::select! {
                opened = port.open(&node, &self.status) => opened,
                () = stopping.asked() => None,
            };
            let Some(sockets) = opened else { return };
            self.listening.store(true, Ordering::Relaxed);
            for at in self.status.addresses() {
                log!(
                    TcpAdaptor,
                    Info,
                    "Listener {}: listening for client connections on {at} with backlog {}",
                    self.name,
                    port.backlog
                );
            }
            let (done, _) = tokio::sync::watch::channel(false);
            let mut tasks = tokio::task::JoinSet::new();
            for socket in sockets {
                let accept = Arc::clone(&self).accept(Arc::clone(&node), socket, done.subscribe());
                tasks.spawn(accept);
            }
            let ends = tokio::select! {
                () = self.addresses.reachable(false) => false,
                () = reached(&mut stage, Stage::Draining) => true,
                () = stopping.asked() => true,
            };
            done.send_replace(true);
            while tasks.join_next().await.is_some() {}
            self.listening.store(false, Ordering::Relaxed);
            self.status.closed();
            log!(
                TcpAdaptor,
                Info,
                "Listener {}: stopped listening for client connections",
                self.name
            );
            if ends {
                return;
            }
        }
    }

    async fn accept(
        self: Arc<Self>,
        node: Arc<Node>,
        listener: tokio::net::TcpListener,
        mut done: tokio::sync::watch::Receiver<bool>,
    ) {
        // Of the listening socket itself.
        let _own = Descriptor::held();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((socket, peer)) => {
                        let descriptor = tokio::select! {
                            descriptor = self.handshakes.descriptor(Origin::of(peer.ip()), Purpose::Client) => descriptor,
                            () = closed(&mut done) => Descriptor::held(),
                        };
                        self.take(&node, (socket, descriptor), peer);
                    }
                    Err(error) => {
                        log_limited!(&*self.name, TcpAdaptor, Error, "tcpListener {} cannot accept: {error}", self.name);
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                () = closed(&mut done) => break,
            }
        }
        // Clients whose connection the kernel has made already are served or refused, not
        // forgotten.
        for socket in socket::drain_accept(&listener) {
            if let Ok(peer) = socket.peer_addr()
                && let Ok(socket) = TcpStream::from_std(socket)
            {
                self.take(&node, (socket, Descriptor::held()), peer);
            }
        }
    }

    /// Takes a client's connection to the shard that will carry it.
    fn take(
        self: &Arc<Self>,
        node: &Arc<Node>,
        (socket, descriptor): (TcpStream, Descriptor),
        peer: SocketAddr,
    ) {
        let peer = socket::canonical(peer);
        if let Some(acceptor) = self.acceptor.clone() {
            let place = self.handshakes.arrive(Origin::of(peer.ip()));
            let (listener, node, coming) =
                (Arc::clone(self), Arc::clone(node), node.registry.coming());
            drop(tokio::spawn(in_turn(async move {
                let _coming = coming;
                let shake = async {
                    if !tokio::time::timeout(HANDSHAKE, place.granted()).await.unwrap_or_default() {
                        return None;
                    }
                    place.advance(Phase::Opening);
                    Some(acceptor.accept(socket, HANDSHAKE).await)
                };
                let result = tokio::select! {
                    result = shake => result,
                    () = place.ended() => None,
                };
                drop(place);
                let Some(result) = result else {
                    node.registry.refuse(&listener.name, "busy");
                    return log_limited!(
                        &*listener.name,
                        TcpAdaptor,
                        Error,
                        "tcpListener {}: too many clients are opening TLS: one gives way",
                        listener.name
                    );
                };
                match result {
                    Ok((socket, session)) => {
                        if let Some(address) = listener.addresses.pick() {
                            let choice = node.core.choose(&address.record);
                            listener.begin(
                                &node,
                                (&address, choice),
                                (socket, descriptor, peer),
                                session,
                                0,
                            );
                        }
                    }
                    Err(error) => {
                        node.registry.refuse(&listener.name, "tls");
                        log_limited!(
                            &*listener.name,
                            TcpAdaptor,
                            Warning,
                            "tcpListener {}: TLS connection from {peer} failed: {error}",
                            listener.name
                        );
                    }
                }
            })));
            return;
        }
        // Once a client: every choice uses up a turn of the destinations and of their data
        // connections.
        let Some(address) = self.addresses.pick() else { return socket::reset(socket) };
        let choice = node.core.choose(&address.record);
        let shard =
            choice.as_ref().and_then(Choice::shard).unwrap_or_default() % node.shards.count();
        if shard == 0 {
            return self.begin(
                node,
                (&address, choice),
                (socket, descriptor, peer),
                Session::plain(),
                0,
            );
        }
        let (listener, node) = (Arc::clone(self), Arc::clone(node));
        let Ok(socket) = socket.into_std() else { return };
        node.shards.handle(shard).clone().spawn(in_turn(async move {
            if let Ok(socket) = TcpStream::from_std(socket) {
                listener.begin(
                    &node,
                    (&address, choice),
                    (socket, descriptor, peer),
                    Session::plain(),
                    shard,
                );
            }
        }));
    }

    /// Sends the client stream on its way, and starts the task that looks after the client.
    fn begin(
        &self,
        node: &Arc<Node>,
        (address, choice): (&ListenerAddress, Option<Choice>),
        (socket, descriptor, peer): (TcpStream, Descriptor, SocketAddr),
        session: Session,
        shard: usize,
    ) {
        let service = &address.service;
        let id = node.registry.number();
        let Some(choice) = choice else {
            log!(TcpAdaptor, Debug, "[C{id}] nobody serves {service} any more: client closed");
            return socket::reset(socket);
        };
        let reply = Arc::new(Reply::default());
        let handle = node.core.replies().add(shard, unguessable(), Arc::clone(&reply) as Arc<_>);
        let flow = node.next_flow();
        let alpn = session.info().and_then(|info| info.alpn.as_deref());
        let head =
            stream::encode_head(service, Some(&handle.address(&node.core)), Some(&flow), alpn);
        address.open();
        let beginning = Beginning {
            socket,
            descriptor,
            session,
            entity: &self.name,
            service,
            stats: &self.stats,
            memory: &address.memory,
            outgoing: false,
            host: Host::Address(peer),
            local: None,
            flow: Some(Arc::from(flow)),
            head,
        };
        let source = Source::Awaited {
            answer: Answer::new(reply, handle),
            early: if choice.takes_early() { EARLY } else { 0 },
        };
        let (service, upload) = Service::begin(node, id, beginning, source);
        drop(tokio::spawn(service));
        choice.deliver(upload);
    }
}

/// Waits until the port is to be closed.
async fn closed(done: &mut tokio::sync::watch::Receiver<bool>) {
    // An error means that the listener is gone.
    let _ = done.wait_for(|done| *done).await;
}
