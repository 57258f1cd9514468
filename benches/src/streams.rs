//! Streams that stand still: their cost, and the delay that they cause to moving ones.
//!
//! Through an echo server, in four phases: *baseline*, the live streams alone, one request
//! outstanding each; *fill*, the other streams send without reading until nothing more is taken;
//! *during*, the live streams again, while the stalled ones stand still and the slow ones read a
//! little; *release*, stalled and slow streams end their direction and read what they are owed,
//! every byte checked.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep_until, timeout};

use crate::exchange::{Echo, Exchange};
use crate::failure::{Failure, Failures, Kind};
use crate::fleet::{Fleet, Seat, Shared, Window, conduct};
use crate::histogram::{Histogram, Summary};
use crate::process::{Monitor, Usage};
use crate::report::{self, Findings, LATENCY_HEAD, Measured, Report, Work, latency_row, to_json};
use crate::table::{Table, number, octets};
use crate::target::Target;
use crate::{BenchError, Common, limits, pattern};

/// Bytes of one write or read.
const CHUNK: usize = 64 * 1024;

/// A stream that takes nothing for so long is full.
const FULL_AFTER: Duration = Duration::from_millis(500);

/// The interval at which a slow stream reads.
const SLOW_TICK: Duration = Duration::from_millis(100);

/// The options of the mode.
#[derive(Debug, Clone, Serialize)]
pub struct Options {
    /// Streams with requests, whose latency is measured.
    pub live: usize,
    /// Bytes of a request.
    pub size: usize,
    /// Streams that send and do not read.
    pub stalled: usize,
    /// Streams that send and read slowly.
    pub slow: usize,
    /// Bytes a second that a slow stream reads.
    pub slow_rate: u64,
    /// The most bytes a stalled or slow stream sends.
    pub park: u64,
    /// The time of each measurement of the live streams.
    #[serde(serialize_with = "report::seconds")]
    pub seconds: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            live: 4,
            size: 64,
            stalled: 12,
            slow: 0,
            slow_rate: 64 * 1024,
            park: 64 << 20,
            seconds: Duration::from_secs(5),
        }
    }
}

#[derive(Debug, Serialize)]
struct Figures {
    baseline: Live,
    during: Live,
    /// The latency of `during` by that of `baseline`.
    p50_ratio: f64,
    p99_ratio: f64,
    /// Bytes on their way in each stream that was not read.
    parked: Parked,
    /// Stalled and slow streams that got back every byte in the end.
    released: u64,
    release_seconds: f64,
    processes: Vec<Holder>,
}

#[derive(Debug, Serialize)]
struct Live {
    requests: u64,
    requests_per_second: f64,
    latency_us: Summary,
}

#[derive(Debug, Default, Serialize)]
struct Parked {
    streams: usize,
    min: u64,
    median: u64,
    max: u64,
}

/// The memory that a process holds for streams that stand still.
#[derive(Debug, Serialize)]
struct Holder {
    pid: u32,
    name: String,
    /// Resident bytes gained since the baseline, for one stalled or slow stream.
    resident_per_stream: f64,
}

#[derive(Default)]
struct Tally {
    baseline: Histogram,
    during: Histogram,
    parked: Vec<u64>,
    released: u64,
    failures: Failures,
}

struct Plan {
    target: Target,
    options: Options,
    timeout: Duration,
}

/// Runs the mode.
pub fn run(common: &Common, options: &Options) -> Result<Report, BenchError> {
    let others = options.stalled + options.slow;
    limits::need_descriptors(options.live + others, common.threads)?;
    conduct(async {
        let target = Target::resolve(common).await?;
        let mut monitor = Monitor::new(&common.pids)?;
        let patience = target.patience();
        let drain = drain_limit(common.timeout, options.park) + patience;
        let plan = Arc::new(Plan { target, options: options.clone(), timeout: common.timeout });
        let work = move |seat, tally| stream(seat, tally, Arc::clone(&plan));
        let mut fleet = Fleet::launch(common.threads, options.live + others, work)?;
        fleet.gather("opening", patience, &mut monitor).await?;
        fleet.open(options.seconds);
        fleet.gather("the baseline", options.seconds + patience, &mut monitor).await?;
        let baseline = monitor.mark();
        fleet.open(common.timeout);
        fleet.gather("the fill", patience, &mut monitor).await?;
        let from = monitor.mark();
        let window = fleet.open(options.seconds);
        fleet.gather("the second measurement", options.seconds + patience, &mut monitor).await?;
        let to = monitor.mark();
        let seconds = window.start.elapsed().as_secs_f64();
        let release = fleet.open(common.timeout);
        let tallies = fleet.finish(drain, &mut monitor).await?;
        let release_seconds = release.start.elapsed().as_secs_f64();
        let gained = monitor.usage(&baseline, &to, seconds);
        let measured = Measured { monitor: &monitor, from: &from, to: &to, seconds };
        Ok(conclude(common, options, tallies, release_seconds, &gained, &measured))
    })
}

