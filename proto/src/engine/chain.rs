//! The deliveries of one link, oldest first: a linked list through the deliveries themselves. It
//! finds those of a link without a look at those of all others.

use super::slots::Slots;

/// A value that is part of a chain.
pub(super) trait Chained {
    /// Returns its place there.
    fn place(&mut self) -> &mut Place;
}

/// The keys of the values before and behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    before: Option<u32>,
    behind: Option<u32>,
}

impl Place {
    /// Makes the place of a value that is in no chain.
    pub(super) const fn new() -> Self {
        Self { before: None, behind: None }
    }

    /// Returns the key of the value behind.
    #[cfg(any(test, fuzzing))]
    pub(super) const fn behind(self) -> Option<u32> {
        self.behind
    }
}

/// The keys of the first and the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Chain {
    first: Option<u32>,
    last: Option<u32>,
}

impl Chain {
    /// Makes an empty chain.
    pub(super) const fn new() -> Self {
        Self { first: None, last: None }
    }

    /// Returns the key of the first value.
    pub(super) const fn first(&self) -> Option<u32> {
        self.first
    }

    /// Whether the chain is empty.
    pub(super) const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Appends a value, and returns its key.
    pub(super) fn insert<T: Chained>(&mut self, slots: &mut Slots<T>, mut value: T) -> u32 {
        *value.place() = Place { before: self.last, behind: None };
        let key = slots.insert(value);
        match self.last.and_then(|last| slots.get_mut(last)) {
            Some(last) => last.place().behind = Some(key),
            None => self.first = Some(key),
        }
        self.last = Some(key);
        key
    }

    /// Takes a value out of this chain and out of its slot.
    pub(super) fn remove<T: Chained>(&mut self, slots: &mut Slots<T>, key: u32) -> Option<T> {
        let mut value = slots.remove(key)?;
        let Place { before, behind } = *value.place();
        match before.and_then(|before| slots.get_mut(before)) {
            Some(before) => before.place().behind = behind,
            None => self.first = behind,
        }
        match behind.and_then(|behind| slots.get_mut(behind)) {
            Some(behind) => behind.place().before = before,
            None => self.last = before,
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Value(Place);

    impl Chained for Value {
        fn place(&mut self) -> &mut Place {
            &mut self.0
        }
    }

    #[test]
    fn what_is_left_stays_in_order() {
        for gone in 0..3 {
            let (mut slots, mut chain, mut other) =
                (Slots::new(), Chain::default(), Chain::default());
            let keys: Vec<u32> = (0..3)
                .map(|_| {
                    other.insert(&mut slots, Value(Place::default()));
                    chain.insert(&mut slots, Value(Place::default()))
                })
                .collect();
            chain.remove(&mut slots, keys[gone]).expect("a value");
            let mut left = Vec::new();
            while let Some(key) = chain.first() {
                left.push(key);
                chain.remove(&mut slots, key).expect("a value");
            }
            let wanted: Vec<u32> = keys.iter().copied().filter(|key| *key != keys[gone]).collect();
            assert_eq!((left, chain), (wanted, Chain::default()));
            assert!(!other.is_empty() && slots.len() == 3);
        }
    }
}
