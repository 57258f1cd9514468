//! The rules of places: which source gets one, which waits, and which gives way.
//!
//! Pure: the caller gives the time.
#![expect(clippy::indexing_slicing, reason = "each phase has its place")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use skupper_proto::time::Instant;

use super::super::source::Source;

/// The progress of a connection that holds a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It has connected and sent nothing.
    Silent,
    /// It has begun to send.
    Opening,
    /// It has sent a request, and the port serves it.
    Served,
}

const PHASES: [Phase; 3] = [Phase::Silent, Phase::Opening, Phase::Served];

impl Phase {
    /// Returns the shortest time for which a connection keeps its place.
    ///
    /// A client's first bytes arrive with the end of TCP's handshake, so a tenth of a second is
    /// ample. A second is enough for the round trips of TLS and SASL on a long path. An answer that
    /// has run for ten seconds is a download, which a client can repeat.
    const fn grace(self) -> Duration {
        match self {
            Self::Silent => Duration::from_millis(100),
            Self::Opening => Duration::from_secs(1),
            Self::Served => Duration::from_secs(10),
        }
    }
}

/// Connections that may wait at least, however few places there are. A burst of that size loses
/// none.
const MAY_WAIT: usize = 128;

/// The number of an arrival for as long as it waits or holds a place.
pub(super) type Key = u64;

/// A change in the standing of an arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The arrival has a place.
    Placed(Key),
    /// The arrival has lost its place, or was refused one.
    Ended(Key),
}

/// The places and waits of one source.
#[derive(Debug, Default)]
struct Share {
    /// True if the source may use the kept places.
    favored: bool,
    held: usize,
    /// Its places by phase, oldest first, each with the start of the phase.
    phases: [BTreeMap<Key, Instant>; PHASES.len()],
    waiting: BTreeSet<Key>,
}

impl Share {
    /// Returns the place to give up among those of `phases`: the oldest of the first phase that
    /// yields. If none yields yet, returns the time when one does.
    fn victim(&self, phases: &[Phase], now: Instant) -> Option<Result<Key, Instant>> {
        let oldest = |phase: &Phase| {
            let (key, since) = self.phases[*phase as usize].first_key_value()?;
            Some((*key, *since + phase.grace()))
        };
        let due = phases.iter().filter_map(oldest);
        match due.clone().find(|(_, yields)| *yields <= now) {
            Some((key, _)) => Some(Ok(key)),
            None => due.map(|(_, yields)| yields).min().map(Err),
        }
    }

    fn remove(&mut self, key: Key) -> bool {
        let held = self.phases.iter_mut().any(|places| places.remove(&key).is_some());
        self.held -= usize::from(held);
        held
    }

    fn is_empty(&self) -> bool {
        self.held == 0 && self.waiting.is_empty()
    }
}

/// The table of a bounded number of places.
///
/// Every arrival waits first, until [`Table::settle`] places it. Places go to the source that holds
/// the fewest. If none is free, the source that holds most gives way with its oldest place. It
/// never gives way to another source that holds as many. As many arrivals may wait as there are
/// places, but at least [`MAY_WAIT`].
#[derive(Debug)]
pub(super) struct Table {
    places: usize,
    /// Places, out of `places`, that only favored sources may have.
    kept: usize,
    next: Key,
    held: usize,
    /// Places that ordinary sources hold, those that are not favored.
    ordinary: usize,
    waiting: usize,
    shares: HashMap<Source, Share>,
}

impl Table {
    /// Creates a table of `places`, of which `kept` are for favored sources. At least one is for
    /// all.
    pub(super) fn new(places: usize, kept: usize) -> Self {
        let places = places.max(1);
        Self {
            places,
            kept: kept.min(places - 1),
            next: 0,
            held: 0,
            ordinary: 0,
            waiting: 0,
            shares: HashMap::new(),
        }
    }

    /// Registers an arrival, which waits until [`Table::settle`] places it. Ends one wait if too
    /// many wait.
    pub(super) fn arrive(
        &mut self,
        source: Source,
        favored: bool,
        changes: &mut Vec<Change>,
    ) -> Key {
        let key = self.next;
        self.next += 1;
        let share = self.shares.entry(source).or_default();
        if share.is_empty() {
            share.favored = favored;
        }
        share.waiting.insert(key);
        self.waiting += 1;
        if self.waiting > self.places.max(MAY_WAIT) {
            self.refuse_one(changes);
        }
        key
    }

    /// Ends the oldest wait of the source with most waits.
    fn refuse_one(&mut self, changes: &mut Vec<Change>) {
        let longest =
            self.shares.iter().max_by_key(|(source, share)| (share.waiting.len(), **source));
        let Some((&source, key)) =
            longest.and_then(|(source, share)| Some((source, *share.waiting.first()?)))
        else {
            return;
        };
        changes.push(Change::Ended(key));
        self.leave(source, key);
    }

