//! Two engines that exchange bytes in memory and in virtual time: a link layer of the router, and
//! its peer.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use skupper_proto::address::patterns::Patterns;
use skupper_proto::address::{RouterMode, Treatment};
use skupper_proto::amqp::performative::Role as LinkRole;
use skupper_proto::amqp::terminus::{MessageTarget, Source, Target};
use skupper_proto::amqp::{Fields, Multiple};
use skupper_proto::engine::{self, AttachRequest, Event, Layer, LinkKey};
use skupper_proto::keys::KeyMap;
use skupper_proto::time::Instant;
use skupper_proto::topology;

use super::super::context::Context;
use super::super::life::Life;
use super::super::link_layer::LinkLayer;
use super::super::peer::{Peer, PeerOpen};
use super::super::role::{Client, Data, Role};
use super::super::settings::Settings;
use crate::core::{Class, Core, Holder, Mailbox};
use crate::node::HANDSHAKE;
use crate::schema::Role as ConfiguredRole;

/// The settings of a listener.
pub(in crate::net) fn settings(role: ConfiguredRole) -> Settings {
    Settings {
        role,
        entity: Arc::from("listener"),
        outgoing: false,
        data: false,
        cost: 1,
        strip_in: true,
        message_logging: Default::default(),
        strip_out: true,
        link_capacity: 250,
        correlator: None,
        ordinal: None,
        layer: Layer::Server { mechanisms: vec!["ANONYMOUS"], allow_bare: false },
        hostname: None,
        max_frame_size: 16_384,
        channel_max: 100,
        session_frames: None,
        idle_timeout: Duration::from_secs(60),
        handshake_timeout: HANDSHAKE,
        access_id: None,
        properties: Fields::default(),
        targets: None,
        user: None,
        policy_vhost: None,
        management: crate::schema::ManagementAccess::Full,
    }
}

fn config(layer: Layer, incoming_window: u32) -> engine::Config {
    engine::Config {
        container_id: "engine".to_owned(),
        hostname: None,
        max_frame_size: 16_384,
        channel_max: 100,
        idle_timeout: Duration::ZERO,
        handshake_timeout: HANDSHAKE,
        incoming_window,
        capabilities: Multiple::default(),
        properties: Fields::default(),
        layer,
    }
}

/// A link layer of the router, and its peer.
pub(in crate::net) struct Pair {
    pub(in crate::net) near: LinkLayer,
    pub(in crate::net) role: Role,
    pub(in crate::net) far: engine::Connection,
    inputs: [BytesMut; 2],
}

impl Pair {
    /// Makes a connection that is open. The peer takes `window` transfers in each session.
    pub(in crate::net) fn open(role: ConfiguredRole, window: u32) -> Self {
        let now = Instant::from_millis(1000);
        let core = Core::new(
            crate::core::Settings {
                mode: RouterMode::Interior,
                bid: None,
                routing: topology::Config::new("here", 1),
                treatments: Patterns::default(),
                default_treatment: Treatment::Balanced,
                shards: 1,
                ceiling: 64 << 20,
            },
            now,
        );
        let settings = settings(role);
        let class = if role.is_router() { Class::Neighbor } else { Class::Client };
        let holder = Holder::new(core.account(), class);
        let mut cx = Context {
            id: 1,
            is_client: !role.is_router(),
            stream_capability: None,
            engine: engine::Connection::new(config(settings.layer.clone(), 8192), now),
            now,
            mailbox: Mailbox::new(0),
            holder,
            octets: Arc::default(),
            links: Arc::default(),
            records: KeyMap::default(),
            peer: Peer::new(&settings, None),
            edge: None,
            life: Life::default(),
            standing: Arc::default(),
            scan_due: None,
            core,
            settings,
        };
        cx.life.on_opened();
        cx.peer.open = Some(PeerOpen {
            container: Arc::from("peer"),
            streaming_links: true,
            trunking: true,
            ordinal: None,
        });
        let client = Layer::Client {
            mechanisms: vec!["ANONYMOUS"],
            identity: "peer".to_owned(),
            credentials: None,
        };
        let far = engine::Connection::new(config(client, window), now);
        let role = if role.is_router() {
            Role::Data(Data::new(None))
        } else {
            Role::Client(Client::default())
        };
        let near = LinkLayer::new(cx);
        let mut pair = Self { near, role, far, inputs: Default::default() };
        pair.exchange();
        assert!(pair.near.cx.engine.is_open() && pair.far.is_open());
        while pair.near.cx.engine.poll_event().is_some() {}
        while pair.far.poll_event().is_some() {}
        pair
    }

