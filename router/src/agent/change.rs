//! CREATE, UPDATE and DELETE.

use std::sync::Arc;

use serde_json::{Map, Value as Json};
use skupper_proto::amqp::Value;
use skupper_proto::management::{Request, Status, property};

use super::columns::columns;
use super::directory::{By, ConnectionChange, Directory, Record, Refusal};
use super::outcome::{Outcome, cut, kind, tell};
use super::{describe, value};
use crate::schema::typed::{
    AddressMatch, AddressProblem, AutoLinkProblem, auto_link_comes_in, reserved_property,
};
use crate::schema::{
    Attribute, AttributeError, Entity, EntityKind, Operation, Problem, Role, ValueType, quote,
};

/// Creates an entity. The response has its attributes, defaults included.
pub(super) fn create(directory: &impl Directory, request: &Request) -> Outcome {
    let named_kind = named(request, property::TYPE)?;
    let name = named(request, property::NAME)?;
    let kind = match named_kind {
        Some(word) => kind(word)?,
        None => {
            return Err(Refusal::bad(
                "No 'type' attribute in the request: neither a property nor the body says it",
            ));
        }
    };
    if matches!(
        kind,
        EntityKind::Connection | EntityKind::Link | EntityKind::Address | EntityKind::RouterMetrics
    ) {
        return Err(Refusal::plain(Status::FORBIDDEN).without_body());
    }
    if !kind.operations().any(|operation| operation == Operation::Create) {
        let text = format!(
            "Operation 'CREATE' not implemented for '{}' {}",
            kind.long_name(),
            describe::operations(kind)
        );
        return Err(Refusal::new(Status::NOT_IMPLEMENTED, text));
    }
    let of_core =
        |refusal: Refusal| if columns(kind).is_some() { refusal.without_body() } else { refusal };
    let mut attributes = attributes(kind, &request.body).map_err(of_core)?;
    for given in attributes.keys() {
        let attribute = known(kind, given).map_err(of_core)?;
        if !attribute.create {
            return Err(of_core(Refusal::bad(format!(
                "Cannot set attribute '{}' in CREATE",
                attribute.name
            ))));
        }
    }
    if let Some(name) = name {
        attributes.insert("name".to_owned(), Json::from(name));
    }
    attributes.insert("type".to_owned(), Json::from(kind.long_name()));
    match kind {
        EntityKind::ConfigAddress => address(&attributes),
        EntityKind::AutoLink => auto_link(&attributes),
        EntityKind::Listener | EntityKind::Connector => open_properties(&attributes),
        _ => Ok(()),
    }
    .map_err(of_core)?;
    let entity = entity(kind, &attributes).map_err(of_core)?;
    unique(directory, kind, &entity).map_err(of_core)?;
    let record = directory.create(entity).map_err(of_core)?;
    Ok((Status::CREATED, tell(&record)))
}

/// Returns what the request says by a property or in its body. The two must not contradict each
/// other.
fn named<'a>(request: &'a Request, name: &str) -> Result<Option<&'a str>, Refusal> {
    let property = request.text(name).filter(|text| !text.is_empty());
    let in_body = request.body.get(name).and_then(Value::as_text);
    match (property, in_body) {
        (Some(property), Some(in_body)) if property != in_body => {
            Err(Refusal::bad(format!("Conflicting values for '{name}'")))
        }
        (property, in_body) => Ok(property.or(in_body)),
    }
}

/// Returns the attributes that the body gives.
fn attributes(kind: EntityKind, body: &Value) -> Result<Map<String, Json>, Refusal> {
    let pairs = match body {
        Value::Map(pairs) => pairs.as_slice(),
        Value::Null if columns(kind).is_none() => &[],
        _ => return Err(Refusal::bad("Body of request must be a map")),
    };
    let mut attributes = Map::new();
    for (key, value) in pairs {
        let key = key.as_text().ok_or_else(|| Refusal::bad("The names of attributes are text"))?;
        let attribute = known(kind, key)?;
        let json = value::to_json(value).ok_or_else(|| {
            let text = format!(
                "{}: the value of '{}' is of a type that no attribute has",
                kind.long_name(),
                attribute.name
            );
            Refusal::bad(text)
        })?;
        attributes.entry(attribute.name).or_insert(json);
    }
    Ok(attributes)
}

fn known(kind: EntityKind, name: &str) -> Result<&'static Attribute, Refusal> {
    let unknown =
        || Refusal::bad(format!("Unknown attribute {} for '{}'", quote(name), kind.long_name()));
    kind.attribute(name).ok_or_else(unknown)
}

fn entity(kind: EntityKind, attributes: &Map<String, Json>) -> Result<Entity, Refusal> {
    let given = attributes.iter().map(|(name, value)| (name.as_str(), value));
    Entity::new(kind, given).map_err(|error| refusal(kind, error, attributes))
}

