//! A trunk: the control connection and the data connections to one neighbor.

use super::mailbox::Mailbox;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Names a trunk: what the routing protocol calls a control link.
pub type TrunkId = skupper_proto::topology::LinkId;

/// The connections to one neighbor.
#[derive(Debug)]
pub struct Trunk {
    id: TrunkId,
    neighbor: Arc<str>,
    cost: u32,
    control: Arc<Mailbox>,
    /// The neighbor takes streams on data connections.
    trunking: bool,
    data: ArcSwap<Vec<Arc<Mailbox>>>,
    turn: AtomicUsize,
}

impl Trunk {
    pub(super) fn new(id: TrunkId, neighbor: Arc<str>, cost: u32, control: Arc<Mailbox>, trunking: bool) -> Arc<Self> {
        Arc::new(Self { id, neighbor, cost, control, trunking, data: ArcSwap::default(), turn: AtomicUsize::new(0) })
    }

    /// Its id.
    pub const fn id(&self) -> TrunkId {
        self.id
    }

    /// The router at the other end, as its open named it.
    pub const fn neighbor(&self) -> &Arc<str> {
        &self.neighbor
    }

    /// The cost of crossing it.
    pub const fn cost(&self) -> u32 {
        self.cost
    }

    /// The control connection.
    pub const fn control(&self) -> &Arc<Mailbox> {
        &self.control
    }

    /// Data connections now.
    pub fn data_connections(&self) -> usize {
        self.data.load().len()
    }

    pub(super) fn set_data(&self, data: Vec<Arc<Mailbox>>) {
        self.data.store(Arc::new(data));
    }

    /// The connection for the next stream: the data connections in turn, or the control connection where there are none or the
    /// neighbor would not use them.
    pub fn stream(&self) -> Arc<Mailbox> {
        let data = self.data.load();
        if !self.trunking || data.is_empty() {
            return Arc::clone(&self.control);
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        data.get(turn % data.len()).map_or_else(|| Arc::clone(&self.control), Arc::clone)
    }
}
