//! The pace of repeated messages: the first goes at once, the next ever more rarely.

use core::time::Duration;

use crate::time::Instant;

/// How long an answer is awaited before its request is repeated. It doubles with each repetition,
/// up to eight times this.
pub(crate) const RETRY: Duration = Duration::from_secs(1);

/// The least time between two requests to, or answers for, the same router that say something new.
pub(crate) const SPACING: Duration = Duration::from_millis(50);

/// Lets the first of a series through at once. While the series goes on, the next waits, each time
/// twice as long.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    least: Duration,
    most: Duration,
    delay: Duration,
    /// When the next may pass.
    open_at: Instant,
}

impl Gate {
    pub(crate) const fn new(least: Duration, most: Duration) -> Self {
        Self { least, most, delay: Duration::ZERO, open_at: Instant::ZERO }
    }

    /// Returns when the next may pass; in the past when at once.
    pub(crate) const fn open_at(&self) -> Instant {
        self.open_at
    }

    pub(crate) fn is_open(&self, now: Instant) -> bool {
        now >= self.open_at
    }

    /// Notes that one passed. The series has ended when the gate stood open as long as it was shut.
    pub(crate) fn pass(&mut self, now: Instant) {
        let ended = self.delay.is_zero() || now.since(self.open_at) >= self.delay;
        self.delay = if ended { self.least } else { self.delay.saturating_mul(2).min(self.most) };
        self.open_at = now + self.delay;
    }
}

/// A request to one router: at most one outstanding, repeated while it is unanswered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    sent: Option<Instant>,
    delay: Duration,
    outstanding: bool,
}

impl Request {
    /// Returns when it may be sent, or sent again.
    pub(crate) fn due(&self) -> Instant {
        self.sent.map_or(Instant::ZERO, |sent| sent + self.delay)
    }

    pub(crate) fn sent(&mut self, now: Instant) {
        let again = self.outstanding && self.sent.is_some();
        self.delay = if again { self.delay.saturating_mul(2).min(RETRY * 8) } else { RETRY };
        self.sent = Some(now);
        self.outstanding = true;
    }

    /// Notes an answer. A request whose answer brought nothing new is not repeated at once, or two
    /// routers could keep each other busy.
    pub(crate) const fn answered(&mut self, progress: bool) {
        self.outstanding = false;
        self.delay = if progress { SPACING } else { RETRY };
    }

    pub(crate) const fn is_outstanding(&self) -> bool {
        self.outstanding
    }

    /// Forgets what was sent: it went nowhere, or to a former life of the router.
    pub(crate) const fn reset(&mut self) {
        self.sent = None;
        self.outstanding = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_passes_ever_more_rarely() {
        let mut gate = Gate::new(Duration::from_millis(50), Duration::from_secs(1));
        let mut passes = Vec::new();
        for ms in 0..5000 {
            let now = Instant::from_millis(10_000 + ms);
            if gate.is_open(now) {
                gate.pass(now);
                passes.push(ms);
            }
        }
        assert_eq!(passes, [0, 50, 150, 350, 750, 1550, 2550, 3550, 4550]);
    }

    #[test]
    fn after_a_pause_the_first_is_let_through_and_the_next_waits_the_least() {
        let mut gate = Gate::new(Duration::from_millis(50), Duration::from_secs(1));
        gate.pass(Instant::from_millis(0));
        gate.pass(Instant::from_millis(60));
        assert_eq!(gate.open_at(), Instant::from_millis(160));
        gate.pass(Instant::from_millis(260));
        assert_eq!(gate.open_at(), Instant::from_millis(310));
    }

    #[test]
    fn a_request_is_repeated_until_it_is_answered() {
        let mut request = Request::default();
        assert_eq!(request.due(), Instant::ZERO);
        let mut now = Instant::from_millis(1000);
        let mut waits = Vec::new();
        for _ in 0..6 {
            request.sent(now);
            waits.push((request.due() - now).as_secs());
            now = request.due();
        }
        assert_eq!(waits, [1, 2, 4, 8, 8, 8]);
        request.answered(true);
        request.sent(now);
        assert_eq!(request.due() - now, RETRY);
        request.answered(false);
        assert_eq!(request.due() - now, RETRY);
        request.reset();
        assert_eq!(request.due(), Instant::ZERO);
    }
}