/// Checks that no other entity of its type has the name.
fn unique(directory: &impl Directory, kind: EntityKind, entity: &Entity) -> Result<(), Refusal> {
    let mut named = entity.clone();
    // No entity has this number. An entity that is named after its number is unique by itself.
    named.identify(usize::MAX);
    for by in [By::Name, By::Identity] {
        let Some(value) = named.value(by.attribute()).and_then(crate::schema::Value::as_str) else {
            continue;
        };
        let Some(existing) = directory.find(kind, by, value).into_iter().next() else { continue };
        if columns(kind).is_some() {
            return Err(Refusal::bad("Name conflicts with an existing entity"));
        }
        let text = format!(
            "adding {} duplicates unique attribute '{}' from existing {}",
            describe::entity(&Record::of(&Arc::new(named.clone()))),
            by.attribute(),
            describe::entity(&existing)
        );
        return Err(Refusal::bad(text));
    }
    Ok(())
}

/// The text that a request gives for an attribute; empty for what is no text.
fn text<'a>(attributes: &'a Map<String, Json>, name: &str) -> Option<&'a str> {
    let given = attributes.get(name).filter(|value| !value.is_null())?;
    Some(given.as_str().unwrap_or_default())
}

/// Checks an address, in the order of C routers.
fn address(attributes: &Map<String, Json>) -> Result<(), Refusal> {
    let (prefix, pattern) = (text(attributes, "prefix"), text(attributes, "pattern"));
    AddressMatch::read(prefix, pattern).map_err(|problem| {
        let shown = |attribute| if attribute == "prefix" { "Prefix" } else { "Pattern" };
        Refusal::bad(match problem {
            AddressProblem::Neither => {
                "Either a 'prefix' or 'pattern' attribute must be provided".to_owned()
            }
            AddressProblem::Both => {
                "Cannot specify both a 'prefix' and a 'pattern' attribute".to_owned()
            }
            AddressProblem::Empty(attribute) => {
                format!("{} must be a non-empty string type", shown(attribute))
            }
            AddressProblem::NoParts(attribute) => {
                format!("{} invalid - no tokens", shown(attribute))
            }
        })
    })?;
    let priority = attributes.get("priority").filter(|value| !value.is_null());
    match priority.zip(EntityKind::ConfigAddress.attribute("priority")) {
        Some((priority, attribute)) if attribute.coerce(priority).is_err() => {
            Err(Refusal::bad("Priority value, if present, must be between 0 and QDR_MAX_PRIORITY"))
        }
        _ => Ok(()),
    }
}

/// Checks an autoLink, in the words of C routers.
fn auto_link(attributes: &Map<String, Json>) -> Result<(), Refusal> {
    let checked = auto_link_comes_in(|name| text(attributes, name));
    checked.map(|_| ()).map_err(|problem| {
        Refusal::bad(match problem {
            AutoLinkProblem::TwoHolders => {
                "Both connection and containerId cannot be specified. Specify only one"
            }
            AutoLinkProblem::NoDirection => "direction field is mandatory",
            AutoLinkProblem::UnknownDirection => "Invalid value for 'direction'",
            AutoLinkProblem::NoAddress => "address field is only optional if direction is incoming",
        })
    })
}

/// Checks the `openProperties` of a listener or connector, in the words of C routers.
fn open_properties(attributes: &Map<String, Json>) -> Result<(), Refusal> {
    let Some(Json::Object(properties)) = attributes.get("openProperties") else { return Ok(()) };
    if properties.is_empty() {
        return Ok(());
    }
    if let Some(key) = reserved_property(properties) {
        return Err(Refusal::bad(format!(
            "Reserved key {} not allowed in openProperties",
            quote(key)
        )));
    }
    let role = attributes.get("role").and_then(Json::as_str).and_then(|role| role.parse().ok());
    match role.filter(|role: &Role| !role.takes_open_properties()) {
        Some(role) => Err(Refusal::bad(format!("openProperties not allowed for role {role}"))),
        None => Ok(()),
    }
}

