//! Places for connections, shared between the sources that they come from.
//!
//! A port that serves a bounded number of connections gives each a [`Place`]. Whoever has shown
//! nothing yet, and holds the most, gives way to newcomers; so neither silence nor a crowd of one
//! source keeps others out. A few places are kept for this machine and for neighbors. The rules are
//! those of [`table`], in virtual time; this adds time, wake-ups and guards.

mod table;

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use skupper_proto::time::Instant;
pub use table::Phase;
use table::{Change, Key, Table};
use tokio::task::AbortHandle;

use super::descriptors::{Descriptor, Purpose};
use super::source::Source;
use crate::clock::Clock;

/// Sources that are remembered as neighbors. A router has some hundreds of neighbors at most.
const NEIGHBORS: usize = 1024;

/// How often who waits for a descriptor looks for somebody who may have to give way meanwhile; and
/// how soon at the earliest, for a connection that gives way takes a moment to end.
const PAUSE: Duration = Duration::from_millis(100);
const BREATH: Duration = Duration::from_millis(10);

/// The sources from which routers have come that became neighbors. A bounded number; the one not
/// seen for longest is forgotten first.
#[derive(Debug, Default)]
pub struct Neighbors(Mutex<(u64, HashMap<Source, u64>)>);

impl Neighbors {
    /// Remembers a source from which a router has opened a connection.
    pub fn remember(&self, source: Source) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.contains_key(&source)
    }
}

/// The places of one port. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Places(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    neighbors: Arc<Neighbors>,
    clock: Clock,
}

#[derive(Debug)]
struct State {
    table: Table,
    seats: HashMap<Key, Seat>,
    changes: Vec<Change>,
    /// When somebody may have to give way, and the task that waits for that time.
    timed: Option<(Instant, AbortHandle)>,
}

/// What the owner of an arrival knows of it.
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
    /// Makes `places`, of which `kept` are for this machine and for `neighbors`.
    pub fn new(places: usize, kept: usize, neighbors: Arc<Neighbors>) -> Self {
        let state = State {
            table: Table::new(places, kept),
            seats: HashMap::new(),
            changes: Vec::new(),
            timed: None,
        };
        Self(Arc::new(Shared { state: Mutex::new(state), neighbors, clock: Clock::start() }))
    }

    /// Takes a connection in, which waits for its place. To be called within a runtime.
    pub fn arrive(&self, source: Source) -> Place {
        let favored = source.is_local() || self.0.neighbors.knows(source);
        let mut state = self.0.lock();
        let mut changes = std::mem::take(&mut state.changes);
        let key = state.table.arrive(source, favored, &mut changes);
        state.changes = changes;
        state.seats.insert(key, Seat::default());
        self.0.settle(state);
        Place { places: Arc::clone(&self.0), source, key }
    }

    /// Waits for a descriptor for a connection that has come from `source`. Connections that hold
    /// places here give way for it.
    pub async fn descriptor(&self, source: Source, purpose: Purpose) -> Descriptor {
        // The connection is in hand, and so open.
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

    /// Has one connection give way for want of something else than places: descriptors. Returns how
    /// long to wait where nobody yields at once; `None` where nobody does.
    fn press(&self, newcomer: Source) -> Option<Duration> {
        let mut state = self.0.lock();
        let now = self.0.clock.now();
        match state.table.give_way(newcomer, now)? {
            Ok(victim) => {
                state.changes.push(Change::Ended(victim));
                self.0.settle(state);
                Some(Duration::ZERO)
            }
            Err(yields) => Some(yields.since(now)),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Places whom it can, and wakes all to whom something has happened.
    fn settle(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        let mut changes = std::mem::take(&mut state.changes);
        let due = state.table.settle(self.clock.now(), &mut changes);
        let mut woken = Vec::new();
        for change in changes.drain(..) {
            let (key, standing) = match change {
                Change::Placed(key) => (key, Standing::Placed),
                Change::Ended(key) => (key, Standing::Ended),
            };
            if let Some(seat) = state.seats.get_mut(&key) {
                seat.standing = standing;
                woken.extend(seat.waker.take());
            }
        }
        state.changes = changes;
        if let Some(due) =
            due.filter(|due| state.timed.as_ref().is_none_or(|(timed, _)| due < timed))
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let task =
                runtime.spawn(settle_at(Arc::downgrade(self), self.clock.at(due))).abort_handle();
            if let Some((_, later)) = state.timed.replace((due, task)) {
                later.abort();
            }
        }
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }
}

/// Settles once more when the time has come.
async fn settle_at(places: Weak<Shared>, due: tokio::time::Instant) {
    tokio::time::sleep_until(due).await;
    if let Some(places) = places.upgrade() {
        let mut state = places.lock();
        state.timed = None;
        places.settle(state);
    }
}

/// A connection's place, or its wait for one. Dropped, it is free for the next: also when its task
/// panics.
#[derive(Debug)]
pub struct Place {
    places: Arc<Shared>,
    source: Source,
    key: Key,
}

impl Place {
    /// Waits for the place. `false`: too many wait, and this one is turned away.
    pub async fn granted(&self) -> bool {
        self.reaches(|standing| standing != Standing::Waiting).await == Standing::Placed
    }

    /// Waits until the place is taken back: the connection must end at once.
    pub async fn ended(&self) {
        let _ = self.reaches(|standing| standing == Standing::Ended).await;
    }

    /// Says how far the connection has come.
    pub fn advance(&self, phase: Phase) {
        let now = self.places.clock.now();
        self.places.lock().table.advance(self.source, self.key, phase, now);
    }

    /// Whether the place has been taken back; if not, the task is woken when it is.
    pub fn poll_ended(&self, cx: &std::task::Context<'_>) -> bool {
        self.standing(cx) == Standing::Ended
    }

    fn standing(&self, cx: &std::task::Context<'_>) -> Standing {
        let mut state = self.places.lock();
        let Some(seat) = state.seats.get_mut(&self.key) else { return Standing::Ended };
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
        let mut state = self.places.lock();
        state.seats.remove(&self.key);
        state.table.leave(self.source, self.key);
        self.places.settle(state);
    }
}

#[cfg(test)]
mod tests;
