//! Values of the schema as AMQP values, and back.

use serde_json::{Map, Number, Value as Json};
use skupper_proto::amqp::Value;

use crate::schema::Value as Attribute;

/// Returns a value as management tells it: integers in 32 bits where they fit, as the agents of C
/// routers write them.
pub fn tell(value: &Attribute) -> Value {
    match value {
        Attribute::String(text) => Value::string(text.as_str()),
        Attribute::Integer(number) => integer(*number),
        Attribute::Boolean(flag) => Value::Bool(*flag),
        Attribute::Map(map) => object(map),
        Attribute::List(list) => Value::List(list.iter().map(from_json).collect()),
    }
}

/// Returns a JSON value as AMQP.
pub fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => integer(number),
            (None, Some(number)) => Value::Ulong(number),
            (None, None) => Value::from(number.as_f64()),
        },
        Json::String(text) => Value::string(text.as_str()),
        Json::Array(items) => Value::List(items.iter().map(from_json).collect()),
        Json::Object(map) => object(map),
    }
}

/// Returns an integer, in 32 bits where it fits.
pub fn integer(number: i64) -> Value {
    i32::try_from(number).map_or(Value::Long(number), Value::Int)
}

fn object(map: &Map<String, Json>) -> Value {
    Value::Map(
        map.iter().map(|(key, value)| (Value::string(key.as_str()), from_json(value))).collect(),
    )
}

/// Returns the value that a request gives for an attribute as JSON, which the schema reads. Returns
/// `None` for values that JSON and attributes do not have: bytes that are no text, decimal numbers,
/// numbers that are none, keys that are no text.
pub fn to_json(value: &Value) -> Option<Json> {
    Some(match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Ulong(number) => Json::from(*number),
        Value::Float(number) => Json::Number(Number::from_f64((*number).into())?),
        Value::Double(number) => Json::Number(Number::from_f64(*number)?),
        Value::Char(character) => Json::String(character.to_string()),
        Value::Uuid(octets) => Json::String(uuid(octets)),
        Value::Binary(octets) => Json::String(std::str::from_utf8(octets).ok()?.to_owned()),
        Value::String(text) => Json::String(text.clone()),
        Value::Symbol(symbol) => Json::String(symbol.as_str().to_owned()),
        Value::List(items) | Value::Array(items) => {
            Json::Array(items.iter().map(to_json).collect::<Option<_>>()?)
        }
        Value::Map(pairs) => {
            let member =
                |(key, value): &(Value, Value)| Some((key.as_text()?.to_owned(), to_json(value)?));
            Json::Object(pairs.iter().map(member).collect::<Option<_>>()?)
        }
        Value::Decimal32(_) | Value::Decimal64(_) | Value::Decimal128(_) | Value::Described(_) => {
            return None;
        }
        number => Json::from(number.as_i64()?),
    })
}

fn uuid(octets: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (index, octet) in octets.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{octet:02x}"));
    }
    text
}
