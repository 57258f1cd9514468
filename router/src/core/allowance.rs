//! The budget of addresses that this router announces for clients.
//!
//! Other routers keep at most [`MAX_ADDRESSES`] and [`MAX_ADDRESS_OCTETS`] of one router. Services
//! must fit in whatever clients do, so all clients together have a part of it.

use skupper_proto::mobile::{MAX_ADDRESS_OCTETS, MAX_ADDRESSES};

/// Addresses that the clients of a router may consume together: three quarters of what other
/// routers take.
pub const CLIENT_ADDRESSES: usize = MAX_ADDRESSES / 4 * 3;

/// Bytes of these addresses: three quarters of what other routers take.
pub const CLIENT_ADDRESS_OCTETS: usize = MAX_ADDRESS_OCTETS / 4 * 3;

/// The addresses that may still be taken.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    addresses: usize,
    octets: usize,
}

impl Allowance {
    /// Makes a budget of so many addresses, with so many bytes together.
    pub const fn new(addresses: usize, octets: usize) -> Self {
        Self { addresses, octets }
    }

    /// Returns whether an address of so many bytes may be taken.
    pub const fn has_room(&self, octets: usize) -> bool {
        self.addresses > 0 && self.octets >= octets
    }

    /// Takes an address of so many bytes. Returns whether there was room.
    pub const fn take(&mut self, octets: usize) -> bool {
        let may = self.has_room(octets);
        if may {
            self.addresses -= 1;
            self.octets -= octets;
        }
        may
    }

    /// Gives an address of so many bytes back.
    pub const fn give_back(&mut self, octets: usize) {
        self.addresses += 1;
        self.octets += octets;
    }
}
