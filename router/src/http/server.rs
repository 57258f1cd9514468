//! The listener with `http: yes`: `/healthz` and `/metrics`.
//!
//! Names, bodies and headers are those of the C router, so that probes and dashboards made for it serve unchanged.

use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{CONNECTION, HeaderValue, SERVER};

use super::connections::{self, Accept, Answer, Handler, Limits, text};
use super::metrics::{self, Metrics};

/// How long the core may take to answer for `/healthz`. Kubernetes' own default for a probe is one second as well.
const HEALTH_DEADLINE: Duration = Duration::from_secs(1);

/// Where the answers come from.
pub trait HttpSource: Send + Sync + 'static {
    /// Asks the core for a sign of life: resolves once every part without which nothing is forwarded has answered. The
    /// caller brings the deadline.
    fn healthy(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
    /// The figures of this moment.
    fn metrics(&self) -> Metrics;
}

/// What a listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Serve `/healthz`.
    pub healthz: bool,
    /// Serve `/metrics`.
    pub metrics: bool,
    /// What its clients are granted.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self { healthz: true, metrics: true, limits: Limits::default() }
    }
}

/// Serves a listening socket for as long as the future is polled; dropped, it closes the port and its connections.
///
/// # Errors
/// The socket cannot be handed to the runtime.
pub async fn serve(listener: TcpListener, options: Options, source: Arc<dyn HttpSource>) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    serve_on(tokio::net::TcpListener::from_std(listener)?, options, source).await
}

/// As [`serve`], for whatever accepts connections: a [`Secured`](super::tls::Secured) listener, say.
///
/// # Errors
/// None so far; it ends only by being dropped.
pub async fn serve_on<L: Accept>(listener: L, options: Options, source: Arc<dyn HttpSource>) -> io::Result<()> {
    match connections::run(listener, options.limits, Port { options, source }).await {}
}

struct Port {
    options: Options,
    source: Arc<dyn HttpSource>,
}

impl Handler for Port {
    async fn answer(&self, path: &str) -> Answer {
        match path {
            "/healthz" if self.options.healthz => match tokio::time::timeout(HEALTH_DEADLINE, self.source.healthy()).await {
                Ok(()) => text(StatusCode::OK, "OK\n"),
                Err(_) => text(StatusCode::SERVICE_UNAVAILABLE, "the router core does not answer\n"),
            },
            "/metrics" if self.options.metrics => match metrics::render(&self.source.metrics()) {
                Ok(page) => text(StatusCode::OK, page),
                Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
            },
            _ => text(StatusCode::NOT_FOUND, "not found\n"),
        }
    }

    fn finish(&self, answer: &mut Answer) {
        answer.headers_mut().insert(SERVER, HeaderValue::from_static("skupper-router"));
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

#[cfg(test)]
mod tests;
