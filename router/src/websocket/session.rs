//! An opened WebSocket connection upon a session.

use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use tungstenite::Message;
use tungstenite::error::Error;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext};

use crate::tls::{End, Flushed, Input, Output, Received, Session, SessionError, SessionInfo};

/// Octets of one message from a client. A message is given on when it is whole, so this much of
/// each connection may wait. Clients send a frame or a few in a message; those that send larger
/// ones are told that they are too big.
const MAX_MESSAGE: usize = 1024 * 1024;

/// Octets of one message to a client. Clients bound what they take: 1 MiB is the least that is
/// common.
const MESSAGE: usize = 64 * 1024;

/// Octets that are handed to the session while earlier ones have not gone out.
const UNFLUSHED: usize = 256 * 1024;

/// Octets of messages that the session has not taken yet, answers to pings among them, for which a
/// client that reads nothing can ask without end. The owner's output is not more at once than it
/// owes, about 1 MiB.
const WAITING: usize = 4 * 1024 * 1024;

/// What is read into the library's buffer at once, which it always holds.
const READ: usize = 8 * 1024;

/// An opened connection, driven as a [`Session`] is: see there.
pub struct WebSocket {
    pipe: Pipe,
    context: WebSocketContext,
    /// Messages wait that the session did not take.
    waits: bool,
    /// `pipe` holds octets that have not been looked at.
    unread: bool,
}

/// What the library reads from and writes to. Neither needs the socket: the octets come from it
/// before, and go to it after.
struct Pipe {
    session: Session,
    /// Octets from the client, decrypted.
    incoming: BytesMut,
    end: Option<End>,
}

impl Read for Pipe {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.incoming.is_empty() && self.end.is_none() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let octets = self.incoming.len().min(to.len());
        self.incoming.copy_to_slice(to.get_mut(..octets).unwrap_or_default());
        if self.incoming.is_empty() {
            // It would keep the largest block that ever came.
            self.incoming = BytesMut::new();
        }
        Ok(octets)
    }
}

impl Write for Pipe {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if self.session.unflushed() > UNFLUSHED {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        match self.session.write(&[IoSlice::new(octets)]) {
            Ok(()) => Ok(octets.len()),
            Err(SessionError::Io(error)) => Err(error),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl WebSocket {
    /// A connection whose opening handshake is done. `read` came behind it already.
    pub fn new(session: Session, read: BytesMut) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ)
            .write_buffer_size(0)
            .max_write_buffer_size(WAITING)
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        Self {
            unread: !read.is_empty(),
            pipe: Pipe { session, incoming: read, end: None },
            context: WebSocketContext::new(Role::Server, Some(config)),
            waits: false,
        }
    }

    /// What was agreed in the TLS handshake beneath; `None` without TLS.
    pub fn info(&self) -> Option<&Arc<SessionInfo>> {
        self.pipe.session.info()
    }

    /// Whether the octets on the socket are encrypted.
    pub fn is_tls(&self) -> bool {
        self.pipe.session.is_tls()
    }

    /// Reads once from the socket, and appends the payload of the messages that are whole by it.
    /// Pings are answered by the next [`WebSocket::flush`].
    ///
    /// # Errors
    /// The session's, or the client broke the protocol: it is told why by the next flush.
    pub fn receive(
        &mut self,
        socket: &impl Input,
        scratch: &mut [u8],
        payload: &mut BytesMut,
    ) -> Result<Received, SessionError> {
        let start = payload.len();
        let mut blocked = false;
        if !std::mem::take(&mut self.unread) {
            let received = self.pipe.session.receive(socket, scratch, &mut self.pipe.incoming)?;
            self.pipe.end = received.end;
            blocked = received.blocked;
        }
        let end = self.take(payload)?;
        Ok(Received { octets: payload.len() - start, end, blocked })
    }

