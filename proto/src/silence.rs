//! Silence of a peer: only time counts in which this process ran.
//!
//! A process may be stopped, or its whole machine be paused, moved or starved. When it runs again
//! its timers are late, and its peers' messages lie unread. Or its peers were stopped with it, and
//! could say nothing.

use core::time::Duration;

use crate::time::Instant;

/// A machine that is called later than this after its deadline did not run meanwhile. Tasks of a
/// loaded machine are late by some tenths of a second. In this time it reads, when it runs again,
/// what has come.
const LATE: Duration = Duration::from_millis(500);

/// A time in which a machine did not run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause {
    /// The machine would have been called then: it may have run until here.
    due: Instant,
    end: Instant,
}

impl Pause {
    /// Returns the pause, if there was one, before a machine that wanted to be called at `due` and
    /// no later was called `now`.
    pub(crate) fn between(due: Option<Instant>, now: Instant) -> Option<Self> {
        due.filter(|due| now.since(*due) > LATE).map(|due| Self { due, end: now })
    }

    /// Returns a deadline that had not passed before, later by the pause, and not before the
    /// machine can read what has come.
    pub(crate) fn postpone(self, deadline: Instant) -> Instant {
        if deadline < self.due {
            return deadline;
        }
        (deadline + self.end.since(self.due)).max(self.end + LATE)
    }

    /// Returns the start from which a silence counts that was counted from `since` and may last for
    /// `age`. It lasts one age from here at the longest.
    pub(crate) fn leave_out(self, since: Instant, age: Duration) -> Instant {
        let deadline = since + age;
        (since + self.postpone(deadline).since(deadline)).min(self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn a_little_late_is_no_pause() {
        assert!(Pause::between(None, at(9000)).is_none());
        for now in [500, 1000, 1500] {
            assert!(Pause::between(Some(at(1000)), at(now)).is_none());
        }
        assert!(Pause::between(Some(at(1000)), at(1501)).is_some());
    }

    #[test]
    fn a_silence_goes_on_where_it_stood() {
        let pause = Pause::between(Some(at(1000)), at(11_000)).unwrap();
        let age = Duration::from_secs(3);
        // Heard half a second before, and nearly for too long not heard, and not for too long
        // already.
        let cases = [(500, 10_500), (0, 10_000), (1000, 11_000)];
        for (since, left) in cases {
            assert_eq!(pause.leave_out(at(since), age), at(left));
        }
        let pause = Pause::between(Some(at(3000)), at(13_000)).unwrap();
        assert_eq!(pause.leave_out(at(0), age), at(10_500), "what came meanwhile is read first");
        assert_eq!(pause.leave_out(at(3000), age), at(13_000), "one age is the longest");
        let pause = Pause::between(Some(at(3001)), at(13_000)).unwrap();
        assert_eq!(pause.leave_out(at(0), age), at(0), "it was over before");
    }
}
