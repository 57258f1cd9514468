//! An established session, with TLS or without: bytes in, bytes out, no socket of its own.
//!
//! This is the seam between the router and its TLS library. No part of the library shows. So the
//! library's unbuffered interface, or the kernel's TLS, can take its place without a change
//! elsewhere.
//!
//! The owner of the socket drives the session:
//!
//! * When the socket is readable, the owner calls [`Session::receive`] until that says `blocked` or
//!   the owner has had its share. It may also read the socket itself and hand the bytes to
//!   [`Session::read`]. The first call may give data that came along with the handshake.
//! * To send, it calls [`Session::send`] with everything that is ready, up to about 256 KiB. Large
//!   calls make TLS cheap. When that or [`Session::flush`] says [`Flushed::Blocked`], the owner
//!   waits for the socket to become writable, and flushes before it sends more. Nothing else bounds
//!   the ciphertext that waits.
//! * After each [`Session::read`] it asks [`Session::wants_write`]: the protocol itself may have to
//!   answer.
//! * When the socket fails while sending, it receives once more. The peer's alert, which has the
//!   reason, may already be here.
//! * At the end it calls [`Session::send_close_notify`], flushes and shuts the socket down. After
//!   an error it flushes once, so that the peer gets the alert, and closes.

use std::io::{self, BufRead, IoSlice, Write};
use std::sync::Arc;

use bytes::{Buf, BufMut, BytesMut};
use rustls::{Connection, IoState};
use tokio::net::TcpStream;

use super::failure::{HandshakeError, alert_failure};
use super::info::SessionInfo;

/// A plain session reads straight into the caller's buffer if that has room for so many bytes, and
/// else into the scratch buffer.
const DIRECT_READ: usize = 4096;
/// A session frees an emptied buffer of unsent plain bytes that is larger than this.
const KEEP: usize = 4096;

/// The source of a session's bytes: a socket, or a test's pipe.
pub trait Input {
    /// Reads once without waiting. Returns 0 at the end, and the error
    /// [`io::ErrorKind::WouldBlock`] when nothing is there.
    fn try_read(&self, to: &mut [u8]) -> io::Result<usize>;

    /// Reads as [`Input::try_read`] does, at most `limit` bytes, and appends them to `to`.
    fn try_append(&self, to: &mut BytesMut, limit: usize) -> io::Result<usize>;
}

impl Input for TcpStream {
    fn try_read(&self, to: &mut [u8]) -> io::Result<usize> {
        crate::socket::read(self, to)
    }

    fn try_append(&self, to: &mut BytesMut, limit: usize) -> io::Result<usize> {
        self.try_read_buf(&mut to.limit(limit))
    }
}

/// The sink of a session's bytes: a socket, or a test's pipe.
pub trait Output {
    /// Writes without waiting. The error is [`io::ErrorKind::WouldBlock`] when nothing fits.
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
}

impl Output for TcpStream {
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Self::try_write_vectored(self, slices)
    }
}

/// Whether all written bytes have left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Flushed {
    /// Nothing waits.
    All,
    /// Some wait until the socket becomes writable.
    Blocked,
}

/// How the incoming direction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// TLS close_notify: the peer has sent all that it wanted to.
    CloseNotify,
    /// The socket's end. With TLS and no close_notify before it the link is lost, possibly by an
    /// attack.
    Eof,
}

/// The outcome of a read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Bytes of plaintext in the caller's buffer. 0 if the session waits for the rest of a record.
    pub octets: usize,
    /// Nothing more comes.
    pub end: Option<End>,
    /// The socket had nothing: wait until it becomes readable.
    pub blocked: bool,
}

/// Why an established session is over.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The peer ended it by an alert. With TLS 1.3 a refusal of this end's certificate comes only
    /// after the handshake.
    #[error(transparent)]
    Alert(HandshakeError),
    /// The peer sent no valid TLS, or another party changed it on the way.
    #[error("the peer broke the TLS protocol: {0}")]
    Protocol(String),
    /// The session sends no more: close_notify has left, or the keys are used up.
    #[error("the TLS session takes no more data")]
    Closed,
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

enum Inner {
    /// Holds what the socket did not take.
    Plain(BytesMut),
    Tls(Box<Connection>),
}

