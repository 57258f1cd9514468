//! Links: one direction of messages within a session.

use super::chain::Chain;
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
    /// The delivery-count at which the credit is used up, as last announced.
    pub(super) limit: u32,
    /// As receiver: the furthest limit ever announced. A peer that has not heard yet of a lower
    /// one may go as far.
    pub(super) promised: u32,
    /// As receiver: credit is brought back to this when half of it is used; 0 while the
    /// application counts itself.
    pub(super) capacity: u32,
    /// As receiver: the delivery whose transfers are arriving.
    pub(super) arriving: Option<IncomingKey>,
    /// As sender: the delivery whose transfers are being sent.
    pub(super) sending: Option<OutgoingKey>,
    /// As receiver: credit is being drained.
    pub(super) drain: bool,
    /// As sender: credit is given back once the delivery that has begun has its number.
    pub(super) gives_back: bool,
    /// Its deliveries that are incomplete or unsettled: as receiver the peer's, as sender ours.
    pub(super) deliveries: Chain,
}

/// More credit than this is as good as this: delivery-counts are compared as serial numbers (RFC
/// 1982).
pub(super) const MAX_CREDIT: u32 = i32::MAX as u32;

/// How far `to` is ahead of `from`, as serial numbers; 0 when it is behind.
pub(super) const fn ahead(to: u32, from: u32) -> u32 {
    let distance = to.wrapping_sub(from);
    if distance > i32::MAX as u32 { 0 } else { distance }
}

impl Link {
    /// Octets of memory that one takes beside its name: itself, with the room that a slab keeps for
    /// growth, and its places in the two tables of its session.
    pub(super) const TAKES: usize =
        2 * (size_of::<Option<Self>>() + 2 * size_of::<(u32, LinkKey)>() + 16);

    /// A link of which one end has attached. Deliveries are counted from 0.
    pub(super) const fn new(
        session: SessionKey,
        name: String,
        role: Role,
        local_handle: u32,
    ) -> Self {
        Self {
            session,
            name,
            role,
            local_handle,
            remote_handle: None,
            attach_sent: false,
            detach_sent: false,
            delivery_count: 0,
            limit: 0,
            promised: 0,
            capacity: 0,
            arriving: None,
            sending: None,
            drain: false,
            gives_back: false,
            deliveries: Chain::new(),
        }
    }

    /// Deliveries that may still be sent.
    pub(super) const fn credit(&self) -> u32 {
        ahead(self.limit, self.delivery_count)
    }

    /// As receiver: gives credit, counted from now.
    pub(super) fn grant(&mut self, credit: u32) {
        self.limit = self.delivery_count.wrapping_add(credit.min(MAX_CREDIT));
        if ahead(self.limit, self.promised) > 0 {
            self.promised = self.limit;
        }
    }

    /// As receiver: takes over the sender's delivery-count at the start; credit given before counts
    /// from there.
    pub(super) fn start_at(&mut self, delivery_count: u32) {
        let credit = self.credit();
        self.delivery_count = delivery_count;
        self.promised = delivery_count;
        self.grant(credit);
    }

    /// Whether frames of ours may name it: attached at both ends, and not detached here.
    pub(super) const fn is_attached(&self) -> bool {
        self.attach_sent && !self.detach_sent && self.remote_handle.is_some()
    }
}
