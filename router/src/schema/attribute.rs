//! A row of the table, which is an attribute of an entity, and the words that make a row.

use serde_json::Value as Json;

use super::{EntityKind, Problem, Value};

/// The type of an attribute's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// Text.
    String,
    /// The name of a file or folder.
    Path,
    /// A signed whole number of 64 bits.
    Integer,
    /// Yes or no.
    Boolean,
    /// One of these words.
    Enum(&'static [&'static str]),
    /// A map from text to anything.
    Map,
    /// A list of anything.
    List,
    /// A map whose keys are ASCII, as AMQP's `fields` type wants them.
    Properties,
    /// The identity of another entity.
    EntityId,
}

impl ValueType {
    /// Returns the name that `GET-SCHEMA` gives the type. An enumeration is told by its words.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Path => "path",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Enum(_) => "enum",
            Self::Map => "map",
            Self::List => "list",
            Self::Properties => "properties",
            Self::EntityId => "entityId",
        }
    }
}

/// A value in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fixed {
    /// Text, a path or a word of an enumeration.
    Text(&'static str),
    /// An integer.
    Number(i64),
    /// A boolean.
    Flag(bool),
}

impl Fixed {
    /// Returns the same as a value of an entity.
    pub fn value(self) -> Value {
        match self {
            Self::Text(text) => Value::String(text.to_owned()),
            Self::Number(number) => Value::Integer(number),
            Self::Flag(flag) => Value::Boolean(flag),
        }
    }
}

/// The effect of an attribute in this router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It does what its description says.
    Works,
    /// It is known and checked, and changes nothing. Setting it earns a warning.
    Accepted,
    /// It keeps peers out, so that ignoring it would be a hole. It works, or the router does not
    /// start.
    Guards,
}

/// The use of the files that an attribute names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Certificates, keys and passwords, which the router reads.
    Credentials,
    /// Files that the router serves.
    Web,
    /// Logs, which the router writes.
    Log,
}

/// An attribute of an entity type.
#[derive(Clone, Copy, Debug)]
pub struct Attribute {
    /// Its name, in camel case.
    pub name: &'static str,
    /// Its meaning, and when to change it.
    pub description: &'static str,
    /// The type of its value.
    pub kind: ValueType,
    /// Its value when it is not set, as management shows it.
    pub default: Option<Fixed>,
    /// The value on which the router acts when there is none, or a zero that counts as none.
    /// Management does not show it.
    pub implied: Option<Fixed>,
    /// The effect of not setting it, in words, where no value can say it.
    pub unset: &'static str,
    /// The unit of an integer.
    pub unit: &'static str,
    /// Smallest and largest integer allowed.
    pub range: Option<(i64, i64)>,
    /// An integer 0 means not set.
    pub zero_is_unset: bool,
    /// Must be given.
    pub required: bool,
    /// No two entities may share its value.
    pub unique: bool,
    /// May be given in CREATE.
    pub create: bool,
    /// May be changed by UPDATE.
    pub update: bool,
    /// It is a number worth drawing over time.
    pub graph: bool,
    /// The schema of C routers says that their log masks it.
    pub hidden: bool,
    /// It is never told: not by management, and not in a log, an error or a debug print.
    pub secret: bool,
    /// The use of the files that its value names.
    pub names_file: Option<Use>,
    /// Its effect.
    pub effect: Effect,
    /// Words of an enumeration without effect, in an attribute that otherwise works.
    pub pending: &'static [&'static str],
    /// The type of the entity that its value names.
    pub refers_to: Option<EntityKind>,
    /// The value in the reference configuration where there is no default.
    pub example: Option<&'static str>,
}

const fn attribute(name: &'static str, kind: ValueType, description: &'static str) -> Attribute {
    Attribute {
        name,
        description,
        kind,
        default: None,
        implied: None,
        unset: "",
        unit: "",
        range: None,
        zero_is_unset: false,
        required: false,
        unique: false,
        create: false,
        update: false,
        graph: false,
        hidden: false,
        secret: false,
        names_file: None,
        effect: Effect::Accepted,
        pending: &[],
        refers_to: None,
        example: None,
    }
}

