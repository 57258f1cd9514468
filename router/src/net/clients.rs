//! Links of AMQP clients: who may attach what, the addresses they produce for and consume, and
//! their credit.

use std::collections::HashMap;
use std::sync::Arc;

use skupper_proto::address::{AddressClass, AddressKey, AddressRef, EDGE_UPLINK, MAX_KEY_LENGTH};
use skupper_proto::amqp::performative::{Attach, DeliveryState, Error, Role};
use skupper_proto::amqp::terminus::{MessageTarget, Target};
use skupper_proto::amqp::{Multiple, Symbol, condition};
use skupper_proto::engine::{AttachRequest, LinkKey};
use skupper_proto::keys::KeyMap;

use super::connection::Connection;
use super::consumed::{Consumed, TEMPORARY};
use super::edge::is_tracking;
use super::settings::Kind;
use super::wake::Wake;
use crate::core::{
    Address, Command, Consumption, Delivery, Endpoint, LocalConsumer, Mailbox, Notify, Via,
    Watching,
};
use crate::node::{LinkKind, Node};

/// A client that asks for its messages to be forwarded as they arrive.
const STREAMING: &str = "qd.streaming-deliveries";

/// A client that asks for its messages to be sent elsewhere when a receiver releases them.
const RESEND: &str = "qd.resend-released";

/// A link on which a client sends.
pub(super) struct Producer {
    /// The address it is for; none: each message names its own.
    pub(super) to: Option<Arc<str>>,
    /// Forwards messages before they are complete, whatever their size.
    pub(super) streaming: bool,
    /// Sends messages elsewhere when they are released.
    pub(super) resend: bool,
    /// Whether anybody consumes the address; keeps its record.
    pub(super) watch: Option<(Arc<Address>, Watching)>,
    /// Deliveries that may be open.
    capacity: u32,
    /// Deliveries that are open.
    open: u32,
    /// No more credit is given: nobody consumes the address.
    held: bool,
    /// What credit there was is to be given back.
    draining: bool,
    /// The peer is a router, whose link is kept in credit, and which is told otherwise whether
    /// anybody consumes the address.
    router: bool,
}

impl Producer {
    /// A link on which a router sends what is for an address.
    pub(super) fn of_router(address: &str, capacity: u32) -> Self {
        Self {
            to: Some(Arc::from(address)),
            streaming: false,
            resend: false,
            watch: None,
            capacity,
            open: 0,
            held: false,
            draining: false,
            router: true,
        }
    }
}

/// Links on which clients send and receive.
#[derive(Default)]
pub(super) struct Clients {
    pub(super) producers: KeyMap<LinkKey, Producer>,
    /// Links on which clients receive, by the number under which deliveries come for them.
    consumers: HashMap<u32, LinkKey>,
    next_consumer: u32,
    /// The addresses that they consume.
    consumed: Consumed,
}

/// What keeps a client's link a consumer.
pub(super) struct Consumer {
    number: u32,
    /// Ends with the link.
    consumption: Option<Consumption>,
    /// Its address is among those that the connection consumes.
    counted: bool,
}

/// A client's link as the core knows it.
#[derive(Debug)]
struct LinkEndpoint {
    mailbox: Arc<Mailbox>,
    number: u32,
    /// What is forwarded as it arrives goes on a link of its own.
    streams: bool,
}

impl Endpoint for LinkEndpoint {
    fn deliver(&self, delivery: Arc<Delivery>) {
        let arriving = delivery.message().streaming && delivery.ended().is_none();
        let via = if self.streams && arriving { Via::Stream } else { Via::Link(self.number) };
        if let Err(Command::Deliver(delivery, _)) =
            self.mailbox.send(Command::Deliver(delivery, via))
        {
            delivery.outcome(Some(DeliveryState::Released), true);
        }
    }

    fn shard(&self) -> Option<usize> {
        Some(self.mailbox.shard())
    }
}

