//! The counts of a link that one delivery changes, and deliveries that wait for too long.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use skupper_proto::amqp::performative::DeliveryState;
use skupper_proto::time::Instant;

use super::context::Context;
use crate::node::{KnownLink, LinkRecord, STUCK};

/// How often a connection looks for deliveries that have waited for too long.
const SCAN: Duration = Duration::from_secs(5);

/// The counts of a link that one delivery changes.
pub(super) struct Tally {
    since: Instant,
    /// The link, once it is known.
    record: Option<Arc<LinkRecord>>,
    /// The delivery counts as unsettled there.
    unsettled: bool,
    /// The delivery counts as stuck there.
    stuck: bool,
}

impl Tally {
    /// Begins to measure the time that a delivery takes.
    pub(super) const fn new(now: Instant) -> Self {
        Self { since: now, record: None, unsettled: false, stuck: false }
    }

    /// Names the link, unless that is known.
    pub(super) fn name(&mut self, link: Option<&KnownLink>) {
        if self.record.is_none() {
            self.record = link.map(|known| Arc::clone(known.record()));
        }
    }

    /// Returns the link.
    pub(super) const fn record(&self) -> Option<&Arc<LinkRecord>> {
        self.record.as_ref()
    }

    /// Counts the delivery as one that has begun.
    pub(super) fn begin(&mut self, presettled: bool, now: Instant) {
        if let Some(record) = &self.record {
            record.counts.begin(presettled, now);
            self.unsettled = !presettled;
        }
    }

    /// Returns whether the delivery counts as unsettled.
    pub(super) const fn is_unsettled(&self) -> bool {
        self.unsettled
    }

    /// Counts the delivery as over, with its outcome. Returns the time that it took if it was
    /// unsettled. To be called once.
    pub(super) fn end(&self, outcome: Option<&DeliveryState>, now: Instant) -> Option<Duration> {
        let record = self.record.as_ref()?;
        if self.unsettled {
            let age = now.since(self.since);
            record.counts.end(outcome, age, self.stuck, now);
            return Some(age);
        }
        if self.stuck {
            record.counts.stuck.fetch_sub(1, Ordering::Relaxed);
        }
        None
    }
}

/// A look for deliveries that have waited for too long.
pub(super) struct Scan {
    now: Instant,
    /// The links that have more of them than before.
    links: Vec<Arc<LinkRecord>>,
    /// There are deliveries that may become so.
    waiting: bool,
}

impl Scan {
    /// Begins a look.
    pub(super) const fn new(now: Instant) -> Self {
        Self { now, links: Vec::new(), waiting: false }
    }

    /// Looks at a delivery, and counts it once it has waited for too long.
    pub(super) fn look(&mut self, tally: &mut Tally) {
        if tally.stuck {
            return;
        }
        self.waiting = true;
        if let Some(record) = &tally.record
            && self.now.since(tally.since) >= STUCK
        {
            tally.stuck = true;
            record.counts.stuck.fetch_add(1, Ordering::Relaxed);
            self.links.push(Arc::clone(record));
        }
    }

    /// Ends the look: logs once for each link, and sets the time of the next look.
    pub(super) fn end(self, cx: &mut Context) {
        let Self { mut links, waiting, .. } = self;
        cx.scan_due = waiting.then(|| cx.now + SCAN);
        links.sort_by_key(|record| record.id);
        links.dedup_by_key(|record| record.id);
        for record in links {
            crate::log_limited!(
                record.id,
                RouterCore,
                Info,
                "[C{}][L{}] Stuck delivery: At least one delivery on this link has been \
                 undelivered/unsettled for more than {} seconds",
                cx.id,
                record.id,
                STUCK.as_secs()
            );
        }
    }
}

impl Context {
    /// A delivery waits for its settlement: it may wait for too long.
    pub(super) fn expect_settlement(&mut self) {
        if self.scan_due.is_none() {
            self.scan_due = Some(self.now + SCAN);
        }
    }
}
