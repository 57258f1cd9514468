//! The router's only mutex: it never poisons, and a debug build checks the order of locks.
//!
//! Each mutex has a [`Rank`]. A thread may wait for a mutex only if all that it holds have lower
//! ranks. So two threads never wait for each other, and a thread never waits for itself. A debug
//! build panics where a thread breaks the rule, whether or not another thread is there to collide
//! with. A release build neither stores ranks nor checks them.
//!
//! A mutex of this room does not poison: if a holder panics, the next one gets the data as the
//! panic left them. The task of one connection may end that way; the router goes on.
//!
//! Hold a mutex for a few instructions, and never across an await.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{self, PoisonError, TryLockError};
use std::time::Duration;

/// The order in which one thread takes mutexes: from the first rank to the last, never two of one
/// rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// The table of autoLinks. Its holder sends to mailboxes.
    AutoLinks,
    /// A site link's state. Its holder reads how the link's connections stand.
    SiteLink,
    /// The table of vhosts. Its holder counts in one of them.
    Vhosts,
    /// The core: routing machine, trunks, groups, edge connections, the replacing of snapshots.
    Core,
    /// An address's list of watches. Its holder notifies those who watch.
    Watches,
    /// The state of a party, which is tried and never waited for. Its holder reads and writes
    /// deliveries and sends to mailboxes.
    Party,
    /// Every mutex that has no rank of its own. While a thread holds one of these, it takes no
    /// other but those below.
    Alone,
    /// The waker of an account's watcher. Whoever charges a holder may take it.
    Watcher,
    /// Changes of the log's settings.
    LogSettings,
    /// The list of limiters of repeats.
    LogLimiters,
    /// The table of one limiter.
    LogLimiter,
    /// The log's queue, its last errors and a log file. So every room may log under its own locks.
    Log,
}

#[cfg(debug_assertions)]
impl Rank {
    /// All ranks, in their order.
    const ALL: [Self; 12] = [
        Self::AutoLinks,
        Self::SiteLink,
        Self::Vhosts,
        Self::Core,
        Self::Watches,
        Self::Party,
        Self::Alone,
        Self::Watcher,
        Self::LogSettings,
        Self::LogLimiters,
        Self::LogLimiter,
        Self::Log,
    ];
}

/// A mutex with a rank.
pub struct Mutex<T> {
    #[cfg(debug_assertions)]
    rank: Rank,
    inner: sync::Mutex<T>,
}

impl<T> Mutex<T> {
    /// Makes a mutex of the rank [`Alone`](Rank::Alone).
    pub const fn new(value: T) -> Self {
        Self::ranked(Rank::Alone, value)
    }

    /// Makes a mutex of this rank.
    #[cfg_attr(not(debug_assertions), expect(unused_variables, reason = "checked in debug builds"))]
    pub const fn ranked(rank: Rank, value: T) -> Self {
        Self {
            #[cfg(debug_assertions)]
            rank,
            inner: sync::Mutex::new(value),
        }
    }

    /// Waits for the mutex and takes it.
    ///
    /// # Panics
    /// In a debug build: if the thread holds a mutex of this rank or of a later one.
    #[cfg_attr(debug_assertions, track_caller)]
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        #[cfg(debug_assertions)]
        let held = order::Held::wait(self.rank);
        MutexGuard {
            inner: self.inner.lock().unwrap_or_else(PoisonError::into_inner),
            #[cfg(debug_assertions)]
            held,
        }
    }

    /// Takes the mutex, or returns `None` if a thread holds it, which may be the caller. Since it
    /// never waits, its rank may be any.
    #[inline]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let inner = match self.inner.try_lock() {
            Ok(inner) => inner,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(MutexGuard {
            inner,
            #[cfg(debug_assertions)]
            held: order::Held::note(self.rank),
        })
    }

    /// Returns the data of a mutex that only the caller has.
    #[inline]
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Unwraps the data.
    #[inline]
    pub fn into_inner(self) -> T {
        self.inner.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// Access to the data of a [`Mutex`] until it is dropped.
#[must_use = "the mutex is free again when this is dropped"]
pub struct MutexGuard<'a, T> {
    // Freed before its rank is forgotten.
    inner: sync::MutexGuard<'a, T>,
    #[cfg(debug_assertions)]
    held: order::Held,
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T: fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// Lets threads wait until another one has changed the data of a [`Mutex`].
#[derive(Debug, Default)]
pub struct Condvar(sync::Condvar);

impl Condvar {
    /// Makes one that no thread waits for.
    pub const fn new() -> Self {
        Self(sync::Condvar::new())
    }

    /// Frees the mutex, waits for a notice or without any reason, and takes the mutex again.
    #[must_use = "this holds the mutex"]
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        MutexGuard {
            inner: self.0.wait(guard.inner).unwrap_or_else(PoisonError::into_inner),
            #[cfg(debug_assertions)]
            held: guard.held,
        }
    }

    /// Waits as [`wait`](Self::wait) does, but no longer than `most`.
    #[must_use = "this holds the mutex"]
    pub fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        most: Duration,
    ) -> MutexGuard<'a, T> {
        let waited = self.0.wait_timeout(guard.inner, most);
        MutexGuard {
            inner: waited.unwrap_or_else(PoisonError::into_inner).0,
            #[cfg(debug_assertions)]
            held: guard.held,
        }
    }

    /// Wakes one thread that waits.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes all threads that wait.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// The ranks that each thread holds.
