//! A certificate authority of our own: for the demo, for a site without a control plane, and for
//! tests.

use std::fs::{OpenOptions, Permissions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, date_time_ymd,
};

/// How long before its making a certificate becomes valid, for peers with slow clocks.
const BACKDATE: Duration = Duration::from_secs(60 * 60);
/// The validity of a certificate unless the caller asks for another: five years.
const VALIDITY: Duration = Duration::from_secs(5 * 365 * 24 * 60 * 60);

/// Why a certificate could not be made or written.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A name that a certificate cannot have.
    #[error("'{0}' cannot be a name in a certificate")]
    Name(String),
    /// A key or a signature could not be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// A file could not be written.
    #[error("cannot write {}: {error}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
}

/// The content of a leaf certificate. [`Leaf::new`] has the usual one.
#[derive(Clone, Debug)]
pub struct Leaf<'a> {
    /// The common name.
    pub common_name: &'a str,
    /// The organization, if any.
    pub organization: Option<&'a str>,
    /// Host names and IP addresses. Without any the certificate has no alternative names, and
    /// hosts are compared with its common name.
    pub names: &'a [&'a str],
    /// The beginning of its validity.
    pub not_before: SystemTime,
    /// The end of its validity.
    pub not_after: SystemTime,
    /// Whether it may identify a server.
    pub server: bool,
    /// Whether it may identify a client.
    pub client: bool,
}

impl<'a> Leaf<'a> {
    /// Describes a certificate for both ends of a connection, valid from an hour ago for five
    /// years.
    pub fn new(common_name: &'a str, names: &'a [&'a str]) -> Self {
        let now = SystemTime::now();
        let (not_before, not_after) = (now - BACKDATE, now + VALIDITY);
        Self {
            common_name,
            organization: None,
            names,
            not_before,
            not_after,
            server: true,
            client: true,
        }
    }
}

/// A certificate authority with an ECDSA P-256 key.
pub struct Authority {
    certificate: String,
    key: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes a new authority.
    pub fn new(name: &str) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let now = SystemTime::now();
        set_time(&mut params, now - BACKDATE, now + VALIDITY);
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self { certificate, key: key.serialize_pem(), issuer: Issuer::new(params, key) })
    }

    /// Returns the authority's certificate as PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate
    }

    /// Returns the authority's key as PEM. Its holder can issue certificates.
    pub fn key_pem(&self) -> &str {
        &self.key
    }

    /// Issues a certificate for both ends of a connection; `names` are the host names and IP
    /// addresses of the server.
    pub fn issue(&self, common_name: &str, names: &[&str]) -> Result<Issued, AuthorityError> {
        self.issue_leaf(&Leaf::new(common_name, names))
    }

    /// Issues a certificate.
    pub fn issue_leaf(&self, leaf: &Leaf<'_>) -> Result<Issued, AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        if let Some(organization) = leaf.organization {
            params.distinguished_name.push(DnType::OrganizationName, organization);
        }
        params.distinguished_name.push(DnType::CommonName, leaf.common_name);
        for name in leaf.names {
            params.subject_alt_names.push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(
                    (*name).try_into().map_err(|_| AuthorityError::Name((*name).to_owned()))?,
                ),
            });
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if leaf.server {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        if leaf.client {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        }
        params.use_authority_key_identifier_extension = true;
        set_time(&mut params, leaf.not_before, leaf.not_after);
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Issued {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            authority: self.certificate.clone(),
        })
    }
}

/// A certificate with its key.
pub struct Issued {
    /// The certificate as PEM.
    pub certificate: String,
    /// Its key as PEM (PKCS#8).
    pub key: String,
    /// The authority's certificate as PEM.
    pub authority: String,
}

impl Issued {
    /// Writes `ca.crt`, `tls.crt` and `tls.key` into a folder, and makes the folder if need be.
    /// Only the owner can read the key.
    pub fn write(&self, folder: &Path) -> Result<(), AuthorityError> {
        std::fs::create_dir_all(folder)
            .map_err(|error| AuthorityError::Write { path: folder.to_owned(), error })?;
        write_file(&folder.join("ca.crt"), &self.authority, 0o644)?;
        write_file(&folder.join("tls.crt"), &self.certificate, 0o644)?;
        write_file(&folder.join("tls.key"), &self.key, 0o600)
    }
}

fn write_file(path: &Path, text: &str, mode: u32) -> Result<(), AuthorityError> {
    let write = || {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
        // A file that exists keeps its mode when it is opened.
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(text.as_bytes())
    };
    write().map_err(|error| AuthorityError::Write { path: path.to_owned(), error })
}

/// Sets a certificate's validity, in whole seconds, as certificates count.
fn set_time(params: &mut CertificateParams, not_before: SystemTime, not_after: SystemTime) {
    let seconds = |time: SystemTime| {
        Duration::from_secs(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
    };
    let epoch = date_time_ymd(1970, 1, 1);
    (params.not_before, params.not_after) =
        (epoch + seconds(not_before), epoch + seconds(not_after));
}
