//! Handshakes: a connected socket goes in, the socket and a session come out.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use rustls::Connection;
use rustls::client::{ClientConfig, Resumption};
use rustls::server::{NoServerSessionStorage, ServerConfig};
use rustls::sign::SingleCertAndKey;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::ciphers;
use super::failure::{Circumstances, HandshakeError, classify};
use super::info::SessionInfo;
use super::material::{InForce, Material};
use super::session::Session;
use super::verify::{
    ClientVerification, ClientVerifier, ServerVerification, ServerVerifier, Shown,
};

/// Performs handshakes for a listener, each with the profile's material of that time. Cheap to
/// clone.
#[derive(Clone)]
pub struct Acceptor {
    profile: Arc<InForce>,
    verification: ClientVerification,
    alpn: Arc<[Vec<u8>]>,
}

/// Performs handshakes for a connector, each with the profile's material of that time. Cheap to
/// clone.
#[derive(Clone)]
pub struct Connector {
    profile: Arc<InForce>,
    verification: ServerVerification,
    alpn: Arc<[Vec<u8>]>,
}

impl Acceptor {
    pub(super) fn new(profile: Arc<InForce>, verification: ClientVerification) -> Self {
        Self { profile, verification, alpn: Arc::default() }
    }

    /// Selects one of these application protocols if a client offers some, the first by preference.
    #[must_use]
    pub fn with_alpn(self, protocols: &[&str]) -> Self {
        Self { alpn: protocols.iter().map(|name| name.as_bytes().to_vec()).collect(), ..self }
    }

    /// Performs the server's part of a handshake within the deadline.
    ///
    /// # Errors
    /// The reason. The socket is closed then, after an alert to the peer if there is one.
    pub async fn accept(
        &self,
        socket: TcpStream,
        deadline: Duration,
    ) -> Result<(TcpStream, Session), HandshakeError> {
        let material = self.profile.material.load_full();
        let shown = Arc::new(Shown::default());
        let config = self.config(&material, &shown)?;
        let handshake = TlsAcceptor::from(Arc::new(config)).accept(socket).into_fallible();
        match timeout(deadline, handshake).await {
            Ok(Ok(stream)) => {
                let (socket, connection) = stream.into_inner();
                Ok((socket, session(connection.into(), &material, &self.profile)))
            }
            Ok(Err((error, socket))) => {
                deliver_alert(&socket);
                Err(classify(&error, &circumstances(None, &shown, &material)))
            }
            Err(_) => Err(HandshakeError::TimedOut(deadline)),
        }
    }

