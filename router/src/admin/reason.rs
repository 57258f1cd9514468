//! The reasons why a site link is not active, as a type and in words that an operator can act on.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::tls::HandshakeError;

/// The reason why a site link is not active, or the limit of an active one.
///
/// In JSON it is an object. Its `kind` names the case and its `text` is the
/// [`Display`](fmt::Display) form. Texts of the peer (subjects, names, descriptions) stay as the
/// peer sent them. A caller that prints them on a terminal must make them harmless first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Reason {
    /// Created, and not tried so far.
    NeverTried,
    /// Taken out of service by the operator.
    Stopped,
    /// The router makes the TCP connection, or opens TLS, SASL or AMQP on it.
    Connecting,
    /// The connection is open, but at least one of the two control links is not attached.
    AwaitingControlLinks,
    /// The control links are attached, but HELLO has not passed both ways.
    AwaitingHello {
        /// True if this router heard the peer's HELLO. The peer has not confirmed ours.
        heard: bool,
    },
    /// An active link of an edge router that waits: another uplink is in use.
    StandsBy,
    /// The host's name has no address.
    NameNotResolved {
        /// The name.
        host: String,
        /// The resolver's answer.
        error: String,
    },
    /// Nothing listens at the port.
    Refused {
        /// Address and port.
        address: String,
    },
    /// The host cannot be reached: no route, no answer, a local fault.
    Unreachable {
        /// Address and port.
        address: String,
        /// The system's error.
        error: String,
    },
    /// The peer took longer than a deadline allows.
    TimedOut {
        /// The stage that timed out: `TCP`, `TLS`, `SASL` or `the AMQP open`.
        stage: String,
        /// The deadline, in seconds.
        seconds: u64,
    },
    /// The peer's certificate is past its end.
    CertificateExpired {
        /// Subject of the certificate.
        subject: String,
        /// The certificate's end.
        on: Timestamp,
    },
    /// The peer's certificate is not valid yet.
    CertificateNotYetValid {
        /// Subject of the certificate.
        subject: String,
        /// The certificate's beginning.
        from: Timestamp,
    },
    /// A CA that this router does not trust issued the peer's certificate.
    UnknownAuthority {
        /// Subject of the certificate.
        subject: String,
        /// Name of the issuer.
        issuer: String,
    },
    /// The peer's certificate is trusted, but it is for other hosts.
    HostNotInCertificate {
        /// The host that the connector dialed.
        host: String,
        /// The names in the certificate.
        names: Vec<String>,
    },
    /// The peer refused our certificate.
    OurCertificateRefused {
        /// The peer's TLS alert, under the name that the standard gives it: `unknown_ca`.
        alert: String,
    },
    /// TLS failed otherwise.
    TlsFailed {
        /// The error of TLS.
        error: String,
    },
    /// The peer accepts none of our SASL mechanisms, or refused the one that we used.
    NotAuthenticated {
        /// The peer's mechanisms, or its outcome.
        error: String,
    },
    /// The other end answered, but not in AMQP.
    NotAmqp {
        /// The other end's answer, in words.
        got: String,
    },
    /// The listener at the other end has another role.
    RoleMismatch {
        /// Role of our connector.
        ours: String,
        /// Role of the peer's listener, or the peer's words when it refused.
        theirs: String,
    },
    /// The peer still counts our former connection as open, and refuses this one.
    PeerHoldsFormer,
    /// The peer's release has streams of another form: messages pass, services do not.
    PeerTooOld {
        /// The peer's release.
        version: String,
    },
    /// The peer speaks a newer version of the inter-router protocol.
    NewerProtocol {
        /// The peer's version.
        theirs: u32,
        /// The newest version that this router speaks.
        ours: u32,
    },
    /// The peer has the same router id as this router.
    OwnRouterId {
        /// The id.
        id: String,
    },
    /// The peer closed the connection and gave a condition.
    ClosedByPeer {
        /// AMQP error condition.
        condition: String,
        /// The peer's description; may be empty.
        description: String,
    },
    /// The connection ended without an AMQP close.
    Lost {
        /// The cause: a reset, the idle time-out, or the end of the socket's data.
        error: String,
    },
    /// The connection stands, but no HELLO came for longer than its maximum age.
    HelloLost,
    /// Anything else.
    Other {
        /// The cause, in words.
        error: String,
    },
}

impl Reason {
    /// Returns true if the same attempt succeeds only after someone has changed something, such as
    /// a certificate, a name or a role.
    pub fn needs_action(&self) -> bool {
        match self {
            Self::NeverTried
            | Self::Connecting
            | Self::AwaitingControlLinks
            | Self::AwaitingHello { .. }
            | Self::StandsBy
            | Self::Refused { .. }
            | Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::PeerHoldsFormer
            | Self::ClosedByPeer { .. }
            | Self::Lost { .. }
            | Self::HelloLost
            | Self::Other { .. } => false,
            Self::Stopped
            | Self::NameNotResolved { .. }
            | Self::CertificateExpired { .. }
            | Self::CertificateNotYetValid { .. }
            | Self::UnknownAuthority { .. }
            | Self::HostNotInCertificate { .. }
            | Self::OurCertificateRefused { .. }
            | Self::TlsFailed { .. }
            | Self::NotAuthenticated { .. }
            | Self::NotAmqp { .. }
            | Self::RoleMismatch { .. }
            | Self::PeerTooOld { .. }
            | Self::NewerProtocol { .. }
            | Self::OwnRouterId { .. } => true,
        }
    }
}

