//! The accept loop under every HTTP port: one request a connection, bounded connections, and a
//! deadline on everything.
//!
//! The sources of connections share the places (`socket::Places`), so a silent crowd keeps no probe
//! out.
//!
//! A request may ask for another protocol. The loop then hands the connection to a [`Successor`].
//!
//! The loop keeps no connection alive after its answer. Its clients are probes, scrapers and a
//! command, with a few requests a second. So it needs no rule for idle connections.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;

use super::files::Content;
use crate::lock::Mutex;
use crate::socket::{Descriptor, Neighbors, Phase, Place, Places, Purpose, Source};
use crate::tls::Session;

/// An answer: a body in memory, or a file's content.
pub type Answer = Response<Either<Full<Bytes>, Content>>;

/// Most bytes read of a request's body. The loop reads the body so that the close does not reset
/// the connection under the answer.
const BODY_LIMIT: usize = 64 * 1024;

/// Buffer for a request head. A browser's head with all its cookies fits, and 64 connections take
/// half a MiB.
const HEAD_LIMIT: usize = 8 * 1024;

/// Pause after a failed accept. It fails when descriptors or memory are short, and would fail again
/// at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Longest time for the first bytes of a connection. Probes and browsers send them at once.
pub(super) const SILENCE: Duration = Duration::from_secs(2);

/// One place in so many is kept for this machine and for neighbors.
const KEPT: usize = 8;

/// The limits of one port, for all its connections and for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections served at the same time. A bounded number more may wait.
    pub connections: usize,
    /// Time for the request's head, once the connection is open.
    pub head: Duration,
    /// Time for the whole connection. A client that does not read its answer loses the connection.
    pub whole: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 64, head: SILENCE, whole: Duration::from_secs(30) }
    }
}

/// A source of connections.
pub trait Accept: Send {
    /// A connection as accepted.
    type Raw: Send + 'static;
    /// The stream that carries HTTP.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// The purpose of its descriptors.
    const PURPOSE: Purpose = Purpose::Http;

    /// Waits for the next connection, and returns it with its source. Must be cancel safe.
    ///
    /// # Errors
    /// The system refuses, for example for lack of descriptors.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Raw, Source)>> + Send;

    /// Opens the stream on a connection, with a TLS handshake for example. Runs in the connection's
    /// task.
    ///
    /// Sets its own deadline and reports a failure itself; then it returns `None`. It advances
    /// `place` when the client has begun to send.
    fn open(
        &self,
        raw: Self::Raw,
        place: Arc<Place>,
    ) -> impl Future<Output = Option<Self::Stream>> + Send + 'static;

    /// Returns true if the client has shown a valid certificate.
    fn is_certified(_stream: &Self::Stream) -> bool {
        false
    }

    /// Takes a connection apart that goes on in another protocol. Returns `None` if this kind of
    /// stream cannot.
    fn release(_stream: Self::Stream) -> Option<Released> {
        None
    }
}

/// A connection that has left HTTP.
#[derive(Debug)]
pub struct Released {
    /// Its socket.
    pub socket: tokio::net::TcpStream,
    /// The session on it.
    pub session: Session,
    /// Decrypted bytes that came behind the request.
    pub read: BytesMut,
}

/// The function that takes over a connection that has left HTTP.
pub type Successor = Box<dyn FnOnce(Released) + Send>;

impl Accept for TcpListener {
    type Raw = tokio::net::TcpStream;
    type Stream = Self::Raw;

    async fn accept(&self) -> io::Result<(Self::Raw, Source)> {
        Self::accept(self).await.map(|(stream, peer)| (stream, Source::of(peer.ip())))
    }

    fn open(
        &self,
        raw: Self::Raw,
        _: Arc<Place>,
    ) -> impl Future<Output = Option<Self::Stream>> + Send + 'static {
        std::future::ready(Some(raw))
    }

    fn release(socket: Self::Stream) -> Option<Released> {
        Some(Released { socket, session: Session::plain(), read: BytesMut::new() })
    }
}

impl Accept for UnixListener {
    type Raw = tokio::net::UnixStream;
    type Stream = Self::Raw;
    const PURPOSE: Purpose = Purpose::Admin;

    async fn accept(&self) -> io::Result<(Self::Raw, Source)> {
        Self::accept(self).await.map(|(stream, _)| (stream, Source::Local))
    }

    fn open(
        &self,
        raw: Self::Raw,
        _: Arc<Place>,
    ) -> impl Future<Output = Option<Self::Stream>> + Send + 'static {
        std::future::ready(Some(raw))
    }
}

/// The answers of a port. The loop asks for `GET` and `HEAD` only, with the path without its query.
pub trait Handler: Send + Sync + 'static {
    /// Returns the answer to a request for `path`.
    fn answer(&self, path: &str) -> impl Future<Output = Answer> + Send;

    /// Answers a request for another protocol, with the successor if the answer accepts it. Returns
    /// `None` for an ordinary request.
    fn upgrade(&self, _request: &Request<()>) -> Option<(Answer, Option<Successor>)> {
        None
    }

    /// Returns the refusal for a client that may not ask here. `certified` says whether it has
    /// shown a certificate. Returns `None` if it may ask.
    fn refuse(&self, _certified: bool) -> Option<Answer> {
        None
    }

    /// Adds the headers that every answer of this port carries, refusals of methods included.
    fn finish(&self, _answer: &mut Answer) {}
}

