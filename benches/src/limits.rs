//! Limits of the system on the process and its sockets: descriptors, and bytes of buffers.

use std::io;
use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit, setrlimit};
use socket2::SockRef;

use crate::BenchError;

/// Descriptors a run needs besides its connections: standard streams, and per thread an epoll
/// instance, its wake-up and the resolver's sockets.
const RESERVE: u64 = 64;

/// Raises the soft descriptor limit to the hard one and returns it. A refusal leaves the limit as
/// it is.
pub(crate) fn raise_descriptors() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current;
    limit.current = limit.maximum;
    let now = if setrlimit(Resource::Nofile, limit).is_ok() { limit.maximum } else { before };
    // `None` is infinity.
    now.unwrap_or(u64::MAX)
}

/// Makes sure `connections` sockets and as many descriptors as the threads need can be open at
/// once.
pub(crate) fn need_descriptors(connections: usize, threads: usize) -> Result<(), BenchError> {
    let limit = raise_descriptors();
    let needed = (connections as u64)
        .saturating_add((threads as u64).saturating_mul(8))
        .saturating_add(RESERVE);
    if needed > limit { Err(BenchError::Descriptors { needed, limit }) } else { Ok(()) }
}

/// Sets the size of a socket's buffers, instead of the system's, which grow.
pub(crate) fn bound_buffers(socket: &impl AsFd, octets: usize) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_send_buffer_size(octets)?;
    socket.set_recv_buffer_size(octets)
}

/// Returns whether `error` means that this process or this machine has no descriptor left.
pub(crate) fn is_descriptor_shortage(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    code == Some(Errno::MFILE.raw_os_error()) || code == Some(Errno::NFILE.raw_os_error())
}
