//! A row of the table of entity types.

use super::{Attribute, Effect, EntityKind, Operation};

/// An entity type in the table. Other rooms ask its [`EntityKind`].
#[derive(Debug)]
pub(super) struct EntityType {
    /// A shorter name that configuration files use.
    pub(super) alias: Option<&'static str>,
    /// The use of its entities.
    pub(super) description: &'static str,
    /// The type it extends.
    pub(super) base: Option<EntityKind>,
    /// There is at most one.
    pub(super) singleton: bool,
    /// The effect of configuring one. Attributes of a type without effect have none either.
    pub(super) effect: Effect,
    /// Its own operations; [`EntityKind::operations`] adds the inherited ones.
    pub(super) own_operations: &'static [Operation],
    /// Its own attributes; [`EntityKind::attributes`] adds the inherited ones.
    pub(super) own_attributes: &'static [Attribute],
    /// Attributes that this router has and a C router does not. Requests for the schema do not tell
    /// them, because tools compare schemas. A query tells them by name.
    pub(super) further_attributes: &'static [Attribute],
}

/// The operations of types whose entities are made and deleted, and never changed.
pub(super) const CREATED_AND_DELETED: &[Operation] = &[Operation::Create, Operation::Delete];

/// The operations of types whose entities may be changed too.
pub(super) const CHANGED: &[Operation] = &[Operation::Create, Operation::Update, Operation::Delete];

/// Makes a type that extends `base`. Its operations and attributes follow.
pub(super) const fn extends(base: EntityKind, description: &'static str) -> EntityType {
    EntityType {
        alias: None,
        description,
        base: Some(base),
        singleton: false,
        effect: Effect::Works,
        own_operations: &[],
        own_attributes: &[],
        further_attributes: &[],
    }
}

/// Makes a type that a configuration file may hold.
pub(super) const fn configuration(description: &'static str) -> EntityType {
    extends(EntityKind::ConfigurationEntity, description)
}

/// Makes a type that tells what the router does.
pub(super) const fn operational(description: &'static str) -> EntityType {
    extends(EntityKind::OperationalEntity, description)
}