/// Returns the longest time for the release of a stream: the time-out, and a second for each MiB.
fn drain_limit(timeout: Duration, octets: u64) -> Duration {
    timeout.saturating_add(Duration::from_secs(octets >> 20))
}

async fn stream(seat: Seat, tally: Shared<Tally>, plan: Arc<Plan>) {
    let result = if seat.index < plan.options.live {
        live(seat, &tally, &plan).await
    } else {
        still(seat, &tally, &plan).await
    };
    if let Err(failure) = result {
        tally.borrow_mut().failures.add(failure);
    }
}

async fn live(mut seat: Seat, tally: &Shared<Tally>, plan: &Plan) -> Result<(), Failure> {
    let mut echo = Echo::new(seat.index, plan.options.size);
    let mut stream = plan.target.open(&mut echo).await?;
    let Ok(baseline) = seat.next_window().await else { return Ok(()) };
    measure(&mut stream, &mut echo, &baseline, plan.timeout, |took| {
        tally.borrow_mut().baseline.record(took)
    })
    .await?;
    // The fill, in which live streams rest.
    let Ok(_) = seat.next_window().await else { return Ok(()) };
    let Ok(during) = seat.next_window().await else { return Ok(()) };
    let result = measure(&mut stream, &mut echo, &during, plan.timeout, |took| {
        tally.borrow_mut().during.record(took)
    })
    .await;
    result.map_err(|failure| {
        Failure::new(failure.kind, format!("live stream beside stalled ones: {}", failure.text))
    })
}

async fn measure(
    stream: &mut TcpStream,
    echo: &mut Echo,
    window: &Window,
    limit: Duration,
    mut record: impl FnMut(Duration),
) -> Result<(), Failure> {
    while Instant::now() < window.end {
        let begun = Instant::now();
        echo.exchange(stream, limit).await?;
        record(begun.elapsed());
    }
    Ok(())
}

/// A stream that sends and is not, or is slowly, read.
struct Still {
    stream: TcpStream,
    seed: u64,
    sent: u64,
    received: u64,
    most: u64,
    buffer: Vec<u8>,
}

async fn still(mut seat: Seat, tally: &Shared<Tally>, plan: &Plan) -> Result<(), Failure> {
    let slow = seat.index >= plan.options.live + plan.options.stalled;
    let stream = plan.target.connect().await?;
    let seed = pattern::seed(seat.index);
    let mut still =
        Still { stream, seed, sent: 0, received: 0, most: plan.options.park, buffer: Vec::new() };
    // The baseline, in which the others rest.
    let Ok(_) = seat.next_window().await else { return Ok(()) };
    let Ok(fill) = seat.next_window().await else { return Ok(()) };
    still.fill(&fill).await?;
    tally.borrow_mut().parked.push(still.sent);
    let Ok(during) = seat.next_window().await else { return Ok(()) };
    if slow {
        still.trickle(&during, plan.options.slow_rate).await?;
    } else {
        sleep_until(during.end.into()).await;
    }
    let Ok(_) = seat.next_window().await else { return Ok(()) };
    let limit = drain_limit(plan.timeout, still.sent - still.received);
    let released = timeout(limit, still.release())
        .await
        .unwrap_or_else(|_| Err(Failure::timeout("release", limit)));
    released.map_err(|failure| {
        let text = format!(
            "stream {}, {} sent, {} read: {}",
            seat.index, still.sent, still.received, failure.text
        );
        Failure::new(failure.kind, text)
    })?;
    tally.borrow_mut().released += 1;
    Ok(())
}

