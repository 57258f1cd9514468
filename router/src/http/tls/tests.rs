use std::path::Path;
use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::http::connections::{Answer, Handler, Limits, run, text};
use crate::tls::{
    Authority, ClientVerification, Connector, Profile, ProfileConfig, ServerVerification,
};

const LONG: usize = 3 * 1024 * 1024;

struct Page;

impl Handler for Page {
    async fn answer(&self, path: &str) -> Answer {
        match path {
            "/long" => text(hyper::StatusCode::OK, "x".repeat(LONG)),
            _ => text(hyper::StatusCode::OK, "page\n"),
        }
    }
}

fn profile(authority: &Authority, folder: &Path, name: &str) -> Profile {
    let folder = folder.join(name);
    authority.issue(name, &["localhost"]).unwrap().write(&folder).unwrap();
    let file = |name| Some(folder.join(name));
    Profile::load(ProfileConfig {
        name: name.to_owned(),
        ca_cert_file: file("ca.crt"),
        cert_file: file("tls.crt"),
        private_key_file: file("tls.key"),
        password: None,
        ciphers: None,
        ..ProfileConfig::default()
    })
    .unwrap()
}

/// The clients that the server refused, in words.
type Log = Arc<Mutex<Vec<String>>>;

async fn served<F: Future>(
    verification: ClientVerification,
    required: bool,
    test: impl FnOnce(SocketAddr, Connector, Log) -> F,
) -> F::Output {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("test").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = profile(&authority, folder.path(), "server").acceptor(verification).unwrap();
    let connector = profile(&authority, folder.path(), "client")
        .connector(ServerVerification::ChainAndName)
        .unwrap();
    let log = Log::default();
    let refused: Refused = {
        let log = Arc::clone(&log);
        Arc::new(move |_, error| {
            log.lock()
                .unwrap()
                .push(error.map_or_else(|| "clear text".to_owned(), HandshakeError::to_string))
        })
    };
    let secured = Secured::new(listener, acceptor, required, Duration::from_millis(500), refused);
    tokio::select! {
        never = run(secured, Limits::default(), Page) => match never {},
        outcome = tokio::time::timeout(Duration::from_secs(20), test(address, connector, log)) =>
            outcome.unwrap(),
    }
}

/// Sends a request and returns the answer. An end without `close_notify` is an error.
async fn get(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> io::Result<String> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await?;
    stream.flush().await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

async fn secure(address: SocketAddr, connector: &Connector) -> Stream {
    let socket = TcpStream::connect(address).await.unwrap();
    let (socket, session) =
        connector.connect(socket, "localhost", Duration::from_secs(5)).await.unwrap();
    Stream::new(socket, session)
}

#[tokio::test]
async fn answers_by_tls_short_and_long() {
    served(ClientVerification::Required, true, |address, connector, log| async move {
        let answer = get(secure(address, &connector).await, "/").await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("\r\n\r\npage\n"),
            "{answer}"
        );
        let answer = get(secure(address, &connector).await, "/long").await.unwrap();
        assert_eq!(answer.split_once("\r\n\r\n").unwrap().1.len(), LONG);
        assert!(log.lock().unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn clear_text_is_answered_only_where_tls_is_not_required() {
    served(ClientVerification::None, false, |address, connector, _| async move {
        assert!(
            get(TcpStream::connect(address).await.unwrap(), "/").await.unwrap().ends_with("page\n")
        );
        assert!(get(secure(address, &connector).await, "/").await.unwrap().ends_with("page\n"));
    })
    .await;
    served(ClientVerification::None, true, |address, connector, log| async move {
        let answer = get(TcpStream::connect(address).await.unwrap(), "/").await;
        assert!(answer.as_deref().unwrap_or_default().is_empty(), "{answer:?}");
        assert_eq!(*log.lock().unwrap(), ["clear text"]);
        assert!(get(secure(address, &connector).await, "/").await.unwrap().ends_with("page\n"));
    })
    .await;
}

#[tokio::test]
async fn a_stranger_and_a_silent_one_are_refused_and_told_of() {
    served(ClientVerification::Required, true, |address, connector, log| async move {
        let folder = tempfile::tempdir().unwrap();
        let stranger = profile(&Authority::new("other").unwrap(), folder.path(), "stranger");
        let stranger = stranger.connector(ServerVerification::Chain).unwrap();
        let socket = TcpStream::connect(address).await.unwrap();
        stranger.connect(socket, "localhost", Duration::from_secs(5)).await.unwrap_err();

        // This client begins like TLS, and then stays silent.
        let mut silent = TcpStream::connect(address).await.unwrap();
        silent.write_all(&[0x16, 3, 1]).await.unwrap();
        let _ = silent.read_to_end(&mut Vec::new()).await;
        let log = log.lock().unwrap().clone();
        assert!(
            log.len() == 2 && log[0].contains("unknown_ca") && log[1].contains("timed out"),
            "{log:?}"
        );
        assert!(get(secure(address, &connector).await, "/").await.unwrap().ends_with("page\n"));
    })
    .await;
}
