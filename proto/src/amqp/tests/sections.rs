//! Message sections.

use super::*;

/// Returns a message with all sections before its body, and where each of them begins and ends.
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
