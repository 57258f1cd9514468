//! The accept loop under every HTTP port: one request a connection, a bound on connections, a
//! deadline on everything.
//!
//! Places are shared between the sources of connections (`socket::Places`): a crowd that says
//! nothing keeps no probe out.
//!
//! A request may ask for another protocol: then the connection is handed to whoever speaks it, and
//! is no longer HTTP's.
//!
//! Connections are not kept alive: the askers are probes, scrapers and a command, a few requests a
//! second at most, and a connection that ends after its answer needs no rule for when it is idle.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
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
use crate::socket::{Descriptor, Neighbors, Phase, Place, Places, Purpose, Source};
use crate::tls::Session;

/// An answer: whole in memory, or a file's content.
pub type Answer = Response<Either<Full<Bytes>, Content>>;

/// A request's body is read to its end, so that closing does not reset the connection under the
/// answer, up to this.
const BODY_LIMIT: usize = 64 * 1024;

/// Room for one request head: what a browser with all its cookies sends fits, and 64 connections
/// take half a MiB.
const HEAD_LIMIT: usize = 8 * 1024;

/// How long accepting rests after it failed. It fails when the process is out of descriptors or
/// memory, and would at once again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a connection may stay without a request. Probes and browsers send theirs at once.
pub(super) const SILENCE: Duration = Duration::from_secs(2);

/// The part of the places that is kept for this machine and for neighbors: one in so many.
const KEPT: usize = 8;

/// What one port grants to all of its clients together, and to each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections served at the same time; a bounded number more wait.
    pub connections: usize,
    /// For the request's head, once the connection is open.
    pub head: Duration,
    /// For the connection as a whole: a client that does not read its answer is cut off.
    pub whole: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 64, head: SILENCE, whole: Duration::from_secs(30) }
    }
}

/// What accepts connections.
pub trait Accept: Send {
    /// A connection as it is accepted.
    type Raw: Send + 'static;
    /// What HTTP is spoken on.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// What its descriptors are for.
    const PURPOSE: Purpose = Purpose::Http;

    /// Waits for the next, and tells where it comes from; must be cancel safe.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Raw, Source)>> + Send;

    /// Makes a connection ready to speak on, TLS for example, in its own task; `None` if that
    /// fails. It has a deadline of its own, to tell why it failed. It says of `place` when the
    /// client has begun to speak.
    fn open(
        &self,
        raw: Self::Raw,
        place: Arc<Place>,
    ) -> impl Future<Output = Option<Self::Stream>> + Send + 'static;

    /// Whether the client has shown a certificate, and it is good.
    fn is_certified(_stream: &Self::Stream) -> bool {
        false
    }

    /// Takes a connection apart that speaks another protocol from now on. `None`: there is none to
    /// speak here.
    fn release(_stream: Self::Stream) -> Option<Released> {
        None
    }
}

/// A connection that was HTTP's.
#[derive(Debug)]
pub struct Released {
    /// Its socket.
    pub socket: tokio::net::TcpStream,
    /// The session upon it.
    pub session: Session,
    /// What came behind the request already, decrypted.
    pub read: BytesMut,
}

/// What goes on with a connection that was HTTP's.
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

/// What answers. It is asked about `GET` only, `HEAD` included; the path comes without the query.
pub trait Handler: Send + Sync + 'static {
    /// Answers a request for `path`.
    fn answer(&self, path: &str) -> impl Future<Output = Answer> + Send;

    /// The answer to a request for another protocol, and who goes on if it is a yes. `None`: the
    /// request is none, or is answered as if it were none.
    fn upgrade(&self, _request: &Request<()>) -> Option<(Answer, Option<Successor>)> {
        None
    }

    /// The answer to a client that may not ask anything here, by whether it has shown a
    /// certificate. `None`: it may.
    fn refuse(&self, _certified: bool) -> Option<Answer> {
        None
    }

    /// Adds to an answer what every answer of this port carries, those about unsuitable methods
    /// included.
    fn finish(&self, _answer: &mut Answer) {}
}

/// Serves `listener` for as long as the future is polled. Dropped, it closes the port and every
/// connection.
pub async fn run<L: Accept, H: Handler>(listener: L, limits: Limits, handler: H) -> Infallible {
    run_beside(listener, limits, Arc::default(), handler).await
}

/// As [`run`], on a port where some places are kept for `neighbors`.
pub async fn run_beside<L: Accept, H: Handler>(
    listener: L,
    limits: Limits,
    neighbors: Arc<Neighbors>,
    handler: H,
) -> Infallible {
    let handler = Arc::new(handler);
    let places = Places::new(limits.connections, limits.connections / KEPT, neighbors);
    // Of the listening socket itself.
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
                    if !tokio::time::timeout(limits.whole, place.granted()).await.unwrap_or_default() {
                        crate::log_limited!(source, Http, Warning, "too many HTTP connections: one from {source} is turned away");
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
                            "all places are taken: an HTTP connection from {source} gives way to another"
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
    let leaves = || leaves.lock().unwrap_or_else(PoisonError::into_inner).take();
    // What ended it, garbage, silence or a reset, is the client's affair; hyper has answered where
    // an answer was due.
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
            Some(successor) => {
                *leaves.lock().unwrap_or_else(PoisonError::into_inner) = Some((upgrade, successor))
            }
            None => finish(handler, &mut answer),
        }
        return Ok(answer);
    }
    // Its content is of no interest, and whether it came whole neither.
    let _ = Limited::new(body, BODY_LIMIT).collect().await;
    // A client that owes the rest of its request gives way as a silent one does.
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

/// Makes an answer the connection's last. (The library's own switch for that would also say so of
/// one that goes on as another protocol.)
fn finish<H: Handler>(handler: &H, answer: &mut Answer) {
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    handler.finish(answer);
}

/// A JSON answer.
pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    answer(status, "application/json", body)
}

/// A plain text answer.
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    answer(status, "text/plain", body)
}

/// A file's content as an answer.
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
