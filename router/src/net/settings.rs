//! What a connection is made with.

use std::sync::Arc;
use std::time::Duration;

use skupper_proto::amqp::Fields;
use skupper_proto::engine;

use super::failover::Targets;
use crate::schema::{ManagementAccess, MessageComponents, Role};

/// What a connection is made with.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) role: Role,
    /// The listener's or connector's name.
    pub(super) entity: Arc<str>,
    /// We connected.
    pub(super) outgoing: bool,
    /// We connected, and it is to be a data connection.
    pub(super) data: bool,
    pub(super) cost: u32,
    pub(super) link_capacity: u32,
    /// What of messages is logged.
    pub(super) message_logging: MessageComponents,
    /// Router annotations that come from a client are passed over, and none are sent to it.
    pub(super) strip_in: bool,
    pub(super) strip_out: bool,
    /// As connector: what its connections have in common.
    pub(super) correlator: Option<String>,
    /// As connector with TLS: the profile's ordinal.
    pub(super) ordinal: Option<u64>,
    pub(super) layer: engine::Layer,
    pub(super) hostname: Option<String>,
    pub(super) max_frame_size: u32,
    pub(super) channel_max: u16,
    pub(super) session_frames: Option<u32>,
    pub(super) idle_timeout: Duration,
    pub(super) handshake_timeout: Duration,
    /// As listener between routers: what names it in flow records.
    pub(super) access_id: Option<String>,
    /// Properties of our open that are configured, and other addresses at which a listener's
    /// clients may find us.
    pub(super) properties: Fields,
    /// As connector: where it connects, which the peer may add to.
    pub(super) targets: Option<Arc<Targets>>,
    /// As connector: who we are, by SASL PLAIN.
    pub(super) user: Option<String>,
    /// The vhost whose policy applies, whatever the peer asks for.
    pub(super) policy_vhost: Option<String>,
    /// What the peer may ask of management nodes.
    pub(super) management: ManagementAccess,
}
