//! The head of a message: the sections before its body, which say where it goes.
//!
//! A head may come byte by byte. A [`Gathering`] keeps the part that has arrived and charges it to
//! the peer until the head is whole.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use skupper_proto::amqp::message::{
    self, DEFAULT_PRIORITY, Head, Header, MAX_HEAD, Properties, Scan,
};
use skupper_proto::amqp::{DecodeError, Value, condition};
use skupper_proto::annotations::{self, AnnotationError, Flags, Parsed};

use crate::core::{Charge, Holder, Message};

/// The bytes beyond twice its own that a head may keep room for while it arrives.
const SLACK: usize = 1024;

/// The reason for which a message cannot be routed.
#[derive(Debug, thiserror::Error)]
pub(super) enum HeadError {
    #[error("router annotations: {0}")]
    Annotations(#[from] AnnotationError),
    #[error("invalid message format: {0}")]
    Message(#[from] DecodeError),
    #[error("the sections before the body take more than {MAX_HEAD} octets")]
    TooLarge,
    #[error("Routing failure: no address present")]
    NoAddress,
    #[error("user_id proxy violation")]
    OtherUser,
    #[error("the address is not allowed by local policy")]
    Forbidden,
    #[error(
        "the listener's management attribute lets no request go on to another router's management \
         node"
    )]
    Management,
}

impl HeadError {
    /// Returns the condition that the sender is told.
    pub(super) const fn condition(&self) -> &'static str {
        match self {
            Self::Annotations(AnnotationError::NotAList) | Self::Message(_) | Self::TooLarge => {
                condition::DECODE_ERROR
            }
            Self::Annotations(_) => condition::INVALID_FIELD,
            Self::NoAddress => condition::PRECONDITION_FAILED,
            Self::OtherUser | Self::Forbidden | Self::Management => condition::UNAUTHORIZED_ACCESS,
        }
    }
}

/// The rules by which messages of a link are read.
#[derive(Default)]
pub(super) struct LinkRules<'a> {
    /// The address of all messages of the link, if it has one.
    pub(super) to: Option<&'a Arc<str>>,
    /// The router forwards messages as they arrive.
    pub(super) streaming: bool,
    /// Released messages go to another receiver.
    pub(super) resend: bool,
    /// The router ignores the sender's router annotations.
    pub(super) strips: bool,
    /// The user that messages must name if they name one.
    pub(super) user: Option<&'a str>,
    /// The number of the connection.
    pub(super) connection: u64,
    /// The router reads no more than the address: the connection holds much.
    pub(super) hurries: bool,
}

/// A head that was read whole.
pub(super) struct Read<'a> {
    pub(super) message: Message,
    pub(super) to: Cow<'a, str>,
    /// The offset at which the body begins.
    pub(super) body: usize,
}

/// The part of a head that has arrived, with its charge, and the part of it that was read.
pub(super) struct Gathering {
    octets: BytesMut,
    front: Front,
    _charge: Charge,
}

/// The router annotations at the front of a message. They may be long, and are read once.
#[derive(Debug, PartialEq)]
pub(super) enum Front {
    /// They are not whole: read them again with so many bytes.
    Unread { needed: usize },
    /// Their length, the flags, and the place of an address that goes before the message's own.
    Read { length: usize, flags: Flags, to_override: Option<Range<usize>> },
}

impl Default for Front {
    fn default() -> Self {
        Self::Unread { needed: 0 }
    }
}

impl Front {
    /// Reads the annotations once they are whole. Returns whether they are.
    fn read(&mut self, octets: &[u8], strips: bool) -> Result<bool, AnnotationError> {
        if !matches!(self, Self::Unread { needed } if *needed <= octets.len()) {
            return Ok(matches!(self, Self::Read { .. }));
        }
        *self = match annotations::parse(octets)? {
            Parsed::Incomplete { needed } => Self::Unread { needed },
            Parsed::Absent => Self::Read { length: 0, flags: Flags::default(), to_override: None },
            Parsed::Present(found) if strips => {
                Self::Read { length: found.length, flags: Flags::default(), to_override: None }
            }
            Parsed::Present(found) => {
                let at = |text: &str| {
                    let start = text.as_ptr().addr() - octets.as_ptr().addr();
                    start..start + text.len()
                };
                Self::Read {
                    length: found.length,
                    flags: found.flags,
                    to_override: found.to_override.map(at),
                }
            }
        };
        Ok(matches!(self, Self::Read { .. }))
    }
}

impl Gathering {
    /// Keeps the part of a head that has arrived, and charges `holder` for it.
    pub(super) fn of(octets: Bytes, front: Front, holder: &Arc<Holder>) -> Box<Self> {
        let mut octets =
            octets.try_into_mut().unwrap_or_else(|shared| BytesMut::from(shared.as_ref()));
        if octets.capacity() > 2 * octets.len() + SLACK {
            // It would pin a large block.
            octets = BytesMut::from(&octets[..]);
        }
        let charge = holder.charge(octets.capacity());
        Box::new(Self { octets, front, _charge: charge })
    }

