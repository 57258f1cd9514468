//! Protocol headers, SASL, open, close, and the timers around them.

use super::*;
use crate::amqp::performative::{Close, Error};
use crate::amqp::{Symbol, condition, sasl};

fn bare_client() -> Config {
    config(
        "client",
        Layer::Client { mechanisms: vec![], identity: String::new(), credentials: None },
    )
}

fn bare_server() -> Config {
    config("server", Layer::Server { mechanisms: vec!["EXTERNAL"], allow_bare: true })
}

fn closed(event: &Event) -> &Closed {
    match event {
        Event::Closed(closed) => closed,
        other => panic!("{other:?}"),
    }
}

fn condition_of(events: &[Event]) -> &str {
    closed(events.last().expect("an event")).error.as_ref().expect("an error").condition.as_str()
}

#[test]
fn opens_with_sasl() {
    for (ours, theirs, chosen) in [
        (vec!["ANONYMOUS"], vec!["ANONYMOUS"], "ANONYMOUS"),
        (vec!["EXTERNAL", "ANONYMOUS"], vec!["ANONYMOUS", "EXTERNAL"], "EXTERNAL"),
        (vec!["EXTERNAL", "ANONYMOUS"], vec!["PLAIN", "ANONYMOUS"], "ANONYMOUS"),
    ] {
        let client = config(
            "client",
            Layer::Client { mechanisms: ours, identity: "me@here".to_owned(), credentials: None },
        );
        let server = config("server", Layer::Server { mechanisms: theirs, allow_bare: false });
        let mut pair = Pair::new(client, server);
        pair.drive();
        let opened = [Event::Authenticated { mechanism: chosen }, Event::Opened];
        assert_eq!(pair.client.events(), opened);
        assert_eq!(pair.server.events(), opened);
        assert_eq!(pair.client.engine.remote().unwrap().container_id, "server");
        assert_eq!(pair.server.engine.remote().unwrap().container_id, "client");
        let identity = if chosen == "ANONYMOUS" { "me@here" } else { "" };
        let init = sasl::Init {
            mechanism: Symbol::from_static(chosen),
            initial_response: Some(Bytes::from_static(identity.as_bytes())),
            hostname: None,
        };
        assert_eq!(pair.client.sent()[1], Item::Sasl(SaslFrame::Init(init)));
    }
}

#[test]
fn plain_says_user_and_password() {
    let credentials = Credentials::new("user@there", "secret").expect("no NUL");
    assert!(!format!("{credentials:?}").contains("secret"), "{credentials:?}");
    let config = |credentials| {
        config(
            "client",
            Layer::Client {
                mechanisms: vec!["PLAIN", "ANONYMOUS"],
                identity: "me".to_owned(),
                credentials,
            },
        )
    };
    let offer = |names| SaslFrame::Mechanisms(sasl::Mechanisms { mechanisms: Multiple::of(names) });
    for (credentials, offered, mechanism, response) in [
        (Some(credentials.clone()), &["ANONYMOUS", "PLAIN"][..], "PLAIN", "\0user@there\0secret"),
        (Some(credentials.clone()), &["ANONYMOUS"], "ANONYMOUS", "me"),
        (None, &["PLAIN", "ANONYMOUS"], "ANONYMOUS", "me"),
    ] {
        let mut raw = Raw::new(config(credentials));
        raw.octets(&ProtocolHeader::Sasl.octets());
        raw.octets(&sasl_frame(&offer(offered)));
        let init = sasl::Init {
            mechanism: Symbol::from_static(mechanism),
            initial_response: Some(Bytes::from_static(response.as_bytes())),
            hostname: None,
        };
        assert_eq!(raw.sent().pop(), Some(Item::Sasl(SaslFrame::Init(init))));
        raw.octets(&sasl_frame(&SaslFrame::Outcome(sasl::Outcome {
            code: sasl::code::OK,
            additional_data: None,
        })));
        assert_eq!(raw.events(), [Event::Authenticated { mechanism }]);
    }
    let mut raw = Raw::new(config(None));
    raw.octets(&ProtocolHeader::Sasl.octets());
    raw.octets(&sasl_frame(&offer(&["PLAIN"])));
    assert_eq!(condition_of(&raw.events()), condition::UNAUTHORIZED_ACCESS);
    assert!(Credentials::new("a\0b", "c").is_none() && Credentials::new("a", "b\0c").is_none());
}

