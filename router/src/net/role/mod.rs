//! The role of a connection: what its peer is to this router.
//!
//! The configuration and the peer's open decide the role. Until the open has arrived each
//! connection is a client's. A role owns the links that it needs and reacts to their events. Their
//! deliveries are below it, in the [`LinkLayer`].
//!
//! | role | the peer | its links |
//! | --- | --- | --- |
//! | [`Client`] | an AMQP client or container | the peer's, and those of autoLinks |
//! | [`Control`] | a router | two of the routing protocol, ten for messages by priority, streams |
//! | [`Data`] | a router | streams |
//! | [`Edge`] | an edge router, or this one's interior router | one for each address, streams |

mod auto_links;
mod client;
mod control;
mod data;
mod edge;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub(super) use client::Client;
pub(super) use control::Control;
pub(super) use data::Data;
pub(super) use edge::Edge;
use skupper_proto::amqp::condition;
use skupper_proto::amqp::performative::{Attach, Error, Role as LinkRole};
use skupper_proto::engine::{LinkKey, SessionKey};
use skupper_proto::time::Instant;

use super::attach::{CONTROL, DATA, near_capabilities};
use super::incoming::OwnMessage;
use super::link_layer::LinkLayer;
use crate::node::{LinkKind, Node};

/// The role of a connection.
pub(super) enum Role {
    /// The peer is an AMQP client, or not known yet.
    Client(Client),
    /// The peer is a router. The routing protocol runs here, and streams do without data
    /// connections.
    Control(Control),
    /// The peer is a router: streams alone go here.
    Data(Data),
    /// The peer is an edge router, or this router is one.
    Edge(Box<Edge>),
}

impl Role {
    /// Returns whether the peer is an AMQP client, or not known yet.
    pub(super) const fn is_client(&self) -> bool {
        matches!(self, Self::Client(_))
    }

    /// Begins the service of a peer that may stay.
    pub(super) fn on_opened(&mut self, links: &mut LinkLayer, node: &Node, container: &Arc<str>) {
        match self {
            Self::Client(client) => client.on_opened(links, node, container),
            Self::Control(control) => control.on_opened(links),
            Self::Data(data) => data.on_opened(links, container),
            // An edge connection may stand by.
            Self::Edge(_) => links.cx.life.set_served(),
        }
    }

    /// Accepts or refuses a link that the peer attached.
    pub(super) fn on_attached(&mut self, links: &mut LinkLayer, link: LinkKey, attach: Attach) {
        let has =
            |capability| near_capabilities(&attach).is_some_and(|known| known.contains(capability));
        if !matches!(self, Self::Control(_)) && (has(CONTROL) || has(DATA)) {
            let text = "Connectivity to the node is forbidden";
            return links.refuse(link, &attach.name, Error::new(condition::FORBIDDEN, text));
        }
        match self {
            Self::Client(_) => client::on_attached(links, link, attach),
            Self::Control(control) => control.on_attached(links, link, attach),
            Self::Data(_) => data::on_attached(links, link, attach),
            Self::Edge(edge) => edge.on_attached(links, link, attach),
        }
    }

    /// Acts on the peer's answer to the attach of a link.
    pub(super) fn on_answered(&mut self, links: &mut LinkLayer, link: LinkKey, attach: &Attach) {
        let refused = match attach.role {
            LinkRole::Sender => attach.source.is_none(),
            LinkRole::Receiver => attach.target.is_none(),
        };
        if refused {
            // A null terminus at the peer's end says so. Its detach with the reason follows.
            return;
        }
        let (known, kind) = match self {
            Self::Client(client) => (client.on_answered(links, link, attach), LinkKind::Endpoint),
            Self::Control(control) => {
                (control.on_answered(links, link, attach), LinkKind::InterRouter)
            }
            Self::Data(_) => (false, LinkKind::Endpoint),
            Self::Edge(edge) => (edge.on_answered(links, link, attach), LinkKind::Endpoint),
        };
        if !known {
            links.on_stream_answered(link, attach, kind);
        }
    }

