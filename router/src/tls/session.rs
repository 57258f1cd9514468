//! An established session, with TLS or without: octets in, octets out, no socket of its own.
//!
//! This is the seam between the router and its TLS library. Nothing of the library shows, so that
//! what lies beneath can become its unbuffered interface, or the kernel's TLS, without a change
//! elsewhere.
//!
//! The owner of the socket drives the session:
//!
//! * When the socket is readable: [`Session::receive`], until it says `blocked` or the owner has
//!   had its share. (Or read the socket oneself and hand the octets to [`Session::read`].) The
//!   first call may give data without reading: what came along with the handshake.
//! * To send: [`Session::send`] with everything that is ready, up to about 256 KiB; large calls are
//!   what makes TLS cheap. When it or [`Session::flush`] says [`Flushed::Blocked`], wait for the
//!   socket to become writable, and flush before sending more: nothing but that bounds the
//!   ciphertext that waits.
//! * After every [`Session::read`] ask [`Session::wants_write`]: the protocol itself may have to
//!   answer.
//! * When the socket fails while sending: receive once more. The alert by which the peer says why
//!   may already be here.
//! * At the end: [`Session::send_close_notify`], flush, shut the socket down. After an error: flush
//!   once, so that the peer gets the alert that says why, and close.

use std::io::{self, BufRead, IoSlice, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Buf, BufMut, BytesMut};
use rustls::{Connection, IoState};
use tokio::net::TcpStream;

use super::certificate::Certificate;
use super::ciphers;
use super::failure::{HandshakeError, alert_failure};
use super::profile::Material;

/// A plain session reads straight into the caller's buffer if that has at least this much room,
/// else by way of the scratch buffer.
const DIRECT_READ: usize = 4096;
/// An emptied buffer of unsent plain octets larger than this is given back.
const KEEP: usize = 4096;

/// Where a session's octets come from: a socket, or a test's pipe.
pub trait Input {
    /// Reads once without waiting. 0 is the end; [`io::ErrorKind::WouldBlock`] when nothing is
    /// there.
    fn try_read(&self, to: &mut [u8]) -> io::Result<usize>;

    /// Reads as [`Input::try_read`] does, at most `limit` octets, and appends them to `to`.
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

/// Where a session's octets go: a socket, or a test's pipe.
pub trait Output {
    /// Writes without waiting; [`io::ErrorKind::WouldBlock`] when nothing fits.
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
}

impl Output for TcpStream {
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Self::try_write_vectored(self, slices)
    }
}

/// Whether everything that was written has gone out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Flushed {
    /// Nothing waits.
    All,
    /// The rest waits until the socket becomes writable.
    Blocked,
}

/// How the incoming direction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// TLS close_notify: the peer has sent all it wanted to.
    CloseNotify,
    /// The socket's end. With TLS and no close_notify before it: a lost link, possibly cut by
    /// somebody else.
    Eof,
}

/// What a read brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Plaintext octets appended to the caller's buffer. Can be 0 although octets came: a record
    /// may not be complete yet.
    pub octets: usize,
    /// Nothing more comes.
    pub end: Option<End>,
    /// The socket had nothing: wait until it becomes readable.
    pub blocked: bool,
}

/// Why an established session is over.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The peer ended it by an alert. With TLS 1.3 a refusal of our certificate arrives only now,
    /// after the handshake.
    #[error(transparent)]
    Alert(HandshakeError),
    /// What came is not valid TLS, or was tampered with.
    #[error("the peer broke the TLS protocol: {0}")]
    Protocol(String),
    /// Nothing may be sent any more: close_notify went out, or the keys are used up.
    #[error("the TLS session takes no more data")]
    Closed,
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What was agreed in the handshake.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    /// `TLSv1.3` or `TLSv1.2`.
    pub protocol: &'static str,
    /// The cipher suite as OpenSSL spells it.
    pub cipher: &'static str,
    /// Bits of the cipher's key.
    pub cipher_bits: u16,
    /// The application protocol, if one was negotiated.
    pub alpn: Option<String>,
    /// The peer's certificate, if it presented one.
    pub peer: Option<Certificate>,
    /// Who the peer is by that certificate.
    pub user: Option<String>,
    /// The ordinal of our certificates, which tells older ones from newer.
    pub ordinal: u64,
    /// The lowest ordinal of those that may be used.
    pub oldest_valid: Arc<AtomicU64>,
}

