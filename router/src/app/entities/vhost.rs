//! `vhost`: the rules for clients of one host.

use std::sync::Arc;

use skupper_proto::management::Status;

use crate::agent::Refusal;
use crate::app::planning::Planning;
use crate::app::policy::vhost;
use crate::app::running::{Managed, Plannable, Planned, Running};
use crate::app::trouble::Trouble;
use crate::log;
use crate::policy::{PolicyError, Vhost};
use crate::schema::Entity;
use crate::schema::typed::VhostEntity;

/// The rules are in force, under a host's name.
#[derive(Debug)]
struct InForce(String);

impl Plannable for VhostEntity {
    fn plan(self: Box<Self>, _planning: &mut Planning) -> Result<Box<dyn Planned>, Trouble> {
        Ok(Box::new(vhost(&self).map_err(|error| denied(&error))?))
    }

    fn refusal(trouble: &Trouble) -> Option<Refusal> {
        match trouble {
            Trouble::Failed { text, .. } => {
                Some(Refusal::new(Status::INTERNAL_ERROR, format!("PolicyError: {text}")))
            }
            _ => None,
        }
    }
}

impl Planned for Vhost {
    fn start(
        self: Box<Self>,
        router: &Running,
        _entity: &Entity,
    ) -> Result<Arc<dyn Managed>, Trouble> {
        let name = self.name().to_owned();
        router.node.access.policy.put(*self).map_err(|error| denied(&error))?;
        log!(Policy, Info, "Created policy rules for vhost {name}");
        Ok(Arc::new(InForce(name)))
    }
}

impl Managed for InForce {
    fn update(
        &self,
        router: &Running,
        entity: &mut Entity,
    ) -> Result<Option<Arc<dyn Managed>>, Trouble> {
        let changed = vhost(&VhostEntity::try_from(&*entity)?).map_err(|error| denied(&error))?;
        router.node.access.policy.put(changed).map_err(|error| denied(&error))?;
        log!(Policy, Info, "Updated policy rules for vhost {}", self.0);
        Ok(None)
    }

    fn stop(self: Arc<Self>, router: &Running) {
        // Gone already is as good.
        let _ = router.node.access.policy.remove(&self.0);
    }
}

/// Returns why a vhost cannot be.
fn denied(error: &PolicyError) -> Trouble {
    Trouble::Failed { attribute: "groups", text: error.to_string() }
}
