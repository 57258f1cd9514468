//! The configuration of a connection.

use core::time::Duration;

use crate::amqp::{Fields, Multiple, Symbol};

/// Which end of the transport this is, and the layers before open.
#[derive(Clone, Debug)]
pub enum Layer {
    /// This end connected.
    Client {
        /// SASL mechanisms that this end would use, best first. Empty: no SASL layer at all.
        mechanisms: Vec<&'static str>,
        /// The identity that ANONYMOUS states.
        identity: String,
        /// The credentials for PLAIN. Without them PLAIN is not used.
        credentials: Option<Credentials>,
    },
    /// This end was connected to.
    Server {
        /// SASL mechanisms that this end offers.
        mechanisms: Vec<&'static str>,
        /// Whether the peer may leave SASL out.
        allow_bare: bool,
    },
}

/// A server's judgment of credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They are right.
    Right,
    /// They are wrong.
    Wrong,
    /// They could not be checked. The client may try again.
    Unknown,
}

/// A user name and a password, for PLAIN (RFC 4616). The `Debug` form leaves the password out.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    user: String,
    password: String,
}

impl Credentials {
    /// Makes credentials. Returns `None` when either holds a NUL, which separates them in PLAIN.
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Option<Self> {
        let (user, password) = (user.into(), password.into());
        (!user.contains('\0') && !password.contains('\0')).then_some(Self { user, password })
    }

    /// Reads the message of PLAIN. A user may not act for another: an authorization identity must
    /// be the user's own.
    pub(super) fn parse(message: &[u8]) -> Option<Self> {
        let mut parts = core::str::from_utf8(message).ok()?.split('\0');
        let (authority, user, password) = (parts.next()?, parts.next()?, parts.next()?);
        let sound = parts.next().is_none() && !user.is_empty() && !password.is_empty();
        let own = authority.is_empty() || authority == user;
        (sound && own).then(|| Self { user: user.to_owned(), password: password.to_owned() })
    }

    /// Returns the user name.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Returns the password. Never log it.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Returns the message of PLAIN. The authorization identity stays empty: the user acts for
    /// itself.
    pub(super) fn plain(&self) -> String {
        format!("\0{}\0{}", self.user, self.password)
    }
}

impl core::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// The configuration of a connection.
#[derive(Clone, Debug)]
pub struct Config {
    /// The container-id of this end: the router's id.
    pub container_id: String,
    /// As client: the host that this end means to reach.
    pub hostname: Option<String>,
    /// The largest frame that this end takes, in bytes.
    pub max_frame_size: u32,
    /// The highest channel that this end takes.
    pub channel_max: u16,
    /// The connection ends when the peer is silent for this long. The peer is told half of it.
    /// Zero: no limit.
    pub idle_timeout: Duration,
    /// The peer's open must arrive within this. Zero: no limit.
    pub handshake_timeout: Duration,
    /// The transfers that each session takes before this end must state that it takes more.
    pub incoming_window: u32,
    /// Capabilities that open offers and desires.
    pub capabilities: Multiple<Symbol>,
    /// Properties of our open.
    pub properties: Fields,
    /// Which end this is.
    pub layer: Layer,
}
