//! The lines that wait between the threads that log and the thread that writes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::line::{Line, Lines};
use crate::lock::{Condvar, Mutex, MutexGuard, Rank};

/// Most bytes of text that wait: a burst of debug lines of a second or two. Beyond it the queue
/// drops lines.
const WAITING_MAX: usize = 4 << 20;

/// The cost of a waiting line beside its text, in bytes.
const LINE_COST: usize = size_of::<Line>();

/// How long a flush waits for an output that takes no lines.
const FLUSH_WAIT: Duration = Duration::from_secs(2);

/// The queue of the process.
pub(super) static QUEUE: Queue = Queue::new();

struct Waiting {
    lines: VecDeque<Line>,
    /// The lines that the writer took last.
    taken: Lines,
    /// Bytes of the lines that wait and of those under the writer's hands.
    bytes: usize,
    /// Lines that found the queue full since the writer took lines.
    dropped: u64,
    /// How many lines ever came in.
    put: u64,
    /// How many of those the writer has written.
    written: u64,
    /// A limiter began to count repeats since the writer last asked when they are due.
    repeats: bool,
}

/// Lines that wait to be written.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    /// Wakes the writer: lines wait, or repeats are due some time.
    work: Condvar,
    /// Wakes the threads that flush.
    progress: Condvar,
}

/// The work of the writer's next turn.
pub(super) enum Work {
    /// Write these, and report so many lines that were dropped.
    Write(Vec<Line>, u64),
    /// Nothing waits: see which repeats are due, then [wait](Queue::wait).
    Sweep,
}

impl Queue {
    const fn new() -> Self {
        let waiting = Waiting {
            lines: VecDeque::new(),
            taken: Lines::new(),
            bytes: 0,
            dropped: 0,
            put: 0,
            written: 0,
            repeats: false,
        };
        Self {
            waiting: Mutex::ranked(Rank::Log, waiting),
            work: Condvar::new(),
            progress: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock()
    }

    /// Puts a line in, or drops it if the queue is full. Never waits for the writer.
    pub(super) fn push(&self, line: Line) {
        let mut waiting = self.lock();
        let cost = LINE_COST + line.text.capacity();
        if waiting.bytes + cost > WAITING_MAX {
            waiting.dropped += 1;
            return;
        }
        waiting.bytes += cost;
        waiting.put += 1;
        waiting.lines.push_back(line);
        let first = waiting.lines.len() == 1;
        drop(waiting);
        if first {
            self.work.notify_one();
        }
    }

    /// Wakes the writer because a limiter began to count repeats.
    pub(super) fn wake(&self) {
        self.lock().repeats = true;
        self.work.notify_one();
    }

    /// Returns the last `most` lines, those that wait included.
    pub(super) fn last_lines(&self, most: usize) -> Vec<Line> {
        let waiting = self.lock();
        waiting.taken.last(waiting.lines.iter(), most)
    }

    /// Waits until the lines that were put in are written, at most two seconds. Returns whether
    /// they are.
    pub(super) fn flush(&self) -> bool {
        self.flush_within(FLUSH_WAIT)
    }

    fn flush_within(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut waiting = self.lock();
        let goal = waiting.put;
        while waiting.written < goal {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            waiting = self.progress.wait_timeout(waiting, left);
        }
        true
    }

    /// Takes the writer's next work. For the writer only, as the methods below.
    pub(super) fn take(&self) -> Work {
        let mut waiting = self.lock();
        if waiting.lines.is_empty() && waiting.dropped == 0 {
            waiting.repeats = false;
            return Work::Sweep;
        }
        let lines: Vec<Line> = waiting.lines.drain(..).collect();
        waiting.taken.keep(&lines);
        Work::Write(lines, std::mem::take(&mut waiting.dropped))
    }

    /// Notes that these lines are written.
    pub(super) fn written(&self, lines: &[Line]) {
        let mut waiting = self.lock();
        waiting.written += lines.len() as u64;
        waiting.bytes -= lines.iter().map(|line| LINE_COST + line.text.capacity()).sum::<usize>();
        drop(waiting);
        self.progress.notify_all();
    }

    /// Waits for work, at most until repeats are due.
    pub(super) fn wait(&self, due: Option<Instant>) {
        let waiting = self.lock();
        if !waiting.lines.is_empty() || waiting.repeats {
            return;
        }
        drop(match due {
            None => self.work.wait(waiting),
            Some(due) => {
                let left = due.saturating_duration_since(Instant::now());
                self.work.wait_timeout(waiting, left)
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_counts_and_recovers() {
        let queue = Queue::new();
        let text = "x".repeat(2000);
        for _ in 0..10_000 {
            queue.push(Line::sample(&text));
        }
        let Work::Write(lines, dropped) = queue.take() else { panic!("lines wait") };
        assert_eq!(lines.len() as u64 + dropped, 10_000);
        assert!(dropped > 0 && lines.len() > 1000, "{} taken", lines.len());
        queue.push(Line::sample(&text));
        assert_eq!(queue.lock().dropped, 1, "what is being written still counts");
    }

    #[test]
    fn a_flush_nobody_serves_ends() {
        let queue = Queue::new();
        assert!(queue.flush_within(Duration::ZERO), "nothing to wait for");
        queue.push(Line::sample("y"));
        assert!(!queue.flush_within(Duration::from_millis(1)));
    }
}
