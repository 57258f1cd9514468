use std::time::SystemTime;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn authority() -> Authority {
    Authority::new("Test CA").unwrap()
}

/// Profiles `server` and `client` beneath one authority, the server's certificate being that leaf.
fn profiles(folder: &Folder, leaf: &Leaf<'_>) -> (Profile, Profile) {
    let authority = authority();
    let server =
        Profile::load(folder.config("server", &authority.issue_leaf(leaf).unwrap())).unwrap();
    let client =
        Profile::load(folder.config("client", &authority.issue("client", &[]).unwrap())).unwrap();
    (server, client)
}

/// What a client that verifies chain and name says of a server with that certificate, and what the
/// server hears of it.
async fn refusal(leaf: &Leaf<'_>, host: &str) -> (HandshakeError, HandshakeError) {
    let folder = Folder::new();
    let (server, client) = profiles(&folder, leaf);
    let acceptor = server.acceptor(ClientVerification::Required).unwrap();
    let connector = client.connector(ServerVerification::ChainAndName).unwrap();
    let (server, client) = handshake(&acceptor, &connector, host).await;
    (client.unwrap_err(), server.unwrap_err())
}

fn refused_by(error: &HandshakeError) -> &'static str {
    match error {
        HandshakeError::Refused { alert, .. } => alert,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn both_ends_know_what_was_agreed() {
    let folder = Folder::new();
    let (server, client) = profiles(
        &folder,
        &Leaf {
            organization: Some("Example, Inc."),
            ..Leaf::new("north", &["north", "127.0.0.1"])
        },
    );
    let acceptor =
        server.acceptor(ClientVerification::Required).unwrap().with_alpn(&["h2", "http/1.1"]);
    let connector =
        client.connector(ServerVerification::ChainAndName).unwrap().with_alpn(&["http/1.1"]);
    for host in ["north", "NORTH", "127.0.0.1"] {
        let (server, client) = handshake(&acceptor, &connector, host).await;
        let (server_socket, mut server) = server.unwrap();
        let (client_socket, mut client) = client.unwrap();
        let info = client.info().unwrap();
        assert_eq!(
            (info.protocol, info.cipher, info.cipher_bits),
            ("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256)
        );
        assert_eq!(info.alpn.as_deref(), Some("http/1.1"));
        let peer = info.peer.as_ref().unwrap();
        assert_eq!(peer.subject, "CN=north,O=Example\\, Inc.");
        assert_eq!(peer.issuer, "CN=Test CA");
        assert_eq!(peer.host_names(), ["north", "127.0.0.1"]);
        assert_eq!(Some(peer), server_of(&folder).certificate().as_ref());
        assert_eq!(server.info().unwrap().peer.as_ref().unwrap().subject, "CN=client");
        send(&client_socket, &mut client, b"ping").await;
        assert_eq!(receive_exact(&server_socket, &mut server, 4).await, b"ping");
        send(&server_socket, &mut server, b"pong").await;
        assert_eq!(receive_exact(&client_socket, &mut client, 4).await, b"pong");
    }
}

/// The server's profile, loaded once more from its files.
fn server_of(folder: &Folder) -> Profile {
    let path = folder.path("server");
    Profile::load(ProfileConfig {
        cert_file: Some(path.join("tls.crt")),
        private_key_file: Some(path.join("tls.key")),
        ..ProfileConfig::default()
    })
    .unwrap()
}

#[tokio::test]
async fn a_certificate_out_of_its_time_is_told_with_the_date() {
    let now = SystemTime::now();
    let expired =
        Leaf { not_before: now - 3 * DAY, not_after: now - DAY, ..Leaf::new("north", &["north"]) };
    let (error, heard) = refusal(&expired, "north").await;
    let date = error.to_string();
    let date = date
        .strip_prefix("the peer's certificate CN=north expired on ")
        .unwrap_or_else(|| panic!("{error}"));
    let date: jiff::Timestamp = date.parse().unwrap();
    let expected = (now - DAY).duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    assert_eq!(date.as_second(), expected as i64);
    assert_eq!(refused_by(&heard), "certificate_expired");

    let early =
        Leaf { not_before: now + DAY, not_after: now + 3 * DAY, ..Leaf::new("north", &["north"]) };
    let (error, _) = refusal(&early, "north").await;
    assert!(
        error.to_string().starts_with("the peer's certificate CN=north is not valid before 20"),
        "{error}"
    );
}

#[tokio::test]
async fn a_wrong_host_is_told_with_the_names_there_are() {
    let (error, heard) =
        refusal(&Leaf::new("north", &["north", "north.example.com", "192.0.2.1"]), "south").await;
    let expected =
        "the peer's certificate is not for host south, but for north, north.example.com, 192.0.2.1";
    assert_eq!(error.to_string(), expected);
    assert_eq!(refused_by(&heard), "bad_certificate");
    let (error, _) = refusal(&Leaf::new("north", &[]), "south").await;
    assert_eq!(error.to_string(), "the peer's certificate is not for host south, but for north");
    let (error, _) = refusal(&Leaf::new("south", &["north"]), "south").await;
    assert_eq!(
        error.to_string(),
        "the peer's certificate is not for host south, but for north",
        "the common name counts no more"
    );
    let (error, _) = refusal(&Leaf::new("north", &["192.0.2.1"]), "127.0.0.1").await;
    assert_eq!(
        error.to_string(),
        "the peer's certificate is not for host 127.0.0.1, but for 192.0.2.1"
    );
}

#[tokio::test]
async fn hosts_are_compared_as_configured() {
    use ServerVerification::{Chain, ChainAndName};
    for (name, names, host, verification) in [
        ("north", &[][..], "north", ChainAndName),
        ("*.example.com", &[], "north.example.com", ChainAndName),
        ("127.0.0.1", &[], "127.0.0.1", ChainAndName),
        ("x", &["*.example.com"], "north.example.com.", ChainAndName),
        ("x", &["::1"], "[::1]", ChainAndName),
        ("x", &["y"], "north", Chain),
        ("x", &[], "127.0.0.1", Chain),
    ] {
        let folder = Folder::new();
        let (server, client) = profiles(&folder, &Leaf::new(name, names));
        let acceptor = server.acceptor(ClientVerification::Required).unwrap();
        let (server, client) =
            handshake(&acceptor, &client.connector(verification).unwrap(), host).await;
        server.unwrap();
        client.unwrap();
    }
}

#[tokio::test]
async fn a_foreign_authority_is_named() {
    let folder = Folder::new();
    let (server, _) = profiles(&folder, &Leaf::new("north", &["north"]));
    let other = Authority::new("Other CA").unwrap();
    let client =
        Profile::load(folder.config("other", &other.issue("client", &[]).unwrap())).unwrap();
    for verification in [ServerVerification::Chain, ServerVerification::ChainAndName] {
        let acceptor = server.acceptor(ClientVerification::Required).unwrap();
        let (server, client) =
            handshake(&acceptor, &client.connector(verification).unwrap(), "north").await;
        let expected = "the peer's certificate CN=north was issued by CN=Test CA, which is not \
                        among the authorities of caCertFile (wrong CA?)";
        assert_eq!(client.unwrap_err().to_string(), expected);
        let error = server.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the peer refused our certificate: TLS alert unknown_ca (the peer does not know the \
             authority that issued it)"
        );
    }

    // An authority of the same name with another key.
    let twin = Authority::new("Test CA").unwrap();
    let client = Profile::load(folder.config("twin", &twin.issue("client", &[]).unwrap())).unwrap();
    let acceptor = server.acceptor(ClientVerification::Required).unwrap();
    let (_, client) =
        handshake(&acceptor, &client.connector(ServerVerification::Chain).unwrap(), "north").await;
    let error = client.unwrap_err().to_string();
    assert!(
        error.contains("was issued by CN=Test CA")
            || error.contains("its signature is not by the authority"),
        "{error}"
    );
}

#[tokio::test]
async fn a_client_is_refused_in_words_at_both_ends() {
    let folder = Folder::new();
    let now = SystemTime::now();
    let authority = authority();
    let server =
        Profile::load(folder.config("server", &authority.issue("north", &["north"]).unwrap()))
            .unwrap();
    let other = Authority::new("Other CA").unwrap().issue("client", &[]).unwrap();
    let expired =
        Leaf { not_after: now - DAY, not_before: now - 2 * DAY, ..Leaf::new("client", &[]) };
    let server_only = Leaf { client: false, ..Leaf::new("client", &[]) };
    for (issued, expected, alert) in [
        (Some(other), "the peer's certificate CN=client was issued by CN=Other CA", "unknown_ca"),
        (
            Some(authority.issue_leaf(&expired).unwrap()),
            "the peer's certificate CN=client expired on ",
            "certificate_expired",
        ),
        (
            Some(authority.issue_leaf(&server_only).unwrap()),
            "the peer's certificate CN=client is not meant for clients",
            "unsupported_certificate",
        ),
        (None, "the peer presented no certificate", "certificate_required"),
    ] {
        let config = match issued {
            Some(issued) => {
                let config = folder.config("client", &issued);
                std::fs::write(config.ca_cert_file.as_ref().unwrap(), authority.certificate_pem())
                    .unwrap();
                config
            }
            None => ProfileConfig {
                ca_cert_file: Some(folder.path("server/ca.crt")),
                ..ProfileConfig::default()
            },
        };
        for protocols in ["TLSv1.3", "TLSv1.2"] {
            let config = ProfileConfig { protocols: Some(protocols.to_owned()), ..config.clone() };
            let connector =
                Profile::load(config).unwrap().connector(ServerVerification::ChainAndName).unwrap();
            let acceptor = server.acceptor(ClientVerification::Required).unwrap();
            let (server, client) = handshake(&acceptor, &connector, "north").await;
            let error = server.unwrap_err().to_string();
            assert!(error.starts_with(expected), "{protocols}: {error}");
            let heard = match client {
                // The refusal arrives only after a handshake of TLS 1.3.
                Ok((socket, mut session)) => match receive_error(&socket, &mut session).await {
                    SessionError::Alert(heard) => heard,
                    other => panic!("{other}"),
                },
                Err(heard) => heard,
            };
            assert_eq!(refused_by(&heard), alert, "{protocols}");
        }
    }
}

#[tokio::test]
async fn an_optional_certificate_may_be_absent_but_not_wrong() {
    let folder = Folder::new();
    let (server, client) = profiles(&folder, &Leaf::new("north", &["north"]));
    let nobody = ProfileConfig {
        ca_cert_file: Some(folder.path("client/ca.crt")),
        ..ProfileConfig::default()
    };
    let nobody =
        Profile::load(nobody).unwrap().connector(ServerVerification::ChainAndName).unwrap();
    let somebody = client.connector(ServerVerification::ChainAndName).unwrap();
    for (verification, connector, known) in [
        (ClientVerification::Optional, &nobody, false),
        (ClientVerification::Optional, &somebody, true),
        (ClientVerification::None, &nobody, false),
        (ClientVerification::None, &somebody, false),
    ] {
        let (server, client) =
            handshake(&server.acceptor(verification).unwrap(), connector, "north").await;
        client.unwrap();
        assert_eq!(server.unwrap().1.info().unwrap().peer.is_some(), known);
    }
    let other =
        folder.config("other", &Authority::new("Other CA").unwrap().issue("client", &[]).unwrap());
    let other = ProfileConfig { ca_cert_file: Some(folder.path("client/ca.crt")), ..other };
    let other = Profile::load(other).unwrap().connector(ServerVerification::ChainAndName).unwrap();
    let (server, _) =
        handshake(&server.acceptor(ClientVerification::Optional).unwrap(), &other, "north").await;
    assert!(matches!(server.unwrap_err(), HandshakeError::UnknownIssuer { .. }));
}

#[tokio::test]
async fn a_certificate_for_clients_identifies_no_server() {
    let (error, heard) =
        refusal(&Leaf { server: false, ..Leaf::new("north", &["north"]) }, "north").await;
    assert_eq!(
        error.to_string(),
        "the peer's certificate CN=north is not meant for servers (extended key usage)"
    );
    assert_eq!(refused_by(&heard), "unsupported_certificate");
}

#[tokio::test]
async fn nothing_in_common_is_told() {
    let folder = Folder::new();
    let authority = authority();
    let issued = authority.issue("north", &["north"]).unwrap();
    let profile = |protocols: Option<&str>, ciphers: Option<&str>| {
        let config = folder.config("north", &issued);
        let (protocols, ciphers) = (protocols.map(str::to_owned), ciphers.map(str::to_owned));
        Profile::load(ProfileConfig { protocols, ciphers, ..config }).unwrap()
    };
    let run = async |server: Profile, client: Profile| {
        let acceptor = server.acceptor(ClientVerification::Required).unwrap();
        let (server, client) =
            handshake(&acceptor, &client.connector(ServerVerification::Chain).unwrap(), "north")
                .await;
        (server.unwrap_err(), client.unwrap_err())
    };
    let (server, client) =
        run(profile(Some("TLSv1.3"), None), profile(Some("TLSv1.2"), None)).await;
    assert_eq!(server, HandshakeError::NoCommonVersion { ours: "TLSv1.3".to_owned() });
    assert!(matches!(client, HandshakeError::Alert { alert: "protocol_version", .. }), "{client}");
    let ciphers = |name: &str| profile(Some("TLSv1.2"), Some(name));
    let (server, client) =
        run(ciphers("ECDHE-ECDSA-AES256-GCM-SHA384"), ciphers("ECDHE-ECDSA-AES128-GCM-SHA256"))
            .await;
    assert!(matches!(server, HandshakeError::NoCommonCipher { .. }), "{server}");
    assert!(matches!(client, HandshakeError::Alert { alert: "handshake_failure", .. }), "{client}");
    let (server, _) =
        run(ciphers("ECDHE-ECDSA-AES256-GCM-SHA384"), ciphers("ECDHE-RSA-AES256-GCM-SHA384")).await;
    assert!(matches!(server, HandshakeError::NoCommonCipher { .. }), "{server}");
}

#[tokio::test]
async fn plain_text_is_told() {
    let folder = Folder::new();
    let (server, client) = profiles(&folder, &Leaf::new("north", &["north"]));
    let acceptor = server.acceptor(ClientVerification::Required).unwrap();
    let connector = client.connector(ServerVerification::Chain).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    for text in [&b"AMQP\x03\x01\x00\x00"[..], b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\0\0\0\0\0\0\0"] {
        let mut plain = TcpStream::connect(address).await.unwrap();
        plain.write_all(text).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        assert_eq!(speaks_tls(&socket, DEADLINE).await.unwrap(), Some(false));
        assert_eq!(acceptor.accept(socket, DEADLINE).await.unwrap_err(), HandshakeError::NoTls);

        let serve = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            socket.write_all(text).await.unwrap();
            socket.read_u8().await.unwrap();
            socket
        };
        let connect = async {
            connector.connect(TcpStream::connect(address).await.unwrap(), "north", DEADLINE).await
        };
        let (_socket, result) = tokio::join!(serve, connect);
        assert_eq!(result.unwrap_err(), HandshakeError::NoTls);
    }
}