fn sasl_frame(body: &SaslFrame) -> Vec<u8> {
    let mut octets = Vec::new();
    let start = frame::begin(&mut octets, frame::TYPE_SASL, 0);
    body.encode(&mut octets);
    frame::end(&mut octets, start, 0);
    octets
}

#[test]
fn opens_without_sasl() {
    let mut pair = Pair::new(bare_client(), bare_server());
    pair.drive();
    assert_eq!(pair.client.events(), [Event::Opened]);
    assert_eq!(pair.server.events(), [Event::Opened]);
}

#[test]
fn an_open_says_what_we_take() {
    let mut properties = Fields::default();
    properties.push("product", crate::amqp::Value::string("x"));
    let configured = Config {
        hostname: Some("there".to_owned()),
        properties: properties.clone(),
        ..bare_client()
    };
    let mut pair = Pair::open(configured, bare_server());
    let open = pair.server.engine.remote().unwrap().clone();
    assert_eq!(open.hostname.as_deref(), Some("there"));
    assert_eq!(open.max_frame_size, Some(16384));
    assert_eq!(open.channel_max, Some(32767));
    assert_eq!(open.idle_time_out, Some(8000), "half of the time-out");
    assert_eq!(open.offered_capabilities, Some(Multiple::of(&["qd.streaming-links"])));
    assert_eq!(open.desired_capabilities, open.offered_capabilities);
    assert_eq!(open.properties, Some(properties));
    assert_eq!(pair.client.engine.max_payload(), 16384 - 96);
    assert!(pair.client.engine.poll_event().is_none());
}

#[test]
fn no_mechanism_in_common() {
    let client = config(
        "client",
        Layer::Client { mechanisms: vec!["EXTERNAL"], identity: String::new(), credentials: None },
    );
    let mut pair = Pair::new(client, server());
    pair.drive();
    assert_eq!(condition_of(&pair.client.events()), condition::UNAUTHORIZED_ACCESS);
    // And a client that insists.
    let mut raw = Raw::new(server());
    raw.octets(&ProtocolHeader::Sasl.octets());
    let mut init = Vec::new();
    let start = frame::begin(&mut init, frame::TYPE_SASL, 0);
    sasl::Init { mechanism: Symbol::from_static("PLAIN"), ..Default::default() }.encode(&mut init);
    frame::end(&mut init, start, 0);
    raw.octets(&init);
    assert_eq!(condition_of(&raw.events()), condition::UNAUTHORIZED_ACCESS);
    let outcome = sasl::Outcome { code: sasl::code::AUTH, additional_data: None };
    assert_eq!(raw.sent().pop(), Some(Item::Sasl(SaslFrame::Outcome(outcome))));
}

#[test]
fn a_client_that_leaves_sasl_out_is_told_why() {
    let mut pair = Pair::new(bare_client(), server());
    pair.drive();
    assert_eq!(condition_of(&pair.server.events()), condition::POLICY_ERROR);
    let events = pair.client.events();
    assert_eq!(events[0], Event::Opened);
    assert_eq!(closed(&events[1]).initiator, Initiator::Remote);
    assert_eq!(condition_of(&events), condition::POLICY_ERROR);
}

#[test]
fn wrong_headers_are_answered_with_ours() {
    for first in [
        *b"GET / HT",
        *b"\x16\x03\x01\x02\x00\x01\x00\x01",
        *b"AMQP\x00\x00\x09\x01",
        *b"AMQP\x02\x01\x00\x00",
    ] {
        let mut raw = Raw::new(server());
        raw.octets(&first);
        assert_eq!(condition_of(&raw.events()), condition::FRAMING_ERROR, "{first:?}");
        assert_eq!(raw.sent(), [Item::Header(ProtocolHeader::Sasl)]);
        let mut raw = Raw::new(client());
        raw.octets(&first);
        assert_eq!(condition_of(&raw.events()), condition::FRAMING_ERROR, "{first:?}");
    }
    // After SASL too.
    let mut raw = Raw::new(server());
    raw.octets(&ProtocolHeader::Sasl.octets());
    let mut init = Vec::new();
    let start = frame::begin(&mut init, frame::TYPE_SASL, 0);
    sasl::Init { mechanism: Symbol::from_static("ANONYMOUS"), ..Default::default() }
        .encode(&mut init);
    frame::end(&mut init, start, 0);
    raw.octets(&init);
    raw.octets(&ProtocolHeader::Sasl.octets());
    assert_eq!(condition_of(&raw.events()), condition::FRAMING_ERROR);
    assert_eq!(raw.sent().pop(), Some(Item::Header(ProtocolHeader::Amqp)));
}

