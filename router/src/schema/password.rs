//! Passwords, and how to keep them out of sight.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::entity::FromValue;
use super::{Problem, Value};

/// The longest password in a file, in bytes.
const LONGEST: u64 = 4096;

/// Text that is never shown. Debug print and display tell only that it is there.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` out of sight.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text for the one use of it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// The place of a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Password {
    /// `env:NAME`: in an environment variable.
    Environment(String),
    /// `file:PATH`: on the first line of a file.
    File(PathBuf),
    /// `literal:TEXT`: in the configuration, on purpose.
    Literal(Secret),
    /// `pass:TEXT` or bare text: in the configuration, which deserves a warning.
    Plain(Secret),
}

/// Why a password cannot be read.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the names say it")]
pub enum PasswordError {
    #[error("environment variable '{name}' for the password is not set")]
    NotSet { name: String },
    #[error("password file '{}' cannot be read: {cause}", path.display())]
    Unreadable { path: PathBuf, cause: io::Error },
    #[error("the first line of password file '{}' is longer than {LONGEST} octets", path.display())]
    TooLong { path: PathBuf },
}

impl Password {
    /// Reads the forms of profiles.
    pub fn parse(text: &str) -> Self {
        if let Some(name) = text.strip_prefix("env:") {
            Self::Environment(name.trim_start().to_owned())
        } else if let Some(path) = text.strip_prefix("file:") {
            Self::File(PathBuf::from(path.trim_start()))
        } else if let Some(literal) = text.strip_prefix("literal:") {
            Self::Literal(Secret::new(literal))
        } else {
            Self::Plain(Secret::new(text.strip_prefix("pass:").unwrap_or(text)))
        }
    }

    /// Reads the forms of a connector's saslPassword. `literal:` is part of the password there.
    pub fn parse_sasl(text: &str) -> Self {
        match text.starts_with("literal:") {
            true => Self::Plain(Secret::new(text)),
            false => Self::parse(text),
        }
    }

    /// Returns whether this text of a password attribute names a place and is not the password
    /// itself.
    pub fn is_elsewhere(text: &str) -> bool {
        matches!(Self::parse(text), Self::Environment(_) | Self::File(_))
    }

    /// Returns whether the configuration itself holds the password without saying `literal:`.
    pub fn is_plain(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// Fetches the password: from `environment`, from its file, or from itself.
    ///
    /// # Errors
    /// The variable is not set, or the file cannot be read.
    pub fn resolve(
        &self,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Secret, PasswordError> {
        match self {
            Self::Environment(name) => environment(name)
                .map(Secret)
                .ok_or_else(|| PasswordError::NotSet { name: name.clone() }),
            Self::File(path) => first_line(path),
            Self::Literal(secret) | Self::Plain(secret) => Ok(secret.clone()),
        }
    }
}

fn first_line(path: &Path) -> Result<Secret, PasswordError> {
    let unreadable = |cause| PasswordError::Unreadable { path: path.to_owned(), cause };
    let mut line = String::new();
    BufReader::new(File::open(path).map_err(unreadable)?)
        .take(LONGEST + 1)
        .read_line(&mut line)
        .map_err(unreadable)?;
    if line.len() as u64 > LONGEST {
        return Err(PasswordError::TooLong { path: path.to_owned() });
    }
    Ok(Secret::new(line.trim_end_matches(['\r', '\n'])))
}

impl FromValue for Password {
    fn from_value(value: &Value) -> Result<Self, Problem> {
        String::from_value(value).map(|text| Self::parse(&text))
    }
}
