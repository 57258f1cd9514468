//! Bytes of a C router and of its clients, round trips, and messages that are none.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::{
    MAX_PROPERTIES, MAX_REQUEST, Malformed, Problem, Properties, Request, Response, Status, Table,
    message, property,
};
use crate::amqp::encode::{self, Encode};
use crate::amqp::message::section;
use crate::amqp::{DecodeError, Symbol, Value};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|octet| !octet.is_ascii_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

const REPLY: &str = "amqp:/_topo/0/QDR.A/temp.IR9ERHnkjHCiHef";

fn text(text: &str) -> Value {
    Value::string(text)
}

// Requests of python-qpid-proton, and answers of a C router.

#[test]
fn a_query_of_another_client() {
    let octets =
        hex("00537045005373c0340640404040a128616d71703a2f5f746f706f2f302f5144522e412f74656d702e4952394552486e6b6a48436948
        6566a103616263005374d1000000790000000ca1096f7065726174696f6ea1055155455259a10a656e7469747954797065a118696f2e736b757070
        65722e726f757465722e726f75746572a10474797065a1136f72672e616d71702e6d616e6167656d656e74a1046e616d65a10473656c66a105636f
        756e7471000001f4a1066f66667365745400005377d10000003800000002a10e6174747269627574654e616d6573d00000001f00000003a1026964
        a1046d6f6465a10f74696d657374616d7073496e555443");
    let request = Request::decode(&octets).unwrap();
    assert_eq!(request.operation.as_deref(), Some("QUERY"));
    assert_eq!(request.reply_to.as_deref(), Some(REPLY));
    assert_eq!(request.correlation_id, Some(text("abc")));
    assert_eq!(request.text(property::ENTITY_TYPE), Some("io.skupper.router.router"));
    assert_eq!(request.text(property::TYPE), Some("org.amqp.management"));
    assert_eq!(
        (request.integer(property::COUNT), request.integer(property::OFFSET)),
        (Some(500), Some(0))
    );
    let names = Request::query(None, &["id", "mode", "timestampsInUTC"]).body;
    assert_eq!(request.body, names);
}

#[test]
fn a_delete_without_a_body() {
    let octets =
        hex("00537045005373c0330640404040a128616d71703a2f5f746f706f2f302f5144522e412f74656d702e4952394552486e6b6a48436948
        6566a0020102005374d10000004500000006a1096f7065726174696f6ea10644454c455445a10474797065a11d696f2e736b75707065722e726f75
        7465722e7463704c697374656e6572a1046e616d65a10178");
    let request = Request::decode(&octets).unwrap();
    let expected = Request {
        reply_to: Some(REPLY.to_owned()),
        correlation_id: Some(Value::Binary(Box::from([1, 2]))),
        ..Request::new("DELETE")
            .with(property::TYPE, "io.skupper.router.tcpListener")
            .with(property::NAME, "x")
    };
    assert_eq!(request, expected);
}

#[test]
fn a_table_of_a_router() {
    let octets =
        hex("005370d0000000050000000142005373d000000034000000064040a128616d71703a2f5f746f706f2f302f5144522e412f74656d702e
        4952394552486e6b6a48436948656640405301005374d10000002c00000004a1117374617475734465736372697074696f6ea1024f4ba10a7374
        61747573436f646571000000c8005377d10000008400000004a10e6174747269627574654e616d6573d00000003300000005a1046e616d65a10670
        7265666978a10c646973747269627574696f6ea1087072696f72697479a1077061747465726ea107726573756c7473d00000002a00000001d00000
        002100000005a109616464726573732f30a1026d63a1096d756c74696361737454ff40");
    let response = Response::decode(&octets).unwrap();
    assert_eq!(response.to.as_deref(), Some(REPLY));
    assert_eq!(response.correlation_id, Some(Value::Ulong(1)));
    assert_eq!((response.status, response.description.as_str()), (Status::OK, "OK"));
    let table = Table::from_body(response.body).unwrap();
    assert_eq!(table.attribute_names, ["name", "prefix", "distribution", "priority", "pattern"]);
    let row = vec![text("address/0"), text("mc"), text("multicast"), Value::Int(-1), Value::Null];
    assert_eq!(table.results, [row]);
    assert_eq!(table.column("priority"), Some(3));
}

#[test]
fn a_refusal_of_a_router() {
    let octets =
        hex("005370d0000000050000000142005373d000000034000000064040a128616d71703a2f5f746f706f2f302f5144522e412f74656d702e
        4952394552486e6b6a4843694865664040544d005374d10000004400000004a10a737461747573436f64657100000194a111737461747573446573
        6372697074696f6ea11a4e6f20656e746974792077697468206e616d653d6e6f73756368005377d10000000400000000");
    let expected = Response {
        to: Some(REPLY.to_owned()),
        correlation_id: Some(Value::Int(77)),
        ..Response::new(Status::NOT_FOUND, "No entity with name=nosuch", Value::Map(vec![]))
    };
    assert_eq!(Response::decode(&octets), Ok(expected));
}

#[test]
fn identifiers_of_every_type_come_back() {
    let octets =
        hex("005370d0000000050000000142005373d000000043000000064040a128616d71703a2f5f746f706f2f302f5144522e412f74656d702e
        4952394552486e6b6a48436948656640409812345678123456781234567812345678005374d10000003300000004a1117374617475734465736372
        697074696f6ea1094e6f7420466f756e64a10a737461747573436f64657100000194005377d10000000400000000");
    let response = Response::decode(&octets).unwrap();
    let uuid = hex("12345678123456781234567812345678").try_into().unwrap();
    assert_eq!(response.correlation_id, Some(Value::Uuid(uuid)));
    assert_eq!(response.description, response.status.text());
}

// Messages that are none.

#[test]
fn what_cannot_be_read_still_says_where_the_answer_goes() {
    let properties = Properties {
        reply_to: Some("r".to_owned()),
        correlation_id: Some(Value::Ulong(7)),
        ..Properties::default()
    };
    let addressed = |problem| Malformed {
        problem,
        reply_to: Some("r".to_owned()),
        correlation_id: Some(Value::Ulong(7)),
    };

    let mut body_of_data = Vec::new();
    properties.encode(&mut body_of_data);
    encode::descriptor(&mut body_of_data, section::DATA);
    Bytes::from_static(b"data").encode(&mut body_of_data);
    assert_eq!(Request::decode(&body_of_data), Err(addressed(Problem::Body)));

    let mut body_of_nothing = Vec::new();
    properties.encode(&mut body_of_nothing);
    encode::descriptor(&mut body_of_nothing, section::AMQP_VALUE);
    body_of_nothing.extend_from_slice(&[0xa1, 0x02, 0xff, 0xff]);
    let problem = Problem::Octets { section: "the body", error: DecodeError::Text };
    assert_eq!(Request::decode(&body_of_nothing), Err(addressed(problem)));

    let large = message(&properties, core::iter::empty(), &Value::String("x".repeat(MAX_REQUEST)));
    let problem = Problem::Size { size: large.len(), most: MAX_REQUEST };
    assert_eq!(Request::decode(&large), Err(addressed(problem)));

    let names: Vec<String> = (0..=MAX_PROPERTIES).map(|n| n.to_string()).collect();
    let many =
        message(&properties, names.iter().map(|name| (name.as_str(), Value::Null)), &Value::Null);
    assert_eq!(Request::decode(&many), Err(addressed(Problem::Properties)));
}

#[test]
fn a_request_may_lack_everything() {
    assert_eq!(Request::decode(&[]), Ok(Request::default()));
    let numbered = message(
        &Properties::default(),
        [(property::OPERATION, Value::Int(3))].into_iter(),
        &Value::Null,
    );
    assert_eq!(Request::decode(&numbered), Ok(Request::default()));
}

#[test]
fn a_response_has_a_status() {
    let without = message(&Properties::default(), core::iter::empty(), &Value::Null);
    assert_eq!(Response::decode(&without), Err(Problem::NoStatus));
    let worded = message(
        &Properties::default(),
        [(property::STATUS_CODE, text("200"))].into_iter(),
        &Value::Null,
    );
    assert_eq!(Response::decode(&worded), Err(Problem::NoStatus));
}

#[test]
fn a_table_has_names_and_rows() {
    let names = || (text(Table::NAMES), Value::List(vec![text("a"), Value::Null]));
    let rows = |rows| (text(Table::RESULTS), rows);
    let body = |pairs| Table::from_body(Value::Map(pairs));
    assert_eq!(body(vec![names()]), None);
    assert_eq!(body(vec![names(), rows(Value::List(vec![Value::Null]))]), None);
    assert_eq!(Table::from_body(Value::List(vec![])), None);
    let table = body(vec![rows(Value::List(vec![])), names()]).unwrap();
    assert_eq!(
        table,
        Table { attribute_names: vec!["a".to_owned(), String::new()], results: vec![] }
    );
}

#[test]
fn a_table_may_consist_of_arrays() {
    let rows = Value::Array(vec![Value::Array(vec![text("1")]), Value::Array(vec![text("2")])]);
    let names = Value::Array(vec![text("a")]);
    let table = Table::from_body(Value::Map(vec![
        (text(Table::NAMES), names),
        (text(Table::RESULTS), rows),
    ]));
    let table = table.expect("a table");
    assert_eq!(table.attribute_names, ["a"]);
    assert_eq!(table.results, [[text("1")], [text("2")]]);
}

/// The first request of Skupper's sidecar, as recorded.
#[test]
fn a_sidecar_asks_with_an_empty_array_of_names() {
    let octets = b"\x00Ss\xd0\x00\x00\x00\x1d\x00\x00\x00\x0c@@@@\xa1\x0bamqp:/replyS\x01@@@@@C\
        \x00St\xd1\x00\x00\x00<\x00\x00\x00\x04\xa1\toperation\xa1\x05QUERY\xa1\nentityType\
        \xa1\x18io.skupper.router.router\
        \x00Sw\xd1\x00\x00\x00\x18\x00\x00\x00\x02\xa1\x0eattributeNames\xe0\x02\x00\xa1";
    let request = Request::decode(octets).expect("a request");
    assert_eq!(request.text(property::ENTITY_TYPE), Some("io.skupper.router.router"));
    assert_eq!(request.body.get(Table::NAMES).and_then(Value::as_list), Some(&[][..]));
}

#[test]
fn integers_may_be_text() {
    let request = Request::new("GET-LOG")
        .with(property::LIMIT, " 12")
        .with(property::COUNT, Value::Ushort(3))
        .with("x", true);
    assert_eq!(request.integer(property::LIMIT), Some(12));
    assert_eq!(request.integer(property::COUNT), Some(3));
    assert_eq!(request.integer("x"), None);
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i32>().prop_map(Value::Int),
        any::<i64>().prop_map(Value::Long),
        any::<u32>().prop_map(Value::Uint),
        any::<u64>().prop_map(Value::Ulong),
        any::<[u8; 16]>().prop_map(Value::Uuid),
        "\\PC{0,20}".prop_map(Value::String),
        "[ -~]{0,20}".prop_map(|text| Value::Symbol(Symbol::from(text))),
        vec(any::<u8>(), 0..20).prop_map(|octets| Value::Binary(octets.into())),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::List),
            vec(("[a-z]{0,8}".prop_map(Value::String), inner), 0..5).prop_map(Value::Map),
        ]
    })
}

fn any_correlation() -> impl Strategy<Value = Option<Value>> {
    option::of(any_value()).prop_map(|value| value.filter(|value| *value != Value::Null))
}

proptest! {
    #[test]
    fn requests_round_trip(
        to in option::of("\\PC{0,20}"),
        reply_to in option::of("\\PC{0,20}"),
        correlation_id in any_correlation(),
        operation in option::of("[A-Z-]{0,12}"),
        properties in vec(("[a-z]{0,7}", any_value()), 0..6),
        body in any_value(),
    ) {
        let request = Request { to, reply_to, correlation_id, operation, properties, body };
        prop_assert_eq!(Request::decode(&request.encode()), Ok(request));
    }

    #[test]
    fn responses_round_trip(
        to in option::of("\\PC{0,20}"),
        correlation_id in any_correlation(),
        status in any::<i32>(),
        description in "\\PC{0,40}",
        body in any_value(),
    ) {
        let response = Response { to, correlation_id, ..Response::new(Status(status), description, body) };
        prop_assert_eq!(Response::decode(&response.encode()), Ok(response));
    }

    #[test]
    fn tables_round_trip(
        attribute_names in vec("[a-z]{1,8}", 0..5),
        results in vec(vec(any_value(), 0..5), 0..5),
    ) {
        let table = Table { attribute_names, results };
        prop_assert_eq!(Table::from_body(table.clone().into_body()), Some(table));
    }

    #[test]
    fn any_octets_are_read_or_refused(octets in vec(any::<u8>(), 0..200), cut in 0..200usize) {
        let _ = (Request::decode(&octets), Response::decode(&octets));
        let whole = Request::query(Some("connection"), &["name"]).encode();
        let part = &whole[..cut.min(whole.len())];
        let _ = (Request::decode(part), Response::decode(part));
    }
}
