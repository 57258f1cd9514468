//! The tables and threads of a router, as its configuration wants them.

use std::sync::Arc;
use std::time::SystemTime;

use skupper_proto::address::RouterMode;
use skupper_proto::address::patterns::Patterns;
use skupper_proto::topology;
use tokio::sync::watch;

use super::entities::treatment;
use crate::clock::Clock;
use crate::config::Config;
use crate::core::{Core, Settings};
use crate::node::{Access, Node, Registry, Shards, Stage};
use crate::schema::Mode;
use crate::socket::Resolver;

/// Makes the tables and starts the threads. Returns with them which of the router's lives this is.
///
/// # Errors
/// The system has no random numbers, or no threads.
pub(super) fn start(config: &Config, access: Access) -> Result<(Arc<Node>, i64), String> {
    let router = &config.router;
    let clock = Clock::start();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let shards = cores.min(usize::try_from(router.worker_threads).unwrap_or(1)).max(1);
    // Milliseconds, because a router that restarts within a second is another life.
    let instance =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    let instance = i64::try_from(instance).unwrap_or(i64::MAX);
    let settings = Settings {
        mode: if router.mode == Mode::Edge { RouterMode::Edge } else { RouterMode::Interior },
        bid: (router.mode == Mode::Edge).then(Node::bid),
        routing: topology::Config {
            hello_interval: router.hello_interval,
            hello_max_age: router.hello_max_age,
            ra_interval: router.ra_interval,
            ra_interval_flux: router.ra_interval_flux,
            remote_ls_max_age: router.remote_ls_max_age,
            unreachable_hold_off: router.unreachable_holdoff,
            ..topology::Config::new(router.id.as_str(), instance)
        },
        // The entities bring them.
        treatments: Patterns::new(),
        default_treatment: treatment(router.default_distribution),
        shards,
        ceiling: memory_ceiling(),
    };
    crate::node::check_randomness()
        .map_err(|error| format!("the operating system gives no random numbers: {error}"))?;
    let shards = Shards::start(shards).map_err(|error| format!("cannot start threads: {error}"))?;
    let node = Arc::new(Node {
        flow_prefix: crate::flow::source_prefix(std::env::var("HOSTNAME").ok().as_deref()),
        core: Core::new(settings, clock.now()),
        clock,
        shards,
        registry: Arc::new(Registry::default()),
        auto_links: Arc::default(),
        access,
        resolver: Resolver::system(),
        data_connections: usize::try_from(router.data_connections).unwrap_or_default(),
        stage: watch::Sender::new(Stage::Running),
    });
    Ok((node, instance))
}

/// Returns the bytes that the router may hold for all its peers. The environment says it, or it is
/// half of the memory of the control group or the machine.
fn memory_ceiling() -> usize {
    let read = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<usize>().ok();
    let configured =
        std::env::var("SKUPPER_ROUTER_MEMORY_CEILING").ok().and_then(|text| text.parse().ok());
    let group = read("/sys/fs/cgroup/memory.max")
        .or_else(|| read("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
    let machine = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            text.lines().find_map(|line| {
                line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<usize>().ok()
            })
        })
        .map(|kib| kib * 1024);
    let ceiling =
        configured.or_else(|| group.into_iter().chain(machine).min().map(|limit| limit / 2));
    ceiling.unwrap_or(2 << 30).max(64 << 20)
}
