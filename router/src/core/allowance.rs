//! How many addresses the network is told of for clients.
//!
//! Other routers keep at most [`MAX_ADDRESSES`] and [`MAX_ADDRESS_OCTETS`] of one router. Services
//! are to fit in there whatever clients do, so all clients together have a part of it.

use skupper_proto::mobile::{MAX_ADDRESS_OCTETS, MAX_ADDRESSES};

/// Addresses that the clients of a router may consume together: three quarters of what other
/// routers take.
pub const CLIENT_ADDRESSES: usize = MAX_ADDRESSES / 4 * 3;

/// Octets of these addresses: three quarters of what other routers take.
pub const CLIENT_ADDRESS_OCTETS: usize = MAX_ADDRESS_OCTETS / 4 * 3;

/// Addresses in use, of as many as may be.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    addresses: usize,
    octets: usize,
}

impl Allowance {
    /// So many addresses, with so many octets together.
    pub const fn new(addresses: usize, octets: usize) -> Self {
        Self { addresses, octets }
    }

    /// Whether one more address of so many octets may be used.
    pub const fn has_room(&self, octets: usize) -> bool {
        self.addresses > 0 && self.octets >= octets
    }

    /// One more address is used. Returns whether it may be.
    pub const fn take(&mut self, octets: usize) -> bool {
        let may = self.has_room(octets);
        if may {
            self.addresses -= 1;
            self.octets -= octets;
        }
        may
    }

    /// An address that was taken is used no more.
    pub const fn give_back(&mut self, octets: usize) {
        self.addresses += 1;
        self.octets += octets;
    }
}
