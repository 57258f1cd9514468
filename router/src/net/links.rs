//! The links of a connection, by what they are for.

use std::sync::Arc;

use skupper_proto::amqp::performative::{Attach, Error, Role};
use skupper_proto::amqp::terminus::{MessageTarget, Source, Target};
use skupper_proto::amqp::{Multiple, Symbol, condition};
use skupper_proto::engine::{AttachRequest, LinkKey, SessionKey};

use super::connection::Connection;
use super::outgoing::{Purpose, QUEUES};
use super::settings::Kind;
use crate::core::{GroupKey, Trunk, TrunkUp};
use crate::log_limited;
use crate::node::{LinkCounts, LinkKind, LinkRecord, Node};

/// Marks the control links.
const CONTROL: &str = "qd.router";
/// Marks message links between routers.
const DATA: &str = "qd.router-data";

/// The priority of a link that is not for one.
const DEFAULT_PRIORITY: u8 = 4;

/// The links of one connection.
#[derive(Default)]
pub(super) struct Links {
    /// Control messages arrive here.
    pub(super) control_in: Option<LinkKey>,
    pub(super) control_out: Option<LinkKey>,
    control_in_attached: bool,
    control_out_attached: bool,
    /// Message links of each direction so far: the first ten are those of the priorities.
    data_in: usize,
    data_out: usize,
    /// The session of the streaming links that we attach to a router of ours.
    pub(super) streaming: Option<SessionKey>,
    /// The trunk this connection controls.
    pub(super) trunk: Option<Arc<Trunk>>,
    /// The trunk group this data connection belongs to.
    pub(super) member_of: Option<GroupKey>,
}

/// A router's link without addresses: its capability, if any, on both termini.
pub(super) fn request(role: Role, capability: Option<&'static str>) -> AttachRequest {
    let capabilities = capability.map(|capability| Multiple(vec![Symbol::from_static(capability)]));
    let expiry_policy = Some(Symbol::from_static("link-detach"));
    AttachRequest {
        name: format!("qdlink.{}", Node::discriminator()),
        role,
        source: Some(Source {
            durable: Some(0),
            expiry_policy: expiry_policy.clone(),
            timeout: Some(0),
            dynamic: Some(false),
            capabilities: capabilities.clone(),
            ..Source::default()
        }),
        target: Some(Target::Message(MessageTarget {
            durable: Some(0),
            expiry_policy,
            timeout: Some(0),
            dynamic: Some(false),
            capabilities,
            ..MessageTarget::default()
        })),
        snd_settle_mode: 2,
        ..AttachRequest::default()
    }
}

/// A streaming link of ours on a connection of a kind.
pub(super) fn streaming_request(kind: Kind) -> AttachRequest {
    request(Role::Sender, (kind == Kind::Control).then_some(DATA))
}

impl Connection {
    /// As connector of a control connection: attaches the control links and the message links of
    /// ten priorities. Which priority a link has is told by the order alone.
    pub(super) fn attach_router_links(&mut self) {
        for queue in 0..QUEUES {
            let capability = if queue == 0 { CONTROL } else { DATA };
            let Some(session) = self.cx.engine.begin() else { return };
            let receiver =
                self.cx.engine.attach(session, request(Role::Receiver, Some(capability)));
            let sender = self.cx.engine.attach(session, request(Role::Sender, Some(capability)));
            if let Some(link) = receiver {
                self.cx.engine.keep_credit(link, self.cx.settings.link_capacity);
            }
            if queue == 0 {
                (self.links.control_in, self.links.control_out) = (receiver, sender);
            }
            if let Some(link) = sender {
                self.queue_links.push((link, queue));
            }
        }
        self.links.data_out = QUEUES - 1;
    }

    const fn kind_of(&self, control: bool) -> LinkKind {
        match self.cx.kind {
            Kind::Control if control => LinkKind::Control,
            Kind::Control => LinkKind::InterRouter,
            Kind::Data | Kind::Normal | Kind::Edge => LinkKind::Endpoint,
        }
    }

    /// Enters a link where management finds it.
    pub(super) fn know(
        &mut self,
        link: LinkKey,
        (name, peer): (&str, Role),
        kind: LinkKind,
        priority: Option<usize>,
        address: Option<String>,
    ) {
        let record = LinkRecord {
            id: 0,
            connection: self.cx.id,
            name: name.to_owned(),
            outgoing: peer == Role::Receiver,
            kind,
            address,
            capacity: self.cx.settings.link_capacity,
            priority: priority
                .and_then(|priority| u8::try_from(priority).ok())
                .unwrap_or(DEFAULT_PRIORITY),
            counts: LinkCounts::default(),
        };
        self.cx.records.insert(link, self.node.registry.links().enter(record, &self.cx.holder));
    }

