//! The routers of the network, how they are connected, and the path to each: HELLO, RA, LSU and
//! LSR.
//!
//! | file | subject |
//! | --- | --- |
//! | `message`, `fields` | the messages on the wire, and the form of their bodies |
//! | `belief` | which messages are believed |
//! | `digest` | a sum over all that a router says of itself |
//! | `shares`, `allowance` | what neighbors may fill, and what their requests may cost |
//! | `machine` | the state machine: neighbors, link states, when to say what |
//! | `table` | the known routers |
//! | `neighbors` | control links, and which of several leads to a neighbor |
//! | `routes` | the graph, shortest paths, valid origins: an immutable table |
//! | `pace` | when something may be said again |
//!
//! The protocol is that of C routers, which work on a tick of one second. This machine has no tick:
//! it reports a change at once, and repeated changes ever more rarely. The intervals of C routers
//! are upper bounds here, and their hold-downs lower bounds.

mod allowance;
mod belief;
mod digest;
pub(crate) mod fields;
mod machine;
pub mod message;
mod neighbors;
mod pace;
mod routes;
mod shares;
mod status;
mod table;

use core::time::Duration;
use std::sync::Arc;

#[cfg(test)]
pub(crate) use allowance::ANSWERS;
pub(crate) use belief::{VERIFY, Word};
pub(crate) use digest::{Digest, Member};
pub use fields::MessageError;
pub(crate) use machine::{Topology, TopologyEvent};
pub use neighbors::{LinkProblem, LinkStatus};
pub(crate) use pace::{Gate, Request, SPACING};
pub use routes::{Route, RouterIndex, Routes};
pub(crate) use shares::Shares;
pub use status::{Arrival, NeighborStatus, RouterStatus};

/// The most bytes of a router's id. Ids are names of pods and hosts with a suffix; a longer one is
/// a mistake or an attack.
pub const MAX_ID_LENGTH: usize = 255;

/// The most routers that are known, this one included: several times the largest network in sight.
/// What one neighbor tells of others takes half of them at most. They take a few megabytes. If all
/// send messages to all, their trees take the square of their number times 12 bytes: 50 MiB for
/// what one neighbor may tell.
pub const MAX_ROUTERS: usize = 4096;

/// The most connections between routers that are known, over all link states, each direction for
/// itself: those of 360 routers that are all connected with each other. One takes 8 bytes, and all
/// of them a millisecond for each computation of paths. What one neighbor tells takes half of them
/// at most.
pub const MAX_EDGES: usize = 131_072;

/// The most neighbors in one link state, and the most ids in one HELLO: no router has more
/// neighbors than there are routers.
pub const MAX_PEERS: usize = MAX_ROUTERS;

/// The caller's name for one control link: the pair of AMQP links that carries control messages
/// between two neighbors on one connection. The caller never uses a name again for another
/// connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// The configuration of the routing protocol.
#[derive(Clone, Debug)]
pub struct Config {
    /// The router's id.
    pub id: Arc<str>,
    /// Which of the router's lives this is. It differs at every start, or the neighbors go on with
    /// what they knew of the last life.
    pub instance: i64,
    /// The longest pause between two HELLOs (`helloIntervalSeconds`).
    pub hello_interval: Duration,
    /// How long a neighbor may be silent (`helloMaxAgeSeconds`).
    pub hello_max_age: Duration,
    /// The longest pause between two RAs (`raIntervalSeconds`).
    pub ra_interval: Duration,
    /// The longest pause between two RAs for twice this time after a change of the topology
    /// (`raIntervalFluxSeconds`).
    pub ra_interval_flux: Duration,
    /// How long a router's link state lasts without news of it (`remoteLsMaxAgeSeconds`).
    pub remote_ls_max_age: Duration,
    /// How long a router's addresses are kept after it became unreachable
    /// (`unreachableHoldoffSeconds`).
    pub unreachable_hold_off: Duration,
}

impl Config {
    /// Makes a configuration with the default intervals.
    pub fn new(id: impl Into<Arc<str>>, instance: i64) -> Self {
        Self {
            id: id.into(),
            instance,
            hello_interval: Duration::from_secs(1),
            hello_max_age: Duration::from_secs(3),
            ra_interval: Duration::from_secs(30),
            ra_interval_flux: Duration::from_secs(4),
            remote_ls_max_age: Duration::from_secs(60),
            unreachable_hold_off: Duration::from_secs(1),
        }
    }
}

/// A change that an operator wants to know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A router became a neighbor.
    NeighborUp {
        /// Its id.
        id: Arc<str>,
        /// The control link that leads to it.
        link: LinkId,
        /// The cost of the path to it.
        cost: u32,
    },
    /// Another control link leads to a neighbor.
    NeighborMoved {
        /// Its id.
        id: Arc<str>,
        /// The link that does.
        link: LinkId,
    },
    /// A router is no neighbor any more.
    NeighborLost {
        /// Its id.
        id: Arc<str>,
    },
    /// A router started anew.
    Restarted {
        /// Its id.
        id: Arc<str>,
    },
    /// The router at the other end of a control link has a problem. Given once a link, and once a
    /// life of a router with this router's id.
    Problem {
        /// The link.
        link: LinkId,
        /// The problem.
        problem: LinkProblem,
    },
    /// A router sends messages of a newer protocol version, which are ignored. Given once a router.
    NewerVersion {
        /// Its id.
        id: Arc<str>,
        /// Its version.
        version: i64,
    },
    /// A router is ignored because [`MAX_ROUTERS`] are known. Given once until there is space.
    TooManyRouters {
        /// The first that is ignored.
        id: Arc<str>,
    },
    /// A router, perhaps this one, serves more addresses than are kept of one router, or all
    /// routers together do. Given once until there is space.
    TooManyAddresses {
        /// Its id.
        id: Arc<str>,
    },
}
