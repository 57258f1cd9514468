//! Messages that C routers sent, and what the decoder makes of others.

use std::sync::Arc;

use proptest::prelude::*;

use crate::address::{AddressKey, Treatment};
use crate::amqp::encode::{self, Encode};
use crate::annotations::{Parsed, parse};
use crate::mobile::Attributes;
use crate::mobile::message::*;
use crate::routing::*;
use crate::topology::message::*;
use crate::topology::{MAX_ID_LENGTH, MAX_PEERS};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn id(text: &str) -> Arc<str> {
    Arc::from(text)
}

/// A captured message: its bytes, its content, and its address.
struct Vector {
    octets: &'static str,
    message: Message,
    to: &'static str,
}

const INSTANCE: Option<i64> = Some(0x6b04_730b);

fn vectors() -> Vec<Vector> {
    vec![
        Vector {
            octets: "0080534b50522d2d5241d000000019000000044340a103302f61d00000000900000001a103302f61005370d00000000500000001\
                42005373d00000001f000000064040a114616d71703a2f5f6c6f63616c2f716468656c6c6f404040005374d10000001300000002a106\
                6f70636f6465a10548454c4c4f005377d1000000300000000aa1026964a10161a10270765401a10461726561a10130a108696e737461\
                6e6365716b04730ba1047365656e45",
            message: Message::Hello(Hello { id: id("a"), instance: INSTANCE, seen: vec![] }),
            to: HELLO_ADDRESS,
        },
        Vector {
            octets: "0080534b50522d2d5241d000000021000000044340a107302f736f757468d00000000d00000001a107302f736f757468005370\
                d0000000050000000142005373d00000001f000000064040a114616d71703a2f5f6c6f63616c2f716468656c6c6f404040005374d100\
                00001300000002a1066f70636f6465a10548454c4c4f005377d1000000430000000aa1026964a105736f757468a10270765401a10461\
                726561a10130a108696e7374616e6365716b046bc0a1047365656ed00000000b00000001a1056e6f727468",
            message: Message::Hello(Hello {
                id: id("south"),
                instance: Some(0x6b04_6bc0),
                seen: vec![id("north")],
            }),
            to: HELLO_ADDRESS,
        },
        Vector {
            octets: "0080534b50522d2d5241d000000019000000044340a103302f61d00000000900000001a103302f61005370d00000000500000001\
                42005373d000000025000000064040a11a616d71703a2f5f746f706f2f302f616c6c2f7164726f75746572404040005374d100000010\
                00000002a1066f70636f6465a1025241005377d1000000410000000ca1026964a10161a10270765401a10461726561a10130a108696e\
                7374616e6365716b04730ba1066c735f7365715401a10a6d6f62696c655f7365715401",
            message: Message::Ra(Ra {
                id: id("a"),
                instance: INSTANCE,
                ls_seq: 1,
                mobile_seq: 1,
                digests: None,
            }),
            to: FLOOD_ADDRESS,
        },
        Vector {
            octets: "0080534b50522d2d5241d000000019000000044340a103302f61d00000000900000001a103302f61005370d00000000500000001\
                42005373d000000023000000064040a118616d71703a2f5f746f706f2f302f622f7164726f75746572404040005374d1000000110000\
                0002a1066f70636f6465a1034c5352005377d10000001a00000006a1026964a10161a10270765401a10461726561a10130",
            message: Message::Lsr(Lsr { id: id("a") }),
            to: "amqp:/_topo/0/b/qdrouter",
        },
        Vector {
            octets: "0080534b50522d2d5241d000000019000000044340a103302f61d00000000900000001a103302f61005370d00000000500000001\
                42005373d000000023000000064040a118616d71703a2f5f746f706f2f302f622f7164726f75746572404040005374d1000000110000\
                0002a1066f70636f6465a1034c5355005377d10000006f0000000ca1026964a10161a10270765401a10461726561a10130a108696e73\
                74616e6365716b04730ba1066c735f7365715401a1026c73d10000003300000008a1026964a10161a10461726561a10130a1066c735f\
                7365715401a1057065657273d10000000900000002a101625401",
            message: Message::Lsu(Lsu {
                id: id("a"),
                instance: INSTANCE,
                ls_seq: 1,
                peers: vec![(id("b"), 1)],
            }),
            to: "amqp:/_topo/0/b/qdrouter",
        },
        Vector {
            octets: "0080534b50522d2d5241d000000019000000044340a103302f61d00000000900000001a103302f61005370d00000000500000001\
                42005373d000000023000000034040a11b616d71703a2f5f746f706f2f302f622f7164726f757465722e6d61005374d1000000110000\
                0002a3066f70636f6465a1034d4152005377d10000002600000008a3026964a10161a30270765502a30461726561a10130a308686176\
                655f7365715500",
            message: Message::Mar(Mar { id: id("a"), have_seq: 0 }),
            to: "amqp:/_topo/0/b/qdrouter.ma",
        },
        Vector {
            octets: "0080534b50522d2d5241d000000019000000044340a103302f61d00000000900000001a103302f61005370d00000000500000001\
                42005373d000000023000000034040a11b616d71703a2f5f746f706f2f302f622f7164726f757465722e6d61005374d1000000110000\
                0002a3066f70636f6465a1034d4155005377d10000006f0000000aa3026964a10161a30270765502a30461726561a10130a30a6d6f62\
                696c655f7365715501a3056578697374d00000003b00000002d00000001600000003a10c4d7366652e7847777a663a3054025400d000\
                00001700000003a10d4d766663722e7847777a663a3054025400",
            message: mau(1, MauContent::Whole(vec![entry("sfe.xGwzf:0"), entry("vfcr.xGwzf:0")])),
            to: "amqp:/_topo/0/b/qdrouter.ma",
        },
        Vector {
            octets: "0080534b50522d2d5241d000000019000000044340a103302f61d00000000900000001a103302f61005370d00000000500000001\
                42005373d00000001f000000034040a1175f746f706f2f302f616c6c2f7164726f757465722e6d61005374d10000001100000002a306\
                6f70636f6465a1034d4155005377d1000000510000000ca3026964a10161a30270765502a30461726561a10130a30a6d6f62696c655f\
                7365715503a303616464d00000000400000000a30364656cd00000001100000001d00000000800000001a1024d71",
            message: mau(3, MauContent::Change { add: vec![], del: vec![AddressKey::mobile("q")] }),
            to: MOBILE_FLOOD_ADDRESS,
        },
    ]
}

