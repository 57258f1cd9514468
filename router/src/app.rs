//! The composition root: who is created, in which order, and who is stopped when.

mod access;
mod arguments;
mod background;
mod directory;
mod entities;
mod facts;
mod figures;
mod flow;
mod footprint;
mod http_port;
mod metrics;
mod notices;
mod observed;
mod plan;
mod planning;
mod policy;
mod ports;
mod profile;
mod relief;
mod running;
mod shutdown;
mod source;
mod trouble;

use std::ffi::OsString;
use std::future::poll_fn;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use arguments::{Arguments, Request};
use bytes::Bytes;
use entities::{logs, put_in_force, treatment};
use plan::Plan;
use running::{Running, Step};
use shutdown::FAREWELL;
use skupper_proto::address::patterns::Patterns;
use skupper_proto::address::{AddressClass, AddressKey, RouterMode};
use skupper_proto::amqp::message::DEFAULT_PRIORITY;
use skupper_proto::topology;
use tokio::runtime::Handle;
use tokio::sync::watch;
use trouble::Trouble;

use crate::admin::server as admin_server;
use crate::admin::socket::AdminSocket;
use crate::agent::{Outlet, Service as AgentService};
use crate::clock::Clock;
use crate::config::{Config, ConfigError, Reach, launch};
use crate::core::{Consumption, Core, Endpoint, LocalConsumer, Message, Settings};
use crate::log;
use crate::node::{Access, Node, Registry, Shards, Stage, Stop, run_aside};
use crate::schema::typed::LogConfig;
use crate::schema::{Entity, EntityKind, Mode};
use crate::socket::{self, Resolver};

/// The daemon's main function: `args` are what follows its name.
pub fn main(args: Vec<OsString>) -> ExitCode {
    let arguments = match arguments::read(args) {
        Ok(Request::Run(arguments)) => arguments,
        Ok(Request::Print(text)) => {
            let _ = std::io::stdout().write_all(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(text) => return fail(&text),
    };
    let outcome = match arguments.daemon {
        true => background::start(&arguments),
        false => {
            if arguments.in_background {
                background::detach();
            }
            load(&arguments).and_then(|(config, reach)| run(config, reach, &arguments))
        }
    };
    let code = match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => fail(&text),
    };
    log::flush();
    code
}

fn fail(text: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "skrouterd: {text}");
    ExitCode::FAILURE
}

/// The configuration, and what may be reached when it is changed.
fn load(arguments: &Arguments) -> Result<(Config, Reach), String> {
    let environment = |name: &str| std::env::var(name).ok();
    let launch = match &arguments.config {
        Some(_) => None,
        None => launch::documents(environment).map_err(|error| error.to_string())?,
    };
    let (config, files) = match launch {
        Some(launch) => {
            let mut config = Config::read(&launch.documents, fastrand::u64(..))
                .map_err(|error| error.to_string())?;
            config.warnings.extend(launch.warnings);
            (config, launch.files)
        }
        None => {
            let path = arguments.config.clone().unwrap_or_else(|| arguments::DEFAULT_CONFIG.into());
            (Config::load(&path).map_err(|error| error.to_string())?, vec![path])
        }
    };
    let reach = Reach::new(&config, &files, environment);
    Ok((config, reach))
}

