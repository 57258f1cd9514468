//! The core's changeable part: the routing protocol's machine, trunks and their groups, behind the
//! one lock.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use skupper_proto::address::{AddressClass, RouterMode};
use skupper_proto::amqp::condition;
use skupper_proto::amqp::message::{self, Properties, Scan};
use skupper_proto::amqp::performative::Error;
use skupper_proto::annotations::{self, Parsed};
use skupper_proto::edge::Bid;
use skupper_proto::mobile::Attributes;
use skupper_proto::routing::{self, Action, RoutingProtocol};
use skupper_proto::time::Instant;
use skupper_proto::topology::{
    self, Arrival, LinkId, LinkStatus, Notice, RouterIndex, RouterStatus,
};

use super::address::Address;
use super::allowance::{Allowance, CLIENT_ADDRESS_OCTETS, CLIENT_ADDRESSES};
use super::delivery::Message;
use super::edge::Edges;
use super::mailbox::{Command, Mailbox, Via};
use super::router::{Core, Routes};
use super::trunk::{Trunk, TrunkId};

/// How the address ends by which a HELLO goes to the router at the other end of a link, whoever
/// that is.
const HELLO: &str = "_local/qdhello";

/// Notices kept for the log until somebody takes them.
const MAX_NOTICES: usize = 256;

/// What the connections of one trunk have in common: the peer and its connector's correlator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey {
    container: Arc<str>,
    correlator: Arc<str>,
}

impl GroupKey {
    /// The group of a peer's container-id and a correlator.
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
    /// The ordinal of its certificates: of the connections of one group, the higher take the place
    /// of the lower.
    pub ordinal: u64,
    /// The connection.
    pub control: Arc<Mailbox>,
    /// The peer takes streams on data connections.
    pub trunking: bool,
}

#[derive(Debug, Default)]
struct Group {
    trunk: Option<Arc<Trunk>>,
    /// Its data connections, with the ordinals of their certificates.
    data: Vec<(u64, Arc<Mailbox>)>,
}

impl Group {
    /// Gives the trunk the data connections that were made with the same certificates.
    fn share(&self) {
        if let Some(trunk) = &self.trunk {
            let alike = self.data.iter().filter(|(ordinal, _)| *ordinal == trunk.ordinal());
            trunk.set_data(alike.map(|(_, data)| Arc::clone(data)).collect());
        }
    }
}

/// What only one thread changes at a time.
#[derive(Debug)]
pub(super) struct State {
    routing: RoutingProtocol,
    trunks: BTreeMap<TrunkId, (Arc<Trunk>, Option<GroupKey>)>,
    groups: HashMap<GroupKey, Group>,
    next_trunk: u64,
    pub(super) edges: Edges,
    /// What is left of the addresses that clients may have.
    pub(super) clients: Allowance,
    notices: VecDeque<Notice>,
    /// Woken when the routing machine wants its time-out earlier.
    timer: Option<Waker>,
    /// What the timer waits for.
    armed: Option<Instant>,
    now: Instant,
    stopped: bool,
}