    /// Forgets a link that the peer detached.
    pub(super) fn on_detached(
        &mut self,
        links: &mut LinkLayer,
        link: LinkKey,
        error: Option<&Error>,
    ) {
        if let Self::Client(client) = self {
            client.on_detached(links, link, error);
        }
        links.on_link_gone(link);
        match self {
            Self::Client(_) | Self::Data(_) => {}
            Self::Control(control) => control.on_detached(links, link),
            Self::Edge(edge) => edge.on_detached(links, link),
        }
    }

    /// Acts on the end of a session, whose links are gone. Returns an error with which to close the
    /// connection. Each session of a client may end by itself; elsewhere nothing works after one is
    /// lost.
    pub(super) fn on_session_ended(
        &mut self,
        links: &mut LinkLayer,
        session: SessionKey,
        error: Option<Error>,
    ) -> Option<Error> {
        if let Self::Client(client) = self {
            client.on_session_ended(links, session, error.as_ref());
            return None;
        }
        let error = error.unwrap_or_else(|| Error::new(condition::NOT_ALLOWED, "a session ended"));
        crate::log!(Server, Warning, "[C{}] session ended: {error}", links.cx.id);
        Some(error)
    }

    /// Takes a message for this router itself.
    pub(super) fn on_own_message(&mut self, links: &mut LinkLayer, own: OwnMessage) {
        let taken = match self {
            Self::Control(control) => {
                control.on_routing_message(links, &own.octets);
                Ok(())
            }
            Self::Edge(edge) => edge.on_own_message(links, &own),
            Self::Client(_) | Self::Data(_) => Ok(()),
        };
        links.incoming.on_own_taken(&mut links.cx, own.key, taken);
    }

    /// Acts on a change of the consumers of an address to which the peer sends by this link.
    pub(super) fn on_reach(&mut self, links: &mut LinkLayer, link: LinkKey) {
        if links.incoming.on_reach(&mut links.cx, link)
            && let Self::Edge(edge) = self
        {
            edge.on_reach(links, link);
        }
    }

    /// Uses a consumer's link that has become free. Returns whether a message waits there.
    pub(super) fn on_link_free(&mut self, links: &mut LinkLayer) -> bool {
        match self {
            Self::Edge(edge) => edge.on_link_free(links),
            Self::Client(_) | Self::Control(_) | Self::Data(_) => false,
        }
    }

    /// Acts on a change of the core's view of the edge connection.
    pub(super) fn on_edge_changed(&mut self, links: &mut LinkLayer) {
        if let Self::Edge(edge) = self {
            edge.on_changed(links);
        }
    }

    /// Makes way for another connection that has taken over.
    pub(super) fn on_retire(&mut self, links: &mut LinkLayer) {
        match self {
            Self::Control(control) => control.on_retire(links),
            Self::Client(_) | Self::Data(_) | Self::Edge(_) => {}
        }
    }

    /// Acts on a change of the autoLinks of this router.
    pub(super) fn on_auto_links(&mut self, links: &mut LinkLayer) {
        if let Self::Client(client) = self {
            client.on_auto_links(links);
        }
    }

    /// Returns when [`Role::on_timeout`] is to be called.
    pub(super) fn due(&self) -> Option<Instant> {
        match self {
            Self::Client(client) => client.due(),
            Self::Control(_) | Self::Data(_) | Self::Edge(_) => None,
        }
    }

    /// Does what is due.
    pub(super) fn on_timeout(&mut self, links: &mut LinkLayer) {
        if let Self::Client(client) = self {
            client.on_timeout(links);
        }
    }

    /// Takes the connection's part out of the core and the node, for it has ended.
    pub(super) fn on_end(&mut self, links: &mut LinkLayer) {
        match self {
            Self::Client(client) => client.on_end(links),
            Self::Control(control) => control.on_end(links),
            Self::Data(data) => data.on_end(links),
            Self::Edge(_) => edge::on_end(links),
        }
    }
}
