//! Reads AMQP values from bytes (part 1).

use bytes::Bytes;

use super::types::{Fields, Multiple, Symbol, Value};

/// How deep lists, maps, arrays and descriptions may be nested. The deepest value that AMQP itself
/// defines is an attach with a filter set, seven levels. Each level costs a stack frame here.
pub const MAX_DEPTH: u8 = 32;

/// How many members one compound value may claim. A member without bytes (null, list0) costs its
/// sender nothing; this bounds what it costs this end.
pub const MAX_MEMBERS: u32 = 1 << 20;

/// The memory that values may take, in bytes for each byte on the wire. A peer may choose members
/// that cost it little: a null has one byte there and 32 here. Ordinary values take less than half
/// of it.
pub const GROWTH: usize = 16;

/// The memory that values may take whatever bytes they have: that of 256 members, more than AMQP
/// itself puts into any value.
pub const ALLOWANCE: usize = 256 * size_of::<Value>();

/// The reason why bytes are not the AMQP value that they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end within a value.
    #[error("the octets end within a value")]
    Truncated,
    /// No type has this format code.
    #[error("unknown format code 0x{0:02x}")]
    FormatCode(u8),
    /// A value of another type stands where this one is needed.
    #[error("format code 0x{found:02x} where {wanted} is needed")]
    Type {
        /// The type that should stand there.
        wanted: &'static str,
        /// The format code that stands there.
        found: u8,
    },
    /// A mandatory field is null or missing.
    #[error("mandatory field {0} is missing")]
    Missing(&'static str),
    /// A composite of another kind, or of none known.
    #[error("unexpected descriptor 0x{0:x}")]
    Descriptor(u64),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("values nested too deep")]
    Depth,
    /// A size or count that contradicts the bytes, or is over a limit.
    #[error("a size or count that contradicts the octets or is over the limit")]
    Size,
    /// Text that is not UTF-8, a symbol that is not ASCII, or a character that does not exist.
    #[error("text that is not of its character set")]
    Text,
    /// A number outside of what the field can hold.
    #[error("a number out of range")]
    Range,
    /// Values that take more memory than [`GROWTH`] and [`ALLOWANCE`] let them.
    #[error("values with too many members for their octets")]
    Memory,
}

type Result<T> = core::result::Result<T, DecodeError>;

/// A cursor over bytes that hold AMQP values.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    data: &'a [u8],
    depth: u8,
}

/// The memory that values may still take, their texts aside: those take as many bytes as on the
/// wire.
#[derive(Debug)]
pub struct Memory(usize);

impl Memory {
    /// Makes the memory for values of `octets` bytes, all together.
    pub const fn of(octets: usize) -> Self {
        Self(octets.saturating_mul(GROWTH - 1).saturating_add(ALLOWANCE))
    }

    fn take(&mut self, members: usize, each: usize) -> Result<()> {
        self.0 = members
            .checked_mul(each)
            .and_then(|wanted| self.0.checked_sub(wanted))
            .ok_or(DecodeError::Memory)?;
        Ok(())
    }
}

/// The constructor of an array's members: the descriptors before it, outermost first, and the
/// format code.
struct Constructor {
    descriptors: Vec<Value>,
    code: u8,
}

impl<'a> Reader<'a> {
    /// Makes a reader at the start of `data`.
    pub const fn new(data: &'a [u8]) -> Self {
        Self { data, depth: 0 }
    }

