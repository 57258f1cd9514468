//! Why an entity cannot be started or changed.

use crate::config::OutOfReach;
use crate::schema::{AttributeError, EntityKind};

/// Why an entity cannot be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// One of its attributes is wrong.
    #[error("{0}")]
    Attribute(AttributeError),
    /// An entity that it names is not there.
    #[error("{kind} '{name}' not found")]
    Missing { attribute: &'static str, kind: EntityKind, name: String },
    /// The router cannot use the thing that an attribute names.
    #[error("{text}")]
    Failed { attribute: &'static str, text: String },
    /// It names something that changes may not reach.
    #[error("{0}")]
    OutOfReach(OutOfReach),
    /// Another entity has it already.
    #[error("Already exists: {text}")]
    Taken { attribute: &'static str, text: String },
}

impl From<AttributeError> for Trouble {
    fn from(error: AttributeError) -> Self {
        Self::Attribute(error)
    }
}

impl From<OutOfReach> for Trouble {
    fn from(error: OutOfReach) -> Self {
        Self::OutOfReach(error)
    }
}

impl Trouble {
    /// Returns the attribute, and what is wrong with it.
    pub(super) fn parts(&self) -> (String, String) {
        match self {
            Self::Attribute(AttributeError { attribute, problem }) => {
                (attribute.clone(), problem.to_string())
            }
            Self::OutOfReach(error) => (error.attribute.to_owned(), error.to_string()),
            Self::Missing { attribute, .. }
            | Self::Failed { attribute, .. }
            | Self::Taken { attribute, .. } => ((*attribute).to_owned(), self.to_string()),
        }
    }
}
