//! `router.config.autoLink`: a link that the router attaches by itself.

use super::text_of;
use crate::schema::attribute::{choice, text};
use crate::schema::entity_type::{CREATED_AND_DELETED, EntityType, configuration};
use crate::schema::{AttributeError, Entity, Problem};

/// The rows of the table.
pub(in crate::schema) static ROW: EntityType = EntityType {
    alias: Some("autoLink"),
    own_operations: CREATED_AND_DELETED,
    own_attributes: &[
        text("address", "The address of the link. May be left out for direction in.")
            .example("queue-1")
            .create()
            .works(),
        choice(
            "direction",
            &["in", "out"],
            "Whether messages come in to the router by the link or go out.",
        )
        .example("in")
        .required()
        .create()
        .works(),
        text(
            "containerId",
            "The container whose connection gets the link. Either this or connection.",
        )
        .example("broker")
        .create()
        .works(),
        text(
            "connection",
            "The connector or listener whose connections get the link. Either this or containerId.",
        )
        .example("broker-1")
        .create()
        .works(),
        text("externalAddress", "The address as the other side knows it.")
            .unset("address")
            .example("queue.1")
            .create()
            .works(),
        text("linkRef", "The link, while there is one."),
        choice(
            "operStatus",
            &["inactive", "attaching", "failed", "active", "quiescing", "idle"],
            "How the link is doing: inactive is that the container is not connected.",
        ),
        text("lastError", "Why the last attempt failed."),
    ],
    ..configuration("A link that the router makes by itself when a container connects.")
};

/// A link that the router attaches by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AutoLinkConfig {
    pub name: Option<String>,
    pub address: Option<String>,
    /// Messages come in by it.
    pub incoming: bool,
    /// The container whose connections get it.
    pub container_id: Option<String>,
    /// The listener or connector whose connections get it.
    pub connection: Option<String>,
    pub external_address: Option<String>,
}

impl TryFrom<&Entity> for AutoLinkConfig {
    type Error = AttributeError;

    fn try_from(entity: &Entity) -> Result<Self, AttributeError> {
        let incoming = auto_link_comes_in(|name| entity.text(name)).map_err(|problem| {
            let invalid = |text: &str| Problem::Invalid(text.to_owned());
            match problem {
                AutoLinkProblem::TwoHolders => {
                    invalid("either containerId or connection may be set, not both")
                        .of("containerId")
                }
                AutoLinkProblem::NoDirection => Problem::Missing.of("direction"),
                AutoLinkProblem::UnknownDirection => invalid("neither in nor out").of("direction"),
                AutoLinkProblem::NoAddress => {
                    invalid("it may be left out only with direction in").of("address")
                }
            }
        })?;
        Ok(Self {
            name: text_of(entity, "name"),
            address: text_of(entity, "address"),
            incoming,
            container_id: text_of(entity, "containerId"),
            connection: text_of(entity, "connection"),
            external_address: text_of(entity, "externalAddress"),
        })
    }
}

/// Why an autoLink cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoLinkProblem {
    /// A container and a connection are named.
    TwoHolders,
    /// No direction is given.
    NoDirection,
    /// The direction is no word of the schema.
    UnknownDirection,
    /// Messages go out, and there is no address.
    NoAddress,
}

/// Reads the direction of an autoLink and checks what goes with it. `given` returns the text of an
/// attribute, or `None` for one that is not given.
///
/// # Errors
/// The attributes contradict each other.
pub fn auto_link_comes_in<'a>(
    given: impl Fn(&str) -> Option<&'a str>,
) -> Result<bool, AutoLinkProblem> {
    if given("connection").is_some() && given("containerId").is_some() {
        return Err(AutoLinkProblem::TwoHolders);
    }
    let incoming = match given("direction") {
        None => return Err(AutoLinkProblem::NoDirection),
        Some("in") => true,
        Some("out") => false,
        Some(_) => return Err(AutoLinkProblem::UnknownDirection),
    };
    match given("address") {
        None if !incoming => Err(AutoLinkProblem::NoAddress),
        _ => Ok(incoming),
    }
}