/// Runs a router until it is told to stop.
fn run(config: Config, reach: Reach, arguments: &Arguments) -> Result<(), String> {
    // Everything that a configuration can be wrong in is found before anything is opened or said.
    let planned =
        plan(&config).map_err(|error| error.to_string()).and_then(|steps| {
            match access::of(&config) {
                Ok(access) => Ok((steps, access)),
                Err(error) => Err(error.to_string()),
            }
        });
    let ((logs, others, passed_over), access) =
        planned.inspect_err(|text| log_failed_start(&config, text))?;
    log::set_timestamps(config.router.timestamp_format.as_deref(), config.router.timestamps_in_utc);
    let descriptors = socket::raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    // Whoever asks about the router or changes it does not hold up the thread of health probes,
    // signals and routing timers.
    let aside = crate::node::runtime().map_err(|error| format!("cannot start: {error}"))?;
    let management = aside.handle().clone();
    // Dropped out here if the start fails: a runtime must not be dropped by another one's task.
    let mut lent = Some(aside);
    runtime.block_on(async {
        // Before anything is opened: a signal that comes during start-up stops the router too.
        let signals = shutdown::Signals::install()
            .map_err(|error| format!("cannot handle signals: {error}"))?;
        let (node, instance) = start_node(&config, access)?;
        let running = Running::new(&node, &config, reach, instance, Handle::current());
        let wrong = |(entity, trouble): (Box<Entity>, Trouble)| {
            located(&config, &entity, &trouble).to_string()
        };
        // Last of what may fail: a log file is not made by a router that does not start.
        running.apply(logs).map_err(wrong)?;
        log!(Server, Info, "Container Name: {}", node.core.id());
        log!(
            Router,
            Info,
            "Router started in {} mode, area=0 id={}",
            mode_text(&config),
            node.core.id()
        );
        log!(Router, Info, "Version: {}", env!("CARGO_PKG_VERSION"));
        let found =
            if config.router.data_connections_calculated { "calculated at" } else { "set to" };
        log!(Router, Info, "Inter-router data connections {found} {}", node.data_connections);
        for warning in config.warnings.iter().chain(&passed_over) {
            log!(Agent, Warning, "{warning}");
        }
        match descriptors {
            Ok(limit) => limit_descriptors(limit, node.shards.count() + 1),
            Err(error) => {
                log!(Server, Warning, "the limit of open descriptors cannot be raised: {error}")
            }
        }
        drop(tokio::spawn(keep_time(Arc::clone(&node))));
        drop(tokio::spawn(relief::watch(Arc::clone(&node))));
        let served = manage(&running, &management);
        drop(management.spawn(crate::flow::run(
            Arc::clone(&node),
            Arc::clone(&running) as Arc<dyn crate::flow::Describe>,
        )));
        running.apply(others).map_err(wrong)?;
        ports::listen(&running).await?;
        // From here on requests are carried out: nobody changes a router that is not complete.
        let stop = Stop::default();
        let thread =
            lent.take().map(|runtime| run_aside("management".to_owned(), runtime, stop.follow()));
        thread.transpose().map_err(|error| format!("cannot start: {error}"))?;
        let admin = admin(&running, arguments);
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

/// Stops clients before the process is out of descriptors.
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
            "{limit} descriptors may be open: room for {left} connections at most; raise the limit (ulimit -n)"
        );
    } else {
        log!(Server, Debug, "{limit} descriptors may be open");
    }
}

/// Says in the configured log files why nothing follows there; standard error has it anyway.
fn log_failed_start(config: &Config, text: &str) {
    let logs = config.all::<LogConfig>().into_iter().filter(|log| log.output.is_some());
    // A log that cannot be had may be what is wrong.
    let configured = logs.filter(|log| put_in_force(log).is_ok());
    if configured.count() > 0 {
        log!(Router, Critical, "Router start-up failed: {text}");
    }
}

/// Plans all entities of a configuration: the log's, and the others; and says what is passed over.
fn plan(config: &Config) -> Result<(Vec<Step>, Vec<Step>, Vec<String>), ConfigError> {
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
    Ok((logs, others, passed_over))
}

/// What is wrong with an entity of a configuration, with its place.
fn located(config: &Config, entity: &Entity, trouble: &Trouble) -> ConfigError {
    let (attribute, problem) = trouble.parts();
    let name = match entity.kind() {
        EntityKind::Log => entity.text("module"),
        _ => entity.name(),
    };
    config.error(entity.kind().section(), name.unwrap_or_default(), &attribute, problem)
}

