//! A control connection between interior routers. The routing protocol and whole messages go here.
//! Streams do if there are no data connections.
//!
//! The trunk to the neighbor stands while both links of the routing protocol do. Each goes:
//!
//! ```text
//!            attach of ours            the peer's answer
//!     None ------------------> Asked --------------------> Attached
//!      ^ |                                                  ^  |
//!      | +-------------------- attach of the peer ----------+  |
//!      +------------------------- detach of either end --------+
//! ```

use std::sync::Arc;

use bytes::Bytes;
use skupper_proto::amqp::condition;
use skupper_proto::amqp::performative::{Attach, Error, Role};
use skupper_proto::engine::LinkKey;

use crate::core::{GroupKey, Trunk, TrunkUp};
use crate::net::attach::{CONTROL, DATA, echo, near_capabilities, request};
use crate::net::incoming::OwnUse;
use crate::net::link_layer::LinkLayer;
use crate::net::outgoing::QUEUES;
use crate::node::LinkKind;

/// One of the two links of the routing protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ControlLink {
    /// There is none.
    #[default]
    None,
    /// This end's attach has no answer.
    Asked(LinkKey),
    /// It is attached at both ends.
    Attached(LinkKey),
}

impl ControlLink {
    const fn link(self) -> Option<LinkKey> {
        match self {
            Self::None => None,
            Self::Asked(link) | Self::Attached(link) => Some(link),
        }
    }

    fn is(self, link: LinkKey) -> bool {
        self.link() == Some(link)
    }
}

/// A control connection.
pub(in crate::net) struct Control {
    /// The correlator of its group: ours as connector, the peer's as listener.
    correlator: Option<String>,
    cost: u32,
    /// The links by which messages of the routing protocol arrive and leave.
    receives: ControlLink,
    sends: ControlLink,
    /// As connector: the links for whole messages that this end attaches, with their queues.
    queues: Vec<(LinkKey, usize)>,
    /// The numbers of message links in each direction. The first ten are those of the priorities.
    data_in: usize,
    data_out: usize,
    /// The trunk, while it stands.
    trunk: Option<Arc<Trunk>>,
}

impl Control {
    /// Makes a control connection of a group, over a link of this cost.
    pub(in crate::net) const fn new(correlator: Option<String>, cost: u32) -> Self {
        Self {
            correlator,
            cost,
            receives: ControlLink::None,
            sends: ControlLink::None,
            queues: Vec::new(),
            data_in: 0,
            data_out: 0,
            trunk: None,
        }
    }

    /// Begins the service of a neighbor. As connector this attaches the control links and the
    /// message links of ten priorities. Their order alone tells the priorities.
    pub(super) fn on_opened(&mut self, links: &mut LinkLayer) {
        let LinkLayer { cx, incoming, .. } = links;
        if !cx.settings.outgoing {
            return;
        }
        for queue in 0..QUEUES {
            let capability = if queue == 0 { CONTROL } else { DATA };
            let Some(session) = cx.engine.begin() else { return };
            let receiver = cx.engine.attach(session, request(Role::Receiver, Some(capability)));
            let sender = cx.engine.attach(session, request(Role::Sender, Some(capability)));
            if let Some(link) = receiver {
                cx.engine.keep_credit(link, cx.settings.link_capacity);
            }
            if queue == 0 {
                if let Some(link) = receiver {
                    self.receives = ControlLink::Asked(link);
                    incoming.take_own(link, OwnUse::Routing);
                }
                self.sends = sender.map_or(ControlLink::None, ControlLink::Asked);
            }
            if let Some(link) = sender {
                self.queues.push((link, queue));
            }
        }
        self.data_out = QUEUES - 1;
    }

    /// Returns the reason to refuse a link of the peer, if there is one.
    fn refusal(&self, role: Role, control: bool, data: bool) -> Option<Error> {
        let known = if role == Role::Sender { self.receives } else { self.sends };
        if control {
            let text = "the control link is attached already";
            return known.link().map(|_| Error::new(condition::NOT_ALLOWED, text));
        }
        (!data && self.sends.link().is_none()).then(|| {
            let text = "Link attach forbidden on inter-router connection";
            Error::new(condition::CONNECTION_ROLE, text)
        })
    }

