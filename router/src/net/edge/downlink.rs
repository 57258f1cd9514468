//! At an interior router: the links of an edge router.
//!
//! A link on which the edge router receives from an address makes it a consumer of the address, one
//! on which it sends a producer; it is told of each of the latter whether anybody can be reached.
//! Its downlink makes it the consumer of what is for itself.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use skupper_proto::address::{AddressClass, AddressKey, RouterMode};
use skupper_proto::amqp::condition;
use skupper_proto::amqp::performative::{Attach, Error, Role};
use skupper_proto::amqp::terminus::{MessageTarget, Target};
use skupper_proto::edge::{
    BID_ADDRESS, DOWNLINK, INTER_EDGE, MESH_ADDRESS, TRACKING_ADDRESS, Tracking,
};
use skupper_proto::engine::{AttachRequest, LinkKey};

use super::super::clients::Consumer;
use super::super::connection::Connection;
use crate::core::{Delivery, Leads, LocalConsumer, Message};
use crate::node::LinkKind;

/// Credit for messages about the mesh.
const MESH_CREDIT: u32 = 3;

/// What an edge router has been told of the addresses to which it sends.
#[derive(Default)]
pub(in super::super) struct Told {
    /// The link on which it is told, and its number.
    link: Option<(LinkKey, u32)>,
    /// Its links for addresses, and what was told of each.
    links: HashMap<LinkKey, State>,
    /// Those of which there may be something to tell.
    changed: VecDeque<LinkKey>,
}

#[derive(Default)]
struct State {
    reachable: bool,
    /// It is among those that have changed.
    changed: bool,
}

impl Connection {
    /// The peer of an edge connection attached a link.
    pub(in super::super) fn edge_attached(&mut self, link: LinkKey, attach: Attach) {
        let interior = self.cx.core.mode() == RouterMode::Interior;
        if self.cx.edge.as_ref().is_some_and(|edge| edge.leads() == Leads::Beside)
            && attach.role == Role::Sender
        {
            match near_address(&attach) {
                Some(BID_ADDRESS) => return self.attach_mesh(link, attach),
                None | Some("") => return self.attach_beside(link, attach),
                Some(_) => {}
            }
        }
        let source = attach.source.as_ref();
        let capabilities = source.and_then(|source| source.capabilities.as_ref());
        if attach.role == Role::Receiver
            && capabilities.is_some_and(|capabilities| capabilities.contains(DOWNLINK))
        {
            if interior {
                self.attach_downlink(link, attach)
            } else {
                self.refuse_edge(link, &attach, "no edge router has a downlink")
            }
        } else if is_tracking(&attach) {
            match attach.role {
                _ if !interior => {
                    self.refuse_edge(link, &attach, "an edge router tracks no addresses")
                }
                Role::Receiver => self.attach_tracking(link, attach),
                Role::Sender => {
                    self.cx.engine.refuse(
                        link,
                        Error::new(condition::NOT_IMPLEMENTED, "Incoming messages not allowed"),
                    );
                }
            }
        } else if is_mesh(&attach) {
            if attach.role == Role::Sender && interior {
                self.attach_mesh(link, attach);
            } else {
                self.refuse_edge(link, &attach, "the mesh is told to interior routers");
            }
        } else {
            self.client_attached(link, attach);
        }
    }

    fn refuse_edge(&mut self, link: LinkKey, attach: &Attach, reason: &str) {
        crate::log_limited!(
            self.cx.id,
            Server,
            Info,
            "[C{}] refused link {:?}: {reason}",
            self.cx.id,
            attach.name
        );
        self.cx.engine.refuse(link, Error::new(condition::NOT_ALLOWED, reason));
    }

    /// The edge router receives what is for itself.
    fn attach_downlink(&mut self, link: LinkKey, attach: Attach) {
        let Some(edge) = self.cx.edge.clone() else { return };
        let id = attach
            .source
            .as_ref()
            .and_then(|source| source.address.as_deref())
            .unwrap_or_default()
            .to_owned();
        // Whoever it is, it is not to get what is for another.
        if id.is_empty() || self.cx.peer.open.as_ref().is_none_or(|open| *open.container != *id) {
            return self.refuse_edge(
                link,
                &attach,
                "the downlink is for an edge router other than the peer",
            );
        }
        let key = AddressKey::new(AddressClass::Edge, id);
        self.know(
            link,
            (&attach.name, attach.role),
            LinkKind::EdgeDownlink,
            None,
            Some(key.to_string()),
        );
        self.cx.engine.accept(link, answer(attach));
        let number = self.clients.number(link);
        let consumer =
            LocalConsumer::behind(&edge, self.link_endpoint(number), self.link_capacity());
        let consumption = self.cx.core.serve(key, consumer, self.cx.now);
        let consumer = Consumer::new(number, Some(consumption));
        self.consumer_attached(link, consumer, false, self.cx.settings.link_capacity);
    }

