//! Failed handshakes, in words that an operator can act on.

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

use super::certificate::Certificate;

/// Why a handshake failed. Its text names neither the profile nor the peer's address, for the
/// caller knows both.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// A certificate of the peer's chain is no longer valid.
    #[error("the peer's certificate {subject} expired on {not_after}")]
    Expired {
        /// The subject of the certificate.
        subject: String,
        /// The end of its validity.
        not_after: Timestamp,
    },
    /// A certificate of the peer's chain is not valid yet. Possibly a clock is wrong, here or
    /// there.
    #[error(
        "the peer's certificate {subject} is not valid before {not_before} (is a clock wrong?)"
    )]
    NotYetValid {
        /// The subject of the certificate.
        subject: String,
        /// The beginning of its validity.
        not_before: Timestamp,
    },
    /// An authority that is not in caCertFile issued the peer's certificate.
    #[error(
        "the peer's certificate {subject} was issued by {issuer}, which is not among the \
         authorities of caCertFile (wrong CA?)"
    )]
    UnknownIssuer {
        /// The subject of the peer's certificate.
        subject: String,
        /// The last issuer of the chain that the peer has shown.
        issuer: String,
    },
    /// The peer's certificate does not name the host that was dialed.
    #[error("the peer's certificate is not for host {host}, but for {}", list(names))]
    WrongName {
        /// The configured host.
        host: String,
        /// The names in the certificate.
        names: Vec<String>,
    },
    /// The peer's certificate is for the other end of connections only.
    #[error("the peer's certificate {subject} is not meant for {role} (extended key usage)")]
    WrongPurpose {
        /// The subject of the peer's certificate.
        subject: String,
        /// The purpose that it lacks.
        role: &'static str,
    },
    /// The peer's certificate has another fault.
    #[error("the peer's certificate {subject} is not acceptable: {reason}")]
    BadCertificate {
        /// The subject of the peer's certificate; empty if it cannot be read.
        subject: String,
        /// The reason.
        reason: String,
    },
    /// The client showed no certificate, and has to.
    #[error("the peer presented no certificate")]
    NoCertificate,
    /// The peer refused this end's certificate.
    #[error("the peer refused our certificate: TLS alert {alert} ({meaning})")]
    Refused {
        /// The alert's name in RFC 8446.
        alert: &'static str,
        /// Its meaning.
        meaning: &'static str,
    },
    /// The peer ended the handshake by another alert.
    #[error("the peer ended the TLS session: alert {alert} ({meaning})")]
    Alert {
        /// The alert's name in RFC 8446.
        alert: &'static str,
        /// Its meaning.
        meaning: &'static str,
    },
    /// The peer does not send TLS.
    #[error("the peer speaks no TLS")]
    NoTls,
    /// The two ends share no protocol version.
    #[error(
        "no common TLS version: the peer offers none of those that our attribute protocols allows \
         ({ours})"
    )]
    NoCommonVersion {
        /// The versions that this end's profile allows.
        ours: String,
    },
    /// The two ends share no cipher suite, key exchange or signature algorithm.
    #[error(
        "no common TLS algorithms: {reason} (attribute ciphers, and the type of the certificate's \
         key)"
    )]
    NoCommonCipher {
        /// Which.
        reason: String,
    },
    /// The handshake took too long.
    #[error("the TLS handshake timed out after {:.1} s", .0.as_secs_f32())]
    TimedOut(Duration),
    /// The peer closed the connection.
    #[error("the peer closed the connection during the TLS handshake")]
    Closed,
    /// The connection broke.
    #[error("the connection failed during the TLS handshake: {0}")]
    Io(String),
    /// The peer breaks the rules of TLS.
    #[error("the peer broke the TLS protocol: {0}")]
    Protocol(String),
    /// TLS cannot name the host.
    #[error("'{0}' is no host name or address that a certificate could be for")]
    BadHost(String),
    /// The profile has changed and lacks an attribute that the handshake needs.
    #[error("sslProfile '{profile}' has no {attribute} any more")]
    Profile {
        /// The profile.
        profile: String,
        /// The attribute.
        attribute: &'static str,
    },
}

