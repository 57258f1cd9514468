//! The events of the machine of addresses, and the sources of its messages.

use super::message::{Attributes, Mar, Mau};
use crate::address::AddressKey;
use crate::topology::{LinkId, RouterIndex, Word};

/// An event of the machine.
#[derive(Debug)]
pub(crate) enum MobileEvent {
    /// A change of this router's addresses, for every router; then its number for the RA.
    Changed(Mau),
    /// A message for one router.
    Whole(RouterIndex, Mau),
    Request(RouterIndex, Mar),
    Added(RouterIndex, AddressKey, Attributes),
    Updated(RouterIndex, AddressKey, Attributes),
    Removed(RouterIndex, AddressKey),
    /// Not all addresses of a router are kept, or announced if it is this router.
    TooMany(RouterIndex),
}

/// The source of a MAU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    /// The control link.
    pub(crate) via: LinkId,
    /// The router that speaks.
    pub(crate) word: Word,
    /// Whether it came by the path that changes of its router take.
    pub(crate) on_tree: bool,
}
