//! Performatives (part 2.7) and the composite types they carry.

use super::composite::composite;
use super::decode::{ALLOWANCE, Decode, DecodeError, Reader, field};
use super::encode::{self, Encode};
use super::terminus::{Source, Target};
use super::types::{Fields, Multiple, Symbol, Value};

/// The longest delivery-tag that AMQP allows (part 2.8.7), in bytes.
const MAX_TAG: usize = 32;

/// A delivery-tag: up to 32 bytes, kept in place so that a transfer needs no allocation.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct DeliveryTag {
    octets: [u8; MAX_TAG],
    length: u8,
}

impl DeliveryTag {
    /// Returns the tag's bytes.
    pub fn as_slice(&self) -> &[u8] {
        self.octets.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl From<u64> for DeliveryTag {
    fn from(n: u64) -> Self {
        let mut tag = Self { length: 8, ..Self::default() };
        tag.octets[..8].copy_from_slice(&n.to_be_bytes());
        tag
    }
}

impl core::fmt::Debug for DeliveryTag {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.as_slice().escape_ascii().fmt(f)
    }
}

impl Decode for DeliveryTag {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let octets = reader.binary()?;
        let mut tag = Self::default();
        tag.octets.get_mut(..octets.len()).ok_or(DecodeError::Range)?.copy_from_slice(octets);
        tag.length = u8::try_from(octets.len()).map_err(|_| DecodeError::Range)?;
        Ok(tag)
    }
}

impl Encode for DeliveryTag {
    fn encode(&self, out: &mut Vec<u8>) {
        self.as_slice().encode(out);
    }
}

/// The end of a link that a peer is, or that a disposition speaks for (part 2.8.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The sending end.
    #[default]
    Sender,
    /// The receiving end.
    Receiver,
}

impl Role {
    /// Returns the other end.
    pub const fn other(self) -> Self {
        match self {
            Self::Sender => Self::Receiver,
            Self::Receiver => Self::Sender,
        }
    }
}

impl Decode for Role {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(if reader.boolean()? { Self::Receiver } else { Self::Sender })
    }
}

impl Encode for Role {
    fn encode(&self, out: &mut Vec<u8>) {
        (*self == Self::Receiver).encode(out);
    }
}

