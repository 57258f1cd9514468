//! Shards: threads that each run one current-thread runtime and own what was spawned on them.
//!
//! A wake-up across threads costs more than the work it hands over, so a connection and the streams
//! it carries stay on one shard.

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
    /// Starts `count` shards, one at least.
    ///
    /// # Errors
    /// The system has no thread or descriptor left.
    pub fn start(count: usize) -> io::Result<Self> {
        let stop = Stop::default();
        let shards = (0..count.max(1))
            .map(|index| start(index, stop.follow()))
            .collect::<io::Result<_>>()?;
        Ok(Self { shards, turn: AtomicUsize::new(0), stop })
    }

    /// Makes shards that have no thread: what is spawned on them runs in the runtime that this is
    /// called in.
    #[cfg(fuzzing)]
    pub fn here(count: usize) -> Self {
        Self {
            shards: vec![Handle::current(); count.max(1)],
            turn: AtomicUsize::new(0),
            stop: Stop::default(),
        }
    }

    /// Ends their threads, and drops what still runs there: a process that exits under its threads
    /// leaves it to the kernel to close what they have open, which looks like a clean end.
    pub async fn stop(&self) {
        self.stop.ask();
        self.stop.finished().await;
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.shards.len()
    }

    /// Each in turn, from the first on.
    pub fn next(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed) % self.count()
    }

    /// The runtime of a shard; numbers beyond the last wrap around.
    pub fn handle(&self, shard: usize) -> &Handle {
        &self.shards[shard % self.shards.len()]
    }

    /// Runs a task on a shard.
    pub fn spawn(&self, shard: usize, task: impl Future<Output = ()> + Send + 'static) {
        // A task that panics is that task's end; the panic hook has logged it.
        drop(self.handle(shard).spawn(task));
    }
}

/// Turns after which a shard looks at what other threads have woken there. To look takes two
/// instructions, and a neighbor's HELLO may be among it.
const LOOK: u32 = 4;

/// A runtime of one thread, which runs nothing before it has that thread.
///
/// # Errors
/// The system has no descriptor left.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().global_queue_interval(LOOK).build()
}

fn start(index: usize, stopping: Stopping) -> io::Result<Handle> {
    let runtime = runtime()?;
    let handle = runtime.handle().clone();
    run_aside(format!("shard-{index}"), runtime, stopping)?;
    Ok(handle)
}

/// Gives a runtime a thread of this name, which ends when it is asked to stop.
///
/// # Errors
/// The system has no thread left.
pub fn run_aside(name: String, runtime: Runtime, mut stopping: Stopping) -> io::Result<()> {
    std::thread::Builder::new().name(name).spawn(move || {
        runtime.block_on(stopping.asked());
        // A look-up of a name cannot be broken off, and is not waited for.
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
