//! `router`: the router itself.

use crate::agent::Record;
use crate::app::planning::Planning;
use crate::app::running::{AsIs, Managed, Plannable, Planned, Running};
use crate::app::trouble::Trouble;
use crate::schema::typed::RouterEntity;

impl Plannable for RouterEntity {
    fn plan(self: Box<Self>, _planning: &mut Planning) -> Result<Box<dyn Planned>, Trouble> {
        Ok(Box::new(AsIs(*self)))
    }
}

impl Managed for RouterEntity {
    fn describe(&self, _router: &Running, record: &mut Record) {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        record.put("hostName", name);
        record.put("defaultDistribution", self.default_distribution.as_str());
    }
}
