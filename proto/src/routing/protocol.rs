//! The routing protocol of one router as one machine.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use super::message::{Envelope, Message};
use crate::address::AddressKey;
use crate::annotations::Trace;
use crate::mobile::message::{MOBILE_FLOOD_ADDRESS, Mar, Mau, MauContent, mobile_address};
use crate::mobile::{Attributes, Mobile, MobileEvent, Rank, Source};
use crate::time::Instant;
use crate::topology::{
    Arrival, Config, LinkId, LinkStatus, NeighborStatus, Notice, RouterIndex, RouterStatus, Routes,
    Topology, TopologyEvent, Word,
};

/// An action that the caller is to carry out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a message on control links.
    Send(Envelope),
    /// Publish [`RoutingProtocol::routes`], which have changed.
    RoutesChanged,
    /// A router begins to serve an address.
    AddressAdded {
        /// The router.
        router: RouterIndex,
        /// The address.
        address: AddressKey,
        /// The address's attributes there.
        attributes: Attributes,
    },
    /// The attributes of an address that a router serves have changed.
    AddressUpdated {
        /// The router.
        router: RouterIndex,
        /// The address.
        address: AddressKey,
        /// The address's attributes there.
        attributes: Attributes,
    },
    /// A router serves an address no more.
    AddressRemoved {
        /// The router.
        router: RouterIndex,
        /// The address.
        address: AddressKey,
    },
    /// A router is forgotten, and its number may become another's. Its addresses were removed
    /// before.
    RouterLost {
        /// Its number.
        router: RouterIndex,
        /// Its id.
        id: Arc<str>,
    },
    /// Tell the operator.
    Notice(Notice),
}

/// The routing protocol of one router: HELLO, RA, LSU, LSR, MAU and MAR.
///
/// # How to drive it
///
/// * Inputs: [`link_up`](Self::link_up) and [`link_down`](Self::link_down) when both AMQP links of
///   a control link are attached, or one is gone; [`handle_message`](Self::handle_message) for
///   every message to `_local/qdhello`, `qdrouter` and `qdrouter.ma` that arrives on a control
///   link; [`set_address`](Self::set_address) and [`remove_address`](Self::remove_address) when
///   this router begins and ends to serve an address; [`handle_timeout`](Self::handle_timeout) when
///   [`poll_timeout`](Self::poll_timeout) is past.
/// * After every input, [`poll_action`](Self::poll_action) until it returns `None`, each action in
///   order; then `poll_timeout`.
/// * `now` never goes back.
///
/// # What it expects of the forwarding core
///
/// * It releases a message with a trace longer than [`Routes::hop_limit`]. It still gives routing
///   messages that are addressed to *this* router, or flooded (class `T`), to `handle_message`:
///   they make the limit grow.
/// * It forwards a routing message for another router (class `R`) as any other, on the control
///   links, if [`RoutingProtocol::may_pass`] allows it. The machine does not see it.
/// * It gives a HELLO to the machine only if it was sent to
///   [`HELLO_ADDRESS`](crate::topology::message::HELLO_ADDRESS): other forms of that address come
///   from afar.
/// * It gives a flooded message to the machine, and forwards it on just the links that
///   `handle_message` returns, with this router added to its trace. (The general rules, which C
///   routers follow, are [`Routes::flood_links`] for RA and [`Routes::tree_links`] for MAU. For an
///   RA the machine returns fewer: a copy of an RA that it passed on lately goes no further. In a
///   well-connected network the copies would grow with the power of its radius.)
#[derive(Debug)]
pub struct RoutingProtocol {
    topology: Topology,
    mobile: Mobile,
    actions: VecDeque<Action>,
}

impl RoutingProtocol {
    /// Makes the machine of a router that has no links.
    pub fn new(config: Config, now: Instant) -> Self {
        let mobile = Mobile::new(Arc::clone(&config.id));
        Self { topology: Topology::new(config, now), mobile, actions: VecDeque::new() }
    }

    // Inputs.

    /// Takes a new control link; `cost` is the higher of those that the two ends configured.
    pub fn link_up(&mut self, link: LinkId, cost: u32, now: Instant) {
        self.topology.link_up(link, cost, now);
        self.settle(now);
    }

    /// Drops a control link, for whatever reason.
    pub fn link_down(&mut self, link: LinkId, now: Instant) {
        self.topology.link_down(link, now);
        self.settle(now);
    }

