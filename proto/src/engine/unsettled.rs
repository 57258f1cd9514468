//! The deliveries of a session by their ids, for as long as the peer can say anything about them.

use crate::amqp::performative::DeliveryState;
use std::collections::BTreeMap;

/// Deliveries of one direction by their ids, which are serial numbers (RFC 1982).
///
/// It finds those of a range in order, at a cost that follows what it finds and not what the range names.
#[derive(Debug)]
pub(super) struct Numbered<K> {
    keys: BTreeMap<u32, K>,
}

impl<K: Copy> Numbered<K> {
    pub(super) const fn new() -> Self {
        Self { keys: BTreeMap::new() }
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn insert(&mut self, id: u32, key: K) {
        self.keys.insert(id, key);
    }

    pub(super) fn remove(&mut self, id: u32) -> Option<K> {
        self.keys.remove(&id)
    }

    pub(super) fn get(&self, id: u32) -> Option<K> {
        self.keys.get(&id).copied()
    }

    /// The first delivery from `first` to `last`, where `last` is not before `first`.
    pub(super) fn first_of(&self, first: u32, last: u32) -> Option<(u32, K)> {
        let mut found = if first <= last {
            self.keys.range(first..=last).next()
        } else {
            self.keys.range(first..).next().or_else(|| self.keys.range(..=last).next())
        };
        found.take().map(|(id, key)| (*id, *key))
    }
}

/// Deliveries that we have sent, until they are settled.
///
/// The peer may repeat an outcome over many deliveries in few octets. Those whose outcome has been told stand apart, so that a
/// repetition finds nothing: ranges touch each delivery twice at most in its life.
#[derive(Debug)]
pub(super) struct Sent<K> {
    /// No outcome has been told.
    open: Numbered<K>,
    /// The outcome has been told, and the delivery is not settled.
    decided: Numbered<K>,
}

impl<K: Copy> Sent<K> {
    pub(super) const fn new() -> Self {
        Self { open: Numbered::new(), decided: Numbered::new() }
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn len(&self) -> usize {
        self.open.len() + self.decided.len()
    }

    pub(super) fn insert(&mut self, id: u32, key: K) {
        self.open.insert(id, key);
    }

    /// Forgets a delivery that is settled.
    pub(super) fn remove(&mut self, id: u32) {
        if self.open.remove(id).is_none() {
            self.decided.remove(id);
        }
    }

    /// Remembers that the outcome of a delivery has been told.
    pub(super) fn decide(&mut self, id: u32) {
        if let Some(key) = self.open.remove(id) {
            self.decided.insert(id, key);
        }
    }

    pub(super) fn get(&self, id: u32) -> Option<K> {
        self.open.get(id).or_else(|| self.decided.get(id))
    }

    /// The first delivery of a range for which such word is news.
    pub(super) fn first_of(&self, first: u32, last: u32, state: Option<&DeliveryState>, settled: bool) -> Option<(u32, K)> {
        // How far a receiver has come is said of one delivery; of several at once it tells nothing.
        if !settled && !state.is_some_and(DeliveryState::is_outcome) {
            return None;
        }
        let open = self.open.first_of(first, last);
        let decided = if settled { self.decided.first_of(first, last) } else { None };
        open.into_iter().chain(decided).min_by_key(|(id, _)| id.wrapping_sub(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_found_in_order_wherever_its_numbers_begin_anew() {
        for base in [0, 7, u32::MAX - 3, u32::MAX, i32::MAX as u32 - 2] {
            let mut numbered = Numbered::new();
            let ids: Vec<u32> = [0, 1, 3, 4, 9].map(|n| base.wrapping_add(n)).to_vec();
            ids.iter().for_each(|id| numbered.insert(*id, *id));
            for (first, last) in [(0, 9), (1, 4), (2, 2), (2, 3), (5, 8), (9, 9), (10, 2_000_000_000)] {
                let (mut next, last) = (base.wrapping_add(first), base.wrapping_add(last));
                let mut found = Vec::new();
                while let Some((id, _)) = numbered.first_of(next, last) {
                    found.push(id);
                    if id == last {
                        break;
                    }
                    next = id.wrapping_add(1);
                }
                let within = |id: &u32| id.wrapping_sub(base) >= first && id.wrapping_sub(base) <= last.wrapping_sub(base);
                assert_eq!(found, ids.iter().copied().filter(within).collect::<Vec<_>>(), "{base} {first}");
            }
        }
    }

    #[test]
    fn what_was_told_is_found_again_only_to_be_settled() {
        let mut sent = Sent::new();
        (0..10).for_each(|id| sent.insert(id, id));
        (2..5).for_each(|id| sent.decide(id));
        sent.remove(3);
        let accepted = Some(&DeliveryState::Accepted);
        assert_eq!(sent.first_of(2, 9, accepted, false), Some((5, 5)));
        assert_eq!(sent.first_of(2, 9, accepted, true), Some((2, 2)));
        assert_eq!(sent.first_of(3, 9, None, true), Some((4, 4)));
        assert_eq!(sent.first_of(0, 9, None, false), None);
        assert_eq!(sent.first_of(0, 9, Some(&DeliveryState::received(1)), false), None);
        assert_eq!((sent.get(2), sent.get(3), sent.get(7), sent.len()), (Some(2), None, Some(7), 9));
    }
}
