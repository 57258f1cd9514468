//! The result of a run, for people and for programs.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::Common;
use crate::failure::Failures;
use crate::histogram::Summary;
use crate::process::{Mark, Monitor, Usage};
use crate::table::{Table, number, octets};

/// The result of a run. Serialized, it is the JSON object that `--json` prints; displayed, the
/// table.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The program's version.
    pub skbench: &'static str,
    /// Which mode ran.
    pub mode: &'static str,
    /// The options of every mode.
    pub common: Common,
    /// The options of this mode.
    pub options: Value,
    /// Seconds of the part that was measured.
    pub seconds: f64,
    /// The findings of the mode.
    pub figures: Value,
    /// The failures of connections.
    pub errors: Failures,
    /// The cost of the watched processes.
    pub processes: Vec<Cost>,
    /// The cost of the generator itself.
    pub generator: Option<Usage>,
    /// Doubts about the figures.
    pub notes: Vec<String>,
    #[serde(skip)]
    tables: Vec<Table>,
}

/// The unit of work of modes that move bytes: 10^9 of them.
pub(crate) const GIGABYTE: &str = "GB";

/// The unit of work by which the cost of processes is divided.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    /// The name of one.
    pub unit: &'static str,
    /// The count in the measured part.
    pub amount: f64,
    /// Connections open at the end of the measured part, by which the growth of memory is divided.
    pub connections: Option<u64>,
}

/// The cost of a process, by unit of work.
#[derive(Debug, Clone, Serialize)]
pub struct Cost {
    /// Its cost in the measured part.
    #[serde(flatten)]
    pub usage: Usage,
    /// The unit of work.
    pub unit: &'static str,
    /// Processor seconds for one.
    pub cpu_seconds_per_unit: Option<f64>,
    /// Resident bytes gained for one open connection.
    pub resident_per_connection: Option<f64>,
}

/// The part of a run that is charged to the work done: between two looks at the processes.
pub(crate) struct Measured<'a> {
    pub(crate) monitor: &'a Monitor,
    pub(crate) from: &'a Mark,
    pub(crate) to: &'a Mark,
    pub(crate) seconds: f64,
}

/// The outcome of a mode.
pub(crate) struct Findings {
    pub(crate) mode: &'static str,
    pub(crate) options: Value,
    pub(crate) figures: Value,
    pub(crate) errors: Failures,
    pub(crate) work: Work,
    pub(crate) tables: Vec<Table>,
}

impl Report {
    /// Puts a report together. Tables of cost and of errors are added to the mode's own when it is
    /// displayed.
    pub(crate) fn new(common: &Common, findings: Findings, measured: &Measured<'_>) -> Self {
        let Findings { mode, options, figures, errors, work, tables } = findings;
        let &Measured { monitor, from, to, seconds } = measured;
        let processes: Vec<Cost> =
            monitor.usage(from, to, seconds).into_iter().map(|usage| cost(usage, work)).collect();
        let generator = monitor.own_usage(from, to, seconds);
        let mut notes = Vec::new();
        if let Some(own) = generator.as_ref().filter(|own| own.cpus > 0.9 * common.threads as f64) {
            notes.push(format!(
                "the generator kept {:.2} of its {} processors busy: figures may be its limit; try \
                 more --threads",
                own.cpus, common.threads
            ));
        }
        if cfg!(debug_assertions) {
            notes.push(
                "built without optimization: the generator's own share is several times that of a \
                 release build"
                    .to_owned(),
            );
        }
        notes.extend(processes.iter().filter(|cost| cost.usage.ended).map(|cost| {
            format!("process {} ended during the run: its figures stop there", cost.usage.pid)
        }));
        Self {
            skbench: env!("CARGO_PKG_VERSION"),
            mode,
            common: common.clone(),
            options,
            seconds,
            figures,
            errors,
            processes,
            generator,
            notes,
            tables,
        }
    }

    /// The report as one JSON object.
    pub fn to_json(&self) -> Value {
        to_json(self)
    }

