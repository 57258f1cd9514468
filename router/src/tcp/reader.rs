//! Reads of a service's socket, with a buffer that fits the amount of data.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};
use tokio::net::TcpStream;

use crate::tls::{Received, Session, SessionError};

/// The size of the block that bulk data is read into, in bytes. One TLS write between routers
/// takes as much.
const BLOCK: usize = 64 * 1024;

/// Bytes of a read that count as bulk. The next read then goes into a block of its own, without a
/// copy.
const BULK: usize = 16 * 1024;

thread_local! {
    /// The buffer that a shard's services share for small reads. It is empty between two reads.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; BLOCK].into());
}

/// Reads one socket. A connection at rest holds no buffer.
#[derive(Debug, Default)]
pub(super) struct Reader {
    block: BytesMut,
    bulk: bool,
}

impl Reader {
    /// Reads once, at most `limit` bytes, and at least one. The bytes are empty if the socket had
    /// none, or the TLS session no whole record.
    ///
    /// # Errors
    /// Returns the failure of the socket or of the TLS session.
    pub(super) fn read(
        &mut self,
        socket: &TcpStream,
        session: &mut Session,
        limit: usize,
    ) -> Result<(Bytes, Received), SessionError> {
        let limit = limit.clamp(1, BLOCK);
        if session.is_tls() {
            let received = SCRATCH.with_borrow_mut(|scratch| {
                let scratch = scratch.get_mut(..limit).unwrap_or_default();
                session.receive(socket, scratch, &mut self.block)
            })?;
            return Ok((self.block.split().freeze(), received));
        }
        if self.bulk {
            if self.block.capacity() < BULK {
                self.block = BytesMut::with_capacity(BLOCK);
            }
            // The block has room, so the session reads into it. Only the length of the scratch
            // buffer counts.
            let received = SCRATCH.with_borrow_mut(|scratch| {
                let scratch = scratch.get_mut(..limit).unwrap_or_default();
                session.receive(socket, scratch, &mut self.block)
            })?;
            let octets = self.block.split().freeze();
            if octets.len() < BULK {
                self.bulk = false;
                self.block = BytesMut::new();
                // A slice would pin the whole block while it waits.
                return Ok((Bytes::copy_from_slice(&octets), received));
            }
            return Ok((octets, received));
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let scratch = scratch.get_mut(..limit).unwrap_or_default();
            match crate::socket::read(socket, scratch) {
                Ok(0) => Ok((
                    Bytes::new(),
                    Received { end: Some(crate::tls::End::Eof), ..Received::default() },
                )),
                Ok(octets) => {
                    self.bulk = octets >= BULK;
                    let octets = Bytes::copy_from_slice(scratch.get(..octets).unwrap_or_default());
                    let received = Received { octets: octets.len(), ..Received::default() };
                    Ok((octets, received))
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    Ok((Bytes::new(), Received { blocked: true, ..Received::default() }))
                }
                Err(error) => Err(error.into()),
            }
        })
    }
}
