//! Sources and targets of links (part 3.5).

use super::composite::composite;
use super::decode::{Decode, DecodeError, Reader, field};
use super::encode::{self, Encode};
use super::types::{Fields, Multiple, Symbol, Value};

composite! {
    /// Where the messages of a link come from (part 3.5.3).
    Source = 0x28 {
        /// The node's address; absent: anonymous, or to be made when `dynamic`.
        address: String;
        /// Terminus durability: 0 none.
        durable: u32;
        /// When the terminus expires.
        expiry_policy: Symbol;
        /// Seconds until it expires.
        timeout: u32;
        /// The peer is to make a node.
        dynamic: bool;
        /// Properties of the node to be made.
        dynamic_node_properties: Fields;
        /// `move` or `copy`.
        distribution_mode: Symbol;
        /// Filters.
        filter: Value;
        /// The outcome of deliveries that are settled without one.
        default_outcome: Value;
        /// Outcomes that can be chosen on this link.
        outcomes: Multiple<Symbol>;
        /// Extensions of the terminus; the router's link kinds are such.
        capabilities: Multiple<Symbol>;
    }
    /// Where the messages of a link go (part 3.5.4).
    MessageTarget = 0x29 {
        /// The node's address; absent: the anonymous terminus, or to be made when `dynamic`.
        address: String;
        /// Terminus durability: 0 none.
        durable: u32;
        /// When the terminus expires.
        expiry_policy: Symbol;
        /// Seconds until it expires.
        timeout: u32;
        /// The peer is to make a node.
        dynamic: bool;
        /// Properties of the node to be made.
        dynamic_node_properties: Fields;
        /// Extensions of the terminus; the router's link kinds are such.
        capabilities: Multiple<Symbol>;
    }
}

/// A target: a node, or a kind that this router does not know, such as a transaction coordinator.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// A node.
    Message(MessageTarget),
    /// Another kind of target, as it came.
    Other(Value),
}

impl Target {
    /// Returns the target if it is a node.
    pub const fn message(&self) -> Option<&MessageTarget> {
        match self {
            Self::Message(target) => Some(target),
            Self::Other(_) => None,
        }
    }
}

impl Decode for Source {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.descriptor()? {
            0x28 => Self::decode_fields(reader),
            other => Err(DecodeError::Descriptor(other)),
        }
    }
}

impl Decode for Target {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = reader.clone();
        if let Ok(0x29) = reader.descriptor() {
            return MessageTarget::decode_fields(reader).map(Self::Message);
        }
        *reader = start;
        reader.value().map(Self::Other)
    }
}

impl Encode for Target {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Message(target) => target.encode(out),
            Self::Other(value) => value.encode(out),
        }
    }
}
