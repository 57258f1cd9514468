//! What is written, where and how: the `log` entities in force.

use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;

use super::output::Output;
use super::time::Clock;
use super::{Level, Levels, Module, Scope, queue};
use crate::lock::{Mutex, Rank};

const MODULES: usize = Module::ALL.len();
/// In a module's mask: the levels are those of DEFAULT.
const INHERIT: u8 = Levels::INHERITED.bits();

static DEFAULT_MASK: AtomicU8 = AtomicU8::new(Levels::from(Level::Info).bits());
static MASKS: [AtomicU8; MODULES] = [const { AtomicU8::new(INHERIT) }; MODULES];

/// The attributes of a `log` entity. `None` leaves an attribute as it is, which at first is the
/// setting of DEFAULT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `enable`: which levels are written.
    pub levels: Option<Levels>,
    /// `includeTimestamp`.
    pub timestamp: Option<bool>,
    /// `includeSource`: end each line with the place in the source that wrote it.
    pub source: Option<bool>,
    /// `outputFile`: `stderr`, `stdout`, `syslog`, or the path of a file that lines are appended
    /// to.
    pub output: Option<String>,
}

/// A `log` entity that cannot be put in force.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The output cannot be opened.
    #[error(
        "Failed to open log file '{name}': {source}. Check that its folder exists and that this user may write there"
    )]
    Open {
        /// The `outputFile` attribute.
        name: String,
        /// What the system said.
        source: io::Error,
    },
}

/// How a module writes, with `None` for what it takes from DEFAULT.
#[derive(Clone, Debug, Default)]
pub(super) struct Style {
    timestamp: Option<bool>,
    source: Option<bool>,
    output: Option<Arc<Output>>,
}

/// All that the writer needs beside the levels.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    default: Style,
    modules: [Style; MODULES],
    stderr: Arc<Output>,
    pub(super) clock: Clock,
}

static SETTINGS: LazyLock<ArcSwap<Settings>> = LazyLock::new(|| {
    ArcSwap::from_pointee(Settings {
        default: Style::default(),
        modules: [const { Style { timestamp: None, source: None, output: None } }; MODULES],
        stderr: Arc::new(Output::stderr()),
        clock: Clock::default(),
    })
});

/// Serializes changes of the settings; readers do not take it.
static CHANGE: Mutex<()> = Mutex::ranked(Rank::LogSettings, ());

impl Settings {
    fn style(&self, module: Module) -> &Style {
        &self.modules[module as usize]
    }

    pub(super) fn output(&self, module: Module) -> &Arc<Output> {
        self.style(module).output.as_ref().or(self.default.output.as_ref()).unwrap_or(&self.stderr)
    }

    /// Where lines about the log itself go.
    pub(super) fn default_output(&self) -> &Arc<Output> {
        self.default.output.as_ref().unwrap_or(&self.stderr)
    }

    pub(super) fn timestamp(&self, module: Module) -> bool {
        self.style(module).timestamp.or(self.default.timestamp).unwrap_or(true)
    }

    pub(super) fn source(&self, module: Module) -> bool {
        self.style(module).source.or(self.default.source).unwrap_or(false)
    }

    fn outputs(&self) -> impl Iterator<Item = &Arc<Output>> {
        self.modules.iter().chain([&self.default]).filter_map(|style| style.output.as_ref())
    }
}

pub(super) fn current() -> Arc<Settings> {
    SETTINGS.load_full()
}

pub(super) fn enabled(module: Module, level: Level) -> bool {
    let mask = MASKS[module as usize].load(Ordering::Relaxed);
    let mask = if mask & INHERIT == 0 { mask } else { DEFAULT_MASK.load(Ordering::Relaxed) };
    Levels::from_bits(mask).contains(level)
}

/// Puts a `log` entity in force, for lines logged from now on. Nothing changes if its output cannot
/// be opened.
pub fn configure(scope: Scope, options: &Options) -> Result<(), LogError> {
    let _change = CHANGE.lock();
    let mut settings = Settings::clone(&current());
    let output = match &options.output {
        None => None,
        // Two modules on one file share its descriptor, so that their lines stay whole and in
        // order.
        Some(name) => Some(match settings.outputs().find(|output| output.name() == name) {
            Some(open) => Arc::clone(open),
            None => Arc::new(
                Output::open(name)
                    .map_err(|source| LogError::Open { name: name.clone(), source })?,
            ),
        }),
    };
    // Lines that are waiting belong to the former outputs.
    queue::flush();
    let (style, mask) = match scope {
        Scope::Default => (&mut settings.default, &DEFAULT_MASK),
        Scope::Module(module) => (&mut settings.modules[module as usize], &MASKS[module as usize]),
    };
    style.timestamp = options.timestamp.or(style.timestamp);
    style.source = options.source.or(style.source);
    style.output = output.or_else(|| style.output.take());
    SETTINGS.store(Arc::new(settings));
    match options.levels {
        // DEFAULT has nobody to inherit from.
        Some(Levels::INHERITED) if scope == Scope::Default => {}
        Some(levels) => mask.store(levels.bits(), Ordering::Relaxed),
        None => {}
    }
    Ok(())
}

/// Sets how timestamps are written: a strftime pattern in which `%%06lu` stands for the
/// microseconds (`router.timestampFormat`), and whether they are in UTC instead of local time
/// (`router.timestampsInUTC`).
pub fn set_timestamps(format: Option<&str>, utc: bool) {
    let _change = CHANGE.lock();
    let mut settings = Settings::clone(&current());
    settings.clock = Clock::new(format, utc);
    SETTINGS.store(Arc::new(settings));
}

/// Opens all log files anew, for log rotation. A file that cannot be opened stays as it was, and
/// the first failure is returned.
pub fn reopen() -> Result<(), LogError> {
    let _change = CHANGE.lock();
    queue::flush();
    let mut first = Ok(());
    for output in current().outputs() {
        if let Err(source) = output.reopen() {
            first =
                first.and_then(|()| Err(LogError::Open { name: output.name().to_owned(), source }));
        }
    }
    first
}
