//! The ends of a service connection: why it is over, and how its first failure is kept.

use std::fmt;
use std::time::Duration;

use skupper_proto::amqp::performative::{DeliveryState, Rejected};
use skupper_proto::time::Instant;

use crate::tls::SessionError;

/// How long a client waits for the server stream. A far router takes less for the server's name,
/// its addresses and its TLS.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// How long a direction may go on after the other has failed. A router ends both streams at the
/// same time, so a peer's last words are on their way already.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(2);

/// Why a service connection ended. It displays as the text for the log.
#[derive(Debug)]
pub(in crate::tcp) enum End {
    /// Both streams came to their clean ends.
    Complete,
    /// The socket, or its TLS session, failed.
    Socket(SessionError),
    /// The socket ended without the close_notify of its TLS session.
    Cut,
    /// The far side refused or failed: the outcome that it gave.
    Refused(DeliveryState),
    /// The far side gave up the stream that it sent.
    GivenUp,
    /// The far side did not answer within [`PATIENCE`].
    Unanswered,
    /// This router ends it: the reason.
    Stopped(&'static str),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => f.write_str("complete"),
            Self::Socket(error) => error.fmt(f),
            Self::Cut => f.write_str("the TLS session was cut: no close_notify before the end"),
            Self::Refused(outcome) => write_outcome(outcome, f),
            Self::GivenUp => f.write_str("the other side gave the stream up"),
            Self::Unanswered => {
                write!(f, "no answer from the service within {} s", PATIENCE.as_secs())
            }
            Self::Stopped(why) => f.write_str(why),
        }
    }
}

fn write_outcome(outcome: &DeliveryState, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match outcome {
        DeliveryState::Modified(_) => {
            f.write_str("delivery-failed: destination unreachable, or lost")
        }
        DeliveryState::Released => f.write_str("released: no route to the service"),
        DeliveryState::Rejected(Rejected { error: Some(error) }) => write!(f, "rejected: {error}"),
        other => write!(f, "{other:?}"),
    }
}

/// The state of the connection as a whole. See the diagram of the [machine](super).
#[derive(Debug)]
pub(super) enum Course {
    /// No direction has failed.
    Whole,
    /// One direction has failed. The other goes on.
    LastWords(Box<LastWords>),
    /// Both streams know that the connection is over.
    Closed,
}

/// The first failure of a connection, and how long the other direction may go on.
#[derive(Debug)]
pub(super) struct LastWords {
    pub(super) why: End,
    pub(super) until: Instant,
}

impl Course {
    /// Notes that a direction has failed. Returns whether it is the first failure.
    pub(super) fn fail(&mut self, why: End, now: Instant) -> bool {
        let first = matches!(self, Self::Whole);
        if first {
            *self = Self::LastWords(Box::new(LastWords { why, until: now + LAST_WORDS }));
        }
        first
    }

    /// Returns why the connection ended, when it ends by `end`: the first failure, if any.
    pub(super) fn why(&mut self, end: End) -> End {
        match std::mem::replace(self, Self::Whole) {
            Self::LastWords(last_words) => last_words.why,
            course @ (Self::Whole | Self::Closed) => {
                *self = course;
                end
            }
        }
    }
}