#[test]
fn a_server_that_skips_sasl_is_not_trusted() {
    let mut raw = Raw::new(client());
    raw.octets(&ProtocolHeader::Amqp.octets());
    assert_eq!(condition_of(&raw.events()), condition::POLICY_ERROR);
}

#[test]
fn sasl_frames_out_of_order() {
    let frame = |frame: SaslFrame| {
        let mut out = Vec::new();
        let start = frame::begin(&mut out, frame::TYPE_SASL, 0);
        frame.encode(&mut out);
        frame::end(&mut out, start, 0);
        out
    };
    let mechanisms =
        frame(SaslFrame::Mechanisms(sasl::Mechanisms { mechanisms: Multiple::of(&["ANONYMOUS"]) }));
    let outcome = frame(SaslFrame::Outcome(sasl::Outcome::default()));
    let challenge = frame(SaslFrame::Challenge(sasl::Challenge::default()));
    // An outcome before the choice; a challenge; the mechanisms twice.
    for frames in [
        vec![outcome.clone()],
        vec![mechanisms.clone(), challenge],
        vec![mechanisms.clone(), mechanisms],
    ] {
        let mut raw = Raw::new(client());
        raw.octets(&ProtocolHeader::Sasl.octets());
        frames.iter().for_each(|frame| raw.octets(frame));
        assert_eq!(condition_of(&raw.events()), condition::NOT_ALLOWED);
    }
    let mut raw = Raw::new(server());
    raw.octets(&ProtocolHeader::Sasl.octets());
    raw.octets(&outcome);
    assert_eq!(condition_of(&raw.events()), condition::NOT_ALLOWED);
}

#[test]
fn the_handshake_has_a_limit() {
    for (client, server) in [(client(), server()), (bare_client(), bare_server())] {
        // The peer never sends a byte.
        for config in [client, server] {
            let mut raw = Raw::new(config);
            let deadline = raw.engine.poll_timeout().unwrap();
            assert_eq!(deadline, raw.now + Duration::from_secs(10));
            raw.engine.handle_timeout(deadline);
            assert_eq!(condition_of(&raw.events()), condition::NOT_ALLOWED);
            assert_eq!(raw.engine.poll_timeout(), None);
        }
    }
    // The peer stops before open: it can be told.
    let mut raw = Raw::new(bare_server());
    raw.octets(&ProtocolHeader::Amqp.octets());
    raw.engine.handle_timeout(raw.now + Duration::from_secs(10));
    assert_eq!(raw.refusal(), condition::NOT_ALLOWED);
    // A connection that has opened has no deadline.
    let mut pair = Pair::open(client(), server());
    pair.advance(Duration::from_secs(60));
    assert!(pair.client.engine.is_open() && pair.server.engine.is_open());
}

#[test]
fn empty_frames_keep_the_connection_alive() {
    let mut pair = Pair::open(client(), server());
    pair.advance(Duration::from_secs(100));
    assert_eq!(pair.client.events(), []);
    assert_eq!(pair.server.events(), []);
    // One every 4 s: half of what the peer announced, which is half of its time-out.
    for side in [&mut pair.client, &mut pair.server] {
        let sent = side.sent();
        assert!(sent.iter().all(|item| *item == Item::Empty));
        assert_eq!(sent.len(), 25);
    }
}

