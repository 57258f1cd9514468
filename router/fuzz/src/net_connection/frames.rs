//! Makes frames that no sound engine would send, from a few bytes.

use std::sync::Arc;

use skupper_proto::amqp::performative::{
    Attach, Begin, Close, DeliveryState, DeliveryTag, Detach, Disposition, End, Error, Flow, Open,
    Performative, Rejected, Role, Transfer,
};
use skupper_proto::amqp::terminus::{MessageTarget, Source, Target};
use skupper_proto::amqp::{Encode, Fields, Multiple, Symbol, Value, frame};
use skupper_proto::mobile::Attributes;
use skupper_proto::mobile::message::{AddressEntry, Mar, Mau, MauContent};
use skupper_proto::routing::Message;
use skupper_proto::topology::message::{Hello, Lsr, Lsu, Ra};

use super::script::Script;

/// Addresses with a meaning for a router.
const ADDRESSES: [&str; 16] = [
    "a",
    "b",
    "m.multicast",
    "service",
    "$management",
    "_local/$management",
    "amqp:/_local/qdhello",
    "amqp:/_topo/all/all/qdrouter",
    "amqp:/_topo/0/here/temp.x",
    "amqp:/_topo/0/there/a",
    "_edge/there/a",
    "amqp:/_edge/here",
    "foo:/a",
    "",
    "_$temp.x",
    "_$qd.edge_addr_tracking",
];

/// Names of routers, this one included.
const ROUTERS: [&str; 4] = ["here", "there", "elsewhere", ""];

pub(super) fn address(script: &mut Script<'_>) -> String {
    let choice = script.octet();
    match choice {
        0..=239 => ADDRESSES[usize::from(choice) % ADDRESSES.len()].to_owned(),
        // Long addresses, each different.
        _ => format!("{}{}", "x".repeat(usize::from(choice - 239) * 40), script.octet()),
    }
}

pub(super) fn router(script: &mut Script<'_>) -> Arc<str> {
    Arc::from(ROUTERS[usize::from(script.octet()) % ROUTERS.len()])
}

const CAPABILITIES: [&str; 8] = [
    "qd.router",
    "qd.router-data",
    "qd.streaming-deliveries",
    "qd.resend-released",
    "qd.router-edge-downlink",
    "qd.router-edge-address-tracking",
    "qd.streaming-links",
    "qd.router-inter-edge",
];

pub(super) fn capabilities(script: &mut Script<'_>) -> Option<Multiple<Symbol>> {
    let choice = script.octet();
    (choice < 128).then(|| {
        Multiple(vec![Symbol::from_static(CAPABILITIES[usize::from(choice) % CAPABILITIES.len()])])
    })
}

pub(super) fn role(script: &mut Script<'_>) -> Role {
    if script.octet() & 1 == 0 { Role::Sender } else { Role::Receiver }
}

pub(super) fn source(script: &mut Script<'_>) -> Source {
    let dynamic = script.octet() & 7 == 0;
    Source {
        address: (!dynamic).then(|| address(script)),
        dynamic: Some(dynamic),
        capabilities: capabilities(script),
        ..Source::default()
    }
}

pub(super) fn target(script: &mut Script<'_>) -> Target {
    let flags = script.octet();
    Target::Message(MessageTarget {
        address: (flags & 3 != 0).then(|| address(script)),
        dynamic: Some(flags & 15 == 1),
        capabilities: capabilities(script),
        ..MessageTarget::default()
    })
}

pub(super) fn error() -> Error {
    Error::new("amqp:internal-error", "fuzz")
}

pub(super) fn state(script: &mut Script<'_>) -> DeliveryState {
    match script.octet() % 6 {
        0 => DeliveryState::Accepted,
        1 => DeliveryState::Released,
        2 => DeliveryState::Rejected(Rejected { error: Some(error()) }),
        3 => DeliveryState::failed(),
        4 => DeliveryState::received(u64::from(script.octet())),
        _ => DeliveryState::received_in(u32::from(script.octet()), u64::from(script.word()) << 8),
    }
}

