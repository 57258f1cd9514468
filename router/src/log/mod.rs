//! The log: modules, levels, and lines in the form that operators' tools match.
//!
//! [`log!`](crate::log!) formats a line only if its module writes its level. It puts the line into
//! a bounded queue and returns; one thread writes. A full queue drops lines and reports how many.
//! So a slow disk or a stopped terminal never holds up traffic. An event that a peer can cause
//! again and again goes through [`log_limited!`](crate::log_limited!).
//!
//! ```text
//!   log!  log_limited!
//!     |        |
//!     |      limit: one line a key in 30 s, then a sum
//!     v        v
//!   writer::push --> queue --> writer's thread --> output: stderr, file, syslog, journal
//!     |                              |
//!   recent: last errors          settings: which output, which form
//! ```
//!
//! `module` has the names, `level` the `enable` grammar, `time` the timestamps, `line` the last
//! lines. The rooms that log decide on their texts.

mod level;
mod limit;
mod line;
mod module;
mod output;
mod queue;
mod recent;
mod settings;
mod text;
mod time;
mod writer;

use std::fmt;
use std::hash::Hash;

use jiff::Timestamp;
pub use level::{Level, Levels, UnknownLevel};
pub use limit::Limiter;
pub use line::Line;
pub use module::{Module, Scope, Stats};
use queue::QUEUE;
pub use recent::Recent;
pub use settings::{LogError, Options, configure, reopen, set_timestamps};

/// Returns whether the log writes lines of `level` from `module`.
#[inline]
pub fn enabled(module: Module, level: Level) -> bool {
    settings::enabled(module, level)
}

/// Counts an event. Returns whether the log writes its line.
#[inline]
pub fn event(module: Module, level: Level) -> bool {
    module::count(module, level);
    enabled(module, level)
}

/// Writes one line whatever the levels are, and counts nothing. [`log!`](crate::log!) asks for the
/// level and counts first.
pub fn write(module: Module, level: Level, text: fmt::Arguments<'_>) {
    write_at(module, level, "", 0, text);
}

/// Writes as [`write`](fn@write) does. `file` and `line` are the place in the source, which modules
/// with `includeSource` show.
pub fn write_at(
    module: Module,
    level: Level,
    file: &'static str,
    line: u32,
    text: fmt::Arguments<'_>,
) {
    let (time, text) = (Timestamp::now(), text::render(text));
    writer::push(Line { time, module, level, file, line, text });
}

/// Writes a line, or counts it if `limiter` saw its key within its interval.
/// [`log_limited!`](crate::log_limited!) asks for the level and counts the event first.
pub fn write_limited(
    limiter: &'static Limiter,
    key: &(impl Hash + ?Sized),
    module: Module,
    level: Level,
    file: &'static str,
    line: u32,
    text: fmt::Arguments<'_>,
) {
    let (lines, fresh) = limiter.note(key, module, level, file, line, text);
    lines.into_iter().for_each(writer::push);
    if fresh {
        QUEUE.wake();
    }
}

/// Returns the events of `module` since the process started.
pub fn stats(module: Module) -> Stats {
    module::stats(module)
}

/// Returns the last errors, newest first; a bounded number. Repeats of one text are one entry.
pub fn recent_errors() -> Vec<Recent> {
    recent::newest_first()
}

/// Returns the last lines, oldest first: `most` of them, or the thousand that the log keeps.
pub fn last_lines(most: usize) -> Vec<Line> {
    QUEUE.last_lines(most)
}

/// Writes the sums of all repeats and waits until all lines are written, at most two seconds.
/// Returns whether they are. Call it before the process ends.
pub fn flush() -> bool {
    let (sums, _) = limit::sweep(None);
    sums.into_iter().for_each(writer::push);
    QUEUE.flush()
}

/// Logs a line: `log!(Server, Info, "listening on {address}")`.
#[macro_export]
macro_rules! log {
    ($module:ident, $level:ident, $($text:tt)+) => {{
        let (module, level) = ($crate::log::Module::$module, $crate::log::Level::$level);
        if $crate::log::event(module, level) {
            $crate::log::write_at(module, level, file!(), line!(), format_args!($($text)+));
        }
    }};
}

/// Logs a line of which a peer can cause many: `log_limited!(peer.ip(), Server, Warning, "handshake
/// with {peer} failed")`.
///
/// The log writes the first occurrence for a key, which may be anything that hashes. It counts the
/// others within the interval of the call site, 30 s, and writes their sum at its end:
/// `... (repeated 17 times in 30 s)`.
#[macro_export]
macro_rules! log_limited {
    ($key:expr, $module:ident, $level:ident, $($text:tt)+) => {{
        static LIMITER: $crate::log::Limiter = $crate::log::Limiter::new();
        let (module, level) = ($crate::log::Module::$module, $crate::log::Level::$level);
        if $crate::log::event(module, level) {
            $crate::log::write_limited(
                &LIMITER,
                &$key,
                module,
                level,
                file!(),
                line!(),
                format_args!($($text)+),
            );
        }
    }};
}

#[cfg(test)]
mod tests;
