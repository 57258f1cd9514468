//! Control links: which router is heard on each, and which of several leads to a neighbor.
//!
//! A control link, and the router at its other end:
//!
//! ```text
//!   link_up      +--------+  HELLO   +-------+  HELLO that names  +-----------+
//!  ------------->| Silent |--------->| Heard |------------------->| Confirmed |
//!                +--------+          +-------+  this router       +-----------+
//!                    ^                 |   ^                        |      |
//!                    |  no HELLO       |   |   HELLOs stop naming   |      |
//!                    |  for max age    |   |   this router, for     |      |
//!                    +-----------------+   |   max age              |      |
//!                    |                     +------------------------+      |
//!                    |                                    no HELLO         |
//!                    +-----------------------------------------------------+
//! ```
//!
//! A router is a neighbor while at least one link with it is `Confirmed`; one of them leads to it.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::LinkId;
use super::allowance::Allowance;
use crate::silence::Pause;
use crate::time::Instant;

/// A problem with the router at the other end of a control link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkProblem {
    /// It is another router with this router's id.
    DuplicateId,
    /// It is this router.
    Loop,
    /// It speaks a newer version of the routing protocol.
    NewerVersion(i64),
    /// Two routers are heard on one link; this is the second, which is ignored.
    SecondRouter(Arc<str>),
    /// It is ignored because too many routers are known.
    TooManyRouters,
    /// It uses the id of a neighbor that is heard on another link. It is ignored as long as that is
    /// heard.
    SecondLife(Arc<str>),
}

/// The state of a control link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkStatus {
    /// Its name.
    pub link: LinkId,
    /// The cost of its connection.
    pub cost: u32,
    /// When it came up.
    pub since: Instant,
    /// The router heard on it.
    pub peer: Option<Arc<str>>,
    /// When that router was heard last; time in which this router did not run is left out.
    pub heard: Option<Instant>,
    /// When that router last said that it hears this one, likewise.
    pub confirmed: Option<Instant>,
    /// Its problem.
    pub problem: Option<LinkProblem>,
}

/// All control links.
#[derive(Debug, Default)]
pub(super) struct ControlLinks {
    links: BTreeMap<LinkId, ControlLink>,
}

#[derive(Debug)]
pub(super) struct ControlLink {
    pub(super) status: LinkStatus,
    /// Whether the last HELLO sent on it named the router heard on it.
    pub(super) listed: bool,
    /// The deadline that is in the machine's heap.
    pub(super) armed: Option<Instant>,
    /// The allowance of requests that come by it.
    pub(super) answers: Allowance,
}

impl ControlLinks {
    pub(super) fn up(&mut self, link: LinkId, cost: u32, now: Instant) {
        let status = LinkStatus {
            link,
            cost,
            since: now,
            peer: None,
            heard: None,
            confirmed: None,
            problem: None,
        };
        self.links.insert(
            link,
            ControlLink { status, listed: false, armed: None, answers: Allowance::default() },
        );
    }

    pub(super) fn down(&mut self, link: LinkId) -> Option<ControlLink> {
        self.links.remove(&link)
    }

    pub(super) fn get(&self, link: LinkId) -> Option<&ControlLink> {
        self.links.get(&link)
    }

    pub(super) fn get_mut(&mut self, link: LinkId) -> Option<&mut ControlLink> {
        self.links.get_mut(&link)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &LinkStatus> {
        self.links.values().map(|link| &link.status)
    }

    /// Returns the routers heard lately, each once.
    pub(super) fn seen(&self, now: Instant, max_age: Duration) -> Vec<Arc<str>> {
        let heard = self.iter().filter(|link| is_fresh(link.heard, now, max_age));
        let mut seen: Vec<Arc<str>> = heard.filter_map(|link| link.peer.clone()).collect();
        seen.sort_unstable();
        seen.dedup();
        seen
    }

    /// Notes that a HELLO that names `seen` goes out on one link, or on all.
    pub(super) fn note_listed(&mut self, only: Option<LinkId>, seen: &[Arc<str>]) {
        for (id, link) in &mut self.links {
            if only.is_none_or(|only| only == *id) {
                link.listed =
                    link.status.peer.as_ref().is_some_and(|peer| seen.binary_search(peer).is_ok());
            }
        }
    }

    /// Returns the link that leads to the router `id`: the `current` one as long as it lives, else
    /// the cheapest of those that live, and of equally cheap ones the oldest.
    pub(super) fn leading_to(
        &self,
        id: &str,
        current: Option<LinkId>,
        now: Instant,
        max_age: Duration,
    ) -> Option<&LinkStatus> {
        let lives = |link: &&LinkStatus| {
            link.peer.as_deref() == Some(id) && is_fresh(link.confirmed, now, max_age)
        };
        let current =
            current.and_then(|link| self.get(link)).map(|link| &link.status).filter(lives);
        current.or_else(|| {
            self.iter().filter(lives).min_by_key(|link| (link.cost, link.since, link.link))
        })
    }

    /// Whether another link than `link` leads to the router `id`.
    pub(super) fn others_leading_to(
        &self,
        id: &str,
        link: LinkId,
        now: Instant,
        max_age: Duration,
    ) -> bool {
        let leads = |other: &LinkStatus| {
            other.peer.as_deref() == Some(id) && is_fresh(other.confirmed, now, max_age)
        };
        self.iter().any(|other| other.link != link && leads(other))
    }

    /// Notes that the router `id` started anew and is heard on `link`: other links lead to its
    /// former life.
    pub(super) fn forget_others(&mut self, id: &str, link: LinkId) {
        for other in self.links.values_mut().filter(|other| other.status.link != link) {
            if other.status.peer.as_deref() == Some(id) {
                other.status.confirmed = None;
            }
        }
    }

    /// Leaves out a pause in which this router did not run and could hear no one.
    pub(super) fn leave_out(&mut self, pause: Pause, max_age: Duration) {
        let heard = self
            .links
            .values_mut()
            .flat_map(|link| [&mut link.status.heard, &mut link.status.confirmed]);
        for heard in heard.flatten() {
            *heard = pause.leave_out(*heard, max_age);
        }
    }

    pub(super) fn ids(&self) -> Vec<LinkId> {
        self.links.keys().copied().collect()
    }
}

/// Whether a router that was heard at `heard` still counts as heard.
pub(super) fn is_fresh(heard: Option<Instant>, now: Instant, max_age: Duration) -> bool {
    heard.is_some_and(|heard| now < heard + max_age)
}
