//! The order of password checks. Pure: the caller gives the time.
//!
//! The sources of connections take turns, with one check at a time for each. A source with wrong
//! passwords waits longer between its checks, at most [`SLOWEST`]. Few of its logins may then wait.
//! So a login that shares the source with a guesser has its answer within [`WAITING`] times that
//! pause.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use skupper_proto::time::Instant;

/// Wrong passwords of a source that cause no pause, for people mistype.
const FREE: u32 = 3;

/// The pause after the first wrong password beyond these. It doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(125);

/// The longest pause between two checks of one source. A guesser then has 86,400 guesses a day. A
/// right password behind [`WAITING`] wrong ones still fits a handshake's 10 s, on a slow machine
/// too.
const SLOWEST: Duration = Duration::from_secs(1);

/// The time that makes up for one wrong password.
const FORGIVEN: Duration = Duration::from_secs(10);

/// Waiting logins, at most: of one source that is slowed down, of another source, and of all
/// sources together. A waiting login holds a connection that is not open.
///
/// A pool of clients at its start, or a site behind one address, logs in all at once. So many
/// checks of a tenth of a second fit a handshake's 10 s.
const WAITING: usize = 4;
const HONEST_WAITING: usize = 64;
const ALL_WAITING: usize = 1024;

/// Most sources on record. Beyond them, the one with the oldest last wrong password is forgotten.
const SOURCES: usize = 4096;

/// The number of a login that waits or is being checked.
pub type Ticket = u64;

/// The waiting logins, and the record of their sources.
#[derive(Debug)]
pub struct Turns<S> {
    at_once: usize,
    checking: usize,
    waiting: usize,
    tickets: Ticket,
    turn: u64,
    sources: HashMap<S, Record>,
}

#[derive(Debug, Default)]
struct Record {
    /// Logins and their users, oldest first.
    waiting: VecDeque<(Ticket, Box<str>)>,
    checking: bool,
    /// The number of its last turn.
    turn: u64,
    failures: u32,
    /// The time of its last wrong password.
    failed: Instant,
    /// The earliest time of its next check.
    due: Instant,
}

impl Record {
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.checking
    }

    /// Returns the wrong passwords that time has not made up for.
    fn unforgiven(&self, now: Instant) -> u32 {
        let forgiven = now.since(self.failed).as_millis() / FORGIVEN.as_millis();
        self.failures.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX))
    }

    /// Returns how many of its logins may wait.
    fn room(&self, now: Instant) -> usize {
        if self.unforgiven(now) > FREE { WAITING } else { HONEST_WAITING }
    }

    /// Records a wrong password, and sets the pause.
    fn fail(&mut self, now: Instant) {
        self.failures = self.unforgiven(now).saturating_add(1);
        self.failed = now;
        if let Some(doublings) = self.failures.checked_sub(FREE + 1) {
            self.due =
                now + FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(doublings)).min(SLOWEST);
        }
    }

    /// Returns the user with most waiting logins, and their number.
    fn crowd(&self) -> (usize, &str) {
        let count =
            |user: &str| self.waiting.iter().filter(|(_, waiting)| **waiting == *user).count();
        self.waiting
            .iter()
            .map(|(_, user)| (count(user), &**user))
            .max_by_key(|(count, _)| *count)
            .unwrap_or((0, ""))
    }
}

impl<S: Copy + Eq + Hash + Ord> Turns<S> {
    /// Creates turns for `at_once` checks at a time.
    pub fn new(at_once: usize) -> Self {
        Self { at_once, checking: 0, waiting: 0, tickets: 0, turn: 0, sources: HashMap::new() }
    }

