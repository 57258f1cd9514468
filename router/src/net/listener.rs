//! AMQP listeners.

use super::connection::{Connection, HANDSHAKE, Settings};
use super::standing::Standing;
use crate::node::{Node, Port, PortStatus, Stage, reached};
use crate::schema::SaslMechanism;
use crate::schema::typed::Listener;
use crate::socket::{self, Kind as SocketKind};
use crate::tls::{Acceptor, HandshakeError, Session, speaks_tls};
use crate::{log, log_limited};
use skupper_proto::amqp::sasl;
use skupper_proto::engine::Layer;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// Connections of one listener that have not opened yet. Each holds a descriptor for as long as a handshake may take.
const MAX_HANDSHAKES: usize = 1024;

/// The backlog of AMQP listeners.
const BACKLOG: u32 = 1024;

/// A listener for AMQP.
#[derive(Debug)]
pub struct AmqpListener {
    config: Listener,
    acceptor: Option<Acceptor>,
    name: Arc<str>,
    access_id: String,
    status: PortStatus,
    handshakes: AtomicUsize,
    connections: Mutex<Vec<(std::sync::Weak<Standing>, u64)>>,
}

impl AmqpListener {
    /// A listener, and the task that serves it, on the first shard.
    pub fn start(node: &Arc<Node>, config: Listener, acceptor: Option<Acceptor>) -> Arc<Self> {
        let listener = Arc::new(Self {
            name: Arc::from(config.name.as_str()),
            access_id: format!("{}:{}", Node::discriminator().get(..5).unwrap_or_default(), node.registry.number()),
            config,
            acceptor,
            status: PortStatus::default(),
            handshakes: AtomicUsize::new(0),
            connections: Mutex::default(),
        });
        node.shards.spawn(0, Arc::clone(&listener).serve(Arc::clone(node)));
        listener
    }

    /// The entity.
    pub const fn config(&self) -> &Listener {
        &self.config
    }

    /// How its port stands.
    pub const fn status(&self) -> &PortStatus {
        &self.status
    }

