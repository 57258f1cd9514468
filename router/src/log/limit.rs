//! Repeats: what a peer or an outage can cause a thousand times a second is one line an interval.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::level::Level;
use super::line::Line;
use super::module::Module;
use super::text;
use crate::lock::{Mutex, MutexGuard, Rank};

/// How long a limiter counts repeats before it gives their sum.
const INTERVAL: Duration = Duration::from_secs(30);
/// Most keys that a call site tells apart at a time. The others share an entry, so that a flood
/// from many addresses takes bounded memory.
const KEYS_MAX: usize = 256;
/// The key of the shared entry.
const OTHERS: u64 = 0;

/// The hash of keys. It is keyed itself, for peers may choose what is hashed.
static HASH: LazyLock<RandomState> = LazyLock::new(RandomState::new);
/// The limiters that hold entries, each once. A thread takes this lock before a limiter's.
static ACTIVE: Mutex<Vec<&'static Limiter>> = Mutex::ranked(Rank::LogLimiters, Vec::new());

/// Holds back the repeats of one call site; see [`log_limited!`](crate::log_limited!).
#[derive(Debug)]
pub struct Limiter {
    interval: Duration,
    table: Mutex<Option<Table>>,
}

#[derive(Debug, Default)]
struct Table(HashMap<u64, Entry>);

#[derive(Debug)]
struct Entry {
    since: Instant,
    held_back: u64,
    module: Module,
    level: Level,
    file: &'static str,
    line: u32,
    /// The text of the interval's first line, for the sum.
    text: String,
}

impl Default for Limiter {
    fn default() -> Self {
        Self::new()
    }
}

impl Limiter {
    /// Makes a limiter with the usual interval of 30 s.
    pub const fn new() -> Self {
        Self::every(INTERVAL)
    }

    /// Makes a limiter that lets one line a key through in `interval`.
    pub const fn every(interval: Duration) -> Self {
        Self { interval, table: Mutex::ranked(Rank::LogLimiter, None) }
    }

    /// Notes an occurrence. Returns the lines to write for it: none, if a line with this key was
    /// written within the interval. The second value says that the limiter held nothing before:
    /// then the writer must be [woken](super::queue::Queue::wake).
    pub(super) fn note(
        &'static self,
        key: &(impl Hash + ?Sized),
        module: Module,
        level: Level,
        file: &'static str,
        line: u32,
        text: fmt::Arguments<'_>,
    ) -> (Vec<Line>, bool) {
        let now = Instant::now();
        // Zero is the shared entry.
        let key = HASH.hash_one(key).max(OTHERS + 1);
        let mut lines = Vec::new();
        let mut table = self.lock();
        let fresh = table.is_none();
        table.get_or_insert_default().note(key, now, self.interval, &mut lines, || Entry {
            since: now,
            held_back: 0,
            module,
            level,
            file,
            line,
            text: text::render(text),
        });
        drop(table);
        if fresh {
            ACTIVE.lock().push(self);
        }
        (lines, fresh)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Table>> {
        self.table.lock()
    }

    /// Adds the sums that are due to `lines`. Returns when the next are due.
    fn sweep(&self, now: Option<Instant>, lines: &mut Vec<Line>) -> Option<Instant> {
        let mut slot = self.lock();
        let next = slot.as_mut()?.sweep(now, self.interval, lines);
        if next.is_none() {
            *slot = None;
        }
        next
    }
}

impl Entry {
    fn first(&self) -> Line {
        self.line(self.text.clone())
    }

    fn sum(&self, now: Instant) -> Line {
        let seconds = now.saturating_duration_since(self.since).as_secs_f64().round().max(1.0);
        self.line(format!("{} (repeated {} times in {seconds} s)", self.text, self.held_back))
    }

