//! One stream, carried as its direction says.

use std::cell::Cell;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::task::yield_now;
use tokio::time::sleep_until;

use super::{Direction, Options, Stream};
use crate::failure::{Failure, Kind};
use crate::fleet::Window;
use crate::pattern;
use crate::server::{Preamble, Receipt};

/// Counts what a stream carries. Shared by its two halves, and read even when the stream failed or
/// timed out.
#[derive(Debug)]
pub(super) struct Meter {
    index: usize,
    window: Window,
    sent: Cell<u64>,
    received: Cell<u64>,
    /// Bytes received before the window's end.
    in_window: Cell<u64>,
    confirmed: Cell<bool>,
    /// When an byte last moved, and the longest time in which none did.
    moved: Cell<Instant>,
    gap: Cell<f64>,
    finished: Cell<Option<Instant>>,
}

impl Meter {
    pub(super) fn new(index: usize, window: Window) -> Self {
        Self {
            index,
            window,
            sent: Cell::new(0),
            received: Cell::new(0),
            in_window: Cell::new(0),
            confirmed: Cell::new(false),
            moved: Cell::new(window.start),
            gap: Cell::new(0.0),
            finished: Cell::new(None),
        }
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent.get()
    }

    pub(super) fn received(&self) -> u64 {
        self.received.get()
    }

    fn add_sent(&self, octets: usize) {
        self.sent.set(self.sent.get() + octets as u64);
    }

    fn add_received(&self, octets: usize) {
        self.received.set(self.received.get() + octets as u64);
        if self.moved_now() <= self.window.end {
            self.in_window.set(self.received.get());
        }
    }

    /// An byte has moved.
    fn moved_now(&self) -> Instant {
        let now = Instant::now();
        self.note_gap(now);
        self.moved.set(now);
        now
    }

    /// Time without an byte counts up to the window's end.
    fn note_gap(&self, until: Instant) {
        let gap = until.min(self.window.end).saturating_duration_since(self.moved.get());
        self.gap.set(self.gap.get().max(gap.as_secs_f64()));
    }

    /// The stream has come to its proper end.
    fn finish(&self) {
        self.finished.set(Some(Instant::now()));
        self.confirmed.set(true);
    }

    /// The stream's figures at `now`, when it has ended in one way or the other.
    pub(super) fn figures(&self, direction: Direction, now: Instant) -> Stream {
        let finished = self.finished.get().unwrap_or(now);
        self.note_gap(finished);
        let (octets, until) = match direction {
            Direction::Up => (self.sent.get(), finished),
            Direction::Down | Direction::Both => {
                (self.in_window.get(), finished.min(self.window.end))
            }
        };
        let seconds = until.saturating_duration_since(self.window.start).as_secs_f64();
        Stream {
            stream: self.index,
            sent: self.sent.get(),
            received: self.received.get(),
            octets,
            seconds,
            megabytes_per_second: if seconds > 0.0 { octets as f64 / seconds / 1e6 } else { 0.0 },
            longest_gap_ms: self.gap.get() * 1e3,
            confirmed: self.confirmed.get(),
        }
    }
}

/// Carries one stream to its end.
pub(super) async fn carry(
    stream: &mut TcpStream,
    options: &Options,
    meter: &Meter,
) -> Result<(), Failure> {
    let (mut reader, mut writer) = stream.split();
    let mut buffer = vec![0; options.chunk];
    let seed = pattern::seed(meter.index);
    match options.direction {
        Direction::Down => down(&mut reader, &mut buffer, options, meter).await,
        Direction::Both => {
            let sent_all = Cell::new(false);
            let send = async {
                send(&mut writer, seed, options, meter).await?;
                sent_all.set(true);
                Ok(())
            };
            tokio::try_join!(
                send,
                echoed(&mut reader, &mut buffer, seed, options, meter, &sent_all)
            )?;
            Ok(())
        }
        Direction::Up => {
            let sent_all = Cell::new(false);
            let send = async {
                let preamble = Preamble { seed: options.verify.then_some(seed) };
                writer.write_all(&preamble.encode()).await.map_err(|e| Failure::io("write", &e))?;
                send(&mut writer, seed, options, meter).await?;
                sent_all.set(true);
                Ok(())
            };
            tokio::try_join!(send, receipt(&mut reader, options, meter, &sent_all))?;
            Ok(())
        }
    }
}

/// Sends until the time is over or all bytes are sent, and ends our direction.
async fn send(
    writer: &mut WriteHalf<'_>,
    seed: u64,
    options: &Options,
    meter: &Meter,
) -> Result<(), Failure> {
    let limit = options.bytes.unwrap_or(u64::MAX);
    let over = sleep_until(meter.window.end.into());
    tokio::pin!(over);
    while meter.sent() < limit {
        let left = usize::try_from(limit - meter.sent()).unwrap_or(usize::MAX);
        // Without a check the bytes stay the same, and in the processor's nearest cache.
        let offset = if options.verify { meter.sent() } else { 0 };
        let octets = pattern::slice(seed, offset, options.chunk.min(left));
        tokio::select! {
            biased;
            () = &mut over => break,
            written = writer.write(octets) => {
                meter.add_sent(written.map_err(|e| Failure::io("write", &e))?);
                if options.direction == Direction::Up {
                    meter.moved_now();
                }
            }
        }
        take_turns(options).await;
    }
    writer.shutdown().await.map_err(|e| Failure::io("shutdown", &e))?;
    match options.bytes {
        Some(bytes) if meter.sent() < bytes => Err(unfinished(meter.sent(), bytes)),
        _ => Ok(()),
    }
}