impl Still {
    /// The next bytes to send; none when the most have been sent.
    fn next(&self) -> &'static [u8] {
        let left = usize::try_from(self.most.saturating_sub(self.sent)).unwrap_or(usize::MAX);
        pattern::slice(self.seed, self.sent, left.min(CHUNK))
    }

    /// Sends until nothing is taken any more.
    async fn fill(&mut self, window: &Window) -> Result<(), Failure> {
        while Instant::now() < window.end && !self.next().is_empty() {
            match timeout(FULL_AFTER, self.stream.write(self.next())).await {
                Ok(written) => self.sent += written.map_err(|e| Failure::io("fill", &e))? as u64,
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// Reads at a slow rate, and sends what room that makes, until the window's end.
    async fn trickle(&mut self, window: &Window, rate: u64) -> Result<(), Failure> {
        let mut tick = Instant::now();
        while tick < window.end {
            tick = (tick + SLOW_TICK).min(window.end);
            sleep_until(tick.into()).await;
            let share =
                usize::try_from((rate / 10).max(1)).unwrap_or(usize::MAX).min(pattern::MAX_CHUNK);
            self.buffer.resize(share, 0);
            let would_block = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
            match self.stream.try_read(&mut self.buffer) {
                Ok(read) => self.take(read)?,
                Err(error) if would_block(&error) => {}
                Err(error) => return Err(Failure::io("slow read", &error)),
            }
            while !self.next().is_empty() {
                match self.stream.try_write(self.next()) {
                    Ok(written) => self.sent += written as u64,
                    Err(error) if would_block(&error) => break,
                    Err(error) => return Err(Failure::io("slow write", &error)),
                }
            }
        }
        Ok(())
    }

    /// Checks what has been read into the buffer.
    fn take(&mut self, read: usize) -> Result<(), Failure> {
        if read == 0 {
            return Err(Failure::new(
                Kind::EarlyEnd,
                "the other end ended the stream before we did",
            ));
        }
        pattern::check(self.seed, self.received, self.buffer.get(..read).unwrap_or_default())
            .map_err(|wrong| Failure::new(Kind::Content, wrong.to_string()))?;
        self.received += read as u64;
        Ok(())
    }

    /// Ends our direction and reads the rest.
    async fn release(&mut self) -> Result<(), Failure> {
        self.stream.shutdown().await.map_err(|e| Failure::io("release", &e))?;
        self.buffer.resize(CHUNK, 0);
        loop {
            match self
                .stream
                .read(&mut self.buffer)
                .await
                .map_err(|e| Failure::io("release", &e))?
            {
                0 if self.received == self.sent => return Ok(()),
                0 => {
                    return Err(Failure::new(
                        Kind::Count,
                        format!("{} octets are missing", self.sent.abs_diff(self.received)),
                    ));
                }
                read => self.take(read)?,
            }
        }
    }
}

fn conclude(
    common: &Common,
    options: &Options,
    tallies: Vec<Tally>,
    release_seconds: f64,
    gained: &[Usage],
    measured: &Measured<'_>,
) -> Report {
    let mut all = Tally::default();
    for tally in tallies {
        all.baseline.merge(&tally.baseline);
        all.during.merge(&tally.during);
        all.parked.extend(tally.parked);
        all.released += tally.released;
        all.failures.merge(tally.failures);
    }
    all.parked.sort_unstable();
    let live = |histogram: &Histogram| Live {
        requests: histogram.count(),
        requests_per_second: histogram.count() as f64
            / options.seconds.as_secs_f64().max(f64::MIN_POSITIVE),
        latency_us: histogram.summary(),
    };
    let (baseline, during) = (live(&all.baseline), live(&all.during));
    let ratio = |before: f64, after: f64| if before > 0.0 { after / before } else { 0.0 };
    let at = |index: usize| all.parked.get(index).copied().unwrap_or(0);
    let others = options.stalled + options.slow;
    let holder = |usage: &Usage| Holder {
        pid: usage.pid,
        name: usage.name.clone(),
        resident_per_stream: (usage.resident_after as f64 - usage.resident_before as f64)
            / others.max(1) as f64,
    };
    let figures = Figures {
        p50_ratio: ratio(baseline.latency_us.p50, during.latency_us.p50),
        p99_ratio: ratio(baseline.latency_us.p99, during.latency_us.p99),
        parked: Parked {
            streams: all.parked.len(),
            min: at(0),
            median: at(all.parked.len() / 2),
            max: at(all.parked.len().saturating_sub(1)),
        },
        released: all.released,
        release_seconds,
        processes: gained.iter().map(holder).collect(),
        baseline,
        during,
    };
    let findings = Findings {
        mode: "streams",
        options: to_json(options),
        tables: tables(options, &figures),
        figures: to_json(&figures),
        errors: all.failures,
        work: Work { unit: "request", amount: figures.during.requests as f64, connections: None },
    };
    Report::new(common, findings, measured)
}

fn tables(options: &Options, figures: &Figures) -> Vec<Table> {
    let title = format!("{} live streams, requests of {} octets", options.live, options.size);
    let mut latency = Table::new(format!(
        "{title}, beside {} stalled and {} slow ones",
        options.stalled, options.slow
    ));
    latency.row(LATENCY_HEAD);
    latency.row(latency_row("alone", &figures.baseline.latency_us));
    latency.row(latency_row("beside", &figures.during.latency_us));
    latency.row([
        "times".to_owned(),
        number(figures.p50_ratio),
        String::new(),
        number(figures.p99_ratio),
    ]);
    let mut parked = Table::new("octets sent into a stream that is not read");
    parked.row(["streams", "min", "median", "max"]);
    let p = &figures.parked;
    parked.row(
        [p.streams.to_string()]
            .into_iter()
            .chain([p.min, p.median, p.max].map(|v| octets(v as f64))),
    );
    let mut release = Table::new("release");
    release.row(["streams that got back every octet", "seconds"]);
    release.row([
        format!("{} of {}", figures.released, options.stalled + options.slow),
        number(figures.release_seconds),
    ]);
    let mut held = Table::new("memory");
    if !figures.processes.is_empty() {
        held.row(["process", "rss/stalled stream"]);
    }
    for process in &figures.processes {
        held.row([
            format!("{} {}", process.pid, process.name),
            octets(process.resident_per_stream),
        ]);
    }
    vec![latency, parked, release, held]
}
