//! The body of a routing message: a map of named fields.
//!
//! Reading takes the forms that any AMQP encoder may write, looks keys up exactly and ignores those
//! it does not know. Writing gives the bytes that C routers give, for they read some fields by
//! position and type.

use std::sync::Arc;

use super::MAX_ID_LENGTH;
use crate::amqp::encode::{self, Encode};
use crate::amqp::{DecodeError, Reader, Symbol};

/// The keys of an RA's digests.
pub(crate) const LINK_STATE_DIGEST: &str = "ls_digest";
pub(crate) const ADDRESSES_DIGEST: &str = "mobile_digest";

/// Why a routing message cannot be read. Such a message is dropped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// It does not decode.
    #[error("a routing message does not decode: {0}")]
    Decode(#[from] DecodeError),
    /// A mandatory field is missing, or has the wrong type or range.
    #[error("a routing message {opcode} has no valid field {field}")]
    Field {
        /// The kind of message.
        opcode: &'static str,
        /// The field.
        field: &'static str,
    },
    /// The opcode is missing or unknown.
    #[error("a message to a routing address has no opcode that is known")]
    Opcode,
    /// It has more entries than a router keeps.
    #[error("a routing message {opcode} has {count} entries in {field}; at most {limit} are taken")]
    TooMany {
        /// The kind of message.
        opcode: &'static str,
        /// The field.
        field: &'static str,
        /// How many entries.
        count: usize,
        /// How many a router takes.
        limit: usize,
    },
}

pub(crate) const LIST: u8 = 0xc0 + 0x10;
pub(crate) const MAP: u8 = 0xc1 + 0x10;

/// Writes a section of a message, with a list or map of `count` members.
pub(crate) fn put_section(
    out: &mut Vec<u8>,
    code: u8,
    compound: u8,
    count: u32,
    members: impl FnOnce(&mut Vec<u8>),
) {
    encode::descriptor(out, code);
    encode::compound32(out, compound, count, members);
}

/// Writes a key: a symbol in MAU and MAR, a string in the others.
pub(crate) fn put_key(out: &mut Vec<u8>, symbol: bool, key: &'static str) {
    if symbol { Symbol::from_static(key).encode(out) } else { key.encode(out) }
}

/// Writes a list.
pub(crate) fn put_list<T>(out: &mut Vec<u8>, items: &[T], mut put: impl FnMut(&mut Vec<u8>, &T)) {
    let count = u32::try_from(items.len()).unwrap_or(u32::MAX);
    encode::compound32(out, LIST, count, |out| items.iter().for_each(|item| put(out, item)));
}

/// Writes an int, or a long where the number does not fit.
pub(crate) fn put_int(out: &mut Vec<u8>, number: i64) {
    match i32::try_from(number) {
        Ok(number) => number.encode(out),
        Err(_) => number.encode(out),
    }
}

/// Writes a field of a message with string keys.
pub(crate) fn put_number(out: &mut Vec<u8>, key: &str, number: u64) {
    key.encode(out);
    put_int(out, signed(number));
}

/// Writes which of its lives a router is in.
pub(crate) fn put_instance(out: &mut Vec<u8>, instance: Option<i64>) {
    "instance".encode(out);
    put_int(out, instance.unwrap_or(0));
}

/// Returns a sequence as the signed number on the wire. A sequence begins at 0 with every start and
/// never comes near the end.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The known fields of all routing messages, each with a reader at its value.
pub(crate) struct Fields<'a> {
    pub(crate) opcode: &'static str,
    pub(crate) id: Option<Reader<'a>>,
    pub(crate) pv: Option<Reader<'a>>,
    pub(crate) instance: Option<Reader<'a>>,
    pub(crate) ls_seq: Option<Reader<'a>>,
    pub(crate) mobile_seq: Option<Reader<'a>>,
    pub(crate) have_seq: Option<Reader<'a>>,
    pub(crate) seen: Option<Reader<'a>>,
    pub(crate) ls: Option<Reader<'a>>,
    pub(crate) peers: Option<Reader<'a>>,
    pub(crate) add: Option<Reader<'a>>,
    pub(crate) del: Option<Reader<'a>>,
    pub(crate) exist: Option<Reader<'a>>,
    pub(crate) ls_digest: Option<Reader<'a>>,
    pub(crate) mobile_digest: Option<Reader<'a>>,
}