    /// Removes an arrival that has ended, whether it waited or held a place.
    pub(super) fn leave(&mut self, source: Source, key: Key) {
        let Some(share) = self.shares.get_mut(&source) else { return };
        if share.waiting.remove(&key) {
            self.waiting -= 1;
        } else if share.remove(key) {
            self.held -= 1;
            self.ordinary -= usize::from(!share.favored);
        }
        if share.is_empty() {
            self.shares.remove(&source);
        }
    }

    /// Records that the holder of a place has reached `phase`.
    pub(super) fn advance(&mut self, source: Source, key: Key, phase: Phase, now: Instant) {
        let Some(share) = self.shares.get_mut(&source) else { return };
        if share.remove(key) {
            share.phases[phase as usize].insert(key, now);
            share.held += 1;
        }
    }

    /// Gives places to waiting arrivals as far as possible. Returns the time for the next call, if
    /// time alone can change something.
    pub(super) fn settle(&mut self, now: Instant, changes: &mut Vec<Change>) -> Option<Instant> {
        loop {
            let ordinary = self.settle_some(false, now, changes);
            let before = changes.len();
            let favored = self.settle_some(true, now, changes);
            // An arrival placed by the second pass may have to give way to one that the first pass
            // left waiting. Each round ends waits, so the loop ends.
            if changes.len() == before {
                return ordinary.into_iter().chain(favored).min();
            }
        }
    }

    fn settle_some(
        &mut self,
        favored: bool,
        now: Instant,
        changes: &mut Vec<Change>,
    ) -> Option<Instant> {
        while let Some((source, key)) = self.first_waiting(favored) {
            let full = if favored { self.held >= self.places } else { self.is_full_for_ordinary() };
            if full {
                match self.give_way(source, now)? {
                    Ok(victim) => changes.push(Change::Ended(victim)),
                    Err(yields) => return Some(yields),
                }
            }
            self.place(source, key, now);
            changes.push(Change::Placed(key));
        }
        None
    }

    const fn is_full_for_ordinary(&self) -> bool {
        self.ordinary >= self.places - self.kept || self.held >= self.places
    }

    /// Returns the next arrival in turn: the oldest of the source that holds the fewest places.
    fn first_waiting(&self, favored: bool) -> Option<(Source, Key)> {
        let waiting = self.shares.iter().filter(|(_, share)| share.favored == favored);
        let waiting = waiting
            .filter_map(|(source, share)| Some((share.held, *share.waiting.first()?, *source)));
        waiting.min().map(|(_, key, source)| (source, key))
    }

    fn place(&mut self, source: Source, key: Key, now: Instant) {
        let Some(share) = self.shares.get_mut(&source) else { return };
        if share.waiting.remove(&key) {
            self.waiting -= 1;
            share.phases[Phase::Silent as usize].insert(key, now);
            share.held += 1;
            self.held += 1;
            self.ordinary += usize::from(!share.favored);
        }
    }

    /// Takes one place back for a newcomer. Returns its key, or the time when a place yields.
    ///
    /// Connections that are not served yet give way first. A served one gives way only if its
    /// source holds at least two places more than the newcomer's. Returns `None` if no connection
    /// has to give way.
    pub(super) fn give_way(
        &mut self,
        newcomer: Source,
        now: Instant,
    ) -> Option<Result<Key, Instant>> {
        let share = self.shares.get(&newcomer);
        let (mine, favored) = share.map_or((0, false), |share| (share.held, share.favored));
        // A newcomer that may not have a kept place gains nothing from one.
        let only_ordinary = !favored && self.ordinary >= self.places - self.kept;
        let most = |phases: &[Phase], fair: &dyn Fn(Source, usize) -> bool| {
            let shares = self.shares.iter().filter(|(_, share)| !(only_ordinary && share.favored));
            let shares = shares.filter(|(source, share)| fair(**source, share.held));
            let victims = shares.filter_map(|(source, share)| {
                Some((share.held, *source, share.victim(phases, now)?))
            });
            // Of equal sources the one with the oldest place; a place that does not yield yet comes
            // last.
            victims.max_by_key(|(held, source, victim)| {
                (*held, std::cmp::Reverse(victim.unwrap_or(Key::MAX)), *source)
            })
        };
        let unserved = most(&[Phase::Silent, Phase::Opening], &|source, held| {
            source == newcomer || held > mine
        });
        let (_, source, victim) =
            unserved.or_else(|| most(&[Phase::Served], &|_, held| held > mine + 1))?;
        if let Ok(key) = victim {
            self.leave(source, key);
        }
        Some(victim)
    }
}

#[cfg(test)]
mod tests;
