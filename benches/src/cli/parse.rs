//! Arguments into a [`Command`], every number within its bounds.

use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};

use super::{Command, Mode, Run, help, units};
use crate::{Common, connections, idle, latency, pattern, relay, server, streams, throughput};

/// The fault of a command line.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// No mode, or one that does not exist.
    #[error(
        "{0}; modes are server, relay, throughput, latency, connections, idle, streams; see \
         skbench --help"
    )]
    Mode(String),
    /// The target is missing.
    #[error("{mode} needs a target: skbench {mode} HOST:PORT")]
    Target {
        /// The mode.
        mode: &'static str,
    },
    /// A value cannot be used.
    #[error("--{option} {value}: {want}")]
    Value {
        /// The option, without its dashes.
        option: String,
        /// The given value.
        value: String,
        /// The values that it takes.
        want: String,
    },
    /// An unknown option, a missing value, an argument too many.
    #[error("{0}; see --help")]
    Arguments(#[from] lexopt::Error),
}

/// More connections than one machine can have to one address.
const MAX_CONNECTIONS: u64 = 1_000_000;
const MAX_THREADS: u64 = 256;
const MAX_COUNT: u64 = 1_000_000_000_000;
const MAX_BYTES: u64 = 1 << 50;
/// The rates that make sense: from almost none to more than a machine can send.
const RATES: RangeInclusive<f64> = 0.01..=10_000_000.0;
const TIMES: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(86_400);
/// The longest time of a run that ends by a count of bytes or requests.
const COUNTED: Duration = Duration::from_secs(60);

pub(super) fn parse(arguments: Vec<OsString>) -> Result<Command, UsageError> {
    let mut parser = Parser::from_args(arguments);
    match parser.next()? {
        None => Err(UsageError::Mode("no mode".to_owned())),
        Some(Arg::Long("help") | Arg::Short('h')) => Ok(Command::Print(help::GENERAL.to_owned())),
        Some(Arg::Long("version") | Arg::Short('V')) => {
            Ok(Command::Print(format!("skbench {}\n", env!("CARGO_PKG_VERSION"))))
        }
        Some(Arg::Value(mode)) => match mode.to_str() {
            Some("server") => server(&mut parser),
            Some("relay") => relay(&mut parser),
            Some("throughput") => throughput(&mut parser),
            Some("latency") => latency(&mut parser),
            Some("connections") => connections(&mut parser),
            Some("idle") => idle(&mut parser),
            Some("streams") => streams(&mut parser),
            _ => Err(UsageError::Mode(format!("unknown mode {mode:?}"))),
        },
        Some(other) => Err(other.unexpected().into()),
    }
}

/// The value of the option that was read last.
struct Value {
    option: String,
    text: String,
}

impl Value {
    fn next(parser: &mut Parser, option: &str) -> Result<Self, UsageError> {
        Ok(Self { option: option.to_owned(), text: parser.value()?.string()? })
    }

    fn refuse(&self, want: impl Into<String>) -> UsageError {
        UsageError::Value {
            option: self.option.clone(),
            value: self.text.clone(),
            want: want.into(),
        }
    }

    fn size(&self, bounds: RangeInclusive<u64>) -> Result<u64, UsageError> {
        let (low, high) = (bounds.start(), bounds.end());
        units::size(&self.text)
            .filter(|v| bounds.contains(v))
            .ok_or_else(|| self.refuse(format!("want a number from {low} to {high}")))
    }

    fn count(&self, bounds: RangeInclusive<u64>) -> Result<usize, UsageError> {
        // Every bound given is far below what a `usize` holds.
        self.size(bounds).map(|value| usize::try_from(value).unwrap_or(usize::MAX))
    }

    /// Bytes that are held in memory.
    fn chunk(&self) -> Result<usize, UsageError> {
        self.count(1..=pattern::MAX_CHUNK as u64)
    }

    fn time(&self) -> Result<Duration, UsageError> {
        let want = || self.refuse("want a time from 10ms to 86400s, such as 5, 0.5s, 250ms, 2m");
        units::time(&self.text).filter(|time| TIMES.contains(time)).ok_or_else(want)
    }

    fn rate(&self) -> Result<f64, UsageError> {
        let want =
            || self.refuse(format!("want a number from {} to {}", RATES.start(), RATES.end()));
        self.text.parse().ok().filter(|rate| RATES.contains(rate)).ok_or_else(want)
    }

    fn share(&self) -> Result<f64, UsageError> {
        self.text
            .parse()
            .ok()
            .filter(|share| (0.0..=1.0).contains(share))
            .ok_or_else(|| self.refuse("want a number from 0 to 1"))
    }

