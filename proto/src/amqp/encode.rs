//! Writes AMQP values as bytes, each in its shortest form (part 1).

use bytes::{BufMut, Bytes};

use super::types::{Fields, Multiple, Symbol, Value};

/// A type that can be written as an AMQP value.
pub trait Encode {
    /// Appends the value's bytes.
    fn encode(&self, out: &mut Vec<u8>);
}

impl Encode for bool {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(if *self { 0x41 } else { 0x42 });
    }
}

impl Encode for u8 {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[0x50, *self]);
    }
}

impl Encode for u16 {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(0x60);
        out.put_u16(*self);
    }
}

impl Encode for u32 {
    fn encode(&self, out: &mut Vec<u8>) {
        match u8::try_from(*self) {
            Ok(0) => out.push(0x43),
            Ok(n) => out.extend_from_slice(&[0x52, n]),
            Err(_) => {
                out.push(0x70);
                out.put_u32(*self);
            }
        }
    }
}

impl Encode for u64 {
    fn encode(&self, out: &mut Vec<u8>) {
        match u8::try_from(*self) {
            Ok(0) => out.push(0x44),
            Ok(n) => out.extend_from_slice(&[0x53, n]),
            Err(_) => {
                out.push(0x80);
                out.put_u64(*self);
            }
        }
    }
}

impl Encode for i32 {
    fn encode(&self, out: &mut Vec<u8>) {
        match i8::try_from(*self) {
            Ok(n) => out.extend_from_slice(&[0x54, n.cast_unsigned()]),
            Err(_) => {
                out.push(0x71);
                out.put_i32(*self);
            }
        }
    }
}

impl Encode for i64 {
    fn encode(&self, out: &mut Vec<u8>) {
        match i8::try_from(*self) {
            Ok(n) => out.extend_from_slice(&[0x55, n.cast_unsigned()]),
            Err(_) => {
                out.push(0x81);
                out.put_i64(*self);
            }
        }
    }
}

/// Writes bytes behind an 8-bit or a 32-bit length, by the format codes `short` and `short + 0x10`.
fn variable(out: &mut Vec<u8>, short: u8, octets: &[u8]) {
    match u8::try_from(octets.len()) {
        Ok(n) => out.extend_from_slice(&[short, n]),
        Err(_) => {
            out.push(short + 0x10);
            out.put_u32(u32::try_from(octets.len()).unwrap_or(u32::MAX));
        }
    }
    out.extend_from_slice(octets);
}

impl Encode for str {
    fn encode(&self, out: &mut Vec<u8>) {
        variable(out, 0xa1, self.as_bytes());
    }
}

impl Encode for String {
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_str().encode(out);
    }
}

impl Encode for Symbol {
    fn encode(&self, out: &mut Vec<u8>) {
        variable(out, 0xa3, self.as_str().as_bytes());
    }
}

impl Encode for Bytes {
    fn encode(&self, out: &mut Vec<u8>) {
        variable(out, 0xa0, self);
    }
}

impl Encode for [u8] {
    fn encode(&self, out: &mut Vec<u8>) {
        variable(out, 0xa0, self);
    }
}

impl<T: Encode> Encode for Option<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.encode(out),
            None => out.push(0x40),
        }
    }
}

impl<T: Encode + ?Sized> Encode for &T {
    fn encode(&self, out: &mut Vec<u8>) {
        (**self).encode(out);
    }
}

/// The null value.
#[derive(Clone, Copy, Debug)]
pub struct Null;

impl Encode for Null {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(0x40);
    }
}

/// Writes a compound value of `count` members that `members` writes: a list (`0xc0`) or map
/// (`0xc1`), in the short form where it fits.
#[expect(clippy::indexing_slicing, reason = "the function wrote these places before")]
pub fn compound(out: &mut Vec<u8>, short: u8, count: u32, members: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[short, 0, 0]);
    members(out);
    let size = out.len() - start - 2;
    if let (Ok(size), Ok(count)) = (u8::try_from(size), u8::try_from(count)) {
        out[start + 1] = size;
        out[start + 2] = count;
        return;
    }
    let body = out.split_off(start + 3);
    out.truncate(start);
    out.push(short + 0x10);
    out.put_u32(u32::try_from(body.len() + 4).unwrap_or(u32::MAX));
    out.put_u32(count);
    out.extend_from_slice(&body);
}

