//! How far a connection goes before the shard's other tasks have their turn.
//!
//! What one turn may cost is time: a client can make a frame of thirty octets cost anything between
//! a tenth of a microsecond and a second. Nothing here runs for long between two looks at the
//! clock: the engine takes [`STEPS`] frames and deliveries a call, and its events, what others ask
//! for, and what they have ready are taken one by one. What is left waits, in its order, for the
//! next turn.

use std::task::Context;
use std::time::Duration;

use skupper_proto::engine::STEPS;
use skupper_proto::time::Instant;

use super::connection::Connection;
use super::settings::Kind;
use crate::node::{Place, charge, stands_back};

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
    /// There is nothing to be done: what comes next wakes the connection.
    pub(super) const fn rest(&mut self) {
        self.rests = true;
    }
}

impl Connection {
    /// Whether the connection's turn has come.
    pub(super) fn begin_turn(&mut self, cx: &Context<'_>) -> bool {
        // There may be thousands of clients, and each neighbor's HELLO is to be sent and read in
        // time.
        if !self.turn.place.is_called() || self.cx.kind == Kind::Normal && stands_back(cx) {
            return false;
        }
        let turn = &mut self.turn;
        (turn.passes, turn.steps, turn.spent, turn.rests) = (0, 0, false, false);
        true
    }

    /// Whether the turn has another pass.
    pub(super) fn goes_on(&mut self) -> bool {
        self.cx.now = self.node.clock.now();
        let turn = &mut self.turn;
        if turn.passes == 0 {
            turn.begun = self.cx.now;
        }
        turn.spent |= turn.passes == PASSES || self.cx.now.since(turn.begun) >= SLICE;
        turn.passes += 1;
        !turn.spent
    }

    /// To be asked after each step: whether what is left is to wait for the next turn.
    pub(super) fn is_spent(&mut self) -> bool {
        self.is_spent_by(1)
    }

    /// To be asked after each call of the engine that left something to be done.
    pub(super) fn is_spent_by_input(&mut self) -> bool {
        self.is_spent_by(STEPS)
    }

    fn is_spent_by(&mut self, steps: u32) -> bool {
        self.turn.steps += steps;
        if self.turn.steps >= LOOK {
            self.turn.steps = 0;
            self.cx.now = self.node.clock.now();
            self.turn.spent |= self.cx.now.since(self.turn.begun) >= SLICE;
        }
        self.turn.spent
    }

    /// The turn is over. Where something is left to be done, the connection has another.
    pub(super) fn end_turn(&mut self, cx: &Context<'_>, over: bool) {
        let client = self.cx.kind == Kind::Normal;
        if client {
            charge(self.cx.now.since(self.turn.begun));
        }
        if over || self.turn.rests {
            return;
        }
        if client {
            self.turn.place.queue(cx);
        } else {
            cx.waker().wake_by_ref();
        }
    }
}
