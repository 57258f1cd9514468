//! The part of the core that one thread at a time changes, behind the core's lock.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;

use skupper_proto::edge::Bid;
use skupper_proto::routing::RoutingProtocol;
use skupper_proto::time::Instant;
use skupper_proto::topology::{self, Notice};

use super::allowance::{Allowance, CLIENT_ADDRESS_OCTETS, CLIENT_ADDRESSES};
use super::edge_groups::EdgeGroups;
use super::trunk::{Group, GroupKey, Trunk, TrunkId};

/// The state behind the core's lock.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) routing: RoutingProtocol,
    pub(super) trunks: BTreeMap<TrunkId, (Arc<Trunk>, Option<GroupKey>)>,
    pub(super) groups: HashMap<GroupKey, Group>,
    pub(super) next_trunk: u64,
    pub(super) edges: EdgeGroups,
    /// The addresses that clients may still take.
    pub(super) clients: Allowance,
    pub(super) notices: VecDeque<Notice>,
    /// Woken when the routing protocol wants its time-out earlier, or a notice waits.
    pub(super) timer: Option<Waker>,
    /// The deadline that the timer waits for.
    pub(super) armed: Option<Instant>,
    now: Instant,
    pub(super) stopped: bool,
}

impl Control {
    pub(super) fn new(config: topology::Config, bid: Option<Bid>, now: Instant) -> Self {
        Self {
            routing: RoutingProtocol::new(config, now),
            trunks: BTreeMap::new(),
            groups: HashMap::new(),
            next_trunk: 1,
            edges: EdgeGroups::new(bid),
            clients: Allowance::new(CLIENT_ADDRESSES, CLIENT_ADDRESS_OCTETS),
            notices: VecDeque::new(),
            timer: None,
            armed: None,
            now,
            stopped: false,
        }
    }

    pub(super) const fn table(&self) -> &Arc<topology::Routes> {
        self.routing.routes()
    }

    /// Returns the latest time that a caller passed, for changes whose cause knows no time.
    pub(super) const fn now(&self) -> Instant {
        self.now
    }

    /// Returns whether the router withdraws from the network.
    pub(super) const fn is_stopped(&self) -> bool {
        self.stopped
    }

    pub(super) fn at(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        self.now
    }

    pub(super) fn wake_timer(&mut self) {
        if let Some(waker) = self.timer.take() {
            waker.wake();
        }
    }
}
