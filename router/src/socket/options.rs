//! Sets the options of every TCP socket, and decides how a close looks to the peer.

use std::net::Shutdown;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Idle time before the first keep-alive probe.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
/// Time between keep-alive probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// Unanswered probes before the kernel ends the connection. So it notices a dead peer within a
/// minute.
const KEEPALIVE_COUNT: u32 = 3;
/// Longest time that sent data stays unacknowledged on an AMQP socket. The kernel then ends it.
const USER_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes that an AMQP socket accepts beyond those on the wire. A control frame waits behind at most
/// these and one TLS write. So a slow, saturated path does not delay HELLO, whose absence for 3 s
/// ends a neighbor.
const NOTSENT_LOWAT: u32 = 128 * 1024;

/// Bytes that a service socket accepts beyond those on the wire. So a stalled peer costs the kernel
/// this many bytes, not its largest send buffer (4 MiB). The option does not bound the bytes on the
/// wire, and a stream takes no more processor time.
const SERVICE_NOTSENT_LOWAT: u32 = 128 * 1024;

/// The use of a socket, which decides its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SocketUse {
    /// Carries AMQP to other routers and to AMQP clients. Both ends always read. So data that stays
    /// unacknowledged for 30 s, or a receive window that stays closed as long, means a lost peer.
    Amqp,
    /// Carries a service connection. It has no user timeout: since Linux 5.11 that would also end a
    /// connection whose peer keeps its window closed, as a slow reader may. Keep-alive finds dead
    /// peers.
    ///
    /// Its close sends RST, whether an error path closes it or the kernel does after a kill or a
    /// lack of memory. Only [`end_cleanly`] makes the close an end that the peer may trust.
    Service,
    /// The HTTP listener (health, metrics).
    Http,
}

/// Sets the options of a socket. Connections inherit them from the listener that accepts them.
///
/// Skips an option that the kernel does not know. Each option improves the socket, but it works
/// without any of them.
pub fn configure<'s, S>(socket: &'s S, used_for: SocketUse)
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
    match used_for {
        SocketUse::Amqp => {
            let _ = socket.set_tcp_user_timeout(Some(USER_TIMEOUT));
            let _ = socket.set_tcp_notsent_lowat(NOTSENT_LOWAT);
        }
        SocketUse::Service => {
            let _ = socket.set_linger(Some(Duration::ZERO));
            let _ = socket.set_tcp_notsent_lowat(SERVICE_NOTSENT_LOWAT);
        }
        SocketUse::Http => {}
    }
}

/// Ends the sending direction of a connection with FIN. The other direction stays open. A
/// connection that the peer has ended already is no error.
///
/// # Errors
/// The system refuses.
pub fn finish(stream: &TcpStream) -> std::io::Result<()> {
    match SockRef::from(stream).shutdown(Shutdown::Write) {
        Err(error) if error.kind() != std::io::ErrorKind::NotConnected => Err(error),
        _ => Ok(()),
    }
}

/// Makes the close of a [`SocketUse::Service`] socket clean: the kernel delivers the bytes that
/// wait, then FIN. Call it once both streams are complete, directly before the close. If it fails,
/// the close sends RST.
pub fn end_cleanly(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(None);
}

/// Closes a connection with RST, so that the peer sees an error and never takes a part for the
/// whole.
///
/// The kernel sends the RST when the last handle of the socket closes.
pub fn reset(stream: TcpStream) {
    let socket = SockRef::from(&stream);
    if socket.set_linger(Some(Duration::ZERO)).is_err() {
        // Without `SO_LINGER` the close would look clean. The end of our receiving direction makes
        // the kernel answer further data with RST.
        let _ = socket.shutdown(Shutdown::Read);
    }
}
