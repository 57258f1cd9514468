//! Policy: which clients may connect, from where, and which addresses they may use.
//!
//! Pure: a client's name, host and wishes go in; [`Settings`] or a [`Denial`] come out. A [`Vhost`]
//! holds the rules for clients that ask for one host. A [`Policy`] holds the vhosts of a router,
//! with limits and counts.
//!
//! `net` asks at the open of a connection and at the attach of a link. It writes the reason of a
//! denial to the log only, never to the client.

mod addresses;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod hosts;
mod settings;
mod vhost;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::lock::{Mutex, MutexGuard, Rank};

pub use settings::{Settings, Verdict};
use skupper_proto::address::Canonical;
use skupper_proto::address::patterns::Patterns;
pub use vhost::{Rules, Vhost};

/// The group of a vhost that holds the rules for connectors.
pub const CONNECTOR_GROUP: &str = "$connector";

/// The group for users in no other group.
const DEFAULT_GROUP: &str = "$default";

/// The settings of the policy entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyConfig {
    /// Most clients connected at a time.
    pub max_connections: u64,
    /// Largest message in bytes, unless a vhost sets its own; 0 for no limit.
    pub max_message_size: u64,
    /// True if the vhosts' rules apply.
    pub enabled: bool,
    /// True if the vhosts' names are patterns.
    pub patterns: bool,
    /// The vhost for clients that ask for an unknown one; empty for none.
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

/// The reason why a vhost cannot be used. Tools look for some of these texts, so those are the C
/// router's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the names say it")]
pub enum PolicyError {
    #[error("Policy '{vhost}' is invalid: {problem}")]
    Invalid { vhost: String, problem: String },
    #[error("Policy for vhost '{vhost}': the name '{name}' is taken by vhost '{other}'")]
    Taken { vhost: String, name: String, other: String },
    #[error(
        "Policy for vhost '{vhost}' alias '{name}' optimized pattern conflicts with existing \
         pattern"
    )]
    Pattern { vhost: String, name: String },
    #[error("Policy '{vhost}' does not exist")]
    Unknown { vhost: String },
}

/// The reason why a client may not connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the names say it")]
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

/// The counts of a router, since its start.
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
    /// Returns the number of clients that connected, and of those that policy refused.
    pub fn connections(&self) -> (u64, u64) {
        (self.processed.load(Relaxed), self.denied.load(Relaxed))
    }

    /// Returns the number of clients that are connected.
    pub fn current(&self) -> u64 {
        self.current.load(Relaxed)
    }

    /// Returns the number of refused links.
    pub fn links_denied(&self) -> u64 {
        self.links_denied.load(Relaxed)
    }

    /// Returns the number of messages that were too large.
    pub fn oversize(&self) -> u64 {
        self.oversize.load(Relaxed)
    }

    /// Returns the number of all refusals.
    pub fn total(&self) -> u64 {
        self.total.load(Relaxed)
    }
}

/// The counts of a vhost. They outlive it, for a vhost of that name may come again.
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

/// The open connections of a vhost, by connection number.
#[derive(Debug, Default)]
struct Open {
    users: BTreeMap<String, Vec<u64>>,
    hosts: BTreeMap<String, Vec<u64>>,
    total: u64,
}

impl VhostCounts {
    /// Returns the numbers of admitted and of refused clients.
    pub fn connections(&self) -> (u64, u64) {
        (self.approved.load(Relaxed), self.denied.load(Relaxed))
    }

    /// Returns the number of clients that are connected.
    pub fn current(&self) -> u64 {
        self.open().total
    }

    /// Returns the numbers of refused sessions, sending links, receiving links and messages.
    pub fn refused(&self) -> [u64; 4] {
        [&self.sessions_denied, &self.senders_denied, &self.receivers_denied, &self.oversize]
            .map(|count| count.load(Relaxed))
    }

    /// Returns the connection numbers of each user and of each host.
    pub fn state(&self) -> [BTreeMap<String, Vec<u64>>; 2] {
        let open = self.open();
        [open.users.clone(), open.hosts.clone()]
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock()
    }
}

/// A client and its wishes.
#[derive(Clone, Copy, Debug)]
pub struct Visitor<'a> {
    /// The number of its connection.
    pub connection: u64,
    /// Its user name; empty if it gave none.
    pub user: &'a str,
    /// Its address.
    pub host: IpAddr,
    /// The host that it asks for.
    pub vhost: &'a str,
}

#[derive(Debug, Default)]
struct Vhosts {
    by_name: BTreeMap<String, Vhost>,
    /// The vhost of each name and alias.
    names: HashMap<String, String>,
    /// The same, where names are patterns.
    patterns: Patterns<String>,
    counts: BTreeMap<String, Arc<VhostCounts>>,
}

