//! With the `openssl` command at the other end.

use std::io::Write;
use std::process::Child;

use super::*;

/// Ends the process with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(folder: &Folder, arguments: &str) -> Running {
    let child = Command::new("openssl")
        .current_dir(folder.0.path())
        .args(arguments.split(' '))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Running(child)
}

/// An authority and certificates that only the command has made: `server` with a common name alone
/// and of version 1, `named` with alternative names, `client` behind an authority in between.
fn certificates() -> Option<Folder> {
    let folder = Folder::new();
    let run = |arguments: &str| openssl(folder.0.path(), arguments);
    run("version")?;
    folder.write("named.ext", "subjectAltName=DNS:named.example.com,IP:127.0.0.1\n");
    folder.write("between.ext", "basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n");
    run("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -subj /CN=ssl-ca -days 2")?;
    for name in ["server", "named", "between", "client"] {
        run(&format!(
            "req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj \
             /O=Example/CN={name}"
        ))?;
    }
    let sign = |name: &str, by: &str, more: &str| {
        run(&format!(
            "x509 -req -in {name}.csr -CA {by}.crt -CAkey {by}.key -CAcreateserial -days 2 -out \
             {name}.crt{more}"
        ))
    };
    sign("server", "ca", "")?;
    sign("named", "ca", " -extfile named.ext")?;
    sign("between", "ca", " -extfile between.ext")?;
    folder.write("leaf.ext", "basicConstraints=CA:FALSE\n");
    sign("client", "between", " -extfile leaf.ext")?;
    let chain = ["client.crt", "between.crt"]
        .map(|name| std::fs::read_to_string(folder.path(name)).unwrap())
        .concat();
    folder.write("client-chain.crt", &chain);
    Some(folder)
}

fn profile(folder: &Folder, cert: &str, key: &str, protocols: &str) -> Profile {
    Profile::load(ProfileConfig {
        name: "p".to_owned(),
        ca_cert_file: Some(folder.path("ca.crt")),
        cert_file: Some(folder.path(cert)),
        private_key_file: Some(folder.path(key)),
        protocols: Some(protocols.to_owned()),
        ..ProfileConfig::default()
    })
    .unwrap()
}

#[tokio::test]
async fn its_client_reaches_our_listener() {
    let Some(folder) = certificates() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for (protocols, option) in [("TLSv1.3", "-tls1_3"), ("TLSv1.2", "-tls1_2")] {
        // Our own certificate is of version 1, so is that of the first client; the second comes
        // with its chain.
        for (client, chain) in
            [("named", ""), ("server", ""), ("client", " -cert_chain between.crt")]
        {
            let acceptor = profile(&folder, "server.crt", "server.key", protocols)
                .acceptor(ClientVerification::Required)
                .unwrap();
            let mut peer = start(
                &folder,
                &format!(
                    "s_client -quiet -connect 127.0.0.1:{port} {option} -CAfile ca.crt \
                     -verify_return_error -verify_hostname server \
                     -cert {client}.crt -key {client}.key{chain}"
                ),
            );
            peer.0.stdin.as_mut().unwrap().write_all(b"ping\n").unwrap();
            let (socket, _) = listener.accept().await.unwrap();
            let (socket, mut session) = acceptor.accept(socket, DEADLINE).await.unwrap();
            assert_eq!(receive_exact(&socket, &mut session, 5).await, b"ping\n");
            let info = session.info().unwrap();
            assert_eq!(info.protocol, protocols);
            assert_eq!(info.peer.as_ref().unwrap().subject, format!("CN={client},O=Example"));
            let expected = if protocols == "TLSv1.3" {
                "TLS_AES_256_GCM_SHA384"
            } else {
                "ECDHE-RSA-AES256-GCM-SHA384"
            };
            assert_eq!(info.cipher, expected);
        }
        // A client without a certificate.
        let acceptor = profile(&folder, "server.crt", "server.key", protocols)
            .acceptor(ClientVerification::Required)
            .unwrap();
        let _peer = start(&folder, &format!("s_client -quiet -connect 127.0.0.1:{port} {option}"));
        let (socket, _) = listener.accept().await.unwrap();
        assert_eq!(
            acceptor.accept(socket, DEADLINE).await.unwrap_err(),
            HandshakeError::NoCertificate
        );
    }
    // A client that does not know our authority.
    folder.write("empty.pem", "");
    let acceptor = profile(&folder, "server.crt", "server.key", "TLSv1.3")
        .acceptor(ClientVerification::None)
        .unwrap();
    openssl(
        folder.0.path(),
        "req -x509 -newkey rsa:2048 -nodes -keyout x.key -out x.crt -subj /CN=x -days 2",
    )
    .unwrap();
    let _peer = start(
        &folder,
        &format!("s_client -quiet -connect 127.0.0.1:{port} -verify_return_error -CAfile x.crt"),
    );
    let (socket, _) = listener.accept().await.unwrap();
    let error = acceptor.accept(socket, DEADLINE).await.unwrap_err();
    assert!(matches!(error, HandshakeError::Refused { alert: "unknown_ca", .. }), "{error}");
}

