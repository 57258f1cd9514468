//! The cells of tables: values as text, numbers, sizes and times.
//!
//! Scripts read these tables, so every cell has the form of the C router's tool. That tool is
//! written in Python, which shows in its booleans, lists and nulls.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use skupper_proto::amqp::Value;

use crate::text::{Escaped, is_obeyed, line};

/// Returns a value as text: null is empty, booleans are `True` and `False`, lists have brackets.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        value => shown(value),
    }
}

/// Returns a value where the table expects a number; null is `None`.
pub(super) fn plain(value: &Value) -> String {
    match value {
        // The tables show whole numbers.
        Value::Float(number) => format!("{:.0}", number.trunc()),
        Value::Double(number) => format!("{:.0}", number.trunc()),
        Value::Bool(flag) => u8::from(*flag).to_string(),
        value => shown(value),
    }
}

/// Returns a value on one line, escaped for a terminal, since much of it comes from peers.
fn shown(value: &Value) -> String {
    match value.as_text() {
        Some(text) => line(text).into_owned(),
        None => quoted(value),
    }
}

/// Returns a value as it appears within a list or a map.
pub(super) fn quoted(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Ulong(number) => number.to_string(),
        Value::Float(number) => format!("{number:?}"),
        Value::Double(number) => format!("{number:?}"),
        Value::String(text) => literal(text),
        Value::Symbol(symbol) => literal(symbol.as_str()),
        Value::Char(character) => literal(character.encode_utf8(&mut [0; 4])),
        Value::Binary(octets) => format!("b'{}'", octets.escape_ascii()),
        Value::List(items) | Value::Array(items) => list(items.iter().map(quoted)),
        Value::Map(pairs) => {
            let pairs: Vec<_> = pairs
                .iter()
                .map(|(key, value)| format!("{}: {}", quoted(key), quoted(value)))
                .collect();
            format!("{{{}}}", pairs.join(", "))
        }
        Value::Described(described) => quoted(&described.1),
        Value::Decimal32(_) | Value::Decimal64(_) | Value::Decimal128(_) | Value::Uuid(_) => {
            format!("{value:?}")
        }
        other => other.as_i64().map(|number| number.to_string()).unwrap_or_default(),
    }
}

/// Returns names as a list of quoted texts.
pub(super) fn names(value: &Value) -> String {
    let name = |name: &Value| name.as_text().map_or_else(|| literal(&shown(name)), literal);
    list(value.as_list().unwrap_or_default().iter().map(name))
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

fn literal(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control.is_control() => {
                out.push_str(&format!("\\x{:02x}", u32::from(control)))
            }
            obeyed if is_obeyed(obeyed) => out.push_str(&Escaped(obeyed).to_string()),
            mark if mark == quote => out.extend(['\\', mark]),
            other => out.push(other),
        }
    }
    out.push(quote);
    out
}

/// Returns true for a value that Python counts as true: not null, zero or empty.
pub(super) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::String(text) => !text.is_empty(),
        Value::Symbol(symbol) => !symbol.as_str().is_empty(),
        Value::List(items) | Value::Array(items) => !items.is_empty(),
        Value::Map(pairs) => !pairs.is_empty(),
        value => value.as_i64() != Some(0),
    }
}

/// Returns a number with a comma before every three digits.
pub(super) fn commas(number: &str) -> String {
    let length = number.chars().count();
    let mut out = String::with_capacity(number.len() + number.len() / 3);
    for (at, digit) in number.chars().enumerate() {
        if at > 0 && (length - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Returns a size in units of 1024, with three digits.
pub(super) fn size(octets: &Value) -> String {
    let Some(octets) = octets.as_u64() else { return plain(octets) };
    if octets < 1024 {
        return octets.to_string();
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut number = octets as f64;
    let mut unit = "";
    for next in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
        number /= 1024.0;
        unit = next;
        if number < 1024.0 {
            break;
        }
    }
    let digits = if number < 10.0 { 2 } else { usize::from(number < 100.0) };
    format!("{number:.digits$} {unit}")
}

/// Returns seconds as days, hours, minutes and seconds; null is a dash.
pub(super) fn long_time(seconds: &Value) -> String {
    let Some(seconds) = seconds.as_u64() else { return "-".to_owned() };
    format!(
        "{:03}:{:02}:{:02}:{:02}",
        seconds / 86_400,
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// Returns seconds as hours, minutes and seconds; zero and null are a dash.
pub(super) fn short_time(seconds: &Value) -> String {
    match seconds.as_u64() {
        None | Some(0) => "-".to_owned(),
        Some(seconds) => {
            format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
        }
    }
}

/// Formats a time in seconds since the epoch. Other values are empty.
pub(super) fn date(seconds: &Value, format: &str, zone: TimeZone) -> String {
    let time = seconds.as_i64().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map(|time| time.to_zoned(zone).strftime(format).to_string()).unwrap_or_default()
}