/// An established session over a socket that its driver owns. The module says how to drive it.
pub struct Session {
    inner: Inner,
    info: Option<Arc<SessionInfo>>,
    /// Plaintext of the handshake's last read may wait.
    unread: bool,
    /// Bytes of plaintext written since the session had last sent all.
    unflushed: usize,
    /// The session sent close_notify. The library would go on encrypting, and the peer would drop
    /// it.
    closed: bool,
}

impl Session {
    /// Makes a session without TLS, which changes no byte.
    pub fn plain() -> Self {
        Self {
            inner: Inner::Plain(BytesMut::new()),
            info: None,
            unread: false,
            unflushed: 0,
            closed: false,
        }
    }

    /// Makes the session of a connection whose handshake is over.
    pub(super) fn tls(mut connection: Connection, info: SessionInfo) -> Self {
        // The library's own limit would cut large writes into pieces of 64 KiB. The driver's rule
        // to flush first is the bound.
        connection.set_buffer_limit(None);
        Self {
            inner: Inner::Tls(Box::new(connection)),
            info: Some(Arc::new(info)),
            unread: true,
            unflushed: 0,
            closed: false,
        }
    }

    /// Returns the outcome of the handshake; `None` for a plain session.
    pub fn info(&self) -> Option<&Arc<SessionInfo>> {
        self.info.as_ref()
    }

    /// Returns whether the bytes on the socket are encrypted.
    pub fn is_tls(&self) -> bool {
        matches!(self.inner, Inner::Tls(_))
    }

    /// Takes bytes that were read from the socket, and appends the plaintext that they complete.
    ///
    /// It takes all of `input`, and drops what follows a close_notify, as the protocol demands. The
    /// plaintext is never longer than the input and the record that earlier inputs left incomplete
    /// (16 KiB). An empty input gives the plaintext that came with the handshake.
    ///
    /// # Errors
    /// The end of the session. It can only be flushed then.
    pub fn read(
        &mut self,
        input: &[u8],
        plaintext: &mut BytesMut,
    ) -> Result<Received, SessionError> {
        self.unread = false;
        let start = plaintext.len();
        let mut end = None;
        match &mut self.inner {
            Inner::Plain(_) => plaintext.extend_from_slice(input),
            Inner::Tls(connection) => {
                plaintext.reserve(input.len());
                let mut rest = input;
                let state = connection.process_new_packets().map_err(session_error)?;
                let mut closed = take_plaintext(connection, &state, plaintext)?;
                while !rest.is_empty() && !closed {
                    if connection.read_tls(&mut rest).map_err(protocol_error)? == 0 {
                        break;
                    }
                    let state = connection.process_new_packets().map_err(session_error)?;
                    closed = take_plaintext(connection, &state, plaintext)?;
                }
                end = closed.then_some(End::CloseNotify);
            }
        }
        Ok(Received { octets: plaintext.len() - start, end, blocked: false })
    }

