//! A router that behaves like the C router as far as neighbors can tell. It works once a second,
//! and computes its radius and valid origins then. Until then it drops messages from further away
//! than it knows of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use skupper_proto::address::{AddressClass, AddressKey, AddressSpace, RouterMode};
use skupper_proto::annotations::node_text;
use skupper_proto::mobile::Attributes;
use skupper_proto::mobile::message::{
    AddressEntry, MOBILE_FLOOD_ADDRESS, Mar, Mau, MauContent, mobile_address,
};
use skupper_proto::routing::Message;
use skupper_proto::time::Instant;
use skupper_proto::topology::LinkId;
use skupper_proto::topology::message::{
    FLOOD_ADDRESS, HELLO_ADDRESS, Hello, Lsr, Lsu, Ra, router_address,
};

use crate::sim::Packet;

#[derive(Default)]
struct Known {
    instance: Option<i64>,
    link: Option<LinkId>,
    refreshed: Option<Instant>,
    ls_seq: u64,
    peers: BTreeMap<String, u64>,
    seen: Option<Instant>,
    next_hop: Option<String>,
    valid_origins: BTreeSet<String>,
    mobile_seq: u64,
    mobile_requested: bool,
    addresses: BTreeSet<AddressKey>,
    need_ls: bool,
    need_mobile: bool,
    idle_ticks: u32,
}

pub(crate) struct CRouter {
    id: String,
    own: Box<str>,
    space: AddressSpace,
    instance: i64,
    next_tick: Instant,
    links: BTreeMap<LinkId, u32>,
    hellos: BTreeMap<String, Instant>,
    known: BTreeMap<String, Known>,
    ls_seq: u64,
    peers: BTreeMap<String, u64>,
    ls_changed: bool,
    recompute: bool,
    last_change: Option<Instant>,
    last_ra: Option<Instant>,
    unreachable: Vec<String>,
    hold_off: Option<u32>,
    pub(crate) radius: usize,
    mobile_seq: u64,
    served: BTreeMap<AddressKey, Attributes>,
    announced: BTreeMap<AddressKey, Attributes>,
    out: Vec<(LinkId, Packet)>,
    /// Messages that it dropped because they came from further away than it knew of.
    pub(crate) released: u64,
}

impl CRouter {
    pub(crate) fn new(id: &str, instance: i64, first_tick: Instant) -> Self {
        Self {
            id: id.to_owned(),
            own: node_text(id),
            space: AddressSpace::new(RouterMode::Interior, id, None),
            instance,
            next_tick: first_tick,
            links: BTreeMap::new(),
            hellos: BTreeMap::new(),
            known: BTreeMap::new(),
            ls_seq: 0,
            peers: BTreeMap::new(),
            ls_changed: false,
            recompute: false,
            last_change: None,
            last_ra: None,
            unreachable: Vec::new(),
            hold_off: None,
            radius: 0,
            mobile_seq: 0,
            served: BTreeMap::new(),
            announced: BTreeMap::new(),
            out: Vec::new(),
            released: 0,
        }
    }

    pub(crate) fn sequences(&self) -> (u64, u64) {
        (self.ls_seq, self.mobile_seq)
    }

    pub(crate) fn next_tick(&self) -> Instant {
        self.next_tick
    }

    pub(crate) fn link_up(&mut self, link: LinkId, cost: u32) {
        self.links.insert(link, cost);
    }

    pub(crate) fn link_down(&mut self, link: LinkId) {
        self.links.remove(&link);
        let lost: Vec<String> = self
            .known
            .iter()
            .filter(|(_, k)| k.link == Some(link))
            .map(|(id, _)| id.clone())
            .collect();
        for id in lost {
            self.lose(&id);
        }
    }

    pub(crate) fn serve(&mut self, key: AddressKey, attributes: Attributes) {
        self.served.insert(key, attributes);
    }

