//! One file for each type that a configuration may hold: its rows of the table, and the type that
//! code acts on.
//!
//! Such a type is made from an [`Entity`] by `TryFrom`, which also checks what concerns several
//! attributes of the entity. Defaults come with the entity, from the rows. An attribute that a C
//! router does not have stands in `further_attributes`, a list of its own.

pub(super) mod address;
mod amqp;
pub(super) mod auto_link;
pub(super) mod connector;
pub(super) mod listener;
pub(super) mod listener_address;
pub(super) mod log;
pub(super) mod network;
pub(super) mod policy;
pub(super) mod proxy_profile;
pub(super) mod router;
mod service;
mod settings;
pub(super) mod site;
pub(super) mod ssl_profile;
pub(super) mod tcp_connector;
pub(super) mod tcp_listener;
pub(super) mod vhost;
pub(super) mod vhost_user_group_settings;

pub use address::{AddressConfig, AddressMatch, AddressProblem};
pub use amqp::{Limits, reserved_property};
pub use auto_link::{AutoLinkConfig, AutoLinkProblem, auto_link_comes_in};
pub use connector::Connector;
pub use listener::{HttpListener, Listener};
pub use listener_address::ListenerAddressConfig;
pub use log::{LogConfig, LogOutput};
pub use policy::PolicyEntity;
pub use router::RouterEntity;
pub use settings::{Settings, Typed};
pub use site::Site;
pub use ssl_profile::SslProfile;
pub use tcp_connector::TcpConnector;
pub use tcp_listener::TcpListener;
pub use vhost::VhostEntity;

use super::{AttributeError, Entity};

/// Returns the name of an entity. [`Entity::identify`] gives one to those that were given none.
fn name(entity: &Entity) -> Result<String, AttributeError> {
    entity.get("name")
}

/// Returns text that may be absent. Empty text is absent.
fn text_of(entity: &Entity, attribute: &str) -> Option<String> {
    entity.text(attribute).map(str::to_owned)
}
