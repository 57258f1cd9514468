//! `log`: what a module logs, and where to.

use std::sync::Arc;

use crate::app::planning::Planning;
use crate::app::running::{Managed, Plannable, Planned, Running};
use crate::app::trouble::Trouble;
use crate::config::{Config, Configured};
use crate::log::{self, Levels, Options, Scope};
use crate::schema::typed::{LogConfig, LogOutput, Settings};
use crate::schema::{AttributeError, Entity, EntityKind, LogModule, Value};

/// The log is in force as an entity says.
#[derive(Debug)]
struct InForce;

impl Plannable for LogConfig {
    fn plan(self: Box<Self>, _planning: &mut Planning) -> Result<Box<dyn Planned>, Trouble> {
        Ok(self)
    }
}

impl Planned for LogConfig {
    fn start(
        self: Box<Self>,
        _router: &Running,
        _entity: &Entity,
    ) -> Result<Arc<dyn Managed>, Trouble> {
        put_in_force(&self)?;
        Ok(Arc::new(InForce))
    }
}

impl Managed for InForce {
    fn update(
        &self,
        _router: &Running,
        entity: &mut Entity,
    ) -> Result<Option<Arc<dyn Managed>>, Trouble> {
        // An old name of a level.
        if let Some(enable) = entity.text("enable").filter(|enable| enable.contains("trace")) {
            entity.set("enable", Value::String(enable.replace("trace", "debug")));
        }
        let config = LogConfig::try_from(&*entity).map_err(|error| wrong(error, entity))?;
        if entity.value("outputFile").and_then(Value::as_str) == Some("") {
            let text = "Failed to open log file ''".to_owned();
            return Err(Trouble::Failed { attribute: "outputFile", text });
        }
        put_in_force(&config)?;
        Ok(None)
    }
}

/// Returns a mistake in a log entity. One in its levels has the log's own words.
fn wrong(error: AttributeError, entity: &Entity) -> Trouble {
    match entity.text("enable").map(Levels::parse) {
        Some(Err(level)) if error.attribute == "enable" => {
            Trouble::Failed { attribute: "enable", text: level.to_string() }
        }
        _ => Trouble::Attribute(error),
    }
}

/// Puts a log entity in force.
///
/// # Errors
/// Its file cannot be opened.
pub(in crate::app) fn put_in_force(config: &LogConfig) -> Result<(), Trouble> {
    let scope = Scope::from_name(config.module.as_str()).unwrap_or(Scope::Default);
    log::configure(scope, &options(config))
        .map_err(|error| Trouble::Failed { attribute: "outputFile", text: error.to_string() })
}

fn options(config: &LogConfig) -> Options {
    Options {
        levels: config.enable,
        timestamp: config.include_timestamp,
        source: config.include_source,
        output: config.output.as_ref().map(|output| match output {
            LogOutput::Stderr => "stderr".to_owned(),
            LogOutput::Stdout => "stdout".to_owned(),
            LogOutput::Syslog => "syslog".to_owned(),
            LogOutput::Journal => "journald".to_owned(),
            LogOutput::File(path) => path.display().to_string(),
        }),
    }
}

/// Returns the log entities of a router: those that are configured, and behind them one for each
/// other module. `DEFAULT` says all that other modules take from it.
pub(in crate::app) fn logs(config: &Config) -> Vec<Configured> {
    let modules: Vec<LogModule> = config.all::<LogConfig>().iter().map(|log| log.module).collect();
    let mut logs: Vec<Configured> = config
        .entities
        .iter()
        .filter(|configured| configured.entity.kind() == EntityKind::Log)
        .map(|log| default_log(&log.entity).unwrap_or_else(|| log.clone()))
        .collect();
    for module in LogModule::ALL.iter().filter(|module| !modules.contains(module)) {
        let word = serde_json::Value::from(module.as_str());
        let made = Entity::new(EntityKind::Log, [("module", &word)]).and_then(|mut entity| {
            entity.identify(0);
            let settings = Settings::read(&entity)?;
            Ok(default_log(&entity).unwrap_or(Configured { entity, settings }))
        });
        // A word of the table is a module.
        logs.extend(made);
    }
    logs
}

/// Fills in what `DEFAULT` does not say; `None` for other modules.
fn default_log(entity: &Entity) -> Option<Configured> {
    let mut entity =
        Some(entity).filter(|entity| entity.text("module") == Some("DEFAULT"))?.clone();
    for (name, value) in [
        ("enable", Value::String("info+".to_owned())),
        ("includeTimestamp", Value::Boolean(true)),
        ("includeSource", Value::Boolean(false)),
        ("outputFile", Value::String("stderr".to_owned())),
    ] {
        if entity.value(name).is_none() {
            entity.set(name, value);
        }
    }
    let settings = Settings::read(&entity).ok()?;
    Some(Configured { entity, settings })
}