impl From<&HandshakeError> for Reason {
    fn from(error: &HandshakeError) -> Self {
        match error.clone() {
            HandshakeError::Expired { subject, not_after } => {
                Self::CertificateExpired { subject, on: not_after }
            }
            HandshakeError::NotYetValid { subject, not_before } => {
                Self::CertificateNotYetValid { subject, from: not_before }
            }
            HandshakeError::UnknownIssuer { subject, issuer } => {
                Self::UnknownAuthority { subject, issuer }
            }
            HandshakeError::WrongName { host, names } => Self::HostNotInCertificate { host, names },
            HandshakeError::Refused { alert, .. } => {
                Self::OurCertificateRefused { alert: alert.to_owned() }
            }
            HandshakeError::TimedOut(limit) => {
                Self::TimedOut { stage: "TLS".to_owned(), seconds: limit.as_secs() }
            }
            HandshakeError::Closed | HandshakeError::Io(_) => {
                Self::Lost { error: error.to_string() }
            }
            HandshakeError::WrongPurpose { .. }
            | HandshakeError::BadCertificate { .. }
            | HandshakeError::NoCertificate
            | HandshakeError::Alert { .. }
            | HandshakeError::NoTls
            | HandshakeError::NoCommonVersion { .. }
            | HandshakeError::NoCommonCipher { .. }
            | HandshakeError::Protocol(_)
            | HandshakeError::BadHost(_)
            | HandshakeError::Profile { .. } => Self::TlsFailed { error: error.to_string() },
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverTried => write!(f, "not tried yet"),
            Self::Stopped => write!(f, "stopped by the operator"),
            Self::Connecting => write!(f, "connecting"),
            Self::AwaitingControlLinks => {
                write!(f, "connected, waiting for both control links to attach")
            }
            Self::AwaitingHello { heard: false } => {
                write!(f, "connected, no HELLO from the peer yet")
            }
            Self::AwaitingHello { heard: true } => {
                write!(f, "connected, the peer's HELLO is heard but it has not confirmed ours yet")
            }
            Self::StandsBy => write!(f, "stands by: another uplink is in use"),
            Self::NameNotResolved { host, error } => {
                write!(
                    f,
                    "host name {host} does not resolve ({error}): check the link's host and this \
                     site's DNS"
                )
            }
            Self::Refused { address } => {
                write!(
                    f,
                    "connection refused by {address}: nothing listens there; check that the other \
                     site runs and the port \
                     is right"
                )
            }
            Self::Unreachable { address, error } => {
                write!(
                    f,
                    "{address} cannot be reached ({error}): check the route and the firewalls \
                     between the sites"
                )
            }
            Self::TimedOut { stage, seconds } => {
                write!(
                    f,
                    "no answer within {seconds} s while waiting for {stage}: check that the port \
                     is a router's and that \
                     nothing between drops traffic"
                )
            }
            Self::CertificateExpired { subject, on } => {
                write!(
                    f,
                    "the peer's certificate ({subject}) expired on {}: it must be renewed at the \
                     other site; if it is not \
                     expired there, check this host's clock",
                    UtcMinute(*on)
                )
            }
            Self::CertificateNotYetValid { subject, from } => {
                write!(
                    f,
                    "the peer's certificate ({subject}) is valid only from {}: check the clocks of \
                     both hosts",
                    UtcMinute(*from)
                )
            }
            Self::UnknownAuthority { subject, issuer } => {
                write!(
                    f,
                    "the peer's certificate ({subject}) was issued by {issuer}, which is not the \
                     CA of this link: make \
                     the link again with a token of that site, or check caCertFile"
                )
            }
            Self::HostNotInCertificate { host, names } if names.is_empty() => {
                write!(
                    f,
                    "the peer's certificate holds no host name, so not {host}: issue one that does"
                )
            }
            Self::HostNotInCertificate { host, names } => {
                write!(
                    f,
                    "host {host} is not in the peer's certificate, which is for {}: use one of \
                     those, or issue a \
                     certificate for {host}",
                    names.join(", ")
                )
            }
            Self::OurCertificateRefused { alert } => {
                write!(
                    f,
                    "the peer refused our certificate with TLS alert {alert}: {}",
                    alert_advice(alert)
                )
            }
            Self::TlsFailed { error } => write!(f, "TLS failed: {error}"),
            Self::NotAuthenticated { error } => {
                write!(
                    f,
                    "SASL authentication failed ({error}): compare saslMechanisms here and at the \
                     peer's listener, and \
                     whether it demands TLS"
                )
            }
            Self::NotAmqp { got } => {
                write!(
                    f,
                    "the peer speaks no AMQP ({got}): check that host and port are those of a \
                     router's \
                     inter-router listener"
                )
            }
            Self::RoleMismatch { ours, theirs } => {
                write!(
                    f,
                    "roles do not match: our connector is {ours}, the peer's listener is not \
                     ({theirs}); connect to its {ours} listener"
                )
            }
            Self::PeerHoldsFormer => {
                write!(
                    f,
                    "the peer still holds the former connection of this link and refuses a new one \
                     until that times \
                     out"
                )
            }
            Self::PeerTooOld { version } => {
                write!(
                    f,
                    "the peer runs release {version}: it is linked, but services cannot be \
                     carried; upgrade it to 3.0 or later"
                )
            }
            Self::NewerProtocol { theirs, ours } => {
                write!(
                    f,
                    "the peer speaks version {theirs} of the inter-router protocol, this router at \
                     most {ours}: upgrade \
                     this router"
                )
            }
            Self::OwnRouterId { id } => {
                write!(
                    f,
                    "the peer has our own router id, {id}: ids must be unique in a network; check \
                     that the link does not \
                     lead back here"
                )
            }
            Self::ClosedByPeer { condition, description } if description.is_empty() => {
                write!(f, "the peer closed the connection with {condition}")
            }
            Self::ClosedByPeer { condition, description } => {
                write!(f, "the peer closed the connection with {condition}: {description}")
            }
            Self::Lost { error } => write!(f, "connection lost: {error}"),
            Self::HelloLost => write!(
                f,
                "the connection stands but the peer's HELLO stays away: it is overloaded, or \
                 stopped"
            ),
            Self::Other { error } => write!(f, "{error}"),
        }
    }
}

