//! A connection with one pair of links: requests leave by one link, and responses arrive on the
//! other.

use std::collections::VecDeque;
use std::future::pending;
use std::io::IoSlice;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use skupper_proto::amqp::performative::{Attach, DeliveryState, Role};
use skupper_proto::amqp::terminus::{MessageTarget, Source, Target};
use skupper_proto::amqp::{Fields, Multiple};
use skupper_proto::engine::{
    self, AttachRequest, Closed, Ending, Event, LinkKey, OutgoingKey, SessionKey,
};
use skupper_proto::management::{MAX_RESPONSE, Problem};
use skupper_proto::time::Instant;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::{Instant as Deadline, sleep_until, timeout_at};

use super::error::{ClientError, Doing};
use super::options::Options;
use crate::clock::Clock;
use crate::socket::{DialOptions, Resolver, SocketUse, dial};
use crate::tls::{HandshakeError, Session, SessionError};

/// Bytes read from the socket at once.
const READ: usize = 64 * 1024;
/// Largest frame that the client accepts, in bytes.
const MAX_FRAME: u32 = 64 * 1024;
/// Frames that may arrive before the client opens its window again.
const WINDOW: u32 = 256;
/// Longest time for the close.
const FAREWELL: Duration = Duration::from_secs(1);
/// Longest time for a step, since timers do not reach to the end of time.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// A link, and whether the peer has attached it.
struct Link {
    key: LinkKey,
    /// Its name in errors.
    name: String,
    attached: bool,
}

/// An open connection.
pub(super) struct Connection {
    socket: TcpStream,
    session: Session,
    engine: engine::Connection,
    input: BytesMut,
    scratch: Vec<u8>,
    clock: Clock,
    /// The peer's URL, for errors.
    pub(super) url: String,
    container: String,
    limit: Duration,
    links_made: u64,
    amqp_session: Option<SessionKey>,
    sender: Option<Link>,
    receiver: Option<Link>,
    /// The address at which the receiver is reached.
    pub(super) reply_to: Option<String>,
    /// The message that is arriving.
    arriving: Vec<u8>,
    /// Messages that have arrived.
    pub(super) arrived: VecDeque<Vec<u8>>,
    /// The request that is under way, and its outcome.
    request: Option<OutgoingKey>,
    outcome: Option<DeliveryState>,
}

impl Connection {
    /// Connects, and opens an AMQP connection.
    ///
    /// # Errors
    /// The host cannot be reached, TLS or AMQP fails, or the time is over.
    pub(super) async fn open(options: &Options) -> Result<Self, ClientError> {
        let limit = options.timeout.min(LONGEST);
        let (connector, layer) = (options.connector()?, options.layer()?);
        let url = options.url.to_string();
        let clock = Clock::start();
        let deadline = Deadline::now() + limit;
        let timed_out =
            |_| ClientError::TimedOut { url: url.clone(), doing: Doing::Opening, limit };
        // The deadline around the dial is the one that counts.
        let spare = limit.saturating_add(FAREWELL);
        let how = DialOptions {
            lookup: spare,
            attempt: spare,
            total: spare,
            ..DialOptions::new(SocketUse::Amqp)
        };
        let resolver = Resolver::system();
        let dialing =
            timeout_at(deadline, dial(&resolver, &options.url.host, options.url.port, &how));
        let socket = dialing.await.map_err(timed_out)?;
        let socket = socket.map_err(|source| ClientError::Dial { url: url.clone(), source })?;
        let (socket, session) = match connector {
            None => (socket, Session::plain()),
            Some(connector) => {
                let handshake =
                    timeout_at(deadline, connector.connect(socket, &options.url.host, spare));
                let established = handshake.await.map_err(timed_out)?;
                established.map_err(|source| ClientError::Tls { url: url.clone(), source })?
            }
        };
        let container = format!("{}-{:016x}", options.name, fastrand::u64(..));
        let config = engine::Config {
            container_id: container.clone(),
            hostname: Some(options.url.host.clone()),
            max_frame_size: MAX_FRAME,
            // A router attaches links of its own to a container, on further sessions.
            channel_max: 15,
            // The deadline of each step detects a dead peer.
            idle_timeout: Duration::ZERO,
            handshake_timeout: Duration::ZERO,
            incoming_window: WINDOW,
            capabilities: Multiple::default(),
            properties: Fields::default(),
            layer,
        };
        let mut connection = Self {
            socket,
            session,
            engine: engine::Connection::new(config, Instant::ZERO),
            input: BytesMut::new(),
            scratch: vec![0; READ],
            clock,
            url,
            container,
            limit,
            links_made: 0,
            amqp_session: None,
            sender: None,
            receiver: None,
            reply_to: None,
            arriving: Vec::new(),
            arrived: VecDeque::new(),
            request: None,
            outcome: None,
        };
        connection.until(Doing::Opening, |connection| connection.engine.is_open()).await?;
        connection.amqp_session = connection.engine.begin();
        Ok(connection)
    }