/// Starts its server, and connects once it listens.
async fn serve(folder: &Folder, arguments: &str) -> (Running, TcpStream) {
    let mut server = start(folder, &format!("s_server -accept 127.0.0.1:0 {arguments}"));
    let mut output = std::io::BufReader::new(server.0.stdout.take().unwrap());
    // It says once it listens, and where.
    let mut line = String::new();
    let address = loop {
        line.clear();
        assert_ne!(
            std::io::BufRead::read_line(&mut output, &mut line).unwrap(),
            0,
            "s_server {arguments} ended"
        );
        if let Some(address) = line.trim().strip_prefix("ACCEPT ") {
            break address.to_owned();
        }
    };
    server.0.stdout = Some(output.into_inner());
    let socket = TcpStream::connect(address).await.unwrap();
    (server, socket)
}

#[tokio::test]
async fn its_server_is_reached_by_our_connector() {
    let Some(folder) = certificates() else { return };
    for (protocols, option) in [("TLSv1.3", "-tls1_3"), ("TLSv1.2", "-tls1_2")] {
        let ours = profile(&folder, "client-chain.crt", "client.key", protocols);
        let strict = ours.connector(ServerVerification::ChainAndName).unwrap();
        for (server, host, verifies) in
            [("server", "server", true), ("named", "127.0.0.1", true), ("named", "named", false)]
        {
            let arguments = format!(
                "{option} -cert {server}.crt -key {server}.key -CAfile ca.crt -Verify 3 \
                 -verify_return_error"
            );
            let (mut peer, socket) = serve(&folder, &arguments).await;
            let result = strict.connect(socket, host, DEADLINE).await;
            if !verifies {
                let expected = "the peer's certificate is not for host named, but for \
                                named.example.com, 127.0.0.1";
                assert_eq!(result.unwrap_err().to_string(), expected);
                continue;
            }
            let (socket, mut session) = result.unwrap();
            peer.0.stdin.as_mut().unwrap().write_all(b"pong\n").unwrap();
            assert_eq!(receive_exact(&socket, &mut session, 5).await, b"pong\n");
            assert_eq!(
                session.info().unwrap().peer.as_ref().unwrap().subject,
                format!("CN={server},O=Example")
            );
            send(&socket, &mut session, b"ping\n").await;
        }
        // It demands a certificate, and we have none.
        let nobody = ProfileConfig {
            ca_cert_file: Some(folder.path("ca.crt")),
            protocols: Some(protocols.to_owned()),
            ..ProfileConfig::default()
        };
        let nobody =
            Profile::load(nobody).unwrap().connector(ServerVerification::ChainAndName).unwrap();
        let arguments =
            format!("{option} -cert server.crt -key server.key -CAfile ca.crt -Verify 3");
        let (_peer, socket) = serve(&folder, &arguments).await;
        let error = match nobody.connect(socket, "server", DEADLINE).await {
            Ok((socket, mut session)) => receive_error(&socket, &mut session).await.to_string(),
            Err(error) => error.to_string(),
        };
        // OpenSSL says it with handshake_failure in TLS 1.2.
        assert!(error.contains("it demands a certificate"), "{error}");
    }
}

