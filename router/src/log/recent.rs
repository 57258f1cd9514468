//! The last errors, for those who ask the running router instead of its log.

use std::collections::VecDeque;

use jiff::Timestamp;

use super::{Level, Module};
use crate::lock::{Mutex, Rank};

/// Lines that are kept of the log. What C routers keep.
const LINES: usize = 1000;

/// A line of the log.
#[derive(Clone, Debug)]
pub struct Line {
    /// When it was logged.
    pub time: Timestamp,
    /// Who spoke.
    pub module: Module,
    /// How grave it is.
    pub level: Level,
    /// The source file that spoke, empty where it is not known.
    pub file: &'static str,
    /// The line of that file.
    pub line: u32,
    /// What was said.
    pub text: String,
}

/// The last lines that were taken out of the queue, oldest first.
#[derive(Debug, Default)]
pub(super) struct Lines(VecDeque<Line>);

impl Lines {
    /// Keeps the last of these.
    pub(super) fn keep(&mut self, lines: &[Line]) {
        let new = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default();
        let room = LINES - new.len();
        self.0.drain(..self.0.len().saturating_sub(room));
        self.0.extend(new.iter().cloned());
    }

    /// The last of what is kept and of what waits behind it.
    pub(super) fn last<'a>(
        &'a self,
        waiting: impl DoubleEndedIterator<Item = &'a Line>,
        most: usize,
    ) -> Vec<Line> {
        let mut last: Vec<Line> =
            waiting.rev().chain(self.0.iter().rev()).take(most.min(LINES)).cloned().collect();
        last.reverse();
        last
    }
}

/// Errors that are kept.
const KEPT: usize = 32;

static RECENT: Mutex<Ring> = Mutex::ranked(Rank::Log, Ring(VecDeque::new()));

/// An error that was logged, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recent {
    /// When it was logged last.
    pub at: Timestamp,
    /// How often, since it is kept.
    pub count: u64,
    /// Who spoke.
    pub module: Module,
    /// Error or critical.
    pub level: Level,
    /// The text of the line.
    pub text: String,
}

/// Oldest first.
#[derive(Debug)]
struct Ring(VecDeque<Recent>);

impl Ring {
    fn keep(&mut self, at: Timestamp, module: Module, level: Level, text: &str) {
        let known = self.0.iter().position(|recent| {
            recent.text == text && recent.module == module && recent.level == level
        });
        let recent = match known.and_then(|index| self.0.remove(index)) {
            Some(known) => Recent { at, count: known.count.saturating_add(1), ..known },
            None => Recent { at, count: 1, module, level, text: text.to_owned() },
        };
        self.0.push_back(recent);
        if self.0.len() > KEPT {
            self.0.pop_front();
        }
    }
}

pub(super) fn keep(at: Timestamp, module: Module, level: Level, text: &str) {
    if level >= Level::Error {
        RECENT.lock().keep(at, module, level, text);
    }
}

pub(super) fn newest_first() -> Vec<Recent> {
    RECENT.lock().0.iter().rev().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_and_counts_repeats() {
        let mut ring = Ring(VecDeque::new());
        for second in 0..100 {
            let at = Timestamp::new(second, 0).unwrap();
            ring.keep(at, Module::Server, Level::Error, "again");
            ring.keep(at, Module::Server, Level::Error, &format!("error {second}"));
        }
        assert_eq!(ring.0.len(), KEPT);
        let again = ring.0.iter().find(|recent| recent.text == "again").unwrap();
        assert_eq!((again.count, again.at.as_second()), (100, 99));
        assert_eq!(ring.0.back().unwrap().text, "error 99");
    }
}
