//! The time from a request to its answer.
//!
//! Every connection has one request outstanding. *Closed loop*: the next is sent when the answer
//! has come, so that a slow server is asked less often and its pauses are seen by one request a
//! connection only. *Open loop* (`rate`): requests are due at fixed times whatever happened to
//! those before, and a latency is counted from the time it was due; requests that were due and
//! could not be sent count with the time they had waited when the run ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::exchange::{Echo, Exchange};
use crate::failure::{Failure, Failures};
use crate::fleet::{Fleet, Seat, Shared, Window, conduct};
use crate::histogram::{Histogram, Summary};
use crate::precise::Timer;
use crate::process::Monitor;
use crate::report::{self, Findings, LATENCY_HEAD, Measured, Report, Work, latency_row, to_json};
use crate::table::{Table, number};
use crate::target::Target;
use crate::{BenchError, Common, http, limits};

/// How long a connection that failed waits before it is opened again: a target that refuses is not
/// stormed.
pub(crate) const PAUSE: Duration = Duration::from_millis(10);

/// Requests that were never sent are counted in at most so many steps a connection.
const OVERDUE_STEPS: u64 = 1000;

/// The options of the mode.
#[derive(Debug, Clone, Serialize)]
pub struct Options {
    /// Connections, each with one request outstanding.
    pub connections: usize,
    /// Bytes of a request and of its answer. HTTP has its own.
    pub size: usize,
    /// Requests a second of all connections together; none for as many as are answered.
    pub rate: Option<f64>,
    /// The duration; with `count`, the longest one.
    #[serde(serialize_with = "report::seconds")]
    pub seconds: Duration,
    /// Requests of all connections together, instead of a time.
    pub count: Option<u64>,
    /// Asks by HTTP/1.1 instead of through an echo server.
    pub http: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: 1,
            size: 64,
            rate: None,
            seconds: Duration::from_secs(5),
            count: None,
            http: false,
        }
    }
}

#[derive(Debug, Serialize)]
struct Figures {
    requests: u64,
    requests_per_second: f64,
    /// Microseconds from when a request was due (closed loop: sent) to its whole answer.
    latency_us: Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    open_loop: Option<OpenLoop>,
}

#[derive(Debug, Serialize)]
struct OpenLoop {
    /// Microseconds from sending to the whole answer.
    service_us: Summary,
    /// Microseconds by which requests that nothing held up left late: the generator's own share of
    /// the latency.
    lag_us: Summary,
    /// Requests that were due and could not be sent before the run ended.
    overdue: u64,
}

#[derive(Default)]
struct Tally {
    latency: Histogram,
    service: Histogram,
    lag: Histogram,
    answered: u64,
    answered_in_window: u64,
    overdue: u64,
    last: Option<Instant>,
    failures: Failures,
}

struct Plan {
    target: Target,
    options: Options,
    timeout: Duration,
    host: String,
}

enum Talk {
    Echo(Echo),
    Http(http::Client),
}

impl Exchange for Talk {
    async fn exchange(&mut self, stream: &mut TcpStream, limit: Duration) -> Result<(), Failure> {
        match self {
            Self::Echo(echo) => echo.exchange(stream, limit).await,
            Self::Http(client) => client.exchange(stream, limit).await,
        }
    }
}

/// Runs the mode.
pub fn run(common: &Common, options: &Options) -> Result<Report, BenchError> {
    // An open loop has a timer for every connection.
    limits::need_descriptors(
        options.connections * if options.rate.is_some() { 2 } else { 1 },
        common.threads,
    )?;
    conduct(async {
        let target = Target::resolve(common).await?;
        let mut monitor = Monitor::new(&common.pids)?;
        let patience = target.patience();
        let plan = Plan {
            target,
            options: options.clone(),
            timeout: common.timeout,
            host: common.target.clone(),
        };
        let plan = Arc::new(plan);
        let work = move |seat, tally| connection(seat, tally, Arc::clone(&plan));
        let mut fleet = Fleet::launch(common.threads, options.connections, work)?;
        fleet.gather("opening", patience, &mut monitor).await?;
        let from = monitor.mark();
        let window = fleet.open(options.seconds);
        fleet.gather("the requests", options.seconds + patience, &mut monitor).await?;
        let to = monitor.mark();
        let seconds = window.start.elapsed().as_secs_f64();
        let tallies = fleet.finish(patience, &mut monitor).await?;
        Ok(conclude(
            common,
            options,
            window,
            tallies,
            &Measured { monitor: &monitor, from: &from, to: &to, seconds },
        ))
    })
}

