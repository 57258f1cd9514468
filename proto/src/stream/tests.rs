use super::*;
use crate::amqp::message::{Scan, scan};

fn head_of(octets: &[u8]) -> Head {
    match scan(octets, false, true) {
        Ok(Scan::Complete(head)) => head,
        other => panic!("{other:?}"),
    }
}

#[test]
fn client_head_is_what_c_routers_send() {
    let octets =
        encode_head("echo", Some("amqp:/_topo/0/A/temp.0123456789abcde"), Some("ABCDE:17"), None);
    let mut expected = vec![0x00, 0x53, 0x73, 0xd0, 0, 0, 0, 0x57, 0, 0, 0, 7, 0x40, 0x40, 0xa1, 4];
    expected.extend_from_slice(
        b"echo\x40\xa1\x24amqp:/_topo/0/A/temp.0123456789abcde\xa1\x08ABCDE:17\xa1\x18application/o\
          ctet-stream",
    );
    expected.extend_from_slice(&[
        0x00, 0x53, 0x74, 0xd1, 0, 0, 0, 9, 0, 0, 0, 2, 0xa1, 1, b'V', 0x52, 1,
    ]);
    expected.extend_from_slice(&[0x00, 0x53, 0x77, 0x40]);
    assert_eq!(octets, expected);
    for octets in [
        octets,
        encode_head(&"x".repeat(300), None, None, Some("h2")),
        encode_head("x", Some("r"), None, None),
    ] {
        assert_eq!(octets.capacity(), octets.len());
    }
}

#[test]
fn head_survives_the_way_and_octets_begin_behind_it() {
    let mut octets = encode_head("a/b", Some("r"), None, Some("h2"));
    let end = octets.len();
    octets.extend_from_slice(b"raw");
    let head = head_of(&octets);
    assert_eq!(head.body.map(|span| span.end), Some(end));
    let read = decode_head(&octets, &head).unwrap();
    assert_eq!(
        read,
        StreamHead { reply_to: Some("r"), correlation_id: None, alpn: Some("h2".into()) }
    );
    assert_eq!(read_head(&octets), Ok(read));
    assert_eq!(message::destination(head.properties.as_ref(), &octets), Ok(Some("a/b")));
}

#[test]
fn half_a_head_is_no_stream() {
    let octets = encode_head("a/b", Some("r"), None, None);
    for length in 0..octets.len() {
        assert_eq!(read_head(&octets[..length]), Err(NotAStream::Sections), "{length}");
    }
}

#[test]
fn other_content_is_no_stream() {
    let octets = [0x00, 0x53, 0x77, 0x40];
    assert_eq!(decode_head(&octets, &head_of(&octets)), Err(NotAStream::ContentType(None)));
    assert_eq!(read_head(&octets), Err(NotAStream::ContentType(None)));
}
