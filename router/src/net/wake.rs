//! The names by which a connection's task is woken.
//!
//! The core wakes a task through its mailbox with a number of 32 bits. This file alone knows how a
//! [`Wake`] is packed into it:
//!
//! ```text
//! 1iii iiii iiii iiii iiii iiii iiii iiii   a delivery that arrives: its key in the engine
//! 01ll llll llll llll llll llll llll llll   a link on which the peer sends: its key in the engine
//! 0111 1111 1111 1111 1111 1111 1111 1111   the edge connection itself: no link has this key
//! 00ss ssss ssss ssss ssss ssss ssss ssss   a delivery that leaves: its slot
//! ```

use skupper_proto::engine::{IncomingKey, LinkKey};

/// The reason for which a connection's task is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wake {
    /// The consumer of a delivery that arrives here has done something.
    Incoming(IncomingKey),
    /// The producer of a delivery that leaves here has done something.
    Outgoing(u32),
    /// The consumers of an address that the peer sends to by this link may have changed.
    Producer(LinkKey),
    /// The core's view of the edge connection has changed.
    Edge,
}

const INCOMING: u32 = 1 << 31;
const PRODUCER: u32 = 1 << 30;
const EDGE: u32 = INCOMING - 1;

impl From<Wake> for u32 {
    fn from(wake: Wake) -> Self {
        match wake {
            Wake::Incoming(key) => INCOMING | key.0,
            Wake::Producer(link) => PRODUCER | link.0,
            Wake::Edge => EDGE,
            Wake::Outgoing(slot) => slot,
        }
    }
}

impl From<u32> for Wake {
    fn from(packed: u32) -> Self {
        match packed {
            EDGE => Self::Edge,
            _ if packed & INCOMING != 0 => Self::Incoming(IncomingKey(packed & !INCOMING)),
            _ if packed & PRODUCER != 0 => Self::Producer(LinkKey(packed & !PRODUCER)),
            slot => Self::Outgoing(slot),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wakes() -> impl Strategy<Value = Wake> {
        prop_oneof![
            Just(Wake::Edge),
            (0..INCOMING).prop_map(|key| Wake::Incoming(IncomingKey(key))),
            (0..PRODUCER - 1).prop_map(|link| Wake::Producer(LinkKey(link))),
            (0..PRODUCER).prop_map(Wake::Outgoing),
        ]
    }

    proptest! {
        #[test]
        fn unpacking_restores_what_was_packed(wake in wakes()) {
            prop_assert_eq!(Wake::from(u32::from(wake)), wake);
        }
    }
}