    /// The edge router hears which addresses can be reached.
    fn attach_tracking(&mut self, link: LinkKey, attach: Attach) {
        if self.edge.told.link.is_some() {
            return self.refuse_edge(
                link,
                &attach,
                "addresses are tracked on another link of this connection",
            );
        }
        let address = Some(AddressKey::mobile(TRACKING_ADDRESS).to_string());
        self.know(link, (&attach.name, attach.role), LinkKind::Endpoint, None, address);
        self.cx.engine.accept(link, answer(attach));
        let number = self.clients.number(link);
        self.edge.told.link = Some((link, number));
        let consumer = Consumer::new(number, None);
        self.consumer_attached(link, consumer, false, self.cx.settings.link_capacity);
        self.tell_edge();
    }

    /// Another edge router sends what is for this one itself.
    fn attach_beside(&mut self, link: LinkKey, attach: Attach) {
        let capabilities = attach
            .target
            .as_ref()
            .and_then(Target::message)
            .and_then(|target| target.capabilities.as_ref());
        let kind = if capabilities.is_some_and(|has| has.contains(INTER_EDGE)) {
            LinkKind::InterEdge
        } else {
            LinkKind::Endpoint
        };
        self.know(link, (&attach.name, attach.role), kind, None, None);
        self.cx.engine.accept(link, answer(attach));
        self.produce(link, None, false, false);
    }

    /// The edge router says which mesh it belongs to.
    fn attach_mesh(&mut self, link: LinkKey, attach: Attach) {
        if self.edge.mesh.is_some() {
            return self.refuse_edge(
                link,
                &attach,
                "the mesh is told on another link of this connection",
            );
        }
        self.know(link, (&attach.name, attach.role), LinkKind::Endpoint, None, None);
        self.edge.mesh = Some(link);
        self.cx.engine.accept(link, answer(attach));
        self.cx.engine.keep_credit(link, MESH_CREDIT);
    }

    /// Whether an address can be reached to which the edge router sends on a link may have changed.
    pub(in super::super) fn track(&mut self, link: LinkKey) {
        let state = self.edge.told.links.entry(link).or_default();
        if !std::mem::replace(&mut state.changed, true) {
            self.edge.told.changed.push_back(link);
            self.tell_edge();
        }
    }

    /// A link on which the edge router sent is gone.
    pub(in super::super) fn untrack(&mut self, link: LinkKey) {
        self.edge.told.links.remove(&link);
    }

    /// Tells the edge router what has changed, one address after the other as there is credit: only
    /// what is so then is told.
    pub(in super::super) fn tell_edge(&mut self) {
        let Some((tracking, number)) = self.edge.told.link else { return };
        while self.is_link_free(tracking)
            && let Some(link) = self.edge.told.changed.pop_front()
        {
            let Some(state) = self.edge.told.links.get_mut(&link) else { continue };
            state.changed = false;
            let Some((address, watch)) =
                self.clients.producers.get(&link).and_then(|producer| producer.watch.as_ref())
            else {
                continue;
            };
            let reachable = watch.is_reachable();
            if address.key().class() != AddressClass::Mobile
                || std::mem::replace(&mut state.reachable, reachable) == reachable
            {
                continue;
            }
            let sections = Tracking { address: address.key().clone(), reachable }.encode();
            let message =
                Message { sections: Bytes::from(sections), internal: true, ..Message::default() };
            self.deliver_to_client(
                Delivery::whole(message, Bytes::new(), self.cx.core.own()),
                number,
            );
        }
    }

    /// A link of an edge connection is gone.
    pub(in super::super) fn downlink_detached(&mut self, link: LinkKey) {
        if self.edge.told.link.is_some_and(|(tracking, _)| tracking == link) {
            self.edge.told = Told::default();
        }
        if self.edge.mesh == Some(link) {
            self.edge.mesh = None;
        }
    }

    /// Whether one more message can be sent on a link at once.
    fn is_link_free(&self, link: LinkKey) -> bool {
        self.cx.engine.credit(link) > 0 && self.is_idle(link)
    }
}

/// The answer to an attach that is accepted as it is.
fn answer(attach: Attach) -> AttachRequest {
    AttachRequest {
        source: Some(attach.source.unwrap_or_default()),
        target: Some(attach.target.unwrap_or_else(|| Target::Message(MessageTarget::default()))),
        snd_settle_mode: 2,
        ..AttachRequest::default()
    }
}

fn near_address(attach: &Attach) -> Option<&str> {
    match attach.role {
        Role::Sender => attach.target.as_ref().and_then(Target::message)?.address.as_deref(),
        Role::Receiver => attach.source.as_ref()?.address.as_deref(),
    }
}

/// Whether an attach is for the link on which addresses are tracked.
pub(in super::super) fn is_tracking(attach: &Attach) -> bool {
    near_address(attach) == Some(TRACKING_ADDRESS)
}

/// Whether an attach is for the link on which the mesh is told.
fn is_mesh(attach: &Attach) -> bool {
    near_address(attach) == Some(MESH_ADDRESS)
}
