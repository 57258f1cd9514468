//! The levels of events that a module writes: the `enable` attribute of a log entity.

use super::entity::FromValue;
use super::{Problem, Value, quote};
use crate::log::{Level, Levels, UnknownLevel};

impl FromValue for Levels {
    const EMPTY_IS_ABSENT: bool = false;

    fn from_value(value: &Value) -> Result<Self, Problem> {
        Self::parse(&String::from_value(value)?).map_err(|UnknownLevel(token)| {
            let names = Level::ALL.map(Level::name).join(", ");
            Problem::WrongType {
                given: quote(&token),
                wanted: format!("a log level: none, {names}"),
            }
        })
    }
}
