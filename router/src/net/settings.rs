//! The settings of a connection: a listener or connector makes them.

use std::sync::Arc;
use std::time::Duration;

use skupper_proto::amqp::Fields;
use skupper_proto::engine;

use super::failover::Targets;
use crate::schema::{ManagementAccess, MessageComponents, Role};

/// The settings of a connection.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) role: Role,
    /// The name of the listener or connector.
    pub(super) entity: Arc<str>,
    /// This router connected.
    pub(super) outgoing: bool,
    /// This router connected, for a data connection.
    pub(super) data: bool,
    pub(super) cost: u32,
    pub(super) link_capacity: u32,
    /// The parts of messages that are logged.
    pub(super) message_logging: MessageComponents,
    /// The router ignores a client's router annotations, and sends it none.
    pub(super) strip_in: bool,
    pub(super) strip_out: bool,
    /// As connector: the correlator of its connections.
    pub(super) correlator: Option<String>,
    /// As connector with TLS: the ordinal of the profile.
    pub(super) ordinal: Option<u64>,
    pub(super) layer: engine::Layer,
    pub(super) hostname: Option<String>,
    pub(super) max_frame_size: u32,
    pub(super) channel_max: u16,
    pub(super) session_frames: Option<u32>,
    pub(super) idle_timeout: Duration,
    pub(super) handshake_timeout: Duration,
    /// As listener between routers: its identity in flow records.
    pub(super) access_id: Option<String>,
    /// The configured properties of our open, and other addresses at which clients find this
    /// router.
    pub(super) properties: Fields,
    /// As connector: its addresses, to which the peer may add.
    pub(super) targets: Option<Arc<Targets>>,
    /// As connector: our user, by SASL PLAIN.
    pub(super) user: Option<String>,
    /// The vhost whose policy applies, whatever the peer asks for.
    pub(super) policy_vhost: Option<String>,
    /// The access of the peer to management nodes.
    pub(super) management: ManagementAccess,
}