    /// Attaches one more streaming link.
    pub(super) fn attach_streaming(&mut self) -> Option<(LinkKey, SessionKey)> {
        let session = self.streaming_session()?;
        match self.cx.engine.attach(session, streaming_request(self.cx.kind)) {
            Some(link) => Some((link, session)),
            None => {
                self.lane_left(session);
                None
            }
        }
    }

    /// The peer attached a link, or answered ours.
    pub(super) fn attached(&mut self, link: LinkKey, ours: bool, attach: Attach) {
        if ours {
            let refused = match attach.role {
                Role::Sender => attach.source.is_none(),
                Role::Receiver => attach.target.is_none(),
            };
            // A null terminus of the peer's says that it refuses; its detach with the reason
            // follows.
            if !refused
                && !self.auto_link_answered(link, &attach)
                && !self.uplink_answered(link, &attach)
                && !self.beside_answered(link, &attach)
            {
                if self.cx.kind == Kind::Edge && !self.sends_on(link) {
                    // It was given up meanwhile.
                    return;
                }
                let queue = self
                    .queue_links
                    .iter()
                    .find(|(known, _)| *known == link)
                    .map(|(_, queue)| *queue);
                let control = queue == Some(0) || Some(link) == self.links.control_in;
                let priority = queue.and_then(|queue| queue.checked_sub(1));
                self.know(link, (&attach.name, attach.role), self.kind_of(control), priority, None);
                self.answered(link, attach.role);
            }
            return;
        }
        let capabilities = match attach.role {
            Role::Sender => attach
                .target
                .as_ref()
                .and_then(Target::message)
                .and_then(|target| target.capabilities.as_ref()),
            Role::Receiver => {
                attach.source.as_ref().and_then(|source| source.capabilities.as_ref())
            }
        };
        let has =
            |capability| capabilities.is_some_and(|capabilities| capabilities.contains(capability));
        let refusal = match self.cx.kind {
            Kind::Control if has(CONTROL) => {
                let known = if attach.role == Role::Sender {
                    &self.links.control_in
                } else {
                    &self.links.control_out
                };
                known.is_some().then(|| {
                    Error::new(condition::NOT_ALLOWED, "the control link is attached already")
                })
            }
            Kind::Control if has(DATA) => None,
            Kind::Control if self.links.control_out.is_none() => Some(Error::new(
                condition::CONNECTION_ROLE,
                "Link attach forbidden on inter-router connection",
            )),
            Kind::Control => None,
            Kind::Data | Kind::Normal | Kind::Edge if has(CONTROL) || has(DATA) => {
                Some(Error::new(condition::FORBIDDEN, "Connectivity to the node is forbidden"))
            }
            Kind::Data | Kind::Normal | Kind::Edge => None,
        };
        if let Some(error) = refusal {
            log_limited!(
                self.cx.id,
                Server,
                Info,
                "[C{}] refused link {:?}: {error}",
                self.cx.id,
                attach.name
            );
            return self.cx.engine.refuse(link, error);
        }
        match self.cx.kind {
            Kind::Normal => return self.client_attached(link, attach),
            Kind::Edge => return self.edge_attached(link, attach),
            Kind::Control | Kind::Data => {}
        }
        let (control, data) = (has(CONTROL), has(DATA));
        let priority = match attach.role {
            Role::Sender => self.links.data_in,
            Role::Receiver => self.links.data_out,
        };
        self.know(
            link,
            (&attach.name, attach.role),
            self.kind_of(control),
            Some(priority).filter(|priority| data && *priority < QUEUES - 1),
            None,
        );
        let answer = AttachRequest {
            source: attach.source,
            target: attach.target,
            snd_settle_mode: 2,
            ..AttachRequest::default()
        };
        self.cx.engine.accept(link, answer);
        match attach.role {
            Role::Sender => {
                if control {
                    self.links.control_in = Some(link);
                    self.links.control_in_attached = true;
                } else if data {
                    self.links.data_in += 1;
                }
                self.cx.engine.keep_credit(link, self.cx.settings.link_capacity);
            }
            Role::Receiver => {
                if control {
                    self.links.control_out = Some(link);
                    self.links.control_out_attached = true;
                    self.outgoing_attached(link, Purpose::Queue(0));
                } else if data && self.links.data_out < QUEUES - 1 {
                    self.links.data_out += 1;
                    self.outgoing_attached(link, Purpose::Queue(self.links.data_out));
                }
            }
        }
        self.control_links_changed();
    }

