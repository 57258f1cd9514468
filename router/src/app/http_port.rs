//! HTTP listeners: the port, its sockets, and the server behind them.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::http::connections::Released;
use crate::http::files::Folder;
use crate::http::server::{self as http_server, HttpSource, Options, WebSockets};
use crate::http::tls::{Refused, Secured};
use crate::log;
use crate::net::AmqpListener;
use crate::node::{HANDSHAKE, Node, Port, PortStatus, Stop, Stopping};
use crate::schema::typed::Listener;
use crate::socket::{Family, SocketUse};
use crate::tls::{Acceptor, HandshakeError};
use crate::websocket::{Origins, WebSocket};

/// A listener that speaks HTTP.
#[derive(Debug)]
pub(super) struct HttpPort {
    config: Listener,
    acceptor: Option<Acceptor>,
    status: PortStatus,
    stop: Stop,
}

impl HttpPort {
    /// Starts a port, and serves it on `runtime`: a scrape must not delay other traffic.
    pub(super) fn start(
        node: Arc<Node>,
        runtime: &Handle,
        source: Arc<dyn HttpSource>,
        config: Listener,
        acceptor: Option<Acceptor>,
    ) -> Arc<Self> {
        let port = Arc::new(Self {
            config,
            acceptor,
            status: PortStatus::default(),
            stop: Stop::default(),
        });
        let task = Arc::clone(&port).serve(node, source, port.stop.follow());
        drop(runtime.spawn(task));
        port
    }

    /// Returns the entity.
    pub(super) const fn config(&self) -> &Listener {
        &self.config
    }

    /// Returns the state of its port.
    pub(super) const fn status(&self) -> &PortStatus {
        &self.status
    }

    /// Closes the port and its connections.
    pub(super) fn stop(&self) {
        self.stop.ask();
    }

    /// Waits until the port is closed after [`Self::stop`].
    pub(super) async fn stopped(&self) {
        self.stop.finished().await;
    }

    async fn serve(
        self: Arc<Self>,
        node: Arc<Node>,
        source: Arc<dyn HttpSource>,
        mut stopping: Stopping,
    ) {
        let Some(http) = &self.config.http else { return };
        let port = Port {
            entity: Arc::from(format!("listener {}", self.config.name)),
            host: self.config.host.clone(),
            port: self.config.port.number,
            family: Family::Any,
            backlog: 128,
            used_for: SocketUse::Http,
        };
        let opened = tokio::select! {
            opened = port.open(&node, &self.status) => opened,
            () = stopping.asked() => None,
        };
        let Some(sockets) = opened else { return };
        let options = Options {
            healthz: http.healthz,
            metrics: http.metrics,
            certified: self.config.authenticate_peer,
            files: http.root.clone().map(Folder::new),
            websockets: http.websockets.then(|| self.websockets(&node)),
            origins: http
                .origins
                .clone()
                .map_or_else(Origins::default, |listed| Origins { own: true, listed }),
            neighbors: Arc::clone(&node.access.neighbors),
            ..Options::default()
        };
        let mut tasks = JoinSet::new();
        for socket in sockets {
            if let Ok(address) = socket.local_addr() {
                log!(Http, Info, "Listening for HTTP on {address}");
            }
            let source = Arc::clone(&source);
            match &self.acceptor {
                None => drop(tasks.spawn(http_server::serve_on(socket, options.clone(), source))),
                Some(acceptor) => {
                    let refused = self.refused(&node);
                    let required = self.config.refuses_clear_text();
                    let secured =
                        Secured::new(socket, acceptor.clone(), required, HANDSHAKE, refused);
                    drop(tasks.spawn(http_server::serve_on(secured, options.clone(), source)));
                }
            }
        }
        tokio::select! {
            () = async { while tasks.join_next().await.is_some() {} } => {}
            () = stopping.asked() => {
                tasks.shutdown().await;
                for address in self.status.addresses() {
                    log!(Http, Info, "Stopped listening for HTTP on {address}");
                }
                self.status.closed();
            }
        }
    }

    /// Returns the function that takes over a client that has opened a WebSocket. It becomes a
    /// client of AMQP.
    fn websockets(&self, node: &Arc<Node>) -> WebSockets {
        let node = Arc::clone(node);
        let listener =
            AmqpListener::without_port(&node, self.config.clone(), self.acceptor.clone());
        Arc::new(move |released: Released, descriptor| {
            let websocket = WebSocket::new(released.session, released.read);
            if let Err(error) = listener.adopt(&node, (released.socket, descriptor), websocket) {
                log!(Http, Error, "a WebSocket's socket is lost: {error}");
            }
        })
    }

    /// Returns the function that hears of clients without a TLS session.
    fn refused(&self, node: &Arc<Node>) -> Refused {
        let (node, name) = (Arc::clone(node), self.config.name.clone());
        Arc::new(move |peer: SocketAddr, error: Option<&HandshakeError>| {
            node.registry.refuse(&name, if error.is_some() { "tls" } else { "plain_text" });
            let text = error
                .map_or_else(|| "clear text where TLS is required".to_owned(), ToString::to_string);
            crate::log_limited!(
                (name.as_str(), peer.ip(), text.as_str()),
                Http,
                Error,
                "Connection from {peer} (to {name}) failed: {text}"
            );
        })
    }
}
