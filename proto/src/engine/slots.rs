//! A slab whose keys are not used again too early.

use slab::Slab;

/// A slab whose keys stay out of use until [`Slots::release`]. Events that wait to be polled may
/// name a key whose owner is gone, and must not seem to mean a new owner.
#[derive(Debug)]
pub(super) struct Slots<T> {
    slab: Slab<Option<T>>,
    retired: Vec<usize>,
}

impl<T> Slots<T> {
    pub(super) const fn new() -> Self {
        Self { slab: Slab::new(), retired: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len() - self.retired.len()
    }

    /// Returns the key that [`Slots::insert`] gives next.
    pub(super) fn vacant_key(&self) -> u32 {
        u32::try_from(self.slab.vacant_key()).unwrap_or(u32::MAX)
    }

    pub(super) fn insert(&mut self, value: T) -> u32 {
        u32::try_from(self.slab.insert(Some(value))).unwrap_or(u32::MAX)
    }

    pub(super) fn get(&self, key: u32) -> Option<&T> {
        self.slab.get(key as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, key: u32) -> Option<&mut T> {
        self.slab.get_mut(key as usize)?.as_mut()
    }

    pub(super) fn remove(&mut self, key: u32) -> Option<T> {
        let value = self.slab.get_mut(key as usize)?.take()?;
        self.retired.push(key as usize);
        Some(value)
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.slab
            .iter()
            .filter_map(|(key, value)| Some((u32::try_from(key).ok()?, value.as_ref()?)))
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slab.iter_mut().filter_map(|(_, value)| value.as_mut())
    }

    /// Gives back the memory behind the last value.
    pub(super) fn shrink(&mut self) {
        self.slab.shrink_to_fit();
        self.retired.shrink_to_fit();
    }

    /// Lets the keys of removed values be used again. Call it when no event waits.
    pub(super) fn release(&mut self) {
        for key in self.retired.drain(..) {
            self.slab.try_remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_burst_has_left_is_given_back() {
        let mut slots = Slots::new();
        let keys: Vec<u32> = (0..1000).map(|n| slots.insert(n)).collect();
        keys.iter().filter(|key| **key != 3).for_each(|key| assert!(slots.remove(*key).is_some()));
        slots.shrink();
        assert!(slots.slab.capacity() >= 1000, "keys that are still out of use");
        slots.release();
        slots.shrink();
        assert!(slots.slab.capacity() < 100);
        assert_eq!((slots.get(3), slots.len()), (Some(&3), 1));
        assert_eq!(slots.insert(9), 0);
    }
}
