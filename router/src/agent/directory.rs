//! The entities that the management node reads and changes.

use std::sync::Arc;

use skupper_proto::amqp::Value;
use skupper_proto::management::Status;

use super::value;
use crate::schema::{Entity, EntityKind, ManagementAccess};

/// An entity as management tells it.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its type.
    pub kind: EntityKind,
    /// Attributes that have a value and may be told. The node leaves out names that the type's
    /// columns do not have.
    pub attributes: Vec<(&'static str, Value)>,
    /// The entity itself, with attributes that are never told.
    pub kept: Option<Arc<Entity>>,
}

impl Record {
    /// Returns an entity without attributes.
    pub const fn new(kind: EntityKind) -> Self {
        Self { kind, attributes: Vec::new(), kept: None }
    }

    /// Returns an entity with all attributes that may be told.
    pub fn of(entity: &Arc<Entity>) -> Self {
        let attributes =
            entity.told().map(|(attribute, told)| (attribute.name, value::tell(told))).collect();
        Self { kind: entity.kind(), attributes, kept: Some(Arc::clone(entity)) }
    }

    /// Returns the same with one more attribute. Null adds none.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.put(name, value);
        self
    }

    /// Gives an attribute a value. Null takes it away.
    pub fn put(&mut self, name: &'static str, value: impl Into<Value>) {
        let value = value.into();
        self.attributes.retain(|(known, _)| *known != name);
        if value != Value::Null {
            self.attributes.push((name, value));
        }
    }

    /// Returns the value of an attribute.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Returns the value of an attribute, if it is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_text)
    }
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The status code.
    pub status: Status,
    /// The reason, in one line without secrets.
    pub text: String,
    /// The body of the response. The cores of C routers give null where their agents give an empty
    /// map.
    pub body: Value,
}

impl Refusal {
    /// Returns a refusal with an empty map for its body.
    pub fn new(status: Status, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), body: Value::Map(Vec::new()) }
    }

    /// Refuses a request that makes no sense.
    pub fn bad(text: impl Into<String>) -> Self {
        Self::new(Status::BAD_REQUEST, text)
    }

    /// Refuses something that cannot be put in force, in the words of C routers. They tell where
    /// the error was found.
    pub fn configuration(text: impl std::fmt::Display) -> Self {
        Self::new(Status::INTERNAL_ERROR, format!("CError: Configuration: {text}"))
    }

    /// Refuses an entity that names a missing one.
    pub fn missing(text: impl std::fmt::Display) -> Self {
        Self::new(Status::INTERNAL_ERROR, format!("CError: Not found: {text}"))
    }

    /// Refuses a request for an entity that does not exist.
    pub fn not_found(text: impl Into<String>) -> Self {
        Self::new(Status::NOT_FOUND, text)
    }

    /// Refuses with the text of the status code.
    pub fn plain(status: Status) -> Self {
        Self::new(status, status.text())
    }

    /// Returns the same with null for its body.
    #[must_use]
    pub fn without_body(self) -> Self {
        Self { body: Value::Null, ..self }
    }
}

/// The sender of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requester {
    /// The number of its connection, if the request came by one.
    pub connection: Option<u64>,
    /// The rights that the connection's listener gives.
    pub access: ManagementAccess,
}

/// A part of the entities of a type, in the order of their creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// How many to pass over.
    pub offset: usize,
    /// How many to give at most.
    pub count: usize,
}

impl Page {
    /// All of them.
    pub const ALL: Self = Self { offset: 0, count: usize::MAX };

    /// Returns this part of `items`.
    pub fn of<T>(self, items: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
        items.into_iter().skip(self.offset).take(self.count)
    }
}

/// A sequence of entities.
pub type Entities<'a> = Box<dyn Iterator<Item = Record> + Send + 'a>;

/// The attribute by which a request finds an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Its name.
    Name,
    /// Its identity.
    Identity,
}

impl By {
    /// Returns the attribute.
    pub const fn attribute(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Identity => "identity",
        }
    }
}

/// A change of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionChange {
    /// `adminStatus` is given. Policy may forbid that.
    pub status: bool,
    /// Close it: `adminStatus` is `deleted`.
    pub close: bool,
    /// Log its frames or not: `enableProtocolTrace`.
    pub trace: Option<bool>,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The module.
    pub module: &'static str,
    /// The level.
    pub level: &'static str,
    /// The text.
    pub text: String,
    /// The place in the source, if it is known.
    pub source: Option<(&'static str, u32)>,
    /// Seconds since the epoch.
    pub seconds: i64,
}

/// The running router's entities, as the management node needs them.
///
/// A change is done when the method returns, or was not done at all.
pub trait Directory {
    /// Returns entities of exactly this type, the oldest first. It looks at each in its turn,
    /// because there may be many and the caller may let other work go first.
    fn entities(&self, kind: EntityKind, page: Page) -> Entities<'_>;

    /// Finds the entities of exactly this type with this name or identity: at most one in a sound
    /// router.
    fn find(&self, kind: EntityKind, by: By, value: &str) -> Vec<Record> {
        self.entities(kind, Page::ALL)
            .filter(|record| record.text(by.attribute()) == Some(value))
            .collect()
    }

    /// Creates an entity. It need not have a name.
    ///
    /// # Errors
    /// Another entity has the name, or the router cannot start this one.
    fn create(&self, entity: Entity) -> Result<Record, Refusal>;

    /// Gives an entity the attributes of `entity`, which has all that can be configured.
    ///
    /// # Errors
    /// The entity is gone, or the router cannot act on the attributes.
    fn update(&self, record: &Record, entity: Entity) -> Result<Record, Refusal>;

    /// Stops and forgets an entity.
    ///
    /// # Errors
    /// It is gone, or in use.
    fn delete(&self, record: &Record) -> Result<(), Refusal>;

    /// Returns the rights of an open connection's peer; `None` when the connection is gone.
    fn access(&self, connection: u64) -> Option<ManagementAccess>;

    /// Changes a connection, by identity. `requester` is the connection of the request, if it came
    /// by one.
    ///
    /// # Errors
    /// It is gone, or may not be closed.
    fn change_connection(
        &self,
        identity: &str,
        change: ConnectionChange,
        requester: Option<u64>,
    ) -> Result<Record, Refusal>;

    /// Waits until everything that the last changes started stands, and everything that they
    /// stopped is gone. Ends after a limit of its own. So a client can open a deleted port again.
    fn settled(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Returns the last lines of the log, the oldest first: `limit` of them, or all.
    fn log(&self, limit: Option<usize>) -> Vec<LogLine>;
}
