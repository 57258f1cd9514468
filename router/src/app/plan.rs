//! Entities to be started together: checked, and in an order in which each finds what it needs.

use super::entities;
use super::planning::Planning;
use super::profile::ProfileInForce;
use super::running::{Running, Step};
use super::trouble::Trouble;
use crate::config::Configured;
use crate::schema::typed::AddressConfig;
use crate::tcp::TcpListener;

/// Entities to be started together.
#[derive(Debug, Default)]
pub(super) struct Plan {
    planning: Planning,
    steps: Vec<Step>,
}

impl Plan {
    /// Begins a plan for a router that starts.
    pub(super) fn at_start() -> Self {
        Self { planning: Planning::at_start(), steps: Vec::new() }
    }

    /// Begins a plan for entities to be started beside those that run.
    pub(super) fn beside(running: &Running) -> Self {
        let mut planning = Planning::default();
        for profile in running.all_of::<ProfileInForce>() {
            planning.add_profile((*profile).clone());
        }
        for address in running.all_of::<AddressConfig>() {
            // It was accepted when it was started.
            let _ = planning.take_pattern(&address);
        }
        for listener in running.all_of::<TcpListener>() {
            planning.add_tcp_listener(listener.config());
        }
        Self { planning, steps: Vec::new() }
    }

    /// Checks an entity, and reads the certificates and keys that it needs. Others notice nothing
    /// of it.
    ///
    /// # Errors
    /// The entity is wrong. The plan stays as it was.
    pub(super) fn add(&mut self, configured: Configured) -> Result<(), Trouble> {
        let planned = entities::plan(configured.settings, &mut self.planning)?;
        self.steps.push((configured.entity, planned));
        Ok(())
    }

    /// Returns the steps, in the order of the start.
    pub(super) fn into_steps(mut self) -> Vec<Step> {
        self.steps.sort_by_key(|(entity, _)| entity.kind().start_rank());
        self.steps
    }
}