composite! {
    /// Negotiates connection parameters (part 2.7.1).
    Open = 0x10 {
        /// The name of the container that opens: a router's id.
        container_id: String, !;
        /// The host the connection was meant for.
        hostname: String;
        /// The largest frame the sender of this takes, in bytes; absent: any.
        max_frame_size: u32;
        /// The highest channel it takes; absent: 65535.
        channel_max: u16;
        /// It closes when its peer is silent for twice this, in milliseconds; absent: never.
        idle_time_out: u32;
        /// Locales for error texts that it can send.
        outgoing_locales: Multiple<Symbol>;
        /// Locales for error texts that it wants.
        incoming_locales: Multiple<Symbol>;
        /// Extensions it supports.
        offered_capabilities: Multiple<Symbol>;
        /// Extensions it may use if the other supports them.
        desired_capabilities: Multiple<Symbol>;
        /// Connection properties.
        properties: Fields;
    }
    /// Begins a session on a channel (part 2.7.2).
    Begin = 0x11 {
        /// The channel of the peer's begin that this answers.
        remote_channel: u16;
        /// The transfer-id of the next transfer that the sender of this will send.
        next_outgoing_id: u32, !;
        /// How many transfers it takes now.
        incoming_window: u32, !;
        /// How many transfers it may send.
        outgoing_window: u32, !;
        /// The highest handle it takes; absent: 4294967295.
        handle_max: u32;
        /// Extensions it supports.
        offered_capabilities: Multiple<Symbol>;
        /// Extensions it may use.
        desired_capabilities: Multiple<Symbol>;
        /// Session properties.
        properties: Fields;
    }
    /// Attaches a link to a session (part 2.7.3).
    Attach = 0x12 {
        /// The link's name, unique between two containers in one direction.
        name: String, !;
        /// The sender of this names the link by this handle in the session.
        handle: u32, !;
        /// Which end the sender of this is.
        role: Role, !;
        /// 0 unsettled, 1 settled, 2 mixed (default).
        snd_settle_mode: u8;
        /// 0 first (default), 1 second.
        rcv_settle_mode: u8;
        /// Where messages come from; null when the sender of this refuses.
        source: Source;
        /// Where messages go; null when the sender of this refuses.
        target: Target;
        /// Deliveries that an earlier attachment left unsettled.
        unsettled: Value;
        /// Whether `unsettled` is partial.
        incomplete_unsettled: bool;
        /// The sender's delivery-count at the start.
        initial_delivery_count: u32;
        /// The largest message, in bytes; absent or 0: any.
        max_message_size: u64;
        /// Extensions it supports.
        offered_capabilities: Multiple<Symbol>;
        /// Extensions it may use.
        desired_capabilities: Multiple<Symbol>;
        /// Link properties.
        properties: Fields;
    }
    /// Updates window and credit (part 2.7.4).
    Flow = 0x13 {
        /// The transfer-id it expects next; absent before it has seen the peer's begin.
        next_incoming_id: u32;
        /// How many transfers it takes from there.
        incoming_window: u32, !;
        /// The transfer-id it sends next.
        next_outgoing_id: u32, !;
        /// How many transfers it may send.
        outgoing_window: u32, !;
        /// The link this is about; absent: the session alone.
        handle: u32;
        /// The link's delivery-count as its sender (or receiver, as far as it knows) counts it.
        delivery_count: u32;
        /// Deliveries the receiver takes from `delivery_count` on.
        link_credit: u32;
        /// Messages the sender has waiting.
        available: u32;
        /// The sender is to use up the credit at once.
        drain: bool;
        /// Whether the peer is to answer with a flow.
        echo: bool;
        /// Link state properties.
        properties: Fields;
    }
    /// A part of a message (part 2.7.5). Its payload follows in the frame.
    Transfer = 0x14 {
        /// The link.
        handle: u32, !;
        /// Numbers the deliveries of a session; absent on continuations.
        delivery_id: u32;
        /// Names the delivery on its link.
        delivery_tag: DeliveryTag;
        /// Format of the message; 0 is AMQP's.
        message_format: u32;
        /// The sender has settled the delivery.
        settled: bool;
        /// Further transfers of this delivery will follow.
        more: bool;
        /// Settle mode of this delivery.
        rcv_settle_mode: u8;
        /// State of the delivery at its sender.
        state: DeliveryState;
        /// Resumes a delivery of an earlier attachment.
        resume: bool;
        /// The delivery is aborted; what was sent of it is void.
        aborted: bool;
        /// Dispositions need not hurry.
        batchable: bool;
    }
    /// The state of deliveries at one end (part 2.7.6).
    Disposition = 0x15 {
        /// Which end of the deliveries the sender of this is.
        role: Role, !;
        /// First delivery-id.
        first: u32, !;
        /// Last delivery-id; absent: the first.
        last: u32;
        /// They are settled at that end.
        settled: bool;
        /// Their state.
        state: DeliveryState;
        /// Answers need not hurry.
        batchable: bool;
    }
    /// Detaches a link (part 2.7.7).
    Detach = 0x16 {
        /// The link.
        handle: u32, !;
        /// Closes the link; else it is only suspended.
        closed: bool;
        /// The reason.
        error: Error;
    }
    /// Ends a session (part 2.7.8).
    End = 0x17 {
        /// The reason.
        error: Error;
    }
    /// Closes the connection (part 2.7.9).
    Close = 0x18 {
        /// The reason.
        error: Error;
    }
    /// An error (part 2.8.14).
    Error = 0x1d {
        /// The error condition, see [`condition`](super::condition).
        condition: Symbol, !;
        /// Text for people.
        description: String;
        /// More details.
        info: Fields;
    }
    /// How far a receiver has come in a delivery (part 3.4.1).
    Received = 0x23 {
        /// Section of the message.
        section_number: u32, !;
        /// Offset in that section, in bytes.
        section_offset: u64, !;
    }
    /// The delivery was rejected (part 3.4.3).
    Rejected = 0x25 {
        /// The reason.
        error: Error;
    }
    /// The delivery was not processed and was modified (part 3.4.5).
    Modified = 0x27 {
        /// An attempt to deliver failed.
        delivery_failed: bool;
        /// Not to be tried at that receiver again.
        undeliverable_here: bool;
        /// To be merged into the message's annotations.
        message_annotations: Value;
    }
}

