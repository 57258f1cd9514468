//! Counts the open descriptors of the process, and bounds them by purpose.
//!
//! A process without free descriptors can accept no probe, no operator and no neighbor. So code
//! that opens a socket for others claims its descriptor here first, for a [`Purpose`]. Clients stop
//! below the limit. The process estimates its own descriptors once, at the start.
#![expect(clippy::indexing_slicing, reason = "each purpose has its place")]

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Descriptors that clients leave to others, where the limit is high. Half of it serves connections
/// to servers and probes, which have 64 places by default. The rest is for neighbors, operators and
/// files.
const RESERVE: usize = 128;

/// Descriptors of the process itself: standard streams, logs, the admin socket and its lock,
/// signals, name look-ups, files that it reads for a moment.
const OWN: usize = 24;

/// Descriptors that the runtime of each thread has open.
const OWN_OF_THREAD: usize = 4;

/// The reason to give to an operator when a claim fails.
pub const NO_DESCRIPTOR: &str =
    "too many descriptors are open in this process; raise its limit (ulimit -n)";

/// The purpose of a descriptor. Each purpose leaves a part of the reserve to those that follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A client's connection.
    Client,
    /// A connection to a server, on behalf of a client that the network has accepted.
    Server,
    /// A probe, a scrape, or any other HTTP request.
    Http,
    /// A connection to or from another router.
    Router,
    /// An operator's request.
    Admin,
}

impl Purpose {
    const ALL: [Self; 5] = [Self::Client, Self::Server, Self::Http, Self::Router, Self::Admin];

    /// Returns the eighths of the reserve that this purpose leaves to others.
    const fn leaves(self) -> usize {
        match self {
            Self::Client => 8,
            Self::Server => 6,
            Self::Http => 4,
            Self::Router => 2,
            Self::Admin => 1,
        }
    }
}

/// A count of descriptors with a limit.
#[derive(Debug)]
struct Ledger {
    open: AtomicUsize,
    limit: AtomicUsize,
    waiting: [AtomicUsize; Purpose::ALL.len()],
    released: [Notify; Purpose::ALL.len()],
}

static PROCESS: Ledger = Ledger::new();

impl Ledger {
    const fn new() -> Self {
        Self {
            open: AtomicUsize::new(0),
            limit: AtomicUsize::new(usize::MAX),
            waiting: [const { AtomicUsize::new(0) }; Purpose::ALL.len()],
            released: [const { Notify::const_new() }; Purpose::ALL.len()],
        }
    }

    /// Returns the most descriptors that may be open after a claim for `purpose`.
    fn ceiling(&self, purpose: Purpose) -> usize {
        let limit = self.limit.load(Ordering::Relaxed);
        limit - (limit / 2).min(RESERVE) * purpose.leaves() / 8
    }

    /// Claims `more` descriptors, and returns false if the purpose allows no more.
    ///
    /// `more` is 1 for a new descriptor, or 0 to ask whether a counted one may stay.
    fn claim(&self, purpose: Purpose, more: usize) -> bool {
        let ceiling = self.ceiling(purpose);
        let more = |open| (open + more <= ceiling).then_some(open + more);
        self.open.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_ok()
    }

    async fn wait(&self, purpose: Purpose, more: usize) {
        /// Counts a waiting task for as long as it waits. Its drop passes a wake-up on, for this
        /// task may have been woken and cancelled.
        struct Waits<'ledger>(&'ledger Ledger, Purpose);
        impl Drop for Waits<'_> {
            fn drop(&mut self) {
                self.0.waiting[self.1 as usize].fetch_sub(1, Ordering::SeqCst);
                self.0.wake(self.0.open.load(Ordering::SeqCst));
            }
        }
        if self.claim(purpose, more) {
            return;
        }
        self.waiting[purpose as usize].fetch_add(1, Ordering::SeqCst);
        let _waits = Waits(self, purpose);
        loop {
            let mut released = pin!(self.released[purpose as usize].notified());
            // Registers before the claim, so that a release between the two is not missed.
            released.as_mut().enable();
            if self.claim(purpose, more) {
                return;
            }
            released.await;
        }
    }

    fn release(&self) {
        self.wake(self.open.fetch_sub(1, Ordering::SeqCst) - 1);
    }

    /// Wakes one waiting task that may have a descriptor while `open` are in use.
    fn wake(&self, open: usize) {
        // The purpose that may use most of the reserve comes first.
        let waits =
            |purpose: &&Purpose| self.waiting[**purpose as usize].load(Ordering::SeqCst) > 0;
        if let Some(next) =
            Purpose::ALL.iter().rev().find(waits).filter(|next| open <= self.ceiling(**next))
        {
            self.released[*next as usize].notify_one();
        }
    }
}

