//! The running router: every entity there is, with what runs for it. Start-up, management and
//! reload change it by the same door.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use skupper_proto::address::Treatment;
use skupper_proto::address::patterns::Patterns;
use skupper_proto::amqp::condition;
use skupper_proto::amqp::performative::Error;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::http_port::HttpPort;
use super::plan::{Parts, Plan, ProfileInForce, Trouble, denied, idle, pattern};
use crate::config::{self, Config, Reach};
use crate::core::AddressRule;
use crate::flow::Described;
use crate::lock::{Mutex, MutexGuard};
use crate::log;
use crate::log::{Options as LogOptions, Scope};
use crate::net::{AmqpListener, SiteLink};
use crate::node::{AutoLink, Holder, Node, OUTDATED, Protocol, Stage};
use crate::schema::typed::{AddressConfig, AutoLinkConfig, LogConfig, LogOutput, Site};
use crate::schema::{Distribution, Entity, EntityKind, Mode, Role, SaslMechanism, Value};
use crate::tcp::{ListenerAddress, TcpConnector, TcpListener};

/// How long a change waits for what it started or stopped.
const SETTLED: Duration = Duration::from_secs(2);

/// What runs for an entity.
#[derive(Clone, Debug)]
pub(super) enum Owner {
    /// Nothing: it is kept to be shown.
    Kept,
    /// The log itself.
    Log,
    /// A TLS profile.
    Profile(ProfileInForce),
    /// The core's treatments.
    Address(Arc<AddressConfig>),
    /// A port for HTTP.
    Http(Arc<HttpPort>),
    /// A port for AMQP.
    Listener(Arc<AmqpListener>),
    /// Connections that are kept.
    Connector(Arc<SiteLink>),
    /// A port of a service.
    TcpListener(Arc<TcpListener>),
    /// A server of a service.
    TcpConnector(Arc<TcpConnector>),
    /// The rules of a vhost, by its host name.
    Vhost(String),
    /// An address of a port of a service.
    ListenerAddress(Arc<TcpListener>, Arc<ListenerAddress>),
    /// A link to containers.
    AutoLink(Arc<AutoLink>),
}

/// An entity and what runs for it.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub(super) entity: Arc<Entity>,
    pub(super) owner: Owner,
}

impl Live {
    /// Whether it is of this type and has this identity.
    pub(super) fn is(&self, kind: EntityKind, identity: &str) -> bool {
        self.entity.kind() == kind && self.entity.text("identity") == Some(identity)
    }
}

#[derive(Debug, Default)]
struct State {
    /// In the order of their creation.
    entities: Vec<Live>,
    /// Entities of each type ever created.
    counts: BTreeMap<EntityKind, usize>,
    /// Addresses and autoLinks ever created: what identifies them.
    numbered: u64,
    /// What flow records have to say of entities that were deleted since they were last looked at.
    departed: Vec<Described>,
}

