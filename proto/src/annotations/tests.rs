use proptest::prelude::*;

use super::*;

/// Returns the bytes of hexadecimal text; blanks are for the eye.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn present(front: &[u8]) -> Annotations<'_> {
    match parse(front) {
        Ok(Parsed::Present(annotations)) => annotations,
        other => panic!("{other:?}"),
    }
}

fn encoded(outgoing: &OutgoingAnnotations<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    outgoing.encode(&mut out);
    assert_eq!(out.len(), outgoing.encoded_len());
    out
}

// A TCP stream that enters at A; an RA of c that b forwarded (captured); a message of a mesh's edge
// router.
const STREAM: &str =
    "0080534b50522d2d5241 d0 0000001a 00000004 5205 40 a103302f41 d0 00000009 00000001 a103302f41";
const RELAYED: &str = "0080534b50522d2d5241 d0 0000001e 00000004 43 40 a103302f63 d0 0000000e \
                       00000002 a103302f63 a103302f62";
const EDGE: &str =
    "0080534b50522d2d5241 d0 0000001a 00000005 5205 40 40 45 a10f 303132333435363738396162636465";

#[test]
fn sections_of_c_routers_are_read_and_written_alike() {
    let octets = hex(STREAM);
    let stream = present(&octets);
    assert_eq!(stream.flags, Flags::STREAMING.with(Flags::DISABLE_Q2));
    assert_eq!(
        (stream.to_override, stream.ingress, stream.ingress_mesh),
        (None, Some("0/A"), None)
    );
    assert_eq!(stream.trace.iter().collect::<Vec<_>>(), ["0/A"]);
    assert_eq!(stream.length, octets.len());
    assert_eq!(encoded(&OutgoingAnnotations::originated(Flags(5), "0/A")), octets);

    let octets = hex(RELAYED);
    let relayed = present(&octets);
    assert_eq!(relayed.trace.routers().collect::<Vec<_>>(), ["c", "b"]);
    let mut from_c = Vec::new();
    OutgoingAnnotations::originated(Flags::default(), "0/c").encode(&mut from_c);
    assert_eq!(encoded(&present(&from_c).forwarded("0/b")), octets);

    let octets = hex(EDGE);
    let edge = present(&octets);
    assert_eq!(
        (edge.ingress, edge.trace.len(), edge.ingress_mesh),
        (None, 0, Some("0123456789abcde"))
    );
    assert_eq!(encoded(&OutgoingAnnotations::of_edge(Flags(5), Some("0123456789abcde"))), octets);
}

#[test]
fn what_comes_from_an_edge_enters_here() {
    let octets = hex(EDGE);
    let forwarded = encoded(&present(&octets).forwarded("0/me"));
    let forwarded = present(&forwarded);
    assert_eq!(forwarded.ingress, Some("0/me"));
    assert_eq!(forwarded.trace.iter().collect::<Vec<_>>(), ["0/me"]);
    assert_eq!(forwarded.ingress_mesh, Some("0123456789abcde"));
}

#[test]
fn stripped_keeps_flags_and_address() {
    let octets = hex(RELAYED);
    let stripped =
        encoded(&present(&octets).forwarded("0/b").with_to_override(Some("x")).stripped());
    let stripped = present(&stripped);
    assert_eq!(
        (stripped.ingress, stripped.trace.len(), stripped.to_override),
        (None, 0, Some("x"))
    );
}

#[test]
fn any_prefix_is_incomplete_and_says_what_it_needs() {
    for text in [STREAM, RELAYED, EDGE] {
        let octets = hex(text);
        for end in 0..octets.len() {
            match parse(&octets[..end]) {
                Ok(Parsed::Incomplete { needed }) => {
                    assert!(needed > end && needed <= octets.len())
                }
                other => panic!("{end}: {other:?}"),
            }
        }
        let mut more = octets.clone();
        more.extend_from_slice(&hex("005370"));
        assert_eq!(present(&more).length, octets.len());
    }
}

#[test]
fn other_sections_are_not_annotations() {
    assert_eq!(parse(&hex("005370 45")), Ok(Parsed::Absent));
    assert_eq!(parse(&hex("0080 534b50522d2d5242 45")), Ok(Parsed::Absent));
    assert_eq!(parse(&hex("0080 0000000000000070 45")), Ok(Parsed::Absent));
}

