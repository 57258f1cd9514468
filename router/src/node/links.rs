//! The record of AMQP links, for management.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use skupper_proto::amqp::performative::DeliveryState;
use skupper_proto::time::Instant;

use super::walk::Walk;
use crate::core::{Charge, Holder};
use crate::lock::{Mutex, MutexGuard};

/// The purpose of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// A link of a client, or of a stream on a data connection.
    Endpoint,
    /// Messages of the routing protocol.
    Control,
    /// Messages between routers.
    InterRouter,
    /// Messages for an edge router itself.
    EdgeDownlink,
    /// Messages for another edge router itself.
    InterEdge,
}

impl LinkKind {
    /// Returns its name in management.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint",
            Self::Control => "router-control",
            Self::InterRouter => "inter-router",
            Self::EdgeDownlink => "edge-downlink",
            Self::InterEdge => "inter-edge",
        }
    }
}

/// Bytes of memory that a link takes beside its texts and its place in the engine. A link with an
/// address takes more: the core keeps a record of the address, and watches or consumes it.
/// (Measured in all: 0.8 KiB for an anonymous link, 1.3 for a sender's and 1.6 for a receiver's.)
const TAKES: usize = 512;
const TAKES_WITH_ADDRESS: usize = TAKES + 832;

/// The record of one link.
#[derive(Debug)]
pub struct LinkRecord {
    /// Its number, unique in this router.
    pub id: u64,
    /// The number of its connection.
    pub connection: u64,
    /// Its name.
    pub name: String,
    /// Whether this router sends on it.
    pub outgoing: bool,
    /// Its purpose.
    pub kind: LinkKind,
    /// The address it is bound to: the router's key, or the text of its terminus.
    pub address: Option<String>,
    /// Deliveries that may be open on it.
    pub capacity: u32,
    /// The priority of the messages it carries.
    pub priority: u8,
    /// The counts of its deliveries.
    pub counts: LinkCounts,
}

impl LinkRecord {
    /// Returns the bytes of memory that the link takes: for its record, its connection's part, its
    /// name, and its address, which the core's tables hold as well.
    fn takes(&self) -> usize {
        let address =
            self.address.as_ref().map_or(TAKES, |address| TAKES_WITH_ADDRESS + 4 * address.len());
        address + self.name.len()
    }
}

