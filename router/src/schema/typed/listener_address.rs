//! `listenerAddress`: one address of a tcpListener that has several.

use super::{name, text_of};
use crate::schema::attribute::{number, text};
use crate::schema::entity_type::{CREATED_AND_DELETED, EntityType, configuration};
use crate::schema::{AttributeError, Entity, EntityKind, Problem};

/// The rows of the table.
pub(in crate::schema) static ROW: EntityType = EntityType {
    own_operations: CREATED_AND_DELETED,
    own_attributes: &[
        text("address", "The service.").example("hello").required().create().works(),
        number(
            "value",
            "Its priority or its weight, as the listener's multiAddressStrategy has it; more is \
             preferred.",
        )
        .example("1")
        .required()
        .create()
        .works(),
        text("listener", "The name of the tcpListener.")
            .refers_to(EntityKind::TcpListener)
            .example("hello")
            .required()
            .create()
            .works(),
        number("connectionsOpened", "How many service connections went to this address."),
    ],
    ..configuration("One of the addresses of a tcpListener that has a multiAddressStrategy.")
};

/// One of the addresses of a tcpListener with a
/// [`MultiAddressStrategy`](crate::schema::MultiAddressStrategy).
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ListenerAddressConfig {
    pub name: String,
    pub address: String,
    /// Its priority or its weight.
    pub value: i64,
    /// The tcpListener's name.
    pub listener: String,
}

impl TryFrom<&Entity> for ListenerAddressConfig {
    type Error = AttributeError;

    fn try_from(entity: &Entity) -> Result<Self, AttributeError> {
        Ok(Self {
            name: name(entity)?,
            address: text_of(entity, "address").ok_or_else(|| Problem::Missing.of("address"))?,
            value: entity.get("value")?,
            listener: entity.get("listener")?,
        })
    }
}
