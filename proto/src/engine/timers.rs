//! The times by which a connection must hear, speak or end (parts 2.4.5 and 2.4.3).

use core::time::Duration;

use super::phase::Phase;
use crate::silence::Pause;
use crate::time::Instant;

/// How long the peer's close is awaited after ours.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The shortest time between two empty frames, however short the idle-time-out that the peer
/// announces. A number in an open must not cost this end more work.
const MIN_HEARTBEAT: Duration = Duration::from_millis(50);

/// The timers of a connection.
#[derive(Debug)]
pub(super) struct Timers {
    /// The end of the time for the handshake; once this end has sent close, for the peer's close.
    deadline: Option<Instant>,
    /// The longest time that this end keeps silent. `None` if the peer set no limit.
    heartbeat: Option<Duration>,
    /// When the peer was heard last. Time in which this end did not run is left out.
    last_received: Instant,
    last_sent: Instant,
}

/// A timer that has run out.
pub(super) enum Expired {
    /// The time for the handshake or for the peer's close.
    Deadline,
    /// The peer was silent for the configured idle timeout.
    Silence,
    /// This end was silent for as long as it may be.
    Heartbeat,
}

impl Timers {
    /// Starts the timers of a transport that was just established. A handshake timeout of zero sets
    /// no limit.
    pub(super) fn new(handshake_timeout: Duration, now: Instant) -> Self {
        Self {
            deadline: (!handshake_timeout.is_zero()).then(|| now + handshake_timeout),
            heartbeat: None,
            last_received: now,
            last_sent: now,
        }
    }

    /// Notes that the peer was heard.
    pub(super) const fn received(&mut self, now: Instant) {
        self.last_received = now;
    }

    /// Notes that the peer hears from this end.
    pub(super) const fn sent(&mut self, now: Instant) {
        self.last_sent = now;
    }

    /// Returns when the peer was heard last.
    pub(super) const fn last_received(&self) -> Instant {
        self.last_received
    }

    /// Takes over the peer's idle-time-out from its open, in milliseconds. The handshake is over.
    pub(super) fn opened(&mut self, idle_time_out: Option<u32>) {
        self.deadline = None;
        let idle =
            idle_time_out.filter(|idle| *idle > 0).map(|idle| Duration::from_millis(idle.into()));
        self.heartbeat = idle.map(|idle| (idle / 2).max(MIN_HEARTBEAT));
    }

    /// Begins to await the peer's close.
    pub(super) fn closing(&mut self, now: Instant) {
        self.deadline = Some(now + CLOSE_TIMEOUT);
    }

    /// Ends the timer of the handshake or of the close.
    pub(super) const fn stop(&mut self) {
        self.deadline = None;
    }

    /// Returns when the next timer runs out. An idle timeout of zero sets no limit.
    pub(super) fn next(&self, phase: Phase, idle_timeout: Duration) -> Option<Instant> {
        if phase.is_closed() {
            return None;
        }
        let silence = (!idle_timeout.is_zero() && phase.keeps_alive())
            .then(|| self.last_received + idle_timeout);
        let heartbeat = self
            .heartbeat
            .filter(|_| phase.keeps_alive())
            .map(|interval| self.last_sent + interval);
        [self.deadline, silence, heartbeat].into_iter().flatten().min()
    }

    /// Returns the timer that has run out, the most serious first. A timer that ran out long ago
    /// shows that this process did not run: what the peer said meanwhile may come yet, so its time
    /// is extended.
    pub(super) fn expired(
        &mut self,
        phase: Phase,
        idle_timeout: Duration,
        now: Instant,
    ) -> Option<Expired> {
        if let Some(pause) = Pause::between(self.next(phase, idle_timeout), now) {
            self.deadline = self.deadline.map(|deadline| pause.postpone(deadline));
            self.last_received = pause.leave_out(self.last_received, idle_timeout);
        }
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.deadline = None;
            return Some(Expired::Deadline);
        }
        if !phase.keeps_alive() {
            return None;
        }
        if !idle_timeout.is_zero() && self.last_received + idle_timeout <= now {
            return Some(Expired::Silence);
        }
        self.heartbeat
            .is_some_and(|interval| self.last_sent + interval <= now)
            .then_some(Expired::Heartbeat)
    }
}