/// Returns the properties of an open, which decide the kind of the peer.
pub(super) fn properties(choice: u8) -> Fields {
    let mut fields = Fields::default();
    if choice & 1 != 0 {
        fields.push("qd.inter-router-role", Value::Int(4));
    }
    if choice & 2 != 0 {
        fields.push("qd.group-correlator", Value::string("group"));
    }
    if choice & 4 != 0 {
        fields.push("skrouterd", Value::string("0"));
    }
    if choice & 8 != 0 {
        fields.push("qd.inter-router-cost", Value::Int(i32::from(choice) - 100));
    }
    if choice & 16 != 0 {
        fields.push("qd.group-ordinal", Value::Ulong(u64::from(choice)));
    }
    if choice & 32 != 0 {
        let pair =
            |key, value: &str| (Value::Symbol(Symbol::from_static(key)), Value::string(value));
        let entry = Value::Map(vec![pair("network-host", "127.0.0.1"), pair("port", "1")]);
        fields.push("failover-server-list", Value::List(vec![entry]));
    }
    fields
}

/// Returns a number that is mostly small, as handles, channels and ids in use are.
fn number(script: &mut Script<'_>) -> u32 {
    match script.octet() {
        255 => u32::MAX,
        254 => u32::from(script.word()) << 16,
        small => u32::from(small % 16),
    }
}

fn some<T>(script: &mut Script<'_>, value: impl FnOnce(&mut Script<'_>) -> T) -> Option<T> {
    (script.octet() & 1 == 0).then(|| value(script))
}

/// Returns a whole frame, with a payload for a transfer.
pub(super) fn frame(script: &mut Script<'_>) -> Vec<u8> {
    let channel = script.octet() % 8;
    let performative = match script.octet() % 10 {
        0 => {
            let choice = script.octet();
            let max_frame_size = (choice & 64 != 0).then(|| u32::from(script.word()));
            let container_id = script.octet().to_string();
            Performative::Open(Box::new(Open {
                container_id,
                max_frame_size,
                properties: Some(properties(choice)),
                ..Open::default()
            }))
        }
        1 => Performative::Begin(Box::new(Begin {
            remote_channel: some(script, |script| script.octet().into()),
            next_outgoing_id: number(script),
            incoming_window: number(script),
            outgoing_window: number(script),
            ..Begin::default()
        })),
        2 | 3 => Performative::Attach(Box::new(Attach {
            name: script.octet().to_string(),
            handle: number(script),
            role: role(script),
            snd_settle_mode: some(script, |script| script.octet()),
            source: some(script, source),
            target: some(script, target),
            initial_delivery_count: Some(number(script)),
            ..Attach::default()
        })),
        4 => Performative::Flow(Flow {
            next_incoming_id: some(script, number),
            incoming_window: number(script),
            next_outgoing_id: number(script),
            outgoing_window: number(script),
            handle: some(script, number),
            delivery_count: some(script, number),
            link_credit: some(script, number),
            drain: some(script, |script| script.octet() & 1 == 0),
            echo: some(script, |script| script.octet() & 1 == 0),
            ..Flow::default()
        }),
        5 => Performative::Transfer(Transfer {
            handle: number(script),
            delivery_id: some(script, number),
            delivery_tag: some(script, |script| DeliveryTag::from(u64::from(script.octet()))),
            settled: some(script, |script| script.octet() & 1 == 0),
            more: some(script, |script| script.octet() & 1 == 0),
            aborted: (script.octet() & 15 == 0).then_some(true),
            state: (script.octet() & 7 == 0).then(|| state(script)),
            ..Transfer::default()
        }),
        6 => Performative::Disposition(Disposition {
            role: role(script),
            first: number(script),
            last: some(script, number),
            settled: some(script, |script| script.octet() & 1 == 0),
            state: some(script, state),
            ..Disposition::default()
        }),
        7 => Performative::Detach(Detach {
            handle: number(script),
            closed: some(script, |script| script.octet() & 1 == 0),
            error: some(script, |_| error()),
            ..Detach::default()
        }),
        8 => Performative::End(End { error: some(script, |_| error()), ..End::default() }),
        _ => Performative::Close(Close { error: some(script, |_| error()), ..Close::default() }),
    };
    let payload = match performative {
        Performative::Transfer(_) => message(script),
        _ => Vec::new(),
    };
    let mut out = Vec::new();
    let start = frame::begin(&mut out, frame::TYPE_AMQP, channel.into());
    performative.encode(&mut out);
    out.extend_from_slice(&payload);
    frame::end(&mut out, start, 0);
    out
}

