//! AMQP 1.0 and the protocol between Skupper routers, without sockets, clocks or threads.
//!
//! This crate holds everything that a router can decide without the outside world. Each part takes
//! bytes, events and the time as arguments, and returns bytes, events and deadlines. So every
//! scenario, however slow or rare in the world, is a test that runs in virtual time.
//!
//! # Map
//!
//! | module | subject | follows |
//! | --- | --- | --- |
//! | [`amqp`] | the wire: types, codec, frames, SASL, messages | AMQP 1.0, parts 1 to 3 and 5 |
//! | [`engine`] | one connection: sessions, links, deliveries, credit | AMQP 1.0, parts 2 and 5 |
//! | [`address`] | addresses, their classes, prefixes and patterns | C router |
//! | [`annotations`] | what routers write in front of a message | C router |
//! | [`topology`] | neighbors, link states, paths: HELLO, RA, LSU, LSR | C router |
//! | [`mobile`] | which router serves which address: MAU, MAR | C router |
//! | [`routing`] | topology and addresses as one machine | C router |
//! | [`edge`] | what an edge router and its interior router exchange | C router |
//! | [`stream`] | a TCP connection as two streaming messages | C router |
//! | [`unread`] | how much a C router holds unread of the streams that it gets | C router |
//! | [`management`] | requests to a management node, and its responses | AMQP management, draft |
//! | [`vanflow`] | flow records | C router |
//! | [`keys`], [`time`] | maps by small keys, monotonic time | |
//!
//! # The drive contract
//!
//! A machine of this crate never acts by itself. Its owner does four things, in this order:
//!
//! 1. It gives an *input*: bytes that arrived (`handle_input`), a deadline that has come
//!    (`handle_timeout`), or a call of the application.
//! 2. It takes *events* until there are none (`poll_event`, or `poll_action` in the routing
//!    protocol).
//! 3. It writes the *output* to the transport, in order (`output`).
//! 4. It asks for the next *deadline* (`poll_timeout`) and sleeps until then or until an input.
//!
//! Each call takes `now`, an [`Instant`](time::Instant) that the owner measures. It never goes
//! back. A deadline that is past is harmless: the machine acts on what is due.
//!
//! # Two engines that exchange a message
//!
//! The transport between these two connections is a buffer. A router does the same with a socket.
//!
//! ```
//! use std::collections::VecDeque;
//! use std::time::Duration;
//!
//! use bytes::{Bytes, BytesMut};
//! use skupper_proto::amqp::performative::{DeliveryState, Role};
//! use skupper_proto::amqp::terminus::{MessageTarget, Target};
//! use skupper_proto::amqp::{Fields, Multiple};
//! use skupper_proto::engine::{AttachRequest, Config, Connection, Ending, Event, Layer};
//! use skupper_proto::time::Instant;
//!
//! fn config(container_id: &str, layer: Layer) -> Config {
//!     Config {
//!         container_id: container_id.to_owned(),
//!         hostname: None,
//!         max_frame_size: 16 * 1024,
//!         channel_max: 10,
//!         idle_timeout: Duration::from_secs(16),
//!         handshake_timeout: Duration::from_secs(10),
//!         incoming_window: 1000,
//!         capabilities: Multiple::default(),
//!         properties: Fields::default(),
//!         layer,
//!     }
//! }
//!
//! /// Carries the output of one engine to the other, as a transport would.
//! fn carry(from: &mut Connection, to: &mut Connection, now: Instant) {
//!     let mut bytes = BytesMut::from(&from.output().to_vec()[..]);
//!     from.output().clear();
//!     from.sent(now);
//!     // The engine takes a bounded number of frames a call. Events could be polled in between.
//!     while to.handle_input(&mut bytes, now) {}
//! }
//!
//! /// Carries both outputs until neither engine has anything to say, and returns their events.
//! fn run(
//!     client: &mut Connection,
//!     server: &mut Connection,
//!     now: Instant,
//! ) -> (Vec<Event>, Vec<Event>) {
//!     let (mut at_client, mut at_server) = (Vec::new(), Vec::new());
//!     while !client.output().is_empty() || !server.output().is_empty() {
//!         carry(client, server, now);
//!         at_server.extend(std::iter::from_fn(|| server.poll_event()));
//!         carry(server, client, now);
//!         at_client.extend(std::iter::from_fn(|| client.poll_event()));
//!     }
//!     (at_client, at_server)
//! }
//!
//! // Open. A client has its first bytes ready at once.
//! let now = Instant::ZERO;
//! let layer = Layer::Client {
//!     mechanisms: vec!["ANONYMOUS"],
//!     identity: "example".to_owned(),
//!     credentials: None,
//! };
//! let mut client = Connection::new(config("client", layer), now);
//! let layer = Layer::Server { mechanisms: vec!["ANONYMOUS"], allow_bare: false };
//! let mut server = Connection::new(config("server", layer), now);
//! let (events, _) = run(&mut client, &mut server, now);
//! assert_eq!(events, [Event::Authenticated { mechanism: "ANONYMOUS" }, Event::Opened]);
//!
//! // Begin a session and attach a link, without waiting for an answer to the begin.
//! let session = client.begin().expect("the connection is open");
//! let target = MessageTarget { address: Some("queue".to_owned()), ..MessageTarget::default() };
//! let request = AttachRequest {
//!     name: "example".to_owned(),
//!     role: Role::Sender,
//!     target: Some(Target::Message(target)),
//!     ..AttachRequest::default()
//! };
//! let sender = client.attach(session, request.clone()).expect("a session with a free handle");
//! let (_, events) = run(&mut client, &mut server, now);
//! let [Event::Begun { .. }, Event::Attached { link: receiver, ours: false, .. }] = events[..]
//! else {
//!     panic!("a session and a link")
//! };
//!
//! // The server accepts the link and gives credit.
//! server.accept(receiver, request);
//! server.keep_credit(receiver, 10);
//! run(&mut client, &mut server, now);
//! assert_eq!(client.credit(sender), 10);
//!
//! // Transfer. A message may go in many parts; this one goes in one.
//! let delivery = client.deliver(sender, false).expect("credit");
//! let mut chunks = VecDeque::from([Bytes::from_static(b"an encoded message")]);
//! assert!(client.send_part(delivery, &mut chunks, true), "the session's window is open");
//! let (_, events) = run(&mut client, &mut server, now);
//! let [Event::Transfer { delivery: arrived, ref payload, ending: Ending::Complete, .. }] =
//!     events[..]
//! else {
//!     panic!("one transfer")
//! };
//! assert_eq!(payload, "an encoded message");
//!
//! // Disposition. The server accepts and settles, and the client hears of it.
//! server.disposition(arrived, Some(DeliveryState::Accepted), true);
//! let (events, _) = run(&mut client, &mut server, now);
//! let state = Some(DeliveryState::Accepted);
//! assert_eq!(events, [Event::ReceiverState { delivery, state, settled: true }]);
//! assert_eq!((client.usage().outgoing, server.usage().incoming), (0, 0));
//!
//! // Deadlines. Each end speaks within half of the other's idle timeout, here 8 s.
//! let deadline = client.poll_timeout().expect("an idle timeout runs");
//! assert_eq!(deadline, now + Duration::from_secs(4));
//! client.handle_timeout(deadline);
//! assert!(!client.output().is_empty(), "an empty frame");
//!
//! // Close.
//! client.close(None, deadline);
//! let (events, _) = run(&mut client, &mut server, deadline);
//! assert!(matches!(events[..], [Event::Closed(_)]));
//! ```
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![warn(clippy::expect_used, clippy::indexing_slicing, clippy::unwrap_used)]

pub mod address;
pub mod amqp;
pub mod annotations;
pub mod edge;
pub mod engine;
pub mod keys;
pub mod management;
pub mod mobile;
pub mod routing;
mod silence;
pub mod stream;
pub mod time;
pub mod topology;
pub mod unread;
pub mod vanflow;