impl State {
    pub(super) fn new(config: topology::Config, bid: Option<Bid>, now: Instant) -> Self {
        Self {
            routing: RoutingProtocol::new(config, now),
            trunks: BTreeMap::new(),
            groups: HashMap::new(),
            next_trunk: 1,
            edges: Edges::new(bid),
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

    /// The latest time that was told: for changes whose cause knows no time.
    pub(super) const fn now(&self) -> Instant {
        self.now
    }

    /// Whether the router withdraws from the network.
    pub(super) const fn is_stopped(&self) -> bool {
        self.stopped
    }

    fn at(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        self.now
    }

    /// Tells the network whether this router consumes an address.
    pub(super) fn advertise(&mut self, core: &Core, address: &Address, now: Instant) {
        let now = self.at(now);
        if self.stopped || !address.key().class().is_advertised() {
            return;
        }
        self.edges.change(address.key());
        if core.mode() == RouterMode::Edge {
            return;
        }
        if address.local_consumers() > 0 {
            let (sole_mesh, early) = (address.sole_mesh(), address.is_early());
            let attributes =
                Attributes { sole_mesh, early, ..Attributes::new(address.treatment()) };
            self.routing.set_address(address.key().clone(), attributes, address.rank(), now);
        } else {
            self.routing.remove_address(address.key(), now);
        }
        self.drain(core);
    }

    /// Does what the machine wants done.
    fn drain(&mut self, core: &Core) {
        while let Some(action) = self.routing.poll_action() {
            match action {
                Action::Send(envelope) => {
                    let octets = Bytes::from(envelope.encode(core.node()));
                    // What we make ourselves parses; the annotations are made again when it is
                    // sent.
                    let length = match annotations::parse(&octets) {
                        Ok(Parsed::Present(annotations)) => annotations.length,
                        _ => 0,
                    };
                    let message = Message {
                        sections: octets.slice(length..),
                        presettled: true,
                        ..Message::default()
                    };
                    for link in &envelope.links {
                        if let Some((trunk, _)) = self.trunks.get(link) {
                            core.send(trunk.control(), message.clone(), Via::Control);
                        }
                    }
                }
                Action::RoutesChanged => self.publish(core),
                // Of an address that is known already the treatment is settled.
                Action::AddressAdded { router, address, attributes }
                | Action::AddressUpdated { router, address, attributes } => {
                    if let Some(id) = self.routing.routes().id(router) {
                        core.set_remote(&address, id, Some(&attributes));
                    }
                }
                Action::AddressRemoved { router, address } => {
                    if let Some(id) = self.routing.routes().id(router) {
                        core.set_remote(&address, id, None);
                    }
                }
                Action::RouterLost { .. } => {}
                Action::Notice(notice) => {
                    if self.notices.len() < MAX_NOTICES {
                        self.notices.push_back(notice);
                    }
                    self.wake_timer();
                }
            }
        }
        if self.routing.poll_timeout() < self.armed || self.armed.is_none() {
            self.wake_timer();
        }
    }

    fn wake_timer(&mut self) {
        if let Some(waker) = self.timer.take() {
            waker.wake();
        }
    }

    fn publish(&self, core: &Core) {
        let trunks = self.trunks.iter().map(|(id, (trunk, _))| (*id, Arc::clone(trunk))).collect();
        core.routes.store(Arc::new(Routes { table: Arc::clone(self.routing.routes()), trunks }));
    }
}

impl Core {
    /// A control connection is ready. One that its peer had before, and that this one replaces, is
    /// closed; but one with older certificates goes on for the streams that it carries, and for
    /// nothing new.
    pub fn trunk_up(&self, up: TrunkUp, now: Instant) -> Arc<Trunk> {
        let mut state = self.lock();
        let now = state.at(now);
        let key = up.group.clone();
        let former = key.as_ref().and_then(|key| state.groups.get(key)?.trunk.clone());
        if let Some(former) = former.as_ref().filter(|former| former.ordinal() > up.ordinal) {
            let error = Error::new(
                condition::CONNECTION_FORCED,
                "the connector has a connection with newer certificates",
            );
            let _ = up.control.send(Command::Close(Some(error)));
            return Trunk::new(former.id(), up);
        }
        // To the routing protocol, newer certificates are no news: it is the same way.
        let upgraded = former
            .as_ref()
            .filter(|former| former.ordinal() < up.ordinal && former.cost() == up.cost);
        let id = upgraded.map_or(LinkId(state.next_trunk), |former| former.id());
        if upgraded.is_none() {
            state.next_trunk += 1;
        }
        let trunk = Trunk::new(id, up);
        if let Some(key) = &key {
            let group = state.groups.entry(key.clone()).or_default();
            group.trunk = Some(Arc::clone(&trunk));
            group.share();
        }
        let is_news = upgraded.is_none();
        state.trunks.insert(id, (Arc::clone(&trunk), key));
        if let Some(former) = former {
            // One that is gone needs no word.
            if former.ordinal() < trunk.ordinal() {
                let _ = former.control().send(Command::Retire);
            } else {
                let error = Error::new(
                    condition::CONNECTION_FORCED,
                    "a newer connection of the same connector replaces this one",
                );
                let _ = former.control().send(Command::Close(Some(error)));
            }
            if is_news {
                state.trunks.remove(&former.id());
                state.routing.link_down(former.id(), now);
            }
        }
        state.publish(self);
        if is_news {
            state.routing.link_up(id, trunk.cost(), now);
        }
        state.drain(self);
        trunk
    }

    /// A control connection is gone.
    pub fn trunk_down(&self, trunk: &Arc<Trunk>, now: Instant) {
        let mut state = self.lock();
        let now = state.at(now);
        if state.trunks.get(&trunk.id()).is_none_or(|(known, _)| !Arc::ptr_eq(known, trunk)) {
            // Another has taken its place.
            return;
        }
        let Some((_, group)) = state.trunks.remove(&trunk.id()) else { return };
        if let Some(key) = group
            && let Some(group) = state.groups.get_mut(&key)
        {
            group.trunk = None;
            if group.data.is_empty() {
                state.groups.remove(&key);
            }
        }
        state.routing.link_down(trunk.id(), now);
        state.drain(self);
        state.publish(self);
    }

    /// A data connection is ready, made with certificates of this ordinal.
    pub fn data_up(&self, key: &GroupKey, ordinal: u64, data: &Arc<Mailbox>) {
        let mut state = self.lock();
        let group = state.groups.entry(key.clone()).or_default();
        group.data.push((ordinal, Arc::clone(data)));
        group.share();
    }

    /// A data connection is gone.
    pub fn data_down(&self, key: &GroupKey, data: &Arc<Mailbox>) {
        let mut state = self.lock();
        let Some(group) = state.groups.get_mut(key) else { return };
        group.data.retain(|(_, known)| !Arc::ptr_eq(known, data));
        group.share();
        if group.trunk.is_none() && group.data.is_empty() {
            state.groups.remove(key);
        }
    }

    /// A message arrived on a control link: one of the routing protocol for this router, or one to
    /// pass on.
    pub fn control_message(&self, from: TrunkId, octets: &Bytes, now: Instant) {
        // A peer that is no router may leave annotations out: such a message has passed nobody.
        let annotations = match annotations::parse(octets) {
            Ok(Parsed::Present(annotations)) => Some(annotations),
            Ok(Parsed::Absent) => None,
            _ => return,
        };
        let length = annotations.as_ref().map_or(0, |annotations| annotations.length);
        let trace = annotations.as_ref().map(|annotations| annotations.trace).unwrap_or_default();
        let sections = octets.slice(length..);
        let Ok(Scan::Complete(head)) = message::scan(&sections, true, false) else { return };
        let Some(Ok(properties)) =
            head.properties.map(|span| Properties::decode_fields(&mut span.of(&sections)))
        else {
            return;
        };
        let Some(to) =
            annotations.and_then(|it| it.to_override).map(str::to_owned).or(properties.to)
        else {
            return;
        };
        let key = self.space().classify(&to);
        let copy = || Message {
            annotations: octets.slice(..length),
            sections: sections.clone(),
            presettled: true,
            ..Message::default()
        };
        match key.class {
            AddressClass::Router => {
                let routes = self.routes.load();
                let arrival = Arrival { link: from, trace, flooded: false };
                let may_pass = trace.len() <= routes.table.hop_limit()
                    && self.lock().routing.may_pass(&arrival);
                if let Some(way) = routes.get(key.text).filter(|_| may_pass) {
                    self.send(way.trunk.control(), copy(), Via::Control);
                }
            }
            AddressClass::Local | AddressClass::Topological
                if matches!(key.text, "qdhello" | "qdrouter" | "qdrouter.ma") =>
            {
                let Ok(message) = routing::Message::decode(&sections) else { return };
                // A HELLO that was sent to this router by its id comes from afar.
                if matches!(message, routing::Message::Hello(_)) && !to.ends_with(HELLO) {
                    return;
                }
                let mut state = self.lock();
                let now = state.at(now);
                if !state.trunks.contains_key(&from) {
                    return;
                }
                let arrival =
                    Arrival { link: from, trace, flooded: key.class == AddressClass::Topological };
                for link in state.routing.handle_message(&arrival, &message, now) {
                    if let Some((trunk, _)) = state.trunks.get(&link) {
                        self.send(trunk.control(), copy(), Via::Control);
                    }
                }
                state.drain(self);
            }
            _ => {}
        }
    }

    /// For the task that keeps the routing protocol's time: acts on deadlines that have come, and
    /// returns the next. `waker` is woken when an earlier one arises or a notice waits.
    pub fn poll_timer(&self, now: Instant, waker: &Waker) -> Option<Instant> {
        let mut state = self.lock();
        let now = state.at(now);
        state.timer = None;
        if state.routing.poll_timeout().is_some_and(|deadline| deadline <= now) {
            state.routing.handle_timeout(now);
            state.drain(self);
        }
        state.timer = Some(waker.clone());
        state.armed = state.routing.poll_timeout();
        state.armed
    }

    /// What the operator should be told.
    pub fn take_notices(&self) -> Vec<Notice> {
        self.lock().notices.drain(..).collect()
    }

    /// Withdraws every address of this router: it is about to stop.
    pub fn withdraw(&self, now: Instant) {
        let mut state = self.lock();
        let now = state.at(now);
        state.stopped = true;
        for key in self.addresses.load().keys() {
            state.edges.change(key);
        }
        state.routing.withdraw(now);
        state.drain(self);
    }

    // ----- for status -----

    /// How the routing protocol stands on a trunk's control link.
    pub fn link_status(&self, trunk: TrunkId) -> Option<LinkStatus> {
        self.lock().routing.links().find(|status| status.link == trunk).cloned()
    }

    /// The trunks there are.
    pub fn trunks(&self) -> Vec<Arc<Trunk>> {
        self.lock().trunks.values().map(|(trunk, _)| Arc::clone(trunk)).collect()
    }

    /// The other routers, reachable or not.
    pub fn routers(&self) -> Vec<RouterStatus> {
        self.lock().routing.routers().collect()
    }

    /// Of these routers, the ids of those whose messages for `destination` pass through here.
    pub fn valid_origins<'a>(
        &self,
        destination: RouterIndex,
        routers: &'a [RouterStatus],
    ) -> Vec<&'a str> {
        let routes = self.routes.load();
        let passes = |origin: &&RouterStatus| {
            origin.router != destination && routes.table.is_valid_origin(origin.router, destination)
        };
        routers.iter().filter(passes).map(|router| &*router.id).collect()
    }

    /// The neighbors' ids.
    pub fn neighbors(&self) -> Vec<Arc<str>> {
        self.lock().routing.neighbors().map(|neighbor| Arc::clone(&neighbor.id)).collect()
    }

    /// When the topology changed last.
    pub fn last_topology_change(&self) -> Instant {
        self.lock().routing.last_change()
    }
}
