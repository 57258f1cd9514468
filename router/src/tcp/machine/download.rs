//! The direction from the far side to the socket.
//!
//! ```text
//!     listener                connector
//!        |                        |
//!        v                        v
//!   +---------+   answer     +---------+  far side    +-----------+
//!   | Awaited |------------->| Flowing |------------->| Abandoned |
//!   +---------+              +---------+  aborts      +-----------+
//!                                 | clean end               | all is written,
//!                                 | taken                   | or the socket blocks
//!                                 v                         v
//!                            +----------+          the connection ends
//!                            | Draining |
//!                            +----------+
//!                                 | all is written:
//!                                 | close_notify
//!                                 v
//!                            +---------+
//!                            | Closing |
//!                            +---------+
//!                                 | flushed:
//!                                 | FIN
//!                                 v
//!                            +------+     from any but Awaited:    +--------+
//!                            | Done |     the socket fails ------->| Broken |
//!                            +------+                              +--------+
//! ```
//!
//! The far side hears `Accepted` on the way to `Done`, and of a failure on the way to `Broken`.
//! `Abandoned` writes what came before the abort, but waits for no socket: a peer that reads no
//! more would hold it for ever.

use bytes::Buf;
use skupper_proto::amqp::performative::DeliveryState;
use skupper_proto::stream::Receipt;
use skupper_proto::time::Instant;

use super::observer::Observer;
use crate::core::{Chunks, ConsumerEnd, Ended};
use crate::tcp::reply::Answer;

/// Bytes to take from the stream for one write.
const WRITE: usize = 256 * 1024;

/// Bytes to take for one write of a TLS session while memory is short: one record. Sealed bytes
/// count as written, so only small pieces show that a slow reader reads.
const SEALED: usize = 16 * 1024;

/// The direction from a stream into a socket.
#[derive(Debug)]
pub(super) enum Download {
    /// The stream has not come. The machine waits for it until a time.
    Awaited { answer: Answer, until: Instant },
    /// The stream is here.
    Here(Flow),
    /// The stream has ended, and the socket has everything.
    Done,
    /// The socket takes no more. `reset`: the peer had not ended its half before, so an end that
    /// the socket shows from here on means nothing.
    Broken { reset: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The stream goes on.
    Flowing,
    /// The clean end has been taken, and bytes before it may be left.
    Draining,
    /// All bytes are written, and the end is not.
    Closing,
    /// The far side has given the stream up.
    Abandoned,
}

/// A stream on its way into a socket.
#[derive(Debug)]
pub(super) struct Flow {
    stream: ConsumerEnd,
    /// The bytes that were taken from the stream and not written.
    writing: Chunks,
    receipt: Receipt,
    stage: Stage,
}

impl Download {
    /// Creates a direction whose stream is here.
    pub(super) fn here(stream: ConsumerEnd) -> Self {
        Self::Here(Flow {
            stream,
            writing: Chunks::default(),
            receipt: Receipt::default(),
            stage: Stage::Flowing,
        })
    }

    /// Returns the stream, while it is here.
    pub(super) const fn stream(&self) -> Option<&ConsumerEnd> {
        match self {
            Self::Here(flow) => Some(&flow.stream),
            Self::Awaited { .. } | Self::Done | Self::Broken { .. } => None,
        }
    }

    /// Returns the stream on its way into the socket, while it is here.
    pub(super) const fn flow(&mut self) -> Option<&mut Flow> {
        match self {
            Self::Here(flow) => Some(flow),
            Self::Awaited { .. } | Self::Done | Self::Broken { .. } => None,
        }
    }

    /// Returns how many bytes were taken from the stream and not written.
    pub(super) fn unwritten(&self) -> usize {
        match self {
            Self::Here(flow) => flow.writing.octets(),
            Self::Awaited { .. } | Self::Done | Self::Broken { .. } => 0,
        }
    }

    pub(super) const fn is_awaited(&self) -> bool {
        matches!(self, Self::Awaited { .. })
    }

