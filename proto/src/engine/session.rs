//! The state of a session: channels, windows, handles and delivery numbers (part 2.5).
//!
//! The states of part 2.5.5 that last. An end and a begin of the peer's are answered at once.
//!
//! ```text
//!         begin()                        begin received: send begin
//!            |                                       |
//!            v                                       v
//!      +-----------+       begin received       +--------+
//!      | BeginSent |--------------------------->| Mapped |
//!      +-----------+                            +--------+
//!            | end(): send end                    |    |  end received: send end
//!            v                                    |    +------------------------+
//!      +-----------+        end(), or a violation |                             |
//!      | Abandoned |                     send end |                             |
//!      +-----------+                              v                             v
//!            |             begin received   +------------+  end received
//!            +----------------------------->| Discarding |----------------> forgotten
//!                                           +------------+
//! ```
//!
//! Links attach in `BeginSent` and `Mapped`. In `Discarding` every frame but end is dropped.

use std::collections::HashMap;

use slab::Slab;

use super::key::{IncomingKey, LinkKey, OutgoingKey};
use super::unsettled::{Numbered, Sent};
use super::windows::{IncomingWindow, OutgoingWindow};
use crate::amqp::performative::{Begin, Role};

/// A session at this end.
#[derive(Debug)]
pub(super) struct Session {
    /// The channel that this end sends on.
    pub(super) channel: u16,
    pub(super) mapping: Mapping,
    pub(super) incoming_window: IncomingWindow,
    pub(super) outgoing_window: OutgoingWindow,
    pub(super) handles: Slab<LinkKey>,
    pub(super) remote_handles: HashMap<u32, LinkKey>,
    pub(super) remote_handle_max: u32,
    /// Links by name and role of this end, until both ends are attached.
    pub(super) attaching: HashMap<(String, Role), LinkKey>,
    pub(super) next_delivery_id: u32,
    /// The peer's deliveries that it has not settled.
    pub(super) incoming: Numbered<IncomingKey>,
    /// Our deliveries that neither end has settled.
    pub(super) outgoing: Sent<OutgoingKey>,
    /// The delivery-id that the peer's next new delivery must have, once it has sent one.
    pub(super) expected_delivery_id: Option<u32>,
}

/// Which ends have begun and ended a session. A channel is the peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mapping {
    /// This end has sent begin. The peer's is awaited.
    BeginSent,
    /// Both ends have begun.
    Mapped(u16),
    /// This end has sent begin and end before the peer's begin arrived.
    Abandoned,
    /// Both ends have begun and this end has sent end. The peer's is awaited.
    Discarding(u16),
}

impl Mapping {
    /// Returns the channel that the peer sends on, once it has begun.
    pub(super) const fn remote_channel(self) -> Option<u16> {
        match self {
            Self::Mapped(channel) | Self::Discarding(channel) => Some(channel),
            Self::BeginSent | Self::Abandoned => None,
        }
    }

    /// Whether this end has sent end.
    pub(super) const fn is_ended(self) -> bool {
        matches!(self, Self::Abandoned | Self::Discarding(_))
    }

    /// Returns the state after the peer's begin.
    const fn begun(self, channel: u16) -> Self {
        match self {
            Self::BeginSent | Self::Mapped(_) => Self::Mapped(channel),
            Self::Abandoned | Self::Discarding(_) => Self::Discarding(channel),
        }
    }

    /// Returns the state after the end of this end.
    const fn ended(self) -> Self {
        match self {
            Self::BeginSent | Self::Abandoned => Self::Abandoned,
            Self::Mapped(channel) | Self::Discarding(channel) => Self::Discarding(channel),
        }
    }
}

impl Session {
    /// Bytes of memory that a session takes: itself, with the space that a slab keeps for growth,
    /// and the first entries of its tables.
    pub(super) const TAKES: usize = 2 * size_of::<Option<Self>>() + 512;

    /// Makes a session that the peer has not begun.
    pub(super) fn new(channel: u16, window: u32) -> Self {
        Self {
            channel,
            mapping: Mapping::BeginSent,
            incoming_window: IncomingWindow::new(window),
            outgoing_window: OutgoingWindow::new(),
            handles: Slab::new(),
            remote_handles: HashMap::new(),
            remote_handle_max: u32::MAX,
            attaching: HashMap::new(),
            next_delivery_id: 0,
            incoming: Numbered::new(),
            outgoing: Sent::new(),
            expected_delivery_id: None,
        }
    }

    /// Whether this end has sent end.
    pub(super) const fn is_ended(&self) -> bool {
        self.mapping.is_ended()
    }

    /// Takes over what the peer's begin says (part 2.7.2).
    pub(super) fn begun(&mut self, channel: u16, begin: &Begin) {
        self.mapping = self.mapping.begun(channel);
        self.incoming_window.next_id = begin.next_outgoing_id;
        self.outgoing_window.begin(begin.incoming_window);
        self.remote_handle_max = begin.handle_max.unwrap_or(u32::MAX);
    }

    /// Notes that this end sends end.
    pub(super) const fn ended(&mut self) {
        self.mapping = self.mapping.ended();
    }

    /// Takes the delivery-id of a delivery that the peer begins. Fails with the id that was
    /// expected (part 2.6.12).
    pub(super) fn begin_delivery(&mut self, id: u32) -> Result<(), u32> {
        if let Some(expected) = self.expected_delivery_id.filter(|expected| *expected != id) {
            return Err(expected);
        }
        self.expected_delivery_id = Some(id.wrapping_add(1));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn begin_and_end_cross_in_any_order() {
        let mapped = Mapping::BeginSent.begun(3);
        assert_eq!(mapped, Mapping::Mapped(3));
        assert_eq!(mapped.ended(), Mapping::Discarding(3));
        let abandoned = Mapping::BeginSent.ended();
        assert_eq!(abandoned, Mapping::Abandoned);
        assert_eq!(abandoned.begun(3), Mapping::Discarding(3));
        assert!(abandoned.is_ended() && !mapped.is_ended());
        assert_eq!((abandoned.remote_channel(), mapped.remote_channel()), (None, Some(3)));
    }

    #[test]
    fn delivery_ids_follow_each_other_from_any_first_one() {
        let mut session = Session::new(0, 1);
        assert_eq!(session.begin_delivery(u32::MAX), Ok(()));
        assert_eq!(session.begin_delivery(5), Err(0));
        assert_eq!(session.begin_delivery(0), Ok(()));
    }
}
