//! The addresses to which a tcpListener brings its clients: one, or several of which each client
//! gets one.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use tokio::sync::watch;

use crate::core::{Address, Core, ServiceAccount, Watching};
use crate::lock::{Mutex, MutexGuard};
use crate::schema::MultiAddressStrategy;

/// One address of a listener.
#[derive(Debug)]
pub struct ListenerAddress {
    /// The service.
    pub(super) service: Arc<str>,
    /// The address's record.
    pub(super) record: Arc<Address>,
    /// The memory that is held for the service.
    pub(super) memory: Arc<ServiceAccount>,
    watch: Watching,
    /// Addresses of a higher value get clients first, or more often.
    value: i64,
    opened: AtomicU64,
}

impl ListenerAddress {
    /// Creates an address, and watches it.
    pub fn new(core: &Arc<Core>, service: &str, value: i64) -> Arc<Self> {
        let (record, watch) = core.watch(service);
        let memory = core.service(service);
        Arc::new(Self {
            service: Arc::from(service),
            record,
            memory,
            watch,
            value,
            opened: AtomicU64::new(0),
        })
    }

    /// Returns the service.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Returns how many clients were brought to the address.
    pub fn connections_opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    pub(super) fn open(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }
}

/// The addresses of one listener.
#[derive(Debug)]
pub(super) struct Addresses {
    strategy: MultiAddressStrategy,
    list: Mutex<Vec<Arc<ListenerAddress>>>,
    /// Tells the listener's task that the list has changed.
    changed: watch::Sender<()>,
}

impl Addresses {
    pub(super) fn new(strategy: MultiAddressStrategy) -> Self {
        Self { strategy, list: Mutex::default(), changed: watch::Sender::new(()) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<ListenerAddress>>> {
        self.list.lock()
    }

    pub(super) fn add(&self, address: Arc<ListenerAddress>) {
        self.lock().push(address);
        self.changed.send_replace(());
    }

    pub(super) fn remove(&self, address: &Arc<ListenerAddress>) {
        self.lock().retain(|known| !Arc::ptr_eq(known, address));
        self.changed.send_replace(());
    }

    /// Returns the services in the order in which they were added, each with the number of clients
    /// that were brought to it.
    pub(super) fn services(&self) -> Vec<(Arc<str>, u64)> {
        self.lock()
            .iter()
            .map(|address| (Arc::clone(&address.service), address.connections_opened()))
            .collect()
    }

    /// Waits until at least one address has consumers, or none has, as `wanted` says. Only one task
    /// may wait: the last that asks is woken.
    pub(super) async fn reachable(&self, wanted: bool) {
        let mut changed = self.changed.subscribe();
        loop {
            let list = self.lock().clone();
            let as_wanted = poll_fn(|cx| {
                // Each is polled, so that each wakes.
                let reachable =
                    list.iter().fold(false, |any, address| address.watch.poll(cx.waker()) | any);
                if reachable == wanted { Poll::Ready(()) } else { Poll::Pending }
            });
            tokio::select! {
                () = as_wanted => return,
                // The sender lives as long as this.
                _ = changed.changed() => {}
            }
        }
    }

    /// Returns the address for the next client; `None` if there is no address.
    pub(super) fn pick(&self) -> Option<Arc<ListenerAddress>> {
        let list = self.lock();
        if let [only] = &list[..] {
            return Some(Arc::clone(only));
        }
        let candidates: Vec<_> =
            list.iter().map(|address| (address.value, address.watch.is_reachable())).collect();
        let index = pick(self.strategy, &candidates, |below| fastrand::u64(..below))?;
        list.get(index).map(Arc::clone)
    }
}

/// Returns the index of the address to use. Those that have consumers go first. `candidates` are
/// the values, each with whether it has consumers; `random` returns a number below its argument.
fn pick(
    strategy: MultiAddressStrategy,
    candidates: &[(i64, bool)],
    random: impl FnOnce(u64) -> u64,
) -> Option<usize> {
    let any = candidates.iter().any(|(_, reachable)| *reachable);
    let candidates = candidates.iter().enumerate().filter(|(_, (_, reachable))| *reachable || !any);
    let weight = |value: i64| u64::try_from(value).unwrap_or_default();
    let total = candidates
        .clone()
        .fold(0_u64, |total, (_, (value, _))| total.saturating_add(weight(*value)));
    if strategy == MultiAddressStrategy::Weighted && any && total > 0 {
        let mut drawn = random(total);
        for (index, (value, _)) in candidates.clone() {
            match drawn.checked_sub(weight(*value)) {
                Some(left) => drawn = left,
                None => return Some(index),
            }
        }
    }
    // The first of several equals.
    candidates.rev().max_by_key(|(_, (value, _))| *value).map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_highest_that_is_served_goes_first() {
        let pick = |candidates: &[(i64, bool)]| {
            pick(MultiAddressStrategy::Priority, candidates, |_| panic!("no chance here"))
        };
        assert_eq!(pick(&[]), None);
        assert_eq!(pick(&[(1, true), (3, true), (2, true)]), Some(1));
        assert_eq!(pick(&[(1, true), (3, false), (2, true)]), Some(2));
        assert_eq!(
            pick(&[(-1, false), (2, false), (2, false)]),
            Some(1),
            "without any, the first of the highest"
        );
    }

    #[test]
    fn weights_are_chances() {
        let candidates = [(1, true), (5, false), (0, true), (3, true)];
        let picked = |drawn| {
            pick(MultiAddressStrategy::Weighted, &candidates, |total| {
                assert_eq!(total, 4, "of those that are served");
                drawn
            })
        };
        assert_eq!([0, 1, 2, 3].map(picked), [Some(0), Some(3), Some(3), Some(3)]);
        assert_eq!(
            pick(MultiAddressStrategy::Weighted, &[(1, false), (2, false)], |_| 0),
            Some(1),
            "nobody serves any"
        );
        assert_eq!(pick(MultiAddressStrategy::Weighted, &[(0, true), (0, true)], |_| 0), Some(0));
    }

    proptest! {
        #[test]
        fn something_is_picked_of_what_there_is(
            candidates: Vec<(i64, bool)>,
            seed: u64,
            weighted: bool,
        ) {
            let strategy = match weighted {
                true => MultiAddressStrategy::Weighted,
                false => MultiAddressStrategy::Priority,
            };
            match pick(strategy, &candidates, |below| seed % below) {
                Some(index) => {
                    let served = candidates.iter().any(|(_, reachable)| *reachable);
                    prop_assert_eq!(candidates[index].1, served);
                }
                None => prop_assert!(candidates.is_empty()),
            }
        }
    }
}
