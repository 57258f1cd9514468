//! AMQP 1.0 on the wire (OASIS AMQP 1.0, parts 1 to 3 and 5): types, codec, frames, performatives,
//! SASL, message sections.
//!
//! It follows the OASIS standard, whose sections are cited as "part 2.7.1". Nothing here holds
//! state between two frames: the [`engine`](crate::engine) does. Everything here is strict about
//! limits, for the bytes may come from a hostile peer: values take memory in proportion to their
//! bytes. It is lenient where peers differ in form.

mod composite;
pub mod decode;
pub mod encode;
pub mod frame;
pub mod message;
pub mod performative;
pub mod sasl;
pub mod show;
pub mod terminus;
#[cfg(test)]
mod tests;
mod types;

pub use decode::{DecodeError, Reader};
pub use encode::Encode;
pub use types::{Fields, Multiple, Symbol, Value};

/// AMQP error conditions (part 2.8.14 to 2.8.18) and the router's own.
pub mod condition {
    /// An internal error occurred.
    pub const INTERNAL_ERROR: &str = "amqp:internal-error";
    /// The peer worked with a remote entity that does not exist.
    pub const NOT_FOUND: &str = "amqp:not-found";
    /// The peer may not do what it tried.
    pub const UNAUTHORIZED_ACCESS: &str = "amqp:unauthorized-access";
    /// Data could not be decoded.
    pub const DECODE_ERROR: &str = "amqp:decode-error";
    /// A peer used more than it was given.
    pub const RESOURCE_LIMIT_EXCEEDED: &str = "amqp:resource-limit-exceeded";
    /// The peer tried to use a frame in a manner that is inconsistent with the protocol's state.
    pub const NOT_ALLOWED: &str = "amqp:not-allowed";
    /// An invalid field was passed in a frame body.
    pub const INVALID_FIELD: &str = "amqp:invalid-field";
    /// The operation is not implemented.
    pub const NOT_IMPLEMENTED: &str = "amqp:not-implemented";
    /// A condition of the request does not hold.
    pub const PRECONDITION_FAILED: &str = "amqp:precondition-failed";
    /// An operator intervened to close the connection.
    pub const CONNECTION_FORCED: &str = "amqp:connection:forced";
    /// A valid frame header cannot be formed from the incoming bytes.
    pub const FRAMING_ERROR: &str = "amqp:connection:framing-error";
    /// The security layer that is asked for is missing.
    pub const POLICY_ERROR: &str = "amqp:connection:policy-error";
    /// The peer sent more transfers than the session's incoming window holds.
    pub const WINDOW_VIOLATION: &str = "amqp:session:window-violation";
    /// A delivery-id out of sequence. The specification has no such condition; C routers use it.
    pub const SESSION_INVALID_FIELD: &str = "amqp:session:invalid-field";
    /// Input was received for a link that was detached.
    pub const ERRANT_LINK: &str = "amqp:session:errant-link";
    /// An attach used a handle that is in use.
    pub const HANDLE_IN_USE: &str = "amqp:session:handle-in-use";
    /// A frame referred to a handle that is not attached.
    pub const UNATTACHED_HANDLE: &str = "amqp:session:unattached-handle";
    /// The peer sent more messages than the link's credit allows.
    pub const TRANSFER_LIMIT_EXCEEDED: &str = "amqp:link:transfer-limit-exceeded";
    /// The peer sent a larger message than the link supports.
    pub const MESSAGE_SIZE_EXCEEDED: &str = "amqp:link:message-size-exceeded";
    /// No route to the destination node.
    pub const NO_ROUTE_TO_DESTINATION: &str = "qd:no-route-to-dest";
    /// The connection's role does not carry this link.
    pub const FORBIDDEN: &str = "qd:forbidden";
    /// Link attach forbidden on an inter-router connection.
    pub const CONNECTION_ROLE: &str = "qd:connection-role";
}