/// After each chunk it is another stream's turn: one whose other end keeps up would have this
/// thread for as long as a task may run, and what the streams get would be what the generator gives
/// them.
async fn take_turns(options: &Options) {
    if options.streams > 1 {
        yield_now().await;
    }
}

fn unfinished(done: u64, bytes: u64) -> Failure {
    Failure::new(Kind::Timeout, format!("only {done} of {bytes} octets when the time was over"))
}

/// Reads what an echo server sends back, to the end of the stream.
async fn echoed(
    reader: &mut ReadHalf<'_>,
    buffer: &mut [u8],
    seed: u64,
    options: &Options,
    meter: &Meter,
    sent_all: &Cell<bool>,
) -> Result<(), Failure> {
    loop {
        let read = reader.read(buffer).await.map_err(|e| Failure::io("read", &e))?;
        if read == 0 {
            break;
        }
        if options.verify {
            verify(seed, meter.received(), buffer.get(..read).unwrap_or_default())?;
        }
        meter.add_received(read);
        if meter.received() > meter.sent() {
            return Err(Failure::new(Kind::Count, "more octets came back than were sent"));
        }
    }
    if !sent_all.get() {
        return Err(Failure::new(Kind::EarlyEnd, "the other end ended the stream before we did"));
    }
    if meter.received() < meter.sent() {
        return Err(Failure::new(
            Kind::Count,
            format!("{} octets did not come back", meter.sent() - meter.received()),
        ));
    }
    meter.finish();
    Ok(())
}

/// Reads what a source sends, until the time is over or enough bytes have come.
async fn down(
    reader: &mut ReadHalf<'_>,
    buffer: &mut [u8],
    options: &Options,
    meter: &Meter,
) -> Result<(), Failure> {
    let limit = options.bytes.unwrap_or(u64::MAX);
    let over = sleep_until(meter.window.end.into());
    tokio::pin!(over);
    let mut head = Vec::new();
    let mut seed = None;
    if options.verify {
        while head.len() < Preamble::SIZE {
            let mut octets = [0; Preamble::SIZE];
            let part = octets.get_mut(head.len()..).unwrap_or_default();
            tokio::select! {
                () = &mut over => return Err(Failure::new(Kind::Timeout, "no beginning of a stream \
                                                                          before the time was \
                                                                          over")),
                read = reader.read(part) => match read.map_err(|e| Failure::io("read", &e))? {
                    0 => return Err(Failure::new(Kind::EarlyEnd, "the other end ended the stream \
                                                                  in its preamble")),
                    read => head.extend_from_slice(part.get(..read).unwrap_or_default()),
                },
            }
        }
        seed = Preamble::decode(&head).and_then(|preamble| preamble.seed);
        if seed.is_none() {
            return Err(Failure::new(
                Kind::Protocol,
                "no preamble: --verify needs `skbench server --mode source`",
            ));
        }
    }
    while meter.received() < limit {
        let most =
            usize::try_from(limit - meter.received()).unwrap_or(usize::MAX).min(buffer.len());
        let part = buffer.get_mut(..most).unwrap_or_default();
        let read = tokio::select! {
            biased;
            () = &mut over => break,
            read = reader.read(part) => read.map_err(|e| Failure::io("read", &e))?,
        };
        if read == 0 {
            return Err(Failure::new(
                Kind::EarlyEnd,
                "the other end ended the stream before the time was over",
            ));
        }
        if let Some(seed) = seed {
            verify(seed, meter.received(), part.get(..read).unwrap_or_default())?;
        }
        meter.add_received(read);
        take_turns(options).await;
    }
    if let Some(bytes) = options.bytes.filter(|bytes| meter.received() < *bytes) {
        return Err(unfinished(meter.received(), bytes));
    }
    meter.finish();
    Ok(())
}

fn verify(seed: u64, offset: u64, data: &[u8]) -> Result<(), Failure> {
    pattern::check(seed, offset, data)
        .map_err(|wrong| Failure::new(Kind::Content, wrong.to_string()))
}

/// Reads a sink's receipt, which comes once our direction has ended.
async fn receipt(
    reader: &mut ReadHalf<'_>,
    options: &Options,
    meter: &Meter,
    sent_all: &Cell<bool>,
) -> Result<(), Failure> {
    let mut octets = [0; Receipt::SIZE + 1];
    let mut held = 0;
    loop {
        let read = reader
            .read(octets.get_mut(held..).unwrap_or_default())
            .await
            .map_err(|e| Failure::io("read", &e))?;
        held += read;
        if !sent_all.get() {
            return Err(match read {
                0 => Failure::new(Kind::EarlyEnd, "the other end ended the stream before we did"),
                _ => Failure::new(
                    Kind::Protocol,
                    "the server answers while it is being sent to: an upload needs a sink",
                ),
            });
        }
        if read == 0 || held > Receipt::SIZE {
            break;
        }
    }
    meter.moved_now();
    meter.received.set(held as u64);
    match Receipt::decode(octets.get(..held).unwrap_or_default()) {
        None if options.verify => Err(Failure::new(
            Kind::Protocol,
            "no receipt: --verify needs `skbench server --mode sink`, and half-close on the way",
        )),
        None => {
            meter.finished.set(Some(Instant::now()));
            Ok(())
        }
        Some(Receipt { wrong: Some(offset), .. }) => Err(Failure::new(
            Kind::Content,
            format!("the sink saw the first wrong octet at offset {offset}"),
        )),
        Some(receipt) if receipt.received != meter.sent() => {
            Err(Failure::new(Kind::Count, format!("the sink received {} octets", receipt.received)))
        }
        Some(_) => {
            meter.finish();
            Ok(())
        }
    }
}
