//! A trunk: the control connection and the data connections to one neighbor.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;

use super::mailbox::Mailbox;

/// The name of a trunk: the routing protocol's control link.
pub type TrunkId = skupper_proto::topology::LinkId;

/// Names the connections of one connector to one peer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey {
    container: Arc<str>,
    correlator: Arc<str>,
}

impl GroupKey {
    /// Makes the name from a peer's container-id and its connector's correlator.
    pub fn new(container: &str, correlator: &str) -> Self {
        Self { container: Arc::from(container), correlator: Arc::from(correlator) }
    }
}

/// A control connection whose control links are attached.
#[derive(Debug)]
pub struct TrunkUp {
    /// Its group, if it has one.
    pub group: Option<GroupKey>,
    /// The peer's container-id.
    pub neighbor: Arc<str>,
    /// The higher of the costs configured at both ends.
    pub cost: u32,
    /// The ordinal of its certificates. In a group, connections of a higher ordinal replace those
    /// of a lower.
    pub ordinal: u64,
    /// The connection.
    pub control: Arc<Mailbox>,
    /// The peer takes streams on data connections.
    pub trunking: bool,
}

/// The connections to one neighbor.
#[derive(Debug)]
pub struct Trunk {
    id: TrunkId,
    neighbor: Arc<str>,
    cost: u32,
    /// The ordinal of its connections' certificates.
    ordinal: u64,
    control: Arc<Mailbox>,
    /// The neighbor takes streams on data connections.
    trunking: bool,
    data: ArcSwap<Vec<Arc<Mailbox>>>,
    turn: AtomicUsize,
}

impl Trunk {
    pub(super) fn new(id: TrunkId, up: TrunkUp) -> Arc<Self> {
        let TrunkUp { group: _, neighbor, cost, ordinal, control, trunking } = up;
        Arc::new(Self {
            id,
            neighbor,
            cost,
            ordinal,
            control,
            trunking,
            data: ArcSwap::default(),
            turn: AtomicUsize::new(0),
        })
    }

    /// Returns its id.
    pub const fn id(&self) -> TrunkId {
        self.id
    }

    /// Returns the router at the other end, as its open named it.
    pub const fn neighbor(&self) -> &Arc<str> {
        &self.neighbor
    }

    /// Returns the cost of crossing it.
    pub const fn cost(&self) -> u32 {
        self.cost
    }

    pub(super) const fn ordinal(&self) -> u64 {
        self.ordinal
    }

    /// Returns the control connection.
    pub const fn control(&self) -> &Arc<Mailbox> {
        &self.control
    }

    /// Returns the number of data connections.
    pub fn data_connections(&self) -> usize {
        self.data.load().len()
    }

    pub(super) fn set_data(&self, data: Vec<Arc<Mailbox>>) {
        self.data.store(Arc::new(data));
    }

    /// Returns the connection for the next stream: the data connections in turn, or the control
    /// connection if there are none or the neighbor does not use them. An answer to a stream goes
    /// back by the connection that the stream came by. So a service connection has both streams on
    /// one shard, here and at the neighbor.
    pub fn stream(&self, came_by: Option<&Arc<Mailbox>>) -> Arc<Mailbox> {
        let data = self.data.load();
        if !self.trunking || data.is_empty() {
            return Arc::clone(&self.control);
        }
        if let Some(same) =
            came_by.and_then(|came_by| data.iter().find(|known| Arc::ptr_eq(known, came_by)))
        {
            return Arc::clone(same);
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        data.get(turn % data.len()).map_or_else(|| Arc::clone(&self.control), Arc::clone)
    }
}

/// The connections of one connector to one peer.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) trunk: Option<Arc<Trunk>>,
    /// Its data connections, with the ordinals of their certificates.
    pub(super) data: Vec<(u64, Arc<Mailbox>)>,
}

impl Group {
    /// Gives the trunk the data connections that were made with the same certificates.
    pub(super) fn share(&self) {
        if let Some(trunk) = &self.trunk {
            let alike = self.data.iter().filter(|(ordinal, _)| *ordinal == trunk.ordinal());
            trunk.set_data(alike.map(|(_, data)| Arc::clone(data)).collect());
        }
    }
}
