//! The last errors, for those who ask the running router instead of its log.

use std::collections::VecDeque;

use jiff::Timestamp;

use super::level::Level;
use super::module::Module;
use crate::lock::{Mutex, Rank};

/// Errors that the ring keeps.
const KEPT: usize = 32;

static RECENT: Mutex<Ring> = Mutex::ranked(Rank::Log, Ring(VecDeque::new()));

/// An error that was logged, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recent {
    /// When it last occurred.
    pub at: Timestamp,
    /// How often it was logged since the ring has it.
    pub count: u64,
    /// The part of the router that logged it.
    pub module: Module,
    /// Error or critical.
    pub level: Level,
    /// The text of the line.
    pub text: String,
}

/// The last errors, oldest first.
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

/// Keeps an error; lesser levels are passed over.
pub(super) fn keep(at: Timestamp, module: Module, level: Level, text: &str) {
    if level >= Level::Error {
        RECENT.lock().keep(at, module, level, text);
    }
}

/// Returns the last errors, newest first.
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
