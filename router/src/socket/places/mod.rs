//! Places for connections, shared fairly between the sources of the connections.
//!
//! A port that serves a bounded number of connections gives a [`Place`] to each. The source that
//! holds most gives way to newcomers, first with connections that have not been served. So neither
//! silence nor a crowd from one source keeps others out. A port keeps a few places for this machine
//! and for neighbors.
//!
//! [`table`] holds the rules, in virtual time. This file adds the clock, wake-ups and guards.

mod table;

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::{Arc, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use skupper_proto::time::Instant;
pub use table::Phase;
use table::{Change, Key, Table};
use tokio::task::AbortHandle;

use super::descriptors::{Descriptor, Purpose};
use super::source::Source;
use crate::clock::Clock;
use crate::lock::{Mutex, MutexGuard};

/// Most sources that are remembered as neighbors. A router has some hundreds of neighbors at most.
const NEIGHBORS: usize = 1024;

/// The pause between two looks for a connection to give way, while one waits for a descriptor.
/// `BREATH` is the shortest pause, for a connection that gives way takes a moment to end.
const PAUSE: Duration = Duration::from_millis(100);
const BREATH: Duration = Duration::from_millis(10);

/// The sources of routers that became neighbors. It keeps a bounded number, and forgets first the
/// one not seen for longest.
#[derive(Debug, Default)]
pub struct Neighbors(Mutex<(u64, HashMap<Source, u64>)>);

impl Neighbors {
    /// Remembers a source from which a router has opened a connection.
    pub fn remember(&self, source: Source) {
        let mut known = self.0.lock();
        known.0 += 1;
        let (turn, known) = &mut *known;
        known.insert(source, *turn);
        if known.len() > NEIGHBORS
            && let Some(oldest) =
                known.iter().min_by_key(|(_, seen)| **seen).map(|(source, _)| *source)
        {
            known.remove(&oldest);
        }
    }

    fn knows(&self, source: Source) -> bool {
        self.0.lock().1.contains_key(&source)
    }
}

/// The places of one port. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Places(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    seating: Mutex<Seating>,
    neighbors: Arc<Neighbors>,
    clock: Clock,
}

/// The table, and the owners that wait for its decisions.
#[derive(Debug)]
struct Seating {
    table: Table,
    seats: HashMap<Key, Seat>,
    changes: Vec<Change>,
    /// The time when a connection may have to give way, and the task that waits for it.
    timed: Option<(Instant, AbortHandle)>,
}

/// The state of an arrival for its owner.
#[derive(Debug, Default)]
struct Seat {
    standing: Standing,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Standing {
    #[default]
    Waiting,
    Placed,
    Ended,
}

impl Places {
    /// Creates `places`, of which `kept` are for this machine and for `neighbors`.
    pub fn new(places: usize, kept: usize, neighbors: Arc<Neighbors>) -> Self {
        let seating = Seating {
            table: Table::new(places, kept),
            seats: HashMap::new(),
            changes: Vec::new(),
            timed: None,
        };
        Self(Arc::new(Shared { seating: Mutex::new(seating), neighbors, clock: Clock::start() }))
    }

    /// Registers a connection, which then waits for its place. Call it within a runtime.
    pub fn arrive(&self, source: Source) -> Place {
        let favored = source.is_local() || self.0.neighbors.knows(source);
        let mut seating = self.0.lock();
        let mut changes = std::mem::take(&mut seating.changes);
        let key = seating.table.arrive(source, favored, &mut changes);
        seating.changes = changes;
        seating.seats.insert(key, Seat::default());
        self.0.settle(seating);
        Place { places: Arc::clone(&self.0), source, key }
    }

    /// Counts the descriptor of a connection from `source`, and waits until it may stay open.
    /// Meanwhile connections with places of this port give way for it.
    pub async fn descriptor(&self, source: Source, purpose: Purpose) -> Descriptor {
        // The connection is accepted, so its descriptor is open.
        let descriptor = Descriptor::held();
        loop {
            let pause = async {
                let pause = self.press(source).map_or(PAUSE, |pause| pause.clamp(BREATH, PAUSE));
                tokio::time::sleep(pause).await;
            };
            tokio::select! {
                biased;
                () = descriptor.wait_to_stay(purpose) => return descriptor,
                () = pause => {}
            }
        }
    }

