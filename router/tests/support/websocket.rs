//! A bridge for programs that speak AMQP over TCP: a port that carries bytes to and from a
//! WebSocket.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use tungstenite::client::IntoClientRequest;
use tungstenite::{Error, Message, WebSocket};

use super::pki::Identity;
use super::{client, hear, tls, wait};

/// The stream under a WebSocket.
pub trait Stream: Read + Write + Send {
    fn socket(&self) -> &TcpStream;
}

impl Stream for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Stream for tls::Stream {
    fn socket(&self) -> &TcpStream {
        &self.sock
    }
}

/// Opens a WebSocket to a router, with TLS if there is an identity.
pub fn open(port: u16, identity: Option<&Identity>) -> Result<WebSocket<Box<dyn Stream>>, String> {
    let stream: Box<dyn Stream> = match identity {
        None => Box::new(client::try_connect(port).map_err(|error| error.to_string())?),
        Some(identity) => {
            Box::new(tls::connect(port, identity).map_err(|error| error.to_string())?)
        }
    };
    let mut request = format!("ws://localhost:{port}/").into_client_request().expect("a request");
    request.headers_mut().insert("Sec-WebSocket-Protocol", "amqp".parse().expect("a value"));
    tungstenite::client(request, stream)
        .map(|(websocket, _)| websocket)
        .map_err(|error| error.to_string())
}

/// Reads until a performative comes. Returns false if the connection ends without it, and panics if
/// neither happens within the usual patience.
#[track_caller]
pub fn hears(open: &mut WebSocket<Box<dyn Stream>>, code: u8) -> bool {
    let end = Instant::now() + wait::patience();
    let mut octets = Vec::new();
    while !hear::contains_performative(&octets, code) {
        let message = open.read();
        let is_late = Instant::now() >= end
            || matches!(&message, Err(Error::Io(error)) if client::is_timeout(error));
        assert!(!is_late, "neither performative {code:#x} nor the end of the connection came");
        match message {
            Ok(message) => octets.extend_from_slice(&message.into_data()),
            Err(_) => return false,
        }
    }
    true
}

/// Starts a bridge and returns its port. It lasts as long as the test's process.
pub fn bridge(router: u16, identity: Option<Identity>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let identity = identity.clone();
            std::thread::spawn(move || match open(router, identity.as_ref()) {
                Ok(websocket) => carry(client, websocket),
                Err(error) => eprintln!("no WebSocket to port {router}: {error}"),
            });
        }
    });
    port
}

/// Carries bytes both ways until either end closes. One thread polls both, since a WebSocket's
/// halves share their state.
fn carry(mut client: TcpStream, mut websocket: WebSocket<Box<dyn Stream>>) {
    let pause = Some(Duration::from_millis(2));
    client.set_read_timeout(pause).expect("set");
    websocket.get_ref().socket().set_read_timeout(pause).expect("set");
    let mut buffer = vec![0; 32 * 1024];
    loop {
        match client.read(&mut buffer) {
            Ok(0) => break,
            Ok(octets) => {
                if websocket.send(Message::binary(buffer[..octets].to_vec())).is_err() {
                    break;
                }
            }
            Err(error) if client::is_timeout(&error) => {}
            Err(_) => break,
        }
        match websocket.read() {
            Ok(message) => {
                if client.write_all(&message.into_data()).is_err() {
                    break;
                }
            }
            Err(Error::Io(error)) if client::is_timeout(&error) => {}
            Err(_) => break,
        }
    }
    let _ = websocket.close(None);
    let _ = websocket.flush();
    let _ = client.shutdown(Shutdown::Both);
}
