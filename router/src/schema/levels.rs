//! Which levels of events a module writes: the `enable` attribute of a log entity.

use std::str::FromStr;

use super::entity::FromValue;
use super::{Problem, Value, quote};

/// How grave an event is, gravest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum LogLevel {
    Debug,
    Info,
    Warning,
    Error,
    Critical,
}

impl LogLevel {
    /// All levels, gravest last.
    pub const ALL: [Self; 5] = [Self::Debug, Self::Info, Self::Warning, Self::Error, Self::Critical];

    /// The name in configurations and log lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

/// A set of levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogLevels(u8);

/// In a set: it is that of `DEFAULT`.
const INHERITED: u8 = 0x80;

impl LogLevels {
    /// `level` and all graver ones.
    pub fn at_least(level: LogLevel) -> Self {
        LogLevel::ALL.into_iter().filter(|other| *other >= level).fold(Self::default(), Self::with)
    }

    /// The set and `level`.
    #[must_use]
    pub fn with(self, level: LogLevel) -> Self {
        Self(self.0 | 1 << level as u8)
    }

    /// Whether events of `level` are written.
    pub fn contains(self, level: LogLevel) -> bool {
        self.0 & 1 << level as u8 != 0
    }

    /// Whether the levels are those that `DEFAULT` has.
    pub fn is_inherited(self) -> bool {
        self.0 & INHERITED != 0
    }

    /// Whether nothing is written.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromStr for LogLevels {
    type Err = Problem;

    /// Reads names of levels separated by blanks, commas, semicolons or colons. A name may be cut short and in any case; a plus
    /// after it takes in the graver ones; `none` is no level; `default` is those of `DEFAULT`; `trace` is
    /// `debug`.
    fn from_str(text: &str) -> Result<Self, Problem> {
        let mut levels = Self::default();
        for token in text.split([' ', ',', ';', ':']).filter(|token| !token.is_empty()) {
            let lower = token.to_ascii_lowercase();
            let (name, and_above) = lower.strip_suffix('+').map_or((lower.as_str(), false), |name| (name, true));
            let name = if name == "trace" { "debug" } else { name };
            if !name.is_empty() && "none".starts_with(name) {
                continue;
            }
            if name.starts_with("def") && "default".starts_with(name) {
                return Ok(Self(INHERITED));
            }
            let level = LogLevel::ALL.into_iter().find(|level| !name.is_empty() && level.as_str().starts_with(name)).ok_or_else(
                || {
                    let names: Vec<_> = LogLevel::ALL.iter().map(|level| level.as_str()).collect();
                    Problem::WrongType { given: quote(token), wanted: format!("a log level: none, {}", names.join(", ")) }
                },
            )?;
            levels = if and_above { Self(levels.0 | Self::at_least(level).0) } else { levels.with(level) };
        }
        Ok(levels)
    }
}

impl FromValue for LogLevels {
    const EMPTY_IS_ABSENT: bool = false;

    fn from_value(value: &Value) -> Result<Self, Problem> {
        String::from_value(value)?.parse()
    }
}
