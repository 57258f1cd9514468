//! The authorities of a profile, and the certificates that they vouch for.
//!
//! webpki checks chains. It is stricter than OpenSSL in two ways that matter to certificates in
//! use:
//!
//! * It knows host names only from the alternative names. A certificate without any counts by its
//!   common name here, unless an authority on its way has name constraints. Those bind alternative
//!   names, and a common name would evade them.
//! * It refuses X.509 version 1. `openssl x509 -req` of OpenSSL 3.0 makes such a certificate unless
//!   it is given extensions. The certificate cannot state its purpose and cannot be an intermediate
//!   one. Signed directly by a trusted authority it is as good as any other. [`Trust`] checks its
//!   signature and dates itself.
//!
//! Nothing else passes.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate, X509Version};

use super::certificate::Certificate;
use super::der::{algorithm_after, parse, public_key, version_1};
use super::problem::ProfileProblem;

/// The authorities of a profile.
#[derive(Debug)]
pub(super) struct Trust {
    roots: Arc<RootCertStore>,
    /// The roots' whole certificates.
    certificates: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
    clients: Arc<dyn ClientCertVerifier>,
}

impl Trust {
    /// Makes the trust in these authorities.
    ///
    /// # Errors
    /// The first certificate that cannot be an authority's.
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

    /// Verifies the chain of a server, but not its names.
    pub(super) fn verify_server(
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

    /// Verifies the chain of a client.
    pub(super) fn verify_client(
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

    /// Returns whether the common names of a verified certificate name hosts.
    pub(super) fn common_names_count(
        &self,
        leaf: &Certificate,
        between: &[CertificateDer<'_>],
    ) -> bool {
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

    /// Verifies a version 1 certificate directly beneath an authority: its signature and its dates.
    fn verify_version_1(&self, leaf: &X509Certificate<'_>, now: UnixTime) -> Result<(), Error> {
        let seconds = |time: i64| {
            UnixTime::since_unix_epoch(Duration::from_secs(time.try_into().unwrap_or(0)))
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

    /// Verifies the signature of a handshake, made with a certificate that webpki does not read.
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

    /// Verifies the signature of a TLS 1.2 handshake.
    pub(super) fn verify_tls12(
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

    /// Verifies the signature of a TLS 1.3 handshake.
    pub(super) fn verify_tls13(
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

    /// Returns the schemes of handshake signatures that can be verified.
    pub(super) fn supported_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }

    /// Returns the subjects of the authorities, which a server sends to its clients as a hint.
    pub(super) fn subjects(&self) -> &[DistinguishedName] {
        self.clients.root_hint_subjects()
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

/// Returns whether an authority may sign for some names only (RFC 5280, section 4.2.1.10). An
/// extension that cannot be read counts as a constraint.
fn is_constrained(authority: &X509Certificate<'_>) -> bool {
    !matches!(authority.name_constraints(), Ok(None))
}

/// Returns whether an authority's certificate lets it sign certificates. One of version 1 cannot
/// say so; the operator made it an authority.
fn may_sign(authority: &X509Certificate<'_>) -> bool {
    let is_authority = authority.version() == X509Version::V1 || authority.is_ca();
    let usage = match authority.key_usage() {
        Ok(Some(usage)) => usage.value.key_cert_sign(),
        Ok(None) => true,
        Err(_) => false,
    };
    is_authority && usage
}