macro_rules! counts {
    ($($(#[$meta:meta])* $name:ident: $type:ty,)+) => {
        /// Deliveries of a link, counted by what became of them.
        #[derive(Debug, Default)]
        pub struct LinkCounts { $($(#[$meta])* pub $name: $type,)+ }
    };
}

counts! {
    /// All.
    deliveries: AtomicU64,
    /// That wait to be sent, now.
    undelivered: AtomicU64,
    /// That are not settled, now.
    unsettled: AtomicU64,
    /// That came settled.
    presettled: AtomicU64,
    /// That came settled and were dropped.
    dropped: AtomicU64,
    /// With the outcome accepted.
    accepted: AtomicU64,
    /// With the outcome rejected.
    rejected: AtomicU64,
    /// With the outcome released.
    released: AtomicU64,
    /// With the outcome modified.
    modified: AtomicU64,
    /// That took from one second to ten.
    delayed_1_second: AtomicU64,
    /// That took longer than ten seconds.
    delayed_10_seconds: AtomicU64,
    /// That have waited for more than ten seconds, now.
    stuck: AtomicU64,
    /// Deliveries that may be sent, now.
    credit: AtomicU32,
    /// When the credit became none, in microseconds of the router's clock; 0 while there is some.
    without_credit_since: AtomicU64,
    /// How many were settled in the last seconds.
    settled: Rate,
    /// That went out, by the router at which they had come in.
    by_ingress: ByIngress,
}

/// The age beyond which a delivery is counted as slow.
const SLOW: Duration = Duration::from_secs(1);

/// The age beyond which a delivery is counted as very slow, or as stuck while it is open.
pub const STUCK: Duration = Duration::from_secs(10);

impl LinkCounts {
    /// Counts a delivery that begins.
    pub fn begin(&self, presettled: bool, now: Instant) {
        self.deliveries.fetch_add(1, Ordering::Relaxed);
        if presettled {
            self.settled.count(now);
            self.presettled.fetch_add(1, Ordering::Relaxed);
        } else {
            self.unsettled.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts the end of an unsettled delivery, after `age` and with this outcome. `stuck` says
    /// that it was counted as stuck.
    pub fn end(&self, outcome: Option<&DeliveryState>, age: Duration, stuck: bool, now: Instant) {
        if matches!(outcome, Some(DeliveryState::Accepted | DeliveryState::Rejected(_))) {
            self.settled.count(now);
        }
        self.unsettled.fetch_sub(1, Ordering::Relaxed);
        let counter = match outcome {
            Some(DeliveryState::Accepted) => Some(&self.accepted),
            Some(DeliveryState::Rejected(_)) => Some(&self.rejected),
            Some(DeliveryState::Released) => Some(&self.released),
            Some(DeliveryState::Modified(_)) => Some(&self.modified),
            Some(DeliveryState::Received(_) | DeliveryState::Other(_)) | None => None,
        };
        if let Some(counter) = counter {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        if age > STUCK {
            self.delayed_10_seconds.fetch_add(1, Ordering::Relaxed);
        } else if age > SLOW {
            self.delayed_1_second.fetch_add(1, Ordering::Relaxed);
        }
        if stuck {
            self.stuck.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Notes the credit of the link.
    pub fn set_credit(&self, credit: u32, now: Instant) {
        self.credit.store(credit, Ordering::Relaxed);
        if credit > 0 {
            self.without_credit_since.store(0, Ordering::Relaxed);
        } else if self.without_credit_since.load(Ordering::Relaxed) == 0 {
            self.without_credit_since.store(now.as_micros().max(1), Ordering::Relaxed);
        }
    }

    /// Returns for how long the link has had no credit.
    pub fn without_credit(&self, now: Instant) -> Duration {
        match self.without_credit_since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => Duration::from_micros(now.as_micros().saturating_sub(since)),
        }
    }
}

/// The seconds that a rate is averaged over.
const RATE_SECONDS: usize = 5;

/// Counts the events of each of the last seconds. Only one task may count. A reader may miss the
/// last event.
#[derive(Debug, Default)]
pub struct Rate([AtomicU64; RATE_SECONDS]);

impl Rate {
    /// The place of the second in a slot. The count below it stays under 2^24.
    const SHIFT: u32 = 24;

    fn count(&self, now: Instant) {
        let second = now.as_micros() / 1_000_000;
        let Some(slot) = self.0.get((second % RATE_SECONDS as u64) as usize) else { return };
        let held = slot.load(Ordering::Relaxed);
        let count = if held >> Self::SHIFT == second { held & ((1 << Self::SHIFT) - 1) } else { 0 };
        let count = (count + 1).min((1 << Self::SHIFT) - 1);
        slot.store(second << Self::SHIFT | count, Ordering::Relaxed);
    }

    /// Returns the mean number of events a second.
    pub fn mean(&self, now: Instant) -> u64 {
        let second = now.as_micros() / 1_000_000;
        let recent = |held: &u64| second.saturating_sub(held >> Self::SHIFT) < RATE_SECONDS as u64;
        let held = self.0.iter().map(|slot| slot.load(Ordering::Relaxed));
        held.filter(recent).map(|held| held & ((1 << Self::SHIFT) - 1)).sum::<u64>()
            / RATE_SECONDS as u64
    }
}

/// Counts the deliveries of an outgoing link by the number of the router at which they entered the
/// network.
#[derive(Debug, Default)]
pub struct ByIngress(Mutex<Vec<u64>>);

impl ByIngress {
    /// Counts a delivery that entered at this router.
    pub fn count(&self, router: usize) {
        let mut counts = self.0.lock();
        if counts.len() <= router {
            counts.resize(router + 1, 0);
        }
        if let Some(count) = counts.get_mut(router) {
            *count += 1;
        }
    }

    /// Returns the counts, at least as many as C routers tell: readers index them by number.
    pub fn get(&self) -> Vec<u64> {
        let mut counts = self.0.lock().clone();
        counts.resize(counts.len().max(128), 0);
        counts
    }
}

/// The record of all links.
#[derive(Debug, Default)]
pub struct Links {
    next: AtomicU64,
    links: Mutex<BTreeMap<u64, Arc<LinkRecord>>>,
}

/// A link's entry, removed when this is dropped.
#[derive(Debug)]
pub struct KnownLink {
    links: Arc<Links>,
    record: Arc<LinkRecord>,
    _charge: Charge,
}

impl KnownLink {
    /// Returns its record.
    pub fn record(&self) -> &Arc<LinkRecord> {
        &self.record
    }
}

impl Drop for KnownLink {
    fn drop(&mut self) {
        self.links.lock().remove(&self.record.id);
    }
}

impl Links {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<LinkRecord>>> {
        self.links.lock()
    }

    /// Enters a link, gives it a number, and charges `holder` for it.
    pub fn enter(self: &Arc<Self>, record: LinkRecord, holder: &Arc<Holder>) -> KnownLink {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let record = Arc::new(LinkRecord { id, ..record });
        self.lock().insert(id, Arc::clone(&record));
        KnownLink { links: Arc::clone(self), _charge: holder.charge(record.takes()), record }
    }

    /// Returns every link, by number. Links may come and go during the iteration.
    pub fn all(&self) -> impl Iterator<Item = Arc<LinkRecord>> + Send + '_ {
        Walk::new(&self.links)
    }

    /// Returns the link of this number.
    pub fn get(&self, id: u64) -> Option<Arc<LinkRecord>> {
        self.lock().get(&id).map(Arc::clone)
    }

    /// Returns the number of links.
    pub fn count(&self) -> usize {
        self.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_the_last_seconds() {
        let rate = Rate::default();
        let at = |milliseconds| Instant::from_millis(milliseconds);
        for millisecond in 0..2000 {
            rate.count(at(7000 + millisecond));
        }
        assert_eq!(
            [8999, 11_999, 12_999, 14_000].map(|time| rate.mean(at(time))),
            [400, 400, 200, 0]
        );
        rate.count(at(27_000));
        (0..9).for_each(|_| rate.count(at(27_999)));
        assert_eq!(rate.mean(at(28_000)), 2, "what was counted in the place long ago is forgotten");
    }

    #[test]
    fn counts_are_found_by_the_routers_number() {
        let counts = ByIngress::default();
        counts.count(0);
        counts.count(200);
        counts.count(200);
        let counts = counts.get();
        assert_eq!((counts.len(), counts[0], counts[200]), (201, 1, 2));
        assert_eq!(ByIngress::default().get(), [0; 128]);
    }
}
