//! Entities before they are started: checked, with all they need at hand, in an order in which each
//! finds what it needs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use skupper_proto::address::patterns::{PatternError, Patterns, pattern_of_prefix};

use crate::config::{Config, Configured, OutOfReach};
use crate::log;
use crate::policy::{PolicyError, Vhost};
use crate::schema::typed::{self, AddressConfig, AddressMatch, LogConfig, Settings, VhostEntity};
use crate::schema::{AttributeError, Effect, Entity, EntityKind, LogModule, Value};
use crate::tls::{
    Acceptor, ClientVerification, Connector, Profile, ProfileConfig, ServerVerification,
};

/// Why an entity cannot be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// One of its attributes is wrong.
    #[error("{0}")]
    Attribute(AttributeError),
    /// An entity that it names is not there.
    #[error("{kind} '{name}' not found")]
    Missing { attribute: &'static str, kind: EntityKind, name: String },
    /// What its attributes name cannot be used.
    #[error("{text}")]
    Failed { attribute: &'static str, text: String },
    /// It names what changes may not reach.
    #[error("{0}")]
    OutOfReach(OutOfReach),
    /// Another one has it already.
    #[error("Already exists: {text}")]
    Taken { attribute: &'static str, text: String },
}

impl From<AttributeError> for Trouble {
    fn from(error: AttributeError) -> Self {
        Self::Attribute(error)
    }
}

impl From<OutOfReach> for Trouble {
    fn from(error: OutOfReach) -> Self {
        Self::OutOfReach(error)
    }
}

impl Trouble {
    /// The attribute, and what is wrong with it.
    pub(super) fn parts(&self) -> (String, String) {
        match self {
            Self::Attribute(AttributeError { attribute, problem }) => {
                (attribute.clone(), problem.to_string())
            }
            Self::OutOfReach(error) => (error.attribute.to_owned(), error.to_string()),
            Self::Missing { attribute, .. }
            | Self::Failed { attribute, .. }
            | Self::Taken { attribute, .. } => ((*attribute).to_owned(), self.to_string()),
        }
    }
}

/// A profile in force, or to be. One that nobody uses need not be loaded: management may set it up
/// in steps.
#[derive(Clone, Debug)]
pub(super) struct ProfileInForce {
    config: Arc<typed::SslProfile>,
    loaded: Arc<ArcSwapOption<Profile>>,
}

impl ProfileInForce {
    fn new(config: typed::SslProfile) -> Self {
        Self { config: Arc::new(config), loaded: Arc::default() }
    }

    /// Its TLS ordinal.
    pub(super) fn ordinal(&self) -> u64 {
        self.config.ordinal
    }

    /// As it was configured.
    pub(super) fn config(&self) -> &typed::SslProfile {
        &self.config
    }

    /// The profile, if it is loaded.
    pub(super) fn loaded(&self) -> Option<Arc<Profile>> {
        self.loaded.load_full()
    }

    /// The profile, loaded now if it is not yet.
    ///
    /// # Errors
    /// Its files cannot be used.
    pub(super) fn profile(&self) -> Result<Arc<Profile>, Trouble> {
        if let Some(profile) = self.loaded() {
            return Ok(profile);
        }
        let profile = Arc::new(Profile::load(profile_config(&self.config)?).map_err(unusable)?);
        self.loaded.store(Some(Arc::clone(&profile)));
        Ok(profile)
    }

    /// The profile with other attributes; its files are read anew.
    ///
    /// # Errors
    /// They cannot be used, and everything stays as it is. One that is not `in_use` is not loaded
    /// then, until somebody uses it.
    pub(super) fn update(&self, config: typed::SslProfile, in_use: bool) -> Result<Self, Trouble> {
        let changed = match (profile_config(&config), self.loaded()) {
            (Ok(changed), Some(profile)) => profile.update(changed).map_err(unusable),
            (Ok(_), None) => Ok(()),
            (Err(trouble), _) => Err(trouble),
        };
        match changed {
            Ok(()) => Ok(Self { config: Arc::new(config), loaded: Arc::clone(&self.loaded) }),
            Err(trouble) if in_use => Err(trouble),
            Err(trouble) => {
                log!(Agent, Warning, "{trouble}; nobody uses the profile yet");
                Ok(Self::new(config))
            }
        }
    }
}

fn unusable(error: crate::tls::ProfileError) -> Trouble {
    Trouble::Failed {
        attribute: error.attribute,
        text: format!("Failed to configure TLS {}: {error}", error.attribute),
    }
}

/// What an entity is made of.
#[derive(Debug)]
pub(super) enum Parts {
    Log(LogConfig),
    Profile(ProfileInForce),
    Address(AddressConfig),
    Http(typed::Listener, Option<Acceptor>),
    Listener(typed::Listener, Option<Acceptor>),
    Connector {
        config: typed::Connector,
        tls: Option<Connector>,
        ordinal: Option<u64>,
        certified: bool,
    },
    TcpListener(typed::TcpListener, Option<Acceptor>),
    TcpConnector(typed::TcpConnector, Option<Connector>),
    Vhost(Vhost),
    AutoLink(typed::AutoLinkConfig),
    ListenerAddress(typed::ListenerAddressConfig),
    /// Nothing runs for it: it is kept to be shown.
    Kept,
}

/// Entities to be started together.
#[derive(Debug)]
pub(super) struct Plan {
    /// The router starts: a profile must be usable even if nobody uses it.
    starting: bool,
    profiles: BTreeMap<String, ProfileInForce>,
    patterns: Patterns<()>,
    /// Names of the tcpListeners that have several addresses.
    several: BTreeSet<String>,
    steps: Vec<(Entity, Parts)>,
}

impl Plan {
    /// Nothing to be started yet, in a router without entities.
    pub(super) fn at_start() -> Self {
        Self { starting: true, ..Self::new(BTreeMap::new(), []) }
    }

    /// Nothing to be started yet, beside entities that are running.
    pub(super) fn new<'a>(
        profiles: BTreeMap<String, ProfileInForce>,
        running: impl IntoIterator<Item = &'a Entity>,
    ) -> Self {
        let mut plan = Self {
            starting: false,
            profiles,
            patterns: Patterns::new(),
            several: BTreeSet::new(),
            steps: Vec::new(),
        };
        for entity in running {
            plan.note(entity);
            if entity.kind() == EntityKind::ConfigAddress {
                // It was accepted when it was started.
                let _ = AddressConfig::try_from(entity)
                    .map_err(Trouble::from)
                    .and_then(|address| plan.take_pattern(&address));
            }
        }
        plan
    }

    fn note(&mut self, entity: &Entity) {
        if entity.kind() == EntityKind::TcpListener
            && entity.text("multiAddressStrategy").is_some_and(|strategy| strategy != "none")
        {
            self.several.insert(entity.name().unwrap_or_default().to_owned());
        }
    }

    /// What is to be started, in its order.
    pub(super) fn into_steps(mut self) -> Vec<(Entity, Parts)> {
        self.steps.sort_by_key(|(entity, _)| entity.kind().start_rank());
        self.steps
    }

    /// Checks an entity, and gets what it needs: certificates and keys are read now. Nothing that
    /// others would notice happens.
    ///
    /// # Errors
    /// What is wrong with it, which leaves the plan as it was.
    pub(super) fn add(&mut self, entity: Entity, settings: Settings) -> Result<(), Trouble> {
        let parts = self.parts(settings)?;
        self.note(&entity);
        self.steps.push((entity, parts));
        Ok(())
    }

    fn parts(&mut self, settings: Settings) -> Result<Parts, Trouble> {
        Ok(match settings {
            Settings::Log(config) => Parts::Log(*config),
            Settings::SslProfile(config) => {
                let name = config.name.clone();
                let in_force = ProfileInForce::new(*config);
                match in_force.profile() {
                    Err(trouble) if self.starting => return Err(trouble),
                    Err(trouble) => log!(Agent, Warning, "{trouble}; nobody uses the profile yet"),
                    Ok(_) => {}
                }
                self.profiles.insert(name, in_force.clone());
                Parts::Profile(in_force)
            }
            Settings::ConfigAddress(config) => {
                self.take_pattern(&config)?;
                Parts::Address(*config)
            }
            Settings::Listener(config) => {
                let certified = config.asks_for_certificate();
                let acceptor = self.acceptor(config.ssl_profile.as_ref(), certified)?;
                match config.http {
                    Some(_) => Parts::Http(*config, acceptor),
                    None => Parts::Listener(*config, acceptor),
                }
            }
            Settings::Connector(config) => {
                let tls = self.connector(config.ssl_profile.as_ref(), config.verify_hostname)?;
                let profile = self.profile(config.ssl_profile.as_ref());
                let ordinal = profile.map(ProfileInForce::ordinal);
                let certified = profile
                    .and_then(ProfileInForce::loaded)
                    .is_some_and(|profile| profile.certificate().is_some());
                Parts::Connector { config: *config, tls, ordinal, certified }
            }
            Settings::TcpListener(config) => {
                let acceptor =
                    self.acceptor(config.ssl_profile.as_ref(), config.authenticate_peer)?;
                Parts::TcpListener(
                    *config,
                    acceptor.map(|acceptor| acceptor.with_alpn(&["http/1.1", "h2"])),
                )
            }
            Settings::TcpConnector(config) => {
                let tls = self.connector(config.ssl_profile.as_ref(), config.verify_hostname)?;
                Parts::TcpConnector(*config, tls)
            }
            Settings::Vhost(config) => Parts::Vhost(vhost(&config)?),
            Settings::AutoLink(config) => Parts::AutoLink(*config),
            Settings::ListenerAddress(config) => {
                if !self.several.contains(&config.listener) {
                    let text = format!(
                        "Must not assign new address to non multi-address listener {}",
                        config.listener
                    );
                    return Err(Trouble::Failed { attribute: "listener", text });
                }
                Parts::ListenerAddress(*config)
            }
            Settings::Router(_) | Settings::Policy(_) | Settings::Site(_) | Settings::Unread(_) => {
                Parts::Kept
            }
        })
    }

    fn take_pattern(&mut self, config: &AddressConfig) -> Result<(), Trouble> {
        let (attribute, pattern) = pattern(config);
        self.patterns.insert(&pattern, ()).map_err(|error| match error {
            PatternError::Duplicate(_) => Trouble::Taken { attribute, text: error.to_string() },
            _ => Trouble::Failed { attribute, text: error.to_string() },
        })
    }

    fn profile(&self, name: Option<&String>) -> Option<&ProfileInForce> {
        name.and_then(|name| self.profiles.get(name))
    }

    fn acceptor(
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

    fn connector(
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

/// The rules of a vhost.
pub(super) fn vhost(config: &VhostEntity) -> Result<Vhost, Trouble> {
    super::policy::vhost(config).map_err(|error| denied(&error))
}

/// Why a vhost cannot be.
pub(super) fn denied(error: &PolicyError) -> Trouble {
    Trouble::Failed { attribute: "groups", text: error.to_string() }
}

/// The attribute that says which addresses are meant, and their pattern.
pub(super) fn pattern(config: &AddressConfig) -> (&'static str, String) {
    match &config.matches {
        AddressMatch::Prefix(prefix) => ("prefix", pattern_of_prefix(prefix)),
        AddressMatch::Pattern(pattern) => ("pattern", pattern.clone()),
    }
}

/// What the TLS room needs to know of a profile; its password is fetched now.
fn profile_config(entity: &typed::SslProfile) -> Result<ProfileConfig, Trouble> {
    let password =
        entity.password.as_ref().map(|password| password.resolve(|name| std::env::var(name).ok()));
    let password = password
        .transpose()
        .map_err(|error| Trouble::Failed { attribute: "password", text: error.to_string() })?;
    Ok(ProfileConfig {
        name: entity.name.clone(),
        ca_cert_file: entity.ca_cert_file.clone(),
        cert_file: entity.cert_file.clone(),
        private_key_file: entity.private_key_file.clone(),
        password: password.map(|secret| secret.expose().to_owned()),
        ciphers: entity.ciphers.clone(),
        protocols: entity.protocols.clone(),
        uid_format: entity.uid_format.clone(),
        uid_names: entity.uid_name_mapping_file.clone(),
        ordinal: entity.ordinal,
    })
}

/// Returns the log entities of a router: those that are configured, and behind them one for each
/// other module. `DEFAULT` says all that other modules take from it.
pub(super) fn logs(config: &Config) -> Vec<Configured> {
    let modules: Vec<LogModule> = config.all::<LogConfig>().iter().map(|log| log.module).collect();
    let mut logs: Vec<Configured> = config
        .entities
        .iter()
        .filter(|configured| configured.entity.kind() == EntityKind::Log)
        .map(|log| default_log(&log.entity).unwrap_or_else(|| log.clone()))
        .collect();
    for module in LogModule::ALL.iter().filter(|module| !modules.contains(module)) {
        let word = serde_json::Value::from(module.as_str());
        let made = Entity::new(EntityKind::Log, [("module", &word)]).and_then(|mut entity| {
            entity.identify(0);
            let settings = Settings::read(&entity)?;
            Ok(default_log(&entity).unwrap_or(Configured { entity, settings }))
        });
        // A word of the table is a module.
        logs.extend(made);
    }
    logs
}

/// Fills in what `DEFAULT` does not say; `None` for other modules.
fn default_log(entity: &Entity) -> Option<Configured> {
    let mut entity =
        Some(entity).filter(|entity| entity.text("module") == Some("DEFAULT"))?.clone();
    for (name, value) in [
        ("enable", Value::String("info+".to_owned())),
        ("includeTimestamp", Value::Boolean(true)),
        ("includeSource", Value::Boolean(false)),
        ("outputFile", Value::String("stderr".to_owned())),
    ] {
        if entity.value(name).is_none() {
            entity.set(name, value);
        }
    }
    let settings = Settings::read(&entity).ok()?;
    Some(Configured { entity, settings })
}

/// A warning for an entity that is accepted and has no effect yet.
pub(super) fn idle(entity: &Entity) -> Option<String> {
    let kind = entity.kind();
    (kind.effect() == Effect::Accepted && !kind.is_singleton())
        .then(|| format!("{} has no effect yet", kind.section()))
}
