//! The links that clients may attach, and the destinations of their messages.

use std::sync::Mutex;

use serde_json::json;
use skupper_proto::amqp::performative::{Attach, Role as LinkRole};
use skupper_proto::annotations::{Flags, OutgoingAnnotations};

use super::*;
use crate::core::{ConsumerEnd, Consumption, Endpoint, LocalConsumer};
use crate::node::{Access, unguessable};
use crate::policy::{Policy, PolicyConfig, Rules, Vhost};

/// Makes a router with one vhost for everybody.
fn governed(group: &serde_json::Value) -> Arc<Node> {
    let policy = Arc::new(Policy::new(PolicyConfig { enabled: true, ..PolicyConfig::default() }));
    let groups = json!({ "$default": group });
    let rules = Rules { allow_unknown_user: true, ..Rules::default() };
    policy.put(Vhost::new("$default", rules, groups.as_object().unwrap()).unwrap()).unwrap();
    node_with(Access { policy, ..Access::default() })
}

/// Connects a client, whose router annotations the router reads.
async fn client(node: &Arc<Node>) -> Peer {
    let config = engine::Config { properties: Fields::default(), ..Peer::config(1000) };
    let configure = |settings: &mut ConnectionSettings| {
        (settings.role, settings.strip_in) = (Role::Normal, false)
    };
    connect_with(node, config, configure).await.1
}

impl Peer {
    /// Attaches a link. Returns the answer, or the condition of the refusal.
    async fn try_attach(
        &mut self,
        role: LinkRole,
        address: Option<&str>,
    ) -> Result<(LinkKey, Box<Attach>), String> {
        let session = self.engine.begin().expect("a session");
        let address = address.map(str::to_owned);
        let dynamic = (role == LinkRole::Receiver && address.is_none()).then_some(true);
        let (source, target) = match role {
            LinkRole::Sender => {
                (Source::default(), MessageTarget { address, ..MessageTarget::default() })
            }
            LinkRole::Receiver => {
                (Source { address, dynamic, ..Source::default() }, MessageTarget::default())
            }
        };
        let (source, target) = (Some(source), Some(Target::Message(target)));
        let request = AttachRequest {
            name: format!("{session:?}"),
            role,
            source,
            target,
            ..AttachRequest::default()
        };
        let link = self.engine.attach(session, request).expect("a link");
        let mut answer = None;
        loop {
            match self.event().await {
                Event::Attached { link: known, attach, .. } if known == link => {
                    let refused = match role {
                        LinkRole::Sender => attach.target.is_none(),
                        LinkRole::Receiver => attach.source.is_none(),
                    };
                    if !refused {
                        return Ok((link, attach));
                    }
                    answer = Some(());
                }
                Event::Detached { link: known, error, .. } if known == link => {
                    assert!(answer.is_some(), "refused before it was answered");
                    return Err(error.expect("a reason").condition.as_str().to_owned());
                }
                _ => {}
            }
        }
    }
}

impl Peer {
    /// Sends one message. Returns its outcome.
    async fn send(
        &mut self,
        link: LinkKey,
        to_override: Option<&str>,
        to: Option<&str>,
    ) -> DeliveryState {
        while self.engine.credit(link) == 0 {
            self.event().await;
        }
        let mut octets = Vec::new();
        if to_override.is_some() {
            OutgoingAnnotations::originated(Flags::default(), "0/elsewhere")
                .with_to_override(to_override)
                .encode(&mut octets);
        }
        if let Some(to) = to {
            // Properties: no message-id, no user-id, and the address.
            let length = u8::try_from(to.len()).expect("a short address");
            octets.extend([0, 0x53, 0x73, 0xc0, length + 5, 3, 0x40, 0x40, 0xa1, length]);
            octets.extend(to.as_bytes());
        }
        octets.extend([0, 0x53, 0x77, 0xa1, 1, b'x']);
        let delivery = self.engine.deliver(link, false).expect("credit");
        assert!(self.engine.send_part(delivery, &mut VecDeque::from([Bytes::from(octets)]), true));
        loop {
            match self.event().await {
                Event::ReceiverState { delivery: known, state: Some(state), .. }
                    if known == delivery =>
                {
                    return state;
                }
                _ => {}
            }
        }
    }
}

