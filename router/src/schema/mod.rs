//! The management schema, written once.
//!
//! [`table`] lists the entities and their attributes. The readers of configuration files, the
//! management node and the reference configuration are made from it. [`EntityKind`] names a type.
//! [`Entity`] is an entity whose attributes were checked against the table; the types in [`typed`]
//! are the same for code that acts on them. Only [`Password::resolve`] opens a file.

mod attribute;
mod catalog;
mod entity;
mod entity_type;
mod failover;
mod identity;
mod kind;
mod levels;
mod nearest;
mod operation;
mod order;
mod password;
mod port;
pub mod reference;
mod table;
#[cfg(test)]
mod tests;
pub mod typed;
mod value;
mod words;

pub(crate) use attribute::quote;
pub use attribute::{Attribute, Effect, Fixed, Use, ValueType};
pub use entity::{AttributeError, Entity, FromValue, Problem, Reference};
pub use failover::{FailoverUrl, failover_urls};
pub use kind::{EntityKind, PREFIX};
pub(crate) use nearest::nearest;
pub use operation::Operation;
pub use order::START_ORDER;
pub use password::{Password, PasswordError, Secret};
pub use port::Port;
pub use value::Value;
pub use words::{
    AddressFamily, Distribution, LogModule, ManagementAccess, MessageComponents, Mode,
    MultiAddressStrategy, Observer, Role, SaslMechanism, SaslMechanisms, StripAnnotations,
};
