//! The task of one service connection: it drives a [`Machine`] with a socket and a timer.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use bytes::Bytes;
use skupper_proto::amqp::message::DEFAULT_PRIORITY;
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::machine::{End, Machine, Source, Step};
use super::reader::Reader;
use super::socket_wire::SocketWire;
use super::stats::{Open, Stats};
use crate::core::{Charge, ConsumerEnd, Message, Notify, ProducerEnd, ServiceAccount};
use crate::log;
use crate::node::{
    Closer, ConnectionRecord, ConnectionRole, Dismissal, Host, Node, OUT_OF_MEMORY, Octets,
    PeerInfo, Registered, SHUTTING_DOWN, Stage, stands_back,
};
use crate::schema::ManagementAccess;
use crate::socket::{self, Descriptor};
use crate::tls::Session;

/// Turns of the machine after which the shard's other tasks have theirs.
const TURNS: usize = 4;

/// Bytes of memory that a service connection takes at rest, beside the deliveries of its two
/// streams: its task, its record, its socket's registration. (`skbench idle` tells 5 KiB a
/// connection in each router, the deliveries included.)
const TAKES: usize = 2560;

/// The task of one service connection. Its end closes the socket.
///
/// No `async fn`: one keeps what it was called with twice.
pub(super) struct Service {
    node: Arc<Node>,
    id: u64,
    machine: Machine,
    wire: SocketWire,
    _open: Open,
    _registered: Registered,
    /// The bytes that the connection has taken from its stream and not written.
    unwritten: Charge,
    /// The memory that the connection takes by itself.
    _takes: Charge,
    /// Says when the connection must end, and why.
    dismissal: Arc<Dismissal>,
    /// Runs until the machine's deadline, while it has one.
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether the streams and the dismissal know the task's waker.
    attached: bool,
}

/// The parts that a service connection begins with, at either end of the network.
pub(super) struct Beginning<'entity> {
    pub(super) socket: TcpStream,
    /// Counts the socket.
    pub(super) descriptor: Descriptor,
    pub(super) session: Session,
    /// The name, the address and the counts of the tcpListener or tcpConnector.
    pub(super) entity: &'entity Arc<str>,
    pub(super) service: &'entity Arc<str>,
    pub(super) stats: &'entity Arc<Stats>,
    /// The memory that is held for the service.
    pub(super) memory: &'entity Arc<ServiceAccount>,
    /// Whether this router dialed.
    pub(super) outgoing: bool,
    /// The other end of the socket, and this one where it is of interest.
    pub(super) host: Host,
    pub(super) local: Option<SocketAddr>,
    /// The identity of the connection in flow records.
    pub(super) flow: Option<Arc<str>>,
    /// The head of the stream that the socket is read into.
    pub(super) head: Vec<u8>,
}

impl Future for Service {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if stands_back(cx) {
            return Poll::Pending;
        }
        let end = ready!(self.drive(cx));
        self.close(&end);
        Poll::Ready(())
    }
}

/// A task that is dropped on its way, by a panic or with its runtime, is told of in the log.
impl Drop for Service {
    fn drop(&mut self) {
        if !self.machine.is_closed() {
            self.close(&End::Stopped("its task has ended before it"));
        }
    }
}