    pub(crate) fn unserve(&mut self, key: &AddressKey) {
        self.served.remove(key);
    }

    pub(crate) fn drain(&mut self, out: &mut Vec<(LinkId, Packet)>) {
        out.append(&mut self.out);
    }

    /// Returns the next hop to each reachable router.
    pub(crate) fn next_hops(&self) -> BTreeMap<String, String> {
        let hop = |(id, k): (&String, &Known)| {
            let hop = k.next_hop.clone().or_else(|| k.link.map(|_| id.clone()))?;
            Some((id.clone(), hop))
        };
        self.known.iter().filter_map(hop).collect()
    }

    pub(crate) fn addresses(&self, id: &str) -> BTreeSet<AddressKey> {
        self.known.get(id).map(|k| k.addresses.clone()).unwrap_or_default()
    }

    fn lose(&mut self, id: &str) {
        if let Some(known) = self.known.get_mut(id) {
            known.link = None;
            known.refreshed = None;
        }
        if self.peers.remove(id).is_some() {
            self.ls_changed = true;
        }
    }

    fn learn(&mut self, id: &str, instance: Option<i64>) -> &mut Known {
        self.known.entry(id.to_owned()).or_insert_with(|| Known {
            instance,
            need_ls: true,
            ..Known::default()
        })
    }

    fn link_toward(&self, id: &str) -> Option<LinkId> {
        let known = self.known.get(id)?;
        match &known.next_hop {
            Some(hop) => self.known.get(hop)?.link,
            None => known.link,
        }
    }

    fn unicast(&mut self, id: &str, to: String, message: Message) {
        if let Some(link) = self.link_toward(id) {
            self.out.push((link, Packet::new(&self.own, &to, message)));
        }
    }

    fn flood(&self, origin: Option<&str>, trace: &[String]) -> BTreeSet<LinkId> {
        let excluded: BTreeSet<LinkId> =
            trace.iter().filter_map(|id| self.known.get(id)?.link).collect();
        let valid =
            |known: &Known| origin.is_none_or(|origin| known.valid_origins.contains(origin));
        let links = self
            .known
            .iter()
            .filter(|(_, known)| valid(known))
            .filter_map(|(id, _)| self.link_toward(id));
        links.filter(|link| !excluded.contains(link)).collect()
    }

    fn flood_own(&mut self, to: &str, message: Message) {
        let packet = Packet::new(&self.own, to, message);
        let links = self.flood(None, &[]);
        self.out.extend(links.into_iter().map(|link| (link, packet.clone())));
    }

    fn send_ra(&mut self, now: Instant) {
        self.last_ra = Some(now);
        let (ls_seq, mobile_seq) = (self.ls_seq, self.mobile_seq);
        let ra = Ra {
            id: self.id.as_str().into(),
            instance: Some(self.instance),
            ls_seq,
            mobile_seq,
            digests: None,
        };
        self.flood_own(FLOOD_ADDRESS, Message::Ra(ra));
    }

    fn send_lsr(&mut self, id: &str) {
        let lsr = Lsr { id: self.id.as_str().into() };
        self.unicast(id, router_address(id), Message::Lsr(lsr));
    }

    fn send_mar(&mut self, id: &str) {
        let have_seq = self.known.get(id).map_or(0, |known| known.mobile_seq);
        let mar = Mar { id: self.id.as_str().into(), have_seq };
        self.unicast(id, mobile_address(id), Message::Mar(mar));
    }

