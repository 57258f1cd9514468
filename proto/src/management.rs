//! Requests to a management node and its responses (AMQP Management 1.0, working draft 9, as
//! routers speak it).
//!
//! A request is a message. Its application properties state the `operation`, the `type` and the
//! `name` or `identity` of an entity, and whatever else the operation needs. Its body is a map of
//! attributes, or null. The response goes to the request's `reply-to`. It carries the request's
//! `correlation-id`, a `statusCode`, a `statusDescription` and a body.
//!
//! This module writes and reads both, for clients and for management nodes. It does not know what
//! an operation does.

#[cfg(test)]
mod tests;

use crate::amqp::decode::Memory;
use crate::amqp::encode::{self, Encode};
use crate::amqp::message::{Head, Header, Properties, Scan, Span, scan, section};
use crate::amqp::{DecodeError, Reader, Value};

/// The most bytes of a request. The largest in use creates a vhost with all its groups, some tens
/// of KiB. A request takes up to some thirty times its bytes in memory.
pub const MAX_REQUEST: usize = 256 * 1024;

/// The most bytes of a response that a client takes, and a management node gives: a query of a
/// hundred thousand connections fits.
pub const MAX_RESPONSE: usize = 64 * 1024 * 1024;

/// The most application properties that are read of a message: the operations use ten.
pub const MAX_PROPERTIES: usize = 256;

/// Names of application properties.
pub mod property {
    /// The operation.
    pub const OPERATION: &str = "operation";
    /// The type of the entity that the request is for.
    pub const TYPE: &str = "type";
    /// The name of the entity that the request is for.
    pub const NAME: &str = "name";
    /// The identity of the entity that the request is for.
    pub const IDENTITY: &str = "identity";
    /// The type of entities that a query, or a question about types, is about.
    pub const ENTITY_TYPE: &str = "entityType";
    /// How many results to pass over.
    pub const OFFSET: &str = "offset";
    /// The most results to return.
    pub const COUNT: &str = "count";
    /// The most log lines to return.
    pub const LIMIT: &str = "limit";
    /// A response's [`Status`](super::Status).
    pub const STATUS_CODE: &str = "statusCode";
    /// A response's status in words.
    pub const STATUS_DESCRIPTION: &str = "statusDescription";
}

/// A request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// The address of the management node, when the message states it.
    pub to: Option<String>,
    /// The address of the response; without it there is none.
    pub reply_to: Option<String>,
    /// The response carries it too, of whatever type.
    pub correlation_id: Option<Value>,
    /// The operation; `None` when the message does not state it as text.
    pub operation: Option<String>,
    /// The other application properties, in the order of the wire. A name that comes twice counts
    /// the first time.
    pub properties: Vec<(String, Value)>,
    /// The body, null if there is none.
    pub body: Value,
}

/// The reason why a message is no request or response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A section does not decode.
    #[error("{section} does not decode: {error}")]
    Octets {
        /// The section.
        section: &'static str,
        /// Its fault.
        error: DecodeError,
    },
    /// It is too large.
    #[error("it has {size} octets, and {most} are allowed")]
    Size {
        /// Its bytes.
        size: usize,
        /// The bytes that are allowed.
        most: usize,
    },
    /// It has more than [`MAX_PROPERTIES`] application properties.
    #[error("it has more than {MAX_PROPERTIES} application properties")]
    Properties,
    /// Its body is no single AMQP value.
    #[error("its body is not an amqp-value section")]
    Body,
    /// A response without `statusCode`.
    #[error("it has no integer {}", property::STATUS_CODE)]
    NoStatus,
}

/// A message that is no request, with all that an answer to its sender needs.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the request cannot be read: {problem}")]
pub struct Malformed {
    /// The fault.
    #[source]
    pub problem: Problem,
    /// The address of a response, if that could be read.
    pub reply_to: Option<String>,
    /// Its correlation-id, if that could be read.
    pub correlation_id: Option<Value>,
}

