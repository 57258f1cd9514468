//! How a connection's task is reached from elsewhere.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use skupper_proto::amqp::performative::Error;

use super::delivery::ConsumerEnd;
use crate::lock::{Mutex, MutexGuard};

/// On which of a connection's links a delivery goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// The control link.
    Control,
    /// The message link of a priority.
    Message(u8),
    /// A streaming link of its own.
    Stream,
    /// The link of a client that consumes, by its number on the connection.
    Link(u32),
}

/// What a connection can be asked to do.
#[derive(Debug)]
pub enum Command {
    /// Send this.
    Deliver(ConsumerEnd, Via),
    /// Send close with this error, or none, and end.
    Close(Option<Error>),
    /// Another connection of the same connector, with newer certificates, has taken over: carry
    /// what is under way, and nothing new.
    Retire,
    /// Attach and detach until there are the links that the router is to attach by itself now.
    AutoLinks,
}

/// Commands that may wait in a mailbox. Control messages and new streams; ten thousand clients that
/// arrive at once must fit.
const MAX_COMMANDS: usize = 65_536;

/// Commands that a connection takes at once: new streams take some microseconds each, and meanwhile
/// nothing is read or written.
const AT_ONCE: usize = 64;

#[derive(Debug, Default)]
struct Waiting {
    ready: Vec<u32>,
    /// What goes on the control link, in front of thousands of new streams.
    control: VecDeque<Command>,
    commands: VecDeque<Command>,
    waker: Option<Waker>,
    closed: bool,
}

/// What waits for one connection's task.
#[derive(Debug)]
pub struct Mailbox {
    waiting: Mutex<Waiting>,
    shard: usize,
}

impl Mailbox {
    /// The mailbox of a connection whose task runs on this shard.
    pub fn new(shard: usize) -> Arc<Self> {
        Arc::new(Self { waiting: Mutex::default(), shard })
    }

    /// The shard that owns the connection.
    pub const fn shard(&self) -> usize {
        self.shard
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock()
    }

    /// Wakes the connection for one of its deliveries.
    pub(super) fn push_ready(&self, slot: u32) {
        let waker = {
            let mut waiting = self.lock();
            waiting.ready.push(slot);
            waiting.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Asks the connection for something.
    ///
    /// # Errors
    /// The command itself, when the connection is gone or has far too much to do already.
    pub fn send(&self, command: Command) -> Result<(), Command> {
        let waker = {
            let mut waiting = self.lock();
            let Waiting { control, commands, closed, .. } = &mut *waiting;
            let queue = if matches!(command, Command::Deliver(_, Via::Control)) {
                control
            } else {
                commands
            };
            if *closed || queue.len() >= MAX_COMMANDS {
                return Err(command);
            }
            queue.push_back(command);
            waiting.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Moves what waits into the two buffers of the connection's task, which may hold what a former
    /// call has left. Fills `commands` up to a bound, control commands first. When nothing
    /// waited, `waker` will be woken by what comes. Returns whether anything waited.
    pub fn take(
        &self,
        ready: &mut Vec<u32>,
        commands: &mut VecDeque<Command>,
        waker: &Waker,
    ) -> bool {
        let mut waiting = self.lock();
        if waiting.ready.is_empty() && waiting.commands.is_empty() && waiting.control.is_empty() {
            if !waiting.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
                waiting.waker = Some(waker.clone());
            }
            return false;
        }
        ready.append(&mut waiting.ready);
        // Mostly there are none, and to append nothing takes a hundred instructions.
        if !waiting.control.is_empty() {
            // Behind control commands that a former call has left, and in front of everything else.
            let is_control =
                |command: &Command| matches!(command, Command::Deliver(_, Via::Control));
            let at = commands.iter().take_while(|command| is_control(command)).count();
            let mut others = commands.split_off(at);
            commands.append(&mut waiting.control);
            commands.append(&mut others);
        }
        let room = AT_ONCE.saturating_sub(commands.len());
        if waiting.commands.len() > room {
            commands.extend(waiting.commands.drain(..room));
        } else if !waiting.commands.is_empty() {
            commands.append(&mut waiting.commands);
        }
        true
    }

    /// For the connection's task when it ends: what still waited, which must be refused.
    pub fn close(&self) -> VecDeque<Command> {
        let mut waiting = self.lock();
        waiting.closed = true;
        waiting.waker = None;
        let mut left = std::mem::take(&mut waiting.control);
        left.append(&mut waiting.commands);
        left
    }

    /// Whether the connection is gone.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }
}
