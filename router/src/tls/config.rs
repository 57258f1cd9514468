//! The configuration of a profile.

use std::fmt;
use std::path::PathBuf;

/// The attributes of an `sslProfile`. Empty texts count as absent. Its `Debug` form has no
/// password.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProfileConfig {
    /// `name`.
    pub name: String,
    /// `caCertFile`: PEM certificates of the authorities that the router trusts.
    pub ca_cert_file: Option<PathBuf>,
    /// `certFile`: PEM certificate of this end, followed by the certificates between it and its
    /// authority.
    pub cert_file: Option<PathBuf>,
    /// `privateKeyFile`: PEM key of that certificate.
    pub private_key_file: Option<PathBuf>,
    /// `password` of the key, in clear. The configuration has resolved `env:`, `file:` and so on.
    pub password: Option<String>,
    /// `ciphers`, in the form of `ciphers(1)` of OpenSSL.
    pub ciphers: Option<String>,
    /// `protocols`: `TLSv1.2`, `TLSv1.3` or both.
    pub protocols: Option<String>,
    /// `uidFormat`: the parts of a client's user name.
    pub uid_format: Option<String>,
    /// `uidNameMappingFile`: JSON object of user names.
    pub uid_names: Option<PathBuf>,
    /// `ordinal`.
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
