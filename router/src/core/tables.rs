//! The tables of one router: addresses, next hops, and the state behind the core's lock.

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use skupper_proto::address::patterns::Patterns;
use skupper_proto::address::{
    AddressClass, AddressKey, AddressParts, AddressRef, AddressSpace, RouterMode, Treatment,
};
use skupper_proto::annotations;
use skupper_proto::edge::Bid;
use skupper_proto::keys::KeyMap;
use skupper_proto::mobile::Attributes;
use skupper_proto::time::Instant;
use skupper_proto::topology;

use super::account::{Account, Class, Holder, ServiceAccount, Services};
use super::address::{Address, AddressRule, Remote};
use super::control::Control;
use super::counters::Counters;
use super::next_hops::NextHops;
use super::replies::Replies;
use crate::lock::{Mutex, MutexGuard, Rank};

/// The settings of a core.
#[derive(Debug)]
pub struct Settings {
    /// Whether it takes part in the routing protocol, or has an uplink.
    pub mode: RouterMode,
    /// An edge router's bid for the id of the mesh that it forms with others.
    pub bid: Option<Bid>,
    /// The settings of the routing protocol, with the router's id.
    pub routing: topology::Config,
    /// The rules of configured addresses.
    pub treatments: Patterns<AddressRule>,
    /// The treatment of all others.
    pub default_treatment: Treatment,
    /// The number of threads that own connections.
    pub shards: usize,
    /// Bytes of memory that the router may hold for its peers.
    pub ceiling: usize,
}

/// One router's tables.
#[derive(Debug)]
pub struct Core {
    id: Arc<str>,
    node: Box<str>,
    mode: RouterMode,
    mesh: ArcSwapOption<Box<str>>,
    space: AddressSpace,
    treatments: ArcSwap<Patterns<AddressRule>>,
    default_treatment: Treatment,
    own: Arc<Holder>,
    services: Services,
    replies: Arc<Replies>,
    counters: Counters,
    pub(super) addresses: ArcSwap<imbl::HashMap<AddressKey, Arc<Address>>>,
    pub(super) next_hops: ArcSwap<NextHops>,
    control: Mutex<Control>,
}

impl Core {
    /// Makes the tables of a router that just started.
    pub fn new(settings: Settings, now: Instant) -> Arc<Self> {
        let id = Arc::clone(&settings.routing.id);
        let mesh = settings.bid.as_ref().map(|bid| Box::from(bid.id.as_str()));
        let control = Control::new(settings.routing, settings.bid, now);
        let replies = Replies::new(&front(settings.mode, &id), settings.shards);
        let table = Arc::clone(control.table());
        let next_hops = NextHops { table, trunks: KeyMap::default() };
        Arc::new(Self {
            node: annotations::node_text(&id),
            mode: settings.mode,
            mesh: ArcSwapOption::from_pointee(mesh),
            space: AddressSpace::new(settings.mode, &id, None),
            id,
            treatments: ArcSwap::from_pointee(settings.treatments),
            default_treatment: settings.default_treatment,
            own: Holder::new(&Account::new(settings.ceiling), Class::Router),
            services: Services::default(),
            replies,
            counters: Counters::default(),
            addresses: ArcSwap::default(),
            next_hops: ArcSwap::from_pointee(next_hops),
            control: Mutex::ranked(Rank::Core, control),
        })
    }

    /// Returns the router's id.
    pub const fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// Returns the router as annotations name it: `0/<id>`.
    pub const fn node(&self) -> &str {
        &self.node
    }

    /// Returns whether the router takes part in the routing protocol, or has an uplink.
    pub const fn mode(&self) -> RouterMode {
        self.mode
    }

    /// Returns the mesh of edge routers that an edge router belongs to.
    pub fn mesh(&self) -> Option<Arc<Box<str>>> {
        self.mesh.load_full()
    }

    pub(super) fn set_own_mesh(&self, id: &str) {
        self.mesh.store(Some(Arc::new(Box::from(id))));
    }

    /// Returns the address by which other routers reach the `local` address of this one. `local` is
    /// given in parts.
    pub fn address_of(&self, local: &[&str]) -> String {
        front(self.mode, &self.id) + &local.concat()
    }

    pub(super) const fn space(&self) -> &AddressSpace {
        &self.space
    }

    /// Returns the account of the process.
    pub fn account(&self) -> &Arc<Account> {
        self.own.account()
    }

    /// Returns the account of a service here, and makes it if there is none.
    pub fn service(&self, service: &str) -> Arc<ServiceAccount> {
        self.services.of(self.account(), service)
    }

    /// Returns the accounts of all services.
    pub const fn services(&self) -> &Services {
        &self.services
    }

    /// Returns the holder for the router itself.
    pub const fn own(&self) -> &Arc<Holder> {
        &self.own
    }