    pub(crate) fn receive(
        &mut self,
        link: LinkId,
        packet: &Packet,
        now: Instant,
        out: &mut Vec<(LinkId, Packet)>,
    ) {
        let annotations = packet.read();
        let trace: Vec<String> = annotations.trace.routers().map(str::to_owned).collect();
        if trace.len() > self.radius + 1 {
            self.released += 1;
            return;
        }
        let address = self.space.classify(&packet.to);
        let relay: Vec<LinkId> = match address.class {
            AddressClass::Router => self.link_toward(address.text).into_iter().collect(),
            AddressClass::Topological => {
                let tree = &*packet.to == MOBILE_FLOOD_ADDRESS;
                self.flood(tree.then(|| trace.first().map_or("", String::as_str)), &trace)
                    .into_iter()
                    .collect()
            }
            _ => Vec::new(),
        };
        out.extend(relay.into_iter().map(|link| (link, packet.forwarded(&self.own))));
        if address.class != AddressClass::Router {
            self.handle(link, &packet.message, now);
        }
    }

    fn handle(&mut self, link: LinkId, message: &Message, now: Instant) {
        if **message.id() == *self.id {
            return;
        }
        match message {
            Message::Hello(hello) => self.handle_hello(link, hello, now),
            Message::Ra(ra) => {
                self.learn(&ra.id, ra.instance);
                self.update_instance(&ra.id, ra.instance);
                let Some(known) = self.known.get_mut(&*ra.id) else { return };
                known.seen = Some(now);
                let behind = known.ls_seq < ra.ls_seq;
                if known.mobile_seq < ra.mobile_seq {
                    known.need_mobile = true;
                }
                if behind {
                    self.send_lsr(&ra.id);
                }
            }
            Message::Lsr(lsr) => {
                self.learn(&lsr.id, None);
                let peers = self
                    .peers
                    .iter()
                    .map(|(id, cost)| (Arc::from(id.as_str()), *cost as u32))
                    .collect();
                let lsu = Lsu {
                    id: self.id.as_str().into(),
                    instance: Some(self.instance),
                    ls_seq: self.ls_seq,
                    peers,
                };
                self.unicast(&lsr.id, router_address(&lsr.id), Message::Lsu(lsu));
            }
            Message::Lsu(lsu) => {
                let known = self.learn(&lsu.id, lsu.instance);
                if lsu.ls_seq > known.ls_seq {
                    known.ls_seq = lsu.ls_seq;
                    known.seen = Some(now);
                    known.peers = lsu
                        .peers
                        .iter()
                        .map(|(id, cost)| (id.to_string(), u64::from(*cost)))
                        .collect();
                    self.recompute = true;
                    for (id, _) in &lsu.peers {
                        if **id != *self.id {
                            self.learn(id, None);
                        }
                    }
                }
            }
            Message::Mau(mau) => self.handle_mau(mau),
            Message::Mar(mar) => {
                if mar.have_seq < self.mobile_seq && self.known.contains_key(&*mar.id) {
                    let content = MauContent::Whole(
                        self.announced.iter().map(|(key, a)| entry(key, a)).collect(),
                    );
                    let mau =
                        Mau { id: self.id.as_str().into(), mobile_seq: self.mobile_seq, content };
                    self.unicast(&mar.id, mobile_address(&mar.id), Message::Mau(mau));
                }
            }
            Message::Newer { .. } => {}
        }
    }

    fn handle_hello(&mut self, link: LinkId, hello: &Hello, now: Instant) {
        self.hellos.insert(hello.id.to_string(), now);
        if !hello.seen.iter().any(|id| **id == *self.id) {
            return;
        }
        let cost = self.links.get(&link).copied().unwrap_or(1);
        let known = self.learn(&hello.id, hello.instance);
        if known.link != Some(link) {
            known.link = Some(link);
            known.next_hop = None;
            known.need_ls = true;
            if !self.peers.contains_key(&*hello.id) {
                self.peers.insert(hello.id.to_string(), u64::from(cost));
                self.ls_changed = true;
            }
        }
        if let Some(known) = self.known.get_mut(&*hello.id) {
            known.refreshed = Some(now);
        }
        self.update_instance(&hello.id, hello.instance);
    }

