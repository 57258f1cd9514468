//! Tests of the room as a whole, and what they share.

mod handshake;
mod keys;
mod lists;
mod names;
mod openssl;
mod session;

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::BytesMut;
use tokio::net::{TcpListener, TcpStream};

use super::*;

const DEADLINE: Duration = Duration::from_secs(10);

type Outcome = Result<(TcpStream, Session), HandshakeError>;

/// A folder of files, and profiles made of them.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Writes what was issued to a subfolder and gives the configuration of a profile of that name.
    fn config(&self, name: &str, issued: &Issued) -> ProfileConfig {
        let folder = self.path(name);
        issued.write(&folder).unwrap();
        ProfileConfig {
            name: name.to_owned(),
            ca_cert_file: Some(folder.join("ca.crt")),
            cert_file: Some(folder.join("tls.crt")),
            private_key_file: Some(folder.join("tls.key")),
            ..ProfileConfig::default()
        }
    }
}

/// Both ends of a handshake over loopback.
async fn handshake(acceptor: &Acceptor, connector: &Connector, host: &str) -> (Outcome, Outcome) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = async {
        let (socket, _) = listener.accept().await.unwrap();
        acceptor.accept(socket, DEADLINE).await
    };
    let client = async {
        connector.connect(TcpStream::connect(address).await.unwrap(), host, DEADLINE).await
    };
    tokio::join!(server, client)
}

async fn send(socket: &TcpStream, session: &mut Session, data: &[u8]) {
    let mut flushed = session.send(socket, &[IoSlice::new(data)]).unwrap();
    while flushed == Flushed::Blocked {
        socket.writable().await.unwrap();
        flushed = session.flush(socket).unwrap();
    }
}

/// Receives once, waiting for the socket.
async fn receive(
    socket: &TcpStream,
    session: &mut Session,
    plaintext: &mut BytesMut,
) -> Result<Received, SessionError> {
    let mut scratch = vec![0; 65536];
    loop {
        let received = session.receive(socket, &mut scratch, plaintext)?;
        if !received.blocked {
            return Ok(received);
        }
        socket.readable().await.unwrap();
    }
}

/// Receives until that many bytes are there.
async fn receive_exact(socket: &TcpStream, session: &mut Session, length: usize) -> Vec<u8> {
    let mut plaintext = BytesMut::new();
    while plaintext.len() < length {
        let received = receive(socket, session, &mut plaintext).await.unwrap();
        assert_eq!(received.end, None);
    }
    plaintext.to_vec()
}

/// Receives until the session fails.
async fn receive_error(socket: &TcpStream, session: &mut Session) -> SessionError {
    let mut plaintext = BytesMut::new();
    loop {
        match receive(socket, session, &mut plaintext).await {
            Ok(received) => assert_eq!(received.end, None),
            Err(error) => return error,
        }
    }
}

/// Runs the `openssl` command in a folder and returns what it printed; `None`, with a note, where
/// there is no such command.
fn openssl(folder: &Path, arguments: &str) -> Option<String> {
    let result = Command::new("openssl")
        .current_dir(folder)
        .args(arguments.split(' '))
        .stdin(Stdio::null())
        .output();
    let output = match result {
        Ok(output) => output,
        Err(error) => {
            eprintln!("skipped: the openssl command cannot be run: {error}");
            return None;
        }
    };
    assert!(
        output.status.success(),
        "openssl {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(String::from_utf8(output.stdout).unwrap())
}
