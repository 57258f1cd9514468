//! The memory that the router holds: one account for the process, and a part of it for each peer.
//!
//! All that the router holds for a peer is charged to that peer's [`Holder`], and so to the
//! [`Account`] of the process. A charge is two atomic additions, without a lock. A holder's limit
//! follows the free memory ([`Holder::limit`]), so that the next peer finds some, however many
//! peers take all that they may.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Poll, Waker};

use super::relief::Standing;
use crate::lock::{Mutex, Rank};

/// The memory that the router holds for its peers, against a ceiling.
#[derive(Debug)]
pub struct Account {
    held: AtomicUsize,
    /// Bytes beyond their windows that senders of streams may have under way.
    lent: AtomicUsize,
    ceiling: usize,
    /// The number of bytes held from which on streams are watched.
    watched: usize,
    watcher: Mutex<Option<Waker>>,
}

/// The ceiling, divided by this, is the most for one client's connection.
const CLIENT_PART: usize = 8;

/// The free memory, divided by this, is what one client's connection may hold. A hundred that take
/// all they may leave a fiftieth of the ceiling free.
const CLIENT_SHARE: usize = 2;

/// Bytes that a client may hold even if others have taken all, up to [`SPENT`]: its next small
/// message.
const CLIENT_LEAST: usize = 64 * 1024;

/// Bytes that a service may hold even if others have taken all, up to [`SPENT`]: requests and
/// answers of a few of its connections.
const SERVICE_LEAST: usize = 512 * 1024;

/// The ceiling, divided by this, may be held beyond the ceiling. After that the router takes
/// nothing in for clients and services, and reads neighbors slowly.
const SPENT: usize = 8;

/// The ceiling, divided by this, may be held in slices of blocks. A slice pins its block, at most
/// four times its size, so a sixteenth of the ceiling may stand for a quarter of it. Beyond that
/// the router copies bytes that wait.
const SLICES: usize = 16;

/// The ceiling, divided by this, is the most for all loans together.
const LOANS: usize = 4;

/// The kind of peer that a holder is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The router itself: its answers, and its messages to neighbors. It is never held back.
    Router,
    /// The connection of another router, which carries deliveries of that router's peers.
    Neighbor,
    /// The connection of a client.
    Client,
    /// All connections of a service here: bytes that they have read from their sockets, or will
    /// write to them.
    Service,
}

/// The memory that is held for one peer.
#[derive(Debug)]
pub struct Holder {
    account: Arc<Account>,
    held: AtomicUsize,
    class: Class,
}

/// The memory that is held for all connections of a service here.
#[derive(Debug)]
pub struct ServiceAccount {
    /// For bytes that were read from its clients or servers and have not gone on.
    pub read: Arc<Holder>,
    /// For bytes that came for its clients or servers and are not written to them.
    pub unwritten: Arc<Holder>,
}

/// The accounts of services, by their addresses. An account lives as long as a caller holds it.
#[derive(Debug, Default)]
pub struct Services(Mutex<BTreeMap<Arc<str>, Weak<ServiceAccount>>>);

/// Bytes that are charged to a holder for as long as this lives.
#[derive(Debug)]
pub struct Charge {
    holder: Arc<Holder>,
    octets: usize,
}

impl Account {
    /// Makes an account with a ceiling, in bytes.
    pub fn new(ceiling: usize) -> Arc<Self> {
        let watched = Standing { held: 0, ceiling }.watched();
        let (held, lent) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let watcher = Mutex::ranked(Rank::Watcher, None);
        Arc::new(Self { held, lent, ceiling, watched, watcher })
    }

    /// Returns the number of bytes held.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Returns the ceiling, in bytes.
    pub const fn ceiling(&self) -> usize {
        self.ceiling
    }

    /// Returns the state of the account, for [`Relief`](super::Relief).
    pub fn standing(&self) -> Standing {
        Standing { held: self.held(), ceiling: self.ceiling }
    }

    /// Is ready once so much is held that streams must be watched. Wakes the last caller.
    pub fn poll_watched(&self, waker: &Waker) -> Poll<()> {
        *self.watcher.lock() = Some(waker.clone());
        // Charges from here on find the waker.
        if self.held() >= self.watched { Poll::Ready(()) } else { Poll::Pending }
    }

    #[cold]
    fn wake_watcher(&self) {
        let watcher = self.watcher.lock().take();
        if let Some(watcher) = watcher {
            watcher.wake();
        }
    }

    /// Returns the number of bytes that are left below the ceiling.
    pub fn free(&self) -> usize {
        self.ceiling.saturating_sub(self.held())
    }

    /// Returns the most bytes for one client's connection, whatever is free.
    pub const fn allowance(&self) -> usize {
        self.ceiling / CLIENT_PART
    }

    /// Returns whether so much is held beyond the ceiling that nothing more may come.
    pub fn is_spent(&self) -> bool {
        self.held() >= self.ceiling + self.ceiling / SPENT
    }

    /// Returns whether bytes that wait must be copied out of the block that they were read into.
    pub fn is_exact(&self) -> bool {
        self.held() >= self.ceiling / SLICES
    }