    /// The peer answered an attach of ours.
    fn answered(&mut self, link: LinkKey, peer: Role) {
        if peer == Role::Sender {
            if Some(link) == self.links.control_in {
                self.links.control_in_attached = true;
            }
        } else {
            let queue =
                self.queue_links.iter().find(|(known, _)| *known == link).map(|(_, queue)| *queue);
            if queue == Some(0) {
                self.links.control_out_attached = true;
            }
            self.outgoing_attached(link, queue.map_or(Purpose::Stream, Purpose::Queue));
        }
        self.control_links_changed();
    }

    /// A link was detached by the peer.
    pub(super) fn detached(&mut self, link: LinkKey, error: Option<&Error>) {
        if let Some(error) = error {
            log_limited!(
                (self.cx.id, error.condition.as_str()),
                Server,
                Info,
                "[C{}] the peer detached a link: {error}",
                self.cx.id
            );
            self.detach_error = Some(error.clone());
        }
        self.auto_link_lost(link, error);
        self.link_gone(link);
        if self.cx.kind == Kind::Edge {
            self.downlink_detached(link);
            self.beside_detached(link);
            return self.uplink_detached(link);
        }
        if self.cx.settings.outgoing
            && (Some(link) == self.links.control_in || Some(link) == self.links.control_out)
        {
            let reason =
                Error::new(condition::NOT_ALLOWED, "a control link was refused or detached");
            self.cx.engine.close(Some(reason), self.cx.now);
        }
        if Some(link) == self.links.control_in {
            self.links.control_in = None;
            self.links.control_in_attached = false;
        } else if Some(link) == self.links.control_out {
            self.links.control_out = None;
            self.links.control_out_attached = false;
        }
        self.control_links_changed();
    }

    /// A link is gone: nothing goes by it any more.
    pub(super) fn link_gone(&mut self, link: LinkKey) {
        self.outgoing_detached(link);
        self.client_detached(link);
        self.cx.records.remove(&link);
    }

    /// Control links attached, of the two there are.
    pub(super) fn control_links(&self) -> u8 {
        u8::from(self.links.control_in_attached) + u8::from(self.links.control_out_attached)
    }

    /// A trunk stands while both control links do.
    fn control_links_changed(&mut self) {
        self.cx.standing.set_control_links(self.control_links());
        match (self.control_links(), &self.links.trunk) {
            (2, None) => {
                let Some(open) = &self.cx.peer.open else { return };
                let container = Arc::clone(&open.container);
                let up = TrunkUp {
                    group: self
                        .correlator
                        .as_ref()
                        .map(|correlator| GroupKey::new(&container, correlator)),
                    neighbor: container,
                    cost: self.cost,
                    ordinal: self.ordinal(),
                    control: Arc::clone(&self.cx.mailbox),
                    trunking: open.trunking,
                };
                let trunk = self.cx.core.trunk_up(up, self.cx.now);
                self.cx.standing.set_trunk(Some(Arc::clone(&trunk)));
                self.links.trunk = Some(trunk);
                self.cx.life.set_served();
            }
            (0 | 1, Some(_)) => self.trunk_down(),
            _ => {}
        }
    }

    /// The ordinal of the certificates that the connector's side made the connection with.
    pub(super) fn ordinal(&self) -> u64 {
        if self.cx.settings.outgoing {
            return self.cx.settings.ordinal.unwrap_or_default();
        }
        self.cx.peer.open.as_ref().and_then(|open| open.ordinal).unwrap_or_default()
    }

    /// Another control connection has taken over. As connector: detaches the control links; the
    /// streams that there are go on.
    pub(super) fn retire(&mut self) {
        if !self.cx.settings.outgoing {
            return;
        }
        for link in
            [self.links.control_in.take(), self.links.control_out.take()].into_iter().flatten()
        {
            self.cx.engine.detach(link, None);
            self.link_gone(link);
        }
        (self.links.control_in_attached, self.links.control_out_attached) = (false, false);
        self.control_links_changed();
    }

    /// Takes the trunk, or this data connection's part in one, out of the core.
    pub(super) fn trunk_down(&mut self) {
        if let Some(trunk) = self.links.trunk.take() {
            self.cx.core.trunk_down(&trunk, self.cx.now);
            self.cx.standing.set_trunk(None);
        }
        if let Some(group) = self.links.member_of.take() {
            self.cx.core.data_down(&group, &self.cx.mailbox);
        }
    }
}