    /// Returns the bytes that were not read.
    pub const fn rest(&self) -> &'a [u8] {
        self.data
    }

    /// Whether no bytes are left.
    pub const fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Takes the next `n` bytes.
    pub fn octets(&mut self, n: usize) -> Result<&'a [u8]> {
        let (head, tail) = self.data.split_at_checked(n).ok_or(DecodeError::Truncated)?;
        self.data = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, tail) = self.data.split_first_chunk::<N>().ok_or(DecodeError::Truncated)?;
        self.data = tail;
        Ok(*head)
    }

    /// Takes the next byte.
    pub fn u8(&mut self) -> Result<u8> {
        self.array::<1>().map(|[n]| n)
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn length8(&mut self) -> Result<usize> {
        self.u8().map(usize::from)
    }

    fn length32(&mut self) -> Result<usize> {
        self.u32().and_then(|n| usize::try_from(n).map_err(|_| DecodeError::Size))
    }

    /// Returns the next format code, and leaves it in place.
    pub fn peek(&self) -> Result<u8> {
        self.data.first().copied().ok_or(DecodeError::Truncated)
    }

    /// Takes a null if one is next. Returns whether it did.
    pub fn null(&mut self) -> bool {
        if let [0x40, tail @ ..] = self.data {
            self.data = tail;
            true
        } else {
            false
        }
    }

    /// Takes a list. Returns how many members it has, and a reader of just its bytes.
    pub fn list(&mut self) -> Result<(u32, Self)> {
        match self.u8()? {
            0x45 => Ok((0, Reader { data: &[], depth: self.depth })),
            code @ (0xc0 | 0xd0) => self.compound(code),
            found => Err(DecodeError::Type { wanted: "a list", found }),
        }
    }

    /// Takes a map. Returns how many members it has (twice the pairs), and a reader of just its
    /// bytes.
    pub fn map(&mut self) -> Result<(u32, Self)> {
        match self.u8()? {
            code @ (0xc1 | 0xd1) => {
                let (count, body) = self.compound(code)?;
                if count % 2 == 0 { Ok((count, body)) } else { Err(DecodeError::Size) }
            }
            found => Err(DecodeError::Type { wanted: "a map", found }),
        }
    }

    /// Takes size, count and bytes of a list, map or array whose format code was read.
    fn compound(&mut self, code: u8) -> Result<(u32, Self)> {
        let depth = self.depth + 1;
        if depth > MAX_DEPTH {
            return Err(DecodeError::Depth);
        }
        let wide = code & 0xf0 == 0xd0 || code & 0xf0 == 0xf0;
        let size = if wide { self.length32()? } else { self.length8()? };
        let mut body = Reader { data: self.octets(size)?, depth };
        let count = if wide { body.u32()? } else { u32::from(body.u8()?) };
        if count > MAX_MEMBERS {
            return Err(DecodeError::Size);
        }
        Ok((count, body))
    }

    /// Takes a descriptor, whose marker `00` is next. Returns its numeric code; a symbolic one is
    /// [`DecodeError::Descriptor`] 0.
    pub fn descriptor(&mut self) -> Result<u64> {
        match self.u8()? {
            0x00 => {}
            found => return Err(DecodeError::Type { wanted: "a descriptor", found }),
        }
        match self.u8()? {
            0x53 => self.u8().map(u64::from),
            0x80 => self.array().map(u64::from_be_bytes),
            0x44 => Ok(0),
            _ => Err(DecodeError::Descriptor(0)),
        }
    }

    /// Takes a boolean.
    pub fn boolean(&mut self) -> Result<bool> {
        match self.u8()? {
            0x41 => Ok(true),
            0x42 => Ok(false),
            0x56 => match self.u8()? {
                0 => Ok(false),
                1 => Ok(true),
                _ => Err(DecodeError::Range),
            },
            found => Err(DecodeError::Type { wanted: "a boolean", found }),
        }
    }

    /// Takes an 8-bit unsigned number.
    pub fn ubyte(&mut self) -> Result<u8> {
        match self.u8()? {
            0x50 => self.u8(),
            found => Err(DecodeError::Type { wanted: "a ubyte", found }),
        }
    }

    /// Takes a 16-bit unsigned number.
    pub fn ushort(&mut self) -> Result<u16> {
        match self.u8()? {
            0x60 => self.array().map(u16::from_be_bytes),
            found => Err(DecodeError::Type { wanted: "a ushort", found }),
        }
    }

    /// Takes a 32-bit unsigned number.
    pub fn uint(&mut self) -> Result<u32> {
        match self.u8()? {
            0x43 => Ok(0),
            0x52 => self.u8().map(u32::from),
            0x70 => self.u32(),
            found => Err(DecodeError::Type { wanted: "a uint", found }),
        }
    }

    /// Takes a 64-bit unsigned number.
    pub fn ulong(&mut self) -> Result<u64> {
        match self.u8()? {
            0x44 => Ok(0),
            0x53 => self.u8().map(u64::from),
            0x80 => self.array().map(u64::from_be_bytes),
            found => Err(DecodeError::Type { wanted: "a ulong", found }),
        }
    }

    /// Takes a binary value.
    pub fn binary(&mut self) -> Result<&'a [u8]> {
        let n = match self.u8()? {
            0xa0 => self.length8()?,
            0xb0 => self.length32()?,
            found => return Err(DecodeError::Type { wanted: "a binary", found }),
        };
        self.octets(n)
    }

    /// Takes a string.
    pub fn string(&mut self) -> Result<&'a str> {
        let n = match self.u8()? {
            0xa1 => self.length8()?,
            0xb1 => self.length32()?,
            found => return Err(DecodeError::Type { wanted: "a string", found }),
        };
        core::str::from_utf8(self.octets(n)?).map_err(|_| DecodeError::Text)
    }

    /// Takes a symbol.
    pub fn symbol(&mut self) -> Result<&'a str> {
        let n = match self.u8()? {
            0xa3 => self.length8()?,
            0xb3 => self.length32()?,
            found => return Err(DecodeError::Type { wanted: "a symbol", found }),
        };
        let octets = self.octets(n)?;
        if !octets.is_ascii() {
            return Err(DecodeError::Text);
        }
        core::str::from_utf8(octets).map_err(|_| DecodeError::Text)
    }

    /// Takes a string or a symbol: peers mix them up, in annotations above all.
    pub fn text(&mut self) -> Result<&'a str> {
        match self.peek()? {
            0xa3 | 0xb3 => self.symbol(),
            _ => self.string(),
        }
    }

    /// Takes any value, within the memory that its bytes let it take.
    pub fn value(&mut self) -> Result<Value> {
        let mut end = self.clone();
        end.skip()?;
        self.value_within(&mut Memory::of(self.data.len() - end.data.len()))
    }

    /// Takes any value, whatever memory it takes: for tools that read answers to their own
    /// requests.
    pub fn trusted_value(&mut self) -> Result<Value> {
        self.value_within(&mut Memory(usize::MAX))
    }

    /// Takes any value, within the memory that is left for several.
    pub fn value_within(&mut self, memory: &mut Memory) -> Result<Value> {
        let code = self.u8()?;
        self.value_of(code, memory)
    }

    /// Passes over one value without building it.
    pub fn skip(&mut self) -> Result<()> {
        let code = self.u8()?;
        if code == 0x00 {
            if self.depth >= MAX_DEPTH {
                return Err(DecodeError::Depth);
            }
            self.depth += 1;
            self.skip()?;
            self.skip()?;
            self.depth -= 1;
            return Ok(());
        }
        let n = match code >> 4 {
            0x4 => 0,
            0x5 => 1,
            0x6 => 2,
            0x7 => 4,
            0x8 => 8,
            0x9 => 16,
            0xa | 0xc | 0xe => self.length8()?,
            0xb | 0xd | 0xf => self.length32()?,
            _ => return Err(DecodeError::FormatCode(code)),
        };
        self.octets(n).map(drop)
    }

    fn value_of(&mut self, code: u8, memory: &mut Memory) -> Result<Value> {
        Ok(match code {
            0x00 => self.described(memory)?,
            0x40 => Value::Null,
            0x41 => Value::Bool(true),
            0x42 => Value::Bool(false),
            0x43 => Value::Uint(0),
            0x44 => Value::Ulong(0),
            0x45 => Value::List(Vec::new()),
            0x50 => Value::Ubyte(self.u8()?),
            0x51 => Value::Byte(self.u8()?.cast_signed()),
            0x52 => Value::Uint(self.u8()?.into()),
            0x53 => Value::Ulong(self.u8()?.into()),
            0x54 => Value::Int(self.u8()?.cast_signed().into()),
            0x55 => Value::Long(self.u8()?.cast_signed().into()),
            0x56 => match self.u8()? {
                0 => Value::Bool(false),
                1 => Value::Bool(true),
                _ => return Err(DecodeError::Range),
            },
            0x60 => Value::Ushort(self.array().map(u16::from_be_bytes)?),
            0x61 => Value::Short(self.array().map(i16::from_be_bytes)?),
            0x70 => Value::Uint(self.u32()?),
            0x71 => Value::Int(self.array().map(i32::from_be_bytes)?),
            0x72 => Value::Float(self.array().map(f32::from_be_bytes)?),
            0x73 => Value::Char(char::from_u32(self.u32()?).ok_or(DecodeError::Text)?),
            0x74 => Value::Decimal32(self.array()?),
            0x80 => Value::Ulong(self.array().map(u64::from_be_bytes)?),
            0x81 => Value::Long(self.array().map(i64::from_be_bytes)?),
            0x82 => Value::Double(self.array().map(f64::from_be_bytes)?),
            0x83 => Value::Timestamp(self.array().map(i64::from_be_bytes)?),
            0x84 => Value::Decimal64(self.array()?),
            0x94 => Value::Decimal128(self.array()?),
            0x98 => Value::Uuid(self.array()?),
            0xa0 | 0xb0 | 0xa1 | 0xb1 | 0xa3 | 0xb3 => self.variable(code)?,
            0xc0 | 0xd0 => self.list_of(code, memory)?,
            0xc1 | 0xd1 => self.map_of(code, memory)?,
            0xe0 | 0xf0 => self.array_of(code, memory)?,
            code => return Err(DecodeError::FormatCode(code)),
        })
    }

    /// Reads a described value behind its constructor (part 1.2).
    fn described(&mut self, memory: &mut Memory) -> Result<Value> {
        if self.depth >= MAX_DEPTH {
            return Err(DecodeError::Depth);
        }
        self.depth += 1;
        memory.take(2, size_of::<Value>())?;
        let (descriptor, value) = (self.value_within(memory)?, self.value_within(memory)?);
        self.depth -= 1;
        Ok(Value::Described(Box::new((descriptor, value))))
    }

    /// Reads a binary, string or symbol (part 1.6).
    fn variable(&mut self, code: u8) -> Result<Value> {
        let n = if code & 0xf0 == 0xa0 { self.length8()? } else { self.length32()? };
        let octets = self.octets(n)?;
        let text = || core::str::from_utf8(octets).map_err(|_| DecodeError::Text);
        Ok(match code & 0x0f {
            0x0 => Value::Binary(Box::from(octets)),
            0x1 => Value::String(text()?.to_owned()),
            _ if octets.is_ascii() => Value::Symbol(Symbol::from(text()?.to_owned())),
            _ => return Err(DecodeError::Text),
        })
    }

    /// Reads a list (part 1.6.22).
    fn list_of(&mut self, code: u8, memory: &mut Memory) -> Result<Value> {
        let (count, mut body) = self.compound(code)?;
        // A member takes at least one byte, so a count beyond the bytes fails.
        let room = body.data.len().min(count as usize);
        memory.take(room, size_of::<Value>())?;
        let mut items = Vec::with_capacity(room);
        for _ in 0..count {
            items.push(body.value_within(memory)?);
        }
        body.end()?;
        Ok(Value::List(items))
    }

    /// Reads a map (part 1.6.23).
    fn map_of(&mut self, code: u8, memory: &mut Memory) -> Result<Value> {
        let (count, mut body) = self.compound(code)?;
        if count % 2 != 0 {
            return Err(DecodeError::Size);
        }
        let room = body.data.len().min(count as usize) / 2;
        memory.take(room, size_of::<(Value, Value)>())?;
        let mut pairs = Vec::with_capacity(room);
        for _ in 0..count / 2 {
            pairs.push((body.value_within(memory)?, body.value_within(memory)?));
        }
        body.end()?;
        Ok(Value::Map(pairs))
    }

    /// Reads an array (part 1.6.24).
    fn array_of(&mut self, code: u8, memory: &mut Memory) -> Result<Value> {
        let (count, mut body) = self.compound(code)?;
        // An empty array should have a constructor too, and some peers leave it out.
        if count == 0 && body.is_empty() {
            return Ok(Value::Array(Vec::new()));
        }
        let size = body.data.len();
        let constructor = body.constructor(memory)?;
        let described = size - body.data.len();
        let count = count as usize;
        // Members without bytes (null, true, list0) cost a peer nothing; here they cost memory.
        if count > body.data.len() + 16 {
            return Err(DecodeError::Size);
        }
        memory.take(count, size_of::<Value>())?;
        // On the wire a descriptor stands once; here every member has its own.
        if !constructor.descriptors.is_empty() {
            let each = constructor.descriptors.len() * size_of::<(Value, Value)>() + described;
            memory.take(count, each)?;
        }
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            let value = body.value_of(constructor.code, memory)?;
            let describe =
                |value, descriptor: &Value| Value::Described(Box::new((descriptor.clone(), value)));
            items.push(constructor.descriptors.iter().rev().fold(value, describe));
        }
        body.end()?;
        Ok(Value::Array(items))
    }

    /// Fails if anything is left behind the last member.
    fn end(&self) -> Result<()> {
        if self.is_empty() { Ok(()) } else { Err(DecodeError::Size) }
    }

    fn constructor(&mut self, memory: &mut Memory) -> Result<Constructor> {
        let mut descriptors = Vec::new();
        loop {
            match self.u8()? {
                0x00 if self.depth >= MAX_DEPTH => return Err(DecodeError::Depth),
                0x00 => {
                    // Each description is a level of the members too.
                    self.depth += 1;
                    match self.value_within(memory)? {
                        // All other types are reserved as descriptors (part 1.5), and a compound
                        // one has no bound in memory.
                        descriptor @ (Value::Ulong(_) | Value::Symbol(_)) => {
                            descriptors.push(descriptor)
                        }
                        _ => return Err(DecodeError::Descriptor(0)),
                    }
                }
                code => return Ok(Constructor { descriptors, code }),
            }
        }
    }
}

