//! A connection with an AMQP client, or with a container that gets links.

use std::sync::Arc;

use skupper_proto::amqp::condition;
use skupper_proto::amqp::performative::{Attach, Error};
use skupper_proto::edge::TRACKING_ADDRESS;
use skupper_proto::engine::{LinkKey, SessionKey};
use skupper_proto::time::Instant;

use super::auto_links::AutoLinks;
use crate::net::attach::near_address;
use crate::net::link_layer::LinkLayer;
use crate::node::Node;
use crate::schema::Role;

/// A connection with a client, or with a peer that is not known yet.
#[derive(Default)]
pub(in crate::net) struct Client {
    /// The links of autoLinks, if the peer is a container.
    auto_links: Option<Box<AutoLinks>>,
}

/// Accepts or refuses a link that a client attached.
pub(super) fn on_attached(links: &mut LinkLayer, link: LinkKey, attach: Attach) {
    if near_address(&attach) == Some(TRACKING_ADDRESS) {
        let text = "Connection does not support address tracking";
        return links.cx.engine.refuse(link, Error::new(condition::CONNECTION_ROLE, text));
    }
    links.on_client_attached(link, attach, false);
}

impl Client {
    /// Begins the service of a client.
    pub(super) fn on_opened(&mut self, links: &mut LinkLayer, node: &Node, container: &Arc<str>) {
        let cx = &mut links.cx;
        cx.life.set_served();
        if cx.settings.role == Role::RouteContainer {
            let entity = &cx.settings.entity;
            let membership = node.auto_links.join(cx.id, entity, container, &cx.mailbox);
            self.auto_links.insert(Box::new(AutoLinks::new(membership))).renew(links);
        }
    }

    /// Acts on the answer to an attach. Returns false if the link is none of autoLinks.
    pub(super) fn on_answered(
        &mut self,
        links: &mut LinkLayer,
        link: LinkKey,
        attach: &Attach,
    ) -> bool {
        self.auto_links.as_mut().is_some_and(|own| own.on_answered(links, link, attach))
    }

    /// Plans to attach a link of autoLinks again that the peer detached.
    pub(super) fn on_detached(&mut self, links: &LinkLayer, link: LinkKey, error: Option<&Error>) {
        if let Some(own) = &mut self.auto_links {
            own.on_lost(links, link, error);
        }
    }

    /// Plans to attach the links of autoLinks again whose session is gone.
    pub(super) fn on_session_ended(
        &mut self,
        links: &LinkLayer,
        session: SessionKey,
        error: Option<&Error>,
    ) {
        if let Some(own) = &mut self.auto_links {
            own.on_session_ended(links, session, error);
        }
    }

    /// Acts on a change of the autoLinks of this router.
    pub(super) fn on_auto_links(&mut self, links: &mut LinkLayer) {
        if let Some(own) = &mut self.auto_links {
            own.renew(links);
        }
    }

    /// Returns when [`Client::on_timeout`] is to be called.
    pub(super) fn due(&self) -> Option<Instant> {
        self.auto_links.as_ref()?.due()
    }

    /// Attaches the links whose time has come.
    pub(super) fn on_timeout(&mut self, links: &mut LinkLayer) {
        if let Some(own) = &mut self.auto_links
            && own.due().is_some_and(|due| due <= links.cx.now)
        {
            own.attach(links);
        }
    }

    /// Leaves the links of autoLinks to other connections.
    pub(super) fn on_end(&mut self, links: &LinkLayer) {
        if let Some(own) = self.auto_links.take() {
            own.leave(links);
        }
    }
}
