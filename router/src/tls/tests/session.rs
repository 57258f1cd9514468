use std::cell::{Cell, RefCell};
use std::io;
use std::time::Instant;

use tokio::io::AsyncWriteExt;

use super::*;

/// What a session writes, with room for so much.
struct Pipe {
    octets: RefCell<Vec<u8>>,
    room: Cell<usize>,
    writes: Cell<usize>,
}

impl Pipe {
    fn new(room: usize) -> Self {
        Self { octets: RefCell::default(), room: Cell::new(room), writes: Cell::new(0) }
    }
}

impl Output for Pipe {
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut written = 0;
        for slice in slices {
            let take = slice.len().min(self.room.get() - written);
            self.octets.borrow_mut().extend_from_slice(&slice[..take]);
            written += take;
        }
        self.room.set(self.room.get() - written);
        self.writes.set(self.writes.get() + 1);
        if written == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(written) }
    }
}

/// Two sessions that have shaken hands, and their sockets.
async fn pair(protocols: &str) -> ((TcpStream, Session), (TcpStream, Session)) {
    pair_with(protocols, None).await
}

async fn pair_with(
    protocols: &str,
    ciphers: Option<&str>,
) -> ((TcpStream, Session), (TcpStream, Session)) {
    let folder = Folder::new();
    let issued = Authority::new("ca").unwrap().issue("north", &["north"]).unwrap();
    let (protocols, ciphers) = (Some(protocols.to_owned()), ciphers.map(str::to_owned));
    let config = ProfileConfig { protocols, ciphers, ..folder.config("north", &issued) };
    let profile = Profile::load(config).unwrap();
    let acceptor = profile.acceptor(ClientVerification::Required).unwrap();
    let connector = profile.connector(ServerVerification::ChainAndName).unwrap();
    let (server, client) = handshake(&acceptor, &connector, "north").await;
    (server.unwrap(), client.unwrap())
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

#[tokio::test]
async fn a_write_is_taken_whole_and_arrives_whole() {
    for protocols in ["TLSv1.2", "TLSv1.3", ""] {
        let (mut sender, mut receiver) = if protocols.is_empty() {
            (Session::plain(), Session::plain())
        } else {
            let ((_, server), (_, client)) = pair(protocols).await;
            (client, server)
        };
        let data = pattern(256 * 1024);
        let slices: Vec<IoSlice<'_>> = data.chunks(1000).map(IoSlice::new).collect();
        // Little room at first, so that the remainder waits.
        let pipe = Pipe::new(10_000);
        assert_eq!(sender.send(&pipe, &slices).unwrap(), Flushed::Blocked);
        assert!(sender.wants_write() && sender.unflushed() > 0);
        assert_eq!(sender.flush(&pipe).unwrap(), Flushed::Blocked);
        pipe.room.set(usize::MAX);
        assert_eq!(sender.flush(&pipe).unwrap(), Flushed::All);
        assert!(!sender.wants_write() && sender.unflushed() == 0);
        assert!(pipe.writes.get() <= 8, "{} writes", pipe.writes.get());

        let mut plaintext = BytesMut::new();
        for piece in pipe.octets.borrow().chunks(12_345) {
            let before = plaintext.len();
            let received = receiver.read(piece, &mut plaintext).unwrap();
            assert_eq!(
                received,
                Received { octets: plaintext.len() - before, end: None, blocked: false }
            );
            assert!(received.octets <= piece.len() + 16384);
        }
        assert!(plaintext == data, "{protocols}");
    }
}

#[tokio::test]
async fn octets_may_come_one_by_one() {
    let ((_, mut receiver), (_, mut sender)) = pair("TLSv1.3").await;
    let pipe = Pipe::new(usize::MAX);
    sender.write(&[IoSlice::new(b"one"), IoSlice::new(b""), IoSlice::new(b"two")]).unwrap();
    sender.write(&[]).unwrap();
    sender.send_close_notify();
    assert_eq!(sender.flush(&pipe).unwrap(), Flushed::All);
    let mut plaintext = BytesMut::new();
    let octets = pipe.octets.take();
    for (index, octet) in octets.iter().enumerate() {
        let received = receiver.read(&[*octet], &mut plaintext).unwrap();
        assert_eq!(received.end, (index + 1 == octets.len()).then_some(End::CloseNotify));
    }
    assert_eq!(&plaintext[..], b"onetwo");
    // What follows close_notify is nobody's.
    let received = receiver.read(b"garbage", &mut plaintext).unwrap();
    assert_eq!((received.octets, received.end), (0, Some(End::CloseNotify)));
    assert!(matches!(sender.write(&[IoSlice::new(b"late")]), Err(SessionError::Closed)));
}

#[tokio::test]
async fn altered_octets_end_the_session_with_an_alert() {
    let ((_, mut receiver), (_, mut sender)) = pair("TLSv1.3").await;
    let pipe = Pipe::new(usize::MAX);
    let _ = sender.send(&pipe, &[IoSlice::new(b"hello")]).unwrap();
    let mut octets = pipe.octets.take();
    *octets.last_mut().unwrap() ^= 1;
    let mut plaintext = BytesMut::new();
    let error = receiver.read(&octets, &mut plaintext).unwrap_err();
    assert!(matches!(error, SessionError::Protocol(_)), "{error}");
    assert!(plaintext.is_empty());
    assert!(receiver.read(&octets, &mut plaintext).is_err());
    assert!(receiver.write(&[IoSlice::new(b"x")]).is_err());
    assert!(receiver.wants_write());
    let _ = receiver.flush(&pipe).unwrap();
    match sender.read(&pipe.octets.take(), &mut plaintext).unwrap_err() {
        SessionError::Alert(HandshakeError::Alert { alert: "bad_record_mac", .. }) => {}
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn hostile_octets_do_not_accumulate() {
    let ((_, mut receiver), _) = pair("TLSv1.3").await;
    let mut plaintext = BytesMut::new();
    let mut record = vec![0x17, 3, 3, 0xff, 0xff];
    record.resize(70_000, 0);
    assert!(receiver.read(&record, &mut plaintext).is_err());
    assert!(plaintext.is_empty());
}

#[tokio::test]
async fn sockets_are_read_and_ended() {
    let ((server_socket, mut server), (mut client_socket, mut client)) = pair("TLSv1.3").await;
    let mut scratch = vec![0; 65536];
    let mut plaintext = BytesMut::new();
    assert!(server.receive(&server_socket, &mut scratch, &mut plaintext).unwrap().blocked);
    let data = pattern(1_000_000);
    let sending = send(&client_socket, &mut client, &data);
    let receiving = receive_exact(&server_socket, &mut server, data.len());
    let (_, received) = tokio::join!(sending, receiving);
    assert!(received == data);
    client.send_close_notify();
    assert_eq!(client.flush(&client_socket).unwrap(), Flushed::All);
    assert_eq!(
        receive(&server_socket, &mut server, &mut plaintext).await.unwrap().end,
        Some(End::CloseNotify)
    );
    client_socket.shutdown().await.unwrap();
    let ((server_socket, mut server), (client_socket, _)) = pair("TLSv1.2").await;
    drop(client_socket);
    assert_eq!(
        receive(&server_socket, &mut server, &mut plaintext).await.unwrap().end,
        Some(End::Eof)
    );
}

#[tokio::test]
async fn a_plain_session_reads_with_and_without_room() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    let (mut sender, mut receiver) = (Session::plain(), Session::plain());
    assert!(!sender.is_tls() && sender.info().is_none());
    let data = pattern(300_000);
    let sending = send(&client, &mut sender, &data);
    let receiving = async {
        let mut all = Vec::new();
        for turn in 0.. {
            let mut plaintext = BytesMut::with_capacity(if turn % 2 == 0 { 0 } else { 200_000 });
            let received = receive(&server, &mut receiver, &mut plaintext).await.unwrap();
            assert!(received.octets == plaintext.len() && received.octets <= 65536);
            all.extend_from_slice(&plaintext);
            if all.len() == data.len() {
                break;
            }
        }
        all
    };
    let (_, received) = tokio::join!(sending, receiving);
    assert!(received == data);
    sender.send_close_notify();
    assert!(!sender.wants_write());
}

/// Prints how fast one thread encrypts and decrypts, in writes of 64 KiB:
/// `cargo test --release -p skrouterd --lib tls::tests::session::throughput -- --ignored
/// --nocapture`
#[tokio::test]
#[ignore = "a measurement"]
async fn throughput() {
    const TOTAL: usize = 1 << 30;
    for ciphers in
        ["TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"]
    {
        for size in [4 << 10, 16 << 10, 64 << 10, 256 << 10] {
            let ((_, mut receiver), (_, mut sender)) = pair_with("TLSv1.3", Some(ciphers)).await;
            let data = pattern(size);
            // As the router writes: small headers and payloads of 16 KiB in turn.
            let mut slices = Vec::new();
            for chunk in data.chunks(16 << 10) {
                let (header, payload) = chunk.split_at(24);
                slices.extend([IoSlice::new(header), IoSlice::new(payload)]);
            }
            let pipe = Pipe::new(usize::MAX);
            pipe.octets.borrow_mut().reserve(2 * size);
            let mut plaintext = BytesMut::with_capacity(2 * size);
            let (mut sending, mut receiving) = (Duration::ZERO, Duration::ZERO);
            for _ in 0..TOTAL / size {
                let start = Instant::now();
                pipe.room.set(usize::MAX);
                assert_eq!(sender.send(&pipe, &slices).unwrap(), Flushed::All);
                sending += start.elapsed();
                let start = Instant::now();
                assert_eq!(
                    receiver.read(&pipe.octets.borrow(), &mut plaintext).unwrap().octets,
                    size
                );
                receiving += start.elapsed();
                plaintext.clear();
                pipe.octets.borrow_mut().clear();
            }
            let rate = |time: Duration| (TOTAL as f64) * 8.0 / time.as_secs_f64() / 1e9;
            println!(
                "{ciphers} {:3} KiB: sending {:.1}, receiving {:.1}, both on one thread {:.1} \
                 Gbit/s",
                size >> 10,
                rate(sending),
                rate(receiving),
                rate(sending + receiving)
            );
        }
    }
}
