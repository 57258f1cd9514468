//! The running router as the management node reads and changes it.

use std::sync::Arc;

use skupper_proto::amqp::condition;
use skupper_proto::amqp::performative::Error;
use skupper_proto::management::Status;

use super::plan::Plan;
use super::running::{Live, Running};
use super::trouble::Trouble;
use super::{entities, records};
use crate::agent::{By, ConnectionChange, Directory, Entities, LogLine, Page, Record, Refusal};
use crate::config::Configured;
use crate::log;
use crate::node::ConnectionRole;
use crate::schema::typed::Settings;
use crate::schema::{AttributeError, Entity, EntityKind, ManagementAccess, Problem, Role};

impl Directory for Running {
    fn entities(&self, kind: EntityKind, page: Page) -> Entities<'_> {
        match kind {
            EntityKind::Connection => Box::new(records::connections(self, kind, page)),
            EntityKind::Link => Box::new(records::links(self, kind, page)),
            EntityKind::Address => Box::new(records::addresses(self, kind, page)),
            EntityKind::Node => Box::new(page.of(records::nodes(self, kind))),
            EntityKind::RouterMetrics => Box::new(page.of([records::metrics(self, kind)])),
            EntityKind::LogStats => Box::new(page.of(records::log_stats(kind))),
            EntityKind::Allocator => Box::new(page.of(records::allocators(self, kind))),
            EntityKind::VhostStats => Box::new(page.of(records::vhost_stats(self, kind))),
            _ => {
                let of_kind = self.all().into_iter().filter(move |live| live.entity.kind() == kind);
                Box::new(page.of(of_kind).map(|live| self.record(&live)))
            }
        }
    }

    fn find(&self, kind: EntityKind, by: By, value: &str) -> Vec<Record> {
        let found: Vec<Record> = match (kind, by) {
            (EntityKind::Connection, By::Identity) => {
                let record = value.parse().ok().and_then(|id| self.node.registry.connection(id));
                record.map(|record| records::connection(self, kind, &record)).into_iter().collect()
            }
            (EntityKind::Link, by) => records::links_named(self, kind, by, value),
            (EntityKind::Address, _) => {
                records::address_named(self, kind, value).into_iter().collect()
            }
            (
                EntityKind::Connection
                | EntityKind::Node
                | EntityKind::RouterMetrics
                | EntityKind::LogStats
                | EntityKind::Allocator
                | EntityKind::VhostStats,
                _,
            ) => self
                .entities(kind, Page::ALL)
                .filter(|record| record.text(by.attribute()) == Some(value))
                .collect(),
            _ => {
                let entities = self.all();
                let named = |live: &&Live| {
                    live.entity.kind() == kind && live.entity.text(by.attribute()) == Some(value)
                };
                return entities.iter().filter(named).map(|live| self.record(live)).collect();
            }
        };
        found.into_iter().filter(|record| record.text(by.attribute()) == Some(value)).collect()
    }

    fn create(&self, entity: Entity) -> Result<Record, Refusal> {
        let kind = entity.kind();
        let mut entity = entity;
        // The typed form needs a name.
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
        let record = identity.parse().ok().and_then(|id| self.node.registry.connection(id));
        let record = record.ok_or_else(|| Refusal::plain(Status::BAD_REQUEST))?;
        let kind = EntityKind::Connection;
        let forbidden =
            || Refusal::new(Status::FORBIDDEN, "You are not allowed to perform this operation.");
        if change.status
            && let Some(requester) = requester
        {
            let requester = self.node.registry.connection(requester);
            if !requester
                .ok_or_else(|| Refusal::bad("Parent connection no longer exists"))?
                .may_close_others
            {
                return Err(forbidden());
            }
        }
        let between_routers = matches!(
            record.role,
            ConnectionRole::Configured(Role::InterRouter | Role::Edge)
                | ConnectionRole::InterRouterData
        );
        if change.close && between_routers {
            return Err(forbidden());
        }
        let mut told = records::connection(self, kind, &record);
        if let Some(on) = change.trace {
            if let Some(trace) = &record.trace {
                trace.set(on);
            }
            told.put("enableProtocolTrace", on);
        }
        if change.close {
            let by = requester.map(|id| format!(" from connection [C{id}]")).unwrap_or_default();
            log!(Agent, Info, "[C{}] Connection force-closed by request{by}", record.id);
            let text = "Connection forced-closed by management request";
            record.closer.close(Some(Error::new(condition::CONNECTION_FORCED, text)));
            let (node, id) = (Arc::clone(&self.node), record.id);
            if requester != Some(id) {
                self.wait(async move { node.registry.gone(id).await });
            }
            told.put("adminStatus", "deleted");
            told.put("operStatus", "closing");
        }
        Ok(told)
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
    /// The entity that a record tells.
    fn live(&self, record: &Record) -> Result<Live, Refusal> {
        let identity = record.text("identity").unwrap_or_default();
        let entities = self.all();
        entities
            .into_iter()
            .find(|live| live.is(record.kind, identity))
            .ok_or_else(|| Refusal::plain(Status::NOT_FOUND))
    }
}

/// Why an entity cannot be started, as a C router tells it.
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
