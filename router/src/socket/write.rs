//! Writes to a socket, with few packets.

use std::io::{self, IoSlice};

use rustix::net::{SendAncillaryBuffer, SendFlags, send, sendmsg};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Writes once, without waiting, and returns the bytes written.
///
/// With `last` the caller promises [`finish`](super::finish) or another write at once. The kernel
/// then keeps back a segment that is not full, and sends it with the next. So a short answer and
/// its end are one packet, and wake the client once.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] when the socket takes no byte, or the system's error.
pub fn write(socket: &TcpStream, slices: &[IoSlice<'_>], last: bool) -> io::Result<usize> {
    let flags = SendFlags::NOSIGNAL | if last { SendFlags::MORE } else { SendFlags::empty() };
    socket.try_io(Interest::WRITABLE, || match slices {
        [slice] => Ok(send(socket, slice, flags)?),
        slices => Ok(sendmsg(socket, slices, &mut SendAncillaryBuffer::default(), flags)?),
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn what_is_kept_back_goes_with_the_end() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        socket.writable().await.unwrap();
        assert_eq!(write(&socket, &[IoSlice::new(b"one")], false).unwrap(), 3);
        assert_eq!(
            write(&socket, &[IoSlice::new(b" and"), IoSlice::new(b" two")], true).unwrap(),
            8
        );
        crate::socket::finish(&socket).unwrap();
        let mut heard = String::new();
        peer.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "one and two");
    }
}
