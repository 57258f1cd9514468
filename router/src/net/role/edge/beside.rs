//! At an edge router: its links with another edge router, on the connection of the two that is in
//! use.
//!
//! One is for what goes to the other router itself, and for each address that somebody consumes
//! here there is one on which its messages come. Both bid for the id of the mesh that they form, by
//! which interior routers know not to send back what comes from it.

use skupper_proto::address::{AddressClass, AddressKey};
use skupper_proto::amqp::performative::{Attach, Role};
use skupper_proto::edge::{BID_ADDRESS, INTER_EDGE};
use skupper_proto::engine::{LinkKey, SessionKey};

use super::address_links::AddressLinks;
use super::proxy::{Sender, attach_sender, log_too_many_links, meet_consumed, send, serve_by};
use crate::core::Demand;
use crate::net::attach::{for_address, request};
use crate::net::link_layer::LinkLayer;
use crate::node::LinkKind;

/// The links with another edge router.
pub(super) struct Beside {
    session: SessionKey,
    /// For what goes to that router itself.
    direct: Sender,
    /// For bids, and the bidding of which the last was.
    bids: Sender,
    told: Option<u64>,
    /// Where somebody consumes the address here.
    consumed: AddressLinks<LinkKey>,
}

impl Beside {
    /// Attaches the links that there are whatever the addresses. Returns none if there are too
    /// many.
    pub(super) fn enter(links: &mut LinkLayer) -> Option<Self> {
        let (own, session) = (links.cx.engine.begin()?, links.cx.engine.begin()?);
        let direct = attach_sender(links, session, request(Role::Sender, Some(INTER_EDGE)));
        let bids = attach_sender(links, own, for_address(Role::Sender, BID_ADDRESS));
        let (direct, bids) = (direct?, bids?);
        Some(Self { session, direct, bids, told: None, consumed: AddressLinks::default() })
    }

    /// Addresses or the bid have changed.
    pub(super) fn on_changed(&mut self, links: &mut LinkLayer, demands: Vec<Demand>) {
        self.bid(links);
        for demand in demands {
            if !meet_consumed(links, self.session, &mut self.consumed, &demand) {
                log_too_many_links(&links.cx, &demand.address);
            }
        }
    }

    /// Another connection with the same router is in use: detaches all links but those of streams,
    /// which go on to their end.
    pub(super) fn leave(self, links: &mut LinkLayer) {
        let own = [self.direct.link, self.bids.link];
        for link in own.into_iter().chain(self.consumed.into_links()) {
            links.detach(link);
        }
    }

    /// Bids for the id of the mesh, once in each bidding.
    fn bid(&mut self, links: &mut LinkLayer) {
        let Some((round, bid)) = links.cx.core.bid().filter(|(round, _)| self.told != Some(*round))
        else {
            return;
        };
        self.told = Some(round);
        send(links, self.bids.number, bid.encode());
    }

    /// The other router answered the attach of a link. Returns false when it is none of these.
    pub(super) fn on_answered(
        &self,
        links: &mut LinkLayer,
        link: LinkKey,
        attach: &Attach,
    ) -> bool {
        let direct = self.direct;
        let address = self.consumed.address_of(link).map(ToString::to_string);
        if address.is_none() && ![direct.link, self.bids.link].contains(&link) {
            return false;
        }
        let LinkLayer { cx, outgoing, .. } = links;
        let kind = if direct.link == link { LinkKind::InterEdge } else { LinkKind::Endpoint };
        cx.know(link, (&attach.name, attach.role), kind, None, address);
        if attach.role == Role::Receiver {
            outgoing.on_consumer_answered(cx, link);
        }
        if let Some(edge) = cx.edge.as_ref().filter(|_| direct.link == link) {
            let key = AddressKey::new(AddressClass::Edge, &**edge.peer());
            outgoing.set_consumption(link, serve_by(cx, key, direct.number));
        }
        true
    }

    /// The other router detached a link, or refused it.
    pub(super) fn on_detached(&mut self, link: LinkKey) {
        self.consumed.forget(link);
    }
}
