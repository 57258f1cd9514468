//! Mailboxes: how other threads reach a connection's task.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use skupper_proto::amqp::performative::Error;

use super::delivery::ConsumerEnd;
use crate::lock::{Mutex, MutexGuard};

/// The link of a connection on which a delivery goes.
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

/// A request to a connection.
#[derive(Debug)]
pub enum Command {
    /// Send a delivery by a link.
    Deliver(ConsumerEnd, Via),
    /// Send close with this error, or none, and end.
    Close(Option<Error>),
    /// Carry the present deliveries on and take no new ones: another connection of the same
    /// connector, with newer certificates, has taken over.
    Retire,
    /// Attach and detach links until they are those that the table of autoLinks wants.
    AutoLinks,
}

/// The most commands that wait in a mailbox. Ten thousand clients that arrive at once must fit.
const MAX_COMMANDS: usize = 65_536;

/// The most commands that a connection takes at once. A new stream takes some microseconds, in
/// which the connection neither reads nor writes.
const AT_ONCE: usize = 64;

#[derive(Debug, Default)]
struct Waiting {
    ready: Vec<u32>,
    /// Deliveries for the control link, which go before thousands of new streams.
    control: VecDeque<Command>,
    commands: VecDeque<Command>,
    waker: Option<Waker>,
    closed: bool,
}

/// The commands and the numbers of slots that wait for one connection's task.
#[derive(Debug)]
pub struct Mailbox {
    waiting: Mutex<Waiting>,
    shard: usize,
}

impl Mailbox {
    /// Makes the mailbox of a connection whose task runs on this shard.
    pub fn new(shard: usize) -> Arc<Self> {
        Arc::new(Self { waiting: Mutex::default(), shard })
    }

    /// Returns the shard that owns the connection.
    pub const fn shard(&self) -> usize {
        self.shard
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock()
    }

    /// Adds the slot of a delivery that has news, and wakes the task.
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

    /// Adds a command, and wakes the task.
    ///
    /// # Errors
    /// Returns the command if the connection is gone, or has too many waiting.
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

    /// Moves slots and commands into the two buffers of the connection's task, which may hold the
    /// rest of a former call. Fills `commands` up to a bound, control commands first. Returns
    /// whether anything waited; if not, the next slot or command wakes `waker`.
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
        // Appending an empty queue costs a hundred instructions.
        if !waiting.control.is_empty() {
            // They go behind the control commands of a former call, and before all else.
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

    /// Closes the mailbox for a connection that ends, and returns the commands that waited. A
    /// delivery among them is released when it is dropped.
    pub fn close(&self) -> VecDeque<Command> {
        let mut waiting = self.lock();
        waiting.closed = true;
        waiting.waker = None;
        let mut left = std::mem::take(&mut waiting.control);
        left.append(&mut waiting.commands);
        left
    }

    /// Returns whether the connection is gone.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }
}
