//! Watches: tasks that are notified whether an address has consumers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use slab::Slab;

use super::delivery::Notify;
use super::edge_connection::EdgeConnection;
use crate::lock::Mutex;

/// The watches of an address.
#[derive(Debug, Default)]
pub(super) struct Watches {
    pub(super) all: Slab<Arc<Watch>>,
    /// The number of those that ask for some consumers only.
    pub(super) particular: usize,
}

/// Tells one task whether an address has consumers.
#[derive(Debug)]
pub struct Watch {
    /// Only consumers count to which a delivery of this edge connection may go.
    pub(super) edge: Option<Arc<EdgeConnection>>,
    reachable: AtomicBool,
    notify: Mutex<Notify>,
}

impl Watch {
    pub(super) fn new(edge: Option<Arc<EdgeConnection>>, reachable: bool) -> Arc<Self> {
        let reachable = AtomicBool::new(reachable);
        Arc::new(Self { edge, reachable, notify: Mutex::default() })
    }

    /// Notes whether the address has consumers, and wakes the task if that has changed.
    pub(super) fn on_change(&self, reachable: bool) {
        if self.reachable.swap(reachable, Ordering::AcqRel) != reachable {
            let notify = self.notify.lock().clone();
            notify.wake();
        }
    }

    /// Returns whether the address has consumers. A change will wake `waker`.
    pub fn poll(&self, waker: &Waker) -> bool {
        let mut known = self.notify.lock();
        if !matches!(&*known, Notify::Task(known) if known.will_wake(waker)) {
            *known = Notify::Task(waker.clone());
        }
        drop(known);
        self.reachable.load(Ordering::Acquire)
    }

    /// Returns whether the address has consumers. Each change will wake `notify`.
    pub fn follow(&self, notify: Notify) -> bool {
        *self.notify.lock() = notify;
        self.reachable.load(Ordering::Acquire)
    }

    /// Returns whether the address has consumers.
    pub fn is_reachable(&self) -> bool {
        self.reachable.load(Ordering::Acquire)
    }
}
