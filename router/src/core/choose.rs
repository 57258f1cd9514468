//! The choice of a destination among those of an address, by treatment (closest, balanced).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use skupper_proto::address::{AddressClass, Treatment};
use skupper_proto::amqp::performative::DeliveryState;

use super::address::Address;
use super::counters::Destination;
use super::delivery::{ConsumerEnd, Outstanding};
use super::endpoint::{DEFAULT_CAPACITY, Endpoint, LocalConsumer};
use super::mailbox::{Command, Mailbox, Via};
use super::next_hops::{NextHop, NextHops};
use super::origin::Origin;
use super::trunk::{Trunk, TrunkId};

/// The destination that was chosen for one delivery.
#[derive(Debug)]
pub struct Choice {
    target: Target,
    /// Counts the delivery as open there, so that others get the next ones.
    outstanding: Option<Outstanding>,
    /// The neighbor it goes to.
    trunk: Option<TrunkId>,
    /// The address's priority, which goes before the message's own.
    priority: Option<u8>,
    /// Each consumer that may get it takes bytes of a client before it has answered.
    early: bool,
}

#[derive(Debug)]
enum Target {
    Local(Arc<LocalConsumer>),
    Answer(Arc<dyn Endpoint>),
    Connection(Arc<Mailbox>),
}

impl Choice {
    const fn to(target: Target) -> Self {
        Self { target, outstanding: None, trunk: None, priority: None, early: false }
    }

    /// Makes the choice of an endpoint that waits for an answer.
    pub(super) const fn answer(endpoint: Arc<dyn Endpoint>) -> Self {
        Self::to(Target::Answer(endpoint))
    }

    /// Returns the kind of its destination, for counters.
    pub(super) fn destination(&self) -> Option<Destination> {
        match &self.target {
            Target::Local(consumer) if consumer.own => Some(Destination::Handler),
            Target::Local(_) | Target::Answer(_) => Some(Destination::Consumer),
            Target::Connection(_) => Some(Destination::Router),
        }
    }

    /// Adds the priority of an address.
    pub(super) fn with_priority(self, priority: Option<u8>) -> Self {
        Self { priority, ..self }
    }

    /// Returns whether a client's bytes may follow the head of its stream before the answer comes.
    /// A C router sometimes loses a connection that does so.
    pub const fn takes_early(&self) -> bool {
        self.early
    }

    /// Returns the shard of the connection that the delivery will leave by: the best place to
    /// produce it.
    pub fn shard(&self) -> Option<usize> {
        match &self.target {
            Target::Local(consumer) => consumer.endpoint.shard(),
            Target::Answer(endpoint) => endpoint.shard(),
            Target::Connection(mailbox) => Some(mailbox.shard()),
        }
    }

    /// Hands the delivery over. It is released if its destination is gone.
    pub fn deliver(self, delivery: ConsumerEnd) {
        if let Some(outstanding) = self.outstanding {
            delivery.count_at(outstanding);
        }
        match self.target {
            Target::Local(consumer) => consumer.endpoint.deliver(delivery),
            Target::Answer(endpoint) => endpoint.deliver(delivery),
            Target::Connection(mailbox) => {
                let message = delivery.message();
                let via = match message.streaming {
                    true => Via::Stream,
                    false => Via::Message(self.priority.unwrap_or(message.priority)),
                };
                send(&mailbox, delivery, via);
            }
        }
    }
}

/// Gives a delivery to a connection, or releases it if the connection is gone.
pub(super) fn send(mailbox: &Mailbox, delivery: ConsumerEnd, via: Via) {
    if let Err(Command::Deliver(delivery, _)) = mailbox.send(Command::Deliver(delivery, via)) {
        delivery.conclude(DeliveryState::Released);
    }
}

/// Chooses the next hop toward a router. `came_by` is the connection of the delivery that this one
/// answers, if it answers one.
pub(super) fn toward(
    next_hops: &NextHops,
    router: &str,
    streaming: bool,
    came_by: Option<&Arc<Mailbox>>,
) -> Option<Choice> {
    Some(to_trunk(next_hops.get(router)?.trunk, streaming, came_by))
}

/// Makes the choice of a neighbor.
pub(super) fn to_trunk(trunk: &Trunk, streaming: bool, came_by: Option<&Arc<Mailbox>>) -> Choice {
    let mailbox = if streaming { trunk.stream(came_by) } else { Arc::clone(trunk.control()) };
    Choice { trunk: Some(trunk.id()), ..Choice::to(Target::Connection(mailbox)) }
}