fn mau(mobile_seq: u64, content: MauContent) -> Message {
    Message::Mau(Mau { id: id("a"), mobile_seq, content })
}

fn entry(text: &str) -> AddressEntry {
    AddressEntry { key: AddressKey::mobile(text), attributes: Attributes::new(Treatment::Closest) }
}

fn body(octets: &[u8]) -> &[u8] {
    match parse(octets) {
        Ok(Parsed::Present(annotations)) => &octets[annotations.length..],
        other => panic!("{other:?}"),
    }
}

#[test]
fn messages_of_c_routers_are_read_and_written_to_the_octet() {
    for Vector { octets, message, to } in vectors() {
        let octets = hex(octets);
        assert_eq!(Message::decode(body(&octets)), Ok(message.clone()));
        let own = format!("0/{}", message.id());
        assert_eq!(message.encode(to, &own), octets, "{message:?}");
    }
}

#[test]
fn all_forms_round_trip() {
    let entry = AddressEntry {
        key: AddressKey::new(crate::address::AddressClass::Edge, "e".repeat(300)),
        attributes: Attributes {
            in_links: 70_000,
            sole_mesh: Some(id("0123456789abcde")),
            ..Attributes::default()
        },
    };
    let early = AddressEntry {
        key: AddressKey::mobile("early"),
        attributes: Attributes { early: true, ..Attributes::new(Treatment::Balanced) },
    };
    let both = AddressEntry {
        attributes: Attributes { early: true, ..entry.attributes.clone() },
        ..early.clone()
    };
    let big = 1 << 40;
    for message in [
        mau(big, MauContent::Change { add: vec![entry.clone()], del: vec![entry.key.clone()] }),
        mau(0, MauContent::Whole(vec![])),
        mau(1, MauContent::Whole(vec![early, entry.clone(), both])),
        Message::Hello(Hello {
            id: id("ü"),
            instance: Some(-(big as i64)),
            seen: vec![id("x"); 500],
        }),
        Message::Ra(Ra {
            id: id("x"),
            instance: Some(128),
            ls_seq: big,
            mobile_seq: 200,
            digests: None,
        }),
        Message::Lsu(Lsu { id: id("x"), instance: Some(0), ls_seq: 0, peers: vec![] }),
        Message::Lsu(Lsu {
            id: id("x"),
            instance: Some(0),
            ls_seq: 9,
            peers: vec![(id("y"), u32::MAX), (id("z"), 0)],
        }),
    ] {
        let octets = message.encode("x", "0/x");
        assert_eq!(Message::decode(body(&octets)), Ok(message));
    }
}

/// Makes a message with this opcode and body.
fn message(opcode: &str, pairs: u32, put: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    encode::descriptor(&mut out, 0x74);
    encode::compound(&mut out, 0xc1, 2, |out| {
        "opcode".encode(out);
        opcode.encode(out);
    });
    encode::descriptor(&mut out, 0x77);
    encode::compound(&mut out, 0xc1, pairs * 2, put);
    out
}

