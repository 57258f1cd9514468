//! Message sections (part 3.2), as far as a router reads them.
//!
//! A router reads the sections up to the body and leaves them as they are. [`scan`] finds them in a
//! message that may still be arriving.

use super::composite::composite;
use super::decode::{Decode, DecodeError, Reader, field};
use super::encode::{self, Encode};

use super::types::Value;

/// Descriptors of the sections.
pub mod section {
    #![expect(missing_docs, reason = "the names say it")]
    pub const HEADER: u8 = 0x70;
    pub const DELIVERY_ANNOTATIONS: u8 = 0x71;
    pub const MESSAGE_ANNOTATIONS: u8 = 0x72;
    pub const PROPERTIES: u8 = 0x73;
    pub const APPLICATION_PROPERTIES: u8 = 0x74;
    pub const DATA: u8 = 0x75;
    pub const AMQP_SEQUENCE: u8 = 0x76;
    pub const AMQP_VALUE: u8 = 0x77;
    pub const FOOTER: u8 = 0x78;
}

/// The most bytes that the sections before the body may take. A router must hold them before it can
/// route a message; C routers hold 260,608 bytes of a message before they forward it.
pub const MAX_HEAD: usize = 256 * 1024;

/// The priority of a message whose header gives none (part 3.2.1).
pub const DEFAULT_PRIORITY: u8 = 4;

composite! {
    /// Transfer headers of a message (part 3.2.1).
    Header = 0x70 {
        /// Whether intermediaries must keep it safe.
        durable: bool;
        /// 0 to 255; absent: [`DEFAULT_PRIORITY`].
        priority: u8;
        /// Milliseconds to live.
        ttl: u32;
        /// Whether no other receiver has acquired it before.
        first_acquirer: bool;
        /// Earlier attempts that failed.
        delivery_count: u32;
    }
    /// Immutable properties of a message (part 3.2.4).
    Properties = 0x73 {
        /// Identifies the message.
        message_id: Value;
        /// The user that is responsible for it.
        user_id: Value;
        /// Its destination.
        to: String;
        /// Its subject.
        subject: String;
        /// The address of replies.
        reply_to: String;
        /// Correlates a reply.
        correlation_id: Value;
        /// MIME type of the body. Routers write it as a string where the specification has a
        /// symbol; both are read.
        content_type: Text;
        /// MIME content encoding.
        content_encoding: Text;
        /// Milliseconds since the epoch when it expires.
        absolute_expiry_time: Value;
        /// Milliseconds since the epoch when it was made.
        creation_time: Value;
        /// The group it belongs to.
        group_id: String;
        /// Its place in the group.
        group_sequence: u32;
        /// The group replies belong to.
        reply_to_group_id: String;
    }
}

/// Text that peers write as a string or as a symbol; this end writes a string.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(pub String);

impl Decode for Text {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.text().map(|text| Self(text.to_owned()))
    }
}

impl Encode for Text {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }
}

/// The place of a section in a message's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The section's descriptor code.
    pub code: u8,
    /// Where its value begins, behind the descriptor.
    pub value: usize,
    /// Where it ends.
    pub end: usize,
}

/// The sections of a message up to its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The header section.
    pub header: Option<Span>,
    /// The properties section.
    pub properties: Option<Span>,
    /// The application-properties section.
    pub application_properties: Option<Span>,
    /// The first body section, when the message has one.
    pub body: Option<Span>,
}

/// The result of [`scan`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scan {
    /// The head is whole, up to the end of the first body section. A data section need not have
    /// arrived whole.
    Complete(Head),
    /// More bytes are needed.
    Incomplete,
}

/// Finds the sections of a message that begins at the start of `octets`, router annotations
/// excluded.
///
/// `complete` tells that no more bytes come. The first body section must be whole only when
/// `whole_body` is set. A stream sets it: its bytes begin behind that section.
///
/// # Errors
/// Sections do not decode, or stand in the wrong order.
pub fn scan(octets: &[u8], complete: bool, whole_body: bool) -> Result<Scan, DecodeError> {
    let (head, whole) = walk(octets, complete, whole_body)?;
    Ok(if whole { Scan::Complete(head) } else { Scan::Incomplete })
}

/// Returns the sections before the body that have arrived whole, of a message that still arrives.
///
/// # Errors
/// As of [`scan`].
pub fn arrived(octets: &[u8]) -> Result<Head, DecodeError> {
    walk(octets, false, false).map(|(head, _)| head)
}

