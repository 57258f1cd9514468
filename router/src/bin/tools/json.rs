//! Converts AMQP values to JSON and back. Prints JSON as the C router's tools do: in ASCII, with a
//! blank behind each comma and colon of a line.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use serde_json::{Map, Number, Value as Json};
use skupper_proto::amqp::Value;

use crate::text::is_obeyed;

/// Returns an AMQP value as JSON. A value without a form in JSON becomes text. Of a repeated key
/// the last value counts.
pub(in crate::bin) fn to_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Ubyte(_)
        | Value::Ushort(_)
        | Value::Uint(_)
        | Value::Byte(_)
        | Value::Short(_)
        | Value::Int(_)
        | Value::Long(_)
        | Value::Timestamp(_) => value.as_i64().map_or(Json::Null, Json::from),
        Value::Ulong(number) => Json::from(*number),
        Value::Float(number) => {
            Number::from_f64(f64::from(*number)).map_or(Json::Null, Json::Number)
        }
        Value::Double(number) => Number::from_f64(*number).map_or(Json::Null, Json::Number),
        Value::Decimal32(octets) => Json::String(hexadecimal(octets)),
        Value::Decimal64(octets) => Json::String(hexadecimal(octets)),
        Value::Decimal128(octets) => Json::String(hexadecimal(octets)),
        Value::Uuid(octets) => {
            let digits = hexadecimal(octets);
            let parts = [0..8, 8..12, 12..16, 16..20, 20..32]
                .map(|range| digits.get(range).unwrap_or_default());
            Json::String(parts.join("-"))
        }
        Value::Char(character) => Json::String(character.to_string()),
        Value::Binary(octets) => Json::String(String::from_utf8_lossy(octets).into_owned()),
        Value::String(text) => Json::String(text.clone()),
        Value::Symbol(symbol) => Json::String(symbol.as_str().to_owned()),
        Value::List(items) | Value::Array(items) => {
            Json::Array(items.iter().map(to_json).collect())
        }
        Value::Map(pairs) => {
            Json::Object(pairs.iter().map(|(key, value)| (key_text(key), to_json(value))).collect())
        }
        Value::Described(described) => to_json(&described.1),
    }
}

fn key_text(key: &Value) -> String {
    match to_json(key) {
        Json::String(text) => text,
        other => other.to_string(),
    }
}

fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Returns JSON as an AMQP value: integers become `long`, and keys become strings.
pub(in crate::bin) fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::Long(number),
            (None, Some(number)) => Value::Ulong(number),
            (None, None) => number.as_f64().map_or(Value::Null, Value::Double),
        },
        Json::String(text) => Value::String(text.clone()),
        Json::Array(items) => Value::List(items.iter().map(from_json).collect()),
        Json::Object(members) => map(members),
    }
}

/// Returns a JSON object as an AMQP map.
pub(in crate::bin) fn map(members: &Map<String, Json>) -> Value {
    Value::Map(
        members
            .iter()
            .map(|(key, value)| (Value::string(key.as_str()), from_json(value)))
            .collect(),
    )
}

/// Returns JSON as text without a line end. `indent` is the number of blanks for each level.
/// Without it everything is on one line.
pub(in crate::bin) fn text(json: &Json, indent: Option<usize>) -> String {
    let mut out = Vec::new();
    let mut serializer =
        Serializer::with_formatter(&mut out, Style { indent, depth: 0, filled: false });
    // Writing JSON into memory does not fail.
    let _ = json.serialize(&mut serializer);
    String::from_utf8(out).unwrap_or_default()
}

/// Escapes the characters of JSON text that a terminal would obey.
pub(in crate::bin) fn for_terminal(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        // Line ends occur only between values.
        if character == '\n' || !is_obeyed(character) {
            out.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            out.push_str(&format!("\\u{unit:04x}"));
        }
    }
    out
}

struct Style {
    indent: Option<usize>,
    depth: usize,
    /// True if the compound that ends has members.
    filled: bool,
}

impl Style {
    fn line(&self, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
        match self.indent {
            Some(indent) => write!(out, "\n{:1$}", "", indent.saturating_mul(self.depth)),
            None => Ok(()),
        }
    }

    fn begin(&mut self, out: &mut (impl Write + ?Sized), bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.filled = false;
        out.write_all(bracket)
    }

    fn end(&mut self, out: &mut (impl Write + ?Sized), bracket: &[u8]) -> io::Result<()> {
        self.depth = self.depth.saturating_sub(1);
        if self.filled {
            self.line(out)?;
        }
        self.filled = true;
        out.write_all(bracket)
    }

    fn member(&mut self, out: &mut (impl Write + ?Sized), first: bool) -> io::Result<()> {
        match (first, self.indent) {
            (true, _) => {}
            (false, Some(_)) => out.write_all(b",")?,
            (false, None) => out.write_all(b", ")?,
        }
        self.line(out)
    }
}

impl Formatter for Style {
    fn begin_array<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.begin(out, b"[")
    }

    fn end_array<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.end(out, b"]")
    }

    fn begin_array_value<W: Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.member(out, first)
    }

    fn end_array_value<W: Write + ?Sized>(&mut self, _out: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }

    fn begin_object<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.begin(out, b"{")
    }

    fn end_object<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.end(out, b"}")
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.member(out, first)
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn end_object_value<W: Write + ?Sized>(&mut self, _out: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }

    /// Writes characters beyond ASCII as escapes of UTF-16, which terminals and pipes of any
    /// encoding take.
    fn write_string_fragment<W: Write + ?Sized>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(|character: char| !character.is_ascii()) {
            let (plain, special) = rest.split_at(at);
            out.write_all(plain.as_bytes())?;
            let Some(character) = special.chars().next() else { return Ok(()) };
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            rest = special.get(character.len_utf8()..).unwrap_or_default();
        }
        out.write_all(rest.as_bytes())
    }
}
