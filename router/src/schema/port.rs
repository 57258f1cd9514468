//! A TCP port in a configuration: a number, or the name of a service.

use std::fmt;
use std::str::FromStr;

use super::entity::FromValue;
use super::{Problem, Value, quote};

/// The services with a name. A scratch image has no `/etc/services`, and a file must mean the same
/// everywhere.
const SERVICES: &[(&str, u16)] = &[
    ("amqp", 5672),
    ("amqps", 5671),
    ("ftp", 21),
    ("http", 80),
    ("http-alt", 8080),
    ("https", 443),
    ("imap", 143),
    ("imaps", 993),
    ("ldap", 389),
    ("ldaps", 636),
    ("mongodb", 27017),
    ("mqtt", 1883),
    ("mysql", 3306),
    ("postgresql", 5432),
    ("redis", 6379),
    ("smtp", 25),
    ("ssh", 22),
];

/// A TCP port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The number. 0 lets the system choose.
    pub number: u16,
    /// The text of the configuration, which management shows.
    pub text: String,
}

impl FromStr for Port {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let given = text.trim();
        let number = match given.bytes().all(|b| b.is_ascii_digit()) && !given.is_empty() {
            true => given.parse().ok(),
            false => SERVICES.iter().find(|(name, _)| *name == given).map(|(_, number)| *number),
        };
        match number {
            Some(number) => Ok(Self { number, text: given.to_owned() }),
            None => Err(Problem::Invalid(format!(
                "{} is no port: give a number from 0 to 65535, or one of {}",
                quote(given),
                SERVICES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
            ))),
        }
    }
}

impl FromValue for Port {
    fn from_value(value: &Value) -> Result<Self, Problem> {
        String::from_value(value)?.parse()
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
