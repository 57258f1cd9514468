//! Whom to believe: chains, purposes, dates and names.
//!
//! Chains are checked by webpki, which is stricter than OpenSSL in two ways that matter to
//! certificates in use:
//!
//! * It knows host names only from the alternative names. A certificate without any, of whatever
//!   kind, is compared by its common name here, unless an authority on its way has name
//!   constraints: these bind alternative names, and a common name would evade them.
//! * It refuses X.509 version 1, which is what `openssl x509 -req` of OpenSSL 3.0 makes unless it
//!   is given extensions. Such a certificate can say nothing of its purpose and cannot be an
//!   intermediate one; signed directly by a trusted authority it is as good as any, and [`Trust`]
//!   checks signature and dates itself.
//!
//! Nothing else is let through.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, SignatureVerificationAlgorithm, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate, X509Version};

use super::certificate::Certificate;
use super::handshake::{ClientVerification, ServerVerification};
use super::profile::ProfileProblem;
use crate::lock::Mutex;

/// The authorities of a profile.
#[derive(Debug)]
pub(super) struct Trust {
    roots: Arc<RootCertStore>,
    /// The same as the roots, whole.
    certificates: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
    clients: Arc<dyn ClientCertVerifier>,
}

impl Trust {
    pub(super) fn new(
        certificates: Vec<CertificateDer<'static>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, ProfileProblem> {
        let mut roots = RootCertStore::empty();
        for (index, certificate) in certificates.iter().enumerate() {
            roots
                .add(certificate.clone())
                .map_err(|error| ProfileProblem::BadCertificate(index + 1, error.to_string()))?;
        }
        let roots = Arc::new(roots);
        let clients = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
            .build()
            .map_err(|error| ProfileProblem::BadCertificate(1, error.to_string()))?;
        Ok(Self {
            roots,
            certificates,
            algorithms: provider.signature_verification_algorithms,
            clients,
        })
    }

    fn verify_server(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        match version_1(leaf) {
            Some(leaf) => self.verify_version_1(&leaf, now),
            None => {
                let parsed = ParsedCertificate::try_from(leaf)?;
                verify_server_cert_signed_by_trust_anchor(
                    &parsed,
                    &self.roots,
                    between,
                    now,
                    self.algorithms.all,
                )
            }
        }
    }

    fn verify_client(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        match version_1(leaf) {
            Some(leaf) => self.verify_version_1(&leaf, now),
            None => self.clients.verify_client_cert(leaf, between, now).map(|_| ()),
        }
    }

