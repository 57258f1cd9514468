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
//! In `Early` a fixed number of bytes may go ahead of the answer, or none. In `Open` the far side's
//! window says how many may go. Both pause while the service has no memory left.
//!
//! Only the socket's clean end makes the stream `Complete`. Anything else aborts it.

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
    /// The answer has not come. `left` bytes may still go ahead of it.
    Early { left: usize },
    /// The window says how many bytes may go.
    Open,
    /// The stream has ended.
    Ended,
}

/// The direction from a socket into a stream.
#[derive(Debug)]
pub(super) struct Upload {
    stream: ProducerEnd,
    window: SendWindow,
    state: State,
    /// The end of a pause for lack of memory.
    paused: Option<Instant>,
}

impl Upload {
    /// Creates a direction whose answer is here.
    pub(super) fn open(stream: ProducerEnd) -> Self {
        Self { stream, window: SendWindow::default(), state: State::Open, paused: None }
    }

    /// Creates a direction that may carry `left` bytes before the answer comes.
    pub(super) fn early(stream: ProducerEnd, left: usize) -> Self {
        Self { state: State::Early { left }, ..Self::open(stream) }
    }

    /// Returns the stream.
    pub(super) const fn stream(&self) -> &ProducerEnd {
        &self.stream
    }

    /// Returns the end of the pause, if the direction pauses.
    pub(super) const fn paused(&self) -> Option<Instant> {
        self.paused
    }

    pub(super) fn is_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Returns how many bytes the far side lets the direction carry.
    fn room(&self) -> usize {
        match self.state {
            State::Early { left } => left,
            State::Open => usize::try_from(self.window.room()).unwrap_or(usize::MAX),
            State::Ended => 0,
        }
    }

    /// Returns whether the direction takes bytes from the socket.
    pub(super) fn wants_read(&self) -> bool {
        self.room() > 0 && self.paused.is_none() && self.stream.waiting() < AHEAD
    }

    /// Takes the far side's word, and returns how many bytes may be read, if any. Call it before
    /// each read.
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

    /// Lets the window of the far side, whose answer has come, say how much may be read.
    pub(super) fn on_answer(&mut self) {
        if let State::Early { .. } = self.state {
            self.state = State::Open;
        }
    }

    /// Pauses, for the service has no memory left.
    pub(super) fn pause(&mut self, now: Instant) {
        self.paused.get_or_insert(now + BREATH);
    }

    /// Ends the pause, if there is one.
    pub(super) const fn resume(&mut self) {
        self.paused = None;
    }

    /// Hands bytes that were read to the stream.
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
