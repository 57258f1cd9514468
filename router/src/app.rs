//! The composition root: who is created, in which order, and who is stopped when.

mod arguments;
mod shutdown;
mod source;

use crate::admin::server as admin_server;
use crate::admin::socket::AdminSocket;
use crate::config::launch;
use crate::config::{Config, ConfigError};
use crate::core::{Core, Settings};
use crate::http::server::{self as http_server, Options as HttpOptions};
use crate::http::tls::Secured;
use crate::log;
use crate::log::{Levels, Options as LogOptions, Scope};
use crate::net::{AmqpListener, SiteLink};
use crate::node::{Clock, Node, Port, PortStatus, Registry, Shards, Stage};
use crate::schema::typed::{Listener, LogConfig, LogOutput, SslProfile};
use crate::schema::{Distribution, Role};
use crate::socket::{self, Family, Resolver};
use crate::tcp::{TcpConnector, TcpListener};
use crate::tls::{ClientVerification, Profile, ProfileConfig, ServerVerification};
use arguments::{Arguments, Request};
use skupper_proto::address::Treatment;
use skupper_proto::address::patterns::{Patterns, pattern_of_prefix};
use skupper_proto::topology;
use source::Running;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::future::poll_fn;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;

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
    let outcome = load(&arguments).and_then(|config| run(config, &arguments));
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

fn load(arguments: &Arguments) -> Result<Config, String> {
    if let Some(path) = &arguments.config {
        return Config::load(path).map_err(|error| error.to_string());
    }
    let environment = |name: &str| std::env::var(name).ok();
    match launch::documents(environment).map_err(|error| error.to_string())? {
        Some(launch) => {
            let mut config = Config::read(&launch.documents, fastrand::u64(..)).map_err(|error| error.to_string())?;
            config.warnings.extend(launch.warnings);
            Ok(config)
        }
        None => Config::load(std::path::Path::new(arguments::DEFAULT_CONFIG)).map_err(|error| error.to_string()),
    }
}

/// Runs a router until it is told to stop.
fn run(config: Config, arguments: &Arguments) -> Result<(), String> {
    let profiles = load_profiles(&config).map_err(|error| error.to_string())?;
    let entities = Prepared::new(&config, &profiles).map_err(|error| error.to_string())?;
    // Last of what may fail: a log file is not made by a router that does not start.
    configure_logs(&config)?;
    let descriptors = socket::raise_descriptor_limit();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| format!("cannot start: {error}"))?;
    runtime.block_on(async {
        // Before anything is opened: a signal that comes during start-up stops the router too.
        let signals = shutdown::Signals::install().map_err(|error| format!("cannot handle signals: {error}"))?;
        let node = start_node(&config)?;
        log!(Server, Info, "Container Name: {}", node.core.id());
        log!(Router, Info, "Router started in {} mode, area=0 id={}", mode_text(&config), node.core.id());
        log!(Router, Info, "Version: {}", env!("CARGO_PKG_VERSION"));
        log!(Router, Info, "Inter-router data connections set to {}", node.data_connections);
        for warning in &config.warnings {
            log!(Agent, Warning, "{warning}");
        }
        match descriptors {
            Ok(Some(limit)) => log!(Server, Debug, "{limit} descriptors may be open"),
            Ok(None) => {}
            Err(error) => log!(Server, Warning, "the limit of open descriptors cannot be raised: {error}"),
        }
        drop(tokio::spawn(keep_time(Arc::clone(&node))));
        let running = Arc::new(entities.start(&node, &config, profiles));
        let admin = admin(&running, arguments);
        log!(Server, Info, "Operational, {} Threads Running (process ID {})", node.shards.count() + 1, std::process::id());
        signals.wait(&node, &running).await;
        drop(admin);
        Ok::<(), String>(())
    })
}

fn mode_text(config: &Config) -> &'static str {
    match config.router.mode {
        crate::schema::Mode::Standalone => "Standalone",
        crate::schema::Mode::Interior => "Interior",
        crate::schema::Mode::Edge => "Edge",
    }
}

fn configure_logs(config: &Config) -> Result<(), String> {
    log::set_timestamps(config.router.timestamp_format.as_deref(), config.router.timestamps_in_utc);
    config.logs.iter().try_for_each(|entity| {
        let scope = Scope::from_name(entity.module.as_str()).unwrap_or(Scope::Default);
        log::configure(scope, &log_options(entity))
            .map_err(|error| config.error("log", entity.module.as_str(), "outputFile", error.to_string()).to_string())
    })
}

