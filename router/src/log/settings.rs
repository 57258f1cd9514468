//! The `log` entities in force: which levels are written, to which output, in which form.
#![expect(clippy::indexing_slicing, reason = "each module has its place")]

use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;

use super::level::{Level, Levels};
use super::module::{Module, Scope};
use super::output::Output;
use super::queue::QUEUE;
use super::time::Clock;
use crate::lock::{Mutex, Rank};

const MODULES: usize = Module::ALL.len();
/// A module's mask that stands for the levels of DEFAULT.
const INHERIT: u8 = Levels::INHERITED.bits();

static DEFAULT_MASK: AtomicU8 = AtomicU8::new(Levels::from(Level::Info).bits());
static MASKS: [AtomicU8; MODULES] = [const { AtomicU8::new(INHERIT) }; MODULES];

/// The attributes of a `log` entity. `None` leaves an attribute as it is; at first that is the
/// setting of DEFAULT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `enable`: the levels to write.
    pub levels: Option<Levels>,
    /// `includeTimestamp`.
    pub timestamp: Option<bool>,
    /// `includeSource`: whether each line ends with its place in the source.
    pub source: Option<bool>,
    /// `outputFile`: `stderr`, `stdout`, `syslog`, `journald`, or the path of a file to append to.
    pub output: Option<String>,
}

/// Why a `log` entity cannot come into force.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The output cannot be opened.
    #[error(
        "Failed to open log file '{name}': {source}. Check that its folder exists and that this \
         user may write there"
    )]
    Open {
        /// The `outputFile` attribute.
        name: String,
        /// The error of the system.
        source: io::Error,
    },
}

/// The form of a module's lines. `None` stands for the setting of DEFAULT.
#[derive(Clone, Debug, Default)]
pub(super) struct Style {
    timestamp: Option<bool>,
    source: Option<bool>,
    output: Option<Arc<Output>>,
}

/// All settings but the levels.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    default: Style,
    modules: [Style; MODULES],
    stderr: Arc<Output>,
    pub(super) clock: Clock,
}

static SETTINGS: LazyLock<ArcSwap<Settings>> =
    LazyLock::new(|| ArcSwap::from_pointee(Settings::default()));

/// Serializes changes of the settings. Readers do not take it.
static CHANGE: Mutex<()> = Mutex::ranked(Rank::LogSettings, ());

impl Default for Settings {
    fn default() -> Self {
        Self {
            default: Style::default(),
            modules: [const { Style { timestamp: None, source: None, output: None } }; MODULES],
            stderr: Arc::new(Output::stderr()),
            clock: Clock::default(),
        }
    }
}

impl Settings {
    fn style(&self, module: Module) -> &Style {
        &self.modules[module as usize]
    }

    /// Returns the output of a module's lines.
    pub(super) fn output(&self, module: Module) -> &Arc<Output> {
        self.style(module).output.as_ref().or(self.default.output.as_ref()).unwrap_or(&self.stderr)
    }

    /// Returns the output of lines about the log itself.
    pub(super) fn default_output(&self) -> &Arc<Output> {
        self.default.output.as_ref().unwrap_or(&self.stderr)
    }

    /// Returns whether a module's lines begin with the time.
    pub(super) fn timestamp(&self, module: Module) -> bool {
        self.style(module).timestamp.or(self.default.timestamp).unwrap_or(true)
    }

    /// Returns whether a module's lines end with their place in the source.
    pub(super) fn source(&self, module: Module) -> bool {
        self.style(module).source.or(self.default.source).unwrap_or(false)
    }

    fn outputs(&self) -> impl Iterator<Item = &Arc<Output>> {
        self.modules.iter().chain([&self.default]).filter_map(|style| style.output.as_ref())
    }
}

/// Returns the settings in force.
pub(super) fn current() -> Arc<Settings> {
    SETTINGS.load_full()
}

/// Returns whether the log writes lines of `level` from `module`.
pub(super) fn enabled(module: Module, level: Level) -> bool {
    let mask = MASKS[module as usize].load(Ordering::Relaxed);
    let mask = if mask & INHERIT == 0 { mask } else { DEFAULT_MASK.load(Ordering::Relaxed) };
    Levels::from_bits(mask).contains(level)
}

/// Puts a `log` entity in force for all later lines.
///
/// # Errors
/// If its output cannot be opened. Then nothing changes.
pub fn configure(scope: Scope, options: &Options) -> Result<(), LogError> {
    let _change = CHANGE.lock();
    let mut settings = Settings::clone(&current());
    let output = match &options.output {
        None => None,
        // Two modules on one file share its descriptor. So their lines stay whole and in order.
        Some(name) => Some(match settings.outputs().find(|output| output.name() == name) {
            Some(open) => Arc::clone(open),
            None => Arc::new(
                Output::open(name)
                    .map_err(|source| LogError::Open { name: name.clone(), source })?,
            ),
        }),
    };
    // Lines that wait belong to the former outputs.
    QUEUE.flush();
    let (style, mask) = match scope {
        Scope::Default => (&mut settings.default, &DEFAULT_MASK),
        Scope::Module(module) => (&mut settings.modules[module as usize], &MASKS[module as usize]),
    };
    style.timestamp = options.timestamp.or(style.timestamp);
    style.source = options.source.or(style.source);
    style.output = output.or_else(|| style.output.take());
    SETTINGS.store(Arc::new(settings));
    match options.levels {
        // DEFAULT inherits from no module.
        Some(Levels::INHERITED) if scope == Scope::Default => {}
        Some(levels) => mask.store(levels.bits(), Ordering::Relaxed),
        None => {}
    }
    Ok(())
}

/// Sets the form of timestamps: a strftime pattern in which `%%06lu` stands for the microseconds
/// (`router.timestampFormat`), in UTC or in local time (`router.timestampsInUTC`).
pub fn set_timestamps(format: Option<&str>, utc: bool) {
    let _change = CHANGE.lock();
    let mut settings = Settings::clone(&current());
    settings.clock = Clock::new(format, utc);
    SETTINGS.store(Arc::new(settings));
}

/// Opens all log files anew, for log rotation.
///
/// # Errors
/// The first failure. A file that cannot be opened stays as it was.
pub fn reopen() -> Result<(), LogError> {
    let _change = CHANGE.lock();
    QUEUE.flush();
    let mut first = Ok(());
    for output in current().outputs() {
        if let Err(source) = output.reopen() {
            first =
                first.and_then(|()| Err(LogError::Open { name: output.name().to_owned(), source }));
        }
    }
    first
}