impl Default for Symbol {
    fn default() -> Self {
        Self::from_static("")
    }
}

impl Error {
    /// Makes an error of `condition` with a text for people.
    pub fn new(condition: &'static str, description: impl Into<String>) -> Self {
        Self {
            condition: Symbol::from_static(condition),
            description: Some(description.into()),
            info: None,
        }
    }
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.condition.as_str())?;
        self.description.iter().try_for_each(|text| write!(f, " {text}"))
    }
}

impl Decode for Error {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.descriptor()? {
            0x1d => Self::decode_fields(reader),
            other => Err(DecodeError::Descriptor(other)),
        }
    }
}

/// The most bytes of a delivery's state that are kept: an error with a description of some lines.
pub const MAX_STATE: usize = 2048;

/// Returns as much of a text as fits into `octets` bytes.
fn cut(text: &str, octets: usize) -> &str {
    text.get(..text.floor_char_boundary(octets)).unwrap_or_default()
}

/// The state of a delivery (part 3.4). [`DeliveryState::is_outcome`] tells which states are
/// outcomes.
#[derive(Clone, Debug, PartialEq)]
pub enum DeliveryState {
    /// The receiver has got so far (part 3.4.1).
    Received(Received),
    /// Accepted (part 3.4.2).
    Accepted,
    /// Rejected as invalid (part 3.4.3).
    Rejected(Rejected),
    /// Not taken; may be delivered elsewhere (part 3.4.4).
    Released,
    /// Not taken, and changed (part 3.4.5).
    Modified(Modified),
    /// A state of an extension, such as transactions.
    Other(Value),
}

impl DeliveryState {
    /// Returns MODIFIED with delivery-failed set: the outcome of a delivery that began to travel
    /// and was lost.
    pub const fn failed() -> Self {
        Self::Modified(Modified {
            delivery_failed: Some(true),
            undeliverable_here: None,
            message_annotations: None,
        })
    }

    /// Returns RECEIVED, with `octets` bytes of the stream taken.
    pub const fn received(octets: u64) -> Self {
        Self::received_in(0, octets)
    }

    /// Returns RECEIVED with `octets` bytes, and a section-number.
    pub const fn received_in(section: u32, octets: u64) -> Self {
        Self::Received(Received { section_number: section, section_offset: octets })
    }

    /// Returns as much of a state as is kept or passed on. A peer may send as much as its frames
    /// hold, for each of many deliveries at once. An error of more than `most` bytes (384 or more)
    /// is cut to its condition and the beginning of its description. Annotations and a state of an
    /// extension are left out.
    #[must_use]
    pub fn bounded(self, most: usize) -> Option<Self> {
        if self.is_small() {
            return Some(self);
        }
        let mut octets = Vec::new();
        self.encode(&mut octets);
        if octets.len() <= most && self.memory() <= ALLOWANCE {
            return Some(self);
        }
        match self {
            Self::Rejected(Rejected { error: Some(Error { condition, description, .. }) }) => {
                // The encoding around the two takes less than this.
                let room = most.saturating_sub(32);
                let condition = Symbol::from(cut(condition.as_str(), room / 2).to_owned());
                let description = description.map(|text| cut(&text, room / 2).to_owned());
                Some(Self::Rejected(Rejected {
                    error: Some(Error { condition, description, info: None }),
                }))
            }
            Self::Modified(state) => {
                Some(Self::Modified(Modified { message_annotations: None, ..state }))
            }
            _ => None,
        }
    }

    /// Returns the bytes of memory that its values take. The next router must take a state that is
    /// passed on, though it may have fewer bytes than it came with. So it stays within
    /// [`ALLOWANCE`].
    fn memory(&self) -> usize {
        match self {
            Self::Received(_) | Self::Accepted | Self::Released => 0,
            Self::Rejected(Rejected { error }) => {
                error.as_ref().and_then(|error| error.info.as_ref()).map_or(0, Fields::memory)
            }
            Self::Modified(Modified { message_annotations, .. }) => {
                message_annotations.as_ref().map_or(0, Value::memory)
            }
            Self::Other(value) => value.memory(),
        }
    }

