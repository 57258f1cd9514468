//! A client of a router's admin socket, over HTTP/1.1.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

use crate::admin::{path, socket};

/// Time for one question in all.
const DEADLINE: Duration = Duration::from_secs(10);

/// Longest answer in bytes. A hundred thousand connections fit.
const ANSWER_LIMIT: usize = 64 * 1024 * 1024;

/// The reason why a question has no answer.
#[derive(Debug, Error)]
pub(super) enum ClientError {
    #[error("no running router of this user was found (in {}); if it runs as another user or \
             elsewhere, name its socket with --socket", list(.looked))]
    NoRouter { looked: Vec<PathBuf> },
    #[error("several routers run here; choose one with --socket:\n{}",
        .choices.iter().map(|path| format!("  {}", path.display())).collect::<Vec<_>>().join("\n"))]
    Several { choices: Vec<PathBuf> },
    #[error("the router at {} cannot be asked: {source}{}", .path.display(), hint(.source))]
    Connect { path: PathBuf, source: std::io::Error },
    #[error("the router at {} gave no answer to {route}: {source}", .path.display())]
    Get { path: PathBuf, route: &'static str, source: GetError },
    #[error("the router at {} answered {route} with status {status}: it is of a release without \
             that", .path.display())]
    Status { path: PathBuf, route: &'static str, status: StatusCode },
    #[error("the answer of the router at {} to {route} is not understood: {source}",
        .path.display())]
    Content { path: PathBuf, route: &'static str, source: serde_json::Error },
    #[error("there is no {what} '{name}' ({})", names(.known))]
    NotFound { what: &'static str, name: String, known: Vec<String> },
}

/// The reason why an HTTP request failed.
#[derive(Debug, Error)]
pub(super) enum GetError {
    #[error("nothing came within {} s", DEADLINE.as_secs())]
    TimedOut,
    #[error("{0}")]
    Connect(std::io::Error),
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("{0}")]
    Request(#[from] hyper::http::Error),
    #[error("its body is cut off or too long: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::NotFound => "; does it run, with this --admin-socket?",
        std::io::ErrorKind::ConnectionRefused => "; it has ended without removing its socket",
        std::io::ErrorKind::PermissionDenied => "; only the user it runs as, and root, may ask",
        _ => "",
    }
}

fn names(names: &[String]) -> String {
    let shown: Vec<_> = names.iter().map(|name| crate::text::line(name)).collect();
    if shown.is_empty() {
        "there is none at all".to_owned()
    } else {
        format!("there is {}", shown.join(", "))
    }
}

/// Returns the socket to ask: the named one, or that of this user's only living router.
///
/// # Errors
/// No router lives, or several do.
pub(super) fn find(named: Option<&Path>) -> Result<PathBuf, ClientError> {
    match named {
        Some(path) => Ok(path.to_owned()),
        None => choose(
            path::list()
                .into_iter()
                .filter(|path| socket::answers(path).unwrap_or(false))
                .collect(),
        ),
    }
}

fn choose(mut living: Vec<PathBuf>) -> Result<PathBuf, ClientError> {
    match (living.pop(), living.is_empty()) {
        (None, _) => Err(ClientError::NoRouter { looked: path::folders() }),
        (Some(only), true) => Ok(only),
        (Some(last), false) => {
            living.push(last);
            Err(ClientError::Several { choices: living })
        }
    }
}

/// Returns the answer to a route, both as received and as its type.
///
/// # Errors
/// The router cannot be reached, is silent, or answers something else.
pub(super) async fn ask<T: DeserializeOwned>(
    path: &Path,
    route: &'static str,
) -> Result<(Value, T), ClientError> {
    let at = || path.to_owned();
    let connecting = tokio::time::timeout(DEADLINE, UnixStream::connect(path));
    let stream = connecting.await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
    let stream = stream.map_err(|source| ClientError::Connect { path: at(), source })?;
    let (status, body) = get(stream, "localhost", route)
        .await
        .map_err(|source| ClientError::Get { path: at(), route, source })?;
    if status != StatusCode::OK {
        return Err(ClientError::Status { path: at(), route, status });
    }
    let content = |source| ClientError::Content { path: at(), route, source };
    let value: Value = serde_json::from_slice(&body).map_err(content)?;
    let answer = T::deserialize(&value).map_err(content)?;
    Ok((value, answer))
}

/// Sends one `GET` on a fresh connection, and returns status and body.
///
/// # Errors
/// The request or the response fails, or takes longer than the deadline.
pub(super) async fn get<S>(
    stream: S,
    host: &str,
    target: &str,
) -> Result<(StatusCode, Bytes), GetError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let exchange = async {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the sender, or when the answer has arrived.
        let driver = tokio::spawn(connection);
        let answer = async {
            let answer = sender
                .send_request(Request::get(target).header(HOST, host).body(Empty::<Bytes>::new())?)
                .await?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), ANSWER_LIMIT)
                .collect()
                .await
                .map_err(GetError::Body)?;
            Ok((status, body.to_bytes()))
        }
        .await;
        driver.abort();
        answer
    };
    tokio::time::timeout(DEADLINE, exchange).await.unwrap_or(Err(GetError::TimedOut))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_only_living_router_is_chosen() {
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(choose(paths(&["/a"])).unwrap(), PathBuf::from("/a"));
        assert!(
            choose(vec![])
                .unwrap_err()
                .to_string()
                .contains("no running router of this user was found (in /")
        );
        let several = choose(paths(&["/a", "/b"])).unwrap_err().to_string();
        assert!(several.ends_with(":\n  /a\n  /b"), "{several}");
    }

    #[tokio::test]
    async fn a_router_that_is_not_there_or_talks_nonsense_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let error = ask::<Value>(&path, "/links").await.unwrap_err().to_string();
        assert!(error.contains("a.sock") && error.contains("does it run"), "{error}");

        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        for (answer, expected) in [
            ("nonsense\r\n\r\n", "gave no answer to /links"),
            ("", "gave no answer to /links"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n[1", "cut off"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[1", "not understood"),
            ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "status 404"),
        ] {
            let serve = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 1024]).await;
                tokio::io::AsyncWriteExt::write_all(&mut stream, answer.as_bytes()).await.unwrap();
            };
            let (asked, ()) = tokio::join!(ask::<Value>(&path, "/links"), serve);
            let error = asked.unwrap_err().to_string();
            assert!(error.contains(expected), "{answer}: {error}");
        }
        drop(listener);
        let error = ask::<Value>(&path, "/links").await.unwrap_err().to_string();
        assert!(error.contains("ended without removing"), "{error}");
    }
}