/// Starts a row of type string.
pub(super) const fn text(name: &'static str, description: &'static str) -> Attribute {
    attribute(name, ValueType::String, description)
}

/// Starts a row of type path.
pub(super) const fn path(name: &'static str, description: &'static str) -> Attribute {
    attribute(name, ValueType::Path, description)
}

/// Starts a row of type integer.
pub(super) const fn number(name: &'static str, description: &'static str) -> Attribute {
    attribute(name, ValueType::Integer, description)
}

/// Starts a row of type boolean.
pub(super) const fn flag(name: &'static str, description: &'static str) -> Attribute {
    attribute(name, ValueType::Boolean, description)
}

/// Starts a row whose value is one of `words`.
pub(super) const fn choice(
    name: &'static str,
    words: &'static [&'static str],
    description: &'static str,
) -> Attribute {
    attribute(name, ValueType::Enum(words), description)
}

/// Starts a row of type map.
pub(super) const fn map(name: &'static str, description: &'static str) -> Attribute {
    attribute(name, ValueType::Map, description)
}

/// Starts a row of type list.
pub(super) const fn list(name: &'static str, description: &'static str) -> Attribute {
    attribute(name, ValueType::List, description)
}

/// Starts a row of type properties.
pub(super) const fn properties(name: &'static str, description: &'static str) -> Attribute {
    attribute(name, ValueType::Properties, description)
}

/// Starts a row of type entityId.
pub(super) const fn entity_id(name: &'static str, description: &'static str) -> Attribute {
    attribute(name, ValueType::EntityId, description)
}

/// Starts a row of a counter or gauge: an integer that only the router sets.
pub(super) const fn counter(name: &'static str, description: &'static str) -> Attribute {
    Attribute { graph: true, ..number(name, description) }
}

impl Attribute {
    pub(super) const fn default(self, default: Fixed) -> Self {
        Self { default: Some(default), ..self }
    }

    pub(super) const fn implied(self, implied: Fixed) -> Self {
        Self { implied: Some(implied), ..self }
    }

    pub(super) const fn unset(self, unset: &'static str) -> Self {
        Self { unset, ..self }
    }

    pub(super) const fn seconds(self) -> Self {
        Self { unit: "seconds", ..self }
    }

    pub(super) const fn octets(self) -> Self {
        Self { unit: "octets", ..self }
    }

    pub(super) const fn range(self, least: i64, most: i64) -> Self {
        Self { range: Some((least, most)), ..self }
    }

    pub(super) const fn zero_is_unset(self) -> Self {
        Self { zero_is_unset: true, ..self }
    }

    pub(super) const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    pub(super) const fn unique(self) -> Self {
        Self { unique: true, ..self }
    }

    pub(super) const fn create(self) -> Self {
        Self { create: true, ..self }
    }

    pub(super) const fn update(self) -> Self {
        Self { update: true, ..self }
    }

    pub(super) const fn hidden(self) -> Self {
        Self { hidden: true, secret: true, ..self }
    }

    pub(super) const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    pub(super) const fn names_file(self, purpose: Use) -> Self {
        Self { names_file: Some(purpose), ..self }
    }

    pub(super) const fn works(self) -> Self {
        Self { effect: Effect::Works, ..self }
    }

    pub(super) const fn guards(self) -> Self {
        Self { effect: Effect::Guards, ..self }
    }

