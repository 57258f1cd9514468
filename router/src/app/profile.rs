//! A TLS profile in force, or to be.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::trouble::Trouble;
use crate::log;
use crate::schema::typed::SslProfile;
use crate::tls::{Profile, ProfileConfig, ProfileError};

/// A profile, loaded once an entity uses it: management may set it up in steps.
#[derive(Clone, Debug)]
pub(super) struct ProfileInForce {
    config: Arc<SslProfile>,
    loaded: Arc<ArcSwapOption<Profile>>,
}

impl ProfileInForce {
    /// Returns a profile that is not loaded yet.
    pub(super) fn new(config: SslProfile) -> Self {
        Self { config: Arc::new(config), loaded: Arc::default() }
    }

    /// Returns its TLS ordinal.
    pub(super) fn ordinal(&self) -> u64 {
        self.config.ordinal
    }

    /// Returns it as it was configured.
    pub(super) fn config(&self) -> &SslProfile {
        &self.config
    }

    /// Returns the profile, if it is loaded.
    pub(super) fn loaded(&self) -> Option<Arc<Profile>> {
        self.loaded.load_full()
    }

    /// Returns the profile, and loads it if it is not loaded.
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

    /// Returns the profile with other attributes, and reads its files anew. One that is not
    /// `in_use` and cannot be loaded waits for its first user.
    ///
    /// # Errors
    /// The files of one that is in use cannot be used. Everything stays as it is.
    pub(super) fn update(&self, config: SslProfile, in_use: bool) -> Result<Self, Trouble> {
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

fn unusable(error: ProfileError) -> Trouble {
    Trouble::Failed {
        attribute: error.attribute,
        text: format!("Failed to configure TLS {}: {error}", error.attribute),
    }
}

/// Returns what the TLS room needs to know of a profile, and fetches its password.
fn profile_config(entity: &SslProfile) -> Result<ProfileConfig, Trouble> {
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