#[test]
fn traffic_makes_empty_frames_needless() {
    let mut pair = Pair::open(client(), server());
    let (session, _) = pair.session();
    let (link, _) = pair.link(session, "link", 100);
    pair.client.sent();
    for _ in 0..20 {
        send(&mut pair.client.engine, link, b"x", true);
        pair.advance(Duration::from_secs(3));
    }
    assert!(pair.client.sent().iter().all(|item| *item != Item::Empty));
}

#[test]
fn silence_ends_the_connection() {
    let (mut raw, _) = Raw::begun(server());
    let deadline = raw.engine.poll_timeout().unwrap();
    assert_eq!(deadline, raw.now + Duration::from_secs(16));
    // Any bytes count, also those of an incomplete frame.
    raw.now += Duration::from_secs(10);
    raw.octets(&[0, 0, 0]);
    raw.engine.handle_timeout(deadline);
    assert_eq!(raw.events(), []);
    raw.now += Duration::from_secs(16);
    raw.engine.handle_timeout(raw.now);
    let [Item::Frame(0, Performative::Close(close), _)] = &raw.sent()[..] else { panic!("close") };
    assert_eq!(
        close.error.as_ref().unwrap().description.as_deref(),
        Some("local-idle-timeout expired")
    );
    let events = raw.events();
    assert_eq!(condition_of(&events), condition::RESOURCE_LIMIT_EXCEEDED);
    assert_eq!(closed(&events[0]).initiator, Initiator::Local);
}

#[test]
fn a_pause_of_this_end_is_no_silence_of_the_other() {
    let (mut raw, _) = Raw::begun(server());
    let deadline = raw.engine.poll_timeout().unwrap();
    // Bytes that came meanwhile may lie unread.
    raw.now = deadline + Duration::from_secs(100);
    raw.engine.handle_timeout(raw.now);
    assert_eq!(raw.events(), []);
    let reading = raw.engine.poll_timeout().unwrap();
    assert_eq!(reading, raw.now + Duration::from_millis(500));
    let mut silent = raw;
    silent.engine.handle_timeout(reading);
    assert_eq!(condition_of(&silent.events()), condition::RESOURCE_LIMIT_EXCEEDED);
    // Both ends were stopped, and neither could say anything.
    let mut pair = Pair::open(client(), server());
    pair.advance(Duration::from_secs(30));
    pair.now += Duration::from_secs(1000);
    for side in [&mut pair.client, &mut pair.server] {
        side.engine.handle_timeout(pair.now);
    }
    pair.advance(Duration::from_secs(30));
    assert_eq!((pair.client.events(), pair.server.events()), (vec![], vec![]));
    // The same holds for the handshake.
    let mut raw = Raw::new(bare_server());
    raw.octets(&ProtocolHeader::Amqp.octets());
    raw.engine.handle_timeout(raw.now + Duration::from_secs(60));
    raw.feed(0, open());
    assert!(raw.engine.is_open());
}

#[test]
fn no_time_out_needs_no_empty_frames() {
    let mut pair = Pair::open(client(), Config { idle_timeout: Duration::ZERO, ..server() });
    pair.advance(Duration::from_secs(60));
    assert_eq!((pair.client.events(), pair.server.events()), (vec![], vec![]));
    assert_eq!((pair.client.sent().len(), pair.server.sent().len()), (0, 15));
}

#[test]
fn a_short_time_out_does_not_make_us_work() {
    let (raw, _) = Raw::begun(Config { idle_timeout: Duration::ZERO, ..server() });
    assert_eq!(raw.engine.poll_timeout(), None);
    let mut raw = Raw::new(Config { idle_timeout: Duration::ZERO, ..bare_server() });
    raw.octets(&ProtocolHeader::Amqp.octets());
    let open = Open { container_id: "raw".to_owned(), idle_time_out: Some(1), ..Open::default() };
    raw.feed(0, Performative::Open(Box::new(open)));
    assert_eq!(raw.engine.poll_timeout(), Some(raw.now + Duration::from_millis(50)));
    raw.sent();
    raw.engine.handle_timeout(raw.now + Duration::from_millis(50));
    assert_eq!(raw.sent(), [Item::Empty]);
}

