use super::attribute::{END_TIME, IDENTITY, NAME, OCTETS, RECORD_TYPE};
use super::{Fact, MAX_TEXT, RecordKind, Records, Source, Told, read_co_records, records};
use crate::amqp::message::{Properties, Scan, scan};
use crate::amqp::{Reader, Value};

fn keys(told: &Told) -> Vec<u32> {
    told.iter().map(|(attribute, _)| *attribute).collect()
}

#[test]
fn a_record_is_told_as_far_as_it_changed() {
    let mut all = Records::default();
    all.put("s:1", RecordKind::Link, [(NAME, "link".into()), (OCTETS, 0.into())]);
    let first = all.take();
    assert_eq!(keys(&first[0]), [RECORD_TYPE, IDENTITY, OCTETS, NAME]);
    assert_eq!(first[0][..2], [(RECORD_TYPE, Value::Uint(2)), (IDENTITY, Value::string("s:1"))]);
    assert!(all.take().is_empty(), "nothing is told twice");
    all.put("s:1", RecordKind::Link, [(NAME, "link".into()), (OCTETS, 7.into())]);
    assert_eq!(
        all.take(),
        [vec![
            (RECORD_TYPE, Value::Uint(2)),
            (IDENTITY, Value::string("s:1")),
            (OCTETS, Value::Ulong(7))
        ]]
    );
    all.flush();
    assert_eq!(keys(&all.take()[0]), [RECORD_TYPE, IDENTITY, OCTETS, NAME]);
    all.end("s:1", 99);
    all.end("s:2", 99);
    assert_eq!(
        all.take(),
        [vec![
            (RECORD_TYPE, Value::Uint(2)),
            (IDENTITY, Value::string("s:1")),
            (END_TIME, Value::Ulong(99))
        ]]
    );
    all.flush();
    assert!(all.take().is_empty(), "what has ended is forgotten");
}

#[test]
fn texts_are_cut_between_characters() {
    let Fact::Text(text) = Fact::from(format!("{}é", "a".repeat(MAX_TEXT - 1))) else { panic!() };
    assert_eq!(text.len(), MAX_TEXT - 1);
}

#[test]
fn messages_have_the_form_that_collectors_read() {
    let source = Source::new("abcde");
    let parts = |octets: &[u8]| {
        let Ok(Scan::Complete(head)) = scan(octets, true, true) else { panic!("no message") };
        let properties =
            Properties::decode_fields(&mut head.properties.unwrap().of(octets)).unwrap();
        let body = head.body.map(|span| Reader::new(&octets[span.value..]).value().unwrap());
        (properties.to.unwrap(), properties.subject.unwrap(), properties.message_id, body)
    };
    let (to, subject, id, _) = parts(&source.beacon(3));
    assert_eq!((to.as_str(), subject.as_str(), id), ("mc/sfe.all", "BEACON", Some(Value::Long(3))));
    let (to, subject, _, _) = parts(&source.heartbeat(4, 1));
    assert_eq!((to.as_str(), subject.as_str()), ("mc/sfe.abcde:0", "HEARTBEAT"));
    let (to, subject, _, _) =
        parts(&records(5, &source.logs(), &[vec![(RECORD_TYPE, Value::Uint(14))]]));
    assert_eq!((to.as_str(), subject.as_str()), ("mc/sfe.abcde:0.logs", "RECORD"));
}

#[test]
fn of_others_only_what_is_theirs_to_say_is_read() {
    use super::attribute::{CONNECTOR, PROXY_HOST};
    let told = vec![
        (IDENTITY, Value::string("abcde:7")),
        (CONNECTOR, Value::string("other:3")),
        (OCTETS, Value::Ulong(9)),
        (PROXY_HOST, Value::Null),
    ];
    let octets = records(1, "vfcr.abcde:0", &[told, vec![(CONNECTOR, Value::string("nobody"))]]);
    assert_eq!(
        read_co_records(&octets),
        [("abcde:7".to_owned(), vec![(CONNECTOR, "other:3".into())])]
    );
    for cut in 0..octets.len() {
        read_co_records(&octets[..cut]);
    }
    assert_eq!(Source::of_record("abcde:17"), Some(Source::new("abcde")));
    for none in ["", "abcde", ":1", "abcde:x"] {
        assert_eq!(Source::of_record(none), None, "{none}");
    }
}
