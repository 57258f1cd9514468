//! AMQP values and frames as text, in the form of other AMQP programs' logs: `@transfer(20)
//! [handle=0x0, settled=true]`.

use core::fmt::{self, Formatter, Write};

use super::frame::{FrameHeader, TYPE_SASL};
use super::{Reader, Symbol, Value};

/// The bytes of a frame's payload that are shown.
const PAYLOAD: usize = 64;

/// The characters of a frame that are shown, for a log is no dump.
const LONGEST: usize = 4096;

/// How unsigned numbers are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsigned {
    /// `16`.
    Decimal,
    /// `0x10`.
    Hexadecimal,
}

/// A value as text.
#[derive(Clone, Copy, Debug)]
pub struct Show<'a>(pub &'a Value, pub Unsigned);

impl fmt::Display for Show<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(value, unsigned) = *self;
        let number = |f: &mut Formatter<'_>, n: u64| match unsigned {
            Unsigned::Decimal => write!(f, "{n}"),
            Unsigned::Hexadecimal => write!(f, "0x{n:x}"),
        };
        match value {
            Value::Null => f.write_str("null"),
            Value::Bool(flag) => write!(f, "{flag}"),
            Value::Ubyte(n) => number(f, (*n).into()),
            Value::Ushort(n) => number(f, (*n).into()),
            Value::Uint(n) => number(f, (*n).into()),
            Value::Ulong(n) => number(f, *n),
            Value::Byte(n) => write!(f, "{n}"),
            Value::Short(n) => write!(f, "{n}"),
            Value::Int(n) => write!(f, "{n}"),
            Value::Long(n) | Value::Timestamp(n) => write!(f, "{n}"),
            Value::Float(n) => write!(f, "{n}"),
            Value::Double(n) => write!(f, "{n}"),
            Value::Char(character) => write!(f, "{character:?}"),
            Value::Uuid(octets) => octets.iter().try_for_each(|octet| write!(f, "{octet:02x}")),
            Value::Decimal32(octets) => {
                octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
            }
            Value::Decimal64(octets) => {
                octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
            }
            Value::Decimal128(octets) => {
                octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
            }
            Value::Binary(octets) => binary(f, octets),
            Value::String(text) => write!(f, "{:?}", Plain(text)),
            Value::Symbol(symbol) => show_symbol(f, symbol),
            Value::List(items) => sequence(f, items, unsigned),
            Value::Array(items) => {
                f.write_str("@<")?;
                f.write_str(items.first().map_or("null", type_name))?;
                f.write_char('>')?;
                sequence(f, items, unsigned)
            }
            Value::Map(pairs) => {
                f.write_char('{')?;
                for (index, (key, value)) in pairs.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{}={}", Self(key, unsigned), Self(value, unsigned))?;
                }
                f.write_char('}')
            }
            Value::Described(described) => composite(f, &described.0, &described.1, unsigned),
        }
    }
}

/// Text in quotes with control characters escaped, others as they are.
struct Plain<'a>(&'a str);

