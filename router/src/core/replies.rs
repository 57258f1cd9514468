//! Reply addresses: `_topo/0/<us>/reply.<shard and slot><nonce>`, found without the table.

use std::sync::Arc;

use slab::Slab;

use super::endpoint::Endpoint;
use crate::lock::Mutex;

type Entries = Mutex<Slab<(u64, Arc<dyn Endpoint>)>>;

/// Endpoints that wait for an answer, by shard, slot and nonce. Each shard has a lock.
#[derive(Debug)]
pub struct Replies {
    /// The front of all addresses of this router.
    router: Box<str>,
    shards: Box<[Entries]>,
}

/// A reply address. Dropping it ends the address.
#[derive(Debug)]
pub struct ReplyHandle {
    replies: Arc<Replies>,
    shard: usize,
    slot: usize,
    nonce: u64,
}

/// The beginning of reply addresses, behind the router's part.
const PREFIX: &str = "reply.";

/// The bits of the slot's number; above them are those of the shard's.
const SLOT: u32 = 32;

/// Returns a number in hexadecimal digits. (The router makes and reads one address for each
/// connection. Formatting it took one instruction in thirty.)
#[expect(clippy::indexing_slicing, reason = "four bits number sixteen digits")]
fn digits(number: u64) -> [u8; 16] {
    let mut digits = [0; 16];
    for (place, digit) in (0..16).rev().zip(&mut digits) {
        *digit = b"0123456789abcdef"[(number >> (4 * place)) as usize & 15];
    }
    digits
}

/// Returns the number that has these digits.
fn number(digits: &[u8; 16]) -> Option<u64> {
    digits.iter().try_fold(0, |number, digit| match digit {
        b'0'..=b'9' => Some(number << 4 | u64::from(digit - b'0')),
        b'a'..=b'f' => Some(number << 4 | u64::from(digit - b'a' + 10)),
        _ => None,
    })
}

impl Replies {
    /// Makes places on so many shards. `router` is the front of all addresses of this router, the
    /// last slash included.
    pub fn new(router: &str, shards: usize) -> Arc<Self> {
        let shards = (0..shards.max(1)).map(|_| Mutex::default()).collect();
        Arc::new(Self { router: Box::from(router), shards })
    }

    /// Makes an address for `endpoint` on `shard`. `nonce` must be impossible to guess, for anybody
    /// who knows the address can answer.
    #[expect(clippy::indexing_slicing, reason = "the remainder numbers a shard")]
    pub fn add(
        self: &Arc<Self>,
        shard: usize,
        nonce: u64,
        endpoint: Arc<dyn Endpoint>,
    ) -> ReplyHandle {
        let shard = shard % self.shards.len();
        let slot = self.shards[shard].lock().insert((nonce, endpoint));
        ReplyHandle { replies: Arc::clone(self), shard, slot, nonce }
    }

    /// Returns whether a local address is a reply address.
    pub fn owns(local: &str) -> bool {
        local.starts_with(PREFIX)
    }

    /// Finds the endpoint that waits at a local address.
    pub fn find(&self, local: &str) -> Option<Arc<dyn Endpoint>> {
        let (place, nonce) = local.strip_prefix(PREFIX)?.as_bytes().split_first_chunk()?;
        let (place, nonce) = (number(place)?, number(nonce.try_into().ok()?)?);
        let (shard, slot) = ((place >> SLOT) as usize, (place & ((1 << SLOT) - 1)) as usize);
        let entries = self.shards.get(shard)?.lock();
        entries
            .get(slot)
            .filter(|(known, _)| *known == nonce)
            .map(|(_, endpoint)| Arc::clone(endpoint))
    }
}

impl ReplyHandle {
    /// Returns the address, for a message's reply-to.
    pub fn address(&self) -> String {
        let place = (self.shard as u64) << SLOT | self.slot as u64;
        // Digits are text.
        let [place, nonce] = [digits(place), digits(self.nonce)];
        let [place, nonce] =
            [&place, &nonce].map(|digits| str::from_utf8(digits).unwrap_or_default());
        let parts = [&*self.replies.router, PREFIX, place, nonce];
        let mut address = String::with_capacity(parts.iter().map(|part| part.len()).sum());
        parts.iter().for_each(|part| address.push_str(part));
        address
    }
}

impl Drop for ReplyHandle {
    fn drop(&mut self) {
        let shard = self.replies.shards.get(self.shard);
        let endpoint = shard.and_then(|entries| entries.lock().try_remove(self.slot));
        // The endpoint may hold a delivery, whose end takes locks when it is dropped.
        drop(endpoint);
    }
}