    /// Adds something that should be known before the figures are believed.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }
}

/// Plain data always has a JSON form; were it not so, the failure is shown in its place.
pub(crate) fn to_json(value: &impl Serialize) -> Value {
    serde_json::to_value(value)
        .unwrap_or_else(|error| Value::String(format!("not serializable: {error}")))
}

fn cost(usage: Usage, work: Work) -> Cost {
    let gained = usage.resident_after as f64 - usage.resident_before as f64;
    Cost {
        unit: work.unit,
        cpu_seconds_per_unit: (work.amount > 0.0).then(|| usage.cpu_seconds / work.amount),
        resident_per_connection: work
            .connections
            .filter(|count| *count > 0)
            .map(|count| gained / count as f64),
        usage,
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "skbench {} {} {}, {:.2} s",
            self.skbench, self.mode, self.common.target, self.seconds
        )?;
        for table in &self.tables {
            write!(f, "{table}")?;
        }
        write!(f, "{}", self.cost_table())?;
        let mut errors = Table::new(format!("errors: {}", self.errors.total()));
        for (kind, counted) in self.errors.kinds() {
            errors.row([
                kind.name().to_owned(),
                counted.count.to_string(),
                format!("first: {}", counted.first),
            ]);
        }
        if self.errors.total() == 0 {
            writeln!(f, "errors: 0")?;
        } else {
            write!(f, "{errors}")?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "note: {note}"))
    }
}

impl Report {
    fn cost_table(&self) -> Table {
        let by_connection =
            self.processes.iter().any(|cost| cost.resident_per_connection.is_some());
        let unit = self.processes.first().map(|cost| cost.unit);
        // Seconds for the large unit, microseconds for the small ones.
        let (scale, scale_name) = if unit == Some(GIGABYTE) { (1.0, "s") } else { (1e6, "us") };
        let dash = || "-".to_owned();
        let mut table = Table::new("cost");
        let mut head = vec!["process".to_owned(), "cpu s".to_owned(), "cpus".to_owned()];
        head.extend(unit.map(|unit| format!("cpu {scale_name}/{unit}")));
        head.extend(["rss before", "rss after", "rss peak"].map(str::to_owned));
        head.extend(by_connection.then(|| "rss/connection".to_owned()));
        table.row(head);
        let processes = self.processes.iter().map(|cost| {
            (format!("{} {}", cost.usage.pid, cost.usage.name), &cost.usage, Some(cost))
        });
        let own = self.generator.iter().map(|usage| ("(skbench itself)".to_owned(), usage, None));
        for (name, usage, cost) in processes.chain(own) {
            let mut cells = vec![name, number(usage.cpu_seconds), format!("{:.2}", usage.cpus)];
            cells.extend(unit.map(|_| {
                cost.and_then(|c| c.cpu_seconds_per_unit)
                    .map_or_else(dash, |cpu| number(cpu * scale))
            }));
            cells.extend(
                [usage.resident_before, usage.resident_after, usage.resident_peak]
                    .map(|v| octets(v as f64)),
            );
            cells.extend(
                by_connection.then(|| {
                    cost.and_then(|c| c.resident_per_connection).map_or_else(dash, octets)
                }),
            );
            table.row(cells);
        }
        table
    }
}

/// The heading of a table of latencies, in microseconds.
pub(crate) const LATENCY_HEAD: [&str; 8] =
    ["us", "p50", "p90", "p99", "p99.9", "max", "mean", "count"];

/// A row of a table of latencies.
pub(crate) fn latency_row(name: &str, summary: &Summary) -> Vec<String> {
    let values = [summary.p50, summary.p90, summary.p99, summary.p99_9, summary.max, summary.mean];
    let mut cells = vec![name.to_owned()];
    cells.extend(values.map(number));
    cells.push(summary.count.to_string());
    cells
}

/// Serializes a duration as seconds.
pub(crate) fn seconds<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(value.as_secs_f64())
}