    /// Returns the endpoints that wait for answers.
    pub const fn replies(&self) -> &Arc<Replies> {
        &self.replies
    }

    /// Returns the counts of deliveries.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Control> {
        self.control.lock()
    }

    fn rule_of(&self, key: AddressRef<'_>, hint: Option<Treatment>) -> AddressRule {
        let configured = self.configured(key);
        let treatment = match configured
            .map(|rule| rule.treatment)
            .or(hint)
            .unwrap_or(self.default_treatment)
        {
            Treatment::Unavailable => Treatment::Balanced,
            treatment => treatment,
        };
        AddressRule { treatment, priority: configured.and_then(|rule| rule.priority) }
    }

    /// Replaces the rules of configured addresses. An address that is in use keeps its rule.
    pub fn set_treatments(&self, treatments: Patterns<AddressRule>) {
        self.treatments.store(Arc::new(treatments));
    }

    /// Returns the record of an address, and makes it if there is none. The caller holds the lock.
    pub(super) fn record(&self, key: &AddressKey, hint: Option<Treatment>) -> Arc<Address> {
        let addresses = self.addresses.load();
        if let Some(address) = addresses.get(key) {
            return Arc::clone(address);
        }
        let address = Address::new(key.clone(), self.rule_of(key.as_ref(), hint));
        self.addresses.store(Arc::new(addresses.update(key.clone(), Arc::clone(&address))));
        address
    }

    /// Drops the record of an address that has neither consumers nor watches. The caller holds the
    /// lock.
    pub(super) fn sweep(&self, key: &AddressKey, address: &Address) {
        if address.is_idle() {
            let addresses = self.addresses.load();
            self.addresses.store(Arc::new(addresses.without(key)));
        }
    }

    /// Returns whether an address may be used: its distribution is not `unavailable`.
    pub fn is_available(&self, key: AddressRef<'_>) -> bool {
        self.configured(key).map_or(self.default_treatment, |rule| rule.treatment)
            != Treatment::Unavailable
    }

    fn configured(&self, key: AddressRef<'_>) -> Option<AddressRule> {
        let closest = AddressRule { treatment: Treatment::Closest, priority: None };
        match key.class {
            // The router's own: the management node, and temporary addresses of clients.
            AddressClass::Mobile if key.text.starts_with('$') || key.text.starts_with("_$") => {
                Some(closest)
            }
            AddressClass::Mobile => match self.treatments.load().find(key.text).copied() {
                // Flow records go to all collectors, whatever is configured for others.
                None if key.text.starts_with("mc/sfe.") => {
                    Some(AddressRule { treatment: Treatment::Multicast, priority: None })
                }
                found => found,
            },
            _ => Some(closest),
        }
    }

    /// Adds or changes another router as a destination; without attributes, removes it. The caller
    /// holds the lock.
    pub(super) fn set_remote(
        &self,
        key: &AddressKey,
        router: &Arc<str>,
        attributes: Option<&Attributes>,
    ) {
        if attributes.is_none() && !self.addresses.load().contains_key(key) {
            return;
        }
        let address = self.record(key, attributes.and_then(|attributes| attributes.treatment));
        address.change(|destinations| {
            let known = destinations.remotes.iter().position(|remote| remote.router == *router);
            let remote = attributes.map(|attributes| Remote {
                router: Arc::clone(router),
                sole_mesh: attributes.sole_mesh.clone(),
                early: attributes.early,
            });
            match (known, remote) {
                (None, Some(remote)) => destinations.remotes.push(remote),
                (Some(index), Some(remote)) => {
                    if let Some(known) = destinations.remotes.get_mut(index) {
                        *known = remote;
                    }
                }
                (Some(index), None) => drop(destinations.remotes.remove(index)),
                (None, None) => {}
            }
        });
        self.sweep(key, &address);
    }

    /// Returns all addresses, in the order of class and text.
    pub fn addresses(&self) -> Vec<Arc<Address>> {
        let mut all: Vec<_> = self.addresses.load().values().map(Arc::clone).collect();
        all.sort_by(|a, b| {
            (a.key().class().as_char(), a.key().text())
                .cmp(&(b.key().class().as_char(), b.key().text()))
        });
        all
    }

    /// Returns the number of addresses.
    pub fn address_count(&self) -> usize {
        self.addresses.load().len()
    }

    /// Returns the address of this key, if it has consumers or watches.
    pub fn address(&self, key: AddressRef<'_>) -> Option<Arc<Address>> {
        self.addresses.load().get(&key as &dyn AddressParts).map(Arc::clone)
    }
}

/// Returns the front of all addresses by which other routers reach this one.
fn front(mode: RouterMode, id: &str) -> String {
    let network = match mode {
        RouterMode::Interior => "amqp:/_topo/0/",
        RouterMode::Edge => "amqp:/_edge/",
    };
    [network, id, "/"].concat()
}
