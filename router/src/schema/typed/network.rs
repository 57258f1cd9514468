//! `network`: the network of routers. It has no effect yet.

use crate::schema::attribute::text;
use crate::schema::entity_type::{EntityType, configuration};
use crate::schema::{Effect, Operation};

/// The rows of the table.
pub(in crate::schema) static ROW: EntityType = EntityType {
    singleton: true,
    effect: Effect::Accepted,
    own_operations: &[Operation::Update],
    own_attributes: &[
        text("networkId", "The name of this network, where several are joined.")
            .example("net-1")
            .create()
            .update(),
        text(
            "tenantId",
            "Set before the address of every service, so that tenants of one network keep apart.",
        )
        .example("tenant-1")
        .create(),
    ],
    ..configuration("The network this router belongs to, where several networks or tenants meet.")
};
