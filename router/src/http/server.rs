//! The listener with `http: yes`: `/healthz`, `/metrics`, files, and the opening of AMQP over
//! WebSocket.
//!
//! Names, bodies and headers are those of the C router, so that its probes and dashboards work
//! unchanged.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{Either, Full};
use hyper::header::{HeaderValue, LOCATION, SEC_WEBSOCKET_VERSION, SERVER};
use hyper::{Request, StatusCode};

use super::aside::Aside;
use super::connections::{self, Accept, Answer, Handler, Limits, Released, Successor, text};
use super::files::{Folder, Found};
use super::metrics::{self, Metrics};
use crate::socket::{Descriptor, Neighbors, Purpose};
use crate::websocket::{Origins, handshake};

/// The product's name, as the C router gives it.
const PRODUCT: HeaderValue = HeaderValue::from_static("skupper-router");

/// Deadline of the core's answer for `/healthz`. Kubernetes' default for a probe is one second too.
const HEALTH_DEADLINE: Duration = Duration::from_secs(1);

/// The source of the answers.
pub trait HttpSource: Send + Sync + 'static {
    /// Resolves once every part of the core that forwarding needs has answered. The caller sets the
    /// deadline.
    fn healthy(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
    /// Returns the figures of this moment. Runs on a thread for blocking work.
    fn metrics(&self) -> Metrics;
}

/// Time for a client of a listener that serves files. Even a slow client gets some MiB in it.
const FILE_DEADLINE: Duration = Duration::from_secs(300);

/// The function that takes over a client that has opened a WebSocket, with its counted descriptor.
pub type WebSockets = Arc<dyn Fn(Released, Descriptor) + Send + Sync>;

/// The services of a listener.
#[derive(Clone)]
pub struct Options {
    /// Serves `/healthz`.
    pub healthz: bool,
    /// Serves `/metrics`.
    pub metrics: bool,
    /// Answers only clients that have shown a certificate. A WebSocket's client proves its identity
    /// in AMQP.
    pub certified: bool,
    /// Serves the files of this folder.
    pub files: Option<Folder>,
    /// Opens WebSockets for AMQP.
    pub websockets: Option<WebSockets>,
    /// The origins of pages that may open a WebSocket.
    pub origins: Origins,
    /// The limits of the port.
    pub limits: Limits,
    /// The neighbors that some places are kept for.
    pub neighbors: Arc<Neighbors>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            healthz: true,
            metrics: true,
            certified: false,
            files: None,
            websockets: None,
            origins: Origins::default(),
            limits: Limits::default(),
            neighbors: Arc::default(),
        }
    }
}

/// Serves a listening socket for as long as the caller polls the future. Its drop closes the port
/// and its connections.
///
/// # Errors
/// The runtime cannot take the socket.
pub async fn serve(
    listener: TcpListener,
    options: Options,
    source: Arc<dyn HttpSource>,
) -> io::Result<Infallible> {
    listener.set_nonblocking(true)?;
    Ok(serve_on(tokio::net::TcpListener::from_std(listener)?, options, source).await)
}

/// Serves any source of connections, such as a [`Secured`](super::tls::Secured) listener, as
/// [`serve`] does. Only a drop ends it.
pub async fn serve_on<L: Accept>(
    listener: L,
    options: Options,
    source: Arc<dyn HttpSource>,
) -> Infallible {
    let mut limits = options.limits;
    if options.files.is_some() {
        limits.whole = limits.whole.max(FILE_DEADLINE);
    }
    let neighbors = Arc::clone(&options.neighbors);
    let port = Port { options, source, aside: Aside::default() };
    connections::run_beside(listener, limits, neighbors, port).await
}

struct Port {
    options: Options,
    source: Arc<dyn HttpSource>,
    aside: Aside,
}

impl Handler for Port {
    async fn answer(&self, path: &str) -> Answer {
        match path {
            "/healthz" if self.options.healthz => {
                match tokio::time::timeout(HEALTH_DEADLINE, self.source.healthy()).await {
                    Ok(()) => text(StatusCode::OK, "OK\n"),
                    Err(_) => {
                        text(StatusCode::SERVICE_UNAVAILABLE, "the router core does not answer\n")
                    }
                }
            }
            "/metrics" if self.options.metrics => {
                let source = Arc::clone(&self.source);
                match self.aside.make(move || metrics::render(&source.metrics())).await {
                    Some(Ok(page)) => text(StatusCode::OK, page),
                    Some(Err(error)) => {
                        text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"))
                    }
                    None => {
                        text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be made\n")
                    }
                }
            }
            _ => self.file(path).await,
        }
    }

    fn upgrade(&self, request: &Request<()>) -> Option<(Answer, Option<Successor>)> {
        if !handshake::is_asked(request.headers()) {
            return None;
        }
        let Some(websockets) = self.options.websockets.clone() else {
            return Some((
                text(StatusCode::FORBIDDEN, "AMQP over WebSocket is not spoken here\n"),
                None,
            ));
        };
        if !self.options.origins.admit(request.headers()) {
            let reason = "pages of this origin may not open a WebSocket here; see websocketOrigins \
                          of the listener\n";
            return Some((text(StatusCode::FORBIDDEN, reason), None));
        }
        match handshake::answer(request) {
            Ok(answer) => {
                // From here on it is a client, and clients stop before probes do.
                let Some(descriptor) = Descriptor::claim(Purpose::Client) else {
                    return Some((
                        text(StatusCode::SERVICE_UNAVAILABLE, "too many connections are open\n"),
                        None,
                    ));
                };
                let mut answer = answer.map(|()| Either::Left(Full::default()));
                answer.headers_mut().insert(SERVER, PRODUCT);
                Some((answer, Some(Box::new(move |released| websockets(released, descriptor)))))
            }
            Err((status, reason)) => {
                let mut answer = text(status, reason);
                answer.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
                Some((answer, None))
            }
        }
    }

    fn refuse(&self, certified: bool) -> Option<Answer> {
        let refused = self.options.certified && !certified;
        refused.then(|| {
            text(StatusCode::FORBIDDEN, "only clients with a certificate are answered here\n")
        })
    }

    fn finish(&self, answer: &mut Answer) {
        answer.headers_mut().insert(SERVER, PRODUCT);
    }
}

impl Port {
    async fn file(&self, path: &str) -> Answer {
        let found = match &self.options.files {
            Some(folder) => folder.find(path).await,
            None => None,
        };
        match found {
            Some(Found::File(kind, content)) => connections::file(kind, content),
            Some(Found::Folder) => {
                let mut answer = text(StatusCode::MOVED_PERMANENTLY, "it is a folder\n");
                let name = path.rsplit('/').next().unwrap_or_default();
                if let Ok(location) = HeaderValue::from_str(&format!("./{name}/")) {
                    answer.headers_mut().insert(LOCATION, location);
                }
                answer
            }
            None => text(StatusCode::NOT_FOUND, "not found\n"),
        }
    }
}

#[cfg(test)]
mod tests;
