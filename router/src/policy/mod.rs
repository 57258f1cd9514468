//! Policy: which clients may connect, from where, and what they may do then.
//!
//! Pure: who a client is and where it comes from go in; [`Settings`], or the reason of a denial,
//! come out. A [`Vhost`] holds the rules for the clients that ask for one host, a [`Policy`] the
//! vhosts of a router with their limits and counts. `net` asks at the open of a connection and at
//! the attach of a link, and tells nobody but the log why it was denied.

mod addresses;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod hosts;
mod settings;
mod vhost;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use settings::{Settings, Verdict};
use skupper_proto::address::Canonical;
use skupper_proto::address::patterns::Patterns;
pub use vhost::{Rules, Vhost};

/// The group of a vhost whose rules are those of connectors.
pub const CONNECTOR_GROUP: &str = "$connector";

/// The group of users that are in no other.
const DEFAULT_GROUP: &str = "$default";

/// What the policy entity says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyConfig {
    /// Clients that may be connected.
    pub max_connections: u64,
    /// Octets of a message where no vhost says otherwise; 0: any.
    pub max_message_size: u64,
    /// The vhosts' rules apply.
    pub enabled: bool,
    /// The vhosts' names are patterns.
    pub patterns: bool,
    /// The vhost of clients that belong to no other.
    pub default_vhost: String,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self {
            max_connections: 65535,
            max_message_size: 0,
            enabled: false,
            patterns: false,
            default_vhost: "$default".to_owned(),
        }
    }
}

/// Why a vhost cannot be used. The text is that of C routers where tools look for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum PolicyError {
    #[error("Policy '{vhost}' is invalid: {problem}")]
    Invalid { vhost: String, problem: String },
    #[error("Policy for vhost '{vhost}': the name '{name}' is taken by vhost '{other}'")]
    Taken { vhost: String, name: String, other: String },
    #[error(
        "Policy for vhost '{vhost}' alias '{name}' optimized pattern conflicts with existing pattern"
    )]
    Pattern { vhost: String, name: String },
    #[error("Policy '{vhost}' does not exist")]
    Unknown { vhost: String },
}

/// Why a client may not connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Denial {
    #[error("No policy defined for vhost")]
    NoVhost,
    #[error("User is not in a user group and unknown users are denied")]
    UnknownUser,
    #[error("User is not allowed to connect from this network host")]
    Host,
    #[error("Connection denied by application connection limit")]
    Total,
    #[error("Connection denied by application per user limit")]
    PerUser,
    #[error("Connection denied by application per host limit")]
    PerHost,
}

/// Counts of a router.
#[derive(Debug, Default)]
pub struct Counts {
    processed: AtomicU64,
    denied: AtomicU64,
    current: AtomicU64,
    links_denied: AtomicU64,
    oversize: AtomicU64,
    total: AtomicU64,
}

impl Counts {
    /// Clients that connected, and those of them that were refused.
    pub fn connections(&self) -> (u64, u64) {
        (self.processed.load(Relaxed), self.denied.load(Relaxed))
    }

    /// Clients that are connected.
    pub fn current(&self) -> u64 {
        self.current.load(Relaxed)
    }

    /// Links that were refused.
    pub fn links_denied(&self) -> u64 {
        self.links_denied.load(Relaxed)
    }

    /// Messages that were too large.
    pub fn oversize(&self) -> u64 {
        self.oversize.load(Relaxed)
    }

    /// Whatever was refused.
    pub fn total(&self) -> u64 {
        self.total.load(Relaxed)
    }
}

/// Counts of a vhost. They outlive it, for one of its name may come again.
#[derive(Debug, Default)]
pub struct VhostCounts {
    approved: AtomicU64,
    denied: AtomicU64,
    sessions_denied: AtomicU64,
    senders_denied: AtomicU64,
    receivers_denied: AtomicU64,
    oversize: AtomicU64,
    open: Mutex<Open>,
}

/// The open connections of a vhost, by number.
#[derive(Debug, Default)]
struct Open {
    users: BTreeMap<String, Vec<u64>>,
    hosts: BTreeMap<String, Vec<u64>>,
    total: u64,
}

