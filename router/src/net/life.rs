//! The life of a connection.
//!
//! ```text
//!   Opening ---- the peer's open ----> Open
//!      |                                |
//!      +-------- an end of any kind ----+--> Over, until its last words are written
//! ```

use std::time::Duration;

use skupper_proto::time::Instant;

use super::finished::Why;

/// How long the end of a connection waits for bytes that are not written yet.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Where the connection stands.
#[derive(Debug, Default)]
enum Stage {
    /// The peer's open has not arrived.
    #[default]
    Opening,
    /// The peer's open has arrived.
    Open,
    /// It has ended.
    Over {
        /// The peer's open had arrived.
        opened: bool,
        why: Why,
        /// How long its last words may take, if it may write any.
        last_words: Option<Instant>,
    },
}

/// The life of a connection.
#[derive(Debug, Default)]
pub(super) struct Life {
    stage: Stage,
    served: bool,
}

impl Life {
    /// Returns whether both ends may use the connection.
    pub(super) const fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open)
    }

    /// Returns whether the connection has ended.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over { .. })
    }

    /// Returns whether the peer's open has arrived at some time.
    pub(super) const fn has_opened(&self) -> bool {
        matches!(self.stage, Stage::Open | Stage::Over { opened: true, .. })
    }

    /// Returns whether the connection was of use.
    pub(super) const fn has_served(&self) -> bool {
        self.served
    }

    /// Remembers that the connection was of use.
    pub(super) const fn set_served(&mut self) {
        self.served = true;
    }

    /// The peer's open has arrived.
    pub(super) fn on_opened(&mut self) {
        match &mut self.stage {
            Stage::Over { opened, .. } => *opened = true,
            stage => *stage = Stage::Open,
        }
    }

    /// The connection ends. The first reason stays.
    pub(super) fn on_end(&mut self, why: Why, now: Instant) {
        if !self.is_over() {
            let writable = matches!(why, Why::Closed(_));
            let last_words = writable.then(|| now + LAST_WORDS);
            self.stage = Stage::Over { opened: self.has_opened(), why, last_words };
        }
    }

    /// Returns the instant at which the connection stops waiting for its last words.
    pub(super) const fn last_words(&self) -> Option<Instant> {
        match self.stage {
            Stage::Over { last_words, .. } => last_words,
            Stage::Opening | Stage::Open => None,
        }
    }

    /// Returns why the connection ended, once it need not wait for its last words. `unwritten`
    /// says that some are not written yet.
    pub(super) fn ended(&self, unwritten: bool, now: Instant) -> Option<&Why> {
        match &self.stage {
            Stage::Over { why, last_words, .. }
                if !unwritten || last_words.is_none_or(|limit| limit <= now) =>
            {
                Some(why)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use skupper_proto::engine::{Closed, Initiator};

    use super::*;

    const START: Instant = Instant::from_millis(1000);

    #[test]
    fn a_close_is_written_within_a_moment_or_not_at_all() {
        let mut life = Life::default();
        life.on_opened();
        assert!(life.is_open() && life.ended(false, START).is_none());
        life.on_end(Why::Closed(Closed { initiator: Initiator::Local, error: None }), START);
        assert!(life.has_opened() && !life.is_open() && life.is_over());
        assert!(life.ended(true, START).is_none(), "its close is not written");
        assert!(
            life.ended(false, START).is_some() && life.ended(true, START + LAST_WORDS).is_some()
        );
    }

    #[test]
    fn nothing_is_written_to_a_transport_that_failed() {
        let mut life = Life::default();
        life.on_end(Why::Eof, START);
        life.on_end(Why::GaveWay, START);
        assert!(matches!(life.ended(true, START), Some(Why::Eof)), "the first reason stays");
        assert!(!life.has_opened());
        life.on_opened();
        assert!(life.has_opened() && !life.is_open());
    }
}
