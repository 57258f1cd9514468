//! The way of a line from the thread that logs it to the thread that writes it.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::output::Output;
use super::recent::{Line, Lines};
use super::settings::{self, Settings};
use super::{Level, Module, limit, recent};
use crate::lock::{Condvar, Mutex, MutexGuard, Rank};

/// Most octets of text that wait to be written: a burst of debug lines of a second or two. Past it
/// lines are dropped.
const WAITING_MAX: usize = 4 << 20;
/// What a waiting line costs beside its text.
const LINE_COST: usize = size_of::<Line>();
/// The writer gathers lines up to about this much for one write.
const WRITE_SIZE: usize = 64 << 10;
/// How long [`flush`] waits for an output that does not take lines.
const FLUSH_WAIT: Duration = Duration::from_secs(2);

#[derive(Default)]
struct Waiting {
    lines: VecDeque<Line>,
    /// Those that were taken out last.
    taken: Lines,
    octets: usize,
    /// Lines that found the queue full since the last report.
    dropped: u64,
    /// How many lines were ever put in, and how many of those are written.
    put: u64,
    written: u64,
    /// A limiter began to count repeats since the writer last asked them when they are due.
    repeats: bool,
}

struct Queue {
    waiting: Mutex<Waiting>,
    /// Tells the writer: lines wait, or repeats are to be summed up.
    work: Condvar,
    /// Tells those who flush.
    progress: Condvar,
}

/// The queue; its thread starts with the first line, that is after the process went to the
/// background if it does.
static QUEUE: LazyLock<Arc<Queue>> = LazyLock::new(|| {
    let queue = Arc::new(Queue::default());
    let writer = Arc::clone(&queue);
    // Without a thread nobody takes lines out: they are written in `push`.
    let spawned = thread::Builder::new().name("log".into()).spawn(move || writer.run());
    if spawned.is_err() {
        queue.lock().written = u64::MAX;
    }
    queue
});

pub(super) fn push(module: Module, level: Level, file: &'static str, line: u32, text: String) {
    let time = Timestamp::now();
    recent::keep(time, module, level, &text);
    QUEUE.push(Line { time, module, level, file, line, text });
}

/// The last lines, those that wait to be written included.
pub(super) fn last_lines(most: usize) -> Vec<Line> {
    let waiting = QUEUE.lock();
    waiting.taken.last(waiting.lines.iter(), most)
}

pub(super) fn flush() -> bool {
    QUEUE.flush(FLUSH_WAIT)
}

/// Wakes the writer because a limiter began to count repeats.
pub(super) fn wake() {
    QUEUE.lock().repeats = true;
    QUEUE.work.notify_one();
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            waiting: Mutex::ranked(Rank::Log, Waiting::default()),
            work: Condvar::default(),
            progress: Condvar::default(),
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock()
    }

    fn push(&self, line: Line) {
        let mut waiting = self.lock();
        if waiting.written == u64::MAX {
            drop(waiting);
            write_out(&settings::current(), &[line], 0);
            return;
        }
        let cost = LINE_COST + line.text.capacity();
        if waiting.octets + cost > WAITING_MAX {
            waiting.dropped += 1;
            return;
        }
        waiting.octets += cost;
        waiting.put += 1;
        waiting.lines.push_back(line);
        let first = waiting.lines.len() == 1;
        drop(waiting);
        if first {
            self.work.notify_one();
        }
    }

    fn flush(&self, patience: Duration) -> bool {
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

    fn run(&self) {
        loop {
            let (lines, dropped) = self.take();
            write_out(&settings::current(), &lines, dropped);
            let mut waiting = self.lock();
            waiting.written += lines.len() as u64;
            waiting.octets -=
                lines.iter().map(|line| LINE_COST + line.text.capacity()).sum::<usize>();
            drop(waiting);
            self.progress.notify_all();
        }
    }

    /// Waits for lines and takes them all, or sums up repeats that are due.
    fn take(&self) -> (Vec<Line>, u64) {
        let mut waiting = self.lock();
        loop {
            if !waiting.lines.is_empty() || waiting.dropped > 0 {
                let lines: Vec<Line> = waiting.lines.drain(..).collect();
                waiting.taken.keep(&lines);
                return (lines, std::mem::take(&mut waiting.dropped));
            }
            waiting.repeats = false;
            drop(waiting);
            let due = limit::sweep(Instant::now());
            waiting = self.lock();
            if !waiting.lines.is_empty() || waiting.repeats {
                continue;
            }
            waiting = match due {
                None => self.work.wait(waiting),
                Some(due) => {
                    let left = due.saturating_duration_since(Instant::now());
                    self.work.wait_timeout(waiting, left)
                }
            };
        }
    }
}

