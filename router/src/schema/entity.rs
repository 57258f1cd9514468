//! An entity: a type with checked attributes, and the way in which typed code reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value as Json};
use thiserror::Error;

use super::nearest::nearest;
use super::{Attribute, EntityKind, Password, Value, quote};

/// A mistake in the value of an attribute. Its text is one line, without the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Problem {
    #[error("no such attribute{}", hint(.nearest))]
    Unknown { nearest: Option<&'static str> },
    #[error("required, and not given")]
    Missing,
    #[error("{given} is not {wanted}")]
    WrongType { given: String, wanted: String },
    #[error("{number} is out of range, allowed is {least} to {most}")]
    OutOfRange { number: i64, least: i64, most: i64 },
    #[error("Property keys must be ASCII encoded, and {key} is not")]
    NotAscii { key: String },
    #[error("{what} is not supported (supported: {supported})")]
    Unsupported { what: String, supported: String },
    #[error("no {kind} is named {name}")]
    NoSuchEntity { kind: EntityKind, name: String },
    #[error("{0}")]
    Invalid(String),
}

fn hint(nearest: &Option<&'static str>) -> String {
    nearest.map(|name| format!(" (did you mean '{name}'?)")).unwrap_or_default()
}

impl Problem {
    /// Ties the problem to the attribute that has it.
    pub fn of(self, attribute: impl Into<String>) -> AttributeError {
        AttributeError { attribute: attribute.into(), problem: self }
    }
}

/// A problem and the attribute that has it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("attribute {}: {problem}", quote(.attribute))]
pub struct AttributeError {
    /// The name of the attribute, as it was given.
    pub attribute: String,
    /// The mistake.
    pub problem: Problem,
}

/// An entity that another one names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference<'a> {
    /// The attribute that names it.
    pub attribute: &'static str,
    /// Its type.
    pub kind: EntityKind,
    /// Its name.
    pub name: &'a str,
}

/// A checked entity. Every attribute is known, of its type and in its range. Defaults are filled
/// in.
#[derive(Clone)]
pub struct Entity {
    kind: EntityKind,
    values: BTreeMap<&'static str, Value>,
    /// Attributes that were given. All others have their defaults.
    given: BTreeSet<&'static str>,
}

impl Entity {
    /// Checks `attributes` against `kind` and fills in defaults. `null` means not given. Of an
    /// attribute that is given twice, the last value counts.
    ///
    /// # Errors
    /// The first attribute that is wrong.
    pub fn new<'a>(
        kind: EntityKind,
        attributes: impl IntoIterator<Item = (&'a str, &'a Json)>,
    ) -> Result<Self, AttributeError> {
        let mut values = BTreeMap::new();
        for (name, given) in attributes {
            let Some(attribute) = kind.attribute(name) else {
                let known = kind
                    .attributes()
                    .filter(|attribute| attribute.configurable())
                    .map(|attribute| attribute.name);
                return Err(Problem::Unknown { nearest: nearest(name, known) }.of(name));
            };
            if given.is_null() {
                continue;
            }
            let value = attribute.coerce(given).map_err(|problem| problem.of(name))?;
            if attribute.name == "type" {
                let named = value.as_str().unwrap_or_default();
                if EntityKind::named(named) != Some(kind) {
                    return Err(Problem::Invalid(format!(
                        "{} is not the type {}",
                        quote(named),
                        kind.long_name()
                    ))
                    .of(name));
                }
                continue;
            }
            values.insert(attribute.name, value);
        }
        let given = values.keys().copied().collect();
        for attribute in kind
            .attributes()
            .filter(|attribute| !values.contains_key(attribute.name))
            .collect::<Vec<_>>()
        {
            match attribute.default {
                _ if attribute.name == "type" => {
                    _ = values.insert("type", Value::String(kind.long_name()))
                }
                Some(default) => _ = values.insert(attribute.name, default.value()),
                None if attribute.required => return Err(Problem::Missing.of(attribute.name)),
                None => {}
            }
        }
        Ok(Self { kind, values, given })
    }

    /// Returns its type.
    pub fn kind(&self) -> EntityKind {
        self.kind
    }

    /// Returns its name, if it has one.
    pub fn name(&self) -> Option<&str> {
        self.text("name")
    }

    /// Returns the value of an attribute, default included.
    pub fn value(&self, attribute: &str) -> Option<&Value> {
        self.values.get(attribute)
    }

    /// Returns whether an attribute was given, possibly with its default.
    pub fn is_given(&self, attribute: &str) -> bool {
        self.given.contains(attribute)
    }

    /// Returns the value of an attribute, if it is text that is not empty.
    pub fn text(&self, attribute: &str) -> Option<&str> {
        self.value(attribute).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// Returns the first reference to an entity that `is_there` does not know.
    pub fn missing_reference(
        &self,
        is_there: impl Fn(EntityKind, &str) -> bool,
    ) -> Option<Reference<'_>> {
        self.references().find(|reference| !is_there(reference.kind, reference.name))
    }

    /// Returns the entities that this one names, in the table's order.
    pub fn references(&self) -> impl Iterator<Item = Reference<'_>> {
        self.kind.attributes().filter_map(|attribute| {
            let kind = attribute.refers_to?;
            Some(Reference { attribute: attribute.name, kind, name: self.text(attribute.name)? })
        })
    }

    /// Returns the attributes that may be told, in the table's order: those that have a value,
    /// except secrets. Of a secret that is kept elsewhere it returns the place.
    pub fn told(&self) -> impl Iterator<Item = (&'static Attribute, &Value)> {
        let elsewhere = |value: &Value| value.as_str().is_some_and(Password::is_elsewhere);
        self.values().filter(move |(attribute, value)| !attribute.secret || elsewhere(value))
    }

    /// Returns the attributes that have a value, in the table's order, secrets among them.
    pub fn values(&self) -> impl Iterator<Item = (&'static Attribute, &Value)> {
        self.kind
            .attributes()
            .filter_map(|attribute| Some((attribute, self.values.get(attribute.name)?)))
    }

    /// Gives an attribute a value that the router chose. Does nothing if the type has no such
    /// attribute.
    pub fn set(&mut self, attribute: &str, value: Value) {
        if let Some(attribute) = self.kind.attribute(attribute) {
            self.values.insert(attribute.name, value);
        }
    }

    /// Reads an attribute that must be there: given, by default, or implied.
    ///
    /// # Errors
    /// It is missing, or no `T`.
    pub fn get<T: FromValue>(&self, name: &str) -> Result<T, AttributeError> {
        self.find(name)?.ok_or_else(|| Problem::Missing.of(name))
    }

    /// Reads an attribute that may be absent. Empty text, and a zero that means "not set", are
    /// absent.
    ///
    /// # Errors
    /// It is no `T`.
    pub fn find<T: FromValue>(&self, name: &str) -> Result<Option<T>, AttributeError> {
        let attribute =
            self.kind.attribute(name).ok_or_else(|| Problem::Unknown { nearest: None }.of(name))?;
        let given = self.values.get(name).filter(|value| match value {
            Value::Integer(0) => !attribute.zero_is_unset,
            _ => true,
        });
        let fallback = || attribute.implied.or(attribute.default).map(super::Fixed::value);
        let value = match given {
            Some(value) => value.clone(),
            None => match fallback() {
                Some(value) => value,
                None => return Ok(None),
            },
        };
        if T::EMPTY_IS_ABSENT && value.as_str() == Some("") {
            return Ok(None);
        }
        T::from_value(&value).map(Some).map_err(|problem| problem.of(name))
    }
}

