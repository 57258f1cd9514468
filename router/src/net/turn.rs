//! How far a connection goes before the shard's other tasks have their turn.
//!
//! What one turn may cost is time: a client can make a frame of thirty octets cost anything between
//! a tenth of a microsecond and a second. Nothing here runs for long between two looks at the
//! clock: the engine takes [`STEPS`] frames and deliveries a call, and its events, what others ask
//! for, and what they have ready are taken one by one. What is left waits, in its order, for the
//! next turn.

use std::task;
use std::time::Duration;

use skupper_proto::engine::STEPS;
use skupper_proto::time::Instant;

use crate::node::{Node, Place, charge, stands_back};

/// Passes of the loop in one turn, each of which reads once and writes once.
const PASSES: u32 = 8;

/// How long one turn may go on. Eight full reads take less, and a thousand attaches about as long.
const SLICE: Duration = Duration::from_millis(1);

/// Steps between two looks at the clock, which cost as much as a hundred instructions each.
const LOOK: u32 = 8;

/// How far the turn has come.
#[derive(Debug, Default)]
pub(super) struct Turn {
    begun: Instant,
    passes: u32,
    steps: u32,
    /// Its time is used up.
    spent: bool,
    /// Nothing is left to be done.
    rests: bool,
    /// Where it waits for its next turn, after one that was used up.
    place: Place,
}

impl Turn {
    /// Nothing is left to be done: what comes next wakes the connection.
    pub(super) const fn rest(&mut self) {
        self.rests = true;
    }

    /// Returns whether the connection's turn has come; if not, the task is woken when it has.
    pub(super) fn begin(&mut self, client: bool, task: &task::Context<'_>) -> bool {
        // There may be thousands of clients, and each neighbor's HELLO is to be sent and read in
        // time.
        if !self.place.is_called() || client && stands_back(task) {
            return false;
        }
        (self.passes, self.steps, self.spent, self.rests) = (0, 0, false, false);
        true
    }

    /// Returns whether the turn has another pass, and reads the clock.
    pub(super) fn goes_on(&mut self, now: &mut Instant, node: &Node) -> bool {
        *now = node.clock.now();
        if self.passes == 0 {
            self.begun = *now;
        }
        self.spent |= self.passes == PASSES || now.since(self.begun) >= SLICE;
        self.passes += 1;
        !self.spent
    }

    /// Returns whether what is left is to wait for the next turn. To be asked after each step.
    pub(super) fn is_spent(&mut self, now: &mut Instant, node: &Node) -> bool {
        self.is_spent_by(1, now, node)
    }

    /// Returns the same after a call of the engine that left something to be done.
    pub(super) fn is_spent_by_input(&mut self, now: &mut Instant, node: &Node) -> bool {
        self.is_spent_by(STEPS, now, node)
    }

    fn is_spent_by(&mut self, steps: u32, now: &mut Instant, node: &Node) -> bool {
        self.steps += steps;
        if self.steps >= LOOK {
            self.steps = 0;
            *now = node.clock.now();
            self.spent |= now.since(self.begun) >= SLICE;
        }
        self.spent
    }

    /// The turn is over. If something is left to be done, the connection has another. `over` says
    /// that the connection is done with this task.
    pub(super) fn end(&mut self, client: bool, over: bool, now: Instant, task: &task::Context<'_>) {
        if client {
            charge(now.since(self.begun));
        }
        if over || self.rests {
            return;
        }
        if client {
            self.place.queue(task);
        } else {
            task.waker().wake_by_ref();
        }
    }
}