    fn pids(&self) -> Result<Vec<u32>, UsageError> {
        let want = |_| self.refuse("want process numbers, separated by commas");
        self.text.split(',').map(|pid| pid.trim().parse::<u32>().map_err(want)).collect()
    }

    fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Result<T, UsageError> {
        let names = || choices.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let found = choices.iter().find(|(name, _)| *name == self.text);
        found
            .map(|(_, value)| *value)
            .ok_or_else(|| self.refuse(format!("want one of {}", names())))
    }
}

/// The common options of the modes while the command line is read.
struct Shared {
    common: Common,
    json: bool,
    max_errors: u64,
}

/// Reads the arguments of a mode that runs. `own` takes the mode's own options and says whether it
/// knew the one given; gives `None` if help was asked for.
fn run_arguments(
    parser: &mut Parser,
    mode: &'static str,
    mut own: impl FnMut(&str, &mut Parser) -> Result<bool, UsageError>,
) -> Result<Option<Shared>, UsageError> {
    let mut target = None;
    let mut shared = Shared { common: Common::new(""), json: false, max_errors: 0 };
    while let Some(argument) = parser.next()? {
        let option = match argument {
            Arg::Long(option) => option.to_owned(),
            Arg::Short('h') => "help".to_owned(),
            Arg::Value(value) if target.is_none() => {
                target = Some(value.string()?);
                continue;
            }
            other => return Err(other.unexpected().into()),
        };
        let common = &mut shared.common;
        match option.as_str() {
            "help" => return Ok(None),
            "threads" => common.threads = Value::next(parser, &option)?.count(1..=MAX_THREADS)?,
            "timeout" => common.timeout = Value::next(parser, &option)?.time()?,
            "pid" => common.pids.extend(Value::next(parser, &option)?.pids()?),
            "max-errors" => shared.max_errors = Value::next(parser, &option)?.size(0..=u64::MAX)?,
            "json" => shared.json = true,
            _ => {
                if !own(&option, parser)? {
                    return Err(Arg::Long(&option).unexpected().into());
                }
            }
        }
    }
    shared.common.target = target.ok_or(UsageError::Target { mode })?;
    Ok(Some(shared))
}

/// The command, or its help if that was asked for.
fn command(shared: Option<Shared>, help: &str, mode: Mode) -> Command {
    match shared {
        None => Command::Print(format!("{help}\nOptions of every mode: see skbench --help.\n")),
        Some(Shared { common, json, max_errors }) => {
            Command::Run(Run { common, mode, json, max_errors })
        }
    }
}

/// The time of a run: as given, or else long enough for a `count` to be reached, or else the
/// `usual`.
fn limit(given: Option<Duration>, count: Option<u64>, usual: Duration) -> Duration {
    given.unwrap_or(match count {
        Some(_) => COUNTED,
        None => usual,
    })
}

fn server(parser: &mut Parser) -> Result<Command, UsageError> {
    let mut options = server::Options::new(server::Mode::Echo);
    while let Some(argument) = parser.next()? {
        let option = match argument {
            Arg::Long(option) => option.to_owned(),
            Arg::Short('h') => "help".to_owned(),
            other => return Err(other.unexpected().into()),
        };
        let modes = [
            ("echo", server::Mode::Echo),
            ("sink", server::Mode::Sink),
            ("source", server::Mode::Source),
            ("http", server::Mode::Http),
        ];
        match option.as_str() {
            "help" => return Ok(Command::Print(help::SERVER.to_owned())),
            "listen" => options.listen = Value::next(parser, &option)?.text,
            "mode" => options.mode = Value::next(parser, &option)?.choice(&modes)?,
            "threads" => options.threads = Value::next(parser, &option)?.count(1..=MAX_THREADS)?,
            "bytes" => options.bytes = Some(Value::next(parser, &option)?.size(0..=MAX_BYTES)?),
            "buffer" => options.buffer = Some(Value::next(parser, &option)?.count(1..=64 << 20)?),
            "body" => options.body = Some(Value::next(parser, &option)?.count(0..=64 << 20)?),
            _ => return Err(Arg::Long(&option).unexpected().into()),
        }
    }
    Ok(Command::Server(options))
}

