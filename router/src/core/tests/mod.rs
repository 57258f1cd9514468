//! The core in virtual time, without sockets.

mod choice;
mod delivery;
mod edge;
mod mailbox;
mod many;
mod network;
mod replies;
mod world;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};

use super::{ConsumerEnd, Endpoint};

/// Counts how often it is woken.
#[derive(Debug, Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Bell {
    fn new() -> (Arc<Self>, Waker) {
        let bell = Arc::new(Self::default());
        let waker = Waker::from(Arc::clone(&bell));
        (bell, waker)
    }

    /// How often since the last call.
    fn rings(&self) -> usize {
        self.0.swap(0, Ordering::SeqCst)
    }
}

/// An endpoint that keeps what it is given.
#[derive(Debug, Default)]
pub(super) struct Sink(Mutex<Vec<ConsumerEnd>>);

impl Endpoint for Sink {
    fn deliver(&self, delivery: ConsumerEnd) {
        self.0.lock().unwrap().push(delivery);
    }
}

impl Sink {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn take(&self) -> Vec<ConsumerEnd> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}