    /// Accepts or refuses a link that the peer attached.
    pub(super) fn on_attached(&mut self, links: &mut LinkLayer, link: LinkKey, attach: Attach) {
        let has =
            |capability| near_capabilities(&attach).is_some_and(|known| known.contains(capability));
        let (role, control, data) = (attach.role, has(CONTROL), has(DATA));
        if let Some(error) = self.refusal(role, control, data) {
            return links.refuse(link, &attach.name, error);
        }
        let LinkLayer { cx, incoming, outgoing } = links;
        let priority = match role {
            Role::Sender => self.data_in,
            Role::Receiver => self.data_out,
        };
        let priority = Some(priority).filter(|priority| data && *priority < QUEUES - 1);
        let kind = if control { LinkKind::Control } else { LinkKind::InterRouter };
        cx.know(link, (&attach.name, role), kind, priority, None);
        cx.engine.accept(link, echo(attach));
        match role {
            Role::Sender => {
                if control {
                    self.receives = ControlLink::Attached(link);
                    incoming.take_own(link, OwnUse::Routing);
                } else if data {
                    self.data_in += 1;
                }
                cx.engine.keep_credit(link, cx.settings.link_capacity);
            }
            Role::Receiver => {
                if control {
                    self.sends = ControlLink::Attached(link);
                    outgoing.on_queue_attached(cx, link, 0);
                } else if data && self.data_out < QUEUES - 1 {
                    self.data_out += 1;
                    outgoing.on_queue_attached(cx, link, self.data_out);
                }
            }
        }
        self.on_links_changed(links);
    }

    /// Acts on the answer to an attach. Returns false if the link is one for streams.
    pub(super) fn on_answered(
        &mut self,
        links: &mut LinkLayer,
        link: LinkKey,
        attach: &Attach,
    ) -> bool {
        let LinkLayer { cx, outgoing, .. } = links;
        if attach.role == Role::Sender {
            // Links on which this end receives are never for streams.
            let control = self.receives.is(link);
            let kind = if control { LinkKind::Control } else { LinkKind::InterRouter };
            cx.know(link, (&attach.name, attach.role), kind, None, None);
            if control {
                self.receives = ControlLink::Attached(link);
            }
        } else {
            let Some((_, queue)) = self.queues.iter().find(|(known, _)| *known == link) else {
                return false;
            };
            let control = *queue == 0;
            let kind = if control { LinkKind::Control } else { LinkKind::InterRouter };
            let priority = queue.checked_sub(1);
            cx.know(link, (&attach.name, attach.role), kind, priority, None);
            if control {
                self.sends = ControlLink::Attached(link);
            }
            outgoing.on_queue_attached(cx, link, *queue);
        }
        self.on_links_changed(links);
        true
    }

    /// Forgets a link that the peer detached. As connector this closes the connection if it was a
    /// control link.
    pub(super) fn on_detached(&mut self, links: &mut LinkLayer, link: LinkKey) {
        let cx = &mut links.cx;
        if cx.settings.outgoing && (self.receives.is(link) || self.sends.is(link)) {
            let reason =
                Error::new(condition::NOT_ALLOWED, "a control link was refused or detached");
            cx.engine.close(Some(reason), cx.now);
        }
        if self.receives.is(link) {
            self.receives = ControlLink::None;
        } else if self.sends.is(link) {
            self.sends = ControlLink::None;
        }
        self.on_links_changed(links);
    }

    /// Raises or takes down the trunk, as the links of the routing protocol stand.
    fn on_links_changed(&mut self, links: &mut LinkLayer) {
        let cx = &mut links.cx;
        let is_attached = |link| u8::from(matches!(link, ControlLink::Attached(_)));
        let attached = is_attached(self.receives) + is_attached(self.sends);
        cx.standing.set_control_links(attached);
        match (attached, &self.trunk) {
            (2, None) => {
                let Some(open) = &cx.peer.open else { return };
                let container = Arc::clone(&open.container);
                let up = TrunkUp {
                    group: self
                        .correlator
                        .as_ref()
                        .map(|correlator| GroupKey::new(&container, correlator)),
                    neighbor: container,
                    cost: self.cost,
                    ordinal: cx.ordinal(),
                    control: Arc::clone(&cx.mailbox),
                    trunking: open.trunking,
                };
                let trunk = cx.core.trunk_up(up, cx.now);
                cx.standing.set_trunk(Some(Arc::clone(&trunk)));
                self.trunk = Some(trunk);
                cx.life.set_served();
            }
            (0 | 1, Some(_)) => self.on_end(links),
            _ => {}
        }
    }

    /// Gives a message of the routing protocol to the core.
    pub(super) fn on_routing_message(&self, links: &LinkLayer, octets: &Bytes) {
        if let Some(trunk) = &self.trunk {
            links.cx.core.on_control_message(trunk.id(), octets, links.cx.now);
        }
    }

    /// Makes way for another control connection. As connector this detaches the control links. The
    /// present streams go on.
    pub(super) fn on_retire(&mut self, links: &mut LinkLayer) {
        if !links.cx.settings.outgoing {
            return;
        }
        for link in [&mut self.receives, &mut self.sends] {
            if let Some(link) = std::mem::take(link).link() {
                links.detach(link);
            }
        }
        self.on_links_changed(links);
    }

    /// Takes the trunk out of the core.
    pub(super) fn on_end(&mut self, links: &LinkLayer) {
        if let Some(trunk) = self.trunk.take() {
            links.cx.core.trunk_down(&trunk, links.cx.now);
            links.cx.standing.set_trunk(None);
        }
    }
}
