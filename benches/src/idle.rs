//! The cost of many connections at rest. The mode also checks that they stay alive.
//!
//! Each connection is opened and proved by one exchange, held without an byte, and proved again.
//! One that ends while it is held is a failure at that moment.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{sleep_until, timeout_at};

use crate::exchange::{Echo, Exchange};
use crate::failure::{Failure, Failures, Kind};
use crate::fleet::{Fleet, Seat, Shared, Window, conduct};
use crate::histogram::{Histogram, Summary};
use crate::process::{Mark, Monitor, Usage};
use crate::report::{self, Findings, LATENCY_HEAD, Measured, Report, Work, latency_row, to_json};
use crate::table::{Table, number, octets};
use crate::target::Target;
use crate::{BenchError, Common, limits};

/// The options of the mode.
#[derive(Debug, Clone, Serialize)]
pub struct Options {
    /// Connections to open.
    pub connections: usize,
    /// Bytes of the exchange by which a connection is proved.
    pub size: usize,
    /// The time for which they rest.
    #[serde(serialize_with = "report::seconds")]
    pub hold: Duration,
    /// Connections that are being opened, or proved, at the same time.
    pub parallel: usize,
    /// The longest time to open all, and the longest to prove all.
    #[serde(serialize_with = "report::seconds")]
    pub limit: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: 1000,
            size: 64,
            hold: Duration::from_secs(5),
            parallel: 64,
            limit: Duration::from_secs(120),
        }
    }
}

#[derive(Debug, Serialize)]
struct Figures {
    asked: usize,
    opened: u64,
    opening_seconds: f64,
    opened_per_second: f64,
    lost_while_held: u64,
    alive: u64,
    /// Microseconds from the connect to the first echo.
    open_us: Summary,
    /// Microseconds of the exchange after the hold.
    second_exchange_us: Summary,
    processes: Vec<Held>,
}

/// A process while the connections were held.
#[derive(Debug, Serialize)]
struct Held {
    pid: u32,
    name: String,
    /// Processors kept busy by connections at rest.
    cpus: f64,
    /// Resident bytes gained by opening, for one connection.
    resident_per_connection_opened: Option<f64>,
    /// Resident bytes kept at the end of the hold, for one connection.
    resident_per_connection_held: Option<f64>,
}

#[derive(Default)]
struct Tally {
    opened: u64,
    lost: u64,
    alive: u64,
    open: Histogram,
    again: Histogram,
    failures: Failures,
}

struct Plan {
    target: Target,
    options: Options,
    timeout: Duration,
    gate: Semaphore,
    /// By when all must be open.
    by: Instant,
}

/// Runs the mode.
pub fn run(common: &Common, options: &Options) -> Result<Report, BenchError> {
    limits::need_descriptors(options.connections, common.threads)?;
    conduct(async {
        let target = Target::resolve(common).await?;
        let mut monitor = Monitor::new(&common.pids)?;
        let patience = target.patience() + options.limit;
        let before = monitor.mark();
        let start = Instant::now();
        let plan = Arc::new(Plan {
            target,
            options: options.clone(),
            timeout: common.timeout,
            gate: Semaphore::new(options.parallel.clamp(1, Semaphore::MAX_PERMITS)),
            by: start + options.limit,
        });
        let work = move |seat, tally| connection(seat, tally, Arc::clone(&plan));
        let mut fleet = Fleet::launch(common.threads, options.connections, work)?;
        fleet.gather("opening", patience, &mut monitor).await?;
        let opening = start.elapsed();
        let open = monitor.mark();
        let held = fleet.open(options.hold);
        fleet.pass(held.end, &mut monitor).await;
        fleet.gather("the hold", patience, &mut monitor).await?;
        let to = monitor.mark();
        let (hold_seconds, seconds) =
            (held.start.elapsed().as_secs_f64(), start.elapsed().as_secs_f64());
        fleet.open(options.limit);
        let tallies = fleet.finish(patience, &mut monitor).await?;
        let marks =
            Marks { before: &before, open: &open, held: &to, opening, hold_seconds, seconds };
        Ok(conclude(common, options, tallies, &monitor, &marks))
    })
}

async fn connection(mut seat: Seat, tally: Shared<Tally>, plan: Arc<Plan>) {
    let mut echo = Echo::new(seat.index, plan.options.size);
    let fail = |failure| tally.borrow_mut().failures.add(failure);
    let (mut stream, took) = match open(&plan, &mut echo).await {
        Ok(opened) => opened,
        Err(failure) => return fail(failure),
    };
    {
        let mut tally = tally.borrow_mut();
        tally.opened += 1;
        tally.open.record(took);
    }
    let Ok(window) = seat.next_window().await else { return };
    if let Err(failure) = hold(&stream, &window).await {
        tally.borrow_mut().lost += 1;
        return fail(failure);
    }
    let Ok(window) = seat.next_window().await else { return };
    let again = async {
        let _turn = plan.gate.acquire().await;
        let begun = Instant::now();
        echo.exchange(&mut stream, plan.timeout).await.map(|()| begun.elapsed())
    };
    match timeout_at(window.end.into(), again).await {
        Ok(Ok(took)) => {
            let mut tally = tally.borrow_mut();
            tally.alive += 1;
            tally.again.record(took);
        }
        Ok(Err(failure)) => {
            fail(Failure::new(failure.kind, format!("after the hold: {}", failure.text)))
        }
        Err(_) => fail(Failure::timeout("proving all after the hold", plan.options.limit)),
    }
}

