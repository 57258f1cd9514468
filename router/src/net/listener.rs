//! AMQP listeners.
//!
//! A connection holds one of the listener's places from the accept until its AMQP open. The sources
//! of connections share the places (`socket::Places`), so silent ones keep nobody out.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use skupper_proto::amqp::sasl;
use skupper_proto::engine::Layer;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::connection::ConnectionTask;
use super::finished::{GIVES_WAY, Why};
use super::settings::Settings;
use super::standing::{Roster, Standing};
use super::transport::Transport;
use super::wire::Wire;
use crate::node::{HANDSHAKE, Node, Port, PortStatus, Stage, Stop, Stopping, reached};
use crate::schema::typed::Listener;
use crate::schema::{Role, SaslMechanism};
use crate::socket::{self, Descriptor, Phase, Place, Places, Purpose, SocketUse, Source};
use crate::tls::{Acceptor, HandshakeError, Session, speaks_tls};
use crate::websocket::WebSocket;
use crate::{log, log_limited};

/// The most connections of one listener that have not opened. Each holds a descriptor for as long
/// as a handshake may take.
const MAX_HANDSHAKES: usize = 1024;

/// The places among them that are kept for this machine and for neighbors.
const KEPT: usize = 64;

/// The backlog of AMQP listeners.
const BACKLOG: u32 = 1024;

/// The log text for a client that gets no place.
const NO_PLACE: &str = "too many connections are opening";

/// The log text for a client in clear where TLS is demanded.
const UNENCRYPTED: &str = "amqp:connection:policy-error Client connection unencrypted - forbidden";

/// A listener for AMQP.
#[derive(Debug)]
pub struct AmqpListener {
    config: Listener,
    acceptor: Option<Acceptor>,
    name: Arc<str>,
    access_id: String,
    status: PortStatus,
    stop: Stop,
    places: Places,
    connections: Arc<Roster>,
}

/// A client that has not opened.
struct Arriving {
    peer: SocketAddr,
    place: Place,
    descriptor: Descriptor,
}

/// Counts a client whose task panics. The panic hook has logged where and why.
struct PanicCount<'task>(&'task Node, &'task str);

impl Drop for PanicCount<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.registry.refuse(self.1, "panic");
        }
    }
}

impl AmqpListener {
    /// Starts a listener and the task that serves it, on the first shard.
    pub fn start(node: &Arc<Node>, config: Listener, acceptor: Option<Acceptor>) -> Arc<Self> {
        let listener = Self::without_port(node, config, acceptor);
        let stopping = listener.stop.follow();
        node.shards.spawn(0, Arc::clone(&listener).serve(Arc::clone(node), stopping));
        listener
    }

    /// Makes a listener that opens no port. Its clients come by another one, see [`Self::adopt`].
    pub fn without_port(node: &Node, config: Listener, acceptor: Option<Acceptor>) -> Arc<Self> {
        Arc::new(Self {
            name: Arc::from(config.name.as_str()),
            access_id: node.next_flow(),
            config,
            acceptor,
            status: PortStatus::default(),
            stop: Stop::default(),
            places: Places::new(MAX_HANDSHAKES, KEPT, Arc::clone(&node.access.neighbors)),
            connections: Arc::default(),
        })
    }

    /// Takes over a client that has opened a WebSocket on an HTTP port.
    ///
    /// # Errors
    /// The socket cannot be taken from the runtime that it belonged to.
    pub fn adopt(
        self: &Arc<Self>,
        node: &Arc<Node>,
        (socket, descriptor): (TcpStream, Descriptor),
        websocket: WebSocket,
    ) -> io::Result<()> {
        let peer = socket::canonical(socket.peer_addr()?);
        let socket = socket.into_std()?;
        let (listener, shard) = (Arc::clone(self), Arc::clone(node));
        node.shards.spawn(0, async move {
            let client =
                Arriving { peer, place: listener.places.arrive(Source::of(peer.ip())), descriptor };
            match TcpStream::from_std(socket) {
                Ok(socket)
                    if timeout(listener.patience(), client.place.granted())
                        .await
                        .unwrap_or_default() =>
                {
                    client.place.advance(Phase::Opening);
                    socket::configure(&socket, SocketUse::Amqp);
                    listener.welcome(shard, socket, websocket.into(), client).await;
                }
                Ok(_) => listener.refuse(&shard, peer, "busy", NO_PLACE),
                Err(error) => listener.refuse(&shard, peer, "busy", &error.to_string()),
            }
        });
        Ok(())
    }