/// Serves the management node on a runtime, at this router's own addresses and at that of the
/// network.
fn manage(running: &Arc<Running>, runtime: &Handle) -> Vec<Consumption> {
    const NAME: &str = "$management";
    /// A second name that it has in C routers, for itself; there, too, it is an address like
    /// others.
    const INTERNAL: &str = "$_management_internal";
    let core = Arc::clone(&running.node.core);
    let outlet: Outlet = {
        let core = Arc::clone(&core);
        Arc::new(move |to, octets| {
            let message = Message {
                sections: octets,
                presettled: true,
                priority: DEFAULT_PRIORITY,
                internal: true,
                ..Message::default()
            };
            if !core.send_to(to, message, Bytes::new()) {
                log!(Agent, Debug, "nobody is there to take the response for {to}");
            }
        })
    };
    let service = AgentService::new(Arc::clone(running), runtime.clone(), outlet);
    log!(Agent, Info, "Activating management agent on {NAME}");
    let now = running.node.clock.now();
    let serve =
        |key| core.serve(key, LocalConsumer::own(Arc::clone(&service) as Arc<dyn Endpoint>), now);
    let local = |name| AddressKey::new(AddressClass::Local, name);
    vec![serve(local(NAME)), serve(local(INTERNAL)), serve(AddressKey::mobile(NAME))]
}

fn mode_text(config: &Config) -> &'static str {
    match config.router.mode {
        Mode::Standalone => "Standalone",
        Mode::Interior => "Interior",
        Mode::Edge => "Edge",
    }
}

/// The tables and threads of a router, and which of its lives this is.
fn start_node(config: &Config, access: Access) -> Result<(Arc<Node>, i64), String> {
    let router = &config.router;
    let clock = Clock::start();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let shards = cores.min(usize::try_from(router.worker_threads).unwrap_or(1)).max(1);
    // Milliseconds, so that a router that starts again within the second is another life of itself.
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
        // Those that are configured come with their entities.
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

/// Octets that streams may hold in memory: half of what the control group or the machine has, or
/// what the environment says.
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

/// Keeps the routing protocol's time, and logs what it has to say.
async fn keep_time(node: Arc<Node>) {
    loop {
        let deadline = poll_fn(|cx| {
            let deadline = node.core.poll_timer(node.clock.now(), cx.waker());
            Poll::Ready(deadline)
        })
        .await;
        for notice in node.core.take_notices() {
            notices::write(&notice);
        }
        let mut sleep = std::pin::pin!(tokio::time::sleep(Duration::from_secs(60)));
        if let Some(deadline) = deadline {
            sleep.as_mut().reset(node.clock.at(deadline));
        }
        let mut first = true;
        poll_fn(|cx| {
            if sleep.as_mut().poll(cx).is_ready() || !std::mem::take(&mut first) {
                return Poll::Ready(());
            }
            // Woken early when something arises: the loop begins anew.
            let _ = node.core.poll_timer(node.clock.now(), cx.waker());
            Poll::Pending
        })
        .await;
    }
}

/// Starts the admin socket, which ends when this is dropped.
fn admin(running: &Arc<Running>, arguments: &Arguments) -> tokio::task::JoinSet<()> {
    let mut tasks = tokio::task::JoinSet::new();
    let bound = match &arguments.admin_socket {
        Some(path) => AdminSocket::bind(path),
        None => AdminSocket::bind_default(running.node.core.id()),
    };
    match bound {
        Ok(socket) => {
            log!(Agent, Info, "Admin socket at {}", socket.path().display());
            let source = Arc::clone(running);
            tasks.spawn(async move {
                let Err(error) = admin_server::serve(
                    socket,
                    source,
                    crate::http::connections::Limits::default(),
                )
                .await;
                log!(Agent, Error, "the admin socket failed: {error}");
            });
        }
        Err(error) => log!(Agent, Error, "no admin socket: {error}"),
    }
    tasks
}