impl fmt::Debug for Plain<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for character in self.0.chars() {
            match character {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                c if c.is_control() => write!(f, "{}", c.escape_default())?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

fn binary(f: &mut Formatter<'_>, octets: &[u8]) -> fmt::Result {
    f.write_str("b\"")?;
    for octet in octets {
        match octet {
            b'"' | b'\\' => write!(f, "\\{}", char::from(*octet))?,
            b' '..=b'~' => f.write_char(char::from(*octet))?,
            _ => write!(f, "\\x{octet:02x}")?,
        }
    }
    f.write_char('"')
}

fn show_symbol(f: &mut Formatter<'_>, symbol: &Symbol) -> fmt::Result {
    let text = symbol.as_str();
    match !text.is_empty()
        && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
    {
        true => write!(f, ":{text}"),
        false => write!(f, ":{:?}", Plain(text)),
    }
}

fn sequence(f: &mut Formatter<'_>, items: &[Value], unsigned: Unsigned) -> fmt::Result {
    f.write_char('[')?;
    for (index, item) in items.iter().enumerate() {
        write!(f, "{}{}", if index == 0 { "" } else { ", " }, Show(item, unsigned))?;
    }
    f.write_char(']')
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Symbol(_) => "symbol",
        Value::String(_) => "string",
        Value::Uint(_) => "uint",
        Value::Ulong(_) => "ulong",
        Value::Int(_) => "int",
        Value::Long(_) => "long",
        Value::Binary(_) => "binary",
        Value::Map(_) => "map",
        Value::List(_) => "list",
        Value::Described(_) => "described",
        _ => "value",
    }
}

/// A described list, with the names of its fields where they are known; fields without a value are
/// left out.
fn composite(
    f: &mut Formatter<'_>,
    descriptor: &Value,
    value: &Value,
    unsigned: Unsigned,
) -> fmt::Result {
    let code = descriptor.as_u64();
    let known =
        code.and_then(|code| COMPOSITES.iter().find(|(known, ..)| u64::from(*known) == code));
    let (Some((code, name, fields)), Value::List(items)) = (known, value) else {
        return match code {
            Some(code) => write!(f, "@({code}) {}", Show(value, unsigned)),
            None => write!(f, "@{} {}", Show(descriptor, unsigned), Show(value, unsigned)),
        };
    };
    write!(f, "@{name}({code}) [")?;
    let mut comma = "";
    for (item, field) in items.iter().zip(fields.iter().map(Some).chain(core::iter::repeat(None))) {
        if *item != Value::Null {
            match field {
                Some(field) => write!(f, "{comma}{field}={}", Show(item, unsigned))?,
                None => write!(f, "{comma}{}", Show(item, unsigned))?,
            }
            comma = ", ";
        }
    }
    f.write_char(']')
}

/// Code, name and fields of the composite types of AMQP 1.0 (parts 2.7, 2.8, 3.4, 3.5, 5.3).
const COMPOSITES: &[(u8, &str, &[&str])] = &[
    (
        0x10,
        "open",
        &[
            "container-id",
            "hostname",
            "max-frame-size",
            "channel-max",
            "idle-time-out",
            "outgoing-locales",
            "incoming-locales",
            "offered-capabilities",
            "desired-capabilities",
            "properties",
        ],
    ),
    (
        0x11,
        "begin",
        &[
            "remote-channel",
            "next-outgoing-id",
            "incoming-window",
            "outgoing-window",
            "handle-max",
            "offered-capabilities",
            "desired-capabilities",
            "properties",
        ],
    ),
    (
        0x12,
        "attach",
        &[
            "name",
            "handle",
            "role",
            "snd-settle-mode",
            "rcv-settle-mode",
            "source",
            "target",
            "unsettled",
            "incomplete-unsettled",
            "initial-delivery-count",
            "max-message-size",
            "offered-capabilities",
            "desired-capabilities",
            "properties",
        ],
    ),
    (
        0x13,
        "flow",
        &[
            "next-incoming-id",
            "incoming-window",
            "next-outgoing-id",
            "outgoing-window",
            "handle",
            "delivery-count",
            "link-credit",
            "available",
            "drain",
            "echo",
            "properties",
        ],
    ),
    (
        0x14,
        "transfer",
        &[
            "handle",
            "delivery-id",
            "delivery-tag",
            "message-format",
            "settled",
            "more",
            "rcv-settle-mode",
            "state",
            "resume",
            "aborted",
            "batchable",
        ],
    ),
    (0x15, "disposition", &["role", "first", "last", "settled", "state", "batchable"]),
    (0x16, "detach", &["handle", "closed", "error"]),
    (0x17, "end", &["error"]),
    (0x18, "close", &["error"]),
    (0x1d, "error", &["condition", "description", "info"]),
    (0x23, "received", &["section-number", "section-offset"]),
    (0x24, "accepted", &[]),
    (0x25, "rejected", &["error"]),
    (0x26, "released", &[]),
    (0x27, "modified", &["delivery-failed", "undeliverable-here", "message-annotations"]),
    (
        0x28,
        "source",
        &[
            "address",
            "durable",
            "expiry-policy",
            "timeout",
            "dynamic",
            "dynamic-node-properties",
            "distribution-mode",
            "filter",
            "default-outcome",
            "outcomes",
            "capabilities",
        ],
    ),
    (
        0x29,
        "target",
        &[
            "address",
            "durable",
            "expiry-policy",
            "timeout",
            "dynamic",
            "dynamic-node-properties",
            "capabilities",
        ],
    ),
    (0x40, "sasl-mechanisms", &["sasl-server-mechanisms"]),
    (0x41, "sasl-init", &["mechanism", "initial-response", "hostname"]),
    (0x42, "sasl-challenge", &["challenge"]),
    (0x43, "sasl-response", &["response"]),
    (0x44, "sasl-outcome", &["code", "additional-data"]),
];

/// Returns the complete frames and protocol headers at the start of `octets`, which begin at a
/// boundary. Each is a line for a log: `AMQP:FRAME:0 -> @open(16) [...]` where `arrow` is `->`.
/// SASL's content is left out: it may hold passwords.
pub fn frames(mut octets: &[u8], arrow: &str, mut line: impl FnMut(&str)) {
    while !octets.is_empty() {
        if let [b'A', b'M', b'Q', b'P', protocol, _, _, _, rest @ ..] = octets {
            let name = if *protocol == 3 { "SASL" } else { "AMQP" };
            line(&format!("{name}:FRAME:  {arrow} {name}"));
            octets = rest;
            continue;
        }
        let Some(header) = FrameHeader::parse(octets) else { return };
        let (Ok(size), Ok(offset)) = (usize::try_from(header.size), header.body_offset()) else {
            return;
        };
        let Some((frame, rest)) = octets.split_at_checked(size.max(8)) else { return };
        octets = rest;
        let body = frame.get(offset..).unwrap_or_default();
        let mut reader = Reader::new(body);
        let mut text = format!("AMQP:FRAME:{} {arrow} ", header.channel);
        match reader.value() {
            _ if body.is_empty() => text.push_str("(EMPTY FRAME)"),
            Ok(Value::Described(described)) if header.kind == TYPE_SASL => {
                let (descriptor, _) = *described;
                let code = descriptor.as_u64().unwrap_or_default();
                let name = COMPOSITES
                    .iter()
                    .find(|(known, ..)| u64::from(*known) == code)
                    .map_or("sasl", |(_, name, _)| name);
                text.push_str(&format!("@{name}({code})"));
            }
            Ok(value) => {
                text.push_str(&Show(&value, Unsigned::Hexadecimal).to_string());
                payload(&mut text, reader.rest());
            }
            Err(error) => text.push_str(&format!("({error})")),
        }
        if let Some((end, _)) = text.char_indices().nth(LONGEST) {
            text.truncate(end);
            text.push_str("...");
        }
        line(&text);
    }
}

fn payload(text: &mut String, octets: &[u8]) {
    if octets.is_empty() {
        return;
    }
    let shown = octets.get(..PAYLOAD).unwrap_or(octets);
    let value = Value::Binary(Box::from(shown));
    let shown_text = Show(&value, Unsigned::Decimal).to_string();
    let more = if octets.len() > PAYLOAD { "... (truncated)" } else { "" };
    text.push_str(&format!(" ({}) {}{more}", octets.len(), shown_text.trim_start_matches('b')));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::amqp::encode::Encode;

    fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
        let size = u32::try_from(body.len() + 8).unwrap();
        [&size.to_be_bytes()[..], &[2, kind, 0, 7], body].concat()
    }

