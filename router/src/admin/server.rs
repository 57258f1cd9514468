//! Answers requests on the admin socket: JSON over HTTP/1.1, one request a connection.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use hyper::StatusCode;
use serde::Serialize;
use tokio::net::UnixListener;

use super::model::Source;
use super::socket::AdminSocket;
use crate::http::aside::Aside;
use crate::http::connections::{self, Answer, Handler, Limits, json};

/// One route of the admin socket.
#[derive(Serialize)]
pub struct Route {
    /// The path.
    pub path: &'static str,
    /// The description of its answer.
    pub about: &'static str,
    #[serde(skip)]
    answer: fn(&dyn Source) -> serde_json::Result<Vec<u8>>,
}

/// All routes, in the order in which `/` lists them.
pub static ROUTES: &[Route] = &[
    Route { path: "/", about: "this list", answer: |_| serde_json::to_vec(ROUTES) },
    Route {
        path: "/status",
        about: "the router as a whole: sites linked, services seen, warnings, last errors",
        answer: |source| serde_json::to_vec(&source.status()),
    },
    Route {
        path: "/links",
        about: "site links: state, reason, next try, peer, TLS, octets",
        answer: |source| serde_json::to_vec(&source.links()),
    },
    Route {
        path: "/services",
        about: "services: listeners, connectors, routers that serve them",
        answer: |source| serde_json::to_vec(&source.services()),
    },
    Route {
        path: "/connections",
        about: "open connections, of AMQP and of services",
        answer: |source| serde_json::to_vec(&source.connections()),
    },
    Route {
        path: "/routers",
        about: "routers known: next hop, cost, neighbors",
        answer: |source| serde_json::to_vec(&source.routers()),
    },
    Route {
        path: "/addresses",
        about: "the address table: treatment, consumers here, routers elsewhere",
        answer: |source| serde_json::to_vec(&source.addresses()),
    },
    Route {
        path: "/version",
        about: "what is running",
        answer: |source| serde_json::to_vec(&source.version()),
    },
];

/// Serves the socket for as long as the caller polls the future. Its drop removes the socket and
/// closes all connections.
///
/// # Errors
/// The runtime cannot take the socket.
pub async fn serve(
    socket: AdminSocket,
    source: Arc<dyn Source>,
    limits: Limits,
) -> io::Result<Infallible> {
    let AdminSocket { listener, place } = socket;
    listener.set_nonblocking(true)?;
    let never = connections::run(
        UnixListener::from_std(listener)?,
        limits,
        Routes { source, aside: Aside::default() },
    )
    .await;
    drop(place);
    match never {}
}

struct Routes {
    source: Arc<dyn Source>,
    aside: Aside,
}

impl Handler for Routes {
    async fn answer(&self, path: &str) -> Answer {
        let Some(route) = ROUTES.iter().find(|route| route.path == path) else {
            let paths: Vec<_> = ROUTES.iter().map(|route| route.path).collect();
            return json(
                StatusCode::NOT_FOUND,
                serde_json::json!({ "error": "no such path", "paths": paths }).to_string(),
            );
        };
        let failed = |error: &str| {
            json(
                StatusCode::INTERNAL_SERVER_ERROR,
                serde_json::json!({ "error": error }).to_string(),
            )
        };
        let source = Arc::clone(&self.source);
        match self.aside.make(move || (route.answer)(source.as_ref())).await {
            Some(Ok(mut body)) => {
                body.push(b'\n');
                json(StatusCode::OK, body)
            }
            Some(Err(error)) => failed(&error.to_string()),
            None => failed("the answer could not be made"),
        }
    }
}

#[cfg(test)]
mod tests;
