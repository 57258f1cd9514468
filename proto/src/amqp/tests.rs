//! Round trips, hostile octets, and octets of another implementation.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::decode::{ALLOWANCE, Decode, GROWTH, MAX_DEPTH};
use super::message::{self, Head, Scan, Span};
use super::performative::{
    Attach, Begin, Close, DeliveryState, DeliveryTag, Detach, Disposition, End, Error, Flow,
    MAX_STATE, Modified, Open, Performative, Received, Rejected, Role, Transfer,
};
use super::sasl::{self, SaslFrame};
use super::terminus::{MessageTarget, Source, Target};
use super::{DecodeError, Encode, Fields, Multiple, Reader, Symbol, Value};

fn encoded(value: &(impl Encode + ?Sized)) -> Vec<u8> {
    let mut out = Vec::new();
    value.encode(&mut out);
    out
}

fn decoded(octets: &[u8]) -> Result<Value, DecodeError> {
    Reader::new(octets).value()
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|octet| !octet.is_ascii_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

// ----- strategies -----

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

fn describe(descriptor: &Value, value: Value) -> Value {
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

fn any_value() -> BoxedStrategy<Value> {
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

/// What a peer may put where any value can stand, as a field: a null is an absent field.
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

fn any_performative() -> BoxedStrategy<Performative> {
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

fn any_sasl() -> BoxedStrategy<SaslFrame> {
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

/// Octets that are nearly right: those of a value or a performative, some of them changed.
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

fn hostile() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..600), nearly()]
}

proptest! {
    #[test]
    fn values_round_trip(value in any_value()) {
        let octets = encoded(&value);
        let mut reader = Reader::new(&octets);
        prop_assert_eq!(reader.value().unwrap(), value);
        prop_assert!(reader.is_empty());
        let mut reader = Reader::new(&octets);
        reader.skip().unwrap();
        prop_assert!(reader.is_empty());
    }

    #[test]
    fn a_cut_value_is_truncated(value in any_value(), cut in any::<prop::sample::Index>()) {
        let octets = encoded(&value);
        let cut = &octets[..cut.index(octets.len())];
        prop_assert_eq!(decoded(cut), Err(DecodeError::Truncated));
        prop_assert_eq!(Reader::new(cut).skip(), Err(DecodeError::Truncated));
    }

    #[test]
    fn performatives_round_trip(performative in any_performative(), payload in vec(any::<u8>(), 0..20)) {
        let mut octets = encoded(&performative);
        octets.extend_from_slice(&payload);
        let mut reader = Reader::new(&octets);
        prop_assert_eq!(Performative::decode(&mut reader).unwrap(), performative);
        prop_assert_eq!(reader.rest(), &payload[..]);
    }

    #[test]
    fn sasl_frames_round_trip(frame in any_sasl()) {
        let octets = encoded(&frame);
        let mut reader = Reader::new(&octets);
        prop_assert_eq!(SaslFrame::decode(&mut reader).unwrap(), frame);
        prop_assert!(reader.is_empty());
    }

    #[test]
    fn hostile_octets_cost_little(octets in hostile()) {
        if let Ok(value) = decoded(&octets) {
            let most = octets.len() * GROWTH + ALLOWANCE;
            prop_assert!(value.memory() <= most, "{} for {} octets", value.memory(), octets.len());
            // What was read can be written, and read again to the same. It may have fewer octets
            // then.
            let again = encoded(&value);
            prop_assert_eq!(encoded(&Reader::new(&again).trusted_value().unwrap()), again);
        }
        let _ = Reader::new(&octets).skip();
        let _ = SaslFrame::decode(&mut Reader::new(&octets));
        if let Ok(performative) = Performative::decode(&mut Reader::new(&octets)) {
            let again = encoded(&performative);
            // Values of many members may have too few octets then to be read.
            match Performative::decode(&mut Reader::new(&again)) {
                Ok(read) => prop_assert_eq!(encoded(&read), again),
                Err(error) => prop_assert_eq!(error, DecodeError::Memory),
            }
        }
        for flags in 0..4 {
            if let Ok(Scan::Complete(head)) = message::scan(&octets, flags & 1 == 1, flags & 2 == 2)
                && let Some(span) = head.application_properties
            {
                let _ = message::application_property(&span, &octets, "V");
            }
        }
    }
}

// ----- limits -----

#[test]
fn long_descriptors_before_short_members_are_refused() {
    // An array of 8,000 ubytes behind a descriptor of 8,000 octets would take 64 MB.
    let mut body = vec![0x00, 0xb3, 0, 0, 0x1f, 0x40];
    body.extend(std::iter::repeat_n(b'x', 8000));
    body.push(0x50);
    body.extend(std::iter::repeat_n(0, 8000));
    let mut octets = vec![0xf0];
    octets.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    octets.extend_from_slice(&8000u32.to_be_bytes());
    octets.extend_from_slice(&body);
    assert_eq!(decoded(&octets), Err(DecodeError::Memory));
}

/// A list or map, by its code, of members that have so many octets each.
fn compound(code: u8, members: u32, member: &[u8]) -> Vec<u8> {
    let mut octets = vec![code];
    octets.extend_from_slice(&(u32::try_from(member.len()).unwrap() * members + 4).to_be_bytes());
    octets.extend_from_slice(&members.to_be_bytes());
    octets.extend(member.repeat(members as usize));
    octets
}

#[test]
fn members_that_cost_their_sender_little_are_few() {
    assert_eq!(size_of::<Value>(), 32);
    let accepted = [0x00, 0x53, 0x24, 0x45];
    for (code, member, few, many) in [
        (0xd0, &[0x40][..], 400, 15_000),
        (0xd1, &[0x40], 400, 15_000),
        (0xd0, &[0x45], 400, 15_000),
        (0xd0, &[0xa1, 0], 2000, 1_000_000),
        (0xd0, &accepted, 200, 15_000),
    ] {
        assert!(decoded(&compound(code, few, member)).is_ok(), "{few} of {member:?}");
        assert_eq!(
            decoded(&compound(code, many, member)),
            Err(DecodeError::Memory),
            "{many} of {member:?}"
        );
    }
    // What programs send is far from it, in any number.
    for member in [&[0xa1, 3, b'k', b'e', b'y'][..], &[0x71, 0, 0, 1, 0], &[0x60, 1, 0]] {
        assert!(decoded(&compound(0xd0, 300_000, member)).is_ok(), "{member:?}");
    }
    // Entries of an open, whose keys cost more.
    let octets = |pairs: u32, pair: &[u8]| {
        let mut octets = compound(0xd1, pairs, pair);
        octets[5..9].copy_from_slice(&(2 * pairs).to_be_bytes());
        octets
    };
    let pair = [0xa3, 0, 0x40];
    assert!(Fields::decode(&mut Reader::new(&octets(200, &pair))).is_ok());
    assert_eq!(Fields::decode(&mut Reader::new(&octets(5000, &pair))), Err(DecodeError::Memory));
}

/// A state goes from router to router in fewer octets than it came with, and still each takes it.
#[test]
fn what_is_passed_on_can_be_read_by_whoever_takes_it() {
    // Of eight octets each, which are written as one.
    let wide = |members: u32| {
        describe(
            &Value::Ulong(0x34),
            decoded(&compound(0xd0, members, &[0x80, 0, 0, 0, 0, 0, 0, 0, 0])).unwrap(),
        )
    };
    for members in [100, 200] {
        let state = DeliveryState::Other(wide(members)).bounded(MAX_STATE).unwrap();
        assert_eq!(DeliveryState::decode(&mut Reader::new(&encoded(&state))), Ok(state));
    }
    assert_eq!(DeliveryState::Other(wide(1000)).bounded(MAX_STATE), None);
}

#[test]
fn compound_descriptors_of_arrays_are_refused() {
    // array of 2 ubytes described by a list
    assert_eq!(decoded(&hex("e0 06 02 00 45 50 01 02")), Err(DecodeError::Descriptor(0)));
}

#[test]
fn members_without_octets_are_few() {
    assert_eq!(decoded(&hex("e0 02 10 40")), Ok(Value::Array(vec![Value::Null; 16])));
    assert_eq!(decoded(&hex("e0 02 11 40")), Err(DecodeError::Size));
    assert_eq!(decoded(&hex("f0 00000005 000fffff 40")), Err(DecodeError::Size));
    assert_eq!(decoded(&hex("d0 00000004 ffffffff")), Err(DecodeError::Size));
}

#[test]
fn nesting_has_a_limit() {
    let nested = |unit: &[u8], depth: usize, end: &[u8]| {
        let mut octets = unit.repeat(depth);
        octets.extend_from_slice(end);
        octets
    };
    let lists = |depth: usize| {
        let list = |inner: Vec<u8>| {
            let mut octets = vec![0xd0];
            octets.extend_from_slice(&u32::try_from(inner.len() + 4).unwrap().to_be_bytes());
            octets.extend_from_slice(&[0, 0, 0, 1]);
            octets.extend_from_slice(&inner);
            octets
        };
        (0..depth).fold(vec![0x40], |inner, _| list(inner))
    };
    let limit = usize::from(MAX_DEPTH);
    assert!(decoded(&lists(limit)).is_ok());
    assert_eq!(decoded(&lists(limit + 1)), Err(DecodeError::Depth));
    // Each level is described by a ulong, or is itself the descriptor of the next.
    for unit in [&[0x00, 0x44][..], &[0x00]] {
        let octets = nested(unit, limit + 1, &[0x40; 80]);
        assert_eq!(decoded(&octets), Err(DecodeError::Depth));
        assert_eq!(Reader::new(&octets).skip(), Err(DecodeError::Depth));
    }
    let mut array = vec![0xe0, 0, 1];
    array.extend(nested(&[0x00, 0x44], limit + 1, &[0x40]));
    array[1] = u8::try_from(array.len() - 2).unwrap();
    assert_eq!(decoded(&array), Err(DecodeError::Depth));
}

#[test]
fn every_form_of_a_value_is_read() {
    let cases: &[(&str, Value)] = &[
        ("56 00", Value::Bool(false)),
        ("56 01", Value::Bool(true)),
        ("70 00000007", Value::Uint(7)),
        ("80 0000000000000007", Value::Ulong(7)),
        ("71 fffffffe", Value::Int(-2)),
        ("54 fe", Value::Int(-2)),
        ("81 fffffffffffffffe", Value::Long(-2)),
        ("55 fe", Value::Long(-2)),
        ("b1 00000002 6869", Value::string("hi")),
        ("b3 00000002 6869", Value::symbol("hi")),
        ("b0 00000002 6869", Value::Binary(Box::from(*b"hi"))),
        ("d0 00000004 00000000", Value::List(vec![])),
        ("c0 01 00", Value::List(vec![])),
        ("d1 00000004 00000000", Value::Map(vec![])),
        ("c1 01 00", Value::Map(vec![])),
        ("f0 00000007 00000002 52 01 02", Value::Array(vec![Value::Uint(1), Value::Uint(2)])),
        ("e0 01 00", Value::Array(vec![])),
        ("e0 06 02 a1 0161 0162", Value::Array(vec![Value::string("a"), Value::string("b")])),
    ];
    for (octets, value) in cases {
        assert_eq!(decoded(&hex(octets)).as_ref(), Ok(value), "{octets}");
    }
    for (octets, error) in [
        ("56 02", DecodeError::Range),
        ("73 0000d800", DecodeError::Text),
        ("a1 01 ff", DecodeError::Text),
        ("a3 02 c3a4", DecodeError::Text),
        ("c1 03 01 40 40", DecodeError::Size),
        // More octets than members.
        ("c0 03 01 40 40", DecodeError::Size),
        ("c1 04 02 40 40 40", DecodeError::Size),
        ("e0 04 01 40 40 40", DecodeError::Size),
        ("20", DecodeError::FormatCode(0x20)),
        ("46", DecodeError::FormatCode(0x46)),
    ] {
        assert_eq!(decoded(&hex(octets)), Err(error), "{octets}");
    }
}

#[test]
fn arrays_that_cannot_be_are_lists() {
    let mixed = Value::Array(vec![Value::Uint(1), Value::string("a")]);
    assert_eq!(
        decoded(&encoded(&mixed)),
        Ok(Value::List(vec![Value::Uint(1), Value::string("a")]))
    );
    // Also within an array.
    let outer = Value::Array(vec![mixed.clone(), mixed]);
    let list = Value::List(vec![Value::Uint(1), Value::string("a")]);
    assert_eq!(decoded(&encoded(&outer)), Ok(Value::Array(vec![list.clone(), list])));
    // Different second descriptors.
    let described = |code| describe(&Value::Ulong(1), describe(&Value::Ulong(code), Value::Null));
    let items = vec![described(2), described(3)];
    assert_eq!(decoded(&encoded(&Value::Array(items.clone()))), Ok(Value::List(items)));
}

// ----- octets of another implementation -----

/// The body of a frame.
fn body(frame: &str) -> Vec<u8> {
    let octets = hex(frame);
    let header = super::frame::FrameHeader::parse(&octets).unwrap();
    assert_eq!(header.size as usize, octets.len());
    octets[header.body_offset().unwrap()..].to_vec()
}

fn performative(frame: &str) -> (Performative, Vec<u8>) {
    let octets = body(frame);
    let mut reader = Reader::new(&octets);
    let performative = Performative::decode(&mut reader).unwrap();
    (performative, reader.rest().to_vec())
}

#[test]
fn sasl_of_qpid_proton() {
    let mechanisms = Multiple::of(&["ANONYMOUS"]);
    let octets = body("0000001c02010000005340c00f01e00c01a309414e4f4e594d4f5553");
    let frame = SaslFrame::decode(&mut Reader::new(&octets));
    assert_eq!(frame, Ok(SaslFrame::Mechanisms(sasl::Mechanisms { mechanisms })));

    let init = SaslFrame::Init(sasl::Init {
        mechanism: Symbol::from_static("ANONYMOUS"),
        initial_response: Some(Bytes::from_static(b"anonymous@vm")),
        hostname: None,
    });
    let octets =
        body("0000002702010000005341c01a02a309414e4f4e594d4f5553a00c616e6f6e796d6f757340766d");
    assert_eq!(SaslFrame::decode(&mut Reader::new(&octets)).as_ref(), Ok(&init));
    assert_eq!(encoded(&init), octets);

    let octets = body("0000001002010000005344c003015000");
    let outcome = SaslFrame::Outcome(sasl::Outcome { code: 0, additional_data: None });
    assert_eq!(SaslFrame::decode(&mut Reader::new(&octets)).as_ref(), Ok(&outcome));
    assert_eq!(encoded(&outcome), octets);
}

#[test]
fn open_of_qpid_proton() {
    let (found, _) = performative(
        "0000012402000000005310d0000001140000000aa1056e6f727468407000004000607fff7000001f404040\
         e04503b30000000f414e4f4e594d4f55532d52454c41590000001271642e73747265616d696e672d6c696e6b730000001671642e636f6e6e656374696f6e5f7472756e6b696e67\
         e04503b30000000f414e4f4e594d4f55532d52454c41590000001271642e73747265616d696e672d6c696e6b730000001671642e636f6e6e656374696f6e5f7472756e6b696e67\
         c1690aa30770726f64756374a10e736b75707065722d726f75746572a30776657273696f6ea105332e352e30a30a71642e636f6e6e2d69645401\
         a30c71642e6163636573732d6964a107655f4635773a31a31671642e616e6e6f746174696f6e732d76657273696f6e5402",
    );
    let capabilities =
        Multiple::of(&["ANONYMOUS-RELAY", "qd.streaming-links", "qd.connection_trunking"]);
    let mut properties = Fields::default();
    properties.push("product", Value::string("skupper-router"));
    properties.push("version", Value::string("3.5.0"));
    properties.push("qd.conn-id", Value::Int(1));
    properties.push("qd.access-id", Value::string("e_F5w:1"));
    properties.push("qd.annotations-version", Value::Int(2));
    let open = Performative::Open(Box::new(Open {
        container_id: "north".to_owned(),
        hostname: None,
        max_frame_size: Some(16384),
        channel_max: Some(32767),
        idle_time_out: Some(8000),
        offered_capabilities: Some(capabilities.clone()),
        desired_capabilities: Some(capabilities),
        properties: Some(properties),
        ..Open::default()
    }));
    assert_eq!(found, open);
}

#[test]
fn begin_of_qpid_proton() {
    for (frame, remote_channel) in [
        ("0000001f02000000005311c0120540437000002000707fffffff707fffffff", None),
        ("0000002102000000005311c01405600000437000002000707fffffff707fffffff", Some(0)),
    ] {
        let begin = Performative::Begin(Box::new(Begin {
            remote_channel,
            next_outgoing_id: 0,
            incoming_window: 8192,
            outgoing_window: 0x7fff_ffff,
            handle_max: Some(0x7fff_ffff),
            ..Begin::default()
        }));
        assert_eq!(performative(frame).0, begin);
        assert_eq!(encoded(&begin), body(frame));
    }
}

#[test]
fn attach_of_qpid_proton() {
    let frame = "0000007a02000000005312c06d0ba11671646c696e6b2e6872504d6e41525645687072635237434150025000\
                 005328c0220b4043a30b6c696e6b2d64657461636843424040404040a30971642e726f75746572\
                 005329c01e074043a30b6c696e6b2d646574616368434240a30971642e726f7574657240404344";
    let attach = Performative::Attach(Box::new(Attach {
        name: "qdlink.hrPMnARVEhprcR7".to_owned(),
        handle: 0,
        role: Role::Receiver,
        snd_settle_mode: Some(2),
        rcv_settle_mode: Some(0),
        source: Some(Source {
            durable: Some(0),
            expiry_policy: Some(Symbol::from_static("link-detach")),
            timeout: Some(0),
            dynamic: Some(false),
            capabilities: Some(Multiple::of(&["qd.router"])),
            ..Source::default()
        }),
        target: Some(Target::Message(MessageTarget {
            durable: Some(0),
            expiry_policy: Some(Symbol::from_static("link-detach")),
            timeout: Some(0),
            dynamic: Some(false),
            capabilities: Some(Multiple::of(&["qd.router"])),
            ..MessageTarget::default()
        })),
        initial_delivery_count: Some(0),
        max_message_size: Some(0),
        ..Attach::default()
    }));
    assert_eq!(performative(frame).0, attach);
    assert_eq!(encoded(&attach), body(frame));
}

#[test]
fn flow_of_qpid_proton() {
    let frame = "0000002102000000005313c0140943700000200043707fffffff52014352fa4042";
    let flow = Performative::Flow(Flow {
        next_incoming_id: Some(0),
        incoming_window: 8192,
        next_outgoing_id: 0,
        outgoing_window: 0x7fff_ffff,
        handle: Some(1),
        delivery_count: Some(0),
        link_credit: Some(250),
        drain: Some(false),
        ..Flow::default()
    });
    assert_eq!(performative(frame).0, flow);
    assert_eq!(encoded(&flow), body(frame));
}

#[test]
fn transfer_of_qpid_proton() {
    // An abort.
    let octets = hex("005314c0150a435201a008690000000000000043414040404041");
    let transfer = Performative::Transfer(Transfer {
        handle: 0,
        delivery_id: Some(1),
        delivery_tag: Some(
            DeliveryTag::decode(&mut Reader::new(b"\xa0\x08i\0\0\0\0\0\0\0")).unwrap(),
        ),
        message_format: Some(0),
        settled: Some(true),
        aborted: Some(true),
        ..Transfer::default()
    });
    let mut reader = Reader::new(&octets);
    assert_eq!(Performative::decode(&mut reader), Ok(transfer.clone()));
    assert!(reader.is_empty());
    assert_eq!(encoded(&transfer), octets);
}

#[test]
fn disposition_of_qpid_proton() {
    let disposition = |role, first, settled, state| {
        Performative::Disposition(Disposition {
            role,
            first,
            settled,
            state: Some(state),
            ..Disposition::default()
        })
    };
    let modified = DeliveryState::Modified(Modified {
        delivery_failed: Some(true),
        undeliverable_here: Some(false),
        message_annotations: None,
    });
    let (receiver, sender) = (Role::Receiver, Role::Sender);
    for (frame, expected) in [
        (
            "000000160200000b005315c009054143404100532445",
            disposition(receiver, 0, Some(true), DeliveryState::Accepted),
        ),
        (
            "0000001702000005005315c00a05415201404000532645",
            disposition(receiver, 1, None, DeliveryState::Released),
        ),
        (
            "000000230200000b005315c016054152024040005323c00b0243800000000000081b6f",
            disposition(receiver, 2, None, DeliveryState::received(0x81b6f)),
        ),
        (
            "0000001a0200000c005315c00d0542434041005327c003024142",
            disposition(sender, 0, Some(true), modified),
        ),
    ] {
        assert_eq!(performative(frame).0, expected);
        assert_eq!(encoded(&expected), body(frame), "{expected:?}");
    }
}

// ----- composites -----

#[test]
fn composites_take_what_later_versions_add() {
    // An end with an error and a field that no version knows yet.
    let octets = hex("00 53 17 c0 06 02 40 a3 02 6869");
    assert_eq!(
        Performative::decode(&mut Reader::new(&octets)),
        Ok(Performative::End(End { error: None }))
    );
}

#[test]
fn mandatory_fields_are_missed() {
    let begin = hex("00 53 11 45");
    assert_eq!(
        Performative::decode(&mut Reader::new(&begin)),
        Err(DecodeError::Missing("next_outgoing_id"))
    );
    let transfer = hex("00 53 14 c0 02 01 40");
    assert_eq!(
        Performative::decode(&mut Reader::new(&transfer)),
        Err(DecodeError::Missing("handle"))
    );
}

#[test]
fn a_count_beyond_the_octets_is_truncated() {
    let flow = hex("00 53 13 c0 03 0b 43 43");
    assert_eq!(Performative::decode(&mut Reader::new(&flow)), Err(DecodeError::Truncated));
}

#[test]
fn long_tags_are_refused() {
    let mut octets = hex("00 53 14 c0 26 03 43 43 a0 21");
    octets.extend([0; 33]);
    assert_eq!(Performative::decode(&mut Reader::new(&octets)), Err(DecodeError::Range));
}

// ----- message sections -----

/// A message with all sections before its body, and where each of them begins and ends.
fn message() -> (Vec<u8>, Head) {
    let mut octets = Vec::new();
    let mut head = Head::default();
    let section = |octets: &mut Vec<u8>, long: bool, code: u8, value: &dyn Fn(&mut Vec<u8>)| {
        if long {
            octets.extend_from_slice(&[0x00, 0x80, 0, 0, 0, 0, 0, 0, 0, code]);
        } else {
            octets.extend_from_slice(&[0x00, 0x53, code]);
        }
        let start = octets.len();
        value(octets);
        Span { code, value: start, end: octets.len() }
    };
    let header = section(&mut octets, false, 0x70, &|out| out.extend(hex("c0 04 02 42 50 09")));
    section(&mut octets, false, 0x71, &|out| out.extend(hex("d1 00000004 00000000")));
    section(&mut octets, true, 0x72, &|out| {
        Value::Map(vec![(Value::symbol("k"), Value::Null)]).encode(out)
    });
    let properties = section(&mut octets, false, 0x73, &|out| {
        encoded(&message::Properties { to: Some("service".to_owned()), ..Default::default() })[3..]
            .iter()
            .for_each(|o| out.push(*o));
    });
    let application_properties = section(&mut octets, true, 0x74, &|out| {
        Value::Map(vec![(Value::Uint(1), Value::Null), (Value::string("V"), Value::Uint(1))])
            .encode(out);
    });
    let body = section(&mut octets, false, 0x77, &|out| Value::Null.encode(out));
    head.header = Some(header);
    head.properties = Some(properties);
    head.application_properties = Some(application_properties);
    head.body = Some(body);
    octets.extend_from_slice(b"octets of the stream");
    (octets, head)
}

#[test]
fn scan_finds_the_sections_wherever_the_message_is_cut() {
    let (octets, head) = message();
    let body = head.body.unwrap();
    let early = Head { body: Some(Span { end: body.value, ..body }), ..head.clone() };
    for cut in 0..=octets.len() {
        let part = &octets[..cut];
        let expected = if cut < body.end { Scan::Incomplete } else { Scan::Complete(head.clone()) };
        assert_eq!(message::scan(part, false, true), Ok(expected), "whole body, {cut}");
        let expected =
            if cut < body.value { Scan::Incomplete } else { Scan::Complete(early.clone()) };
        assert_eq!(message::scan(part, false, false), Ok(expected), "any body, {cut}");
        let whole = |span: Option<Span>| span.filter(|span| span.end <= cut);
        let (header, properties) = (whole(head.header), whole(head.properties));
        let arrived = Head {
            header,
            properties,
            application_properties: whole(head.application_properties),
            body: whole(early.body),
        };
        assert_eq!(message::arrived(part), Ok(arrived), "what has arrived, {cut}");
        // A message that ends here: either between two sections, or it is broken.
        if let Ok(scan) = message::scan(part, true, true) {
            assert!(matches!(scan, Scan::Complete(_)), "{cut}");
        } else {
            assert!(cut < body.end, "{cut}");
        }
    }
    assert_eq!(
        message::application_property(&head.application_properties.unwrap(), &octets, "V"),
        Ok(Some(Value::Uint(1)))
    );
    assert_eq!(
        message::application_property(&head.application_properties.unwrap(), &octets, "W"),
        Ok(None)
    );
    let properties =
        message::Properties::decode_fields(&mut head.properties.unwrap().of(&octets)).unwrap();
    assert_eq!(properties.to.as_deref(), Some("service"));
}

#[test]
fn scan_refuses_sections_out_of_order() {
    for octets in [
        "00 53 73 45 00 53 70 45",
        "00 53 70 45 00 53 70 45",
        "00 53 6f 45",
        "00 53 79 45",
        "00 a3 01 61 45",
        "45",
    ] {
        assert!(message::scan(&hex(octets), false, true).is_err(), "{octets}");
    }
    assert_eq!(message::scan(&[], true, true), Ok(Scan::Complete(Head::default())));
}
