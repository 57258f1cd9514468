//! One service connection: a socket, the stream it feeds, and the stream it drains.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use bytes::{Buf, Bytes};
use skupper_proto::amqp::condition;
use skupper_proto::amqp::performative::{DeliveryState, Error, Rejected};
use skupper_proto::stream::{self, Receipt, SendWindow};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::reader::Reader;
use super::reply::Reply;
use super::stats::{Open, Stats};
use crate::core::{
    AHEAD, Charge, Chunks, Delivery, Ended, Message, Notify, ReplyHandle, ServiceAccount,
};
use crate::log;
use crate::node::{
    Closer, ConnectionRecord, Dismissal, Host, Node, OUT_OF_MEMORY, Octets, PeerInfo, Registered,
    SHUTTING_DOWN, Stage, stands_back,
};
use crate::schema::ManagementAccess;
use crate::socket::{self, Descriptor};
use crate::tls::{Flushed, Session, SessionError};

/// Octets taken for one write to the socket.
const WRITE: usize = 256 * 1024;

/// The same of a TLS session while memory is short: one record.
const SEALED: usize = 16 * 1024;

/// Slices of one write.
const SLICES: usize = 64;

/// Turns of the loop after which the shard's other tasks have theirs.
const TURNS: usize = 4;

/// How long a client waits for the server stream: more than a far router takes for the server's
/// name, its addresses and its TLS.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long what a peer said before it went away may take to arrive. A router ends both streams at
/// the same time.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Octets of memory that a service connection takes at rest, beside the deliveries of its two
/// streams: its task, its record, its socket's registration. (`skbench idle` tells 5 KiB a
/// connection in each router, the deliveries included.)
const TAKES: usize = 2560;

/// How soon a service that found its share of the router's memory used up looks again.
const BREATH: Duration = Duration::from_millis(20);

/// Where the stream comes from that the socket is fed with.
pub(super) enum Source {
    /// It is to come: the listener's side.
    Awaited(Arc<Reply>, #[allow(dead_code)] ReplyHandle),
    /// It is here.
    Here(Arc<Delivery>),
    /// It has ended and everything is written.
    Done,
}

/// One service connection.
pub(super) struct Service {
    node: Arc<Node>,
    id: u64,
    socket: TcpStream,
    _descriptor: Descriptor,
    session: Session,
    stats: Arc<Stats>,
    octets: Arc<Octets>,
    _open: Open,
    _registered: Registered,
    reader: Reader,
    /// What is held in memory for the service; of that, what this connection has taken and not
    /// written, and what it takes by itself.
    memory: Arc<ServiceAccount>,
    unwritten: Charge,
    _takes: Charge,
    /// What is read from the socket.
    upload: Arc<Delivery>,
    window: SendWindow,
    upload_done: bool,
    /// What is written to the socket.
    source: Source,
    /// Octets that may still be read before the other stream is there.
    early: usize,
    attached: bool,
    writing: Chunks,
    ended: Option<Ended>,
    /// The TLS session has been told that nothing follows.
    notified: bool,
    /// The peer has reset the socket: the end that is read from it then means nothing.
    reset: bool,
    receipt: Receipt,
    /// Says when the service must end, and why.
    dismissal: Arc<Dismissal>,
    breath: Option<Pin<Box<Sleep>>>,
    /// Why one stream cannot go on, while what was said before in the other still goes its way.
    failure: Option<End>,
    /// Until the server stream must have come; or, after a failure, the last of the other stream.
    patience: Option<Pin<Box<Sleep>>>,
    /// Both ends have been told how it ended.
    closed: bool,
}

/// What a service connection begins with, whichever end of the network it is at.
pub(super) struct Beginning<'entity> {
    pub(super) socket: TcpStream,
    /// Counts the socket.
    pub(super) descriptor: Descriptor,
    pub(super) session: Session,
    /// The tcpListener or tcpConnector: its name, its address, its counts.
    pub(super) entity: &'entity Arc<str>,
    pub(super) service: &'entity Arc<str>,
    pub(super) stats: &'entity Arc<Stats>,
    /// What is held in memory for the service.
    pub(super) memory: &'entity Arc<ServiceAccount>,
    /// This end dialed.
    pub(super) outgoing: bool,
    /// The other end of the socket, and this one where it says something.
    pub(super) host: Host,
    pub(super) local: Option<SocketAddr>,
    /// What names the connection in flow records.
    pub(super) flow: Option<Arc<str>>,
    /// The head of the stream that it feeds.
    pub(super) head: Vec<u8>,
    pub(super) source: Source,
    /// Octets that may be read before the other stream is there.
    pub(super) early: usize,
}

