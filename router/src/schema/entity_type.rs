//! An entity type: its attributes, its operations, what it inherits.

use super::{Attribute, Effect};

/// What every long type name begins with.
pub const PREFIX: &str = "io.skupper.router.";

/// An operation of the management protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Operation {
    Create,
    Read,
    Update,
    Delete,
    Query,
    GetTypes,
    GetAnnotations,
    GetOperations,
    GetAttributes,
    GetMgmtNodes,
    GetSchema,
    GetJsonSchema,
    GetLog,
    Profile,
    CallMe,
}

impl Operation {
    const ALL: [Self; 15] = [
        Self::Create,
        Self::Read,
        Self::Update,
        Self::Delete,
        Self::Query,
        Self::GetTypes,
        Self::GetAnnotations,
        Self::GetOperations,
        Self::GetAttributes,
        Self::GetMgmtNodes,
        Self::GetSchema,
        Self::GetJsonSchema,
        Self::GetLog,
        Self::Profile,
        Self::CallMe,
    ];

    /// The operation of this name, in whatever case tools write it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name().eq_ignore_ascii_case(name))
    }

    /// Whether it changes nothing in the router.
    pub const fn only_reads(self) -> bool {
        match self {
            Self::Create | Self::Update | Self::Delete | Self::Profile => false,
            Self::Read
            | Self::Query
            | Self::GetTypes
            | Self::GetAnnotations
            | Self::GetOperations
            | Self::GetAttributes
            | Self::GetMgmtNodes
            | Self::GetSchema
            | Self::GetJsonSchema
            | Self::GetLog
            | Self::CallMe => true,
        }
    }

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Read => "READ",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Query => "QUERY",
            Self::GetTypes => "GET-TYPES",
            Self::GetAnnotations => "GET-ANNOTATIONS",
            Self::GetOperations => "GET-OPERATIONS",
            Self::GetAttributes => "GET-ATTRIBUTES",
            Self::GetMgmtNodes => "GET-MGMT-NODES",
            Self::GetSchema => "GET-SCHEMA",
            Self::GetJsonSchema => "GET-JSON-SCHEMA",
            Self::GetLog => "GET-LOG",
            Self::Profile => "PROFILE",
            Self::CallMe => "CALLME",
        }
    }
}

/// An entity type of the management schema.
#[derive(Debug)]
pub struct EntityType {
    /// The name without [`PREFIX`].
    pub name: &'static str,
    /// A shorter name that configuration files use.
    pub alias: Option<&'static str>,
    /// What it is for.
    pub description: &'static str,
    /// The type it extends.
    pub base: Option<&'static Self>,
    /// There is at most one.
    pub singleton: bool,
    /// Whether configuring one does anything. Attributes of a type without effect have none
    /// either.
    pub effect: Effect,
    /// Its own operations; [`EntityType::operations`] adds the inherited ones.
    pub own_operations: &'static [Operation],
    /// Its own attributes; [`EntityType::attributes`] adds the inherited ones.
    pub own_attributes: &'static [Attribute],
    /// Attributes that this router has and a C router does not. Requests for the schema do not
    /// tell them, for tools compare schemas; a query tells them by name.
    pub further_attributes: &'static [Attribute],
}

impl EntityType {
    /// The name with [`PREFIX`], as it stands in the `type` attribute.
    pub fn long_name(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    /// The name that configuration files use.
    pub fn section(&self) -> &'static str {
        self.alias.unwrap_or(self.name)
    }

    /// This type and the types it extends, nearest first.
    pub fn lineage(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |kind| kind.base)
    }

    /// The types it extends, nearest first.
    pub fn bases(&self) -> impl Iterator<Item = &Self> {
        self.lineage().skip(1)
    }

    /// All attributes, its own first.
    pub fn attributes(&self) -> impl Iterator<Item = &'static Attribute> {
        self.lineage().flat_map(|kind| kind.own_attributes.iter().chain(kind.further_attributes))
    }

    /// The attributes that a C router has too, in the order that `GET-ATTRIBUTES` tells them.
    pub fn common_attributes(&self) -> impl Iterator<Item = &'static Attribute> {
        self.lineage().flat_map(|kind| kind.own_attributes)
    }

    /// All operations, its own first, in the order that `GET-OPERATIONS` tells them.
    pub fn operations(&self) -> impl Iterator<Item = Operation> {
        self.lineage().flat_map(|kind| kind.own_operations.iter().copied())
    }

    /// The attribute of this name, inherited ones included.
    pub fn attribute(&self, name: &str) -> Option<&'static Attribute> {
        self.attributes().find(|attribute| attribute.name == name)
    }

    /// Whether it is `other` or extends it.
    pub fn extends(&self, other: &Self) -> bool {
        self.lineage().any(|kind| kind.name == other.name)
    }

    /// Whether a configuration file may hold one.
    pub fn is_configuration(&self) -> bool {
        self.bases().any(|base| base.name == "configurationEntity")
    }

    /// Whether it tells what the router does.
    pub fn is_operational(&self) -> bool {
        self.bases().any(|base| base.name == "operationalEntity")
    }
}
