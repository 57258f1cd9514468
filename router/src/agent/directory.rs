//! What the management node reads and changes.

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
    /// Attributes that have a value and may be told. Names that the type's columns do not have are
    /// never told.
    pub attributes: Vec<(&'static str, Value)>,
    /// The entity that it tells of, with what is kept and never told.
    pub kept: Option<Arc<Entity>>,
}

impl Record {
    /// An entity without attributes yet.
    pub const fn new(kind: EntityKind) -> Self {
        Self { kind, attributes: Vec::new(), kept: None }
    }

    /// An entity with all its attributes that may be told.
    pub fn of(entity: &Arc<Entity>) -> Self {
        let attributes =
            entity.told().map(|(attribute, told)| (attribute.name, value::tell(told))).collect();
        Self { kind: entity.kind(), attributes, kept: Some(Arc::clone(entity)) }
    }

    /// The same with an attribute more; null is none.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.put(name, value);
        self
    }

    /// Gives an attribute a value; null takes it away.
    pub fn put(&mut self, name: &'static str, value: impl Into<Value>) {
        let value = value.into();
        self.attributes.retain(|(known, _)| *known != name);
        if value != Value::Null {
            self.attributes.push((name, value));
        }
    }

    /// The value of an attribute.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The value of an attribute, if it is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_text)
    }
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The status code.
    pub status: Status,
    /// What is wrong, in one line without secrets.
    pub text: String,
    /// The body of the response; C routers' cores give null where their agents give an empty map.
    pub body: Value,
}

impl Refusal {
    /// A refusal with an empty map for its body.
    pub fn new(status: Status, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), body: Value::Map(Vec::new()) }
    }

    /// The request makes no sense.
    pub fn bad(text: impl Into<String>) -> Self {
        Self::new(Status::BAD_REQUEST, text)
    }

    /// What was asked for cannot be put in force: the words of C routers, which tell where the
    /// error was found.
    pub fn configuration(text: impl std::fmt::Display) -> Self {
        Self::new(Status::INTERNAL_ERROR, format!("CError: Configuration: {text}"))
    }

    /// An entity that another one names is not there.
    pub fn missing(text: impl std::fmt::Display) -> Self {
        Self::new(Status::INTERNAL_ERROR, format!("CError: Not found: {text}"))
    }

    /// There is no such entity.
    pub fn not_found(text: impl Into<String>) -> Self {
        Self::new(Status::NOT_FOUND, text)
    }

    /// The refusal of a code without words of its own.
    pub fn plain(status: Status) -> Self {
        Self::new(status, status.text())
    }

    /// The same with null for its body.
    #[must_use]
    pub fn without_body(self) -> Self {
        Self { body: Value::Null, ..self }
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requester {
    /// The number of the connection that the request came by, where it came by one.
    pub connection: Option<u64>,
    /// What that connection's listener lets it ask.
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

    /// The part of `items`.
    pub fn of<T>(self, items: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
        items.into_iter().skip(self.offset).take(self.count)
    }
}

/// Entities, one after the other.
pub type Entities<'a> = Box<dyn Iterator<Item = Record> + Send + 'a>;

/// What an entity is asked for by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Its name.
    Name,
    /// Its identity.
    Identity,
}

impl By {
    /// The attribute.
    pub const fn attribute(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Identity => "identity",
        }
    }
}

/// What may be changed of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionChange {
    /// `adminStatus` is given, which policy may forbid.
    pub status: bool,
    /// To be closed: `adminStatus` is `deleted`.
    pub close: bool,
    /// Whether its frames are logged: `enableProtocolTrace`.
    pub trace: Option<bool>,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Who speaks.
    pub module: &'static str,
    /// How grave it is.
    pub level: &'static str,
    /// What is said.
    pub text: String,
    /// Where in the source, if that is known.
    pub source: Option<(&'static str, u32)>,
    /// Seconds since the epoch.
    pub seconds: i64,
}

/// The running router's entities: what the management node stands on.
///
/// A change is done when the method returns, or was not done at all.
pub trait Directory {
    /// Entities of exactly this type, the oldest first. Each is looked at when its turn comes:
    /// there may be very many, and whoever asks may let others go first in between.
    fn entities(&self, kind: EntityKind, page: Page) -> Entities<'_>;

    /// The entities of exactly this type that have this name or identity: at most one, if all is
    /// well.
    fn find(&self, kind: EntityKind, by: By, value: &str) -> Vec<Record> {
        self.entities(kind, Page::ALL)
            .filter(|record| record.text(by.attribute()) == Some(value))
            .collect()
    }

    /// Creates an entity, which need not have a name.
    ///
    /// # Errors
    /// There is one of that name, or what it wants cannot be had.
    fn create(&self, entity: Entity) -> Result<Record, Refusal>;

    /// Gives an entity the attributes of `entity`, which has all that can be configured.
    ///
    /// # Errors
    /// It is gone, or what it wants cannot be had.
    fn update(&self, record: &Record, entity: Entity) -> Result<Record, Refusal>;

    /// Stops and forgets an entity.
    ///
    /// # Errors
    /// It is gone, or in use.
    fn delete(&self, record: &Record) -> Result<(), Refusal>;

    /// What the peer of an open connection may ask; `None` when it is gone.
    fn access(&self, connection: u64) -> Option<ManagementAccess>;

    /// Changes a connection, by identity. `requester` is that of the connection that the request
    /// came by, where it came by one.
    ///
    /// # Errors
    /// It is gone, or may not be closed.
    fn change_connection(
        &self,
        identity: &str,
        change: ConnectionChange,
        requester: Option<u64>,
    ) -> Result<Record, Refusal>;

    /// Ends when what the last changes started stands and what they stopped is gone, or after a
    /// limit of its own: a port that was deleted can be opened again.
    fn settled(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// The last lines of the log, the oldest first: `limit` of them, or all that are kept.
    fn log(&self, limit: Option<usize>) -> Vec<LogLine>;
}
