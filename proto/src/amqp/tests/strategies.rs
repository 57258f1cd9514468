//! Values, frames and nearly right bytes, at random.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::super::decode::Decode;
use super::super::performative::{
    Attach, Begin, Close, DeliveryState, DeliveryTag, Detach, Disposition, End, Error, Flow,
    Modified, Open, Performative, Received, Rejected, Role, Transfer,
};
use super::super::sasl::{self, SaslFrame};
use super::super::terminus::{MessageTarget, Source, Target};
use super::super::{Fields, Multiple, Reader, Symbol, Value};

use super::encoded;

fn any_symbol() -> impl Strategy<Value = Symbol> {
    prop_oneof![8 => "[ -~]{0,40}", 1 => "[ -~]{250,300}"].prop_map(Symbol::from)
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![8 => "\\PC{0,40}", 1 => "[a-z]{250,300}"]
}

fn any_binary() -> impl Strategy<Value = Bytes> {
    prop_oneof![8 => vec(any::<u8>(), 0..40), 1 => vec(any::<u8>(), 250..300)].prop_map(Bytes::from)
}

/// A value of one of the types that have no members, chosen by `kind`.
fn scalar(kind: u8) -> BoxedStrategy<Value> {
    match kind {
        0 => Just(Value::Null).boxed(),
        1 => any::<bool>().prop_map(Value::Bool).boxed(),
        2 => any::<u8>().prop_map(Value::Ubyte).boxed(),
        3 => any::<u16>().prop_map(Value::Ushort).boxed(),
        4 => prop_oneof![Just(0), 1..300u32, any::<u32>()].prop_map(Value::Uint).boxed(),
        5 => prop_oneof![Just(0), 1..300u64, any::<u64>()].prop_map(Value::Ulong).boxed(),
        6 => any::<i8>().prop_map(Value::Byte).boxed(),
        7 => any::<i16>().prop_map(Value::Short).boxed(),
        8 => prop_oneof![-200..200i32, any::<i32>()].prop_map(Value::Int).boxed(),
        9 => prop_oneof![-200..200i64, any::<i64>()].prop_map(Value::Long).boxed(),
        10 => any::<f32>()
            .prop_filter("NaN equals nothing", |n| !n.is_nan())
            .prop_map(Value::Float)
            .boxed(),
        11 => any::<f64>()
            .prop_filter("NaN equals nothing", |n| !n.is_nan())
            .prop_map(Value::Double)
            .boxed(),
        12 => any::<[u8; 4]>().prop_map(Value::Decimal32).boxed(),
        13 => any::<[u8; 8]>().prop_map(Value::Decimal64).boxed(),
        14 => any::<[u8; 16]>().prop_map(Value::Decimal128).boxed(),
        15 => any::<char>().prop_map(Value::Char).boxed(),
        16 => any::<i64>().prop_map(Value::Timestamp).boxed(),
        17 => any::<[u8; 16]>().prop_map(Value::Uuid).boxed(),
        18 => any_binary().prop_map(|octets| Value::Binary(Box::from(&octets[..]))).boxed(),
        19 => any_text().prop_map(Value::String).boxed(),
        _ => any_symbol().prop_map(Value::Symbol).boxed(),
    }
}

const SCALARS: u8 = 21;

fn any_scalar() -> impl Strategy<Value = Value> {
    (0..SCALARS).prop_flat_map(scalar)
}

fn any_descriptor() -> impl Strategy<Value = Value> {
    prop_oneof![any::<u64>().prop_map(Value::Ulong), any_symbol().prop_map(Value::Symbol)]
}

pub(super) fn describe(descriptor: &Value, value: Value) -> Value {
    Value::Described(Box::new((descriptor.clone(), value)))
}

