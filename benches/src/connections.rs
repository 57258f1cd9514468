//! New connections a second: connect, send, receive the echo, close.
//!
//! Every worker has one connection at a time. What is counted is whole lives: a connection whose
//! echo did not come back, or which could not be closed as asked, is a failure.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::time::sleep;

use crate::exchange::{Echo, Exchange, half_close};
use crate::failure::{Failure, Failures};
use crate::fleet::{Fleet, Seat, Shared, Window, conduct};
use crate::histogram::{Histogram, Summary};
use crate::latency::{PAUSE, per_second, quota};
use crate::process::Monitor;
use crate::report::{self, Findings, LATENCY_HEAD, Measured, Report, Work, latency_row, to_json};
use crate::table::{Table, number};
use crate::target::{Target, reset_on_close};
use crate::{BenchError, Common, limits};

/// The end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Close {
    /// Close when the echo has come.
    Fin,
    /// End our direction, and wait for the other end to end its own.
    Half,
    /// Reset when the echo has come.
    Rst,
}

/// The options of the mode.
#[derive(Debug, Clone, Serialize)]
pub struct Options {
    /// Workers, each with one connection at a time.
    pub workers: usize,
    /// Bytes sent and received back on each connection.
    pub size: usize,
    /// The end of each connection.
    pub close: Close,
    /// The duration; with `count`, the longest one.
    #[serde(serialize_with = "report::seconds")]
    pub seconds: Duration,
    /// Connections of all workers together, instead of a time.
    pub count: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            workers: 8,
            size: 64,
            close: Close::Fin,
            seconds: Duration::from_secs(5),
            count: None,
        }
    }
}

#[derive(Debug, Serialize)]
struct Figures {
    connections: u64,
    connections_per_second: f64,
    /// Microseconds of the connect.
    connect_us: Summary,
    /// Microseconds from the connect to the whole echo.
    answered_us: Summary,
    /// Microseconds from the connect to the end.
    whole_us: Summary,
}

#[derive(Default)]
struct Tally {
    connect: Histogram,
    answered: Histogram,
    whole: Histogram,
    in_window: u64,
    last: Option<Instant>,
    failures: Failures,
}

struct Plan {
    target: Target,
    options: Options,
    timeout: Duration,
}

/// Runs the mode.
pub fn run(common: &Common, options: &Options) -> Result<Report, BenchError> {
    limits::need_descriptors(options.workers, common.threads)?;
    conduct(async {
        let target = Target::resolve(common).await?;
        let mut monitor = Monitor::new(&common.pids)?;
        let patience = target.patience();
        let plan = Arc::new(Plan { target, options: options.clone(), timeout: common.timeout });
        let work = move |seat, tally| worker(seat, tally, Arc::clone(&plan));
        let mut fleet = Fleet::launch(common.threads, options.workers, work)?;
        fleet.gather("the start", patience, &mut monitor).await?;
        let from = monitor.mark();
        let window = fleet.open(options.seconds);
        fleet.gather("the connections", options.seconds + patience, &mut monitor).await?;
        let to = monitor.mark();
        let seconds = window.start.elapsed().as_secs_f64();
        let tallies = fleet.finish(patience, &mut monitor).await?;
        Ok(conclude(
            common,
            options,
            &window,
            tallies,
            &Measured { monitor: &monitor, from: &from, to: &to, seconds },
        ))
    })
}

async fn worker(mut seat: Seat, tally: Shared<Tally>, plan: Arc<Plan>) {
    let Ok(window) = seat.next_window().await else { return };
    let mut echo = Echo::new(seat.index, plan.options.size);
    let quota = quota(plan.options.count, seat.index, plan.options.workers);
    for _ in 0..quota {
        if Instant::now() >= window.end {
            break;
        }
        match life(&plan, &mut echo).await {
            Ok(life) => tally.borrow_mut().add(&life, &window),
            Err(failure) => {
                tally.borrow_mut().failures.add(failure);
                sleep(PAUSE).await;
            }
        }
    }
}

/// The moments of one connection.
struct Life {
    begun: Instant,
    connected: Instant,
    answered: Instant,
    ended: Instant,
}

async fn life(plan: &Plan, echo: &mut Echo) -> Result<Life, Failure> {
    let begun = Instant::now();
    let mut stream = plan.target.connect().await?;
    let connected = Instant::now();
    echo.exchange(&mut stream, plan.timeout).await?;
    let answered = Instant::now();
    match plan.options.close {
        Close::Fin => {}
        Close::Half => half_close(&mut stream, plan.timeout).await?,
        Close::Rst => reset_on_close(&stream)?,
    }
    drop(stream);
    Ok(Life { begun, connected, answered, ended: Instant::now() })
}

impl Tally {
    fn add(&mut self, life: &Life, window: &Window) {
        self.connect.record(life.connected.saturating_duration_since(life.begun));
        self.answered.record(life.answered.saturating_duration_since(life.begun));
        self.whole.record(life.ended.saturating_duration_since(life.begun));
        self.in_window += u64::from(life.ended <= window.end);
        self.last = self.last.max(Some(life.ended));
    }
}

fn conclude(
    common: &Common,
    options: &Options,
    window: &Window,
    tallies: Vec<Tally>,
    measured: &Measured<'_>,
) -> Report {
    let mut all = Tally::default();
    for tally in tallies {
        all.connect.merge(&tally.connect);
        all.answered.merge(&tally.answered);
        all.whole.merge(&tally.whole);
        all.in_window += tally.in_window;
        all.last = all.last.max(tally.last);
        all.failures.merge(tally.failures);
    }
    let figures = Figures {
        connections: all.whole.count(),
        connections_per_second: per_second(
            all.in_window,
            window,
            all.last,
            options.count.is_some(),
        ),
        connect_us: all.connect.summary(),
        answered_us: all.answered.summary(),
        whole_us: all.whole.summary(),
    };
    let close = match options.close {
        Close::Fin => "closed",
        Close::Half => "half-closed, then closed by the server",
        Close::Rst => "reset",
    };
    let mut done = Table::new(format!(
        "{} workers, {} octets there and back, then {close}",
        options.workers, options.size
    ));
    done.row(["connections", "a second"]);
    done.row([figures.connections.to_string(), number(figures.connections_per_second)]);
    let mut latency = Table::new("latency since the connect began");
    latency.row(LATENCY_HEAD);
    latency.row(latency_row("connected", &figures.connect_us));
    latency.row(latency_row("answered", &figures.answered_us));
    latency.row(latency_row("ended", &figures.whole_us));
    let findings = Findings {
        mode: "connections",
        options: to_json(options),
        figures: to_json(&figures),
        errors: all.failures,
        work: Work { unit: "connection", amount: figures.connections as f64, connections: None },
        tables: vec![done, latency],
    };
    Report::new(common, findings, measured)
}
