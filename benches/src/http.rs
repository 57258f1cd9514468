//! As much of HTTP/1.1 as a load test needs: requests without a body, answers with a length,
//! connections kept alive.
//!
//! The server repeats the path of a request in the header `X-Path` of its answer. So the client
//! sees an answer to another request.

mod client;

use std::io;

pub(crate) use client::Client;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// The longest head that is read, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// The longest body of an answer, in bytes.
pub(crate) const MAX_BODY: usize = 64 << 20;

/// Reads from `stream` until `buffer` holds a whole head. Returns the position after it, or `None`
/// at a clean end.
pub(crate) async fn read_head(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
) -> io::Result<Option<usize>> {
    let mut searched = 0usize;
    loop {
        // The blank line may begin in what was searched before.
        let from = searched.saturating_sub(3);
        if let Some(at) =
            buffer.get(from..).and_then(|part| part.windows(4).position(|w| w == b"\r\n\r\n"))
        {
            return Ok(Some(from + at + 4));
        }
        searched = buffer.len();
        if searched >= MAX_HEAD {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "head too long"));
        }
        if stream.read_buf(buffer).await? == 0 {
            return if buffer.is_empty() {
                Ok(None)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
    }
}

/// Returns the value of a header in a head.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .find(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, v)| v.trim())
}