/// Arrays of one type, of one type behind one or two descriptors, of lists, of arrays.
fn any_array(
    inner: impl Strategy<Value = Value> + Clone + 'static,
) -> impl Strategy<Value = Value> {
    let scalars = (0..SCALARS).prop_flat_map(|kind| vec(scalar(kind), 0..12));
    let lists = vec(vec(inner.clone(), 0..4).prop_map(Value::List), 0..6);
    let maps = vec(vec((any_scalar(), inner), 0..3).prop_map(Value::Map), 0..6);
    let members = prop_oneof![4 => scalars, 1 => lists, 1 => maps];
    let arrays = vec(members.clone().prop_map(Value::Array), 0..4);
    let members = prop_oneof![4 => members, 1 => arrays];
    (members, vec(any_descriptor(), 0..3)).prop_map(|(members, descriptors)| {
        let wrap = |member| {
            descriptors.iter().rev().fold(member, |value, descriptor| describe(descriptor, value))
        };
        Value::Array(members.into_iter().map(wrap).collect())
    })
}

pub(super) fn any_value() -> BoxedStrategy<Value> {
    any_scalar()
        .prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..8).prop_map(Value::List),
                vec((inner.clone(), inner.clone()), 0..6).prop_map(Value::Map),
                (any_descriptor(), inner.clone())
                    .prop_map(|(descriptor, value)| describe(&descriptor, value)),
                (inner.clone(), inner.clone())
                    .prop_map(|(descriptor, value)| describe(&descriptor, value)),
                any_array(inner),
            ]
        })
        .boxed()
}

fn any_fields() -> BoxedStrategy<Fields> {
    vec((any_symbol(), any_value()), 0..5).prop_map(Fields).boxed()
}

fn any_symbols() -> BoxedStrategy<Multiple<Symbol>> {
    vec(any_symbol(), 0..5).prop_map(Multiple).boxed()
}

/// A value where any value can stand, as a field: a null is an absent field.
fn any_field_value() -> BoxedStrategy<Value> {
    any_value().prop_filter("null is absence", |value| *value != Value::Null).boxed()
}

fn any_error() -> BoxedStrategy<Error> {
    (any_symbol(), option::of(any_text()), option::of(any_fields()))
        .prop_map(|(condition, description, info)| Error { condition, description, info })
        .boxed()
}

fn any_state() -> BoxedStrategy<DeliveryState> {
    prop_oneof![
        (any::<u32>(), any::<u64>()).prop_map(|(section_number, section_offset)| {
            DeliveryState::Received(Received { section_number, section_offset })
        }),
        Just(DeliveryState::Accepted),
        option::of(any_error()).prop_map(|error| DeliveryState::Rejected(Rejected { error })),
        Just(DeliveryState::Released),
        (option::of(any::<bool>()), option::of(any::<bool>()), option::of(any_field_value()))
            .prop_map(|(delivery_failed, undeliverable_here, message_annotations)| {
                DeliveryState::Modified(Modified {
                    delivery_failed,
                    undeliverable_here,
                    message_annotations,
                })
            }),
        (0x30..0x40u64, any_value())
            .prop_map(|(code, value)| DeliveryState::Other(describe(&Value::Ulong(code), value))),
        ("x:[a-z]{1,10}", any_value()).prop_map(|(name, value)| DeliveryState::Other(describe(
            &Value::symbol(Symbol::from(name)),
            value
        ))),
    ]
    .boxed()
}

fn any_source() -> BoxedStrategy<Source> {
    (
        (
            option::of(any_text()),
            option::of(any::<u32>()),
            option::of(any_symbol()),
            option::of(any::<u32>()),
        ),
        (
            option::of(any::<bool>()),
            option::of(any_fields()),
            option::of(any_symbol()),
            option::of(any_field_value()),
        ),
        (option::of(any_field_value()), option::of(any_symbols()), option::of(any_symbols())),
    )
        .prop_map(|(a, b, c)| Source {
            address: a.0,
            durable: a.1,
            expiry_policy: a.2,
            timeout: a.3,
            dynamic: b.0,
            dynamic_node_properties: b.1,
            distribution_mode: b.2,
            filter: b.3,
            default_outcome: c.0,
            outcomes: c.1,
            capabilities: c.2,
        })
        .boxed()
}

