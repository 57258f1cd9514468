//! Streaming links of a connection that carry nothing now, kept for the next streams.

use std::time::Duration;

use skupper_proto::engine::LinkKey;
use skupper_proto::time::Instant;

/// Links that are kept however long nothing comes: as many as C routers keep.
const KEPT: usize = 128;

/// How long a link beyond those carries nothing before it is given up: bursts come back sooner.
const IDLE: Duration = Duration::from_secs(30);

/// How often it is looked which those are, and how many are given up at once: each costs two
/// frames. Ten thousand are gone within ten seconds.
const LOOK: Duration = Duration::from_secs(1);
const AT_ONCE: usize = 1024;

/// How long after the last of them was given up a burst is over: the peer gives up its own
/// meanwhile.
const SETTLED: Duration = Duration::from_secs(5);

/// The links, in the order in which they became idle.
#[derive(Debug, Default)]
pub(super) struct Pool {
    idle: Vec<(LinkKey, Instant)>,
    due: Option<Instant>,
    /// Links of a burst were given up, and it is not over yet.
    burst: bool,
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

    /// The links to be given up now. One that is `busy` has deliveries of which word is to come,
    /// and stays.
    pub(super) fn shed(&mut self, now: Instant, busy: impl Fn(LinkKey) -> bool) -> Vec<LinkKey> {
        let spare = self.idle.len().saturating_sub(KEPT).min(AT_ONCE);
        let aged = |(link, since): &(LinkKey, Instant)| {
            (now.since(*since) >= IDLE && !busy(*link)).then_some(*link)
        };
        let mut given_up: Vec<_> = self.idle.iter().filter_map(aged).collect();
        // Those with the highest keys go: a table can give back the room behind the last key that
        // is in use.
        given_up.sort_unstable_by(|one, other| other.cmp(one));
        given_up.truncate(spare);
        self.idle.retain(|(link, _)| given_up.binary_search_by(|gone| link.cmp(gone)).is_err());
        self.burst |= !given_up.is_empty();
        self.due = match self.idle.len() > KEPT {
            true => Some(now + LOOK),
            false => (!given_up.is_empty()).then(|| now + SETTLED),
        };
        given_up
    }

    /// Whether a burst is over since the last [`Pool::shed`]. Once for each.
    pub(super) fn settled(&mut self) -> bool {
        self.due.is_none() && std::mem::take(&mut self.burst)
    }

    /// Gives back the room that the links do not need.
    pub(super) fn shrink(&mut self) {
        self.idle.shrink_to_fit();
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
            assert_eq!(pool.settled(), pool.due().is_none(), "at the end");
            gone.extend(some);
        }
        assert!(!pool.settled() && now <= start + IDLE + IDLE / 2 + SETTLED);
        assert_eq!((gone.len(), pool.idle.len()), (1000 - KEPT, KEPT));
        assert!(
            !gone.contains(&LinkKey(7)) && !gone.contains(&LinkKey(999)),
            "it waits for word, or was of use"
        );
        assert!(
            pool.idle.iter().all(|(link, _)| link.0 < KEPT as u32 || link.0 == 999),
            "a table would keep its room"
        );
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
