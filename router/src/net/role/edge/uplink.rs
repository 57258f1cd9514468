//! The links of an edge router to its interior router, on the connection that is its uplink.
//!
//! Messages to the network leave by one link, and messages for this router arrive by another. Each
//! address with a consumer here has a link on which its messages arrive. Each address with a sender
//! here has one on which they leave. That one is in use while the interior router says that the
//! address has consumers. A connection that stands by has no such links.

use std::sync::Arc;

use skupper_proto::address::{AddressKey, EDGE_UPLINK};
use skupper_proto::amqp::performative::{Attach, Error, Role};
use skupper_proto::amqp::terminus::Target;
use skupper_proto::amqp::{Multiple, Symbol, condition};
use skupper_proto::edge::{DOWNLINK, MESH_ADDRESS, TRACKING_ADDRESS, Tracking, encode_mesh};
use skupper_proto::engine::{LinkKey, SessionKey};

use super::address_links::{AddressLinks, Keyed};
use super::proxy::{Sender, attach_sender, log_too_many_links, meet_consumed, send, serve_by};
use crate::core::Demand;
use crate::net::attach::{for_address, request};
use crate::net::incoming::OwnUse;
use crate::net::link_layer::LinkLayer;
use crate::node::LinkKind;

/// Credit for messages about the reach of addresses.
const TRACKING_CREDIT: u32 = 32;

/// The links of an uplink.
pub(super) struct Uplink {
    session: SessionKey,
    anonymous: Sender,
    downlink: LinkKey,
    tracking: LinkKey,
    mesh: Option<Sender>,
    /// The mesh that the interior router was told.
    told_mesh: Option<Arc<Box<str>>>,
    /// The links of addresses with consumers here.
    consumed: AddressLinks<LinkKey>,
    /// The links of addresses with senders here.
    produced: AddressLinks<Sender>,
}

impl Uplink {
    /// Returns the address that a link is for.
    fn address_of(&self, link: LinkKey) -> Option<&AddressKey> {
        self.consumed.address_of(link).or_else(|| self.produced.address_of(link))
    }

    /// Returns whether the uplink is of no use without a link.
    fn needs(&self, link: LinkKey) -> bool {
        [self.anonymous.link, self.downlink, self.tracking].contains(&link)
    }
}

impl Uplink {
    /// Attaches the links that every uplink has. Returns none if there are too many links.
    pub(super) fn enter(links: &mut LinkLayer) -> Option<Self> {
        crate::log!(
            RouterCore,
            Info,
            "Edge connection (id={}) to interior established",
            links.cx.id
        );
        let (own, session) = (links.cx.engine.begin()?, links.cx.engine.begin()?);
        let has_mesh = links.cx.core.mesh().is_some();
        let mesh = has_mesh
            .then(|| attach_sender(links, own, for_address(Role::Sender, MESH_ADDRESS)))
            .flatten();
        let anonymous = attach_sender(links, session, request(Role::Sender, None));
        let LinkLayer { cx, incoming, .. } = links;
        let mut downlink = for_address(Role::Receiver, cx.core.id());
        let capability = || Some(Multiple(vec![Symbol::from_static(DOWNLINK)]));
        if let (Some(source), Some(Target::Message(target))) =
            (&mut downlink.source, &mut downlink.target)
        {
            (source.capabilities, target.capabilities) = (capability(), capability());
        }
        let downlink = cx.engine.attach(session, downlink);
        let tracking = cx.engine.attach(own, for_address(Role::Receiver, TRACKING_ADDRESS));
        let (anonymous, downlink, tracking) = (anonymous?, downlink?, tracking?);
        cx.engine.keep_credit(downlink, cx.settings.link_capacity);
        cx.engine.keep_credit(tracking, TRACKING_CREDIT);
        incoming.take_own(tracking, OwnUse::Edge);
        let (consumed, produced) = Default::default();
        Some(Self {
            session,
            anonymous,
            downlink,
            tracking,
            mesh,
            told_mesh: None,
            consumed,
            produced,
        })
    }