/// The share of connection `index` in a `count` that all connections have together.
pub(crate) fn quota(count: Option<u64>, index: usize, of: usize) -> u64 {
    let (index, of) = (index as u64, of.max(1) as u64);
    count.map_or(u64::MAX, |count| count / of + u64::from(index < count % of))
}

async fn connection(mut seat: Seat, tally: Shared<Tally>, plan: Arc<Plan>) {
    let options = &plan.options;
    let mut talk = if options.http {
        Talk::Http(http::Client::new(seat.index, &plan.host))
    } else {
        Talk::Echo(Echo::new(seat.index, options.size))
    };
    let fail = |failure| tally.borrow_mut().failures.add(failure);
    let timer = match options.rate.map(|_| Timer::new()).transpose() {
        Ok(timer) => timer,
        Err(error) => return fail(Failure::io("timer", &error)),
    };
    // The first exchange does not count.
    let stream = match plan.target.open(&mut talk).await {
        Ok(stream) => stream,
        Err(failure) => return fail(failure),
    };
    let Ok(window) = seat.next_window().await else { return };
    let schedule = Schedule {
        window,
        rate: options.rate,
        index: seat.index,
        connections: options.connections,
    };
    let quota = quota(options.count, seat.index, options.connections);
    let mut connected = Some(stream);
    let mut number = 0;
    while number < quota && Instant::now() < window.end {
        let stream = match &mut connected {
            Some(stream) => stream,
            None => match plan.target.connect().await {
                Ok(stream) => connected.insert(stream),
                Err(failure) => {
                    fail(failure);
                    sleep(PAUSE).await;
                    continue;
                }
            },
        };
        let mut due = None;
        if let Some(timer) = &timer {
            let at = schedule.due(number);
            if at >= window.end {
                break;
            }
            let held_up = Instant::now() > at;
            if let Err(error) = timer.until(at).await {
                return fail(Failure::io("timer", &error));
            }
            if !held_up {
                tally.borrow_mut().lag.record(at.elapsed());
            }
            due = Some(at);
        }
        number += 1;
        let begun = Instant::now();
        match talk.exchange(stream, plan.timeout).await {
            Ok(()) => tally.borrow_mut().answered(begun, due, &window),
            Err(failure) => {
                fail(failure);
                connected = None;
                sleep(PAUSE).await;
            }
        }
    }
    if timer.is_some() {
        schedule.overdue(number, quota, &mut tally.borrow_mut());
    }
}

impl Tally {
    fn answered(&mut self, begun: Instant, due: Option<Instant>, window: &Window) {
        let now = Instant::now();
        self.latency.record(now.saturating_duration_since(due.unwrap_or(begun)));
        if due.is_some() {
            self.service.record(now.saturating_duration_since(begun));
        }
        self.answered += 1;
        self.answered_in_window += u64::from(now <= window.end);
        self.last = self.last.max(Some(now));
    }
}

/// When the requests of one connection are due in an open loop.
struct Schedule {
    window: Window,
    rate: Option<f64>,
    index: usize,
    connections: usize,
}

impl Schedule {
    /// The connections take turns, evenly spaced.
    fn due(&self, number: u64) -> Instant {
        let turn = number as f64 * self.connections as f64 + self.index as f64;
        let after =
            Duration::try_from_secs_f64(turn / self.rate.unwrap_or(1.0)).unwrap_or(Duration::MAX);
        self.window.start.checked_add(after).unwrap_or(self.window.end).min(self.window.end)
    }

    /// Counts the requests from `number` on that were due and have not been sent: each has waited
    /// to the window's end.
    fn overdue(&self, number: u64, quota: u64, tally: &mut Tally) {
        let length = self.window.end.saturating_duration_since(self.window.start).as_secs_f64();
        let all = (length * self.rate.unwrap_or(0.0) - self.index as f64)
            / self.connections.max(1) as f64;
        let missing = (all.ceil().max(0.0) as u64).min(quota).saturating_sub(number);
        let step = missing.div_ceil(OVERDUE_STEPS).max(1);
        let mut done = 0;
        while done < missing {
            let part = step.min(missing - done);
            // The middle one of a step stands for all of it.
            let waited =
                self.window.end.saturating_duration_since(self.due(number + done + part / 2));
            tally.latency.record_many(waited, part);
            done += part;
        }
        tally.overdue += missing;
    }
}