    /// Attaches a pair of links, with the sender to `address`, in place of the former pair.
    pub(super) async fn attach(&mut self, address: &str) -> Result<(), ClientError> {
        for link in [self.sender.take(), self.receiver.take()].into_iter().flatten() {
            self.engine.detach(link.key, None);
        }
        (self.request, self.outcome, self.reply_to) = (None, None, None);
        self.arriving.clear();
        self.arrived.clear();
        let target =
            MessageTarget { address: Some(address.to_owned()), ..MessageTarget::default() };
        self.sender = Some(self.attach_link(
            format!("sender to {address}"),
            AttachRequest {
                role: Role::Sender,
                target: Some(Target::Message(target)),
                ..AttachRequest::default()
            },
        )?);
        let source = Source { dynamic: Some(true), ..Source::default() };
        let target = Some(Target::Message(MessageTarget::default()));
        let receiver = AttachRequest {
            role: Role::Receiver,
            source: Some(source),
            target,
            ..AttachRequest::default()
        };
        self.receiver = Some(self.attach_link("receiver of responses".to_owned(), receiver)?);
        let both = |connection: &Self| {
            let attached = |link: &Option<Link>| link.as_ref().is_some_and(|link| link.attached);
            attached(&connection.sender)
                && attached(&connection.receiver)
                && connection.reply_to.is_some()
        };
        self.until(Doing::Attaching(address.to_owned()), both).await
    }

    fn attach_link(&mut self, name: String, request: AttachRequest) -> Result<Link, ClientError> {
        self.links_made = self.links_made.wrapping_add(1);
        let request = AttachRequest {
            name: format!("{}.{}", self.container, self.links_made),
            snd_settle_mode: 2,
            ..request
        };
        let key = self.amqp_session.and_then(|session| self.engine.attach(session, request));
        let key = key.ok_or_else(|| {
            self.disconnected("the peer allows no session or no links".to_owned())
        })?;
        Ok(Link { key, name, attached: false })
    }

    /// Gives credit for one message.
    pub(super) fn expect_one(&mut self) {
        if let Some(receiver) = &self.receiver {
            self.engine.set_credit(receiver.key, 1, false);
        }
    }

    /// Sends a message, and waits for its outcome.
    ///
    /// # Errors
    /// The outcome is not `accepted`, the connection ends, or the time is over.
    pub(super) async fn send(
        &mut self,
        address: &str,
        message: Vec<u8>,
    ) -> Result<(), ClientError> {
        let doing = || Doing::Sending(address.to_owned());
        self.until(doing(), |connection| {
            connection.sender().is_some_and(|sender| connection.engine.credit(sender) > 0)
        })
        .await?;
        let delivery = self.sender().and_then(|sender| self.engine.deliver(sender, false));
        let Some(delivery) = delivery else {
            return Err(self.disconnected("the link takes no message".to_owned()));
        };
        (self.request, self.outcome) = (Some(delivery), None);
        let mut chunks = VecDeque::from([Bytes::from(message)]);
        while !chunks.is_empty() {
            if !self.engine.send_part(delivery, &mut chunks, true) {
                let open = |connection: &Self| {
                    connection.sender().is_some_and(|sender| connection.engine.window(sender) > 0)
                };
                self.until(doing(), open).await?;
            }
        }
        self.until(doing(), |connection| connection.outcome.is_some()).await?;
        self.request = None;
        match self.outcome.take() {
            Some(DeliveryState::Accepted) | None => Ok(()),
            Some(state) => Err(ClientError::NotAccepted { address: address.to_owned(), state }),
        }
    }

