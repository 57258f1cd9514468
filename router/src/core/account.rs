//! Who holds how much of the router's memory: one account for the process, and a part of it for
//! each peer.
//!
//! Everything that is held for a peer is charged to that peer's [`Holder`], and so to the
//! [`Account`] of the process. Charges are two atomic additions, without a lock. What a holder may
//! have follows what is free ([`Holder::limit`]): however many take all that they may, something is
//! left for who comes next.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Poll, Waker};

use super::relief::Standing;
use crate::lock::{Mutex, Rank};

/// What the router holds in memory for its peers, against a ceiling.
#[derive(Debug)]
pub struct Account {
    held: AtomicUsize,
    /// Octets beyond their windows that the senders of streams have been allowed.
    lent: AtomicUsize,
    ceiling: usize,
    /// Octets from which on streams are watched, and who does so then.
    watched: usize,
    watcher: Mutex<Option<Waker>>,
}

/// Of the ceiling, what one client's connection is allowed at most.
const CLIENT_PART: usize = 8;

/// Of what is free, what one client's connection may hold: with it, a hundred that take all they
/// may leave a fiftieth of the ceiling free.
const CLIENT_SHARE: usize = 2;

/// What a client may hold even if others have taken all, up to [`SPENT`]: its next small message.
const CLIENT_LEAST: usize = 64 * 1024;

/// What a service may hold even if others have taken all, up to [`SPENT`]: questions and answers of
/// a few of its connections.
const SERVICE_LEAST: usize = 512 * 1024;

/// Of the ceiling, what may be held beyond it before nothing at all is taken in for clients and
/// services, and neighbors are read slowly.
const SPENT: usize = 8;

/// Of the ceiling, the part below which a slice of a block may wait as it is. It pins the block,
/// four times its size at most, so that a sixteenth of the ceiling may stand for a quarter of it.
/// Beyond that what waits is copied.
const SLICES: usize = 16;

/// Of the ceiling, what all loans together may take.
const LOANS: usize = 4;

/// Who a part of the account is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The router itself: its answers, and what it tells its neighbors. It is never held back.
    Router,
    /// The connection of another router, which carries what its clients and services hold there.
    Neighbor,
    /// The connection of a client.
    Client,
    /// What all connections of a service here have read from their sockets, or have to write to
    /// them.
    Service,
}

/// What is held for one peer.
#[derive(Debug)]
pub struct Holder {
    account: Arc<Account>,
    held: AtomicUsize,
    class: Class,
}

/// What is held for a service: all its connections here.
#[derive(Debug)]
pub struct ServiceAccount {
    /// What was read from its clients or servers, and has not gone on.
    pub read: Arc<Holder>,
    /// What came for its clients or servers, and is not written to them.
    pub unwritten: Arc<Holder>,
}

/// The accounts of services, by their addresses, each for as long as somebody has it.
#[derive(Debug, Default)]
pub struct Services(Mutex<BTreeMap<Arc<str>, Weak<ServiceAccount>>>);

/// Octets that are charged to a holder for as long as this lives.
#[derive(Debug)]
pub struct Charge {
    holder: Arc<Holder>,
    octets: usize,
}

impl Account {
    /// An account with a ceiling, in octets.
    pub fn new(ceiling: usize) -> Arc<Self> {
        let watched = Standing { held: 0, ceiling }.watched();
        let (held, lent) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let watcher = Mutex::ranked(Rank::Watcher, None);
        Arc::new(Self { held, lent, ceiling, watched, watcher })
    }

    /// Octets held now.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// The ceiling, in octets.
    pub const fn ceiling(&self) -> usize {
        self.ceiling
    }

    /// How it stands, for [`Relief`](super::Relief).
    pub fn standing(&self) -> Standing {
        Standing { held: self.held(), ceiling: self.ceiling }
    }

    /// Ready once so much is held that streams are to be watched. The last that asks is woken.
    pub fn poll_watched(&self, waker: &Waker) -> Poll<()> {
        *self.watcher.lock() = Some(waker.clone());
        // What is taken from here on finds the waker.
        if self.held() >= self.watched { Poll::Ready(()) } else { Poll::Pending }
    }

    #[cold]
    fn wake_watcher(&self) {
        let watcher = self.watcher.lock().take();
        if let Some(watcher) = watcher {
            watcher.wake();
        }
    }

    /// Octets that are left below the ceiling.
    pub fn free(&self) -> usize {
        self.ceiling.saturating_sub(self.held())
    }

    /// Octets of one client's connection, whatever is free.
    pub const fn allowance(&self) -> usize {
        self.ceiling / CLIENT_PART
    }

    /// Whether so much is held beyond the ceiling that nothing more may come.
    pub fn is_spent(&self) -> bool {
        self.held() >= self.ceiling + self.ceiling / SPENT
    }

    /// Whether what waits is to be copied out of the block that it was read into.
    pub fn is_exact(&self) -> bool {
        self.held() >= self.ceiling / SLICES
    }

    /// Octets that a client may bring after it was told to send no more: the windows of two
    /// sessions.
    const fn margin(&self) -> usize {
        self.allowance() / 4
    }

    /// Octets of a client's session window, at most.
    pub const fn client_window(&self) -> usize {
        self.margin() / 2
    }

    /// Whether so much is held that streams are given up.
    pub fn is_short(&self) -> bool {
        let standing = self.standing();
        standing.held > standing.short()
    }

    /// Octets that are lent now.
    pub fn lent(&self) -> usize {
        self.lent.load(Ordering::Relaxed)
    }

    /// Lends octets beyond the windows of streams: they may all come and wait here. Nothing is lent
    /// once streams are watched.
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
    /// A holder that holds nothing yet.
    pub fn new(account: &Arc<Account>, class: Class) -> Arc<Self> {
        Arc::new(Self { account: Arc::clone(account), held: AtomicUsize::new(0), class })
    }

    /// The account of the process.
    pub const fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// Octets held now.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// What it may hold now, in octets.
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

    /// Whether more may be taken in for it.
    pub fn has_room(&self) -> bool {
        self.held() < self.limit()
    }

    /// Whether it holds little of what it may.
    pub fn is_light(&self) -> bool {
        self.held() < self.limit() / 2
    }

    /// Whether nothing more may be read for it, when it held `then` octets as it was told to send
    /// no more. What was on its way may still come: two windows' worth, or part of what is free
    /// if that is less. A client that heeds closed windows on no more sessions brings no more
    /// while memory is not short.
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

    /// Charges octets to it until the charge is dropped.
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
    /// What it holds in all, in octets.
    pub fn held(&self) -> usize {
        self.read.held() + self.unwritten.held()
    }
}

impl Services {
    /// The account of a service.
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

    /// All there are, in the order of their addresses.
    pub fn all(&self) -> Vec<(Arc<str>, Arc<ServiceAccount>)> {
        let services = self.0.lock();
        services
            .iter()
            .filter_map(|(service, known)| Some((Arc::clone(service), known.upgrade()?)))
            .collect()
    }
}

impl Charge {
    /// Octets that are charged.
    pub const fn octets(&self) -> usize {
        self.octets
    }

    /// Changes how many octets are charged.
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
