//! The wire of an AMQP connection: a socket, the transport upon it, the input, and the timer.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use bytes::BytesMut;
use skupper_proto::time::Instant;
use tokio::net::TcpStream;
use tokio::time::Sleep;

#[cfg(fuzzing)]
use super::pipe::Pipe;
use super::transport::Transport;
use crate::node::Node;
use crate::tls::{Flushed, Input, Output, SessionError, SessionInfo};

/// The most bytes that one read takes from a socket. Half of it costs a tenth more CPU time a
/// gigabyte. Twice of it gains nothing measurable.
const READ: usize = 64 * 1024;

thread_local! {
    /// The room that a shard reads into. It holds nothing between two reads.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into());
}

/// The ends of a socket that a transport uses.
#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    /// The socket is on its way to another runtime.
    Away,
    /// Memory in place of a socket, so that a connection runs without the kernel and in virtual
    /// time.
    #[cfg(fuzzing)]
    Pipe(Pipe),
}

impl Input for Socket {
    fn try_read(&self, to: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => Input::try_read(socket, to),
            Self::Away => Err(io::ErrorKind::NotConnected.into()),
            #[cfg(fuzzing)]
            Self::Pipe(pipe) => pipe.try_read(to),
        }
    }

    fn try_append(&self, to: &mut BytesMut, limit: usize) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.try_append(to, limit),
            Self::Away => Err(io::ErrorKind::NotConnected.into()),
            #[cfg(fuzzing)]
            Self::Pipe(pipe) => pipe.try_append(to, limit),
        }
    }
}

impl Output for Socket {
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.try_write_vectored(slices),
            Self::Away => Err(io::ErrorKind::NotConnected.into()),
            #[cfg(fuzzing)]
            Self::Pipe(pipe) => pipe.try_write_vectored(slices),
        }
    }
}

/// A socket and the transport upon it (see [`Session`](crate::tls::Session) for how both are
/// driven), the input, and the timer.
#[derive(Debug)]
pub(super) struct Wire {
    socket: Socket,
    transport: Transport,
    /// The bytes that were read and that the engine has not taken.
    pub(super) input: BytesMut,
    /// The engine has more to do with `input`.
    pub(super) more: bool,
    /// The peer has ended the transport.
    ended: bool,
    timer: Pin<Box<Sleep>>,
    /// The instant for which the timer is set.
    armed: Option<Instant>,
}

/// Returns a timer that is not set.
fn resting_timer() -> Pin<Box<Sleep>> {
    Box::pin(tokio::time::sleep(Duration::from_secs(3600)))
}

impl Wire {
    /// Joins a socket and the transport whose handshake was made on it. To be called in the runtime
    /// of the connection's task, for the timer is that runtime's.
    pub(super) fn new(socket: TcpStream, transport: impl Into<Transport>) -> Self {
        Self::joined(Socket::Tcp(socket), transport.into())
    }

    /// Joins a pipe and a transport.
    #[cfg(fuzzing)]
    pub(super) fn of_pipe(pipe: Pipe, transport: impl Into<Transport>) -> Self {
        Self::joined(Socket::Pipe(pipe), transport.into())
    }

    fn joined(socket: Socket, transport: Transport) -> Self {
        Self {
            socket,
            transport,
            input: BytesMut::new(),
            more: false,
            ended: false,
            timer: resting_timer(),
            armed: None,
        }
    }