#[tokio::test]
async fn silence_and_closing_are_told() {
    let folder = Folder::new();
    let (server, client) = profiles(&folder, &Leaf::new("north", &["north"]));
    let acceptor = server.acceptor(ClientVerification::Required).unwrap();
    let connector = client.connector(ServerVerification::Chain).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let short = Duration::from_millis(50);

    let silent = TcpStream::connect(address).await.unwrap();
    let (socket, _) = listener.accept().await.unwrap();
    assert_eq!(speaks_tls(&socket, short).await.unwrap(), None);
    assert_eq!(
        acceptor.accept(socket, short).await.unwrap_err().to_string(),
        "the TLS handshake timed out after 0.1 s"
    );
    drop(silent);
    let error = connector
        .connect(TcpStream::connect(address).await.unwrap(), "north", short)
        .await
        .unwrap_err();
    assert_eq!(error, HandshakeError::TimedOut(short));
    listener.accept().await.unwrap();

    drop(TcpStream::connect(address).await.unwrap());
    let (socket, _) = listener.accept().await.unwrap();
    assert_eq!(acceptor.accept(socket, DEADLINE).await.unwrap_err(), HandshakeError::Closed);
    let socket = TcpStream::connect(address).await.unwrap();
    drop(listener.accept().await.unwrap());
    assert_eq!(
        connector.connect(socket, "north", DEADLINE).await.unwrap_err(),
        HandshakeError::Closed
    );
    let error = connector
        .connect(TcpStream::connect(address).await.unwrap(), "no host", DEADLINE)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "'no host' is no host name or address that a certificate could be for"
    );
}