/// Finds the sections up to the body as far as they are there. Returns whether those are all.
fn walk(octets: &[u8], complete: bool, whole_body: bool) -> Result<(Head, bool), DecodeError> {
    let mut head = Head::default();
    let mut reader = Reader::new(octets);
    let mut last = 0;
    let at = |reader: &Reader<'_>| octets.len() - reader.rest().len();
    while !reader.is_empty() {
        let code = match reader.descriptor() {
            Ok(code) => u8::try_from(code).map_err(|_| DecodeError::Descriptor(code))?,
            Err(DecodeError::Truncated) if !complete => return Ok((head, false)),
            Err(error) => return Err(error),
        };
        if !(section::HEADER..=section::FOOTER).contains(&code) || code <= last {
            return Err(DecodeError::Descriptor(code.into()));
        }
        last = code;
        let value = at(&reader);
        let is_body = (section::DATA..=section::AMQP_VALUE).contains(&code);
        if is_body && !whole_body {
            head.body = Some(Span { code, value, end: value });
            return Ok((head, true));
        }
        match reader.skip() {
            Ok(()) => {}
            Err(DecodeError::Truncated) if !complete => return Ok((head, false)),
            Err(error) => return Err(error),
        }
        let span = Some(Span { code, value, end: at(&reader) });
        match code {
            section::HEADER => head.header = span,
            section::PROPERTIES => head.properties = span,
            section::APPLICATION_PROPERTIES => head.application_properties = span,
            _ if is_body => {
                head.body = span;
                return Ok((head, true));
            }
            _ => {}
        }
    }
    Ok((head, complete))
}

impl Span {
    /// Returns a reader at the section's value.
    pub fn of<'a>(&self, octets: &'a [u8]) -> Reader<'a> {
        Reader::new(octets.get(self.value..self.end).unwrap_or_default())
    }
}

/// Reads the fields of a properties section one after the other, and builds none: in a message that
/// passes through, two or three count.
#[derive(Clone, Debug)]
pub struct PropertyReader<'a> {
    body: Reader<'a>,
    left: u32,
}

impl<'a> PropertyReader<'a> {
    /// Makes a reader before the first field, the message-id. Without a section all fields are
    /// absent.
    ///
    /// # Errors
    /// The section is no list.
    pub fn new(properties: Option<&Span>, octets: &'a [u8]) -> Result<Self, DecodeError> {
        let Some(span) = properties else { return Ok(Self { body: Reader::new(&[]), left: 0 }) };
        let (left, body) = span.of(octets).list()?;
        Ok(Self { body, left })
    }

    /// Passes over the next `fields` fields.
    ///
    /// # Errors
    /// The bytes are no values.
    pub fn pass(&mut self, fields: u32) -> Result<(), DecodeError> {
        for _ in 0..fields.min(self.left) {
            self.left -= 1;
            self.body.skip()?;
        }
        Ok(())
    }

    fn present(&mut self) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        !self.body.null()
    }

    /// Takes the next field, which must be a string.
    ///
    /// # Errors
    /// The field has another type, or is no text.
    pub fn string(&mut self) -> Result<Option<&'a str>, DecodeError> {
        if self.present() { self.body.string().map(Some) } else { Ok(None) }
    }

    /// Takes the next field, a string or a symbol.
    ///
    /// # Errors
    /// The field has another type, or is no text.
    pub fn text(&mut self) -> Result<Option<&'a str>, DecodeError> {
        if self.present() { self.body.text().map(Some) } else { Ok(None) }
    }

    /// Takes the next field of any type. Returns it if it is a string or a symbol.
    ///
    /// # Errors
    /// The field is no value, or no text.
    pub fn any_text(&mut self) -> Result<Option<&'a str>, DecodeError> {
        if !self.present() {
            return Ok(None);
        }
        match self.body.peek()? {
            0xa1 | 0xb1 | 0xa3 | 0xb3 => self.body.text().map(Some),
            _ => self.body.skip().map(|()| None),
        }
    }
}

/// Returns the address in a message's properties.
///
/// # Errors
/// The properties up to it do not decode.
pub fn destination<'a>(
    properties: Option<&Span>,
    octets: &'a [u8],
) -> Result<Option<&'a str>, DecodeError> {
    let mut fields = PropertyReader::new(properties, octets)?;
    fields.pass(2)?;
    fields.string()
}

/// Returns an application property.
///
/// # Errors
/// The section is no map.
pub fn application_property(
    span: &Span,
    octets: &[u8],
    name: &str,
) -> Result<Option<Value>, DecodeError> {
    let (count, mut body) = span.of(octets).map()?;
    for _ in 0..count / 2 {
        let matches = match body.peek()? {
            0xa1 | 0xb1 | 0xa3 | 0xb3 => body.text()? == name,
            _ => body.skip().map(|()| false)?,
        };
        if matches {
            return body.value().map(Some);
        }
        body.skip()?;
    }
    Ok(None)
}
