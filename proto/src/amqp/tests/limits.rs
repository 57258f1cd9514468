//! The decoder's limits, and every form that it takes.

use super::*;

#[test]
fn long_descriptors_before_short_members_are_refused() {
    // An array of 8,000 ubytes behind a descriptor of 8,000 bytes would take 64 MB.
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

/// Returns a list or map, by its code, of equal members.
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
    // Programs' values are far from it, in any number.
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

/// A state goes from router to router in fewer bytes than it came with, and each router still takes
/// it.
#[test]
fn what_is_passed_on_can_be_read_by_whoever_takes_it() {
    // Of eight bytes each, which are written as one.
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
        // More bytes than members.
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