/// Sets the limit of this process. `limit` is the system's, `None` for none. Each of `threads` has
/// a runtime of its own.
///
/// Returns the descriptors left for sockets, or `None` without a limit.
pub fn limit_descriptors(limit: Option<u64>, threads: usize) -> Option<usize> {
    let limit = usize::try_from(limit?).ok()?;
    let left = limit.saturating_sub(OWN + OWN_OF_THREAD * threads);
    PROCESS.limit.store(left, Ordering::Relaxed);
    Some(left)
}

/// A counted descriptor. Keep it beside the socket or file that it stands for: its drop releases
/// it.
#[derive(Debug)]
#[must_use]
pub struct Descriptor(());

impl Descriptor {
    /// Claims a descriptor, or returns `None` if none is left for the purpose. Never waits.
    pub fn claim(purpose: Purpose) -> Option<Self> {
        // `then_some` would make and drop a descriptor after a failed claim, and so release one.
        PROCESS.claim(purpose, 1).then(|| Self(()))
    }

    /// Waits until a descriptor is left for the purpose, and claims it. The caller may cancel it.
    pub async fn wait(purpose: Purpose) -> Self {
        PROCESS.wait(purpose, 1).await;
        Self(())
    }

    /// Waits until the purpose allows this descriptor, which is open and counted already. The
    /// caller may cancel it.
    pub async fn wait_to_stay(&self, purpose: Purpose) {
        PROCESS.wait(purpose, 0).await;
    }

    /// Counts a descriptor that is open already, without regard to the limit.
    pub fn held() -> Self {
        PROCESS.open.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        PROCESS.release();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn ledger(limit: usize) -> Ledger {
        let ledger = Ledger::new();
        ledger.limit.store(limit, Ordering::Relaxed);
        ledger
    }

    fn claims(ledger: &Ledger, purpose: Purpose) -> usize {
        std::iter::from_fn(|| ledger.claim(purpose, 1).then_some(())).count()
    }

    #[test]
    fn each_purpose_leaves_something_to_those_behind_it() {
        for limit in [16, 40, 1000, 1_000_000] {
            let ledger = ledger(limit);
            let claimed = Purpose::ALL.map(|purpose| claims(&ledger, purpose));
            assert!(claimed.iter().all(|claimed| *claimed > 0), "{limit}: {claimed:?}");
            assert!(claimed.iter().sum::<usize>() < limit);
            assert!(claimed[0] >= limit / 2, "{limit}: {claimed:?}");
        }
        let unlimited = Ledger::new();
        assert!(Purpose::ALL.iter().all(|purpose| unlimited.claim(*purpose, 1)));
    }

    #[tokio::test]
    async fn a_release_wakes_one_that_can_use_it() {
        let ledger = Arc::new(ledger(16));
        for purpose in Purpose::ALL {
            claims(&ledger, purpose);
        }
        let wait = |purpose| {
            let ledger = Arc::clone(&ledger);
            tokio::spawn(async move { ledger.wait(purpose, 1).await })
        };
        let [client, router] = [wait(Purpose::Client), wait(Purpose::Router)];
        let given_up = wait(Purpose::Router);
        tokio::task::yield_now().await;
        given_up.abort();
        assert!(given_up.await.unwrap_err().is_cancelled());
        while !router.is_finished() {
            ledger.release();
            tokio::task::yield_now().await;
        }
        assert!(!client.is_finished());
        while ledger.open.load(Ordering::SeqCst) >= ledger.ceiling(Purpose::Client) {
            ledger.release();
        }
        client.await.unwrap();
        assert_eq!(ledger.waiting.each_ref().map(|waiting| waiting.load(Ordering::SeqCst)), [0; 5]);
    }
}