fn any_target() -> BoxedStrategy<Target> {
    let message = (
        (
            option::of(any_text()),
            option::of(any::<u32>()),
            option::of(any_symbol()),
            option::of(any::<u32>()),
        ),
        (option::of(any::<bool>()), option::of(any_fields()), option::of(any_symbols())),
    )
        .prop_map(|(a, b)| MessageTarget {
            address: a.0,
            durable: a.1,
            expiry_policy: a.2,
            timeout: a.3,
            dynamic: b.0,
            dynamic_node_properties: b.1,
            capabilities: b.2,
        });
    prop_oneof![
        4 => message.prop_map(Target::Message),
        1 => any_value().prop_map(|value| Target::Other(describe(&Value::Ulong(0x30), value))),
    ]
    .boxed()
}

fn any_tag() -> impl Strategy<Value = DeliveryTag> {
    vec(any::<u8>(), 0..=32)
        .prop_map(|octets| DeliveryTag::decode(&mut Reader::new(&encoded(&*octets))).unwrap())
}

fn any_role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Sender), Just(Role::Receiver)]
}

fn any_open() -> BoxedStrategy<Performative> {
    (
        (
            any_text(),
            option::of(any_text()),
            option::of(any::<u32>()),
            option::of(any::<u16>()),
            option::of(any::<u32>()),
        ),
        (
            option::of(any_symbols()),
            option::of(any_symbols()),
            option::of(any_symbols()),
            option::of(any_symbols()),
        ),
        option::of(any_fields()),
    )
        .prop_map(|(a, b, properties)| {
            Performative::Open(Box::new(Open {
                container_id: a.0,
                hostname: a.1,
                max_frame_size: a.2,
                channel_max: a.3,
                idle_time_out: a.4,
                outgoing_locales: b.0,
                incoming_locales: b.1,
                offered_capabilities: b.2,
                desired_capabilities: b.3,
                properties,
            }))
        })
        .boxed()
}

fn any_begin() -> BoxedStrategy<Performative> {
    (
        (
            option::of(any::<u16>()),
            any::<u32>(),
            any::<u32>(),
            any::<u32>(),
            option::of(any::<u32>()),
        ),
        (option::of(any_symbols()), option::of(any_symbols()), option::of(any_fields())),
    )
        .prop_map(|(a, b)| {
            Performative::Begin(Box::new(Begin {
                remote_channel: a.0,
                next_outgoing_id: a.1,
                incoming_window: a.2,
                outgoing_window: a.3,
                handle_max: a.4,
                offered_capabilities: b.0,
                desired_capabilities: b.1,
                properties: b.2,
            }))
        })
        .boxed()
}

fn any_attach() -> BoxedStrategy<Performative> {
    (
        (any_text(), any::<u32>(), any_role(), option::of(any::<u8>()), option::of(any::<u8>())),
        (
            option::of(any_source()),
            option::of(any_target()),
            option::of(any_field_value()),
            option::of(any::<bool>()),
        ),
        (option::of(any::<u32>()), option::of(any::<u64>())),
        (option::of(any_symbols()), option::of(any_symbols()), option::of(any_fields())),
    )
        .prop_map(|(a, b, c, d)| {
            Performative::Attach(Box::new(Attach {
                name: a.0,
                handle: a.1,
                role: a.2,
                snd_settle_mode: a.3,
                rcv_settle_mode: a.4,
                source: b.0,
                target: b.1,
                unsettled: b.2,
                incomplete_unsettled: b.3,
                initial_delivery_count: c.0,
                max_message_size: c.1,
                offered_capabilities: d.0,
                desired_capabilities: d.1,
                properties: d.2,
            }))
        })
        .boxed()
}