#[test]
fn short_forms_and_unknown_keys_are_read() {
    let octets = message("HELLO", 5, |out| {
        crate::amqp::Symbol::from_static("identity").encode(out);
        5_u64.encode(out);
        true.encode(out);
        "a key that is no text".encode(out);
        crate::amqp::Symbol::from_static("id").encode(out);
        crate::amqp::Symbol::from_static("x").encode(out);
        "seen".encode(out);
        encode::list(out, 1, |out| "y".encode(out));
        "id".encode(out);
        "again".encode(out);
    });
    assert_eq!(
        Message::decode(&octets),
        Ok(Message::Hello(Hello { id: id("x"), instance: None, seen: vec![id("y")] }))
    );
}

#[test]
fn what_must_be_dropped_is() {
    let field = |opcode, field| Err(MessageError::Field { opcode, field });
    let with_id = |opcode, put: &dyn Fn(&mut Vec<u8>), pairs: u32| {
        message(opcode, pairs + 1, |out| {
            "id".encode(out);
            "x".encode(out);
            put(out);
        })
    };
    assert_eq!(Message::decode(&[]), Err(MessageError::Opcode));
    assert_eq!(Message::decode(&message("XYZ", 0, |_| {})), Err(MessageError::Opcode));
    assert_eq!(Message::decode(&message("LSR", 0, |_| {})), field("LSR", "id"));
    assert_eq!(Message::decode(&with_id("HELLO", &|_| {}, 0)), field("HELLO", "seen"));
    assert_eq!(Message::decode(&with_id("RA", &|_| {}, 0)), field("RA", "ls_seq"));
    let negative = |out: &mut Vec<u8>| {
        "have_seq".encode(out);
        (-1_i64).encode(out);
    };
    assert_eq!(Message::decode(&with_id("MAR", &negative, 1)), field("MAR", "have_seq"));
    for (keys, missing) in
        [(&["add"][..], "del"), (&["del"], "add"), (&["exist", "add"], "exist"), (&[], "add")]
    {
        let lists = |out: &mut Vec<u8>| {
            "mobile_seq".encode(out);
            1_i64.encode(out);
            for key in keys {
                key.encode(out);
                encode::list(out, 0, |_| {});
            }
        };
        assert_eq!(
            Message::decode(&with_id("MAU", &lists, keys.len() as u32 + 1)),
            field("MAU", missing),
            "{keys:?}"
        );
    }
    let long = message("LSR", 1, |out| {
        "id".encode(out);
        "x".repeat(MAX_ID_LENGTH + 1).encode(out);
    });
    assert_eq!(Message::decode(&long), field("LSR", "id"));
    let crowd =
        Message::Hello(Hello { id: id("x"), instance: None, seen: vec![id("y"); MAX_PEERS + 1] })
            .encode("x", "0/x");
    assert!(matches!(
        Message::decode(body(&crowd)),
        Err(MessageError::TooMany { opcode: "HELLO", field: "seen", .. })
    ));
}

#[test]
fn a_newer_version_is_told_from_a_broken_message() {
    let newer = |opcode, version: i64| {
        message(opcode, 2, |out| {
            "pv".encode(out);
            version.encode(out);
            "id".encode(out);
            "x".encode(out);
        })
    };
    assert_eq!(Message::decode(&newer("HELLO", 2)), Ok(Message::Newer { id: id("x"), version: 2 }));
    assert_eq!(Message::decode(&newer("MAU", 3)), Ok(Message::Newer { id: id("x"), version: 3 }));
    assert!(matches!(Message::decode(&newer("MAU", 2)), Err(MessageError::Field { .. })));
    assert_eq!(Message::decode(&newer("LSR", 0)), Ok(Message::Lsr(Lsr { id: id("x") })));
}

#[test]
fn addresses_that_routers_do_not_exchange_are_passed_over() {
    let octets = message("MAU", 3, |out| {
        "id".encode(out);
        "x".encode(out);
        "mobile_seq".encode(out);
        1_u32.encode(out);
        "exist".encode(out);
        encode::list(out, 5, |out| {
            for key in ["Lqdrouter", "", "zz", "Mkept"] {
                encode::list(out, 3, |out| {
                    key.encode(out);
                    (-1_i32).encode(out);
                    (-5_i32).encode(out);
                });
            }
            encode::list(out, 0, |_| {});
        });
    });
    let entry = AddressEntry { key: AddressKey::mobile("kept"), attributes: Attributes::default() };
    let whole = Mau { id: id("x"), mobile_seq: 1, content: MauContent::Whole(vec![entry]) };
    assert_eq!(Message::decode(&octets), Ok(Message::Mau(whole)));
}

proptest! {
    #[test]
    fn no_octets_panic(which in 0..8_usize, flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>()) {
        let octets = hex(vectors()[which].octets);
        let mut octets = body(&octets).to_vec();
        for (at, octet) in flips {
            let at = at.index(octets.len());
            octets[at] = octet;
        }
        let _ = Message::decode(&octets);
        let _ = Message::decode(&octets[..cut.index(octets.len())]);
    }
}
