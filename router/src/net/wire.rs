//! An AMQP connection's way to its peer: a socket, and the transport upon it.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Context;

use bytes::BytesMut;
use tokio::net::TcpStream;

#[cfg(fuzzing)]
use super::pipe::Pipe;
use super::transport::Transport;
use crate::tls::{Flushed, Input, Output, Received, SessionError, SessionInfo};

/// What a transport reads from and writes to.
#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    /// None: it is on its way to another runtime.
    Away,
    /// Memory in the place of a socket, so that a connection runs without the kernel and in virtual
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

/// A socket and the transport upon it, which are driven together: see
/// [`Session`](crate::tls::Session) for how.
#[derive(Debug)]
pub(super) struct Wire {
    socket: Socket,
    transport: Transport,
}

impl Wire {
    /// Joins a socket and the transport whose handshake was made on it.
    pub(super) fn new(socket: TcpStream, transport: impl Into<Transport>) -> Self {
        Self { socket: Socket::Tcp(socket), transport: transport.into() }
    }

    /// Joins a pipe and a transport.
    #[cfg(fuzzing)]
    pub(super) fn of_pipe(pipe: Pipe, transport: impl Into<Transport>) -> Self {
        Self { socket: Socket::Pipe(pipe), transport: transport.into() }
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

    /// Returns what was agreed in the TLS handshake, if there was one.
    pub(super) fn info(&self) -> Option<&Arc<SessionInfo>> {
        self.transport.info()
    }

    /// Reads once and appends the octets. `scratch` holds nothing between two calls.
    pub(super) fn receive(
        &mut self,
        scratch: &mut [u8],
        to: &mut BytesMut,
    ) -> Result<Received, SessionError> {
        self.transport.receive(&self.socket, scratch, to)
    }

    /// Writes as much as the socket takes and keeps the rest for [`Self::flush`].
    pub(super) fn send(&mut self, slices: &[IoSlice<'_>]) -> Result<Flushed, SessionError> {
        self.transport.send(&self.socket, slices)
    }

    /// Writes what waits, as far as the socket takes it.
    pub(super) fn flush(&mut self) -> io::Result<Flushed> {
        self.transport.flush(&self.socket)
    }

    /// Returns whether [`Self::flush`] has something to write.
    pub(super) fn wants_write(&self) -> bool {
        self.transport.wants_write()
    }

    /// Octets that wait for the socket, at most; a record's overhead is not counted.
    pub(super) fn unflushed(&self) -> usize {
        self.transport.unflushed()
    }

    /// Says that nothing follows. Flush afterwards; sending afterwards is an error.
    pub(super) fn send_close_notify(&mut self) {
        self.transport.send_close_notify();
    }

    /// Returns whether the socket can be read; if not, it wakes the task once it can.
    pub(super) fn is_readable(&self, cx: &mut Context<'_>) -> bool {
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

    /// Takes the socket out of the runtime that it belongs to, for [`Self::arrive`] in another. It
    /// needs no second descriptor. A pipe belongs to no runtime and stays.
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

    /// Goes on in the runtime that this is called in, with what [`Self::depart`] gave.
    ///
    /// # Errors
    /// The runtime cannot take the socket.
    pub(super) fn arrive(&mut self, socket: Option<std::net::TcpStream>) -> io::Result<()> {
        if let Some(socket) = socket {
            self.socket = Socket::Tcp(TcpStream::from_std(socket)?);
        }
        Ok(())
    }
}