    /// Lets time pass.
    pub(in crate::net) fn wait(&mut self, time: Duration) {
        self.near.cx.now += time;
    }

    /// Carries bytes both ways until there are none.
    pub(in crate::net) fn exchange(&mut self) {
        let now = self.near.cx.now;
        loop {
            let (near, [there, here]) = (&mut self.near.cx.engine, &mut self.inputs);
            let moved = carry(near, &mut self.far, there, now);
            if !carry(&mut self.far, near, here, now) && !moved {
                return;
            }
        }
    }

    /// Carries bytes, and tells the router's machines what its engine says, until nothing moves.
    /// Returns what the peer's engine says.
    pub(in crate::net) fn run(&mut self) -> Vec<Event> {
        let mut heard = Vec::new();
        loop {
            self.near.outgoing.gather(&mut self.near.cx);
            self.exchange();
            let mut quiet = true;
            while let Some(event) = self.near.cx.engine.poll_event() {
                quiet = false;
                self.on_event(event);
            }
            while let Some(event) = self.far.poll_event() {
                quiet = false;
                heard.push(event);
            }
            if quiet {
                return heard;
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        let LinkLayer { cx, incoming, outgoing } = &mut self.near;
        match event {
            Event::Transfer { delivery: key, link, settled, payload, ending, state, .. } => {
                let part = super::super::incoming::Part {
                    key,
                    link,
                    presettled: settled,
                    payload,
                    ending,
                    state,
                };
                if let Some(own) = incoming.on_transfer(cx, part) {
                    self.role.on_own_message(&mut self.near, own);
                }
            }
            Event::ReceiverState { delivery, state, settled } => {
                outgoing.on_outcome(cx, delivery, state, settled);
            }
            Event::Credit { link, drain } => outgoing.on_credit(cx, link, drain),
            Event::Window { session } => outgoing.on_window(cx, session),
            Event::Held { session, octets } => outgoing.on_held(cx, session, octets),
            Event::SenderSettled { delivery } => incoming.on_sender_settled(cx, delivery),
            Event::IncomingLost { delivery } => incoming.on_lost(cx, delivery),
            Event::OutgoingLost { delivery, .. } => outgoing.on_lost(cx, delivery),
            Event::Attached { link, ours: true, attach } => {
                self.role.on_answered(&mut self.near, link, &attach);
            }
            Event::Attached { link, ours: false, attach } => {
                self.role.on_attached(&mut self.near, link, *attach);
            }
            Event::Detached { link, error } => {
                self.role.on_detached(&mut self.near, link, error.as_ref());
            }
            _ => {}
        }
    }

    /// The peer accepts a link of the router's, with credit for `credit` deliveries.
    pub(in crate::net) fn accept(&mut self, link: LinkKey, credit: u32) {
        let (source, target) =
            (Some(Source::default()), Some(Target::Message(MessageTarget::default())));
        self.far.accept(link, AttachRequest { source, target, ..AttachRequest::default() });
        self.far.set_credit(link, credit, false);
    }

    /// The peer attaches a link on which it sends to an address, and hears the answer.
    pub(in crate::net) fn attach_sender(&mut self, address: &str) -> LinkKey {
        let session = self.far.begin().expect("a session");
        let target = MessageTarget { address: Some(address.to_owned()), ..Default::default() };
        let request = AttachRequest {
            name: address.to_owned(),
            role: LinkRole::Sender,
            source: Some(Source::default()),
            target: Some(Target::Message(target)),
            snd_settle_mode: 2,
            ..AttachRequest::default()
        };
        let link = self.far.attach(session, request).expect("a link");
        self.run();
        link
    }
}

/// Carries what one end has written to the other. Returns whether there was anything.
fn carry(
    from: &mut engine::Connection,
    to: &mut engine::Connection,
    input: &mut BytesMut,
    now: Instant,
) -> bool {
    let octets = from.output().to_vec();
    if octets.is_empty() {
        return false;
    }
    from.output().clear();
    from.sent(now);
    input.extend_from_slice(&octets);
    while to.handle_input(input, now) {}
    true
}

/// The links that the router attaches, of what the peer has heard.
pub(in crate::net) fn attached(events: &[Event]) -> Vec<LinkKey> {
    let attached = |event: &Event| match event {
        Event::Attached { link, ours: false, .. } => Some(*link),
        _ => None,
    };
    events.iter().filter_map(attached).collect()
}