    /// Closes the port. Connections that were accepted go on.
    pub fn stop(&self) {
        self.stop.ask();
    }

    /// Waits until the port is closed after [`Self::stop`].
    pub async fn stopped(&self) {
        self.stop.finished().await;
    }

    /// Returns the entity.
    pub const fn config(&self) -> &Listener {
        &self.config
    }

    /// Returns the identity of its flow record. The listener tells it to routers that connect.
    pub fn access_id(&self) -> &str {
        &self.access_id
    }

    /// Returns the state of its port.
    pub const fn status(&self) -> &PortStatus {
        &self.status
    }

    /// Returns its open connections, by number.
    pub fn connections(&self) -> Vec<(u64, Arc<Standing>)> {
        self.connections.connections()
    }

    async fn serve(self: Arc<Self>, node: Arc<Node>, mut stopping: Stopping) {
        let family = super::family(self.config.family);
        let entity = Arc::from(format!("listener {}", self.name));
        let (host, port) = (self.config.host.clone(), self.config.port.number);
        let port = Port { entity, host, port, family, backlog: BACKLOG, used_for: SocketUse::Amqp };
        let opened = tokio::select! {
            opened = port.open(&node, &self.status) => opened,
            () = stopping.asked() => None,
        };
        let Some(sockets) = opened else { return };
        for address in self.status.addresses() {
            log!(Server, Info, "Listening on {address}");
        }
        for socket in sockets {
            drop(tokio::spawn(Arc::clone(&self).accept(
                Arc::clone(&node),
                socket,
                stopping.clone(),
            )));
        }
    }