    /// Returns whether the direction has nothing left to do.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self, Self::Done | Self::Broken { .. })
    }

    /// Returns whether the socket may be written to, if only by the TLS session.
    pub(super) const fn may_write(&self) -> bool {
        !matches!(self, Self::Broken { .. })
    }

    /// Returns whether an end that the socket shows means nothing.
    pub(super) const fn is_reset(&self) -> bool {
        matches!(self, Self::Broken { reset: true })
    }

    /// Accepts the stream: everything and its end are written.
    pub(super) fn on_closed(&mut self) {
        if let Self::Here(flow) = std::mem::replace(self, Self::Done) {
            flow.stream.conclude(DeliveryState::Accepted);
        }
    }

    /// Gives the stream up, for the socket takes no more.
    pub(super) fn on_write_failed(&mut self, reset: bool) {
        if let Self::Here(flow) = std::mem::replace(self, Self::Broken { reset }) {
            flow.stream.conclude(DeliveryState::failed());
        }
    }

    /// Gives the stream up, if it has not ended, for the connection is over.
    pub(super) fn close(&self) {
        match self {
            // Before the upload's abort: a C router closes its socket at an outcome, and takes an
            // abort for an end.
            Self::Here(flow) => flow.stream.set_outcome(Some(DeliveryState::failed()), true),
            Self::Awaited { answer, .. } => answer.close(),
            Self::Done | Self::Broken { .. } => {}
        }
    }
}

impl Flow {
    /// Notes whether the far side has given the stream up. Call it before each write.
    pub(super) fn look(&mut self) {
        if self.stage == Stage::Flowing && self.stream.ended() == Some(Ended::Aborted) {
            self.stage = Stage::Abandoned;
        }
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.stage == Stage::Abandoned
    }

    /// Returns whether bytes wait for the socket.
    pub(super) const fn wants_write(&self) -> bool {
        !self.writing.is_empty()
    }

    /// Returns the bytes to write, and whether only the end follows. `sealed` says whether a TLS
    /// session will take all of them while memory is short.
    pub(super) fn outgoing(
        &mut self,
        sealed: impl FnOnce() -> bool,
        now: impl FnOnce() -> Instant,
    ) -> Option<(&Chunks, bool)> {
        if self.writing.is_empty() && matches!(self.stage, Stage::Flowing | Stage::Abandoned) {
            let (_, ended) = if sealed() {
                self.stream.take_within(SEALED, &mut self.writing)
            } else {
                self.stream.take(WRITE, &mut self.writing)
            };
            match ended {
                Some(Ended::Complete) => self.stage = Stage::Draining,
                Some(Ended::Aborted) => self.stage = Stage::Abandoned,
                None => {}
            }
            if self.writing.is_empty() {
                self.receipt.starve(now);
            }
        }
        let last = self.stage == Stage::Draining;
        self.wants_write().then_some((&self.writing, last))
    }

    /// Drops bytes that the socket has taken, and acknowledges them when that is due.
    pub(super) fn on_written(
        &mut self,
        written: usize,
        observer: &mut impl Observer,
        now: impl FnOnce() -> Instant,
    ) {
        let mut left = written;
        while let Some(front) = self.writing.front_mut().filter(|_| left > 0) {
            let part = left.min(front.len());
            observer.on_download(front.get(..part).unwrap_or_default());
            front.advance(part);
            left -= part;
            if front.is_empty() {
                self.writing.pop_front();
            }
        }
        let waiting = || (self.writing.octets() + self.stream.waiting()) as u64;
        if let Some(total) = self.receipt.written(written as u64, waiting, now) {
            self.stream.acknowledge(total, self.receipt.allowance());
        }
    }

    /// Begins to close if the last byte before a clean end is written. Returns whether it began:
    /// true once.
    pub(super) fn begin_close(&mut self) -> bool {
        let begins = self.stage == Stage::Draining && self.writing.is_empty();
        if begins {
            self.stage = Stage::Closing;
        }
        begins
    }

    pub(super) fn is_closing(&self) -> bool {
        self.stage == Stage::Closing
    }
}
