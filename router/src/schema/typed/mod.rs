//! Checked entities as types: what an attribute is to code that acts on it.
//!
//! Each is made from an [`Entity`] by `TryFrom`, which also checks what concerns several attributes
//! of the entity. Defaults come with the entity, from the table; there are none here.

mod connections;
mod policy;
mod router;
mod security;
mod services;
mod settings;

pub use connections::{Connector, HttpListener, Limits, Listener, reserved_property};
pub use policy::{PolicyEntity, VhostEntity};
pub use router::{LogConfig, LogOutput, RouterEntity, Site};
pub use security::SslProfile;
pub use services::{
    AddressConfig, AddressMatch, AddressProblem, AutoLinkConfig, AutoLinkProblem,
    ListenerAddressConfig, TcpConnector, TcpListener, auto_link_comes_in,
};
pub use settings::{Settings, Typed};

use super::{AttributeError, Entity};

/// The name of an entity. [`Entity::identify`] gives one to those that were given none.
fn name(entity: &Entity) -> Result<String, AttributeError> {
    entity.get("name")
}

/// Text that may be absent; empty text is.
fn text(entity: &Entity, attribute: &str) -> Option<String> {
    entity.text(attribute).map(str::to_owned)
}
