//! Who has a place, who waits for one, and who gives way: pure, in the caller's time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use skupper_proto::time::Instant;

use super::super::source::Source;

/// What the holder of a place has shown of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It has connected and said nothing.
    Silent,
    /// It has begun to speak.
    Opening,
    /// It has asked for something, and is being served.
    Served,
}

const PHASES: [Phase; 3] = [Phase::Silent, Phase::Opening, Phase::Served];

impl Phase {
    /// How long a holder keeps its place at least. A client's first octets come with the end of
    /// TCP's handshake, so that a tenth of a second is long for them. A second is enough for
    /// the round trips of TLS and SASL on a long path. An answer that has run for ten seconds
    /// is a download, which a client can repeat.
    const fn grace(self) -> Duration {
        match self {
            Self::Silent => Duration::from_millis(100),
            Self::Opening => Duration::from_secs(1),
            Self::Served => Duration::from_secs(10),
        }
    }
}

/// How many may wait at least, however few places there are: a burst of that size loses nobody.
const MAY_WAIT: usize = 128;

/// Names an arrival for as long as it waits or holds a place.
pub(super) type Key = u64;

/// What became of an arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It has a place.
    Placed(Key),
    /// It has its place no longer, or was refused one.
    Ended(Key),
}

/// What one source has.
#[derive(Debug, Default)]
struct Share {
    /// It may use the places that are kept.
    favored: bool,
    held: usize,
    /// Its places and since when it has each in this phase, oldest first.
    phases: [BTreeMap<Key, Instant>; PHASES.len()],
    waiting: BTreeSet<Key>,
}

impl Share {
    /// The place to give up among those of `phases`: the oldest of the first phase that yields;
    /// else when one does.
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
/// Every arrival waits first; [`Table::settle`] places those that can be placed. Places go to the
/// source that holds the least. Where none is free, the source that holds the most gives way with
/// its oldest, but never to a source that holds as much as itself. As many wait as there are
/// places, or [`MAY_WAIT`].
#[derive(Debug)]
pub(super) struct Table {
    places: usize,
    /// Of these places, how many only favored sources may have.
    kept: usize,
    next: Key,
    held: usize,
    /// Places that sources hold which are not favored.
    ordinary: usize,
    waiting: usize,
    shares: HashMap<Source, Share>,
}

impl Table {
    /// A table of `places`, of which `kept` are for favored sources; one at least is for everybody.
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

    /// Takes an arrival in. It waits until [`Table::settle`] says otherwise.
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

    /// Ends the oldest wait of the source that waits most.
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

    /// Takes an arrival out: it has ended, wherever it stood.
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

    /// The holder of a place has come further.
    pub(super) fn advance(&mut self, source: Source, key: Key, phase: Phase, now: Instant) {
        let Some(share) = self.shares.get_mut(&source) else { return };
        if share.remove(key) {
            share.phases[phase as usize].insert(key, now);
            share.held += 1;
        }
    }

    /// Gives places to those who wait, as far as it can. Returns when to call again, if time alone
    /// can change something.
    pub(super) fn settle(&mut self, now: Instant, changes: &mut Vec<Change>) -> Option<Instant> {
        loop {
            let ordinary = self.settle_some(false, now, changes);
            let before = changes.len();
            let favored = self.settle_some(true, now, changes);
            // Whom the second pass has placed may have to give way to one that the first left
            // waiting. Each round ends waits.
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

    /// The arrival whose turn it is: the oldest of the source that holds the least.
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

    /// Takes one place back for a source; which it was, or when one can be taken.
    ///
    /// Who has not been served yet gives way first. `None`: nobody holds so much more that it must
    /// give way.
    pub(super) fn give_way(
        &mut self,
        newcomer: Source,
        now: Instant,
    ) -> Option<Result<Key, Instant>> {
        let share = self.shares.get(&newcomer);
        let (mine, favored) = share.map_or((0, false), |share| (share.held, share.favored));
        // The kept places are of no use to a newcomer that may not have one.
        let only_ordinary = !favored && self.ordinary >= self.places - self.kept;
        let most = |phases: &[Phase], fair: &dyn Fn(Source, usize) -> bool| {
            let shares = self.shares.iter().filter(|(_, share)| !(only_ordinary && share.favored));
            let shares = shares.filter(|(source, share)| fair(**source, share.held));
            let victims = shares.filter_map(|(source, share)| {
                Some((share.held, *source, share.victim(phases, now)?))
            });
            // Of equals the one with the oldest place; a place that does not yield yet comes last.
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
