//! The table. One file a family of entities; a row is an attribute.
//!
//! A row begins with the type of its value and goes on with what is known of it: `create` and
//! `update` say when it may be given, `works` or `guards` what giving it does (`Accepted`, nothing
//! yet, is what a row without these words says). Descriptions say what the attribute means and when
//! to change it; units, ranges and defaults have words of their own and are not repeated.
//! Attributes that a C router does not have stand in `further_attributes`, never among the others.

mod connections;
mod management;
mod policy;
mod router;
mod security;
mod services;
mod state;

use super::EntityKind;
use super::entity_type::EntityType;

/// Returns the row of a type.
pub(super) const fn row(kind: EntityKind) -> &'static EntityType {
    match kind {
        EntityKind::Entity => &management::ENTITY,
        EntityKind::AmqpManagement => &management::AMQP_MANAGEMENT,
        EntityKind::Management => &management::MANAGEMENT,
        EntityKind::ConfigurationEntity => &management::CONFIGURATION_ENTITY,
        EntityKind::OperationalEntity => &management::OPERATIONAL_ENTITY,
        EntityKind::RouterMetrics => &state::ROUTER_METRICS,
        EntityKind::Router => &router::ROUTER,
        EntityKind::Network => &router::NETWORK,
        EntityKind::Site => &router::SITE,
        EntityKind::SslProfile => &security::SSL_PROFILE,
        EntityKind::ProxyProfile => &security::PROXY_PROFILE,
        EntityKind::Listener => &connections::LISTENER,
        EntityKind::Connector => &connections::CONNECTOR,
        EntityKind::TcpListener => &services::TCP_LISTENER,
        EntityKind::TcpConnector => &services::TCP_CONNECTOR,
        EntityKind::ListenerAddress => &services::LISTENER_ADDRESS,
        EntityKind::Log => &router::LOG,
        EntityKind::LogStats => &state::LOG_STATS,
        EntityKind::ConfigAddress => &services::ADDRESS,
        EntityKind::AutoLink => &services::AUTO_LINK,
        EntityKind::Link => &state::LINK,
        EntityKind::Address => &state::ADDRESS,
        EntityKind::Node => &state::NODE,
        EntityKind::Connection => &state::CONNECTION,
        EntityKind::TcpConnection => &state::TCP_CONNECTION,
        EntityKind::Allocator => &state::ALLOCATOR,
        EntityKind::Policy => &policy::POLICY,
        EntityKind::Vhost => &policy::VHOST,
        EntityKind::VhostUserGroupSettings => &policy::VHOST_USER_GROUP_SETTINGS,
        EntityKind::VhostStats => &state::VHOST_STATS,
        EntityKind::Dummy => &management::DUMMY,
    }
}
