//! Bytes a second, and how evenly parallel streams share them.
//!
//! * *down*: the bytes a `source` sends, counted as they arrive until the time is over. The time
//!   begins when all streams have begun.
//! * *up*: the bytes a `sink` has confirmed to have received, by the time until the confirmation.
//!   What only filled the buffers on the way does not count.
//! * *both*: the bytes an `echo` server sends back, counted as they arrive until the time is over.
//!   After that the stream is ended and read to its end: as many bytes must have come back as were
//!   sent.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::time::{timeout, timeout_at};

use crate::failure::{Failure, Failures};
use crate::fleet::{Fleet, Seat, Shared, conduct};
use crate::process::Monitor;
use crate::report::{self, Findings, GIGABYTE, Measured, Report, Work, to_json};
use crate::table::{Table, number};
use crate::target::Target;
use crate::{BenchError, Common, limits};

mod carry;
use carry::Meter;

/// Streams that are listed one by one in the table; the JSON form has all.
const LISTED: usize = 16;

/// Which way the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// To a `sink`.
    Up,
    /// From a `source`.
    Down,
    /// To an `echo` server and back.
    Both,
}

/// The options of the mode.
#[derive(Debug, Clone, Serialize)]
pub struct Options {
    /// Parallel streams.
    pub streams: usize,
    /// The duration; with `bytes`, the longest one.
    #[serde(serialize_with = "report::seconds")]
    pub seconds: Duration,
    /// Which way.
    pub direction: Direction,
    /// Bytes offered to one write and asked of one read.
    pub chunk: usize,
    /// Bytes of each stream, instead of a time.
    pub bytes: Option<u64>,
    /// Checks every byte.
    pub verify: bool,
    /// The size of each socket's buffers; none for the system's, which grow to megabytes: too much
    /// for thousands of streams.
    pub buffer: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            streams: 1,
            seconds: Duration::from_secs(5),
            direction: Direction::Both,
            chunk: 64 * 1024,
            bytes: None,
            verify: false,
            buffer: None,
        }
    }
}

/// The bytes that one stream carried.
#[derive(Debug, Clone, Serialize)]
pub struct Stream {
    /// The stream's number.
    pub stream: usize,
    /// Bytes sent, all in all.
    pub sent: u64,
    /// Bytes received, all in all.
    pub received: u64,
    /// Bytes that count, as the direction says.
    pub octets: u64,
    /// Seconds in which they were carried.
    pub seconds: f64,
    /// 10^6 bytes a second.
    pub megabytes_per_second: f64,
    /// The longest time without an byte received (up: accepted), in milliseconds.
    pub longest_gap_ms: f64,
    /// Up: whether the other end confirmed the bytes; otherwise whether the stream came to its
    /// proper end.
    pub confirmed: bool,
}

/// The evenness of the streams' shares.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Fairness {
    /// The slowest stream, in 10^6 bytes a second.
    pub min: f64,
    /// The median stream.
    pub median: f64,
    /// The fastest stream.
    pub max: f64,
    /// The slowest by the fastest: 1 is even.
    pub min_to_max: f64,
    /// Jain's index: 1 is even, 1/n is one stream alone.
    pub jain: f64,
}

#[derive(Debug, Serialize)]
struct Figures {
    octets: u64,
    megabytes_per_second: f64,
    gigabits_per_second: f64,
    sent: u64,
    received: u64,
    fairness: Fairness,
    streams: Vec<Stream>,
}

#[derive(Default)]
struct Tally {
    streams: Vec<Stream>,
    failures: Failures,
}

struct Plan {
    target: Target,
    options: Options,
    timeout: Duration,
}

/// Runs the mode.
pub fn run(common: &Common, options: &Options) -> Result<Report, BenchError> {
    limits::need_descriptors(options.streams, common.threads)?;
    conduct(async {
        let target = Target::resolve(common).await?;
        let mut monitor = Monitor::new(&common.pids)?;
        let patience = target.patience();
        let plan = Arc::new(Plan { target, options: options.clone(), timeout: common.timeout });
        let work = move |seat, tally| stream(seat, tally, Arc::clone(&plan));
        let mut fleet = Fleet::launch(common.threads, options.streams, work)?;
        fleet.gather("opening", patience, &mut monitor).await?;
        let from = monitor.mark();
        let window = fleet.open(options.seconds);
        fleet.gather("the transfer", options.seconds + patience, &mut monitor).await?;
        let to = monitor.mark();
        let seconds = window.start.elapsed().as_secs_f64();
        let tallies = fleet.finish(patience, &mut monitor).await?;
        Ok(conclude(
            common,
            options,
            tallies,
            &Measured { monitor: &monitor, from: &from, to: &to, seconds },
        ))
    })
}

async fn stream(mut seat: Seat, tally: Shared<Tally>, plan: Arc<Plan>) {
    let index = seat.index;
    let mut stream = match plan.target.connect().await {
        Ok(stream) => stream,
        Err(failure) => return tally.borrow_mut().failures.add(failure),
    };
    if let Err(error) =
        plan.options.buffer.map_or(Ok(()), |octets| limits::bound_buffers(&stream, octets))
    {
        return tally.borrow_mut().failures.add(Failure::io("SO_SNDBUF and SO_RCVBUF", &error));
    }
    // A source's stream stands when it begins: only then has everything on the way been opened.
    if plan.options.direction == Direction::Down {
        let begun = timeout(plan.timeout, stream.peek(&mut [0])).await;
        let begun = begun.map_err(|_| Failure::timeout("the beginning of a stream", plan.timeout));
        if let Err(failure) =
            begun.and_then(|begun| begun.map_err(|error| Failure::io("read", &error)))
        {
            return tally.borrow_mut().failures.add(failure);
        }
    }
    let Ok(window) = seat.next_window().await else { return };
    let meter = Meter::new(index, window);
    let limit = window.end + plan.timeout;
    let result = match timeout_at(limit.into(), carry::carry(&mut stream, &plan.options, &meter))
        .await
    {
        Ok(result) => result,
        Err(_) => Err(Failure::timeout("end of the stream after the time was over", plan.timeout)),
    };
    let mut tally = tally.borrow_mut();
    tally.streams.push(meter.figures(plan.options.direction, Instant::now()));
    if let Err(failure) = result {
        let text = format!(
            "stream {index}, {} sent, {} received: {}",
            meter.sent(),
            meter.received(),
            failure.text
        );
        tally.failures.add(Failure::new(failure.kind, text));
    }
}