    /// Returns the address of the other end, if the socket still knows it.
    pub(super) fn remote(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(socket) => socket.peer_addr().ok().map(crate::socket::canonical),
            Socket::Away => None,
            #[cfg(fuzzing)]
            Socket::Pipe(pipe) => Some(pipe.remote()),
        }
    }

    /// Returns the result of the TLS handshake, if there was one.
    pub(super) fn info(&self) -> Option<&Arc<SessionInfo>> {
        self.transport.info()
    }

    /// Reads once into `input`, unless the engine has more to do with that or the peer has ended.
    /// Returns the number of bytes, and whether the socket has no more.
    pub(super) fn receive(&mut self) -> Result<(usize, bool), SessionError> {
        if self.more || self.ended {
            return Ok((0, false));
        }
        let received = SCRATCH.with_borrow_mut(|scratch| {
            self.transport.receive(&self.socket, scratch, &mut self.input)
        })?;
        self.more |= received.octets > 0;
        self.ended = received.end.is_some();
        Ok((received.octets, received.blocked))
    }

    /// Gives back the room of `input` if it is empty and too small for the next read.
    pub(super) fn trim_input(&mut self) {
        if self.input.is_empty() && self.input.capacity() < READ / 4 {
            self.input = BytesMut::new();
        }
    }

    /// Returns whether the peer has ended and the engine has taken all that it sent.
    pub(super) const fn is_exhausted(&self) -> bool {
        self.ended && !self.more
    }

    /// Returns whether there is input to act on; if not, the task is woken once there is.
    pub(super) fn has_input(&self, task: &mut Context<'_>) -> bool {
        self.more || self.ended || self.is_readable(task)
    }

    /// Returns whether `deadline` has come; if not, the task is woken then.
    pub(super) fn is_due(
        &mut self,
        deadline: Option<Instant>,
        node: &Node,
        task: &mut Context<'_>,
    ) -> bool {
        // Deadlines move on with every frame. A timer that fires early costs less than one that is
        // set each time.
        if let Some(deadline) = deadline
            && self.armed.is_none_or(|armed| deadline < armed)
        {
            self.armed = Some(deadline);
            self.timer.as_mut().reset(node.clock.at(deadline));
        }
        let due = self.armed.is_some() && self.timer.as_mut().poll(task).is_ready();
        if due {
            self.armed = None;
        }
        due
    }

    /// Writes as much as the socket takes and keeps the rest for [`Self::flush`].
    pub(super) fn send(&mut self, slices: &[IoSlice<'_>]) -> Result<Flushed, SessionError> {
        self.transport.send(&self.socket, slices)
    }

    /// Writes the bytes that wait, as far as the socket takes them.
    pub(super) fn flush(&mut self) -> io::Result<Flushed> {
        self.transport.flush(&self.socket)
    }

    /// Returns whether [`Self::flush`] has something to write.
    pub(super) fn wants_write(&self) -> bool {
        self.transport.wants_write()
    }

    /// Returns the most bytes that may wait for the socket, without the overhead of TLS records.
    pub(super) fn unflushed(&self) -> usize {
        self.transport.unflushed()
    }

    /// Ends the sent bytes. Flush afterwards; sending afterwards is an error.
    pub(super) fn send_close_notify(&mut self) {
        self.transport.send_close_notify();
    }

    fn is_readable(&self, cx: &mut Context<'_>) -> bool {
        match &self.socket {
            Socket::Tcp(socket) => socket.poll_read_ready(cx).is_ready(),
            Socket::Away => true,
            #[cfg(fuzzing)]
            Socket::Pipe(pipe) => pipe.is_readable(cx),
        }
    }

    /// Returns whether the socket can be written; if not, it wakes the task once it can.
    pub(super) fn is_writable(&self, cx: &mut Context<'_>) -> bool {
        match &self.socket {
            Socket::Tcp(socket) => socket.poll_write_ready(cx).is_ready(),
            Socket::Away => true,
            #[cfg(fuzzing)]
            Socket::Pipe(pipe) => pipe.is_writable(cx),
        }
    }

    /// Takes the socket out of its runtime, for [`Self::arrive`] in another. It needs no second
    /// descriptor. A pipe belongs to no runtime and stays.
    ///
    /// # Errors
    /// The runtime does not let go of the socket.
    pub(super) fn depart(&mut self) -> io::Result<Option<std::net::TcpStream>> {
        match std::mem::replace(&mut self.socket, Socket::Away) {
            Socket::Tcp(socket) => socket.into_std().map(Some),
            other => {
                self.socket = other;
                Ok(None)
            }
        }
    }

    /// Goes on in the present runtime with the result of [`Self::depart`].
    ///
    /// # Errors
    /// The runtime cannot take the socket.
    pub(super) fn arrive(&mut self, socket: Option<std::net::TcpStream>) -> io::Result<()> {
        if let Some(socket) = socket {
            self.socket = Socket::Tcp(TcpStream::from_std(socket)?);
        }
        (self.timer, self.armed) = (resting_timer(), None);
        Ok(())
    }
}
