//! What is known of AMQP links, for management.

use skupper_proto::amqp::performative::DeliveryState;
use skupper_proto::time::Instant;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// A client's, or a stream's on a data connection.
    Endpoint,
    /// Messages of the routing protocol.
    Control,
    /// Messages between routers.
    InterRouter,
    /// Messages for an edge router itself.
    EdgeDownlink,
}

impl LinkKind {
    /// Its name in management.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint",
            Self::Control => "router-control",
            Self::InterRouter => "inter-router",
            Self::EdgeDownlink => "edge-downlink",
        }
    }
}

/// One link.
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
    /// What it is for.
    pub kind: LinkKind,
    /// The address it is bound to: as the router keys it, or the text of its terminus.
    pub address: Option<String>,
    /// Deliveries that may be open on it.
    pub capacity: u32,
    /// The priority of the messages it carries.
    pub priority: u8,
    /// What has passed.
    pub counts: LinkCounts,
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
}

/// A delivery takes too long beyond this, and is counted.
const SLOW: Duration = Duration::from_secs(1);

/// A delivery that takes longer than this is counted as one that took very long, or is stuck.
pub const STUCK: Duration = Duration::from_secs(10);

impl LinkCounts {
    /// A delivery began.
    pub fn begin(&self, presettled: bool) {
        self.deliveries.fetch_add(1, Ordering::Relaxed);
        if presettled {
            self.presettled.fetch_add(1, Ordering::Relaxed);
        } else {
            self.unsettled.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// An unsettled delivery ended after `age`, with this outcome. `stuck` says that it had been counted as such.
    pub fn end(&self, outcome: Option<&DeliveryState>, age: Duration, stuck: bool) {
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

    /// The credit is so much now.
    pub fn set_credit(&self, credit: u32, now: Instant) {
        self.credit.store(credit, Ordering::Relaxed);
        if credit > 0 {
            self.without_credit_since.store(0, Ordering::Relaxed);
        } else if self.without_credit_since.load(Ordering::Relaxed) == 0 {
            self.without_credit_since.store(now.as_micros().max(1), Ordering::Relaxed);
        }
    }

    /// For how long there has been no credit.
    pub fn without_credit(&self, now: Instant) -> Duration {
        match self.without_credit_since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => Duration::from_micros(now.as_micros().saturating_sub(since)),
        }
    }
}

/// All links.
#[derive(Debug, Default)]
pub struct Links {
    next: AtomicU64,
    links: Mutex<BTreeMap<u64, Arc<LinkRecord>>>,
}

/// A link's entry, gone when dropped.
#[derive(Debug)]
pub struct KnownLink {
    links: Arc<Links>,
    record: Arc<LinkRecord>,
}

impl KnownLink {
    /// What is known of it.
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
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a link; its number is given here.
    pub fn enter(self: &Arc<Self>, record: LinkRecord) -> KnownLink {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let record = Arc::new(LinkRecord { id, ..record });
        self.lock().insert(id, Arc::clone(&record));
        KnownLink { links: Arc::clone(self), record }
    }

    /// Every link, by number.
    pub fn all(&self) -> Vec<Arc<LinkRecord>> {
        self.lock().values().map(Arc::clone).collect()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.lock().len()
    }
}