/// Changes attributes of an entity. The response has all attributes that may be told. Attributes
/// that the request does not name stay as they are. Null takes an attribute away, except a secret,
/// because a client that writes back what it read never saw the secret.
pub(super) fn update(directory: &impl Directory, request: &Request, record: &Record) -> Outcome {
    let kind = record.kind;
    let changes = attributes(kind, &request.body)?;
    for (name, value) in &changes {
        let attribute = known(kind, name)?;
        let same = match value {
            Json::Null => record.get(name).is_none(),
            value => attribute
                .coerce(value)
                .is_ok_and(|value| Some(&value::tell(&value)) == record.get(name)),
        };
        let same = same
            || name == "type"
                && value.as_str().is_some_and(|word| self::kind(word).is_ok_and(|k| k == kind));
        if !attribute.update && !same {
            return Err(Refusal::bad(format!(
                "Cannot update attribute '{}' in UPDATE",
                attribute.name
            )));
        }
    }
    let mut merged = Map::new();
    for attribute in kind.attributes().filter(|attribute| attribute.configurable()) {
        let kept = || match &record.kept {
            Some(entity) => entity.value(attribute.name).map(crate::schema::Value::to_json),
            None => record.get(attribute.name).and_then(value::to_json),
        };
        let value = match changes.get(attribute.name) {
            Some(Json::Null) if !attribute.secret => None,
            Some(Json::Null) | None => kept(),
            Some(value) => Some(value.clone()),
        };
        if let Some(value) = value {
            merged.insert(attribute.name.to_owned(), value);
        }
    }
    merged.insert("type".to_owned(), Json::from(kind.long_name()));
    let entity = entity(kind, &merged)?;
    let record = directory.update(record, entity)?;
    Ok((Status::OK, tell(&record)))
}

/// Stops and forgets an entity.
pub(super) fn delete(directory: &impl Directory, record: &Record) -> Outcome {
    directory.delete(record)?;
    Ok((Status::NO_CONTENT, Value::Map(Vec::new())))
}

/// Closes a connection, or says whether its frames are logged.
pub(super) fn connection(
    directory: &impl Directory,
    request: &Request,
    requester: Option<u64>,
) -> Outcome {
    let kind = EntityKind::Connection;
    let bad = || Refusal::plain(Status::BAD_REQUEST);
    let mut change = ConnectionChange::default();
    let mut asked = false;
    match request.body.get("adminStatus") {
        None | Some(Value::Null) => {}
        Some(value) => {
            (asked, change.status) = (true, true);
            match value.as_text() {
                Some("deleted") => change.close = true,
                Some("enabled") => {}
                _ => return Err(bad()),
            }
        }
    }
    match request.body.get("enableProtocolTrace") {
        None | Some(Value::Null) => {}
        Some(value) => {
            asked = true;
            let flag = value::to_json(value)
                .and_then(|value| known(kind, "enableProtocolTrace").ok()?.coerce(&value).ok());
            match flag {
                Some(crate::schema::Value::Boolean(flag)) => change.trace = Some(flag),
                _ => return Err(bad()),
            }
        }
    }
    let identity = request.text(property::IDENTITY).filter(|_| asked).ok_or_else(bad)?;
    let record = directory.change_connection(identity, change, requester)?;
    Ok((Status::OK, tell(&record)))
}

/// Returns a mistake in an attribute in the words of C routers. Mistakes against their schema are
/// the client's fault. Mistakes that their configuration finds are failures.
fn refusal(kind: EntityKind, error: AttributeError, given: &Map<String, Json>) -> Refusal {
    let AttributeError { attribute: name, problem } = error;
    let long = kind.long_name();
    let attribute = kind.attribute(&name);
    let shown = || match given.get(&name) {
        _ if attribute.is_some_and(|attribute| attribute.secret) => "*******".to_owned(),
        Some(Json::String(text)) => cut(text),
        Some(Json::Object(_)) => "a map".to_owned(),
        Some(Json::Array(_)) => "a list".to_owned(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    match (problem, attribute.map(|attribute| attribute.kind)) {
        (Problem::Unknown { .. }, _) => {
            Refusal::bad(format!("Unknown attribute {} for '{long}'", quote(&name)))
        }
        (Problem::Missing, _) => {
            Refusal::bad(format!("{long}: Missing required attribute '{name}'"))
        }
        (Problem::WrongType { .. }, Some(ValueType::Enum(words))) => Refusal::bad(format!(
            "{long}: Invalid value for enum{}: '{}'",
            describe::list(words),
            shown()
        )),
        (Problem::WrongType { .. }, Some(ValueType::Boolean)) => {
            Refusal::bad(format!("{long}: Invalid Boolean value '{}' for '{name}'", shown()))
        }
        (Problem::WrongType { .. } | Problem::Invalid(_), Some(ValueType::Properties)) => {
            Refusal::bad(format!("{long}: Properties must be a map"))
        }
        (Problem::NotAscii { .. }, _) => {
            Refusal::bad(format!("{long}: Property keys must be ASCII encoded"))
        }
        (Problem::OutOfRange { number, least, most }, _) => {
            out_of_range(&name, number, least, most)
        }
        (problem, _) => Refusal::bad(format!("{long}: attribute '{name}': {problem}")),
    }
}

fn out_of_range(name: &str, number: i64, least: i64, most: i64) -> Refusal {
    Refusal::configuration(match name {
        "cost" => format!(
            "Invalid cost ({number}) specified. Minimum value for cost is {least} and maximum \
             value is {most}"
        ),
        _ => format!(
            "Invalid {name} specified ({number}). Minimum value is {least} and maximum value is \
             {most}"
        ),
    })
}