#[test]
fn short_forms_and_later_items_are_read() {
    let octets = hex(
        "0080534b50522d2d5241 c0 1a 06 7000000100 a10178 b100000001 79 c0 08 02 a101 7a b10000 \
         0001 7a a1016d 41",
    );
    assert!(parse(&octets).is_err(), "a trace longer than its list");
    let octets = hex(
        "0080534b50522d2d5241 c0 1e 06 7000000100 a10178 b100000001 79 c0 0a 02 a1017a b100000001 \
         7a a1016d 41",
    );
    let read = present(&octets);
    assert_eq!(read.flags.0, 256);
    assert_eq!(
        (read.to_override, read.ingress, read.ingress_mesh),
        (Some("x"), Some("y"), Some("m"))
    );
    assert_eq!(read.trace.iter().collect::<Vec<_>>(), ["z", "z"]);
}

#[test]
fn errors() {
    let section = |rest: &str| {
        let mut octets = DESCRIPTOR.to_vec();
        octets.extend(hex(rest));
        parse(&octets).map(|_| ()).unwrap_err()
    };
    assert_eq!(section("45"), AnnotationError::TooFew { items: 0 });
    assert_eq!(section("a1"), AnnotationError::NotAList);
    assert_eq!(section("c0 04 03 40 40 40"), AnnotationError::TooFew { items: 3 });
    assert_eq!(section("c0 05 04 40 40 40 45"), AnnotationError::Type(0));
    assert_eq!(section("c0 05 04 43 43 40 45"), AnnotationError::Type(1));
    assert_eq!(section("c0 05 04 43 40 41 45"), AnnotationError::Type(2));
    assert_eq!(section("c0 05 04 43 40 40 40"), AnnotationError::Type(3));
    assert_eq!(section("c0 08 04 43 40 40 c0 02 01 40"), AnnotationError::Type(3));
    assert_eq!(section("c0 08 04 43 40 40 c0 02 01 a1"), AnnotationError::Malformed);
    assert_eq!(section("c0 08 04 43 40 40 c0 02 00 40"), AnnotationError::Malformed);
    assert_eq!(section("c0 06 05 43 40 40 45 40"), AnnotationError::Type(4));
    assert_eq!(section("c0 01 04"), AnnotationError::Malformed);
    assert_eq!(section("c0 00"), AnnotationError::Malformed);
    assert_eq!(section("c0 07 04 43 a101ff 40 45"), AnnotationError::Malformed);
    assert_eq!(section("d0 00fffff1 00000004"), AnnotationError::TooLong { length: 0x0100_0000 });
    assert_eq!(
        section("d0 0000000d 00000004 43 40 40 d0 00000004 00000401"),
        AnnotationError::Malformed
    );
    assert_eq!(
        section("d0 00000010 00000004 43 40 40 d0 00000004 00000401"),
        AnnotationError::TraceTooLong { entries: 1025 }
    );
}

#[test]
fn a_long_trace_is_carried() {
    let mut octets = Vec::new();
    OutgoingAnnotations::originated(Flags::default(), "0/0").encode(&mut octets);
    for n in 1..300 {
        let own = node_text(&n.to_string());
        let next = encoded(&present(&octets).forwarded(&own));
        octets = next;
    }
    let read = present(&octets);
    assert_eq!(read.ingress, Some("0/0"));
    assert!(read.trace.routers().eq((0..300).map(|n| n.to_string())));
}

proptest! {
    #[test]
    fn any_octets_are_read_without_panic(
        tail in prop::collection::vec(any::<u8>(), 0..80),
        list in any::<bool>(),
    ) {
        let mut octets = DESCRIPTOR.to_vec();
        if list {
            octets.extend([0xc0, tail.len() as u8 + 1, 4]);
        }
        octets.extend(&tail);
        let _ = parse(&octets);
        let _ = parse(&tail);
    }

    #[test]
    fn round_trip(
        flags in any::<u32>(),
        to in prop::option::of(".{0,300}"),
        ids in prop::collection::vec("[a-z]{1,300}", 0..6),
        mesh in prop::option::of("[a-z]{15}"),
    ) {
        let nodes: Vec<_> = ids.iter().map(|id| node_text(id)).collect();
        let mut octets = Vec::new();
        OutgoingAnnotations { ingress_mesh: mesh.as_deref(),
            ..OutgoingAnnotations::of_edge(Flags(flags), None) }
            .with_to_override(to.as_deref())
            .encode(&mut octets);
        for node in &nodes {
            let next = encoded(&present(&octets).forwarded(node));
            octets = next;
        }
        let read = present(&octets);
        prop_assert_eq!(read.flags.0, flags);
        prop_assert_eq!(read.to_override, to.as_deref());
        prop_assert_eq!(read.ingress, nodes.first().map(|n| &**n));
        prop_assert_eq!(read.ingress_mesh, mesh.as_deref());
        prop_assert!(read.trace.iter().eq(nodes.iter().map(|n| &**n)));
    }
}
