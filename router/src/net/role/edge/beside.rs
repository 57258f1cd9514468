//! The links of an edge router with another one, on the connection of the two that is in use.
//!
//! Messages for the other router leave by one link. Each address with a consumer here has a link on
//! which its messages arrive. Both routers bid for the id of the mesh that they form. By that id
//! interior routers know not to send the messages of a mesh back to it.

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
    /// For messages to the other router itself.
    direct: Sender,
    /// For bids, and the bidding of the last one.
    bids: Sender,
    told: Option<u64>,
    /// The links of addresses with consumers here.
    consumed: AddressLinks<LinkKey>,
}

impl Beside {
    /// Attaches the links that depend on no address. Returns none if there are too many links.
    pub(super) fn enter(links: &mut LinkLayer) -> Option<Self> {
        let (own, session) = (links.cx.engine.begin()?, links.cx.engine.begin()?);
        let direct = attach_sender(links, session, request(Role::Sender, Some(INTER_EDGE)));
        let bids = attach_sender(links, own, for_address(Role::Sender, BID_ADDRESS));
        let (direct, bids) = (direct?, bids?);
        Some(Self { session, direct, bids, told: None, consumed: AddressLinks::default() })
    }

    /// Acts on changes of addresses or of the bid.
    pub(super) fn on_changed(&mut self, links: &mut LinkLayer, demands: Vec<Demand>) {
        self.bid(links);
        for demand in demands {
            if !meet_consumed(links, self.session, &mut self.consumed, &demand) {
                log_too_many_links(&links.cx, &demand.address);
            }
        }
    }

    /// Detaches all links but those of streams, which go on to their end.
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

    /// Acts on the answer to an attach. Returns false if the link is none of these.
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

    /// Acts on the detach or refusal of a link.
    pub(super) fn on_detached(&mut self, link: LinkKey) {
        self.consumed.forget(link);
    }
}