/// Writes a compound value in its 32-bit form, whatever its size. Routers write their own messages
/// so, and some of their readers take nothing else.
#[expect(clippy::indexing_slicing, reason = "the function wrote these places before")]
pub fn compound32(out: &mut Vec<u8>, code: u8, count: u32, members: impl FnOnce(&mut Vec<u8>)) {
    out.push(code);
    let start = out.len();
    out.extend_from_slice(&[0; 8]);
    members(out);
    let size = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&size.to_be_bytes());
    out[start + 4..start + 8].copy_from_slice(&count.to_be_bytes());
}

/// Writes a list; an empty one as list0.
pub fn list(out: &mut Vec<u8>, count: u32, members: impl FnOnce(&mut Vec<u8>)) {
    if count == 0 {
        out.push(0x45);
    } else {
        compound(out, 0xc0, count, members);
    }
}

/// Writes the short form of a descriptor with a numeric code below 256.
pub fn descriptor(out: &mut Vec<u8>, code: u8) {
    out.extend_from_slice(&[0x00, 0x53, code]);
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

impl Encode for Fields {
    fn encode(&self, out: &mut Vec<u8>) {
        compound(out, 0xc1, count(self.0.len() * 2), |out| {
            for (key, value) in &self.0 {
                key.encode(out);
                value.encode(out);
            }
        });
    }
}

impl Encode for Multiple<Symbol> {
    fn encode(&self, out: &mut Vec<u8>) {
        if let [one] = self.0.as_slice() {
            return one.encode(out);
        }
        compound(out, 0xe0, count(self.0.len()), |out| {
            out.push(0xb3);
            for symbol in &self.0 {
                out.put_u32(count(symbol.as_str().len()));
                out.extend_from_slice(symbol.as_str().as_bytes());
            }
        });
    }
}

impl Encode for Value {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.push(0x40),
            Self::Bool(v) => v.encode(out),
            Self::Ubyte(v) => v.encode(out),
            Self::Ushort(v) => v.encode(out),
            Self::Uint(v) => v.encode(out),
            Self::Ulong(v) => v.encode(out),
            Self::Byte(v) => out.extend_from_slice(&[0x51, v.cast_unsigned()]),
            Self::Short(v) => {
                out.push(0x61);
                out.put_i16(*v);
            }
            Self::Int(v) => v.encode(out),
            Self::Long(v) => v.encode(out),
            Self::Float(v) => {
                out.push(0x72);
                out.put_f32(*v);
            }
            Self::Double(v) => {
                out.push(0x82);
                out.put_f64(*v);
            }
            Self::Decimal32(v) => {
                out.push(0x74);
                out.extend_from_slice(v);
            }
            Self::Decimal64(v) => {
                out.push(0x84);
                out.extend_from_slice(v);
            }
            Self::Decimal128(v) => {
                out.push(0x94);
                out.extend_from_slice(v);
            }
            Self::Char(v) => {
                out.push(0x73);
                out.put_u32(u32::from(*v));
            }
            Self::Timestamp(v) => {
                out.push(0x83);
                out.put_i64(*v);
            }
            Self::Uuid(v) => {
                out.push(0x98);
                out.extend_from_slice(v);
            }
            Self::Binary(v) => v.encode(out),
            Self::String(v) => v.encode(out),
            Self::Symbol(v) => v.encode(out),
            Self::List(items) => {
                list(out, count(items.len()), |out| items.iter().for_each(|item| item.encode(out)))
            }
            Self::Map(pairs) => compound(out, 0xc1, count(pairs.len() * 2), |out| {
                for (key, value) in pairs {
                    key.encode(out);
                    value.encode(out);
                }
            }),
            Self::Array(items) => array(out, items),
            Self::Described(described) => {
                out.push(0x00);
                described.0.encode(out);
                described.1.encode(out);
            }
        }
    }
}

