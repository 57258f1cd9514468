use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn resolver() -> Resolver {
    Resolver::with_files(Path::new("/nonexistent"), Path::new("/nonexistent"), 1)
}

fn loopback() -> TcpListener {
    listen_address((Ipv4Addr::LOCALHOST, 0).into(), 16, true, SocketUse::Service).unwrap()
}

#[tokio::test]
async fn an_empty_host_takes_both_families() {
    let listeners = listen(&resolver(), "", 0, Family::Any, 16, SocketUse::Service).await.unwrap();
    let [listener] = &listeners[..] else { panic!("{listeners:?}") };
    let port = listener.local_addr().unwrap().port();
    let listener = tokio::net::TcpListener::from_std(listener.try_clone().unwrap()).unwrap();
    let _client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let (_, peer) = listener.accept().await.unwrap();
    assert_eq!(canonical(peer).ip(), Ipv4Addr::LOCALHOST);
    if listener.local_addr().unwrap().is_ipv6() {
        let _client = TcpStream::connect(("::1", port)).unwrap();
        listener.accept().await.unwrap();
    }
}

#[tokio::test]
async fn localhost_is_listened_on_in_both_families_at_one_port() {
    let listeners =
        listen(&resolver(), "localhost", 0, Family::Any, 16, SocketUse::Service).await.unwrap();
    let ports: Vec<u16> =
        listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
    assert!(ports.iter().all(|port| *port == ports[0] && *port != 0), "{ports:?}");
    let v4 = listen(&resolver(), "localhost", 0, Family::V4, 16, SocketUse::Service).await.unwrap();
    assert!(v4.len() == 1 && v4[0].local_addr().unwrap().is_ipv4());
}

#[tokio::test]
async fn a_port_in_use_is_an_error_that_says_so() {
    let first = loopback();
    let port = first.local_addr().unwrap().port();
    let error = listen(&resolver(), "127.0.0.1", port, Family::Any, 16, SocketUse::Service)
        .await
        .unwrap_err();
    assert!(matches!(error, ListenError::InUse { .. }), "{error}");
    assert!(
        error
            .to_string()
            .starts_with(&format!("cannot listen on 127.0.0.1:{port}: the port is held")),
        "{error}"
    );
    let error =
        listen(&resolver(), "192.0.2.1", 0, Family::Any, 16, SocketUse::Service).await.unwrap_err();
    assert!(matches!(error, ListenError::NotLocal { .. }), "{error}");
    let error = listen(&resolver(), "no-such-host", 0, Family::Any, 16, SocketUse::Service)
        .await
        .unwrap_err();
    assert!(matches!(error, ListenError::Name(_)), "{error}");
}

#[tokio::test]
async fn a_port_can_be_listened_on_again_at_once() {
    let listener = loopback();
    let address = listener.local_addr().unwrap();
    let client = TcpStream::connect(address).unwrap();
    let accepted = drain_accept(&listener);
    assert_eq!(accepted.len(), 1);
    // The listening side closes first and goes to TIME_WAIT.
    drop(accepted);
    drop(listener);
    listen_address(address, 16, true, SocketUse::Service).unwrap();
    drop(client);
}

#[tokio::test]
async fn what_waits_in_the_queue_is_taken() {
    let listener = loopback();
    let address = listener.local_addr().unwrap();
    let clients: Vec<TcpStream> = (0..5).map(|_| TcpStream::connect(address).unwrap()).collect();
    let drained = drain_accept(&listener);
    let peers: Vec<SocketAddr> = drained.iter().map(|stream| stream.peer_addr().unwrap()).collect();
    let expected: Vec<SocketAddr> =
        clients.iter().map(|stream| stream.local_addr().unwrap()).collect();
    assert_eq!(peers, expected);
    assert!(drain_accept(&listener).is_empty());
    let mut stream = tokio::net::TcpStream::from_std(drained.into_iter().next().unwrap()).unwrap();
    drop(listener);
    stream.write_all(b"x").await.unwrap();
    (&clients[0]).read_exact(&mut [0]).unwrap();
}

#[tokio::test]
async fn dials_every_address_in_order() {
    let listener = loopback();
    let port = listener.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    std::fs::write(
        &hosts,
        "127.0.0.9 backend\n127.0.0.1 backend\n127.0.0.8 dead\n127.0.0.9 dead\n",
    )
    .unwrap();
    let resolver = Resolver::with_files(&hosts, Path::new("/nonexistent"), 1);
    let options = DialOptions::new(SocketUse::Service);
    let stream = dial(&resolver, "backend", port, &options).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());

    let error = dial(&resolver, "dead", port, &options).await.unwrap_err();
    assert!(error.is_refused());
    let expected = format!(
        "cannot connect to dead:{port}: 127.0.0.8 connection refused; 127.0.0.9 connection refused"
    );
    assert_eq!(error.to_string(), expected);
    let error = dial(&resolver, "127.0.0.9", port, &options).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot connect to 127.0.0.9:{port}: connection refused")
    );
    let error = dial(&resolver, "no-such-host", port, &options).await.unwrap_err();
    assert!(matches!(&error, DialError::Name(_)) && !error.is_refused());
    assert!(error.to_string().starts_with("name no-such-host does not resolve"), "{error}");
}

