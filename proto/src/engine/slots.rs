//! Things with keys that are not used again too early.

use slab::Slab;

/// A slab whose keys stay out of use until [`Slots::release`]. Events that wait to be polled may still name a key whose owner is gone;
/// a new owner of the key must not be taken for it.
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

    /// The key that [`Slots::insert`] will give next.
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
        self.slab.iter().filter_map(|(key, value)| Some((u32::try_from(key).ok()?, value.as_ref()?)))
    }

    /// Lets the keys of what was removed be used again: nobody speaks of it any more.
    pub(super) fn release(&mut self) {
        for key in self.retired.drain(..) {
            self.slab.try_remove(key);
        }
    }
}
