//! AMQP values (part 1).

use std::borrow::Cow;
use std::fmt;

/// A symbolic value from a constrained domain: ASCII text (part 1.6.21).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symbol(Cow<'static, str>);

impl Symbol {
    /// Makes a symbol from a constant.
    pub const fn from_static(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// Returns the symbol's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Symbol {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

impl From<&'static str> for Symbol {
    fn from(text: &'static str) -> Self {
        Self::from_static(text)
    }
}

impl PartialEq<str> for Symbol {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ":{}", self.0)
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Any AMQP value.
///
/// Maps keep the order of the wire. A hostile peer's may hold a key twice; look-ups take the first.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Indicates an empty value.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// 8-bit unsigned.
    Ubyte(u8),
    /// 16-bit unsigned.
    Ushort(u16),
    /// 32-bit unsigned.
    Uint(u32),
    /// 64-bit unsigned.
    Ulong(u64),
    /// 8-bit signed.
    Byte(i8),
    /// 16-bit signed.
    Short(i16),
    /// 32-bit signed.
    Int(i32),
    /// 64-bit signed.
    Long(i64),
    /// IEEE 754 binary32.
    Float(f32),
    /// IEEE 754 binary64.
    Double(f64),
    /// IEEE 754 decimal32, as it came.
    Decimal32([u8; 4]),
    /// IEEE 754 decimal64, as it came.
    Decimal64([u8; 8]),
    /// IEEE 754 decimal128, as it came.
    Decimal128([u8; 16]),
    /// A single Unicode character.
    Char(char),
    /// Milliseconds since the UNIX epoch.
    Timestamp(i64),
    /// RFC 4122 identifier.
    Uuid([u8; 16]),
    /// A sequence of bytes.
    Binary(Box<[u8]>),
    /// Unicode text.
    String(String),
    /// Symbolic text.
    Symbol(Symbol),
    /// A sequence of values of any type.
    List(Vec<Self>),
    /// Keys and values, in the order of the wire.
    Map(Vec<(Self, Self)>),
    /// Values of one type.
    Array(Vec<Self>),
    /// A descriptor and the value that it describes.
    Described(Box<(Self, Self)>),
}

impl Value {
    /// Returns the text of a string or a symbol.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            Self::Symbol(symbol) => Some(symbol.as_str()),
            _ => None,
        }
    }

    /// Returns the number, when the value is of any integer type and fits.
    pub fn as_i64(&self) -> Option<i64> {
        match *self {
            Self::Ubyte(n) => Some(n.into()),
            Self::Ushort(n) => Some(n.into()),
            Self::Uint(n) => Some(n.into()),
            Self::Ulong(n) => i64::try_from(n).ok(),
            Self::Byte(n) => Some(n.into()),
            Self::Short(n) => Some(n.into()),
            Self::Int(n) => Some(n.into()),
            Self::Long(n) | Self::Timestamp(n) => Some(n),
            _ => None,
        }
    }

    /// Returns the number, when the value is of any integer type and not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Self::Ulong(n) => Some(n),
            _ => self.as_i64().and_then(|n| u64::try_from(n).ok()),
        }
    }

    /// Returns the members of a list or an array. Some libraries, Go's among them, write a list as
    /// an array where all members have one type (part 1.6.24). So both mean the same to a reader of
    /// a sequence.
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) | Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// Takes the members out of a list or an array, see [`Self::as_list`].
    pub fn into_list(self) -> Option<Vec<Self>> {
        match self {
            Self::List(items) | Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// Returns the pairs of a map.
    pub fn as_map(&self) -> Option<&[(Self, Self)]> {
        match self {
            Self::Map(pairs) => Some(pairs),
            _ => None,
        }
    }

    /// Returns the value that a map holds for a string or symbol key.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_map()?.iter().find(|(k, _)| k.as_text() == Some(key)).map(|(_, v)| v)
    }

    /// Returns the bytes of memory that it takes, itself among them.
    pub fn memory(&self) -> usize {
        let inner = match self {
            Self::Binary(octets) => octets.len(),
            Self::String(text) => text.len(),
            Self::Symbol(symbol) => symbol.as_str().len(),
            Self::List(items) | Self::Array(items) => items.iter().map(Self::memory).sum(),
            Self::Map(pairs) => {
                pairs.iter().map(|(key, value)| key.memory() + value.memory()).sum()
            }
            Self::Described(described) => described.0.memory() + described.1.memory(),
            _ => 0,
        };
        inner + size_of::<Self>()
    }

    /// Makes a string value.
    pub fn string(text: impl Into<String>) -> Self {
        Self::String(text.into())
    }

    /// Makes a symbol value.
    pub fn symbol(text: impl Into<Symbol>) -> Self {
        Self::Symbol(text.into())
    }
}

macro_rules! value_from {
    ($($from:ty => $variant:ident),+) => {
        $(impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        })+
    };
}

value_from! {
    bool => Bool, u32 => Uint, u64 => Ulong, i32 => Int, i64 => Long, f64 => Double,
    &str => String, String => String,
    Symbol => Symbol, Box<[u8]> => Binary, Vec<Value> => List
}

/// `None` is null.
impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A map whose keys are symbols (part 2.8.13): connection, session and link properties.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields(pub Vec<(Symbol, Value)>);

impl Fields {
    /// Returns the bytes of memory that the entries take.
    pub fn memory(&self) -> usize {
        self.0
            .iter()
            .map(|(key, value)| size_of::<Symbol>() + key.as_str().len() + value.memory())
            .sum()
    }

    /// Returns the value of the first entry with this key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(k, _)| k.as_str() == key).map(|(_, v)| v)
    }

    /// Adds an entry.
    pub fn push(&mut self, key: impl Into<Symbol>, value: Value) {
        self.0.push((key.into(), value));
    }
}

/// A field that may hold several values: on the wire one value, or an array (part 1.4, `multiple`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Multiple<T>(pub Vec<T>);

impl Multiple<Symbol> {
    /// Whether the symbol is among them.
    pub fn contains(&self, text: &str) -> bool {
        self.0.iter().any(|symbol| symbol.as_str() == text)
    }

    /// Makes symbols from constants.
    pub fn of(texts: &[&'static str]) -> Self {
        Self(texts.iter().copied().map(Symbol::from_static).collect())
    }
}
