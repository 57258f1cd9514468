//! The errors of a request to a management node.

use std::fmt;
use std::time::Duration;

use skupper_proto::amqp::performative::{DeliveryState, Error};
use skupper_proto::management::{Problem, Status};

use super::url::UrlError;
use crate::socket::DialError;
use crate::tls::HandshakeError;

/// The step that the client waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Connect, and open the AMQP connection.
    Opening,
    /// Attach the links to the management node at this address.
    Attaching(String),
    /// Send a request to this address.
    Sending(String),
    /// Wait for the response.
    Waiting,
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opening => f.write_str("Opening connection"),
            Self::Attaching(address) => write!(f, "Opening links to {address}"),
            Self::Sending(address) => {
                write!(f, "Sending to {address}: nobody receives there (is the router known?)")
            }
            Self::Waiting => f.write_str("Waiting for response"),
        }
    }
}

/// The reason why a request has no result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL is malformed.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// An option is wrong. The text names it.
    #[error("{0}")]
    Option(String),
    /// A file for TLS cannot be used.
    #[error("{0}")]
    Files(String),
    /// The host cannot be reached.
    #[error("Connection {url} disconnected: {source}")]
    Dial {
        /// The peer's URL.
        url: String,
        /// The cause.
        source: DialError,
    },
    /// The TLS handshake failed, or an alert ended the session.
    #[error("Connection {url} disconnected: SSL Failure: {}", tls(.source))]
    Tls {
        /// The peer's URL.
        url: String,
        /// The cause.
        source: HandshakeError,
    },
    /// The peer closed the connection, or the connection was lost.
    #[error("Connection {url} disconnected: {why}")]
    Disconnected {
        /// The peer's URL.
        url: String,
        /// The cause, in words.
        why: String,
    },
    /// A step took too long.
    #[error("Connection {url} timed out: {doing}")]
    TimedOut {
        /// The peer's URL.
        url: String,
        /// The step.
        doing: Doing,
        /// Its time limit.
        limit: Duration,
    },
    /// The peer detached a link.
    #[error("{link} closed{}", reason(.error))]
    Detached {
        /// The link's name.
        link: String,
        /// The peer's reason.
        error: Option<Error>,
    },
    /// The peer did not accept the request.
    #[error("the request to {address} was {}", outcome(.state))]
    NotAccepted {
        /// The address of the management node.
        address: String,
        /// The outcome of the request.
        state: DeliveryState,
    },
    /// The node refused the request.
    #[error("{description}")]
    Status {
        /// The status of the refusal.
        status: Status,
        /// The node's description.
        description: String,
    },
    /// The node carried the request out, but with an unexpected status.
    #[error("Response was {0}({1}) but expected {2}({3}): {description}", .status.0, .status.text(),
        .expected.0, .expected.text())]
    Unexpected {
        /// The status of the response.
        status: Status,
        /// The expected status.
        expected: Status,
        /// The node's description.
        description: String,
    },
    /// The response cannot be read.
    #[error("the response cannot be read: {0}")]
    Response(#[from] Problem),
    /// A query has too many results.
    #[error("the query has more than {0} results: use --limit, or ask for one type")]
    TooMany(usize),
    /// The response to a query is no table.
    #[error("the response to a query has no attributeNames or no results")]
    NoTable,
}

/// Describes an error of TLS. Problems of the peer's certificate begin in the words that other
/// tools use.
fn tls(error: &HandshakeError) -> String {
    match error {
        HandshakeError::UnknownIssuer { subject, issuer } => format!(
            "certificate verify failed: the peer's certificate {subject} was issued by {issuer}, \
             which is not among the authorities known \
             here (--ssl-trustfile)"
        ),
        HandshakeError::WrongName { .. } => {
            format!(
                "certificate verify failed: {error} (--ssl-disable-peer-name-verify takes it \
                 nevertheless)"
            )
        }
        HandshakeError::Expired { .. }
        | HandshakeError::NotYetValid { .. }
        | HandshakeError::WrongPurpose { .. }
        | HandshakeError::BadCertificate { .. } => format!("certificate verify failed: {error}"),
        _ => error.to_string(),
    }
}

fn reason(error: &Option<Error>) -> String {
    error.as_ref().map(|error| format!(" due to: {error}")).unwrap_or_default()
}

fn outcome(state: &DeliveryState) -> String {
    match state {
        DeliveryState::Released => "released: nobody receives there".to_owned(),
        DeliveryState::Modified(_) => "given back: it may have been lost on the way".to_owned(),
        DeliveryState::Rejected(rejected) => {
            format!(
                "rejected{}",
                rejected.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default()
            )
        }
        other => format!("answered with {other:?}"),
    }
}