#[test]
fn closes_in_order() {
    let mut pair = Pair::open(client(), server());
    let (session, _) = pair.session();
    let (link, theirs) = pair.link(session, "link", 10);
    send(&mut pair.client.engine, link, b"last words", false);
    pair.client.engine.close(Some(Error::new(condition::CONNECTION_FORCED, "stopping")), pair.now);
    // Nothing follows the close.
    assert_eq!(pair.client.engine.deliver(link, false), None);
    assert_eq!(pair.client.engine.begin(), None);
    pair.client.engine.detach(link, None);
    pair.client.engine.end(session, None);
    pair.drive();
    let [Event::Transfer { link, .. }, Event::Closed(closed)] = &pair.server.events()[..] else {
        panic!("closed")
    };
    assert_eq!(*link, theirs);
    assert_eq!(closed.initiator, Initiator::Remote);
    assert_eq!(closed.error.as_ref().unwrap().condition, *condition::CONNECTION_FORCED);
    let events = pair.client.events();
    assert_eq!(
        events.last(),
        Some(&Event::Closed(Closed { initiator: Initiator::Local, error: None }))
    );
    let sent = pair.client.sent();
    assert!(matches!(sent.last(), Some(Item::Frame(0, Performative::Close(_), _))));
    assert!(pair.client.engine.is_closed() && pair.server.engine.is_closed());
    // And nothing follows the end.
    pair.server.engine.set_credit(theirs, 100, false);
    pair.server.engine.close(None, pair.now);
    pair.server.sent();
    pair.drive();
    assert_eq!(pair.server.sent(), []);
    assert_eq!(pair.server.events(), []);
}

#[test]
fn closes_cross() {
    let mut pair = Pair::open(client(), server());
    pair.client.engine.close(None, pair.now);
    pair.server.engine.close(None, pair.now);
    pair.drive();
    for side in [&mut pair.client, &mut pair.server] {
        assert_eq!(
            side.events(),
            [Event::Closed(Closed { initiator: Initiator::Local, error: None })]
        );
    }
}

#[test]
fn a_close_without_answer_is_not_awaited_for_ever() {
    let (mut raw, _) = Raw::begun(server());
    raw.engine.close(None, raw.now);
    // Frames that were on their way are passed over.
    raw.feed(0, attach("late", 0, Role::Sender));
    raw.feed(7, credit_flow(7, 0, 1));
    assert_eq!(raw.events(), []);
    let deadline = raw.engine.poll_timeout().unwrap();
    assert_eq!(deadline, raw.now + Duration::from_secs(2));
    raw.engine.handle_timeout(deadline);
    assert_eq!(raw.events(), [Event::Closed(Closed { initiator: Initiator::Local, error: None })]);
}

#[test]
fn a_close_before_open_ends_at_once() {
    let mut raw = Raw::new(client());
    raw.engine.close(None, raw.now);
    assert_eq!(raw.events(), [Event::Closed(Closed { initiator: Initiator::Local, error: None })]);
    let mut input = BytesMut::from(&ProtocolHeader::Sasl.octets()[..]);
    assert!(!raw.engine.handle_input(&mut input, raw.now));
    assert!(input.is_empty(), "what arrives afterwards is dropped");
}

#[test]
fn frames_before_open_and_a_second_open() {
    let mut raw = Raw::new(bare_server());
    raw.octets(&ProtocolHeader::Amqp.octets());
    raw.feed(0, begin());
    assert_eq!(raw.refusal(), condition::NOT_ALLOWED);
    let (mut raw, _) = Raw::begun(server());
    raw.feed(0, open());
    assert_eq!(raw.refusal(), condition::NOT_ALLOWED);
    let mut raw = Raw::new(bare_server());
    raw.octets(&ProtocolHeader::Amqp.octets());
    let open =
        Open { container_id: "raw".to_owned(), max_frame_size: Some(511), ..Open::default() };
    raw.feed(0, Performative::Open(Box::new(open)));
    assert_eq!(raw.refusal(), condition::INVALID_FIELD);
}

