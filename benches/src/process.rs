//! The cost of processes: processor time and resident memory, read from `/proc`.

use std::fs;
use std::time::Duration;

use serde::Serialize;

use crate::BenchError;

/// The cost of a process at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sample {
    /// Processor time spent so far, user and system. The kernel counts it in ticks, usually 10 ms.
    pub cpu: Duration,
    /// Resident memory in bytes.
    pub resident: u64,
    /// When the process started, in ticks since boot: tells a process from a later one of the same
    /// number.
    started: u64,
}

/// Reads a process's cost; `None` if it is gone or its file cannot be understood.
pub fn read(pid: u32) -> Option<Sample> {
    parse(
        &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?,
        rustix::param::clock_ticks_per_second(),
        rustix::param::page_size(),
    )
}

/// Understands a line of `/proc/PID/stat` (proc(5)). The name, in parentheses, may itself hold
/// blanks and parentheses.
fn parse(stat: &str, ticks: u64, page: usize) -> Option<Sample> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // `rest` begins with field 3 of the manual's count.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let spent = field(14)?.checked_add(field(15)?)?;
    Some(Sample {
        cpu: Duration::from_secs_f64(spent as f64 / ticks.max(1) as f64),
        resident: field(24)?.checked_mul(page as u64)?,
        started: field(22)?,
    })
}

/// A watched process.
#[derive(Debug, Clone)]
struct Watched {
    pid: u32,
    name: String,
    first: Sample,
    last: Sample,
    peak: u64,
    ended: bool,
}

impl Watched {
    fn begin(pid: u32) -> Option<Self> {
        let first = read(pid)?;
        let name = fs::read_to_string(format!("/proc/{pid}/comm"))
            .unwrap_or_default()
            .trim_end()
            .to_owned();
        Some(Self { pid, name, first, last: first, peak: first.resident, ended: false })
    }

    fn look(&mut self) {
        match read(self.pid).filter(|sample| sample.started == self.first.started) {
            Some(sample) => {
                self.peak = self.peak.max(sample.resident);
                self.last = sample;
            }
            None => self.ended = true,
        }
    }
}

/// Watches the processes a run names, and the generator itself.
#[derive(Debug)]
pub struct Monitor {
    watched: Vec<Watched>,
    own: Option<Watched>,
}

/// The cost of every watched process at one moment; the generator's is the last.
#[derive(Debug, Clone)]
pub struct Mark {
    samples: Vec<Sample>,
    own: Sample,
}

/// The cost of a process over a part of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Usage {
    /// Process number.
    pub pid: u32,
    /// Its name, as the kernel knows it.
    pub name: String,
    /// Processor seconds, user and system.
    pub cpu_seconds: f64,
    /// Processors kept busy on average: processor seconds by seconds.
    pub cpus: f64,
    /// Resident bytes at the beginning.
    pub resident_before: u64,
    /// Resident bytes at the end.
    pub resident_after: u64,
    /// The most resident bytes seen since the run began.
    pub resident_peak: u64,
    /// Whether the process ended during the run; its figures then are those of its last moment
    /// seen.
    pub ended: bool,
}

impl Monitor {
    /// Begins to watch. A process that cannot be read is an error: its cost would silently be zero.
    pub fn new(pids: &[u32]) -> Result<Self, BenchError> {
        let watched = pids
            .iter()
            .map(|pid| {
                let reason = || match fs::read_to_string(format!("/proc/{pid}/stat")) {
                    Err(error) => error.to_string(),
                    Ok(_) => "its stat file is not understood".to_owned(),
                };
                Watched::begin(*pid)
                    .ok_or_else(|| BenchError::Process { pid: *pid, reason: reason() })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { watched, own: Watched::begin(std::process::id()) })
    }

    /// Looks at every process.
    pub fn look(&mut self) {
        self.watched.iter_mut().chain(self.own.as_mut()).for_each(Watched::look);
    }

    /// Looks, and keeps what was seen to compare with later.
    pub fn mark(&mut self) -> Mark {
        self.look();
        Mark {
            samples: self.watched.iter().map(|w| w.last).collect(),
            own: self.own.as_ref().map(|w| w.last).unwrap_or_default(),
        }
    }

    /// Returns the cost of each process between two marks, `seconds` apart.
    pub fn usage(&self, from: &Mark, to: &Mark, seconds: f64) -> Vec<Usage> {
        let samples = from.samples.iter().zip(&to.samples);
        self.watched.iter().zip(samples).map(|(w, (a, b))| usage(w, a, b, seconds)).collect()
    }

    /// Returns the cost of the generator between two marks, `seconds` apart.
    pub fn own_usage(&self, from: &Mark, to: &Mark, seconds: f64) -> Option<Usage> {
        self.own.as_ref().map(|w| usage(w, &from.own, &to.own, seconds))
    }
}

fn usage(watched: &Watched, from: &Sample, to: &Sample, seconds: f64) -> Usage {
    let cpu_seconds = to.cpu.saturating_sub(from.cpu).as_secs_f64();
    Usage {
        pid: watched.pid,
        name: watched.name.clone(),
        cpu_seconds,
        cpus: if seconds > 0.0 { cpu_seconds / seconds } else { 0.0 },
        resident_before: from.resident,
        resident_after: to.resident,
        resident_peak: watched.peak,
        ended: watched.ended,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 7 8 20 0 3 0 9876 \
                        1000000 25 18446744073709551615 1 1 0";

    #[test]
    fn a_stat_line_with_an_odd_name_is_understood() {
        let sample = parse(LINE, 100, 4096).expect("well-formed");
        assert_eq!(
            sample,
            Sample { cpu: Duration::from_secs(2), resident: 25 * 4096, started: 9876 }
        );
    }

    #[test]
    fn cut_lines_are_refused() {
        for end in 0..LINE.find(" 25 ").expect("the memory field") {
            assert_eq!(parse(&LINE[..end], 100, 4096), None, "cut at {end}");
        }
    }

    #[test]
    fn a_mark_later_shows_what_was_spent() {
        let mut monitor = Monitor::new(&[std::process::id()]).expect("this process is readable");
        let from = monitor.mark();
        let mut number = 1u64;
        while read(std::process::id()).expect("this process").cpu
            < from.samples[0].cpu + Duration::from_millis(30)
        {
            number = std::hint::black_box(number.wrapping_mul(3));
        }
        let to = monitor.mark();
        let usage = monitor.usage(&from, &to, 0.5);
        assert!(usage[0].cpu_seconds >= 0.03 && usage[0].resident_peak > 0, "{usage:?}");
        assert_eq!(usage[0].cpus, usage[0].cpu_seconds / 0.5);
        assert!(!usage[0].ended);
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        let error = Monitor::new(&[u32::MAX]).expect_err("no such process");
        assert!(error.to_string().contains("4294967295"), "{error}");
    }
}