type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A running router.
pub(super) struct Running {
    pub(super) node: Arc<Node>,
    pub(super) mode: Mode,
    pub(super) site: Option<Site>,
    pub(super) warnings: Vec<String>,
    pub(super) started: SystemTime,
    /// Which of the router's lives this is.
    pub(super) instance: i64,
    /// What changes may name.
    pub(super) reach: Reach,
    /// Deleting a service ends its connections too.
    drop_connections: bool,
    default_treatment: Distribution,
    runtime: Handle,
    state: Mutex<State>,
    waits: Mutex<Vec<Wait>>,
    itself: Weak<Self>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Running {
    /// A router without entities yet. What serves operators runs on `runtime`.
    pub(super) fn new(
        node: &Arc<Node>,
        config: &Config,
        reach: Reach,
        instance: i64,
        runtime: Handle,
    ) -> Arc<Self> {
        Arc::new_cyclic(|itself| Self {
            node: Arc::clone(node),
            mode: config.router.mode,
            site: config.all::<Site>().first().copied().cloned(),
            warnings: config.warnings.clone(),
            started: SystemTime::now(),
            instance,
            reach,
            drop_connections: config.router.drop_tcp_connections,
            default_treatment: config.router.default_distribution,
            runtime,
            state: Mutex::default(),
            waits: Mutex::default(),
            itself: Weak::clone(itself),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// All entities, in the order of their creation.
    pub(super) fn all(&self) -> Vec<Live> {
        self.lock().entities.clone()
    }

    /// What flow records have to say of entities that were deleted since the last call.
    pub(super) fn take_departed(&self) -> Vec<Described> {
        std::mem::take(&mut self.lock().departed)
    }

    fn owners<T>(&self, of: impl Fn(&Owner) -> Option<&Arc<T>>) -> Vec<Arc<T>> {
        self.lock().entities.iter().filter_map(|live| of(&live.owner).map(Arc::clone)).collect()
    }

    pub(super) fn listeners(&self) -> Vec<Arc<AmqpListener>> {
        self.owners(
            |owner| if let Owner::Listener(listener) = owner { Some(listener) } else { None },
        )
    }

    pub(super) fn site_links(&self) -> Vec<Arc<SiteLink>> {
        self.owners(|owner| if let Owner::Connector(link) = owner { Some(link) } else { None })
    }

    pub(super) fn tcp_listeners(&self) -> Vec<Arc<TcpListener>> {
        self.owners(
            |owner| if let Owner::TcpListener(listener) = owner { Some(listener) } else { None },
        )
    }

    pub(super) fn tcp_connectors(&self) -> Vec<Arc<TcpConnector>> {
        self.owners(
            |owner| if let Owner::TcpConnector(connector) = owner { Some(connector) } else { None },
        )
    }

    pub(super) fn http_ports(&self) -> Vec<Arc<HttpPort>> {
        self.owners(|owner| if let Owner::Http(port) = owner { Some(port) } else { None })
    }

    /// TLS profiles in force, by name.
    pub(super) fn profiles(&self) -> BTreeMap<String, ProfileInForce> {
        let profile = |live: &Live| match &live.owner {
            Owner::Profile(profile) => Some((live.entity.name()?.to_owned(), profile.clone())),
            _ => None,
        };
        self.lock().entities.iter().filter_map(profile).collect()
    }

    /// A profile was changed: links between routers make their connections anew with a higher
    /// ordinal, and what was connected with certificates older than it allows is closed.
    pub(super) fn renew(&self, profile: &ProfileInForce) {
        let loaded = profile.loaded();
        let profile = profile.config();
        // Whoever opens from now on sees this, whoever has opened is found below.
        loaded.iter().for_each(|loaded| loaded.outdate_before(profile.oldest_valid_ordinal));
        let (links, listeners) = (self.site_links(), self.listeners());
        let links: Vec<_> = links
            .iter()
            .filter(|link| link.config().ssl_profile.as_ref() == Some(&profile.name))
            .collect();
        links.iter().for_each(|link| link.renew(&self.node, profile.ordinal));
        let http = self.http_ports();
        // Those of a port for HTTP have come by WebSocket.
        let listeners = listeners
            .iter()
            .map(|listener| listener.config())
            .chain(http.iter().map(|port| port.config()));
        let listeners =
            listeners.filter(|listener| listener.ssl_profile.as_ref() == Some(&profile.name));
        let of_listeners = listeners.map(|listener| (false, listener.name.as_str()));
        let users: BTreeSet<_> = links
            .iter()
            .map(|link| (true, link.config().name.as_str()))
            .chain(of_listeners)
            .collect();
        for record in self.node.registry.connections() {
            let expired =
                record.tls.as_ref().is_some_and(|tls| tls.ordinal < profile.oldest_valid_ordinal);
            if expired
                && record.protocol() == Protocol::Amqp
                && users.contains(&(record.outgoing, &*record.entity))
            {
                log!(
                    Server,
                    Debug,
                    "[C{}] closing: its certificates are older than sslProfile '{}' allows",
                    record.id,
                    profile.name
                );
                let error = Error::new(condition::CONNECTION_FORCED, OUTDATED);
                record.closer.close(Some(error));
            }
        }
    }

    /// A plan for entities to be started beside those that run.
    pub(super) fn plan(&self) -> Plan {
        let running = self.all();
        Plan::new(self.profiles(), running.iter().map(|live| &*live.entity))
    }

    /// Checks what a configuration checks of its entities together: that all that an entity refers
    /// to is there, and that its role fits the router's mode.
    ///
    /// # Errors
    /// The attribute that is wrong.
    pub(super) fn check(&self, entity: &Entity) -> Result<(), Trouble> {
        let running = self.all();
        let is_there = |kind, name: &str| {
            running
                .iter()
                .any(|live| live.entity.kind() == kind && live.entity.name() == Some(name))
        };
        if let Some(missing) = entity.missing_reference(is_there) {
            return Err(Trouble::Missing {
                attribute: missing.attribute,
                kind: missing.kind,
                name: missing.name.to_owned(),
            });
        }
        config::role_fits(entity, self.mode).map_err(Trouble::Attribute)
    }

    /// Starts what was planned. When something fails, what was started before it is stopped again.
    ///
    /// # Errors
    /// The entity that could not be started, and why.
    pub(super) fn apply(
        &self,
        steps: Vec<(Entity, Parts)>,
    ) -> Result<Vec<Live>, (Box<Entity>, Trouble)> {
        let mut started: Vec<Live> = Vec::new();
        for (mut entity, parts) in steps {
            self.identify(&mut entity);
            match self.start(&entity, parts) {
                Ok(owner) => {
                    let live = Live { entity: Arc::new(entity), owner };
                    self.lock().entities.push(live.clone());
                    started.push(live);
                }
                Err(trouble) => {
                    while let Some(live) = started.pop() {
                        self.remove(&live);
                    }
                    return Err((Box::new(entity), trouble));
                }
            }
        }
        if started.iter().any(|live| matches!(live.owner, Owner::Address(_))) {
            self.publish_treatments();
        }
        Ok(started)
    }

    /// Gives an entity an identity, and a name if it has none.
    fn identify(&self, entity: &mut Entity) {
        let mut state = self.lock();
        let kind = entity.kind();
        let count = state.counts.entry(kind).or_default();
        if entity.text("identity").is_none() {
            entity.identify(*count);
        }
        *count += 1;
        if matches!(kind, EntityKind::ConfigAddress | EntityKind::AutoLink) {
            state.numbered += 1;
            entity.set("identity", Value::String(state.numbered.to_string()));
        }
    }

    /// The number of the next entity of a type: what names those that have nothing else for it.
    pub(super) fn next(&self, kind: EntityKind) -> usize {
        self.lock().counts.get(&kind).copied().unwrap_or_default()
    }

    fn start(&self, entity: &Entity, parts: Parts) -> Result<Owner, Trouble> {
        let node = &self.node;
        Ok(match parts {
            Parts::Log(config) => {
                configure_log(&config)?;
                Owner::Log
            }
            Parts::Profile(profile) => {
                if let Some(profile) = profile.loaded() {
                    profile.log_remarks();
                }
                Owner::Profile(profile)
            }
            Parts::Address(config) => Owner::Address(Arc::new(config)),
            Parts::Http(config, acceptor) => match self.itself.upgrade() {
                Some(running) => {
                    let port = HttpPort::start(&running, &self.runtime, config, acceptor);
                    let started = Arc::clone(&port);
                    self.wait(async move { started.status().tried().await });
                    Owner::Http(port)
                }
                None => Owner::Kept,
            },
            Parts::Listener(config, acceptor) if served(config.role) => {
                let plain = config
                    .sasl_mechanisms
                    .as_ref()
                    .is_some_and(|names| names.contains(SaslMechanism::Plain));
                if acceptor.is_none() && config.authenticate_peer && !plain {
                    log!(
                        ConnMgr,
                        Warning,
                        "listener '{}': authenticatePeer without sslProfile lets nobody in: peers authenticate by certificate, or by saslMechanisms PLAIN",
                        config.name
                    );
                }
                log!(
                    ConnMgr,
                    Info,
                    "Configured  Listener: {} proto=any, role={}",
                    config.host_port(),
                    config.role
                );
                let listener = AmqpListener::start(node, config, acceptor);
                let started = Arc::clone(&listener);
                self.wait(async move { started.status().tried().await });
                Owner::Listener(listener)
            }
            Parts::Listener(config, _) => {
                log!(
                    ConnMgr,
                    Warning,
                    "listener '{}': role {} has no effect yet; not listening",
                    config.name,
                    config.role
                );
                Owner::Kept
            }
            Parts::Connector { config, tls, ordinal, certified } if served(config.role) => {
                log!(
                    ConnMgr,
                    Info,
                    "Configured  Connector: {} proto=any, role={}",
                    config.host_port(),
                    config.role
                );
                Owner::Connector(SiteLink::start(node, config, tls, ordinal, certified))
            }
            Parts::Connector { config, .. } => {
                log!(
                    ConnMgr,
                    Warning,
                    "connector '{}': role {} has no effect yet; not connecting",
                    config.name,
                    config.role
                );
                Owner::Kept
            }
            Parts::TcpListener(config, acceptor) => {
                Owner::TcpListener(TcpListener::start(node, config, acceptor))
            }
            Parts::TcpConnector(config, tls) => {
                Owner::TcpConnector(TcpConnector::start(node, config, tls))
            }
            Parts::Vhost(vhost) => {
                let name = vhost.name().to_owned();
                node.access.policy.put(vhost).map_err(|error| denied(&error))?;
                log!(Policy, Info, "Created policy rules for vhost {name}");
                Owner::Vhost(name)
            }
            Parts::ListenerAddress(config) => {
                let listeners = self.tcp_listeners();
                let Some(listener) = listeners
                    .into_iter()
                    .find(|listener| listener.config().name == config.listener)
                else {
                    return Err(Trouble::Missing {
                        attribute: "listener",
                        kind: EntityKind::TcpListener,
                        name: config.listener,
                    });
                };
                let address = ListenerAddress::new(&node.core, &config.address, config.value);
                listener.add(Arc::clone(&address));
                Owner::ListenerAddress(listener, address)
            }
            Parts::AutoLink(config) => {
                let link = auto_link(config, entity.text("identity").unwrap_or_default());
                node.auto_links.add(&link);
                Owner::AutoLink(link)
            }
            Parts::Kept => {
                if let Some(warning) = idle(entity) {
                    log!(Agent, Debug, "{}: {warning}", entity.name().unwrap_or_default());
                }
                Owner::Kept
            }
        })
    }

    /// Stops what runs for an entity, and forgets the entity.
    pub(super) fn remove(&self, live: &Live) {
        self.lock().entities.retain(|other| !Arc::ptr_eq(&other.entity, &live.entity));
        match &live.owner {
            Owner::Kept | Owner::Log | Owner::Profile(_) => {}
            Owner::Address(_) => self.publish_treatments(),
            Owner::Vhost(name) => {
                // It is gone then, which is what is wanted.
                let _ = self.node.access.policy.remove(name);
            }
            Owner::AutoLink(link) => self.node.auto_links.remove(link),
            Owner::ListenerAddress(listener, address) => listener.remove(address),
            Owner::Http(port) => {
                port.stop();
                let port = Arc::clone(port);
                self.wait(async move { port.stopped().await });
            }
            Owner::Listener(listener) => {
                listener.stop();
                let listener = Arc::clone(listener);
                self.wait(async move { listener.stopped().await });
            }
            Owner::Connector(link) => {
                link.stop();
                let link = Arc::clone(link);
                self.wait(async move { link.stopped().await });
            }
            Owner::TcpListener(listener) => {
                listener.stop();
                self.drop_connections(&listener.config().name, false);
                let listener = Arc::clone(listener);
                self.wait(async move { listener.stopped().await });
            }
            Owner::TcpConnector(connector) => {
                connector.stop();
                self.drop_connections(&connector.config().name, true);
            }
        }
        let last = self.last_of(&live.owner);
        self.lock().departed.extend(last);
    }

    /// Replaces an entity that stays what it is, for another value of some attribute.
    pub(super) fn replace(&self, live: &Live, entity: Entity, owner: Owner) -> Live {
        let replaced = Live { entity: Arc::new(entity), owner };
        let mut state = self.lock();
        if let Some(place) =
            state.entities.iter_mut().find(|other| Arc::ptr_eq(&other.entity, &live.entity))
        {
            *place = replaced.clone();
        }
        replaced
    }

    fn drop_connections(&self, entity: &str, outgoing: bool) {
        if !self.drop_connections {
            return;
        }
        let records = self.node.registry.connections();
        let of = |record: &&Arc<crate::node::ConnectionRecord>| {
            record.protocol() == Protocol::Tcp
                && record.outgoing == outgoing
                && *record.entity == *entity
        };
        records.iter().filter(of).for_each(|record| record.closer.close(None));
    }

    fn publish_treatments(&self) {
        let mut treatments = Patterns::new();
        for live in &self.lock().entities {
            if let Owner::Address(config) = &live.owner {
                // Two of one pattern are not planned.
                let _ = treatments.insert(&pattern(config).1, rule(config));
            }
        }
        self.node.core.set_treatments(treatments);
    }

    pub(super) fn wait(&self, what: impl Future<Output = ()> + Send + 'static) {
        // Nobody asks whether a router that starts or ends has settled.
        let mut waits = self.waits.lock();
        if *self.node.stage.borrow() == Stage::Running {
            waits.push(Box::pin(what));
        }
    }

    /// Ends when what was started or stopped since the last call stands or is gone, or after
    /// [`SETTLED`].
    pub(super) async fn settled(&self) {
        let waits = std::mem::take(&mut *self.waits.lock());
        if waits.is_empty() {
            return;
        }
        let all = async {
            for wait in waits {
                wait.await;
            }
        };
        // What takes longer goes on by itself; its status tells how it stands.
        let _ = timeout(SETTLED, all).await;
    }

    /// Fails if a port for AMQP or HTTP cannot be listened on: a router that starts without one
    /// would look as if it worked.
    pub(super) async fn listens(&self) -> Result<(), String> {
        let listeners = self.listeners();
        let ports = self.http_ports();
        let amqp =
            listeners.iter().map(|listener| (listener.config().host_port(), listener.status()));
        let http = ports.iter().map(|port| (port.config().host_port(), port.status()));
        for (place, status) in amqp.chain(http) {
            if timeout(SETTLED, status.tried()).await.is_ok()
                && let Some((_, error)) = status.error()
            {
                log!(Server, Critical, "Shutting down, required listener failed {place}");
                return Err(error);
            }
        }
        Ok(())
    }

    /// The distribution of addresses that no entity speaks of.
    pub(super) const fn default_distribution(&self) -> Distribution {
        self.default_treatment
    }
}

/// A link as its connections know it. `identity` names one that has no name.
fn auto_link(config: AutoLinkConfig, identity: &str) -> Arc<AutoLink> {
    let holder = match (config.connection, config.container_id) {
        (Some(name), _) => Holder::Entity(name),
        (None, Some(id)) => Holder::Container(id),
        (None, None) => Holder::Nobody,
    };
    let name = config.name.unwrap_or_else(|| identity.to_owned());
    AutoLink::new(name, holder, config.incoming, config.address, config.external_address)
}

/// Roles that connections may have.
const fn served(role: Role) -> bool {
    matches!(
        role,
        Role::Normal | Role::InterRouter | Role::RouteContainer | Role::Edge | Role::InterEdge
    )
}

pub(super) const fn treatment(distribution: Distribution) -> Treatment {
    match distribution {
        Distribution::Multicast => Treatment::Multicast,
        Distribution::Closest => Treatment::Closest,
        Distribution::Balanced => Treatment::Balanced,
        Distribution::Unavailable => Treatment::Unavailable,
    }
}

/// What an address entity says to the core.
fn rule(config: &AddressConfig) -> AddressRule {
    AddressRule { treatment: treatment(config.distribution), priority: config.priority }
}

/// Puts a log entity in force.
pub(super) fn configure_log(config: &LogConfig) -> Result<(), Trouble> {
    let scope = Scope::from_name(config.module.as_str()).unwrap_or(Scope::Default);
    log::configure(scope, &log_options(config))
        .map_err(|error| Trouble::Failed { attribute: "outputFile", text: error.to_string() })
}

fn log_options(config: &LogConfig) -> LogOptions {
    LogOptions {
        levels: config.enable,
        timestamp: config.include_timestamp,
        source: config.include_source,
        output: config.output.as_ref().map(|output| match output {
            LogOutput::Stderr => "stderr".to_owned(),
            LogOutput::Stdout => "stdout".to_owned(),
            LogOutput::Syslog => "syslog".to_owned(),
            LogOutput::Journal => "journald".to_owned(),
            LogOutput::File(path) => path.display().to_string(),
        }),
    }
}