    fn update_instance(&mut self, id: &str, instance: Option<i64>) {
        let (Some(known), Some(instance)) = (self.known.get_mut(id), instance) else { return };
        if *known.instance.get_or_insert(instance) != instance {
            known.instance = Some(instance);
            known.peers.clear();
            known.ls_seq = 0;
            known.mobile_seq = 0;
            known.addresses.clear();
            known.need_ls = true;
            self.recompute = true;
        }
    }

    fn handle_mau(&mut self, mau: &Mau) {
        let Some(known) = self.known.get_mut(&*mau.id) else { return };
        match &mau.content {
            MauContent::Change { .. } if mau.mobile_seq != known.mobile_seq + 1 => {
                if !std::mem::replace(&mut known.mobile_requested, true) {
                    self.send_mar(&mau.id);
                }
                return;
            }
            MauContent::Change { add, del } => {
                known.addresses.extend(add.iter().map(|entry| entry.key.clone()));
                known.addresses.retain(|key| !del.contains(key));
            }
            MauContent::Whole(all) => {
                known.addresses = all.iter().map(|entry| entry.key.clone()).collect()
            }
        }
        known.mobile_requested = false;
        known.mobile_seq = mau.mobile_seq;
    }

    pub(crate) fn tick(&mut self, now: Instant) {
        self.next_tick = now + Duration::from_secs(1);
        let older =
            |at: Option<Instant>, age| at.is_none_or(|at| now - at > Duration::from_secs(age));
        self.hellos.retain(|_, at| !older(Some(*at), 3));
        let seen = self.hellos.keys().map(|id| id.as_str().into()).collect();
        let hello = Message::Hello(Hello {
            id: self.id.as_str().into(),
            instance: Some(self.instance),
            seen,
        });
        let packet = Packet::new(&self.own, HELLO_ADDRESS, hello);
        self.out.extend(self.links.keys().map(|link| (*link, packet.clone())));
        let in_flux = !older(self.last_change, 8);
        if self
            .last_ra
            .is_none_or(|at| now - at >= Duration::from_secs(if in_flux { 4 } else { 30 }))
        {
            self.send_ra(now);
        }
        self.expire(now);
        if self.ls_changed || self.recompute {
            self.last_change = Some(now);
        }
        let send_ra = std::mem::take(&mut self.ls_changed);
        if send_ra {
            self.ls_seq += 1;
            self.recompute = true;
        }
        if std::mem::take(&mut self.recompute) {
            self.compute();
        }
        match self.hold_off {
            Some(0) => {
                self.hold_off = None;
                for id in std::mem::take(&mut self.unreachable) {
                    if let Some(known) = self.known.get_mut(&id) {
                        known.mobile_seq = 0;
                        known.addresses.clear();
                    }
                }
            }
            Some(ticks) => self.hold_off = Some(ticks - 1),
            None => {}
        }
        for id in self.known.keys().cloned().collect::<Vec<_>>() {
            let Some(known) = self.known.get_mut(&id) else { continue };
            if known.link.is_none() && known.next_hop.is_none() {
                continue;
            }
            let (ls, mobile) =
                (std::mem::take(&mut known.need_ls), std::mem::take(&mut known.need_mobile));
            if ls {
                self.send_lsr(&id);
            }
            if mobile {
                self.send_mar(&id);
            }
        }
        if send_ra {
            self.send_ra(now);
        }
        self.tick_mobile(now);
    }

    fn expire(&mut self, now: Instant) {
        let older =
            |at: Option<Instant>, age| at.is_none_or(|at| now - at > Duration::from_secs(age));
        let silent = |k: &Known| k.link.is_some() && older(k.refreshed, 3);
        for id in self
            .known
            .iter()
            .filter(|(_, k)| silent(k))
            .map(|(id, _)| id.clone())
            .collect::<Vec<_>>()
        {
            self.lose(&id);
        }
        for known in self.known.values_mut() {
            if older(known.seen, 60) && !known.peers.is_empty() {
                known.peers.clear();
                known.ls_seq = 0;
                self.recompute = true;
            }
        }
        let named: BTreeSet<String> =
            self.known.values().flat_map(|k| k.peers.keys().cloned()).collect();
        self.known.retain(|id, known| {
            if known.peers.is_empty() && known.link.is_none() && !named.contains(id) {
                known.idle_ticks += 1;
            }
            known.idle_ticks <= 2
        });
    }

