//! What a connection is made with.

use core::time::Duration;

use crate::amqp::{Fields, Multiple, Symbol};

/// Which end of the transport we are, and what comes before open.
#[derive(Clone, Debug)]
pub enum Layer {
    /// We connected.
    Client {
        /// SASL mechanisms we would use, best first; empty: no SASL layer at all.
        mechanisms: Vec<&'static str>,
        /// What ANONYMOUS says of us.
        identity: String,
        /// What PLAIN says of us; without it PLAIN is not used.
        credentials: Option<Credentials>,
    },
    /// We were connected to.
    Server {
        /// SASL mechanisms we offer.
        mechanisms: Vec<&'static str>,
        /// Whether the peer may leave SASL out.
        allow_bare: bool,
    },
}

/// What a server says of credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They are right.
    Right,
    /// They are wrong.
    Wrong,
    /// They were not looked at: the client may try again.
    Unknown,
}

/// A user name and a password, for PLAIN. Its `Debug` form leaves the password out.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    user: String,
    password: String,
}

impl Credentials {
    /// Credentials; `None` when either holds a NUL, which is what PLAIN puts between them (RFC
    /// 4616).
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Option<Self> {
        let (user, password) = (user.into(), password.into());
        (!user.contains('\0') && !password.contains('\0')).then_some(Self { user, password })
    }

    /// Reads the message of PLAIN. Nobody may act for another: an authorization identity must be
    /// the user's own.
    pub(super) fn parse(message: &[u8]) -> Option<Self> {
        let mut parts = core::str::from_utf8(message).ok()?.split('\0');
        let (authority, user, password) = (parts.next()?, parts.next()?, parts.next()?);
        let sound = parts.next().is_none() && !user.is_empty() && !password.is_empty();
        let own = authority.is_empty() || authority == user;
        (sound && own).then(|| Self { user: user.to_owned(), password: password.to_owned() })
    }

    /// Who it is said to be.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The password, which belongs in no log.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The message of PLAIN. Nobody is asked to act for another: the authorization identity stays
    /// empty.
    pub(super) fn plain(&self) -> String {
        format!("\0{}\0{}", self.user, self.password)
    }
}

impl core::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What a connection is made with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Our container-id: the router's id.
    pub container_id: String,
    /// The host we mean to reach, as client.
    pub hostname: Option<String>,
    /// The largest frame we take, in octets.
    pub max_frame_size: u32,
    /// The highest channel we take.
    pub channel_max: u16,
    /// The connection ends when nothing is heard for this long; the peer is told half of it. Zero:
    /// never.
    pub idle_timeout: Duration,
    /// The peer's open must arrive within this. Zero: no limit.
    pub handshake_timeout: Duration,
    /// Transfers that each session takes before it must be told that it takes more.
    pub incoming_window: u32,
    /// Capabilities offered and desired in open.
    pub capabilities: Multiple<Symbol>,
    /// Properties of our open.
    pub properties: Fields,
    /// Which end we are.
    pub layer: Layer,
}
