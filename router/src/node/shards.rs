//! Shards: threads that each run one current-thread runtime and own what was spawned on them.
//!
//! A wake-up across threads costs more than the work it hands over, so a connection and the streams it carries stay on one shard.

use std::future::Future;
use std::io;
use tokio::runtime::Handle;

/// The shards of a router. They run as long as the process.
#[derive(Debug)]
pub struct Shards {
    shards: Vec<Handle>,
}

impl Shards {
    /// Starts `count` shards, one at least.
    ///
    /// # Errors
    /// The system has no thread or descriptor left.
    pub fn start(count: usize) -> io::Result<Self> {
        (0..count.max(1)).map(start).collect::<io::Result<_>>().map(|shards| Self { shards })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.shards.len()
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

fn start(index: usize) -> io::Result<Handle> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new().name(format!("shard-{index}")).spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(handle)
}