    /// Returns how many bytes a client may bring after its windows were closed: the windows of two
    /// sessions.
    const fn margin(&self) -> usize {
        self.allowance() / 4
    }

    /// Returns the most bytes of a client's session window.
    pub const fn client_window(&self) -> usize {
        self.margin() / 2
    }

    /// Returns whether so much is held that streams are reset.
    pub fn is_short(&self) -> bool {
        let standing = self.standing();
        standing.held > standing.short()
    }

    /// Returns the number of bytes that are lent.
    pub fn lent(&self) -> usize {
        self.lent.load(Ordering::Relaxed)
    }

    /// Lends bytes beyond the windows of streams: all of them may come and wait here. Returns
    /// whether it did; it lends nothing once streams are watched.
    pub(super) fn lend(&self, octets: usize) -> bool {
        let most = (self.ceiling / LOANS).min(self.watched.saturating_sub(self.held()));
        let more = |lent: usize| lent.checked_add(octets).filter(|lent| *lent <= most);
        self.lent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    pub(super) fn end_loan(&self, octets: usize) {
        self.lent.fetch_sub(octets, Ordering::Relaxed);
    }
}

impl Holder {
    /// Makes a holder that holds nothing.
    pub fn new(account: &Arc<Account>, class: Class) -> Arc<Self> {
        Arc::new(Self { account: Arc::clone(account), held: AtomicUsize::new(0), class })
    }

    /// Returns the account of the process.
    pub const fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// Returns the number of bytes held.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Returns how many bytes it may hold now.
    pub fn limit(&self) -> usize {
        let free = self.account.free();
        let at_least = |octets| if self.account.is_spent() { 0 } else { octets };
        match self.class {
            Class::Router => usize::MAX,
            Class::Neighbor if free == 0 => 0,
            Class::Neighbor => usize::MAX,
            Class::Client => {
                (free / CLIENT_SHARE).min(self.account.allowance()).max(at_least(CLIENT_LEAST))
            }
            Class::Service => free.max(at_least(SERVICE_LEAST)),
        }
    }

    /// Returns whether more may be taken in for it.
    pub fn has_room(&self) -> bool {
        self.held() < self.limit()
    }

    /// Returns whether it holds less than half of what it may.
    pub fn is_light(&self) -> bool {
        self.held() < self.limit() / 2
    }

    /// Returns whether nothing more may be read for it. `then` is the number of bytes that it held
    /// when its windows were closed. Bytes that were on their way may still come: two windows'
    /// worth, or part of the free memory if that is less. A client that heeds closed windows brings
    /// no more while memory is not short.
    pub fn is_far_beyond(&self, then: usize) -> bool {
        match self.class {
            Class::Router | Class::Service => false,
            Class::Neighbor => self.account.is_spent(),
            Class::Client => {
                let (held, most) = (self.held(), self.account.margin());
                let margin = most.min(self.account.free() / 4).max(CLIENT_LEAST);
                held > self.account.allowance() + most || held > self.limit().max(then) + margin
            }
        }
    }

    /// Charges bytes to it until the charge is dropped.
    pub fn charge(self: &Arc<Self>, octets: usize) -> Charge {
        self.take(octets);
        Charge { holder: Arc::clone(self), octets }
    }

    pub(super) fn take(&self, octets: usize) {
        self.held.fetch_add(octets, Ordering::Relaxed);
        let before = self.account.held.fetch_add(octets, Ordering::Relaxed);
        if before < self.account.watched && before + octets >= self.account.watched {
            self.account.wake_watcher();
        }
    }

    pub(super) fn give_back(&self, octets: usize) {
        self.held.fetch_sub(octets, Ordering::Relaxed);
        self.account.held.fetch_sub(octets, Ordering::Relaxed);
    }
}

impl ServiceAccount {
    /// Returns how many bytes it holds in all.
    pub fn held(&self) -> usize {
        self.read.held() + self.unwritten.held()
    }
}

impl Services {
    /// Returns the account of a service, and makes it if there is none.
    pub fn of(&self, account: &Arc<Account>, service: &str) -> Arc<ServiceAccount> {
        let mut services = self.0.lock();
        if let Some(known) = services.get(service).and_then(Weak::upgrade) {
            return known;
        }
        services.retain(|_, known| known.strong_count() > 0);
        let [read, unwritten] = [(); 2].map(|()| Holder::new(account, Class::Service));
        let made = Arc::new(ServiceAccount { read, unwritten });
        services.insert(Arc::from(service), Arc::downgrade(&made));
        made
    }

    /// Returns all accounts, in the order of their addresses.
    pub fn all(&self) -> Vec<(Arc<str>, Arc<ServiceAccount>)> {
        let services = self.0.lock();
        services
            .iter()
            .filter_map(|(service, known)| Some((Arc::clone(service), known.upgrade()?)))
            .collect()
    }
}

impl Charge {
    /// Returns the number of bytes that are charged.
    pub const fn octets(&self) -> usize {
        self.octets
    }

