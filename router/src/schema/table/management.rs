//! The types that others extend, and the management node itself.

use crate::schema::attribute::{Attribute, number, text};
use crate::schema::entity_type::{EntityType, extends, operational};
use crate::schema::{Effect, EntityKind, Operation};

const ANY: &[Attribute] = &[
    text(
        "name",
        "A name of your choice, unique among the entities of its type. Logs, status and other \
         entities use it.",
    )
    .unset("made from the type and what identifies the entity")
    .example("my-name")
    .unique()
    .create()
    .works(),
    text("identity", "Identifies the entity among all; the router makes it and never changes it.")
        .unique(),
    text("type", "The long name of the entity's type.").required().create().works(),
];

pub(super) static ENTITY: EntityType = EntityType {
    alias: None,
    description: "What all entities have in common.",
    base: None,
    singleton: false,
    effect: Effect::Works,
    own_operations: &[],
    own_attributes: ANY,
    further_attributes: &[],
};

pub(super) static CONFIGURATION_ENTITY: EntityType = EntityType {
    own_operations: &[Operation::Read],
    ..extends(EntityKind::Entity, "What all entities have in common that configure the router.")
};

pub(super) static OPERATIONAL_ENTITY: EntityType = EntityType {
    own_operations: &[Operation::Read],
    ..extends(
        EntityKind::Entity,
        "What all entities have in common that tell what the router does.",
    )
};

pub(super) static AMQP_MANAGEMENT: EntityType = EntityType {
    own_operations: &[
        Operation::Query,
        Operation::GetTypes,
        Operation::GetAnnotations,
        Operation::GetOperations,
        Operation::GetAttributes,
        Operation::GetMgmtNodes,
    ],
    ..operational("The management node as the AMQP management draft describes it.")
};

pub(super) static MANAGEMENT: EntityType = EntityType {
    singleton: true,
    own_operations: &[
        Operation::GetSchema,
        Operation::GetJsonSchema,
        Operation::GetLog,
        Operation::Profile,
    ],
    ..extends(EntityKind::AmqpManagement, "The management node of this router.")
};

pub(super) static DUMMY: EntityType = EntityType {
    own_operations: &[
        Operation::Create,
        Operation::Read,
        Operation::Update,
        Operation::Delete,
        Operation::CallMe,
    ],
    own_attributes: &[
        text("arg1", "A text.").create().update(),
        text("arg2", "Another text.").create().update(),
        number("num1", "A number.").create().update(),
        number("num2", "Another number.").create().update(),
    ],
    ..extends(EntityKind::Entity, "Does nothing; management clients try themselves on it.")
};
