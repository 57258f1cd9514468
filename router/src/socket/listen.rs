//! Listening sockets.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::SocketFlags;
use socket2::{Domain, Protocol, Socket, Type};

use super::options::{Kind, configure};
use super::resolve::{Family, ResolveError, Resolver};

/// No accept queue is longer than this (`net.core.somaxconn` since Linux 5.4), so a drain that took
/// as many has taken what waited.
const DRAIN_LIMIT: usize = 4096;

/// Why a listener could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The host of the listener has no address.
    #[error("cannot listen: {0}")]
    Name(#[from] ResolveError),
    /// The port is taken, on this address.
    #[error("cannot listen on {address}: the port is held by another process (see: ss -ltnp)")]
    InUse {
        /// What was asked for.
        address: SocketAddr,
    },
    /// The port is below 1024 and this process may not open those.
    #[error(
        "cannot listen on {address}: not permitted (ports below 1024 need CAP_NET_BIND_SERVICE)"
    )]
    NotPermitted {
        /// What was asked for.
        address: SocketAddr,
    },
    /// The address is none of this machine's.
    #[error("cannot listen on {address}: not an address of this machine")]
    NotLocal {
        /// What was asked for.
        address: SocketAddr,
    },
    /// Anything else.
    #[error("cannot listen on {address}: {error}")]
    Other {
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
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

    /// The address family does not exist on this machine, or not with this address.
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

/// Opens the listening sockets of `host` and `port`: one per address.
///
/// * An empty host means all interfaces: one dual-stack socket, or an IPv4 one where the kernel has
///   no IPv6. `0.0.0.0` and `::` mean all interfaces of that family only.
/// * A name is listened on at every address it has (`localhost` has two). An address the machine
///   lacks is passed over as long as another one works; a port in use is an error, for half a
///   listener would mislead.
/// * With port 0 the kernel chooses, and all sockets share its choice.
///
/// The sockets are non-blocking. They have the options of `kind`, which what they accept inherits:
/// that spares five system calls a connection. `SO_REUSEADDR` is set, so that a restart does not
/// wait for old connections; `SO_REUSEPORT` never, for two processes would share a port unseen.
pub async fn listen(
    resolver: &Resolver,
    host: &str,
    port: u16,
    family: Family,
    backlog: u32,
    kind: Kind,
) -> Result<Vec<TcpListener>, ListenError> {
    if host.is_empty() {
        let any4 = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
        let any6 = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
        let listener = match family {
            Family::V4 => listen_address(any4, backlog, true, kind),
            Family::V6 => listen_address(any6, backlog, true, kind),
            Family::Any => match listen_address(any6, backlog, false, kind) {
                Err(error) if error.is_absent() => listen_address(any4, backlog, true, kind),
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
        match listen_address(SocketAddr::new(ip, port), backlog, true, kind) {
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

/// Opens one listening socket. `v6only` says whether an IPv6 socket leaves IPv4 alone; it has no
/// meaning for IPv4.
pub fn listen_address(
    address: SocketAddr,
    backlog: u32,
    v6only: bool,
    kind: Kind,
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
        configure(&socket, kind);
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        Ok(socket.into())
    };
    open().map_err(|error| ListenError::new(address, error))
}

/// What an error of `accept` means for the loop that accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptFailure {
    /// That one connection is gone: accept the next at once.
    Connection,
    /// Descriptors or memory are short. The connection stays in the queue and the socket readable:
    /// wait a little before the next try, or the loop spins.
    Resources,
    /// The listener itself is broken: open it anew.
    Listener,
}

/// Sorts an error of `accept` (`accept(2)`, section ERRORS).
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

/// Takes the connections that wait in a listener's queue, to be called before the listener is
/// closed: closing would reset them although their clients already believe to be connected.
///
/// The listener must be non-blocking, as all made here are. The streams are non-blocking.
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