/// Makes the choice of a consumer here.
pub(super) fn to_local(consumer: &Arc<LocalConsumer>) -> Choice {
    Choice {
        outstanding: Some(Outstanding::new(&consumer.outstanding)),
        early: consumer.is_early(),
        ..Choice::to(Target::Local(Arc::clone(consumer)))
    }
}

/// Destinations to which a delivery must not go again.
#[derive(Debug, Default)]
pub(super) struct Tried {
    locals: Vec<Arc<LocalConsumer>>,
    trunks: Vec<TrunkId>,
}

impl Tried {
    fn has_local(&self, consumer: &Arc<LocalConsumer>) -> bool {
        self.locals.iter().any(|known| Arc::ptr_eq(known, consumer))
    }

    /// Returns whether a neighbor has been tried, for any router behind it.
    pub(super) fn has_trunk(&self, trunk: TrunkId) -> bool {
        self.trunks.contains(&trunk)
    }

    /// Returns whether the destination has been tried.
    pub(super) fn has(&self, choice: &Choice) -> bool {
        match (&choice.target, choice.trunk) {
            (Target::Local(consumer), _) => self.has_local(consumer),
            (_, Some(trunk)) => self.has_trunk(trunk),
            _ => false,
        }
    }

    /// Adds the destination.
    pub(super) fn add(&mut self, choice: &Choice) {
        match (&choice.target, choice.trunk) {
            (Target::Local(consumer), _) => self.locals.push(Arc::clone(consumer)),
            (_, Some(trunk)) => self.trunks.push(trunk),
            _ => {}
        }
    }
}

/// Chooses among the destinations of an address that are not `tried`, and to which a delivery of
/// this origin may go.
pub(super) fn choose(
    address: &Address,
    next_hops: &NextHops,
    streaming: bool,
    tried: &Tried,
    origin: &Origin<'_>,
) -> Option<Choice> {
    let destinations = address.destinations.load();
    let turn = address.turn.fetch_add(1, Ordering::Relaxed);
    let usable =
        |consumer: &&Arc<LocalConsumer>| !tried.has_local(consumer) && origin.may_reach(consumer);
    if address.key().class() == AddressClass::Edge
        // An edge router that came back may still be there by its former connection.
        && let Some(consumer) = destinations.locals.iter().rev().find(usable)
    {
        return Some(to_local(consumer));
    }
    // A request to the router itself never goes to a client that attached to the same address.
    if let Some(handler) =
        destinations.locals.get(0).filter(|consumer| consumer.own && usable(consumer))
    {
        return Some(to_local(handler));
    }
    if address.treatment() != Treatment::Balanced
        && let Some(index) = turn.checked_rem(destinations.locals.len())
        && let Some(consumer) = destinations.locals.iter_from(index).find(usable)
    {
        return Some(to_local(consumer));
    }
    // The lowest value wins among those with capacity left, or among all if none has any. Equals
    // take turns.
    let mut best = None;
    let count = destinations.locals.len() + destinations.remotes.len();
    let mut consider = |index: usize, open: usize, capacity: usize, cost: u64, trunk| {
        let value =
            if address.treatment() == Treatment::Balanced { open as u64 + cost } else { cost };
        let rank = (open >= capacity, value, (index + count - turn % count) % count);
        if best.is_none_or(|(known, _)| rank < known) {
            best = Some((rank, (index, trunk)));
        }
    };
    for (index, consumer) in
        destinations.locals.iter().enumerate().filter(|(_, consumer)| usable(consumer))
    {
        consider(index, consumer.outstanding.load(Ordering::Relaxed), consumer.capacity, 0, None);
    }
    for (index, remote) in destinations.remotes.iter().enumerate() {
        let valid = |way: &NextHop<'_>| {
            !tried.has_trunk(way.trunk.id())
                && origin.may_go_to(&next_hops.table, &remote.router, false)
        };
        let Some(route) = next_hops.get(&remote.router).filter(valid) else { continue };
        let index = destinations.locals.len() + index;
        consider(
            index,
            address.open_at(route.trunk.id()),
            DEFAULT_CAPACITY,
            route.cost,
            Some(route.trunk),
        );
    }
    let (_, (index, trunk)) = best?;
    // Only the chosen trunk moves on to its next data connection.
    let Some(trunk) = trunk else { return destinations.locals.get(index).map(to_local) };
    let outstanding = Some(Outstanding::new(&address.count_at(trunk.id())));
    // The routers on the way choose anew, among all routers.
    let early = destinations.remotes.iter().all(|remote| remote.early);
    Some(Choice {
        outstanding,
        priority: address.priority(),
        early,
        ..to_trunk(trunk, streaming, None)
    })
}
