use skupper_proto::amqp::message::section;
use skupper_proto::amqp::{Encode, encode};
use skupper_proto::annotations::{Flags, OutgoingAnnotations};

use super::*;

/// The annotations of a message that is forwarded as it arrives, and that passed some routers.
fn annotations_of(to_override: Option<&str>) -> Vec<u8> {
    let mut octets = Vec::new();
    let outgoing = OutgoingAnnotations::originated(Flags::STREAMING, "0/somewhere")
        .with_to_override(to_override);
    outgoing.encode(&mut octets);
    octets
}

fn sections(to: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    Header { durable: Some(true), priority: Some(7), ..Header::default() }.encode(&mut octets);
    encode::descriptor(&mut octets, section::MESSAGE_ANNOTATIONS);
    Value::Map(vec![(Value::symbol("x"), Value::from("y".repeat(50)))]).encode(&mut octets);
    Properties { to: Some(to.to_owned()), ..Properties::default() }.encode(&mut octets);
    encode::descriptor(&mut octets, section::DATA);
    octets
}

fn read<'a>(octets: &'a [u8], front: &mut Front) -> Option<(String, u8, bool, usize)> {
    let rules = LinkRules::default();
    let read: Option<Read<'a>> =
        read_head(octets, front, false, false, &rules).expect("a sound head");
    read.map(|read| {
        (
            read.to.into_owned(),
            read.message.priority,
            read.message.streaming,
            read.message.annotations.len(),
        )
    })
}

#[test]
fn a_head_that_comes_octet_by_octet_is_read_as_at_once() {
    for to_override in [None, Some("elsewhere")] {
        let octets = [annotations_of(to_override), sections("there")].concat();
        let mut front = Front::default();
        let mut known = None;
        for length in 0..=octets.len() {
            let whole = read(&octets[..length], &mut Front::default());
            known = read(&octets[..length], &mut front);
            assert_eq!(known, whole, "after {length} octets");
        }
        let (to, priority, streaming, annotations) = known.expect("the head is whole");
        assert_eq!((to.as_str(), priority, streaming), (to_override.unwrap_or("there"), 7, true));
        assert_eq!(annotations, annotations_of(to_override).len());
    }
}

/// Annotations may be long. Once they are known they are not looked at again, whatever stands
/// there.
#[test]
fn annotations_are_read_once_however_the_rest_comes() {
    let (first, rest) = (annotations_of(None), sections("there"));
    let mut octets = [&first[..], &rest].concat();
    let mut front = Front::default();
    // Of a section that has begun it is known when it will be whole.
    assert_eq!(read(&octets[..first.len() - 1], &mut front), None);
    assert_eq!(front, Front::Unread { needed: first.len() });
    assert_eq!(read(&octets[..first.len()], &mut front), None);
    assert!(matches!(&front, Front::Read { length, .. } if *length == first.len()));
    octets[..first.len()].fill(0xff);
    for length in first.len()..octets.len() {
        let _ = read(&octets[..length], &mut front);
    }
    assert_eq!(read(&octets, &mut front).map(|(to, ..)| to).as_deref(), Some("there"));
}
