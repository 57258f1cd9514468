//! The direction from the socket to the far side.
//!
//! ```text
//!        listener                        connector
//!           |                                |
//!           v         answer                 v
//!       +-------+   has come             +------+
//!       | Early |----------------------->| Open |
//!       +-------+                        +------+
//!           |                                |
//!           |  the socket's clean end        |
//!           |  the far side refuses          |
//!           |  the connection closes         |
//!           |          +-------+             |
//!           +--------->| Ended |<------------+
//!                      +-------+
//! ```
//!
//! In `Early` a number of bytes may go ahead of the answer, which may be none. In `Open` the far
//! side's window says how many may go. In either the direction pauses while the service has no
//! memory left.
//!
//! The stream ends `Complete` only by the socket's clean end; by anything else it is `Aborted`.

use std::time::Duration;

use bytes::Bytes;
use skupper_proto::amqp::performative::DeliveryState;
use skupper_proto::stream::SendWindow;
use skupper_proto::time::Instant;

use crate::core::{AHEAD, Ended, ProducerEnd};

/// How long a service that has no memory left waits before it looks again.
pub(super) const BREATH: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The answer has not come. So many bytes may still go ahead of it.
    Early { left: usize },
    /// The window says how many bytes may go.
    Open,
    /// The stream has been told its end.
    Ended,
}

/// Bytes from a socket into a stream.
#[derive(Debug)]
pub(super) struct Upload {
    stream: ProducerEnd,
    window: SendWindow,
    state: State,
    /// Until when nothing is read, for lack of memory.
    paused: Option<Instant>,
}

impl Upload {
    /// A direction whose answer has come.
    pub(super) fn open(stream: ProducerEnd) -> Self {
        Self { stream, window: SendWindow::default(), state: State::Open, paused: None }
    }

    /// A direction of which `left` bytes may go before the answer comes.
    pub(super) fn early(stream: ProducerEnd, left: usize) -> Self {
        Self { state: State::Early { left }, ..Self::open(stream) }
    }

    /// The stream.
    pub(super) const fn stream(&self) -> &ProducerEnd {
        &self.stream
    }

    /// Until when the direction pauses, if it does.
    pub(super) const fn paused(&self) -> Option<Instant> {
        self.paused
    }

    pub(super) fn is_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Bytes that may be read, as far as the far side is concerned.
    fn room(&self) -> usize {
        match self.state {
            State::Early { left } => left,
            State::Open => usize::try_from(self.window.room()).unwrap_or(usize::MAX),
            State::Ended => 0,
        }
    }

    /// Whether the socket's next bytes are wanted.
    pub(super) fn wants_read(&self) -> bool {
        self.room() > 0 && self.paused.is_none() && self.stream.waiting() < AHEAD
    }

    /// Hears what the far side has said, and returns how many bytes may be read, if any. To be
    /// called before each read.
    ///
    /// # Errors
    /// Returns the outcome by which the far side has refused the stream, or failed.
    pub(super) fn hear(&mut self) -> Result<Option<usize>, DeliveryState> {
        let progress = self.stream.progress();
        match progress.outcome {
            None => self.window.acknowledge(progress.received, progress.allowance),
            Some(DeliveryState::Accepted) => self.window.lift(),
            Some(outcome) => return Err(outcome),
        }
        let room = self.room();
        Ok((room > 0 && progress.queued < AHEAD).then_some(room))
    }

    /// The answer has come.
    pub(super) fn on_answer(&mut self) {
        if let State::Early { .. } = self.state {
            self.state = State::Open;
        }
    }

    /// The service has no memory left.
    pub(super) fn pause(&mut self, now: Instant) {
        self.paused.get_or_insert(now + BREATH);
    }

    /// The service has memory, or is to look whether it has.
    pub(super) const fn resume(&mut self) {
        self.paused = None;
    }

    /// Bytes were read.
    pub(super) fn on_read(&mut self, bytes: Bytes) {
        if let State::Early { left } = &mut self.state {
            *left = left.saturating_sub(bytes.len());
        }
        self.window.sent(bytes.len() as u64);
        self.stream.push(bytes);
    }

    /// Ends the stream, unless it has ended.
    pub(super) fn end(&mut self, ended: Ended) {
        if self.state != State::Ended {
            self.state = State::Ended;
            self.stream.end(ended);
        }
    }
}
