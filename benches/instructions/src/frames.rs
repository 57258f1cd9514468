//! The performatives that routers send most, and the largest.

use skupper_proto::amqp::performative::{
    Attach, DeliveryState, DeliveryTag, Disposition, Flow, Performative, Role, Transfer,
};
use skupper_proto::amqp::terminus::{MessageTarget, Source, Target};
use skupper_proto::amqp::{Multiple, Symbol};

/// Returns the first transfer of a stream.
pub(crate) fn transfer() -> Performative {
    Performative::Transfer(Transfer {
        handle: 7,
        delivery_id: Some(1000),
        delivery_tag: Some(DeliveryTag::from(1000)),
        message_format: Some(0),
        more: Some(true),
        ..Transfer::default()
    })
}

/// Returns a receiver's progress.
pub(crate) fn received() -> Performative {
    Performative::Disposition(Disposition {
        role: Role::Receiver,
        first: 1000,
        state: Some(DeliveryState::received(521_216)),
        ..Disposition::default()
    })
}

/// Returns the credit of a link.
pub(crate) fn flow() -> Performative {
    Performative::Flow(Flow {
        next_incoming_id: Some(1000),
        incoming_window: 8192,
        next_outgoing_id: 1000,
        outgoing_window: i32::MAX as u32,
        handle: Some(7),
        delivery_count: Some(100),
        link_credit: Some(250),
        ..Flow::default()
    })
}

/// Returns the attach of a link between routers.
pub(crate) fn attach() -> Performative {
    let expiry = || Some(Symbol::from_static("link-detach"));
    let capabilities = || Some(Multiple::of(&["qd.router-data"]));
    Performative::Attach(Box::new(Attach {
        name: "qdlink.hrPMnARVEhprcR7".to_owned(),
        snd_settle_mode: Some(2),
        rcv_settle_mode: Some(0),
        source: Some(Source {
            expiry_policy: expiry(),
            capabilities: capabilities(),
            ..Source::default()
        }),
        target: Some(Target::Message(MessageTarget {
            expiry_policy: expiry(),
            capabilities: capabilities(),
            ..MessageTarget::default()
        })),
        initial_delivery_count: Some(0),
        max_message_size: Some(0),
        ..Attach::default()
    }))
}
