//! The options of a connection: TLS, SASL and time limits.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use skupper_proto::amqp::sasl;
use skupper_proto::engine::{Credentials, Layer};

use super::error::ClientError;
use super::url::{Scheme, Url};
use crate::tls::{
    Connector, Profile, ProfileConfig, ProfileError, ProfileProblem, ServerVerification,
};

/// The systems' files of public authorities, in the order of trying.
const SYSTEM_AUTHORITIES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The options of a connection to a management node.
#[derive(Clone, Debug)]
pub struct Options {
    /// The place to connect to.
    pub url: Url,
    /// The tool's name, with which its container id begins.
    pub name: &'static str,
    /// Time for each step: to connect, to attach, to get a response.
    pub timeout: Duration,
    /// TLS, for the scheme `amqps`.
    pub tls: TlsOptions,
    /// SASL, used with TLS, and whenever it is not empty.
    pub sasl: SaslOptions,
}

/// The client's side of TLS. Its `Debug` form omits the password.
#[derive(Clone, Default)]
pub struct TlsOptions {
    /// PEM certificates of the trusted authorities; `None` for those of the system.
    pub trust: Option<PathBuf>,
    /// The client's PEM certificate.
    pub certificate: Option<PathBuf>,
    /// Its PEM key.
    pub key: Option<PathBuf>,
    /// The password of the key.
    pub password: Option<String>,
    /// True if the server's certificate may be for another host.
    pub any_name: bool,
}

impl fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsOptions")
            .field("trust", &self.trust)
            .field("certificate", &self.certificate)
            .field("key", &self.key)
            .field("any_name", &self.any_name)
            .finish_non_exhaustive()
    }
}

/// The client's side of SASL. Its `Debug` form omits the password.
#[derive(Clone, Default)]
pub struct SaslOptions {
    /// Allowed mechanisms, separated by blanks or commas; `None` for all.
    pub mechanisms: Option<String>,
    /// The user's name.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<String>,
}

impl fmt::Debug for SaslOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SaslOptions")
            .field("mechanisms", &self.mechanisms)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// Returns the maker of TLS sessions; `None` for the scheme `amqp`.
    ///
    /// # Errors
    /// A file for TLS cannot be used.
    pub(super) fn connector(&self) -> Result<Option<Connector>, ClientError> {
        if self.url.scheme == Scheme::Amqp {
            return Ok(None);
        }
        let system = || {
            let named = std::env::var_os("SSL_CERT_FILE")
                .map(PathBuf::from)
                .filter(|file| !file.as_os_str().is_empty());
            named
                .or_else(|| SYSTEM_AUTHORITIES.iter().map(PathBuf::from).find(|file| file.exists()))
        };
        let tls = &self.tls;
        let config = ProfileConfig {
            name: self.name.to_owned(),
            ca_cert_file: tls.trust.clone().or_else(system),
            cert_file: tls.certificate.clone(),
            private_key_file: tls.key.clone(),
            password: tls.password.clone(),
            ..ProfileConfig::default()
        };
        let verification =
            if tls.any_name { ServerVerification::Chain } else { ServerVerification::ChainAndName };
        let connector = Profile::load(config).and_then(|profile| profile.connector(verification));
        connector.map(Some).map_err(|error| ClientError::Files(files_text(&error)))
    }

    /// Returns the SASL layer.
    ///
    /// A client with a user name or a certificate still falls back to ANONYMOUS, if the router
    /// knows no better mechanism. The C router's tools do the same, and the router limits an
    /// anonymous user.
    ///
    /// # Errors
    /// A name or password cannot be sent, or no allowed mechanism can be used.
    pub(super) fn layer(&self) -> Result<Layer, ClientError> {
        let sasl_options = &self.sasl;
        let SaslOptions { mechanisms, user, password } = sasl_options;
        let wanted = mechanisms.is_some() || user.is_some() || password.is_some();
        if self.url.scheme == Scheme::Amqp && !wanted {
            return Ok(Layer::Client {
                mechanisms: Vec::new(),
                identity: String::new(),
                credentials: None,
            });
        }
        let allowed: Option<Vec<String>> = mechanisms.as_ref().map(|names| {
            names
                .split([' ', ','])
                .filter(|name| !name.is_empty())
                .map(str::to_ascii_uppercase)
                .collect()
        });
        let named = |mechanism: &str| {
            allowed.as_ref().is_some_and(|names| names.iter().any(|name| name == mechanism))
        };
        let may = |mechanism: &str| allowed.is_none() || named(mechanism);
        let credentials = match (user, password) {
            (Some(user), Some(password)) => {
                let nul = || {
                    ClientError::Option(
                        "a user name or password with a NUL cannot be said by PLAIN".to_owned(),
                    )
                };
                Some(Credentials::new(user, password).ok_or_else(nul)?)
            }
            _ => None,
        };
        let mut usable = Vec::new();
        if credentials.is_some() && may(sasl::PLAIN) {
            usable.push(sasl::PLAIN);
        }
        if named(sasl::EXTERNAL) || (self.tls.certificate.is_some() && may(sasl::EXTERNAL)) {
            usable.push(sasl::EXTERNAL);
        }
        if may(sasl::ANONYMOUS) {
            usable.push(sasl::ANONYMOUS);
        }
        if usable.is_empty() {
            let text = match mechanisms {
                Some(names) if !named(sasl::PLAIN) => {
                    format!(
                        "none of the SASL mechanisms '{names}' is known here: EXTERNAL, PLAIN and \
                         ANONYMOUS are"
                    )
                }
                _ => "PLAIN needs a user name and a password".to_owned(),
            };
            return Err(ClientError::Option(text));
        }
        Ok(Layer::Client { mechanisms: usable, identity: "anonymous".to_owned(), credentials })
    }
}

/// Describes a profile's problem in terms of the command line.
fn files_text(error: &ProfileError) -> String {
    let option = match error.attribute {
        "caCertFile" => "--ssl-trustfile",
        "certFile" => "--ssl-certificate",
        "privateKeyFile" => "--ssl-key",
        other => other,
    };
    let file =
        error.file.as_deref().map(Path::display).map(|file| format!(" {file}")).unwrap_or_default();
    match &error.problem {
        ProfileProblem::Missing(_) if option == "--ssl-trustfile" => {
            format!("{option}: is missing, and this system has no list of authorities")
        }
        ProfileProblem::Missing(_) if option == "--ssl-key" => {
            format!("{option}: is missing: a certificate needs its key")
        }
        ProfileProblem::Missing(_) => format!("{option}: is missing"),
        ProfileProblem::NoPassword => {
            format!("{option}{file}: the private key is encrypted: use --ssl-password-file")
        }
        ProfileProblem::WrongPassword => {
            format!(
                "{option}{file}: the private key cannot be decrypted: the password is wrong, or \
                 the file is damaged"
            )
        }
        problem => format!("{option}{file}: {problem}"),
    }
}