async fn open(plan: &Plan, echo: &mut Echo) -> Result<(TcpStream, Duration), Failure> {
    let open = async {
        // The semaphore is never closed.
        let _turn = plan.gate.acquire().await;
        let begun = Instant::now();
        let stream = plan.target.open(echo).await?;
        Ok((stream, begun.elapsed()))
    };
    timeout_at(plan.by.into(), open)
        .await
        .unwrap_or_else(|_| Err(Failure::timeout("opening all", plan.options.limit)))
}

/// Waits until the window's end; sooner, with what happened, if the connection ends or says
/// something.
async fn hold(stream: &TcpStream, window: &Window) -> Result<(), Failure> {
    let over = sleep_until(window.end.into());
    tokio::pin!(over);
    loop {
        tokio::select! {
            biased;
            () = &mut over => return Ok(()),
            ready = stream.readable() => ready.map_err(|e| Failure::io("while held", &e))?,
        }
        match stream.try_read(&mut [0; 64]) {
            Ok(0) => {
                return Err(Failure::new(Kind::EarlyEnd, "while held: ended by the other end"));
            }
            Ok(_) => {
                return Err(Failure::new(
                    Kind::Content,
                    "while held: octets that nobody asked for",
                ));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(Failure::io("while held", &error)),
        }
    }
}

struct Marks<'a> {
    before: &'a Mark,
    open: &'a Mark,
    held: &'a Mark,
    opening: Duration,
    hold_seconds: f64,
    seconds: f64,
}

fn conclude(
    common: &Common,
    options: &Options,
    tallies: Vec<Tally>,
    monitor: &Monitor,
    marks: &Marks<'_>,
) -> Report {
    let mut all = Tally::default();
    for tally in tallies {
        all.opened += tally.opened;
        all.lost += tally.lost;
        all.alive += tally.alive;
        all.open.merge(&tally.open);
        all.again.merge(&tally.again);
        all.failures.merge(tally.failures);
    }
    let gained = |usage: &Usage, connections: u64| {
        let gained = usage.resident_after as f64 - usage.resident_before as f64;
        (connections > 0).then(|| gained / connections as f64)
    };
    let held = all.opened.saturating_sub(all.lost);
    let during = monitor.usage(marks.open, marks.held, marks.hold_seconds);
    let opened = monitor.usage(marks.before, marks.open, marks.opening.as_secs_f64());
    let kept = monitor.usage(marks.before, marks.held, marks.seconds);
    let processes =
        during.into_iter().zip(opened.iter().zip(&kept)).map(|(during, (opened, kept))| Held {
            resident_per_connection_opened: gained(opened, all.opened),
            resident_per_connection_held: gained(kept, held),
            pid: during.pid,
            cpus: during.cpus,
            name: during.name,
        });
    let opening_seconds = marks.opening.as_secs_f64();
    let figures = Figures {
        asked: options.connections,
        opened: all.opened,
        opening_seconds,
        opened_per_second: if opening_seconds > 0.0 {
            all.opened as f64 / opening_seconds
        } else {
            0.0
        },
        lost_while_held: all.lost,
        alive: all.alive,
        open_us: all.open.summary(),
        second_exchange_us: all.again.summary(),
        processes: processes.collect(),
    };
    let findings = Findings {
        mode: "idle",
        options: to_json(options),
        tables: tables(options, &figures),
        figures: to_json(&figures),
        errors: all.failures,
        work: Work { unit: "connection", amount: all.opened as f64, connections: Some(held) },
    };
    let measured = Measured { monitor, from: marks.before, to: marks.held, seconds: marks.seconds };
    Report::new(common, findings, &measured)
}

fn tables(options: &Options, figures: &Figures) -> Vec<Table> {
    let mut life = Table::new(format!(
        "{} connections held for {} s",
        options.connections,
        number(options.hold.as_secs_f64())
    ));
    life.row(["opened", "a second", "lost while held", "alive at the end"]);
    let counts = [figures.lost_while_held.to_string(), figures.alive.to_string()];
    life.row(
        [figures.opened.to_string(), number(figures.opened_per_second)].into_iter().chain(counts),
    );
    let mut latency = Table::new("latency");
    latency.row(LATENCY_HEAD);
    latency.row(latency_row("open and first echo", &figures.open_us));
    latency.row(latency_row("echo after the hold", &figures.second_exchange_us));
    let mut held = Table::new("while held");
    if !figures.processes.is_empty() {
        held.row(["process", "cpus", "rss/connection when open", "at the end of the hold"]);
    }
    for process in &figures.processes {
        let each = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), octets);
        held.row([
            format!("{} {}", process.pid, process.name),
            format!("{:.3}", process.cpus),
            each(process.resident_per_connection_opened),
            each(process.resident_per_connection_held),
        ]);
    }
    vec![life, latency, held]
}
