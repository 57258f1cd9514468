//! The answers of the server to HTTP/1.1 requests.

use std::io;
use std::sync::atomic::Ordering;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::totals::Totals;
use crate::http::{MAX_BODY, header, read_head};

/// The body of an answer, unless another size is asked for.
const HELLO: &[u8] = b"{\"message\":\"Hello\"}\n";

/// Makes the body of an answer: a greeting, or `size` bytes.
pub(super) fn body(size: Option<usize>) -> Vec<u8> {
    size.map_or_else(|| HELLO.to_vec(), |size| vec![b'x'; size.min(MAX_BODY)])
}

/// The head of a request.
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
pub(super) async fn serve(stream: &mut TcpStream, body: &[u8], totals: &Totals) -> io::Result<()> {
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

/// Drops a head of `end` bytes and a body of `length` bytes from the input.
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