    /// Whether hosts may be compared with the common names of a certificate that was verified.
    fn common_names_count(&self, leaf: &Certificate, between: &[CertificateDer<'_>]) -> bool {
        if leaf.has_alternative_names {
            return false;
        }
        let shown: Option<Vec<_>> = between.iter().map(|der| parse(der)).collect();
        let Some(shown) = shown.filter(|shown| !shown.iter().any(is_constrained)) else {
            return false;
        };
        let Some(leaf) = parse(&leaf.der) else { return false };
        let issuers: Vec<_> =
            shown.iter().chain([&leaf]).map(|certificate| certificate.issuer().as_raw()).collect();
        let is_on_the_way =
            |authority: &X509Certificate<'_>| issuers.contains(&authority.subject().as_raw());
        let authorities = self.certificates.iter().filter_map(|der| parse(der));
        !authorities.filter(is_on_the_way).any(|authority| is_constrained(&authority))
    }

    /// A version 1 certificate directly beneath an authority: who signed it, with what, and when it
    /// holds.
    fn verify_version_1(&self, leaf: &X509Certificate<'_>, now: UnixTime) -> Result<(), Error> {
        let seconds = |time: i64| {
            UnixTime::since_unix_epoch(std::time::Duration::from_secs(time.try_into().unwrap_or(0)))
        };
        let not_before = seconds(leaf.validity().not_before.timestamp());
        let not_after = seconds(leaf.validity().not_after.timestamp());
        let mut found = Err(CertificateError::UnknownIssuer);
        for authority in &self.certificates {
            let Ok((_, authority)) = X509Certificate::from_der(authority) else { continue };
            if authority.subject().as_raw() == leaf.issuer().as_raw() && may_sign(&authority) {
                found = self.verify_signature(leaf, &authority);
                if found.is_ok() {
                    break;
                }
            }
        }
        found?;
        if now < not_before {
            return Err(CertificateError::NotValidYetContext { time: now, not_before }.into());
        }
        if now > not_after {
            return Err(CertificateError::ExpiredContext { time: now, not_after }.into());
        }
        Ok(())
    }

    fn verify_signature(
        &self,
        leaf: &X509Certificate<'_>,
        authority: &X509Certificate<'_>,
    ) -> Result<(), CertificateError> {
        let algorithm = algorithm_after(leaf.as_raw(), leaf.tbs_certificate.as_ref())
            .ok_or(CertificateError::BadEncoding)?;
        let (key_algorithm, key) = public_key(authority).ok_or(CertificateError::BadEncoding)?;
        let usable = |known: &&dyn SignatureVerificationAlgorithm| {
            known.signature_alg_id().as_ref() == algorithm
                && known.public_key_alg_id().as_ref() == key_algorithm
        };
        let known = self.algorithms.all.iter().copied().find(usable).ok_or_else(|| {
            CertificateError::UnsupportedSignatureAlgorithmContext {
                signature_algorithm_id: algorithm.to_vec(),
                supported_algorithms: self
                    .algorithms
                    .all
                    .iter()
                    .map(|known| known.signature_alg_id())
                    .collect(),
            }
        })?;
        known
            .verify_signature(key, leaf.tbs_certificate.as_ref(), &leaf.signature_value.data)
            .map_err(|_| CertificateError::BadSignature)
    }

    /// The signature of the handshake, made with a certificate that webpki would not read.
    fn verify_handshake(
        &self,
        message: &[u8],
        certificate: &X509Certificate<'_>,
        signed: &DigitallySignedStruct,
        only_first: bool,
    ) -> Result<HandshakeSignatureValid, Error> {
        let (key_algorithm, key) = public_key(certificate).ok_or(CertificateError::BadEncoding)?;
        let known = self
            .algorithms
            .mapping
            .iter()
            .find(|(scheme, _)| *scheme == signed.scheme)
            .map_or(&[][..], |(_, known)| *known);
        // In TLS 1.3 a scheme names the one algorithm that is listed first.
        let known = if only_first { known.get(..1).unwrap_or_default() } else { known };
        let mut usable =
            known.iter().filter(|known| known.public_key_alg_id().as_ref() == key_algorithm);
        if usable.any(|known| known.verify_signature(key, message, signed.signature()).is_ok()) {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(CertificateError::BadSignature.into())
        }
    }

    fn verify_tls12(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match version_1(certificate) {
            Some(certificate) => self.verify_handshake(message, &certificate, signed, false),
            None => verify_tls12_signature(message, certificate, signed, &self.algorithms),
        }
    }

    fn verify_tls13(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match version_1(certificate) {
            // RFC 8446, section 4.2.3: PKCS#1 v1.5 signs certificates only.
            Some(_) if is_pkcs1(signed.scheme) => Err(CertificateError::BadSignature.into()),
            Some(certificate) => self.verify_handshake(message, &certificate, signed, true),
            None => verify_tls13_signature(message, certificate, signed, &self.algorithms),
        }
    }
}

fn is_pkcs1(scheme: SignatureScheme) -> bool {
    matches!(
        scheme,
        SignatureScheme::RSA_PKCS1_SHA1
            | SignatureScheme::RSA_PKCS1_SHA256
            | SignatureScheme::RSA_PKCS1_SHA384
            | SignatureScheme::RSA_PKCS1_SHA512
    )
}

/// The certificate, if it is whole.
fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Some(certificate),
        _ => None,
    }
}

/// The certificate, if it is of version 1 and whole.
fn version_1<'a>(der: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    parse(der).filter(|certificate| certificate.version() == X509Version::V1)
}

/// Whether an authority may sign for some names only (RFC 5280, section 4.2.1.10). What cannot be
/// read is taken for a constraint.
fn is_constrained(authority: &X509Certificate<'_>) -> bool {
    !matches!(authority.name_constraints(), Ok(None))
}