    /// Whether it takes some twenty bytes at most.
    pub const fn is_small(&self) -> bool {
        matches!(self, Self::Received(_) | Self::Accepted | Self::Released)
    }

    /// Whether this is an outcome: a state that ends the delivery (part 3.4).
    pub const fn is_outcome(&self) -> bool {
        matches!(self, Self::Accepted | Self::Rejected(_) | Self::Released | Self::Modified(_))
    }
}

impl Decode for DeliveryState {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = reader.clone();
        // A symbolic descriptor is no number, and none of those known here.
        let code = match reader.descriptor() {
            Err(DecodeError::Descriptor(code)) => code,
            other => other?,
        };
        match code {
            0x23 => Received::decode_fields(reader).map(Self::Received),
            0x24 => reader.skip().map(|()| Self::Accepted),
            0x25 => Rejected::decode_fields(reader).map(Self::Rejected),
            0x26 => reader.skip().map(|()| Self::Released),
            0x27 => Modified::decode_fields(reader).map(Self::Modified),
            _ => {
                *reader = start;
                reader.value().map(Self::Other)
            }
        }
    }
}

impl Encode for DeliveryState {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Received(state) => state.encode(out),
            Self::Accepted => out.extend_from_slice(&[0x00, 0x53, 0x24, 0x45]),
            Self::Rejected(state) => state.encode(out),
            Self::Released => out.extend_from_slice(&[0x00, 0x53, 0x26, 0x45]),
            Self::Modified(state) => state.encode(out),
            Self::Other(value) => value.encode(out),
        }
    }
}

/// A performative of an AMQP frame.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Performative {
    Open(Box<Open>),
    Begin(Box<Begin>),
    Attach(Box<Attach>),
    Flow(Flow),
    Transfer(Transfer),
    Disposition(Disposition),
    Detach(Detach),
    End(End),
    Close(Close),
}

impl Performative {
    /// Reads a frame's performative. The payload is left in the reader.
    ///
    /// # Errors
    /// The performative does not decode, or its descriptor is unknown.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let code = reader.descriptor()?;
        Ok(match u8::try_from(code) {
            Ok(Transfer::CODE) => Self::Transfer(Transfer::decode_fields(reader)?),
            Ok(Disposition::CODE) => Self::Disposition(Disposition::decode_fields(reader)?),
            Ok(Flow::CODE) => Self::Flow(Flow::decode_fields(reader)?),
            Ok(Attach::CODE) => Self::Attach(Box::new(Attach::decode_fields(reader)?)),
            Ok(Detach::CODE) => Self::Detach(Detach::decode_fields(reader)?),
            Ok(Open::CODE) => Self::Open(Box::new(Open::decode_fields(reader)?)),
            Ok(Begin::CODE) => Self::Begin(Box::new(Begin::decode_fields(reader)?)),
            Ok(End::CODE) => Self::End(End::decode_fields(reader)?),
            Ok(Close::CODE) => Self::Close(Close::decode_fields(reader)?),
            _ => return Err(DecodeError::Descriptor(code)),
        })
    }

    /// Returns the performative's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Open(_) => "open",
            Self::Begin(_) => "begin",
            Self::Attach(_) => "attach",
            Self::Flow(_) => "flow",
            Self::Transfer(_) => "transfer",
            Self::Disposition(_) => "disposition",
            Self::Detach(_) => "detach",
            Self::End(_) => "end",
            Self::Close(_) => "close",
        }
    }
}

impl Encode for Performative {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Open(p) => p.encode(out),
            Self::Begin(p) => p.encode(out),
            Self::Attach(p) => p.encode(out),
            Self::Flow(p) => p.encode(out),
            Self::Transfer(p) => p.encode(out),
            Self::Disposition(p) => p.encode(out),
            Self::Detach(p) => p.encode(out),
            Self::End(p) => p.encode(out),
            Self::Close(p) => p.encode(out),
        }
    }
}
