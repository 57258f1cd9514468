//! The log: modules, levels, and lines in the form that operators' tools match.
//!
//! [`log!`](crate::log!) formats a line only if its module writes its level, hands it to a bounded
//! queue and returns; one thread writes. A full queue drops lines and says how many, so a slow disk
//! or a stopped terminal never holds up traffic. What a peer can cause again and again goes through
//! [`log_limited!`](crate::log_limited!).
//!
//! `module` holds the names, `level` the `enable` grammar, `time` the timestamps, `output` where
//! lines go, `queue` the hand-over and the thread, `limit` the repeats, `recent` the last errors.
//! What is said and when is the business of the rooms that say it.

mod level;
mod limit;
mod module;
mod output;
mod queue;
mod recent;
mod settings;
mod text;
mod time;

use std::fmt;

pub use level::{Level, Levels, UnknownLevel};
pub use limit::Limiter;
pub use module::{Module, Scope};
pub use recent::{Line, Recent};
pub use settings::{LogError, Options, configure, reopen, set_timestamps};

/// How many events a module had at each level, whether or not they were written. The `logStats`
/// entity.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub debug: u64,
    pub info: u64,
    pub warning: u64,
    pub error: u64,
    pub critical: u64,
}

/// Whether a line of `level` from `module` would be written.
#[inline]
pub fn enabled(module: Module, level: Level) -> bool {
    settings::enabled(module, level)
}

/// Counts an event and says whether its line is to be written.
#[inline]
pub fn event(module: Module, level: Level) -> bool {
    module::count(module, level);
    enabled(module, level)
}

/// Writes one line whatever the levels are, and counts nothing. [`log!`](crate::log!) asks and
/// counts first.
pub fn write(module: Module, level: Level, text: fmt::Arguments<'_>) {
    write_at(module, level, "", 0, text);
}

/// As [`write`](fn@write), with the place in the source that modules with `includeSource` show.
pub fn write_at(
    module: Module,
    level: Level,
    file: &'static str,
    line: u32,
    text: fmt::Arguments<'_>,
) {
    queue::push(module, level, file, line, text::render(text));
}

/// How many events of `module` were counted since the process started.
pub fn stats(module: Module) -> Stats {
    module::stats(module)
}

/// The last errors that were logged, newest first; a bounded number. Repeats of one text are one
/// entry.
pub fn recent_errors() -> Vec<Recent> {
    recent::newest_first()
}

/// The last lines that were logged, the oldest first: `most` of them, or as many as are kept (a
/// thousand).
pub fn last_lines(most: usize) -> Vec<Line> {
    queue::last_lines(most)
}

/// Reports the repeats held back so far and waits until all lines are written, at most two seconds.
/// Call it before the process ends; it says whether all were written.
pub fn flush() -> bool {
    limit::sweep_all();
    queue::flush()
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
/// The first occurrence for a key (anything that hashes) is written. Those that follow within the
/// interval of the call site, 30 s, are counted, and their sum is written when the interval ends:
/// `... (repeated 17 times in 30 s)`.
#[macro_export]
macro_rules! log_limited {
    ($key:expr, $module:ident, $level:ident, $($text:tt)+) => {{
        static LIMITER: $crate::log::Limiter = $crate::log::Limiter::new();
        let (module, level) = ($crate::log::Module::$module, $crate::log::Level::$level);
        if $crate::log::event(module, level) {
            LIMITER.write_at(&$key, module, level, file!(), line!(), format_args!($($text)+));
        }
    }};
}

#[cfg(test)]
mod tests;
