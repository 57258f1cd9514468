//! The state machine of HELLO, RA, LSU and LSR.
//!
//! | file | subject |
//! | --- | --- |
//! | `hello` | neighbors |
//! | `advertise` | RAs |
//! | `link_state` | LSRs and LSUs |
//! | `reach` | routes, and the link toward a router |
//! | `timers` | deadlines of links and routers |
//! | `judge`, `lives` | which messages are believed, and which life of a router speaks |
//!
//! A known router, as this machine sees it. `table` keeps its link state and its lives.
//!
//! ```text
//!    a HELLO, RA, LSU or LSR names it
//!                   |
//!                   v
//!             +-----------+   a path leads to it    +-----------+
//!             |  Learned  |------------------------>| Reachable |<------+
//!             +-----------+                         +-----------+       |
//!                   |                                     |             | a path
//!                   |                         no path     |             | leads to it
//!                   |                                     v             |
//!                   |                              +-------------+      |
//!                   |                              | Unreachable |------+
//!                   |                              +-------------+
//!                   |                                     |  after the hold-off its addresses
//!                   |                                     |  are flushed
//!                   v                                     v
//!             no link state names it for 3 s, and it is no neighbor: forgotten
//! ```

mod advertise;
mod hello;
mod judge;
mod link_state;
mod lives;
mod reach;
mod timers;

use core::time::Duration;
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashSet, VecDeque};
use std::sync::Arc;

use super::message::{Digests, TopologyMessage};
use super::neighbors::{ControlLinks, LinkStatus};
use super::pace::Gate;
use super::routes::{Edge, RouterIndex, Routes};
use super::status::{NeighborStatus, RouterStatus};
use super::table::{Router, Table};
use super::{Config, LinkId, Notice};
use crate::time::Instant;

/// When an RA is repeated after a change. C routers drop messages from further than they know of,
/// and they compute that once a second.
const REPEATS: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];

/// The own link state goes out at once, then ever more rarely while it keeps changing.
const ANNOUNCE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Paths are computed at once, then ever more rarely while link states keep coming in.
const COMPUTE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));

/// How many reported routers of a newer version are remembered, and how many reported lives of
/// routers with this router's id.
const REPORTED: usize = 1024;

/// An event for [`RoutingProtocol`](crate::routing::RoutingProtocol).
#[derive(Debug)]
pub(crate) enum TopologyEvent {
    /// A message is to be sent on control links.
    Send {
        links: Vec<LinkId>,
        to: Cow<'static, str>,
        message: TopologyMessage,
    },
    /// The routes have changed.
    Routes,
    /// A router advertised the sequence of its addresses.
    Advertised {
        router: RouterIndex,
        mobile_seq: u64,
        digest: Option<u64>,
    },
    /// A router stated its link state for the first time.
    Discovered(RouterIndex),
    /// A router became reachable or unreachable.
    Reachable(RouterIndex, bool),
    /// The addresses of a router are void: it restarted, or was unreachable for too long.
    Flush {
        router: RouterIndex,
        restarted: bool,
    },
    /// A router is forgotten.
    Lost(RouterIndex, Arc<str>),
    Notice(Notice),
}

#[derive(Clone, Copy, Debug)]
struct Neighbor {
    link: LinkId,
    cost: u32,
    since: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Link(LinkId),
    Router(RouterIndex),
}

/// The machine. After each input its owner calls [`Self::update_routes`] and [`Self::advertise`],
/// in this order, then takes the events.
///
#[derive(Debug)]
pub(crate) struct Topology {
    config: Config,
    links: ControlLinks,
    table: Table,
    neighbors: BTreeMap<RouterIndex, Neighbor>,
    routes: Arc<Routes>,
    /// Whether the neighbors, or the links to them, differ from the routes.
    own_changed: bool,
    compute: Gate,
    /// The link state that goes with this router's sequence.
    announced: Vec<Edge>,
    announce: Gate,
    mobile_seq: u64,
    /// The digests that go with this router's sequences.
    digests: Digests,
    /// Whether an RA is to be flooded now.
    advertise: bool,
    last_ra: Instant,
    /// The start of the repetitions of RAs, and how many were sent.
    repeats: Option<(Instant, usize)>,
    last_hello: Instant,
    last_change: Instant,
    timers: BinaryHeap<Reverse<(Instant, Timer)>>,
    /// Routers whose LSR may be due.
    ready: BTreeSet<RouterIndex>,
    events: VecDeque<TopologyEvent>,
    duplicates: BTreeSet<Option<i64>>,
    newer: HashSet<Arc<str>>,
    full: bool,
}

