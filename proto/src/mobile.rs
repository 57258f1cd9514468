//! Which router serves which address: MAU and MAR.
//!
//! Each router numbers the changes of the addresses that it serves. It floods each change (a
//! differential MAU) under the next number, then an RA with that number. A router that misses a
//! number asks (MAR) for all addresses (an absolute MAU).
//!
//! The protocol is that of C routers. This machine knows no paths;
//! [`RoutingProtocol`](crate::routing::RoutingProtocol) composes it with the topology's.
//!
//! | file | subject |
//! | --- | --- |
//! | `machine` | the state machine: when to announce, ask and answer |
//! | `announcement` | this router's addresses as it announces them, and which are left out |
//! | `remote` | another router's addresses, and which of its messages are believed |
//! | `message` | MAU and MAR on the wire |
//! | `digest`, `event` | a sum over all addresses; what the machine reports |

mod announcement;
mod digest;
mod event;
mod machine;
pub mod message;
mod remote;
#[cfg(test)]
mod tests;

pub use announcement::Rank;
pub(crate) use event::{MobileEvent, Source};
pub(crate) use machine::Mobile;
pub use message::{Attributes, MAX_ADDRESSES};

/// The most bytes of address keys that are kept of one router, and announced. An address seldom has
/// more than 64 bytes.
pub const MAX_ADDRESS_OCTETS: usize = 4 * 1024 * 1024;

/// The most addresses that are kept of all routers together; an address that several serve counts
/// for each. What one neighbor tells takes half of them at most: as many as are kept of one router.
/// An address takes 0.3 KiB here and, with what the core keeps of it, 1 KiB in all: 128 MiB if all
/// places are filled.
pub const MAX_TOTAL_ADDRESSES: usize = 2 * MAX_ADDRESSES;

/// The most bytes of address keys that are kept of all routers together.
pub const MAX_TOTAL_ADDRESS_OCTETS: usize = 2 * MAX_ADDRESS_OCTETS;
