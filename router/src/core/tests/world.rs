//! Several cores, joined in memory: the test plays their connections.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use skupper_proto::address::patterns::Patterns;
use skupper_proto::address::{RouterMode, Treatment};
use skupper_proto::amqp::message::{self, Properties, Scan};
use skupper_proto::annotations::{self, Flags, OutgoingAnnotations, Parsed};
use skupper_proto::edge::Bid;
use skupper_proto::time::Instant;
use skupper_proto::topology::Config;

use super::Sink;
use crate::core::{
    Command, ConsumerEnd, Consumption, Core, GroupKey, LocalConsumer, Mailbox, Message, Notify,
    ProducerEnd, Settings, Trunk, TrunkUp, Via,
};

/// One end of a connection.
pub(super) struct End {
    pub(super) core: usize,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) trunk: Arc<Trunk>,
}

/// A stream on its way between two cores.
struct Carried {
    from: ConsumerEnd,
    to: ProducerEnd,
    /// An outcome has been passed on.
    answered: bool,
    /// It has been settled.
    settled: bool,
}

pub(super) struct World {
    pub(super) cores: Vec<Arc<Core>>,
    pub(super) now: Instant,
    /// Connections that are open.
    pub(super) wires: Vec<[End; 2]>,
    carried: Vec<Carried>,
    /// Control messages go without annotations.
    pub(super) bare: bool,
    /// The ordinal of the certificates that connections are made with.
    pub(super) ordinal: u64,
}

pub(super) fn core(id: &str, treatment: Treatment) -> Arc<Core> {
    core_of(RouterMode::Interior, id, treatment)
}

pub(super) fn core_of(mode: RouterMode, id: &str, treatment: Treatment) -> Arc<Core> {
    let settings = Settings {
        mode,
        bid: (mode == RouterMode::Edge).then(|| Bid { ordinal: 100, id: "own-id".to_owned() }),
        routing: Config::new(id, 1),
        treatments: Patterns::default(),
        default_treatment: treatment,
        shards: 1,
        ceiling: 1 << 20,
    };
    Core::new(settings, Instant::ZERO)
}

/// Makes a stream that begins at `core`.
pub(super) fn stream(core: &Core) -> (ProducerEnd, ConsumerEnd) {
    let head = skupper_proto::stream::encode_head(
        "service",
        Some("amqp:/_topo/0/x/reply.0.0.0"),
        None,
        None,
    );
    let message =
        Message { sections: Bytes::from(head), streaming: true, priority: 4, ..Message::default() };
    ProducerEnd::begin(message, core.own())
}

/// Returns the annotations of a message as its connection would send them.
fn front(core: &Core, message: &Message) -> Vec<u8> {
    let mut octets = Vec::new();
    match annotations::parse(&message.annotations) {
        Ok(Parsed::Present(annotations)) => annotations.forwarded(core.node()).encode(&mut octets),
        _ => {
            let flags = if message.streaming { Flags::STREAMING } else { Flags::default() };
            OutgoingAnnotations::originated(flags, core.node()).encode(&mut octets);
        }
    }
    octets
}

