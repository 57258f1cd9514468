//! Reading a socket.

use std::io;

use rustix::net::{RecvFlags, recv};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Reads once, without waiting. A read that does not fill the buffer has emptied the socket: the
/// runtime is told so, and the next read waits for the kernel's word instead of asking for it. (Of
/// the system calls of small requests, that was one in three.)
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] when there is nothing to read.
pub fn read(socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let mut octets = None;
    let emptied = socket.try_io(Interest::READABLE, || {
        let (read, _) = recv(socket, &mut *buffer, RecvFlags::empty())?;
        octets = Some(read);
        // The end is no emptiness: it is to be read again by whoever asks.
        if (1..buffer.len()).contains(&read) {
            Err(io::ErrorKind::WouldBlock.into())
        } else {
            Ok(())
        }
    });
    match octets {
        Some(octets) => Ok(octets),
        None => emptied.map(|()| 0),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[tokio::test]
    async fn a_short_read_waits_for_more_and_misses_nothing() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 8];
        for round in 0..100 {
            // Filled, then short, then nothing.
            peer.write_all(&[round; 11]).unwrap();
            let mut octets = 0;
            while octets < 11 {
                socket.readable().await.unwrap();
                match read(&socket, &mut buffer) {
                    Ok(read) => octets += read,
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
                }
            }
            assert_eq!(read(&socket, &mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        }
        // An end right behind the octets is seen.
        peer.write_all(b"end").unwrap();
        drop(peer);
        let mut octets = 0;
        loop {
            socket.readable().await.unwrap();
            match read(&socket, &mut buffer) {
                Ok(0) => break,
                Ok(read) => octets += read,
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
        assert_eq!(octets, 3);
    }
}