#[test]
fn a_peer_that_closes_at_once() {
    let mut raw = Raw::new(bare_client());
    raw.octets(&ProtocolHeader::Amqp.octets());
    raw.feed(0, open());
    let error =
        Error::new(condition::RESOURCE_LIMIT_EXCEEDED, "connection disallowed by local policy");
    raw.feed(0, Performative::Close(Close { error: Some(error.clone()) }));
    let closed = Closed { initiator: Initiator::Remote, error: Some(error) };
    assert_eq!(raw.events(), [Event::Opened, Event::Closed(closed)]);
    assert!(matches!(
        raw.sent().last(),
        Some(Item::Frame(0, Performative::Close(Close { error: None }), _))
    ));
}

#[test]
fn a_server_waits_for_word_of_a_password() {
    let open = |message: &'static [u8]| {
        let mut raw = Raw::new(config(
            "server",
            Layer::Server { mechanisms: vec!["PLAIN"], allow_bare: false },
        ));
        raw.octets(&ProtocolHeader::Sasl.octets());
        let init = sasl::Init {
            mechanism: Symbol::from_static("PLAIN"),
            initial_response: Some(Bytes::from_static(message)),
            hostname: None,
        };
        // The bytes behind the message wait with it.
        raw.octets(
            &[sasl_frame(&SaslFrame::Init(init)), ProtocolHeader::Amqp.octets().to_vec()].concat(),
        );
        raw
    };
    let outcome =
        |code| Item::Sasl(SaslFrame::Outcome(sasl::Outcome { code, additional_data: None }));
    let mut raw = open(b"\0user@there\0secret");
    let Some(Event::Credentials(credentials)) = raw.events().pop() else {
        panic!("no credentials")
    };
    assert_eq!((credentials.user(), credentials.password()), ("user@there", "secret"));
    raw.sent();
    raw.engine.authenticate(Verdict::Right);
    raw.octets(&[]);
    assert_eq!(raw.events(), [Event::Authenticated { mechanism: "PLAIN" }]);
    assert_eq!(raw.sent(), [outcome(sasl::code::OK), Item::Header(ProtocolHeader::Amqp)]);
    raw.engine.authenticate(Verdict::Wrong);
    assert_eq!(raw.events(), [], "it is said once");

    let mut raw = open(b"user\0user\0wrong");
    raw.events();
    raw.sent();
    raw.engine.authenticate(Verdict::Wrong);
    assert_eq!(raw.sent(), [outcome(sasl::code::AUTH)]);
    assert_eq!(condition_of(&raw.events()), condition::UNAUTHORIZED_ACCESS);

    let mut raw = open(b"\0user\0late");
    raw.events();
    raw.sent();
    raw.engine.authenticate(Verdict::Unknown);
    assert_eq!(raw.sent(), [outcome(sasl::code::SYS_TEMP)]);
    assert_eq!(condition_of(&raw.events()), condition::UNAUTHORIZED_ACCESS);

    for malformed in [
        &b"user\0secret"[..],
        b"\0\0secret",
        b"\0user\0",
        b"other\0user\0secret",
        b"\0a\0b\0c",
        b"\0\xff\0b",
        b"",
    ] {
        let mut raw = open(malformed);
        assert_eq!(raw.sent().pop(), Some(outcome(sasl::code::AUTH)), "{malformed:?}");
        assert_eq!(condition_of(&raw.events()), condition::UNAUTHORIZED_ACCESS);
    }
}

#[test]
fn an_open_waits_for_the_owner() {
    let mut raw = Raw::new(bare_server());
    raw.engine.hold_open();
    raw.octets(&ProtocolHeader::Amqp.octets());
    raw.sent();
    raw.feed(0, open());
    raw.feed(0, begin());
    assert_eq!(raw.events(), [Event::Opened]);
    assert_eq!(raw.sent(), []);
    raw.engine.admit(Some(1), Some(3), Some(7));
    raw.octets(&[]);
    let [
        Item::Frame(0, Performative::Open(open), _),
        Item::Frame(0, Performative::Begin(begin), _),
    ] = &raw.sent()[..]
    else {
        panic!("an open and the answer to the begin")
    };
    assert_eq!(
        (open.max_frame_size, open.channel_max, begin.incoming_window),
        (Some(512), Some(3), 7)
    );
    assert!(matches!(raw.events()[..], [Event::Begun { .. }]));
}
