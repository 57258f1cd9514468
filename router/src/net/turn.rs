//! The turn of a connection: its task stops after a while, so that the shard's other tasks run.
//!
//! A turn is measured in time: a client can make a frame of thirty bytes cost anything between a
//! tenth of a microsecond and a second. So nothing here runs for long between two looks at the
//! clock. The engine takes [`STEPS`] frames and deliveries a call. The task takes events, commands
//! and ready deliveries one by one. The rest waits, in its order, for the next turn.

use std::task;
use std::time::Duration;

use skupper_proto::engine::STEPS;
use skupper_proto::time::Instant;

use crate::node::{Node, Place, charge, stands_back};

/// The most passes of the loop in one turn. Each pass reads once and writes once.
const PASSES: u32 = 8;

/// The longest turn. Eight full reads take less, and a thousand attaches about as long.
const SLICE: Duration = Duration::from_millis(1);

/// The steps between two looks at the clock, which cost as much as a hundred instructions each.
const LOOK: u32 = 8;

/// The progress of a turn.
#[derive(Debug, Default)]
pub(super) struct Turn {
    begun: Instant,
    passes: u32,
    steps: u32,
    /// The turn's time is used up.
    spent: bool,
    /// Nothing is left to do.
    rests: bool,
    /// Its place in the queue for the next turn, after a turn that was used up.
    place: Place,
}

impl Turn {
    /// Notes that nothing is left to do: the next event wakes the task.
    pub(super) const fn rest(&mut self) {
        self.rests = true;
    }

    /// Begins a turn. Returns false if other tasks come first; then the task is woken.
    pub(super) fn begin(&mut self, client: bool, task: &task::Context<'_>) -> bool {
        // Thousands of clients may be there, and each neighbor's HELLO must be sent and read in
        // time.
        if !self.place.is_called() || client && stands_back(task) {
            return false;
        }
        (self.passes, self.steps, self.spent, self.rests) = (0, 0, false, false);
        true
    }

    /// Reads the clock, and returns whether the turn has another pass.
    pub(super) fn goes_on(&mut self, now: &mut Instant, node: &Node) -> bool {
        *now = node.clock.now();
        if self.passes == 0 {
            self.begun = *now;
        }
        self.spent |= self.passes == PASSES || now.since(self.begun) >= SLICE;
        self.passes += 1;
        !self.spent
    }

    /// Returns whether the rest must wait for the next turn. To be asked after each step.
    pub(super) fn is_spent(&mut self, now: &mut Instant, node: &Node) -> bool {
        self.is_spent_by(1, now, node)
    }

    /// Returns the same after a call of the engine that left something to do.
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

    /// Ends the turn. If something is left to do, the task is woken for another. `over` says that
    /// the task is done.
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
