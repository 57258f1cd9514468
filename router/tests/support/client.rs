//! Clients of a service, and what both ends of a TCP connection can say about how it went.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use super::pattern::{self, Check};
use super::wait;

/// What `hello` answers.
pub const HELLO: &str = "{\"message\":\"Hello\"}";

/// How the incoming half of a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By an end of stream: whoever reads takes what arrived for complete.
    Clean,
    /// By an error.
    Reset,
    /// Not at all, as long as was waited.
    Open,
}

/// What happened on one end of a connection.
#[derive(Clone, Debug)]
pub struct Account {
    /// Octets that were taken from us.
    pub sent: u64,
    /// Why not all of them were, if so.
    pub refused: Option<ErrorKind>,
    /// Octets that arrived.
    pub received: u64,
    /// Where the first of them that was wrong stood.
    pub wrong_at: Option<u64>,
    /// How the incoming half ended.
    pub end: End,
}

impl Account {
    /// Whether exactly these numbers went either way, unharmed and cleanly ended.
    #[track_caller]
    pub fn assert_complete(&self, sent: u64, received: u64) {
        let good = self.sent == sent
            && self.refused.is_none()
            && self.received == received
            && self.wrong_at.is_none()
            && self.end == End::Clean;
        assert!(
            good,
            "not a complete exchange of {sent} octets sent and {received} received: {self:?}"
        );
    }

    /// Whether this end knows that something went wrong.
    pub fn saw_an_error(&self) -> bool {
        self.refused.is_some() || self.end == End::Reset
    }
}

/// Connects to a port of this machine. No read or write lasts longer than the usual patience.
#[track_caller]
pub fn connect(port: u16) -> TcpStream {
    try_connect(port).unwrap_or_else(|error| panic!("no connection to port {port}: {error}"))
}

/// As [`connect`], where it may fail.
pub fn try_connect(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(wait::patience()))?;
    stream.set_write_timeout(Some(wait::patience()))?;
    Ok(stream)
}

/// Connects from an address of this machine other than the usual, such as 127.0.0.2.
pub fn connect_from(source: Ipv4Addr, port: u16) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(wait::patience()))?;
    Ok(stream)
}

/// Makes the coming close of this socket a reset.
pub fn reset_on_close(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// Asks a web server once, and gives back the body of its answer.
pub fn get(port: u16) -> io::Result<String> {
    let mut stream = try_connect(port)?;
    let answer = request(&mut stream)?;
    Ok(answer)
}

/// Sends one request on a connection that may carry more of them.
pub fn request(stream: &mut TcpStream) -> io::Result<String> {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: hello\r\nUser-Agent: test\r\n\r\n")?;
    let mut head = Vec::new();
    let mut octet = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut octet)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        head.push(octet[0]);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.ok_or(ErrorKind::InvalidData)?];
    stream.read_exact(&mut body)?;
    String::from_utf8(body).map_err(|_| ErrorKind::InvalidData.into())
}

/// Asks until the answer comes: the way through a network whose routers are still finding each
/// other.
#[track_caller]
pub fn await_hello(port: u16) {
    wait::until(&format!("an answer on port {port}"), wait::patience(), || {
        hello_once(port).then_some(())
    });
}

/// Asks once, giving up soon, since the way may just be vanishing.
pub fn hello_once(port: u16) -> bool {
    let Ok(mut stream) = try_connect(port) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    request(&mut stream).is_ok_and(|answer| answer == HELLO)
}

/// Reads to the end. Gives up when nothing arrives for the usual patience.
pub fn drain(stream: &mut TcpStream, check: &mut Check) -> End {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return End::Clean,
            Ok(count) => check.take(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return End::Open;
            }
            Err(_) => return End::Reset,
        }
    }
}

/// Reads text to the end.
pub fn read_text(stream: &mut TcpStream) -> (String, End) {
    let mut text = Vec::new();
    let end = match stream.read_to_end(&mut text) {
        Ok(_) => End::Clean,
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            End::Open
        }
        Err(_) => End::Reset,
    };
    (String::from_utf8_lossy(&text).into_owned(), end)
}

/// Sends `octets` of the pattern in writes of every size, calling `progress` after each; tells how
/// many were taken.
pub fn send(
    stream: &mut TcpStream,
    octets: u64,
    mut progress: impl FnMut(u64),
) -> (u64, Option<ErrorKind>) {
    let mut sent = 0;
    let mut index = 0;
    while sent < octets {
        let mut left = (octets - sent).min(pattern::chunk(index) as u64);
        index += 1;
        while left > 0 {
            let piece = pattern::from(sent, usize::try_from(left).unwrap_or(usize::MAX));
            match stream.write(piece) {
                Ok(count) => {
                    sent += count as u64;
                    left -= count as u64;
                    progress(sent);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return (sent, Some(error.kind())),
            }
        }
    }
    (sent, None)
}

/// Sends `octets` of the pattern, then ends that half, while reading the other half to its end.
pub fn exchange(stream: &TcpStream, octets: u64) -> Account {
    let mut outgoing = stream.try_clone().expect("a second handle of the socket");
    let mut incoming = stream.try_clone().expect("a second handle of the socket");
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || {
            let (sent, refused) = send(&mut outgoing, octets, |_| {});
            if refused.is_none() {
                let _ = outgoing.shutdown(Shutdown::Write);
            }
            (sent, refused)
        });
        let mut check = Check::default();
        let end = drain(&mut incoming, &mut check);
        if end != End::Clean {
            // Nobody will read what is still to be sent.
            let _ = incoming.shutdown(Shutdown::Both);
        }
        let (sent, refused) = writer.join().expect("the writer does not panic");
        Account { sent, refused, received: check.received(), wrong_at: check.wrong_at(), end }
    })
}

/// Ends a connection when dropped, whoever still holds a handle of it.
pub struct HangUp<'a>(pub &'a TcpStream);

impl Drop for HangUp<'_> {
    fn drop(&mut self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}