impl<'a> Fields<'a> {
    /// Finds the known fields of a map. Of a repeated key the first counts.
    pub(crate) fn read(
        opcode: &'static str,
        reader: &mut Reader<'a>,
    ) -> Result<Self, MessageError> {
        let (members, mut map) = reader.map()?;
        let mut body = Self {
            opcode,
            id: None,
            pv: None,
            instance: None,
            ls_seq: None,
            mobile_seq: None,
            have_seq: None,
            seen: None,
            ls: None,
            peers: None,
            add: None,
            del: None,
            exist: None,
            ls_digest: None,
            mobile_digest: None,
        };
        for _ in 0..members / 2 {
            let key = match map.peek()? {
                0xa1 | 0xb1 | 0xa3 | 0xb3 => map.text()?,
                _ => {
                    map.skip()?;
                    ""
                }
            };
            let slot = match key {
                "id" => Some(&mut body.id),
                "pv" => Some(&mut body.pv),
                "instance" => Some(&mut body.instance),
                "ls_seq" => Some(&mut body.ls_seq),
                "mobile_seq" => Some(&mut body.mobile_seq),
                "have_seq" => Some(&mut body.have_seq),
                "seen" => Some(&mut body.seen),
                "ls" => Some(&mut body.ls),
                "peers" => Some(&mut body.peers),
                "add" => Some(&mut body.add),
                "del" => Some(&mut body.del),
                "exist" => Some(&mut body.exist),
                LINK_STATE_DIGEST => Some(&mut body.ls_digest),
                ADDRESSES_DIGEST => Some(&mut body.mobile_digest),
                _ => None,
            };
            if let Some(slot) = slot {
                slot.get_or_insert_with(|| map.clone());
            }
            map.skip()?;
        }
        Ok(body)
    }

    /// Makes the error of a field that is missing or invalid.
    pub(crate) const fn field(&self, field: &'static str) -> MessageError {
        MessageError::Field { opcode: self.opcode, field }
    }

    /// Reads a router's id.
    pub(crate) fn router_id(
        &self,
        field: &'static str,
        reader: &mut Reader<'a>,
    ) -> Result<Arc<str>, MessageError> {
        let id = reader.text().map_err(|_| self.field(field))?;
        if id.is_empty() || id.len() > MAX_ID_LENGTH {
            Err(self.field(field))
        } else {
            Ok(Arc::from(id))
        }
    }

    /// Returns the sender of the message.
    pub(crate) fn id(&self) -> Result<Arc<str>, MessageError> {
        let mut reader = self.id.clone().ok_or_else(|| self.field("id"))?;
        self.router_id("id", &mut reader)
    }

    /// Returns a number, if the field is there.
    pub(crate) fn optional_number(
        &self,
        field: &'static str,
        reader: &Option<Reader<'a>>,
    ) -> Result<Option<i64>, MessageError> {
        match reader {
            None => Ok(None),
            Some(reader) => {
                reader.clone().value()?.as_i64().map(Some).ok_or_else(|| self.field(field))
            }
        }
    }

    /// Returns which of the sender's lives speaks, if the message says so.
    pub(crate) fn instance(&self) -> Result<Option<i64>, MessageError> {
        self.optional_number("instance", &self.instance)
    }

    /// Returns a sequence.
    pub(crate) fn sequence(
        &self,
        field: &'static str,
        reader: &Option<Reader<'a>>,
    ) -> Result<u64, MessageError> {
        let number = self.optional_number(field, reader)?;
        number.and_then(|number| u64::try_from(number).ok()).ok_or_else(|| self.field(field))
    }

    /// Fails if a field has more entries than a router takes.
    pub(crate) fn within(
        &self,
        field: &'static str,
        count: u32,
        limit: usize,
    ) -> Result<(), MessageError> {
        let count = count as usize;
        if count > limit {
            Err(MessageError::TooMany { opcode: self.opcode, field, count, limit })
        } else {
            Ok(())
        }
    }

    /// Reads a list of at most `limit` items. Items that `read` gives `None` for are left out.
    pub(crate) fn items<T>(
        &self,
        field: &'static str,
        reader: &Option<Reader<'a>>,
        limit: usize,
        mut read: impl FnMut(&mut Reader<'a>) -> Result<Option<T>, MessageError>,
    ) -> Result<Vec<T>, MessageError> {
        let mut list = reader.clone().ok_or_else(|| self.field(field))?;
        let (count, mut items) = list.list().map_err(|_| self.field(field))?;
        self.within(field, count, limit)?;
        let mut taken = Vec::new();
        for _ in 0..count {
            taken.extend(read(&mut items)?);
        }
        Ok(taken)
    }
}
