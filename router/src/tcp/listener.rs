//! tcpListeners: their entity, and the task that opens and closes their port.

mod clients;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;

use super::addresses::{Addresses, ListenerAddress};
use super::stats::Stats;
use crate::node::{Node, Port, PortStatus, Stage, Stop, Stopping, reached};
use crate::schema::typed as schema;
use crate::socket::{self, Descriptor, Family, Places, Purpose, SocketUse, Source};
use crate::tls::Acceptor;
use crate::{log, log_limited};

/// Clients of one listener that may have a TLS handshake under way.
const MAX_HANDSHAKES: usize = 4096;

/// Handshakes that are kept for this machine and for neighbors.
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
    /// The places of clients that have a TLS handshake under way.
    handshakes: Places,
    stats: Arc<Stats>,
    stop: Stop,
}

/// A client's connection as the listener has accepted it.
struct Client {
    socket: TcpStream,
    /// Counts the socket.
    descriptor: Descriptor,
    peer: SocketAddr,
}

impl Client {
    fn new(socket: TcpStream, descriptor: Descriptor, peer: SocketAddr) -> Self {
        Self { socket, descriptor, peer: socket::canonical(peer) }
    }
}

impl TcpListener {
    /// Creates a listener, and starts the task that keeps its port open while at least one of its
    /// addresses has consumers.
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

    /// Asks the task to close the port for good. Connections that were accepted go on.
    pub fn stop(&self) {
        self.stop.ask();
    }

    /// Waits until the port is closed after [`Self::stop`].
    pub async fn stopped(&self) {
        self.stop.finished().await;
    }

    /// Returns the entity.
    pub const fn config(&self) -> &schema::TcpListener {
        &self.config
    }

    /// Returns the state of its port.
    pub const fn status(&self) -> &PortStatus {
        &self.status
    }

    /// Returns whether clients can connect.
    pub fn is_listening(&self) -> bool {
        self.listening.load(Ordering::Relaxed)
    }

    /// Returns the services that clients reach here, in the order in which they were configured,
    /// each with the number of clients that were brought to it.
    pub fn services(&self) -> Vec<(Arc<str>, u64)> {
        self.addresses.services()
    }

    /// Adds one of several addresses.
    pub fn add(&self, address: Arc<ListenerAddress>) {
        self.addresses.add(address);
    }

    /// Removes one of several addresses. Clients that were brought to it stay.
    pub fn remove(&self, address: &Arc<ListenerAddress>) {
        self.addresses.remove(address);
    }

    /// Returns its counts.
    pub const fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    /// Opens the port while an address has consumers, and closes it while none has.
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

    /// Waits for a descriptor for a client that comes from there.
    async fn descriptor(&self, peer: SocketAddr) -> Descriptor {
        self.handshakes.descriptor(Source::of(peer.ip()), Purpose::Client).await
    }

    async fn accept(
        self: Arc<Self>,
        node: Arc<Node>,
        listener: tokio::net::TcpListener,
        mut done: tokio::sync::watch::Receiver<bool>,
    ) {
        // Counts the listening socket.
        let _own = Descriptor::held();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((socket, peer)) => {
                        let descriptor = tokio::select! {
                            descriptor = self.descriptor(peer) => descriptor,
                            () = closed(&mut done) => Descriptor::held(),
                        };
                        self.admit(&node, Client::new(socket, descriptor, peer));
                    }
                    Err(error) => {
                        log_limited!(
                            &*self.name,
                            TcpAdaptor,
                            Error,
                            "tcpListener {} cannot accept: {error}",
                            self.name
                        );
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                () = closed(&mut done) => break,
            }
        }
        // The kernel has already connected these clients. Each is served or refused.
        for socket in socket::drain_accept(&listener) {
            if let Ok(peer) = socket.peer_addr()
                && let Ok(socket) = TcpStream::from_std(socket)
            {
                self.admit(&node, Client::new(socket, Descriptor::held(), peer));
            }
        }
    }
}

/// Waits until the port is to be closed.
async fn closed(done: &mut tokio::sync::watch::Receiver<bool>) {
    // An error means that the listener's task is gone.
    let _ = done.wait_for(|done| *done).await;
}
