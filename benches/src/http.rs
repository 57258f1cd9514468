//! As much of HTTP/1.1 as a load test needs: requests without a body, answers with a length,
//! connections kept alive.
//!
//! The server repeats the path of a request in the header `X-Path` of its answer, so that an answer
//! to another request is seen.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::failure::{Failure, Kind};
use crate::server::Totals;

/// The longest head that is read, and the most of an answer's body that a client takes.
const MAX_HEAD: usize = 16 * 1024;
const MAX_BODY: usize = 64 << 20;

/// The body of an answer, unless another size is asked for.
const HELLO: &[u8] = b"{\"message\":\"Hello\"}\n";

/// The body of an answer: a greeting, or `size` octets.
pub(crate) fn body(size: Option<usize>) -> Vec<u8> {
    size.map_or_else(|| HELLO.to_vec(), |size| vec![b'x'; size.min(MAX_BODY)])
}

/// Reads from `stream` until `buffer` holds a whole head; gives the position after it, or `None` at
/// a clean end.
async fn read_head(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<usize>> {
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

/// The value of a header in a head.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .find(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, v)| v.trim())
}

/// A request's head, understood.
struct Request<'a> {
    path: &'a str,
    head_only: bool,
    length: usize,
    close: bool,
}

impl<'a> Request<'a> {
    fn parse(head: &'a str) -> Result<Self, &'static str> {
        const BAD: &str = "400 Bad Request";
        let mut line = head.lines().next().unwrap_or_default().split(' ');
        let (Some(method), Some(path), Some(version), None) =
            (line.next(), line.next(), line.next(), line.next())
        else {
            return Err(BAD);
        };
        if header(head, "transfer-encoding").is_some() {
            return Err("501 Not Implemented");
        }
        let length =
            header(head, "content-length").map_or(Ok(0), |v| v.parse().map_err(|_| BAD))?;
        let wanted = header(head, "connection").unwrap_or_default();
        let close = match version {
            "HTTP/1.1" => wanted.eq_ignore_ascii_case("close"),
            "HTTP/1.0" => !wanted.eq_ignore_ascii_case("keep-alive"),
            _ => return Err("505 HTTP Version Not Supported"),
        };
        Ok(Self { path, head_only: method == "HEAD", length, close })
    }
}

/// Serves one connection until it ends.
pub(crate) async fn serve(stream: &mut TcpStream, body: &[u8], totals: &Totals) -> io::Result<()> {
    let mut buffer = Vec::new();
    let mut answer = Vec::new();
    while let Some(end) = read_head(stream, &mut buffer).await? {
        let head = std::str::from_utf8(buffer.get(..end).unwrap_or_default()).unwrap_or_default();
        answer.clear();
        let (length, close) = match Request::parse(head) {
            Ok(request) => {
                let close = if request.close { "Connection: close\r\n" } else { "" };
                let (path, size) = (request.path, body.len());
                answer.extend_from_slice(
                    format!(
                        "HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nX-Path: {path}\r\n{close}\r\n"
                    )
                    .as_bytes(),
                );
                if !request.head_only {
                    answer.extend_from_slice(body);
                }
                (request.length, request.close)
            }
            Err(status) => {
                answer.extend_from_slice(
                    format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                        .as_bytes(),
                );
                (0, true)
            }
        };
        totals.received.fetch_add(end as u64, Ordering::Relaxed);
        skip_body(stream, &mut buffer, end, length).await?;
        stream.write_all(&answer).await?;
        totals.sent.fetch_add(answer.len() as u64, Ordering::Relaxed);
        if close {
            break;
        }
    }
    stream.shutdown().await
}

/// Drops a head of `end` octets and a body of `length` octets from the input.
async fn skip_body(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    end: usize,
    length: usize,
) -> io::Result<()> {
    let held = buffer.len().saturating_sub(end).min(length);
    buffer.drain(..end.saturating_add(held).min(buffer.len()));
    let mut left = length.saturating_sub(held);
    let mut scratch = [0; 4096];
    while left > 0 {
        let want = left.min(scratch.len());
        let read = stream.read(scratch.get_mut(..want).unwrap_or_default()).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        left = left.saturating_sub(read);
    }
    Ok(())
}

/// The requests of one connection.
#[derive(Debug)]
pub(crate) struct Client {
    index: usize,
    number: u64,
    host: String,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Client {
    /// Requests of connection number `index` to `host`.
    pub(crate) fn new(index: usize, host: &str) -> Self {
        Self { index, number: 0, host: host.to_owned(), request: Vec::new(), buffer: Vec::new() }
    }

    /// Sends the next request and reads its answer whole.
    pub(crate) async fn exchange(
        &mut self,
        stream: &mut TcpStream,
        limit: Duration,
    ) -> Result<(), Failure> {
        self.number += 1;
        let path = format!("/{}/{}", self.index, self.number);
        self.request.clear();
        self.request.extend_from_slice(
            format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host).as_bytes(),
        );
        timeout(limit, self.answer(stream, &path))
            .await
            .unwrap_or_else(|_| Err(Failure::timeout("exchange", limit)))
    }

    async fn answer(&mut self, stream: &mut TcpStream, path: &str) -> Result<(), Failure> {
        self.buffer.clear();
        stream.write_all(&self.request).await.map_err(|e| Failure::io("write", &e))?;
        let early = || Failure::new(Kind::EarlyEnd, "read: closed before the whole answer");
        let end = match read_head(stream, &mut self.buffer).await {
            Ok(end) => end.ok_or_else(early)?,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(Failure::new(Kind::Protocol, error.to_string()));
            }
            Err(error) => return Err(Failure::io("read", &error)),
        };
        let head = String::from_utf8_lossy(self.buffer.get(..end).unwrap_or_default());
        let first = head.lines().next().unwrap_or_default();
        if !first.starts_with("HTTP/1.1 200") {
            return Err(Failure::new(Kind::Protocol, format!("answered {first:.80?}")));
        }
        // A server that is not ours sends no such header.
        if let Some(other) = header(&head, "x-path").filter(|other| *other != path) {
            return Err(Failure::new(
                Kind::Content,
                format!("the answer to {path} is that to {other:.80}"),
            ));
        }
        let length = header(&head, "content-length")
            .and_then(|v| v.parse::<usize>().ok())
            .filter(|length| *length <= MAX_BODY);
        let length = length.ok_or_else(|| {
            Failure::new(Kind::Protocol, "answer without a usable Content-Length")
        })?;
        let whole = end.saturating_add(length);
        while self.buffer.len() < whole {
            match stream.read_buf(&mut self.buffer).await {
                Ok(0) => return Err(early()),
                Ok(_) => {}
                Err(error) => return Err(Failure::io("read", &error)),
            }
        }
        if self.buffer.len() > whole {
            return Err(Failure::new(
                Kind::Count,
                format!("{} octets after the answer", self.buffer.len() - whole),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_understood_or_refused() {
        let request = Request::parse(
            "HEAD /a HTTP/1.1\r\nHost: x\r\ncontent-LENGTH: 7\r\nConnection: Close\r\n\r\n",
        )
        .ok();
        let request = request.expect("well-formed");
        assert_eq!(
            (request.path, request.head_only, request.length, request.close),
            ("/a", true, 7, true)
        );
        for (head, status) in [
            ("", "400"),
            ("GET /\r\n\r\n", "400"),
            ("GET / x HTTP/1.1\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "501"),
            ("PRI * HTTP/2.0\r\n\r\n", "505"),
        ] {
            assert!(Request::parse(head).err().is_some_and(|e| e.starts_with(status)), "{head:?}");
        }
    }
}
