//! The options that choose a router and the connection to it.

use std::path::PathBuf;
use std::time::Duration;

use super::options::{Chapter, Command, Opt, Part, UsageError};
use crate::client::{ClientError, Options, SaslOptions, Scheme, TlsOptions, Url, node_address};

/// The options of the connection.
pub(in crate::bin) const CONNECTION: Chapter = Chapter {
    title: "connection",
    options: &[
        Opt::value(
            "bus",
            "URL",
            "The router to connect to: \
             [amqp[s]://][user:password@]host[:port][/address]; default \
             0.0.0.0.",
        )
        .short('b'),
        Opt::value(
            "timeout",
            "SECS",
            "How long to wait for the connection, and for each response; \
             default 5.",
        )
        .short('t'),
        Opt::value("ssl-certificate", "FILE", "Our certificate (PEM)."),
        Opt::value("ssl-key", "FILE", "The key of our certificate (PEM)."),
        Opt::value(
            "ssl-trustfile",
            "FILE",
            "The authorities to believe (PEM); default: those of \
             the system.",
        ),
        Opt::value("ssl-password", "TEXT", "The password of the key."),
        Opt::value(
            "ssl-password-file",
            "FILE",
            "The same from a file, which keeps it out of lists \
             of processes.",
        ),
        Opt::value(
            "sasl-mechanisms",
            "NAMES",
            "The SASL mechanisms that may be used, of EXTERNAL, \
             PLAIN and ANONYMOUS.",
        ),
        Opt::value("sasl-username", "TEXT", "The user to be, for PLAIN."),
        Opt::value("sasl-password", "TEXT", "The user's password."),
        Opt::value("sasl-password-file", "FILE", "The same from a file."),
        Opt::flag(
            "ssl-disable-peer-name-verify",
            "Take a certificate of any name. Insecure: for \
             tests only.",
        ),
    ],
};

/// The option group of the options that choose a router.
pub(in crate::bin) const TARGETS: u8 = 1;

/// The option that asks another interior router.
pub(in crate::bin) const ROUTER: Opt =
    Opt::value("router", "ID", "Ask the router of this id, by way of the one connected to.")
        .short('r');
/// The option that asks an edge router.
pub(in crate::bin) const EDGE_ROUTER: Opt = Opt::value(
    "edge-router",
    "ID",
    "Ask the edge router of this id, by way of the one connected to.",
)
.short('d');

/// Time limit without an option.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The meaning of a time limit of 0.
const NO_TIMEOUT: Duration = Duration::from_secs(60);
/// Most bytes read of a file with a password.
const PASSWORD_LIMIT: usize = 64 * 1024;

/// The options that choose a router and the connection to it, as given on the command line.
#[derive(Debug, Default)]
pub(in crate::bin) struct Connecting {
    bus: Option<String>,
    timeout: Option<Duration>,
    router: Option<String>,
    edge_router: Option<String>,
    tls: TlsOptions,
    ssl_password_file: Option<PathBuf>,
    sasl: SaslOptions,
    sasl_password_file: Option<PathBuf>,
}

impl Connecting {
    /// Takes an option of this table. Returns other parts unchanged.
    ///
    /// # Errors
    /// The time limit is no number.
    pub(in crate::bin) fn take(
        &mut self,
        command: &Command,
        part: Part,
    ) -> Result<Option<Part>, UsageError> {
        let Part::Option(option, value) = part else { return Ok(Some(part)) };
        let path = || Some(PathBuf::from(&value));
        match option.long {
            "bus" => self.bus = Some(value),
            "timeout" => {
                let seconds: f64 = command.number(option, "float", &value)?;
                // Infinity becomes a long time. NaN is refused.
                let wait = Duration::try_from_secs_f64(if seconds > 1e9 { 1e9 } else { seconds });
                let wait = wait.map_err(|_| {
                    command.error(format!("argument -t/--timeout: invalid float value: '{value}'"))
                })?;
                self.timeout = Some(if wait.is_zero() { NO_TIMEOUT } else { wait });
            }
            "router" => self.router = Some(value),
            "edge-router" => self.edge_router = Some(value),
            "ssl-certificate" => self.tls.certificate = path(),
            "ssl-key" => self.tls.key = path(),
            "ssl-trustfile" => self.tls.trust = path(),
            "ssl-password" => self.tls.password = Some(value),
            "ssl-password-file" => self.ssl_password_file = path(),
            "ssl-disable-peer-name-verify" => self.tls.any_name = true,
            "sasl-mechanisms" => self.sasl.mechanisms = Some(value),
            "sasl-username" => self.sasl.user = Some(value),
            "sasl-password" => self.sasl.password = Some(value),
            "sasl-password-file" => self.sasl_password_file = path(),
            _ => return Ok(Some(Part::Option(option, value))),
        }
        Ok(None)
    }

    /// Returns the options of the connection, and the address of the management node.
    ///
    /// # Errors
    /// The URL is wrong, or a file with a password cannot be read.
    pub(in crate::bin) fn options(
        self,
        name: &'static str,
    ) -> Result<(Options, String), ClientError> {
        let mut url = Url::parse(self.bus.as_deref().unwrap_or("0.0.0.0"))?;
        if self.tls.certificate.is_some() || self.tls.trust.is_some() {
            url.scheme = Scheme::Amqps;
        }
        let tls_password = self.ssl_password_file.map(password).transpose()?.or(self.tls.password);
        let sasl_password =
            self.sasl_password_file.map(password).transpose()?.or(self.sasl.password);
        let sasl = SaslOptions {
            mechanisms: self.sasl.mechanisms,
            user: self.sasl.user.or_else(|| url.user.clone()),
            password: sasl_password.or_else(|| url.password.clone()),
        };
        let address = url
            .path
            .clone()
            .unwrap_or_else(|| node_address(self.router.as_deref(), self.edge_router.as_deref()));
        let tls = TlsOptions { password: tls_password, ..self.tls };
        Ok((Options { url, name, timeout: self.timeout.unwrap_or(TIMEOUT), tls, sasl }, address))
    }
}

/// Reads the password in a file, without blanks around it.
fn password(file: PathBuf) -> Result<String, ClientError> {
    let failed = |error: std::io::Error| {
        ClientError::Option(format!("the password file {} cannot be read: {error}", file.display()))
    };
    let mut text = Vec::new();
    let open = std::fs::File::open(&file).map_err(failed)?;
    let limit = u64::try_from(PASSWORD_LIMIT).unwrap_or(u64::MAX);
    std::io::Read::read_to_end(&mut std::io::Read::take(open, limit), &mut text).map_err(failed)?;
    Ok(String::from_utf8_lossy(&text).trim().to_owned())
}