fn log_options(entity: &LogConfig) -> LogOptions {
    let levels = entity.enable.map(|enabled| {
        let names: Vec<_> =
            crate::schema::LogLevel::ALL.iter().filter(|level| enabled.contains(**level)).map(|level| level.as_str()).collect();
        // Names of levels parse.
        Levels::parse(&if names.is_empty() { "none".to_owned() } else { names.join(",") }).unwrap_or_default()
    });
    LogOptions {
        levels,
        timestamp: entity.include_timestamp,
        source: entity.include_source,
        output: entity.output.as_ref().map(|output| match output {
            LogOutput::Stderr => "stderr".to_owned(),
            LogOutput::Stdout => "stdout".to_owned(),
            LogOutput::Syslog => "syslog".to_owned(),
            LogOutput::File(path) => path.display().to_string(),
        }),
    }
}

type Profiles = BTreeMap<String, Arc<Profile>>;

fn load_profiles(config: &Config) -> Result<Profiles, ConfigError> {
    config
        .ssl_profiles
        .iter()
        .map(|entity| {
            let of = |attribute: &str, problem: String| config.error("sslProfile", &entity.name, attribute, problem);
            let profile = Profile::load(profile_config(entity).map_err(|problem| of("password", problem))?)
                .map_err(|error| of(error.attribute, error.problem.to_string()))?;
            Ok((entity.name.clone(), Arc::new(profile)))
        })
        .collect()
}

fn profile_config(entity: &SslProfile) -> Result<ProfileConfig, String> {
    let password = match &entity.password {
        Some(password) => Some(password.resolve(|name| std::env::var(name).ok()).map_err(|error| error.to_string())?),
        None => None,
    };
    Ok(ProfileConfig {
        name: entity.name.clone(),
        ca_cert_file: entity.ca_cert_file.clone(),
        cert_file: entity.cert_file.clone(),
        private_key_file: entity.private_key_file.clone(),
        password: password.map(|secret| secret.expose().to_owned()),
        ciphers: entity.ciphers.clone(),
        protocols: entity.protocols.clone(),
    })
}

fn start_node(config: &Config) -> Result<Arc<Node>, String> {
    let router = &config.router;
    let clock = Clock::start();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let shards = cores.min(usize::try_from(router.worker_threads).unwrap_or(1)).max(1);
    let mut treatments = Patterns::new();
    for entity in &config.addresses {
        use crate::schema::typed::AddressMatch;
        let (attribute, pattern) = match &entity.matches {
            AddressMatch::Prefix(prefix) => ("prefix", pattern_of_prefix(prefix)),
            AddressMatch::Pattern(pattern) => ("pattern", pattern.clone()),
        };
        treatments
            .insert(&pattern, treatment(entity.distribution))
            .map_err(|error| config.error("address", &entity.name, attribute, error.to_string()).to_string())?;
    }
    // Milliseconds, so that a router that starts again within the second is another life of itself.
    let instance = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    let instance = i64::try_from(instance).unwrap_or(i64::MAX);
    let settings = Settings {
        routing: topology::Config {
            hello_interval: router.hello_interval,
            hello_max_age: router.hello_max_age,
            ra_interval: router.ra_interval,
            remote_ls_max_age: router.remote_ls_max_age,
            unreachable_hold_off: router.unreachable_holdoff,
            ..topology::Config::new(router.id.as_str(), instance)
        },
        treatments,
        default_treatment: treatment(router.default_distribution),
        shards,
        ceiling: memory_ceiling(),
    };
    let shards = Shards::start(shards).map_err(|error| format!("cannot start threads: {error}"))?;
    Ok(Arc::new(Node {
        core: Core::new(settings, clock.now()),
        clock,
        shards,
        registry: Arc::new(Registry::default()),
        resolver: Resolver::system(),
        data_connections: usize::try_from(router.data_connections).unwrap_or_default(),
        stage: watch::Sender::new(Stage::Running),
    }))
}

const fn treatment(distribution: Distribution) -> Treatment {
    match distribution {
        Distribution::Multicast => Treatment::Multicast,
        Distribution::Closest => Treatment::Closest,
        Distribution::Balanced => Treatment::Balanced,
        Distribution::Unavailable => Treatment::Unavailable,
    }
}