impl Request {
    /// Makes a request for an operation.
    pub fn new(operation: impl Into<String>) -> Self {
        Self { operation: Some(operation.into()), ..Self::default() }
    }

    /// Returns the request with one more application property.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.properties.push((name.into(), value.into()));
        self
    }

    /// Returns the request with a body.
    #[must_use]
    pub fn with_body(self, body: Value) -> Self {
        Self { body, ..self }
    }

    /// Makes a query for entities of a type, or of all types: for the attributes of these names, or
    /// for all attributes if there are none. The answer is a [`Table`].
    pub fn query(entity_type: Option<&str>, attribute_names: &[&str]) -> Self {
        let names = attribute_names.iter().map(|name| Value::string(*name)).collect();
        let request = Self::new("QUERY")
            .with(property::TYPE, "org.amqp.management")
            .with(property::NAME, "self")
            .with_body(Value::Map(vec![(Value::string(Table::NAMES), Value::List(names))]));
        match entity_type {
            Some(entity_type) => request.with(property::ENTITY_TYPE, entity_type),
            None => request,
        }
    }

    /// Returns the application property of this name.
    pub fn property(&self, name: &str) -> Option<&Value> {
        self.properties.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Returns the application property of this name, if it is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.property(name)?.as_text()
    }

    /// Returns the application property of this name, if it is an integer of any type, or text that
    /// is one: tools send both.
    pub fn integer(&self, name: &str) -> Option<i64> {
        let value = self.property(name)?;
        value.as_i64().or_else(|| value.as_text()?.trim().parse().ok())
    }

    /// Returns the bytes of the message.
    pub fn encode(&self) -> Vec<u8> {
        let properties = Properties {
            to: self.to.clone(),
            reply_to: self.reply_to.clone(),
            correlation_id: self.correlation_id.clone(),
            ..Properties::default()
        };
        let operation = self
            .operation
            .as_ref()
            .map(|operation| (property::OPERATION, Value::string(operation.as_str())));
        let named = self.properties.iter().map(|(name, value)| (name.as_str(), value.clone()));
        message(&properties, operation.into_iter().chain(named), &self.body)
    }

    /// Reads a message, which begins at the start of `octets`, router annotations excluded.
    ///
    /// # Errors
    /// The bytes are no message or too many, or the body is no value. The error has the reply
    /// address as far as it could be read.
    pub fn decode(octets: &[u8]) -> Result<Self, Malformed> {
        let nameless = |problem| Malformed { problem, reply_to: None, correlation_id: None };
        // Of a message that is too large only the reply address is read.
        let complete = octets.len() <= MAX_REQUEST;
        let head = match scan(octets, complete, complete) {
            Ok(Scan::Complete(head)) => head,
            Ok(Scan::Incomplete) => {
                return Err(nameless(Problem::Size { size: octets.len(), most: MAX_REQUEST }));
            }
            Err(error) => return Err(nameless(Problem::Octets { section: "the message", error })),
        };
        let Properties { to, reply_to, correlation_id, .. } =
            properties(&head, octets).map_err(nameless)?;
        let content = match complete {
            true => content(&head, octets, |body| body.value()),
            false => Err(Problem::Size { size: octets.len(), most: MAX_REQUEST }),
        };
        match content {
            Ok((mut properties, body)) => {
                let place = properties.iter().position(|(name, _)| name == property::OPERATION);
                let operation =
                    place.and_then(|place| properties.remove(place).1.as_text().map(str::to_owned));
                Ok(Self { to, reply_to, correlation_id, operation, properties, body })
            }
            Err(problem) => Err(Malformed { problem, reply_to, correlation_id }),
        }
    }
}

/// The result of a request: the codes of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Status(pub i32);

