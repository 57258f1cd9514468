//! The end of a connection, and its reason.

use std::io;
use std::sync::Arc;

use skupper_proto::amqp::performative::Error;
use skupper_proto::engine::{Closed, Initiator};

use crate::tls::SessionError;

/// The log text for a connection that had to leave its place to another.
pub(super) const GIVES_WAY: &str = "too many connections are opening: it gives way to a newer one";

/// The end of a connection.
#[derive(Clone, Debug)]
pub(super) struct Finished {
    /// The peer's open had arrived.
    pub(super) opened: bool,
    /// The connection had been of use.
    pub(super) served: bool,
    /// The reason.
    pub(super) why: Why,
    /// The reason for which the peer refused a link without which the connection is of no use.
    pub(super) refused_link: Option<Error>,
}

impl Finished {
    /// Returns whether the peer closed the connection with an error. A router of ours that stops
    /// gives its neighbors none.
    pub(super) const fn is_refused(&self) -> bool {
        matches!(self.why, Why::Closed(Closed { initiator: Initiator::Remote, error: Some(_) }))
    }
}

/// The reason for which a connection ended.
#[derive(Clone, Debug)]
pub(super) enum Why {
    /// An AMQP close by either end.
    Closed(Closed),
    /// The peer ended the transport without an AMQP close.
    Eof,
    /// The transport failed.
    Transport(String),
    /// Its place among those that are opening went to another connection.
    GaveWay,
    /// A TLS alert of the peer, which with TLS 1.3 comes after the handshake.
    Tls(Arc<SessionError>),
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed(Closed { initiator: Initiator::Remote, error: Some(error) }) => {
                write!(f, "closed by the peer: {error}")
            }
            Self::Closed(Closed { initiator: Initiator::Local, error: Some(error) }) => {
                error.fmt(f)
            }
            Self::Closed(Closed { initiator: Initiator::Remote, error: None }) => {
                f.write_str("closed by the peer, without an error")
            }
            Self::Closed(_) => f.write_str("closed"),
            Self::Eof => {
                f.write_str("connection aborted: the peer closed the transport without AMQP close")
            }
            Self::Transport(error) => f.write_str(error),
            Self::GaveWay => f.write_str(GIVES_WAY),
            Self::Tls(error) => error.fmt(f),
        }
    }
}

/// Returns the text for a failure of a transport.
pub(super) fn io_text(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionReset => "connection reset by the peer".to_owned(),
        io::ErrorKind::TimedOut => {
            "connection timed out: the peer acknowledges nothing any more".to_owned()
        }
        _ => error.to_string(),
    }
}