/// Whether an authority's certificate lets it sign certificates. One of version 1 cannot say, and
/// was made an authority by the operator.
fn may_sign(authority: &X509Certificate<'_>) -> bool {
    let is_authority = authority.version() == X509Version::V1 || authority.is_ca();
    let usage = match authority.key_usage() {
        Ok(Some(usage)) => usage.value.key_cert_sign(),
        Ok(None) => true,
        Err(_) => false,
    };
    is_authority && usage
}

/// The content of the DER element at the start, and what follows the element.
fn element(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = der.get(1..)?.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
        0x82 => (usize::from(u16::from_be_bytes(rest.get(..2)?.try_into().ok()?)), rest.get(2..)?),
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// The content of the algorithm that follows the signed part of a certificate.
fn algorithm_after<'a>(certificate: &'a [u8], signed: &[u8]) -> Option<&'a [u8]> {
    let (content, _) = element(certificate)?;
    Some(element(content.strip_prefix(signed)?)?.0)
}

/// The algorithm's content and the key itself, of a certificate's public key.
fn public_key<'a>(certificate: &'a X509Certificate<'_>) -> Option<(&'a [u8], &'a [u8])> {
    let (content, _) = element(certificate.public_key().raw)?;
    Some((element(content)?.0, &certificate.public_key().subject_public_key.data))
}

/// Whether a common name of a certificate is this host.
fn common_name_matches(certificate: &Certificate, host: &ServerName<'_>) -> bool {
    certificate.common_names.iter().any(|name| match host {
        ServerName::DnsName(host) => name_matches(name, host.as_ref()),
        ServerName::IpAddress(address) => {
            name.parse().is_ok_and(|ip: std::net::IpAddr| ip == std::net::IpAddr::from(*address))
        }
        _ => false,
    })
}

/// Compares a certificate's name with a host's. A wildcard stands for exactly one label, the first,
/// and not beneath a top-level domain.
fn name_matches(name: &str, host: &str) -> bool {
    let (name, host) =
        (name.strip_suffix('.').unwrap_or(name), host.strip_suffix('.').unwrap_or(host));
    match name.strip_prefix("*.") {
        Some(domain) => {
            domain.contains('.')
                && !domain.contains('*')
                && host.split_once('.').is_some_and(|(label, rest)| {
                    !label.is_empty() && rest.eq_ignore_ascii_case(domain)
                })
        }
        None => !name.is_empty() && name.eq_ignore_ascii_case(host),
    }
}

/// The chain a peer has shown, kept for the words about its refusal.
#[derive(Debug, Default)]
pub(super) struct Shown(Mutex<Vec<Certificate>>);

/// Certificates of a shown chain that are kept.
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

    /// The chain, the peer's own certificate first; empty if it has shown none.
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
        self.trust.algorithms.supported_schemes()
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
        self.trust.clients.root_hint_subjects()
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
        self.trust.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_by_label() {
        for (name, host, expected) in [
            ("north", "north", true),
            ("North.Example.Com", "north.example.com.", true),
            ("*.example.com", "north.example.com", true),
            ("*.example.com", "a.north.example.com", false),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("*.com", "example.com", false),
            ("*", "north", false),
            ("n*.example.com", "north.example.com", false),
            ("*.*.com", "a.b.com", false),
            ("", "", false),
            ("north", "northern", false),
        ] {
            assert_eq!(name_matches(name, host), expected, "{name} {host}");
        }
    }

    #[test]
    fn elements_are_cut_within_bounds() {
        assert_eq!(element(&[0x30, 2, 1, 2, 3]), Some((&[1, 2][..], &[3][..])));
        assert_eq!(element(&[0x30, 0x81, 1, 7]), Some((&[7][..], &[][..])));
        assert_eq!(element(&[0x30, 0x82, 0, 1, 7]), Some((&[7][..], &[][..])));
        for bad in [
            &[][..],
            &[0x30],
            &[0x30, 1],
            &[0x30, 0x81],
            &[0x30, 0x82, 1],
            &[0x30, 0x80, 0, 0],
            &[0x30, 0x84, 0, 0, 0, 1, 7],
        ] {
            assert_eq!(element(bad), None);
        }
    }
}