    fn lines(octets: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        frames(octets, "->", |line| lines.push(line.to_owned()));
        lines
    }

    #[test]
    fn values_as_logs_show_them() {
        let show = |value: Value| Show(&value, Unsigned::Decimal).to_string();
        assert_eq!(show(Value::string("a \"b\"\n")), r#""a \"b\"\n""#);
        assert_eq!(
            show(Value::symbol("text/html; charset=utf-8")),
            ":\"text/html; charset=utf-8\""
        );
        assert_eq!(
            (show(Value::symbol("link-detach")), show(Value::symbol("O_one"))),
            (":link-detach".into(), ":\"O_one\"".into())
        );
        assert_eq!(show(Value::Binary(Box::from(*b"test\x00\xff"))), "b\"test\\x00\\xff\"");
        let list = Value::List(vec![Value::Long(10), Value::Int(-1), Value::Null]);
        assert_eq!(show(Value::Map(vec![(Value::string("k"), list)])), "{\"k\"=[10, -1, null]}");
        assert_eq!(Show(&Value::Uint(16), Unsigned::Hexadecimal).to_string(), "0x10");
        assert_eq!(
            show(Value::Array(vec![Value::symbol("a"), Value::symbol("b")])),
            "@<symbol>[:a, :b]"
        );
    }

    #[test]
    fn frames_as_logs_show_them() {
        let mut attach = Vec::new();
        let source = Value::Described(Box::new((
            Value::Ulong(0x28),
            Value::List(vec![Value::string("here")]),
        )));
        let fields = vec![
            Value::string("n"),
            Value::Uint(1),
            Value::Bool(true),
            Value::Null,
            Value::Null,
            source,
        ];
        Value::Described(Box::new((Value::Ulong(0x12), Value::List(fields)))).encode(&mut attach);
        let mut octets = b"AMQP\x00\x01\x00\x00".to_vec();
        octets.extend(frame(0, &attach));
        octets.extend(frame(0, &[]));
        let mut transfer = Vec::new();
        Value::Described(Box::new((Value::Ulong(0x14), Value::List(vec![Value::Uint(0)]))))
            .encode(&mut transfer);
        octets.extend(frame(0, &[&transfer[..], b"payload"].concat()));
        let expected = [
            "AMQP:FRAME:  -> AMQP",
            "AMQP:FRAME:7 -> @attach(18) [name=\"n\", handle=0x1, role=true, \
             source=@source(40) [address=\"here\"]]",
            "AMQP:FRAME:7 -> (EMPTY FRAME)",
            "AMQP:FRAME:7 -> @transfer(20) [handle=0x0] (7) \"payload\"",
        ];
        assert_eq!(lines(&octets), expected);
        // An incomplete frame waits.
        assert_eq!(lines(&octets[..octets.len() - 1]), expected[..3]);
    }

    #[test]
    fn passwords_are_not_shown() {
        let mut init = Vec::new();
        let secret = Value::Binary(Box::from(*b"\0user\0geheim"));
        Value::Described(Box::new((
            Value::Ulong(0x41),
            Value::List(vec![Value::symbol("PLAIN"), secret]),
        )))
        .encode(&mut init);
        assert_eq!(lines(&frame(1, &init)), ["AMQP:FRAME:7 -> @sasl-init(65)"]);
    }

    proptest! {
        #[test]
        fn any_octets_are_shown_or_left(
            octets in proptest::collection::vec(any::<u8>(), 0..300),
            body in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            frames(&octets, "<-", |line| assert!(line.len() < 6 * LONGEST));
            frames(&frame(0, &body), "<-", |line| assert!(line.len() < 6 * LONGEST));
        }
    }
}