    /// Its open connections, by number.
    pub fn connections(&self) -> Vec<(u64, Arc<Standing>)> {
        let mut known = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(standing, _)| standing.strong_count() > 0);
        known.iter().filter_map(|(standing, id)| Some((*id, standing.upgrade()?))).collect()
    }

    async fn serve(self: Arc<Self>, node: Arc<Node>) {
        let family = super::family(self.config.family);
        let entity = Arc::from(format!("listener {}", self.name));
        let port = Port { entity, host: self.config.host.clone(), port: self.config.port.number, family, backlog: BACKLOG };
        let Some(sockets) = port.open(&node, &self.status).await else { return };
        for address in self.status.addresses() {
            log!(Server, Info, "Listening on {address}");
        }
        for socket in sockets {
            drop(tokio::spawn(Arc::clone(&self).accept(Arc::clone(&node), socket)));
        }
    }

    async fn accept(self: Arc<Self>, node: Arc<Node>, listener: TcpListener) {
        let mut stage = node.follow_stage();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = reached(&mut stage, Stage::Draining) => return,
            };
            match accepted {
                Ok((socket, _)) if self.handshakes.load(Ordering::Relaxed) >= MAX_HANDSHAKES => {
                    self.refuse(&node, &peer_of(&socket), "busy", &format!("{MAX_HANDSHAKES} connections are opening already"));
                }
                Ok((socket, _)) => {
                    self.handshakes.fetch_add(1, Ordering::Relaxed);
                    drop(tokio::spawn(Arc::clone(&self).handshake(Arc::clone(&node), socket)));
                }
                Err(error) => {
                    // Out of descriptors, mostly: the connection stays in the backlog until some are free.
                    log_limited!(&*self.name, Server, Error, "listener {} cannot accept: {error}", self.name);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn refuse(&self, node: &Node, peer: &str, kind: &'static str, reason: &str) {
        node.registry.refuse(&self.name, kind);
        log_limited!((&*self.name, kind), Server, Error, "Connection from {peer} (to {}) failed: {reason}", self.name);
    }

    async fn handshake(self: Arc<Self>, node: Arc<Node>, socket: TcpStream) {
        let peer = peer_of(&socket);
        let session = self.secure(socket).await;
        self.handshakes.fetch_sub(1, Ordering::Relaxed);
        let (socket, session) = match session {
            Ok(Some(session)) => session,
            // A probe: it connected and went away without a word.
            Ok(None) => return,
            Err((kind, reason)) => return self.refuse(&node, &peer, kind, &reason),
        };
        let id = node.registry.number();
        log!(Server, Info, "[C{id}] Accepted connection to {} from {peer}", self.config.host_port());
        let standing = Arc::new(Standing::default());
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).push((Arc::downgrade(&standing), id));
        let settings = self.settings(&session);
        let connection = Connection::new(&node, id, settings, socket, session, 0, standing);
        if let Some(finished) = connection.run().await
            && !finished.opened
        {
            node.registry.refuse(&self.name, "amqp");
            log_limited!(
                &*self.name,
                Server,
                Error,
                "[C{id}] Connection from {peer} (to {}) failed: {}",
                self.config.host_port(),
                finished.why
            );
        }
    }

    /// TLS, where the listener has it and the client begins it.
    async fn secure(&self, socket: TcpStream) -> Result<Option<(TcpStream, Session)>, (&'static str, String)> {
        socket::configure(&socket, SocketKind::Amqp);
        let Some(acceptor) = &self.acceptor else { return Ok(Some((socket, Session::plain()))) };
        match speaks_tls(&socket, HANDSHAKE).await {
            Ok(Some(true)) => match acceptor.accept(socket, HANDSHAKE).await {
                Ok(session) => Ok(Some(session)),
                Err(error) => Err((tls_kind(&error), format!("SSL Failure: {error}"))),
            },
            Ok(Some(false)) if self.config.require_encryption || self.config.authenticate_peer => {
                Err(("plain text", "amqp:connection:policy-error Client connection unencrypted - forbidden".to_owned()))
            }
            Ok(Some(false)) => Ok(Some((socket, Session::plain()))),
            Ok(None) | Err(_) => Ok(None),
        }
    }

    fn settings(&self, session: &Session) -> Settings {
        let config = &self.config;
        let certified = session.info().is_some_and(|info| info.peer.is_some());
        let wanted = |mechanism| config.sasl_mechanisms.as_ref().is_none_or(|wanted| wanted.contains(mechanism));
        let mut mechanisms = Vec::new();
        if certified && wanted(SaslMechanism::External) {
            mechanisms.push(sasl::EXTERNAL);
        }
        if !config.authenticate_peer && wanted(SaslMechanism::Anonymous) {
            mechanisms.push(sasl::ANONYMOUS);
        }
        let allow_bare = !config.authenticate_peer && (session.is_tls() || !config.require_encryption);
        Settings {
            role: config.role,
            entity: Arc::clone(&self.name),
            outgoing: false,
            data: false,
            cost: config.cost,
            link_capacity: config.limits.link_capacity,
            correlator: None,
            ordinal: None,
            layer: Layer::Server { mechanisms, allow_bare },
            hostname: None,
            max_frame_size: config.limits.max_frame_size,
            channel_max: u16::try_from(config.limits.max_sessions.saturating_sub(1)).unwrap_or(u16::MAX),
            session_frames: config.limits.max_session_frames,
            idle_timeout: config.limits.idle_timeout,
            handshake_timeout: if config.handshake_timeout.is_zero() { HANDSHAKE } else { config.handshake_timeout },
            access_id: config.role.is_router().then(|| self.access_id.clone()),
        }
    }
}

fn peer_of(socket: &TcpStream) -> String {
    socket.peer_addr().map_or_else(|_| "unknown".to_owned(), |peer| socket::canonical(peer).to_string())
}

/// A word for metrics: which kind of refusal a failed handshake is.
fn tls_kind(error: &HandshakeError) -> &'static str {
    match error {
        HandshakeError::TimedOut(_) => "timeout",
        HandshakeError::NoCertificate => "no certificate",
        _ => "tls",
    }
}
