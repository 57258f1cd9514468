//! The links of AMQP clients, and those of edge routers for addresses: this file accepts or refuses
//! them.

use std::sync::Arc;

use skupper_proto::address::{AddressClass, AddressRef, EDGE_UPLINK, MAX_KEY_LENGTH};
use skupper_proto::amqp::performative::{Attach, Error, Role};
use skupper_proto::amqp::terminus::{MessageTarget, Target};
use skupper_proto::amqp::{Multiple, Symbol, condition};
use skupper_proto::engine::{AttachRequest, LinkKey};

use super::consumed::{Consumed, TEMPORARY};
use super::incoming::Wishes;
use super::link_layer::LinkLayer;
use crate::node::{LinkKind, Node};

/// The capability with which a client wants its messages forwarded as they arrive.
const STREAMING: &str = "qd.streaming-deliveries";

/// The capability with which a client wants released messages sent to another receiver.
const RESEND: &str = "qd.resend-released";

/// The reason for which a client's link is refused.
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

impl LinkLayer {
    /// Accepts or refuses a link for an address that the peer attached. `router` says that the peer
    /// is a router. Returns whether a router must be told if the address has consumers.
    pub(super) fn on_client_attached(
        &mut self,
        link: LinkKey,
        attach: Attach,
        router: bool,
    ) -> bool {
        let (cx, role) = (&self.cx, attach.role);
        let links = match role {
            Role::Sender => self.incoming.producers(),
            Role::Receiver => self.outgoing.consumers.count(),
        };
        if let Some(error) = cx.link_refusal(&attach, links).or_else(|| cx.allowance_refusal()) {
            self.cx.engine.refuse(link, error);
            return false;
        }
        let outcome = match role {
            Role::Sender => self.attach_producer(link, attach, router),
            Role::Receiver => self.attach_consumer(link, attach).map(|()| false),
        };
        outcome.unwrap_or_else(|(refusal, name)| {
            self.refuse(link, &name, Error::from(refusal));
            false
        })
    }

    fn attach_producer(
        &mut self,
        link: LinkKey,
        attach: Attach,
        router: bool,
    ) -> Result<bool, (Refusal, String)> {
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
        self.cx.know(link, (&attach.name, attach.role), LinkKind::Endpoint, None, bound);
        let answer = AttachRequest {
            source: Some(attach.source.unwrap_or_default()),
            target: Some(Target::Message(target)),
            snd_settle_mode: attach.snd_settle_mode.unwrap_or(2),
            max_message_size: self.cx.max_message_size(),
            ..AttachRequest::default()
        };
        self.cx.engine.accept(link, answer);
        let wishes = Wishes { streaming, resend, router };
        Ok(self.incoming.produce(&mut self.cx, link, to, wishes))
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
        // Messages for an edge router's uplink go by the uplink alone.
        if !matches!(key.class, AddressClass::Mobile | AddressClass::Local) || key == EDGE_UPLINK {
            return Err((Refusal::NoAddress, attach.name));
        }
        if let Some(refusal) = self.refusal(key) {
            return Err((refusal, attach.name));
        }
        if !dynamic && Consumed::is_reserved(key) && !self.outgoing.consumers.has(key) {
            return Err((Refusal::Reserved, attach.name));
        }
        let settles = attach.snd_settle_mode == Some(1);
        let key = key.to_key();
        let Some(consumer) = self.outgoing.subscribe(&self.cx, link, key.clone()) else {
            return Err((Refusal::TooMany, attach.name));
        };
        self.cx.know(
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
        self.outgoing.on_consumer_attached(&mut self.cx, link, consumer, settles);
        Ok(())
    }

    /// Returns why an address takes no links, if it takes none.
    fn refusal(&self, key: AddressRef<'_>) -> Option<Refusal> {
        if key.wire_len() > MAX_KEY_LENGTH {
            return Some(Refusal::TooLong(key.wire_len()));
        }
        (!self.cx.core.is_available(key)).then_some(Refusal::Unavailable)
    }
}
