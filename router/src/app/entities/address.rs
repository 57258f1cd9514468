//! `router.config.address`: how messages to some addresses are spread.

use skupper_proto::address::Treatment;
use skupper_proto::address::patterns::Patterns;

use crate::agent::{Record, Refusal};
use crate::app::planning::{Planning, pattern};
use crate::app::running::{AsIs, Managed, Plannable, Planned, Running};
use crate::app::trouble::Trouble;
use crate::core::AddressRule;
use crate::schema::Distribution;
use crate::schema::typed::AddressConfig;

impl Plannable for AddressConfig {
    fn plan(self: Box<Self>, planning: &mut Planning) -> Result<Box<dyn Planned>, Trouble> {
        planning.take_pattern(&self)?;
        Ok(Box::new(AsIs(*self)))
    }

    fn refusal(trouble: &Trouble) -> Option<Refusal> {
        matches!(trouble, Trouble::Taken { .. }).then(|| Refusal::bad("Already exists"))
    }
}

impl Managed for AddressConfig {
    fn publish(&self, router: &Running) {
        let mut treatments = Patterns::new();
        for address in router.all_of::<Self>() {
            // Two of one pattern are not planned.
            let _ = treatments.insert(&pattern(&address).1, rule(&address));
        }
        router.node.core.set_treatments(treatments);
    }

    fn describe(&self, _router: &Running, record: &mut Record) {
        if record.get("priority").is_none() {
            record.put("priority", -1);
        }
    }
}

/// Returns what an address entity says to the core.
fn rule(config: &AddressConfig) -> AddressRule {
    AddressRule { treatment: treatment(config.distribution), priority: config.priority }
}

/// Returns the core's word for a distribution.
pub(in crate::app) const fn treatment(distribution: Distribution) -> Treatment {
    match distribution {
        Distribution::Multicast => Treatment::Multicast,
        Distribution::Closest => Treatment::Closest,
        Distribution::Balanced => Treatment::Balanced,
        Distribution::Unavailable => Treatment::Unavailable,
    }
}