/// Octets that streams may hold in memory: half of what the control group or the machine has, or what the environment says.
fn memory_ceiling() -> usize {
    let read = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<usize>().ok();
    let configured = std::env::var("SKUPPER_ROUTER_MEMORY_CEILING").ok().and_then(|text| text.parse().ok());
    let group = read("/sys/fs/cgroup/memory.max").or_else(|| read("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
    let machine = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<usize>().ok())
        })
        .map(|kib| kib * 1024);
    let ceiling = configured.or_else(|| group.into_iter().chain(machine).min().map(|limit| limit / 2));
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
            source::log_notice(&notice);
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

/// Entities with all they need, checked and not started.
struct Prepared {
    listeners: Vec<(Listener, Option<crate::tls::Acceptor>)>,
    connectors: Vec<(crate::schema::typed::Connector, Option<crate::tls::Connector>, Option<u64>, bool)>,
    tcp_listeners: Vec<(crate::schema::typed::TcpListener, Option<crate::tls::Acceptor>)>,
    tcp_connectors: Vec<(crate::schema::typed::TcpConnector, Option<crate::tls::Connector>)>,
}

impl Prepared {
    fn new(config: &Config, profiles: &Profiles) -> Result<Self, ConfigError> {
        let profile = |kind: &str, entity: &str, name: &Option<String>| match name {
            None => Ok(None),
            Some(name) => match profiles.get(name) {
                Some(profile) => Ok(Some(Arc::clone(profile))),
                None => Err(config.error(kind, entity, "sslProfile", format!("sslProfile '{name}' not found"))),
            },
        };
        let mut prepared = Self { listeners: vec![], connectors: vec![], tcp_listeners: vec![], tcp_connectors: vec![] };
        for entity in &config.listeners {
            let error = |problem: String| config.error("listener", &entity.name, "sslProfile", problem);
            let verification =
                if entity.asks_for_certificate() { ClientVerification::Required } else { ClientVerification::None };
            let acceptor = match profile("listener", &entity.name, &entity.ssl_profile)? {
                Some(profile) => Some(profile.acceptor(verification).map_err(|problem| error(problem.to_string()))?),
                None => None,
            };
            prepared.listeners.push((entity.clone(), acceptor));
        }
        for entity in &config.connectors {
            let error = |problem: String| config.error("connector", &entity.name, "sslProfile", problem);
            let profile = profile("connector", &entity.name, &entity.ssl_profile)?;
            let connector = match &profile {
                Some(profile) => {
                    let verification = verification(entity.verify_hostname);
                    Some(profile.connector(verification).map_err(|problem| error(problem.to_string()))?)
                }
                None => None,
            };
            let ordinal = entity.ssl_profile.as_ref().and_then(|name| config.ssl_profile(name)).map(|entity| entity.ordinal);
            let certified = profile.is_some_and(|profile| profile.certificate().is_some());
            prepared.connectors.push((entity.clone(), connector, ordinal, certified));
        }
        for entity in &config.tcp_listeners {
            let error = |problem: String| config.error("tcpListener", &entity.name, "sslProfile", problem);
            let verification = if entity.authenticate_peer { ClientVerification::Required } else { ClientVerification::None };
            let acceptor = match profile("tcpListener", &entity.name, &entity.ssl_profile)? {
                Some(profile) => {
                    let acceptor = profile.acceptor(verification).map_err(|problem| error(problem.to_string()))?;
                    Some(acceptor.with_alpn(&["http/1.1", "h2"]))
                }
                None => None,
            };
            prepared.tcp_listeners.push((entity.clone(), acceptor));
        }
        for entity in &config.tcp_connectors {
            let error = |problem: String| config.error("tcpConnector", &entity.name, "sslProfile", problem);
            let connector = match profile("tcpConnector", &entity.name, &entity.ssl_profile)? {
                Some(profile) => {
                    Some(profile.connector(verification(entity.verify_hostname)).map_err(|problem| error(problem.to_string()))?)
                }
                None => None,
            };
            prepared.tcp_connectors.push((entity.clone(), connector));
        }
        Ok(prepared)
    }