/// Writes lines to the outputs of their modules, neighbors for one output together.
fn write_out(settings: &Settings, lines: &[Line], dropped: u64) {
    let mut buffer = Vec::new();
    let mut pending = 0;
    let mut target: Option<&Arc<Output>> = None;
    for line in lines {
        let output = settings.output(line.module);
        let same =
            target.is_some_and(|target| Arc::ptr_eq(target, output)) && !output.takes_messages();
        if let Some(target) = target
            && (!same || buffer.len() >= WRITE_SIZE)
        {
            target.write(&buffer, pending);
            buffer.clear();
            pending = 0;
        }
        target = Some(output);
        format(settings, line, output, &mut buffer);
        pending += 1;
    }
    if let Some(target) = target {
        target.write(&buffer, pending);
    }
    if dropped > 0 {
        let text = format!("{dropped} lines dropped: the log is written more slowly than it grows");
        let (module, level) = (Module::Router, Level::Warning);
        let line =
            Line { time: Timestamp::now(), module, level, file: file!(), line: line!(), text };
        let output = settings.default_output();
        buffer.clear();
        format(settings, &line, output, &mut buffer);
        output.write(&buffer, 1);
    }
}

/// Appends `<timestamp> MODULE (level) text[ (file:line)]`.
fn format(settings: &Settings, line: &Line, output: &Output, buffer: &mut Vec<u8>) {
    let head = output.head(line.level);
    if let Some(head) = &head {
        buffer.extend_from_slice(head.as_bytes());
    } else if settings.timestamp(line.module) {
        settings.clock.append(buffer, line.time);
        buffer.push(b' ');
    }
    // Writing to a vector does not fail.
    let _ = write!(buffer, "{} ({}) {}", line.module, line.level, line.text);
    if settings.source(line.module) && !line.file.is_empty() {
        let _ = write!(buffer, " ({}:{})", line.file, line.line);
    }
    if head.is_none() {
        buffer.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        let (module, level) = (Module::Http2Decoder, Level::Info);
        Line {
            time: Timestamp::UNIX_EPOCH,
            module,
            level,
            file: "src/a.rs",
            line: 7,
            text: text.into(),
        }
    }

    #[test]
    fn a_full_queue_drops_counts_and_recovers() {
        let queue = Queue::default();
        let text = "x".repeat(2000);
        for _ in 0..10_000 {
            queue.push(line(&text));
        }
        let (lines, dropped) = queue.take();
        assert_eq!(lines.len() as u64 + dropped, 10_000);
        assert!(dropped > 0 && lines.len() > 1000, "{} taken", lines.len());
        queue.push(line(&text));
        assert_eq!(queue.lock().dropped, 1, "what is being written still counts");
    }

    #[test]
    fn a_flush_nobody_serves_ends() {
        let queue = Queue::default();
        assert!(queue.flush(Duration::ZERO), "nothing to wait for");
        queue.push(line("y"));
        assert!(!queue.flush(Duration::from_millis(1)));
    }

    #[test]
    fn a_line_has_the_form_that_tools_match() {
        let (settings, mut buffer) = (settings::current(), Vec::new());
        format(&settings, &line("it's on"), &Output::stderr(), &mut buffer);
        let text = String::from_utf8(buffer).unwrap();
        let fields: Vec<&str> = text.splitn(4, ' ').collect();
        assert_eq!(fields[3], "HTTP2_DECODER (info) it's on\n");
        assert_eq!((fields[0].len(), fields[1].len(), fields[2].len()), (10, 15, 5), "{text}");
    }
}
