//! The accept loop under every HTTP port: one request a connection, a bound on connections, a deadline on everything.
//!
//! Connections are not kept alive: the askers are probes, scrapers and a command, a few requests a second at most, and a
//! connection that ends after its answer needs no rule for when it is idle.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// An answer, whole in memory.
pub type Answer = Response<Full<Bytes>>;

/// A request's body is read to its end, so that closing does not reset the connection under the answer, up to this.
const BODY_LIMIT: usize = 64 * 1024;

/// Room for one request head: what a browser with all its cookies sends fits, and 64 connections take half a MiB.
const HEAD_LIMIT: usize = 8 * 1024;

/// How long accepting rests after it failed. It fails when the process is out of descriptors or memory, and would at once
/// again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What one port grants to all of its clients together, and to each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections served at the same time; more wait in the backlog.
    pub connections: usize,
    /// For the request's head, once the connection is open.
    pub head: Duration,
    /// For the connection as a whole: a client that does not read its answer is cut off.
    pub whole: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 64, head: Duration::from_secs(10), whole: Duration::from_secs(30) }
    }
}

/// What accepts connections.
pub trait Accept: Send {
    /// A connection as it is accepted.
    type Raw: Send + 'static;
    /// What HTTP is spoken on.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Waits for the next; must be cancel safe.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Raw>> + Send;

    /// Makes a connection ready to speak on, TLS for example, in its own task; `None` if that fails. It has a deadline of its
    /// own, to tell why it failed.
    fn open(&self, raw: Self::Raw) -> impl Future<Output = Option<Self::Stream>> + Send + 'static;
}

impl Accept for TcpListener {
    type Raw = tokio::net::TcpStream;
    type Stream = Self::Raw;

    async fn accept(&self) -> io::Result<Self::Raw> {
        Self::accept(self).await.map(|(stream, _)| stream)
    }

    fn open(&self, raw: Self::Raw) -> impl Future<Output = Option<Self::Stream>> + Send + 'static {
        std::future::ready(Some(raw))
    }
}

impl Accept for UnixListener {
    type Raw = tokio::net::UnixStream;
    type Stream = Self::Raw;

    async fn accept(&self) -> io::Result<Self::Raw> {
        Self::accept(self).await.map(|(stream, _)| stream)
    }

    fn open(&self, raw: Self::Raw) -> impl Future<Output = Option<Self::Stream>> + Send + 'static {
        std::future::ready(Some(raw))
    }
}

/// What answers. It is asked about `GET` only, `HEAD` included; the path comes without the query.
pub trait Handler: Send + Sync + 'static {
    /// Answers a request for `path`.
    fn answer(&self, path: &str) -> impl Future<Output = Answer> + Send;

    /// Adds to an answer what every answer of this port carries, those about unsuitable methods included.
    fn finish(&self, _answer: &mut Answer) {}
}

/// Serves `listener` for as long as the future is polled. Dropped, it closes the port and every connection.
pub async fn run<L: Accept, H: Handler>(listener: L, limits: Limits, handler: H) -> Infallible {
    let handler = Arc::new(handler);
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    let mut failing = false;
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            // Nobody closes the semaphore; if somebody did, no connection may be accepted any more.
            std::future::pending().await
        };
        match listener.accept().await {
            Ok(raw) => {
                failing = false;
                let handler = Arc::clone(&handler);
                let opening = listener.open(raw);
                connections.spawn(async move {
                    if let Some(stream) = opening.await {
                        serve(stream, limits, handler).await;
                    }
                    drop(place);
                });
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    crate::log!(Http, Error, "accepting an HTTP connection failed, trying on: {error}");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve<S, H>(stream: S, limits: Limits, handler: Arc<H>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    let service = service_fn(|request: Request<Incoming>| {
        let handler = Arc::clone(&handler);
        async move {
            let (head, body) = request.into_parts();
            // Its content is of no interest, and whether it came whole neither.
            let _ = Limited::new(body, BODY_LIMIT).collect().await;
            let mut answer = if head.method == Method::GET || head.method == Method::HEAD {
                handler.answer(head.uri.path()).await
            } else {
                let mut refusal = json(StatusCode::METHOD_NOT_ALLOWED, r#"{"error":"only GET and HEAD are served here"}"#);
                refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
                refusal
            };
            handler.finish(&mut answer);
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), service);
    // What ended it, garbage, silence or a reset, is the client's affair; hyper has answered where an answer was due.
    let _ = tokio::time::timeout(limits.whole, connection).await;
}

/// A JSON answer.
pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    answer(status, "application/json", body)
}

/// A plain text answer.
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    answer(status, "text/plain", body)
}

fn answer(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
