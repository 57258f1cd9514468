//! The start of a router, in its order, and the wait for its end.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::arguments::Arguments;
use super::entities::{logs, put_in_force};
use super::plan::Plan;
use super::running::{Running, Step};
use super::shutdown::{FAREWELL, Signals};
use super::trouble::Trouble;
use super::{access, background, footprint, management, node, ports, relief, routing_time};
use crate::config::{Config, ConfigError, Reach};
use crate::flow::Describe;
use crate::log;
use crate::node::{Node, Stop, run_aside};
use crate::schema::typed::LogConfig;
use crate::schema::{Entity, EntityKind, Mode};
use crate::socket;

/// Runs a router until it is told to stop.
pub(super) fn run(config: Config, reach: Reach, arguments: &Arguments) -> Result<(), String> {
    // The router finds every mistake of a configuration before it opens or logs anything.
    let planned = plan(&config).and_then(|steps| Ok((steps, access::of(&config)?)));
    let (Steps { logs, others, passed_over }, access) = planned
        .map_err(|error| error.to_string())
        .inspect_err(|text| log_failed_start(&config, text))?;
    log::set_timestamps(config.router.timestamp_format.as_deref(), config.router.timestamps_in_utc);
    let descriptors = socket::raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    // Requests of operators must not hold up the thread of health probes, signals and routing
    // timers.
    let aside = crate::node::runtime().map_err(|error| format!("cannot start: {error}"))?;
    let operators = aside.handle().clone();
    // If the start fails, it is dropped out here: a task must not drop another runtime.
    let mut lent = Some(aside);
    runtime.block_on(async {
        // First, because a signal that comes during the start must stop the router too.
        let signals =
            Signals::install().map_err(|error| format!("cannot handle signals: {error}"))?;
        let (node, instance) = node::start(&config, access)?;
        let running = Running::new(&node, &config, reach, instance, Handle::current());
        let wrong = |(entity, trouble): (Box<Entity>, Trouble)| {
            located(&config, &entity, &trouble).to_string()
        };
        // Last of the steps that can fail: a router that does not start makes no log file.
        running.apply(logs).map_err(wrong)?;
        introduce(&config, &node, &passed_over, descriptors);
        drop(tokio::spawn(routing_time::keep(Arc::clone(&node))));
        drop(tokio::spawn(relief::watch(Arc::clone(&node))));
        let served = management::serve(&running, &operators);
        drop(
            operators.spawn(crate::flow::run(
                Arc::clone(&node),
                Arc::clone(&running) as Arc<dyn Describe>,
            )),
        );
        running.apply(others).map_err(wrong)?;
        ports::listen(&running).await?;
        // Requests are carried out from here on, because the router is complete.
        let stop = Stop::default();
        let thread =
            lent.take().map(|runtime| run_aside("management".to_owned(), runtime, stop.follow()));
        thread.transpose().map_err(|error| format!("cannot start: {error}"))?;
        let admin = management::admin(&running, arguments);
        log!(
            Server,
            Info,
            "Operational, {} Threads Running (process ID {})",
            node.shards.count() + 1,
            std::process::id()
        );
        if arguments.in_background {
            background::ready()
                .map_err(|error| format!("cannot let go of the terminal: {error}"))?;
        }
        drop(tokio::spawn(footprint::shrink_after_start()));
        drop(tokio::spawn(footprint::shrink_after_peaks(Arc::clone(&node))));
        signals.wait(&node, &running).await;
        drop((admin, served));
        stop.ask();
        let _ = tokio::time::timeout(FAREWELL, stop.finished()).await;
        Ok::<(), String>(())
    })
}

/// Logs who this router is and what its operator should know.
fn introduce(
    config: &Config,
    node: &Node,
    passed_over: &[String],
    descriptors: std::io::Result<Option<u64>>,
) {
    log!(Server, Info, "Container Name: {}", node.core.id());
    log!(
        Router,
        Info,
        "Router started in {} mode, area=0 id={}",
        mode_text(config),
        node.core.id()
    );
    log!(Router, Info, "Version: {}", env!("CARGO_PKG_VERSION"));
    let found = if config.router.data_connections_calculated { "calculated at" } else { "set to" };
    log!(Router, Info, "Inter-router data connections {found} {}", node.data_connections);
    for warning in config.warnings.iter().chain(passed_over) {
        log!(Agent, Warning, "{warning}");
    }
    match descriptors {
        Ok(limit) => limit_descriptors(limit, node.shards.count() + 1),
        Err(error) => {
            log!(Server, Warning, "the limit of open descriptors cannot be raised: {error}")
        }
    }
}

/// Limits clients so that the process does not run out of descriptors.
fn limit_descriptors(limit: Option<u64>, threads: usize) {
    /// Connections that a router should have room for.
    const FEW: usize = 256;
    let (Some(limit), Some(left)) = (limit, socket::limit_descriptors(limit, threads)) else {
        return;
    };
    if left < FEW {
        log!(
            Server,
            Warning,
            "{limit} descriptors may be open: room for {left} connections at most; raise the \
             limit (ulimit -n)"
        );
    } else {
        log!(Server, Debug, "{limit} descriptors may be open");
    }
}

/// Logs a failed start to the configured log files. Standard error has it anyway.
fn log_failed_start(config: &Config, text: &str) {
    let logs = config.all::<LogConfig>().into_iter().filter(|log| log.output.is_some());
    // The log itself may be the mistake.
    let configured = logs.filter(|log| put_in_force(log).is_ok());
    if configured.count() > 0 {
        log!(Router, Critical, "Router start-up failed: {text}");
    }
}

/// The entities of a configuration, ready to start.
struct Steps {
    logs: Vec<Step>,
    others: Vec<Step>,
    /// Warnings about entities that do not start.
    passed_over: Vec<String>,
}

/// Plans all entities of a configuration.
///
/// # Errors
/// The first entity that cannot be started, with its place.
fn plan(config: &Config) -> Result<Steps, ConfigError> {
    let mut passed_over = Vec::new();
    let mut plan = Plan::at_start();
    let others = config.entities.iter();
    let others = others.filter(|configured| configured.entity.kind() != EntityKind::Log).cloned();
    for configured in logs(config).into_iter().chain(others) {
        let kept = configured.entity.clone();
        match plan.add(configured) {
            // The first of two for one pattern counts, as with C routers.
            Err(trouble @ Trouble::Taken { .. }) if kept.kind() == EntityKind::ConfigAddress => {
                passed_over.push(format!("{}; passed over", located(config, &kept, &trouble)));
            }
            added => added.map_err(|trouble| located(config, &kept, &trouble))?,
        }
    }
    let (logs, others) =
        plan.into_steps().into_iter().partition(|(entity, _)| entity.kind() == EntityKind::Log);
    Ok(Steps { logs, others, passed_over })
}

/// Returns what is wrong with an entity of a configuration, with its place.
fn located(config: &Config, entity: &Entity, trouble: &Trouble) -> ConfigError {
    let (attribute, problem) = trouble.parts();
    let name = match entity.kind() {
        EntityKind::Log => entity.text("module"),
        _ => entity.name(),
    };
    config.error(entity.kind().section(), name.unwrap_or_default(), &attribute, problem)
}

fn mode_text(config: &Config) -> &'static str {
    match config.router.mode {
        Mode::Standalone => "Standalone",
        Mode::Interior => "Interior",
        Mode::Edge => "Edge",
    }
}
