//! The consumers of one address at this router, in the order in which they came.
//!
//! Readers load them as a snapshot, which a change copies. One client may attach tens of thousands
//! to one address. So they stand in parts that snapshots share: a change copies one part and the
//! list of parts.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use skupper_proto::mobile::Rank;

use super::endpoint::LocalConsumer;

/// The most consumers of one part. A change copies one part and the list of parts, so neither may
/// be long.
const PART: usize = 128;

/// Two parts beside each other are joined if neither has more, so that parts stay few.
const SPARSE: usize = PART / 4;

/// The consumers. Handlers that every router has for itself stand before all others.
#[derive(Clone, Debug, Default)]
pub(super) struct Consumers {
    own: Vec<Arc<LocalConsumer>>,
    /// The others, at least one in each part.
    parts: Vec<Arc<Vec<Arc<LocalConsumer>>>>,
    /// How many others there are.
    count: usize,
    /// Of the others, how many do not take bytes of a client before they have answered.
    late: usize,
    /// Of the others, how many are clients.
    clients: usize,
    next: u64,
}

/// Returns a consumer's number. Numbers rise within the parts.
fn number(consumer: &Arc<LocalConsumer>) -> u64 {
    consumer.number.load(Ordering::Relaxed)
}

impl Consumers {
    pub(super) const fn len(&self) -> usize {
        self.count + self.own.len()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how many are handlers that every router has for itself.
    pub(super) const fn own(&self) -> usize {
        self.own.len()
    }

    pub(super) const fn has_client(&self) -> bool {
        self.clients > 0
    }

    /// Returns whether all but handlers take bytes of a client before they have answered.
    pub(super) const fn are_early(&self) -> bool {
        self.late == 0
    }

    /// Returns the highest rank that one of them gives the address. A consumer behind an edge
    /// connection does not count as a client.
    pub(super) const fn rank(&self) -> Rank {
        if self.count > self.clients + self.late {
            Rank::Service
        } else if self.late > 0 {
            Rank::Edge
        } else {
            Rank::Client
        }
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<LocalConsumer>> {
        self.own.iter().chain(self.parts.iter().flat_map(|part| part.iter()))
    }

    /// Returns all of them, in their order, beginning with the one at `index`.
    pub(super) fn iter_from(&self, index: usize) -> impl Iterator<Item = &Arc<LocalConsumer>> {
        self.iter().skip(index).chain(self.iter().take(index))
    }

    pub(super) fn get(&self, index: usize) -> Option<&Arc<LocalConsumer>> {
        self.iter().nth(index)
    }

    pub(super) fn push(&mut self, consumer: &Arc<LocalConsumer>) {
        if consumer.own {
            return self.own.push(Arc::clone(consumer));
        }
        consumer.number.store(self.next, Ordering::Relaxed);
        self.next += 1;
        self.count += 1;
        self.late += usize::from(!consumer.is_early());
        self.clients += usize::from(consumer.client);
        match self.parts.last_mut().filter(|part| part.len() < PART) {
            Some(part) => Arc::make_mut(part).push(Arc::clone(consumer)),
            None => self.parts.push(Arc::new(vec![Arc::clone(consumer)])),
        }
    }

    pub(super) fn remove(&mut self, consumer: &Arc<LocalConsumer>) {
        if consumer.own {
            return self.own.retain(|known| !Arc::ptr_eq(known, consumer));
        }
        let Some((at, index)) = self.find(consumer) else { return };
        let Some(part) = self.parts.get_mut(at) else { return };
        self.count -= 1;
        self.late -= usize::from(!consumer.is_early());
        self.clients -= usize::from(consumer.client);
        Arc::make_mut(part).remove(index);
        if part.is_empty() {
            self.parts.remove(at);
        } else if !self.join(at) {
            at.checked_sub(1).map(|before| self.join(before));
        }
    }

    /// Returns the part of a consumer, and its place there.
    fn find(&self, consumer: &Arc<LocalConsumer>) -> Option<(usize, usize)> {
        let within = |at: usize| {
            Some((at, self.parts.get(at)?.iter().position(|known| Arc::ptr_eq(known, consumer))?))
        };
        let wanted = number(consumer);
        let after = self
            .parts
            .partition_point(|part| part.first().is_some_and(|first| number(first) <= wanted));
        // The number of a consumer of several addresses may be that of another address.
        after.checked_sub(1).and_then(within).or_else(|| (0..self.parts.len()).find_map(within))
    }

    /// Joins a part with the one behind it, if both have few. Returns whether it did.
    fn join(&mut self, at: usize) -> bool {
        let sparse = |at: usize| self.parts.get(at).is_some_and(|part| part.len() <= SPARSE);
        let joins = sparse(at) && sparse(at + 1);
        if joins {
            let next = self.parts.remove(at + 1);
            if let Some(part) = self.parts.get_mut(at) {
                Arc::make_mut(part).extend(next.iter().cloned());
            }
        }
        joins
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::Sink;
    use super::*;

    proptest! {
        /// It equals a vector of them, and has few parts.
        #[test]
        fn they_are_those_that_came_and_did_not_go(steps in prop::collection::vec((0..3u8,
            any::<prop::sample::Index>()), 0..2000)) {
            let (mut consumers, mut known) = (Consumers::default(), Vec::new());
            for (what, which) in steps {
                if what > 0 || known.is_empty() {
                    let consumer = LocalConsumer::new(Sink::new());
                    consumers.push(&consumer);
                    known.push(consumer);
                } else {
                    consumers.remove(&known.remove(which.index(known.len())));
                }
            }
            type Both<'a> = (&'a Arc<LocalConsumer>, &'a Arc<LocalConsumer>);
            let same = |(ours, theirs): Both<'_>| Arc::ptr_eq(ours, theirs);
            let counted = (consumers.len(), consumers.iter().count());
            prop_assert_eq!(counted, (known.len(), known.len()));
            prop_assert!(consumers.iter().zip(&known).all(same));
            let middle = known.len() / 2;
            let turned = known[middle..].iter().chain(&known[..middle]);
            prop_assert!(consumers.iter_from(middle).zip(turned).all(same));
            prop_assert!(consumers.parts.len() <= 2 * known.len() / SPARSE + 2, "{} parts",
                consumers.parts.len());
        }
    }
}