/// Returns the advice for a TLS alert about our certificate.
fn alert_advice(alert: &str) -> &'static str {
    match alert {
        "unknown_ca" => {
            "it does not trust the CA that issued it; make the link again with a token of that site"
        }
        "certificate_expired" => {
            "it has expired, or the clock of the peer's host is wrong; renew it"
        }
        "certificate_revoked" => "it was revoked; make the link again with a new token",
        "certificate_required" => "it wants one and none was sent; set certFile and privateKeyFile",
        "bad_certificate"
        | "unsupported_certificate"
        | "certificate_unknown"
        | "access_denied"
        | "decrypt_error" => "see the log of the peer for what it dislikes",
        _ => {
            "the two sites agree on no TLS version, cipher or certificate; see the log of the peer"
        }
    }
}

/// An instant to the minute, in UTC, for an operator may sit in another time zone than the router.
struct UtcMinute(Timestamp);

impl fmt::Display for UtcMinute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} UTC", self.0.strftime("%Y-%m-%d %H:%M"))
    }
}

/// Writes a reason together with its words, so that a client needs no table of kinds.
pub(super) fn with_text<S: Serializer>(reason: &Option<Reason>, to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct WithText<'a> {
        #[serde(flatten)]
        reason: &'a Reason,
        text: String,
    }
    reason.as_ref().map(|reason| WithText { reason, text: reason.to_string() }).serialize(to)
}

/// Reads a reason. A kind of another release becomes [`Reason::Other`] with the words of that
/// reason.
pub(super) fn from_text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Reason>, D::Error> {
    let Some(value) = Option::<serde_json::Value>::deserialize(from)? else { return Ok(None) };
    let text = value
        .get("text")
        .or_else(|| value.get("kind"))
        .and_then(|text| text.as_str())
        .unwrap_or("unknown")
        .to_owned();
    Ok(Some(serde_json::from_value(value).unwrap_or(Reason::Other { error: text })))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_failed_handshake_is_a_reason_in_the_same_words() {
        let subject = "CN=north".to_owned();
        for (error, words) in [
            (
                HandshakeError::Expired {
                    subject: subject.clone(),
                    not_after: Timestamp::UNIX_EPOCH,
                },
                "(CN=north) expired on 1970-01-01 00:00 UTC",
            ),
            (
                HandshakeError::UnknownIssuer { subject, issuer: "CN=x".to_owned() },
                "issued by CN=x, which is not the CA",
            ),
            (
                HandshakeError::WrongName { host: "a".to_owned(), names: vec!["b".to_owned()] },
                "which is for b:",
            ),
            (HandshakeError::Refused { alert: "unknown_ca", meaning: "" }, "does not trust the CA"),
            (
                HandshakeError::TimedOut(Duration::from_secs(10)),
                "within 10 s while waiting for TLS",
            ),
            (HandshakeError::NoTls, "TLS failed: the peer speaks no TLS"),
            (HandshakeError::Closed, "connection lost: the peer closed"),
        ] {
            let reason = Reason::from(&error).to_string();
            assert!(reason.contains(words), "{words}: {reason}");
        }
    }
}
