//! Listening sockets.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::SocketFlags;
use socket2::{Domain, Protocol, Socket, Type};

use super::options::{SocketUse, configure};
use super::resolve::{Family, ResolveError, Resolver};

/// Most connections that a drain takes. No accept queue is longer (`net.core.somaxconn` since Linux
/// 5.4), so a drain of that many has emptied the queue.
const DRAIN_LIMIT: usize = 4096;

/// The reason why a listener could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The host of the listener has no address.
    #[error("cannot listen: {0}")]
    Name(#[from] ResolveError),
    /// Another process holds the port on this address.
    #[error("cannot listen on {address}: the port is held by another process (see: ss -ltnp)")]
    InUse {
        /// The requested address and port.
        address: SocketAddr,
    },
    /// The port is below 1024, and this process may not open it.
    #[error(
        "cannot listen on {address}: not permitted (ports below 1024 need CAP_NET_BIND_SERVICE)"
    )]
    NotPermitted {
        /// The requested address and port.
        address: SocketAddr,
    },
    /// The address is not an address of this machine.
    #[error("cannot listen on {address}: not an address of this machine")]
    NotLocal {
        /// The requested address and port.
        address: SocketAddr,
    },
    /// Another cause.
    #[error("cannot listen on {address}: {error}")]
    Other {
        /// The requested address and port.
        address: SocketAddr,
        /// The system's error.
        error: io::Error,
    },
}

impl ListenError {
    fn new(address: SocketAddr, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { address },
            io::ErrorKind::PermissionDenied => Self::NotPermitted { address },
            io::ErrorKind::AddrNotAvailable => Self::NotLocal { address },
            _ => Self::Other { address, error },
        }
    }

    /// Returns true if this machine lacks the address or its whole family.
    fn is_absent(&self) -> bool {
        match self {
            Self::NotLocal { .. } => true,
            Self::Other { error, .. } => {
                error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error())
                    || error.raw_os_error() == Some(Errno::PROTONOSUPPORT.raw_os_error())
            }
            _ => false,
        }
    }
}

/// Opens the listening sockets of `host` and `port`, one for each address.
///
/// * An empty host means all interfaces: one dual-stack socket, or an IPv4 socket where the kernel
///   has no IPv6. `0.0.0.0` and `::` mean all interfaces of that family only.
/// * For a name it listens on every address of the name (`localhost` has two). It skips an address
///   that the machine lacks if another one works. A port in use is an error, for half a listener
///   would mislead.
/// * With port 0 the kernel chooses the port, and all sockets share it.
///
/// The sockets are non-blocking and have the options of `used_for`. Accepted connections inherit
/// these, which saves five system calls each. `SO_REUSEADDR` is set, so that a restart does not
/// wait for old connections. `SO_REUSEPORT` is not, for two processes could then share a port
/// unnoticed.
///
/// # Errors
/// The host has no address, or a socket could not be opened. No socket stays open then.
pub async fn listen(
    resolver: &Resolver,
    host: &str,
    port: u16,
    family: Family,
    backlog: u32,
    used_for: SocketUse,
) -> Result<Vec<TcpListener>, ListenError> {
    if host.is_empty() {
        let any4 = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
        let any6 = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
        let listener = match family {
            Family::V4 => listen_address(any4, backlog, true, used_for),
            Family::V6 => listen_address(any6, backlog, true, used_for),
            Family::Any => match listen_address(any6, backlog, false, used_for) {
                Err(error) if error.is_absent() => listen_address(any4, backlog, true, used_for),
                result => result,
            },
        }?;
        return Ok(vec![listener]);
    }
    let addresses = resolver.resolve(host, family, Duration::from_secs(5)).await?;
    let mut listeners = Vec::with_capacity(addresses.len());
    let mut port = port;
    let mut absent = None;
    for &ip in addresses.iter() {
        match listen_address(SocketAddr::new(ip, port), backlog, true, used_for) {
            Ok(listener) => {
                if port == 0 {
                    port = listener
                        .local_addr()
                        .map_err(|error| ListenError::new(SocketAddr::new(ip, 0), error))?
                        .port();
                }
                listeners.push(listener);
            }
            Err(error) if error.is_absent() => absent = absent.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    match absent {
        Some(error) if listeners.is_empty() => Err(error),
        _ => Ok(listeners),
    }
}

/// Opens one listening socket. With `v6only` an IPv6 socket leaves IPv4 alone; IPv4 sockets ignore
/// it.
///
/// # Errors
/// The system refuses a step.
pub fn listen_address(
    address: SocketAddr,
    backlog: u32,
    v6only: bool,
    used_for: SocketUse,
) -> Result<TcpListener, ListenError> {
    let open = || -> io::Result<TcpListener> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM.nonblocking().cloexec(),
            Some(Protocol::TCP),
        )?;
        if address.is_ipv6() {
            socket.set_only_v6(v6only)?;
        }
        socket.set_reuse_address(true)?;
        configure(&socket, used_for);
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        Ok(socket.into())
    };
    open().map_err(|error| ListenError::new(address, error))
}

/// The meaning of an `accept` error for the loop that accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptFailure {
    /// One connection is gone. Accept the next at once.
    Connection,
    /// Descriptors or memory are short. The connection stays in the queue and the socket stays
    /// readable, so wait before the next try. Otherwise the loop spins.
    Resources,
    /// The listener itself is broken. Open it anew.
    Listener,
}

/// Classifies an error of `accept` (`accept(2)`, section ERRORS).
pub fn accept_failure(error: &io::Error) -> AcceptFailure {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
            AcceptFailure::Resources
        }
        Some(Errno::BADF | Errno::INVAL | Errno::NOTSOCK | Errno::OPNOTSUPP | Errno::FAULT) => {
            AcceptFailure::Listener
        }
        _ => AcceptFailure::Connection,
    }
}

/// Accepts the connections that wait in a listener's queue. Call it before you close the listener:
/// a close would reset these connections, which their clients already see as open.
///
/// The listener must be non-blocking, as all listeners of this module are. The streams are
/// non-blocking too.
pub fn drain_accept(listener: &impl AsFd) -> Vec<TcpStream> {
    let mut taken = Vec::new();
    while taken.len() < DRAIN_LIMIT {
        match rustix::net::accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(socket) => taken.push(TcpStream::from(socket)),
            Err(Errno::INTR | Errno::CONNABORTED) => {}
            Err(_) => break,
        }
    }
    taken
}
