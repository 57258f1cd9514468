//! Links: one direction of messages within a session.

use super::delivery::{IncomingKey, OutgoingKey};
use super::session::SessionKey;
use crate::amqp::performative::Role;
use crate::amqp::terminus::{Source, Target};
use crate::amqp::{Fields, Multiple, Symbol};

/// A link of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkKey(pub u32);

/// What an attach of ours says, or the answer to the peer's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AttachRequest {
    /// The link's name.
    pub name: String,
    /// Which end we are.
    pub role: Role,
    /// Where its messages come from.
    pub source: Option<Source>,
    /// Where its messages go.
    pub target: Option<Target>,
    /// 0 unsettled, 1 settled, 2 mixed.
    pub snd_settle_mode: u8,
    /// The largest message we take, in octets; 0: any.
    pub max_message_size: u64,
    /// Extensions of the link.
    pub offered_capabilities: Option<Multiple<Symbol>>,
    /// Properties of the link.
    pub properties: Option<Fields>,
}

/// State of a link.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) session: SessionKey,
    pub(super) name: String,
    /// Our end.
    pub(super) role: Role,
    pub(super) local_handle: u32,
    pub(super) remote_handle: Option<u32>,
    /// We have sent an attach.
    pub(super) attach_sent: bool,
    pub(super) detach_sent: bool,
    pub(super) delivery_count: u32,
    pub(super) credit: u32,
    /// As receiver: credit is brought back to this when half of it is used; 0 while the application counts itself.
    pub(super) capacity: u32,
    /// As receiver: the delivery whose transfers are arriving.
    pub(super) arriving: Option<IncomingKey>,
    /// As sender: the delivery whose transfers are being sent.
    pub(super) sending: Option<OutgoingKey>,
    /// As receiver: credit is being drained.
    pub(super) drain: bool,
}
