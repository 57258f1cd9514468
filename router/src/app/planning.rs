//! Entities that are planned together, as far as they need to know of each other and of running
//! ones.

use std::collections::{BTreeMap, BTreeSet};

use skupper_proto::address::patterns::{PatternError, Patterns, pattern_of_prefix};

use super::profile::ProfileInForce;
use super::trouble::Trouble;
use crate::schema::typed::{AddressConfig, AddressMatch, TcpListener};
use crate::tls::{Acceptor, ClientVerification, Connector, ServerVerification};

/// The entities that exist, and those that will once the plan is applied.
#[derive(Debug, Default)]
pub(super) struct Planning {
    /// The router starts: a profile must be usable even if no entity uses it.
    starting: bool,
    profiles: BTreeMap<String, ProfileInForce>,
    patterns: Patterns<()>,
    /// Names of the tcpListeners that have several addresses.
    several: BTreeSet<String>,
}

impl Planning {
    /// Begins for a router that starts.
    pub(super) fn at_start() -> Self {
        Self { starting: true, ..Self::default() }
    }

    /// Whether the router starts.
    pub(super) const fn is_start(&self) -> bool {
        self.starting
    }

    /// Adds a profile for those who use it.
    pub(super) fn add_profile(&mut self, profile: ProfileInForce) {
        self.profiles.insert(profile.config().name.clone(), profile);
    }

    /// Adds a tcpListener for its addresses.
    pub(super) fn add_tcp_listener(&mut self, listener: &TcpListener) {
        if listener.has_several_addresses() {
            self.several.insert(listener.name.clone());
        }
    }

    /// Whether a tcpListener of this name takes addresses.
    pub(super) fn takes_addresses(&self, listener: &str) -> bool {
        self.several.contains(listener)
    }

    /// Claims the addresses that an address entity is about.
    ///
    /// # Errors
    /// It is no pattern, or another entity has it.
    pub(super) fn take_pattern(&mut self, address: &AddressConfig) -> Result<(), Trouble> {
        let (attribute, pattern) = pattern(address);
        self.patterns.insert(&pattern, ()).map_err(|error| match error {
            PatternError::Duplicate(_) => Trouble::Taken { attribute, text: error.to_string() },
            _ => Trouble::Failed { attribute, text: error.to_string() },
        })
    }

    /// Finds a profile. An entity that names none has none.
    pub(super) fn profile(&self, name: Option<&String>) -> Option<&ProfileInForce> {
        name.and_then(|name| self.profiles.get(name))
    }

    /// Returns the server side of a profile. Clients show a certificate if `certified`.
    ///
    /// # Errors
    /// The profile's files cannot be used.
    pub(super) fn acceptor(
        &self,
        profile: Option<&String>,
        certified: bool,
    ) -> Result<Option<Acceptor>, Trouble> {
        let verification =
            if certified { ClientVerification::Required } else { ClientVerification::None };
        let profile = self.profile(profile).map(ProfileInForce::profile).transpose()?;
        let acceptor = profile.map(|profile| profile.acceptor(verification));
        acceptor
            .transpose()
            .map_err(|error| Trouble::Failed { attribute: "sslProfile", text: error.to_string() })
    }

    /// Returns the client side of a profile.
    ///
    /// # Errors
    /// The profile's files cannot be used.
    pub(super) fn connector(
        &self,
        profile: Option<&String>,
        verify_hostname: bool,
    ) -> Result<Option<Connector>, Trouble> {
        let verification = if verify_hostname {
            ServerVerification::ChainAndName
        } else {
            ServerVerification::Chain
        };
        let profile = self.profile(profile).map(ProfileInForce::profile).transpose()?;
        let connector = profile.map(|profile| profile.connector(verification));
        connector
            .transpose()
            .map_err(|error| Trouble::Failed { attribute: "sslProfile", text: error.to_string() })
    }
}

/// Returns the attribute that says which addresses are meant, and their pattern.
pub(super) fn pattern(config: &AddressConfig) -> (&'static str, String) {
    match &config.matches {
        AddressMatch::Prefix(prefix) => ("prefix", pattern_of_prefix(prefix)),
        AddressMatch::Pattern(pattern) => ("pattern", pattern.clone()),
    }
}
