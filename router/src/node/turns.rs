//! Turns on a shard: however many tasks of one kind have something to do, the others get theirs.
//!
//! A shard runs the tasks that are ready one after the other. Thousands of service connections that
//! become ready at once would make a connection to another router wait for all of them, and HELLO
//! with it, whose absence ends a neighbor. So service connections, and whatever else there may be
//! thousands of, run in rounds: after [`ROUND`] turns of theirs all of them stand back once, until
//! a task that was put behind all that was ready then has come to its own turn.
//!
//! A turn of theirs that takes long counts for several. Whoever uses up all that a turn may take
//! goes on behind a line: of those that stand in it one has a turn at a time, and between two of
//! them the shard looks for what has arrived, and everything that is ready has its own turn. So
//! clients that ask for more than there is share what the others leave, however many they are.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeMetrics};

/// Turns of a round. To stand back takes a tenth of a microsecond, a turn some tens: a round of
/// this length costs ten thousand tasks that are all ready a tenth more, and is over in 10 ms.
const ROUND: u32 = 256;

/// How long a turn of a round is; what takes longer counts for more. With this a round is over in
/// 10 ms whatever is done in it.
const TURN: Duration = Duration::from_micros(40);

/// Passes through what is ready on a shard, at most, until all that other threads woke is among it.
const PASSES: usize = 16;

thread_local! {
    /// Turns taken in this round; more than [`ROUND`] while the tasks stand back.
    static TAKEN: Cell<u32> = const { Cell::new(0) };

    /// Those that have used up a turn.
    static LINE: RefCell<Line> = const { RefCell::new(Line { waiting: VecDeque::new(), given: 0, called: 0, ushered: false }) };
}

/// Whether a task, at the beginning of its turn, is to let all others go first. It is woken again.
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

/// Tells how long a turn has taken, at its end.
pub fn charge(taken: Duration) {
    let turns = u32::try_from(taken.as_micros() / TURN.as_micros()).unwrap_or(ROUND);
    // Once they stand back, who was in the middle of a turn changes nothing.
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
    /// A task calls one after the other.
    ushered: bool,
}

/// Where a task stands in the line of its shard.
#[derive(Debug, Default)]
pub struct Place(Option<u64>);

impl Place {
    /// Whether the task is to go on: it stands in no line, or its turn has come.
    pub fn is_called(&mut self) -> bool {
        let waits = self.0.is_some_and(|place| LINE.with_borrow(|line| place >= line.called));
        if !waits {
            self.0 = None;
        }
        !waits
    }

    /// Puts the task at the end of the line. It is woken when its turn comes, and until then
    /// [`Place::is_called`] says no.
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

/// Calls everybody, and ends the line, when it is dropped, be it with its runtime.
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

/// Calls one after the other, for as long as somebody stands in the line.
async fn usher(_ushering: Ushering) {
    while let Some(next) = LINE.with_borrow_mut(|line| {
        let next = line.waiting.pop_front();
        line.called += u64::from(next.is_some());
        next
    }) {
        next.wake();
        // This comes back when all that is ready has had its turn and the shard has looked at its
        // sockets, or after many turns.
        tokio::task::yield_now().await;
    }
}

/// Begins a round when it is dropped, be it with its runtime.
struct NextRound;

impl Drop for NextRound {
    fn drop(&mut self) {
        TAKEN.set(0);
    }
}

/// Runs when all that was ready before it has had its turn, and begins a round.
async fn next_round(_next: NextRound, runtime: RuntimeMetrics) {
    // What other threads woke waits in a queue of its own, of which a part is taken with each pass
    // through the shard's.
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

/// A task that stands back when its turn comes.
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