impl Service {
    /// Enters a connection into the record of connections. Returns it with the stream that its
    /// socket is read into, for the caller to deliver.
    pub(super) fn begin(
        node: &Arc<Node>,
        id: u64,
        beginning: Beginning<'_>,
        source: Source,
    ) -> (Self, ConsumerEnd) {
        let message = Message {
            sections: Bytes::from(beginning.head.into_boxed_slice()),
            streaming: true,
            priority: DEFAULT_PRIORITY,
            internal: true,
            windowed: true,
            ..Message::default()
        };
        let (upload, stream) = ProducerEnd::begin(message, &beginning.memory.read);
        node.core.counters().began();
        let octets = Arc::new(Octets::default());
        let dismissal = Arc::<Dismissal>::default();
        let now = node.clock.now();
        let registered = node.registry.enter(ConnectionRecord {
            id,
            role: ConnectionRole::Service,
            outgoing: beginning.outgoing,
            host: beginning.host,
            entity: Arc::clone(beginning.entity),
            container: None,
            address: Some(Arc::clone(beginning.service)),
            tls: beginning.session.info().map(Arc::clone),
            peer: PeerInfo::default(),
            closer: Closer::Service(Arc::clone(&dismissal)),
            edge: None,
            may_close_others: false,
            management: ManagementAccess::None,
            trace: None,
            opened: (SystemTime::now(), now),
            octets: Arc::clone(&octets),
            flow: beginning.flow,
            local: beginning.local,
        });
        if let Source::Here(download) = &source {
            octets.set_feed(download.backlog());
        }
        let memory = Arc::clone(beginning.memory);
        let begun = Self {
            node: Arc::clone(node),
            id,
            machine: Machine::new(upload, source, memory, (), now),
            wire: SocketWire {
                socket: beginning.socket,
                session: beginning.session,
                reader: Reader::default(),
                stats: Arc::clone(beginning.stats),
                octets,
                _descriptor: beginning.descriptor,
            },
            _open: beginning.stats.open(),
            _registered: registered,
            unwritten: beginning.memory.unwritten.charge(0),
            // Charged to the router: it does not keep the service from reading.
            _takes: node.core.own().charge(TAKES),
            dismissal,
            timer: None,
            attached: false,
        };
        (begun, stream)
    }

    /// Drives the machine until nothing moves, and parks it.
    fn drive(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if !self.attached {
            self.attach(cx);
        }
        for _ in 0..TURNS {
            match self.turn(cx) {
                Step::Continue(true) => {}
                Step::Continue(false) => return self.park(cx),
                Step::Break(end) => return Poll::Ready(end),
            }
        }
        // A connection that never rests must hear of its dismissal too.
        if let Some(why) = self.dismissal.heard() {
            return Poll::Ready(End::Stopped(why));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn attach(&mut self, cx: &Context<'_>) {
        self.attached = true;
        self.dismissal.watch(cx.waker());
        if *self.node.stage.borrow() >= Stage::Ending {
            self.dismissal.say(SHUTTING_DOWN);
        }
        self.machine.upload().set_notify(Notify::Task(cx.waker().clone()));
        if let Some(download) = self.machine.download() {
            download.set_notify(Notify::Task(cx.waker().clone()));
        }
    }

    fn turn(&mut self, cx: &Context<'_>) -> Step {
        if let Some(download) = self.machine.poll_answer(cx.waker())? {
            download.set_notify(Notify::Task(cx.waker().clone()));
            self.wire.octets.set_feed(download.backlog());
        }
        self.machine.turn(&mut self.wire, &|| self.node.clock.now())
    }

    /// Waits for the socket, the streams, the deadline or the dismissal.
    fn park(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let unwritten = self.machine.unwritten() + self.wire.sealed();
        if unwritten != self.unwritten.octets() {
            self.unwritten.set(unwritten);
            self.wire.octets.set_unwritten(unwritten);
        }
        if let Some(why) = self.dismissal.heard() {
            return Poll::Ready(End::Stopped(why));
        }
        let due = self.poll_deadline(cx);
        if due && let ControlFlow::Break(end) = self.machine.on_deadline(self.node.clock.now()) {
            return Poll::Ready(end);
        }
        let socket = &self.wire.socket;
        let readable = self.machine.wants_read() && socket.poll_read_ready(cx).is_ready();
        let writable =
            self.machine.wants_write(&self.wire) && socket.poll_write_ready(cx).is_ready();
        if readable || writable || due {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Arms the timer for the machine's deadline. Returns whether that has passed.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(deadline) = self.machine.deadline() else {
            self.timer = None;
            return false;
        };
        let deadline = self.node.clock.at(deadline);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx).is_ready()
    }

    fn close(&mut self, end: &End) {
        match end {
            End::Complete => socket::end_cleanly(&self.wire.socket),
            // The close that follows resets the socket, so that the peer takes no part for the
            // whole.
            end => {
                if matches!(end, End::Stopped(OUT_OF_MEMORY)) {
                    self.wire.stats.reset_for_memory();
                }
                log!(TcpAdaptor, Debug, "[C{}] service connection ended: {end}", self.id);
            }
        }
        self.machine.close();
    }
}

#[cfg(test)]
mod tests;
