//! The requests of a client.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{MAX_BODY, header, read_head};
use crate::exchange::Exchange;
use crate::failure::{Failure, Kind};

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
        // Other servers send no such header.
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

impl Exchange for Client {
    async fn exchange(&mut self, stream: &mut TcpStream, limit: Duration) -> Result<(), Failure> {
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
}