/// Returns the routers that a delivery passed.
pub(super) fn trace(delivery: &ConsumerEnd) -> Vec<String> {
    match annotations::parse(&delivery.message().annotations) {
        Ok(Parsed::Present(annotations)) => {
            annotations.trace.routers().map(str::to_owned).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn address(sections: &Bytes) -> String {
    let Ok(Scan::Complete(head)) = message::scan(sections, false, true) else { panic!("no head") };
    let span = head.properties.expect("properties");
    Properties::decode_fields(&mut span.of(sections)).expect("properties").to.expect("an address")
}

impl World {
    pub(super) fn new<const N: usize>(ids: [&str; N], treatment: Treatment) -> Self {
        let cores = ids.iter().map(|id| core(id, treatment)).collect();
        Self {
            cores,
            now: Instant::from_millis(1000),
            wires: Vec::new(),
            carried: Vec::new(),
            bare: false,
            ordinal: 0,
        }
    }

    /// Makes a control connection of two cores. Only the first has a connector, and so a correlator
    /// by which both know it.
    pub(super) fn connect(&mut self, a: usize, b: usize, cost: u32, correlator: Option<&str>) {
        let ends = [(a, b), (b, a)].map(|(core, other)| {
            let mailbox = Mailbox::new(0);
            let neighbor = Arc::clone(self.cores[other].id());
            let up = TrunkUp {
                group: correlator.map(|correlator| GroupKey::new(&neighbor, correlator)),
                neighbor,
                cost,
                ordinal: self.ordinal,
                control: Arc::clone(&mailbox),
                trunking: true,
            };
            let trunk = self.cores[core].trunk_up(up, self.now);
            End { core, mailbox, trunk }
        });
        self.wires.push(ends);
    }

    /// Ends a connection as a lost link does.
    pub(super) fn cut(&mut self, wire: usize) {
        for end in self.wires.remove(wire) {
            drop(end.mailbox.close());
            self.cores[end.core].trunk_down(&end.trunk, self.now);
        }
    }

    pub(super) fn consume(&self, at: usize, address: &str, sink: &Arc<Sink>) -> Consumption {
        self.cores[at].consume(address, LocalConsumer::new(Arc::clone(sink) as Arc<_>), self.now)
    }

    /// Carries all commands and bytes that wait, once. Returns whether there were any.
    fn carry(&mut self) -> bool {
        let mut progress = false;
        let mut closed = Vec::new();
        for (wire, ends) in self.wires.iter().enumerate() {
            for (from, to) in [(&ends[0], &ends[1]), (&ends[1], &ends[0])] {
                let mut commands = VecDeque::new();
                progress |= from.mailbox.take(&mut Vec::new(), &mut commands, Waker::noop());
                for command in commands {
                    let (delivery, via) = match command {
                        Command::Deliver(delivery, via) => (delivery, via),
                        Command::Retire => continue,
                        _ => {
                            closed.push(wire);
                            continue;
                        }
                    };
                    let mut octets = front(&self.cores[from.core], delivery.message());
                    if via == Via::Control {
                        if self.bare {
                            octets.clear();
                        }
                        octets.extend_from_slice(&delivery.message().sections);
                        self.cores[to.core].on_control_message(
                            to.trunk.id(),
                            &Bytes::from(octets),
                            self.now,
                        );
                        continue;
                    }
                    delivery.set_notify(Notify::Nobody);
                    let message =
                        Message { annotations: Bytes::from(octets), ..delivery.message().clone() };
                    let to_address = address(&message.sections);
                    let (copy, onward) = ProducerEnd::begin(message, self.cores[to.core].own());
                    self.carried.push(Carried {
                        from: delivery,
                        to: copy,
                        answered: false,
                        settled: false,
                    });
                    self.cores[to.core].route(onward, self.cores[to.core].read(&to_address));
                }
            }
        }
        for carried in &mut self.carried {
            let mut chunks = VecDeque::new();
            let before = carried.answered;
            let (octets, ended) = carried.from.take(usize::MAX, &mut chunks);
            for chunk in chunks {
                carried.to.push(chunk);
            }
            if let Some(ended) = ended {
                carried.to.end(ended);
            }
            let told = carried.to.progress();
            carried.settled = told.settled;
            carried.answered |= told.outcome.is_some();
            progress |= octets > 0 || carried.answered != before;
            carried.from.acknowledge(told.received, told.allowance);
            carried.from.set_outcome(told.outcome.clone(), told.settled);
        }
        let done = |carried: &Carried| carried.from.ended().is_some() && carried.settled;
        self.carried.retain(|carried| !done(carried));
        // Both ends may have closed it.
        closed.dedup();
        for wire in closed.into_iter().rev() {
            self.cut(wire);
        }
        progress
    }

    /// Hands bytes to the core at one end of a control connection, as if its peer had sent them.
    pub(super) fn inject(&self, wire: usize, end: usize, octets: Vec<u8>) {
        let end = &self.wires[wire][end];
        self.cores[end.core].on_control_message(end.trunk.id(), &Bytes::from(octets), self.now);
    }

    /// Lets `time` pass, and carries all that happens in it.
    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            for _ in 0.. {
                if !self.carry() {
                    break;
                }
            }
            let deadlines =
                self.cores.iter().filter_map(|core| core.poll_timer(self.now, Waker::noop())).min();
            if self.carry() {
                continue;
            }
            match deadlines {
                Some(deadline) if deadline <= end => self.now = self.now.max(deadline),
                _ => break,
            }
        }
        self.now = end;
    }

    /// Lets the cores find each other and announce their addresses.
    pub(super) fn settle(&mut self) {
        self.run(Duration::from_secs(10));
    }

    pub(super) fn neighbors(&self, at: usize) -> Vec<String> {
        let mut neighbors: Vec<_> =
            self.cores[at].neighbors().iter().map(ToString::to_string).collect();
        neighbors.sort();
        neighbors
    }

    /// Returns the routers that consume an address, in the view of one.
    pub(super) fn consumers(&self, at: usize, text: &str) -> Vec<String> {
        let addresses = self.cores[at].addresses();
        let address = addresses.iter().find(|address| address.key().text() == text);
        address.map_or_else(Vec::new, |address| {
            address.remote_routers().iter().map(ToString::to_string).collect()
        })
    }

    /// Routes a stream from the network to an address, as if it had passed the routers of a trace.
    pub(super) fn arrive(&self, at: usize, passed: &[&str], to: &str) -> ProducerEnd {
        let mut annotations = Vec::new();
        let nodes: Vec<_> = passed.iter().map(|id| annotations::node_text(id)).collect();
        for (index, node) in nodes.iter().enumerate() {
            let mut next = Vec::new();
            if index == 0 {
                OutgoingAnnotations::originated(Flags::STREAMING, node).encode(&mut next);
            } else {
                match annotations::parse(&annotations) {
                    Ok(Parsed::Present(found)) => found.forwarded(node).encode(&mut next),
                    other => panic!("{other:?}"),
                }
            }
            annotations = next;
        }
        let message = Message {
            annotations: Bytes::from(annotations),
            ..stream(&self.cores[at]).0.message().clone()
        };
        let (producer, delivery) = ProducerEnd::begin(message, self.cores[at].own());
        self.cores[at].route(delivery, self.cores[at].read(to));
        producer
    }
}

/// Ends a stream at its consumer.
pub(super) fn finish(delivery: &ConsumerEnd) {
    let accepted = skupper_proto::amqp::performative::DeliveryState::Accepted;
    delivery.set_outcome(Some(accepted), true);
}