impl Status {
    /// Done; the body has the answer.
    pub const OK: Self = Self(200);
    /// The entity was created; the body has its attributes.
    pub const CREATED: Self = Self(201);
    /// Done; there is no answer.
    pub const NO_CONTENT: Self = Self(204);
    /// The request makes no sense.
    pub const BAD_REQUEST: Self = Self(400);
    /// The sender is not known well enough.
    pub const UNAUTHORIZED: Self = Self(401);
    /// The sender may not do that, or no one may.
    pub const FORBIDDEN: Self = Self(403);
    /// There is no such entity.
    pub const NOT_FOUND: Self = Self(404);
    /// The request was understood and failed.
    pub const INTERNAL_ERROR: Self = Self(500);
    /// The entity knows no such operation.
    pub const NOT_IMPLEMENTED: Self = Self(501);
    /// Too many requests are waiting.
    pub const UNAVAILABLE: Self = Self(503);

    /// Whether the request was carried out.
    pub const fn is_success(self) -> bool {
        200 <= self.0 && self.0 < 300
    }

    /// Returns the code in words, as in the `statusDescription` of a success.
    pub const fn text(self) -> &'static str {
        match self.0 {
            200 => "OK",
            201 => "Created",
            204 => "No Content",
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            500 => "Internal Server Error",
            501 => "Not Implemented",
            503 => "Service Unavailable",
            _ => "Unknown",
        }
    }
}

/// A response.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// The request's `reply-to`.
    pub to: Option<String>,
    /// The request's `correlation-id`.
    pub correlation_id: Option<Value>,
    /// The result of the request.
    pub status: Status,
    /// The result in words.
    pub description: String,
    /// The answer; of a request that failed an empty map or null.
    pub body: Value,
}

impl Response {
    /// Makes a response without an address.
    pub fn new(status: Status, description: impl Into<String>, body: Value) -> Self {
        Self { to: None, correlation_id: None, status, description: description.into(), body }
    }

    /// Returns the bytes of the message.
    pub fn encode(&self) -> Vec<u8> {
        let properties = Properties {
            to: self.to.clone(),
            correlation_id: self.correlation_id.clone(),
            ..Properties::default()
        };
        let status = [
            (property::STATUS_CODE, Value::Int(self.status.0)),
            (property::STATUS_DESCRIPTION, Value::string(self.description.as_str())),
        ];
        message(&properties, status.into_iter(), &self.body)
    }

    /// Reads a message, which begins at the start of `octets`.
    ///
    /// # Errors
    /// The bytes are no message or too many, the body is no value, or the status is missing.
    pub fn decode(octets: &[u8]) -> Result<Self, Problem> {
        if octets.len() > MAX_RESPONSE {
            return Err(Problem::Size { size: octets.len(), most: MAX_RESPONSE });
        }
        let head = match scan(octets, true, true) {
            Ok(Scan::Complete(head)) => head,
            Ok(Scan::Incomplete) => {
                return Err(Problem::Octets {
                    section: "the message",
                    error: DecodeError::Truncated,
                });
            }
            Err(error) => return Err(Problem::Octets { section: "the message", error }),
        };
        let Properties { to, correlation_id, .. } = properties(&head, octets)?;
        let (properties, body) = content(&head, octets, |body| body.trusted_value())?;
        let find = |wanted: &str| {
            properties.iter().find(|(name, _)| name == wanted).map(|(_, value)| value)
        };
        let code = find(property::STATUS_CODE)
            .and_then(Value::as_i64)
            .and_then(|code| i32::try_from(code).ok());
        let status = code.map(Status).ok_or(Problem::NoStatus)?;
        let description = find(property::STATUS_DESCRIPTION)
            .and_then(Value::as_text)
            .unwrap_or_default()
            .to_owned();
        Ok(Self { to, correlation_id, status, description, body })
    }
}

/// The answer to a query: names of attributes, and for each entity its values in that order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The columns.
    pub attribute_names: Vec<String>,
    /// The rows, each as long as the columns in answers that are well made.
    pub results: Vec<Vec<Value>>,
}

