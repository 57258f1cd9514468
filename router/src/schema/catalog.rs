//! The table's knowledge of each entity type.

use super::kind::PREFIX;
use super::{Attribute, Effect, EntityKind, Operation, table};

impl EntityKind {
    /// Finds a type by its short name (`listener`), its long name (`io.skupper.router.listener`),
    /// or its alias in configuration files (`address`, `autoLink`).
    pub fn named(name: &str) -> Option<Self> {
        let name = name.strip_prefix(PREFIX).unwrap_or(name);
        Self::all().find(|kind| kind.name() == name || table::row(*kind).alias == Some(name))
    }

    /// Returns every type, in the order in which management tells them.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied()
    }

    /// Returns the name that configuration files use.
    pub fn section(self) -> &'static str {
        table::row(self).alias.unwrap_or_else(|| self.name())
    }

    /// Returns the use of its entities, in words.
    pub fn description(self) -> &'static str {
        table::row(self).description
    }

    /// Returns whether management calls it a singleton, which the router makes if nothing
    /// configures it.
    pub fn is_singleton(self) -> bool {
        table::row(self).singleton
    }

    /// Returns whether no second one may be configured.
    pub fn is_single(self) -> bool {
        self.is_singleton() || self == Self::Site
    }

    /// Returns the effect of configuring one.
    pub fn effect(self) -> Effect {
        table::row(self).effect
    }

    /// Returns this type and the types it extends, nearest first.
    pub fn lineage(self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self), |kind| table::row(*kind).base)
    }

    /// Returns the types it extends, nearest first.
    pub fn bases(self) -> impl Iterator<Item = Self> {
        self.lineage().skip(1)
    }

    /// Returns all attributes, its own first.
    pub fn attributes(self) -> impl Iterator<Item = &'static Attribute> {
        self.lineage()
            .flat_map(|kind| kind.own_attributes().iter().chain(kind.further_attributes()))
    }

    /// Returns the attributes that a C router has too, in the order that `GET-ATTRIBUTES` tells
    /// them.
    pub fn common_attributes(self) -> impl Iterator<Item = &'static Attribute> {
        self.lineage().flat_map(Self::own_attributes)
    }

    /// Returns the attributes that it does not inherit and a C router has too.
    pub fn own_attributes(self) -> &'static [Attribute] {
        table::row(self).own_attributes
    }

    /// Returns the attributes that a C router does not have.
    pub fn further_attributes(self) -> &'static [Attribute] {
        table::row(self).further_attributes
    }

    /// Returns all operations, its own first, in the order that `GET-OPERATIONS` tells them.
    pub fn operations(self) -> impl Iterator<Item = Operation> {
        self.lineage().flat_map(|kind| table::row(kind).own_operations.iter().copied())
    }

    /// Finds an attribute by name, inherited ones included.
    pub fn attribute(self, name: &str) -> Option<&'static Attribute> {
        self.attributes().find(|attribute| attribute.name == name)
    }

    /// Returns whether it is `other` or extends it.
    pub fn extends(self, other: Self) -> bool {
        self.lineage().any(|kind| kind == other)
    }

    /// Returns whether a configuration file may hold one.
    pub fn is_configuration(self) -> bool {
        self.bases().any(|base| base == Self::ConfigurationEntity)
    }
}
