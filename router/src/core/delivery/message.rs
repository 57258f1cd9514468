//! The part of a message that is known before its body.

use std::sync::Arc;

use bytes::Bytes;
use skupper_proto::amqp::performative::DeliveryState;

use super::super::edge_connection::EdgeConnection;

/// A message without its body.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// The router annotations as they came; empty when the message begins its way here.
    pub annotations: Bytes,
    /// The sections from the header to the start of the body, as they go out.
    pub sections: Bytes,
    /// To be forwarded while it arrives, on a link of its own.
    pub streaming: bool,
    /// The sender has settled it.
    pub presettled: bool,
    /// 0 to 9.
    pub priority: u8,
    /// Its producer is in this process and speaks no AMQP: the consumer counts its outcome and
    /// settles it.
    pub internal: bool,
    /// Its receiver acknowledges bytes, and its sender keeps a window by that, as with the streams
    /// of a service connection.
    pub windowed: bool,
    /// Its sender hears when the receiver allows more than the window: it comes from a router of
    /// ours.
    pub extensible: bool,
    /// Its sender wants it sent elsewhere when it is released.
    pub resend: bool,
    /// The address of the link it came by, which goes before its own `to` on the way.
    pub to_override: Option<Arc<str>>,
    /// The edge connection that it came by.
    pub edge: Option<Arc<EdgeConnection>>,
    /// Its state at the sender, in the terms of an extension, as it came with the message.
    pub state: Option<Box<DeliveryState>>,
    /// The number of the connection that it came by.
    pub connection: Option<u64>,
}

impl Message {
    /// Returns how many bytes the head takes.
    pub(super) fn head(&self) -> usize {
        self.annotations.len() + self.sections.len()
    }
}