    fn compute(&mut self) {
        let mut graph: Graph =
            self.known.iter().map(|(id, known)| (id.clone(), known.peers.clone())).collect();
        graph.insert(self.id.clone(), self.peers.clone());
        let own = shortest_paths(&graph, &self.id);
        self.radius = own.values().map(|path| path.hops).max().unwrap_or(0);
        let reachable: Vec<String> = own.keys().filter(|id| **id != self.id).cloned().collect();
        let mut valid_origins: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for root in &reachable {
            let tree = shortest_paths(&graph, root);
            for (dest, path) in &tree {
                if path.through.contains(&self.id) {
                    valid_origins.entry(dest.clone()).or_default().insert(root.clone());
                }
            }
        }
        for (id, known) in &mut self.known {
            if let Some(path) = own.get(id) {
                let hop = path.through.get(1).cloned().unwrap_or_else(|| id.clone());
                known.next_hop = (hop != *id).then_some(hop);
                known.valid_origins = valid_origins.remove(id).unwrap_or_default();
            }
        }
        self.unreachable = self.known.keys().filter(|id| !own.contains_key(*id)).cloned().collect();
        self.hold_off = (!self.unreachable.is_empty()).then_some(1);
    }

    fn tick_mobile(&mut self, now: Instant) {
        if self.served == self.announced {
            return;
        }
        let changed = |(key, a): &(&AddressKey, &Attributes)| self.announced.get(*key) != Some(*a);
        let add = self.served.iter().filter(changed).map(|(key, a)| entry(key, a)).collect();
        let del =
            self.announced.keys().filter(|key| !self.served.contains_key(*key)).cloned().collect();
        self.announced = self.served.clone();
        self.mobile_seq += 1;
        let content = MauContent::Change { add, del };
        let mau = Mau { id: self.id.as_str().into(), mobile_seq: self.mobile_seq, content };
        self.flood_own(MOBILE_FLOOD_ADDRESS, Message::Mau(mau));
        self.send_ra(now);
    }
}

fn entry(key: &AddressKey, attributes: &Attributes) -> AddressEntry {
    AddressEntry { key: key.clone(), attributes: attributes.clone() }
}

/// Routers, their neighbors and the costs, as announced.
type Graph = BTreeMap<String, BTreeMap<String, u64>>;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Path {
    cost: u64,
    hops: usize,
    /// The routers on the path before its end, the root first.
    through: Vec<String>,
}

/// Computes paths by Dijkstra's algorithm with a sorted list: of equally cheap routers the one with
/// the lower id is settled first, and only a cheaper path replaces another.
fn shortest_paths(graph: &Graph, root: &str) -> BTreeMap<String, Path> {
    let mut paths =
        BTreeMap::from([(root.to_owned(), Path { cost: 0, hops: 0, through: Vec::new() })]);
    let mut settled = BTreeSet::new();
    while let Some((id, path)) = paths
        .iter()
        .filter(|(id, _)| !settled.contains(*id))
        .min_by(|a, b| (a.1.cost, a.0).cmp(&(b.1.cost, b.0)))
    {
        let (id, path) = (id.clone(), path.clone());
        for (peer, cost) in graph.get(&id).into_iter().flatten() {
            let through = path.through.iter().chain([&id]).cloned().collect();
            let candidate = Path { cost: path.cost + cost, hops: path.hops + 1, through };
            if !settled.contains(peer)
                && paths.get(peer).is_none_or(|known| candidate.cost < known.cost)
            {
                paths.insert(peer.clone(), candidate);
            }
        }
        settled.insert(id);
    }
    paths
}
