//! Deliveries of clients that have waited for too long.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use skupper_proto::time::Instant;

use super::connection::Connection;
use crate::node::{LinkRecord, STUCK};

/// How often a connection looks for them.
const SCAN: Duration = Duration::from_secs(5);

/// What such a look finds.
pub(super) struct Stuck {
    now: Instant,
    /// The links that have more of them now.
    links: Vec<Arc<LinkRecord>>,
    /// There are deliveries that may become so.
    waiting: bool,
}

impl Stuck {
    /// Looks at a delivery: its link, since when it waits, and its mark.
    pub(super) fn look(
        &mut self,
        record: Option<&Arc<LinkRecord>>,
        begun: Instant,
        stuck: &mut bool,
    ) {
        if *stuck {
            return;
        }
        self.waiting = true;
        if let Some(record) = record.filter(|_| self.now.since(begun) >= STUCK) {
            *stuck = true;
            record.counts.stuck.fetch_add(1, Ordering::Relaxed);
            self.links.push(Arc::clone(record));
        }
    }
}

impl Connection {
    /// A delivery waits for its settlement: it may wait for too long.
    pub(super) fn expect_settlement(&mut self) {
        if self.cx.scan_due.is_none() {
            self.cx.scan_due = Some(self.cx.now + SCAN);
        }
    }

    /// Counts deliveries that have waited for too long, and says so once for each link.
    pub(super) fn scan(&mut self) {
        let mut found = Stuck { now: self.cx.now, links: Vec::new(), waiting: false };
        self.stuck_incoming(&mut found);
        self.stuck_outgoing(&mut found);
        let Stuck { mut links, waiting, .. } = found;
        self.cx.scan_due = waiting.then(|| self.cx.now + SCAN);
        links.sort_by_key(|record| record.id);
        links.dedup_by_key(|record| record.id);
        for record in links {
            crate::log_limited!(
                record.id,
                RouterCore,
                Info,
                "[C{}][L{}] Stuck delivery: At least one delivery on this link has been undelivered/unsettled for more than {} seconds",
                self.cx.id,
                record.id,
                STUCK.as_secs()
            );
        }
    }
}
