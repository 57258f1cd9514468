//! `policy`: limits for clients. The router reads them when it starts.

use crate::agent::Record;
use crate::app::figures::number;
use crate::app::planning::Planning;
use crate::app::running::{AsIs, Managed, Plannable, Planned, Running};
use crate::app::trouble::Trouble;
use crate::schema::typed::PolicyEntity;

impl Plannable for PolicyEntity {
    fn plan(self: Box<Self>, _planning: &mut Planning) -> Result<Box<dyn Planned>, Trouble> {
        Ok(Box::new(AsIs(*self)))
    }
}

impl Managed for PolicyEntity {
    fn describe(&self, router: &Running, record: &mut Record) {
        let counts = router.node.access.policy.counts();
        let (processed, denied) = counts.connections();
        for (name, count) in [
            ("connectionsProcessed", processed),
            ("connectionsDenied", denied),
            ("connectionsCurrent", counts.current()),
            ("linksDenied", counts.links_denied()),
            ("maxMessageSizeDenied", counts.oversize()),
            ("totalDenials", counts.total()),
        ] {
            record.put(name, number(count));
        }
    }
}