/// Why a client's link is refused.
enum Refusal {
    Unavailable,
    NoAddress,
    NotANode,
    TooLong(usize),
    TooMany,
    Reserved,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unavailable => Self::new(condition::NOT_FOUND, "Node not found"),
            Refusal::NoAddress => {
                Self::new(condition::NO_ROUTE_TO_DESTINATION, "No route to the destination node")
            }
            Refusal::NotANode => {
                Self::new(condition::NOT_IMPLEMENTED, "this router has nodes only, no transactions")
            }
            Refusal::TooLong(octets) => {
                let text = format!(
                    "the address has {octets} octets; routers take at most {MAX_KEY_LENGTH}"
                );
                Self::new(condition::RESOURCE_LIMIT_EXCEEDED, text)
            }
            Refusal::TooMany => Self::new(
                condition::RESOURCE_LIMIT_EXCEEDED,
                "clients consume as many addresses as they may at this router",
            ),
            Refusal::Reserved => Self::new(
                condition::UNAUTHORIZED_ACCESS,
                "the address was made for another connection, which alone receives from it",
            ),
        }
    }
}

fn has(capabilities: Option<&Multiple<Symbol>>, wanted: &str) -> bool {
    capabilities.is_some_and(|capabilities| capabilities.contains(wanted))
}

impl Connection {
    /// A client attached a link: accepts or refuses it.
    pub(super) fn client_attached(&mut self, link: LinkKey, attach: Attach) {
        if self.cx.kind == Kind::Normal && is_tracking(&attach) {
            let text = "Connection does not support address tracking";
            return self.cx.engine.refuse(link, Error::new(condition::CONNECTION_ROLE, text));
        }
        if let Some(error) = self.link_refusal(&attach).or_else(|| self.allowance_refusal()) {
            return self.cx.engine.refuse(link, error);
        }
        let outcome = match attach.role {
            Role::Sender => self.attach_producer(link, attach),
            Role::Receiver => self.attach_consumer(link, attach),
        };
        if let Err((refusal, name)) = outcome {
            let error = Error::from(refusal);
            crate::log_limited!(
                self.cx.id,
                Server,
                Info,
                "[C{}] refused link {name:?}: {error}",
                self.cx.id
            );
            self.cx.engine.refuse(link, error);
        }
    }

    fn attach_producer(&mut self, link: LinkKey, attach: Attach) -> Result<(), (Refusal, String)> {
        let mut target = match attach.target {
            Some(Target::Message(target)) => target,
            None => MessageTarget::default(),
            Some(Target::Other(_)) => return Err((Refusal::NotANode, attach.name)),
        };
        if target.dynamic == Some(true) {
            target.address = Some(format!("amqp:/_$temp.{}", Node::discriminator()));
        }
        let address = target.address.as_deref().filter(|address| !address.is_empty());
        let key = address.map(|text| self.cx.core.read(text).key());
        if let Some(refusal) = key.and_then(|key| self.refusal(key)) {
            return Err((refusal, attach.name));
        }
        let to = address.map(Arc::from);
        let wants = |wanted| has(target.capabilities.as_ref(), wanted);
        let (streaming, resend) = (wants(STREAMING), wants(RESEND));
        let bound = key.map(|key| key.to_string());
        self.know(link, (&attach.name, attach.role), LinkKind::Endpoint, None, bound);
        let answer = AttachRequest {
            source: Some(attach.source.unwrap_or_default()),
            target: Some(Target::Message(target)),
            snd_settle_mode: attach.snd_settle_mode.unwrap_or(2),
            max_message_size: self.max_message_size(),
            ..AttachRequest::default()
        };
        self.cx.engine.accept(link, answer);
        self.produce(link, to, streaming, resend);
        Ok(())
    }

    /// Gives credit on a link on which the peer sends, to an address or to those that its messages
    /// name.
    pub(super) fn produce(
        &mut self,
        link: LinkKey,
        to: Option<Arc<str>>,
        streaming: bool,
        resend: bool,
    ) {
        let mut producer = Producer {
            streaming,
            resend,
            watch: None,
            capacity: self.cx.settings.link_capacity.max(1),
            open: 0,
            held: false,
            router: self.cx.kind == Kind::Edge,
            draining: false,
            to,
        };
        if let Some(text) = &producer.to {
            let key = self.cx.core.read(text).key();
            if self.is_watched(key) {
                let (address, watch) = self.cx.core.watch_key(&key.to_key(), self.cx.edge.as_ref());
                let reachable = watch.follow(Notify::Slot(
                    Arc::clone(&self.cx.mailbox),
                    Wake::Producer(link).into(),
                ));
                producer.held = !reachable && !producer.router;
                producer.watch = Some((address, watch));
            }
        }
        if producer.router {
            self.cx.engine.keep_credit(link, producer.capacity);
        } else if !producer.held {
            self.cx.engine.set_credit(link, producer.capacity, false);
        }
        self.note_credit(link);
        let tracked = producer.router && producer.watch.is_some();
        self.clients.producers.insert(link, producer);
        if tracked {
            self.track(link);
        }
    }

