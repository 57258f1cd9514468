//! The links that the other router of an edge connection attaches: an edge router at its interior
//! router, or another edge router.
//!
//! An edge router consumes an address by a link on which it receives, and produces for one by a
//! link on which it sends. The interior router tells it which of the latter addresses have
//! consumers. By its downlink an edge router consumes the messages for itself.

use std::collections::{HashMap, VecDeque};

use skupper_proto::address::{AddressClass, AddressKey, RouterMode};
use skupper_proto::amqp::condition;
use skupper_proto::amqp::performative::{Attach, Error, Role};
use skupper_proto::edge::{
    BID_ADDRESS, DOWNLINK, INTER_EDGE, MESH_ADDRESS, TRACKING_ADDRESS, Tracking,
};
use skupper_proto::engine::LinkKey;

use super::proxy::send;
use crate::core::{Leads, LocalConsumer};
use crate::net::attach::{answer, near_address, near_capabilities};
use crate::net::incoming::{OwnUse, Wishes};
use crate::net::link_layer::LinkLayer;
use crate::net::outgoing::{Consumer, capacity, endpoint};
use crate::node::LinkKind;

/// Credit for messages about the mesh.
const MESH_CREDIT: u32 = 3;

/// The links that the other router attaches, beside those for addresses.
#[derive(Default)]
pub(super) struct Downlink {
    told: Told,
    /// The link by which it tells its mesh, or bids for the id of the mesh.
    mesh: Option<LinkKey>,
}

/// The state of the addresses to which an edge router sends, as it was told.
#[derive(Default)]
struct Told {
    /// The link by which it is told, and the link's number.
    link: Option<(LinkKey, u32)>,
    /// Its links for addresses, and the last word about each.
    links: HashMap<LinkKey, Tracked>,
    /// The links with news.
    changed: VecDeque<LinkKey>,
}

/// The last word about one link.
#[derive(Default)]
struct Tracked {
    reachable: bool,
    /// It is among the links with news.
    changed: bool,
}

fn refuse(links: &mut LinkLayer, link: LinkKey, attach: &Attach, reason: &str) {
    let id = links.cx.id;
    crate::log_limited!(id, Server, Info, "[C{id}] refused link {:?}: {reason}", attach.name);
    links.cx.engine.refuse(link, Error::new(condition::NOT_ALLOWED, reason));
}

/// Accepts a link by which another edge router sends messages for this one.
fn attach_beside(links: &mut LinkLayer, link: LinkKey, attach: Attach) {
    let inter_edge = near_capabilities(&attach).is_some_and(|has| has.contains(INTER_EDGE));
    let kind = if inter_edge { LinkKind::InterEdge } else { LinkKind::Endpoint };
    let LinkLayer { cx, incoming, .. } = links;
    cx.know(link, (&attach.name, attach.role), kind, None, None);
    cx.engine.accept(link, answer(attach));
    incoming.produce(cx, link, None, Wishes { router: true, ..Wishes::default() });
}

/// Accepts a link by which the edge router receives messages for itself.
fn attach_downlink(links: &mut LinkLayer, link: LinkKey, attach: Attach) {
    let LinkLayer { cx, outgoing, .. } = links;
    let Some(edge) = cx.edge.clone() else { return };
    let id = attach
        .source
        .as_ref()
        .and_then(|source| source.address.as_deref())
        .unwrap_or_default()
        .to_owned();
    // It must not get the messages of another router.
    if id.is_empty() || cx.peer.open.as_ref().is_none_or(|open| *open.container != *id) {
        let reason = "the downlink is for an edge router other than the peer";
        return refuse(links, link, &attach, reason);
    }
    let key = AddressKey::new(AddressClass::Edge, id);
    let names = (&*attach.name, attach.role);
    cx.know(link, names, LinkKind::EdgeDownlink, None, Some(key.to_string()));
    cx.engine.accept(link, answer(attach));
    let number = outgoing.consumers.number(link);
    let consumer = LocalConsumer::behind(&edge, endpoint(cx, number), capacity(cx));
    let consumption = cx.core.serve(key, consumer, cx.now);
    outgoing.on_consumer_attached(cx, link, Consumer::of(number, consumption), false);
}

impl Downlink {
    /// Returns whether messages about the mesh come by a link.
    pub(super) fn is_mesh(&self, link: LinkKey) -> bool {
        self.mesh == Some(link)
    }