    /// Waits for a message.
    pub(super) async fn receive(&mut self) -> Result<Vec<u8>, ClientError> {
        self.until(Doing::Waiting, |connection| !connection.arrived.is_empty()).await?;
        Ok(self.arrived.pop_front().unwrap_or_default())
    }

    /// Closes the connection politely, within a second. Reports no error.
    pub(super) async fn close(mut self) {
        self.engine.close(None, self.clock.now());
        let deadline = Deadline::now() + FAREWELL.min(self.limit);
        while !self.engine.is_closed() && self.turn(deadline).await.is_ok_and(|in_time| in_time) {
            while self.engine.poll_event().is_some() {}
        }
        self.session.send_close_notify();
        let _ = self.session.flush(&self.socket);
    }

    fn sender(&self) -> Option<LinkKey> {
        self.sender.as_ref().map(|sender| sender.key)
    }

    fn disconnected(&self, why: String) -> ClientError {
        ClientError::Disconnected { url: self.url.clone(), why }
    }

    /// Drives the connection until `so` holds, within the time for a step.
    async fn until(&mut self, doing: Doing, so: impl Fn(&Self) -> bool) -> Result<(), ClientError> {
        let deadline = Deadline::now() + self.limit;
        loop {
            self.handle_events()?;
            if so(self) {
                return Ok(());
            }
            if !self.turn(deadline).await? {
                return Err(ClientError::TimedOut {
                    url: self.url.clone(),
                    doing,
                    limit: self.limit,
                });
            }
        }
    }

    /// Writes the waiting bytes, and waits for bytes or for a timer. Returns false once the
    /// deadline has passed.
    async fn turn(&mut self, deadline: Deadline) -> Result<bool, ClientError> {
        self.write().await?;
        let received = self.session.receive(&self.socket, &mut self.scratch, &mut self.input);
        let received = received.map_err(|error| self.broken(error))?;
        if received.octets > 0 {
            self.hear()?;
        }
        if received.end.is_some() && !self.engine.is_closed() {
            // The peer's last frames may hold its reason.
            self.handle_events()?;
            let hint = if self.engine.is_open() {
                ""
            } else {
                "; it may demand TLS (amqps://) or SASL, or speak no AMQP"
            };
            return Err(self.disconnected(format!(
                "connection aborted: the peer closed it without a word{hint}"
            )));
        }
        if !received.blocked {
            return Ok(Deadline::now() < deadline);
        }
        let interest = if self.session.wants_write() {
            Interest::READABLE | Interest::WRITABLE
        } else {
            Interest::READABLE
        };
        let timer = self.engine.poll_timeout().map(|at| self.clock.at(at));
        let beat = async {
            match timer {
                Some(at) => sleep_until(at).await,
                None => pending().await,
            }
        };
        tokio::select! {
            ready = self.socket.ready(interest) => {
                ready.map_err(|error| self.broken(error.into()))?;
            }
            () = beat => {
                let now = self.clock.now();
                self.engine.handle_timeout(now);
            }
            () = sleep_until(deadline) => return Ok(false),
        }
        Ok(true)
    }

    /// Hands the bytes that were read to the engine, and handles its events.
    fn hear(&mut self) -> Result<(), ClientError> {
        let now = self.clock.now();
        while self.engine.handle_input(&mut self.input, now) {
            self.handle_events()?;
        }
        Ok(())
    }

    async fn write(&mut self) -> Result<(), ClientError> {
        let flushed = if self.engine.output().is_empty() || self.session.wants_write() {
            self.session.flush(&self.socket).map_err(SessionError::from)
        } else {
            let slices: Vec<IoSlice<'_>> = self.engine.output().slices().collect();
            let sent = self.session.send(&self.socket, &slices);
            drop(slices);
            self.engine.output().clear();
            let now = self.clock.now();
            self.engine.sent(now);
            sent
        };
        match flushed {
            Ok(_) => Ok(()),
            Err(error) => {
                // The peer may have sent its reason before it closed.
                let _ = timeout_at(Deadline::now() + FAREWELL, self.socket.readable()).await;
                match self.session.receive(&self.socket, &mut self.scratch, &mut self.input) {
                    Err(SessionError::Alert(alert)) => Err(self.broken(SessionError::Alert(alert))),
                    Ok(received) if received.octets > 0 => {
                        self.hear()?;
                        self.handle_events()?;
                        Err(self.broken(error))
                    }
                    _ => Err(self.broken(error)),
                }
            }
        }
    }

