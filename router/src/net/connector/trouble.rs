//! The reason for which a site link is not active.

use std::sync::Arc;

use skupper_proto::amqp::condition;
use skupper_proto::amqp::performative::Error;
use skupper_proto::engine::{Closed, Initiator};

use crate::net::finished::{Finished, Why};
use crate::socket::DialError;
use crate::tls::{HandshakeError, SessionError};

/// The reason for which a site link is not active.
#[derive(Clone, Debug)]
pub enum LinkTrouble {
    /// No TCP connection.
    Dial(Arc<DialError>),
    /// The TLS handshake failed, or ended afterwards with the peer's refusal.
    Tls(HandshakeError),
    /// The peer speaks no AMQP. The text names its error.
    NoAmqp(String),
    /// SASL failed.
    Sasl(String),
    /// The peer refuses links between routers: its listener has another role.
    Role(String),
    /// The peer has this router's id.
    OwnId,
    /// The peer still counts the former connection and refuses the new one.
    PeerHoldsFormer,
    /// The peer closed the connection with an error.
    ClosedByPeer(Error),
    /// The connection ended.
    Lost(String),
    /// A deadline passed. The text names the missing event.
    TimedOut(&'static str),
}

/// Returns the trouble of a link whose connection ended.
pub(super) fn trouble_of(finished: &Finished) -> LinkTrouble {
    if let Some(error) = &finished.refused_link {
        return LinkTrouble::Role(error.to_string());
    }
    match &finished.why {
        Why::Closed(Closed { initiator: Initiator::Remote, error: Some(error) }) => {
            LinkTrouble::ClosedByPeer(error.clone())
        }
        Why::Closed(Closed { initiator: Initiator::Local, error: Some(error) })
            if !finished.opened =>
        {
            match error.condition.as_str() {
                condition::UNAUTHORIZED_ACCESS => LinkTrouble::Sasl(error.to_string()),
                condition::NOT_ALLOWED => LinkTrouble::TimedOut("the AMQP open"),
                _ => LinkTrouble::NoAmqp(error.description.clone().unwrap_or_default()),
            }
        }
        Why::Tls(error) => match &**error {
            SessionError::Alert(error) => LinkTrouble::Tls(error.clone()),
            other => LinkTrouble::Lost(other.to_string()),
        },
        why => LinkTrouble::Lost(why.to_string()),
    }
}

/// In the words of the log.
impl std::fmt::Display for LinkTrouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dial(error) => error.fmt(f),
            Self::Tls(error) => f.write_str(&error.log_text()),
            Self::NoAmqp(text) => write!(f, "the peer speaks no AMQP: {text}"),
            Self::Sasl(text) | Self::Lost(text) => f.write_str(text),
            Self::Role(text) => {
                write!(f, "the peer takes no links between routers on this port: {text}")
            }
            Self::OwnId => f.write_str("the peer has this router's own id"),
            Self::PeerHoldsFormer => f.write_str(
                "the peer still holds the former connection; trying again as a new connector",
            ),
            Self::ClosedByPeer(error) => error.fmt(f),
            Self::TimedOut(what) => write!(f, "timed out waiting for {what}"),
        }
    }
}
