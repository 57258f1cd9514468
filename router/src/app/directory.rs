//! The running router as the management node reads and changes it.

use std::sync::Arc;

use skupper_proto::management::Status;

use super::observed::connection;
use super::plan::Plan;
use super::running::{Live, Running};
use super::trouble::Trouble;
use super::{entities, observed};
use crate::agent::{By, ConnectionChange, Directory, Entities, LogLine, Page, Record, Refusal};
use crate::config::Configured;
use crate::log;
use crate::schema::typed::Settings;
use crate::schema::{AttributeError, Entity, EntityKind, ManagementAccess, Problem};

impl Directory for Running {
    fn entities(&self, kind: EntityKind, page: Page) -> Entities<'_> {
        observed::entities(self, kind, page).unwrap_or_else(|| {
            let of_kind = self.all().into_iter().filter(move |live| live.entity.kind() == kind);
            Box::new(page.of(of_kind).map(|live| self.record(&live)))
        })
    }

    fn find(&self, kind: EntityKind, by: By, value: &str) -> Vec<Record> {
        observed::find(self, kind, by, value).unwrap_or_else(|| {
            let named = |live: &&Live| {
                live.entity.kind() == kind && live.entity.text(by.attribute()) == Some(value)
            };
            self.all().iter().filter(named).map(|live| self.record(live)).collect()
        })
    }

    fn create(&self, entity: Entity) -> Result<Record, Refusal> {
        let kind = entity.kind();
        let mut entity = entity;
        // The typed settings need a name.
        if entity.text("identity").is_none() {
            entity.identify(self.next(kind));
        }
        self.reach.check(&entity).map_err(|error| refusal(kind, &error.into()))?;
        self.check(&entity).map_err(|trouble| refusal(kind, &trouble))?;
        let settings = Settings::read(&entity).map_err(|error| refusal(kind, &error.into()))?;
        let mut plan = Plan::beside(self);
        plan.add(Configured { entity, settings }).map_err(|trouble| refusal(kind, &trouble))?;
        let started =
            self.apply(plan.into_steps()).map_err(|(_, trouble)| refusal(kind, &trouble))?;
        let live = started.first().ok_or_else(|| Refusal::plain(Status::INTERNAL_ERROR))?;
        log!(Agent, Info, "Created {} {}", kind.section(), live.entity.name().unwrap_or_default());
        Ok(self.record(live))
    }

    fn update(&self, record: &Record, mut entity: Entity) -> Result<Record, Refusal> {
        let kind = record.kind;
        let live = self.live(record)?;
        for name in ["name", "identity"] {
            if let Some(value) = live.entity.value(name) {
                entity.set(name, value.clone());
            }
        }
        let failed = |trouble: Trouble| refusal(kind, &trouble);
        self.reach.check(&entity).map_err(|error| failed(error.into()))?;
        let managed = live.managed.update(self, &mut entity).map_err(failed)?;
        let managed = managed.unwrap_or_else(|| Arc::clone(&live.managed));
        let live = self.replace(&live, entity, managed);
        log!(Agent, Info, "Updated {} {}", kind.section(), live.entity.name().unwrap_or_default());
        Ok(self.record(&live))
    }

    fn delete(&self, record: &Record) -> Result<(), Refusal> {
        let live = self.live(record)?;
        let name = live.entity.name().unwrap_or_default();
        if let Some(user) = self.user_of(record.kind, name) {
            live.managed.release(&live.entity, &user)?;
        }
        self.remove(&live);
        log!(Agent, Info, "Deleted {} {name}", record.kind.section());
        Ok(())
    }

    fn change_connection(
        &self,
        identity: &str,
        change: ConnectionChange,
        requester: Option<u64>,
    ) -> Result<Record, Refusal> {
        connection::change(self, identity, change, requester)
    }

    fn access(&self, connection: u64) -> Option<ManagementAccess> {
        self.node.registry.connection(connection).map(|record| record.management)
    }

    async fn settled(&self) {
        Self::settled(self).await;
    }

    fn log(&self, limit: Option<usize>) -> Vec<LogLine> {
        let line = |line: log::Line| LogLine {
            module: line.module.name(),
            level: line.level.name(),
            text: line.text,
            source: Some((line.file, line.line)).filter(|(file, _)| !file.is_empty()),
            seconds: line.time.as_second(),
        };
        log::last_lines(limit.unwrap_or(usize::MAX)).into_iter().map(line).collect()
    }
}

impl Running {
    /// Finds the entity that a record tells.
    fn live(&self, record: &Record) -> Result<Live, Refusal> {
        let identity = record.text("identity").unwrap_or_default();
        let entities = self.all();
        entities
            .into_iter()
            .find(|live| live.is(record.kind, identity))
            .ok_or_else(|| Refusal::plain(Status::NOT_FOUND))
    }
}

/// Returns why an entity cannot be started, in the words of a C router.
fn refusal(kind: EntityKind, trouble: &Trouble) -> Refusal {
    if let Some(refusal) = entities::refusal(kind, trouble) {
        return refusal;
    }
    match trouble {
        Trouble::Missing { .. } => Refusal::missing(trouble),
        Trouble::Attribute(AttributeError { attribute, problem: Problem::Invalid(text) })
            if attribute == "role" =>
        {
            Refusal::bad(format!("role={text}"))
        }
        Trouble::Attribute(AttributeError { problem: Problem::Invalid(text), .. }) => {
            Refusal::configuration(text)
        }
        Trouble::Attribute(AttributeError { attribute, problem: Problem::Missing })
            if attribute == "address" =>
        {
            Refusal::configuration("Address must be set")
        }
        Trouble::Attribute(error) => Refusal::configuration(error),
        Trouble::Failed { text, .. } | Trouble::Taken { text, .. } => Refusal::configuration(text),
        Trouble::OutOfReach(error) => Refusal::configuration(error),
    }
}