/// Writes an array, with the widest constructor of its members' type. Members of different types
/// have no form as an array; they are written as a list.
fn array(out: &mut Vec<u8>, items: &[Value]) {
    let Some(first) = items.first() else {
        // An empty array needs a constructor all the same.
        compound(out, 0xe0, 0, |out| out.push(0x40));
        return;
    };
    if !homogeneous(items) {
        return list(out, count(items.len()), |out| items.iter().for_each(|item| item.encode(out)));
    }
    compound(out, 0xe0, count(items.len()), |out| {
        let mut inner = first;
        while let Value::Described(described) = inner {
            out.push(0x00);
            described.0.encode(out);
            inner = &described.1;
        }
        out.push(format_code(inner));
        for item in items {
            member(out, item);
        }
    });
}

/// Whether values can be members of one array: the same descriptors, and the same type behind them.
fn homogeneous(items: &[Value]) -> bool {
    let Some((first, others)) = items.split_first() else { return true };
    let alike = |item: &Value| {
        let (mut a, mut b) = (first, item);
        while let (Value::Described(x), Value::Described(y)) = (a, b) {
            if x.0 != y.0 {
                return false;
            }
            (a, b) = (&x.1, &y.1);
        }
        format_code(a) == format_code(b)
    };
    others.iter().all(alike)
}

/// Returns the format code that holds every value of this value's type, which is not described.
fn format_code(value: &Value) -> u8 {
    match value {
        Value::Null => 0x40,
        Value::Bool(_) => 0x56,
        Value::Ubyte(_) => 0x50,
        Value::Ushort(_) => 0x60,
        Value::Uint(_) => 0x70,
        Value::Ulong(_) => 0x80,
        Value::Byte(_) => 0x51,
        Value::Short(_) => 0x61,
        Value::Int(_) => 0x71,
        Value::Long(_) => 0x81,
        Value::Float(_) => 0x72,
        Value::Double(_) => 0x82,
        Value::Decimal32(_) => 0x74,
        Value::Decimal64(_) => 0x84,
        Value::Decimal128(_) => 0x94,
        Value::Char(_) => 0x73,
        Value::Timestamp(_) => 0x83,
        Value::Uuid(_) => 0x98,
        Value::Binary(_) => 0xb0,
        Value::String(_) => 0xb1,
        Value::Symbol(_) => 0xb3,
        Value::List(_) => 0xd0,
        Value::Map(_) => 0xd1,
        Value::Array(items) if homogeneous(items) => 0xf0,
        // `array` writes members of different types as a list.
        Value::Array(_) => 0xd0,
        Value::Described(_) => 0x00,
    }
}

/// Writes a member of an array: the value's bytes in the form of [`format_code`], without
/// descriptors and format code.
fn member(out: &mut Vec<u8>, value: &Value) {
    let wide = |out: &mut Vec<u8>, octets: &[u8]| {
        out.put_u32(count(octets.len()));
        out.extend_from_slice(octets);
    };
    match value {
        Value::Described(described) => member(out, &described.1),
        Value::Bool(v) => out.push((*v).into()),
        Value::Uint(v) => out.put_u32(*v),
        Value::Ulong(v) => out.put_u64(*v),
        Value::Int(v) => out.put_i32(*v),
        Value::Long(v) => out.put_i64(*v),
        Value::Binary(v) => wide(out, v),
        Value::String(v) => wide(out, v.as_bytes()),
        Value::Symbol(v) => wide(out, v.as_str().as_bytes()),
        Value::List(_) | Value::Map(_) | Value::Array(_) => {
            let mut octets = Vec::new();
            value.encode(&mut octets);
            match octets.first() {
                Some(0x45) | None => out.extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, 0]),
                Some(0xc0 | 0xc1 | 0xe0) => {
                    // Widen the 8-bit size and count.
                    let body = octets.get(3..).unwrap_or_default();
                    out.put_u32(count(body.len() + 4));
                    out.put_u32(u32::from(octets.get(2).copied().unwrap_or_default()));
                    out.extend_from_slice(body);
                }
                Some(_) => out.extend_from_slice(octets.get(1..).unwrap_or_default()),
            }
        }
        // Types with one form: the value stands behind the format code.
        fixed => {
            let mut octets = Vec::with_capacity(17);
            fixed.encode(&mut octets);
            out.extend_from_slice(octets.get(1..).unwrap_or_default());
        }
    }
}
