//! Streaming links of a connection that carry nothing now, kept for the next streams.

use skupper_proto::engine::LinkKey;
use skupper_proto::time::Instant;
use std::time::Duration;

/// Links that are kept however long nothing comes: as many as C routers keep.
const KEPT: usize = 128;

/// How long a link beyond those carries nothing before it is given up: bursts come back sooner.
const IDLE: Duration = Duration::from_secs(30);

/// How often it is looked which those are, and how many are given up at once: each costs two frames.
const LOOK: Duration = Duration::from_secs(5);
const AT_ONCE: usize = 256;

/// The links, in the order in which they became idle.
#[derive(Debug, Default)]
pub(super) struct Pool {
    idle: Vec<(LinkKey, Instant)>,
    due: Option<Instant>,
}

impl Pool {
    /// A link carries nothing any more.
    pub(super) fn put(&mut self, link: LinkKey, now: Instant) {
        self.idle.push((link, now));
        if self.idle.len() > KEPT && self.due.is_none() {
            self.due = Some(now + IDLE);
        }
    }

    /// The link for the next stream: the one used last, for its state is warm at both ends.
    pub(super) fn take(&mut self) -> Option<LinkKey> {
        self.idle.pop().map(|(link, _)| link)
    }

    /// A link is gone, or may not be used.
    pub(super) fn remove(&mut self, link: LinkKey) {
        self.idle.retain(|(known, _)| *known != link);
    }

    /// When [`Pool::shed`] is to be called.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// The links to be given up now. One that is `busy` has deliveries of which word is to come, and stays.
    pub(super) fn shed(&mut self, now: Instant, busy: impl Fn(LinkKey) -> bool) -> Vec<LinkKey> {
        let spare = self.idle.len().saturating_sub(KEPT).min(AT_ONCE);
        let mut given_up = Vec::new();
        self.idle.retain(|(link, since)| {
            let goes = given_up.len() < spare && now.since(*since) >= IDLE && !busy(*link);
            if goes {
                given_up.push(*link);
            }
            !goes
        });
        self.due = (self.idle.len() > KEPT).then(|| now + LOOK);
        given_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_forgotten_after_a_while() {
        let mut pool = Pool::default();
        let start = Instant::from_millis(1000);
        (0..1000).for_each(|link| pool.put(LinkKey(link), start));
        assert_eq!(pool.take(), Some(LinkKey(999)), "the last one first");
        pool.put(LinkKey(999), start + IDLE / 2);
        let mut gone = Vec::new();
        let mut now = start;
        while let Some(due) = pool.due() {
            assert!(due > now && now < start + Duration::from_secs(120));
            now = due;
            let some = pool.shed(now, |link| link == LinkKey(7));
            assert!(some.len() <= AT_ONCE);
            gone.extend(some);
        }
        assert_eq!((gone.len(), pool.idle.len()), (1000 - KEPT, KEPT));
        assert!(!gone.contains(&LinkKey(7)) && !gone.contains(&LinkKey(999)), "it waits for word, or was of use");
    }

    #[test]
    fn links_in_use_again_and_again_stay() {
        let mut pool = Pool::default();
        let mut now = Instant::from_millis(1000);
        for _ in 0..100 {
            (0..200).for_each(|link| pool.put(LinkKey(link), now));
            now += Duration::from_secs(5);
            assert_eq!(pool.shed(now, |_| false), []);
            for _ in 0..200 {
                let _ = pool.take();
            }
        }
    }
}
