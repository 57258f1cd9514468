//! State on which many threads act, one at a time and without waiting for each other.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::lock::{Mutex, Rank};

/// State that is looked at again after every notice. A thread that finds it in use, perhaps by
/// itself further up, leaves the look to its user.
#[derive(Debug)]
pub(super) struct Serial<T> {
    state: Mutex<T>,
    news: AtomicBool,
}

impl<T> Serial<T> {
    pub(super) const fn new(state: T) -> Self {
        Self { state: Mutex::ranked(Rank::Party, state), news: AtomicBool::new(false) }
    }

    /// Notes that something has happened. `look` runs after this call began, here or on the thread
    /// that uses the state.
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
