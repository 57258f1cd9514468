//! The place to connect to: `amqp://user:password@host:port/address`. Each part may be absent.

use std::fmt;

use crate::socket::service_port;

/// The scheme, which decides on TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `amqp`: without TLS.
    Amqp,
    /// `amqps`: with TLS.
    Amqps,
}

impl Scheme {
    const fn name(self) -> &'static str {
        match self {
            Self::Amqp => "amqp",
            Self::Amqps => "amqps",
        }
    }
}

/// A parsed URL. Its `Display` form omits user and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// The scheme.
    pub scheme: Scheme,
    /// The user's name, decoded.
    pub user: Option<String>,
    /// The user's password, decoded.
    pub password: Option<String>,
    /// The host name or address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The address of a node, if the URL names one.
    pub path: Option<String>,
}

/// The fault of a URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// The port is unknown.
    #[error("Not a valid port number or service name: '{0}'")]
    Port(String),
    /// The scheme is unknown.
    #[error("Not a scheme for AMQP: '{0}' (amqp or amqps)")]
    Scheme(String),
}

impl Url {
    /// Reads a URL, or a part of one such as `host`, `host:port` or `[::1]:port`.
    ///
    /// A missing host means this machine, and a missing port means that of the scheme.
    ///
    /// # Errors
    /// An unknown scheme, or a port that is neither a number nor a known name.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if !scheme.contains(['/', '@', ':']) => (scheme, rest),
            _ => ("", text.strip_prefix("//").unwrap_or(text)),
        };
        let scheme = match scheme {
            "" | "amqp" => Scheme::Amqp,
            "amqps" => Scheme::Amqps,
            other => return Err(UrlError::Scheme(other.to_owned())),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, place) = authority
            .rsplit_once('@')
            .map_or((None, authority), |(login, place)| (Some(login), place));
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, "")))
        {
            Some((user, password)) => (text_of(user), text_of(password)),
            None => (None, None),
        };
        let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':').unwrap_or(rest)),
            None => place.split_once(':').unwrap_or((place, "")),
        };
        let port = if port.is_empty() { scheme.name() } else { port };
        Ok(Self {
            scheme,
            user,
            password,
            host: if host.is_empty() { "0.0.0.0".to_owned() } else { host.to_lowercase() },
            port: service_port(port).ok_or_else(|| UrlError::Port(port.to_owned()))?,
            path: (!path.is_empty()).then(|| path.to_owned()),
        })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port) = (self.scheme.name(), &self.host, self.port);
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")?
        } else {
            write!(f, "{scheme}://{host}:{port}")?
        }
        self.path.iter().try_for_each(|path| write!(f, "/{path}"))
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Decodes `%41` to `A`. Text that does not decode stays as it is. Empty text becomes `None`.
fn text_of(text: &str) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after
            .first_chunk::<2>()
            .filter(|_| first == b'%')
            .and_then(|digits| std::str::from_utf8(digits).ok());
        match digits
            .filter(|digits| !digits.starts_with('+'))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
        {
            Some(octet) => {
                octets.push(octet);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                octets.push(first);
                rest = after;
            }
        }
    }
    Some(String::from_utf8(octets).unwrap_or_else(|_| text.to_owned()))
}
