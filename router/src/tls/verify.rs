//! The verifiers of one handshake: chains, purposes, dates and names.
//!
//! [`Trust`] judges the chain. A verifier adds the demands of the listener or connector, and keeps
//! the chain that the peer has shown.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::certificate::Certificate;
use super::der::version_1;
use super::host::common_name_matches;
use super::trust::Trust;
use crate::lock::Mutex;

/// The demand of a listener on its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientVerification {
    /// A certificate of a known authority. Without one the handshake fails.
    Required,
    /// The listener asks for a certificate. If a client shows one, a known authority must vouch for
    /// it.
    Optional,
    /// The listener asks for no certificate.
    None,
}

/// The demand of a connector on its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerVerification {
    /// A certificate of a known authority, for the host that was dialed.
    ChainAndName,
    /// A certificate of a known authority, whatever its names (`verifyHostname: no`).
    Chain,
}

/// The chain that a peer has shown. The words about its refusal name it.
#[derive(Debug, Default)]
pub(super) struct Shown(Mutex<Vec<Certificate>>);

/// Most certificates of a shown chain that are kept.
const SHOWN_LIMIT: usize = 4;

impl Shown {
    fn record(&self, leaf: &CertificateDer<'_>, between: &[CertificateDer<'_>]) {
        let chain = std::iter::once(leaf)
            .chain(between)
            .take(SHOWN_LIMIT)
            .filter_map(|der| Certificate::parse(der))
            .collect();
        *self.0.lock() = chain;
    }

    /// Takes the chain, the peer's own certificate first. It is empty if the peer has shown none.
    pub(super) fn take(&self) -> Vec<Certificate> {
        std::mem::take(&mut *self.0.lock())
    }
}

/// Verifies the server of one handshake.
#[derive(Debug)]
pub(super) struct ServerVerifier {
    pub(super) trust: Arc<Trust>,
    pub(super) verification: ServerVerification,
    pub(super) shown: Arc<Shown>,
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.shown.record(leaf, between);
        self.trust.verify_server(leaf, between, now)?;
        if self.verification == ServerVerification::ChainAndName {
            let certificate = Certificate::parse(leaf).ok_or(CertificateError::BadEncoding)?;
            let by_common_name = common_name_matches(&certificate, host)
                && self.trust.common_names_count(&certificate, between);
            if !by_common_name {
                if version_1(leaf).is_some() {
                    return Err(CertificateError::NotValidForName.into());
                }
                verify_server_name(&ParsedCertificate::try_from(leaf)?, host)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trust.verify_tls12(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trust.verify_tls13(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.supported_schemes()
    }
}

/// Verifies the client of one handshake.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    pub(super) trust: Arc<Trust>,
    pub(super) verification: ClientVerification,
    pub(super) shown: Arc<Shown>,
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.verification == ClientVerification::Required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.trust.subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.shown.record(leaf, between);
        self.trust.verify_client(leaf, between, now)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trust.verify_tls12(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trust.verify_tls13(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.supported_schemes()
    }
}
