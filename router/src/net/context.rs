//! The parts of a connection that its machines act through: the engine, the core, the time.
//!
//! [`Incoming`](super::incoming::Incoming), [`Outgoing`](super::outgoing::Outgoing) and the roles
//! take a [`Context`] as argument. It holds no socket and reads no clock, so a test drives each of
//! them in virtual time.

use std::sync::Arc;

use skupper_proto::engine::{self, LinkKey};
use skupper_proto::keys::KeyMap;
use skupper_proto::time::Instant;

use super::life::Life;
use super::peer::Peer;
use super::settings::{Kind, Settings};
use super::standing::Standing;
use crate::core::{Core, EdgeConnection, Holder, Mailbox};
use crate::node::{KnownLink, Octets};

/// The parts of a connection that its machines act through.
pub(super) struct Context {
    /// The connection's number.
    pub(super) id: u64,
    /// The configuration.
    pub(super) settings: Settings,
    /// The kind of connection that it turned out to be.
    pub(super) kind: Kind,
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
    /// The links as management knows them.
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