    /// Changes how many bytes are charged.
    pub fn set(&mut self, octets: usize) {
        match octets.checked_sub(self.octets) {
            Some(0) => return,
            Some(more) => self.holder.take(more),
            None => self.holder.give_back(self.octets - octets),
        }
        self.octets = octets;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.holder.give_back(self.octets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    #[test]
    fn charges_go_to_holder_and_process_and_come_back() {
        let account = Account::new(64 * MIB);
        let (one, other) =
            (Holder::new(&account, Class::Client), Holder::new(&account, Class::Service));
        let mut charge = one.charge(100);
        let more = other.charge(7);
        charge.set(150);
        assert_eq!((one.held(), other.held(), account.held()), (150, 7, 157));
        charge.set(20);
        drop(more);
        assert_eq!((one.held(), other.held(), account.held()), (20, 0, 20));
        drop(charge);
        assert_eq!((one.held(), account.held(), account.free()), (0, 0, 64 * MIB));
    }

    #[test]
    fn however_many_take_all_they_may_something_is_left_for_the_next() {
        for class in [Class::Client, Class::Service] {
            let (account, mut charges) = (Account::new(64 * MIB), Vec::new());
            for _ in 0..20 {
                let holder = Holder::new(&account, class);
                let mut charge = holder.charge(0);
                while holder.has_room() {
                    charge.set(holder.held() + 16 * 1024);
                }
                charges.push((holder, charge));
            }
            let newcomer = Holder::new(&account, class);
            assert!(newcomer.has_room() && newcomer.limit() >= CLIENT_LEAST, "{class:?}");
            let first: &Arc<Holder> = &charges[0].0;
            let share = if class == Class::Client { 8 * MIB } else { 32 * MIB };
            assert!(
                (share..share + MIB).contains(&first.held()),
                "{class:?}: {} octets",
                first.held()
            );
            assert!(account.held() <= account.ceiling() + 8 * MIB, "{} MiB", account.held() / MIB);
            assert!(Holder::new(&account, Class::Router).has_room());
        }
    }

    #[test]
    fn a_client_may_bring_a_window_more_than_it_may_hold_and_less_when_little_is_free() {
        let account = Account::new(64 * MIB);
        let [client, other] = [Class::Client; 2].map(|class| Holder::new(&account, class));
        let mut charge = client.charge(10 * MIB);
        assert!(!client.has_room() && !client.is_far_beyond(8 * MIB));
        charge.set(10 * MIB + 1);
        assert!(client.is_far_beyond(8 * MIB));
        // With 4 MiB free, it may hold 2, and a quarter of what is free beyond that.
        let _other = other.charge(54 * MIB);
        charge.set(6 * MIB);
        assert!(client.is_far_beyond(2 * MIB) && !client.is_far_beyond(5 * MIB));
    }

    #[test]
    fn past_the_ceiling_neighbors_wait_and_the_router_itself_does_not() {
        let account = Account::new(64 * MIB);
        let [router, neighbor, client] = [Class::Router, Class::Neighbor, Class::Client]
            .map(|class| Holder::new(&account, class));
        let mut charge = neighbor.charge(64 * MIB - 1);
        assert!(router.has_room() && neighbor.has_room() && client.has_room());
        charge.set(64 * MIB);
        assert!(router.has_room() && !neighbor.has_room() && client.has_room());
        let mut small = client.charge(CLIENT_LEAST + 1);
        assert!(!client.has_room() && !client.is_far_beyond(0) && !neighbor.is_far_beyond(0));
        charge.set(72 * MIB);
        assert!(!client.has_room() && neighbor.is_far_beyond(0) && !router.is_far_beyond(0));
        small.set(3 * CLIENT_LEAST);
        assert!(
            client.is_far_beyond(CLIENT_LEAST) && !client.is_far_beyond(2 * CLIENT_LEAST),
            "what it had it may keep"
        );
        assert!(!account.lend(1), "nothing is lent that is not free");
    }

    #[test]
    fn who_watches_is_woken_when_half_is_held() {
        let account = Account::new(64 * MIB);
        let service = Services::default().of(&account, "a");
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(Arc::clone(&bell));
        assert!(account.poll_watched(&waker).is_pending());
        let mut charge = service.unwritten.charge(32 * MIB - 1);
        assert_eq!(bell.0.load(Ordering::Relaxed), 0);
        charge.set(32 * MIB);
        assert_eq!(bell.0.load(Ordering::Relaxed), 1);
        assert!(account.poll_watched(&waker).is_ready());
    }

    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl std::task::Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_service_has_one_account_however_often_it_is_asked_for() {
        let (account, services) = (Account::new(64 * MIB), Services::default());
        let (one, same, other) =
            (services.of(&account, "a"), services.of(&account, "a"), services.of(&account, "b"));
        let _charge = one.read.charge(1);
        assert_eq!((same.held(), other.held()), (1, 0));
        drop((one, same));
        assert_eq!(services.all().len(), 1);
        assert_eq!(services.of(&account, "a").held(), 0);
    }
}
