//! The links that an edge router attaches for addresses, to its interior router or to another edge
//! router.

use bytes::Bytes;
use skupper_proto::address::AddressKey;
use skupper_proto::amqp::performative::Role;
use skupper_proto::engine::{AttachRequest, LinkKey, SessionKey};

use super::address_links::{AddressLinks, Keyed};
use crate::core::{ConsumerEnd, Consumption, Demand, LocalConsumer, Message, Via};
use crate::net::attach::for_address;
use crate::net::context::Context;
use crate::net::incoming::Producer;
use crate::net::link_layer::LinkLayer;
use crate::net::outgoing::{capacity, endpoint};

/// A link on which this router sends, with its number.
#[derive(Clone, Copy)]
pub(super) struct Sender {
    pub(super) link: LinkKey,
    pub(super) number: u32,
}

impl Keyed for Sender {
    fn link(self) -> LinkKey {
        self.link
    }
}

/// Attaches a link on which this router sends.
pub(super) fn attach_sender(
    links: &mut LinkLayer,
    session: SessionKey,
    attach: AttachRequest,
) -> Option<Sender> {
    let link = links.cx.engine.attach(session, attach)?;
    let number = links.outgoing.expect_consumer(&links.cx, link);
    Some(Sender { link, number })
}

/// Attaches a link on which messages for an address arrive.
fn attach_consumed(
    links: &mut LinkLayer,
    session: SessionKey,
    key: &AddressKey,
) -> Option<LinkKey> {
    let cx = &mut links.cx;
    let link = cx.engine.attach(session, for_address(Role::Receiver, key.text()))?;
    cx.engine.keep_credit(link, cx.settings.link_capacity);
    let producer = Producer::of_router(key.text(), cx.settings.link_capacity);
    links.incoming.expect_producer(link, producer);
    Some(link)
}

/// Attaches or detaches the link on which messages for an address arrive, as the address has
/// consumers here. Returns false if there are too many links for another.
pub(super) fn meet_consumed(
    links: &mut LinkLayer,
    session: SessionKey,
    consumed: &mut AddressLinks<LinkKey>,
    demand: &Demand,
) -> bool {
    match (demand.consumed, consumed.get(&demand.address)) {
        (true, None) => match attach_consumed(links, session, &demand.address) {
            Some(link) => consumed.insert(demand.address.clone(), link),
            None => return false,
        },
        (false, Some(link)) => {
            consumed.remove(&demand.address);
            links.detach(link);
        }
        _ => {}
    }
    true
}

/// Makes a link to the other router a consumer of an address.
pub(super) fn serve_by(cx: &Context, key: AddressKey, number: u32) -> Option<Consumption> {
    let edge = cx.edge.as_ref()?;
    let consumer = LocalConsumer::behind(edge, endpoint(cx, number), capacity(cx));
    Some(cx.core.serve(key, consumer, cx.now))
}

/// Logs that an address has no link.
pub(super) fn log_too_many_links(cx: &Context, key: &AddressKey) {
    crate::log_limited!(
        cx.id,
        RouterCore,
        Error,
        "[C{}] no link to the interior router for address '{}': there are too many",
        cx.id,
        key.text()
    );
}

/// Sends a message of this router by a link, which its number names.
pub(super) fn send(links: &mut LinkLayer, number: u32, sections: Vec<u8>) {
    let message = Message { sections: Bytes::from(sections), internal: true, ..Message::default() };
    let delivery = ConsumerEnd::whole(message, Bytes::new(), links.cx.core.own());
    links.outgoing.on_deliver(&mut links.cx, delivery, Via::Link(number));
}
