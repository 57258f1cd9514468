//! The state of the machine, as its owner sees it, and the source of a message.

use std::sync::Arc;

use super::LinkId;
use super::routes::{Route, RouterIndex};
use crate::annotations::Trace;
use crate::time::Instant;

/// The source of a message.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The control link.
    pub link: LinkId,
    /// The routers it passed, from its annotations.
    pub trace: Trace<'a>,
    /// Whether its address is one of class `T`, to be passed on to the neighbors.
    pub flooded: bool,
}

/// A neighbor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeighborStatus {
    /// Its number.
    pub router: RouterIndex,
    /// The id.
    pub id: Arc<str>,
    /// Which of its lives speaks.
    pub instance: Option<i64>,
    /// The control link that leads to it.
    pub link: LinkId,
    /// The cost of that link's connection.
    pub cost: u32,
    /// When it became a neighbor.
    pub since: Instant,
    /// When its last HELLO came on that link.
    pub heard: Option<Instant>,
}

/// A known router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterStatus {
    /// Its number.
    pub router: RouterIndex,
    /// Its id.
    pub id: Arc<str>,
    /// Which of its lives speaks.
    pub instance: Option<i64>,
    /// The sequence of its link state.
    pub ls_seq: u64,
    /// Its neighbors, with the costs it announces.
    pub peers: Vec<(Arc<str>, u32)>,
    /// When it was last heard of.
    pub news: Instant,
    /// The path to it.
    pub route: Option<Route>,
}