    async fn accept(
        self: Arc<Self>,
        node: Arc<Node>,
        listener: TcpListener,
        mut stopping: Stopping,
    ) {
        let mut stage = node.follow_stage();
        // The listening socket has a descriptor too.
        let _own = Descriptor::held();
        let purpose = if self.config.role.is_router() { Purpose::Router } else { Purpose::Client };
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = reached(&mut stage, Stage::Draining) => return,
                () = stopping.asked() => {
                    if let Ok(address) = listener.local_addr() {
                        log!(
                            Server,
                            Info,
                            "Listener {} closed: no longer listening on {address}",
                            self.name
                        );
                    }
                    return self.status.closed();
                }
            };
            match accepted {
                Ok((socket, peer)) => {
                    let peer = socket::canonical(peer);
                    let source = Source::of(peer.ip());
                    let descriptor = tokio::select! {
                        descriptor = self.places.descriptor(source, purpose) => descriptor,
                        () = reached(&mut stage, Stage::Draining) => return,
                        () = stopping.asked() => continue,
                    };
                    let client = Arriving { peer, place: self.places.arrive(source), descriptor };
                    drop(tokio::spawn(Arc::clone(&self).handshake(
                        Arc::clone(&node),
                        socket,
                        client,
                    )));
                }
                Err(error) => {
                    // Mostly the process is out of descriptors: the connection stays in the backlog
                    // until some are free.
                    log_limited!(
                        &*self.name,
                        Server,
                        Error,
                        "listener {} cannot accept: {error}",
                        self.name
                    );
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn refuse(&self, node: &Node, peer: SocketAddr, kind: &'static str, reason: &str) {
        node.registry.refuse(&self.name, kind);
        self.log_refusal(peer, format_args!("Connection from {peer}"), reason);
    }

    /// Logs one line for each client and reason: an error of one client must not hide that of
    /// another.
    fn log_refusal(&self, peer: SocketAddr, who: std::fmt::Arguments<'_>, reason: &str) {
        let key: (&str, IpAddr, &str) = (&self.name, peer.ip(), reason);
        log_limited!(key, Server, Error, "{who} (to {}) failed: {reason}", self.config.host_port());
    }

    /// Returns how long a client may take for each step until it has opened.
    const fn patience(&self) -> Duration {
        if self.config.handshake_timeout.is_zero() {
            HANDSHAKE
        } else {
            self.config.handshake_timeout
        }
    }

    async fn handshake(self: Arc<Self>, node: Arc<Node>, socket: TcpStream, client: Arriving) {
        let _panics = PanicCount(&node, &self.name);
        let peer = client.peer;
        if !timeout(self.patience(), client.place.granted()).await.unwrap_or_default() {
            return self.refuse(&node, peer, "busy", NO_PLACE);
        }
        let session = tokio::select! {
            session = self.secure(socket, &client.place) => session,
            () = client.place.ended() => Err(("busy", GIVES_WAY.to_owned())),
        };
        let (socket, session) = match session {
            Ok(Some(session)) => session,
            // A probe connects and goes away without a word.
            Ok(None) => return,
            Err((kind, reason)) => return self.refuse(&node, peer, kind, &reason),
        };
        Arc::clone(&self).welcome(Arc::clone(&node), socket, session.into(), client).await;
    }

    /// Runs the connection of a client whose transport stands.
    async fn welcome(
        self: Arc<Self>,
        node: Arc<Node>,
        socket: TcpStream,
        transport: Transport,
        client: Arriving,
    ) {
        let Arriving { peer, place, descriptor } = client;
        let id = node.registry.number();
        let settings = self.settings(&node, &transport);
        if self.forbids(&transport) {
            // It gets an answer that says so, and nothing else: the listener offers no mechanism
            // and takes no bare header.
            let mut connection = ConnectionTask::new(
                &node,
                id,
                settings,
                Wire::new(socket, transport),
                0,
                Arc::default(),
            );
            (connection.links.cx.peer.place, connection.links.cx.peer.descriptor) =
                (Some(place), Some(descriptor));
            drop(connection.run().await);
            return self.refuse(&node, peer, "plain_text", UNENCRYPTED);
        }
        log!(
            Server,
            Info,
            "[C{id}] Accepted connection to {} from {peer}",
            self.config.host_port()
        );
        let arrival = match self.config.role {
            // Clients must not shut out routers.
            Role::InterRouter => None,
            _ => match node.access.policy.arrive() {
                Some(arrival) => Some(arrival),
                None => {
                    let current = node.access.policy.counts().current();
                    log!(
                        Policy,
                        Info,
                        "DENY Connection '{peer}' based on global connection count. nConnections= \
                         {current}"
                    );
                    return node.registry.refuse(&self.name, "policy");
                }
            },
        };
        let wire = Wire::new(socket, transport);
        let mut connection =
            ConnectionTask::new(&node, id, settings, wire, 0, self.connections.enter(id));
        (connection.links.cx.peer.place, connection.links.cx.peer.descriptor) =
            (Some(place), Some(descriptor));
        connection.links.cx.peer.arrival = arrival;
        if let Some(finished) = connection.run().await
            && !finished.opened
        {
            node.registry.refuse(
                &self.name,
                if matches!(finished.why, Why::GaveWay) { "busy" } else { "amqp" },
            );
            self.log_refusal(
                peer,
                format_args!("[C{id}] Connection from {peer}"),
                &finished.why.to_string(),
            );
        }
    }

    /// Waits for the client's first byte, and for TLS if the listener has it and the client begins
    /// it. Returns `None` if the client goes away without a word.
    async fn secure(
        &self,
        socket: TcpStream,
        place: &Place,
    ) -> Result<Option<(TcpStream, Session)>, (&'static str, String)> {
        let patience = self.patience();
        let begins_tls = match timeout(patience, speaks_tls(&socket, patience * 2)).await {
            Ok(Ok(Some(begins_tls))) => begins_tls,
            Ok(Ok(None) | Err(_)) => return Ok(None),
            Err(_) => {
                return Err((
                    "timeout",
                    format!("nothing was received within {} s", patience.as_secs()),
                ));
            }
        };
        place.advance(Phase::Opening);
        match (&self.acceptor, begins_tls) {
            (Some(acceptor), true) => match acceptor.accept(socket, patience).await {
                Ok(session) => Ok(Some(session)),
                Err(error) => Err((tls_kind(&error), error.log_text())),
            },
            _ => Ok(Some((socket, Session::plain()))),
        }
    }

    /// Returns whether a transport is forbidden: it is in clear, and the listener demands TLS or a
    /// certificate.
    fn forbids(&self, transport: &Transport) -> bool {
        !transport.is_tls() && self.config.refuses_clear_text()
    }

    pub(super) fn settings(&self, node: &Node, transport: &Transport) -> Settings {
        let config = &self.config;
        let certified = transport.info().is_some_and(|info| info.peer.is_some());
        let wanted = |mechanism| {
            config.sasl_mechanisms.as_ref().is_none_or(|wanted| wanted.contains(mechanism))
        };
        let mut mechanisms = Vec::new();
        if certified && wanted(SaslMechanism::External) {
            mechanisms.push(sasl::EXTERNAL);
        }
        let forbidden = self.forbids(transport);
        if !config.authenticate_peer && !forbidden && wanted(SaslMechanism::Anonymous) {
            mechanisms.push(sasl::ANONYMOUS);
        }
        // A password goes in clear only if the operator names the mechanism.
        let named =
            config.sasl_mechanisms.is_some() || transport.is_tls() && config.authenticate_peer;
        if named && !forbidden && wanted(SaslMechanism::Plain) && node.access.passwords.is_some() {
            mechanisms.push(sasl::PLAIN);
        }
        let allow_bare = !config.authenticate_peer && !forbidden;
        Settings {
            role: config.role,
            entity: Arc::clone(&self.name),
            outgoing: false,
            data: false,
            cost: config.cost,
            link_capacity: config.limits.link_capacity,
            message_logging: config.message_logging.clone(),
            strip_in: config.strip_annotations.strips_in(),
            strip_out: config.strip_annotations.strips_out(),
            correlator: None,
            ordinal: None,
            layer: Layer::Server { mechanisms, allow_bare },
            hostname: None,
            max_frame_size: config.limits.max_frame_size,
            channel_max: u16::try_from(config.limits.max_sessions.saturating_sub(1))
                .unwrap_or(u16::MAX),
            session_frames: config.limits.max_session_frames,
            idle_timeout: config.limits.idle_timeout,
            handshake_timeout: self.patience(),
            access_id: config.role.is_router().then(|| self.access_id.clone()),
            properties: super::open::configured(
                config.open_properties.as_ref(),
                &config.failover_urls,
            ),
            targets: None,
            user: None,
            policy_vhost: config.policy_vhost.clone(),
            management: config.management,
        }
    }
}

/// Returns the word that metrics use for a failed handshake.
fn tls_kind(error: &HandshakeError) -> &'static str {
    match error {
        HandshakeError::TimedOut(_) => "timeout",
        HandshakeError::NoCertificate => "no_certificate",
        HandshakeError::Expired { .. } | HandshakeError::NotYetValid { .. } => "expired",
        HandshakeError::UnknownIssuer { .. } => "unknown_ca",
        HandshakeError::Refused { .. } => "refused_by_client",
        _ => "tls",
    }
}