#[tokio::test]
async fn a_reload_reaches_new_sessions_only() {
    let folder = Folder::new();
    let authority = authority();
    let config = folder.config("north", &authority.issue("first", &["north"]).unwrap());
    let profile = Profile::load(config.clone()).unwrap();
    let acceptor = profile.acceptor(ClientVerification::Required).unwrap();
    let connector = profile.connector(ServerVerification::ChainAndName).unwrap();
    let subject = |outcome: &Outcome| {
        outcome.as_ref().unwrap().1.info().unwrap().peer.as_ref().unwrap().subject.clone()
    };
    let (running_server, running_client) = handshake(&acceptor, &connector, "north").await;
    assert_eq!(subject(&running_client), "CN=first");

    folder.config("north", &authority.issue("second", &["north"]).unwrap());
    let (_, client) = handshake(&acceptor, &connector, "north").await;
    assert_eq!(subject(&client), "CN=first", "files alone change nothing");
    profile.reload().unwrap();
    let (_, client) = handshake(&acceptor, &connector, "north").await;
    assert_eq!(subject(&client), "CN=second");
    assert_eq!(profile.certificate().unwrap().subject, "CN=second");

    let (server_socket, mut server) = running_server.unwrap();
    let (client_socket, mut client) = running_client.unwrap();
    send(&client_socket, &mut client, b"still here").await;
    assert_eq!(receive_exact(&server_socket, &mut server, 10).await, b"still here");

    folder.write("north/tls.key", "damaged");
    let error = profile.reload().unwrap_err();
    assert_eq!((error.attribute, &error.problem), ("privateKeyFile", &ProfileProblem::NoKey));
    let (_, client) = handshake(&acceptor, &connector, "north").await;
    assert_eq!(subject(&client), "CN=second", "what works is kept");

    let other = folder.config("other", &authority.issue("third", &["north"]).unwrap());
    profile.update(ProfileConfig { protocols: Some("TLSv1.2".to_owned()), ..other }).unwrap();
    assert_eq!(profile.name(), "north");
    let (_, client) = handshake(&acceptor, &connector, "north").await;
    assert_eq!(subject(&client), "CN=third");
    assert_eq!(client.unwrap().1.info().unwrap().protocol, "TLSv1.2");
    profile.update(ProfileConfig::default()).unwrap();
    let (server, client) = handshake(&acceptor, &connector, "north").await;
    assert_eq!(server.unwrap_err().to_string(), "sslProfile 'north' has no certFile any more");
    assert_eq!(client.unwrap_err().to_string(), "sslProfile 'north' has no caCertFile any more");
}