    fn take(&mut self, payload: &mut BytesMut) -> Result<Option<End>, SessionError> {
        loop {
            match self.context.read(&mut self.pipe) {
                Ok(Message::Binary(octets)) => payload.extend_from_slice(&octets),
                Ok(Message::Text(_)) => {
                    return Err(self.fail(CloseCode::Unsupported, "AMQP comes in binary messages"));
                }
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.push()?;
                    return Ok(self.pipe.end);
                }
                // The client closed the WebSocket, and our answer to that is on its way.
                Err(Error::ConnectionClosed | Error::AlreadyClosed) => {
                    return Ok(Some(self.pipe.end.unwrap_or(End::Eof)));
                }
                Err(_) if self.pipe.end.is_some() => return Ok(self.pipe.end),
                Err(Error::Capacity(error)) => {
                    return Err(self.fail(CloseCode::Size, &error.to_string()));
                }
                Err(error) => return Err(self.fail(CloseCode::Protocol, &error.to_string())),
            }
        }
    }

    /// Tells the client what it did wrong.
    fn fail(&mut self, code: CloseCode, reason: &str) -> SessionError {
        // A reason has at most 123 octets; the library's are ASCII.
        let short = reason.get(..reason.len().min(120)).unwrap_or_default();
        let _ = self.context.close(&mut self.pipe, Some(CloseFrame { code, reason: short.into() }));
        SessionError::Io(io::Error::new(io::ErrorKind::InvalidData, format!("WebSocket: {reason}")))
    }

    /// Hands what waits to the session, as far as it takes it.
    fn push(&mut self) -> Result<(), SessionError> {
        match self.context.flush(&mut self.pipe) {
            Ok(()) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => self.waits = false,
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => self.waits = true,
            Err(error) => return Err(broken(error)),
        }
        Ok(())
    }

    /// Sends octets, as one message or a few: writes as much as the socket takes and keeps the rest
    /// for [`WebSocket::flush`].
    ///
    /// # Errors
    /// The session's, or the WebSocket is closed already.
    pub fn send(
        &mut self,
        socket: &impl Output,
        slices: &[IoSlice<'_>],
    ) -> Result<Flushed, SessionError> {
        let mut message = BytesMut::with_capacity(slices.iter().map(|slice| slice.len()).sum());
        slices.iter().for_each(|slice| message.extend_from_slice(slice));
        while !message.is_empty() {
            let octets: Bytes = message.split_to(message.len().min(MESSAGE)).freeze();
            match self.context.write(&mut self.pipe, Message::Binary(octets)) {
                Ok(()) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.waits = true
                }
                Err(error) => return Err(broken(error)),
            }
        }
        Ok(self.flush(socket)?)
    }

    /// Writes what waits, as far as the socket takes it.
    ///
    /// # Errors
    /// The socket's.
    pub fn flush(&mut self, socket: &impl Output) -> io::Result<Flushed> {
        loop {
            if self.pipe.session.flush(socket)? == Flushed::Blocked {
                return Ok(Flushed::Blocked);
            }
            if !self.waits {
                return Ok(Flushed::All);
            }
            self.push().map_err(|error| match error {
                SessionError::Io(error) => error,
                other => io::Error::other(other),
            })?;
        }
    }

    /// Whether [`WebSocket::flush`] has something to write.
    pub fn wants_write(&self) -> bool {
        self.waits || self.pipe.session.wants_write()
    }

    /// Octets that wait for the socket, at most; what the library has not framed yet is not
    /// counted.
    pub fn unflushed(&self) -> usize {
        self.pipe.session.unflushed()
    }

    /// Tells the client that nothing follows. Flush afterwards; sending afterwards is an error.
    pub fn send_close_notify(&mut self) {
        // What cannot be said any more need not be.
        let _ = self
            .context
            .close(&mut self.pipe, Some(CloseFrame { code: CloseCode::Normal, reason: "".into() }));
        self.pipe.session.send_close_notify();
    }
}

fn broken(error: Error) -> SessionError {
    match error {
        Error::Io(error) => SessionError::Io(error),
        Error::ConnectionClosed | Error::AlreadyClosed => SessionError::Closed,
        other => SessionError::Io(io::Error::other(format!("WebSocket: {other}"))),
    }
}

impl std::fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebSocket")
            .field("session", &self.pipe.session)
            .field("waits", &self.waits)
            .finish_non_exhaustive()
    }
}
