//! The operations of the management protocol.

/// An operation of the management protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
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

    /// Finds the operation of this name, in any case of letters.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name().eq_ignore_ascii_case(name))
    }

    /// Returns whether it changes nothing in the router.
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

    /// Returns the name on the wire.
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
