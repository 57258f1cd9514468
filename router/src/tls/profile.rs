//! An `sslProfile`: the certificates, the key and the rules of a set of TLS sessions.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;

use super::certificate::Certificate;
use super::ciphers;
use super::config::ProfileConfig;
use super::handshake::{Acceptor, Connector};
use super::material::{InForce, Material};
use super::naming::is_format;
use super::problem::{ProfileError, ProfileProblem};
use super::verify::{ClientVerification, ServerVerification};
use crate::lock::Mutex;

/// A loaded profile. Cheap to clone; all clones see a reload.
#[derive(Clone)]
pub struct Profile {
    in_force: Arc<InForce>,
    /// Held while the profile reads its files, so that two reloads follow one another.
    config: Arc<Mutex<ProfileConfig>>,
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile").field("name", &self.in_force.name).finish_non_exhaustive()
    }
}

impl Profile {
    /// Reads the files, decrypts the key, and checks that all fits together.
    ///
    /// # Errors
    /// The first attribute that cannot be used.
    pub fn load(config: ProfileConfig) -> Result<Self, ProfileError> {
        let in_force = InForce {
            name: config.name.clone(),
            oldest_valid: Arc::default(),
            material: ArcSwap::from_pointee(Material::load(&config)?),
        };
        Ok(Self { in_force: Arc::new(in_force), config: Arc::new(Mutex::new(config)) })
    }

    /// Reads the files anew for new sessions. Running sessions keep their material.
    ///
    /// # Errors
    /// The first attribute that cannot be used. Then everything stays as it is.
    pub fn reload(&self) -> Result<(), ProfileError> {
        let config = self.config.lock();
        self.in_force.material.store(Arc::new(Material::load(&config)?));
        Ok(())
    }

    /// Reloads as [`Profile::reload`] does, with changed attributes. The name stays.
    ///
    /// # Errors
    /// The first attribute that cannot be used. Then everything stays as it is.
    pub fn update(&self, changed: ProfileConfig) -> Result<(), ProfileError> {
        let changed = ProfileConfig { name: self.in_force.name.clone(), ..changed };
        let mut config = self.config.lock();
        self.in_force.material.store(Arc::new(Material::load(&changed)?));
        *config = changed;
        Ok(())
    }

    /// Declares sessions outdated that were made with certificates of a lower ordinal. Handshakes
    /// under way are among them.
    pub fn outdate_before(&self, ordinal: u64) {
        self.in_force.oldest_valid.store(ordinal, Ordering::Release);
    }

    /// Returns the profile's name.
    pub fn name(&self) -> &str {
        &self.in_force.name
    }

    /// Logs the values that the profile passes over: `protocols` that the router does not speak,
    /// and a `uidFormat` that cannot be used. For the latter the user name is the certificate's
    /// whole subject, as with C routers.
    pub fn log_remarks(&self) {
        let config = self.config.lock();
        for word in ciphers::words(config.protocols.as_deref().unwrap_or_default())
            .filter(|word| ciphers::BROKEN.contains(word))
        {
            crate::log!(
                Server,
                Warning,
                "sslProfile '{}', protocols: {word} is broken and not spoken (RFC 8996)",
                config.name
            );
        }
        if let Some(wrong) =
            config.uid_format.as_deref().filter(|format| !format.is_empty() && !is_format(format))
        {
            let name = &config.name;
            crate::log!(
                Agent,
                Error,
                "Invalid format for uidFormat field in sslProfile '{name}': {}",
                wrong.escape_debug()
            );
        }
    }

    /// Returns this end's certificate, if the profile has one.
    pub fn certificate(&self) -> Option<Certificate> {
        self.in_force.material.load().certificate.clone()
    }

    /// Makes the acceptor of a listener.
    ///
    /// # Errors
    /// The attribute that a listener needs and the profile lacks.
    pub fn acceptor(&self, verification: ClientVerification) -> Result<Acceptor, ProfileError> {
        let material = self.in_force.material.load();
        if material.identity.is_none() {
            return Err(self.missing("certFile", "a listener needs a certificate and its key"));
        }
        if verification != ClientVerification::None && material.trust.is_none() {
            return Err(self.missing(
                "caCertFile",
                "a listener that authenticates its peers needs the authority of their certificates",
            ));
        }
        Ok(Acceptor::new(self.in_force.clone(), verification))
    }

    /// Makes the connector of a connector entity.
    ///
    /// # Errors
    /// The attribute that a connector needs and the profile lacks.
    pub fn connector(&self, verification: ServerVerification) -> Result<Connector, ProfileError> {
        if self.in_force.material.load().trust.is_none() {
            return Err(self.missing(
                "caCertFile",
                "a connector needs the authority of its peer's certificate",
            ));
        }
        Ok(Connector::new(self.in_force.clone(), verification))
    }

    fn missing(&self, attribute: &'static str, why: &'static str) -> ProfileError {
        let problem = ProfileProblem::Missing(why);
        ProfileError { profile: self.in_force.name.clone(), attribute, file: None, problem }
    }
}
