//! An `sslProfile`: the certificates, the key and the rules of a set of TLS sessions.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::sign::CertifiedKey;
use rustls::{SupportedProtocolVersion, version};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::certificate::Certificate;
use super::handshake::{Acceptor, ClientVerification, Connector, ServerVerification};
use super::naming::{Naming, is_format};
use super::verify::Trust;
use super::{ciphers, key};
use crate::lock::Mutex;

/// Octets read of one file. The largest bundles of public authorities have a quarter of it.
const FILE_LIMIT: u64 = 1 << 20;

/// The configuration of a profile. Empty strings count as absent. Its `Debug` form leaves the
/// password out.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProfileConfig {
    /// `name`
    pub name: String,
    /// `caCertFile`: PEM certificates of the authorities whose certificates are accepted.
    pub ca_cert_file: Option<PathBuf>,
    /// `certFile`: PEM certificate of this end, followed by the certificates between it and its
    /// authority.
    pub cert_file: Option<PathBuf>,
    /// `privateKeyFile`: PEM key of that certificate.
    pub private_key_file: Option<PathBuf>,
    /// `password` of the key, in clear: where it comes from (`env:`, `file:`, ...) is the
    /// configuration's affair.
    pub password: Option<String>,
    /// `ciphers`, in the form of `ciphers(1)` of OpenSSL.
    pub ciphers: Option<String>,
    /// `protocols`: `TLSv1.2`, `TLSv1.3` or both.
    pub protocols: Option<String>,
    /// `uidFormat`: what a client's user name is made of.
    pub uid_format: Option<String>,
    /// `uidNameMappingFile`: JSON object of user names.
    pub uid_names: Option<PathBuf>,
    /// `ordinal`
    pub ordinal: u64,
}

impl fmt::Debug for ProfileConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProfileConfig")
            .field("name", &self.name)
            .field("ca_cert_file", &self.ca_cert_file)
            .field("cert_file", &self.cert_file)
            .field("private_key_file", &self.private_key_file)
            .field("password", &self.password.as_ref().map(|_| "(hidden)"))
            .field("ciphers", &self.ciphers)
            .field("protocols", &self.protocols)
            .field("uid_format", &self.uid_format)
            .field("uid_names", &self.uid_names)
            .field("ordinal", &self.ordinal)
            .finish()
    }
}

/// What is wrong with an attribute of a profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileProblem {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Read(String),
    /// The file is no PEM.
    #[error("is not in PEM form: {0}")]
    Pem(String),
    /// The file is larger than 1 MiB.
    #[error("is larger than 1 MiB: not a file of certificates")]
    TooLarge,
    /// The file has no certificate.
    #[error("holds no certificate (expected: -----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    /// A certificate of the file is malformed.
    #[error("certificate {0} of the file is malformed: {1} (see: openssl x509 -text)")]
    BadCertificate(usize, String),
    /// The file has no key.
    #[error(
        "holds no private key (expected: -----BEGIN PRIVATE KEY-----, RSA PRIVATE KEY, EC PRIVATE KEY or ENCRYPTED PRIVATE KEY)"
    )]
    NoKey,
    /// A type of key that is not supported.
    #[error("holds a key of type '{0}', which is not supported; use an RSA, ECDSA or Ed25519 key")]
    KeyType(String),
    /// The key is malformed, or its algorithm is not supported.
    #[error("the private key cannot be used: {0} (see: openssl pkey -text -noout)")]
    BadKey(String),
    /// The key is encrypted and there is no password.
    #[error("the private key is encrypted: set the attribute password")]
    NoPassword,
    /// The key cannot be decrypted with the password.
    #[error(
        "the private key cannot be decrypted: the attribute password is wrong, or the file is damaged"
    )]
    WrongPassword,
    /// The key's encryption is not supported.
    #[error(
        "the private key is encrypted in a way that is not supported ({0}); convert it with: openssl pkcs8 -topk8 -v2 aes-256-cbc"
    )]
    Encryption(String),
    /// Key and certificate are not a pair.
    #[error("the private key does not match the certificate in {}: they are not a pair", .0.display())]
    KeyMismatch(PathBuf),
    /// The attribute is needed and absent.
    #[error("is missing: {0}")]
    Missing(&'static str),
    /// The value of `ciphers` or `protocols`.
    #[error("{0}")]
    Value(String),
}

/// A profile that cannot be used, and why. Secrets are never part of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ProfileError {
    /// The profile's name.
    pub profile: String,
    /// The attribute in question, by its name in the configuration.
    pub attribute: &'static str,
    /// The file it names, if it names one.
    pub file: Option<PathBuf>,
    /// What is wrong.
    pub problem: ProfileProblem,
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sslProfile '{}', {}", self.profile, self.attribute)?;
        match &self.file {
            Some(file) => write!(f, " {}: {}", file.display(), self.problem),
            None => write!(f, ": {}", self.problem),
        }
    }
}

