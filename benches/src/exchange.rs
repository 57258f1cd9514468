//! Requests and their answers; a request and its echo.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::failure::{Failure, Kind};
use crate::pattern;

/// A connection's requests, one after the other.
pub(crate) trait Exchange {
    /// Sends the next request, reads its answer whole, and checks it.
    ///
    /// # Errors
    /// The failure of the connection, or a time-out after `limit`.
    async fn exchange(&mut self, stream: &mut TcpStream, limit: Duration) -> Result<(), Failure>;
}

/// Up to this size a request is written whole before its answer is read; the kernel's buffers
/// always hold it. Above, both go on at once, for an echo that answers as it reads would otherwise
/// be blocked by us, and we by it.
const SEQUENTIAL: usize = 16 * 1024;

/// The requests of one connection: successive pieces of one pattern, so that an answer that belongs
/// to another request or to another connection is seen.
#[derive(Debug)]
pub(crate) struct Echo {
    seed: u64,
    offset: u64,
    answer: Vec<u8>,
}

impl Echo {
    /// Requests of `size` bytes, for connection number `index`.
    pub(crate) fn new(index: usize, size: usize) -> Self {
        Self { seed: pattern::seed(index), offset: 0, answer: vec![0; size] }
    }
}

impl Exchange for Echo {
    async fn exchange(&mut self, stream: &mut TcpStream, limit: Duration) -> Result<(), Failure> {
        let request = pattern::slice(self.seed, self.offset, self.answer.len());
        match timeout(limit, echo(stream, request, &mut self.answer)).await {
            Ok(done) => done?,
            Err(_) => return Err(Failure::timeout("exchange", limit)),
        }
        if let Err(wrong) = pattern::check(self.seed, self.offset, &self.answer) {
            return Err(Failure::new(Kind::Content, format!("answer is not the request: {wrong}")));
        }
        self.offset += self.answer.len() as u64;
        Ok(())
    }
}

async fn echo(stream: &mut TcpStream, request: &[u8], answer: &mut [u8]) -> Result<(), Failure> {
    let write_error = |e: io::Error| Failure::io("write", &e);
    let read_error = |e: io::Error| match e.kind() {
        io::ErrorKind::UnexpectedEof => {
            Failure::new(Kind::EarlyEnd, "read: closed before the whole answer")
        }
        _ => Failure::io("read", &e),
    };
    if request.len() <= SEQUENTIAL {
        stream.write_all(request).await.map_err(write_error)?;
        stream.read_exact(answer).await.map_err(read_error)?;
    } else {
        let (mut reader, mut writer) = stream.split();
        let write = async { writer.write_all(request).await.map_err(write_error) };
        let read = async { reader.read_exact(answer).await.map_err(read_error) };
        tokio::try_join!(write, read)?;
    }
    Ok(())
}

/// Ends our direction and waits until the other end has ended its own; further bytes are a
/// failure.
pub(crate) async fn half_close(stream: &mut TcpStream, limit: Duration) -> Result<(), Failure> {
    let close = async {
        stream.shutdown().await.map_err(|e| Failure::io("shutdown", &e))?;
        match stream.read(&mut [0; 64]).await {
            Ok(0) => Ok(()),
            Ok(_) => Err(Failure::new(Kind::Count, "half-close: octets after the whole answer")),
            Err(e) => Err(Failure::io("half-close", &e)),
        }
    };
    timeout(limit, close).await.unwrap_or_else(|_| Err(Failure::timeout("half-close", limit)))
}
