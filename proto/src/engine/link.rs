//! The state of a link: one direction of messages within a session (part 2.6).
//!
//! # Attachment (parts 2.6.3 to 2.6.6)
//!
//! ```text
//!          attach()                        attach received
//!             |                                  |
//!             v                                  v
//!       +-----------+                      +----------+
//!       |  Invited  |                      | Received |
//!       +-----------+                      +----------+
//!         |      |  attach received   accept() |    |
//!         |      |                             |    |
//!         |      +---------->+----------+<-----+    |
//!         |                  | Attached |           |
//!         |                  +----------+           |
//!         | detach()              | detach()        | detach(): send attach and detach
//!         v                       v                 |
//!   +-----------+          +----------+             |
//!   | Withdrawn |--------->| Detached |<------------+
//!   +-----------+  attach  +----------+
//!                 received      | detach received
//!                               v
//!                           forgotten
//! ```
//!
//! A detach that arrives on a `Received` or `Attached` link is answered at once, and the link is
//! forgotten. The end of the session forgets a link in every state.
//!
//! # Sending (parts 2.6.7 and 2.6.12)
//!
//! ```text
//!                deliver()                  first transfer
//!     +------+            +-------+                          +---------+
//!  -->| Idle |----------->| Begun |------------------------->| Started |
//!     +------+            +-------+                          +---------+
//!       ^  ^     abort()      |  |   first transfer, the last      |
//!       |  +------------------+  |   as well                       | last transfer or abort
//!       +------------------------+---------------------------------+
//! ```

use super::chain::Chain;
use super::key::{IncomingKey, LinkKey, SessionKey};
use super::serial::ahead;
use crate::amqp::performative::Role;
use crate::amqp::terminus::{Source, Target};
use crate::amqp::{Fields, Multiple, Symbol};

/// An attach of this end, or its answer to the peer's (part 2.7.3).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AttachRequest {
    /// The link's name.
    pub name: String,
    /// The role of this end.
    pub role: Role,
    /// Where the link's messages come from.
    pub source: Option<Source>,
    /// Where the link's messages go.
    pub target: Option<Target>,
    /// 0 unsettled, 1 settled, 2 mixed.
    pub snd_settle_mode: u8,
    /// The largest message that this end takes, in bytes; 0: any.
    pub max_message_size: u64,
    /// Extensions of the link.
    pub offered_capabilities: Option<Multiple<Symbol>>,
    /// Properties of the link.
    pub properties: Option<Fields>,
}

/// A link at this end.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) session: SessionKey,
    pub(super) name: String,
    pub(super) local_handle: u32,
    pub(super) attachment: Attachment,
    pub(super) delivery_count: u32,
    /// The delivery-count at which the credit is used up, as last announced.
    pub(super) limit: u32,
    pub(super) end: LinkEnd,
    /// Incomplete or unsettled deliveries: the peer's at a receiver, ours at a sender.
    pub(super) deliveries: Chain,
}

/// Which ends of a link have attached and detached. A handle is the peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attachment {
    /// This end has sent attach. The peer's is awaited.
    Invited,
    /// The peer has attached. The application is to accept or refuse.
    Received(u32),
    /// Both ends have attached.
    Attached(u32),
    /// This end has sent attach and detach before the peer's attach arrived.
    Withdrawn,
    /// Both ends have attached and this end has sent detach. The peer's is awaited.
    Detached(u32),
}

/// The part of a link's state that depends on the role of this end.
#[derive(Debug)]
pub(super) enum LinkEnd {
    Receiver(ReceiverEnd),
    Sender(Sending),
}

/// The state of a receiver.
#[derive(Debug, Default)]
pub(super) struct ReceiverEnd {
    /// The furthest limit ever announced. A peer that has not heard of a lower one may go as far.
    pub(super) promised: u32,
    /// The credit is renewed up to this when half of it is used; 0 while the application counts
    /// itself.
    pub(super) capacity: u32,
    /// The sender is asked to use its credit or give it back.
    pub(super) drain: bool,
    /// The delivery whose transfers are arriving.
    pub(super) arriving: Option<IncomingKey>,
}