    /// Appends the next part of the head. Returns all of it with the part that was read.
    pub(super) fn append(self, octets: &Bytes) -> (Bytes, Front) {
        let Self { octets: mut gathered, front, .. } = self;
        gathered.extend_from_slice(octets);
        (gathered.freeze(), front)
    }
}

/// Finds the sections before the body. Returns `None` if it needs more bytes.
fn scan(
    sections: &[u8],
    complete: bool,
    too_large: bool,
    streaming: bool,
    windowed: bool,
    link: &LinkRules<'_>,
) -> Result<Option<Head>, HeadError> {
    // The link gives the address, and no section is this router's business.
    let is_known = link.to.is_some() && link.user.is_none();
    match message::scan(sections, complete, windowed) {
        Ok(Scan::Complete(head)) => Ok(Some(head)),
        // A message that is forwarded as it arrives needs an address and no more.
        Ok(Scan::Incomplete) if streaming && !windowed => match message::arrived(sections)? {
            head if head.properties.is_some() || is_known => Ok(Some(head)),
            _ if too_large => Err(HeadError::TooLarge),
            _ => Ok(None),
        },
        Ok(Scan::Incomplete) if too_large => Err(HeadError::TooLarge),
        Ok(Scan::Incomplete) => Ok(None),
        Err(_) if is_known => Ok(Some(Head::default())),
        Err(error) => Err(error.into()),
    }
}

/// Reads a message's head from the bytes that have arrived. Returns `None` if it needs more.
pub(super) fn read_head<'a>(
    octets: &'a [u8],
    front: &mut Front,
    complete: bool,
    presettled: bool,
    link: &LinkRules<'_>,
) -> Result<Option<Read<'a>>, HeadError> {
    let too_large = octets.len() > MAX_HEAD;
    front.read(octets, link.strips)?;
    let (annotations, flags, overridden) = match front {
        Front::Read { length, flags, to_override } => {
            let text = |range: &Range<usize>| {
                core::str::from_utf8(octets.get(range.clone()).unwrap_or_default()).ok()
            };
            (*length, *flags, to_override.as_ref().and_then(text))
        }
        Front::Unread { .. } if complete => return Err(HeadError::Message(DecodeError::Truncated)),
        Front::Unread { .. } => return Ok(None),
    };
    let streaming = flags.contains(Flags::STREAMING) || link.streaming;
    // A message larger than a head may be is forwarded as it arrives, whatever its sender wished.
    let streaming = streaming || !complete && !too_large && link.hurries;
    if !streaming && !complete && !too_large {
        return Ok(None);
    }
    let sections = octets.get(annotations..).unwrap_or_default();
    let windowed = flags.contains(Flags::STREAMING.with(Flags::DISABLE_Q2));
    let Some(head) = scan(sections, complete, too_large, streaming, windowed, link)? else {
        return Ok(None);
    };
    let to = match (link.to, overridden) {
        (Some(to), _) => Cow::Owned(to.to_string()),
        (None, Some(to)) => Cow::Borrowed(to),
        (None, None) => Cow::Borrowed(
            message::destination(head.properties.as_ref(), sections)?
                .ok_or(HeadError::NoAddress)?,
        ),
    };
    if let Some(user) = link.user
        && user_id(sections, &head)?.is_some_and(|named| names_another(&named, user))
    {
        return Err(HeadError::OtherUser);
    }
    let priority = match &head.header {
        Some(span) => {
            Header::decode_fields(&mut span.of(sections))?.priority.unwrap_or(DEFAULT_PRIORITY)
        }
        None => DEFAULT_PRIORITY,
    };
    let streaming = streaming || !complete;
    // The bytes behind a stream's head flow on their own. Any other message is one piece.
    let end = match head.body.filter(|_| windowed) {
        Some(body) => annotations + body.end,
        None => octets.len(),
    };
    let message = Message {
        // Slices would pin the block that they were read into for as long as the stream lives.
        annotations: Bytes::copy_from_slice(
            octets.get(..annotations).filter(|_| !link.strips).unwrap_or_default(),
        ),
        sections: Bytes::copy_from_slice(octets.get(annotations..end).unwrap_or_default()),
        streaming,
        presettled,
        priority,
        internal: false,
        windowed,
        extensible: false,
        resend: link.resend || flags.contains(Flags::RESEND_RELEASED),
        to_override: link.to.cloned(),
        edge: None,
        state: None,
        connection: Some(link.connection),
    };
    Ok(Some(Read { message, to, body: end }))
}

/// Returns whether a message names another user.
fn names_another(named: &Value, user: &str) -> bool {
    match named {
        Value::Null => false,
        Value::Binary(octets) => !octets.is_empty() && octets[..] != *user.as_bytes(),
        other => other.as_text().is_none_or(|named| !named.is_empty() && named != user),
    }
}

fn user_id(sections: &[u8], head: &Head) -> Result<Option<Value>, DecodeError> {
    let Some(span) = &head.properties else { return Ok(None) };
    Properties::decode_fields(&mut span.of(sections)).map(|properties| properties.user_id)
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