/// Returns a message of the routing protocol, of a stream, to an address, or of arbitrary bytes.
pub(super) fn message(script: &mut Script<'_>) -> Vec<u8> {
    match script.octet() % 8 {
        0..=2 => {
            let (to, message) = routing(script);
            message.encode(&to, &format!("0/{}", router(script)))
        }
        3 => skupper_proto::stream::encode_head(
            &address(script),
            Some("amqp:/_topo/0/there/temp.r"),
            None,
            None,
        ),
        4 | 5 => {
            let mut octets =
                skupper_proto::stream::encode_head(&address(script), None, Some("1"), None);
            let body = script.octets();
            octets.extend_from_slice(&[0, 0x53, 0x75, 0xb0]);
            octets.extend_from_slice(&u32::try_from(body.len()).unwrap_or_default().to_be_bytes());
            octets.extend_from_slice(body);
            octets
        }
        _ => script.octets().to_vec(),
    }
}

/// Returns a message of the routing protocol, and its destination.
fn routing(script: &mut Script<'_>) -> (String, Message) {
    let id = router(script);
    let instance = Some(i64::from(script.octet() % 4));
    let entries = |script: &mut Script<'_>| -> Vec<AddressEntry> {
        (0..script.octet() % 8)
            .map(|_| AddressEntry { key: key(&address(script)), attributes: Attributes::default() })
            .collect()
    };
    let flooded = "amqp:/_topo/all/all/qdrouter".to_owned();
    match script.octet() % 7 {
        0 | 1 => {
            let seen = (0..script.octet() % 4).map(|_| router(script)).collect();
            ("amqp:/_local/qdhello".to_owned(), Message::Hello(Hello { id, instance, seen }))
        }
        2 => (
            flooded,
            Message::Ra(Ra {
                id,
                instance,
                ls_seq: script.octet().into(),
                mobile_seq: script.octet().into(),
                digests: None,
            }),
        ),
        3 => {
            let peers =
                (0..script.octet() % 4).map(|_| (router(script), script.octet().into())).collect();
            let ls_seq = script.octet().into();
            (
                "amqp:/_topo/0/here/qdrouter".to_owned(),
                Message::Lsu(Lsu { id, instance, ls_seq, peers }),
            )
        }
        4 => ("amqp:/_topo/0/here/qdrouter".to_owned(), Message::Lsr(Lsr { id })),
        5 => {
            let content = if script.octet() & 1 == 0 {
                MauContent::Whole(entries(script))
            } else {
                MauContent::Change { add: entries(script), del: vec![key(&address(script))] }
            };
            let to = "amqp:/_topo/all/all/qdrouter.ma".to_owned();
            (to, Message::Mau(Mau { id, mobile_seq: script.octet().into(), content }))
        }
        _ => (
            "amqp:/_topo/0/here/qdrouter.ma".to_owned(),
            Message::Mar(Mar { id, have_seq: script.octet().into() }),
        ),
    }
}

fn key(text: &str) -> skupper_proto::address::AddressKey {
    skupper_proto::address::AddressKey::mobile(text)
}
