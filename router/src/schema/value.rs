//! The value of an attribute.

use serde_json::{Map, Value as Json};

/// A checked value. Words of enumerations, paths and references are strings.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Value {
    String(String),
    Integer(i64),
    Boolean(bool),
    Map(Map<String, Json>),
    List(Vec<Json>),
}

impl Value {
    /// Returns the same in JSON.
    pub fn to_json(&self) -> Json {
        match self {
            Self::String(text) => Json::from(text.as_str()),
            Self::Integer(number) => Json::from(*number),
            Self::Boolean(flag) => Json::from(*flag),
            Self::Map(map) => Json::Object(map.clone()),
            Self::List(list) => Json::Array(list.clone()),
        }
    }

    /// Returns the text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }
}
