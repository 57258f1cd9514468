//! The command line: what is asked for, and the exit status.
//!
//! 0: the run was made and failures did not exceed `--max-errors`. 1: they did, or the run could
//! not be made. 2: the command line is wrong.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use tokio::signal::unix::{SignalKind, signal};

use crate::fleet::conduct;
use crate::report::Report;
use crate::server::{self, Server};
use crate::{BenchError, Common, connections, idle, latency, relay, streams, throughput};

mod help;
mod parse;
mod units;

pub use parse::UsageError;

/// The wish of the command line.
#[derive(Debug)]
enum Command {
    /// Print this text.
    Print(String),
    Server(server::Options),
    Relay(relay::Options),
    Run(Run),
}

/// A run of one mode.
#[derive(Debug)]
struct Run {
    common: Common,
    mode: Mode,
    json: bool,
    /// With more failures than this the exit status is 1.
    max_errors: u64,
}

#[derive(Debug)]
enum Mode {
    Throughput(throughput::Options),
    Latency(latency::Options),
    Connections(connections::Options),
    Idle(idle::Options),
    Streams(streams::Options),
}

/// Does what the process's arguments ask for.
pub fn main() -> ExitCode {
    match parse::parse(std::env::args_os().skip(1).collect::<Vec<OsString>>()) {
        Ok(command) => command.execute().unwrap_or_else(|error| {
            eprintln!("skbench: {error}");
            ExitCode::from(1)
        }),
        Err(error) => {
            eprintln!("skbench: {error}");
            ExitCode::from(2)
        }
    }
}

impl Command {
    fn execute(self) -> Result<ExitCode, BenchError> {
        match self {
            Self::Print(text) => print(&text),
            Self::Server(options) => serve(&options),
            Self::Relay(options) => relay(options),
            Self::Run(run) => {
                let report = run.report()?;
                print(&if run.json {
                    format!("{}\n", report.to_json())
                } else {
                    report.to_string()
                })?;
                Ok(ExitCode::from(u8::from(report.errors.total() > run.max_errors)))
            }
        }
    }
}

impl Run {
    fn report(&self) -> Result<Report, BenchError> {
        match &self.mode {
            Mode::Throughput(options) => throughput::run(&self.common, options),
            Mode::Latency(options) => latency::run(&self.common, options),
            Mode::Connections(options) => connections::run(&self.common, options),
            Mode::Idle(options) => idle::run(&self.common, options),
            Mode::Streams(options) => streams::run(&self.common, options),
        }
    }
}

/// Prints, and takes a reader that has gone away for one that has read enough.
fn print(text: &str) -> Result<ExitCode, BenchError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Relays until SIGINT or SIGTERM.
fn relay(options: relay::Options) -> Result<ExitCode, BenchError> {
    conduct(async {
        let (address, relay) = relay::start(options).await?;
        print(&format!("{address}\n"))?;
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        tokio::select! {
            () = relay => {}
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Serves until SIGINT or SIGTERM, and says then what was done.
fn serve(options: &server::Options) -> Result<ExitCode, BenchError> {
    let server = Server::start(options)?;
    print(&format!("{}\n", server.address()))?;
    conduct(async {
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    })?;
    let of = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let totals = server.totals();
    let (accepted, failed, received, sent) =
        (of(&totals.accepted), of(&totals.failed), of(&totals.received), of(&totals.sent));
    eprintln!(
        "{accepted} connections, {failed} ended by an error or a reset; {received} octets \
         received, {sent} sent"
    );
    Ok(ExitCode::SUCCESS)
}
