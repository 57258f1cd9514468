//! Router annotations: the section that routers put before all others in a message that they pass
//! to each other. Its form is that of C routers.
//!
//! It states where the message entered the network, through which routers it came, and how to
//! forward it. [`parse`] reads the section from the front of a delivery that may still be arriving,
//! and borrows from it. [`OutgoingAnnotations`] composes it anew for every copy, because each
//! router adds itself to the trace.

#[cfg(test)]
mod tests;

use core::fmt;

use bytes::BufMut;

/// The section's descriptor: the unsigned long `SKPR--RA`. Only this long form is recognized.
pub const DESCRIPTOR: [u8; 10] = [0x00, 0x80, 0x53, 0x4b, 0x50, 0x52, 0x2d, 0x2d, 0x52, 0x41];

/// The most entries of a trace. A message passes each router at most once or twice on its path, and
/// the longest line of routers in use is far shorter.
pub const MAX_TRACE_ENTRIES: usize = 1024;

/// The most bytes of the section, descriptor included: a delivery is not forwarded while its
/// section arrives. There is space for [`MAX_TRACE_ENTRIES`] ids of ordinary length.
pub const MAX_SECTION_LENGTH: usize = 64 * 1024;

/// How to forward a message. Unknown bits are kept and passed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u32);

impl Flags {
    /// Forward it before it is complete.
    pub const STREAMING: Self = Self(0x01);
    /// When a receiver releases it, try another.
    pub const RESEND_RELEASED: Self = Self(0x02);
    /// The routers on the path do not hold it back by their own buffer limit; its ends do.
    pub const DISABLE_Q2: Self = Self(0x04);

    /// Whether all bits of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns the flags with the bits of `other`.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns the flags without the bits of `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// The annotations at the front of a message, as far as it has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// The message begins with another section: it has no annotations.
    Absent,
    /// More bytes are needed.
    Incomplete {
        /// The least number of bytes from the front of the message with which to try again.
        needed: usize,
    },
    /// The section is whole.
    Present(Annotations<'a>),
}

/// A whole section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Annotations<'a> {
    /// How to forward.
    pub flags: Flags,
    /// An address that replaces the message's own `to`.
    pub to_override: Option<&'a str>,
    /// `0/<id>` of the router where the message entered; `None` when it enters here.
    pub ingress: Option<&'a str>,
    /// The routers that it passed.
    pub trace: Trace<'a>,
    /// The mesh of edge routers where it entered.
    pub ingress_mesh: Option<&'a str>,
    /// The bytes of the section; the next section follows.
    pub length: usize,
}

/// The routers that a message passed, `0/<id>` each, in order of travel.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Trace<'a> {
    /// The strings, encoded, back to back, and checked.
    items: &'a [u8],
    count: usize,
}

impl<'a> Trace<'a> {
    /// Returns the number of routers passed.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether it passed none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the routers passed, as `0/<id>`.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut cursor = Cursor(self.items);
        core::iter::from_fn(move || cursor.string().ok().flatten())
    }

    /// Returns the ids of the routers passed.
    pub fn routers(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.iter().filter_map(crate::address::router_of_node)
    }
}

impl fmt::Debug for Trace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The fault of a section. The delivery is rejected with `amqp:invalid-field`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnnotationError {
    /// It is no list.
    #[error("the router annotations are not a list")]
    NotAList,
    /// It has too few items.
    #[error("the router annotations have {items} items; at least four are needed")]
    TooFew {
        /// Items of the list.
        items: usize,
    },
    /// Its encoding ends within an item, or lists and their sizes disagree.
    #[error("the router annotations are not well-formed AMQP")]
    Malformed,
    /// An item has a type that is not its own.
    #[error("item {0} of the router annotations has the wrong type")]
    Type(usize),
    /// It is larger than a section may be.
    #[error("the router annotations have {length} octets; at most {MAX_SECTION_LENGTH} are taken")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// It names too many routers.
    #[error(
        "the router annotations name {entries} routers passed; \
         at most {MAX_TRACE_ENTRIES} are taken"
    )]
    TraceTooLong {
        /// Entries of the trace.
        entries: usize,
    },
}