    /// Makes the configuration of one handshake. That costs some microseconds of a handshake's
    /// thousand, and lets the verifier keep the chain that the peer has shown.
    fn config(
        &self,
        material: &Material,
        shown: &Arc<Shown>,
    ) -> Result<ServerConfig, HandshakeError> {
        let identity =
            material.identity.clone().ok_or_else(|| missing(&self.profile, "certFile"))?;
        let builder = ServerConfig::builder_with_provider(material.provider.clone())
            .with_protocol_versions(&material.versions)
            .map_err(|error| HandshakeError::Protocol(error.to_string()))?;
        let builder = match self.verification {
            ClientVerification::None => builder.with_no_client_auth(),
            verification => {
                let trust =
                    material.trust.clone().ok_or_else(|| missing(&self.profile, "caCertFile"))?;
                builder.with_client_cert_verifier(Arc::new(ClientVerifier {
                    trust,
                    verification,
                    shown: shown.clone(),
                }))
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.alpn_protocols = self.alpn.to_vec();
        Ok(config)
    }
}

impl Connector {
    pub(super) fn new(profile: Arc<InForce>, verification: ServerVerification) -> Self {
        Self { profile, verification, alpn: Arc::default() }
    }

    /// Offers these application protocols, in this order of preference.
    #[must_use]
    pub fn with_alpn(self, protocols: &[&str]) -> Self {
        Self { alpn: protocols.iter().map(|name| name.as_bytes().to_vec()).collect(), ..self }
    }

    /// Performs the client's part of a handshake within the deadline. `host` is the name or address
    /// that was dialed. The connector sends it to the server and, if it verifies names, compares it
    /// with the server's certificate.
    ///
    /// With TLS 1.3 the server judges this end's certificate only after this has returned. Its
    /// refusal comes as an error of the session's first read.
    ///
    /// # Errors
    /// The reason. The socket is closed then, after an alert to the peer if there is one.
    pub async fn connect(
        &self,
        socket: TcpStream,
        host: &str,
        deadline: Duration,
    ) -> Result<(TcpStream, Session), HandshakeError> {
        let material = self.profile.material.load_full();
        let shown = Arc::new(Shown::default());
        let config = self.config(&material, &shown)?;
        let name = server_name(host)?;
        let handshake = TlsConnector::from(Arc::new(config)).connect(name, socket).into_fallible();
        match timeout(deadline, handshake).await {
            Ok(Ok(stream)) => {
                let (socket, connection) = stream.into_inner();
                Ok((socket, session(connection.into(), &material, &self.profile)))
            }
            Ok(Err((error, socket))) => {
                deliver_alert(&socket);
                Err(classify(&error, &circumstances(Some(host), &shown, &material)))
            }
            Err(_) => Err(HandshakeError::TimedOut(deadline)),
        }
    }

    fn config(
        &self,
        material: &Material,
        shown: &Arc<Shown>,
    ) -> Result<ClientConfig, HandshakeError> {
        let trust = material.trust.clone().ok_or_else(|| missing(&self.profile, "caCertFile"))?;
        let verifier =
            ServerVerifier { trust, verification: self.verification, shown: shown.clone() };
        let builder = ClientConfig::builder_with_provider(material.provider.clone())
            .with_protocol_versions(&material.versions)
            .map_err(|error| HandshakeError::Protocol(error.to_string()))?
            // The library calls each foreign verifier dangerous. Ours does what the library's does,
            // and the two things that the module `trust` states.
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match material.identity.clone() {
            Some(identity) => {
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity)))
            }
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        config.alpn_protocols = self.alpn.to_vec();
        Ok(config)
    }
}

/// Lets the alert of a failed handshake reach the peer before the end of the socket, for a reset
/// makes some systems drop it. No byte of a stream has passed, so this end is not that of a stream.
fn deliver_alert(socket: &TcpStream) {
    crate::socket::end_cleanly(socket);
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor")
            .field("profile", &self.profile.name)
            .field("verification", &self.verification)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("profile", &self.profile.name)
            .field("verification", &self.verification)
            .finish_non_exhaustive()
    }
}

/// Returns whether a client's first byte starts a TLS handshake, and leaves that byte unread. A
/// listener that also takes plain connections decides by it. `None` means that the client closed
/// the connection, or sent nothing within the deadline.
pub async fn speaks_tls(socket: &TcpStream, deadline: Duration) -> io::Result<Option<bool>> {
    /// The content type of a handshake record, RFC 8446, section 5.1. AMQP begins with `A`, HTTP
    /// with a letter as well.
    const HANDSHAKE: u8 = 0x16;
    let mut first = [0];
    match timeout(deadline, socket.peek(&mut first)).await {
        Ok(Ok(0)) | Err(_) => Ok(None),
        Ok(Ok(_)) => Ok(Some(first == [HANDSHAKE])),
        Ok(Err(error)) => Err(error),
    }
}

fn server_name(host: &str) -> Result<ServerName<'static>, HandshakeError> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(ServerName::IpAddress(address.into()));
    }
    let bare = bare.strip_suffix('.').unwrap_or(bare);
    ServerName::try_from(bare.to_owned()).map_err(|_| HandshakeError::BadHost(host.to_owned()))
}

fn circumstances<'a>(
    host: Option<&'a str>,
    shown: &Shown,
    material: &Material,
) -> Circumstances<'a> {
    let versions: Vec<&str> =
        material.versions.iter().map(|version| ciphers::protocol_name(version.version)).collect();
    Circumstances { host, shown: shown.take(), versions: versions.join(" ") }
}

fn session(connection: Connection, material: &Material, profile: &InForce) -> Session {
    let info = SessionInfo::new(&connection, material, &profile.oldest_valid);
    Session::tls(connection, info)
}

fn missing(profile: &InForce, attribute: &'static str) -> HandshakeError {
    HandshakeError::Profile { profile: profile.name.clone(), attribute }
}
