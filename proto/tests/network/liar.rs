//! The lies of an authenticated neighbor.

use std::sync::Arc;

use fastrand::Rng;
use skupper_proto::address::{AddressKey, Treatment};
use skupper_proto::annotations::{Flags, OutgoingAnnotations, Parsed, node_text, parse};
use skupper_proto::mobile::Attributes;
use skupper_proto::mobile::message::{
    AddressEntry, MOBILE_FLOOD_ADDRESS, Mar, Mau, MauContent, mobile_address,
};
use skupper_proto::routing::Message;
use skupper_proto::topology::message::{
    Digests, FLOOD_ADDRESS, HELLO_ADDRESS, Hello, Lsr, Lsu, Ra, router_address,
};

use crate::sim::{Net, Packet};

/// A sequence that no router reaches.
pub(crate) const HUGE: u64 = i64::MAX as u64 - 1;

/// A lie in the name of `victim`, true as far as it is not said to be forged.
#[derive(Clone, Debug)]
pub(crate) struct Lie {
    pub(crate) victim: usize,
    pub(crate) instance: i64,
    pub(crate) ls_seq: u64,
    pub(crate) mobile_seq: u64,
    pub(crate) peers: Vec<(Arc<str>, u32)>,
    pub(crate) addresses: Vec<AddressEntry>,
    pub(crate) digests: Option<Digests>,
}

impl Lie {
    /// Makes the victim's true sequences with nothing behind them: it has no neighbors and serves
    /// nothing.
    pub(crate) fn of(net: &Net, victim: usize) -> Self {
        let (ls_seq, mobile_seq) = net.sequences(victim);
        let instance = net.nodes[victim].instance;
        Self {
            victim,
            instance,
            ls_seq,
            mobile_seq,
            peers: Vec::new(),
            addresses: Vec::new(),
            digests: None,
        }
    }

    pub(crate) fn huge(self) -> Self {
        Self { ls_seq: HUGE, mobile_seq: HUGE, ..self }
    }

    pub(crate) fn next(self) -> Self {
        Self { ls_seq: self.ls_seq + 1, mobile_seq: self.mobile_seq + 1, ..self }
    }

    pub(crate) fn reborn(self) -> Self {
        Self { instance: self.instance + 1000, ls_seq: 1, mobile_seq: 1, ..self }
    }

    fn id(&self, net: &Net) -> Arc<str> {
        net.nodes[self.victim].id.as_str().into()
    }

    pub(crate) fn ra(&self, net: &Net) -> Message {
        let Self { instance, ls_seq, mobile_seq, digests, .. } = *self;
        Message::Ra(Ra { id: self.id(net), instance: Some(instance), ls_seq, mobile_seq, digests })
    }

    pub(crate) fn lsu(&self, net: &Net) -> Message {
        let (instance, peers) = (Some(self.instance), self.peers.clone());
        Message::Lsu(Lsu { id: self.id(net), instance, ls_seq: self.ls_seq, peers })
    }

    pub(crate) fn whole(&self, net: &Net) -> Message {
        let content = MauContent::Whole(self.addresses.clone());
        Message::Mau(Mau { id: self.id(net), mobile_seq: self.mobile_seq, content })
    }

    pub(crate) fn change(&self, net: &Net) -> Message {
        let del = net.nodes[self.victim].served.keys().cloned().collect();
        let content = MauContent::Change { add: self.addresses.clone(), del };
        Message::Mau(Mau { id: self.id(net), mobile_seq: self.mobile_seq, content })
    }

    pub(crate) fn hello(&self, net: &Net, seen: &str) -> Message {
        Message::Hello(Hello {
            id: self.id(net),
            instance: Some(self.instance),
            seen: vec![seen.into()],
        })
    }
}

/// Makes a message with any trace and destination.
pub(crate) fn packet(trace: &[&str], to: &str, message: Message) -> Packet {
    let mut annotations = Vec::new();
    OutgoingAnnotations::of_edge(Flags::default(), None).encode(&mut annotations);
    for id in trace {
        let mut next = Vec::new();
        match parse(&annotations) {
            Ok(Parsed::Present(parsed)) => parsed.forwarded(&node_text(id)).encode(&mut next),
            other => panic!("{other:?}"),
        }
        annotations = next;
    }
    Packet { annotations, to: to.into(), message: Arc::new(message) }
}

