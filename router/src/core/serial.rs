//! State that many threads act on by notices, one at a time and without waiting for each other.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::lock::{Mutex, Rank};

/// State that is looked at anew after every notice. Whoever finds it in use, perhaps this very
/// thread further up, leaves the looking to who uses it.
#[derive(Debug)]
pub(super) struct Serial<T> {
    state: Mutex<T>,
    news: AtomicBool,
}

impl<T> Serial<T> {
    pub(super) const fn new(state: T) -> Self {
        Self { state: Mutex::ranked(Rank::Party, state), news: AtomicBool::new(false) }
    }

    /// Something has happened: `look` is called here or by who is looking, after this call began.
    pub(super) fn notice(&self, mut look: impl FnMut(&mut T)) {
        self.news.store(true, Ordering::Release);
        while self.news.load(Ordering::Acquire) {
            let Some(mut state) = self.state.try_lock() else { return };
            while self.news.swap(false, Ordering::AcqRel) {
                look(&mut state);
            }
        }
    }
}