/// A type that can stand in a field of a composite type. [`field`] handles a null before.
pub trait Decode: Sized {
    /// Reads the next value.
    fn decode(reader: &mut Reader<'_>) -> Result<Self>;
}

/// Takes the next field of a composite: `None` when it is null or the list has ended (`left` counts
/// down).
pub fn field<T: Decode>(reader: &mut Reader<'_>, left: &mut u32) -> Result<Option<T>> {
    if *left == 0 {
        return Ok(None);
    }
    *left -= 1;
    if reader.null() { Ok(None) } else { T::decode(reader).map(Some) }
}

macro_rules! decode_with {
    ($($type:ty => $read:expr;)+) => {
        $(impl Decode for $type {
            fn decode(reader: &mut Reader<'_>) -> Result<Self> {
                let read: fn(&mut Reader<'_>) -> Result<Self> = $read;
                read(reader)
            }
        })+
    };
}

decode_with! {
    bool => |r| r.boolean();
    u8 => |r| r.ubyte();
    u16 => |r| r.ushort();
    u32 => |r| r.uint();
    u64 => |r| r.ulong();
    String => |r| r.string().map(str::to_owned);
    Symbol => |r| r.symbol().map(|text| Self::from(text.to_owned()));
    Bytes => |r| r.binary().map(Self::copy_from_slice);
    Value => |r| r.value();
    Multiple<Symbol> => |r| match r.peek()? {
        0xe0 | 0xf0 => match r.value()? {
            Value::Array(items) => items
                .into_iter()
                .map(|item| match item {
                    Value::Symbol(symbol) => Ok(symbol),
                    _ => Err(DecodeError::Type { wanted: "an array of symbols", found: 0xe0 }),
                })
                .collect::<Result<Vec<_>>>()
                .map(Multiple),
            _ => Err(DecodeError::Size),
        },
        _ => Symbol::decode(r).map(|symbol| Self(vec![symbol])),
    };
    Fields => |r| {
        let (count, mut body) = r.map()?;
        let mut memory = Memory::of(body.data.len());
        let room = body.data.len().min(count as usize) / 2;
        memory.take(room, size_of::<(Symbol, Value)>())?;
        let mut fields = Self(Vec::with_capacity(room));
        for _ in 0..count / 2 {
            // Keys must be symbols (part 2.8.13); some clients send strings. C routers look at
            // nothing behind any other key.
            if !matches!(body.peek()?, 0xa1 | 0xb1 | 0xa3 | 0xb3) {
                break;
            }
            let key = body.text()?;
            if !key.is_ascii() {
                return Err(DecodeError::Text);
            }
            fields.0.push((Symbol::from(key.to_owned()), body.value_within(&mut memory)?));
        }
        Ok(fields)
    };
}
