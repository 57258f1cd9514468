//! At an edge router: its links with another edge router, on the connection of the two that is in
//! use.
//!
//! One is for what goes to the other router itself, and for each address that somebody consumes
//! here there is one on which its messages come. Both bid for the id of the mesh that they form, by
//! which interior routers know not to send back what comes from it.

use bytes::Bytes;
use skupper_proto::address::{AddressClass, AddressKey};
use skupper_proto::amqp::performative::{Attach, Role};
use skupper_proto::edge::{BID_ADDRESS, INTER_EDGE};
use skupper_proto::engine::{LinkKey, SessionKey};

use super::super::connection::Connection;
use super::super::links::request;
use super::address_links::AddressLinks;
use super::uplink::{Sender, for_address};
use crate::core::{Delivery, Message};
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

impl Connection {
    /// The connection is in use, or not any more, or addresses or the bid have changed.
    pub(super) fn beside_noticed(&mut self) {
        let Some(edge) = self.cx.edge.clone().filter(|_| self.cx.life.is_open()) else { return };
        let Some(demands) = self.cx.core.edge_demands(&edge) else { return self.leave_beside() };
        if self.edge.beside.is_none() && !self.enter_beside() {
            return;
        }
        self.send_bid();
        let Some(mut beside) = self.edge.beside.take() else { return };
        for demand in demands {
            if !self.meet_consumed(beside.session, &mut beside.consumed, &demand) {
                self.too_many_links(&demand.address);
            }
        }
        self.edge.beside = Some(beside);
    }

    fn enter_beside(&mut self) -> bool {
        let (Some(own), Some(session)) = (self.cx.engine.begin(), self.cx.engine.begin()) else {
            return false;
        };
        let direct = self.attach_sender(session, request(Role::Sender, Some(INTER_EDGE)));
        let bids = self.attach_sender(own, for_address(Role::Sender, BID_ADDRESS));
        let (Some(direct), Some(bids)) = (direct, bids) else { return false };
        self.edge.beside =
            Some(Beside { session, direct, bids, told: None, consumed: AddressLinks::default() });
        true
    }

    /// Another connection with the same router is in use: detaches all links but those of streams,
    /// which go on to their end.
    fn leave_beside(&mut self) {
        let Some(beside) = self.edge.beside.take() else { return };
        for link in
            [beside.direct.link, beside.bids.link].into_iter().chain(beside.consumed.into_links())
        {
            self.detach_proxy(link);
        }
    }

    /// Bids for the id of the mesh, once in each bidding.
    fn send_bid(&mut self) {
        let Some(beside) = &mut self.edge.beside else { return };
        let Some((round, bid)) =
            self.cx.core.bid().filter(|(round, _)| beside.told != Some(*round))
        else {
            return;
        };
        beside.told = Some(round);
        let number = beside.bids.number;
        let message =
            Message { sections: Bytes::from(bid.encode()), internal: true, ..Message::default() };
        self.deliver_to_client(Delivery::whole(message, Bytes::new(), self.cx.core.own()), number);
    }

    /// The other router answered the attach of a link. Returns false when it is none of these.
    pub(in super::super) fn beside_answered(&mut self, link: LinkKey, attach: &Attach) -> bool {
        let Some(beside) = &self.edge.beside else { return false };
        let (direct, bids) = (beside.direct, beside.bids);
        let address = beside.consumed.address_of(link).map(ToString::to_string);
        if address.is_none() && ![direct.link, bids.link].contains(&link) {
            return false;
        }
        let kind = if direct.link == link { LinkKind::InterEdge } else { LinkKind::Endpoint };
        self.know(link, (&attach.name, attach.role), kind, None, address);
        if attach.role == Role::Receiver {
            self.consumer_answered(link);
        }
        if let Some(edge) = self.cx.edge.as_ref().filter(|_| direct.link == link) {
            let key = AddressKey::new(AddressClass::Edge, &**edge.peer());
            let consumption = self.serve_by(key, direct.number);
            self.set_consumption(link, consumption);
        }
        true
    }

    /// The other router detached a link, or refused it.
    pub(in super::super) fn beside_detached(&mut self, link: LinkKey) {
        if let Some(beside) = &mut self.edge.beside {
            beside.consumed.forget(link);
        }
    }
}
