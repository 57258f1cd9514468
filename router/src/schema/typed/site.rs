//! `site`: where the router is.

use super::{name, text_of};
use crate::schema::attribute::text;
use crate::schema::entity_type::{EntityType, configuration};
use crate::schema::{AttributeError, Entity};

/// The rows of the table.
pub(in crate::schema) static ROW: EntityType = EntityType {
    own_attributes: &[
        text("location", "Where the site is.").example("Basel").create().works(),
        text("provider", "Who runs the place.").example("example-cloud").create().works(),
        text("version", "The version of the software that manages the site.")
            .example("2.1.0")
            .create()
            .works(),
        text("platform", "What the site runs on.").example("linux").create().works(),
        text("namespace", "The namespace the site lives in.").example("default").create().works(),
    ],
    ..configuration("The site this router belongs to, as consoles show it. There is at most one.")
};

/// The site.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Site {
    pub name: String,
    pub location: Option<String>,
    pub provider: Option<String>,
    pub version: Option<String>,
    pub platform: Option<String>,
    pub namespace: Option<String>,
}

impl TryFrom<&Entity> for Site {
    type Error = AttributeError;

    fn try_from(entity: &Entity) -> Result<Self, AttributeError> {
        Ok(Self {
            name: name(entity)?,
            location: text_of(entity, "location"),
            provider: text_of(entity, "provider"),
            version: text_of(entity, "version"),
            platform: text_of(entity, "platform"),
            namespace: text_of(entity, "namespace"),
        })
    }
}