impl HandshakeError {
    /// Returns the text of log lines. It begins with OpenSSL's words, by which operators find it.
    pub fn log_text(&self) -> String {
        let unverified = matches!(
            self,
            Self::Expired { .. }
                | Self::NotYetValid { .. }
                | Self::UnknownIssuer { .. }
                | Self::WrongName { .. }
                | Self::WrongPurpose { .. }
                | Self::BadCertificate { .. }
        );
        format!(
            "SSL Failure: {}{self}",
            if unverified { "certificate verify failed: " } else { "" }
        )
    }
}

fn list(names: &[String]) -> String {
    match names {
        [] => "no host at all".to_owned(),
        names => names.join(", "),
    }
}

/// The circumstances of a handshake that failed.
pub(super) struct Circumstances<'a> {
    /// The host that was dialed; `None` at a server.
    pub(super) host: Option<&'a str>,
    /// The chain that the peer has shown, its own certificate first.
    pub(super) shown: Vec<Certificate>,
    /// The protocol versions of this end's profile.
    pub(super) versions: String,
}

/// Finds the words for an error of the TLS library.
pub(super) fn classify(error: &io::Error, circumstances: &Circumstances<'_>) -> HandshakeError {
    let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => HandshakeError::Closed,
            io::ErrorKind::TimedOut => HandshakeError::Io("timed out".to_owned()),
            _ => HandshakeError::Io(error.to_string()),
        };
    };
    match inner {
        Error::InvalidCertificate(problem) => certificate_failure(problem, circumstances),
        Error::NoCertificatesPresented => HandshakeError::NoCertificate,
        Error::AlertReceived(alert) => alert_failure(*alert),
        // The header of a record has the type and version of the content. A peer without TLS fails
        // there.
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::UnknownProtocolVersion
            | InvalidMessage::MessageTooLarge,
        ) => HandshakeError::NoTls,
        Error::PeerIncompatible(problem) => incompatible(problem, circumstances),
        Error::General(text) if text.contains("no server certificate chain resolved") => {
            HandshakeError::NoCommonCipher {
                reason: "the peer accepts no signature of our certificate's key".to_owned(),
            }
        }
        other => HandshakeError::Protocol(other.to_string()),
    }
}

fn incompatible(problem: &PeerIncompatible, circumstances: &Circumstances<'_>) -> HandshakeError {
    let cipher = |reason: &str| HandshakeError::NoCommonCipher { reason: reason.to_owned() };
    match problem {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled => {
            HandshakeError::NoCommonVersion { ours: circumstances.versions.clone() }
        }
        PeerIncompatible::NoCipherSuitesInCommon => cipher("no cipher suite in common"),
        PeerIncompatible::NoKxGroupsInCommon
        | PeerIncompatible::NamedGroupsExtensionRequired
        | PeerIncompatible::KeyShareExtensionRequired => cipher("no key exchange in common"),
        PeerIncompatible::NoSignatureSchemesInCommon
        | PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon
        | PeerIncompatible::SignatureAlgorithmsExtensionRequired => {
            cipher("no signature algorithm in common")
        }
        other => HandshakeError::Protocol(Error::PeerIncompatible(other.clone()).to_string()),
    }
}

fn certificate_failure(
    problem: &CertificateError,
    circumstances: &Circumstances<'_>,
) -> HandshakeError {
    let leaf = circumstances.shown.first();
    let subject = leaf.map(|leaf| leaf.subject.clone()).unwrap_or_default();
    // The date tells the certificate of the chain. An authority's own is not part of the chain.
    let dated = |second: u64, date: fn(&Certificate) -> Timestamp| {
        let date_of =
            |certificate: &&Certificate| u64::try_from(date(certificate).as_second()) == Ok(second);
        let subject = circumstances
            .shown
            .iter()
            .find(date_of)
            .map_or_else(|| "of its authority".to_owned(), |found| found.subject.clone());
        (
            subject,
            i64::try_from(second)
                .ok()
                .and_then(|second| Timestamp::from_second(second).ok())
                .unwrap_or(Timestamp::MAX),
        )
    };
    match problem {
        CertificateError::ExpiredContext { not_after, .. } => {
            let (subject, not_after) =
                dated(not_after.as_secs(), |certificate| certificate.not_after);
            HandshakeError::Expired { subject, not_after }
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            let (subject, not_before) =
                dated(not_before.as_secs(), |certificate| certificate.not_before);
            HandshakeError::NotYetValid { subject, not_before }
        }
        CertificateError::UnknownIssuer => {
            let issuer =
                circumstances.shown.last().map(|last| last.issuer.clone()).unwrap_or_default();
            HandshakeError::UnknownIssuer { subject, issuer }
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            HandshakeError::WrongName {
                host: circumstances.host.unwrap_or_default().to_owned(),
                names: leaf.map(|leaf| leaf.host_names().to_vec()).unwrap_or_default(),
            }
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            HandshakeError::WrongPurpose {
                subject,
                role: if circumstances.host.is_some() { "servers" } else { "clients" },
            }
        }
        CertificateError::BadSignature => HandshakeError::BadCertificate {
            subject,
            reason: "its signature is not by the authority it names (is there an older authority \
                     of the same name?)"
                .to_owned(),
        },
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            HandshakeError::BadCertificate {
                subject,
                reason: "it is an authority's certificate (basicConstraints CA:TRUE) and must not \
                     identify a host"
                    .to_owned(),
            }
        }
        other => HandshakeError::BadCertificate {
            subject,
            reason: Error::InvalidCertificate(other.clone()).to_string(),
        },
    }
}