    /// Acts on changes of addresses or of the mesh.
    pub(super) fn on_changed(&mut self, links: &mut LinkLayer, demands: Vec<Demand>) {
        self.tell_mesh(links);
        for demand in demands {
            if !self.meet(links, &demand) {
                log_too_many_links(&links.cx, &demand.address);
            }
        }
    }

    /// Tells the interior router the mesh of this router, if that is news.
    fn tell_mesh(&mut self, links: &mut LinkLayer) {
        let (Some(sender), Some(mesh)) = (self.mesh, links.cx.core.mesh()) else { return };
        if self.told_mesh.as_ref() != Some(&mesh) {
            let sections = encode_mesh(&mesh);
            self.told_mesh = Some(mesh);
            send(links, sender.number, sections);
        }
    }

    /// Detaches all links but those of streams, which go on to their end.
    pub(super) fn leave(self, links: &mut LinkLayer) {
        let for_addresses = self.produced.into_links().chain(self.consumed.into_links());
        let others = [self.anonymous.link, self.downlink, self.tracking]
            .into_iter()
            .chain(self.mesh.map(Keyed::link));
        for link in for_addresses.chain(others) {
            links.detach(link);
        }
    }

    /// Attaches and detaches the links of an address as they are needed. Returns false if there are
    /// too many links for another.
    fn meet(&mut self, links: &mut LinkLayer, demand: &Demand) -> bool {
        match (demand.produced, self.produced.get(&demand.address)) {
            (true, None) => {
                let attach = for_address(Role::Sender, demand.address.text());
                match attach_sender(links, self.session, attach) {
                    Some(sender) => self.produced.insert(demand.address.clone(), sender),
                    None => return false,
                }
            }
            (false, Some(sender)) => {
                self.produced.remove(&demand.address);
                links.detach(sender.link);
            }
            _ => {}
        }
        meet_consumed(links, self.session, &mut self.consumed, demand)
    }

    /// Acts on word of the interior router about the consumers of an address.
    pub(super) fn on_tracking(&self, links: &mut LinkLayer, tracking: &Tracking) {
        let Some(sender) = self.produced.get(&tracking.address) else { return };
        let LinkLayer { cx, outgoing, .. } = links;
        match tracking.reachable {
            true if !outgoing.consumes(sender.link) => {
                let consumption = serve_by(cx, tracking.address.clone(), sender.number);
                outgoing.set_consumption(sender.link, consumption);
            }
            true => {}
            false => outgoing.set_consumption(sender.link, None),
        }
    }

    /// Acts on the answer to an attach. Returns false if the link is none of these.
    pub(super) fn on_answered(
        &self,
        links: &mut LinkLayer,
        link: LinkKey,
        attach: &Attach,
    ) -> bool {
        let address = self.address_of(link).map(ToString::to_string);
        let mesh = self.mesh.is_some_and(|mesh| mesh.link == link);
        if address.is_none() && !mesh && !self.needs(link) {
            return false;
        }
        let LinkLayer { cx, outgoing, .. } = links;
        cx.know(link, (&attach.name, attach.role), LinkKind::Endpoint, None, address);
        if attach.role == Role::Receiver {
            outgoing.on_consumer_answered(cx, link);
        }
        if self.anonymous.link == link {
            let consumption = serve_by(cx, EDGE_UPLINK.to_key(), self.anonymous.number);
            outgoing.set_consumption(link, consumption);
        }
        true
    }

    /// Acts on the detach or refusal of a link.
    pub(super) fn on_detached(&mut self, links: &mut LinkLayer, link: LinkKey) {
        if self.needs(link) {
            let text = "a link of the edge connection was refused or detached";
            let reason = Error::new(condition::NOT_ALLOWED, text);
            return links.cx.engine.close(Some(reason), links.cx.now);
        }
        self.mesh.take_if(|mesh| mesh.link == link);
        self.consumed.forget(link);
        self.produced.forget(link);
    }
}
