//! How many octets of bodies the whole router holds, and the ceiling over them.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Octets held in deliveries, against a ceiling. Over the ceiling no service connection reads from its socket any more.
#[derive(Debug)]
pub struct Budget {
    held: AtomicUsize,
    ceiling: usize,
}

impl Budget {
    /// A budget of `ceiling` octets.
    pub const fn new(ceiling: usize) -> Self {
        Self { held: AtomicUsize::new(0), ceiling }
    }

    /// Octets held now.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// The ceiling, in octets.
    pub const fn ceiling(&self) -> usize {
        self.ceiling
    }

    /// Whether more may be taken in.
    pub fn has_room(&self) -> bool {
        self.held() < self.ceiling
    }

    pub(super) fn take(&self, octets: usize) {
        self.held.fetch_add(octets, Ordering::Relaxed);
    }

    pub(super) fn give_back(&self, octets: usize) {
        self.held.fetch_sub(octets, Ordering::Relaxed);
    }
}
