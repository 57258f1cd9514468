//! Shards: threads that each run one current-thread runtime, and own the tasks on it.
//!
//! A wake-up across threads costs more than the work that it hands over. So a connection and the
//! streams that it carries stay on one shard.

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Builder, Handle, Runtime};

use super::stop::{Stop, Stopping};

/// The shards of a router.
#[derive(Debug)]
pub struct Shards {
    shards: Vec<Handle>,
    turn: AtomicUsize,
    stop: Stop,
}

impl Shards {
    /// Starts `count` shards, and at least one.
    ///
    /// # Errors
    /// Returns the system's error if it has no thread or descriptor left.
    pub fn start(count: usize) -> io::Result<Self> {
        let stop = Stop::default();
        let shards = (0..count.max(1))
            .map(|index| start(index, stop.follow()))
            .collect::<io::Result<_>>()?;
        Ok(Self { shards, turn: AtomicUsize::new(0), stop })
    }

    /// Creates shards without threads: their tasks run in the runtime of the caller.
    #[cfg(fuzzing)]
    pub fn here(count: usize) -> Self {
        Self {
            shards: vec![Handle::current(); count.max(1)],
            turn: AtomicUsize::new(0),
            stop: Stop::default(),
        }
    }

    /// Ends the threads, and drops the tasks that still run there. Call it before the process
    /// exits: if the kernel closed the open sockets, their peers would see a clean end.
    pub async fn stop(&self) {
        self.stop.ask();
        self.stop.finished().await;
    }

    /// Returns the number of shards.
    pub fn count(&self) -> usize {
        self.shards.len()
    }

    /// Returns the shards in turn, beginning with the first.
    pub fn next(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed) % self.count()
    }

    /// Returns the runtime of a shard. Numbers beyond the last wrap around.
    #[expect(clippy::indexing_slicing, reason = "the remainder numbers a shard")]
    pub fn handle(&self, shard: usize) -> &Handle {
        &self.shards[shard % self.shards.len()]
    }

    /// Runs a task on a shard.
    pub fn spawn(&self, shard: usize, task: impl Future<Output = ()> + Send + 'static) {
        // A panic ends its task only, and the panic hook logs it.
        drop(self.handle(shard).spawn(task));
    }
}

/// Turns between two looks at the tasks that other threads woke. A look takes two instructions, and
/// a neighbor's HELLO may wait there.
const LOOK: u32 = 4;

/// Creates a runtime of one thread. It runs nothing until a thread runs it.
///
/// # Errors
/// Returns the system's error if it has no descriptor left.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().global_queue_interval(LOOK).build()
}

fn start(index: usize, stopping: Stopping) -> io::Result<Handle> {
    let runtime = runtime()?;
    let handle = runtime.handle().clone();
    run_aside(format!("shard-{index}"), runtime, stopping)?;
    Ok(handle)
}

/// Runs a runtime on a thread of this name, until `stopping` asks it to stop.
///
/// # Errors
/// Returns the system's error if it has no thread left.
pub fn run_aside(name: String, runtime: Runtime, mut stopping: Stopping) -> io::Result<()> {
    std::thread::Builder::new().name(name).spawn(move || {
        runtime.block_on(stopping.asked());
        // A look-up of a name cannot be cancelled. The thread does not wait for it.
        runtime.shutdown_background();
        drop(stopping);
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_turn() {
        let shards = Shards::start(3).unwrap();
        assert_eq!([(); 4].map(|()| shards.next()), [0, 1, 2, 0]);
    }

    #[tokio::test]
    async fn what_runs_is_dropped_at_the_stop() {
        let shards = Shards::start(2).unwrap();
        let (dropped, all) = tokio::sync::mpsc::channel::<()>(1);
        for shard in 0..4 {
            let dropped = dropped.clone();
            shards.spawn(shard, async move {
                std::future::pending::<()>().await;
                drop(dropped);
            });
        }
        drop(dropped);
        shards.stop().await;
        assert!(all.is_closed());
    }
}