/// Serves `listener` for as long as the caller polls the future. Its drop closes the port and every
/// connection.
pub async fn run<L: Accept, H: Handler>(listener: L, limits: Limits, handler: H) -> Infallible {
    run_beside(listener, limits, Arc::default(), handler).await
}

/// Serves like [`run`], and keeps some places for `neighbors`.
pub async fn run_beside<L: Accept, H: Handler>(
    listener: L,
    limits: Limits,
    neighbors: Arc<Neighbors>,
    handler: H,
) -> Infallible {
    let handler = Arc::new(handler);
    let places = Places::new(limits.connections, limits.connections / KEPT, neighbors);
    // The listening socket's own descriptor.
    let _own = Descriptor::held();
    let mut connections = JoinSet::new();
    let mut failing = false;
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((raw, source)) => {
                failing = false;
                let descriptor = places.descriptor(source, L::PURPOSE).await;
                let place = Arc::new(places.arrive(source));
                let opening = listener.open(raw, Arc::clone(&place));
                let handler = Arc::clone(&handler);
                connections.spawn(async move {
                    let _descriptor = descriptor;
                    if !tokio::time::timeout(limits.whole, place.granted())
                        .await
                        .unwrap_or_default()
                    {
                        crate::log_limited!(
                            source,
                            Http,
                            Warning,
                            "too many HTTP connections: one \
                             from {source} is turned away"
                        );
                        return;
                    }
                    let served = async {
                        if let Some(stream) = opening.await {
                            serve::<L, H>(stream, limits, handler, &place).await;
                        }
                    };
                    tokio::select! {
                        () = served => {}
                        () = place.ended() => crate::log_limited!(
                            source,
                            Http,
                            Warning,
                            "all places are taken: an HTTP connection from {source} gives way to \
                             another"
                        ),
                    }
                });
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    crate::log!(
                        Http,
                        Error,
                        "accepting an HTTP connection failed, trying on: {error}"
                    );
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve<L: Accept, H: Handler>(
    stream: L::Stream,
    limits: Limits,
    handler: Arc<H>,
    place: &Place,
) {
    let leaves: Mutex<Option<(OnUpgrade, Successor)>> = Mutex::default();
    let certified = L::is_certified(&stream);
    let service = service_fn(|request| answer_to(request, &*handler, certified, &leaves, place));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), service);
    let leaves = || leaves.lock().take();
    // Garbage, silence and resets are the client's own faults: hyper has answered where an answer
    // was due.
    if tokio::time::timeout(limits.whole, connection.with_upgrades())
        .await
        .is_ok_and(|ended| ended.is_ok())
        && let Some((upgrade, successor)) = leaves()
        && let Ok(upgraded) = upgrade.await
        && let Some(released) = release::<L>(upgraded)
    {
        successor(released);
    }
}

fn release<L: Accept>(upgraded: Upgraded) -> Option<Released> {
    let parts = upgraded.downcast::<TokioIo<L::Stream>>().ok()?;
    let mut released = L::release(parts.io.into_inner())?;
    if !parts.read_buf.is_empty() {
        let behind = std::mem::replace(&mut released.read, BytesMut::from(parts.read_buf));
        released.read.extend_from_slice(&behind);
    }
    Some(released)
}

async fn answer_to<H: Handler>(
    mut request: Request<Incoming>,
    handler: &H,
    certified: bool,
    leaves: &Mutex<Option<(OnUpgrade, Successor)>>,
    place: &Place,
) -> Result<Answer, Infallible> {
    let upgrade = hyper::upgrade::on(&mut request);
    let (head, body) = request.into_parts();
    let head = Request::from_parts(head, ());
    if let Some((mut answer, successor)) = handler.upgrade(&head) {
        place.advance(Phase::Served);
        match successor {
            Some(successor) => *leaves.lock() = Some((upgrade, successor)),
            None => finish(handler, &mut answer),
        }
        return Ok(answer);
    }
    // The body has no meaning, and need not arrive whole.
    let _ = Limited::new(body, BODY_LIMIT).collect().await;
    // A client with an incomplete request gives way as a silent one does. Here it is complete.
    place.advance(Phase::Served);
    let mut answer = if let Some(refusal) = handler.refuse(certified) {
        refusal
    } else if matches!(*head.method(), Method::GET | Method::HEAD) {
        handler.answer(head.uri().path()).await
    } else {
        let mut refusal = json(
            StatusCode::METHOD_NOT_ALLOWED,
            r#"{"error":"only GET and HEAD are served here"}"#,
        );
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        refusal
    };
    finish(handler, &mut answer);
    Ok(answer)
}

/// Makes an answer the connection's last. hyper's own switch for that would also mark an answer
/// after which another protocol follows.
fn finish<H: Handler>(handler: &H, answer: &mut Answer) {
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    handler.finish(answer);
}

/// Returns a JSON answer.
pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    answer(status, "application/json", body)
}

/// Returns a plain text answer.
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    answer(status, "text/plain", body)
}

/// Returns an answer with a file's content.
pub fn file(kind: &'static str, content: Content) -> Answer {
    let mut answer = Response::new(Either::Right(content));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

fn answer(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Either::Left(Full::new(body.into())));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
