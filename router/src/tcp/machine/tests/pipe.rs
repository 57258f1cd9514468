//! A socket in memory, with the peer at its other end.

use std::io;
use std::sync::LazyLock;

use bytes::Bytes;
use skupper_proto::time::Instant;

use super::super::wire::Wire;
use crate::core::Chunks;
use crate::tls::{self, Flushed, Received, SessionError};

/// Bytes of one read, at most.
const BLOCK: usize = 60 * 1024;

/// How the peer ended its half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// By FIN, and with TLS by close_notify before it.
    Clean,
    /// By FIN alone, though there is TLS.
    Cut,
}

/// A socket between a machine and its peer. The bytes that the peer sends, and those that it hears,
/// is one pattern.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) tls: bool,
    /// Bytes that the peer has sent, and bytes of them that the machine has read.
    pub(super) sent: usize,
    read: usize,
    pub(super) ending: Option<Ending>,
    /// The error that the next call hears of, once the peer has reset the connection.
    fault: Option<io::ErrorKind>,
    reset: bool,
    /// Bytes that the socket takes before it blocks.
    pub(super) space: usize,
    /// Bytes that the peer has heard.
    pub(super) heard: usize,
    /// Bytes that the TLS session has and the socket has not; its close_notify behind them.
    sealed: usize,
    notify: Option<Flushed>,
    /// The TLS session has something to say by itself: an answer to a change of keys.
    pub(super) speaks: bool,
    /// The machine has ended its half: FIN.
    pub(super) finished: bool,
    /// Bytes of each write, in their order.
    pub(super) writes: Vec<usize>,
}

/// Every stream repeats so many bytes. No buffer and no window is a multiple of it.
const PERIOD: usize = 65_521;

/// Two periods, so that a period from any place is one slice.
static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let byte = |place: usize| (place.wrapping_mul(0x9e37_79b1) >> 13) as u8;
    (0..2 * PERIOD).map(|place| byte(place % PERIOD)).collect()
});

/// Returns `bytes` bytes of any stream from `place` on, at most a period.
fn pattern(place: usize, bytes: usize) -> &'static [u8] {
    &PATTERN[place % PERIOD..][..bytes]
}

/// Asserts that `bytes` are the bytes of any stream from `place` on.
pub(super) fn assert_pattern(place: usize, bytes: &[u8]) {
    for (part, given) in bytes.chunks(PERIOD).enumerate() {
        let place = place + part * PERIOD;
        assert!(given == pattern(place, given.len()), "other bytes from {place} on");
    }
}

impl Pipe {
    /// A socket whose peer reads as fast as can be.
    pub(super) fn new(tls: bool) -> Self {
        Self {
            tls,
            sent: 0,
            read: 0,
            ending: None,
            fault: None,
            reset: false,
            space: usize::MAX,
            heard: 0,
            sealed: 0,
            notify: None,
            speaks: false,
            finished: false,
            writes: Vec::new(),
        }
    }

    /// The peer sends bytes, unless it has ended.
    pub(super) fn peer_sends(&mut self, bytes: usize) {
        if self.ending.is_none() && !self.reset {
            self.sent += bytes;
        }
    }

    /// The peer ends its half, unless it has ended.
    pub(super) fn peer_ends(&mut self, ending: Ending) {
        if !self.reset {
            self.ending.get_or_insert(ending);
        }
    }

    /// The peer closes its socket with RST. The kernel keeps what it sent before, and tells the
    /// next call that finds nothing else.
    pub(super) fn peer_resets(&mut self) {
        if !std::mem::replace(&mut self.reset, true) {
            let broken = self.ending.is_some();
            self.fault = Some(if broken {
                io::ErrorKind::BrokenPipe
            } else {
                io::ErrorKind::ConnectionReset
            });
            self.space = 0;
        }
    }

    /// The peer reads, so that the socket takes more.
    pub(super) fn peer_reads(&mut self, bytes: usize) {
        if !self.reset {
            self.space = self.space.saturating_add(bytes);
        }
    }

    /// Bytes that the machine has not read.
    pub(super) const fn unread(&self) -> usize {
        self.sent - self.read
    }

    /// Returns whether the kernel would wake a task that waits to read.
    pub(super) const fn is_readable(&self) -> bool {
        self.unread() > 0 || self.ending.is_some() || self.reset
    }

    /// Returns whether the kernel would wake a task that waits to write.
    pub(super) const fn is_writable(&self) -> bool {
        self.space > 0 || self.reset
    }

    fn writable(&mut self) -> io::Result<()> {
        if self.reset {
            return Err(self.fault.take().unwrap_or(io::ErrorKind::BrokenPipe).into());
        }
        assert!(!self.finished, "nothing is written behind the end");
        Ok(())
    }

    fn take(&mut self, bytes: usize) -> usize {
        let taken = bytes.min(self.space);
        self.space -= taken;
        self.heard += taken;
        taken
    }
}

impl Wire for Pipe {
    fn is_tls(&self) -> bool {
        self.tls
    }

    fn wants_write(&self) -> bool {
        self.sealed > 0 || self.speaks || self.notify == Some(Flushed::Blocked)
    }

    fn flush(&mut self) -> io::Result<Flushed> {
        if !self.wants_write() {
            return Ok(Flushed::All);
        }
        self.writable()?;
        let taken = self.take(self.sealed);
        self.sealed -= taken;
        if self.sealed > 0 || self.space == 0 {
            return Ok(Flushed::Blocked);
        }
        self.speaks = false;
        if self.notify.is_some() {
            self.notify = Some(Flushed::All);
        }
        Ok(Flushed::All)
    }

    fn send(
        &mut self,
        bytes: &Chunks,
        _last: bool,
        _now: impl FnOnce() -> Instant,
    ) -> Result<Option<usize>, SessionError> {
        let mut place = self.heard + self.sealed;
        for chunk in bytes.iter() {
            assert_pattern(place, chunk);
            place += chunk.len();
        }
        assert!(!bytes.is_empty() && self.notify.is_none());
        if self.tls {
            assert_eq!(self.sealed, 0, "what was sealed before is flushed first");
            self.sealed = bytes.octets();
            self.writes.push(self.sealed);
            let sealed = self.sealed;
            let _ = self.flush()?;
            return Ok(Some(sealed));
        }
        self.writable()?;
        let taken = self.take(bytes.octets());
        self.writes.push(taken);
        Ok((taken > 0).then_some(taken))
    }

    fn send_close_notify(&mut self) {
        assert!(self.notify.is_none());
        if self.tls {
            self.notify = Some(Flushed::Blocked);
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        assert!(!self.wants_write(), "close_notify goes before FIN");
        self.writable()?;
        self.finished = true;
        Ok(())
    }

    fn receive(
        &mut self,
        limit: usize,
        _now: impl FnOnce() -> Instant,
    ) -> Result<(Bytes, Received), SessionError> {
        assert!(limit > 0);
        let bytes = limit.min(self.unread()).min(BLOCK);
        if bytes > 0 {
            let read = pattern(self.read, bytes);
            self.read += bytes;
            return Ok((
                Bytes::from_static(read),
                Received { octets: bytes, ..Received::default() },
            ));
        }
        let end = match self.ending {
            Some(Ending::Clean) if self.tls => Some(tls::End::CloseNotify),
            Some(_) => Some(tls::End::Eof),
            None => match self.fault.take() {
                Some(error) => return Err(io::Error::from(error).into()),
                None => self.reset.then_some(tls::End::Eof),
            },
        };
        Ok((Bytes::new(), Received { end, blocked: end.is_none(), ..Received::default() }))
    }
}
