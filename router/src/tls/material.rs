//! The certificates, the key and the rules of a profile, as its files hold them.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::sign::CertifiedKey;
use rustls::{SupportedProtocolVersion, version};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::certificate::Certificate;
use super::config::ProfileConfig;
use super::naming::Naming;
use super::problem::{ProfileError, ProfileProblem};
use super::trust::Trust;
use super::{ciphers, key};

/// Most bytes read of one file. The largest bundles of public authorities have a quarter of it.
const FILE_LIMIT: u64 = 1 << 20;

/// A profile as handshakes see it. A reload replaces the material.
pub(super) struct InForce {
    pub(super) name: String,
    /// Sessions made with certificates of a lower ordinal are not to be used.
    pub(super) oldest_valid: Arc<AtomicU64>,
    pub(super) material: ArcSwap<Material>,
}

/// The content of a profile's files when the profile last read them.
pub(super) struct Material {
    /// The cryptography, with the cipher suites that the profile allows.
    pub(super) provider: Arc<CryptoProvider>,
    /// The protocol versions that the profile allows and has cipher suites for.
    pub(super) versions: Vec<&'static SupportedProtocolVersion>,
    /// The authorities.
    pub(super) trust: Option<Arc<Trust>>,
    /// This end's certificate chain and its key.
    pub(super) identity: Option<Arc<CertifiedKey>>,
    /// The readable part of this end's certificate.
    pub(super) certificate: Option<Certificate>,
    /// The user names of clients by their certificates.
    pub(super) naming: Naming,
    pub(super) ordinal: u64,
}

impl Material {
    /// Reads the files of a profile, decrypts its key, and checks that all fits together.
    ///
    /// # Errors
    /// The first attribute that cannot be used.
    pub(super) fn load(config: &ProfileConfig) -> Result<Self, ProfileError> {
        Loader(config).load()
    }
}

/// Reads one configuration.
struct Loader<'a>(&'a ProfileConfig);

impl Loader<'_> {
    fn error(
        &self,
        attribute: &'static str,
        file: Option<&Path>,
        problem: ProfileProblem,
    ) -> ProfileError {
        let (profile, file) = (self.0.name.clone(), file.map(Path::to_owned));
        ProfileError { profile, attribute, file, problem }
    }

    fn load(&self) -> Result<Material, ProfileError> {
        let (provider, versions) = self.cryptography()?;
        let provider = Arc::new(provider);
        let trust = self.trust(&provider)?;
        let identity = self.identity(&provider)?;
        let certificate =
            identity.as_ref().and_then(|identity| Certificate::parse(identity.cert.first()?));
        let naming = self.naming()?;
        let ordinal = self.0.ordinal;
        Ok(Material { provider, versions, trust, identity, certificate, naming, ordinal })
    }

    fn cryptography(
        &self,
    ) -> Result<(CryptoProvider, Vec<&'static SupportedProtocolVersion>), ProfileError> {
        let mut provider = aws_lc_rs::default_provider();
        if let Some(list) = self.0.ciphers.as_deref().filter(|list| !list.is_empty()) {
            provider.cipher_suites = ciphers::parse_ciphers(list)
                .map_err(|reason| self.error("ciphers", None, ProfileProblem::Value(reason)))?;
        }
        let mut versions = match self.0.protocols.as_deref().filter(|list| !list.is_empty()) {
            Some(list) => ciphers::parse_protocols(list)
                .map_err(|reason| self.error("protocols", None, ProfileProblem::Value(reason)))?,
            None => vec![&version::TLS13, &version::TLS12],
        };
        versions.retain(|version| {
            provider.cipher_suites.iter().any(|suite| suite.version().version == version.version)
        });
        if versions.is_empty() {
            let reason = "no cipher suite of the list belongs to a protocol version of the \
                          attribute protocols";
            return Err(self.error("ciphers", None, ProfileProblem::Value(reason.to_owned())));
        }
        Ok((provider, versions))
    }

    fn trust(&self, provider: &Arc<CryptoProvider>) -> Result<Option<Arc<Trust>>, ProfileError> {
        let Some(file) = present(&self.0.ca_cert_file) else { return Ok(None) };
        let trust = read_certificates(file)
            .and_then(|certificates| Trust::new(certificates, provider))
            .map_err(|problem| self.error("caCertFile", Some(file), problem))?;
        Ok(Some(Arc::new(trust)))
    }

    fn identity(
        &self,
        provider: &CryptoProvider,
    ) -> Result<Option<Arc<CertifiedKey>>, ProfileError> {
        let missing = |attribute, why| self.error(attribute, None, ProfileProblem::Missing(why));
        let files = (present(&self.0.cert_file), present(&self.0.private_key_file));
        let (cert_file, key_file) = match files {
            (Some(cert_file), Some(key_file)) => (cert_file, key_file),
            (Some(_), None) => {
                return Err(missing("privateKeyFile", "certFile is given, and needs its key"));
            }
            (None, Some(_)) => {
                return Err(missing(
                    "certFile",
                    "privateKeyFile is given, and needs its certificate",
                ));
            }
            (None, None) => return Ok(None),
        };
        let at_cert = |problem| self.error("certFile", Some(cert_file), problem);
        let at_key = |problem| self.error("privateKeyFile", Some(key_file), problem);
        let chain = read_certificates(cert_file).map_err(at_cert)?;
        let password = self.0.password.as_deref().filter(|password| !password.is_empty());
        let key = read(key_file).and_then(|text| key::load(&text, password)).map_err(at_key)?;
        let key = provider
            .key_provider
            .load_private_key(key)
            .map_err(|problem| at_key(ProfileProblem::BadKey(problem.to_string())))?;
        let leaf = chain.first().ok_or_else(|| at_cert(ProfileProblem::NoCertificate))?;
        let (_, parsed) = X509Certificate::from_der(leaf)
            .map_err(|reason| at_cert(ProfileProblem::BadCertificate(1, reason.to_string())))?;
        if key.public_key().is_some_and(|public| &public[..] != parsed.public_key().raw) {
            return Err(at_key(ProfileProblem::KeyMismatch(cert_file.to_owned())));
        }
        Ok(Some(Arc::new(CertifiedKey::new(chain, key))))
    }

    fn naming(&self) -> Result<Naming, ProfileError> {
        let format = self.0.uid_format.as_deref().filter(|format| !format.is_empty());
        let names = match present(&self.0.uid_names) {
            Some(file) => read(file)
                .and_then(|text| {
                    Naming::names(&text).map_err(|reason| {
                        ProfileProblem::Value(format!("is no JSON object of strings: {reason}"))
                    })
                })
                .map_err(|problem| self.error("uidNameMappingFile", Some(file), problem))?,
            None => Default::default(),
        };
        Ok(Naming::new(format, names))
    }
}

fn present(file: &Option<PathBuf>) -> Option<&Path> {
    file.as_deref().filter(|file| !file.as_os_str().is_empty())
}

/// Reads a file whole, up to the limit.
fn read(file: &Path) -> Result<Vec<u8>, ProfileProblem> {
    let mut text = Vec::new();
    std::fs::File::open(file)
        .and_then(|file| file.take(FILE_LIMIT + 1).read_to_end(&mut text))
        .map_err(|error| ProfileProblem::Read(error.to_string()))?;
    if text.len() as u64 > FILE_LIMIT { Err(ProfileProblem::TooLarge) } else { Ok(text) }
}

/// Reads the certificates of a PEM file, and parses each once to see that it is well-formed.
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
