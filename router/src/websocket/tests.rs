use std::io::IoSlice;

use bytes::BytesMut;
use hyper::{Request, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::tls::{End, Flushed, Received, Session, SessionError};

/// Both ends: the router's WebSocket, and a client's bare socket.
struct Pair {
    socket: TcpStream,
    websocket: WebSocket,
    client: TcpStream,
    received: BytesMut,
}

async fn pair() -> Pair {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (socket, _) = listener.accept().await.unwrap();
    Pair {
        socket,
        websocket: WebSocket::new(Session::plain(), BytesMut::new()),
        client,
        received: BytesMut::new(),
    }
}

/// Returns a client's frame with a mask that changes nothing.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len();
    let mut frame = vec![first];
    match u16::try_from(length) {
        Ok(short) if short < 126 => frame.push(0x80 | short as u8),
        Ok(middle) => {
            frame.push(0xfe);
            frame.extend(middle.to_be_bytes());
        }
        Err(_) => {
            frame.push(0xff);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

impl Pair {
    async fn say(&mut self, octets: &[u8]) {
        self.client.write_all(octets).await.unwrap();
    }

    /// Reads until `enough`, and sends the answers that this causes.
    async fn receive(
        &mut self,
        enough: impl Fn(&[u8], Received) -> bool,
    ) -> Result<Received, SessionError> {
        let mut scratch = vec![0; 4096];
        loop {
            let received = self.websocket.receive(&self.socket, &mut scratch, &mut self.received);
            let _ = self.websocket.flush(&self.socket)?;
            let received = received?;
            if enough(&self.received, received) {
                return Ok(received);
            }
            if received.blocked {
                self.socket.readable().await.unwrap();
            }
        }
    }

    async fn heard(&mut self, octets: usize) -> Vec<u8> {
        let mut heard = vec![0; octets];
        self.client.read_exact(&mut heard).await.unwrap();
        heard
    }
}

#[tokio::test]
async fn octets_come_and_go_whatever_the_messages() {
    let mut pair = pair().await;
    let long = vec![5; 70_000];
    let said = [
        frame(0x82, b"AM"),
        frame(0x02, b"Q"),
        frame(0x80, b"P"),
        frame(0x82, b""),
        frame(0x82, &long),
    ]
    .concat();
    // The first bytes came behind the request, and the rest comes in arbitrary pieces.
    pair.websocket = WebSocket::new(Session::plain(), BytesMut::from(&said[..3]));
    pair.say(&said[3..20]).await;
    pair.receive(|received, _| received.len() >= 2).await.unwrap();
    pair.say(&said[20..]).await;
    pair.receive(|received, _| received.len() == 70_004).await.unwrap();
    assert!(pair.received.starts_with(b"AMQP") && pair.received[4..] == long[..]);

    let slices = [IoSlice::new(b"one"), IoSlice::new(b"two")];
    assert_eq!(pair.websocket.send(&pair.socket, &slices).unwrap(), Flushed::All);
    assert_eq!(pair.heard(8).await, b"\x82\x06onetwo");
}

#[tokio::test]
async fn pings_are_answered_and_a_close_is_an_end() {
    let mut pair = pair().await;
    pair.say(&frame(0x89, b"there?")).await;
    pair.say(&frame(0x82, b"x")).await;
    pair.receive(|received, _| received == b"x").await.unwrap();
    assert_eq!(pair.heard(8).await, b"\x8a\x06there?");
    pair.say(&frame(0x88, &1000_u16.to_be_bytes())).await;
    let received = pair.receive(|_, received| received.end.is_some()).await.unwrap();
    assert_eq!(received.end, Some(End::Eof));
    assert_eq!(pair.heard(4).await, [0x88, 2, 0x03, 0xe8]);
}

#[tokio::test]
async fn we_close_and_say_so() {
    let mut pair = pair().await;
    pair.websocket.send_close_notify();
    assert_eq!(pair.websocket.flush(&pair.socket).unwrap(), Flushed::All);
    assert_eq!(pair.heard(4).await, [0x88, 2, 0x03, 0xe8]);
    assert!(pair.websocket.send(&pair.socket, &[IoSlice::new(b"late")]).is_err());
}

#[tokio::test]
async fn what_breaks_the_rules_ends_it_with_a_reason() {
    let too_long = [vec![0x82, 0xff], (1_u64 << 62).to_be_bytes().to_vec(), vec![0; 4]].concat();
    let cases: [(&[u8], u16); 7] = [
        (&frame(0x81, b"text"), 1003),
        (&[0x82, 1, b'x'], 1002),
        (&frame(0xf2, b"reserved bits"), 1002),
        (&frame(0x83, b"reserved kind"), 1002),
        (&frame(0x80, b"continues nothing"), 1002),
        (&frame(0x89, &[0; 126]), 1002),
        (&too_long, 1009),
    ];
    for (said, code) in cases {
        let mut pair = pair().await;
        pair.say(said).await;
        let error = pair.receive(|_, received| received.end.is_some()).await.unwrap_err();
        assert!(error.to_string().starts_with("WebSocket: "), "{error}");
        let close = pair.heard(4).await;
        assert_eq!((close[0], u16::from_be_bytes([close[2], close[3]])), (0x88, code), "{error}");
    }
}

#[tokio::test]
async fn fragments_without_end_are_bounded() {
    let mut pair = pair().await;
    let fragment = frame(0x02, &vec![0; 60_000]);
    let more = frame(0x00, &vec![0; 60_000]);
    let client = async {
        let mut said = 0_usize;
        let _ = pair.client.write_all(&fragment).await;
        while pair.client.write_all(&more).await.is_ok() && said < 100 {
            said += 1;
        }
    };
    let router = async {
        let mut scratch = vec![0; 4096];
        loop {
            match pair.websocket.receive(&pair.socket, &mut scratch, &mut pair.received) {
                Ok(received) if received.blocked => pair.socket.readable().await.unwrap(),
                Ok(_) => {}
                Err(error) => return error.to_string(),
            }
        }
    };
    let error = tokio::select! {
        error = router => error,
        () = async { client.await; std::future::pending().await } => unreachable!(),
    };
    assert!(
        error.contains("too big") || error.contains("too long") || error.contains("larger"),
        "{error}"
    );
    assert!(pair.received.is_empty());
}

#[tokio::test]
async fn who_pings_and_reads_nothing_is_bounded() {
    let mut pair = pair().await;
    let pings: Vec<u8> = (0..2000).flat_map(|_| frame(0x89, &[1; 125])).collect();
    let mut scratch = vec![0; 64 * 1024];
    for _ in 0..100 {
        let client = pair.client.write_all(&pings);
        let router = async {
            loop {
                let received =
                    pair.websocket.receive(&pair.socket, &mut scratch, &mut pair.received).unwrap();
                let _ = pair.websocket.flush(&pair.socket).unwrap();
                if received.blocked {
                    pair.socket.readable().await.unwrap();
                }
            }
        };
        tokio::select! {
            done = client => done.unwrap(),
            never = router => { let () = never; }
        }
    }
    // The client asked for 26 MB of answers. The part that was kept, here and in the kernel's
    // buffers, comes out.
    let mut heard = 0;
    let mut buffer = vec![0; 64 * 1024];
    while pair.websocket.flush(&pair.socket).unwrap() == Flushed::Blocked {
        tokio::select! {
            octets = pair.client.read(&mut buffer) => heard += octets.unwrap(),
            writable = pair.socket.writable() => writable.unwrap(),
        }
    }
    pair.websocket.send_close_notify();
    let _ = pair.websocket.flush(&pair.socket).unwrap();
    drop(pair.socket);
    while let Ok(octets @ 1..) = pair.client.read(&mut buffer).await {
        heard += octets;
    }
    assert!((1_000_000..16_000_000).contains(&heard), "{heard}");
}

#[test]
fn the_handshake_is_checked() {
    let asked = |headers: &[(&str, &str)]| {
        let mut request = Request::builder().uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    };
    let good = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-protocol", "mqtt, amqp"),
    ];
    let request = asked(&good);
    assert!(handshake::is_asked(request.headers()));
    let answer = handshake::answer(&request).unwrap();
    assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(answer.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(answer.headers()["sec-websocket-protocol"], "amqp");
    for left_out in 0..good.len() {
        let mut headers = good.to_vec();
        headers.remove(left_out);
        let request = asked(&headers);
        assert!(handshake::answer(&request).is_err(), "without {}", good[left_out].0);
        assert_eq!(handshake::is_asked(request.headers()), left_out != 1);
    }
    for (at, wrong) in [(2, "8"), (3, "short"), (4, "mqtt")] {
        let mut headers = good;
        headers[at].1 = wrong;
        assert!(handshake::answer(&asked(&headers)).is_err(), "{wrong}");
    }
}
