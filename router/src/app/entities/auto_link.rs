//! `router.config.autoLink`: a link that the router attaches by itself.

use std::sync::Arc;

use crate::agent::Record;
use crate::app::planning::Planning;
use crate::app::running::{Managed, Plannable, Planned, Running};
use crate::app::trouble::Trouble;
use crate::node::{AutoLink, AutoLinkPhase, Holder};
use crate::schema::Entity;
use crate::schema::typed::AutoLinkConfig;

/// A link in the table of the router's tasks.
#[derive(Debug)]
struct Wanted(Arc<AutoLink>);

impl Plannable for AutoLinkConfig {
    fn plan(self: Box<Self>, _planning: &mut Planning) -> Result<Box<dyn Planned>, Trouble> {
        Ok(self)
    }
}

impl Planned for AutoLinkConfig {
    fn start(
        self: Box<Self>,
        router: &Running,
        entity: &Entity,
    ) -> Result<Arc<dyn Managed>, Trouble> {
        let holder = match (self.connection, self.container_id) {
            (Some(name), _) => Holder::Entity(name),
            (None, Some(id)) => Holder::Container(id),
            (None, None) => Holder::Nobody,
        };
        let identity = || entity.text("identity").unwrap_or_default().to_owned();
        let name = self.name.unwrap_or_else(identity);
        let link = AutoLink::new(name, holder, self.incoming, self.address, self.external_address);
        router.node.auto_links.add(&link);
        Ok(Arc::new(Wanted(link)))
    }
}

impl Managed for Wanted {
    fn stop(self: Arc<Self>, router: &Running) {
        router.node.auto_links.remove(&self.0);
    }

    fn describe(&self, _router: &Running, record: &mut Record) {
        let (status, id) = match self.0.phase() {
            None => ("inactive", None),
            Some(AutoLinkPhase::Failed) => ("failed", None),
            Some(AutoLinkPhase::Attaching) => ("attaching", None),
            Some(AutoLinkPhase::Active(id)) => ("active", Some(id)),
        };
        record.put("operStatus", status);
        if let Some(id) = id {
            record.put("linkRef", id.to_string());
        }
        if let Some(error) = self.0.last_error() {
            record.put("lastError", error);
        }
    }
}
