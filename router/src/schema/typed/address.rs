//! `router.config.address`: how messages to some addresses are spread.

use super::name;
use crate::schema::attribute::Fixed::*;
use crate::schema::attribute::{choice, number, text};
use crate::schema::entity_type::{CREATED_AND_DELETED, EntityType, configuration};
use crate::schema::{AttributeError, Distribution, Entity, Problem, quote};

/// The rows of the table.
pub(in crate::schema) static ROW: EntityType = EntityType {
    alias: Some("address"),
    own_operations: CREATED_AND_DELETED,
    own_attributes: &[
        text(
            "prefix",
            "The first parts of the addresses meant, parts being separated by `/` or `.`. Either \
             this or pattern.",
        )
        .example("mc")
        .create()
        .works(),
        text(
            "pattern",
            "The addresses meant, with `*` for one part and `#` for any number of parts. Either \
             this or prefix.",
        )
        .example("orders/*/urgent")
        .create()
        .works(),
        choice(
            "distribution",
            Distribution::WORDS,
            "How the messages of these addresses are spread over those who serve them.",
        )
        .default(Text("balanced"))
        .create()
        .works(),
        number(
            "priority",
            "The priority of messages to these addresses between routers, whatever theirs is; 9 \
             is the highest.",
        )
        .range(0, 9)
        .example("4")
        .create()
        .works(),
    ],
    ..configuration("How messages to some addresses are spread.")
};

/// The addresses that an [`AddressConfig`] is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressMatch {
    /// Addresses that begin with these parts.
    Prefix(String),
    /// Addresses that match, with `*` for one part and `#` for any number.
    Pattern(String),
}

/// Why an [`AddressMatch`] cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressProblem {
    /// Neither prefix nor pattern is given.
    Neither,
    /// Prefix and pattern are given.
    Both,
    /// The text of this attribute is empty.
    Empty(&'static str),
    /// The text of this attribute has nothing between its separators.
    NoParts(&'static str),
}

impl AddressMatch {
    /// Reads which addresses are meant. `None` is an attribute that is not given.
    ///
    /// # Errors
    /// Not exactly one is given, or it names nothing.
    pub fn read(prefix: Option<&str>, pattern: Option<&str>) -> Result<Self, AddressProblem> {
        let checked = |attribute, text: &str| match text {
            "" => Err(AddressProblem::Empty(attribute)),
            text if text.split(['/', '.']).all(str::is_empty) => {
                Err(AddressProblem::NoParts(attribute))
            }
            text => Ok(text.to_owned()),
        };
        match (prefix, pattern) {
            (None, None) => Err(AddressProblem::Neither),
            (Some(_), Some(_)) => Err(AddressProblem::Both),
            (Some(prefix), None) => checked("prefix", prefix).map(Self::Prefix),
            (None, Some(pattern)) => checked("pattern", pattern).map(Self::Pattern),
        }
    }
}

/// How messages to some addresses are spread.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AddressConfig {
    pub name: String,
    pub matches: AddressMatch,
    pub distribution: Distribution,
    pub priority: Option<u8>,
}

impl TryFrom<&Entity> for AddressConfig {
    type Error = AttributeError;

    fn try_from(entity: &Entity) -> Result<Self, AttributeError> {
        let (prefix, pattern) = (entity.text("prefix"), entity.text("pattern"));
        let matches = AddressMatch::read(prefix, pattern).map_err(|problem| {
            let (attribute, text) = match problem {
                AddressProblem::Neither => {
                    ("prefix", "either prefix or pattern must be set".to_owned())
                }
                AddressProblem::Both => {
                    ("pattern", "either prefix or pattern may be set, not both".to_owned())
                }
                AddressProblem::Empty(attribute) | AddressProblem::NoParts(attribute) => {
                    let given = prefix.or(pattern).unwrap_or_default();
                    (attribute, format!("{} has no parts", quote(given)))
                }
            };
            Problem::Invalid(text).of(attribute)
        })?;
        Ok(Self {
            name: name(entity)?,
            matches,
            distribution: entity.get("distribution")?,
            priority: entity.find("priority")?,
        })
    }
}