/// Finds the words for an alert of the peer.
pub(super) fn alert_failure(alert: AlertDescription) -> HandshakeError {
    use AlertDescription as A;
    let (alert, meaning, refused) = match alert {
        A::NoCertificate => {
            ("no_certificate", "it demands a certificate, and our profile has none", true)
        }
        A::CertificateRequired => {
            ("certificate_required", "it demands a certificate, and our profile has none", true)
        }
        A::BadCertificate => ("bad_certificate", "it could not verify it", true),
        A::UnsupportedCertificate => (
            "unsupported_certificate",
            "it is of a type, or for a purpose, that the peer does not take",
            true,
        ),
        A::CertificateRevoked => ("certificate_revoked", "it has been revoked", true),
        A::CertificateExpired => (
            "certificate_expired",
            "it has expired, or is not valid yet, by the peer's clock",
            true,
        ),
        A::CertificateUnknown => {
            ("certificate_unknown", "for a reason the peer does not tell", true)
        }
        A::UnknownCA => ("unknown_ca", "the peer does not know the authority that issued it", true),
        A::AccessDenied => ("access_denied", "it is valid, but not for this peer", true),
        A::DecryptError => (
            "decrypt_error",
            "the peer could not verify a signature, that of our certificate or of the handshake",
            true,
        ),
        A::HandshakeFailure => (
            "handshake_failure",
            "no algorithms in common, or it demands a certificate and our profile has none",
            false,
        ),
        A::ProtocolVersion => ("protocol_version", "no TLS version in common", false),
        A::InsufficientSecurity => {
            ("insufficient_security", "it demands stronger algorithms than our profile has", false)
        }
        A::UnrecognisedName => {
            ("unrecognized_name", "it does not know the host name we asked for", false)
        }
        A::NoApplicationProtocol => {
            ("no_application_protocol", "no application protocol (ALPN) in common", false)
        }
        A::CloseNotify => ("close_notify", "it closed the session", false),
        A::UserCanceled => ("user_canceled", "it gave up", false),
        A::UnexpectedMessage => (
            "unexpected_message",
            "it got what it did not expect; possibly it speaks no TLS here",
            false,
        ),
        A::BadRecordMac => {
            ("bad_record_mac", "what it received had been altered on the way", false)
        }
        A::RecordOverflow => ("record_overflow", "it received a record that is too long", false),
        A::IllegalParameter => ("illegal_parameter", "it found fault with our handshake", false),
        A::DecodeError => ("decode_error", "it could not read our handshake", false),
        A::InternalError => ("internal_error", "it has a problem of its own; see its log", false),
        A::MissingExtension => ("missing_extension", "it misses something in our handshake", false),
        A::UnsupportedExtension => (
            "unsupported_extension",
            "it found something in our handshake that it does not take",
            false,
        ),
        A::InappropriateFallback => {
            ("inappropriate_fallback", "it supports a newer TLS version than was tried", false)
        }
        _ => ("unknown", "an alert that is not in use", false),
    };
    if refused {
        HandshakeError::Refused { alert, meaning }
    } else {
        HandshakeError::Alert { alert, meaning }
    }
}
