//! Tests of the client against a router, which the engine's other end plays over loopback.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use skupper_proto::amqp::performative::{DeliveryState, Error, Role};
use skupper_proto::amqp::terminus::Source;
use skupper_proto::amqp::{Fields, Multiple, Value, condition};
use skupper_proto::annotations::{Flags, OutgoingAnnotations};
use skupper_proto::engine::{self, AttachRequest, Ending, Event, Layer};
use skupper_proto::management::{Request, Response, Status, Table};
use skupper_proto::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// The behavior of the router.
#[derive(Clone, Copy, Default)]
struct Play {
    /// Offered SASL mechanisms; empty for bare AMQP.
    mechanisms: &'static [&'static str],
    /// Refuses the link to this address.
    refuses: Option<&'static str>,
    /// Gives no credit.
    deaf: bool,
    /// Releases requests.
    releases: bool,
    /// Closes the connection instead of a response.
    closes: bool,
    /// Leaves router annotations on its responses.
    annotates: bool,
    /// First sends a response that belongs to no request.
    babbles: bool,
}

/// Plays one connection, and answers its requests with `answer`, in order.
async fn play(
    listener: &TcpListener,
    play: Play,
    mut answer: impl FnMut(&Request) -> Option<Response>,
) {
    let (mut socket, _) = listener.accept().await.unwrap();
    let config = engine::Config {
        container_id: "router".to_owned(),
        hostname: None,
        max_frame_size: 512,
        channel_max: 10,
        idle_timeout: Duration::ZERO,
        handshake_timeout: Duration::ZERO,
        incoming_window: 8,
        capabilities: Multiple::default(),
        properties: Fields::default(),
        layer: Layer::Server {
            mechanisms: play.mechanisms.to_vec(),
            allow_bare: play.mechanisms.is_empty(),
        },
    };
    let mut engine = engine::Connection::new(config, Instant::ZERO);
    let (mut input, mut arriving, mut replies) = (BytesMut::new(), Vec::new(), None);
    let mut waiting: VecDeque<Vec<u8>> = VecDeque::new();
    let mut sending: Option<(engine::OutgoingKey, VecDeque<Bytes>)> = None;
    loop {
        while let Some(event) = engine.poll_event() {
            match event {
                Event::Attached { link, attach, .. } if attach.role == Role::Receiver => {
                    replies = Some(link);
                    let source = Source {
                        address: Some("_topo/0/router/temp.1".to_owned()),
                        ..attach.source.clone().unwrap()
                    };
                    engine.accept(
                        link,
                        AttachRequest {
                            source: Some(source),
                            target: attach.target,
                            ..AttachRequest::default()
                        },
                    );
                }
                Event::Attached { link, attach, .. } => {
                    let address =
                        attach.target.as_ref().and_then(|target| target.message()?.address.clone());
                    if play.refuses.is_some() && address.as_deref() == play.refuses {
                        engine.refuse(
                            link,
                            Error::new(condition::NO_ROUTE_TO_DESTINATION, "no such place"),
                        );
                    } else {
                        engine.accept(
                            link,
                            AttachRequest {
                                source: attach.source,
                                target: attach.target,
                                ..AttachRequest::default()
                            },
                        );
                        if !play.deaf {
                            engine.keep_credit(link, 4);
                        }
                    }
                }
                Event::Transfer { delivery, payload, ending, .. } => {
                    arriving.extend_from_slice(&payload);
                    if ending == Ending::More {
                        continue;
                    }
                    let request = Request::decode(&std::mem::take(&mut arriving)).unwrap();
                    if play.closes {
                        engine.close(
                            Some(Error::new(condition::CONNECTION_FORCED, "going down")),
                            Instant::ZERO,
                        );
                        continue;
                    }
                    let state = if play.releases {
                        DeliveryState::Released
                    } else {
                        DeliveryState::Accepted
                    };
                    engine.disposition(delivery, Some(state), true);
                    if play.babbles {
                        let other = Response::new(Status::OK, "OK", "late".into());
                        waiting.push_back(
                            Response { correlation_id: Some("0".into()), ..other }.encode(),
                        );
                    }
                    if let Some(response) = answer(&request) {
                        let mut message = Vec::new();
                        if play.annotates {
                            OutgoingAnnotations::originated(Flags::default(), "router")
                                .encode(&mut message);
                        }
                        message.extend(
                            Response { correlation_id: request.correlation_id, ..response }
                                .encode(),
                        );
                        waiting.push_back(message);
                    }
                }
                Event::Closed(_) => {
                    write(&mut socket, &mut engine).await;
                    return;
                }
                _ => {}
            }
        }
        if let (None, Some(link), false) = (&sending, replies, waiting.is_empty())
            && let Some(delivery) = engine.deliver(link, true)
        {
            sending = waiting.pop_front().map(|octets| (delivery, VecDeque::from([octets.into()])));
        }
        while let Some((delivery, chunks)) = &mut sending {
            if !engine.send_part(*delivery, chunks, true) {
                break;
            }
            if chunks.is_empty() {
                sending = None;
            }
        }
        write(&mut socket, &mut engine).await;
        match socket.read_buf(&mut input).await {
            Ok(0) | Err(_) => return,
            Ok(_) => while engine.handle_input(&mut input, Instant::ZERO) {},
        }
    }
}

