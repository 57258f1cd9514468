//! A data connection between interior routers, for streams alone.

use std::sync::Arc;

use skupper_proto::amqp::performative::{Attach, Role};
use skupper_proto::engine::LinkKey;

use crate::core::GroupKey;
use crate::net::attach::echo;
use crate::net::link_layer::LinkLayer;
use crate::node::LinkKind;

/// A data connection.
pub(in crate::net) struct Data {
    /// The correlator of its group: ours as connector, the peer's as listener.
    correlator: Option<String>,
    /// The group that it has joined in the core.
    group: Option<GroupKey>,
}

/// Accepts a link that the peer attached: streams may come by it.
pub(super) fn on_attached(links: &mut LinkLayer, link: LinkKey, attach: Attach) {
    let cx = &mut links.cx;
    cx.know(link, (&attach.name, attach.role), LinkKind::Endpoint, None, None);
    let receives = attach.role == Role::Sender;
    cx.engine.accept(link, echo(attach));
    if receives {
        cx.engine.keep_credit(link, cx.settings.link_capacity);
    }
}

impl Data {
    /// Makes a data connection of a group.
    pub(in crate::net) const fn new(correlator: Option<String>) -> Self {
        Self { correlator, group: None }
    }

    /// Begins the service of a neighbor: the core may give it streams.
    pub(super) fn on_opened(&mut self, links: &mut LinkLayer, container: &Arc<str>) {
        let cx = &mut links.cx;
        if let Some(correlator) = &self.correlator {
            let group = GroupKey::new(container, correlator);
            cx.core.data_up(&group, cx.ordinal(), &cx.mailbox);
            self.group = Some(group);
        }
        cx.life.set_served();
    }

    /// Leaves the group.
    pub(super) fn on_end(&mut self, links: &LinkLayer) {
        if let Some(group) = self.group.take() {
            links.cx.core.data_down(&group, &links.cx.mailbox);
        }
    }
}