/// A consumer that accepts and counts its messages.
#[derive(Debug, Default)]
struct Taker(Mutex<usize>);

impl Endpoint for Taker {
    fn deliver(&self, delivery: ConsumerEnd) {
        *self.0.lock().unwrap() += 1;
        delivery.conclude(DeliveryState::Accepted);
    }
}

impl Taker {
    fn at(node: &Node, text: &str) -> (Arc<Self>, Consumption) {
        let taker = Arc::<Self>::default();
        let key = node.core.read(text).key().to_key();
        let consumption = node.core.serve(
            key,
            LocalConsumer::new(Arc::clone(&taker) as Arc<_>),
            node.clock.now(),
        );
        (taker, consumption)
    }

    fn count(&self) -> usize {
        *self.0.lock().unwrap()
    }
}

#[test]
fn a_client_attaches_to_what_policy_has_judged() {
    run(async {
        let node = governed(&json!({
            "remoteHosts": "*",
            "sources": "foo*",
            "targets": "foo*",
            "allowAnonymousSender": true,
        }));
        let takers =
            ["foo.a", "secret", "_local/$management"].map(|address| Taker::at(&node, address));
        let mut client = client(&node).await;
        let anonymous = client.try_attach(LinkRole::Sender, None).await.expect("allowed").0;
        for hidden in [
            "foo:/secret",
            "foo://h/secret",
            "foo:/$management",
            "_local/$management",
            "foo:/_topo/0/here/$management",
        ] {
            for role in [LinkRole::Sender, LinkRole::Receiver] {
                let refused = client.try_attach(role, Some(hidden)).await.map(drop);
                assert_eq!(refused, Err("amqp:unauthorized-access".to_owned()), "{hidden}");
            }
            assert!(
                matches!(
                    client.send(anonymous, None, Some(hidden)).await,
                    DeliveryState::Rejected(_)
                ),
                "{hidden}"
            );
        }
        for plain in ["foo.a", "/foo.a", "amqp://h/foo.a/"] {
            let link = client.try_attach(LinkRole::Sender, Some(plain)).await.expect("allowed").0;
            assert_eq!(client.send(link, None, None).await, DeliveryState::Accepted);
            assert_eq!(client.send(anonymous, None, Some(plain)).await, DeliveryState::Accepted);
        }
        assert_eq!(takers.each_ref().map(|(taker, _)| taker.count()), [6, 0, 0]);
    });
}

#[test]
fn annotations_lead_nowhere_that_policy_has_not_judged() {
    run(async {
        let node = governed(
            &json!({ "remoteHosts": "*", "targets": "foo*", "allowAnonymousSender": true }),
        );
        let takers = ["foo", "foo.bar", "secret"].map(|address| Taker::at(&node, address));
        let counts = || takers.each_ref().map(|(taker, _)| taker.count());
        let mut client = client(&node).await;
        let link = client.try_attach(LinkRole::Sender, Some("foo")).await.expect("allowed").0;
        for override_to in ["secret", "foo.bar"] {
            assert_eq!(client.send(link, Some(override_to), None).await, DeliveryState::Accepted);
        }
        assert_eq!(counts(), [2, 0, 0], "the link's address counts");
        let anonymous = client.try_attach(LinkRole::Sender, None).await.expect("allowed").0;
        for (override_to, to, allowed) in
            [("secret", "foo", false), ("foo.bar", "secret", true), ("foo:/secret", "foo", false)]
        {
            let outcome = client.send(anonymous, Some(override_to), Some(to)).await;
            assert_eq!(outcome == DeliveryState::Accepted, allowed, "{override_to}");
        }
        assert_eq!(counts(), [2, 1, 0]);
    });
}