/// How a service connection ended.
enum End {
    /// Both streams came to their ends.
    Complete,
    /// It failed here.
    Socket(SessionError),
    /// The socket ended without the close_notify of its TLS session.
    Cut,
    /// The other side failed or refused: its outcome.
    Far(String),
    /// It is ended from here: why.
    Stopped(&'static str),
}

/// Carries octets until both streams have ended or one cannot go on. The task's end closes the
/// socket.
///
/// No `async fn`: one keeps what it was called with twice.
impl Future for Service {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if stands_back(cx) {
            return Poll::Pending;
        }
        let end = ready!(self.turn(cx));
        self.close(end);
        Poll::Ready(())
    }
}

/// A task that is dropped on its way, by a panic or with its runtime, must not look like a clean
/// end.
impl Drop for Service {
    fn drop(&mut self) {
        if !self.closed {
            self.close(End::Stopped("its task has ended before it"));
        }
    }
}

impl Service {
    /// Enters it into the record of connections; returns it with the stream that it feeds, which is
    /// to be delivered.
    pub(super) fn begin(
        node: &Arc<Node>,
        id: u64,
        beginning: Beginning<'_>,
    ) -> (Self, Arc<Delivery>) {
        let Beginning {
            socket,
            descriptor,
            session,
            entity,
            service,
            stats,
            memory,
            outgoing,
            host,
            local,
            flow,
            head,
            source,
            early,
        } = beginning;
        let message = Message {
            sections: Bytes::from(head.into_boxed_slice()),
            streaming: true,
            priority: 4,
            internal: true,
            windowed: true,
            ..Message::default()
        };
        let upload = Delivery::new(message, &memory.read);
        node.core.counters().began();
        let octets = Arc::new(Octets::default());
        let dismissal = Arc::<Dismissal>::default();
        let registered = node.registry.enter(ConnectionRecord {
            id,
            protocol: "tcp",
            role: "service",
            outgoing,
            host,
            entity: Arc::clone(entity),
            container: None,
            address: Some(Arc::clone(service)),
            tls: session.info().map(Arc::clone),
            peer: PeerInfo::default(),
            closer: Closer::Service(Arc::clone(&dismissal)),
            edge: None,
            may_close_others: false,
            management: ManagementAccess::None,
            trace: None,
            opened: (SystemTime::now(), node.clock.now()),
            octets: Arc::clone(&octets),
            flow,
            local,
        });
        let awaited = matches!(source, Source::Awaited(..));
        if let Source::Here(download) = &source {
            feed(&octets, memory, download);
        }
        let begun = Self {
            node: Arc::clone(node),
            id,
            socket,
            _descriptor: descriptor,
            session,
            stats: Arc::clone(stats),
            octets,
            _open: stats.open(),
            _registered: registered,
            reader: Reader::default(),
            memory: Arc::clone(memory),
            unwritten: memory.unwritten.charge(0),
            // It counts for all, and does not keep the service from reading.
            _takes: node.core.own().charge(TAKES),
            upload: Arc::clone(&upload),
            window: SendWindow::default(),
            upload_done: false,
            source,
            early,
            attached: false,
            writing: Chunks::default(),
            ended: None,
            notified: false,
            reset: false,
            receipt: Receipt::default(),
            dismissal,
            breath: None,
            failure: None,
            patience: awaited.then(|| Box::pin(tokio::time::sleep(PATIENCE))),
            closed: false,
        };
        (begun, upload)
    }