fn any_flow() -> BoxedStrategy<Performative> {
    (
        (option::of(any::<u32>()), any::<u32>(), any::<u32>(), any::<u32>()),
        (
            option::of(any::<u32>()),
            option::of(any::<u32>()),
            option::of(any::<u32>()),
            option::of(any::<u32>()),
        ),
        (option::of(any::<bool>()), option::of(any::<bool>()), option::of(any_fields())),
    )
        .prop_map(|(a, b, c)| {
            Performative::Flow(Flow {
                next_incoming_id: a.0,
                incoming_window: a.1,
                next_outgoing_id: a.2,
                outgoing_window: a.3,
                handle: b.0,
                delivery_count: b.1,
                link_credit: b.2,
                available: b.3,
                drain: c.0,
                echo: c.1,
                properties: c.2,
            })
        })
        .boxed()
}

fn any_transfer() -> BoxedStrategy<Performative> {
    let flag = || option::of(any::<bool>());
    (
        (any::<u32>(), option::of(any::<u32>()), option::of(any_tag()), option::of(any::<u32>())),
        (flag(), flag(), option::of(any::<u8>()), option::of(any_state())),
        (flag(), flag(), flag()),
    )
        .prop_map(|(a, b, c)| {
            Performative::Transfer(Transfer {
                handle: a.0,
                delivery_id: a.1,
                delivery_tag: a.2,
                message_format: a.3,
                settled: b.0,
                more: b.1,
                rcv_settle_mode: b.2,
                state: b.3,
                resume: c.0,
                aborted: c.1,
                batchable: c.2,
            })
        })
        .boxed()
}

pub(super) fn any_performative() -> BoxedStrategy<Performative> {
    let disposition = (
        (any_role(), any::<u32>(), option::of(any::<u32>())),
        (option::of(any::<bool>()), option::of(any_state()), option::of(any::<bool>())),
    )
        .prop_map(|(a, b)| {
            Performative::Disposition(Disposition {
                role: a.0,
                first: a.1,
                last: a.2,
                settled: b.0,
                state: b.1,
                batchable: b.2,
            })
        });
    let detach = (any::<u32>(), option::of(any::<bool>()), option::of(any_error()))
        .prop_map(|(handle, closed, error)| Performative::Detach(Detach { handle, closed, error }));
    prop_oneof![
        any_open(),
        any_begin(),
        any_attach(),
        any_flow(),
        any_transfer(),
        disposition,
        detach,
        option::of(any_error()).prop_map(|error| Performative::End(End { error })),
        option::of(any_error()).prop_map(|error| Performative::Close(Close { error })),
    ]
    .boxed()
}

pub(super) fn any_sasl() -> BoxedStrategy<SaslFrame> {
    prop_oneof![
        any_symbols().prop_map(|mechanisms| SaslFrame::Mechanisms(sasl::Mechanisms { mechanisms })),
        (any_symbol(), option::of(any_binary()), option::of(any_text())).prop_map(
            |(mechanism, initial_response, hostname)| {
                SaslFrame::Init(sasl::Init { mechanism, initial_response, hostname })
            }
        ),
        any_binary().prop_map(|challenge| SaslFrame::Challenge(sasl::Challenge { challenge })),
        any_binary().prop_map(|response| SaslFrame::Response(sasl::Response { response })),
        (any::<u8>(), option::of(any_binary())).prop_map(|(code, additional_data)| {
            SaslFrame::Outcome(sasl::Outcome { code, additional_data })
        }),
    ]
    .boxed()
}

/// Bytes that are nearly right: those of a value or a performative, some of them changed.
fn nearly() -> BoxedStrategy<Vec<u8>> {
    let whole = prop_oneof![
        any_value().prop_map(|value| encoded(&value)),
        any_performative().prop_map(|p| encoded(&p))
    ];
    (whole, vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), any::<prop::sample::Index>())
        .prop_map(|(mut octets, changes, end)| {
            for (index, octet) in changes {
                let at = index.index(octets.len());
                octets[at] = octet;
            }
            let end = end.index(octets.len() * 2);
            octets.truncate(end.max(1));
            octets
        })
        .boxed()
}

pub(super) fn hostile() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..600), nearly()]
}