    /// Takes a routing message, decoded. Returns the control links on which a copy goes on.
    pub fn handle_message(
        &mut self,
        arrival: &Arrival<'_>,
        message: &Message,
        now: Instant,
    ) -> Vec<LinkId> {
        let word = match message {
            // A HELLO says which router is at the other end. A newer message is passed on for
            // others.
            Message::Hello(_) | Message::Newer { .. } => Word::PassedOn,
            _ => self.topology.word_of(arrival, message.id()),
        };
        if word == Word::Refused {
            return Vec::new();
        }
        let relay = match message {
            Message::Hello(hello) => {
                self.topology.handle_hello(arrival, hello, now);
                Vec::new()
            }
            Message::Ra(ra) if word == Word::Astray => {
                self.topology.handle_astray_ra(ra, now);
                Vec::new()
            }
            Message::Ra(ra) if self.topology.take_copy(arrival, ra, now) => return Vec::new(),
            Message::Ra(ra) => self.topology.handle_ra(arrival, word, ra, now),
            Message::Lsu(lsu) => {
                self.topology.handle_lsu(arrival, word, lsu, now);
                Vec::new()
            }
            Message::Lsr(_) | Message::Mau(_) | Message::Mar(_) if word == Word::Astray => {
                Vec::new()
            }
            Message::Lsr(lsr) => {
                self.topology.handle_lsr(arrival, lsr, now);
                Vec::new()
            }
            Message::Mau(mau) => self.handle_mau(arrival, word, mau, now),
            Message::Mar(mar) => {
                self.handle_mar(arrival, mar, now);
                Vec::new()
            }
            Message::Newer { id, version } => self.topology.handle_newer(arrival, id, *version),
        };
        self.settle(now);
        relay
    }

    /// Takes the addresses of a known router. Those of an unknown one are lost: the RA that makes
    /// it known brings its addresses too. Returns the control links on which a copy goes on.
    fn handle_mau(
        &mut self,
        arrival: &Arrival<'_>,
        word: Word,
        mau: &Mau,
        now: Instant,
    ) -> Vec<LinkId> {
        let Some(router) = self.other(&mau.id) else { return Vec::new() };
        let takes_any_path = word == Word::Own || matches!(mau.content, MauContent::Whole(_));
        let on_tree = takes_any_path || self.topology.is_on_tree(arrival, router, now);
        let source = Source { via: arrival.link, word, on_tree };
        if self.mobile.handle_mau(router, mau, source, now) {
            self.tree_links(arrival, router)
        } else {
            Vec::new()
        }
    }

    /// Answers a request of a known router, as far as its neighbor's allowance goes.
    fn handle_mar(&mut self, arrival: &Arrival<'_>, mar: &Mar, now: Instant) {
        let Some(router) = self.other(&mar.id) else { return };
        self.topology.note_arrival(router, arrival.link);
        let Self { topology, mobile, .. } = self;
        mobile.handle_mar(router, mar, now, |octets| {
            topology.allow_answer(arrival.link, octets, now)
        });
    }

    /// Whether a message on a control link that is addressed to another router may be forwarded: it
    /// says truly from which neighbor it came. So a message that passes honest routers has a true
    /// trace from the first of them on.
    pub fn may_pass(&self, arrival: &Arrival<'_>) -> bool {
        self.topology.is_traced(arrival)
    }

