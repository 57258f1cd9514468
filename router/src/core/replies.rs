//! Addresses for answers: `_topo/0/<us>/...`, looked up without the table.

use super::router::{Core, Endpoint};
use slab::Slab;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

type Entries = Mutex<Slab<(u64, Arc<dyn Endpoint>)>>;

/// Endpoints that wait for an answer, by shard, slot and a random number. One lock a shard.
#[derive(Debug)]
pub struct Replies {
    shards: Box<[Entries]>,
}

/// An entry, gone when dropped.
#[derive(Debug)]
pub struct ReplyHandle {
    replies: Arc<Replies>,
    shard: usize,
    slot: usize,
    nonce: u64,
}

/// What these addresses begin with, behind the router's own part.
const PREFIX: &str = "reply.";

impl Replies {
    /// For so many shards.
    pub fn new(shards: usize) -> Arc<Self> {
        Arc::new(Self { shards: (0..shards.max(1)).map(|_| Mutex::default()).collect() })
    }

    /// Makes an address for `endpoint` on `shard`. The nonce keeps strangers from guessing it.
    pub fn add(self: &Arc<Self>, shard: usize, nonce: u64, endpoint: Arc<dyn Endpoint>) -> ReplyHandle {
        let shard = shard % self.shards.len();
        let slot = self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner).insert((nonce, endpoint));
        ReplyHandle { replies: Arc::clone(self), shard, slot, nonce }
    }

    /// Whether a local address is of this kind.
    pub fn owns(local: &str) -> bool {
        local.starts_with(PREFIX)
    }

    /// Who waits at an address of ours, given without what names the router.
    pub fn find(&self, local: &str) -> Option<Arc<dyn Endpoint>> {
        let mut parts = local.strip_prefix(PREFIX)?.splitn(3, '.');
        let shard: usize = parts.next()?.parse().ok()?;
        let slot: usize = parts.next()?.parse().ok()?;
        let nonce = u64::from_str_radix(parts.next()?, 16).ok()?;
        let entries = self.shards.get(shard)?.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(slot).filter(|(known, _)| *known == nonce).map(|(_, endpoint)| Arc::clone(endpoint))
    }
}

impl ReplyHandle {
    /// The address, for a message's reply-to.
    pub fn address(&self, core: &Core) -> String {
        let mut local = String::with_capacity(48);
        // A string takes all that is written.
        let _ = write!(local, "{PREFIX}{}.{}.{:016x}", self.shard, self.slot, self.nonce);
        core.address_of(&local)
    }
}

impl Drop for ReplyHandle {
    fn drop(&mut self) {
        self.replies.shards[self.shard].lock().unwrap_or_else(PoisonError::into_inner).try_remove(self.slot);
    }
}
