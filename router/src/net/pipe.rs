//! Memory in place of a socket, for fuzzing. A connection runs without the kernel and, in a runtime
//! whose time is paused, in virtual time. The router's end is a [`Pipe`], the peer's a [`FarEnd`].

use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Waker};

use crate::lock::{Mutex, MutexGuard};
use crate::tls::{Input, Output};
use bytes::BytesMut;

/// The way in which the peer ends what it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hangup {
    /// The peer ends after the sent bytes.
    Eof,
    /// The bytes that nobody has read are lost, in both directions.
    Reset,
}

#[derive(Debug)]
struct Ends {
    /// From the peer to the router.
    inbound: BytesMut,
    /// From the router to the peer.
    outbound: BytesMut,
    /// The most bytes of one read.
    piece: usize,
    /// The most bytes that `outbound` holds.
    room: usize,
    hangup: Option<Hangup>,
    /// The router's end is gone.
    dropped: bool,
    /// The number of calls by the router.
    calls: u64,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Debug)]
struct Shared(Arc<Mutex<Ends>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Ends> {
        self.0.lock()
    }
}

/// Makes the two ends of a pipe. The peer takes `room` bytes before it reads.
pub(super) fn pipe(room: usize) -> (Pipe, FarEnd) {
    let state = Ends {
        inbound: BytesMut::new(),
        outbound: BytesMut::new(),
        piece: usize::MAX,
        room,
        hangup: None,
        dropped: false,
        calls: 0,
        reader: None,
        writer: None,
    };
    let shared = Shared(Arc::new(Mutex::new(state)));
    (Pipe(shared.clone()), FarEnd(shared))
}

/// The router's end.
#[derive(Debug)]
pub(super) struct Pipe(Shared);

impl Drop for Pipe {
    fn drop(&mut self) {
        self.0.lock().dropped = true;
    }
}

impl Ends {
    fn give(&mut self, limit: usize) -> io::Result<BytesMut> {
        self.calls += 1;
        match self.hangup {
            Some(Hangup::Reset) => Err(io::ErrorKind::ConnectionReset.into()),
            None if self.inbound.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
            _ => {
                let octets = self.inbound.len().min(self.piece).min(limit);
                Ok(self.inbound.split_to(octets))
            }
        }
    }
}

impl Input for Pipe {
    fn try_read(&self, to: &mut [u8]) -> io::Result<usize> {
        let octets = self.0.lock().give(to.len())?;
        to[..octets.len()].copy_from_slice(&octets);
        Ok(octets.len())
    }

    fn try_append(&self, to: &mut BytesMut, limit: usize) -> io::Result<usize> {
        let limit = limit.min(to.capacity() - to.len());
        let octets = self.0.lock().give(limit)?;
        to.extend_from_slice(&octets);
        Ok(octets.len())
    }
}

impl Output for Pipe {
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.0.lock();
        state.calls += 1;
        if state.hangup == Some(Hangup::Reset) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let mut written = 0;
        for slice in slices {
            let octets = slice.len().min(state.room.saturating_sub(state.outbound.len()));
            state.outbound.extend_from_slice(&slice[..octets]);
            written += octets;
        }
        if written == 0 && slices.iter().any(|slice| !slice.is_empty()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(written)
    }
}

impl Pipe {
    /// Returns an address of the peer, as a socket does.
    #[allow(clippy::allow_attributes, clippy::unused_self)]
    pub(super) fn remote(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, 1).into()
    }

    /// Returns whether the pipe can be read; if not, the task is woken once it can.
    pub(super) fn is_readable(&self, cx: &mut Context<'_>) -> bool {
        let mut state = self.0.lock();
        state.calls += 1;
        let ready = !state.inbound.is_empty() || state.hangup.is_some();
        if !ready {
            state.reader = Some(cx.waker().clone());
        }
        ready
    }

    /// Returns whether the pipe can be written; if not, the task is woken once it can.
    pub(super) fn is_writable(&self, cx: &mut Context<'_>) -> bool {
        let mut state = self.0.lock();
        state.calls += 1;
        let ready = state.outbound.len() < state.room || state.hangup == Some(Hangup::Reset);
        if !ready {
            state.writer = Some(cx.waker().clone());
        }
        ready
    }
}

/// The peer's end.
#[derive(Debug)]
pub struct FarEnd(Shared);

impl FarEnd {
    /// Sends bytes, of which the router gets `piece` with each read.
    pub fn send(&self, octets: &[u8], piece: usize) {
        let mut state = self.0.lock();
        state.piece = piece.max(1);
        state.inbound.extend_from_slice(octets);
        let reader = state.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
    }

    /// Takes at most `limit` bytes that the router has sent.
    pub fn take(&self, limit: usize) -> BytesMut {
        let mut state = self.0.lock();
        let octets = state.outbound.len().min(limit);
        let taken = state.outbound.split_to(octets);
        let writer = if octets > 0 { state.writer.take() } else { None };
        drop(state);
        writer.into_iter().for_each(Waker::wake);
        taken
    }

    /// Ends the sent bytes.
    pub fn hang_up(&self, hangup: Hangup) {
        let mut state = self.0.lock();
        state.hangup = Some(hangup);
        let wakers = [state.reader.take(), state.writer.take()];
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// Returns how often the router has looked at the pipe: at least once in each round of its
    /// loop.
    pub fn calls(&self) -> u64 {
        self.0.lock().calls
    }

    /// Returns how many bytes the router has not read.
    pub fn unread(&self) -> usize {
        self.0.lock().inbound.len()
    }

    /// Returns whether the router has given up the connection.
    pub fn is_over(&self) -> bool {
        self.0.lock().dropped
    }
}
