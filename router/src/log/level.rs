//! Levels, and the text that chooses them.

use std::fmt;

/// The gravity of an event.
#[expect(missing_docs, reason = "the names say it")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    Debug,
    Info,
    Warning,
    Error,
    Critical,
}

impl Level {
    /// All levels, mildest first.
    pub const ALL: [Self; 5] =
        [Self::Debug, Self::Info, Self::Warning, Self::Error, Self::Critical];

    /// Returns the name in log lines and in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Levels(u8);

impl Levels {
    /// No level.
    pub const NONE: Self = Self(0);

    /// The levels of DEFAULT.
    pub const INHERITED: Self = Self(0x80);

    /// Makes the set of `level` and all graver ones.
    pub const fn from(level: Level) -> Self {
        Self(0b11111 & (0b11111 << level as u8))
    }

    /// Reads the `enable` attribute. Blanks, commas, semicolons or colons separate its tokens. Each
    /// is the beginning of a level's name in any case, with a trailing `+` for "and above". `none`
    /// adds nothing, and `trace` means debug. An empty text is the empty set.
    ///
    /// # Errors
    /// A token that begins no level's name.
    pub fn parse(text: &str) -> Result<Self, UnknownLevel> {
        let mut set = 0;
        for token in text.split([' ', '\t', ',', ';', ':']).filter(|token| !token.is_empty()) {
            let (name, above) = token.strip_suffix('+').map_or((token, false), |name| (name, true));
            let begins = |full: &str| {
                !name.is_empty()
                    && full.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name))
            };
            if begins("none") {
                continue;
            }
            if !begins("debug") && begins("default") {
                return Ok(Self::INHERITED);
            }
            let level = if begins("trace") {
                Some(Level::Debug)
            } else {
                Level::ALL.into_iter().find(|level| begins(level.name()))
            };
            let level = level.ok_or_else(|| UnknownLevel(token.to_owned()))?;
            set |= if above { Self::from(level).0 } else { 1 << level as u8 };
        }
        Ok(Self(set))
    }

    /// Adds `level` to the set.
    #[must_use]
    pub const fn with(self, level: Level) -> Self {
        Self(self.0 | 1 << level as u8)
    }

    /// Returns whether the set has `level`.
    pub const fn contains(self, level: Level) -> bool {
        self.0 & (1 << level as u8) != 0
    }

    pub(super) const fn bits(self) -> u8 {
        self.0
    }

    pub(super) const fn from_bits(bits: u8) -> Self {
        Self(bits & 0b11111)
    }
}

/// A token of an `enable` attribute that begins no level's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not a valid log level. Should be one of {{none, debug, info, warning, error, \
     critical}}."
)]
pub struct UnknownLevel(pub String);