    fn broken(&self, error: SessionError) -> ClientError {
        match error {
            SessionError::Alert(source) => ClientError::Tls { url: self.url.clone(), source },
            SessionError::Protocol(text) => {
                ClientError::Tls { url: self.url.clone(), source: HandshakeError::Protocol(text) }
            }
            other => self.disconnected(other.to_string()),
        }
    }

    fn handle_events(&mut self) -> Result<(), ClientError> {
        while let Some(event) = self.engine.poll_event() {
            match event {
                Event::Attached { link, ours: true, attach } => self.attached(link, *attach),
                Event::Attached { link, .. } => self.engine.detach(link, None),
                Event::Detached { link, error } => {
                    let ours = [self.sender.as_ref(), self.receiver.as_ref()].into_iter().flatten();
                    if let Some(link) = ours.into_iter().find(|ours| ours.key == link) {
                        return Err(ClientError::Detached { link: link.name.clone(), error });
                    }
                }
                Event::Transfer { delivery, link, payload, ending, .. } => {
                    if self.receiver.as_ref().is_some_and(|receiver| receiver.key == link) {
                        self.arrives(&payload, ending)?;
                    }
                    if ending != Ending::More {
                        self.engine.disposition(delivery, Some(DeliveryState::Accepted), true);
                    }
                }
                Event::ReceiverState { delivery, state, settled } => {
                    if self.request == Some(delivery) {
                        match state.filter(DeliveryState::is_outcome) {
                            Some(state) => self.outcome = Some(state),
                            // A settlement without a state counts as accepted.
                            None if settled => {
                                self.outcome = self.outcome.take().or(Some(DeliveryState::Accepted))
                            }
                            None => {}
                        }
                    }
                    if !settled && self.outcome.is_some() {
                        self.engine.settle(delivery);
                    }
                }
                Event::OutgoingLost { delivery, .. } if self.request == Some(delivery) => {
                    self.outcome = Some(DeliveryState::failed());
                }
                Event::Ended { error, .. } => {
                    let why = error.map_or_else(
                        || "the peer ended the session".to_owned(),
                        |error| error.to_string(),
                    );
                    return Err(self.disconnected(why));
                }
                Event::Closed(Closed { error, .. }) => {
                    let why = error
                        .map_or_else(|| "the peer closed it".to_owned(), |error| error.to_string());
                    return Err(self.disconnected(why));
                }
                Event::Credentials(_)
                | Event::Authenticated { .. }
                | Event::Opened
                | Event::SessionRefused
                | Event::Begun { .. }
                | Event::Credit { .. }
                | Event::Window { .. }
                | Event::Held { .. }
                | Event::SenderSettled { .. }
                | Event::SenderState { .. }
                | Event::IncomingLost { .. }
                | Event::LinkLost { .. }
                | Event::OutgoingLost { .. } => {}
            }
        }
        Ok(())
    }

    /// Records an attached link. If the far terminus is missing, the peer is about to detach the
    /// link and give its reason.
    fn attached(&mut self, link: LinkKey, attach: Attach) {
        if let Some(sender) = self.sender.as_mut().filter(|sender| sender.key == link) {
            sender.attached = attach.target.is_some();
        } else if let Some(receiver) =
            self.receiver.as_mut().filter(|receiver| receiver.key == link)
        {
            receiver.attached = attach.source.is_some();
            self.reply_to = attach.source.and_then(|source| source.address);
        }
    }

    fn arrives(&mut self, payload: &[u8], ending: Ending) -> Result<(), ClientError> {
        let size = self.arriving.len().saturating_add(payload.len());
        if size > MAX_RESPONSE {
            return Err(Problem::Size { size, most: MAX_RESPONSE }.into());
        }
        self.arriving.extend_from_slice(payload);
        match ending {
            Ending::More => {}
            Ending::Complete => self.arrived.push_back(std::mem::take(&mut self.arriving)),
            Ending::Aborted => self.arriving.clear(),
        }
        Ok(())
    }
}
