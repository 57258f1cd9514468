//! `router`: the router itself.

use std::path::PathBuf;
use std::time::Duration;

use super::text_of;
use crate::schema::attribute::Fixed::*;
use crate::schema::attribute::{choice, flag, number, path, text};
use crate::schema::entity_type::{EntityType, configuration};
use crate::schema::{AttributeError, Distribution, Entity, Mode, Problem, quote};

/// The rows of the table.
pub(in crate::schema) static ROW: EntityType = EntityType {
    singleton: true,
    own_attributes: &[
        text(
            "id",
            "The router's name in the network, and its AMQP container name. No two routers of a \
             network may share one.",
        )
        .unset("the mode and random text, so that every start has another")
        .example("north")
        .create()
        .works(),
        text("vanId", "Former name of the network's tenantId.").example("tenant-1").create(),
        choice(
            "mode",
            Mode::WORDS,
            "How the router takes part in a network: standalone serves clients and services of \
             its own only, interior connects to other routers and routes for them, edge is a \
             leaf with one uplink to an interior router.",
        )
        .default(Text("standalone"))
        .create()
        .works(),
        text("area", "The area of the network; there is only one.").default(Text("0")),
        text("version", "The version of this router."),
        text("hostName", "The name of the host the router runs on."),
        number("helloIntervalSeconds", "How often the router greets its neighbors at the least.")
            .seconds()
            .range(1, 3600)
            .default(Number(1))
            .create()
            .works(),
        number(
            "helloMaxAgeSeconds",
            "After this long without a greeting a neighbor counts as lost. Raise it where links \
             stall for seconds.",
        )
        .seconds()
        .range(1, 86400)
        .default(Number(3))
        .create()
        .works(),
        number(
            "raIntervalSeconds",
            "How often the router advertises its state at the least while the network is quiet.",
        )
        .seconds()
        .range(1, 86400)
        .default(Number(30))
        .create()
        .works(),
        number(
            "raIntervalFluxSeconds",
            "How often the router advertises its state at the least while the network changes.",
        )
        .seconds()
        .range(1, 86400)
        .default(Number(4))
        .create()
        .works(),
        number(
            "remoteLsMaxAgeSeconds",
            "After this long without an advertisement what a router said of its links is \
             forgotten.",
        )
        .seconds()
        .range(1, 86400)
        .default(Number(60))
        .create()
        .works(),
        number(
            "unreachableHoldoffSeconds",
            "How long the addresses of a router that became unreachable are kept, in case it \
             comes back at once.",
        )
        .seconds()
        .range(0, 86400)
        .default(Number(1))
        .create()
        .works(),
        number(
            "workerThreads",
            "How many threads carry connections. One per core of the machine is a good number.",
        )
        .range(1, 1024)
        .default(Number(4))
        .create()
        .works(),
        path(
            "debugDumpFile",
            "A file for what the C router finds leaked when it stops. This router writes none.",
        )
        .example("/tmp/dump.txt")
        .create(),
        path(
            "saslConfigDir",
            "The folder of the file that says where passwords for SASL PLAIN are.",
        )
        .unset("/etc/sasl2")
        .example("/etc/sasl2")
        .create()
        .works(),
        text(
            "saslConfigName",
            "The name of that file, without `.conf`. In it a line `password_file: PATH` names a \
             file with a line `NAME:HASH` for each user, which `skup password USER` makes; \
             `sasldb_path: PATH` names a database of Cyrus SASL.",
        )
        .default(Text("skrouterd"))
        .create()
        .works(),
        flag("timestampsInUTC", "Log times in UTC and not in local time.")
            .implied(Flag(false))
            .create()
            .works(),
        text(
            "timestampFormat",
            "How times look in the log: a strftime pattern in which `%%06lu` or the like stands \
             for microseconds.",
        )
        .unset("date, time with microseconds, and offset")
        .example("%Y-%m-%d %H:%M:%S.%%06lu %z")
        .create()
        .works(),
        choice(
            "defaultDistribution",
            Distribution::WORDS,
            "The distribution of addresses that no address entity speaks of. With unavailable, \
             only those addresses exist that are configured.",
        )
        .default(Text("balanced"))
        .create()
        .works(),
        text(
            "metadata",
            "Text for tools that show or manage the router; it changes nothing in the router.",
        )
        .example("for those who look")
        .create()
        .works(),
        text(
            "dataConnectionCount",
            "How many connections to each neighbor carry services, beside the one for control: a \
             number, or auto, which is half of workerThreads, rounded up.",
        )
        .default(Text("auto"))
        .create()
        .works(),
        flag(
            "dropTcpConnections",
            "When a tcpListener or tcpConnector is deleted, end its service connections too.",
        )
        .default(Flag(true))
        .create()
        .works(),
    ],
    ..configuration(
        "The router itself. Give it an id and a mode; the rest is right for most networks.",
    )
};

/// The largest number of data connections to a neighbor. More are a mistake.
const MOST_DATA_CONNECTIONS: u32 = 1024;

/// The router itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
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
    /// Connections to each neighbor beside the one for control. `auto` is worked out.
    pub data_connections: u32,
    /// The operator left their number to the router.
    pub data_connections_calculated: bool,
    pub default_distribution: Distribution,
    pub drop_tcp_connections: bool,
    pub timestamps_in_utc: bool,
    pub timestamp_format: Option<String>,
    pub metadata: Option<String>,
    /// The folder of the SASL configuration. `None` is that of Cyrus SASL.
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
            // Scripts look for the first words, which are those of C routers.
            let problem = format!(
                "AttributeError: Router id attribute containing character {} in id {} is \
                 disallowed: a router id has no '|', no '$', no blanks and no control characters",
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
            timestamp_format: text_of(entity, "timestampFormat"),
            metadata: text_of(entity, "metadata"),
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