    /// Acts on deadlines that have passed; harmless when none has. If one passed long ago this
    /// router did not run, and no router is lost for its silence meanwhile.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.topology.handle_timeout(now);
        self.settle(now);
    }

    /// Announces an address that this router serves, or new attributes of it. Ignores addresses of
    /// a class that routers do not exchange. Where not all fit into what other routers take, the
    /// `rank` decides which goes first.
    pub fn set_address(
        &mut self,
        address: AddressKey,
        attributes: Attributes,
        rank: Rank,
        now: Instant,
    ) {
        self.mobile.set(address, attributes, rank);
        self.settle(now);
    }

    /// Withdraws an address.
    pub fn remove_address(&mut self, address: &AddressKey, now: Instant) {
        self.mobile.remove(address);
        self.settle(now);
    }

    /// Withdraws all addresses at once, for this router is about to stop.
    pub fn withdraw(&mut self, now: Instant) {
        self.mobile.remove_all(now);
        self.settle(now);
    }

    // Outputs.

    /// Returns the next action.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Returns when [`Self::handle_timeout`] is to be called, at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.topology.poll_timeout(), self.mobile.poll_timeout()].into_iter().flatten().min()
    }

    // Getters.

    /// Returns the present routes.
    pub const fn routes(&self) -> &Arc<Routes> {
        self.topology.routes()
    }

    /// Returns the configuration.
    pub const fn config(&self) -> &Config {
        self.topology.config()
    }

    /// Returns the control links.
    pub fn links(&self) -> impl Iterator<Item = &LinkStatus> {
        self.topology.link_states()
    }

    /// Returns the neighbors.
    pub fn neighbors(&self) -> impl Iterator<Item = NeighborStatus> {
        self.topology.neighbor_states()
    }

    /// Returns the known routers but this one, reachable or not.
    pub fn routers(&self) -> impl Iterator<Item = RouterStatus> {
        self.topology.router_states()
    }

    /// Returns the addresses that another router serves.
    pub fn addresses(
        &self,
        router: RouterIndex,
    ) -> impl Iterator<Item = (&AddressKey, &Attributes)> {
        self.mobile.addresses(router)
    }

    /// Returns the number of a router's last known change of addresses.
    pub fn mobile_seq(&self, router: RouterIndex) -> u64 {
        if router == RouterIndex::OWN { self.mobile.seq() } else { self.mobile.known(router) }
    }

    /// Returns the number of this router's link state.
    pub fn ls_seq(&self) -> u64 {
        self.topology.own_ls_seq()
    }

    /// Returns when the routes changed last.
    pub const fn last_change(&self) -> Instant {
        self.topology.last_change()
    }

    fn other(&self, id: &str) -> Option<RouterIndex> {
        self.topology.find(id).filter(|router| *router != RouterIndex::OWN)
    }

    /// Returns the links on which a flooded MAU goes on: along the tree of its router, as C routers
    /// do.
    fn tree_links(&self, arrival: &Arrival<'_>, origin: RouterIndex) -> Vec<LinkId> {
        if !arrival.flooded
            || !self.topology.is_traced(arrival)
            || arrival.trace.routers().any(|id| id == &*self.config().id)
        {
            return Vec::new();
        }
        let mut links = self.routes().tree_links(origin, &arrival.trace);
        links.retain(|link| *link != arrival.link);
        links
    }

    /// Brings both machines to rest after an input.
    fn settle(&mut self, now: Instant) {
        self.topology.update_routes(now);
        self.take_topology(now);
        self.mobile.advance(now);
        // A MAU goes before the RA with its number, or its receivers would ask for what is under
        // way.
        self.take_mobile();
        self.topology.advertise(now);
        self.take_topology(now);
        self.mobile.advance(now);
        self.take_mobile();
    }

    fn take_topology(&mut self, now: Instant) {
        while let Some(event) = self.topology.poll_event() {
            match event {
                TopologyEvent::Send { links, to, message } => {
                    self.send(links, to, message.into());
                }
                TopologyEvent::Routes => self.actions.push_back(Action::RoutesChanged),
                TopologyEvent::Advertised { router, mobile_seq, digest } => {
                    self.mobile.advertised(router, mobile_seq, digest, now);
                }
                TopologyEvent::Discovered(router) => self.mobile.discovered(router, now),
                TopologyEvent::Reachable(router, reachable) => {
                    self.mobile.reachable(router, reachable)
                }
                TopologyEvent::Flush { router, restarted } => {
                    self.mobile.flush(router, restarted);
                    self.take_mobile();
                }
                TopologyEvent::Lost(router, id) => {
                    self.mobile.forget(router);
                    self.actions.push_back(Action::RouterLost { router, id });
                }
                TopologyEvent::Notice(notice) => self.actions.push_back(Action::Notice(notice)),
            }
        }
    }

    fn take_mobile(&mut self) {
        while let Some(event) = self.mobile.poll_event() {
            match event {
                MobileEvent::Changed(mau) => {
                    self.topology.set_mobile_seq(mau.mobile_seq, self.mobile.digest());
                    let links = self.routes().tree_links(RouterIndex::OWN, &Trace::default());
                    self.send(links, MOBILE_FLOOD_ADDRESS.into(), Message::Mau(mau));
                }
                MobileEvent::Whole(router, mau) => self.send_to(router, Message::Mau(mau)),
                MobileEvent::Request(router, mar) => self.send_to(router, Message::Mar(mar)),
                MobileEvent::Added(router, address, attributes) => {
                    self.actions.push_back(Action::AddressAdded { router, address, attributes });
                }
                MobileEvent::Updated(router, address, attributes) => {
                    self.actions.push_back(Action::AddressUpdated { router, address, attributes });
                }
                MobileEvent::Removed(router, address) => {
                    self.actions.push_back(Action::AddressRemoved { router, address })
                }
                MobileEvent::TooMany(router) => {
                    if let Some(id) = self.topology.id(router).cloned() {
                        self.actions.push_back(Action::Notice(Notice::TooManyAddresses { id }));
                    }
                }
            }
        }
    }

    fn send_to(&mut self, router: RouterIndex, message: Message) {
        if let (Some(link), Some(id)) =
            (self.topology.link_toward(router), self.topology.id(router))
        {
            let to = mobile_address(id).into();
            self.send(vec![link], to, message);
        }
    }

    fn send(&mut self, links: Vec<LinkId>, to: Cow<'static, str>, message: Message) {
        if !links.is_empty() {
            self.actions.push_back(Action::Send(Envelope { links, to, message }));
        }
    }
}
