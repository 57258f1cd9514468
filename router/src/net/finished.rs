//! How a connection ended, and why.

use std::io;
use std::sync::Arc;

use skupper_proto::amqp::performative::Error;
use skupper_proto::engine::{Closed, Initiator};

use crate::tls::SessionError;

/// How a connection ended.
#[derive(Clone, Debug)]
pub(super) struct Finished {
    /// The peer's open had arrived.
    pub(super) opened: bool,
    /// It had been a trunk, or part of one.
    pub(super) served: bool,
    /// Why it ended.
    pub(super) why: Why,
    /// The peer refused a link without which it is of no use.
    pub(super) refused_link: Option<Error>,
}

impl Finished {
    /// The peer closed it with an error. A router of ours that stops gives its neighbors none.
    pub(super) const fn is_refused(&self) -> bool {
        matches!(self.why, Why::Closed(Closed { initiator: Initiator::Remote, error: Some(_) }))
    }
}

/// Why a connection ended.
#[derive(Clone, Debug)]
pub(super) enum Why {
    /// AMQP close, by either end.
    Closed(Closed),
    /// The transport ended without one.
    Eof,
    /// The transport failed.
    Transport(String),
    /// It had not opened yet, and its place went to another.
    GaveWay,
    /// The peer's TLS alert, which with TLS 1.3 comes after the handshake.
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
            Self::GaveWay => f.write_str(super::listener::GIVES_WAY),
            Self::Tls(error) => error.fmt(f),
        }
    }
}

/// What a failure of a transport means, in words.
pub(super) fn io_text(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionReset => "connection reset by the peer".to_owned(),
        io::ErrorKind::TimedOut => {
            "connection timed out: the peer acknowledges nothing any more".to_owned()
        }
        _ => error.to_string(),
    }
}