    /// Whether credit for an address depends on its consumers. Who is behind a router's own address
    /// is that router's business.
    fn is_watched(&self, key: AddressRef<'_>) -> bool {
        matches!(key.class, AddressClass::Mobile | AddressClass::Edge)
            || key.class == AddressClass::Local && !crate::core::Replies::owns(key.text)
    }

    fn attach_consumer(&mut self, link: LinkKey, attach: Attach) -> Result<(), (Refusal, String)> {
        let mut source = attach.source.unwrap_or_default();
        let dynamic = source.dynamic == Some(true);
        if dynamic {
            source.address = Some(self.cx.core.address_of(&[TEMPORARY, &Node::discriminator()]));
        }
        let Some(text) = source.address.as_deref().filter(|address| !address.is_empty()) else {
            return Err((Refusal::NoAddress, attach.name));
        };
        let key = self.cx.core.read(text).key();
        // What goes by an edge router's uplink is for the uplink alone.
        if !matches!(key.class, AddressClass::Mobile | AddressClass::Local) || key == EDGE_UPLINK {
            return Err((Refusal::NoAddress, attach.name));
        }
        if let Some(refusal) = self.refusal(key) {
            return Err((refusal, attach.name));
        }
        if !dynamic && Consumed::is_reserved(key) && !self.clients.consumed.has(key) {
            return Err((Refusal::Reserved, attach.name));
        }
        let settles = attach.snd_settle_mode == Some(1);
        let key = key.to_key();
        let Some(consumer) = self.subscribe(link, key.clone()) else {
            return Err((Refusal::TooMany, attach.name));
        };
        self.know(
            link,
            (&attach.name, attach.role),
            LinkKind::Endpoint,
            None,
            Some(key.to_string()),
        );
        let answer = AttachRequest {
            source: Some(source),
            target: Some(
                attach.target.unwrap_or_else(|| Target::Message(MessageTarget::default())),
            ),
            snd_settle_mode: if settles { 1 } else { 2 },
            ..AttachRequest::default()
        };
        self.cx.engine.accept(link, answer);
        self.consumer_attached(link, consumer, settles, self.cx.settings.link_capacity.max(1));
        Ok(())
    }

    /// Why nobody may attach to an address, if nobody may.
    fn refusal(&self, key: AddressRef<'_>) -> Option<Refusal> {
        if key.wire_len() > MAX_KEY_LENGTH {
            return Some(Refusal::TooLong(key.wire_len()));
        }
        (!self.cx.core.is_available(key)).then_some(Refusal::Unavailable)
    }

    /// Makes the peer of a link on which it receives a consumer of an address, as the operator
    /// wants it. `settles`: it takes settled deliveries only.
    pub(super) fn consume(&mut self, link: LinkKey, key: AddressKey, settles: bool) {
        let number = self.clients.number(link);
        let consumer =
            LocalConsumer::with_capacity(self.link_endpoint(number), self.link_capacity());
        let consumption = self.cx.core.serve(key, consumer, self.cx.now);
        let consumer = Consumer::new(number, Some(consumption));
        self.consumer_attached(link, consumer, settles, self.cx.settings.link_capacity.max(1));
    }

    /// Makes the peer of a link on which it receives a consumer of an address, as the peer wants
    /// it; `None` beyond what clients may.
    fn subscribe(&mut self, link: LinkKey, key: AddressKey) -> Option<Consumer> {
        // What an edge router consumes is its clients' and its services'.
        let counted = self.cx.edge.is_none() || Consumed::is_reserved(key.as_ref());
        if counted && !self.clients.consumed.has_room(key.as_ref()) {
            return None;
        }
        let number = self.clients.number(link);
        let (endpoint, capacity) = (self.link_endpoint(number), self.link_capacity());
        let consumer = match &self.cx.edge {
            Some(edge) => LocalConsumer::behind(edge, endpoint, capacity),
            None => LocalConsumer::client(endpoint, capacity),
        };
        let Some(consumption) = self.cx.core.serve_client(key, consumer, self.cx.now) else {
            self.clients.consumers.remove(&number);
            return None;
        };
        if counted {
            self.clients.consumed.enter(consumption.key());
        }
        Some(Consumer { counted, ..Consumer::new(number, Some(consumption)) })
    }

