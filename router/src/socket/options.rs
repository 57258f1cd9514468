//! The options of every TCP socket, in one place, and how its close looks to the peer.

use std::net::Shutdown;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Idle time before the first keep-alive probe.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
/// Time between keep-alive probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// Unanswered probes after which the kernel gives the connection up: a dead peer is noticed after a
/// minute.
const KEEPALIVE_COUNT: u32 = 3;
/// How long sent data may stay unacknowledged on an AMQP socket before the kernel ends it.
const USER_TIMEOUT: Duration = Duration::from_secs(30);
/// How much an AMQP socket takes in beyond what is on the wire. A control frame waits behind at
/// most this and one TLS write, so that a slow, saturated path does not starve HELLO, whose absence
/// for 3 s ends a neighbor.
const NOTSENT_LOWAT: u32 = 128 * 1024;

/// How much a service socket takes in beyond what is on the wire. So a peer that stands still costs
/// the kernel this, not its largest send buffer (4 MiB). What may be on the wire is not bounded by
/// it, and a stream takes no more processor time.
const SERVICE_NOTSENT_LOWAT: u32 = 128 * 1024;

/// What a socket is for. It decides the socket's options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Carries AMQP: to other routers and to AMQP clients. Both ends always read, so data that
    /// stays unacknowledged for 30 s, or a receive window that stays shut as long, means a lost
    /// peer.
    Amqp,
    /// Carries a service connection. Since Linux 5.11 the user timeout also ends a connection whose
    /// peer keeps its window shut, which is the right of a slow reader: none is set, and
    /// keep-alive finds the dead.
    ///
    /// Its close sends RST, whoever closes it: an error path, or the kernel after a kill or a lack
    /// of memory. Only [`end_cleanly`] makes the close an end that the peer may trust.
    Service,
    /// The HTTP listener (health, metrics).
    Http,
}

/// Sets the options of a socket. Of one that listens they are inherited by the connections that it
/// accepts.
///
/// An option that this kernel does not know is left alone: each improves the socket, none is needed
/// for it to work.
pub fn configure<'s, S>(socket: &'s S, kind: Kind)
where
    SockRef<'s>: From<&'s S>,
{
    let socket = SockRef::from(socket);
    let _ = socket.set_tcp_nodelay(true);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_COUNT);
    let _ = socket.set_tcp_keepalive(&keepalive);
    match kind {
        Kind::Amqp => {
            let _ = socket.set_tcp_user_timeout(Some(USER_TIMEOUT));
            let _ = socket.set_tcp_notsent_lowat(NOTSENT_LOWAT);
        }
        Kind::Service => {
            let _ = socket.set_linger(Some(Duration::ZERO));
            let _ = socket.set_tcp_notsent_lowat(SERVICE_NOTSENT_LOWAT);
        }
        Kind::Http => {}
    }
}

/// Ends the sending direction of a connection (FIN); the other goes on. A connection that the peer
/// has ended already is no error.
///
/// # Errors
/// What the system says.
pub fn finish(stream: &TcpStream) -> std::io::Result<()> {
    match SockRef::from(stream).shutdown(Shutdown::Write) {
        Err(error) if error.kind() != std::io::ErrorKind::NotConnected => Err(error),
        _ => Ok(()),
    }
}

/// Makes the coming close of a [`Kind::Service`] socket a clean end: the kernel delivers what
/// waits, then FIN. Call it once both streams are whole, directly before the close. If it fails,
/// the close resets.
pub fn end_cleanly(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(None);
}

/// Closes a connection with RST, so that the peer sees an error and never takes what it received
/// for complete.
///
/// Other handles of the same socket are closed by their owners; the peer is told at once all the
/// same.
pub fn reset(stream: TcpStream) {
    let socket = SockRef::from(&stream);
    if socket.set_linger(Some(Duration::ZERO)).is_err() {
        // Without it the close would look clean; ending our reading side makes the kernel answer
        // further data with RST.
        let _ = socket.shutdown(Shutdown::Read);
    }
}