    /// Accepts or refuses a link that the other router attached.
    pub(super) fn on_attached(&mut self, links: &mut LinkLayer, link: LinkKey, attach: Attach) {
        let interior = links.cx.core.mode() == RouterMode::Interior;
        let beside = links.cx.edge.as_ref().is_some_and(|edge| edge.leads() == Leads::Beside);
        let (role, address) = (attach.role, near_address(&attach));
        let downlink = role == Role::Receiver
            && near_capabilities(&attach).is_some_and(|known| known.contains(DOWNLINK));
        match address {
            Some(BID_ADDRESS) if beside && role == Role::Sender => {
                self.attach_mesh(links, link, attach);
            }
            None | Some("") if beside && role == Role::Sender => attach_beside(links, link, attach),
            _ if downlink && interior => attach_downlink(links, link, attach),
            _ if downlink => refuse(links, link, &attach, "no edge router has a downlink"),
            Some(TRACKING_ADDRESS) if !interior => {
                refuse(links, link, &attach, "an edge router tracks no addresses");
            }
            Some(TRACKING_ADDRESS) if role == Role::Receiver => {
                self.attach_tracking(links, link, attach);
            }
            Some(TRACKING_ADDRESS) => {
                let text = "Incoming messages not allowed";
                links.cx.engine.refuse(link, Error::new(condition::NOT_IMPLEMENTED, text));
            }
            Some(MESH_ADDRESS) if role == Role::Sender && interior => {
                self.attach_mesh(links, link, attach);
            }
            Some(MESH_ADDRESS) => {
                refuse(links, link, &attach, "the mesh is told to interior routers");
            }
            _ => {
                if links.on_client_attached(link, attach, true) {
                    self.on_reach(links, link);
                }
            }
        }
    }

    /// Accepts the link by which the edge router hears of addresses.
    fn attach_tracking(&mut self, links: &mut LinkLayer, link: LinkKey, attach: Attach) {
        if self.told.link.is_some() {
            let reason = "addresses are tracked on another link of this connection";
            return refuse(links, link, &attach, reason);
        }
        let LinkLayer { cx, outgoing, .. } = links;
        let address = Some(AddressKey::mobile(TRACKING_ADDRESS).to_string());
        cx.know(link, (&attach.name, attach.role), LinkKind::Endpoint, None, address);
        cx.engine.accept(link, answer(attach));
        let number = outgoing.consumers.number(link);
        self.told.link = Some((link, number));
        outgoing.on_consumer_attached(cx, link, Consumer::new(number), false);
        self.tell(links);
    }

    /// Accepts the link by which the edge router tells its mesh.
    fn attach_mesh(&mut self, links: &mut LinkLayer, link: LinkKey, attach: Attach) {
        if self.mesh.is_some() {
            let reason = "the mesh is told on another link of this connection";
            return refuse(links, link, &attach, reason);
        }
        let LinkLayer { cx, incoming, .. } = links;
        cx.know(link, (&attach.name, attach.role), LinkKind::Endpoint, None, None);
        self.mesh = Some(link);
        incoming.take_own(link, OwnUse::Edge);
        cx.engine.accept(link, answer(attach));
        cx.engine.keep_credit(link, MESH_CREDIT);
    }

    /// Notes that the consumers of an address may have changed to which the edge router sends by a
    /// link.
    pub(super) fn on_reach(&mut self, links: &mut LinkLayer, link: LinkKey) {
        let tracked = self.told.links.entry(link).or_default();
        if !std::mem::replace(&mut tracked.changed, true) {
            self.told.changed.push_back(link);
            self.tell(links);
        }
    }

    /// Tells the edge router the news, one address after the other as there is credit. Each message
    /// tells the state of that moment. Returns whether there was news.
    pub(super) fn tell(&mut self, links: &mut LinkLayer) -> bool {
        let Some((tracking, number)) = self.told.link else { return false };
        let mut told = false;
        while links.outgoing.takes_at_once(&links.cx, tracking)
            && let Some(link) = self.told.changed.pop_front()
        {
            let Some(tracked) = self.told.links.get_mut(&link) else { continue };
            tracked.changed = false;
            let reach = links.incoming.producer(link).and_then(|producer| producer.reach());
            let Some((address, reachable)) = reach else { continue };
            if address.key().class() != AddressClass::Mobile
                || std::mem::replace(&mut tracked.reachable, reachable) == reachable
            {
                continue;
            }
            let sections = Tracking { address: address.key().clone(), reachable }.encode();
            send(links, number, sections);
            told = true;
        }
        told
    }

    /// Forgets a link that the other router detached.
    pub(super) fn on_detached(&mut self, link: LinkKey) {
        self.told.links.remove(&link);
        if self.told.link.is_some_and(|(tracking, _)| tracking == link) {
            self.told = Told::default();
        }
        self.mesh.take_if(|mesh| *mesh == link);
    }
}