#[tokio::test]
async fn certificates_of_either_version_are_verified() {
    let Some(folder) = certificates() else { return };
    let run = |arguments: &str| openssl(folder.0.path(), arguments).unwrap();
    // Signed by an authority of the same name with another key, and beneath one that is not
    // trusted.
    run(
        "req -x509 -newkey rsa:2048 -nodes -keyout twin.key -out twin.crt -subj /CN=ssl-ca -days 2",
    );
    run("x509 -req -in server.csr -CA twin.crt -CAkey twin.key -CAcreateserial -days 2 -out \
         forged.crt");
    run(
        "x509 -req -in server.csr -CA between.crt -CAkey between.key -CAcreateserial -days 2 -out \
         below.crt",
    );
    run("x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days -1 -out \
         expired.crt");
    run("x509 -req -in server.csr -CA server.crt -CAkey server.key -CAcreateserial -days 2 -out \
         leaf-signed.crt");
    run("x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile \
         between.ext -out authority.crt");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connector = profile(&folder, "named.crt", "named.key", "TLSv1.3")
        .connector(ServerVerification::ChainAndName)
        .unwrap();
    for (cert, host, expected) in [
        ("server.crt", "server", ""),
        ("server.crt", "other", "the peer's certificate is not for host other, but for server"),
        (
            "forged.crt",
            "server",
            "the peer's certificate CN=server,O=Example is not acceptable: its signature is not by \
             the authority",
        ),
        (
            "below.crt",
            "server",
            "the peer's certificate CN=server,O=Example was issued by CN=between,O=Example, which \
             is not among",
        ),
        (
            "leaf-signed.crt",
            "server",
            "the peer's certificate CN=server,O=Example was issued by CN=server,O=Example, which \
             is not among",
        ),
        (
            "authority.crt",
            "server",
            "the peer's certificate CN=server,O=Example is not acceptable: it is an authority's \
             certificate",
        ),
        ("expired.crt", "server", "the peer's certificate CN=server,O=Example expired on 20"),
    ] {
        let acceptor = profile(&folder, cert, "server.key", "TLSv1.3")
            .acceptor(ClientVerification::None)
            .unwrap();
        let serve = async { acceptor.accept(listener.accept().await.unwrap().0, DEADLINE).await };
        let connect = async {
            connector.connect(TcpStream::connect(address).await.unwrap(), host, DEADLINE).await
        };
        let (_, result) = tokio::join!(serve, connect);
        match result {
            Ok(_) => assert_eq!(expected, "", "{cert}"),
            Err(error) => assert!(
                !expected.is_empty() && error.to_string().starts_with(expected),
                "{cert}: {error}"
            ),
        }
    }
}

#[test]
fn names_are_printed_as_it_prints_them() {
    let folder = Folder::new();
    let run = |arguments: &[&str]| {
        let result = Command::new("openssl")
            .current_dir(folder.0.path())
            .args(arguments)
            .stdin(Stdio::null())
            .output();
        result.ok().map(|output| {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        })
    };
    for subject in [
        "/CN=north",
        "/C=DE/ST=Bavaria/L=M\u{fc}nchen/O=Example, Inc./OU=a+b/CN=north.example.com",
        "/DC=com/DC=example/UID=7/CN= #north \"x\" <y>;\\\\",
        "/O=Example/CN=a+OU=b",
        "/emailAddress=a@example.com/serialNumber=12/CN=#x",
        "/1.2.3.4.5=strange/CN=x",
        "/O=tab\there/CN=\u{4e2d}",
    ] {
        let made = run(&[
            "req",
            "-x509",
            "-utf8",
            "-newkey",
            "ed25519",
            "-nodes",
            "-multivalue-rdn",
            "-keyout",
            "k",
            "-out",
            "c.pem",
            "-subj",
            subject,
        ]);
        if made.is_none() {
            eprintln!("skipped: no openssl command");
            return;
        }
        let printed =
            run(&["x509", "-in", "c.pem", "-noout", "-subject", "-nameopt", "RFC2253"]).unwrap();
        let file = std::fs::read(folder.path("c.pem")).unwrap();
        let certificate = Certificate::parse(pem::parse(file).unwrap().contents()).unwrap();
        assert_eq!(format!("subject={}\n", certificate.subject), printed, "{subject}");
    }
}