/// What the files held when they were last read.
pub(super) struct Material {
    /// The cryptography, with the cipher suites the profile allows.
    pub(super) provider: Arc<CryptoProvider>,
    /// The protocol versions the profile allows and has cipher suites for.
    pub(super) versions: Vec<&'static SupportedProtocolVersion>,
    /// Whom to believe.
    pub(super) trust: Option<Arc<Trust>>,
    /// Who we are.
    pub(super) identity: Option<Arc<CertifiedKey>>,
    /// The readable part of our certificate.
    pub(super) certificate: Option<Certificate>,
    /// Who clients are by their certificates.
    pub(super) naming: Naming,
    pub(super) ordinal: u64,
}

pub(super) struct Shared {
    pub(super) name: String,
    /// Sessions made with certificates of a lower ordinal are not to be used.
    pub(super) oldest_valid: Arc<AtomicU64>,
    /// Held while files are read, so that two reloads follow one another.
    config: Mutex<ProfileConfig>,
    pub(super) current: ArcSwap<Material>,
}

/// A loaded profile. Cheap to clone; all clones see a reload.
#[derive(Clone)]
pub struct Profile {
    shared: Arc<Shared>,
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

impl Profile {
    /// Reads the files, decrypts the key and checks that all fits together.
    pub fn load(config: ProfileConfig) -> Result<Self, ProfileError> {
        let material = Material::load(&config)?;
        let name = config.name.clone();
        let shared = Shared {
            name,
            oldest_valid: Arc::default(),
            config: Mutex::new(config),
            current: ArcSwap::from_pointee(material),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Reads the files anew. New sessions use what they hold now, running ones keep what they have.
    /// On an error everything stays as it is.
    pub fn reload(&self) -> Result<(), ProfileError> {
        let config = self.shared.config.lock();
        self.shared.current.store(Arc::new(Material::load(&config)?));
        Ok(())
    }

    /// As [`Profile::reload`], with changed attributes. The name stays.
    pub fn update(&self, changed: ProfileConfig) -> Result<(), ProfileError> {
        let changed = ProfileConfig { name: self.shared.name.clone(), ..changed };
        let mut config = self.shared.config.lock();
        self.shared.current.store(Arc::new(Material::load(&changed)?));
        *config = changed;
        Ok(())
    }

    /// Declares sessions that were made with certificates of a lower ordinal outdated, those whose
    /// handshakes are under way among them.
    pub fn outdate_before(&self, ordinal: u64) {
        self.shared.oldest_valid.store(ordinal, Ordering::Release);
    }

    /// The profile's name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Tells the log what is passed over: a `uidFormat` that cannot be used (whoever shows a
    /// certificate goes by its whole subject then, as with C routers), and `protocols` that are
    /// not spoken.
    pub fn log_remarks(&self) {
        let config = self.shared.config.lock();
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

    /// Our certificate, if the profile has one.
    pub fn certificate(&self) -> Option<Certificate> {
        self.shared.current.load().certificate.clone()
    }

    /// What a listener needs; an error names the attribute that is missing for it.
    pub fn acceptor(&self, verification: ClientVerification) -> Result<Acceptor, ProfileError> {
        let material = self.shared.current.load();
        if material.identity.is_none() {
            return Err(self.missing("certFile", "a listener needs a certificate and its key"));
        }
        if verification != ClientVerification::None && material.trust.is_none() {
            return Err(self.missing(
                "caCertFile",
                "a listener that authenticates its peers needs the authority of their certificates",
            ));
        }
        Ok(Acceptor::new(self.shared.clone(), verification))
    }

    /// What a connector needs; an error names the attribute that is missing for it.
    pub fn connector(&self, verification: ServerVerification) -> Result<Connector, ProfileError> {
        if self.shared.current.load().trust.is_none() {
            return Err(self.missing(
                "caCertFile",
                "a connector needs the authority of its peer's certificate",
            ));
        }
        Ok(Connector::new(self.shared.clone(), verification))
    }

    fn missing(&self, attribute: &'static str, why: &'static str) -> ProfileError {
        let problem = ProfileProblem::Missing(why);
        ProfileError { profile: self.shared.name.clone(), attribute, file: None, problem }
    }
}

impl Material {
    fn load(config: &ProfileConfig) -> Result<Self, ProfileError> {
        let error = |attribute, file: Option<&Path>, problem| ProfileError {
            profile: config.name.clone(),
            attribute,
            file: file.map(Path::to_owned),
            problem,
        };
        let mut provider = aws_lc_rs::default_provider();
        if let Some(list) = config.ciphers.as_deref().filter(|list| !list.is_empty()) {
            provider.cipher_suites = ciphers::parse_ciphers(list)
                .map_err(|reason| error("ciphers", None, ProfileProblem::Value(reason)))?;
        }
        let mut versions = match config.protocols.as_deref().filter(|list| !list.is_empty()) {
            Some(list) => ciphers::parse_protocols(list)
                .map_err(|reason| error("protocols", None, ProfileProblem::Value(reason)))?,
            None => vec![&version::TLS13, &version::TLS12],
        };
        versions.retain(|version| {
            provider.cipher_suites.iter().any(|suite| suite.version().version == version.version)
        });
        if versions.is_empty() {
            let reason = "no cipher suite of the list belongs to a protocol version of the attribute protocols";
            return Err(error("ciphers", None, ProfileProblem::Value(reason.to_owned())));
        }
        let provider = Arc::new(provider);

        let trust = match present(&config.ca_cert_file) {
            Some(file) => {
                let certificates = read_certificates(file)
                    .map_err(|problem| error("caCertFile", Some(file), problem))?;
                let trust = Trust::new(certificates, &provider)
                    .map_err(|problem| error("caCertFile", Some(file), problem))?;
                Some(Arc::new(trust))
            }
            None => None,
        };

        let (cert_file, key_file) = (present(&config.cert_file), present(&config.private_key_file));
        let identity = match (cert_file, key_file) {
            (Some(cert_file), Some(key_file)) => {
                let chain = read_certificates(cert_file)
                    .map_err(|problem| error("certFile", Some(cert_file), problem))?;
                let at_key = |problem| error("privateKeyFile", Some(key_file), problem);
                let password = config.password.as_deref().filter(|password| !password.is_empty());
                let key =
                    read(key_file).and_then(|text| key::load(&text, password)).map_err(at_key)?;
                let key = provider
                    .key_provider
                    .load_private_key(key)
                    .map_err(|problem| at_key(ProfileProblem::BadKey(problem.to_string())))?;
                let leaf = chain.first().ok_or_else(|| {
                    error("certFile", Some(cert_file), ProfileProblem::NoCertificate)
                })?;
                let (_, parsed) = X509Certificate::from_der(leaf).map_err(|reason| {
                    error(
                        "certFile",
                        Some(cert_file),
                        ProfileProblem::BadCertificate(1, reason.to_string()),
                    )
                })?;
                if key.public_key().is_some_and(|public| &public[..] != parsed.public_key().raw) {
                    return Err(at_key(ProfileProblem::KeyMismatch(cert_file.to_owned())));
                }
                Some(Arc::new(CertifiedKey::new(chain, key)))
            }
            (Some(_), None) => {
                return Err(error(
                    "privateKeyFile",
                    None,
                    ProfileProblem::Missing("certFile is given, and needs its key"),
                ));
            }
            (None, Some(_)) => {
                return Err(error(
                    "certFile",
                    None,
                    ProfileProblem::Missing("privateKeyFile is given, and needs its certificate"),
                ));
            }
            (None, None) => None,
        };
        let certificate =
            identity.as_ref().and_then(|identity| Certificate::parse(identity.cert.first()?));
        let format = config.uid_format.as_deref().filter(|format| !format.is_empty());
        let names = match present(&config.uid_names) {
            Some(file) => read(file)
                .and_then(|text| {
                    Naming::names(&text).map_err(|reason| {
                        ProfileProblem::Value(format!("is no JSON object of strings: {reason}"))
                    })
                })
                .map_err(|problem| error("uidNameMappingFile", Some(file), problem))?,
            None => Default::default(),
        };
        Ok(Self {
            provider,
            versions,
            trust,
            identity,
            certificate,
            naming: Naming::new(format, names),
            ordinal: config.ordinal,
        })
    }
}

fn present(file: &Option<PathBuf>) -> Option<&Path> {
    file.as_deref().filter(|file| !file.as_os_str().is_empty())
}

fn read(file: &Path) -> Result<Vec<u8>, ProfileProblem> {
    let mut text = Vec::new();
    std::fs::File::open(file)
        .and_then(|file| file.take(FILE_LIMIT + 1).read_to_end(&mut text))
        .map_err(|error| ProfileProblem::Read(error.to_string()))?;
    if text.len() as u64 > FILE_LIMIT { Err(ProfileProblem::TooLarge) } else { Ok(text) }
}

/// The certificates of a PEM file, each of them parsed once to see that it is well-formed.
fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, ProfileProblem> {
    let text = read(file)?;
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| ProfileProblem::Pem(error.to_string()))?;
    if certificates.is_empty() {
        return Err(ProfileProblem::NoCertificate);
    }
    for (index, certificate) in certificates.iter().enumerate() {
        X509Certificate::from_der(certificate)
            .map_err(|error| ProfileProblem::BadCertificate(index + 1, error.to_string()))?;
    }
    Ok(certificates)
}
