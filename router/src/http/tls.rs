//! TLS under an HTTP port: a socket and a session of `tls` as one stream.
//!
//! Without `requireSsl` the port also answers in clear text, as the C router's does.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::connections::{Accept, Released, SILENCE};
use crate::socket::{Phase, Place, Source};
use crate::tls::{Acceptor, Flushed, HandshakeError, Session, SessionError, speaks_tls};

/// Bytes read from the socket at once: the longest TLS record with its overhead.
const READ: usize = 17 * 1024;

/// Bytes given to TLS at once, so that little waits for a slow client.
const WRITE: usize = 64 * 1024;

/// The function that counts and logs each refused client. The error is `None` if the client spoke
/// clear text where TLS is required.
pub type Refused = Arc<dyn Fn(SocketAddr, Option<&HandshakeError>) + Send + Sync>;

/// A listener for clients that speak TLS.
pub struct Secured {
    listener: TcpListener,
    acceptor: Acceptor,
    required: bool,
    deadline: Duration,
    refused: Refused,
}

impl Secured {
    /// Creates a listener that ends TLS with `acceptor`. It answers clear text too, unless TLS is
    /// `required`. From accept to the end of the handshake a client has `deadline`.
    pub fn new(
        listener: TcpListener,
        acceptor: Acceptor,
        required: bool,
        deadline: Duration,
        refused: Refused,
    ) -> Self {
        Self { listener, acceptor, required, deadline, refused }
    }
}

impl Accept for Secured {
    type Raw = (TcpStream, SocketAddr);
    type Stream = Stream;

    async fn accept(&self) -> io::Result<(Self::Raw, Source)> {
        self.listener
            .accept()
            .await
            .map(|(socket, client)| ((socket, client), Source::of(client.ip())))
    }

    fn open(
        &self,
        (socket, client): Self::Raw,
        place: Arc<Place>,
    ) -> impl Future<Output = Option<Stream>> + Send + 'static {
        let (acceptor, required, deadline) = (self.acceptor.clone(), self.required, self.deadline);
        let refused = Arc::clone(&self.refused);
        async move {
            let start = Instant::now();
            let begins_tls = speaks_tls(&socket, deadline.min(SILENCE)).await.ok()??;
            place.advance(Phase::Opening);
            if !begins_tls {
                if required {
                    refused(client, None);
                    return None;
                }
                return Some(Stream::new(socket, Session::plain()));
            }
            match acceptor.accept(socket, deadline.saturating_sub(start.elapsed())).await {
                Ok((socket, session)) => Some(Stream::new(socket, session)),
                Err(error) => {
                    refused(client, Some(&error));
                    None
                }
            }
        }
    }

    fn is_certified(stream: &Stream) -> bool {
        stream.session.info().is_some_and(|info| info.peer.is_some())
    }

    fn release(stream: Stream) -> Option<Released> {
        Some(Released { socket: stream.socket, session: stream.session, read: stream.plaintext })
    }
}

/// A socket and its session as one stream.
pub struct Stream {
    socket: TcpStream,
    session: Session,
    scratch: Box<[u8]>,
    plaintext: BytesMut,
    ended: bool,
    closing: bool,
}

impl Stream {
    fn new(socket: TcpStream, session: Session) -> Self {
        let scratch = vec![0; READ].into_boxed_slice();
        Self { socket, session, scratch, plaintext: BytesMut::new(), ended: false, closing: false }
    }

    /// Sends the waiting bytes.
    fn drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.session.flush(&self.socket)? == Flushed::Blocked {
            ready!(self.socket.poll_write_ready(context))?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        while stream.plaintext.is_empty() && !stream.ended {
            let received = stream
                .session
                .receive(&stream.socket, &mut stream.scratch, &mut stream.plaintext)
                .map_err(broken)?;
            stream.ended = received.end.is_some();
            if received.blocked {
                ready!(stream.socket.poll_read_ready(context))?;
            }
        }
        let octets = stream.plaintext.len().min(to.remaining());
        to.put_slice(stream.plaintext.get(..octets).unwrap_or_default());
        stream.plaintext.advance(octets);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        ready!(stream.drain(context))?;
        let from = from.get(..WRITE).unwrap_or(from);
        // The next write or a flush sends the bytes that the socket does not take.
        let _ = stream.session.send(&stream.socket, &[IoSlice::new(from)]).map_err(broken)?;
        Poll::Ready(Ok(from.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().drain(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        if !std::mem::replace(&mut stream.closing, true) {
            stream.session.send_close_notify();
        }
        ready!(stream.drain(context))?;
        Pin::new(&mut stream.socket).poll_shutdown(context)
    }
}

fn broken(error: SessionError) -> io::Error {
    match error {
        SessionError::Io(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}

#[cfg(test)]
mod tests;
