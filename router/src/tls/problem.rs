//! Why a profile cannot be used.

use std::fmt;
use std::path::PathBuf;

/// The fault of an attribute of a profile.
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
        "holds no private key (expected: -----BEGIN PRIVATE KEY-----, RSA PRIVATE KEY, \
         EC PRIVATE KEY or ENCRYPTED PRIVATE KEY)"
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
        "the private key cannot be decrypted: the attribute password is wrong, or the file is \
         damaged"
    )]
    WrongPassword,
    /// The key's encryption is not supported.
    #[error(
        "the private key is encrypted in a way that is not supported ({0}); convert it with: \
         openssl pkcs8 -topk8 -v2 aes-256-cbc"
    )]
    Encryption(String),
    /// Key and certificate are not a pair.
    #[error(
        "the private key does not match the certificate in {}: they are not a pair",
        .0.display()
    )]
    KeyMismatch(PathBuf),
    /// The attribute is needed and absent.
    #[error("is missing: {0}")]
    Missing(&'static str),
    /// The value of `ciphers` or `protocols`.
    #[error("{0}")]
    Value(String),
}

/// Why a profile cannot be used. It never has secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ProfileError {
    /// The profile's name.
    pub profile: String,
    /// The attribute in question, by its name in the configuration.
    pub attribute: &'static str,
    /// The file that the attribute names, if it names one.
    pub file: Option<PathBuf>,
    /// Its fault.
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
