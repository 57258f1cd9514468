//! The attributes of a flow record, as they are gathered.

use skupper_proto::vanflow::{Fact, RecordKind, attribute as of};

use crate::flow::Described;

/// Attributes that are known. Unknown ones are left out.
#[derive(Default)]
pub(super) struct Facts(Vec<(u32, Fact)>);

impl Facts {
    /// Adds an attribute.
    pub(super) fn with(mut self, attribute: u32, fact: impl Into<Fact>) -> Self {
        self.0.push((attribute, fact.into()));
        self
    }

    /// Adds an attribute if there is a value.
    pub(super) fn maybe(self, attribute: u32, fact: Option<impl Into<Fact>>) -> Self {
        match fact {
            Some(fact) => self.with(attribute, fact),
            None => self,
        }
    }

    /// Begins the record of a service's port or server: its name, its host and port, the address,
    /// and the connections so far.
    pub(super) fn of_service(
        name: &str,
        (host, port): (&str, String),
        address: &str,
        opened: u64,
    ) -> Self {
        Self::default()
            .with(of::PROTOCOL, "tcp")
            .with(of::NAME, name)
            .with(of::DESTINATION_HOST, host)
            .with(of::DESTINATION_PORT, port)
            .with(of::VAN_ADDRESS, address)
            .with(of::FLOW_COUNT_L4, opened)
    }

    /// Makes a record of them. `key` tells it from all others of the router.
    pub(super) fn describe(self, key: String, kind: RecordKind) -> Described {
        Described { key, identity: None, kind, facts: self.0 }
    }

    /// Returns the attributes alone.
    pub(super) fn into_inner(self) -> Vec<(u32, Fact)> {
        self.0
    }
}