    /// Reads once from the socket, at most `scratch.len()` bytes, and appends the plaintext.
    /// `scratch` holds nothing between calls, and all sessions of a thread share it. With 64 KiB
    /// and more there are few system calls.
    ///
    /// # Errors
    /// As [`Session::read`], and those of the socket.
    pub fn receive(
        &mut self,
        socket: &impl Input,
        scratch: &mut [u8],
        plaintext: &mut BytesMut,
    ) -> Result<Received, SessionError> {
        if self.unread {
            let received = self.read(&[], plaintext)?;
            if received != Received::default() {
                return Ok(received);
            }
        }
        let direct = matches!(self.inner, Inner::Plain(_))
            && plaintext.capacity() - plaintext.len() >= DIRECT_READ;
        let result = if direct {
            socket.try_append(plaintext, scratch.len())
        } else {
            socket.try_read(scratch)
        };
        match result {
            Ok(0) => Ok(Received { end: Some(End::Eof), ..Received::default() }),
            Ok(octets) if direct => Ok(Received { octets, ..Received::default() }),
            Ok(octets) => self.read(scratch.get(..octets).unwrap_or_default(), plaintext),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Ok(Received { blocked: true, ..Received::default() })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes plaintext, all of it, and leaves the sending to [`Session::flush`].
    ///
    /// # Errors
    /// If the session sends no more.
    pub fn write(&mut self, slices: &[IoSlice<'_>]) -> Result<(), SessionError> {
        if self.closed {
            return Err(SessionError::Closed);
        }
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        self.unflushed += total;
        match &mut self.inner {
            Inner::Plain(pending) => {
                pending.reserve(total);
                slices.iter().for_each(|slice| pending.put_slice(slice));
                Ok(())
            }
            Inner::Tls(connection) => match connection.writer().write_vectored(slices) {
                Ok(written) if written == total => Ok(()),
                Ok(_) => Err(SessionError::Closed),
                Err(error) => Err(protocol_error(error)),
            },
        }
    }

    /// Sends plaintext: writes as much as the socket takes, and keeps the rest for
    /// [`Session::flush`]. A plain session hands the slices themselves to the socket.
    ///
    /// # Errors
    /// As [`Session::write`], and those of the socket.
    pub fn send(
        &mut self,
        socket: &impl Output,
        slices: &[IoSlice<'_>],
    ) -> Result<Flushed, SessionError> {
        if let Inner::Plain(pending) = &mut self.inner
            && pending.is_empty()
            && !self.closed
        {
            let mut sent = match socket.try_write_vectored(slices) {
                Ok(sent) => sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(error) => return Err(error.into()),
            };
            for slice in slices {
                let skip = sent.min(slice.len());
                sent -= skip;
                pending.extend_from_slice(slice.get(skip..).unwrap_or_default());
            }
            self.unflushed = pending.len();
        } else {
            self.write(slices)?;
        }
        Ok(self.flush(socket)?)
    }

    /// Writes the bytes that wait, as far as the socket takes them.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn flush(&mut self, socket: &impl Output) -> io::Result<Flushed> {
        while self.wants_write() {
            let result = match &mut self.inner {
                Inner::Plain(pending) => socket
                    .try_write_vectored(&[IoSlice::new(pending)])
                    .inspect(|sent| pending.advance(*sent)),
                Inner::Tls(connection) => connection.write_tls(&mut Adapter(socket)),
            };
            match result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Flushed::Blocked);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if let Inner::Plain(pending) = &mut self.inner
            && pending.capacity() > KEEP
        {
            *pending = BytesMut::new();
        }
        self.unflushed = 0;
        Ok(Flushed::All)
    }

    /// Returns whether [`Session::flush`] has something to write.
    pub fn wants_write(&self) -> bool {
        match &self.inner {
            Inner::Plain(pending) => !pending.is_empty(),
            Inner::Tls(connection) => connection.wants_write(),
        }
    }

    /// Returns the bytes of plaintext written since the session had last sent all. That is an upper
    /// bound of the bytes that wait, without the overhead of records.
    pub fn unflushed(&self) -> usize {
        self.unflushed
    }

    /// Tells the peer that nothing follows. The caller flushes afterwards and writes no more. A
    /// plain session sends nothing, for its end is the socket's.
    pub fn send_close_notify(&mut self) {
        self.closed = true;
        if let Inner::Tls(connection) = &mut self.inner {
            connection.send_close_notify();
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("info", &self.info)
            .field("unflushed", &self.unflushed)
            .finish_non_exhaustive()
    }
}

/// Moves decrypted data to the caller's buffer. Returns whether close_notify has come.
fn take_plaintext(
    connection: &mut Connection,
    state: &IoState,
    plaintext: &mut BytesMut,
) -> Result<bool, SessionError> {
    let mut left = state.plaintext_bytes_to_read();
    let mut reader = connection.reader();
    while left > 0 {
        let chunk = reader.fill_buf().map_err(protocol_error)?;
        let taken = chunk.len();
        if taken == 0 {
            break;
        }
        plaintext.extend_from_slice(chunk);
        reader.consume(taken);
        left = left.saturating_sub(taken);
    }
    Ok(state.peer_has_closed())
}

fn session_error(error: rustls::Error) -> SessionError {
    match error {
        rustls::Error::AlertReceived(alert) => SessionError::Alert(alert_failure(alert)),
        other => SessionError::Protocol(other.to_string()),
    }
}

fn protocol_error(error: io::Error) -> SessionError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(inner) => session_error(inner.clone()),
        None => SessionError::Protocol(error.to_string()),
    }
}

/// Lets the TLS library gather its records into one write.
struct Adapter<'a, T>(&'a T);

impl<T: Output> Write for Adapter<'_, T> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.try_write_vectored(&[IoSlice::new(octets)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