    /// Starts them: what serves first, then what brings clients.
    fn start(self, node: &Arc<Node>, config: &Config, profiles: Profiles) -> Running {
        let mut running = Running::new(node, config, profiles);
        for (entity, tls) in self.tcp_connectors {
            running.tcp_connectors.push(TcpConnector::start(node, entity, tls));
        }
        let mut http = Vec::new();
        for (entity, acceptor) in self.listeners {
            if entity.http.is_some() {
                http.push((entity, acceptor));
            } else if served(entity.role) {
                if acceptor.is_none() && entity.authenticate_peer && entity.http.is_none() {
                    log!(
                        ConnMgr,
                        Warning,
                        "listener '{}': authenticatePeer without sslProfile lets nobody in: peers authenticate by certificate",
                        entity.name
                    );
                }
                running.listeners.push(AmqpListener::start(node, entity, acceptor));
            } else {
                log!(
                    ConnMgr,
                    Warning,
                    "listener '{}': role {} has no effect yet; not listening",
                    entity.name,
                    entity.role.as_str()
                );
            }
        }
        for (entity, tls, ordinal, certified) in self.connectors {
            if served(entity.role) {
                running.links.push(SiteLink::start(node, entity, tls, ordinal, certified));
            } else {
                log!(
                    ConnMgr,
                    Warning,
                    "connector '{}': role {} has no effect yet; not connecting",
                    entity.name,
                    entity.role.as_str()
                );
            }
        }
        for (entity, tls) in self.tcp_listeners {
            if entity.address.is_some() {
                running.tcp_listeners.push(TcpListener::start(node, entity, tls));
            } else {
                log!(TcpAdaptor, Warning, "tcpListener '{}': multiAddressStrategy has no effect yet; not listening", entity.name);
            }
        }
        running.http = http.into_iter().map(|(entity, tls)| (entity, tls, Arc::new(PortStatus::default()))).collect();
        running
    }
}

const fn verification(verify_hostname: bool) -> ServerVerification {
    if verify_hostname { ServerVerification::ChainAndName } else { ServerVerification::Chain }
}

const fn served(role: Role) -> bool {
    matches!(role, Role::Normal | Role::InterRouter)
}

/// Starts what operators look at: the admin socket and the HTTP listeners. They end when this is dropped.
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
                let Err(error) = admin_server::serve(socket, source, crate::http::connections::Limits::default()).await;
                log!(Agent, Error, "the admin socket failed: {error}");
            });
        }
        Err(error) => log!(Agent, Error, "no admin socket: {error}"),
    }
    for (entity, acceptor, status) in &running.http {
        let source = Arc::clone(running);
        tasks.spawn(serve_http(source, entity.clone(), acceptor.clone(), Arc::clone(status)));
    }
    tasks
}

async fn serve_http(running: Arc<Running>, entity: Listener, acceptor: Option<crate::tls::Acceptor>, status: Arc<PortStatus>) {
    let Some(http) = entity.http else { return };
    let port = Port {
        entity: Arc::from(format!("listener {}", entity.name)),
        host: entity.host.clone(),
        port: entity.port.number,
        family: Family::Any,
        backlog: 128,
    };
    let Some(sockets) = port.open(&running.node, &status).await else { return };
    let options = HttpOptions { healthz: http.healthz, metrics: http.metrics, ..HttpOptions::default() };
    let mut tasks = tokio::task::JoinSet::new();
    for socket in sockets {
        if let Ok(address) = socket.local_addr() {
            log!(Http, Info, "Listening for HTTP on {address}");
        }
        let source = Arc::clone(&running);
        match &acceptor {
            None => drop(tasks.spawn(http_server::serve_on(socket, options, source))),
            Some(acceptor) => {
                let (counted, name) = (Arc::clone(&running), entity.name.clone());
                let refused = Arc::new(move |peer, error: Option<&crate::tls::HandshakeError>| {
                    counted.node.registry.refuse(&name, if error.is_some() { "tls" } else { "plain_text" });
                    let text = error.map_or_else(|| "clear text where TLS is required".to_owned(), ToString::to_string);
                    let peer: std::net::SocketAddr = peer;
                    crate::log_limited!(
                        (name.as_str(), peer.ip(), text.as_str()),
                        Http,
                        Error,
                        "Connection from {peer} (to {name}) failed: {text}"
                    );
                });
                let secured = Secured::new(socket, acceptor.clone(), entity.require_encryption, Duration::from_secs(10), refused);
                drop(tasks.spawn(http_server::serve_on(secured, options, source)));
            }
        }
    }
    while tasks.join_next().await.is_some() {}
}