    /// A link on which this router sends, as the core knows it.
    pub(super) fn link_endpoint(&self, number: u32) -> Arc<dyn Endpoint> {
        let streams = self.cx.peer.takes_streams();
        Arc::new(LinkEndpoint { mailbox: Arc::clone(&self.cx.mailbox), number, streams })
    }

    /// Deliveries that may be open on a link.
    pub(super) fn link_capacity(&self) -> usize {
        usize::try_from(self.cx.settings.link_capacity.max(1)).unwrap_or(usize::MAX)
    }

    /// The link of a consumer by its number, while it is attached.
    pub(super) fn consumer_link(&self, number: u32) -> Option<LinkKey> {
        self.clients.consumers.get(&number).copied()
    }

    /// A delivery began on a client's link.
    pub(super) fn producer_began(&mut self, link: LinkKey) {
        if let Some(producer) = self.clients.producers.get_mut(&link) {
            producer.open = producer.open.saturating_add(1);
        }
    }

    /// A delivery of a client's link is done with: the credit it took is given back, in portions of
    /// half the capacity, and all of it once nothing is open.
    pub(super) fn producer_finished(&mut self, link: LinkKey) {
        let Some(producer) = self.clients.producers.get_mut(&link) else { return };
        producer.open = producer.open.saturating_sub(1);
        if producer.held || producer.router {
            return;
        }
        let wanted = producer.capacity.saturating_sub(producer.open);
        let given = self.cx.engine.credit(link);
        if wanted > given
            && (wanted - given >= producer.capacity.div_ceil(2) || given == 0 || producer.open == 0)
        {
            self.cx.engine.set_credit(link, wanted, false);
            self.note_credit(link);
        }
    }

    /// A delivery of a client's link had no destination: what credit is left is to be given back,
    /// until there is one.
    pub(super) fn producer_without_destination(&mut self, link: LinkKey) {
        let counted = |producer: &&mut Producer| !producer.router && producer.watch.is_some();
        let Some(producer) = self.clients.producers.get_mut(&link).filter(counted) else { return };
        if producer.watch.as_ref().is_some_and(|(_, watch)| !watch.is_reachable())
            && !producer.draining
        {
            (producer.held, producer.draining) = (true, true);
            let left = self.cx.engine.credit(link);
            if left > 0 {
                self.cx.engine.set_credit(link, left, true);
            }
        }
    }

    /// Whether an address that a client produces for has consumers may have changed.
    pub(super) fn producer_noticed(&mut self, link: LinkKey) {
        let Some(producer) = self.clients.producers.get_mut(&link) else { return };
        let Some((_, watch)) = &producer.watch else { return };
        if producer.router {
            return self.track(link);
        }
        let held = !watch.is_reachable();
        if held == producer.held {
            return;
        }
        // The credit that it has it may keep, as with C routers: somebody may come before it sends.
        producer.held = held;
        if !held {
            producer.draining = false;
            let credit = producer.capacity.saturating_sub(producer.open);
            self.cx.engine.set_credit(link, credit, false);
            self.note_credit(link);
        }
    }

    /// A client's link is gone.
    pub(super) fn client_detached(&mut self, link: LinkKey) {
        self.clients.producers.remove(&link);
        self.untrack(link);
    }

    /// A consumer's link is gone.
    pub(super) fn consumer_gone(&mut self, consumer: &Consumer) {
        self.clients.consumers.remove(&consumer.number);
        if let Some(consumption) = consumer.consumption.as_ref().filter(|_| consumer.counted) {
            self.clients.consumed.leave(consumption.key());
        }
    }
}

impl Clients {
    /// Gives a link on which this router sends the number by which deliveries come for it.
    pub(super) fn number(&mut self, link: LinkKey) -> u32 {
        let number = self.next_consumer;
        self.next_consumer = number.wrapping_add(1);
        self.consumers.insert(number, link);
        number
    }

    /// How many links there are on which clients receive.
    pub(super) fn consumers(&self) -> usize {
        self.consumers.len()
    }
}

impl Consumer {
    /// A link by its number; it is a consumer while it has a consumption.
    pub(super) const fn new(number: u32, consumption: Option<Consumption>) -> Self {
        Self { number, consumption, counted: false }
    }

    /// Whether it consumes an address.
    pub(super) const fn consumes(&self) -> bool {
        self.consumption.is_some()
    }

    /// Begins or ends to consume.
    pub(super) fn set(&mut self, consumption: Option<Consumption>) {
        self.consumption = consumption;
    }
}
