//! Mistakes of a configuration, in one line each.

use std::io;

use thiserror::Error;

use crate::schema::AttributeError;

/// Why a configuration cannot be used. The text is one line. It names the file and, where there is
/// one, the entity and its attribute.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the names say it")]
pub enum ConfigError {
    /// The file could not be read.
    #[error("{file}: cannot be read: {cause}")]
    Unreadable { file: String, cause: io::Error },
    /// The file is not text of the right form, or no configuration.
    #[error("{file}: {}{problem}", line.map(|line| format!("line {line}: ")).unwrap_or_default())]
    Syntax { file: String, line: Option<usize>, problem: String },
    /// An entity is wrong as a whole.
    #[error("{file}: {entity}: {problem}")]
    Entity { file: String, entity: String, problem: String },
    /// An attribute is wrong.
    #[error("{file}: {entity}: {error}")]
    Attribute { file: String, entity: String, error: Box<AttributeError> },
}

impl ConfigError {
    pub(super) fn syntax(file: &str, line: Option<usize>, problem: impl Into<String>) -> Self {
        Self::Syntax { file: file.to_owned(), line, problem: problem.into() }
    }

    pub(super) fn entity(file: &str, entity: &str, problem: impl Into<String>) -> Self {
        Self::Entity { file: file.to_owned(), entity: entity.to_owned(), problem: problem.into() }
    }

    pub(super) fn attribute(file: &str, entity: &str, error: AttributeError) -> Self {
        Self::Attribute { file: file.to_owned(), entity: entity.to_owned(), error: Box::new(error) }
    }
}