async fn write(socket: &mut TcpStream, engine: &mut engine::Connection) {
    let octets =
        engine.output().slices().fold(Vec::new(), |mut all: Vec<u8>, slice: IoSlice<'_>| {
            all.extend_from_slice(&slice);
            all
        });
    engine.output().clear();
    let _ = socket.write_all(&octets).await;
}

fn options(port: u16) -> Options {
    Options {
        url: Url::parse(&format!("127.0.0.1:{port}")).unwrap(),
        name: "test",
        timeout: Duration::from_secs(20),
        tls: TlsOptions::default(),
        sasl: SaslOptions::default(),
    }
}

/// Runs a client and its router.
async fn with<T>(
    played: Play,
    answer: impl FnMut(&Request) -> Option<Response>,
    change: impl FnOnce(&mut Options),
    client: impl AsyncFnOnce(Node) -> Result<T, ClientError>,
) -> Result<T, ClientError> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let mut options = options(listener.local_addr().unwrap().port());
    change(&mut options);
    let client = async { client(Node::connect(&options, "$management").await?).await };
    tokio::select! {
        result = client => result,
        () = async { play(&listener, played,
            answer).await; std::future::pending().await } => unreachable!(),
    }
}

fn ok(body: Value) -> Option<Response> {
    Some(Response::new(Status::OK, "OK", body))
}

async fn ask(mut node: Node) -> Result<Value, ClientError> {
    let body = node.call(Request::new("READ").with("name", "x"), Status::OK).await?;
    node.close().await;
    Ok(body)
}

#[tokio::test]
async fn a_request_is_answered() {
    let long = "x".repeat(100_000);
    for (mechanisms, sasl) in [(&[][..], false), (&["EXTERNAL", "ANONYMOUS"], true)] {
        let answer = |request: &Request| {
            assert_eq!(request.reply_to.as_deref(), Some("_topo/0/router/temp.1"));
            assert_eq!((request.text("name"), &request.body), (Some("x"), &Value::Map(Vec::new())));
            ok(Value::string(long.as_str()))
        };
        let mechanism =
            |options: &mut Options| options.sasl.mechanisms = sasl.then(|| "ANONYMOUS".to_owned());
        let body = with(
            Play { mechanisms, babbles: true, annotates: sasl, ..Play::default() },
            answer,
            mechanism,
            ask,
        )
        .await
        .unwrap();
        assert_eq!(body, Value::string(long.as_str()));
    }
}

