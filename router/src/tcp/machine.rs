//! A service connection as a machine: a socket, the stream it feeds, the stream it drains, and
//! every way in which they end.
//!
//! ```text
//!               +---------------------------------+
//!   socket ---->|  upload    ----> ----> ---->    |----> stream to the far side
//!               |                                 |
//!   socket <----|  <---- <---- <----    download  |<---- stream from the far side
//!               +---------------------------------+
//! ```
//!
//! Each direction has its own states, see [`upload`] and [`download`]. The connection has these:
//!
//! ```text
//!   +-------+    both directions have come to their clean ends        +--------+
//!   | Whole |-------------------------------------------------------->| Closed |
//!   +-------+                                                         +--------+
//!      |  |       the far side did not answer, gave up its stream,      ^    ^
//!      |  +-------------------------------------------------------------+    |
//!      |          or released ours; the socket cannot be read                |
//!      |                                                                     |
//!      | the socket cannot be written, or the far side refuses:              |
//!      | the other direction may still bring what its peer said before       |
//!      v                                                                     |
//!   +-----------+   the other direction ends or fails, or LAST_WORDS pass    |
//!   | LastWords |------------------------------------------------------------+
//!   +-----------+
//! ```
//!
//! A dismissal closes it from either state, and so does the end of its task. Only the clean end of
//! both directions lets the socket close cleanly: after all else the peer sees a reset, and the far
//! side hears of a failure. The first failure is why the connection ended.
//!
//! The machine performs no I/O and reads no clock. A task drives it:
//!
//! * The task calls [`Machine::poll_answer`] and [`Machine::turn`] until nothing moves. A break
//!   tells why the connection is over: the task calls [`Machine::close`], and drops the socket.
//! * Then the task waits: for a readable socket if [`Machine::wants_read`], for a writable one if
//!   [`Machine::wants_write`], for a word of either stream, and for [`Machine::deadline`], when it
//!   calls [`Machine::on_deadline`].

mod download;
mod end;
mod observer;
mod upload;
mod wire;

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::Waker;

use skupper_proto::amqp::condition;
use skupper_proto::amqp::performative::{DeliveryState, Error, Rejected};
use skupper_proto::stream;
use skupper_proto::time::Instant;

use self::download::Download;
pub(super) use self::end::End;
use self::end::{Course, PATIENCE};
pub(super) use self::observer::Observer;
use self::upload::Upload;
pub(super) use self::wire::Wire;
use super::reply::Answer;
use crate::core::{ConsumerEnd, Ended, ProducerEnd, ServiceAccount};
use crate::tls::{self, Flushed, SessionError};

/// The result of a step: whether anything moved, or why the connection is over.
pub(super) type Step<T = bool> = ControlFlow<End, T>;

/// One service connection without its socket. See the [module](self).
#[derive(Debug)]
pub(super) struct Machine<O = ()> {
    upload: Upload,
    download: Download,
    course: Course,
    /// The memory that is held for the service.
    memory: Arc<ServiceAccount>,
    observer: O,
}

/// The origin of the stream that is written to the socket.
pub(super) enum Source {
    /// The stream is the answer to come: the listener's side. `early` bytes may be read before.
    Awaited { answer: Answer, early: usize },
    /// The stream is here: the connector's side.
    Here(ConsumerEnd),
}

/// A machine that is dropped on its way, by a panic or with its runtime, must not look like a clean
/// end.
impl<O> Drop for Machine<O> {
    fn drop(&mut self) {
        if !self.is_closed() {
            self.close();
        }
    }
}

impl<O> Machine<O> {
    /// Returns whether [`Machine::close`] has been called.
    pub(super) const fn is_closed(&self) -> bool {
        matches!(self.course, Course::Closed)
    }

    /// Tells both streams that the connection is over. A direction that has not come to its clean
    /// end fails. A machine that is dropped before does so by itself.
    pub(super) fn close(&mut self) {
        self.course = Course::Closed;
        self.download.close();
        self.upload.end(Ended::Aborted);
    }
}

