//! Edge connections: between an interior router and one that takes no part in the routing protocol.
//!
//! To an interior router what lies behind an edge connection is its own: a consumer there is a
//! consumer here, that happens to be reached by a connection. To an edge router one of its
//! connections, the uplink, leads to everything that is not its own: an address that can be reached
//! beyond has the uplink among its consumers, and what is for nobody known goes there too. Either
//! way nothing goes back to where it came from.

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
    /// It carries what it is for. One of an edge router's connections does, the others stand by.
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

    /// The id of the router at the other end.
    pub const fn peer(&self) -> &Arc<str> {
        &self.peer
    }

    /// Whether it carries what it is for, or stands by.
    pub fn is_active(&self) -> bool {
        self.active.load(Ordering::Acquire)
    }

    /// The mesh of edge routers at the other end, once that has said so.
    pub fn mesh(&self) -> Option<Arc<Box<str>>> {
        self.mesh.load_full()
    }

    /// Where it leads.
    pub const fn leads(&self) -> Leads {
        self.leads
    }

    /// Whether its consumers are those of another router that is no less a part of the network than
    /// this one.
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

    /// The ordinal of the other edge router's bid.
    pub(super) fn bid(&self) -> i64 {
        self.bid.load(Ordering::Relaxed)
    }

    pub(super) fn set_bid(&self, ordinal: i64) {
        self.bid.store(ordinal, Ordering::Relaxed);
    }

    pub(super) fn set_mesh(&self, id: &str) {
        self.mesh.store(Some(Arc::new(Box::from(id))));
    }

    /// Whether what comes by this connection may go to a consumer here, which may be behind an edge
    /// connection itself.
    pub(super) fn may_reach(&self, behind: Option<&Self>) -> bool {
        let Some(other) = behind else { return true };
        // What came from the network, or from an edge router's peer, is for consumers here.
        let back = std::ptr::eq(self, other) || self.leads_away() && other.leads_away();
        !back && self.mesh.load().as_ref().is_none_or(|mesh| !other.is_of(mesh))
    }

    /// Whether what comes by this connection may go to a router whose consumers all belong to one
    /// mesh of edge routers.
    pub(super) fn may_leave_for(&self, sole_mesh: Option<&str>) -> bool {
        sole_mesh.is_none_or(|mesh| !self.is_of(mesh))
    }
}