/// Reads the annotations from the front of a message of which `front` has arrived.
///
/// A message that ends while the answer is [`Parsed::Incomplete`] has no readable sections at all.
///
/// # Errors
/// [`AnnotationError`] when the section can not be read whatever follows.
pub fn parse(front: &[u8]) -> Result<Parsed<'_>, AnnotationError> {
    let Some(rest) = front.strip_prefix(&DESCRIPTOR) else {
        let short = front.len() < DESCRIPTOR.len() && DESCRIPTOR.starts_with(front);
        return Ok(if short {
            Parsed::Incomplete { needed: DESCRIPTOR.len() }
        } else {
            Parsed::Absent
        });
    };
    let (size_octets, size) = match *rest {
        [] => (1, None),
        [LIST8, ref tail @ ..] => (1, tail.first().map(|octet| usize::from(*octet))),
        [LIST0, ..] => return Err(AnnotationError::TooFew { items: 0 }),
        [LIST32, ref tail @ ..] => {
            (4, tail.first_chunk().map(|octets| u32::from_be_bytes(*octets) as usize))
        }
        _ => return Err(AnnotationError::NotAList),
    };
    let head = DESCRIPTOR.len() + 1 + size_octets;
    let Some(size) = size else { return Ok(Parsed::Incomplete { needed: head }) };
    let length = head.saturating_add(size);
    if length > MAX_SECTION_LENGTH {
        return Err(AnnotationError::TooLong { length });
    }
    let Some(content) = front.get(head..length) else {
        return Ok(Parsed::Incomplete { needed: length });
    };
    let mut cursor = Cursor(content);
    let count = cursor.size(size_octets)?;
    if count < 4 {
        return Err(AnnotationError::TooFew { items: count });
    }
    let flags = cursor.uint().map_err(|e| e.at(0))?;
    let to_override = cursor.string().map_err(|e| e.at(1))?;
    let ingress = cursor.string().map_err(|e| e.at(2))?;
    let trace = cursor.trace()?;
    let ingress_mesh = if count > 4 {
        // Null is not allowed here: a peer leaves the item out instead.
        Some(cursor.string().map_err(|e| e.at(4))?.ok_or(AnnotationError::Type(4))?)
    } else {
        None
    };
    Ok(Parsed::Present(Annotations {
        flags: Flags(flags),
        to_override,
        ingress,
        trace,
        ingress_mesh,
        length,
    }))
}

impl<'a> Annotations<'a> {
    /// Returns the section of a copy that this router, `own` = `0/<id>`, forwards.
    pub fn forwarded(&self, own: &'a str) -> OutgoingAnnotations<'a> {
        OutgoingAnnotations {
            flags: self.flags,
            to_override: self.to_override,
            ingress: Some(self.ingress.unwrap_or(own)),
            trace: self.trace,
            own: Some(own),
            ingress_mesh: self.ingress_mesh,
        }
    }
}

/// A section to send.
#[derive(Clone, Copy, Debug)]
pub struct OutgoingAnnotations<'a> {
    /// How to forward.
    pub flags: Flags,
    /// An address that replaces the message's own `to`.
    pub to_override: Option<&'a str>,
    /// `0/<id>` of the router where the message entered.
    pub ingress: Option<&'a str>,
    /// The routers passed so far.
    pub trace: Trace<'a>,
    /// `0/<id>` of this router, added to the trace.
    pub own: Option<&'a str>,
    /// The mesh of edge routers where it entered.
    pub ingress_mesh: Option<&'a str>,
}