#[test]
fn an_address_is_no_longer_than_routers_take() {
    run(async {
        let node = node();
        let mut client = client(&node).await;
        for (octets, fits) in [(4095, true), (4096, false), (16_000, false)] {
            let address = "a".repeat(octets);
            for role in [LinkRole::Sender, LinkRole::Receiver] {
                let attached = client.try_attach(role, Some(&address)).await.map(drop);
                assert_eq!(
                    attached,
                    if fits { Ok(()) } else { Err("amqp:resource-limit-exceeded".to_owned()) },
                    "{octets}"
                );
            }
        }
    });
}

/// Returns the address of a link's source, as the router answered.
fn source(attach: &Attach) -> String {
    attach.source.as_ref().and_then(|source| source.address.clone()).expect("an address")
}

#[test]
fn a_temporary_address_is_received_from_by_its_own_connection_alone() {
    run(async {
        let node = node();
        let (mut owner, mut other) = (client(&node).await, client(&node).await);
        let (link, attach) =
            owner.try_attach(LinkRole::Receiver, None).await.expect("an address of its own");
        let address = source(&attach);
        assert!(address.starts_with("amqp:/_topo/0/here/temp."), "{address}");
        let name = address.rsplit('/').next().unwrap();
        for spelling in [
            address.clone(),
            format!("_local/{name}"),
            format!("x:/_edge/here/{name}"),
            "_local/temp.mine".to_owned(),
        ] {
            let refused = other.try_attach(LinkRole::Receiver, Some(&spelling)).await.map(drop);
            assert_eq!(refused, Err("amqp:unauthorized-access".to_owned()), "{spelling}");
        }
        // Answers come from anybody.
        owner.engine.set_credit(link, 10, false);
        owner.flush().await;
        let sender = other.try_attach(LinkRole::Sender, Some(&address)).await.expect("anybody").0;
        let mut sending = std::pin::pin!(other.send(sender, None, None));
        let mut hearing = std::pin::pin!(async {
            loop {
                if let Event::Transfer { delivery, .. } = owner.event().await {
                    owner.engine.disposition(delivery, Some(DeliveryState::Accepted), true);
                    owner.flush().await;
                    break;
                }
            }
            &mut owner
        });
        let (outcome, owner) = tokio::join!(&mut sending, &mut hearing);
        assert_eq!(outcome, DeliveryState::Accepted);
        owner
            .try_attach(LinkRole::Receiver, Some(&address))
            .await
            .expect("another link of its own");
        // No client receives from the address at which a service connection waits for its answer.
        let handle = node.core.replies().add(0, unguessable(), Arc::<Taker>::default() as Arc<_>);
        let reply = handle.address();
        let refused =
            client(&node).await.try_attach(LinkRole::Receiver, Some(&reply)).await.map(drop);
        assert_eq!(refused, Err("amqp:unauthorized-access".to_owned()), "{reply}");
    });
}

#[test]
fn requests_to_the_router_itself_are_not_for_who_attached_there_too() {
    run(async {
        let node = node();
        let own = Arc::<Taker>::default();
        let serve = |key: &str| {
            let key = node.core.read(key).key().to_key();
            node.core.serve(key, LocalConsumer::own(Arc::clone(&own) as Arc<_>), node.clock.now())
        };
        let mut client = client(&node).await;
        client
            .try_attach(LinkRole::Receiver, Some("$management"))
            .await
            .expect("as with C routers");
        let _serving = [serve("$management"), serve("_local/$management")];
        client
            .try_attach(LinkRole::Receiver, Some("_local/$management"))
            .await
            .expect("as with C routers");
        for address in ["$management", "_topo/0/here/$management"] {
            let link = client.try_attach(LinkRole::Sender, Some(address)).await.expect("allowed").0;
            for _ in 0..3 {
                assert_eq!(client.send(link, None, None).await, DeliveryState::Accepted);
            }
        }
        assert_eq!(own.count(), 6);
    });
}