    fn close(&mut self, end: End) {
        self.closed = true;
        let why = match end {
            End::Complete => return socket::end_cleanly(&self.socket),
            End::Socket(error) => error.to_string(),
            End::Cut => "the TLS session was cut: no close_notify before the end".to_owned(),
            End::Far(why) => why,
            End::Stopped(why) => {
                if why == OUT_OF_MEMORY {
                    self.stats.reset_for_memory();
                }
                why.to_owned()
            }
        };
        log!(TcpAdaptor, Debug, "[C{}] service connection ended: {why}", self.id);
        // The outcome first: a C router closes its socket at that, while an abort looks to it like
        // an end.
        match &self.source {
            Source::Here(delivery) => delivery.outcome(Some(DeliveryState::failed()), true),
            Source::Awaited(reply, _) => reply.close(),
            Source::Done => {}
        }
        if !self.upload_done {
            self.upload.end(Ended::Aborted);
        }
        // The close that follows resets the socket, so that nobody takes what came for all there
        // is.
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if !self.attached {
            self.attached = true;
            self.dismissal.watch(cx.waker());
            if *self.node.stage.borrow() >= Stage::Ending {
                self.dismissal.say(SHUTTING_DOWN);
            }
            self.upload.set_producer(Notify::Task(cx.waker().clone()));
            if let Source::Here(delivery) = &self.source {
                delivery.set_consumer(Notify::Task(cx.waker().clone()));
            }
        }
        for _ in 0..TURNS {
            let mut progress = false;
            match self.write(cx) {
                Ok(moved) => progress |= moved,
                Err(End::Socket(error)) => progress |= self.write_failed(error),
                Err(end) => return self.end(end),
            }
            match self.read() {
                Ok(moved) => progress |= moved,
                Err(end) => return self.end(end),
            }
            if self.upload_done
                && matches!(self.source, Source::Done)
                && !(self.session.wants_write() && self.writes())
            {
                return self.end(End::Complete);
            }
            if !progress {
                return self.park(cx);
            }
        }
        // A service that never rests must hear of the end too.
        if let Some(why) = self.dismissal.heard() {
            return Poll::Ready(End::Stopped(why));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn park(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let sealed = if self.session.is_tls() { self.session.unflushed() } else { 0 };
        let unwritten = self.writing.octets() + sealed;
        if unwritten != self.unwritten.octets() {
            self.unwritten.set(unwritten);
            self.octets.set_unwritten(unwritten);
        }
        if let Some(why) = self.dismissal.heard() {
            return Poll::Ready(End::Stopped(why));
        }
        if self.patience.as_mut().is_some_and(|patience| patience.as_mut().poll(cx).is_ready()) {
            return self.end(End::Far(format!(
                "no answer from the service within {} s",
                PATIENCE.as_secs()
            )));
        }
        let readable = self.may_read() && self.socket.poll_read_ready(cx).is_ready();
        let writable = self.writes()
            && (!self.writing.is_empty() || self.session.wants_write())
            && self.socket.poll_write_ready(cx).is_ready();
        let breathed =
            self.breath.as_mut().is_some_and(|breath| breath.as_mut().poll(cx).is_ready());
        if breathed {
            self.breath = None;
        }
        if readable || writable || breathed {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// What failed first is why it ended.
    fn end(&mut self, end: End) -> Poll<End> {
        Poll::Ready(self.failure.take().unwrap_or(end))
    }

    fn writes(&self) -> bool {
        !matches!(self.failure, Some(End::Socket(_)))
    }

    /// The socket takes no more, but what its peer said before it went away may still stand in it.
    /// Returns whether that was news.
    fn write_failed(&mut self, error: SessionError) -> bool {
        // A peer that had ended its half before the reset did end it: then the kernel says EPIPE.
        self.reset =
            !matches!(&error, SessionError::Io(error) if error.kind() == io::ErrorKind::BrokenPipe);
        if let Source::Here(delivery) = std::mem::replace(&mut self.source, Source::Done) {
            delivery.outcome(Some(DeliveryState::failed()), true);
        }
        self.writing.clear();
        self.fail(End::Socket(error))
    }

    fn fail(&mut self, end: End) -> bool {
        if self.failure.is_some() {
            return false;
        }
        self.failure = Some(end);
        self.patience = Some(Box::pin(tokio::time::sleep(LAST_WORDS)));
        true
    }

    /// How much may be read, as far as the streams are concerned.
    fn room(&self) -> usize {
        if matches!(self.source, Source::Awaited(..)) {
            return self.early;
        }
        usize::try_from(self.window.room()).unwrap_or(usize::MAX)
    }

    fn may_read(&self) -> bool {
        !self.upload_done
            && self.room() > 0
            && self.breath.is_none()
            && self.upload.window().0 < AHEAD
    }

    /// From the socket into the stream. Returns whether anything moved.
    fn read(&mut self) -> Result<bool, End> {
        let progress = self.upload.progress();
        match progress.outcome {
            None => self.window.acknowledge(progress.received, progress.allowance),
            Some(DeliveryState::Accepted) => self.window.lift(),
            Some(outcome) => {
                let end = End::Far(outcome_text(&outcome));
                // What is released has reached nobody: there is no far side that could have said
                // anything.
                if matches!(self.source, Source::Awaited(..)) || outcome == DeliveryState::Released
                {
                    return Err(end);
                }
                // Whatever the socket still has to say, nobody hears it; but the far side may have
                // spoken before it went away.
                if !std::mem::replace(&mut self.upload_done, true) {
                    self.upload.end(Ended::Aborted);
                }
                return Ok(self.fail(end));
            }
        }
        let room = self.room();
        if self.upload_done || room == 0 || progress.queued >= AHEAD {
            return Ok(false);
        }
        if !self.memory.read.has_room() {
            if self.breath.is_none() {
                self.breath = Some(Box::pin(tokio::time::sleep(BREATH)));
            }
            return Ok(false);
        }
        let (octets, received) =
            self.reader.read(&self.socket, &mut self.session, room).map_err(End::Socket)?;
        let moved = !octets.is_empty();
        if moved {
            self.early = self.early.saturating_sub(octets.len());
            self.window.sent(octets.len() as u64);
            self.stats.receive(octets.len());
            self.octets.receive(octets.len());
            self.octets.note_received(|| self.node.clock.now());
            self.upload.push(octets);
        }
        match received.end {
            // Without TLS the end of the socket is how a peer ends; with TLS it must have said so.
            Some(crate::tls::End::Eof) if self.session.is_tls() || self.reset => Err(End::Cut),
            Some(_) => {
                self.upload_done = true;
                self.upload.end(Ended::Complete);
                Ok(true)
            }
            None => Ok(moved || !received.blocked),
        }
    }

    /// From the stream into the socket. Returns whether anything moved.
    fn write(&mut self, cx: &Context<'_>) -> Result<bool, End> {
        if let Source::Awaited(reply, _) = &self.source {
            let Some(delivery) = reply.poll(cx.waker()) else { return Ok(false) };
            if let Err(outcome) = check(&delivery) {
                delivery.outcome(Some(outcome.clone()), true);
                return Err(End::Far(outcome_text(&outcome)));
            }
            delivery.set_consumer(Notify::Task(cx.waker().clone()));
            feed(&self.octets, &self.memory, &delivery);
            self.source = Source::Here(delivery);
            self.patience = None;
        }
        // Once the stream is given up, nobody waits for the socket to take what is left of it: a
        // server that reads no more would hold that for ever.
        let aborted = matches!(&self.source, Source::Here(delivery) if delivery.ended() == Some(Ended::Aborted));
        let moved = self.write_more()?;
        if aborted && !moved {
            return Err(End::Far("the other side gave the stream up".to_owned()));
        }
        Ok(moved)
    }

    fn write_more(&mut self) -> Result<bool, End> {
        if !self.writes() {
            return Ok(false);
        }
        if self.session.wants_write()
            && self.session.flush(&self.socket).map_err(|error| End::Socket(error.into()))?
                == Flushed::Blocked
        {
            return Ok(false);
        }
        let Source::Here(delivery) = &self.source else { return Ok(false) };
        if self.writing.is_empty() && self.ended.is_none() {
            (_, self.ended) = if self.session.is_tls() && self.node.core.account().is_short() {
                // What is sealed counts as written at once: in small pieces a slow reader is seen
                // to read.
                delivery.take_within(SEALED, &mut self.writing)
            } else {
                delivery.take(WRITE, &mut self.writing)
            };
            if self.writing.is_empty() {
                self.receipt.starve(|| self.node.clock.now());
            }
        }
        let moved = !self.writing.is_empty() && self.write_chunks()?;
        if !self.writing.is_empty() || self.ended != Some(Ended::Complete) {
            return Ok(moved);
        }
        // Everything before the end has been written: now the socket may end too.
        if !std::mem::replace(&mut self.notified, true) {
            self.session.send_close_notify();
        }
        // Shut down with close_notify unsent, the socket would refuse it, and TLS take the stream
        // for cut.
        if self.session.flush(&self.socket).map_err(|error| End::Socket(error.into()))?
            == Flushed::Blocked
        {
            return Ok(moved);
        }
        if let Source::Here(delivery) = std::mem::replace(&mut self.source, Source::Done) {
            delivery.outcome(Some(DeliveryState::Accepted), true);
        }
        // Where the peer has ended before, the close that follows says the same.
        if self.upload_done && self.failure.is_none() {
            return Ok(true);
        }
        socket::finish(&self.socket).map(|()| true).map_err(|error| End::Socket(error.into()))
    }

    fn write_chunks(&mut self) -> Result<bool, End> {
        let written = if self.session.is_tls() {
            let slices: Vec<_> = self.writing.iter().map(|chunk| IoSlice::new(chunk)).collect();
            let octets = slices.iter().map(|slice| slice.len()).sum();
            let _ = self.session.send(&self.socket, &slices).map_err(End::Socket)?;
            self.writing.clear();
            octets
        } else {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = self
                .writing
                .iter()
                .zip(&mut slices)
                .map(|(chunk, slice)| *slice = IoSlice::new(chunk))
                .count();
            // Of what is taken nothing but the end is left.
            let last = self.ended == Some(Ended::Complete) && count == self.writing.iter().count();
            match socket::write(&self.socket, slices.get(..count).unwrap_or_default(), last) {
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(End::Socket(error.into())),
            }
        };
        let mut left = written;
        while let Some(front) = self.writing.front_mut().filter(|_| left > 0) {
            let part = left.min(front.len());
            front.advance(part);
            left -= part;
            if front.is_empty() {
                self.writing.pop_front();
            }
        }
        self.stats.send(written);
        self.octets.send(written);
        if written > 0 {
            self.octets.note_sent(|| self.node.clock.now());
        }
        if let Source::Here(delivery) = &self.source {
            let waiting = || (self.writing.octets() + delivery.window().0) as u64;
            if let Some(total) =
                self.receipt.written(written as u64, waiting, || self.node.clock.now())
            {
                delivery.acknowledge(total, self.receipt.allowance());
            }
        }
        Ok(true)
    }
}

/// A stream has come that a service connection's socket is to be fed with.
fn feed(octets: &Octets, memory: &ServiceAccount, stream: &Arc<Delivery>) {
    stream.charge_to(&memory.unwritten);
    octets.set_feed(stream);
}

/// Whether a delivery is a stream at all.
fn check(delivery: &Delivery) -> Result<(), DeliveryState> {
    stream::read_head(&delivery.message().sections).map(drop).map_err(|error| {
        DeliveryState::Rejected(Rejected {
            error: Some(Error::new(condition::NOT_IMPLEMENTED, error.to_string())),
        })
    })
}

fn outcome_text(outcome: &DeliveryState) -> String {
    match outcome {
        DeliveryState::Modified(_) => {
            "delivery-failed: destination unreachable, or lost".to_owned()
        }
        DeliveryState::Released => "released: no route to the service".to_owned(),
        DeliveryState::Rejected(Rejected { error: Some(error) }) => format!("rejected: {error}"),
        other => format!("{other:?}"),
    }
}
