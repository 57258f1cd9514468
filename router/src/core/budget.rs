//! How many octets of bodies the whole router holds, and the ceiling over them.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Octets held in deliveries, against a ceiling. Over the ceiling no service connection reads from its socket any more.
#[derive(Debug)]
pub struct Budget {
    held: AtomicUsize,
    /// Octets beyond their windows that the senders of streams have been allowed.
    lent: AtomicUsize,
    ceiling: usize,
}

impl Budget {
    /// A budget of `ceiling` octets.
    pub const fn new(ceiling: usize) -> Self {
        Self { held: AtomicUsize::new(0), lent: AtomicUsize::new(0), ceiling }
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

    /// Octets that are lent now.
    pub fn lent(&self) -> usize {
        self.lent.load(Ordering::Relaxed)
    }

    /// Lends octets beyond the windows of streams, as far as a quarter of the ceiling goes: they may all come and wait here.
    pub(super) fn lend(&self, octets: usize) -> bool {
        let more = |lent: usize| lent.checked_add(octets).filter(|lent| *lent <= self.ceiling / 4);
        self.lent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    pub(super) fn end_loan(&self, octets: usize) {
        self.lent.fetch_sub(octets, Ordering::Relaxed);
    }

    pub(super) fn take(&self, octets: usize) {
        self.held.fetch_add(octets, Ordering::Relaxed);
    }

    pub(super) fn give_back(&self, octets: usize) {
        self.held.fetch_sub(octets, Ordering::Relaxed);
    }
}