impl<O: Observer> Machine<O> {
    /// Creates a connection that begins now, and reads the socket into `upload`.
    pub(super) fn new(
        upload: ProducerEnd,
        source: Source,
        memory: Arc<ServiceAccount>,
        observer: O,
        now: Instant,
    ) -> Self {
        let (upload, download) = match source {
            Source::Awaited { answer, early } => {
                let until = now + PATIENCE;
                (Upload::early(upload, early), Download::Awaited { answer, until })
            }
            Source::Here(download) => {
                download.charge_to(&memory.unwritten);
                (Upload::open(upload), Download::here(download))
            }
        };
        Self { upload, download, course: Course::Whole, memory, observer }
    }

    /// Returns the stream that the socket is read into.
    pub(super) const fn upload(&self) -> &ProducerEnd {
        self.upload.stream()
    }

    /// Returns the stream that is written to the socket, while it is here.
    pub(super) const fn download(&self) -> Option<&ConsumerEnd> {
        self.download.stream()
    }

    /// Returns how many bytes were taken from the stream and not handed to the socket.
    pub(super) fn unwritten(&self) -> usize {
        self.download.unwritten()
    }

    /// Takes the answer, if it is awaited and has come, and returns it once. An answer that comes
    /// later wakes `waker`.
    pub(super) fn poll_answer(&mut self, waker: &Waker) -> Step<Option<&ConsumerEnd>> {
        let Download::Awaited { answer, .. } = &self.download else {
            return Step::Continue(None);
        };
        let Some(stream) = answer.poll(waker) else { return Step::Continue(None) };
        if let Err(outcome) = check(&stream) {
            stream.conclude(outcome.clone());
            return self.ends(End::Refused(outcome));
        }
        stream.charge_to(&self.memory.unwritten);
        self.upload.on_answer();
        self.download = Download::here(stream);
        Step::Continue(self.download.stream())
    }

    /// Writes once and reads once. Returns whether anything moved: then there may be more.
    pub(super) fn turn(&mut self, wire: &mut impl Wire, now: &impl Fn() -> Instant) -> Step {
        let written = self.write(wire, now)?;
        let read = self.read(wire, now)?;
        let ended = self.upload.is_ended() && self.download.is_over();
        if ended && !(wire.wants_write() && self.download.may_write()) {
            return self.ends(End::Complete);
        }
        Step::Continue(written || read)
    }

    /// Returns whether the machine takes bytes from the socket.
    pub(super) fn wants_read(&self) -> bool {
        self.upload.wants_read()
    }

    /// Returns whether the machine, or the TLS session, has bytes for the socket.
    pub(super) fn wants_write(&self, wire: &impl Wire) -> bool {
        match &self.download {
            Download::Here(flow) => flow.wants_write() || wire.wants_write(),
            Download::Awaited { .. } | Download::Done => wire.wants_write(),
            Download::Broken { .. } => false,
        }
    }