    pub(super) const fn pending(self, pending: &'static [&'static str]) -> Self {
        Self { pending, ..self }
    }

    pub(super) const fn refers_to(self, entity: EntityKind) -> Self {
        Self { refers_to: Some(entity), ..self }
    }

    pub(super) const fn example(self, example: &'static str) -> Self {
        Self { example: Some(example), ..self }
    }

    /// Returns whether a configuration file may set it. The router sets all others.
    pub fn configurable(&self) -> bool {
        self.create || self.update || self.required
    }

    /// Turns a value of a file or a request into a value of this attribute's type.
    ///
    /// It is as lenient as the C router. A number does for text, and numeric text for an integer.
    /// `yes`, `on`, `no`, `off`, `true` and `false` in any case do for a boolean, and the position
    /// of a word for the word.
    ///
    /// # Errors
    /// The value is of another type, or out of range.
    pub fn coerce(&self, given: &Json) -> Result<Value, Problem> {
        let value = match (self.kind, given) {
            (ValueType::String | ValueType::Path | ValueType::EntityId, Json::String(text)) => {
                Value::String(text.clone())
            }
            (ValueType::String | ValueType::Path | ValueType::EntityId, Json::Number(number)) => {
                Value::String(number.to_string())
            }
            (ValueType::Integer, _) => {
                Value::Integer(self.in_range(integer(given).ok_or_else(|| self.wrong(given))?)?)
            }
            (ValueType::Boolean, _) => {
                Value::Boolean(boolean(given).ok_or_else(|| self.wrong(given))?)
            }
            (ValueType::Enum(words), _) => {
                Value::String(word(words, given).ok_or_else(|| self.wrong(given))?.to_owned())
            }
            (ValueType::Map, Json::Object(map)) => Value::Map(map.clone()),
            (ValueType::Properties, Json::Object(map)) => {
                match map.keys().find(|key| !key.is_ascii()) {
                    Some(key) => return Err(Problem::NotAscii { key: quote(key) }),
                    None => Value::Map(map.clone()),
                }
            }
            (ValueType::List, Json::Array(list)) => Value::List(list.clone()),
            (ValueType::Properties, _) => {
                return Err(Problem::Invalid("Properties must be a map".to_owned()));
            }
            _ => return Err(self.wrong(given)),
        };
        Ok(value)
    }

    fn in_range(&self, number: i64) -> Result<i64, Problem> {
        let unset = number == 0 && self.zero_is_unset;
        match self.range {
            Some((least, most)) if !unset && !(least..=most).contains(&number) => {
                Err(Problem::OutOfRange { number, least, most })
            }
            _ => Ok(number),
        }
    }

    fn wrong(&self, given: &Json) -> Problem {
        let given = match given {
            _ if self.secret => "a value of another type".to_owned(),
            Json::Object(_) => "a map".to_owned(),
            Json::Array(_) => "a list".to_owned(),
            Json::String(text) => quote(text),
            other => other.to_string(),
        };
        let wanted = match self.kind {
            ValueType::Enum(words) => format!("one of {}", words.join(", ")),
            ValueType::Boolean => "yes or no".to_owned(),
            ValueType::Integer => "an integer".to_owned(),
            ValueType::String | ValueType::Path | ValueType::EntityId => "text".to_owned(),
            ValueType::Map | ValueType::Properties => "a map".to_owned(),
            ValueType::List => "a list".to_owned(),
        };
        Problem::WrongType { given, wanted }
    }
}

fn integer(given: &Json) -> Option<i64> {
    match given {
        Json::Number(number) => number.as_i64(),
        Json::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn boolean(given: &Json) -> Option<bool> {
    match given {
        Json::Bool(flag) => Some(*flag),
        Json::Number(number) => match number.as_i64() {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        },
        Json::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "yes" | "true" | "on" => Some(true),
            "no" | "false" | "off" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn word(words: &'static [&'static str], given: &Json) -> Option<&'static str> {
    let named = given.as_str().and_then(|text| words.iter().find(|word| **word == text));
    let counted = || {
        integer(given)
            .and_then(|index| usize::try_from(index).ok())
            .and_then(|index| words.get(index))
    };
    named.or_else(counted).copied()
}

/// Returns text from outside, fit for one line of an error: in quotes, with control characters
/// escaped, and cut when long.
pub(crate) fn quote(text: &str) -> String {
    const SHOWN: usize = 80;
    let mut shown: String = text
        .chars()
        .take(SHOWN)
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push_str("...");
    }
    format!("'{shown}'")
}
