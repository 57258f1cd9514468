//! Sessions: windows, handles and delivery numbers.

use core::time::Duration;
use std::collections::HashMap;

use slab::Slab;

use super::delivery::{IncomingKey, OutgoingKey};
use super::link::LinkKey;
use super::unsettled::{Numbered, Sent};
use crate::amqp::performative::Role;
use crate::time::Instant;

/// A window that is used up sooner than this is doubled, and one that lasts longer than that is
/// halved: between them lies what may be on its way, which so never takes much more than a second.
const QUICK: Duration = Duration::from_millis(500);
const SLOW: Duration = Duration::from_secs(1);

/// A session of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey(pub u16);

/// State of a session.
#[derive(Debug)]
pub(super) struct Session {
    /// The channel we send on.
    pub(super) channel: u16,
    /// The channel the peer sends on, once it has begun.
    pub(super) remote_channel: Option<u16>,
    pub(super) end_sent: bool,
    /// What we announced in begin, in transfers; brought back to this when half of it is used.
    pub(super) window: u32,
    /// When it was brought back last, and the time before.
    brought_back: (Instant, Instant),
    pub(super) incoming_window: u32,
    /// The application has enough for now: the window is left to close.
    pub(super) held: bool,
    pub(super) next_incoming_id: u32,
    pub(super) next_outgoing_id: u32,
    pub(super) remote_incoming_window: u32,
    /// What the peer announced in begin: as much as it takes when it holds nothing.
    pub(super) remote_window: u32,
    /// The peer was asked what it holds; its answer counts from this transfer on.
    pub(super) asked: Option<u32>,
    pub(super) remote_handle_max: u32,
    /// A sender found the peer's window closed.
    pub(super) blocked: bool,
    pub(super) handles: Slab<LinkKey>,
    pub(super) remote_handles: HashMap<u32, LinkKey>,
    /// Links by name and our role, until both ends are attached.
    pub(super) attaching: HashMap<(String, Role), LinkKey>,
    pub(super) next_delivery_id: u32,
    /// The peer's deliveries that it has not settled.
    pub(super) incoming: Numbered<IncomingKey>,
    /// Ours that are not settled at either end.
    pub(super) outgoing: Sent<OutgoingKey>,
    /// The delivery-id that the peer's next new delivery must have, once it has sent one.
    pub(super) expected_delivery_id: Option<u32>,
}

impl Session {
    /// Octets of memory that one takes: itself, with the room that a slab keeps for growth, and the
    /// first places of its tables.
    pub(super) const TAKES: usize = 2 * size_of::<Option<Self>>() + 512;

    pub(super) fn new(channel: u16, window: u32) -> Self {
        Self {
            channel,
            remote_channel: None,
            end_sent: false,
            window,
            brought_back: Default::default(),
            incoming_window: window,
            held: false,
            next_incoming_id: 0,
            next_outgoing_id: 0,
            remote_incoming_window: 0,
            remote_window: 0,
            asked: None,
            remote_handle_max: u32::MAX,
            blocked: false,
            handles: Slab::new(),
            remote_handles: HashMap::new(),
            attaching: HashMap::new(),
            next_delivery_id: 0,
            incoming: Numbered::new(),
            outgoing: Sent::new(),
            expected_delivery_id: None,
        }
    }

    /// Half of the window is used and it is brought back. With limits, it becomes what the peer
    /// sends in about a second.
    pub(super) fn bring_back(&mut self, limits: Option<(u32, u32)>, now: Instant) {
        if let Some((least, most)) = limits {
            let whole = now.since(self.brought_back.0);
            self.brought_back = (self.brought_back.1, now);
            if whole < QUICK {
                self.window = self.window.saturating_mul(2).min(most);
            } else if whole > SLOW {
                self.window = (self.window / 2).max(least);
            }
        }
        self.incoming_window = self.window;
    }
}
