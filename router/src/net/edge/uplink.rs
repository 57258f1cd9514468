//! At an edge router: the links of the connection that is in use as its uplink.
//!
//! One is for all that goes to the network, one for what comes for this router itself. For each
//! address that somebody consumes here there is one on which its messages come, and for each that
//! somebody wants to send to one on which they go, in use while the interior router says that there
//! is somebody to take them. A connection that stands by has none.

use std::sync::Arc;

use bytes::Bytes;
use skupper_proto::address::{AddressKey, EDGE_UPLINK};
use skupper_proto::amqp::performative::{Attach, Error, Role};
use skupper_proto::amqp::terminus::Target;
use skupper_proto::amqp::{Multiple, Symbol, condition};
use skupper_proto::edge::{DOWNLINK, MESH_ADDRESS, TRACKING_ADDRESS, Tracking, encode_mesh};
use skupper_proto::engine::{AttachRequest, LinkKey, SessionKey};

use super::super::clients::{Consumer, Producer};
use super::super::connection::Connection;
use super::super::links::request;
use super::address_links::{AddressLinks, Known};
use crate::core::{Consumption, Delivery, Demand, LocalConsumer, Message};
use crate::node::LinkKind;

/// Credit for messages that say which addresses can be reached.
const TRACKING_CREDIT: u32 = 32;

/// A link on which this router sends, with its number.
#[derive(Clone, Copy)]
pub(super) struct Sender {
    pub(super) link: LinkKey,
    pub(super) number: u32,
}

impl Known for Sender {
    fn link(self) -> LinkKey {
        self.link
    }
}

/// The links of an uplink.
pub(super) struct Uplink {
    session: SessionKey,
    anonymous: Sender,
    downlink: LinkKey,
    pub(super) tracking: LinkKey,
    mesh: Option<Sender>,
    /// The mesh that the interior router has been told.
    told_mesh: Option<Arc<Box<str>>>,
    /// Where somebody consumes the address here.
    consumed: AddressLinks<LinkKey>,
    /// Where somebody here sends to the address.
    produced: AddressLinks<Sender>,
}

impl Uplink {
    /// What a link is known by: the address that it is for.
    fn address_of(&self, link: LinkKey) -> Option<&AddressKey> {
        self.consumed.address_of(link).or_else(|| self.produced.address_of(link))
    }

    /// Whether it is of no use without a link.
    fn needs(&self, link: LinkKey) -> bool {
        [self.anonymous.link, self.downlink, self.tracking].contains(&link)
    }
}

/// An attach with the router's end for an address.
pub(super) fn for_address(role: Role, address: &str) -> AttachRequest {
    let mut attach = request(role, None);
    match role {
        Role::Receiver => {
            if let Some(source) = &mut attach.source {
                source.address = Some(address.to_owned());
            }
        }
        Role::Sender => {
            if let Some(Target::Message(target)) = &mut attach.target {
                target.address = Some(address.to_owned());
            }
        }
    }
    attach
}

impl Connection {
    /// The connection is in use, or not any more, or addresses have changed.
    pub(super) fn uplink_noticed(&mut self) {
        let Some(edge) = self.cx.edge.clone().filter(|_| self.cx.life.is_open()) else { return };
        let Some(demands) = self.cx.core.edge_demands(&edge) else { return self.leave_uplink() };
        if self.edge.uplink.is_none() && !self.enter_uplink() {
            return;
        }
        self.tell_mesh();
        let Some(mut uplink) = self.edge.uplink.take() else { return };
        for demand in demands {
            if !self.meet(&mut uplink, &demand) {
                self.too_many_links(&demand.address);
            }
        }
        self.edge.uplink = Some(uplink);
    }

    /// Tells the interior router which mesh this router belongs to, if it has not been told.
    fn tell_mesh(&mut self) {
        let Some(Uplink { mesh: Some(sender), told_mesh, .. }) = &mut self.edge.uplink else {
            return;
        };
        let Some(mesh) = self.cx.core.mesh().filter(|mesh| told_mesh.as_ref() != Some(mesh)) else {
            return;
        };
        let (number, sections) = (sender.number, encode_mesh(&mesh));
        *told_mesh = Some(mesh);
        let message =
            Message { sections: Bytes::from(sections), internal: true, ..Message::default() };
        self.deliver_to_client(Delivery::whole(message, Bytes::new(), self.cx.core.own()), number);
    }

    /// Attaches the links that every uplink has.
    fn enter_uplink(&mut self) -> bool {
        crate::log!(
            RouterCore,
            Info,
            "Edge connection (id={}) to interior established",
            self.cx.id
        );
        let (Some(own), Some(session)) = (self.cx.engine.begin(), self.cx.engine.begin()) else {
            return false;
        };
        let mesh = self
            .cx
            .core
            .mesh()
            .is_some()
            .then(|| self.attach_sender(own, for_address(Role::Sender, MESH_ADDRESS)))
            .flatten();
        let anonymous = self.attach_sender(session, request(Role::Sender, None));
        let mut downlink = for_address(Role::Receiver, self.cx.core.id());
        let capability = || Some(Multiple(vec![Symbol::from_static(DOWNLINK)]));
        if let (Some(source), Some(Target::Message(target))) =
            (&mut downlink.source, &mut downlink.target)
        {
            (source.capabilities, target.capabilities) = (capability(), capability());
        }
        let downlink = self.cx.engine.attach(session, downlink);
        let tracking = self.cx.engine.attach(own, for_address(Role::Receiver, TRACKING_ADDRESS));
        let (Some(anonymous), Some(downlink), Some(tracking)) = (anonymous, downlink, tracking)
        else {
            return false;
        };
        self.cx.engine.keep_credit(downlink, self.cx.settings.link_capacity);
        self.cx.engine.keep_credit(tracking, TRACKING_CREDIT);
        let (consumed, produced) = Default::default();
        self.edge.uplink = Some(Uplink {
            session,
            anonymous,
            downlink,
            tracking,
            mesh,
            told_mesh: None,
            consumed,
            produced,
        });
        true
    }

