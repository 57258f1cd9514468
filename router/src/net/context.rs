//! The parts of a connection that its machines act through: the engine, the core, the time.
//!
//! [`Incoming`](super::incoming::Incoming), [`Outgoing`](super::outgoing::Outgoing) and the roles
//! take a [`Context`] as argument. It holds no socket and reads no clock, so a test drives each of
//! them in virtual time.

use std::sync::Arc;

use skupper_proto::amqp::message::DEFAULT_PRIORITY;
use skupper_proto::amqp::performative::Role;
use skupper_proto::engine::{self, LinkKey};
use skupper_proto::keys::KeyMap;
use skupper_proto::time::Instant;

use super::life::Life;
use super::peer::Peer;
use super::settings::Settings;
use super::standing::Standing;
use crate::core::{Core, EdgeConnection, Holder, Mailbox};
use crate::node::{KnownLink, LinkCounts, LinkKind, LinkRecord, Links, Octets};

/// The parts of a connection that its machines act through.
pub(super) struct Context {
    /// The connection's number.
    pub(super) id: u64,
    /// The configuration.
    pub(super) settings: Settings,
    /// The peer is an AMQP client, or not known yet.
    pub(super) is_client: bool,
    /// The capability of this router's links for streams.
    pub(super) stream_capability: Option<&'static str>,
    /// The tables of the router.
    pub(super) core: Arc<Core>,
    /// The AMQP engine.
    pub(super) engine: engine::Connection,
    /// The time of the present step.
    pub(super) now: Instant,
    /// Others reach the connection's task by it.
    pub(super) mailbox: Arc<Mailbox>,
    /// The account of the memory that is held for the peer.
    pub(super) holder: Arc<Holder>,
    /// Counts bytes and deliveries, for management.
    pub(super) octets: Arc<Octets>,
    /// The links of all connections, as management knows them.
    pub(super) links: Arc<Links>,
    /// The connection's links among them.
    pub(super) records: KeyMap<LinkKey, KnownLink>,
    /// The other end.
    pub(super) peer: Peer,
    /// The edge connection that it is, as the core knows it.
    pub(super) edge: Option<Arc<EdgeConnection>>,
    /// Where the connection stands between its start and its end.
    pub(super) life: Life,
    /// What status shows of it.
    pub(super) standing: Arc<Standing>,
    /// When to look for deliveries that have waited for too long.
    pub(super) scan_due: Option<Instant>,
}

impl Context {
    /// Returns the ordinal of the certificates that the connector's side made the connection with.
    pub(super) fn ordinal(&self) -> u64 {
        let ordinal = if self.settings.outgoing {
            self.settings.ordinal
        } else {
            self.peer.open.as_ref().and_then(|open| open.ordinal)
        };
        ordinal.unwrap_or_default()
    }

    /// Returns how many deliveries may be open on a link: at least one.
    pub(super) fn link_capacity(&self) -> u32 {
        self.settings.link_capacity.max(1)
    }

    /// Enters a link where management finds it. `peer` is the peer's role on the link.
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
            connection: self.id,
            name: name.to_owned(),
            outgoing: peer == Role::Receiver,
            kind,
            address,
            capacity: self.settings.link_capacity,
            priority: priority
                .and_then(|priority| u8::try_from(priority).ok())
                .unwrap_or(DEFAULT_PRIORITY),
            counts: LinkCounts::default(),
        };
        self.records.insert(link, self.links.enter(record, &self.holder));
    }

    /// Writes down a link's credit, for management.
    pub(super) fn note_credit(&self, link: LinkKey) {
        if let Some(known) = self.records.get(&link) {
            known.record().counts.set_credit(self.engine.credit(link), self.now);
        }
    }
}
