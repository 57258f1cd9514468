//! Links of edge connections: at an interior router, to an edge router ([`downlink`]); at an edge
//! router, to its interior router ([`uplink`]) and to other edge routers ([`beside`]). Links for
//! addresses are otherwise as a client's, and streams have links of their own as between interior
//! routers.

mod address_links;
mod beside;
mod downlink;
mod uplink;

use std::sync::Arc;

use beside::Beside;
use bytes::Bytes;
use downlink::Told;
pub(super) use downlink::is_tracking;
use skupper_proto::amqp::condition;
use skupper_proto::amqp::performative::{DeliveryState, Error};
use skupper_proto::annotations::{self, Parsed};
use skupper_proto::edge::{Bid, EdgeMessageError, Tracking, decode_mesh};
use skupper_proto::engine::{IncomingKey, LinkKey};
use uplink::Uplink;

use super::connection::Connection;
use super::wake::Wake;
use crate::core::{Leads, Notify};
use crate::node::Node;
use crate::schema::Role;

/// What a connection knows of itself as an edge connection.
#[derive(Default)]
pub(super) struct EdgeLinks {
    /// At an interior router: what the edge router has been told.
    told: Told,
    /// The link on which the other edge router says which mesh it belongs to, or bids for its id.
    mesh: Option<LinkKey>,
    /// At an edge router: the links of an uplink that is in use.
    uplink: Option<Uplink>,
    /// At an edge router: the links with another edge router, if this connection is in use.
    beside: Option<Beside>,
}

impl EdgeLinks {
    /// Whether messages of a link are for this router's own use.
    pub(super) fn takes(&self, link: LinkKey) -> bool {
        self.mesh == Some(link)
            || self.uplink.as_ref().is_some_and(|uplink| uplink.tracking == link)
    }
}

impl Connection {
    /// The peer of an edge connection has opened.
    pub(super) fn edge_up(&mut self, peer: &Arc<str>) {
        let notify = Notify::Slot(Arc::clone(&self.cx.mailbox), Wake::Edge.into());
        let beside = self.cx.settings.role == Role::InterEdge;
        self.cx.edge =
            Some(self.cx.core.edge_up(Arc::clone(peer), beside, self.cx.settings.ordinal, notify));
        self.cx.standing.set_edge(self.cx.edge.clone());
    }

    /// The connection has ended.
    pub(super) fn edge_down(&mut self) {
        if let Some(edge) = self.cx.edge.take() {
            self.cx.core.edge_down(&edge);
            self.cx.standing.set_edge(None);
        }
    }

    /// Something has changed for the edge connection.
    pub(super) fn edge_noticed(&mut self) {
        match self.cx.edge.as_ref().map(|edge| edge.leads()) {
            Some(Leads::Up) => self.uplink_noticed(),
            Some(Leads::Beside) => self.beside_noticed(),
            Some(Leads::Down) | None => {}
        }
    }

    /// A message for this router's own use.
    pub(super) fn edge_message(&mut self, key: IncomingKey, link: LinkKey, octets: &Bytes) {
        match self.take_edge_message(link, octets) {
            Ok(()) => self.cx.engine.disposition(key, Some(DeliveryState::Accepted), false),
            Err(error) => {
                crate::log_limited!(
                    self.cx.id,
                    RouterCore,
                    Error,
                    "[C{}] a message of the edge connection: {error}",
                    self.cx.id
                );
                self.reject(key, Error::new(condition::DECODE_ERROR, error.to_string()));
            }
        }
    }

    fn take_edge_message(&mut self, link: LinkKey, octets: &Bytes) -> Result<(), EdgeMessageError> {
        let length = match annotations::parse(octets) {
            Ok(Parsed::Present(annotations)) => annotations.length,
            _ => 0,
        };
        let sections = octets.get(length..).unwrap_or_default();
        let Some(edge) = &self.cx.edge else { return Ok(()) };
        if self.edge.mesh == Some(link) && edge.leads() == Leads::Beside {
            self.cx.core.take_bid(edge, &Bid::decode(sections)?, Node::bid);
        } else if self.edge.mesh == Some(link) {
            self.cx.core.set_mesh(edge, &decode_mesh(sections)?);
        } else {
            let tracking = Tracking::decode(sections)?;
            self.tracked(&tracking);
        }
        Ok(())
    }
}