impl<'a> OutgoingAnnotations<'a> {
    /// Makes the section of a message that enters the network at this router, `own` = `0/<id>`.
    pub fn originated(flags: Flags, own: &'a str) -> Self {
        Self {
            flags,
            to_override: None,
            ingress: Some(own),
            trace: Trace::default(),
            own: Some(own),
            ingress_mesh: None,
        }
    }

    /// Makes the section of a message from an edge router of mesh `ingress_mesh`: the interior
    /// router that takes it is the ingress.
    pub fn of_edge(flags: Flags, ingress_mesh: Option<&'a str>) -> Self {
        Self {
            flags,
            to_override: None,
            ingress: None,
            trace: Trace::default(),
            own: None,
            ingress_mesh,
        }
    }

    /// Returns the section with an address that replaces the message's own `to`.
    pub const fn with_to_override(mut self, address: Option<&'a str>) -> Self {
        self.to_override = address;
        self
    }

    /// Returns the section with the mesh of edge routers where the message entered.
    pub const fn with_ingress_mesh(mut self, mesh: Option<&'a str>) -> Self {
        self.ingress_mesh = mesh;
        self
    }

    /// Returns the section in the form of an edge router, and of a message for another network: no
    /// ingress, no trace.
    pub fn stripped(mut self) -> Self {
        self.ingress = None;
        self.trace = Trace::default();
        self.own = None;
        self
    }

    /// Returns how many bytes [`Self::encode`] writes.
    pub fn encoded_len(&self) -> usize {
        let content = self.content_len();
        // Descriptor, list code, size and count.
        content.saturating_add(DESCRIPTOR.len() + 9)
    }

    /// Appends the section to `out`, encoded as C routers encode it.
    pub fn encode(&self, out: &mut impl BufMut) {
        out.put_slice(&DESCRIPTOR);
        let count = if self.ingress_mesh.is_some() { 5 } else { 4 };
        put_list(out, self.content_len(), count);
        match self.flags.0 {
            0 => out.put_u8(UINT0),
            flags => match u8::try_from(flags) {
                Ok(flags) => out.put_slice(&[SMALL_UINT, flags]),
                Err(_) => {
                    out.put_u8(UINT);
                    out.put_u32(flags);
                }
            },
        }
        put_optional(out, self.to_override);
        put_optional(out, self.ingress);
        let entries = self.trace.count.saturating_add(usize::from(self.own.is_some()));
        if entries == 0 {
            out.put_u8(LIST0);
        } else {
            put_list(out, self.trace_len(), entries);
            out.put_slice(self.trace.items);
            if let Some(own) = self.own {
                put_string(out, own);
            }
        }
        if let Some(mesh) = self.ingress_mesh {
            put_string(out, mesh);
        }
    }

    fn trace_len(&self) -> usize {
        self.trace.items.len().saturating_add(self.own.map_or(0, string_len))
    }

    fn content_len(&self) -> usize {
        let flags = match self.flags.0 {
            0 => 1,
            1..=0xff => 2,
            _ => 5,
        };
        let trace = match self.trace_len() {
            0 => 1,
            items => items.saturating_add(9),
        };
        let strings = [self.to_override, self.ingress].map(|text| text.map_or(1, string_len));
        let mesh = self.ingress_mesh.map_or(0, string_len);
        strings.into_iter().chain([trace, mesh]).fold(flags, usize::saturating_add)
    }
}

/// Returns `0/<id>`: a router's name in ingress and trace.
pub fn node_text(id: &str) -> Box<str> {
    format!("0/{id}").into()
}

const NULL: u8 = 0x40;
const UINT0: u8 = 0x43;
const LIST0: u8 = 0x45;
const UBYTE: u8 = 0x50;
const SMALL_UINT: u8 = 0x52;
const UINT: u8 = 0x70;
const STRING8: u8 = 0xa1;
const STRING32: u8 = 0xb1;
const LIST8: u8 = 0xc0;
const LIST32: u8 = 0xd0;

