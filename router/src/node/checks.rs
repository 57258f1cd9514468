//! Checks passwords in the order of [`Turns`], each on a thread that may block.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::lock::{Mutex, MutexGuard};
use crate::sasl::{Ticket, TooMany, Turns};
use crate::socket::Source;

/// The most passwords to check at a time. On fewer processors it is half their number. Each check
/// takes a thread, a tenth of a second and 32 MiB.
const MOST: usize = 4;

/// The password checks that wait, and those under way.
#[derive(Debug)]
pub struct Checks {
    state: Mutex<State>,
    clock: Clock,
}

#[derive(Debug)]
struct State {
    turns: Turns<Source>,
    /// Tells waiting logins of their turn. Dropping a sender turns its login away.
    waiting: HashMap<Ticket, oneshot::Sender<()>>,
    checking: HashSet<Ticket>,
}

/// A login that waits or is being checked. Dropping it makes room for the next.
#[derive(Debug)]
struct Login {
    checks: Arc<Checks>,
    source: Source,
    ticket: Ticket,
    right: bool,
}

impl Drop for Login {
    fn drop(&mut self) {
        let mut state = self.checks.lock();
        if state.waiting.remove(&self.ticket).is_some() {
            state.turns.withdraw(self.source, self.ticket);
        } else if state.checking.remove(&self.ticket) {
            for ticket in state.turns.done(self.source, self.right, self.checks.clock.now()) {
                state.waiting.remove(&ticket);
            }
        }
        self.checks.settle(state);
    }
}

impl Default for Checks {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let turns = Turns::new((processors / 2).clamp(1, MOST));
        let state = State { turns, waiting: HashMap::new(), checking: HashSet::new() };
        Self { state: Mutex::new(state), clock: Clock::start() }
    }
}

impl Checks {
    /// Runs `check` for a login of `user` from `source` on a blocking thread, once its turn comes.
    /// Dropping the future while it waits cancels the check. A check that has begun counts even if
    /// the future is dropped.
    ///
    /// # Errors
    /// Returns [`TooMany`] if too many logins wait.
    pub async fn run(
        self: &Arc<Self>,
        source: Source,
        user: &str,
        check: impl FnOnce() -> bool + Send + 'static,
    ) -> Result<bool, TooMany> {
        let (login, mut turn) = self.ask(source, user)?;
        loop {
            let due = self.lock().turns.due(source, self.clock.now()).map(|due| self.clock.at(due));
            let pause = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                granted = &mut turn => {
                    granted.map_err(|_| TooMany)?;
                    break;
                }
                () = pause => self.settle(self.lock()),
            }
        }
        let check = move || {
            let mut login = login;
            // A check that panics counts as a wrong password.
            login.right = false;
            login.right = check();
            login.right
        };
        Ok(tokio::task::spawn_blocking(check).await.unwrap_or_default())
    }

    fn ask(
        self: &Arc<Self>,
        source: Source,
        user: &str,
    ) -> Result<(Login, oneshot::Receiver<()>), TooMany> {
        let mut state = self.lock();
        let (ticket, turned_away) = state.turns.ask(source, user, self.clock.now())?;
        if let Some(ticket) = turned_away {
            state.waiting.remove(&ticket);
        }
        let (sender, turn) = oneshot::channel();
        state.waiting.insert(ticket, sender);
        self.settle(state);
        Ok((Login { checks: Arc::clone(self), source, ticket, right: true }, turn))
    }

    /// Tells the logins whose turn has come.
    fn settle(&self, mut state: MutexGuard<'_, State>) {
        while let Some(ticket) = state.turns.next(self.clock.now()) {
            state.checking.insert(ticket);
            if let Some(sender) = state.waiting.remove(&ticket) {
                // A login that is gone gives its turn back when its `Login` is dropped.
                let _ = sender.send(());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

#[cfg(test)]
mod tests;