/// The policy of a router.
#[derive(Debug)]
pub struct Policy {
    config: PolicyConfig,
    counts: Counts,
    vhosts: Mutex<Vhosts>,
}

impl Default for Policy {
    fn default() -> Self {
        Self::new(PolicyConfig::default())
    }
}

impl Policy {
    /// Creates a policy without vhosts.
    pub fn new(config: PolicyConfig) -> Self {
        let vhosts = Mutex::ranked(Rank::Vhosts, Vhosts::default());
        Self { config, counts: Counts::default(), vhosts }
    }

    /// Returns the settings of the policy entity.
    pub const fn config(&self) -> &PolicyConfig {
        &self.config
    }

    /// Returns the counts of the router.
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Returns the counts of each vhost, of present and removed ones.
    pub fn vhost_counts(&self) -> Vec<(String, Arc<VhostCounts>)> {
        self.lock().counts.iter().map(|(name, counts)| (name.clone(), Arc::clone(counts))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vhosts> {
        self.vhosts.lock()
    }

    /// Adds a vhost, or replaces the one of its name. After an error everything is as before.
    ///
    /// # Errors
    /// Another vhost has one of its names, or a pattern means the same as another.
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
                // It fits again: only the new vhost conflicted with the others.
                let _ = vhosts.enter(&former, self.config.patterns);
            }
            return Err(error);
        }
        Ok(())
    }

    /// Removes a vhost. Connected clients stay.
    ///
    /// # Errors
    /// There is no vhost of that name.
    pub fn remove(&self, name: &str) -> Result<(), PolicyError> {
        let mut vhosts = self.lock();
        let vhost = vhosts
            .by_name
            .remove(name)
            .ok_or_else(|| PolicyError::Unknown { vhost: name.to_owned() })?;
        vhosts.forget(&vhost);
        Ok(())
    }

    /// Counts a new connection of a client until the guard's drop. Returns `None` if there are as
    /// many as the policy allows.
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

    /// Decides whether a client may open its connection, and by which rules. The connection counts
    /// until the admission's drop.
    ///
    /// # Errors
    /// The reason of the denial, for the log.
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

    /// Returns the rules for a connector that names a vhost: those of its group `$connector`.
    ///
    /// # Errors
    /// [`Denial::NoVhost`] if there is no such vhost, or it has no such group.
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

    /// Returns a group's settings. The vhost and then the router supply those that the group leaves
    /// out.
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

/// A client's connection, counted until the drop.
#[derive(Debug)]
pub struct Arrival(Arc<Policy>);

impl Drop for Arrival {
    fn drop(&mut self) {
        self.0.counts.current.fetch_sub(1, Relaxed);
    }
}

/// An admitted client and its rules.
#[derive(Debug)]
pub struct Admission {
    policy: Arc<Policy>,
    settings: Arc<Settings>,
    counts: Arc<VhostCounts>,
    user: String,
    entry: Option<(String, u64)>,
}

impl Admission {
    /// Returns its rules.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the counts of its vhost.
    pub fn counts(&self) -> &VhostCounts {
        &self.counts
    }

    /// Returns the user's name.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Returns the largest size of a message in bytes; 0 for no limit.
    pub fn max_message_size(&self) -> u64 {
        self.settings.max_message_size.unwrap_or_default()
    }

    /// Decides whether it may attach one more link to send to `address`, beside `senders`. With
    /// `None` each message names its own address. Counts a refusal.
    pub fn may_send(&self, senders: usize, address: Option<Canonical<'_>>) -> Verdict {
        let verdict = self.settings.sender(senders, address, &self.user);
        self.count_link(verdict, &self.counts.senders_denied)
    }

    /// Decides whether it may attach one more link to receive from `address`, beside `receivers`.
    /// With `None` the router creates an address for it. Counts a refusal.
    pub fn may_receive(&self, receivers: usize, address: Option<Canonical<'_>>) -> Verdict {
        let verdict = self.settings.receiver(receivers, address, &self.user);
        self.count_link(verdict, &self.counts.receivers_denied)
    }

    /// Returns true if a message on a link without an address may go to `address`.
    pub fn may_send_message(&self, address: Canonical<'_>) -> bool {
        self.settings.targets.allow(address, &self.user)
    }

    /// Counts a session beyond the limit.
    pub fn count_session(&self) {
        self.counts.sessions_denied.fetch_add(1, Relaxed);
        self.policy.counts.total.fetch_add(1, Relaxed);
    }

    /// Counts a message that was too large.
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
