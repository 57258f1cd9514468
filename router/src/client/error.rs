//! Why a management node gave no answer, or which.

use std::fmt;
use std::time::Duration;

use skupper_proto::amqp::performative::{DeliveryState, Error};
use skupper_proto::management::{Problem, Status};

use super::url::UrlError;
use crate::socket::DialError;
use crate::tls::HandshakeError;

/// What was waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doing {
    /// The connection is made and opened.
    Opening,
    /// The links to a management node, whose address this is, are attached.
    Attaching(String),
    /// A request is sent to this address.
    Sending(String),
    /// A response comes.
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

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL means nothing.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// An option means nothing; the text says which.
    #[error("{0}")]
    Option(String),
    /// The files for TLS cannot be used.
    #[error("{0}")]
    Files(String),
    /// The host cannot be reached.
    #[error("Connection {url} disconnected: {source}")]
    Dial {
        /// Where to.
        url: String,
        /// Why.
        source: DialError,
    },
    /// No TLS session came about, or it was ended by an alert.
    #[error("Connection {url} disconnected: SSL Failure: {}", tls(.source))]
    Tls {
        /// Where to.
        url: String,
        /// Why.
        source: HandshakeError,
    },
    /// The peer closed the connection, or it was lost.
    #[error("Connection {url} disconnected: {why}")]
    Disconnected {
        /// Where to.
        url: String,
        /// Why.
        why: String,
    },
    /// Nothing came in time.
    #[error("Connection {url} timed out: {doing}")]
    TimedOut {
        /// Where to.
        url: String,
        /// What was waited for.
        doing: Doing,
        /// For how long.
        limit: Duration,
    },
    /// The peer detached a link.
    #[error("{link} closed{}", reason(.error))]
    Detached {
        /// Which link.
        link: String,
        /// Why.
        error: Option<Error>,
    },
    /// The request was not taken.
    #[error("the request to {address} was {}", outcome(.state))]
    NotAccepted {
        /// Where to.
        address: String,
        /// What became of it.
        state: DeliveryState,
    },
    /// The answer is no.
    #[error("{description}")]
    Status {
        /// The kind of no.
        status: Status,
        /// What the node says.
        description: String,
    },
    /// The answer is yes, but not the yes to this question.
    #[error("Response was {0}({1}) but expected {2}({3}): {description}", .status.0, .status.text(), .expected.0, .expected.text())]
    Unexpected {
        /// The answer's status.
        status: Status,
        /// The one that was due.
        expected: Status,
        /// What the node says.
        description: String,
    },
    /// The answer cannot be read.
    #[error("the response cannot be read: {0}")]
    Response(#[from] Problem),
    /// The answer to a query goes on and on.
    #[error("the query has more than {0} results: use --limit, or ask for one type")]
    TooMany(usize),
    /// The answer to a query is no table.
    #[error("the response to a query has no attributeNames or no results")]
    NoTable,
}

/// What is wrong with the peer's certificate is first said in the words that tools of TLS use.
fn tls(error: &HandshakeError) -> String {
    match error {
        HandshakeError::UnknownIssuer { subject, issuer } => format!(
            "certificate verify failed: the peer's certificate {subject} was issued by {issuer}, which is not among the authorities known \
             here (--ssl-trustfile)"
        ),
        HandshakeError::WrongName { .. } => {
            format!(
                "certificate verify failed: {error} (--ssl-disable-peer-name-verify takes it nevertheless)"
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