/// Tells every router a whole story in the victim's name, in the order that is believed most
/// readily: RA, link state, addresses. Every message goes by every connection of the liar, with
/// each trace that it may have.
pub(crate) fn tell_all(net: &mut Net, liar: usize, lie: &Lie) {
    let victim = net.nodes[lie.victim].id.clone();
    let own = net.nodes[liar].id.clone();
    let others: Vec<String> = net
        .nodes
        .iter()
        .map(|node| node.id.clone())
        .filter(|id| *id != own && *id != victim)
        .collect();
    let traces: [&[&str]; 4] = [&[&victim, &own], &[&own], &[&victim], &[]];
    for connection in connections_of(net, liar) {
        for trace in traces {
            net.forge(liar, connection, packet(trace, FLOOD_ADDRESS, lie.ra(net)));
            for target in &others {
                net.forge(liar, connection, packet(trace, &router_address(target), lie.ra(net)));
                net.forge(liar, connection, packet(trace, &router_address(target), lie.lsu(net)));
                net.forge(
                    liar,
                    connection,
                    packet(trace, &mobile_address(target), lie.change(net)),
                );
                net.forge(liar, connection, packet(trace, &mobile_address(target), lie.whole(net)));
                net.forge(
                    liar,
                    connection,
                    packet(
                        trace,
                        &format!("amqp:/_topo/0/{target}/qdhello"),
                        lie.hello(net, target),
                    ),
                );
                net.forge(liar, connection, packet(trace, HELLO_ADDRESS, lie.hello(net, target)));
            }
            net.forge(liar, connection, packet(trace, MOBILE_FLOOD_ADDRESS, lie.change(net)));
            net.forge(liar, connection, packet(trace, MOBILE_FLOOD_ADDRESS, lie.whole(net)));
        }
    }
}

pub(crate) fn connections_of(net: &Net, node: usize) -> Vec<usize> {
    (0..net.connections.len()).filter(|at| net.connections[*at].ends.contains(&node)).collect()
}

/// Tells one lie of any kind by one of the liar's connections. Link states and answers go to
/// routers of ours only: C routers believe everything.
pub(crate) fn tell_any(net: &mut Net, liar: usize, rng: &mut Rng) {
    let others: Vec<usize> = (0..net.nodes.len()).filter(|node| *node != liar).collect();
    let ours: Vec<usize> = others.iter().copied().filter(|node| !net.nodes[*node].is_c).collect();
    let connections = connections_of(net, liar);
    let (Some(victim), Some(target)) = (rng.choice(&others).copied(), rng.choice(&ours).copied())
    else {
        return;
    };
    let Some(connection) = rng.choice(&connections).copied() else { return };
    let mut lie = Lie::of(net, victim);
    lie = match rng.u8(0..5) {
        0 => lie.huge(),
        1 => lie.next(),
        2 => lie.reborn(),
        3 => Lie { ls_seq: rng.u64(0..5), mobile_seq: rng.u64(0..5), ..lie },
        _ => lie,
    };
    if rng.bool() {
        lie.peers = others
            .iter()
            .filter(|_| rng.bool())
            .map(|at| (net.nodes[*at].id.as_str().into(), 1))
            .collect();
    }
    if rng.bool() {
        let key = AddressKey::mobile(format!("invented-{}", rng.u8(0..3)));
        lie.addresses =
            vec![AddressEntry { key, attributes: Attributes::new(Treatment::Balanced) }];
    }
    if rng.bool() {
        lie.digests = Some(Digests { link_state: rng.u64(..), addresses: rng.u64(..) });
    }
    let (victim, own, target) =
        (net.nodes[victim].id.clone(), net.nodes[liar].id.clone(), net.nodes[target].id.clone());
    let middle = net.nodes[*rng.choice(&others).unwrap_or(&0)].id.clone();
    let traces: [&[&str]; 5] =
        [&[&victim, &own], &[&own], &[&victim], &[], &[&victim, &middle, &own]];
    let trace = *rng.choice(&traces).unwrap_or(&traces[0]);
    let (routing, mobile) = (router_address(&target), mobile_address(&target));
    let id: Arc<str> = victim.as_str().into();
    let (to, message) = match rng.u8(0..11) {
        0 => (FLOOD_ADDRESS.to_owned(), lie.ra(net)),
        1 => (routing, lie.ra(net)),
        2 | 3 => (routing, lie.lsu(net)),
        4 => (MOBILE_FLOOD_ADDRESS.to_owned(), lie.change(net)),
        5 => (mobile, lie.change(net)),
        6 | 7 => (mobile, lie.whole(net)),
        8 => (HELLO_ADDRESS.to_owned(), lie.hello(net, &target)),
        9 => (format!("amqp:/_topo/0/{target}/qdhello"), lie.hello(net, &target)),
        _ if rng.bool() => (routing, Message::Lsr(Lsr { id })),
        _ => (mobile, Message::Mar(Mar { id, have_seq: 0 })),
    };
    net.forge(liar, connection, packet(trace, &to, message));
}