/// Returns a length as `u32`. A larger one cannot have been held in memory as one section.
fn wire_size(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

fn put_list(out: &mut impl BufMut, items: usize, count: usize) {
    out.put_u8(LIST32);
    out.put_u32(wire_size(items.saturating_add(4)));
    out.put_u32(wire_size(count));
}

fn put_optional(out: &mut impl BufMut, text: Option<&str>) {
    match text {
        Some(text) => put_string(out, text),
        None => out.put_u8(NULL),
    }
}

fn put_string(out: &mut impl BufMut, text: &str) {
    match u8::try_from(text.len()) {
        Ok(length) => out.put_slice(&[STRING8, length]),
        Err(_) => {
            out.put_u8(STRING32);
            out.put_u32(wire_size(text.len()));
        }
    }
    out.put_slice(text.as_bytes());
}

fn string_len(text: &str) -> usize {
    text.len().saturating_add(if text.len() < 256 { 2 } else { 5 })
}

/// The reason why an item cannot be read. [`Self::at`] adds which.
enum ItemError {
    Malformed,
    Type,
}

impl ItemError {
    const fn at(self, index: usize) -> AnnotationError {
        match self {
            Self::Malformed => AnnotationError::Malformed,
            Self::Type => AnnotationError::Type(index),
        }
    }
}

/// Reads items from the front of the rest of a list.
///
/// The section has a parser of its own, not the general decoder. A router reads it once for every
/// message and stream. It holds four fixed items of three types, and this parser makes no copy.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], ItemError> {
        let (front, rest) = self.0.split_at_checked(length).ok_or(ItemError::Malformed)?;
        self.0 = rest;
        Ok(front)
    }

    fn octet(&mut self) -> Result<u8, ItemError> {
        self.take(1)?.first().copied().ok_or(ItemError::Malformed)
    }

    fn octets4(&mut self) -> Result<u32, ItemError> {
        self.take(4)?
            .first_chunk()
            .map(|octets| u32::from_be_bytes(*octets))
            .ok_or(ItemError::Malformed)
    }

    fn size(&mut self, octets: usize) -> Result<usize, AnnotationError> {
        let size = if octets == 1 {
            self.octet().map(usize::from)
        } else {
            self.octets4().map(|size| size as usize)
        };
        size.map_err(|_| AnnotationError::Malformed)
    }

    fn uint(&mut self) -> Result<u32, ItemError> {
        match self.octet()? {
            UINT0 => Ok(0),
            UBYTE | SMALL_UINT => self.octet().map(u32::from),
            UINT => self.octets4(),
            _ => Err(ItemError::Type),
        }
    }

    fn string(&mut self) -> Result<Option<&'a str>, ItemError> {
        let length = match self.octet()? {
            NULL => return Ok(None),
            STRING8 => usize::from(self.octet()?),
            STRING32 => self.octets4()? as usize,
            _ => return Err(ItemError::Type),
        };
        core::str::from_utf8(self.take(length)?).map(Some).map_err(|_| ItemError::Malformed)
    }

    fn trace(&mut self) -> Result<Trace<'a>, AnnotationError> {
        let malformed = |_| AnnotationError::Malformed;
        let size_octets = match self.octet().map_err(malformed)? {
            LIST0 => return Ok(Trace::default()),
            LIST8 => 1,
            LIST32 => 4,
            _ => return Err(AnnotationError::Type(3)),
        };
        let size = self.size(size_octets)?;
        let mut content = Cursor(self.take(size).map_err(malformed)?);
        let count = content.size(size_octets)?;
        if count > MAX_TRACE_ENTRIES {
            return Err(AnnotationError::TraceTooLong { entries: count });
        }
        let items = content.0;
        for _ in 0..count {
            content.string().map_err(|e| e.at(3))?.ok_or(AnnotationError::Type(3))?;
        }
        if content.0.is_empty() {
            Ok(Trace { items, count })
        } else {
            Err(AnnotationError::Malformed)
        }
    }
}
