//! A link on which the peer sends to an address.

use std::sync::Arc;

use crate::core::{Address, Watching};

/// A link on which the peer sends.
pub(in crate::net) struct Producer {
    /// The address of all its messages. Without one each message names its own.
    pub(super) to: Option<Arc<str>>,
    /// The router forwards messages as they arrive, whatever their size.
    pub(super) streaming: bool,
    /// The router sends released messages to another receiver.
    pub(super) resend: bool,
    /// The address's record, and a watch that tells whether the address has consumers.
    pub(super) watch: Option<(Arc<Address>, Watching)>,
    /// The most deliveries that may be open.
    pub(super) capacity: u32,
    /// The deliveries that are open.
    pub(super) open: u32,
    pub(super) supply: Supply,
}

/// The source of a link's credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Supply {
    /// The engine: the peer is a router.
    Engine,
    /// The router gives credit back as deliveries end.
    Open,
    /// None: the address has no consumer. The client may keep its credit, as with C routers: a
    /// consumer may come before it sends.
    Held,
    /// None, and the client must give back its credit.
    Draining,
}

impl Producer {
    /// Makes a link on which a router sends messages for an address.
    pub(in crate::net) fn of_router(address: &str, capacity: u32) -> Self {
        let supply = Supply::Engine;
        Self {
            to: Some(Arc::from(address)),
            streaming: false,
            resend: false,
            watch: None,
            capacity,
            open: 0,
            supply,
        }
    }

    /// Returns the address, and whether it has consumers, if it is watched.
    pub(in crate::net) fn reach(&self) -> Option<(&Address, bool)> {
        self.watch.as_ref().map(|(address, watch)| (&**address, watch.is_reachable()))
    }
}

/// The wishes of a peer for a link on which it sends.
#[derive(Default)]
pub(in crate::net) struct Wishes {
    /// The router shall forward messages as they arrive.
    pub(in crate::net) streaming: bool,
    /// The router shall send released messages to another receiver.
    pub(in crate::net) resend: bool,
    /// The peer is a router.
    pub(in crate::net) router: bool,
}