/// The state of a sender: the delivery that it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sending {
    /// No delivery has begun.
    Idle,
    /// A delivery has begun and its first transfer was not sent. It may be taken back.
    Begun {
        /// The application has given back the other credit. The peer is told behind the first
        /// transfer.
        drained: bool,
    },
    /// The first transfer was sent, the last was not.
    Started,
}

/// The most credit that is granted: delivery-counts are compared as serial numbers (RFC 1982).
pub(super) const MAX_CREDIT: u32 = i32::MAX as u32;

impl Attachment {
    /// Returns the peer's handle, once its attach has arrived.
    #[cfg(any(test, fuzzing))]
    pub(super) const fn remote_handle(self) -> Option<u32> {
        match self {
            Self::Received(handle) | Self::Attached(handle) | Self::Detached(handle) => {
                Some(handle)
            }
            Self::Invited | Self::Withdrawn => None,
        }
    }

    /// Returns the state after the peer's answer to an attach of ours.
    pub(super) const fn answered(self, handle: u32) -> Self {
        match self {
            Self::Invited => Self::Attached(handle),
            Self::Withdrawn => Self::Detached(handle),
            Self::Received(_) | Self::Attached(_) | Self::Detached(_) => self,
        }
    }

    /// Returns the state after this end's detach.
    pub(super) const fn left(self) -> Self {
        match self {
            Self::Invited | Self::Withdrawn => Self::Withdrawn,
            Self::Received(handle) | Self::Attached(handle) | Self::Detached(handle) => {
                Self::Detached(handle)
            }
        }
    }

    /// Whether this end has detached.
    pub(super) const fn is_detached(self) -> bool {
        matches!(self, Self::Withdrawn | Self::Detached(_))
    }
}

impl Link {
    /// Bytes of memory that a link takes beside its name: itself, with the space that a slab keeps
    /// for growth, and its entries in the two tables of its session.
    pub(super) const TAKES: usize =
        2 * (size_of::<Option<Self>>() + 2 * size_of::<(u32, LinkKey)>() + 16);

    /// Makes a link in a role of this end. Deliveries are counted from 0.
    pub(super) const fn new(
        session: SessionKey,
        name: String,
        role: Role,
        local_handle: u32,
        attachment: Attachment,
    ) -> Self {
        let end = match role {
            Role::Receiver => LinkEnd::Receiver(ReceiverEnd {
                promised: 0,
                capacity: 0,
                drain: false,
                arriving: None,
            }),
            Role::Sender => LinkEnd::Sender(Sending::Idle),
        };
        Self {
            session,
            name,
            local_handle,
            attachment,
            delivery_count: 0,
            limit: 0,
            end,
            deliveries: Chain::new(),
        }
    }

    /// Returns the role of this end.
    pub(super) const fn role(&self) -> Role {
        match self.end {
            LinkEnd::Receiver(_) => Role::Receiver,
            LinkEnd::Sender(_) => Role::Sender,
        }
    }

    /// Returns how many deliveries may still be sent.
    pub(super) const fn credit(&self) -> u32 {
        ahead(self.limit, self.delivery_count)
    }

    /// As receiver: gives credit, counted from the current delivery-count.
    pub(super) fn grant(&mut self, credit: u32) {
        self.limit = self.delivery_count.wrapping_add(credit.min(MAX_CREDIT));
        if let LinkEnd::Receiver(end) = &mut self.end
            && ahead(self.limit, end.promised) > 0
        {
            end.promised = self.limit;
        }
    }

    /// As receiver: counts a delivery that begins to arrive. Returns whether that renewed the
    /// credit; `None` if the sender had no credit.
    pub(super) fn use_credit(&mut self) -> Option<bool> {
        let LinkEnd::Receiver(end) = &self.end else { return None };
        let capacity = end.capacity;
        if ahead(end.promised, self.delivery_count) == 0 {
            return None;
        }
        self.delivery_count = self.delivery_count.wrapping_add(1);
        let renewed = capacity > 0 && self.credit() <= capacity / 2;
        if renewed {
            self.grant(capacity);
        }
        Some(renewed)
    }

    /// As receiver: takes over the sender's delivery-count from its attach. Credit given before
    /// counts from there.
    pub(super) fn start_at(&mut self, delivery_count: u32) {
        let credit = self.credit();
        self.delivery_count = delivery_count;
        if let LinkEnd::Receiver(end) = &mut self.end {
            end.promised = delivery_count;
        }
        self.grant(credit);
    }

