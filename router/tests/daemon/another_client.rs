//! Messages of fe2o3-amqp clients. fe2o3-amqp shares no line with qpid-proton, the base of the C
//! router.

use std::time::Duration;

use fe2o3_amqp::connection::ConnectionHandle;
use fe2o3_amqp::link::delivery::DeliveryInfo;
use fe2o3_amqp::session::SessionHandle;
use fe2o3_amqp::types::definitions::{self, AmqpError, SenderSettleMode};
use fe2o3_amqp::types::messaging::{
    AmqpValue, Body, Data, Message, Modified, Outcome, Properties, Source, Target,
};
use fe2o3_amqp::types::primitives::{Binary, Value};
use fe2o3_amqp::{Connection, Receiver, Sendable, Sender, Session};

use crate::support::{Kind, Lab, Router, Spec, ports, wait};

/// A client's connection with one session.
struct Client {
    connection: ConnectionHandle<()>,
    session: SessionHandle<()>,
}

impl Client {
    async fn connect(name: &str, port: u16) -> Self {
        let mut connection = Connection::open(name, format!("amqp://127.0.0.1:{port}").as_str())
            .await
            .expect("a connection");
        let session = Session::begin(&mut connection).await.expect("a session");
        Self { connection, session }
    }

    async fn close(mut self) {
        self.session.end().await.expect("the session ends without an error");
        self.connection.close().await.expect("the connection closes without an error");
    }
}

/// Plays a scenario between two interior routers, with senders at the first and receivers at the
/// second.
fn play(test: &str, scenario: impl AsyncFnOnce(&mut Client, &mut Client)) {
    let lab = Lab::new(test);
    let (link, north, south) = (ports::free(), ports::free(), ports::free());
    let routers: [Router; 2] = [
        Spec::new("north", Kind::Ours).links_plain(link).clients(north).start(&lab),
        Spec::new("south", Kind::Ours).link_plain("link", link, 1).clients(south).start(&lab),
    ];
    routers[0].await_port(north);
    routers[1].await_port(south);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let played = async {
            let (mut sender, mut receiver) =
                (Client::connect("sender", north).await, Client::connect("receiver", south).await);
            scenario(&mut sender, &mut receiver).await;
            sender.close().await;
            receiver.close().await;
        };
        tokio::time::timeout(wait::patience(), played).await.expect("the scenario ends in time");
    });
    assert!(routers.iter().all(Router::is_running));
}

/// Returns a sender and a receiver for an address.
async fn links(north: &mut Client, south: &mut Client, address: &str) -> (Sender, Receiver) {
    let receiver =
        Receiver::attach(&mut south.session, "receiver", address).await.expect("a receiver");
    let sender = Sender::attach(&mut north.session, "sender", address).await.expect("a sender");
    (sender, receiver)
}

fn text(message: &str) -> Message<AmqpValue<Value>> {
    Message::builder().value(Value::from(message.to_owned())).build()
}

