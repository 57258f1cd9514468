//! The deliveries of a session by their ids, for as long as the peer can state anything of them.

use std::collections::{BTreeMap, VecDeque};

use crate::amqp::performative::DeliveryState;

/// How many ids behind the newest a delivery has a place in the ring. Most deliveries are settled
/// within a link's credit, mostly 250. A place takes 8 bytes.
const RECENT: usize = 256;

/// Deliveries of one direction by their ids, which are serial numbers (RFC 1982).
///
/// It finds those of a range in order. The cost follows what it finds, not the length of the range.
/// The newest ids have places in a ring, which allocates nothing once it has grown. Older
/// deliveries move to a tree, so an old one keeps no space for all that came after it.
#[derive(Debug)]
pub(super) struct Numbered<K> {
    /// The id of the ring's first place.
    base: u32,
    recent: VecDeque<Option<K>>,
    old: BTreeMap<u32, K>,
}

impl<K: Copy> Numbered<K> {
    pub(super) const fn new() -> Self {
        Self { base: 0, recent: VecDeque::new(), old: BTreeMap::new() }
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn len(&self) -> usize {
        self.recent.iter().flatten().count() + self.old.len()
    }

    /// Gives back the memory that the ring does not need.
    pub(super) fn shrink(&mut self) {
        self.recent.shrink_to_fit();
    }

    /// Returns the place of an id in the ring, which may be behind its end.
    fn place(&self, id: u32) -> usize {
        id.wrapping_sub(self.base) as usize
    }

    /// Adds a delivery. The cost is constant over many calls if ids go up by at most [`RECENT`] a
    /// call.
    pub(super) fn insert(&mut self, id: u32, key: K) {
        if self.recent.is_empty() {
            self.base = id;
        }
        // An id comes again after four billion others.
        if !self.old.is_empty() {
            self.old.remove(&id);
        }
        let place = self.place(id);
        if let Some(known) = self.recent.get_mut(place) {
            *known = Some(key);
        } else if place > i32::MAX as usize {
            // It is older than the ring.
            self.old.insert(id, key);
        } else {
            self.make_room(place);
            // Nothing may be left of the ring.
            let place = if self.recent.is_empty() { 0 } else { self.place(id) };
            self.base = if place == 0 { id } else { self.base };
            self.recent.resize(place, None);
            self.recent.push_back(Some(key));
        }
    }

    /// Makes a place so far behind the first: moves the deliveries that become too old to the
    /// tree.
    fn make_room(&mut self, place: usize) {
        for _ in 0..(place + 1).saturating_sub(RECENT).min(self.recent.len()) {
            if let Some(Some(key)) = self.recent.pop_front() {
                self.old.insert(self.base, key);
            }
            self.base = self.base.wrapping_add(1);
        }
        self.trim();
    }

    /// Drops the empty places before the first delivery of the ring.
    fn trim(&mut self) {
        while let Some(None) = self.recent.front() {
            self.recent.pop_front();
            self.base = self.base.wrapping_add(1);
        }
    }

    pub(super) fn remove(&mut self, id: u32) -> Option<K> {
        let place = self.place(id);
        let key = self.recent.get_mut(place).and_then(Option::take);
        if key.is_none() {
            return self.old.remove(&id);
        }
        if place == 0 {
            self.trim();
        }
        key
    }

    pub(super) fn get(&self, id: u32) -> Option<K> {
        self.recent.get(self.place(id)).copied().flatten().or_else(|| self.old.get(&id).copied())
    }

    /// Returns the first delivery from `first` to `last`, where `last` is not before `first`.
    pub(super) fn first_of(&self, first: u32, last: u32) -> Option<(u32, K)> {
        let mut old = if first <= last {
            self.old.range(first..=last).next()
        } else {
            self.old.range(first..).next().or_else(|| self.old.range(..=last).next())
        };
        let old = old.take().map(|(id, key)| (*id, *key));
        [old, self.first_recent(first, last)]
            .into_iter()
            .flatten()
            .min_by_key(|(id, _)| id.wrapping_sub(first))
    }

    fn first_recent(&self, first: u32, last: u32) -> Option<(u32, K)> {
        // The range begins in the ring, or before it.
        let from = if self.place(first) < self.recent.len() { self.place(first) } else { 0 };
        let within = |id: u32| id.wrapping_sub(first) <= last.wrapping_sub(first);
        let ids = (from..self.recent.len()).map(|place| self.base.wrapping_add(place as u32));
        ids.zip(self.recent.range(from..))
            .take_while(|(id, _)| within(*id))
            .find_map(|(id, known)| Some((id, (*known)?)))
    }
}

/// Deliveries that we have sent, until they are settled.
///
/// The peer may repeat an outcome over many deliveries in few bytes. Deliveries with a known
/// outcome stand apart, so a repetition finds nothing: ranges touch each delivery twice at most in
/// its life.
#[derive(Debug)]
pub(super) struct Sent<K> {
    /// Deliveries without a known outcome.
    open: Numbered<K>,
    /// Deliveries whose outcome is known and that are not settled.
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

