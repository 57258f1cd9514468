//! `skbench`: the load generator for TCP services and for routers that carry them.
//!
//! A library with a thin executable, so that the tests run a server and every mode in one process.
//! Each mode is a file: [`throughput`], [`latency`], [`connections`], [`idle`], [`streams`]; all of
//! them return a [`report::Report`]. The other end of the conversation is [`server`], and a long
//! way between them [`relay`].
//!
//! A run has one conductor (the calling thread) and a fleet of worker threads ([`fleet`]): the
//! conductor opens and ends the phases and reads the processes' cost, the workers own the sockets.
#![forbid(unsafe_code)]
#![warn(clippy::expect_used, clippy::indexing_slicing, clippy::unwrap_used)]

pub mod cli;
pub mod connections;
pub mod failure;
pub mod fleet;
pub mod histogram;
pub mod idle;
pub mod latency;
pub mod pattern;
pub mod process;
pub mod relay;
pub mod report;
pub mod server;
pub mod streams;
pub mod throughput;

mod exchange;
mod http;
mod limits;
mod precise;
mod table;
mod target;

use std::time::Duration;

use serde::Serialize;

/// The options of every mode.
#[derive(Debug, Clone, Serialize)]
pub struct Common {
    /// The target: `host:port`.
    pub target: String,
    /// Worker threads, each with a current-thread runtime of its own.
    pub threads: usize,
    /// How long one step on a connection (connect, exchange, drain) may take before it counts as
    /// failed.
    #[serde(serialize_with = "report::seconds")]
    pub timeout: Duration,
    /// Processes whose processor time and memory are reported.
    pub pids: Vec<u32>,
}

impl Common {
    /// One thread, ten seconds a step, no process watched.
    pub fn new(target: impl Into<String>) -> Self {
        Self {
            target: target.into(),
            threads: 1,
            timeout: Duration::from_secs(10),
            pids: Vec::new(),
        }
    }
}

/// Why a run could not be made at all. Failures of single connections are counted in the report
/// instead.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The target's name could not be turned into an address.
    #[error("cannot resolve {target}: {reason}; give HOST:PORT")]
    Resolve {
        /// The given value.
        target: String,
        /// The error of the resolver.
        reason: String,
    },
    /// More descriptors are needed than the process may open.
    #[error(
        "{needed} descriptors are needed and the limit is {limit}; raise the hard limit (ulimit \
         -Hn) or ask for fewer connections"
    )]
    Descriptors {
        /// Descriptors the run needs.
        needed: u64,
        /// The hard limit of the process.
        limit: u64,
    },
    /// A process to watch cannot be read.
    #[error(
        "cannot read process {pid} in /proc: {reason}; is it running, and visible to this user?"
    )]
    Process {
        /// The process.
        pid: u32,
        /// The error of the system.
        reason: String,
    },
    /// A runtime or a thread could not be started.
    #[error("cannot start a worker: {0}")]
    Start(#[from] std::io::Error),
    /// Workers did not reach the end of a phase although each of their steps has a deadline.
    #[error("workers did not finish {phase} within {limit:?}; this is a defect of skbench")]
    Stuck {
        /// The phase that did not end.
        phase: &'static str,
        /// The time that the run waited.
        limit: Duration,
    },
    /// A worker thread ended without its results.
    #[error("a worker thread ended without results; this is a defect of skbench")]
    WorkerLost,
}
