//! Connections over memory, for fuzzing: as if their socket had been accepted, or dialed.

use std::sync::Arc;

use skupper_proto::amqp::sasl;
use skupper_proto::engine::Layer;

use super::connection::ConnectionTask;
use super::listener::AmqpListener;
use super::pipe::{FarEnd, pipe};
use super::transport::Transport;
use super::wire::Wire;
use crate::node::Node;
use crate::tls::Session;

/// The kind of connection that the router dialed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialed {
    /// As a client, a router's control connection or an edge router's uplink, by the role of the
    /// listener.
    Main,
    /// As a data connection.
    Data,
}

impl AmqpListener {
    /// Runs a connection with the settings of this listener over memory, as if its socket had been
    /// accepted. If it was `dialed`, it runs as if a connector with the same settings had made it.
    /// The peer takes `room` bytes before it reads.
    pub fn over_memory(&self, node: &Arc<Node>, dialed: Option<Dialed>, room: usize) -> FarEnd {
        let (near, far) = pipe(room);
        let transport = Transport::from(Session::plain());
        let mut settings = self.settings(node, &transport);
        if let Some(dialed) = dialed {
            settings.outgoing = true;
            settings.data = dialed == Dialed::Data;
            settings.correlator = Some("group".to_owned());
            settings.access_id = None;
            settings.layer = Layer::Client {
                mechanisms: vec![sasl::ANONYMOUS],
                identity: "fuzz".to_owned(),
                credentials: None,
            };
        }
        let wire = Wire::of_pipe(near, transport);
        let mut connection =
            ConnectionTask::new(node, node.registry.number(), settings, wire, 0, Arc::default());
        if !self.config().role.is_router() {
            connection.links.cx.peer.arrival = node.access.policy.arrive();
        }
        node.shards.spawn(0, async move { drop(connection.run().await) });
        far
    }
}
