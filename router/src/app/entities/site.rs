//! `site`: where the router is. Flow records tell of the site of the start-up configuration.

use super::kept::Kept;
use crate::app::planning::Planning;
use crate::app::running::{AsIs, Plannable, Planned};
use crate::app::trouble::Trouble;
use crate::schema::typed::Site;

impl Plannable for Site {
    fn plan(self: Box<Self>, _planning: &mut Planning) -> Result<Box<dyn Planned>, Trouble> {
        Ok(Box::new(AsIs(Kept)))
    }
}
