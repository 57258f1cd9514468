//! The attach frames of this router's own links.

use skupper_proto::amqp::performative::{Attach, Role};
use skupper_proto::amqp::terminus::{MessageTarget, Source, Target};
use skupper_proto::amqp::{Multiple, Symbol};
use skupper_proto::engine::AttachRequest;

use crate::node::Node;

/// Marks the control links.
pub(super) const CONTROL: &str = "qd.router";
/// Marks message links between routers.
pub(super) const DATA: &str = "qd.router-data";

/// Returns the attach of a router's link without addresses: its capability, if any, stands at both
/// termini.
pub(super) fn request(role: Role, capability: Option<&'static str>) -> AttachRequest {
    let capabilities = capability.map(|capability| Multiple(vec![Symbol::from_static(capability)]));
    let expiry_policy = Some(Symbol::from_static("link-detach"));
    AttachRequest {
        name: format!("qdlink.{}", Node::discriminator()),
        role,
        source: Some(Source {
            durable: Some(0),
            expiry_policy: expiry_policy.clone(),
            timeout: Some(0),
            dynamic: Some(false),
            capabilities: capabilities.clone(),
            ..Source::default()
        }),
        target: Some(Target::Message(MessageTarget {
            durable: Some(0),
            expiry_policy,
            timeout: Some(0),
            dynamic: Some(false),
            capabilities,
            ..MessageTarget::default()
        })),
        snd_settle_mode: 2,
        ..AttachRequest::default()
    }
}

/// Returns the attach of a router's link for an address, which is at the far end's terminus.
pub(super) fn for_address(role: Role, address: &str) -> AttachRequest {
    let mut attach = request(role, None);
    match role {
        Role::Receiver => {
            if let Some(source) = &mut attach.source {
                source.address = Some(address.to_owned());
            }
        }
        Role::Sender => {
            if let Some(Target::Message(target)) = &mut attach.target {
                target.address = Some(address.to_owned());
            }
        }
    }
    attach
}

/// Returns the answer to an attach that is accepted as it is.
pub(super) fn answer(attach: Attach) -> AttachRequest {
    AttachRequest {
        source: Some(attach.source.unwrap_or_default()),
        target: Some(attach.target.unwrap_or_else(|| Target::Message(MessageTarget::default()))),
        snd_settle_mode: 2,
        ..AttachRequest::default()
    }
}

/// Returns the answer to an attach whose termini are taken as they are, even if they are missing.
pub(super) fn echo(attach: Attach) -> AttachRequest {
    AttachRequest {
        source: attach.source,
        target: attach.target,
        snd_settle_mode: 2,
        ..AttachRequest::default()
    }
}

/// Returns the capabilities of the terminus at this router's end of a link that the peer attaches.
pub(super) fn near_capabilities(attach: &Attach) -> Option<&Multiple<Symbol>> {
    match attach.role {
        Role::Sender => attach.target.as_ref().and_then(Target::message)?.capabilities.as_ref(),
        Role::Receiver => attach.source.as_ref()?.capabilities.as_ref(),
    }
}

/// Returns the address of the terminus at this router's end of a link that the peer attaches.
pub(super) fn near_address(attach: &Attach) -> Option<&str> {
    match attach.role {
        Role::Sender => attach.target.as_ref().and_then(Target::message)?.address.as_deref(),
        Role::Receiver => attach.source.as_ref()?.address.as_deref(),
    }
}