    /// Detaches all links but those of streams, which go on to their end.
    fn leave_uplink(&mut self) {
        let Some(uplink) = self.edge.uplink.take() else { return };
        let for_addresses = uplink.produced.into_links().chain(uplink.consumed.into_links());
        let others = [uplink.anonymous.link, uplink.downlink, uplink.tracking]
            .into_iter()
            .chain(uplink.mesh.map(Known::link));
        for link in for_addresses.chain(others) {
            self.detach_proxy(link);
        }
    }

    pub(super) fn detach_proxy(&mut self, link: LinkKey) {
        self.cx.engine.detach(link, None);
        self.link_gone(link);
    }

    pub(super) fn attach_sender(
        &mut self,
        session: SessionKey,
        attach: AttachRequest,
    ) -> Option<Sender> {
        let link = self.cx.engine.attach(session, attach)?;
        let number = self.clients.number(link);
        self.consumer_expected(link, Consumer::new(number, None), self.cx.settings.link_capacity);
        Some(Sender { link, number })
    }

    /// Attaches and detaches the links of an address as they are needed. Returns false when there
    /// are too many links for another.
    fn meet(&mut self, uplink: &mut Uplink, demand: &Demand) -> bool {
        let produced = uplink.produced.get(&demand.address);
        match (demand.produced, produced) {
            (true, None) => match self
                .attach_sender(uplink.session, for_address(Role::Sender, demand.address.text()))
            {
                Some(sender) => uplink.produced.insert(demand.address.clone(), sender),
                None => return false,
            },
            (false, Some(sender)) => {
                uplink.produced.remove(&demand.address);
                self.detach_proxy(sender.link);
            }
            _ => {}
        }
        self.meet_consumed(uplink.session, &mut uplink.consumed, demand)
    }

    /// Attaches a link on which what is for an address comes.
    pub(super) fn attach_consumed(
        &mut self,
        session: SessionKey,
        key: &AddressKey,
    ) -> Option<LinkKey> {
        let link = self.cx.engine.attach(session, for_address(Role::Receiver, key.text()))?;
        self.cx.engine.keep_credit(link, self.cx.settings.link_capacity);
        self.clients
            .producers
            .insert(link, Producer::of_router(key.text(), self.cx.settings.link_capacity));
        Some(link)
    }

    pub(super) fn too_many_links(&self, key: &AddressKey) {
        crate::log_limited!(
            self.cx.id,
            RouterCore,
            Error,
            "[C{}] no link to the interior router for address '{}': there are too many",
            self.cx.id,
            key.text()
        );
    }

    /// The interior router says whether anybody takes what is sent to an address.
    pub(super) fn tracked(&mut self, tracking: &Tracking) {
        let Some(uplink) = &self.edge.uplink else { return };
        let Some(sender) = uplink.produced.get(&tracking.address) else { return };
        match tracking.reachable {
            true if !self.consumes(sender.link) => {
                let consumption = self.serve_by(tracking.address.clone(), sender.number);
                self.set_consumption(sender.link, consumption);
            }
            true => {}
            false => self.set_consumption(sender.link, None),
        }
    }

    /// Makes a link to the interior router a consumer of an address.
    pub(super) fn serve_by(&self, key: AddressKey, number: u32) -> Option<Consumption> {
        let edge = self.cx.edge.as_ref()?;
        let consumer =
            LocalConsumer::behind(edge, self.link_endpoint(number), self.link_capacity());
        Some(self.cx.core.serve(key, consumer, self.cx.now))
    }

    /// The interior router answered the attach of a link. Returns false when it is none of an
    /// uplink.
    pub(in super::super) fn uplink_answered(&mut self, link: LinkKey, attach: &Attach) -> bool {
        let Some(uplink) = &self.edge.uplink else { return false };
        let address = uplink.address_of(link).map(ToString::to_string);
        let (anonymous, mesh) = (uplink.anonymous, uplink.mesh.filter(|mesh| mesh.link == link));
        if address.is_none() && mesh.is_none() && !uplink.needs(link) {
            return false;
        }
        self.know(link, (&attach.name, attach.role), LinkKind::Endpoint, None, address);
        if attach.role == Role::Receiver {
            self.consumer_answered(link);
        }
        if anonymous.link == link {
            let consumption = self.serve_by(EDGE_UPLINK.to_key(), anonymous.number);
            self.set_consumption(link, consumption);
        }
        true
    }

    /// The interior router detached a link, or refused it.
    pub(in super::super) fn uplink_detached(&mut self, link: LinkKey) {
        let Some(uplink) = &mut self.edge.uplink else { return };
        if uplink.needs(link) {
            let reason = Error::new(
                condition::NOT_ALLOWED,
                "a link of the edge connection was refused or detached",
            );
            return self.cx.engine.close(Some(reason), self.cx.now);
        }
        uplink.mesh.take_if(|mesh| mesh.link == link);
        uplink.consumed.forget(link);
        uplink.produced.forget(link);
    }
}
