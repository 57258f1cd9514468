use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::*;
use crate::admin::model::{self, Link};
use crate::admin::samples::{Sample, active, failing, reasons};

/// Runs `test` against a server, then removes the folder.
async fn served<F: Future>(
    links: Vec<Link>,
    limits: Limits,
    test: impl FnOnce(PathBuf) -> F,
) -> F::Output {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let socket = AdminSocket::bind(&path).unwrap();
    tokio::select! {
        end = serve(socket, Arc::new(Sample(links)), limits) => panic!("the server ended: {end:?}"),
        outcome = tokio::time::timeout(Duration::from_secs(20), test(path)) => outcome.unwrap(),
    }
}

/// Sends bytes and reads until the end.
async fn exchange(path: &Path, request: &[u8]) -> String {
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

async fn get(path: &Path, route: &str) -> (u16, String) {
    let answer =
        exchange(path, format!("GET {route} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-type: application/json"), "{head}");
    (head[9..12].parse().unwrap(), body.to_owned())
}

async fn read<T: DeserializeOwned>(path: &Path, route: &str) -> T {
    let (status, body) = get(path, route).await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test]
async fn every_route_answers_what_the_source_tells() {
    let links: Vec<_> = reasons()
        .into_iter()
        .map(|(name, reason)| failing(name, reason))
        .chain([active("link1")])
        .collect();
    let source = Sample(links.clone());
    served(links, Limits::default(), |path| async move {
        assert_eq!(read::<model::Status>(&path, "/status").await, source.status());
        assert_eq!(read::<Vec<Link>>(&path, "/links").await, source.links());
        assert_eq!(read::<Vec<model::Service>>(&path, "/services").await, source.services());
        assert_eq!(
            read::<Vec<model::Connection>>(&path, "/connections").await,
            source.connections()
        );
        assert_eq!(read::<Vec<model::Router>>(&path, "/routers").await, source.routers());
        assert_eq!(read::<Vec<model::Address>>(&path, "/addresses").await, source.addresses());
        assert_eq!(read::<model::Version>(&path, "/version?x=y").await, source.version());
    })
    .await;
}

#[tokio::test]
async fn the_list_names_every_route_and_each_exists() {
    served(vec![], Limits::default(), |path| async move {
        let list: Vec<Value> = read(&path, "/").await;
        assert_eq!(list.len(), 8);
        for route in list {
            assert_eq!(get(&path, route["path"].as_str().unwrap()).await.0, 200, "{route}");
            assert!(!route["about"].as_str().unwrap().is_empty());
        }
    })
    .await;
}

#[tokio::test]
async fn a_reason_is_told_by_kind_and_in_words() {
    let link =
        failing("link1", reasons().into_iter().find(|(name, _)| *name == "wrong-host").unwrap().1);
    served(vec![link], Limits::default(), |path| async move {
        let links: Value = read(&path, "/links").await;
        let reason = &links[0]["reason"];
        assert_eq!(reason["kind"], "host-not-in-certificate");
        assert_eq!(reason["names"], serde_json::json!(["north", "localhost"]));
        assert!(
            reason["text"].as_str().unwrap().contains("which is for north, localhost"),
            "{reason}"
        );
        assert_eq!(links[0]["state"], "not-connected");
        assert_eq!(links[0]["next_try"], "2027-01-15T12:00:03Z");
    })
    .await;
}

#[test]
fn a_reason_of_another_release_is_read_by_its_words() {
    let link = concat!(
        r#"{"name":"a","reason":{"kind":"phase-of-moon","text":"full"},"#,
        r#""state":"stopped","new":[1]}"#
    );
    let link: Link = serde_json::from_str(link).unwrap();
    assert_eq!(link.reason.unwrap().to_string(), "full");
    assert_eq!(link.state, model::LinkState::Stopped);
}

#[tokio::test]
async fn what_is_not_there_and_what_is_not_done_is_said_in_json() {
    served(vec![], Limits::default(), |path| async move {
        let (status, body) = get(&path, "/nothing").await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, body["paths"][1].as_str()), (404, Some("/status")));

        let answer =
            exchange(&path, b"DELETE /links HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
                .await;
        assert!(
            answer.starts_with("HTTP/1.1 405") && answer.contains("allow: GET, HEAD"),
            "{answer}"
        );
        let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert!(body["error"].is_string());

        let answer = exchange(&path, b"HEAD /status HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\n"), "{answer}");
    })
    .await;
}

#[tokio::test]
async fn garbage_harms_nobody_else() {
    served(vec![], Limits::default(), |path| async move {
        for garbage in [
            b"\0\xff\xfe garbage\r\n\r\n".to_vec(),
            b"AMQP\x00\x01\x00\x00".to_vec(),
            b"GET / HTTP/9.9\r\n\r\n".to_vec(),
            b"GET /\r\n\r\n".to_vec(),
            [b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'a'; 100_000], b"\r\n\r\n".to_vec()].concat(),
            b"GET / HTTP/1.1\r\n".repeat(3),
        ] {
            let mut stream = UnixStream::connect(&path).await.unwrap();
            // The server may close before it has read everything.
            let _ = stream.write_all(&garbage).await;
            let _ = stream.shutdown().await;
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            assert!(
                answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"),
                "{}",
                String::from_utf8_lossy(&answer)
            );
        }
        assert_eq!(get(&path, "/version").await.0, 200);
    })
    .await;
}

#[tokio::test]
async fn many_clients_are_served_and_idle_ones_do_not_hold_the_places() {
    let limits =
        Limits { connections: 4, head: Duration::from_millis(300), whole: Duration::from_secs(10) };
    served(vec![active("link1")], limits, |path| async move {
        // Twice as many as there are places, all silent. The server cuts them off one set after the
        // other.
        let mut idle = Vec::new();
        for _ in 0..8 {
            idle.push(UnixStream::connect(&path).await.unwrap());
        }
        let path = &path;
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..40 {
            let path = path.clone();
            clients.spawn(async move { get(&path, "/links").await.0 });
        }
        assert!(clients.join_all().await.iter().all(|status| *status == 200));
        for mut stream in idle {
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            assert!(
                answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"),
                "{}",
                String::from_utf8_lossy(&answer)
            );
        }
    })
    .await;
}

#[tokio::test]
async fn one_that_does_not_read_is_cut_off() {
    let limits =
        Limits { connections: 1, head: Duration::from_secs(5), whole: Duration::from_millis(300) };
    let links = (0..20_000).map(|number| active(&number.to_string())).collect();
    served(links, limits, |path| async move {
        let mut stalled = UnixStream::connect(&path).await.unwrap();
        stalled.write_all(b"GET /links HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        assert_eq!(get(&path, "/version").await.0, 200);
    })
    .await;
}

#[tokio::test]
async fn stopping_removes_the_socket_and_ends_the_connections() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let server = tokio::spawn(serve(
        AdminSocket::bind(&path).unwrap(),
        Arc::new(Sample(vec![])),
        Limits::default(),
    ));
    assert_eq!(get(&path, "/version").await.0, 200);
    let mut open = UnixStream::connect(&path).await.unwrap();
    open.write_all(b"GET /version").await.unwrap();
    server.abort();
    assert!(server.await.unwrap_err().is_cancelled());
    assert!(!path.exists());
    let mut rest = Vec::new();
    let _ = open.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
}
