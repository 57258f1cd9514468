//! The end of a router: signals, the drain, and the order in which things stop.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use super::running::Running;
use crate::log;
use crate::node::{Node, SHUTTING_DOWN, Stage};

/// Time that service connections have after the signal.
const DRAIN: Duration = Duration::from_secs(5);

/// Time to tell the neighbors of ending streams.
pub(super) const FAREWELL: Duration = Duration::from_secs(1);

/// Time between two looks at what is left.
const LOOK: Duration = Duration::from_millis(20);

/// The signals that the daemon acts on.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hangup: Signal,
}

impl Signals {
    pub(super) fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn stop(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.quit.recv() => "SIGQUIT",
        }
    }

    /// Waits for the signal to stop, and brings the router to its end. Reloads certificates on
    /// SIGHUP until then.
    pub(super) async fn wait(mut self, node: &Arc<Node>, running: &Arc<Running>) {
        let name = loop {
            tokio::select! {
                name = async {
                    tokio::select! {
                        _ = self.terminate.recv() => "SIGTERM",
                        _ = self.interrupt.recv() => "SIGINT",
                        _ = self.quit.recv() => "SIGQUIT",
                    }
                } => break name,
                _ = self.hangup.recv() => reload(running),
            }
        };
        log!(Router, Info, "{name}: draining");
        tokio::select! {
            () = drain(node) => log!(Router, Info, "Shut Down"),
            second = self.stop() => log!(Router, Warning, "{second} again: ending at once"),
        }
        let _ = tokio::time::timeout(FAREWELL, node.shards.stop()).await;
    }
}

/// Reads certificates and keys again, and opens log files anew.
fn reload(running: &Running) {
    for (name, profile) in &running.profiles() {
        // The first user of a profile loads it.
        let Some(profile) = profile.loaded() else { continue };
        match profile.reload() {
            Ok(()) => log!(Agent, Info, "Updated sslProfile {name}"),
            Err(error) => log!(Agent, Error, "sslProfile {name} stays as it was: {error}"),
        }
    }
    if let Err(error) = log::reopen() {
        log!(Agent, Error, "{error}");
    }
}

/// Withdraws the services, lets connections end, ends the others, and closes.
async fn drain(node: &Arc<Node>) {
    let services = || node.registry.services();
    node.core.withdraw(node.clock.now());
    node.stage.send_replace(Stage::Draining);
    wait(DRAIN, || services() == 0).await;
    node.stage.send_replace(Stage::Ending);
    // A connection that begins later sees the stage.
    node.registry.end_services(SHUTTING_DOWN);
    wait(FAREWELL, || services() == 0).await;
    // The aborts wait in the connections' output, and closing comes behind them.
    node.stage.send_replace(Stage::Closing);
    wait(FAREWELL, || node.registry.amqp() == 0).await;
}

async fn wait(limit: Duration, done: impl Fn() -> bool) {
    let end = Instant::now() + limit;
    while !done() && Instant::now() < end {
        sleep_until(end.min(Instant::now() + LOOK)).await;
    }
}