/// Sends until a receiver takes the message, for the routers may not know each other yet.
async fn send(sender: &mut Sender, message: &Message<AmqpValue<Value>>) -> Outcome {
    loop {
        match sender.send_ref(&Sendable::from(message.clone())).await.expect("an outcome") {
            Outcome::Released(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            outcome => return outcome,
        }
    }
}

/// Returns a message's text, and the delivery for its outcome.
async fn take(receiver: &mut Receiver) -> (String, DeliveryInfo, Message<Body<Value>>) {
    let delivery = receiver.recv::<Body<Value>>().await.expect("a message");
    let (info, message) = delivery.into_parts();
    let Body::Value(value) = &message.body else { panic!("{:?}", message.body) };
    let Value::String(text) = &value.0 else { panic!("{value:?}") };
    (text.clone(), info, message)
}

#[test]
fn every_outcome_reaches_the_sender() {
    play("another_client::every_outcome_reaches_the_sender", async |north, south| {
        let (mut sender, mut receiver) = links(north, south, "outcomes").await;
        let mut sent = Vec::new();
        for name in ["accepted", "rejected", "modified", "released"] {
            sent.push(sender.send_batchable(text(name)).await.expect("it is sent"));
        }
        for _ in 0..4 {
            let (name, info, _) = take(&mut receiver).await;
            let told = match name.as_str() {
                "accepted" => receiver.accept(info).await,
                "rejected" => {
                    let reason = definitions::Error::new(
                        AmqpError::NotAllowed,
                        "not this one".to_owned(),
                        None,
                    );
                    receiver.reject(info, reason).await
                }
                "modified" => {
                    let modified = Modified {
                        delivery_failed: Some(true),
                        undeliverable_here: Some(true),
                        message_annotations: None,
                    };
                    receiver.modify(info, modified).await
                }
                _ => receiver.release(info).await,
            };
            told.expect("an outcome");
        }
        let mut outcomes = Vec::new();
        for delivery in sent {
            outcomes.push(delivery.await.expect("an outcome"));
        }
        assert!(matches!(outcomes[0], Outcome::Accepted(_)), "{outcomes:?}");
        let Outcome::Rejected(rejected) = &outcomes[1] else { panic!("{outcomes:?}") };
        let reason = rejected.error.as_ref().expect("a reason");
        assert_eq!(reason.condition, AmqpError::NotAllowed.into());
        assert_eq!(reason.description.as_deref(), Some("not this one"));
        let Outcome::Modified(modified) = &outcomes[2] else { panic!("{outcomes:?}") };
        assert_eq!(modified.undeliverable_here, Some(true));
        assert!(matches!(outcomes[3], Outcome::Released(_)), "{outcomes:?}");
        sender.close().await.expect("the sender closes");
        receiver.close().await.expect("the receiver closes");
    });
}

#[test]
fn a_request_is_answered_at_a_dynamic_address() {
    play("another_client::a_request_is_answered_at_a_dynamic_address", async |north, south| {
        let mut server =
            Receiver::attach(&mut south.session, "requests", "server").await.expect("a receiver");
        let anonymous =
            |name: &str| Sender::builder().name(name.to_owned()).target(Target::builder().build());
        let mut answers =
            anonymous("answers").attach(&mut south.session).await.expect("an anonymous sender");
        let source = Source::builder().dynamic(true).build();
        let dynamic = Receiver::builder().name("replies").source(source).attach(&mut north.session);
        let mut replies = dynamic.await.expect("a dynamic receiver");
        let address = replies
            .source()
            .as_ref()
            .and_then(|source| source.address.clone())
            .expect("an address for answers");
        let mut requests =
            anonymous("requests").attach(&mut north.session).await.expect("an anonymous sender");

        let properties =
            Properties::builder().to("server").reply_to(address).correlation_id(7_u64).build();
        let request = Message::builder()
            .properties(properties)
            .value(Value::from("question".to_owned()))
            .build();
        let answer = async {
            let (question, info, message) = take(&mut server).await;
            server.accept(info).await.expect("the request is accepted");
            let asked = message.properties.expect("properties");
            let properties = Properties::builder().to(asked.reply_to.expect("a reply address"));
            let properties =
                properties.correlation_id(asked.correlation_id.expect("a correlation id")).build();
            let answer = Message::builder()
                .properties(properties)
                .value(Value::from(format!("{question}?")))
                .build();
            assert!(matches!(send(&mut answers, &answer).await, Outcome::Accepted(_)));
        };
        let ask = async {
            assert!(matches!(send(&mut requests, &request).await, Outcome::Accepted(_)));
            let (answer, info, message) = take(&mut replies).await;
            replies.accept(info).await.expect("the answer is accepted");
            assert_eq!(answer, "question?");
            assert_eq!(message.properties.and_then(|it| it.correlation_id), Some(7_u64.into()));
        };
        tokio::join!(answer, ask);
    });
}

#[test]
fn a_large_message_arrives_whole() {
    play("another_client::a_large_message_arrives_whole", async |north, south| {
        let (mut sender, mut receiver) = links(north, south, "large").await;
        let octets: Vec<u8> =
            (0..5_000_000_u32).map(|index| u8::try_from(index % 251).expect("below 251")).collect();
        let message = Message::builder().data(Binary::from(octets.clone())).build();
        let receive = async {
            let delivery = receiver.recv::<Body<Value>>().await.expect("a message");
            receiver.accept(&delivery).await.expect("it is accepted");
            let Body::Data(batch) = delivery.into_body() else { panic!("another body") };
            batch.into_iter().flat_map(|Data(octets)| octets.into_vec()).collect::<Vec<u8>>()
        };
        let (outcome, received) = tokio::join!(sender.send(message), receive);
        assert!(matches!(outcome, Ok(Outcome::Accepted(_))), "{outcome:?}");
        assert!(received == octets, "{} bytes, or other bytes than were sent", received.len());
    });
}

#[test]
fn settled_messages_arrive_in_order() {
    play("another_client::settled_messages_arrive_in_order", async |north, south| {
        let mut receiver =
            Receiver::attach(&mut south.session, "receiver", "settled").await.expect("a receiver");
        let settled = Sender::builder()
            .name("sender")
            .target("settled")
            .sender_settle_mode(SenderSettleMode::Settled);
        let mut sender = settled.attach(&mut north.session).await.expect("a sender");
        let send = async {
            for number in 0..200 {
                sender.send(text(&number.to_string())).await.expect("it is sent");
            }
        };
        let receive = async {
            for number in 0..200 {
                assert_eq!(take(&mut receiver).await.0, number.to_string());
            }
        };
        tokio::join!(send, receive);
    });
}
