//! A line of the log, and the last lines.

use std::collections::VecDeque;

use jiff::Timestamp;

use super::level::Level;
use super::module::Module;

/// Lines that the log keeps, as many as C routers keep.
const LINES: usize = 1000;

/// A line of the log.
#[derive(Clone, Debug)]
pub struct Line {
    /// The time of the event.
    pub time: Timestamp,
    /// The part of the router that logged it.
    pub module: Module,
    /// Its gravity.
    pub level: Level,
    /// The source file, or an empty text.
    pub file: &'static str,
    /// The line of that file.
    pub line: u32,
    /// The text.
    pub text: String,
}

#[cfg(test)]
impl Line {
    /// Makes a line with `text`, for tests of the log.
    pub(super) fn sample(text: &str) -> Self {
        Self {
            time: Timestamp::UNIX_EPOCH,
            module: Module::Http2Decoder,
            level: Level::Info,
            file: "src/a.rs",
            line: 7,
            text: text.into(),
        }
    }
}

/// The last lines that the writer took, oldest first.
#[derive(Debug, Default)]
pub(super) struct Lines(VecDeque<Line>);

impl Lines {
    pub(super) const fn new() -> Self {
        Self(VecDeque::new())
    }

    /// Adds lines, and drops the oldest beyond the limit.
    pub(super) fn keep(&mut self, lines: &[Line]) {
        let new = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default();
        let room = LINES - new.len();
        self.0.drain(..self.0.len().saturating_sub(room));
        self.0.extend(new.iter().cloned());
    }

    /// Returns the last `most` of these lines and of those that wait behind them.
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