impl VhostCounts {
    /// Clients that were let in, and that were refused.
    pub fn connections(&self) -> (u64, u64) {
        (self.approved.load(Relaxed), self.denied.load(Relaxed))
    }

    /// Clients that are connected.
    pub fn current(&self) -> u64 {
        self.open().total
    }

    /// Sessions, sending links, receiving links and messages that were refused.
    pub fn refused(&self) -> [u64; 4] {
        [&self.sessions_denied, &self.senders_denied, &self.receivers_denied, &self.oversize]
            .map(|count| count.load(Relaxed))
    }

    /// Connections of each user and from each host, by number.
    pub fn state(&self) -> [BTreeMap<String, Vec<u64>>; 2] {
        let open = self.open();
        [open.users.clone(), open.hosts.clone()]
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client and what it asks for.
#[derive(Clone, Copy, Debug)]
pub struct Visitor<'a> {
    /// The number of its connection.
    pub connection: u64,
    /// Who it is; empty: not said.
    pub user: &'a str,
    /// Where it comes from.
    pub host: IpAddr,
    /// The host it asks for.
    pub vhost: &'a str,
}

#[derive(Debug, Default)]
struct Vhosts {
    by_name: BTreeMap<String, Vhost>,
    /// Names and aliases, and the vhosts they mean.
    names: HashMap<String, String>,
    /// The same where they are patterns.
    patterns: Patterns<String>,
    counts: BTreeMap<String, Arc<VhostCounts>>,
}

/// The policy of a router.
#[derive(Debug, Default)]
pub struct Policy {
    config: PolicyConfig,
    counts: Counts,
    vhosts: Mutex<Vhosts>,
}

impl Policy {
    /// A policy without vhosts.
    pub fn new(config: PolicyConfig) -> Self {
        Self { config, ..Self::default() }
    }

    /// What the policy entity says.
    pub const fn config(&self) -> &PolicyConfig {
        &self.config
    }

