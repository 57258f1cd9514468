//! A link on which the peer sends to an address.

use std::sync::Arc;

use crate::core::{Address, Watching};

/// A link on which the peer sends.
pub(in crate::net) struct Producer {
    /// The address it is for; none: each message names its own.
    pub(super) to: Option<Arc<str>>,
    /// Messages are forwarded as they arrive, whatever their size.
    pub(super) streaming: bool,
    /// Messages go elsewhere when they are released.
    pub(super) resend: bool,
    /// Tells whether anybody consumes the address, and keeps the address's record.
    pub(super) watch: Option<(Arc<Address>, Watching)>,
    /// The most deliveries that may be open.
    pub(super) capacity: u32,
    /// Deliveries that are open.
    pub(super) open: u32,
    pub(super) supply: Supply,
}

/// Who keeps a link in credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Supply {
    /// The engine, as the peer is a router.
    Engine,
    /// This file: credit is given back as deliveries are over.
    Open,
    /// Nobody: nobody consumes the address. The credit that it has it may keep, as with C routers:
    /// somebody may come before it sends.
    Held,
    /// Nobody, and the credit that there was is to be given back.
    Draining,
}

impl Producer {
    /// Makes a link on which a router sends what is for an address.
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

    /// Returns the address it is for and whether anybody consumes that, if it is watched.
    pub(in crate::net) fn reach(&self) -> Option<(&Address, bool)> {
        self.watch.as_ref().map(|(address, watch)| (&**address, watch.is_reachable()))
    }
}

/// What a link on which the peer sends asked for.
#[derive(Default)]
pub(in crate::net) struct Wishes {
    /// Messages are to be forwarded as they arrive.
    pub(in crate::net) streaming: bool,
    /// Messages are to go elsewhere when they are released.
    pub(in crate::net) resend: bool,
    /// The peer is a router.
    pub(in crate::net) router: bool,
}
