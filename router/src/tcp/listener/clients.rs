//! The clients of a tcpListener, from the accepted socket to the task that carries them.

use std::net::SocketAddr;
use std::sync::Arc;

use skupper_proto::stream;
use tokio::net::TcpStream;

use super::super::addresses::ListenerAddress;
use super::super::machine::Source;
use super::super::reply::{Answer, Reply};
use super::super::service::{Beginning, Service};
use super::{Client, TcpListener};
use crate::core::Choice;
use crate::node::{HANDSHAKE, Host, Node, in_turn, unguessable};
use crate::socket::{self, Phase, Source as Origin};
use crate::tls::{Acceptor, HandshakeError, Session};
use crate::{log, log_limited};

/// Bytes that a client may send towards its server before the answer from there comes. They save a
/// client that speaks first one of two round trips. They wait in memory while the server is dialed,
/// and are lost if that fails.
const EARLY: usize = 16 * 1024;

/// The address that a client is brought to, and the consumer that was chosen there, if any.
struct Destination {
    address: Arc<ListenerAddress>,
    choice: Option<Choice>,
}

impl TcpListener {
    /// Takes a client in: opens TLS if the listener has it, and begins the client's connection on
    /// the shard that will carry it.
    pub(super) fn admit(self: &Arc<Self>, node: &Arc<Node>, client: Client) {
        match &self.acceptor {
            Some(acceptor) => self.open_tls(node, client, acceptor.clone()),
            None => self.place(node, client),
        }
    }

    /// Opens TLS with a client in a task of its own, which begins the client's connection.
    fn open_tls(self: &Arc<Self>, node: &Arc<Node>, client: Client, acceptor: Acceptor) {
        let place = self.handshakes.arrive(Origin::of(client.peer.ip()));
        let (listener, node, coming) = (Arc::clone(self), Arc::clone(node), node.registry.coming());
        drop(tokio::spawn(in_turn(async move {
            let _coming = coming;
            let Client { socket, descriptor, peer } = client;
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
            match result {
                Some(Ok((socket, session))) => {
                    if let Some(destination) = listener.choose(&node) {
                        let client = Client { socket, descriptor, peer };
                        listener.begin(&node, destination, client, session, 0);
                    }
                }
                Some(Err(error)) => listener.on_handshake_failed(&node, peer, &error),
                None => listener.on_crowd(&node),
            }
        })));
    }

    /// Takes a client without TLS to the shard of the data connection that its stream will leave
    /// by.
    fn place(self: &Arc<Self>, node: &Arc<Node>, client: Client) {
        let Some(destination) = self.choose(node) else { return socket::reset(client.socket) };
        let shard = destination.choice.as_ref().and_then(Choice::shard).unwrap_or_default()
            % node.shards.count();
        if shard == 0 {
            return self.begin(node, destination, client, Session::plain(), 0);
        }
        let (listener, node) = (Arc::clone(self), Arc::clone(node));
        let Client { socket, descriptor, peer } = client;
        let Ok(socket) = socket.into_std() else { return };
        node.shards.handle(shard).clone().spawn(in_turn(async move {
            if let Ok(socket) = TcpStream::from_std(socket) {
                let client = Client { socket, descriptor, peer };
                listener.begin(&node, destination, client, Session::plain(), shard);
            }
        }));
    }

    /// Chooses where a client goes; `None` if the listener has no address. Call it once a client:
    /// each choice uses up a turn of the destinations and of their data connections.
    fn choose(&self, node: &Node) -> Option<Destination> {
        let address = self.addresses.pick()?;
        let choice = node.core.choose(&address.record);
        Some(Destination { address, choice })
    }

    fn on_handshake_failed(&self, node: &Node, peer: SocketAddr, error: &HandshakeError) {
        node.registry.refuse(&self.name, "tls");
        log_limited!(
            &*self.name,
            TcpAdaptor,
            Warning,
            "tcpListener {}: TLS connection from {peer} failed: {error}",
            self.name
        );
    }

    fn on_crowd(&self, node: &Node) {
        node.registry.refuse(&self.name, "busy");
        log_limited!(
            &*self.name,
            TcpAdaptor,
            Error,
            "tcpListener {}: too many clients are opening TLS: one gives way",
            self.name
        );
    }

    /// Starts the task of a client's connection, and sends the client's stream on its way.
    fn begin(
        &self,
        node: &Arc<Node>,
        destination: Destination,
        client: Client,
        session: Session,
        shard: usize,
    ) {
        let Destination { address, choice } = destination;
        let service = &address.service;
        let id = node.registry.number();
        let Some(choice) = choice else {
            log!(TcpAdaptor, Debug, "[C{id}] nobody serves {service} any more: client closed");
            return socket::reset(client.socket);
        };
        let reply = Arc::new(Reply::default());
        let handle = node.core.replies().add(shard, unguessable(), Arc::clone(&reply) as Arc<_>);
        let flow = node.next_flow();
        let alpn = session.info().and_then(|info| info.alpn.as_deref());
        let head = stream::encode_head(service, Some(&handle.address()), Some(&flow), alpn);
        address.open();
        let beginning = Beginning {
            socket: client.socket,
            descriptor: client.descriptor,
            session,
            entity: &self.name,
            service,
            stats: &self.stats,
            memory: &address.memory,
            outgoing: false,
            host: Host::Address(client.peer),
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