#[tokio::test]
async fn what_goes_wrong_is_said() {
    let no = |status, text| move |_: &Request| Some(Response::new(status, text, Value::Null));
    let calm = Play::default();
    let error =
        with(calm, no(Status::NOT_FOUND, "No entity with name=x"), |_| {}, ask).await.unwrap_err();
    assert!(matches!(&error, ClientError::Status { status: Status::NOT_FOUND, .. }), "{error:?}");
    assert_eq!(error.to_string(), "No entity with name=x");

    let error =
        with(calm, no(Status::NO_CONTENT, "gone"), |_| {}, ask).await.unwrap_err().to_string();
    assert_eq!(error, "Response was 204(No Content) but expected 200(OK): gone");

    let refuses = Play { refuses: Some("$management"), ..calm };
    let error = with(refuses, |_| None, |_| {}, ask).await.unwrap_err().to_string();
    assert_eq!(error, "sender to $management closed due to: qd:no-route-to-dest no such place");

    let releases = Play { releases: true, ..calm };
    let error = with(releases, |_| None, |_| {}, ask).await.unwrap_err().to_string();
    assert_eq!(error, "the request to $management was released: nobody receives there");

    let closes = Play { closes: true, ..calm };
    let error = with(closes, |_| None, |_| {}, ask).await.unwrap_err().to_string();
    assert!(error.ends_with("disconnected: amqp:connection:forced going down"), "{error}");

    let error = with(Play { mechanisms: &["PLAIN"], ..calm }, |_| None, |_| {}, ask)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("amqp:connection:policy-error"), "{error}");

    let soon = |options: &mut Options| options.timeout = Duration::from_millis(200);
    let error = with(Play { deaf: true, ..calm }, |_| None, soon, ask).await.unwrap_err();
    assert!(matches!(&error, ClientError::TimedOut { doing: Doing::Sending(_), .. }), "{error:?}");
    let error = with(calm, |_| None, soon, ask).await.unwrap_err();
    assert!(matches!(&error, ClientError::TimedOut { doing: Doing::Waiting, .. }), "{error:?}");
}

#[tokio::test]
async fn who_does_not_speak_amqp_is_no_router() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let mut options = options(listener.local_addr().unwrap().port());
    for (said, expected) in [
        (Some(&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..]), "no AMQP protocol header"),
        (None, "it may demand TLS"),
    ] {
        let serve = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _ = socket.write_all(said.unwrap_or_default()).await;
            let _ = socket.read(&mut [0; 64]).await;
        };
        let (node, ()) = tokio::join!(Node::connect(&options, "$management"), serve);
        let error = node.err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    }
    options.timeout = Duration::from_millis(100);
    let node = Node::connect(&options, "$management").await;
    assert!(
        matches!(node.err(), Some(ClientError::TimedOut { doing: Doing::Opening, .. })),
        "nobody accepts"
    );
    drop(listener);
    let error = Node::connect(&options, "$management").await.err().unwrap().to_string();
    assert!(error.contains("connection refused"), "{error}");
}

#[tokio::test]
async fn queries_are_paged() {
    let number = |request: &Request, name| usize::try_from(request.integer(name).unwrap()).unwrap();
    let page = |rows: std::ops::Range<usize>| {
        let results = rows.map(|row| vec![Value::string(row.to_string())]).collect();
        ok(Table { attribute_names: vec!["identity".to_owned()], results }.into_body())
    };
    for (total, limit, expected, questions) in [
        (1201, None, 1201, 3),
        (1000, None, 1000, 3),
        (10, None, 10, 1),
        (1201, Some(700), 700, 2),
        (1201, Some(3), 3, 1),
        (0, None, 0, 1),
    ] {
        let mut asked = 0;
        let answer = |request: &Request| {
            asked += 1;
            let from = number(request, "offset").min(total);
            page(from..(from + number(request, "count")).min(total))
        };
        let query = async |mut node: Node| node.query(Some("x"), &[], limit).await;
        let table = with(Play::default(), answer, |_| {}, query).await.unwrap();
        assert_eq!((table.results.len(), asked), (expected, questions), "{total} {limit:?}");
    }
    // This router sends all its rows, whatever the request's page is.
    for (total, limit, expected) in
        [(500, None, 500), (700, None, 700), (5, Some(2), 2), (2, Some(5), 2)]
    {
        let query = async |mut node: Node| node.query(Some("x"), &[], limit).await;
        let table = with(Play::default(), |_| page(0..total), |_| {}, query).await.unwrap();
        assert_eq!(table.results.len(), expected, "{total} {limit:?}");
    }
    let query = async |mut node: Node| node.query(Some("x"), &[], None).await;
    let error =
        with(Play::default(), |_| ok(Value::string("none")), |_| {}, query).await.unwrap_err();
    assert!(matches!(error, ClientError::NoTable));
}

