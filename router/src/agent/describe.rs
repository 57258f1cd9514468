//! Entities and requests in words, for refusals and the log.

use std::collections::BTreeMap;

use skupper_proto::amqp::Value;
use skupper_proto::management::{Request, property};

use super::directory::Record;
use crate::schema::{EntityKind, Operation, quote};

/// Returns the operations of a type, as refusals tell them: `['CREATE', 'READ']`.
pub(super) fn operations(kind: EntityKind) -> String {
    let names: Vec<_> = kind.operations().map(Operation::name).collect();
    list(&names)
}

/// Returns words as refusals list them: `['a', 'b']`.
pub(super) fn list(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| quote(word)).collect();
    format!("[{}]", quoted.join(", "))
}

/// Returns an entity with its attributes by name: `TcpListenerEntity(address=a, port=1)`. It stars
/// out secrets.
pub(super) fn entity(record: &Record) -> String {
    let secret = |name: &str| record.kind.attribute(name).is_some_and(|attribute| attribute.secret);
    let told = record
        .attributes
        .iter()
        .filter(|(name, _)| !secret(name))
        .map(|(name, value)| (*name, plain(value)));
    let kept = record
        .kept
        .iter()
        .flat_map(|entity| entity.values())
        .filter(|(attribute, _)| attribute.secret);
    let starred = kept.map(|(attribute, _)| (attribute.name, "*******".to_owned()));
    let attributes: BTreeMap<&str, String> = told.chain(starred).collect();
    let shown: Vec<_> =
        attributes.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut kind = String::new();
    for part in record.kind.section().split('.') {
        let mut letters = part.chars();
        kind.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        kind.push_str(letters.as_str());
    }
    format!("{kind}Entity({})", shown.join(", "))
}

fn plain(value: &Value) -> String {
    match value {
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::String(text) => quote(text).trim_matches('\'').to_owned(),
        Value::Map(_) => "{...}".to_owned(),
        Value::List(_) => "[...]".to_owned(),
        other => other.as_i64().map_or_else(|| format!("{other:?}"), |number| number.to_string()),
    }
}

/// Returns a request as the log tells it. The body may hold passwords and is left out.
pub(super) fn request(request: &Request) -> String {
    let mut text = quote(request.operation.as_deref().unwrap_or("(no operation)"))
        .trim_matches('\'')
        .to_owned();
    for name in [property::TYPE, property::ENTITY_TYPE, property::NAME, property::IDENTITY] {
        if let Some(value) = request.text(name) {
            text.push_str(&format!(" {name}={}", quote(value)));
        }
    }
    text
}
