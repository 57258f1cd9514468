//! The running router: every entity there is, with its running part.
//!
//! The start and management change it by the same door. An entity goes through these stages; each
//! arrow is a method of the trait that is named beside it, and `entities` has a file for each type.
//!
//! ```text
//!  text or request
//!     │  Settings::read        schema: types, ranges, what concerns one entity
//!     ▼
//!  settings
//!     │  Plannable::plan       files are read; nothing that others would notice happens
//!     ▼
//!  Planned
//!     │  Planned::start
//!     ▼
//!  Managed ──► described to management, told in flow records
//!     │  ▲ │
//!     │  └─┘ Managed::update
//!     │  Managed::stop
//!     ▼
//!  gone, with its last flow records told
//! ```

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;
use tokio::time::timeout;

use super::planning::Planning;
use super::profile::ProfileInForce;
use super::trouble::Trouble;
use crate::agent::{Record, Refusal};
use crate::config::{self, Config, Reach};
use crate::flow::Described;
use crate::lock::{Mutex, MutexGuard};
use crate::node::{ConnectionRecord, Node, Protocol, Stage};
use crate::schema::typed::{Site, Typed};
use crate::schema::{Entity, EntityKind, Mode, Value};

/// Time that a change waits for the things that it started or stopped.
const SETTLED: Duration = Duration::from_secs(2);

/// Settings of which an entity can be made.
pub(super) trait Plannable: Typed {
    /// Checks the settings against those that run and those that are planned beside them. Reads
    /// certificates and keys. Others notice nothing of it.
    ///
    /// # Errors
    /// The settings are wrong. The plan stays as it was.
    fn plan(self: Box<Self>, planning: &mut Planning) -> Result<Box<dyn Planned>, Trouble>;

    /// Returns the words in which a C router refuses such an entity, if they are not those of
    /// other types.
    fn refusal(_trouble: &Trouble) -> Option<Refusal> {
        None
    }
}

/// An entity that was planned: all that it needs is at hand.
pub(super) trait Planned: fmt::Debug + Send {
    /// Starts the running part of the entity.
    ///
    /// # Errors
    /// It cannot be started, and nothing runs.
    fn start(
        self: Box<Self>,
        router: &Running,
        entity: &Entity,
    ) -> Result<Arc<dyn Managed>, Trouble>;
}

/// A planned entity that runs as it was planned: its start does nothing else.
#[derive(Debug)]
pub(super) struct AsIs<T>(pub(super) T);

impl<T: Managed> Planned for AsIs<T> {
    fn start(
        self: Box<Self>,
        _router: &Running,
        _entity: &Entity,
    ) -> Result<Arc<dyn Managed>, Trouble> {
        Ok(Arc::new(self.0))
    }
}

/// The running part of an entity.
pub(super) trait Managed: Any + fmt::Debug + Send + Sync {
    /// Acts on other attributes. Returns the new running part; `None`: it stays. `entity` has all
    /// attributes, and may be corrected.
    ///
    /// # Errors
    /// The attributes cannot be put in force. Everything stays as it is.
    fn update(
        &self,
        _router: &Running,
        _entity: &mut Entity,
    ) -> Result<Option<Arc<dyn Managed>>, Trouble> {
        Ok(None)
    }

    /// Asks whether an entity may be deleted that `user` refers to. `entity` is the one to delete.
    ///
    /// # Errors
    /// It may not.
    fn release(&self, entity: &Entity, user: &str) -> Result<(), Refusal> {
        let (kind, name) = (entity.kind(), entity.name().unwrap_or_default());
        Err(Refusal::bad(format!("{kind} '{name}' is in use by {user} and cannot be deleted")))
    }

    /// Stops the running part. The router has removed the entity from its list.
    fn stop(self: Arc<Self>, _router: &Running) {}

    /// Puts all entities of the type in force together. The router calls it on one of them after
    /// it has started some, and on one that it has removed.
    fn publish(&self, _router: &Running) {}

    /// Adds the attributes that management tells beside the configured ones.
    fn describe(&self, _router: &Running, _record: &mut Record) {}

    /// Returns the flow records of the running part.
    fn flow_records(&self, _router: &Running) -> Vec<Described> {
        Vec::new()
    }

