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

use super::EntityType;

/// Every entity type, in the order in which management tells them.
pub(super) static ENTITY_TYPES: &[&EntityType] = &[
    &management::ENTITY,
    &management::AMQP_MANAGEMENT,
    &management::MANAGEMENT,
    &management::CONFIGURATION_ENTITY,
    &management::OPERATIONAL_ENTITY,
    &state::ROUTER_METRICS,
    &router::ROUTER,
    &router::NETWORK,
    &router::SITE,
    &security::SSL_PROFILE,
    &security::PROXY_PROFILE,
    &connections::LISTENER,
    &connections::CONNECTOR,
    &services::TCP_LISTENER,
    &services::TCP_CONNECTOR,
    &services::LISTENER_ADDRESS,
    &router::LOG,
    &state::LOG_STATS,
    &services::ADDRESS,
    &services::AUTO_LINK,
    &state::LINK,
    &state::ADDRESS,
    &state::NODE,
    &state::CONNECTION,
    &state::TCP_CONNECTION,
    &state::ALLOCATOR,
    &policy::POLICY,
    &policy::VHOST,
    &policy::VHOST_USER_GROUP_SETTINGS,
    &state::VHOST_STATS,
    &management::DUMMY,
];