impl SessionInfo {
    /// Whether our certificates were declared too old.
    pub fn is_outdated(&self) -> bool {
        self.ordinal < self.oldest_valid.load(Ordering::Acquire)
    }
}

enum Inner {
    /// Holds what the socket did not take.
    Plain(BytesMut),
    Tls(Box<Connection>),
}

/// An established session over a socket that somebody else owns. See the module for how to drive
/// it.
pub struct Session {
    inner: Inner,
    info: Option<Arc<SessionInfo>>,
    /// Plaintext that came along with the handshake may wait.
    unread: bool,
    /// Plaintext written since all had last gone out.
    unflushed: usize,
    /// close_notify has been sent. The TLS library would go on encrypting, and the peer drop what
    /// comes.
    closed: bool,
}

impl Session {
    /// A session without TLS: what goes in comes out.
    pub fn plain() -> Self {
        Self {
            inner: Inner::Plain(BytesMut::new()),
            info: None,
            unread: false,
            unflushed: 0,
            closed: false,
        }
    }

    pub(super) fn tls(
        mut connection: Connection,
        material: &Material,
        oldest_valid: &Arc<AtomicU64>,
    ) -> Self {
        // The library's own limit would cut large writes into pieces of 64 KiB; the driver's rule
        // to flush first is the bound.
        connection.set_buffer_limit(None);
        let peer = connection
            .peer_certificates()
            .and_then(|chain| chain.first())
            .and_then(|der| Certificate::parse(der));
        let (cipher, cipher_bits) = connection
            .negotiated_cipher_suite()
            .map_or(("", 0), |suite| ciphers::describe(suite.suite()));
        let info = SessionInfo {
            protocol: connection.protocol_version().map_or("", ciphers::protocol_name),
            cipher,
            cipher_bits,
            alpn: connection.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
            user: peer.as_ref().map(|certificate| material.naming.user(certificate)),
            peer,
            ordinal: material.ordinal,
            oldest_valid: Arc::clone(oldest_valid),
        };
        Self {
            inner: Inner::Tls(Box::new(connection)),
            info: Some(Arc::new(info)),
            unread: true,
            unflushed: 0,
            closed: false,
        }
    }

    /// What was agreed in the handshake; `None` for a plain session.
    pub fn info(&self) -> Option<&Arc<SessionInfo>> {
        self.info.as_ref()
    }

    /// Whether the octets on the socket are encrypted.
    pub fn is_tls(&self) -> bool {
        matches!(self.inner, Inner::Tls(_))
    }

    /// Takes octets that were read from the socket and appends the plaintext they complete.
    ///
    /// All of `input` is taken, except what follows a close_notify, which is dropped as the
    /// protocol demands. The plaintext is never longer than the input and what earlier inputs
    /// left incomplete (one record, 16 KiB). An empty input gives what came with the handshake.
    ///
    /// After an error the session can only be flushed.
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

    /// Reads once from the socket, at most `scratch.len()` octets, and appends the plaintext.
    /// `scratch` holds nothing between calls and is shared by all sessions of a thread; 64 KiB
    /// and more keep the number of system calls low.
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

    /// Takes plaintext to be sent, all of it, and leaves the sending to [`Session::flush`].
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

    /// Sends plaintext: writes as much as the socket takes and keeps the rest for
    /// [`Session::flush`]. A plain session hands the slices themselves to the socket.
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

    /// Writes what waits, as far as the socket takes it.
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

    /// Whether [`Session::flush`] has something to write.
    pub fn wants_write(&self) -> bool {
        match &self.inner {
            Inner::Plain(pending) => !pending.is_empty(),
            Inner::Tls(connection) => connection.wants_write(),
        }
    }

    /// Plaintext octets written since everything had last gone out: an upper bound of what waits,
    /// records' overhead aside.
    pub fn unflushed(&self) -> usize {
        self.unflushed
    }

    /// Tells the peer that nothing follows. Flush afterwards; writing afterwards is an error. A
    /// plain session sends nothing: its end is the socket's.
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

/// Moves decrypted data to the caller's buffer; says whether close_notify has come.
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
