//! An opened WebSocket connection on a session.

use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use tungstenite::Message;
use tungstenite::error::Error;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext};

use crate::tls::{End, Flushed, Input, Output, Received, Session, SessionError, SessionInfo};

/// Largest message from a client, in bytes. A message is passed on when it is complete, so each
/// connection may hold this much. Clients put one or a few frames into a message. A larger message
/// ends the connection with a reason.
const MAX_MESSAGE: usize = 1024 * 1024;

/// Largest message to a client, in bytes. Clients bound the size too; their common limits begin at
/// 1 MiB.
const MESSAGE: usize = 64 * 1024;

/// Bytes that the session may hold unsent before the WebSocket keeps further ones back.
const UNFLUSHED: usize = 256 * 1024;

/// Bytes of messages that the session has not taken. They include answers to pings, which a client
/// that reads nothing can ask for without end. The owner's output is at most about 1 MiB.
const WAITING: usize = 4 * 1024 * 1024;

/// Size of the library's read buffer, which each connection always holds.
const READ: usize = 8 * 1024;

/// An opened connection. Drive it as a [`Session`]: see there.
pub struct WebSocket {
    pipe: Pipe,
    context: WebSocketContext,
    /// True if messages wait that the session did not take.
    waits: bool,
    /// True if `pipe` holds bytes that the library has not read.
    unread: bool,
}

/// The library's reader and writer. Neither touches the socket: its bytes come before a read, and
/// go out after a write.
struct Pipe {
    session: Session,
    /// Decrypted bytes from the client.
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
            // A new buffer, for the old one would keep the largest block that ever came.
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
    /// Creates a connection after its opening handshake. `read` holds the bytes that came behind
    /// it.
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

    /// Returns the parameters of the TLS handshake; `None` without TLS.
    pub fn info(&self) -> Option<&Arc<SessionInfo>> {
        self.pipe.session.info()
    }

    /// Returns true if the bytes on the socket are encrypted.
    pub fn is_tls(&self) -> bool {
        self.pipe.session.is_tls()
    }

    /// Reads once from the socket, and appends the payload of complete messages. The next
    /// [`WebSocket::flush`] answers pings.
    ///
    /// # Errors
    /// The session's error, or a breach of the protocol by the client. The next flush
    /// gives the client the reason.
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
                // The client closed the WebSocket, and our answer to that waits to go out.
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

    /// Closes the WebSocket, and gives the client the reason.
    fn fail(&mut self, code: CloseCode, reason: &str) -> SessionError {
        // A reason has at most 123 bytes. The library's reasons are ASCII.
        let short = reason.get(..reason.len().min(120)).unwrap_or_default();
        let _ = self.context.close(&mut self.pipe, Some(CloseFrame { code, reason: short.into() }));
        SessionError::Io(io::Error::new(io::ErrorKind::InvalidData, format!("WebSocket: {reason}")))
    }

    /// Hands waiting messages to the session, as far as it takes them.
    fn push(&mut self) -> Result<(), SessionError> {
        match self.context.flush(&mut self.pipe) {
            Ok(()) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => self.waits = false,
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => self.waits = true,
            Err(error) => return Err(broken(error)),
        }
        Ok(())
    }

    /// Sends bytes in one or more messages. Writes as much as the socket takes, and keeps the rest
    /// for [`WebSocket::flush`].
    ///
    /// # Errors
    /// The session's error, or the WebSocket is closed already.
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

    /// Writes waiting bytes, as far as the socket takes them.
    ///
    /// # Errors
    /// The socket's error.
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

    /// Returns true if [`WebSocket::flush`] has bytes to write.
    pub fn wants_write(&self) -> bool {
        self.waits || self.pipe.session.wants_write()
    }

    /// Returns the bytes that the session holds for the socket. Messages that the library still
    /// holds do not count.
    pub fn unflushed(&self) -> usize {
        self.pipe.session.unflushed()
    }

    /// Announces the end to the client. Flush afterwards. A later send is an error.
    pub fn send_close_notify(&mut self) {
        // The close frame is lost if the buffers are full, and that does no harm.
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