impl Table {
    /// The key of the names, in a query and in its answer.
    pub const NAMES: &str = "attributeNames";
    /// The key of the rows.
    pub const RESULTS: &str = "results";

    /// Returns the body of a response.
    pub fn into_body(self) -> Value {
        Value::Map(vec![
            (
                Value::string(Self::NAMES),
                Value::List(self.attribute_names.into_iter().map(Value::String).collect()),
            ),
            (
                Value::string(Self::RESULTS),
                Value::List(self.results.into_iter().map(Value::List).collect()),
            ),
        ])
    }

    /// Reads the body of a response. Returns `None` if it is no answer to a query. A name that is
    /// no text is empty.
    pub fn from_body(body: Value) -> Option<Self> {
        let Value::Map(pairs) = body else { return None };
        let (mut names, mut rows) = (None, None);
        for (key, value) in pairs {
            match (key.as_text(), value) {
                (Some(Self::NAMES), value) if names.is_none() => names = value.into_list(),
                (Some(Self::RESULTS), value) if rows.is_none() => rows = value.into_list(),
                _ => {}
            }
        }
        Some(Self {
            attribute_names: names?
                .iter()
                .map(|name| name.as_text().unwrap_or_default().to_owned())
                .collect(),
            results: rows?.into_iter().map(Value::into_list).collect::<Option<_>>()?,
        })
    }

    /// Returns the place of a column.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.attribute_names.iter().position(|column| column == name)
    }
}

fn message<'a>(
    properties: &Properties,
    application: impl Iterator<Item = (&'a str, Value)>,
    body: &Value,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    Header { durable: Some(false), ..Header::default() }.encode(&mut out);
    properties.encode(&mut out);
    encode::descriptor(&mut out, section::APPLICATION_PROPERTIES);
    Value::Map(application.map(|(name, value)| (Value::string(name), value)).collect())
        .encode(&mut out);
    encode::descriptor(&mut out, section::AMQP_VALUE);
    body.encode(&mut out);
    out
}

fn properties(head: &Head, octets: &[u8]) -> Result<Properties, Problem> {
    let read = |span: Span| Properties::decode_fields(&mut span.of(octets));
    let properties = head.properties.map(read).transpose();
    properties
        .map(Option::unwrap_or_default)
        .map_err(|error| Problem::Octets { section: "the properties section", error })
}

/// Reads a body.
type ReadBody = fn(&mut Reader<'_>) -> Result<Value, DecodeError>;

/// Reads application properties and body.
fn content(
    head: &Head,
    octets: &[u8],
    read: ReadBody,
) -> Result<(Vec<(String, Value)>, Value), Problem> {
    let of = |section| move |error| Problem::Octets { section, error };
    let application =
        head.application_properties.map(|span| application_properties(&mut span.of(octets)));
    let application = application.transpose().map_err(of("the application-properties section"))?;
    let application = application.unwrap_or_else(|| Some(Vec::new())).ok_or(Problem::Properties)?;
    let body = match head.body {
        None => Value::Null,
        Some(span) if span.code == section::AMQP_VALUE => {
            read(&mut span.of(octets)).map_err(of("the body"))?
        }
        Some(_) => return Err(Problem::Body),
    };
    Ok((application, body))
}

/// Reads application properties; `None` when there are too many.
fn application_properties(
    reader: &mut Reader<'_>,
) -> Result<Option<Vec<(String, Value)>>, DecodeError> {
    if reader.null() {
        return Ok(Some(Vec::new()));
    }
    let (count, mut body) = reader.map()?;
    let pairs = usize::try_from(count / 2).unwrap_or(usize::MAX);
    if pairs > MAX_PROPERTIES {
        return Ok(None);
    }
    let mut memory = Memory::of(body.rest().len());
    let mut properties = Vec::with_capacity(pairs);
    for _ in 0..pairs {
        properties.push((body.text()?.to_owned(), body.value_within(&mut memory)?));
    }
    Ok(Some(properties))
}