fn conclude(
    common: &Common,
    options: &Options,
    window: Window,
    tallies: Vec<Tally>,
    measured: &Measured<'_>,
) -> Report {
    let mut all = Tally::default();
    for tally in tallies {
        all.latency.merge(&tally.latency);
        all.service.merge(&tally.service);
        all.lag.merge(&tally.lag);
        all.answered += tally.answered;
        all.answered_in_window += tally.answered_in_window;
        all.overdue += tally.overdue;
        all.last = all.last.max(tally.last);
        all.failures.merge(tally.failures);
    }
    let open_loop = options.rate.map(|_| OpenLoop {
        service_us: all.service.summary(),
        lag_us: all.lag.summary(),
        overdue: all.overdue,
    });
    let figures = Figures {
        requests: all.answered,
        requests_per_second: per_second(
            all.answered_in_window,
            &window,
            all.last,
            options.count.is_some(),
        ),
        latency_us: all.latency.summary(),
        open_loop,
    };
    let work = Work { unit: "request", amount: all.answered as f64, connections: None };
    let findings = Findings {
        mode: "latency",
        options: to_json(options),
        tables: tables(options, &figures),
        figures: to_json(&figures),
        errors: all.failures,
        work,
    };
    let mut report = Report::new(common, findings, measured);
    if all.overdue > 0 {
        report.note(format!(
            "{} requests were due and not sent: the rate asked for is above what is answered",
            all.overdue
        ));
    }
    report
}

/// How many a second: by the window's length, or, where a count ended it, by the time until the
/// `last`.
pub(crate) fn per_second(done: u64, window: &Window, last: Option<Instant>, counted: bool) -> f64 {
    let end = last.filter(|_| counted).unwrap_or(window.end).min(window.end);
    let seconds = end.saturating_duration_since(window.start).as_secs_f64();
    if seconds > 0.0 { done as f64 / seconds } else { 0.0 }
}

fn tables(options: &Options, figures: &Figures) -> Vec<Table> {
    let what = if options.http {
        "HTTP requests".to_owned()
    } else {
        format!("requests of {} octets", options.size)
    };
    let how = options.rate.map_or_else(
        || "closed loop".to_owned(),
        |rate| format!("open loop, {} a second asked for", number(rate)),
    );
    let mut done = Table::new(format!("{} connections, {what}, {how}", options.connections));
    done.row(["requests", "a second"]);
    done.row([figures.requests.to_string(), number(figures.requests_per_second)]);
    let mut latency = Table::new("latency");
    latency.row(LATENCY_HEAD);
    match &figures.open_loop {
        None => latency.row(latency_row("request", &figures.latency_us)),
        Some(open) => {
            latency.row(latency_row("since due", &figures.latency_us));
            latency.row(latency_row("since sent", &open.service_us));
            latency.row(latency_row("sent late by us", &open.lag_us));
        }
    }
    vec![done, latency]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(rate: f64, index: usize, connections: usize) -> Schedule {
        let start = Instant::now();
        Schedule {
            window: Window { start, end: start + Duration::from_secs(1) },
            rate: Some(rate),
            index,
            connections,
        }
    }

    #[test]
    fn connections_take_turns() {
        let one = schedule(100.0, 1, 4);
        assert_eq!(one.due(0) - one.window.start, Duration::from_millis(10));
        assert_eq!(one.due(3) - one.window.start, Duration::from_millis(130));
        assert_eq!(one.due(u64::MAX), one.window.end);
    }

    #[test]
    fn requests_never_sent_have_waited() {
        // A server that stops after the first of 100 requests: the others waited 990 ms down to 10
        // ms.
        let mut tally = Tally::default();
        schedule(100.0, 0, 1).overdue(1, u64::MAX, &mut tally);
        assert_eq!((tally.overdue, tally.latency.count()), (99, 99));
        let median = tally.latency.quantile(0.5).as_secs_f64();
        assert!((0.49..0.51).contains(&median), "{median}");
        assert!((0.98..1.0).contains(&tally.latency.max().as_secs_f64()));
    }

    #[test]
    fn a_huge_backlog_is_counted_in_few_steps() {
        let mut tally = Tally::default();
        schedule(1e12, 0, 1).overdue(0, u64::MAX, &mut tally);
        assert_eq!((tally.overdue, tally.latency.count()), (1_000_000_000_000, 1_000_000_000_000));
    }

    #[test]
    fn nothing_is_overdue_when_all_was_sent_or_none_was_asked_for() {
        let mut tally = Tally::default();
        for index in 0..3 {
            schedule(100.0, index, 3).overdue(34 - u64::from(index > 0), u64::MAX, &mut tally);
            schedule(100.0, index, 3).overdue(5, 5, &mut tally);
        }
        assert_eq!(tally.overdue, 0);
    }

    #[test]
    fn quotas_add_up() {
        for (count, of) in [(0, 3), (1, 3), (100, 7), (7, 7)] {
            assert_eq!((0..of).map(|index| quota(Some(count), index, of)).sum::<u64>(), count);
        }
        assert_eq!(quota(None, 0, 1), u64::MAX);
    }
}
