//! Sends deliveries on their way.

use std::sync::Arc;

use bytes::Bytes;
use skupper_proto::address::Canonical;
use skupper_proto::amqp::performative::DeliveryState;

use super::choose;
use super::delivery::{ConsumerEnd, Message};
use super::fanout::Fanout;
use super::mailbox::{Mailbox, Via};
use super::plan::Plan;
use super::resend::Resend;
use super::tables::Core;

impl Core {
    /// Sends a delivery to its destinations, whether it begins here or came from another router.
    /// Returns whether there was one: without a destination it is released.
    ///
    /// It goes to this address and nowhere else. The caller has taken the address from the link,
    /// the annotations or the properties, in this order, and has let policy judge it.
    pub fn route(self: &Arc<Self>, delivery: ConsumerEnd, to: Canonical<'_>) -> bool {
        match self.plan(delivery.message(), to.key()) {
            Some(Plan::One(choice)) => choice.deliver(delivery),
            Some(Plan::Each(choices)) => {
                let copies = Fanout::start(delivery, choices.len());
                choices.into_iter().zip(copies).for_each(|(choice, copy)| choice.deliver(copy));
            }
            Some(Plan::InTurn) => {
                if let Err(delivery) = Resend::start(self, delivery, to) {
                    delivery.conclude(DeliveryState::Released);
                    return false;
                }
            }
            None => {
                delivery.conclude(DeliveryState::Released);
                return false;
            }
        }
        true
    }

    /// Sends a whole message, such as an answer. Returns whether it had a destination: without one
    /// it is dropped.
    pub fn send_to(self: &Arc<Self>, to: &str, message: Message, body: Bytes) -> bool {
        self.route(ConsumerEnd::whole(message, body, self.own()), self.read(to))
    }

    /// Sends a message that is all in its head.
    pub(super) fn send(&self, mailbox: &Mailbox, message: Message, via: Via) {
        choose::send(mailbox, ConsumerEnd::whole(message, Bytes::new(), self.own()), via);
    }
}
