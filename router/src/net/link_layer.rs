//! The links of a connection and the deliveries on them: everything below its role.

use skupper_proto::amqp::performative::{Attach, Error, Role};
use skupper_proto::engine::LinkKey;

use super::context::Context;
use super::incoming::Incoming;
use super::outgoing::Outgoing;
use super::tally::Scan;
use crate::node::LinkKind;

/// The links of a connection and the deliveries on them.
pub(super) struct LinkLayer {
    /// What both machines act through.
    pub(super) cx: Context,
    /// The deliveries that arrive.
    pub(super) incoming: Incoming,
    /// The deliveries that leave.
    pub(super) outgoing: Outgoing,
}

impl LinkLayer {
    /// Makes a layer without links.
    pub(super) fn new(cx: Context) -> Self {
        Self { cx, incoming: Incoming::default(), outgoing: Outgoing::default() }
    }

    /// A link is gone: nothing goes by it any more.
    pub(super) fn on_link_gone(&mut self, link: LinkKey) {
        self.outgoing.on_detached(&mut self.cx, link);
        self.incoming.on_detached(link);
        self.cx.records.remove(&link);
    }

    /// Detaches a link.
    pub(super) fn detach(&mut self, link: LinkKey) {
        self.cx.engine.detach(link, None);
        self.on_link_gone(link);
    }

    /// Refuses a link that the peer attached, and logs why.
    pub(super) fn refuse(&mut self, link: LinkKey, name: &str, error: Error) {
        let id = self.cx.id;
        crate::log_limited!(id, Server, Info, "[C{id}] refused link {name:?}: {error}");
        self.cx.engine.refuse(link, error);
    }

    /// The peer has answered the attach of a link for streams, or of a gauge.
    pub(super) fn on_stream_answered(&mut self, link: LinkKey, attach: &Attach, kind: LinkKind) {
        self.cx.know(link, (&attach.name, attach.role), kind, None, None);
        if attach.role == Role::Receiver {
            self.outgoing.on_stream_attached(&mut self.cx, link);
        }
    }

    /// Looks for deliveries that have waited for too long, and says so once for each link.
    pub(super) fn scan(&mut self) {
        let mut scan = Scan::new(self.cx.now);
        self.incoming.scan(&mut scan);
        self.outgoing.scan(&mut scan);
        scan.end(&mut self.cx);
    }

    /// Gives back the room that a burst of links and deliveries has left.
    pub(super) fn shrink(&mut self) {
        self.cx.engine.shrink();
        self.incoming.shrink();
        self.outgoing.shrink();
        self.cx.records.shrink_to_fit();
    }
}