fn fairness(streams: &[Stream]) -> Fairness {
    let mut rates: Vec<f64> = streams.iter().map(|stream| stream.megabytes_per_second).collect();
    rates.sort_by(f64::total_cmp);
    let (Some(&min), Some(&max), Some(&median)) =
        (rates.first(), rates.last(), rates.get(rates.len() / 2))
    else {
        return Fairness::default();
    };
    let (sum, squares) =
        rates.iter().fold((0.0, 0.0), |(sum, squares), rate| (sum + rate, squares + rate * rate));
    let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
    Fairness {
        min,
        median,
        max,
        min_to_max: share(min, max),
        jain: share(sum * sum, rates.len() as f64 * squares),
    }
}

fn conclude(
    common: &Common,
    options: &Options,
    tallies: Vec<Tally>,
    measured: &Measured<'_>,
) -> Report {
    let mut failures = Failures::default();
    let mut streams = Vec::new();
    for tally in tallies {
        failures.merge(tally.failures);
        streams.extend(tally.streams);
    }
    streams.sort_by_key(|stream| stream.stream);
    let octets: u64 = streams.iter().map(|stream| stream.octets).sum();
    let (sent, received) =
        streams.iter().fold((0u64, 0u64), |(s, r), stream| (s + stream.sent, r + stream.received));
    let longest = streams.iter().map(|stream| stream.seconds).fold(0.0, f64::max);
    let rate = if longest > 0.0 { octets as f64 / longest / 1e6 } else { 0.0 };
    let unconfirmed = streams.iter().filter(|stream| !stream.confirmed).count();
    let fairness = fairness(&streams);
    let figures = Figures {
        octets,
        megabytes_per_second: rate,
        gigabits_per_second: rate * 8.0 / 1000.0,
        sent,
        received,
        fairness,
        streams,
    };
    let tables = tables(options, &figures);
    // An upload's receipt is no load.
    let carried = if options.direction == Direction::Up { sent } else { sent + received };
    let findings = Findings {
        mode: "throughput",
        options: to_json(options),
        figures: to_json(&figures),
        errors: failures,
        work: Work { unit: GIGABYTE, amount: carried as f64 / 1e9, connections: None },
        tables,
    };
    let mut report = Report::new(common, findings, measured);
    if options.direction == Direction::Up && unconfirmed > 0 && report.errors.total() == 0 {
        report.note(format!(
            "{unconfirmed} streams had no receipt: counted is what left this \
             machine's sockets, not what arrived"
        ));
    }
    report
}

fn tables(options: &Options, figures: &Figures) -> Vec<Table> {
    let direction = match options.direction {
        Direction::Up => "up",
        Direction::Down => "down",
        Direction::Both => "both ways (counted: what came back)",
    };
    let checked = if options.verify { ", every octet checked" } else { "" };
    let mut total = Table::new(format!(
        "{} streams {direction}, chunks of {}{checked}",
        options.streams, options.chunk
    ));
    total.row(["".to_owned(), "MB/s".to_owned(), "Gbit/s".to_owned(), "octets".to_owned()]);
    let cells = [
        number(figures.megabytes_per_second),
        number(figures.gigabits_per_second),
        figures.octets.to_string(),
    ];
    total.row(["all".to_owned()].into_iter().chain(cells));
    let mut listed = Table::new("by stream");
    listed.row(["stream", "MB/s", "octets", "longest gap ms"]);
    for stream in figures.streams.iter().take(LISTED) {
        let rate = number(stream.megabytes_per_second);
        listed.row([
            stream.stream.to_string(),
            rate,
            stream.octets.to_string(),
            number(stream.longest_gap_ms),
        ]);
    }
    if figures.streams.len() > LISTED {
        listed.row([format!("and {} more", figures.streams.len() - LISTED)]);
    }
    let mut share = Table::new("fairness, MB/s a stream");
    share.row(["min", "median", "max", "min/max", "Jain"]);
    let f = &figures.fairness;
    share.row([f.min, f.median, f.max, f.min_to_max, f.jain].map(number));
    vec![total, listed, share]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(rate: f64) -> Stream {
        Stream {
            stream: 0,
            sent: 0,
            received: 0,
            octets: 0,
            seconds: 1.0,
            megabytes_per_second: rate,
            longest_gap_ms: 0.0,
            confirmed: true,
        }
    }

    #[test]
    fn fairness_of_even_and_of_starved_streams() {
        let even = fairness(&[stream(5.0), stream(5.0), stream(5.0), stream(5.0)]);
        assert_eq!((even.min_to_max, even.jain), (1.0, 1.0));
        let starved = fairness(&[stream(8.0), stream(0.0), stream(0.0), stream(0.0)]);
        assert_eq!((starved.min, starved.median, starved.max, starved.jain), (0.0, 0.0, 8.0, 0.25));
        assert_eq!(fairness(&[]).jain, 0.0);
        assert_eq!(fairness(&[stream(0.0)]).jain, 0.0);
    }
}
