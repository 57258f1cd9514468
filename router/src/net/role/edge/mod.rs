//! An edge connection: between an interior router and an edge router, or between two edge routers.
//!
//! [`downlink`] has the links that the other router attaches here. At an edge router, [`uplink`]
//! has its links to its interior router, and [`beside`] those to another edge router. [`proxy`] has
//! the parts that both share. Other links for addresses are as a client's. Streams have links of
//! their own, as between interior routers.

mod address_links;
mod beside;
mod downlink;
mod proxy;
mod uplink;

use std::sync::Arc;

use beside::Beside;
use downlink::Downlink;
use skupper_proto::amqp::condition;
use skupper_proto::amqp::performative::{Attach, Error, Role as LinkRole};
use skupper_proto::annotations::{self, Parsed};
use skupper_proto::edge::{Bid, EdgeMessageError, Tracking, decode_mesh};
use skupper_proto::engine::LinkKey;
use uplink::Uplink;

use crate::core::{Leads, Notify};
use crate::net::context::Context;
use crate::net::incoming::OwnMessage;
use crate::net::link_layer::LinkLayer;
use crate::net::wake::Wake;
use crate::node::Node;
use crate::schema::Role;

/// An edge connection.
#[derive(Default)]
pub(in crate::net) struct Edge {
    /// The links that the other router attaches.
    downlink: Downlink,
    /// At an edge router: its links to its interior router, while this connection is in use.
    uplink: Option<Uplink>,
    /// At an edge router: its links to another edge router, while this connection is in use.
    beside: Option<Beside>,
}

/// Takes the edge connection out of the core.
pub(super) fn on_end(links: &mut LinkLayer) {
    if let Some(edge) = links.cx.edge.take() {
        links.cx.core.edge_down(&edge);
        links.cx.standing.set_edge(None);
    }
}

impl Edge {
    /// Enters the edge connection into the core. To be called once the peer, which is another
    /// router, has opened.
    pub(in crate::net) fn new(cx: &mut Context, peer: &Arc<str>) -> Self {
        let notify = Notify::Slot(Arc::clone(&cx.mailbox), Wake::Edge.into());
        let beside = cx.settings.role == Role::InterEdge;
        cx.edge = Some(cx.core.edge_up(Arc::clone(peer), beside, cx.settings.ordinal, notify));
        cx.standing.set_edge(cx.edge.clone());
        Self::default()
    }

    /// Acts on a change of the addresses, of the mesh, or of the connection's use.
    pub(super) fn on_changed(&mut self, links: &mut LinkLayer) {
        let Some(edge) = links.cx.edge.clone() else { return };
        let leads = edge.leads();
        if leads == Leads::Down || !links.cx.life.is_open() {
            return;
        }
        let Some(demands) = links.cx.core.edge_demands(&edge) else { return self.leave(links) };
        if leads == Leads::Up {
            if self.uplink.is_none() {
                self.uplink = Uplink::enter(links);
            }
            if let Some(uplink) = &mut self.uplink {
                uplink.on_changed(links, demands);
            }
        } else {
            if self.beside.is_none() {
                self.beside = Beside::enter(links);
            }
            if let Some(beside) = &mut self.beside {
                beside.on_changed(links, demands);
            }
        }
    }

    /// Detaches the links, for another connection is in use.
    fn leave(&mut self, links: &mut LinkLayer) {
        if let Some(uplink) = self.uplink.take() {
            uplink.leave(links);
        }
        if let Some(beside) = self.beside.take() {
            beside.leave(links);
        }
    }

    /// Accepts or refuses a link that the peer attached.
    pub(super) fn on_attached(&mut self, links: &mut LinkLayer, link: LinkKey, attach: Attach) {
        self.downlink.on_attached(links, link, attach);
    }

    /// Acts on the answer to an attach. Returns false if the link is one for streams.
    pub(super) fn on_answered(
        &mut self,
        links: &mut LinkLayer,
        link: LinkKey,
        attach: &Attach,
    ) -> bool {
        let uplink = self.uplink.as_ref();
        let beside = self.beside.as_ref();
        uplink.is_some_and(|uplink| uplink.on_answered(links, link, attach))
            || beside.is_some_and(|beside| beside.on_answered(links, link, attach))
            // This end has given up any other link on which it does not send.
            || attach.role == LinkRole::Sender
            || !links.outgoing.sends_on(link)
    }

    /// Forgets a link that the peer detached or refused.
    pub(super) fn on_detached(&mut self, links: &mut LinkLayer, link: LinkKey) {
        self.downlink.on_detached(link);
        if let Some(beside) = &mut self.beside {
            beside.on_detached(link);
        }
        if let Some(uplink) = &mut self.uplink {
            uplink.on_detached(links, link);
        }
    }

    /// Acts on a change of the consumers of an address to which the peer sends by this link.
    pub(super) fn on_reach(&mut self, links: &mut LinkLayer, link: LinkKey) {
        self.downlink.on_reach(links, link);
    }

    /// Uses a consumer's link that has become free. Returns whether a message was sent there.
    pub(super) fn on_link_free(&mut self, links: &mut LinkLayer) -> bool {
        self.downlink.tell(links)
    }

    /// Takes a message of the edge connection. Returns the error with which to reject it.
    pub(super) fn on_own_message(
        &mut self,
        links: &mut LinkLayer,
        own: &OwnMessage,
    ) -> Result<(), Error> {
        self.take_message(links, own).map_err(|error| {
            let id = links.cx.id;
            let text = error.to_string();
            crate::log_limited!(
                id,
                RouterCore,
                Error,
                "[C{id}] a message of the edge connection: {text}"
            );
            Error::new(condition::DECODE_ERROR, text)
        })
    }

    fn take_message(
        &mut self,
        links: &mut LinkLayer,
        own: &OwnMessage,
    ) -> Result<(), EdgeMessageError> {
        let length = match annotations::parse(&own.octets) {
            Ok(Parsed::Present(annotations)) => annotations.length,
            _ => 0,
        };
        let sections = own.octets.get(length..).unwrap_or_default();
        let Some(edge) = &links.cx.edge else { return Ok(()) };
        if self.downlink.is_mesh(own.link) && edge.leads() == Leads::Beside {
            links.cx.core.on_bid(edge, &Bid::decode(sections)?, Node::bid);
        } else if self.downlink.is_mesh(own.link) {
            links.cx.core.set_mesh(edge, &decode_mesh(sections)?);
        } else {
            let tracking = Tracking::decode(sections)?;
            if let Some(uplink) = &self.uplink {
                uplink.on_tracking(links, &tracking);
            }
        }
        Ok(())
    }
}
