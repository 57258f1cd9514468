//! A TLS client that is no router.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::client;
use super::pki::Identity;

/// A connection with a handshake that may still fail. With TLS 1.3 a server's refusal arrives after
/// the client's part is complete.
pub type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Connects to `localhost`, with or without a certificate, and completes the client's part of the
/// handshake.
pub fn connect(port: u16, identity: &Identity) -> io::Result<Stream> {
    let mut roots = RootCertStore::empty();
    for certificate in
        CertificateDer::pem_file_iter(&identity.trusted).expect("the authority's file")
    {
        roots.add(certificate.expect("a certificate")).expect("an authority");
    }
    let config = ClientConfig::builder().with_root_certificates(roots);
    let config = match &identity.own {
        Some((certificate, key)) => {
            let chain = CertificateDer::pem_file_iter(certificate)
                .expect("a file")
                .map(|item| item.expect("a certificate"))
                .collect();
            config
                .with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key).expect("a key"))
                .expect("a usable key")
        }
        None => config.with_no_client_auth(),
    };
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, client::try_connect(port)?);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// Sends `question`, and returns the server's bytes up to its end of the connection. The flag is
/// true if the server ended it within the usual patience.
pub fn ask(stream: &mut (impl Read + Write), question: &[u8]) -> (Vec<u8>, bool) {
    let mut answer = Vec::new();
    let sent = stream.write_all(question).and_then(|()| stream.flush());
    let mut buffer = [0; 4096];
    if sent.is_err() {
        return (answer, true);
    }
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return (answer, true),
            Ok(count) => answer.extend_from_slice(&buffer[..count]),
            Err(error) if client::is_timeout(&error) => return (answer, false),
            Err(_) => return (answer, true),
        }
    }
}
