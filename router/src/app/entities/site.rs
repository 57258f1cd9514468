//! `site`: where the router is. Flow records tell of the site of the start-up configuration.

use std::sync::Arc;

use super::kept::Kept;
use crate::app::planning::Planning;
use crate::app::running::{Managed, Plannable, Planned, Running};
use crate::app::trouble::Trouble;
use crate::schema::Entity;
use crate::schema::typed::Site;

impl Plannable for Site {
    fn plan(self: Box<Self>, _planning: &mut Planning) -> Result<Box<dyn Planned>, Trouble> {
        Ok(self)
    }
}

impl Planned for Site {
    fn start(
        self: Box<Self>,
        _router: &Running,
        _entity: &Entity,
    ) -> Result<Arc<dyn Managed>, Trouble> {
        Ok(Arc::new(Kept))
    }
}