    /// Notes that the application was told the outcome of a delivery.
    pub(super) fn decide(&mut self, id: u32) {
        if let Some(key) = self.open.remove(id) {
            self.decided.insert(id, key);
        }
    }

    /// Gives back the memory that is not needed.
    pub(super) fn shrink(&mut self) {
        self.open.shrink();
        self.decided.shrink();
    }

    pub(super) fn get(&self, id: u32) -> Option<K> {
        self.open.get(id).or_else(|| self.decided.get(id))
    }

    /// Returns the first delivery of a range for which such a disposition is news.
    pub(super) fn first_of(
        &self,
        first: u32,
        last: u32,
        state: Option<&DeliveryState>,
        settled: bool,
    ) -> Option<(u32, K)> {
        // A receiver states progress for one delivery. For several at once it means nothing.
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
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Compares it with a plain map whose ids do not wrap.
        #[test]
        fn it_does_what_a_map_does(
            base in prop_oneof![Just(0), Just(u32::MAX - 300), any::<u32>()],
            calls in proptest::collection::vec((0..8_u8, any::<u16>(), any::<u16>()), 1..400),
        ) {
            let (mut numbered, mut model) = (Numbered::new(), BTreeMap::new());
            let mut next = 0_u32;
            for (call, a, b) in calls {
                let known = |n: u16| u32::from(n) % (next + 2);
                match call {
                    0..4 => {
                        next += if call == 0 { u32::from(a) % 600 } else { 1 };
                        numbered.insert(base.wrapping_add(next), next);
                        model.insert(next, next);
                    }
                    4 => {
                        // As those are added whose outcome was told: in any order.
                        numbered.insert(base.wrapping_add(known(a)), known(a));
                        model.insert(known(a), known(a));
                    }
                    5 | 6 => {
                        let removed = numbered.remove(base.wrapping_add(known(a)));
                        prop_assert_eq!(removed, model.remove(&known(a)));
                    }
                    _ => {
                        let (first, last) = (known(a).min(known(b)), known(a).max(known(b)));
                        let id = |n: u32| base.wrapping_add(n);
                        let found = numbered.first_of(id(first), id(last));
                        let wanted = model.range(first..=last).next();
                        prop_assert_eq!(found, wanted.map(|(n, key)| (id(*n), *key)));
                        prop_assert_eq!(numbered.get(id(first)), model.get(&first).copied());
                    }
                }
                prop_assert_eq!(numbered.len(), model.len());
                prop_assert!(numbered.recent.len() <= RECENT);
            }
        }
    }

    #[test]
    fn a_range_is_found_in_order_wherever_its_numbers_begin_anew() {
        for base in [0, 7, u32::MAX - 3, u32::MAX, i32::MAX as u32 - 2] {
            let mut numbered = Numbered::new();
            let ids: Vec<u32> = [0, 1, 3, 4, 9].map(|n| base.wrapping_add(n)).to_vec();
            ids.iter().for_each(|id| numbered.insert(*id, *id));
            for (first, last) in
                [(0, 9), (1, 4), (2, 2), (2, 3), (5, 8), (9, 9), (10, 2_000_000_000)]
            {
                let (mut next, last) = (base.wrapping_add(first), base.wrapping_add(last));
                let mut found = Vec::new();
                while let Some((id, _)) = numbered.first_of(next, last) {
                    found.push(id);
                    if id == last {
                        break;
                    }
                    next = id.wrapping_add(1);
                }
                let within = |id: &u32| {
                    id.wrapping_sub(base) >= first
                        && id.wrapping_sub(base) <= last.wrapping_sub(base)
                };
                assert_eq!(
                    found,
                    ids.iter().copied().filter(within).collect::<Vec<_>>(),
                    "{base} {first}"
                );
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
        assert_eq!(
            (sent.get(2), sent.get(3), sent.get(7), sent.len()),
            (Some(2), None, Some(7), 9)
        );
    }
}
