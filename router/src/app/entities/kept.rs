//! Entities for which nothing runs: the router keeps them to be shown.

use std::sync::Arc;

use crate::app::running::{Managed, Planned, Running};
use crate::app::trouble::Trouble;
use crate::log;
use crate::schema::{Effect, Entity};

/// An entity of a type on whose attributes the router does not act.
#[derive(Debug)]
pub(super) struct Unread;

/// Nothing runs.
#[derive(Debug)]
pub(super) struct Kept;

impl Planned for Unread {
    fn start(
        self: Box<Self>,
        _router: &Running,
        entity: &Entity,
    ) -> Result<Arc<dyn Managed>, Trouble> {
        let kind = entity.kind();
        if kind.effect() == Effect::Accepted && !kind.is_singleton() {
            let name = entity.name().unwrap_or_default();
            log!(Agent, Debug, "{name}: {} has no effect yet", kind.section());
        }
        Ok(Arc::new(Kept))
    }
}

impl Managed for Kept {}
