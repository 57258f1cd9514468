//! The routing of a delivery whose head has arrived.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use skupper_proto::amqp::condition;
use skupper_proto::amqp::performative::Error;
use skupper_proto::engine::IncomingKey;

use super::Incoming;
use super::head::{Front, Gathering, HeadError, LinkRules, read_head};
use super::inbound::{Stage, kept};
use crate::core::{ConsumerEnd, Ended, Message, Notify, ProducerEnd};
use crate::net::context::Context;
use crate::net::message_log;
use crate::net::wake::Wake;
use crate::schema::Role;

impl Incoming {
    /// Judges and routes a delivery if its head is whole. Keeps the part of the head if not.
    pub(super) fn begin(
        &mut self,
        cx: &mut Context,
        key: IncomingKey,
        octets: Bytes,
        mut front: Front,
        complete: bool,
    ) {
        let Some(entry) = self.slots.get_mut(&key) else { return };
        let producer = self.producers.get(&entry.link);
        let rules = LinkRules {
            to: producer.and_then(|producer| producer.to.as_ref()),
            streaming: producer.is_some_and(|producer| producer.streaming),
            resend: producer.is_some_and(|producer| producer.resend),
            strips: cx.is_client && cx.settings.strip_in,
            user: cx.sole_user(),
            connection: cx.id,
            hurries: !complete && !cx.holder.is_light(),
        };
        let judged =
            read_head(&octets, &mut front, complete, entry.presettled, &rules).and_then(|read| {
                match read {
                    Some(read) if rules.to.is_none() && !cx.may_send_to(cx.core.read(&read.to)) => {
                        Err(HeadError::Forbidden)
                    }
                    Some(read) if !cx.may_manage_at(&read.to) => Err(HeadError::Management),
                    read => Ok(read),
                }
            });
        let Stage::Head { gathered, said } = &mut entry.stage else { return };
        let mut read = match judged {
            Ok(Some(read)) => read,
            Ok(None) => {
                *gathered = Some(Gathering::of(octets, front, &cx.holder));
                return;
            }
            Err(error) => {
                entry.stage = Stage::Refused;
                let error = Error::new(error.condition(), error.to_string());
                return self.reject(cx, key, error);
            }
        };
        let components = &cx.settings.message_logging;
        message_log::note(components, cx.id, "Received", &read.message.sections);
        read.message.state = said.take();
        entry.windowed = read.message.windowed;
        // A link for an unavailable address was refused. An anonymous link's message names its
        // address only here.
        let to = cx.core.read(&read.to);
        if cx.is_client && !cx.core.is_available(to.key()) {
            entry.stage = Stage::Refused;
            let text = "Deliveries cannot be sent to an unavailable address";
            return self.reject(cx, key, Error::new(condition::NOT_FOUND, text));
        }
        let (link, presettled) = (entry.link, entry.presettled);
        let (delivery, consumer) = delivery_of(cx, key, read.message, presettled);
        delivery.push(kept(octets.slice(read.body..), cx.holder.account().is_exact()));
        if complete {
            delivery.end(Ended::Complete);
        }
        entry.stage = Stage::Routed { delivery, full: None };
        if !cx.core.route(consumer, to) {
            if presettled {
                cx.core.counters().dropped();
                if let Some(known) = cx.records.get(&link) {
                    known.record().counts.dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
            self.on_no_destination(cx, link);
        }
    }
}

/// Makes the delivery of a message whose head was read, and counts it.
fn delivery_of(
    cx: &Context,
    key: IncomingKey,
    mut message: Message,
    presettled: bool,
) -> (ProducerEnd, ConsumerEnd) {
    let counters = cx.core.counters();
    if presettled {
        counters.arrived_presettled();
    }
    message.edge.clone_from(&cx.edge);
    if message.annotations.is_empty() || message.edge.is_some() {
        counters.began();
        if cx.settings.role == Role::RouteContainer {
            counters.came_from_container();
        }
    }
    message.extensible = message.windowed && !cx.peer.bounds_unread;
    let (producer, consumer) = ProducerEnd::begin(message, &cx.holder);
    producer.set_notify(Notify::Slot(Arc::clone(&cx.mailbox), Wake::Incoming(key).into()));
    (producer, consumer)
}
