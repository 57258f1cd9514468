//! The outcome of a handshake, for status and for policy.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::Connection;

use super::certificate::Certificate;
use super::ciphers;
use super::material::Material;

/// The outcome of a handshake.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    /// `TLSv1.3` or `TLSv1.2`.
    pub protocol: &'static str,
    /// The cipher suite as OpenSSL spells it.
    pub cipher: &'static str,
    /// Bits of the cipher's key.
    pub cipher_bits: u16,
    /// The application protocol, if one was negotiated.
    pub alpn: Option<String>,
    /// The peer's certificate, if it showed one.
    pub peer: Option<Certificate>,
    /// The peer's user name by that certificate.
    pub user: Option<String>,
    /// The ordinal of this end's certificates, which tells older ones from newer.
    pub ordinal: u64,
    /// The lowest ordinal that may be used.
    pub oldest_valid: Arc<AtomicU64>,
}

impl SessionInfo {
    /// Reads it from a connection whose handshake is over, made with this material.
    pub(super) fn new(
        connection: &Connection,
        material: &Material,
        oldest_valid: &Arc<AtomicU64>,
    ) -> Self {
        let peer = connection
            .peer_certificates()
            .and_then(|chain| chain.first())
            .and_then(|der| Certificate::parse(der));
        let (cipher, cipher_bits) = connection
            .negotiated_cipher_suite()
            .map_or(("", 0), |suite| ciphers::describe(suite.suite()));
        Self {
            protocol: connection.protocol_version().map_or("", ciphers::protocol_name),
            cipher,
            cipher_bits,
            alpn: connection.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
            user: peer.as_ref().map(|certificate| material.naming.user(certificate)),
            peer,
            ordinal: material.ordinal,
            oldest_valid: Arc::clone(oldest_valid),
        }
    }

    /// Returns whether this end's certificates were declared too old.
    pub fn is_outdated(&self) -> bool {
        self.ordinal < self.oldest_valid.load(Ordering::Acquire)
    }
}