#[tokio::test]
async fn another_node_is_asked_over_the_same_connection() {
    let turn = async |mut node: Node| {
        let one = node.call(Request::new("READ").with("name", "x"), Status::OK).await?;
        node.turn_to(&node_address(Some("B"), None)).await?;
        let other = node.call(Request::new("READ").with("name", "x"), Status::OK).await?;
        Ok((one, other))
    };
    let mut answers = 0_i64;
    let answer = |_: &Request| {
        answers += 1;
        ok(answers.into())
    };
    assert_eq!(
        with(Play::default(), answer, |_| {}, turn).await.unwrap(),
        (Value::Long(1), Value::Long(2))
    );
}

#[test]
fn urls_are_read() {
    for (text, expected, rest) in [
        ("", "amqp://0.0.0.0:5672", (None, None, None)),
        ("Host", "amqp://host:5672", (None, None, None)),
        ("host:99", "amqp://host:99", (None, None, None)),
        ("amqps://host", "amqps://host:5671", (None, None, None)),
        ("//host:amqps", "amqp://host:5671", (None, None, None)),
        ("[::1]:7", "amqp://[::1]:7", (None, None, None)),
        ("amqp://[::1]", "amqp://[::1]:5672", (None, None, None)),
        (
            "amqp://a%40b:p%3aw@h:1/_topo/0/B/$management",
            "amqp://h:1/_topo/0/B/$management",
            (Some("a@b"), Some("p:w"), Some("_topo/0/B/$management")),
        ),
        ("u@h/", "amqp://h:5672", (Some("u"), None, None)),
        ("amqp://%zz%+1%e9:x@h", "amqp://h:5672", (Some("%zz%+1%e9"), Some("x"), None)),
    ] {
        let url = Url::parse(text).unwrap();
        assert_eq!(url.to_string(), expected, "{text}");
        assert_eq!(
            (url.user.as_deref(), url.password.as_deref(), url.path.as_deref()),
            rest,
            "{text}"
        );
        assert!(!format!("{url:?}").contains('@'), "{url:?}");
    }
    assert_eq!(
        Url::parse("h:nosuch").unwrap_err().to_string(),
        "Not a valid port number or service name: 'nosuch'"
    );
    assert!(Url::parse("h:70000").is_err() && Url::parse("http://h").is_err());
}

#[test]
fn mechanisms_follow_from_what_is_known() {
    let layer = |url: &str, change: fn(&mut Options)| {
        let mut options = Options { url: Url::parse(url).unwrap(), ..options(1) };
        change(&mut options);
        match options.layer() {
            Ok(Layer::Client { mechanisms, .. }) => mechanisms.join(" "),
            Ok(Layer::Server { .. }) => unreachable!(),
            Err(error) => error.to_string(),
        }
    };
    assert_eq!(layer("h", |_| {}), "");
    assert_eq!(layer("amqps://h", |_| {}), "ANONYMOUS");
    assert_eq!(
        layer("amqps://h", |options| options.tls.certificate = Some("x".into())),
        "EXTERNAL ANONYMOUS"
    );
    assert_eq!(
        layer("h", |options| options.sasl.mechanisms = Some("EXTERNAL, anonymous".to_owned())),
        "EXTERNAL ANONYMOUS"
    );
    let user = |options: &mut Options| {
        (options.sasl.user, options.sasl.password) = (Some("u".to_owned()), Some("p".to_owned()))
    };
    assert_eq!(layer("h", user), "PLAIN ANONYMOUS");
    assert_eq!(
        layer("h", |options| options.sasl.mechanisms = Some("PLAIN".to_owned())),
        "PLAIN needs a user name and a password"
    );
    assert!(
        layer("h", |options| options.sasl.mechanisms = Some("SCRAM-SHA-256".to_owned()))
            .starts_with("none of the SASL mechanisms")
    );
    let mut hidden = options(1);
    (hidden.sasl.password, hidden.tls.password) =
        (Some("secret".to_owned()), Some("secret".to_owned()));
    assert!(!format!("{hidden:?}").contains("secret"), "{hidden:?}");
}

#[test]
fn files_are_blamed_by_their_options() {
    let mut options = Options { url: Url::parse("amqps://h").unwrap(), ..options(1) };
    options.tls.trust = Some("/nowhere/ca.pem".into());
    let error = options.connector().err().unwrap().to_string();
    assert!(error.starts_with("--ssl-trustfile /nowhere/ca.pem: cannot be read"), "{error}");
}
