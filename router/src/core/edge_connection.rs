//! Edge connections: between an interior router and an edge router, which takes no part in the
//! routing protocol.
//!
//! An interior router treats everything behind an edge connection as its own: a consumer there is a
//! consumer here, reached by a connection. An edge router reaches everything that is not its own by
//! one connection, the uplink. An address that has consumers beyond has the uplink among its
//! consumers, and deliveries for unknown addresses go there too. A delivery never goes back to
//! where it came from.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use arc_swap::ArcSwapOption;

/// Where an edge connection leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leads {
    /// From an interior router to an edge router.
    Down,
    /// From an edge router to the rest of the network.
    Up,
    /// From an edge router to another.
    Beside,
}

/// An edge connection, at either end.
#[derive(Debug)]
pub struct EdgeConnection {
    /// The router at the other end.
    peer: Arc<str>,
    /// Where it leads.
    leads: Leads,
    /// The ordinal of its TLS profile.
    ordinal: u64,
    /// It is in use. An edge router uses one of its connections, and the others stand by.
    active: AtomicBool,
    /// The mesh of edge routers at the other end.
    mesh: ArcSwapOption<Box<str>>,
    /// The ordinal of the other edge router's bid.
    bid: AtomicI64,
}

impl EdgeConnection {
    pub(super) fn new(peer: Arc<str>, leads: Leads, ordinal: u64) -> Arc<Self> {
        Arc::new(Self {
            peer,
            leads,
            ordinal,
            active: AtomicBool::new(leads == Leads::Down),
            mesh: ArcSwapOption::empty(),
            bid: AtomicI64::new(i64::MAX),
        })
    }

    /// Returns the id of the router at the other end.
    pub const fn peer(&self) -> &Arc<str> {
        &self.peer
    }

    /// Returns whether it is in use, and does not stand by.
    pub fn is_active(&self) -> bool {
        self.active.load(Ordering::Acquire)
    }

    /// Returns the mesh of edge routers at the other end, once the peer has named it.
    pub fn mesh(&self) -> Option<Arc<Box<str>>> {
        self.mesh.load_full()
    }

    /// Returns where it leads.
    pub const fn leads(&self) -> Leads {
        self.leads
    }

    /// Returns whether it leads to the rest of the network or to another edge router.
    pub(super) fn leads_away(&self) -> bool {
        self.leads != Leads::Down
    }

    pub(super) fn is_of(&self, mesh: &str) -> bool {
        self.mesh.load().as_ref().is_some_and(|own| ***own == *mesh)
    }

    pub(super) fn set_active(&self, active: bool) {
        self.active.store(active, Ordering::Release);
    }

    pub(super) const fn ordinal(&self) -> u64 {
        self.ordinal
    }

    /// Returns the ordinal of the other edge router's bid.
    pub(super) fn bid(&self) -> i64 {
        self.bid.load(Ordering::Relaxed)
    }

    pub(super) fn set_bid(&self, ordinal: i64) {
        self.bid.store(ordinal, Ordering::Relaxed);
    }

    pub(super) fn set_mesh(&self, id: &str) {
        self.mesh.store(Some(Arc::new(Box::from(id))));
    }

    /// Returns whether a delivery of this connection may go to a consumer here, which may itself be
    /// behind an edge connection.
    pub(super) fn may_reach(&self, behind: Option<&Self>) -> bool {
        let Some(other) = behind else { return true };
        // A delivery from the network, or from an edge router beside, is for consumers here.
        let back = std::ptr::eq(self, other) || self.leads_away() && other.leads_away();
        !back && self.mesh.load().as_ref().is_none_or(|mesh| !other.is_of(mesh))
    }

    /// Returns whether a delivery of this connection may go to a router all of whose consumers
    /// belong to one mesh of edge routers.
    pub(super) fn may_leave_for(&self, sole_mesh: Option<&str>) -> bool {
        sole_mesh.is_none_or(|mesh| !self.is_of(mesh))
    }
}
