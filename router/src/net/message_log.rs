//! The parts of messages that a listener or connector logs (`messageLoggingComponents`).

use std::fmt::Write;

use jiff::Timestamp;
use skupper_proto::amqp::message::{Scan, scan};
use skupper_proto::amqp::show::{Show, Unsigned};
use skupper_proto::amqp::{Reader, Value};

use crate::log;
use crate::schema::MessageComponents;

/// The fields of the properties section, in the order of the wire (part 3.2.4).
const PROPERTIES: &[&str] = &[
    "message-id",
    "user-id",
    "to",
    "subject",
    "reply-to",
    "correlation-id",
    "content-type",
    "content-encoding",
    "absolute-expiry-time",
    "creation-time",
    "group-id",
    "group-sequence",
    "reply-to-group-id",
];

/// The most characters of a message that are logged.
const LONGEST: usize = 2000;

/// Logs the configured parts of a message that was received or sent.
pub(super) fn note(components: &MessageComponents, connection: u64, what: &str, sections: &[u8]) {
    if components.is_none() || !log::event(log::Module::Message, log::Level::Debug) {
        return;
    }
    let text = describe(components, sections);
    log::write_at(
        log::Module::Message,
        log::Level::Debug,
        file!(),
        line!(),
        format_args!("[C{connection}] {what} {text}"),
    );
}

fn describe(components: &MessageComponents, sections: &[u8]) -> String {
    let mut text = "Message{".to_owned();
    let mut comma = "";
    let mut add = |text: &mut String, name: &str, shown: &dyn std::fmt::Display| {
        if text.len() < LONGEST {
            // Writing to a string does not fail.
            let _ = write!(text, "{comma}{name}={shown}");
            comma = ", ";
        }
    };
    let Ok(Scan::Complete(head)) = scan(sections, false, false) else {
        return "Message{}".to_owned();
    };
    let properties = head.properties.map(|span| values(&mut span.of(sections))).unwrap_or_default();
    for (name, value) in PROPERTIES.iter().zip(&properties) {
        if components.has(name) && *value != Value::Null {
            match value {
                Value::Timestamp(at) => add(&mut text, name, &format_args!("\"{}\"", time(*at))),
                value => add(&mut text, name, &Show(value, Unsigned::Decimal)),
            }
        }
    }
    let application = head.application_properties.and_then(|span| span.of(sections).value().ok());
    if let Some(application) = application.filter(|_| components.has("app-properties")) {
        add(&mut text, "app-properties", &Show(&application, Unsigned::Decimal));
    }
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
    }
    text.push('}');
    text
}

/// Returns the members of a list, up to the first that does not decode.
fn values(reader: &mut Reader<'_>) -> Vec<Value> {
    let Ok((count, mut body)) = reader.list() else { return Vec::new() };
    (0..count.min(16)).map_while(|_| body.value().ok()).collect()
}

fn time(milliseconds: i64) -> String {
    match Timestamp::from_millisecond(milliseconds) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S%.3f %z").to_string(),
        Err(_) => milliseconds.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use skupper_proto::amqp::encode::{self, Encode};
    use skupper_proto::amqp::message::section;

    use super::*;

    fn message() -> Vec<u8> {
        let mut out = Vec::new();
        let fields = vec![
            Value::string("1"),
            Value::Binary(Box::from(*b"testuser")),
            Value::Null,
            Value::string("s"),
            Value::string("r"),
            Value::Ulong(89),
            Value::symbol("text/html"),
            Value::Null,
            Value::Null,
            Value::Timestamp(1_487_772_623_883),
        ];
        encode::descriptor(&mut out, section::PROPERTIES);
        Value::List(fields).encode(&mut out);
        encode::descriptor(&mut out, section::APPLICATION_PROPERTIES);
        Value::Map(vec![(Value::string("k"), Value::List(vec![Value::Long(1)]))]).encode(&mut out);
        encode::descriptor(&mut out, section::AMQP_VALUE);
        Value::string("the body").encode(&mut out);
        out
    }

    #[test]
    fn what_is_asked_for_is_shown() {
        let of = |components: &str| describe(&components.parse().unwrap(), &message());
        assert_eq!(
            of("user-id, subject,reply-to"),
            "Message{user-id=b\"testuser\", subject=\"s\", reply-to=\"r\"}"
        );
        let all = of("all");
        for part in [
            "message-id=\"1\"",
            "correlation-id=89",
            "content-type=:\"text/html\"",
            "creation-time=\"2017-02-22 14:10:23.883 +0000\"",
            "app-properties={\"k\"=[1]}}",
        ] {
            assert!(all.contains(part), "{part}: {all}");
        }
        assert!(!all.contains("the body"), "{all}");
    }

    #[test]
    fn octets_that_are_no_message_are_shown_empty() {
        assert_eq!(describe(&"all".parse().unwrap(), b"noise"), "Message{}");
    }
}