#[tokio::test]
async fn an_attempt_ends_at_its_deadline() {
    // A listener with a full queue answers no further SYN.
    let listener =
        listen_address((Ipv4Addr::LOCALHOST, 0).into(), 0, true, SocketUse::Service).unwrap();
    let address = listener.local_addr().unwrap();
    let deadline = Duration::from_millis(100);
    let mut held = Vec::new();
    let error = loop {
        assert!(held.len() < 64, "the queue never fills");
        match dial_address(address, SocketUse::Amqp, deadline).await {
            Ok(stream) => held.push(stream),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, AttemptError::TimedOut(_)), "{error}");
    let options = DialOptions {
        attempt: SECOND,
        total: Duration::from_millis(100),
        ..DialOptions::new(SocketUse::Amqp)
    };
    let error = dial(&resolver(), "127.0.0.1", address.port(), &options).await.unwrap_err();
    assert!(error.to_string().ends_with("timed out after 0.1 s"), "{error}");
}

#[tokio::test]
async fn options_fit_the_use_of_the_socket() {
    let listener = loopback();
    let address = listener.local_addr().unwrap();
    let amqp = dial_address(address, SocketUse::Amqp, SECOND).await.unwrap();
    let service = dial_address(address, SocketUse::Service, SECOND).await.unwrap();
    let accepted = drain_accept(&listener).remove(0);
    let for_amqp =
        listen_address((Ipv4Addr::LOCALHOST, 0).into(), 16, true, SocketUse::Amqp).unwrap();
    let _client = TcpStream::connect(for_amqp.local_addr().unwrap()).unwrap();
    let accepted_amqp = drain_accept(&for_amqp).remove(0);
    for socket in [
        SockRef::from(&amqp),
        SockRef::from(&service),
        SockRef::from(&accepted),
        SockRef::from(&accepted_amqp),
    ] {
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), 30 * SECOND);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), 10 * SECOND);
    }
    assert_eq!(SockRef::from(&amqp).tcp_user_timeout().unwrap(), Some(30 * SECOND));
    assert_eq!(SockRef::from(&accepted_amqp).tcp_user_timeout().unwrap(), Some(30 * SECOND));
    assert_eq!(SockRef::from(&service).tcp_user_timeout().unwrap(), None);
    assert_eq!(SockRef::from(&accepted).tcp_user_timeout().unwrap(), None);
    for socket in [SockRef::from(&service), SockRef::from(&accepted)] {
        assert_eq!(socket.linger().unwrap(), Some(Duration::ZERO));
    }
    for socket in [
        SockRef::from(&amqp),
        SockRef::from(&service),
        SockRef::from(&accepted),
        SockRef::from(&accepted_amqp),
    ] {
        if let Ok(lowat) = socket.tcp_notsent_lowat() {
            assert_eq!(lowat, 128 * 1024);
        }
    }
}

#[tokio::test]
async fn reset_is_no_clean_end() {
    let listener = tokio::net::TcpListener::from_std(loopback()).unwrap();
    let mut client =
        dial_address(listener.local_addr().unwrap(), SocketUse::Service, SECOND).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    server.write_all(b"part").await.unwrap();
    let mut part = [0; 4];
    client.read_exact(&mut part).await.unwrap();
    reset(server);
    let error = client.read(&mut part).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

/// Returns the bytes that a peer reads after `part` from a service socket, or the error that ends
/// them. The socket is a dialed or an accepted one.
async fn end_of_service(
    dialed: bool,
    end: impl FnOnce(tokio::net::TcpStream),
) -> std::io::Result<Vec<u8>> {
    let listener = tokio::net::TcpListener::from_std(loopback()).unwrap();
    let address = listener.local_addr().unwrap();
    let other = if dialed { SocketUse::Service } else { SocketUse::Http };
    let (client, accepted) = tokio::join!(dial_address(address, other, SECOND), listener.accept());
    let (client, (accepted, _)) = (client.unwrap(), accepted.unwrap());
    let (mut ours, mut peer) = if dialed { (client, accepted) } else { (accepted, client) };
    ours.write_all(b"part").await.unwrap();
    let mut part = [0; 4];
    peer.read_exact(&mut part).await.unwrap();
    end(ours);
    let mut rest = Vec::new();
    peer.read_to_end(&mut rest).await.map(|_| rest)
}

#[tokio::test]
async fn a_service_socket_that_nobody_ends_is_reset() {
    for dialed in [false, true] {
        let error = end_of_service(dialed, drop).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}

#[tokio::test]
async fn a_service_socket_that_is_ended_delivers_all_and_ends_cleanly() {
    for dialed in [false, true] {
        // More than fits on the wire: the rest waits in the kernel at the close.
        let mut written = 0;
        let rest = end_of_service(dialed, |ours| {
            while let Ok(octets) = ours.try_write(&[7; 16 * 1024]) {
                written += octets;
            }
            end_cleanly(&ours);
        });
        assert_eq!(rest.await.unwrap().len(), written);
    }
}

#[test]
fn a_socket_moves_between_runtimes() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let listener = loopback();
    let address = listener.local_addr().unwrap();
    let moved = first.block_on(async {
        dial_address(address, SocketUse::Amqp, SECOND).await.unwrap().into_std().unwrap()
    });
    second.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let mut client = tokio::net::TcpStream::from_std(moved).unwrap();
        client.write_all(b"x").await.unwrap();
        server.read_exact(&mut [0]).await.unwrap();
    });
}

#[test]
fn accept_errors_are_told_apart() {
    let failure = |errno: rustix::io::Errno| accept_failure(&errno.into());
    assert_eq!(failure(rustix::io::Errno::MFILE), AcceptFailure::Resources);
    assert_eq!(failure(rustix::io::Errno::CONNABORTED), AcceptFailure::Connection);
    assert_eq!(failure(rustix::io::Errno::BADF), AcceptFailure::Listener);
}

#[test]
fn the_descriptor_limit_goes_up_to_the_hard_limit() {
    raise_descriptor_limit().unwrap();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    assert_eq!(limit.current, limit.maximum);
}