fn relay(parser: &mut Parser) -> Result<Command, UsageError> {
    let (mut listen, mut to) = ("127.0.0.1:0".to_owned(), None);
    let (mut delay, mut loss) = (Duration::from_millis(25), 0.0);
    while let Some(argument) = parser.next()? {
        let option = match argument {
            Arg::Long(option) => option.to_owned(),
            Arg::Short('h') => "help".to_owned(),
            Arg::Value(value) if to.is_none() => {
                to = Some(value.string()?);
                continue;
            }
            other => return Err(other.unexpected().into()),
        };
        match option.as_str() {
            "help" => return Ok(Command::Print(help::RELAY.to_owned())),
            "listen" => listen = Value::next(parser, &option)?.text,
            "delay" => delay = Value::next(parser, &option)?.time()?,
            "loss" => loss = Value::next(parser, &option)?.share()?,
            _ => return Err(Arg::Long(&option).unexpected().into()),
        }
    }
    let to = to.ok_or(UsageError::Target { mode: "relay" })?;
    Ok(Command::Relay(relay::Options { listen, to, delay, loss }))
}

fn throughput(parser: &mut Parser) -> Result<Command, UsageError> {
    use throughput::Direction;
    let mut options = throughput::Options::default();
    let mut seconds = None;
    let shared = run_arguments(parser, "throughput", |option, parser| {
        let ways = [("both", Direction::Both), ("up", Direction::Up), ("down", Direction::Down)];
        match option {
            "direction" => options.direction = Value::next(parser, option)?.choice(&ways)?,
            "streams" => {
                options.streams = Value::next(parser, option)?.count(1..=MAX_CONNECTIONS)?
            }
            "seconds" => seconds = Some(Value::next(parser, option)?.time()?),
            "bytes" => options.bytes = Some(Value::next(parser, option)?.size(1..=MAX_BYTES)?),
            "chunk" => options.chunk = Value::next(parser, option)?.chunk()?,
            "buffer" => options.buffer = Some(Value::next(parser, option)?.count(1..=64 << 20)?),
            "verify" => options.verify = true,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    options.seconds = limit(seconds, options.bytes, options.seconds);
    Ok(command(shared, help::THROUGHPUT, Mode::Throughput(options)))
}

fn latency(parser: &mut Parser) -> Result<Command, UsageError> {
    let mut options = latency::Options::default();
    let mut seconds = None;
    let shared = run_arguments(parser, "latency", |option, parser| {
        match option {
            "connections" => {
                options.connections = Value::next(parser, option)?.count(1..=MAX_CONNECTIONS)?
            }
            "size" => options.size = Value::next(parser, option)?.chunk()?,
            "http" => options.http = true,
            "rate" => options.rate = Some(Value::next(parser, option)?.rate()?),
            "seconds" => seconds = Some(Value::next(parser, option)?.time()?),
            "count" => options.count = Some(Value::next(parser, option)?.size(1..=MAX_COUNT)?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    options.seconds = limit(seconds, options.count, options.seconds);
    Ok(command(shared, help::LATENCY, Mode::Latency(options)))
}

fn connections(parser: &mut Parser) -> Result<Command, UsageError> {
    use connections::Close;
    let mut options = connections::Options::default();
    let mut seconds = None;
    let shared = run_arguments(parser, "connections", |option, parser| {
        match option {
            "workers" => {
                options.workers = Value::next(parser, option)?.count(1..=MAX_CONNECTIONS)?
            }
            "size" => options.size = Value::next(parser, option)?.chunk()?,
            "close" => {
                let ways = [("fin", Close::Fin), ("half", Close::Half), ("rst", Close::Rst)];
                options.close = Value::next(parser, option)?.choice(&ways)?;
            }
            "seconds" => seconds = Some(Value::next(parser, option)?.time()?),
            "count" => options.count = Some(Value::next(parser, option)?.size(1..=MAX_COUNT)?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    options.seconds = limit(seconds, options.count, options.seconds);
    Ok(command(shared, help::CONNECTIONS, Mode::Connections(options)))
}

fn idle(parser: &mut Parser) -> Result<Command, UsageError> {
    let mut options = idle::Options::default();
    let shared = run_arguments(parser, "idle", |option, parser| {
        match option {
            "connections" => {
                options.connections = Value::next(parser, option)?.count(1..=MAX_CONNECTIONS)?
            }
            "size" => options.size = Value::next(parser, option)?.chunk()?,
            "seconds" => options.hold = Value::next(parser, option)?.time()?,
            "parallel" => {
                options.parallel = Value::next(parser, option)?.count(1..=MAX_CONNECTIONS)?
            }
            "limit" => options.limit = Value::next(parser, option)?.time()?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(command(shared, help::IDLE, Mode::Idle(options)))
}

fn streams(parser: &mut Parser) -> Result<Command, UsageError> {
    let mut options = streams::Options::default();
    let shared = run_arguments(parser, "streams", |option, parser| {
        match option {
            "live" => options.live = Value::next(parser, option)?.count(1..=MAX_CONNECTIONS)?,
            "size" => options.size = Value::next(parser, option)?.chunk()?,
            "stalled" => {
                options.stalled = Value::next(parser, option)?.count(0..=MAX_CONNECTIONS)?
            }
            "slow" => options.slow = Value::next(parser, option)?.count(0..=MAX_CONNECTIONS)?,
            "slow-rate" => options.slow_rate = Value::next(parser, option)?.size(1..=1 << 40)?,
            "park" => options.park = Value::next(parser, option)?.size(1..=1 << 34)?,
            "seconds" => options.seconds = Value::next(parser, option)?.time()?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(command(shared, help::STREAMS, Mode::Streams(options)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(line: &str) -> Result<Command, UsageError> {
        parse(line.split_ascii_whitespace().map(OsString::from).collect())
    }

    fn run(text: &str) -> Run {
        match line(text) {
            Ok(Command::Run(run)) => run,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn options_stand_before_and_after_the_target() {
        let run = run(
            "throughput --streams 4 localhost:80 --chunk=16K --verify --pid 1,2 --pid 3 --json \
             --max-errors 7 --timeout 250ms",
        );
        assert_eq!(
            (run.common.target.as_str(), run.json, run.max_errors),
            ("localhost:80", true, 7)
        );
        assert_eq!(
            (run.common.pids, run.common.timeout),
            (vec![1, 2, 3], Duration::from_millis(250))
        );
        let Mode::Throughput(options) = run.mode else { panic!("{:?}", run.mode) };
        assert_eq!(
            (options.streams, options.chunk, options.verify, options.seconds),
            (4, 16_384, true, Duration::from_secs(5))
        );
    }

    #[test]
    fn a_count_makes_the_time_a_limit_unless_it_is_given() {
        let seconds = |text: &str| match run(text).mode {
            Mode::Latency(options) => options.seconds.as_secs(),
            Mode::Throughput(options) => options.seconds.as_secs(),
            Mode::Connections(options) => options.seconds.as_secs(),
            other => panic!("{other:?}"),
        };
        assert_eq!(seconds("latency x:1"), 5);
        assert_eq!(seconds("latency x:1 --count 3"), 60);
        assert_eq!(seconds("connections x:1 --seconds 7 --count 3"), 7);
        assert_eq!(seconds("throughput x:1 --bytes 1G"), 60);
    }

    #[test]
    fn wrong_lines_are_refused_with_what_can_be_given() {
        for (text, part) in [
            ("", "no mode"),
            ("fly x:1", "unknown mode"),
            ("latency", "skbench latency HOST:PORT"),
            ("latency x:1 y:2", "unexpected argument"),
            ("latency x:1 --streams 4", "--streams"),
            ("latency x:1 --rate 0", "from 0.01 to 10000000"),
            ("latency x:1 --rate nan", "from 0.01 to 10000000"),
            ("latency x:1 --size 2M", "from 1 to 1048576"),
            ("latency x:1 --size", "missing argument"),
            ("idle x:1 --seconds 0", "want a time"),
            ("idle x:1 --pid 1,x", "process numbers"),
            ("connections x:1 --close gently", "fin, half, rst"),
            ("server --mode mirror", "echo, sink, source, http"),
            ("server x:1", "unexpected argument"),
            ("throughput x:1 --threads 0", "from 1 to 256"),
            ("throughput x:1 --json=yes", "unexpected"),
        ] {
            let error = line(text).expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn help_needs_no_target() {
        for mode in ["server", "throughput", "latency", "connections", "idle", "streams"] {
            let Ok(Command::Print(text)) = line(&format!("{mode} --help")) else {
                panic!("{mode}")
            };
            assert!(text.starts_with(&format!("usage: skbench {mode}")), "{text}");
        }
        assert!(matches!(line("--help"), Ok(Command::Print(_))));
        assert!(matches!(line("--version"), Ok(Command::Print(_))));
    }

    #[test]
    fn every_option_is_in_the_help() {
        for (mode, text) in [
            ("throughput", help::THROUGHPUT),
            ("latency", help::LATENCY),
            ("connections", help::CONNECTIONS),
            ("idle", help::IDLE),
            ("streams", help::STREAMS),
        ] {
            for option in text.split_whitespace().filter_map(|word| word.strip_prefix("--")) {
                let option = option.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
                // Known options complain of their value, or of nothing.
                if let Err(error) = line(&format!("{mode} x:1 --{option} ?")) {
                    assert!(!error.to_string().contains("invalid option"), "{mode}: {error}");
                }
            }
        }
    }
}