    /// Adds a login that waits for its turn.
    ///
    /// Logins of one user do not displace those of another user of the same source. So the new
    /// login may displace a waiting one, whose ticket is then returned too.
    ///
    /// # Errors
    /// [`TooMany`] if too many logins wait.
    pub fn ask(
        &mut self,
        source: S,
        user: &str,
        now: Instant,
    ) -> Result<(Ticket, Option<Ticket>), TooMany> {
        let is_full = self.waiting >= ALL_WAITING;
        if !self.sources.contains_key(&source) {
            // Refused here, a new source leaves no record and displaces none.
            if is_full {
                return Err(TooMany);
            }
            self.make_room();
        }
        let ticket = self.tickets;
        let record = self.sources.entry(source).or_default();
        let mut turned_away = None;
        if record.waiting.len() >= record.room(now) {
            let (most, crowd) = record.crowd();
            let mine = record.waiting.iter().filter(|(_, waiting)| **waiting == *user).count();
            let last = record
                .waiting
                .iter()
                .rposition(|(_, waiting)| **waiting == *crowd)
                .filter(|_| most > mine + 1);
            turned_away = Some(last.and_then(|at| record.waiting.remove(at)).ok_or(TooMany)?.0);
        } else if is_full {
            return Err(TooMany);
        } else {
            self.waiting += 1;
        }
        record.waiting.push_back((ticket, user.into()));
        self.tickets += 1;
        Ok((ticket, turned_away))
    }

    /// Forgets a source if there are too many.
    fn make_room(&mut self) {
        if self.sources.len() >= SOURCES {
            let idle = self.sources.iter().filter(|(_, record)| record.is_idle());
            if let Some((_, source)) = idle.map(|(source, record)| (record.failed, *source)).min() {
                self.sources.remove(&source);
            }
        }
    }

    /// Ends a wait, because its connection has closed.
    pub fn withdraw(&mut self, source: S, ticket: Ticket) {
        let Some(record) = self.sources.get_mut(&source) else { return };
        let before = record.waiting.len();
        record.waiting.retain(|(waiting, _)| *waiting != ticket);
        self.waiting -= before - record.waiting.len();
        self.forget(source);
    }

    /// Returns the login whose turn it is. Call it after each change until it returns `None`, and
    /// at the time of [`Turns::due`].
    pub fn next(&mut self, now: Instant) -> Option<Ticket> {
        if self.checking >= self.at_once {
            return None;
        }
        let ready =
            |record: &Record| !record.checking && !record.waiting.is_empty() && record.due <= now;
        let ready = self.sources.iter().filter(|(_, record)| ready(record));
        let (_, _, source) = ready
            .filter_map(|(source, record)| Some((record.turn, record.waiting.front()?.0, *source)))
            .min()?;
        let record = self.sources.get_mut(&source)?;
        let (ticket, _) = record.waiting.pop_front()?;
        self.turn += 1;
        record.turn = self.turn;
        record.checking = true;
        self.waiting -= 1;
        self.checking += 1;
        Some(ticket)
    }

    /// Records the result of a check. Returns the waiting logins that must go, for a source that is
    /// slowed down has fewer places.
    pub fn done(&mut self, source: S, right: bool, now: Instant) -> Vec<Ticket> {
        let Some(record) = self.sources.get_mut(&source) else { return Vec::new() };
        if std::mem::take(&mut record.checking) {
            self.checking -= 1;
        }
        let mut turned_away = Vec::new();
        if !right {
            record.fail(now);
            while record.waiting.len() > record.room(now) {
                let (_, crowd) = record.crowd();
                let last = record.waiting.iter().rposition(|(_, waiting)| **waiting == *crowd);
                turned_away.extend(
                    last.and_then(|at| record.waiting.remove(at)).map(|(ticket, _)| ticket),
                );
            }
            self.waiting -= turned_away.len();
        }
        self.forget(source);
        turned_away
    }

    /// Returns the time of a source's next check, if only time delays it.
    pub fn due(&self, source: S, now: Instant) -> Option<Instant> {
        self.sources.get(&source).map(|record| record.due).filter(|due| *due > now)
    }

    /// Forgets a source that is idle and has no wrong passwords.
    fn forget(&mut self, source: S) {
        if self.sources.get(&source).is_some_and(|record| record.is_idle() && record.failures == 0)
        {
            self.sources.remove(&source);
        }
    }
}

/// The error that too many logins wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many logins of this source wait for their check")]
pub struct TooMany;

#[cfg(test)]
mod tests;