    /// Returns the flow records that are told last, once the entity is deleted.
    fn last_flow_records(&self, router: &Running) -> Vec<Described> {
        self.flow_records(router)
    }
}

/// An entity and its running part.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub(super) entity: Arc<Entity>,
    pub(super) managed: Arc<dyn Managed>,
}

impl Live {
    /// Returns the running part, if it is a `T`.
    fn peek<T: Managed>(&self) -> Option<&T> {
        let any: &dyn Any = &*self.managed;
        any.downcast_ref()
    }

    /// Returns a handle of the running part, if it is a `T`.
    fn running_as<T: Managed>(&self) -> Option<Arc<T>> {
        self.peek::<T>()?;
        let managed: Arc<dyn Any + Send + Sync> = Arc::clone(&self.managed) as _;
        managed.downcast().ok()
    }

    /// Whether it is of this type and has this identity.
    pub(super) fn is(&self, kind: EntityKind, identity: &str) -> bool {
        self.entity.kind() == kind && self.entity.text("identity") == Some(identity)
    }
}

/// An entity to be started.
pub(super) type Step = (Entity, Box<dyn Planned>);

#[derive(Debug, Default)]
struct Entities {
    /// In the order of their creation.
    live: Vec<Live>,
    /// Entities of each type ever created.
    counts: BTreeMap<EntityKind, usize>,
    /// Addresses and autoLinks ever created: their number identifies them.
    numbered: u64,
    /// Flow records of entities that were deleted since they were last looked at.
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
    /// The files and variables that changes may name.
    pub(super) reach: Reach,
    /// Runs the services for operators.
    pub(super) runtime: Handle,
    /// Deleting a service ends its connections too.
    drop_connections: bool,
    entities: Mutex<Entities>,
    waits: Mutex<Vec<Wait>>,
    itself: Weak<Self>,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Running {
    /// Returns a router without entities. The services for operators run on
    /// `runtime`.
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
            runtime,
            drop_connections: config.router.drop_tcp_connections,
            entities: Mutex::default(),
            waits: Mutex::default(),
            itself: Weak::clone(itself),
        })
    }

    /// Returns the router for tasks that hold it; `None` once it ends.
    pub(super) fn itself(&self) -> Option<Arc<Self>> {
        self.itself.upgrade()
    }

    fn lock(&self) -> MutexGuard<'_, Entities> {
        self.entities.lock()
    }

    /// Returns all entities, in the order of their creation.
    pub(super) fn all(&self) -> Vec<Live> {
        self.lock().live.clone()
    }

    /// Returns all that runs as a `T`, in the order of its creation.
    pub(super) fn all_of<T: Managed>(&self) -> Vec<Arc<T>> {
        self.lock().live.iter().filter_map(Live::running_as).collect()
    }

    /// Returns the first that runs as a `T` and is `wanted`. `wanted` must take no lock.
    pub(super) fn find_of<T: Managed>(&self, wanted: impl Fn(&T) -> bool) -> Option<Arc<T>> {
        let entities = self.lock();
        entities.live.iter().find(|live| live.peek().is_some_and(&wanted))?.running_as()
    }

    /// Returns the TLS profiles in force, by name.
    pub(super) fn profiles(&self) -> BTreeMap<String, Arc<ProfileInForce>> {
        let profiles = self.all_of::<ProfileInForce>().into_iter();
        profiles.map(|profile| (profile.config().name.clone(), profile)).collect()
    }

    /// Returns an entity that refers to the one of this type and name, in words.
    pub(super) fn user_of(&self, kind: EntityKind, name: &str) -> Option<String> {
        self.all().iter().find_map(|other| {
            let entity = &other.entity;
            let mut references = entity.references();
            references.any(|reference| reference.kind == kind && reference.name == name).then(
                || format!("{} '{}'", entity.kind().section(), entity.name().unwrap_or_default()),
            )
        })
    }

    /// Returns an entity as management tells it.
    pub(super) fn record(&self, live: &Live) -> Record {
        let mut record = Record::of(&live.entity);
        live.managed.describe(self, &mut record);
        record
    }

    /// Takes the flow records of entities that were deleted since the last call.
    pub(super) fn take_departed(&self) -> Vec<Described> {
        std::mem::take(&mut self.lock().departed)
    }

    /// Checks the rules that a configuration checks between its entities: no second one where only
    /// one may be, references to entities that exist, and a role that fits the router's mode.
    ///
    /// # Errors
    /// The attribute that is wrong.
    pub(super) fn check(&self, entity: &Entity) -> Result<(), Trouble> {
        let running = self.all();
        let kind = entity.kind();
        if kind.is_single() && running.iter().any(|live| live.entity.kind() == kind) {
            let text = "Already exists".to_owned();
            return Err(Trouble::Failed { attribute: "type", text });
        }
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

    /// Starts planned entities. If one fails, it stops again the ones before it.
    ///
    /// # Errors
    /// The entity that could not be started, and why.
    pub(super) fn apply(&self, steps: Vec<Step>) -> Result<Vec<Live>, (Box<Entity>, Trouble)> {
        let mut started: Vec<Live> = Vec::new();
        for (mut entity, planned) in steps {
            self.identify(&mut entity);
            match planned.start(self, &entity) {
                Ok(managed) => {
                    let live = Live { entity: Arc::new(entity), managed };
                    self.lock().live.push(live.clone());
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
        let kinds: BTreeMap<EntityKind, &Live> =
            started.iter().map(|live| (live.entity.kind(), live)).collect();
        kinds.values().for_each(|live| live.managed.publish(self));
        Ok(started)
    }

    /// Gives an entity an identity, and a name if it has none.
    fn identify(&self, entity: &mut Entity) {
        let mut entities = self.lock();
        let kind = entity.kind();
        let count = entities.counts.entry(kind).or_default();
        if entity.text("identity").is_none() {
            entity.identify(*count);
        }
        *count += 1;
        if matches!(kind, EntityKind::ConfigAddress | EntityKind::AutoLink) {
            entities.numbered += 1;
            entity.set("identity", Value::String(entities.numbered.to_string()));
        }
    }

    /// Returns the number of the next entity of a type. It names entities without another name.
    pub(super) fn next(&self, kind: EntityKind) -> usize {
        self.lock().counts.get(&kind).copied().unwrap_or_default()
    }

    /// Replaces an entity by the same with other values of attributes.
    pub(super) fn replace(&self, live: &Live, entity: Entity, managed: Arc<dyn Managed>) -> Live {
        let replaced = Live { entity: Arc::new(entity), managed };
        let mut entities = self.lock();
        if let Some(place) =
            entities.live.iter_mut().find(|other| Arc::ptr_eq(&other.entity, &live.entity))
        {
            *place = replaced.clone();
        }
        replaced
    }

    /// Stops an entity, and forgets it.
    pub(super) fn remove(&self, live: &Live) {
        self.lock().live.retain(|other| !Arc::ptr_eq(&other.entity, &live.entity));
        Arc::clone(&live.managed).stop(self);
        live.managed.publish(self);
        let last = live.managed.last_flow_records(self);
        self.lock().departed.extend(last);
    }

    /// Closes the connections of a tcpListener or tcpConnector, if the router's configuration wants
    /// them closed.
    pub(super) fn drop_connections(&self, entity: &str, outgoing: bool) {
        if !self.drop_connections {
            return;
        }
        let records = self.node.registry.connections();
        let of = |record: &&Arc<ConnectionRecord>| {
            record.protocol() == Protocol::Tcp
                && record.outgoing == outgoing
                && *record.entity == *entity
        };
        records.iter().filter(of).for_each(|record| record.closer.close(None));
    }

    /// Makes the present change wait for a future. A router that starts or ends does not wait.
    pub(super) fn wait(&self, what: impl Future<Output = ()> + Send + 'static) {
        let mut waits = self.waits.lock();
        if *self.node.stage.borrow() == Stage::Running {
            waits.push(Box::pin(what));
        }
    }

    /// Waits until everything that was started since the last call stands, and everything that was
    /// stopped is gone. Waits [`SETTLED`] at most.
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
        // A longer change goes on by itself, and its status tells its state.
        let _ = timeout(SETTLED, all).await;
    }
}
