//! State that the threads of a test share, with a wake-up at each change.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::wait;

/// A value behind a lock. A thread that changes it calls [`Monitor::notify`] afterwards.
#[derive(Debug, Default)]
pub struct Monitor<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl<T> Monitor<T> {
    pub fn new(value: T) -> Self {
        Self { value: Mutex::new(value), changed: Condvar::new() }
    }

    /// Locks the value. A panic of another thread does not matter: each change is complete.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Changes the value, and wakes the threads that wait.
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.lock());
        self.notify();
        result
    }

    /// Wakes the threads that wait.
    pub fn notify(&self) {
        self.changed.notify_all();
    }

    /// Waits while `missing` returns true, for the usual patience. The caller checks the value.
    pub fn wait(&self, missing: impl FnMut(&mut T) -> bool) -> MutexGuard<'_, T> {
        self.wait_for(wait::patience(), missing)
    }

    /// Waits like [`Monitor::wait`], for at most `limit`.
    pub fn wait_for(
        &self,
        limit: Duration,
        missing: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'_, T> {
        self.changed
            .wait_timeout_while(self.lock(), limit, missing)
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .0
    }

    /// Waits while `missing` returns true, without a limit.
    pub fn wait_on(&self, missing: impl FnMut(&mut T) -> bool) -> MutexGuard<'_, T> {
        self.changed
            .wait_while(self.lock(), missing)
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