    fn line(&self, text: String) -> Line {
        Line {
            time: Timestamp::now(),
            module: self.module,
            level: self.level,
            file: self.file,
            line: self.line,
            text,
        }
    }
}

impl Table {
    /// Notes an occurrence, and adds the lines to write to `lines`.
    fn note(
        &mut self,
        key: u64,
        now: Instant,
        interval: Duration,
        lines: &mut Vec<Line>,
        entry: impl FnOnce() -> Entry,
    ) {
        let key = if self.0.len() >= KEYS_MAX && !self.0.contains_key(&key) { OTHERS } else { key };
        if let Some(known) = self.0.get_mut(&key) {
            if now.saturating_duration_since(known.since) < interval {
                known.held_back += 1;
                return;
            }
            if known.held_back > 0 {
                lines.push(known.sum(now));
            }
        }
        let entry = entry();
        lines.push(entry.first());
        self.0.insert(key, entry);
    }

    /// Sums up the intervals that are over at `now`, or all if it is `None`. Returns the end of the
    /// next interval.
    fn sweep(
        &mut self,
        now: Option<Instant>,
        interval: Duration,
        lines: &mut Vec<Line>,
    ) -> Option<Instant> {
        self.0.retain(|_, entry| {
            let time = now.unwrap_or_else(Instant::now);
            if now.is_some() && time.saturating_duration_since(entry.since) < interval {
                return true;
            }
            let repeated = entry.held_back > 0;
            if repeated {
                lines.push(entry.sum(time));
                entry.held_back = 0;
                entry.since = time;
            }
            // While the repeats go on, the sums are their only lines.
            repeated
        });
        self.0.values().filter_map(|entry| entry.since.checked_add(interval)).min()
    }
}

/// Returns the sums that are due at `now`, or all sums if it is `None`, and when the next are due.
pub(super) fn sweep(now: Option<Instant>) -> (Vec<Line>, Option<Instant>) {
    let mut lines = Vec::new();
    let mut next: Option<Instant> = None;
    ACTIVE.lock().retain(|limiter| {
        let due = limiter.sweep(now, &mut lines);
        next = [next, due].into_iter().flatten().min();
        due.is_some()
    });
    (lines, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn entry(now: Instant) -> Entry {
        let (module, level) = (Module::Http2Decoder, Level::Warning);
        Entry { since: now, held_back: 0, module, level, file: "", line: 0, text: "bad".into() }
    }

    fn texts(lines: &[Line]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn the_first_is_written_and_the_rest_summed_up() {
        let (start, mut table, mut lines) = (Instant::now(), Table::default(), Vec::new());
        for n in 0..10 {
            let now = start + SECOND * n;
            table.note(7, now, 30 * SECOND, &mut lines, || entry(now));
        }
        assert_eq!(texts(&lines), ["bad"]);
        assert_eq!(
            table.sweep(Some(start + 29 * SECOND), 30 * SECOND, &mut lines),
            Some(start + 30 * SECOND)
        );
        assert_eq!(lines.len(), 1);
        let next = table.sweep(Some(start + 30 * SECOND), 30 * SECOND, &mut lines);
        assert_eq!(texts(&lines), ["bad", "bad (repeated 9 times in 30 s)"]);
        assert_eq!(next, Some(start + 60 * SECOND), "an interval after a sum holds back too");
        assert_eq!(table.sweep(next, 30 * SECOND, &mut lines), None, "a quiet interval ends it");
        table.note(7, start + 61 * SECOND, 30 * SECOND, &mut lines, || entry(start + 61 * SECOND));
        assert_eq!(texts(&lines[2..]), ["bad"]);
    }

    #[test]
    fn a_late_repeat_writes_the_sum_itself() {
        let (start, mut table, mut lines) = (Instant::now(), Table::default(), Vec::new());
        for seconds in [0, 1, 45] {
            let now = start + SECOND * seconds;
            table.note(7, now, 30 * SECOND, &mut lines, || entry(now));
        }
        assert_eq!(texts(&lines), ["bad", "bad (repeated 1 times in 45 s)", "bad"]);
    }

    #[test]
    fn many_keys_share_an_entry() {
        let (start, mut table, mut lines) = (Instant::now(), Table::default(), Vec::new());
        for key in 1..100_000 {
            table.note(key, start, 30 * SECOND, &mut lines, || entry(start));
        }
        assert_eq!(lines.len(), KEYS_MAX + 1);
        assert_eq!(table.0.len(), KEYS_MAX + 1);
        lines.clear();
        table.sweep(None, 30 * SECOND, &mut lines);
        assert_eq!(lines.len(), 1, "only the shared entry had repeats");
    }
}
