//! The links for streams that carry nothing, kept for the next streams.

use std::time::Duration;

use skupper_proto::engine::LinkKey;
use skupper_proto::time::Instant;

/// The links that are kept however long nothing comes. C routers keep as many.
const KEPT: usize = 128;

/// How long any other link carries nothing before it is given up. Bursts come back sooner.
const IDLE: Duration = Duration::from_secs(30);

/// How often the pool looks for such links, and the most that it gives up at once. Each costs two
/// frames. Ten thousand are gone within ten seconds.
const LOOK: Duration = Duration::from_secs(1);
const AT_ONCE: usize = 1024;

/// How long after the last of them a burst is over. The peer gives up its own links meanwhile.
const SETTLED: Duration = Duration::from_secs(5);

/// The links, in the order in which they became idle.
#[derive(Debug, Default)]
pub(super) struct Pool {
    idle: Vec<(LinkKey, Instant)>,
    due: Option<Instant>,
    /// The pool has given up links of a burst that is not over.
    burst: bool,
}

impl Pool {
    /// Puts a link into the pool that carries nothing.
    pub(super) fn put(&mut self, link: LinkKey, now: Instant) {
        self.idle.push((link, now));
        if self.idle.len() > KEPT && self.due.is_none() {
            self.due = Some(now + IDLE);
        }
    }

    /// Takes the link for the next stream: the one used last, for its state is warm at both ends.
    pub(super) fn take(&mut self) -> Option<LinkKey> {
        self.idle.pop().map(|(link, _)| link)
    }

    /// Removes a link that is gone or must not be used.
    pub(super) fn remove(&mut self, link: LinkKey) {
        self.idle.retain(|(known, _)| *known != link);
    }

    /// Returns when [`Pool::shed`] is to be called.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Returns the links to give up. A link stays if `busy` says that it has deliveries which are
    /// not settled.
    pub(super) fn shed(&mut self, now: Instant, busy: impl Fn(LinkKey) -> bool) -> Vec<LinkKey> {
        let spare = self.idle.len().saturating_sub(KEPT).min(AT_ONCE);
        let aged = |(link, since): &(LinkKey, Instant)| {
            (now.since(*since) >= IDLE && !busy(*link)).then_some(*link)
        };
        let mut given_up: Vec<_> = self.idle.iter().filter_map(aged).collect();
        // The links with the highest keys go: a table can give back the room behind its last key.
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

    /// Returns whether a burst is over since the last [`Pool::shed`], once for each burst.
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
