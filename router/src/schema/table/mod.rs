//! The table. A row is an attribute. Types that a configuration may hold have their rows in a file
//! of [`super::typed`] each.
//!
//! A row begins with the type of its value. `create` and `update` say when the attribute may be
//! given. `works` or `guards` say what it does; a row without these words is `Accepted`.
//! Descriptions give the meaning of the attribute and when to change it. Units, ranges and defaults
//! have words of their own. Attributes that a C router does not have stand in `further_attributes`,
//! never among the others.

mod management;
mod state;

use super::entity_type::EntityType;
use super::{EntityKind, typed};

/// Returns the row of a type.
pub(super) const fn row(kind: EntityKind) -> &'static EntityType {
    match kind {
        EntityKind::Entity => &management::ENTITY,
        EntityKind::AmqpManagement => &management::AMQP_MANAGEMENT,
        EntityKind::Management => &management::MANAGEMENT,
        EntityKind::ConfigurationEntity => &management::CONFIGURATION_ENTITY,
        EntityKind::OperationalEntity => &management::OPERATIONAL_ENTITY,
        EntityKind::RouterMetrics => &state::ROUTER_METRICS,
        EntityKind::Router => &typed::router::ROW,
        EntityKind::Network => &typed::network::ROW,
        EntityKind::Site => &typed::site::ROW,
        EntityKind::SslProfile => &typed::ssl_profile::ROW,
        EntityKind::ProxyProfile => &typed::proxy_profile::ROW,
        EntityKind::Listener => &typed::listener::ROW,
        EntityKind::Connector => &typed::connector::ROW,
        EntityKind::TcpListener => &typed::tcp_listener::ROW,
        EntityKind::TcpConnector => &typed::tcp_connector::ROW,
        EntityKind::ListenerAddress => &typed::listener_address::ROW,
        EntityKind::Log => &typed::log::ROW,
        EntityKind::LogStats => &state::LOG_STATS,
        EntityKind::ConfigAddress => &typed::address::ROW,
        EntityKind::AutoLink => &typed::auto_link::ROW,
        EntityKind::Link => &state::LINK,
        EntityKind::Address => &state::ADDRESS,
        EntityKind::Node => &state::NODE,
        EntityKind::Connection => &state::CONNECTION,
        EntityKind::TcpConnection => &state::TCP_CONNECTION,
        EntityKind::Allocator => &state::ALLOCATOR,
        EntityKind::Policy => &typed::policy::ROW,
        EntityKind::Vhost => &typed::vhost::ROW,
        EntityKind::VhostUserGroupSettings => &typed::vhost_user_group_settings::ROW,
        EntityKind::VhostStats => &state::VHOST_STATS,
        EntityKind::Dummy => &management::DUMMY,
    }
}