    /// Makes one connection give way for a descriptor. Returns how long to wait for the next to
    /// yield, or `None` if no connection has to.
    fn press(&self, newcomer: Source) -> Option<Duration> {
        let mut seating = self.0.lock();
        let now = self.0.clock.now();
        match seating.table.give_way(newcomer, now)? {
            Ok(victim) => {
                seating.changes.push(Change::Ended(victim));
                self.0.settle(seating);
                Some(Duration::ZERO)
            }
            Err(yields) => Some(yields.since(now)),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Seating> {
        self.seating.lock()
    }

    /// Gives out places as far as possible, and wakes the owners of all arrivals that changed.
    fn settle(self: &Arc<Self>, mut seating: MutexGuard<'_, Seating>) {
        let mut changes = std::mem::take(&mut seating.changes);
        let due = seating.table.settle(self.clock.now(), &mut changes);
        let mut woken = Vec::new();
        for change in changes.drain(..) {
            let (key, standing) = match change {
                Change::Placed(key) => (key, Standing::Placed),
                Change::Ended(key) => (key, Standing::Ended),
            };
            if let Some(seat) = seating.seats.get_mut(&key) {
                seat.standing = standing;
                woken.extend(seat.waker.take());
            }
        }
        seating.changes = changes;
        if let Some(due) =
            due.filter(|due| seating.timed.as_ref().is_none_or(|(timed, _)| due < timed))
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let task =
                runtime.spawn(settle_at(Arc::downgrade(self), self.clock.at(due))).abort_handle();
            if let Some((_, later)) = seating.timed.replace((due, task)) {
                later.abort();
            }
        }
        drop(seating);
        woken.into_iter().for_each(Waker::wake);
    }
}

/// Settles once more at `due`.
async fn settle_at(places: Weak<Shared>, due: tokio::time::Instant) {
    tokio::time::sleep_until(due).await;
    if let Some(places) = places.upgrade() {
        let mut seating = places.lock();
        seating.timed = None;
        places.settle(seating);
    }
}

/// A connection's place, or its wait for one. Its drop frees the place, also when the task panics.
#[derive(Debug)]
pub struct Place {
    places: Arc<Shared>,
    source: Source,
    key: Key,
}

impl Place {
    /// Waits for the place. Returns false if too many wait and this connection must go.
    pub async fn granted(&self) -> bool {
        self.reaches(|standing| standing != Standing::Waiting).await == Standing::Placed
    }

    /// Waits until the table takes the place back. The connection must then end at once.
    pub async fn ended(&self) {
        let _ = self.reaches(|standing| standing == Standing::Ended).await;
    }

    /// Records how far the connection has come.
    pub fn advance(&self, phase: Phase) {
        let now = self.places.clock.now();
        self.places.lock().table.advance(self.source, self.key, phase, now);
    }

    /// Returns true once the table has taken the place back. Otherwise it wakes the task when that
    /// happens.
    pub fn poll_ended(&self, cx: &std::task::Context<'_>) -> bool {
        self.standing(cx) == Standing::Ended
    }

    fn standing(&self, cx: &std::task::Context<'_>) -> Standing {
        let mut seating = self.places.lock();
        let Some(seat) = seating.seats.get_mut(&self.key) else { return Standing::Ended };
        if !seat.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            seat.waker = Some(cx.waker().clone());
        }
        seat.standing
    }

    async fn reaches(&self, enough: impl Fn(Standing) -> bool) -> Standing {
        poll_fn(|cx| {
            Some(self.standing(cx))
                .filter(|standing| enough(*standing))
                .map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut seating = self.places.lock();
        seating.seats.remove(&self.key);
        seating.table.leave(self.source, self.key);
        self.places.settle(seating);
    }
}

#[cfg(test)]
mod tests;
