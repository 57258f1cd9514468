//! The router, its log and its site.

use std::path::PathBuf;
use std::time::Duration;

use super::{name, text};
use crate::log::Levels;
use crate::schema::{AttributeError, Distribution, Entity, LogModule, Mode, Problem, quote};

/// More data connections than this to one neighbor are a mistake.
const MOST_DATA_CONNECTIONS: u32 = 1024;

/// The router itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct RouterEntity {
    pub id: String,
    pub mode: Mode,
    pub hello_interval: Duration,
    pub hello_max_age: Duration,
    pub ra_interval: Duration,
    pub ra_interval_flux: Duration,
    pub remote_ls_max_age: Duration,
    pub unreachable_holdoff: Duration,
    pub worker_threads: u32,
    /// Connections to each neighbor beside the one for control; `auto` has been worked out.
    pub data_connections: u32,
    /// Their number was left to the router.
    pub data_connections_calculated: bool,
    pub default_distribution: Distribution,
    pub drop_tcp_connections: bool,
    pub timestamps_in_utc: bool,
    pub timestamp_format: Option<String>,
    pub metadata: Option<String>,
    /// Where the SASL configuration is; `None` is where Cyrus SASL has it.
    pub sasl_config_dir: Option<PathBuf>,
    pub sasl_config_name: String,
}

impl TryFrom<&Entity> for RouterEntity {
    type Error = AttributeError;

    fn try_from(entity: &Entity) -> Result<Self, AttributeError> {
        let id: String = entity.get("id")?;
        if let Some(c) =
            id.chars().find(|c| matches!(c, '|' | '$') || c.is_control() || c.is_whitespace())
        {
            // The first words are those of C routers, which scripts look for.
            let problem = format!(
                "AttributeError: Router id attribute containing character {} in id {} is disallowed: a router id has no '|', no '$', \
                 no blanks and no control characters",
                quote(&c.to_string()),
                quote(&id)
            );
            return Err(Problem::Invalid(problem).of("id"));
        }
        let worker_threads: u32 = entity.get("workerThreads")?;
        Ok(Self {
            id,
            mode: entity.get("mode")?,
            hello_interval: entity.get("helloIntervalSeconds")?,
            hello_max_age: entity.get("helloMaxAgeSeconds")?,
            ra_interval: entity.get("raIntervalSeconds")?,
            ra_interval_flux: entity.get("raIntervalFluxSeconds")?,
            remote_ls_max_age: entity.get("remoteLsMaxAgeSeconds")?,
            unreachable_holdoff: entity.get("unreachableHoldoffSeconds")?,
            worker_threads,
            data_connections: data_connections(
                &entity.get::<String>("dataConnectionCount")?,
                worker_threads,
            )
            .map_err(|problem| problem.of("dataConnectionCount"))?,
            data_connections_calculated: entity.get::<String>("dataConnectionCount")?.trim()
                == "auto",
            default_distribution: entity.get("defaultDistribution")?,
            drop_tcp_connections: entity.get("dropTcpConnections")?,
            timestamps_in_utc: entity.get("timestampsInUTC")?,
            timestamp_format: text(entity, "timestampFormat"),
            metadata: text(entity, "metadata"),
            sasl_config_dir: entity.find("saslConfigDir")?,
            sasl_config_name: entity.get("saslConfigName")?,
        })
    }
}

fn data_connections(given: &str, worker_threads: u32) -> Result<u32, Problem> {
    match given.trim() {
        "auto" => Ok(worker_threads.div_ceil(2)),
        number => {
            number.parse().ok().filter(|number| *number <= MOST_DATA_CONNECTIONS).ok_or_else(|| {
                Problem::WrongType {
                    given: quote(given),
                    wanted: format!("auto or a number from 0 to {MOST_DATA_CONNECTIONS}"),
                }
            })
        }
    }
}

/// The site.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Site {
    pub name: String,
    pub location: Option<String>,
    pub provider: Option<String>,
    pub version: Option<String>,
    pub platform: Option<String>,
    pub namespace: Option<String>,
}

impl TryFrom<&Entity> for Site {
    type Error = AttributeError;

    fn try_from(entity: &Entity) -> Result<Self, AttributeError> {
        Ok(Self {
            name: name(entity)?,
            location: text(entity, "location"),
            provider: text(entity, "provider"),
            version: text(entity, "version"),
            platform: text(entity, "platform"),
            namespace: text(entity, "namespace"),
        })
    }
}

/// Where log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum LogOutput {
    Stderr,
    Stdout,
    Syslog,
    /// systemd's.
    Journal,
    /// Appended to.
    File(PathBuf),
}

/// What one module logs. What is `None` is as `DEFAULT` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct LogConfig {
    pub module: LogModule,
    pub enable: Option<Levels>,
    pub include_timestamp: Option<bool>,
    pub include_source: Option<bool>,
    pub output: Option<LogOutput>,
}

impl TryFrom<&Entity> for LogConfig {
    type Error = AttributeError;

    fn try_from(entity: &Entity) -> Result<Self, AttributeError> {
        Ok(Self {
            module: entity.get("module")?,
            enable: entity.find("enable")?,
            include_timestamp: entity.find("includeTimestamp")?,
            include_source: entity.find("includeSource")?,
            output: entity.text("outputFile").map(|output| match output {
                "stderr" => LogOutput::Stderr,
                "stdout" => LogOutput::Stdout,
                "syslog" => LogOutput::Syslog,
                "journald" => LogOutput::Journal,
                file => LogOutput::File(file.into()),
            }),
        })
    }
}