#[cfg(debug_assertions)]
mod order {
    #![expect(clippy::indexing_slicing, reason = "each rank has its place")]

    use std::cell::Cell;

    use super::Rank;

    const RANKS: usize = Rank::ALL.len();

    thread_local! {
        /// How many mutexes of each rank the thread holds. A place that needs no destructor is
        /// there until the thread is gone.
        static HELD: Cell<[u8; RANKS]> = const { Cell::new([0; RANKS]) };
    }

    fn held() -> Vec<Rank> {
        let counts = HELD.get();
        Rank::ALL.into_iter().filter(|rank| counts[*rank as usize] > 0).collect()
    }

    fn change(rank: Rank, change: impl FnOnce(u8) -> u8) {
        let mut held = HELD.get();
        held[rank as usize] = change(held[rank as usize]);
        HELD.set(held);
    }

    /// One rank that this thread holds.
    #[derive(Debug)]
    pub(super) struct Held(Rank);

    impl Held {
        /// Notes the rank of a mutex that the thread is about to wait for.
        #[track_caller]
        pub(super) fn wait(rank: Rank) -> Self {
            let later = HELD.get()[rank as usize..].iter().any(|count| *count > 0);
            assert!(!later, "a lock of the rank {rank:?} against the order: {:?} is held", held());
            Self::note(rank)
        }

        /// Notes the rank of a mutex that the thread has.
        pub(super) fn note(rank: Rank) -> Self {
            change(rank, |count| count + 1);
            Self(rank)
        }
    }

    impl Drop for Held {
        fn drop(&mut self) {
            change(self.0, |count| count - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;
    use std::thread;

    use super::*;

    fn panics(action: impl FnOnce()) -> bool {
        catch_unwind(AssertUnwindSafe(action)).is_err()
    }

    /// A debug build refuses to take this mutex; another one takes it.
    fn assert_against_the_order<T>(mutex: &Mutex<T>) {
        assert_eq!(panics(|| drop(mutex.lock())), cfg!(debug_assertions));
    }

    #[test]
    fn ranks_are_taken_upwards() {
        let (core, party) = (Mutex::ranked(Rank::Core, 1), Mutex::ranked(Rank::Party, 2));
        let (alone, log) = (Mutex::new(3), Mutex::ranked(Rank::Log, 4));
        assert_eq!(*core.lock() + *party.lock() + *alone.lock() + *log.lock(), 10);
        let _party = party.lock();
        drop((alone.lock(), log.lock()));
        assert_against_the_order(&core);
        drop(alone.lock());
    }

    #[test]
    fn none_is_taken_beside_one_of_its_rank() {
        let (one, other) = (Mutex::new(1), Mutex::new(2));
        let held = one.lock();
        assert_against_the_order(&other);
        drop(held);
        assert_eq!(*other.lock(), 2);
    }

    #[test]
    fn one_may_be_tried_at_any_time_and_counts_from_then_on() {
        let (outer, inner) = (Mutex::ranked(Rank::Party, 1), Mutex::ranked(Rank::Party, 2));
        let alone = Mutex::new(3);
        let outer_guard = outer.try_lock();
        assert!(outer_guard.is_some() && outer.try_lock().is_none());
        let inner_guard = inner.try_lock().unwrap();
        drop(outer_guard);
        drop(alone.lock());
        assert_against_the_order(&outer);
        drop(inner_guard);
        assert_eq!(*outer.lock(), 1);
    }

    #[test]
    fn a_panic_leaves_the_data() {
        let mutex = Mutex::new(1);
        assert!(panics(|| {
            let mut guard = mutex.lock();
            *guard = 2;
            panic!("while it is held");
        }));
        assert_eq!(*mutex.lock(), 2);
        assert_eq!(mutex.try_lock().as_deref(), Some(&2));
        assert_eq!(mutex.into_inner(), 2);
    }

    #[test]
    fn a_thread_waits_until_it_is_told() {
        let shared = Arc::new((Mutex::new(0), Condvar::default()));
        let other = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            *other.0.lock() = 1;
            other.1.notify_all();
        });
        let mut guard = shared.0.lock();
        while *guard == 0 {
            guard = shared.1.wait(guard);
        }
        guard = shared.1.wait_timeout(guard, Duration::ZERO);
        drop(guard);
        thread.join().unwrap();
        assert_eq!(*shared.0.lock(), 1);
    }
}
