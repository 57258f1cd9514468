//! The socket of a service connection, and the counts of its bytes.

use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::Bytes;
use skupper_proto::time::Instant;
use tokio::net::TcpStream;

use super::machine::Wire;
use super::reader::Reader;
use super::stats::Stats;
use crate::core::Chunks;
use crate::node::Octets;
use crate::socket::{self, Descriptor};
use crate::tls::{Flushed, Received, Session, SessionError};

/// Slices of one write.
const SLICES: usize = 64;

/// A socket, the session upon it, and the counts of the bytes that pass.
#[derive(Debug)]
pub(super) struct SocketWire {
    pub(super) socket: TcpStream,
    pub(super) session: Session,
    pub(super) reader: Reader,
    /// The counts of the tcpListener or tcpConnector.
    pub(super) stats: Arc<Stats>,
    /// The counts of this connection.
    pub(super) octets: Arc<Octets>,
    pub(super) _descriptor: Descriptor,
}

impl SocketWire {
    /// Returns how many bytes of plaintext the TLS session has taken and the socket may not have.
    pub(super) fn sealed(&self) -> usize {
        if self.session.is_tls() { self.session.unflushed() } else { 0 }
    }

    fn send_plain(&self, bytes: &Chunks, last: bool) -> Result<Option<usize>, SessionError> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = bytes
            .iter()
            .zip(&mut slices)
            .map(|(chunk, slice)| *slice = IoSlice::new(chunk))
            .count();
        let last = last && count == bytes.iter().count();
        match socket::write(&self.socket, slices.get(..count).unwrap_or_default(), last) {
            Ok(written) => Ok(Some(written)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn send_sealed(&mut self, bytes: &Chunks) -> Result<Option<usize>, SessionError> {
        let slices: Vec<_> = bytes.iter().map(|chunk| IoSlice::new(chunk)).collect();
        let written = slices.iter().map(|slice| slice.len()).sum();
        let _ = self.session.send(&self.socket, &slices)?;
        Ok(Some(written))
    }
}

impl Wire for SocketWire {
    fn is_tls(&self) -> bool {
        self.session.is_tls()
    }

    fn wants_write(&self) -> bool {
        self.session.wants_write()
    }

    fn flush(&mut self) -> io::Result<Flushed> {
        self.session.flush(&self.socket)
    }

    fn send(
        &mut self,
        bytes: &Chunks,
        last: bool,
        now: impl FnOnce() -> Instant,
    ) -> Result<Option<usize>, SessionError> {
        let written = if self.session.is_tls() {
            self.send_sealed(bytes)?
        } else {
            self.send_plain(bytes, last)?
        };
        if let Some(written) = written.filter(|written| *written > 0) {
            self.stats.send(written);
            self.octets.send(written);
            self.octets.note_sent(now);
        }
        Ok(written)
    }

    fn send_close_notify(&mut self) {
        self.session.send_close_notify();
    }

    fn finish(&mut self) -> io::Result<()> {
        socket::finish(&self.socket)
    }

    fn receive(
        &mut self,
        limit: usize,
        now: impl FnOnce() -> Instant,
    ) -> Result<(Bytes, Received), SessionError> {
        let (bytes, received) = self.reader.read(&self.socket, &mut self.session, limit)?;
        if !bytes.is_empty() {
            self.stats.receive(bytes.len());
            self.octets.receive(bytes.len());
            self.octets.note_received(now);
        }
        Ok((bytes, received))
    }
}
