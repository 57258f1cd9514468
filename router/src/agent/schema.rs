//! The schema, as the management node tells it.

use serde_json::{Map, Value as Json};
use skupper_proto::amqp::Value;
use skupper_proto::management::{Request, Status, property};

use super::directory::Refusal;
use super::outcome::{Outcome, kind};
use super::value;
use crate::schema::{EntityKind, Fixed, Operation, PREFIX, ValueType};

/// Returns a map from each type of the request, or from all types, to the words of `tell`.
fn map_of_types(request: &Request, tell: impl Fn(EntityKind) -> Vec<String>) -> Outcome {
    let requested = request.text(property::ENTITY_TYPE).map(kind).transpose()?;
    let about =
        EntityKind::all().filter(|kind| requested.is_none_or(|requested| requested == *kind));
    let member = |kind: EntityKind| {
        let told = tell(kind).into_iter().map(Value::String).collect();
        (Value::string(kind.long_name()), Value::List(told))
    };
    Ok((Status::OK, Value::Map(about.map(member).collect())))
}

/// Answers GET-TYPES: the types that each type extends.
pub(super) fn types(request: &Request) -> Outcome {
    map_of_types(request, |kind| kind.bases().map(EntityKind::long_name).collect())
}

/// Answers GET-ATTRIBUTES.
pub(super) fn attributes(request: &Request) -> Outcome {
    map_of_types(request, |kind| {
        kind.common_attributes().map(|attribute| attribute.name.to_owned()).collect()
    })
}

/// Answers GET-OPERATIONS.
pub(super) fn operations(request: &Request) -> Outcome {
    map_of_types(request, |kind| {
        kind.operations().map(|operation| operation.name().to_owned()).collect()
    })
}

/// Answers GET-ANNOTATIONS: there are none.
pub(super) fn annotations(request: &Request) -> Outcome {
    request.text(property::ENTITY_TYPE).map(kind).transpose()?;
    Ok((Status::OK, Value::Map(Vec::new())))
}

/// Answers GET-SCHEMA.
pub(super) fn schema() -> Value {
    value::from_json(&dump())
}

/// Answers GET-JSON-SCHEMA: the schema as text, with blanks before each line if the request has
/// `indent`.
pub(super) fn json_schema(request: &Request) -> Outcome {
    let failed = |error: serde_json::Error| Refusal::new(Status::INTERNAL_ERROR, error.to_string());
    let text = match request.integer("indent").and_then(|indent| usize::try_from(indent).ok()) {
        None => serde_json::to_string(&dump()).map_err(failed)?,
        Some(indent) => {
            let blanks = vec![b' '; indent.min(16)];
            let mut octets = Vec::new();
            let formatter = serde_json::ser::PrettyFormatter::with_indent(&blanks);
            let mut serializer = serde_json::Serializer::with_formatter(&mut octets, formatter);
            serde::Serialize::serialize(&dump(), &mut serializer).map_err(failed)?;
            String::from_utf8_lossy(&octets).into_owned()
        }
    };
    Ok((Status::OK, Value::String(text)))
}

/// Returns the schema in the form of C routers. It leaves out what is false or empty.
fn dump() -> Json {
    let types = EntityKind::all()
        .map(|kind| (kind.section().to_owned(), entity_type(kind)))
        .collect::<Map<_, _>>();
    let mut schema = Map::new();
    schema.insert("prefix".to_owned(), Json::from(PREFIX.trim_end_matches('.')));
    schema.insert("entityTypes".to_owned(), Json::Object(types));
    Json::Object(schema)
}

/// Returns whether a default is not false, zero or empty. Readers of the schema assume those.
fn says_something(default: Fixed) -> bool {
    !matches!(default, Fixed::Text("") | Fixed::Number(0) | Fixed::Flag(false))
}

fn entity_type(kind: EntityKind) -> Json {
    let mut told = Map::new();
    let attributes: Map<_, _> = kind
        .common_attributes()
        .filter(|attribute| attribute.name != "type")
        .map(|attribute| {
            let mut told = Map::new();
            let name = match attribute.kind {
                ValueType::Enum(words) => Json::from(words),
                other => Json::from(other.name()),
            };
            told.insert("type".to_owned(), name);
            if let Some(default) = attribute
                .default
                .filter(|default| attribute.configurable() && says_something(*default))
            {
                told.insert("default".to_owned(), default.value().to_json());
            }
            for (name, set) in [
                ("required", attribute.required),
                ("unique", attribute.unique),
                ("graph", attribute.graph),
            ] {
                if set {
                    told.insert(name.to_owned(), Json::from(true));
                }
            }
            told.insert("description".to_owned(), Json::from(attribute.description));
            (attribute.name.to_owned(), Json::Object(told))
        })
        .collect();
    told.insert("attributes".to_owned(), Json::Object(attributes));
    let operations: Vec<_> = kind.operations().map(Operation::name).collect();
    if !operations.is_empty() {
        told.insert("operations".to_owned(), Json::from(operations));
    }
    told.insert("description".to_owned(), Json::from(kind.description()));
    told.insert("fullyQualifiedType".to_owned(), Json::from(kind.long_name()));
    if kind.is_singleton() {
        told.insert("singleton".to_owned(), Json::from(true));
    }
    Json::Object(told)
}