    /// The counts of the router.
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The counts of each vhost that is there or was there.
    pub fn vhost_counts(&self) -> Vec<(String, Arc<VhostCounts>)> {
        self.lock().counts.iter().map(|(name, counts)| (name.clone(), Arc::clone(counts))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vhosts> {
        self.vhosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a vhost, or puts it in the place of the one of its name. On an error all stays as it
    /// was.
    pub fn put(&self, vhost: Vhost) -> Result<(), PolicyError> {
        let mut vhosts = self.lock();
        let former = vhosts.by_name.get(vhost.name()).cloned();
        for name in vhost.names() {
            if let Some(other) = vhosts.names.get(name).filter(|other| *other != vhost.name()) {
                return Err(PolicyError::Taken {
                    vhost: vhost.name().to_owned(),
                    name: name.to_owned(),
                    other: other.clone(),
                });
            }
        }
        if let Some(former) = &former {
            vhosts.forget(former);
        }
        if let Err(error) = vhosts.enter(&vhost, self.config.patterns) {
            if let Some(former) = former {
                // It was there before, and what stood in the way of the new one was the new one.
                let _ = vhosts.enter(&former, self.config.patterns);
            }
            return Err(error);
        }
        Ok(())
    }

    /// Takes a vhost away. Clients that are connected stay.
    pub fn remove(&self, name: &str) -> Result<(), PolicyError> {
        let mut vhosts = self.lock();
        let vhost = vhosts
            .by_name
            .remove(name)
            .ok_or_else(|| PolicyError::Unknown { vhost: name.to_owned() })?;
        vhosts.forget(&vhost);
        Ok(())
    }

    /// A client has connected: whether one more may be. It counts until the guard is dropped.
    pub fn arrive(self: &Arc<Self>) -> Option<Arrival> {
        self.counts.processed.fetch_add(1, Relaxed);
        let most = self.config.max_connections;
        let entered = self
            .counts
            .current
            .fetch_update(Relaxed, Relaxed, |current| (current < most).then_some(current + 1));
        if entered.is_err() {
            self.counts.denied.fetch_add(1, Relaxed);
            self.counts.total.fetch_add(1, Relaxed);
            return None;
        }
        Some(Arrival(Arc::clone(self)))
    }

    /// Whether a client may open its connection, and by which rules. It counts until the admission
    /// is dropped.
    pub fn admit(self: &Arc<Self>, visitor: Visitor<'_>) -> Result<Admission, Denial> {
        let result = self.try_admit(visitor);
        if result.is_err() {
            self.counts.denied.fetch_add(1, Relaxed);
            self.counts.total.fetch_add(1, Relaxed);
        }
        result
    }

    fn try_admit(self: &Arc<Self>, visitor: Visitor<'_>) -> Result<Admission, Denial> {
        let vhosts = self.lock();
        let vhost = vhosts.find(visitor.vhost, &self.config).ok_or(Denial::NoVhost)?;
        let counts = vhosts.counts.get(vhost.name()).ok_or(Denial::NoVhost)?;
        let admitted = vhost.group_of(visitor.user).ok_or(Denial::UnknownUser).and_then(|group| {
            if !group.hosts().contains(visitor.host) {
                return Err(Denial::Host);
            }
            let rules = vhost.rules();
            let (users, hosts) = (
                group.max_connections_per_user.unwrap_or(rules.max_connections_per_user),
                group.max_connections_per_host.unwrap_or(rules.max_connections_per_host),
            );
            let host = visitor.host.to_string();
            let mut open = counts.open();
            let held = |map: &BTreeMap<String, Vec<u64>>, key: &str| {
                map.get(key).map_or(0, Vec::len) as u64
            };
            if open.total >= rules.max_connections {
                return Err(Denial::Total);
            }
            if held(&open.users, visitor.user) >= users {
                return Err(Denial::PerUser);
            }
            if held(&open.hosts, &host) >= hosts {
                return Err(Denial::PerHost);
            }
            open.total += 1;
            open.users.entry(visitor.user.to_owned()).or_default().push(visitor.connection);
            open.hosts.entry(host.clone()).or_default().push(visitor.connection);
            Ok((self.effective(vhost, group), host))
        });
        let (settings, host) = admitted.inspect_err(|_| {
            counts.denied.fetch_add(1, Relaxed);
        })?;
        counts.approved.fetch_add(1, Relaxed);
        Ok(Admission {
            policy: Arc::clone(self),
            settings,
            counts: Arc::clone(counts),
            user: visitor.user.to_owned(),
            entry: Some((host, visitor.connection)),
        })
    }

    /// The rules of a connector that names a vhost: those of its group `$connector`.
    pub fn admit_connector(self: &Arc<Self>, vhost: &str, user: &str) -> Result<Admission, Denial> {
        let vhosts = self.lock();
        let found = vhosts
            .find(vhost, &self.config)
            .and_then(|vhost| Some((vhost, vhost.group(CONNECTOR_GROUP)?)));
        let Some((vhost, group)) = found else {
            self.counts.denied.fetch_add(1, Relaxed);
            self.counts.total.fetch_add(1, Relaxed);
            return Err(Denial::NoVhost);
        };
        Ok(Admission {
            policy: Arc::clone(self),
            settings: self.effective(vhost, group),
            counts: vhosts.counts.get(vhost.name()).map(Arc::clone).unwrap_or_default(),
            user: user.to_owned(),
            entry: None,
        })
    }

    /// A group's settings with what the vhost and the router say where it is silent.
    fn effective(&self, vhost: &Vhost, group: &Settings) -> Arc<Settings> {
        let size = group
            .max_message_size
            .or_else(|| vhost.rules().max_message_size)
            .unwrap_or(self.config.max_message_size);
        let mut settings = group.clone();
        settings.max_message_size = Some(size);
        Arc::new(settings)
    }
}

impl Vhosts {
    fn enter(&mut self, vhost: &Vhost, patterns: bool) -> Result<(), PolicyError> {
        for name in vhost.names() {
            if patterns && self.patterns.insert(name, vhost.name().to_owned()).is_err() {
                let error =
                    PolicyError::Pattern { vhost: vhost.name().to_owned(), name: name.to_owned() };
                self.forget(vhost);
                return Err(error);
            }
            self.names.insert(name.to_owned(), vhost.name().to_owned());
        }
        self.by_name.insert(vhost.name().to_owned(), vhost.clone());
        self.counts.entry(vhost.name().to_owned()).or_default();
        Ok(())
    }

    fn forget(&mut self, vhost: &Vhost) {
        for name in vhost.names() {
            if self.names.get(name).is_some_and(|owner| owner == vhost.name()) {
                self.names.remove(name);
                self.patterns.remove(name);
            }
        }
        self.by_name.remove(vhost.name());
    }

    fn find(&self, asked: &str, config: &PolicyConfig) -> Option<&Vhost> {
        let name = if config.patterns { self.patterns.find(asked) } else { self.names.get(asked) };
        let fallback = || Some(&config.default_vhost).filter(|name| !name.is_empty());
        name.and_then(|name| self.by_name.get(name)).or_else(|| self.by_name.get(fallback()?))
    }
}

/// A client that is connected.
#[derive(Debug)]
pub struct Arrival(Arc<Policy>);

impl Drop for Arrival {
    fn drop(&mut self) {
        self.0.counts.current.fetch_sub(1, Relaxed);
    }
}

/// A client that was let in, and its rules.
#[derive(Debug)]
pub struct Admission {
    policy: Arc<Policy>,
    settings: Arc<Settings>,
    counts: Arc<VhostCounts>,
    user: String,
    entry: Option<(String, u64)>,
}

impl Admission {
    /// Its rules.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The counts of its vhost.
    pub fn counts(&self) -> &VhostCounts {
        &self.counts
    }

    /// Who it is.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Octets that a message may have; 0: any.
    pub fn max_message_size(&self) -> u64 {
        self.settings.max_message_size.unwrap_or_default()
    }

    /// Whether it may attach one more link on which it sends, to `address`; `None`: each message
    /// names its own.
    pub fn may_send(&self, senders: usize, address: Option<Canonical<'_>>) -> Verdict {
        let verdict = self.settings.sender(senders, address, &self.user);
        self.count_link(verdict, &self.counts.senders_denied)
    }

    /// Whether it may attach one more link on which it receives, from `address`; `None`: one of its
    /// own, made for it.
    pub fn may_receive(&self, receivers: usize, address: Option<Canonical<'_>>) -> Verdict {
        let verdict = self.settings.receiver(receivers, address, &self.user);
        self.count_link(verdict, &self.counts.receivers_denied)
    }

    /// Whether a message without a link's address may go to `address`.
    pub fn may_send_message(&self, address: Canonical<'_>) -> bool {
        self.settings.targets.allow(address, &self.user)
    }

    /// A session more than may be was begun.
    pub fn count_session(&self) {
        self.counts.sessions_denied.fetch_add(1, Relaxed);
        self.policy.counts.total.fetch_add(1, Relaxed);
    }

    /// A message was too large.
    pub fn count_oversize(&self) {
        self.counts.oversize.fetch_add(1, Relaxed);
        self.policy.counts.oversize.fetch_add(1, Relaxed);
        self.policy.counts.total.fetch_add(1, Relaxed);
    }

    fn count_link(&self, verdict: Verdict, denied: &AtomicU64) -> Verdict {
        if verdict != Verdict::Allowed {
            denied.fetch_add(1, Relaxed);
            self.policy.counts.links_denied.fetch_add(1, Relaxed);
            self.policy.counts.total.fetch_add(1, Relaxed);
        }
        verdict
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let Some((host, connection)) = &self.entry else { return };
        let mut open = self.counts.open();
        let leave = |map: &mut BTreeMap<String, Vec<u64>>, key: &str| {
            if let Some(held) = map.get_mut(key) {
                held.retain(|other| other != connection);
                if held.is_empty() {
                    map.remove(key);
                }
            }
        };
        let Open { users, hosts, total } = &mut *open;
        leave(users, &self.user);
        leave(hosts, host);
        *total = total.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests;