impl Topology {
    pub(crate) fn new(config: Config, now: Instant) -> Self {
        let id = Arc::clone(&config.id);
        Self {
            links: ControlLinks::default(),
            table: Table::new(Arc::clone(&id)),
            neighbors: BTreeMap::new(),
            routes: Arc::new(Routes::alone(id)),
            own_changed: false,
            compute: Gate::new(COMPUTE.0, COMPUTE.1),
            announced: Vec::new(),
            announce: Gate::new(ANNOUNCE.0, ANNOUNCE.1),
            mobile_seq: 0,
            digests: Digests { link_state: 0, addresses: 0 },
            advertise: false,
            last_ra: now,
            repeats: None,
            last_hello: now,
            last_change: now,
            timers: BinaryHeap::new(),
            ready: BTreeSet::new(),
            events: VecDeque::new(),
            duplicates: BTreeSet::new(),
            newer: HashSet::new(),
            full: false,
            config,
        }
    }

    pub(crate) fn link_up(&mut self, link: LinkId, cost: u32, now: Instant) {
        if self.links.is_empty() {
            self.last_hello = now;
        }
        self.links.up(link, cost.max(1), now);
        self.send_hello(Some(link), now);
    }

    pub(crate) fn link_down(&mut self, link: LinkId, now: Instant) {
        let gone = self.links.down(link);
        let peer = gone.and_then(|gone| gone.status.peer);
        if let Some(router) = peer.and_then(|peer| self.table.find(&peer)) {
            self.settle_neighbor(router, now);
        }
    }

    /// Takes a new sequence and digest of this router's addresses. The MAU with this sequence was
    /// sent before.
    pub(crate) const fn set_mobile_seq(&mut self, mobile_seq: u64, digest: u64) {
        self.mobile_seq = mobile_seq;
        self.digests.addresses = digest;
        self.advertise = true;
    }

    pub(crate) fn poll_event(&mut self) -> Option<TopologyEvent> {
        self.events.pop_front()
    }

    pub(crate) const fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) const fn routes(&self) -> &Arc<Routes> {
        &self.routes
    }

    pub(crate) fn find(&self, id: &str) -> Option<RouterIndex> {
        self.table.find(id)
    }

    pub(crate) fn id(&self, router: RouterIndex) -> Option<&Arc<str>> {
        self.table.get(router).map(|slot| &slot.id)
    }

    pub(crate) const fn last_change(&self) -> Instant {
        self.last_change
    }

    pub(crate) fn own_ls_seq(&self) -> u64 {
        self.table.get(RouterIndex::OWN).map_or(0, |own| own.ls_seq)
    }

    pub(crate) fn link_states(&self) -> impl Iterator<Item = &LinkStatus> {
        self.links.iter()
    }

    pub(crate) fn neighbor_states(&self) -> impl Iterator<Item = NeighborStatus> {
        self.neighbors.iter().filter_map(|(router, neighbor)| {
            let Router { id, lives, .. } = self.table.get(*router)?;
            let Neighbor { link, cost, since } = *neighbor;
            let heard = self.links.get(link).and_then(|link| link.status.heard);
            Some(NeighborStatus {
                router: *router,
                id: Arc::clone(id),
                instance: lives.instance,
                link,
                cost,
                since,
                heard,
            })
        })
    }

    pub(crate) fn router_states(&self) -> impl Iterator<Item = RouterStatus> {
        self.table.others().map(|(router, slot)| RouterStatus {
            router,
            id: Arc::clone(&slot.id),
            instance: slot.lives.instance,
            ls_seq: slot.ls_seq,
            peers: self.table.edges_named(&slot.edges),
            news: slot.news,
            route: self.routes.route(router),
        })
    }

    fn send(
        &mut self,
        links: Vec<LinkId>,
        to: impl Into<Cow<'static, str>>,
        message: TopologyMessage,
    ) {
        if !links.is_empty() {
            self.events.push_back(TopologyEvent::Send { links, to: to.into(), message });
        }
    }

    fn notice(&mut self, notice: Notice) {
        self.events.push_back(TopologyEvent::Notice(notice));
    }
}