impl fmt::Debug for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct(self.kind.name());
        for (attribute, value) in self.values() {
            match attribute.secret {
                true => shown.field(attribute.name, &"(secret)"),
                false => shown.field(attribute.name, value),
            };
        }
        shown.finish()
    }
}

/// A type that typed code reads from a checked value.
pub trait FromValue: Sized {
    /// Empty text is the same as no value.
    const EMPTY_IS_ABSENT: bool = true;

    /// Converts a value.
    ///
    /// # Errors
    /// The schema's type allows the value, and this type does not.
    fn from_value(value: &Value) -> Result<Self, Problem>;
}

fn mismatch(value: &Value, wanted: &str) -> Problem {
    Problem::WrongType { given: format!("{:?}", value.to_json()), wanted: wanted.to_owned() }
}

impl FromValue for String {
    const EMPTY_IS_ABSENT: bool = false;

    fn from_value(value: &Value) -> Result<Self, Problem> {
        value.as_str().map(str::to_owned).ok_or_else(|| mismatch(value, "text"))
    }
}

impl FromValue for PathBuf {
    fn from_value(value: &Value) -> Result<Self, Problem> {
        String::from_value(value).map(Self::from)
    }
}

impl FromValue for bool {
    fn from_value(value: &Value) -> Result<Self, Problem> {
        match value {
            Value::Boolean(flag) => Ok(*flag),
            _ => Err(mismatch(value, "yes or no")),
        }
    }
}

impl FromValue for Map<String, Json> {
    fn from_value(value: &Value) -> Result<Self, Problem> {
        match value {
            Value::Map(map) => Ok(map.clone()),
            _ => Err(mismatch(value, "a map")),
        }
    }
}

macro_rules! integers {
    ($($type:ty),+) => { $(
        impl FromValue for $type {
            fn from_value(value: &Value) -> Result<Self, Problem> {
                let Value::Integer(number) = *value else {
                    return Err(mismatch(value, "an integer"));
                };
                Self::try_from(number).map_err(|_| Problem::OutOfRange {
                    number,
                    least: i64::try_from(Self::MIN).unwrap_or(i64::MIN),
                    most: i64::try_from(Self::MAX).unwrap_or(i64::MAX),
                })
            }
        }
    )+ };
}

integers!(u8, u16, u32, u64, i64);

/// Whole seconds, which are the unit of every time in the schema.
impl FromValue for Duration {
    fn from_value(value: &Value) -> Result<Self, Problem> {
        u32::from_value(value).map(|seconds| Self::from_secs(seconds.into()))
    }
}
