//! Waits for events. Every wait has a deadline, and a failure names the missing event.

use std::time::{Duration, Instant};

/// Returns the time limit for an event that is certain to come. It is generous, for a machine that
/// runs many tests at once.
///
/// `SKROUTERD_TEST_PATIENCE` sets it in seconds.
pub fn patience() -> Duration {
    static SECONDS: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    Duration::from_secs(*SECONDS.get_or_init(|| number("SKROUTERD_TEST_PATIENCE").unwrap_or(30)))
}

/// Returns a number from the environment, if the variable is set.
pub fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {text}")))
}

/// Waits until `check` returns a value, and calls it every few milliseconds. The events happen in
/// other processes, which cannot wake this one.
#[track_caller]
pub fn until<T>(what: &str, limit: Duration, check: impl FnMut() -> Option<T>) -> T {
    attempt(limit, check).unwrap_or_else(|| panic!("{what}: not within {limit:?}"))
}

/// Waits like [`until`], but returns `None` at the deadline.
pub fn attempt<T>(limit: Duration, mut check: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    let mut pace = Duration::from_millis(2);
    loop {
        if let Some(value) = check() {
            return Some(value);
        }
        if Instant::now() >= end {
            return None;
        }
        pause(pace);
        pace = (pace * 2).min(Duration::from_millis(30));
    }
}

/// Asserts that `holds` stays true for `time`.
#[track_caller]
pub fn throughout(what: &str, time: Duration, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while start.elapsed() < time {
        assert!(holds(), "{what}: no longer true after {:?}", start.elapsed());
        pause(Duration::from_millis(20));
    }
}

/// Waits until `value` has not changed for `time`, and returns it.
#[track_caller]
pub fn quiet<T: PartialEq>(what: &str, time: Duration, mut value: impl FnMut() -> T) -> T {
    let end = Instant::now() + patience();
    let mut last = value();
    let mut since = Instant::now();
    while since.elapsed() < time {
        assert!(Instant::now() < end, "{what}: still changing after {:?}", patience());
        pause(Duration::from_millis(20));
        let now = value();
        if now != last {
            last = now;
            since = Instant::now();
        }
    }
    last
}

/// Pauses between two checks, or plays a slow peer. Never a substitute for an event.
pub fn pause(time: Duration) {
    let end = Instant::now() + time;
    while let Some(rest) = end.checked_duration_since(Instant::now()) {
        if rest.is_zero() {
            break;
        }
        std::thread::park_timeout(rest);
    }
}

/// Runs an action at the end of a scope, also when the test fails there. It ends the threads that
/// the scope waits for.
pub fn finally(action: impl FnMut()) -> impl Drop {
    Finally(action)
}

struct Finally<F: FnMut()>(F);

impl<F: FnMut()> Drop for Finally<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
