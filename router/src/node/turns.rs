//! Turns on a shard: crowds of tasks leave turns to the other tasks.
//!
//! A shard runs its ready tasks one after the other. Thousands of service connections may become
//! ready at once. A connection to another router would wait for all of them, and its HELLO with it,
//! whose absence ends a neighbor. So tasks that come in crowds run in rounds. After [`ROUND`] turns
//! all of them stand back once. A task that is queued behind all ready tasks then begins the next
//! round.
//!
//! A long turn counts for several. A task that uses up its turn waits in a line. One task of the
//! line has a turn at a time. Between two of them the shard polls its sockets, and runs everything
//! that is ready. So clients that ask for too much share the time that the others leave.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeMetrics};

/// Turns of a round. A turn takes some tens of microseconds, standing back a tenth of one. With
/// this a round is over in 10 ms, and costs ten thousand ready tasks a tenth more.
const ROUND: u32 = 256;

/// The time of one turn. A longer turn counts for several, so a round is over in 10 ms whatever its
/// tasks do.
const TURN: Duration = Duration::from_micros(40);

/// The most passes of the shard until it has taken all tasks that other threads woke.
const PASSES: usize = 16;

thread_local! {
    /// Turns taken in this round. It exceeds [`ROUND`] while the tasks stand back.
    static TAKEN: Cell<u32> = const { Cell::new(0) };

    /// The tasks that have used up a turn.
    static LINE: RefCell<Line> = const {
        RefCell::new(Line { waiting: VecDeque::new(), given: 0, called: 0, ushered: false })
    };
}

/// Returns whether a task is to let all others go first, and wakes it again if so. Call it at the
/// beginning of a turn.
pub fn stands_back(cx: &Context<'_>) -> bool {
    let taken = TAKEN.get();
    if taken < ROUND {
        TAKEN.set(taken + 1);
        return false;
    }
    if taken == ROUND {
        let Ok(runtime) = Handle::try_current() else { return false };
        TAKEN.set(ROUND + 1);
        drop(runtime.spawn(next_round(NextRound, runtime.metrics())));
    }
    cx.waker().wake_by_ref();
    true
}

/// Counts the time that a turn has taken. Call it at the end of the turn.
pub fn charge(taken: Duration) {
    let turns = u32::try_from(taken.as_micros() / TURN.as_micros()).unwrap_or(ROUND);
    // A turn that ends while the tasks stand back changes nothing.
    if turns > 0 && TAKEN.get() < ROUND {
        TAKEN.set(TAKEN.get().saturating_add(turns).min(ROUND));
    }
}

/// The line of a shard.
struct Line {
    waiting: VecDeque<Waker>,
    /// Places given so far.
    given: u64,
    /// Places called so far.
    called: u64,
    /// Whether a task calls the line.
    ushered: bool,
}

/// The place of a task in the line of its shard.
#[derive(Debug, Default)]
pub struct Place(Option<u64>);

impl Place {
    /// Returns whether the task may go on: it stands in no line, or its turn has come.
    pub fn is_called(&mut self) -> bool {
        let waits = self.0.is_some_and(|place| LINE.with_borrow(|line| place >= line.called));
        if !waits {
            self.0 = None;
        }
        !waits
    }

    /// Puts the task at the end of the line. The task is woken when its turn comes. Until then
    /// [`Place::is_called`] returns false.
    pub fn queue(&mut self, cx: &Context<'_>) {
        let Ok(runtime) = Handle::try_current() else { return cx.waker().wake_by_ref() };
        let begins = LINE.with_borrow_mut(|line| {
            self.0 = Some(line.given);
            line.given += 1;
            line.waiting.push_back(cx.waker().clone());
            !std::mem::replace(&mut line.ushered, true)
        });
        if begins {
            drop(runtime.spawn(usher(Ushering)));
        }
    }
}

/// Calls all tasks of the line, and ends it, when it is dropped, also with its runtime.
struct Ushering;

impl Drop for Ushering {
    fn drop(&mut self) {
        let left = LINE.with_borrow_mut(|line| {
            (line.called, line.ushered) = (line.given, false);
            std::mem::take(&mut line.waiting)
        });
        left.into_iter().for_each(Waker::wake);
    }
}

/// Calls the tasks of the line one after the other, until none is left.
async fn usher(_ushering: Ushering) {
    while let Some(next) = LINE.with_borrow_mut(|line| {
        let next = line.waiting.pop_front();
        line.called += u64::from(next.is_some());
        next
    }) {
        next.wake();
        // It resumes when all ready tasks have had their turn and the shard has polled its sockets,
        // or after many turns.
        tokio::task::yield_now().await;
    }
}

/// Begins a round when it is dropped, also with its runtime.
struct NextRound;

impl Drop for NextRound {
    fn drop(&mut self) {
        TAKEN.set(0);
    }
}

/// Begins a round once all tasks that were ready before it have had their turn.
async fn next_round(_next: NextRound, runtime: RuntimeMetrics) {
    // Tasks that other threads woke wait in a queue of their own. Each pass of the shard takes
    // some.
    for _ in 0..PASSES {
        if runtime.global_queue_depth() == 0 {
            break;
        }
        let mut waited = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut waited, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

/// Makes a task stand back whenever its turn comes in a full round.
///
/// No `async fn`: one keeps what it was called with twice.
pub fn in_turn<T: Future>(task: T) -> impl Future<Output = T::Output> {
    let mut task = Box::pin(task);
    poll_fn(move |cx| if stands_back(cx) { Poll::Pending } else { task.as_mut().poll(cx) })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const TASKS: usize = 2000;

    #[test]
    fn others_wait_for_one_round_of_any_number_of_tasks_and_these_have_as_many_turns_each() {
        let runtime = crate::node::shards::runtime().expect("a runtime");
        let turns: Arc<[AtomicU32]> = (0..TASKS).map(|_| AtomicU32::new(0)).collect();
        for number in 0..TASKS {
            let turns = Arc::clone(&turns);
            drop(runtime.spawn(in_turn(poll_fn(move |cx| {
                turns[number].fetch_add(1, Ordering::Relaxed);
                cx.waker().wake_by_ref();
                Poll::<()>::Pending
            }))));
        }
        let sum = || turns.iter().map(|turns| turns.load(Ordering::Relaxed)).sum::<u32>();
        let other = runtime.spawn({
            let turns = Arc::clone(&turns);
            let sum = move || turns.iter().map(|turns| turns.load(Ordering::Relaxed)).sum::<u32>();
            let (mut rounds, mut before, mut longest) = (0, 0, 0);
            poll_fn(move |cx| {
                longest = longest.max(sum() - before);
                (rounds, before) = (rounds + 1, sum());
                cx.waker().wake_by_ref();
                if rounds == 100 { Poll::Ready(longest) } else { Poll::Pending }
            })
        });
        let longest = runtime.block_on(other).expect("it does not panic");
        assert!(longest <= ROUND, "{longest} turns of others at once");
        assert!(sum() > 10 * turns.len() as u32, "{} turns", sum());
        let each = || turns.iter().map(|turns| turns.load(Ordering::Relaxed));
        let (least, most) = (each().min().unwrap_or_default(), each().max().unwrap_or_default());
        assert!(least + 2 >= sum() / turns.len() as u32, "from {least} to {most} turns");
    }
}
