//! Clients of a service, and accounts of both ends of a TCP connection.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use super::pattern::{self, Check};
use super::wait;

/// The answer of the server `hello`.
pub const HELLO: &str = "{\"message\":\"Hello\"}";

/// The way in which the incoming half of a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By an end of stream. The reader takes the input for complete.
    Clean,
    /// By an error.
    Reset,
    /// Not at all, for as long as the test waited.
    Open,
}

/// The account of one end of a connection.
#[derive(Clone, Debug)]
pub struct Account {
    /// Bytes that the socket took from this end.
    pub sent: u64,
    /// The error that stopped the sending, if one did.
    pub refused: Option<ErrorKind>,
    /// Bytes that arrived.
    pub received: u64,
    /// Offset of the first wrong byte.
    pub wrong_at: Option<u64>,
    /// End of the incoming half.
    pub end: End,
}

impl Account {
    /// Asserts that exactly these numbers of bytes went each way, intact and with a clean end.
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

    /// Returns true if this end knows of a failure.
    pub fn saw_an_error(&self) -> bool {
        self.refused.is_some() || self.end == End::Reset
    }
}

/// Connects to a port of this machine. No read or write lasts longer than the usual patience.
#[track_caller]
pub fn connect(port: u16) -> TcpStream {
    try_connect(port).unwrap_or_else(|error| panic!("no connection to port {port}: {error}"))
}

/// Connects like [`connect`], and returns the error of a failure.
pub fn try_connect(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(wait::patience()))?;
    stream.set_write_timeout(Some(wait::patience()))?;
    Ok(stream)
}

/// Connects from another loopback address, such as 127.0.0.2.
pub fn connect_from(source: Ipv4Addr, port: u16) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(wait::patience()))?;
    Ok(stream)
}

/// Makes the close of this socket a reset.
pub fn reset_on_close(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// Requests a page from a web server, and returns the body.
pub fn get(port: u16) -> io::Result<String> {
    let mut stream = try_connect(port)?;
    let answer = request(&mut stream)?;
    Ok(answer)
}

/// Sends one request on a connection that stays open.
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

/// Requests until an answer comes, through a network in which routers still find each other.
#[track_caller]
pub fn await_hello(port: u16) {
    wait::until(&format!("an answer on port {port}"), wait::patience(), || {
        hello_once(port).then_some(())
    });
}

/// Requests once, with a short time limit, for the way may vanish meanwhile.
pub fn hello_once(port: u16) -> bool {
    let Ok(mut stream) = try_connect(port) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    request(&mut stream).is_ok_and(|answer| answer == HELLO)
}

/// Returns true if a read or write ended at its time limit.
pub fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Reads to the end, or until no byte arrives for the usual patience.
pub fn drain(stream: &mut TcpStream, check: &mut Check) -> End {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return End::Clean,
            Ok(count) => check.take(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if is_timeout(&error) => return End::Open,
            Err(_) => return End::Reset,
        }
    }
}

/// Reads text to the end.
pub fn read_text(stream: &mut TcpStream) -> (String, End) {
    let mut text = Vec::new();
    let end = match stream.read_to_end(&mut text) {
        Ok(_) => End::Clean,
        Err(error) if is_timeout(&error) => End::Open,
        Err(_) => End::Reset,
    };
    (String::from_utf8_lossy(&text).into_owned(), end)
}

/// Sends `octets` of the pattern in writes of every size, and calls `progress` after each. Returns
/// how many the socket took.
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

/// Sends `octets` of the pattern and ends that half, while it reads the other half to its end.
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
            // No one will read the bytes that are left to send.
            let _ = incoming.shutdown(Shutdown::Both);
        }
        let (sent, refused) = writer.join().expect("the writer does not panic");
        Account { sent, refused, received: check.received(), wrong_at: check.wrong_at(), end }
    })
}

/// Ends a connection on drop, even if other handles of it exist.
pub struct HangUp<'a>(pub &'a TcpStream);

impl Drop for HangUp<'_> {
    fn drop(&mut self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}