    /// As receiver: follows the sender's delivery-count, which moves on without deliveries when the
    /// sender gives credit back (part 2.6.7).
    pub(super) fn follow(&mut self, count: u32) {
        let LinkEnd::Receiver(end) = &mut self.end else { return };
        let given_back = ahead(count, self.delivery_count);
        if given_back <= ahead(end.promised, self.delivery_count) {
            self.delivery_count = self.delivery_count.wrapping_add(given_back);
        }
        if ahead(self.limit, self.delivery_count) == 0 {
            end.drain = false;
        }
    }

    /// Whether frames of this end may name the link: both ends have attached, and this end has not
    /// detached.
    pub(super) const fn is_attached(&self) -> bool {
        matches!(self.attachment, Attachment::Attached(_))
    }

    /// Returns the state of a receiver.
    pub(super) const fn receiver_mut(&mut self) -> Option<&mut ReceiverEnd> {
        match &mut self.end {
            LinkEnd::Receiver(end) => Some(end),
            LinkEnd::Sender(_) => None,
        }
    }

    /// As receiver: whether the sender is asked to use its credit or give it back.
    pub(super) const fn is_draining(&self) -> bool {
        matches!(self.end, LinkEnd::Receiver(ReceiverEnd { drain: true, .. }))
    }

    /// As sender: whether the application has given back its credit before the first transfer of a
    /// delivery.
    pub(super) const fn is_drained(&self) -> bool {
        matches!(self.end, LinkEnd::Sender(Sending::Begun { drained: true }))
    }

    /// Returns the delivery-count and the credit that the peer is told. A delivery that may be
    /// taken back does not count.
    pub(super) const fn told_count(&self) -> (u32, u32) {
        let taken_back = matches!(self.end, LinkEnd::Sender(Sending::Begun { .. }));
        let count = self.delivery_count.wrapping_sub(taken_back as u32);
        (count, ahead(self.limit, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receiver(capacity: u32) -> Link {
        let session = SessionKey(0);
        let mut link = Link::new(session, String::new(), Role::Receiver, 0, Attachment::Invited);
        link.receiver_mut().expect("a receiver").capacity = capacity;
        link.grant(capacity);
        link
    }

    #[test]
    fn attach_and_detach_cross_in_any_order() {
        let attached = Attachment::Invited.answered(7);
        assert_eq!(attached, Attachment::Attached(7));
        assert_eq!(attached.left(), Attachment::Detached(7));
        let withdrawn = Attachment::Invited.left();
        assert_eq!(withdrawn, Attachment::Withdrawn);
        assert_eq!(withdrawn.answered(7), Attachment::Detached(7));
        assert_eq!(Attachment::Received(7).left(), Attachment::Detached(7));
        assert_eq!(withdrawn.left(), Attachment::Withdrawn);
        assert!(withdrawn.is_detached() && !attached.is_detached());
    }

    #[test]
    fn credit_is_renewed_once_half_of_it_is_used() {
        let mut link = receiver(4);
        assert_eq!(link.use_credit(), Some(false));
        assert_eq!((link.use_credit(), link.credit()), (Some(true), 4));
    }

    #[test]
    fn a_sender_may_use_credit_that_was_taken_back_since() {
        let mut link = receiver(0);
        link.grant(2);
        link.grant(0);
        assert_eq!([link.use_credit(), link.use_credit()], [Some(false); 2]);
        assert_eq!(link.use_credit(), None);
    }

    #[test]
    fn a_count_beyond_the_promised_credit_is_not_followed() {
        let mut link = receiver(3);
        link.follow(4);
        assert_eq!(link.delivery_count, 0);
        link.follow(3);
        assert_eq!((link.delivery_count, link.credit()), (3, 0));
    }

    #[test]
    fn a_delivery_that_may_be_taken_back_is_not_told() {
        let session = SessionKey(0);
        let mut link = Link::new(session, String::new(), Role::Sender, 0, Attachment::Attached(1));
        (link.limit, link.delivery_count) = (5, 1);
        assert_eq!(link.told_count(), (1, 4));
        link.end = LinkEnd::Sender(Sending::Begun { drained: false });
        assert_eq!(link.told_count(), (0, 5));
    }
}
