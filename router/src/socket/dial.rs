//! Outgoing TCP connections.

use std::net::SocketAddr;
use std::time::Duration;
use std::{fmt, io};

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout_at};

use super::options::{SocketUse, configure};
use super::resolve::{Family, ResolveError, Resolver};

/// The options of a dial.
#[derive(Clone, Copy, Debug)]
pub struct DialOptions {
    /// The use of the socket.
    pub used_for: SocketUse,
    /// The addresses of a name to try.
    pub family: Family,
    /// Deadline of the name look-up.
    pub lookup: Duration,
    /// Deadline of the attempt at one address.
    pub attempt: Duration,
    /// Deadline of all attempts together, without the look-up. The dial reports addresses that it
    /// leaves untried.
    pub total: Duration,
}

impl DialOptions {
    /// Returns the usual deadlines: 5 s for the name, 5 s for an address, 20 s for all addresses.
    pub const fn new(used_for: SocketUse) -> Self {
        Self {
            used_for,
            family: Family::Any,
            lookup: Duration::from_secs(5),
            attempt: Duration::from_secs(5),
            total: Duration::from_secs(20),
        }
    }
}

/// The reason why one address could not be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptError {
    /// The port is closed: the host answered with RST or an ICMP message.
    Refused,
    /// No answer in time.
    TimedOut(Duration),
    /// This host has no route to that network or host.
    Unreachable,
    /// The total deadline passed before this address's turn.
    NotTried,
    /// This process is out of descriptors, ports or memory.
    Resources(String),
    /// Another cause, in the system's words.
    Other(String),
}

impl AttemptError {
    fn new(error: &io::Error, waited: Duration) -> Self {
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::CONNREFUSED) => Self::Refused,
            Some(Errno::TIMEDOUT) => Self::TimedOut(waited),
            Some(
                Errno::NETUNREACH
                | Errno::HOSTUNREACH
                | Errno::AFNOSUPPORT
                | Errno::NETDOWN
                | Errno::HOSTDOWN,
            ) => Self::Unreachable,
            Some(
                Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::ADDRNOTAVAIL,
            ) => Self::Resources(error.to_string()),
            _ => Self::Other(error.to_string()),
        }
    }
}

impl fmt::Display for AttemptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("connection refused"),
            Self::TimedOut(waited) => write!(f, "timed out after {:.1} s", waited.as_secs_f32()),
            Self::Unreachable => f.write_str("no route to it"),
            Self::NotTried => f.write_str("not tried for lack of time"),
            Self::Resources(text) => write!(f, "out of local resources: {text}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// The reason why no address could be reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// The host has no address.
    #[error(transparent)]
    Name(#[from] ResolveError),
    /// Every address failed.
    #[error("cannot connect to {host}:{port}: {}", Attempts(.host, .attempts))]
    Connect {
        /// The host as configured.
        host: String,
        /// The port.
        port: u16,
        /// Every address and its failure, in the order of trying. Never empty.
        attempts: Vec<(SocketAddr, AttemptError)>,
    },
}

impl DialError {
    /// Returns true if every address refused the connection. Then the host is there, but the
    /// service is not.
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Connect { attempts, .. } if attempts.iter().all(|(_,
            error)| *error == AttemptError::Refused))
    }
}

/// The attempts as a list. It never repeats a literal host as its own address.
struct Attempts<'a>(&'a str, &'a [(SocketAddr, AttemptError)]);

impl fmt::Display for Attempts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (address, error)) in self.1.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            if self.0.trim_matches(['[', ']']).parse() == Ok(address.ip()) {
                write!(f, "{error}")?;
            } else {
                write!(f, "{} {error}", address.ip())?;
            }
        }
        Ok(())
    }
}

/// Resolves `host` and tries its addresses in order until one answers.
///
/// Sets the socket's options before it connects.
///
/// # Errors
/// The name has no address, or every attempt failed or ran into a deadline.
pub async fn dial(
    resolver: &Resolver,
    host: &str,
    port: u16,
    options: &DialOptions,
) -> Result<TcpStream, DialError> {
    let addresses = resolver.resolve(host, options.family, options.lookup).await?;
    let end = Instant::now() + options.total;
    let mut attempts = Vec::with_capacity(addresses.len());
    for &ip in addresses.iter() {
        let address = SocketAddr::new(ip, port);
        if Instant::now() >= end {
            attempts.push((address, AttemptError::NotTried));
            continue;
        }
        match attempt(address, options.used_for, options.attempt, end).await {
            Ok(stream) => return Ok(stream),
            Err(error) => attempts.push((address, error)),
        }
    }
    Err(DialError::Connect { host: host.to_owned(), port, attempts })
}

/// Connects to one address within `deadline`.
///
/// # Errors
/// The reason why the address could not be reached.
pub async fn dial_address(
    address: SocketAddr,
    used_for: SocketUse,
    deadline: Duration,
) -> Result<TcpStream, AttemptError> {
    attempt(address, used_for, deadline, Instant::now() + deadline).await
}

async fn attempt(
    address: SocketAddr,
    used_for: SocketUse,
    deadline: Duration,
    end: Instant,
) -> Result<TcpStream, AttemptError> {
    let start = Instant::now();
    let connect = async {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM.nonblocking().cloexec(),
            Some(Protocol::TCP),
        )?;
        configure(&socket, used_for);
        TcpSocket::from_std_stream(socket.into()).connect(address).await
    };
    match timeout_at(end.min(start + deadline), connect).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(AttemptError::new(&error, start.elapsed())),
        Err(_) => Err(AttemptError::TimedOut(start.elapsed())),
    }
}
