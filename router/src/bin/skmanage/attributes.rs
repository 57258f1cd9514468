//! Reads attributes on a command line, and short names of types.

use serde_json::{Map, Value as Json};

use crate::bin::tools::run::Failure;
use crate::schema::{EntityKind, PREFIX, ValueType};

/// Returns the long name of a type: `listener` gets the usual prefix, and `link` means
/// `router.link`. A name with a dot stays as it is.
pub(super) fn long_type(name: &str) -> String {
    match name {
        "" => String::new(),
        name if name.contains('.') => name.to_owned(),
        "link" | "node" => format!("{PREFIX}router.{name}"),
        "address" | "autoLink" => format!("{PREFIX}router.config.{name}"),
        name => format!("{PREFIX}{name}"),
    }
}

/// Replaces the `type` among attributes by its long name.
pub(super) fn lengthen_type(attributes: &mut Map<String, Json>) {
    if let Some(Json::String(name)) = attributes.get_mut("type") {
        *name = long_type(name);
    }
}

/// Reads words of the form NAME=VALUE, or NAME for null.
///
/// `true` and `false` become booleans. If the type is known, its schema says which values are
/// integers. Otherwise they stay text, which the router accepts too.
///
/// # Errors
/// The schema does not know the type or an attribute, or an integer is none.
pub(super) fn read(
    words: &[String],
    entity_type: Option<&str>,
) -> Result<Map<String, Json>, Failure> {
    words.iter().map(|word| attribute(word, entity_type)).collect()
}

fn attribute(word: &str, entity_type: Option<&str>) -> Result<(String, Json), Failure> {
    let Some((name, value)) = word.split_once('=') else {
        return Ok((word.to_owned(), Json::Null));
    };
    let value = match (value, entity_type.filter(|name| !name.is_empty())) {
        ("true", _) => Json::Bool(true),
        ("false", _) => Json::Bool(false),
        (value, Some(entity_type)) if is_integer(entity_type, name)? => {
            let number = value.trim().parse::<i64>();
            number.map_or_else(
                |_| {
                    Err(Failure::Value(format!(
                        "invalid literal for int() with base 10: '{value}'"
                    )))
                },
                |number| Ok(number.into()),
            )?
        }
        (value, _) => Json::from(value),
    };
    Ok((name.to_owned(), value))
}

fn is_integer(entity_type: &str, name: &str) -> Result<bool, Failure> {
    let known = EntityKind::named(entity_type);
    let known = known.ok_or_else(|| {
        Failure::Validation(format!("No such entity type '{}'", long(entity_type)))
    })?;
    let attribute = known.attribute(name);
    let unknown =
        || Failure::Validation(format!("Unknown attribute '{name}' for '{}'", known.long_name()));
    Ok(attribute.ok_or_else(unknown)?.kind == ValueType::Integer)
}

fn long(name: &str) -> String {
    if name.starts_with(PREFIX) { name.to_owned() } else { format!("{PREFIX}{name}") }
}

/// Turns words for booleans into booleans.
pub(super) fn words_to_flags(attributes: &mut Map<String, Json>) {
    for value in attributes.values_mut() {
        match value.as_str() {
            Some("yes" | "true" | "on") => *value = Json::Bool(true),
            Some("no" | "false" | "off") => *value = Json::Bool(false),
            _ => {}
        }
    }
}

/// Returns true for values without content: null, false, 0, and empty text, lists and maps.
pub(super) fn is_empty(value: &Json) -> bool {
    match value {
        Json::Null | Json::Bool(false) => true,
        Json::Bool(true) => false,
        Json::Number(number) => number.as_f64() == Some(0.0),
        Json::String(text) => text.is_empty(),
        Json::Array(items) => items.is_empty(),
        Json::Object(members) => members.is_empty(),
    }
}