    /// Returns when to call [`Machine::on_deadline`], if at all.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let mut deadline = self.upload.paused();
        let mut add = |until: Instant| {
            deadline = Some(deadline.map_or(until, |earliest| earliest.min(until)));
        };
        if let Download::Awaited { until, .. } = &self.download {
            add(*until);
        }
        if let Course::LastWords(last_words) = &self.course {
            add(last_words.until);
        }
        deadline
    }

    /// Ends a pause, the wait for an answer, or the last words, if they were to last until `now`.
    pub(super) fn on_deadline(&mut self, now: Instant) -> Step<()> {
        if self.upload.paused().is_some_and(|until| until <= now) {
            self.upload.resume();
        }
        let over = match (&self.download, &self.course) {
            (Download::Awaited { until, .. }, _) => *until <= now,
            (_, Course::LastWords(last_words)) => last_words.until <= now,
            _ => false,
        };
        if over { self.ends(End::Unanswered) } else { Step::Continue(()) }
    }

    /// Breaks off: the connection is over, for its first failure or else by `end`.
    fn ends<T>(&mut self, end: End) -> Step<T> {
        Step::Break(self.course.why(end))
    }

    /// Moves bytes from the stream into the socket.
    fn write(&mut self, wire: &mut impl Wire, now: &impl Fn() -> Instant) -> Step {
        if let Some(flow) = self.download.flow() {
            flow.look();
        }
        match self.write_some(wire, now) {
            Ok(false) if self.download.flow().is_some_and(|flow| flow.is_abandoned()) => {
                self.ends(End::GivenUp)
            }
            Ok(moved) => Step::Continue(moved),
            Err(error) => self.on_write_failed(error, now()),
        }
    }

    fn write_some(
        &mut self,
        wire: &mut impl Wire,
        now: &impl Fn() -> Instant,
    ) -> Result<bool, SessionError> {
        if !self.download.may_write() || wire.wants_write() && wire.flush()? == Flushed::Blocked {
            return Ok(false);
        }
        let Some(flow) = self.download.flow() else { return Ok(false) };
        let sealed = || wire.is_tls() && self.memory.unwritten.account().is_short();
        let mut moved = false;
        if let Some((bytes, last)) = flow.outgoing(sealed, now) {
            let Some(written) = wire.send(bytes, last, now)? else { return Ok(false) };
            flow.on_written(written, &mut self.observer, now);
            moved = true;
        }
        if flow.begin_close() {
            wire.send_close_notify();
        }
        // Shut down with close_notify unsent, the socket would refuse it, and TLS take the stream
        // for cut.
        if !flow.is_closing() || wire.flush()? == Flushed::Blocked {
            return Ok(moved);
        }
        self.download.on_closed();
        // Where the peer has ended before, the close that follows says the same.
        if !(self.upload.is_ended() && matches!(self.course, Course::Whole)) {
            wire.finish()?;
        }
        Ok(true)
    }

    /// Gives the download up. The socket may still hold bytes that its peer sent before it left.
    fn on_write_failed(&mut self, error: SessionError, now: Instant) -> Step {
        if self.download.is_awaited() {
            return self.ends(End::Socket(error));
        }
        // A peer that had ended its half before the reset did end it: then the kernel says EPIPE.
        let ended =
            matches!(&error, SessionError::Io(error) if error.kind() == io::ErrorKind::BrokenPipe);
        self.download.on_write_failed(!ended);
        Step::Continue(self.course.fail(End::Socket(error), now))
    }

    /// Moves bytes from the socket into the stream.
    fn read(&mut self, wire: &mut impl Wire, now: &impl Fn() -> Instant) -> Step {
        let limit = match self.upload.hear() {
            Ok(Some(limit)) => limit,
            Ok(None) => return Step::Continue(false),
            Err(outcome) => return self.on_refused(outcome, now),
        };
        if !self.memory.read.has_room() {
            self.upload.pause(now());
            return Step::Continue(false);
        }
        self.upload.resume();
        let (bytes, received) = match wire.receive(limit, now) {
            Ok(read) => read,
            Err(error) => return self.ends(End::Socket(error)),
        };
        let moved = !bytes.is_empty();
        if moved {
            self.observer.on_upload(&bytes);
            self.upload.on_read(bytes);
        }
        match received.end {
            // Without TLS the end of the socket is how a peer ends; with TLS it must have said so.
            Some(tls::End::Eof) if wire.is_tls() || self.download.is_reset() => self.ends(End::Cut),
            Some(_) => {
                self.upload.end(Ended::Complete);
                Step::Continue(true)
            }
            None => Step::Continue(moved || !received.blocked),
        }
    }

    /// Gives the upload up: the far side has refused it, or has failed.
    fn on_refused(&mut self, outcome: DeliveryState, now: &impl Fn() -> Instant) -> Step {
        // A released stream has reached no far side, which could have said anything.
        if self.download.is_awaited() || outcome == DeliveryState::Released {
            return self.ends(End::Refused(outcome));
        }
        // The far side may have spoken before it went away.
        self.upload.end(Ended::Aborted);
        Step::Continue(self.course.fail(End::Refused(outcome), now()))
    }
}

/// Returns the outcome to reject a delivery with that is no stream.
fn check(delivery: &ConsumerEnd) -> Result<(), DeliveryState> {
    stream::read_head(&delivery.message().sections).map(drop).map_err(|error| {
        DeliveryState::Rejected(Rejected {
            error: Some(Error::new(condition::NOT_IMPLEMENTED, error.to_string())),
        })
    })
}

#[cfg(test)]
mod tests;
